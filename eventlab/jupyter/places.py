"""Where in a query an error is, and how that is said: the line, and carets under what is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.jupyter.cards import visible, width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventlab.errors import EventlabError

_SAID = re.compile(r"LINE (\d+): (.*)\n( *)(\^+)")
_NAMES = re.compile(r"'([^']+)'|\"([^\"]+)\"|\bname (\S+) does not exist")
_APART = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|(\$\w*\$).*?\1", re.DOTALL)  # strings and comments
_KIND = re.compile(r"^[A-Z][a-z]+(?: [A-Z][a-z]+)? Error: ")  # DuckDB's; the line says where it is
_AROUND = 50  # characters on each side of an error that are shown of a long line


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of one line of a query; lines count from 1, columns from 0."""

    line: int
    column: int
    length: int


def masked(text: str) -> str:
    """Return a query with blanks for its strings and comments: what is left are names, numbers and signs in their places.

    Examples
    --------
    >>> masked("select 'from x', y -- z")
    'select         , y     '
    """
    return _APART.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def place(error: BaseException, text: str) -> Place | None:
    """Return where in the query ``text`` an error is: where DuckDB says, else the first name that the error names."""
    said = next((found for cause in _causes(error) if (found := _SAID.search(str(cause)))), None)
    if said is not None:
        return _pointed(said, text.splitlines())
    bare = masked(text)
    for found in _NAMES.finditer(str(getattr(error, "message", error))):
        name = found[1] or found[2] or found[3]
        word = re.search(rf"(?<!\w){re.escape(name.split('(')[0])}(?!\w)", bare, re.IGNORECASE)
        if word is not None:
            line = text.count("\n", 0, word.start())
            return Place(line + 1, word.start() - (text.rfind("\n", 0, word.start()) + 1), len(word[0]))
    return None


def report(error: EventlabError, text: str) -> list[str]:
    """Return an error about a query as lines for a person: what, where, and the way out."""
    lines = [f"{type(error).__name__}: {visible(_KIND.sub('', error.message))}"]
    where = place(error, text)
    if where is not None:
        lines += _drawn(where, text.splitlines()[where.line - 1])
    place_said = getattr(error, "place", "")
    hint = error.hint.replace(place_said, "").strip() if where is not None and place_said else error.hint
    return [*lines, *([visible(hint)] if hint else [])]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield DuckDB's own errors behind an error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, queries.DuckDBError):
            yield cause
        cause = cause.__cause__ or cause.__context__


def _pointed(said: re.Match[str], lines: list[str]) -> Place | None:
    """Return the place to which DuckDB points: under a stretch of the line that it may have cut at both ends."""
    number, shown = int(said[1]), said[2]
    if not 1 <= number <= len(lines):
        return None
    column = _at(shown, len(said[3]) - len(f"LINE {number}: "))
    line = lines[number - 1]
    if shown == line:
        return Place(number, column, len(said[4]))
    core = shown.removeprefix("...").removesuffix("...")
    start = line.find(core)
    if start < 0:
        return None
    return Place(number, start + column - (3 if shown.startswith("...") else 0), len(said[4]))


def _at(text: str, places: int) -> int:
    """Return the index of the character that begins so many places of a terminal into a text; a tab takes none for DuckDB."""
    for index in range(len(text)):
        if width(text[:index].replace("\t", "")) >= places and text[index] != "\t":
            return index
    return len(text)


def _drawn(where: Place, line: str) -> list[str]:
    """Return a line of a query, cut if it is long, with carets under a place in it."""
    start = max(where.column - _AROUND, 0)
    stop = where.column + where.length + _AROUND
    before, under, after = (
        visible(part.replace("\t", " "))
        for part in (
            line[start : where.column],
            line[where.column : where.column + where.length],
            line[where.column + where.length : stop],
        )
    )
    before = f"…{before}" if start else before
    after = f"{after}…" if stop < len(line) else after
    margin = f"{where.line:>4} │ "
    bar = " " * (len(margin) - 2) + "│ "
    return [f"{margin}{before}{under}{after}", f"{bar}{' ' * width(before)}{'^' * max(width(under), 1)}"]
