"""Outboxes: the deliveries of a runs log that are not done; read once, then kept up to date event by event."""

from __future__ import annotations

import datetime as dt
import threading
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from eventlab import moments
from eventlab.events import decoded
from eventlab.reports.delivery import notices
from eventlab.reports.ledger import feeds, runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from eventlab.events import RecordedEvent
    from eventlab.log import EventLog
    from eventlab.reports.ledger.records import Records

LONGEST = dt.timedelta(hours=1)  # between attempts

_WAITING = """
with asked as (
    select position, stream_id, event_id, event_type, payload,
        unnest(coalesce(
            RunFinished.deliver, RunFailed.deliver, AlertFired.deliver, AlertRecovered.deliver, AlertBroken.deliver
        )) as channel
    from events
    where list_contains($types, event_type) and (event_type <> 'RunFailed' or RunFailed.final)
), made as (
    select stream_id, max(position) as made_at from events where event_type = 'RunFinished' group by stream_id
), tried as (
    select stream_id, max(version) as version, max(DeliveryStarted.attempt) as attempts,
        arg_max(event_type, position) as last_type,
        arg_max(DeliveryFailed.final, position) as final,
        arg_max(DeliveryFailed.retry_at, position) as retry_at,
        arg_max(DeliveryFailed.reached, position) as reached,
        arg_max(DeliveryFailed.error, position) as error
    from events where category = 'delivery' group by stream_id
)
select asked.* exclude (stream_id), coalesce(version, 0), coalesce(attempts, 0),
    case when last_type = 'DeliveryFailed' then epoch_us(retry_at) end,   -- what only started, ended with its process: at once
    coalesce(reached, []), coalesce(error, ''),
    event_type = 'RunFailed' and coalesce(made_at > position, false)
from asked left join made using (stream_id) left join tried on tried.stream_id = 'delivery-' || event_id || '@' || channel
where last_type is distinct from 'DeliverySucceeded' and not coalesce(final, false)
order by position, channel
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A delivery that is not done.

    Attributes
    ----------
    channel
        Over which.
    event_id, event_type, told
        Of what: an event of the runs log.
    version
        How many events its own stream has.
    attempts
        How often it was tried.
    retry_at
        When it is tried next; None: now.
    reached
        The addresses that have it already.
    error
        Why it did not arrive the last time.
    overtaken
        Whether it tells that a run has failed which was made since: then it is not sent any more.
    """

    channel: str
    event_id: str
    event_type: str
    told: Mapping[str, Any]
    version: int = 0
    attempts: int = 0
    retry_at: dt.datetime | None = None
    reached: tuple[str, ...] = ()
    error: str = ""
    overtaken: bool = False

    @property
    def stream(self) -> str:
        """The stream of its events, and the key of its message."""
        return f"delivery-{self.event_id}@{self.channel}"

    @property
    def run(self) -> str:
        """The stream of the run that it is of."""
        return runs.stream(self.told["report"], self.told["period"])

    def due(self, now: dt.datetime) -> bool:
        """Tell whether it is to be tried now; a time that is too far ahead was set by a clock that was ahead itself."""
        return self.overtaken or self.retry_at is None or not now < self.retry_at <= now + LONGEST

    def facts(self) -> dict[str, Any]:
        """Return what each of its events says."""
        kept = {name: self.told.get(name) for name in ("report", "period", "version", "alert")}
        return {**kept, "channel": self.channel, "what": notices.kind_of(self.event_type, self.told)}


class Outbox:
    """The deliveries that are not done: read once, then kept up to date event by event."""

    def __init__(self, log: EventLog) -> None:
        feeds.define(log)
        self._log = weakref.ref(log)
        self._lock = threading.RLock()
        self._seen = log.position  # what is recorded meanwhile is taken in again, which changes nothing
        self._waiting = {waiting.stream: waiting for waiting in _waiting(log)}

    def sync(self) -> None:
        """Take in what this and other processes have recorded since."""
        with self._lock:
            log = self._log()
            for event in feeds.news(log, self._seen) if log is not None else ():
                self._seen = event.position
                self._take(event)

    def waiting(self) -> list[Waiting]:
        """Return all that are not done, in the order of what they are of."""
        with self._lock:
            return list(self._waiting.values())

    def _take(self, event: RecordedEvent) -> None:
        told = event.payload
        if event.event_type == "RunFinished":
            for place, waiting in self._waiting.items():
                if waiting.event_type == "RunFailed" and waiting.run == event.stream_id:
                    self._waiting[place] = replace(waiting, overtaken=True)
        if event.event_type in notices.KINDS and (event.event_type != "RunFailed" or told["final"]):
            for channel in dict.fromkeys(told.get("deliver") or ()):
                made = Waiting(channel=channel, event_id=event.event_id, event_type=event.event_type, told=told)
                self._waiting[made.stream] = made
        known = self._waiting.get(event.stream_id)
        if known is None or event.version <= known.version:
            return
        known = replace(known, version=event.version, retry_at=None)
        match event.event_type:
            case "DeliveryStarted":
                self._waiting[event.stream_id] = replace(known, attempts=told["attempt"])
            case "DeliveryFailed" if not told["final"]:
                retry_at, reached = dt.datetime.fromisoformat(told["retry_at"]), tuple(told["reached"])
                self._waiting[event.stream_id] = replace(known, retry_at=retry_at, reached=reached, error=told["error"])
            case _:
                del self._waiting[event.stream_id]


_outboxes: weakref.WeakKeyDictionary[Records, Outbox] = weakref.WeakKeyDictionary()


def outbox(records: Records) -> Outbox:
    """Return the deliveries of a runs log that are not done, up to date."""
    found = _outboxes.get(records) or _outboxes.setdefault(records, Outbox(records.log))
    found.sync()
    return found


def _waiting(log: EventLog) -> Iterable[Waiting]:
    """Yield the deliveries that a log says are not done, in the order of what they are of."""
    rows = log.sql(_WAITING, {"types": list(notices.KINDS)}).fetchall()
    for _, event_id, event_type, payload, channel, version, attempts, retry_at, reached, error, overtaken in rows:
        yield Waiting(
            channel=channel,
            event_id=event_id,
            event_type=event_type,
            told=decoded(payload),
            version=version,
            attempts=attempts,
            retry_at=None if retry_at is None else moments.moment_of(retry_at),
            reached=tuple(reached),
            error=error,
            overtaken=overtaken,
        )
