"""States over effective events on random histories with late events and compensations, against a fold in plain Python."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eventlab as el

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TEXT = """
SELECT stream_id, sum(Paid.q) AS total, count(*) AS n, list(Paid.q) AS qs
FROM events_effective WHERE event_type = 'Paid' GROUP BY stream_id
"""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), st.sampled_from("ab"), st.integers(0, 5), st.integers(1, 9)),
        st.tuples(st.just("undo"), st.just(""), st.integers(0, 5), st.integers(0, 30)),
        st.tuples(st.just("seal"), st.just(""), st.just(0), st.just(0)),
        st.tuples(st.just("compact"), st.just(""), st.just(0), st.just(0)),
    ),
    min_size=1,
    max_size=18,
)


@dataclass
class Fact:
    """An event as the oracle knows it."""

    position: int
    stream: str
    day: int
    event_id: str
    q: int | None
    undoes: str | None = None


def fold(
    facts: list[Fact], day: int | None = None, position: int | None = None
) -> dict[str, tuple[str, int, int, list[int]]]:
    """Fold what is seen at a moment, by hand."""
    seen = [
        fact for fact in facts if (day is None or fact.day <= day) and (position is None or fact.position <= position)
    ]
    undone = {fact.undoes for fact in seen if fact.undoes}
    rows: dict[str, list[int]] = {}
    for fact in seen:
        if fact.q is not None and fact.event_id not in undone:
            rows.setdefault(fact.stream, []).append(fact.q)
    return {stream: (stream, sum(qs), len(qs), qs) for stream, qs in rows.items()}


def taken(log: el.EventLog, step: tuple[str, str, int, int], facts: list[Fact]) -> None:
    """Do one step, on the log and for the oracle."""
    kind, stream, day, number = step
    at = START + dt.timedelta(days=day)
    if kind == "pay":
        result = log.append(stream, el.Event("Paid", {"q": number}, occurred_at=at))
        facts.append(Fact(result.last_position, stream, day, next(log.read(result.last_position - 1)).event_id, number))
    elif kind == "undo":
        undone = {fact.undoes for fact in facts}
        targets = [fact for fact in facts if fact.q is not None and fact.event_id not in undone]
        if targets:
            target = targets[number % len(targets)]
            result = log.compensate(target.event_id, "wrong", events=[el.Event("Undone", occurred_at=at)])
            facts.append(Fact(result.last_position, target.stream, day, "", None, target.event_id))
    else:
        getattr(log, kind)()


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_effective_states_equal_a_fold_by_hand(steps: list[tuple[str, str, int, int]]) -> None:
    """Now, at every position, on every day, on both clocks, in the history of each key, and in the course."""
    with tempfile.TemporaryDirectory() as folder, el.open(Path(folder) / "s", create=True) as log:
        log.define("Paid", {"q": "BIGINT"})
        state = log.define_state("sums", TEXT)
        facts: list[Fact] = []
        for step in steps:
            taken(log, step, facts)
        head = len(facts)
        assert log.position == head
        assert {row[0]: row for row in state.now().fetchall()} == fold(facts)
        for position in range(head + 1):
            assert {row[0]: row for row in state.at(position).fetchall()} == fold(facts, position=position)
        for day in range(6):
            moment = START + dt.timedelta(days=day)
            assert {row[0]: row for row in state.at(moment).fetchall()} == fold(facts, day)
            known = {row[0]: row for row in state.at(moment, known_at=head // 2).fetchall()}
            assert known == fold(facts, day, head // 2)
        for stream in "ab":
            wanted = [
                (fact.position, row[1:])
                for fact in facts
                if fact.stream == stream and (row := fold(facts, position=fact.position).get(stream))
            ]
            assert [(row[0], row[6:]) for row in state.history(stream).fetchall()] == wanted
        if facts:
            course = {row[0]: row[1] for row in state.over_time("1d", "sum(total)").fetchall()}
            for bucket, value in course.items():
                rows = fold(facts, (bucket - START).days).values()
                assert value == (sum(row[1] for row in rows) if rows else None)
