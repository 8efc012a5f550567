"""A schema taken apart: into alternatives without ``anyOf`` and ``oneOf``, with what ``allOf`` says drawn into each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlab.schemas.containments import KEYWORDS, impossible, is_equal, same

if TYPE_CHECKING:
    from eventlab.schemas.containments import Schema

_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_MOST = 64  # alternatives that are told apart
_JOINABLE = frozenset({"type", "required", "properties", "enum", "minimum", "maximum", "minLength", "maxLength"})


def alternatives(schema: Schema) -> list[dict[str, Any]]:
    """Return schemas without ``anyOf`` and ``oneOf`` that admit together what ``schema`` does, unless they are too many."""
    if isinstance(schema, bool):
        return [{}] if schema else []
    flat = _flat(schema)
    key = next((key for key in ("anyOf", "oneOf") if key in flat), None)
    if key is None:
        return [flat]
    rest, made = {name: value for name, value in flat.items() if name != key}, []
    for i, branch in enumerate(flat[key]):
        others = [other for j, other in enumerate(flat[key]) if j != i and not impossible(branch, other)]
        alone: Schema = {"not": {"anyOf": others}} if key == "oneOf" and others else True
        joined: dict[str, Any] = {**rest, "allOf": [*rest.get("allOf", ()), branch, alone]}
        if not impossible(joined):
            made += alternatives(joined)
    return made if len(made) <= _MOST else [flat]


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with what its ``allOf`` says drawn into it, where one keyword can say it."""
    flat = {key: value for key, value in schema.items() if key != "allOf"}
    left = []
    for branch in schema.get("allOf", ()):
        part = _flat(branch) if isinstance(branch, dict) else {} if branch else {"enum": []}
        nested = part.pop("allOf", [])
        if _joinable(flat, part):
            flat = joined(flat, part)
        else:
            left.append(part)
        left += nested
    return {**flat, "allOf": left} if left else flat


def _joinable(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether one schema can say what two say: what is undeclared in one may be declared in the other."""
    shared = {key for key in one.keys() & other.keys() & KEYWORDS if not same(one[key], other[key])}
    said = "additionalProperties" in one or "additionalProperties" in other
    own = [set(schema.get("properties", ())) | set(schema.get("patternProperties", ())) for schema in (one, other)]
    if said and (own[0] != own[1] or not same(one.get("additionalProperties"), other.get("additionalProperties"))):
        return False
    if "prefixItems" not in one.keys() | other.keys():
        shared.discard("items")
    return shared <= _JOINABLE


def joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that says what two say."""
    made = {**other, **one}
    for key in one.keys() & other.keys():
        mine, its = one[key], other[key]
        match key:
            case "type":
                kinds, held = types_of({"type": mine}), types_of({"type": its})
                both = [kind for kind in kinds if kind in held or (kind == "integer" and "number" in held)]
                both += ["integer"] * ("number" in kinds and "integer" in held)
                made["type"] = both[0] if len(both) == 1 else both
                if not both:
                    made = {**made, "type": mine, "enum": []}
            case "required":
                made["required"] = list(dict.fromkeys([*mine, *its]))
            case "properties":
                both_named = {name: {"allOf": [mine[name], its[name]]} for name in mine.keys() & its.keys()}
                made["properties"] = {**mine, **its, **both_named}
            case "items" if not same(mine, its):
                made["items"] = {"allOf": [mine, its]}
            case "enum":
                made["enum"] = [value for value in mine if any(is_equal(value, other) for other in its)]
            case "minimum" | "minLength":
                made[key] = max(mine, its)
            case "maximum" | "maxLength":
                made[key] = min(mine, its)
    return made


def types_of(schema: Schema) -> list[str]:
    """Return the JSON types that a schema names, or that its values have: all where it says nothing of them."""
    if isinstance(schema, bool):
        return list(_TYPES) if schema else []
    if "type" in schema:
        named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        return [kind for kind in named if not (kind == "integer" and "number" in named)]
    listed = values(schema)
    if listed is not None:
        return [kind for kind in _TYPES if any(_type(value) == kind for value in listed)]
    for key in ("anyOf", "oneOf"):
        if key in schema:
            held = {kind for branch in schema[key] for kind in types_of(branch)}
            return [kind for kind in _TYPES if kind in held and not (kind == "integer" and "number" in held)]
    return [kind for kind in _TYPES if kind != "integer"]


def _type(value: object) -> str:
    """Return the JSON type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str | list | dict):
        return {str: "string", list: "array"}.get(type(value), "object")
    return "integer" if isinstance(value, int) else "number"


def values(schema: dict[str, Any]) -> list[Any] | None:
    """Return the values that a schema lists; None if it lists none."""
    return [schema["const"]] if "const" in schema else schema.get("enum")
