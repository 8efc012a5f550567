"""Where a live picture is shown: on the page of a notebook, or in a terminal a line at a time."""

from __future__ import annotations

import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from eventlab import moments

if TYPE_CHECKING:
    import datetime as dt

    from eventlab.jupyter.lives import Live
    from eventlab.jupyter.pictures import Picture
    from eventlab.jupyter.widgets import LiveWidget

_LEASE = 600.0  # seconds for which a page that was visible counts as such
_GRACE = 30.0  # seconds in which a page may say for the first time that it is there


@dataclass(frozen=True, slots=True)
class Status:
    """How complete a live picture is.

    Attributes
    ----------
    running, why
        Whether it follows the log; if not, what ended that.
    position, moment
        What had been recorded up to there, and by then, is in the picture. The moment is an instant.
    drawn
        When the picture was made, in seconds since 1970.
    delay
        Seconds to the next look.
    error
        Why the last refresh failed, if it did; the picture is the one before.
    refreshes
        How many there have been.
    """

    running: bool = True
    why: str = ""
    position: int = 0
    moment: int = 0
    drawn: float = 0.0
    delay: float = 0.0
    error: str = ""
    refreshes: int = 0


class Screen(Protocol):
    """Where a live picture is shown."""

    def show(self, picture: Picture, status: Status) -> None:
        """Show a picture."""

    def tell(self, status: Status) -> None:
        """Say how complete the picture is that is shown."""

    def watched(self) -> bool:
        """Tell whether anyone can see it."""


class Page:
    """The screen of a live picture in a notebook."""

    def __init__(self, live: Live, zone: dt.tzinfo) -> None:
        from eventlab.jupyter import widgets  # noqa: PLC0415 - anywidget may not be installed where there is no page

        self._live = weakref.ref(live)
        self._zone = zone
        self._began = time.monotonic()
        self._views: dict[str, float] = {}
        self._reported = False
        self.widget: LiveWidget = widgets.LiveWidget()
        self.widget.on_msg(self._heard)

    def show(self, picture: Picture, status: Status) -> None:
        """Show a picture."""
        with self.widget.hold_sync():
            self.widget.picture = {"kind": picture.kind, "form": picture.form, "data": picture.data}
            self.tell(status)

    def tell(self, status: Status) -> None:
        """Say how complete the picture is that is shown."""
        self.widget.status = {
            "running": status.running,
            "why": status.why,
            "position": status.position,
            "moment": clock(status.moment, self._zone),
            "drawn_at": int(status.drawn * 1000),
            "every": f"{status.delay:.3g} s",
            "error": status.error,
            "told_at": time.time(),
        }

    def watched(self) -> bool:
        """Tell whether a view is on a visible page; until one has said anything, for a while, yes."""
        now = time.monotonic()
        if not self._reported:
            return now - self._began < _GRACE
        return any(until > now for until in list(self._views.values()))

    def _heard(self, _widget: object, content: dict[str, Any], _buffers: object) -> None:
        """Take a message of the page."""
        live = self._live()
        if live is None:
            return
        match content.get("type"):
            case "watch":
                self._reported = True
                view = str(content.get("view"))
                self._views.pop(view, None)
                if content.get("visible"):
                    self._views[view] = time.monotonic() + _LEASE
                    live.nudge()
            case "stop":
                live.stop("by hand")
            case "start":
                live.start()
                live.nudge()
            case _:
                pass


class Lines:
    """The screen of a live picture where there is no page: a line of text whenever it changes."""

    def __init__(self, zone: dt.tzinfo) -> None:
        self._zone = zone
        self._error = ""

    def show(self, picture: Picture, status: Status) -> None:
        """Print a picture in a line."""
        self._error = ""
        print(f"{clock(status.moment, self._zone)}  position {status.position:,}: {picture.line}", flush=True)  # noqa: T201 - what it is for

    def tell(self, status: Status) -> None:
        """Print an error, once, and the end."""
        if status.error and status.error != self._error:
            print(f"{clock(moments.now(), self._zone)}  {status.error}", flush=True)  # noqa: T201 - what it is for
        if not status.running:
            print(f"stopped {status.why}".rstrip(), flush=True)  # noqa: T201 - what it is for
        self._error = status.error

    def watched(self) -> bool:
        """Tell whether anyone can see it: a terminal is always seen."""
        return True


class Still:
    """The screen of a live picture in a notebook that shows no widgets, or is only run to be exported: what was displayed stays."""

    def show(self, picture: Picture, status: Status) -> None:
        """Show nothing: lines of text would pile up in the notebook."""

    def tell(self, status: Status) -> None:
        """Tell nothing, as above."""

    def watched(self) -> bool:
        """Tell whether anyone can see it: whoever displays it again."""
        return True


def clock(instant: int, zone: dt.tzinfo, *, day: bool = False) -> str:
    """Return the clock time of an instant."""
    return moments.moment_of(instant, zone).strftime("%-d %b %Y, %H:%M:%S" if day else "%H:%M:%S")
