"""How the rows of a source become events: one SQL expression over its columns for each part of an event."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.errors import InvalidArgument, InvalidSource, near

if TYPE_CHECKING:
    from collections.abc import Iterable

ARGUMENTS = (
    "event_type",
    "stream_id",
    "occurred_at",
    "event_id",
    "actor",
    "correlation_id",
    "causation_id",
    "metadata",
)
_REFUSED = {"SUBQUERY": "a subquery", "STAR": "a star", "PARAMETER": "a parameter", "WINDOW": "a window function"}


@dataclass(frozen=True, slots=True)
class Mapping:
    """Which SQL expressions over a source's columns make the parts of an event.

    Attributes
    ----------
    payload
        None: the columns that are not themselves, bare, another argument. A list of columns; names with an expression
        each; or one expression that yields a STRUCT or a JSON object.
    format
        ``"cloudevents"``: the rows are CloudEvents, and say all of this but, at most, the ``stream_id``.
    """

    event_type: str | None = None
    stream_id: str | None = None
    occurred_at: str | None = None
    event_id: str | None = None
    payload: str | Sequence[str] | MappingType[str, str] | None = None
    actor: str | None = None
    metadata: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression: the argument it was given for, its text, the columns it names, and whether it is just one."""

    argument: str
    text: str
    columns: frozenset[str]
    bare: str | None

    @property
    def sql(self) -> str:
        """The text in parentheses; a comment at its end cannot swallow them."""
        return f"({self.text}\n)"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A mapping whose every text is one scalar expression. ``fields`` is None where the payload is a whole."""

    parts: dict[str, Expression]
    fields: dict[str, Expression] | None
    whole: Expression | None

    @property
    def columns(self) -> set[str]:
        """Every column that is named, as it is spelled."""
        expressions = [*self.parts.values(), *(self.fields or {}).values(), *([self.whole] if self.whole else [])]
        return {column for expression in expressions for column in expression.columns}

    @property
    def taken(self) -> set[str]:
        """The columns that are, bare, an argument: a payload that is left out does not have them."""
        return {part.bare for part in self.parts.values() if part.bare is not None}


def parsed(connection: queries.Connection, mapping: Mapping) -> Parsed:
    """Return a mapping with its texts parsed.

    Raises
    ------
    InvalidSource
        If a text is not exactly one scalar expression.
    InvalidArgument
        If there is no such format, or it says itself what is given.
    """
    given = {name: getattr(mapping, name) for name in ARGUMENTS}
    if mapping.format is not None:
        _check_format(mapping)
        stream = mapping.stream_id
        return Parsed({} if stream is None else {"stream_id": _expression(connection, "stream_id", stream)}, None, None)
    if given["event_type"] is None or given["stream_id"] is None:
        message = "event_type and stream_id must be given"
        raise InvalidSource(
            message,
            hint="Give SQL over the source's columns: a column, or text: \"'page_view'\"; "
            'CloudEvents say both: format="cloudevents".',
        )
    parts = {name: _expression(connection, name, text) for name, text in given.items() if text is not None}
    payload = mapping.payload
    if payload is None:
        return Parsed(parts, None, None)
    if isinstance(payload, str):
        return Parsed(parts, None, _expression(connection, "payload", payload))
    if isinstance(payload, MappingType):
        items: Iterable[tuple[str, str]] = payload.items()
    elif isinstance(payload, Sequence):
        items = ((name, queries.identifier(name) if isinstance(name, str) else name) for name in payload)
    else:
        message = f"payload: {payload!r} is no mapping to a payload"  # type: ignore[unreachable]  # callers may be untyped
        raise InvalidSource(message, hint="Give a list of columns, a dict of name to expression, or one expression.")
    fields = {name: _expression(connection, f"payload[{name!r}]", text) for name, text in items}
    return Parsed(parts, _distinct(fields), None)


def _check_format(mapping: Mapping) -> None:
    """Raise InvalidArgument if a format is none, or if arguments are given that are the CloudEvents' own."""
    if mapping.format != "cloudevents":
        message = f"format is {mapping.format!r}"
        raise InvalidArgument(message, hint='Choose "cloudevents", or leave it out and say what the columns are.')
    given = [name for name in (*ARGUMENTS, "payload") if name != "stream_id" and getattr(mapping, name) is not None]
    if given:
        message = f"{', '.join(given)}: CloudEvents say that themselves"
        raise InvalidArgument(
            message, hint='With format="cloudevents", give the source alone, and stream_id if need be.'
        )


def _distinct(fields: dict[str, Expression]) -> dict[str, Expression]:
    """Return the fields of a payload if they can stand beside each other in a STRUCT."""
    lowered = [name.lower() if isinstance(name, str) else "" for name in fields]
    if not all(lowered) or len(set(lowered)) < len(lowered):
        message = f"payload: the names {', '.join(map(repr, fields))} cannot stand beside each other"
        raise InvalidSource(message, hint="Names are text that is not empty, and differ by more than case.")
    return fields


def _expression(connection: queries.Connection, argument: str, text: object) -> Expression:
    """Return one text of a mapping as an expression, or raise InvalidSource."""
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        message = f"{argument}: {text!r} is no SQL expression"
        raise InvalidSource(
            message, hint='Give text: a column, like "user_id", or an expression, like "\'order-\' || id".'
        )
    if text.strip().lower() in _reserved():  # a column that is called like a word of SQL, such as ``at``
        text = queries.identifier(text.strip())
    tree = _tree(connection, argument, text)
    nodes = list(queries.walk(tree))
    refused = next((_REFUSED[kind] for node in nodes if (kind := str(node.get("class"))) in _REFUSED), None)
    if refused:
        message = f"{argument}: {text!r} holds {refused}"
        raise InvalidSource(message, hint="An expression is over the columns of one row.")
    names = [node["column_names"] for node in nodes if node.get("class") == "COLUMN_REF"]
    bare = names[0][0] if tree.get("class") == "COLUMN_REF" and len(names[0]) == 1 else None
    return Expression(argument, text, frozenset(part for name in names for part in name[:2]), bare)


@functools.cache
def _reserved() -> frozenset[str]:
    """Return the words that cannot stand for a column without quotes, but those that are values."""
    text = "select keyword_name from duckdb_keywords() where keyword_category in ('reserved', 'type_function')"
    with queries.connect() as connection:
        words = {word for (word,) in queries.rows(connection, text)}
    return frozenset(words - {"null", "true", "false"})


def _tree(connection: queries.Connection, argument: str, text: str) -> dict[str, Any]:
    """Return DuckDB's syntax tree of one expression."""
    [(answer,)] = queries.rows(connection, "select json_serialize_sql($text)", {"text": f"select ({text}\n)"})
    answer = json.loads(answer)
    if answer["error"]:
        message = f"{argument}: {text!r} does not parse: {answer['error_message']}"
        raise InvalidSource(message, hint="Quote text with '…' and unusual names of columns with \"…\".")
    nodes = [statement["node"] for statement in answer["statements"]]
    listed = nodes[0].get("select_list", []) if len(nodes) == 1 else []
    clauses = ("where_clause", "group_expressions", "having", "qualify", "sample", "modifiers")
    if len(listed) != 1 or nodes[0]["from_table"]["type"] != "EMPTY" or any(nodes[0][clause] for clause in clauses):
        message = f"{argument}: {text!r} is not one expression"
        raise InvalidSource(message, hint="Give one SQL expression over the source's columns, without clauses or ';'.")
    return dict(listed[0])


def bound(connection: queries.Connection, expression: Expression, source: str, columns: Sequence[str]) -> queries.Type:
    """Return the type that an expression has over ``source``.

    Raises
    ------
    InvalidSource
        If it names what the source does not have, or is no scalar expression.
    """
    try:
        # A WHERE takes neither aggregates nor windows, nor what makes several rows of one.
        connection.sql(f"select 1 from {source} where {expression.sql} is not null")
        return connection.sql(f"select {expression.sql} from {source}").types[0]
    except queries.DuckDBError as error:
        lowered = {column.lower() for column in columns}
        missing = sorted(name for name in expression.columns if name.lower() not in lowered)
        reason = queries.query_error(error).message
        what = f"{expression.argument}: {expression.text!r}"
        if reason.startswith("no column") and missing:
            matches = near(missing[0], columns)
            guess = f" Did you mean {matches[0]!r}?" if matches else ""
            message = f"{what}: no column {missing[0]!r}.{guess}"
        else:
            message = f"{what} is no expression over the source's columns: {reason}"
        listed = ", ".join(columns[:20]) + (", …" if len(columns) > 20 else "")  # noqa: PLR2004 - a line's worth
        raise InvalidSource(message, hint=f"Columns: {listed}") from None
