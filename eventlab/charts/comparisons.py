"""Comparisons of two results or two segments: differences with their intervals, around zero."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from eventlab.charts import marks
from eventlab.charts.canvases import Canvas, places
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    import altair as alt

    from eventlab.charts.canvases import Row
    from eventlab.charts.marks import AnyChart

_LEFT, _PLOT = 172, 250  # pixels of the cells' names, and of the differences
_COLUMNS = (("a", 64), ("b", 124), ("difference", 196), ("interval", 302))  # right edges, after the differences
_WIDTH = _LEFT + _PLOT + _COLUMNS[-1][1]
_HEAD, _ROW, _FOOT = 26, 28, 24  # pixels
_TICKS = 5
_POINTS = " pp"
_WHOLE = 1_000  # from which on a number has no decimals
_HINTS = {"cell": "of", "a": "a", "b": "b", "difference": "difference", "interval": "interval"}


def comparison(frame: pl.DataFrame, facts: Mapping[str, Any]) -> AnyChart:
    """Return a row a cell: its difference as a dot, the interval as a line; grey where that includes zero."""
    compared = frame.filter(pl.col("difference").is_not_null())
    if compared.is_empty():
        raise InvalidArgument("there is nothing to chart: no cell has a difference")
    rows = compared.with_columns(pl.col("a", "b", "difference", "low", "high").cast(pl.Float64)).to_dicts()
    shares = all(0 <= row[name] <= 1 for row in rows for name in ("a", "b") if row[name] is not None)
    ends = [row[name] for row in rows for name in ("difference", "low", "high") if _is_number(row[name])]
    ticks = _ticks(min([*ends, 0.0]), max([*ends, 0.0]))
    unit = _PLOT / (ticks[-1] - ticks[0])
    bottom = _HEAD + _ROW * len(rows)
    canvas = Canvas(_WIDTH, bottom + _FOOT)

    def across(value: float) -> float:
        return _LEFT + (value - ticks[0]) * unit

    dots: list[Row] = []
    spans: list[Row] = []
    told: list[Row] = []
    names: list[Row] = []
    for number, row in enumerate(rows):
        y = _HEAD + _ROW * (number + 0.5)
        said = _said(row, shares=shares)
        hue = marks.HUES[0 if _is_clear(row) else marks.GREY]
        names.append({**places(x=0, y=y), **said, "text": said["cell"]})
        told += [{**places(x=_LEFT + _PLOT + edge, y=y), **said, "text": said[name]} for name, edge in _COLUMNS]
        if _is_number(row["low"]) and _is_number(row["high"]):
            span = places(x=across(row["low"]), x2=max(across(row["high"]), across(row["low"]) + 1), y=y - 2, y2=y + 2)
            spans.append({**span, **said, "hue": hue, "opacity": 0.45})
        if _is_number(row["difference"]):
            dots.append({**places(x=across(row["difference"]), y=y), **said, "hue": hue})
    layers = [
        *_axis(
            canvas,
            [(across(tick), _value(tick, shares=shares, signed=True).replace(".0", "")) for tick in ticks],
            across(0.0),
            bottom,
        ),
        canvas.boxes(spans, tooltip=_HINTS, radius=2),
        canvas.layer(dots).mark_point(filled=True, size=80, opacity=1).encode(color=marks.HUE),
        canvas.texts(names, limit=_LEFT - 16, tooltip=_HINTS),
        canvas.texts(told, align="right", tooltip=_HINTS),
        canvas.texts(
            [{**places(x=_LEFT + _PLOT + edge, y=8), "text": name} for name, edge in _COLUMNS],
            align="right",
            style="annotation-text",
        ),
    ]
    grey = "" if all(map(_is_clear, rows)) else "Grey: the interval includes zero."
    rest = frame.height - len(rows)
    out = f"{marks.counted(rest, 'cell')} without a difference left out." if rest else ""
    of = f" of the {str(facts['of']).replace('_', ' ')}" if facts.get("of") else ""
    return canvas.chart(layers, marks.titled(f"Differences{of}: a minus b", facts, grey, out, width=_WIDTH))


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _is_clear(row: Row) -> bool:
    """Tell whether the interval of a difference leaves zero out."""
    low, high = row["low"], row["high"]
    return _is_number(low) and _is_number(high) and (low > 0 or high < 0)


def _said(row: Row, *, shares: bool) -> Row:
    """Return a row's numbers as text."""
    low, high = (_value(row[name], shares=shares, signed=True) for name in ("low", "high"))
    return {
        "cell": _cell(row["cell"]),
        "a": _value(row["a"], shares=shares),
        "b": _value(row["b"], shares=shares),
        "difference": _value(row["difference"], shares=shares, signed=True),
        "interval": f"{low.removesuffix(_POINTS)} … {high}",
    }


def _cell(cell: object) -> str:
    """Return the name of a cell; one of several parts is said with their names."""
    if isinstance(cell, dict):
        return ", ".join(f"{name} {marks.name_of(value)}" for name, value in cell.items())
    return marks.name_of(cell)


def _value(value: float | None, *, shares: bool, signed: bool = False) -> str:
    """Return a value as text: a share in percent, the difference of two in percentage points."""
    if value is None or not math.isfinite(value):
        return marks.NONE
    sign = "+" if signed and value > 0 else ""
    told = f"{value:,.0f}" if abs(value) >= _WHOLE else f"{value:,.3g}"
    if shares:
        told = f"{100 * value:.1f}{_POINTS}" if signed else marks.percent(value)
    return sign + told.replace("-", "\N{MINUS SIGN}")


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers, the first at most ``low``, the last at least ``high``.

    Examples
    --------
    >>> _ticks(-0.7, 2.1)
    [-1.0, 0.0, 1.0, 2.0, 3.0]
    """
    wide = (high - low) or 1.0
    ten = 10 ** math.floor(math.log10(wide / _TICKS))
    step = next(ten * size for size in (1, 2, 5, 10) if wide / (ten * size) <= _TICKS)
    return [number * step for number in range(math.floor(low / step), math.ceil(high / step) + (low == high) + 1)]


def _axis(canvas: Canvas, ticks: list[tuple[float, str]], zero: float, bottom: float) -> list[alt.Chart]:
    """Return the axis of the differences: a line at zero, faint ones elsewhere, and their labels below."""
    lines = [{**places(x=x, y=_HEAD, y2=bottom)} for x, _ in ticks]
    labels = [{**places(x=x, y=bottom + 14), "text": text} for x, text in ticks]
    return [
        canvas.layer(lines).mark_rule(style="grid-line").encode(y2="y2:Q"),
        canvas.layer([places(x=zero, y=_HEAD, y2=bottom)]).mark_rule(style="zero-line").encode(y2="y2:Q"),
        canvas.texts(labels, align="center", style="annotation-text"),
    ]
