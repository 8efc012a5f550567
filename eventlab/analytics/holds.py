"""Holds: properties that all steps of a funnel share, such as the order that they are about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.analytics.steps import ENVELOPE
from eventlab.errors import InvalidArgument, unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.analytics.questions import Question
    from eventlab.schemas import EventType


def named(hold: object) -> tuple[str, ...]:
    """Return the properties that are given as one name or several; none if it is None.

    Raises
    ------
    InvalidArgument
        If it is neither.
    """
    if hold is None:
        return ()
    names = (hold,) if isinstance(hold, str) else tuple(hold) if isinstance(hold, Iterable) else ()
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidArgument(f"hold is {hold!r}", hint='Give the properties that all steps share: hold=["order_id"].')
    return names


def held(question: Question, names: Sequence[str], events: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the SQL over ``events`` of properties; NULL where an event has none.

    Parameters
    ----------
    events, others
        The event types that must have them, those of the steps in their order, and those that may.

    Raises
    ------
    InvalidArgument
        If a step lacks one (with the fields that come near).
    """
    return [_held(question, name, events, others) for name in names]


def holding(question: Question, names: Sequence[str], events: Iterable[str]) -> list[str]:
    """Return those of event types that have all of the properties."""
    known = [question.registry.get(event) for event in dict.fromkeys(events)]
    return [one.name for one in known if one is not None and all(_property(one, name) for name in names)]


def _held(question: Question, name: str, events: Sequence[str], others: Sequence[str]) -> str:
    values = {}
    for number, event in enumerate(events, start=1):
        known = question.event(event)
        if known is None:  # in a log without events
            continue
        value = _property(known, name)
        if value is None:
            message, hint, _ = unknown("field", name, known.latest.stored)
            raise InvalidArgument(f"hold: step {number}, {event!r}, has {message}", hint=hint)
        values[event] = value
    for event in others:
        known = question.event(event)
        if known is not None and (value := _property(known, name)) is not None:
            values[event] = value
    whens = " ".join(f"when {queries.literal(event)} then {value}" for event, value in values.items())
    return f"case event_type {whens} end" if whens else "null"


def _property(known: EventType, name: str) -> str | None:
    """Return the SQL over ``events`` of a property of an event type: a field, or a column that all events have."""
    found = {field.lower(): field for field in known.latest.stored}.get(name.lower())
    if found is not None:
        return f"{queries.identifier(known.name)}.{queries.identifier(found)}"
    return queries.identifier(name.lower()) if name.lower() in ENVELOPE else None
