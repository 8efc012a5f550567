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

STEPS = 12  # snapshots along a history that was never folded before


class Keeper:
    """Writes the snapshots of a session's states, one thread at a time."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._thread: threading.Thread | None = None
        self.failure: Exception | None = None

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
            self.keep(served, head, step=max(snapshots.EVERY, head // STEPS))
            self.failure = None
        except (EventlabError, queries.DuckDBError) as error:
            self.failure = error

    def keep(self, served: Served, head: int, *, step: int) -> None:
        """Write a snapshot every ``step`` events from the newest that there is, and one at ``head``."""
        found = snapshots.found(served.place)
        position = max((snapshot.position for snapshot in found), default=0)
        while position < head:
            position = min(position + step, head)
            if head - position < step // 2:
                position = head
            take(self._session, served, Scope(position=position))


def take(session: Session, served: Served, scope: Scope) -> None:
    """Write a snapshot of a state within a scope, on top of the best one inside it."""
    split = served.split
    with writing(session.store.layout.path), session.beside("events", served.registry) as connection:
        with queries.explained():
            base = snapshots.loaded(connection, served.place, scope, split, tidy=True)
            above = Scope(scope.at, scope.position, beyond=base[0].seen if base else None)
            connection.execute(f"create or replace temp table delta as {folds.partial(split, above)}")
            text = f"select count(*), max(epoch_us(occurred_at)) from {folds.source(split, above)}"
            ((events, latest),) = queries.rows(connection, text)
            merged = f"({folds.merged(split, f'(from {base[1]} union all from delta)')})" if base else "delta"
            connection.execute(f"create or replace temp table merged as from {merged}")
            connection.execute("commit")  # one transaction writes to one database
        # a snapshot of the first events is one of all that occurred by the last of them, too
        times = [time for time in (latest, base[0].scope.at if base else None) if time is not None]
        at = scope.at if scope.at is not None else max(times, default=None)
        snapshots.write(
            connection, "merged", served.place, Scope(at, scope.position), events + (base[0].events if base else 0)
        )
