"""Tracks: the moments that a slider over time can stand at, and how many events lie between two of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from eventlab import moments, queries
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventlab.moments import Duration, Instant

Clock = Literal["occurred_at", "recorded_at"]

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_STEPS = (
    *(seconds * _SECOND for seconds in (1, 2, 5, 10, 15, 30)),
    *(minutes * 60 * _SECOND for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * 3600 * _SECOND for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 7, 14, 28, 91, 364, 3640, 36400)),
)
_FEW = 400  # steps from one end to the other, if the step is not given
_MOST = 5000  # steps that there can be
_UNITS = ((_DAY, "d"), (3600 * _SECOND, "h"), (60 * _SECOND, "min"), (_SECOND, "s"), (1000, "ms"), (1, "µs"))
_SPAN = "select epoch_us(min({clock})), epoch_us(max({clock})) from events"
_COUNTS = """
select {bucket} as start, count(*) as events from events
where {clock} > make_timestamptz($since) and {clock} <= make_timestamptz($until) group by all
"""
# a stretch has its end and not its beginning, as a moment has the events that occur at it
_EVEN = "$since + (epoch_us({clock}) - $since - 1) // $step * $step"
_DAILY = "epoch_us(date_trunc('day', {clock} - interval 1 microsecond))"  # in the log's zone


class Source(Protocol):
    """What can be asked: a log, a view, or what stands for one."""

    def sql(self, query: str, params: Mapping[str, object] | None = None) -> queries.Relation:
        """Return the relation of a query."""


@dataclass(frozen=True, slots=True)
class Track:
    """The moments of a slider, as instants, and the events of each stretch between two of them.

    Attributes
    ----------
    bounds
        The moments; a stretch goes from one of them, exclusive, to the next, inclusive.
    counts
        How many events each stretch has: one less than there are moments.
    step
        How far the moments lie apart, in microseconds. Days are days of the log's zone, whatever its clocks do.
    """

    bounds: tuple[int, ...]
    counts: tuple[int, ...]
    step: int

    @property
    def stepped(self) -> str:
        """The step for a person, like ``15 min``."""
        size, unit = next((size, unit) for size, unit in _UNITS if self.step % size == 0)
        return f"{self.step // size} {unit}"

    def nearest(self, instant: int) -> int:
        """Return the number of the moment that lies nearest to an instant."""
        return int(np.abs(np.asarray(self.bounds) - instant).argmin())


def track(
    source: Source,
    clock: Clock,
    zone: dt.tzinfo,
    *,
    since: Instant | None = None,
    until: Instant | None = None,
    step: Duration | None = None,
) -> Track | None:
    """Return the track of a clock over all events, or from ``since`` to ``until``; None if there are no events.

    Raises
    ------
    InvalidArgument
        If ``until`` is not after ``since``, or there would be more than 5,000 steps.
    """
    [(first, last)] = source.sql(queries.fill(_SPAN, clock=clock)).fetchall()
    if first is None:
        return None
    start = first - 1 if since is None else moments.instant(since, zone)
    end = last if until is None else moments.instant(until, zone)
    if end <= start:
        raise InvalidArgument("the time machine ends before it begins", hint="Give an until that is after since.")
    size = _length(step) if step is not None else next((s for s in _STEPS if (end - start) / s <= _FEW), _STEPS[-1])
    if (end - start) / size > _MOST:
        raise InvalidArgument(
            f"{(end - start) // size:,} steps are too many for a slider", hint="Give a longer step, or since and until."
        )
    bounds = _days(start, end, size // _DAY, zone) if size % _DAY == 0 else _even(start, end, size, zone)
    bucket = queries.fill(_DAILY if size % _DAY == 0 else _EVEN, clock=clock)
    params: dict[str, object] = {"since": bounds[0], "until": bounds[-1]}
    if size % _DAY:
        params["step"] = size
    rows = source.sql(queries.fill(_COUNTS, clock=clock, bucket=bucket), params).fetchall()
    return Track(tuple(bounds), _binned(bounds, rows), size)


def _length(step: Duration) -> int:
    """Return a step in microseconds: whole seconds, or less than one."""
    return moments.duration(step) // moments.MICROSECOND


def _binned(bounds: Sequence[int], rows: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Return how many events lie in each stretch, from counts by where their buckets begin."""
    starts = np.asarray([start for start, _ in rows], dtype=np.int64)
    places = np.clip(np.searchsorted(bounds, starts, side="right") - 1, 0, len(bounds) - 2)
    counts = np.bincount(places, weights=[count for _, count in rows], minlength=len(bounds) - 1)
    return tuple(int(count) for count in counts)


def _even(start: int, end: int, size: int, zone: dt.tzinfo) -> list[int]:
    """Return moments of even steps that begin with a round one of the zone's clock."""
    midnight = _midnight(start, zone)
    first = midnight + (start - midnight) // size * size
    return [first + number * size for number in range(-(-(end - first) // size) + 1)]


def _days(start: int, end: int, days: int, zone: dt.tzinfo) -> list[int]:
    """Return midnights, so many days apart."""
    day = moments.moment_of(start, zone).date()
    bounds = [moments.instant(day, zone)]
    while bounds[-1] < end:
        day += dt.timedelta(days=days)
        bounds.append(moments.instant(day, zone))
    return bounds


def _midnight(instant: int, zone: dt.tzinfo) -> int:
    return moments.instant(moments.moment_of(instant, zone).date(), zone)
