"""Keeping snapshots by policy: in the background, whenever enough was folded that the next fold can start from there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.errors import EventlabError
from eventlab.session import Scope
from eventlab.states import folds, snapshots
from eventlab.store.lakes import writing

if TYPE_CHECKING:
    from eventlab.session import Session
    from eventlab.states.served import Served

_STEPS = 8  # snapshots along a history that was never folded before


class Keeper:
    """Writes the snapshots of a session's states, one thread at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._thread: threading.Thread | None = None
        self.failure: EventlabError | None = None

    def close(self) -> None:
        """Wait for what is being written."""
        if self._thread is not None:
            self._thread.join()

    def consider(self, served: Served) -> None:
        """Take snapshots beside the caller if more than ``snapshots.EVERY`` events were folded since the last."""
        busy = self._thread is not None and self._thread.is_alive()
        if served.folded < snapshots.EVERY or busy or self._session.store.read_only:
            return
        served.folded = 0
        self._thread = threading.Thread(target=self._keep, args=(served, served.position), name="eventlab-snapshots")
        self._thread.start()

    def _keep(self, served: Served, head: int) -> None:
        """Write snapshots from the newest that there is up to ``head``. A failure is kept: answers do not need them."""
        try:
            self.keep(served, head, step=max(snapshots.EVERY, head // _STEPS))
            self.failure = None
        except EventlabError as error:
            self.failure = error

    def keep(self, served: Served, head: int, *, step: int) -> None:
        """Write a snapshot every ``step`` events from the newest that there is, and one at ``head``."""
        found = snapshots.found(served.place)
        position = max((snapshot.position for snapshot in found), default=0)
        while position < head:
            position = min(position + step, head)
            if head - position < step // 2:
                position = head
            with writing(self._session.store.layout.path):
                take(self._session, served, Scope(position=position))


def take(session: Session, served: Served, scope: Scope) -> None:
    """Write a snapshot of a state within a scope, on top of the best one inside it."""
    split = served.split
    base = snapshots.best(snapshots.found(served.place), scope)
    above = Scope(scope.at, scope.position, beyond=base.known(scope) if base else None)
    with session.beside("events", served.registry) as connection:
        loaded = snapshots.attach(connection, base, served.columns) if base else None
        if base is not None and loaded is None:
            above = Scope(scope.at, scope.position)
        connection.execute(f"create or replace temp table delta as {folds.partial(split, above)}")
        source = folds.source(split, above)
        text = f"select count(*), max(epoch_us(occurred_at)) from {source}"
        ((events, latest),) = queries.rows(connection, text)
        if loaded is not None and base is not None:
            events += base.events
            latest = max(latest or 0, base.scope.at or 0) if base.scope.at is not None else None
            merged = folds.merged(split, f"(from {loaded} union all from delta)")
            connection.execute(f"create or replace temp table merged as {merged}")
        else:
            connection.execute("create or replace temp table merged as from delta")
        connection.execute("commit")  # one transaction writes to one database
        # a snapshot of the first events is one of all that occurred by the last of them, too
        at = scope.at if scope.at is not None else latest
        snapshots.write(connection, "merged", served.place, Scope(at, scope.position), events)
