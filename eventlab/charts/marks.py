"""Parts of charts: colours by hue, time axes, numbers and durations in words, titles with their definition, bars.

Colours are the theme's, by hue: a chart holds no colour itself, so a page can be light or dark. What comes from the data
is a value in a row, never the name of a field nor an expression: Vega reads markup, dots and brackets in those.
"""

from __future__ import annotations

import datetime as dt
import textwrap
from typing import TYPE_CHECKING, Any, cast

import altair as alt
import polars as pl

from eventlab.charts import layouts, themes
from eventlab.charts.timelines import CLOCK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AnyChart = alt.LayerChart | alt.VConcatChart | alt.HConcatChart

WIDTH = 640
BAR = 26  # pixels from one bar to the next
GREY = len(themes.PALETTES["light"].series) - 1  # the hue of what stands back
NONE = "\N{EN DASH}"  # stands for no number
TICK = ",.2~f"
HUES = [str(number) for number in range(len(themes.PALETTES["light"].series))]
HUE = alt.Color("hue:N", scale=alt.Scale(domain=HUES), legend=None)
CUT = "length(datum.label) > 26 ? slice(datum.label, 0, 25) + '…' : datum.label"
TICKS = (
    "utchours(datum.value) + utcminutes(datum.value) ? utcFormat(datum.value, '%H:%M')"
    " : utcdate(datum.value) != 1 ? utcFormat(datum.value, '%-d %b')"
    " : utcmonth(datum.value) ? utcFormat(datum.value, '%b') : utcFormat(datum.value, '%Y')"
)

_MINUTES = dt.timedelta(minutes=10)  # below which an axis shows seconds
_SECONDS = f"utcseconds(datum.value) ? utcFormat(datum.value, '%H:%M:%S') : {TICKS}"
_LETTER = 5.9  # pixels of a letter of a subtitle, on average
_PERIODS, _LABELS = 16, 8  # that have a tick each, at most; labels of an axis
_TITLE = 84  # letters of a title
_LINE = 15  # pixels from one label to the next
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def titled(text: str, facts: Mapping[str, Any], *notes: str, width: float = WIDTH) -> alt.TitleParams:
    """Return the title of an analysis; below it what its numbers mean, in lines as wide as the chart, and notes."""
    told = [*textwrap.wrap(one_line(facts.get("definition", "")), int(width / _LETTER)), *filter(None, notes)]
    return alt.TitleParams(cut(text, _TITLE), subtitle=told, frame="bounds", offset=16)


def one_line(text: object) -> str:
    """Return a text without its line breaks."""
    return " ".join(str(text).split())


def cut(text: object, letters: int) -> str:
    r"""Return a text in one line of at most so many letters.

    Examples
    --------
    >>> cut("a funnel in two\nlines", 10)
    'a funnel …'
    """
    told = one_line(text)
    return told if len(told) <= letters else told[: letters - 1] + "…"


def name_of(value: object) -> str:
    r"""Return what stands for a value of the data: its text, ``NULL`` for none.

    Examples
    --------
    >>> name_of(None), name_of("a\nb"), name_of(2)
    ('NULL', 'a b', '2')
    """
    return "NULL" if value is None else one_line(value)


def lasting(seconds: float | None) -> str:
    """Return a duration in its two largest units.

    Examples
    --------
    >>> lasting(45), lasting(3_900), lasting(0.25), lasting(90_000)
    ('45 s', '1 h 5 m', '0.25 s', '1 d 1 h')
    """
    if seconds is None:
        return NONE
    if abs(seconds) < 1:
        return f"{seconds:.2g} s"
    rest, parts = round(seconds), []
    for size, unit in _UNITS:
        number, rest = divmod(rest, size)
        parts.append((number, unit))
    first = next(index for index, (number, _) in enumerate(parts) if number)
    return " ".join(f"{number:,} {unit}" for number, unit in parts[first : first + 2] if number)


def percent(share: float | None, *, decimals: int = 1) -> str:
    """Return a share as a percentage.

    Examples
    --------
    >>> percent(0.126), percent(0.5), percent(1), percent(0.0001), percent(0.002, decimals=0)
    ('12.6%', '50.0%', '100%', '<0.1%', '<1%')
    """
    if share is None:
        return NONE
    if share in (0, 1):
        return f"{100 * share:.0f}%"
    least = 10**-decimals
    return f"<{least:g}%" if 0 < 100 * share < least / 2 else f"{100 * share:.{decimals}f}%"


def line_ends(ends: list[dict[str, Any]], x: str, extent: tuple[float, float], *, height: float) -> list[alt.Chart]:
    """Return the names of lines at their ends, moved as little up and down as keeps them apart.

    Parameters
    ----------
    ends
        For each line its ``text``, its ``hue``, where it ends (``end``, and the field ``x``).
    extent, height
        The ends of the vertical axis, and its pixels.
    """
    if not ends:
        return []
    low, high = extent
    unit = (high - low) / height
    ends = sorted(ends, key=lambda row: (-row["end"], row["text"]))
    wanted = [(high - row["end"]) / unit for row in ends]
    middles = layouts.apart(wanted, [_LINE] * len(ends), high=height)
    placed = [{**row, "end": high - middle * unit} for row, middle in zip(ends, middles, strict=True)]
    base = alt.Chart(alt.InlineData(values=placed)).encode(x=x, y="end:Q", color=HUE, text="text:N")
    return [base.mark_text(align="left", dx=8, limit=140)]


def hues(counts: Mapping[str, int]) -> dict[str, str]:
    """Return a hue for each name: the most frequent have one of their own, the others share the grey."""
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: HUES[min(number, GREY)] for number, name in enumerate(ranked)}


def legend(names: Sequence[tuple[int, str]]) -> alt.Color:
    """Return the colours by hue with a legend of what they mean."""
    told = ", ".join(f"'{hue}': '{name}'" for hue, name in names)
    shown = alt.Legend(
        title=None,
        orient="top",
        values=[HUES[hue] for hue, _ in names],
        labelExpr=f"{{{told}}}[datum.label]",
        symbolType="square",
    )
    return alt.Color("hue:N", scale=alt.Scale(domain=HUES), legend=shown)


def bars(
    rows: Sequence[tuple[str, float]], *, title: alt.TitleParams, width: int, colors: Sequence[int] = ()
) -> alt.LayerChart:
    """Return horizontal bars in the order of their rows, each with its number at its end."""
    names, numbers = [name for name, _ in rows], [number for _, number in rows]
    hues = [HUES[number] for number in colors] or [HUES[0]] * len(rows)
    values = [{"what": name, "rows": number, "hue": hue} for (name, number), hue in zip(rows, hues, strict=True)]
    room = alt.Scale(domain=[min(0.0, *numbers, 0.0), (max(0.0, *numbers, 0.0) or 1) * 1.2])
    axis = alt.Axis(title=None, labelLimit=220, labelExpr=CUT)
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X("rows:Q", axis=None, scale=room),
        y=alt.Y("what:N", sort=names, axis=axis, scale=alt.Scale(padding=0.3)),
    )
    layers = [
        base.mark_bar(cornerRadiusEnd=3, opacity=0.88).encode(color=HUE),
        base.mark_text(align="left", dx=6).encode(text=alt.Text("rows:Q", format=number_format(pl.Series(numbers)))),
    ]
    return alt.LayerChart(layer=layers).properties(width=width, height=BAR * len(rows), title=title)


def span(instants: pl.Series) -> tuple[dt.datetime, dt.datetime]:
    """Return the first and the last of some times."""
    return cast("dt.datetime", instants.min()), cast("dt.datetime", instants.max())


def beyond(instants: pl.Series) -> dt.datetime:
    """Return a moment after the last one, so that there is room to show what holds since."""
    first, last = span(instants)
    return last + max((last - first) / 16, dt.timedelta(seconds=1))


def lane(column: str, order: Sequence[str]) -> alt.Y:
    """Return lanes with a line each."""
    axis = alt.Axis(title=None, grid=True, labelLimit=180, labelExpr=CUT)
    return alt.Y(f"{column}:N", sort=list(order), axis=axis)


def small(text: str) -> alt.TitleParams:
    """Return the title of a panel among others."""
    return alt.TitleParams(text, fontSize=12, offset=4)


def period_axis(column: str, starts: pl.Series) -> alt.X:
    """Return the time axis of periods: where they are few, each tick is the start of one."""
    days = starts.dt.replace_time_zone(None).unique().sort()
    if not 1 < len(days) <= _PERIODS or (days.dt.truncate("1d") != days).any():
        return time_axis(column, starts, grid=False)
    shown = days.gather_every(-(-len(days) // _LABELS))
    label = TICKS if (shown.dt.day() == 1).all() else "utcFormat(datum.value, '%-d %b')"
    axis = alt.Axis(title=None, values=shown.dt.epoch("ms").to_list(), labelExpr=label, grid=False)
    return alt.X(f"{column}:T", scale=alt.Scale(type="utc", nice=False, padding=8), axis=axis)


def time_axis(column: str, instants: pl.Series, *, labels: bool = True, grid: bool = True) -> alt.X:
    """Return the time axis; its labels say dates, hours or seconds as there is room for."""
    first, last = span(instants)
    axis = alt.Axis(
        title=None,
        labelExpr=_SECONDS if last - first < _MINUTES else TICKS,
        tickCount=8,
        labelOverlap="greedy",
        labels=labels,
        ticks=labels,
        grid=grid,
    )
    return alt.X(f"{column}:T", scale=alt.Scale(type="utc", nice=False, padding=8), axis=axis)


def clocks(frame: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Return times as wall clocks that Vega reads as they are, and the first one for a person as ``moment``."""
    clocks = [pl.col(name).dt.replace_time_zone(None) for name in columns]
    moment = clocks[0].dt.strftime("%a %-d %b %Y, %H:%M:%S").str.strip_suffix(":00").str.strip_suffix(", 00:00")
    return frame.with_columns(
        moment.alias("moment"),
        *(clock.dt.strftime(CLOCK).alias(name) for name, clock in zip(columns, clocks, strict=True)),
    )


def is_category(column: pl.Series) -> bool:
    """Tell whether a column has names for values."""
    return column.dtype in (pl.String, pl.Boolean) or isinstance(column.dtype, (pl.Categorical, pl.Enum))


def number_format(values: pl.Series) -> str:
    """Return how numbers are written: whole, or with the decimals that they need."""
    finite = values.drop_nulls()
    if finite.is_empty() or bool((finite == finite.round(0)).all()):
        return ",.0f"
    return ",.2f" if float(finite.abs().max() or 0) >= 1 else ",.3~r"  # type: ignore[arg-type]


def counted(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def drawing(rows: pl.DataFrame, number: int) -> alt.Chart:
    """Return a chart of rows in a colour of the theme, whichever that is: light or dark."""
    hue = pl.lit(HUES[number % len(HUES)]).alias("hue")
    return alt.Chart(alt.InlineData(values=rows.with_columns(hue).to_dicts())).encode(color=HUE)
