"""Cohorts: named sets of actors, which SQL and the ``where`` of any analysis can ask for.

A cohort is a table of one column in the session's DuckDB, which holds what there was when it was made; the log does not keep it.
"""

from __future__ import annotations

import itertools
import re
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.errors import InvalidArgument, QueryError, unknown
from eventlab.events import COLUMNS
from eventlab.session import Scope
from eventlab.session.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import polars as pl

    from eventlab.analytics.questions import Question
    from eventlab.session import Session

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SCHEMA = "cohorts"
_TABLES = f"select table_name from duckdb_tables() where schema_name = '{_SCHEMA}'"
_MADE = """
create table {table} as
select distinct {column} as actor from eventlab_members where {column} is not null
"""
_ORDERED = """
select actor from ({members}
)
order by actor
"""
_MEMBER = "select (actor in ({members}))"
_HINT = 'Give the actors(...) of an analysis, a relation, or SQL: "SELECT stream_id FROM order_placed".'


class _Table:
    """A table of actors, never changed; dropped once nothing refers to this."""

    def __init__(self, cohort: str) -> None:
        self.name = f"{_SCHEMA}.{queries.identifier(f'{cohort.lower()}_{next(_numbers)}')}"


_numbers = itertools.count(1)
_alive: weakref.WeakValueDictionary[str, _Table] = weakref.WeakValueDictionary()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cohort:
    """A set of actors, as it was when it was made. Made by ``log.cohort``.

    ``a & b``, ``a | b`` and ``a - b`` are the actors of both, of either, and of the first alone: cohorts without a name, which
    ``log.cohort("name", a & b)`` gives one.

    Attributes
    ----------
    name
        The relation that it is in SQL; None if it has no name.
    size
        How many actors it has.
    members
        The SELECT of them.
    """

    session: Session
    name: str | None
    size: int
    members: str
    tables: frozenset[_Table]

    def pl(self) -> pl.DataFrame:
        """Return the actors as a Polars frame with one column, ``actor``, in order."""
        text = queries.fill(_ORDERED, members=self.members)
        frame: pl.DataFrame = self.session.sql(text).pl()
        return frame

    def __len__(self) -> int:
        return self.size

    def __and__(self, other: Cohort) -> Cohort:
        return self._with(other, "intersect")

    def __or__(self, other: Cohort) -> Cohort:
        return self._with(other, "union")

    def __sub__(self, other: Cohort) -> Cohort:
        return self._with(other, "except")

    def _with(self, other: Cohort, operation: str) -> Cohort:
        if not isinstance(other, Cohort):
            return NotImplemented
        if other.session is not self.session:
            raise InvalidArgument(
                "the two cohorts are of different logs", hint="Make one of them anew: log.cohort(name, other.pl())."
            )
        return _cohort(self.session, None, f"({self.members} {operation} {other.members})", self.tables | other.tables)

    def __repr__(self) -> str:
        return f"<Cohort {self.name or '(no name)'}: {self.size:,} actors>"


def cohort(question: Question, name: str, source: object) -> Cohort:
    """Make the cohort that is described at ``EventLog.cohort``."""
    session = question.session
    _check_name(question, name)
    members, table = _members(question, source), _Table(name)
    with session.working("", Scope(), question.registry) as connection:
        _clean_up(connection)
        connection.execute(f"create schema if not exists {_SCHEMA}")
        connection.register("eventlab_members", members)
        column = queries.identifier(members.column_names[0])
        connection.execute(queries.fill(_MADE, table=table.name, column=column))
        connection.unregister("eventlab_members")
        _alive[table.name] = table
        made = _cohort(session, name, f"select actor from {table.name}", frozenset([table]))
        session.cohorts[name.lower()] = made
    return made


def _clean_up(connection: queries.Connection) -> None:
    """Drop the tables of which no cohort is left; relations that were pinned before see them still."""
    for (found,) in queries.rows(connection, _TABLES):
        name = f"{_SCHEMA}.{queries.identifier(found)}"
        if name not in _alive:
            connection.execute(f"drop table {name}")


def _cohort(session: Session, name: str | None, members: str, tables: frozenset[_Table]) -> Cohort:
    """Return the cohort of a SELECT, counted."""
    ((size,),) = session.rows(f"select count(*) from ({members})")
    return Cohort(session, name, int(size), members, tables)  # type: ignore[call-overload]


def _members(question: Question, source: object) -> Any:  # noqa: ANN401 - an Arrow table
    """Return the actors of a source as an Arrow table of one column."""
    if isinstance(source, Cohort):
        source = source.pl()
    if isinstance(source, str):
        source = question.run(source)
    if isinstance(source, Result):
        source = source.relation
    if isinstance(source, queries.Relation):
        column = next((name for name in source.columns if name.lower() == "actor"), source.columns[0])
        with queries.explained():
            return source.project(queries.identifier(column)).to_arrow_table()
    to_arrow = getattr(source, "to_arrow", None)  # a Polars frame
    if to_arrow is None:
        raise InvalidArgument(f"{type(source).__name__} is no set of actors", hint=_HINT)
    table = to_arrow()
    names = table.column_names
    return table.select([next((name for name in names if name.lower() == "actor"), names[0])])


def _check_name(question: Question, name: object) -> None:
    """Raise InvalidArgument unless a cohort can have that name."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r} is no name of a cohort", hint="A name begins with a letter and has letters, digits and _."
        )
    try:
        queries.syntax(f"select actor in {name} from {name}")
    except QueryError:
        raise InvalidArgument(f"{name!r} is a word of SQL", hint=f"Name it {name}_cohort, for example.") from None
    taken = {*question.session.names(question.registry), *question.registry.names, *COLUMNS, "category"}
    if name.lower() in {other.lower() for other in taken}:
        raise InvalidArgument(
            f"{name!r} names something else in SQL already", hint=f"Name it {name}_cohort, for example."
        )


def named(session: Session) -> dict[str, Cohort]:
    """Return the cohorts of a session by name, in lower case."""
    return {name: made for name, made in session.cohorts.items() if isinstance(made, Cohort)}


def resolved(where: str, actor: str, cohorts: Mapping[str, Cohort]) -> tuple[str, tuple[Cohort, ...]]:
    """Return a condition in which ``x IN power`` asks for the members of that cohort as they are now, and the cohorts asked.

    ``actor IN power`` asks for who acts (``actor``, SQL over events); elsewhere ``actor`` is the column of ``events``.
    """
    if not queries.words(where) & set(cohorts):
        return where, ()
    asked: dict[str, Cohort] = {}

    def change(node: dict[str, Any]) -> dict[str, Any] | None:
        found = membership(node)
        name = found[1].lower() if found else ""
        if found is None or name not in cohorts:
            return None
        asked[name] = cohorts[name]
        member = _expression(queries.fill(_MEMBER, members=cohorts[name].members))
        who = queries.replaced(found[0], change)
        member["child"] = _expression(f"select ({actor}\n)") if who.get("column_names") == ["actor"] else who
        if node["type"] == "COMPARE_NOT_IN":
            return {**_expression("select (not x)"), "children": [member]}
        return member

    tree: dict[str, Any] = queries.replaced(_expression(f"select ({where}\n)"), change)
    return queries.rendered(tree), tuple(asked.values())


def membership(node: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """Return what a node asks for and the bare name in which it does, if it is ``x IN name`` or ``x NOT IN (name)``."""
    if node.get("function_name") == "contains" and len(node["arguments"]) == 2:  # noqa: PLR2004 - so it parses x IN name
        name, who = (argument["expression"] for argument in node["arguments"])
    elif node.get("type") in ("COMPARE_IN", "COMPARE_NOT_IN") and len(node["children"]) == 2:  # noqa: PLR2004
        who, name = node["children"]
    else:
        return None
    columns = name.get("column_names") or []
    return (who, columns[0]) if len(columns) == 1 else None


def explained(error: QueryError, where: str, cohorts: Iterable[str]) -> QueryError:
    """Return the error of an unknown column, if ``x IN name`` names it, as that of an unknown cohort."""
    missing = re.search(r"no column '(.+?)'", error.message)
    if missing is None:
        return error
    asked = [found for node in queries.walk(_expression(f"select ({where}\n)")) if (found := membership(node))]
    if missing[1] not in [name for _, name in asked]:
        return error
    message, hint, matches = unknown("cohort", missing[1], cohorts)
    return QueryError(f"where: {message}", hint=f'{hint} log.cohort("{missing[1]}", …) makes it.', matches=matches)


def _expression(text: str) -> dict[str, Any]:
    """Return the syntax tree of the one expression of a SELECT.

    Raises
    ------
    QueryError
        If it is more than one.
    """
    listed: list[dict[str, Any]] = queries.syntax(text)["select_list"]
    if len(listed) != 1:
        raise QueryError("this is more than one expression", hint="Write one condition.")
    return listed[0]
