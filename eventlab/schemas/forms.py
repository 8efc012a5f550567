"""One version of an event type's schema, in each of the forms in which a person may want it."""

from __future__ import annotations

import copy
import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from eventlab import moments
from eventlab.schemas import documents, models, properties

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from eventlab.schemas.types import Field, FieldType

_ARROW = {
    "NULL": pa.null(),
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "UTINYINT": pa.uint8(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "UBIGINT": pa.uint64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": pa.timestamp("us"),
    "ENUM": pa.dictionary(pa.int32(), pa.string()),
}  # text else: VARCHAR, UUID and JSON, as DuckDB hands them on


class Defined(Protocol):
    """What a version is made of: a definition of the registry."""

    @property
    def event_type(self) -> str:
        """The name of the type."""

    @property
    def version(self) -> int:
        """The number of the version, from 1."""

    @property
    def origin(self) -> str:
        """``"defined"`` or ``"inferred"``."""

    @property
    def recorded_at(self) -> int:
        """When it was defined, in microseconds since 1970."""

    @property
    def compatibility(self) -> str:
        """The mode by which the next version is checked."""

    @property
    def validation(self) -> str:
        """What becomes of an event that does not fit."""

    @property
    def upcast(self) -> dict[str, str] | str | None:
        """How the fields of the version before become these."""

    @property
    def schema(self) -> dict[str, Any]:
        """The contract."""


@dataclass(frozen=True, repr=False)
class SchemaVersion:
    """One version of the schema of an event type.

    Attributes
    ----------
    version
        From 1; ``versions`` has them all.
    origin
        ``"defined"`` by a person, or ``"inferred"`` from events.
    recorded_at
        When it was defined, in the log's zone.
    compatibility
        The mode by which the next version is checked, like ``"BACKWARD"``.
    validation
        ``"enforce"``, ``"warn"`` or ``"off"``: what becomes of an event that does not fit.
    upcast
        How the fields of the version before become these; None where fields of the same name carry over.
    """

    event_type: str
    version: int
    origin: str
    recorded_at: dt.datetime
    compatibility: str
    validation: str
    upcast: dict[str, str] | str | None
    _contract: dict[str, Any]
    _definitions: Sequence[Defined] = field(compare=False)
    _zone: dt.tzinfo

    @classmethod
    def of(cls, definition: Defined, definitions: Sequence[Defined] = (), *, zone: dt.tzinfo) -> SchemaVersion:
        """Return the version that a definition of the registry makes.

        Parameters
        ----------
        definitions
            All definitions of the type, oldest first; this one alone by default.
        zone
            The log's zone.
        """
        return cls(
            event_type=definition.event_type,
            version=definition.version,
            origin=definition.origin,
            recorded_at=moments.moment_of(definition.recorded_at, zone),
            compatibility=definition.compatibility,
            validation=definition.validation,
            upcast=copy.copy(definition.upcast),
            _contract=definition.schema,
            _definitions=tuple(definitions) or (definition,),
            _zone=zone,
        )

    @property
    def versions(self) -> list[SchemaVersion]:
        """Every version of the type, oldest first, this one among them."""
        return [SchemaVersion.of(found, self._definitions, zone=self._zone) for found in self._definitions]

    @property
    def json_schema(self) -> dict[str, Any]:
        """The schema as JSON Schema 2020-12: all that it says. A copy, to edit and define."""
        return {"$schema": documents.DIALECT, **copy.deepcopy(self._contract)}

    @property
    def duckdb(self) -> dict[str, str]:
        """The typed columns as a dict of DuckDB types, NOT NULL where a field is required."""
        return {name: str(field) for name, field in self._fields.items()}

    @property
    def arrow(self) -> pa.Schema:
        """The typed columns as an Arrow schema; instants in the log's zone."""
        zone = str(self._zone)
        fields = [pa.field(n, _arrow(f.type, zone), nullable=not f.required) for n, f in self._fields.items()]
        return pa.schema(fields)

    def dataclass(self) -> type[Any]:
        """Return the typed columns as a new dataclass, whose arguments are given by name.

        Raises
        ------
        SchemaInvalid
            If a field has a name that Python does not allow.
        """
        return models.as_dataclass(self.event_type, self._fields)

    def msgspec(self) -> type[Any]:
        """Return the typed columns as a new msgspec Struct; one that Python cannot name is renamed, not in JSON."""
        return models.as_struct(self.event_type, self._fields)

    def pydantic(self) -> type[Any]:
        """Return the typed columns as a new pydantic model; a name that Python does not allow is an alias.

        Raises
        ------
        SchemaInvalid
            If pydantic is not installed.
        """
        return models.as_model(self.event_type, self._fields)

    @property
    def _fields(self) -> dict[str, Field]:
        """The typed columns."""
        return properties.fields(self._contract)

    def __str__(self) -> str:
        width = max(map(len, self.duckdb), default=0)
        return "\n".join([self._title, *(f"  {name:<{width}}  {text}" for name, text in self.duckdb.items())])

    def __repr__(self) -> str:
        fields = ", ".join(f"{name} {text}" for name, text in self.duckdb.items())
        return f"<{self.event_type} v{self.version}: {_short(fields) or 'no fields'}>"

    def _repr_html_(self) -> str:
        """Return the version as a small table for a notebook."""
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td><code>{html.escape(_short(text))}</code></td></tr>"
            for name, text in self.duckdb.items()
        )
        return f"<table><caption>{html.escape(self._title)}</caption><tbody>{rows}</tbody></table>"

    @property
    def _title(self) -> str:
        """The version in a line."""
        upcast = "" if self.upcast is None else ", upcast from the version before"
        when = f"{self.recorded_at:%Y-%m-%d %H:%M}"
        return (
            f"{self.event_type} v{self.version}, {self.origin} {when}: "
            f"{self.compatibility}, validation {self.validation}{upcast}"
        )


def _arrow(kind: FieldType, zone: str) -> pa.DataType:
    """Return a type as Arrow has it."""
    match kind.kind:
        case "TIMESTAMPTZ":
            return pa.timestamp("us", tz=zone)
        case "DECIMAL":
            return pa.decimal128(kind.precision, kind.scale)
        case "STRUCT":
            return pa.struct([pa.field(name, _arrow(child, zone)) for name, child in kind.fields])
        case "LIST" if kind.item:
            return pa.list_(_arrow(kind.item, zone))
        case "MAP" if kind.item:
            return pa.map_(pa.string(), _arrow(kind.item, zone))
    return _ARROW.get(kind.kind, pa.string())


def _short(text: str) -> str:
    """Return text of one line's worth."""
    return text if len(text) <= 120 else text[:117] + "…"  # noqa: PLR2004 - a line's worth
