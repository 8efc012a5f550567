"""Steps and exclusions: their forms, and their conditions as SQL over events."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

import eventlab as el
from eventlab.analytics import holds, steps
from eventlab.errors import InvalidArgument, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eventlab.analytics.questions import Question


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[el.EventLog]:
    """Yield a log whose types have fields with names of all sorts."""
    path: Path = tmp_path_factory.mktemp("steps") / "log"
    with el.open(path, create=True) as opened:
        payload = {"qty": 2, "tags": ["a", "bb"], "version": 7, "Price": 1.5, "address": {"city": "Lyon"}}
        opened.append("s", [el.Event("cart", payload), el.Event("cart paid!", {"qty": 3}), el.Event("seen", {})])
        yield opened


@pytest.fixture
def question(log: el.EventLog) -> Question:
    """Return a question to the log."""
    return log._question(by="stream_id", where=None, since=None, until=None)


def chosen(question: Question, event: str, where: str) -> int:
    """Return how many events a condition chooses."""
    (stage,) = steps.stages(question, [el.step(event, where=where)])
    return int(question.rows(f"select count(*) from events where {stage.condition}")[0][0])


@pytest.mark.parametrize(
    ("event", "where", "number"),
    [
        ("cart", "qty > 1", 1),
        ("cart", "QTY > 2", 0),
        ("cart", "price = 1.5 and cart.qty = 2", 1),
        ("cart", 'cart."Price" = 1.5 -- as it is written', 1),
        ("cart", "address.city = 'Lyon'", 1),
        ("cart", "payload_version = 7 and version = 1", 1),
        ("cart", "len(list_filter(tags, lambda tag: len(tag) = qty)) = 1", 1),
        ("cart", "list_contains(list_transform(tags, lambda qty: qty || '!'), 'a!')", 1),
        ("cart", "qty in (select 2)", 1),
        ("cart", "qty = (select min(version) + 1 from events)", 1),
        ("cart paid!", "qty = 3", 1),
        ("cart paid!", "stream_id = 's' and occurred_at <= recorded_at", 1),
        ("cart", "null", 0),
    ],
)
def test_conditions(question: Question, event: str, where: str, number: int) -> None:
    """A condition names the fields of its type as they are, and the columns of events."""
    assert chosen(question, event, where) == number


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("qtty > 1", "Did you mean 'qty'"),
        ("qty >", "where of step 'cart'"),
        ("qty > 1) from events where (true", "more than an expression"),
        ("qty > 1), (true", "more than an expression"),
        ("qty > 1; drop table x", "where of step 'cart'"),
    ],
)
def test_conditions_are_refused(question: Question, where: str, told: str) -> None:
    """What is no condition is an error that says of which step, with the fields that come near."""
    with pytest.raises(QueryError, match=told):
        steps.stages(question, ["seen", el.step("cart", where=where)])


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: el.step(""), "OrderPlaced"),
        (lambda: el.step(5), "OrderPlaced"),
        (lambda: el.step("cart", where=""), "qty > 1"),
        (lambda: el.step("cart", within_previous=10), "number and a unit"),
        (lambda: el.step("cart", within_previous="0m"), "shortest"),
        (lambda: el.step("cart", optional="yes"), "optional=True"),
        (lambda: el.exclude(None), "OrderPlaced"),
        (lambda: el.exclude("cart", between=(2, 2)), "between=(1, 3)"),
        (lambda: el.exclude("cart", between=(0, 2)), "between=(1, 3)"),
        (lambda: el.exclude("cart", between=3), "between=(1, 3)"),
    ],
)
def test_forms(make: Any, hint: str) -> None:
    """A step or an exclusion that is none is refused at once."""
    with pytest.raises(InvalidArgument) as raised:
        make()
    assert hint in raised.value.hint


def test_stages(question: Question) -> None:
    """Names and steps become stages, with windows in microseconds."""
    made = steps.stages(question, ["seen", el.step("cart", within_previous=dt.timedelta(minutes=1), optional=True)])
    assert [(stage.event, stage.within_previous, stage.optional) for stage in made] == [
        ("seen", None, False),
        ("cart", 60_000_000, True),
    ]
    (stop,) = steps.stops(question, el.exclude("cart paid!", where="qty > 1"), made)
    assert (stop.first, stop.last) == (1, 2)


def test_too_many(question: Question) -> None:
    """A funnel has as many steps as an event can have bits."""
    assert len(steps.stages(question, ["cart"] * steps.MOST)) == steps.MOST
    with pytest.raises(InvalidArgument, match="61 steps"):
        steps.stages(question, ["cart"] * (steps.MOST + 1))


def test_held(question: Question) -> None:
    """What is held is a field of each step, or a column of all events."""
    (qty,) = holds.held(question, ["QTY"], ["cart", "cart paid!"], ["seen"])
    assert question.rows(f"select {qty} from events order by position") == [(2,), (3,), (None,)]
    (stream,) = holds.held(question, ["stream_id"], ["cart", "seen"], [])
    assert question.rows(f"select distinct {stream} from events where event_type in ('cart', 'seen')") == [("s",)]
    assert holds.holding(question, ["qty"], ["cart", "seen", "cart paid!"]) == ["cart", "cart paid!"]
    with pytest.raises(InvalidArgument, match="step 1, 'seen', has no field 'qty'"):
        holds.held(question, ["qty"], ["seen", "cart"], [])
