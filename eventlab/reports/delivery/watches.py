"""Watches: how far each alert has come, and the runs that it has not seen yet; read once, then kept up to date event by event."""

from __future__ import annotations

import datetime as dt
import threading
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from eventlab.events import decoded
from eventlab.reports.ledger import feeds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from eventlab.events import RecordedEvent
    from eventlab.log import EventLog
    from eventlab.reports.configuration.configurations import Alert
    from eventlab.reports.ledger.records import Records

Told = dict[str, Any]  # what an event of the runs log says

_WATCHES = """
select arg_max(payload, position) filter (event_type = 'AlertChecked'), max(version)
from events where category = 'alert' group by stream_id
"""
_UNSEEN = """
with asked as (
    select unnest($reports::varchar[]) as report, unnest($through::timestamptz[]) as through, unnest($most::bigint[]) as most
), planned as (   -- what a schedule has asked for
    select stream_id, bool_or(event_type = 'RunFinished') as finished
    from events where category = 'run' group by stream_id having bool_or(event_type = 'RunPlanned')
), issued as (
    select stream_id, RunFinished.report as report, RunFinished.due as due, payload
    from events
    where event_type = 'RunFinished' and RunFinished.version = 1
        and (RunFinished.reason <> 'backfill' or stream_id in (select stream_id from planned))
), unseen as (
    select stream_id, due, payload from issued join asked using (report)
    qualify coalesce(due > through, false) or row_number() over (partition by report order by due desc) <= most
)
select stream_id, payload from unseen
union all
select stream_id, null from planned where not finished
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How far an alert has come.

    Attributes
    ----------
    report
        Of which.
    through
        When the last run that it has checked was due; None: none yet.
    streak, since
        How many periods in a row the condition holds, and the first of them.
    firing
        Whether it has been told that it holds, and not yet that it no longer does.
    broken
        Whether the last check failed.
    version
        How many events its stream has.
    """

    report: str = ""
    through: dt.datetime | None = None
    streak: int = 0
    since: str = ""
    firing: bool = False
    broken: bool = False
    version: int = 0


class Book:
    """The watches of a runs log, and the finished runs that are still to be checked."""

    def __init__(self, log: EventLog) -> None:
        feeds.define(log)
        self._log = weakref.ref(log)
        self._lock = threading.RLock()
        self._seen = 0
        self._known: set[tuple[str, str, int]] = set()
        self._planned: set[str] = set()
        self._runs: dict[str, dict[str, Told]] = {}  # by report, by stream
        self._watches: dict[str, Watch] = {}

    def prepare(self, alerts: Sequence[Alert]) -> None:
        """Be up to date: read the history where there are other alerts than before, else what is new."""
        with self._lock:
            known = {(alert.name, alert.report, alert.for_periods) for alert in alerts}
            log = self._log()
            if log is not None and known != self._known:
                self._load(log, alerts)
                self._known = known
            self.sync()

    def sync(self) -> None:
        """Take in what is recorded since."""
        with self._lock:
            log = self._log()
            for event in feeds.news(log, self._seen) if log is not None else ():
                self._seen = event.position
                self._take(event)

    def watch(self, alert: Alert) -> Watch:
        """Return how far an alert has come; one that was of another report before begins anew."""
        known = self._watches.get(alert.name, Watch())
        return known if known.report == alert.report else Watch(report=alert.report, version=known.version)

    def unseen(self, alert: Alert) -> list[Told]:
        """Return what ``RunFinished`` says of the runs that an alert has not seen, in order; the newest ones for a new alert."""
        through = self.watch(alert).through
        with self._lock:
            runs = sorted(self._runs.get(alert.report, {}).values(), key=due)
        return runs[-alert.for_periods :] if through is None else [told for told in runs if due(told) > through]

    def forget(self, alerts: Iterable[Alert]) -> None:
        """Forget the runs that each alert of their report has seen."""
        with self._lock:
            through: dict[str, list[dt.datetime | None]] = {}
            for alert in alerts:
                through.setdefault(alert.report, []).append(self.watch(alert).through)
            for report, runs in self._runs.items():
                came = [one for one in through.get(report, []) if one is not None]
                if len(came) == len(through.get(report, [])):
                    least = min(came, default=None)
                    self._runs[report] = (
                        {} if least is None else {name: told for name, told in runs.items() if due(told) > least}
                    )

    def _load(self, log: EventLog, alerts: Iterable[Alert]) -> None:
        """Read how far alerts have come and what they have not seen: by two queries, whatever the history."""
        self._seen = log.position  # what is recorded meanwhile is taken in again, which changes nothing
        self._watches, self._runs, self._planned = {}, {}, set()
        for payload, version in log.sql(_WATCHES).fetchall():
            told = decoded(payload)
            self._watches[told["alert"]] = _watch(told, version)
        for stream, payload in log.sql(_UNSEEN, self._params(alerts)).fetchall():
            if payload is None:
                self._planned.add(stream)
            else:
                self._note(stream, decoded(payload))

    def _params(self, alerts: Iterable[Alert]) -> dict[str, list[Any]]:
        """Return which reports have alerts, since when, and how many of the newest periods a new alert of each needs."""
        through: dict[str, str | None] = {}
        most: dict[str, int] = {}
        for alert in alerts:
            came, name = self.watch(alert).through, alert.report
            most[name] = max(most.get(name, 0), alert.for_periods if came is None else 0)
            text = None if came is None else came.astimezone(dt.UTC).isoformat()
            through[name] = min(filter(None, (text, through.get(name))), default=None)
        return {"reports": list(most), "through": [through[name] for name in most], "most": list(most.values())}

    def _take(self, event: RecordedEvent) -> None:
        told = event.payload
        match event.event_type:
            case "RunPlanned":
                self._planned.add(event.stream_id)
            case "RunFinished" if told["version"] == 1:
                if told["reason"] != "backfill" or event.stream_id in self._planned:
                    self._note(event.stream_id, told)
                self._planned.discard(event.stream_id)
            case "AlertChecked":
                self._watches[told["alert"]] = _watch(told, event.version)
            case "AlertFired" | "AlertRecovered" | "AlertBroken":
                self._watches[told["alert"]] = replace(self._watches[told["alert"]], version=event.version)

    def _note(self, stream: str, told: Told) -> None:
        self._runs.setdefault(told["report"], {})[stream] = told


_books: weakref.WeakKeyDictionary[Records, Book] = weakref.WeakKeyDictionary()


def book(records: Records) -> Book:
    """Return the watches of a runs log."""
    return _books.get(records) or _books.setdefault(records, Book(records.log))


def due(told: Mapping[str, Any]) -> dt.datetime:
    """Return when the run was due that an event is of."""
    return dt.datetime.fromisoformat(told["due"])


def _watch(told: Mapping[str, Any], version: int) -> Watch:
    """Return how far an alert had come when it was checked."""
    return Watch(
        report=told["report"],
        through=due(told),
        streak=told["streak"],
        since=told.get("since") or "",
        firing=told["firing"],
        broken=told.get("error") is not None,
        version=version,
    )
