"""Executions: a report's source, run once on a log that is pinned to a moment."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from eventlab.errors import InvalidArgument, ReportError
from eventlab.reports.execution import notebooks

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from pathlib import Path

    from eventlab.reports.execution.sources import Source
    from eventlab.reports.figures import Figure, Value


_NOTHING = object()


class Cancelled(ReportError):  # noqa: N818 - named as its kin are
    """A report that was ended from outside before it was made: it has not failed, and may be run again."""

    code = "cancelled"


@dataclass(frozen=True, slots=True)
class Pin:
    """The moment of a log on which a report is run: the store's folder, the token of a basis, and the log's time zone."""

    store: Path
    basis: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a report could not be made.

    Attributes
    ----------
    kind
        ``error``: a cell or the function raised one; ``timeout``: it took too long; ``dead``: its process ended;
        ``invalid``: it cannot even be read.
    message
        In a line.
    traceback
        As plain text; empty if there is none.
    cell
        Which of the notebook's code cells it was, from 1, as Jupyter counts them; None of a function.
    code
        Of that cell.
    """

    kind: Literal["error", "timeout", "dead", "invalid"]
    message: str
    traceback: str = ""
    cell: int | None = None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A part of a report that was run.

    Attributes
    ----------
    kind
        Markdown that is written, or code that was run.
    text
        The Markdown or the code.
    outputs
        What the code showed, as nbformat has it: ``output_type`` and ``data``, ``metadata``, or ``text``.
    hidden
        Whether it is not shown to readers: it only prepares what is.
    """

    kind: Literal["markdown", "code"]
    text: str
    outputs: list[dict[str, Any]] = field(default_factory=list)
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of running a report.

    Attributes
    ----------
    cells
        In order, up to and with the one that failed.
    figures
        That were declared.
    seconds
        That it took.
    failure
        Why it is not whole; None if it is.
    notebook
        The executed notebook as nbformat has it, also of one that failed; None of a function.
    """

    cells: list[Cell]
    figures: list[Figure]
    seconds: float
    failure: Failure | None = None
    notebook: dict[str, Any] | None = None


def execute(
    source: Source,
    pin: Pin,
    params: Mapping[str, Value],
    *,
    timeout: dt.timedelta | None = None,
    cancelled: threading.Event | None = None,
) -> Execution:
    """Run a report; how it fails is told by ``.failure``, not raised.

    A notebook runs in a process of its own, in the notebook's folder, with ``log`` pinned; a function runs in this process. Several
    may run at once, on threads; also from within a notebook.

    Parameters
    ----------
    source
        The notebook or the function.
    pin
        The moment of the log.
    params
        The values of all parameters, as ``sources.parameters`` returns them.
    timeout
        For the whole run. A notebook's cell is interrupted then, and its process killed if it does not listen. A function
        is interrupted where it is in Python; if it does not return, its thread is left behind.
    cancelled
        Ends the run when it is set, within about a tenth of a second.

    Raises
    ------
    Cancelled
        If it was.
    """
    started = time.perf_counter()
    deadline = None if timeout is None else time.monotonic() + timeout.total_seconds()
    try:
        if source.function is not None:
            from eventlab.reports.execution import functions  # noqa: PLC0415 - either is needed, not both

            made = functions.run(source.function, pin, params, deadline, cancelled)
        else:
            made = _notebook(source, pin, params, deadline, cancelled)
    except Cancelled:
        raise Cancelled(f"the run of {source.place} was cancelled", hint="Run it again.") from None
    failure = made.failure
    if failure is not None and failure.kind == "timeout" and timeout is not None:
        failure = replace(failure, message=f"{failure.message}: {timeout.total_seconds():g} s")
    return replace(made, failure=failure, seconds=time.perf_counter() - started)


def _notebook(
    source: Source, pin: Pin, params: Mapping[str, Value], deadline: float | None, cancelled: threading.Event | None
) -> Execution:
    """Run a notebook, on a thread of its own: the caller may have an event loop, as in a notebook."""
    if source.path is None:  # pragma: no cover - a source is one or the other
        raise ReportError(f"{source.place} is neither a notebook nor a function")
    try:
        content = source.path.read_bytes()
        notebook = notebooks.read(content)
        notebooks.defaults(notebook)
    except OSError as error:
        return _invalid(f"{source.place} cannot be read: {error.strerror}")
    except InvalidArgument as error:
        return _invalid(f"{source.place}: {error.message}", error.hint)
    from eventlab.reports.execution import performances, processes  # noqa: PLC0415 - brings Jupyter

    ended = threading.Event()
    watch = processes.Watch(deadline, lambda: ended.is_set() or (cancelled is not None and cancelled.is_set()))
    values = {name: value for name, value in params.items() if not _same(source.defaults.get(name, _NOTHING), value)}
    with ThreadPoolExecutor(1, "eventlab-report") as pool:
        future = pool.submit(performances.perform, content, notebook, values, pin, source.path.absolute().parent, watch)
        try:
            made = future.result()
        except processes.Ended:
            raise Cancelled("the run was cancelled") from None
        except BaseException:
            ended.set()
            raise
    return Execution(made.cells, made.figures, 0.0, made.failure, made.notebook)


def _invalid(message: str, hint: str = "") -> Execution:
    return Execution([], [], 0.0, Failure("invalid", message, hint))


def _same(default: object, value: object) -> bool:
    """Tell whether a value is a parameter's default: ``True`` is not 1."""
    return type(default) is type(value) and default == value
