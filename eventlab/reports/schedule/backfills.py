"""Backfills: a report for the periods of the past, each as it would have been when it was due."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import os
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
    from eventlab.reports.ledger.runs import Run
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
    told
        What was delivered, a line a channel, if that was asked for.
    undelivered
        How many messages could not be delivered.
    troubles
        What went wrong after the runs, a line each: the index page could not be written, a delivery not be recorded.
    """

    there: int = 0
    endings: Counter[Ending] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    undelivered: int = 0
    troubles: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return not (self.failed or self.errors or self.undelivered or self.troubles)


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
    failed or were skipped are made, unless that was after this backfill began: then another one has tried. Periods that are not
    over are not made. Those whose process was killed are made last, one at a time.

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
        Whether they are delivered too, at once when all are made, with whatever else is to be delivered then.

    Raises
    ------
    InvalidArgument
        If there is no such report (with near matches), or no period of it then that is over.
    """
    asked = find(workshop.configuration, report)
    periods = _periods(asked, since, until, workshop.clock())
    tally = Tally()
    began, known = workshop.records.log.position, _known(workshop, asked, periods)
    todo = [period for period in periods if period.name not in known or not known[period.name].version]
    tally.there = len(periods) - len(todo)
    suspects = [period for period in todo if period.name in known and known[period.name].suspect]
    suspects.sort(key=lambda period: known[period.name].kills)

    def perform(period: Period, *, alone: bool = False) -> Ending:
        return jobs.perform(workshop, asked, period, reason="backfill", deliver=deliver, again=began, alone=alone)

    with reporting(progress) as told:
        first = crews.each(
            [period for period in todo if period not in suspects], perform, cancelled=workshop.cancelled, most=most
        )
        then = crews.each(suspects, functools.partial(perform, alone=True), cancelled=workshop.cancelled, most=1)
        for period, ending in itertools.chain(first, then):
            if isinstance(ending, Exception):
                tally.errors.append(f"{period.name}: {crews.told(ending)}")
                continue
            tally.endings[ending] += 1
            if ending == "failed":
                tally.failed.append(period.name)
            told(f"{asked.name}: {tally.endings.total():,} of {len(todo):,}", tally.endings.total() / len(todo))
    if tally.endings:
        tally.troubles += crews.attempted(lambda: shelves.refresh(workshop.configuration, workshop.records))
    if deliver and workshop.configuration.channels and not workshop.cancelled.is_set():
        tally.troubles += crews.attempted(lambda: _deliver(workshop, tally))
    return tally


def _deliver(workshop: Workshop, tally: Tally) -> None:
    """Deliver, and note what arrived."""
    from eventlab.reports.delivery import deliveries  # noqa: PLC0415 - only where there is something

    counts = deliveries.deliver(workshop.configuration, workshop.records, clock=workshop.clock, environment=os.environ)
    tally.told += counts.told
    tally.undelivered += counts.failed + counts.given_up


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


def _known(workshop: Workshop, report: Report, periods: list[Period]) -> dict[str, Run]:
    """Return the runs of the periods by their names, by one query."""
    last = periods[-1].start + dt.timedelta(microseconds=1)
    return {run.period: run for run in workshop.records.runs(report.name, since=periods[0].start, until=last)}
