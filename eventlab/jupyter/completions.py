"""Completion of SQL: in ``%%events`` cells and ``%events`` lines, and in the text of ``log.sql("…")``.

Offered are relations after FROM and JOIN, the columns of what is named before a dot, event types where one is compared,
variables after ``$``, and else the columns of the relations that the query names, relations and words of SQL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from IPython.core.completer import SimpleCompletion, SimpleMatcherResult, context_matcher

from eventlab import queries
from eventlab.errors import EventlabError
from eventlab.jupyter.places import masked
from eventlab.jupyter.readables import rooms
from eventlab.log import EventLog, LogView
from eventlab.session.relations import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from IPython.core.completer import CompletionContext
    from IPython.core.interactiveshell import InteractiveShell

    from eventlab.jupyter.magics import EventlabMagics
    from eventlab.jupyter.readables import Readable, Rooms

# fmt: off
_WORDS = (
    "SELECT", "FROM", "WHERE", "GROUP", "ORDER", "BY", "HAVING", "LIMIT", "QUALIFY", "JOIN", "LEFT",
    "USING", "ON", "AS", "AND", "OR", "NOT", "IN", "IS", "NULL", "BETWEEN", "LIKE",
    "CASE", "WHEN", "THEN", "ELSE", "END", "DISTINCT", "WITH", "UNION", "ALL", "FILTER", "OVER",
    "PARTITION", "ASC", "DESC", "EXCLUDE", "REPLACE", "INTERVAL", "count", "sum", "avg", "min", "max",
    "median", "quantile_cont", "arg_max", "list", "coalesce", "date_trunc", "date_diff", "round", "strftime", "time_bucket",
    "unnest",
)
# fmt: on
_CELL = re.compile(r"\s*%%events\b[ \t]*(?:[^\W\d]\w*[ \t]*<<)?")
_LINE = re.compile(r"(?m)^[ \t]*(?:\w+[ \t]*=[ \t]*)?%events\b[ \t]*(?:[^\W\d]\w*[ \t]*<<)?(?P<sql>.*)\Z")
_CALL = re.compile(
    r"(?P<log>[^\W\d]\w*)\s*\.\s*sql\(\s*[rR]?(?P<quote>\"\"\"|'''|\"|')(?P<sql>(?:(?!(?P=quote)).)*)\Z", re.DOTALL
)
_RELATION = re.compile(r"\b(?:from|join|describe|summarize)\s+(?P<part>\w*)\Z", re.IGNORECASE)
_DOTTED = re.compile(r"(?:(?P<plain>\w+)|\"(?P<quoted>[^\"]+)\")\.(?P<part>\w*)\Z")
_TYPED = re.compile(
    r"event_type\s*(?:=|<>|!=|(?:not\s+)?in\s*\((?:\s*'[^']*'\s*,)*)\s*'(?P<part>[^']*)\Z", re.IGNORECASE
)
_VARIABLE = re.compile(r"\$(?P<part>\w*)\Z")
_PART = re.compile(r"(?P<part>\w*)\Z")
_NAMED = re.compile(r"\b(?:from|join)\s+(\w+)(?:\([^()]*\))?(?:\s+(?:as\s+)?(\w+))?", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that is being written: the text before the cursor, all of it, and of what it is asked."""

    before: str
    text: str
    log: Readable


def install(shell: InteractiveShell, magics: EventlabMagics) -> None:
    """Have a shell complete queries."""

    @context_matcher(identifier="eventlab.sql")  # type: ignore[untyped-decorator]
    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        try:
            asked = query(context.full_text, _offset(context), magics)
            part, found = candidates(asked, shell.user_ns) if asked else ("", [])
        except EventlabError:  # a log that is closed, or a query that is not finished, has nothing to offer
            part, found = "", []
        shown = [SimpleCompletion(text=text, type=kind) for text, kind in dict(found).items()]
        return SimpleMatcherResult(completions=shown, matched_fragment=part, suppress=bool(shown), ordered=True)

    remove(shell)
    shell.Completer.custom_matchers.append(matcher)


def remove(shell: InteractiveShell) -> None:
    """Have a shell complete queries no longer."""
    kept = [one for one in shell.Completer.custom_matchers if getattr(one, "matcher_identifier", "") != "eventlab.sql"]
    shell.Completer.custom_matchers[:] = kept


def query(text: str, offset: int, magics: EventlabMagics) -> Asked | None:
    """Return the query in which the cursor stands; None if it stands in none."""
    before = text[:offset]
    if cell := _CELL.match(text):
        return Asked(before[cell.end() :], text[cell.end() :], magics.asked()) if offset >= cell.end() else None
    if line := _LINE.search(before):
        rest = text[offset:].split("\n", 1)[0]
        return Asked(line["sql"], line["sql"] + rest, magics.asked())
    if call := _CALL.search(before):
        log = magics.shell.user_ns.get(call["log"])
        rest = text[offset:].split(call["quote"], 1)[0]
        return Asked(call["sql"], call["sql"] + rest, log) if isinstance(log, (EventLog, LogView)) else None
    return None


def candidates(asked: Asked, variables: Iterable[str]) -> tuple[str, list[tuple[str, str]]]:
    """Return the word before the cursor, and what it can become: texts with their kinds."""
    behind = rooms(asked.log)
    found: re.Match[str] | None
    if found := _TYPED.search(asked.before):
        offered: Iterator[tuple[str, str]] = ((name.replace("'", "''"), "event type") for name in behind.registry.names)
    elif found := _VARIABLE.search(asked.before):
        offered = ((name, "variable") for name in variables if not name.startswith("_"))
    elif "'" in (bare := masked(f"{asked.before}x")) or not bare.endswith("x"):  # in a text or a comment
        return "", []
    elif found := _RELATION.search(asked.before):
        offered = _relations(behind)
    elif found := _DOTTED.search(asked.before):
        offered = _within(found["plain"] or found["quoted"], asked, behind)
    else:
        found = _PART.search(asked.before)
        offered = _anything(asked, behind)
    part = found["part"] if found else ""
    return part, [
        (text, kind) for text, kind in offered if text.lower().lstrip('"').startswith(part.lower()) and text != part
    ]


def _relations(behind: Rooms) -> Iterator[tuple[str, str]]:
    """Yield the names of the relations, as they are written after FROM."""
    registry = behind.registry
    for name in [*NAMES, *sorted(registry.states), *sorted(registry.views)]:
        yield (f"{name}(", "function") if name == "events_at" else (_written(name), "relation")
    for name in sorted(registry.states):
        yield from ((f"{name}_{macro}(", "function") for macro in ("at", "history", "diff"))


def _within(name: str, asked: Asked, behind: Rooms) -> Iterator[tuple[str, str]]:
    """Yield what can stand after a dot: fields of an event type, or columns of a relation or its alias."""
    for event_type in behind.registry:
        if event_type.name.lower() == name.lower():
            yield from ((_written(field), "field") for field in event_type.latest.fields)
    aliases = {(found[2] or found[1]).lower(): found[1] for found in _NAMED.finditer(masked(asked.text))}
    yield from _columns(aliases.get(name.lower(), name), behind)


def _anything(asked: Asked, behind: Rooms) -> Iterator[tuple[str, str]]:
    """Yield the columns of the relations that a query names (of ``events`` if none yet), relations and words of SQL."""
    named = list(dict.fromkeys(found[1] for found in _NAMED.finditer(masked(asked.text)))) or ["events"]
    for name in named:
        yield from _columns(name, behind)
    yield from ((word, "keyword") for word in _WORDS)
    yield from _relations(behind)


def _columns(name: str, behind: Rooms) -> Iterator[tuple[str, str]]:
    """Yield the columns of a relation; none if there is no such relation."""
    registry, lowered = behind.registry, name.lower()
    state = registry.states.get(lowered.removesuffix("_at"))
    if state is not None and state.text:
        text = state.text  # of the relation itself, all would be folded
    elif lowered in {*NAMES, *registry.views}:
        text = f"from {queries.identifier(lowered.removesuffix('_at'))}"
    else:
        return
    relation = behind.session.sql(text, scope=behind.scope, registry=registry, with_states=False)
    types = set(registry.names)
    yield from ((_written(column), "event type" if column in types else "column") for column in relation.columns)


def _written(name: str) -> str:
    """Return a name as it is written in a query."""
    return name if _PLAIN.fullmatch(name) else queries.identifier(name)


def _offset(context: CompletionContext) -> int:
    """Return where in the whole text the cursor stands."""
    lines = context.full_text.split("\n")[: context.cursor_line]
    return sum(len(line) + 1 for line in lines) + context.cursor_position
