"""Who has a store open: each open store holds a shared lock on a file, which the system releases when its process ends."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from pathlib import Path


class Presence:
    """A shared lock on a store. Where it cannot be had (a read-only medium, Windows), nobody counts as alone."""

    def __init__(self, folder: Path) -> None:
        self._probe = folder / ".readers-probe"
        self._file: int | None = None
        if sys.platform == "win32":
            return
        try:
            self._file = os.open(folder / ".readers", os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.flock(self._file, fcntl.LOCK_SH)
        except OSError:
            self.close()

    def close(self) -> None:
        """Release the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def held(self) -> bool:
        """Whether the lock could be had, so that others can be told."""
        return self._file is not None

    def alone(self) -> bool:
        """Tell whether nobody else has the store open, at this moment.

        To ask for the exclusive lock gives up the shared one, even in vain. So one at a time asks, and takes it back.
        """
        if self._file is None or sys.platform == "win32":
            return False
        probe = os.open(self._probe, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        else:
            return True
        finally:
            fcntl.flock(self._file, fcntl.LOCK_SH)
            os.close(probe)
