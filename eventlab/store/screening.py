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
from eventlab.schemas import types

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from eventlab.queries import Connection
    from eventlab.schemas.registry import Definition
    from eventlab.schemas.types import FieldType
    from eventlab.store.plans import Plan

Kinds = tuple[tuple[str, "FieldType"], ...]
MANY = 10_000  # distinct structures beyond which they are no longer looked at one by one
_BATCH = 20_000

_TEXTS = {
    "DATE": r"[1-9]\d{3}-\d\d-\d\d",
    "TIME": r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d([.]\d{1,6})?",
    "TIMESTAMP": r"[1-9]\d{3}-\d\d-\d\d([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.]\d{1,6})?)?)?",
    "TIMESTAMPTZ": r"[1-9]\d{3}-\d\d-\d\d([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.]\d{1,6})?)?(Z|[+-](0\d|1[0-4]):[0-5]\d)?)?",
    "UUID": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}
_WHOLE = frozenset({"BIGINT", "UBIGINT"})
_NUMBERS = frozenset({*_WHOLE, "DOUBLE", "HUGEINT", "UHUGEINT"})


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


def screen(connection: Connection, plan: Plan, definition: Definition, found: list[Shape] | None) -> None:
    """Mark the rows of one type whose payloads do not fit its definition."""
    own = [shape for shape in found or () if shape.event_type == definition.event_type]
    condition = "true" if found is None else _doubts(definition, own, plan.shape[0])
    if not condition:
        return
    reader = queries.batches(
        connection,
        f"select rowid as number, payload from built where fault is null "
        f"and event_type = {queries.literal(definition.event_type)} and ({condition})",
        size=_BATCH,
    )
    faults: dict[int, str] = {}
    decode = events.decoded_exactly if definition.has_decimals else events.decoded
    for batch in reader:
        for number, text in zip(batch["number"].to_pylist(), batch["payload"].to_pylist(), strict=True):
            reason = misfit(definition, decode(text))
            if reason is not None:
                faults[number] = f"{definition.event_type}: {reason}"
    mark(connection, faults)


def misfit(definition: Definition, payload: dict[str, Any]) -> str | None:
    """Return why a payload does not fit a definition; None if it does."""
    absent = next((name for name in definition.required if payload.get(name) is None), None)
    return f"{absent} is missing" if absent is not None else definition.fits(payload)


def mark(connection: Connection, faults: dict[int, str]) -> None:
    """Mark rows as refused, each with its reason."""
    if not faults:
        return
    numbers, reasons = pa.array(faults.keys(), pa.int64()), pa.array(faults.values(), pa.string())
    connection.register("verdicts", pa.table({"number": numbers, "reason": reasons}))
    connection.execute("update built set fault = reason from verdicts where built.rowid = number")
    connection.unregister("verdicts")


def _doubts(definition: Definition, found: list[Shape], key: str) -> str:
    """Return the condition that every payload which does not fit meets; empty if all fit."""
    bad: set[int] = set()
    tests: set[str] = set()
    for shape in found:
        doubts = {
            _doubt(kind, shape.structure.get(name, "NULL"), _pointer("", name))
            for name, kind in definition.kinds.items()
        }
        lacks = any(shape.structure.get(name, "NULL") == "NULL" for name in definition.required)
        if lacks or "true" in doubts:
            bad.add(shape.key)
        else:
            tests |= doubts - {""}
    if bad:
        tests.add(f"{key} in ({', '.join(f'{number}::ubigint' for number in sorted(bad))})")
    return " or ".join(f"coalesce({test}, true)" for test in sorted(tests))


def _pointer(path: str, name: str) -> str:
    """Return the JSON pointer to a key below ``path``."""
    return f"{path}/{name.replace('~', '~0').replace('/', '~1')}"


def _doubt(kind: FieldType, structure: object, path: str) -> str:  # noqa: PLR0911 - one line a kind
    """Return the condition that a value which does not fit meets: '' if all fit, 'true' if the values must be looked at."""
    if structure == "NULL" or kind.kind == "JSON":
        return ""
    text = f"json_extract_string(payload, {queries.literal(path)})"
    if not isinstance(structure, str):
        return _nested(kind, structure, path)
    if kind.kind in types.INTEGERS and structure in _WHOLE:
        return f"({text} is not null and try_cast({text} as {kind.kind}) is null)"
    if kind.kind in {"FLOAT", "DOUBLE"} and structure in _NUMBERS:
        return ""
    if kind.kind == structure and structure in {"BOOLEAN", "VARCHAR"}:
        return ""
    if kind.kind == "DECIMAL" and (structure in _NUMBERS or structure == "VARCHAR"):
        whole, scale = kind.precision - kind.scale, kind.scale
        pattern = f"-?\\d{{1,{max(whole, 1)}}}([.]\\d{{1,{scale}}})?" if scale else f"-?\\d{{1,{max(whole, 1)}}}([.]0)?"
        exact = "" if whole else "true or "
        return f"({text} is not null and ({exact}length({text}) > 15 or not regexp_full_match({text}, {queries.literal(pattern)})))"
    if kind.kind in _TEXTS and structure == "VARCHAR":
        pattern = queries.literal(_TEXTS[kind.kind])
        return f"({text} is not null and (not regexp_full_match({text}, {pattern}) or try_cast({text} as {kind.kind}) is null))"
    if kind.kind == "ENUM" and structure == "VARCHAR":
        return f"({text} is not null and {text} not in ({', '.join(map(queries.literal, kind.values))}))"
    return "true"


def _nested(kind: FieldType, structure: object, path: str) -> str:
    """Return the doubt about an object or a list: of a list or a map none only if no item can be a misfit."""
    if kind.kind == "STRUCT" and isinstance(structure, dict):
        doubts = [_doubt(child, structure.get(name, "NULL"), _pointer(path, name)) for name, child in kind.fields]
        return "true" if "true" in doubts else " or ".join(f"coalesce({doubt}, true)" for doubt in doubts if doubt)
    if kind.item is None:
        return "true"
    items: Iterator[object] | None = None
    if kind.kind == "LIST" and isinstance(structure, list):
        items = iter(structure)
    elif kind.kind == "MAP" and isinstance(structure, dict):
        items = iter(structure.values())
    return "true" if items is None or any(_doubt(kind.item, part, "/") for part in items) else ""
