"""Folds in Python: the reading API of a state, against a plain loop and against the same state in SQL."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import itertools
import random
import tempfile
from collections import defaultdict
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventlab as el
from eventlab.states import Fold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORDERS = """
select
    stream_id, sum(Added.price) as total, count(*) as events,
    case when max(event_type = 'Closed') then 'closed' else 'open' end as status
from events group by stream_id
"""


def evolve(state: dict[str, Any], event: el.RecordedEvent) -> dict[str, Any]:
    """Return an order after an event; what SQL says in ORDERS."""
    return {
        "total": state["total"] if event.event_type == "Closed" else (state["total"] or 0) + event.payload["price"],
        "events": state["events"] + 1,
        "status": "closed" if event.event_type == "Closed" else state["status"],
    }


INITIAL = {"total": None, "events": 0, "status": "open"}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Yield a log in New York: an order of two items that is closed, one of one item, and an item late by a day."""
    seconds = itertools.count(1_767_700_000)
    clock = lambda: next(seconds) * 1_000_000  # noqa: E731
    with el.open(tmp_path / "s", create=True, timezone="America/New_York", clock=clock) as opened:
        added(opened, "order-1", 5, "2026-01-05 10:00")
        added(opened, "order-2", 7, "2026-01-05 23:30")
        added(opened, "order-1", 3, "2026-01-06 09:00")
        opened.append("order-1", el.Event("Closed", {}, occurred_at="2026-01-06 12:00"))
        added(opened, "order-2", 2, "2026-01-04 08:00")
        yield opened


def added(log: el.EventLog, stream_id: str, price: object, occurred_at: str) -> None:
    """Append an item."""
    log.append(stream_id, el.Event("Added", {"price": price}, occurred_at=occurred_at))


def orders(log: Any) -> Fold:
    """Return the fold of orders over a log or a view."""
    fold: Fold = log.fold("orders", INITIAL, evolve)
    return fold


def test_a_fold_is_read_like_a_state(log: el.EventLog) -> None:
    """Now, at moments on both clocks, one key, and none."""
    fold = orders(log)
    assert fold.now().pl().columns == ["stream_id", "total", "events", "status"]
    assert fold.now().fetchall() == [("order-1", 8, 3, "closed"), ("order-2", 9, 2, "open")]
    assert fold.at("2026-01-05 23:30").fetchall() == [("order-1", 5, 1, "open"), ("order-2", 9, 2, "open")]
    assert fold.at("2026-01-05 23:30", known_at=4).fetchall() == [("order-1", 5, 1, "open"), ("order-2", 7, 1, "open")]
    assert fold.at(1).fetchall() == [("order-1", 5, 1, "open")]
    assert fold.at(0).fetchall() == []
    assert fold.get("order-2").fetchall() == [("order-2", 9, 2, "open")]
    assert fold.get("order-3").fetchall() == []
    assert fold.get("order-3").pl().columns == ["stream_id", "total", "events", "status"]
    assert orders(log.at(2)).now().fetchall() == [("order-1", 5, 1, "open"), ("order-2", 7, 1, "open")]
    assert orders(log.at(2)).at("2026-01-05 12:00").fetchall() == [("order-1", 5, 1, "open")]
    assert orders(log.at(2)).get("order-1").fetchall() == [("order-1", 5, 1, "open")]
    assert repr(fold).startswith("<Fold orders: Python: ")


def test_the_history_of_a_key_and_of_all(log: el.EventLog) -> None:
    """One row an event with the state after it, until the next event of the key."""
    fold = orders(log)
    rows = fold.history("order-1").pl()
    assert rows.columns == [
        "position", "occurred_at", "recorded_at", "event_type", "valid_to", "stream_id", "total", "events", "status",
    ]  # fmt: skip
    assert rows.select("position", "event_type", "total", "status").rows() == [
        (1, "Added", 5, "open"),
        (3, "Added", 8, "open"),
        (4, "Closed", 8, "closed"),
    ]
    assert rows["valid_to"].to_list() == [*rows["occurred_at"].to_list()[1:], None]
    assert str(rows["occurred_at"][0]) == "2026-01-05 10:00:00-05:00"
    whole = fold.history().pl()
    assert whole["position"].to_list() == [1, 2, 3, 4, 5]
    assert whole.filter(stream_id="order-1").equals(rows)
    assert fold.history("nobody").fetchall() == []


def test_the_difference_of_two_moments(log: el.EventLog) -> None:
    """What came, what changed; what stayed is left out."""
    fold = orders(log)
    assert fold.diff(1, 4).pl().columns == [
        "stream_id", "change", "total_before", "total_after", "events_before", "events_after", "status_before",
        "status_after",
    ]  # fmt: skip
    assert fold.diff(1, 4).fetchall() == [
        ("order-1", "changed", 5, 8, 1, 3, "open", "closed"),
        ("order-2", "added", None, 7, None, 1, None, "open"),
    ]
    assert fold.diff(4, 1).fetchall()[1] == ("order-2", "removed", 7, None, 1, None, "open", None)
    assert fold.diff(3, 3).fetchall() == []


def test_the_course_is_that_of_the_state_in_sql(log: el.EventLog) -> None:
    """Counts, sums, any other measure; days of New York, hours; with a late event, and between given moments."""
    fold, state = orders(log), log.define_state("orders", ORDERS)
    for every, measure in itertools.product(
        ["1d", "1h", "2d", "90m", "1w"],
        [
            "count(*) FILTER (WHERE status = 'open')",
            "sum(total)",
            "max(total)",
            "avg(events)",
            "count(DISTINCT status)",
        ],
    ):
        assert fold.over_time(every, measure).fetchall() == state.over_time(every, measure).fetchall(), (every, measure)
    between = {"since": "2026-01-05", "until": dt.date(2026, 1, 9)}
    assert fold.over_time("1d", "sum(total)", **between).fetchall() == [
        (dt.datetime.fromisoformat(f"2026-01-0{day}T00:00:00-05:00"), value, day > 5)
        for day, value in [(5, 14), (6, 17), (7, 17), (8, 17), (9, 17)]
    ]
    with pytest.raises(el.QueryError, match="totl"):
        fold.over_time("1d", "sum(totl)")
    with pytest.raises(el.QueryError, match="no measure"):
        fold.over_time("1d", "total")


def test_only_what_is_new_is_evolved(log: el.EventLog) -> None:
    """At the head; a stream that grows changes its row."""
    seen: list[int] = []

    def count(state: int, event: el.RecordedEvent) -> int:
        seen.append(event.position)
        return state + 1

    fold = log.fold("counts", 0, count)
    assert fold.now().fetchall() == [("order-1", 3), ("order-2", 2)]
    assert fold.now().pl().columns == ["stream_id", "value"]
    for number in range(300):
        added(log, f"order-{3 + number // 100}", 1, "2026-01-07")
    fold.now()
    seen.clear()
    added(log, "order-1", 1, "2026-01-01")
    before = fold.now()
    assert before.fetchall()[0] == ("order-1", 4)
    fold.now()
    assert seen == [306]
    added(log, "order-1", 1, "2026-01-01")
    assert fold.now().fetchall()[0] == ("order-1", 5)
    assert before.fetchall()[0] == ("order-1", 4)  # as the log was


def test_states_are_values_dicts_or_objects(log: el.EventLog) -> None:
    """A dataclass has its fields as columns; a list, a set and a nested dict are columns; None is no entity."""

    @dataclasses.dataclass(frozen=True)
    class Order:
        items: tuple[Decimal, ...] = ()
        kinds: frozenset[str] = frozenset()
        last: dict[str, object] | None = None

    def grow(order: Order, event: el.RecordedEvent) -> Order | None:
        if event.event_type == "Closed":
            return None
        kinds = order.kinds | {event.event_type, "z", "b"}
        return Order((*order.items, Decimal(event.payload["price"])), kinds, {"at": event.occurred_at})

    rows = log.fold("orders", Order, grow).now().pl().to_dicts()
    assert [row["stream_id"] for row in rows] == ["order-2"]
    assert (rows[0]["items"], rows[0]["kinds"]) == ([Decimal(7), Decimal(2)], ["Added", "b", "z"])
    assert log.fold("orders", Order, grow).at(3).pl().height == 2
    assert [
        row[2:] for row in log.fold("orders", Order, grow).diff(3, 4).pl().select("stream_id", "change").rows()
    ] == [()]
    kinds = log.fold("latest", None, lambda _, event: event.event_type, types="Added")
    assert kinds.now().fetchall() == [("order-1", "Added"), ("order-2", "Added")]
    assert kinds.get("order-1").fetchall() == [("order-1", "Added")]
    clash = log.fold("x", {}, lambda _, event: {"stream_id": 1, "position": event.position})
    assert clash.now().pl().columns == ["stream_id", "state_stream_id", "position"]
    assert clash.history("order-1").pl().columns[-2:] == ["state_stream_id", "state_position"]


def test_a_decorator_makes_a_fold(log: el.EventLog) -> None:
    """As the function's own name."""

    @log.fold("totals", initial=0)
    def totals(total: int, event: el.RecordedEvent) -> int:
        return total + int(event.payload.get("price", 0))

    assert totals.now().fetchall() == [("order-1", 8), ("order-2", 9)]
    assert totals.now().relation.aggregate("sum(value)").fetchall() == [(17,)]


def test_a_state_that_is_changed_in_place_is_no_other_streams_and_no_earlier_one(log: el.EventLog) -> None:
    """Neither the initial value nor what an initial function always returns is shared; a history keeps each step."""
    shared: dict[str, list[int]] = {"prices": []}

    def grow(state: dict[str, list[int]], event: el.RecordedEvent) -> dict[str, list[int]]:
        state["prices"].append(event.payload.get("price", 0))
        return state

    for initial in (shared, lambda: shared):
        fold = log.fold("prices", initial, grow)
        assert fold.now().fetchall() == [("order-1", [5, 3, 0]), ("order-2", [7, 2])]
        assert [row[-1] for row in fold.history().fetchall()] == [[5], [7], [5, 3], [5, 3, 0], [7, 2]]
        assert fold.over_time("1d", "max(len(prices))").fetchall() == [
            (dt.datetime.fromisoformat(f"2026-01-0{day}T00:00:00-05:00"), value, day == 6)
            for day, value in [(4, 1), (5, 2), (6, 3)]
        ]
        assert shared == {"prices": []}

    def adopt(state: dict[str, Any] | None, event: el.RecordedEvent) -> dict[str, Any]:
        state = state or event.payload
        state["n"] = state.get("n", 0) + 1
        return state

    assert log.fold("adopted", None, adopt).now().fetchall() == [("order-1", 5, 3), ("order-2", 7, 2)]


def _random() -> Any:
    return lambda state, _: {**state, "n": random.random()}


def _counting() -> Any:
    calls = itertools.count()
    return lambda state, _: {**state, "n": next(calls)}


def _shared() -> Any:
    closed: dict[str, Any] = {"n": 0}

    def evolve(_: object, __: object) -> dict[str, Any]:
        closed["n"] += 1
        return closed

    return evolve


@pytest.mark.parametrize("make", [_random, _counting, _shared])
def test_what_is_not_deterministic_is_refused(log: el.EventLog, make: Any) -> None:
    """Chance, a counter outside, and a state that is shared; the first event at which it shows is named."""
    for ask in (Fold.now, Fold.history, lambda fold: fold.get("order-1"), lambda fold: fold.diff(1, 2)):
        with pytest.raises(el.InvalidArgument, match=r"'f'.* position \d+ .*n is .* and then .*\n.*no clock"):
            ask(log.fold("f", {"n": 0}, make()))


def test_what_is_always_none_is_refused(log: el.EventLog) -> None:
    """A function that changes its state and forgets to return it."""
    with pytest.raises(el.InvalidArgument, match=r"returned None for all of the first 5 events\nReturn the state"):
        log.fold("f", {"n": 0}, lambda state, _: state.update(n=1)).now()
    assert log.fold("f", None, lambda _, __: None).now().fetchall() == []


def test_nan_is_the_same_as_itself(log: el.EventLog) -> None:
    """A state of NaN is deterministic."""
    assert len(log.fold("f", 0.0, lambda *_: float("nan")).now().fetchall()) == 2


def test_an_error_of_evolve_says_where_and_leaves_nothing_half_done(log: el.EventLog) -> None:
    """The caller's own error, with a note; the next answer is right."""
    broken = True

    def grow(state: dict[str, Any], event: el.RecordedEvent) -> dict[str, Any]:
        state["n"] += 1
        if broken and event.position == 5:
            raise ZeroDivisionError
        return state

    fold = log.fold("orders", {"n": 0}, grow)
    with pytest.raises(ZeroDivisionError) as caught:
        fold.now()
    assert caught.value.__notes__ == ["in the fold 'orders', at position 5 (Added of 'order-2')"]
    broken = False
    assert fold.now().fetchall() == [("order-1", 3), ("order-2", 2)]


def test_an_error_beyond_the_first_events_leaves_nothing_half_done(log: el.EventLog) -> None:
    """States that have gone on, one of them half-way, are folded anew."""
    broken = True

    def grow(state: dict[str, Any], event: el.RecordedEvent) -> dict[str, Any]:
        state["n"] += 1
        if broken and event.position == 308:
            raise ZeroDivisionError
        return state

    for number in range(300):
        added(log, "order-9", number, "2026-01-07")
    fold = log.fold("orders", {"n": 0}, grow)
    assert fold.now().fetchall()[-1] == ("order-9", 300)
    for number in range(5):
        added(log, "order-9", number, "2026-01-07")
    with pytest.raises(ZeroDivisionError):
        fold.now()
    broken = False
    assert fold.now().fetchall() == [("order-1", 3), ("order-2", 2), ("order-9", 305)]


def test_sums_of_doubles_leave_nothing_behind(log: el.EventLog) -> None:
    """What ceases to hold is not subtracted from a sum that has lost its last digits."""
    fold = log.fold("x", None, lambda _, event: 1e16 if event.position == 1 else 0.125, types="Added")
    assert fold.over_time("1d", "sum(value)", since="2026-01-05").fetchall()[0][1:] == (1e16 + 0.125, False)
    assert fold.over_time("1d", "sum(value)").fetchall()[-1][1:] == (0.25, True)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, "x"], r"'value' cannot be a column \(int, str\)"),
        ([2**70, 1], "cannot be a column"),
        ([object(), object()], "gives another state|cannot be a column"),
    ],
)
def test_values_without_a_common_type_are_refused(log: el.EventLog, values: list[Any], said: str) -> None:
    """Naming the column and what is in it."""
    with pytest.raises(el.InvalidArgument, match=said):
        log.fold("f", None, lambda _, event: copy.copy(values[event.position % 2])).now()


@pytest.mark.parametrize(("name", "function"), [("", evolve), ("f", 5), (5, evolve)])
def test_what_is_no_fold_is_refused(log: el.EventLog, name: Any, function: Any) -> None:
    """A name that is none, a function that is none."""
    with pytest.raises(el.EventlabError):
        log.fold(name, {}, function)


EVENTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["Added", "Closed"]), st.integers(0, 9), st.integers(0, 100)),
    max_size=25,
)


START = dt.datetime(2026, 3, 7, tzinfo=dt.UTC)


def when(hour: int) -> dt.datetime:
    """Return an hour around a change of New York's clocks."""
    return START + dt.timedelta(hours=hour)


def append(log: el.EventLog, key: str, kind: str, price: int, hour: int) -> None:
    """Append a generated event."""
    log.append(key, el.Event(kind, {"price": price} if kind == "Added" else {}, occurred_at=when(hour)))


def looped(events: list[tuple[str, str, int, int]]) -> dict[str, tuple[Any, ...]]:
    """Return the states after generated events; the slow oracle."""
    states: dict[str, dict[str, Any]] = defaultdict(lambda: INITIAL)
    for key, kind, price, _ in events:
        event: Any = SimpleNamespace(event_type=kind, payload={"price": price})
        states[key] = evolve(states[key], event)
    return {key: tuple(state.values()) for key, state in states.items()}


def rows(result: Any) -> dict[str, tuple[Any, ...]]:
    """Return rows by their key."""
    return {row[0]: row[1:] for row in result.fetchall()}


@given(events=EVENTS, cut=st.integers(0, 25), hours=st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_a_fold_is_a_plain_loop(events: list[tuple[str, str, int, int]], cut: int, hours: int) -> None:
    """Any events, late ones among them: now in steps and at once, at, and history."""
    with tempfile.TemporaryDirectory() as folder, el.open(folder, create=True) as log:
        fold = orders(log)
        for number, event in enumerate(events):
            append(log, *event)
            if number == cut:
                assert rows(fold.now()) == looped(events[: number + 1])
                log.seal()
        cut = min(cut, len(events))
        assert rows(fold.now()) == looped(events) == rows(orders(log).now())
        seen = [event for event in events if event[3] <= hours]
        assert rows(fold.at(when(hours))) == looped(seen)
        known = [event for event in events[:cut] if event[3] <= hours]
        assert rows(fold.at(when(hours), known_at=cut)) == looped(known) == rows(orders(log.at(cut)).at(when(hours)))
        history = fold.history().pl()
        for key, state in looped(events).items():
            own = history.filter(stream_id=key)
            assert own.select("total", "events", "status").rows()[-1] == state == rows(fold.get(key))[key]
            assert fold.history(key).pl().equals(own)


@given(events=EVENTS.filter(len), cuts=st.tuples(st.integers(0, 25), st.integers(0, 25)))
@settings(max_examples=10, deadline=None)
def test_a_fold_is_the_state_in_sql(events: list[tuple[str, str, int, int]], cuts: tuple[int, int]) -> None:
    """Course and difference, over any events, late ones among them, and a change of clocks."""
    with tempfile.TemporaryDirectory() as folder, el.open(folder, create=True, timezone="America/New_York") as log:
        log.define("Added", {"price": "INTEGER"})
        for event in events:
            append(log, *event)
        fold, state = orders(log), log.define_state("orders", ORDERS)
        for every, measure in (
            ("1d", "count(*) FILTER (WHERE status = 'open')"),
            ("1d", "max(events)"),
            ("5h", "sum(total)"),
        ):
            assert fold.over_time(every, measure).fetchall() == state.over_time(every, measure).fetchall()
        a, b = (min(cut, len(events)) for cut in cuts)
        diff = fold.diff(a, b).pl()
        assert sorted(diff.rows(), key=repr) == sorted(state.diff(a, b).pl().select(diff.columns).rows(), key=repr)
