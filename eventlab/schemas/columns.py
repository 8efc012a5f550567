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
    if not _is_single(event_type):
        own += f" and {_versions(event_type, column)}"
    return f"case when {own} then {_from_json(event_type.columns[column])} end"


def physical(event_type: EventType) -> dict[str, str]:
    """Return each physical column of a type with the name of its DuckDB type."""
    return {column: str(types.physical(struct)) for column, struct in event_type.columns.items()}


def latest(event_type: EventType) -> FieldType | None:
    """Return the STRUCT as which ``events`` shows a type; None if it has no fields."""
    if _is_single(event_type) and event_type.columns:
        return next(iter(event_type.columns.values()))
    return types.struct(event_type.latest.stored.items())


def from_files(event_type: EventType) -> str:
    """Return the SQL that reads a type's STRUCT from its physical columns."""
    if _is_single(event_type):
        return queries.identifier(next(iter(event_type.columns)))
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


def _is_single(event_type: EventType) -> bool:
    """Tell whether all events of a type have their fields in one physical column."""
    return len({definition.column for definition in event_type.definitions}) == 1


def _versions(event_type: EventType, column: str) -> str:
    """Return the condition that an event of a type has its fields in a physical column."""
    versions = [definition.version for definition in event_type.definitions if definition.column == column]
    return f"schema_version between {min(versions)} and {max(versions)}"


def _field(event_type: EventType, name: str, kind: FieldType) -> str:
    """Return the SQL of one field over several physical columns: as stored, widened, or read from the payload again."""
    cases = []
    for column in dict.fromkeys(definition.column for definition in event_type.definitions):
        struct = event_type.columns.get(column)
        stored = dict(struct.fields).get(name) if struct else None
        kinds = [d.kinds[name] for d in event_type.definitions if d.column == column and name in d.kinds]
        if stored == kind:
            value = f"{queries.identifier(column)}.{queries.identifier(name)}"
        elif stored is not None and {stored.kind, kind.kind} <= _NUMBERS:
            value = f"{queries.identifier(column)}.{queries.identifier(name)}::{kind}"
        elif stored is not None or any(map(types.is_vague, kinds)):  # files lack what was only known to be empty
            value = f"{_from_json(types.FieldType('STRUCT', fields=((name, kind),)))}.{queries.identifier(name)}"
        else:
            continue
        cases.append(f"when {_versions(event_type, column)} then {value}")
    return f"case {' '.join(cases)} end" if cases else f"null::{types.physical(kind)}"
