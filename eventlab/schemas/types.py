"""The types of fields: read from DuckDB's names, inferred from values, widened where values no longer fit.

A payload is JSON, so a type says how a JSON value reads as a column. ``stored`` is what the files hold: the types that
every reader of Delta tables knows.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

INTEGERS = {
    "TINYINT": 8,
    "SMALLINT": 16,
    "INTEGER": 32,
    "BIGINT": 64,
    "UTINYINT": -8,
    "USMALLINT": -16,
    "UINTEGER": -32,
    "UBIGINT": -64,
}
TEXTUAL = frozenset({"VARCHAR", "DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "UUID", "ENUM"})
_NUMBERS = frozenset({"BIGINT", "DOUBLE", "DECIMAL"})
_SUPPORTED = {*INTEGERS, *TEXTUAL, "BOOLEAN", "FLOAT", "DOUBLE", "DECIMAL", "JSON", "STRUCT", "LIST", "MAP"}
_INSTEAD = {"HUGEINT": "DECIMAL(38,0)", "BLOB": "VARCHAR with base64", "INTERVAL": "BIGINT microseconds or VARCHAR"}
_WIDEST_STRUCT = 200  # keys beyond which an object is taken for a map, and kept as JSON
_SHORT, _LONG = 18, 38  # the digits of a DECIMAL that fits 64 and 128 bits


@dataclass(frozen=True, slots=True)
class FieldType:
    """A type: its ``kind`` and, by kind, digits, fields, the type of the items, or the values."""

    kind: str
    precision: int = 0
    scale: int = 0
    fields: tuple[tuple[str, FieldType], ...] = ()
    item: FieldType | None = None
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.kind:
            case "DECIMAL":
                return f"DECIMAL({self.precision},{self.scale})"
            case "ENUM":
                return f"ENUM({', '.join(map(queries.literal, self.values))})"
            case "STRUCT":
                return f"STRUCT({', '.join(f'{queries.identifier(name)} {kind}' for name, kind in self.fields)})"
            case "LIST":
                return f"{self.item}[]"
            case "MAP":
                return f"MAP(VARCHAR, {self.item})"
        return self.kind


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an event type: its type, and whether an event without it is refused."""

    type: FieldType
    required: bool = False

    def __str__(self) -> str:
        return f"{self.type} NOT NULL" if self.required else str(self.type)


NULL = FieldType("NULL")
BOOLEAN, BIGINT, DOUBLE, VARCHAR, JSON = map(FieldType, ("BOOLEAN", "BIGINT", "DOUBLE", "VARCHAR", "JSON"))
_NOT_NULL = re.compile(r"\s+not\s+null\s*$", re.IGNORECASE)


def field(text: str) -> Field:
    """Return the field that a text like ``"DECIMAL(18,2) NOT NULL"`` declares."""
    bare = _NOT_NULL.sub("", text)
    return Field(parse(bare), required=bare != text)


def parse(text: str) -> FieldType:
    """Return the type with that DuckDB name.

    Raises
    ------
    InvalidArgument
        If DuckDB has no such type, or a JSON value cannot become one exactly.
    """
    if text.strip().upper() == "NULL":
        return NULL
    return _read(queries.parse_type(text), text)


def _read(native: queries.Type, text: str) -> FieldType:
    """Return DuckDB's type object as ours."""
    name = str(native)
    kind = "JSON" if name == "JSON" else {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}.get(name, native.id.upper())
    if kind not in _SUPPORTED:
        message = f"{text!r}: a field cannot be {name}"
        raise InvalidArgument(message, hint=f"Use {_INSTEAD.get(kind, 'one of ' + ', '.join(sorted(_SUPPORTED)))}.")
    match kind:
        case "DECIMAL":
            digits = dict(native.children)
            return FieldType(kind, precision=int(digits["precision"]), scale=int(digits["scale"]))
        case "ENUM":
            return FieldType(kind, values=tuple(native.children[0][1]))
        case "STRUCT":
            return FieldType(kind, fields=tuple((str(name), _read(child, text)) for name, child in native.children))
        case "LIST":
            return FieldType(kind, item=_read(native.children[0][1], text))
        case "MAP":
            key, value = (child for _, child in native.children)
            if str(key) != "VARCHAR":
                message = f"{text!r}: the keys of a JSON object are text"
                raise InvalidArgument(message, hint=f"Write MAP(VARCHAR, {value}).")
            return FieldType(kind, item=_read(value, text))
    return FieldType(kind)


def stored(kind: FieldType) -> FieldType | None:
    """Return the type that files hold for ``kind``; None where there is nothing to hold yet."""
    match kind.kind:
        case "NULL":
            return None
        case "JSON" | "UUID" | "ENUM" | "TIME":
            return VARCHAR
        case "UTINYINT" | "USMALLINT" | "UINTEGER":
            return {"UTINYINT": FieldType("SMALLINT"), "USMALLINT": FieldType("INTEGER")}.get(kind.kind, BIGINT)
        case "UBIGINT":
            return FieldType("DECIMAL", 20, 0)
        case "STRUCT":
            return struct((name, stored(child)) for name, child in kind.fields)
        case "LIST" | "MAP":
            item = None if kind.item is None else stored(kind.item)
            return None if item is None else replace(kind, item=item)
    return kind


def struct(fields: Iterable[tuple[str, FieldType | None]]) -> FieldType | None:
    """Return the STRUCT of those fields that have a type; None if none has."""
    present = tuple((name, kind) for name, kind in fields if kind is not None)
    return FieldType("STRUCT", fields=present) if present else None


def extends(old: FieldType, new: FieldType) -> bool:
    """Tell whether a column of ``old`` can go on as ``new``: the same, or fields added to a STRUCT at its end."""
    if old.kind == new.kind == "STRUCT":
        kinds = dict(new.fields)
        return all(name in kinds and extends(child, kinds[name]) for name, child in old.fields)
    return old == new


def merged(old: FieldType, new: FieldType) -> FieldType:
    """Return ``old`` with the fields that ``new``, which extends it, adds: in the order in which they came."""
    if old.kind != "STRUCT":
        return new
    kinds = dict(new.fields)
    known = [(name, merged(child, kinds.pop(name))) for name, child in old.fields]
    return FieldType("STRUCT", fields=(*known, *kinds.items()))


def of_value(value: object) -> FieldType:  # noqa: PLR0911 - one line a kind
    """Return the narrowest type that a Python value of a payload fits."""
    match value:
        case None:
            return NULL
        case bool():
            return BOOLEAN
        case int():
            return BIGINT if -(2**63) <= value < 2**63 else _decimal(len(str(abs(value))), 0)
        case float():
            return DOUBLE
        case Decimal():
            return _decimal(*digits(value))
        case dt.datetime():
            return FieldType("TIMESTAMP" if value.utcoffset() is None else "TIMESTAMPTZ")
        case dt.date():
            return FieldType("DATE")
        case dt.time():
            return FieldType("TIME")
        case uuid.UUID():
            return FieldType("UUID")
        case dict():
            return _object((name, of_value(item)) for name, item in value.items())
        case list() | tuple():
            return _list(map(of_value, value))
    return VARCHAR


def of_structure(text: str) -> FieldType:
    """Return the type that a structure text of DuckDB's ``json_structure`` describes."""
    return _of_structure(json.loads(text))


def _of_structure(structure: Any) -> FieldType:  # noqa: ANN401 - decoded JSON
    """Return the type of one decoded part of a structure."""
    match structure:
        case dict():
            return _object((name, _of_structure(item)) for name, item in structure.items())
        case list():
            return _list(map(_of_structure, structure))
        case "UBIGINT" | "BIGINT":
            return BIGINT
        case "NULL" | "BOOLEAN" | "DOUBLE" | "VARCHAR":
            return FieldType(structure)
        case "HUGEINT" | "UHUGEINT":
            return _decimal(_LONG, 0)
    return JSON


def _object(fields: Iterable[tuple[str, FieldType]]) -> FieldType:
    """Return the type of an object: a STRUCT where its keys can be columns, else JSON; NULL for an empty one."""
    known = tuple(fields)
    names = {name.lower() for name, _ in known}
    if not known:
        return NULL
    if len(names) < len(known) or not all(map(nameable, names)) or len(known) > _WIDEST_STRUCT:
        return JSON
    return FieldType("STRUCT", fields=known)


def nameable(name: str) -> bool:
    """Tell whether a key of a payload can be the name of a column."""
    return bool(name) and "\0" not in name


def _list(items: Iterable[FieldType]) -> FieldType:
    """Return the type of a list of items; NULL where nothing is known of them."""
    item = reduce(widen, items, NULL)
    return NULL if item == NULL else FieldType("LIST", item=item)


def digits(value: Decimal) -> tuple[int, int]:
    """Return how many digits a decimal has before and after its point."""
    _, figures, exponent = value.as_tuple()
    power = int(exponent)
    return max(len(figures) + power, 0), max(-power, 0)


def _decimal(whole: int, scale: int) -> FieldType:
    """Return a DECIMAL with room for that many digits before and after the point; JSON if there is none."""
    for precision in (_SHORT, _LONG):
        if whole + scale <= precision:
            return FieldType("DECIMAL", precision, scale)
    return JSON


def widen(old: FieldType, new: FieldType) -> FieldType:  # noqa: PLR0911 - the lattice, a line a case
    """Return the narrowest type that holds what either type held: at worst JSON."""
    if old in (new, JSON) or new == NULL:
        return old
    if old == NULL or new == JSON:
        return new
    kinds = {old.kind, new.kind}
    if kinds == {"STRUCT"}:
        return _widen_struct(old, new)
    if kinds == {"LIST"} and old.item and new.item:
        return FieldType("LIST", item=widen(old.item, new.item))
    if kinds <= set(INTEGERS):
        return BIGINT
    if kinds <= _NUMBERS | set(INTEGERS) | {"FLOAT"}:
        return DOUBLE if kinds & {"DOUBLE", "FLOAT"} else _widen_decimal(old, new)
    return VARCHAR if kinds <= TEXTUAL else JSON


def _widen_struct(old: FieldType, new: FieldType) -> FieldType:
    """Return a STRUCT with the fields of both, each as wide as needed."""
    fields = dict(old.fields)
    for name, kind in new.fields:
        fields[name] = widen(fields[name], kind) if name in fields else kind
    return _object(fields.items())


def _widen_decimal(old: FieldType, new: FieldType) -> FieldType:
    """Return the DECIMAL that holds both numbers; an integer counts with 19 digits."""
    shapes = [(kind.precision - kind.scale, kind.scale) if kind.kind == "DECIMAL" else (19, 0) for kind in (old, new)]
    return _decimal(max(whole for whole, _ in shapes), max(scale for _, scale in shapes))


def structure(fields: Mapping[str, FieldType]) -> str:
    """Return the structure text by which DuckDB's ``from_json`` reads a payload's fields as they are stored."""
    return json.dumps({name: str(kind) for name, kind in fields.items()}, ensure_ascii=False)
