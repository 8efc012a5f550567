"""A log or a view of it, as the notebook needs to know it: its store, its scope and what is defined in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventlab.log import EventLog, LogView

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from eventlab.schemas import Registry
    from eventlab.session import Scope, Session

Readable = EventLog | LogView


@dataclass(frozen=True, slots=True)
class Rooms:
    """The rooms behind a log or a view that is open."""

    session: Session
    scope: Scope
    registry: Registry

    @property
    def path(self) -> Path:
        """The store's folder."""
        return self.session.store.layout.path

    @property
    def zone(self) -> dt.tzinfo:
        """The log's time zone."""
        return self.session.store.zone

    @property
    def timezone(self) -> str:
        """The name of the log's time zone."""
        return self.session.store.layout.timezone

    @property
    def read_only(self) -> bool:
        """Whether it is open for reading alone."""
        return self.session.store.read_only


def rooms(readable: Readable) -> Rooms:
    """Return what is behind a log or a view; it must be open."""
    session, scope = readable._session, readable._scope  # noqa: SLF001 - the façade shows its users less
    return Rooms(session, scope, readable._registry or session.store.registry(session.store.journal.state().registry))  # noqa: SLF001 - as above
