"""The SQL of folding a split SELECT: whole, in part, merged from parts, and finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.session import relations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.session import Scope
    from eventlab.states.splits import Split

TEXTS = ("VARCHAR", "JSON")
_PLAIN = """
with folded as (select {columns} from {source} {where} {group})
select {outputs} from folded {having}
"""
_PARTIAL = "select {columns} from {source} {where} {group}"
_FINISHED = """
with folded as (select {columns} from {partials})
select {outputs} from folded {having}
"""
_MERGED = "select {columns} from {partials} {group}"


def source(split: Split, scope: Scope, by: str = "true") -> str:
    """Return the SQL of the events that a state reads within a scope, over the relation ``events``.

    ``by`` is one more condition that an event is seen by a moment, and so a compensation; but not in a corrected scope, in
    which nothing ever holds that is compensated.
    """
    if split.relation == "events":
        return f"(select * from events {scope.where(by)}) as {split.alias}"
    undone = f"select compensates from events {scope.where(by, 'compensates is not null')}"
    if scope.corrected is not None:
        undone = f"select compensates from {relations.COMPENSATIONS} where position <= {scope.corrected}"
    where = scope.where(by, "compensates is null", f"event_id not in ({undone})")
    return f"(select * from events {where}) as {split.alias}"


def plain(split: Split, scope: Scope, *conditions: str, by: str = "true") -> str:
    """Return the SELECT of the state from the events within a scope.

    ``conditions`` are over the source and its alias; ``by`` is of the source, over an event's own columns.
    """
    return queries.fill(
        _PLAIN,
        columns=[*_keys(split), *(f"{text} as a{number}" for number, text in enumerate(split.aggregates))],
        source=source(split, scope, by),
        where=where(split, *conditions),
        group=_group(split),
        outputs=outputs(split),
        having=_clause("where", split.having),
    )


def partial(split: Split, scope: Scope) -> str:
    """Return the SELECT of the partial aggregates of the events within a scope: ``k0 …, a0 …``."""
    return queries.fill(
        _PARTIAL,
        columns=[*_keys(split), *(f"{text} export_state as a{number}" for number, text in enumerate(split.aggregates))],
        source=source(split, scope),
        where=where(split),
        group=_group(split),
    )


def merged(split: Split, partials: str) -> str:
    """Return the SELECT that merges partial aggregates of the same keys into one."""
    combined = [f"combine_aggr(a{number}) as a{number}" for number in range(len(split.aggregates))]
    columns = [*_key_columns(split), *combined]
    return queries.fill(_MERGED, columns=columns, partials=partials, group=_group(split))


def finished(split: Split, partials: str) -> str:
    """Return the SELECT of the state from merged partial aggregates."""
    values = [f"finalize(a{number}) as a{number}" for number in range(len(split.aggregates))]
    return queries.fill(
        _FINISHED,
        columns=[*_key_columns(split), *values],
        partials=partials,
        outputs=outputs(split),
        having=_clause("where", split.having),
    )


def same_key(split: Split, one: str, other: str) -> str:
    """Return the condition that rows have the same keys, where keys begin with ``one``, ``other``; NULL is a key as any."""
    pairs = [f"{one}k{number} is not distinct from {other}k{number}" for number in range(len(split.keys))]
    return " and ".join(pairs) or "true"


def outputs(split: Split) -> list[str]:
    """Return the SQL of the columns of the state, over keys and aggregates."""
    return [f"{text} as {queries.identifier(name)}" for text, name in zip(split.outputs, split.names, strict=True)]


def where(split: Split, *conditions: str) -> str:
    """Return the WHERE of a state with further conditions."""
    return _clause("where", " and ".join([*([split.where] if split.where else []), *conditions]))


def key_is(split: Split, values: Sequence[object], types: Sequence[str]) -> tuple[list[str], dict[str, object]]:
    """Return the conditions that events are of one key, and the values to bind to them; text is read as the key's type."""
    conditions = []
    for number, (text, value, kind) in enumerate(zip(split.keys, values, types, strict=True)):
        bound = f"$key_{number}::{kind}" if isinstance(value, str) and kind not in TEXTS else f"$key_{number}"
        conditions.append(f"({text}) is null" if value is None else f"({text}) = {bound}")
    return conditions, {f"key_{number}": value for number, value in enumerate(values) if value is not None}


def _keys(split: Split) -> list[str]:
    return [f"{text} as k{number}" for number, text in enumerate(split.keys)]


def _key_columns(split: Split) -> list[str]:
    return [f"k{number}" for number in range(len(split.keys))]


def _group(split: Split) -> str:
    return f"group by {', '.join(str(number + 1) for number in range(len(split.keys)))}" if split.keys else ""


def _clause(word: str, condition: str) -> str:
    return f"{word} {condition}" if condition else ""
