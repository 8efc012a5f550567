"""The states of a log: defining and dropping them, keeping what they are served from, and their names in SQL."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.errors import EventlabError, InvalidArgument, unknown
from eventlab.schemas.registry import STATE_SUFFIXES
from eventlab.session import Scope
from eventlab.session.relations import INSTANT, POSITION
from eventlab.states import folds, histories, snapshots
from eventlab.states.keepers import Keeper
from eventlab.states.served import Served
from eventlab.states.splits import Split, split

if TYPE_CHECKING:
    from eventlab.schemas import Registry, StateText
    from eventlab.session import Session

_MACRO = "create or replace temp macro {name}({parameters}) as table {body}"
_SEEN = "occurred_at <= {instant} and position <= {position} and recorded_at <= {known_instant} and position <= {known_position}"


class Catalog:
    """What a session knows of states. Threads may share it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.keeper = Keeper(session)
        self._served: dict[tuple[str, int], Served] = {}
        self._lock = threading.RLock()
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
        InvalidEvent
            If the name cannot be one.
        """
        text = text.strip().removesuffix(";").rstrip()
        split(text)
        self.session.sql(text)
        entry = self._record(name, text)
        return entry or self.registry().states[name]

    def drop(self, name: str) -> None:
        """Drop a state; answers at earlier bases still know it."""
        self.find(name, self.registry())
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
        return self._parts(entry.text or "", registry.version)

    @functools.lru_cache(maxsize=256)  # noqa: B019 - a catalogue lives as long as its log
    def _parts(self, text: str, version: int) -> Split | str:
        found = split(text)
        if isinstance(found, str) or found.reason:
            return found
        registry = self.session.store.registry(version).at(version)
        for aggregate in found.aggregates:
            try:
                probe = f"select {aggregate} export_state from events as {found.alias}"
                self.session.sql(probe, registry=registry)
            except EventlabError as error:
                return found.because(f"{aggregate} cannot be merged: {error.message}")
        return found

    def served(self, name: str, parts: Split, entry: StateText, registry: Registry) -> Served:
        """Return what a state is served from, brought up to date."""
        key = (name, entry.version)
        with self._lock:
            served = self._served.get(key)
            if served is None or not served.fits(registry):
                self._numbers += 1
                served = Served(self.session, name, parts, registry, number=self._numbers)
                self._served[key] = served
            served.refresh()
        self.keeper.consider(served)
        return served

    def attach(self, snapshot: snapshots.Snapshot, columns: int) -> str | None:
        """Return the relation of a snapshot; None, and the file is gone, if it cannot be read."""
        with self.session.working("", Scope(), self.registry()) as connection:
            return snapshots.attach(connection, snapshot, columns)

    def reads(self, name: str, registry: Registry) -> set[str]:
        """Return the words of the SELECT behind a relation of a state."""
        return queries.words(self.find(_state(name, registry), registry).text or "") | {"events"}

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
        served = self._served.get((state, entry.version))
        suffix = name.removeprefix(state)
        quoted = queries.identifier(name)
        if suffix == "":
            live = scope == Scope() and served is not None and isinstance(parts, Split) and served.fits(registry)
            if live and served is not None and isinstance(parts, Split):
                shown = ", ".join(map(queries.identifier, parts.names))
                cursor.execute(f"create temp view {quoted} as select {shown} from {served.rows}")
            else:
                cursor.execute(f"create temp view {quoted} as {self.fold(entry, parts)}")
            return
        parameters, body = self._macro(suffix, entry, parts, registry)
        cursor.execute(queries.fill(_MACRO, name=quoted, parameters=parameters, body=body))

    def fold(self, entry: StateText, parts: Split | str) -> str:
        """Return the SELECT of a state over the relations as they are cut already."""
        return entry.text or "" if isinstance(parts, str) else folds.plain(parts, Scope())

    def _macro(self, suffix: str, entry: StateText, parts: Split | str, registry: Registry) -> tuple[str, str]:
        """Return the parameters and the SELECT of a macro of a state."""
        if suffix == STATE_SUFFIXES[0]:
            return "t, known_at := null", self._cut(entry, parts, registry, "t", "known_at")
        if isinstance(parts, str):
            raise InvalidArgument(
                f"{entry.state}{suffix} cannot be made: {parts}", hint=f"{entry.state}_at(t) gives it at any moment."
            )
        if suffix == STATE_SUFFIXES[1]:
            return "", histories.history(parts, Scope())
        before, after = (self._cut(entry, parts, registry, moment, "null") for moment in ("a", "b"))
        return "a, b", histories.diff(parts, before, after)

    def _cut(self, entry: StateText, parts: Split | str, registry: Registry, at: str, known_at: str) -> str:
        """Return the SELECT of a state as of moments that are given in SQL."""
        seen = queries.fill(
            _SEEN,
            instant=queries.fill(INSTANT, m=at),
            position=queries.fill(POSITION, m=at),
            known_instant=queries.fill(INSTANT, m=known_at),
            known_position=queries.fill(POSITION, m=known_at),
        )
        read = {"events", *(queries.words(entry.text or "") & {*registry.views, "events_effective"})}
        cuts = [
            f"{queries.identifier(name)} as (select * from temp.{queries.identifier(name)} where {seen})"
            for name in read
        ]
        return f"with {', '.join(cuts)} select * from ({self.fold(entry, parts)})"


def _state(name: str, registry: Registry) -> str:
    """Return the state behind the name of a relation."""
    return next(state for state in registry.states for suffix in ("", *STATE_SUFFIXES) if name == f"{state}{suffix}")
