"""SIGKILL of a process in every state of a run: no run is lost and none is doubled, whoever goes on with it."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from killings import configured
from workbenches import Clock, Maker, bench, no_page, workshop

from eventlab.reports.delivery import deliveries, outboxes
from eventlab.reports.ledger import publications
from eventlab.reports.ledger.records import Records
from eventlab.reports.schedule import rounds, shelves

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = dt.datetime(2013, 2, 10, 17, tzinfo=dt.UTC)  # in New York
DUE = ["2013-02-10", "2013-02-11"]
# the moments at which the process is killed in the first of two runs that are due: how often its report is made in the end, and
# how often a run is told to have been abandoned
MOMENTS = {
    "planning": (1, 0),
    "planned": (1, 0),
    "starting": (1, 0),
    "started": (1, 1),
    "making": (2, 1),
    "writing": (2, 1),
    "written": (2, 1),
    "finished": (1, 0),
    "delivering": (1, 0),
    "shelving": (1, 0),
}


class Ticker:
    """The process whose forks are killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def order(self, folder: Path, **order: Any) -> None:
        """Give an order."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"folder": str(folder), **order}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Return its answer to the last order."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def tick(self, folder: Path, now: dt.datetime, **order: Any) -> list[int]:
        """Do a round in a fork, or several, and return how they ended."""
        self.order(folder, now=now.isoformat(), **order)
        codes: list[int] = self.answer()
        return codes


@pytest.fixture(scope="module")
def ticker() -> Iterator[Ticker]:
    """Yield the process."""
    command = [sys.executable, str(Path(__file__).with_name("killings.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Ticker(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder where the schedule has begun; two runs are due two days later."""
    folder = bench(tmp_path_factory.mktemp("begun"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deliveries, "deliver", lambda *_, **__: deliveries.Counts())
        patch.setattr(shelves, "refresh", lambda *_: [])
        goes_on(folder, NOON)
    return folder


@pytest.fixture
def folder(begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of that folder."""
    monkeypatch.setattr(deliveries, "deliver", lambda *_, **__: deliveries.Counts())
    monkeypatch.setattr(shelves, "refresh", lambda *_: [])
    monkeypatch.setattr(publications, "publish_failure", no_page)
    return Path(shutil.copytree(begun, tmp_path, dirs_exist_ok=True))


def goes_on(folder: Path, now: dt.datetime, records: Records | None = None, **fails: int) -> list[str]:
    """Do a round here, and return the periods that it made."""
    if records is None:
        with Records.open(folder / "log") as opened:
            return goes_on(folder, now, opened, **fails)
    make = Maker(fails=fails)
    outcome = rounds.round(
        workshop(folder, records, clock=Clock(now), make=make, configuration=configured(folder)), most=1
    )
    assert not outcome.errors
    return make.periods


def made(folder: Path) -> list[str]:
    """Return the periods that forks have made."""
    path = folder / "made.txt"
    return path.read_text().split() if path.exists() else []


def count(records: Records, kind: str) -> Counter[str]:
    """Return how many events of a type each period has."""
    rows = records.log.sql("select split_part(stream_id, '@', 2) from events where event_type = $kind", {"kind": kind})
    return Counter(period for (period,) in rows.fetchall())


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_round_is_completed_by_the_next(ticker: Ticker, folder: Path, moment: str) -> None:
    """Each run finishes once, is made again only if its process was killed while it was made, and is still to be delivered."""
    now = NOON + dt.timedelta(days=2)
    assert ticker.tick(folder, now, moment=moment) == [-signal.SIGKILL]
    times, abandoned = MOMENTS[moment]
    with Records.open(folder / "log") as records:
        periods = Counter([*made(folder), *goes_on(folder, now, records)])
        assert periods == {DUE[0]: times, DUE[1]: 1}
        assert goes_on(folder, now, records) == []
        assert count(records, "RunFinished") == dict.fromkeys(["2013-02-09", *DUE], 1)
        assert count(records, "RunAbandoned").total() == abandoned
        assert records.open_runs() == []
        waiting = list(outboxes.outbox(records).waiting())
        assert len(waiting) == 3
    assert all((folder / f"reports/daily/{day}.html").is_file() for day in DUE)


@pytest.mark.parametrize("moment", ["failing", "failed", "pausing"])
def test_a_killed_failure_is_neither_forgotten_nor_repeated(ticker: Ticker, folder: Path, moment: str) -> None:
    """Attempts that failed before the kill are counted after it; a run that has failed for good is over."""
    now = NOON + dt.timedelta(days=2)
    assert ticker.tick(folder, now, moment=moment, fails={DUE[0]: 9}) == [-signal.SIGKILL]
    tried = made(folder)
    assert tried == [DUE[0]] * (1 if moment == "pausing" else 2)
    with Records.open(folder / "log") as records:
        more = goes_on(folder, now, records, **{DUE[0]: 9})
        assert more == {"failing": DUE[::-1], "failed": [DUE[1]], "pausing": DUE}[moment]
        failed = count(records, "RunFailed")
        assert failed == {DUE[0]: 2}
        run = records.run("daily", DUE[0])
        assert run is not None
        assert (run.status, run.failures) == ("failed", 2)
        assert count(records, "RunFinished") == {"2013-02-09": 1, DUE[1]: 1}


def test_a_schedule_outlives_many_deaths(ticker: Ticker, folder: Path) -> None:
    """Killed at one moment or another on ten days, it has each of them once in the end."""
    chance = random.Random(3)
    for day in range(1, 11):
        moment = chance.choice([*MOMENTS, ""])
        codes = ticker.tick(folder, NOON + dt.timedelta(days=day), moment=moment)
        assert codes in ([-signal.SIGKILL], [0])
    with Records.open(folder / "log") as records:
        goes_on(folder, NOON + dt.timedelta(days=10), records)
        days = [dt.date(2013, 2, 9) + dt.timedelta(days=day) for day in range(11)]
        ended = count(records, "RunFinished")
        assert ended == dict.fromkeys(map(str, days), 1)
        assert records.open_runs() == []


def test_what_kills_is_told_apart_from_what_was_beside_it(ticker: Ticker, folder: Path) -> None:
    """Of three runs at once one kills the process each time: the others are made all the same, and it has failed in the end."""
    now, ticks = NOON + dt.timedelta(days=3), 0
    while ticker.tick(folder, now, poison=DUE[0], most=3) != [0]:
        ticks += 1
        assert ticks < 20
        if ticks == 3:  # at the latest the others are made before it: it has killed more often than they
            with Records.open(folder / "log") as records:
                assert [run.period for run in records.open_runs()] == [DUE[0]]
    assert ticks == 9  # once beside the others, and eight times alone
    with Records.open(folder / "log") as records:
        assert count(records, "RunFinished") == dict.fromkeys(["2013-02-09", DUE[1], "2013-02-12"], 1)
        failed = [run for run in records.runs() if run.status == "failed"]
        assert [(run.period, run.kind) for run in failed] == [(DUE[0], "dead")]


def test_processes_that_tick_at_once_share_the_runs(ticker: Ticker, folder: Path) -> None:
    """Four processes, thirty days: each run is made once."""
    now = NOON + dt.timedelta(days=30)
    assert ticker.tick(folder, now, tickers=4, most=2) == [0] * 4, (folder / "forks.log").read_text()
    assert sorted(made(folder)) == [str(dt.date(2013, 2, 9) + dt.timedelta(days=day)) for day in range(1, 31)]
    with Records.open(folder / "log") as records:
        assert set(count(records, "RunFinished").values()) == {1}
        assert count(records, "RunAbandoned") == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_service_that_is_told_to_end_ends_well(ticker: Ticker, folder: Path, number: signal.Signals) -> None:
    """It stops what it makes, records that it was interrupted, and exits with 0; the run is made later."""
    now = NOON + dt.timedelta(days=2)
    ticker.order(folder, now=now.isoformat(), serve=True)
    (process,) = ticker.answer()
    deadline = time.monotonic() + 60
    while not made(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process, number)
    assert ticker.answer() == [0], (folder / "forks.log").read_text()
    with Records.open(folder / "log") as records:
        first, *_ = records.open_runs()
        assert (first.period, first.status, first.why, first.attempts) == (DUE[0], "abandoned", "interrupted", 0)
        assert {run.status for run in records.open_runs()} <= {"abandoned", "planned"}
        assert goes_on(folder, now, records) == DUE
