"""The map between JSON Schema and typed columns: what each property of a contract is as a column, and a column as a property.

``contracts`` has the table. A type is derived from a schema by what every value that fits is sure to be: alternatives are
widened (``types.widen``), parts that must all hold are narrowed, and what no column type covers is kept as JSON.
"""

from __future__ import annotations

import json
from functools import reduce
from typing import TYPE_CHECKING, Any

from eventlab.schemas import types
from eventlab.schemas.types import BIGINT, BOOLEAN, DOUBLE, JSON, NULL, VARCHAR, Field, FieldType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EXACT = "x-duckdb"  # the annotation that keeps a column's type where the schema alone would give another
ANNOTATIONS = frozenset(
    {
        *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment", "$id"),
        *("contentEncoding", "contentMediaType"),
    }
)
KINDS = ("object", "array", "string", "number", "integer", "boolean", "null")  # what a JSON value can be
FORMATS = {  # what a text is by its format; the check of the type says which texts are
    "date": FieldType("DATE"),
    "date-time": FieldType("TIMESTAMPTZ"),
    "time": FieldType("TIME"),
    "uuid": FieldType("UUID"),
}
_FORMAT_OF = {kind.kind: name for name, kind in FORMATS.items()}
_DEEPEST = 20  # levels of a value below which its parts are kept as JSON
_WIDEST = 200  # properties beyond which an object inside a payload is kept as JSON
_HUGE = 10**38  # beyond the integers of a DECIMAL

_DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIMESTAMP = rf"^{_DAY}([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{{1,9}})?)?)?$"
_FLOAT = 3.4028234663852886e38


# ---- columns as a schema


def of_fields(fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return the contract that says what fields say: other fields may come, and are not part of it."""
    document: dict[str, Any] = {"type": "object"}
    if fields:
        document["properties"] = {name: of_type(f.type, null=not f.required) for name, f in fields.items()}
    required = [name for name, field in fields.items() if field.required]
    return {**document, "required": required} if required else document


def of_type(kind: FieldType, *, null: bool = True) -> dict[str, Any]:
    """Return the schema of the JSON values that fit a type, and null with ``null``."""
    schema = _of_kind(kind)
    if kind == NULL and not null:
        return {"not": {}, EXACT: "NULL"}
    if kind == JSON and not null:
        schema = {"type": [name for name in KINDS if name not in {"null", "integer"}]}
    elif null:
        schema = nullable(schema)
    if (_derived(schema, frozenset(KINDS), 0) or JSON) != kind:
        schema[EXACT] = str(kind)
    return schema


def nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that null fits as well, and says so in its ``type`` where it has one."""
    said = schema.get("type")
    if accepts_null(schema):
        return dict(schema)
    if said is None or schema.keys() & {"const", "anyOf", "oneOf", "allOf", "not"}:
        return {"anyOf": [dict(schema), {"type": "null"}]}
    kinds = [said] if isinstance(said, str) else said
    allowed: dict[str, Any] = {"type": kinds if "null" in kinds else [*kinds, "null"]}
    if "enum" in schema:
        allowed["enum"] = [value for value in schema["enum"] if value is not None] + [None]
    return {**schema, **allowed}


def _of_kind(kind: FieldType) -> dict[str, Any]:  # noqa: C901, PLR0911 - one line a kind
    """Return the schema of the values of a type that are not null."""
    if kind.kind in types.INTEGERS:
        low, high = types.bounds(kind.kind)
        return {"type": "integer", "minimum": low, "maximum": high}
    match kind.kind:
        case "NULL":
            return {"type": "null"}
        case "JSON":
            return {}
        case "BOOLEAN":
            return {"type": "boolean"}
        case "DOUBLE":
            return {"type": "number"}
        case "FLOAT":
            return {"type": "number", "minimum": -_FLOAT, "maximum": _FLOAT}
        case "DECIMAL":
            return _of_decimal(kind)
        case "TIMESTAMP":
            return {"type": "string", "pattern": _TIMESTAMP}
        case "ENUM":
            return {"type": "string", "enum": list(kind.values)}
        case "STRUCT":
            return {"type": "object", "properties": {name: of_type(child) for name, child in kind.fields}}
        case "LIST" if kind.item:
            return {"type": "array", "items": of_type(kind.item)}
        case "MAP" if kind.item:
            return {"type": "object", "additionalProperties": of_type(kind.item)}
    return {"type": "string", "format": _FORMAT_OF[kind.kind]} if kind.kind in _FORMAT_OF else {"type": "string"}


def _of_decimal(kind: FieldType) -> dict[str, Any]:
    """Return the schema of a DECIMAL: a number with no more digits than it has, or text that is one."""
    whole, scale = kind.precision - kind.scale, kind.scale
    before = f"0*[0-9]{{1,{whole}}}" if whole else "0+"
    after = rf"\.[0-9]{{1,{scale}}}0*" if scale else r"\.0+"
    return {
        "type": ["number", "string"],
        "exclusiveMinimum": -(10**whole),
        "exclusiveMaximum": 10**whole,
        "multipleOf": float(f"1e-{scale}") if scale else 1,
        "pattern": f"^-?{before}({after})?$",
    }


# ---- a schema as columns


def fields(contract: Mapping[str, Any]) -> dict[str, Field]:
    """Return the typed columns of a contract: one for each property that may be there.

    ``required`` is a field that an event must have and that cannot be null. Properties that only some alternatives declare
    (``anyOf``, ``oneOf``) are columns too.
    """
    struct = _derived(contract, frozenset({"object"}), 0)
    if struct is None or struct.kind != "STRUCT":
        return {}
    return {name: Field(kind, required=_requires(contract, name)) for name, kind in struct.fields}


def _requires(schema: object, name: str) -> bool:
    """Tell whether an object that fits must have a property that is not null."""
    return _demands(schema, name) and _forbids_null(schema, name)


def _demands(schema: object, name: str) -> bool:
    """Tell whether an object that fits is sure to have a property."""
    if not isinstance(schema, dict):
        return schema is False
    branches = [[_demands(branch, name) for branch in schema.get(word, ())] for word in ("anyOf", "oneOf")]
    return (
        name in schema.get("required", ())
        or any(_demands(part, name) for part in schema.get("allOf", ()))
        or any(found and all(found) for found in branches)
    )


def _forbids_null(schema: object, name: str) -> bool:
    """Tell whether a property of an object that fits is sure not to be null."""
    if not isinstance(schema, dict):
        return schema is False
    own = schema.get("properties", {}).get(name, True)
    branches = [[_forbids_null(branch, name) for branch in schema.get(word, ())] for word in ("anyOf", "oneOf")]
    return (
        not accepts_null(own)
        or any(_forbids_null(part, name) for part in schema.get("allOf", ()))
        or any(found and all(found) for found in branches)
    )


def accepts_null(schema: object) -> bool:
    """Tell whether null fits a schema."""
    if not isinstance(schema, dict):
        return schema is True
    said = schema.get("type", "null")
    one = [accepts_null(branch) for branch in schema.get("oneOf", ())]
    return (
        "null" in ([said] if isinstance(said, str) else said)
        and None in schema.get("enum", (None,))
        and schema.get("const") is None
        and all(accepts_null(part) for part in schema.get("allOf", ()))
        and any(accepts_null(part) for part in schema.get("anyOf", (True,)))
        and (not one or sum(one) == 1)
        and not ("not" in schema and accepts_null(schema["not"]))
    )


def _derived(schema: object, allowed: frozenset[str], depth: int) -> FieldType | None:
    """Return the type of the values of a schema that are of the ``allowed`` kinds; None where nothing is said."""
    if not isinstance(schema, dict):
        return NULL if schema is False else None
    if EXACT in schema:
        return types.parse(schema[EXACT])
    if depth > _DEEPEST:
        return JSON
    said = schema.get("type")
    if said is not None:
        allowed &= _kinds(said)
    parts = [_own(schema, allowed, depth)]
    parts += [_derived(part, allowed, depth) for part in schema.get("allOf", ())]
    parts += [_either(schema[word], allowed, depth) for word in ("anyOf", "oneOf") if word in schema]
    return reduce(_narrowed, parts)


def _kinds(said: str | list[str]) -> frozenset[str]:
    """Return the kinds of values that a ``type`` names: every integer is a number."""
    named = frozenset([said] if isinstance(said, str) else said)
    return named | {"integer"} if "number" in named else named


def _either(branches: Iterable[object], allowed: frozenset[str], depth: int) -> FieldType | None:
    """Return the type that holds the values of every alternative; None if one of them may be anything."""
    found = [_derived(branch, allowed, depth) for branch in branches]
    known = [kind for kind in found if kind is not None]
    return reduce(types.widen, known, NULL) if len(known) == len(found) else None


def _narrowed(one: FieldType | None, other: FieldType | None) -> FieldType | None:
    """Return the type of values that fit both types."""
    if one is None or one in (other, JSON):
        return one if other is None else other
    if other is None or other == JSON:
        return one
    if one.kind == other.kind == "STRUCT":
        both = dict(one.fields)
        for name, kind in other.fields:
            both[name] = _narrowed(both.get(name), kind) or JSON
        return _struct(both.items())
    if types.holds(one, other):
        return other
    return one if types.holds(other, one) else JSON


def _own(schema: Mapping[str, Any], allowed: frozenset[str], depth: int) -> FieldType | None:  # noqa: PLR0911 - a line a kind
    """Return the type that a schema says itself, without its alternatives and parts."""
    if "const" in schema or "enum" in schema:
        return _of_values(schema["enum"] if "enum" in schema else [schema["const"]])
    match sorted(allowed - {"null"}):
        case []:
            return NULL
        case ["object"]:
            return _of_object(schema, depth)
        case ["array"]:
            return FieldType("LIST", item=_of_items(schema, depth))
        case ["string"]:
            return FORMATS.get(schema.get("format", ""), VARCHAR)
        case ["boolean"]:
            return BOOLEAN
        case ["integer"]:
            return _of_range(schema)
        case ["integer", "number"]:
            return DOUBLE
    return None


def _of_values(values: Iterable[object]) -> FieldType:
    """Return the type of the values of an ``enum``: an ENUM if all are texts."""
    said = [value for value in values if value is not None]
    texts = [value for value in said if isinstance(value, str)]
    if texts and len(texts) == len(said):
        return FieldType("ENUM", values=tuple(texts)) if all(map(types.nameable, texts)) else VARCHAR
    return reduce(types.widen, map(types.of_value, said), NULL)


def _of_range(schema: Mapping[str, Any]) -> FieldType:
    """Return the type of integers: BIGINT, or what holds the larger bounds that are said."""
    low, high = types.bounds("BIGINT")
    said = [schema[name] for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if name in schema]
    if all(low <= bound <= high + 1 for bound in said):
        return BIGINT
    return FieldType("DECIMAL", 38, 0) if all(-_HUGE <= bound <= _HUGE for bound in said) else JSON


def _of_items(schema: Mapping[str, Any], depth: int) -> FieldType:
    """Return the type of the items of an array."""
    parts = [*schema.get("prefixItems", ()), schema.get("items", True)]
    found = [_derived(part, frozenset(KINDS), depth + 1) for part in parts if part is not False]
    return reduce(types.widen, (kind or JSON for kind in found), NULL)


def _of_object(schema: Mapping[str, Any], depth: int) -> FieldType | None:
    """Return a STRUCT of the properties that are said; a MAP where only what others are is said."""
    said = {name: part for name, part in schema.get("properties", {}).items() if part is not False}
    if said:
        found = ((name, _derived(part, frozenset(KINDS), depth + 1) or JSON) for name, part in said.items())
        return _struct(found, whole=depth == 0)
    others = schema.get("additionalProperties", True)
    parts = [*schema.get("patternProperties", {}).values(), *([] if others is False else [others])]
    found_parts = [_derived(part, frozenset(KINDS), depth + 1) or JSON for part in parts]
    return FieldType("MAP", item=reduce(types.widen, found_parts)) if _maps(schema) else JSON


def _maps(schema: Mapping[str, Any]) -> bool:
    """Tell whether something is said of the values of all keys of an object."""
    others = schema.get("additionalProperties", True)
    if isinstance(others, dict):
        return EXACT in others or not all(map(is_annotation, others))
    return others is False and "patternProperties" in schema


def _struct(parts: Iterable[tuple[str, FieldType]], *, whole: bool = True) -> FieldType:
    """Return a STRUCT of fields; JSON where they could not be columns beside each other."""
    known = tuple(parts)
    names = {name.lower() for name, _ in known}
    if len(names) < len(known) or not all(map(types.nameable, names)) or (len(known) > _WIDEST and not whole):
        return JSON
    return FieldType("STRUCT", fields=known)


# ---- whether types say all


def plain(contract: Mapping[str, Any]) -> bool:
    """Tell whether the types of its fields, and which are required, say all that a contract says."""
    return _bare(contract) == _bare(of_fields(fields(contract)))


def _bare(schema: object) -> object:
    """Return a schema without what does not change which values fit the columns, in one order."""
    if not isinstance(schema, dict):
        return {} if schema is True else schema
    said = {key: value for key, value in schema.items() if not is_annotation(key)}
    low, high = types.bounds("BIGINT")
    if said.get("minimum") == low and said.get("maximum") == high:
        del said["minimum"], said["maximum"]
    for key, value in said.items():
        said[key] = _bare_value(key, value)
    return {key: value for key, value in said.items() if value or key not in {"required", "properties"}}


def _bare_value(key: str, value: Any) -> object:  # noqa: ANN401 - of a schema
    """Return the value of one keyword in one order."""
    match key:
        case "type":
            return sorted([value] if isinstance(value, str) else value)
        case "required":
            return sorted(value)
        case "enum":
            return sorted(map(json.dumps, value))
        case "properties" | "patternProperties":
            return {name: _bare(part) for name, part in value.items()}
        case "items" | "additionalProperties" | "not":
            return _bare(value)
    return value


def is_annotation(key: str) -> bool:
    """Tell whether a keyword says nothing about which values fit."""
    return key in ANNOTATIONS or key.startswith("x-")
