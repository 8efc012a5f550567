"""Whether the values of a payload fit the types of its fields.

A check takes a value and returns the reason why it does not fit, or None. Checks are made once per definition and run
for each appended event.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from eventlab.schemas import types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventlab.schemas.types import Field, FieldType

Check = Callable[[object], str | None]
ADDED = "a field that its type does not have"

_TIMES = {
    "DATE": re.compile(r"\d{4}-\d\d-\d\d", re.ASCII),
    "TIME": re.compile(r"\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII),
    "TIMESTAMP": re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?", re.ASCII),
    "TIMESTAMPTZ": re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII),
}
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_LARGEST = {"FLOAT": 3.4028234663852886e38, "DOUBLE": 1.7976931348623157e308}


def _instant(text: str) -> dt.datetime:
    """Return the instant that ISO text says, in UTC where an offset is given.

    Raises
    ------
    ValueError
        If there is none, or it is not in the years 1 to 9999.
    """
    moment = dt.datetime.fromisoformat(text)
    try:
        return moment if moment.utcoffset() is None else moment.astimezone(dt.UTC)
    except OverflowError as error:
        raise ValueError(text) from error


_READ: dict[str, Callable[[str], object]] = {
    "DATE": dt.date.fromisoformat,
    "TIME": dt.time.fromisoformat,
    "TIMESTAMP": dt.datetime.fromisoformat,
    "TIMESTAMPTZ": _instant,
}
_OBJECT: dict[str, Callable[[object], bool]] = {
    "DATE": lambda value: isinstance(value, dt.date) and not isinstance(value, dt.datetime),
    "TIME": lambda value: isinstance(value, dt.time) and value.tzinfo is None,
    "TIMESTAMP": lambda value: isinstance(value, dt.datetime) and value.utcoffset() is None,
    "TIMESTAMPTZ": lambda value: isinstance(value, dt.datetime),
}


def check(kind: FieldType, *, closed: bool) -> Check:  # noqa: C901, PLR0911 - one line a kind
    """Return the check of a type. ``closed``: a key that a STRUCT does not have does not fit (types are inferred)."""
    if kind.kind in types.INTEGERS:
        return _integers(*types.bounds(kind.kind))
    match kind.kind:
        case "NULL":
            return lambda value: None if value is None else "a value where there was none before"
        case "JSON":
            return lambda _: None
        case "BOOLEAN":
            return _booleans
        case "FLOAT" | "DOUBLE":
            return _floats(kind.kind)
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


def shown(value: object) -> str:
    """Return a value as an error shows it: short, a Decimal as the number that it is."""
    try:
        text = str(value) if isinstance(value, Decimal) else repr(value)
    except ValueError:  # Python does not write integers of more than 4300 digits
        text = "a huge integer"
    return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004 - a line's worth


def _booleans(value: object) -> str | None:
    return None if value is None or value.__class__ is bool else f"{shown(value)} is no BOOLEAN"


def _floats(kind: str) -> Check:
    """Return the check of a FLOAT or DOUBLE: a number that it rounds to a finite one."""
    largest = _LARGEST[kind]

    def fits(value: object) -> str | None:
        if value is None:
            return None
        if value.__class__ is float or value.__class__ is int or isinstance(value, Decimal):
            return None if -largest <= value <= largest else f"{shown(value)} is not in the range of {kind}"
        return f"{shown(value)} is no number"

    return fits


def _texts(value: object) -> str | None:
    if value is None or value.__class__ is str or isinstance(value, (dt.date, dt.time, uuid.UUID, bytes)):
        return None
    return f"{shown(value)} is no text"


def _uuids(value: object) -> str | None:
    if value is None or isinstance(value, uuid.UUID):
        return None
    try:
        fits = isinstance(value, str) and str(uuid.UUID(value)) == value.lower()
    except ValueError:
        fits = False
    return None if fits else f"{shown(value)} is no UUID"


def _integers(low: int, high: int) -> Check:
    """Return the check of an integer from ``low`` to ``high``, both inclusive."""

    def fits(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, int) or value.__class__ is bool:
            return f"{shown(value)} is no integer"
        return None if low <= value <= high else f"{shown(value)} is not in {low} to {high}"

    return fits


def _decimals(kind: FieldType) -> Check:
    """Return the check of a DECIMAL: a number, or text that is one, with no more digits than it has."""

    def fits(value: object) -> str | None:
        if value is None:
            return None
        try:
            number = value if isinstance(value, Decimal) else Decimal(_number(value))
        except InvalidOperation:
            return f"{shown(value)} is no number"
        if not number.is_finite():
            return f"{shown(value)} is no number"
        whole, scale = types.digits(_bare(number))
        if whole <= kind.precision - kind.scale and scale <= kind.scale:
            return None
        return f"{shown(value)} has more digits than {kind}"

    return fits


def _bare(number: Decimal) -> Decimal:
    """Return a finite number without zeros at its end; ``Decimal.normalize`` would round it to 28 digits as well."""
    sign, figures, exponent = number.as_tuple()
    end = len(figures)
    while end > 1 and figures[end - 1] == 0:
        end -= 1
    return Decimal((sign, figures[:end], int(exponent) + len(figures) - end)) if number else Decimal()


def _number(value: object) -> str:
    """Return a number, or text that should be one, as text; anything else as text that is none."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int) and value.__class__ is not bool:
        return repr(value) if abs(value) < 10**40 else "no number"  # of much more digits Python makes no text
    return value if isinstance(value, str) and _DECIMAL.fullmatch(value) else "no number"


def _enums(values: tuple[str, ...]) -> Check:
    """Return the check that a text is one of ``values``."""
    known = frozenset(values)

    def fits(value: object) -> str | None:
        if value is None or (isinstance(value, str) and value in known):
            return None
        return f"{shown(value)} is none of {', '.join(values)}"

    return fits


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
                return f"{shown(value)} is no {kind}"
            return None
        return f"{shown(value)} is no {kind} in ISO 8601"

    return fits


def _lists(item: Check) -> Check:
    """Return the check of a list whose items fit ``item``."""

    def fits(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, (list, tuple)):
            return f"{shown(value)} is no list"
        return next((f"[{i}]: {reason}" for i, part in enumerate(value) if (reason := item(part)) is not None), None)

    return fits


def _maps(item: Check) -> Check:
    """Return the check of an object whose values fit ``item``."""

    def fits(value: object) -> str | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            return f"{shown(value)} is no object"
        return next((f"{k}: {reason}" for k, part in value.items() if (reason := item(part)) is not None), None)

    return fits
