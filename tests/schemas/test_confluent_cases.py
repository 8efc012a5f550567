"""The compatibility rules that Confluent's schema registry publishes for JSON Schema, as a table of our own schemas.

Sources, read for their facts: the documentation of Confluent Platform ("Schema Evolution and Compatibility", "JSON Schema
Serializer and Deserializer": open, closed and partially open content), R. Yokota, "Understanding JSON Schema Compatibility"
(2021), and the cases that the registry tests its own rules with (``diff-schema-examples.json`` and
``diff-combined-schema-examples.json`` of confluentinc/schema-registry). All verdicts are BACKWARD: the second schema reads.

Confluent takes unsaid content for open, so "open" is written here as ``additionalProperties: true``. Where eventlab decides
otherwise, ``ours`` has the other verdict, and the reason. Not in the table, since contracts do not have it: ``dependencies``,
references (drawn in before they are compared), and names reserved in metadata.
"""

# ruff: noqa: FBT003 - true and false are schemas

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from eventlab.schemas.compatibilities import Earlier, issues

S, I, N, B, NULL = ({"type": name} for name in ("string", "integer", "number", "boolean", "null"))  # noqa: E741 - the types of JSON


@dataclass(frozen=True)
class _Case:
    """A change of one schema to another, Confluent's verdict, and ours with the reason where it is another."""

    name: str
    old: Any
    new: Any
    compatible: bool
    ours: bool | None = None
    because: str = ""


def _object(
    content: Any = None, required: tuple[str, ...] = (), patterns: Any = None, **properties: Any
) -> dict[str, Any]:
    """Return an object; ``content``: True open, False closed, a schema partially open, None unsaid."""
    made: dict[str, Any] = {"type": "object", "properties": properties}
    if content is not None:
        made["additionalProperties"] = content
    if required:
        made["required"] = list(required)
    return {**made, **({"patternProperties": patterns} if patterns else {})}


def _list(*prefix: Any, rest: Any = True, **said: Any) -> dict[str, Any]:
    """Return a list: the first items by place, then the rest."""
    return {"type": "array", **({"prefixItems": list(prefix)} if prefix else {}), "items": rest, **said}


_TEXTS_OR_NUMBERS = {"^t_": S, "^n_": I}
_EXACT = "the payloads that both admit are compared, not the spelling"
_UNSAID = "unsaid content is no part of a contract"
_COLUMN = "a property that came without being declared is in no column, and required is required"

_KEYWORDS = [
    _Case("a title changes", {**S, "title": "One"}, {**S, "title": "Two"}, compatible=True),
    _Case("a description changes", {**S, "description": "one"}, {**S, "description": "two"}, compatible=True),
    _Case("everything is let in", _object(True, b=S), True, compatible=True),
    _Case("an object becomes a list", _object(True), {"type": "array"}, compatible=False),
    _Case("a longer least length", {**S, "minLength": 4}, {**S, "minLength": 5}, compatible=False),
    _Case("a shorter least length", {**S, "minLength": 5}, {**S, "minLength": 4}, compatible=True),
    _Case("a longer greatest length", {**S, "maxLength": 5}, {**S, "maxLength": 7}, compatible=True),
    _Case("a shorter greatest length", {**S, "maxLength": 7}, {**S, "maxLength": 5}, compatible=False),
    _Case("a pattern goes", {**S, "pattern": "^o"}, S, compatible=True),
    _Case("a pattern comes", S, {**S, "pattern": "^o"}, compatible=False),
    _Case("another pattern", {**S, "pattern": "^o"}, {**S, "pattern": "^p"}, compatible=False),
    _Case("the same pattern", {**S, "pattern": "^o"}, {**S, "pattern": "^o"}, compatible=True),
    _Case("a maximum goes", {**N, "maximum": 9}, N, compatible=True),
    _Case("a maximum comes", N, {**N, "maximum": 9}, compatible=False),
    _Case("a higher maximum", {**N, "maximum": 9}, {**N, "maximum": 10}, compatible=True),
    _Case("a lower maximum", {**N, "maximum": 10}, {**N, "maximum": 9}, compatible=False),
    _Case("a minimum goes", {**N, "minimum": 9}, N, compatible=True),
    _Case("a higher minimum", {**N, "minimum": 9}, {**N, "minimum": 10}, compatible=False),
    _Case("a lower minimum", {**N, "minimum": 10}, {**N, "minimum": 9}, compatible=True),
    _Case("an exclusive maximum grows", {**N, "exclusiveMaximum": 9}, {**N, "exclusiveMaximum": 10}, compatible=True),
    _Case("an exclusive minimum grows", {**N, "exclusiveMinimum": 9}, {**N, "exclusiveMinimum": 10}, compatible=False),
    _Case("multipleOf goes", {**N, "multipleOf": 12}, N, compatible=True),
    _Case("multipleOf comes", N, {**N, "multipleOf": 12}, compatible=False),
    _Case("multipleOf becomes a divisor", {**N, "multipleOf": 12}, {**N, "multipleOf": 4}, compatible=True),
    _Case("multipleOf becomes another", {**N, "multipleOf": 12}, {**N, "multipleOf": 7}, compatible=False),
    _Case("a number becomes an integer", N, I, compatible=False),
    _Case("an integer becomes a number", I, N, compatible=True),
    _Case("less is excluded", {"not": N}, {"not": I}, compatible=True),
    _Case("more is excluded", {"not": I}, {"not": N}, compatible=False),
    _Case("an enum goes", {**S, "enum": ["new"]}, S, compatible=True),
    _Case("an enum comes", S, {**S, "enum": ["new"]}, compatible=False),
    _Case("an enum grows", {**S, "enum": ["new"]}, {**S, "enum": ["new", "paid"]}, compatible=True),
    _Case("an enum shrinks", {**S, "enum": ["new", "paid"]}, {**S, "enum": ["new"]}, compatible=False),
    _Case("an enum has other values", {**S, "enum": ["new"]}, {**S, "enum": ["paid"]}, compatible=False),
    _Case("one type more", {"type": ["object"]}, {"type": ["object", "array"]}, compatible=True),
]

_OPEN = [
    _Case("open: a property comes", _object(True, b=S), _object(True, b=S, c=N), compatible=False),
    _Case("open: a property goes", _object(True, b=S, c=N), _object(True, b=S), compatible=True),
    _Case("open: one goes, another comes", _object(True, b=S), _object(True, c=S), compatible=False),
    _Case("open: a property that may be anything comes", _object(True), _object(True, b=True), compatible=True),
    _Case("open: a property that may be anything goes", _object(True, b=True), _object(True), compatible=True),
    _Case("open: a property changes its type", _object(True, b=S), _object(True, b=N), compatible=False),
    _Case("open: content closes", _object(True, b=S), _object(False, b=S), compatible=False),
    _Case("open: content gets a type", _object(True, b=S), _object(N, b=S), compatible=False),
    _Case("open: required goes", _object(True, ("b",), b=S), _object(True, b=S), compatible=True),
    _Case("open: required comes", _object(True, b=S), _object(True, ("b",), b=S), compatible=False),
    _Case(
        "open: an undeclared name is required instead",
        _object(True, ("b",), b=S),
        _object(True, ("c",), b=S),
        compatible=True,
        ours=False,
        because=_COLUMN,
    ),
    _Case(
        "open: required comes with a default",
        _object(True, b=S),
        _object(True, ("b",), b={**S, "default": "x"}),
        compatible=True,
        ours=False,
        because="a default is a note in JSON Schema: nobody fills it in, and the property is still missing",
    ),
]

_CLOSED = [
    _Case("closed: an optional property comes", _object(False, b=S), _object(False, b=S, c=N), compatible=True),
    _Case("closed: a required property comes", _object(False, b=S), _object(False, ("c",), b=S, c=N), compatible=False),
    _Case("closed: a property goes", _object(False, b=S, c=N), _object(False, b=S), compatible=False),
    _Case("closed: a property that can be nothing comes", _object(False), _object(False, b=False), compatible=True),
    _Case("closed: a property that can be nothing goes", _object(False, b=False), _object(False), compatible=True),
    _Case("closed: content opens", _object(False, b=S), _object(True, b=S), compatible=True),
    _Case(
        "closed: a required property comes with a default",
        _object(False, b=S),
        _object(False, ("c",), b=S, c={**N, "default": 0}),
        compatible=True,
        ours=False,
        because="a default is a note in JSON Schema: nobody fills it in, and the property is still missing",
    ),
]

_PARTIAL = [
    _Case("partial: a property comes that the content admits", _object(S, b=S), _object(S, b=S, c=S), compatible=True),
    _Case("partial: a property comes of another type", _object(S, b=S), _object(S, b=S, c=N), compatible=False),
    _Case("partial: such a property comes, required", _object(S, b=S), _object(S, ("c",), b=S, c=S), compatible=False),
    _Case(
        "partial: a property goes that the content admits", _object(False, b=S, c=S), _object(S, b=S), compatible=True
    ),
    _Case("partial: a property goes of another type", _object(False, b=S, c=N), _object(S, b=S), compatible=False),
    _Case(
        "partial: a property goes into wider content",
        _object(False, b=S, c=S),
        _object({"oneOf": [NULL, S]}, b=S),
        compatible=True,
    ),
    _Case(
        "partial: a property that may be null goes into such content",
        _object(False, b=S, c={"oneOf": [NULL, S]}),
        _object({"oneOf": [NULL, S]}, b=S),
        compatible=True,
    ),
    _Case(
        "patterns: a property comes that one of them admits",
        _object(False, b=S, patterns=_TEXTS_OR_NUMBERS),
        {**_object(False, b=S, n_1=N, patterns=_TEXTS_OR_NUMBERS)},
        compatible=True,
    ),
    _Case(
        "patterns: a property goes that one of them admits",
        _object(False, b=S, n_1=I),
        _object(False, b=S, patterns={"^t_": S, "^n_": N}),
        compatible=True,
    ),
    _Case("partial: content changes its type", _object(S), _object(N), compatible=False),
    _Case("partial: content widens", _object(I), _object(N), compatible=True),
]

_COUNTS = [
    _Case("maxProperties goes", {**_object(True), "maxProperties": 1}, _object(True), compatible=True),
    _Case(
        "maxProperties grows",
        {**_object(True), "maxProperties": 1},
        {**_object(True), "maxProperties": 2},
        compatible=True,
    ),
    _Case(
        "maxProperties shrinks",
        {**_object(True), "maxProperties": 2},
        {**_object(True), "maxProperties": 1},
        compatible=False,
    ),
    _Case("minProperties goes", {**_object(True), "minProperties": 2}, _object(True), compatible=True),
    _Case(
        "minProperties grows",
        {**_object(True), "minProperties": 1},
        {**_object(True), "minProperties": 2},
        compatible=False,
    ),
    _Case(
        "minProperties shrinks",
        {**_object(True), "minProperties": 2},
        {**_object(True), "minProperties": 1},
        compatible=True,
    ),
    _Case("maxItems shrinks", _list(rest=S, maxItems=2), _list(rest=S, maxItems=1), compatible=False),
    _Case("maxItems grows", _list(rest=S, maxItems=1), _list(rest=S, maxItems=2), compatible=True),
    _Case("minItems goes", _list(rest=S, minItems=1), _list(rest=S), compatible=True),
    _Case("minItems grows", _list(rest=S, minItems=1), _list(rest=S, minItems=2), compatible=False),
    _Case("minItems shrinks", _list(rest=S, minItems=2), _list(rest=S, minItems=1), compatible=True),
    _Case("uniqueItems goes", _list(rest=S, uniqueItems=True), _list(rest=S), compatible=True),
    _Case("uniqueItems comes", _list(rest=S), _list(rest=S, uniqueItems=True), compatible=False),
]

_LISTS = [
    _Case("items get a type", _list(), _list(rest=S), compatible=False),
    _Case("items lose their type", _list(rest=S), _list(), compatible=True),
    _Case("items change their type", _list(rest=S), _list(rest=N), compatible=False),
    _Case("the first items are free", _list(S, N), _list(), compatible=True),
    _Case("the first item changes its type", _list(S), _list(N), compatible=False),
    _Case("a place comes that the rest admits", _list(S, N, rest=S), _list(S, N, S, rest=S), compatible=True),
    _Case("a place comes that the rest does not admit", _list(S, N, rest=S), _list(S, N, N, rest=S), compatible=False),
    _Case("a place goes that the rest admits", _list(S, N, S, rest=S), _list(S, N, rest=S), compatible=True),
    _Case("a place goes that the rest does not admit", _list(S, N, N, rest=S), _list(S, N, rest=S), compatible=False),
    _Case(
        "a place that may be null goes into such a rest",
        _list(S, {"oneOf": [NULL, S]}, rest={"oneOf": [NULL, S]}),
        _list(S, rest={"oneOf": [NULL, S]}),
        compatible=True,
    ),
    _Case("open list: a place comes", _list(S), _list(S, N), compatible=False),
    _Case("open list: a place that may be anything comes", _list(N), _list(N, True), compatible=True),
    _Case("open list: a place that may be anything goes", _list(N, True), _list(N), compatible=True),
    _Case("open list: a place goes", _list(S, N), _list(S), compatible=True),
    _Case(
        "closed list: a place that can be nothing comes",
        _list(N, rest=False),
        _list(N, False, rest=False),
        compatible=True,
    ),
    _Case(
        "closed list: a place that can be nothing goes",
        _list(N, False, rest=False),
        _list(N, rest=False),
        compatible=True,
    ),
    _Case("closed list: a place comes", _list(S, rest=False), _list(S, N, rest=False), compatible=True),
    _Case("closed list: a place goes", _list(S, N, rest=False), _list(S, rest=False), compatible=False),
    _Case("closed list: a place comes, and it opens", _list(S, N, rest=False), _list(S, N, B), compatible=True),
    _Case("closed list: a place goes, and it opens", _list(S, N, B, rest=False), _list(S, N), compatible=True),
    _Case("closed list: a place goes into the rest", _list(S, N, rest=False), _list(S, rest=N), compatible=True),
    _Case("partial list: a place comes, and it opens", _list(S, rest=N), _list(S, N), compatible=True),
    _Case("open list: it closes", _list(S), _list(S, rest=False), compatible=False),
]

_WORD = {"enum": ["low", "high"]}
_COMBINED = [
    _Case(
        "parts in another order",
        {"allOf": [_WORD, S, {"maxLength": 5}]},
        {"allOf": [{"maxLength": 5}, _WORD, S]},
        compatible=True,
    ),
    _Case("one part of another type", {"allOf": [_WORD, S]}, {"allOf": [_WORD, N]}, compatible=False),
    _Case("a part twice", {"allOf": [S, S]}, {"allOf": [S]}, compatible=True),
    _Case("a part said again", {"allOf": [S]}, {"allOf": [S, S]}, compatible=True),
    _Case("a part goes", {"allOf": [_WORD, S]}, {"allOf": [S]}, compatible=True),
    _Case("a part comes", {"allOf": [S]}, {"allOf": [_WORD, S]}, compatible=False),
    _Case("an enum in a part grows", {"allOf": [S, {"enum": ["low"]}]}, {"allOf": [_WORD, S]}, compatible=True),
    _Case("an alternative comes", {"oneOf": [S]}, {"oneOf": [N, S]}, compatible=True),
    _Case("two alternatives come", {"oneOf": [S]}, {"oneOf": [B, N, S]}, compatible=True),
    _Case("an alternative goes", {"oneOf": [N, S]}, {"oneOf": [S]}, compatible=False),
    _Case("another alternative", {"oneOf": [S]}, {"oneOf": [N]}, compatible=False),
    _Case(
        "an alternative widens",
        {"oneOf": [{**S, "maxLength": 5}]},
        {"oneOf": [B, N, {**S, "maxLength": 8}]},
        compatible=True,
    ),
    _Case(
        "an alternative's property changes",
        {"oneOf": [_object(True, b=S)]},
        {"oneOf": [_object(True, b=N)]},
        compatible=False,
    ),
    _Case("oneOf becomes anyOf", {"oneOf": [S]}, {"anyOf": [N, S]}, compatible=True),
    _Case("allOf becomes anyOf", {"allOf": [S]}, {"anyOf": [N, S]}, compatible=True),
    _Case("anyOf becomes oneOf", {"anyOf": [S]}, {"oneOf": [N, S]}, compatible=True),
    _Case("anyOf becomes oneOf of fewer", {"anyOf": [N, S]}, {"oneOf": [S]}, compatible=False),
    _Case("allOf becomes oneOf", {"allOf": [N]}, {"oneOf": [N, S]}, compatible=True),
    _Case("anyOf of one becomes allOf", {"anyOf": [S]}, {"allOf": [S]}, compatible=True),
    _Case("anyOf of one becomes allOf of two", {"anyOf": [S]}, {"allOf": [N, S]}, compatible=False),
    _Case("oneOf of one becomes allOf of two", {"oneOf": [S]}, {"allOf": [N, S]}, compatible=False),
    _Case("a type becomes anyOf", S, {"anyOf": [N, S]}, compatible=True),
    _Case("a type becomes oneOf", S, {"oneOf": [N, S]}, compatible=True),
    _Case("null becomes a value or null", NULL, {"oneOf": [N, NULL]}, compatible=True),
    _Case("a short text becomes a text or a number", {**S, "maxLength": 3}, {"oneOf": [N, S]}, compatible=True),
    _Case("a type becomes allOf of one", S, {"allOf": [S]}, compatible=True),
    _Case("a type becomes allOf of two types", S, {"allOf": [N, S]}, compatible=False),
    _Case(
        "oneOf of one becomes allOf of the same, as the whole",
        {"oneOf": [S]},
        {"allOf": [S]},
        compatible=False,
        ours=True,
        because=_EXACT,
    ),
]

_UNSAID_CONTENT = [
    _Case("unsaid: a property comes", _object(b=S), _object(b=S, c=N), compatible=False, ours=True, because=_UNSAID),
    _Case("unsaid: one goes, another comes", _object(b=S), _object(c=S), compatible=False, ours=True, because=_UNSAID),
    _Case("unsaid: a property goes", _object(b=S, c=N), _object(b=S), compatible=True),
    _Case("unsaid: content closes", _object(b=S), _object(False, b=S), compatible=False, ours=True, because=_UNSAID),
    _Case("unsaid: closed content is said no more", _object(False, b=S), _object(b=S), compatible=True),
    _Case("unsaid: required comes", _object(b=S), _object(required=("b",), b=S), compatible=False),
    _Case("unsaid: a required property comes", _object(b=S), _object(required=("c",), b=S, c=N), compatible=False),
]

_CASES = [*_KEYWORDS, *_OPEN, *_CLOSED, *_PARTIAL, *_COUNTS, *_LISTS, *_COMBINED, *_UNSAID_CONTENT]


def _verdict(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Tell whether a new version reads what the old one wrote; a refusal has a path and a fix."""
    found = issues(new, [Earlier(1, old, old)], "BACKWARD")
    assert all(issue.path and issue.fix for issue in found)
    return not found


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_published_cases(case: _Case) -> None:
    """Our verdict is Confluent's, but where the table says that it is another and why."""
    assert (case.ours is None) == (not case.because)
    expected = case.compatible if case.ours is None else case.ours
    assert _verdict(_object(a=case.old), _object(a=case.new)) is expected
    assert _verdict(_object(z=_object(a=case.old)), _object(z=_object(a=case.new))) is expected


@pytest.mark.parametrize("case", [*_OPEN, *_CLOSED, *_PARTIAL, *_UNSAID_CONTENT], ids=lambda case: case.name)
def test_content_counts_the_same_for_the_whole_payload(case: _Case) -> None:
    """What holds for an object inside a payload holds for the payload."""
    expected = case.compatible if case.ours is None else case.ours
    assert (not issues(case.new, [Earlier(1, case.old, case.old)], "BACKWARD")) is expected


@pytest.mark.parametrize(
    ("mode", "content", "comes", "goes"),
    [
        ("BACKWARD", True, False, True),
        ("BACKWARD", False, True, False),
        ("BACKWARD", None, True, True),
        ("FORWARD", True, True, False),
        ("FORWARD", False, False, True),
        ("FORWARD", None, True, True),
        ("FULL", True, False, False),
        ("FULL", False, False, False),
        ("FULL", None, True, True),
    ],
)
def test_optional_properties_by_mode_and_content(mode: str, content: bool | None, comes: bool, goes: bool) -> None:
    """Confluent's summary: when an optional property may come or go in open and in closed content; and ours for unsaid content."""
    less, more = _object(content, b=S), _object(content, b=S, c=N)
    assert (not issues(more, [Earlier(1, less, less)], mode)) is comes
    assert (not issues(less, [Earlier(1, more, more)], mode)) is goes
