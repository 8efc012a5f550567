"""Rounds: what a schedule does when it wakes. Plan what is due, make it, check alerts, deliver, and write the index pages."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventlab.reports.calendar.periods import Period
from eventlab.reports.schedule import crews, jobs, plans, shelves

if TYPE_CHECKING:
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
    told
        What alerts said and what was delivered, or could not be, a line each.
    undelivered
        How many messages could not be delivered; most of them are tried again.
    errors
        What could not even be recorded, or shown on the index page, a line each.
    """

    planned: int = 0
    endings: list[tuple[Run, Ending]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    undelivered: int = 0
    errors: list[str] = field(default_factory=list)

    def count(self, ending: Ending) -> int:
        """Return how many runs ended that way."""
        return sum(1 for _, one in self.endings if one == ending)

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return not self.errors and not self.undelivered and not self.count("failed")


def round(workshop: Workshop, *, most: int | None = None) -> Outcome:  # noqa: A001 - what it is
    """Do one round, and return what it did; several processes may do theirs at once.

    Runs whose process was killed are made after all others, one at a time, and what there is to deliver is delivered before:
    if one of them is what has killed it, it holds up nothing but itself.

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
    suspects = sorted((run for run in due if run.suspect), key=lambda run: run.kills)  # who has killed most is the last
    _make(workshop, [run for run in due if not run.suspect], outcome, most=most)
    if suspects:
        _follow(workshop, outcome, changed=bool(outcome.planned or outcome.endings))
        made = len(outcome.endings)
        _make(workshop, suspects, outcome, most=1, alone=True)
        _follow(workshop, outcome, changed=any(ending != "elsewhere" for _, ending in outcome.endings[made:]))
    else:
        _follow(workshop, outcome, changed=bool(outcome.planned or outcome.endings))
    return outcome


def _make(workshop: Workshop, runs: list[Run], outcome: Outcome, *, most: int | None, alone: bool = False) -> None:
    """Make runs, and note how they end."""
    work = functools.partial(_perform, workshop, alone=alone)
    for run, ending in crews.each(runs, work, cancelled=workshop.cancelled, most=most):
        if isinstance(ending, Exception):
            outcome.errors.append(f"{run.report}, {run.period}: {crews.told(ending)}")
        else:
            outcome.endings.append((run, ending))


def _follow(workshop: Workshop, outcome: Outcome, *, changed: bool) -> None:
    """Do what comes after runs: check alerts, deliver, and show on the index pages what has changed."""
    configuration, records = workshop.configuration, workshop.records
    if workshop.cancelled.is_set():
        return
    if configuration.alerts:
        outcome.errors += crews.attempted(lambda: _check(workshop, outcome))
    if configuration.channels:
        outcome.errors += crews.attempted(lambda: _deliver(workshop, outcome))
    if changed:
        outcome.errors += crews.attempted(lambda: shelves.refresh(configuration, records))


def _check(workshop: Workshop, outcome: Outcome) -> None:
    """Check alerts, and note what they say."""
    from eventlab.reports.delivery import alerts  # noqa: PLC0415 - only where there are some

    outcome.told += alerts.check(workshop.configuration, workshop.records, clock=workshop.clock).told


def _deliver(workshop: Workshop, outcome: Outcome) -> None:
    """Deliver, and note what arrived."""
    from eventlab.reports.delivery import deliveries  # noqa: PLC0415 - as above

    counts = deliveries.deliver(workshop.configuration, workshop.records, clock=workshop.clock, environment=os.environ)
    outcome.told += counts.told
    outcome.undelivered += counts.failed + counts.given_up


def _ours(workshop: Workshop, run: Run) -> bool:
    """Tell whether a schedule that is still there has to see to a run."""
    report, standing = workshop.configuration.reports.get(run.report), workshop.records.standing(run.report)
    return report is not None and report.enabled and standing is not None and standing.covers(run)


def _perform(workshop: Workshop, run: Run, *, alone: bool) -> Ending:
    """Make a run that is due, or was begun and did not end."""
    period = Period(run.start, run.end, run.period)
    deliver = run.reason != "backfill"  # which was not asked to deliver, and is only brought to its end
    report = workshop.configuration.reports[run.report]
    return jobs.perform(workshop, report, period, reason=run.reason, deliver=deliver, alone=alone)
