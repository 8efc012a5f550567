"""Compensation: an event that undoes another, once, and says why. Nothing is taken out of the log."""

from __future__ import annotations

import dataclasses
import functools
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.errors import (
    AlreadyCompensated,
    IdempotencyConflict,
    InvalidArgument,
    InvalidEvent,
    PartialDuplicate,
    near,
)
from eventlab.events import Event, named
from eventlab.session import readers
from eventlab.store import Write, appends

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.events import AppendResult, RecordedEvent
    from eventlab.session.sessions import Session
    from eventlab.store.journals import State
    from eventlab.store.lakes import Snapshot
    from eventlab.store.stores import Store

_IDS = uuid.UUID("d9f2a8f0-51c1-5d0e-9b60-1f4f7d6a1c2e")  # the namespace (RFC 9562, 5.5) of the ids made here
_FIRST = "select position, event_id from {lake} where compensates = {event_id} order by position limit 1"
_TAIL = "select position, event_id from tail where compensates = ? order by position limit 1"
_NEAR = """
select event_id from events where starts_with(event_id, $begins) or ends_with(event_id, $ends)
order by position desc limit 100
"""
_STREAM = "select event_id from events where stream_id = $stream_id order by position desc limit 1"


def compensate(
    session: Session,
    event_id: str,
    *,
    reason: str,
    events: Event | Sequence[Event] | None = None,
    actor: str | None = None,
) -> AppendResult:
    """Append what undoes an event, to its stream.

    Whether the event is undone already is looked up again under the journal's lock, so that of two processes one is refused,
    also where the other appends a compensation of its own making.

    Raises
    ------
    AlreadyCompensated
        If another event undoes it, unless that was the same call: then the result is a duplicate.
    InvalidArgument
        If there is no such event (with near matches), or it is a compensation itself.
    InvalidEvent
        If an event cannot be recorded.
    """
    if not isinstance(reason, str) or not reason.strip():
        raise InvalidArgument(f"the reason is {reason!r}", hint='Say why: reason="paid twice".')
    target = _target(session, event_id)
    made = _made(target, events, reason, actor)
    store = session.store
    base = store.lake.snapshot()
    first = _sealed(store, base, target.event_id)
    guard = functools.partial(_check, store, target.event_id, base, first)
    try:
        return appends.append(store, [Write(target.stream_id, made)], guard=guard)
    except (IdempotencyConflict, PartialDuplicate):
        with store.journal.write():  # the first is there: our ids come from the event's
            _check(store, target.event_id, base, first, store.journal.state())
        raise


def _target(session: Session, event_id: str) -> RecordedEvent:
    """Return the event to undo."""
    event_id = named("event id", event_id)
    found = list(readers.event(session, event_id))
    if not found:
        half = len(event_id) // 2
        parts = {"begins": event_id[: max(half, 1)], "ends": event_id[half:]}
        matches = near(event_id, [str(row[0]) for row in session.rows(_NEAR, parts)])
        last = [row[0] for row in session.rows(_STREAM, {"stream_id": event_id})]
        guess = f" Did you mean {matches[0]!r}?" if matches else ""
        hint = f"That is a stream; its last event is {last[0]!r}." if last else "log.stream(stream_id) lists the ids."
        raise InvalidArgument(f"no event {event_id!r}.{guess}", hint=hint)
    (target,) = found
    if target.compensates is not None:
        raise InvalidArgument(
            f"event {event_id!r} is a compensation itself, of {target.compensates!r}",
            hint="A compensation is not undone; append again what holds after all.",
        )
    return target


def _made(target: RecordedEvent, events: Event | Sequence[Event] | None, reason: str, actor: str | None) -> list[Event]:
    """Return the events that undo ``target``; their ids follow from its id, so that the same call makes the same ones."""
    given: Sequence[Any]
    if events is None:
        given = [Event(f"{target.event_type}Compensated", target.payload)]
    else:
        given = [events] if isinstance(events, Event) else list(events)
    made = []
    for number, event in enumerate(given):
        if not isinstance(event, Event):
            raise InvalidEvent(f"{type(event).__name__} is no event", hint='Give el.Event("OrderReopened", {...}).')
        if event.compensates not in (None, target.event_id):
            raise InvalidArgument(
                f"{event.type} compensates {event.compensates!r}, not {target.event_id!r}", hint="Leave it out."
            )
        metadata = event.metadata or {}
        if not isinstance(metadata, Mapping):
            raise InvalidEvent(f"{event.type}: metadata is {type(metadata).__name__}, not an object")
        made.append(
            dataclasses.replace(
                event,
                event_id=event.event_id or str(uuid.uuid5(_IDS, f"{number}/{len(given)}/{target.event_id}")),
                compensates=target.event_id,
                actor=event.actor if actor is None else actor,
                metadata={**metadata, "reason": reason},
            )
        )
    return made


def _check(store: Store, event_id: str, base: Snapshot, first: tuple[int, str] | None, state: State) -> None:
    """Raise AlreadyCompensated if an event is undone; called while nobody else can write."""
    if state.sealed > base.sealed:  # sealed since: what was in the tail may be in the lake
        first = _sealed(store, store.lake.snapshot(), event_id)
    rows = [*([first] if first else []), *store.journal.rows(_TAIL, (event_id,))]
    if rows:
        position, by = rows[0]
        raise AlreadyCompensated(event_id, by=by, position=position)


def _sealed(store: Store, snapshot: Snapshot, event_id: str) -> tuple[int, str] | None:
    """Return the place and the id of the first event in the lake that undoes an event; None if there is none."""
    if not snapshot.files:
        return None
    text = queries.fill(_FIRST, lake=store.scan(snapshot), event_id=queries.literal(event_id))
    rows = store.look_up(text)
    return (rows[0][0], rows[0][1]) if rows else None
