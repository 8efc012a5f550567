"""The schemas inside a JSON Schema, by path, and the references between them: followed inside the document, never outside.

A reference to another document is refused here, before any validator sees it, so that nothing is ever fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from eventlab.errors import SchemaInvalid
from eventlab.schemas import properties

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Path = tuple[str | int, ...]

_ONE = frozenset({"additionalProperties", "propertyNames", "items", "not"})  # keywords with one schema
_SEVERAL = frozenset({"prefixItems", "anyOf", "oneOf", "allOf"})  # with a list of schemas
_DEFINED = frozenset({"$defs", "definitions"})
_NAMED = frozenset({"properties", "patternProperties", *_DEFINED})  # with schemas by name
PLACES = _ONE | _SEVERAL | _NAMED  # keywords with schemas
_DEEPEST = 64  # schemas inside each other
_LARGEST = 20_000  # schemas of a document, with every reference followed


def schemas(document: dict[str, Any], where: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every schema in a document that is no boolean, with its path, the document first.

    Raises
    ------
    SchemaInvalid
        If they are nested too deeply.
    """
    waiting: list[tuple[Path, object, int]] = [((), document, 0)]
    while waiting:
        path, schema, depth = waiting.pop()
        if depth > _DEEPEST:
            raise _too_large(where)
        if isinstance(schema, dict):
            yield path, schema
            waiting += reversed([((*path, *step), part, depth + 1) for step, part in _parts(schema)])


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Yield the schemas directly inside a schema, with the path to each."""
    for key, value in schema.items():
        if key in _ONE:
            yield (key,), value
        elif key in _SEVERAL and isinstance(value, list):
            yield from (((key, index), part) for index, part in enumerate(value))
        elif key in _NAMED and isinstance(value, dict):
            yield from (((key, name), part) for name, part in value.items())


def inlined(document: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a document with what each reference refers to in its place, and without definitions.

    Raises
    ------
    SchemaInvalid
        If a reference is to another document, to nothing, or to what it stands in; or the whole is too large.
    """
    following = _Following(document, where)
    for path, schema in schemas(document, where):
        if "$ref" in schema:
            following.target(schema["$ref"], path)
    found = following.schema(document, (), ())
    if not isinstance(found, dict):
        raise SchemaInvalid(f"{where}: the root of the schema is {found!r}", hint='Write {"type": "object"}.')
    return found


class _Following:
    """A document whose references are followed."""

    def __init__(self, document: dict[str, Any], where: str) -> None:
        self._document, self._where = document, where
        self._left, self._depth = _LARGEST, 0

    def schema(self, schema: Any, path: Path, within: tuple[str, ...]) -> Any:  # noqa: ANN401 - a schema, or a boolean
        """Return a schema without references. ``within``: the references that led to it."""
        if not isinstance(schema, dict):
            return schema
        self._left, self._depth = self._left - 1, self._depth + 1
        if self._left < 0 or self._depth > _DEEPEST + 1:
            raise _too_large(self._where)
        found = {
            key: self._value(key, value, (*path, key), within)
            for key, value in schema.items()
            if key != "$ref" and key not in _DEFINED
        }
        if "$ref" in schema:
            found = self._followed(schema["$ref"], found, path, within)
        self._depth -= 1
        return found

    def _value(self, key: str, value: Any, path: Path, within: tuple[str, ...]) -> Any:  # noqa: ANN401 - of a schema
        """Return the value of a keyword without references."""
        if key in _ONE:
            return self.schema(value, path, within)
        if key in _SEVERAL:
            return [self.schema(part, (*path, index), within) for index, part in enumerate(value)]
        if key in _NAMED:
            return {name: self.schema(part, (*path, name), within) for name, part in value.items()}
        return value

    def _followed(self, reference: str, beside: dict[str, Any], path: Path, within: tuple[str, ...]) -> Any:  # noqa: ANN401 - as above
        """Return what a reference refers to, together with what is said beside it."""
        if reference in within:
            message = f"{self._where}: the reference {reference!r} at {pointer(path)} is recursive"
            raise SchemaInvalid(message, hint="A column has no endless depth: leave the inner part free, as {}.")
        steps, found = self.target(reference, path)
        target = self.schema(found, steps, (*within, reference))
        if isinstance(target, dict) and all(map(properties.is_annotation, beside)):
            return {**target, **beside}
        return {**beside, "allOf": [*beside.get("allOf", ()), target]} if beside else target

    def target(self, reference: str, path: Path) -> tuple[Path, Any]:
        """Return the schema in this document that a reference names, with its path.

        Raises
        ------
        SchemaInvalid
            If it names another document, or no schema.
        """
        where = f"{self._where}: the reference {reference!r} at {pointer(path)}"
        if not reference.startswith("#"):
            message = f"{where} is to another document, which is never fetched"
            raise SchemaInvalid(message, hint="Copy what it refers to into $defs, and write '#/$defs/…'.")
        head, *steps = [step.replace("~1", "/").replace("~0", "~") for step in unquote(reference[1:]).split("/")]
        found: Any = self._document
        for step in steps:
            if isinstance(found, list):
                found = found[int(step)] if step.isdecimal() and int(step) < len(found) else None
            else:
                found = found.get(step) if isinstance(found, dict) else None
        if head or not isinstance(found, (dict, bool)):
            known = [f"#/{key}/{name}" for key in sorted(_DEFINED) for name in self._document.get(key, ())]
            raise SchemaInvalid(f"{where} is to nothing", hint=f"There is: {', '.join(known) or 'no $defs'}.")
        return tuple(steps), found


def _too_large(where: str) -> SchemaInvalid:
    """Return the error of a schema that would not end."""
    message = f"{where}: the schema is too large: over {_DEEPEST} levels, or {_LARGEST} schemas with what it refers to"
    return SchemaInvalid(message, hint="Leave the inner parts free: an object without properties is kept as JSON.")


def pointer(path: Iterable[str | int]) -> str:
    """Return a path as a JSON Pointer; the root as ``/``.

    Examples
    --------
    >>> pointer(["properties", "a/b", "anyOf", 0])
    '/properties/a~1b/anyOf/0'
    """
    return "/" + "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in path)
