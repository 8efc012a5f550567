"""Claims: who makes a run. A lock that the system releases when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from typing import TYPE_CHECKING

from eventlab.errors import ReportError

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def claim(folder: Path, name: str, *, wait: bool = False) -> Iterator[bool]:
    """Hold the lock of a name while the block runs, and yield whether it could be had; with ``wait``, wait until it can.

    Threads and processes exclude each other alike. The lock's file is there only while it is held, or after a crash.

    Raises
    ------
    ReportError
        Where the system has no such locks.
    """
    if sys.platform == "win32":
        raise ReportError("schedules need file locks that Windows does not have", hint="Run them in WSL, or on Linux.")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(name.encode()).hexdigest()}.lock"
    held = _lock(path, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield held is not None
    finally:
        if held is not None:
            path.unlink(missing_ok=True)  # before it is released, so that nobody locks a file that is about to vanish
            os.close(held)


def _lock(path: Path, how: int) -> int | None:
    """Return the descriptor of a file that is locked; None if another one has it."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, how)
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(file).st_ino == path.stat().st_ino:
                    return file
        except BlockingIOError:
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # its last holder has deleted it meanwhile: lock the new one
