"""Funnels as people ask for them: the table of cases, windows, maturity, who is behind a number, and what is refused."""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any

import pytest

import eventlab as el
from eventlab import queries
from eventlab.analytics import funnels
from eventlab.errors import InvalidArgument, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
CASES = {  # of each stream: ordered, strict_order, strict
    "A B C": (3, 3, 3),
    "A X B C": (3, 1, 1),
    "A C B": (2, 1, 1),
    "A B A C": (3, 3, 2),
    "A B B C": (3, 3, 2),
    "A X A B C": (3, 1, 3),
    "A C B A B C": (3, 1, 3),
}
OUTCOMES = ("entered", "mature", "converted", "dropped", "pending", "converted_early", "reached")


def at(seconds: float) -> dt.datetime:
    """Return an instant so many seconds after the start."""
    return START + dt.timedelta(seconds=seconds)


def add(log: el.EventLog, stream: str, *events: tuple[str, float] | tuple[str, float, dict[str, Any]]) -> None:
    """Append events of (type, seconds after the start, payload)."""
    log.append(stream, [el.Event(e[0], e[2] if len(e) > 2 else {}, occurred_at=at(e[1])) for e in events])


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Yield an empty log."""
    with el.open(tmp_path / "log", create=True) as opened:
        yield opened


def reached(log: el.EventLog, steps: list[Any], **options: Any) -> list[int]:
    """Return how many reached each step."""
    return log.funnel(steps, **options).pl()["reached"].to_list()


def furthest(log: el.EventLog, **options: Any) -> dict[str, int]:
    """Return the furthest step of each actor in the funnel A, B, C."""
    funnel = log.funnel(["A", "B", "C"], **options)
    return {
        actor: step
        for step in (1, 2, 3)
        for actor in funnel.actors(step=step, outcome="reached").pl()["actor"].to_list()
    }


@pytest.mark.parametrize(("number", "order"), list(enumerate(("ordered", "strict_order", "strict"))))
def test_cases(log: el.EventLog, number: int, order: str) -> None:
    """The table of ANALYTICS.md, window 100: as ClickHouse has it for ordered and strict_order."""
    for stream in CASES:
        add(log, stream, *((kind, second) for second, kind in enumerate(stream.split())))
    wanted = {stream: answers[number] for stream, answers in CASES.items()}
    assert furthest(log, within="100s", order=order) == wanted


@pytest.mark.parametrize("order", ["ordered", "strict_order", "strict", "any"])
def test_ties(log: el.EventLog, order: str) -> None:
    """Steps at one instant are in the funnel's order, in whichever order they came."""
    for number, kinds in enumerate(("ABC", "CBA", "BCA", "ACB")):
        add(log, f"s{number}", *((kind, 5) for kind in kinds))
    add(log, "foreign", ("C", 5), ("B", 5), ("A", 5), ("X", 5))
    assert set(furthest(log, within="100s", order=order).values()) == {3}


def test_best_and_first(log: el.EventLog) -> None:
    """A@0 A@30 B@45 C@75, window 60: the best entry converts, the first does not."""
    add(log, "s", ("A", 0), ("A", 30), ("B", 45), ("C", 75))
    assert reached(log, ["A", "B", "C"], within="60s") == [1, 1, 1]
    assert reached(log, ["A", "B", "C"], within="60s", entry="first") == [1, 1, 0]
    assert reached(log, ["A", "B", "C"], within="60s", entry="all") == [1, 1, 0]
    assert log.funnel(["A", "B", "C"], within="60s").actors(step=3).pl()["entered_at"].to_list() == [at(30)]


@pytest.mark.parametrize("entry", ["best", "first", "all"])
def test_edge(log: el.EventLog, entry: str) -> None:
    """A window includes its end."""
    add(log, "in", ("A", 0), ("B", 60))
    add(log, "out", ("A", 0), ("B", 60.000001))
    assert reached(log, ["A", "B"], within="60s", entry=entry) == [2, 1]


@pytest.mark.parametrize("entry", ["best", "first", "all"])
def test_one_event_is_one_step(log: el.EventLog, entry: str) -> None:
    """An event that could be steps 1 and 2 is one of them."""
    add(log, "once", ("A", 0))
    add(log, "twice", ("A", 0), ("A", 1))
    assert reached(log, ["A", "A"], within="100s", entry=entry) == [2, 1]


def test_all_attempts(log: el.EventLog) -> None:
    """A new attempt begins after a conversion, a time-out or an exclusion; what comes in between is no entry."""
    add(log, "s", ("A", 0), ("A", 1), ("B", 2), ("A", 10), ("R", 11), ("B", 12), ("A", 13), ("A", 30), ("B", 31))
    funnel = log.funnel(["A", "B"], within="10s", entry="all", exclude=el.exclude("R"))
    assert funnel.pl()["reached"].to_list() == [4, 2]
    assert [row["entered_at"] for row in funnel.actors(step=1).pl().to_dicts()] == [at(0), at(10), at(13), at(30)]


def test_exclusion_between(log: el.EventLog) -> None:
    """An exclusion ends the attempts that are between its two steps, and no others; what they reached counts."""
    add(log, "before", ("A", 0), ("R", 1), ("B", 2), ("C", 3))
    add(log, "between", ("A", 0), ("B", 1), ("R", 2), ("C", 3))
    add(log, "after", ("A", 0), ("B", 1), ("C", 2), ("R", 3))
    steps = ["A", "B", "C"]
    assert reached(log, steps, exclude=el.exclude("R", between=(2, 3))) == [3, 3, 2]
    assert reached(log, steps, exclude=[el.exclude("R", between=(1, 2))]) == [3, 2, 2]
    assert reached(log, steps, exclude="R") == [3, 2, 1]


def test_optional(log: el.EventLog) -> None:
    """A step that is optional is counted where it was passed, and asked of nobody."""
    add(log, "all", ("A", 0), ("B", 1), ("C", 4))
    add(log, "without", ("A", 0), ("C", 2))
    add(log, "neither", ("A", 0), ("B", 1))
    rows = log.funnel(["A", el.step("B", optional=True), "C"]).pl()
    assert rows["entered"].to_list() == [3, 3, 3]
    assert rows["reached"].to_list() == [3, 2, 2]
    assert rows["median_seconds"].to_list() == [None, 1.0, 3.0]


def test_within_previous(log: el.EventLog) -> None:
    """A step's own window begins where the step before came, also when that came again."""
    add(log, "near", ("A", 0), ("B", 10), ("C", 15))
    add(log, "far", ("A", 0), ("B", 1), ("C", 15))
    add(log, "again", ("A", 0), ("B", 1), ("B", 12), ("C", 15))
    funnel = log.funnel(["A", "B", el.step("C", within_previous="5s")])
    assert funnel.actors(step=3).pl()["actor"].to_list() == ["again", "near"]


def test_hold(log: el.EventLog) -> None:
    """Steps share what is held; NULL equals nothing; each value is a sequence of its own."""
    one, two, none = {"order": 1}, {"order": 2}, {"order": None}
    add(log, "same", ("A", 0, one), ("B", 1, one))
    add(log, "other", ("A", 0, one), ("B", 1, two))
    add(log, "nulls", ("A", 0, none), ("B", 1, none))
    add(log, "both", ("A", 0, one), ("A", 1, two), ("B", 2, one), ("B", 3, two))
    assert reached(log, ["A", "B"], hold=["order"]) == [4, 2]
    assert reached(log, ["A", "B"], hold="order", order="strict") == [4, 2]
    assert reached(log, ["A", "B"], hold="order", entry="all") == [5, 3]


def test_hold_is_refused(log: el.EventLog) -> None:
    """A step that lacks what is held is named, with the fields that come near."""
    add(log, "s", ("A", 0, {"order_id": 1}), ("B", 1, {"orderid": 1}))
    with pytest.raises(InvalidArgument, match=r"step 2, 'B', has no field 'order_id'. Did you mean 'orderid'"):
        log.funnel(["A", "B"], hold=["order_id"])
    with pytest.raises(InvalidArgument, match="properties that all steps share"):
        log.funnel(["A", "B"], hold=[])


def test_maturity(log: el.EventLog) -> None:
    """Who can still convert has not failed: the identities hold, and every number has its people."""
    add(log, "converted", ("A", 0), ("B", 10))
    add(log, "dropped", ("A", 5))
    add(log, "pending", ("A", 70))
    add(log, "early", ("A", 80), ("B", 90))
    add(log, "edge", ("A", 40), ("X", 100))
    funnel = log.funnel(["A", "B"], within="60s")
    rows = funnel.pl().select("step", *OUTCOMES, "rate", "rate_total", "median_seconds").rows()
    assert rows == [
        (1, 5, 3, 3, 0, 0, 2, 5, 1.0, 1.0, None),
        (2, 5, 3, 1, 2, 1, 1, 2, 1 / 3, 1 / 3, 10.0),
    ]
    people = {outcome: funnel.actors(step=2, outcome=outcome).pl()["actor"].to_list() for outcome in OUTCOMES}
    assert people["converted"] == ["converted"]
    assert people["dropped"] == ["dropped", "edge"]
    assert people["pending"] == ["pending"]
    assert people["converted_early"] == ["early"]
    earlier = log.funnel(["A", "B"], within="60s", complete_through=at(99)).pl()
    assert earlier["mature"].to_list() == [2, 2]


def test_without_a_window(log: el.EventLog) -> None:
    """Without a window nothing is pending, and the definition says that maturity is undefined."""
    add(log, "s", ("A", 0), ("B", 10))
    add(log, "t", ("A", 10))
    funnel = log.funnel(["A", "B"])
    assert funnel.pl()["pending"].to_list() == [0, 0]
    assert funnel.pl()["rate"].to_list() == [1.0, 0.5]
    assert "maturity is undefined" in funnel.definition


def test_breakdown(log: el.EventLog) -> None:
    """A breakdown is the value at the entry; NULL has its own rows."""
    add(log, "s", ("A", 0, {"country": "fr"}), ("B", 1, {"country": "us"}))
    add(log, "t", ("A", 0, {"country": None}))
    funnel = log.funnel(["A", "B"], breakdown="A.country")
    assert funnel.pl().columns[:3] == ["breakdown", "step", "event"]
    assert funnel.pl().select("breakdown", "step", "reached").rows() == [
        ("fr", 1, 1),
        ("fr", 2, 1),
        (None, 1, 1),
        (None, 2, 0),
    ]
    assert funnel.actors(step=1, breakdown=None).pl()["actor"].to_list() == ["t"]
    assert funnel.actors(step=1).pl().height == 2


def test_entries_in_a_range(log: el.EventLog) -> None:
    """The range chooses the entries; the steps that follow may come later."""
    add(log, "before", ("A", 0), ("B", 5))
    add(log, "inside", ("A", 10), ("B", 25))
    add(log, "after", ("A", 20), ("B", 21))
    for entry in ("best", "first", "all"):
        funnel = log.funnel(["A", "B"], within="20s", entry=entry, since=at(10), until=at(20))
        assert funnel.actors(step=2).pl()["actor"].to_list() == ["inside"]


def test_actors_and_conditions(log: el.EventLog) -> None:
    """One option says who acts, another which events there are, also in between; who has no actor is counted."""
    add(log, "s", ("A", 0, {"user": "u1"}), ("X", 1, {"user": "u1"}), ("B", 2, {"user": "u1"}))
    add(log, "t", ("A", 0, {"user": None}))
    by = 'coalesce(A."user", B."user", X."user")'
    funnel = log.funnel(["A", "B"], by=by, where="event_type <> 'X' -- not these", order="strict")
    assert funnel.actors(step=2).pl()["actor"].to_list() == ["u1"]
    assert funnel.unattributed() == 1
    assert reached(log, ["A", "B"], by=by, order="strict") == [1, 0]


def test_step_conditions(log: el.EventLog) -> None:
    """A step's condition names its own fields."""
    add(log, "s", ("A", 0), ("B", 1, {"qty": 1}), ("B", 2, {"qty": 5}))
    funnel = log.funnel(["A", el.step("B", where="qty > 1"), el.step("B", where="qty = 1")])
    assert funnel.pl()["reached"].to_list() == [1, 1, 0]
    assert "B where qty > 1" in funnel.definition


def test_views_and_late_events(log: el.EventLog) -> None:
    """A view is pinned, and what it is complete to is cut at its moment."""
    add(log, "s", ("A", 0), ("A", 50))
    early = log.at(2)
    add(log, "s", ("B", 20))
    add(log, "t", ("X", 100))
    steps = ["A", "B"]
    with pytest.raises(InvalidArgument, match="no event type 'B'"):
        early.funnel(steps, within="30s")
    assert early.funnel(["A"]).pl()["reached"].to_list() == [1]
    assert log.at(2).funnel(["A"]).pl()["reached"].to_list() == [1]
    assert log.at(at(60)).funnel(steps, within="30s").pl()["mature"].to_list() == [1, 1]
    assert log.at(at(25)).funnel(steps, within="30s").pl()["mature"].to_list() == [0, 0]
    assert log.funnel(steps, within="30s").pl()["converted"].to_list() == [1, 1]


def test_shuffled(tmp_path: Path) -> None:
    """The order in which events came does not matter, also where they tie."""
    chance, answers = random.Random(5), []
    events = [
        {
            "s": f"s{chance.randint(0, 5)}",
            "k": chance.choice("AABBCX"),
            "t": at(chance.randint(0, 9)).isoformat(),
            "c": chance.choice("xyz"),
        }
        for _ in range(120)
    ]
    for number in range(3):
        chance.shuffle(events)
        with el.open(tmp_path / str(number), create=True) as log:
            log.ingest(events, event_type="k", stream_id="s", occurred_at="t")
            answers.append(
                [
                    log.funnel(["A", "B", "C"], within="4s", entry=entry, order=order, breakdown="A.c").pl()
                    for entry in ("best", "first", "all")
                    for order in ("ordered", "strict", "strict_order", "any")
                ]
            )
    assert all(a.equals(b) for answer in answers[1:] for a, b in zip(answers[0], answer, strict=True))


def test_an_empty_log(log: el.EventLog) -> None:
    """A log without events has zeros, of whatever is asked."""
    steps = ["A", el.step("B", where="qty > 1")]
    assert log.funnel(steps, within="1h").pl()["entered"].to_list() == [0, 0]
    assert log.funnel(steps, within="1h", order="any", hold="order").pl()["rate"].to_list() == [None, None]
    assert log.funnel(steps, breakdown="stream_id").pl().is_empty()
    assert log.funnel(steps).actors(step=1).pl().is_empty()
    assert log.funnel(steps, within="1h").survival().pl().is_empty()


def test_one_step(log: el.EventLog) -> None:
    """A funnel of one step counts its entries; a window it has none."""
    add(log, "s", ("A", 0), ("A", 1))
    for entry, number in (("best", 1), ("first", 1), ("all", 2)):
        assert reached(log, ["A"], entry=entry) == [number]
    with pytest.raises(InvalidArgument, match="add the step that is to follow"):
        log.funnel(["A"], within="1h")


def test_actors_of_any_type(log: el.EventLog) -> None:
    """Who acts may be a number or a text, and is given back as it is."""
    for user in (1, 2, 30):
        add(log, f"s{user}", ("A", 0, {"user": user}), ("B", user, {"user": user}))
    for by, people in (('coalesce(A."user", B."user")', [1, 2, 30]), ("stream_id", ["s1", "s2", "s30"])):
        funnel = log.funnel(["A", "B"], within="10s", by=by)
        assert funnel.actors(step=1).pl()["actor"].to_list() == people
        assert funnel.pl()["reached"].to_list() == [3, 2]


def test_before_1970(log: el.EventLog) -> None:
    """Moments before 1970, and in the last years that there are, are counted as all others."""
    for number, year in enumerate((1, 1969, 9999)):
        moment = dt.datetime(year, 12, 31, tzinfo=dt.UTC)
        events = [el.Event(kind, {}, occurred_at=moment + dt.timedelta(seconds=n)) for n, kind in enumerate("ABC")]
        log.append(f"s{number}", events)
    funnel = log.funnel(["A", "B", "C"], within="1m")
    assert funnel.pl()["reached"].to_list() == [3, 3, 3]
    assert funnel.pl()["median_seconds"].to_list() == [None, 1.0, 1.0]
    assert [moment.year for moment in funnel.actors(step=3).pl()["entered_at"]] == [1, 1969, 9999]
    assert reached(log, ["A", "B", "C"], within="999999999d") == [3, 3, 3]


@pytest.mark.parametrize("number", [2, 3, 4, 7, 8, 15, 16, 20])
def test_many_steps(log: el.EventLog, number: int) -> None:
    """However many the steps, windows and folds give the same answer."""
    chance, kinds = random.Random(number), [f"k{n}" for n in range(number)]
    for stream in range(25):
        moments = sorted(chance.randint(0, 100) for _ in range(2 * number))
        places = sorted(chance.randint(0, number - 1) for _ in moments)
        add(log, f"s{stream}", *((kinds[place], moment) for place, moment in zip(places, moments, strict=True)))
    funnel = log.funnel(kinds, within="90s")
    assert funnel.design is not None
    assert log.sql(funnels.funnel_query(funnel.design, fast=False)).pl().equals(funnel.pl())
    assert funnel.pl()["reached"][0] > 0


def test_definition(log: el.EventLog) -> None:
    """The definition spells the parameters out."""
    add(log, "s", ("A", 0), ("B", 1))
    funnel = log.funnel(["A", "B"], within="1h", entry="first", order="strict", since=at(0))
    for part in (
        "A → B",
        "very next event",
        "within 1 hour of the entry",
        "first entry",
        "2026-03-01 00:00:01+00:00",
        "stream_id",
        "from 2026",
    ):
        assert part in funnel.definition
    assert funnel.basis == log.funnel(["A", "B"]).basis


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"steps": []}, "1 to 60 event types"),
        ({"steps": "A"}, "list of event types"),
        ({"steps": ["A", "Bee"]}, "There are: A, B"),
        ({"steps": ["A", 5]}, "el.step"),
        ({"within": 60}, "number and a unit"),
        ({"within": "0s"}, "shortest is 1us"),
        ({"within": "-1h"}, "number and a unit"),
        ({"entry": "latest"}, "There are: all, best, first"),
        ({"order": "strictly"}, "There are: any, ordered, strict, strict_order"),
        ({"exclude": el.exclude("X", between=(1, 3))}, "has 2 steps"),
        ({"exclude": "A"}, "cannot be both"),
        ({"exclude": 5}, "el.exclude"),
        ({"steps": [el.step("A", optional=True), "B"]}, "is the entry"),
        ({"steps": ["A", el.step("B", optional=True)], "order": "any"}, "Leave optional"),
        ({"breakdown": "countri"}, ""),
        ({"steps": ["A", el.step("B", where="qti > 1")]}, "Columns of events"),
    ],
)
def test_wrong_use(log: el.EventLog, options: dict[str, Any], hint: str) -> None:
    """Wrong use is one error with the nearest fix."""
    add(log, "s", ("A", 0), ("B", 1, {"qty": 1}), ("X", 2))
    with pytest.raises((InvalidArgument, QueryError)) as raised:
        log.funnel(**{"steps": ["A", "B"], **options})
    assert hint in raised.value.hint


def test_unknown_cells(log: el.EventLog) -> None:
    """A cell that there is not is refused with those that there are."""
    add(log, "s", ("A", 0), ("B", 1))
    funnel = log.funnel(["A", "B"])
    for cell, hint in (
        ({}, "1 A, 2 B"),
        ({"step": 3}, "1 A, 2 B"),
        ({"step": 1, "outcome": "lost"}, "converted_early"),
        ({"step": 1, "breakdown": "x"}, "Leave breakdown out"),
        ({"stage": 1}, "step=…"),
    ):
        with pytest.raises(InvalidArgument) as raised:
            funnel.actors(**cell)
        assert hint in raised.value.hint


@pytest.mark.parametrize("steps", [["A", "B", "C"], ["A"], ["A", "B", "A", "C"], ["B", "B"]])
def test_macro(log: el.EventLog, steps: list[str]) -> None:
    """The table macro has the numbers of log.funnel, for lists of any length."""
    chance = random.Random(7)
    for stream in range(12):
        add(log, f"s{stream}", *((chance.choice("AABBCX"), chance.randint(0, 30), {"u": stream % 5}) for _ in range(9)))
    for within in (None, "6s", "20s"):
        if within is not None and len(steps) == 1:
            continue
        text = "null" if within is None else f"'{within}'"
        assert log.sql(f"from funnel({steps}, {text})").pl().equals(log.funnel(steps, within=within).pl())
        by = "coalesce(A.u, B.u, C.u)"
        ours = log.funnel(steps, within=within, by=by, complete_through=at(15)).pl()
        theirs = log.sql(
            f"from funnel({steps}, {text}, actors := {by}, complete_through := timestamptz '{at(15)}')"
        ).pl()
        assert theirs.equals(ours)


def test_macro_is_refused(log: el.EventLog) -> None:
    """A window that is none is an error in SQL, too."""
    add(log, "s", ("A", 0), ("B", 1))
    for text, told in (("['A', 'B'], '-1h'", "above zero"), ("['A'], '1h'", "one step")):
        relation = log.sql(f"from funnel({text})")
        with pytest.raises(queries.DuckDBError, match=told):
            relation.pl()
