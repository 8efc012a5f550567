"""Workshops: what runs are made with, which tests replace: the clock, what makes a report, how one waits and is interrupted."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import eventlab as el
from eventlab.reports import renders

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventlab.reports.configuration.configurations import Configuration
    from eventlab.reports.ledger.publications import Write
    from eventlab.reports.ledger.records import Records
    from eventlab.reports.renders import Made


def utc_now() -> dt.datetime:
    """Return the present instant by the machine's clock."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What is needed to make runs.

    Attributes
    ----------
    configuration, records
        What is to be made, and the log of what was.
    clock
        The present, aware.
    make, write
        What makes a report, and what writes it: ``renders.make`` and ``renders.write``.
    cancelled
        Set from outside to end: reports that run are stopped and made again later.
    sleep
        How to wait for so many seconds; ends early when it is cancelled, if left out.
    """

    configuration: Configuration
    records: Records
    clock: Callable[[], dt.datetime] = utc_now
    make: Callable[..., Made] = renders.make
    write: Write = renders.write
    cancelled: threading.Event = field(default_factory=threading.Event)
    sleep: Callable[[float], object] | None = None

    def pause(self, seconds: float) -> None:
        """Wait, unless it is cancelled."""
        (self.sleep or self.cancelled.wait)(seconds)


def recorded_since(store: Path) -> dt.datetime | None:
    """Return when the first event of a store was recorded, which never changes; None if there is none yet.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    settings = store / "store.toml"
    key = (str(store), settings.stat().st_ino if settings.is_file() else 0)
    if key not in _beginnings:
        with el.open(store, read_only=True) as log:
            first = next(log.read(limit=1), None)
        if first is None:
            return None
        _beginnings[key] = first.recorded_at
    return _beginnings[key]


_beginnings: dict[tuple[str, int], dt.datetime] = {}
