"""The types of fields: read from DuckDB's names, inferred from values, widened where values no longer fit.

A payload is JSON, so a type says how a JSON value reads as a column. ``stored`` is what the files hold: the types that
every reader of Delta tables knows. ``widen`` makes the types a lattice from NULL, which nothing but null fits, up to
JSON, which everything fits.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any, cast

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
_INSTEAD = {
    "HUGEINT": "DECIMAL(38,0)",
    "UHUGEINT": "DECIMAL(38,0)",
    "BIGNUM": "DECIMAL(38,0) or VARCHAR",
    "BLOB": "VARCHAR with base64",
    "BIT": "VARCHAR",
    "INTERVAL": "BIGINT microseconds or VARCHAR",
    "TIME WITH TIME ZONE": "TIMESTAMPTZ, or VARCHAR",
    "TIME_NS": "TIME",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP_NS": "TIMESTAMP",
    "TIMESTAMPTZ_NS": "TIMESTAMPTZ",
    "ARRAY": "a list, like DOUBLE[]",
    "UNION": "JSON",
    "VARIANT": "JSON",
    "GEOMETRY": "VARCHAR with WKT",
}
_INTEGER_DIGITS = {8: 3, 16: 5, 32: 10, 64: 19, -8: 3, -16: 5, -32: 10, -64: 20}
_DEEPEST = 20  # levels of a value below which its parts are kept as JSON
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
                parts = ", ".join(f"{queries.identifier(name)} {_within(kind)}" for name, kind in self.fields)
                return f"STRUCT({parts})" if parts else "STRUCT"
            case "LIST" if self.item:
                return f"{_within(self.item)}[]"
            case "MAP" if self.item:
                return f"MAP(VARCHAR, {_within(self.item)})"
        return self.kind


def _within(kind: FieldType) -> str:
    """Return the name of a type inside another, where DuckDB reads a bare NULL as a value."""
    return queries.identifier(kind.kind) if kind.kind == "NULL" else str(kind)


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


def field(text: object) -> Field:
    """Return the field that a text like ``"DECIMAL(18,2) NOT NULL"`` declares.

    Raises
    ------
    InvalidArgument
        As ``parse``.
    """
    if not isinstance(text, str):
        message = f"{text!r} is no type"
        hint = 'Write the name of a DuckDB type, like "VARCHAR" or "DECIMAL(18,2) NOT NULL".'
        raise InvalidArgument(message, hint=hint)
    return _field(text)


@lru_cache(maxsize=10_000)  # a registry has the same few types many times
def _field(text: str) -> Field:
    """Return the field that a text declares."""
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


def _read(native: queries.Type, text: str) -> FieldType:  # noqa: PLR0911 - one line a kind
    """Return DuckDB's type object as ours."""
    name = str(native)
    kind = "JSON" if name == "JSON" else {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}.get(name, native.id.upper())
    if kind == "NULL":
        return NULL
    if kind not in _SUPPORTED:
        message = f"{text!r}: a field cannot be {name}"
        raise InvalidArgument(message, hint=f"Use {_INSTEAD.get(kind, 'one of ' + ', '.join(sorted(_SUPPORTED)))}.")
    match kind:
        case "DECIMAL":
            (_, precision), (_, scale) = native.children
            return FieldType(kind, precision=cast("int", precision), scale=cast("int", scale))
        case "ENUM":
            return FieldType(kind, values=tuple(cast("list[str]", native.children[0][1])))
        case "STRUCT":
            return FieldType(kind, fields=tuple((str(name), _read(child, text)) for name, child in _children(native)))
        case "LIST":
            return FieldType(kind, item=_read(_children(native)[0][1], text))
        case "MAP":
            key, value = (child for _, child in _children(native))
            if str(key) != "VARCHAR":
                message = f"{text!r}: the keys of a JSON object are text"
                raise InvalidArgument(message, hint=f"Write MAP(VARCHAR, {value}).")
            return FieldType(kind, item=_read(value, text))
    return FieldType(kind)


def _children(native: queries.Type) -> list[tuple[str, queries.Type]]:
    """Return the named types inside a type of DuckDB's."""
    return cast("list[tuple[str, queries.Type]]", native.children)


def stored(kind: FieldType) -> FieldType | None:  # noqa: PLR0911 - one line a kind
    """Return the type that files hold for ``kind``; None where there is nothing to hold yet.

    Files hold what a plain Delta table (protocol 1, 2) has, so that every reader can open it. Delta has no JSON, UUID,
    ENUM or TIME: text. It has no unsigned integers (delta-rs would take a UINTEGER for an INTEGER): the next larger
    type. Its TIMESTAMP is an instant; one without a zone would raise the protocol of the whole table to (3, 7) with the
    feature timestampNtz, which older readers refuse, by one field of one event: text too, which ``::TIMESTAMP`` reads.

    A JSON field holds JSON text, which is a string to Delta; ``physical`` says so. It is told apart from text here, since
    the text ``c1`` becomes ``"c1"`` where a field widens to JSON: that begins a new column.
    """
    match kind.kind:
        case "NULL":
            return None
        case "UUID" | "ENUM" | "TIME" | "TIMESTAMP":
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


def physical(kind: FieldType) -> FieldType:
    """Return a stored type as files have it: JSON as the text that it is."""
    if kind == JSON:
        return VARCHAR
    fields = tuple((name, physical(child)) for name, child in kind.fields)
    return replace(kind, fields=fields, item=None if kind.item is None else physical(kind.item))


def struct(fields: Iterable[tuple[str, FieldType | None]]) -> FieldType | None:
    """Return the STRUCT of those fields that have a type; None if none has."""
    present = tuple((name, kind) for name, kind in fields if kind is not None)
    return FieldType("STRUCT", fields=present) if present else None


def extends(old: FieldType, new: FieldType) -> bool:
    """Tell whether a column of ``old`` can go on as ``new``: the same, or fields added to a STRUCT at its end.

    An added field is no STRUCT itself: where files lack it, and others hold a NULL in its place, DuckDB 2.0.1 fails to read them
    together ("a flat vector" error).
    """
    if old.kind == new.kind == "STRUCT":
        known, kinds = dict(old.fields), dict(new.fields)
        added = all(kind.kind != "STRUCT" for name, kind in new.fields if name not in known)
        return added and all(name in kinds and extends(child, kinds[name]) for name, child in old.fields)
    return old == new


def same(one: FieldType, other: FieldType) -> bool:
    """Tell whether two types have the same values in files, whatever the order of their fields."""
    if one.kind == other.kind == "STRUCT":
        fields = dict(other.fields)
        return len(fields) == len(one.fields) and all(n in fields and same(k, fields[n]) for n, k in one.fields)
    if one.kind == other.kind and one.item is not None and other.item is not None:
        return same(one.item, other.item)
    return one == other


def is_vague(kind: FieldType) -> bool:
    """Tell whether a type has, at any depth, an object or a list of which only empty ones are known: files lack those."""
    if kind.kind == "STRUCT":
        return not kind.fields or any(is_vague(child) for _, child in kind.fields)
    if kind.kind in {"LIST", "MAP"}:
        return kind.item is None or kind.item == NULL or is_vague(kind.item)
    return False


def merged(old: FieldType, new: FieldType) -> FieldType:
    """Return ``old`` with the fields that ``new``, which extends it, adds: in the order in which they came."""
    if old.kind != "STRUCT":
        return new
    kinds = dict(new.fields)
    known = [(name, merged(child, kinds.pop(name))) for name, child in old.fields]
    return FieldType("STRUCT", fields=(*known, *kinds.items()))


def of_value(value: object, depth: int = 0) -> FieldType:  # noqa: C901, PLR0911, PLR0912 - one line a kind
    """Return the narrowest type that a Python value of a payload fits."""
    if depth > _DEEPEST:
        return JSON
    match value:
        case None:
            return NULL
        case bool():
            return BOOLEAN
        case int():
            if -(2**63) <= value < 2**63:
                return BIGINT
            return FieldType("DECIMAL", _LONG, 0) if abs(value) < 10**_LONG else JSON
        case float():
            return DOUBLE
        case Decimal():
            return _decimal(*digits(value))
        case dt.datetime():
            return FieldType("TIMESTAMP" if value.utcoffset() is None else "TIMESTAMPTZ")
        case dt.date():
            return FieldType("DATE")
        case dt.time():
            return FieldType("TIME") if value.tzinfo is None else VARCHAR
        case uuid.UUID():
            return FieldType("UUID")
        case dict():
            return _object((name, of_value(item, depth + 1)) for name, item in value.items())
        case list() | tuple():
            return _list(of_value(item, depth + 1) for item in value)
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
    """Return the type of an object: a STRUCT where its keys can be columns, else JSON."""
    known = tuple(fields)
    names = {name.lower() for name, _ in known}
    if len(names) < len(known) or not all(map(nameable, names)) or len(known) > _WIDEST_STRUCT:
        return JSON
    return FieldType("STRUCT", fields=known)


def nameable(name: str) -> bool:
    """Tell whether a key of a payload can be the name of a column."""
    return bool(name) and "\0" not in name


def _list(items: Iterable[FieldType]) -> FieldType:
    """Return the type of a list of items: of NULL where nothing is known of them."""
    return FieldType("LIST", item=reduce(widen, items, NULL))


def digits(value: Decimal) -> tuple[int, int]:
    """Return how many digits a decimal has before its point, and after it.

    Examples
    --------
    >>> digits(Decimal("12.50")), digits(Decimal("1E+3")), digits(Decimal("0.001"))
    ((2, 2), (4, 0), (0, 3))
    """
    _, figures, exponent = value.as_tuple()
    power = int(exponent)
    return max(len(figures) + power, 0) if value else 0, max(-power, 0)


def _decimal(whole: int, scale: int) -> FieldType:
    """Return a DECIMAL with room for that many digits before and after the point; JSON if there is none.

    Beyond 64 bits it has no room to spare, so that further digits after the point still fit.
    """
    digits = max(whole + scale, _SHORT)
    return FieldType("DECIMAL", digits, scale) if digits <= _LONG else JSON


def widen(old: FieldType, new: FieldType) -> FieldType:  # noqa: PLR0911 - the lattice, a line a case
    """Return the narrowest type that holds what either type held: at worst JSON."""
    if old in (new, JSON) or new == NULL:
        return old
    if old == NULL or new == JSON:
        return new
    kinds = {old.kind, new.kind}
    if kinds == {"STRUCT"}:
        return _widen_struct(old, new)
    if kinds == {"ENUM"}:
        return _widen_enum(old, new)
    if kinds == {"LIST"} and old.item and new.item:
        return FieldType("LIST", item=widen(old.item, new.item))
    if kinds <= {"MAP", "STRUCT"}:
        return FieldType("MAP", item=reduce(widen, (*_values(old), *_values(new)), NULL))
    if kinds <= set(INTEGERS):
        return _widen_integer(old, new)
    if kinds <= _NUMBERS | set(INTEGERS) | {"FLOAT"}:
        return DOUBLE if kinds & {"DOUBLE", "FLOAT"} else _widen_decimal(old, new)
    return VARCHAR if kinds <= TEXTUAL else JSON


def holds(wide: FieldType, narrow: FieldType) -> bool:
    """Tell whether every value that fits ``narrow`` can be read as ``wide``.

    Unlike a widened type, ``wide`` may order the fields of a STRUCT as it likes, and leave some out: what a type does
    not declare stays in the payload.
    """
    if wide.kind == narrow.kind == "STRUCT":
        fields = dict(wide.fields)
        return all(name not in fields or holds(fields[name], kind) for name, kind in narrow.fields)
    if wide.kind == narrow.kind == "ENUM":
        return set(narrow.values) <= set(wide.values)
    if wide.item and narrow.item and wide.kind == narrow.kind:
        return holds(wide.item, narrow.item)
    if wide.item and wide.kind == "MAP" and narrow.kind == "STRUCT":
        return all(holds(wide.item, kind) for _, kind in narrow.fields)
    return widen(narrow, wide) == wide


def _values(kind: FieldType) -> tuple[FieldType, ...]:
    """Return the types of the values of a MAP or a STRUCT."""
    return (kind.item,) if kind.item else tuple(child for _, child in kind.fields)


def _widen_enum(old: FieldType, new: FieldType) -> FieldType:
    """Return the ENUM of the values of both: the larger where one has all values of the other."""
    if set(old.values) <= set(new.values):
        return new
    return replace(old, values=(*old.values, *(value for value in new.values if value not in old.values)))


def _widen_integer(old: FieldType, new: FieldType) -> FieldType:
    """Return the smallest integer type that holds both; DECIMAL(20,0) where none is left."""
    lows, highs = zip(*(bounds(kind.kind) for kind in (old, new)), strict=True)
    for name in sorted(INTEGERS, key=lambda name: (abs(INTEGERS[name]), INTEGERS[name])):
        low, high = bounds(name)
        if low <= min(lows) and max(highs) <= high:
            return FieldType(name)
    return FieldType("DECIMAL", 20, 0)


def bounds(integer: str) -> tuple[int, int]:
    """Return the least and the greatest value of an integer type."""
    bits = INTEGERS[integer]
    return (0, 2**-bits - 1) if bits < 0 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _widen_struct(old: FieldType, new: FieldType) -> FieldType:
    """Return a STRUCT with the fields of both, each as wide as needed."""
    fields = dict(old.fields)
    for name, kind in new.fields:
        fields[name] = widen(fields[name], kind) if name in fields else kind
    return _object(fields.items())


def _widen_decimal(old: FieldType, new: FieldType) -> FieldType:
    """Return the DECIMAL that holds both numbers: one of the two if it can; JSON where 38 digits are too few."""
    (whole, scale), (other_whole, other_scale) = map(_shape, (old, new))
    if new.kind == "DECIMAL" and whole <= other_whole and scale <= other_scale:
        return new
    if old.kind == "DECIMAL" and other_whole <= whole and other_scale <= scale:
        return old
    return _decimal(max(whole, other_whole), max(scale, other_scale))


def _shape(kind: FieldType) -> tuple[int, int]:
    """Return how many digits a number of a type has before its point, and after it, at most."""
    if kind.kind == "DECIMAL":
        return kind.precision - kind.scale, kind.scale
    return _INTEGER_DIGITS[INTEGERS[kind.kind]], 0


def structure(fields: Mapping[str, FieldType]) -> str:
    """Return the structure text by which DuckDB's ``from_json`` reads a payload's fields as they are stored."""
    return json.dumps({name: str(kind) for name, kind in fields.items()}, ensure_ascii=False)
