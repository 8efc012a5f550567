"""Schedules: when a report is due, and which period a run of it is of."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from eventlab import moments
from eventlab.errors import InvalidArgument
from eventlab.reports.calendar import clocks, rhythms
from eventlab.reports.calendar.periods import Period, name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventlab.reports.calendar.rhythms import Rhythm

__all__ = ["Period", "Schedule", "schedule"]

_DAY = dt.timedelta(days=1)
_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a report is due. Made by ``schedule``.

    All times that it returns are aware, in its zone, with fixed offsets: they compare and subtract as instants. A local time
    that the clocks skip is due once, where they jump past it; one that comes twice is due once, the first time.

    Attributes
    ----------
    rhythm
        Of a cron expression, of whole days, or of elapsed time.
    zone
        Of the local clock.
    length
        Of the periods: whole days are calendar days back at the same time of the clock, others elapsed time. None: since the
        time before at which it was due.
    """

    rhythm: Rhythm
    zone: ZoneInfo
    length: dt.timedelta | None = None

    def dues(self, after: dt.datetime, until: dt.datetime | None = None) -> Iterator[dt.datetime]:
        """Yield when it is due after ``after``, which is exclusive, to ``until``, inclusive; without it for ever.

        It begins at ``after``, however long ago others were, and each is found when it is asked for.
        """
        latest = after
        for local in self.rhythm.after(clocks.wall(after, self._clock)):
            due = clocks.instant(local, self._clock)
            if due <= latest:  # skipped together with the one before, or shown for the first time before `after`
                continue
            if until is not None and due > until:
                return
            yield clocks.shown(due, self.zone) if self.rhythm.absolute else due
            latest = due

    def next(self, after: dt.datetime) -> dt.datetime:
        """Return when it is due next, after ``after``."""
        return next(self.dues(after))

    def previous(self, until: dt.datetime) -> dt.datetime:
        """Return when it was due last, at ``until`` or before."""
        return clocks.shown(self._latest(until)[0], self.zone)

    def period(self, due: dt.datetime) -> Period:
        """Return the period of the run that is due then: it ends there, and is never empty.

        Of a time that is skipped, the calendar counts back from the time that it should have been; of several that are skipped
        together from the first.
        """
        calendar = self.length is not None and not self.length % _DAY
        if self.length is None:
            start, local = self._latest(due - moments.MICROSECOND)
            again = bool(local.fold)
        elif calendar:
            ended = self._nominal(due)
            local, again = ended - self.length, bool(ended.fold)
            start = clocks.instant(local, self.zone)
            if start >= due:  # the whole of the day before is skipped
                start = due - self.length
        else:
            start = due - self.length
            local = clocks.wall(start, self.zone)
            again = bool(local.fold)
        whole = self.rhythm.daily and (calendar or self.length is None)
        called = name(local, whole=whole, again=again)
        return Period(clocks.shown(start, self.zone), clocks.shown(due, self.zone), called)

    def periods(self, since: dt.date, until: dt.date) -> Iterator[Period]:
        """Yield the periods that are of the local dates from ``since`` to ``until``, both inclusive, in order."""
        first = clocks.instant(dt.datetime.combine(since, dt.time()), self.zone)
        for due in self.dues(first - _DAY):  # of a date that is skipped, a period can end where it would have begun
            period = self.period(due)
            if period.date > until:
                return
            if period.date >= since:
                yield period

    @property
    def _clock(self) -> ZoneInfo:
        """The zone of the clock whose times the rhythm has."""
        return _UTC if self.rhythm.absolute else self.zone

    def _latest(self, until: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
        """Return when it was due last until then, and the local time of that: the last one, if several are skipped together."""
        due, local = next(self._before(until))
        return due, clocks.wall(due, self.zone) if self.rhythm.absolute else local

    def _nominal(self, due: dt.datetime) -> dt.datetime:
        """Return the local time that is due at an instant: the first one, if several are skipped together."""
        shown = clocks.wall(due, self.zone)
        if self.rhythm.absolute:
            return shown
        together = itertools.takewhile(lambda one: one[0] == due, self._before(due))
        return min((local for _, local in together), default=shown)  # none if the schedule was another one then

    def _before(self, until: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
        """Yield when it was due until then, latest first, and the time of the rhythm's clock; several may be skipped together."""
        bound = clocks.wall(until, self._clock) + clocks.overlap(until, self._clock)
        found = ((clocks.instant(local, self._clock), local) for local in self.rhythm.before(bound))
        return ((due, local) for due, local in found if due <= until)


def schedule(
    *,
    cron: str | None = None,
    every: moments.Duration | None = None,
    timezone: str = "UTC",
    period: moments.Duration | None = None,
) -> Schedule:
    """Return a schedule.

    Parameters
    ----------
    cron
        Five fields: minute, hour, day of month, month, day of week, in the clock of ``timezone``.
    every
        Or a duration. Whole days are due at local midnights, weeks on Mondays; others after elapsed time, counted from midnight
        in UTC.
    timezone
        An IANA name.
    period
        The length of the periods; left out, they go from one run to the next.

    Raises
    ------
    InvalidArgument
        If one of them is not of its form, or not exactly one of ``cron`` and ``every`` is given.

    Examples
    --------
    >>> daily = schedule(cron="0 6 * * *", timezone="America/New_York", period="1d")
    >>> due = daily.next(dt.datetime(2013, 2, 9, 12, tzinfo=dt.UTC))
    >>> due.isoformat(), daily.period(due).name
    ('2013-02-10T06:00:00-05:00', '2013-02-09')
    """
    zone = moments.zone(timezone)
    length = None if period is None else moments.duration(period)
    match cron, every:
        case str(), None:
            return Schedule(rhythms.cron(cron), zone, length)
        case None, str() | dt.timedelta():
            return Schedule(rhythms.every(moments.duration(every)), zone, length)
    raise InvalidArgument("a schedule has one of cron and every", hint='Give cron="0 6 * * *" or every="1h".')
