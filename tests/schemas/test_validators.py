"""Whether payloads keep their contracts: the reasons by hand, formats against the checks of columns, nothing fetched."""

from __future__ import annotations

import datetime as dt
import json
import random
import socket
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlab import events
from eventlab.schemas import Registry, checks, contracts
from eventlab.schemas.types import FieldType
from eventlab.schemas.validators import FORMATS, keeps, reason, validator

_CONTRACT = {
    "type": "object",
    "properties": {
        "a": {"type": "integer", "minimum": 1, "multipleOf": 2},
        "b": {"type": ["string", "null"], "minLength": 2, "pattern": "^x"},
        "c": {"anyOf": [{"type": "number", "exclusiveMaximum": 10}, {"type": "null"}]},
        "d": {
            "type": "array",
            "items": {"type": "object", "required": ["x"], "properties": {"x": {"enum": ["p", "q"]}}},
        },
        "e": {"type": "object", "additionalProperties": False, "properties": {"y": {"format": "uuid"}}},
        "f": {"oneOf": [{"minimum": 0}, {"maximum": 9}]},
        "g": {"not": {"const": 5}},
        "h": {"type": "array", "uniqueItems": True, "maxItems": 2},
    },
    "required": ["a"],
}


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"a": 2}, None),
        ({"a": 2, "b": None, "c": None, "other": [1]}, None),
        ({}, "a is missing (required)"),
        ({"a": 0}, "a: 0 is less than the minimum of 1 (minimum)"),
        ({"a": 3}, "a: 3 is not a multiple of 2 (multipleOf)"),
        ({"a": True}, 'a: true is not of type "integer" (type)'),
        ({"a": 2, "b": "y"}, "b: 'y' does not match \"^x\" (pattern); b: 'y' is shorter than 2 characters (minLength)"),
        ({"a": 2, "c": 10}, "c: 10 is greater than or equal to the maximum of 10 (exclusiveMaximum)"),
        ({"a": 2, "c": "z"}, "c: 'z' is not valid under any of the schemas listed in the 'anyOf' keyword (anyOf)"),
        ({"a": 2, "d": [{"x": "p"}, {"x": "r"}]}, "d[1].x: 'r' is not one of \"p\" or \"q\" (enum)"),
        ({"a": 2, "d": [{}]}, "d[0].x is missing (required)"),
        ({"a": 2, "e": {"z": 1}}, "e.z is not in the contract (additionalProperties)"),
        ({"a": 2, "e": {"y": "q"}}, "e.y: 'q' is not a \"uuid\" (format)"),
        ({"a": 2, "f": 5}, "f: 5 is valid under more than one of the schemas listed in the 'oneOf' keyword (oneOf)"),
        ({"a": 2, "g": 5}, 'g: {"const":5} is not allowed for 5 (not)'),
        ({"a": 2, "h": [1, 1.0]}, "h: [1, 1.0] has non-unique elements (uniqueItems)"),
        (
            {"a": 0, "b": "xx", "f": 5, "d": [{}, {}], "g": 5},
            "a: 0 is less than the minimum of 1 (minimum); d[0].x is missing (required); d[1].x is missing (required); and 2 more",
        ),
    ],
)  # fmt: skip
def test_reasons(payload: dict[str, Any], said: str | None) -> None:
    """A reason names up to three paths with their rules, in the order of the paths, whatever the order of the keys."""
    check = validator(_CONTRACT)
    assert check(payload) == said
    keys = list(payload)
    random.Random(1).shuffle(keys)
    assert check({key: payload[key] for key in keys}) == said


def test_reasons_are_short() -> None:
    """A reason shows no more than the start of a long value, and of a long list of values."""
    contract = {"properties": {"a": {"enum": [f"value-{n}" for n in range(500)]}, "b": {"const": "y" * 10_000}}}
    said = validator(contract)({"a": "z" * 10_000, "b": "x"})
    assert said is not None
    first, second = said.split("; ")
    assert first.startswith("a: 'zzzz")
    assert first.endswith('… is not one of "value-0", "value-1" or 498 other candidates (enum)')
    assert second.startswith('b: "yyyy')
    assert second.endswith("yyyy… (const)")
    assert len(second) < 200


def test_numbers_are_compared_exactly() -> None:
    """A Decimal is the number that was written, to its last digit; a float the shortest that reads as itself."""
    check = validator({"properties": {"a": {"minimum": 1, "multipleOf": 0.01}}})
    assert check({"a": 1.07}) is None
    assert check({"a": Decimal("123456789012345678901234567890.07")}) is None
    assert check({"a": Decimal("0.99999999999999999999")}) == (
        "a: 0.99999999999999999999 is less than the minimum of 1 (minimum); "
        "a: 0.99999999999999999999 is not a multiple of 0.01 (multipleOf)"
    )
    assert validator({"properties": {"a": {"maximum": 2**60}}})({"a": 2**60 + 1}) is not None


_DIGITS = st.text("0123456789", min_size=2, max_size=2)
_MOMENTS = st.builds(
    "{}{}-{}-{}{}{}".format,
    _DIGITS,
    _DIGITS,
    _DIGITS,
    _DIGITS,
    st.sampled_from(["", "T", " ", "T10:00", " 10:00:00", "T23:59:59.123456789", "T24:00:00", "T10:61:00"]),
    st.sampled_from(["", "Z", "z", "+01:00", "-23:59", "+0530", "+05"]),
)
_UUIDS = st.builds(
    lambda value, place, part, length: value[:place] + part + value[place + length :],
    st.uuids().map(str) | st.uuids().map(lambda value: value.hex) | st.uuids().map(lambda value: str(value).upper()),
    st.integers(0, 40),
    st.text("0aFg-{ ٣", max_size=2),
    st.integers(0, 2),
)


@pytest.mark.parametrize("name", sorted(FORMATS))
@given(text=_MOMENTS | _UUIDS | st.text(max_size=12))
def test_a_format_means_what_its_column_means(name: str, text: str) -> None:
    """A text has a format exactly if it fits the column that the format stands for."""
    fits = checks.check(FieldType(FORMATS[name]), closed=False)(text) is None
    assert (validator({"properties": {"a": {"format": name}}})({"a": text}) is None) is fits
    assert keeps({"format": name}, text) is fits


@pytest.mark.parametrize(
    "reference", ["http://127.0.0.1:9/x.json", "https://example.com/x.json", "file:///etc/hostname"]
)
def test_nothing_is_fetched(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference to elsewhere is an error at once; no socket is opened."""
    monkeypatch.setattr(socket, "socket", None)
    with pytest.raises(ValueError, match="Retrieval is disabled"):
        validator({"properties": {"a": {"$ref": reference}}})


def test_the_cheapest_reason_comes_first() -> None:
    """A field that is missing is told before types, and types before what the contract says beyond them."""
    contract = {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 1}, "b": {"type": "string", "maxLength": 1}},
        "required": ["b"],
    }
    definition = Registry().define(
        "Placed", contracts.fields(contract), origin="defined", recorded_at=0, contract=contract
    )
    assert definition is not None
    for payload, said in (
        ({"a": "x"}, "b is missing"),
        ({"a": "x", "b": "yy"}, "a: 'x' is no integer"),
        ({"a": 0, "b": "yy"}, "a: 0 is less than the minimum of 1 (minimum); b: 'yy' is longer than 1 character (maxLength)"),
        ({"a": None, "b": "y"}, 'a: null is not of type "integer" (type)'),
        ({"b": "y"}, None),
    ):  # fmt: skip
        assert reason(definition, payload, events.encoded(payload, "")) == said


def test_objects_of_python_are_judged_as_they_are_recorded() -> None:
    """A date that is given as an object is a text to the contract, as it is in the log."""
    contract = {
        "type": "object",
        "properties": {"day": {"type": "string", "format": "date", "pattern": "^2026"}, "price": {"type": "number", "maximum": 10}},
    }  # fmt: skip
    definition = Registry().define(
        "Placed", contracts.fields(contract), origin="defined", recorded_at=0, contract=contract
    )
    assert definition is not None
    for day, price, said in (
        (dt.date(2026, 1, 1), Decimal("9.99"), None),
        (dt.date(2025, 1, 1), Decimal(1), "day: '2025-01-01' does not match \"^2026\" (pattern)"),
        (dt.date(2026, 1, 1), Decimal("10.01"), "price: 10.01 is greater than the maximum of 10 (maximum)"),
    ):
        payload = {"day": day, "price": price}
        assert reason(definition, payload, events.encoded(payload, "")) == said


def test_a_plain_contract_has_no_validator() -> None:
    """Where types say all, jsonschema-rs is not asked."""
    plain = contracts.contract({"a": "BIGINT NOT NULL", "b": "VARCHAR"}, event_type="Placed")
    definition = Registry().define(
        "Placed", contracts.fields(plain), origin="defined", recorded_at=0, contract=json.loads(json.dumps(plain))
    )
    assert definition is not None
    assert definition.validator is None
    assert reason(definition, {"a": 1, "b": None}, '{"a":1,"b":null}') is None
