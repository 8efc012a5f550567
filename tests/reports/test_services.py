"""Services: a schedule in the foreground wakes when something is due, goes on whatever happens, and reads its file again."""

from __future__ import annotations

import datetime as dt
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from workbenches import Clock, Maker, bench, configuration, report, workshop

from eventlab.errors import StoreFull
from eventlab.reports.configuration import configurations
from eventlab.reports.configuration.configurations import Channel
from eventlab.reports.delivery import deliveries
from eventlab.reports.ledger.records import Records
from eventlab.reports.schedule import crews, rounds, services, shelves
from eventlab.reports.schedule.services import Service, _watch_clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOON = dt.datetime(2013, 2, 10, 17, tzinfo=dt.UTC)  # in New York

FILE = """
log = "log"
[[report]]
name = "daily"
function = "workbenches:nothing"
store = "store"
cron = "{cron}"
timezone = "America/New_York"
period = "1d"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with an empty runs log and a store; no index page is written."""
    monkeypatch.setattr(shelves, "refresh", lambda *_: [])
    return bench(tmp_path)


@pytest.fixture
def records(folder: Path) -> Iterator[Records]:
    """Yield the runs log."""
    with Records.open(folder / "log") as opened:
        yield opened


def test_reports_are_made_when_they_are_due(folder: Path, records: Records) -> None:
    """By the machine's own clock: a report of each second is made until the service ends, which it does at once."""
    make, said = Maker(), []
    one = report(folder, every=dt.timedelta(seconds=1))
    bench_ = workshop(folder, records, one, clock=lambda: dt.datetime.now(dt.UTC), make=make)
    thread = threading.Thread(target=Service(bench_, said.append).run)
    thread.start()
    deadline = time.monotonic() + 30
    while len(make.asked) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    bench_.cancelled.set()
    thread.join(30)
    assert not thread.is_alive()
    dues = sorted(asked["period"].due for asked in make.asked)
    assert dues == list(one.schedule.dues(dues[0] - dt.timedelta(seconds=1), dues[-1]))
    assert sorted(said) == sorted(f"daily, {period}: made" for period in make.periods)
    assert all(run.started_at is not None and run.started_at >= run.due for run in records.runs())


def test_a_round_is_woken_when_something_is_due_and_twice_a_minute(
    folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next due time, the next try of a delivery, or half a minute: whichever comes first, and never the past."""
    retry: list[dt.datetime | None] = [None]
    monkeypatch.setattr(deliveries, "next_try", lambda _records: retry[0])
    channels = {"ops": Channel(name="ops", type="webhook", options={})}
    settings = configuration(
        folder, report(folder), report(folder, "off", enabled=False, cron="* * * * *"), channels=channels
    )
    service = Service(
        workshop(folder, records, clock=Clock(), make=Maker(), configuration=settings), lambda _line: None
    )
    due = dt.datetime(2013, 2, 10, 11, tzinfo=dt.UTC)
    seconds = dt.timedelta(seconds=1)
    assert service.wake(due - 10 * seconds) == due
    assert service.wake(due) == due + 30 * seconds
    retry[0] = due + 5 * seconds
    assert service.wake(due) == due + 5 * seconds
    assert service.wake(due + 5 * seconds) == due + 35 * seconds, "a try that is late is no reason to wake without end"


def test_what_goes_wrong_is_told_and_the_next_round_is_done(
    folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, a defect: a line each, and the run is made as soon as it can be."""
    errors: list[Exception] = [StoreFull("the disk of log is full", hint="Free some space."), ZeroDivisionError("ours")]
    append, said = Records.append, []

    def failing(self: Records, *writes: Any) -> Any:
        if errors:
            raise errors.pop(0)
        return append(self, *writes)

    monkeypatch.setattr(Records, "append", failing)
    service = Service(workshop(folder, records, report(folder), clock=Clock(NOON), make=Maker()), said.append)
    for _ in range(3):
        service.round()
    assert said == [
        "error: the disk of log is full Free some space.",
        "error: ZeroDivisionError: ours",
        "daily, 2013-02-09: made",
    ]


def test_the_file_is_read_again_when_it_changes(folder: Path, records: Records) -> None:
    """A schedule that is changed holds from the next round on; one that cannot be read is told, and the old one stays."""
    path, said = folder / "reports.toml", []
    path.write_text(FILE.format(cron="0 6 * * *"))
    clock, make = Clock(NOON), Maker()
    service = Service(
        workshop(folder, records, clock=clock, make=make, configuration=configurations.load(path)), said.append
    )
    service.begin()
    service.round()
    assert make.periods == ["2013-02-09"]
    path.write_text(FILE.format(cron="0 6 * * * * *"))
    service.round()
    assert said[-1].startswith("error: ")
    assert "cron" in said[-1]
    path.write_text(FILE.format(cron="0 9 10 * *"))
    service.round()
    assert said[-1] == f"{path} has changed: 1 report on schedule"
    assert service.workshop.configuration.reports["daily"].cron == "0 9 10 * *"
    path.unlink()
    service.round()
    assert said[-1].startswith("error: ")
    service.round()
    assert service.workshop.configuration.reports["daily"].cron == "0 9 10 * *"


def test_a_clock_that_is_set_back_does_not_put_off_the_next_round() -> None:
    """A round that would be in an hour, by a clock that was an hour ahead, is woken now."""

    class Job:
        next_run_time: dt.datetime | None = None

        def modify(self, *, next_run_time: dt.datetime) -> None:
            self.next_run_time = next_run_time

    job, now = Job(), dt.datetime.now(dt.UTC)
    job.next_run_time = now + dt.timedelta(hours=1)
    _watch_clock(job)
    assert job.next_run_time < now + dt.timedelta(seconds=5)
    job.next_run_time = soon = now + dt.timedelta(seconds=20)
    _watch_clock(job)
    assert job.next_run_time == soon


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_what_runs_and_the_second_one_ends_all(number: signal.Signals) -> None:
    """The first sets the event by which the work ends; handlers are as they were afterwards."""
    cancelled, before = threading.Event(), signal.getsignal(number)
    handled: list[int] = []

    def mine(*_: object) -> None:
        handled.append(1)

    signal.signal(number, mine)
    try:
        with crews.interruptible(cancelled):
            pass
        assert signal.getsignal(number) is mine
        with crews.interruptible(cancelled):
            os.kill(os.getpid(), number)
            assert cancelled.wait(5)
            assert handled == []
            os.kill(os.getpid(), number)
            deadline = time.monotonic() + 5
            while not handled and time.monotonic() < deadline:
                time.sleep(0.01)
        assert handled == [1]
    finally:
        signal.signal(number, before)


def test_work_in_other_threads_is_ended_before_an_interruption_goes_on() -> None:
    """Who waits for several runs and is interrupted ends them, and leaves when the last of them has."""
    cancelled, ended = threading.Event(), []

    def work(number: int) -> int:
        if number:
            cancelled.wait(30)
        ended.append(number)
        return number

    with pytest.raises(KeyboardInterrupt):
        for item, result in crews.each([0, 1, 2, 3], work, cancelled=cancelled, most=2):
            assert (item, result) == (0, 0)
            raise KeyboardInterrupt
    assert sorted(ended)[:2] == [0, 1]
    assert cancelled.is_set()


def test_a_round_that_is_ended_delivers_nothing_more(
    folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is begun after the service was told to end."""
    monkeypatch.setattr(shelves, "refresh", lambda *_: pytest.fail("the index page can wait"))
    bench_ = workshop(folder, records, report(folder), clock=Clock(NOON), make=(make := Maker()))
    bench_.cancelled.set()
    outcome = rounds.round(bench_)
    assert [ending for _, ending in outcome.endings] == ["interrupted"]
    assert make.asked == []


def test_a_service_says_what_was_delivered_although_nothing_was_due() -> None:
    """After the runs, before what went wrong."""
    outcome = rounds.Outcome(told=["ops: 1 sent"], errors=["the disk is full"])
    assert services.told(outcome) == ["ops: 1 sent", "error: the disk is full"]
