"""Corrected views: what is known of a moment by now, with mistakes put right that were put right after it."""

from __future__ import annotations

import datetime as dt
import itertools
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eventlab as el
from eventlab import moments

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86_400_000_000
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SUMS = """
SELECT stream_id, sum(Paid.q) AS total, count(*) AS n, list(Paid.q) AS qs
FROM events_effective WHERE event_type = 'Paid' GROUP BY stream_id
"""
WHOLE = (
    "SELECT stream_id, sum(q) AS total FROM (SELECT stream_id, Paid.q AS q FROM events_effective) GROUP BY stream_id"
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Yield a log of four days, an event a day: paid 1, paid 2, the second undone on the third, paid 4."""
    days = itertools.count(1)
    with el.open(tmp_path / "s", create=True, clock=lambda: next(days) * DAY) as opened:
        opened.define("Paid", {"q": "BIGINT"})
        opened.append("a", el.Event("Paid", {"q": 1}, event_id="one", occurred_at="2026-01-01"))
        opened.append("a", el.Event("Paid", {"q": 2}, event_id="two", occurred_at="2026-01-02"))
        opened.compensate("two", "wrong", events=[el.Event("Undone", occurred_at="2026-01-03")])
        opened.append("a", el.Event("Paid", {"q": 4}, event_id="four", occurred_at="2026-01-04"))
        opened.define_state("sums", SUMS)
        opened.define_state("whole", WHOLE)
        yield opened


def effective(log: Any) -> list[str]:
    """Return the ids of the effective events."""
    return [row[0] for row in log.sql("select event_id from events_effective order by position").fetchall()]


@pytest.mark.parametrize("sealed", [False, True])
def test_what_was_undone_later_is_left_out_of_a_corrected_view(log: el.EventLog, *, sealed: bool) -> None:
    """By itself a view has what held at its moment; ``events`` are the same in both."""
    if sealed:
        log.seal()
    assert effective(log.at("2026-01-02")) == ["one", "two"]
    assert effective(log.at("2026-01-02", corrected=True)) == ["one"]
    assert effective(log.at("2026-01-04", corrected=True)) == effective(log.at("2026-01-04")) == ["one", "four"]
    view = log.at("2026-01-02", corrected=True)
    assert [event.event_id for event in view.read()] == ["one", "two"]
    assert view.sql("select event_id from events order by position").fetchall() == [("one",), ("two",)]


def test_only_what_was_known_is_put_right(log: el.EventLog) -> None:
    """A correction that was recorded after ``known_at`` is none, whichever way it is given."""
    assert effective(log.at("2026-01-02", known_at=2, corrected=True)) == ["one", "two"]
    recorded = next(log.read(after=2)).recorded_at
    assert effective(log.at("2026-01-02", known_at=recorded, corrected=True)) == ["one"]
    assert effective(log.at("2026-01-02", known_at=recorded - moments.MICROSECOND, corrected=True)) == ["one", "two"]
    assert effective(log.at(2, corrected=True)) == ["one", "two"]
    assert effective(log.at(log.at("2026-01-02").basis, corrected=True)) == ["one"]


def test_every_answer_of_a_state_is_corrected(log: el.EventLog) -> None:
    """Now, at, get, history, diff and course; folded from the log, and never from what uncorrected answers left behind."""
    plain = log.at("2026-01-02").state("sums")
    assert plain.now().fetchall() == [("a", 3, 2, [1, 2])]
    view = log.at("2026-01-02", corrected=True)
    state = view.state("sums")
    assert state.now().fetchall() == state.get("a").fetchall() == [("a", 1, 1, [1])]
    assert [row[:1] + row[5:] for row in state.history("a").fetchall()] == [(1, "a", 1, 1, [1])]
    assert [row[:1] + row[5:] for row in state.history().fetchall()] == [(1, "a", 1, 1, [1])]
    later = log.at("2026-01-04", corrected=True).state("sums")
    assert later.at("2026-01-02").fetchall() == [("a", 1, 1, [1])]
    assert later.at("2026-01-02", known_at=2).fetchall() == [("a", 3, 2, [1, 2])]
    assert [row[:1] + row[6:] for row in later.history("a").fetchall()] == [(1, 1, 1, [1]), (4, 5, 2, [1, 4])]
    assert [row[1] for row in later.over_time("1d", "sum(total)").fetchall()] == [1, 1, 1, 5]
    assert [row[1] for row in later.over_time("1d", "max(list_sum(qs))").fetchall()] == [1, 1, 1, 5]
    assert "window" in later.explain()
    assert "a fold for each event" in log.state("sums").explain()
    assert [row[1] for row in log.state("sums").over_time("1d", "sum(total)").fetchall()] == [1, 3, 1, 5]


def test_two_bases_of_one_moment_differ_by_what_was_put_right(log: el.EventLog) -> None:
    """A difference has each side as its token says."""
    state = log.state("sums")
    before, after = (log.at("2026-01-02", corrected=corrected).basis for corrected in (False, True))
    assert state.diff(before, after).fetchall() == [("a", "changed", 3, 1, 2, 1, [1, 2], [1])]
    assert state.at(after).fetchall() == [("a", 1, 1, [1])]
    assert state.at(before).fetchall() == [("a", 3, 2, [1, 2])]


def test_a_state_without_parts_is_corrected(log: el.EventLog) -> None:
    """Of one key, its history, and all."""
    state = log.at("2026-01-04", corrected=True).state("whole")
    assert state.at("2026-01-02").fetchall() == [("a", 1)]
    assert state.get("a").fetchall() == state.now().fetchall() == [("a", 5)]
    assert [row[:1] + row[5:] for row in state.history("a").fetchall()] == [(1, "a", 1), (4, "a", 5)]


@pytest.mark.parametrize("name", ["sums", "whole"])
def test_states_in_sql_are_corrected(log: el.EventLog, name: str) -> None:
    """The relation of a view, and the macros by a token or on a view, alone and beside each other."""
    view = log.at("2026-01-02", corrected=True)
    asked = f"select total from {name}"
    assert view.sql(asked).fetchall() == [(1,)]
    assert log.at("2026-01-02").sql(asked).fetchall() == [(3,)]
    macro = f"select total from {name}_at($t)"
    token, uncorrected = view.basis, log.at("2026-01-02").basis
    assert log.sql(macro, {"t": token}).fetchall() == [(1,)]
    assert log.sql(macro, {"t": uncorrected}).fetchall() == [(3,)]
    assert log.sql(macro, {"t": "2026-01-02"}).fetchall() == [(3,)]
    assert log.at("2026-01-03").sql(macro, {"t": "2026-01-02"}).fetchall() == [(3,)]
    assert log.at("2026-01-02").sql(macro, {"t": "2026-01-04"}).fetchall() == [(3,)]
    assert log.at("2026-01-02").sql(macro, {"t": token}).fetchall() == [(1,)]
    assert log.at("2026-01-04", corrected=True).sql(macro, {"t": "2026-01-02"}).fetchall() == [(1,)]
    known = f"select total from {name}_at($t, known_at := 2)"
    assert log.sql(known, {"t": token}).fetchall() == [(3,)]
    both = f"select before.total, after.total from {name}_at($a) as before, {name}_at($b) as after"
    assert log.sql(both, {"a": uncorrected, "b": token}).fetchall() == [(3, 1)]
    assert log.sql("select count(*) from events_at($t)", {"t": token}).fetchall() == [(2,)]


def test_the_macros_that_need_parts_are_corrected(log: el.EventLog) -> None:
    """The difference of two tokens, and the history, which a corrected view has of all keys."""
    before, after = (log.at("2026-01-02", corrected=corrected).basis for corrected in (False, True))
    asked = "select change, total_before, total_after from sums_diff($a, $b)"
    assert log.sql(asked, {"a": before, "b": after}).fetchall() == [("changed", 3, 1)]
    history = "select position, total from sums_history() order by position"
    assert log.at("2026-01-04", corrected=True).sql(history).fetchall() == [(1, 1), (4, 5)]
    with pytest.raises(el.EventlabError, match="sums_history cannot be made"):
        log.sql(history)


def test_a_token_is_corrected_for_ever(log: el.EventLog) -> None:
    """In another process, after more was undone, sealed and compacted; and it says so."""
    view = log.at("2026-01-04", corrected=True)
    token = view.basis
    assert token.endswith(":corrected")
    assert str(moments.basis(token)) == log.at(token).basis == token
    assert log.at("2026-01-04").basis == token.removesuffix(":corrected")
    log.compensate("four", "wrong too", events=[el.Event("Undone", occurred_at="2026-01-04")])
    log.seal()
    log.compact()
    assert effective(log.at(token)) == ["one", "four"]
    assert effective(log.at("2026-01-04", corrected=True)) == ["one"]
    code = (
        "import sys, eventlab as el\n"
        "with el.open(sys.argv[1], read_only=True) as log:\n"
        "    view = log.at(sys.argv[2])\n"
        "    print(view.basis, view.sql('select list(event_id order by position) from events_effective').fetchall(),\n"
        "          view.state('sums').now().fetchall())\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, log.path, token], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == f"{token} [(['one', 'four'],)] [('a', 5, 2, [1, 4])]"


def test_an_analysis_keeps_that_its_view_is_corrected(log: el.EventLog) -> None:
    """Its basis says so, and what its condition asks of effective events is corrected."""
    asked: dict[str, Any] = {"where": "event_id IN (SELECT event_id FROM events_effective)"}
    plain, corrected = (log.at("2026-01-02", corrected=how) for how in (False, True))
    assert [row[1] for row in plain.trend("count(*)", every="1d", **asked).pl().rows()] == [1, 1]
    answer = corrected.trend("count(*)", every="1d", **asked)
    assert [row[1] for row in answer.pl().rows() if row[1]] == [1]
    assert answer.basis == corrected.basis


def test_the_relation_behind_it_is_no_event_type_s(log: el.EventLog) -> None:
    """A type that would have its name is seen by another, and no listing shows it."""
    log.append("b", el.Event("EventlabCompensations", {"x": 1}))
    assert log.sql("select x from eventlab_compensations_event").fetchall() == [(1,)]
    assert log.at("2026-01-02", corrected=True).state("sums").now().fetchall() == [("a", 1, 1, [1])]
    listed = {row[0] for row in log.sql("select view_name from duckdb_views() where not internal").fetchall()}
    assert "events_effective" in listed
    assert "eventlab_compensations" not in listed


@dataclass
class Fact:
    """An event as the oracle knows it."""

    position: int
    stream: str
    day: int
    event_id: str
    q: int | None
    undoes: str | None = None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), st.sampled_from("ab"), st.integers(0, 4), st.integers(1, 9)),
        st.tuples(st.just("undo"), st.just(""), st.integers(0, 4), st.integers(0, 30)),
        st.tuples(st.sampled_from(["seal", "compact"]), st.just(""), st.just(0), st.just(0)),
    ),
    min_size=1,
    max_size=14,
)


def taken(log: el.EventLog, step: tuple[str, str, int, int], facts: list[Fact]) -> None:
    """Do one step, on the log and for the oracle."""
    kind, stream, day, number = step
    occurred = START + dt.timedelta(days=day)
    position = len(facts) + 1
    if kind == "pay":
        log.append(stream, el.Event("Paid", {"q": number}, event_id=f"e{position}", occurred_at=occurred))
        facts.append(Fact(position, stream, day, f"e{position}", number))
    elif kind == "undo":
        undone = {fact.undoes for fact in facts}
        targets = [fact for fact in facts if fact.q is not None and fact.event_id not in undone]
        if targets:
            target = targets[number % len(targets)]
            log.compensate(target.event_id, "wrong", events=[el.Event("Undone", occurred_at=occurred)])
            facts.append(Fact(position, target.stream, day, "", None, target.event_id))
    else:
        getattr(log, kind)()


def holding(facts: list[Fact], day: int, position: int) -> list[Fact]:
    """Return the effective events of a corrected view, by its definition."""
    undone = {fact.undoes for fact in facts if fact.position <= position}
    seen = [fact for fact in facts if fact.day <= day and fact.position <= position]
    return [fact for fact in seen if fact.undoes is None and fact.event_id not in undone]


def fold(facts: list[Fact]) -> dict[str, tuple[int, int, list[int]]]:
    """Fold effective events by hand."""
    qs: dict[str, list[int]] = {}
    for fact in facts:
        qs.setdefault(fact.stream, []).append(fact.q or 0)
    return {stream: (sum(found), len(found), found) for stream, found in qs.items()}


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_corrected_views_equal_their_definition(steps: list[tuple[str, str, int, int]]) -> None:
    """Effective events on both clocks, the state over them and its history, course and SQL, against plain Python."""
    with tempfile.TemporaryDirectory() as folder, el.open(Path(folder) / "s", create=True) as log:
        log.define("Paid", {"q": "BIGINT"})
        log.define_state("sums", SUMS)
        facts: list[Fact] = []
        for step in steps:
            taken(log, step, facts)
        head = len(facts)
        for day, position in itertools.product((1, 3), {head // 2, head}):
            view = log.at(START + dt.timedelta(days=day), known_at=position, corrected=True)
            held = holding(facts, day, position)
            assert effective(view) == [fact.event_id for fact in held]
            wanted = fold(held)
            assert {row[0]: row[1:] for row in log.state("sums").at(view.basis).fetchall()} == wanted
            in_sql = log.sql("select * from sums_at($t)", {"t": view.basis}).fetchall()
            assert {row[0]: row[1:] for row in in_sql} == wanted
        view = log.at(START + dt.timedelta(days=3), corrected=True)
        held = holding(facts, 3, head)
        for stream in "ab":
            wanted_steps = [
                (fact.position, *fold([one for one in held if one.position <= fact.position])[stream])
                for fact in held
                if fact.stream == stream
            ]
            found = view.state("sums").history(stream).fetchall()
            assert [(row[0], *row[6:]) for row in found] == wanted_steps
        for bucket, value, _ in view.state("sums").over_time("1d", "sum(total)").fetchall():
            then = fold([fact for fact in held if fact.day <= (bucket - START).days])
            assert value == (sum(row[0] for row in then.values()) if then else None)


def test_a_token_says_what_was_known_by_its_position(tmp_path: Path) -> None:
    """As ``known_at`` it is a moment of system time, whatever moment of valid time it has."""
    with el.open(tmp_path / "log", create=True) as log:
        for day in (1, 2, 3):
            log.append("s", el.Event("Happened", {}, occurred_at=f"2026-01-0{day}"))
        basis = log.at("2026-01-02").basis
        log.append("s", el.Event("Happened", {}, occurred_at="2026-01-01"))
        assert log.at(known_at=basis).sql("select count(*) from events").fetchall() == [(3,)]
        assert log.at("2026-01-01", known_at=basis).sql("select count(*) from events").fetchall() == [(1,)]
