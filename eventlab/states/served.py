"""Served states: a session keeps the merged aggregates of a state that is asked for, and folds only what is new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.session import Scope
from eventlab.states import folds, snapshots

if TYPE_CHECKING:
    from pathlib import Path

    from eventlab.schemas import Registry
    from eventlab.session import Session
    from eventlab.states.splits import Split

_REPLACED = 100_000


class Served:
    """The partial aggregates and the rows of one state, in tables of the session, as of a position."""

    def __init__(self, session: Session, name: str, split: Split, registry: Registry, *, number: int) -> None:
        self._session = session
        self.name = name
        self.split = split
        self.registry = registry
        self.place: Path = snapshots.folder(session.store.layout.snapshots, name, split, registry)
        self.partials = f"main.eventlab_partials_{number}"
        self.rows = f"main.eventlab_state_{number}"
        self.position = 0
        self.folded = 0  # events on top of the newest snapshot
        self._made = False
        self._replaced = 0

    def fits(self, registry: Registry) -> bool:
        """Tell whether the events that it reads are still typed as they were."""
        if registry.version != self.registry.version:
            place = snapshots.folder(self._session.store.layout.snapshots, self.name, self.split, registry)
            if place != self.place:
                return False
            self.registry = registry
        return True

    def refresh(self) -> None:
        """Fold what is new, and replace the rows of the keys that it touches."""
        head = self._session.position
        if self._made and head == self.position:
            return
        made = self._made
        with self._session.working("events", Scope(), self.registry) as connection, queries.explained():
            base = (
                None
                if made
                else snapshots.loaded(
                    connection, self.place, Scope(position=head), self.split, tidy=not self._session.store.read_only
                )
            )
            known = Scope(position=self.position) if made else base[0].scope if base else None
            scope = Scope(position=head, beyond=known)
            connection.execute(f"create or replace temp table delta as {folds.partial(self.split, scope)}")
            if made:
                self._merge(connection)
            else:
                self._begin(connection, base[1] if base else None)
        self.folded += head - (self.position if made else base[0].events if base else 0)
        self.position = head

    def drop(self) -> None:
        """Let go of the tables; relations that were handed out still see them."""
        with self._session.working("", Scope(), self.registry) as connection:
            for table in (self.partials, self.rows):
                connection.execute(f"drop table if exists {table}")
        self._made = False

    @property
    def select(self) -> str:
        """The SELECT of the rows, as they were brought up to date last."""
        return f"select {', '.join(map(queries.identifier, self.split.names))} from {self.rows}"

    def _begin(self, connection: queries.Connection, loaded: str | None) -> None:
        """Make the tables, from what was folded and a snapshot under it."""
        partials = "delta"
        if loaded is not None:
            partials = f"({folds.merged(self.split, f'(from {loaded} union all from delta)')})"
        connection.execute(f"create or replace table {self.partials} as from {partials}")
        connection.execute(
            f"create or replace table {self.rows} as {folds.finished(self.split, self.partials, keyed=True)}"
        )
        self._made = True

    def _merge(self, connection: queries.Connection) -> None:
        """Merge what was folded into the tables, touching the rows of its keys alone."""
        split = self.split
        touched = f"exists (select 1 from delta where {folds.same_key(split, 'delta.', 'kept.')})"
        shown = f"exists (select 1 from delta where {folds.same_key(split, 'delta.', f'kept.{folds.KEYED}')})"
        both = f"(select * from {self.partials} as kept where {touched} union all from delta)"
        connection.execute("begin")
        connection.execute(f"create or replace temp table merged as {folds.merged(split, both)}")
        connection.execute(f"delete from {self.partials} as kept where {touched}")
        connection.execute(f"insert into {self.partials} from merged")
        connection.execute(f"delete from {self.rows} as kept where {shown}")
        connection.execute(f"insert into {self.rows} {folds.finished(split, 'merged', keyed=True)}")
        connection.execute("commit")
        ((new,),) = queries.rows(connection, "select count(*) from merged")
        ((kept,),) = queries.rows(connection, f"select count(*) from {self.partials}")
        self._replaced += new
        if self._replaced > max(kept, _REPLACED):  # deleted rows take memory until the table is made anew
            for table in (self.partials, self.rows):
                connection.execute(f"create or replace table {table} as from {table}")
            self._replaced = 0
