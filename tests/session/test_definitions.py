"""Defining event types on a log: what is refused and why, what is recorded, and how it is seen as of a moment."""

from __future__ import annotations

import datetime as dt
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import eventlab as el

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Return a log without events."""
    with el.open(tmp_path / "log", create=True) as opened:
        yield opened


def _versions(log: el.EventLog | el.LogView) -> list[tuple[Any, ...]]:
    return log.sql("select event_type, version, origin, compatibility, validation from schema_versions").fetchall()


def test_the_same_definition_again_is_none(log: el.EventLog) -> None:
    """A script that defines its types can run at every start, upcast and all."""
    assert log.define("A", {"x": "BIGINT"}) == 1
    assert log.define("A", {"x": "BIGINT"}) == 1
    log.append("s", el.Event("A", {"x": 1}))
    assert log.define("A", {"y": "BIGINT"}, upcast={"y": "x"}) == 2
    assert log.define("A", {"y": "BIGINT"}, upcast={"y": "x"}) == 2
    assert log.define("A", {"y": "BIGINT"}) == 2
    assert log.define("A", {"y": "BIGINT"}, validation="warn") == 3
    assert log.define("A", {"y": "BIGINT"}, compatibility="FULL") == 4
    assert [row[1:] for row in _versions(log)] == [
        (1, "defined", "BACKWARD", "enforce"),
        (2, "defined", "BACKWARD", "enforce"),
        (3, "defined", "BACKWARD", "warn"),
        (4, "defined", "FULL", "warn"),
    ]


def test_a_refusal_names_every_clash_and_writes_nothing(log: el.EventLog) -> None:
    """``check`` and ``define`` say the same: path, what was and is, mode, version, fix."""
    log.define("A", {"x": "BIGINT", "y": "VARCHAR"})
    new = {"x": "VARCHAR", "y": "VARCHAR NOT NULL", "z": "BIGINT NOT NULL"}
    issues = log.check("A", new)
    assert {issue.path for issue in issues} == {"x", "y", "z"}
    assert all(issue.mode == "BACKWARD" and issue.against == 1 and issue.fix for issue in issues)
    with pytest.raises(el.SchemaIncompatible) as error:
        log.define("A", new)
    assert error.value.issues == issues
    assert len(_versions(log)) == 1


def test_the_mode_of_a_type_holds_until_another_is_given(log: el.EventLog) -> None:
    """FORWARD lets a required field come and an optional one not go under FULL; NONE asks nothing."""
    log.define("A", {"x": "BIGINT"}, compatibility="FORWARD")
    assert log.define("A", {"x": "BIGINT", "y": "BIGINT NOT NULL"}) == 2
    with pytest.raises(el.SchemaIncompatible, match="FORWARD"):
        log.define("A", {"x": "BIGINT"})
    assert log.define("A", {"x": "BIGINT"}, compatibility="BACKWARD") == 3
    with pytest.raises(el.InvalidArgument, match="BACKWARD_TRANSITIVE"):
        log.define("A", {"x": "BIGINT"}, compatibility="SIDEWAYS")


def test_a_store_has_a_default_mode(tmp_path: Path) -> None:
    """Settled when the store is made."""
    with el.open(tmp_path / "log", create=True, compatibility="FULL") as log:
        log.define("A", {"x": "BIGINT NOT NULL"})
        with pytest.raises(el.SchemaIncompatible, match="FULL"):
            log.define("A", {})
        log.define("B", {"x": "BIGINT"}, compatibility="NONE")
        assert [row[3] for row in _versions(log)] == ["FULL", "NONE"]
    with pytest.raises(el.InvalidArgument, match="compatibility 'FULL', not 'NONE'"):
        el.open(tmp_path / "log", compatibility="NONE")
    with pytest.raises(el.InvalidArgument, match="FULL_TRANSITIVE"):
        el.open(tmp_path / "other", create=True, compatibility="full")


def test_a_stored_version_that_cannot_be_read_is_refused_in_every_mode_but_none(log: el.EventLog) -> None:
    """Under FORWARD the contract may change so, but the events that are there are there."""
    log.define("A", {"x": "BIGINT"}, compatibility="FORWARD")
    log.append("s", el.Event("A", {"x": 1}))
    new = {"x": "BIGINT", "y": "BIGINT NOT NULL"}
    with pytest.raises(el.SchemaIncompatible, match="y"):
        log.define("A", new)
    assert log.define("A", new, upcast={"y": "0"}) == 2
    assert log.sql("select x, y from a").fetchall() == [(1, 0)]


def test_under_none_events_that_cannot_be_read_are_null_and_it_is_told(log: el.EventLog) -> None:
    """``event_types`` names the versions; those after it are checked again, the unread ones are let be."""
    log.define("A", {"x": "VARCHAR", "same": "BIGINT"})
    log.append("s", [el.Event("A", {"x": "five", "same": 1}), el.Event("A", {"x": "7", "same": 2})])
    new = {"x": "BIGINT NOT NULL", "same": "BIGINT"}
    with pytest.raises(el.SchemaIncompatible, match="x"):
        log.define("A", new)
    assert log.define("A", new, compatibility="NONE") == 2
    log.append("s", el.Event("A", {"x": 3}))
    assert log.sql("select x, same from a order by position").fetchall() == [(None, 1), (None, 2), (3, None)]
    assert log.sql("select unread from event_types").fetchall() == [([1],)]
    assert log.define("A", {**new, "more": "DATE"}, compatibility="BACKWARD") == 3
    assert log.sql("select unread from event_types").fetchall() == [([1],)]
    with pytest.raises(el.SchemaIncompatible, match="version 3"):
        log.define("A", {**new, "more": "BIGINT"})


def test_inferred_types_are_promoted_by_what_their_events_are(log: el.EventLog) -> None:
    """A field that every event has may be NOT NULL; one that an event lacks may not. Without a schema: as inferred."""
    log.append("s", [el.Event("A", {"x": 1, "y": "a"}), el.Event("A", {"x": 2})])
    log.seal()
    log.append("s", el.Event("A", {"x": 2.5}))
    with pytest.raises(el.SchemaIncompatible, match="y"):
        log.define("A", {"x": "DOUBLE NOT NULL", "y": "VARCHAR NOT NULL"})
    found = log.dry_run("A", {"x": "DOUBLE NOT NULL", "y": "VARCHAR NOT NULL"})
    assert (found.events, found.failing, [position for position, _ in found.examples]) == (3, 2, [2, 3])
    assert log.define("A", {"x": "DOUBLE NOT NULL", "y": "VARCHAR"}) == 3
    assert log.sql("select origin, fields from event_types").fetchall() == [("defined", "x DOUBLE NOT NULL, y VARCHAR")]
    log.append("s", el.Event("B", {"x": 1}))
    assert log.define("B") == 2
    assert log.sql("select origin, fields from event_types where event_type = 'B'").fetchall() == [
        ("defined", "x BIGINT")
    ]
    with pytest.raises(el.InvalidArgument, match="Did you mean 'B'"):
        log.define("b ")


def test_a_dry_run_counts_the_recorded_events_that_would_fail(log: el.EventLog) -> None:
    """Of all versions, as they were recorded, with positions and reasons; an unknown type is an error."""
    log.define("A", {"x": "BIGINT"})
    log.append("s", [el.Event("A", {"x": n}) for n in range(-3, 7)])
    schema = {"type": "object", "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 5}}}
    found = log.dry_run("A", schema)
    assert (found.events, found.failing) == (10, 4)
    assert [position for position, _ in found.examples] == [1, 2, 3, 10]
    assert "minimum" in found.examples[0][1]
    with pytest.raises(el.InvalidArgument, match="no event type 'AB'"):
        log.dry_run("AB", schema)


def test_a_field_that_a_state_uses_is_not_dropped(log: el.EventLog) -> None:
    """The error names the states; with force it goes, and the state says what it misses."""
    log.define("OrderPlaced", {"customer": "VARCHAR", "amount": "BIGINT", "note": "VARCHAR"})
    log.append("o-1", el.Event("OrderPlaced", {"customer": "ann", "amount": 5}))
    log.define_state("totals", "SELECT stream_id, sum(OrderPlaced.amount) AS total FROM events GROUP BY stream_id")
    log.define_state("sums", "SELECT OrderPlaced.customer AS who, count(*) AS n FROM events GROUP BY 1")
    log.define_state("counts", "SELECT stream_id, count(*) AS events FROM events GROUP BY stream_id")
    assert log.define("OrderPlaced", {"customer": "VARCHAR", "amount": "BIGINT"}) == 2
    with pytest.raises(el.SchemaInUse, match="the states sums, totals use") as error:
        log.define("OrderPlaced", {})
    assert error.value.states == ["sums", "totals"]
    with pytest.raises(el.SchemaInUse, match="sums"):
        log.define("OrderPlaced", {"client": "VARCHAR", "amount": "BIGINT"}, upcast={"client": "customer"})
    assert log.define(
        "OrderPlaced", {"client": "VARCHAR", "amount": "BIGINT"}, upcast={"client": "customer"}, force=True
    )
    assert log.state("totals").now().fetchall() == [("o-1", 5)]
    with pytest.raises(el.QueryError, match="customer"):
        log.state("sums").now()
    log.append("o-1", el.Event("OrderPlaced", {"client": "bob", "amount": 6}))
    assert log.state("totals").now().fetchall() == [("o-1", 11)]


def test_definitions_are_seen_as_of_a_moment(tmp_path: Path) -> None:
    """A view with ``known_at`` shows the types and versions of that moment; its events read as they do now."""
    now = [1_000_000_000_000_000]
    with el.open(tmp_path / "log", create=True, clock=lambda: now[0]) as log:
        log.define("A", {"x": "BIGINT"})
        now[0] += 1_000_000
        log.append("s", el.Event("A", {"x": 1}))
        between = dt.datetime.fromtimestamp(now[0] / 1e6, dt.UTC)
        now[0] += 1_000_000
        log.define("A", {"y": "BIGINT"}, upcast={"y": "x"})
        log.define("B", {})
        view = log.at(known_at=between)
        assert view.sql("select event_type, version from event_types").fetchall() == [("A", 1)]
        assert _versions(view) == [("A", 1, "defined", "BACKWARD", "enforce")]
        assert view.sql("select y from a").fetchall() == [(1,)]
        assert log.at(known_at=1).sql("select event_type, version from event_types").fetchall() == [("A", 1)]
        assert log.at(known_at=0).sql("from event_types").fetchall() == []
        assert log.sql("select event_type, version from event_types").fetchall() == [("A", 2), ("B", 1)]
        assert log.schema("A").version == 2
        assert view.schema("A").version == 1
        assert [schema.version for schema in log.schema("A").versions] == [1, 2]


def test_validation_is_a_choice(log: el.EventLog) -> None:
    """Enforced, an event that does not fit is refused; warned of or not looked at, it is recorded."""
    log.define("A", {"x": "BIGINT NOT NULL"})
    with pytest.raises(el.InvalidEvent, match="x"):
        log.append("s", el.Event("A", {}))
    log.define("A", {"x": "BIGINT NOT NULL"}, validation="warn")
    with pytest.warns(el.SchemaWarning, match="x is missing"):
        log.append("s", el.Event("A", {}))
    log.define("A", {"x": "BIGINT NOT NULL"}, validation="off")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        log.append("s", el.Event("A", {"x": "no number"}))
    assert log.sql("select x, payload from a order by position").fetchall() == [
        (None, "{}"),
        (None, '{"x":"no number"}'),
    ]
    log.seal()
    assert log.sql("select x from a").fetchall() == [(None,), (None,)]
    with pytest.raises(el.InvalidArgument, match="enforce, warn, off"):
        log.define("A", {}, validation="maybe")


def test_a_dropped_field_is_no_column_and_comes_back_as_it_was(log: el.EventLog) -> None:
    """Dropping is backward compatible; stored values are there when the field is declared again."""
    log.define("A", {"x": "BIGINT", "y": "STRUCT(a BIGINT, b BIGINT)"})
    log.append("s", el.Event("A", {"x": 1, "y": {"a": 1, "b": 2}}))
    log.seal()
    log.define("A", {"y": "STRUCT(b BIGINT)"})
    log.append("s", el.Event("A", {"x": 2, "y": {"b": 3}}))
    assert log.sql("select A from events order by position").fetchall() == [({"y": {"b": 2}},), ({"y": {"b": 3}},)]
    with pytest.raises(el.QueryError):
        log.sql("select A.x from events")
    with pytest.raises(el.SchemaIncompatible, match="version 1"):
        log.define("A", {"x": "DATE", "y": "STRUCT(b BIGINT)"})
    log.define("A", {"x": "BIGINT", "y": "STRUCT(b BIGINT)"})
    log.append("s", el.Event("A", {"x": 3}))
    assert log.sql("select x from a order by position").fetchall() == [(1,), (2,), (3,)]


def test_definitions_and_appends_race(tmp_path: Path) -> None:
    """While two threads append, definitions go through one by one, and each event fits the version that it has."""
    path = tmp_path / "log"
    with el.open(path, create=True) as log:
        log.define("A", {"x": "BIGINT"})
        stop = threading.Event()

        def appending() -> None:
            with el.open(path) as other:
                while not stop.is_set():
                    other.append("s", el.Event("A", {"x": 1}))

        threads = [threading.Thread(target=appending) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for n in range(1, 8):
                fields = {"x": "BIGINT", **{f"f{i}": "BIGINT NOT NULL" for i in range(n)}}
                with pytest.raises(el.SchemaIncompatible):
                    log.define("A", fields)
                assert log.define("A", {"x": "BIGINT", **{f"f{i}": "BIGINT" for i in range(n)}}) == n + 1
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        head = log.position
        assert log.sql("select count(*), count(x), count(f6) from a").fetchall() == [(head, head, 0)]
        assert len(_versions(log)) == 8


def test_a_log_for_reading_defines_nothing(tmp_path: Path) -> None:
    """Neither does a closed one."""
    el.open(tmp_path / "log", create=True).close()
    with el.open(tmp_path / "log", read_only=True) as log, pytest.raises(el.StoreReadOnly):
        log.define("A", {"x": "BIGINT"})


def test_a_type_is_compatible_with_each_of_its_own_forms(log: el.EventLog) -> None:
    """An integer without bounds has 64 bits in a column: its DuckDB form says so, and changes nothing."""
    log.define("A", {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}})
    for form in (
        log.schema("A").duckdb,
        log.schema("A").json_schema,
        log.schema("A").msgspec(),
        log.schema("A").pydantic(),
    ):
        assert log.check("A", form) == []
