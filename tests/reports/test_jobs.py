"""Jobs: one run, claimed, tried as often as it may be, and recorded once."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import threading
from typing import TYPE_CHECKING, Any

import pytest
from workbenches import START, Clock, Maker, bench, report, workshop, write

import eventlab as el
from eventlab.reports.calendar.periods import Period
from eventlab.reports.configuration.configurations import Channel
from eventlab.reports.execution.executions import Cancelled
from eventlab.reports.ledger import claims, publications, runs
from eventlab.reports.ledger.records import Records
from eventlab.reports.schedule import jobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY, NEXT = (Period(START + dt.timedelta(days=day), START + dt.timedelta(days=day + 1)) for day in (0, 1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an empty runs log and a store."""
    return bench(tmp_path)


@pytest.fixture
def records(folder: Path) -> Iterator[Records]:
    """Yield the runs log."""
    with Records.open(folder / "log") as opened:
        yield opened


def told(records: Records) -> list[str]:
    """Return the types of the run's events."""
    return [event.event_type for event in records.log.stream(runs.stream("daily", DAY.name))]


def test_files_are_written_before_it_is_recorded_that_they_are(folder: Path, records: Records) -> None:
    """When the page is written the run is still running; the record names it."""

    def watched(*given: Any) -> list[Path]:
        (run,) = records.open_runs()
        assert run.status == "running"
        return write(*given)

    bench_ = workshop(
        folder, records, one := report(folder, to=["html", "md"]), clock=Clock(), make=Maker(), write=watched
    )
    assert jobs.perform(bench_, one, DAY, reason="scheduled") == "made"
    run = records.run("daily", DAY.name)
    assert run is not None
    assert run.files == ("daily/2013-01-01.html", "daily/2013-01-01.md")
    assert all((folder / "reports" / file).is_file() for file in run.files)
    assert told(records) == ["RunStarted", "RunFinished"]


def test_a_claim_keeps_others_out_while_it_is_held(tmp_path: Path) -> None:
    """Threads and open files alike; afterwards it can be had again, and its file is gone."""
    with claims.claim(tmp_path, "run-a") as mine:
        assert mine
        with claims.claim(tmp_path, "run-a") as again, claims.claim(tmp_path, "run-b") as other:
            assert (again, other) == (False, True)
        assert len(list(tmp_path.iterdir())) == 1
    with claims.claim(tmp_path, "run-a") as mine:
        assert mine
    assert list(tmp_path.iterdir()) == []


def test_a_claim_is_had_by_one_of_many(tmp_path: Path) -> None:
    """However they crowd, never two of them hold it at once; who waits gets it."""
    holders, most, had = 0, 0, 0
    lock = threading.Lock()

    def crowd(wait: bool) -> None:
        nonlocal holders, most, had
        for _ in range(100):
            with claims.claim(tmp_path, "run-a", wait=wait) as mine:
                if mine:
                    with lock:
                        holders += 1
                        most, had = max(most, holders), had + 1
                    with lock:
                        holders -= 1

    threads = [threading.Thread(target=crowd, args=(number < 2,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert had >= 200


def test_a_lock_that_was_released_while_it_was_taken_is_not_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who locks a file that its holder deletes at that moment locks the next one, which all others see."""
    holder = contextlib.ExitStack()
    assert holder.enter_context(claims.claim(tmp_path, "run-a"))
    flock = fcntl.flock

    def late(*given: Any) -> None:
        holder.close()
        flock(*given)

    monkeypatch.setattr(claims.fcntl, "flock", late)
    with claims.claim(tmp_path, "run-a") as mine, claims.claim(tmp_path, "run-a") as other:
        assert (mine, other) == (True, False)


def test_a_run_that_is_claimed_is_elsewhere(folder: Path, records: Records) -> None:
    """While another one holds its lock, nothing is recorded and nothing is made."""
    bench_ = workshop(folder, records, one := report(folder), clock=Clock(), make=(make := Maker()))
    with claims.claim(records.path / "locks", runs.stream("daily", DAY.name)):
        assert jobs.perform(bench_, one, DAY, reason="scheduled") == "elsewhere"
    assert (make.asked, told(records)) == ([], [])


def test_a_settled_run_is_left_alone_unless_it_failed_and_is_asked_for_again(folder: Path, records: Records) -> None:
    """``again`` makes one that had failed by then, never one that failed since, or has its page."""
    make = Maker(fails={DAY.name: 1})
    bench_ = workshop(folder, records, one := report(folder), clock=Clock(), make=make)
    assert jobs.perform(bench_, one, DAY, reason="scheduled") == "failed"
    failed = folder / "reports/daily/2013-01-01.failed.html"
    assert failed.is_file()
    assert jobs.perform(bench_, one, DAY, reason="scheduled") == "elsewhere"
    head = records.log.position
    assert jobs.perform(bench_, one, DAY, reason="backfill", again=head - 1) == "elsewhere"
    assert jobs.perform(bench_, one, DAY, reason="backfill", again=head) == "made"
    assert not failed.exists()
    assert jobs.perform(bench_, one, DAY, reason="backfill", again=head + 2) == "elsewhere"
    assert told(records) == ["RunStarted", "RunFailed", "RunStarted", "RunFinished"]


def test_attempts_are_made_with_longer_and_longer_pauses(folder: Path, records: Records) -> None:
    """As many as the report says, all recorded; the last failure is final and has the traceback."""
    make, pauses = Maker(fails={DAY.name: 99}), []
    one = report(folder, retries=7, deliver=["ops"])
    bench_ = workshop(folder, records, one, clock=Clock(), make=make, sleep=pauses.append)
    assert jobs.perform(bench_, one, DAY, reason="scheduled") == "failed"
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert told(records) == ["RunStarted", "RunFailed"] * 8
    failures = [event.payload for event in records.log.stream(runs.stream("daily", DAY.name))][1::2]
    assert [failure["final"] for failure in failures] == [False] * 7 + [True]
    assert failures[-1].items() >= {"kind": "error", "message": "ValueError: no", "cell": 2, "attempt": 8}.items()
    assert failures[-1]["deliver"] == ["ops"]
    assert "deliver" not in failures[0]


def test_an_attempt_that_succeeds_ends_the_others(folder: Path, records: Records) -> None:
    """A run that failed once is made, and says that it took two attempts."""
    make = Maker(fails={DAY.name: 1})
    bench_ = workshop(folder, records, one := report(folder, retries=3), clock=Clock(), make=make)
    assert jobs.perform(bench_, one, DAY, reason="scheduled") == "made"
    run = records.run("daily", DAY.name)
    assert run is not None
    assert (run.attempts, run.status) == (2, "ok")


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_an_interruption_is_no_attempt(folder: Path, records: Records, how: str) -> None:
    """A run that is ended from outside, also if Ctrl-C reached its own process first, is made later with all of its attempts."""
    plain = Maker(
        fails={DAY.name: 1} if how == "failed" else {}, error=Cancelled("stopped") if how == "cancelled" else None
    )

    def make(*given: Any, **more: Any) -> Any:
        bench_.cancelled.set()
        return plain(*given, **more)

    bench_ = workshop(folder, records, one := report(folder), clock=Clock(), make=make)
    assert jobs.perform(bench_, one, DAY, reason="scheduled") == "interrupted"
    (run,) = records.open_runs()
    assert (run.status, run.why, run.attempts, run.kills) == ("abandoned", "interrupted", 0, 0)
    assert jobs.perform(bench_, one, NEXT, reason="scheduled") == "interrupted"
    assert len(plain.asked) == 1, "nothing is begun any more"
    plain.error = None
    bench_.cancelled.clear()
    assert jobs.perform(bench_, one, DAY, reason="scheduled") == "made"
    assert told(records) == ["RunStarted", "RunAbandoned", "RunStarted", "RunFinished"]


def test_an_interruption_ends_the_pause_between_attempts(folder: Path, records: Records) -> None:
    """What failed before goes on with its second attempt later."""
    make = Maker(fails={DAY.name: 1})
    one = report(folder, retries=1)
    bench_ = workshop(folder, records, one, clock=Clock(), make=make, sleep=None)
    threading.Timer(0.2, bench_.cancelled.set).start()
    assert jobs.perform(bench_, one, DAY, reason="scheduled") == "interrupted"
    bench_.cancelled.clear()
    assert jobs.perform(bench_, one, DAY, reason="scheduled") == "made"
    assert told(records) == ["RunStarted", "RunFailed", "RunStarted", "RunFinished"]


def begin(records: Records, period: Period, attempt: int, *, alone: bool) -> None:
    """Record that a run begins, as a process does that is killed then."""
    told = {**runs.key("daily", period), "reason": "scheduled", "attempt": attempt, "alone": alone}
    records.append((runs.stream("daily", period.name), None, el.Event("RunStarted", told)))


def abandon(records: Records, period: Period, attempt: int, why: str = "killed") -> None:
    """Record that a run was found to be abandoned."""
    told = {**runs.key("daily", period), "attempt": attempt, "why": why}
    records.append((runs.stream("daily", period.name), None, el.Event("RunAbandoned", told)))


def test_a_run_whose_process_was_killed_is_made_again(folder: Path, records: Records) -> None:
    """However often: what was made beside it may have killed it."""
    bench_ = workshop(folder, records, one := report(folder), clock=Clock(), make=(make := Maker()))
    for attempt in range(1, 20):
        begin(records, DAY, attempt, alone=False)
        abandon(records, DAY, attempt)
    begin(records, DAY, 20, alone=False)
    assert jobs.perform(bench_, one, DAY, reason="scheduled", alone=True) == "made"
    assert told(records)[-4:] == ["RunStarted", "RunAbandoned", "RunStarted", "RunFinished"]
    begun = [
        event.payload["alone"]
        for event in records.log.stream(runs.stream("daily", DAY.name))
        if "alone" in event.payload
    ]
    assert begun == [False] * 20 + [True]
    assert len(make.asked) == 1


@pytest.mark.parametrize("reset", ["beside others", "failed", "the last beside others", ""])
def test_a_run_that_was_killed_alone_too_often_has_failed(folder: Path, records: Records, reset: str) -> None:
    """Eight times in a row; that it was killed and has failed is one append, so that no kill comes between."""
    bench_ = workshop(folder, records, one := report(folder), clock=Clock(), make=(make := Maker()))
    for attempt in range(1, 8):
        begin(records, DAY, attempt, alone=not (reset == "beside others" and attempt == 4))
        abandon(records, DAY, attempt)
        if reset == "failed" and attempt == 4:
            begin(records, DAY, attempt, alone=True)
            failed = {"reason": "scheduled", "attempt": attempt, "final": False, "kind": "error"}
            event = el.Event("RunFailed", {**runs.key("daily", DAY), **failed})
            records.append((runs.stream("daily", DAY.name), None, event))
    begin(records, DAY, 8, alone=True)
    abandon(records, DAY, 8, why="interrupted")  # says nothing of the run
    begin(records, DAY, 8, alone=reset != "the last beside others")
    appends, append = [], records.append
    records.append = lambda *writes: (appends.append([event.type for *_, event in writes]), append(*writes))[1]  # type: ignore[method-assign]
    expected = "made" if reset else "failed"
    assert jobs.perform(bench_, one, DAY, reason="scheduled", alone=True) == expected
    run = records.run("daily", DAY.name)
    assert run is not None
    assert len(make.asked) == (1 if reset else 0)
    if not reset:
        assert appends == [["RunAbandoned", "RunFailed"]]
        message = "the process that made it, and nothing else, was killed 8 times in a row"
        assert (run.status, run.kind, run.message) == ("failed", "dead", message)
        assert jobs.perform(bench_, one, DAY, reason="backfill", again=records.log.position) == "made"


@pytest.mark.parametrize("moment", ["start", "finish"])
def test_a_rival_that_sees_no_lock_does_not_double_a_run(folder: Path, records: Records, moment: str) -> None:
    """If another process has appended to the run's stream, on a file system without locks, it has it: we record nothing."""
    plain, place = Maker(), runs.stream("daily", DAY.name)
    event = el.Event("RunStarted", {**runs.key("daily", DAY), "reason": "scheduled", "attempt": 2})

    def make(*given: Any, **more: Any) -> Any:
        if moment == "finish":
            with Records.open(folder / "log") as rival:
                rival.append((place, None, event))
        return plain(*given, **more)

    bench_ = workshop(folder, records, one := report(folder), clock=Clock(), make=make)
    if moment == "start":
        whole = records.run

        def late(*key: str) -> Any:
            found = whole(*key)
            with Records.open(folder / "log") as rival:
                rival.append((place, None, event))
            return found

        records.run = late  # type: ignore[method-assign]
    assert jobs.perform(bench_, one, DAY, reason="scheduled") == "elsewhere"
    assert "RunFinished" not in told(records)


def test_a_run_is_as_known_when_it_was_due_if_the_log_was_being_recorded(folder: Path, records: Records) -> None:
    """The store's first event was recorded in July 2012: what was due before is as of all that is recorded, imported history."""
    make = Maker()
    bench_ = workshop(folder, records, one := report(folder), clock=Clock(), make=make)
    old = Period(START.replace(year=2012), START.replace(year=2012, day=2))
    for period in (DAY, old):
        jobs.perform(bench_, one, period, reason="backfill")
    assert [(asked["at"], asked["known_at"]) for asked in make.asked] == [(DAY.end, DAY.end), (old.end, None)]
    run = records.run("daily", old.name)
    assert run is not None
    assert (run.at, run.known_at) == (old.end, None)


def test_what_is_wrong_around_a_report_is_its_failure(folder: Path, records: Records) -> None:
    """A source that is not there, a store that is not there, or a defect of ours: recorded with the traceback."""
    for number, (given, error, expected) in enumerate(
        [
            ({"source": "nowhere:nothing"}, None, "InvalidArgument"),
            ({"store": folder / "nowhere"}, None, "StoreNotFound"),
            ({}, ZeroDivisionError("ours"), "ZeroDivisionError: ours"),
        ]
    ):
        one = report(folder, f"daily{number}")
        one = type(one)(**{**vars(one), **given})
        bench_ = workshop(folder, records, one, clock=Clock(), make=Maker(error=error))
        assert jobs.perform(bench_, one, DAY, reason="scheduled") == "failed"
        run = records.run(one.name, DAY.name)
        assert run is not None
        assert run.message.startswith(expected)
        assert "Traceback" in run.traceback
        assert (folder / "reports" / (run.page or "")).is_file()


def test_a_failure_is_recorded_also_if_there_is_no_page_of_it(
    folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, or a defect of the page: the record says both what failed and why there is no page."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(publications, "publish_failure", full)
    make = Maker(fails={DAY.name: 1})
    bench_ = workshop(folder, records, one := report(folder, deliver=["ops"]), clock=Clock(), make=make)
    assert jobs.perform(bench_, one, DAY, reason="scheduled") == "failed"
    run = records.run("daily", DAY.name)
    assert run is not None
    assert (run.message, run.page, run.deliver) == ("ValueError: no", None, ("ops",))
    assert run.traceback.startswith("Traceback: no")
    assert "There is no page of it" in run.traceback
    assert "No space left on device" in run.traceback


def test_a_title_may_name_the_day(folder: Path, records: Records) -> None:
    """The title of the configuration has the values of the period."""
    bench_ = workshop(folder, records, one := report(folder, title="On {{ date }}"), clock=Clock(), make=Maker())
    jobs.perform(bench_, one, DAY, reason="scheduled")
    run = records.run("daily", DAY.name)
    assert run is not None
    assert run.title == "On 2013-01-01"


def test_what_is_mailed_is_kept_beside_the_page(folder: Path, records: Records) -> None:
    """Of a run and of a failure, where a channel of the report sends mail; the delivery may try for hours."""
    make = Maker(fails={DAY.name: 1})
    one = report(folder, retries=0, deliver=["mail", "ops"])
    bench_ = workshop(folder, records, one, clock=Clock(), make=make)
    bench_.configuration.channels.update(
        mail=Channel(name="mail", type="smtp", options={}), ops=Channel(name="ops", type="webhook", options={})
    )
    for expected, subject in (("2013-01-01.failed", "Failed"), ("2013-01-01", "Nothing in particular")):
        jobs.perform(bench_, one, DAY, reason="scheduled", again=records.log.position)
        run = records.run("daily", DAY.name)
        assert run is not None
        assert run.mail == f"daily/{expected}.mail.json"
        mail = publications.read_mail(folder / "reports" / run.mail)
        assert subject in mail["subject"]
        assert set(mail) == {"subject", "html", "text", "images"}
    assert not (folder / "reports/daily/2013-01-01.failed.mail.json").exists()
