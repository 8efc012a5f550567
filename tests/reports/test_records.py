"""Records: the runs log is folded into runs, known at once to every process that has it open, and open to SQL."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from workbenches import START, Maker, bench, report

import eventlab as el
from eventlab.errors import StoreNotFound, WrongExpectedVersion
from eventlab.reports.calendar.periods import Period
from eventlab.reports.execution import sources
from eventlab.reports.figures import Figure
from eventlab.reports.ledger import happenings, runs
from eventlab.reports.ledger.publications import Published
from eventlab.reports.ledger.records import Records, Standing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = dt.timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an empty runs log and a store."""
    return bench(tmp_path)


@pytest.fixture
def records(folder: Path) -> Iterator[Records]:
    """Yield the runs log."""
    with Records.open(folder / "log") as opened:
        yield opened


def period(number: int) -> Period:
    """Return a day of 2013, from 0."""
    return Period(START + number * DAY, START + (number + 1) * DAY)


def events(number: int, *kinds: str, name: str = "daily", **given: Any) -> list[tuple[str, int | None, el.Event]]:
    """Return events of a run, with what each kind needs."""
    needed = {
        "RunPlanned": {"reason": "scheduled"},
        "RunStarted": {"reason": "scheduled", "attempt": 1},
        "RunFinished": {
            "reason": "scheduled",
            "version": 1,
            "basis": "b",
            "out": "reports",
            "files": [f"{name}/x.html"],
        },
        "RunFailed": {"reason": "scheduled", "attempt": 1, "final": True, "kind": "error", "message": "no"},
        "RunAbandoned": {"attempt": 1, "why": "killed"},
        "RunSkipped": {"why": "too late"},
    }
    key, place = runs.key(name, period(number)), runs.stream(name, period(number).name)
    return [(place, None, el.Event(kind, {**key, **needed[kind], **given})) for kind in kinds]


def begun(name: str = "daily") -> tuple[str, int | None, el.Event]:
    """Return the beginning of a schedule with the first day."""
    return f"schedule-{name}", 0, el.Event("ReportScheduled", {"report": name, "since": period(0).due.isoformat()})


def test_a_run_is_what_its_events_say(records: Records) -> None:
    """Its status goes from planned to settled; what counts as an attempt is counted."""
    steps = [
        ("RunPlanned", {}, ("planned", 0, 0, 0)),
        ("RunStarted", {"attempt": 1}, ("running", 1, 0, 0)),
        ("RunFailed", {"attempt": 1, "final": False}, ("retrying", 1, 1, 0)),
        ("RunStarted", {"attempt": 2}, ("running", 2, 1, 0)),
        ("RunAbandoned", {"attempt": 2, "why": "interrupted"}, ("abandoned", 1, 1, 0)),
        ("RunStarted", {"attempt": 2}, ("running", 2, 1, 0)),
        ("RunAbandoned", {"attempt": 2, "why": "killed"}, ("abandoned", 2, 1, 1)),
        ("RunStarted", {"attempt": 3}, ("running", 3, 1, 1)),
        ("RunFinished", {"version": 1}, ("ok", 3, 1, 1)),
        ("RunFinished", {"version": 2, "reason": "restated"}, ("corrected", 3, 1, 1)),
    ]
    for kind, given, expected in steps:
        records.append(*events(0, kind, **given))
        run = records.run("daily", "2013-01-01")
        assert run is not None
        assert (run.status, run.attempts, run.failures, run.kills) == expected, kind
        assert records.open_runs() == ([] if run.settled else [run])
    assert (run.length, run.version, run.scheduled) == (len(steps), 2, True)


def test_a_run_that_failed_and_is_tried_anew_has_all_of_its_attempts(records: Records) -> None:
    """Failures and kills of the first time do not count for the second."""
    records.append(*events(0, "RunStarted", "RunAbandoned", "RunStarted", "RunFailed", "RunStarted"))
    (run,) = records.open_runs()
    assert (run.status, run.failures, run.kills) == ("running", 0, 0)


def test_figures_come_back_as_they_were(records: Records, folder: Path) -> None:
    """Each kind of value, with its label and unit, and the moments of the run."""
    figures = [
        Figure("whole", 472),
        Figure("exact", Decimal("12.50"), "An exact one", "EUR"),
        Figure("real", 0.1),
        Figure("endless", math.inf),
        Figure("day", START.date()),
        Figure("at", START),
        Figure("text", "it's"),
        Figure("yes", True),  # noqa: FBT003 - a figure's value
        Figure("nothing", None),
    ]
    made = Maker()(sources.source("workbenches:nothing"), folder, title="T", params={"top": 3}, period=period(0))
    made.execution.figures[:] = figures
    told = runs.finished(
        made,
        report(folder),
        Published(files=["daily/2013-01-01.html"], mail="daily/2013-01-01.mail.json"),
        reason="scheduled",
        deliver=["mail"],
        at=START + DAY,
        known_at=None,
    )
    place = runs.stream("daily", "2013-01-01")
    records.append((place, 0, el.Event("RunFinished", {**runs.key("daily", period(0)), **told})))
    run = records.run("daily", "2013-01-01")
    assert run is not None
    assert records.figures_of(run) == figures
    assert (run.at, run.known_at, run.deliver, run.params) == (START + DAY, None, ("mail",), {"top": 3})
    assert (run.out, run.files) == (str(folder / "reports"), ("daily/2013-01-01.html",))


def test_another_process_is_seen(folder: Path, records: Records) -> None:
    """What one appends is there for the other after ``sync``; who was slower is refused, and knows why."""
    with Records.open(folder / "log") as other:
        other.append(begun(), *events(0, "RunPlanned"))
        assert records.open_runs() == []
        with pytest.raises(WrongExpectedVersion):
            records.append((runs.stream("daily", "2013-01-01"), 0, events(0, "RunStarted")[0][2]))
        assert [run.status for run in records.open_runs()] == ["planned"]
        other.append(*events(0, "RunStarted", "RunFinished"))
        records.sync()
        assert records.open_runs() == []
        assert records.standing("daily") == Standing(period(0).due, period(0).due)


@pytest.mark.parametrize("sealed", [False, True])
def test_what_is_not_settled_is_known_after_opening_again(folder: Path, sealed: bool) -> None:
    """Whether its events are in the journal or in the lake: the open runs, and how far each schedule has come."""
    with Records.open(folder / "log") as records:
        records.append(begun(), begun("other"))
        for number, kinds in enumerate(
            [
                ("RunPlanned", "RunStarted", "RunFinished"),
                ("RunPlanned", "RunStarted"),
                ("RunPlanned",),
                ("RunPlanned", "RunStarted", "RunAbandoned"),
                ("RunPlanned", "RunStarted", "RunFailed"),
                ("RunSkipped",),
            ]
        ):
            records.append(*events(number, *kinds))
        records.append(*events(6, "RunStarted", "RunFailed", final=False))
        records.append(*events(9, "RunStarted", "RunFinished"))  # of a backfill
        expected = records.open_runs(), records.standing("daily"), records.standing("other")
        if sealed:
            records.log.seal()
            records.append(*events(7, "RunStarted"))
            expected = records.open_runs(), *expected[1:]
    with Records.open(folder / "log") as records:
        assert (records.open_runs(), records.standing("daily"), records.standing("other")) == expected
    assert [run.period[-2:] for run in expected[0]] == ["02", "03", "04", "07", *(["08"] if sealed else [])]
    assert expected[1] == Standing(period(0).due, period(5).due)
    assert expected[2] == Standing(period(0).due, period(0).due)


def test_what_was_sealed_meanwhile_is_taken_in(folder: Path, records: Records) -> None:
    """A process that looks again after others have sealed the log reads it from the lake."""
    with Records.open(folder / "log") as other:
        other.append(*events(0, "RunPlanned"))
        other.log.seal()
        other.append(*events(1, "RunPlanned"))
    records.sync()
    assert [run.period for run in records.open_runs()] == ["2013-01-01", "2013-01-02"]


def test_a_schedule_never_goes_back(records: Records) -> None:
    """It has come as far as the last due time, in whatever order they are recorded."""
    records.append(begun(), *events(5, "RunPlanned"))
    for number in (2, 7, 3):
        come = {"report": "daily", "due": period(number).due.isoformat()}
        records.append(("schedule-daily", None, el.Event("ScheduleAdvanced", come)))
    assert records.standing("daily") == Standing(period(0).due, period(7).due)


def test_runs_are_found_by_report_time_and_number(records: Records) -> None:
    """In the order in which they are due; a limit takes the newest."""
    for number in (3, 0, 1, 2):
        records.append(*events(number, "RunStarted", "RunFinished"))
        records.append(*events(number, "RunSkipped", name="other"))
    daily = [f"2013-01-0{number}" for number in (1, 2, 3, 4)]
    assert [run.period for run in records.runs("daily")] == daily
    assert len(records.runs()) == 8
    assert len(records.runs(["daily", "other"], limit=3)) == 3
    assert [run.period for run in records.runs("daily", limit=2)] == daily[2:]
    assert [run.period for run in records.runs("daily", since=period(1).start, until=period(3).start)] == daily[1:3]
    assert records.runs("nobody") == []
    assert records.run("daily", "2014-01-01") is None


def test_the_last_good_one_is_the_newest_with_a_page_before(records: Records) -> None:
    """Neither one that failed, nor a later one."""
    for number, kinds in enumerate(
        [("RunStarted", "RunFinished"), ("RunStarted", "RunFailed"), ("RunStarted", "RunFinished")]
    ):
        records.append(*events(number, *kinds))
    found = records.last_good("daily", period(2).due)
    assert found is not None
    assert found.period == "2013-01-01"
    assert records.last_good("daily", period(0).due) is None
    assert records.last_good("other", period(2).due) is None


def test_sql_asks_about_runs(records: Records) -> None:
    """The state ``runs`` has a row a run; each type of event is a view."""
    records.append(*events(0, "RunPlanned", "RunStarted", "RunFinished"), *events(1, "RunPlanned", name="a@b-c"))
    rows = records.log.sql("select report, period, status, version, epoch(due) from runs order by due").fetchall()
    assert rows == [
        ("daily", "2013-01-01", "ok", 1, period(0).due.timestamp()),
        ("a@b-c", "2013-01-02", "planned", 0, period(1).due.timestamp()),
    ]
    assert records.log.sql("select count(*) from run_failed").fetchall() == [(0,)]


def test_sql_says_nothing_of_what_went_wrong_before_a_run_was_made(folder: Path, records: Records) -> None:
    """The columns ``failure`` and ``why`` are of runs that are not good; a log with an older text of the state gets this one."""
    records.append(*events(0, "RunStarted", "RunAbandoned", "RunStarted", "RunFailed"))
    text = "select failure is null, why is null, status = 'ok' from runs"
    before = records.log.sql(text).fetchall()
    records.append((runs.stream("daily", "2013-01-01"), 4, events(0, "RunFinished")[0][2]))
    assert (before, records.log.sql(text).fetchall()) == ([(False, False, False)], [(True, True, True)])
    old = happenings.STATE.replace("arg_max_null", "arg_max")
    records.log.define_state("runs", old)
    assert records.log.sql(text).fetchall() == [(False, False, True)]
    with Records.open(folder / "log") as again:
        assert again.log.sql(text).fetchall() == [(True, True, True)]
        version = again.log.state("runs").version
    with Records.open(folder / "log") as once_more:
        assert once_more.log.state("runs").version == version


def test_a_log_that_is_only_read_is_not_made(tmp_path: Path) -> None:
    """Looking at what is not there makes nothing."""
    with pytest.raises(StoreNotFound):
        Records.open(tmp_path / "log", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_the_clock_is_the_tests(folder: Path) -> None:
    """Events are recorded at the time of the clock that is given."""
    with Records.open(folder / "log", clock=lambda: START) as records:
        records.append(*events(0, "RunStarted"))
        (run,) = records.open_runs()
        assert run.started_at == START
