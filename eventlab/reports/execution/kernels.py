"""Kernels: what runs inside the one of a report. It begins by pinning the log, and ends by telling the figures."""

from __future__ import annotations

import atexit
import faulthandler
import os
import signal
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.compilerop import CachingCompiler
from IPython.core.formatters import DisplayFormatter
from IPython.core.getipython import get_ipython
from IPython.display import display

from eventlab import moments, queries
from eventlab.errors import ReportError
from eventlab.log import open_log
from eventlab.reports import figures

if TYPE_CHECKING:
    import datetime as dt

    from IPython.core.interactiveshell import InteractiveShell

    from eventlab.log import EventLog, LogView

_DEATH = 1  # PR_SET_PDEATHSIG of Linux's prctl
_LIGHT = (type(None), bool, int, float, str, figures.Figure)  # which are neither charts nor tables

_open: list[EventLog] = []


class Formatter(DisplayFormatter):
    """Shows charts and tables as data, and the rest as IPython does, less what differs from one run to the next."""

    zone: dt.tzinfo | None = None

    def format(self, obj: Any, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401 - IPython's
        """Return an object as data and metadata by MIME type."""
        if isinstance(obj, _LIGHT):
            return self._usual(obj, include, exclude)
        from eventlab.reports.execution import outputs  # noqa: PLC0415 - brings Polars, which a report may not need

        made = outputs.bundle(obj, self.zone)
        if made is not None:
            return made
        data, metadata = self._usual(obj, include, exclude)
        return outputs.steady(data), metadata

    def _usual(self, obj: Any, include: Any, exclude: Any) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401 - as above
        made: tuple[dict[str, Any], dict[str, Any]] = super().format(obj, include, exclude)  # type: ignore[no-untyped-call]
        return made


class Compiler(CachingCompiler):
    """Names the code of a cell by its number: in ipykernel's names for it is the process, which a warning would tell."""

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:  # noqa: ARG002 - IPython's
        """Return the name of a cell's code, which stands where a file's would."""
        return f"cell {number}"


def begin(store: str, basis: str) -> LogView:
    """Prepare the kernel, and return the log as of a basis: the first, hidden cell of a report."""
    shell = get_ipython()
    if shell is None:  # pragma: no cover - a kernel has one
        raise ReportError("a report's kernel is begun within IPython")
    _prepare_to_die()
    log = open_log(Path(store), read_only=True)
    _open[:] = [log]
    _spill(log)
    prepare(shell, moments.zone(log.timezone))
    return log.at(basis)


def end() -> None:
    """Show the figures once more, as a cell may have cleared its outputs, and close the log: the last, hidden cell."""
    for figure in figures._of_kernel[0]:  # noqa: SLF001 - the two are one
        display(figure)  # type: ignore[no-untyped-call]
    while _open:
        _open.pop().close()


def prepare(shell: InteractiveShell, zone: dt.tzinfo) -> None:
    """Have a shell show, name and end things as a report needs it."""
    formatter = Formatter(parent=shell)
    formatter.zone = zone
    shell.display_formatter = formatter
    shell.compile = Compiler()  # type: ignore[no-untyped-call]
    warnings.filterwarnings("ignore", "To exit:")  # said of every SystemExit, to people at a prompt
    leave = sys.exit  # IPython's would end the kernel after the cell, and call that a success
    shell.user_ns["exit"] = shell.user_ns["quit"] = leave
    figures.collect_from_here()


def _spill(log: EventLog) -> None:
    """Have queries spill into the kernel's own temporary folder: DuckDB would into the notebook's, and leave it there if killed."""
    place = queries.literal(tempfile.gettempdir())
    log._session._connection.execute(f"set global temp_directory = {place}")  # noqa: SLF001 - a setting that no one else needs


def _prepare_to_die() -> None:
    """Have this process end with the one that started it, also while it is busy outside of Python, and tell where it crashes.

    ipykernel looks for its parent once a second, in Python; and what it says in a crash goes to a pipe of its own.
    """
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415 - loaded already, in a kernel

    said = Path(os.environ["EVENTLAB_KERNEL_SAID"]).open("a", encoding="utf-8")  # noqa: SIM115 - open until it ends
    faulthandler.enable(said, all_threads=False)
    closing = IPKernelApp.instance().close  # in which it waits for ever at times; the process ends all the same
    atexit.unregister(closing)
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - here alone

        ctypes.CDLL(None, use_errno=True).prctl(_DEATH, signal.SIGKILL)
        if os.getppid() != int(os.environ["JPY_PARENT_PID"]):
            os._exit(1)
