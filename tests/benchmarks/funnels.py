"""Funnels over a store of text actors, against ClickHouse in process and against DuckDB by hand, over the store's own files."""

from __future__ import annotations

import json
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

STEPS = ("OrderPlaced", "PaymentReceived", "OrderDelivered")
_DAYS, _ROUNDS = 30, 5
_WINDOW = _DAYS * 86_400_000_000
# Of each actor the level: no maturity, no medians, which ClickHouse would have to work out besides.
CLICKHOUSE = """
select level, count() from (
    select
        stream_id,
        windowFunnel({window})(toUInt64(toUnixTimestamp64Micro(occurred_at)),
            event_type = '{steps[0]}', event_type = '{steps[1]}', event_type = '{steps[2]}') as level
    from file('{files}', Parquet)
    where event_type in {steps}
    group by stream_id
)
group by level order by level
settings max_threads = {threads}
"""
# The latest viable entry is carried on with one window a step, over a hash of the actor. Ours finds the medians, too.
BY_HAND = """
with acts as (
    select
        hash(stream_id) as who, epoch_us(occurred_at) as t,
        case event_type when '{steps[0]}' then 1 when '{steps[1]}' then 2 else 3 end as k
    from {files}
    where event_type in {steps}
),
one as (select *, last_value(case when k = 1 then t end ignore nulls) over course as m1 from acts {course}),
two as (select *, last_value(case when k = 2 and t - m1 <= {window} then m1 end ignore nulls) over course as m2 from one {course}),
bests as (
    select
        who, max(case when k = 1 then t end) as e1, max(case when k = 2 and t - m1 <= {window} then m1 end) as e2,
        max(case when k = 3 and t - m2 <= {window} then m2 end) as e3
    from two group by who
)
select
    count(e1), count(e2), count(e3),
    count(*) filter (mature), count(e2) filter (mature), count(e3) filter (mature)
from (select *, coalesce(e3, e2, e1) + {window} <= (select max(t) from acts) as mature from bests where e1 is not null)
"""
_COURSE = "window course as (partition by who order by t, k rows between unbounded preceding and current row)"
_PEAK = """
import json, sys
from pathlib import Path
import eventlab as el
with el.open(sys.argv[1], read_only=True) as log:
    log.funnel(json.loads(sys.argv[2]), within=sys.argv[3]).pl()
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1e6)  # of this process alone; what getrusage says begins with the parent's
"""


def funnels(folder: Folder) -> Iterator[Row]:
    """Ask for a funnel of three steps with maturity and medians, by turns with ClickHouse and with DuckDB by hand."""
    for number in (5_000_000, 10_000_000):
        yield from _speed(folder.store(number), f"{folder.events(number) / 1e6:g} M events")
    peak = subprocess.run(
        [sys.executable, "-c", _PEAK, str(folder.store(10_000_000)), json.dumps(STEPS), f"{_DAYS}d"],
        check=True,
        capture_output=True,
        text=True,
    )
    yield Row(
        f"peak memory of the funnel, {folder.events(10_000_000) / 1e6:g} M events",
        float(peak.stdout),
        None,
        2,
        unit="GB",
    )


def _speed(path: Path, told: str) -> Iterator[Row]:
    """Yield the rows of one store."""
    import chdb.session  # noqa: PLC0415 - large, and wanted here only

    files = f"{path}/events/*/*.parquet"
    clickhouse = CLICKHOUSE.format(window=_WINDOW, steps=STEPS, files=files, threads=2)
    session = chdb.session.Session()
    with el.open(path, read_only=True) as log, connected() as connection:
        by_hand = BY_HAND.format(
            window=_WINDOW, steps=STEPS, course=_COURSE, files=f"read_parquet('{files}', union_by_name = true)"
        )

        def ours() -> object:
            return log.funnel(STEPS, within=f"{_DAYS}d").pl()

        reached = log.funnel(STEPS, within=f"{_DAYS}d").pl()["reached"].to_list()
        levels = [int(line.split(",")[1]) for line in session.query(clickhouse, "CSV").data().splitlines()]
        found = connection.sql(by_hand).fetchall()[0]
        if reached != list(found[:3]) or reached != [sum(levels[k:]) for k in (1, 2, 3)]:
            raise AssertionError(f"they disagree: {reached}, {found}, {levels}")
        seconds, baseline = interleaved(ours, lambda: session.query(clickhouse, "CSV").data(), _ROUNDS)
        yield Row(f"funnel of 3 steps, {told}, against ClickHouse", seconds, baseline, 1.3, unit="s")
        seconds, baseline = interleaved(ours, lambda: connection.sql(by_hand).fetchall(), _ROUNDS)
        yield Row(f"funnel of 3 steps, {told}, against DuckDB by hand", seconds, baseline, 1.15, unit="s")
    session.close()
