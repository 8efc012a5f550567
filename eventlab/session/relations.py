"""The relations of a session as SQL: ``events``, a view a type, ``streams``, ``event_types``, ``events_at``.

Each is a SELECT over the files of the lake and of the tail, cut at a moment on both clocks.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.events import COLUMNS
from eventlab.schemas import columns
from eventlab.schemas.columns import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from eventlab.schemas import Registry
    from eventlab.schemas.registry import Definition, EventType

NAMES = ("events", "events_effective", "streams", "event_types", "schema_versions", "events_at")
# what is compensated by an event among the scope's positions; a relation that is listed nowhere
COMPENSATIONS = "eventlab_compensations"

_ENVELOPE = (
    "position, event_id, stream_id, split_part(stream_id, '-', 1) as category, version, event_type, schema_version,"
    " occurred_at, recorded_at, actor, correlation_id, causation_id, compensates, metadata::json as metadata,"
    " payload::json as payload"
)
_ENVELOPE_TYPES = {
    "position": "bigint",
    "version": "bigint",
    "schema_version": "integer",
    "occurred_at": "timestamptz",
    "recorded_at": "timestamptz",
}
_NAMES = (*COLUMNS[:3], "category", *COLUMNS[3:])
_EVENTS = "select {columns} from {files} {where}"
_TYPE = """
select {columns} from ({rows})
"""
_STREAMS = """
select
    stream_id, split_part(stream_id, '-', 1) as category, max(version) as version, count(*) as events,
    min(position) as first_position, max(position) as last_position,
    min(occurred_at) as first_occurred_at, max(occurred_at) as last_occurred_at
from ({events}) group by stream_id
"""
_TYPES = """
with types as (
    from (values {types}) as listed (
        number, event_type, view, version, versions, origin, fields, recorded, compatibility, validation, unread
    )
),
counts as (
    select event_type, count(*) as events, min(occurred_at) as first_occurred_at, max(occurred_at) as last_occurred_at
    from ({events}) group by event_type
)
select
    event_type, view, version, versions, origin, coalesce(events, 0) as events,
    first_occurred_at, last_occurred_at, make_timestamptz(recorded) as recorded_at, fields,
    compatibility, validation, unread::integer[] as unread
from types left join counts using (event_type) where number > 0 order by number
"""
_TYPE_ROW = """
({number}, {name}, {view}, {version}, {versions}, {origin}, {fields}, {recorded_at}::bigint, {compatibility}, {validation},
    {unread})
"""
_NO_TYPE = "(0, '', '', 0, 0, '', '', 0::bigint, '', '', [])"
_VERSIONS = """
select
    event_type, version, make_timestamptz(recorded) as recorded_at, origin, compatibility, validation, upcast, fields,
    schema::json as schema
from (values {versions}) as listed (
    number, event_type, version, recorded, origin, compatibility, validation, upcast, fields, schema
) where number > 0 order by number
"""
_VERSION_ROW = """
({number}, {name}, {version}, {recorded_at}::bigint, {origin}, {compatibility}, {validation}, {upcast}, {fields}, {schema})
"""
_NO_VERSION = "(0, '', 0, 0::bigint, '', '', '', '', '', '{}')"

# A moment in SQL: a position, a basis token, or anything that reads as a timestamp in the log's zone.
_POSITION = """
case
    when regexp_matches(typeof({m}), 'INT') then
        case
            when {m}::varchar::bigint between 0 and {head} then {m}::varchar::bigint
            else error('no position ' || {m}::varchar || ': the log has the positions 1 to {head}')
        end
    when starts_with({m}::varchar, 'basis:') then
        case
            when starts_with({m}::varchar, {basis}) then regexp_extract({m}::varchar, ':p(\\d+):', 1)::bigint
            else error('the basis ' || {m}::varchar || ' is of another store')
        end
    else 9223372036854775807
end
"""
_INSTANT = """
case
    when {m} is null or regexp_matches(typeof({m}), 'INT') then 'infinity'::timestamptz
    when starts_with({m}::varchar, 'basis:') and regexp_matches({m}::varchar, ':open(:corrected)?$')
        then 'infinity'::timestamptz
    when starts_with({m}::varchar, 'basis:')
        then make_timestamptz(regexp_extract({m}::varchar, ':(-?\\d+)(:corrected)?$', 1)::bigint)
    else {m}::varchar::timestamptz
end
"""
_EFFECTIVE = """
select * from ({events})
where compensates is null
    and event_id not in (select compensates from ({bare}) where compensates is not null)
"""
_COMPENSATIONS = "select position, occurred_at, recorded_at, compensates from ({events}) where compensates is not null"
_EVENTS_AT = """
create or replace temp macro events_at(t, known_at := null) as table
select * from ({events})
where {seen}
"""
_SEEN = """
{occurred} and position <= {position}
and recorded_at <= {known_instant} and position <= {known_position}
"""
_CORRECTED = "coalesce(starts_with({m}::varchar, 'basis:') and ends_with({m}::varchar, ':corrected'), false)"


@dataclass(frozen=True, slots=True)
class Scope:
    """What of the log is seen: events that occurred by ``at`` (microseconds) among the first ``position``; all if None.

    With ``beyond``, another scope, those are left out that it sees: what is to be folded on top of a snapshot of it.
    ``registry`` is the version of the registry that was known then, for those who ask about definitions; None: the newest.
    With ``corrected``, a position, an event is not effective if any of the first so many events compensates it, whenever that
    occurred; None: if one compensates it that is seen.
    """

    at: int | None = None
    position: int | None = None
    beyond: Scope | None = None
    registry: int | None = None
    corrected: int | None = None

    def covers(self, other: Scope) -> bool:
        """Tell whether all that ``other`` sees is seen here too."""
        return all(
            mine is None or (theirs is not None and theirs <= mine)
            for mine, theirs in ((self.at, other.at), (self.position, other.position))
        )

    def where(self, *conditions: str) -> str:
        """Return the WHERE clause of the scope and further conditions."""
        parts = list(conditions)
        if self.position is not None:
            parts.append(f"position <= {self.position}")
        if self.at is not None:
            parts.append(f"occurred_at <= make_timestamptz({self.at})")
        if self.beyond is not None:
            seen = self.beyond.where().removeprefix("where ")
            parts.append(f"not ({seen or 'true'})")
        return f"where {' and '.join(parts)}" if parts else ""


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of the lake and of the tail.

    Attributes
    ----------
    files
        Of the lake, by group of types.
    shapes
        For each group a file that has every column and no rows, to be scanned before the others.
    bare
        Such a file with the columns of the envelope alone, which every file has.
    tail
        The files of the tail, which have events of all types.
    store_id, head
        Of which store they are, and the position of its last event.
    """

    files: dict[int, list[str]]
    shapes: dict[int, str]
    bare: str
    tail: list[str]
    store_id: str
    head: int

    def scan(self, typed: Iterable[int], group: int | None = None) -> str:
        """Return the SQL of the files as a relation; those of one group of types, and of the tail, if it is given.

        ``typed``: the groups whose typed columns are to be there.
        """
        groups = self.shapes if group is None else [group]
        heads = [self.shapes[number] for number in sorted({*typed})]
        paths = [path for number in groups for path in self.files.get(number, ())] + self.tail
        if heads:
            listed = queries.literal(heads + paths)
            return f"read_parquet({listed}, union_by_name = true, hive_partitioning = false)"
        return f"read_parquet({queries.literal([self.bare, *paths])}, hive_partitioning = false)"


def events(sources: Sources, event_types: Iterable[EventType], scope: Scope, wanted: Wanted) -> str:
    """Return the SELECT of the log's events, with one STRUCT column for each of ``event_types`` that has fields, as wanted."""
    shown = [
        event_type for event_type in event_types if wanted.has(event_type.name) and columns.fields(event_type, wanted)
    ]
    return _events(sources, shown, None, scope.where(), wanted)


def _events(sources: Sources, event_types: Sequence[EventType], group: int | None, where: str, wanted: Wanted) -> str:
    """Return the SELECT of events, those of one group of types if it is given."""
    upcast = {t.name: columns.upcasts(t, wanted) for t in event_types if t.upcasts}
    typed = {t.name: columns.from_files(t, wanted, upcast[t.name][1] if t.upcasts else None) for t in event_types}
    files = sources.scan({event_type.group for event_type in event_types}, group)
    steps = {name: made for name, (made, _) in upcast.items() if made}
    if steps:
        direct = [name for name in typed if name not in steps]  # these are read from files at once
        kept = {name: name for name in COLUMNS} | {name: typed[name] for name in direct}
        for step in itertools.zip_longest(
            *steps.values(), fillvalue=dict[str, str]()
        ):  # of all types beside each other
            made = {name: sql for part in step for name, sql in part.items()}
            files, where = f"({queries.fill(_EVENTS, columns=_named(kept | made), files=files, where=where)})", ""
            kept = {name: queries.identifier(name) for name in (*kept, *made)}
        typed |= {name: queries.identifier(name) for name in direct}
    return queries.fill(_EVENTS, columns=[_ENVELOPE, *_named(typed)], files=files, where=where)


def _named(columns: Mapping[str, str]) -> list[str]:
    """Return columns as a SELECT lists them."""
    return [f"{sql} as {queries.identifier(name)}" for name, sql in columns.items()]


def type_view(sources: Sources, event_type: EventType, scope: Scope, wanted: Wanted) -> str:
    """Return the SELECT of one type's events, its payload flattened to columns with the types of its latest definition."""
    own = f"event_type = {queries.literal(event_type.name)}"
    typed = [event_type] if columns.fields(event_type, wanted) else []
    rows = _events(sources, typed, event_type.group, scope.where(own), wanted)
    return queries.fill(_TYPE, columns=[*_NAMES, *_fields(event_type, wanted)], rows=rows)


def _fields(event_type: EventType, wanted: Wanted) -> list[str]:
    """Return the SQL of a type's fields as columns of their own, named apart from the envelope's."""
    taken = {name.lower() for name in _NAMES}
    fields = {name.lower() for name in event_type.latest.fields}
    stored = event_type.latest.stored
    texts = []
    for name, field in event_type.latest.fields.items():
        column = name
        while column.lower() in taken or (column != name and column.lower() in fields):
            column = f"payload_{column}"
        taken.add(column.lower())
        if not wanted.has(name):
            continue
        value = "null"
        if name in stored:
            value = f"{queries.identifier(event_type.name)}.{queries.identifier(name)}"
            value = columns.shown(value, stored[name], field.type)
        texts.append(f"{value} as {queries.identifier(column)}")
    return texts


def events_effective(sources: Sources, event_types: Iterable[EventType], scope: Scope, wanted: Wanted) -> str:
    """Return the SELECT of the events without those that were compensated and without their compensations."""
    whole = Scope(scope.at, scope.position) if scope.corrected is None else Scope(position=scope.corrected)
    return queries.fill(
        _EFFECTIVE, events=events(sources, event_types, scope, wanted), bare=events(sources, (), whole, wanted)
    )


def compensations(sources: Sources, scope: Scope) -> str:
    """Return the SELECT of what is compensated by an event among the scope's positions, whenever that occurred."""
    return queries.fill(_COMPENSATIONS, events=events(sources, (), Scope(position=scope.position), Wanted()))


def streams(sources: Sources, scope: Scope) -> str:
    """Return the SELECT of one row a stream."""
    return queries.fill(_STREAMS, events=events(sources, (), scope, Wanted()))


def event_types(sources: Sources, registry: Registry, scope: Scope) -> str:
    """Return the SELECT of one row an event type, in the order in which the types came."""
    listed = [
        queries.fill(_TYPE_ROW, number=str(number), view=queries.literal(t.view), versions=str(len(t.definitions)),
                     unread=queries.literal(t.latest.unread), **_told(t.latest))
        for number, t in enumerate(_known(registry, scope), 1)
    ]  # fmt: skip
    return queries.fill(_TYPES, types=listed or [_NO_TYPE], events=events(sources, (), scope, Wanted()))


def schema_versions(registry: Registry, scope: Scope) -> str:
    """Return the SELECT of one row a definition, in the order in which they came."""
    listed = [
        queries.fill(
            _VERSION_ROW,
            number=str(definition.registry_version),
            upcast=queries.literal(None if definition.upcast is None else json.dumps(definition.upcast)),
            schema=queries.literal(json.dumps(definition.schema)),
            **_told(definition),
        )
        for definition in _known(registry, scope).definitions
    ]
    return queries.fill(_VERSIONS, versions=listed or [_NO_VERSION])


def _known(registry: Registry, scope: Scope) -> Registry:
    """Return the registry as it was known at the moment of a scope."""
    return registry if scope.registry is None else registry.at(scope.registry)


def _told(definition: Definition) -> dict[str, str]:
    """Return what a relation tells of a definition, as SQL."""
    fields = ", ".join(f"{name} {field}" for name, field in definition.fields.items())
    return {
        "name": queries.literal(definition.event_type),
        "version": str(definition.version),
        "origin": queries.literal(definition.origin),
        "compatibility": queries.literal(definition.compatibility),
        "validation": queries.literal(definition.validation),
        "fields": queries.literal(fields),
        "recorded_at": str(definition.recorded_at),
    }


def events_at(sources: Sources, event_types: Iterable[EventType], scope: Scope, wanted: Wanted) -> str:
    """Return the statement that makes the table macro ``events_at``."""
    return queries.fill(
        _EVENTS_AT,
        events=events(sources, event_types, scope, wanted),
        seen=seen("t", "known_at", store_id=sources.store_id, head=sources.head),
    )


def seen(at: str, known_at: str, *, store_id: str, head: int) -> str:
    """Return the condition that an event is seen as of two moments that are given as SQL.

    A moment is what ``log.at`` takes: a timestamp, a date, text, a position, a basis token, or NULL. One that ``log.at`` refuses
    is an error when the query runs.
    """
    return _seen("occurred_at <= {instant}", at, known_at, store_id=store_id, head=head)


def undoes(at: str, known_at: str, scope: Scope, *, store_id: str, head: int) -> str:
    """Return the condition that a compensation counts as of two moments that are given as SQL, asked of a scope.

    It is the one that it is seen; but in a corrected scope, or as of the basis token of one, no matter when it occurred.
    """
    if scope.corrected is not None:
        return _seen("true", at, known_at, store_id=store_id, head=head)
    own = Scope(scope.at).where("occurred_at <= {instant}").removeprefix("where ")
    occurred = f"({queries.fill(_CORRECTED, m=at)} or ({own}))"
    return _seen(occurred, at, known_at, store_id=store_id, head=head)


def _seen(occurred: str, at: str, known_at: str, *, store_id: str, head: int) -> str:
    """Return a condition over ``{instant}``, and that an event was recorded by two moments."""
    basis = queries.literal(f"basis:{store_id}:")
    instant, known_instant = (queries.fill(_INSTANT, m=moment) for moment in (at, known_at))
    position, known_position = (
        queries.fill(_POSITION, m=moment, head=str(head), basis=basis) for moment in (at, known_at)
    )
    return queries.fill(
        _SEEN,
        occurred=queries.fill(occurred, instant=instant),
        position=position,
        known_instant=known_instant,
        known_position=known_position,
    )


def shape(registry: Registry, group: int | None) -> str:
    """Return the SELECT without rows that has every column which files of a group of types can have; of None, the envelope."""
    envelope = [f"null::{_ENVELOPE_TYPES.get(name, 'varchar')} as {name}" for name in COLUMNS]
    typed = [
        f"null::{kind} as {queries.identifier(column)}"
        for event_type in registry
        if event_type.group == group
        for column, kind in columns.physical(event_type).items()
    ]
    return f"select {', '.join([*envelope, *typed])} where false"
