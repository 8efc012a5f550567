"""Restatements: which issued reports would say something else now, by how much and why, and their corrected versions."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import shutil
import tempfile
import threading
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import workbenches
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eventlab as el
from eventlab import moments
from eventlab.reports import renders
from eventlab.reports.execution.executions import Cancelled
from eventlab.reports.ledger import claims
from eventlab.reports.ledger.records import Records
from eventlab.reports.schedule import jobs
from eventlab.reports.schedule.arrivals import arrivals
from eventlab.reports.schedule.restatements import restate
from eventlab.reports.schedule.workshops import Workshop
from eventlab.reports.verifications import verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventlab.reports.configuration.configurations import Report
    from eventlab.reports.renders import Made
    from eventlab.reports.schedule.restatements import Restatement

FIRST = dt.date(2013, 2, 9)
CODE = '''
"""A report."""

import eventlab as el


def payments(log, *, day: str = ""):
    """The payments of a day."""
    paid, total = log.sql(
        "select count(*), coalesce(sum(Paid.amount), 0) from events_effective"
        " where event_type = 'Paid' and occurred_at::date = $day::date", {"day": day}
    ).fetchall()[0]
    yield el.figure("paid", paid)
    yield el.figure("total", total, unit="EUR")
    yield el.figure("zone", log.sql("select current_setting('TimeZone')").fetchall()[0][0])


def silent(log):
    """Without a figure."""
    return "nothing to tell"
'''


@dataclass
class House:
    """A shop of three days with a payment a day, a report a day that was made when it was due, and what makes it."""

    folder: Path
    log: el.EventLog
    clock: workbenches.Clock
    records: Records
    report: Report
    others: list[Report] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    make: Any = renders.make
    write: Any = workbenches.write
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def workshop(self) -> Workshop:
        """What reports are made with; whatever is made is noted in ``asked``."""

        def make(source: Any, store: Path, **given: Any) -> Made:
            self.asked.append(given)
            made: Made = self.make(source, store, **given)
            return made

        return Workshop(
            configuration=workbenches.configuration(self.folder, self.report, *self.others),
            records=self.records,
            clock=self.clock,
            make=make,
            write=self.write,
            cancelled=self.cancelled,
        )

    def paid(self, event_id: str, day: int, amount: str) -> None:
        """Record a payment of a day of February, now."""
        event = el.Event("Paid", {"amount": Decimal(amount)}, event_id=event_id, occurred_at=f"2013-02-{day:02}T12:00")
        self.log.append("till-1", event)

    def undo(self, event_id: str, when: str | None) -> None:
        """Undo a payment, as of a moment or as of now."""
        self.log.compensate(event_id, "wrong", events=[el.Event("Undone", occurred_at=when)])

    def run(self, day: int) -> None:
        """Make the report of a day of February, and deliver it."""
        due = dt.datetime(2013, 2, day + 1, tzinfo=dt.UTC)
        ending = jobs.perform(self.workshop, self.report, self.report.schedule.period(due), reason="scheduled")
        assert ending == "made"

    def restate(self, *reports: str, **given: Any) -> list[Restatement]:
        """Restate since the ninth, unless it is asked for otherwise, and forget what was made before."""
        self.asked.clear()
        return restate(self.workshop, reports or None, **{"since": FIRST, "progress": False, **given})


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a shop and its three reports, as of midnight after the last, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "code_of_restatements.py").write_text(CODE)
    workbenches.bench(folder)
    with opened(folder) as house:
        house.log.define("Paid", {"amount": "DECIMAL(18,2)"})
        for day, amount in ((9, "1.50"), (10, "2.50"), (11, "4.00")):
            house.clock.now = dt.datetime(2013, 2, day, 12, tzinfo=dt.UTC)
            house.paid(f"p{day}", day, amount)
            house.clock.now = dt.datetime(2013, 2, day + 1, tzinfo=dt.UTC)
            house.run(day)
    return folder


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[House]:
    """Yield the house in a folder, on the morning of the twelfth of February 2013."""
    clock = workbenches.Clock(dt.datetime(2013, 2, 12, 6, tzinfo=dt.UTC))
    report = workbenches.report(folder, cron="0 0 * * *", timezone="UTC", deliver=["ops"])
    report = replace(report, function="code_of_restatements:payments", source="code_of_restatements:payments")
    with (
        el.open(folder / "store", clock=lambda: moments.instant(clock(), dt.UTC)) as log,
        Records.open(folder / "log", clock=clock) as records,
    ):
        yield House(folder, log, clock, records, report)


@pytest.fixture
def house(tmp_path: Path, template: Path) -> Iterator[House]:
    """Yield a copy of the house."""
    for name in ("store", "log", "reports"):
        shutil.copytree(template / name, tmp_path / name)
    with opened(tmp_path) as made:
        yield made


def told(found: list[Restatement]) -> list[tuple[str, int, list[str]]]:
    """Return what was found: the period, the version, and each figure's change in a line."""
    return [(one.period, one.version, [change.told for change in one.changes]) for one in found]


def test_a_late_event_changes_the_report_of_its_day(house: House) -> None:
    """By how much and why; all whose log has got an event of before their end are made again, of their own moment."""
    house.paid("late", 9, "0.50")
    found = house.restate()
    assert told(found) == [("2013-02-09", 1, ["paid: 1 -> 2 (+1)", "total: 1.50\u00a0EUR -> 2.00\u00a0EUR (+0.50)"])]
    assert sorted(given["period"].name for given in house.asked) == ["2013-02-09", "2013-02-10", "2013-02-11"]
    assert {given["known_at"] for given in house.asked} == {house.log.position}
    first = next(given for given in house.asked if given["period"].name == "2013-02-09")
    assert first["at"] == dt.datetime(2013, 2, 10, tzinfo=dt.UTC)
    assert first["params"] == {"day": "2013-02-09"}
    assert (found[0].why, found[0].issued, found[0].failed) == ("events were recorded late", [], False)
    assert house.records.run("daily", "2013-02-09").version == 1


def test_a_log_without_anything_of_that_time_costs_nothing(house: House) -> None:
    """No report is made again, also not for what happened after the last one."""
    assert house.restate() == []
    house.paid("p12", 12, "9.00")
    assert house.restate() == []
    assert house.asked == []


@pytest.mark.parametrize("when", [None, "2013-02-09T13:00", "2013-02-10T09:00"])
def test_what_is_undone_is_put_right_from_its_day_on(house: House, when: str | None) -> None:
    """Whenever the compensation occurred: as of now, within the day, or after it."""
    house.undo("p9", when)
    found = house.restate()
    assert told(found) == [("2013-02-09", 1, ["paid: 1 -> 0 (-1)", "total: 1.50\u00a0EUR -> 0.00\u00a0EUR (-1.50)"])]
    assert "events were compensated" in found[0].why
    assert ("recorded late" in found[0].why) == (when == "2013-02-09T13:00")


def test_what_was_known_to_be_undone_later_is_put_right_too(house: House) -> None:
    """A report of imported history is of all that is recorded, and shows what was undone after its moment."""
    house.undo("p9", "2013-02-11T09:00")
    house.make = lambda source, store, **given: renders.make(source, store, **{**given, "known_at": None})
    house.report = replace(house.report, name="again")
    house.run(9)
    house.make = renders.make
    assert [figure.value for figure in house.records.run("again", "2013-02-09").figures][:1] == [1]
    (found,) = house.restate(issue=True)
    assert told([found])[0][2][0] == "paid: 1 -> 0 (-1)"
    assert house.restate() == []


def test_the_next_version_is_issued_once_and_made_once(house: House) -> None:
    """With the changes, for the channels of the first; what comes later is compared with it."""
    house.paid("late", 9, "0.50")
    (found,) = house.restate(issue=True)
    assert [path.relative_to(house.folder).as_posix() for path in found.issued] == ["reports/daily/2013-02-09.v2.html"]
    assert found.issued[0].is_file()
    assert (house.folder / "reports/daily/2013-02-09.html").is_file()
    assert len(house.asked) == 3
    run = house.records.run("daily", "2013-02-09")
    assert (run.version, run.status, run.reason, run.deliver, run.files) == (
        2, "corrected", "restated", ("ops",), ("daily/2013-02-09.v2.html",),
    )  # fmt: skip
    assert [change["name"] for change in run.changes] == ["paid", "total"]
    assert run.basis.endswith(":corrected")
    assert house.restate(issue=True) == []
    house.undo("late", None)
    assert told(house.restate(issue=True)) == [
        ("2013-02-09", 2, ["paid: 2 -> 1 (-1)", "total: 2.00\u00a0EUR -> 1.50\u00a0EUR (-0.50)"])
    ]
    versions = (
        "select RunFinished.version from events where event_type = 'RunFinished' and stream_id = $s order by position"
    )
    assert house.records.log.sql(versions, {"s": run.stream}).fetchall() == [(1,), (2,), (3,)]


def test_a_corrected_page_says_what_changed_and_can_be_verified(house: House) -> None:
    """It begins with the changes, and its basis gives it again."""
    house.write = renders.write
    house.undo("p9", None)
    (found,) = house.restate(issue=True)
    page = found.issued[0].read_text()
    assert "Corrected: version 2" in page
    house.paid("later", 9, "7.00")
    outcome = verify(found.issued[0], source=house.report.source)
    assert outcome.equal, outcome.told


def test_a_report_that_has_changed_says_so(house: House, template: Path) -> None:
    """The difference may be of its code."""
    house.paid("late", 9, "0.50")
    code = template / "code_of_restatements.py"
    code.write_text(f"{CODE}\n# edited\n")
    try:
        (found,) = house.restate()
    finally:
        code.write_text(CODE)
    assert found.why == f"events were recorded late; {house.report.source} has changed since version 1"
    assert not found.failed


def test_one_that_fails_now_does_not_keep_the_others(house: House) -> None:
    """Neither one whose code raises, nor one that cannot even begin; nothing of them is issued."""

    def make(source: Any, store: Path, **given: Any) -> Made:
        if given["period"].name == "2013-02-10":
            raise el.InvalidArgument("no parameter 'day'", hint="It has none.")
        made = renders.make(source, store, **given)
        if given["period"].name == "2013-02-11":
            failure = renders.executions.Failure("error", "ZeroDivisionError: division by zero")
            return replace(made, execution=replace(made.execution, failure=failure))
        return made

    house.make = make
    for day in (9, 10, 11):
        house.paid(f"late{day}", day, "0.50")
    found = house.restate(issue=True)
    assert [(one.period, bool(one.issued), one.failed) for one in found] == [
        ("2013-02-09", True, False),
        ("2013-02-10", False, True),
        ("2013-02-11", False, True),
    ]
    assert found[1].why == "events were recorded late; no parameter 'day' It has none."
    assert found[2].why == "events were recorded late; it fails now: ZeroDivisionError: division by zero"
    assert [house.records.run("daily", f"2013-02-{day:02}").version for day in (9, 10, 11)] == [2, 1, 1]


def test_an_interrupted_one_goes_on_where_it_was(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is issued stays, what was written and not recorded is written again, and no version is issued twice."""
    for day in (9, 10, 11):
        house.paid(f"late{day}", day, "0.50")
    append, calls = house.records.append, itertools.count()

    def full(*writes: Any) -> Any:
        if next(calls):
            raise el.StoreFull("the disk is full")
        return append(*writes)

    monkeypatch.setattr(house.records, "append", full)
    first = house.restate(issue=True, most=1)
    assert [(bool(one.issued), one.failed) for one in first] == [(True, False), (False, True), (False, True)]
    assert "the disk is full" in first[1].why
    monkeypatch.undo()
    second = house.restate(issue=True)
    assert [(one.period, bool(one.issued)) for one in second] == [("2013-02-10", True), ("2013-02-11", True)]
    assert house.restate(issue=True) == []
    counted = (
        "select RunFinished.version, count(*) from events where event_type = 'RunFinished' group by all order by all"
    )
    assert house.records.log.sql(counted).fetchall() == [(1, 3), (2, 3)]


def test_one_that_is_cancelled_ends_and_says_nothing_of_the_rest(house: House) -> None:
    """What was compared by then is told."""
    house.paid("late", 9, "0.50")

    def make(source: Any, store: Path, **given: Any) -> Made:
        if given["period"].name == "2013-02-10":
            house.cancelled.set()
            raise Cancelled("it was cancelled")
        return renders.make(source, store, **given)

    house.make = make
    assert [one.period for one in house.restate(issue=True, most=1)] == ["2013-02-09"]
    assert [given["period"].name for given in house.asked] == ["2013-02-09", "2013-02-10"]


def test_two_at_once_issue_it_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second says so: while the first is at it, and after it."""
    house.paid("late", 9, "0.50")
    with claims.claim(house.folder / "log" / "locks", "run-daily@2013-02-09") as mine:
        assert mine
        (found,) = house.restate(issue=True)
    assert (found.why, found.issued) == ("events were recorded late; another process is making it", [])
    claim, begun = claims.claim, []

    def late(folder: Path, name: str, **given: Any) -> Any:
        if not begun:
            begun.append(name)
            assert [bool(one.issued) for one in house.restate(issue=True)] == [True]
        return claim(folder, name, **given)

    monkeypatch.setattr(claims, "claim", late)
    (found,) = house.restate(issue=True, most=1)
    assert (found.why, found.issued) == ("events were recorded late; version 2 has been issued meanwhile", [])
    assert house.records.run("daily", "2013-02-09").version == 2


def test_reports_are_chosen_by_name_and_by_when_their_period_begins(house: House) -> None:
    """In the time zone of each report; names that there are not say which there are."""
    for day in (9, 10, 11):
        house.paid(f"late{day}", day, "0.50")
    here, house.report = house.report, replace(house.report, name="abroad")
    house.run(10)
    abroad = replace(house.report, timezone="America/New_York")  # where a day begins five hours later
    house.report, house.others = here, [abroad]

    def found(*reports: str, since: str) -> list[tuple[str, str]]:
        return [(one.report, one.period[-2:]) for one in house.restate(*reports, since=since)]

    assert found(since="2013-02-10") == [("daily", "10"), ("daily", "11")]
    assert found(since="2013-02-10T00:00Z") == [("abroad", "10"), ("daily", "10"), ("daily", "11")]
    assert found("abroad", since="2013-02-09") == [("abroad", "10")]
    assert restate(house.workshop, [], since=FIRST) == []
    with pytest.raises(el.InvalidArgument, match=r"no report 'dayly'\. Did you mean 'daily'"):
        house.restate("dayly")
    with pytest.raises(el.InvalidArgument, match="'soon' is no time"):
        house.restate(since="soon")


def test_one_without_figures_cannot_be_compared(house: House) -> None:
    """That is said, and nothing issued; what has none and is not affected is no matter."""
    house.report = replace(house.report, name="silent", source="code_of_restatements:silent", parameters={})
    house.run(9)
    assert house.restate(issue=True) == []
    house.paid("late", 9, "0.50")
    (found,) = house.restate(issue=True)
    assert found.why == "events were recorded late; it declares no figures, so that nothing can be compared"
    assert (found.changes, found.issued, found.failed) == ([], [], False)


def test_a_log_that_is_gone_or_another_is_told(house: House, template: Path) -> None:
    """Nothing is made from it: none at all, another one in its place, and an older copy of it."""
    moved = house.folder / "moved"

    def told_of(store: Path) -> set[str]:
        house.report = replace(house.report, store=store)
        found = house.restate(issue=True)
        assert [(one.period, one.failed) for one in found] == [(f"2013-02-{day:02}", True) for day in (9, 10, 11)]
        return {one.why.replace(str(store), "STORE") for one in found}

    assert all(why.startswith("its log cannot be read: ") for why in told_of(moved))
    with el.open(moved, create=True):
        pass
    with el.open(template / "store", read_only=True) as log:
        assert told_of(moved) == {f"it was made from another log than STORE, with the id {log.store_id}"}
    workbenches.bench(house.folder / "older")
    assert told_of(house.folder / "older" / "store") == {
        f"it was made from {count} events, of which STORE holds 1" for count in (2, 3, 4)
    }
    assert house.asked == []


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=10),
    st.lists(st.tuples(st.integers(0, 10), st.integers(-1, 5) | st.none(), st.booleans()), min_size=1, max_size=12),
)
def test_arrivals_are_what_changes_a_view(
    steps: list[tuple[bool, int, int]], asked: list[tuple[int, int | None, bool]]
) -> None:
    """Against plain Python; and where nothing came, the corrected view of now shows what the basis does."""
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    facts: list[tuple[int, int | None]] = []  # the day, and the place of what is undone
    with tempfile.TemporaryDirectory() as folder, el.open(Path(folder) / "s", create=True) as log:
        for undoes, day, number in steps:
            targets = [place for place, (_, target) in enumerate(facts) if target is None]
            targets = [place for place in targets if place not in {target for _, target in facts}]
            event = {"occurred_at": start + dt.timedelta(days=day), "event_id": f"e{len(facts)}"}
            target = targets[number % len(targets)] if undoes and targets else None
            log.append("a", el.Event("E", compensates=None if target is None else f"e{target}", **event))
            facts.append((day, target))
        head = len(facts)
        bases = [
            moments.Basis(
                log.store_id,
                min(position, head),
                1,
                None if day is None else moments.instant(start + dt.timedelta(days=day), dt.UTC),
                corrected,
            )
            for position, day, corrected in asked
        ]
        for basis, (_, day, corrected), came in zip(bases, asked, arrivals(log, bases, head=head), strict=True):
            until = 9 if day is None else day
            late = [place for place, (when, _) in enumerate(facts) if place >= basis.position and when <= until]
            undone = [
                place
                for place, (when, target) in enumerate(facts)
                if target is not None
                and facts[target][0] <= until
                and (place >= basis.position or (not corrected and when > until))
            ]
            assert (came.late, came.undone) == (bool(late), bool(undone))
            if not came:
                now = None if day is None else start + dt.timedelta(days=day)
                assert shown(log.at(str(basis))) == shown(log.at(now, corrected=True))


def shown(view: el.LogView) -> list[Any]:
    """Return what a view shows."""
    return [
        view.sql(f"select event_id from {name} order by position").fetchall() for name in ("events", "events_effective")
    ]
