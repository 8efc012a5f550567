"""What a writer's object has under a name, declared or not: its declarations may be spread over an ``allOf``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlab.schemas.containments import declared, matches

if TYPE_CHECKING:
    from eventlab.schemas.containments import Schema


def parts(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a schema with those of its ``allOf``: what it declares is spread over them."""
    branches = [branch for branch in schema.get("allOf", ()) if isinstance(branch, dict)]
    return [schema, *(part for branch in branches for part in parts(branch))]


def named(schema: dict[str, Any], key: str) -> list[str]:
    """Return the names, or the patterns, that a schema and those of its ``allOf`` declare."""
    return list(dict.fromkeys(name for part in parts(schema) for name in part.get(key, ())))


def joint(schemas: list[Schema]) -> Schema:
    """Return the schema of what all of some schemas admit."""
    return schemas[0] if len(schemas) == 1 else {"allOf": schemas} if schemas else True


def member(writer: dict[str, Any], name: str, *, whole: bool) -> Schema:
    """Return what a writer's object has under a name: False where it has nothing there."""
    said: list[Schema] = []
    declared = False
    for part in parts(writer):
        own = [part["properties"][name]] if name in part.get("properties", {}) else []
        own += [inner for pattern, inner in part.get("patternProperties", {}).items() if matches(pattern, name)]
        declared |= bool(own)
        said += own or ([part["additionalProperties"]] if "additionalProperties" in part else [])
    return joint(said) if declared else content(writer, whole=whole)


def content(writer: dict[str, Any], *, whole: bool) -> Schema:
    """Return what a writer's object admits in a property that it does not declare: False where it has none.

    What is unsaid counts as closed, but for an object of which nothing at all is declared.
    """
    said = [part["additionalProperties"] for part in parts(writer) if "additionalProperties" in part]
    if said:
        return False if False in said else joint([part for part in said if part is not True])
    free = not (whole or named(writer, "properties") or named(writer, "patternProperties"))
    known = declared(writer, ("allOf",))
    return free or known.opens or known.said


def is_declared(writer: dict[str, Any], name: str) -> bool:
    """Tell whether a writer declares a name, by itself or by a pattern."""
    patterns = named(writer, "patternProperties")
    return name in named(writer, "properties") or any(matches(pattern, name) for pattern in patterns)
