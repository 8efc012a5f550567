"""The schema registry: what the fields of each event type are, as typed columns, version by version."""

from eventlab.schemas.registry import Definition, EventType, Registry
from eventlab.schemas.statements import StateText
from eventlab.schemas.types import Field, FieldType

__all__ = ["Definition", "EventType", "Field", "FieldType", "Registry", "StateText"]
