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


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedReport:
    """A report that could not be made, as its readers are told.

    Attributes
    ----------
    title, report, period
        What it is called, its name, and which time it would be of.
    attempts
        How often it was tried.
    failure
        Of the last attempt.
    last_good
        The last report that was made; None if there is none.
    ran
        When it was last tried.
    """

    title: str
    report: str
    period: Period
    attempts: int
    failure: Failure
    last_good: Earlier | None
    ran: dt.datetime

    def page(self) -> str:
        """Return it as a short page."""
        return sheets.sheet("failure.html", last_good=self.last_good, **self._facts())

    def mail(self) -> Mail:
        """Return it as a mail, without the traceback, which the page has."""
        facts, instead = self._facts(), _instead(self.last_good)
        subject = mails.line(f"Failed: {self.title}, {self.period.label}")
        html = mails.html_of("failuremail.html", subject=subject, instead=instead, **facts)
        failed = facts["failed"]
        parts = [
            f"{facts['heading']}\n{facts['when']}\n{facts['zone']}",
            f"{failed.told}:\n{failed.message}",
            failed.code,
            instead,
            f"{self.report}: {facts['tried'].lower()}. {facts['ran']}",
        ]
        return Mail(subject, html, sheets.settled("\n\n".join(filter(None, parts)) + "\n"))

    def _facts(self) -> dict[str, Any]:
        """Return what both say."""
        ran = captions.moment(self.ran.astimezone(dt.UTC).isoformat(timespec="seconds"))
        return {
            "title": f"Failed: {self.title}",
            "heading": f"{self.title} could not be made",
            "report": self.report,
            "when": self.period.label,
            "zone": f"Period in {offsets.named(self.period.start, self.period.end)}",
            "tried": "Tried once" if self.attempts == 1 else f"Tried {self.attempts} times",
            "failed": captions.failed(self.failure),
            "ran": f"Last tried on {ran} UTC.",
        }


def _instead(last_good: Earlier | None) -> str:
    """Return where to look instead."""
    if last_good is None:
        return "The numbers of this period are missing, and there is no earlier report that was made."
    of, path = (" ".join(text.split()) for text in (last_good.period, last_good.path))
    return f"The numbers of this period are missing. The last good report, of {of}, is still there: {path}"
