"""The newest request only: work that a person drives by moving something, where what was overtaken need not be done."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Request = TypeVar("Request")


class Newest(Generic[Request]):
    """Does one request at a time on a thread; of those that come meanwhile, the last.

    Examples
    --------
    >>> seen = []
    >>> newest = Newest(seen.append)
    >>> newest.put(1)
    >>> newest.wait()
    >>> seen
    [1]
    """

    def __init__(self, work: Callable[[Request], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._waiting: list[Request] = []
        self._thread: threading.Thread | None = None

    @property
    def overtaken(self) -> bool:
        """Whether a newer request waits."""
        with self._lock:
            return bool(self._waiting)

    def put(self, request: Request) -> None:
        """Do a request as soon as the one before it is done."""
        with self._lock:
            self._waiting = [request]
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="eventlab-moves", daemon=True)
                self._thread.start()

    def wait(self) -> None:
        """Wait until nothing is left to do."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                request = self._waiting.pop()
            self._work(request)
