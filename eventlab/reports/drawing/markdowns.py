"""Markdown: a report as a text that is readable as it is, in chats and on code hosts, its charts as PNG files beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab.errors import ReportError
from eventlab.reports import files
from eventlab.reports.drawing import blocks as blocks_
from eventlab.reports.drawing import captions, markups, sheets
from eventlab.reports.drawing.retellings import code, fenced, plain, retold, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from eventlab.reports.drawing.blocks import Block
    from eventlab.reports.drawing.captions import Differing, Shown
    from eventlab.reports.execution.executions import Execution
    from eventlab.reports.figures import Change
    from eventlab.reports.provenances import Provenance

_ROWS = 50  # of a table that are written
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp", "image/svg+xml": "svg"}


def write(
    execution: Execution, provenance: Provenance, folder: Path, name: str, changes: Sequence[Change] = ()
) -> Path:
    """Write a report as ``<name>.md`` into a folder, its pictures into ``<name>-files/`` beside it, and return its path.

    Names and texts from data are text in it, wherever it is read. The pictures are written first, so that who sees the text
    finds them; those of an earlier making that it no longer has are taken away.

    Raises
    ------
    OSError
        If the files cannot be written.
    """
    text, pictures = written(execution, provenance, f"{name}-files", changes=changes)
    place = folder / f"{name}-files"
    for picture, content in pictures.items():
        files.write(place / picture, content)
    path = files.write(folder / f"{name}.md", text)
    if place.is_dir():
        for stale in place.glob("*-[0-9]*.*"):
            if stale.name not in pictures:
                stale.unlink()
        if not pictures and not any(place.iterdir()):
            place.rmdir()
    return path


def written(
    execution: Execution, provenance: Provenance, beside: str, *, changes: Sequence[Change] = ()
) -> tuple[str, dict[str, bytes]]:
    """Return a report as Markdown, and its pictures by their name in the folder ``beside``."""
    caption = captions.caption(provenance)
    differing = captions.differing(changes or provenance.changes)
    pictures: dict[str, bytes] = {}
    parts = [f"# {plain(provenance.title)}", *_above(caption)]
    if caption.corrected:
        parts += [f"**{plain(caption.corrected)}**", _differing(differing)]
    for block in blocks_.titled(blocks_.blocks(execution), provenance.title):
        parts.append(_told(block, beside, pictures))
    parts += ["---", _below(provenance)]
    return sheets.settled("\n\n".join(filter(None, parts)) + "\n"), pictures


def _above(caption: captions.Caption) -> list[str]:
    """Return what stands below the title."""
    facts = " \N{MIDDLE DOT} ".join(map(plain, caption.facts))
    return [f"**{plain(caption.when)}**" if caption.when else "", facts]


def _below(provenance: Provenance) -> str:
    """Return where the report comes from, as a list."""
    lines = [
        f"- {fact.name}: {code(fact.value) if fact.exact else plain(fact.value)}"
        for fact in captions.origin(provenance)
    ]
    return "\n".join(["Where these numbers come from:", "", *lines, "", f"Made on {captions.ran(provenance)}."])


def _told(block: Block, beside: str, pictures: dict[str, bytes]) -> str:  # noqa: PLR0911 - one a kind
    """Return a block as Markdown; what it draws is added to the pictures. Code and warnings are left out."""
    match block.kind:
        case "markdown":
            return retold(block.data)
        case "figures":
            return _figures([captions.shown(figure) for figure in block.data])
        case "chart":
            from eventlab.reports.drawing import stills  # noqa: PLC0415 - its JavaScript engine takes a while

            try:
                content = stills.png(block.data)
            except ReportError as error:  # the page says the same in its place
                return f"\\[{plain(block.alt)}: {plain(error.message)}\\]"
            return _picture(block.alt, "chart", "png", content, beside, pictures)
        case "image":
            kind, content = block.data
            return _picture(block.alt, "picture", _ENDINGS[kind], content, beside, pictures)
        case "table":
            return _table(block)
        case "html":
            return fenced(markups.words(block.data))
        case "error":
            failed = captions.failed(block.data)
            return f"**{plain(failed.told)}**\n\n{fenced(failed.message)}"
        case "text" if block.alt != blocks_.WARNINGS:
            return fenced(block.data)
        case _:
            return ""


def _picture(alt: str, kind: str, ending: str, content: bytes, beside: str, pictures: dict[str, bytes]) -> str:
    """Return the Markdown of a picture, and add it to the pictures."""
    name = f"{kind}-{len(pictures) + 1}.{ending}"
    pictures[name] = content
    return f"![{plain(alt)}]({markups.link(f'{beside}/{name}')})"


def _figures(figures: Sequence[Shown]) -> str:
    """Return figures as a table."""
    rows = [[plain(figure.title), f"**{plain(figure.full)}**"] for figure in figures]
    return table(["Figure", "Value"], rows, [False, True])


def _table(block: Block) -> str:
    """Return a table, of which no more is written than a person reads."""
    columns, rows = block.data["columns"], block.data["rows"][:_ROWS]
    made = table(
        [plain(column["name"]) for column in columns],
        [[plain(cell or "") for cell in row] for row in rows],
        [column["numeric"] for column in columns],
    )
    more = block.data["total"] - len(rows)
    return made + (f"\n\nThe first {len(rows):,} of {block.data['total']:,} rows." if more > 0 else "")


def _differing(changes: Sequence[Differing]) -> str:
    """Return what a correction changed, as a table."""
    if not changes:
        return "No declared figure differs from the version before."
    rows = [[plain(text) for text in (change.title, change.before, change.after, change.by)] for change in changes]
    return table(["Figure", "Before", "Now", "Difference"], rows, [False, True, True, True])
