"""One log against a list: whatever is done to it, in whatever order, it reads as the list of what was appended."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import invariants
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import eventlab as el

START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
STREAMS = st.sampled_from(["a-1", "a-2", "b-1", "ü 'x'"])
TYPES = st.sampled_from(["Put", "Taken", "page view!"])
DAYS = st.none() | st.integers(1, 60).map(lambda day: dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day))
VALUES = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-9, 9, allow_nan=False).map(lambda x: round(x, 3) + 0.0)
) | st.sampled_from(["", "x", "2024-02-01", "it's", '{"a": 1}', "ü"])
PAYLOADS = st.dictionaries(
    st.sampled_from(["x", "y", "z"]), VALUES | st.lists(st.integers(0, 3), max_size=2), max_size=2
)
EXPECTED = st.sampled_from([None, "any", "exists", "right", "wrong", "zero"])
DEFINITIONS = [
    {"x": "BIGINT"},
    {"x": "BIGINT", "y": "VARCHAR"},
    {"x": "BIGINT", "y": "VARCHAR", "z": "DATE"},
]


@dataclass(frozen=True)
class Row:
    """An event as the model has it."""

    event_id: str
    stream: str
    version: int
    kind: str
    payload: dict[str, Any]
    occurred_at: dt.datetime
    recorded_at: dt.datetime


class Model(RuleBasedStateMachine):
    """A log, and the list of what it must hold."""

    @initialize()
    def begin(self) -> None:
        """Make an empty store, whose clock goes on by a second a step."""
        self.folder = Path(tempfile.mkdtemp(prefix="eventlab-model-"))
        self.now = START
        self.rows: list[Row] = []
        self.tokens: list[tuple[str, list[int]]] = []
        self.names = 0
        self.defined = 0
        self.log = self._open(create=True)

    def _open(self, **options: Any) -> el.EventLog:
        return el.open(self.folder / "store", clock=lambda: round(self.now.timestamp() * 1_000_000), **options)

    def teardown(self) -> None:
        """Check everything, the tokens above all, and from outside, too."""
        if not hasattr(self, "log"):
            return
        try:
            self._compare()
            for token, positions in self.tokens:
                assert self._positions(self.log.at(token)) == positions
            self.log.close()
            invariants.check(self.folder / "store")
        finally:
            self.log.close()
            shutil.rmtree(self.folder)

    def _head(self, stream: str) -> int:
        return sum(row.stream == stream for row in self.rows)

    def _ids(self, many: int) -> list[str]:
        self.names += 1
        return invariants.ids(f"e{self.names}", many)

    def _record(self, events: list[tuple[str, str, str, dict[str, Any], dt.datetime | None]]) -> None:
        """Take events (id, stream, type, payload, occurred_at) into the model."""
        for event_id, stream, kind, payload, occurred in events:
            self.rows.append(
                Row(event_id, stream, self._head(stream) + 1, kind, payload, occurred or self.now, self.now)
            )

    @invariant()
    def goes_on(self) -> None:
        """Check that the head is what was appended, and let time pass."""
        if hasattr(self, "log"):
            assert self.log.position == len(self.rows)
            self.now += dt.timedelta(seconds=1)

    @rule(stream=STREAMS, events=st.lists(st.tuples(TYPES, PAYLOADS, DAYS), min_size=1, max_size=3), kind=EXPECTED)
    def append(self, stream: str, events: list[Any], kind: str | None) -> None:
        """Append with every kind of expectation: it holds, or nothing is written and the error says both versions."""
        actual = self._head(stream)
        expected = {"right": actual, "wrong": actual + 1, "zero": 0}.get(kind or "", kind)
        ids = self._ids(len(events))
        given = [el.Event(t, p, event_id=i, occurred_at=o) for i, (t, p, o) in zip(ids, events, strict=True)]
        holds = {"wrong": False, "zero": actual == 0, "exists": actual > 0}.get(kind or "", True)
        if not holds:
            with pytest.raises(el.WrongExpectedVersion) as refused:
                self.log.append(stream, given, expected_version=expected)
            assert [(f.stream, f.expected, f.actual) for f in refused.value.failures] == [(stream, expected, actual)]
            return
        result = self.log.append(stream, given, expected_version=expected)
        self._record([(i, stream, *event) for i, event in zip(ids, events, strict=True)])
        assert (result.last_position, result.version, result.duplicate) == (len(self.rows), self._head(stream), False)
        assert result.recorded_at == self.now

    @rule(first=STREAMS, second=STREAMS, kind=TYPES, payload=PAYLOADS, holds=st.booleans())
    def transact(self, first: str, second: str, kind: str, payload: dict[str, Any], holds: bool) -> None:
        """Append to several streams: all or nothing, and an expectation sees the appends before it."""
        ids = self._ids(2)
        version = self._head(second) + (first == second)
        tx = self.log.transaction()

        def run() -> None:
            with tx:
                tx.append(first, el.Event(kind, payload, event_id=ids[0]))
                tx.append(second, el.Event(kind, payload, event_id=ids[1]), expected_version=version + (not holds))

        if not holds:
            with pytest.raises(el.WrongExpectedVersion):
                run()
            return
        run()
        self._record([(ids[0], first, kind, payload, None), (ids[1], second, kind, payload, None)])

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), way=st.sampled_from(["same", "other", "partial"]))
    def retry(self, data: st.DataObject, way: str) -> None:
        """Append an id again: a duplicate with the first place, a conflict, or a partial duplicate; nothing is written."""
        number = data.draw(st.integers(0, len(self.rows) - 1))
        row = self.rows[number]
        again = el.Event(row.kind, row.payload, event_id=row.event_id, occurred_at=row.occurred_at)
        if way == "same":
            result = self.log.append(row.stream, again, expected_version=row.version - 1)
            assert result == el.AppendResult(number + 1, number + 1, row.version, row.recorded_at, duplicate=True)
        elif way == "other":
            with pytest.raises(el.IdempotencyConflict) as conflict:
                self.log.append(row.stream, el.Event(row.kind, {"other": [7]}, event_id=row.event_id))
            assert conflict.value.event_ids == [row.event_id]
        else:
            new = self._ids(1)
            with pytest.raises(el.PartialDuplicate) as partial:
                self.log.append(row.stream, [again, el.Event(row.kind, row.payload, event_id=new[0])])
            assert (partial.value.known, partial.value.new) == ([row.event_id], new)

    @rule(many=st.integers(1, 6), streams=st.lists(STREAMS, min_size=2, max_size=2), value=st.integers(0, 3), day=DAYS)
    def ingest(self, many: int, streams: list[str], value: int, day: dt.datetime | None) -> None:
        """Load rows in bulk, twice: added once, in the order of time."""
        ids = self._ids(many)
        base = day or START
        rows = [
            {"id": i, "s": streams[n % 2], "at": base + dt.timedelta(hours=(n * 7) % 5), "x": value + n}
            for n, i in enumerate(ids)
        ]
        for again in (False, True):
            result = self.log.ingest(
                rows, event_type="'Loaded'", stream_id="s", event_id="id", occurred_at="at", progress=False
            )
            assert (result.events, result.duplicates) == ((0, many) if again else (many, 0))
        ordered = sorted(rows, key=lambda row: row["at"])
        self._record([(row["id"], row["s"], "Loaded", {"x": row["x"]}, row["at"]) for row in ordered])

    @precondition(lambda self: self.defined < len(DEFINITIONS))
    @rule(stream=STREAMS)
    def define(self, stream: str) -> None:
        """Define a type with more fields than before; events of it fit, and others are refused."""
        version = self.log.define("Defined", DEFINITIONS[self.defined])
        self.defined += 1
        assert version == self.defined
        payload = {"x": self.defined, "y": "y", "z": "2024-02-01"}
        payload = {name: value for name, value in payload.items() if name in DEFINITIONS[self.defined - 1]}
        [event_id] = self._ids(1)
        self.log.append(stream, el.Event("Defined", payload, event_id=event_id))
        self._record([(event_id, stream, "Defined", payload, None)])
        with pytest.raises(el.InvalidEvent):
            self.log.append(stream, el.Event("Defined", {"x": "no number"}))

    @rule()
    def seal(self) -> None:
        """Seal."""
        assert self.log.seal() == len(self.rows)

    @rule(vacuum=st.booleans())
    def compact(self, vacuum: bool) -> None:
        """Compact, and delete what was replaced."""
        self.log.compact(vacuum=vacuum)

    @rule()
    def reopen(self) -> None:
        """Close and open again."""
        self.log.close()
        self.log = self._open()

    @precondition(lambda self: self.rows)
    @rule()
    def recover(self) -> None:
        """Lose the journal after a seal, and rebuild it."""
        self.log.seal()
        self.log.close()
        (self.folder / "store" / "journal.sqlite").unlink()
        assert el.recover(self.folder / "store").events == len(self.rows)
        self.log = self._open()

    @rule()
    def keep(self) -> None:
        """Keep a token of now."""
        self.tokens.append((self.log.at().basis, [n + 1 for n in range(len(self.rows))]))

    @rule(day=st.integers(0, 400), ago=st.integers(0, 20), cut=st.integers(0, 30))
    def travel(self, day: int, ago: int, cut: int) -> None:
        """Look at moments on both clocks, and keep their tokens."""
        at = dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day)
        known = self.now - dt.timedelta(seconds=ago)
        cut = min(cut, len(self.rows))
        cases = [
            (self.log.at(at), at, None, None),
            (self.log.at(at, known_at=known), at, known, None),
            (self.log.at(known_at=known), None, known, None),
            (self.log.at(cut), None, None, cut),
            (self.log.at(at, known_at=cut), at, None, cut),
        ]
        for view, occurred, recorded, position in cases:
            expected = [
                n
                for n, row in enumerate(self.rows, start=1)
                if (occurred is None or row.occurred_at <= occurred)
                and (recorded is None or row.recorded_at <= recorded)
                and (position is None or n <= position)
            ]
            assert self._positions(view) == expected
            self.tokens.append((view.basis, expected))
        token, expected = self.tokens[len(self.tokens) // 2]
        assert self._positions(self.log.at(token)) == expected

    @staticmethod
    def _positions(view: el.LogView) -> list[int]:
        found = [event.position for event in view.read()]
        assert view.sql("select count(*) from events").fetchall() == [(len(found),)]
        return found

    @rule()
    def look(self) -> None:
        """Compare all."""
        self._compare()

    def _compare(self) -> None:
        """Compare the log with the list: events, streams, SQL, and the typed column of each type."""
        events = list(self.log.read())
        invariants.check_events(events)
        assert [
            Row(e.event_id, e.stream_id, e.version, e.event_type, e.payload, e.occurred_at, e.recorded_at)
            for e in events
        ] == self.rows
        heads = Counter(row.stream for row in self.rows)
        assert dict(self.log.sql("select stream_id, version from streams").fetchall()) == heads
        for stream in heads:
            found = [event.event_id for event in self.log.stream(stream)]
            assert found == [row.event_id for row in self.rows if row.stream == stream]
        loaded = [row.payload["x"] for row in self.rows if row.kind == "Loaded"]
        if loaded:
            assert [x for (x,) in self.log.sql("select x from loaded order by position").fetchall()] == loaded
        if self.defined:
            fields = ", ".join(f"{name}::varchar" for name in DEFINITIONS[self.defined - 1])
            found = self.log.sql(f"select {fields} from defined order by position").fetchall()
            payloads = [row.payload for row in self.rows if row.kind == "Defined"]
            names = list(DEFINITIONS[self.defined - 1])
            assert found == [tuple(str(p[n]) if n in p else None for n in names) for p in payloads]


TestModel = pytest.mark.timeout(3600)(Model.TestCase)
TestModel.settings = settings(
    max_examples=300 if os.environ.get("EVENTLAB_FULL_SWEEP") else 12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
