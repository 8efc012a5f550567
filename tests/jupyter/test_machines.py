"""The time machine without a browser: where it can stand, what it shows there, and what lies between two stops."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import altair as alt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventlab as el
from eventlab import moments
from eventlab.jupyter import machines, tracks
from eventlab.jupyter.changes import written
from eventlab.jupyter.consoles import Console

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NEW_YORK = ZoneInfo("America/New_York")
TOTALS = "select stream_id as till, sum(Sale.n) as total, count(*) as sales from events group by stream_id"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = moments.instant("2026-02-01", NEW_YORK)

    def __call__(self) -> int:
        """Return what it was set to."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return the clock of the log."""
    return Clock()


@pytest.fixture
def log(tmp_path: Path, clock: Clock) -> Iterator[el.EventLog]:
    """Yield a log of three days; what is of the second till was recorded ten minutes later."""
    with el.open(tmp_path / "shop", create=True, timezone="America/New_York", clock=clock) as opened:
        for day in (1, 2, 3):
            opened.append("till-1", el.Event("Sale", {"n": day, "who": "<b>"}, occurred_at=f"2026-01-0{day}T12:00"))
        clock.now += 600_000_000
        opened.append("till-2", el.Event("Sale", {"n": 7}, occurred_at="2026-01-02T08:00"))
        opened.define_state("totals", TOTALS)
        yield opened


def test_a_state_is_shown_as_of_the_moment(log: el.EventLog) -> None:
    """Its rows are those of ``at``, in the order of their keys, and the code gives the same."""
    machine = log.state("totals").time_machine(at="2026-01-02 09:00")
    assert machine.picture.data["rows"] == [["till-1", "1", "1"], ["till-2", "7", "1"]]
    assert machine.code == 'log.state("totals").at("2026-01-02 09:00")'
    assert repr(machine.move("2026-01-01")) == "<TimeMachine at 2026-01-01: 0 rows, 3 columns>"
    machine.move("2026-01-03 12:00")
    assert sorted(eval(machine.code, {"log": log}).fetchall()) == [("till-1", 6, 3), ("till-2", 7, 1)]  # noqa: S307 - our own code
    assert machine.picture.data["rows"] == [["till-1", "6", "3"], ["till-2", "7", "1"]]


def test_what_changed_since_the_last_stop_and_the_events_in_between(log: el.EventLog) -> None:
    """Added, removed and changed rows with what changed, and the events by type, also on the way back."""
    machine = log.state("totals").time_machine(at="2026-01-01 18:00")
    assert machine.between() == {}
    lying = machine.move("2026-01-02 18:00").between()
    assert lying["since"] == "since 2026-01-01 18:00"
    assert lying["changes"]["counts"] == [("added", 1), ("changed", 1)]
    assert sorted(lying["changes"]["table"]["data"]["rows"]) == [
        ["till-1", "changed", "total 1 → 3 · sales 1 → 2"],
        ["till-2", "added", "total 7 · sales 1"],
    ]
    assert lying["events"]["counts"] == [("Sale", 2)]
    assert [row[:3] for row in lying["events"]["table"]["data"]["rows"]] == [
        ["2026-01-02 08:00:00", "Sale", "till-2"],
        ["2026-01-02 12:00:00", "Sale", "till-1"],
    ]
    back = machine.move("2026-01-01 18:00").between()
    assert back["since"] == "from 2026-01-02 18:00 back"
    assert back["changes"]["counts"] == [("removed", 1), ("changed", 1)]
    assert back["events"]["counts"] == [("Sale", 2)]


def test_both_clocks(log: el.EventLog) -> None:
    """What was recorded later was not known earlier; the events in between are those that became known."""
    machine = log.state("totals").time_machine(at="2026-01-03")
    machine.move("2026-01-03", known_at="2026-02-01 00:05")
    assert machine.picture.data["rows"] == [["till-1", "3", "2"]]
    assert machine.code == 'log.state("totals").at("2026-01-03", known_at="2026-02-01 00:05")'
    lying = machine.between()
    assert (lying["since"], lying["events"]["counts"]) == ("against what is known now", [("Sale", 1)])
    assert lying["changes"]["table"]["data"]["rows"] == [["till-2", "removed", "total 7 · sales 1"]]
    assert machine.move("2026-01-02").between()["since"] == "from 2026-01-03 back"
    assert machine.known is not None


def test_a_drag_tells_changes_since_where_it_began(log: el.EventLog) -> None:
    """Moves that are under way do not count as stops."""
    machine = log.state("totals").time_machine(at="2026-01-01 18:00")
    for hour in ("2026-01-02 10:00", "2026-01-02 18:00"):
        machine.go(moments.instant(hour, NEW_YORK), None, settled=False)
    assert machine.between()["since"] == "since 2026-01-01 18:00"
    machine.go(moments.instant("2026-01-02 18:00", NEW_YORK), None, settled=True)
    assert machine.between()["events"]["counts"] == [("Sale", 2)]


def test_a_function_of_a_view(log: el.EventLog) -> None:
    """Numbers, tables and charts of a view; of numbers and tables the difference is told, of charts it is seen."""

    def taken(view: el.LogView) -> Any:
        return view.sql("select sum(Sale.n) from events").fetchall()[0][0]

    machine = el.TimeMachine(log, taken, at="2026-01-01 13:00")
    assert machine.move("2026-01-02 13:00").between()["changes"]["note"] == "1 → 10 (+9)"
    assert machine.code == 'taken(log.at("2026-01-02 13:00"))'
    query = "select stream_id, version from events order by all"
    machine = el.TimeMachine(log, lambda view: view.sql(query), at="2026-01-01 13:00")
    assert machine.move("2026-01-02 09:00").between()["changes"]["table"]["data"]["rows"] == [["added", "till-2", "1"]]
    assert machine.code == 'log.at("2026-01-02 09:00")'
    chart = el.TimeMachine(log, lambda view: alt.Chart(view.sql(query).pl()).mark_bar().encode(x="count()"))
    assert chart.move("2026-01-01 13:00").between()["changes"] is None
    assert log.state("totals").time_machine(lambda result: len(result.fetchall())).picture.data["text"] == "2"


def test_a_state_that_cannot_be_split_says_why_there_is_no_difference(log: el.EventLog) -> None:
    """The table and the events are there all the same."""
    log.define_state("best", "select distinct on (stream_id) stream_id, Sale.n from events order by Sale.n desc")
    machine = log.state("best").time_machine(at="2026-01-01 13:00")
    lying = machine.move("2026-01-02 13:00").between()
    assert "no keys" in lying["changes"]["note"] or lying["changes"]["counts"]
    assert lying["events"]["counts"] == [("Sale", 2)]


def test_its_static_form_is_html_without_scripts(log: el.EventLog) -> None:
    """Where no widgets are shown, the display is what is there, as text."""
    bundle = log.state("totals").time_machine()._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert "till-2" in bundle["text/html"]
    assert "<script" not in bundle["text/html"]


def test_what_the_page_asks_for_is_answered(log: el.EventLog) -> None:
    """A move by number, one by text, another form; an error is told and the picture stays."""
    machine = log.state("totals").time_machine(at="2026-01-01 13:00", step="1h")
    page = Console(machine)
    number = machine.valid.nearest(moments.instant("2026-01-02 13:00", NEW_YORK))
    page._heard(None, {"type": "move", "seq": 1, "at": number, "known": None, "settled": True}, None)
    page._moves.wait()
    page._comparisons.wait()
    assert page.widget.answer["seq"] == 1
    assert page.widget.answer["code"] == 'log.state("totals").at("2026-01-02 13:00")'
    assert page.widget.picture["data"]["rows"] == [["till-1", "3", "2"], ["till-2", "7", "1"]]
    assert page.widget.between["events"]["counts"] == [("Sale", 2)]
    page._moved({"seq": 2, "text": "2026-01-01 12:00", "settled": True})
    assert (page.widget.answer["moment"], page.widget.answer["day"]) == (
        "2026-01-01 12:00",
        "Thursday, America/New_York",
    )
    page._moved({"seq": 3, "text": "<b>soon", "settled": True})
    assert "'<b>soon' is no time" in page.widget.answer["error"]
    assert page.widget.answer["moment"] == "2026-01-01 12:00"
    page._moved({"seq": 4, "at": 0, "form": "no such form", "known": 0, "settled": True})
    assert not page.widget.answer["error"]
    assert page.widget.answer["known"] == 0
    machine.move("2026-01-03")
    page._moved({"seq": 5, "text": "2026-01-03", "form": "chart", "known": None, "settled": True})
    assert (page.widget.picture["kind"], page.widget.answer["shown"]) == ("chart", "chart")


def test_what_cannot_be_a_time_machine_says_so(log: el.EventLog, tmp_path: Path) -> None:
    """No events, no function, an end before the beginning, more steps than a slider has."""
    with el.open(tmp_path / "empty", create=True) as empty, pytest.raises(el.InvalidArgument, match="Append some"):
        el.TimeMachine(empty, lambda _: 1)
    with pytest.raises(el.InvalidArgument, match=r"el\.TimeMachine\(log, lambda view"):
        el.TimeMachine(log, "from events")  # type: ignore[arg-type]
    with pytest.raises(el.InvalidArgument, match="until that is after since"):
        log.state("totals").time_machine(since="2026-01-03", until="2026-01-02")
    with pytest.raises(el.InvalidArgument, match="longer step"):
        log.state("totals").time_machine(step="1s")
    with pytest.raises(el.InvalidArgument, match="is no duration"):
        log.state("totals").time_machine(step="often")


def test_it_can_begin_and_end_where_a_person_says(log: el.EventLog) -> None:
    """``since``, ``until`` and ``step`` are the slider's; the known slider is there only if it tells anything."""
    machine = log.state("totals").time_machine(since="2026-01-02", until="2026-01-02 12:00", step="3h")
    labels = [written(bound, NEW_YORK) for bound in machine.valid.bounds]
    assert labels == ["2026-01-02", *(f"2026-01-02 {hour:02}:00" for hour in (3, 6, 9, 12))]
    assert machine.valid.counts == (0, 0, 1, 1)
    assert machine.valid.stepped == "3 h"
    assert machines._worthwhile(tracks.Track((0, 1, 2), (5, 0), 1)) is None


@settings(max_examples=40, deadline=None)
@given(
    days=st.lists(st.integers(0, 500), min_size=1, max_size=30),
    minutes=st.integers(0, 1439),
    step=st.sampled_from([None, "6h", "1d", "7d"]),
)
def test_every_event_lies_in_one_stretch(days: list[int], minutes: int, step: str | None) -> None:
    """Counts are those of a slow count by hand, at midnight too and over changes of the clocks."""
    first = dt.datetime(2025, 1, 1, tzinfo=NEW_YORK)
    instants = [
        moments.instant((first + dt.timedelta(days=day, minutes=minutes * (day % 2))), NEW_YORK) for day in days
    ]
    made = tracks.track(Table(instants), "occurred_at", NEW_YORK, step=step)
    assert made is not None
    pairs = list(zip(made.bounds, made.bounds[1:], strict=False))
    assert made.counts == tuple(sum(low < instant <= high for instant in instants) for low, high in pairs)
    assert sum(made.counts) == len(instants)
    if step in {"1d", "7d"}:
        assert {moments.moment_of(bound, NEW_YORK).time() for bound in made.bounds} == {dt.time()}


class Table:
    """Instants that can be asked like a log."""

    def __init__(self, instants: list[int]) -> None:
        from eventlab import queries  # noqa: PLC0415 - this class alone

        self.connection = queries.connect("America/New_York")
        self.connection.execute("create table events (occurred_at timestamptz)")
        values = [[instant] for instant in instants]
        self.connection.executemany("insert into events values (make_timestamptz(?))", values)

    def sql(self, query: str, params: Any = None) -> Any:
        """Return the relation of a query."""
        return self.connection.sql(query, params=params)
