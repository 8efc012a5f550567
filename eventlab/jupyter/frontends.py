"""Where the code runs: in a notebook that shows widgets, in one that does not, or in a terminal; and its interrupts."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_interrupted: list[Callable[[], None]] = []


def shell() -> Any:  # noqa: ANN401 - IPython's, which is loaded where there is one
    """Return the IPython shell of a kernel; None in a terminal or a script."""
    ipython = sys.modules.get("IPython")
    found = ipython.get_ipython() if ipython is not None else None
    return found if getattr(found, "kernel", None) is not None else None


def cell() -> tuple[str, str] | None:
    """Return the id of the cell that runs and of its run; None if the front end does not tell, as nbclient does not."""
    found = shell()
    parent: dict[str, Any] = (found.kernel.get_parent() if found is not None else None) or {}
    name = parent.get("metadata", {}).get("cellId")
    return (str(name), str(parent["header"]["msg_id"])) if name else None


def shows_widgets() -> bool:
    """Tell whether a person's notebook is at the other end, and what widgets need is installed.

    What runs a notebook to export it (nbclient) would keep widgets that no page can show without a network; it gives no cell
    ids, as notebooks do.
    """
    return cell() is not None and importlib.util.find_spec("anywidget") is not None


def on_interrupt(called: Callable[[], None]) -> None:
    """Call a function whenever a person interrupts the kernel: while a cell runs, and while none does."""
    found = shell()
    if found is None or called in _interrupted:
        return
    if not _interrupted:
        found.events.register("post_run_cell", _after_cell)
        with contextlib.suppress(RuntimeError):  # no loop runs in this thread
            # ipykernel puts its own handler back when a cell ends: ours must come after that
            asyncio.get_running_loop().call_later(0.2, _handle)
    _interrupted.append(called)


def _handle() -> None:
    """Take interrupts of an idle kernel, which ipykernel ignores."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, lambda *_: _interrupt())


def _after_cell(result: Any) -> None:  # noqa: ANN401 - IPython's
    if isinstance(result.error_in_exec, KeyboardInterrupt):
        _interrupt()


def _interrupt() -> None:
    for called in tuple(_interrupted):
        called()
