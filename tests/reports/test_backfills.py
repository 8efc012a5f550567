"""Backfills: a report for the periods of the past, resumable, in parallel."""

from __future__ import annotations

import datetime as dt
import errno
import threading
from typing import TYPE_CHECKING, Any

import pytest
from workbenches import NOON, Clock, Maker, configuration, report, workshop

from eventlab.errors import InvalidArgument, StoreFull
from eventlab.reports.configuration.configurations import Channel
from eventlab.reports.delivery import deliveries, outboxes
from eventlab.reports.ledger.records import Records
from eventlab.reports.schedule import backfills, rounds, shelves

if TYPE_CHECKING:
    from pathlib import Path

    from eventlab.reports.schedule.backfills import Tally

FIRST, LAST = dt.date(2013, 1, 1), dt.date(2013, 1, 10)


def backfill(
    folder: Path, records: Records, make: Any, since: dt.date = FIRST, until: dt.date = LAST, **given: Any
) -> Tally:
    """Backfill the daily report."""
    bench_ = workshop(folder, records, report(folder, deliver=["ops"]), clock=Clock(NOON), make=make)
    return backfills.backfill(bench_, "daily", since, until, progress=given.pop("progress", False), **given)


def test_each_is_made_as_it_would_have_been(folder: Path, records: Records) -> None:
    """Both days are inclusive, each period once, as of its own end, and nothing is delivered unless it is asked for."""
    make = Maker()
    tally = backfill(folder, records, make)
    days = [str(FIRST + dt.timedelta(days=day)) for day in range(10)]
    assert sorted(make.periods) == days
    assert (dict(tally.endings), tally.there, tally.good) == ({"made": 10}, 0, True)
    assert all(asked["at"] == asked["known_at"] == asked["period"].end for asked in make.asked)
    assert all(asked["params"] == {"day": asked["period"].name} for asked in make.asked)
    found = records.runs("daily")
    assert {(run.reason, run.deliver, run.scheduled) for run in found} == {("backfill", (), False)}
    backfill(folder, records, make, dt.date(2013, 1, 11), dt.date(2013, 1, 11), deliver=True)
    assert records.runs("daily")[-1].deliver == ("ops",)


def test_one_that_was_interrupted_goes_on_where_it_was(folder: Path, records: Records) -> None:
    """Pages that are there stay; a second backfill of the same days makes the others, a third one nothing."""
    plain = Maker()

    def make(*given: Any, **more: Any) -> Any:
        made = plain(*given, **more)
        if len(plain.asked) == 4:
            bench_.cancelled.set()
        return made

    bench_ = workshop(folder, records, report(folder), clock=Clock(NOON), make=make)
    tally = backfills.backfill(bench_, "daily", FIRST, LAST, most=1, progress=False)
    assert dict(tally.endings) == {"made": 4, "interrupted": 6}
    tally = backfill(folder, records, plain)
    assert (dict(tally.endings), tally.there) == ({"made": 6}, 4)
    assert len(set(plain.periods)) == len(plain.periods) == 10
    tally = backfill(folder, records, plain)
    assert (dict(tally.endings), tally.there, tally.good) == ({}, 10, True)


def test_failures_are_counted_and_tried_anew_by_the_next(folder: Path, records: Records) -> None:
    """The others are made all the same."""
    make = Maker(fails={"2013-01-03": 1, "2013-01-07": 1})
    tally = backfill(folder, records, make)
    assert (dict(tally.endings), sorted(tally.failed), tally.good) == (
        {"made": 8, "failed": 2},
        ["2013-01-03", "2013-01-07"],
        False,
    )
    tally = backfill(folder, records, make)
    assert (dict(tally.endings), tally.there, tally.good) == ({"made": 2}, 8, True)


def test_what_a_schedule_has_skipped_is_made(folder: Path, records: Records) -> None:
    """A backfill fills the gaps that ``catch_up`` has left; the schedule goes on as before."""
    make, clock, one = Maker(), Clock(NOON), report(folder, catch_up="latest")
    rounds.round(workshop(folder, records, one, clock=clock, make=make))
    clock.forward(days=3)
    bench_ = workshop(folder, records, one, clock=clock, make=make)
    rounds.round(bench_)
    assert make.periods == ["2013-02-09", "2013-02-12"]
    tally = backfills.backfill(bench_, "daily", dt.date(2013, 2, 9), dt.date(2013, 2, 12), progress=False)
    assert (dict(tally.endings), tally.there) == ({"made": 2}, 2)
    assert rounds.round(bench_).endings == []


def test_a_schedule_does_not_deliver_what_a_backfill_left_unfinished(folder: Path, records: Records) -> None:
    """A run of the schedule's own time that a backfill has begun is brought to its end, without a message."""
    clock, make, one = Clock(NOON), Maker(), report(folder, deliver=["ops"])
    rounds.round(workshop(folder, records, one, clock=clock, make=make))
    clock.forward(days=1)
    bench_ = workshop(folder, records, one, clock=clock, make=Maker(error=KeyboardInterrupt()))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        backfills.backfill(bench_, "daily", dt.date(2013, 2, 10), dt.date(2013, 2, 10), progress=False)
    (run,) = records.open_runs()
    assert (run.status, run.reason) == ("running", "backfill")
    rounds.round(workshop(folder, records, one, clock=clock, make=make))
    run = records.runs("daily")[-1]
    assert (run.period, run.status, run.reason, run.deliver) == ("2013-02-10", "ok", "backfill", ())


def test_a_schedule_leaves_alone_what_it_was_not_asked_for(folder: Path, records: Records) -> None:
    """What a backfill of a time before the schedule has left unfinished is the next backfill's."""
    bench_ = workshop(folder, records, report(folder), clock=Clock(NOON), make=Maker(error=KeyboardInterrupt()))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        backfills.backfill(bench_, "daily", FIRST, FIRST, progress=False)
    make = Maker()
    rounds.round(workshop(folder, records, report(folder), clock=Clock(NOON), make=make))
    assert make.periods == ["2013-02-09"]
    assert [run.period for run in records.open_runs()] == [str(FIRST)]


def test_they_are_made_at_once_but_not_too_many(folder: Path, records: Records) -> None:
    """As many as are asked for work at the same time, and they report how far they have come."""
    plain, lock, at_once, most = Maker(), threading.Lock(), 0, 0
    barrier, told = threading.Barrier(3, timeout=30), []

    def make(*given: Any, **more: Any) -> Any:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        barrier.wait()
        made = plain(*given, **more)
        with lock:
            at_once -= 1
        return made

    backfill(folder, records, make, until=dt.date(2013, 1, 9), most=3, progress=lambda *step: told.append(step))
    assert most == 3
    assert told == [(f"daily: {number} of 9", number / 9) for number in range(1, 10)]


def test_a_full_disk_is_told_for_each(folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be recorded is an error of that period."""

    def full(*_: Any) -> None:
        raise StoreFull("the disk of log is full", hint="Free some space.")

    monkeypatch.setattr(Records, "append", full)
    tally = backfill(folder, records, Maker(), until=dt.date(2013, 1, 2))
    assert sorted(tally.errors) == [f"2013-01-0{day}: the disk of log is full Free some space." for day in (1, 2)]
    assert not tally.good


def test_periods_that_are_not_over_are_not_made(folder: Path, records: Records) -> None:
    """The day whose report is due tomorrow is left out; if there is no other, that is said."""
    make = Maker()
    backfill(folder, records, make, dt.date(2013, 2, 9), dt.date(2013, 2, 12))
    assert make.periods == ["2013-02-09"]
    with pytest.raises(
        InvalidArgument, match="no period from 2013-02-10 to 2013-02-12 that is over: the first is due at 2013-02-11"
    ):
        backfill(folder, records, make, dt.date(2013, 2, 10), dt.date(2013, 2, 12))


def test_what_means_nothing_is_refused(folder: Path, records: Records) -> None:
    """Days the wrong way round, days without a period, and a report that there is not, with the nearest name."""
    with pytest.raises(InvalidArgument, match="2013-01-10 is after 2013-01-01"):
        backfill(folder, records, Maker(), LAST, FIRST)
    bench_ = workshop(
        folder,
        records,
        clock=Clock(NOON),
        make=Maker(),
        configuration=configuration(folder, report(folder), report(folder, "monthly", cron="0 0 1 * *", period=None)),
    )
    with pytest.raises(InvalidArgument, match="none begins then"):
        backfills.backfill(bench_, "monthly", dt.date(2013, 1, 5), dt.date(2013, 1, 6))
    with pytest.raises(InvalidArgument, match=r"no report 'dayly'\. Did you mean 'daily'"):
        backfills.backfill(bench_, "dayly", FIRST, LAST)


def test_a_full_disk_of_the_index_takes_nothing_from_what_was_made(
    folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tally is there, and says that the page of all reports could not be written."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shelves, "refresh", full)
    tally = backfill(folder, records, Maker())
    assert (dict(tally.endings), tally.errors, tally.good) == ({"made": 10}, [], False)
    assert tally.troubles == ["[Errno 28] No space left on device"]


def test_what_is_to_be_delivered_is_delivered_at_its_end(
    folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, not with the next round, if that was asked for; what could not be delivered is counted."""
    counts = deliveries.Counts(sent=9, failed=1, told=["ops: 9 sent, 1 failed"])
    waiting: list[int] = []

    def deliver(_configuration: object, given: Records, **_: object) -> deliveries.Counts:
        waiting.append(len(outboxes.outbox(given).waiting()))
        return counts

    monkeypatch.setattr(deliveries, "deliver", deliver)
    one = report(folder, deliver=["ops"])
    channels = {"ops": Channel(name="ops", type="webhook", options={"url": "http://[::1]:9"})}
    bench_ = workshop(
        folder, records, clock=Clock(NOON), make=Maker(), configuration=configuration(folder, one, channels=channels)
    )
    backfills.backfill(bench_, "daily", LAST, LAST, progress=False)
    assert waiting == []
    tally = backfills.backfill(bench_, "daily", FIRST, LAST, progress=False, deliver=True)
    assert waiting == [9]
    assert (tally.told, tally.undelivered, tally.good) == (counts.told, 1, False)


def test_what_another_backfill_has_failed_to_make_meanwhile_is_left(folder: Path, records: Records) -> None:
    """Two at once try a period once between them; one that begins later tries it anew."""
    make = Maker(fails={"2013-01-02": 1})

    def slow(*given: Any, **more: Any) -> Any:
        if not make.asked:  # the other one begins and ends while we make our first
            with Records.open(folder / "log") as others:
                backfill(folder, others, make, dt.date(2013, 1, 2), dt.date(2013, 1, 3))
        return make(*given, **more)

    tally = backfill(folder, records, slow, until=dt.date(2013, 1, 3), most=1)
    assert sorted(make.periods) == ["2013-01-01", "2013-01-02", "2013-01-03"]
    assert dict(tally.endings) == {"made": 1, "elsewhere": 2}
    tally = backfill(folder, records, make, until=dt.date(2013, 1, 3))
    assert (dict(tally.endings), tally.there) == ({"made": 1}, 2)


def test_what_was_killed_is_made_last_and_alone(folder: Path, records: Records) -> None:
    """As in a round of the schedule: it may be what kills."""
    bench_ = workshop(folder, records, report(folder), clock=Clock(NOON), make=Maker(error=KeyboardInterrupt()))  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        backfills.backfill(bench_, "daily", FIRST, FIRST, progress=False)
    make = Maker()
    backfill(folder, records, make, until=dt.date(2013, 1, 3))
    assert make.periods[-1] == str(FIRST)
    begun = {run.period: run.alone for run in records.runs("daily")}
    assert begun == {"2013-01-01": True, "2013-01-02": False, "2013-01-03": False}
