"""A JSON Schema as a contract: checked, and in its normal form, in which nothing refers to anything else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from eventlab.errors import SchemaInvalid, near
from eventlab.schemas import declarations, properties, references

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventlab.schemas.references import Path

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_RULES = frozenset(
    {
        *("type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "pattern", "format", "required", "minProperties", "maxProperties"),
        *("minItems", "maxItems", "uniqueItems"),
    }
)
KEYWORDS = frozenset({"$schema", "$ref", *references.PLACES, *_RULES, *properties.ANNOTATIONS})
CHECKED_FORMATS = frozenset(
    {
        *("date", "date-time", "time", "duration", "uuid", "email", "idn-email", "hostname", "idn-hostname"),
        *("ipv4", "ipv6", "uri", "uri-reference", "uri-template", "iri", "iri-reference", "regex"),
        *("json-pointer", "relative-json-pointer"),
    }
)
NOTED_FORMATS = frozenset(  # of OpenAPI and pydantic, which validators take for a remark
    {
        *("int32", "int64", "float", "double", "byte", "binary", "password", "decimal", "base64url"),
        *("json-string", "path", "file-path", "directory-path"),
    }
)


def normal(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a JSON Schema as a contract: references inlined, the root an object, without ``$schema`` and ``$defs``.

    Parameters
    ----------
    given
        The schema, of JSON Schema 2020-12.
    where
        What it is of, as an error names it.

    Raises
    ------
    SchemaInvalid
        If it is no valid JSON Schema, refers to what is not in it or to itself, uses a keyword or a format that is not
        supported, or is not of an object whose properties can be columns.
    """
    document = _as_json(given, where)
    _check_dialect(document, where)
    for path, schema in references.schemas(document, where):
        _check_keywords(schema, path, where)
    _check_meta(document, where)
    root = references.inlined(document, where)
    root.pop("$schema", None)
    declarations.check_root(root, where)
    contract = {**root, "type": "object"} if "type" in root else {"type": "object", **root}
    declarations.check(contract, where)
    _check_compiles(contract, where)
    _check_satisfiable(contract, where)
    return contract


def _as_json(given: object, where: str) -> dict[str, Any]:
    """Return a copy of a schema as the JSON document that it is."""
    try:
        text = json.dumps(given, allow_nan=False, ensure_ascii=False)
        text.encode()  # no half of a character that no file could hold
        document = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"{where}: the schema is no JSON: {error}"
        raise SchemaInvalid(
            message, hint="A JSON Schema has texts, numbers, booleans, null, lists and objects."
        ) from None
    if not isinstance(document, dict):
        raise SchemaInvalid(f"{where}: the schema is no object", hint='Write {"type": "object", "properties": {…}}.')
    return document


def _check_dialect(document: Mapping[str, Any], where: str) -> None:
    """Raise SchemaInvalid if a schema says that it is in another version of JSON Schema."""
    dialect = document.get("$schema", DIALECT)
    if not isinstance(dialect, str) or dialect.rstrip("#") != DIALECT:
        message = f"{where}: $schema is {dialect!r}, and contracts are in JSON Schema 2020-12"
        raise SchemaInvalid(message, hint=f"Write the schema in 2020-12, with {DIALECT!r} or no $schema.")


def _check_keywords(schema: Mapping[str, Any], path: Path, where: str) -> None:
    """Raise SchemaInvalid if a schema uses a keyword or a format that a contract does not have."""
    for key in schema:
        if key not in KEYWORDS and not key.startswith("x-"):
            matches = near(key, KEYWORDS)
            guess = f" Did you mean {matches[0]!r}?" if matches else ""
            message = f"{where}: the keyword {key!r} at {references.pointer(path)} is not supported.{guess}"
            raise SchemaInvalid(message, hint=f"Leave it out; a note of your own begins with x-, like {f'x-{key}'!r}.")
    nested = [key for key in ("$id", "$schema") if path and key in schema]
    if nested:
        message = f"{where}: {nested[0]} at {references.pointer(path)} begins a document of its own"
        raise SchemaInvalid(message, hint=f"Leave it out: only the root of a contract has {nested[0]}.")
    said = schema.get("format")
    if isinstance(said, str) and said not in CHECKED_FORMATS | NOTED_FORMATS:
        matches = near(said, CHECKED_FORMATS)
        guess = f" Did you mean {matches[0]!r}?" if matches else ""
        message = f"{where}: the format {said!r} at {references.pointer(path)} is not known.{guess}"
        raise SchemaInvalid(message, hint=f"Formats: {', '.join(sorted(CHECKED_FORMATS))}. A remark is x-format.")


def _check_meta(document: dict[str, Any], where: str) -> None:
    """Raise SchemaInvalid unless the meta-schema of JSON Schema 2020-12 holds."""
    try:
        jsonschema_rs.meta.validate(document)
    except jsonschema_rs.ValidationError as error:
        raise _malformed(error, where) from None


def _check_compiles(contract: dict[str, Any], where: str) -> None:
    """Raise SchemaInvalid unless the validator can be made: a pattern, for one, may be no regular expression."""
    try:
        jsonschema_rs.Draft202012Validator(contract, validate_formats=True, offline=True)
    except jsonschema_rs.ValidationError as error:
        raise _malformed(error, where) from None


def _check_satisfiable(contract: dict[str, Any], where: str) -> None:
    """Raise SchemaInvalid if it is sure that no payload fits."""
    known = jsonschema_rs.canonicalize(contract, validate_formats=False, offline=True)
    if known.satisfiability() == jsonschema_rs.canonical.Satisfiability.NO:
        message = f"{where}: no payload fits the schema: what it says contradicts itself"
        raise SchemaInvalid(message, hint="Look at required properties, and at allOf: all of it must hold at once.")


def _malformed(error: jsonschema_rs.ValidationError, where: str) -> SchemaInvalid:
    """Return the error of a schema that is not valid JSON Schema."""
    message = f"{where}: no valid JSON Schema at {references.pointer(error.instance_path)}: {error.message}"
    if "type" in error.instance_path[-2:]:
        return SchemaInvalid(message, hint=f"A type is one of {', '.join(properties.KINDS)}, or a list of them.")
    return SchemaInvalid(message, hint="JSON Schema 2020-12 says what each keyword takes: https://json-schema.org.")
