"""Proposed schemas: of each field the narrowest type that all of its values have, with the evidence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import eventlab as el

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS: list[dict[str, Any]] = [
    {
        "type": "Placed",
        "id": 1,
        "day": "2026-01-01",
        "who": "6f9619ff-8b86-d011-b42d-00c04fc964ff",
        "at": "2026-01-01T10:00",
    },
    {"type": "Placed", "id": 2, "day": "2026-02-30", "who": None, "at": "2026-01-01T11:00:00.5", "tags": ["a"]},
    {"type": "Placed", "id": 2.5, "day": "2026-01-03", "at": "2026-01-02 10:00", "o": {"x": 1, "y": "2026-01-01"}},
    {"type": "Paid", "amount": "12.50", "when": "2026-01-01T10:00:00Z", "nothing": None, "list": []},
    {"type": "Paid", "amount": "7", "when": "2026-01-01T10:00:00+01:00", "nothing": None, "list": [1, None]},
    {"type": "Ping"},
]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Return a log without events."""
    with el.open(tmp_path / "log", create=True) as opened:
        yield opened


def _lines(tmp_path: Path) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    return str(path)


@pytest.mark.parametrize("kind", ["file", "dicts", "generator"])
def test_a_proposal_has_the_narrowest_types_that_all_values_have(log: el.EventLog, tmp_path: Path, kind: str) -> None:
    """NOT NULL where every event has a value; a date that is none makes the field text; nothing known is JSON."""
    sources: dict[str, object] = {"file": _lines(tmp_path), "dicts": ROWS, "generator": (row for row in ROWS)}
    found = log.infer(sources[kind])
    assert list(found) == ["Paid", "Ping", "Placed"]
    assert found["Placed"].duckdb == {
        "id": "DOUBLE NOT NULL",
        "day": "VARCHAR NOT NULL",
        "who": "UUID",
        "at": "TIMESTAMP NOT NULL",
        "tags": "VARCHAR[]",
        "o": 'STRUCT("x" BIGINT, "y" VARCHAR)',
    }
    assert found["Paid"].duckdb == {
        "amount": "VARCHAR NOT NULL",
        "when": "TIMESTAMPTZ NOT NULL",
        "nothing": "JSON",
        "list": "BIGINT[] NOT NULL",
    }
    assert found["Ping"].duckdb == {}


def test_the_evidence_counts_what_there_is(log: el.EventLog) -> None:
    """One row a field: present, null and absent are all events; examples come from the first events."""
    rows = log.infer(ROWS)["Placed"].evidence.rows(named=True)
    assert rows[2] == {
        "field": "who",
        "type": "UUID",
        "events": 3,
        "present": 1,
        "nulls": 1,
        "absent": 1,
        "distinct_values": 1,
        "examples": ["6f9619ff-8b86-d011-b42d-00c04fc964ff"],
    }
    assert rows[1]["examples"] == ["2026-01-01", "2026-02-30", "2026-01-03"]
    assert all(row["present"] + row["nulls"] + row["absent"] == row["events"] == 3 for row in rows)
    assert log.infer(ROWS).pl().height == 10


def test_a_proposal_is_defined_as_it_is(log: el.EventLog) -> None:
    """What is proposed for rows is a definition that all of them fit, before and after they are loaded."""
    found = log.infer(ROWS)
    log.ingest(ROWS, event_type="type", stream_id="'s'")
    for name, proposal in found.items():
        assert log.dry_run(name, proposal.json_schema).failing == 0
        log.define(name, proposal)
    assert {row[0] for row in log.sql("select origin from event_types").fetchall()} == {"defined"}
    again = [{**row, "again": True} for row in ROWS]
    assert log.ingest(again, event_type="type", stream_id="'s'").events == len(ROWS)


def test_the_event_type_can_be_any_sql(log: el.EventLog) -> None:
    """A literal makes all rows one type; a frame has columns; without a column that could be it there is one error."""
    frame = pl.DataFrame({"kind": ["a", "b"], "n": [1, 2]})
    assert log.infer(frame, event_type="'Row'")["Row"].duckdb == {"kind": "VARCHAR NOT NULL", "n": "BIGINT NOT NULL"}
    assert list(log.infer(frame, event_type="upper(kind)")) == ["A", "B"]
    with pytest.raises(el.InvalidSource, match="no column is the event type"):
        log.infer(frame)
    with pytest.raises(el.InvalidArgument, match="Did you mean 'Row'"):
        log.infer(frame, event_type="'Row'")["Rows"]
