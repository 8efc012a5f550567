"""Records: the runs log, an eventlab store of its own, as the schedule writes and reads it.

What a round needs (runs that are not settled, how far each schedule has come) is read once, by one query, when the log is opened,
and then kept up to date event by event: a round costs what is new, whatever the history.
"""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import eventlab as el
from eventlab import moments, queries
from eventlab.events import decoded
from eventlab.jupyter import readables
from eventlab.reports.ledger import feeds, happenings, runs
from eventlab.reports.ledger.happenings import Happening
from eventlab.reports.ledger.runs import Run, Status, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from eventlab.events import AppendResult, RecordedEvent
    from eventlab.log import EventLog
    from eventlab.reports.figures import Figure

__all__ = ["Records", "Run", "Standing", "Status", "stream"]

# what a round needs to know at first: the runs that are not settled, and the last one that each schedule has planned
_OPEN = """
with marks as (
    select stream_id,
        regexp_extract(stream_id, '^run-(.*)@([^@]*)$', 1) as report,
        arg_max(event_type, position) filter (event_type <> 'RunPlanned') as last_type,
        coalesce(arg_max(RunFailed.final, position), false) as failed,
        max(coalesce(RunPlanned.due, RunSkipped.due)) as due   -- NULL if no schedule asked for it
    from events where category = 'run' group by stream_id
), wanted as (
    select stream_id from marks
    where last_type is null or last_type in ('RunStarted', 'RunAbandoned') or (last_type = 'RunFailed' and not failed)
    union
    select arg_max(stream_id, due) from marks where due is not null group by report
)
select {columns} from events where category = 'schedule' or stream_id in (from wanted) order by position
"""
_CHOSEN = """
with marks as (
    select stream_id,
        max(coalesce(RunPlanned.start, RunStarted.start, RunSkipped.start)) as start,
        max(coalesce(RunPlanned.due, RunStarted.due, RunSkipped.due)) as due
    from events
    where category = 'run' and ($reports is null or list_contains($reports::varchar[],
        regexp_extract(stream_id, '^run-(.*)@([^@]*)$', 1)))
    group by stream_id
), chosen as (
    select stream_id from marks
    where ($since is null or start >= $since::timestamptz) and ($until is null or start < $until::timestamptz)
    order by due desc, stream_id limit $limit
)
select {columns} from events where stream_id in (from chosen) order by position
"""
_LAST_GOOD = """
select arg_max(stream_id, RunFinished.due) from events
where event_type = 'RunFinished' and RunFinished.report = $report and RunFinished.due < $due::timestamptz
"""
_EVENTS = ["position", "stream_id", "version", "event_type", "epoch_us(recorded_at)", "payload"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a report's schedule has come: the first due time that was its to see to, and the last one."""

    since: dt.datetime
    through: dt.datetime

    def covers(self, run: Run) -> bool:
        """Tell whether the schedule has to see to it that a run is made."""
        return self.since <= run.due <= self.through


class Records:
    """The runs log. Threads may share it; made by ``Records.open``, a context manager."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.lock = threading.RLock()
        self._rooms = readables.rooms(log)
        self._seen = 0
        self._runs: dict[str, Run] = {}
        self._standings: dict[str, Standing] = {}
        self._load()

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], dt.datetime] | None = None, read_only: bool = False) -> Self:
        """Open the runs log at ``path``, which is made if it is not there; ``clock`` says when events are recorded.

        Raises
        ------
        StoreNotFound
            If it is only to be read, and not there.
        """
        now = moments.now if clock is None else lambda: moments.instant(clock(), dt.UTC)
        log = el.open(path, create=not read_only, timezone=None if read_only else "UTC", read_only=read_only, clock=now)
        try:
            if not read_only:
                _define(log)
            return cls(log)
        except BaseException:
            log.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the log."""
        self.log.close()

    @property
    def path(self) -> Path:
        """The log's folder."""
        return self.log.path

    def sync(self) -> None:
        """Take in the events that this and other processes have appended since."""
        with self.lock:
            for event in feeds.news(self.log, self._seen):
                self._seen = event.position
                self._take(event)

    def append(self, *writes: tuple[str, int | None, el.Event]) -> AppendResult | None:
        """Append events, each with its stream and how many events that has (None: any number), all or none; and take them in.

        Raises
        ------
        WrongExpectedVersion
            If another process was faster; what it has appended is taken in.
        """
        try:
            with self.log.transaction() as transaction:
                for stream_id, version, event in writes:
                    transaction.append(stream_id, event, expected_version=version)
        finally:
            self.sync()
        return transaction.result

    def standing(self, report: str) -> Standing | None:
        """Return how far the schedule of a report has come; None if it has not begun."""
        with self.lock:
            return self._standings.get(report)

    def open_runs(self) -> list[Run]:
        """Return the runs that are not settled, in the order in which they are due."""
        with self.lock:
            return sorted((run for run in self._runs.values() if not run.settled), key=_order)

    def known(self, report: str, period: str) -> bool:
        """Tell whether there is a run with a key, whatever became of it."""
        return bool(self._rooms.session.store.journal.versions([stream(report, period)]))

    def run(self, report: str, period: str) -> Run | None:
        """Return a run by its key; None if there is none."""
        name = stream(report, period)
        with self.lock:
            return self._runs.get(name) or self._read(name)

    def runs(
        self,
        report: str | Sequence[str] | None = None,
        *,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        """Return runs in the order in which they are due, by one query.

        Parameters
        ----------
        report
            Of this report, or these; of all if None.
        since, until
            Whose period starts from ``since``, inclusive, to ``until``, exclusive.
        limit
            Only so many, the newest.
        """
        reports = [report] if isinstance(report, str) else report if report is None else list(report)
        times = {name: None if at is None else at.isoformat() for name, at in (("since", since), ("until", until))}
        return sorted(self._folded(_CHOSEN, {"reports": reports, **times, "limit": limit}).values(), key=_order)

    def last_good(self, report: str, before: dt.datetime) -> Run | None:
        """Return the newest run of a report with a page that was due before a moment; None if there is none."""
        found = self.log.sql(_LAST_GOOD, {"report": report, "due": before.isoformat()}).fetchall()[0][0]
        return None if found is None else self._read(found)

    def figures_of(self, run: Run) -> list[Figure]:
        """Return the figures of a run's newest version."""
        return list(run.figures)

    def _load(self) -> None:
        """Read what a round needs to know of the history."""
        self._seen = self.log.position
        for event in self._events(_OPEN, {}):
            self._take(event)

    def _events(self, text: str, params: Mapping[str, object]) -> Iterator[Happening]:
        """Yield the events that a query finds, as runs are folded from them."""
        query = queries.fill(text, columns=_EVENTS)
        for position, name, version, event_type, recorded_at, payload in self.log.sql(query, params).fetchall():
            at = moments.moment_of(recorded_at)
            yield Happening(position, name, version, event_type, at, decoded(payload))

    def _folded(self, text: str, params: Mapping[str, object]) -> dict[str, Run]:
        """Return the runs by stream whose events a query finds."""
        return runs.folded(event for event in self._events(text, params) if event.event_type in happenings.TYPES)

    def _read(self, name: str) -> Run | None:
        """Return the run with a stream; None if there is none."""
        if not self._rooms.session.store.journal.versions([name]):
            return None
        return runs.folded(event for event in self.log.stream(name) if event.event_type in happenings.TYPES).get(name)

    def _take(self, event: Happening | RecordedEvent) -> None:
        """Note what an event says of a run or a schedule."""
        given = event.payload
        if event.event_type == "ReportScheduled":
            since = dt.datetime.fromisoformat(given["since"])
            self._standings.setdefault(given["report"], Standing(since, since))
        elif event.event_type == "ScheduleAdvanced":
            self._advance(given["report"], dt.datetime.fromisoformat(given["due"]))
        elif event.event_type.startswith("Run") and event.event_type in happenings.TYPES:
            if event.event_type in {"RunPlanned", "RunSkipped"}:
                self._advance(given["report"], dt.datetime.fromisoformat(given["due"]))
            known = self._runs.pop(event.stream_id, None)
            if known is None and event.version > 1:  # of a run that was settled
                known = self._read(event.stream_id)
            run = known if known is not None and known.position >= event.position else runs.evolve(known, event)
            if not run.settled:
                self._runs[event.stream_id] = run

    def _advance(self, report: str, due: dt.datetime) -> None:
        """Note that a schedule has come to a due time."""
        standing = self._standings.get(report, Standing(due, due))
        self._standings[report] = replace(standing, through=max(due, standing.through))


def _define(log: EventLog) -> None:
    """Define what a runs log does not have yet: the types of its events, and its states for whoever asks by SQL."""
    registry = readables.rooms(log).registry
    for name, fields in happenings.TYPES.items():
        if registry.get(name) is None:
            log.define(name, fields)
    if "runs" not in log.states or log.state("runs").text != happenings.STATE:
        log.define_state("runs", happenings.STATE)
    feeds.define(log)


def _order(run: Run) -> tuple[dt.datetime, str, str]:
    return run.due, run.report, run.period
