"""Appending: expectations, idempotency, types, positions and versions, in one transaction of the journal."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eventlab import moments
from eventlab.errors import (
    Failure,
    IdempotencyConflict,
    InvalidArgument,
    InvalidEvent,
    PartialDuplicate,
    SchemaWarning,
    WrongExpectedVersion,
)
from eventlab.events import OPTIONAL, AppendResult, Event, encoded, named, new_ids, plain, same_content
from eventlab.schemas import types
from eventlab.schemas.registry import inferred
from eventlab.store.journals import INSERT
from eventlab.store.stores import UPSERT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from eventlab.schemas import Definition, Registry
    from eventlab.store.journals import State
    from eventlab.store.lakes import Snapshot
    from eventlab.store.stores import Store

ANY, EXISTS = "any", "exists"
Expected = int | str | None


@dataclass(slots=True)
class Write:
    """What is to be appended to one stream, and what the writer expects of it and of others."""

    stream_id: str
    events: Sequence[Event]
    expected_version: Expected = None
    expect: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(slots=True)
class _Draft:
    """An event that is checked and encoded, without its place in the log."""

    stream_id: str
    event_type: str
    event_id: str
    given: bool  # whether the caller gave the id
    occurred_at: int | None
    optional: tuple[str | None, ...]
    metadata: str | None
    payload: str
    values: dict[str, Any]


def append(store: Store, writes: Sequence[Write], *, guard: Callable[[State], None] | None = None) -> AppendResult:
    """Append all or nothing, durably, and return where the events are.

    Parameters
    ----------
    guard
        Called with the journal's state while no other process can write, before anything is; it may refuse.

    Raises
    ------
    InvalidEvent, InvalidArgument
        If an event or an expectation cannot be recorded.
    WrongExpectedVersion
        If any expectation is violated; every violated one is told.
    IdempotencyConflict, PartialDuplicate
        If event ids are known, with other content or only some of them.
    """
    drafts = _drafts(writes, store.zone)
    for write in writes:
        _check_expectations(write)
    given = [draft for draft in drafts if draft.given]
    base = store.lake.snapshot() if given else None
    known = store.sealed([draft.event_id for draft in given], base) if base else []
    registry, definitions = _typed_by_newest(drafts, store)
    with store.journal.write():
        state = store.journal.state()
        if state.pending is not None:
            state = store.repair(state, store.lake.snapshot())
        if state.registry != registry.version - len(definitions):
            registry, definitions = _typed(drafts, store.registry(state.registry), store)
        if given:
            duplicate = _duplicate(store, given, drafts, known, base, state)
            if duplicate is not None:
                return duplicate
        if guard is not None:
            guard(state)
        recorded_at = max(store.clock(), state.recorded_at)
        rows, heads = _rows(store, writes, drafts, registry, state.head, recorded_at)
        if definitions:
            store.record_definitions(definitions)
        store.journal.execute_many(INSERT, rows)
        store.journal.execute_many(UPSERT, heads.items())
        store.journal.execute("update log set head = ?, recorded_at = ?", (rows[-1][0], recorded_at))
    return AppendResult(
        rows[0][0], rows[-1][0], rows[-1][3], moments.moment_of(recorded_at, store.zone), duplicate=False
    )


def _drafts(writes: Sequence[Write], zone: ZoneInfo) -> list[_Draft]:
    """Return the events of all writes, checked and encoded."""
    events = [
        (stream_id, event)
        for write in writes
        for stream_id in (named("stream id", write.stream_id),)
        for event in write.events
    ]
    if not events or not all(write.events for write in writes):
        raise InvalidEvent("there is nothing to append", hint="Give at least one event.")
    fresh = iter(new_ids(len(events)))
    drafts = [_draft(stream_id, event, zone, next(fresh)) for stream_id, event in events]
    if len(drafts) > 1 and any(draft.given for draft in drafts):
        seen: set[str] = set()
        for draft in drafts:
            if draft.event_id in seen:
                raise InvalidEvent(
                    f"event id {draft.event_id!r} comes twice in one append", hint="Each event has an id of its own."
                )
            seen.add(draft.event_id)
    return drafts


def _draft(stream_id: str, event: Event, zone: ZoneInfo, fresh: str) -> _Draft:
    """Return one event, checked and encoded."""
    if not isinstance(event, Event):
        raise InvalidEvent(
            f"{stream_id}: {type(event).__name__} is no event", hint='Append el.Event("OrderPlaced", {...}).'
        )
    event_type = named("event type", event.type)
    where = f"{event_type}: payload"
    values = plain(event.payload, where)
    optional: tuple[str | None, ...] = (None, None, None, None)
    if event.actor or event.correlation_id or event.causation_id or event.compensates:
        optional = tuple(
            None if value is None else named(name, value) for name in OPTIONAL for value in (getattr(event, name),)
        )
    elif "" in (event.actor, event.correlation_id, event.causation_id, event.compensates):
        raise InvalidEvent(f"{event_type}: an empty text is no actor, correlation, causation or compensated event")
    occurred = event.occurred_at
    metadata = None
    if event.metadata is not None:
        metadata = encoded(plain(event.metadata, f"{event_type}: metadata"), f"{event_type}: metadata")
    return _Draft(
        stream_id,
        event_type,
        fresh if event.event_id is None else named("event id", event.event_id),
        event.event_id is not None,
        None if occurred is None else _instant(occurred, zone, event_type),
        optional,
        metadata,
        encoded(values, where),
        values,
    )


def _instant(occurred: Any, zone: ZoneInfo, event_type: str) -> int:  # noqa: ANN401 - whatever a user gave
    """Return when an event occurred, or say of which event that is not told."""
    try:
        return moments.instant(occurred, zone)
    except InvalidArgument as error:
        raise InvalidEvent(f"{event_type}: occurred_at: {error.message}", hint=error.hint) from None


def _check_expectations(write: Write) -> None:
    """Raise InvalidArgument if an expectation is not of its form."""
    for expected in (write.expected_version, *write.expect.values()):
        if expected is None or (expected in (ANY, EXISTS) and isinstance(expected, str)):
            continue
        if not isinstance(expected, int) or isinstance(expected, bool) or expected < 0:
            raise InvalidArgument(
                f"stream {write.stream_id!r}: {expected!r} is no expected version",
                hint="Give a number of events (0: a new stream), el.ANY or el.EXISTS.",
            )
    for stream_id in write.expect:
        named("stream id", stream_id)


def _typed_by_newest(drafts: Sequence[_Draft], store: Store) -> tuple[Registry, list[Definition]]:
    """Check the payloads against the types as this process knows them; before it refuses, as others have defined them."""
    registry = store.registry(0)
    try:
        return _typed(drafts, registry, store)
    except InvalidEvent:
        newest = store.registry()
        if newest.version == registry.version:
            raise
        return _typed(drafts, newest, store)


def _typed(drafts: Sequence[_Draft], registry: Registry, store: Store) -> tuple[Registry, list[Definition]]:
    """Check the payloads against the types; return the registry with the definitions that they add to it."""
    added: list[Definition] = []
    for draft in drafts:
        event_type = registry.get(draft.event_type)
        if event_type is not None:
            latest = event_type.latest
            if latest.validation == "off":
                continue
            reason = latest.refusal(draft.values, draft.payload)
            if reason is None:
                continue
            if latest.validation == "warn":
                warnings.warn(f"{draft.event_type} for {draft.stream_id!r}: {reason}", SchemaWarning, stacklevel=6)
                continue
            if latest.origin == "defined":
                raise InvalidEvent(
                    f"{draft.event_type} for {draft.stream_id!r}: {reason}",
                    hint=f"{draft.event_type} is {', '.join(f'{name} {kind}' for name, kind in latest.fields.items())}.",
                )
        elif store.layout.strict:
            registry.check_name(draft.event_type)
            raise InvalidEvent(
                f"event type {draft.event_type!r} is not defined, and the store is strict",
                hint=f"Define it first: log.define({draft.event_type!r}, {{...}}).",
            )
        fields = inferred(
            event_type.latest if event_type else None,
            ((name, types.of_value(value)) for name, value in draft.values.items()),
        )
        definition = registry.define(draft.event_type, fields, origin="inferred", recorded_at=store.clock())
        if definition is not None:
            added.append(definition)
            registry = registry.adding(definition)
    return registry, added


def _duplicate(
    store: Store,
    given: Sequence[_Draft],
    drafts: Sequence[_Draft],
    known: list[tuple[Any, ...]],
    base: Snapshot | None,
    state: State,
) -> AppendResult | None:
    """Return the first result of events that are in the log already; None if none of them is."""
    ids = [draft.event_id for draft in given]
    if base is not None and state.sealed > base.sealed:  # sealed since: what was in the tail may be in the lake
        known = store.sealed(ids, store.lake.snapshot())
    found = {row[1]: row for row in (*known, *store.journal.known(ids))}
    if not found:
        return None
    for draft in given:
        row = found.get(draft.event_id)
        if row is not None and (difference := _difference(draft, row)) is not None:
            raise IdempotencyConflict(
                f"event id {draft.event_id!r} is in the log with another {difference}, at position {row[0]}",
                event_ids=[draft.event_id],
            )
    if len(found) < len(drafts):
        new = [draft.event_id for draft in drafts if draft.event_id not in found]
        raise PartialDuplicate(known=list(found), new=new)
    rows = [found[draft.event_id] for draft in drafts]
    return AppendResult(
        min(row[0] for row in rows),
        max(row[0] for row in rows),
        rows[-1][3],
        moments.moment_of(rows[-1][7], store.zone),
        duplicate=True,
    )


def _difference(draft: _Draft, row: tuple[Any, ...]) -> str | None:
    """Return in what an event differs from the recorded row with its id; None if it is the same."""
    pairs: list[tuple[str, object, object]] = [("stream", draft.stream_id, row[2]), ("type", draft.event_type, row[4])]
    if draft.occurred_at is not None:
        pairs.append(("occurred_at", draft.occurred_at, row[6]))
    pairs += [(name, *both) for name, *both in zip(OPTIONAL, draft.optional, row[8:12], strict=True)]
    for name, one, other in pairs:
        if one != other:
            return name
    if not same_content(draft.payload, row[13]):
        return "payload"
    return None if same_content(draft.metadata, row[12]) else "metadata"


def _rows(
    store: Store, writes: Sequence[Write], drafts: Sequence[_Draft], registry: Registry, head: int, recorded_at: int
) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
    """Return the rows with their places in the log, and the new version of each stream written to.

    Raises
    ------
    WrongExpectedVersion
        If an expectation is violated; a write sees those before it.
    """
    streams = {write.stream_id for write in writes}.union(*(write.expect for write in writes))
    versions = store.journal.versions(streams)
    failures: list[Failure] = []
    rows: list[tuple[Any, ...]] = []
    drawn = iter(drafts)
    for write in writes:
        for stream_id, expected in ((write.stream_id, write.expected_version), *write.expect.items()):
            actual = versions.get(stream_id, 0)
            if expected is not None and expected != ANY and not (actual if expected == EXISTS else expected == actual):
                failures.append(Failure(stream_id, expected, actual))
        version = versions.get(write.stream_id, 0)
        for _ in write.events:
            draft = next(drawn)
            version += 1
            head += 1
            latest = registry[draft.event_type].latest
            occurred = recorded_at if draft.occurred_at is None else draft.occurred_at
            place = (
                head,
                draft.event_id,
                draft.stream_id,
                version,
                draft.event_type,
                latest.version,
                occurred,
                recorded_at,
            )
            rows.append((*place, *draft.optional, draft.metadata, draft.payload))
        versions[write.stream_id] = version
    if failures:
        raise WrongExpectedVersion(failures)
    return rows, {write.stream_id: versions[write.stream_id] for write in writes}
