"""The chart of an answer, by its kind: a course, a difference, the history of one entity, a state, an analysis.

Times are drawn as the wall clock of the log's zone, as in ``timelines``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import altair as alt
import polars as pl
import polars.selectors as cs

from eventlab.charts import analyses, marks, themes
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eventlab.charts.marks import AnyChart
    from eventlab.session.results import Result

_FEW = 40  # rows of a state that are shown one by one
_VALUES = 20  # different values of a column whose distribution is shown
_LANES = 8  # different values of a column that are shown as lanes over time
_MOST = 3  # columns of a history that are shown, of numbers and of others each
_CHANGES = ("added", "removed", "changed")


def chart(result: Result) -> AnyChart:
    """Return the chart of an answer.

    Raises
    ------
    InvalidArgument
        If there is no chart of such an answer, nothing in it to draw, or more than a browser draws well.
    """
    read, draw = (result.pl, _CHARTS[result.kind]) if result.kind in _CHARTS else analyses.of(result)
    frame = read()
    if frame.is_empty():
        raise InvalidArgument(f"there is nothing to chart: the {result.kind.replace('_', ' ')} has no rows")
    drawn = draw(frame, result.facts)
    themed: AnyChart = drawn.configure(**themes.config())
    return themed


def course(frame: pl.DataFrame, facts: Mapping[str, Any]) -> alt.LayerChart:
    """Return the chart of a measure over time; the last stretch is dashed where its bucket is not over."""
    if not (frame.schema["value"].is_numeric() or frame["value"].null_count() == frame.height):
        raise InvalidArgument(
            f"{facts.get('measure', 'the measure')} is {frame.schema['value']}, not a number", hint="Chart its .pl()."
        )
    rows = marks.clocks(frame, "bucket").with_columns(pl.col("value").cast(pl.Float64))
    rows = rows.with_columns(
        (pl.col("partial") & pl.col("partial").is_last_distinct()).alias("last"),
        pl.when(~pl.col("partial")).then("value").alias("over"),
        pl.when(pl.col("partial") | pl.col("partial").shift(-1, fill_value=False)).then("value").alias("going"),
    )
    x = marks.time_axis("bucket", frame["bucket"], grid=False)
    axis = alt.Axis(title=None, tickCount=5, format=marks.TICK)
    tooltip = [
        alt.Tooltip("moment:N", title="from"),
        alt.Tooltip("value:Q", format=marks.number_format(rows["value"])),
        alt.Tooltip("partial:N", title="still going on"),
    ]
    base = marks.drawing(rows, 0).encode(x=x)

    def y(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", axis=axis, scale=alt.Scale(zero=True, nice=True))

    last = base.transform_filter("datum.last")
    layers = [
        base.mark_area(opacity=0.14).encode(y=y("value")),
        base.mark_line().encode(y=y("over")),
        base.mark_line(strokeDash=[4, 3]).encode(y=y("going")),
        last.mark_point(filled=True, size=44, opacity=1).encode(y=y("value")),
        last.mark_text(style="annotation-text", align="right", baseline="bottom", dx=4, dy=-9, text="so far").encode(
            y=y("value")
        ),
        base.mark_point(filled=True, size=50 if rows.height == 1 else 30, opacity=1 if rows.height == 1 else 0).encode(
            y=y("value"), tooltip=tooltip
        ),
    ]
    title = alt.TitleParams(_measured(facts), subtitle=_about(facts, frame["bucket"]))
    return alt.LayerChart(layer=layers).properties(width=marks.WIDTH, height=240, title=title)


def diff(frame: pl.DataFrame, facts: Mapping[str, Any]) -> alt.HConcatChart:
    """Return the chart of how many rows were added, removed and changed, and in which columns those changed."""
    names = [
        name
        for name in (column.removesuffix("_before") for column in frame.columns if column.endswith("_before"))
        if f"{name}_after" in frame.columns
    ]
    changed = frame.filter(pl.col("change") == "changed")
    counts = dict(frame["change"].value_counts().rows())
    rows = [(what, counts.get(what, 0)) for what in _CHANGES]
    touched = [(name, int(changed[f"{name}_before"].ne_missing(changed[f"{name}_after"]).sum() or 0)) for name in names]
    touched = sorted((row for row in touched if row[1]), key=lambda row: -row[1])[:_VALUES]
    panels = [marks.bars(rows, title=marks.small("rows"), colors=[3, 2, 0], width=230)]
    if touched:
        panels.append(marks.bars(touched, title=marks.small("columns of the changed rows"), width=300))
    title = alt.TitleParams(
        f"{facts.get('state', 'state')}: {marks.counted(frame.height, 'row')} differ{'s' * (frame.height == 1)}"
    )
    drawn: alt.HConcatChart = alt.hconcat(*panels, spacing=44).properties(title=title)
    return drawn


def history(frame: pl.DataFrame, facts: Mapping[str, Any]) -> alt.VConcatChart:
    """Return the timeline of one entity: its events, and below them its columns as they changed."""
    if frame["valid_to"].null_count() > 1:
        raise InvalidArgument("this is the history of several keys", hint="Chart one: history(key).")
    frame = frame.sort("position")
    frame = frame.with_columns(pl.col("occurred_at").cum_max().alias("since"))  # a late event tells from then on
    end = marks.beyond(frame["since"])
    frame = frame.with_columns(pl.col("since").shift(-1, fill_value=end).alias("until"))
    state = frame.drop("position", "occurred_at", "recorded_at", "event_type", "valid_to", "since", "until")
    told = [name for name in state.columns if marks.is_category(state[name]) or state.schema[name].is_numeric()]
    moving = [name for name in told if state[name].n_unique() > 1]
    numbers = [name for name in moving if state.schema[name].is_numeric()][:_MOST]
    lanes = [name for name in moving if marks.is_category(state[name]) and state[name].n_unique() <= _LANES][:_MOST]
    draws: list[Callable[..., alt.LayerChart]] = [_events]
    for draw, names in ((_lanes, lanes), (_steps, numbers)):
        draws += [functools.partial(draw, name=name, number=number) for number, name in enumerate(names, len(draws))]
    panels = [draw(frame, labels=draw is draws[-1]) for draw in draws]
    fixed = [name for name in state.select(cs.string() | cs.integer()).columns if name not in moving]
    who = str(state[fixed[0]][0]) if fixed else "history"
    title = alt.TitleParams(who, subtitle=_about(facts, frame["occurred_at"]))
    drawn: alt.VConcatChart = alt.vconcat(*panels, spacing=20).resolve_scale(x="shared").properties(title=title)
    return drawn


def state(frame: pl.DataFrame, facts: Mapping[str, Any]) -> alt.LayerChart:
    """Return a look at a state: its rows by their first number if they are few, else how often each value of a column is."""
    name = str(facts.get("state", "state"))
    categories = [column for column in frame.columns if marks.is_category(frame[column])]
    labels = [column for column in categories if frame[column].n_unique() == frame.height > 1]
    numbers = [column for column in frame.select(cs.numeric()).columns if frame[column].null_count() < frame.height]
    if frame.height <= _FEW and labels and numbers:
        top = frame.sort(numbers[0], descending=True, nulls_last=True)
        rows = [(str(what), float(number or 0)) for what, number in top.select(labels[0], numbers[0]).iter_rows()]
        return marks.bars(rows, title=alt.TitleParams(f"{name}: {numbers[0]} by {labels[0]}"), width=420)
    for column in categories:
        if 1 < frame[column].n_unique() <= _VALUES:
            counts = frame[column].cast(pl.String).value_counts()
            counts = counts.sort("count", column, descending=[True, False], nulls_last=True)
            rows = [("NULL" if what is None else what, count) for what, count in counts.iter_rows()]
            return marks.bars(rows, title=alt.TitleParams(f"{name}: rows by {column}"), width=420)
    raise InvalidArgument(
        f"nothing of {name} is a chart by itself: no column has few different values",
        hint='Chart its .pl() with Altair, or a measure of it: over_time("1d", "count(*)").',
    )


_CHARTS: dict[str, Callable[[pl.DataFrame, Mapping[str, Any]], AnyChart]] = {
    "course": course,
    "diff": diff,
    "history": history,
    "state": state,
}


def _events(frame: pl.DataFrame, *, labels: bool) -> alt.LayerChart:
    """Return the events on the time axis, a lane a type, in the order in which the types came."""
    rows = marks.clocks(frame.select("position", "occurred_at", "event_type"), "occurred_at")
    order = frame["event_type"].unique(maintain_order=True).to_list()
    tooltip = [alt.Tooltip("event_type:N"), alt.Tooltip("moment:N", title="at"), alt.Tooltip("position:Q")]
    points = (
        marks.drawing(rows, 0)
        .mark_point(filled=True, size=90, opacity=0.9)
        .encode(
            x=marks.time_axis("occurred_at", frame["occurred_at"], labels=labels),
            y=marks.lane("event_type", order),
            tooltip=tooltip,
        )
    )
    return alt.LayerChart(layer=[points]).properties(width=marks.WIDTH, height=marks.BAR * len(order))


def _lanes(frame: pl.DataFrame, *, name: str, number: int, labels: bool) -> alt.LayerChart:
    """Return what a column was from when until when, a lane a value."""
    values = frame.select("since", "until", pl.col(name).cast(pl.String).fill_null("NULL").alias("value"))
    runs = values.group_by(pl.col("value").rle_id().alias("run"), maintain_order=True).agg(
        pl.col("since").first(), pl.col("until").last(), pl.col("value").first()
    )
    order = runs["value"].unique(maintain_order=True).to_list()
    brief = runs["since"] == runs["until"]
    rows = marks.clocks(runs, "since", "until").with_columns(brief.alias("brief"))
    base = marks.drawing(rows, number).encode(
        x=marks.time_axis("since", frame["since"], labels=labels),
        y=marks.lane("value", order),
        tooltip=[alt.Tooltip("value:N", title=name), alt.Tooltip("moment:N", title="since")],
    )
    layers = [
        base.mark_bar(height=11, cornerRadius=3, opacity=0.88).encode(x2="until:T"),
        base.transform_filter("datum.brief").mark_tick(thickness=3, height=15),
    ]
    return alt.LayerChart(layer=layers).properties(
        width=marks.WIDTH, height=marks.BAR * len(order), title=marks.small(name)
    )


def _steps(frame: pl.DataFrame, *, name: str, number: int, labels: bool) -> alt.LayerChart:
    """Return a column of numbers as steps, the last of which goes on."""
    rows = frame.select("position", "since", pl.col(name).cast(pl.Float64).alias("value"))
    end = rows.tail(1).with_columns(frame["until"].tail(1).alias("since"), pl.col("position") + 1)
    told = marks.clocks(pl.concat([rows, end]), "since").with_columns(
        pl.Series("event", [True] * rows.height + [False])
    )
    base = marks.drawing(told, number).encode(
        x=marks.time_axis("since", frame["since"], labels=labels),
        y=alt.Y("value:Q", axis=alt.Axis(title=None, tickCount=3, format=marks.TICK)),
    )
    tooltip = [
        alt.Tooltip("value:Q", title=name, format=marks.number_format(rows["value"])),
        alt.Tooltip("moment:N", title="since"),
    ]
    layers = [
        base.mark_line(interpolate="step-after").encode(order=alt.Order("position:Q")),
        base.transform_filter("datum.event").mark_point(filled=True, size=40, opacity=1).encode(tooltip=tooltip),
    ]
    return alt.LayerChart(layer=layers).properties(width=marks.WIDTH, height=84, title=marks.small(name))


def _measured(facts: Mapping[str, Any]) -> str:
    """Return the measure for a title, in one line."""
    return " ".join(str(facts.get("measure", "value")).split())


def _about(facts: Mapping[str, Any], instants: pl.Series) -> str:
    """Return a subtitle: whose answer it is, and from which day to which."""
    first, last = (f"{day.day} {day:%b %Y}" for day in marks.span(instants))
    days = first if first == last else f"{first} to {last}"
    return f"{facts['state']}, {days}" if facts.get("state") else days
