"""Where text becomes SQL: quoting that nothing breaks out of, queries that cannot write, errors that say what is near."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlab import queries
from eventlab.errors import InvalidArgument, InvalidSource, QueryError, StoreFull
from eventlab.queries import fill, identifier, literal, select

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CONNECTION = queries.connect()
_ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_NASTY = [
    "it's",
    'say "x"',
    "'; drop table t; --",
    "a\0b",
    "\\",
    "$x",
    "{x}",
    "%s",
    "😀",
    "a\u202eb",
    "\n",
    "--",
    "/*",
    "",
    "''",
    '""',
]


@pytest.fixture
def log() -> Iterator[queries.Connection]:
    """Give a connection with a small ``events`` table and a view."""
    connection = queries.connect()
    connection.execute(
        "create table events as select 1 as position, 'OrderPlaced' as event_type, {'amount': 5} as \"OrderPlaced\";"
        'create view order_placed as select position, "OrderPlaced".amount from events; create sequence s'
    )
    yield connection
    connection.close()


# ---- connections


def test_a_connection_reads_time_in_its_own_zone_and_cursors_too() -> None:
    """The machine's zone is not asked; a cursor inherits what was set."""
    connection = queries.connect("America/New_York")
    for one in (connection, connection.cursor()):
        (found,) = queries.rows(one, "select ('2026-03-01'::timestamptz at time zone 'UTC')::varchar")
        assert found == ("2026-03-01 05:00:00",)


def test_a_connection_does_not_see_the_caller_s_variables() -> None:
    """A Python frame of the name of a table is not taken for the table."""
    frame = [1]  # noqa: F841 - what DuckDB must not find
    with pytest.raises(QueryError, match="no relation 'frame'"):
        select(queries.connect(), "from frame", None, relations=[])


def test_a_connection_shows_no_progress_and_takes_limits(tmp_path: Path) -> None:
    """Memory and the folder for what does not fit can be said."""
    connection = queries.connect(memory="1GiB", spill=str(tmp_path / "it's"))
    settings = dict(queries.rows(connection, "select name, value from duckdb_settings()"))
    assert settings["enable_progress_bar"] == "false"
    assert settings["memory_limit"] == "1.0 GiB"
    assert settings["temp_directory"] == str(tmp_path / "it's")


# ---- quoting


@pytest.mark.parametrize("text", _NASTY, ids=repr)
def test_a_literal_is_its_value(text: str) -> None:
    """Quotes, NUL, comments, slots: DuckDB reads the same text, and nothing after it."""
    assert queries.rows(_CONNECTION, f"select {literal(text)}") == [(text,)]


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _ANY, st.lists, max_leaves=1))
def test_any_value_survives_as_a_literal(value: Any) -> None:
    """What is bound and what is quoted are the same."""
    assert queries.rows(_CONNECTION, f"select {literal(value)} is not distinct from $v", {"v": value}) == [(True,)]


@given(st.lists(_ANY, min_size=1, max_size=4))
def test_a_list_of_texts_survives_as_a_literal(values: list[str]) -> None:
    """Each item is quoted by itself."""
    assert queries.rows(_CONNECTION, f"select {literal(values)}") == [(values,)]


@pytest.mark.parametrize("value", [1.5, b"x", dt.date(2026, 1, 1), {"a": 1}, object()])
def test_a_value_without_a_literal_is_a_mistake_of_ours(value: object) -> None:
    """It has to be bound."""
    with pytest.raises(TypeError, match="no SQL literal"):
        literal(value)


@given(_ANY.filter(lambda text: text and "\0" not in text))
def test_any_name_survives_as_an_identifier(name: str) -> None:
    """A column has the name that it was given."""
    assert _CONNECTION.sql(f"select 1 as {identifier(name)}").columns == [name]


@pytest.mark.parametrize(("name", "hint"), [("", "Give a name"), ("a\0b", "Leave the NUL character out")])
def test_a_name_that_duckdb_cannot_hold_is_refused(name: str, hint: str) -> None:
    """It would not find it again."""
    with pytest.raises(InvalidArgument, match=hint):
        identifier(name)


def test_filling_does_not_fill_what_was_filled_in() -> None:
    """A part may hold braces; a brace that is no slot stays."""
    assert fill("select {a}, {'k': 1} from {t}", a=["{t}", "b"], t='"x{a}"') == "select {t}, b, {'k': 1} from \"x{a}\""
    with pytest.raises(KeyError):
        fill("{missing}")


def test_words_are_a_superset_of_the_relations() -> None:
    """In lower case, from anywhere in the text."""
    assert {"events", "order_placed", "größe"} <= queries.words('FROM Events JOIN "order_placed" -- GRÖSSE größe')


# ---- running


def test_rows_arrow_and_batches_give_the_same(log: queries.Connection) -> None:
    """With bound values, and nothing for a statement that has no result."""
    assert queries.rows(log, "select $a + 1", {"a": 1}) == [(2,)]
    assert queries.arrow(log, "select $a + 1 as b", {"a": 1}).to_pylist() == [{"b": 2}]
    assert sum(batch.num_rows for batch in queries.batches(log, "from range(5000)", size=2048)) == 5000
    assert queries.rows(log, "create table u(a int)") == []


@pytest.mark.parametrize(
    "text",
    [
        "select 1",
        "from events",
        "values (1)",
        "table events",
        "FROM events;",
        "with x as (from events) from x",
        "-- why\nselect 1",
        "show tables",
        "describe events",
        "summarize events",
        "from (describe events)",
        "explain from events",
        "explain analyze from events",
        "EXPLAIN (FORMAT json) select 1",
        "-- c\nexplain select 1",
        "pivot (select event_type, position from events) on event_type in ('OrderPlaced') using count(*)",
        "unpivot (select position from events) on position",
        "select nextval('s')",
        "from range(3)",
        "select 'insert into t; copy' as \"delete\"",
        "select 'INSERT_QUERY_NODE' as type",
        "from duckdb_settings()",
        "select * from events where event_type not in ('COPY_QUERY_NODE', '\"type\":\"COPY_QUERY_NODE\"')",
        "with recursive r as (select 1 as n union all select n + 1 from r where n < 3) from r",
        "from query_table('events')",
    ],
)
def test_a_query_that_reads_runs(log: queries.Connection, text: str) -> None:
    """SELECT in all of its forms, and EXPLAIN of one."""
    assert select(log, text, None, relations=["events"]).fetchall()


_WRITES = [
    "insert into events values (2, 'x', null)",
    "insert into events values (2, 'x', null) returning position",
    "update events set position = 2 returning *",
    "delete from events returning *",
    "truncate events",
    "merge into events using events e on false when matched then delete",
    "create table u(a int)",
    "create view v as select 1",
    "create or replace temp macro m() as 1",
    "create sequence q",
    "alter table events add column c int",
    "drop table events",
    "copy events to '{file}'",
    "copy (select 1) to '{file}'",
    "copy events from '{file}'",
    "export database '{file}'",
    "import database '{file}'",
    "attach '{file}' as x",
    "attach ':memory:' as x",
    "detach memory",
    "use memory",
    "set timezone = 'UTC'",
    "set variable x = 1",
    "reset timezone",
    "pragma version",
    "pragma threads = 1",
    "call pragma_version()",
    "checkpoint",
    "vacuum",
    "analyze",
    "begin",
    "commit",
    "load json",
    "install json",
    "prepare p as select 1",
    "execute p",
    "deallocate p",
    "comment on table events is 'x'",
    "with x as (insert into events values (2, 'x', null) returning position) from x",
    "with x as (update events set position = 2 returning position) from x",
    "with x as (delete from events returning *) from x",
    "with x as (copy (select 1) to '{file}') from x",
    "from (with x as (delete from events returning *) from x)",
    "select * from events where position in (with x as (delete from events returning position) from x)",
    "explain insert into events values (2, 'x', null)",
    "explain analyze insert into events values (2, 'x', null)",
    "explain (analyze) delete from events",
    "/* a */ explain analyze copy (select 1) to '{file}'",
    "explain analyze create table u as select 1",
    "EXPLAIN ANALYZE with x as (copy (select 1) to '{file}') from x",
    "from query('with x as (copy (select 1) to ''{file}'') from x')",
    "from QUERY('sel' || 'ect 1')",
    "from \"query\"('select 1')",
    "from json_execute_serialized_sql(json_serialize_sql('select 1'))",
    "select 1; drop table events",
    "select 1; select 2",
    "drop table events; select 1",
    "",
    "  ",
    ";",
    "-- nothing",
]


@pytest.mark.parametrize("text", _WRITES)
def test_a_query_that_writes_is_refused(log: queries.Connection, tmp_path: Path, text: str) -> None:
    """Rows, files, settings, definitions, or several statements: nothing has happened, and the hint says what to write."""
    before = _world(log)
    with pytest.raises(QueryError, match=r"write one SELECT or FROM|syntax error"):
        select(log, text.replace("{file}", str(tmp_path / "out")), None, relations=["events"])
    assert _world(log) == before
    assert list(tmp_path.iterdir()) == []


def _world(connection: queries.Connection) -> list[Any]:
    """Return all that a query might have changed."""
    return [
        queries.rows(connection, text)
        for text in (
            "from events",
            "select table_name from duckdb_tables() order by all",
            "select view_name from duckdb_views() order by all",
            "select database_name from duckdb_databases() order by all",
            "select name, value from duckdb_settings() order by all",
            "from duckdb_variables()",
        )
    ]


@pytest.mark.parametrize(
    "text", ["pivot events on event_type using count(*)", "from (pivot events on event_type using count(*))"]
)
def test_a_pivot_without_its_columns_says_what_is_missing(log: queries.Connection, text: str) -> None:
    """DuckDB would first create a type of the values."""
    with pytest.raises(QueryError, match=r"Say the columns: PIVOT … ON event_type IN"):
        select(log, text, None, relations=["events"])


def test_values_are_bound(log: queries.Connection) -> None:
    """By name or by order; text stays text."""
    assert select(log, "select $a", {"a": "'; drop table events; --"}, relations=[]).fetchall() == [
        ("'; drop table events; --",)
    ]
    assert select(log, "select ?, ?", [1, None], relations=[]).fetchall() == [(1, None)]
    with pytest.raises(QueryError, match="Values were not provided"):
        select(log, "select $a", None, relations=[])


# ---- errors


@pytest.mark.parametrize(
    "text", ["from evnts", "with t as (from evnts) from t", 'select 1 from "Evnts"', "from main.evnts"]
)
def test_an_unknown_relation_is_told_with_the_nearest(log: queries.Connection, text: str) -> None:
    """The names that a person may use, not DuckDB's inner ones."""
    with pytest.raises(QueryError, match="There are: events, streams") as caught:
        select(log, text, None, relations=["streams", "events"])
    assert caught.value.message.endswith("Did you mean 'events'?")
    assert caught.value.matches == ["events"]
    assert caught.value.place.startswith("line 1, at: ")


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("select\n  event_typ\nfrom events", "event_type"),
        ("from events e\nwhere e.event_typ = 'x'", "event_type"),
        ('from events\nwhere "OrderPlaced".amuont > 1', "amount"),
        ("from order_placed\norder by amuont", "amount"),
        ("from events\nselect * exclude (event_typ)", "event_type"),
        ("from events\ngroup by event_typ", "event_type"),
    ],
)
def test_an_unknown_column_is_told_with_the_nearest_and_its_place(
    log: queries.Connection, text: str, nearest: str
) -> None:
    """Of a relation, an alias, a struct, a view; the place is the line in which it stands."""
    with pytest.raises(QueryError, match=f"Did you mean '{nearest}'") as caught:
        select(log, text, None, relations=["events"])
    assert caught.value.message.startswith("no column ")
    assert nearest in caught.value.matches
    assert nearest in caught.value.hint
    assert caught.value.place == f"line 2, at: {text.splitlines()[1].strip()}"


def test_text_in_double_quotes_is_told_apart_from_a_column(log: queries.Connection) -> None:
    """The commonest mistake of all: the hint has the text in single quotes."""
    with pytest.raises(QueryError, match=r"If it is text, write 'it''s it'\."):
        select(log, 'from events where event_type = "it\'s it"', None, relations=["events"])


def test_a_column_without_any_relation_is_told(log: queries.Connection) -> None:
    """There is nothing near; the hint says how to look."""
    with pytest.raises(QueryError, match=r"no column 'x'\.\nDESCRIBE shows"):
        select(log, "select x", None, relations=["events"])


def test_a_syntax_error_has_its_place(log: queries.Connection) -> None:
    """The line, and what stands in it."""
    with pytest.raises(QueryError, match="syntax error") as caught:
        select(log, "select 1\nfrom events\nwher 1 = 1 and", None, relations=["events"])
    assert caught.value.place.startswith("line 3, at: wher 1 = 1")


@pytest.mark.parametrize(
    "text",
    [
        "select foo(1)",
        "from foo(1)",
        "select 1 +",
        "select cast(1 as bogus)",
        "from 'none.parquet'",
        "(((",
        "\0",
        "select '",
        "$",
        "?",
    ],
)
def test_every_error_of_a_query_is_one_line_and_a_hint(log: queries.Connection, text: str) -> None:
    """Whatever DuckDB says, none of its own errors comes through."""
    with pytest.raises(QueryError) as caught:
        select(log, text, None, relations=["events"]).fetchall()
    assert caught.value.message
    assert "\n" not in caught.value.message


def test_an_error_of_the_source_names_it() -> None:
    """A bulk load tells which file; a full disk is told as such, and memory is not the source's fault."""
    with pytest.raises(InvalidSource, match=r"^a\.csv: Conversion Error"), queries.sourced("a.csv"):
        _CONNECTION.sql("select 'x'::int").fetchall()
    with pytest.raises(StoreFull, match="Free some space"), queries.sourced("a.csv"):
        raise duckdb.IOException("Could not write: No space left on device")
    with pytest.raises(duckdb.OutOfMemoryException), queries.sourced("a.csv"):
        raise duckdb.OutOfMemoryException("too much")


@pytest.mark.parametrize(
    "text",
    [
        "VARCHAR DEFAULT 'x'",
        "INT NOT NULL",
        "INT)--",
        "INT /* x */",
        "VARCHAR COLLATE NOCASE",
        "INT; drop table t",
        "INT CHECK (1)",
    ],
)
def test_a_type_with_more_than_a_type_is_refused(text: str) -> None:
    """DuckDB drops the rest without a word; here it is told."""
    with pytest.raises(InvalidArgument, match="Write the type alone"):
        queries.parse_type(text)


@pytest.mark.parametrize("text", ["", "bogus", "DECIMAL(39,0)", "STRUCT()", "ENUM()", "\0", "\ud800", "ANY", "LIST"])
def test_what_is_no_type_is_refused(text: str) -> None:
    """The hint names some that are."""
    with pytest.raises(InvalidArgument, match="Like VARCHAR, BIGINT"):
        queries.parse_type(text)


def test_the_version_is_duckdb_s() -> None:
    """As snapshots are keyed by it."""
    assert queries.version() == duckdb.__version__
