"""Sessions and process maps, against the best SQL by hand over one hand-made Parquet file, and against PyPI ``retentioneering``.

By hand is the best that was found: one pass that looks at both neighbours of each event and a second over the ends of
sessions alone takes half the time of the two full passes of the textbook; the directly-follows graph counts its cases by the
position of a case's first event. Rows are in the same order on both sides.

Retentioneering 5 computes in DuckDB, too, over a pandas frame. It has a Python environment of its own, which is made in the folder.
Both begin with the events in one Parquet file, or in a store, and end with the whole table; imports are not counted. Theirs
gives one number of an edge a call: count, cases, median and 95 % quantile are four.
"""

from __future__ import annotations

import json
import os
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

_SIZES = (5_000_000, 10_000_000)
_RIVALS = 1_000_000
_GAP, _MICROSECONDS = "30d", 30 * 86_400_000_000
_ROUNDS = 5

SESSIONS = f"""
with linked as (
    select
        stream_id, position, event_type, epoch_us(occurred_at) as moment,
        lag(moment) over course as before, lead(moment) over course as after, row_number() over course as nth
    from {{events}}
    window course as (partition by stream_id order by moment, position)
),
bounds as (
    select
        *, before is null or moment - before > {_MICROSECONDS} as opens,
        after is null or after - moment > {_MICROSECONDS} as closes
    from linked
),
visits as (
    select
        stream_id, position, event_type as entry, moment as begun, opens,
        case when closes then event_type else lead(event_type) over course end as exit,
        case when closes then moment else lead(moment) over course end as ended,
        case when closes then 1 else lead(nth) over course - nth + 1 end as events
    from bounds where opens or closes
    window course as (partition by stream_id order by nth)
)
select
    stream_id, stream_id || '/' || position, make_timestamptz(begun), make_timestamptz(ended), events, entry, exit,
    case when events > 1 then (ended - begun) / 1e6 end
from visits where opens order by begun, position
"""
FOLLOWS = """
with linked as (
    select
        lag(event_type) over course as source, event_type as target,
        epoch_us(occurred_at) - lag(epoch_us(occurred_at)) over course as waited,
        first_value(position) over course as first_position
    from {events}
    window course as (partition by stream_id order by occurred_at, position)
),
edges as (
    select
        source, target, count(*) as count, count(distinct first_position) as cases,
        quantile_cont(waited, 0.5) / 1e6 as median, quantile_cont(waited, 0.95) / 1e6 as p95
    from linked group by source, target
)
select source, target, count, cases, cases / (select sum(count) from edges where source is null) as share, median, p95
from edges where source is not null order by count desc, source, target
"""
_THEIRS = """
import json, statistics, sys, time
import pandas as pd
from retentioneering.eventstream.eventstream import Eventstream

def stream():
    frame = pd.read_parquet(sys.argv[1], columns=["order_id", "kind", "happened_at"])
    return Eventstream(frame, {"path_cols": ["order_id"], "event_col": "kind", "timestamp_col": "happened_at"})

def sessions():
    return stream().split_sessions(timeout=sys.argv[2]).df

def transitions():
    events = stream()
    return [events.transition_graph_data(edge_weight=w) for w in ("count", "unique_paths", "time_median", "time_q95")]

def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start

print(json.dumps([statistics.median(seconds(f) for _ in range(3)) for f in (sessions, transitions)]))
"""


def visits(folder: Folder) -> Iterator[Row]:
    """Cut half a million orders and a million into sessions, and map what follows what, by turns with the SQL by hand."""
    for number in _SIZES:
        typed = f"'{folder.typed(number)}'"
        with connected() as connection, el.open(folder.store(number)) as log:
            connection.execute("set parquet_metadata_cache = true")
            for name, ours, text in (
                ("sessions", lambda log=log: log.sessions(_GAP), SESSIONS),
                ("directly-follows", lambda log=log: log.process_map(), FOLLOWS),
            ):
                hand = text.format(events=typed)
                seconds = interleaved(
                    lambda ours=ours: ours().arrow(),
                    lambda hand=hand, connection=connection: connection.sql(hand).to_arrow_table(),
                    _ROUNDS,
                )
                yield Row(f"{name}, {number // 1_000_000} M", seconds[0] * 1e3, seconds[1] * 1e3, 1.2)
    yield from _retentioneering(folder)


def _retentioneering(folder: Folder) -> Iterator[Row]:
    """Do the same with retentioneering, if it can be installed."""
    python = _environment(folder.path / "retentioneering")
    if python is None:
        return
    file = folder.file(_RIVALS, ".parquet")
    done = subprocess.run(
        [python, "-c", _THEIRS, str(file), _GAP],
        env={**os.environ, "RETENTIONEERING_NO_TRACK": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = json.loads(done.stdout.splitlines()[-1])
    with el.open(folder.store(_RIVALS)) as log:
        for name, ours, baseline in (
            ("sessions", lambda: log.sessions(_GAP).arrow(), theirs[0]),
            ("transitions", lambda: log.process_map().arrow(), theirs[1]),
        ):
            seconds, _ = interleaved(ours, lambda: None, 3)
            yield Row(f"{name}, 1 M, against retentioneering", seconds * 1e3, baseline * 1e3, 0.2)


def _environment(path: Path) -> Path | None:
    """Return the Python of an environment that has retentioneering 5, made if it is not there; None if it cannot be made."""
    python = path / "bin" / "python"
    ready = path / "ready"
    if ready.exists():
        return python
    for command in (
        [sys.executable, "-m", "venv", str(path)],
        [str(python), "-m", "pip", "install", "--quiet", "retentioneering>=5,<6"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason"]
            print(f"no comparison with retentioneering: {reason[0]}", file=sys.stderr)  # noqa: T201 - said, not silent
            return None
    ready.touch()
    return python
