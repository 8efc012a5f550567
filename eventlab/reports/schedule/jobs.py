"""Jobs: one run, from its claim to its record, so that it is made once whatever happens to the processes that try.

A run is claimed by a lock, which dies with its process, and by the version of its stream, which no other process can have used.
Its files are written first; it is done when ``RunFinished`` is recorded. What was begun and not ended, with its lock free, was
killed: that is recorded, and it is made again, alone, so that it is known whether it was the run that killed.
"""

from __future__ import annotations

import errno
import os
import socket
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import eventlab as el
from eventlab.errors import EventlabError, WrongExpectedVersion
from eventlab.reports.configuration import parameters
from eventlab.reports.execution import sources
from eventlab.reports.execution.executions import Failure
from eventlab.reports.ledger import claims, publications, runs
from eventlab.reports.ledger.publications import Published
from eventlab.reports.schedule import workshops

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from eventlab.reports.calendar.periods import Period
    from eventlab.reports.configuration.configurations import Report
    from eventlab.reports.ledger.runs import Run
    from eventlab.reports.renders import Made
    from eventlab.reports.schedule.workshops import Workshop

Ending = Literal["made", "failed", "interrupted", "elsewhere"]
_Write = tuple[int, str, dict[str, Any]]  # the version that is expected, the type of an event, and what it says

_KILLS = (
    8  # of its process in a row while that made nothing else, after which a run has failed: it exhausts the machine
)
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)  # seconds between attempts
_LONGEST = 20_000  # characters of a traceback that are recorded: its end


def perform(
    workshop: Workshop,
    report: Report,
    period: Period,
    *,
    reason: str,
    deliver: bool = True,
    again: int | None = None,
    alone: bool = False,
) -> Ending:
    """Make the run of a report and a period, with as many attempts as it has, and record what becomes of it.

    Parameters
    ----------
    reason
        Why it is made, as ``Run.reason``.
    deliver
        Whether it is delivered as the report says.
    again
        Whether one that has failed for good, or was skipped, is tried anew: if that was recorded up to this position of the
        runs log, and so not by a process that tries the same at this moment. None: it is not.
    alone
        Whether this process makes nothing else meanwhile, so that it is this run if something kills it again and again.

    Returns
    -------
    Ending
        ``elsewhere``: it is settled already, or another process is making it.

    Raises
    ------
    StoreError
        If what became of it cannot be recorded, as on a full disk; it will be made again.
    """
    if workshop.cancelled.is_set():
        return "interrupted"
    records, name = workshop.records, runs.stream(report.name, period.name)
    with claims.claim(records.path / "locks", name) as mine:
        if not mine:
            return "elsewhere"
        records.sync()
        job = _Job(workshop, report, period, reason, report.deliver if deliver else [], alone)
        try:
            return job.finish(again=again)
        except WrongExpectedVersion:  # a process that cannot see our lock was faster
            return "elsewhere"


@dataclass(frozen=True)
class _Job:
    """A run that is claimed."""

    workshop: Workshop
    report: Report
    period: Period
    reason: str
    deliver: list[str]
    alone: bool

    @property
    def title(self) -> str | None:
        """What the configuration calls the report of this period; None leaves it to the report."""
        title = self.report.title
        return None if title is None else parameters.fill(title, self.period, self.report.name)

    def finish(self, *, again: int | None) -> Ending:
        """Make attempts until one succeeds, or none is left."""
        while True:
            run = self.workshop.records.run(self.report.name, self.period.name)
            if run is not None and run.settled and (again is None or run.version or run.position > again):
                return "elsewhere"
            run = self._begin(run)
            if run.status == "failed":
                return "failed"
            ending = self._attempt(run)
            if ending is not None:
                return ending
            self.workshop.pause(_PAUSES[min(run.failures, len(_PAUSES) - 1)])
            if self.workshop.cancelled.is_set():
                return "interrupted"

    def _begin(self, run: Run | None) -> Run:
        """Record that an attempt begins, and return the run; it has failed if it has killed its process too often."""
        attempt, length = (1, 0) if run is None else (run.attempts + 1, run.length)
        writes: list[_Write] = []
        if run is not None and not run.settled:
            lone = run.lone_kills
            if run.status == "running":  # and its lock was free
                writes.append((length, "RunAbandoned", {"attempt": run.attempts, "why": runs.KILLED}))
                lone += run.alone
            if lone >= _KILLS:
                message = f"the process that made it, and nothing else, was killed {lone} times in a row"
                self._fail(run, Failure("dead", message), None, 0.0, final=True, before=writes)
                return self._run()
        begun = {"attempt": attempt, "reason": self.reason, "source": self.report.source, "alone": self.alone}
        place = {"title": self.title, "host": socket.gethostname(), "pid": os.getpid()}
        self._append(*writes, (length + len(writes), "RunStarted", {**begun, **place}))
        return self._run()

    def _attempt(self, run: Run) -> Ending | None:
        """Make the report, write it and record that; return how it ended, None if it is to be tried again."""
        began = self.workshop.clock()
        made: Made | None = None
        try:
            product = self._produce()
            made, failure = product.made, product.made.failure
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a report is recorded and delivered
            failure = _failure(error)
        if failure is None:
            self._append((run.length, "RunFinished", product.told(self, run)))
            publications.withdraw_failure(self.report, self.period.name)
            return "made"
        if self.workshop.cancelled.is_set():  # Ctrl-C may have reached the notebook's process as well
            self._append((run.length, "RunAbandoned", {"attempt": run.attempts, "why": runs.INTERRUPTED}))
            return "interrupted"
        seconds = (self.workshop.clock() - began).total_seconds()
        final = run.failures >= self.report.retries
        self._fail(run, failure, made, seconds, final=final)
        return "failed" if final else None

    def _produce(self) -> _Product:
        """Make the report as of its period's end, and as known when it was due if the log was being recorded by then; write it."""
        report, period, workshop = self.report, self.period, self.workshop
        began = workshops.recorded_since(report.store)
        known_at = period.due if began is not None and began <= period.due else None
        made = workshop.make(
            sources.source(report.source, base=workshop.configuration.path.parent),
            report.store,
            at=period.end,
            known_at=known_at,
            params=parameters.filled(report.parameters, period, report.name),
            period=period,
            report=report.name,
            title=self.title,
            timeout=report.timeout,
            cancelled=workshop.cancelled,
            beside=report.out / report.name,
        )
        if made.failure is not None:
            return _Product(made, known_at)
        mailed = publications.mailed(self.deliver, workshop.configuration.channels)
        return _Product(
            made, known_at, publications.publish(made, report, period.name, mailed=mailed, write=workshop.write)
        )

    def _fail(
        self,
        run: Run,
        failure: Failure,
        made: Made | None,
        seconds: float,
        *,
        final: bool,
        before: Sequence[_Write] = (),
    ) -> None:
        """Record that an attempt failed, together with what was before; if it was the last, with a page for the readers."""
        told: dict[str, Any] = {
            "attempt": run.attempts,
            "reason": self.reason,
            "final": final,
            "title": self.title,
            "kind": failure.kind,
            "message": failure.message,
            "traceback": failure.traceback[-_LONGEST:],
            "cell": failure.cell,
            "code": failure.code,
            "out": str(self.report.out),
            "seconds": seconds,
        }
        if final:
            told |= {**self._publish_failure(run, failure, made), "deliver": self.deliver}
        self._append(*before, (run.length + len(before), "RunFailed", told))

    def _publish_failure(self, run: Run, failure: Failure, made: Made | None) -> dict[str, Any]:
        """Write the page of a failure, and return what the record says of it; without one, why there is none."""
        told: dict[str, Any] = {"title": publications.title_of(self.title, made)}
        try:
            last_good = self.workshop.records.last_good(self.report.name, self.period.due)
            told["last_good"] = publications.pointed(last_good)
            published = publications.publish_failure(
                self.report,
                self.period,
                failure,
                title=self.title,
                made=made,
                attempts=run.attempts,
                last_good=last_good,
                ran=self.workshop.clock(),
                mailed=publications.mailed(self.deliver, self.workshop.configuration.channels),
            )
        except Exception as error:  # noqa: BLE001 - a full disk, a defect: the failure is recorded all the same
            why = "".join(traceback.format_exception(error))
            return {**told, "traceback": f"{failure.traceback}\n\nThere is no page of it:\n{why}"[-_LONGEST:]}
        return {**told, "notebook": published.notebook, "page": published.files[0], "mail": published.mail}

    def _append(self, *writes: _Write) -> None:
        """Append events to the run's stream, each with the version that is expected."""
        key, name = runs.key(self.report.name, self.period), runs.stream(self.report.name, self.period.name)
        events = [(name, version, el.Event(kind, {**key, **given})) for version, kind, given in writes]
        self.workshop.records.append(*events)

    def _run(self) -> Run:
        """Return the run as it is recorded."""
        run = self.workshop.records.run(self.report.name, self.period.name)
        assert run is not None  # noqa: S101 - it was appended to
        return run


@dataclass(frozen=True, slots=True)
class _Product:
    """A report that was made, and where it was written unless it failed."""

    made: Made
    known_at: dt.datetime | None
    published: Published = field(default_factory=lambda: Published(files=[]))

    def told(self, job: _Job, run: Run) -> dict[str, Any]:
        """Return what ``RunFinished`` says of it."""
        return runs.finished(
            self.made,
            job.report,
            self.published,
            reason=job.reason,
            deliver=job.deliver,
            at=job.period.end,
            known_at=self.known_at,
            attempt=run.attempts,
        )


def _failure(error: Exception) -> Failure:
    """Return an error around a report, not in it, as the failure of the run."""
    message = _sentence(error) if isinstance(error, EventlabError) else str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        message = f"the disk is full: {message}"
    return Failure("error", f"{type(error).__name__}: {message}", "".join(traceback.format_exception(error)))


def _sentence(error: EventlabError) -> str:
    """Return what an error says, and its fix, with a stop between."""
    stop = "" if error.message.endswith((".", "?", "!", ":")) else "."
    return f"{error.message}{stop} {error.hint}" if error.hint else error.message
