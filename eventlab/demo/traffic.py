"""Flights in the air, waiting and cancelled, through a stretch of time: every ten minutes at once, in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventlab.demo.flights import ZONE

if TYPE_CHECKING:
    import datetime as dt

    import polars as pl

    from eventlab.demo.boards import Readable

_TRAFFIC = """
with nearby as (
    select
        scheduled_departure, departed_at, cancelled_at,
        -- some diversions are on record for before the departure: such a flight is never in the air
        coalesce(arrived_at, diverted_at) as landed_at
    from flights
    where scheduled_departure between $since::timestamptz - interval 2 days and $until::timestamptz
),
moments as (
    select unnest(generate_series($since::timestamptz, $until::timestamptz, to_minutes($minutes))) as moment
)
select
    moment at time zone $zone as time,
    count(*) filter (departed_at <= moment and coalesce(landed_at > moment, true)) as in_the_air,
    count(*) filter (
        scheduled_departure < moment and cancelled_at is null and coalesce(departed_at > moment, true)
    ) as delayed,
    count(*) filter (cancelled_at >= $since::timestamptz and cancelled_at <= moment) as cancelled
from moments left join nearby on true
group by moment
order by moment
"""

_PAUSE = """
with departures as (
    select
        occurred_at at time zone $zone as until,
        lag(occurred_at) over (order by occurred_at) at time zone $zone as since,
        occurred_at - lag(occurred_at) over (order by occurred_at) as length
    from events
    where event_type = 'FlightDeparted' and occurred_at between $since::timestamptz and $until::timestamptz
)
select since, until from departures where since is not null order by length desc, since limit 1
"""


@dataclass(frozen=True, slots=True)
class Pause:
    """A stretch without a departure: the last one before it and the first one after, by New York's wall clock."""

    since: dt.datetime
    until: dt.datetime


def traffic(view: Readable, *, since: str, until: str, minutes: int = 10) -> pl.DataFrame:
    """Return how many flights were in the air and delayed at each step, and how many had been cancelled since.

    Columns: ``time`` (New York's wall clock), ``in_the_air``, ``delayed``, ``cancelled``. Each step counts what had
    happened by then, so it says what a board as of that moment says.
    """
    params = {"since": since, "until": until, "minutes": minutes, "zone": ZONE}
    frame: pl.DataFrame = view.sql(_TRAFFIC, params).pl()
    return frame


def longest_pause(view: Readable, *, since: str, until: str) -> Pause:
    """Return the longest stretch from ``since`` through ``until`` in which no flight left; the earliest of equals."""
    (pause,) = view.sql(_PAUSE, {"since": since, "until": until, "zone": ZONE}).fetchall()
    return Pause(*pause)
