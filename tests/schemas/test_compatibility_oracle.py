"""Compatibility against its meaning: payloads of one contract are read by the other, on pairs and payloads made by chance."""

# ruff: noqa: FBT003 - true and false are schemas

from __future__ import annotations

import copy
import random
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlab.schemas import checks, contracts, types, validators
from eventlab.schemas.compatibilities import Earlier, issues

if TYPE_CHECKING:
    from eventlab.schemas.compatibilities import Issue

_NAMES = ("a", "b", "c")
_UNDECLARED = ("a", "b", "c", "d", "S_x", "n1")
_PATTERNS = ("^S_", "^n[0-9]$", "b")
_TEXTS = ("", "a", "ab", "abc", "abcd", "b1", "B", "12.50", "3", "2026-01-01", "2026-01-01T10:00:00Z", "10:00:00")
_UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
_COLUMNS = (
    *(
        "DECIMAL(4,2)",
        "DECIMAL(6,2)",
        "DECIMAL(6,4)",
        "INTEGER",
        "UTINYINT",
        "BIGINT",
        "DOUBLE",
        "VARCHAR",
        "DATE",
        "TIMESTAMP",
    ),
    *("TIMESTAMPTZ", "TIME", "UUID", "ENUM('a', 'b')", "ENUM('a', 'b', 'ab')", "JSON", "BIGINT[]", "DECIMAL(4,2)[]"),
    *("STRUCT(a INTEGER, b VARCHAR)", "STRUCT(a BIGINT)", "MAP(VARCHAR, BIGINT)", "MAP(VARCHAR, DECIMAL(4,2))"),
)
_KEPT = 12  # payloads tried for each pair


class _Chance:
    """Contracts, changes of them and payloads, all from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one(self, *options: Any) -> Any:
        """Return one of the options."""
        return self.random.choice(options)

    def likely(self, share: float = 0.5) -> bool:
        """Tell yes in that share of the cases."""
        return self.random.random() < share

    # ---- contracts

    def contract(self) -> dict[str, Any]:
        """Return a contract of a few properties."""
        made = {**self.an_object(2), "type": "object"}
        made.setdefault("properties", {"a": self.schema(1)})
        if self.likely(0.1):
            made[self.one("anyOf", "oneOf", "allOf")] = [{**self.an_object(1), "type": "object"} for _ in range(2)]
        return made

    def schema(self, depth: int) -> Any:  # noqa: PLR0911 - one line a kind
        """Return a schema of a property."""
        kind = self.random.randrange(20)
        if kind < 9 or depth == 0:
            return self.scalar()
        if kind < 11:
            return self.an_object(depth - 1)
        if kind < 13:
            return self.a_list(depth - 1)
        if kind < 16:
            key = self.one("anyOf", "anyOf", "oneOf", "allOf")
            branches = [self.schema(depth - 1) for _ in range(2)]
            return {key: [*branches, {"type": "null"}] if self.likely(0.3) and key != "allOf" else branches}
        if kind < 17:
            return {"not": self.scalar(), **({"type": "string"} if self.likely() else {})}
        if kind < 18:
            return self.one(True, {}, {"type": "object"}, {"type": ["string", "integer"]})
        column = contracts.of_fields({"a": types.field(self.one(*_COLUMNS) + self.one("", " NOT NULL"))})
        return column["properties"]["a"]

    def scalar(self) -> dict[str, Any]:
        """Return a schema of a value that has no parts."""
        match self.one("integer", "number", "string", "string", "boolean", "enum", "const", "format"):
            case "integer" | "number" as name:
                said = {key: self.random.randrange(-2, 8) for key in ("minimum", "maximum") if self.likely(0.25)}
                said |= {key: self.random.randrange(-2, 8) for key in ("exclusiveMinimum",) if self.likely(0.15)}
                said |= {"multipleOf": self.one(1, 2, 3, 0.5)} if self.likely(0.15) else {}
                return self.nullable({"type": name, **said})
            case "string":
                said = {"minLength": self.random.randrange(3)} if self.likely(0.25) else {}
                said |= {"maxLength": self.random.randrange(1, 12)} if self.likely(0.25) else {}
                return self.nullable(
                    {
                        "type": "string",
                        **said,
                        **({"pattern": self.one("^a", "b", "^[a-z]*$")} if self.likely(0.2) else {}),
                    }
                )
            case "boolean":
                return self.nullable({"type": "boolean"})
            case "enum":
                values = self.random.sample(
                    ["a", "ab", "B", "2026-01-01", 1, 2, True, None], self.random.randrange(1, 4)
                )
                return {"enum": values, **({"format": "date"} if self.likely(0.1) else {})}
            case "const":
                return {"const": self.one("a", 1, None)}
        return self.nullable({"type": "string", "format": self.one("date", "date-time", "time", "uuid", "email")})

    def nullable(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a schema that may let null in."""
        return {**schema, "type": [schema["type"], "null"]} if self.likely(0.25) else schema

    def an_object(self, depth: int) -> dict[str, Any]:
        """Return a schema of an object, with unsaid, open, closed or partially open content."""
        names = self.random.sample(_NAMES, self.random.randrange(4))
        made: dict[str, Any] = {"type": "object"} if self.likely(0.9) else {}
        if names:
            made["properties"] = {name: self.schema(depth) for name in names}
        if names and self.likely(0.3):
            made["required"] = [self.one(*names)]
        if self.likely(0.4):
            made["additionalProperties"] = self.one(True, False, self.schema(0))
        if self.likely(0.15):
            made["patternProperties"] = {self.one(*_PATTERNS): self.schema(0)}
        if self.likely(0.08):
            made |= self.one({"maxProperties": 2}, {"minProperties": 1}, {"propertyNames": {"maxLength": 2}})
        return made

    def a_list(self, depth: int) -> dict[str, Any]:
        """Return a schema of a list."""
        made: dict[str, Any] = {"type": "array"}
        if self.likely(0.3):
            made["prefixItems"] = [self.schema(depth) for _ in range(self.random.randrange(1, 3))]
        if self.likely(0.7):
            made["items"] = False if self.likely(0.1) else self.schema(depth)
        if self.likely(0.3):
            made |= self.one({"minItems": 1}, {"maxItems": 2}, {"uniqueItems": True})
        return made

    # ---- changes

    def changed(self, contract: dict[str, Any]) -> dict[str, Any]:
        """Return a contract with one or two changes at random places."""
        made = copy.deepcopy(contract)
        for _ in range(self.random.randrange(1, 3)):
            self.change(self.one(*_objects(made)))
        return {**made, "type": "object"}

    def change(self, schema: dict[str, Any]) -> None:
        """Change a schema in place."""
        match self.random.randrange(6):
            case 0:
                self.change_keyword(schema)
            case 1 if schema.get("properties"):
                name = self.one(*schema["properties"])
                schema["properties"][name] = self.schema(1)
            case 2 if schema.get("properties"):
                del schema["properties"][self.one(*schema["properties"])]
            case 3 if "properties" in schema:
                schema["properties"].setdefault(self.one(*_NAMES), self.schema(1))
            case 4 if schema.get("properties"):
                schema["required"] = self.random.sample(list(schema["properties"]), self.random.randrange(2))
            case _:
                schema.pop("additionalProperties", None)
                if self.likely(0.7):
                    schema["additionalProperties"] = self.one(True, False, self.schema(0))

    def change_keyword(self, schema: dict[str, Any]) -> None:
        """Take a keyword away, or move a bound."""
        keys = [key for key in schema if key not in {"properties", "x-duckdb"}]
        if not keys:
            return
        key = self.one(*keys)
        value = schema[key]
        if isinstance(value, int) and not isinstance(value, bool):
            schema[key] = max(value + self.one(-1, 1), 1 if key == "multipleOf" else 0)
        elif key == "type" and value == "integer":
            schema[key] = "number"
        elif key == "enum":
            schema[key] = [*value, "abc"] if self.likely() else value[:1]
        elif isinstance(value, list) and len(value) > 1:
            schema[key] = value[1:]
        else:
            del schema[key]
        schema.pop("x-duckdb", None)

    # ---- payloads

    def value(self, schema: Any, *, whole: bool = False) -> Any:
        """Return a value that may keep a schema, with undeclared properties only where content is said, or free."""
        parts = self.parts(schema)
        listed = [part for part in parts if "enum" in part or "const" in part]
        if listed:
            return self.one(*(listed[0]["enum"] if "enum" in listed[0] else [listed[0]["const"]]) or [None])
        named = [part["type"] for part in parts if "type" in part]
        said = named[0] if named else "object" if whole or any("properties" in part for part in parts) else None
        kind = self.one(*said) if isinstance(said, list) else said
        kind = kind or self.one("null", "integer", "string", "array", "object", "number", "boolean")
        if kind == "object":
            return self.of_object(parts, whole=whole)
        if kind == "array":
            return self.of_array(parts)
        made = {"null": None, "boolean": self.likely(), "integer": self.random.randrange(-4, 12)}
        number = self.one(self.random.randrange(-4, 12), self.random.randrange(-9, 30) / 2, 12.5, 99.99, 300)
        return {**made, "number": number, "string": self.one(*_TEXTS, _UUID)}[kind]

    def parts(self, schema: Any) -> list[dict[str, Any]]:
        """Return what a schema says with one branch of each of its alternatives."""
        if isinstance(schema, bool):
            return [{}]
        chosen = [schema]
        for key in ("anyOf", "oneOf"):
            if key in schema:
                chosen += self.parts(self.one(*schema[key]))
        for branch in schema.get("allOf", ()):
            chosen += self.parts(branch)
        return chosen

    def of_object(self, parts: list[dict[str, Any]], *, whole: bool) -> dict[str, Any]:
        """Return an object: declared properties, and undeclared ones where they are said."""
        added: dict[str, Any] = {}
        made, required = {}, {name for part in parts for name in part.get("required", ())}
        for part in parts:
            for name, inner in part.get("properties", {}).items():
                if name in required or self.likely(0.7):
                    made[name] = self.value(inner)
            for pattern, inner in part.get("patternProperties", {}).items():
                for name in ("S_x", "n1", "b"):
                    if re.search(pattern, name) and name not in made and self.likely(0.4):
                        made[name] = self.value(inner)
        declared = any(part.get("properties") or part.get("patternProperties") for part in parts)
        said = [part["additionalProperties"] for part in parts if "additionalProperties" in part]
        names = _wants_more(parts) or any("propertyNames" in part for part in parts)
        if said or names or not (declared or whole):
            for name in _UNDECLARED:
                if self.likely(0.3) and not any(name in part.get("properties", {}) for part in parts):
                    added[name] = self.value(said[0] if said and said[0] is not False else True)
        return self.holding(parts, made, {name: value for name, value in added.items() if name not in made})

    def holding(self, parts: list[dict[str, Any]], made: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
        """Return what branches declare, or admit undeclared, where they hold: only there does it count."""
        wanted = [{key: value for key, value in part.items() if key not in {"anyOf", "oneOf"}} for part in parts]
        if all(validators.validator(part)({**made, **added}) is None for part in wanted):
            return {**made, **added}
        held = [part for part in wanted if validators.validator(part)(made) is None]
        kept = {name for part in held for name in (*part.get("properties", ()), *part.get("required", ()))}
        patterns = [pattern for part in held for pattern in part.get("patternProperties", ())]
        return {n: value for n, value in made.items() if n in kept or any(re.search(p, n) for p in patterns)}

    def of_array(self, parts: list[dict[str, Any]]) -> list[Any]:
        """Return a list."""
        part = next((part for part in parts if "items" in part or "prefixItems" in part), {})
        prefix, rest = part.get("prefixItems", []), part.get("items", True)
        count = self.random.randrange(4)
        return [self.value(prefix[i] if i < len(prefix) else rest) for i in range(count)]


def _wants_more(parts: list[dict[str, Any]]) -> bool:
    """Tell whether an object must have more properties than its parts declare."""
    named = {name for part in parts for key in ("properties", "required") for name in part.get(key, ())}
    least = max(part.get("minProperties", 0) for part in parts)
    return least > len(named) and not any("patternProperties" in part for part in parts)


def _objects(schema: Any) -> list[dict[str, Any]]:
    """Return a schema and all schemas inside it that say something."""
    if not isinstance(schema, dict):
        return []
    found = [schema]
    for key in ("properties", "patternProperties"):
        found += [inner for part in schema.get(key, {}).values() for inner in _objects(part)]
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        found += [inner for part in schema.get(key, ()) for inner in _objects(part)]
    for key in ("items", "additionalProperties"):
        found += _objects(schema.get(key))
    return found


def _keeps(contract: dict[str, Any]) -> Any:
    """Return the test of a payload: it keeps the contract, and fits the contract's columns."""
    kept = validators.validator(contract)
    fits = checks.checks({name: field.type for name, field in contracts.fields(contract).items()}, closed=False)
    return lambda payload: kept(payload) is None and fits(payload) is None


def _is_place(schema: Any, steps: list[str]) -> bool:  # noqa: PLR0911 - one line a kind of step
    """Tell whether a path leads anywhere in a contract."""
    if not steps or schema is True:
        return True
    if not isinstance(schema, dict):
        return False
    step, *rest = steps
    inner = [part for key in ("anyOf", "oneOf", "allOf") for part in schema.get(key, ())]
    if any(_is_place(part, steps) for part in inner):
        return True
    if step.startswith("["):
        index = step[1:-1]
        prefix = schema.get("prefixItems", [])
        return _is_place(prefix[int(index)] if index and int(index) < len(prefix) else schema.get("items", True), rest)
    if step == "*":
        return _is_place(schema.get("additionalProperties", True), rest)
    if step.startswith("/"):
        return step[1:-1] in schema.get("patternProperties", {})
    declared = step in schema.get("properties", {})
    return _is_place(schema["properties"][step], rest) if declared else step in schema.get("required", ())


def _check_issue(issue: Issue, new: dict[str, Any], old: dict[str, Any]) -> None:
    """Assert that an issue says where, what and what to do."""
    steps = re.findall(r"/[^/]*/|\[\d*\]|[^.\[]+", issue.path)
    assert _is_place(new, steps) or _is_place(old, steps), issue
    assert issue.kind
    assert issue.fix.endswith(".")
    assert issue.fix in str(issue)
    assert "\n" not in str(issue)


@pytest.mark.parametrize("related", [True, False], ids=["related", "unrelated"])
@given(seed=st.integers(0, 2**48))
@settings(max_examples=200, deadline=None)
def test_compatible_means_that_every_payload_reads(related: bool, seed: int) -> None:
    """Where a mode finds no issue, each payload of its writer keeps the reader's contract and fits its columns."""
    chance = _Chance(seed)
    old = chance.contract()
    new = chance.changed(old) if related else chance.contract()
    for mode, writer, reader in (("BACKWARD", old, new), ("FORWARD", new, old)):
        found = issues(new, [Earlier(1, old, old)], mode)
        for issue in found:
            _check_issue(issue, new, old)
        if found:
            continue
        writes, reads = _keeps(writer), _keeps(reader)
        for payload in (chance.value(writer, whole=True) for _ in range(_KEPT)):
            if writes(payload):
                assert reads(payload), (mode, old, new, payload)


def test_a_number_that_may_be_written_as_a_float_is_told_apart_from_its_column() -> None:
    """1 of an enum may be recorded as 1.0, which no whole number's column takes: the issue says the enum, not one type twice."""
    chance = _Chance(80658)
    old, new = chance.contract(), chance.contract()
    (issue,) = [
        one
        for one in issues(old, [Earlier(1, new, new)], "BACKWARD")
        if one.path == "a" and one.kind.startswith("type")
    ]
    assert issue.old != issue.new
    _check_issue(issue, old, new)


_POOL = (
    *(None, True, False, 2.0**70, *range(-10, 40), *(half / 2 for half in range(-9, 30))),
    *(letter * length for letter in ("a", "b", "B") for length in range(14)),
    *(0.25, "10:00:00.123456", *_TEXTS, _UUID, "2026-02-01", "2026-02-30", [], {}),
)


@given(seed=st.integers(0, 2**48))
@settings(max_examples=200, deadline=None)
def test_an_issue_has_a_value_that_shows_it(seed: int) -> None:
    """For values without parts, what is called incompatible is: some value that was admitted is refused.

    What one pattern or format says of another is not decided, nor how short an address may be, so these are left out, and so is
    what admits nothing.
    """
    chance = _Chance(seed)
    old, new = ({"type": "object", "properties": {"a": chance.scalar()}} for _ in range(2))
    if chance.likely():
        new = copy.deepcopy(old)
        chance.change_keyword(new["properties"]["a"])
    found = issues(new, [Earlier(1, old, old)], "BACKWARD")
    writes, reads = _keeps(old), _keeps(new)
    written = [{"a": value} for value in _POOL if writes({"a": value})]
    misread = [payload for payload in written if not reads(payload)]
    assert not misread or found
    if written and "email" not in str(old) and not any(issue.kind.startswith(("pattern", "format")) for issue in found):
        assert bool(found) == bool(misread), (old, new, found)
