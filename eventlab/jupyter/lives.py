"""Live pictures: what a function says of a log, again whenever something new is recorded.

The work is done on a thread of its own, so that cells run meanwhile; a log may be shared by threads. One look at a time:
a look costs next to nothing while the log is as it was, and calls the function only when it is not. The pause between two
looks grows with what the last refresh cost.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from eventlab import moments
from eventlab.errors import EventlabError
from eventlab.jupyter import frontends, pictures
from eventlab.jupyter.screens import Lines, Page, Status, Still, clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventlab.jupyter.pictures import Picture
    from eventlab.jupyter.screens import Screen
    from eventlab.log import EventLog
    from eventlab.moments import Duration

_SHARE = 4  # a refresh takes at most one part in five of the time
_LONGEST = 60.0  # seconds between two looks, unless a person asks for more
_BEAT = 5.0  # seconds after which the page hears that nothing is new
_RETRY = 15.0  # seconds after which a function that failed is called again although nothing is new
_BYTES = 400_000  # a second that a page is sent; Jupyter drops what is more than 1 MB a second

_all: weakref.WeakSet[Live] = weakref.WeakSet()
_by_cell: dict[str, list[tuple[str, weakref.ref[Live]]]] = {}


class Live:
    """A picture of a log that follows it. Made by ``log.live``.

    It ends by ``.stop()``, when the kernel is interrupted, when the log is closed, when its cell is run again, and with the
    kernel; ``.start()`` has it follow again. ``.wait()`` keeps a script alive until it ends.
    """

    def __init__(self, log: EventLog, fn: Callable[[EventLog], object], *, every: Duration = "2s") -> None:
        self._log = log
        self._fn = fn
        self._every = moments.duration(every).total_seconds()
        self._zone = moments.zone(log.timezone)
        self._basis = ""
        self._next_try = 0.0
        self._told = self._cost = 0.0
        self._wake = threading.Event()
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None
        self._status = Status(delay=self._every)
        self.picture = self._refreshed()  # here, so that a function that cannot work says so in its cell
        self._screen = self._opened()
        self._screen.show(self.picture, self._status)
        _enrol(self)
        self.start()

    def _opened(self) -> Screen:
        """Return the screen for where the code runs."""
        if frontends.shows_widgets():
            return Page(self, self._zone)
        return Lines(self._zone) if frontends.shell() is None else Still()

    @property
    def status(self) -> Status:
        """How complete the picture is, and whether it still follows the log."""
        return self._status

    def start(self) -> None:
        """Follow the log; nothing happens if it does so already."""
        with self._turn:
            if self._thread is not None and self._status.running:
                return
            self._status = replace(self._status, running=True, why="")
            self._wake = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._wake,), name="eventlab-live", daemon=True)
            self._thread.start()

    def stop(self, why: str = "") -> None:
        """Follow the log no longer; the picture stays. A refresh that is under way is not waited for."""
        with self._turn:
            if not self._status.running:
                return
            self._status = replace(self._status, running=False, why=why)
        self._wake.set()
        self._screen.tell(self._status)

    def wait(self) -> None:
        """Wait until it is stopped; an interrupt stops it."""
        try:
            while self._thread is not None and self._thread.is_alive():
                self._thread.join(0.2)
        except KeyboardInterrupt:
            self.stop("by an interrupt")

    def nudge(self) -> None:
        """Look at once, as someone has begun to watch."""
        self._wake.set()

    def __repr__(self) -> str:
        state = "live" if self._status.running else "stopped"
        moment = clock(self._status.moment, self._zone)
        return f"<Live {state}: {self.picture.line}, complete to position {self._status.position:,} at {moment}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:  # noqa: ANN401 - IPython's
        caption = f"as of position {self._status.position:,}, {clock(self._status.moment, self._zone, day=True)}"
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": pictures.static(self.picture, caption=caption)}
        if isinstance(self._screen, Page):
            bundle |= self._screen.widget.bundle()
        return bundle

    def _run(self, wake: threading.Event) -> None:
        """Look again and again until it is stopped; ``wake`` is of this run alone."""
        while wake is self._wake and self._status.running:
            if wake.wait(self._status.delay):
                wake.clear()
            if wake is self._wake and self._status.running and self._screen.watched():
                self._look()

    def _look(self) -> None:
        """Refresh the picture if there is anything new, and say so if there has been nothing for a while."""
        if self._log.closed:
            self.stop("as the log was closed")
            return
        began = time.monotonic()
        try:
            basis, moment = self._log.at().basis, moments.now()
            if basis == self._basis and not (self._status.error and began >= self._next_try):
                if not self._status.error:
                    self._note(moment=moment)
                if began - self._told >= _BEAT:
                    self._tell()
                return
            self.picture = self._refreshed()
        except Exception as error:  # noqa: BLE001 - a person's function may raise anything; it is shown with the picture
            self._failed(error, time.monotonic() - began)
            return
        if self._status.running:
            self._screen.show(self.picture, self._status)
            self._told = time.monotonic()

    def _refreshed(self) -> Picture:
        """Return the picture as of now, and note what it rests on."""
        began = time.monotonic()
        moment, view = moments.now(), self._log.at()
        drawn = pictures.picture(self._fn(self._log), zone=self._zone)
        self._basis = view.basis
        self._note(
            position=view.position,
            moment=moment,
            drawn=time.time(),
            delay=self._pause(max(time.monotonic() - began, drawn.size / _BYTES / _SHARE)),
            error="",
            refreshes=self._status.refreshes + 1,
        )
        return drawn

    def _failed(self, error: Exception, cost: float) -> None:
        """Say that a refresh failed; the picture stays. The error is kept as text, as it would keep the frames alive."""
        with contextlib.suppress(EventlabError, OSError):
            self._basis = self._log.at().basis
        message = error.message if isinstance(error, EventlabError) else str(error).strip()
        self._note(error=f"{type(error).__name__}: {message}".rstrip(": ")[:2000], delay=self._pause(cost))
        self._next_try = time.monotonic() + _RETRY
        self._tell()

    def _note(self, **changes: Any) -> None:  # noqa: ANN401 - of the status
        """Change the status; another thread may have stopped it meanwhile, which stays."""
        with self._turn:
            self._status = replace(self._status, **changes)

    def _tell(self) -> None:
        if self._status.running:
            self._screen.tell(self._status)
            self._told = time.monotonic()

    def _pause(self, cost: float) -> float:
        """Return the seconds to the next look by what the last two refreshes cost: the first one imports, too."""
        lasting, self._cost = min(self._cost, cost), cost
        return max(self._every, min(_SHARE * lasting, _LONGEST))


def _enrol(live: Live) -> None:
    """Have interrupts stop a live picture, and stop those that earlier runs of its cell made."""
    _all.add(live)
    frontends.on_interrupt(_interrupted)
    where = frontends.cell()
    if where is None:
        return
    name, run = where
    before = _by_cell.get(name, [])
    for earlier, made in before:
        if earlier != run and (old := made()) is not None:
            old.stop("as its cell was run again")
    _by_cell[name] = [(earlier, made) for earlier, made in before if earlier == run] + [(run, weakref.ref(live))]


def _interrupted() -> None:
    for live in list(_all):
        live.stop("by an interrupt")


@atexit.register
def _ending() -> None:
    """Stop looking before the interpreter goes away under the threads."""
    for live in list(_all):
        live._wake.set()  # noqa: SLF001 - the two are one
        live._status = replace(live._status, running=False)  # noqa: SLF001 - as above
    for live in list(_all):
        if live._thread is not None:  # noqa: SLF001 - as above
            live._thread.join(2.0)  # noqa: SLF001 - as above
