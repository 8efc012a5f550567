"""Conditions of alerts: one SQL expression over the figures of a report, or over the columns of a row."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.errors import QueryError, unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.reports.figures import Figure

_HOLDS = """
select {condition} as holds
from (select {figures}) as figures   -- one row, whose values are bound
"""
_NOT_HERE = {
    "SUBQUERY": "a query",
    "STAR": "a star",
    "WINDOW": "a window",
    "PARAMETER": "a parameter",
    "LAMBDA": "a lambda",
    "DEFAULT": "a default",
}
_MANY_OR_SETTINGS = frozenset({"unnest", "current_setting", "query", "query_table"})
_HINT = 'Write one expression over the figures, like "cancelled > 300 and share >= 0.1".'


def holds(when: str, figures: Sequence[Figure], *, timezone: str = "UTC") -> bool | None:
    """Tell whether a condition holds of figures.

    Parameters
    ----------
    when
        One SQL expression of DuckDB that is true or false, over the names of the figures. Their values are bound, never
        pasted. It has no tables, reads no files, and asks for no time or chance.
    figures
        With the values. A NaN is no number, and taken as NULL.
    timezone
        In which a time without an offset is read.

    Returns
    -------
    bool or None
        None where SQL does not know, as of a figure that is None: the condition does not hold.

    Raises
    ------
    QueryError
        If it is no such expression, or names a figure that there is not: the message has the near ones, the hint all.

    Examples
    --------
    >>> from eventlab.reports.figures import Figure
    >>> holds("cancelled > 300", [Figure("cancelled", 472)]), holds("delay > 5", [Figure("delay", None)])
    (True, None)
    """
    tree = parsed(when)
    values: dict[str, Any] = {}
    columns: dict[str, str] = {}

    def bound(node: dict[str, Any]) -> dict[str, Any] | None:
        """Return a reference to the column by which a figure is bound."""
        if node["class"] != "COLUMN_REF":
            return None
        figure = _figure(".".join(node["column_names"]), figures)
        column = columns.setdefault(figure.name, f"f{len(columns)}")
        values[column] = _value(figure)
        return {**node, "column_names": [column]}

    condition = queries.rendered(queries.replaced(tree, bound))
    text = queries.fill(
        _HOLDS,
        condition=condition,
        figures=[f"${column} as {queries.identifier(column)}" for column in values] or ["null as none"],
    )
    try:
        with queries.explained():
            answer = queries.arrow(_database(timezone).cursor(), text, values or None)
    except QueryError as error:
        listed = ", ".join(f"{figure.name} ({type(figure.value).__name__})" for figure in figures)
        raise QueryError(f"the condition {when!r}: {error.message}", hint=f"Figures: {listed or 'none'}.") from None
    if str(answer.schema.field("holds").type) not in {"bool", "null"}:
        raise QueryError(f"the condition {when!r} is neither true nor false", hint="Compare it: cancelled > 300.")
    found: bool | None = answer.column("holds")[0].as_py()
    return found


def parsed(when: str) -> dict[str, Any]:
    """Return the syntax tree of a condition: what of it can be checked without any figures.

    Raises
    ------
    QueryError
        If it is not one expression, or has what a condition cannot have.
    """
    try:
        node = queries.syntax(f"select {when}\n")  # a comment at its end stays its own
    except QueryError as error:
        raise QueryError(f"the condition {when!r} cannot be read: {error.message}", hint=_HINT) from None
    expressions = node.get("select_list", [])
    frame, blank = ({part: tree[part] for part in tree if part != "select_list"} for tree in (node, _blank()))
    if len(expressions) != 1 or frame != blank:
        raise QueryError(f"the condition {when!r} is more than one expression", hint=_HINT)
    fault = next(filter(None, map(_fault, queries.walk(expressions[0]))), None) or queries.unsteady(expressions[0])
    if fault:
        raise QueryError(f"the condition {when!r} has {fault}, which a condition cannot have", hint=_HINT)
    found: dict[str, Any] = expressions[0]
    return found


def names(when: str) -> list[str]:
    """Return the names of the figures that a condition is over, in order."""
    nodes = queries.walk(parsed(when))
    return list(dict.fromkeys(".".join(node["column_names"]) for node in nodes if node.get("class") == "COLUMN_REF"))


def _fault(node: dict[str, Any]) -> str | None:
    """Return what of a node a condition cannot have: what has rows, or looks beyond the figures."""
    called = str(node.get("function_name", "")).lower()
    return _NOT_HERE.get(str(node.get("class"))) or (f"{called}()" if called in _MANY_OR_SETTINGS else None)


def _figure(name: str, figures: Sequence[Figure]) -> Figure:
    """Return the figure of a name: of that very spelling, else the only one of it in any."""
    exact = [figure for figure in figures if figure.name == name]
    close = exact or [figure for figure in figures if figure.name.lower() == name.lower()]
    if len(close) == 1:
        return close[0]
    message, hint, matches = unknown("figure", name, [figure.name for figure in figures])
    none = 'The report declares none: el.figure("cancelled", value).'
    raise QueryError(message, hint=hint if figures else none, matches=matches)


def _value(figure: Figure) -> Any:  # noqa: ANN401 - as DuckDB binds it
    """Return a figure's value as it is bound."""
    value = figure.value
    return None if isinstance(value, float) and math.isnan(value) else value


@functools.cache
def _blank() -> dict[str, Any]:
    """Return the syntax tree of a query that is one expression."""
    return queries.syntax("select 1")


@functools.cache
def _database(timezone: str) -> queries.Connection:
    """Return an empty database that reaches no file."""
    connection = queries.connect(timezone)
    for setting in ("enable_external_access = false", "lock_configuration = true"):
        queries.rows(connection, f"set {setting}")
    return connection
