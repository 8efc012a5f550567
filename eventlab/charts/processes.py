"""Processes: what follows what as a map of nodes and edges, and the variants as rows of chevrons."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import altair as alt

from eventlab.charts import layouts, marks
from eventlab.charts.canvases import Canvas, hinted, places

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from eventlab.charts.canvases import Row
    from eventlab.charts.layouts import Edge, Layout, Point
    from eventlab.charts.marks import AnyChart

_WIDTH = 720
_NODES, _EDGES, _PER_NODE = 20, 30, 3  # that are drawn at most, apart from the edges that keep a node on the map
_LETTER, _SMALL = 6.9, 5.9  # pixels of a letter of a node's name, and of small text
_NAME = 20  # letters of a node's name
_THINNEST, _THICKEST = 1.0, 7.0  # pixels of an edge
_CURVE = 14  # points of an edge between two layers
_BETWEEN = 58  # pixels between two layers
_LOOP = 18  # pixels that an edge from a node to itself stands out
_ROW = 13  # pixels of a line of small text
_TRIES = (
    0.5,
    0.42,
    0.58,
    0.34,
    0.66,
    0.26,
    0.74,
    0.18,
    0.82,
    0.1,
    0.9,
)  # of the way between two layers: where a label may stand
_BEGIN, _END = "begin", "end"  # no event's node: those begin with a dot
_HINTS = {
    "from": "from",
    "to": "to",
    "count": "times",
    "cases": "cases",
    "share": "share",
    "median": "median",
    "p95": "95% within",
}


def process_map(frame: pl.DataFrame, facts: Mapping[str, Any]) -> AnyChart:
    """Return a map of what directly follows what: nodes are event types, edges as wide as they are frequent.

    Of a large map the most frequent part is drawn, with at least the strongest way to and from each node; how much of
    all that is stands below the title.
    """
    rows = {(_node(row["source"], _BEGIN), _node(row["target"], _END)): row for row in frame.to_dicts()}
    counts = _counts(rows)
    kept = sorted(counts, key=lambda node: (-counts[node], node))[:_NODES]
    drawn = _strongest(rows, kept)
    boxes = {node: _box(node, counts, drawn) for node in sorted(kept, key=lambda node: (-counts[node], node))}
    edges = {edge: float(row["count"]) for edge, row in drawn.items()}
    found = layouts.layout(boxes, edges, width=_WIDTH, between=_BETWEEN)
    canvas = Canvas(_WIDTH, found.height + 4)
    layers = [
        *_edges(canvas, boxes, drawn, found),
        *_nodes(canvas, boxes, counts, drawn, found),
        *_labels(canvas, boxes, drawn, found),
    ]
    whole, part = (sum(row["count"] for row in some.values()) for some in (rows, drawn))
    note = f"Drawn are {len(drawn):,} of {len(rows):,} transitions: {marks.percent(part / (whole or 1))} of all that happened."
    back = "; blue runs down, amber back up" if any(_is_back(edge, found) for edge in drawn) else ""
    notes = ("" if len(drawn) == len(rows) else note, f"At each edge: how often, and the median time{back}.")
    title = f"What directly follows what: {marks.counted(sum(not _is_end(node) for node in kept), 'event type')}"
    return canvas.chart(layers, marks.titled(title, facts, *notes, width=_WIDTH))


def _node(name: object, none: str) -> str:
    """Return the key of a node."""
    return none if name is None else f".{name}"


def _is_end(node: str) -> bool:
    return node in (_BEGIN, _END)


def _name(node: str) -> str:
    """Return what is written on a node."""
    return {_BEGIN: "start", _END: "end"}.get(node) or marks.cut(node[1:], _NAME)


def _counts(rows: Mapping[Edge, Row]) -> dict[str, int]:
    """Return how often each node was come to, or left where that is more."""
    came: dict[str, int] = {}
    left: dict[str, int] = {}
    for (source, target), row in rows.items():
        left[source] = left.get(source, 0) + row["count"]
        came[target] = came.get(target, 0) + row["count"]
    return {node: max(came.get(node, 0), left.get(node, 0)) for node in {**left, **came}}


def _strongest(rows: Mapping[Edge, Row], kept: Sequence[str]) -> dict[Edge, Row]:
    """Return the edges to draw: the most frequent, and of each node the strongest to it and from it."""
    ranked = sorted((edge for edge in rows if set(edge) <= set(kept)), key=lambda edge: (-rows[edge]["count"], edge))
    chosen = set(ranked[: min(_EDGES, _PER_NODE * len(kept))])
    apart = [edge for edge in ranked if edge[0] != edge[1]]
    for node in kept:
        for end in (0, 1):
            chosen.update(list(itertools.islice((edge for edge in apart if edge[end] == node), 1)))
    return {edge: rows[edge] for edge in ranked if edge in chosen}


def _box(node: str, counts: Mapping[str, int], drawn: Mapping[Edge, Row]) -> layouts.Box:
    """Return how large a node is: the more, the higher."""
    lines = [len(_name(node)) * _LETTER, len(f"{counts[node]:,}") * _SMALL]
    loop = drawn.get((node, node))
    if loop:
        lines.append((len(_spoken(loop)) + 6) * _SMALL)
    if _is_end(node):
        return layouts.Box(64, 24)
    share = (counts[node] / max(counts.values())) ** 0.5
    return layouts.Box(max(lines) + 20, 36 + _ROW * bool(loop) + 16 * share, _LOOP if loop else 0)


def _spoken(row: Row) -> str:
    """Return what is written at an edge: how often, and its median time if it has one."""
    median = row.get("median_seconds")
    return f"{row['count']:,}" if median is None else f"{row['count']:,} · {marks.lasting(median)}"


def _hints(edge: Edge, row: Row) -> Row:
    """Return what is told of an edge."""
    return {
        "from": _name(edge[0]),
        "to": _name(edge[1]),
        "count": f"{row['count']:,}",
        "cases": f"{row['cases']:,}" if row.get("cases") is not None else marks.NONE,
        "share": marks.percent(row.get("share")),
        "median": marks.lasting(row.get("median_seconds")),
        "p95": marks.lasting(row.get("p95_seconds")),
    }


def _is_back(edge: Edge, found: Layout) -> bool:
    """Tell whether an edge runs up."""
    return edge[0] != edge[1] and found.places[edge[1]][1] < found.places[edge[0]][1]


def _way(points: Sequence[Point]) -> list[Point]:
    """Return the points of a curve through points, which it passes straight up or down."""
    curve = [points[0]]
    for (x, y), (x2, y2) in itertools.pairwise(points):
        parts = range(1, _CURVE + 1) if abs(x2 - x) > 1 else [_CURVE]
        for part in parts:
            t = part / _CURVE
            curve.append((x + (x2 - x) * t * t * (3 - 2 * t), y + (y2 - y) * t))
    return curve


def _loop(x: float, y: float) -> list[Point]:
    """Return the points of an edge from a node back to itself, whose right edge is at ``x``."""
    parts = [part / 14 for part in range(15)]
    return [(x + _LOOP * 4 * t * (1 - t), y - 9 + 18 * t * t * (3 - 2 * t)) for t in parts]


def _edges(
    canvas: Canvas, boxes: Mapping[str, layouts.Box], drawn: Mapping[Edge, Row], found: Layout
) -> list[alt.Chart]:
    """Return the edges with their arrowheads."""
    most = max((row["count"] for row in drawn.values()), default=1)
    lines: list[Row] = []
    heads: list[Row] = []
    for number, (edge, row) in enumerate(drawn.items()):
        share = (row["count"] / most) ** 0.5
        wide = round(_THINNEST + (_THICKEST - _THINNEST) * share, 2)
        looks = {"wide": wide, "hue": marks.HUES[_is_back(edge, found)], "opacity": round(0.4 + 0.35 * share, 2)}
        told = {**_hints(edge, row), **looks, "edge": number}
        if edge[0] == edge[1]:
            (x, y), box = found.places[edge[0]], boxes[edge[0]]
            points, angle, reach = _loop(x + box.width / 2, y), 270, (1.0, 0.0)
        else:
            points = _way(found.ways[edge])
            angle, reach = (0, (0.0, 1.0)) if points[-1][1] < points[0][1] else (180, (0.0, -1.0))
        (x, y), (right, down) = points[-1], reach
        size = 5 + wide * 1.3
        points[-1] = (x + right * size / 2, y + down * size / 2)  # the head covers the end of the line
        lines += [{**told, **places(x=x, y=y), "at": at} for at, (x, y) in enumerate(points)]
        heads.append({**told, **places(x=points[-1][0], y=points[-1][1]), "angle": angle, "size": round(size**2)})
    opacity = alt.Opacity("opacity:Q", scale=None, legend=None)
    wide = alt.StrokeWidth("wide:Q", scale=None, legend=None)
    shafts = canvas.layer(lines).mark_line(strokeCap="butt")
    tips = canvas.layer(heads).mark_point(shape="triangle-up", filled=True)
    return [
        hinted(shafts, _HINTS).encode(
            detail="edge:N", order="at:Q", color=marks.HUE, strokeWidth=wide, opacity=opacity
        ),
        hinted(tips, _HINTS).encode(
            color=marks.HUE,
            angle=alt.Angle("angle:Q", scale=None, legend=None),
            size=alt.Size("size:Q", scale=None, legend=None),
            opacity=alt.value(1),
        ),
    ]


def _nodes(
    canvas: Canvas,
    boxes: Mapping[str, layouts.Box],
    counts: Mapping[str, int],
    drawn: Mapping[Edge, Row],
    found: Layout,
) -> list[alt.Chart]:
    """Return the nodes: a name, how often, and how often they follow themselves."""
    most = max(counts.values())
    filled: list[Row] = []
    names: list[Row] = []
    small: list[Row] = []
    for node, box in boxes.items():
        x, y = found.places[node]
        told = {"name": _name(node), "count": f"{counts[node]:,}"}
        edges = places(x=x - box.width / 2, x2=x + box.width / 2, y=y - box.height / 2, y2=y + box.height / 2)
        hue, opacity = (marks.GREY, 0.16) if _is_end(node) else (0, round(0.08 + 0.3 * (counts[node] / most) ** 0.5, 3))
        filled.append({**edges, **told, "hue": marks.HUES[hue], "opacity": opacity})
        lines = [] if _is_end(node) else [told["count"]]
        if (node, node) in drawn:
            lines.append(f"again {_spoken(drawn[node, node])}")
        top = y - _ROW * len(lines) / 2
        names.append({**places(x=x, y=top), "text": told["name"]})
        small += [{**places(x=x, y=top + 3 + _ROW * (at + 1) - 1), "text": line} for at, line in enumerate(lines)]
    return [
        canvas.boxes(filled, tooltip={"name": "event", "count": "times"}, radius=6),
        canvas.frames(filled, radius=6),
        canvas.texts(names, align="center", weight=600),
        canvas.texts(small, align="center", style="small-text"),
    ]


def _labels(
    canvas: Canvas, boxes: Mapping[str, layouts.Box], drawn: Mapping[Edge, Row], found: Layout
) -> list[alt.Chart]:
    """Return what is written at the edges, where it covers neither a node nor another label if there is such a place."""
    taken = [
        (x - box.width / 2, y - box.height / 2, x + box.width / 2, y + box.height / 2)
        for (x, y), box in ((found.places[node], box) for node, box in boxes.items())
    ]
    for edge in found.ways:  # nor an arrowhead
        x, y = found.ways[edge][-1]
        taken.append((x - 5, y, x + 5, y + 10) if _is_back(edge, found) else (x - 5, y - 10, x + 5, y))
    texts: list[Row] = []
    for edge, row in drawn.items():
        if edge[0] == edge[1]:
            continue
        text = _spoken(row)
        half = len(text) * _SMALL / 2
        spots = []
        for (x, y), (x2, y2) in itertools.pairwise(found.ways[edge]):
            if abs(y2 - y) < _BETWEEN - 1:  # it passes a layer
                continue
            for t in _TRIES:
                middle = min(max(x + (x2 - x) * t * t * (3 - 2 * t), half), canvas.width - half)
                place = (middle - half, y + (y2 - y) * t - _ROW / 2, middle + half, y + (y2 - y) * t + _ROW / 2)
                spots.append((sum(_overlap(place, other) for other in taken), abs(t - 0.5), place))
        place = min(spots)[2]
        taken.append(place)
        texts.append({**dict(zip(("x", "y", "x2", "y2"), place, strict=True)), "text": text, **_hints(edge, row)})
    middles = [{**row, **places(x=(row["x"] + row["x2"]) / 2, y=(row["y"] + row["y2"]) / 2)} for row in texts]
    return [
        canvas.layer(texts).mark_rect(style="label-ground").encode(x2="x2:Q", y2="y2:Q"),
        canvas.texts(middles, align="center", size=10.5, tooltip=_HINTS),
    ]


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return how many square pixels two rectangles share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)
