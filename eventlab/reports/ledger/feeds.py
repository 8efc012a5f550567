"""Feeds: the events of the runs log as they come, and those that deliveries and alerts add to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab.jupyter import readables
from eventlab.session import readers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.events import RecordedEvent
    from eventlab.log import EventLog

_DELIVERY = {
    "channel": "VARCHAR NOT NULL",
    "what": "VARCHAR NOT NULL",
    "report": "VARCHAR NOT NULL",
    "period": "VARCHAR NOT NULL",
    "version": "BIGINT",
    "alert": "VARCHAR",
    "attempt": "BIGINT NOT NULL",
}
_ALERT = {
    "alert": "VARCHAR NOT NULL",
    "report": "VARCHAR NOT NULL",
    "period": "VARCHAR NOT NULL",
    "start": "TIMESTAMPTZ NOT NULL",
    "end": "TIMESTAMPTZ NOT NULL",
    "due": "TIMESTAMPTZ NOT NULL",
    "since": "VARCHAR",
    "streak": "BIGINT NOT NULL",
}
_TOLD = {
    **_ALERT,
    "title": "VARCHAR",
    "condition": "VARCHAR NOT NULL",
    "error": "VARCHAR",
    "figures": "JSON",
    "kinds": "JSON",
    "labels": "JSON",
    "units": "JSON",
    "basis": "VARCHAR",
    "out": "VARCHAR",
    "files": "VARCHAR[]",
    "deliver": "VARCHAR[]",
}
TYPES: dict[str, dict[str, str]] = {
    "DeliveryStarted": _DELIVERY,
    "DeliverySucceeded": _DELIVERY,
    "DeliveryFailed": {
        **_DELIVERY,
        "error": "VARCHAR NOT NULL",
        "final": "BOOLEAN NOT NULL",
        "retry_at": "TIMESTAMPTZ",
        "reached": "VARCHAR[]",
    },
    "AlertChecked": {**_ALERT, "holds": "BOOLEAN", "error": "VARCHAR", "firing": "BOOLEAN NOT NULL"},
    "AlertFired": _TOLD,
    "AlertRecovered": _TOLD,
    "AlertBroken": _TOLD,
}
STATES = {
    "deliveries": """
select stream_id as delivery,
    arg_max(coalesce(DeliveryStarted.channel, DeliveryFailed.channel), position) as channel,
    arg_max(coalesce(DeliveryStarted.what, DeliveryFailed.what), position) as what,
    arg_max(coalesce(DeliveryStarted.report, DeliveryFailed.report), position) as report,
    arg_max(coalesce(DeliveryStarted.period, DeliveryFailed.period), position) as period,
    arg_max(DeliveryStarted.alert, position) as alert,
    max(DeliveryStarted.attempt) as attempts,
    arg_max(case event_type
        when 'DeliveryStarted' then 'sending'
        when 'DeliverySucceeded' then 'sent'
        when 'DeliveryFailed' then if(DeliveryFailed.final, 'given up', 'retrying') end, position) as status,
    arg_max(DeliveryFailed.error, position) as error,
    arg_max(DeliveryFailed.retry_at, position) as retry_at
from events where category = 'delivery' group by stream_id
""",
    "alerts": """
select arg_max(AlertChecked.alert, position) as alert,
    arg_max(AlertChecked.report, position) as report,
    arg_max(AlertChecked.period, position) as period,
    arg_max(AlertChecked.firing, position) as firing,
    arg_max(coalesce(AlertChecked.since, ''), position) filter (event_type = 'AlertChecked') as since,
    arg_max(coalesce(AlertChecked.error, ''), position) filter (event_type = 'AlertChecked') as error,
    count(*) filter (event_type = 'AlertFired') as episodes
from events where category = 'alert' group by stream_id
""",
}


def news(log: EventLog, after: int) -> Sequence[RecordedEvent]:
    """Return the events beyond a position, in order: from the journal, where new ones are, without a query."""
    rooms = readables.rooms(log)
    journal = rooms.session.store.journal
    head = journal.state().head
    rows = journal.tail(after, head) if head > after else []
    if len(rows) == head - after:
        return list(readers.recorded(rooms.session, rows))
    return list(log.read(after=after))  # sealed meanwhile


def define(log: EventLog) -> None:
    """Define what a runs log does not have yet of deliveries and alerts: event types, and states for whoever asks by SQL."""
    registry = readables.rooms(log).registry
    for name, fields in TYPES.items():
        if registry.get(name) is None:
            log.define(name, fields)
    for name, text in STATES.items():
        if name not in log.states:
            log.define_state(name, text)
