"""eventlab: an append-only, provable event log in Parquet, queried with DuckDB at any moment of its past."""

import importlib
from typing import TYPE_CHECKING

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
from eventlab.reports.figures import figure

if TYPE_CHECKING:
    from eventlab.jupyter.machines import TimeMachine
    from eventlab.reports.renders import report
    from eventlab.reports.verifications import verify as verify_report

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
    "TimeMachine",
    "WrongExpectedVersion",
    "compare",
    "exclude",
    "figure",
    "open",
    "recover",
    "report",
    "step",
    "verify_report",
]

_LATER = {  # loaded only when asked for: they bring Altair, or the notebook's machinery
    "TimeMachine": ("eventlab.jupyter.machines", "TimeMachine"),
    "report": ("eventlab.reports.renders", "report"),
    "verify_report": ("eventlab.reports.verifications", "verify"),
}


def __getattr__(name: str) -> object:
    """Return what is loaded only when it is asked for."""
    if name in _LATER:
        module, attribute = _LATER[name]
        return getattr(importlib.import_module(module), attribute)
    raise AttributeError(f"module 'eventlab' has no attribute {name!r}")


def load_ipython_extension(shell: object) -> None:
    """Give an IPython shell the magics: ``%load_ext eventlab``."""
    from eventlab import jupyter  # noqa: PLC0415 - so that import eventlab stays light

    jupyter.load_ipython_extension(shell)  # type: ignore[arg-type]  # IPython's shell, which is not loaded here


def unload_ipython_extension(shell: object) -> None:
    """Take the magics away again: ``%unload_ext eventlab``."""
    from eventlab import jupyter  # noqa: PLC0415 - as above

    jupyter.unload_ipython_extension(shell)  # type: ignore[arg-type]  # as above
