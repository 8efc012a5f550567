"""Funnels: bars with their drop-off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlab.charts import marks
from eventlab.charts.canvases import Canvas, places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import altair as alt
    import polars as pl

    from eventlab.charts.canvases import Row
    from eventlab.charts.marks import AnyChart

_NAMES, _BARS = 160, 300  # pixels of the names of steps, and of the longest bar
_COLUMNS = (("reached", 66), ("of previous", 144), ("of all", 200), ("median time", 288))  # right edges, after the bars
_WIDTH = _NAMES + _BARS + _COLUMNS[-1][1]
_HEAD, _STEP, _LINE, _THICK = 42, 38, 25, 20  # pixels: the head, a step, one of its several bars, a bar
_PARTS = (("reached", 0.88), ("pending", 0.0), ("dropped", 0.22))  # and how solid they are
_TOLD = {
    "step": "step",
    "value": "of",
    "entered": "came to it",
    "reached": "reached it",
    "dropped": "did not",
    "pending": "window still open",
    "converted_early": "reached it, window still open",
    "of previous": "of previous, window over",
    "of all": "of all, window over",
    "median time": "median time from the step before",
}


def funnel(frame: pl.DataFrame, facts: Mapping[str, Any]) -> AnyChart:
    """Return a funnel: a bar a step, of those who came to it, split into who reached it, who may yet and who did not.

    With a breakdown there is a bar for each of its values at each step, and bars are shares of the entries of a value.
    """
    parted = "breakdown" in frame.columns
    rows = frame.sort("step", maintain_order=True).to_dicts()
    steps = list(dict.fromkeys((row["step"], marks.name_of(row["event"])) for row in rows))
    values = list(dict.fromkeys(row.get("breakdown") for row in rows))
    entries = {value: max(row["entered"] or 0 for row in rows if row.get("breakdown") == value) for value in values}
    whole = max(entries.values())
    block = _LINE * len(values) + 30 if parted else _STEP
    canvas = Canvas(_WIDTH, _HEAD + block * len(steps) - (_STEP - _THICK if not parted else 10))
    placed = []
    for row in rows:
        line = values.index(row.get("breakdown"))
        y = _HEAD + block * [step for step, _ in steps].index(row["step"]) + (_LINE * (line + 1) if parted else 0)
        of = entries[values[line]] if parted else whole
        placed.append(
            {**_cells(row, parted=parted), "y": y, "scale": _BARS / (of or 1), "hue": marks.HUES[line % marks.GREY]}
        )
    tops = [(_HEAD + block * number + _THICK / 2, f"{step}  {name}") for number, (step, name) in enumerate(steps)]
    heads = [{**places(x=0, y=y), "text": text} for y, text in tops]
    layers = [
        *_bars(canvas, placed, hints={name: title for name, title in _TOLD.items() if parted or name != "value"}),
        canvas.texts(heads, limit=_WIDTH if parted else _NAMES - 14, weight=600),
        *_columns(canvas, placed, parted=parted),
    ]
    first, last = steps[0][1], steps[-1][1]
    title = f"Funnel from {marks.cut(first, 36)} to {marks.cut(last, 36)}"
    return canvas.chart(layers, marks.titled(title, facts, width=_WIDTH))


def _cells(row: Row, *, parted: bool) -> Row:
    """Return the numbers of a row as numbers, for its bar, and as text."""
    counts = ("entered", "reached", "dropped", "pending", "converted_early")
    return {
        **{f"n_{name}": row.get(name) or 0 for name in counts},
        **{name: f"{row.get(name) or 0:,}" for name in counts},
        "step": f"{row['step']} {marks.name_of(row['event'])}",
        "value": marks.name_of(row["breakdown"]) if parted else "",
        "of previous": marks.percent(row.get("rate")),
        "of all": marks.percent(row.get("rate_total")),
        "median time": marks.lasting(row.get("median_seconds")),
    }


def _bars(canvas: Canvas, placed: Sequence[Row], *, hints: Mapping[str, str]) -> list[alt.Chart]:
    """Return the bars in their parts, dashed where a window is still open, and what the parts mean above them."""
    bars: list[Row] = []
    opened: list[Row] = []
    for row in placed:
        x = float(_NAMES)
        for part, opacity in _PARTS:
            length = row[f"n_{part}"] * row["scale"]
            if not length:
                continue
            place = places(x=x, x2=x + length, y=row["y"], y2=row["y"] + _THICK)
            told = {name: row[name] for name in hints}
            (opened if part == "pending" else bars).append({**told, **place, "hue": row["hue"], "opacity": opacity})
            x += length
    keys = [("reached", 0.88), ("window still open", 0.0), ("dropped", 0.22)] if opened else [_PARTS[0], _PARTS[2]]
    edge, texts = float(_NAMES), []
    for name, opacity in keys:
        key = {**places(x=edge, x2=edge + 10, y=6, y2=16), "hue": "0", "opacity": opacity, **dict.fromkeys(hints, "")}
        (bars if opacity else opened).append(key)
        texts.append({**places(x=edge + 16, y=11), "text": name})
        edge += 36 + 5.5 * len(name)
    inner = [
        {**row, **places(x=row["x"] + 1, x2=max(row["x2"] - 1, row["x"] + 1), y=row["y"] + 1, y2=row["y2"] - 1)}
        for row in opened
    ]
    return [
        canvas.boxes(bars, tooltip=hints, radius=2),
        canvas.boxes(opened, tooltip=hints, radius=2),
        canvas.frames(inner, radius=2, dashed=True, width=1.4),
        canvas.texts(texts, style="annotation-text"),
    ]


def _columns(canvas: Canvas, placed: Sequence[Row], *, parted: bool) -> list[alt.Chart]:
    """Return the numbers beside the bars, with their headings, and the values of a breakdown before them."""
    left = _NAMES + _BARS
    heads = [{**places(x=left + edge, y=11), "text": name} for name, edge in _COLUMNS]
    numbers = [
        {**places(x=left + edge, y=row["y"] + _THICK / 2), "text": row[name]}
        for row in placed
        for name, edge in _COLUMNS
    ]
    values = [{**places(x=_NAMES - 12, y=row["y"] + _THICK / 2), "text": row["value"]} for row in placed]
    told = [canvas.texts(values, align="right", limit=_NAMES - 30)] if parted else []
    return [
        canvas.texts(heads, align="right", style="annotation-text"),
        canvas.texts(numbers, align="right"),
        *told,
    ]
