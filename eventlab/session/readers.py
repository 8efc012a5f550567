"""Reading the log event by event: in position order, by stream, as it grows, and for subscribers that come back."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from eventlab import moments, queries
from eventlab.errors import InvalidArgument
from eventlab.events import COLUMNS, RecordedEvent, decoded, named
from eventlab.schemas import columns
from eventlab.session.relations import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventlab.schemas import Definition, Registry
    from eventlab.session.sessions import Session

_CHUNK = 10_000  # positions that are read at once
_POLL = 0.05  # seconds from one look for new events to the next

_SELECTED = ", ".join(f"epoch_us({name})" if name.endswith("_at") else name for name in COLUMNS)
_RANGE = "select {columns} from events where position > $after and position <= $through"
_EVENT = f"select {_SELECTED} from events where event_id = $event_id"
_STREAM = "select {columns} from events where stream_id = $stream_id order by version"


def event(session: Session, event_id: str) -> Iterator[RecordedEvent]:
    """Return the event with an id; nothing if there is none."""
    return recorded(session, session.rows(_EVENT, {"event_id": event_id}))


def read(
    session: Session,
    *,
    after: int = 0,
    limit: int | None = None,
    event_types: Iterable[str] | None = None,
    scope: Scope,
    latest: bool = False,
) -> Iterator[RecordedEvent]:
    """Return the events beyond position ``after``, at most ``limit``, in position order.

    ``latest``: their payloads as upcasts make them of the latest version of their type, not as they were recorded.
    """
    check_number("after", after)
    check_number("limit", 0 if limit is None else limit)
    event_types = names_of(event_types)
    head = session.position if scope.position is None else scope.position
    return _read(session, after, head, limit, event_types, scope, latest=latest)


def check_number(name: str, number: object) -> None:
    """Raise InvalidArgument if a place or a number of events is not one."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise InvalidArgument(f"{name} is {number!r}", hint=f"Give {name} as a number of events, zero or more.")


def names_of(event_types: Iterable[str] | None) -> list[str] | None:
    """Return event types as a list of names; one name is a list of one."""
    if event_types is None:
        return None
    given: object = [event_types] if isinstance(event_types, str) else event_types
    names: list[Any] = list(given) if isinstance(given, Iterable) else [None]
    if not all(isinstance(name, str) for name in names):
        raise InvalidArgument(f"types is {event_types!r}", hint='Give the names of event types: ["OrderPlaced"].')
    return names


def _read(
    session: Session,
    after: int,
    head: int,
    limit: int | None,
    event_types: Iterable[str] | None,
    scope: Scope,
    *,
    latest: bool = False,
) -> Iterator[RecordedEvent]:
    params: dict[str, Any] = {}
    text = queries.fill(_RANGE, columns=_columns(session, latest=latest))
    if event_types is not None:
        params["types"] = list(event_types)
        text += " and list_contains($types, event_type)"
    chunk = min(_CHUNK, limit or _CHUNK)
    while after < head and limit != 0:
        through = min(after + chunk, head)
        rows = session.rows(f"{text} order by position", {**params, "after": after, "through": through}, scope=scope)
        chunk = _CHUNK if rows else chunk * 4  # few events of these types: take longer strides
        for event in recorded(session, rows):
            yield event
            if limit is not None:
                limit -= 1
                if not limit:
                    return
        after = through


def stream(session: Session, stream_id: str, *, scope: Scope, latest: bool = False) -> list[RecordedEvent]:
    """Return the events of a stream in version order; none if there is no such stream. ``latest``: as in ``read``."""
    text = queries.fill(_STREAM, columns=_columns(session, latest=latest))
    rows = session.rows(text, {"stream_id": named("stream id", stream_id)}, scope=scope)
    return list(recorded(session, rows))


def follow(
    session: Session, *, after: int | None = None, event_types: Iterable[str] | None = None
) -> Iterator[RecordedEvent]:
    """Return the events beyond ``after`` (the head if None), and then each new one as it is committed, for ever."""
    check_number("after", 0 if after is None else after)
    return _follow(session, session.position if after is None else after, names_of(event_types))


def _follow(session: Session, position: int, event_types: list[str] | None) -> Iterator[RecordedEvent]:
    while True:
        head = session.position
        if head > position:
            yield from _read(session, position, head, None, event_types, Scope(position=head))
            position = head
        else:
            time.sleep(_POLL)


def _columns(session: Session, *, latest: bool) -> list[str]:
    """Return the columns of the envelope, instants in microseconds; and the payload as the latest version where that is another."""
    store = session.store
    registry = store.registry(store.journal.state().registry) if latest else ()
    read = [
        f"when event_type = {queries.literal(t.name)} then {columns.upcast_payload(t)}" for t in registry if t.upcasts
    ]
    return [_SELECTED, f"case {' '.join(read)} end"] if read else [_SELECTED]


def recorded(session: Session, rows: Sequence[tuple[Any, ...]]) -> Iterator[RecordedEvent]:
    """Return rows of the envelope (instants in microseconds) as recorded events.

    A further column is the payload as the latest version of its type, NULL where it is as it was recorded.
    """
    registry, zone = session.store.registry(0), session.store.zone
    for row in rows:
        place, (occurred_at, recorded_at), optional, (metadata, payload, *upcast) = (
            row[:6],
            row[6:8],
            row[8:12],
            row[12:],
        )
        definition = _definition(session, registry, row[4], row[5])
        yield RecordedEvent(  # type: ignore[call-arg]  # in the order of the envelope
            *place,
            moments.moment_of(occurred_at, zone),
            moments.moment_of(recorded_at, zone),
            *optional,
            None if metadata is None else decoded(metadata),
            session.store.registry(0)[row[4]].latest.decoded(upcast[0]) if any(upcast) else definition.decoded(payload),
        )


def _definition(session: Session, registry: Registry, event_type: str, version: int) -> Definition:
    """Return the definition by which an event was recorded."""
    known = registry.get(event_type)
    if known is None or len(known.definitions) < version:
        known = session.store.registry()[event_type]
    return known.definitions[version - 1]
