"""Validation of bulk loads: what SQL lets pass fits, and each refused row has the reason that an append would give."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import eventlab as el
from eventlab import events, queries
from eventlab.schemas import Registry, contracts, validators
from eventlab.store import loads, patterns, screening
from eventlab.store.mappings import Mapping
from eventlab.store.staging import stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventlab.schemas import Definition

_FOLDER = tempfile.TemporaryDirectory()
_MISFITS = screening._misfits
_MAPPING = Mapping("'Placed'", "'s'")
_ORDER = {
    "type": "object",
    "properties": {
        "customer": {"type": "string", "pattern": "^customer-[0-9]+$", "maxLength": 12},
        "status": {"type": "string", "enum": ["new", "paid"]},
        "qty": {"type": "integer", "minimum": 1, "maximum": 100},
        "amount": {"type": "number", "minimum": 0, "multipleOf": 0.01},
        "day": {"type": "string", "format": "date"},
        "lines": {
            "type": "array",
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {"sku": {"type": "string", "minLength": 1}, "qty": {"type": "integer", "minimum": 1}},
                "required": ["sku"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["customer", "qty"],
}
_GOOD = {
    "customer": "customer-1",
    "status": "new",
    "qty": 1,
    "amount": 12.55,
    "day": "2026-03-01",
    "lines": [{"sku": "a"}],
}


def _definition(contract: dict[str, Any], validation: str = "enforce") -> Definition:
    """Return the definition of a type ``Placed`` with a contract."""
    definition = Registry().define(
        "Placed", contracts.fields(contract), origin="defined", recorded_at=0, contract=contract, validation=validation
    )
    assert definition is not None
    return definition


def _expected(definition: Definition, texts: Iterable[str]) -> dict[int, str]:
    """Return why an append would refuse each of some payloads."""
    found = {}
    for number, text in enumerate(texts):
        reason = definition.refusal(
            events.decoded_exactly(text) if definition.has_decimals else events.decoded(text), text
        )
        if reason is not None:
            found[number] = f"Placed: {reason}"
    return found


def _refused(source: object, definition: Definition) -> dict[int, str]:
    """Return why a load refuses rows."""
    with stage(
        source,
        _MAPPING,
        registry=Registry().adding(definition),
        timezone="UTC",
        on_invalid="quarantine",
        spill=Path(tempfile.gettempdir()),
    ) as staged:
        return dict(queries.rows(staged.connection, "select source_row, reason from refused"))


def _lines(texts: Iterable[str]) -> Path:
    """Write JSON lines and return their path."""
    path = Path(_FOLDER.name) / "rows.jsonl"
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


# ---- what is refused, and what is looked at


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"customer": None}, "customer is missing"),
        ({"customer": "client-1"}, "customer: 'client-1' does not match \"^customer-[0-9]+$\" (pattern)"),
        ({"customer": "customer-1234"}, "customer: 'customer-1234' is longer than 12 characters (maxLength)"),
        ({"status": "lost"}, "status: 'lost' is none of new, paid"),
        ({"qty": 0}, "qty: 0 is less than the minimum of 1 (minimum)"),
        ({"qty": 101}, "qty: 101 is greater than the maximum of 100 (maximum)"),
        ({"qty": "1"}, "qty: '1' is no integer"),
        ({"amount": -0.01}, "amount: -0.01 is less than the minimum of 0 (minimum)"),
        ({"amount": 0.005}, "amount: 0.005 is not a multiple of 0.01 (multipleOf)"),
        ({"amount": 0}, None),
        ({"day": "2026-02-30"}, "day: '2026-02-30' is no DATE"),
        ({"day": None}, 'day: null is not of type "string" (type)'),
        ({"lines": []}, None),
        ({"lines": [{"sku": "a"}, {"sku": "", "qty": 1}]}, "lines[1].sku: '' is shorter than 1 character (minLength)"),
        ({"lines": [{"sku": "a"}, {"qty": 1}]}, "lines[1].sku is missing (required)"),
        ({"lines": [{"sku": "a", "x": 1}]}, "lines[0].x is not in the contract (additionalProperties)"),
        ({"lines": [{"sku": "a", "qty": None}]}, 'lines[0].qty: null is not of type "integer" (type)'),
        ({"other": 1}, None),
    ],
)  # fmt: skip
def test_reasons_name_paths_and_rules(change: dict[str, Any], reason: str | None) -> None:
    """A row that does not keep its contract is refused with the place and the rule, from JSON lines and from columns."""
    payload = {**_GOOD, **change}
    definition = _definition(_ORDER)
    expected = {} if reason is None else {0: f"Placed: {reason}"}
    assert _expected(definition, [json.dumps(payload)]) == expected
    assert _refused(_lines([json.dumps(payload)]), definition) == expected
    if "lines" not in change:  # in a column, an item that lacks a key has it as null
        assert _refused(pa.Table.from_pylist([payload]), definition) == expected


def _looked_at(source: object, contract: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many rows are looked at one by one."""
    seen = []

    def counted(reader: Any, definition: Definition) -> Any:
        table = reader.read_all()
        seen.append(len(table))
        return _MISFITS(table.to_batches(), definition)

    monkeypatch.setattr(screening, "_misfits", counted)
    assert not _refused(source, _definition(contract))
    return sum(seen)


def test_what_fits_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that keep a contract of the usual keywords are told by SQL alone: lists, formats, decimals, absent keys too."""
    row = {
        **_GOOD,
        "lines": [{"sku": "a", "qty": 2}, {"sku": "b"}],
        "id": "00000000-0000-0000-0000-000000000001",
        "at": "2026-03-01T10:00:00Z",
        "mail": "a.b@example.org",
        "address": {"city": "Bern", "zip": 3000},
        "size": None,
        "rate": 1.0,
    }
    contract = json.loads(json.dumps(_ORDER))
    contract["properties"] |= {
        "id": {"type": "string", "format": "uuid"},
        "at": {"type": "string", "format": "date-time"},
        "mail": {"type": "string", "format": "email"},
        "address": {
            "type": "object",
            "properties": {"city": {"minLength": 1}, "zip": {"maximum": 9999}},
            "required": ["city"],
        },
        "size": {"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "null"}]},
        "rate": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    }
    rows = [row, {**row, "size": 5, "amount": 12.5}, {**_GOOD, "amount": 3}, {**row, "lines": []}]
    assert _looked_at(_lines(map(json.dumps, rows)), contract, monkeypatch) == 0
    typed = [{**row, "lines": [{"sku": "a", "qty": 2}], "size": size} for size in (None, 5, 7)]
    assert _looked_at(pa.Table.from_pylist(typed), contract, monkeypatch) == 0


# ---- every misfit meets a doubt

_STRINGS = [
    '""', '"a"', '"ab"', '"abc"', '"é"', '"😀a"', '"a\\nb"', '"a\\u0000b"', '"12"', '"2026-01-01"', '"2026-02-30"', '"0000-01-01"',
    '"2026-01-01T10:00:00Z"', '"2026-01-01T24:00:00Z"', '"10:00:00Z"', '"00000000-0000-0000-0000-00000000000A"', '"a@b.c"', '"٣"',
    '"a\\u2028b"', '"null"', '"\\u0061"', '"1.2.3.4"',
]  # fmt: skip
_NUMBERS = [
    "0", "-0", "1", "2", "3", "-1", "5", "10", "9007199254740993", "18446744073709551615", "99999999999999999999999", "0.0", "-0.0",
    "1.0", "0.5", "1.50", "0.07", "0.075", "2.9999999999999999999", "0.99999999999999999999", "1.00000000000000000001", "1e0",
    "1E+1", "12.5500000000000000001", "0.1", "0.30000000000000004", "1e-300", "-0.00000000000000000000000000000000000001", "-1e-7",
]  # fmt: skip


def _object(parts: dict[str, str]) -> str:
    """Return an object of keys and raw values."""
    return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{raw}" for key, raw in parts.items()) + "}"


_SCALARS = st.sampled_from([*_STRINGS, *_NUMBERS, "true", "false", "null"])
_RAW: st.SearchStrategy[str] = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]"),
        st.dictionaries(st.sampled_from(["x", "y", "Y", "é"]), inner, max_size=3).map(_object),
    ),
    max_leaves=5,
)
_FORMATS = ["date", "date-time", "uuid", "time", "email", "ipv4", "hostname", "uri", "duration"]
_PATTERNS = [
    "^a",
    "b$",
    "^[a-z]+$",
    "^.{2}$",
    r"^\d+$",
    "^(a|12)$",
    r"\.",
    "^[^a]*$",
    "(?=a)a",
    "^a?.b$",
    r"^\w+$",
    r"\s",
    "",
]
_LIMITS = st.sampled_from([0, 1, 2, -1, 0.5, 1.5, 0.07, 1e-7, 10, 9007199254740993, 2**63, 10**20, 1.0, 0.1, 12.55])
_KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _LIMITS),
    "multipleOf": st.sampled_from([1, 2, 3, 0.01, 0.5, 0.1, 1.0, 10, 0.07]),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), st.integers(0, 3)
    ),
    "pattern": st.sampled_from(_PATTERNS),
    "format": st.sampled_from(_FORMATS),
    "enum": st.lists(_SCALARS.map(json.loads), min_size=1, max_size=4, unique_by=repr),
    "const": _SCALARS.map(json.loads),
    "uniqueItems": st.booleans(),
}
_TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "object", "array"])


@st.composite
def _schemas(draw: st.DrawFn, depth: int = 2) -> Any:
    """Return a schema of any keywords."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([True, True, {}]))
    schema: dict[str, Any] = {}
    for word in draw(st.lists(st.sampled_from(sorted(_KEYWORDS)), max_size=2, unique=True)):
        schema[word] = draw(_KEYWORDS[word])
    if draw(st.booleans()):
        schema["type"] = draw(st.one_of(_TYPES, st.lists(_TYPES, min_size=1, max_size=3, unique=True)))
    if depth:
        deeper = _schemas(depth - 1)
        parts = {
            "properties": st.dictionaries(st.sampled_from(["x", "y", "é"]), deeper, max_size=2),
            "items": deeper,
            "required": st.lists(st.sampled_from(["x", "y"]), unique=True),
            "additionalProperties": st.one_of(st.sampled_from([False]), deeper),
            "anyOf": st.lists(deeper, min_size=1, max_size=2),
            "oneOf": st.lists(deeper, min_size=1, max_size=2),
            "allOf": st.lists(deeper, min_size=1, max_size=2),
            "not": deeper,
        }
        for word in draw(st.lists(st.sampled_from(sorted(parts)), max_size=2, unique=True)):
            schema[word] = draw(parts[word])
    return schema


_FIELDS = st.dictionaries(st.sampled_from(["a", "b", "c"]), _schemas(), min_size=1, max_size=3)
_PAYLOADS = st.dictionaries(st.sampled_from(["a", "b", "c", "A", "x y"]), _RAW, max_size=4).map(_object)
_ROWS = st.lists(_PAYLOADS, min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    fields=_FIELDS,
    required=st.sets(st.sampled_from(["a", "b"])),
    closed=st.booleans(),
    rows=_ROWS,
    comma=st.sampled_from([",", ", "]),
)
@example(
    fields={"a": {"minimum": 1}},
    required=set(),
    closed=False,
    rows=['{"a":0.99999999999999999999}', '{"a":1.0}', '{"a":1.5}'],
    comma=",",
)
@example(
    fields={"a": {"multipleOf": 0.01}},
    required=set(),
    closed=False,
    rows=['{"a":12.5500000000000000001}', '{"a":12.50}', '{"a":3}'],
    comma=",",
)
@example(
    fields={"a": {"items": {"type": "integer"}}},
    required=set(),
    closed=False,
    rows=['{"a":[1,null]}', '{"a":[]}', '{"a":[null]}', '{"a":[1]}'],
    comma=",",
)
def test_the_verdict_on_lines_is_that_of_an_append(
    *, fields: dict[str, Any], required: set[str], closed: bool, rows: list[str], comma: str
) -> None:
    """Whatever a contract says: a line is refused exactly if an append of it would be, and for the same reason."""
    contract: dict[str, Any] = {"type": "object", "properties": fields, "required": sorted(required)}
    if closed:
        contract["additionalProperties"] = False
    definition = _definition(contract)
    texts = [row.replace(',"', f'{comma}"') for row in rows]
    assert _refused(_lines(texts), definition) == _expected(definition, texts)


_EDGES = st.sampled_from(_NUMBERS)
_OF_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "enum")
_OF_TEXTS = ("minLength", "maxLength", "pattern", "format", "enum")


def _rules(kind: str, words: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Return schemas of one type with one or two keywords."""
    picked = st.lists(st.sampled_from(words), min_size=1, max_size=2, unique=True)
    chosen = picked.flatmap(lambda names: st.fixed_dictionaries({name: _KEYWORDS[name] for name in names}))
    return chosen.map(lambda rules: {"type": kind, **rules})


@st.composite
def _edged(draw: st.DrawFn) -> tuple[Any, st.SearchStrategy[str]]:
    """Return a schema of values of one type, and values of that type as JSON text."""
    number = draw(_rules(draw(st.sampled_from(["number", "integer"])), _OF_NUMBERS))
    text = draw(_rules("string", _OF_TEXTS))
    item = {
        "type": "object",
        "properties": {"x": number, "y": text},
        "required": draw(st.sampled_from([[], ["x"], ["x", "y"]])),
    }
    objects = st.fixed_dictionaries({}, optional={"x": _EDGES, "y": st.sampled_from(_STRINGS)}).map(_object)
    return draw(
        st.sampled_from(
            [
                (number, _EDGES),
                ({**number, "x-duckdb": draw(st.sampled_from(["DECIMAL(4,2)", "DECIMAL(18,0)", "DECIMAL(38,10)"]))}, _EDGES),
                (text, st.sampled_from(_STRINGS)),
                ({"oneOf": [{"type": "null"}, number]}, _EDGES | st.just("null")),
                (item, objects),
                ({"type": "array", "items": item}, st.lists(objects, max_size=3).map(lambda parts: f"[{','.join(parts)}]")),
                ({"type": "array", "items": number}, st.lists(_EDGES, max_size=3).map(lambda parts: f"[{','.join(parts)}]")),
            ]
        )
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_verdict_at_the_edge_of_a_rule_is_that_of_an_append(data: st.DataObject) -> None:
    """Numbers that a double cannot tell from a bound, items that lack a key, texts of other scripts: as an append has it."""
    fields = {name: data.draw(_edged()) for name in ("a", "b")}
    definition = _definition({"type": "object", "properties": {name: schema for name, (schema, _) in fields.items()}})
    row = st.fixed_dictionaries({}, optional={name: values for name, (_, values) in fields.items()}).map(_object)
    texts = data.draw(st.lists(row, min_size=1, max_size=20))
    assert _refused(_lines(texts), definition) == _expected(definition, texts)


_COLUMNS = st.sampled_from(
    [
        (pa.int64(), [0, 1, 2, 3, -1, 100, 2**60, None]),
        (pa.float64(), [0.0, -0.0, 1.0, 0.5, 0.07, 0.075, 1e300, 5e-324, 0.1 + 0.2, 12.55, None]),
        (pa.decimal128(24, 2), ["0.00", "0.07", "12.50", "-1.00", "1234567890123456789012.55", None]),
        (pa.string(), ["", "a", "ab", "é", "2026-01-01", "2026-02-30", "null", "12", None]),
        (pa.bool_(), [True, False, None]),
        (pa.list_(pa.int64()), [[], [1], [1, 1], [0, None], None]),
        (pa.list_(pa.struct([("x", pa.int64()), ("y", pa.string())])), [[], [{"x": 1, "y": "a"}], [{"x": None}, None], None]),
        (pa.struct([("x", pa.float64()), ("y", pa.string())]), [{"x": 1.5, "y": "ab"}, {"x": None, "y": None}, None]),
    ]
)  # fmt: skip


@st.composite
def _tables(draw: st.DrawFn) -> pa.Table:
    """Return a table of typed columns."""
    count = draw(st.integers(1, 8))
    columns = {}
    for name in draw(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, unique=True)):
        kind, pool = draw(_COLUMNS)
        values = draw(st.lists(st.sampled_from(pool), min_size=count, max_size=count))
        columns[name] = (
            pa.array(values, pa.string()).cast(kind) if pa.types.is_decimal(kind) else pa.array(values, kind)
        )
    return pa.table(columns)


@settings(max_examples=60, deadline=None)
@given(fields=_FIELDS, required=st.sets(st.sampled_from(["a", "b"])), closed=st.booleans(), table=_tables())
def test_the_verdict_on_columns_is_that_of_an_append(
    *, fields: dict[str, Any], required: set[str], closed: bool, table: pa.Table
) -> None:
    """Whatever a contract says: a row of typed columns is refused exactly if an append of its payload would be."""
    contract: dict[str, Any] = {"type": "object", "properties": fields, "required": sorted(required)}
    if closed:
        contract["additionalProperties"] = False
    definition = _definition(contract)
    options: dict[str, Any] = {"timezone": "UTC", "spill": Path(tempfile.gettempdir()), "on_invalid": "raise"}
    with stage(table, _MAPPING, registry=Registry(), **options) as staged:
        rows = queries.rows(staged.connection, "select payload from staged order by source_row")
    assert _refused(table, definition) == _expected(definition, [payload for (payload,) in rows])


_PIECES = st.sampled_from(
    ["a", "b", ".", "[a-c]", "[^a]", r"\d", r"\w", r"\s", r"[\w.]", r"\.", "^", "$", "|", "(", "(?:", ")", "*", "+", "?", "{2}",
     "{1,}", "é", " ", "-", "(?=a)", r"\b", r"\D", "[^\\w]", "{,2}", "/"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    pattern=st.lists(_PIECES, max_size=6).map("".join),
    texts=st.lists(st.text("ab1é.\n\r\u2028 _٣-/", max_size=5), max_size=8),
)
def test_a_pattern_that_duckdb_finds_is_there(*, pattern: str, texts: list[str]) -> None:
    """Where DuckDB judges by a pattern, it finds it in no text in which JSON Schema does not find it."""
    narrow = patterns.re2(pattern)
    if narrow is not None:
        with queries.connect() as connection:
            for text in texts:
                [(found,)] = queries.rows(connection, "select regexp_matches($text, $p)", {"text": text, "p": narrow})
                assert not found or validators.keeps({"pattern": pattern}, text)


# ---- enforce, warn and off


_BAD = [{"id": "s", "qty": 1}, {"id": "s", "qty": 0}, {"id": "s", "qty": "many"}]
_QTY = {"type": "object", "properties": {"qty": {"type": "integer", "minimum": 1}}}
_TAKEN = {"event_type": "'Placed'", "stream_id": "id", "progress": False}


def test_enforced_rows_are_refused_or_kept_aside(tmp_path: Path) -> None:
    """By default nothing is loaded if a row does not keep its contract; in quarantine such rows keep their reasons."""
    with el.open(tmp_path / "log", create=True) as log:
        log.define("Placed", _QTY)
        with pytest.raises(
            el.InvalidEvent, match=r"(?s)2 rows cannot be.*row 2: Placed: qty: 0 is less than the minimum of 1"
        ):
            log.ingest(_BAD, **_TAKEN)
        assert log.position == 0
        assert log.ingest(_BAD, **_TAKEN, on_invalid="quarantine").quarantined == 2
        assert log.quarantine().order("row").select("row", "reason").fetchall() == [
            (2, "Placed: qty: 0 is less than the minimum of 1 (minimum)"),
            (3, "Placed: qty: 'many' is no integer"),
        ]


def test_a_load_warns_once_a_type(tmp_path: Path) -> None:
    """With "warn" all rows are loaded; one warning tells how many do not fit, and the first; the rest can be read."""
    with el.open(tmp_path / "log", create=True) as log:
        log.define("Placed", _QTY, validation="warn")
        said = "Placed: 2 events do not fit their type, recorded all the same; first row 2: qty: 0 is less than"
        with pytest.warns(el.SchemaWarning, match=said) as caught:
            assert log.ingest(_BAD, **_TAKEN, on_invalid="quarantine").quarantined == 0
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert log.sql("select qty from placed order by position").fetchall() == [(1,), (0,), (None,)]
        with pytest.warns(el.SchemaWarning, match="Placed: 1 event does not fit its type.*first row 1: qty: 0 is"):
            log.ingest([{"id": "t", "qty": 0}], **_TAKEN)


def test_where_a_warning_is_an_error_nothing_is_loaded(tmp_path: Path) -> None:
    """A warning that is raised comes before anything is written."""
    with el.open(tmp_path / "log", create=True) as log:
        log.define("Placed", _QTY, validation="warn")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(el.SchemaWarning):
                log.ingest(_BAD, **_TAKEN)
        assert log.position == 0


def test_what_is_off_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With "off" every object is loaded, and no payload is checked."""
    monkeypatch.setattr(screening, "screen", None)
    with el.open(tmp_path / "log", create=True) as log:
        log.define("Placed", _QTY, validation="off")
        assert log.ingest(_BAD, **_TAKEN).events == 3
        log.append("s", el.Event("Placed", {"qty": -1}))
        assert log.position == 4


def test_a_definition_that_came_while_a_load_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were checked by an earlier definition than the latest are not loaded under it."""
    with el.open(tmp_path / "log", create=True) as log, el.open(tmp_path / "log") as other:
        log.define("Placed", _QTY)
        staged = loads.stage

        def stage_then_define(*given: Any, **options: Any) -> Any:
            found = staged(*given, **options)
            other.define("Placed", {**_QTY, "title": "again", "properties": {"qty": {"type": "integer"}}})
            return found

        monkeypatch.setattr(loads, "stage", stage_then_define)
        with pytest.raises(el.InvalidEvent, match="'Placed' was defined while the load ran"):
            log.ingest(_BAD[:1], **_TAKEN)
        assert log.position == 0
