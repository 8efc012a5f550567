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
    """The partial aggregates of one state, in a table of the session, as of a position."""

    def __init__(self, session: Session, name: str, split: Split, registry: Registry, *, number: int) -> None:
        self._session = session
        self.name = name
        self.split = split
        self.registry = registry
        self.place: Path = snapshots.folder(session.store.layout.snapshots, name, split, registry)
        self.partials = f"main.eventlab_partials_{number}"
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
        """Fold what is new, and merge it with what is known of the keys that it touches."""
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
            known = Scope(position=self.position) if made else base[0].seen if base else None
            new = folds.partial(self.split, Scope(position=head, beyond=known))
            if made:
                self._merge(connection, new)
            else:
                self._begin(connection, new, base[1] if base else None)
        self.folded += head - (self.position if made else base[0].events if base else 0)
        self.position = head

    def drop(self) -> None:
        """Let go of the table; relations that were handed out still see it."""
        with self._session.working("", Scope(), self.registry) as connection:
            connection.execute(f"drop table if exists {self.partials}")
        self._made = False

    @property
    def select(self) -> str:
        """The SELECT of the rows, as they were brought up to date last: a query finishes the aggregates that it asks for."""
        return folds.finished(self.split, self.partials)

    def _begin(self, connection: queries.Connection, new: str, loaded: str | None) -> None:
        """Make the table of partial aggregates, from what is new and a snapshot under it."""
        partials = new if loaded is None else folds.merged(self.split, f"(from {loaded} union all {new})")
        connection.execute(f"create or replace table {self.partials} as {partials}")
        self._made = True

    def _merge(self, connection: queries.Connection, new: str) -> None:
        """Merge what is new into the table, touching its keys alone."""
        touched = f"exists (select 1 from delta where {folds.same_key(self.split, 'delta.', 'kept.')})"
        taken = f"delete from {self.partials} as kept where {touched} returning *"  # what is merged and put back
        merged = folds.merged(self.split, "(from taken union all from delta)")
        connection.execute(f"create or replace temp table delta as {new}")
        connection.execute("begin")
        connection.execute(f"create or replace temp table merged as with taken as ({taken}) {merged}")
        connection.execute(f"insert into {self.partials} from merged")
        connection.execute("commit")
        ((put_back, kept),) = queries.rows(
            connection, f"select (select count(*) from merged), (select count(*) from {self.partials})"
        )
        self._replaced += put_back
        if self._replaced > max(kept, _REPLACED):  # deleted rows take memory until the table is made anew
            connection.execute(f"create or replace table {self.partials} as from {self.partials}")
            self._replaced = 0
