"""Whether the values that a writer admits fit a reader's typed columns, which admit less than JSON Schema's types do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlab.schemas import checks, types, validators
from eventlab.schemas.alternatives import alternatives, types_of, values
from eventlab.schemas.clashes import Clash, at, type_of
from eventlab.schemas.containments import impossible
from eventlab.schemas.contents import content, member, named, parts
from eventlab.schemas.properties import EXACT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventlab.schemas.containments import Schema
    from eventlab.schemas.types import FieldType

_ALL_FLOATS = 2**53  # to where every integer is a float
_NESTED = frozenset({"STRUCT", "MAP", "LIST"})


def misreads(kind: FieldType, writer: Schema, path: str = "", *, whole: bool = False) -> Iterator[Clash]:
    """Find where values that ``writer`` admits do not fit a column of that type.

    Examples
    --------
    >>> [str(clash.reader) for clash in misreads(types.BIGINT, {"type": "number"})]
    ['BIGINT']
    """
    simple = kind.kind not in _NESTED or (isinstance(writer, dict) and EXACT in writer)
    column = type_of(writer) or types.JSON
    if kind == types.JSON or (simple and types.holds(kind, column)) or impossible(writer):
        return
    for part in alternatives(writer):
        listed = values(part)
        if listed is not None:
            kept, fits = validators.validator(part), checks.check(kind, closed=False)
            if any(kept(value) is None and fits(value) is not None for value in _spelled(listed)):
                yield Clash(path, "type", part if type_of(part) == kind else type_of(part), kind)
            continue
        for typed in _typed(part):
            if kind.kind in types.INTEGERS:  # 12.0 is an integer to JSON Schema, and the writer's column takes it
                yield Clash(path, "type", column, kind)
            else:
                yield from _misread(kind, typed, path, whole=whole)


def _spelled(listed: list[Any]) -> list[Any]:
    """Return values with what is equal to them in JSON Schema, and not in a column: 1 may be recorded as 1.0."""
    return [*listed, *(float(value) for value in listed if value.__class__ is int and abs(value) < _ALL_FLOATS)]


def _typed(writer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a schema for each JSON type that a writer names, but null: every column takes that."""
    if "type" not in writer or EXACT in writer:
        return [writer]
    each = [{**writer, "type": name} for name in types_of(writer) if name != "null"]
    return [typed for typed in each if not impossible(typed)]


def _misread(kind: FieldType, writer: dict[str, Any], path: str, *, whole: bool) -> Iterator[Clash]:
    """Find where values of one JSON type do not fit a column."""
    if kind.kind == "STRUCT" and writer.get("type") == "object":
        for name, inner in kind.fields:
            yield from misreads(inner, member(writer, name, whole=whole), at(path, name))
    elif kind.kind == "MAP" and kind.item and writer.get("type") == "object":
        for name in named(writer, "properties"):
            yield from misreads(kind.item, member(writer, name, whole=whole), at(path, name))
        for part in parts(writer):
            for pattern, held in part.get("patternProperties", {}).items():
                yield from misreads(kind.item, held, at(path, f"/{pattern}/"))
        yield from misreads(kind.item, content(writer, whole=whole), at(path, "*"))
    elif kind.kind == "LIST" and kind.item and writer.get("type") == "array":
        for i, part in enumerate(writer.get("prefixItems", ())):
            yield from misreads(kind.item, part, at(path, f"[{i}]"))
        yield from misreads(kind.item, writer.get("items", True), at(path, "[]"))
    else:
        held = type_of(writer) or types.JSON
        if not types.holds(kind, held):
            yield Clash(path, "type", held, kind)
