"""Failures: what readers get instead of a report that could not be made. It says what failed and where the last good one is."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab.reports.drawing import captions, mails, offsets, sheets
from eventlab.reports.drawing.mails import Mail

if TYPE_CHECKING:
    from eventlab.reports.calendar.periods import Period
    from eventlab.reports.execution.executions import Failure


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier report that was made: its ``period`` in words, where its file is, and the way there from the page."""

    period: str
    path: str
    href: str | None = None


def failure_page(
    *,
    title: str,
    report: str,
    period: Period,
    attempts: int,
    failure: Failure,
    last_good: Earlier | None,
    ran: dt.datetime,
) -> str:
    """Return a short page for a report that could not be made.

    Parameters
    ----------
    title, report, period
        Of the report: what it is called, its name, and which time it would be of.
    attempts
        How often it was tried.
    failure
        Of the last attempt.
    last_good
        The last report that was made; None if there is none.
    ran
        When it was last tried.
    """
    return sheets.sheet("failure.html", last_good=last_good, **_facts(title, report, period, attempts, failure, ran))


def failure_mail(
    *,
    title: str,
    report: str,
    period: Period,
    attempts: int,
    failure: Failure,
    last_good: Earlier | None,
    ran: dt.datetime,
) -> Mail:
    """Return the same as a mail, without the traceback, which the page has."""
    facts = _facts(title, report, period, attempts, failure, ran)
    subject = mails.line(f"Failed: {title}, {period.label}")
    html = mails.html_of("failuremail.html", subject=subject, instead=_instead(last_good), **facts)
    text = failure_text(
        title=title,
        report=report,
        period=period,
        attempts=attempts,
        failure=failure,
        last_good=last_good,
        ran=ran,
    )
    return Mail(subject, html, text)


def failure_text(
    *,
    title: str,
    report: str,
    period: Period,
    attempts: int,
    failure: Failure,
    last_good: Earlier | None,
    ran: dt.datetime,
) -> str:
    """Return the same as plain text."""
    facts = _facts(title, report, period, attempts, failure, ran)
    failed = facts["failed"]
    parts = [
        f"{facts['heading']}\n{facts['when']}\n{facts['zone']}",
        f"{failed.told}:\n{failed.message}",
        failed.code,
        _instead(last_good),
    ]
    parts.append(f"{report}: {facts['tried'].lower()}. {facts['ran']}")
    return sheets.settled("\n\n".join(filter(None, parts)) + "\n")


def _facts(
    title: str, report: str, period: Period, attempts: int, failure: Failure, ran: dt.datetime
) -> dict[str, Any]:
    """Return what all three say."""
    return {
        "title": f"Failed: {title}",
        "heading": f"{title} could not be made",
        "report": report,
        "when": period.label,
        "zone": f"Period in {offsets.named(period.start, period.end)}",
        "tried": "Tried once" if attempts == 1 else f"Tried {attempts} times",
        "failed": captions.failed(failure),
        "ran": f"Last tried on {captions.moment(ran.astimezone(dt.UTC).isoformat(timespec='seconds'))} UTC.",
    }


def _instead(last_good: Earlier | None) -> str:
    """Return where to look instead."""
    if last_good is None:
        return "The numbers of this period are missing, and there is no earlier report that was made."
    of, path = (" ".join(text.split()) for text in (last_good.period, last_good.path))
    return f"The numbers of this period are missing. The last good report, of {of}, is still there: {path}"
