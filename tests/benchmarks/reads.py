"""Queries over the log, against hand-written DuckDB on one hand-made Parquet file with the same columns."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

import eventlab as el
from tests.benchmarks.appends import payload
from tests.benchmarks.sources import connected
from tests.benchmarks.tables import Row, interleaved, timed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.sources import Folder

_EVENTS, _FEWER = 5_000_000, 500_000
_NEW = 1_000

SUM = "select sum(PaymentReceived.amount) from {events}"
FOLD = """
select
    stream_id,
    sum(PaymentReceived.amount) as paid,
    sum(ItemAdded.qty) as items,
    arg_max(event_type, position) as last,
    max(occurred_at) as changed_at
from {events} group by stream_id
"""
_FIRST_COUNT = """
import json, sys, time
imported = time.perf_counter()
import eventlab as el
opened = time.perf_counter()
log = el.open(sys.argv[1])
log.sql("select count(*) from events").fetchall()
done = time.perf_counter()
print(json.dumps([done - opened, done - imported]))
"""


def queries(folder: Folder) -> Iterator[Row]:
    """Ask for a sum over one typed field, and for a fold of half a million streams; results are fetched as Arrow."""
    typed = f"'{folder.typed(_EVENTS)}'"
    with el.open(folder.store(_EVENTS)) as log, connected() as connection:
        connection.execute("set parquet_metadata_cache = true")
        for name, text, rounds in (
            ("sum over one typed field", SUM, 41),
            ("fold of 500 k streams by GROUP BY", FOLD, 9),
        ):
            ours = text.format(events="events")
            theirs = text.format(events=typed)
            log.sql(ours).to_arrow_table()
            connection.sql(theirs).to_arrow_table()
            seconds = interleaved(
                lambda ours=ours: log.sql(ours).to_arrow_table(),
                lambda theirs=theirs: connection.sql(theirs).to_arrow_table(),
                rounds,
            )
            yield Row(f"{name}, 5 M events", seconds[0] * 1e3, seconds[1] * 1e3, 1.3)


def opening(folder: Folder) -> Iterator[Row]:
    """Open a store of five million events in a fresh process and count them."""
    path = folder.store(_EVENTS)
    runs = [
        json.loads(subprocess.run([sys.executable, "-c", _FIRST_COUNT, path], check=True, capture_output=True).stdout)
        for _ in range(7)
    ]
    yield Row(
        "open a store of 5 M events and answer the first count", statistics.median(r[0] for r in runs), None, 0.5, "s"
    )
    yield Row("the same with `import eventlab`", statistics.median(r[1] for r in runs), None, None, "s")


def refresh(folder: Folder) -> Iterator[Row]:
    """Measure what it takes to see a thousand new events in a large log against a small one."""
    events = [el.Event("OrderPlaced", payload(n)) for n in range(_NEW)]
    with (
        el.open(folder.copied(_EVENTS, "large")) as large,
        el.open(folder.copied(_FEWER, "small")) as small,
    ):

        def seen(log: el.EventLog) -> float:
            log.append("order-new", events)
            return timed(log._session.refresh)

        for log in (large, small):
            log._sealer = None
            log.sql("select count(*) from events").fetchall()
            seen(log)
        pairs = [(seen(large), seen(small)) for _ in range(41)]
        ours, theirs = (statistics.median(pair[i] for pair in pairs) for i in range(2))
        yield Row("refresh after 1,000 new events, log of 5 M against 500 k", ours * 1e3, theirs * 1e3, 1.5)

        def told(log: el.EventLog) -> float:
            after = log.append("order-new", events).first_position
            text = "select count(*), max(version) from events where position >= $after"
            return timed(lambda: log.sql(text, {"after": after}).fetchall())

        pairs = [(told(large), told(small)) for _ in range(21)]
        ours, theirs = (statistics.median(pair[i] for pair in pairs) for i in range(2))
        yield Row("the same with a query of the new events", ours * 1e3, theirs * 1e3, 1.5)
