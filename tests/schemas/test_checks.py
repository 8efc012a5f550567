"""Whether values fit: by hand, and against DuckDB's own reading of the payload."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlab import queries
from eventlab.events import encoded, plain
from eventlab.schemas import types
from eventlab.schemas.checks import check, checks
from eventlab.schemas.types import parse

_CONNECTION = queries.connect()
_UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"


def _reason(kind: str, value: object, *, closed: bool = True) -> str | None:
    """Return why a value does not fit the type of that name."""
    return check(parse(kind), closed=closed)(value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("TINYINT", -128),
        ("UTINYINT", 255),
        ("UBIGINT", 2**64 - 1),
        ("BIGINT", -(2**63)),
        ("BOOLEAN", False),
        ("DOUBLE", 1),
        ("DOUBLE", Decimal("1.5")),
        ("FLOAT", 3.4e38),
        ("DECIMAL(4,2)", 12.5),
        ("DECIMAL(4,2)", "12.50"),
        ("DECIMAL(4,2)", Decimal("1E+1")),
        ("DECIMAL(4,2)", Decimal("12.5000")),
        ("DECIMAL(38,0)", 10**38 - 1),
        ("DECIMAL(1,0)", Decimal("0E+50")),
        ("VARCHAR", ""),
        ("VARCHAR", dt.date(2026, 1, 1)),
        ("UUID", _UUID),
        ("UUID", _UUID.upper()),
        ("UUID", uuid.UUID(int=1)),
        ("DATE", "2026-01-01"),
        ("DATE", dt.date(1, 1, 1)),
        ("TIME", "23:59:59.999999"),
        ("TIMESTAMP", "2026-01-01 10:00"),
        ("TIMESTAMPTZ", "2026-01-01T00:00:00.123456Z"),
        ("TIMESTAMPTZ", "2026-01-01T00:00:00+0530"),
        ("TIMESTAMPTZ", "2026-01-01"),
        ("ENUM('a', 'b')", "b"),
        ("JSON", [1, {"a": "x"}]),
        ("INT[]", []),
        ("INT[]", [1, None]),
        ("MAP(VARCHAR, INT)", {"any": 1, "b": None}),
        ("STRUCT(a INT)", {"a": None}),
        ("STRUCT", {}),
    ],
)
def test_a_value_fits_and_so_does_null(kind: str, value: object) -> None:
    """At the ends of each range, as Python's object and as text; and what fits can be read by DuckDB."""
    assert _reason(kind, value) is None
    assert _reason(kind, None) is None
    text = encoded(plain({"x": value}, "p"), "p")
    stored = types.stored(parse(kind))
    if stored is not None:
        queries.rows(_CONNECTION, "select from_json_strict($p, $s)", {"p": text, "s": types.structure({"x": stored})})


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("TINYINT", 128, "128 is not in -128 to 127"),
        ("UTINYINT", -1, "not in 0 to 255"),
        ("BIGINT", 2**63, "is not in"),
        ("BIGINT", 10**5000, "a huge integer is not in"),
        ("BIGINT", 1.0, "is no integer"),
        ("BIGINT", True, "True is no integer"),
        ("BIGINT", "5", "'5' is no integer"),
        ("BOOLEAN", 1, "1 is no BOOLEAN"),
        ("BOOLEAN", "true", "is no BOOLEAN"),
        ("DOUBLE", "1.5", "is no number"),
        ("DOUBLE", True, "is no number"),
        ("DOUBLE", Decimal("1E+400"), "not in the range of DOUBLE"),
        ("FLOAT", 1e300, "not in the range of FLOAT"),
        ("DOUBLE", 10**400, "not in the range"),
        ("DECIMAL(4,2)", 123.4, "more digits"),
        ("DECIMAL(4,2)", "1.234", "more digits"),
        ("DECIMAL(4,2)", "1e1", "is no number"),
        ("DECIMAL(4,2)", "١٢", "is no number"),
        ("DECIMAL(4,2)", "NaN", "is no number"),
        ("DECIMAL(4,2)", True, "is no number"),
        ("DECIMAL(4,2)", [1], "is no number"),
        ("DECIMAL(4,2)", 10**5000, "is no number"),
        ("DECIMAL(38,28)", Decimal("0." + "1" * 38), "more digits"),
        ("VARCHAR", 5, "5 is no text"),
        ("VARCHAR", ["a"], "is no text"),
        ("UUID", "x", "is no UUID"),
        ("UUID", _UUID.replace("-", ""), "no UUID"),
        ("UUID", 5, "is no UUID"),
        ("DATE", "2026-02-30", "is no DATE"),
        ("DATE", "2026-1-1", "is no DATE"),
        ("DATE", "٢٠٢٦-01-01", "is no DATE"),
        ("DATE", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "is no DATE"),
        ("TIME", "24:00:00", "is no TIME"),
        ("TIME", dt.time(1, tzinfo=dt.UTC), "no TIME"),
        ("TIMESTAMP", "2026-01-01T00:00:00Z", "is no TIMESTAMP"),
        ("TIMESTAMP", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "is no TIMESTAMP"),
        ("TIMESTAMPTZ", "2026-01-01T10", "is no TIMESTAMPTZ"),
        ("TIMESTAMPTZ", "2026-01-01Z", "is no TIMESTAMPTZ"),
        ("TIMESTAMPTZ", 5, "no TIMESTAMPTZ"),
        ("TIMESTAMPTZ", "2026-01-01T23:59:60Z", "is no TIMESTAMPTZ"),
        ("TIMESTAMPTZ", "0001-01-01T00:00:00+05", "is no TIMESTAMPTZ"),
        ("ENUM('a', 'b')", "c", "is none of a, b"),
        ("ENUM('a')", ["a"], "is none of a"),
        ("ENUM('a')", {}, "is none of a"),
        ("INT[]", "x", "is no list"),
        ("INT[]", {}, "is no list"),
        ("INT[]", [1, "x"], r"\[1\]: 'x' is no integer"),
        ("MAP(VARCHAR, INT)", [], "is no object"),
        ("MAP(VARCHAR, INT)", {"k": "x"}, "k: 'x' is no integer"),
        ("NULL", 0, "none before"),
        ("STRUCT(a INT)", [], "not an object"),
        ("STRUCT(a STRUCT(b INT))", {"a": {"b": "x"}}, "a: b: 'x' is no integer"),
        ("STRUCT(a INT)", {"b": None}, "b: a field that its type does not have"),
        ("VARCHAR", 1.5, "is no text"),
    ],
    ids=lambda value: repr(value)[:40] if not isinstance(value, int) else "int",
)
def test_a_value_that_does_not_fit_says_why(kind: str, value: object, reason: str) -> None:
    """The reason has the path and the value, shortly."""
    found = _reason(kind, value)
    assert found is not None
    assert re.search(reason, found)
    assert len(found) < 140


def test_a_defined_object_may_have_more_keys_an_inferred_one_grows() -> None:
    """What a definition does not declare stays in the payload; an inferred type has to learn it."""
    assert _reason("STRUCT(a INT)", {"a": 1, "b": 2}, closed=False) is None
    assert _reason("STRUCT(a INT)", {"a": 1, "b": 2}, closed=True) == "b: a field that its type does not have"
    assert checks({"a": parse("INT")}, closed=False)({"z": 1}) is None


_KINDS = st.sampled_from(
    [
        "TINYINT",
        "BIGINT",
        "UBIGINT",
        "DOUBLE",
        "FLOAT",
        "DECIMAL(9,2)",
        "DECIMAL(38,10)",
        "BOOLEAN",
        "DATE",
        "TIMESTAMPTZ",
        "INT[]",
    ]
)
_RAW = (
    st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(-(10**30), 10**30)
    | st.booleans()
    | st.dates().map(str)
    | st.datetimes(timezones=st.just(dt.UTC)).map(lambda moment: moment.isoformat())
    | st.text("0123456789-+:TZ .", max_size=20)
    | st.lists(st.integers(-(2**33), 2**33), max_size=3)
)


@given(_KINDS, _RAW)
def test_what_fits_is_read_by_duckdb(kind: str, value: Any) -> None:
    """A payload that passes is never an error, nor a silent NULL, in the typed column."""
    if _reason(kind, value) is not None:
        return
    payload = encoded(plain({"x": value}, "p"), "p")
    structure = types.structure({"x": types.stored(parse(kind)) or types.VARCHAR})
    try:
        rows = queries.rows(
            _CONNECTION, "select from_json_strict($p, $s).x is not null", {"p": payload, "s": structure}
        )
    except duckdb.Error as error:  # pragma: no cover
        pytest.fail(f"{kind} {json.loads(payload)}: {error}")
    assert rows == [(True,)]
