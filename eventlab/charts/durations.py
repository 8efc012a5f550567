"""How long conversions take: the share that has converted by then as curves, and quantiles of the time as boxes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from eventlab.charts import marks
from eventlab.charts.canvases import Canvas, places
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventlab.charts.canvases import Row
    from eventlab.charts.marks import AnyChart

_HEIGHT = 240
_CURVE = 600  # points of a curve
_COARSE = 0.05  # a share from which on an axis has whole percents
_UNITS = ((2 * 86_400, 86_400, "days"), (2 * 3_600, 3_600, "hours"), (120, 60, "minutes"), (0, 1, "seconds"))

_LEFT, _PLOT = 150, 400  # pixels of the names, and of the boxes
_MEDIAN = 0.5
_COLUMNS = (("half within", 86, _MEDIAN), ("95% within", 176, 0.95))  # right edges, after the boxes, and which quantile
_WIDTH = _LEFT + _PLOT + _COLUMNS[-1][1]
_HEAD, _ROW, _FOOT = 26, 32, 26  # pixels
_TICKS = (1, 10, 60, 600, 3_600, 21_600, 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400)  # seconds
_SPANS = ((0.0, 1.0, 1, 0.45), (0.1, 0.9, 4, 0.35), (0.25, 0.75, 8, 0.45))  # from, to, half the height, how solid


def survival(frame: pl.DataFrame, facts: Mapping[str, Any]) -> alt.LayerChart:
    """Return the share that has converted by each time since the entry: a curve of steps, one for each value of a breakdown."""
    name = pl.col("breakdown").cast(pl.String).fill_null("NULL") if "breakdown" in frame.columns else pl.lit("")
    curve = frame.select(name.alias("label"), pl.col("seconds").cast(pl.Float64), "share_converted", "at_risk")
    longest = float(max(curve["seconds"].to_list(), default=0.0)) or 1.0
    size, unit = next((size, name) for least, size, name in _UNITS if longest >= least)
    rows = _thinned(curve.drop_nulls().sort("label", "seconds"), longest).with_columns(
        (pl.col("seconds") / size).alias("time"),
        pl.col("seconds").map_elements(marks.lasting, return_dtype=pl.String).alias("lasted"),
        pl.col("share_converted").map_elements(marks.percent, return_dtype=pl.String).alias("told"),
    )
    last = rows.group_by("label", maintain_order=True).last()
    hues = {label: marks.HUES[min(number, marks.GREY)] for number, label in enumerate(last["label"])}
    rows = rows.with_columns(pl.col("label").replace_strict(hues, return_dtype=pl.String).alias("hue"))
    highest = max(last["share_converted"].to_list(), default=0.0)
    extent = (0.0, min(1.0, highest * 1.12) or 1.0)
    axis = alt.Axis(title=None, tickCount=5, format=".0%" if highest >= _COARSE else ".1%")
    base = alt.Chart(alt.InlineData(values=rows.to_dicts())).encode(
        x=alt.X("time:Q", axis=alt.Axis(title=f"{unit} since the entry", tickCount=7), scale=alt.Scale(nice=False)),
        y=alt.Y("share_converted:Q", axis=axis, scale=alt.Scale(domain=list(extent)), stack=None),
        color=marks.HUE,
        detail="label:N",
    )
    tooltip = [
        *([alt.Tooltip("label:N", title="of")] if len(hues) > 1 else []),
        alt.Tooltip("lasted:N", title="within"),
        alt.Tooltip("told:N", title="converted"),
        alt.Tooltip("at_risk:Q", title="still on their way", format=",.0f"),
    ]
    ends = [
        {"text": f"{row['label']} {row['told']}".strip(), "time": row["time"], "end": row["share_converted"]}
        | {"hue": hues[row["label"]]}
        for row in last.to_dicts()
    ]
    layers = [] if len(hues) > 1 else [base.mark_area(interpolate="step-after", opacity=0.14)]
    layers += [
        base.mark_line(interpolate="step-after"),
        base.mark_point(filled=True, size=40, opacity=0).encode(tooltip=tooltip),
        *marks.line_ends(ends, "time:Q", extent, height=_HEIGHT),
    ]
    title = marks.titled("Share converted, by time since the entry", facts)
    return alt.LayerChart(layer=layers).properties(width=marks.WIDTH, height=_HEIGHT, title=title)


def _thinned(curves: pl.DataFrame, longest: float) -> pl.DataFrame:
    """Return curves from zero, each with its last point within each of the places that can be told apart."""
    place = (pl.col("seconds") / longest * _CURVE).floor().alias("place")
    thin = curves.group_by("label", place, maintain_order=True).last().drop("place")
    begin = curves.group_by("label", maintain_order=True).agg(
        pl.lit(0.0).alias("seconds"), pl.lit(0.0).alias("share_converted"), pl.col("at_risk").max()
    )
    return pl.concat([begin, thin.select(begin.columns)], how="vertical_relaxed").sort(
        "label", "seconds", maintain_order=True
    )


def times(frame: pl.DataFrame, facts: Mapping[str, Any]) -> AnyChart:
    """Return how long those who converted took, on a scale of magnitudes: a box from a quarter to three, a line at the half.

    The thinner bars go from a tenth to nine tenths, and from the fastest to the slowest.
    """
    name = pl.col("breakdown").cast(pl.String).fill_null("NULL") if "breakdown" in frame.columns else pl.lit("all")
    rows = frame.select(name.alias("label"), "quantile", pl.col("seconds").cast(pl.Float64)).drop_nulls("seconds")
    if rows.is_empty():
        raise InvalidArgument("there is nothing to chart: nobody has converted")
    parts = {str(label): dict(part.rows()) for label, part in _parts(rows)}
    ends = min(rows["seconds"].to_list()), max(rows["seconds"].to_list())
    bottom = _HEAD + _ROW * len(parts)
    canvas = Canvas(_WIDTH, bottom + _FOOT)
    spans: list[Row] = []
    halves: list[Row] = []
    texts: list[Row] = []
    for number, (label, quantiles) in enumerate(parts.items()):
        y = _HEAD + _ROW * (number + 0.5)
        told = {"label": label, **{title: marks.lasting(quantiles.get(share)) for title, _, share in _COLUMNS}}
        texts += [{**places(x=_LEFT + _PLOT + edge, y=y), "text": told[title]} for title, edge, _ in _COLUMNS]
        for begin, end, half, opacity in _SPANS:
            if begin in quantiles and end in quantiles:
                x, x2 = (_across(quantiles[share], ends) for share in (begin, end))
                place = places(x=x, x2=max(x2, x + 1), y=y - half, y2=y + half)
                spans.append({**place, **told, "hue": marks.HUES[number % marks.GREY], "opacity": opacity})
        if _MEDIAN in quantiles:
            x = _across(quantiles[_MEDIAN], ends)
            halves.append({**places(x=x, y=y - 10, y2=y + 10), "hue": marks.HUES[number % marks.GREY]})
    names = [{**places(x=0, y=_HEAD + _ROW * (number + 0.5)), "text": label} for number, label in enumerate(parts)]
    heads = [{**places(x=_LEFT + _PLOT + edge, y=8), "text": title} for title, edge, _ in _COLUMNS]
    hints = {"label": "of", **{title: title for title, _, _ in _COLUMNS}}
    layers = [
        *_axis(canvas, ends, bottom),
        canvas.boxes(spans, tooltip=hints, radius=2),
        canvas.layer(halves).mark_rule(strokeWidth=3).encode(y2="y2:Q", color=marks.HUE),
        canvas.texts(names, limit=_LEFT - 16),
        canvas.texts(texts, align="right"),
        canvas.texts(heads, align="right", style="annotation-text"),
    ]
    key = "Box: the middle half, with the median; thinner: eight of ten, and from the fastest to the slowest."
    return canvas.chart(layers, marks.titled("Time from the entry, of those who converted", facts, key, width=_WIDTH))


def _parts(rows: pl.DataFrame) -> list[tuple[object, pl.DataFrame]]:
    """Return the quantiles and seconds of each label, in the order of the rows."""
    grouped = rows.group_by("label", maintain_order=True)
    return [(label, part.select("quantile", "seconds")) for (label,), part in grouped]


def _across(seconds: float, ends: tuple[float, float]) -> float:
    """Return where a time is, in pixels."""
    low, high, at = (math.log10(1 + value) for value in (*ends, seconds))
    return _LEFT + 8 + (_PLOT - 16) * ((at - low) / (high - low) if high > low else 0.5)


def _axis(canvas: Canvas, ends: tuple[float, float], bottom: float) -> list[alt.Chart]:
    """Return faint lines at round times, and their labels below."""
    ticks = [float(tick) for tick in _TICKS if ends[0] <= tick <= ends[1]] or sorted(set(ends))
    lines = [places(x=_across(tick, ends), y=_HEAD, y2=bottom) for tick in ticks]
    labels = [{**places(x=_across(tick, ends), y=bottom + 14), "text": marks.lasting(tick)} for tick in ticks]
    return [
        canvas.layer(lines).mark_rule(style="grid-line").encode(y2="y2:Q"),
        canvas.texts(labels, align="center", style="annotation-text"),
    ]
