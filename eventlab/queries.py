"""The only place where text becomes SQL, and the only one that imports DuckDB.

Two kinds of slot: ``$name`` is a value, which DuckDB binds; ``{name}`` is an identifier, a list of identifiers, or SQL
that this module or its callers built from such parts.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
from typing import TYPE_CHECKING, Any

import duckdb
import duckdb.func

from eventlab.errors import InvalidArgument, InvalidSource, QueryError, StoreFull, near, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

Connection = duckdb.DuckDBPyConnection
Relation = duckdb.DuckDBPyRelation
Type = duckdb.sqltypes.DuckDBPyType
DuckDBError = duckdb.Error
FileError = (duckdb.IOException, duckdb.InvalidInputException)  # a file is missing, or is not what it should be

_MISSING_TABLE = re.compile(r'Table with name "?(.+?)"? does not exist', re.DOTALL)
_MISSING_COLUMN = re.compile(
    r'(?:Referenced column|Could not find key|Column) "(.+?)" (?:not found|in |does not exist|was not found)'
    r'|Table "[^"]*" does not have a column named "(.+?)"\n',
    re.DOTALL,
)
_CANDIDATES = re.compile(r"Candidate (?:bindings|Entries):(.*)")
_EXPLAIN = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*explain\b(?:\s*\([^)]*\)|\s+analyze\b)?", re.IGNORECASE | re.DOTALL)
# In a serialized SELECT: a common table expression that writes (INSERT, COPY, …), or a function that runs text.
_WRITES = re.compile(r'"type":"(\w+)_QUERY_NODE"|"function_name":"(query|json_execute_serialized_sql)"', re.IGNORECASE)
_QUOTED = re.compile(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'")
_MORE_THAN_A_TYPE = re.compile(
    r"--|/\*|;|\b(?:not|default|collate|check|primary|unique|references|constraint)\b", re.IGNORECASE
)
_OF_THE_MOMENT = frozenset(  # what DuckDB calls constant within one query, and what is sampled
    {"now", "today", "ago", "txid_current", "transaction_timestamp", "get_current_timestamp", "get_current_time"}
    | {"current_localtimestamp", "current_localtime", "current_date", "current_time", "current_timestamp"}
    | {"localtime", "localtimestamp", "current_user", "session_user", "getvariable", "reservoir_quantile"}
)
_TABLES = frozenset(
    {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EMPTY", "EXPRESSION_LIST", "CTE"}
)  # in a FROM
_PLACE = re.compile(r"LINE (\d+): (.*)\n( *)\^")


def connect(timezone: str = "UTC", *, memory: str | None = None, spill: str | None = None) -> Connection:
    """Return an in-memory DuckDB whose clock is ``timezone`` and which sees none of the caller's variables.

    Parameters
    ----------
    timezone
        The IANA zone in which text without an offset is read.
    memory
        How much memory DuckDB may take, like ``"2GB"``; its default otherwise.
    spill
        A folder for what does not fit.
    """
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    settings: dict[str, object] = {
        "python_enable_replacements": False,
        "TimeZone": timezone,
        "parquet_metadata_cache": True,
    }
    if memory:
        settings["memory_limit"] = memory
    if spill:
        settings["temp_directory"] = spill
    for name, value in settings.items():
        connection.execute(f"set global {identifier(name)} = {literal(value)}")
    connection.execute("set enable_progress_bar = false")  # local: cursors begin without one
    return connection


def identifier(name: str) -> str:
    """Return ``name`` quoted as a SQL identifier.

    Raises
    ------
    InvalidArgument
        If it is empty, or holds a NUL character: DuckDB could not find it again.
    """
    if not name:
        raise InvalidArgument("a name cannot be empty", hint="Give a name.")
    if "\0" in name:
        message = f"a name cannot hold a NUL character: {name!r}"
        raise InvalidArgument(message, hint="Leave the NUL character out.")
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """Return ``value`` as a SQL literal, for statements in which DuckDB binds nothing (``create view``, ``set``).

    Examples
    --------
    >>> literal(["it's", 5, None])
    "['it''s', 5, NULL]"
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return "'" + value.replace("'", "''") + "'"
        case list() | tuple():
            return "[" + ", ".join(map(literal, value)) + "]"
        case _:
            pass
    message = f"no SQL literal for {type(value).__name__}"
    raise TypeError(message)


def fill(template: str, **slots: str | Iterable[str]) -> str:
    """Put SQL parts into the ``{name}`` slots of ``template``; a list is joined by commas.

    Braces in a part are left as they are.

    Examples
    --------
    >>> fill("select {columns} from {table}", columns=["a", "b"], table=identifier("my events"))
    'select a, b from "my events"'
    """
    parts = {name: part if isinstance(part, str) else ", ".join(part) for name, part in slots.items()}
    return re.sub(r"\{(\w+)\}", lambda slot: parts[slot[1]], template)


def words(text: str) -> set[str]:
    """Return every word of a query, in lower case: a superset of the relations that it names."""
    return {word.lower() for word in re.findall(r"\w+", text)}


def rows(connection: Connection, text: str, params: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
    """Run ``text`` and return all of its rows."""
    relation = connection.sql(text, params=params) if params else connection.sql(text)
    return [] if relation is None else relation.fetchall()


def arrow(connection: Connection, text: str, params: Mapping[str, object] | None = None) -> pa.Table:
    """Run ``text`` and return its result as an Arrow table."""
    relation = connection.sql(text, params=params) if params else connection.sql(text)
    return relation.to_arrow_table()


def batches(connection: Connection, text: str, *, size: int) -> pa.RecordBatchReader:
    """Run ``text`` and return a reader of its record batches, made as they are read."""
    return connection.sql(text).to_arrow_reader(size)


def select(connection: Connection, text: str, params: object, *, relations: Sequence[str]) -> Relation:
    """Return the relation of a query that a user wrote.

    A query may read files and run any function; what it cannot do is write: rows, files, settings, definitions. That
    guards against mistakes; it is no sandbox for the queries of strangers.

    Raises
    ------
    QueryError
        If it is not one statement that only reads, does not parse, or names what does not exist (with near matches).
    """
    with explained(relations, text):
        _check_reads(connection, text)
        return connection.sql(text, params=params) if params else connection.sql(text)


def _check_reads(connection: Connection, text: str) -> None:
    """Raise QueryError unless ``text`` is one statement that only reads, or an EXPLAIN of one."""
    kinds = [statement.type.name for statement in connection.extract_statements(text)]
    if kinds == ["EXPLAIN"] and (explain := _EXPLAIN.match(text)):  # EXPLAIN ANALYZE runs what it explains
        _check_reads(connection, text[explain.end() :])
        return
    if kinds == ["MULTI"]:
        message = "a PIVOT whose columns are not said is two statements, of which one writes"
        raise QueryError(message, hint="Say the columns: PIVOT … ON event_type IN ('OrderPlaced', 'OrderPaid') USING …")
    if kinds == ["SELECT"]:
        ((tree,),) = rows(connection, "select json_serialize_sql($text)", {"text": text})
        kinds += [found[1] or found[2].lower() for found in _WRITES.finditer(tree)]
    if kinds != ["SELECT"]:
        message = f"a query is one statement that reads; this is {' and '.join(kinds) or 'empty'}"
        raise QueryError(message, hint="The log changes by append and ingest only; write one SELECT or FROM.")


@contextlib.contextmanager
def explained(relations: Sequence[str] = (), text: str = "") -> Iterator[None]:
    """Turn DuckDB's errors about the query ``text`` into a QueryError with its place and the names that come near."""
    try:
        yield
    except duckdb.Error as error:
        raise query_error(error, relations, text) from None


def query_error(error: duckdb.Error, relations: Sequence[str] = (), text: str = "") -> QueryError:
    """Return DuckDB's error as ours: one line that says what, the place, and the names that come near."""
    said = str(error)
    found = _PLACE.search(said)
    place = f"line {found[1]}, at: {found[2].strip()}" if found else ""
    if isinstance(error, duckdb.CatalogException) and (missing := _MISSING_TABLE.search(said)):
        message, hint, matches = unknown("relation", missing[1], relations)
        return QueryError(message, hint=hint, place=place or _place(missing[1], text), matches=matches)
    if isinstance(error, duckdb.BinderException) and (missing := _MISSING_COLUMN.search(said)):
        return _unknown_column(missing[1] or missing[2], said, place, text)
    lines = [line.strip() for line in said.split("\nLINE ", maxsplit=1)[0].splitlines() if line.strip()]
    lines = lines or [type(error).__name__]
    return QueryError(lines[0], hint=" ".join(lines[1:] + ([place] if place else [])), place=place)


def _unknown_column(name: str, said: str, place: str, text: str) -> QueryError:
    """Return the error of a column that does not exist, with the candidates that DuckDB names."""
    listed = _CANDIDATES.search(said)
    matches = re.findall(r'"((?:[^"]|"")*)"', listed[1]) if listed else []
    guess = f" Did you mean {matches[0]!r}?" if near(name, matches) else ""
    hints = [f"Near it: {', '.join(matches)}."] if matches else []
    if identifier(name) in text:
        hints.append(f"If it is text, write {literal(name)}.")
    hint = " ".join(hints) or "DESCRIBE shows the columns of a relation."
    return QueryError(f"no column {name!r}.{guess}", hint=hint, place=place or _place(name, text), matches=matches)


def _place(name: str, text: str) -> str:
    """Return where in a query a name first stands."""
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
    lines = enumerate(text.splitlines(), start=1)
    return next((f"line {number}, at: {line.strip()}" for number, line in lines if word.search(line)), "")


@contextlib.contextmanager
def sourced(source: str) -> Iterator[None]:
    """Turn DuckDB's errors about the source of a bulk load into an InvalidSource that names it."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        if "No space left" in str(error):
            message = f"the disk is full: {error}"
            raise StoreFull(message, hint="Free some space and load again.") from None
        ours = query_error(error)
        message = f"{source}: {ours.message}"
        raise InvalidSource(message, hint=ours.hint) from None


def parse_type(text: str) -> Type:
    """Return DuckDB's reading of the name of a type.

    Raises
    ------
    InvalidArgument
        If DuckDB knows no such type, or the text says more than a type (DuckDB would silently drop ``DEFAULT 5``).
    """
    more = _MORE_THAN_A_TYPE.search(_QUOTED.sub("", text)) if isinstance(text, str) else None
    if more:
        message = f"{text!r} is more than a type: {more[0]!r}"
        raise InvalidArgument(message, hint="Write the type alone; NOT NULL may follow it once.")
    try:
        return duckdb.sqltype(text)
    except (duckdb.Error, TypeError) as error:  # a TypeError: no text, or text with a lone surrogate
        message = f"{text!r} is no DuckDB type: {str(error).splitlines()[0]}"
        raise InvalidArgument(
            message, hint="Like VARCHAR, BIGINT, DOUBLE, DECIMAL(18,2), BOOLEAN, TIMESTAMPTZ, DATE, JSON, VARCHAR[]."
        ) from None


def version() -> str:
    """Return DuckDB's version."""
    return duckdb.__version__


def copy(connection: Connection, text: str, path: Path) -> None:
    """Write the result of ``text`` to a Parquet file."""
    connection.execute(f"copy ({text}) to {literal(str(path))} (format parquet)")


def connections(connection: Connection) -> int:
    """Return how many connections to the same database are open, this one and those of living relations among them."""
    return int(rows(connection, "from duckdb_connection_count()")[0][0])


def function(connection: Connection, name: str, batch: Callable[[pa.Array], pa.Array]) -> None:
    """Give a connection a function of one text that yields a text or NULL, computed a batch at a time in Python."""
    arrow, special = duckdb.func.PythonUDFType.ARROW, duckdb.func.FunctionNullHandling.SPECIAL
    connection.create_function(name, batch, ["varchar"], "varchar", type=arrow, null_handling=special)


def syntax(text: str) -> dict[str, Any]:
    """Return DuckDB's own syntax tree of one SELECT statement.

    Raises
    ------
    QueryError
        If the text does not parse, or is not one SELECT.
    """
    [(answer,)] = rows(_grammar().cursor(), "select json_serialize_sql($text)", {"text": text})
    tree: dict[str, Any] = json.loads(answer)
    if tree["error"]:
        raise QueryError(str(tree["error_message"]).splitlines()[0], hint="Write one SELECT.")
    if len(tree["statements"]) != 1:
        raise QueryError(f"this is {len(tree['statements'])} statements", hint="Write one SELECT.")
    node: dict[str, Any] = tree["statements"][0]["node"]
    return node


def takes_all(text: str, structs: Collection[str]) -> bool:
    """Tell whether a query may take what it does not name: by a star, a place, whole rows or ``structs``, or in unknown ways.

    ``structs`` are the names of columns that have fields, in lower case.
    """
    try:
        nodes = list(walk(syntax(text)))
    except QueryError:
        return True
    tables = {_alias(node).lower() for node in nodes if node.get("type") in _TABLES}
    references = [node["column_names"] for node in nodes if node.get("class") == "COLUMN_REF"]
    return any(map(_takes_all, nodes)) or any(
        names[-1].lower() in structs or (len(names) == 1 and names[0].lower() in tables) for names in references
    )


def _takes_all(node: Mapping[str, Any]) -> bool:
    """Tell whether a node of a syntax tree may take columns that the query does not name."""
    if node.get("class") in {"STAR", "POSITIONAL_REFERENCE"}:
        return True
    if "column_name_alias" not in node and "ref_type" not in node:  # no table
        return False
    if node.get("type") not in _TABLES or node.get("column_name_alias"):
        return True
    called = str((node.get("function") or {}).get("function_name", "")).lower()
    return node.get("ref_type") == "NATURAL" or called in {"query", "query_table"}


def _alias(node: Mapping[str, Any]) -> str:
    """Return the name by which a query knows a table."""
    called = (node.get("function") or {}).get("function_name")
    return str(node.get("alias") or node.get("table_name") or called or "")


def walk(tree: object) -> Iterator[dict[str, Any]]:
    """Yield every node of a syntax tree, the root first."""
    if isinstance(tree, dict):
        yield tree
        for part in tree.values():
            yield from walk(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from walk(part)


def replaced(tree: Any, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Any:  # noqa: ANN401 - a tree, or what one is made of
    """Return a tree in which ``change`` has replaced nodes, the outermost first; None leaves a node and looks inside."""
    if isinstance(tree, dict):
        new = change(tree) if "class" in tree else None
        return new if new is not None else {name: replaced(part, change) for name, part in tree.items()}
    return [replaced(part, change) for part in tree] if isinstance(tree, list) else tree


def rendered(expression: Mapping[str, Any]) -> str:
    """Return the SQL of an expression of a syntax tree."""
    node = {**_blank("select 1"), "select_list": [{**expression, "alias": ""}]}
    return _rendered_node(node).removeprefix("SELECT ")


def rendered_source(table: Mapping[str, Any]) -> str:
    """Return the SQL of a FROM clause of a syntax tree, without its FROM."""
    return _rendered_node({**_blank("select 1 from x"), "from_table": table}).removeprefix("SELECT 1 FROM ")


def _rendered_node(node: Mapping[str, Any]) -> str:
    tree = json.dumps({"error": False, "statements": [{"node": node, "named_param_map": []}]})
    return str(rows(_grammar().cursor(), "select json_deserialize_sql($tree)", {"tree": tree})[0][0])


@functools.cache
def _blank(text: str) -> dict[str, Any]:
    """Return the syntax tree of a query that others are made of; it is never changed."""
    return syntax(text)


@functools.cache
def _grammar() -> Connection:
    """Return a connection for DuckDB's parser alone."""
    return connect()


@functools.cache
def aggregates() -> frozenset[str]:
    """Return the names of DuckDB's aggregate functions, in lower case."""
    text = "select distinct lower(function_name) from duckdb_functions() where function_type = 'aggregate'"
    return frozenset(name for (name,) in rows(_grammar().cursor(), text))


def unsteady(tree: object) -> str | None:
    """Return what in a syntax tree asks for the time, for chance, or for the session; None if nothing does."""
    for found in walk(tree):
        name = found.get("function_name")
        names = found.get("column_names")
        if found.get("class") == "COLUMN_REF" and names and len(names) == 1:
            name = names[0] if names[0].lower().startswith(("current_", "local")) else None
        if name is None:
            if found.get("sample") is not None:
                return "a sample"
        elif str(name).lower() == "age" and len(found["arguments"]) == 1:
            return "age() of one time"
        elif str(name).lower() in _OF_THE_MOMENT | _volatile():
            return str(name)
    return None


@functools.cache
def _volatile() -> frozenset[str]:
    """Return the names of DuckDB's functions that give another answer each time, in lower case."""
    text = "select distinct lower(function_name) from duckdb_functions() where stability = 'VOLATILE'"
    return frozenset(name for (name,) in rows(_grammar().cursor(), text)) - {"error"}


@functools.cache
def aggregate_macros() -> frozenset[str]:
    """Return the names of DuckDB's macros that are made of aggregates, in lower case."""
    text = "select lower(function_name), lower(macro_definition) from duckdb_functions() where function_type = 'macro'"
    macros = rows(_grammar().cursor(), text)
    direct = {name for name, body in macros if body and set(re.findall(r"(\w+)\s*\(", body)) & aggregates()}
    return frozenset(direct | {name for name, body in macros if body and words(body) & direct})
