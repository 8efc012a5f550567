"""The flights: a state's totals at many moments, and its course over two days, against queries over the raw files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import eventlab as el
from eventlab import queries
from eventlab.demo import flights, runs

if TYPE_CHECKING:
    from collections.abc import Iterator

BOARD = """
select
    stream_id as flight,
    max(FlightScheduled.scheduled_departure) as due,
    min(occurred_at) filter (event_type = 'FlightDeparted') as departed_at,
    min(occurred_at) filter (event_type = 'FlightArrived') as arrived_at,
    min(occurred_at) filter (event_type = 'FlightCancelled') as cancelled_at,
    bool_or(event_type in ('FlightArrived', 'FlightDiverted')) as is_over,
    last(event_type) as latest
from events group by stream_id having due is not null
"""
TOTALS = """
select
    count(*) filter (departed_at is not null and not is_over),
    count(*) filter (due < $moment and departed_at is null and cancelled_at is null),
    count(*) filter (due >= $moment and departed_at is null and cancelled_at is null),
    count(*) filter (cancelled_at >= date_trunc('day', $moment)),
    count(*) filter (departed_at >= date_trunc('day', $moment)),
    count(*) filter (arrived_at >= date_trunc('day', $moment))
from {state}
"""
RAW = """
with airports as (
    select faa, tzone from read_csv($airports, nullstr = 'NA')
    union all select unnest(['BQN', 'PSE', 'SJU', 'STT']), 'America/Puerto_Rico'
),
flights as (
    select
        *, make_date(year, month, day)::timestamptz as known_at,
        time_hour + to_minutes(minute) as due,
        case when dep_time is not null then due + to_minutes(dep_delay) end as gone,
        gone + to_minutes(air_time) as flown,
        -- the clock at the destination, on the day on which the flight time is over or on the next
        (flown at time zone tzone)::date + to_minutes(arr_time // 100 * 60 + arr_time % 100) as clock,
        case when clock at time zone tzone >= flown then clock at time zone tzone
            else (clock + interval 1 day) at time zone tzone end as there,
        (due at time zone tzone)::date + to_minutes(sched_arr_time // 100 * 60 + sched_arr_time % 100) as plan,
        case when plan at time zone tzone > due then plan at time zone tzone
            else (plan + interval 1 day) at time zone tzone end as planned
    from read_parquet($flights) join airports on faa = dest
)
select
    count(*) filter (gone <= $moment and coalesce(there, planned) > $moment),
    count(*) filter (due < $moment and dep_time is not null and gone > $moment),
    count(*) filter ((due > $moment or (due = $moment and dep_time is not null)) and not coalesce(gone <= $moment, false)),
    count(*) filter (dep_time is null and due <= $moment and due >= date_trunc('day', $moment)),
    count(*) filter (gone <= $moment and gone >= date_trunc('day', $moment)),
    count(*) filter (there <= $moment and there >= date_trunc('day', $moment))
from flights where known_at <= $moment
"""
MOMENTS = (
    *("2013-01-01 00:00", "2013-01-01 05:17", "2013-01-15 23:59", "2013-01-31 12:00"),
    *(
        "2013-02-08 11:00",
        "2013-02-08 17:00",
        "2013-02-08 17:27",
        "2013-02-08 17:28",
        "2013-02-08 21:00",
    ),  # the blizzard
    *("2013-02-09 06:00", "2013-02-09 09:01", "2013-02-09 12:30", "2013-02-10 08:00"),
    *("2013-03-10 01:59", "2013-03-10 03:30", "2013-03-10 12:00"),  # the clocks go forward
    *("2013-05-24 16:45", "2013-07-01 18:00", "2013-09-12 20:15"),
    *("2013-11-03 00:30", "2013-11-03 06:10", "2013-11-03 09:45"),  # the clocks go back
    *("2013-11-28 13:00", "2013-12-31 23:59"),
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[el.EventLog]:
    """Yield a log of the flights, with the state and a few snapshots of it."""
    with el.open(tmp_path_factory.mktemp("data") / "flights", create=True, timezone=flights.ZONE) as opened:
        for event_type, fields in flights.DEFINITIONS.items():
            opened.define(event_type, fields)
        opened.ingest(
            flights.events(runs.DATA),
            event_type="event_type",
            stream_id="stream_id",
            occurred_at="occurred_at",
            payload="payload",
        )
        board = opened.define_state("board", BOARD)
        assert len(board.now().fetchall()) == 336_776
        opened._catalog.keeper.close()  # the policy takes snapshots along a history that was loaded
        yield opened


def raw(moments: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Return the totals at moments, straight from the files."""
    files = {"flights": str(runs.DATA / "flights.parquet"), "airports": str(runs.DATA / "airports.csv")}
    text = RAW.replace("$moment", "$moment::timestamptz")
    with queries.connect(flights.ZONE) as connection:
        return {moment: queries.rows(connection, text, {**files, "moment": moment})[0] for moment in moments}


def test_the_board_at_many_moments_is_what_the_files_say(log: el.EventLog) -> None:
    """In the air, delayed, to come, cancelled, departed and arrived, in the blizzard and when the clocks change."""
    state = log.state("board")
    assert int(state.explain().partition("the best of ")[2].split()[0]) >= 8
    expected = raw(MOMENTS)
    for moment in MOMENTS:
        text = TOTALS.replace("$moment", queries.literal(moment) + "::timestamptz").format(state="board")
        told = state.at(moment).relation.query("board", text).fetchall()
        assert (moment, told) == (moment, [expected[moment]])


def test_the_board_in_sql_is_the_same(log: el.EventLog) -> None:
    """By the macro and on a view."""
    for moment in MOMENTS[5::9]:
        expected = raw((moment,))[moment]
        text = TOTALS.replace("$moment", "$moment::timestamptz")
        macro = log.sql(text.format(state="board_at($moment)"), {"moment": moment})
        view = log.at(moment).sql(text.format(state="board"), {"moment": moment})
        assert macro.fetchall() == view.fetchall() == [expected]


def test_the_course_is_the_board_hour_by_hour(log: el.EventLog) -> None:
    """How many are in the air as of the end of each hour of the Friday of the blizzard."""
    course = log.state("board").over_time(
        "1h",
        "count(*) filter (departed_at is not null and not is_over)",
        since="2013-02-08 05:00",
        until="2013-02-08 18:00",
    )
    told = [(f"{row[0]:%Y-%m-%d %H:}59:59.999999", row[1]) for row in course.fetchall()]
    assert len(told) == 14
    expected = raw(tuple(moment for moment, _ in told))
    assert dict(told) == {moment: totals[0] for moment, totals in expected.items()}
