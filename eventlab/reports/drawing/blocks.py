"""Blocks: what a report shows, one after the other, whatever it is written as: HTML, Markdown or mail."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from eventlab.reports import figures as figures_
from eventlab.reports.drawing import specifications
from eventlab.reports.execution import notebooks
from eventlab.reports.execution.outputs import TABLE, VEGALITE
from eventlab.reports.figures import figure_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from eventlab.reports.execution.executions import Cell, Execution, Failure

Kind = Literal["markdown", "chart", "table", "figures", "text", "image", "html", "code", "error"]

WARNINGS = "warnings"  # the ``alt`` of a text that went to the standard error
_PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
_VEGALITE = re.compile(r"application/vnd\.vegalite\.v\d+\+json")  # as Altair itself calls it
_TEXT = 20_000  # characters of a text that are shown
_HEADING = re.compile(r"\A\s*#[ \t]+([^\n]*?)[ \t]*#*[ \t]*(?:\n|\Z)")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a report.

    Attributes
    ----------
    kind
        Which of them it is.
    data
        Markdown, code and texts are text; a chart is its Vega-Lite specification, which names nothing that is fetched; a table has
        ``columns`` (``name``, ``type``, ``numeric``), ``rows`` of text or None, and ``total``; figures are a list of Figure; an
        image is a pair of its MIME type and its bytes; HTML is as it was shown, not cleaned yet; an error is a Failure.
    alt
        What a chart or an image shows, for who does not see it.
    """

    kind: Kind
    data: Any
    alt: str = ""


def blocks(execution: Execution) -> list[Block]:
    """Return what a report shows, in order.

    Figures that follow each other are one block, also if there is code between them; so is code that shows nothing between. What
    is of no known type is text. Hidden cells are left out; an error ends the blocks.
    """
    made: list[Block] = []
    for cell in execution.cells:
        if not cell.hidden:
            for block in _cell(cell):
                _add(made, block)
    if execution.figures and not any(block.kind == "figures" for block in made):
        made.insert(0, Block("figures", list(execution.figures)))  # declared, and nowhere shown
    if execution.failure is not None:
        made = [*(block for block in made if block.kind != "error"), Block("error", execution.failure)]
    return made


def titled(found: list[Block], title: str) -> list[Block]:
    """Return blocks without the heading that they begin with, if it is the report's title, which stands above them."""
    first = next((block for block in found if block.kind != "code"), None)
    if first is None or first.kind != "markdown":
        return found
    heading = _HEADING.match(first.data)
    if heading is None or _bare(notebooks.words(heading[1])) != _bare(_clean(title)):
        return found
    rest = first.data[heading.end() :].strip("\n")
    changed = [Block("markdown", rest) if block is first else block for block in found]
    return [block for block in changed if block.kind != "markdown" or block.data.strip()]


def _bare(title: str) -> str:
    """Return a title as it is compared: a docstring's ends in a stop, its blanks are those of its editor."""
    return " ".join(title.split()).rstrip(".")


def _cell(cell: Cell) -> Iterator[Block]:
    """Yield what a cell shows: its code first."""
    text = _clean(cell.text).strip("\n")
    if cell.kind == "markdown":
        if text.strip():
            yield Block("markdown", text)
        return
    if text.strip():
        yield Block("code", text)
    for output in cell.outputs:
        yield from _output(output)


def _output(output: dict[str, Any]) -> Iterator[Block]:
    """Yield the block of an output as nbformat has it."""
    match output.get("output_type"):
        case "stream":
            text = _shown(_joined(output.get("text", "")))
            if text.strip():
                yield Block("text", text, WARNINGS if output.get("name") == "stderr" else "")
        case "error":
            yield Block("error", _failure(output))
        case _:
            found = _displayed(output.get("data") or {}, output.get("metadata") or {})
            if found is not None:
                yield found


def _displayed(data: dict[str, Any], metadata: dict[str, Any]) -> Block | None:  # noqa: PLR0911 - one a type
    """Return the block of the richest type that an output has."""
    if figures_.MIME in data:
        return Block("figures", [figure_of(data[figures_.MIME])])
    chart = next((kind for kind in data if kind == VEGALITE or _VEGALITE.fullmatch(kind)), None)
    if chart is not None:
        spec = specifications.safe(_object(data[chart]))
        return Block("chart", spec, _clean(specifications.described(spec)))
    if TABLE in data:
        return Block("table", _table(_object(data[TABLE])))
    for kind in _PICTURES:
        if kind in data:
            return Block("image", (kind, _picture(kind, _joined(data[kind]))), _alt(metadata, kind))
    if "text/markdown" in data:
        return Block("markdown", _shown(_joined(data["text/markdown"])))
    if "text/html" in data:
        return Block("html", _clean(_joined(data["text/html"])))
    text = _shown(_joined(data.get("text/plain", "")))
    return Block("text", text) if text.strip() else None


def _add(made: list[Block], block: Block) -> None:
    """Add a block; figures and code join those that they follow."""
    last, before = (made[-1] if made else None), (made[-2] if len(made) > 1 else None)
    if last is not None and block.kind == last.kind == "code":
        made[-1] = Block("code", f"{last.data}\n\n{block.data}")
    elif last is not None and block.kind == last.kind == "figures":
        made[-1] = Block("figures", [*last.data, *block.data])
    elif (
        before is not None
        and last is not None
        and [before.kind, last.kind, block.kind] == ["figures", "code", "figures"]
    ):
        made[-2:] = [last, Block("figures", [*before.data, *block.data])]
        if len(made) > 2 and made[-3].kind == "code":  # noqa: PLR2004 - the code of the figures before
            made[-3:-1] = [Block("code", f"{made[-3].data}\n\n{last.data}")]
    else:
        made.append(block)


def _table(given: dict[str, Any]) -> dict[str, Any]:
    """Return a table whose cells are text and as many as its columns."""
    columns = [
        {
            "name": _clean(str(one.get("name", ""))),
            "type": str(one.get("type", "")),
            "numeric": bool(one.get("numeric")),
        }
        for one in given.get("columns", ())
    ]
    rows = [
        [None if cell is None else _clean(str(cell)) for cell in row] + [None] * (len(columns) - len(row))
        for row in given.get("rows", ())
    ]
    return {
        "columns": columns,
        "rows": [row[: len(columns)] for row in rows],
        "total": int(given.get("total", len(rows))),
    }


def _failure(output: dict[str, Any]) -> Failure:
    """Return the failure that an output of the type ``error`` tells."""
    from eventlab.reports.execution.executions import Failure  # noqa: PLC0415 - what runs reports is not needed to show them

    lines = output.get("traceback") or []
    message = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}"
    return Failure("error", _clean(message), _clean("\n".join(map(str, lines))), None, "")


def _picture(kind: str, text: str) -> bytes:
    """Return the bytes of an image; an SVG is text in nbformat."""
    return text.encode() if kind == "image/svg+xml" else base64.b64decode("".join(text.split()))


def _alt(metadata: dict[str, Any], kind: str) -> str:
    own = metadata.get(kind)
    given = own.get("alt") if isinstance(own, dict) else metadata.get("alt")
    return _clean(str(given)) if given else "picture"


def _object(given: Any) -> dict[str, Any]:  # noqa: ANN401 - an object or its JSON
    found: dict[str, Any] = json.loads(_joined(given)) if isinstance(given, (str, list)) else given
    return found


def _joined(given: str | Iterable[str]) -> str:
    """Return a text of nbformat, which may be in lines."""
    return given if isinstance(given, str) else "".join(given)


def _shown(text: str) -> str:
    """Return a text of which no more is kept than a person reads."""
    clean = _clean(text).rstrip("\n")
    return clean if len(clean) <= _TEXT else f"{clean[:_TEXT]}\n… {len(clean) - _TEXT:,} more characters"


def _clean(text: str) -> str:
    """Return a text without colours of terminals and characters that no page can have."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _ANSI.sub("", text).replace("\r\n", "\n").replace("\r", "\n"))
