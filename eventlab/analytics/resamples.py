"""Numbers over actors, taken again and again over random draws of the actors: the bootstrap.

It is a Poisson bootstrap: in each draw an actor counts as often as a Poisson variable of mean 1 says, with all of its events
together (Chamandy, Muralidharan, Najmi, Naidu: *Estimating uncertainty for massive data streams*, 2012). What an actor counts
in a draw is made of its name and the store (MD5) and the draw's number (SplitMix64), of nothing else: the answer is the same
each time and everywhere, and an actor that is on both sides of a comparison counts the same on both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from eventlab import queries
from eventlab.analytics import visits
from eventlab.errors import InvalidArgument
from eventlab.session import Scope
from eventlab.states.splits import is_aggregate

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import numpy.typing as npt

    from eventlab.analytics.questions import Question
    from eventlab.analytics.sequences import Cleaning

    Floats = npt.NDArray[np.float64]
    Places = npt.NDArray[np.int64]
    Owners = npt.NDArray[np.uint64]
    Tree = dict[str, Any]

DRAWS = 500
_POISSON = np.cumsum([math.exp(-1) / math.factorial(count) for count in range(19)])
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # of SplitMix64

_OWNER = "md5_number_lower({salt} || {who}::varchar)"
_VISITS = """,
own as (
    select
        {owner} as owner, count(*) as sessions, sum(events) as events, coalesce(sum(duration), 0) as seconds,
        count(duration) as timed
    from stretches
    group by actor
)
select owner, sessions::double, events::double, seconds::double, timed::double from own
order by owner
"""
_WAITS = """
select {owner} as owner, source, target, waited / 1e6 as seconds from flows where not begins
order by source, target, seconds, owner
"""
_TREND = """
with starts (begun, slot) as (values {starts}),
acts as (
    select * replace ({actor} as actor), {part} as eventlab_part
    from events
    where {conditions}
),
placed as (
    select acts.*, starts.slot as eventlab_slot from acts asof join starts on acts.occurred_at >= starts.begun
)
select {owner} as owner, eventlab_slot, eventlab_part, {columns} from placed
group by actor, eventlab_slot, eventlab_part
order by owner, eventlab_slot, eventlab_part::varchar
"""
_COUNTS = frozenset({"count", "count_star", "count_if", "countif"})


def weights(owners: Owners, draw: int) -> Floats:
    """Return how often each owner counts in a draw; in draw 0, which is no draw, once."""
    if not draw:
        return np.ones(len(owners))
    mixed = owners ^ np.uint64((draw * _GOLDEN) % 2**64)
    for shift, factor in ((30, _FIRST), (27, _SECOND)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    uniform = (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53
    return np.searchsorted(_POISSON, uniform, side="right").astype(np.float64)


@dataclass(frozen=True, slots=True)
class Sums:
    """What actors contribute to cells as addends, and what the cells' values are of their sums.

    Attributes
    ----------
    cells
        The keys of the cells.
    owners, owner, place, addends
        The actors; and for each contribution which of them and which cell it is of, and its numbers, a column an addend.
    values
        Returns the values of a stack of sums: by draw, addend and cell.
    """

    cells: Sequence[Hashable]
    owners: Owners
    owner: Places
    place: Places
    addends: Sequence[Floats]
    values: Callable[[Floats], Floats]

    def drawn(self) -> Floats:
        """Return the values by draw and cell; draw 0 has what is."""
        sums = np.empty((DRAWS + 1, len(self.addends), len(self.cells)))
        for draw in range(DRAWS + 1):
            counts = weights(self.owners, draw)[self.owner]
            for number, addend in enumerate(self.addends):
                sums[draw, number] = np.bincount(self.place, weights=counts * addend, minlength=len(self.cells))
        return self.values(sums)


@dataclass(frozen=True, slots=True)
class Medians:
    """What actors contribute to cells as values of which the median is taken, sorted by cell and value."""

    cells: Sequence[Hashable]
    owners: Owners
    owner: Places
    place: Places
    numbers: Floats

    def drawn(self) -> Floats:
        """Return the medians by draw and cell; draw 0 has what is. Interpolated, as by ``quantile_cont``."""
        found = np.full((DRAWS + 1, len(self.cells)), np.nan)
        if not self.cells:
            return found
        ends = np.searchsorted(self.place, np.arange(len(self.cells)), side="right") - 1
        for draw in range(DRAWS + 1):
            running = np.cumsum(weights(self.owners, draw)[self.owner])
            through = running[ends]
            before = np.concatenate([[0.0], through[:-1]])
            there = through > before
            middle = (through - before - 1) / 2
            low, high = (
                np.searchsorted(running, before[there] + place[there] + 1)
                for place in (np.floor(middle), np.ceil(middle))
            )
            found[draw, there] = (self.numbers[low] + self.numbers[high]) / 2
        return found


def visits_of(question: Question, gap: int, split: str | None) -> Sums:
    """Return four means over sessions: how many there are an actor, and how long they are."""
    text = visits.cte(question, gap, split) + queries.fill(_VISITS, owner=_owner(question, "actor"))
    table = question.run(text).to_arrow_table()
    names, sessions, events, seconds, timed = (column.to_numpy() for column in table.columns)
    one, number = np.ones(len(names)), np.arange(len(names))
    pairs = {
        "sessions per actor": (sessions, one),
        "events per session": (events, sessions),
        "seconds per session of two or more events": (seconds, timed),
        "share of sessions of one event": (sessions - timed, sessions),
    }
    return Sums(
        cells=list(pairs),
        owners=names.astype(np.uint64),
        owner=np.tile(number, len(pairs)),
        place=np.repeat(np.arange(len(pairs)), len(names)),
        addends=[np.concatenate([pair[side] for pair in pairs.values()]) for side in (0, 1)],
        values=lambda sums: _ratio(sums[:, 0], sums[:, 1]),
    )


def waits_of(question: Question, rules: Cleaning, links: str) -> Medians:
    """Return the median seconds between the two events of each edge of a process map."""
    text = rules.acts(question) + links + queries.fill(_WAITS, owner=_owner(question, "who"))
    table = question.run(text).to_arrow_table()
    edges = list(zip(table["source"].to_pylist(), table["target"].to_pylist(), strict=True))
    cells = list(dict.fromkeys(edges))
    places = {edge: number for number, edge in enumerate(cells)}
    owners, owner = np.unique(table["owner"].to_numpy().astype(np.uint64), return_inverse=True)
    place = np.array([places[edge] for edge in edges], dtype=np.int64)
    return Medians(cells, owners, owner, place, table["seconds"].to_numpy())


def trend_of(question: Question, measure: str, breakdown: str | None, starts: Sequence[int]) -> Sums:
    """Return a measure in each period and part; a cell is the number of its period and the value of the breakdown.

    Raises
    ------
    InvalidArgument
        If the measure is not made of counts, sums and means: what one actor contributes to it could not be said.
    """
    columns, expression = _parts(measure, question.actor)
    text = queries.fill(
        _TREND,
        starts=[f"({question.instant(start)}, {number})" for number, start in enumerate(starts)],
        actor=f"({question.actor}\n)",
        part="null" if breakdown is None else f"({breakdown}\n)",
        conditions=" and ".join([f"({question.actor}\n) is not null", *question.conditions(ranged=True)]),
        owner=_owner(question, "actor"),
        columns=[f"coalesce(({column})::double, 0) as a{number}" for number, column in enumerate(columns)],
    )
    table = question.run(text).to_arrow_table()
    keys = list(zip(table["eventlab_slot"].to_pylist(), table["eventlab_part"].to_pylist(), strict=True))
    cells = list(dict.fromkeys(keys))
    places = {key: number for number, key in enumerate(cells)}
    owners, owner = np.unique(table["owner"].to_numpy().astype(np.uint64), return_inverse=True)
    return Sums(
        cells=cells,
        owners=owners,
        owner=owner,
        place=np.array([places[key] for key in keys], dtype=np.int64),
        addends=[table[f"a{number}"].to_numpy() for number in range(len(columns))],
        values=lambda sums: _evaluated(question, expression, sums),
    )


def _parts(measure: str, actor: str) -> tuple[list[str], str]:
    """Return the addends of a measure as SQL over an actor's events, and the measure as SQL over their sums ``a0 …``."""
    columns: list[str] = []
    own = {queries.rendered(_expression(f"({actor}\n)")), "actor"}

    def summed(sql: str) -> Tree:
        columns.append(sql)
        return _expression(f"a{len(columns) - 1}")

    def change(node: Tree) -> Tree | None:
        if not is_aggregate(node):
            return None
        name, sql = node["function_name"].lower(), queries.rendered(node)
        if not node["distinct"] and name in _COUNTS | {"sum"}:
            return summed(sql)
        if not node["distinct"] and name in ("avg", "mean"):
            total, count = (
                queries.rendered({**node, "function_name": other, "qualified_name": {"path": [other]}})
                for other in ("sum", "count")
            )
            ratio = _expression("(x / nullif(y, 0))")
            parts = {"x": summed(total), "y": summed(count)}
            return dict(queries.replaced(ratio, lambda found: parts.get(".".join(found.get("column_names") or ()))))
        arguments = [queries.rendered(argument["expression"]) for argument in node["arguments"]]
        if name == "count" and len(arguments) == 1 and arguments[0] in own:
            return summed(f"({sql} > 0)::integer")
        raise InvalidArgument(
            f"what one actor contributes to {sql} cannot be said",
            hint="Compare trends of counts, sums and means, and of count(DISTINCT actor).",
        )

    tree = queries.replaced(_expression(f"({measure}\n)"), change)
    return columns, queries.rendered(tree)


def _evaluated(question: Question, expression: str, sums: Floats) -> Floats:
    """Return the values of an expression over sums, computed by DuckDB."""
    draws, addends, cells = sums.shape
    columns = {f"a{number}": sums[:, number].ravel() for number in range(addends)}
    with question.session.working("", Scope(), question.registry) as connection:
        table = pa.table({**columns, "eventlab_row": np.arange(draws * cells)})
        connection.register("eventlab_sums", table)
        text = f"select ({expression})::double as value from eventlab_sums order by eventlab_row"
        values = queries.arrow(connection, text)["value"].to_numpy(zero_copy_only=False)
        connection.unregister("eventlab_sums")
    return np.asarray(values, dtype=np.float64).reshape(draws, cells)


def _owner(question: Question, who: str) -> str:
    """Return the SQL of the number that stands for an actor of this store."""
    return queries.fill(_OWNER, salt=queries.literal(f"{question.session.store.layout.store_id}/"), who=who)


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _expression(text: str) -> Tree:
    """Return the syntax tree of an expression."""
    found: Tree = queries.syntax(f"select {text}")["select_list"][0]
    return found
