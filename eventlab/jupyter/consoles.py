"""The console of a time machine: its widget, which takes a person's moves and tells what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlab import moments
from eventlab.errors import EventlabError
from eventlab.jupyter.changes import written
from eventlab.jupyter.newest import Newest

if TYPE_CHECKING:
    import datetime as dt

    from eventlab.jupyter.machines import TimeMachine
    from eventlab.jupyter.tracks import Track
    from eventlab.jupyter.widgets import MachineWidget


class Console:
    """The widget of a time machine: takes a person's moves and tells what is there."""

    def __init__(self, machine: TimeMachine) -> None:
        from eventlab.jupyter import widgets  # noqa: PLC0415 - anywidget may not be installed where there is no page

        self._machine = machine
        self._seq = 0
        self._moves: Newest[dict[str, Any]] = Newest(self._moved)
        self._comparisons: Newest[int] = Newest(self._compared)
        about = {
            "title": machine.subject.title,
            "zone": machine.subject.zone,
            "step": machine.valid.stepped,
            "forms": machine.subject.forms,
            "valid": _described(machine.valid, machine.zone, "Moment"),
            "known": _described(machine.known, machine.zone, "As known at", open_end=True) if machine.known else None,
        }
        self.widget: MachineWidget = widgets.MachineWidget(about=about, answer=self._answer(), picture=self._shown())
        self.widget.on_msg(self._heard)

    def tell(self, error: str = "") -> None:
        """Tell where the machine stands and what is there."""
        with self.widget.hold_sync():
            self.widget.picture = self._shown()
            self.widget.answer = self._answer(error)

    def _heard(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        """Take a message of the page."""
        if content.get("type") == "move":
            self._moves.put(content)

    def _moved(self, request: dict[str, Any]) -> None:
        """Go where the page asks, and tell what is there; what lies in between follows."""
        machine = self._machine
        error = ""
        try:
            machine.go(*self._place(request), form=request.get("form"), settled=bool(request.get("settled")))
        except Exception as raised:  # noqa: BLE001 - a person's function may raise anything; it is shown
            error = _said(raised)
        self._seq = int(request["seq"])
        self.tell(error)
        if not error:
            self._comparisons.put(self._seq)

    def _compared(self, seq: int) -> None:
        """Tell what lies between two stops, beside the moves: it takes longer than they do."""
        try:
            lying = self._machine.between()
        except Exception as raised:  # noqa: BLE001 - as above
            self.tell(_said(raised))
            return
        if seq == self._seq:
            self.widget.between = lying

    def _place(self, request: dict[str, Any]) -> tuple[int, int | None]:
        """Return the instants of a request: by number of a slider's moment, or as a person has written it."""
        machine, number = self._machine, request.get("known")
        known = None
        if machine.known is not None and number is not None and int(number) < len(machine.known.bounds) - 1:
            known = machine.known.bounds[int(number)]
        if "text" in request:
            return moments.instant(str(request["text"]), machine.zone), known
        return machine.valid.bounds[int(request["at"])], known

    def _shown(self) -> dict[str, Any]:
        drawn = self._machine.picture
        return {"kind": drawn.kind, "form": drawn.form, "data": drawn.data}

    def _answer(self, error: str = "") -> dict[str, Any]:
        machine, here = self._machine, self._machine.here
        known = machine.known
        moment = moments.moment_of(here.at, machine.zone)
        number = None
        if known is not None:
            number = len(known.bounds) - 1 if here.known is None else known.nearest(here.known)
        return {
            "seq": self._seq,
            "at": machine.valid.nearest(here.at),
            "known": number,
            "moment": written(here.at, machine.zone),
            "day": f"{moment:%A}, {machine.subject.zone}",
            "code": machine.code,
            "shown": machine.form,
            "error": error,
        }


def _described(track: Track, zone: dt.tzinfo, name: str, *, open_end: bool = False) -> dict[str, Any]:
    """Return a track for the page."""
    labels = [written(bound, zone) for bound in track.bounds]
    if open_end:
        labels[-1] = "now"
    return {"labels": labels, "counts": track.counts, "name": name, "from": labels[0], "to": labels[-1]}


def _said(error: Exception) -> str:
    message = error.message if isinstance(error, EventlabError) else str(error).strip()
    return f"{type(error).__name__}: {message}".rstrip(": ")[:2000]
