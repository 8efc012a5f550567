"""The shapes of staged payloads: the types that they would have, and whether they fit the types that are defined.

Payloads are looked at by distinct structure. Only where a structure does not tell, the values are looked at, first in
SQL by a condition that every misfit meets, then by the very checks that an append uses.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventlab import events, queries
from eventlab.schemas import types, validators
from eventlab.store import doubts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from eventlab.queries import Connection
    from eventlab.schemas.registry import Definition
    from eventlab.schemas.types import FieldType
    from eventlab.store.plans import Plan

Kinds = tuple[tuple[str, "FieldType"], ...]
MANY = 10_000  # distinct structures beyond which they are no longer looked at one by one
_BATCH = 20_000


@dataclass(frozen=True)
class Shape:
    """One distinct structure of the payloads of a type, as DuckDB's ``json_structure`` describes it.

    Attributes
    ----------
    key
        The hash of the structure.
    keys, expected
        How many keys the text has and how many the structure has; None where objects are in lists, -1 if not counted.
    """

    event_type: str
    key: int
    keys: int
    expected: int | None
    structure: dict[str, Any]


def shapes(connection: Connection, plan: Plan, only: Collection[str] | None = None) -> list[Shape] | None:
    """Return the distinct structures of the payloads by type; None if there are too many of them."""
    key, keys = plan.shape
    chosen = "" if only is None else f"and event_type in ({', '.join(map(queries.literal, only))})"
    grouped = queries.rows(
        connection,
        f"select event_type, {key} as shape, {keys} as keys, min(rowid) from built where fault is null {chosen} "
        f"group by all order by min(rowid) limit {MANY + 1}",
    )
    if len(grouped) > MANY:
        return None
    text = "line" if plan.line_shape else "payload"
    connection.register("wanted", pa.table({"number": pa.array([row[3] for row in grouped], pa.int64())}))
    found = dict(
        queries.rows(
            connection,
            f"select number, json_structure({text})::varchar from {'source' if plan.line_shape else 'built'} as texts "
            "join wanted on texts.rowid = number",
        )
    )
    connection.unregister("wanted")
    read = {number: json.loads(structure) for number, structure in found.items()}
    known = [(row, part if isinstance(part := read[row[3]], dict) else {}) for row in grouped]  # of {} it is "JSON"
    return [
        Shape(
            row[0],
            row[1],
            row[2],
            _count(structure),
            {name: part for name, part in structure.items() if name not in plan.taken},
        )
        for row, structure in known
    ]


def repeated_keys(connection: Connection, plan: Plan, found: Iterable[Shape] | None) -> None:
    """Mark the rows in which an object has a key twice: where the count of keys is not that of the structure.

    The count says nothing where objects are in lists; there only the keys of the object itself are compared.
    """
    text, source, same = (
        ("line", "from source", "source.rowid = built.rowid and") if plan.line_shape else ("payload", "", "")
    )
    twice = f"len(json_keys({text})) > len(list_distinct(json_keys({text})))"
    tests: list[str] = [] if found is not None else [twice]
    lists = {(shape.key, shape.keys) for shape in found or () if shape.expected is None}
    others = {(shape.key, shape.keys) for shape in found or () if shape.expected not in {None, shape.keys}}
    for pairs, test in ((lists, twice), (others, "true")):
        if pairs:
            listed = ", ".join(f"({key}::ubigint, {count})" for key, count in sorted(pairs))
            tests.append(f"((built.shape, built.keys) in ({listed}) and {test})")
    for test in tests:
        connection.execute(
            f"update built set fault = json_fault({text}) {source} where {same} fault is null and {test}"
        )


def _count(structure: object) -> int | None:
    """Return how many keys objects of a structure have at all depths; None where objects are in lists."""
    if isinstance(structure, dict):
        parts = [_count(part) for part in structure.values()]
        return None if None in parts else len(parts) + sum(part for part in parts if part is not None)
    if isinstance(structure, list):
        return (
            0
            if all(isinstance(part, str) or (isinstance(part, list) and _count(part) == 0) for part in structure)
            else None
        )
    return 0


def kinds_of(found: Iterable[Shape]) -> dict[str, Kinds]:
    """Return the types of the fields of each event type from the structures of its payloads."""
    fields: defaultdict[str, dict[str, FieldType]] = defaultdict(dict)
    for shape in found:
        known = fields[shape.event_type]
        for name, kind in fields_of(shape.structure).items():
            known[name] = types.widen(known.get(name, types.NULL), kind)
    return {name: tuple(known.items()) for name, known in fields.items()}


def fields_of(structure: dict[str, Any]) -> dict[str, FieldType]:
    """Return the type of each key of a structure."""
    return {name: types.of_structure(json.dumps(part)) for name, part in structure.items()}


def kinds_at_once(connection: Connection) -> dict[str, Kinds]:
    """Return the types of the fields of each event type where there are too many structures."""
    return keys_at_once(
        connection, "payload", "(select event_type, payload from built where fault is null)", "event_type"
    )


def keys_at_once(connection: Connection, text: str, relation: str, group: str) -> dict[str, Kinds]:
    """Return the type of every key of objects by group, key by key, in alphabetical order."""
    pointer = "'/' || replace(replace(key, '~', '~0'), '/', '~1')"
    found = queries.rows(
        connection,
        f"select {group} as grouped, key, json_group_structure(json_extract({text}, {pointer}))::varchar "
        f"from (select {group}, {text}, unnest(json_keys({text})) as key from {relation}) group by all order by key",
    )
    kinds: defaultdict[str, list[tuple[str, FieldType]]] = defaultdict(list)
    for name, key, structure in found:
        kinds[name].append((key, types.of_structure(structure)))
    return {name: tuple(fields) for name, fields in kinds.items()}


def of_columns(plan: Plan) -> dict[str, object] | None:
    """Return the structure that payloads of typed columns have; None where it differs from row to row."""
    if plan.fields is None:
        return None
    found = {name: _of_column(part.kind) for name, part in plan.fields.items()}
    return None if None in found.values() else {name: doubts.Nullable(part) for name, part in found.items()}


def _of_column(kind: FieldType) -> object:
    """Return the structure of the values of a column that are not NULL; None where each may have its own."""
    match kind.kind:
        case "BIGINT" | "DOUBLE" | "BOOLEAN" | "NULL":
            return kind.kind
        case "DECIMAL":
            return "DOUBLE" if kind.scale else None
        case "STRUCT":
            fields = {name: _of_column(child) for name, child in kind.fields}
            return None if None in fields.values() else {name: doubts.Nullable(part) for name, part in fields.items()}
        case "LIST" if kind.item is not None and (item := _of_column(kind.item)) is not None:
            return [item]
    return "VARCHAR" if kind.kind in types.TEXTUAL else None


@dataclass(frozen=True)
class Misfits:
    """The payloads of one type that do not fit its definition: how many, and the first of them.

    Attributes
    ----------
    row
        The number of the first row, from 0.
    """

    count: int
    row: int
    reason: str


def screen(
    connection: Connection, plan: Plan, definition: Definition, found: list[Shape] | dict[str, object] | None
) -> Misfits | None:
    """Look for the payloads of one type that do not fit its definition, and mark their rows if it is enforced.

    ``found``: the shapes of payloads, or the one structure that all of them have; None if that is not known.
    """
    texts = doubts.Texts()
    doubt = doubts.LOOK
    if isinstance(found, dict):
        doubt = _asked(definition, found, texts)
    elif found is not None:
        own = [shape for shape in found if shape.event_type == definition.event_type]
        doubt = _doubt(definition, own, texts)
    if doubt == doubts.FINE:
        return None
    rows = texts.relation(f"fault is null and event_type = {queries.literal(definition.event_type)}", plan.shape[0])
    query = f"select number, payload from {rows} where {' or '.join(doubt)}"
    faults: dict[int, str] = {}
    first: tuple[int, str] | None = None
    count = 0
    for number, reason in _misfits(queries.batches(connection, query, size=_BATCH), definition):
        count += 1
        first = min(first, (number, reason)) if first else (number, reason)
        if definition.validation == "enforce":
            faults[number] = f"{definition.event_type}: {reason}"
    mark(connection, faults)
    return Misfits(count, *first) if first else None


def _misfits(reader: pa.RecordBatchReader, definition: Definition) -> Iterator[tuple[int, str]]:
    """Yield the rows whose payloads do not fit, each with the reason that an append would give."""
    decode = events.decoded_exactly if definition.has_decimals else events.decoded
    for batch in reader:
        for number, text in zip(batch["number"].to_pylist(), batch["payload"].to_pylist(), strict=True):
            reason = validators.reason(definition, decode(text), text)
            if reason is not None:
                yield number, reason


def mark(connection: Connection, faults: dict[int, str]) -> None:
    """Mark rows as refused, each with its reason."""
    if not faults:
        return
    numbers, reasons = pa.array(faults.keys(), pa.int64()), pa.array(faults.values(), pa.string())
    connection.register("verdicts", pa.table({"number": numbers, "reason": reasons}))
    connection.execute("update built set fault = reason from verdicts where built.rowid = number")
    connection.unregister("verdicts")


def _doubt(definition: Definition, found: list[Shape], texts: doubts.Texts) -> doubts.Doubt:
    """Return the doubt about the payloads of a type, by their shapes."""
    bad: list[int] = []
    fair: list[doubts.Doubt] = []
    for shape in found:
        asked = _asked(definition, _normal(shape.structure), texts)
        if asked == doubts.LOOK:
            bad.append(shape.key)
        else:
            fair.append(asked)
    listed = ", ".join(f"{number}::ubigint" for number in sorted(bad))
    return doubts.either([(f"shape in ({listed})",) if bad else doubts.FINE, *fair])


def _asked(definition: Definition, structure: Any, texts: doubts.Texts) -> doubts.Doubt:  # noqa: ANN401 - of an object
    """Return the doubt about payloads of one structure: by required fields, by types, by the contract."""
    parts = {name: structure.get(name, "NULL") for name in {*definition.required, *definition.kinds}}
    if any(parts[name] == "NULL" for name in definition.required):
        return doubts.LOOK
    columns = [name for name in definition.required if isinstance(parts[name], doubts.Nullable)]
    asked: list[doubts.Doubt] = [(f"{texts.at((name,))} is null",) for name in columns]
    asked += [doubts.of_type(kind, parts[name], (name,), texts) for name, kind in definition.kinds.items()]
    if definition.validator is not None:
        asked.append(doubts.of_contract(definition.schema, structure, (), texts))
    return doubts.either(asked)


def _normal(structure: object, *, merged: bool = False) -> object:
    """Return a structure of DuckDB's with what it calls JSON told apart: an empty object, items that differ."""
    if isinstance(structure, dict):
        return {name: _normal(part, merged=merged) for name, part in structure.items()}
    if isinstance(structure, list):
        return [_normal(part, merged=True) for part in structure]
    if structure == "JSON":
        return doubts.MIXED if merged else {}
    return structure
