"""Processes: a kernel of this interpreter that runs a report, is watched meanwhile, and is gone when the run is over.

It is ipykernel's, started without an installed kernel spec, in a temporary folder of its own (settings, sockets, temporary files).
nbclient gathers the outputs; starting, watching and ending are here, as they must work on any thread and end in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
    from nbclient import NotebookClient
    from nbformat import NotebookNode

SAID = "EVENTLAB_KERNEL_SAID"  # the variable of the environment with the file for what the process says as it dies
_OPTIONS = ("--HistoryManager.enabled=False", "--InteractiveShell.colors=nocolor", "--log-level=50")
_BEAT = 0.05  # seconds between two looks at the clock and the process
_START = 120.0  # seconds in which a kernel must be there, on a machine that has much else to do
_LAST = (
    1.0  # seconds for what was asked to end: for the traceback of an interrupt, for closing files, for the last outputs
)
_PATH = 90  # bytes of a folder's path beyond which a socket in it would have too long a name
_SAID = 4_000  # characters of a dead kernel's own output that are kept


class Late(Exception):  # noqa: N818 - an outcome
    """The time is over. ``traceback`` is where the cell was, if it could be interrupted."""

    traceback = ""


class Raised(Exception):  # noqa: N818 - an outcome
    """A cell raised an error: its name, what it says, and the traceback."""

    def __init__(self, name: str, told: str, traceback: str) -> None:
        super().__init__(f"{name}: {told}")
        self.name, self.told, self.traceback = name, told, traceback


class Ended(Exception):  # noqa: N818 - an outcome
    """The run was cancelled."""


class Died(Exception):  # noqa: N818 - an outcome
    """The process has ended; ``said`` is what it wrote last, as a fault handler does."""

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


@dataclass(frozen=True, slots=True)
class Watch:
    """What ends a run early: a moment of the monotonic clock, or being cancelled."""

    deadline: float | None
    cancelled: Callable[[], bool]

    def check(self) -> None:
        """Raise if the run is to end."""
        if self.cancelled():
            raise Ended
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise Late


@dataclass(slots=True)
class Kernel:
    """A kernel that runs, with the client that gathers what its cells show."""

    client: NotebookClient
    channels: Any
    provisioner: KernelProvisionerBase
    said: Path
    watch: Watch
    _ended: bool = field(default=False)

    def take(self, cells: list[dict[str, Any]]) -> list[NotebookNode]:
        """Take the cells of a notebook, and return them as those into which the outputs are written."""
        from nbformat import from_dict  # noqa: PLC0415 - loaded by now

        self.client.nb = from_dict({"cells": cells, "metadata": {}})  # type: ignore[no-untyped-call]
        taken: list[NotebookNode] = self.client.nb.cells
        return taken

    async def run(self, cell: NotebookNode, index: int, *, counted: bool) -> None:
        """Run a cell that was taken; ``counted``: as a person would, so that it has the next number.

        Raises
        ------
        Raised, Late, Ended, Died
            If it fails, in whichever way.
        """
        from nbclient.exceptions import CellExecutionError  # noqa: PLC0415 - loaded by now

        try:
            await self._watched(self.client.async_execute_cell(cell, index, store_history=counted))
        except CellExecutionError as error:
            raise Raised(error.ename, error.evalue, _traceback(cell)) from None
        except Late as late:
            late.traceback = _traceback(cell)
            raise

    async def close(self) -> None:
        """End the process: as it wants to for a moment, so that files are closed, then in any case."""
        if await self.provisioner.poll() is None and not self._ended:
            self.channels.shutdown()
            await self._gone(_LAST)
        await self.kill()

    async def kill(self) -> None:
        """End the process and its children at once."""
        self._ended = True
        with contextlib.suppress(ProcessLookupError):
            await self.provisioner.kill()
        await self._gone(_START)

    async def ready(self) -> None:
        """Wait until the kernel's messages are heard: none of them may be missed."""
        await self._watched(self._heard())

    async def _heard(self) -> None:
        patience = time.monotonic() + _START
        while True:
            try:
                await self.channels.iopub_channel.get_msg(timeout=1)
            except Empty:
                if time.monotonic() > patience:
                    raise Died(f"the kernel did not start within {_START:g} s", self._tail()) from None
            else:
                return

    async def _watched(self, work: Coroutine[Any, Any, object]) -> None:
        """Do a piece of work, unless the run is to end or the process does."""
        from nbclient.exceptions import CellExecutionError, DeadKernelError  # noqa: PLC0415 - loaded by now

        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=_BEAT))[0]:
                self.watch.check()
                status = await self.provisioner.poll()
                if status is not None:
                    await asyncio.wait({task}, timeout=_LAST / 4)  # what it said last may be on its way
                    raise Died(_how(status), self._tail())
            task.result()
        except DeadKernelError:
            raise Died(_how(await self.provisioner.poll()), self._tail()) from None
        except Late:
            await self._interrupted(task)
            raise
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, CellExecutionError, DeadKernelError):
                await task

    async def _interrupted(self, task: asyncio.Task[object]) -> None:
        """Interrupt a cell, so that it says where it was; it may not listen."""
        with contextlib.suppress(ProcessLookupError):
            await self.provisioner.send_signal(signal.SIGINT)
        await asyncio.wait({task}, timeout=_LAST)

    async def _gone(self, seconds: float) -> None:
        """Wait until the process has ended, for so long at most."""
        patience = time.monotonic() + seconds
        while await self.provisioner.poll() is None and time.monotonic() < patience:  # noqa: ASYNC110 - a process sets no event
            await asyncio.sleep(_BEAT / 5)

    def _tail(self) -> str:
        """Return what the process itself wrote last."""
        return self.said.read_text(encoding="utf-8", errors="replace")[-_SAID:].strip()


@contextlib.asynccontextmanager
async def kernel(folder: Path, watch: Watch) -> AsyncIterator[Kernel]:
    """Yield a kernel that runs in a folder; it is gone afterwards.

    Raises
    ------
    Late, Ended, Died
        If it cannot be started in time.
    """
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="eventlab-report-", ignore_cleanup_errors=True)
            )
            manager, provisioner = await _started(Path(made), folder)
        except OSError as error:
            raise Died(f"the kernel could not be started: {error}") from None
        from nbclient import NotebookClient  # noqa: PLC0415 - takes a while, in which the kernel starts
        from nbformat import NotebookNode  # noqa: PLC0415 - as above

        client = NotebookClient(
            NotebookNode(),  # type: ignore[no-untyped-call]
            km=manager,
            timeout=None,
            iopub_timeout=int(_START),
            raise_on_iopub_timeout=True,
            record_timing=False,
        )
        client.log = _LOGGER  # its own would write to the standard error what is told here
        channels: Any = manager.client()
        channels.allow_stdin = False
        client.kc = channels
        running = Kernel(client, channels, provisioner, Path(made) / "said", watch)
        try:
            channels.start_channels(hb=False, stdin=False)
            await running.ready()
            yield running
        except BaseException:
            await running.kill()
            raise
        finally:
            await running.close()
            channels.stop_channels()
            await provisioner.wait()
            await manager.cleanup_resources()


async def _started(home: Path, folder: Path) -> tuple[AsyncKernelManager, KernelProvisionerBase]:
    """Start a kernel in a folder, with a home of its own, and return its manager and what holds its process."""
    manager = AsyncKernelManager(
        kernel_spec_manager=_Here(), connection_file=str(home / "kernel.json"), **_transport(home)
    )
    with (home / "said").open("wb") as said:
        await manager.start_kernel(env=_environment(home), cwd=str(folder), stdout=said, stderr=said)
    if manager.provisioner is None:  # pragma: no cover - of a kernel that was started
        raise Died("the kernel could not be started")
    return manager, manager.provisioner


class _Here(KernelSpecManager):
    """Knows one kernel: that of this interpreter, whatever is installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:  # noqa: ARG002 - Jupyter's
        """Return the kernel."""
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", *_OPTIONS]
        return KernelSpec(argv=argv, display_name="Python", language="python")


_LOGGER = logging.getLogger("eventlab.reports")
_LOGGER.addHandler(logging.NullHandler())


def _transport(home: Path) -> dict[str, str]:
    """Return how the kernel is spoken to: by sockets in its folder, where no port can be taken by another, if it can be."""
    if os.name == "posix" and len(os.fsencode(home)) < _PATH:
        return {"transport": "ipc", "ip": str(home / "kernel")}
    return {"transport": "tcp"}


def _environment(home: Path) -> dict[str, str]:
    """Return the environment of a kernel: nothing of a person's settings, and the same order of sets each time."""
    folders = {
        "IPYTHONDIR": "ipython",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTER_CONFIG_DIR": "jupyter",
        "TMPDIR": "tmp",
    }
    for name in folders.values():
        (home / name).mkdir()
    own = {variable: str(home / name) for variable, name in folders.items()} | {SAID: str(home / "said")}
    environment = {
        **os.environ,
        **own,
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    environment.pop("PYTEST_CURRENT_TEST", None)  # with it, ipykernel would not note what libraries write to stderr
    return environment


def _traceback(cell: NotebookNode) -> str:
    """Return the traceback of the error with which a cell ended."""
    errors = [output for output in cell.outputs if output.output_type == "error"]
    return "\n".join(errors[-1].traceback) if errors else ""


def _how(status: int | None) -> str:
    """Return how a process has ended, in words."""
    if status is None:
        return "the kernel died"
    if status >= 0:
        return f"the kernel ended with exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = "; the system may have run out of memory" if -status == getattr(signal, "SIGKILL", 0) else ""
    return f"the kernel was ended by {name}{hint}"
