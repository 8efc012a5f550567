"""Paths: a worked example, an oracle, flows that add up."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from calendars import ZONE, Row, logs, recorded
from courses import SLOW, Asked, grown, questions, rules, shuffled
from hypothesis import given
from hypothesis import strategies as st

import eventlab as el

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from courses import Cleaned

Move = tuple[int, str | None, str | None]


def moves(names: Sequence[str], start: str | None, end: str | None, depth: int) -> list[Move] | None:
    """Return the moves of one actor; None without a path."""
    padded: list[str | None] = list(names)
    if start is None and end is not None:
        if end not in names:
            return None
        back = [*padded[: names.index(end) + 1][::-1], None]
        return [(-step, back[step], back[step - 1]) for step in range(1, min(depth + 1, len(back)))]
    if start is not None and start not in names:
        return None
    path = padded[names.index(start) if start is not None else 0 :]
    if end is None:
        path.append(None)
    else:
        if end not in path[1:]:
            return None
        path = path[: path.index(end, 1) + 1]
    return [(step, path[step - 1], path[step]) for step in range(1, min(depth + 1, len(path)))]


def ordered(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows by step, most frequent first."""

    def key(row: tuple[Any, ...]) -> tuple[Any, ...]:
        ends = [(name is None, name or "") for name in row[1:3]]
        return (abs(row[0]), -row[3], *ends)

    return sorted(rows, key=key)


@pytest.fixture
def log(tmp_path: Path) -> el.EventLog:
    """Return four actors: A B C, A B B C, A C and B A."""
    log = el.open(tmp_path, create=True)
    for who, kinds in (("o-1", "ABC"), ("o-2", "ABBC"), ("o-3", "AC"), ("o-4", "BA")):
        log.append(who, [el.Event(kind, occurred_at=f"2026-03-01T00:0{n}") for n, kind in enumerate(kinds)])
    return log


def test_paths_from_an_event_by_hand(log: el.EventLog) -> None:
    """From the first A on, two moves; an actor without a further event stops."""
    assert log.paths("A", depth=2).pl().rows() == [
        (1, "A", "B", 2, 0.5),
        (1, "A", "C", 1, 0.25),
        (1, "A", None, 1, 0.25),
        (2, "B", "B", 1, 0.25),
        (2, "B", "C", 1, 0.25),
        (2, "C", None, 1, 0.25),
    ]


def test_paths_to_an_event_by_hand(log: el.EventLog) -> None:
    """On the way to the first C, backward; one who has no earlier event began there."""
    assert log.paths(end="C", depth=2).pl().rows() == [
        (-1, "B", "C", 2, 2 / 3),
        (-1, "A", "C", 1, 1 / 3),
        (-2, "A", "B", 1, 1 / 3),
        (-2, "B", "B", 1, 1 / 3),
        (-2, None, "A", 1, 1 / 3),
    ]


def test_paths_between_two_events_by_hand(log: el.EventLog) -> None:
    """From the first A to the first C after it: who gets there, and no further."""
    result = log.paths("A", "C")
    assert result.pl().rows() == [
        (1, "A", "B", 2, 2 / 3),
        (1, "A", "C", 1, 1 / 3),
        (2, "B", "B", 1, 1 / 3),
        (2, "B", "C", 1, 1 / 3),
        (3, "B", "C", 1, 1 / 3),
    ]
    assert result.actors().pl()["actor"].to_list() == ["o-1", "o-2", "o-3"]
    assert log.paths("A", "A").pl().height == 0


names = st.sampled_from([None, "Up", "In", "Buy", "x"])


@SLOW
@given(rows=logs(), asked=questions(), cleaned=rules(), start=names, end=names, depth=st.integers(1, 6))
def test_paths_against_an_oracle(
    rows: list[Row], asked: Asked, cleaned: Cleaned, start: str | None, end: str | None, depth: int
) -> None:
    """Paths are what a loop over the events of each actor follows; each move has as many actors as it says."""
    with grown(rows) as (_, views):
        known = replace(cleaned, collapse=False)
        there = {name for name, _ in known.of(Asked().courses(views[0])["z-1"])}
        start, end = (name if name in there else None for name in (start, end))
        for view in views[:3]:
            result = view.paths(start, end, depth=depth, **cleaned.options, **asked.options)
            runs = cleaned.runs(asked.courses(view))
            found = {who: moves([name for name, _ in run], start, end, depth) for who, run in runs.items()}
            going = {who: path for who, path in found.items() if path is not None}
            counts = Counter(move for path in going.values() for move in path)
            expected = ordered([(*move, count, count / len(going)) for move, count in counts.items()])
            assert result.pl().rows() == expected
            assert view.sql(result.sql).pl().equals(result.pl())
            assert [who for (who,) in result.actors().pl().rows()] == sorted(going)
        for step, source, target, count, _ in result.pl().rows()[:6]:
            actors = result.actors(step=step, source=source, target=target).pl()["actor"].to_list()
            assert actors == sorted(who for who, path in going.items() if (step, source, target) in path)
            assert len(actors) == count


@SLOW
@given(rows=logs(), cleaned=rules())
def test_flows_add_up(rows: list[Row], cleaned: Cleaned) -> None:
    """Who comes to an event in a step goes on from it in the next, or stops; the first step has all actors."""
    with recorded([*rows, Row("a-1", "Up", rows[0].at)] if rows else rows, ZONE) as log:
        if not rows:
            return
        result = log.paths(depth=4, collapse=cleaned.collapse).pl()
        came, went = defaultdict(int), defaultdict(int)
        for step, source, target, actors, _ in result.rows():
            came[step, target] += actors
            went[step, source] += actors
        for (step, source), actors in went.items():
            assert step == 1 or came[step - 1, source] == actors
        assert sum(share for step, *_, share in result.rows() if step == 1) == pytest.approx(1)


@SLOW
@given(rows=logs(), top=st.integers(1, 3), share=st.sampled_from([0.0, 0.4]))
def test_thresholds_of_paths_report_their_coverage(rows: list[Row], top: int, share: float) -> None:
    """Each step shows its most frequent moves, and the coverage says how much of all moves they are."""
    with recorded(rows, ZONE) as log:
        everything = log.paths().pl().rows()
        part = log.paths(top=top, min_share=share)
        seen: Counter[int] = Counter()
        kept = []
        for row in everything:
            seen[row[0]] += 1
            if seen[row[0]] <= top and row[4] >= share:
                kept.append(row)
        assert part.pl().rows() == kept
        total = sum(row[3] for row in everything)
        assert part.coverage == (pytest.approx(sum(row[3] for row in kept) / total) if total else 1)
        assert f"the {top} most frequent of each step" in part.definition
        assert f"{part.coverage:.1%} of all moves" in part.definition


@SLOW
@given(rows=logs())
def test_input_order_does_not_matter_to_paths(rows: list[Row]) -> None:
    """Rows of different instants give the same paths in whatever order they come."""
    apart = sorted(shuffled(rows), key=lambda row: row.at)
    with recorded(apart) as one, recorded(shuffled(apart)) as other:
        assert one.paths(by="actor").pl().equals(other.paths(by="actor").pl())


def test_wrong_use_of_paths(log: el.EventLog) -> None:
    """Unknown events, no depth and cells that are not there are one clear error each."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"start": "a"}, "start: no event 'a'. Did you mean 'A'"),
        ({"end": "Z"}, "There are: A, B, C"),
        ({"start": "A", "ignore": "A"}, "There are: B, C"),
        ({"depth": 0}, "1 or more"),
        ({"depth": 2.5}, "whole number"),
        ({"rename": {"A": "x"}, "start": "A"}, "There are: B, C, x"),
    ]
    for options, hint in wrong:
        with pytest.raises(el.InvalidArgument, match=hint):
            log.paths(**options)
    with pytest.raises(el.InvalidArgument, match="as the column has it"):
        log.paths().actors(step="1")
    with pytest.raises(el.InvalidArgument, match="actors\\(step=…, source=…, target=…\\)"):
        log.paths().actors(steps=1)
    with pytest.raises(el.InvalidArgument, match="source: no event 'Q'"):
        log.paths().actors(step=1, source="Q")


def test_definition_of_paths_says_where_they_go(log: el.EventLog) -> None:
    """The definition says from where to where, and how far."""
    assert "each actor's first event on" in log.paths().definition
    assert "each actor's first A on. Step k is the k-th move of the path, up to 5" in log.paths("A").definition
    assert "goes to each actor's first C. Step -k" in log.paths(end="C").definition
    assert "first A to the first C after it" in log.paths("A", "C").definition


def test_empty_log_has_no_paths(tmp_path: Path) -> None:
    """A log without events has no rows, whatever is named."""
    log = el.open(tmp_path, create=True)
    for result in (log.paths("A"), log.paths(end="B"), log.paths("A", "B", top=2)):
        assert result.pl().height == 0
        assert result.actors().pl().height == 0
        assert result.coverage == 1
