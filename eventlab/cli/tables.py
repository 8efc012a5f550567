"""Tables for people. A value is never markup: it cannot colour, link or move anything."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from eventlab.cli.values import printable, told

if TYPE_CHECKING:
    from collections.abc import Sequence

CELL = 60
GAP = 3


def print_table(
    names: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[bool] = (), note: str = ""
) -> None:
    """Print values as a table. Columns that a terminal has no room for are left out, and named."""
    from rich import box  # noqa: PLC0415
    from rich.cells import cell_len  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    cells = [[printable(told(cell)) for cell in row] for row in rows]
    heads = [printable(name) for name in names]
    widths = [max(map(cell_len, column)) for column in zip(heads, *cells, strict=True)]
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else sum(widths) + GAP * len(widths), highlight=False, markup=False)
    keep = fitting(widths, console.width) if terminal else widths
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for index, width in enumerate(keep):
        heading = Text(heads[index])
        table.add_column(
            heading,
            justify="right" if right and right[index] else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=width,
        )
    for row, raw in zip(cells, rows, strict=True):
        table.add_row(*(Text(cell, style="dim" if raw[i] is None else "") for i, cell in enumerate(row[: len(keep)])))
    left = heads[len(keep) :]
    if left:
        note += f"; no room for {', '.join(left[:8])}{', …' if len(left) > 8 else ''}"  # noqa: PLR2004 - a line's worth
    with console.capture() as drawn:
        console.print(table)
        if note:
            console.print(Text(note, style="dim"), soft_wrap=not terminal)
    sys.stdout.write(drawn.get())


def fitting(widths: Sequence[int], room: int) -> list[int]:
    """Return the widths of the columns that fit, from the left: all as they are, or long ones cut, or some left out.

    Examples
    --------
    >>> fitting([5, 10], 80), fitting([5, 100], 80), fitting([30, 30, 30], 50)
    ([5, 10], [5, 72], [16, 16, 12])
    """
    room += GAP  # none is needed after the last
    room -= GAP * len(widths)
    if sum(widths) <= room:
        return list(widths)
    for cell in (CELL, 40, 30, 25, 20, 16):
        cut = [min(width, cell) for width in widths]
        if sum(cut) <= room:
            break
    kept: list[int] = []
    room += GAP * len(widths)
    for width in cut:
        least = min(width, 8)
        if kept and room < least + GAP:
            break
        kept.append(max(1, min(width, room - GAP)))
        room -= kept[-1] + GAP
    for index, width in enumerate(kept):  # what is over goes to those that were cut, from the left
        more = min(widths[index] - width, room)
        if more > 0:
            kept[index] += more
            room -= more
    return kept
