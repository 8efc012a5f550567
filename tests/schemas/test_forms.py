"""One version of a schema in each of its forms, and given again in each of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlab.errors import SchemaInvalid
from eventlab.schemas import types
from eventlab.schemas.contracts import contract, fields, of_fields
from eventlab.schemas.forms import SchemaVersion
from eventlab.schemas.types import Field, FieldType

_ORDER = {
    "customer": "VARCHAR NOT NULL",
    "amount": "DECIMAL(18,2) NOT NULL",
    "placed": "TIMESTAMPTZ",
    "opens": "TIME",
    "local": "TIMESTAMP",
    "day": "DATE",
    "id": "UUID",
    "state": "ENUM('new', 'paid')",
    "lines": 'STRUCT("sku" VARCHAR, "qty" SMALLINT)[]',
    "tags": "MAP(VARCHAR, VARCHAR)",
    "more": "JSON",
}


@dataclass
class _Definition:
    """A definition as the registry has them."""

    schema: dict[str, Any]
    version: int = 1
    event_type: str = "OrderPlaced"
    origin: str = "defined"
    recorded_at: int = 1_767_225_600_000_000
    compatibility: str = "BACKWARD"
    validation: str = "enforce"
    upcast: dict[str, str] | str | None = None


def _version(declared: Any, event_type: str = "OrderPlaced", zone: str = "UTC") -> SchemaVersion:
    schema = contract(declared, event_type=event_type)
    return SchemaVersion.of(_Definition(schema, event_type=event_type), zone=ZoneInfo(zone))


def test_the_simple_forms() -> None:
    """DuckDB types come back as they were declared; Arrow has the type of each, and JSON Schema says its dialect."""
    version = _version(_ORDER, zone="Europe/Berlin")
    assert version.duckdb == _ORDER
    assert version.arrow == pa.schema(
        [
            pa.field("customer", pa.string(), nullable=False),
            pa.field("amount", pa.decimal128(18, 2), nullable=False),
            ("placed", pa.timestamp("us", tz="Europe/Berlin")),
            ("opens", pa.time64("us")),
            ("local", pa.timestamp("us")),
            ("day", pa.date32()),
            ("id", pa.string()),
            ("state", pa.dictionary(pa.int32(), pa.string())),
            ("lines", pa.list_(pa.struct([("sku", pa.string()), ("qty", pa.int16())]))),
            ("tags", pa.map_(pa.string(), pa.string())),
            ("more", pa.string()),
        ]
    )
    assert version.json_schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert contract(version.json_schema, event_type="T") == contract(_ORDER, event_type="T")
    assert version.recorded_at == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert str(version.recorded_at) == "2026-01-01 01:00:00+01:00"


def test_a_json_schema_is_a_copy() -> None:
    """Who edits the JSON Schema of a version does not change the version."""
    version = _version(_ORDER)
    version.json_schema["properties"]["customer"]["type"] = "integer"
    assert version.duckdb == _ORDER


@pytest.mark.parametrize("form", ["dataclass", "msgspec", "pydantic"])
def test_a_class_makes_the_same_columns(form: str) -> None:
    """A version as a class, given as a schema again, has the fields that the version has."""
    version = _version(_ORDER)
    made = getattr(version, form)()
    assert made.__name__ == "OrderPlaced"
    assert fields(contract(made, event_type="T")) == fields(version.json_schema)


def test_objects_of_the_classes_hold_python_values() -> None:
    """What JSON says becomes dates, decimals and nested objects; what may be left out is None."""
    version = _version(_ORDER)
    text = '{"customer": "c1", "amount": 12.5, "placed": "2026-01-01T00:00:00Z", "lines": [{"sku": "a", "qty": 3}]}'
    order = msgspec.json.decode(text, type=version.msgspec())
    model = version.pydantic().model_validate_json(text)
    placed = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    for made in (order, model):
        assert (made.customer, made.amount, made.placed, made.id) == ("c1", Decimal("12.5"), placed, None)
        assert (made.lines[0].sku, made.lines[0].qty) == ("a", 3)
    assert version.dataclass()(customer="c1", amount=Decimal(1)).state is None
    with pytest.raises(TypeError, match="amount"):
        version.dataclass()(customer="c1")


_WORDS = [
    "a",
    "schema",
    "model_x",
    "class",
    "x y",
    "x_y",
    "_id",
    "7",
    "Ä",
    "self",
    "_class",
    "$ref",
    "__init__",
    "json",
]
_SCALARS = ["BOOLEAN", "FLOAT", "DOUBLE", "VARCHAR", "JSON", "DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "UUID"]
_TYPES: st.SearchStrategy[FieldType] = st.recursive(
    st.sampled_from([*types.INTEGERS, *_SCALARS]).map(FieldType)
    | st.sampled_from([(18, 2), (38, 0), (38, 18), (4, 4)]).map(lambda digits: FieldType("DECIMAL", *digits))
    | st.sampled_from([("b", "a"), ("it's",), ("", "7")]).map(lambda values: FieldType("ENUM", values=values)),
    lambda inner: (
        inner.map(lambda item: FieldType("LIST", item=item))
        | inner.map(lambda item: FieldType("MAP", item=item))
        | st.lists(st.tuples(st.sampled_from(_WORDS), inner), max_size=3, unique_by=lambda part: part[0].lower()).map(
            lambda parts: FieldType("STRUCT", fields=tuple(parts))
        )
    ),
    max_leaves=4,
)
_FIELDS = st.dictionaries(st.sampled_from(_WORDS), st.builds(Field, _TYPES, st.booleans()), max_size=3)


@settings(max_examples=50, deadline=None)
@given(_FIELDS)
def test_any_columns_as_a_class_and_back(declared: dict[str, Field]) -> None:
    """Structs and models, with names that Python does not allow and at every depth, make the columns that they came from."""
    version = SchemaVersion.of(_Definition(of_fields(declared)), zone=dt.UTC)
    for made in (version.msgspec(), version.pydantic()):
        assert fields(contract(made, event_type="T")) == declared


@settings(max_examples=50, deadline=None)
@given(_FIELDS)
def test_any_columns_as_arrow(declared: dict[str, Field]) -> None:
    """Every type has an Arrow type, and a field that must be there is not nullable."""
    schema = SchemaVersion.of(_Definition(of_fields(declared)), zone=dt.UTC).arrow
    assert schema.names == list(declared)
    assert [not field.nullable for field in schema] == [field.required for field in declared.values()]
    assert len(schema.empty_table()) == 0


def test_arrow_takes_the_payloads() -> None:
    """A table of payloads can be made with the schema: with decimals, instants and nested objects."""
    row = {"customer": "c", "amount": Decimal("1.25"), "placed": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "state": "new"}
    table = pa.Table.from_pylist([row | {"lines": [{"sku": "a", "qty": 1}]}], schema=_version(_ORDER).arrow)
    assert table.to_pylist()[0]["lines"] == [{"sku": "a", "qty": 1}]


def test_a_dataclass_has_python_s_names_only() -> None:
    """A dataclass cannot rename a field: the error names the forms that can."""
    with pytest.raises(SchemaInvalid, match="cannot have a field 'x y'\nTake the msgspec or the pydantic form"):
        _version({"x y": "BIGINT"}).dataclass()


def test_a_name_that_python_does_not_allow_is_the_name_in_json() -> None:
    """A Struct and a model have it under another name, and read and write it under its own."""
    version = _version({"x y": "BIGINT NOT NULL", "class": "VARCHAR"})
    struct = msgspec.json.decode('{"x y": 1, "class": "b"}', type=version.msgspec())
    assert msgspec.json.decode(msgspec.json.encode(struct)) == {"x y": 1, "class": "b"}
    model = version.pydantic().model_validate({"x y": 1, "class": "b"})
    assert json.loads(model.model_dump_json(by_alias=True)) == {"x y": 1, "class": "b"}


def test_pydantic_may_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pydantic, the other forms are there, and the error says how to install it."""
    monkeypatch.setitem(__import__("sys").modules, "pydantic", None)
    version = _version(_ORDER)
    assert dataclasses.is_dataclass(version.dataclass())
    with pytest.raises(SchemaInvalid, match="pydantic is not installed\npip install pydantic"):
        version.pydantic()


def test_all_versions_oldest_first() -> None:
    """Any version knows all of its type, itself among them."""
    first = _Definition(contract({"a": "BIGINT"}, event_type="T"))
    second = _Definition(contract({"b": "BIGINT"}, event_type="T"), version=2, upcast={"b": "a"})
    latest = SchemaVersion.of(second, [first, second], zone=dt.UTC)
    assert [(version.version, version.duckdb) for version in latest.versions] == [
        (1, {"a": "BIGINT"}),
        (2, {"b": "BIGINT"}),
    ]
    assert latest.versions[0].versions == latest.versions
    assert latest == latest.versions[1]
    assert latest.upcast == {"b": "a"}


def test_how_a_version_is_shown() -> None:
    """As text it is a line and its fields; in a notebook a table in which nothing is markup that was not meant to be."""
    version = _version({"customer": "VARCHAR NOT NULL", "<b>": "BIGINT"}, event_type="Order<i>")
    assert str(version) == (
        "Order<i> v1, defined 2026-01-01 00:00: BACKWARD, validation enforce\n  customer  VARCHAR NOT NULL\n  <b>       BIGINT"
    )
    assert repr(version) == "<Order<i> v1: customer VARCHAR NOT NULL, <b> BIGINT>"
    assert "Order&lt;i&gt; v1" in version._repr_html_()
    assert "<td>&lt;b&gt;</td><td><code>BIGINT</code></td>" in version._repr_html_()
    assert "<i>" not in version._repr_html_()
    empty = _version({})
    assert repr(empty) == "<OrderPlaced v1: no fields>"
    wide = _version({f"field_{n}": "BIGINT" for n in range(100)})
    assert len(repr(wide)) < 150


def test_uuid_is_text_to_arrow() -> None:
    """A UUID is text in Arrow, as DuckDB hands it on."""
    table = pa.Table.from_pylist([{"id": str(uuid.UUID(int=1))}], schema=_version({"id": "UUID"}).arrow)
    assert table["id"].to_pylist() == ["00000000-0000-0000-0000-000000000001"]
