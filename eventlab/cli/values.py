"""Values as text and as JSON: exact, and harmless to a terminal."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import re
import uuid
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    import msgspec
    import pyarrow as pa

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_FOREVER = {2**63 - 1: "infinity", -(2**63) + 1: "-infinity", 2**31 - 1: "infinity", -(2**31) + 1: "-infinity"}
_WORDS = {None: "NULL", True: "true", False: "false"}


def values(array: pa.Array) -> list[Any]:
    """Return an Arrow array as values that have a JSON form."""
    import pyarrow.types as kinds  # noqa: PLC0415

    kind = array.type
    if kinds.is_timestamp(kind) and kind.unit == "ns":
        return [text and text.replace(" ", "T", 1) for text in array.cast("string").to_pylist()]
    if kinds.is_interval(kind):
        return [span and interval(*span) for span in array.to_pylist()]
    if kinds.is_decimal(kind) and kind.scale == 0:  # a HUGEINT
        return [number if number is None else int(number) for number in array.to_pylist()]
    if kinds.is_map(kind):
        return [pairs if pairs is None else keyed(pairs) for pairs in array.to_pylist()]
    try:
        return list(array.to_pylist())
    except (OverflowError, ValueError):  # a time that Python's years do not reach
        return [eternal(scalar) for scalar in array]


def keyed(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    """Return a MAP's pairs as an object; its keys become text."""
    return {key if isinstance(key, str) else told(key, "T"): value for key, value in pairs}


def eternal(scalar: pa.Scalar) -> object:
    """Return a value that Python may not have: the infinities, and years after 9999, are text."""
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        return _FOREVER.get(scalar.value) or str(scalar.cast("string"))


def interval(months: int, days: int, nanoseconds: int) -> str:
    """Return an interval as ISO 8601.

    Examples
    --------
    >>> interval(1, 2, 10_800_000_000_000), interval(0, 0, 500_000_000)
    ('P1M2DT10800S', 'PT0.5S')
    """
    seconds = (Decimal(nanoseconds) / 1_000_000_000).normalize()
    time = f"T{seconds:f}S" if nanoseconds else ""
    date = (f"{months}M" if months else "") + (f"{days}D" if days else "")
    return f"P{date}{time}" if date or time else "PT0S"


def told(value: object, separator: str = " ") -> str:
    """Return a value as plain text: every digit, ISO 8601, JSON for what is nested."""
    match value:
        case str():
            return value
        case None | bool():
            return _WORDS[value]
        case Decimal():
            return f"{value:f}"
        case dt.datetime():
            return value.isoformat(separator)
        case int() | float() | dt.date() | dt.time() | Path() | uuid.UUID():
            return str(value)
    text = encoded(value).decode()
    return text[1:-1] if text.startswith('"') else text


def encoded(value: object) -> bytes:
    """Return JSON: decimals as numbers with all of their digits, instants as ISO 8601, bytes as Base64."""
    return _encoder().encode(value)


@functools.cache
def _encoder() -> msgspec.json.Encoder:
    """Return the encoder of all JSON that is printed."""
    import msgspec  # noqa: PLC0415

    return msgspec.json.Encoder(enc_hook=str, decimal_format="number")


def distinct(names: Iterable[str]) -> list[str]:
    """Return column names of which no two are the same.

    Examples
    --------
    >>> distinct(["a", "b", "a", "a_1"])
    ['a', 'b', 'a_1', 'a_1_1']
    """
    seen: list[str] = []
    for name in names:
        free = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(1)))
        seen.append(next(candidate for candidate in free if candidate not in seen))
    return seen


def printable(text: str) -> str:
    r"""Return text in which nothing moves a terminal's cursor, colours or direction.

    Examples
    --------
    >>> printable("two\nlines and \x1b[31mred")
    'two\\nlines and \\x1b[31mred'
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> counted(1, "row"), counted(1234, "row")
    ('1 row', '1,234 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def span(first: int | None, last: int | None) -> str:
    """Return where events went, to be put after how many there are.

    Examples
    --------
    >>> span(4, 4), span(4, 1234), span(None, None)
    (', position 4', ', positions 4 to 1,234', '')
    """
    if first is None or last is None:
        return ""
    return f", position {first:,}" if first == last else f", positions {first:,} to {last:,}"
