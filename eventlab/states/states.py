"""A state: one SELECT over events, and its answers now, at any moment, for one key, as a history, a difference, a course."""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from eventlab import moments, queries
from eventlab.displays import Displayed
from eventlab.errors import EventlabError, InvalidArgument, StoreReadOnly
from eventlab.session import Scope
from eventlab.session.results import Result
from eventlab.states import courses, folds, histories, keepers, snapshots, wholes
from eventlab.states.courses import Measure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eventlab.moments import Duration, Instant, Moment
    from eventlab.schemas import Registry, StateText
    from eventlab.session.results import Charter
    from eventlab.states.catalogs import Catalog
    from eventlab.states.splits import Split

_DAY = dt.timedelta(days=1)
_NUMBERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UINTEGER",
    "UBIGINT",
    "USMALLINT",
    "UTINYINT",
    "UHUGEINT",
    "DECIMAL",
    "FLOAT",
    "DOUBLE",
)


@dataclass(frozen=True, slots=True)
class State(Displayed):
    """A state of a log, or of a view of it. Made by ``log.define_state`` and ``log.state``.

    Attributes
    ----------
    name, text, version
        The name, the SELECT, and how many texts the state has had.
    """

    catalog: Catalog
    entry: StateText
    scope: Scope
    registry: Registry | None
    charter: Charter | None = None
    machine: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """The state's name."""
        return self.entry.state

    @property
    def text(self) -> str:
        """The SELECT."""
        return self.entry.text or ""

    @property
    def version(self) -> int:
        """The number of the text."""
        return self.entry.version

    def __repr__(self) -> str:
        return f"<State {self.name}: {' '.join(self.text.split())}>"

    def now(self) -> Result:
        """Return the state as of the head of the log (or of the view): one row a key.

        A session keeps what it has folded and folds only what is new; the first time it starts from a snapshot.
        """
        return self._folded(self.scope)

    def at(self, at: Moment | None = None, *, known_at: Moment | None = None) -> Result:
        """Return the state as of a moment: of the events that occurred by ``at`` among those recorded by ``known_at``.

        Both are inclusive; a number is a position. Uses the best snapshot inside.
        """
        scope, earlier = self._moment(at, known_at)
        return (earlier or self)._folded(scope)  # noqa: SLF001 - the same state as it was defined then

    def get(self, key: object) -> Result:
        """Return the row of one key (a tuple for several keys); no row if there is no such key."""
        parts = self._parts()
        if isinstance(parts, str):
            relation = wholes.row(self.name, self.text, key, self.scope, self._run)
            return Result(relation, self.text, "state", {"state": self.name}, self.charter)
        conditions, values = self._key(parts, key)
        return self._result(folds.plain(parts, self.scope, *conditions), kind="state", params=values)

    def history(self, key: object = None) -> Result:
        """Return the states that a key has been in, or all keys: one row an event of the key.

        Columns: ``position, occurred_at, recorded_at, event_type, valid_to`` (the ``occurred_at`` of the key's next event;
        NULL: still valid), and the state's columns after the event. WHERE chooses the events; rows where HAVING does not hold
        are left out. Of one key in order of position; of all keys in no order.

        Raises
        ------
        InvalidArgument
            For all keys, if the state has no parts, or one of its aggregates cannot be a window: one key can be given then.
        """
        parts = self._parts()
        if isinstance(parts, str):
            if key is None:
                message = f"the history of all keys of {self.name} cannot be made: {parts}"
                raise InvalidArgument(message, hint="Give one key.")
            table = wholes.history(self.name, self.text, key, self.scope, self._run)
            relation = queries.connect(self.catalog.session.store.layout.timezone).from_arrow(table)
            return Result(relation, self.text, "history", {"state": self.name}, self.charter)
        conditions, values = self._key(parts, key) if key is not None else ([], {})
        why = parts.reason
        if self._steady(parts):
            try:
                text = histories.history(parts, self.scope, *conditions)
                return self._result(text, kind="history", params=values)
            except EventlabError as error:
                why = error.message
        if key is None and parts.keys:
            message = f"the history of all keys of {self.name} cannot be made: {why}"
            raise InvalidArgument(message, hint="Give one key.")
        return self._result(histories.step_by_step(parts, self.scope, *conditions), kind="history", params=values)

    def diff(self, a: Moment, b: Moment) -> Result:
        """Return what differs between two moments: the keys, ``change`` (added, removed, changed), each column before and after."""
        parts = self._keyed()
        before, after = (self._fold(self._moment(moment)[0]) for moment in (a, b))
        return self._result(histories.diff(parts, before, after), kind="diff")

    def over_time(
        self, every: Duration, measure: str, *, since: Instant | None = None, until: Instant | None = None
    ) -> Result:
        """Return a measure of the whole state as of the end of each bucket: ``bucket`` (its start), ``value``, ``partial``.

        Parameters
        ----------
        every
            ``"1d"``, ``"1h"`` …; whole days are days of the log's time zone, others stretches of absolute time that are
            counted from midnight UTC.
        measure
            One aggregate expression over the state's columns: ``"count(*) FILTER (WHERE status = 'open')"``.
        since, until
            Moments in the first and the last bucket; by default those of the first and the last event.
        """
        parts = self._keyed()
        length = moments.duration(every)
        taken = Measure(measure)
        zone = self.catalog.session.store.zone
        source = f"(select * from events {self.scope.where()})"  # a compensation changes the state when it occurs
        if parts.relation == "events":
            source = folds.source(parts, self.scope)
        ends = [
            f"(select {extreme} from {source})" if moment is None else f"make_timestamptz({moments.instant(moment, zone)})"
            for moment, extreme in ((since, "min(occurred_at)"), (until, "max(occurred_at)"))
        ]  # fmt: skip
        state = f"({folds.plain(parts, self.scope)})"
        self._relation(f"select {taken.text} from {state}", None)  # a measure that cannot be taken says so by itself
        if taken.accumulated and taken.sums and not self._exact(state, taken):
            taken.bucket_by_bucket()
        course = functools.partial(
            courses.course,
            parts,
            self.scope,
            taken,
            every=f"to_microseconds({length // moments.MICROSECOND})" if length % _DAY else f"to_days({length.days})",
            whole_days=not length % _DAY,
            since=ends[0],
            until=ends[1],
            complete=f"(select max(occurred_at) from {source})",
        )
        try:
            return self._result(course(windows=self._steady(parts)), kind="course", facts={"measure": measure})
        except EventlabError:  # an aggregate that cannot be a window
            return self._result(course(windows=False), kind="course", facts={"measure": measure})

    def time_machine(
        self,
        fn: Callable[[Result], object] | None = None,
        *,
        since: Instant | None = None,
        until: Instant | None = None,
        step: Duration | None = None,
        at: Instant | None = None,
    ) -> Any:  # noqa: ANN401 - a TimeMachine, of the room for notebooks above this one
        """Return the state on a slider over time: what it was, what changed, and the events in between.

        Parameters
        ----------
        fn
            Takes the state's Result at the moment and returns what to show: a chart, a frame, a number. By itself it is the
            table.
        since, until
            Where the slider begins and ends; the first and the last event by themselves.
        step
            How far its moments lie apart, like ``"15m"``; by itself, at most 400 steps.
        at
            Where it stands first; at the end by itself.
        """
        if self.machine is None:
            raise InvalidArgument("this state has no time machine", hint="Take it from its log: log.state(name).")
        return self.machine(self, fn, since=since, until=until, step=step, at=at)

    def snapshot(self) -> None:
        """Take a snapshot of the state as it is now. Answers are the same without it.

        Raises
        ------
        InvalidArgument
            If the state's aggregates cannot be merged.
        """
        parts = self._parts()
        if isinstance(parts, str) or parts.reason:
            why = parts if isinstance(parts, str) else parts.reason
            raise InvalidArgument(f"{self.name} is folded from the log each time: {why}", hint="It needs no snapshot.")
        if self.catalog.session.store.read_only:
            raise StoreReadOnly("the log is open for reading", hint="Open it without read_only=True.")
        served = self.catalog.served(self.name, parts, self.entry, self._registry)
        self.catalog.keeper.close()
        keepers.take(self.catalog.session, served, Scope(self.scope.at, self.scope.position or served.position))

    def explain(self) -> str:
        """Return how each answer is made: from a snapshot and what came since, or folded from the log, and why."""
        parts = self._parts()
        if isinstance(parts, str):
            answers = "get and history: of one key, by its rows; no diff, no course"
            return f"{self.name}: folded from the log each time, as {parts}; {answers}."
        lines = [f"{self.name}: keys {len(parts.keys)}, aggregates {len(parts.aggregates)}"]
        if parts.reason:
            lines.append(f"now, at: folded from the log each time, since {parts.reason}")
        else:
            found = snapshots.found(self.catalog.place(self.name, parts, self._registry))
            base = snapshots.best(found, self.scope)
            start = f"the snapshot at position {base.position:,}" if base else "the beginning of the log"
            lines.append(f"now: what this session has folded, else from {start}, and what came since")
            lines.append(f"at: from the best of {len(found)} snapshots inside the moment, and the difference")
        steps = "a fold for each event of one key"
        if self._steady(parts):
            steps = "each aggregate as a window over the key's events"
        lines.append(f"get: the events of the key; history: {steps}")
        lines += parts.notes
        return "\n".join(lines)

    @property
    def _registry(self) -> Registry:
        return self.registry or self.catalog.registry()

    def _parts(self) -> Split | str:
        return self.catalog.parts(self.entry, self._registry)

    def _keyed(self) -> Split:
        """Return the parts of the state, or raise if it has none."""
        parts = self._parts()
        if isinstance(parts, str):
            raise InvalidArgument(
                f"{self.name} has no keys that can be told: {parts}", hint="Use now() or at(), and filter."
            )
        return parts

    def _key(self, parts: Split, key: object) -> tuple[list[str], dict[str, object]]:
        """Return the conditions that events are of one key, and the values to bind."""
        values = key if isinstance(key, tuple) else (key,)
        if len(values) != len(parts.keys):
            raise InvalidArgument(
                f"{self.name} has {len(parts.keys)} keys, {key!r} is {len(values)}",
                hint=f"Give {'a tuple of ' if len(parts.keys) != 1 else ''}{', '.join(parts.keys) or 'nothing'}.",
            )
        if not values:
            return [], {}
        source = folds.source(parts, self.scope)
        types = [str(kind) for kind in self._relation(f"select {', '.join(parts.keys)} from {source}", None).types]
        for text, value, kind in zip(parts.keys, values, types, strict=True):
            if value is not None and not self._comparable(value, kind):
                raise InvalidArgument(f"{self.name}: {value!r} is no key, {text} is {kind}", hint=f"Give a {kind}.")
        return folds.key_is(parts, values, types)

    def _comparable(self, value: object, kind: str) -> bool:
        """Tell whether a value can be a key of a type: one of its family, or text that reads as one."""
        if isinstance(value, str):
            return kind in folds.TEXTS or self._reads(value, kind)
        families = {"BOOLEAN": (bool,), "DATE": (dt.date,), "TIMESTAMP": (dt.date,), "VARCHAR": (), "JSON": ()}
        known = {**families, **dict.fromkeys(_NUMBERS, (int, float, Decimal))}
        taken = next((types for start, types in known.items() if kind.startswith(start)), (object,))
        return isinstance(value, taken) and (kind == "BOOLEAN" or not isinstance(value, bool))

    def _reads(self, text: str, kind: str) -> bool:
        """Tell whether a text reads as a value of a type."""
        try:
            return bool(self._relation(f"select $text::{kind}", {"text": text}).fetchall())
        except (EventlabError, queries.DuckDBError):
            return False

    def _moment(self, at: Moment | None, known_at: Moment | None = None) -> tuple[Scope, State | None]:
        """Return the scope of a moment within the state's own; and the state as a basis token has it, if it is another."""
        scope, registry = self.catalog.session.moment(at, known_at)
        ats = [instant for instant in (scope.at, self.scope.at) if instant is not None]
        positions = [position for position in (scope.position, self.scope.position) if position is not None]
        entry = registry.states.get(self.name)
        earlier = None
        if entry is not None and registry.version < self._registry.version:
            earlier = replace(self, entry=entry, registry=registry)
        position = min(positions, default=None)
        corrected = None if scope.corrected is None and self.scope.corrected is None else position
        return Scope(min(ats, default=None), position, corrected=corrected), earlier

    def _steady(self, parts: Split) -> bool:
        """Tell whether a later event never takes an earlier one out again, so that aggregates may be windows over events."""
        return parts.relation == "events" or self.scope.corrected is not None

    def _fold(self, scope: Scope) -> str:
        """Return the SELECT of the state within a scope, by the quickest way that gives the same rows; empty if it has no parts."""
        parts = self._parts()
        if isinstance(parts, str):
            return ""
        catalog = self.catalog
        if scope == Scope() and self.registry is None and not parts.reason:
            return catalog.served(self.name, parts, self.entry, self._registry).select
        return catalog.folded(self.entry, parts, self._registry, scope)

    def _folded(self, scope: Scope) -> Result:
        """Return the rows of the state within a scope."""
        with self.catalog.session.lock:  # nothing changes what it is served from before the relation is pinned
            text = self._fold(scope)
            relation = self._relation(text or self.text, None, scope=None if text else scope)
        return Result(relation, text or self.text, "state", {"state": self.name}, self.charter)

    def _exact(self, state: str, measure: Measure) -> bool:
        """Tell whether the sums of a measure are exact, so that they may be accumulated."""
        types = self._relation(f"select {', '.join(measure.sums)} from {state}", None).types
        return all(str(kind).startswith(("DECIMAL", "HUGEINT", "BIGINT", "INTEGER")) for kind in types)

    def _result(
        self, text: str, *, kind: str, params: dict[str, object] | None = None, facts: dict[str, Any] | None = None
    ) -> Result:
        """Return the rows of a SELECT, pinned to the log as it is now."""
        relation = self._relation(text, params)
        return Result(relation, text, kind, {"state": self.name, **(facts or {})}, self.charter)

    def _run(self, text: str, params: Mapping[str, object], scope: Scope) -> queries.Relation:
        """Return the relation of a query over the log within a scope."""
        return self._relation(text, dict(params), scope)

    def _relation(self, text: str, params: dict[str, object] | None, scope: Scope | None = None) -> queries.Relation:
        return self.catalog.session.sql(text, params, scope=scope, registry=self.registry, with_states=False)
