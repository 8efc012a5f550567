"""Sessions: a worked example, an oracle, late events, the macro."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from calendars import BEGUN, KINDS, ZONE, Row, load, logs, recorded
from courses import SLOW, check, grown, questions, shuffled
from hypothesis import given
from hypothesis import strategies as st

import eventlab as el

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from courses import Act, Asked

GAPS = {"30m": 30, "7h": 420, "1d": 1440, "90s": 1.5}


def cut(course: Sequence[Act], gap: dt.timedelta, split: str | None) -> list[list[Act]]:
    """Return the sessions of one actor."""
    found: list[list[Act]] = []
    for event in course:
        if not found or event.occurred_at - found[-1][-1].occurred_at > gap or event.event_type == split:
            found.append([])
        found[-1].append(event)
    return found


def expected(log: el.EventLog | el.LogView, asked: Asked, gap: str, split: str | None) -> list[tuple[Any, ...]]:
    """Return the rows of the sessions of a log."""
    rows = []
    for who, course in asked.courses(log).items():
        for session in cut(course, dt.timedelta(minutes=GAPS[gap]), split):
            first, last = session[0], session[-1]
            lasted = (last.occurred_at - first.occurred_at).total_seconds() if len(session) > 1 else None
            name = f"{who}/{first.position}"
            kinds = first.event_type, last.event_type
            rows.append((first, (who, name, first.occurred_at, last.occurred_at, len(session), *kinds, lasted)))
    return [row for _, row in sorted(rows, key=lambda pair: (pair[0].occurred_at, pair[0].position))]


@pytest.fixture
def log(tmp_path: Path) -> el.EventLog:
    """Return a log of two users: one with pauses of 30 minutes and of a second more, one with a single event."""
    log = el.open(tmp_path, create=True)
    clocks = ("09:00:00", "09:30:00", "10:00:01", "10:00:01")
    log.append(
        "ada", [el.Event(kind, occurred_at=f"2026-03-01T{clock}") for kind, clock in zip("ABCD", clocks, strict=True)]
    )
    log.append("bob", el.Event("A", occurred_at="2026-03-01T09:10:00"))
    return log


def test_pause_ends_a_session(log: el.EventLog) -> None:
    """A pause of exactly the gap goes on, a second more does not; at one instant position decides; one event has no duration."""
    assert log.sessions("30m").pl().drop("start", "end").rows() == [
        ("ada", "ada/1", 2, "A", "B", 1800.0),
        ("bob", "bob/5", 1, "A", "A", None),
        ("ada", "ada/3", 2, "C", "D", 0.0),
    ]


@SLOW
@given(rows=logs(), asked=questions(), gap=st.sampled_from(list(GAPS)), split=st.sampled_from([None, "Up"]))
def test_sessions_against_an_oracle(rows: list[Row], asked: Asked, gap: str, split: str | None) -> None:
    """Sessions are what a loop over the events of each actor cuts, on the log and on views of it."""
    with grown(rows) as (_, views):
        for view in views:
            given_split = None if split is None else f"event_type = '{split}'  -- too"
            result = view.sessions(gap, split=given_split, **asked.options)
            check(view, result, expected(view, asked, gap, split), asked)
            events = sum(row[4] for row in result.pl().rows())
            assert events + result.unattributed() == len(asked.chosen(view))


@SLOW
@given(rows=logs(fewest=1), asked=questions())
def test_actors_of_sessions(rows: list[Row], asked: Asked) -> None:
    """Each session has one actor, and an entry and an exit have those of their sessions."""
    with recorded(rows, ZONE) as log:
        result = log.sessions("7h", **asked.options)
        found = result.pl().rows(named=True)
        assert [who for (who,) in result.actors().pl().rows()] == sorted({row["actor"] for row in found})
        for row in found[:5]:
            assert result.actors(session_id=row["session_id"]).pl().rows() == [(row["actor"],)]
            alike = {r["actor"] for r in found if r["entry"] == row["entry"] and r["exit"] == row["exit"]}
            actors = result.actors(entry=row["entry"], exit=row["exit"])
            assert {who for (who,) in actors.pl().rows()} == alike
            assert actors.pl().height == len(alike)
            assert log.sql(actors.sql).pl().equals(actors.pl())


@SLOW
@given(rows=logs())
def test_input_order_does_not_matter(rows: list[Row]) -> None:
    """Rows of different instants give the same sessions in whatever order they come."""
    apart = sorted(shuffled(rows), key=lambda row: row.at)
    with recorded(apart) as one, recorded(shuffled(apart)) as other:
        assert one.sessions("7h", by="actor").pl().equals(other.sessions("7h", by="actor").pl())


def test_late_event_merges_two_sessions(log: el.EventLog) -> None:
    """An event that arrives late between two sessions makes them one; who knew less still sees two, by the same id."""
    before = log.position
    log.append("ada", el.Event("Late", occurred_at="2026-03-01T09:45:00"))
    now, then = (view.sessions("30m", where="stream_id = 'ada'").pl() for view in (log, log.at(known_at=before)))
    assert now.select("session_id", "events").rows() == [("ada/1", 5)]
    assert then.select("session_id", "events").rows() == [("ada/1", 2), ("ada/3", 2)]


def test_clock_change_is_no_pause(tmp_path: Path) -> None:
    """Pauses are of absolute time: from 01:50 to 03:10 in the night when the clocks go on are 20 minutes."""
    log = el.open(tmp_path, create=True, timezone=ZONE)
    log.append("a", [el.Event("A", occurred_at=f"2026-03-08T{clock}") for clock in ("01:50", "03:10")])
    assert log.sessions("20m").pl()["duration"].to_list() == [1200.0]


def test_macro_is_the_method(log: el.EventLog) -> None:
    """sessions(gap) in SQL gives the rows of log.sessions; actors are the streams, or any expression as text."""
    log.append("eve", [el.Event("A", occurred_at="2026-03-02", actor="x"), el.Event("B", occurred_at="2026-03-02")])
    for gap, text in (("30m", "'30m'"), ("1d", "interval 1 day"), ("90s", "'90 seconds'")):
        assert log.sql(f"from sessions({text})").pl().equals(log.sessions(gap).pl())
    by_actor = log.sql("from sessions('30m', actors := actor)").pl()
    assert by_actor.equals(log.sessions("30m", by="actor").pl())
    view = log.at(2)
    assert view.sql("select sum(events) from sessions('30m')").fetchall() == [(2,)]
    with pytest.raises(duckdb.Error, match="above zero"):
        log.sql("from sessions('0m')").fetchall()


def test_wrong_use_of_sessions(log: el.EventLog) -> None:
    """A bare number, a gap of nothing, a split that is no expression and an unknown cell are one clear error each."""
    for wrong, hint in ((30, "a unit"), ("0m", "shortest"), ("-5m", "a unit"), (dt.timedelta(0), "shortest")):
        with pytest.raises(el.InvalidArgument, match=hint):
            log.sessions(wrong)  # type: ignore[arg-type]
    with pytest.raises(el.QueryError, match="split: no column 'event_typ'\\. Did you mean 'event_type'"):
        log.sessions(split="event_typ = 'A'")
    with pytest.raises(el.InvalidArgument, match="actors\\(session_id=…, entry=…, exit=…\\)"):
        log.sessions().actors(session="ada/1")
    with pytest.raises(el.InvalidArgument, match="until is exclusive"):
        log.sessions(since="2026-03-02", until="2026-03-02")


def test_definition_says_the_parameters(log: el.EventLog) -> None:
    """The definition names the gap, the split, who acts, what counts and the range."""
    result = log.sessions(
        "45m",
        split="event_type = 'A'",
        by="lower(stream_id)",
        where="version > 0",
        since="2026-03-01",
        until="2026-04-01",
    )
    for part in (
        "45 minutes",
        "event_type = 'A'",
        "lower(stream_id)",
        "version > 0",
        "2026-03-01",
        "to before 2026-04-01",
    ):
        assert part in result.definition
    assert result.facts["definition"] == result.definition
    assert log.at(result.basis).sessions("45m").pl().height == 2


def test_empty_log_has_no_sessions(tmp_path: Path) -> None:
    """A log without events has no rows, for the method, the macro and the actors, also one that is only read."""
    el.open(tmp_path, create=True).close()
    with el.open(tmp_path, read_only=True) as log:
        assert log.sessions().pl().height == 0
        assert log.sessions().actors().pl().height == 0
        assert log.sql("from sessions('30m')").fetchall() == []


def test_result_is_pinned(log: el.EventLog) -> None:
    """A result gives the same rows after appends, and a since or until cuts a session."""
    result = log.sessions("30m")
    rows = result.pl()
    load(log, [Row("cy", kind, BEGUN) for kind in KINDS])
    assert result.pl().equals(rows)
    cut_off = log.sessions("30m", since="2026-03-01T09:30", until="2026-03-01T10:00:01").pl()
    assert cut_off.select("session_id", "events").rows() == [("ada/2", 1)]
    pairs = itertools.pairwise(rows["start"].to_list())
    assert all(one <= other for one, other in pairs)
