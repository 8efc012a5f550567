"""eventlab: an append-only, provable event log in Parquet, queried with DuckDB at any moment of its past."""

from eventlab.analytics.comparisons import compare
from eventlab.analytics.steps import exclude, step
from eventlab.errors import (
    AlreadyCompensated,
    EventlabError,
    IdempotencyConflict,
    InvalidArgument,
    InvalidEvent,
    InvalidSource,
    PartialDuplicate,
    QueryError,
    SchemaIncompatible,
    SchemaInUse,
    SchemaInvalid,
    SchemaWarning,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreNotFound,
    StoreReadOnly,
    StoreTooNew,
    WrongExpectedVersion,
)
from eventlab.events import AppendResult, Event, RecordedEvent
from eventlab.log import ANY, EXISTS, EventLog, LogView, recover
from eventlab.log import open_log as open  # noqa: A004 - el.open is what users type

__version__ = "0.1.0"
__all__ = [
    "ANY",
    "EXISTS",
    "AlreadyCompensated",
    "AppendResult",
    "Event",
    "EventLog",
    "EventlabError",
    "IdempotencyConflict",
    "InvalidArgument",
    "InvalidEvent",
    "InvalidSource",
    "LogView",
    "PartialDuplicate",
    "QueryError",
    "RecordedEvent",
    "SchemaInUse",
    "SchemaIncompatible",
    "SchemaInvalid",
    "SchemaWarning",
    "StoreBusy",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreNotFound",
    "StoreReadOnly",
    "StoreTooNew",
    "WrongExpectedVersion",
    "compare",
    "exclude",
    "open",
    "recover",
    "step",
]
