"""Retention, against hand-written DuckDB on one hand-made Parquet file with the same columns."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import eventlab as el
from tests.benchmarks.sources import connected
from tests.benchmarks.tables import Row, interleaved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.sources import Folder

_EVENTS, _MORE = 5_000_000, 10_000_000
_WINDOWS = 30
# By hand: the distinct days on which each order came back, and the days that are over.
N_DAY = """
with starts as (
    select stream_id, min(occurred_at) as started
    from {events} where event_type = 'OrderPlaced' group by stream_id
),
returns as (
    select distinct stream_id, started::date as cohort, occurred_at::date - started::date as k
    from {events} join starts using (stream_id)
    where {returning} and occurred_at > started and occurred_at::date - started::date <= 30
),
sizes as (select started::date as cohort, count(*) as size from starts group by all),
grid as (
    select cohort, size, k, if(cohort + k::integer + 1 <= complete, size, 0) as eligible
    from sizes, range(31) as windows (k), (select max(occurred_at)::date as complete from {events})
),
counts as (select cohort, k, count(*) as returned from returns group by all)
select
    cohort, size, k as "offset", eligible, if(eligible > 0, coalesce(returned, 0), 0) as returned,
    if(eligible > 0, coalesce(returned, 0), 0) / nullif(eligible, 0) as rate
from grid left join counts using (cohort, k) order by cohort, k
"""
_PEAK = """
import sys
import eventlab as el
with el.open(sys.argv[1]) as log:
    log.retention("OrderPlaced", windows=30).arrow()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def retentions(folder: Folder) -> Iterator[Row]:
    """Ask for N-day retention of a text actor, after one event type and after any; the answers are compared first."""
    for number in (_EVENTS, _MORE):
        typed, path = f"'{folder.typed(number)}'", folder.store(number)
        with el.open(path) as log, connected() as connection:
            connection.execute("set parquet_metadata_cache = true")
            for name, returning, condition in (
                ("one type of return", "PaymentReceived", "event_type = 'PaymentReceived'"),
                ("any event", None, "true"),
            ):
                text = N_DAY.format(events=typed, returning=condition)
                found = log.retention("OrderPlaced", returning, windows=_WINDOWS).pl()
                assert found.equals(connection.sql(text).pl())
                seconds = interleaved(
                    lambda log=log, returning=returning: log.retention(
                        "OrderPlaced", returning, windows=_WINDOWS
                    ).arrow(),
                    lambda connection=connection, text=text: connection.sql(text).to_arrow_table(),
                    7,
                )
                what = f"30-day retention, {name}, {folder.events(number) / 1e6:g} M events"
                yield Row(what, seconds[0] * 1e3, seconds[1] * 1e3, 1.2)
    yield Row("its peak of memory", _peak(folder.store(_MORE)), None, 2, "GB")


def _peak(path: Path) -> float:
    """Return the gigabytes that a fresh process takes at most for an answer; its own, not those of the one that starts it."""
    run = subprocess.run([sys.executable, "-c", _PEAK, str(path)], check=True, capture_output=True)
    return int(run.stdout) / 1e6
