"""Whether the properties that a contract declares can be typed columns, and what it says of them agrees with itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from eventlab.errors import EventlabError, SchemaInvalid, near
from eventlab.schemas import properties, references, types

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from eventlab.schemas.references import Path

_ALTERNATIVES = ("allOf", "anyOf", "oneOf")  # whose schemas speak of the same value
_OF_FORMATS = {  # the column types that texts of a format fit; VARCHAR besides
    "date": {"DATE", "TIMESTAMP", "TIMESTAMPTZ"},
    "date-time": {"TIMESTAMP", "TIMESTAMPTZ"},
    "time": {"TIME"},
    "uuid": {"UUID"},
}
_OF_COLUMNS = {  # the kinds of JSON values that fit a column type
    "NULL": {"null"},
    "BOOLEAN": {"boolean"},
    "FLOAT": {"number", "integer"},
    "DOUBLE": {"number", "integer"},
    "DECIMAL": {"number", "integer", "string"},
    "STRUCT": {"object"},
    "MAP": {"object"},
    "LIST": {"array"},
    **{name: {"integer"} for name in types.INTEGERS},
    **{name: {"string"} for name in types.TEXTUAL},
}


def check_root(root: Mapping[str, Any], where: str) -> None:
    """Raise SchemaInvalid unless a schema is of objects, and leaves their columns to its properties."""
    said = root.get("type", "object")
    if said not in ("object", ["object"]):
        message = f"{where}: the root of the schema is of type {said!r}, and the payload of an event is an object"
        raise SchemaInvalid(message, hint='Write {"type": "object", "properties": {…}}.')
    if properties.EXACT in root:
        message = f"{where}: the root of the schema has {properties.EXACT}, and a payload is no column"
        raise SchemaInvalid(message, hint="Write it on a property.")


def check(contract: dict[str, Any], where: str) -> None:
    """Raise SchemaInvalid if properties cannot be columns, or what is said of one contradicts itself."""
    check_names(contract, where)
    for path, schema in references.schemas(contract, where):
        if properties.EXACT in schema:
            _check_exact(schema, f"{where}: {properties.EXACT} at {references.pointer(path)}")
    _check_required(contract, (), where)


def check_names(contract: Mapping[str, Any], where: str) -> None:
    """Raise SchemaInvalid if the properties of the payload could not be columns beside each other."""
    seen: dict[str, str] = {}
    for name in _declared(contract):
        if not types.nameable(name):
            message = f"{where}: {name!r} cannot name a field"
            raise SchemaInvalid(message, hint="The name of a field is text that is not empty.")
        other = seen.setdefault(name.lower(), name)
        if other != name:
            message = f"{where}: the fields {other!r} and {name!r} differ by case only"
            raise SchemaInvalid(message, hint="Column names are case-insensitive; give one of them another name.")


def _check_exact(schema: Mapping[str, Any], where: str) -> None:
    """Raise SchemaInvalid unless ``x-duckdb`` is a type that the schema beside it agrees with."""
    text = schema[properties.EXACT]
    try:
        field = types.field(text)
    except EventlabError as error:
        raise SchemaInvalid(f"{where}: {error.message}", hint=error.hint) from None
    if field.required:
        message = f"{where}: {text!r} is more than a type: NOT NULL"
        raise SchemaInvalid(message, hint='List the property in "required", and leave null out of its "type".')
    reason = _contradiction(schema, field.type)
    if reason:
        message = f"{where}: {text!r} contradicts the schema: {reason}"
        hint = f"Leave {properties.EXACT} out, or name a type that holds what the schema says."
        raise SchemaInvalid(message, hint=hint)


def _contradiction(schema: object, kind: types.FieldType) -> str | None:
    """Return why values that fit a schema do not fit a type; None where nothing says so."""
    if not isinstance(schema, dict) or kind == types.JSON:
        return None
    fitting = _OF_COLUMNS[kind.kind]
    said = schema.get("type", [])
    for name in [said] if isinstance(said, str) else said:
        if name not in fitting and name != "null":
            return f"type {name!r} is no {kind}"
    columns = _OF_FORMATS.get(schema.get("format", ""))
    if columns is not None and kind.kind in types.TEXTUAL - columns - {"VARCHAR"}:
        return f"format {schema['format']!r} is no {kind}"
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    others = [value for value in values if value is not None and value not in kind.values]
    if kind.kind == "ENUM" and others:
        return f"{others[0]!r} is no value of {kind}"
    return next((reason for part, inner in _inside(schema, kind) if (reason := _contradiction(part, inner))), None)


def _inside(schema: Mapping[str, Any], kind: types.FieldType) -> Iterator[tuple[Any, types.FieldType]]:
    """Yield the schemas of parts of a value, with the type that each would have."""
    said = schema.get("properties", {})
    yield from ((said[name], inner) for name, inner in kind.fields if name in said)
    if kind.item is not None:
        parts: Iterable[Any] = said.values() if kind.kind == "MAP" else schema.get("prefixItems", ())
        rest = schema.get("additionalProperties" if kind.kind == "MAP" else "items", True)
        yield from ((part, kind.item) for part in (*parts, rest))


def _check_required(schema: object, path: Path, where: str) -> None:
    """Raise SchemaInvalid if an object must have what it does not declare, at any depth."""
    if not isinstance(schema, dict):
        return
    known = dict.fromkeys(_declared(schema))
    absent = [] if _is_map(schema) else [name for name in _needed(schema) if name not in known]
    if absent:
        matches = near(absent[0], known)
        guess = f" Did you mean {matches[0]!r}?" if matches else ""
        message = f"{where}: {absent[0]!r} is required at {references.pointer(path)}, and is no property there.{guess}"
        raise SchemaInvalid(message, hint=f'Declare it: "properties": {{{json.dumps(absent[0])}: {{}}}}.')
    for step, part in _values(schema):
        _check_required(part, (*path, *step), where)


def _values(schema: object) -> Iterator[tuple[Path, Any]]:
    """Yield the schemas of the parts of a value, those that its alternatives say too."""
    if not isinstance(schema, dict):
        return
    for key in ("properties", "patternProperties"):
        yield from (((key, name), part) for name, part in schema.get(key, {}).items())
    yield from (((key,), schema[key]) for key in ("additionalProperties", "items") if key in schema)
    yield from ((("prefixItems", index), part) for index, part in enumerate(schema.get("prefixItems", ())))
    for key in _ALTERNATIVES:
        for index, branch in enumerate(schema.get(key, ())):
            yield from (((key, index, *step), part) for step, part in _values(branch))


def _declared(schema: object) -> Iterator[str]:
    """Yield the names of the properties of an object, those that its alternatives declare too."""
    if isinstance(schema, dict):
        yield from schema.get("properties", ())
        yield from (name for key in _ALTERNATIVES for part in schema.get(key, ()) for name in _declared(part))


def _needed(schema: object) -> Iterator[str]:
    """Yield the names that an object must have, in any of its alternatives."""
    if isinstance(schema, dict):
        yield from schema.get("required", ())
        yield from (name for key in _ALTERNATIVES for part in schema.get(key, ()) for name in _needed(part))


def _is_map(schema: object) -> bool:
    """Tell whether an object may have, by its own word, keys that it does not name."""
    return isinstance(schema, dict) and (
        "patternProperties" in schema
        or schema.get("additionalProperties", False) is not False
        or any(_is_map(part) for key in _ALTERNATIVES for part in schema.get(key, ()))
    )
