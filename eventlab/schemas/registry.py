"""The registry: every definition of every event type, in the order in which they came.

A definition is an immutable document. The typed column of a type is physical: it goes on while its STRUCT only grows,
and a second one (``OrderPlaced__2``) begins where a field's stored type changes, so that no file is ever rewritten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from eventlab import events
from eventlab.displays import Displayed
from eventlab.errors import InvalidEvent
from eventlab.events import COLUMNS, named
from eventlab.schemas import checks, contracts, types, validators
from eventlab.schemas.statements import StateText
from eventlab.schemas.types import Field, FieldType

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

GROUP_SIZE = 32  # types whose typed columns share files
RESERVED_RELATIONS = frozenset(
    {
        "events",
        "events_effective",
        "events_at",
        "eventlab_compensations",
        "streams",
        "event_types",
        "schema_versions",
        "tail",
        "lake",
    }
)
RESERVED_TYPES = frozenset({*COLUMNS, "category", "month", "day", "year"})
STATE_SUFFIXES = ("_at", "_history", "_diff")  # of the macros that a state makes in SQL
BACKWARD, NONE = "BACKWARD", "NONE"  # modes of compatibility: the default, and the one that asks for nothing
_ASKED = frozenset({"contract", "compatibility", "validation", "upcast"})  # in what a definition differs from another
_WIDEST_TYPE = 1000  # fields of one type beyond which further ones are kept in the payload alone


@dataclass(frozen=True)
class Definition:
    """One version of an event type.

    Attributes
    ----------
    number
        Of the type, in the order in which types came; 32 types share a group of files.
    registry_version
        Of the registry that begins with this definition.
    origin
        ``"defined"`` by a person or ``"inferred"`` from events.
    column
        The physical column that holds the typed payload.
    contract
        The JSON Schema of the payload; None where it is no more than the inferred fields.
    compatibility
        The mode by which the next definition is checked.
    validation
        ``"enforce"``, ``"warn"`` or ``"off"``: what becomes of an event that does not fit.
    upcast
        How the fields of the version before become these, as it was given: SQL by field, or ``"module:function"``; None where
        fields of the same name carry over.
    bound
        The same SQL over the columns that hold the version before (see ``columns``).
    unread
        The stored versions that cannot be read as this one.
    """

    event_type: str
    version: int
    number: int
    registry_version: int
    recorded_at: int
    origin: str
    column: str
    fields: dict[str, Field]
    contract: dict[str, Any] | None = None
    compatibility: str = BACKWARD
    validation: str = "enforce"
    upcast: dict[str, str] | str | None = None
    bound: dict[str, str] | None = None
    unread: tuple[int, ...] = ()

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the payload."""
        return self.contract if self.contract is not None else contracts.of_fields(self.fields)

    @cached_property
    def validator(self) -> checks.Check | None:
        """The check of what the contract says beyond types; None if it says no more."""
        if self.contract is None or contracts.plain(self.contract):
            return None
        return validators.validator(self.contract)

    @cached_property
    def stored(self) -> dict[str, FieldType]:
        """The fields that files hold, with the types that they hold them in."""
        return {name: kind for name, field in self.fields.items() if (kind := types.stored(field.type)) is not None}

    @cached_property
    def kinds(self) -> dict[str, FieldType]:
        """The type of each field."""
        return {name: field.type for name, field in self.fields.items()}

    @cached_property
    def fits(self) -> checks.Check:
        """The check that a payload's values fit the fields."""
        return checks.checks(self.kinds, closed=self.origin == "inferred")

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The fields that an event must have."""
        return checks.missing(self.fields)

    @cached_property
    def has_decimals(self) -> bool:
        """Whether any field is a DECIMAL, at any depth."""
        return any("DECIMAL" in str(kind) for kind in self.kinds.values())

    def refusal(self, values: dict[str, Any], text: str) -> str | None:
        """Return why a payload does not fit; None if it does. ``values``: as it was given; ``text``: as JSON."""
        return validators.reason(self, values, text)

    def decoded(self, text: str) -> dict[str, Any]:
        """Return a payload as a dict, with the numbers of DECIMAL fields as Decimal."""
        plain: dict[str, Any] = events.decoded(text)
        if not self.has_decimals:
            return plain
        exact = events.decoded_exactly(text)
        kinds = self.kinds
        return {n: exact[n] if "DECIMAL" in str(kinds.get(n, "")) else value for n, value in plain.items()}

    def document(self) -> dict[str, Any]:
        """Return the definition as the JSON document that the store keeps."""
        return {
            "event_type": self.event_type,
            "version": self.version,
            "number": self.number,
            "registry_version": self.registry_version,
            "recorded_at": self.recorded_at,
            "origin": self.origin,
            "column": self.column,
            "fields": {name: str(field) for name, field in self.fields.items()},
            **({} if self.origin == "inferred" else self._agreement()),
        }

    def _agreement(self) -> dict[str, Any]:
        """Return what a person has defined, beyond the fields."""
        return {
            "contract": self.contract,
            "compatibility": self.compatibility,
            "validation": self.validation,
            "upcast": self.upcast,
            "bound": self.bound,
            "unread": list(self.unread),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Definition:
        """Return the definition that a stored document says."""
        fields = {name: types.field(text) for name, text in document["fields"].items()}
        return cls(**{**document, "fields": fields, "unread": tuple(document.get("unread", ()))})


@dataclass(frozen=True)
class EventType(Displayed):
    """An event type with all of its definitions, oldest first."""

    name: str
    view: str
    definitions: tuple[Definition, ...]

    @property
    def latest(self) -> Definition:
        """The definition by which events are appended and read."""
        return self.definitions[-1]

    @property
    def group(self) -> int:
        """The group of types whose typed columns share files."""
        return self.latest.number // GROUP_SIZE

    @cached_property
    def upcasts(self) -> tuple[Definition, ...]:
        """The definitions that say how the version before them becomes theirs."""
        return tuple(definition for definition in self.definitions if definition.upcast is not None)

    @cached_property
    def stages(self) -> list[tuple[Definition, ...]]:
        """The definitions between two upcasts, oldest first; empty where there are none."""
        starts = [0, *(definition.version - 1 for definition in self.upcasts)]
        ends = [*starts[1:], len(self.definitions)]
        return [self.definitions[a:b] for a, b in zip(starts, ends, strict=True)] if self.upcasts else []

    @cached_property
    def whole(self) -> FieldType | None:
        """The one physical column that holds all events just as the latest definition has them; None if there is none."""
        if self.upcasts or len({definition.column for definition in self.definitions}) > 1:
            return None
        struct, stored = self.columns.get(self.latest.column), types.struct(self.latest.stored.items())
        return struct if struct and stored and types.same(struct, stored) else None

    @cached_property
    def columns(self) -> dict[str, FieldType]:
        """The physical columns, oldest first, each with the STRUCT that it has grown to."""
        grown: dict[str, FieldType] = {}
        for definition in self.definitions:
            struct = types.struct(definition.stored.items())
            if struct is not None:
                known = grown.get(definition.column)
                grown[definition.column] = types.merged(known, _overlaid(known, struct)) if known else struct
        return grown


def _overlaid(known: FieldType, new: FieldType) -> FieldType:
    """Return ``new`` with the fields of ``known`` that it has dropped, as what ``known`` grows to."""
    fields = dict(known.fields)
    for name, kind in new.fields:
        old = fields.get(name)
        fields[name] = _overlaid(old, kind) if old is not None and old.kind == kind.kind == "STRUCT" else kind
    return FieldType("STRUCT", fields=tuple(fields.items()))


Entry = Definition | StateText


class Registry:
    """The event types of a log as of one version of the registry. Immutable: a definition makes a new one."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.version = 0
        self._states: dict[str, tuple[StateText, ...]] = {}
        self._types: dict[str, EventType] = {}
        self._lowered: dict[str, str] = {}
        self._views: dict[str, str] = {}
        self._columns: set[str] = set()
        for entry in entries:
            if isinstance(entry, StateText):
                self._states[entry.state] = (*self._states.get(entry.state, ()), entry)
                self.version = entry.registry_version
            else:
                self._add(entry)

    def __iter__(self) -> Iterator[EventType]:
        """Iterate over the types in the order in which they came."""
        return iter(self._types.values())

    def __contains__(self, event_type: str) -> bool:
        return event_type in self._types

    def __getitem__(self, event_type: str) -> EventType:
        """Return a type that is known."""
        return self._types[event_type]

    def get(self, event_type: str) -> EventType | None:
        """Return a type by its name; None if it is unknown."""
        return self._types.get(event_type)

    @property
    def names(self) -> list[str]:
        """The names of all types."""
        return list(self._types)

    @property
    def views(self) -> dict[str, str]:
        """The type behind the name of each view, in lower case."""
        return self._views

    @property
    def definitions(self) -> list[Definition]:
        """Every definition, in the order in which they came."""
        found = [definition for event_type in self for definition in event_type.definitions]
        return sorted(found, key=lambda definition: definition.registry_version)

    @cached_property
    def wide(self) -> bool:
        """Whether it pays to leave typed columns out that a query does not name: of many types, or where upcasts make them."""
        return len(self._types) > GROUP_SIZE or any(event_type.upcasts for event_type in self)

    @cached_property
    def structs(self) -> frozenset[str]:
        """The names of the types, which are those of their columns, in lower case."""
        return frozenset(self._lowered)

    @cached_property
    def functions(self) -> list[tuple[Definition, Definition]]:
        """The definitions whose upcasts are Python functions, each after the one before it."""
        return [
            (event_type.definitions[definition.version - 2], definition)
            for event_type in self
            for definition in event_type.upcasts
            if isinstance(definition.upcast, str)
        ]

    def known_by(self, instant: int) -> int:
        """Return the version that the registry had at an instant."""
        return max((entry.registry_version for entry in self.entries if entry.recorded_at <= instant), default=0)

    def at(self, version: int) -> Registry:
        """Return the registry as it was at ``version``."""
        if version >= self.version:
            return self
        return Registry(entry for entry in self.entries if entry.registry_version <= version)

    def adding(self, *entries: Entry) -> Registry:
        """Return the registry with further entries."""
        return Registry([*self.entries, *entries])

    @property
    def entries(self) -> list[Entry]:
        """Every definition of a type and every text of a state, in the order in which they came."""
        texts = [text for versions in self._states.values() for text in versions]
        return sorted([*self.definitions, *texts], key=lambda entry: entry.registry_version)

    @property
    def states(self) -> dict[str, StateText]:
        """The newest text of each state that is not dropped."""
        return {name: versions[-1] for name, versions in self._states.items() if versions[-1].text is not None}

    def define_state(self, name: str, text: str | None, *, recorded_at: int) -> StateText | None:
        """Return the entry that gives a state this text (None drops it); None if it has it already.

        Raises
        ------
        InvalidEvent
            If the name is not one, or another relation has it.
        """
        versions = self._states.get(name, ())
        if (versions[-1].text if versions else None) == text:
            return None
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
            message = f"a state cannot be called {name!r}"
            raise InvalidEvent(message, hint="Give a name of lower-case letters, digits and underscores, like orders.")
        derived = {f"{name}{suffix}" for suffix in ("", *STATE_SUFFIXES)}
        others = {f"{other}{suffix}" for other in self._states if other != name for suffix in ("", *STATE_SUFFIXES)}
        taken = derived & (RESERVED_RELATIONS | set(self._views) | others)
        if taken and not versions:
            message = f"a state cannot be called {name!r}: there is a relation {min(taken)!r} already"
            raise InvalidEvent(message, hint="Choose another name.")
        return StateText(name, len(versions) + 1, self.version + 1, recorded_at, text)

    @property
    def state_relations(self) -> set[str]:
        """The names of all relations that states make in SQL."""
        return {f"{name}{suffix}" for name in self._states for suffix in ("", *STATE_SUFFIXES)}

    def define(
        self,
        event_type: str,
        fields: Mapping[str, Field],
        *,
        origin: str,
        recorded_at: int,
        **agreement: Any,  # noqa: ANN401 - the attributes of a definition
    ) -> Definition | None:
        """Return the definition that gives ``event_type`` these fields; None if it has them already.

        ``agreement``: what a person defines beyond the fields, by the names of the attributes of a definition. Whether earlier
        events can be read by it is not asked here.

        Raises
        ------
        InvalidEvent
            If the name cannot name a type, or a column of the log.
        """
        known = self._types.get(event_type)
        if known is None:
            self.check_name(event_type)
        _check_fields(event_type, fields)
        if known is not None:
            latest = known.latest
            asked = {"contract": None, "compatibility": BACKWARD, "validation": "enforce", **agreement}
            asked = {name: value for name, value in asked.items() if name in _ASKED and (name != "upcast" or value)}
            same = all(getattr(latest, name) == value for name, value in asked.items())
            if latest.fields == dict(fields) and latest.origin == origin and same:
                return None
        return Definition(
            event_type=event_type,
            version=len(known.definitions) + 1 if known else 1,
            number=known.latest.number if known else len(self._types),
            registry_version=self.version + 1,
            recorded_at=recorded_at,
            origin=origin,
            column=self._column(event_type, known, fields),
            fields=dict(fields),
            **agreement,
        )

    def check_name(self, event_type: str) -> None:
        """Raise InvalidEvent if a new type cannot have that name."""
        named("event type", event_type)
        lowered = event_type.lower()
        if lowered in RESERVED_TYPES:
            message = f"an event type cannot be called {event_type!r}: the log has a column of that name"
            raise InvalidEvent(message, hint="Name the type by what happened, like OrderPlaced.")
        other = self._lowered.get(lowered)
        if other is not None and other != event_type:
            message = f"event type {event_type!r} differs from {other!r} by case only"
            raise InvalidEvent(message, hint=f"Write {other!r}.")

    def _column(self, event_type: str, known: EventType | None, fields: Mapping[str, Field]) -> str:
        """Return the physical column of a definition: the one there is while its STRUCT only grows, else a new one."""
        if known is not None:
            struct = types.struct((name, types.stored(field.type)) for name, field in fields.items())
            column = known.latest.column
            grown = known.columns.get(column)
            cleared = any(
                types.is_vague(old.type) and name in fields and fields[name].type != old.type
                for name, old in known.latest.fields.items()
            )
            goes_on = struct is None or grown is None or types.extends(grown, _overlaid(grown, struct))
            if goes_on and not cleared:
                return column
        candidates = (event_type if n == 1 else f"{event_type}__{n}" for n in range(1, len(self._columns) + 3))
        return next(column for column in candidates if column.lower() not in self._columns)

    def _add(self, definition: Definition) -> None:
        """Take a definition in."""
        name = definition.event_type
        known = self._types.get(name)
        view = known.view if known else self._view(name)
        earlier = known.definitions if known else ()
        self._types[name] = EventType(name, view, (*earlier, definition))
        self._lowered[name.lower()] = name
        self._views[view] = name
        self._columns.add(definition.column.lower())
        self.version = definition.registry_version

    def _view(self, event_type: str) -> str:
        """Return the name of a type's view: snake case, with ``_event`` where another relation has that name."""
        view = snake_case(event_type)
        while view in self._views or view in RESERVED_RELATIONS or view in self.state_relations:
            view += "_event"
        return view


def snake_case(name: str) -> str:
    """Return a name in snake case.

    Examples
    --------
    >>> [snake_case(name) for name in ("OrderPlaced", "HTTPError", "page view!")]
    ['order_placed', 'http_error', 'page_view']
    """
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    snake = re.sub(r"\W+", "_", split.lower()).strip("_")
    return f"_{snake}" if not snake or snake[0].isdigit() else re.sub(r"__+", "_", snake)


def _check_fields(event_type: str, fields: Mapping[str, Field]) -> None:
    """Raise InvalidEvent if two fields could not be columns beside each other."""
    seen: dict[str, str] = {}
    for name in fields:
        if not isinstance(name, str) or not types.nameable(name):
            message = f"{event_type}: {name!r} cannot name a field"
            raise InvalidEvent(message, hint="The name of a field is text that is not empty.")
        other = seen.setdefault(name.lower(), name)
        if other != name:
            message = f"{event_type}: the fields {other!r} and {name!r} differ by case only"
            raise InvalidEvent(message, hint="Column names are case-insensitive; give one of them another name.")


def inferred(latest: Definition | None, kinds: Iterable[tuple[str, FieldType]]) -> dict[str, Field]:
    """Return the fields of a type as further events widen them.

    A key that cannot be a column (empty, or another key by case only) stays in the payload alone.
    """
    fields = dict(latest.fields) if latest else {}
    lowered = {name.lower(): name for name in fields}
    for name, kind in kinds:
        if lowered.setdefault(name.lower(), name) != name or not types.nameable(name):
            continue
        if name in fields:
            fields[name] = Field(types.widen(fields[name].type, kind), required=fields[name].required)
        elif len(fields) < _WIDEST_TYPE:
            fields[name] = Field(kind)
    return fields
