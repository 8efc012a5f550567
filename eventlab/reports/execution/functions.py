"""Functions as reports: called with the pinned log; what they return or yield is what the report shows."""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import linecache
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventlab import moments
from eventlab.log import open_log
from eventlab.reports import figures
from eventlab.reports.execution import outputs
from eventlab.reports.execution.executions import Cancelled, Cell, Execution, Failure
from eventlab.reports.figures import Figure

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from eventlab.reports.execution.executions import Pin
    from eventlab.reports.figures import Value

_BEAT = 0.05  # seconds between two looks at the clock
_LAST = 1.0  # seconds for a function that is interrupted
_MESSAGE = 1_000  # characters of an error that are one line


class _Stopped(BaseException):
    """Raised within a function whose time is over; ``except Exception`` does not catch it."""


@dataclass(slots=True)
class _Call:
    """A function on its way."""

    function: Callable[..., object]
    pin: Pin
    values: Mapping[str, Value]
    cells: list[Cell] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)
    declared: list[Figure] = field(default_factory=list)
    failure: Failure | None = None
    error: BaseException | None = None

    def run(self) -> None:
        """Call the function and show what it gives; an error of it is noted."""
        try:
            with open_log(self.pin.store, read_only=True) as log, figures.collecting() as self.declared:
                self._show(self.function(log.at(self.pin.basis), **self.values), moments.zone(log.timezone))
        except _Stopped:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it may raise anything, which is its failure
            self.failure = _failure(error, self.function)
        except BaseException as error:  # noqa: BLE001 - an interrupt is the caller's
            self.error = error

    def execution(self, failure: Failure | None) -> Execution:
        """Return what came of it: the code and the figures that are nowhere else come first."""
        first = [_display(*outputs.shown(one, None)) for one in self.declared if one.name not in self.shown]
        return Execution([Cell("code", _text(self.function), first), *self.cells], list(self.declared), 0.0, failure)

    def _show(self, given: object, zone: dt.tzinfo) -> None:
        """Note what the function returns, or each of what it yields."""
        several = isinstance(given, (list, tuple, Iterator)) and not outputs.are_rows(given)
        for value in given if several else [given]:  # type: ignore[attr-defined]
            if value is None:
                continue
            if isinstance(value, str):
                self.cells.append(Cell("markdown", inspect.cleandoc(value)))
                continue
            if isinstance(value, Figure):
                self.shown.add(value.name)
            self.cells.append(Cell("code", "", [_display(*outputs.shown(value, zone))]))


def run(
    function: Callable[..., object],
    pin: Pin,
    values: Mapping[str, Value],
    deadline: float | None,
    cancelled: threading.Event | None,
) -> Execution:
    """Call a function with the pinned log.

    Parameters
    ----------
    function
        Takes the log and its parameters; what it returns or yields is shown: Markdown as text, charts, Results, frames, figures,
        numbers. Of a list or a tuple, each part.
    pin
        The moment of the log.
    values
        Of the parameters.
    deadline
        A moment of the monotonic clock.
    cancelled
        Ends the run.

    Raises
    ------
    Cancelled
        If it was.
    """
    call = _Call(function, pin, values)
    if deadline is None and cancelled is None:
        call.run()
        late = False
    else:
        late = _bounded(call, deadline, cancelled)
    if call.error is not None:
        raise call.error
    return call.execution(Failure("timeout", "it took longer than it may") if late else call.failure)


class _Worker(threading.Thread):
    """Calls a function, and can be stopped where that is in Python; what it calls outside of Python is not ended."""

    def __init__(self, call: _Call) -> None:
        super().__init__(name="eventlab-report", daemon=True)
        self._call = call
        self._begun = threading.Event()
        self._turn = threading.Lock()
        self._over = False

    def run(self) -> None:
        """Call it."""
        with contextlib.suppress(_Stopped):
            self._begun.set()
            self._call.run()
            with self._turn:
                self._over = True

    def stop(self) -> None:
        """Interrupt it, unless it is over, and give it a moment to end."""
        self._begun.wait()
        with self._turn:
            if not self._over and self.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(_Stopped))
        self.join(_LAST)


def _bounded(call: _Call, deadline: float | None, cancelled: threading.Event | None) -> bool:
    """Call a function on a thread, and return whether its time was over."""
    worker = _Worker(call)
    worker.start()
    try:
        while worker.is_alive():
            worker.join(_BEAT)
            if not worker.is_alive():
                break
            if cancelled is not None and cancelled.is_set():
                worker.stop()
                raise Cancelled("the run was cancelled")
            if deadline is not None and time.monotonic() > deadline:
                worker.stop()
                return True
    except KeyboardInterrupt:
        worker.stop()
        raise
    return False


def _display(data: dict[str, Any], metadata: dict[str, Any]) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def _failure(error: BaseException, function: Callable[..., object]) -> Failure:
    """Return the failure of an error, with its traceback from the function on, and the line of it."""
    file = getattr(getattr(inspect.unwrap(function), "__code__", None), "co_filename", None)
    place: TracebackType | None = error.__traceback__
    while place is not None and place.tb_frame.f_code.co_filename != file:
        place = place.tb_next
    lines = traceback.format_exception(type(error), error, place or error.__traceback__)
    message = " ".join(f"{type(error).__name__}: {error}".split())
    code = linecache.getline(str(file), place.tb_lineno).strip() if place is not None else ""
    return Failure(
        "error", message if len(message) <= _MESSAGE else f"{message[:_MESSAGE]}…", "".join(lines), None, code
    )


def _text(function: Callable[..., object]) -> str:
    """Return the code of a function; empty if it was typed into a prompt."""
    try:
        return inspect.cleandoc(inspect.getsource(inspect.unwrap(function)))
    except (OSError, TypeError):
        return ""
