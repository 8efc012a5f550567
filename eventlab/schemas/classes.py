"""Classes as JSON Schema: dataclasses, msgspec Structs and pydantic models.

What a class says is what Python means by it: a ``Decimal`` is a number or decimal text, a ``datetime`` is local if it is said
to be naive, a ``timedelta`` may be negative. ``x-duckdb`` in the annotations of a field names its column's type.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, get_origin

import msgspec
from msgspec import inspect

from eventlab.errors import EventlabError, SchemaInvalid
from eventlab.schemas import properties, types
from eventlab.schemas.types import FieldType

if TYPE_CHECKING:
    from collections.abc import Callable

Schema = dict[str, Any]

DECIMAL = FieldType("DECIMAL", 38, 18)  # of a Decimal whose digits are not said
_DURATION = {"type": "string", "pattern": "^[+-]?P"}  # JSON Schema's format has no fractions of a second, and no sign
_SHAPE = frozenset(
    {"type", "anyOf", "format", "pattern", "enum", "items", "properties", "additionalProperties", "multipleOf"}
)
_ERRORS = (TypeError, ValueError, RuntimeError, NameError)  # what a class that is no schema raises


def is_form(given: object) -> bool:
    """Tell whether a value is a class of one of the kinds."""
    return _maker(get_origin(given) or given) is not None


def schema(given: Any, where: str) -> Schema:  # noqa: ANN401 - a class of one of the kinds
    """Return the JSON Schema of a class, by the names that its fields have in JSON.

    Raises
    ------
    SchemaInvalid
        If the class has a field that JSON Schema cannot describe, or is inside itself.
    """
    origin = get_origin(given) or given
    make = _maker(origin)
    assert make is not None, "is_form() comes first"  # noqa: S101 - for the type checker
    try:
        return make(given)
    except EventlabError as error:
        raise SchemaInvalid(f"{where}: {error.message}", hint=error.hint) from None
    except _ERRORS as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        message = f"{where}: {origin.__name__} has no JSON Schema: {reason}"
        raise SchemaInvalid(message, hint="Give its fields types that JSON has, or write the JSON Schema.") from error


def _maker(given: object) -> Callable[[Any], Schema] | None:
    """Return what makes the JSON Schema of a class; None if it is of none of the kinds."""
    if not isinstance(given, type):
        return None
    if hasattr(given, "__pydantic_validator__") and hasattr(given, "model_json_schema"):
        return _of_model
    return _of_class if issubclass(given, msgspec.Struct) or dataclasses.is_dataclass(given) else None


def exact(said: Schema) -> Schema:
    """Return a schema as the type that its ``x-duckdb`` names has it, with what else it says.

    A class says the type beside a Python type that has other rules, like ``DECIMAL(18,2)`` beside ``Decimal``.
    """
    if properties.EXACT not in said:
        return said
    kind = types.field(said[properties.EXACT]).type
    rules = properties.of_type(kind, null=properties.accepts_null(said))
    rest = {key: value for key, value in said.items() if key not in _SHAPE and key != properties.EXACT}
    for key, tighter in (("exclusiveMinimum", max), ("exclusiveMaximum", min)):
        if key in rest and key in rules:
            rest[key] = tighter(rest[key], rules[key])
    return {**rules, **rest}


# ---- dataclasses and Structs


def _of_class(given: object) -> Schema:
    """Return the schema of a dataclass or a Struct."""
    return _of(inspect.type_info(given), ())


def _of(kind: inspect.Type, within: tuple[type, ...]) -> Schema:  # noqa: C901, PLR0911, PLR0912 - one line a kind
    """Return the schema of a type as msgspec sees it. ``within``: the classes around it."""
    match kind:
        case inspect.Metadata():
            return exact({**_of(kind.type, within), **(kind.extra_json_schema or {})})
        case inspect.AnyType() | inspect.RawType():
            return {}
        case inspect.NoneType():
            return {"type": "null"}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType():
            return {"type": "integer", **_limits(kind)}
        case inspect.FloatType():
            return {"type": "number", **_limits(kind)}
        case inspect.StrType():
            pattern = {} if kind.pattern is None else {"pattern": kind.pattern}
            return {"type": "string", **_sizes(kind, "Length"), **pattern}
        case inspect.BytesType() | inspect.ByteArrayType() | inspect.MemoryViewType():
            return {"type": "string", "contentEncoding": "base64"}
        case inspect.DateTimeType():
            return properties.of_type(FieldType("TIMESTAMP" if kind.tz is False else "TIMESTAMPTZ"), null=False)
        case inspect.TimeType():
            return {"type": "string"} if kind.tz else properties.of_type(FieldType("TIME"), null=False)
        case inspect.DateType():
            return {"type": "string", "format": "date"}
        case inspect.TimeDeltaType():
            return dict(_DURATION)
        case inspect.UUIDType():
            return {"type": "string", "format": "uuid"}
        case inspect.DecimalType():
            return properties.of_type(DECIMAL, null=False)
        case inspect.EnumType():
            return _one_of([member.value for member in kind.cls])
        case inspect.LiteralType():
            return _one_of(list(kind.values))
        case inspect.UnionType():
            return _union([_of(part, within) for part in kind.types])
        case inspect.CollectionType():
            unique = {"uniqueItems": True} if isinstance(kind, (inspect.SetType, inspect.FrozenSetType)) else {}
            return {"type": "array", "items": _of(kind.item_type, within), **_sizes(kind, "Items"), **unique}
        case inspect.TupleType():
            return _tuple([_of(part, within) for part in kind.item_types])
        case inspect.DictType():
            return {
                "type": "object",
                "additionalProperties": _of(kind.value_type, within),
                **_sizes(kind, "Properties"),
            }
        case inspect.NamedTupleType():
            return _tuple([_of(field.type, within) for field in kind.fields])
        case inspect.TypedDictType() | inspect.DataclassType() | inspect.StructType():
            return _object(kind, within)
    message = f"a field cannot be {getattr(kind, 'cls', type(kind)).__name__}"
    raise SchemaInvalid(message, hint="Give it a type that JSON has, or Any.")


def _limits(kind: inspect.IntType | inspect.FloatType) -> Schema:
    """Return the bounds of a number."""
    said = {
        "minimum": kind.ge,
        "exclusiveMinimum": kind.gt,
        "maximum": kind.le,
        "exclusiveMaximum": kind.lt,
        "multipleOf": kind.multiple_of,
    }
    return {key: value for key, value in said.items() if value is not None}


def _sizes(kind: Any, of: str) -> Schema:  # noqa: ANN401 - any of msgspec's types with sizes
    """Return how long a text, a list or an object may be."""
    said = {f"min{of}": kind.min_length, f"max{of}": kind.max_length}
    return {key: value for key, value in said.items() if value is not None}


def _one_of(values: list[Any]) -> Schema:
    """Return the schema of some values: of a text where all are texts."""
    texts = all(isinstance(value, str) for value in values)
    return {"type": "string", "enum": values} if texts else {"enum": values}


def _union(parts: list[Schema]) -> Schema:
    """Return the schema of what fits any of several."""
    some = [part for part in parts if part != {"type": "null"}]
    either = some[0] if len(some) == 1 else {"anyOf": some}
    return either if len(some) == len(parts) else properties.nullable(either)


def _tuple(parts: list[Schema]) -> Schema:
    """Return the schema of a list with a schema for each place."""
    return {"type": "array", "prefixItems": parts, "items": False, "minItems": len(parts), "maxItems": len(parts)}


def _object(
    kind: inspect.TypedDictType | inspect.DataclassType | inspect.StructType, within: tuple[type, ...]
) -> Schema:
    """Return the schema of an object with named fields.

    Raises
    ------
    SchemaInvalid
        If it is inside itself.
    """
    if kind.cls in within:
        message = f"{kind.cls.__name__} is inside itself: a recursive class"
        raise SchemaInvalid(message, hint="A column has no endless depth: give the inner field the type Any or dict.")
    inner = (*within, kind.cls)
    said = {field.encode_name: _of(field.type, inner) for field in kind.fields}
    if isinstance(kind, inspect.StructType) and kind.array_like:
        return _tuple(list(said.values()))
    required = [field.encode_name for field in kind.fields if field.required]
    closed = {}
    if isinstance(kind, inspect.StructType):
        closed = {"additionalProperties": False} if kind.forbid_unknown_fields else {}
        if kind.tag_field is not None:
            said = {kind.tag_field: _one_of([kind.tag]), **said}
            required = [kind.tag_field, *required]
    return {"type": "object", "properties": said, **({"required": required} if required else {}), **closed}


# ---- pydantic


def _of_model(given: Any) -> Schema:  # noqa: ANN401 - a class that we do not import
    """Return the schema by which a pydantic model validates."""
    said: Schema = _plain(given.model_json_schema(by_alias=True, mode="validation", schema_generator=_generator()))
    return said


def _plain(said: Any) -> Any:  # noqa: ANN401 - decoded JSON
    """Return a schema without what pydantic adds for OpenAPI, with each ``x-duckdb`` followed."""
    if isinstance(said, list):
        return [_plain(part) for part in said]
    if not isinstance(said, dict):
        return said
    return exact({key: _plain(value) for key, value in said.items() if key != "discriminator"})


@functools.cache
def _generator() -> type[Any]:
    """Return pydantic's generator of JSON Schema with our decimals, times and nulls; pydantic is imported only here."""
    from pydantic.json_schema import GenerateJsonSchema  # noqa: PLC0415 - only who gives a model needs it

    class Generator(GenerateJsonSchema):
        """Pydantic's JSON Schema, with Python's instants, times and decimals."""

        def decimal_schema(self, schema: Any) -> Schema:  # noqa: ANN401 - pydantic's
            digits, places = schema.get("max_digits"), schema.get("decimal_places")
            if digits is not None and digits > DECIMAL.precision:
                return super().decimal_schema(schema)
            precision = DECIMAL.precision if digits is None else digits
            kind = FieldType("DECIMAL", precision, min(DECIMAL.scale, precision) if places is None else places)
            names = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
            limits = {name: float(schema[key]) for key, name in names.items() if key in schema}
            return exact({**properties.of_type(kind, null=False), **limits})

        def datetime_schema(self, schema: Any) -> Schema:  # noqa: ANN401 - pydantic's
            naive = schema.get("tz_constraint") == "naive"
            return properties.of_type(FieldType("TIMESTAMP" if naive else "TIMESTAMPTZ"), null=False)

        def timedelta_schema(self, schema: Any) -> Schema:  # noqa: ANN401, ARG002 - pydantic's
            return dict(_DURATION)

        def nullable_schema(self, schema: Any) -> Schema:  # noqa: ANN401 - pydantic's
            return properties.nullable(self.generate_inner(schema["schema"]))

    return Generator
