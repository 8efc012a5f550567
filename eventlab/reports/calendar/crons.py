"""Cron expressions, as times of a local clock: which instants these are is asked elsewhere."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from cronsim import CronSim, CronSimError

from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECOND = dt.timedelta(seconds=1)
_BEGUN = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - a clock's time has no zone
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_FORM = '"0 6 * * *" is 06:00 each day: minute, hour, day of month, month, day of week.'
_SHORT = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_RANGE = re.compile(r"(\w+)-(\w+)", re.ASCII)


class _Field(NamedTuple):
    name: str
    first: int
    last: int
    told: str
    names: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59, "minutes are 0-59"),
    _Field("hour", 0, 23, "hours are 0-23"),
    _Field("day of month", 1, 31, "days are 1-31, L the last"),
    _Field("month", 1, 12, "months are 1-12 or JAN-DEC", _MONTHS),
    _Field("day of week", 0, 7, "days of the week are 0-7 (0 and 7 are Sunday) or SUN-SAT, 5L the last Friday", _DAYS),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """The times of a cron expression: minute, hour, day of month, month, day of week.

    If both kinds of day are restricted, a day that is either counts, as Debian's cron has it; a field that begins with a star
    restricts with the other. cronsim is asked without a zone: with one it is wrong where clocks change by half an hour.

    Raises
    ------
    InvalidArgument
        If it is none, or never comes; the message names the field and its fix.

    Examples
    --------
    >>> next(Cron("30 6 * * MON-FRI").after(dt.datetime(2013, 2, 9))).isoformat(" ")
    '2013-02-11 06:30:00'
    """

    expression: str
    absolute: ClassVar[bool] = False

    def __post_init__(self) -> None:
        parts = self.expression.split()
        if len(parts) != len(_FIELDS):
            raise InvalidArgument(f"{self.expression!r} is no cron expression of five fields", hint=_of_form(parts))
        for field, part in enumerate(parts):
            for term in part.split(","):
                if not _is_good(field, term):
                    raise InvalidArgument(
                        f"{term[:40]!r} is no {_FIELDS[field].name}, in {self.expression[:80]!r}",
                        hint=_fix(_FIELDS[field], term),
                    )
        try:
            next(self.after(_BEGUN))
        except (CronSimError, StopIteration):
            raise InvalidArgument(
                f"{self.expression!r} never comes: no such month has that day",
                hint="Write L for the last day of a month: 0 0 L 2 *.",
            ) from None

    @property
    def daily(self) -> bool:
        """Whether no local date has two of the times."""
        read = CronSim(self.expression, _BEGUN)
        return len(read.minutes) == len(read.hours) == 1

    def after(self, local: dt.datetime) -> Iterator[dt.datetime]:
        """Yield the times after ``local``, which is exclusive, for ever."""
        return iter(CronSim(self.expression, local))

    def before(self, local: dt.datetime) -> Iterator[dt.datetime]:
        """Yield the times before ``local``, which is inclusive, latest first."""
        return iter(CronSim(self.expression, local.replace(microsecond=0) + _SECOND, reverse=True))


def _is_good(field: int, term: str) -> bool:
    """Tell whether a term is one of that field, the others being any."""
    parts = ["*"] * len(_FIELDS)
    parts[field] = term
    try:
        CronSim(" ".join(parts), _BEGUN)
    except (CronSimError, ValueError):  # of a number with thousands of digits
        return False
    return True


def _of_form(parts: list[str]) -> str:
    """Return the fix of an expression that has not five fields."""
    if parts and parts[0].lower() in _SHORT:
        return f'Write "{_SHORT[parts[0].lower()]}".'
    if len(parts) == len(_FIELDS) + 1:
        return f'Leave out the seconds: "{" ".join(parts[1:])}".'
    return _FORM


def _fix(field: _Field, term: str) -> str:
    """Return the fix of a term that is none of its field."""
    told = f"{field.told[0].upper()}{field.told[1:]}; lists 1,2, ranges 1-5 and steps */2 are good too."
    if term == "?":
        return "Write * for any."
    if term.endswith("/0"):
        return f"A step is at least 1. {told}"
    found = _RANGE.fullmatch(term.upper())
    if found:
        begun, ended = (_number(field, end) for end in found.groups())
        if begun is not None and ended is not None and begun > ended:
            last = field.last - (field.names == _DAYS)  # Sunday is 0 already
            return f"A range goes upwards: write {_span(begun, last)},{_span(field.first, ended)}."
    short = term.upper()[:3]
    return f"Write {short}." if term.isalpha() and short in field.names else told


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _number(field: _Field, text: str) -> int | None:
    """Return the number of a value of a field; None if it is none."""
    number = field.names.index(text) + field.first if text in field.names else int(text) if text.isdecimal() else -1
    return number if field.first <= number <= field.last else None
