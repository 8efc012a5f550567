"""What the tests of deliveries and alerts share: a runs log that is copied, not made, and runs that only their record knows."""

from __future__ import annotations

import atexit
import datetime as dt
import functools
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import eventlab as el
from eventlab.reports.ledger import feeds
from eventlab.reports.ledger.records import Records
from eventlab.reports.ledger.runs import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventlab.reports.figures import Figure

FIRST = dt.datetime(2013, 2, 1, tzinfo=dt.UTC)


@functools.cache
def _template() -> Path:
    """Return a runs log in which nothing has happened."""
    folder = tempfile.mkdtemp(prefix="eventlab-ledger-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / "log"
    with Records.open(path) as records:
        feeds.define(records.log)
    return path


def opened(folder: Path, clock: Callable[[], dt.datetime]) -> Records:
    """Return a runs log in a folder, with a clock; the one that is there, or an empty one."""
    if not (folder / "log").exists():
        shutil.copytree(_template(), folder / "log")
    return Records.open(folder / "log", clock=clock)


def key(day: int, report: str = "daily") -> dict[str, Any]:
    """Return what every event of a run says: of the period that is a day, counted from the first of February."""
    start = FIRST + dt.timedelta(days=day - 1)
    end = start + dt.timedelta(days=1)
    return {"report": report, "period": f"{start:%Y-%m-%d}", "start": start, "end": end, "due": end}


def append(records: Records, day: int, *events: tuple[str, dict[str, Any]], report: str = "daily") -> None:
    """Append events to a run."""
    told = key(day, report)
    name = stream(report, told["period"])
    records.append(*((name, None, el.Event(kind, {**told, **given})) for kind, given in events))


def planned(reason: str = "scheduled") -> tuple[str, dict[str, Any]]:
    """Return that a schedule has asked for a run."""
    return "RunPlanned", {"reason": reason}


def finished(figures: Sequence[Figure] = (), **given: Any) -> tuple[str, dict[str, Any]]:
    """Return that a run has finished."""
    plain = {figure.name: figure.plain() for figure in figures}
    usual = {
        "reason": "scheduled",
        "version": 1,
        "title": "Flights",
        "basis": "basis:5f3a:p1:r1:open",
        "out": "/out",
        "files": ["daily/page.html"],
        "figures": {name: one["value"] for name, one in plain.items()},
        **{f"{part}s": {name: one[part] for name, one in plain.items()} for part in ("kind", "label", "unit")},
    }
    return "RunFinished", {**usual, **given}


def failed(*, final: bool = True, **given: Any) -> tuple[str, dict[str, Any]]:
    """Return that a run has failed."""
    usual = {
        "reason": "scheduled",
        "attempt": 3,
        "kind": "error",
        "message": "ValueError: no",
        "out": "/out",
        "page": "daily/failed.html",
    }
    return "RunFailed", {**usual, "final": final, **given}
