"""What must hold of every log at every moment, looked at from inside (``el.open``) and from outside (SQLite and Delta).

Event ids like ``load/3of20`` say to which group an event belongs and how large that is: a group is one append, transaction
or bulk load, and is in the log whole or not at all.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

import eventlab as el

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_GROUPED = re.compile(r"(.+)/(\d+)of(\d+)")
_COLUMNS = ["position", "event_id", "stream_id", "version"]


def ids(group: str, size: int) -> list[str]:
    """Return the event ids of a group."""
    return [f"{group}/{number}of{size}" for number in range(size)]


def check(path: Path, *, groups: Iterable[str] = (), settled: bool = True) -> list[el.RecordedEvent]:
    """Open the log at ``path``, check all of it, and return its events; ``groups`` must be among them.

    ``settled``: somebody has written since the last crash, so that no mark of a killed load is left.
    """
    with el.open(path) as log:
        events = check_log(log, groups=groups)
    check_files(path, events, settled=settled)
    return events


def check_log(log: el.EventLog, *, groups: Iterable[str] = ()) -> list[el.RecordedEvent]:
    """Check what an open log says, event by event and in SQL, and return its events."""
    events = list(log.read())
    check_events(events)
    assert log.position == len(events)
    check_groups([event.event_id for event in events], groups)
    heads = Counter(event.stream_id for event in events)
    assert dict(log.sql("select stream_id, version from streams").fetchall()) == heads
    kinds = Counter(event.event_type for event in events)
    assert dict(log.sql("select event_type, events from event_types where events > 0").fetchall()) == kinds
    text = "select count(*), count(distinct event_id), coalesce(max(position), 0) from events"
    assert log.sql(text).fetchall() == [(len(events),) * 3]
    for stream_id in list(heads)[:2]:
        assert log.stream(stream_id) == [event for event in events if event.stream_id == stream_id]
    return events


def check_events(events: Sequence[el.RecordedEvent]) -> None:
    """Check the order of events from the first: positions, versions, recorded_at, and that ids are unique."""
    assert [event.position for event in events] == list(range(1, len(events) + 1))
    versions: Counter[str] = Counter()
    for event in events:
        versions[event.stream_id] += 1
        assert event.version == versions[event.stream_id], event
    recorded = [event.recorded_at for event in events]
    assert recorded == sorted(recorded)
    repeated = [event_id for event_id, count in Counter(event.event_id for event in events).items() if count > 1]
    assert not repeated


def check_groups(event_ids: Iterable[str], groups: Iterable[str] = ()) -> None:
    """Check that each group is whole, and that ``groups`` are there."""
    found: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for event_id in event_ids:
        if match := _GROUPED.fullmatch(event_id):
            found[match[1], int(match[3])].add(int(match[2]))
    torn = {group: numbers for (group, size), numbers in found.items() if numbers != set(range(size))}
    assert not torn
    missing = set(groups) - {group for group, _ in found}
    assert not missing


def check_files(path: Path, events: Sequence[el.RecordedEvent], *, settled: bool = True) -> None:
    """Check the files as other programs see them: the lake is the beginning of the log, the tail its end."""
    with contextlib.closing(sqlite3.connect(path / "journal.sqlite")) as journal:
        head, sealed, recorded_at, registry, pending = journal.execute(
            "select head, sealed, recorded_at, registry, pending from log"
        ).fetchone()
        tail = journal.execute(f"select {', '.join(_COLUMNS)} from tail order by position").fetchall()
        heads = dict(journal.execute("select stream_id, version from heads"))
        assert journal.execute("select count(*), coalesce(max(registry), 0) from definitions").fetchone() == (
            registry,
            registry,
        )
    table = DeltaTable(path / "events")
    lake = pa.concat_tables([pq.ParquetFile(file).read(_COLUMNS) for file in table.file_uris()] or [_nothing()])
    cold = sorted(zip(*(column.to_pylist() for column in lake.columns), strict=True))
    through = table.transaction_version("eventlab") or 0
    assert [row[0] for row in cold] == list(range(1, through + 1))
    assert sealed <= through <= head
    hot = [row for row in tail if row[0] > through]
    assert [row[0] for row in hot] == list(range(through + 1, head + 1))
    assert [row for row in tail if row[0] <= through] == cold[len(cold) - (len(tail) - len(hot)) :]
    assert not settled or pending is None
    rows = [*cold, *hot]
    assert heads == {row[2]: row[3] for row in rows}
    assert [(e.position, e.event_id, e.stream_id, e.version) for e in events] == rows
    assert recorded_at >= (int(events[-1].recorded_at.timestamp()) * 1_000_000 if events else 0)


def _nothing() -> pa.Table:
    kinds = [pa.int64(), pa.string(), pa.string(), pa.int64()]
    return pa.table({name: pa.array([], kind) for name, kind in zip(_COLUMNS, kinds, strict=True)})
