"""A year of schedules, driven by a clock that is set: no run is lost or doubled, whatever happens to the processes meanwhile."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from workbenches import START, Clock, Maker, bench, report, workshop

from eventlab.reports.ledger.records import Records
from eventlab.reports.schedule import rounds, shelves

if TYPE_CHECKING:
    from pathlib import Path

    from eventlab.reports.configuration.configurations import Report

YEAR = START + dt.timedelta(days=365)


@pytest.fixture(autouse=True)
def _no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write no index page, which is not the point here."""
    monkeypatch.setattr(shelves, "refresh", lambda *_: [])


class Killed(BaseException):
    """What ends a process in the middle of a run, here without ending the tests."""


def reports(folder: Path) -> list[Report]:
    """Return reports in zones whose clocks change: where half an hour is skipped, and at hours that are skipped or come twice."""
    return [
        report(folder, "morning"),
        report(folder, "night", cron="30 2 * * *", timezone="Europe/Vienna"),
        report(folder, "howe", cron="15 2 * * 0", timezone="Australia/Lord_Howe", period="1w"),
        report(folder, "hours", every=dt.timedelta(hours=30), timezone="UTC"),
        report(folder, "latest", cron="0 */12 * * *", period=None, timezone="America/New_York", catch_up="latest"),
        report(
            folder, "none", cron="0 1 * * *", timezone="America/New_York", catch_up="none", grace=dt.timedelta(hours=3)
        ),
    ]


def settled(records: Records) -> Counter[tuple[str, dt.datetime, str]]:
    """Return how often each run, by its report and when it was due, has finished or was skipped."""
    rows = records.log.sql(
        """
        select coalesce(RunFinished.report, RunSkipped.report), epoch(coalesce(RunFinished.due, RunSkipped.due)), event_type
        from events where event_type in ('RunFinished', 'RunSkipped')
        """
    ).fetchall()
    return Counter((name, dt.datetime.fromtimestamp(due, dt.UTC), kind) for name, due, kind in rows)


def check(records: Records, given: list[Report], make: Maker, killed: Counter[tuple[str, dt.datetime]]) -> None:
    """Check that each run of each report is there once, and was made once but for the times it was killed."""
    found = settled(records)
    assert set(found.values()) == {1}
    for one in given:
        first = one.schedule.previous(START)
        expected = [first, *one.schedule.dues(first, YEAR)]
        assert sorted(due for name, due, _ in found if name == one.name) == expected, one.name
        if one.catch_up == "all":
            assert all(kind == "RunFinished" for name, _, kind in found if name == one.name)
    assert not records.open_runs()
    made = Counter((asked["report"], asked["period"].due) for asked in make.asked)
    finished = {(name, due) for name, due, kind in found if kind == "RunFinished"}
    assert made == Counter({key: 1 + killed[key] for key in finished})


def test_a_year_passes_with_restarts_kills_and_a_clock_that_is_set_back(tmp_path: Path) -> None:
    """Each period of six schedules is made or skipped once: through pauses, restarts, kills, and a clock that goes back."""
    folder, clock, chance = bench(tmp_path), Clock(), random.Random(7)
    given, plain, killed = reports(folder), Maker(), Counter[tuple[str, dt.datetime]]()

    def make(source: Any, store: Path, **asked: Any) -> Any:
        made = plain(source, store, **asked)
        key = asked["report"], asked["period"].due
        if chance.random() < 0.006 and not killed[key]:
            killed[key] += 1
            raise Killed
        return made

    records = Records.open(folder / "log", clock=clock)
    rounds.round(workshop(folder, records, *given, clock=clock, make=plain))
    while clock.now < YEAR:
        clock.now = min(YEAR, clock.now + chance.choice([1, 5, 9, 20, 70]) * dt.timedelta(hours=1))
        bench_ = workshop(folder, records, *given, clock=clock, make=make)
        try:
            rounds.round(bench_, most=2)
        except Killed:
            records.close()
            records = Records.open(folder / "log", clock=clock)
        if chance.random() < 0.01:
            records.close()
            records = Records.open(folder / "log", clock=clock)
        if chance.random() < 0.05:
            clock.forward(hours=-chance.choice([1, 3, 30]))
    for _ in range(3):
        rounds.round(workshop(folder, records, *given, clock=clock, make=plain), most=2)
    assert sum(killed.values()) > 5
    check(records, given, plain, killed)
    records.close()


def test_two_tickers_share_a_month(tmp_path: Path) -> None:
    """Two tickers, each with the log opened for itself, look at the same moments: each run is made by one of them, once."""
    folder, clock, make = bench(tmp_path), Clock(), Maker()
    given, ends = reports(folder)[:4], START + dt.timedelta(days=30)
    barrier = threading.Barrier(2, timeout=60)
    made: Counter[int] = Counter()
    errors: list[str] = []

    def tick(number: int) -> None:
        with Records.open(folder / "log", clock=clock) as records:
            for step in itertools.count():
                barrier.wait()
                if number == 0:
                    clock.now = START + step * dt.timedelta(hours=12)
                barrier.wait()
                if clock.now > ends:
                    return
                outcome = rounds.round(workshop(folder, records, *given, clock=clock, make=make), most=2)
                made[number] += outcome.count("made")
                errors.extend(outcome.errors)

    tickers = [threading.Thread(target=tick, args=(number,)) for number in range(2)]
    for ticker in tickers:
        ticker.start()
    for ticker in tickers:
        ticker.join()
    with Records.open(folder / "log", clock=clock) as records:
        rounds.round(workshop(folder, records, *given, clock=Clock(ends), make=make))
        found = settled(records)
        assert set(found.values()) == {1}
        assert len(found) == len(make.asked) == made.total() > 90
        assert min(made.values()) > 10
        assert not errors
        abandoned = records.log.sql("select count(*) from events where event_type = 'RunAbandoned'").fetchall()
        assert abandoned == [(0,)]


@pytest.mark.parametrize("cron", ["30 2 * * *", "30 1 * * *", "0 2 * * *", "*/30 1-3 * * *"])
@pytest.mark.parametrize(
    "day", [dt.datetime(2013, 3, 9, 15, tzinfo=dt.UTC), dt.datetime(2013, 11, 2, 15, tzinfo=dt.UTC)]
)
def test_clock_changes_neither_lose_nor_double_a_run(tmp_path: Path, cron: str, day: dt.datetime) -> None:
    """Looked at often, a time that is skipped in March is due once, and one that comes twice in November once."""
    folder, make, clock = bench(tmp_path), Maker(), Clock(day)
    one = report(folder, cron=cron, period=None)
    with Records.open(folder / "log") as records:
        rounds.round(workshop(folder, records, one, clock=clock, make=make))
        make.asked.clear()
        for _ in range(2 * 30):
            clock.forward(minutes=30)
            rounds.round(workshop(folder, records, one, clock=clock, make=make))
    dues = [asked["period"].due for asked in make.asked]
    assert dues == list(one.schedule.dues(day, clock.now))
    local = [moment.replace(tzinfo=None) for moment in dues]
    assert len(local) == len(set(local)), "no wall shows a time at which it ran twice"
    assert {moment.date() for moment in local} == {day.date() + dt.timedelta(days=1)}
