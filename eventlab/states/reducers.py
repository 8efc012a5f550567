"""Folds: what SQL cannot say, as a Python function over the events of each stream, with the reading API of a state.

A fold goes event by event. Reading is most of its time: about 100,000 events a second where a state folds millions, so take a
state for what SQL can say.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import itertools
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from eventlab import moments, queries
from eventlab.displays import Displayed
from eventlab.errors import InvalidArgument
from eventlab.events import ENVELOPE, named
from eventlab.session import Scope, readers
from eventlab.session.results import Result
from eventlab.states.courses import Measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from eventlab.events import RecordedEvent
    from eventlab.moments import Duration, Instant, Moment
    from eventlab.session import Session
    from eventlab.session.results import Charter

Evolve = Callable[[Any, "RecordedEvent"], Any]
Row = dict[str, Any]  # a state as columns
States = dict[str, Any]  # of each stream

_KEY = "stream_id"
_EVENT = ("position", "occurred_at", "recorded_at", "event_type")
_ATOMS = frozenset({type(None), bool, int, float, str, Decimal, dt.datetime, dt.date})
_SAMPLE = 200  # events that are folded twice
_DAY = dt.timedelta(days=1)
_MONDAY = dt.datetime(2000, 1, 3)  # noqa: DTZ001 - where DuckDB's time_bucket begins to count, on any clock

_COURSE = """
with buckets as (select unnest(generate_series({first}, {last}, {step})) as eventlab_bucket),
held as (from eventlab_steps)
{measured}
select (eventlab_bucket {local}) as bucket, value, ((eventlab_bucket + {step}) {local}) > {complete} as partial
from course order by 1
"""


class Fold(Displayed):
    """A Python reducer over a log, or over a view of it. Made by ``log.fold``. Threads may share it.

    ``evolve(state, event)`` is called for the events of each stream in their order, and returns the state after the event; it
    may change the one that it is given. A state that is a mapping, a dataclass or the like has its fields as columns, any
    other is the column ``value``; ``None`` says that there is no such entity (any more): it has no row, and the next event
    finds the initial state. The key is ``stream_id``.

    Folds read event by event: about 100,000 events a second, ``over_time`` 40,000, on a machine on which a state folds millions.
    ``now()`` keeps the states of the log and evolves only what is new; ``get`` and ``history(key)`` read one stream; all
    else reads the events up to its moment.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        initial: object,
        evolve: Evolve,
        *,
        scope: Scope,
        types: Iterable[str] | None = None,
        charter: Charter | None = None,
    ) -> None:
        self.name = named("fold", name)
        if not callable(evolve):
            raise InvalidArgument(
                f"fold {name!r}: evolve is {type(evolve).__name__}, not a function",
                hint="Give evolve(state, event) -> state.",
            )
        self._session = session
        self._initial = initial
        self._evolve = evolve
        self._scope = scope
        self._types = None if types is None else {types} if isinstance(types, str) else set(types)
        self._charter = charter
        self._connection = queries.connect(session.store.layout.timezone)
        self._lock = threading.RLock()
        self._checked = False
        self._states: States = {}  # of the log's head, and of no view
        self._position = 0
        self._upcasts = session.upcasts
        self._table: pa.Table | None = None

    def __repr__(self) -> str:
        return f"<Fold {self.name}: {self.place}>"

    @property
    def place(self) -> str:
        """Where the function is defined, for a person."""
        return _place(self._evolve)

    def now(self) -> Result:
        """Return the state as of the head of the log (or of the view): one row a stream, those in order of appearance."""
        if self._scope != Scope():
            return self._states_at(self._scope)
        with self._lock:
            self._refresh()
            if self._table is None:
                self._table = self._shown(self._states)
            return self._result(self._table, "state")

    def at(self, at: Moment | None = None, *, known_at: Moment | None = None) -> Result:
        """Return the state as of a moment: of the events that occurred by ``at`` among those recorded by ``known_at``."""
        return self._states_at(self._cut(at, known_at))

    def get(self, key: str) -> Result:
        """Return the row of one stream; no row if there is no such stream."""
        self._check(self._scope)
        return self._result(self._shown(self._folded(self._stream(key))), "state")

    def history(self, key: str | None = None) -> Result:
        """Return the states that a stream has been in, or all streams: one row an event, in order of position.

        Columns: ``position, occurred_at, recorded_at, event_type, valid_to`` (the ``occurred_at`` of the stream's next
        event; NULL: still valid), and the columns after the event.
        """
        self._check(self._scope)
        events: list[RecordedEvent] = []
        rows: list[Row | None] = []
        ends: list[dt.datetime | None] = []
        last: dict[str, int] = {}
        for event, state in self._steps(self._events(self._scope) if key is None else self._stream(key), {}):
            if event.stream_id in last:
                ends[last[event.stream_id]] = event.occurred_at
            last[event.stream_id] = len(events)
            events.append(event)
            rows.append(_kept(state))
            ends.append(None)
        kept = [(event, end, row) for event, end, row in zip(events, ends, rows, strict=True) if row is not None]
        leading = {
            name: pa.array([getattr(event, name) for event, _, _ in kept], ENVELOPE.field(name).type) for name in _EVENT
        }
        leading["valid_to"] = pa.array([end for _, end, _ in kept], ENVELOPE.field("occurred_at").type)
        leading[_KEY] = pa.array([event.stream_id for event, _, _ in kept], pa.string())
        return self._result(self._columns(leading, [row for _, _, row in kept]), "history")

    def diff(self, a: Moment, b: Moment) -> Result:
        """Return what differs between two moments: the key, ``change`` (added, removed, changed), each column before and after."""
        scopes = [self._cut(moment, None) for moment in (a, b)]
        self._check(scopes[1])
        before, after = (
            {key: row for key, state in self._folded(self._events(scope)).items() if (row := _row(state)) is not None}
            for scope in scopes
        )
        changes = {
            key: "added" if key not in before else "removed" if key not in after else "changed"
            for key in dict.fromkeys([*before, *after])
            if key not in before or key not in after or not _same(before[key], after[key])
        }
        leading = {_KEY: pa.array(list(changes), pa.string()), "change": pa.array(list(changes.values()), pa.string())}
        rows = [side.get(key, {}) for side in (before, after) for key in changes]
        columns = {}
        for name in self._names(rows):
            both = self._array(name, [row.get(name) for row in rows])  # of one type
            columns[f"{name}_before"], columns[f"{name}_after"] = both[: len(changes)], both[len(changes) :]
        return self._result(pa.table({**leading, **columns}), "diff")

    def over_time(
        self, every: Duration, measure: str, *, since: Instant | None = None, until: Instant | None = None
    ) -> Result:
        """Return a measure over all rows as of the end of each bucket: ``bucket`` (its start), ``value``, ``partial``.

        Parameters
        ----------
        every
            ``"1d"``, ``"1h"`` …; whole days are days of the log's time zone.
        measure
            One aggregate expression over the columns, in SQL: ``"count(*) FILTER (WHERE status = 'open')"``.
        since, until
            Moments in the first and the last bucket; by default those of the first and the last event.
        """
        self._check(self._scope)
        taken, buckets, zone = Measure(measure), _Buckets(moments.duration(every)), self._session.store.zone
        steps, first, last = self._by_bucket(buckets)
        ends = [
            end if moment is None else moments.moment_of(moments.instant(moment, zone), zone)
            for moment, end in ((since, first), (until, last))
        ]
        cursor = self._connection.cursor()
        cursor.register("eventlab_steps", steps)
        if taken.accumulated and taken.sums:
            kinds = queries.select(
                cursor, f"select {', '.join(taken.sums)} from eventlab_steps", None, relations=()
            ).types
            if any(str(kind) in {"DOUBLE", "FLOAT"} for kind in kinds):
                taken.bucket_by_bucket()
        text = queries.fill(
            _COURSE,
            **{name: buckets.sql(end) for name, end in zip(("first", "last"), ends, strict=True)},
            step=buckets.step,
            measured=taken.sql,
            local=buckets.local,
            complete="null::timestamptz" if last is None else f"make_timestamptz({moments.instant(last, zone)})",
        )
        relation = queries.select(cursor, text, None, relations=())
        return Result(relation, f"-- {_place(self._evolve)}", "course", self._facts(measure=measure), self._charter)

    def _states_at(self, scope: Scope) -> Result:
        self._check(scope)
        return self._result(self._shown(self._folded(self._events(scope))), "state")

    def _refresh(self) -> None:
        """Evolve the kept states by what is new."""
        head, upcasts = self._session.position, self._session.upcasts
        if upcasts != self._upcasts:  # old events are read otherwise by now
            self._states, self._position, self._upcasts = {}, 0, upcasts
        if head == self._position:
            return
        scope = Scope(position=head)
        self._check(scope)
        self._table = None
        try:
            for _ in self._steps(self._events(scope, after=self._position), self._states):
                pass
        except BaseException:
            self._states, self._position = {}, 0  # of which some have gone on, and some half-way
            raise
        self._position = head

    def _events(self, scope: Scope, after: int = 0, limit: int | None = None) -> Iterator[RecordedEvent]:
        return readers.read(self._session, after=after, limit=limit, event_types=self._types, scope=scope, latest=True)

    def _stream(self, key: str) -> Iterator[RecordedEvent]:
        """Return the events of one stream that the fold reads."""
        types = self._types
        events = readers.stream(self._session, key, scope=self._scope, latest=True)
        return (event for event in events if types is None or event.event_type in types)

    def _steps(self, events: Iterable[RecordedEvent], states: States) -> Iterator[tuple[RecordedEvent, Any]]:
        """Evolve ``states`` by events; yield each with the state after it."""
        for event in events:
            state = states[event.stream_id] = self._after(states.get(event.stream_id), event)
            yield event, state

    def _after(self, state: Any, event: RecordedEvent) -> Any:  # noqa: ANN401 - whatever a user folds into
        """Return the state of a stream after an event."""
        try:
            return self._evolve(self._begin() if state is None else state, event)
        except Exception as error:
            error.add_note(f"in the fold {self.name!r}, at {_told(event)}")
            raise

    def _folded(self, events: Iterable[RecordedEvent]) -> States:
        states: States = {}
        for _ in self._steps(events, states):
            pass
        return states

    def _begin(self) -> Any:  # noqa: ANN401 - whatever a user folds into
        """Return an initial state that no other stream has."""
        return copy.deepcopy(self._initial() if callable(self._initial) else self._initial)

    def _check(self, scope: Scope) -> None:
        """Fold the first events twice.

        Raises
        ------
        InvalidArgument
            If the two differ, or no state ever comes back.
        """
        if self._checked:
            return
        sample = list(self._events(scope, limit=_SAMPLE))
        once, twice = (
            [(event, _kept(state)) for event, state in self._steps(map(_copied, sample), {})] for _ in range(2)
        )
        for (event, one), (_, two) in zip(once, twice, strict=True):
            if not _same(one, two):
                differences = _differences(one or {}, two or {})
                name, left, right = next(differences, ("the state", one, two))
                raise InvalidArgument(
                    f"fold {self.name!r} gives another state each time: at {_told(event)}, {name} is {left!r} and then {right!r}",
                    hint="evolve may use nothing but the state and the event: no clock, no chance, nothing kept outside.",
                )
        if once and self._initial is not None and all(row is None for _, row in once):
            raise InvalidArgument(
                f"fold {self.name!r}: evolve returned None for all of the first {len(once)} events",
                hint="Return the state, changed or not; None says that there is no such entity.",
            )
        self._checked = len(sample) == _SAMPLE

    def _by_bucket(self, buckets: _Buckets) -> tuple[pa.Table, dt.datetime | None, dt.datetime | None]:
        """Return the rows that hold as of the ends of buckets, each from one bucket until another, and the first and last event.

        A stream whose events are not recorded in the order of their buckets is read and folded by itself.
        """
        steps: dict[str, list[tuple[dt.datetime, Row | None]]] = {}
        late: set[str] = set()
        first: dt.datetime | None = None
        last: dt.datetime | None = None
        open_: dict[str, tuple[dt.datetime, Any]] = {}

        def close(key: str) -> None:
            bucket, state = open_[key]
            steps.setdefault(key, []).append((bucket, _kept(state)))

        for event, bucket in ((event, buckets.start(event.occurred_at)) for event in self._events(self._scope)):
            key = event.stream_id
            first = event.occurred_at if first is None else min(first, event.occurred_at)
            last = event.occurred_at if last is None else max(last, event.occurred_at)
            if key in late:
                continue
            if key in open_ and bucket < open_[key][0]:
                late.add(key)
                continue
            if key in open_ and bucket > open_[key][0]:
                close(key)
            open_[key] = (bucket, self._after(open_[key][1] if key in open_ else None, event))
        for key in open_:
            if key in late:
                steps[key] = self._late(key, buckets)
            else:
                close(key)
        return self._held(steps), first, last

    def _late(self, key: str, buckets: _Buckets) -> list[tuple[dt.datetime, Row | None]]:
        """Return what held of a stream at the end of each of its buckets, a fold for each."""
        events = [(buckets.start(event.occurred_at), event) for event in self._stream(key)]
        rows: list[tuple[dt.datetime, Row | None]] = []
        for end in sorted({bucket for bucket, _ in events}):
            states = self._folded(_copied(event) for bucket, event in events if bucket <= end)
            rows.append((end, _row(states[key])))
        return rows

    def _held(self, steps: Mapping[str, Sequence[tuple[dt.datetime, Row | None]]]) -> pa.Table:
        """Return the rows of streams with the buckets from which and until which they hold."""
        held = [
            (key, start, following[0] if following else None, row)
            for key, rows in steps.items()
            for (start, row), following in zip(rows, [*rows[1:], None], strict=True)
            if row is not None
        ]
        clock = pa.timestamp("us")
        leading = {
            "eventlab_start": pa.array([start for _, start, _, _ in held], clock),
            "eventlab_until": pa.array([until for _, _, until, _ in held], clock),
            _KEY: pa.array([key for key, _, _, _ in held], pa.string()),
        }
        return self._columns(leading, [row for _, _, _, row in held])

    def _cut(self, at: Moment | None, known_at: Moment | None) -> Scope:
        """Return the scope of a moment within the fold's own."""
        scope, _ = self._session.moment(at, known_at)
        ats = [instant for instant in (scope.at, self._scope.at) if instant is not None]
        positions = [position for position in (scope.position, self._scope.position) if position is not None]
        return Scope(min(ats, default=None), min(positions, default=None))

    def _shown(self, states: States) -> pa.Table:
        """Return states as a table."""
        rows = [(key, row) for key, state in states.items() if (row := _row(state)) is not None]
        return self._columns({_KEY: pa.array([key for key, _ in rows], pa.string())}, [row for _, row in rows])

    def _columns(self, leading: dict[str, pa.Array], rows: Sequence[Row]) -> pa.Table:
        """Return rows beside columns, named apart from those."""
        arrays = {name: self._array(name, [row.get(name) for row in rows]) for name in self._names(rows)}
        beside = {f"state_{name}" if name.lower() in leading else name: array for name, array in arrays.items()}
        return pa.table({**leading, **beside})

    def _names(self, rows: Iterable[Row]) -> list[str]:
        """Return the columns of rows: those of the initial state, and then as they come."""
        kinds = dict.fromkeys(map(tuple, rows))  # few, where rows are many
        return list(dict.fromkeys(itertools.chain(_row(self._begin()) or {}, *kinds)))

    def _array(self, name: str, values: list[Any]) -> pa.Array:
        """Return a column.

        Raises
        ------
        InvalidArgument
            If its values have no type in common.
        """
        kinds = set(map(type, values))
        if {int, Decimal} <= kinds:
            values = [Decimal(value) if type(value) is int else value for value in values]
        if kinds & {set, frozenset}:
            values = [_listed(value) if isinstance(value, (set, frozenset)) else value for value in values]
        try:
            array = pa.array(values)
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            told = ", ".join(sorted(kind.__name__ for kind in kinds - {type(None)}))
            raise InvalidArgument(
                f"fold {self.name!r}: {name!r} cannot be a column ({told}): {str(error).splitlines()[0]}",
                hint="Give it values of one type: numbers, text, times, lists, or dicts with the same keys.",
            ) from None
        return array

    def _facts(self, **more: object) -> dict[str, Any]:
        return {"state": self.name, "keys": [_KEY], **more}

    def _result(self, table: pa.Table, kind: str) -> Result:
        relation = self._connection.cursor().from_arrow(table)
        return Result(relation, f"-- {_place(self._evolve)}", kind, self._facts(), self._charter)


class _Buckets:
    """Stretches of time of one length: of the wall clock if they are whole days, else of absolute time."""

    def __init__(self, length: dt.timedelta) -> None:
        self._length = length
        self._whole_days = not length % _DAY

    def start(self, instant: dt.datetime) -> dt.datetime:
        """Return the start of the bucket that an instant of the log's zone is in, on the buckets' own clock."""
        clock = (instant if self._whole_days else instant.astimezone(dt.UTC)).replace(tzinfo=None)
        return clock - (clock - _MONDAY) % self._length

    def sql(self, instant: dt.datetime | None) -> str:
        """Return the start of an instant's bucket as SQL."""
        return "null::timestamp" if instant is None else f"timestamp {queries.literal(str(self.start(instant)))}"

    @property
    def step(self) -> str:
        """The length as SQL."""
        length = self._length
        return f"to_days({length.days})" if self._whole_days else f"to_microseconds({length // moments.MICROSECOND})"

    @property
    def local(self) -> str:
        """What makes an instant of a time on the buckets' clock, in SQL."""
        return "at time zone current_setting('TimeZone')" if self._whole_days else "at time zone 'UTC'"


def _row(state: object) -> Row | None:
    """Return a state as columns; None if there is none."""
    match state:
        case None:
            return None
        case Mapping():
            return {str(name): value for name, value in state.items()}
        case msgspec.Struct():
            return msgspec.structs.asdict(state)
    if dataclasses.is_dataclass(state) and not isinstance(state, type):
        return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    if hasattr(state, "model_dump"):  # pydantic
        return dict(state.model_dump())
    return {"value": state}


def _kept(state: object) -> Row | None:
    """Return a state as columns that do not change when the state is changed."""
    row = _row(state)
    return row and {name: value if type(value) in _ATOMS else copy.deepcopy(value) for name, value in row.items()}


def _same(one: Any, other: Any) -> bool:  # noqa: ANN401 - whatever a user folds into
    """Tell whether two values are the same; NaN is NaN."""
    return repr(one) == repr(other) or bool(one == other)


def _differences(one: Row, other: Row) -> Iterator[tuple[str, Any, Any]]:
    """Yield the columns in which two rows differ."""
    for name in dict.fromkeys([*one, *other]):
        if not _same(one.get(name), other.get(name)) or (name in one) != (name in other):
            yield name, one.get(name), other.get(name)


def _listed(values: set[Any] | frozenset[Any]) -> list[Any]:
    """Return a set as a list in an order that is always the same."""
    return sorted(
        values, key=lambda value: (type(value).__name__, value if isinstance(value, (int, str)) else repr(value))
    )


def _copied(event: RecordedEvent) -> RecordedEvent:
    """Return an event with a payload of its own, as a state may become it and then be changed."""
    return dataclasses.replace(event, payload=copy.deepcopy(event.payload), metadata=copy.deepcopy(event.metadata))


def _told(event: RecordedEvent) -> str:
    return f"position {event.position} ({event.event_type} of {event.stream_id!r})"


def _place(function: object) -> str:
    """Return where a function is defined, for a person."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"Python: {getattr(function, '__module__', '?')}.{name}"
