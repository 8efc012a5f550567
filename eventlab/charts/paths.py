"""Paths: what actors do step by step, as bands between columns that are as wide as they are frequent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab.charts import marks
from eventlab.charts.canvases import Canvas, hinted, places

if TYPE_CHECKING:
    from collections.abc import Mapping

    import altair as alt
    import polars as pl

    from eventlab.charts.canvases import Row
    from eventlab.charts.marks import AnyChart

Node = tuple[int, str]  # of which column, and which event

_WIDTH, _HEIGHT, _HEAD, _LAST = 720, 400, 26, 112  # pixels; the last is for the names of the last column
_NODE, _GAP = 8, 15  # pixels: the width of a node, and between two, so that each has room for its name
_MOST = 8  # nodes of a column
_POINTS = 14  # of the edge of a band
_LETTER = 6.1  # pixels of a letter of a name
_BEGIN, _END, _OTHER = "begin", "end", "other"  # no event: those begin with a dot
_NAMES = {_BEGIN: "(start)", _END: "(end)", _OTHER: "(others)"}
_NODE_HINTS = {"event": "event", "actors": "actors", "share": "share"}
_BAND_HINTS = {"from": "from", "to": "to", "actors": "actors", "share": "share"}


@dataclass(frozen=True, slots=True)
class _Flow:
    """How many go from which node to which, and where the nodes are in pixels."""

    bands: dict[tuple[Node, Node], int]
    sizes: dict[Node, int]
    tops: dict[Node, float]
    scale: float
    hues: dict[str, str]

    @property
    def last(self) -> int:
        return max(step for step, _ in self.sizes)

    @property
    def apart(self) -> float:
        return (_WIDTH - _LAST - _NODE) / max(self.last, 1)

    @property
    def whole(self) -> int:
        return (
            max(sum(size for (step, _), size in self.sizes.items() if step == at) for at in range(self.last + 1)) or 1
        )


def paths(frame: pl.DataFrame, facts: Mapping[str, Any]) -> AnyChart:
    """Return the flow of actors from step to step: a column a step, a node an event, a band from one to the next.

    Of each step the largest nodes have their names; the others are one node together.
    """
    flow = _flow(frame)
    canvas = Canvas(_WIDTH, _HEAD + _HEIGHT)
    nodes: list[Row] = []
    names: list[Row] = []
    for (step, event), y in flow.tops.items():
        size = flow.sizes[step, event]
        x, high = step * flow.apart, max(size * flow.scale, 1.0)
        told = {"event": _name(event), "actors": f"{size:,}", "share": marks.percent(size / flow.whole)}
        place = places(x=x, x2=x + _NODE, y=y, y2=y + high)
        nodes.append({**place, **told, "hue": flow.hues[event], "opacity": 1})
        share = marks.percent(size / flow.whole, decimals=0)
        room = (flow.apart if step < flow.last else _LAST) - _NODE - 12
        text = f"{marks.cut(told['event'], max(int(room / _LETTER) - len(share) - 1, 3))} {share}"
        names.append({**places(x=x + _NODE + 5, y=y + high / 2), **told, "text": text})
    first = int(frame["step"].min() or 0)  # type: ignore[arg-type]
    heads = [{**places(x=step * flow.apart, y=8), "text": _head(first + step)} for step in range(flow.last + 1)]
    layers = [
        _bands(canvas, flow),
        canvas.boxes(nodes, tooltip=_NODE_HINTS, radius=1),
        canvas.texts(names, size=10.5, tooltip=_NODE_HINTS),
        canvas.texts(heads, style="annotation-text"),
    ]
    return canvas.chart(layers, marks.titled("What actors do, step by step", facts, width=_WIDTH))


def _flow(frame: pl.DataFrame) -> _Flow:
    """Return the flow of paths, of which each step has no more nodes than there is room for."""
    first = int(frame["step"].min() or 0)  # type: ignore[arg-type]
    bands: dict[tuple[Node, Node], int] = {}
    for row in frame.to_dicts():
        at = row["step"] - first
        bands[(at, _key(row["source"], _BEGIN)), (at + 1, _key(row["target"], _END))] = row["actors"]
    sizes = _sizes(bands)
    kept = set()
    for step in {step for step, _ in sizes}:
        column = [node for node in sizes if node[0] == step and node[1] not in _NAMES]
        ranked = sorted(column, key=lambda node: (-sizes[node], node))
        kept.update(ranked if len(ranked) <= _MOST else ranked[: _MOST - 1])
    merged: dict[tuple[Node, Node], int] = {}
    for ends, actors in bands.items():
        source, target = (node if node in kept or node[1] in _NAMES else (node[0], _OTHER) for node in ends)
        merged[source, target] = merged.get((source, target), 0) + actors
    sizes = _sizes(merged)
    columns: dict[int, list[Node]] = {}
    for node in sorted(sizes, key=lambda node: (node[1] in _NAMES, node[1] != _OTHER, -sizes[node], node)):
        columns.setdefault(node[0], []).append(node)
    most = max(sum(sizes[node] for node in column) for column in columns.values()) or 1
    scale = (_HEIGHT - _GAP * (max(map(len, columns.values())) - 1)) / most
    tops = {}
    for column in columns.values():
        y = float(_HEAD)
        for node in column:
            tops[node] = y
            y += max(sizes[node] * scale, 1.0) + _GAP
    return _Flow(merged, sizes, tops, scale, _hues(sizes))


def _key(event: object, none: str) -> str:
    """Return the key of an event, or that of none."""
    return none if event is None else f".{event}"


def _head(number: int) -> str:
    """Return the heading of a column: of a path from an event its number, on the way to one how many before it."""
    return f"event {number}" if number > 0 else f"{-number} before" if number else "then"


def _name(key: str) -> str:
    """Return what is written at a node."""
    return _NAMES.get(key) or marks.one_line(key[1:])


def _sizes(bands: Mapping[tuple[Node, Node], int]) -> dict[Node, int]:
    """Return how many come to each node, or leave it where those are more."""
    came: dict[Node, int] = {}
    left: dict[Node, int] = {}
    for (source, target), actors in bands.items():
        left[source] = left.get(source, 0) + actors
        came[target] = came.get(target, 0) + actors
    return {node: max(came.get(node, 0), left.get(node, 0)) for node in {**left, **came}}


def _hues(sizes: Mapping[Node, int]) -> dict[str, str]:
    """Return a hue for each event, the same in all columns."""
    counts: dict[str, int] = {}
    for (_, event), size in sizes.items():
        counts[event] = counts.get(event, 0) + size
    hues = marks.hues({event: count for event, count in counts.items() if event not in _NAMES})
    return {**hues, **dict.fromkeys(_NAMES, marks.HUES[marks.GREY])}


def _bands(canvas: Canvas, flow: _Flow) -> alt.Chart:
    """Return a band for each flow, in the order of the nodes at either end."""
    leave, come = dict(flow.tops), dict(flow.tops)
    rows: list[Row] = []
    placed = sorted(flow.bands, key=lambda ends: (ends[0][0], flow.tops[ends[0]], flow.tops[ends[1]]))
    begins = {}
    for ends in placed:
        begins[ends] = leave[ends[0]]
        leave[ends[0]] += flow.bands[ends] * flow.scale
    for ends in sorted(flow.bands, key=lambda ends: (ends[1][0], flow.tops[ends[1]], flow.tops[ends[0]])):
        (step, source), target = ends
        actors = flow.bands[ends]
        high = actors * flow.scale
        y, y2 = begins[ends], come[target]
        come[target] += high
        told = {
            "from": _name(source),
            "to": _name(target[1]),
            "actors": f"{actors:,}",
            "share": marks.percent(actors / flow.whole),
            "hue": flow.hues[source],
            "band": len(rows),
        }
        left, wide = step * flow.apart + _NODE, flow.apart - _NODE
        for part in range(_POINTS + 1):
            t = part / _POINTS
            upper = y + (y2 - y) * t * t * (3 - 2 * t)
            rows.append({**told, **places(x=left + wide * t, y=upper, y2=upper + high)})
    areas = canvas.layer(rows).mark_area(orient="vertical", opacity=0.24, interpolate="monotone")
    return hinted(areas, _BAND_HINTS).encode(y2="y2:Q", detail="band:N", color=marks.HUE)
