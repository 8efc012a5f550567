"""The charts of analyses, by kind: how the rows of each are read, and what draws them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from eventlab import queries
from eventlab.charts import comparisons, durations, funnels, paths, processes, retentions, trends, variants, visits
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from eventlab.charts.marks import AnyChart
    from eventlab.session.results import Result

Draw = Callable[[pl.DataFrame, Mapping[str, Any]], "AnyChart"]

BUDGET = 5_000
"""How many rows a browser draws well."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How an analysis becomes a chart.

    Attributes
    ----------
    draw
        Makes the chart of the rows.
    fewer
        What to do against too many rows; None: the chart draws a part, or counts them.
    read
        Reads the rows where not all of their columns are needed.
    """

    draw: Draw
    fewer: str | None = None
    read: Callable[[Result], pl.DataFrame] | None = None


_LONGER = 'Take longer periods (every="1w"), or a shorter time (since=…, until=…).'
_WAYS = {
    "funnel": _Way(funnels.funnel, "Break it down by something with fewer values."),
    "survival": _Way(durations.survival),
    "times": _Way(durations.times, "Break it down by something with fewer values."),
    "retention": _Way(retentions.retention, 'Take longer periods (period="week"), fewer windows, or a shorter time.'),
    "retention_mean": _Way(retentions.mean, "Take fewer windows."),
    "trend": _Way(trends.trend, f"{_LONGER} A breakdown can be cut to its largest values: top=5."),
    "lifecycle": _Way(trends.lifecycle, _LONGER),
    "stickiness": _Way(trends.stickiness, _LONGER),
    "sessions": _Way(visits.sessions, read=visits.read),
    "process_map": _Way(processes.process_map),
    "variants": _Way(variants.variants),
    "paths": _Way(paths.paths),
    "comparison": _Way(comparisons.comparison, "Compare results of fewer cells."),
}


def of(result: Result) -> tuple[Callable[[], pl.DataFrame], Draw]:
    """Return what reads the rows of an analysis for its chart, and what draws them.

    Raises
    ------
    InvalidArgument
        If there is no chart of such a result; on reading, if there are more rows than a browser draws well.
    """
    if result.kind == "actors":
        raise InvalidArgument(
            "a list of actors is no chart", hint="Count them by something first: in log.sql(…), or its .pl()."
        )
    way = _WAYS.get(result.kind)
    if way is None:
        raise InvalidArgument(f"there is no chart of a {result.kind}", hint="Chart its .pl() with Altair.")
    return (lambda: _rows(result, way)), way.draw


def _rows(result: Result, way: _Way) -> pl.DataFrame:
    """Return the rows to draw."""
    if way.read is not None:
        return way.read(result)
    if way.fewer is None:
        return result.pl()
    with queries.explained(text=result.sql):
        frame: pl.DataFrame = result.relation.limit(BUDGET + 1).pl()
    if frame.height > BUDGET:
        raise InvalidArgument(
            f"this {result.kind.replace('_', ' ')} has more than {BUDGET:,} rows, too many for a chart", hint=way.fewer
        )
    return frame
