"""Periods of time, as SQL: calendar days, weeks and months of a named zone, and stretches of absolute time.

Each period has a number, so that two of them are as far apart as their numbers. They are counted from Monday, 1 January of the
year 1: weeks begin on Mondays, quarters in January.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventlab import moments, queries
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    import datetime as dt

    from eventlab.analytics.questions import Question
    from eventlab.moments import Instant

_DAY = 86_400_000_000
_WEEK = 7
_BEFORE = 62_135_596_800_000_000  # microseconds from the year 1 to 1970
_MONTHS = re.compile(r"\s*([0-9]{1,4})\s*mo\s*")
_HINT = 'Write a number and a unit, like "1d", "1w", "1mo" or "6h"; "3mo" is a quarter.'
_UTC = frozenset({"UTC", "Etc/UTC"})

# The periods of the log's life; of an empty log none.
_AXIS = """
life as (  -- from its first event, or since, to what it is complete to, or until
    select {begun} as begun, {ended} as ended, {earliest} as earliest, {first} as first, {last} as last
    from events
    having count(*) > 0
),
axis as (
    select number, {start} as period_start, period_start < begun or {end} > ended as partial, earliest
    from (select unnest(range(first, last + 1)) as number, begun, ended, earliest from life)
)"""
_BEGINS = "select {start} = {instant}, {number}, strftime({start} at time zone {zone}, '%Y-%m-%d %H:%M:%S')"


@dataclass(frozen=True, slots=True)
class Period:
    """A length of time that divides the calendar. Made by ``period``.

    Attributes
    ----------
    count, unit
        How many of which: ``us`` (absolute time), ``day`` or ``month`` (of the calendar).
    zone
        The IANA name of the zone of the calendar.
    """

    count: int
    unit: str
    zone: str

    def number(self, instant: str) -> str:
        """Return the SQL of the number of the period that an instant (as SQL) lies in."""
        local = f"({instant} at time zone {queries.literal(self.zone)})"
        if self.unit == "month":
            return self._whole(f"(year({local}) * 12 + month({local}) - 13)")
        if self.unit == "us" or self.zone in _UTC:  # a day of UTC never has another length: no need of a calendar
            width = self.count if self.unit == "us" else self.count * _DAY
            return f"((epoch_us({instant}) + {_BEFORE}) // {width})"
        return self._whole(f"({local}::date - date '0001-01-01')")

    def start(self, number: str) -> str:
        """Return the SQL of the instant at which the period of a number (as SQL) begins."""
        if self.unit == "us":
            return f"make_timestamptz(({number}) * {self.count} - {_BEFORE})"
        return f"({self.date(number)}::timestamp at time zone {queries.literal(self.zone)})"

    def date(self, number: str) -> str:
        """Return the SQL of the first day of the period of a number; only of periods of the calendar."""
        unit = "months" if self.unit == "month" else "days"
        length = number if self.count == 1 else f"({number}) * {self.count}"
        return f"(date '0001-01-01' + to_{unit}(({length})::integer))::date"

    def _whole(self, number: str) -> str:
        return number if self.count == 1 else f"({number} // {self.count})"

    def __str__(self) -> str:
        if self.unit == "us":
            return f"stretches of {moments.MICROSECOND * self.count} of absolute time, counted from midnight UTC"
        count, unit = (
            (self.count // _WEEK, "week") if self.unit == "day" and not self.count % _WEEK else (self.count, self.unit)
        )
        length = f"calendar {unit}s" if count == 1 else f"periods of {count} calendar {unit}s"
        return f"{length} of {self.zone}{' (from Monday)' if unit == 'week' else ''}"


def period(every: str | dt.timedelta, zone: str) -> Period:
    """Return the period of a length: whole days, weeks or months are of the calendar of ``zone``.

    A calendar day has 23 or 25 hours when the clocks change. Lengths that are no whole days are stretches of absolute time, as
    in ``State.over_time``: in a zone that is half an hour off, hours begin at half past.

    Parameters
    ----------
    every
        What ``moments.duration`` takes, or months, like ``"1mo"``.
    zone
        An IANA name.

    Raises
    ------
    InvalidArgument
        If it is no duration, or there is no such zone.

    Examples
    --------
    >>> print(period("1w", "UTC"))
    calendar weeks of UTC (from Monday)
    >>> period("3mo", "Europe/Berlin")
    Period(count=3, unit='month', zone='Europe/Berlin')
    """
    moments.zone(zone)
    months = _MONTHS.fullmatch(every) if isinstance(every, str) else None
    if months:
        if not int(months[1]):
            raise InvalidArgument(f"a period is above zero, not {every!r}", hint=_HINT)
        return Period(int(months[1]), "month", zone)
    try:
        length = moments.duration(every)
    except InvalidArgument as error:
        raise InvalidArgument(error.message, hint=_HINT) from None
    microseconds = length // moments.MICROSECOND
    return Period(microseconds, "us", zone) if microseconds % _DAY else Period(length.days, "day", zone)


def axis(question: Question, of: Period) -> str:
    """Return the CTEs of the periods of the log's life: ``axis (number, period_start, partial, earliest)``.

    They go from the log's first event, or ``since``, to what it is complete to, or ``until``. One that is not wholly between
    the two is partial. ``earliest`` is the number of the period of the log's first event.
    """
    since, until, complete = map(question.instant, (question.since, question.until, question.complete))
    begun, ended, last = "min(occurred_at)", complete, complete
    if question.since is not None:
        begun = f"greatest(min(occurred_at), {since})"
    if question.until is not None:  # which is exclusive
        ended, last = f"least({complete}, {until})", f"least({complete}, {question.instant(question.until - 1)})"
    return queries.fill(
        _AXIS,
        begun=begun,
        ended=ended,
        earliest=of.number("min(occurred_at)"),
        first=of.number(begun),
        last=of.number(last),
        start=of.start("number"),
        end=of.start("number + 1"),
    )


def beginning(question: Question, of: Period, moment: Instant, what: str) -> int:
    """Return the number of the period that begins at a moment; ``what`` names it in the error.

    Raises
    ------
    InvalidArgument
        If the moment is none, or no period begins there (with the beginning of the one that it lies in).
    """
    instant = question.instant(moments.instant(moment, moments.zone(of.zone)))
    number = of.number(instant)
    text = queries.fill(_BEGINS, start=of.start(number), instant=instant, number=number, zone=queries.literal(of.zone))
    begins, found, start = question.rows(text)[0]
    if not begins:
        raise InvalidArgument(
            f"no {what} begins at {moment!r}", hint=f"It lies in the one that begins at {start} of {of.zone}."
        )
    return int(found)
