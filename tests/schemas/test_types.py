"""The types of fields: parsed, inferred, widened and stored, against Python values, DuckDB and a real Delta table."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Schema
from hypothesis import given
from hypothesis import strategies as st

from eventlab import events, queries
from eventlab.errors import InvalidArgument
from eventlab.schemas import types
from eventlab.schemas.checks import check
from eventlab.schemas.types import FieldType, holds, of_value, parse, widen

if TYPE_CHECKING:
    from pathlib import Path

_CONNECTION = queries.connect()
_NAMES = st.sampled_from(["a", "b", "A", 'x "y"', "ä", "select"])
_SCALARS = st.sampled_from([*types.INTEGERS, "BOOLEAN", "FLOAT", "DOUBLE", "VARCHAR", "JSON", "DATE", "TIME", "UUID"])
_TYPES: st.SearchStrategy[FieldType] = st.recursive(
    _SCALARS.map(FieldType)
    | st.sampled_from([types.NULL, FieldType("TIMESTAMP"), FieldType("TIMESTAMPTZ")])
    | st.sampled_from([(10, 2), (18, 2), (18, 4), (38, 0), (38, 20)]).map(lambda d: FieldType("DECIMAL", *d))
    | st.lists(st.sampled_from(["a", "it's", "b"]), min_size=1, unique=True).map(
        lambda values: FieldType("ENUM", values=tuple(values))
    ),
    lambda inner: (
        inner.map(lambda item: FieldType("LIST", item=item))
        | inner.map(lambda item: FieldType("MAP", item=item))
        | st.lists(st.tuples(_NAMES, inner), max_size=3, unique_by=lambda part: part[0].lower()).map(
            lambda fields: FieldType("STRUCT", fields=tuple(fields))
        )
    ),
    max_leaves=5,
)
_KEYS = st.sampled_from(["a", "b", "A", "", "x y"])
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.integers(-9, 300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(-(10**20), 10**20, places=3)
    | st.text("ab1", max_size=3)
    | st.sampled_from(
        [
            dt.date(2026, 1, 1),
            dt.time(1),
            uuid.UUID(int=1),
            dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
            dt.datetime(2026, 1, 1),  # noqa: DTZ001 - naive on purpose
        ]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=6,
)


def _canonical(kind: FieldType) -> Any:
    """Return a type without the order of its fields and values."""
    fields = frozenset((name, _canonical(child)) for name, child in kind.fields)
    item = _canonical(kind.item) if kind.item else None
    return kind.kind, kind.precision, kind.scale, fields, item, frozenset(kind.values)


# ---- names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("int", "INTEGER"),
        ("LONG", "BIGINT"),
        ("real", "FLOAT"),
        ("TEXT", "VARCHAR"),
        ("VARCHAR(10)", "VARCHAR"),
        ("bool", "BOOLEAN"),
        ("numeric(10, 2)", "DECIMAL(10,2)"),
        ("DECIMAL", "DECIMAL(18,3)"),
        ("DATETIME", "TIMESTAMP"),
        ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"),
        ("json", "JSON"),
        ("uuid", "UUID"),
        ("int[][]", "INTEGER[][]"),
        ("MAP(VARCHAR, JSON[])", "MAP(VARCHAR, JSON[])"),
        ("ENUM('a', 'it''s')", "ENUM('a', 'it''s')"),
        ("null", "NULL"),
        ('STRUCT("a b""c" INT, d STRUCT(e DATE))', 'STRUCT("a b""c" INTEGER, "d" STRUCT("e" DATE))'),
    ],
)
def test_duckdb_s_names_are_understood(text: str, expected: str) -> None:
    """Aliases, any case, nested; written in one way."""
    assert str(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("HUGEINT", r"DECIMAL\(38,0\)"),
        ("UHUGEINT", r"DECIMAL\(38,0\)"),
        ("BIGNUM", "VARCHAR"),
        ("BLOB", "base64"),
        ("BIT", "VARCHAR"),
        ("INTERVAL", "microseconds"),
        ("TIMETZ", "TIMESTAMPTZ"),
        ("TIME_NS", "TIME"),
        ("TIMESTAMP_S", "TIMESTAMP"),
        ("TIMESTAMP_MS", "TIMESTAMP"),
        ("TIMESTAMP_NS", "TIMESTAMP"),
        ("TIMESTAMPTZ_NS", "TIMESTAMPTZ"),
        ("INT[3]", "a list"),
        ("UNION(a INT, b VARCHAR)", "JSON"),
        ("VARIANT", "JSON"),
        ("GEOMETRY", "WKT"),
        ("MAP(INT, INT)", r"MAP\(VARCHAR, INTEGER\)"),
        ("STRUCT(a HUGEINT[])", r"DECIMAL\(38,0\)"),
    ],
)
def test_a_type_that_json_cannot_become_says_what_can(text: str, instead: str) -> None:
    """Each of DuckDB's other types has an answer."""
    with pytest.raises(InvalidArgument, match=f"(Use|Write) .*{instead}"):
        parse(text)


@given(_TYPES)
def test_a_type_s_name_is_read_as_the_same_type(kind: FieldType) -> None:
    """So that a definition can be read again, whatever was inferred: with NULL and empty objects inside, too."""
    assert parse(str(kind)) == kind
    assert types.field(f"{kind} not  null") == types.Field(kind, required=True)


@pytest.mark.parametrize("text", [None, 5, ["VARCHAR"], {"type": "VARCHAR"}])
def test_a_field_is_declared_by_text(text: Any) -> None:
    """Anything else says how it is written."""
    with pytest.raises(InvalidArgument, match="Write the name of a DuckDB type"):
        types.field(text)


# ---- values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "NULL"),
        (True, "BOOLEAN"),
        (2**63 - 1, "BIGINT"),
        (2**63, "DECIMAL(38,0)"),
        (10**38, "JSON"),
        (1.0, "DOUBLE"),
        (Decimal("12.50"), "DECIMAL(18,2)"),
        (Decimal("0E+50"), "DECIMAL(18,0)"),
        (Decimal("1E-39"), "JSON"),
        ("5", "VARCHAR"),
        ([], '"NULL"[]'),
        ([None], '"NULL"[]'),
        ({}, "STRUCT"),
        ([{}], "STRUCT[]"),
        ([1, 2.5], "DOUBLE[]"),
        ([1, "x"], "JSON[]"),
        ({"a": None}, 'STRUCT("a" "NULL")'),
        ({"a": 1, "A": 2}, "JSON"),
        ({"": 1}, "JSON"),
        ({"a\0": 1}, "JSON"),
        ([{"a": 1}, {"b": "x"}], 'STRUCT("a" BIGINT, "b" VARCHAR)[]'),
        (dict.fromkeys(map(str, range(201))), "JSON"),
        (dt.time(1, tzinfo=dt.UTC), "VARCHAR"),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "TIMESTAMPTZ"),
    ],
    ids=str,
)
def test_a_value_has_the_narrowest_type(value: object, expected: str) -> None:
    """Empty lists and objects are known to be such, and no more."""
    assert str(of_value(value)) == expected


def test_any_value_has_a_type_even_huge_and_deep_ones() -> None:
    """A number of 5000 digits, a value of 90 levels: JSON, from some depth on."""
    deep: Any = 1
    for _ in range(90):
        deep = [deep]
    assert of_value(10**5000) == types.JSON
    assert str(of_value(deep)) == "JSON" + "[]" * 21
    assert check(of_value(deep), closed=True)(deep) is None


# ---- the lattice


@given(_TYPES)
def test_widening_is_idempotent_and_has_ends(kind: FieldType) -> None:
    """A type with itself or NULL is itself; with JSON it is JSON."""
    assert widen(kind, kind) == kind
    assert widen(kind, types.NULL) == widen(types.NULL, kind) == kind
    assert widen(kind, types.JSON) == widen(types.JSON, kind) == types.JSON


@given(_TYPES, _TYPES)
def test_widening_is_commutative(one: FieldType, other: FieldType) -> None:
    """Which came first decides nothing but the order of fields, and both fit."""
    wide = widen(one, other)
    assert _canonical(wide) == _canonical(widen(other, one))
    assert holds(wide, one)
    assert holds(wide, other)
    assert _canonical(widen(wide, one)) == _canonical(wide)


@given(st.lists(_VALUES, max_size=5))
def test_a_value_fits_whatever_its_type_is_widened_by(values: list[Any]) -> None:
    """Values come one after the other, as in a log: all of them fit the type that has grown to hold them."""
    kind = types.NULL
    for value in values:
        assert check(of_value(value), closed=True)(value) is None
        kind = widen(kind, of_value(value))
    for value in values:
        assert check(kind, closed=True)(value) is None
        assert widen(kind, of_value(value)) == kind


_INTEGERS = st.sampled_from(list(types.INTEGERS))


@given(_INTEGERS, _INTEGERS, _INTEGERS)
def test_integers_widen_to_the_smallest_that_holds_both(one: str, other: str, third: str) -> None:
    """Against trying all of them by their bounds; in any grouping. Beyond 64 bits a DECIMAL."""
    low = min(types.bounds(one)[0], types.bounds(other)[0])
    high = max(types.bounds(one)[1], types.bounds(other)[1])
    fitting = [n for n in types.INTEGERS if types.bounds(n)[0] <= low and high <= types.bounds(n)[1]]
    wide = widen(FieldType(one), FieldType(other))
    if fitting:
        assert wide.kind == min(fitting, key=lambda n: types.bounds(n)[1] - types.bounds(n)[0])
    else:
        assert wide == FieldType("DECIMAL", 20, 0)
    a, b, c = map(FieldType, (one, other, third))
    assert widen(widen(a, b), c) == widen(a, widen(b, c))


@pytest.mark.parametrize(
    ("one", "other", "wide"),
    [
        ("DECIMAL(10,2)", "DECIMAL(12,2)", "DECIMAL(12,2)"),
        ("DECIMAL(18,2)", "INTEGER", "DECIMAL(18,2)"),
        ("DECIMAL(18,2)", "BIGINT", "DECIMAL(21,2)"),
        ("DECIMAL(18,2)", "DOUBLE", "DOUBLE"),
        ("DECIMAL(38,30)", "BIGINT", "JSON"),
        ("BIGINT", "VARCHAR", "JSON"),
        ("DATE", "TIMESTAMP", "VARCHAR"),
        ("ENUM('a')", "ENUM('a', 'b')", "ENUM('a', 'b')"),
        ("ENUM('a')", "ENUM('b')", "ENUM('a', 'b')"),
        ("ENUM('a')", "VARCHAR", "VARCHAR"),
        ("BIGINT[]", "DOUBLE[]", "DOUBLE[]"),
        ("BIGINT[]", "STRUCT", "JSON"),
        ("MAP(VARCHAR, BIGINT)", "MAP(VARCHAR, DOUBLE)", "MAP(VARCHAR, DOUBLE)"),
        ("MAP(VARCHAR, BIGINT)", "STRUCT(a DOUBLE)", "MAP(VARCHAR, DOUBLE)"),
        ("STRUCT(a INT)", 'STRUCT("A" INT)', "JSON"),
        ("UBIGINT", "TINYINT", "DECIMAL(20,0)"),
        ("BOOLEAN", "BIGINT", "JSON"),
    ],
)
def test_two_types_widen_to(one: str, other: str, wide: str) -> None:
    """A table to check by eye."""
    assert widen(parse(one), parse(other)) == parse(wide)


# ---- files


@given(_TYPES)
def test_a_stored_type_is_plain_and_stays_as_it_is(kind: FieldType) -> None:
    """Storing what is stored changes nothing, and a column of it goes on as itself."""
    stored = types.stored(kind)
    if stored is not None:
        assert types.stored(stored) == stored
        assert types.extends(stored, stored)
        assert types.merged(stored, stored) == stored


@pytest.mark.parametrize(
    "text",
    [
        *types.INTEGERS,
        "BOOLEAN",
        "FLOAT",
        "DOUBLE",
        "DECIMAL(38,4)",
        "VARCHAR",
        "DATE",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMPTZ",
        "UUID",
        "JSON",
        "ENUM('a')",
        "STRUCT(a TIMESTAMP, b STRUCT(c UBIGINT[]))",
        "TIMESTAMP[]",
        "MAP(VARCHAR, STRUCT(a TIME))",
        "STRUCT(a UINTEGER)[]",
    ],
)
def test_a_plain_delta_table_takes_every_stored_type(tmp_path: Path, text: str) -> None:
    """Added to a table of protocol (1, 2), which stays (1, 2); a plain one comes back as what DuckDB writes."""
    table = DeltaTable.create(str(tmp_path), schema=events.ENVELOPE)
    stored = types.stored(parse(text))
    assert stored is not None
    schema = queries.arrow(_CONNECTION, f"select null::{stored} as x").schema
    table.alter.add_columns(Schema.from_arrow(schema).fields)
    again = DeltaTable(str(tmp_path))
    assert (again.protocol().min_reader_version, again.protocol().min_writer_version) == (1, 2)
    if not stored.fields and not stored.item:
        assert pa.schema(again.schema().to_arrow()).field("x").type == schema.field("x").type


def test_a_struct_grows_at_its_end() -> None:
    """Old fields keep their places, at every level; a changed one does not extend."""
    old = parse("STRUCT(a INT, s STRUCT(x INT))")
    new = parse("STRUCT(z INT, s STRUCT(y INT, x INT), a INT)")
    assert types.extends(old, new)
    assert types.merged(old, new) == parse("STRUCT(a INT, s STRUCT(x INT, y INT), z INT)")
    assert not types.extends(old, parse("STRUCT(a BIGINT, s STRUCT(x INT))"))
    assert not types.extends(old, parse("STRUCT(a INT)"))


def test_duckdb_s_structures_are_types() -> None:
    """What ``json_structure`` says of samples."""
    text = '{"a":1,"b":[1.5,2],"c":{"d":null},"e":"x","f":[],"g":true}'
    ((structure,),) = queries.rows(_CONNECTION, "select json_structure($t)::varchar", {"t": text})
    assert types.of_structure(structure).kind == "STRUCT"
    assert dict(types.of_structure(structure).fields)["b"] == parse("DOUBLE[]")


def test_a_structure_reads_a_payload() -> None:
    """The text that ``from_json`` takes, with names that need quoting."""
    fields = {'a "b"': parse("DECIMAL(18,2)"), "c": parse('STRUCT("d e" INT)[]')}
    value = queries.rows(
        _CONNECTION,
        f"select from_json_strict($p, {queries.literal(types.structure(fields))})",
        {"p": json.dumps({'a "b"': 1.5, "c": [{"d e": 3}]})},
    )[0][0]
    assert value == {'a "b"': Decimal("1.50"), "c": [{"d e": 3}]}
