"""Crews: several runs at once, on threads, so that a person or the system can end them at any time."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, TypeVar

from eventlab.errors import EventlabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_LOOK = 0.2  # seconds between two looks: a signal does not wake a thread that waits for another one without an end
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def each(
    items: Sequence[_Item], work: Callable[[_Item], _Result], *, cancelled: threading.Event, most: int | None = None
) -> Iterator[tuple[_Item, _Result | EventlabError | OSError]]:
    """Work on items, begun in order, ``most`` at once (None: the cores), and yield each with its result as soon as it is there.

    What cannot be recorded is a result, so that the others go on. Whoever is interrupted while waiting sets ``cancelled``, by
    which the work has to end soon, and leaves when all of it has.
    """
    if not items:
        return
    with concurrent.futures.ThreadPoolExecutor(most or os.cpu_count(), "eventlab-report") as pool:
        try:
            waiting = {pool.submit(_attempt, work, item): item for item in items}
            while waiting:
                done, _ = concurrent.futures.wait(waiting, _LOOK, concurrent.futures.FIRST_COMPLETED)
                for future in [future for future in waiting if future in done]:  # in the order of the items
                    yield waiting.pop(future), future.result()
        except BaseException:
            cancelled.set()
            pool.shutdown(cancel_futures=True)
            raise


def _attempt(work: Callable[[_Item], _Result], item: _Item) -> _Result | EventlabError | OSError:
    """Return what work on an item gave, also if that is an error which is to be told."""
    try:
        return work(item)
    except (EventlabError, OSError) as error:
        return error


@contextlib.contextmanager
def interruptible(cancelled: threading.Event) -> Iterator[None]:
    """Set ``cancelled`` when Ctrl-C or SIGTERM comes, instead of ending at once; a second one ends as ever."""
    if threading.current_thread() is not threading.main_thread():  # where Python takes no signals
        yield
        return

    def note(number: int, _frame: FrameType | None) -> None:
        if cancelled.is_set():
            signal.signal(number, before[number])
            signal.raise_signal(number)
        cancelled.set()

    before = {int(number): signal.getsignal(number) for number in _SIGNALS}
    for one in _SIGNALS:
        signal.signal(one, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def attempted(step: Callable[[], object]) -> list[str]:
    """Do a step that comes after the runs, and return what went wrong, a line; none if nothing did."""
    try:
        step()
    except (EventlabError, OSError) as error:
        return [told(error)]
    return []


def told(error: EventlabError | OSError) -> str:
    """Return an error in a line, with its fix."""
    return f"{error.message} {error.hint}".strip() if isinstance(error, EventlabError) else str(error)
