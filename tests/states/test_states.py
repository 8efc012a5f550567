"""States by examples that can be checked by hand: every answer, in Python and in SQL, on a log and on a view of it."""

from __future__ import annotations

import datetime as dt
import itertools
import subprocess
import sys
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

import eventlab as el
from eventlab.session import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400_000_000
ORDERS = """
select stream_id as order_id, sum(Placed.amount) as amount, count(*) as events,
    case when bool_or(event_type = 'Paid') then 'paid' else 'open' end as status
from events group by stream_id
"""


def day(number: int) -> dt.datetime:
    """Return noon of a day of January 1970 in UTC."""
    return dt.datetime(1970, 1, number, 12, tzinfo=dt.UTC)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Yield a log of five events of two orders, recorded at midnight of the 10th, 11th …; the fifth is late by two weeks."""
    days = itertools.count(9)
    moment = [next(days)]

    def clock() -> int:
        return moment[0] * DAY

    with el.open(tmp_path / "s", create=True, clock=clock) as opened:
        opened.define("Placed", {"amount": "DECIMAL(9,2)", "by": "VARCHAR"})
        opened.define("Paid", {"how": "VARCHAR"})
        for stream, kind, payload, number in (
            ("order-1", "Placed", {"amount": Decimal("10.50"), "by": "ann"}, 2),
            ("order-2", "Placed", {"amount": Decimal("4.00"), "by": "bob"}, 3),
            ("order-1", "Paid", {"how": "card"}, 4),
            ("order-2", "Placed", {"amount": Decimal("1.25"), "by": "ann"}, 6),
            ("order-1", "Placed", {"amount": Decimal("0.50"), "by": "cy"}, 1),
        ):
            opened.append(stream, el.Event(kind, payload, occurred_at=day(number)))
            moment[0] = next(days)
        yield opened


def rows(result: Any) -> list[tuple[Any, ...]]:
    """Return rows in order."""
    return sorted(result.fetchall(), key=repr)


ONE, TWO = ("order-1", Decimal("11.00"), 3, "paid"), ("order-2", Decimal("5.25"), 2, "open")


def test_now_at_and_get(log: el.EventLog) -> None:
    """The whole, at both clocks, one key; a late event is there at its own time, but not before it was known."""
    orders = log.define_state("orders", ORDERS)
    assert rows(orders.now()) == [ONE, TWO]
    assert rows(orders.at()) == [ONE, TWO]
    assert rows(orders.at(day(3))) == [
        ("order-1", Decimal("11.00"), 2, "open"),
        ("order-2", Decimal("4.00"), 1, "open"),
    ]
    known = orders.at(day(3), known_at="1970-01-13T23:00")
    assert rows(known) == [("order-1", Decimal("10.50"), 1, "open"), ("order-2", Decimal("4.00"), 1, "open")]
    assert rows(orders.at(3)) == [("order-1", Decimal("10.50"), 2, "paid"), ("order-2", Decimal("4.00"), 1, "open")]
    assert rows(orders.at(0)) == []
    assert rows(orders.get("order-2")) == [TWO]
    assert rows(orders.get("order-3")) == []
    assert orders.now().kind == "state"
    assert orders.now().pl().columns == ["order_id", "amount", "events", "status"]
    assert (orders.name, orders.version, log.states) == ("orders", 1, ["orders"])
    assert log.state("orders").text == ORDERS.strip()


def test_an_event_recorded_today_about_last_week(log: el.EventLog) -> None:
    """It changes the answer about last week, and not what was believed about last week yesterday."""
    orders = log.define_state("orders", ORDERS)
    yesterday = log.position
    before = rows(orders.at(day(4)))
    log.append("order-3", el.Event("Placed", {"amount": Decimal("7.00")}, occurred_at=day(3)))
    late = ("order-3", Decimal("7.00"), 1, "open")
    assert rows(orders.at(day(4))) == [*before, late]
    assert rows(orders.at(day(4), known_at=yesterday)) == before
    assert rows(log.at(day(4), known_at=yesterday).state("orders").now()) == before
    assert rows(log.sql(f"from orders_at('1970-01-04T12:00', known_at := {yesterday})")) == before
    assert late in rows(log.sql("from orders_at('1970-01-04T12:00')"))
    assert rows(orders.diff(yesterday, log.position)) == [("order-3", "added", None, late[1], None, 1, None, "open")]


def test_history_of_a_key_and_of_all(log: el.EventLog) -> None:
    """One row an event of the key in order of position, until the key's next event."""
    orders = log.define_state("orders", ORDERS)
    told = orders.history("order-1")
    assert told.pl().columns == [
        "position", "occurred_at", "recorded_at", "event_type", "valid_to", "order_id", "amount", "events", "status",
    ]  # fmt: skip
    shown = [(r[0], r[1].day, r[2].day, r[3], r[4].day if r[4] else None, *r[5:]) for r in told.fetchall()]
    assert shown == [
        (1, 2, 10, "Placed", 4, "order-1", Decimal("10.50"), 1, "open"),
        (3, 4, 12, "Paid", 1, "order-1", Decimal("10.50"), 2, "paid"),
        (5, 1, 14, "Placed", None, *ONE),
    ]
    assert len(orders.history().fetchall()) == 5
    assert rows(log.sql("from orders_history() where order_id = 'order-1'")) == rows(told)
    assert rows(log.at(3).state("orders").history("order-2")) == rows(log.at(3).sql("from orders_history()"))[1:2]
    assert orders.history("nobody").fetchall() == []


def test_diff_of_two_moments(log: el.EventLog) -> None:
    """Added, changed and, where HAVING ceases to hold, removed; what is as it was is left out."""
    orders = log.define_state("orders", ORDERS)
    told = orders.diff(1, 3)
    assert told.pl().columns == [
        "order_id", "change", "amount_before", "amount_after", "events_before", "events_after",
        "status_before", "status_after",
    ]  # fmt: skip
    assert rows(told) == [
        ("order-1", "changed", Decimal("10.50"), Decimal("10.50"), 1, 2, "open", "paid"),
        ("order-2", "added", None, Decimal("4.00"), None, 1, None, "open"),
    ]
    assert rows(log.sql("from orders_diff(1, 3)")) == rows(told)
    assert orders.diff(3, 3).fetchall() == []
    few = log.define_state("few", "select stream_id, count(*) as n from events group by 1 having n < 2")
    assert rows(few.diff(2, 3)) == [("order-1", "removed", 1, None)]
    every = log.define_state("every", "select count(*) as n, max(version) as v from events")
    assert rows(every.diff(1, 2)) == [("changed", 1, 2, 1, 1)]


def test_the_course_over_time(log: el.EventLog) -> None:
    """A measure as of each day's end: the late event counts from its own day on."""
    orders = log.define_state("orders", ORDERS)

    def course(measure: str, **options: Any) -> list[tuple[Any, ...]]:
        return [(r[0].day, *r[1:]) for r in orders.over_time("1d", measure, **options).fetchall()]

    assert course("sum(amount)") == [
        (1, Decimal("0.50"), False),
        (2, Decimal("11.00"), False),
        (3, Decimal("15.00"), False),
        (4, Decimal("15.00"), False),
        (5, Decimal("15.00"), False),
        (6, Decimal("16.25"), True),
    ]
    assert [row[1] for row in course("count(*) filter (where status = 'open')")] == [1, 1, 2, 1, 1, 1]
    assert [row[1] for row in course("max(amount)", since="1970-01-03", until="1970-01-05")] == [Decimal("11.00")] * 3
    assert [row[:2] for row in course("count(*)", since="1969-12-31", until="1970-01-01")] == [(31, 0), (1, 1)]
    assert [row[1] for row in course("sum(amount)", since="1969-12-31", until="1970-01-01")] == [None, Decimal("0.50")]
    twice = log.define_state(
        "w", "select stream_id, first(Placed.by order by occurred_at) filter (version > 1) as f from events group by 1"
    )
    told = twice.over_time("1d", "count(f)").fetchall()  # an aggregate that cannot be a window
    assert [row[1] for row in told] == [1, 1, 1, 1, 1, 2]


def test_sql_joins_states_at_one_moment(log: el.EventLog) -> None:
    """By name beside each other, on the log and on a view, whose relations are cut to it."""
    log.define_state("orders", ORDERS)
    log.define_state(
        "people", "select Placed.by as who, count(*) as n from events where Placed.by is not null group by 1"
    )
    text = "select order_id, status, (select sum(n) from people) as n from orders order by 1"
    assert log.sql(text).fetchall() == [("order-1", "paid", 4), ("order-2", "open", 4)]
    assert log.at(2).sql(text).fetchall() == [("order-1", "open", 2), ("order-2", "open", 2)]
    both = log.sql(
        "select count(*) from orders_at(1) as a full join orders_at('1970-01-03T12:00') as b using (order_id)"
    )
    assert both.fetchall() == [(2,)]
    assert rows(log.at(3).sql("from orders_at('1970-01-03T12:00')")) == rows(log.at(3).state("orders").at(day(3)))


def test_a_view_is_an_upper_bound(log: el.EventLog) -> None:
    """A moment asked of a view is cut to the view, on both clocks."""
    log.define_state("orders", ORDERS)
    view = log.at(day(3), known_at=2)
    narrow = [("order-1", Decimal("10.50"), 1, "open"), ("order-2", Decimal("4.00"), 1, "open")]
    state = view.state("orders")
    assert rows(state.now()) == rows(state.at()) == rows(state.at(day(9))) == rows(state.at(5)) == narrow
    assert rows(state.at(1)) == rows(state.at(day(2))) == narrow[:1]
    with pytest.raises(el.InvalidArgument, match="no position 9"):
        state.at(9)


def test_ties_go_by_position(log: el.EventLog) -> None:
    """The latest of equal maxima, the first of equal minima, whichever way they are folded; NULLs are passed over."""
    text = """
        select arg_max(Placed.by, Placed.amount) as most, arg_min(Placed.by, Placed.amount) as least,
            max_by(Placed.by, event_type) filter (Placed.amount < 5) as latest, mode(Placed.by) as common,
            last(Placed.how) as how, any_value(Placed.how) as any_how, list(Placed.by order by event_type desc) as people
        from events
    """
    log.define("Placed", {"amount": "DECIMAL(9,2)", "by": "VARCHAR", "how": "VARCHAR"})
    for by, amount, how in (("dan", "10.50", "x"), ("eve", "0.50", "y"), (None, "99.00", None), ("bob", None, None)):
        payload = {"amount": amount and Decimal(amount), "by": by, "how": how}
        log.append("order-9", el.Event("Placed", {name: value for name, value in payload.items() if value is not None}))
    people = ["ann", "bob", "ann", "cy", "dan", "eve", None, "bob", None]
    expected = [("dan", "cy", "eve", "ann", None, "x", people)]
    assert rows(log.define_state("s", text).now()) == expected
    merged = log.define_state("m", text.replace("mode(Placed.by)", "'ann'"))
    before = merged.at(6).fetchall()
    merged.snapshot()
    for position in (3, 6):
        log.at(position).state("m").snapshot()
    assert rows(merged.now()) == rows(merged.at(9)) == expected
    assert (
        rows(merged.at(6)) == before == [("dan", "cy", "cy", "ann", "x", "x", ["ann", "bob", "ann", "cy", "dan", None])]
    )


def test_several_keys_and_keys_that_are_null(log: el.EventLog) -> None:
    """NULL is a key as any: grouped, merged, asked for, compared."""
    state = log.define_state("s", "select Placed.by as who, event_type, count(*) as n from events group by all")
    assert rows(state.now()) == [("ann", "Placed", 2), ("bob", "Placed", 1), ("cy", "Placed", 1), (None, "Paid", 1)]
    assert rows(state.get((None, "Paid"))) == [(None, "Paid", 1)]
    assert rows(state.get(("ann", "Placed"))) == [("ann", "Placed", 2)]
    assert [row[0] for row in state.history((None, "Paid")).fetchall()] == [3]
    log.append("order-1", el.Event("Paid", {"how": "cash"}))
    assert rows(state.now())[-1] == (None, "Paid", 2)
    assert rows(state.diff(3, 6)) == [
        ("ann", "Placed", "changed", 1, 2),
        ("cy", "Placed", "added", None, 1),
        (None, "Paid", "changed", 1, 2),
    ]
    with pytest.raises(el.InvalidArgument, match="has 2 keys") as caught:
        state.get("ann")
    assert "a tuple of" in caught.value.hint


def test_no_keys_is_one_row(log: el.EventLog) -> None:
    """Also of no events; HAVING may take it away."""
    state = log.define_state("s", "select count(*) as n, max(Placed.amount) as most from events")
    assert rows(state.now()) == [(5, Decimal("10.50"))]
    assert rows(state.at(0)) == [(0, None)]
    assert rows(state.get(())) == rows(state.now())
    assert [row[5:] for row in state.history().fetchall()][:2] == [(1, Decimal("10.50")), (2, Decimal("10.50"))]
    assert [r[1] for r in state.over_time("1d", "sum(n)", since="1969-12-31", until="1970-01-02").fetchall()] == [
        0,
        1,
        2,
    ]
    many = log.define_state("many", "select count(*) as n from events having n > 3")
    assert rows(many.now()) == [(5,)]
    assert rows(many.at(2)) == []
    assert rows(many.over_time("1w", "count(*)"))[-1][1] == 1


@pytest.mark.parametrize(
    "text",
    [
        "select p.stream_id, count(*) as n, max(p.by) as who from placed p join events e using (position) group by 1",
        "select count(*) as n, sum(k) as k from (select stream_id, count(*) as k from events group by 1)",
        "select distinct stream_id, event_type from events",
        "select stream_id, sum(version) over (partition by stream_id order by position) as v from events",
        "with firsts as (from events where version = 1) select stream_id, count(*) as n from firsts group by 1 -- the end",
    ],
)
def test_what_cannot_be_split_is_run_as_it_is(log: el.EventLog, text: str) -> None:
    """Now and at any moment, in Python and in SQL; explain says why, and what there is not says so."""
    state = log.define_state("s", text)
    assert rows(state.now()) == rows(log.sql(text)) == rows(log.sql("from s"))
    assert rows(state.at(day(3))) == rows(log.at(day(3)).sql(text)) == rows(log.sql("from s_at('1970-01-03T12:00')"))
    assert rows(log.at(3).state("s").now()) == rows(log.at(3).sql(text)) == rows(log.at(3).sql("from s"))
    assert "folded from the log each time, as it " in state.explain()
    with pytest.raises(el.InvalidArgument, match="history of all keys of s cannot be made: it "):
        state.history()
    if text.endswith(("group by 1", "the end")):
        assert rows(state.get("order-1")) == [row for row in rows(state.now()) if row[0] == "order-1"]
    else:
        with pytest.raises(el.InvalidArgument, match="no keys that can be told"):
            state.get("x")
    for ask in (
        lambda: state.diff(1, 2),
        lambda: state.over_time("1d", "count(*)"),
    ):
        with pytest.raises(el.InvalidArgument, match="no keys that can be told: it "):
            ask()
    for ask in ("s_history()", "s_diff(1, 2)"):
        with pytest.raises(el.InvalidArgument, match="cannot be made: it "):
            log.sql(f"from {ask}")
    with pytest.raises(el.InvalidArgument, match="folded from the log each time"):
        state.snapshot()


def test_explain_says_how_and_why(log: el.EventLog) -> None:
    """From which snapshot; what cannot be merged, without DuckDB's own words; what was put into order."""
    orders = log.define_state("orders", ORDERS)
    assert "keys 1, aggregates 3" in orders.explain()
    assert "the beginning of the log" in orders.explain()
    orders.snapshot()
    assert "the snapshot at position 5" in orders.explain()
    assert "the best of 1 snapshots" in orders.explain()
    distinct = log.define_state(
        "d", "select count(distinct Placed.by) as n, last(Placed.by) as l from events"
    ).explain()
    assert (
        'since count(DISTINCT Placed."by") cannot be merged: two partial results may count the same value' in distinct
    )
    assert 'in order: "last"(Placed."by"): by position' in distinct
    modal = log.define_state("m", "select mode(Placed.by) as m from events").explain()
    assert 'since "mode"(Placed."by" ORDER BY "position") cannot be merged by DuckDB' in modal
    for text in (distinct, modal):
        assert "Error" not in text
        assert "EXPORT_STATE" not in text


def test_another_text_is_another_version(log: el.EventLog) -> None:
    """The same text is not; a basis of before keeps the old text, also in another process and after a drop."""
    orders = log.define_state("orders", ORDERS)
    assert log.define_state("orders", f"{ORDERS};").version == 1
    old = log.at(day(4))
    expected = rows(old.state("orders").now())
    again = log.define_state("orders", "select stream_id, count(*) as n from events group by 1")
    assert again.version == 2
    assert rows(log.state("orders").now()) == [("order-1", 3), ("order-2", 2)]
    assert rows(log.sql("from orders")) == [("order-1", 3), ("order-2", 2)]
    assert rows(orders.now()) == [ONE, TWO]  # what was handed out is of its text
    for n in range(40):
        log.append(f"order-{n}", el.Event("Placed", {"amount": Decimal(n), "by": "late"}, occurred_at=day(1)))
    log.define("Placed", {"amount": "DECIMAL(18,2)", "by": "VARCHAR", "more": "BIGINT"})
    log.append("order-1", el.Event("Placed", {"amount": Decimal("1E10"), "more": 5}, occurred_at=day(2)))
    log.append("order-1", el.Event("Refunded", {"orders": 1}, occurred_at=day(2)))
    log.seal()
    log.compact(vacuum=True)
    log.drop_state("orders")
    assert log.states == []
    view = log.at(old.basis)
    assert view.states == ["orders"]
    assert rows(view.state("orders").now()) == rows(view.sql("from orders")) == expected
    assert view.state("orders").now().relation.types == old.state("orders").now().relation.types
    assert rows(again.at(old.basis)) == expected
    script = f"""
import eventlab as el
with el.open({str(log.path)!r}) as log:
    view = log.at({old.basis!r})
    for result in (view.state("orders").now(), view.sql("from orders")):
        print(sorted(result.fetchall(), key=repr))
"""
    run = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    assert run.stdout.splitlines() == [repr(expected)] * 2


def test_a_basis_keeps_the_types_of_its_time(log: el.EventLog) -> None:
    """A field that is typed anew since is, at a basis of before, what it was: in every answer."""
    log.define_state("s", "select stream_id, max(Placed.amount) as most from events group by 1")
    view = log.at(3)
    asked = {
        "now": lambda state: state.now(),
        "at": lambda state: state.at(2),
        "get": lambda state: state.get("order-1"),
        "history": lambda state: state.history("order-1"),
        "diff": lambda state: state.diff(1, 2),
        "course": lambda state: state.over_time("1d", "max(most)"),
    }
    before = {name: ask(view.state("s")) for name, ask in asked.items()}
    told = {name: (result.relation.types, rows(result)) for name, result in before.items()}
    log.define("Placed", {"amount": "DOUBLE", "by": "VARCHAR"}, upcast={"amount": "amount"})
    log.append("order-1", el.Event("Placed", {"amount": 0.125}, occurred_at=day(1)))
    for _ in range(2):
        again = log.at(view.basis).state("s")
        assert {name: (ask(again).relation.types, rows(ask(again))) for name, ask in asked.items()} == told
        assert str(told["now"][0][1]) == "DECIMAL(9,2)"
        again.snapshot()
    assert str(log.state("s").now().relation.types[1]) == "DOUBLE"
    assert str(log.state("s").at(view.basis).relation.types[1]) == "DECIMAL(9,2)"


def test_a_dropped_state_is_gone_and_its_name_is_a_word_like_any(log: el.EventLog) -> None:
    """Its relation is not there, a column may be called like it, and it can be defined again."""
    log.define_state("orders", ORDERS)
    log.drop_state("orders")
    with pytest.raises(el.QueryError, match="no relation 'orders'"):
        log.sql("from orders")
    with pytest.raises(el.InvalidArgument, match="no state 'orders'"):
        log.state("orders")
    with pytest.raises(el.InvalidArgument, match="no state 'orders'"):
        log.drop_state("orders")
    assert log.sql("select count(*) as orders from events").fetchall() == [(5,)]
    assert log.define_state("orders", "select count(*) as n from events").version == 3
    assert rows(log.sql("from orders")) == [(5,)]


def test_states_named_like_their_columns_and_each_other(log: el.EventLog) -> None:
    """A column called like a state, its own or another, asks nothing of that state."""
    one = log.define_state("one", "select stream_id, count(*) as one, max(version) as two from events group by 1")
    two = log.define_state(
        "two", "select stream_id, count(*) as one, max(version) as two from events group by 1 having one > 2"
    )
    assert rows(one.now()) == [("order-1", 3, 3), ("order-2", 2, 2)]
    assert rows(two.now()) == rows(log.sql("select * from two where one > 1")) == [("order-1", 3, 3)]


@pytest.mark.parametrize(
    ("name", "text", "error", "said", "match"),
    [
        (
            "orders",
            "select stream_id, sum(Placed.amont) from events group by 1",
            el.QueryError,
            "no column 'amont'",
            "amount",
        ),
        (
            "orders",
            "select steam_id, count(*) from events group by 1",
            el.QueryError,
            "no column 'steam_id'",
            "stream_id",
        ),
        ("orders", "select sum(Plced.amount) from events", el.QueryError, "no event type 'Plced'", "Placed"),
        (
            "orders",
            "select count(*) from events join plced using (position)",
            el.QueryError,
            "no relation 'plced'",
            "placed",
        ),
        ("orders", "select count(*), now() from events", el.QueryError, "cannot use now", None),
        (
            "orders",
            "select count(*) as n, max(version) as N from events",
            el.QueryError,
            "two columns are called 'n'",
            None,
        ),
        ("orders", "select $x as x, count(*) from events", el.QueryError, "parameters: x", None),
        ("orders", "select max(count(*)) from events", el.QueryError, "cannot be nested", None),
        ("orders", "select count(*) from events join other on true", el.QueryError, "not the state other", None),
        (
            "orders",
            "select count(*) from events join other_at(1) on true",
            el.QueryError,
            "not the state other_at",
            None,
        ),
        ("orders", 5, el.QueryError, "a state is text", None),
        ("placed", "select count(*) from events", el.InvalidEvent, "there is a relation 'placed'", None),
        ("events", "select count(*) from events", el.InvalidEvent, "there is a relation 'events'", None),
        ("other_at", "select count(*) from events", el.InvalidEvent, "there is a relation 'other_at'", None),
        ("Orders", "select count(*) from events", el.InvalidEvent, "cannot be called 'Orders'", None),
        ("or-ders", "select count(*) from events", el.InvalidEvent, "cannot be called", None),
    ],
)
def test_what_cannot_be_defined(
    log: el.EventLog, name: str, text: Any, error: type[el.EventlabError], said: str, match: str | None
) -> None:
    """Says what, with the names that come near; nothing is defined."""
    log.define_state("other", "select count(*) as n from events")
    with pytest.raises(error) as caught:
        log.define_state(name, text)
    assert said in caught.value.message
    assert match is None or match in f"{getattr(caught.value, 'matches', '')} {caught.value}"
    assert log.states == ["other"]


def test_a_name_whose_macro_is_a_state_already(log: el.EventLog) -> None:
    """A state orders cannot be beside a state orders_at, whichever came first."""
    log.define_state("orders_at", "select count(*) as n from events")
    with pytest.raises(el.InvalidEvent, match="there is a relation 'orders_at' already"):
        log.define_state("orders", "select count(*) as n from events")
    assert rows(log.sql("from orders_at")) == [(5,)]
    assert rows(log.sql("from orders_at_at(2)")) == [(2,)]


def test_questions_that_cannot_be_answered(log: el.EventLog) -> None:
    """A key of another type, a measure that is none, a duration without a unit, keys that are not shown."""
    byn = log.define_state("byn", "select version as v, count(*) as n from events group by 1")
    assert rows(byn.get(1)) == rows(byn.get("1")) == [(1, 2)]
    assert rows(byn.get(1.5)) == []
    for key in ("abc", "x' or 1=1 --", True, dt.date(2026, 1, 1)):
        with pytest.raises(el.InvalidArgument, match="is BIGINT"):
            byn.get(key)
    orders = log.define_state("orders", ORDERS)
    with pytest.raises(el.InvalidArgument, match="stream_id is VARCHAR"):
        orders.history(5)
    byday = log.define_state(
        "byday", "select occurred_at::date as d, occurred_at as o, count(*) as n from events group by all"
    )
    assert (
        rows(byday.get(("1970-01-02", day(2)))) == rows(byday.get((dt.date(1970, 1, 2), "1970-01-02T12:00+00"))) != []
    )
    for measure, said in (
        ("nope", "is no measure"),
        ("sum(nope)", "no column 'nope'"),
        ("sum(n) from x", "is no measure"),
    ):
        with pytest.raises(el.QueryError, match=said):
            orders.over_time("1d", measure)
    with pytest.raises(el.InvalidArgument, match="no duration"):
        orders.over_time(5, "count(*)")  # type: ignore[arg-type]
    hidden = log.define_state("hidden", "select count(*) as n from events group by stream_id")
    with pytest.raises(el.InvalidArgument, match="does not show its keys"):
        hidden.diff(1, 2)
    with pytest.raises(el.InvalidArgument, match="does not show its keys"):
        log.sql("from hidden_diff(1, 2)")
    change = log.define_state("changes", "select stream_id as change, count(*) as n from events group by 1")
    with pytest.raises(el.InvalidArgument, match="two columns 'change'"):
        change.diff(1, 2)
    with pytest.raises(el.InvalidArgument, match="no state 'order'") as caught:
        log.state("order")
    assert "orders" in str(caught.value)


def test_columns_named_like_an_events(log: el.EventLog) -> None:
    """In a history they are told apart from the event's."""
    state = log.define_state(
        "s", "select stream_id, max(position) as position, count(*) as change from events group by 1"
    )
    assert state.history("order-2").pl().columns[5:] == ["stream_id", "state_position", "change"]
    assert rows(state.diff(2, 3)) == [("order-1", "changed", 1, 3, 1, 2)]


def test_an_event_that_a_state_cannot_take(log: el.EventLog) -> None:
    """A cast that fails says so as a QueryError, at once or when the rows are asked for; the state goes on without it."""
    state = log.define_state(
        "s", "select stream_id, max(payload->>'$.amount')::decimal(4,2) as m from events group by 1"
    )
    assert rows(state.now())[0] == ("order-1", Decimal("10.50"))
    log.append("order-9", el.Event("Placed", {"amount": Decimal("999.00")}))
    for ask in (state.now, state.history, lambda: state.get("order-9"), lambda: state.at(6)):
        with pytest.raises(el.QueryError):
            ask().fetchall()
    assert rows(state.at(5))[0] == ("order-1", Decimal("10.50"))


def test_reading_only(log: el.EventLog) -> None:
    """A log that is open for reading answers, and neither defines nor writes a snapshot."""
    log.define_state("orders", ORDERS).snapshot()
    files = sorted(log.path.rglob("snapshots/**/*"))
    log.close()
    with el.open(log.path, read_only=True) as reader:
        orders = reader.state("orders")
        assert rows(orders.now()) == rows(reader.sql("from orders")) == [ONE, TWO]
        assert len(orders.history().fetchall()) == 5
        for act in (
            orders.snapshot,
            lambda: reader.define_state("x", "select count(*) as n from events"),
            lambda: reader.drop_state("orders"),
        ):
            with pytest.raises(el.StoreReadOnly):
                act()
    assert sorted(log.path.rglob("snapshots/**/*")) == files


def test_a_damaged_snapshot_of_a_log_that_is_read_only(log: el.EventLog) -> None:
    """It is passed over, and stays."""
    log.define_state("orders", ORDERS).snapshot()
    log.close()
    (file,) = log.path.rglob("*.duckdb")
    file.write_bytes(b"no database")
    with el.open(log.path, read_only=True) as reader:
        assert rows(reader.state("orders").now()) == [ONE, TWO]
        assert rows(reader.state("orders").at(5)) == [ONE, TWO]
    assert file.read_bytes() == b"no database"


def test_an_answer_is_pinned_to_when_it_was_asked_for(log: el.EventLog) -> None:
    """Rows that were not fetched yet stay what they were over appends, refreshes, a new typing, a seal and a drop."""
    orders = log.define_state("orders", ORDERS)
    pinned = [orders.now().relation, orders.at(5).relation, log.sql("from orders"), orders.history("order-1").relation]
    expected = [rows(relation) for relation in pinned]
    for n in range(3):
        log.append("order-1", el.Event("Placed", {"amount": Decimal(n), "by": "x"}))
        assert len(rows(orders.now())) == 2
    log.define("Placed", {"amount": "DECIMAL(18,4)", "by": "VARCHAR"})
    log.append("order-1", el.Event("Placed", {"amount": Decimal("0.0001")}))
    assert rows(log.state("orders").now())[0][1] == Decimal("14.0001")
    log.seal()
    log.drop_state("orders")
    assert [rows(relation) for relation in pinned] == expected


def test_a_state_is_refreshed_by_what_is_new(log: el.EventLog) -> None:
    """The keys that new events touch are replaced: changed, added, and gone when HAVING ceases to hold."""
    few = log.define_state("few", "select stream_id, count(*) as n from events group by 1 having n < 3")
    assert rows(few.now()) == [("order-2", 2)]
    served = log._catalog._served["few", 1]
    table = served.partials
    log.append("order-2", el.Event("Noted", {"x": 1}))
    log.append("order-3", el.Event("Noted", {"x": 1}))
    assert rows(few.now()) == rows(log.sql("from few")) == [("order-3", 1)]
    assert log._catalog._served["few", 1].partials == table  # a new type of event is none of its own
    assert served.position == log.position


def test_threads_share_a_state(log: el.EventLog) -> None:
    """Answers in Python and in SQL, while another thread appends: no deadlock, and each is of one position."""
    orders = log.define_state("orders", "select count(*) as n, max(position) as p from events")
    wrong: list[Any] = []
    done = threading.Event()

    def ask(question: Any) -> None:
        while not done.is_set():
            for n, p in question().fetchall():
                if n != p:
                    wrong.append((n, p))

    threads = [
        threading.Thread(target=ask, args=(question,), daemon=True)
        for question in (
            orders.now,
            lambda: log.sql("from orders"),
            lambda: orders.at(4),
            lambda: log.sql("from orders_at(3)"),
        )
    ]
    for thread in threads:
        thread.start()
    for n in range(25):
        log.append("order-7", el.Event("Placed", {"amount": Decimal(n)}))
    done.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert wrong == []


def test_types_with_quotes_and_other_letters(log: el.EventLog) -> None:
    """A type whose name must be quoted; a field that widens makes the state anew."""
    kind = 'Seite "geöffnet"'
    log.append("s-1", el.Event(kind, {"größe": 1}))
    quoted = kind.replace('"', '""')
    state = log.define_state("groesse_x", f'select sum("{quoted}"."größe") as "Summe ""x""" from events')
    assert rows(state.now()) == [(1,)]
    state.snapshot()
    log.append("s-1", el.Event(kind, {"größe": 2.5}))
    assert rows(state.now()) == [(3.5,)]
    assert rows(state.at(log.position)) == [(3.5,)]
    assert log.sql("from groesse_x").columns == ['Summe "x"']


def test_the_scope_of_another_clock_is_not_served(log: el.EventLog) -> None:
    """A view of the head gives the head's rows, and does not grow."""
    orders = log.define_state("orders", ORDERS)
    view = log.at()
    assert view.state("orders").scope == Scope(position=5)
    log.append("order-3", el.Event("Placed", {"amount": Decimal(1)}))
    assert len(rows(orders.now())) == 3
    assert len(rows(view.state("orders").now())) == len(rows(view.sql("from orders"))) == 2


def test_a_state_over_effective_events_changes_when_a_compensation_occurs(tmp_path: Path) -> None:
    """Before it the event holds: in the history, which has the compensation as a step, in the course, and at each moment."""
    with el.open(tmp_path / "s", create=True) as log:
        for day in range(1, 5):
            log.append("o", el.Event("P", {"q": 1}, occurred_at=f"2026-01-0{day}"))
        text = "SELECT stream_id, count(*) AS n FROM events_effective WHERE event_type = 'P' GROUP BY 1"
        state = log.define_state("e", text)
        undo = el.Event("Undone", occurred_at="2026-01-06")
        log.compensate(log.stream("o")[1].event_id, "a mistake", events=[undo])
        wanted = [1, 2, 3, 4, 3]
        assert [state.at(position).fetchall() for position in range(1, 6)] == [[("o", n)] for n in wanted]
        assert [(row[0], row[-1]) for row in state.history("o").fetchall()] == list(enumerate(wanted, start=1))
        course = state.over_time("1d", "sum(n)").fetchall()
        assert [row[1:] for row in course] == [
            (n, n == 3 and last) for n, last in zip([1, 2, 3, 4, 4, 3], [False] * 5 + [True], strict=True)
        ]
        assert [row[1] for row in course] == [
            sum(row[1] for row in state.at(f"2026-01-0{day}T23:59:59").fetchall()) for day in range(1, 7)
        ]
        with pytest.raises(el.InvalidArgument, match="takes earlier events out") as caught:
            state.history()
        assert "one key" in caught.value.hint
        with pytest.raises(el.InvalidArgument, match="takes earlier events out"):
            log.sql("from e_history()")
        assert "a fold for each event" in state.explain()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT stream_id, count(*) AS n FROM events WHERE stream_id IN (SELECT stream_id FROM placed) GROUP BY stream_id",
        "SELECT stream_id AS s, count(*) AS n FROM events GROUP BY ALL ORDER BY s",
        "SELECT e.stream_id, count(*) AS n FROM events AS e GROUP BY 1 QUALIFY row_number() OVER (ORDER BY n) > 0",
    ],
)
def test_a_state_without_parts_answers_for_one_key(tmp_path: Path, text: str) -> None:
    """Its row, and its history as a run for each event of the key; for all keys it says why not."""
    with el.open(tmp_path / "s", create=True) as log:
        for stream in "abab":
            log.append(stream, el.Event("Placed", {"q": 1}))
        state = log.define_state("whole", text)
        assert state.get("a").fetchall() == [("a", 2)]
        assert state.get("z").fetchall() == []
        with pytest.raises(el.InvalidArgument, match="history of all keys") as caught:
            state.history()
        assert "one key" in caught.value.hint
        if "AS e" in text:
            with pytest.raises(el.InvalidArgument, match="not of events"):
                state.history("a")
            return
        steps = state.history("a").fetchall()
        assert [(row[0], row[-1]) for row in steps] == [(1, 1), (3, 2)]
        assert log.at(2).state("whole").history("a").fetchall()[0][0] == 1
        assert state.history("z").fetchall() == []
