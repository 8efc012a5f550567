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
        self._file: int | None = None
        if sys.platform == "win32":
            return
        try:
            self._file = os.open(folder / ".readers", os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.flock(self._file, fcntl.LOCK_SH)
        except OSError:
            self.leave()

    def leave(self) -> None:
        """Release the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def alone(self) -> bool:
        """Tell whether nobody else has the store open, at this moment."""
        if self._file is None or sys.platform == "win32":
            return False
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        fcntl.flock(self._file, fcntl.LOCK_SH)
        return True
