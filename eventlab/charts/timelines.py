"""Measures over time, one above the other on one time axis.

Times are drawn as the wall clock of the data, whatever the zone of the machine on which a chart is made or looked at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import altair as alt
import polars as pl

from eventlab.charts import themes

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

Shape = Literal["area", "steps"]

_INTERPOLATION: dict[Shape, Literal["monotone", "step-after"]] = {"area": "monotone", "steps": "step-after"}
CLOCK = "%Y-%m-%dT%H:%M:%SZ"  # said to be UTC and drawn as UTC, which shows the wall clock as it is
_HEADLINE = -19  # pixels over a panel, which leaves room for the labels of the marks
_HERE = alt.selection_point(name="cursor", empty=False)  # at the cursor; nowhere while the pointer is elsewhere
_TICKS = "utcFormat(datum.value, utchours(datum.value) + utcminutes(datum.value) == 0 ? '%a %-d %b' : '%H:%M')"


@dataclass(frozen=True, slots=True)
class Panel:
    """One measure of a timeline: its column, its title, and whether it changes smoothly or in steps."""

    column: str
    title: str
    shape: Shape = "area"


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment to point out, on the same wall clock as the data."""

    time: dt.datetime
    label: str


def timeline(
    frame: pl.DataFrame,
    panels: Sequence[Panel],
    *,
    time: str = "time",
    marks: Sequence[Mark] = (),
    width: int = 760,
    height: int = 120,
) -> alt.VConcatChart:
    """Return a chart of several measures over time: a panel each, one below the other, with a cursor through all.

    Parameters
    ----------
    frame
        One row a point in time, a column a measure; its times without a zone are taken as they are, those with one are
        drawn as the wall clock of that zone.
    panels
        The measures, from top to bottom. Each has its own scale, which starts at zero.
    time
        The column of times.
    marks
        Moments to point out with a dashed line through all panels; the label stands on the first.
    width, height
        The size of one panel, in pixels.

    Examples
    --------
    >>> import datetime as dt
    >>> hours = [dt.datetime(2013, 2, 8, hour) for hour in range(3)]
    >>> frame = pl.DataFrame({"time": hours, "waiting": [0, 4, 2]})
    >>> chart = timeline(frame, [Panel("waiting", "Flights waiting")])
    >>> [layer["mark"]["type"] for layer in chart.to_dict()["vconcat"][0]["layer"]]
    ['rule', 'area', 'line', 'point', 'text', 'text']
    """
    data = alt.InlineData(values=_rows(frame, time, panels))
    domain = [panel.title for panel in panels]
    columns = [
        _panel(panel, domain=domain, marks=marks, number=number).properties(width=width, height=height)
        for number, panel in enumerate(panels)
    ]
    chart: alt.VConcatChart = alt.vconcat(*columns, data=data, spacing=26, params=[_cursor(len(panels))])
    themed: alt.VConcatChart = chart.configure(**themes.config())
    return themed


def _cursor(panels: int) -> alt.TopLevelSelectionParameter:
    """Return the cursor: the time nearest to the pointer, over whichever panel.

    Altair's ``add_params`` would give each panel a cursor of its own and then warn that it made them one.
    """
    nearest = alt.PointSelectionConfig(
        type="point", fields=["time"], nearest=True, on="pointermove", clear="pointerout"
    )
    views = [_driver(number) for number in range(panels)]
    return alt.TopLevelSelectionParameter(name=_HERE.name, select=nearest, views=views)


def _rows(frame: pl.DataFrame, time: str, panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Return the rows for Vega: the wall clock as text, once for it and once for a person, and the panels' values."""
    clock = pl.col(time).dt.replace_time_zone(None)
    moments = clock.dt.strftime("%a %-d %b, %H:%M").alias("moment")
    values = [pl.col(panel.column).alias(_value(number)) for number, panel in enumerate(panels)]
    return frame.select(clock.dt.strftime(CLOCK).alias("time"), moments, *values).to_dicts()


def _value(number: int) -> str:
    """Return the name of a panel's values, which no character of a column's name can upset."""
    return f"value_{number}"


def _panel(
    panel: Panel,
    *,
    domain: list[str],
    marks: Sequence[Mark],
    number: int,
) -> alt.LayerChart:
    """Return one panel: the measure, its moments pointed out, and the cursor with its value."""
    x = alt.X("time:T", scale=alt.Scale(type="utc"), axis=alt.Axis(title=None, labelExpr=_TICKS, tickCount=9))
    y = alt.Y(_value(number), type="quantitative", stack=None, axis=alt.Axis(title=None, tickCount=4, format=",d"))
    color = alt.Color("panel:N", scale=alt.Scale(domain=domain), legend=None)
    base = alt.Chart().encode(x=x)
    measure = base.transform_calculate(panel=json.dumps(panel.title)).encode(y=y, color=color)
    interpolate = _INTERPOLATION[panel.shape]
    here = alt.condition(_HERE, alt.value(1), alt.value(0))
    layers = [
        base.mark_rule(style="cursor-line").encode(opacity=here).properties(name=_driver(number)),
        measure.mark_area(opacity=0.16, interpolate=interpolate),
        measure.mark_line(interpolate=interpolate),
        *_marks(marks, labelled=number == 0),
        measure.mark_point(filled=True, size=60).encode(opacity=here),
        *_headline(panel.title, _value(number)),
    ]
    return alt.LayerChart(layer=layers)


def _headline(title: str, value: str) -> list[alt.Chart]:
    """Return what stands over a panel: its title and, at the right, the time and the value under the cursor.

    Both are text marks at one height. A title of Vega's would be pushed up whenever the other appears.
    """
    heading = alt.Chart(alt.InlineData(values=[{"title": title}])).encode(
        text="title:N", x=alt.value(0), y=alt.value(0)
    )
    readout = (
        alt.Chart()
        .transform_filter(_HERE)
        .transform_calculate(readout=f"datum.moment + ':  ' + format(datum.{value}, ',d')")
        .encode(text="readout:N", x=alt.value("width"), y=alt.value(0))
    )
    return [
        heading.mark_text(style="panel-title", align="left", baseline="bottom", dy=_HEADLINE),
        readout.mark_text(style="panel-title", align="right", baseline="bottom", dy=_HEADLINE),
    ]


def _driver(number: int) -> str:
    """Return the name of the layer of a panel over which the pointer moves the cursor."""
    return f"panel_{number}"


def _marks(marks: Sequence[Mark], *, labelled: bool) -> list[alt.Chart]:
    """Return the lines at the moments to point out and, on the first panel, their labels."""
    if not marks:
        return []
    values = [{"time": mark.time.strftime(CLOCK), "label": mark.label} for mark in marks]
    x = alt.X("time:T", scale=alt.Scale(type="utc"))
    lines = alt.Chart(alt.InlineData(values=values)).mark_rule(style="annotation-line").encode(x=x)
    if not labelled:
        return [lines]
    # the last label goes to the right of its line and the others to the left, so that neighbours keep apart
    sides: tuple[tuple[Literal["left", "right"], int, list[dict[str, str]]], ...]
    sides = (("right", -5, values[:-1]), ("left", 5, values[-1:]))
    return [lines] + [
        alt.Chart(alt.InlineData(values=some))
        .mark_text(style="annotation-text", align=align, dx=dx, dy=-1, baseline="bottom")
        .encode(x=x, y=alt.value(0), text="label:N")
        for align, dx, some in sides
        if some
    ]
