"""Cards: how an object of eventlab is told, in HTML and in plain text. What is told of which object is in ``reprs``.

Everything in a card is text. The HTML has its style with it, takes its colours from the page (JupyterLab, VS Code, or none),
runs no script and fetches nothing.
"""

from __future__ import annotations

import functools
import html
import itertools
import re
import shutil
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COLUMNS = 24  # of a table that are shown
_WIDTH = 40  # characters of a cell in plain text
_LINES = 10  # rows of a table in plain text
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Table:
    """The first rows of a table, as text.

    Attributes
    ----------
    names, kinds
        Of the columns that are shown, and their types for a person.
    right
        Which columns are of numbers.
    rows
        The cells; None is NULL.
    total
        How many rows there are in all; None if nobody counted and there are more.
    hidden
        How many columns are not shown.
    noun
        What a row is.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[str | None]]
    right: Sequence[bool]
    kinds: Sequence[str] = ()
    total: int | None = 0
    hidden: int = 0
    noun: str = "row"

    @property
    def note(self) -> str:
        """How many rows there are, and what of the table is not shown; empty if all is there and speaks for itself."""
        shown = len(self.rows)
        if self.total == shown and self.noun != "row":
            return ""
        if self.total is None:
            rows = f"the first {shown:,} {self.noun}s"
        elif self.total > shown:
            rows = f"{shown:,} of {counted(self.total, self.noun)}"
        else:
            rows = counted(shown, self.noun)
        return f"{rows}, {len(self.names)} of {len(self.names) + self.hidden:,} columns" if self.hidden else rows


@dataclass(frozen=True, slots=True)
class Card:
    """What is told of an object.

    Attributes
    ----------
    kind, title
        What it is, and its name.
    badges
        What a person should know at once: ``"closed"``, ``"duplicate"``.
    facts
        Labels and values, in order; a value of None is left out.
    about
        A sentence or two.
    table
        Its rows.
    folded
        Further parts under a heading each, folded away: tables, or text as it stands.
    """

    kind: str
    title: str = ""
    badges: Sequence[str] = ()
    facts: Sequence[tuple[str, str | None]] = ()
    about: str = ""
    table: Table | None = None
    folded: Sequence[tuple[str, Table | str]] = field(default_factory=list)


def to_html(card: Card) -> str:
    """Return a card as HTML."""
    badges = "".join(f'<span class="el-badge">{_html(badge)}</span>' for badge in card.badges)
    title = f"<strong>{_html(card.title)}</strong>" if card.title else ""
    facts = "".join(
        f'<span class="el-fact"><span class="el-label">{_html(label)}</span> {_html(value)}</span> '
        for label, value in card.facts
        if value is not None
    )
    parts = [
        f'<div class="el-head"><span class="el-kind">{_html(card.kind)}</span>{title}{badges}</div>',
        f'<div class="el-about">{_html(card.about)}</div>' if card.about else "",
        f'<div class="el-facts">{facts}</div>' if facts else "",
        _table_html(card.table) if card.table else "",
        *(
            f"<details><summary>{_html(heading)}</summary>"
            + (_table_html(part) if isinstance(part, Table) else f"<pre>{_html(part, lines=True)}</pre>")
            + "</details>"
            for heading, part in card.folded
        ),
    ]
    return f'<div class="eventlab-card"><style>{_style()}</style>{"".join(parts)}</div>'


def to_text(card: Card) -> str:
    """Return a card as plain text; what is folded in HTML is left out."""
    badges = "".join(f"  [{visible(badge)}]" for badge in card.badges)
    lines = [f"{card.kind}  {visible(card.title)}".rstrip() + badges]
    if card.about:
        lines.append(visible(card.about))
    facts = [f"{label} {visible(value)}" for label, value in card.facts if value is not None]
    if facts:
        lines.append(" · ".join(facts))
    if card.table is not None:
        shown = _fitting(card.table)
        lines += ["", *_table_text(shown), *filter(None, [shown.note])]
    return "\n".join(lines)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "event"), counted(1234, "event")
    ('1 event', '1,234 events')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def visible(text: str) -> str:
    r"""Return text in which nothing moves a cursor, colours or turns the direction of what follows.

    Examples
    --------
    >>> visible("two\nlines and \x1b[31mred")
    'two\\nlines and \\x1b[31mred'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _html(text: str, *, lines: bool = False) -> str:
    """Return text as HTML; with ``lines``, its line breaks stay."""
    shown = "\n".join(map(visible, text.expandtabs(4).split("\n"))) if lines else visible(text)
    return html.escape(shown)


def _table_html(table: Table) -> str:
    kinds = table.kinds or [""] * len(table.names)
    head = "".join(
        f'<th scope="col"{_side(right)} title="{_html(f"{name}: {kind}" if kind else name)}">{_html(name)}</th>'
        for name, kind, right in zip(table.names, kinds, table.right, strict=True)
    )
    body = "".join(f"<tr>{''.join(map(_cell, row, table.right))}</tr>" for row in table.rows)
    rows = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    scrolls = 'class="el-rows" tabindex="0" role="region" aria-label="rows"'  # so that the keyboard can scroll it
    note = f'<div class="el-note">{_html(table.note)}</div>' if table.note else ""
    return f"<div {scrolls}>{rows}</div>{note}"


def _cell(text: str | None, right: bool) -> str:  # noqa: FBT001 - mapped over two lists
    if text is None:
        return f"<td{_side(right)}><i>null</i></td>"
    return f"<td{_side(right)}{_full(text)}>{_html(text)}</td>"


def _full(text: str) -> str:
    """Return the attribute with a cell's whole text, if the cell may be too narrow for it."""
    return f' title="{_html(text)}"' if len(text) > _WIDTH else ""


def _side(right: bool) -> str:  # noqa: FBT001 - as above
    return ' class="el-n"' if right else ""


def _fitting(table: Table) -> Table:
    """Return the part of a table for which a terminal has room; the first column is always in it."""
    rows = table.rows[:_LINES]
    widths = [
        max(min(width(visible(text or "null")), _WIDTH) for text in column)
        for column in zip(table.names, *rows, strict=True)
    ]
    room = shutil.get_terminal_size((120, 24)).columns
    columns = max(sum(end - 2 <= room for end in itertools.accumulate(places + 2 for places in widths)), 1)
    return replace(
        table,
        names=table.names[:columns],
        rows=[row[:columns] for row in rows],
        right=table.right[:columns],
        hidden=table.hidden + len(table.names) - columns,
    )


def _table_text(table: Table) -> Iterable[str]:
    """Yield the lines of a table: columns two spaces apart, numbers on the right."""
    cells = [
        [_cut(visible(cell)) if cell is not None else "null" for cell in row]
        for row in [list(table.names), *table.rows]
    ]
    widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(map(_padded, row, widths, table.right)).rstrip()


def _padded(text: str, places: int, right: bool) -> str:  # noqa: FBT001 - mapped over three lists
    space = " " * (places - width(text))
    return space + text if right else text + space


def width(text: str) -> int:
    """Return how many places of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - rarely needed

    return cell_len(text)


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


@functools.cache
def _style() -> str:
    text = resources.files("eventlab.jupyter").joinpath("static", "reprs.css").read_text(encoding="utf-8")
    return re.sub(r"\s*\n\s*", " ", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)).strip()
