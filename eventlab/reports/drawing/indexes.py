"""Indexes: the page that lists a folder's reports, newest first."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from eventlab.reports.drawing import captions, sheets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.reports.drawing.captions import Shown
    from eventlab.reports.figures import Figure

Status = Literal["ok", "failed", "corrected", "skipped"]

CARDS = 24  # entries that are shown with their picture; a year of a daily report would be megabytes of them
_FIGURES = 3  # of an entry that are shown
_PICTURE = re.compile(r"data:image/(?:svg\+xml|png);base64,[A-Za-z0-9+/=]+")
_TOLD = {"ok": "Made", "failed": "Failed", "skipped": "Skipped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A run of a report, as the index shows it.

    Attributes
    ----------
    report, title
        Its name, by which the page is filtered, and what readers see.
    period
        Which time it is of, in words.
    status
        What came of it.
    href
        The path of its page, relative to the index; None if it has none.
    version
        Of the newest page.
    thumbnail
        The ``data:`` address of a small picture, as ``stills.thumbnail`` gives it.
    figures, alerts
        Its declared figures, and the alerts that fired on it, in words.
    """

    report: str
    title: str
    period: str
    status: Status
    href: str | None = None
    version: int = 1
    thumbnail: str | None = None
    figures: Sequence[Figure] = ()
    alerts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Shown:
    """An entry as the template shows it."""

    report: str
    title: str
    period: str
    status: Status
    told: str
    href: str | None
    picture: str | None
    figures: list[Shown] = field(default_factory=list)
    alerts: Sequence[str] = ()


def index(entries: Sequence[Entry], *, title: str) -> str:
    """Return the page of a folder's reports.

    Parameters
    ----------
    entries
        Newest first, as they are shown: the first of them as cards with their picture, the others in a table.
    title
        Of the page.
    """
    shown = [_shown(entry) for entry in entries]
    reports = list(dict.fromkeys(entry.report for entry in entries))
    return sheets.sheet(
        "index.html",
        scripts=[sheets.own("index.js")] if len(reports) > 1 else [],
        title=title,
        counted=f"{len(shown):,} run{'s' * (len(shown) != 1)} of {len(reports):,} report{'s' * (len(reports) != 1)}",
        facts=_facts(entries),
        reports=sorted(reports),
        cards=shown[:CARDS],
        pictures=any(entry.picture for entry in shown[:CARDS]),
        earlier=shown[CARDS:],
    )


def _facts(entries: Sequence[Entry]) -> list[str]:
    """Return how many entries are not simply well."""
    counts = {
        "failed": sum(entry.status == "failed" for entry in entries),
        "corrected": sum(entry.status == "corrected" for entry in entries),
        "skipped": sum(entry.status == "skipped" for entry in entries),
        "with alerts": sum(bool(entry.alerts) for entry in entries),
    }
    return [f"{count:,} {what}" for what, count in counts.items() if count]


def _shown(entry: Entry) -> _Shown:
    """Return an entry as the template shows it; a picture that is no picture is left out."""
    told = f"Corrected, version {entry.version}" if entry.status == "corrected" else _TOLD[entry.status]
    picture = entry.thumbnail if entry.thumbnail and _PICTURE.fullmatch(entry.thumbnail) else None
    figures = [captions.shown(figure) for figure in entry.figures[:_FIGURES]]
    return _Shown(
        entry.report, entry.title, entry.period, entry.status, told, entry.href, picture, figures, entry.alerts
    )
