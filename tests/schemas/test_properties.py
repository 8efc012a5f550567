"""Columns as JSON Schema and back: round trips, and the same verdict of the types and of a well-kept validator."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlab.schemas import checks, documents, properties, types, validators
from eventlab.schemas.properties import fields, of_fields, of_type, plain
from eventlab.schemas.types import Field, FieldType

_NAMES = st.sampled_from(["a", "b", "type", 'x "y"', "ä", "$ref", "properties"])
_DIGITS = st.integers(1, 38).flatmap(lambda digits: st.tuples(st.just(digits), st.integers(0, digits)))
_SCALARS = ["BOOLEAN", "FLOAT", "DOUBLE", "VARCHAR", "JSON", "DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "UUID", "NULL"]
_TYPES: st.SearchStrategy[FieldType] = st.recursive(
    st.sampled_from([*types.INTEGERS, *_SCALARS]).map(FieldType)
    | _DIGITS.map(lambda digits: FieldType("DECIMAL", *digits))
    | st.lists(st.sampled_from(["a", "it's", "", "7"]), min_size=1, unique=True).map(
        lambda values: FieldType("ENUM", values=tuple(values))
    ),
    lambda inner: (
        inner.map(lambda item: FieldType("LIST", item=item))
        | inner.map(lambda item: FieldType("MAP", item=item))
        | st.lists(st.tuples(_NAMES, inner), max_size=3, unique_by=lambda part: part[0].lower()).map(
            lambda parts: FieldType("STRUCT", fields=tuple(parts))
        )
    ),
    max_leaves=5,
)
_FIELDS = st.dictionaries(_NAMES, st.builds(Field, _TYPES, st.booleans()), max_size=3)

_TEXTS = ["", "a", "7", "it's", "-0.50", "00012.340", "1.", ".5", "+1", "1e3", "12345678901234567890.5", "2026-02-03"]
_TEXTS += [
    "2026-02-03T04:05",
    "2026-02-03 04:05:06.123456",
    "2026-02-03T04:05:06Z",
    "2026-02-03T04:05:06+0530",
    "04:05:06",
]
_TEXTS += [
    "2026-13-01",
    "04:05:06.5",
    "24:00:00",
    "04:05",
    "04:05:06Z",
    "2026-02-03t04:05:06z",
    "2026-02-03T04:05+24:00",
]
_TEXTS += [str(uuid.UUID(int=5)), str(uuid.UUID(int=5)).replace("-", ""), "ABCDEFab-0000-0000-0000-000000000000", "a\n"]
_NUMBERS = (
    st.integers(-(10**40), 10**40) | st.integers(-300, 300) | st.sampled_from([2**63, -(2**63), 2**64 - 1, 10**38])
)
_FRACTIONS = st.floats(allow_nan=False, allow_infinity=False) | st.decimals(-1000, 1000, places=2).map(float)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | _NUMBERS
    | _FRACTIONS.filter(lambda number: not number.is_integer())
    | st.sampled_from(_TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=6,
)


def _near(kind: FieldType) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one line a kind
    """Return JSON values of which most fit a type."""
    if kind.kind in types.INTEGERS:
        return st.integers(*types.bounds(kind.kind)) | st.none()
    match kind.kind:
        case "STRUCT" if kind.fields:
            return st.fixed_dictionaries({}, optional={name: _either(child) for name, child in kind.fields})
        case "LIST" if kind.item:
            return st.lists(_either(kind.item), max_size=3)
        case "MAP" if kind.item:
            return st.dictionaries(_NAMES, _either(kind.item), max_size=3)
        case "DECIMAL":
            number = st.decimals(-(10 ** (kind.precision - kind.scale)), 10**6, places=kind.scale)
            return number.map("{:f}".format) | _NUMBERS | _FRACTIONS
        case "ENUM":
            return st.sampled_from([*kind.values, None])
        case "BOOLEAN" | "NULL":
            return st.sampled_from([None, True, False])
        case "FLOAT" | "DOUBLE":
            return _NUMBERS | _FRACTIONS
        case "JSON":
            return _JSON
    return st.sampled_from(_TEXTS)


def _either(kind: FieldType) -> st.SearchStrategy[Any]:
    """Return JSON values: some fit a type, some may not."""
    return st.integers(0, 3).flatmap(lambda chance: _near(kind) if chance else _JSON)


def _payloads(declared: dict[str, Field]) -> st.SearchStrategy[dict[str, Any]]:
    """Return payloads of which many fit fields."""
    needed = {name: _either(field.type) for name, field in declared.items() if field.required}
    others = {name: _either(field.type) for name, field in declared.items() if not field.required}
    return st.fixed_dictionaries(needed, optional=others) | st.fixed_dictionaries({}, optional={**needed, **others})


def _fits(declared: dict[str, Field], payload: dict[str, Any]) -> bool:
    """Tell whether a payload has what is required, and its values fit the types: as the store appends."""
    lacks = any(payload.get(name) is None for name in checks.missing(declared))
    return not lacks and checks.checks({n: f.type for n, f in declared.items()}, closed=False)(payload) is None


def _keeps(schema: dict[str, Any] | bool, value: object) -> bool:
    """Tell whether a value keeps a schema."""
    return validators.keeps(schema, value)


# ---- columns as a schema, and back


@settings(deadline=None)
@given(_FIELDS)
def test_fields_come_back_from_their_contract(declared: dict[str, Field]) -> None:
    """Every type at every depth, through JSON text, is the type that it was; the types say all that its contract says."""
    contract = json.loads(json.dumps(of_fields(declared)))
    assert fields(contract) == declared
    assert plain(contract)
    if Field(types.NULL, required=True) not in declared.values():  # which no payload fits
        assert documents.normal(contract, "T") == contract


@settings(deadline=None)
@given(_FIELDS.flatmap(lambda declared: st.tuples(st.just(declared), _payloads(declared))))
def test_a_validator_accepts_what_the_types_accept(case: tuple[dict[str, Field], dict[str, Any]]) -> None:
    """The contract of fields and the fields themselves have the same verdict on every payload."""
    declared, payload = case
    assert _keeps(of_fields(declared), payload) == _fits(declared, payload)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("BIGINT", 1.0),
        ("DOUBLE", 10**400),
        ("TIMESTAMP", "2026-02-30"),
    ],
)
def test_a_schema_is_wider_than_its_type_in_three_ways(kind: str, value: object) -> None:
    """An integer with a point, one beyond a DOUBLE, a local day that no calendar has."""
    assert _keeps(of_type(types.parse(kind)), value)
    assert checks.check(types.parse(kind), closed=False)(value) is not None


@settings(deadline=None)
@given(
    st.dates() | st.times() | st.datetimes() | st.datetimes(timezones=st.just(dt.timezone(dt.timedelta(hours=-9.5))))
)
def test_what_python_writes_in_iso_fits(moment: dt.date | dt.time) -> None:
    """The patterns of moments accept every moment that Python has."""
    kind = types.of_value(moment)
    assert _keeps(of_type(kind), moment.isoformat())


# ---- a schema as columns

_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, -1.5, "", "a", "b", "2026-02-03"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)


def _schemas(depth: int = 3) -> st.SearchStrategy[Any]:
    """Return schemas of every supported keyword that says what kind of value fits."""
    if not depth:
        return st.sampled_from([True, {}, {"type": "string"}, {"type": ["integer", "null"]}, {"minimum": 0}])
    inner = _schemas(depth - 1)
    named = st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=2)
    several = st.lists(inner, min_size=1, max_size=2)
    kinds = st.sampled_from(properties.KINDS)
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "properties": named,
        "required": st.lists(st.sampled_from(["a", "b"]), unique=True, max_size=2),
        "additionalProperties": inner,
        "patternProperties": st.fixed_dictionaries({"^[ab]$": inner}),
        "items": inner,
        "prefixItems": several,
        "anyOf": several,
        "oneOf": several,
        "allOf": several,
        "not": inner,
        "enum": st.lists(_VALUES, min_size=1, max_size=3, unique_by=json.dumps),
        "const": _VALUES,
        "format": st.sampled_from(["date", "email"]),
    }
    chosen = st.lists(st.sampled_from(sorted(keywords)), max_size=2, unique=True)
    rules = chosen.flatmap(lambda names: st.fixed_dictionaries({name: keywords[name] for name in names}))
    said = st.none() | kinds | st.lists(kinds, min_size=1, max_size=2, unique=True)
    typed = st.builds(lambda kind, parts: parts if kind is None else {"type": kind, **parts}, said, rules)
    return typed | st.booleans()


_CONTRACTS = st.builds(
    lambda named, more: {**(more if isinstance(more, dict) else {}), "type": "object", "properties": named},
    st.dictionaries(st.sampled_from("abc"), _schemas(2), min_size=1),
    _schemas(2),
)


@settings(deadline=None)
@given(_CONTRACTS, st.dictionaries(st.sampled_from("abc"), _VALUES, max_size=3))
def test_what_fits_a_contract_fits_its_columns(contract: dict[str, Any], payload: dict[str, Any]) -> None:
    """No column refuses what the contract accepts, and what a column requires is required by the contract."""
    if _keeps(contract, payload):
        assert _fits(fields(contract), payload), {name: str(field) for name, field in fields(contract).items()}


@settings(deadline=None)
@given(_schemas(2), _VALUES)
def test_null_is_known_to_fit(schema: Any, value: Any) -> None:
    """Whether null fits a schema is what a validator says; made nullable, null fits, and all else as before."""
    assert properties.accepts_null(schema) == _keeps(schema, None)
    if isinstance(schema, dict):
        wide = properties.nullable(schema)
        assert _keeps(wide, None)
        assert _keeps(wide, value) == (value is None or _keeps(schema, value))


@settings(deadline=None)
@given(_schemas(2), _VALUES)
def test_a_plain_contract_needs_no_validator(schema: Any, value: Any) -> None:
    """Where the types say all, the validator refuses nothing that they accept."""
    contract = {"type": "object", "properties": {"a": schema}}
    if plain(contract) and _fits(fields(contract), {"a": value}):
        assert _keeps(contract, {"a": value})


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        ("DECIMAL(4,2)", 99.99, True),
        ("DECIMAL(4,2)", -99.99, True),
        ("DECIMAL(4,2)", 100, False),
        ("DECIMAL(4,2)", -100, False),
        ("DECIMAL(4,2)", 1.234, False),
        ("DECIMAL(4,2)", "0099.9900", True),
        ("DECIMAL(4,2)", "100", False),
        ("DECIMAL(4,2)", "1.234", False),
        ("DECIMAL(4,2)", "1.", False),
        ("DECIMAL(2,2)", "0.12", True),
        ("DECIMAL(2,2)", "1", False),
        ("DECIMAL(2,2)", 1, False),
        ("DECIMAL(2,0)", "99.00", True),
        ("DECIMAL(2,0)", 1.5, False),
        ("TINYINT", 127, True),
        ("TINYINT", 128, False),
        ("UBIGINT", 2**64 - 1, True),
        ("UBIGINT", -1, False),
        ("FLOAT", 3.4e38, True),
        ("FLOAT", 3.5e38, False),
        ("TIME", "23:59:59.999999", True),
        ("TIME", "23:59:59Z", False),
        ("TIMESTAMP", "2026-02-03 04:05", True),
        ("TIMESTAMP", "2026-02-03T04:05:06Z", False),
        ("TIMESTAMPTZ", "2026-02-03T04:05:06Z", True),
        ("TIMESTAMPTZ", "2026-02-30", False),
    ],
)
def test_a_schema_ends_where_its_type_ends(kind: str, value: object, fits: bool) -> None:
    """At the bounds of each type, the schema and the check of the type agree."""
    assert _keeps(of_type(types.parse(kind)), value) is fits
    assert (checks.check(types.parse(kind), closed=False)(value) is None) is fits


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"oneOf": [{"type": "null"}, {"type": "string"}]}, True),
        ({"oneOf": [{"type": "null"}, {"type": ["string", "null"]}]}, False),
        ({"anyOf": [{"type": "null"}, {"type": ["string", "null"]}]}, True),
        ({"not": {"const": None}}, False),
        ({"const": None}, True),
        ({"enum": [1]}, False),
        ({"allOf": [{}, {"type": "string"}]}, False),
        (False, False),
    ],
)
def test_whether_null_fits(schema: dict[str, Any] | bool, fits: bool) -> None:
    """By its type, its values, and all of its parts: of ``oneOf`` exactly one must take it."""
    assert properties.accepts_null(schema) is fits is _keeps(schema, None)


def test_a_wide_object_is_json() -> None:
    """An object of over 200 properties inside a payload is kept as JSON; a payload has a column for each."""
    wide = {f"p{n}": {"type": "string"} for n in range(201)}
    assert len(fields({"type": "object", "properties": wide})) == 201
    inner = {"type": "object", "properties": wide}
    assert fields({"type": "object", "properties": {"a": inner}}) == {"a": Field(types.JSON)}
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(30):
        deep = {"type": "array", "items": deep}
    assert str(fields({"type": "object", "properties": {"a": deep}})["a"]) == "JSON" + 20 * "[]"
