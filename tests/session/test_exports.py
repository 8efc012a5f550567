"""Exports: every format, whole or not at all, and back again."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventlab as el
from eventlab.cli import main
from eventlab.session import exports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
FORMATS = {
    "jsonl": "x.jsonl",
    "csv": "x.csv",
    "parquet": "x.parquet",
    "cloudevents": "x.jsonl",
    "cloudevents-batch": "x.json",
}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Return a log of four events, the first two sealed."""
    with el.open(tmp_path / "store", create=True) as made:
        made.define("OrderPlaced", {"customer": "VARCHAR", "amount": "DECIMAL(38,9)"})
        made.append(
            "order-1",
            [
                el.Event(
                    "OrderPlaced",
                    {"customer": "ü", "amount": Decimal("12345678901234567890.123456789")},
                    occurred_at=START,
                ),
                el.Event(
                    "ItemAdded",
                    {"n": 1},
                    actor="me",
                    correlation_id="c",
                    metadata={"a": [1.5, None]},
                    occurred_at=START,
                ),
            ],
        )
        made.seal()
        made.append(
            "order-2", el.Event("ItemAdded", {"n": 2}, compensates="e0", occurred_at=START + dt.timedelta(seconds=1.5))
        )
        made.append(
            "order-2",
            el.Event.from_cloudevent({"specversion": "1.0", "id": "1", "source": "/s", "type": "Cloud", "data": "x"}),
        )
        yield made


def said(log: el.EventLog) -> dict[str, tuple[object, ...]]:
    """Return what the events of a log say by their ids, without their places and without when a load was."""
    return {
        e.event_id: (e.event_type, e.actor, e.correlation_id, e.causation_id, e.compensates, e.metadata, e.payload)
        + (() if e.event_type == "Cloud" else (e.stream_id, e.occurred_at))
        for e in log.read()
    }


@pytest.mark.parametrize("kind", ["cloudevents", "cloudevents-batch"])
def test_cloudevents_come_back(log: el.EventLog, tmp_path: Path, kind: str) -> None:
    """An export, loaded into another store, gives the same events under the same ids; loaded again, none."""
    path = tmp_path / FORMATS[kind]
    assert log.export(path, format=kind) == exports.ExportResult(4, 1, 4)
    with el.open(tmp_path / "other", create=True) as other:
        assert other.ingest(path, format="cloudevents").events == 4
        assert other.ingest(path, format="cloudevents").duplicates == 4
        assert said(other) == said(log)


def test_lines_can_be_appended_again(log: el.EventLog, tmp_path: Path) -> None:
    """JSON lines are what the shell's ``append`` reads: the same events, also where they are compressed on the way."""
    log.export(tmp_path / "x.jsonl")
    log.export(tmp_path / "x.jsonl.gz")
    assert gzip.decompress((tmp_path / "x.jsonl.gz").read_bytes()) == (tmp_path / "x.jsonl").read_bytes()
    assert main(["init", str(tmp_path / "other")]) == 0
    assert main(["append", str(tmp_path / "other"), str(tmp_path / "x.jsonl")]) == 0
    with el.open(tmp_path / "other") as other:
        assert said(other) == said(log)
        assert [event.stream_id for event in other.read()] == ["order-1", "order-1", "order-2", "order-2"]


def test_a_line_of_each_format(log: el.EventLog, tmp_path: Path) -> None:
    """What a reader of a format finds: numbers have all of their digits, instants are in UTC."""
    first = next(iter(log.read()))
    log.export(tmp_path / "x.jsonl", types=["OrderPlaced"])
    assert (tmp_path / "x.jsonl").read_text() == (
        f'{{"stream_id":"order-1","event_type":"OrderPlaced","event_id":"{first.event_id}","occurred_at":"2026-03-01T12:00:00Z",'
        '"payload":{"customer":"ü","amount":12345678901234567890.123456789}}\n'
    )
    log.export(tmp_path / "c.jsonl", format="cloudevents", types="OrderPlaced", source="https://shop.example/orders")
    assert json.loads((tmp_path / "c.jsonl").read_text(), parse_float=Decimal) == {
        "specversion": "1.0",
        "id": first.event_id,
        "source": "https://shop.example/orders",
        "type": "OrderPlaced",
        "subject": "order-1",
        "time": "2026-03-01T12:00:00Z",
        "datacontenttype": "application/json",
        "dataschema": f"urn:eventlab:{log.store_id}:OrderPlaced:1",
        "eventlab": 1,
        "data": {"customer": "ü", "amount": Decimal("12345678901234567890.123456789")},
    }
    log.export(tmp_path / "x.csv")
    rows = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert [row["position"] for row in rows] == ["1", "2", "3", "4"]
    assert (rows[1]["metadata"], rows[1]["causation_id"]) == ('{"a":[1.5,null]}', "")
    assert rows[2]["occurred_at"] == "2026-03-01T12:00:01.5Z"
    log.export(tmp_path / "x.parquet")
    table = pq.read_table(tmp_path / "x.parquet")
    assert table["OrderPlaced"][0].as_py() == {"customer": "ü", "amount": Decimal("12345678901234567890.123456789")}
    assert table["ItemAdded"].to_pylist() == [None, {"n": 1}, {"n": 2}, None]
    assert table["occurred_at"].cast(pa.timestamp("us", "UTC")).to_pylist() == [
        event.occurred_at for event in log.read()
    ]
    log.export(tmp_path / "x.parquet", types=["ItemAdded"])
    assert pq.read_table(tmp_path / "x.parquet").column_names[-2:] == ["payload", "ItemAdded"]


def test_each_event_is_what_its_method_says(log: el.EventLog, tmp_path: Path) -> None:
    """An export writes what ``to_cloudevent`` returns, with the schema of the registry."""
    log.export(tmp_path / "x.json", format="cloudevents-batch")
    urn = f"urn:eventlab:{log.store_id}"
    expected = [
        event.to_cloudevent(urn, dataschema=f"{urn}:{event.event_type}:{event.schema_version}") for event in log.read()
    ]
    assert json.loads(
        (tmp_path / "x.json").read_text(), parse_float=lambda text: Decimal(text) if len(text) > 16 else float(text)
    ) == (expected)
    assert expected[3] == {"specversion": "1.0", "id": "1", "source": "/s", "type": "Cloud", "data": "x"}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_view_writes_what_it_sees(log: el.EventLog, tmp_path: Path, kind: str) -> None:
    """A view leaves out what occurred or was recorded later; a log can go on after a position."""
    path = tmp_path / FORMATS[kind]
    assert log.at(START).export(path, format=kind) == exports.ExportResult(2, 1, 2)
    assert log.at(3).export(path, format=kind) == exports.ExportResult(3, 1, 3)
    assert log.at(known_at=1).export(path, format=kind, types=["ItemAdded"]) == exports.ExportResult(0, None, None)
    assert log.export(path, format=kind, after=2) == exports.ExportResult(2, 3, 4)
    assert log.export(path, format=kind, after=9) == exports.ExportResult(0, None, None)


@pytest.mark.parametrize("kind", FORMATS)
def test_an_empty_log(tmp_path: Path, kind: str) -> None:
    """A log without events gives a file without events, which is one of its format."""
    path = tmp_path / FORMATS[kind]
    with el.open(tmp_path / "store", create=True) as log:
        assert log.export(path, format=kind).events == 0
    empty = {"jsonl": b"", "cloudevents": b"", "cloudevents-batch": b"[]\n"}
    if kind in empty:
        assert path.read_bytes() == empty[kind]
    elif kind == "parquet":
        assert pq.read_table(path).num_rows == 0
    else:
        assert path.read_text().count("\n") == 1


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(1, 7), st.integers(1, 2_000))
@settings(max_examples=10, deadline=None)
def test_pages_are_in_order(tmp_path_factory: pytest.TempPathFactory, kinds: list[int], stride: int, size: int) -> None:
    """However few events fit into a page, all are written once, in position order; only those of the types that are asked."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patched, el.open(folder / "store", create=True) as log:
        patched.setattr(exports, "_FIRST", stride)
        patched.setattr(exports, "_BYTES", size)
        log.append("s-1", [el.Event(f"T{kind}", {"n": n}) for n, kind in enumerate(kinds)])
        done: list[float | None] = []
        result = log.export(folder / "x.jsonl", progress=lambda _step, part: done.append(part))
        lines = [json.loads(line) for line in (folder / "x.jsonl").read_text().splitlines()]
        assert [line["payload"]["n"] for line in lines] == list(range(len(kinds)))
        assert result == exports.ExportResult(len(kinds), 1, len(kinds))
        assert done[-1] == 1.0
        assert done == sorted(part or 0 for part in done)
        log.export(folder / "x.jsonl", types=[f"T{kinds[0]}"])
        lines = [json.loads(line) for line in (folder / "x.jsonl").read_text().splitlines()]
        assert [line["payload"]["n"] for line in lines] == [n for n, kind in enumerate(kinds) if kind == kinds[0]]


def test_a_payload_of_several_lines_is_one_line(tmp_path: Path) -> None:
    """A payload that was loaded as it was written, over several lines, is a line of an export."""
    (tmp_path / "x.json").write_text('[{"a": 12345678901234567890.123456789,\r\n "b": "\\n"}]')
    with el.open(tmp_path / "store", create=True) as log:
        log.ingest(tmp_path / "x.json", event_type="'T'", stream_id="'s'")
        for kind in ("jsonl", "cloudevents"):
            log.export(tmp_path / "x.jsonl", format=kind)
            [line] = (tmp_path / "x.jsonl").read_text().splitlines()
            assert "12345678901234567890.123456789" in line


def test_never_half_a_file(log: el.EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export that fails leaves the file that was there, and no other."""
    path = tmp_path / "x.jsonl"
    path.write_text("before")

    def fail(_row: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exports, "_line", fail)
    with pytest.raises(OSError, match="No space left"):
        log.export(path)
    assert path.read_text() == "before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["store", "x.jsonl"]


@pytest.mark.parametrize(
    ("path", "options", "hint"),
    [
        ("x", {}, "Give one of jsonl, csv, parquet, cloudevents, cloudevents-batch"),
        ("x.json", {}, "Give one of jsonl"),
        ("x.jsonl", {"format": "cloudevent"}, "Did you mean 'cloudevents'"),
        ("x.parquet.gz", {}, r"Leave out \.gz"),
        ("none/x.jsonl", {}, "a folder that is there"),
        (".", {}, "Name a file"),
        ("store/x.jsonl", {}, "Name a file elsewhere"),
        ("x.jsonl", {"types": ["OrderPlace"]}, "Did you mean 'OrderPlaced'"),
        ("x.jsonl", {"types": [5]}, "names of event types"),
        ("x.jsonl", {"after": -1}, "zero or more"),
        ("x.jsonl", {"source": "/s"}, 'choose "cloudevents"'),
        ("x.jsonl", {"format": "cloudevents", "source": "my shop"}, "percent-encode"),
    ],
)
def test_what_cannot_be_exported(
    log: el.EventLog, tmp_path: Path, path: str, options: dict[str, Any], hint: str
) -> None:
    """What is wrong is told before anything is written, with the fix."""
    with pytest.raises(el.InvalidArgument, match=hint):
        log.export(tmp_path / path, **options)
    assert [file.name for file in tmp_path.iterdir()] == ["store"]


def test_the_shell(log: el.EventLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CloudEvents go from store to store by ``export``, ``ingest`` and ``append``."""
    store, out = str(log.path), str(tmp_path / "x.jsonl")

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        return (code, *capsys.readouterr())

    assert run("export", store, out, "--format", "cloudevents", "--source", "/shop", "--known-at", "3") == (
        0,
        f"3 events in {out}, positions 1 to 3.\n",
        "",
    )
    assert json.loads(
        run("export", store, out, "--format", "cloudevents", "--types", "ItemAdded,Cloud", "--json")[1]
    ) == {
        "events": 3,
        "first_position": 2,
        "last_position": 4,
    }
    for name, command in (("a", "ingest"), ("b", "append")):
        other = str(tmp_path / name)
        run("init", other)
        assert run(command, other, out, "--format", "cloudevents")[0] == 0
        with el.open(other) as made:
            expected = {number: event for number, event in said(log).items() if event[0] != "OrderPlaced"}
            assert said(made) == expected
            assert {event.stream_id for event in made.read()} == {"order-1", "order-2", "/s"}
    code, _, error = run("ingest", store, out)
    assert (code, "--event-type and --stream-id are missing" in error, "--format cloudevents" in error) == (
        2,
        True,
        True,
    )
    (tmp_path / "bad.jsonl").write_text('{"specversion":"1.0","id":"9","source":"/s","type":"t"}\n{"id":"10"}\n')
    code, _, error = run("append", store, str(tmp_path / "bad.jsonl"), "--format", "cloudevents")
    assert (code, "line 2: CloudEvent '10': it has no 'specversion'" in error) == (1, True)
