"""Process maps and variants: worked examples, oracles, cells, coverage."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from calendars import ZONE, logs, recorded
from courses import SLOW, Asked, check, grown, median, questions, rules, shuffled
from hypothesis import given
from hypothesis import strategies as st

import eventlab as el

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from calendars import Row
    from courses import Cleaned

Run = list[tuple[str, "dt.datetime"]]
Edge = tuple[str | None, str | None]


def edges(runs: Mapping[Any, Run], *, ends: bool) -> dict[Edge, list[tuple[Any, float | None]]]:
    """Return who goes from one event to the next, and in how many seconds."""
    found: dict[Edge, list[tuple[Any, float | None]]] = defaultdict(list)
    for who, run in runs.items():
        for (source, began), (target, ended) in itertools.pairwise(run):
            found[source, target].append((who, (ended - began).total_seconds()))
        if ends:
            found[None, run[0][0]].append((who, None))
            found[run[-1][0], None].append((who, None))
    return found


def mapped(runs: Mapping[Any, Run], *, ends: bool) -> list[tuple[Any, ...]]:
    """Return the rows of a process map."""
    rows = []
    for (source, target), went in edges(runs, ends=ends).items():
        cases = len({who for who, _ in went})
        seconds = [waited for _, waited in went if waited is not None]
        quantiles = (median(seconds), median(seconds, 0.95))
        rows.append((source, target, len(went), cases, cases / len(runs), *quantiles))
    none = (True, "")
    return sorted(
        rows,
        key=lambda row: (-row[2], (row[0] is not None, row[0] or ""), none if row[1] is None else (False, row[1])),
    )


def close(found: Sequence[tuple[Any, ...]], expected: Sequence[tuple[Any, ...]]) -> bool:
    """Tell whether rows are the same but for the last digits of their floats."""
    return [tuple(map(_exact, row)) for row in found] == [tuple(map(_exact, row)) for row in expected]


def _exact(value: object) -> object:
    return pytest.approx(value) if isinstance(value, float) else value


@pytest.fixture
def log(tmp_path: Path) -> el.EventLog:
    """Return four orders: A B C, A B B C, A C at one instant, and A alone."""
    log = el.open(tmp_path, create=True)
    for order, kinds in (("o-1", "ABC"), ("o-2", "ABBC"), ("o-4", "A")):
        log.append(order, [el.Event(kind, occurred_at=f"2026-03-01T00:0{n}") for n, kind in enumerate(kinds)])
    log.append("o-3", [el.Event(kind, occurred_at="2026-03-01") for kind in "AC"])
    return log


def test_process_map_by_hand(log: el.EventLog) -> None:
    """Counts, cases and shares of four orders, with the start and the end of each."""
    assert log.process_map().pl().select("source", "target", "count", "cases", "share", "median_seconds").rows() == [
        ("A", "B", 2, 2, 0.5, 60.0),
        ("B", "C", 2, 2, 0.5, 60.0),
        ("A", "C", 1, 1, 0.25, 0.0),
        ("B", "B", 1, 1, 0.25, 60.0),
    ]
    ends = [row for row in log.process_map(ends=True).pl().rows() if None in row[:2]]
    assert ends == [
        (None, "A", 4, 4, 1.0, None, None),
        ("C", None, 3, 3, 0.75, None, None),
        ("A", None, 1, 1, 0.25, None, None),
    ]


def test_variants_by_hand(log: el.EventLog) -> None:
    """The variants of four orders; a single event has no length; repeats can be one."""
    assert log.variants().pl().rows() == [
        (["A"], 1, 0.25, None),
        (["A", "B", "B", "C"], 1, 0.25, 180.0),
        (["A", "B", "C"], 1, 0.25, 120.0),
        (["A", "C"], 1, 0.25, 0.0),
    ]
    assert log.variants(collapse=True).pl().rows()[0] == (["A", "B", "C"], 2, 0.5, 150.0)


@SLOW
@given(rows=logs(), asked=questions(), cleaned=rules(), ends=st.booleans())
def test_process_map_against_an_oracle(rows: list[Row], asked: Asked, cleaned: Cleaned, ends: bool) -> None:
    """A process map is what a loop over the events of each actor counts, on the log and on views of it."""
    with grown(rows) as (_, views):
        for view in views[:3]:
            result = view.process_map(ends=ends, **cleaned.options, **asked.options)
            runs = cleaned.runs(asked.courses(view))
            assert close(result.pl().rows(), mapped(runs, ends=ends))
            assert view.sql(result.sql).pl().equals(result.pl())
            counts = sum(row[2] for row in result.pl().rows())
            assert counts == sum(len(run) - 1 + 2 * ends for run in runs.values())
            assert result.coverage == 1


@SLOW
@given(rows=logs(), asked=questions(), cleaned=rules())
def test_variants_against_an_oracle(rows: list[Row], asked: Asked, cleaned: Cleaned) -> None:
    """Variants are the lists of the events of each actor, and their shares add up to 1."""
    with grown(rows) as (_, views):
        for view in views[:3]:
            result = view.variants(**cleaned.options, **asked.options)
            runs = cleaned.runs(asked.courses(view))
            lengths: dict[tuple[str, ...], list[float | None]] = defaultdict(list)
            for run in runs.values():
                lasted = (run[-1][1] - run[0][1]).total_seconds() if len(run) > 1 else None
                lengths[tuple(name for name, _ in run)].append(lasted)
            expected = [
                (list(names), len(all_), len(all_) / len(runs), median([one for one in all_ if one is not None]))
                for names, all_ in sorted(lengths.items(), key=lambda pair: (-len(pair[1]), pair[0]))
            ]
            assert close(result.pl().rows(), expected)
            assert view.sql(result.sql).pl().equals(result.pl())
            assert sum(row[2] for row in result.pl().rows()) == pytest.approx(1 if runs else 0)


@SLOW
@given(rows=logs(fewest=1), asked=questions(), cleaned=rules())
def test_actors_of_process_maps_and_variants(rows: list[Row], asked: Asked, cleaned: Cleaned) -> None:
    """The actors of each cell are as many as it says, and who the oracle says."""
    with grown(rows) as (log, _):
        runs = cleaned.runs(asked.courses(log))
        ways = edges(runs, ends=True)
        result = log.process_map(ends=True, **cleaned.options, **asked.options)
        for source, target, _, cases, *_ in result.pl().rows():
            actors = result.actors(source=source, target=target)
            assert [who for (who,) in actors.pl().rows()] == sorted({who for who, _ in ways[source, target]})
            assert actors.pl().height == cases
        plain = log.process_map(**cleaned.options, **asked.options)
        for source, target, _, cases, *_ in plain.pl().rows():
            assert plain.actors(source=source, target=target).pl().height == cases
        assert [who for (who,) in plain.actors().pl().rows()] == sorted(runs)
        kinds = log.variants(**cleaned.options, **asked.options)
        for variant, cases, *_ in kinds.pl().rows():
            actors = kinds.actors(variant=variant)
            expected = sorted(who for who, run in runs.items() if [name for name, _ in run] == variant)
            assert [who for (who,) in actors.pl().rows()] == expected
            assert len(expected) == cases


@SLOW
@given(rows=logs(), top=st.integers(1, 4), share=st.sampled_from([0.0, 0.3, 0.6, 1.0]))
def test_thresholds_report_their_coverage(rows: list[Row], top: int, share: float) -> None:
    """What is shown is a part of all rows, and the coverage says how much of all counts they are."""
    with recorded(rows, ZONE) as log:
        whole, part = log.process_map(ends=True), log.process_map(ends=True, top=top, min_share=share)
        everything = whole.pl().rows()
        kept = [row for row in everything[:top] if row[4] >= share]
        assert part.pl().rows() == kept
        counts = sum(row[2] for row in everything)
        assert part.coverage == (pytest.approx(sum(row[2] for row in kept) / counts) if counts else 1)
        assert part.facts["coverage"] == part.coverage
        assert f"{part.coverage:.1%} of all transitions" in part.definition
        variants, some = log.variants(), log.variants(top=top)
        assert some.pl().equals(variants.pl()[:top])
        assert some.coverage == pytest.approx(sum(some.pl()["share"]) if counts else 1)


@SLOW
@given(rows=logs())
def test_input_order_does_not_matter_to_processes(rows: list[Row]) -> None:
    """Rows of different instants give the same map and variants in whatever order they come."""
    apart = sorted(shuffled(rows), key=lambda row: row.at)
    with recorded(apart) as one, recorded(shuffled(apart)) as other:
        assert one.process_map(by="actor").pl().equals(other.process_map(by="actor").pl())
        assert one.variants(by="actor").pl().equals(other.variants(by="actor").pl())


def test_wrong_use_of_processes(log: el.EventLog) -> None:
    """Unknown events, rules and thresholds that are none, and cells that are not there are one clear error each."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"ignore": "Aa"}, "Did you mean 'A'"),
        ({"only": []}, "all count"),
        ({"only": 5}, "names of event types"),
        ({"rename": {"X": "a"}}, "no event type 'X'"),
        ({"rename": {"A": ""}}, "several types may share one"),
        ({"rename": "A"}, "by event type"),
        ({"collapse": "yes"}, "collapse=True"),
        ({"ends": 1}, "ends=True"),
        ({"top": 0}, "1 or more"),
        ({"top": True}, "1 or more"),
        ({"min_share": 5}, "from 0 to 1"),
    ]
    for options, hint in wrong:
        with pytest.raises(el.InvalidArgument, match=hint):
            log.process_map(**options)
    cells: list[tuple[dict[str, Any], str]] = [
        ({"source": "D"}, "source: no event 'D'"),
        ({"target": None}, "ends=True"),
        ({"from": "A"}, "actors\\(source=…, target=…\\)"),
    ]
    for cell, hint in cells:
        with pytest.raises(el.InvalidArgument, match=hint):
            log.process_map().actors(**cell)
    with pytest.raises(el.InvalidArgument, match="the list of its events"):
        log.variants().actors(variant="A")
    with pytest.raises(el.InvalidArgument, match="no event 'a'\\. Did you mean 'A'"):
        log.variants().actors(variant=["a"])
    with pytest.raises(el.InvalidArgument, match="There are: B, first"):
        log.variants(ignore="C", rename={"A": "first"}).actors(variant=["A"])


def test_rename_groups_events(log: el.EventLog) -> None:
    """Several types may share a name, which cells then have; ignored types are gone before."""
    result = log.process_map(rename={"B": "middle", "C": "middle"}, collapse=True)
    assert Counter({(row[0], row[1]): row[2] for row in result.pl().rows()}) == {("A", "middle"): 3}
    assert result.actors(source="A", target="middle").pl()["actor"].to_list() == ["o-1", "o-2", "o-3"]
    assert "Renamed: B to middle, C to middle." in result.definition
    assert log.variants(ignore=["B"]).pl().rows() == [(["A", "C"], 3, 0.75, 120.0), (["A"], 1, 0.25, None)]


def test_empty_log_has_no_process(tmp_path: Path) -> None:
    """A log without events has no rows and covers them all; names need not be known."""
    log = el.open(tmp_path, create=True)
    for result in (log.process_map(ends=True, top=3), log.variants(only=["A"]), log.process_map(rename={"A": "b"})):
        assert result.pl().height == 0
        assert result.coverage == 1
        assert result.actors().pl().height == 0
    assert log.process_map().actors(source="A", target="B").pl().height == 0


def test_events_without_an_actor_are_counted(log: el.EventLog) -> None:
    """Only those of types that count: who is left out is said by unattributed."""
    by = "case when stream_id <> 'o-2' then stream_id end"
    assert log.process_map(by=by).unattributed() == 4
    assert log.variants(by=by, ignore="B").unattributed() == 2
    check(log, log.variants(only=list("ABC")), log.variants().pl().rows(), Asked())
