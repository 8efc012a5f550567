"""Sessions, counted by day and by how long they last; never one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from eventlab import queries
from eventlab.charts import marks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventlab.session.results import Result

_COLUMNS = '"start", events, duration'
_STEPS = ((400, "1d", "day"), (2_800, "1w", "week"), (10**9, "1mo", "month"))  # for up to so many days
_BOUNDS = (10, 60, 180, 600, 1_800, 3_600, 10_800)  # seconds
_LENGTHS = (
    "one event",
    "under 10 s",
    "10 s to 1 m",
    "1 to 3 m",
    "3 to 10 m",
    "10 to 30 m",
    "30 m to 1 h",
    "1 to 3 h",
    "3 h or more",
)


def read(result: Result) -> pl.DataFrame:
    """Return the start, the number of events and the length in seconds (``lasted``) of each session."""
    with queries.explained(text=result.sql):
        frame: pl.DataFrame = result.relation.project(_COLUMNS).pl()
    lasted = pl.col("duration")
    if frame.schema["duration"] == pl.Duration:
        lasted = lasted.dt.total_microseconds() / 1e6
    return frame.select("start", "events", lasted.cast(pl.Float64).alias("lasted"))


def sessions(frame: pl.DataFrame, facts: Mapping[str, Any]) -> alt.VConcatChart:
    """Return how many sessions began on each day, and below how many lasted how long."""
    first, last = marks.span(frame["start"])
    every, name = next((every, name) for most, every, name in _STEPS if (last - first).days <= most)
    days = frame.group_by(pl.col("start").dt.truncate(every).alias("day")).len("sessions").sort("day")
    until = pl.col("day").dt.offset_by(every)
    spans = days.with_columns((until - (until - pl.col("day")) * 0.12).alias("until"))
    per = _per_period(marks.clocks(spans, "day", "until"), days["day"]).properties(
        title=marks.small(f"sessions per {name}")
    )
    # a session of one event has no length
    place = pl.lit(0)
    for number, bound in enumerate((0.0, *map(float, _BOUNDS)), 1):
        place = pl.when(pl.col("lasted") >= bound).then(number).otherwise(place)
    counts = dict(frame.group_by(place.alias("place")).len().rows())
    rows = [(length, counts.get(number, 0)) for number, length in enumerate(_LENGTHS)]
    middle = marks.lasting(frame["lasted"].median())  # type: ignore[arg-type]
    told = f"how long they last (median {middle}, of those with more than one event)"
    lengths = marks.bars(rows, title=marks.small(told), width=420)
    mean = float(frame["events"].mean() or 0)  # type: ignore[arg-type]
    title = f"{marks.counted(frame.height, 'session')} of {mean:,.1f} events on average"
    drawn: alt.VConcatChart = alt.vconcat(per, lengths, spacing=26).properties(title=marks.titled(title, facts))
    return drawn


def _per_period(rows: pl.DataFrame, days: pl.Series) -> alt.Chart:
    """Return a bar a day, or a longer period."""
    tooltip = [alt.Tooltip("moment:N", title="from"), alt.Tooltip("sessions:Q", format=",.0f")]
    bars: alt.Chart = (
        marks.drawing(rows, 0)
        .mark_bar(opacity=0.88)
        .encode(
            x=marks.time_axis("day", days, grid=False),
            x2="until:T",
            y=alt.Y("sessions:Q", axis=alt.Axis(title=None, tickCount=4, format=marks.TICK)),
            y2=alt.datum(0),
            tooltip=tooltip,
        )
        .properties(width=marks.WIDTH, height=150)
    )
    return bars
