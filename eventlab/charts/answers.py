"""The chart of an answer, by its kind: a course, a difference, the history of one entity, a state.

Times are drawn as the wall clock of the log's zone, as in ``timelines``.
"""

from __future__ import annotations

import datetime as dt
import functools
from typing import TYPE_CHECKING, Any, cast

import altair as alt
import polars as pl
import polars.selectors as cs

from eventlab.charts import themes
from eventlab.charts.timelines import CLOCK
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventlab.session.results import Result

AnyChart = alt.LayerChart | alt.VConcatChart | alt.HConcatChart

_WIDTH = 640
_BAR = 26  # pixels from one bar to the next
_FEW = 40  # rows of a state that are shown one by one
_VALUES = 20  # different values of a column whose distribution is shown
_LANES = 8  # different values of a column that are shown as lanes over time
_MOST = 3  # columns of a history that are shown, of numbers and of others each
_MINUTES = dt.timedelta(minutes=10)  # below which an axis shows seconds
_TICK = ",.2~f"
_CUT = "length(datum.label) > 26 ? slice(datum.label, 0, 25) + '…' : datum.label"
_TICKS = (
    "utchours(datum.value) + utcminutes(datum.value) ? utcFormat(datum.value, '%H:%M')"
    " : utcdate(datum.value) != 1 ? utcFormat(datum.value, '%-d %b')"
    " : utcmonth(datum.value) ? utcFormat(datum.value, '%b') : utcFormat(datum.value, '%Y')"
)
_SECONDS = f"utcseconds(datum.value) ? utcFormat(datum.value, '%H:%M:%S') : {_TICKS}"
_HUES = [str(number) for number in range(len(themes.PALETTES["light"].series))]
_HUE = alt.Color("hue:N", scale=alt.Scale(domain=_HUES), legend=None)
_CHANGES = ("added", "removed", "changed")


def chart(result: Result) -> AnyChart:
    """Return the chart of an answer.

    Raises
    ------
    InvalidArgument
        If there is no chart of such an answer, or nothing in it to draw.
    """
    draw = _CHARTS.get(result.kind)
    if draw is None:
        raise InvalidArgument(f"there is no chart of a {result.kind}", hint="Chart its .pl() with Altair.")
    frame = result.pl()
    if frame.is_empty():
        raise InvalidArgument(f"there is nothing to chart: the {result.kind} has no rows")
    drawn = draw(frame, result.facts)
    themed: AnyChart = drawn.configure(**themes.config())
    return themed


def course(frame: pl.DataFrame, facts: Mapping[str, Any]) -> alt.LayerChart:
    """Return the chart of a measure over time; the last stretch is dashed where its bucket is not over."""
    if not (frame.schema["value"].is_numeric() or frame["value"].null_count() == frame.height):
        raise InvalidArgument(
            f"{facts.get('measure', 'the measure')} is {frame.schema['value']}, not a number", hint="Chart its .pl()."
        )
    rows = _clocks(frame, "bucket").with_columns(pl.col("value").cast(pl.Float64))
    rows = rows.with_columns(
        (pl.col("partial") & pl.col("partial").is_last_distinct()).alias("last"),
        pl.when(~pl.col("partial")).then("value").alias("over"),
        pl.when(pl.col("partial") | pl.col("partial").shift(-1, fill_value=False)).then("value").alias("going"),
    )
    x = _time("bucket", frame["bucket"], grid=False)
    axis = alt.Axis(title=None, tickCount=5, format=_TICK)
    tooltip = [
        alt.Tooltip("moment:N", title="from"),
        alt.Tooltip("value:Q", format=_number(rows["value"])),
        alt.Tooltip("partial:N", title="still going on"),
    ]
    base = _drawing(rows, 0).encode(x=x)

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
    return alt.LayerChart(layer=layers).properties(width=_WIDTH, height=240, title=title)


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
    panels = [_bars(rows, title=_small("rows"), colors=[3, 2, 0], width=230)]
    if touched:
        panels.append(_bars(touched, title=_small("columns of the changed rows"), width=300))
    title = alt.TitleParams(
        f"{facts.get('state', 'state')}: {_counted(frame.height, 'row')} differ{'s' * (frame.height == 1)}"
    )
    drawn: alt.HConcatChart = alt.hconcat(*panels, spacing=44).properties(title=title)
    return drawn


def history(frame: pl.DataFrame, facts: Mapping[str, Any]) -> alt.VConcatChart:
    """Return the timeline of one entity: its events, and below them its columns as they changed."""
    if frame["valid_to"].null_count() > 1:
        raise InvalidArgument("this is the history of several keys", hint="Chart one: history(key).")
    frame = frame.sort("position")
    frame = frame.with_columns(pl.col("occurred_at").cum_max().alias("since"))  # a late event tells from then on
    end = _beyond(frame["since"])
    frame = frame.with_columns(pl.col("since").shift(-1, fill_value=end).alias("until"))
    state = frame.drop("position", "occurred_at", "recorded_at", "event_type", "valid_to", "since", "until")
    told = [name for name in state.columns if _is_category(state[name]) or state.schema[name].is_numeric()]
    moving = [name for name in told if state[name].n_unique() > 1]
    numbers = [name for name in moving if state.schema[name].is_numeric()][:_MOST]
    lanes = [name for name in moving if _is_category(state[name]) and state[name].n_unique() <= _LANES][:_MOST]
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
    categories = [column for column in frame.columns if _is_category(frame[column])]
    labels = [column for column in categories if frame[column].n_unique() == frame.height > 1]
    numbers = [column for column in frame.select(cs.numeric()).columns if frame[column].null_count() < frame.height]
    if frame.height <= _FEW and labels and numbers:
        top = frame.sort(numbers[0], descending=True, nulls_last=True)
        rows = [(str(what), float(number or 0)) for what, number in top.select(labels[0], numbers[0]).iter_rows()]
        return _bars(rows, title=alt.TitleParams(f"{name}: {numbers[0]} by {labels[0]}"), width=420)
    for column in categories:
        if 1 < frame[column].n_unique() <= _VALUES:
            counts = frame[column].cast(pl.String).value_counts()
            counts = counts.sort("count", column, descending=[True, False], nulls_last=True)
            rows = [("NULL" if what is None else what, count) for what, count in counts.iter_rows()]
            return _bars(rows, title=alt.TitleParams(f"{name}: rows by {column}"), width=420)
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


def _bars(
    rows: Sequence[tuple[str, float]], *, title: alt.TitleParams, width: int, colors: Sequence[int] = ()
) -> alt.LayerChart:
    """Return horizontal bars in the order of their rows, each with its number at its end."""
    names, numbers = [name for name, _ in rows], [number for _, number in rows]
    hues = [_HUES[number] for number in colors] or [_HUES[0]] * len(rows)
    values = [{"what": name, "rows": number, "hue": hue} for (name, number), hue in zip(rows, hues, strict=True)]
    room = alt.Scale(domain=[min(0.0, *numbers, 0.0), (max(0.0, *numbers, 0.0) or 1) * 1.2])
    axis = alt.Axis(title=None, labelLimit=220, labelExpr=_CUT)
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("rows:Q", axis=None, scale=room),
        y=alt.Y("what:N", sort=names, axis=axis, scale=alt.Scale(padding=0.3)),
    )
    layers = [
        base.mark_bar(cornerRadiusEnd=3, opacity=0.88).encode(color=_HUE),
        base.mark_text(align="left", dx=6).encode(text=alt.Text("rows:Q", format=_number(pl.Series(numbers)))),
    ]
    return alt.LayerChart(layer=layers).properties(width=width, height=_BAR * len(rows), title=title)


def _events(frame: pl.DataFrame, *, labels: bool) -> alt.LayerChart:
    """Return the events on the time axis, a lane a type, in the order in which the types came."""
    rows = _clocks(frame.select("position", "occurred_at", "event_type"), "occurred_at")
    order = frame["event_type"].unique(maintain_order=True).to_list()
    tooltip = [alt.Tooltip("event_type:N"), alt.Tooltip("moment:N", title="at"), alt.Tooltip("position:Q")]
    points = (
        _drawing(rows, 0)
        .mark_point(filled=True, size=90, opacity=0.9)
        .encode(
            x=_time("occurred_at", frame["occurred_at"], labels=labels),
            y=_lane("event_type", order),
            tooltip=tooltip,
        )
    )
    return alt.LayerChart(layer=[points]).properties(width=_WIDTH, height=_BAR * len(order))


def _lanes(frame: pl.DataFrame, *, name: str, number: int, labels: bool) -> alt.LayerChart:
    """Return what a column was from when until when, a lane a value."""
    values = frame.select("since", "until", pl.col(name).cast(pl.String).fill_null("NULL").alias("value"))
    runs = values.group_by(pl.col("value").rle_id().alias("run"), maintain_order=True).agg(
        pl.col("since").first(), pl.col("until").last(), pl.col("value").first()
    )
    order = runs["value"].unique(maintain_order=True).to_list()
    brief = runs["since"] == runs["until"]
    rows = _clocks(runs, "since", "until").with_columns(brief.alias("brief"))
    base = _drawing(rows, number).encode(
        x=_time("since", frame["since"], labels=labels),
        y=_lane("value", order),
        tooltip=[alt.Tooltip("value:N", title=name), alt.Tooltip("moment:N", title="since")],
    )
    layers = [
        base.mark_bar(height=11, cornerRadius=3, opacity=0.88).encode(x2="until:T"),
        base.transform_filter("datum.brief").mark_tick(thickness=3, height=15),
    ]
    return alt.LayerChart(layer=layers).properties(width=_WIDTH, height=_BAR * len(order), title=_small(name))


def _steps(frame: pl.DataFrame, *, name: str, number: int, labels: bool) -> alt.LayerChart:
    """Return a column of numbers as steps, the last of which goes on."""
    rows = frame.select("position", "since", pl.col(name).cast(pl.Float64).alias("value"))
    end = rows.tail(1).with_columns(frame["until"].tail(1).alias("since"), pl.col("position") + 1)
    told = _clocks(pl.concat([rows, end]), "since").with_columns(pl.Series("event", [True] * rows.height + [False]))
    base = _drawing(told, number).encode(
        x=_time("since", frame["since"], labels=labels),
        y=alt.Y("value:Q", axis=alt.Axis(title=None, tickCount=3, format=_TICK)),
    )
    tooltip = [
        alt.Tooltip("value:Q", title=name, format=_number(rows["value"])),
        alt.Tooltip("moment:N", title="since"),
    ]
    layers = [
        base.mark_line(interpolate="step-after").encode(order=alt.Order("position:Q")),
        base.transform_filter("datum.event").mark_point(filled=True, size=40, opacity=1).encode(tooltip=tooltip),
    ]
    return alt.LayerChart(layer=layers).properties(width=_WIDTH, height=84, title=_small(name))


def _span(instants: pl.Series) -> tuple[dt.datetime, dt.datetime]:
    """Return the first and the last of some times."""
    return cast("dt.datetime", instants.min()), cast("dt.datetime", instants.max())


def _beyond(instants: pl.Series) -> dt.datetime:
    """Return a moment after the last one, so that there is room to show what holds since."""
    first, last = _span(instants)
    return last + max((last - first) / 16, dt.timedelta(seconds=1))


def _lane(column: str, order: Sequence[str]) -> alt.Y:
    """Return lanes with a line each."""
    axis = alt.Axis(title=None, grid=True, labelLimit=180, labelExpr=_CUT)
    return alt.Y(f"{column}:N", sort=list(order), axis=axis)


def _small(text: str) -> alt.TitleParams:
    """Return the title of a panel among others."""
    return alt.TitleParams(text, fontSize=12, offset=4)


def _time(column: str, instants: pl.Series, *, labels: bool = True, grid: bool = True) -> alt.X:
    """Return the time axis; its labels say dates, hours or seconds as there is room for."""
    first, last = _span(instants)
    axis = alt.Axis(
        title=None,
        labelExpr=_SECONDS if last - first < _MINUTES else _TICKS,
        tickCount=8,
        labelOverlap="greedy",
        labels=labels,
        ticks=labels,
        grid=grid,
    )
    return alt.X(f"{column}:T", scale=alt.Scale(type="utc", nice=False, padding=8), axis=axis)


def _clocks(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Return times as wall clocks that Vega reads as they are, and the first one for a person as ``moment``."""
    clocks = [pl.col(name).dt.replace_time_zone(None) for name in columns]
    moment = clocks[0].dt.strftime("%a %-d %b %Y, %H:%M:%S").str.strip_suffix(":00").str.strip_suffix(", 00:00")
    return frame.with_columns(
        moment.alias("moment"),
        *(clock.dt.strftime(CLOCK).alias(name) for name, clock in zip(columns, clocks, strict=True)),
    )


def _is_category(column: pl.Series) -> bool:
    """Tell whether a column has names for values."""
    return column.dtype in (pl.String, pl.Boolean) or isinstance(column.dtype, (pl.Categorical, pl.Enum))


def _number(values: pl.Series) -> str:
    """Return how numbers are written: whole, or with the decimals that they need."""
    finite = values.drop_nulls()
    if finite.is_empty() or bool((finite == finite.round(0)).all()):
        return ",.0f"
    return ",.2f" if float(finite.abs().max() or 0) >= 1 else ",.3~r"  # type: ignore[arg-type]


def _measured(facts: Mapping[str, Any]) -> str:
    """Return the measure for a title, in one line."""
    return " ".join(str(facts.get("measure", "value")).split())


def _about(facts: Mapping[str, Any], instants: pl.Series) -> str:
    """Return a subtitle: whose answer it is, and from which day to which."""
    first, last = (f"{day.day} {day:%b %Y}" for day in _span(instants))
    days = first if first == last else f"{first} to {last}"
    return f"{facts['state']}, {days}" if facts.get("state") else days


def _counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _drawing(rows: pl.DataFrame, number: int) -> alt.Chart:
    """Return a chart of rows in a colour of the theme, whichever that is: light or dark."""
    hue = pl.lit(_HUES[number % len(_HUES)]).alias("hue")
    return alt.Chart(alt.InlineData(values=rows.with_columns(hue).to_dicts())).encode(color=_HUE)
