"""What of a writer's schema a reader cannot read: the places, and the rules that are not kept there.

The reader's schema is a conjunction of rules, so each is looked at for itself: it is proven of the writer (``containments``), or
its parts are, or it is a clash. What is left without a clash is proven as a whole, even where the whole was too much to decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab.schemas import contracts, types, validators
from eventlab.schemas.alternatives import alternatives, joined, types_of, values
from eventlab.schemas.containments import IN_PLACE, KEYWORDS, covers, fits_format, impossible, matches, same
from eventlab.schemas.contents import content, is_declared, joint, member, named, parts
from eventlab.schemas.properties import EXACT, accepts_null, is_annotation
from eventlab.schemas.types import Field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventlab.schemas.containments import Schema
    from eventlab.schemas.types import FieldType

_OBJECT, _ARRAY = ("properties", "patternProperties", "additionalProperties"), ("items", "prefixItems")
_RULES = sorted(KEYWORDS - {*_OBJECT, *_ARRAY, *IN_PLACE, "required", "type"})


@dataclass(frozen=True, slots=True)
class Clash:
    """A rule that a reader has at a path, and what the writer has there instead."""

    path: str
    rule: str
    writer: Any
    reader: Any


def at(path: str, step: str) -> str:
    """Return the path of a part: of a property by its name, of items by brackets."""
    return f"{path}.{step}" if path and not step.startswith("[") else f"{path}{step}"


def clashes(writer: Schema, reader: Schema, path: str = "", *, whole: bool = False) -> Iterator[Clash]:
    """Find where values that ``writer`` admits are not admitted by ``reader``: nothing only where that is proven.

    Examples
    --------
    >>> old = {"properties": {"qty": {"type": "integer"}}}
    >>> [(clash.path, clash.rule) for clash in clashes(old, {"properties": {"qty": {"type": "integer", "minimum": 1}}})]
    [('qty', 'minimum')]
    """
    if covers(reader, writer, whole=whole):
        return
    if isinstance(writer, dict) and isinstance(reader, dict) and (EXACT in reader or EXACT in writer):
        old, new = _column(writer), _column(reader)
        if old is not None and new is not None:
            yield from _columns(writer, reader, path, old, new)
            return
    for alternative in alternatives(writer):
        if covers(reader, alternative, whole=whole):
            continue
        if isinstance(reader, bool):
            yield Clash(path, "refused", alternative, reader)
        else:
            yield from _against(alternative, reader, path, whole=whole)


def _against(writer: dict[str, Any], reader: dict[str, Any], path: str, *, whole: bool) -> Iterator[Clash]:
    """Find the clashes of a writer that is no union."""
    found = False
    for clash in _each(writer, reader, path, whole=whole):
        found = True
        yield clash
    if not found and any("anyOf" in part or "oneOf" in part for part in parts(writer)):  # not told apart: no proof
        yield Clash(path, "undecided", writer, reader)


def _column(schema: dict[str, Any]) -> FieldType | None:
    """Return the type of a column whose values a schema admits, no more and no fewer; None where it says anything else."""
    kind = type_of(schema)
    if kind is None:
        return None
    bare = {key: value for key, value in schema.items() if key == EXACT or not is_annotation(key)}
    forms = (contracts.of_fields({"value": Field(kind, required=required)}) for required in (False, True))
    return kind if any(form["properties"]["value"] == bare for form in forms) else None


def type_of(schema: Schema) -> FieldType | None:
    """Return the type of the column of a property with that schema."""
    found = contracts.fields({"type": "object", "properties": {"value": schema}}).get("value")
    return None if found is None else found.type


def _columns(
    writer: dict[str, Any], reader: dict[str, Any], path: str, old: FieldType, new: FieldType
) -> Iterator[Clash]:
    """Find the clashes of what are no more than columns: their types say it, where patterns would leave it undecided."""
    if not types.holds(new, old) or _lost(writer, reader) - {"null"}:
        yield Clash(path, "type", writer, reader) if old == new else Clash(path, "type", old, new)
    elif accepts_null(writer) and not accepts_null(reader):
        yield Clash(path, "null", writer, reader)


def _each(writer: dict[str, Any], reader: dict[str, Any], path: str, *, whole: bool) -> Iterator[Clash]:
    """Find the clashes with each rule of a reader."""
    lost = _lost(writer, reader)
    if lost and not covers({"type": reader["type"]}, writer, whole=whole):
        wide, narrow = types_of(writer), types_of(reader)
        yield Clash(path, "null" if lost == {"null"} and len(wide) > 1 else "type", writer, reader)
        shared = [kind for kind in wide if kind not in lost] + ["integer"] * ("number" in lost and "integer" in narrow)
        if not shared:
            return
        writer = joined(writer, {"type": shared})
    for rule in _RULES:
        if rule in reader and not _keeps(writer, rule, reader[rule], whole=whole):
            yield from _rule(writer, reader, rule, path, whole=whole)
    for keys, within in ((_OBJECT, _properties), (_ARRAY, _items)):
        said = {key: reader[key] for key in keys if key in reader}
        if said and not covers(said, writer, whole=whole):
            yield from within(writer, reader, path, whole=whole)
    yield from _required(writer, reader, path, whole=whole)
    yield from _in_place(writer, reader, path, whole=whole)


def _keeps(writer: dict[str, Any], rule: str, said: object, *, whole: bool) -> bool:
    """Tell whether it is proven that a writer keeps one rule; it does where it says the same."""
    return (rule in writer and same(writer[rule], said)) or bool(covers({rule: said}, writer, whole=whole))


def _required(writer: dict[str, Any], reader: dict[str, Any], path: str, *, whole: bool) -> Iterator[Clash]:
    """Find the required properties that a writer may leave out."""
    for name in reader.get("required", ()):
        if not covers({"required": [name]}, writer, whole=whole):
            rule = "required" if is_declared(writer, name) else "required_new"
            yield Clash(at(path, name), rule, writer, reader)


def _in_place(writer: dict[str, Any], reader: dict[str, Any], path: str, *, whole: bool) -> Iterator[Clash]:
    """Find the clashes with the schemas in place in a reader."""
    for branch in reader.get("allOf", ()):
        yield from clashes(writer, branch, path, whole=whole)
    for key in ("anyOf", "oneOf"):
        if key in reader and not covers({key: reader[key]}, writer, whole=whole):
            yield from _union(writer, reader[key], key, path, whole=whole)


def _lost(writer: dict[str, Any], reader: dict[str, Any]) -> set[str]:
    """Return the JSON types that a writer has and a reader has not: every integer is a number."""
    narrow = set(types_of({"type": reader["type"]} if "type" in reader else {}))
    return set(types_of(writer)) - narrow - ({"integer"} if "number" in narrow else set())


def _rule(writer: dict[str, Any], reader: dict[str, Any], rule: str, path: str, *, whole: bool) -> Iterator[Clash]:
    """Find the clash with a rule that is not proven."""
    listed, said = values(writer), reader[rule]
    if rule == "format" and said in validators.FORMATS and listed is not None:
        if any(not fits_format(said, value) for value in listed):
            yield Clash(path, rule, writer, reader)
        return
    undecided = rule in {"not", "propertyNames"} and covers({rule: said}, writer, whole=whole) is None
    yield Clash(path, "undecided" if undecided else "enum" if rule == "const" else rule, writer, reader)


def _properties(writer: dict[str, Any], reader: dict[str, Any], path: str, *, whole: bool) -> Iterator[Clash]:
    """Find the clashes of properties: of each that a writer declares, or admits undeclared, with what a reader says of it."""
    said, patterns = reader.get("properties", {}), reader.get("patternProperties", {})
    for name, part in said.items():
        held = member(writer, name, whole=whole)
        if is_declared(writer, name):
            yield from clashes(held, part, at(path, name))
        elif not covers(part, held):
            yield Clash(at(path, name), "added_to_open", held, part)
    for name in named(writer, "properties"):
        held = member(writer, name, whole=whole)
        found = [part for pattern, part in patterns.items() if matches(pattern, name)]
        if not found and name not in said:
            yield from _left_out(held, reader, at(path, name))
        for part in found:
            yield from clashes(held, part, at(path, name))
    yield from _patterns(writer, reader, path)
    yield from _undeclared(content(writer, whole=whole), reader, named(writer, "patternProperties"), path)


def _left_out(held: Schema, reader: dict[str, Any], path: str) -> Iterator[Clash]:
    """Find the clashes of what a writer declares and a reader does not."""
    rest = reader.get("additionalProperties", True)
    if rest is False and not impossible(held):
        yield Clash(path, "removed_from_closed", held, rest)
    elif rest is not False:
        yield from clashes(held, rest, path)


def _patterns(writer: dict[str, Any], reader: dict[str, Any], path: str) -> Iterator[Clash]:
    """Find the clashes of properties that a writer declares by patterns."""
    patterns = reader.get("patternProperties", {})
    for pattern in named(writer, "patternProperties"):
        all_said = [part["patternProperties"] for part in parts(writer) if "patternProperties" in part]
        held = joint([said[pattern] for said in all_said if pattern in said])
        if pattern in patterns:
            yield from clashes(held, patterns[pattern], at(path, f"/{pattern}/"))
        else:
            yield from _left_out(held, reader, at(path, f"/{pattern}/"))
        for other, part in patterns.items():
            if other != pattern and not _apart(pattern, other) and not covers(part, held):
                yield Clash(at(path, f"/{other}/"), "pattern_property", held, part)


def _apart(one: str, other: str) -> bool:
    """Tell whether two patterns are sure to have no name in common: they begin with different letters."""
    begins = [re.match(r"\^([\w-]+)(?![*?{\w-])[^|]*$", pattern) for pattern in (one, other)]
    letters = [found[1] if found else "" for found in begins]
    return not (letters[0].startswith(letters[1]) or letters[1].startswith(letters[0]))


def _undeclared(held: Schema, reader: dict[str, Any], known: list[str], path: str) -> Iterator[Clash]:
    """Find the clashes of properties that a writer admits without declaring them."""
    if impossible(held):
        return
    rest = reader.get("additionalProperties", True)
    if rest is False:
        yield Clash(path, "content_closed", held, rest)
    elif held in (True, {}) and not covers(rest, held):
        yield Clash(path, "content_narrowed", held, rest)
    else:
        yield from clashes(held, rest, at(path, "*"))
    for pattern, part in reader.get("patternProperties", {}).items():
        if pattern not in known and not covers(part, held):
            yield Clash(at(path, f"/{pattern}/"), "pattern_property", held, part)


def _items(writer: dict[str, Any], reader: dict[str, Any], path: str, *, whole: bool) -> Iterator[Clash]:  # noqa: ARG001
    """Find the clashes of the items of a list: of each place that a prefix names, and of the rest."""
    mine, others = writer.get("prefixItems", []), reader.get("prefixItems", [])
    held, rest = writer.get("items", True), reader.get("items", True)
    longest = writer.get("maxItems", float("inf"))
    for i in range(min(max(len(mine), len(others)), longest)):
        own = mine[i] if i < len(mine) else held
        yield from clashes(own, others[i] if i < len(others) else rest, at(path, f"[{i}]"))
    if longest > max(len(mine), len(others)):
        yield from clashes(held, rest, at(path, "[]"))


def _union(writer: dict[str, Any], branches: list[Schema], key: str, path: str, *, whole: bool) -> Iterator[Clash]:
    """Find the clashes with alternatives, for each type that a writer admits: with the only one of that type, or with all."""
    for kind in types_of(writer):
        held = joined(writer, {"type": kind})
        verdict = covers({key: branches}, held, whole=whole)
        fitting = [branch for branch in branches if _shares(kind, types_of(branch))]
        if verdict:
            continue
        if not fitting:
            only_null = kind == "null" and len(types_of(writer)) > 1
            yield Clash(path, "null" if only_null else "type", writer, {key: branches})
        elif len(fitting) == 1:
            yield from clashes(held, fitting[0], path, whole=whole)
        elif key == "oneOf" and covers({"anyOf": branches}, held, whole=whole):
            yield Clash(path, "overlap" if verdict is False else "undecided", held, {key: branches})
        elif key == "oneOf" or all(any(clashes(held, branch, path, whole=whole)) for branch in fitting):
            yield Clash(path, "union" if verdict is False else "undecided", held, {key: branches})


def _shares(kind: str, others: list[str]) -> bool:
    """Tell whether a value of one JSON type can be of one of others."""
    return kind in others or ({kind, *others} >= {"integer", "number"} and kind in {"integer", "number"})
