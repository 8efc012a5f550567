"""Shelves: the index page of each folder of reports, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab.reports import files
from eventlab.reports.calendar.periods import Period
from eventlab.reports.ledger import claims, publications

if TYPE_CHECKING:
    from pathlib import Path

    from eventlab.reports.configuration.configurations import Configuration
    from eventlab.reports.drawing.indexes import Entry
    from eventlab.reports.ledger.records import Records
    from eventlab.reports.ledger.runs import Run

MOST = 500  # runs that a page lists
PAGE = "index.html"

_FIRED = """
select json_extract_string(payload, '$.report'), json_extract_string(payload, '$.period'),
    list(distinct json_extract_string(payload, '$.alert') order by json_extract_string(payload, '$.alert'))
from events where event_type = 'AlertFired' group by all
"""


def refresh(configuration: Configuration, records: Records) -> list[Path]:
    """Write ``index.html`` into each folder of reports, of the newest runs of all that are there, and return the pages.

    Raises
    ------
    OSError
        If a page cannot be written.
    """
    from eventlab.reports.drawing import indexes  # noqa: PLC0415 - brings Jinja

    shelves: dict[Path, list[str]] = {}
    for report in configuration.reports.values():
        shelves.setdefault(report.out, []).append(report.name)
    pages = []
    for out, reports in shelves.items():
        with claims.claim(records.path / "locks", f"index {out}", wait=True):  # so that who writes last has read last
            runs = [run for run in reversed(records.runs(reports, limit=MOST)) if run.settled]
            if runs:
                fired = {(report, period): names for report, period, names in records.log.sql(_FIRED).fetchall()}
                entries = [_entry(run, out, fired.get((run.report, run.period), [])) for run in runs]
                pages.append(files.write(out / PAGE, indexes.index(entries, title="Reports")))
    return pages


def _entry(run: Run, out: Path, alerts: list[str]) -> Entry:
    """Return a run as the index page shows it."""
    from eventlab.reports.drawing import indexes  # noqa: PLC0415 - as above

    page = next((file for file in run.files if file.endswith(".html")), next(iter(run.files), None))
    shown = page if run.version and run.status != "failed" else run.page
    return indexes.Entry(
        report=run.report,
        title=run.title or run.report,
        period=Period(run.start, run.end, run.period).label,
        status=run.status,  # type: ignore[arg-type]  # it is settled
        href=shown,
        version=run.version,
        thumbnail=None if shown is None or run.status == "failed" else publications.thumbnail(out, shown),
        figures=run.figures if run.status != "failed" else (),
        alerts=alerts,
    )
