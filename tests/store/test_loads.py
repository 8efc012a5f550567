"""Bulk loads through ``log.ingest``: every kind of source, re-loading, order, versions, quarantine, other writers."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import eventlab as el
from eventlab.store import loads, seals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROWS = [
    {"user": "u2", "action": "Viewed", "at": "2026-01-02T10:00:00+00:00", "page": "/a", "price": None},
    {"user": "u1", "action": "Bought", "at": "2026-01-01T10:00:00+00:00", "page": None, "price": 12.5},
    {"user": "u1", "action": "Viewed", "at": "2026-01-02T10:00:00+00:00", "page": "/b", "price": None},
    {"user": "u1", "action": "Viewed", "at": "2025-12-31T10:00:00+00:00", "page": "/c", "price": None},
]
MAPPING: dict[str, Any] = {"event_type": "action", "stream_id": "'user-' || user", "occurred_at": "at"}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Yield an empty log in New York."""
    with el.open(tmp_path / "s", create=True, timezone="America/New_York") as opened:
        yield opened


def _jsonl(folder: Path, opener: Callable[..., Any] = open, suffix: str = "") -> Path:
    path = folder / f"rows.jsonl{suffix}"
    with opener(path, "wt") as out:
        out.writelines(json.dumps(row) + "\n" for row in ROWS)
    return path


def _zstd(folder: Path) -> Path:
    path = folder / "rows.jsonl.zst"
    content = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        out.write(content)
    return path


def _parquet(folder: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "rows.parquet")
    return folder / "rows.parquet"


def _csv(folder: Path) -> Path:
    pl.DataFrame(ROWS).write_csv(folder / "rows.csv")
    return folder / "rows.csv"


def _array(folder: Path) -> Path:
    (folder / "rows.json").write_text(json.dumps(ROWS))
    return folder / "rows.json"


SOURCES: dict[str, Callable[[Path], object]] = {
    "json lines": _jsonl,
    "json lines, gzip": lambda folder: _jsonl(folder, gzip.open, ".gz"),
    "json lines, zstd": _zstd,
    "json array": _array,
    "csv": _csv,
    "parquet": _parquet,
    "a glob": lambda folder: str(_parquet(folder).with_name("*.parquet")),
    "sql": lambda folder: f"select * from read_parquet('{_parquet(folder)}')",
    "polars": lambda _: pl.DataFrame(ROWS),
    "polars, lazy": lambda _: pl.LazyFrame(ROWS),
    "arrow": lambda _: pa.Table.from_pylist(ROWS),
    "arrow reader": lambda _: pa.Table.from_pylist(ROWS).to_reader(),
    "pandas": lambda _: pd.DataFrame(ROWS),
    "dicts": lambda _: ROWS,
    "a generator": lambda _: (row for row in ROWS),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_gives_the_same_events(log: el.EventLog, tmp_path: Path, kind: str) -> None:
    """In order of time and then of the source, with versions in each stream, and a second load is a no-op."""
    result = log.ingest(SOURCES[kind](tmp_path), **MAPPING)
    assert result == loads.IngestResult(4, 0, 0, 1, 4)
    events = list(log.read())
    assert [(e.position, e.stream_id, e.version, e.event_type) for e in events] == [
        (1, "user-u1", 1, "Viewed"),
        (2, "user-u1", 2, "Bought"),
        (3, "user-u2", 1, "Viewed"),
        (4, "user-u1", 3, "Viewed"),
    ]
    assert events[1].occurred_at == dt.datetime(2026, 1, 1, 10, tzinfo=dt.UTC)
    assert [event.payload["page"] for event in events] == ["/c", None, "/a", "/b"]
    assert "action" not in events[0].payload
    assert "user" in events[0].payload  # it stands in an expression, so it is not taken out
    assert log.sql("select price from bought").fetchall() == [(12.5,)]
    again = log.ingest(SOURCES[kind](tmp_path), **MAPPING)
    assert again == loads.IngestResult(0, 4, 0, None, None)
    assert log.append("user-u1", el.Event("Viewed", {"page": "/d"}), expected_version=3).first_position == 5


def test_a_large_load_stands_in_order_of_time(log: el.EventLog) -> None:
    """Positions follow the time and then the source over several of DuckDB's row groups, and versions follow positions."""
    source = (
        "select 'T' as action, i % 1000 as \"user\", i, timestamptz '2026-01-01' + to_seconds(i * 7919 % 600000 // 60) as at"
        " from range(600000) t(i)"
    )
    assert log.ingest(source, **MAPPING).events == 600_000
    check = """
        with neighbours as (
            select
                *, lag((occurred_at, i)) over (order by position) as before,
                lag(version) over (partition by stream_id order by position) as nth
            from t
        )
        select count(*) filter (before > (occurred_at, i)), count(*) filter (version != coalesce(nth, 0) + 1),
            count(distinct position), max(position)
        from neighbours
    """
    assert log.sql(check).fetchall() == [(0, 0, 600_000, 600_000)]
    files = pq.ParquetFile(next(log.path.glob("events/*/*.parquet")))
    positions = files.read(["position"])["position"].to_pylist()
    assert positions == sorted(positions)


def test_equal_rows_are_several_events_and_re_loading_knows_them(log: el.EventLog) -> None:
    """An id derived from the content counts equals; more of them later are new."""
    row = {"user": "u", "action": "Viewed", "at": "2026-01-01"}
    assert log.ingest([row] * 3, **MAPPING).events == 3
    assert log.ingest([row] * 5, **MAPPING) == loads.IngestResult(2, 3, 0, 4, 5)
    assert [event.version for event in log.stream("user-u")] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("sealed", [False, True])
def test_given_ids_are_known_from_appends_and_loads(log: el.EventLog, sealed: bool) -> None:
    """The same id with the same content is a duplicate, also from an append; with other content a conflict."""
    log.append("user-u1", el.Event("Viewed", {"id": "e1", "page": "/a"}, event_id="e1", occurred_at="2026-01-01"))
    if sealed:
        log.seal()
    mapping = {**MAPPING, "event_id": "id", "payload": {"id": "id", "page": "page"}}
    rows = [
        {"id": "e1", "user": "u1", "action": "Viewed", "at": "2026-01-01", "page": "/a"},
        {"id": "e2", "user": "u1", "action": "Viewed", "at": "2026-01-02", "page": "/b"},
    ]
    assert log.ingest([*rows, rows[1]], **mapping) == loads.IngestResult(1, 2, 0, 2, 2)
    changed = [{**rows[0], "page": "/z"}, {**rows[1], "id": "e3"}]
    with pytest.raises(el.IdempotencyConflict, match=r"row 1: event id 'e1' .* position 1") as caught:
        log.ingest(changed, **mapping)
    assert caught.value.event_ids == ["e1"]
    assert log.position == 2
    assert log.ingest(changed, **mapping, on_invalid="quarantine") == loads.IngestResult(1, 0, 1, 3, 3)
    assert "position 1" in log.quarantine().fetchall()[0][3]


def test_refused_rows_are_named_or_kept_aside(log: el.EventLog) -> None:
    """``raise`` loads nothing; ``quarantine`` loads the others, and tells source, row, reason and content."""
    log.define("Viewed", {"page": "VARCHAR NOT NULL"})
    rows = [
        ROWS[0],
        {**ROWS[0], "page": None},
        {**ROWS[0], "user": None},
        {**ROWS[0], "at": "tomorrow"},
        {**ROWS[0], "action": "stream_id"},
    ]
    with pytest.raises(el.InvalidEvent) as caught:
        log.ingest(rows, **MAPPING)
    assert all(f"row {n}" in str(caught.value) for n in (2, 3, 4, 5))
    assert log.position == 0
    assert log.quarantine().fetchall() == []
    assert log.ingest(rows, **MAPPING, on_invalid="quarantine") == loads.IngestResult(1, 0, 4, 1, 1)
    kept = log.quarantine().pl()
    assert kept["row"].to_list() == [2, 3, 4, 5]
    assert "page" in kept["reason"][0]
    assert json.loads(kept["content"][2])["at"] == "tomorrow"


def test_a_load_in_chunks_is_the_same_log(log: el.EventLog, tmp_path: Path) -> None:
    """Several commits of one load: the same positions and versions, and what is missing after a failure is added."""
    rows = [{"user": f"u{n % 3}", "action": "T", "at": f"2026-01-0{1 + n % 7}", "n": n} for n in range(50)]
    whole = log.ingest(rows, **MAPPING)
    with el.open(tmp_path / "chunks", create=True, timezone="America/New_York") as chunked:
        assert chunked.ingest(rows[:20], **MAPPING).events == 20
        result = chunked.ingest(rows, **MAPPING, chunk_rows=7)
        assert (result.events, result.duplicates, result.last_position) == (30, 20, whole.last_position)
        query = "select stream_id, version, n from t order by all"
        assert {row[::2] for row in chunked.sql(query).fetchall()} == {row[::2] for row in log.sql(query).fetchall()}
        assert chunked.sql("select count(*) from (select 1 from events group by stream_id, version)").fetchall() == [
            (50,)
        ]
        assert chunked.sql("select list(position order by position) from events").fetchall()[0][0] == [*range(1, 51)]


def test_a_load_takes_the_tail_along_and_goes_on_from_it(log: el.EventLog) -> None:
    """Positions and versions continue those of the journal; definitions widen."""
    log.append("user-u1", [el.Event("Viewed", {"page": 1}), el.Event("Viewed", {"page": 2})])
    assert log.ingest(ROWS, **MAPPING).first_position == 3
    assert log.info()["tail"] == 0
    assert [event.version for event in log.stream("user-u1")] == [1, 2, 3, 4, 5]
    assert log.sql("select page from viewed order by position").fetchall()[:3] == [("1",), ("2",), ('"/c"',)]


def test_a_load_without_times_occurs_now(log: el.EventLog) -> None:
    """Where no ``occurred_at`` is mapped it is the time of the commit."""
    log.ingest([{"a": 1}, {"a": 2}], event_type="'T'", stream_id="'s'")
    assert all(event.occurred_at == event.recorded_at for event in log.read())
    assert [event.payload for event in log.read()] == [{"a": 1}, {"a": 2}]


def test_numbers_of_a_source_are_exact(log: el.EventLog, tmp_path: Path) -> None:
    """Decimals of frames and long numbers of JSON text keep every digit, with a key taken out too."""
    big = Decimal("1234567890123456.78")
    frame = pl.DataFrame({"t": ["T"], "amount": [big]})
    log.ingest(frame, event_type="t", stream_id="'s'")
    (tmp_path / "x.jsonl").write_text('{"t":"U","amount":1234567890123456.78,"small":1.50}\n')
    log.ingest(tmp_path / "x.jsonl", event_type="t", stream_id="'s'")
    assert [event.payload["amount"] for event in log.read()] == [big, big]
    assert log.sql("select payload from events where event_type = 'U'").fetchall() == [
        ('{"amount":1234567890123456.78,"small":1.50}',)
    ]


def test_source_and_mapping_faults_load_nothing(log: el.EventLog, tmp_path: Path) -> None:
    """A missing file, an unknown ending, an expression that does not bind, an empty and a truncated file."""
    (tmp_path / "x.xlsx").write_text("x")
    (tmp_path / "empty.csv").write_text("")
    content = gzip.compress("".join(json.dumps(row) + "\n" for row in ROWS * 100).encode())
    (tmp_path / "cut.jsonl.gz").write_bytes(content[: len(content) // 2])
    (tmp_path / "no.parquet").write_text("not parquet")
    for source in ("none.csv", "no*.csv", "x.xlsx", "empty.csv", "cut.jsonl.gz", "no.parquet"):
        with pytest.raises(el.InvalidSource) as caught:
            log.ingest(tmp_path / source, **MAPPING)
        assert source.split(".")[0] in str(caught.value)
    with pytest.raises(el.InvalidSource, match="Did you mean 'action'"):
        log.ingest(ROWS, **{**MAPPING, "event_type": "acton"})
    with pytest.raises(el.InvalidSource):
        log.ingest(ROWS, **{**MAPPING, "stream_id": "user; drop table x"})
    for options in ({"on_invalid": "ignore"}, {"chunk_rows": 0}):
        with pytest.raises(el.InvalidArgument):
            log.ingest(ROWS, **MAPPING, **options)
    assert log.position == 0
    assert not list(log.path.glob("events/*/*.parquet"))
    assert log.sql("from event_types").fetchall() == []


def test_progress_is_told(log: el.EventLog) -> None:
    """A function of the caller's hears the steps and how far the writing is."""
    told: list[tuple[str, float | None]] = []
    log.ingest(ROWS, **MAPPING, progress=lambda step, fraction: told.append((step, fraction)))
    steps = [step for step, _ in told]
    assert steps.index("sorting") < steps.index("writing") < steps.index("committing")
    assert max(fraction or 0 for _, fraction in told) == 1.0


def test_what_a_rival_appends_between_check_and_commit_is_not_doubled(
    log: el.EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The load looks again under the lock, and starts over if the rival's events are its own."""
    rows = [{"id": f"e{n}", "n": n} for n in range(5)]
    mapping = {"event_type": "'T'", "stream_id": "'s'", "event_id": "id"}
    commit = loads._Load._commit
    rival: list[str] = ["append", "ingest", "seal"]

    def late(load: Any, *arguments: Any) -> Any:
        if rival:
            with el.open(log.path) as other:
                match rival.pop(0):
                    case "append":
                        other.append("s", el.Event("T", {"n": 1}, event_id="e1"))
                    case "ingest":
                        other.ingest(rows[2:4], **mapping)
                    case "seal":
                        other.append("other", el.Event("U", {"n": 1}))
                        other.seal()
        return commit(load, *arguments)

    monkeypatch.setattr(loads._Load, "_commit", late)
    assert log.ingest(rows, **mapping).events == 2
    assert [event.version for event in log.stream("s")] == [1, 2, 3, 4, 5]
    assert sorted(event.event_id for event in log.stream("s")) == [f"e{n}" for n in range(5)]
    assert [event.position for event in log.read()] == [1, 2, 3, 4, 5, 6]


def test_a_seal_between_reading_and_committing_makes_the_load_start_over(
    log: el.EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sealer holds no lock; the load's commit is refused and done again on top of the seal."""
    log.append("a", el.Event("T", {"n": 0}))
    write = type(log._store.lake).write
    rivals = [True]

    def late(lake: Any, connection: Any, rows: str, *arguments: Any, **options: Any) -> Any:
        written = write(lake, connection, rows, *arguments, **options)
        if rows == "loading" and rivals:
            rivals.pop()
            with el.open(log.path, read_only=True) as other:
                other._store.read_only = False
                other._store.journal.read_only = False
                base = other._store.lake.snapshot()
                seals._seal_through(other._store, 1, base)
        return written

    monkeypatch.setattr(type(log._store.lake), "write", late)
    assert log.ingest([{"n": 1}, {"n": 2}], event_type="'T'", stream_id="'a'").last_position == 3
    assert not rivals
    assert [event.payload["n"] for event in log.stream("a")] == [0, 1, 2]
    assert log.sql("select count(*), count(distinct position) from events").fetchall() == [(3, 3)]


def test_appends_wait_for_a_load_and_none_is_lost(log: el.EventLog) -> None:
    """Appends from other threads beside loads: each once, in one order."""
    stop = threading.Event()
    appended: list[int] = []

    def work() -> None:
        with el.open(log.path) as other:
            while not stop.is_set():
                appended.append(other.append("live", el.Event("T", {"n": len(appended)})).first_position)

    thread = threading.Thread(target=work)
    thread.start()
    for load in range(5):
        log.ingest([{"load": load, "n": n} for n in range(500)], event_type="'L'", stream_id="'load'")
    stop.set()
    thread.join()
    assert log.position == 2500 + len(appended)
    assert [event.position for event in log.stream("live")] == appended
    assert log.sql("select count(*), count(distinct position), max(position) from events").fetchall() == [
        (log.position,) * 3
    ]


@pytest.mark.parametrize(
    "content",
    [
        'id,b\n1,"x"\n2,"y',
        "id,b\n1,2\n3\n4,5,6\n",
        "id,b,c\n1,2,3\n2,3,4\n3,4\n",
        "id;b\n1;2\n3;4;5\n",
    ],
)
def test_a_broken_csv_loads_nothing(log: el.EventLog, tmp_path: Path, content: str) -> None:
    """A row of another width, or a quote that does not end, is a fault and no other dialect."""
    (tmp_path / "broken.csv").write_text(content)
    with pytest.raises(el.InvalidSource, match=r"broken\.csv"):
        log.ingest(tmp_path / "broken.csv", event_type="'T'", stream_id="'s'")
    assert log.position == 0


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_csv_may_have_another_delimiter(log: el.EventLog, tmp_path: Path, delimiter: str) -> None:
    """The header tells it; quotes hide delimiters and line ends."""
    rows = [["id", "a,b"], ["1", '"x;y\nz"'], ["2", '"say ""hi"""']]
    header = delimiter.join(["id", '"a,b"'])
    (tmp_path / "x.csv").write_text("\n".join([header, *(delimiter.join(row) for row in rows[1:])]) + "\n")
    log.ingest(tmp_path / "x.csv", event_type="'T'", stream_id="'s'")
    assert [event.payload for event in log.read()] == [{"id": 1, "a,b": "x;y\nz"}, {"id": 2, "a,b": 'say "hi"'}]
