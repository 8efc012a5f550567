"""The errors that eventlab raises on purpose.

Every one says what is wrong, where, what was expected, and carries the fix in ``.hint``::

    EventlabError
    ├── InvalidEvent (ValueError)            an event or one of its fields cannot be recorded
    ├── InvalidArgument (ValueError)         an option or a name is not of its form
    ├── InvalidSource (ValueError)           a source of a bulk load cannot be read or mapped
    ├── WrongExpectedVersion                 .failures: every violated expectation
    ├── IdempotencyConflict                  a known event id with other content
    ├── PartialDuplicate                     some of the event ids are known, some are new
    ├── AlreadyCompensated                   .event_id, .by: an event is undone once
    ├── SchemaInvalid (ValueError)           a schema that is none, or says what a type cannot be
    ├── SchemaIncompatible (ValueError)      .issues: a definition that clashes with an earlier version
    ├── SchemaInUse (ValueError)             .states: a definition without a field that states use
    ├── QueryError (ValueError)              .place, .matches
    ├── ReportError (RuntimeError)           something around a log could not be made
    └── StoreError (OSError)
        ├── StoreNotFound (FileNotFoundError)
        ├── StoreReadOnly (PermissionError)
        ├── StoreBusy (TimeoutError)         another process holds the store's lock for too long
        ├── StoreFull                        the disk took no more
        ├── StoreTooNew                      written by a later version of eventlab
        └── StoreCorrupt                     a file of the store is missing or damaged

    SchemaWarning (UserWarning)              recorded all the same, though it does not keep its contract
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class EventlabError(Exception):
    """The base of all errors of eventlab: a message, a ``code`` for programs and a ``hint`` with the fix."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Cross processes whole: a worker's error is raised by its parent, with all of its facts."""
        return _restored, (type(self), self.args), vars(self)


def _restored(kind: type[EventlabError], args: tuple[object, ...]) -> EventlabError:
    """Return an error without its facts, which are restored next; only they would satisfy ``__init__``."""
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class InvalidEvent(EventlabError, ValueError):
    """An event, or one of its fields, cannot be recorded; nothing was written."""

    code = "invalid_event"


class InvalidArgument(EventlabError, ValueError):
    """An option, a name or a moment is not of its form."""

    code = "invalid_argument"


class InvalidSource(EventlabError, ValueError):
    """A source of a bulk load cannot be read or mapped; nothing was loaded."""

    code = "invalid_source"


@dataclass(frozen=True, slots=True)
class Failure:
    """One violated expectation: the stream, the version that was expected and the one it has."""

    stream: str
    expected: int | str
    actual: int

    def __str__(self) -> str:
        return f"stream {self.stream!r} is at version {self.actual}, expected {self.expected}"


class WrongExpectedVersion(EventlabError):
    """One or more streams are not at the version that the writer expected; nothing was written."""

    code = "wrong_expected_version"

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = list(failures)
        super().__init__(
            "; ".join(map(str, self.failures)),
            hint="Read the stream again, decide again, and append with the version that you saw.",
        )


class IdempotencyConflict(EventlabError):
    """An event id that is in the log already came again with other content; nothing was written."""

    code = "idempotency_conflict"

    def __init__(self, message: str, *, event_ids: Sequence[str]) -> None:
        self.event_ids = list(event_ids)
        super().__init__(message, hint="Give a new fact a new event_id, or leave event_id out.")


class PartialDuplicate(EventlabError):
    """Some of the event ids of one append are in the log already and some are not; nothing was written."""

    code = "partial_duplicate"

    def __init__(self, *, known: Sequence[str], new: Sequence[str]) -> None:
        self.known, self.new = list(known), list(new)
        super().__init__(
            f"{len(self.known)} of {len(self.known) + len(self.new)} event ids are in the log already: "
            f"{', '.join(self.known[:5])}",
            hint="Retry exactly the append that was sent before, or send the new events alone.",
        )


class AlreadyCompensated(EventlabError):
    """An event that another one has undone already: ``by`` is the id of the first that did, ``position`` where it is."""

    code = "already_compensated"

    def __init__(self, event_id: str, *, by: str, position: int) -> None:
        self.event_id, self.by, self.position = event_id, by, position
        super().__init__(
            f"event {event_id!r} is compensated already, by {by!r} at position {position}",
            hint="An event is undone once; record what else has happened as an event of its own.",
        )


class SchemaInvalid(EventlabError, ValueError):
    """A schema that is not valid JSON Schema, or says what an event type cannot be; nothing was defined."""

    code = "schema_invalid"


class SchemaIncompatible(EventlabError, ValueError):
    """A definition that clashes with an earlier version of its type; nothing was defined. ``issues`` has every clash."""

    code = "schema_incompatible"

    def __init__(self, message: str, *, hint: str = "", issues: Sequence[Any] = ()) -> None:
        self.issues = list(issues)
        super().__init__(message, hint=hint)


class SchemaInUse(EventlabError, ValueError):
    """A definition without a field that states use; nothing was defined. ``states`` has their names."""

    code = "schema_in_use"

    def __init__(self, message: str, *, hint: str = "", states: Sequence[str] = ()) -> None:
        self.states = list(states)
        super().__init__(message, hint=hint)


class SchemaWarning(UserWarning):
    """Events that do not keep the contract of their type were recorded all the same: the type's validation is "warn"."""


class QueryError(EventlabError, ValueError):
    """A query that cannot be run. ``place`` is where in the text, ``matches`` the names that come near."""

    code = "query_error"

    def __init__(self, message: str, *, hint: str = "", place: str = "", matches: Sequence[str] = ()) -> None:
        self.place = place
        self.matches = list(matches)
        super().__init__(message, hint=hint)


class ReportError(EventlabError, RuntimeError):
    """Something that is made from a log (a page, a chart) could not be made."""

    code = "report_error"


class StoreError(EventlabError, OSError):
    """The store as a whole cannot be used."""

    code = "store_error"


class StoreNotFound(StoreError, FileNotFoundError):
    """There is no store at that path."""

    code = "store_not_found"


class StoreReadOnly(StoreError, PermissionError):
    """A write to a store that is open, or can only be opened, for reading."""

    code = "store_read_only"


class StoreBusy(StoreError, TimeoutError):
    """Another process kept the store's write lock for longer than this one may wait."""

    code = "store_busy"


class StoreFull(StoreError):
    """The disk takes no more; what was acknowledged before is safe, the refused write is not there."""

    code = "store_full"


class StoreTooNew(StoreError):
    """The store was written by a later version of eventlab, in a format that this one does not know."""

    code = "store_too_new"


class StoreCorrupt(StoreError):
    """A file of the store is missing or damaged."""

    code = "store_corrupt"


def near(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that a person may have meant by ``name``, nearest first."""
    lowered = {candidate.lower(): candidate for candidate in known}
    return [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)]


def unknown(kind: str, name: str, known: Iterable[str]) -> tuple[str, str, list[str]]:
    """Return message, hint and near matches for a name that does not exist among ``known``."""
    names = sorted(known)
    matches = near(name, names)
    guess = f" Did you mean {matches[0]!r}?" if matches else ""
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")  # noqa: PLR2004 - a line's worth
    return f"no {kind} {name!r}.{guess}", f"There are: {listed}" if names else f"There is no {kind} yet.", matches
