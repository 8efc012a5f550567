"""The session: one in-memory DuckDB over a store, brought up to date before each query at a cost of what is new.

Each query runs on a connection of its own inside a transaction that never ends: DuckDB's own snapshot pins its relation to
what the session's tables were, and files are never changed. The relations that it names are temporary views of that
connection, so nothing is kept for later and nothing has to be dropped: when the relation goes, all goes.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import uuid
from typing import TYPE_CHECKING, Protocol

from eventlab import moments, queries
from eventlab.errors import InvalidArgument, QueryError
from eventlab.schemas import columns, upcasts
from eventlab.schemas.columns import Wanted
from eventlab.schemas.registry import GROUP_SIZE
from eventlab.session import relations
from eventlab.session.relations import Scope, Sources
from eventlab.session.tails import Tail, folder
from eventlab.store.lakes import reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from eventlab.moments import Moment
    from eventlab.schemas import Registry
    from eventlab.store.lakes import Snapshot
    from eventlab.store.stores import Store

_LISTING = {"tables", "information_schema", "duckdb_views", "duckdb_tables", "show"}
_SLICE = 50_000


class States(Protocol):
    """What a session asks of the room of states, which is above it."""

    def names(self, registry: Registry) -> set[str]:
        """Return the names of all relations and macros of states."""

    def text(self, name: str, registry: Registry) -> str:
        """Return the SELECT behind a relation of a state."""

    def reads(self, name: str, registry: Registry) -> set[str]:
        """Return the words of the SELECT behind a relation of a state: a superset of the relations that it reads."""

    def refresh(self, name: str, registry: Registry, scope: Scope) -> None:
        """Bring up to date what a relation of a state is served from, before a connection is pinned."""

    def prepare(self, cursor: queries.Connection, name: str, registry: Registry, scope: Scope) -> None:
        """Make the relation or macro ``name`` of a state on a connection on which what it reads is there."""


class Cohort(Protocol):
    """What a session asks of a named set of actors, which is made above it."""

    @property
    def members(self) -> str:
        """The SELECT of the actors, over tables of the session."""


class Session:
    """DuckDB over a store. Threads may share it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lock = threading.RLock()  # the one lock of the session and of the states that it serves
        self._name = uuid.uuid4().hex
        self._connection = queries.connect(store.layout.timezone)
        self._tail = Tail(self._connection)
        self._snapshot = store.lake.snapshot()
        self._loaded = self._snapshot.sealed  # through which position the tail is here
        self._kept = self._snapshot.sealed  # after which position the tail is here
        self._shapes: dict[tuple[int, int | None], str] = {}
        self._sources: tuple[tuple[int, int, int, list[str]], Sources] | None = None
        self._functions: dict[str, str] = {}
        self._newest: dict[int, int | None] = {}
        self.states: States | None = None  # set by the room of states, which is above this one
        self.cohorts: dict[str, Cohort] = {}  # by name in lower case: what the room of analyses has made
        self.macros: dict[str, str] = {}  # of analyses: the statement behind each table macro, with slots of ``_macro``

    def close(self) -> None:
        """Let go of the connection. Relations that were handed out still run: closing it would close theirs too."""
        with self.lock:
            del self._connection

    @property
    def position(self) -> int:
        """The last position of the log as of now."""
        with self.lock:
            self.refresh()
            return max(self._loaded, self._snapshot.sealed)

    def newest(self, position: int) -> int | None:
        """Return when the newest of the first ``position`` events occurred, in microseconds; None if there are none."""
        with self.lock:
            if position not in self._newest:
                text = "select epoch_us(max(occurred_at)) from events"
                ((found,),) = self.rows(text, scope=Scope(position=position))
                self._newest = {position: found}  # type: ignore[dict-item]  # it never changes: one is kept
            return self._newest[position]

    @property
    def upcasts(self) -> list[tuple[str, int]]:
        """The types and versions to which old events are upcast when they are read."""
        registry = self.store.registry(self.store.journal.state().registry)
        return [(event_type.name, found.version) for event_type in registry for found in event_type.upcasts]

    @property
    def pinned(self) -> bool:
        """Whether relations are alive that may read files which a compaction has replaced."""
        with self.lock:
            return queries.connections(self._connection) > 1

    def refresh(self) -> None:
        """Take in what is new: the journal's rows first and the lake after, so that a seal in between hides nothing."""
        store = self.store
        with self.lock:
            head = store.journal.state().head
            while self._loaded < head:
                through = min(self._loaded + _SLICE, head)
                rows = store.journal.tail(self._loaded, through)
                if rows:
                    self._tail.take(rows, store.registry(store.journal.state().registry))
                self._loaded = through
            self._snapshot = store.lake.snapshot()
            self._loaded = max(self._loaded, self._snapshot.sealed)
            if self._kept < self._snapshot.sealed:
                self._tail.forget(self._snapshot.sealed)
                self._kept = self._snapshot.sealed
            if self._tail.untidy and not self.pinned:
                self._tail.clean_up()

    def sql(
        self,
        query: str,
        params: object = None,
        *,
        scope: Scope | None = None,
        registry: Registry | None = None,
        with_states: bool = True,
    ) -> queries.Relation:
        """Return the relation of a query over the log as it is now, or as ``scope`` and ``registry`` have it.

        ``with_states``: whether it may name states, too; the SELECT of a state may not.

        Raises
        ------
        QueryError
            If it is not one statement that reads, or names what does not exist.
        """
        states = self.states if with_states else None
        try:
            with self.lock:
                known, cursor = self._cursor(query, scope or Scope(), registry, states=states)
            return queries.select(cursor, query, params, relations=known)
        except QueryError as error:
            found = error
        if (registry or self.store.registry(0)).wide:  # the error may be of what was left out
            with self.lock:
                known, cursor = self._cursor(query, scope or Scope(), registry, states=states, whole=True)
            try:
                return queries.select(cursor, query, params, relations=known)
            except QueryError as error:
                found = error
        raise _pointing(found, registry or self.store.registry(0)) from None

    @contextlib.contextmanager
    def trying(self, registry: Registry) -> Iterator[None]:
        """Let queries be tried with a registry that may never be: what is kept for its version is forgotten afterwards."""
        with self.lock:
            try:
                yield
            finally:
                self._shapes = {key: path for key, path in self._shapes.items() if key[0] != registry.version}
                self._sources = None

    def names(self, registry: Registry) -> set[str]:
        """Return the names of all relations and macros but cohorts, in lower case."""
        states = self.states.names(registry) if self.states else set()
        return {name.lower() for name in (*relations.NAMES, *registry.views, *self.macros, *states)}

    @contextlib.contextmanager
    def working(self, reads: str, scope: Scope, registry: Registry) -> Iterator[queries.Connection]:
        """Yield a connection that can write tables of the session, and on which the relations that ``reads`` names exist.

        The session is held meanwhile.
        """
        with self.lock:
            _, cursor = self._cursor(reads, scope, registry, pinned=False)
            with contextlib.closing(cursor):
                yield cursor

    @contextlib.contextmanager
    def beside(self, reads: str, registry: Registry) -> Iterator[queries.Connection]:
        """Yield a pinned connection on which the relations that ``reads`` names exist; others go on meanwhile."""
        with self.lock:
            _, cursor = self._cursor(reads, Scope(), registry)
        with contextlib.closing(cursor):
            yield cursor

    def rows(
        self, query: str, params: Mapping[str, object] | None = None, *, scope: Scope | None = None
    ) -> list[tuple[object, ...]]:
        """Return the rows of a query."""
        with self.lock:
            _, cursor = self._cursor(query, scope or Scope(), None)
        with contextlib.closing(cursor):
            return queries.rows(cursor, query, params)

    def moment(self, at: Moment | None, known_at: Moment | None, *, corrected: bool = False) -> tuple[Scope, Registry]:
        """Return what a moment on both clocks is: the scope of what is seen, and the registry of that time.

        ``corrected``: what is compensated by then by system time is not effective; a basis token may say so, too.

        Raises
        ------
        InvalidArgument
            If a moment is none, lies beyond the head, or is a token of another store.
        """
        head, store = self.position, self.store
        registry = store.registry(store.journal.state().registry)
        instant, position, version = self._read_moment(at, head)
        known, cut, basis = self._read_moment(known_at, head)
        if basis is not None:  # a token's position says what was recorded; its moment is of the other clock
            known = None
        position = min(position, cut, head if known is None else self._recorded_by(known))
        told = None if known_at is None else basis
        if known_at is not None and basis is None:
            told = registry.known_by(self._recorded_at(cut) if known is None else known)
        token = moments.basis(at) if isinstance(at, str) else None
        settled = position if corrected or (token is not None and token.corrected) else None
        scope = Scope(at=instant, position=position, registry=told, corrected=settled)
        return scope, registry if version is None else registry.at(version)

    def _read_moment(self, moment: Moment | None, head: int) -> tuple[int | None, int, int | None]:
        """Return a moment as an instant (None: open), a position, and a registry version (None: the newest)."""
        if moment is None:
            return None, head, None
        if isinstance(moment, bool):
            raise InvalidArgument(f"{moment} is no moment", hint="Give a time, a position or a basis token.")
        if isinstance(moment, int):
            if not 0 <= moment <= head:
                raise InvalidArgument(
                    f"no position {moment}", hint=f"The log has the positions 1 to {head}; 0 is before it."
                )
            return None, moment, None
        basis = moments.basis(moment) if isinstance(moment, str) else None
        if basis is None:
            return moments.instant(moment, self.store.zone), head, None
        if basis.store != self.store.layout.store_id:
            raise InvalidArgument(
                f"the basis {moment!r} is of another store", hint=f"This store has the id {self.store.layout.store_id}."
            )
        if basis.position > head:
            raise InvalidArgument(f"the basis {moment!r} is beyond the head of the log, {head}")
        return basis.at, basis.position, basis.registry

    def _recorded_by(self, instant: int) -> int:
        """Return the last position that was recorded by an instant; system time never goes back with position."""
        text = "select coalesce(max(position), 0) from events where recorded_at <= make_timestamptz($instant)"
        return int(self.rows(text, {"instant": instant})[0][0])  # type: ignore[call-overload, no-any-return]

    def _recorded_at(self, position: int) -> int:
        """Return when the event at a position was recorded; before all times for none."""
        text = "select epoch_us(recorded_at) from events where position = $position"
        return next((int(at) for (at,) in self.rows(text, {"position": position})), -(2**62))  # type: ignore[call-overload]

    def _cursor(
        self,
        query: str,
        scope: Scope,
        registry: Registry | None,
        *,
        pinned: bool = True,
        states: States | None = None,
        whole: bool = False,
    ) -> tuple[list[str], queries.Connection]:
        """Return the names of all relations, and a pinned connection on which those that a query names exist.

        ``whole``: with all of their columns; else, of a wide registry, with those that the query can mean.
        """
        if not isinstance(query, str):
            raise QueryError(f"a query is text, not {type(query).__name__}", hint="Write a SELECT or FROM.")
        self.refresh()
        registry = registry or self.store.registry(self.store.journal.state().registry)
        words = queries.words(query)
        known = [*relations.NAMES, *registry.views]
        there = {*known, relations.COMPENSATIONS}
        own = (set(known) if words & _LISTING else set()) | words & there
        folded = sorted(states.names(registry) & words) if states else []
        texts = [query]
        made = [self._macro(self.macros[name], registry, scope) for name in sorted(words & set(self.macros))]
        if made:
            own.add("events")
        if states is not None:
            made += self._cohorts(query, words, registry)
            for name in folded:
                texts.append(states.text(name, registry))
                own |= there & states.reads(name, registry)
                states.refresh(name, registry, scope)
        sources = self._scan(registry)
        self._install(registry)
        wanted = Wanted() if whole else _wanted(texts, registry)
        cursor = self._connection.cursor()
        if pinned:
            cursor.execute("begin")
        with reading(self.store.layout.lake):
            for name in own:
                cursor.execute(_statement(name, sources, registry, wanted, scope))
            for statement in made:
                cursor.execute(statement)
            for name in folded:
                if states is not None:
                    states.prepare(cursor, name, registry, scope)
        return [*known, *((*registry.states, *self.cohorts) if states else ())], cursor

    def _cohorts(self, query: str, words: set[str], registry: Registry) -> list[str]:
        """Return the statements that make the cohorts which a query names; all if it lists relations.

        Raises
        ------
        QueryError
            If it reads one of whose name the log has got a relation since.
        """
        if not self.cohorts:
            return []
        taken = self.names(registry)
        clashing = set(self.cohorts) & taken & words
        if clashing and (read := sorted(clashing & _tables(query))):
            raise QueryError(
                f"{read[0]!r} is a cohort, and by now a relation of the log, too",
                hint=f"Give the cohort another name: log.cohort('{read[0]}_cohort', …).",
            )
        named = sorted((set(self.cohorts) if words & _LISTING else words & set(self.cohorts)) - taken)
        return [f"create temp view {queries.identifier(name)} as {self.cohorts[name].members}" for name in named]

    def _macro(self, statement: str, registry: Registry, scope: Scope) -> str:
        """Return the statement of a macro with the types that there are and the instant to which the events are complete."""
        newest = self.newest(max(self._loaded, self._snapshot.sealed) if scope.position is None else scope.position)
        complete = newest if newest is None or scope.at is None else min(newest, scope.at)
        instant = "null::timestamptz" if complete is None else f"make_timestamptz({complete})"
        types = f"{queries.literal(registry.names if newest is not None else [])}::varchar[]"
        return statement.replace("{complete}", instant).replace("{types}", types)

    def _install(self, registry: Registry) -> None:
        """Make the Python functions among the upcasts callable in SQL."""
        for before, definition in registry.functions:
            name = columns.function(definition)
            if self._functions.get(name) != definition.upcast:
                queries.function(self._connection, name, upcasts.batch(definition, before))
                self._functions[name] = str(definition.upcast)

    def _scan(self, registry: Registry) -> Sources:
        """Return the files of the lake, each group headed by the shape that the registry gives it."""
        key = (self._snapshot.version, registry.version, self._loaded, self._tail.paths)
        if self._sources is None or self._sources[0] != key:
            self._sources = (key, self._gather(self._snapshot, registry))
        return self._sources[1]

    def _gather(self, snapshot: Snapshot, registry: Registry) -> Sources:
        files: dict[int, list[str]] = {}
        for file, path in zip(snapshot.files, self.store.lake.files(snapshot), strict=True):
            files.setdefault(file.group, []).append(path)
        groups = range(max(max(files, default=0) + 1, -(-len(registry.names) // GROUP_SIZE)))
        shapes = {group: self._shape(registry, group) for group in groups}
        head = max(self._loaded, snapshot.sealed)
        return Sources(files, shapes, self._shape(registry, None), self._tail.paths, self.store.layout.store_id, head)

    def _shape(self, registry: Registry, group: int | None) -> str:
        """Return the path of a file without rows that has every column of a group, or of the envelope alone."""
        key = (registry.version, group)
        if key not in self._shapes:
            path = folder(os.getpid()) / f"{self._name}-{registry.version}-{group}.parquet"
            queries.copy(self._connection, relations.shape(registry, group), path)
            self._shapes[key] = str(path)
        return self._shapes[key]


def _pointing(error: QueryError, registry: Registry) -> QueryError:
    """Return the error of an unknown column with the event types that have a field of that name."""
    missing = re.match(r"no column '(.+?)'", error.message)
    fields = [f"{t.name}.{missing[1]}" for t in registry if missing and missing[1] in t.latest.fields]
    if not missing or not fields:
        return error
    message = f"{missing[0]} of events. Did you mean {fields[0]!r}?"
    hint = f"It is a field of {', '.join(fields[:5])}: events has a STRUCT for each event type. {error.hint}"
    return QueryError(message, hint=hint, place=error.place, matches=[*fields, *error.matches])


def _wanted(texts: Sequence[str], registry: Registry) -> Wanted:
    """Return what queries can mean of the typed columns: all, unless there are so many that leaving some out pays."""
    if not registry.wide or any(queries.takes_all(text, registry.structs) for text in texts):
        return Wanted()
    return Wanted.by(texts)


def _tables(query: str) -> set[str]:
    """Return the names of the tables in a query, in lower case; none of one that does not parse."""
    with contextlib.suppress(QueryError):
        return {str(node.get("table_name")).lower() for node in queries.walk(queries.syntax(query))}
    return set()


def _statement(name: str, sources: Sources, registry: Registry, wanted: Wanted, scope: Scope) -> str:
    """Return the statement that makes a relation with the typed columns that are wanted."""
    match name:
        case "events":
            text = relations.events(sources, registry, scope, wanted)
        case "events_effective":
            text = relations.events_effective(sources, registry, scope, wanted)
        case relations.COMPENSATIONS:
            text = relations.compensations(sources, scope)
        case "streams":
            text = relations.streams(sources, scope)
        case "event_types":
            text = relations.event_types(sources, registry, scope)
        case "schema_versions":
            text = relations.schema_versions(registry, scope)
        case "events_at":
            return relations.events_at(sources, registry, scope, wanted)
        case _:
            event_type = registry[registry.views[name]]
            text = relations.type_view(sources, event_type, scope, wanted)
    return f"create temp view {queries.identifier(name)} as {text}"
