"""Periods: the stretches of time that the runs of a report are of."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

_DAY = dt.timedelta(days=1)
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


@dataclass(frozen=True, slots=True)
class Period:
    """The stretch of time that a run of a report is of: from ``start`` to ``end``, which is not in it.

    Attributes
    ----------
    start, end
        Aware, in the report's zone, with fixed offsets: they compare and subtract as instants.
    name
        In files and streams; no two periods of a schedule have the same. It begins with the local date that the period is of:
        ``"2013-02-09"``, or ``"2013-02-09T0600"`` where there can be several a day; of an hour that comes twice the second
        is ``"2013-11-03T0100-again"``. Left out, it is made of start and end.
    """

    start: dt.datetime
    end: dt.datetime
    name: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            start, end = (moment.replace(tzinfo=None) for moment in (self.start, self.end))
            object.__setattr__(self, "name", name(start, whole=end - start >= _DAY))

    @property
    def due(self) -> dt.datetime:
        """When the run is due: where the period ends."""
        return self.end

    @property
    def date(self) -> dt.date:
        """The local date that the period is of: of its start, or that of the time which the clocks skipped there."""
        return dt.date.fromisoformat(self.name[:10])

    @property
    def label(self) -> str:
        """The period for people; it follows from start and end alone.

        Examples
        --------
        >>> def label(start, end):
        ...     return Period(*(dt.datetime(*one, tzinfo=dt.UTC) for one in (start, end))).label
        >>> label((2013, 2, 9), (2013, 2, 10)), label((2013, 2, 9, 6), (2013, 2, 9, 7))
        ('9 February 2013', '9 February 2013, 06:00 to 07:00')
        >>> label((2013, 2, 25), (2013, 3, 4)), label((2013, 2, 1), (2013, 3, 1))
        ('25 February to 3 March 2013', 'February 2013')
        """
        first, last = self.start.date(), self.end.date()
        if self.start.time() == self.end.time() == dt.time() and first < last:
            return _days(first, last - _DAY)
        form = "%H:%M:%S" if self.start.second or self.end.second else "%H:%M"
        times = [moment.strftime(form) for moment in (self.start, self.end)]
        if self.start.utcoffset() != self.end.utcoffset():  # else an hour that comes twice would seem to be none
            times = [
                f"{time} ({moment.isoformat()[len('2013-02-09T06:00:00') :]})"
                for time, moment in zip(times, (self.start, self.end), strict=True)
            ]
        until = times[1] if first == last else f"{_date(last)}, {times[1]}"
        return f"{_date(first)}, {times[0]} to {until}"


def name(local: dt.datetime, *, whole: bool, again: bool = False) -> str:
    """Return the name of a period that begins at a local time; ``whole``: of a date, of which there is one, else of a time."""
    if whole:
        return local.date().isoformat()
    return local.strftime("%Y-%m-%dT%H%M%S" if local.second else "%Y-%m-%dT%H%M") + ("-again" if again else "")


def _days(first: dt.date, last: dt.date) -> str:
    """Return whole days, both inclusive, in words."""
    if first == last:
        return _date(first)
    if first.day == 1 and (last + _DAY).day == 1 and (first.year, first.month) == (last.year, last.month):
        return f"{_MONTHS[first.month - 1]} {first.year}"
    left = _date(first) if first.year != last.year else f"{first.day} {_MONTHS[first.month - 1]}"
    left = str(first.day) if (first.year, first.month) == (last.year, last.month) else left
    return f"{left} to {_date(last)}"


def _date(day: dt.date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
