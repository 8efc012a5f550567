"""Local clocks: which instant a wall shows a time at, also where the clocks of a zone jump."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_SECOND = dt.timedelta(seconds=1)


def shown(instant: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """Return an instant in a zone, with the offset that the zone has then as a fixed one.

    Python compares and subtracts two times of the same zone by what the wall shows, which is wrong by an hour where the clocks
    change. With fixed offsets it is of instants.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> shown(dt.datetime(2013, 7, 1, 10, tzinfo=dt.UTC), ZoneInfo("America/New_York")).isoformat()
    '2013-07-01T06:00:00-04:00'
    """
    local = instant.astimezone(zone)
    return _fixed(local, _offset(local, zone))


def wall(instant: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """Return what a wall shows at an instant: a time without a zone, whose ``fold`` is 1 if it was shown before already."""
    return instant.astimezone(zone).replace(tzinfo=None)


def instant(local: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """Return the instant at which a wall shows a time; of one that comes twice the first, of one that is skipped the jump past it.

    Later times never have earlier instants, and all that are skipped together have the same one.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> for hour in (2, 3):  # the clocks went from 02:00 to 03:00
    ...     print(instant(dt.datetime(2013, 3, 10, hour, 30), ZoneInfo("America/New_York")).isoformat())
    2013-03-10T03:00:00-04:00
    2013-03-10T03:30:00-04:00
    """
    old, new = (_offset(local.replace(fold=fold), zone) for fold in (0, 1))  # PEP 495: before and after a jump
    if old >= new:  # shown once, or twice
        return _fixed(local, old)
    earlier, later = (_fixed(local, offset).astimezone(dt.UTC) for offset in (new, old))  # on both sides of the jump
    while later - earlier > _SECOND:
        middle = earlier + (later - earlier) // 2 // _SECOND * _SECOND
        earlier, later = (middle, later) if middle.astimezone(zone).utcoffset() == old else (earlier, middle)
    return shown(later, zone)


def overlap(instant: dt.datetime, zone: ZoneInfo) -> dt.timedelta:
    """Return by how much the clocks were set back where an instant's time is shown for the second time; else nothing."""
    local = wall(instant, zone)
    return _offset(local.replace(fold=0), zone) - _offset(local, zone) if local.fold else dt.timedelta()


def _offset(local: dt.datetime, zone: ZoneInfo) -> dt.timedelta:
    return zone.utcoffset(local) or dt.timedelta()


def _fixed(local: dt.datetime, offset: dt.timedelta) -> dt.datetime:
    return local.replace(tzinfo=_timezone(offset), fold=0)


@lru_cache(maxsize=1024)
def _timezone(offset: dt.timedelta) -> dt.timezone:
    return dt.timezone(offset)
