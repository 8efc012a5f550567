"""The places of a graph's nodes in layers, and the ways of its edges: Sugiyama's method (1981), in plain Python.

Cycles are broken by the order of Eades, Lin and Smyth (a heuristic for the feedback arc set, 1993), weighted: what mostly
happens runs downwards. Layers are the longest ways from the top, no wider than there is room; the order within a layer is
by barycentres, the places by least squares. The same graph is always the same picture.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Point = tuple[float, float]
Edge = tuple[str, str]
Stop = str | tuple[Edge, int]  # a node, or the place where an edge passes a layer

_SWEEPS = 16
_THIN = 25.0  # pixels that an edge takes where it passes a layer
_GAP = 32.0  # pixels between neighbours
_PORT = 16.0  # pixels at most between edges at a node
_FULL = 0.86  # of the width is taken by nodes at most, so that edges can pass


@dataclass(frozen=True, slots=True)
class Box:
    """How large a node is, in pixels; ``room`` is what it takes at each side."""

    width: float
    height: float
    room: float = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """A picture of a graph, in pixels.

    Attributes
    ----------
    places
        The middle of each node.
    ways
        The points of each edge from its source to its target: it leaves and enters straight down or up, and so passes
        the layers between.
    height
        Of the whole.
    """

    places: dict[str, Point]
    ways: dict[Edge, list[Point]]
    height: float


def layout(boxes: Mapping[str, Box], edges: Mapping[Edge, float], *, width: float, between: float = 60) -> Layout:
    """Return the layout of a graph from top to bottom; an edge from a node to itself has no way.

    Parameters
    ----------
    boxes
        The nodes.
    edges
        How heavy each edge is: heavy ones rather run down, and straight.
    width
        Of the whole, in pixels.
    between
        Pixels between two layers.

    Examples
    --------
    >>> found = layout({"a": Box(40, 20), "b": Box(40, 20)}, {("a", "b"): 5, ("b", "a"): 1}, width=100)
    >>> found.places
    {'a': (50.0, 10.0), 'b': (50.0, 90.0)}
    >>> found.ways["b", "a"]
    [(57.0, 80.0), (57.0, 20.0)]
    """
    rank = {node: number for number, node in enumerate(_order(boxes, edges))}
    chosen = [edge for edge in sorted(edges) if edge[0] != edge[1]]
    layer = _layered(boxes, chosen, rank, width)
    chains = {edge: _chain(edge, layer) for edge in chosen}
    links: dict[Stop, list[tuple[Stop, float]]] = {node: [] for node in boxes}
    for edge, chain in chains.items():
        for upper, lower in itertools.pairwise(chain):
            links.setdefault(upper, []).append((lower, edges[edge]))
            links.setdefault(lower, []).append((upper, edges[edge]))
            layer |= {stop: layer[chain[0]] + at for at, stop in enumerate(chain)}
    rows: list[list[Stop]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for stop in sorted(
        links, key=lambda stop: (rank[stop], "") if isinstance(stop, str) else (rank[stop[0][0]], str(stop))
    ):
        rows[layer[stop]].append(stop)
    rows = _ordered(rows, links, layer)
    lengths = {
        stop: boxes[stop].width + 2 * boxes[stop].room + _GAP if isinstance(stop, str) else _THIN for stop in links
    }
    x = _placed(rows, links, lengths, width)
    heights = [max((boxes[stop].height for stop in row if isinstance(stop, str)), default=0) for row in rows]
    tops = [sum(heights[:number]) + between * number for number in range(len(rows))]
    places = {node: (x[node], tops[layer[node]] + heights[layer[node]] / 2) for node in boxes}
    bounds = [(top, top + height) for top, height in zip(tops, heights, strict=True)]
    return Layout(places, _ways(boxes, chains, x, layer, bounds), bounds[-1][1] if bounds else 0.0)


def _order(nodes: Mapping[str, Box], edges: Mapping[Edge, float]) -> list[str]:
    """Return the nodes so that little weight runs backwards."""
    left: list[str] = []
    right: list[str] = []
    rest = list(nodes)
    while rest:
        kept = set(rest)
        flows = {node: [0.0, 0.0] for node in rest}
        for (source, target), weight in edges.items():
            if source != target and source in kept and target in kept:
                flows[source][0] += weight
                flows[target][1] += weight
        sink = next((node for node in reversed(rest) if not flows[node][0]), None)
        if sink is not None:
            right.insert(0, sink)
            rest.remove(sink)
            continue
        head = next((node for node in rest if not flows[node][1]), None)
        head = head or max(rest, key=lambda node: flows[node][0] - flows[node][1])
        left.append(head)
        rest.remove(head)
    return left + right


def _layered(boxes: Mapping[str, Box], edges: Sequence[Edge], rank: Mapping[str, int], width: float) -> dict[Stop, int]:
    """Return the layer of each node: below all from which edges run down to it, where there is room."""
    layer: dict[Stop, int] = {}
    used: dict[int, float] = {}
    above: dict[str, set[str]] = {node: set() for node in boxes}
    for source, target in edges:
        upper, lower = sorted((source, target), key=rank.__getitem__)
        above[lower].add(upper)
    for node in sorted(boxes, key=rank.__getitem__):
        at = max((layer[upper] + 1 for upper in above[node]), default=0)
        length = boxes[node].width + 2 * boxes[node].room + _GAP
        while used.get(at) and used[at] + length > width * _FULL:
            at += 1
        layer[node] = at
        used[at] = used.get(at, 0.0) + length
    return layer


def _chain(edge: Edge, layer: Mapping[Stop, int]) -> list[Stop]:
    """Return the stops of an edge from its upper end to its lower one."""
    upper, lower = sorted(edge, key=lambda node: layer[node])
    return [upper, *((edge, at) for at in range(layer[upper] + 1, layer[lower])), lower]


def _ordered(
    rows: list[list[Stop]], links: Mapping[Stop, list[tuple[Stop, float]]], layer: Mapping[Stop, int]
) -> list[list[Stop]]:
    """Return the layers each in the order in which the fewest edges cross, of those that were tried."""
    best, least = rows, _crossings(rows, links, layer)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        rows = [list(row) for row in rows]
        numbers = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for number in numbers:
            beside = {stop: place for place, stop in enumerate(rows[number - 1 if down else number + 1])}
            centres = {stop: _centre(links[stop], beside, place) for place, stop in enumerate(rows[number])}
            rows[number].sort(key=centres.__getitem__)
        crossings = _crossings(rows, links, layer)
        if crossings < least:
            best, least = rows, crossings
    return best


def _centre(links: Sequence[tuple[Stop, float]], beside: Mapping[Stop, float], otherwise: float) -> float:
    """Return the mean of the neighbours' places, by weight."""
    near = [(beside[stop], weight) for stop, weight in links if stop in beside]
    total = sum(weight for _, weight in near)
    return sum(place * weight for place, weight in near) / total if total else otherwise


def _crossings(
    rows: Sequence[Sequence[Stop]], links: Mapping[Stop, list[tuple[Stop, float]]], layer: Mapping[Stop, int]
) -> int:
    """Return how many pairs of edges cross between two layers."""
    place = {stop: number for row in rows for number, stop in enumerate(row)}
    crossed = 0
    for row in rows:
        ends = [
            (place[stop], place[other]) for stop in row for other, _ in links[stop] if layer[other] == layer[stop] + 1
        ]
        crossed += sum((a - c) * (b - d) < 0 for number, (a, b) in enumerate(ends) for c, d in ends[:number])
    return crossed


def _placed(
    rows: Sequence[Sequence[Stop]],
    links: Mapping[Stop, list[tuple[Stop, float]]],
    lengths: Mapping[Stop, float],
    width: float,
) -> dict[Stop, float]:
    """Return where each stop is across: near its neighbours, and apart from those beside it."""
    x: dict[Stop, float] = {}
    squeezed = {number: min(1.0, width / (sum(lengths[stop] for stop in row) or 1)) for number, row in enumerate(rows)}
    for row in rows:
        step = width / (len(row) or 1)
        x |= {stop: step * (place + 0.5) for place, stop in enumerate(row)}
    for sweep in range(_SWEEPS):
        numbers = range(len(rows)) if sweep % 2 == 0 else range(len(rows) - 1, -1, -1)
        for number in numbers:
            row = rows[number]
            wanted = [_centre(links[stop], x, x[stop]) for stop in row]
            room = [lengths[stop] * squeezed[number] for stop in row]
            x |= dict(zip(row, apart(wanted, room, high=width), strict=True))
    if not x:
        return x
    ends = [(x[stop] - lengths[stop] / 2, x[stop] + lengths[stop] / 2) for stop in x]
    aside = (width - min(left for left, _ in ends) - max(right for _, right in ends)) / 2  # so that it is in the middle
    return {stop: place + aside for stop, place in x.items()}


def _ways(
    boxes: Mapping[str, Box],
    chains: Mapping[Edge, list[Stop]],
    x: Mapping[Stop, float],
    layer: Mapping[Stop, int],
    bounds: Sequence[Point],
) -> dict[Edge, list[Point]]:
    """Return the points of each edge, from its source to its target."""
    ports = _ports(boxes, chains, x)
    ways = {}
    for edge, chain in chains.items():
        points: list[Point] = []
        for stop in chain:
            top, bottom = bounds[layer[stop]]
            if isinstance(stop, str):
                half = boxes[stop].height / 2 * (1 if stop == chain[0] else -1)
                points.append((ports[edge, stop], (top + bottom) / 2 + half))
            else:
                points += [(x[stop], top), (x[stop], bottom)]
        ways[edge] = points if chain[0] == edge[0] else points[::-1]
    return ways


def _ports(
    boxes: Mapping[str, Box], chains: Mapping[Edge, list[Stop]], x: Mapping[Stop, float]
) -> dict[tuple[Edge, str], float]:
    """Return where each edge meets its two nodes, side by side in the order of where the edges come from."""
    sides: dict[tuple[str, bool], list[tuple[float, Edge]]] = {}
    for edge, chain in chains.items():
        upper, lower = min(edge, key=chain.index), max(edge, key=chain.index)
        sides.setdefault((upper, True), []).append((x[chain[1]], edge))
        sides.setdefault((lower, False), []).append((x[chain[-2]], edge))
    ports = {}
    for (node, _), edges in sides.items():
        step = min(_PORT, (boxes[node].width - 12) / len(edges))
        for number, (_, edge) in enumerate(sorted(edges)):
            ports[edge, node] = x[node] + step * (number - (len(edges) - 1) / 2)
    return ports


def apart(
    wanted: Sequence[float], lengths: Sequence[float], *, low: float = 0, high: float | None = None
) -> list[float]:
    """Return the middles of things on a line, in their order, moved as little as keeps them from overlapping.

    The least sum of squares of how far they move, by pooling neighbours that would overlap (isotonic regression); then
    within ``low`` to ``high``, as far as there is room.

    Examples
    --------
    >>> apart([0, 10, 100], [20, 20, 20])
    [10.0, 30.0, 100.0]
    """
    offsets, edge = [], 0.0
    for length in lengths:
        offsets.append(edge + length / 2)
        edge += length
    pools: list[tuple[float, int]] = []  # the mean place of the first edge of a pool, and how many it has
    for place, offset in zip(wanted, offsets, strict=True):
        mean, size = max(place - offset, low), 1
        while pools and pools[-1][0] >= mean:
            before, count = pools.pop()
            mean, size = (before * count + mean * size) / (count + size), size + count
        pools.append((mean, size))
    edges = [mean for mean, size in pools for _ in range(size)]
    if high is not None:
        edges = [max(min(mean, high - edge), low) for mean in edges]
    return [mean + offset for mean, offset in zip(edges, offsets, strict=True)]
