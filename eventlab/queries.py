"""The only place where text becomes SQL, and the only one that imports DuckDB.

Two kinds of slot: ``$name`` is a value, which DuckDB binds; ``{name}`` is an identifier, a list of identifiers, or SQL
that this module or its callers built from such parts.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

import duckdb

from eventlab.errors import InvalidArgument, InvalidSource, QueryError, StoreFull, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa

Connection = duckdb.DuckDBPyConnection
Relation = duckdb.DuckDBPyRelation
Type = duckdb.sqltypes.DuckDBPyType
DuckDBError = duckdb.Error

_READERS = {"SELECT", "EXPLAIN", "RELATION"}
_MISSING_TABLE = re.compile(r'Table with name "?(.+?)"? does not exist', re.DOTALL)
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
        "enable_progress_bar": False,
    }
    if memory:
        settings["memory_limit"] = memory
    if spill:
        settings["temp_directory"] = spill
    for name, value in settings.items():
        connection.execute(f"set global {identifier(name)} = {literal(value)}")
    return connection


def identifier(name: str) -> str:
    """Return ``name`` quoted as a SQL identifier."""
    if "\0" in name:
        message = f"a name cannot hold a NUL character: {name!r}"
        raise InvalidArgument(message)
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """Return ``value`` as a SQL literal, for the statements in which DuckDB binds nothing (``create view``, ``set``)."""
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
    message = f"no SQL literal for {type(value).__name__}"
    raise TypeError(message)


def fill(template: str, **slots: str | Iterable[str]) -> str:
    """Put SQL parts into the ``{name}`` slots of ``template``; a list is joined by commas."""
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

    Raises
    ------
    QueryError
        If it is not one statement that only reads, does not parse, or names what does not exist (with near matches).
    """
    with explained(relations):
        statements = connection.extract_statements(text)
        kinds = [statement.type.name for statement in statements]
        if len(statements) != 1 or kinds[0] not in _READERS:
            message = f"a query is one statement that reads; this is {' and '.join(kinds) or 'empty'}"
            raise QueryError(message, hint="The log changes by append and ingest only; write one SELECT or FROM.")
        relation = connection.sql(text, params=params) if params else connection.sql(text)
    if relation is None:
        message = "the statement returns no rows"
        raise QueryError(message, hint="Write a SELECT or FROM.")
    return relation


@contextlib.contextmanager
def explained(relations: Sequence[str] = ()) -> Iterator[None]:
    """Turn DuckDB's errors into a QueryError with its place and, for an unknown relation, the near matches."""
    try:
        yield
    except duckdb.Error as error:
        raise query_error(error, relations) from None


def query_error(error: duckdb.Error, relations: Sequence[str] = ()) -> QueryError:
    """Return DuckDB's error as ours: one line that says what, the place, and the names that come near."""
    text = str(error)
    found = _PLACE.search(text)
    place = f"line {found[1]}, at: {found[2].strip()}" if found else ""
    missing = _MISSING_TABLE.search(text)
    if missing and isinstance(error, duckdb.CatalogException):
        message, hint, matches = unknown("relation", missing[1], relations)
        return QueryError(message, hint=hint, place=place, matches=matches)
    lines = [line.strip() for line in text.split("\nLINE ")[0].splitlines() if line.strip()]
    return QueryError(lines[0], hint=" ".join(lines[1:] + ([place] if place else [])), place=place)


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
        If DuckDB knows no such type.
    """
    try:
        return duckdb.sqltype(text)
    except duckdb.Error as error:
        message = f"{text!r} is no DuckDB type: {str(error).splitlines()[0]}"
        raise InvalidArgument(
            message, hint="Like VARCHAR, BIGINT, DOUBLE, DECIMAL(18,2), BOOLEAN, TIMESTAMPTZ, DATE, JSON, VARCHAR[]."
        ) from None


def version() -> str:
    """Return DuckDB's version."""
    return duckdb.__version__
