"""The time machine: a state, or any picture of a log, at a moment that a person chooses on a slider, on both clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlab import moments
from eventlab.errors import InvalidArgument
from eventlab.jupyter import changes, frontends, pictures, subjects, tracks
from eventlab.jupyter.changes import told, written
from eventlab.jupyter.consoles import Console

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from eventlab.jupyter.changes import Stop
    from eventlab.jupyter.pictures import Picture
    from eventlab.jupyter.subjects import Subject
    from eventlab.jupyter.tracks import Track
    from eventlab.log import EventLog, LogView
    from eventlab.moments import Duration, Instant
    from eventlab.states import State

_KEPT = 64  # pictures that are kept of moments where the machine has been


class TimeMachine:
    """A log through time: ``fn(view)`` at any moment, with what changed and what happened since the last stop.

    In a notebook it is a widget with a slider; ``move`` does the same in code. ``fn`` runs on a thread of its own.

    Parameters
    ----------
    log
        The log.
    fn
        Takes the log as of the moment, a ``LogView``; returns a chart, a Result, a relation, a frame, a number or text.
    since, until
        Where the slider begins and ends; the first and the last event by themselves.
    step
        How far the slider's moments lie apart, like ``"15m"``; by itself, at most 400 steps.
    at
        Where it stands first; at the end by itself.

    Examples
    --------
    >>> import tempfile, eventlab as el
    >>> log = el.open(tempfile.mkdtemp(), create=True)
    >>> for day in (1, 2, 3):
    ...     _ = log.append("till-1", el.Event("Sale", occurred_at=f"2026-01-0{day}"))
    >>> machine = el.TimeMachine(log, lambda view: len(list(view.read())))
    >>> machine.move("2026-01-02")
    <TimeMachine at 2026-01-02: 2>
    """

    def __init__(
        self,
        log: EventLog,
        fn: Callable[[LogView], object],
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        step: Duration | None = None,
        at: Instant | None = None,
    ) -> None:
        if not hasattr(log, "at") or not callable(fn):
            raise InvalidArgument(
                "a time machine takes a log and a function of a view",
                hint='el.TimeMachine(log, lambda view: view.sql("from events")).',
            )
        self._begin(subjects.of_log(log, fn), since=since, until=until, step=step, at=at)

    @classmethod
    def of_state(cls, state: State, fn: Callable[[Any], object] | None = None, **options: Any) -> TimeMachine:  # noqa: ANN401 - those of the class
        """Return the time machine of a state; ``fn`` takes its Result at the moment."""
        machine = cls.__new__(cls)
        given: dict[str, Any] = {**dict.fromkeys(("since", "until", "step", "at")), **options}
        machine._begin(subjects.of_state(state, fn), **given)  # noqa: SLF001 - its own
        return machine

    def _begin(
        self,
        subject: Subject,
        *,
        since: Instant | None,
        until: Instant | None,
        step: Duration | None,
        at: Instant | None,
    ) -> None:
        zone = moments.zone(subject.zone)
        valid = tracks.track(subject.source, "occurred_at", zone, since=since, until=until, step=step)
        if valid is None:
            raise InvalidArgument("there is no time to travel: the log has no events", hint="Append some first.")
        self.subject, self.zone = subject, zone
        self.valid, self.known = valid, _worthwhile(tracks.track(subject.source, "recorded_at", zone))
        self.form = subject.forms[0]
        self.here = self.stop = subject.stop(valid.bounds[-1] if at is None else moments.instant(at, zone), None)
        self.since: Stop | None = None
        self._pictures: dict[tuple[str, str], Picture] = {}
        self._picture = self._pictured(self.here)
        self._console: Console | None = None

    @property
    def at(self) -> dt.datetime:
        """The moment at which it stands, in valid time."""
        return moments.moment_of(self.here.at, self.zone)

    @property
    def known_at(self) -> dt.datetime | None:
        """The moment at which it stands in system time; None: with all that is recorded."""
        known = self.here.known
        return None if known is None else moments.moment_of(known, self.zone)

    @property
    def picture(self) -> Picture:
        """What is there."""
        return self._picture

    @property
    def code(self) -> str:
        """The code that gives the same."""
        arguments = f'"{written(self.here.at, self.zone)}"'
        if self.here.known is not None:
            arguments += f', known_at="{written(self.here.known, self.zone)}"'
        return self.subject.code.format(arguments)

    def move(self, at: Instant, *, known_at: Instant | None = None) -> TimeMachine:
        """Go to a moment, and return the machine."""
        known = None if known_at is None else moments.instant(known_at, self.zone)
        self.go(moments.instant(at, self.zone), known, settled=True)
        if self._console is not None:
            self._console.tell()
        return self

    def go(self, at: int, known: int | None, *, form: str | None = None, settled: bool) -> None:
        """Go to two instants; ``settled``: what changes from here on is told since here."""
        form = form if form in self.subject.forms else self.form
        here = self.subject.stop(at, known)
        self._picture = self._pictured(here, form)
        self.here, self.form = here, form
        if here != self.stop:
            self.since = self.stop
        if settled:
            self.stop = here

    def between(self) -> dict[str, Any]:
        """Return what lies between the last stop and where the machine stands: what changed, and the events."""
        if self.since is None:
            return {}
        subject, since, here = self.subject, self.since, self.here
        changed = subject.changed(since, here) if subject.changed else self._compared(since)
        lying = changes.events(subject.source, since, here, self.zone)
        return {"since": told(since, here, self.zone), "changes": changed, "events": lying}

    def _compared(self, since: Stop) -> dict[str, Any] | None:
        return changes.shown(self._pictured(since), self._picture)

    def __repr__(self) -> str:
        return f"<TimeMachine at {written(self.here.at, self.zone)}: {self._picture.line}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:  # noqa: ANN401 - IPython's
        caption = f"{self.subject.title} at {written(self.here.at, self.zone)} · {self.code}"
        bundle: dict[str, Any] = {
            "text/plain": repr(self),
            "text/html": pictures.static(self._picture, caption=caption),
        }
        if frontends.shows_widgets():
            self._console = self._console or Console(self)
            bundle |= self._console.widget.bundle()
        return bundle

    def _pictured(self, stop: Stop, form: str | None = None) -> Picture:
        """Return the picture of a stop, which may be one that is kept: a basis has the same rows for ever."""
        key = (stop.basis, form or self.form)
        drawn = self._pictures.pop(key, None)
        if drawn is None:
            drawn = pictures.picture(self.subject.show(stop, key[1]), zone=self.zone)
        self._pictures[key] = drawn
        if len(self._pictures) > _KEPT:
            del self._pictures[next(iter(self._pictures))]
        return drawn


def _worthwhile(track: Track | None) -> Track | None:
    """Return the track of system time if it tells anything: what was loaded at once was known at once."""
    return track if track is not None and sum(1 for count in track.counts if count) > 1 else None
