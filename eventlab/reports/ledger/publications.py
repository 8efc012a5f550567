"""Publications: what a run leaves in the reports' folder. Pages, what is mailed of them, and the page of a run that failed."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlab import moments
from eventlab.errors import ReportError
from eventlab.reports import files, renders
from eventlab.reports.calendar.periods import Period

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from eventlab.reports.configuration.configurations import Channel, Report
    from eventlab.reports.drawing.failures import Earlier
    from eventlab.reports.drawing.mails import Mail
    from eventlab.reports.execution.executions import Failure
    from eventlab.reports.ledger.runs import Run
    from eventlab.reports.renders import Made

    Write = Callable[[Made, Sequence[renders.Format], Path, str], list[Path]]


_BEST: tuple[renders.Format, ...] = ("html", "pdf", "md")  # of a report's files, for readers
THUMBNAILS = ".thumbnails"  # the folder of the small pictures on the index page, beside the pages


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What was written, relative to the report's ``out``: its files, what is mailed, and of a failed run the notebook."""

    files: list[str]
    mail: str | None = None
    notebook: str | None = None


def name_of(period: str, version: int = 1) -> str:
    """Return the name of a version's files, without their suffix.

    Examples
    --------
    >>> name_of("2013-02-09"), name_of("2013-02-09", 2)
    ('2013-02-09', '2013-02-09.v2')
    """
    return period if version == 1 else f"{period}.v{version}"


def publish(
    made: Made, report: Report, period: str, *, version: int = 1, mailed: bool = False, write: Write = renders.write
) -> Published:
    """Write a report that was made into ``<out>/<report>``; with ``mailed``, keep what is sent by mail beside it.

    Raises
    ------
    ReportError
        If a file cannot be made, as a PDF without Chromium.
    OSError
        If it cannot be written.
    """
    folder, name = report.out / report.name, name_of(period, version)
    written = [_within(path, report) for path in write(made, report.to, folder, name)]
    _keep_thumbnail(made, folder / THUMBNAILS / f"{name}.txt")
    mail = None
    if mailed:
        from eventlab.reports.drawing import mails  # noqa: PLC0415 - draws stills

        mail = _keep_mail(mails.mail(made.execution, made.provenance, changes=made.provenance.changes), report, name)
    return Published(files=written, mail=mail)


def publish_failure(
    report: Report,
    period: Period,
    failure: Failure,
    *,
    title: str | None,
    made: Made | None,
    attempts: int,
    last_good: Run | None,
    ran: dt.datetime,
    mailed: bool = False,
) -> Published:
    """Write what readers see of a run that failed: a short page; and for its author the executed notebook.

    Readers see the traceback of an error in the report, but not of one around it, when nothing was ``made``: that is ours.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    from eventlab.reports.drawing import failures  # noqa: PLC0415 - brings Jinja

    folder, name = report.out / report.name, f"{period.name}.failed"
    notebook = None
    if made is not None and made.execution.notebook is not None:
        notebook = _within(renders.keep(made, folder, period.name), report)
    facts: dict[str, Any] = {
        "title": title_of(title, made) or report.name,
        "report": report.name,
        "period": period,
        "attempts": attempts,
        "failure": failure if made is not None else replace(failure, traceback=""),
        "last_good": _earlier(last_good, report),
        "ran": ran,
    }
    page = files.write(folder / f"{name}.html", failures.FailedReport(**facts).page())
    mail = _keep_mail(failures.FailedReport(**facts).mail(), report, name) if mailed else None
    return Published(files=[_within(page, report)], mail=mail, notebook=notebook)


def title_of(title: str | None, made: Made | None) -> str | None:
    """Return what a report that failed is called, in every channel: as configured, or as it says itself; None if neither."""
    return title or (made.provenance.title if made is not None else None)


def pointed(run: Run | None) -> dict[str, Any] | None:
    """Return what the record of a failure says of the last good report: its ``period``, and where its ``files`` are."""
    found = [] if run is None else [str(path) for path in _files(run)]
    return {"period": run.period, "files": found} if run is not None and found else None


def withdraw_failure(report: Report, period: str) -> None:
    """Delete what an earlier failure of a run has left, now that there is a page."""
    for suffix in ("html", "ipynb", "mail.json"):
        (report.out / report.name / f"{period}.failed.{suffix}").unlink(missing_ok=True)


def mailed(deliver: Sequence[str], channels: dict[str, Channel]) -> bool:
    """Tell whether any of the channels sends mail."""
    return any(channels[name].type == "smtp" for name in deliver if name in channels)


def read_mail(path: Path) -> dict[str, Any]:
    """Return a mail that was kept: its ``subject``, ``html``, ``text``, and ``images`` as pairs of content id and PNG."""
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {**kept, "images": [(cid, base64.b64decode(png)) for cid, png in kept["images"]]}


def thumbnail(out: Path, file: str) -> str | None:
    """Return the ``data:`` address of the small picture of a page, which is given relative to ``out``; None if it has none."""
    page = out / file
    try:
        return (page.parent / THUMBNAILS / f"{page.stem}.txt").read_text(encoding="ascii")
    except FileNotFoundError:
        return None


def _keep_thumbnail(made: Made, path: Path) -> None:
    """Write the small picture of a report that has a chart; a chart that cannot be drawn small is none."""
    if not any(cell.outputs for cell in made.execution.cells):
        return
    from eventlab.reports.drawing import stills  # noqa: PLC0415 - draws

    with contextlib.suppress(ReportError, ValueError):  # Vega-Lite's is the latter
        picture = stills.thumbnail(made.execution)
        if picture is not None:
            files.write(path, picture)


def _keep_mail(mail: Mail, report: Report, name: str) -> str:
    """Write a mail for the delivery to read, which may try for hours, and return where it is."""
    images = [(cid, base64.b64encode(png).decode()) for cid, png in mail.images]
    kept = {"subject": mail.subject, "html": mail.html, "text": mail.text, "images": images}
    return _within(files.write(report.out / report.name / f"{name}.mail.json", json.dumps(kept)), report)


def _earlier(run: Run | None, report: Report) -> Earlier | None:
    """Return an earlier run as the page of a failure names it."""
    from eventlab.reports.drawing.failures import Earlier  # noqa: PLC0415 - brings Jinja

    found = [] if run is None else _files(run)
    if run is None or not found:
        return None
    zone = moments.zone(report.timezone)
    period = Period(run.start.astimezone(zone), run.end.astimezone(zone), run.period)
    try:
        href = os.path.relpath(found[0], report.out / report.name)
    except ValueError:  # on another drive
        href = None
    return Earlier(period.label, str(found[0]), href)


def _files(run: Run) -> list[Path]:
    """Return where the files of a run are, that which readers like best first: ``out`` may have been another then."""
    ranks = {f".{form}": rank for rank, form in enumerate(_BEST)}
    paths = [Path(run.out) / file for file in run.files]
    return sorted(paths, key=lambda path: ranks.get(path.suffix, len(ranks)))


def _within(path: Path, report: Report) -> str:
    return path.relative_to(report.out).as_posix()
