"""The states of a log: defining and dropping them, keeping what they are served from, and their names in SQL."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.errors import EventlabError, InvalidArgument, QueryError, StoreReadOnly, unknown
from eventlab.events import COLUMNS
from eventlab.schemas import columns
from eventlab.schemas.registry import STATE_SUFFIXES
from eventlab.session import Scope, relations
from eventlab.states import folds, histories, snapshots
from eventlab.states.keepers import Keeper
from eventlab.states.served import Served
from eventlab.states.splits import RELATIONS, Split, reads, split

if TYPE_CHECKING:
    from pathlib import Path

    from eventlab.schemas import Registry, StateText
    from eventlab.session import Session

_EFFECTIVE = f"""
select * from events
where compensates is null and event_id not in (select compensates from {relations.COMPENSATIONS})
"""
_MACRO = "create or replace temp macro {name}({parameters}) as table {body}"


_split = functools.lru_cache(maxsize=256)(split)  # a text has the same parts whenever a log is opened


class Catalog:
    """What a session knows of states. Threads may share it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.keeper = Keeper(session)
        self._served: dict[tuple[str, int], Served] = {}
        self._numbers = 0
        session.states = self

    def close(self) -> None:
        """Finish writing snapshots."""
        self.keeper.close()

    def registry(self) -> Registry:
        """Return the registry as it is now."""
        store = self.session.store
        return store.registry(store.journal.state().registry)

    def define(self, name: str, text: str) -> StateText:
        """Define a state, or give it a new text, durably.

        Raises
        ------
        QueryError
            If the text is no SELECT over events, names what does not exist, or gives another answer each time it runs.
        InvalidEvent, InvalidArgument
            If the name cannot be one.
        StoreReadOnly
            If the log is open for reading.
        """
        if self.session.store.read_only:
            raise StoreReadOnly("the log is open for reading", hint="Open it without read_only=True.")
        if not isinstance(name, str):
            raise InvalidArgument(f"{name!r} is no name", hint="Give a name of lower-case letters, like orders.")
        if not isinstance(text, str):
            raise QueryError(f"a state is text, not {type(text).__name__}", hint="Write SELECT … FROM events ….")
        text = text.strip().removesuffix(";").rstrip()
        registry = self.registry()
        _split(text, _columns(registry))
        if other := sorted(reads(text) & self.names(registry)):
            raise QueryError(
                f"a state reads events, not the state {other[0]}", hint="Join states where you query them."
            )
        names = [column.lower() for column in self._bound(text, registry)]
        twice = next((column for column in names if names.count(column) > 1), None)
        if twice is not None:
            raise QueryError(f"two columns are called {twice!r}", hint="Name one of them: … AS another_name.")
        entry = self._record(name, text)
        return entry or self.registry().states[name]

    def _bound(self, text: str, registry: Registry) -> list[str]:
        """Return the columns of a query; a table that it does not know is an event type that there is not."""
        try:
            return self.session.sql(text, with_states=False).columns
        except QueryError as error:
            missing = re.search(r'Referenced table "(.+?)" not found', error.message)
            if missing is None:
                raise
            message, hint, matches = unknown("event type", missing[1], registry.names)
            raise QueryError(message, hint=hint, place=error.place, matches=matches) from None

    def drop(self, name: str) -> None:
        """Drop a state; answers at earlier bases still know it."""
        self.find(name, self.registry())
        if self.session.store.read_only:
            raise StoreReadOnly("the log is open for reading", hint="Open it without read_only=True.")
        self._record(name, None)

    def _record(self, name: str, text: str | None) -> StateText | None:
        store = self.session.store
        with store.journal.write():
            registry = store.registry(store.journal.state().registry)
            entry = registry.define_state(name, text, recorded_at=store.clock())
            if entry is not None:
                store.record_definitions([entry])
        store.file_definitions()
        return entry

    def find(self, name: str, registry: Registry) -> StateText:
        """Return the text of a state.

        Raises
        ------
        InvalidArgument
            If there is no such state (with near matches).
        """
        entry = registry.states.get(name)
        if entry is None:
            message, hint, _ = unknown("state", name, registry.states)
            raise InvalidArgument(message, hint=hint)
        return entry

    def parts(self, entry: StateText, registry: Registry) -> Split | str:
        """Return the parts of a state, with the reason if its aggregates cannot be merged; or why it has no parts."""
        return self._parts(entry.text or "", min(entry.registry_version, registry.version), registry.version)

    @functools.lru_cache(maxsize=256)  # noqa: B019 - a catalogue lives as long as its log
    def _parts(self, text: str, defined: int, version: int) -> Split | str:
        registry = self.session.store.registry(version).at(version)
        found = _split(text, _columns(registry.at(defined)))
        if isinstance(found, str):
            return found
        whole = self.session.sql(text, registry=registry, with_states=False)
        try:
            made = self.session.sql(folds.plain(found, Scope()), registry=registry, with_states=False)
        except EventlabError as error:
            return f"its parts do not make it again ({_short(error.message)})"
        if list(map(str, made.types)) != list(map(str, whole.types)):
            return "its parts give columns of other types"
        found = replace(found, names=tuple(whole.columns))
        together = [] if found.reason else [found.aggregates]  # and where that fails, which of them it is
        while together:
            some = together.pop(0)
            try:
                exported = ", ".join(f"{aggregate} export_state" for aggregate in some)
                probe = f"select {exported or 1} from (select * from events) as {found.alias}"
                self.session.sql(probe, registry=registry, with_states=False)
            except EventlabError as error:
                if len(some) == 1:
                    return found.because(_reason(some[0], error.message))
                together += [(aggregate,) for aggregate in some]
        return found

    def served(self, name: str, parts: Split, entry: StateText, registry: Registry) -> Served:
        """Return what a state is served from, brought up to date."""
        key = (name, entry.version)
        with self.session.lock:
            served = self._served.get(key)
            if served is None or not served.fits(registry):
                if served is not None:
                    served.drop()
                self._numbers += 1
                served = Served(self.session, name, parts, registry, number=self._numbers)
                self._served[key] = served
            served.refresh()
            self.keeper.consider(served)
        return served

    def place(self, name: str, parts: Split, registry: Registry) -> Path:
        """Return the folder of a state's snapshots."""
        return snapshots.folder(self.session.store.layout.snapshots, name, parts, registry)

    def folded(self, entry: StateText, parts: Split, registry: Registry, scope: Scope) -> str:
        """Return the SELECT of a state within a scope, from the best snapshot inside it if there is one."""
        if parts.reason:
            return folds.plain(parts, scope)
        place = self.place(entry.state, parts, registry)
        with self.session.working("", Scope(), registry) as connection:
            base = snapshots.loaded(connection, place, scope, parts, tidy=not self.session.store.read_only)
        if base is None:
            return folds.plain(parts, scope)
        rest = folds.partial(parts, Scope(scope.at, scope.position, beyond=base[0].seen))
        return folds.finished(parts, f"({folds.merged(parts, f'(from {base[1]} union all {rest})')})")

    def names(self, registry: Registry) -> set[str]:
        """Return the names of all relations and macros of states."""
        return {f"{name}{suffix}" for name in registry.states for suffix in ("", *STATE_SUFFIXES)}

    def text(self, name: str, registry: Registry) -> str:
        """Return the SELECT behind a relation of a state."""
        return self.find(_state(name, registry), registry).text or ""

    def reads(self, name: str, registry: Registry) -> set[str]:
        """Return the words of the SELECT behind a relation of a state."""
        words = queries.words(self.text(name, registry))
        return words | {"events"} | ({relations.COMPENSATIONS} if RELATIONS[1] in words else set())

    def refresh(self, name: str, registry: Registry, scope: Scope) -> None:
        """Bring up to date what a state is served from."""
        if name in registry.states and scope == Scope():
            entry = registry.states[name]
            parts = self.parts(entry, registry)
            if isinstance(parts, Split) and not parts.reason:
                self.served(name, parts, entry, registry)

    def prepare(self, cursor: queries.Connection, name: str, registry: Registry, scope: Scope) -> None:
        """Make the relation or macro of a state on a connection on which what it reads is there, cut to ``scope``."""
        state = _state(name, registry)
        entry = registry.states[state]
        parts = self.parts(entry, registry)
        suffix = name.removeprefix(state)
        quoted = queries.identifier(name)
        if suffix == "":
            served = self._served.get((state, entry.version)) if scope == Scope() else None
            if isinstance(parts, str):
                text = entry.text or ""
            elif served is not None and not parts.reason and served.fits(registry):
                text = served.select
            else:
                text = self.folded(entry, parts, registry, scope)
            with queries.explained():
                cursor.execute(f"create temp view {quoted} as {text}")
            return
        parameters, body = self._macro(suffix, entry, parts, registry, scope)
        with queries.explained():
            cursor.execute(queries.fill(_MACRO, name=quoted, parameters=parameters, body=body))

    def _macro(
        self, suffix: str, entry: StateText, parts: Split | str, registry: Registry, scope: Scope
    ) -> tuple[str, str]:
        """Return the parameters and the SELECT of a macro of a state, on relations that are cut to ``scope``."""
        if suffix == STATE_SUFFIXES[0]:
            return "t, known_at := null", self._cut(entry, parts, registry, ("t", "known_at"), scope)
        if isinstance(parts, str):
            raise InvalidArgument(
                f"{entry.state}{suffix} cannot be made: {parts}", hint=f"{entry.state}_at(t) gives it at any moment."
            )
        if suffix == STATE_SUFFIXES[1]:
            if parts.relation != "events" and scope.corrected is None:
                raise InvalidArgument(
                    f"{entry.state}_history cannot be made: {parts.reason}",
                    hint=f"log.state({entry.state!r}).history(key) gives it for one key.",
                )
            return "", histories.history(parts, Scope(corrected=scope.corrected))
        before, after = (self._cut(entry, parts, registry, (moment, "null"), scope) for moment in ("a", "b"))
        return "a, b", histories.diff(parts, before, after)

    def _cut(
        self, entry: StateText, parts: Split | str, registry: Registry, moment: tuple[str, str], scope: Scope
    ) -> str:
        """Return the SELECT of a state as of a moment on both clocks that is given in SQL, on relations cut to ``scope``."""
        store_id, head = self.session.store.layout.store_id, self.session.position
        seen = relations.seen(*moment, store_id=store_id, head=head)
        known = relations.undoes(*moment, scope, store_id=store_id, head=head)
        undone = f"(select * from temp.{relations.COMPENSATIONS} where {known})"
        if not isinstance(parts, str):
            if parts.relation == "events":
                return f"with events as (select * from temp.events where {seen}) {_inside(folds.plain(parts, Scope()))}"
            cut = f"events as (select * from temp.events where {seen}), {relations.COMPENSATIONS} as {undone}"
            return f"with {cut} {_inside(folds.plain(parts, Scope(corrected=head)))}"
        read = reads(entry.text or "")
        if other := sorted(read & (set(relations.NAMES) - {"events", "events_effective"})):
            raise InvalidArgument(
                f"{entry.state}_at cannot be made: it reads {other[0]}", hint=f"log.state({entry.state!r}).at(t) can."
            )
        cuts = [
            f"{queries.identifier(name)} as (select * from temp.{queries.identifier(name)} where {seen})"
            for name in ("events", *sorted(read & set(registry.views)))
        ]
        if RELATIONS[1] in read:  # what was compensated by then, not what has been since
            cuts += [f"{relations.COMPENSATIONS} as {undone}", f"{RELATIONS[1]} as ({_EFFECTIVE})"]
        return f"with {', '.join(cuts)} {_inside(entry.text or '')}"


def _inside(text: str) -> str:
    return f"select * from (\n{text}\n)"


def _columns(registry: Registry) -> frozenset[str]:
    """Return the names of the columns of ``events``, in lower case."""
    typed = {event_type.name.lower() for event_type in registry if columns.latest(event_type) is not None}
    return frozenset({*COLUMNS, "category", *typed})


def _reason(aggregate: str, message: str) -> str:
    """Return why the partial results of an aggregate cannot be merged."""
    if "DISTINCT" in message:
        return f"{aggregate} cannot be merged: two partial results may count the same value"
    return f"{aggregate} cannot be merged by DuckDB"


def _short(message: str) -> str:
    """Return a message of DuckDB without its class and what it goes on to say."""
    return message.partition(" Error: ")[2].partition(":")[0] or message


def _state(name: str, registry: Registry) -> str:
    """Return the state behind the name of a relation."""
    return next(state for state in registry.states for suffix in ("", *STATE_SUFFIXES) if name == f"{state}{suffix}")
