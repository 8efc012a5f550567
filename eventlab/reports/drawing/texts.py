"""Texts: a report as plain text, for mail programs and chats that show no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab.reports.drawing import blocks as blocks_
from eventlab.reports.drawing import captions, markups, sheets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.reports.drawing.blocks import Block
    from eventlab.reports.execution.executions import Execution
    from eventlab.reports.figures import Change
    from eventlab.reports.provenances import Provenance

_ROWS = 20
_CELL = 40  # characters


def text(execution: Execution, provenance: Provenance, *, changes: Sequence[Change] = ()) -> str:
    """Return a report as plain text: figures and tables in columns, charts by their names, no code."""
    caption = captions.caption(provenance)
    parts = [_headed(provenance.title), caption.when, "\n".join(caption.facts)]
    if caption.corrected:
        differing = captions.differing(changes or provenance.changes)
        rows = [[change.title, change.before, change.after, change.by] for change in differing]
        parts += [
            caption.corrected,
            columns(["Figure", "Before", "Now", "Difference"], rows, [False, True, True, True]),
        ]
    parts += [_told(block) for block in blocks_.titled(blocks_.blocks(execution), provenance.title)]
    facts = [f"{fact.name}: {fact.value}" for fact in captions.origin(provenance)]
    parts += ["--", "\n".join(["Where these numbers come from:", *facts]), f"Made on {captions.ran(provenance)}."]
    return sheets.settled("\n\n".join(filter(None, parts)) + "\n")


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Return a table in columns of one width; ``right``: which are aligned there.

    Examples
    --------
    >>> print(columns(["route", "late"], [["JFK to BOS", "4"]], [False, True]))
    route       late
    JFK to BOS     4
    """
    cells = [[_cut(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if side else cell.ljust(width)
            for cell, width, side in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    )
    return "\n".join(lines)


def _told(block: Block) -> str:  # noqa: PLR0911 - one a kind
    """Return a block as text."""
    match block.kind:
        case "figures":
            figures = [captions.shown(figure) for figure in block.data]
            return columns(["", ""], [[figure.title, figure.full] for figure in figures], [False, True]).lstrip("\n")
        case "chart" | "image":
            return f"[{block.alt}]"
        case "table":
            given, rows = block.data, block.data["rows"][:_ROWS]
            head = [column["name"] for column in given["columns"]]
            right = [column["numeric"] for column in given["columns"]]
            made = columns(head, [[cell or "" for cell in row] for row in rows], right)
            return made + (
                f"\n(the first {len(rows):,} of {given['total']:,} rows)" if given["total"] > len(rows) else ""
            )
        case "html":
            return markups.words(block.data)
        case "error":
            failed = captions.failed(block.data)
            return f"{failed.told}\n{failed.message}"
        case "code":
            return ""
        case "text" if block.alt == blocks_.WARNINGS:
            return ""
        case _:
            return str(block.data)


def _headed(title: str) -> str:
    flat = " ".join(title.split())
    return f"{flat}\n{'=' * len(flat)}"


def _cut(cell: str) -> str:
    flat = " ".join(cell.split())
    return flat if len(flat) <= _CELL else f"{flat[: _CELL - 1]}\N{HORIZONTAL ELLIPSIS}"
