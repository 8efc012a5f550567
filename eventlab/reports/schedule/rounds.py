"""Rounds: what a schedule does when it wakes. Plan what is due, make it, check alerts, deliver, and write the index pages."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventlab.errors import EventlabError
from eventlab.reports.calendar.periods import Period
from eventlab.reports.schedule import crews, jobs, plans, shelves

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventlab.reports.ledger.runs import Run
    from eventlab.reports.schedule.jobs import Ending
    from eventlab.reports.schedule.workshops import Workshop


@dataclass(slots=True)
class Outcome:
    """What a round did.

    Attributes
    ----------
    planned
        How many due times it found.
    endings
        How its runs ended, in the order in which they did: the run, and ``made``, ``failed``, ``interrupted`` or ``elsewhere``.
    errors
        What could not even be recorded, or delivered, or shown on the index page, a line each.
    """

    planned: int = 0
    endings: list[tuple[Run, Ending]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def count(self, ending: Ending) -> int:
        """Return how many runs ended that way."""
        return sum(1 for _, one in self.endings if one == ending)

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return not self.errors and not self.count("failed")


def round(workshop: Workshop, *, most: int | None = None) -> Outcome:  # noqa: A001 - what it is
    """Do one round, and return what it did; several processes may do theirs at once.

    Parameters
    ----------
    workshop
        What runs are made with.
    most
        How many runs are made at once; as many as there are cores if left out.

    Raises
    ------
    StoreError
        If what is due cannot be recorded.
    """
    outcome, records, configuration = Outcome(), workshop.records, workshop.configuration
    outcome.planned = plans.plan(configuration, records, workshop.clock())
    due = [run for run in records.open_runs() if _ours(workshop, run)]
    for run, ending in crews.each(due, lambda run: _perform(workshop, run), cancelled=workshop.cancelled, most=most):
        if isinstance(ending, Exception):
            outcome.errors.append(f"{run.report}, {run.period}: {crews.told(ending)}")
        else:
            outcome.endings.append((run, ending))
    if workshop.cancelled.is_set():
        return outcome
    if configuration.alerts:
        from eventlab.reports.delivery import alerts  # noqa: PLC0415 - only where there are some

        _try(outcome, lambda: alerts.check(configuration, records, clock=workshop.clock))
    if configuration.channels:
        from eventlab.reports.delivery import deliveries  # noqa: PLC0415 - as above

        _try(
            outcome,
            lambda: deliveries.deliver(configuration, records, clock=workshop.clock, environment=os.environ),
        )
    if outcome.planned or outcome.count("made") or outcome.count("failed"):
        _try(outcome, lambda: shelves.refresh(configuration, records))
    return outcome


def _ours(workshop: Workshop, run: Run) -> bool:
    """Tell whether a schedule that is still there has to see to a run."""
    report, standing = workshop.configuration.reports.get(run.report), workshop.records.standing(run.report)
    return report is not None and report.enabled and standing is not None and standing.covers(run)


def _perform(workshop: Workshop, run: Run) -> Ending:
    """Make a run that is due, or was begun and did not end."""
    period = Period(run.start, run.end, run.period)
    deliver = run.reason != "backfill"  # which was not asked to deliver, and is only brought to its end
    return jobs.perform(
        workshop, workshop.configuration.reports[run.report], period, reason=run.reason, deliver=deliver
    )


def _try(outcome: Outcome, step: Callable[[], object]) -> None:
    """Do a step of a round; if it cannot be done, say so, and let the others be done."""
    try:
        step()
    except (EventlabError, OSError) as error:
        outcome.errors.append(crews.told(error))
