"""Backfills: a report for the periods of the past, each as it would have been when it was due."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventlab.errors import InvalidArgument, unknown
from eventlab.reports.schedule import crews, jobs, shelves
from eventlab.store.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventlab.reports.calendar.periods import Period
    from eventlab.reports.configuration.configurations import Configuration, Report
    from eventlab.reports.schedule.jobs import Ending
    from eventlab.reports.schedule.workshops import Workshop


@dataclass(slots=True)
class Tally:
    """What a backfill did.

    Attributes
    ----------
    there
        How many of the periods had their report already.
    endings
        How many runs ended how: ``made``, ``failed``, ``interrupted``, ``elsewhere`` (another process makes it).
    failed
        The names of the periods that failed.
    errors
        What could not even be recorded, a line each.
    """

    there: int = 0
    endings: Counter[Ending] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return not self.failed and not self.errors


def backfill(
    workshop: Workshop,
    report: str,
    since: dt.date,
    until: dt.date,
    *,
    most: int | None = None,
    progress: bool | Callable[[str, float | None], None] | None = None,
    deliver: bool = False,
) -> Tally:
    """Make the runs of a report whose period is of a local date from ``since`` to ``until``, both inclusive.

    Those that have their page are left as they are, so that a backfill that was interrupted goes on where it was. Runs that
    failed or were skipped are made; periods that are not over are not.

    Parameters
    ----------
    workshop
        What runs are made with.
    report
        Its name.
    most
        How many are made at once; as many as there are cores if left out.
    progress
        As for ``log.ingest``.
    deliver
        Whether they are delivered too.

    Raises
    ------
    InvalidArgument
        If there is no such report (with near matches), or no period of it then that is over.
    """
    asked = find(workshop.configuration, report)
    periods = _periods(asked, since, until, workshop.clock())
    tally = Tally()
    there = _there(workshop, asked, periods)
    todo = [period for period in periods if period.name not in there]
    tally.there = len(periods) - len(todo)

    def perform(period: Period) -> Ending:
        return jobs.perform(workshop, asked, period, reason="backfill", deliver=deliver, again=True)

    with reporting(progress) as told:
        for period, ending in crews.each(todo, perform, cancelled=workshop.cancelled, most=most):
            if isinstance(ending, Exception):
                tally.errors.append(f"{period.name}: {crews.told(ending)}")
                continue
            tally.endings[ending] += 1
            if ending == "failed":
                tally.failed.append(period.name)
            told(f"{asked.name}: {tally.endings.total():,} of {len(todo):,}", tally.endings.total() / len(todo))
    if tally.endings:
        shelves.refresh(workshop.configuration, workshop.records)
    return tally


def find(configuration: Configuration, report: str) -> Report:
    """Return a report by its name.

    Raises
    ------
    InvalidArgument
        If there is none (with near matches).
    """
    if report not in configuration.reports:
        message, hint, _ = unknown("report", report, configuration.reports)
        raise InvalidArgument(f"{configuration.path}: {message}", hint=hint)
    return configuration.reports[report]


def _periods(report: Report, since: dt.date, until: dt.date, now: dt.datetime) -> list[Period]:
    """Return the periods of those dates that are over."""
    if since > until:
        raise InvalidArgument(
            f"{since} is after {until}", hint="Give the first day, and then the last, which is inclusive."
        )
    periods = list(report.schedule.periods(since, until))
    over = [period for period in periods if period.due <= now]
    if not over:
        reason = f"the first is due at {periods[0].due.isoformat(' ')}" if periods else "none begins then"
        raise InvalidArgument(
            f"{report.name} has no period from {since} to {until} that is over: {reason}",
            hint="Dates are those on which the report's periods begin, in its time zone.",
        )
    return over


def _there(workshop: Workshop, report: Report, periods: list[Period]) -> set[str]:
    """Return the names of the periods that have their page, by one query."""
    last = periods[-1].start + dt.timedelta(microseconds=1)
    found = workshop.records.runs(report.name, since=periods[0].start, until=last)
    return {run.period for run in found if run.version}
