"""Pages: a report as one HTML file that needs no network, and what such a file says of itself."""

from __future__ import annotations

import base64
import datetime as dt
import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from eventlab.errors import InvalidArgument
from eventlab.reports.drawing import blocks as blocks_
from eventlab.reports.drawing import captions, sheets
from eventlab.reports.provenances import provenance_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.reports.drawing.blocks import Block
    from eventlab.reports.execution.executions import Execution
    from eventlab.reports.figures import Change
    from eventlab.reports.provenances import Provenance

_PROVENANCE = "eventlab-provenance"
_RAN = "eventlab-ran"
_NO_PAGE = "Give an HTML page that eventlab report run wrote."


def page(execution: Execution, provenance: Provenance, *, changes: Sequence[Change] = ()) -> str:
    """Return a report as one HTML file.

    A browser fetches nothing for it and runs no script but those that draw the charts, which are interactive; the code of its
    cells is folded away. When it was made and how long that took stand in one element, ``#eventlab-ran``, on a line of its own: all
    else follows from the execution and the provenance.

    Parameters
    ----------
    execution
        What came of running it.
    provenance
        Where it comes from.
    changes
        How its figures differ from the version before; else those of the provenance.
    """
    shown = [_shown(block) for block in blocks_.titled(blocks_.blocks(execution), provenance.title)]
    differing = captions.differing(changes or provenance.changes)
    return sheets.sheet(
        "page.html",
        title=provenance.title,
        caption=captions.caption(provenance),
        blocks=shown,
        changes=differing,
        before={change.name: change.was for change in differing},
        facts=captions.origin(provenance),
        ran=_ran(provenance),
        provenance=provenance.plain(),
        **_drawing(any(block.kind == "chart" for block in shown)),
    )


def read_provenance(html: str) -> Provenance:
    """Return what a page says of itself.

    Raises
    ------
    InvalidArgument
        If it is no page of a report.
    """
    parts = _Parts()
    parts.feed(html)
    try:
        plain = json.loads(parts.provenance)
        ran_at, seconds = dt.datetime.fromisoformat(parts.ran["datetime"] or ""), float(parts.ran["data-seconds"] or "")
    except (ValueError, KeyError) as error:
        raise InvalidArgument(
            f"this is no page of a report: {error or 'it has no provenance'}", hint=_NO_PAGE
        ) from None
    if not isinstance(plain, dict):
        raise InvalidArgument("this is no page of a report: its provenance is no object", hint=_NO_PAGE)
    return provenance_of(plain, ran_at, seconds)


def content(html: str) -> str:
    """Return all of a page but when it was made and how long that took: the same whenever it is made from the same basis.

    What is left out is exactly the element that ``page`` writes; anything else in its place, or beside it, is content.

    Raises
    ------
    InvalidArgument
        If it is no page of a report.
    """
    ran = _ran(read_provenance(html))
    element = (
        f'<time id="{_RAN}" datetime="{ran["at"]}" data-seconds="{ran["seconds"]}">Made on {ran["told"]}.</time>\n'
    )
    return html.replace(element, "", 1)


def _ran(provenance: Provenance) -> dict[str, str]:
    """Return what a page says of its run."""
    return {
        "at": provenance.ran_at.isoformat(),
        "seconds": repr(provenance.seconds),
        "told": captions.ran(provenance),
    }


def _shown(block: Block) -> Block:
    """Return a block as the template shows it."""
    match block.kind:
        case "figures":
            return replace(block, data=[captions.shown(figure) for figure in block.data])
        case "image":
            kind, content = block.data
            return replace(block, data=f"data:{kind};base64,{base64.b64encode(content).decode()}")
        case "error":
            return replace(block, data=captions.failed(block.data))
        case _:
            return block


def _drawing(charts: bool) -> dict[str, Any]:  # noqa: FBT001 - whether there are any
    """Return what draws charts: Vega, once a page, and only if there are any."""
    if not charts:
        return {"scripts": [], "themes": {}}
    from eventlab.charts import themes  # noqa: PLC0415 - a page without charts needs no Altair
    from eventlab.jupyter import bundles, pictures  # noqa: PLC0415 - as above

    return {
        "scripts": [bundles.inlined(), sheets.own("report.js")],
        "themes": {mode: pictures.theme(mode) for mode in themes.PALETTES},
    }


class _Parts(HTMLParser):
    """Reads the provenance and the time of the run out of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.provenance = ""
        self.ran: dict[str, str | None] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._inside = tag == "script" and given.get("id") == _PROVENANCE
        if tag == "time" and given.get("id") == _RAN:
            self.ran = given

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - whichever it is, it ends the script
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.provenance += data
