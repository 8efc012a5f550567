"""Variants: the sequences of events that cases go through, as rows of chevrons, and how many cases go each way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab.charts import marks
from eventlab.charts.canvases import Canvas, hinted, places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from eventlab.charts.canvases import Row
    from eventlab.charts.marks import AnyChart

_ROWS = 12  # variants that are drawn
_PER_LINE, _LINES = 6, 3  # events in a line, and lines of a variant
_LEFT, _BARS, _BAR = 178, 106, 58  # pixels before the chevrons, before the bars, and of the longest bar
_WIDE, _WIDEST, _MEDIAN, _LEAST = 474, 128, 84, 560  # pixels: all chevrons, one at most, the median's column, the chart
_HIGH, _TIP, _HEAD, _LINE, _SPACE = (
    20,
    7,
    26,
    23,
    9,
)  # pixels: a chevron and its tip, the head, a line, between variants
_HINTS = {"event": "event", "number": "as number", "cases": "cases", "share": "share", "lasted": "median time"}


@dataclass(frozen=True, slots=True)
class _Chevrons:
    """How the events of variants are laid out: ``columns`` to a line, so many pixels from one to the next."""

    columns: int

    @property
    def step(self) -> float:
        return min(_WIDE / self.columns, _WIDEST)

    @property
    def long(self) -> float:
        return self.step - 2

    @property
    def shape(self) -> str:
        """The outline of a chevron, whose width is 2."""
        flat, neck = _HIGH / self.long, 1 - 2 * _TIP / self.long
        return f"M-1,{-flat} L{neck},{-flat} L1,0 L{neck},{flat} L-1,{flat} L{-neck},0 Z"

    def place(self, variant: Sequence[object], y: float) -> tuple[list[Row], list[Row]]:
        """Return the places of a variant's events, as many as there is room for, and of what says how many more there are."""
        room = self.columns * _LINES
        events = [marks.name_of(event) for event in variant]
        drawn = events if len(events) <= room else events[: room - 1]
        spots = [
            places(x=_LEFT + self.step * (at % self.columns) + self.long / 2, y=y + _LINE * (at // self.columns))
            for at in range(len(drawn) + 1)
        ]
        chevrons = [
            {**spot, "text": event, "event": event, "number": number}
            for number, (spot, event) in enumerate(zip(spots, drawn, strict=False), 1)
        ]
        more = {**spots[-1], "x": spots[-1]["x"] - self.long / 2 + 10, "text": f"+{len(events) - len(drawn):,} more"}
        return chevrons, [more] if len(drawn) < len(events) else []


def variants(frame: pl.DataFrame, facts: Mapping[str, Any]) -> AnyChart:
    """Return the most frequent variants: a row each, a chevron an event, with the cases and their share before it."""
    shown = frame.sort("cases", descending=True, maintain_order=True).head(_ROWS).to_dicts()
    most = max(row["share"] or 0 for row in shown) or 1
    hues = _hues(shown)
    layout = _Chevrons(max(1, min(max(len(row["variant"]) for row in shown), _PER_LINE)))
    width = max(_LEFT + layout.step * layout.columns + _MEDIAN, _LEAST)
    columns = (("cases", 46.0), ("share", 98.0), ("lasted", width))
    bars: list[Row] = []
    numbers: list[Row] = []
    chevrons: list[Row] = []
    more: list[Row] = []
    top = float(_HEAD)
    for row in shown:
        told = {
            "cases": f"{row['cases']:,}",
            "share": marks.percent(row["share"]),
            "lasted": marks.lasting(row.get("median_seconds")),
        }
        long = max(_BAR * (row["share"] or 0) / most, 1)
        bar = places(x=_BARS, x2=_BARS + long, y=top + 3, y2=top + _HIGH - 3)
        bars.append({**bar, **told, "hue": marks.HUES[0], "opacity": 0.88})
        numbers += [{**places(x=edge, y=top + _HIGH / 2), "text": told[name]} for name, edge in columns]
        drawn, rest = layout.place(row["variant"], top + _HIGH / 2)
        chevrons += [{**place, **told, "hue": hues[str(place["event"])]} for place in drawn]
        more += rest
        top += _LINE * -(-max(len(drawn) + len(rest), 1) // layout.columns) + _SPACE
    canvas = Canvas(width, top - _SPACE)
    heads = [{**places(x=edge, y=8), "text": _HINTS[name]} for name, edge in columns]
    shapes = canvas.layer(chevrons).mark_point(shape=layout.shape, size=layout.long**2, filled=True, opacity=0.24)
    layers = [
        canvas.boxes(bars, tooltip={name: _HINTS[name] for name in ("cases", "share", "lasted")}, radius=2),
        hinted(shapes, _HINTS).encode(color=marks.HUE),
        canvas.texts(chevrons, align="center", limit=layout.long - 2 * _TIP - 4, tooltip=_HINTS, size=10.5),
        canvas.texts(heads, align="right", style="annotation-text"),
        canvas.texts(numbers, align="right"),
        canvas.texts(more, style="annotation-text"),
    ]
    title = marks.titled("Variants: the ways that cases go", facts, _told(frame, shown), width=width)
    return canvas.chart(layers, title)


def _hues(shown: Sequence[Row]) -> dict[str, str]:
    """Return a hue for each event: the most frequent have one of their own, the others share the grey."""
    counts: dict[str, int] = {}
    for row in shown:
        for event in map(marks.name_of, row["variant"]):
            counts[event] = counts.get(event, 0) + row["cases"]
    return marks.hues(counts)


def _told(frame: pl.DataFrame, shown: Sequence[Row]) -> str:
    """Return how much of all is drawn, where it is not all."""
    if frame.height == len(shown):
        return ""
    share = marks.percent(sum(row["share"] or 0 for row in shown))
    return f"The {len(shown)} most frequent of {frame.height:,} variants, {share} of the cases."
