"""Restatements: issued reports whose figures are others by now, as events came late or mistakes were put right.

Each is made again of its period as that is known now: of all that is recorded, without what was compensated since. What is
issued is the next version of its page, which begins with what has changed; the earlier version stays.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import eventlab as el
from eventlab import moments
from eventlab.errors import EventlabError, WrongExpectedVersion
from eventlab.reports import figures, renders
from eventlab.reports.calendar import clocks
from eventlab.reports.calendar.periods import Period
from eventlab.reports.execution import sources
from eventlab.reports.execution.executions import Cancelled
from eventlab.reports.ledger import claims, publications, runs
from eventlab.reports.schedule import backfills, crews
from eventlab.reports.schedule.arrivals import arrivals
from eventlab.store.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from eventlab.log import EventLog
    from eventlab.moments import Basis, Instant
    from eventlab.reports.configuration.configurations import Report
    from eventlab.reports.figures import Change
    from eventlab.reports.ledger.runs import Run
    from eventlab.reports.renders import Made
    from eventlab.reports.schedule.workshops import Workshop


@dataclass(frozen=True, slots=True, kw_only=True)
class Restatement:
    """An issued report of a period that would be another now, or of which that cannot be said.

    Attributes
    ----------
    report, period
        The names of both.
    version
        The newest version that was issued before, which is compared.
    changes
        The figures that differ; none where that cannot be said.
    why
        What is behind it, or why it cannot be said.
    failed
        Whether it could not be made again, or not be issued.
    issued
        The files of the next version; empty if none was issued.
    """

    report: str
    period: str
    version: int
    changes: list[Change] = field(default_factory=list)
    why: str = ""
    failed: bool = False
    issued: list[Path] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Task:
    """A run to be made again, of its log as of the position ``head``: what came since, or the problem that it has."""

    run: Run
    report: Report
    head: int = 0
    came: str = ""
    problem: str = ""

    @property
    def period(self) -> Period:
        """The period of the run, in the zone of its report."""
        start, end = (clocks.shown(time, moments.zone(self.report.timezone)) for time in (self.run.start, self.run.end))
        return Period(start, end, self.run.period)

    def told(self, *why: str, changes: Sequence[Change] = (), failed: bool = False) -> Restatement:
        """Return what came of it."""
        return Restatement(
            report=self.run.report,
            period=self.run.period,
            version=self.run.version,
            changes=list(changes),
            why="; ".join(filter(None, (self.came, *why))),
            failed=failed,
        )


def restate(
    workshop: Workshop,
    reports: Sequence[str] | None = None,
    *,
    since: Instant,
    issue: bool = False,
    most: int | None = None,
    progress: bool | Callable[[str, float | None], None] | None = None,
) -> list[Restatement]:
    """Return the issued reports whose figures would be others now, in the order in which they were due.

    Only those are made again whose log has got events of their time since, or compensations of events that they show; with the
    parameters that they were made with. Those of which nothing can be said are in the list, too: one that fails now or
    declares no figures, and one whose log is gone. What the configuration no longer has is left out.

    With ``issue`` a report is still run once: what was compared is what is issued. It is delivered with the next round, over
    the channels of the version before. What was issued before an interruption stays, and is not issued again. The index pages,
    ``shelves.refresh``, are left to the caller, who has what was issued even if they cannot be written.

    Parameters
    ----------
    workshop
        What runs are made with.
    reports
        Their names; all of the configuration if None.
    since
        Of the runs whose period begins then or later: a date or a time, in the report's zone if it has no offset.
    issue
        Whether to issue the next version of those whose figures differ.
    most
        How many are made at once; as many as there are cores if left out.
    progress
        As for ``log.ingest``.

    Raises
    ------
    InvalidArgument
        If there is no such report (with near matches), or ``since`` is no time.
    """
    issued = _issued(workshop, reports, since)
    tasks = list(_tasks(workshop, issued))
    found: dict[str, Restatement] = {}

    def work(task: _Task) -> Restatement | None:
        if task.problem:
            return task.told(task.problem, failed=True)
        if workshop.cancelled.is_set():
            return None
        return _reissued(workshop, task) if issue else _compared(workshop, task)[0]

    with reporting(progress) as tell:
        outcomes = crews.each(tasks, work, cancelled=workshop.cancelled, most=most)
        for count, (task, outcome) in enumerate(outcomes, start=1):
            if isinstance(outcome, Restatement):
                found[task.run.stream] = outcome
            elif isinstance(outcome, Exception) and not isinstance(outcome, Cancelled):
                found[task.run.stream] = task.told(crews.told(outcome), failed=True)
            tell(f"made again: {count:,} of {len(tasks):,}", count / len(tasks))
    return [found[run.stream] for run in issued if run.stream in found]


def _issued(workshop: Workshop, reports: Sequence[str] | None, since: Instant) -> list[Run]:
    """Return the runs that have a page and whose period begins then or later, by one query."""
    known = workshop.configuration.reports
    names = list(known) if reports is None else [backfills.find(workshop.configuration, name).name for name in reports]
    begins = {
        name: moments.moment_of(moments.instant(since, moments.zone(known[name].timezone)))
        for name in dict.fromkeys(names)
    }
    if not begins:
        return []
    workshop.records.sync()
    found = workshop.records.runs(list(begins), since=min(begins.values()))
    return [run for run in found if run.version and run.start >= begins[run.report]]


def _tasks(workshop: Workshop, issued: Sequence[Run]) -> Iterator[_Task]:
    """Yield what is to be made again, or cannot be, by one query a log."""
    known = workshop.configuration.reports
    by_store: dict[Path, list[_Task]] = defaultdict(list)
    for run in issued:
        by_store[known[run.report].store].append(_Task(run, known[run.report]))
    for store, tasks in by_store.items():
        try:
            with el.open(store, read_only=True) as log:
                yield from list(_of_log(log, tasks))
        except (EventlabError, OSError) as error:
            yield from (replace(task, problem=f"its log cannot be read: {crews.told(error)}") for task in tasks)


def _of_log(log: EventLog, tasks: Sequence[_Task]) -> Iterator[_Task]:
    """Yield those of one log that are affected by what came since they were made, or were not made from it."""
    head = log.position
    fit: list[tuple[_Task, Basis]] = []
    for task in tasks:
        basis = moments.basis(task.run.basis)
        problem = _mismatch(log, basis, head)
        if basis is not None and not problem:
            fit.append((task, basis))
        else:
            yield replace(task, problem=problem)
    came = arrivals(log, [basis for _, basis in fit], head=head)
    yield from (replace(task, head=head, came=one.told) for (task, _), one in zip(fit, came, strict=True) if one)


def _mismatch(log: EventLog, basis: Basis | None, head: int) -> str:
    """Return why a log is not what a report was made from; empty if it is."""
    if basis is None:
        return "what it was made from is told in a form that this version of eventlab does not know"
    if basis.store != log.store_id:
        return f"it was made from another log than {log.path}, with the id {basis.store}"
    if basis.position > head:
        return f"it was made from {basis.position:,} events, of which {log.path} holds {head:,}"
    return ""


def _compared(workshop: Workshop, task: _Task) -> tuple[Restatement | None, Made | None]:
    """Make a report again, and return what differs (None: no figure does), and the report unless it fails."""
    run, made = task.run, _make(workshop, task)
    edited = f"{made.source.place} has changed since version {run.version}" if made.source.digest != run.digest else ""
    if made.failure is not None:
        return task.told(edited, f"it fails now: {made.failure.message}", failed=True), None
    changes = figures.changes(run.figures, made.figures)
    if changes:
        return task.told(edited, changes=changes), made
    if not made.figures:
        return task.told(edited, "it declares no figures, so that nothing can be compared"), made
    return None, made


def _make(workshop: Workshop, task: _Task) -> Made:
    """Make a report of the period of its run, as that is known now."""
    run, report = task.run, task.report
    return workshop.make(
        sources.source(report.source, base=workshop.configuration.path.parent),
        report.store,
        at=run.end,
        known_at=task.head,
        params=dict(run.params or {}),
        period=task.period,
        report=report.name,
        title=run.title or None,
        timeout=report.timeout,
        corrected=True,
        cancelled=workshop.cancelled,
        beside=report.out / report.name,
    )


def _reissued(workshop: Workshop, task: _Task) -> Restatement | None:
    """Make a report again, and issue its next version if a figure differs; nobody else does meanwhile."""
    records, run = workshop.records, task.run
    with claims.claim(records.path / "locks", run.stream) as mine:
        if not mine:
            return task.told("another process is making it")
        records.sync()
        newest = records.run(run.report, run.period) or run
        if newest.version != run.version:
            return task.told(f"version {newest.version} has been issued meanwhile")
        outcome, made = _compared(workshop, replace(task, run=newest))
        if outcome is None or made is None or not outcome.changes:
            return outcome
        try:
            return replace(outcome, issued=_issue(workshop, replace(task, run=newest), made, outcome.changes))
        except WrongExpectedVersion:  # by a process that cannot see our lock
            return task.told("another process has issued it meanwhile")


def _issue(workshop: Workshop, task: _Task, made: Made, changes: Sequence[Change]) -> list[Path]:
    """Write the next version of a report and record it, by which it is issued; return its files."""
    run, report = task.run, task.report
    version = run.version + 1
    product = renders.with_changes(made, version, changes)
    published = publications.publish(
        product,
        report,
        run.period,
        version=version,
        mailed=publications.mailed(run.deliver, workshop.configuration.channels),
        write=workshop.write,
    )
    told = runs.finished(product, report, published, reason="restated", deliver=run.deliver, at=run.end, known_at=None)
    workshop.records.append(
        (run.stream, run.length, el.Event("RunFinished", {**runs.key(run.report, task.period), **told}))
    )
    return [report.out / name for name in published.files]
