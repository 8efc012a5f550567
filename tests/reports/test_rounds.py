"""Rounds: what is due is planned and made, once, as its schedule and its ``catch_up`` say."""

from __future__ import annotations

import datetime as dt
import errno
from typing import TYPE_CHECKING, Any

import pytest
from workbenches import Clock, Maker, bench, configuration, no_page, report, workshop, write

import eventlab as el
from eventlab.errors import StoreFull
from eventlab.log import EventLog
from eventlab.reports.configuration.configurations import Channel
from eventlab.reports.delivery import deliveries
from eventlab.reports.ledger import publications, runs
from eventlab.reports.ledger.records import Records
from eventlab.reports.schedule import jobs, plans, rounds, shelves

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOON = dt.datetime(2013, 2, 10, 17, tzinfo=dt.UTC)  # in New York


@pytest.fixture(autouse=True)
def _no_index(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write neither index nor failure pages but where they are the point."""
    if "index" not in request.node.name:
        monkeypatch.setattr(shelves, "refresh", lambda *_: [])
        monkeypatch.setattr(publications, "publish_failure", no_page)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an empty runs log and a store."""
    return bench(tmp_path)


@pytest.fixture
def records(folder: Path) -> Iterator[Records]:
    """Yield the runs log."""
    with Records.open(folder / "log") as opened:
        yield opened


def test_a_schedule_begins_with_the_latest_period(folder: Path, records: Records) -> None:
    """The first round of a report makes the period that was due last, as of its end, and known when it was due."""
    make = Maker()
    outcome = rounds.round(workshop(folder, records, report(folder), clock=Clock(NOON), make=make))
    assert (outcome.planned, outcome.count("made"), outcome.errors) == (1, 1, [])
    (asked,) = make.asked
    assert asked["period"].name == "2013-02-09"
    assert asked["at"] == asked["known_at"] == dt.datetime(2013, 2, 10, 11, tzinfo=dt.UTC)
    assert asked["params"] == {"day": "2013-02-09"}
    assert (folder / "reports/daily/2013-02-09.html").read_text() == "Nothing in particular"
    run = records.run("daily", "2013-02-09")
    assert run is not None
    assert (run.status, run.reason, run.version, run.files) == ("ok", "caught up", 1, ("daily/2013-02-09.html",))


def test_nothing_is_made_twice(folder: Path, records: Records) -> None:
    """Another round at the same time, or after the clock was set back by days, makes nothing."""
    make, clock = Maker(), Clock(NOON)
    for hours in (0, 0, -1, -72, 71.9):
        clock.forward(hours=hours)
        rounds.round(workshop(folder, records, report(folder), clock=clock, make=make))
    assert make.periods == ["2013-02-09"]


def test_all_that_was_missed_is_made_in_order(folder: Path, records: Records) -> None:
    """With catch_up all, a pause of three days is caught up, each run as of its own moment."""
    make, clock = Maker(), Clock(NOON)
    rounds.round(workshop(folder, records, report(folder), clock=clock, make=make))
    clock.forward(days=3)
    outcome = rounds.round(workshop(folder, records, report(folder), clock=clock, make=make), most=1)
    assert [run.period for run, _ in outcome.endings] == make.periods[1:] == ["2013-02-10", "2013-02-11", "2013-02-12"]
    assert {run.reason for run, _ in outcome.endings} == {"caught up"}
    assert [asked["known_at"] for asked in make.asked] == [asked["at"] for asked in make.asked]
    clock.forward(hours=18)
    (ending,) = rounds.round(workshop(folder, records, report(folder), clock=clock, make=make)).endings
    assert ending[0].reason == "scheduled"


def test_of_what_was_missed_only_the_latest_is_made(folder: Path, records: Records) -> None:
    """With catch_up latest, the others are recorded as skipped, with the reason."""
    make, clock, one = Maker(), Clock(NOON), report(folder, catch_up="latest")
    rounds.round(workshop(folder, records, one, clock=clock, make=make))
    clock.forward(days=3)
    rounds.round(workshop(folder, records, one, clock=clock, make=make))
    assert make.periods == ["2013-02-09", "2013-02-12"]
    skipped = [run for run in records.runs("daily") if run.status == "skipped"]
    assert [(run.period, run.why) for run in skipped] == [
        (day, "catch_up is latest, and a later run was due as well") for day in ("2013-02-10", "2013-02-11")
    ]


def test_what_is_too_late_is_skipped(folder: Path, records: Records) -> None:
    """With catch_up none, a run within its grace is made, and one after it is skipped: it says how late it was."""
    make, clock, one = Maker(), Clock(NOON), report(folder, catch_up="none", grace=dt.timedelta(minutes=10))
    rounds.round(workshop(folder, records, one, clock=clock, make=make))
    clock.now = dt.datetime(2013, 2, 11, 11, 10, tzinfo=dt.UTC)
    rounds.round(workshop(folder, records, one, clock=clock, make=make))
    clock.now = dt.datetime(2013, 2, 12, 11, 11, tzinfo=dt.UTC)
    rounds.round(workshop(folder, records, one, clock=clock, make=make))
    assert make.periods == ["2013-02-10"]
    assert [(run.period, run.status, run.why) for run in records.runs("daily")] == [
        ("2013-02-09", "skipped", "catch_up is none, and it was 6 hours late"),
        ("2013-02-10", "ok", ""),
        ("2013-02-11", "skipped", "catch_up is none, and it was 11 minutes late"),
    ]


def test_a_long_pause_of_a_frequent_report_is_recorded_in_steps(folder: Path, records: Records) -> None:
    """A day of minutes is skipped in several appends; only the last minute is made."""
    make, clock = Maker(), Clock(NOON)
    one = report(folder, every=dt.timedelta(minutes=1), catch_up="latest")
    rounds.round(workshop(folder, records, one, clock=clock, make=make))
    clock.forward(days=1)
    outcome = rounds.round(workshop(folder, records, one, clock=clock, make=make))
    assert (outcome.planned, len(make.asked)) == (24 * 60, 2)
    assert make.asked[-1]["period"].due == clock.now


def test_a_report_that_is_not_enabled_is_not_due(folder: Path, records: Records) -> None:
    """It is neither planned nor made; what it had begun waits."""
    make, clock = Maker(), Clock(NOON)
    rounds.round(workshop(folder, records, report(folder, enabled=False), clock=clock, make=make))
    assert make.asked == []
    assert records.standing("daily") is None


@pytest.mark.parametrize("days", [0, 3])
def test_two_that_plan_at_once_plan_once(folder: Path, records: Records, days: int) -> None:
    """Who was slower sees what the other has planned, and has nothing left to plan: a run cannot be skipped after it was made."""
    one, now = configuration(folder, report(folder, catch_up="latest")), NOON + dt.timedelta(days=days)
    if days:
        plans.plan(one, records, NOON)
    with Records.open(folder / "log") as rival:
        known, raced = records.known, []

        def late(name: str, period: str) -> bool:
            found = known(name, period)
            if not found and not raced:
                raced.append(plans.plan(one, rival, now))
            return found

        records.known = late  # type: ignore[method-assign]
        assert plans.plan(one, records, now) == 0
        assert raced == [max(days, 1)]
    rows = records.log.sql(
        "select stream_id from events where category = 'run' group by all having count(*) > 1"
    ).fetchall()
    assert rows == []


def test_what_a_backfill_has_made_is_not_made_again(folder: Path, records: Records) -> None:
    """A due period that is there is passed over, and the schedule goes on after it."""
    make, clock, one = Maker(), Clock(NOON), report(folder)
    rounds.round(workshop(folder, records, one, clock=clock, make=make))
    clock.forward(days=2)
    bench_ = workshop(folder, records, one, clock=clock, make=make)
    period = one.schedule.period(one.schedule.previous(clock.now))
    jobs.perform(bench_, one, period, reason="backfill", deliver=False)
    rounds.round(bench_)
    assert make.periods == ["2013-02-09", "2013-02-11", "2013-02-10"]
    standing = records.standing("daily")
    assert standing is not None
    assert standing.through == period.due
    rounds.round(bench_)
    assert len(make.asked) == 3


def test_a_schedule_that_is_changed_does_not_make_a_period_twice(folder: Path, records: Records) -> None:
    """A run's key is the report and the period: a daily report that is moved from six to seven is not made twice that day."""
    make, clock = Maker(), Clock(dt.datetime(2013, 2, 10, 11, 30, tzinfo=dt.UTC))
    rounds.round(workshop(folder, records, report(folder), clock=clock, make=make))
    clock.forward(hours=1)
    rounds.round(workshop(folder, records, report(folder, cron="0 7 * * *"), clock=clock, make=make))
    assert make.periods == ["2013-02-09"]
    clock.forward(days=1)
    rounds.round(workshop(folder, records, report(folder, cron="0 7 * * *"), clock=clock, make=make))
    assert make.periods == ["2013-02-09", "2013-02-10"]


def test_a_run_that_failed_is_over(folder: Path, records: Records) -> None:
    """Its attempts are made in its round, its failure is counted, and no later round makes it again."""
    make, one = Maker(fails={"2013-02-09": 3}), report(folder, retries=2)
    bench_ = workshop(folder, records, one, clock=Clock(NOON), make=make)
    outcome = rounds.round(bench_)
    assert (outcome.count("failed"), outcome.good, len(make.asked)) == (1, False, 3)
    assert rounds.round(bench_).endings == []


def test_a_full_disk_of_the_runs_log_stops_no_other_run(
    folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be recorded is told in a line; the other run is made, and the next round makes up for the first."""
    make, both = Maker(), [report(folder), report(folder, "weekly", cron="0 6 * * 1", period="1w")]
    append, full = Records.append, True

    def failing(self: Records, *writes: tuple[str, int | None, el.Event]) -> Any:
        if full and any(event.type == "RunFinished" and name.startswith("run-daily") for name, _, event in writes):
            raise StoreFull("the disk of log is full; nothing was written", hint="Free some space and try again.")
        return append(self, *writes)

    monkeypatch.setattr(Records, "append", failing)
    bench_ = workshop(folder, records, *both, clock=Clock(NOON), make=make)
    outcome = rounds.round(bench_)
    assert outcome.errors == [
        "daily, 2013-02-09: the disk of log is full; nothing was written Free some space and try again."
    ]
    assert [(run.report, ending) for run, ending in outcome.endings] == [("weekly", "made")]
    full = False
    outcome = rounds.round(bench_)
    assert [(run.report, ending) for run, ending in outcome.endings] == [("daily", "made")]


def test_a_full_disk_of_the_pages_is_a_failure_that_is_recorded(folder: Path, records: Records) -> None:
    """The run has failed, its record says that the disk is full, and there is no half of a page."""

    def full(_made: Any, _to: Any, place: Path, name: str) -> list[Path]:
        raise OSError(errno.ENOSPC, "No space left on device", str(place / name))

    bench_ = workshop(folder, records, report(folder), clock=Clock(NOON), make=Maker(), write=full)
    assert rounds.round(bench_).count("failed") == 1
    run = records.run("daily", "2013-02-09")
    assert run is not None
    assert (run.status, run.kind) == ("failed", "error")
    assert run.message.startswith("OSError: the disk is full")
    assert "No space left" in run.traceback


def test_a_round_costs_what_is_new(folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """No query is asked by a round, whatever the history; only one whose run fails looks for the last good one."""
    make, clock, one = Maker(), Clock(NOON), report(folder)
    asked = []
    for name in ("sql", "read", "stream"):
        whole = getattr(EventLog, name)
        monkeypatch.setattr(
            EventLog, name, lambda *given, _whole=whole, **more: (asked.append(1), _whole(*given, **more))[1]
        )
    rounds.round(workshop(folder, records, one, clock=clock, make=make))
    asked.clear()  # the store's first event
    for _ in range(20):
        clock.forward(days=1)
        rounds.round(workshop(folder, records, one, clock=clock, make=make))
    assert len(make.asked) == 21
    assert asked == []


def test_the_index_lists_what_was_made_failed_and_skipped(folder: Path, records: Records) -> None:
    """It is written after a round that changed something, newest first, with ways to the pages."""
    make, clock = Maker(fails={"2013-02-12": 9}), Clock(NOON)
    for catch_up, days in (("all", 0), ("latest", 3), ("latest", 1)):
        clock.forward(days=days)
        one = report(folder, catch_up=catch_up, title="The <day>")
        rounds.round(workshop(folder, records, one, clock=clock, make=make, write=write))
    page = (folder / "reports/index.html").read_text()
    places = [
        page.index(text) for text in ("13 February 2013", "12 February 2013", "11 February 2013", "9 February 2013")
    ]
    assert places == sorted(places)
    assert 'href="daily/2013-02-13.html"' in page
    assert 'href="daily/2013-02-12.failed.html"' in page
    assert "Skipped" in page
    assert "The &lt;day&gt;" in page
    assert "<day>" not in page
    failed = (folder / "reports/daily/2013-02-12.failed.html").read_text()
    assert "ValueError: no" in failed
    assert 'href="2013-02-09.html"' in failed


def test_what_was_killed_is_made_last_and_alone_after_the_deliveries(
    folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has killed most is the last; if it kills again, all else is made and delivered."""
    done: list[str] = []

    def deliver(*_: object, **__: object) -> deliveries.Counts:
        done.append("delivered")
        return deliveries.Counts(sent=1, told=["ops: 1 sent"])

    plain = Maker()

    def make(*given: Any, **more: Any) -> Any:
        done.append(more["period"].name)
        return plain(*given, **more)

    monkeypatch.setattr(deliveries, "deliver", deliver)
    one = report(folder)
    channels = {"ops": Channel(name="ops", type="webhook", options={"url": "http://[::1]:9"})}
    clock = Clock(NOON)
    bench_ = workshop(
        folder, records, clock=clock, make=make, configuration=configuration(folder, one, channels=channels)
    )
    rounds.round(bench_)
    clock.forward(days=3)
    plans.plan(bench_.configuration, records, clock.now)
    for day, kills in (("2013-02-10", 1), ("2013-02-11", 0)):
        date = dt.date.fromisoformat(day)
        key, place = runs.key("daily", *one.schedule.periods(date, date)), runs.stream("daily", day)
        begun = el.Event("RunStarted", {**key, "reason": "scheduled", "attempt": 1})
        abandoned = el.Event("RunAbandoned", {**key, "attempt": 1, "why": runs.KILLED})
        records.append(*[(place, None, event) for event in [*[begun, abandoned] * kills, begun]])
    done.clear()
    outcome = rounds.round(bench_)
    assert done == ["2013-02-12", "delivered", "2013-02-11", "2013-02-10", "delivered"]
    assert outcome.told == ["ops: 1 sent"] * 2
    assert outcome.good
    alone = {run.period: run.alone for run in records.runs("daily")}
    assert alone == {"2013-02-09": False, "2013-02-10": True, "2013-02-11": True, "2013-02-12": False}
