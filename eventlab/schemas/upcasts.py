"""Upcasts: how the fields of one version of an event type become those of the next, when old events are read.

An upcast is SQL by field, over the fields of the version before by their bare names, or a Python function that takes them as a
dict. Recorded events never change.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventlab import events, queries
from eventlab.errors import InvalidArgument, QueryError, unknown
from eventlab.schemas import columns, types

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eventlab.schemas.registry import Definition
    from eventlab.schemas.types import Field

_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_REFUSED = {"SUBQUERY": "a subquery", "WINDOW": "a window function", "PARAMETER": "a parameter", "STAR": "a star"}


def checked(upcast: object, fields: Mapping[str, Field], event_type: str) -> dict[str, str] | str:
    """Return an upcast as a definition keeps it.

    Raises
    ------
    InvalidArgument
        If it is no mapping of fields to SQL and no path of a Python function that can be imported.
    """
    if isinstance(upcast, str):
        function(upcast)
        return upcast
    if not isinstance(upcast, dict) or not all(isinstance(text, str) for text in upcast.values()):
        what = "a Python function itself" if callable(upcast) else repr(upcast)
        raise InvalidArgument(
            f"{event_type}: the upcast is {what}, which would not survive reopening the log",
            hint='Give SQL by field, {"amount": "price * qty"}, or the path of a function, "shop.upcasts:order_2".',
        )
    for name in upcast:
        if name not in fields:
            message, hint, _ = unknown(f"field of the new {event_type}", str(name), fields)
            raise InvalidArgument(message, hint=hint)
    return dict(upcast)


def function(path: str) -> Callable[[dict[str, Any]], object]:
    """Return the Python function at ``"module:function"``.

    Raises
    ------
    InvalidArgument
        If there is none that can be imported.
    """
    hint = 'Write "module:function", of a module that can be imported wherever the log is read.'
    if not _PATH.fullmatch(path):
        raise InvalidArgument(f"{path!r} is no path of a function", hint=hint)
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InvalidArgument(f"the upcast {path!r} cannot be imported: {error}", hint=hint) from None
    if not callable(found):
        raise InvalidArgument(f"{path!r} is {type(found).__name__}, not a function", hint=hint)
    called: Callable[[dict[str, Any]], object] = found
    return called


def batch(definition: Definition, before: Definition) -> Callable[[pa.Array], pa.Array]:
    """Return the function that makes JSON of ``before`` to JSON of ``definition``, many at a time."""
    path = str(definition.upcast)
    where = f"{definition.event_type}: the upcast {path!r} to version {definition.version}"

    def made(texts: pa.Array) -> pa.Array:
        evolve = function(path)

        def answer(text: str) -> str:
            try:
                return events.encoded(events.plain(evolve(before.decoded(text)), where), where)
            except Exception as error:  # whatever the function of a user raises
                raise QueryError(f"{where} fails: {type(error).__name__}: {error}, of {text[:200]}") from error

        return pa.array((None if text is None else answer(text) for text in texts.to_pylist()), pa.string())

    return made


def bound(upcast: Mapping[str, str], before: Definition) -> dict[str, str]:
    """Return the SQL of an upcast over the columns that hold the fields of the version before.

    Raises
    ------
    QueryError
        If an expression does not parse, is more than an expression of one event's fields, or names a field that there is not.
    """
    return {name: _bound(name, text, before) for name, text in upcast.items()}


def kinds(connection: queries.Connection, sql: Mapping[str, str], before: Definition) -> dict[str, queries.Type]:
    """Return DuckDB's type of each expression of a bound upcast.

    Raises
    ------
    QueryError
        If an expression does not bind.
    """
    empty = ", ".join(
        f"null::{columns.public(kind)} as {queries.identifier(columns.held(before, name))}"
        for name, kind in before.kinds.items()
    )
    found = {}
    for name, text in sql.items():
        try:
            with queries.explained(text=text):
                relation = connection.sql(f"select {text} as value from (select {empty or '1'}) where false")
        except QueryError as error:
            prefix = f"__{before.number}_{before.version}_"
            message, hint = error.message.replace(prefix, ""), error.hint.replace(prefix, "")
            raise QueryError(f"{before.event_type}: the upcast of {name}: {message}", hint=hint) from None
        found[name] = relation.types[0]
    return found


def _bound(name: str, text: str, before: Definition) -> str:
    """Return one expression with each field of the version before as the column that holds it."""
    where = f"{before.event_type}: the upcast of {name}"
    if not text.strip():
        raise QueryError(f"{where} is empty", hint="Write one SQL expression over the fields.")
    try:
        tree = queries.syntax(f"select ({text}\n)")
    except QueryError as error:
        raise QueryError(f"{where}: {error.message}", hint="Write one SQL expression over the fields.") from None
    expression = tree["select_list"][0]
    known = {field.lower(): field for field in before.fields}
    lambdas = {
        part["column_names"][0].lower()
        for node in queries.walk(expression)
        if node.get("type") == "LAMBDA"
        for part in queries.walk(node["lhs"])
        if part.get("class") == "COLUMN_REF"
    }
    for node in queries.walk(expression):
        called = str(node.get("function_name", "")).lower()
        if node.get("class") in _REFUSED or called in queries.aggregates():
            what = _REFUSED.get(str(node.get("class")), f"{called}()")
            raise QueryError(f"{where}: {what} is not of one event's fields", hint="Use the fields of the event alone.")

    if (unsteady := queries.unsteady(expression)) is not None and unsteady.lower() not in known:
        raise QueryError(
            f"{where}: {unsteady} gives another answer each time, and is not of one event's fields",
            hint="Use the fields of the event alone.",
        )

    def held(node: dict[str, Any]) -> dict[str, Any] | None:
        if node.get("class") != "COLUMN_REF" or node["column_names"][0].lower() in lambdas:
            return None
        first, *rest = node["column_names"]
        field = known.get(first.lower())
        if field is None:
            message, hint, matches = unknown(f"field of version {before.version}", first, before.fields)
            raise QueryError(f"{where}: {message}", hint=hint, matches=matches)
        return {**node, "column_names": [columns.held(before, field), *rest]}

    return queries.rendered(queries.replaced(expression, held))


def readable(native: queries.Type, field: Field) -> bool:
    """Tell whether a value of a DuckDB type may be cast to the type of a field: all but a nested value to a plain one or back."""
    nested = {"struct", "map", "list", "array", "union"}
    wanted = field.type.kind in {"STRUCT", "MAP", "LIST"}
    texts = native.id == "varchar" or str(native) == "JSON" or native.id.strip('"') == "null"
    return texts or field.type == types.JSON or field.type.kind == "VARCHAR" or (native.id in nested) == wanted
