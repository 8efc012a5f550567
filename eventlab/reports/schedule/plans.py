"""Plans: which runs have become due, and which of them are made. Recorded at once, before any of them begins.

A schedule has come as far as the last due time that is recorded, so that nothing is lost when a process ends between two runs,
nothing is doubled by two processes (a run's stream begins once) and nothing comes again when the clock is set back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import eventlab as el
from eventlab import moments
from eventlab.errors import WrongExpectedVersion
from eventlab.reports.ledger import runs

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from eventlab.reports.configuration.configurations import Configuration, Report
    from eventlab.reports.ledger.records import Records

    Step = tuple[str, int | None, el.Event]

_MANY = 500  # due times that are recorded at once: after a long pause there can be very many
_LOST = "catch_up is latest, and a later run was due as well"


def plan(configuration: Configuration, records: Records, now: dt.datetime) -> int:
    """Record what has become due by now, of all reports that are enabled, and return how many due times that are.

    A schedule that begins does so with the last time that was due. After a pause, ``catch_up`` says which runs are made; the
    others are recorded as skipped, with the reason.

    Raises
    ------
    StoreError
        If it cannot be recorded.
    """
    planned = 0
    records.sync()
    while True:
        steps = _steps(configuration, records, now)
        try:
            for first in range(0, len(steps), _MANY):
                some = steps[first : first + _MANY]
                records.append(*some)
                planned += sum(step[2].type != "ReportScheduled" for step in some)
        except WrongExpectedVersion:
            continue  # another process has planned some of it: see what is left
        return planned


def _steps(configuration: Configuration, records: Records, now: dt.datetime) -> list[Step]:
    """Return what is to be recorded, in order."""
    return [step for report in configuration.reports.values() if report.enabled for step in _of(report, records, now)]


def _of(report: Report, records: Records, now: dt.datetime) -> Iterator[Step]:
    """Yield what is to be recorded of one report."""
    standing = records.standing(report.name)
    if standing is None:
        dues = [report.schedule.previous(now)]
        begins = {"report": report.name, "since": dues[0].isoformat()}
        yield f"schedule-{report.name}", 0, el.Event("ReportScheduled", begins)
    else:
        dues = list(report.schedule.dues(standing.through, now))
    seen: set[str] = set()
    for due in dues:
        period = report.schedule.period(due)
        if period.name in seen or records.known(
            report.name, period.name
        ):  # by a backfill, or by another schedule before
            come = {"report": report.name, "due": due.isoformat()}
            yield f"schedule-{report.name}", None, el.Event("ScheduleAdvanced", come)
            continue
        seen.add(period.name)
        key = runs.key(report.name, period)
        why = _why_not(report, due, now, newest=due == dues[-1])
        if why is None:
            late = now - due > report.grace
            event = el.Event("RunPlanned", {**key, "reason": "caught up" if late else "scheduled"})
        else:
            event = el.Event("RunSkipped", {**key, "why": why})
        yield runs.stream(report.name, period.name), 0, event


def _why_not(report: Report, due: dt.datetime, now: dt.datetime, *, newest: bool) -> str | None:
    """Return why a run that was due is not made; None if it is."""
    if report.catch_up == "latest" and not newest:
        return _LOST
    if report.catch_up == "none" and now - due > report.grace:
        return f"catch_up is none, and it was {moments.told(now - due)} late"
    return None
