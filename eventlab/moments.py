"""Instants, durations and bases: the only place that parses time.

An instant is an ``int`` of microseconds since 1970-01-01 UTC inside eventlab, an aware ``datetime`` outside.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import time
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from eventlab.errors import InvalidArgument

Instant = dt.datetime | dt.date | str
Moment = Instant | int
Duration = str | dt.timedelta

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
_SECOND = 1_000_000
_UNITS = {
    "us": 1,
    "ms": 1000,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
    "d": 86_400 * _SECOND,
    "w": 7 * 86_400 * _SECOND,
}
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(us|ms|s|m|h|d|w)\s*")
_BASIS = re.compile(
    r"basis:(?P<store>[0-9a-f]+):p(?P<position>[0-9]{1,19}):r(?P<registry>[0-9]{1,19}):(?P<at>-?[0-9]{1,19}|open)"
    r"(?P<corrected>:corrected)?"
)
_MACHINE = re.compile(r"localtime|posixrules|(posix|right)/.*", re.DOTALL)  # not IANA's: what a machine has set


def now() -> int:
    """Return the present instant by the machine's clock."""
    return time.time_ns() // 1000


def zone(name: str) -> ZoneInfo:
    """Return the IANA time zone of that name.

    Raises
    ------
    InvalidArgument
        If there is none.
    """
    if isinstance(name, str) and not _MACHINE.fullmatch(name):
        with contextlib.suppress(ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo(name)
    message = f"no time zone {name!r}"
    raise InvalidArgument(message, hint="Give an IANA name, like UTC or America/New_York.")


def instant(value: dt.datetime | dt.date | str, timezone: dt.tzinfo) -> int:
    """Return the instant of a datetime, a date (its midnight) or ISO 8601 text; ``timezone`` where no offset is given.

    A local time that the clocks skip is moved on by the gap; of one that comes twice, the first is meant (PEP 495).

    Raises
    ------
    InvalidArgument
        If it is none of these.
    """
    moment = value
    if isinstance(value, str):
        try:
            moment = dt.datetime.fromisoformat(value.strip())
        except ValueError:
            message = f"{value!r} is no time"
            hint = "Write ISO 8601, like 2026-03-01 or 2026-03-01T17:00:00-05:00."
            raise InvalidArgument(message, hint=hint) from None
    if isinstance(moment, dt.date) and not isinstance(moment, dt.datetime):
        moment = dt.datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - its zone is given below
    if not isinstance(moment, dt.datetime):
        message = f"{value!r} is no time"
        raise InvalidArgument(message, hint="Give a datetime, a date or ISO 8601 text.")
    try:
        aware = moment if moment.utcoffset() is not None else moment.replace(tzinfo=timezone)
        return (aware.astimezone(dt.UTC) - EPOCH) // MICROSECOND
    except OverflowError:
        message = f"{value!r} is outside the years 1 to 9999"
        raise InvalidArgument(message, hint="Instants are of the years 1 to 9999 in UTC.") from None
    except ValueError:  # pandas' NaT is a datetime that has no offset
        message = f"{value!r} is no time"
        raise InvalidArgument(message, hint="Give a datetime, a date or ISO 8601 text.") from None


def moment_of(microseconds: int, timezone: dt.tzinfo = dt.UTC) -> dt.datetime:
    """Return an instant as an aware datetime in ``timezone``; in UTC where that zone is past the years 1 to 9999."""
    moment = EPOCH + dt.timedelta(microseconds=microseconds)
    try:
        return moment.astimezone(timezone)
    except OverflowError:
        return moment


def duration(value: Duration) -> dt.timedelta:
    """Return a duration: a ``timedelta``, or text like ``"30m"``, ``"1.5h"``, ``"7d"`` (us, ms, s, m, h, d, w).

    Parts of a microsecond are cut off.

    Raises
    ------
    InvalidArgument
        If it is neither, or not above zero. A bare number is refused: nobody knows its unit.

    Examples
    --------
    >>> duration("90m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(value, dt.timedelta):
        length = value
    else:
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            message = f"{value!r} is no duration"
            hint = 'Write a number and a unit, like "30m", "2h" or "7d", or give a timedelta.'
            raise InvalidArgument(message, hint=hint)
        try:
            length = dt.timedelta(microseconds=int(Decimal(found[1]) * _UNITS[found[2]]))
        except (OverflowError, ValueError):
            message = f"{value[:60]!r} is too long"
            raise InvalidArgument(message, hint="The longest is 999999999d.") from None
    if length <= dt.timedelta():
        message = f"a duration is above zero, not {value!r}"
        raise InvalidArgument(message, hint="The shortest is 1us.")
    return length


def told(length: dt.timedelta) -> str:
    """Return a duration in words.

    Examples
    --------
    >>> told(dt.timedelta(minutes=90)), told(dt.timedelta(days=1)), told(dt.timedelta(milliseconds=1500))
    ('1 hour 30 minutes', '1 day', '1.5 seconds')
    """
    minutes, rest = divmod(length, dt.timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "day"), (hours, "hour"), (minutes, "minute"), (rest / dt.timedelta(seconds=1), "second")]
    return " ".join(f"{number:g} {unit}{'s' * (number != 1)}" for number, unit in parts if number) or "0 seconds"


@dataclass(frozen=True, slots=True)
class Basis:
    """What an answer rests on: a store, its first ``position`` events and ``registry`` definitions, a valid time.

    ``corrected``: whether an event counts as compensated from the beginning, not only from when its compensation occurred. The
    text of a basis is a token: ``log.at(token)`` gives the same rows for ever.
    """

    store: str
    position: int
    registry: int
    at: int | None
    corrected: bool = False

    def __str__(self) -> str:
        at = "open" if self.at is None else self.at
        suffix = ":corrected" if self.corrected else ""
        return f"basis:{self.store}:p{self.position}:r{self.registry}:{at}{suffix}"


def basis(text: str) -> Basis | None:
    """Return the basis that ``text`` is a token of; None if it is no token.

    Examples
    --------
    >>> basis("basis:5f3a:p12:r2:open")
    Basis(store='5f3a', position=12, registry=2, at=None, corrected=False)
    """
    found = _BASIS.fullmatch(text.strip())
    if found is None:
        return None
    at = None if found["at"] == "open" else int(found["at"])
    return Basis(found["store"], int(found["position"]), int(found["registry"]), at, found["corrected"] is not None)
