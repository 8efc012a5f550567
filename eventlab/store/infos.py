"""Facts about a store, and the rows that its bulk loads refused."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from eventlab import moments, queries

if TYPE_CHECKING:
    from eventlab.store.stores import Store

_NOTHING = """
select null::timestamptz as loaded_at, '' as source, 0::bigint as row, '' as reason, '' as content where false
"""
_EXTENT = """
select min(epoch_us(occurred_at)), max(epoch_us(occurred_at)), min(epoch_us(recorded_at)), max(epoch_us(recorded_at))
from {lake}
"""


def info(store: Store) -> dict[str, Any]:
    """Return facts about a store; instants are in its zone."""
    state, snapshot = store.journal.state(), store.lake.snapshot()
    head = max(state.head, snapshot.sealed)
    streams = store.journal.rows("select count(*) from heads")[0][0]
    extents = [
        store.journal.rows("select min(occurred_at), max(occurred_at), min(recorded_at), max(recorded_at) from tail")[0]
    ]
    if snapshot.files:
        extents += store.look_up(queries.fill(_EXTENT, lake=store.scan(snapshot)))
    ends = [
        extreme(values) if (values := [extent[i] for extent in extents if extent[i] is not None]) else None
        for i, extreme in enumerate((min, max, min, max))
    ]
    names = ("first_occurred_at", "last_occurred_at", "first_recorded_at", "last_recorded_at")
    layout = store.layout
    return {
        "path": str(layout.path),
        "store_id": layout.store_id,
        "position": head,
        "sealed": snapshot.sealed,
        "tail": head - snapshot.sealed,
        "streams": streams,
        "event_types": len(store.registry(state.registry).names),
        "files": len(snapshot.files),
        "bytes": sum(file.size for file in snapshot.files),
        "journal_bytes": layout.journal.stat().st_size,
        "partition": layout.partition,
        "timezone": layout.timezone,
        "strict": layout.strict,
        "created": dt.datetime.fromisoformat(layout.created).astimezone(store.zone),
        **{
            name: None if end is None else moments.moment_of(end, store.zone)
            for name, end in zip(names, ends, strict=True)
        },
    }


def quarantine(store: Store) -> queries.Relation:
    """Return the refused rows of all loads, in the order of the loads."""
    store.journal.state()  # which says if the log is closed
    files = sorted(map(str, store.layout.quarantine.glob("*.parquet")))
    text = (
        f"select * from read_parquet({queries.literal(files)}) order by loaded_at, source, row" if files else _NOTHING
    )
    return queries.select(queries.connect(store.layout.timezone), text, None, relations=())
