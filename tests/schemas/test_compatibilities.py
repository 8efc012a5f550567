"""Compatibility of versions: the modes, what each change is called, where it is found and what the fix says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from eventlab.errors import InvalidArgument
from eventlab.schemas import alternatives, clashes, contracts, fixes, types
from eventlab.schemas.compatibilities import MODES, Earlier, check_mode, issues

if TYPE_CHECKING:
    from eventlab.schemas.compatibilities import Issue

S, I, N, B = ({"type": name} for name in ("string", "integer", "number", "boolean"))  # noqa: E741 - the types of JSON


def _object(required: tuple[str, ...] = (), content: Any = None, **properties: Any) -> dict[str, Any]:
    """Return the schema of an object; ``content``: what it says of undeclared properties."""
    said = {} if content is None else {"additionalProperties": content}
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {}), **said}


def _columns(**kinds: str) -> dict[str, Any]:
    """Return the contract of a dict of DuckDB types."""
    return contracts.of_fields({name: types.field(text) for name, text in kinds.items()})


def _check(old: dict[str, Any], new: dict[str, Any], mode: str = "BACKWARD") -> list[Issue]:
    """Return the issues of a second version."""
    return issues(new, [Earlier(1, old, old)], mode)


def _found(old: Any, new: Any, mode: str = "BACKWARD") -> list[tuple[str, str]]:
    """Return the paths and kinds of what clashes between two schemas of a property ``a``."""
    return [(issue.path, issue.kind) for issue in _check(_object(a=old), _object(a=new), mode)]


# ---- what an issue says


def test_an_issue_says_where_what_and_what_to_do() -> None:
    """An issue has the path, what was and is, the mode, the version it clashes with and a fix, in one line."""
    old = _object(address=_object(city=S))
    [issue] = _check(old, _object(address=_object(city={**S, "enum": ["Bern"]})))
    assert (issue.path, issue.kind, issue.old, issue.new) == ("address.city", "enum_added", "string", ["Bern"])
    assert (issue.mode, issue.against, issue.direction) == ("BACKWARD", 1, "backward")
    assert str(issue) == (
        'address.city: was string, is ["Bern"] (enum_added); not BACKWARD compatible with version 1. '
        "Leave the enum out, since earlier events may have other values, "
        "or say in an upcast how the new value comes from the old."
    )


def test_a_change_reads_the_same_way_in_both_directions() -> None:
    """Old and new are the earlier and the new version also where the earlier one is the reader; the kind is of the change."""
    [issue] = _check(_object(a={"enum": ["x"]}), _object(a={"enum": ["x", "y"]}), "FORWARD")
    assert (issue.kind, issue.old, issue.new, issue.direction) == ("enum_extended", ["x"], ["x", "y"], "forward")
    assert issue.fix == 'Leave "y" out of the enum, since readers of version 1 do not know it.'


def test_a_default_does_not_make_a_required_property_compatible() -> None:
    """A required property that is added with a default is still required, and the fix says why the default does not help."""
    [issue] = _check(_object(a=S), _object(("b",), a=S, b={**S, "default": "x"}))
    assert (issue.path, issue.kind, issue.old, issue.new) == ("b", "required_added", "undeclared", "required")
    assert "default is only a note" in issue.fix


def test_long_values_are_cut() -> None:
    """What was and is stays short in an issue, and a fix names the first of many lost values."""
    words = [f"word{i}" for i in range(100)]
    [issue] = _check(_object(a={"enum": words}), _object(a={"enum": words[:50]}))
    assert len(issue.old) == 60
    assert '"word50", "word51", "word52", "word53", "word54", …' in issue.fix


def test_every_rule_has_its_words() -> None:
    """Each rule that can clash has a kind and a fix for both directions, which name only what there is."""
    own = {"type", "null", "required", "required_new", "refused", "union", "overlap", "undecided", "enum"}
    assert {*clashes._RULES, *own} - {"const"} <= fixes.FIXES.keys()
    for kinds, sentences in fixes.FIXES.values():
        assert all(kinds)
        for sentence in sentences:
            assert sentence.format(name="n", old="o", new="w", lost="l", version=1).endswith(".")


# ---- modes


def test_modes_look_in_their_directions() -> None:
    """BACKWARD looks at what the new version reads, FORWARD at what the earlier one reads, FULL at both, NONE at nothing."""
    narrow, wide = _object(a=I), _object(a=N)
    found = {mode: [issue.direction for issue in _check(wide, narrow, mode)] for mode in MODES}
    assert found == {
        "NONE": [],
        "BACKWARD": ["backward"],
        "BACKWARD_TRANSITIVE": ["backward"],
        "FORWARD": [],
        "FORWARD_TRANSITIVE": [],
        "FULL": ["backward"],
        "FULL_TRANSITIVE": ["backward"],
    }
    assert [issue.direction for issue in _check(narrow, wide, "FULL")] == ["forward"]


def test_only_transitive_modes_look_at_every_version() -> None:
    """A property that comes back with another type clashes with the version before the last: only transitive modes see it."""
    first, last = _object(a=S, b=S), _object(b=S)
    earlier = [Earlier(1, first, first), Earlier(2, last, last)]
    new = _object(a=I, b=S)
    assert issues(new, earlier, "BACKWARD") == issues(new, earlier, "FULL") == []
    assert [(issue.path, issue.against) for issue in issues(new, earlier, "BACKWARD_TRANSITIVE")] == [("a", 1)]
    assert [issue.direction for issue in issues(new, earlier, "FULL_TRANSITIVE")] == ["backward", "forward"]


def test_an_upcast_counts_for_reading_only() -> None:
    """Backward a version counts as its upcast reads it; forward, a reader of it sees what is written now."""
    old, read, new = _object(("qty",), qty=S), _object(("qty",), qty=I), _object(("qty",), qty=I)
    assert issues(new, [Earlier(1, old, read)], "BACKWARD") == []
    assert [issue.direction for issue in issues(new, [Earlier(1, old, read)], "FULL")] == ["forward"]


def test_a_first_version_is_compatible() -> None:
    """Without earlier versions there is nothing to clash with."""
    assert all(issues(_object(a=S), [], mode) == [] for mode in MODES)


def test_an_unknown_mode_is_refused() -> None:
    """A mode that there is not is refused with the near one and all of them."""
    with pytest.raises(InvalidArgument, match="Did you mean 'BACKWARD'") as caught:
        issues(_object(), [], "BACKWARDS")
    assert caught.value.hint == (
        "The modes are: NONE, BACKWARD, BACKWARD_TRANSITIVE, FORWARD, FORWARD_TRANSITIVE, FULL, FULL_TRANSITIVE."
    )
    check_mode(None)


# ---- changes that are compatible


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (I, N),
        (I, {"type": ["integer", "null"]}),
        (I, {"anyOf": [I, {"type": "null"}]}),
        (S, {"anyOf": [S, I]}),
        (S, {"oneOf": [I, S]}),
        ({"enum": ["x"]}, {"enum": ["x", "y"]}),
        ({"enum": ["x"]}, S),
        ({"const": "x"}, {"enum": ["x", "y"]}),
        ({"const": "x"}, {"const": "x"}),
        ({**I, "minimum": 3}, {**I, "minimum": 2}),
        ({**I, "minimum": 3}, {**I, "exclusiveMinimum": 2}),
        ({**N, "maximum": 3}, {**N, "maximum": 4}),
        ({**N, "multipleOf": 10}, {**N, "multipleOf": 5}),
        ({**S, "minLength": 3, "maxLength": 3}, {**S, "minLength": 2, "maxLength": 4}),
        ({**S, "pattern": "^a"}, S),
        ({**S, "pattern": "^a"}, {**S, "pattern": "^a"}),
        ({**S, "format": "date"}, S),
        ({**S, "format": "date"}, {**S, "maxLength": 10}),
        ({"enum": ["2026-01-01"]}, {"enum": ["2026-01-01", "soon"]}),
        ({"type": "array", "items": I}, {"type": "array", "items": N}),
        ({"type": "array", "items": I, "uniqueItems": True}, {"type": "array", "items": I}),
        ({"type": "array", "items": S, "maxItems": 2}, {"type": "array", "items": S, "maxItems": 3}),
        (_object(x=I), _object(x=N, y=S)),
        (_object(x=I, y=S), _object(x=I)),
        (_object(("x",), x=I), _object(x=I)),
        (_object(x=I, content=False), _object(x=I, y=S, content=False)),
        (_object(x=I, content=False), _object(x=I)),
        (_object(x=I, content=I), _object(x=I, y=N, content=N)),
        (_object(x=I, content=True), _object(x=I, y={}, content=True)),
        (_object(x=I), _object(x=I, content=False)),
        ({"type": "object", "additionalProperties": I}, {"type": "object", "additionalProperties": N}),
        ({"allOf": [S, {"maxLength": 3}]}, {**S, "maxLength": 3}),
        ({"not": N}, {"not": I}),
        (S, {}),
        (S, {**S, "title": "A name", "default": "x", "x-owner": "shop"}),
        (
            {"anyOf": [_object(("k",), k={"const": "x"}), _object(("k",), k={"const": "y"})]},
            _object(k={"enum": ["x", "y"]}),
        ),
    ],
)
def test_compatible_changes_have_no_issue(old: Any, new: Any) -> None:
    """What only lets more in is backward compatible, and the way back is forward compatible."""
    assert _found(old, new) == []
    assert _found(new, old, "FORWARD") == []
    assert _check(_object(("a",), a=old), _object(("a",), a=new)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("INTEGER", "BIGINT"),
        ("INTEGER", "DOUBLE"),
        ("BIGINT", "DECIMAL(38,0)"),
        ("DECIMAL(18,2)", "DECIMAL(20,4)"),
        ("FLOAT", "DOUBLE"),
        ("DATE", "VARCHAR"),
        ("TIMESTAMP", "VARCHAR"),
        ("UUID", "VARCHAR"),
        ("ENUM('x')", "ENUM('x', 'y')"),
        ("ENUM('x')", "VARCHAR"),
        ("VARCHAR NOT NULL", "VARCHAR"),
        ("VARCHAR", "JSON"),
        ("DECIMAL(18,2)[]", "DECIMAL(20,2)[]"),
        ("STRUCT(x DECIMAL(18,2), y DATE)", "STRUCT(y VARCHAR, x DECIMAL(20,2), z TIME)"),
        ("MAP(VARCHAR, INTEGER)", "MAP(VARCHAR, DOUBLE)"),
    ],
)
def test_wider_columns_are_compatible(old: str, new: str) -> None:
    """A column that holds every value of the one before is compatible, nested ones and decimals included."""
    assert _check(_columns(a=old), _columns(a=new)) == []


# ---- changes that are not


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (N, I, [("a", "type_narrowed")]),
        (S, I, [("a", "type_changed")]),
        ({"type": ["string", "null"]}, S, [("a", "null_refused")]),
        ({"anyOf": [S, I]}, S, [("a", "type_changed")]),
        ({"enum": ["x", "y"]}, {"enum": ["x"]}, [("a", "enum_narrowed")]),
        ({"enum": ["x", "y"]}, {"const": "x"}, [("a", "enum_narrowed")]),
        ({**I, "minimum": 2}, {**I, "minimum": 3}, [("a", "minimum_raised")]),
        (I, {**I, "maximum": 3}, [("a", "maximum_added")]),
        ({**N, "exclusiveMaximum": 3}, {**N, "exclusiveMaximum": 2}, [("a", "exclusive_maximum_lowered")]),
        ({**I, "multipleOf": 10}, {**I, "multipleOf": 3}, [("a", "multiple_of_changed")]),
        ({**S, "minLength": 2}, {**S, "minLength": 3}, [("a", "min_length_raised")]),
        ({**S, "pattern": "^a"}, {**S, "pattern": "^b"}, [("a", "pattern_changed")]),
        (S, {**S, "pattern": "^b"}, [("a", "pattern_added")]),
        (S, {**S, "format": "date"}, [("a", "format_added")]),
        ({**S, "format": "date"}, {**S, "format": "date-time"}, [("a", "format_changed")]),
        ({"type": "array", "items": N}, {"type": "array", "items": I}, [("a[]", "type_narrowed")]),
        ({"type": "array", "prefixItems": [S]}, {"type": "array", "prefixItems": [I]}, [("a[0]", "type_changed")]),
        ({"type": "array"}, {"type": "array", "uniqueItems": True}, [("a", "unique_items_added")]),
        ({"type": "array", "items": I}, {"type": "array", "items": False}, [("a[]", "nothing_allowed")]),
        (_object(x=I), _object(("x",), x=I), [("a.x", "required_added")]),
        (_object(x=I, y=S), _object(x=I, content=False), [("a.y", "property_removed_from_closed")]),
        (_object(x=I, y=S), _object(x=I, content=I), [("a.y", "type_changed")]),
        (_object(x=I, content=True), _object(x=I, content=False), [("a", "content_closed")]),
        (_object(x=I, content=True), _object(x=I, content=S), [("a", "content_narrowed")]),
        (_object(x=I, content=True), _object(x=I, y=S, content=True), [("a.y", "property_added_to_open")]),
        (_object(x=I, content=S), _object(x=I, y=I, content=S), [("a.y", "property_added_to_open")]),
        (
            {"type": "object", "additionalProperties": S},
            {"type": "object", "additionalProperties": I},
            [("a.*", "type_changed")],
        ),
        ({"not": I}, {"not": N}, [("a", "undecided")]),
        ({"anyOf": [I, S]}, {"oneOf": [I, N, S]}, [("a", "alternatives_overlap")]),
        (
            {"type": "object", "patternProperties": {"^n_": N}},
            {"type": "object", "patternProperties": {"^n_": I}},
            [("a./^n_/", "type_narrowed")],
        ),
        (
            {"type": "array", "items": _object(price=N)},
            {"type": "array", "items": _object(price={**N, "minimum": 0})},
            [("a[].price", "minimum_added")],
        ),
        (
            {"anyOf": [_object(x=I), {"type": "null"}]},
            {"anyOf": [_object(("y",), x=I, y=S), {"type": "null"}]},
            [("a.y", "required_added")],
        ),
        ({"type": "object"}, _object(x=I), [("a.x", "property_added_to_open")]),
        (N, {**I, "minimum": 0}, [("a", "minimum_added"), ("a", "type_narrowed")]),
    ],
)
def test_clashes_are_found_where_they_are(old: Any, new: Any, found: list[tuple[str, str]]) -> None:
    """Each change that refuses something is named at the smallest path, and what has not changed is not."""
    assert _found({**old, "title": "before"}, new) == found
    other = _object(b={"enum": ["same"]}, c=_object(("d",), d=S), a=old)
    assert [path for path, _ in found] == [
        issue.path for issue in _check(other, {**other, "properties": {**other["properties"], "a": new}})
    ]


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("VARCHAR", "DATE", "format_added"),
        ("DECIMAL(18,2)", "DECIMAL(10,2)", "type_narrowed"),
        ("DECIMAL(18,2)", "DECIMAL(18,4)", "type_changed"),
        ("TIMESTAMP", "TIMESTAMPTZ", "type_changed"),
        ("DOUBLE", "BIGINT", "type_narrowed"),
        ("DECIMAL(18,2)", "DOUBLE", "type_changed"),
        ("VARCHAR", "VARCHAR NOT NULL", "required_added"),
    ],
)
def test_narrower_columns_are_not_compatible(old: str, new: str, kind: str) -> None:
    """A column that cannot hold what was recorded clashes; a decimal may be recorded as text, which is no number."""
    assert kind in [issue.kind for issue in _check(_columns(a=old), _columns(a=new))]


# ---- content


@pytest.mark.parametrize("mode", ["BACKWARD", "FORWARD", "FULL"])
def test_an_optional_property_may_come_and_go_where_content_is_unsaid(mode: str) -> None:
    """Where a contract says nothing of undeclared properties, adding and removing an optional one is fully compatible."""
    assert _check(_object(a=S), _object(a=S, b=I), mode) == []
    assert _check(_object(a=S, b=I), _object(a=S), mode) == []
    assert _check({"type": "object"}, _object(a=S), mode) == []
    assert _check(_object(a=_object(x=S)), _object(a=_object(x=S, y=I)), mode) == []


def test_closed_readers_do_not_know_what_is_added() -> None:
    """With additionalProperties false, adding an optional property is backward compatible only."""
    old, new = _object(a=S, content=False), _object(a=S, b=I, content=False)
    assert _check(old, new) == []
    [issue] = _check(old, new, "FORWARD")
    assert (issue.path, issue.kind, issue.old, issue.new) == ("b", "property_added_to_closed", "nothing", "integer")


def test_alternatives_are_closed_each_for_itself() -> None:
    """A property added to one alternative of several is optional there, and no part of the others."""
    paid = _object(("kind",), kind={"const": "paid"}, amount=N)
    sent = _object(("kind",), kind={"const": "sent"})
    tracked = _object(("kind",), kind={"const": "sent"}, parcel=S)
    for key in ("anyOf", "oneOf"):
        assert _check(_object(a={key: [paid, sent]}), _object(a={key: [paid, tracked]})) == []
        assert _check({"type": "object", key: [paid, sent]}, {"type": "object", key: [paid, tracked]}) == []
    [issue] = _check(_object(a={"oneOf": [paid, sent]}), _object(a={"oneOf": [paid]}))
    assert (issue.path, issue.kind) == ("a.kind", "enum_narrowed")


def test_what_is_said_in_parts_is_one_contract() -> None:
    """Properties that an allOf declares together are declared, and nothing beside them is."""
    both = {"type": "object", "allOf": [_object(a=I), _object(("b",), b=S)]}
    assert _check(both, _object(("b",), a=N, b=S, c=B, content=False)) == []
    assert [(issue.path, issue.kind) for issue in _check(both, _object(a=S))] == [("a", "type_changed")]


def test_a_contract_that_asks_for_more_than_it_declares_is_not_taken_for_empty() -> None:
    """Where closed content would leave no payload at all, content counts as open: nothing would be compatible by mistake."""
    old = {**_object(a=S), "minProperties": 2}
    assert [issue.path for issue in _check(old, _object(a=S, b=I))] == ["b"]
    spread = {**_object(a=S), "allOf": [{"minProperties": 1}, {"minProperties": 1}]}
    assert _check(spread, _object(a=S, b=I)) == []


def test_formats_mean_what_columns_mean() -> None:
    """A date-time may be short text to a column, so that a least length of RFC 3339 is not implied by it."""
    moment = {**S, "format": "date-time"}
    assert _found(moment, {**S, "minLength": 10}) == []
    assert _found(moment, {**S, "minLength": 20}) == [("a", "min_length_added")]
    assert _found({"enum": ["2026-01-01", "2026-02-01"]}, {"anyOf": [{**S, "format": "date"}, B]}) == []


def test_alternatives_of_the_same_type_are_told_apart() -> None:
    """Where old and new would read the same in a word, an issue shows them as they are."""
    low, middle, high = ({**I, "minimum": least, "maximum": least + 2} for least in (0, 5, 10))
    [issue] = _check(_object(a={"anyOf": [low, middle, high]}), _object(a={"anyOf": [low, high]}))
    assert (issue.path, issue.kind) == ("a", "alternative_removed")
    assert issue.old == middle
    assert str(issue).startswith('a: was {"type": "integer", "minimum": 5, "maximum": 7}, is {"anyOf": [')


def test_many_alternatives_are_left_undecided_rather_than_wrong() -> None:
    """Where alternatives are too many to be told apart and the whole is not decided, the issue says so and what to do."""
    words = {f"p{i}": {"anyOf": [{**S, "pattern": f"^{i}"}, {**S, "pattern": f"{i}$"}]} for i in range(7)}
    old = {"allOf": [words[name] for name in words]}
    found = _check(_object(a=old), _object(a={"anyOf": [{**S, "pattern": "^x"}, {**S, "pattern": "y$"}]}))
    assert [issue.kind for issue in found] == ["undecided"]
    assert 'compatibility="NONE"' in found[0].fix


def test_a_property_may_be_declared_in_several_places() -> None:
    """What one of several schemas in place says of a property, and another does not, is no undeclared content."""
    inner = {"properties": {"b": {"enum": [1, "ab", True]}}}
    old = {"properties": {"c": {"properties": {"b": {"const": 1}}}}, "allOf": [{"properties": {"c": inner}}]}
    new = {"properties": {"c": {"properties": {"a": {}}}}, "allOf": [{"properties": {"c": inner}}]}
    assert [issue.path for issue in issues(new, [Earlier(1, old, old)], "FORWARD")] == ["c.b"]


def test_true_is_not_one() -> None:
    """To Python they are equal, in JSON they are not, alone and inside a value."""
    one, other = {"enum": [2, True, [1], {"a": 0}]}, {"enum": [2.0, 1, [True], {"a": False}]}
    assert alternatives.joined(one, other) == {"enum": [2]}
    assert alternatives.alternatives({"const": 1, "allOf": [{"const": True}]}) != [{"const": 1}]
