"""The registry: names, versions, physical columns, views, and the document that outlives the process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlab.errors import InvalidEvent
from eventlab.schemas import Definition, Registry, types
from eventlab.schemas.registry import GROUP_SIZE, RESERVED_TYPES, inferred, snake_case

if TYPE_CHECKING:
    from collections.abc import Iterable


def _fields(**kinds: str) -> dict[str, types.Field]:
    """Return fields by the names of their types."""
    return {name: types.field(text) for name, text in kinds.items()}


def _define(registry: Registry, event_type: str, *, origin: str = "defined", **kinds: str) -> Registry:
    """Return the registry with one definition more."""
    definition = registry.define(event_type, _fields(**kinds), origin=origin, recorded_at=0)
    assert definition is not None
    return registry.adding(definition)


def _of(names: Iterable[str]) -> Registry:
    """Return a registry with types of these names."""
    registry = Registry()
    for name in names:
        registry = _define(registry, name, a="INT")
    return registry


def test_definitions_are_numbered_by_type_and_altogether() -> None:
    """Versions count within a type, the registry's version counts all; the same fields again are no definition."""
    registry = _define(_define(_define(Registry(), "A", a="INT"), "B", b="INT"), "A", a="INT", c="DATE")
    assert [(d.event_type, d.version, d.registry_version, d.number) for d in registry.definitions] == [
        ("A", 1, 1, 0),
        ("B", 1, 2, 1),
        ("A", 2, 3, 0),
    ]
    assert registry.define("A", _fields(a="INT", c="DATE"), origin="defined", recorded_at=9) is None
    assert registry.names == ["A", "B"]
    assert "A" in registry
    assert registry.get("C") is None


def test_a_registry_is_known_at_each_of_its_versions() -> None:
    """``at`` gives it as it was; views and columns do not depend on what came later."""
    registry = _define(_of(["A", "B"]), "A", a="VARCHAR[]", origin="inferred")
    assert [registry.at(v).version for v in (-1, 0, 1, 2, 3, 9)] == [0, 0, 1, 2, 3, 3]
    assert registry.at(1).names == ["A"]
    first, now = registry.at(2).get("A"), registry.get("A")
    assert first is not None
    assert now is not None
    assert list(first.columns) == ["A"]
    assert list(now.columns) == ["A", "A__2"]


def test_types_share_files_by_32() -> None:
    """The 33rd type begins the next group."""
    registry = _of(f"T{n}" for n in range(GROUP_SIZE + 1))
    assert [event_type.group for event_type in registry] == [0] * GROUP_SIZE + [1]


# ---- names


@pytest.mark.parametrize("name", [*sorted(RESERVED_TYPES), "Position", "EVENT_ID", "Month"])
def test_a_type_named_like_a_column_of_the_log_is_refused(name: str) -> None:
    """In any case of letters."""
    with pytest.raises(InvalidEvent, match="Name the type by what happened"):
        Registry().define(name, {}, origin="defined", recorded_at=0)


@pytest.mark.parametrize("name", ["", " ", "a\0", "x" * 513, "\ud800", None, 5])
def test_a_type_without_a_name_is_refused(name: Any) -> None:
    """As any name of an event."""
    with pytest.raises(InvalidEvent, match="Give text of 1 to 512 characters"):
        Registry().define(name, {}, origin="inferred", recorded_at=0)


@pytest.mark.parametrize("other", ["orderplaced", "ORDERPLACED", "orderPlaced"])
def test_types_that_differ_by_case_only_are_refused(other: str) -> None:
    """Column names are case-insensitive; the hint is the name that exists."""
    with pytest.raises(InvalidEvent, match="Write 'OrderPlaced'"):
        _of(["OrderPlaced"]).check_name(other)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "A"], "differ by case only\nColumn names are case-insensitive"),
        ([""], "cannot name a field"),
        (["a\0"], "cannot name"),
    ],
)
def test_fields_that_cannot_stand_beside_each_other_are_refused(names: list[str], message: str) -> None:
    """Both are named."""
    with pytest.raises(InvalidEvent, match=message):
        Registry().define("X", {name: types.field("INT") for name in names}, origin="defined", recorded_at=0)


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("OrderPlaced", "order_placed"),
        ("HTTPError", "http_error"),
        ("page view!", "page_view"),
        ("a__b", "a_b"),
        ("2fa", "_2fa"),
        ("!!!", "_"),
        ("ÄpfelGekauft", "äpfel_gekauft"),
        ("order-placed.v2", "order_placed_v2"),
        ("getURLFor", "get_url_for"),
    ],
)
def test_a_view_s_name_is_snake_case(name: str, view: str) -> None:
    """Words are told apart by capitals and by what is no letter."""
    assert snake_case(name) == view


def test_a_view_that_clashes_is_an_event() -> None:
    """With another type's view, with a relation of the log, with both."""
    registry = _of(
        ["OrderPlaced", "order placed", "order-placed", "Events", "streams", "EventTypes", "OrderPlacedEvent"]
    )
    assert list(registry.views.items()) == [
        ("order_placed", "OrderPlaced"),
        ("order_placed_event", "order placed"),
        ("order_placed_event_event", "order-placed"),
        ("events_event", "Events"),
        ("streams_event", "streams"),
        ("event_types_event", "EventTypes"),
        ("order_placed_event_event_event", "OrderPlacedEvent"),
    ]


@given(st.lists(st.text(min_size=1, max_size=6), max_size=8))
def test_every_type_has_a_view_and_a_column_of_its_own(names: list[str]) -> None:
    """Whatever the names: those that are refused say so, the others never meet."""
    registry = Registry()
    for name in names:
        try:
            definition = registry.define(name, _fields(a="INT"), origin="defined", recorded_at=0)
        except InvalidEvent:
            continue
        registry = registry.adding(definition) if definition else registry
    assert len(registry.views) == len(registry.names)
    assert len({d.column.lower() for d in registry.definitions}) == len(registry.names)


# ---- physical columns


def test_a_column_goes_on_while_its_struct_grows() -> None:
    """Added, dropped and reordered fields keep the column; the struct has all, in the order in which they came."""
    registry = _define(Registry(), "A", b="INT", a="INT")
    registry = _define(registry, "A", c="DATE", a="INT")
    registry = _define(registry, "A", a="INT", b="INT", d="VARCHAR", origin="inferred")
    event_type = registry.get("A")
    assert event_type is not None
    assert {name: str(kind) for name, kind in event_type.columns.items()} == {
        "A": 'STRUCT("b" INTEGER, "a" INTEGER, "c" DATE, "d" VARCHAR)'
    }


def test_a_changed_stored_type_begins_a_second_column() -> None:
    """And a third; a change that files do not see (an ENUM is text) begins none."""
    registry = _define(_define(Registry(), "A", a="INT"), "A", a="BIGINT")
    registry = _define(registry, "A", a="DOUBLE")
    assert [d.column for d in registry.definitions] == ["A", "A__2", "A__3"]
    registry = _define(_define(Registry(), "B", a="ENUM('x')"), "B", a="ENUM('x', 'y')")
    assert [d.column for d in _define(registry, "B", a="VARCHAR").definitions] == ["B", "B", "B"]


def test_a_second_column_never_takes_another_type_s_name() -> None:
    """There may be a type that is called ``A__2`` before, or after."""
    before = _define(_of(["A", "a__2"]), "A", a="VARCHAR", origin="inferred")
    assert before.definitions[-1].column == "A__3"
    after = _define(_define(_of(["A"]), "A", a="VARCHAR", origin="inferred"), "A__2", a="INT")
    assert after.definitions[-1].column == "A__2__2"


# ---- what recorded events can be read as


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": "INT"}, {"a": "BIGINT"}),
        ({"a": "INT"}, {"a": "DECIMAL(18,2)"}),
        ({"a": "DECIMAL(10,2)"}, {"a": "DECIMAL(12,2)"}),
        ({"a": "INT"}, {}),
        ({"a": "INT NOT NULL"}, {"a": "INT"}),
        ({"a": "INT"}, {"a": "INT", "b": "DATE"}),
        ({"a": "STRUCT(x INT, y INT)"}, {"a": "STRUCT(y BIGINT, z INT)"}),
        ({"a": "ENUM('x')"}, {"a": "ENUM('y', 'x')"}),
        ({"a": "STRUCT(x INT)"}, {"a": "MAP(VARCHAR, BIGINT)"}),
        ({"a": "UUID"}, {"a": "VARCHAR"}),
        ({"a": "INT[]"}, {"a": "JSON"}),
    ],
)
def test_a_definition_that_reads_recorded_events_is_taken(old: dict[str, str], new: dict[str, str]) -> None:
    """Wider, fewer, optional, reordered."""
    _define(_define(Registry(), "A", **old), "A", **new)


# ---- documents and inference


_PAYLOADS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=2) | st.decimals(-10, 10, places=2) | st.booleans(),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(['a"', "b c", "ä"]), inner, max_size=2)
        ),
        max_leaves=5,
    ),
    max_size=4,
)


@given(st.lists(_PAYLOADS, min_size=1, max_size=4))
def test_inferred_definitions_hold_every_payload_and_survive_as_documents(payloads: list[dict[str, Any]]) -> None:
    """After each payload the latest definition fits all of them; the documents make the same registry again."""
    registry = Registry()
    for n, payload in enumerate(payloads):
        known = registry.get("A")
        kinds = [(name, types.of_value(value)) for name, value in payload.items()]
        fields = inferred(known.latest if known else None, kinds)
        definition = registry.define("A", fields, origin="inferred", recorded_at=n)
        registry = registry.adding(definition) if definition else registry
    (event_type,) = registry
    for payload in payloads:
        typed = {name: value for name, value in payload.items() if name in event_type.latest.fields}
        assert event_type.latest.fits(typed) is None
    again = Registry(Definition.from_document(json.loads(json.dumps(d.document()))) for d in registry.definitions)
    assert again.definitions == registry.definitions
    assert again.views == registry.views
    assert [t.columns for t in again] == [t.columns for t in registry]


def test_a_key_that_cannot_be_a_column_stays_in_the_payload() -> None:
    """Empty, or another key by case only; and no more than a thousand of one type."""
    kinds = [(name, types.BIGINT) for name in ("a", "", "A", "b\0")]
    assert list(inferred(None, kinds)) == ["a"]
    assert len(inferred(None, [(f"k{n}", types.BIGINT) for n in range(2000)])) == 1000
