"""What a person may give as a schema: five forms, one map to columns, and one clear error for each that cannot be."""

from __future__ import annotations

import dataclasses
import datetime as dt  # noqa: TC003 - classes look their annotations up
import decimal  # noqa: TC003 - as above
import enum
import json
import socket
import uuid  # noqa: TC003 - as above
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlab.errors import SchemaInvalid
from eventlab.schemas import validators
from eventlab.schemas.contracts import contract, fields, plain


def _columns(given: object) -> dict[str, str]:
    """Return the columns of what is given, as DuckDB names them."""
    return {name: str(field) for name, field in fields(contract(given, event_type="T")).items()}


# ---- one schema in five forms


class State(enum.Enum):
    """The states of an order."""

    NEW = "new"
    PAID = "paid"


@dataclass
class Line:
    """A line of an order."""

    sku: str
    qty: int


@dataclass
class Order:
    """An order as a dataclass."""

    id: uuid.UUID
    state: State
    placed: dt.datetime
    day: dt.date
    lines: list[Line]
    kind: Literal["web", "shop"] = "web"
    note: str | None = None
    tags: dict[str, float] | None = None
    more: Any = None


class OrderStruct(msgspec.Struct):
    """An order as a Struct."""

    id: uuid.UUID
    state: State
    placed: dt.datetime
    day: dt.date
    lines: list[Line]
    kind: Literal["web", "shop"] = "web"
    note: str | None = None
    tags: dict[str, float] | None = None
    more: Any = None


class OrderModel(pydantic.BaseModel):
    """An order as a model."""

    id: uuid.UUID
    state: State
    placed: dt.datetime
    day: dt.date
    lines: list[Line]
    kind: Literal["web", "shop"] = "web"
    note: str | None = None
    tags: dict[str, float] | None = None
    more: Any = None


_ORDER_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "state": {"enum": ["new", "paid"]},
        "placed": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
        "kind": {"enum": ["shop", "web"]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "tags": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
        "more": {},
    },
    "required": ["id", "state", "placed", "day", "lines"],
    "$defs": {"Line": {"type": "object", "properties": {"sku": {"type": "string"}, "qty": {"type": "integer"}}}},
}
_ORDER_TYPES = {
    "id": "UUID NOT NULL",
    "state": "ENUM('new', 'paid') NOT NULL",
    "placed": "TIMESTAMPTZ NOT NULL",
    "day": "DATE NOT NULL",
    "lines": 'STRUCT("sku" VARCHAR, "qty" BIGINT)[] NOT NULL',
    "kind": "ENUM('shop', 'web')",
    "note": "VARCHAR",
    "tags": "MAP(VARCHAR, DOUBLE)",
    "more": "JSON",
}


@pytest.mark.parametrize(
    "form", [_ORDER_TYPES, _ORDER_SCHEMA, json.dumps(_ORDER_SCHEMA), Order, OrderStruct, OrderModel], ids=repr
)
def test_five_forms_make_the_same_columns(form: object) -> None:
    """DuckDB types, JSON Schema as a dict and as text, and three kinds of classes."""
    found = _columns(form)
    kinds = {"ENUM('shop', 'web')", "ENUM('web', 'shop')"}  # a class has its values in its own order
    assert found.pop("kind") in kinds
    assert found == {name: kind for name, kind in _ORDER_TYPES.items() if name != "kind"}
    assert list(found)[:3] == ["id", "state", "placed"], "columns come in the order in which they were declared"


@pytest.mark.parametrize("form", [_ORDER_TYPES, _ORDER_SCHEMA, Order, OrderStruct, OrderModel], ids=repr)
def test_a_contract_is_in_normal_form(form: object) -> None:
    """The contract of a contract is itself; nothing in it refers to anything."""
    found = contract(form, event_type="T")
    assert contract(found, event_type="T") == found
    assert json.loads(json.dumps(found)) == found
    assert "$ref" not in json.dumps(found)
    assert found["type"] == "object"


@pytest.mark.parametrize(
    ("declared", "columns"),
    [
        ({}, {}),
        ({"type": "VARCHAR", "properties": "JSON"}, {"type": "VARCHAR", "properties": "JSON"}),
        ({"type": "object"}, {}),
        ({"$schema": "https://json-schema.org/draft/2020-12/schema#"}, {}),
        ({"type": "object", "title": "BIGINT"}, {}),
        ({"title": "BIGINT", "properties": {"a": {}}}, {"a": "JSON"}),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"b": {"type": "boolean"}}}}}, {"b": "BOOLEAN"}),
        ('{"a": "int not null"}', {"a": "INTEGER NOT NULL"}),
    ],
)
def test_dicts_of_types_and_schemas_are_told_apart(declared: object, columns: dict[str, str]) -> None:
    """A dict is a JSON Schema by its type "object", $schema, $ref, or a keyword whose value is no text."""
    assert _columns(declared) == columns


# ---- JSON Schema as columns


@pytest.mark.parametrize(
    ("schema", "column"),
    [
        ({"type": "integer"}, "BIGINT"),
        ({"type": "integer", "minimum": 0, "maximum": 2**64}, "DECIMAL(38,0)"),
        ({"type": "integer", "maximum": 10**40}, "JSON"),
        ({"type": "number"}, "DOUBLE"),
        ({"type": ["integer", "number", "null"]}, "DOUBLE"),
        ({"type": "boolean"}, "BOOLEAN"),
        ({"type": "null"}, "NULL"),
        ({"type": "string"}, "VARCHAR"),
        ({"type": "string", "format": "date"}, "DATE"),
        ({"type": "string", "format": "date-time"}, "TIMESTAMPTZ"),
        ({"type": "string", "format": "time"}, "TIME"),
        ({"type": "string", "format": "uuid"}, "UUID"),
        ({"type": "string", "format": "email"}, "VARCHAR"),
        ({"type": "string", "format": "date-time", "x-duckdb": "TIMESTAMP"}, "TIMESTAMP"),
        ({"enum": ["b", "a", None]}, "ENUM('b', 'a')"),
        ({"type": "string", "enum": ["", "a"]}, "VARCHAR"),
        ({"const": "card"}, "ENUM('card')"),
        ({"enum": [1, 2.5]}, "DOUBLE"),
        ({"enum": ["a", 1]}, "JSON"),
        ({"type": "array", "items": {"type": "string"}}, "VARCHAR[]"),
        ({"type": "array"}, "JSON[]"),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "number"}], "items": False}, "DOUBLE[]"),
        ({"type": "array", "prefixItems": [{"type": "integer"}]}, "JSON[]"),
        ({"type": "object"}, "JSON"),
        ({"type": "object", "additionalProperties": True}, "JSON"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "MAP(VARCHAR, BIGINT)"),
        ({"type": "object", "patternProperties": {"^x": {"type": "string"}}}, "JSON"),
        (
            {"type": "object", "patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False},
            "MAP(VARCHAR, VARCHAR)",
        ),
        ({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}}, 'STRUCT("a" VARCHAR, "b" JSON)'),
        ({"type": "object", "properties": {"a": {}, "A": {}}}, "JSON"),
        ({"type": ["string", "null"]}, "VARCHAR"),
        ({"type": ["string", "integer"]}, "JSON"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "BIGINT"),
        ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, "DOUBLE"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "JSON"),
        ({"anyOf": [{"type": "integer"}, {}]}, "JSON"),
        (
            {"oneOf": [{"type": "object", "properties": {key: {"type": "integer"}}} for key in "ab"]},
            'STRUCT("a" BIGINT, "b" BIGINT)',
        ),
        (
            {
                "type": "object",
                "properties": {"k": {"const": "x"}},
                "anyOf": [{"required": ["k"]}, {"minProperties": 2}],
            },
            "STRUCT(\"k\" ENUM('x'))",
        ),
        ({"allOf": [{"type": "number"}, {"type": "integer"}]}, "BIGINT"),
        ({"allOf": [{"type": "string", "format": "date"}, {"minLength": 1}]}, "DATE"),
        (
            {"allOf": [{"type": "object", "properties": {key: {"type": "string"}}} for key in "ab"]},
            'STRUCT("a" VARCHAR, "b" VARCHAR)',
        ),
        ({"not": {"type": "string"}}, "JSON"),
        (True, "JSON"),
        ({"type": "number", "x-duckdb": "DECIMAL(18,2)"}, "DECIMAL(18,2)"),
        ({"x-duckdb": "USMALLINT"}, "USMALLINT"),
        ({"type": "integer", "x-duckdb": "JSON"}, "JSON"),
        ({"type": "object", "x-duckdb": "MAP(VARCHAR, JSON)"}, "MAP(VARCHAR, JSON)"),
    ],
)
def test_what_column_a_property_becomes(schema: object, column: str) -> None:
    """The map of the module's table, and of what alternatives have in common."""
    assert _columns({"type": "object", "properties": {"a": schema}}) == {"a": column}


@pytest.mark.parametrize(
    ("schema", "required"),
    [
        ({"properties": {"a": {"type": "string"}}, "required": ["a"]}, True),
        ({"properties": {"a": {"type": "string"}}}, False),
        ({"properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}, False),
        ({"properties": {"a": {}}, "required": ["a"]}, False),
        ({"properties": {"a": {"not": {"type": "null"}}}, "required": ["a"]}, True),
        ({"properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}, {"minProperties": 3}]}, False),
        ({"properties": {"a": {"type": "string"}}, "anyOf": [{"required": ["a"]}, {"required": ["a"]}]}, True),
        ({"properties": {"a": {}}, "allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}]}, True),
        ({"oneOf": [{"properties": {"a": {"const": kind}}, "required": ["a"]} for kind in "xy"]}, True),
    ],
)
def test_a_field_is_required_if_it_must_be_there_and_is_not_null(schema: dict[str, Any], required: bool) -> None:
    """In ``required``, by whatever way, and null does not fit."""
    assert fields(contract({"type": "object", **schema}, event_type="T"))["a"].required is required


def test_a_property_that_must_not_be_there_is_no_column() -> None:
    """The schema ``false`` forbids a property."""
    assert _columns({"type": "object", "properties": {"a": False, "b": True}}) == {"b": "JSON"}


@pytest.mark.parametrize(
    ("schema", "says_more"),
    [
        ({"a": {"type": ["string", "null"]}}, False),
        ({"a": {"type": ["string", "null"], "description": "what it is"}}, False),
        ({"a": {"type": ["integer", "null"]}}, False),
        ({"a": {}}, False),
        ({"a": True}, False),
        ({"a": {"type": "string"}}, True),
        ({"a": {"type": ["integer", "null"], "minimum": 0}}, True),
        ({"a": {"type": ["string", "null"], "format": "email"}}, True),
        ({"a": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}, True),
    ],
)
def test_whether_a_contract_says_more_than_types(schema: dict[str, Any], says_more: bool) -> None:
    """A field of a type alone is optional and may be null."""
    assert plain(contract({"type": "object", "properties": schema}, event_type="T")) is not says_more
    closed = {"type": "object", "properties": schema, "additionalProperties": False}
    assert not plain(contract(closed, event_type="T"))


# ---- classes


class Money(msgspec.Struct, rename="camel", forbid_unknown_fields=True, tag_field="kind", tag="money"):
    """What a Struct may say."""

    net_amount: Annotated[decimal.Decimal, msgspec.Meta(extra_json_schema={"x-duckdb": "DECIMAL(18,2)"})]
    gross: decimal.Decimal
    paid_at: Annotated[dt.datetime, msgspec.Meta(tz=False)]
    count: Annotated[int, msgspec.Meta(ge=1, lt=10)] = 1
    code: Annotated[str, msgspec.Meta(pattern="^[A-Z]+$", max_length=3)] | None = None


def test_what_a_struct_may_say() -> None:
    """Its names in JSON, its tag, whether it is closed, bounds, and the column's type beside a Python type."""
    found = contract(Money, event_type="T")
    assert _columns(Money) == {
        "kind": "ENUM('money') NOT NULL",
        "netAmount": "DECIMAL(18,2) NOT NULL",
        "gross": "DECIMAL(38,18) NOT NULL",
        "paidAt": "TIMESTAMP NOT NULL",
        "count": "BIGINT",
        "code": "VARCHAR",
    }
    assert found["additionalProperties"] is False
    assert found["properties"]["count"] == {"type": "integer", "minimum": 1, "exclusiveMaximum": 10}
    assert found["properties"]["code"] == {"type": ["string", "null"], "maxLength": 3, "pattern": "^[A-Z]+$"}


class MoneyModel(pydantic.BaseModel):
    """What a model may say."""

    model_config = pydantic.ConfigDict(extra="forbid")
    net: Annotated[decimal.Decimal, pydantic.Field(max_digits=18, decimal_places=2, gt=0, lt=10**30)]
    gross: decimal.Decimal
    wide: Annotated[decimal.Decimal, pydantic.Field(json_schema_extra={"x-duckdb": "DECIMAL(20,4)"})] | None = None
    small: Annotated[int, pydantic.Field(ge=1, json_schema_extra={"x-duckdb": "TINYINT"})] = 1
    local: pydantic.NaiveDatetime | None = None
    code: str = pydantic.Field("A", alias="the code", pattern="^[A-Z]+$")
    lasts: dt.timedelta | None = None


def test_what_a_model_may_say() -> None:
    """Digits of decimals, aliases, naive datetimes, bounds, and the column's type beside a Python type."""
    found = contract(MoneyModel, event_type="T")
    assert _columns(MoneyModel) == {
        "net": "DECIMAL(18,2) NOT NULL",
        "gross": "DECIMAL(38,18) NOT NULL",
        "wide": "DECIMAL(20,4)",
        "small": "TINYINT",
        "local": "TIMESTAMP",
        "the code": "VARCHAR",
        "lasts": "VARCHAR",
    }
    assert found["additionalProperties"] is False
    assert (found["properties"]["small"]["minimum"], found["properties"]["small"]["maximum"]) == (1, 127)
    net = found["properties"]["net"]
    assert (net["exclusiveMinimum"], net["exclusiveMaximum"]) == (0, 10**16), "the tighter of the two"
    assert found["properties"]["wide"]["multipleOf"] == 0.0001


class Pair(NamedTuple):
    """A tuple with names."""

    left: int
    right: str


@dataclass
class Many:
    """Fields of every other kind."""

    pair: Pair
    fixed: tuple[int, int]
    open: tuple[int, ...]
    unique: set[str]
    raw: bytes
    lasts: dt.timedelta
    when: dt.time
    flag: bool
    weight: float
    nothing: None
    either: int | str
    by_number: dict[int, Line]
    matrix: list[list[float]] = dataclasses.field(default_factory=list)


def test_fields_of_every_other_kind() -> None:
    """Tuples, sets, bytes, durations, times, unions and nested lists of a dataclass."""
    assert _columns(Many) == {
        "pair": "JSON[] NOT NULL",
        "fixed": "BIGINT[] NOT NULL",
        "open": "BIGINT[] NOT NULL",
        "unique": "VARCHAR[] NOT NULL",
        "raw": "VARCHAR NOT NULL",
        "lasts": "VARCHAR NOT NULL",
        "when": "TIME NOT NULL",
        "flag": "BOOLEAN NOT NULL",
        "weight": "DOUBLE NOT NULL",
        "nothing": "NULL",
        "either": "JSON NOT NULL",
        "by_number": 'MAP(VARCHAR, STRUCT("sku" VARCHAR, "qty" BIGINT)) NOT NULL',
        "matrix": "DOUBLE[][]",
    }


@settings(deadline=None)
@given(
    st.builds(
        Order,
        id=st.uuids(),
        state=st.sampled_from(State),
        placed=st.datetimes() | st.datetimes(timezones=st.timezones()),
        day=st.dates(),
        lines=st.lists(st.builds(Line, st.text(max_size=3), st.integers(-(2**63), 2**63 - 1)), max_size=2),
        kind=st.sampled_from(["web", "shop"]),
        note=st.none() | st.text(max_size=3),
        tags=st.none()
        | st.dictionaries(st.text(max_size=2), st.floats(allow_nan=False, allow_infinity=False), max_size=2),
        more=st.none() | st.integers(-5, 5) | st.lists(st.booleans(), max_size=2),
    )
)
def test_an_object_of_a_class_keeps_the_contract_of_its_class(order: Order) -> None:
    """What msgspec writes of a dataclass, its contract accepts."""
    payload = json.loads(msgspec.json.encode(order))
    assert validators.validator(contract(Order, event_type="T"))(payload) is None


@dataclass
class Endless:
    """A class inside itself."""

    more: Endless | None = None


class EndlessModel(pydantic.BaseModel):
    """A model inside itself."""

    more: EndlessModel | None = None


@dataclass
class Complex:
    """A class with what JSON does not have."""

    value: complex


class ComplexModel(pydantic.BaseModel):
    """A model with what JSON does not have."""

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    value: msgspec.Raw


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (Endless, "Endless is inside itself: a recursive class\nA column has no endless depth"),
        (
            EndlessModel,
            "the reference '#/\\$defs/EndlessModel' at .*/properties/more is recursive\nA column has no",
        ),
        (Complex, "a field cannot be complex\nGive it a type that JSON has"),
        (ComplexModel, "ComplexModel has no JSON Schema: .*\nGive its fields types that JSON has"),
        (Line("a", 1), r"Line\(sku='a', qty=1\) is no schema\nGive the class, not one of its objects"),
        (Endless(), ".* is no schema\nGive the class, not one of its objects"),
        (
            int,
            "the class int is no schema\nGive a dict of DuckDB types, a JSON Schema .* a dataclass, a pydantic model or a msg",
        ),
        (5, "5 is no schema\nGive a dict of DuckDB types, a JSON Schema"),
        (None, "None is no schema\nGive a dict of DuckDB types"),
        (["a"], r"\['a'\] is no schema\nGive a dict of DuckDB types"),
        ("BIGINT", "the text of the schema is no JSON: .*\nGive a dict of DuckDB types"),
    ],
)
def test_what_is_none_of_the_forms(given_: object, expected: str) -> None:
    """Anything else is refused with the forms that there are, or with what is wrong with a class."""
    with pytest.raises(SchemaInvalid, match=f"^OrderPlaced: {expected}"):
        contract(given_, event_type="OrderPlaced")


# ---- DuckDB types that are none


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"a": "HUGEINT"}, r"OrderPlaced.a: 'HUGEINT': a field cannot be HUGEINT\nUse DECIMAL\(38,0\)"),
        ({"a": "NOPE"}, "OrderPlaced.a: 'NOPE' is no DuckDB type.*\nLike VARCHAR"),
        ({"a": 5}, "OrderPlaced.a: 5 is no type\nWrite the name of a DuckDB type"),
        ({5: "BIGINT"}, "OrderPlaced: 5 cannot name a field\nThe name of a field is text"),
        ({"": "BIGINT"}, "OrderPlaced: '' cannot name a field\nThe name of a field is text that is not empty"),
        ({"a": "BIGINT", "A": "BIGINT"}, "'a' and 'A' differ by case only\nColumn names are case-insensitive"),
    ],
)
def test_types_that_are_none(declared: dict[Any, Any], expected: str) -> None:
    """The error names the field."""
    with pytest.raises(SchemaInvalid, match=expected):
        contract(declared, event_type="OrderPlaced")


# ---- JSON Schemas that are none


def _nested(levels: int) -> dict[str, Any]:
    """Return a schema with that many objects inside each other."""
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def _doubling(levels: int) -> dict[str, Any]:
    """Return a small schema that is huge with its references followed."""
    steps = {f"a{n}": {"properties": {key: {"$ref": f"#/$defs/a{n + 1}"} for key in "xy"}} for n in range(levels)}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/a0"}}, "$defs": {**steps, f"a{levels}": {}}}


def _chained(links: int) -> dict[str, Any]:
    """Return a schema with a reference to a reference, and so on."""
    steps: dict[str, Any] = {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(links)}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/a0"}}, "$defs": {**steps, f"a{links}": {}}}


def _around() -> dict[str, Any]:
    """Return a dict that holds itself."""
    schema: dict[str, Any] = {"type": "object"}
    schema["x-self"] = schema
    return schema


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"properties": {"a": {"type": "bogus"}}},
            "no valid JSON Schema at /properties/a/type: .*\nA type is one of object",
        ),
        ({"properties": []}, "no valid JSON Schema at /properties: .* is not of type .object"),
        ({"minProperties": -1}, "no valid JSON Schema at /minProperties"),
        ({"required": ["a", "a"]}, "no valid JSON Schema at /required"),
        ({"properties": {"a": {"pattern": "("}}}, "no valid JSON Schema at /properties/a/pattern: .* is not a .regex"),
        ({"$defs": {"a": {"type": 5}}}, "no valid JSON Schema at /\\$defs/a/type"),
        ({"properties": {"a": {"default": {1, 2}}}}, "is no JSON: Object of type set .*\nA JSON Schema has texts"),
        ({"properties": {"a": {"maximum": float("nan")}}}, "is no JSON: .*\nA JSON Schema has texts"),
        ({"title": "\ud800"}, "is no JSON"),
        (_around(), "is no JSON: Circular reference"),
        (_nested(200), "the schema is too large: over 64 levels.*\nLeave the inner parts free"),
        (_nested(65), "the schema is too large: over 64 levels"),
        (_chained(100), "the schema is too large: over 64 levels"),
        (_doubling(30), "the schema is too large: .* 20000 schemas.*\nLeave the inner parts free"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#"},
            r"\$schema is .*draft-07.*\nWrite the schema in 2020-12",
        ),
        ({"$schema": 5}, r"\$schema is 5"),
        ({"type": ["object", "null"]}, "the root of the schema is of type .* the payload of an event is an object"),
        ({"type": "array", "items": {}}, "the root of the schema is of type 'array'"),
        ({"x-duckdb": "JSON"}, "the root of the schema has x-duckdb.*\nWrite it on a property"),
        ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": False}}, "no payload fits the schema"),
        ({"allOf": [{"type": "string"}]}, "no payload fits the schema: .*\nLook at required properties"),
        ({"properties": {"a": {"type": "integer", "minimum": 5, "maximum": 4}}, "required": ["a"]}, "no payload fits"),
        ({"properties": {"a": {"minimun": 5}}}, "'minimun' at /properties/a is not supported. Did you mean 'minimum'"),
        ({"if": {}, "then": {}}, "'if' at / is not supported.*\nLeave it out; a note of your own begins with x-"),
        ({"properties": {"a": {"items": {"contains": {}}}}}, "'contains' at /properties/a/items is not supported"),
        ({"$defs": {"a": {"$anchor": "b"}}}, r"'\$anchor' at /\$defs/a is not supported"),
        (
            {"properties": {"a": {"$id": "http://x/y"}}},
            r"\$id at /properties/a begins a document of its own\nLeave it out",
        ),
        (
            {"properties": {"a": {"format": "datetime"}}},
            "format 'datetime' at /properties/a is not known. Did you mean 'date-tim",
        ),
        ({"properties": {"": {}}}, "'' cannot name a field"),
        ({"properties": {"a\0": {}}}, "cannot name a field"),
        ({"properties": {"a": {}}, "anyOf": [{"properties": {"A": {}}}]}, "'a' and 'A' differ by case only"),
        (
            {"properties": {"bb": {}}, "required": ["b"]},
            "'b' is required at /, and is no property there. Did you mean 'bb'",
        ),
        (
            {"properties": {"a": {"type": "array", "items": {"anyOf": [{"required": ["b"]}]}}}},
            "'b' is required at /properties/a/items, and is no property there.\nDeclare it",
        ),
        ({"properties": {"a": {"x-duckdb": 5}}}, "x-duckdb at /properties/a: 5 is no type"),
        (
            {"properties": {"a": {"x-duckdb": "HUGEINT"}}},
            "x-duckdb at /properties/a: .* a field cannot be HUGEINT\nUse DECIMAL",
        ),
        (
            {"properties": {"a": {"x-duckdb": "BIGINT NOT NULL"}}},
            'is more than a type: NOT NULL\nList the property in "required"',
        ),
        (
            {"properties": {"a": {"type": "string", "x-duckdb": "BIGINT"}}},
            "type 'string' is no BIGINT\nLeave x-duckdb out",
        ),
        ({"properties": {"a": {"type": "number", "x-duckdb": "INTEGER"}}}, "type 'number' is no INTEGER"),
        ({"properties": {"a": {"type": "string", "format": "date", "x-duckdb": "UUID"}}}, "format 'date' is no UUID"),
        ({"properties": {"a": {"enum": ["a", "c"], "x-duckdb": "ENUM('a', 'b')"}}}, "'c' is no value of ENUM"),
        (
            {"properties": {"a": {"type": "array", "items": {"type": "string"}, "x-duckdb": "BIGINT[]"}}},
            "type 'string' is no BIGINT",
        ),
        (
            {"properties": {"a": {"properties": {"b": {"type": "string"}}, "x-duckdb": "MAP(VARCHAR, BIGINT)"}}},
            "type 'string' is no BIGINT",
        ),
        (
            {"properties": {"a": {"properties": {"b": {"type": "object"}}, "x-duckdb": "STRUCT(b VARCHAR)"}}},
            "type 'object' is no VARCHAR",
        ),
    ],
)
def test_schemas_that_are_none(schema: dict[str, Any], expected: str) -> None:
    """Each is one error, with the path and the fix."""
    with pytest.raises(SchemaInvalid, match=f"^OrderPlaced: .*{expected}") as raised:
        contract({"type": "object", **schema}, event_type="OrderPlaced")
    assert raised.value.hint


@pytest.mark.parametrize("root", [False, {"type": "string"}])
def test_a_root_that_refers_to_no_object(root: object) -> None:
    """What the root refers to is the root."""
    with pytest.raises(SchemaInvalid, match=r"the root of the schema is .*\nWrite"):
        contract({"$ref": "#/$defs/a", "$defs": {"a": root}}, event_type="T")


# ---- references


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"properties": {"a": {"$ref": "#"}}}, "'#' at /properties/a is recursive\nA column has no endless depth"),
        (
            {"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"items": {"$ref": "#/$defs/n"}}}},
            r"'#/\$defs/n' at /\$defs/n/items is recursive",
        ),
        (
            {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
            r"'#/\$defs/a' at /\$defs/b is recursive",
        ),
        (
            {"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"c": {}}},
            r"at /properties/a is to nothing\nThere is: #/\$defs/c",
        ),
        ({"properties": {"a": {"$ref": "#name"}}}, "'#name' at /properties/a is to nothing\nThere is: no"),
        ({"properties": {"a": {"$ref": "#/required/0"}}, "required": ["a"]}, "is to nothing"),
        (
            {"properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}},
            "is to another document, which is never fetched\nCopy what it",
        ),
        (
            {"$defs": {"unused": {"$ref": "https://example.com/x.json"}}},
            "is to another document, which is never fetched",
        ),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "is to another document, which is never fetched"),
        ({"properties": {"a": {"$ref": "other.json#/$defs/a"}}}, "is to another document, which is never fetched"),
    ],
)
def test_references_that_cannot_be_followed(
    schema: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recursive, to nothing, or to another document: refused before anything is looked for."""
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("something was fetched"))
    with pytest.raises(SchemaInvalid, match=f"^OrderPlaced: the reference .*{expected}"):
        contract({"type": "object", **schema}, event_type="OrderPlaced")


def test_nothing_is_fetched() -> None:
    """A server that a reference names is never called."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"
        for schema in (
            {"$ref": address},
            {"properties": {"a": {"$ref": address}}},
            {"$schema": address},
            {"$id": address},
        ):
            if "$id" in schema:
                contract({"type": "object", **schema}, event_type="T")
            else:
                with pytest.raises(SchemaInvalid):
                    contract({"type": "object", **schema}, event_type="T")
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"$ref": "#/$defs/n"}, {"type": "integer", "title": "n"}),
        ({"$ref": "#/$defs/n", "title": "a", "x-own": 1}, {"type": "integer", "title": "a", "x-own": 1}),
        ({"$ref": "#/$defs/n", "minimum": 0}, {"minimum": 0, "allOf": [{"type": "integer", "title": "n"}]}),
        ({"$ref": "#/$defs/a~1b"}, {"type": "string"}),
        ({"$ref": "#/$defs/a%20c"}, True),
        ({"$ref": "#/properties/list/prefixItems/0"}, {"type": "boolean"}),
        ({"const": {"$ref": "http://example.com"}}, {"const": {"$ref": "http://example.com"}}),
    ],
)
def test_references_are_inlined(schema: dict[str, Any], expected: object) -> None:
    """Notes beside a reference win; rules beside it hold as well. What only looks like one, inside a value, is none."""
    named = {"n": {"type": "integer", "title": "n"}, "a/b": {"type": "string"}, "a c": True}
    whole = {"properties": {"list": {"prefixItems": [{"type": "boolean"}]}, "a": schema}, "$defs": named}
    found = contract({"type": "object", **whole}, event_type="T")
    assert found["properties"]["a"] == expected
    assert "$defs" not in found


@pytest.mark.parametrize("open_", [{"additionalProperties": True}, {"patternProperties": {"^t": {}}}])
def test_an_open_object_may_require_what_it_does_not_name(open_: dict[str, Any]) -> None:
    """Who says that other keys may come may require one of them."""
    assert contract({"type": "object", "required": ["total"], **open_}, event_type="T")["required"] == ["total"]
    assert contract({"type": "object", "required": ["total"], "allOf": [open_]}, event_type="T")["allOf"] == [open_]


def test_sixty_levels_are_kept() -> None:
    """A schema may be deep: beyond 20 levels its parts are one JSON column."""
    assert "JSON" in _columns(_nested(60))["a"]
    assert fields(contract(_chained(60), event_type="T"))["a"].type.kind == "JSON"


def test_properties_may_be_called_like_keywords() -> None:
    """A property called ``$ref``, ``properties`` or ``if`` is a property."""
    named = {name: {"type": "string"} for name in ("$ref", "properties", "if", "$defs", "required")}
    assert _columns({"type": "object", "properties": named, "required": ["if"]}) == {
        name: "VARCHAR NOT NULL" if name == "if" else "VARCHAR" for name in named
    }
