"""Reading recorded events as the latest version of their type: from the tail, from files of each age, after recovery."""

from __future__ import annotations

import datetime as dt
import json
import sys
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eventlab as el

if TYPE_CHECKING:
    from pathlib import Path

V1 = {"customer": "VARCHAR NOT NULL", "price": "DECIMAL(18,2)", "qty": "BIGINT", "address": "VARCHAR"}
V2 = {"customer": "VARCHAR NOT NULL", "total": "DECIMAL(18,2)", "address": "VARCHAR", "placed": "DATE"}
V3 = {"client": "VARCHAR NOT NULL", "total": "DOUBLE", "city": "VARCHAR", "street": "VARCHAR", "placed": "DATE"}
V4 = {
    "client": "VARCHAR NOT NULL",
    "total": "DOUBLE",
    "place": "STRUCT(city VARCHAR, street VARCHAR)",
    "placed": "TIMESTAMP",
}
UPCASTS: list[Any] = [
    None,
    {"total": "price * coalesce(qty, 1)"},
    {
        "client": "upper(customer)",
        "total": "total",
        "city": "split_part(address, ', ', 1)",
        "street": "split_part(address, ', ', 2)",
    },
    {"place": "{city: city, street: street}", "placed": "placed + interval 12 hour"},
]
PAYLOADS: list[dict[str, Any]] = [
    {"customer": "ann", "price": Decimal("2.50"), "qty": 3, "address": "Oslo, Gate 1", "note": "kept"},
    {"customer": "bob", "total": Decimal("9.99"), "address": "Rome, Via 2", "placed": dt.date(2026, 3, 1)},
    {"client": "CID", "total": 1.5, "city": "Bonn", "street": "Weg 3", "placed": "2026-04-01"},
    {"client": "DAN", "total": 2.5, "place": {"city": "Bern", "street": "Gasse 4"}, "placed": "2026-05-01T08:00:00"},
]
READ = [
    ("ANN", 7.5, {"city": "Oslo", "street": "Gate 1"}, None),
    ("BOB", 9.99, {"city": "Rome", "street": "Via 2"}, dt.datetime(2026, 3, 1, 12)),  # noqa: DTZ001
    ("CID", 1.5, {"city": "Bonn", "street": "Weg 3"}, dt.datetime(2026, 4, 1, 12)),  # noqa: DTZ001
    ("DAN", 2.5, {"city": "Bern", "street": "Gasse 4"}, dt.datetime(2026, 5, 1, 8)),  # noqa: DTZ001
]
LATEST = "select client, total, place, placed from order_placed order by position"


@pytest.mark.parametrize("sealing", [(), (0,), (0, 1), (1, 3), (0, 1, 2, 3)])
def test_every_stored_version_reads_as_the_latest(tmp_path: Path, sealing: tuple[int, ...]) -> None:
    """From the tail, from files sealed at each age, after compaction, after reopening, after recovery of the journal."""
    path = tmp_path / "shop"
    log = el.open(path, create=True)
    for version, (fields, upcast, payload) in enumerate(zip((V1, V2, V3, V4), UPCASTS, PAYLOADS, strict=True)):
        assert log.define("OrderPlaced", fields, upcast=upcast) == version + 1
        log.append("order-1", el.Event("OrderPlaced", payload))
        if version in sealing:
            log.seal()
    assert log.sql(LATEST).fetchall() == READ
    assert log.sql("select sum(OrderPlaced.total) from events").fetchall() == [(7.5 + 9.99 + 1.5 + 2.5,)]
    recorded = log.sql("select schema_version, payload->>'$.note' from events order by position").fetchall()
    assert recorded == [(1, "kept"), (2, None), (3, None), (4, None)]
    assert next(log.read()).payload == PAYLOADS[0]
    log.compact(vacuum=True)
    assert log.sql(LATEST).fetchall() == READ
    log.seal()
    log.compact(vacuum=True)
    assert log.sql(LATEST).fetchall() == READ
    log.close()
    (path / "journal.sqlite").unlink()
    el.recover(path)
    with el.open(path) as log:
        assert log.sql(LATEST).fetchall() == READ
        basis = log.at(4).basis
        assert log.at(basis).sql(LATEST).fetchall() == READ
        state = log.define_state(
            "spent", "SELECT stream_id, sum(OrderPlaced.total) AS total FROM events GROUP BY stream_id"
        )
        assert state.now().fetchall() == [("order-1", 7.5 + 9.99 + 1.5 + 2.5)]
        assert state.at(1).fetchall() == [("order-1", 7.5)]


def test_a_view_of_before_a_definition_reads_as_it_did_then(tmp_path: Path) -> None:
    """A basis token pins the registry: a rename after it does not reach it."""
    with el.open(tmp_path / "log", create=True) as log:
        log.define("A", {"x": "BIGINT"})
        log.append("s", el.Event("A", {"x": 1}))
        basis = log.at(1).basis
        log.define("A", {"y": "BIGINT"}, upcast={"y": "x + 1"})
        assert log.at(basis).sql("select x from a").fetchall() == [(1,)]
        assert log.sql("select y from a").fetchall() == [(2,)]


def test_a_python_function_upcasts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes every field of the version before, decimals exactly, and sees what SQL upcasts before it made."""
    name = f"upcasts_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(
        "def third(event):\n"
        "    assert set(event) == {'total', 'tags'}, event\n"
        "    return {'total': event['total'] * 2, 'first': (event['tags'] or [None])[0]}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with el.open(tmp_path / "log", create=True) as log:
        log.define("A", {"price": "DECIMAL(20,2)", "tags": "VARCHAR[]"})
        log.append(
            "s", [el.Event("A", {"price": Decimal("123456789012345678.91"), "tags": ["x", "y"]}), el.Event("A", {})]
        )
        log.define("A", {"total": "DECIMAL(20,2)", "tags": "VARCHAR[]"}, upcast={"total": "price"})
        log.append("s", el.Event("A", {"total": Decimal("0.05")}))
        with pytest.raises(el.QueryError, match="fails: TypeError"):
            log.define("A", {"total": "DECIMAL(20,2) NOT NULL", "first": "VARCHAR"}, upcast=f"{name}:third")
        (tmp_path / f"{name}.py").write_text(
            "def third(event):\n"
            "    total = event['total'] and event['total'] * 2\n"
            "    return {'total': total, 'first': (event['tags'] or [None])[0]}\n"
        )
        sys.modules.pop(name)
        with pytest.raises(el.SchemaIncompatible, match="NULL") as error:
            log.define("A", {"total": "DECIMAL(20,2) NOT NULL", "first": "VARCHAR"}, upcast=f"{name}:third")
        assert [issue.kind for issue in error.value.issues] == ["upcast_null"]
        assert log.define("A", {"total": "DECIMAL(20,2)", "first": "VARCHAR"}, upcast=f"{name}:third") == 3
        log.append("s", el.Event("A", {"total": Decimal("0.07"), "first": "z"}))
        rows = [(Decimal("246913578024691357.82"), "x"), (None, None), (Decimal("0.10"), None), (Decimal("0.07"), "z")]
        assert log.sql("select total, first from a order by position").fetchall() == rows
        log.seal()
        assert log.sql("select total, first from a order by position").fetchall() == rows
        assert [event.schema_version for event in log.read()] == [1, 1, 2, 3]
    with el.open(tmp_path / "log", read_only=True) as log:
        assert log.sql("select total, first from a order by position").fetchall() == rows


def test_a_fold_reads_old_events_as_the_latest_version(tmp_path: Path) -> None:
    """Its function is written for today's payloads; a definition that comes later makes it fold anew."""
    with el.open(tmp_path / "log", create=True) as log:
        log.define("A", {"price": "DECIMAL(18,2)", "note": "JSON"})
        log.append("s", el.Event("A", {"price": Decimal("2.50"), "note": {"k": [1]}, "more": 1}))

        @log.fold("seen", initial=None)
        def seen(_state: Any, event: el.RecordedEvent) -> Any:
            return {"payload": repr(event.payload), "version": event.schema_version}

        assert seen.now().fetchall() == [("s", repr({"price": Decimal("2.50"), "note": {"k": [1]}, "more": 1}), 1)]
        log.define("A", {"total": "DECIMAL(18,2)", "note": "JSON"}, upcast={"total": "price * 2"})
        latest = repr({"total": Decimal("5.00"), "note": {"k": [1]}})
        assert seen.now().fetchall() == [("s", latest, 1)]
        assert seen.history("s").pl()["payload"].to_list() == [latest]
        log.append("s", el.Event("A", {"total": Decimal("7.00"), "more": 2}))
        assert seen.get("s").fetchall() == [("s", repr({"total": Decimal("7.00"), "more": 2}), 2)]
        assert next(log.read()).payload == {"price": Decimal("2.50"), "note": {"k": [1]}, "more": 1}


@pytest.mark.parametrize(
    ("upcast", "error", "hint"),
    [
        ({"y": "z + 1"}, el.QueryError, "no field of version 1 'z'"),
        ({"y": "x +"}, el.QueryError, "syntax"),
        ({"y": "sum(x)"}, el.QueryError, "one event's fields"),
        ({"y": "random()"}, el.QueryError, "one event's fields"),
        ({"y": "epoch(now())"}, el.QueryError, "another answer each time"),
        ({"y": "year(current_date)"}, el.QueryError, "another answer each time"),
        ({"y": " "}, el.QueryError, "is empty"),
        ({"y": "(select 1)"}, el.QueryError, "one event's fields"),
        ({"y": "x.a"}, el.QueryError, "upcast of y"),
        ({"y": "[x]"}, el.InvalidArgument, "can be cast"),
        ({"nope": "x"}, el.InvalidArgument, "no field of the new A 'nope'"),
        (lambda event: event, el.InvalidArgument, "would not survive"),
        ("no path", el.InvalidArgument, "module:function"),
        ("os:nothing", el.InvalidArgument, "cannot be imported"),
        ("os:sep", el.InvalidArgument, "not a function"),
    ],
)
def test_an_upcast_that_is_none_is_refused(tmp_path: Path, upcast: Any, error: type[Exception], hint: str) -> None:
    """One error that says what is wrong, and nothing is defined."""
    with el.open(tmp_path / "log", create=True) as log:
        log.define("A", {"x": "BIGINT"})
        log.append("s", el.Event("A", {"x": 1}))
        with pytest.raises(error, match=hint):
            log.define("A", {"y": "BIGINT"}, upcast=upcast)
        assert log.sql("select version from event_types").fetchall() == [(1,)]


def test_an_upcast_of_the_first_version_is_refused(tmp_path: Path) -> None:
    """There is nothing that it could read."""
    with el.open(tmp_path / "log", create=True) as log, pytest.raises(el.InvalidArgument, match="no version before"):
        log.define("A", {"x": "BIGINT"}, upcast={"x": "1"})


def test_a_failing_expression_is_null(tmp_path: Path) -> None:
    """Reading always succeeds: what an expression cannot compute of an event, or cannot be cast, is NULL."""
    with el.open(tmp_path / "log", create=True) as log:
        log.define("A", {"x": "VARCHAR"})
        log.append("s", [el.Event("A", {"x": text}) for text in ("5", "five", "0")])
        log.define("A", {"x": "BIGINT", "y": "DOUBLE"}, upcast={"x": "x", "y": "10 // x::int"})
        assert log.sql("select x, y from a order by position").fetchall() == [(5, 2.0), (None, None), (0, None)]


def test_names_that_clash_with_the_envelope_mean_the_payload(tmp_path: Path) -> None:
    """In an upcast a bare name is a field, whatever columns the log has; lambda parameters are their own."""
    with el.open(tmp_path / "log", create=True) as log:
        log.define("A", {"actor": "VARCHAR", "position": "BIGINT", "Odd Name": "BIGINT[]"})
        log.append("s", el.Event("A", {"actor": "me", "position": 7, "Odd Name": [1, 2]}, actor="them"))
        upcast = {"who": "ACTOR || position", "twice": 'list_transform("odd name", lambda n: n * 2 + position)'}
        log.define("A", {"who": "VARCHAR", "twice": "BIGINT[]"}, upcast=upcast)
        assert log.sql("select actor, who, twice from a").fetchall() == [("them", "me7", [9, 11])]


KINDS = ("BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN", "JSON", "DATE", "UUID", "BIGINT[]", "STRUCT(a BIGINT, b VARCHAR)")
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "BIGINT": st.integers(-100, 100),
    "DOUBLE": st.floats(-1e3, 1e3).map(lambda value: round(value, 3)),
    "VARCHAR": st.sampled_from(["", "a", "ü'\"", "5"]),
    "BOOLEAN": st.booleans(),
    "JSON": st.sampled_from([{"k": [1, None]}, "text", 1.5]),
    "DATE": st.dates(dt.date(2000, 1, 1), dt.date(2030, 1, 1)),
    "UUID": st.uuids(),
    "BIGINT[]": st.lists(st.integers(0, 9), max_size=3),
    "STRUCT(a BIGINT, b VARCHAR)": st.fixed_dictionaries({"a": st.integers(0, 9), "b": st.just("b")}),
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_chain_of_renames_defaults_and_drops_reads_as_the_oracle_says(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Random versions, each renaming, dropping and adding fields; the oracle carries Python values along."""
    fields: dict[str, str] = {f"f{n}": data.draw(st.sampled_from(KINDS)) for n in range(3)}
    expected: list[dict[str, Any]] = []
    with el.open(tmp_path_factory.mktemp("log") / "log", create=True) as log:
        for version in range(1, data.draw(st.integers(2, 6)) + 1):
            if version == 1:
                log.define("A", fields)
            else:
                new, sources = _redrawn(data, fields, version)
                upcast = {name: text for name, text in sources.items() if name != text}
                log.define("A", new, upcast=upcast or None)
                expected = [
                    {name: 42 if text == "40 + 2" else row.get(text) for name, text in sources.items()}
                    for row in expected
                ]
                fields = new
            for _ in range(data.draw(st.integers(0, 2))):
                payload = {name: data.draw(st.none() | VALUES[kind]) for name, kind in fields.items()}
                log.append("s", el.Event("A", payload))
                expected.append(payload)
            if data.draw(st.booleans()):
                log.seal()
        names = list(fields)
        quoted = ", ".join(f'"{name}"' for name in names)
        rows = log.sql(f"select {quoted} from a order by position").to_arrow_table().to_pylist() if expected else []
        for row, wanted in zip(rows, expected, strict=True):
            for name in names:
                assert _same(row[name], wanted[name], fields[name]), (name, row, wanted)


def _redrawn(data: st.DataObject, fields: dict[str, str], version: int) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fields of a next version, and from what each of them comes."""
    new: dict[str, str] = {}
    sources: dict[str, str] = {}
    for number, (name, kind) in enumerate(fields.items()):
        fate = data.draw(st.sampled_from(["keep", "keep", "rename", "drop"]))
        if fate != "drop":
            kept = name if fate == "keep" else f"f{version}_{number}"
            new[kept], sources[kept] = kind, name
    if data.draw(st.booleans()) or not new:
        new[f"f{version}"], sources[f"f{version}"] = "BIGINT", "40 + 2"
    return new, sources


def _same(found: Any, wanted: Any, kind: str) -> bool:
    """Compare a value of a column with the one that was appended."""
    if wanted is None:
        return found is None or (kind == "JSON" and found == "null")
    if kind == "JSON":
        return bool(json.loads(found) == wanted)
    if kind == "UUID":
        return uuid.UUID(str(found)) == wanted
    return bool(found == wanted)


def test_a_wide_registry_answers_as_a_narrow_one(tmp_path: Path) -> None:
    """Typed columns that a query does not name are left out of a wide registry; whatever can mean them all the same is not."""
    price = tmp_path / "price.csv"
    price.write_text("stream_id,sku,price\ns,a,5\ns,z,9\n")
    asked = [
        f"select sum(price) from sold natural join '{price}'",
        "select json_keys(to_json(e)) from events_at('2100-01-01') e",
        "select count(distinct hash(t)) from query_table('sold') t",
        "select #16, qty from sold order by 2",
        "select b from sold as o(c0,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,c11,c12,c13,c14, b, c) order by 1",
        'select v as "नाम" from named where "नाम" > 3 order by 1',
        "select sold from sold order by sold.position",
        "select to_json(e) from events e order by position",
        "select Sold from events order by position",
        "select s.* from (select Sold.qty from events where Sold.qty is not null) s order by 1",
        "with x as (select sku, qty from sold) select * from x order by all",
        "select payload_position from sold order by all",
        "select columns('q.*') from sold order by all",
        "select count(*) filter (Sold is not null) from events",
        "unpivot (select sku, qty from sold) on qty",
        "select qty from sold where sku in (select sku from sold where qty > 1)",
        "select sum(qty) over (order by position) from sold order by 1",
    ]
    with el.open(tmp_path / "log", create=True) as log:
        log.append(
            "s", [el.Event("Sold", {"sku": "a", "qty": 1}), el.Event("Sold", {"sku": "b", "qty": 2, "position": 7})]
        )
        log.append("s", [el.Event("Named", {"नाम": n * 7, "v": n}) for n in range(4)])
        log.define("Renamed", {"x": "BIGINT"})
        narrow = {text: log.sql(text).fetchall() for text in asked}
        log.define("Renamed", {"y": "BIGINT"}, upcast={"y": "x"})
        assert log._session.store.registry().wide
        for text, rows in narrow.items():
            wide = [
                tuple(str(cell).replace(', "Renamed":null', "") for cell in row) for row in log.sql(text).fetchall()
            ]
            assert [tuple(cell.replace(", 'Renamed'", "") for cell in row) for row in wide] == [
                tuple(str(cell).replace(", 'Renamed'", "").replace(', "Renamed":null', "") for cell in row)
                for row in rows
            ], text
