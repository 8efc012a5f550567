"""Mails: a report as it is sent to readers: HTML with its styles in it and its charts as pictures, and the same as plain text."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from eventlab.errors import ReportError
from eventlab.reports.drawing import blocks as blocks_
from eventlab.reports.drawing import captions, sheets, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.reports.drawing.blocks import Block
    from eventlab.reports.execution.executions import Execution
    from eventlab.reports.figures import Change
    from eventlab.reports.provenances import Provenance

_SUBJECT = 160  # characters
_WIDTH = 616  # pixels within the sheet
_ROWS = 20  # of a table: the page has the rest
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


@dataclass(frozen=True, slots=True)
class Mail:
    """What is sent of a report.

    Attributes
    ----------
    subject
        One line without control characters.
    html
        With its styles in it, for a light ground, without scripts; what it shows is in ``images`` or in the text itself.
    text
        The same for who reads no HTML.
    images
        The content id by which the HTML names each picture, and the picture as a PNG.
    """

    subject: str
    html: str
    text: str
    images: list[tuple[str, bytes]] = field(default_factory=list)


def mail(execution: Execution, provenance: Provenance, *, changes: Sequence[Change] = ()) -> Mail:
    """Return a report as a mail; code is left out, and of long tables all but the first rows."""
    differing = captions.differing(changes or provenance.changes)
    caption = captions.caption(provenance)
    images: list[tuple[str, bytes]] = []
    found = blocks_.titled(blocks_.blocks(execution), provenance.title)
    shown = [part for block in found for part in _shown(block, images)]
    subject = line(
        ("Corrected: " if caption.corrected else "") + ", ".join(filter(None, [provenance.title, caption.when]))
    )
    html = html_of(
        "mail.html",
        subject=subject,
        title=provenance.title,
        caption=caption,
        changes=differing,
        before={change.name: change.was for change in differing},
        blocks=shown,
        facts=captions.origin(provenance),
        ran=captions.ran(provenance),
    )
    return Mail(subject, html, texts.text(execution, provenance, changes=changes), images)


def html_of(template: str, **facts: Any) -> str:  # noqa: ANN401 - what the template shows
    """Return a template as the HTML of a mail: each element has its style with it, as mail programs want it."""
    from css_inline import CSSInliner  # noqa: PLC0415 - who sends no mail needs none

    inliner = CSSInliner(
        load_remote_stylesheets=False, keep_style_tags=False, keep_at_rules=True
    )  # the rules for phones
    inlined: str = inliner.inline(sheets.rendered(template, style=sheets.mail_style(), **facts))
    return sheets.settled(inlined)


def line(text: str) -> str:
    r"""Return text as one line that no header ends in, and that is not too long for one.

    Examples
    --------
    >>> line("Daily\r\nBcc: all@example.com")
    'Daily Bcc: all@example.com'
    """
    flat = " ".join(_CONTROLS.sub(" ", text).split())
    return flat if len(flat) <= _SUBJECT else f"{flat[: _SUBJECT - 1]}\N{HORIZONTAL ELLIPSIS}"


def _shown(block: Block, images: list[tuple[str, bytes]]) -> list[Any]:  # noqa: PLR0911 - one a kind
    """Return a block as the template shows it, in none or one part; a picture is added to the images."""
    match block.kind:
        case "code":
            return []
        case "text" if block.alt == blocks_.WARNINGS:
            return []
        case "figures":
            return [replace(block, data=[captions.shown(figure) for figure in block.data])]
        case "table":
            return [replace(block, data={**block.data, "rows": block.data["rows"][:_ROWS]})]
        case "error":
            return [replace(block, data=captions.failed(block.data))]
        case "chart":
            from eventlab.reports.drawing import stills  # noqa: PLC0415 - its JavaScript engine takes a while

            try:
                drawn = stills.png(block.data)
            except ReportError as error:  # the page says the same in its place
                return [{"kind": "text", "data": f"[{block.alt}: {error.message}]"}]
            return [_picture(drawn, block.alt, images, scale=stills.SCALE)]
        case "image":
            kind, content = block.data
            if kind != "image/png":
                return [{"kind": "text", "data": f"[{block.alt}: the page shows it]"}]
            return [_picture(content, block.alt, images)]
        case _:
            return [block]


def _picture(png: bytes, alt: str, images: list[tuple[str, bytes]], *, scale: int = 1) -> dict[str, Any]:
    """Return how a picture is shown, and add it to the images; a mail program wants to know how wide it is."""
    cid = f"picture-{len(images) + 1}"
    images.append((cid, png))
    wide = struct.unpack(">I", png[16:20])[0] // scale if len(png) >= 24 else _WIDTH  # noqa: PLR2004 - where a PNG says it
    return {"kind": "picture", "cid": cid, "alt": alt, "width": min(_WIDTH, wide)}
