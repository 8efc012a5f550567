"""What a person gives as the schema of an event type, as a contract: a JSON Schema 2020-12 in normal form.

Each property of a contract is a typed column::

    JSON Schema                                       DuckDB              Arrow                  Python
    type: integer                                     BIGINT              int64                  int
      with bounds beyond 64 bits                      DECIMAL(38,0)       decimal128(38, 0)      Decimal
    type: number                                      DOUBLE              double                 float
    type: boolean                                     BOOLEAN             bool                   bool
    type: string                                      VARCHAR             string                 str
      format: date                                    DATE                date32                 date
      format: date-time                               TIMESTAMPTZ         timestamp[us, zone]    datetime
      format: time                                    TIME                time64[us]             time
      format: uuid                                    UUID                string                 UUID
      enum or const of texts                          ENUM('a', 'b')      dictionary of string   Literal["a", "b"]
    type: array, items or prefixItems                 BIGINT[]            list<int64>            list[int]
    type: object, properties                          STRUCT(a BIGINT)    struct<a: int64>       a class of its own
    type: object, additionalProperties with a schema  MAP(VARCHAR, …)     map<string, …>         dict[str, …]
    type: object alone, mixed types, {}               JSON                string                 Any
    number, or decimal text; x-duckdb                 DECIMAL(18,2)       decimal128(18, 2)      Decimal
    text in ISO 8601 without an offset; x-duckdb      TIMESTAMP           timestamp[us]          datetime
    bounds of 8, 16 or 32 bits, or unsigned; x-duckdb TINYINT … UBIGINT   int8 … uint64          int
    bounds of single precision; x-duckdb              FLOAT               float                  float

``x-duckdb`` on a property names its column's type where the schema alone would give another; one that contradicts the schema is
refused. A column is NOT NULL if the property is in ``required`` and null does not fit. Alternatives (``anyOf``, ``oneOf``,
``enum``) have the type that holds them all, at worst JSON; of ``allOf`` the narrowest holds. A property ``false`` has no column.

A text of a format with a column is what the column reads: ``date-time`` may lack its offset (the log's zone is meant) and its time,
``time`` has no offset, where RFC 3339 asks for one. Beyond that JSON Schema is wider than its column in three ways, and the column
is the stricter: 1.0 is an ``integer``, an integer may be beyond a DOUBLE, and a local day may be one that no calendar has.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from eventlab.errors import EventlabError, SchemaInvalid
from eventlab.schemas import classes, declarations, documents, types
from eventlab.schemas.properties import fields, of_fields, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["contract", "fields", "of_fields", "plain"]

_FORMS = (
    "a dict of DuckDB types, a JSON Schema (a dict or JSON text), a dataclass, a pydantic model or a msgspec Struct"
)


def contract(given: object, *, event_type: str) -> dict[str, Any]:
    """Return what is given as a contract: checked, without references, the root an object.

    Parameters
    ----------
    given
        A dict of DuckDB types, a JSON Schema of 2020-12 (a dict, or its JSON text), or a class: a dataclass, a pydantic model
        or a msgspec Struct. A dict is a JSON Schema if its ``type`` is ``"object"``, it has ``$schema`` or ``$ref``, or it has
        a keyword of JSON Schema whose value is no text; else it is of DuckDB types.
    event_type
        What errors name.

    Raises
    ------
    SchemaInvalid
        If it is none of these, or one that no typed columns can be made of.

    Examples
    --------
    >>> contract({"customer": "VARCHAR NOT NULL", "items": "BIGINT[]"}, event_type="OrderPlaced")["required"]
    ['customer']
    """
    if isinstance(given, str):
        given = _read(given, event_type)
    if isinstance(given, dict):
        return documents.normal(given, event_type) if _is_schema(given) else _of_types(given, event_type)
    if classes.is_form(given):
        return documents.normal(classes.schema(given, event_type), event_type)
    message = f"{event_type}: {_shown(given)} is no schema"
    hint = "Give the class, not one of its objects." if classes.is_form(type(given)) else f"Give {_FORMS}."
    raise SchemaInvalid(message, hint=hint)


def _read(text: str, event_type: str) -> object:
    """Return what JSON text says."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaInvalid(
            f"{event_type}: the text of the schema is no JSON: {error}", hint=f"Give {_FORMS}."
        ) from None


def _is_schema(given: Mapping[Any, Any]) -> bool:
    """Tell whether a dict is a JSON Schema, and none of DuckDB types."""
    if given.get("type") == "object" or "$schema" in given or "$ref" in given:
        return True
    return any(key in documents.KEYWORDS and not isinstance(value, str) for key, value in given.items())


def _of_types(given: Mapping[Any, Any], event_type: str) -> dict[str, Any]:
    """Return the contract of a dict of DuckDB types."""
    declared = {}
    for name, text in given.items():
        if not isinstance(name, str):
            raise SchemaInvalid(f"{event_type}: {name!r} cannot name a field", hint="The name of a field is text.")
        try:
            declared[name] = types.field(text)
        except EventlabError as error:
            raise SchemaInvalid(f"{event_type}.{name}: {error.message}", hint=error.hint) from None
    found = of_fields(declared)
    declarations.check_names(found, event_type)
    return found


def _shown(given: object) -> str:
    """Return a value as an error shows it: a class by its name, anything else short."""
    text = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
    return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004 - a line's worth
