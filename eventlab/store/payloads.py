"""How typed columns are said in JSON, exactly, and which types of fields they become."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from eventlab import queries
from eventlab.schemas import types
from eventlab.schemas.types import FieldType

if TYPE_CHECKING:
    from collections.abc import Mapping

INTEGERS = frozenset({"tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger"})
WIDE = frozenset({"ubigint", "hugeint", "uhugeint"})
_NAIVE = frozenset({"timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"})


class Said(NamedTuple):
    """A column as ``to_json`` takes it: the SQL, the type of field that it becomes, whether a float is nested in it."""

    sql: str
    kind: FieldType
    floats: bool = False


def said(sql: str, native: queries.Type, depth: int = 0) -> Said:  # noqa: C901, PLR0911, PLR0912 - one line a kind
    """Return the SQL of a column in the form that its JSON shall have.

    Instants are ISO 8601 in UTC with ``Z``, times without a zone ISO 8601 with ``T``, bytes base64, and a FLOAT the
    shortest number that reads as itself.
    """
    name = native.id
    if str(native) == "JSON":
        return Said(sql, types.JSON, floats=True)
    if name in INTEGERS:
        return Said(sql, types.BIGINT)
    if name in WIDE:
        return Said(sql, FieldType("DECIMAL", 38, 0))
    if name in _NAIVE:
        return Said(f"replace(({sql})::varchar, ' ', 'T')", FieldType("TIMESTAMP"))
    match name:
        case "boolean" | "uuid" | "date":
            return Said(sql, FieldType(name.upper()))
        case "decimal":
            return Said(sql, types.parse(str(native)))
        case "float":
            return Said(f"({sql})::varchar::double", types.DOUBLE, floats=True)
        case "double":
            return Said(sql, types.DOUBLE, floats=True)
        case "timestamp with time zone":
            return Said(f"replace((({sql}) at time zone 'UTC')::varchar, ' ', 'T') || 'Z'", FieldType("TIMESTAMPTZ"))
        case "blob":
            return Said(f"base64({sql})", types.VARCHAR)
        case "time":
            return Said(f"({sql})::varchar", FieldType("TIME"))
        case "list" | "array":
            return _listed(sql, native, depth)
        case "struct":
            return _packed(sql, native, depth)
        case "map" if str(native.children[0][1]) == "VARCHAR":
            return _mapped(sql, native, depth)
        case '"null"' | "null":
            return Said(sql, types.NULL)
        case "union":
            return Said(sql, types.JSON, floats=True)
    return Said(f"({sql})::varchar", types.VARCHAR)


def _listed(sql: str, native: queries.Type, depth: int) -> Said:
    """Return a list with each of its items said."""
    item = f"item{depth}"
    inner = said(item, child(native, 0), depth + 1)
    kind = types.NULL if inner.kind == types.NULL else FieldType("LIST", item=inner.kind)
    if inner.sql == item:
        return Said(sql, kind, inner.floats)
    return Said(f"list_transform(({sql})::{_as_list(native)}, lambda {item}: {inner.sql})", kind, inner.floats)


def _as_list(native: queries.Type) -> str:
    """Return the LIST type of a list or of an array of fixed size."""
    return f"{child(native, 0)}[]"


def child(native: queries.Type, index: int) -> queries.Type:
    """Return a type that another is made of."""
    return cast("queries.Type", native.children[index][1])


def _packed(sql: str, native: queries.Type, depth: int) -> Said:
    """Return a STRUCT with each of its fields said."""
    parts = {
        name: said(f"({sql}).{queries.identifier(name)}", child(native, index), depth)
        for index, (name, _) in enumerate(native.children)
    }
    kind = types.struct((name, part.kind) for name, part in parts.items()) or types.NULL
    floats = any(part.floats for part in parts.values())
    return Said(f"case when ({sql}) is not null then {packed(parts)} end", kind, floats)


def _mapped(sql: str, native: queries.Type, depth: int) -> Said:
    """Return a MAP with each of its values said."""
    item = f"item{depth}"
    inner = said(item, child(native, 1), depth + 1)
    values = f"list_transform(map_values({sql}), lambda {item}: {inner.sql})"
    text = f"case when ({sql}) is not null then map(map_keys({sql}), {values}) end"
    return Said(text, FieldType("MAP", item=inner.kind), inner.floats)


def packed(parts: Mapping[str, Said]) -> str:
    """Return the SQL of a STRUCT of those parts."""
    return f"struct_pack({', '.join(f'{queries.identifier(name)} := {part.sql}' for name, part in parts.items())})"
