"""Retention: a heat map of cohorts by the periods since they began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import altair as alt
import polars as pl

from eventlab.charts import marks
from eventlab.charts.canvases import Canvas, places
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from eventlab.charts.canvases import Row
    from eventlab.charts.marks import AnyChart

_LABELS = 150  # pixels of the cohorts and their sizes
_CELLS = 560  # pixels of the cells
_HEAD, _GAP, _KEY = 40, 8, 30  # pixels above the mean, below it, and for the key
_WIDEST, _NARROWEST, _SIGNED, _ROUGH = (
    64,
    22,
    30,
    44,
)  # pixels of a cell: the most, and that hold a number, its sign, a decimal
_LOWEST = 18  # pixels of a row that holds text
_HEIGHTS = ((24, 27), (60, 20), (10_000, 12))  # pixels of a row, for up to so many cohorts
_DARKEST = 0.6  # at which text on it can be read, in both modes
_HINTS = {
    "cohort": "cohort",
    "size": "its size",
    "after": "after",
    "eligible": "whose period is over",
    "returned": "of these returned",
    "rate": "rate",
}


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where the cells are, in pixels: a row a cohort, after one for the mean; a column an offset."""

    period: str
    cohorts: Sequence[dt.datetime | dt.date]
    offsets: Mapping[int, str]
    highest: float

    @property
    def wide(self) -> float:
        return min(_WIDEST, _CELLS / len(self.offsets))

    @property
    def high(self) -> int:
        return next(high for most, high in _HEIGHTS if len(self.cohorts) <= most)

    @property
    def width(self) -> float:
        return max(_LABELS + self.wide * len(self.offsets), 420)

    def top(self, cohort: dt.datetime | dt.date | None) -> float:
        """Return where the row of a cohort begins; of the mean for None."""
        return _HEAD if cohort is None else _HEAD + _GAP + self.high * (1 + self.cohorts.index(cohort))

    def left(self, offset: int) -> float:
        """Return where the column of an offset begins."""
        return _LABELS + self.wide * list(self.offsets).index(offset)

    def cell(self, row: Row) -> Row:
        """Return the box of a number, with what is told of it."""
        x, y, rate = self.left(row["offset"]), self.top(row["cohort"]), row["rate"]
        return {
            **places(x=x + 1, x2=x + self.wide - 1, y=y + 1, y2=y + self.high - 1),
            "hue": marks.HUES[0],
            "opacity": round(0.04 + (_DARKEST - 0.04) * (rate or 0) / self.highest, 3),
            "text": self._rate(rate),
            "cohort": "all" if row["cohort"] is None else _day(row["cohort"], self.period),
            "after": _after(self.offsets[row["offset"]], self.period),
            **{name: f"{row[name]:,}" for name in ("size", "eligible", "returned")},
            "rate": marks.percent(rate),
            "open": row["eligible"] < row["size"],
        }

    def _rate(self, rate: float | None) -> str:
        """Return a rate as there is room for it."""
        if self.wide >= _ROUGH:
            return marks.percent(rate)
        return marks.percent(rate, decimals=0).removesuffix("%" if self.wide < _SIGNED else "")


def retention(frame: pl.DataFrame, facts: Mapping[str, Any]) -> AnyChart:
    """Return a heat map: a row a cohort, a column a period since its start, above all the mean weighted by size.

    A dashed edge says that a rate is of a part of its cohort: of those whose period is over. Where it is over for
    nobody there is no cell.
    """
    period = str(facts.get("period", "period"))
    cohorts = frame.group_by("cohort").agg(pl.col("size").max()).sort("cohort")
    seen = frame.filter(pl.col("eligible") > 0)
    if seen.is_empty():
        raise InvalidArgument("there is nothing to chart: no window is over yet", hint="Take a shorter period.")
    rates = seen["rate"].drop_nulls()
    grid = _Grid(period, cohorts["cohort"].to_list(), _offsets(seen), float(rates.max() or 1))  # type: ignore[arg-type]
    cells = [grid.cell(row) for row in seen.to_dicts()]
    means = [grid.cell({**row, "cohort": None}) for row in _means(seen).to_dicts()]
    opened = [row for row in cells if row["open"]]
    bottom = _HEAD + _GAP + grid.high * (1 + len(grid.cohorts))
    canvas = Canvas(grid.width, bottom + _KEY * bool(opened))
    layers = [
        canvas.boxes([*means, *cells], tooltip=_HINTS, radius=2),
        canvas.frames([_inner(row) for row in opened], radius=2, dashed=True),
    ]
    if grid.wide >= _NARROWEST and grid.high >= _LOWEST:
        size = 11.5 if grid.wide >= _ROUGH else 10.5
        layers += [
            canvas.texts([_centre(row) for row in rows], align="center", tooltip=_HINTS, size=size, weight=weight)
            for rows, weight in ((means, 600), (cells, 400))
        ]
    layers += [*_rows(canvas, grid, cohorts), *_columns(canvas, grid)]
    layers += _key(canvas, bottom + _KEY - 10) if opened else []
    return canvas.chart(layers, marks.titled(f"{_what(facts)}, by {period}", facts, width=canvas.width))


def mean(frame: pl.DataFrame, facts: Mapping[str, Any]) -> alt.LayerChart:
    """Return the retention of all cohorts together, as a bar an offset with its rate above it."""
    period, names = str(facts.get("period", "period")), _offsets(frame)
    wide = marks.WIDTH / len(names)
    rows = [
        {
            "offset": names[row["offset"]],
            "after": _after(names[row["offset"]], period),
            "rate": row["rate"],
            "told": marks.percent(row["rate"], decimals=1 if wide >= _ROUGH else 0),
            "counted": f"{row['returned']:,} of {row['eligible']:,}",
            "hue": marks.HUES[0],
        }
        for row in frame.sort("offset").filter(pl.col("eligible") > 0).to_dicts()
    ]
    axis = alt.Axis(title=f"{period}s since the start", labelAngle=0, labelOverlap="greedy")
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("offset:N", sort=list(names.values()), axis=axis, scale=alt.Scale(paddingInner=0.18, paddingOuter=0.1)),
        y=alt.Y("rate:Q", axis=alt.Axis(title=None, tickCount=5, format="~%"), scale=alt.Scale(nice=True)),
    )
    tooltip = [alt.Tooltip(f"{name}:N", title=name) for name in ("after", "counted", "told")]
    layers = [base.mark_bar(cornerRadiusEnd=3, opacity=0.88).encode(color=marks.HUE, tooltip=tooltip)]
    if wide >= _NARROWEST:
        layers.append(base.mark_text(style="annotation-text", baseline="bottom", dy=-4).encode(text="told:N"))
    title = marks.titled(f"{_what(facts)}, all cohorts", facts)
    return alt.LayerChart(layer=layers).properties(width=marks.WIDTH, height=220, title=title)


def _what(facts: Mapping[str, Any]) -> str:
    """Return what is asked of whom."""
    start, returning = (facts.get(name) for name in ("start", "returning"))
    if not start:
        return "Retention"
    return f"Retention: {_events(returning) if returning else 'any event'} after {_events(start)}"


def _events(names: object) -> str:
    """Return the names of events, which are one or several."""
    return marks.cut(names if isinstance(names, str) else " or ".join(map(str, cast("Sequence[str]", names))), 30)


def _offsets(frame: pl.DataFrame) -> dict[int, str]:
    """Return the name of each offset: its number, or its first and last where it is a bracket of several."""
    through = pl.col("through" if "through" in frame.columns else "offset").alias("last")
    pairs = frame.select(pl.col("offset").alias("first"), through).unique().sort("first").rows()
    return {first: str(first) if first == last else f"{first}\N{EN DASH}{last}" for first, last in pairs}


def _after(offset: str, period: str) -> str:
    """Return an offset with its period."""
    return f"{offset} {period}{'s' * (offset != '1')}"


def _means(seen: pl.DataFrame) -> pl.DataFrame:
    """Return of each offset the actors of all cohorts, and the share of the eligible ones that returned."""
    sums = seen.group_by("offset").agg(pl.col("size", "eligible", "returned").sum()).sort("offset")
    return sums.with_columns((pl.col("returned") / pl.col("eligible")).alias("rate"))


def _rows(canvas: Canvas, grid: _Grid, cohorts: pl.DataFrame) -> list[alt.Chart]:
    """Return the labels of the rows: cohorts and their sizes."""
    step = 1 if grid.high >= _LOWEST else 2
    names, sizes = [], []
    for cohort, size in cohorts.rows()[::step]:
        y = grid.top(cohort) + grid.high / 2
        names.append({**places(x=0, y=y), "text": _day(cohort, grid.period)})
        sizes.append({**places(x=_LABELS - 12, y=y), "text": f"{size:,}"})
    y = grid.top(None) + grid.high / 2
    mean = [{**places(x=0, y=y), "text": "weighted mean"}]
    whole = [{**places(x=_LABELS - 12, y=y), "text": f"{int(cohorts['size'].sum()):,}"}]
    return [
        canvas.texts(names),
        canvas.texts(sizes, align="right", style="annotation-text"),
        canvas.texts(mean, weight=600),
        canvas.texts(whole, align="right", style="annotation-text"),
    ]


def _columns(canvas: Canvas, grid: _Grid) -> list[alt.Chart]:
    """Return the headings of the columns."""
    step = 1 if grid.wide >= _NARROWEST else 2
    told = [
        {**places(x=grid.left(offset) + grid.wide / 2, y=_HEAD - 9), "text": text}
        for offset, text in list(grid.offsets.items())[::step]
    ]
    heads = [
        {**places(x=0, y=_HEAD - 9), "text": "cohort"},
        {**places(x=_LABELS + 1, y=8), "text": f"{grid.period}s since the start"},
    ]
    size = [{**places(x=_LABELS - 12, y=_HEAD - 9), "text": "actors"}]
    return [
        canvas.texts(told, align="center", style="annotation-text"),
        canvas.texts(heads, style="annotation-text"),
        canvas.texts(size, align="right", style="annotation-text"),
    ]


def _key(canvas: Canvas, y: float) -> list[alt.Chart]:
    """Return what a dashed edge means."""
    box = {**places(x=_LABELS + 1, x2=_LABELS + 13, y=y - 6, y2=y + 6), "hue": marks.HUES[0]}
    text = {**places(x=_LABELS + 21, y=y), "text": "of those whose period is over, not yet the whole cohort"}
    return [
        canvas.frames([box], radius=2, dashed=True),
        canvas.texts([text], style="annotation-text"),
    ]


def _inner(row: Row) -> Row:
    """Return the box half a pixel further in, so that its edge is within it."""
    return {**row, **places(x=row["x"] + 0.6, x2=row["x2"] - 0.6, y=row["y"] + 0.6, y2=row["y2"] - 0.6)}


def _centre(row: Row) -> Row:
    """Return a row at the middle of its box."""
    return {**row, **places(x=(row["x"] + row["x2"]) / 2, y=(row["y"] + row["y2"]) / 2)}


def _day(cohort: dt.datetime | dt.date, period: str) -> str:
    """Return the first day of a cohort; its month where cohorts are months."""
    return f"{cohort:%b %Y}" if period == "month" else f"{cohort.day} {cohort:%b %Y}"
