"""The SQL of typed columns: how a payload becomes one, and how the columns of a type are read as its latest fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.schemas import types

if TYPE_CHECKING:
    from eventlab.schemas.registry import EventType
    from eventlab.schemas.types import FieldType

_NUMBERS = {*types.INTEGERS, "DOUBLE", "FLOAT", "DECIMAL"}


def parsed(event_type: EventType, column: str) -> str:
    """Return the SQL that makes one physical column of a type of ``payload``; NULL on the rows of others."""
    own = f"event_type = {queries.literal(event_type.name)}"
    if len(event_type.columns) > 1:
        versions = [d.version for d in event_type.definitions if d.column == column]
        own += f" and schema_version between {min(versions)} and {max(versions)}"
    return f"case when {own} then {_from_json(event_type.columns[column])} end"


def physical(event_type: EventType) -> dict[str, str]:
    """Return each physical column of a type with the name of its DuckDB type."""
    return {column: str(types.physical(struct)) for column, struct in event_type.columns.items()}


def latest(event_type: EventType) -> FieldType | None:
    """Return the STRUCT as which ``events`` shows a type; None if it has no fields."""
    if len(event_type.columns) == 1:
        return next(iter(event_type.columns.values()))
    return types.struct(event_type.latest.stored.items())


def from_files(event_type: EventType) -> str:
    """Return the SQL that reads a type's STRUCT from its physical columns."""
    columns = event_type.columns
    if len(columns) == 1:
        return queries.identifier(next(iter(columns)))
    fields = ", ".join(
        f"{queries.identifier(name)} := {_field(event_type, name, kind)}"
        for name, kind in event_type.latest.stored.items()
    )
    return f"case when event_type = {queries.literal(event_type.name)} then struct_pack({fields}) end"


def _from_json(struct: FieldType) -> str:
    """Return the SQL that reads ``payload`` as a STRUCT as files have it."""
    text = f"from_json(payload, {queries.literal(types.structure(dict(struct.fields)))})"
    physical = types.physical(struct)
    return text if physical == struct else f"{text}::{physical}"


def _field(event_type: EventType, name: str, kind: FieldType) -> str:
    """Return the SQL of one field over several physical columns: as stored, widened, or read from the payload again."""
    cases = []
    for column, struct in event_type.columns.items():
        stored = dict(struct.fields).get(name)
        if stored is None:
            continue
        value = f"{queries.identifier(column)}.{queries.identifier(name)}"
        if stored != kind and {stored.kind, kind.kind} <= _NUMBERS:
            value = f"{value}::{kind}"  # a number is the same number in the wider type
        elif stored != kind:
            value = f"{_from_json(types.FieldType('STRUCT', fields=((name, kind),)))}.{queries.identifier(name)}"
        cases.append(f"when {queries.identifier(column)} is not null then {value}")
    return f"case {' '.join(cases)} end" if cases else f"null::{types.physical(kind)}"
