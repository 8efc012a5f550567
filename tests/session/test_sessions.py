"""SQL over the log, time travel on both clocks, reading, following, subscriptions, and readers that know no eventlab."""

from __future__ import annotations

import datetime as dt
import itertools
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest

import eventlab as el

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400_000_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Yield a log in New York of one event a day, recorded the same noon; the third is about the day before the first."""
    days = itertools.count(1)
    with el.open(tmp_path / "s", create=True, timezone="America/New_York", clock=lambda: next(days) * DAY) as opened:
        opened.define("Moved", {"to": "VARCHAR", "version": "INTEGER"})
        opened.append("box-1", el.Event("Moved", {"to": "attic", "version": 7}, occurred_at="1970-01-10"))
        opened.append("box-2", el.Event("Moved", {"to": "cellar"}, occurred_at="1970-01-11"))
        opened.append("box-1", el.Event("Lost", {"by": "ann"}, occurred_at="1970-01-09"))
        yield opened


def sealed(log: el.EventLog, how: str) -> None:
    """Seal none, all, or the first events of a log of three."""
    if how == "all":
        log.seal()


@pytest.mark.parametrize("how", ["none", "all"])
def test_the_relations_and_their_columns(log: el.EventLog, how: str) -> None:
    """Events with a STRUCT a type, a flattened view a type, streams and types."""
    sealed(log, how)
    assert log.sql("from events").columns == [
        "position", "event_id", "stream_id", "category", "version", "event_type", "schema_version", "occurred_at",
        "recorded_at", "actor", "correlation_id", "causation_id", "compensates", "metadata", "payload", "Moved", "Lost",
    ]  # fmt: skip
    assert log.sql('select position, category, Moved."to", Lost.by from events order by 1').fetchall() == [
        (1, "box", "attic", None),
        (2, "box", "cellar", None),
        (3, "box", None, "ann"),
    ]
    moved = log.sql('select position, version, "to", payload_version from moved order by 1')
    assert moved.fetchall() == [(1, 1, "attic", 7), (2, 1, "cellar", None)]
    assert log.sql("select stream_id, category, version, events, last_position from streams order by 1").fetchall() == [
        ("box-1", "box", 2, 2, 3),
        ("box-2", "box", 1, 1, 2),
    ]
    types = log.sql("select event_type, view, versions, origin, events, fields from event_types").fetchall()
    assert types == [
        ("Moved", "moved", 1, "defined", 2, "to VARCHAR, version INTEGER"),
        ("Lost", "lost", 1, "inferred", 1, "by VARCHAR"),
    ]


@pytest.mark.parametrize("how", ["none", "all"])
def test_both_clocks_cut_the_log(log: el.EventLog, how: str) -> None:
    """A moment is inclusive and local; a late event shows up at an earlier moment only once it was known."""
    sealed(log, how)
    recorded = [event.recorded_at for event in log.read()]

    def seen(at: object = None, known_at: object = None) -> list[int]:
        return [event.position for event in log.at(at, known_at=known_at).read()]  # type: ignore[arg-type]

    assert seen() == [1, 2, 3]
    assert seen("1970-01-10") == [1, 3]
    assert seen("1970-01-10T00:00:00") == [1, 3]
    assert seen("1970-01-10T04:59:59Z") == [3]  # New York's midnight is 05:00 UTC
    assert seen("1970-01-10T05:00:00+00:00") == [1, 3]
    assert seen(dt.date(1970, 1, 9)) == [3]
    assert seen(dt.datetime(1970, 1, 8, 23, 59, tzinfo=dt.UTC)) == []
    assert seen(2) == [1, 2]
    assert seen(0) == []
    assert seen("1970-01-10", known_at=2) == [1]
    assert seen("1970-01-10", known_at=recorded[1]) == [1]
    assert seen(known_at=recorded[2]) == [1, 2, 3]
    assert seen(known_at=recorded[0] - dt.timedelta(microseconds=1)) == []
    view = log.at("1970-01-10", known_at=2)
    assert view.sql("select count(*) from moved").fetchall() == [(1,)]
    assert view.sql("select stream_id, version from streams").fetchall() == [("box-1", 1)]
    assert view.sql("select event_type, events from event_types").fetchall() == [("Moved", 1)]  # as it was known
    assert [event.position for event in view.stream("box-1")] == [1]
    assert view.position == 2


@pytest.mark.parametrize("how", ["none", "all"])
def test_events_at_is_the_view_in_sql(log: el.EventLog, how: str) -> None:
    """A moment as text, date, timestamp, position, parameter or basis token, and the other clock by name."""
    sealed(log, how)
    basis = log.at("1970-01-10", known_at=2).basis

    def seen(call: str, params: dict[str, object] | None = None) -> list[int]:
        return [row[0] for row in log.sql(f"select position from events_at({call}) order by 1", params).fetchall()]

    assert seen("'1970-01-10'") == [1, 3]
    assert seen("date '1970-01-10'") == [1, 3]
    assert seen("timestamp '1970-01-09 23:59:59'") == [3]
    assert seen("timestamptz '1970-01-10 05:00:00+00'") == [1, 3]
    assert seen("2") == [1, 2]
    assert seen("'1970-01-10', known_at := 2") == [1]
    assert seen("NULL, known_at := 2") == [1, 2]
    assert seen("$t, known_at := $k", {"t": "1970-01-10", "k": 2}) == [1]
    assert seen("$t", {"t": dt.datetime(1970, 1, 10, 5, tzinfo=dt.UTC)}) == [1, 3]
    assert seen("$t", {"t": basis}) == [1]
    assert log.sql('select Moved."to" from events_at(1)').fetchall() == [("attic",)]
    assert log.at(2).sql("select count(*) from events_at('1970-01-10')").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("99", "no position 99"),
        ("-1", "no position -1"),
        ("NULL, known_at := 4", "no position 4"),
        ("'basis:0123:p1:r1:open'", "another store"),
        ("'garbage'", "garbage"),
    ],
)
def test_events_at_refuses_what_the_view_refuses(log: el.EventLog, call: str, said: str) -> None:
    """When the query runs, or is made."""
    with pytest.raises((duckdb.Error, el.QueryError), match=said):
        log.sql(f"select count(*) from events_at({call})").fetchall()


def test_a_basis_gives_the_same_rows_for_ever(log: el.EventLog, tmp_path: Path) -> None:
    """After appends, late ones too, new definitions, a seal, a compaction, and in another process."""
    log.seal()
    view = log.at("1970-01-11")
    query = "select * exclude (metadata) from events order by position"
    before, types = view.sql(query).pl(), view.sql("from event_types").pl()
    for n in range(30):
        log.append("box-3", el.Event("Moved", {"to": "late", "version": n}, occurred_at="1970-01-02"))
        log.append("box-3", el.Event(f"New{n % 3}", {"x": [n, "wide"][n % 2]}, occurred_at="1970-01-02"))
        if n % 10 == 0:
            log.seal()
    log.seal()
    log.compact(vacuum=True)
    for again in (view, log.at(view.basis)):
        assert again.basis == view.basis
        assert again.sql(query).pl().equals(before)
        assert again.sql("from event_types").pl().equals(types)
    script = f"import eventlab as el; print(el.open({str(log.path)!r}).at({view.basis!r}).sql({query!r}).fetchall())"
    out = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    assert out.stdout.strip() == repr(view.sql(query).fetchall())
    with el.open(tmp_path / "other", create=True) as other, pytest.raises(el.InvalidArgument, match="another store"):
        other.at(view.basis)


def test_a_relation_is_pinned_to_when_it_was_made(log: el.EventLog) -> None:
    """It runs, and so does what is derived from it, after appends, a seal and a compaction with vacuum."""
    whole = log.sql("select position from events")
    part = log.sql("from moved").filter("version = 1")
    streams = log.sql("from streams")
    log.append("box-1", el.Event("Moved", {"to": "here"}))
    log.seal()
    after = log.sql("select count(*) from events")
    log.append("box-1", el.Event("Moved", {"to": "there"}))
    log.seal()
    log.compact(vacuum=True)
    assert sorted(whole.fetchall()) == [(1,), (2,), (3,)]
    assert len(part.fetchall()) == 2
    assert len(streams.fetchall()) == 2
    assert after.fetchall() == [(4,)]
    assert log.sql("select count(*) from events").fetchall() == [(5,)]
    del whole, part, streams, after
    assert log.compact(vacuum=True).vacuumed == 2
    assert len(list((log.path / "events").glob("*/*.parquet"))) == log.info()["files"]
    assert log.sql("select count(*) from events").fetchall() == [(5,)]


@pytest.mark.parametrize(
    ("query", "said", "match"),
    [
        ("select * from event", "no relation 'event'. Did you mean 'events'?", "events"),
        ("from moveed", "no relation 'moveed'. Did you mean 'moved'?", "moved"),
        ("select stream from events", "no column 'stream'", "stream_id"),
        ('select sum("by") from events', "no column 'by' of events. Did you mean 'Lost.by'?", "Lost.by"),
        ("select", "", None),
        ("", "one statement that reads", None),
        ("select 1; select 2", "one statement that reads", None),
        ("create table x as select 1", "one statement that reads", None),
        ("delete from main.eventlab_tail", "one statement that reads", None),
        ("copy (select 1) to 'x.csv'", "one statement that reads", None),
        ("set timezone = 'UTC'", "one statement that reads", None),
    ],
)
def test_a_query_that_cannot_run_says_why(log: el.EventLog, query: str, said: str, match: str | None) -> None:
    """With the place and the names that come near; nothing is changed."""
    with pytest.raises(el.QueryError) as caught:
        log.sql(query)
    assert said in caught.value.message
    if match:
        assert match in caught.value.matches
    assert log.sql("select count(*) from events").fetchall() == [(3,)]


@pytest.mark.parametrize("moment", ["never", -1, 4, True, 1.5, "basis:0:p1:r1:open"])
def test_a_moment_has_its_form(log: el.EventLog, moment: object) -> None:
    """A time, a position of the log, or a token of this store."""
    with pytest.raises(el.InvalidArgument):
        log.at(moment)  # type: ignore[arg-type]


def test_values_are_bound(log: el.EventLog) -> None:
    """A value that looks like SQL is a value, by name and by place; python variables are not seen."""
    events = pl.DataFrame({"stream_id": ["from python"]})
    evil = "x' or '1'='1"
    assert events.height == 1
    assert log.sql("from events where stream_id = $s", {"s": evil}).fetchall() == []
    assert log.sql("select count(*) from events where stream_id = ?", ["box-1"]).fetchall() == [(2,)]


def test_reading_event_by_event(log: el.EventLog) -> None:
    """In position order, from a place, so many, of some types; from the tail, the lake and both."""
    log.seal()
    for n in range(5):
        log.append(f"box-{n}", el.Event("Moved", {"to": str(n)}))
    assert [event.position for event in log.read()] == list(range(1, 9))
    assert [event.position for event in log.read(after=2, limit=3)] == [3, 4, 5]
    assert [event.position for event in log.read(types=["Lost"])] == [3]
    assert list(log.read(limit=0)) == []
    assert list(log.read(after=99)) == []
    assert log.stream("box-9") == []
    event = next(log.read())
    assert event.occurred_at.isoformat() == "1970-01-10T00:00:00-05:00"
    assert event.payload == {"to": "attic", "version": 7}
    for options in ({"after": -1}, {"limit": -1}, {"after": "x"}):
        with pytest.raises(el.InvalidArgument):
            log.read(**options)  # type: ignore[arg-type]


def test_reading_is_of_the_log_as_it_was_when_asked(log: el.EventLog) -> None:
    """Events that come while an iterator runs are not for it."""
    reader = log.read()
    next(reader)
    log.append("box-1", el.Event("Moved", {"to": "later"}))
    log.seal()
    assert [event.position for event in reader] == [2, 3]


def test_following_gives_each_event_once_as_it_comes(log: el.EventLog) -> None:
    """From the beginning or from now on, over seals."""
    everything, news = log.follow(after=0), log.follow()

    def work() -> None:
        with el.open(log.path) as writer:
            for n in range(50):
                writer.append("box-7", el.Event("Moved", {"to": str(n)}))
                if n % 20 == 0:
                    writer.seal()

    writer = threading.Thread(target=work)
    writer.start()
    assert [event.position for event in itertools.islice(everything, 53)] == list(range(1, 54))
    assert [event.position for event in itertools.islice(news, 50)] == list(range(4, 54))
    writer.join()


def test_a_subscription_keeps_its_place(log: el.EventLog) -> None:
    """What was not committed comes again to the next process; lag counts what was not committed."""
    mailer = log.subscription("mailer")
    assert mailer.lag == 3
    assert [event.position for event in mailer.next(limit=2)] == [1, 2]
    assert mailer.commit() == 2
    assert [event.position for event in mailer.next()] == [3]
    assert mailer.next() == []
    assert mailer.lag == 1
    log.seal()
    with el.open(log.path) as other:
        again = other.subscription("mailer")
        assert [event.position for event in again.next()] == [3]
        again.commit()
        assert again.lag == 0
    assert log.subscription("mailer").next() == []
    assert [event.position for event in log.subscription("fresh").next(types=["Lost"])] == [3]
    with pytest.raises(el.InvalidArgument):
        mailer.commit(99)
    with pytest.raises(el.InvalidArgument):
        mailer.next(limit=0)


def test_others_read_the_sealed_log(log: el.EventLog) -> None:
    """Polars by Delta and by hive partitions, and plain DuckDB, also over types that came later and after a compaction."""
    for n in range(3):
        log.append("box-1", el.Event("Moved", {"to": "x", "extra": {"n": n}}, occurred_at=f"1970-0{n + 2}-01"))
        log.append("box-1", el.Event("Lost", {"by": 5 if n else "ann"}, occurred_at="1970-01-05"))
        log.seal()
    log.compact(vacuum=True)
    path = log.path / "events"
    wanted = list(range(1, 10))
    assert sorted(pl.scan_delta(str(path)).collect()["position"].to_list()) == wanted
    lazy = pl.scan_parquet(
        path / "**/*.parquet", hive_partitioning=True, missing_columns="insert", extra_columns="ignore"
    )
    assert sorted(lazy.select("position").collect()["position"].to_list()) == wanted
    assert lazy.filter(pl.col("month") == "1970-02").select(pl.len()).collect().item() == 1
    query = 'select position, Moved."to", month from read_parquet($p, hive_partitioning = true, union_by_name = true)'
    rows = duckdb.sql(f"{query} order by 1", params={"p": f"{path}/*/*.parquet"}).fetchall()
    assert [row[0] for row in rows] == wanted
    assert rows[0] == (1, "attic", "1970-01")


def test_import_stays_light() -> None:
    """Neither Altair, IPython, Jupyter, pandas nor sqlglot is loaded by ``import eventlab``."""
    script = "import sys, eventlab; print(*{'altair','IPython','jupyterlab','pandas','sqlglot'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    assert out.stdout.strip() == ""


def test_a_log_opens_only_what_is_a_store(tmp_path: Path) -> None:
    """No store, a file, a folder of other things, other settings, and a store open for reading."""
    with pytest.raises(el.StoreNotFound) as caught:
        el.open(tmp_path / "none")
    assert "create=True" in caught.value.hint
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.doc").write_text("x")
    for name in ("file", "folder"):
        with pytest.raises((el.InvalidArgument, el.StoreNotFound)):
            el.open(tmp_path / name, create=True)
    assert (tmp_path / "folder" / "thesis.doc").exists()
    for options in ({"partition": "week"}, {"timezone": "Mars/Olympus"}):
        with pytest.raises(el.InvalidArgument):
            el.open(tmp_path / "new", create=True, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()
    with el.open(tmp_path / "s", create=True, partition="day", timezone="Europe/Berlin") as log:
        log.append("s", el.Event("T", {"n": 1}))
    with pytest.raises(el.InvalidArgument, match="partition"):
        el.open(tmp_path / "s", partition="month")
    with el.open(tmp_path / "s", create=True, partition="day") as log:
        assert (log.position, log.timezone) == (1, "Europe/Berlin")
        log.seal()
        assert next((log.path / "events").glob("day=*")).is_dir()
    with el.open(tmp_path / "s", read_only=True) as reader:
        assert reader.sql("select count(*) from events").fetchall() == [(1,)]
        for write in (
            lambda: reader.append("s", el.Event("T", {"n": 1})),
            reader.seal,
            reader.compact,
            lambda: reader.define("T", {}),
            lambda: reader.ingest([{"a": 1}], event_type="'T'", stream_id="'s'"),
            lambda: reader.subscription("x").commit(),
        ):
            with pytest.raises(el.StoreReadOnly):
                write()


def test_a_closed_log_says_so_and_its_relations_still_run(tmp_path: Path) -> None:
    """Every method, with what to do; nothing is done any more."""
    log = el.open(tmp_path / "s", create=True)
    log.append("s", el.Event("T", {"n": 1}))
    view, relation, reader = log.at(1), log.sql("select n from t"), log.subscription("x")
    log.close()
    assert relation.fetchall() == [(1,)]
    for use in (
        lambda: log.append("s", el.Event("T", {"n": 2})),
        lambda: log.position,
        lambda: log.sql("from events"),
        lambda: list(log.read()),
        lambda: log.stream("s"),
        lambda: log.at(1),
        lambda: log.define("T", {}),
        lambda: log.ingest([{"a": 1}], event_type="'T'", stream_id="'s'"),
        log.seal,
        log.compact,
        log.info,
        log.quarantine,
        lambda: view.sql("from events"),
        reader.next,
    ):
        with pytest.raises(el.StoreError, match="closed") as caught:
            use()
        assert "el.open" in caught.value.hint


def test_wrong_arguments_are_named(log: el.EventLog) -> None:
    """Not an internal error, whatever is given."""
    for use in (
        lambda: log.append("s", el.Event("T"), expect=5),  # type: ignore[arg-type]
        lambda: log.define("T", None),  # type: ignore[arg-type]
        lambda: log.read(types=5),  # type: ignore[arg-type]
        lambda: log.read(types=[5]),  # type: ignore[list-item]
        lambda: log.follow(after="a"),  # type: ignore[arg-type]
        lambda: log.follow(after=-5),
        lambda: el.open(None),  # type: ignore[arg-type]
        lambda: el.recover(5),  # type: ignore[arg-type]
        lambda: log.ingest([{"a": 1}], event_type="'T'", stream_id="'s'", chunk_rows="a"),  # type: ignore[arg-type]
    ):
        with pytest.raises(el.InvalidArgument):
            use()
    with pytest.raises(el.InvalidSource, match="event_type and stream_id"):
        log.ingest([{"a": 1}], event_type=None, stream_id="'s'")  # type: ignore[arg-type]


def test_closing_twice_is_harmless_and_a_long_tail_is_sealed(tmp_path: Path) -> None:
    """A short tail stays in the journal, so that many short processes do not make many small files."""
    for count, files in ((999, 0), (1000, 1)):
        log = el.open(tmp_path / str(count), create=True)
        log.append("s", [el.Event("T", {"n": n}) for n in range(count)])
        log.close()
        log.close()
        with el.open(tmp_path / str(count)) as again:
            assert (again.info()["files"], again.position) == (files, count)


def test_a_long_tail_is_sealed_in_the_background(tmp_path: Path) -> None:
    """Without anybody asking, while appends go on."""
    with el.open(tmp_path / "s", create=True) as log:
        for start in range(0, 25_000, 500):
            log.append("s", [el.Event("T", {"n": n}) for n in range(start, start + 500)])
        for _ in range(200):
            if log.info()["sealed"] >= 10_000:
                break
            threading.Event().wait(0.05)
        info = log.info()
        assert info["sealed"] >= 10_000
        assert info["seal_error"] is None
        assert log.sql("select count(*), count(distinct position), max(position) from events").fetchall() == [
            (25_000,) * 3
        ]


def test_the_paths_of_the_tail_are_used_again(tmp_path: Path) -> None:
    """DuckDB keeps something for every path that it has read: a log that is watched for hours has a few, and reads right."""
    paths: set[str] = set()
    with el.open(tmp_path / "log", create=True) as log:
        for n in range(1, 120):
            log.append("s", el.Event("A", {"n": n}))
            assert log.sql("select count(*), max(n), sum(n) from a").fetchall() == [(n, n, n * (n + 1) // 2)]
            paths |= set(log._session._tail.paths)
    assert len(paths) < 60


def test_a_sealed_store_opens_without_pandas(tmp_path: Path) -> None:
    """It is slow to import, and nobody asked for it."""
    with el.open(tmp_path / "log", create=True) as log:
        log.append("s", el.Event("A", {"n": 1}))
        log.seal()
    script = (
        "import sys, eventlab; log = eventlab.open(sys.argv[1]);"
        " print(log.sql('select n from a').fetchall(), 'pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[(1,)] False\n"
