"""Staging: rows become checked events; every fault is one row's, and the same content has the same id for ever."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
import uuid
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlab import events, queries
from eventlab.errors import InvalidEvent, InvalidSource
from eventlab.schemas import Registry, types
from eventlab.schemas.types import Field, FieldType
from eventlab.store.mappings import Mapping
from eventlab.store.staging import stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventlab.store.staging import Staged

_ROW = {"type": "Placed", "id": "o1", "ts": "2026-03-01T10:00:00Z", "amount": 5}
_MAPPING = Mapping("type", "id", "ts")


def _stage(source: object, mapping: Mapping = _MAPPING, **options: Any) -> Staged:
    given_options = {
        "registry": Registry(),
        "timezone": "UTC",
        "on_invalid": "raise",
        "spill": Path(tempfile.gettempdir()),
    }
    return stage(source, mapping, **{**given_options, **options})


def _rows(source: object, mapping: Mapping = _MAPPING, columns: str = "payload", **options: Any) -> list[Any]:
    """Return columns of the staged events in the order of the source."""
    with _stage(source, mapping, **options) as staged:
        found = queries.rows(staged.connection, f"select {columns} from staged order by source_row")
    return [row[0] for row in found] if "," not in columns else found


def _lines(folder: Path, *lines: str, name: str = "x.jsonl") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / name


def _defined(**fields: str) -> Registry:
    registry = Registry()
    kinds = {name: types.field(text) for name, text in fields.items()}
    definition = registry.define("Placed", kinds, origin="defined", recorded_at=0)
    assert definition is not None
    return registry.adding(definition)


def test_a_worked_example() -> None:
    """A row becomes an event: its parts, and the payload without the columns that are parts."""
    with _stage([_ROW, {**_ROW, "note": None}]) as staged:
        found = queries.arrow(staged.connection, "from staged order by source_row").to_pylist()
        assert (staged.rows, staged.repeated, staged.refused, staged.timed) == (2, 0, 0, True)
        assert staged.kinds == {"Placed": (("amount", types.BIGINT), ("note", types.NULL))}
    assert uuid.UUID(found[0].pop("event_id")).version == 8
    assert found[0].pop("occurred_at") == dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)
    assert found[0] == {
        "source_row": 0,
        "stream_id": "o1",
        "event_type": "Placed",
        "actor": None,
        "correlation_id": None,
        "causation_id": None,
        "compensates": None,
        "metadata": None,
        "payload": '{"amount":5}',
    }
    assert found[1]["payload"] == '{"amount":5,"note":null}'


def test_closing_deletes_the_files(tmp_path: Path) -> None:
    """Nothing stays in the spill folder, neither after a success nor after a fault."""
    with _stage([_ROW], spill=tmp_path):
        assert list(tmp_path.iterdir())
    with pytest.raises(InvalidEvent):
        _stage([{**_ROW, "ts": "x"}], spill=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "payload"),
    [
        ('{"id":"a","x":1234567890123456.78}', '{"x":1234567890123456.78}'),
        ('{"id": "a", "x": 1.50, "y": [1e5, {"b": 2.0}]}', '{"x":1.50,"y":[1e5, {"b": 2.0}]}'),
        ('{"z":null,"id":"a","a":12345678901234567890123}', '{"z":null,"a":12345678901234567890123}'),
        ('{"id":"a","u":"\\u00e9","n":1.10}', '{"u":"\\u00e9","n":1.10}'),
        ('{"id":"a","A":1,"a":2}', '{"A":1,"a":2}'),
        ('{"id":"a"}', "{}"),
    ],
)
def test_lines_lose_their_keys_and_nothing_else(tmp_path: Path, line: str, payload: str) -> None:
    """Taking keys out of a line keeps the order of keys, nulls, and the text of numbers."""
    assert _rows(_lines(tmp_path, line), Mapping("'T'", "id")) == [payload]


def test_a_key_inside_an_expression_stays(tmp_path: Path) -> None:
    """A line of which no key is a part, bare, is the payload byte for byte."""
    line = '{"id": 7,  "x": 1.50}'
    assert _rows(_lines(tmp_path, line), Mapping("'T'", "'order-' || id"), "stream_id, payload") == [("order-7", line)]


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (["amount", "type"], '{"amount":1.50,"type":"Placed"}'),
        ({"sum": "amount * 2", "who": "upper(id)"}, '{"sum":3.0,"who":"O1"}'),
        ("struct_pack(a := type)", '{"a":"Placed"}'),
        ("json_object('a', id)", '{"a":"o1"}'),
        ("raw", '{"q": 1.0}'),
        ("nested", '{"k":1}'),
    ],
)
def test_payloads_that_are_asked_for(tmp_path: Path, payload: Any, expected: str) -> None:
    """A payload is a list of columns, names with expressions, or one expression that yields an object."""
    line = '{"type":"Placed","id":"o1","amount":1.50,"raw":"{\\"q\\": 1.0}","nested":{"k":1}}'
    assert _rows(_lines(tmp_path, line), Mapping("type", "id", payload=payload)) == [expected]


def test_typed_columns_are_exact_json() -> None:
    """Columns of every type have an exact JSON, with instants in UTC; their types become those of the fields."""
    query = """select 'T' as type, 's' as id, 1.50::decimal(18,2) as d, timestamptz '2026-01-01 10:00:00+02' as t,
        timestamp '2026-01-01 10:00:00.5' as n, 0.1::float as f, 'ab'::blob as b, date '2026-01-02' as day,
        [timestamptz '2026-01-01 00:00:00+00'] as l, {'x': timestamp '2026-01-01 10:00:00', 'y': [1.5::double]} as s,
        map {'k': timestamp '2026-01-01'} as m, null as z, 170141183460469231731687303715884105727::hugeint as h"""
    mapping = Mapping("type", "id")
    with _stage(query, mapping, timezone="Asia/Tokyo") as staged:
        [(text,)] = queries.rows(staged.connection, "select payload from staged")
        kinds = {name: str(kind) for name, kind in staged.kinds["T"]}
    assert text == (
        '{"d":1.50,"t":"2026-01-01T08:00:00Z","n":"2026-01-01T10:00:00.5","f":0.1,"b":"YWI=","day":"2026-01-02",'
        '"l":["2026-01-01T00:00:00Z"],"s":{"x":"2026-01-01T10:00:00","y":[1.5]},"m":{"k":"2026-01-01T00:00:00"},'
        '"z":null,"h":170141183460469231731687303715884105727}'
    )
    assert kinds["d"] == "DECIMAL(18,2)"
    assert (kinds["t"], kinds["n"], kinds["day"], kinds["z"]) == ("TIMESTAMPTZ", "TIMESTAMP", "DATE", "NULL")


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-03-01", "America/New_York", "2026-03-01T05:00:00+00:00"),
        ("2026-03-01 10:00", "America/New_York", "2026-03-01T15:00:00+00:00"),
        ("2026-03-01T10:00:00Z", "America/New_York", "2026-03-01T10:00:00+00:00"),
        ("2026-03-01T10:00:00.123456+05:30", "America/New_York", "2026-03-01T04:30:00.123456+00:00"),
        ("2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30:00+00:00"),
        ("2026-03-29T02:30:00", "Europe/Berlin", "2026-03-29T01:30:00+00:00"),
    ],
)
def test_times_are_read_as_elsewhere(text: str, zone: str, expected: str) -> None:
    """Text without an offset is local; of an hour that comes twice the first is meant, of a skipped one what follows."""
    micros = int(
        (dt.datetime.fromisoformat(expected) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1)
    )
    naive = f"select 'T' as type, 's' as id, '{text}'::timestamp as ts"
    assert _rows([{**_ROW, "ts": text}], columns="epoch_us(occurred_at)", timezone=zone) == [micros]
    if not text.endswith("Z") and "+" not in text:
        assert _rows(naive, columns="epoch_us(occurred_at)", timezone=zone) == [micros]


_FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"id": None}, "stream_id is NULL"),
    ({"id": "  "}, "stream_id is empty"),
    ({"id": "x" * 513}, "has 513 characters"),
    ({"id": "a\nb"}, "has control characters"),
    ({"type": None}, "event_type is NULL"),
    ({"type": "payload"}, "the log has a column of that name"),
    ({"ts": None}, "occurred_at is NULL"),
    ({"ts": "yesterday"}, "occurred_at 'yesterday' is no time"),
    ({"ts": "infinity"}, "is no time"),
    ({"ts": "2026-02-30"}, "is no time"),
    ({"amount": float("nan")}, "nan, which JSON does not have"),
    ({"amount": "\ud800"}, "surrogate"),
    ({"amount": "x" * 16_000_001}, "at most"),
]


@pytest.mark.parametrize(("change", "reason"), _FAULTS)
def test_faults_of_a_row(change: dict[str, Any], reason: str) -> None:
    """A row that is no event is named with its number and the reason; in quarantine the others are staged."""
    rows = [_ROW, {**_ROW, **change}, {**_ROW, "amount": 6}]
    with pytest.raises(InvalidEvent, match=rf"(?s)row 2: .*{reason}"):
        _stage(iter(rows))
    with _stage(rows, on_invalid="quarantine") as staged:
        assert (staged.rows, staged.refused) == (2, 1)
        [(number, found, content)] = queries.rows(staged.connection, "from refused")
        assert queries.rows(staged.connection, "select source_row from staged order by 1") == [(0,), (2,)]
    assert number == 1
    assert reason in found
    assert content


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id":"a","x":NaN}', "x is NaN"),
        ('{"id":"a","x":1,}', "is no JSON"),
        ('{"id":"a"', "is no JSON"),
        ('{"id":"a","x":1,"x":2}', "the key 'x' twice"),
        ('{"id":"a","y":{"x":1,"x":2}}', "the key 'x' twice"),
        ('{"id":"a","id":"b"}', "the key 'id' twice"),
        ('{"id":"a","l":[{"q":1}],"x":1,"x":2}', "the key 'x' twice"),
        ("[1]", "is a list, not an object"),
        ("null", "is null, not an object"),
        ('"x"', "is text, not an object"),
        ('{"id":"a","x":"\\ud800"}', "is no JSON"),
        ('{"id":"a","x":"\x01"}', "is no JSON"),
    ],
)
def test_lines_that_are_no_objects(tmp_path: Path, line: str, reason: str) -> None:
    """What is no JSON in the strict sense is a fault of its line, though DuckDB would read it."""
    path = _lines(tmp_path, '{"id":"z","x":1}', line)
    with _stage(path, Mapping("'T'", "id"), on_invalid="quarantine") as staged:
        found = queries.rows(staged.connection, "select source_row, reason from refused")
        assert staged.rows == 1
    assert [row[0] for row in found] == [1]
    assert reason in found[0][1]


@pytest.mark.parametrize("value", ["'nan'::double", "['inf'::double]"])
def test_numbers_that_json_does_not_have(value: str) -> None:
    """A NaN or an infinity of a typed column is a fault that names the column."""
    with pytest.raises(InvalidEvent, match=r"row 1: x is (NaN|Infinity)"):
        _stage(f"select 's' as id, {value} as x", Mapping("'T'", "id"))


def test_types_by_case_only() -> None:
    """Two new types, or a new and a known one, that differ by case only are a fault of the later."""
    with pytest.raises(InvalidEvent, match="row 2: event type 'placed' differs from 'Placed' by case only"):
        _stage([_ROW, {**_ROW, "type": "placed"}])
    with pytest.raises(InvalidEvent, match="row 1: event type 'PLACED' differs"):
        _stage([{**_ROW, "type": "PLACED"}], registry=_defined(amount="BIGINT"))


def test_a_strict_log_refuses_unknown_types() -> None:
    """With ``strict`` an unknown type is a fault of its rows."""
    with pytest.raises(InvalidEvent, match=r"event type 'Place' is not defined\. Did you mean 'Placed'"):
        _stage([_ROW, {**_ROW, "type": "Place"}], strict=True, registry=_defined(amount="BIGINT"))


def test_an_error_names_the_first_rows_and_how_many() -> None:
    """The error is short: five rows, and the number of the rest."""
    with pytest.raises(InvalidEvent, match=r"(?s)12 rows cannot be recorded.*row 5: .*and 7 more"):
        _stage([{**_ROW, "id": None} for _ in range(12)])


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (Mapping("typ", "id"), "(?s)event_type: 'typ': no column 'typ'. Did you mean 'type'.*Columns: type, id"),
        (Mapping("type", "id; select 1"), "stream_id: .* does not parse|not one expression"),
        (Mapping("type", "id), (ts"), "stream_id: .* is not one expression"),
        (Mapping("type", "count(*)"), "stream_id: .*aggregate"),
        (Mapping("type", "row_number() over ()"), "stream_id: .*a window function"),
        (Mapping("type", "(select 1)"), "stream_id: .*a subquery"),
        (Mapping("type", "*"), "stream_id: .*a star"),
        (Mapping("type", " "), "is no SQL expression"),
        (Mapping("type", "$x"), "a parameter"),
        (
            Mapping("type", "id", "amount"),
            r"(?s)occurred_at: 'amount' is BIGINT.*to_timestamp\(amount\).*epoch_ms\(amount\)",
        ),
        (Mapping("type", "[id]"), "not text"),
        (Mapping("type", "id", payload="amount"), "payload: 'amount' is BIGINT, not an object"),
        (Mapping("type", "id", payload=["nothing"]), "no column 'nothing'"),
        (Mapping("type", "id", payload={"a": "id", "A": "id"}), "cannot stand beside each other"),
        (Mapping("type", "id", payload=5), "no mapping to a payload"),  # type: ignore[arg-type]
    ],
)
def test_mappings_that_do_not_fit(mapping: Mapping, said: str) -> None:
    """A mapping that cannot be is one error that names the argument and what would fit."""
    with pytest.raises(InvalidSource, match=said):
        _stage([_ROW], mapping)


def test_ids_are_the_content(tmp_path: Path) -> None:
    """The same rows have the same ids however they come, in any zone and any split of files; equal rows differ."""
    rows = [_ROW, {**_ROW, "id": "o2"}, _ROW]
    one = _rows(rows, columns="event_id")
    text = [json.dumps(row) for row in rows]
    _lines(tmp_path, *text[:1], name="a.jsonl")
    _lines(tmp_path, *text[1:], name="b.jsonl")
    assert len(set(one)) == 3
    assert _rows(rows, columns="event_id", timezone="Asia/Tokyo") == one
    assert _rows(str(tmp_path / "*.jsonl"), columns="event_id") == one
    assert _rows(pa.Table.from_pylist(rows), columns="event_id") == one
    assert _rows(rows[::-1], columns="event_id")[::-1][1] == one[1]
    assert one[0] == "56a04d89-0102-8556-a510-f93a5fe332b9"


def test_ids_tell_parts_from_each_other() -> None:
    """A text moved from one part to another makes another id."""
    first = _rows(
        [{"i": "a", "c": None, "b": "x"}],
        Mapping("'T'", "i", actor="b", correlation_id="c", payload="json_object()"),
        "event_id",
    )
    other = _rows(
        [{"i": "a", "c": None, "b": "x"}],
        Mapping("'T'", "i", actor="c", correlation_id="b", payload="json_object()"),
        "event_id",
    )
    assert first != other


def test_given_ids_repeat_or_conflict() -> None:
    """The same id with the same content is dropped and counted; with other content it is a fault of the later row."""
    mapping = Mapping("type", "id", "ts", event_id="key")
    rows = [{**_ROW, "key": "k", "x": 1}, {**_ROW, "x": 1, "key": "k"}, {"x": 1, **_ROW, "key": "k"}]
    with _stage(rows, mapping) as staged:
        assert (staged.rows, staged.repeated) == (1, 2)
        assert queries.rows(staged.connection, "select source_row, event_id from staged") == [(0, "k")]
    with pytest.raises(InvalidEvent, match="row 3: event_id 'k' came in row 1 with other content"):
        _stage([*rows[:2], {**_ROW, "key": "k", "x": 2}], mapping)
    with pytest.raises(InvalidEvent, match="row 1: event_id is empty"):
        _stage([{**_ROW, "key": ""}], mapping)


def test_actor_and_metadata() -> None:
    """Optional parts may be NULL; metadata is an object of any depth."""
    mapping = Mapping("type", "id", "ts", actor="who", metadata="meta")
    rows = [{**_ROW, "who": "me", "meta": {"a": [1]}}, {**_ROW, "who": None, "meta": None}]
    assert _rows(rows, mapping, "actor, metadata, payload") == [
        ("me", '{"a":[1]}', '{"amount":5}'),
        (None, None, '{"amount":5}'),
    ]
    with pytest.raises(InvalidEvent, match="metadata: "):
        _stage([{**_ROW, "who": "me", "meta": "[1]"}], mapping)


_VALUES = [
    5, -1, 300, 2**70, 1.5, 1.0, Decimal("12.345"), "text", "", "12.5", "2026-01-01", "2026-13-01", "10:00:00", "24:00:00",
    "2026-01-01T10:00:00", "2026-01-01T10:00:00Z", "2026-01-01T25:00:00", "00000000-0000-0000-0000-000000000001", "a",
    True, None, [1], [1.5, "x"], {"x": 1}, {"x": "a", "y": 1}, {},
]  # fmt: skip
_KINDS = [
    "TINYINT", "UTINYINT", "BIGINT", "UBIGINT", "DOUBLE", "FLOAT", "DECIMAL(4,2)", "DECIMAL(18,0)", "BOOLEAN", "VARCHAR", "DATE",
    "TIME", "TIMESTAMP", "TIMESTAMPTZ", "UUID", "ENUM('a','b')", "JSON", "BIGINT[]", "STRUCT(x BIGINT)", "MAP(VARCHAR, BIGINT)",
]  # fmt: skip


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("kind", _KINDS)
def test_the_verdict_is_that_of_an_append(kind: str, required: bool) -> None:
    """A value of a defined type is refused by a load exactly if an append would refuse it, with the same reason."""
    registry = _defined(v=kind + (" NOT NULL" if required else ""))
    latest = registry["Placed"].latest
    rows = [{**_ROW, "v": value} for value in _VALUES] + [_ROW]
    decode = events.decoded_exactly if latest.has_decimals else events.decoded
    expected = {}
    for number, row in enumerate(rows):
        payload = decode(events.encoded({key: row[key] for key in ("amount", "v") if key in row}, ""))
        reason = "v is missing" if required and payload.get("v") is None else latest.fits(payload)
        if reason is not None:
            expected[number] = f"Placed: {reason}"
    with _stage(rows, registry=registry, on_invalid="quarantine") as staged:
        assert dict(queries.rows(staged.connection, "select source_row, reason from refused")) == expected
        assert staged.kinds == {}


def test_typed_sources_are_checked_too(tmp_path: Path) -> None:
    """The values of a Parquet file are checked against a definition; the order of many row groups is kept."""
    count = 300_000
    numbers = pa.array(range(count), pa.int64())
    pq.write_table(pa.table({"n": numbers}), tmp_path / "x.parquet", row_group_size=5_000)
    mapping = Mapping("'Placed'", "'s'", "to_timestamp(n)")
    registry = _defined(n="INTEGER NOT NULL")
    assert _rows(tmp_path / "x.parquet", mapping, "payload::json->>'n'", registry=registry) == list(
        map(str, range(count))
    )
    with pytest.raises(InvalidEvent, match=r"row 128: Placed: n: 127|row 129: Placed: n: 128 is not in -128 to 127"):
        _stage(tmp_path / "x.parquet", mapping, registry=_defined(n="TINYINT"))
    with _stage(tmp_path / "x.parquet", mapping, registry=_defined(n="TINYINT"), on_invalid="quarantine") as staged:
        assert (staged.rows, staged.refused) == (128, count - 128)
        assert queries.rows(staged.connection, "from refused order by 1 limit 1")[0][2] == '{"n":128}'


def test_kinds_of_many_shapes(tmp_path: Path) -> None:
    """More distinct structures than can be looked at one by one still give the types of the fields."""
    path = _lines(tmp_path, *(f'{{"id":"s","k{n}":{n}}}' for n in range(10_050)))
    with _stage(path, Mapping("'T'", "id")) as staged:
        kinds = dict(staged.kinds["T"])
    assert len(kinds) == 10_050
    assert kinds["k10049"] == types.BIGINT


def test_an_inferred_type_takes_anything() -> None:
    """A type that was inferred is widened by its loader, not checked."""
    registry = Registry()
    definition = registry.define("Placed", {"amount": Field(FieldType("BIGINT"))}, origin="inferred", recorded_at=0)
    assert definition is not None
    with _stage([{**_ROW, "amount": "much"}], registry=registry.adding(definition)) as staged:
        assert staged.kinds == {"Placed": (("amount", types.VARCHAR),)}


_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**80), 2**80), st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**16), max_value=10**16),
    st.text(st.characters(codec="utf-8"), max_size=8),
)  # fmt: skip
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3),
    ),
    max_leaves=5,
)
_generated = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["A", "B", "a", "", None]),
        "id": st.sampled_from(["s1", "s2", "", "a\tb", None, "é", "x" * 513]),
        "ts": st.sampled_from(["2026-01-01", "2026-01-01T10:00:00+02:00", "2026-01-01 10:00:00.5", "no", None]),
    },
    optional={"p": _values, "q": _values, 'é"/~': _values, "ID": _scalars},
)


def _oracle(rows: list[dict[str, Any]]) -> Iterator[tuple[int, str, str, str]]:
    """Yield number, type, stream and payload of the rows that are events, the slow way."""
    seen: dict[str, str] = {}
    for number, row in enumerate(rows):
        if events.name_fault(row["id"]) or events.name_fault(row["type"]) or row["ts"] in ("no", None):
            continue
        if seen.setdefault(row["type"].lower(), row["type"]) != row["type"]:
            continue
        payload = {key: value for key, value in row.items() if key not in {"type", "id", "ts"}}
        yield number, row["type"], row["id"], events.encoded(events.plain(payload, ""), "")


@settings(max_examples=60, deadline=None)
@given(st.lists(_generated, max_size=8))
def test_against_an_oracle(rows: list[dict[str, Any]]) -> None:
    """What is staged is what a slow loop in Python says, to the byte of every payload."""
    if not rows:
        return
    with _stage(rows, on_invalid="quarantine") as staged:
        found = queries.rows(
            staged.connection, "select source_row, event_type, stream_id, payload from staged order by 1"
        )
        ids = queries.rows(staged.connection, "select count(distinct event_id) from staged")
        assert staged.rows + staged.refused == len(rows)
    assert found == list(_oracle(rows))
    assert ids == [(len(found),)]
