"""Whether the values of a payload fit the types of its fields.

A check takes a value and returns the reason why it does not fit, or None. Checks are made once per definition and run
for each appended event.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from eventlab.schemas import types

if TYPE_CHECKING:
    from eventlab.schemas.types import Field, FieldType

Check = Callable[[object], str | None]
ADDED = "a field that its type does not have"

_TIMES = {
    "DATE": re.compile(r"\d{4}-\d\d-\d\d"),
    "TIME": re.compile(r"\d\d:\d\d:\d\d(\.\d{1,6})?"),
    "TIMESTAMP": re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?"),
    "TIMESTAMPTZ": re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?(Z|[+-]\d\d(:?\d\d)?)?"),
}
_READ: dict[str, Callable[[str], object]] = {
    "DATE": dt.date.fromisoformat,
    "TIME": dt.time.fromisoformat,
    "TIMESTAMP": dt.datetime.fromisoformat,
    "TIMESTAMPTZ": dt.datetime.fromisoformat,
}
_OBJECT: dict[str, Callable[[object], bool]] = {
    "DATE": lambda value: isinstance(value, dt.date) and not isinstance(value, dt.datetime),
    "TIME": lambda value: isinstance(value, dt.time),
    "TIMESTAMP": lambda value: isinstance(value, dt.datetime) and value.utcoffset() is None,
    "TIMESTAMPTZ": lambda value: isinstance(value, dt.datetime),
}


def check(kind: FieldType, *, closed: bool) -> Check:  # noqa: PLR0911 - one line a kind
    """Return the check of a type. ``closed``: a key that a STRUCT does not have does not fit (types are inferred)."""
    if kind.kind in types.INTEGERS:
        return _integers(types.INTEGERS[kind.kind])
    match kind.kind:
        case "NULL":
            return lambda value: None if value is None else "a value where there was none before"
        case "JSON":
            return lambda _: None
        case "BOOLEAN":
            return _booleans
        case "FLOAT" | "DOUBLE":
            return _floats
        case "DECIMAL":
            return _decimals(kind)
        case "UUID":
            return _uuids
        case "ENUM":
            return _enums(kind.values)
        case "STRUCT":
            return checks(dict(kind.fields), closed=closed)
        case "LIST" if kind.item:
            return _lists(check(kind.item, closed=closed))
        case "MAP" if kind.item:
            return _maps(check(kind.item, closed=closed))
    return _times(kind.kind) if kind.kind in _TIMES else _texts


def checks(kinds: Mapping[str, FieldType], *, closed: bool) -> Check:
    """Return the check of an object with fields of those types."""
    known = {name: check(kind, closed=closed) for name, kind in kinds.items()}

    def fits(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            return "not an object"
        for name, item in value.items():
            if item is None and name in known:
                continue
            found = known.get(name)
            if found is None:
                if closed:
                    return f"{name}: {ADDED}"
                continue
            reason = found(item)
            if reason is not None:
                return f"{name}: {reason}"
        return None

    return fits


def missing(fields: Mapping[str, Field]) -> tuple[str, ...]:
    """Return the names of the fields that an event must have."""
    return tuple(name for name, field in fields.items() if field.required)


def _shown(value: object) -> str:
    """Return a value as an error shows it: short."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004 - a line's worth


def _booleans(value: object) -> str | None:
    return None if value is None or value.__class__ is bool else f"{_shown(value)} is no BOOLEAN"


def _floats(value: object) -> str | None:
    return None if value is None or value.__class__ in (float, int, Decimal) else f"{_shown(value)} is no number"


def _texts(value: object) -> str | None:
    if value is None or value.__class__ is str or isinstance(value, (dt.date, dt.time, uuid.UUID, bytes)):
        return None
    return f"{_shown(value)} is no text"


def _uuids(value: object) -> str | None:
    if value is None or isinstance(value, uuid.UUID):
        return None
    try:
        fits = isinstance(value, str) and str(uuid.UUID(value)) == value.lower()
    except ValueError:
        fits = False
    return None if fits else f"{_shown(value)} is no UUID"


def _integers(bits: int) -> Check:
    """Return the check of an integer type; unsigned where ``bits`` is negative."""
    low, high = (0, 2**-bits) if bits < 0 else (-(2 ** (bits - 1)), 2 ** (bits - 1))

    def fits(value: object) -> str | None:
        if value is None:
            return None
        if value.__class__ is not int:
            return f"{_shown(value)} is no integer"
        return None if low <= value < high else f"{value} is not in {low} to {high - 1}"  # type: ignore[operator]

    return fits


def _decimals(kind: FieldType) -> Check:
    """Return the check of a DECIMAL: a number, or text that is one, with no more digits than it has."""

    def fits(value: object) -> str | None:
        if value is None:
            return None
        try:
            number = value if isinstance(value, Decimal) else Decimal(_number(value))
        except InvalidOperation:
            return f"{_shown(value)} is no number"
        if not number.is_finite():
            return f"{_shown(value)} is no number"
        whole, scale = types.digits(number.normalize())
        if whole <= kind.precision - kind.scale and scale <= kind.scale:
            return None
        return f"{value} has more digits than {kind}"

    return fits


def _number(value: object) -> str:
    """Return a number, or text that should be one, as text; anything else as text that is none."""
    if value.__class__ in (int, float):
        return repr(value)
    return value if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value) else "no number"


def _enums(values: tuple[str, ...]) -> Check:
    """Return the check that a text is one of ``values``."""
    known = frozenset(values)
    return lambda value: None if value is None or value in known else f"{_shown(value)} is none of {', '.join(values)}"


def _times(kind: str) -> Check:
    """Return the check of a date, time or instant: an object of the class, or ISO text."""
    is_one, pattern, read = _OBJECT[kind], _TIMES[kind], _READ[kind]

    def fits(value: object) -> str | None:
        if value is None or is_one(value):
            return None
        if isinstance(value, str) and pattern.fullmatch(value):
            try:
                read(value)
            except ValueError:
                return f"{_shown(value)} is no {kind}"
            return None
        return f"{_shown(value)} is no {kind} in ISO 8601"

    return fits


def _lists(item: Check) -> Check:
    """Return the check of a list whose items fit ``item``."""

    def fits(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, (list, tuple)):
            return f"{_shown(value)} is no list"
        return next((f"[{i}]: {reason}" for i, part in enumerate(value) if (reason := item(part)) is not None), None)

    return fits


def _maps(item: Check) -> Check:
    """Return the check of an object whose values fit ``item``."""

    def fits(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            return f"{_shown(value)} is no object"
        return next((f"{k}: {reason}" for k, part in value.items() if (reason := item(part)) is not None), None)

    return fits
