"""Standings: how the reports of a schedule stand. When they are due next, what was made last, what was missed and why."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any

from eventlab import moments
from eventlab.reports.schedule.backfills import find

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventlab.reports.configuration.configurations import Configuration, Report
    from eventlab.reports.delivery.outboxes import Waiting
    from eventlab.reports.ledger.records import Records
    from eventlab.reports.ledger.runs import Run

_MANY = 10_000  # due times that are counted
_RECENT = 50  # runs that are looked at to explain
_SHOWN = 5

# the last run of each report, and how many of its runs there are by what became of them
_STATUS = """
with counted as (
    select report,
        arg_max(period, due) as last_period, arg_max(status, due) as last_status, max(due) as last_due,
        count(*) filter (status in ('ok', 'corrected')) as made, count(*) filter (status = 'failed') as failed,
        count(*) filter (status = 'skipped') as skipped
    from runs group by report
), given as (
    select unnest($names::varchar[]) as report, unnest($nexts::timestamptz[]) as next_due,
        unnest($waiting::bigint[]) as waiting, unnest($undelivered::bigint[]) as undelivered,
        unnest($enabled::boolean[]) as enabled
)
select report, enabled, next_due, last_period, last_status, last_due, coalesce(made, 0) as made,
    coalesce(failed, 0) as failed, coalesce(skipped, 0) as skipped, waiting, undelivered
from given left join counted using (report) order by report
"""
_GIVEN_UP = """
select period, what, channel, error from deliveries
where report = $report and status = 'given up' order by period desc, channel, what limit 5
"""
_LISTING = """
select unnest($names::varchar[]) as report, unnest($enabled::boolean[]) as enabled, unnest($schedules::varchar[]) as schedule,
    unnest($zones::varchar[]) as timezone, unnest($nexts::timestamptz[]) as next_due, unnest($catch_up::varchar[]) as catch_up,
    unnest($sources::varchar[]) as source, unnest($deliver::varchar[]) as deliver
"""


def status(configuration: Configuration, now: dt.datetime, records: Records) -> tuple[str, dict[str, Any]]:
    """Return the query, over the runs log, of how each report stands: a row each.

    ``waiting`` is how many runs are due and not settled: planned, being made, to be tried again, or not even seen by a round;
    ``undelivered`` how many messages wait to be delivered, or to be tried again.
    """
    waiting = Counter(one.told["report"] for one in _undelivered(records))
    reports = list(configuration.reports.values())
    return _STATUS, {
        "names": [report.name for report in reports],
        "enabled": [report.enabled for report in reports],
        "nexts": [_next(report, now) for report in reports],
        "waiting": [len(unsettled(report, records)) + len(unseen(report, records, now)) for report in reports],
        "undelivered": [waiting[report.name] for report in reports],
    }


def listing(configuration: Configuration, now: dt.datetime) -> tuple[str, dict[str, Any]]:
    """Return the query of what is on schedule: a row for each report of the configuration."""
    reports = sorted(configuration.reports.values(), key=lambda report: report.name)
    return _LISTING, {
        "names": [report.name for report in reports],
        "enabled": [report.enabled for report in reports],
        "schedules": [rhythm(report) for report in reports],
        "zones": [report.timezone for report in reports],
        "nexts": [_next(report, now) for report in reports],
        "catch_up": [report.catch_up for report in reports],
        "sources": [report.notebook or report.function or report.source for report in reports],
        "deliver": [", ".join(report.deliver) for report in reports],
    }


def explain(configuration: Configuration, name: str, now: dt.datetime, records: Records) -> list[str]:
    """Return in lines how a report stands, and why: its schedule, what is next, was last, waits, was missed, was not delivered.

    Raises
    ------
    InvalidArgument
        If there is no such report (with near matches).
    """
    report = find(configuration, name)
    recent = records.runs(name, limit=_RECENT)
    return [
        *_schedule(report, now),
        *_beginning(report, records, now),
        *_last(report, recent),
        *_waiting(report, records, now),
        *_missed(recent),
        *_deliveries(report, records),
    ]


def unsettled(report: Report, records: Records) -> list[Run]:
    """Return the runs of a report that are planned or begun, and not done."""
    return [run for run in records.open_runs() if run.report == report.name]


def unseen(report: Report, records: Records, now: dt.datetime) -> list[dt.datetime]:
    """Return the times since the last round at which a report was due: nobody has looked; so many at most as can be counted."""
    standing = records.standing(report.name)
    if standing is None or not report.enabled:
        return []
    return list(itertools.islice(report.schedule.dues(standing.through, now), _MANY))


def rhythm(report: Report) -> str:
    """Return when a report is due, as it is configured."""
    if report.cron is not None:
        return f"cron {report.cron}"
    return "never" if report.every is None else f"every {moments.told(report.every)}"


def _next(report: Report, now: dt.datetime) -> str | None:
    return report.schedule.next(now).isoformat() if report.enabled else None


def _schedule(report: Report, now: dt.datetime) -> Iterator[str]:
    """Yield when a report is due, and what becomes of a run that is late."""
    yield f"{report.name} is due: {rhythm(report)}, in {report.timezone}."
    if not report.enabled:
        yield "It is not enabled (enabled = false), so it is not made. Once it is, catch_up says what becomes of what it missed."
        return
    due = report.schedule.next(now)
    yield f"Next: {_at(due)}, in {moments.told(_whole(due - now))}, of the period {report.schedule.period(due).label}."
    late = {
        "all": "each run that was missed is made, in order, as of its own moment",
        "latest": "of the runs that were missed the latest is made, as of its own moment; the others are skipped",
        "none": f"a run that is more than {moments.told(report.grace)} late is skipped",
    }
    yield f"catch_up = {report.catch_up}: {late[report.catch_up]}."


def _beginning(report: Report, records: Records, now: dt.datetime) -> Iterator[str]:
    """Yield since when a report is on schedule."""
    standing = records.standing(report.name)
    if standing is not None:
        since = _at(_local(report, standing.since))
        yield f"The schedule began with the run that was due at {since}; what was before is for a backfill."
    elif report.enabled:
        due = report.schedule.previous(now)
        yield f"No round has seen it yet: eventlab schedule run (or tick) begins with what was due at {_at(due)}."


def _last(report: Report, recent: Sequence[Run]) -> Iterator[str]:
    """Yield what the last run became, and if that is not good, the last good one."""
    settled = [run for run in recent if run.settled and run.status != "skipped"]
    if not settled:
        return
    last = settled[-1]
    yield f"Last: {last.period}, {_became(report, last)}"
    good = next((run for run in reversed(settled) if run.version), None)
    if last.status == "failed" and good is not None:
        yield f"Last good: {good.period}, {_became(report, good)}"


def _became(report: Report, run: Run) -> str:
    """Return what a run became."""
    tries = f"after {run.attempts} attempts " if run.attempts > 1 else ""
    when = "" if run.ended_at is None else f"at {_at(_local(report, run.ended_at))}"
    if run.status == "failed":
        where = "" if run.page is None else f" ({run.out}/{run.page})"
        return f"failed {tries}{when}: {run.message}{where}"
    version = "" if run.version == 1 else f", corrected: version {run.version}"
    known = "as of all that is recorded" if run.known_at is None else f"as known at {_at(_local(report, run.known_at))}"
    return f"{run.reason}, made {tries}{when}, {known}{version}: {', '.join(f'{run.out}/{file}' for file in run.files)}"


def _waiting(report: Report, records: Records, now: dt.datetime) -> Iterator[str]:
    """Yield what is due and not done, and why not."""
    why = {
        "planned": "due, and not begun yet",
        "running": "being made, unless its process was killed: the next round sees",
        "retrying": "failed, to be tried again",
        "abandoned": "its process ended; the next round makes it again",
    }
    waiting = unsettled(report, records)
    for run in waiting[-_SHOWN:]:
        more = f" (attempt {run.attempts}, process {run.pid} on {run.host})" if run.status == "running" else ""
        yield f"Waiting: {run.period}, {why[run.status]}{more}."
    if len(waiting) > _SHOWN:
        yield f"and {len(waiting) - _SHOWN} more before them."
    missed = unseen(report, records, now)
    if missed:
        count = f"{len(missed):,}{'+' if len(missed) == _MANY else ''} run{'s' if len(missed) > 1 else ''}"
        yield f"No round since {_at(missed[0])}: {count} due since then. Is eventlab schedule run (or tick) running?"


def _missed(recent: Sequence[Run]) -> Iterator[str]:
    """Yield the last runs that were skipped, and why."""
    skipped = [run for run in recent if run.status == "skipped"]
    for run in skipped[-_SHOWN:]:
        yield f"Missed: {run.period}, skipped: {run.why}."
    if len(skipped) > _SHOWN:
        yield f"and {len(skipped) - _SHOWN} more among the last {len(recent)} runs."


def _deliveries(report: Report, records: Records) -> Iterator[str]:
    """Yield the last messages that wait to be delivered, and why the last attempt failed."""
    waiting = [one for one in _undelivered(records) if one.told["report"] == report.name]
    for one in waiting[-_SHOWN:]:
        tries = f"tried {one.attempts} time{'s' if one.attempts > 1 else ''}" if one.attempts else "not tried yet"
        again = "" if one.retry_at is None else f", again at {_at(_local(report, one.retry_at))}"
        what = one.facts()["what"]
        why = f": {one.error}" if one.error else ""
        yield f"Not delivered: {one.told['period']}, {what} over {one.channel}, {tries}{again}{why}."
    if len(waiting) > _SHOWN:
        yield f"and {len(waiting) - _SHOWN} more before them."
    if "deliveries" in records.log.states:
        for period, what, channel, error in records.log.sql(_GIVEN_UP, {"report": report.name}).fetchall():
            yield f"Given up: {period}, {what} over {channel}: {error}."


def _undelivered(records: Records) -> list[Waiting]:
    """Return what waits to be delivered; nothing in a runs log that no schedule has written to, which is only read here."""
    from eventlab.reports.delivery import outboxes  # noqa: PLC0415 - for these commands alone

    if "deliveries" not in records.log.states:
        return []
    return [one for one in outboxes.outbox(records).waiting() if not one.overtaken]


def _local(report: Report, moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(moments.zone(report.timezone))


def _at(moment: dt.datetime) -> str:
    return moment.isoformat(" ", "seconds" if moment.second else "minutes")


def _whole(length: dt.timedelta) -> dt.timedelta:
    """Return a duration in whole minutes, or seconds where it is short."""
    unit = dt.timedelta(minutes=1) if length >= dt.timedelta(minutes=1) else dt.timedelta(seconds=1)
    return length // unit * unit
