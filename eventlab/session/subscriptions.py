"""Subscriptions: readers whose place in the log is kept in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab.displays import Displayed
from eventlab.errors import InvalidArgument
from eventlab.events import named
from eventlab.session import readers
from eventlab.session.relations import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventlab.events import RecordedEvent
    from eventlab.session.sessions import Session


class Subscription(Displayed):
    """A named reader: ``next`` gives what it has not seen, ``commit`` keeps its place for the next process.

    Events come at least once: those after the last commit come again when the subscription is opened anew.
    """

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self.name = named("subscription", name)
        self._position = self.committed

    @property
    def committed(self) -> int:
        """The position that was committed last; 0 at the beginning."""
        rows = self._session.store.journal.rows("select position from checkpoints where name = ?", (self.name,))
        return int(rows[0][0]) if rows else 0

    @property
    def position(self) -> int:
        """The position of the last event that ``next`` gave."""
        return self._position

    @property
    def lag(self) -> int:
        """How many events of the log lie beyond the last commit."""
        return self._session.position - self.committed

    def next(self, limit: int = 100, *, types: Iterable[str] | None = None) -> list[RecordedEvent]:
        """Return the next events in position order, at most ``limit``; an empty list if there is nothing new.

        Parameters
        ----------
        limit
            At least 1.
        types
            Only these event types; the others are passed over.
        """
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise InvalidArgument(f"limit is {limit!r}", hint="Give the largest number of events to take, 1 or more.")
        head = self._session.position
        scope = Scope(position=head)
        events = list(readers.read(self._session, after=self._position, limit=limit, event_types=types, scope=scope))
        self._position = events[-1].position if len(events) == limit else max(head, self._position)
        return events

    def commit(self, position: int | None = None) -> int:
        """Keep the place: after everything that ``next`` gave, or after ``position``; return it. It survives a crash.

        Raises
        ------
        StoreReadOnly
            If the log is open for reading.
        """
        place = self._position if position is None else position
        if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place <= self._session.position:
            raise InvalidArgument(f"position is {place!r}", hint="Give a position of the log, 0 for its beginning.")
        journal = self._session.store.journal
        with journal.write():
            journal.execute("insert or replace into checkpoints values (?, ?)", (self.name, place))
        self._position = place
        return place
