"""New York's departure board as of a moment: the state of every flight, folded from what had happened by then."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from eventlab import queries
from eventlab.demo.flights import ZONE

if TYPE_CHECKING:
    from collections.abc import Mapping

FLIGHTS = """
select
    stream_id as flight_id,
    max(FlightScheduled.carrier) as carrier,
    max(FlightScheduled.flight) as flight,
    max(FlightScheduled.airline) as airline,
    max(FlightScheduled.origin) as origin,
    max(FlightScheduled.dest) as dest,
    max(FlightScheduled.destination) as destination,
    max(FlightScheduled.scheduled_departure) as scheduled_departure,
    max(occurred_at) filter (event_type = 'FlightDeparted') as departed_at,
    max(occurred_at) filter (event_type = 'FlightArrived') as arrived_at,
    max(occurred_at) filter (event_type = 'FlightCancelled') as cancelled_at,
    max(occurred_at) filter (event_type = 'FlightDiverted') as diverted_at
from events
group by stream_id
"""
"""The state ``flights``: one SELECT over the log, one row a flight."""

_STATUSES = """
with statuses as (
    select
        *,
        case
            when arrived_at is not null then 'arrived'
            when departed_at is not null and diverted_at is not null then 'diverted'
            when departed_at is not null then 'departed'
            when cancelled_at is not null then 'cancelled'
            when scheduled_departure < $moment::timestamptz then 'delayed'  -- should have left, and nobody saw it leave
            else 'scheduled'
        end as status
    from flights
)
"""

_TOTALS = """
{statuses}
, today as (
    select *, date_trunc('day', $moment::timestamptz at time zone $zone) at time zone $zone as midnight from statuses
)
select
    count(*) filter (status = 'departed') as in_the_air,
    count(*) filter (status = 'delayed') as delayed,
    count(*) filter (status = 'scheduled') as scheduled,
    count(*) filter (cancelled_at >= midnight) as cancelled,
    count(*) filter (departed_at >= midnight) as departed,
    count(*) filter (arrived_at >= midnight) as arrived
from today
"""

_ROWS = """
{statuses}
, due as (  -- those still waiting stay on the board, then the latest
    select * from statuses where scheduled_departure <= $moment::timestamptz
    order by status = 'delayed' desc, scheduled_departure desc, flight_id limit $due
),
coming as (
    select * from statuses where scheduled_departure > $moment::timestamptz
    order by scheduled_departure, flight_id limit $coming
)
select
    strftime(scheduled_departure at time zone $zone, '%H:%M') as time,
    concat(carrier, ' ', flight) as flight,
    destination,
    dest,
    regexp_replace(airline, ' (Inc|Co)\\.?$', '') as airline,
    origin,
    status,
    case status
        when 'arrived' then strftime(arrived_at at time zone $zone, 'at %H:%M')
        when 'departed' then strftime(departed_at at time zone $zone, 'at %H:%M')
        when 'delayed' then concat(date_diff('minute', scheduled_departure, $moment::timestamptz), ' min')
        else ''
    end as detail,
    coming
from (select *, false as coming from due union all by name select *, true as coming from coming)
order by coming, scheduled_departure, flight_id
"""


class Readable(Protocol):
    """What a board needs of a log, in which ``flights`` is defined, or of a view of it."""

    @property
    def basis(self) -> object:
        """What an answer rests on, as a token."""

    def sql(self, query: str, params: Mapping[str, object], /) -> queries.Relation:
        """Return the relation of a query over ``flights`` and ``events``."""


@dataclass(frozen=True, slots=True)
class Row:
    """A flight on the board; ``time`` is its scheduled departure in New York, ``coming`` whether that lies ahead."""

    time: str
    flight: str
    destination: str
    dest: str
    airline: str
    origin: str
    status: str
    detail: str
    coming: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """The flights as they stood: in the air, waiting and to come at that moment; the others since midnight."""

    in_the_air: int
    delayed: int
    scheduled: int
    cancelled: int
    departed: int
    arrived: int

    def labelled(self) -> list[tuple[str, int]]:
        """Return each total with its label."""
        return [
            ("in the air", self.in_the_air),
            ("delayed", self.delayed),
            ("still to come", self.scheduled),
            ("cancelled today", self.cancelled),
            ("departed today", self.departed),
            ("arrived today", self.arrived),
        ]


@dataclass(frozen=True, slots=True)
class Board:
    """A departure board: the moment in New York time, what it rests on, the flights around the moment, totals."""

    moment: str
    basis: str
    rows: tuple[Row, ...]
    totals: Totals

    @property
    def title(self) -> str:
        """The moment as a person says it."""
        moment = dt.datetime.fromisoformat(self.moment)
        return f"{moment:%A} {moment.day} {moment:%B %Y}, {moment:%H:%M}"


def rows_query() -> str:
    """Return the SELECT of the flights around ``$moment``, ``$due`` that are due and ``$coming`` to come."""
    return queries.fill(_ROWS, statuses=_STATUSES)


def totals_query() -> str:
    """Return the SELECT of the totals at ``$moment``."""
    return queries.fill(_TOTALS, statuses=_STATUSES)


def board(view: Readable, moment: str, *, due: int = 20, coming: int = 6) -> Board:
    """Return the departure board as of ``moment``.

    Parameters
    ----------
    view
        The log as of that moment, ``log.at(moment)``: the board uses all of its events, so none may be later.
    moment
        The same moment, as ISO text in New York time.
    due, coming
        How many flights to list that should have left and that are to come. Of the former those still waiting are taken
        first, then the latest. A flight scheduled for the very minute is due, and delayed once that has passed.
    """
    params = {"moment": moment, "zone": ZONE}
    rows = view.sql(rows_query(), {**params, "due": due, "coming": coming}).fetchall()
    (totals,) = view.sql(totals_query(), params).fetchall()
    return Board(moment, str(view.basis), tuple(Row(*row) for row in rows), Totals(*totals))
