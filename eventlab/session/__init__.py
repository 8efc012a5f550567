"""The DuckDB session: SQL over the log, its tail and its lake, at any moment; and reading event by event."""

from eventlab.session.relations import Scope
from eventlab.session.sessions import Session
from eventlab.session.subscriptions import Subscription

__all__ = ["Scope", "Session", "Subscription"]
