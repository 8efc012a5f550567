"""What the tests of schedules share: reports that cost nothing, a clock that is set, and a runs log that is copied, not made."""

from __future__ import annotations

import atexit
import datetime as dt
import functools
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import eventlab as el
from eventlab.reports.configuration.configurations import Configuration, Report
from eventlab.reports.execution.executions import Execution, Failure
from eventlab.reports.figures import Figure
from eventlab.reports.ledger.publications import Published
from eventlab.reports.ledger.records import Records
from eventlab.reports.provenances import Provenance
from eventlab.reports.renders import Made
from eventlab.reports.schedule.workshops import Workshop

START = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)
NOON = dt.datetime(2013, 2, 10, 17, tzinfo=dt.UTC)  # in New York


def nothing(log: el.LogView, *, day: str = "") -> str:
    """Nothing in particular."""
    return f"{log.position} events by {day}"


@functools.cache
def _templates() -> Path:
    """Return a folder with an empty runs log, and a store whose first event was recorded in the middle of 2012."""
    folder = Path(tempfile.mkdtemp(prefix="eventlab-workbench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Records.open(folder / "log").close()
    recorded = int(dt.datetime(2012, 7, 1, tzinfo=dt.UTC).timestamp() * 1e6)
    with el.open(folder / "store", create=True, clock=lambda: recorded) as log:
        log.append("order-1", el.Event("OrderPlaced", {"amount": 5}))
    return folder


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: dt.datetime = START) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        """Return what it shows."""
        return self.now

    def forward(self, **length: float) -> None:
        """Set it forward, or back."""
        self.now += dt.timedelta(**length)


@dataclass
class Maker:
    """Makes reports that cost nothing, notes what it was asked for, and fails where it is told to."""

    fails: dict[str, int] = field(default_factory=dict)  # by period, how often
    asked: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    error: Exception | None = None

    def __call__(self, source: Any, store: Path, **given: Any) -> Made:
        """Return a report, or what is left of one that failed."""
        with self.lock:
            self.asked.append(given)
            name = given["period"].name
            failing = self.fails.get(name, 0)
            self.fails[name] = failing - 1
        if self.error is not None:
            raise self.error
        failure = Failure("error", "ValueError: no", "Traceback: no", 2, "1 / 0") if failing > 0 else None
        figures = [Figure("n", len(self.asked)), Figure("share", 0.5, "The share", "%")]
        execution = Execution([], figures, 0.1, failure, None)
        provenance = Provenance(
            title=given["title"] or source.title,
            source=source.place,
            digest=source.digest,
            store=str(store),
            store_id="5f3a",
            basis="basis:5f3a:p1:r1:open",
            position=1,
            at="",
            known_at=None,
            timezone="UTC",
            figures=figures,
            ran_at=START,
            seconds=0.1,
        )
        return Made(source, given["params"], provenance, execution)

    @property
    def periods(self) -> list[str]:
        """The names of the periods that were made, in order."""
        return [given["period"].name for given in self.asked]


def write(made: Made, to: Any, folder: Path, name: str) -> list[Path]:
    """Write a page of a line."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{form}" for form in to]
    for path in paths:
        path.write_text(made.provenance.title)
    return paths


def no_page(report: Report, period: Any, *_: Any, **__: Any) -> Published:
    """Stand for ``publications.publish_failure``, whose page brings Altair and Jinja."""
    return Published(files=[f"{report.name}/{period.name}.failed.html"])


def bench(folder: Path) -> Path:
    """Put an empty runs log and a store into a folder."""
    for name in ("log", "store"):
        shutil.copytree(_templates() / name, folder / name)
    return folder


def report(folder: Path, name: str = "daily", **given: Any) -> Report:
    """Return a report that is due at six in New York, of a day, unless something else is given."""
    if "every" not in given:
        given = {"cron": "0 6 * * *", "period": "1d", **given}
    usual = {"timezone": "America/New_York", "parameters": {"day": "{{ date }}"}, "catch_up": "all"}
    place = "workbenches:nothing"
    return Report(
        name=name, function=place, source=place, store=folder / "store", out=folder / "reports", **{**usual, **given}
    )


def configuration(folder: Path, *reports: Report, **given: Any) -> Configuration:
    """Return the configuration of reports, whose runs log is in the folder."""
    named = {report.name: report for report in reports}
    return Configuration(path=folder / "reports.toml", log=folder / "log", reports=named, **given)


def workshop(folder: Path, records: Records, *reports: Report, clock: Any, make: Any, **given: Any) -> Workshop:
    """Return a workshop in which nothing costs anything: pauses are noted in ``pauses`` of the maker, if it has such."""
    return Workshop(
        configuration=given.pop("configuration", None) or configuration(folder, *reports),
        records=records,
        clock=clock,
        make=make,
        write=given.pop("write", write),
        sleep=given.pop("sleep", lambda _seconds: None),
        **given,
    )
