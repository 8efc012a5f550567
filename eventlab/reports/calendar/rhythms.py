"""Rhythms: the times of a clock at which something is due again and again, before it is asked which instants these are."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from eventlab.errors import ReportError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventlab.reports.calendar.crons import Cron

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - a clock's time has no zone
_DAY = dt.timedelta(days=1)
_SECOND = dt.timedelta(seconds=1)


class Rhythm(Protocol):
    """Times of a clock: datetimes without a zone, each later than the one before."""

    @property
    def absolute(self) -> bool:
        """Whether the clock is UTC's, whatever the zone; else it is the local one."""

    @property
    def daily(self) -> bool:
        """Whether no local date has two of the times."""

    def after(self, local: dt.datetime) -> Iterator[dt.datetime]:
        """Yield the times after ``local``, which is exclusive, for ever."""

    def before(self, local: dt.datetime) -> Iterator[dt.datetime]:
        """Yield the times before ``local``, which is inclusive, latest first."""


@dataclass(frozen=True, slots=True)
class Days:
    """The midnights of every so many days, counted from Monday, 1 January of the year 1: weeks begin on Mondays."""

    count: int
    absolute: ClassVar[bool] = False
    daily: ClassVar[bool] = True

    def after(self, local: dt.datetime) -> Iterator[dt.datetime]:
        """Yield the midnights after ``local``."""
        number = (local.toordinal() - 1) // self.count
        return (self._midnight(number + step) for step in itertools.count(1))

    def before(self, local: dt.datetime) -> Iterator[dt.datetime]:
        """Yield the midnights up to ``local``, latest first."""
        number = (local.toordinal() - 1) // self.count
        return (self._midnight(number - step) for step in itertools.count())

    def _midnight(self, number: int) -> dt.datetime:
        return dt.datetime.fromordinal(number * self.count + 1)


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Every so much elapsed time, counted from 1970 in UTC."""

    length: dt.timedelta
    absolute: ClassVar[bool] = True
    daily: ClassVar[bool] = False

    def after(self, local: dt.datetime) -> Iterator[dt.datetime]:
        """Yield the times after ``local``."""
        number = (local - _EPOCH) // self.length
        return (_EPOCH + self.length * (number + step) for step in itertools.count(1))

    def before(self, local: dt.datetime) -> Iterator[dt.datetime]:
        """Yield the times up to ``local``, latest first."""
        number = (local - _EPOCH) // self.length
        return (_EPOCH + self.length * (number - step) for step in itertools.count())


def every(length: dt.timedelta) -> Days | Elapsed:
    """Return the rhythm of a length: of whole days the local midnights, of others elapsed time.

    Examples
    --------
    >>> every(dt.timedelta(weeks=1)), every(dt.timedelta(hours=1))
    (Days(count=7), Elapsed(length=datetime.timedelta(seconds=3600)))
    """
    return Elapsed(length) if length % _DAY else Days(length // _DAY)


def cron(expression: str) -> Cron:
    """Return the rhythm of a cron expression.

    Raises
    ------
    InvalidArgument
        If it is none.
    ReportError
        If cronsim is not installed, which only reports need.
    """
    try:
        from eventlab.reports.calendar.crons import Cron  # noqa: PLC0415 - it may not be there
    except ModuleNotFoundError as error:
        raise ReportError(f"{error.name} is not installed", hint="pip install 'eventlab[reports]'") from None
    return Cron(expression)
