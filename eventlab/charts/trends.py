"""Measures by period: trends as lines, the lifecycle as bars above and below zero, stickiness as bars."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl

from eventlab.charts import marks
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEIGHT = 260
_COLOURED = marks.GREY  # lines that have a colour each; the others share the grey
_HEADROOM = 1.06
_ROUGH, _NARROW = 44, 26  # pixels of a bar over which a decimal has room, and a number
_DASHED = "Dashed: a period that is not over, or not wholly asked for."
_PERIODS = {"1d": "day", "1w": "week", "7d": "week", "1mo": "month", "3mo": "quarter", "1h": "hour"}
_LIFE = (("new", 3, 1), ("returning", 0, 1), ("resurrecting", 1, 1), ("dormant", 2, -1))  # hue, and side of zero


def trend(frame: pl.DataFrame, facts: Mapping[str, Any]) -> alt.LayerChart:
    """Return lines by period, each with its name at its end; dashed where a period is not whole.

    The periods before, where they are compared, are a grey line. Beyond six lines the smaller ones are grey, too.
    """
    if not (frame.schema["value"].is_numeric() or frame["value"].null_count() == frame.height):
        raise InvalidArgument(
            f"{facts.get('measure', 'the measure')} is {frame.schema['value']}, not a number", hint="Chart its .pl()."
        )
    rows, names = _series(frame)
    parted, before = "breakdown" in frame.columns, "previous" in frame.columns
    extent = _extent(rows.select("value", *(["previous"] if before else [])))
    base = alt.Chart(alt.InlineData(values=marks.clocks(rows, "period_start").to_dicts())).encode(
        x=marks.period_axis("period_start", frame["period_start"]), detail="series:N"
    )
    axis = alt.Axis(title=None, tickCount=5, format=marks.TICK)
    y = {
        name: alt.Y(f"{name}:Q", axis=axis, scale=alt.Scale(domain=list(extent), nice=False))
        for name in ("value", "over", "going", "previous")
    }
    hued = base.encode(color=marks.HUE)
    layers = [] if parted else [hued.mark_area(opacity=0.12).encode(y=y["value"])]
    if before:
        layers.append(base.mark_line(style="before-line").encode(y=y["previous"]))
    alone = frame["period_start"].n_unique() == 1
    layers += [
        hued.mark_line().encode(y=y["over"]),
        hued.mark_line(strokeDash=[4, 3]).encode(y=y["going"]),
        hued.mark_point(filled=True, size=50, opacity=1 if alone else 0).encode(
            y=y["value"], tooltip=_hints(rows, parted=parted, before=before)
        ),
        *_labels(rows, extent, parted=parted, before=before),
    ]
    by = (
        f" {'and' if _period(facts) else 'by'} {marks.cut(facts['breakdown'], 36)}"
        if parted and facts.get("breakdown")
        else ""
    )
    grey = f"The {_COLOURED} largest of {len(names)} lines have a name." if len(names) > _COLOURED + 1 else ""
    dashed = _DASHED if rows["partial"].any() else ""
    title = marks.titled(_measured(facts) + by, facts, dashed, grey)
    return alt.LayerChart(layer=layers).properties(width=marks.WIDTH, height=_HEIGHT, title=title)


def _series(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Return the rows with their series (in order of size), its label and hue, and the values of whole periods and others.

    And the labels of the series in that order.
    """
    name = pl.lit("") if "breakdown" not in frame.columns else pl.col("breakdown").cast(pl.String)
    rest = pl.col("other").fill_null(value=False) if "other" in frame.columns else pl.lit(value=False)
    rows = frame.with_columns(pl.col("value").cast(pl.Float64), name.alias("label"), rest.alias("other"))
    sizes = rows.group_by("label", "other").agg(pl.col("value").abs().sum().alias("size"))
    ranked = sizes.sort("other", "size", "label", descending=[False, True, False]).with_row_index("series")
    grey = pl.col("other") | (pl.col("series") > marks.GREY)
    hue = pl.when(grey).then(marks.GREY).otherwise("series").cast(pl.String)
    ranked = ranked.select("label", "other", "series", hue.alias("hue"))
    rows = rows.join(ranked, on=["label", "other"], nulls_equal=True).sort("series", "period_start")
    partial = pl.col("partial")
    beside = [partial.shift(by, fill_value=False).over("series") for by in (-1, 1)]
    rows = rows.with_columns(
        pl.when("other").then(pl.lit("(all others)")).otherwise(pl.col("label").fill_null("NULL")).alias("label"),
        pl.when(~partial).then("value").alias("over"),
        pl.when(partial | beside[0] | beside[1]).then("value").alias("going"),
    )
    return rows, rows.unique("series", maintain_order=True)["label"].to_list()


def _extent(values: pl.DataFrame) -> tuple[float, float]:
    """Return the ends of the axis: zero is on it, and there is room above."""
    numbers = pl.concat([values[name].cast(pl.Float64) for name in values.columns]).drop_nulls().drop_nans()
    low, high = float(numbers.min() or 0), float(numbers.max() or 0)  # type: ignore[arg-type]
    low, high = min(low * _HEADROOM, 0.0), max(high * _HEADROOM, 0.0)
    return (low, high) if low < high else (0.0, 1.0)


def _labels(rows: pl.DataFrame, extent: tuple[float, float], *, parted: bool, before: bool) -> list[alt.Chart]:
    """Return what stands at the ends of the lines, so far apart that each can be read."""
    last = rows.filter(pl.col("period_start") == pl.col("period_start").max(), pl.col("value").is_not_null())
    named = (pl.col("series") < _COLOURED) | pl.col("other") | (pl.col("series").max() <= _COLOURED)
    ends = [
        {"text": row["label"] if parted else "so far" if row["partial"] else "", "end": row["value"], "hue": row["hue"]}
        for row in last.filter(named).to_dicts()
    ]
    if before and not parted:
        ends += [
            {"text": "before", "end": float(row["previous"]), "hue": marks.HUES[marks.GREY]}
            for row in last.drop_nulls("previous").to_dicts()
        ]
    clock = marks.clocks(last.head(1), "period_start")["period_start"].to_list()
    told = [{**row, "period_start": clock[0]} for row in ends if row["text"]]
    return marks.line_ends(told, "period_start:T", extent, height=_HEIGHT)


def _hints(rows: pl.DataFrame, *, parted: bool, before: bool) -> list[alt.Tooltip]:
    """Return what is told of a point."""
    number = marks.number_format(rows["value"])
    return [
        alt.Tooltip("moment:N", title="from"),
        *([alt.Tooltip("label:N", title="of")] if parted else []),
        alt.Tooltip("value:Q", title="value", format=number),
        *([alt.Tooltip("previous:Q", title="before", format=number)] if before else []),
        alt.Tooltip("partial:N", title="not whole"),
    ]


def _measured(facts: Mapping[str, Any]) -> str:
    """Return the measure and its periods, for a title."""
    period = _period(facts)
    return marks.cut(facts.get("measure", "value"), 60) + (f" by {period}" if period else "")


def _period(facts: Mapping[str, Any]) -> str:
    """Return the name of the periods, where they have one; nothing otherwise."""
    told = str(facts.get("every") or facts.get("period") or "")
    found = re.fullmatch(r"calendar (\w+)s of .*|(day|week|month)", told)
    return _PERIODS.get(told) or (found and (found[1] or found[2])) or ""


def lifecycle(frame: pl.DataFrame, facts: Mapping[str, Any]) -> alt.LayerChart:
    """Return bars by period: who is new, returning and resurrecting above zero, who fell dormant below; pale if not whole."""
    frame = frame.sort("period_start")
    ends = frame["period_start"].shift(-1)
    lengths = (ends - frame["period_start"]).drop_nulls()
    usual = lengths.median() if len(lengths) else dt.timedelta(days=1)
    spans = frame.with_columns(pl.coalesce(ends, pl.col("period_start") + pl.lit(usual)).alias("until"))
    gap = (pl.col("until") - pl.col("period_start")) * 0.09
    spans = marks.clocks(
        spans.with_columns((pl.col("until") - gap).alias("until"), (pl.col("period_start") + gap).alias("since")),
        "period_start",
        "since",
        "until",
    )
    bars = []
    for row in spans.to_dicts():
        above = 0
        for name, hue, side in _LIFE:
            number = row[name] or 0
            low, high = (above, above + number) if side > 0 else (-number, 0)
            above = high if side > 0 else above
            place = {"since": row["since"], "until": row["until"], "low": low, "high": high, "hue": marks.HUES[hue]}
            told = {"moment": row["moment"], "what": name, "number": number, "partial": row["partial"]}
            bars.append({**place, **told, "opacity": 0.4 if row["partial"] else 0.9})
    axis = alt.Axis(title=None, tickCount=6, labelExpr="format(abs(datum.value), ',.2~f')")
    tooltip = [
        alt.Tooltip("what:N", title="actors"),
        alt.Tooltip("number:Q", title="how many", format=",.0f"),
        alt.Tooltip("moment:N", title="from"),
        alt.Tooltip("partial:N", title="not whole"),
    ]
    shown = (
        alt.Chart(alt.InlineData(values=bars))
        .mark_bar()
        .encode(
            x=marks.period_axis("since", frame["period_start"]),
            x2="until:T",
            y=alt.Y("low:Q", axis=axis, scale=alt.Scale(nice=True)),
            y2="high:Q",
            color=marks.legend([(hue, name) for name, hue, _ in _LIFE]),
            opacity=alt.Opacity("opacity:Q", scale=None, legend=None),
            tooltip=tooltip,
        )
    )
    zero = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(style="zero-line").encode(y="zero:Q")
    period = _period(facts)
    pale = "Pale: a period that is not over, or not wholly asked for." if frame["partial"].any() else ""
    title = marks.titled(f"Who is new, comes back and falls dormant{f', by {period}' if period else ''}", facts, pale)
    return alt.LayerChart(layer=[shown, zero]).properties(width=marks.WIDTH, height=_HEIGHT + 20, title=title)


def stickiness(frame: pl.DataFrame, facts: Mapping[str, Any]) -> alt.LayerChart:
    """Return a bar for each number of periods: the actors who were active in so many."""
    name = _period(facts) or "period"
    periods = frame["periods_active"].to_list(), frame.filter(pl.col("actors") > 0)["periods_active"].to_list()
    whole, most = (max(some, default=1) for some in periods)
    none = f"Nobody has events in more than {most} of the {whole} {name}s." if most != whole else ""
    frame = frame.filter(pl.col("periods_active") <= most).sort("periods_active")
    wide = marks.WIDTH / frame.height
    rows = [
        {
            "periods": row["periods_active"],
            "actors": row["actors"],
            "count": f"{row['actors']:,}",
            "share": marks.percent(row["share"], decimals=1 if wide >= _ROUGH else 0),
            "hue": marks.HUES[0],
        }
        for row in frame.to_dicts()
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X(
            "periods:O",
            axis=alt.Axis(title=f"{name}s with events", labelAngle=0, labelOverlap="greedy"),
            scale=alt.Scale(paddingInner=0.18, paddingOuter=0.1),
        ),
        y=alt.Y("actors:Q", axis=alt.Axis(title="actors", tickCount=5, format=marks.TICK), scale=alt.Scale(nice=True)),
    )
    tooltip = [
        alt.Tooltip("periods:O", title="active in"),
        alt.Tooltip("count:N", title="actors"),
        alt.Tooltip("share:N", title="share of all"),
    ]
    layers = [base.mark_bar(cornerRadiusEnd=3, opacity=0.88).encode(color=marks.HUE, tooltip=tooltip)]
    if wide >= _NARROW:
        layers.append(base.mark_text(style="annotation-text", baseline="bottom", dy=-4).encode(text="share:N"))
    return alt.LayerChart(layer=layers).properties(
        width=marks.WIDTH, height=240, title=marks.titled(f"How many {name}s actors are active in", facts, none)
    )
