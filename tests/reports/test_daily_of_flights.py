"""The daily report of the flights: its figures for 9 February 2013 against the published file, by hand and not over our events."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest

import eventlab as el
from eventlab.demo import flights
from eventlab.demo.runs import DATA
from eventlab.reports import renders
from eventlab.reports.execution import sources

if TYPE_CHECKING:
    from eventlab.reports.renders import Made

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "reports" / "daily.ipynb"
CHART = "application/vnd.eventlab.vegalite+json"
TABLE = "application/vnd.eventlab.table+json"
FLIGHTS = """
    select
        *, hour::integer as due_hour, origin || '-' || dest as route,
        case
            when dep_time is null then 'cancelled'
            when air_time is null then 'diverted'
            when arr_delay < 15 then 'on time'
            else 'late'
        end as outcome
    from '{file}' where year = 2013 and month = 2 and day = 9
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the report of 9 February, made once, from the flights of four weeks as they stood at six the next morning."""
    files, store = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("flights")
    for name in flights.FILES.values():
        shutil.copy(DATA / name, files)
    day = pl.date("year", "month", "day")
    weeks = pl.read_parquet(DATA / "flights.parquet").filter(day.is_between(dt.date(2013, 1, 13), dt.date(2013, 2, 11)))
    weeks.write_parquet(files / "flights.parquet")
    columns = {name: name for name in ("event_type", "stream_id", "occurred_at", "payload")}
    with el.open(store, create=True, timezone=flights.ZONE) as log:
        for event_type, fields in flights.DEFINITIONS.items():
            log.define(event_type, fields)
        log.ingest(flights.events(files), **columns)
    return renders.make(
        sources.source(NOTEBOOK), store, at="2013-02-10 06:00", params={"day": "2013-02-09"}, report="daily"
    )


@pytest.fixture(scope="module")
def raw() -> duckdb.DuckDBPyConnection:
    """Return a connection with ``raw``: the day's flights as the file has them."""
    connection = duckdb.connect()
    connection.execute(f"create view raw as {FLIGHTS.format(file=DATA / 'flights.parquet')}")
    return connection


def shown(made: Made, mime: str) -> list[Any]:
    """Return what the report shows of a type, in order."""
    found = [
        output["data"][mime]
        for cell in made.execution.cells
        for output in cell.outputs
        if mime in output.get("data", {})
    ]
    return [json.loads(one) if isinstance(one, str) else one for one in found]


def test_it_is_made(made: Made) -> None:
    """No cell fails, and nobody needs a store of their own."""
    assert made.failure is None
    assert made.provenance.title == "New York's flights, day by day"
    assert not any("el.open" in cell.text for cell in made.execution.cells if not cell.hidden)


def test_its_figures_are_those_of_the_published_file(made: Made, raw: duckdb.DuckDBPyConnection) -> None:
    """Counted from the rows of the file: the blizzard's second day."""
    (expected,) = raw.sql(
        """
        select
            count(*) as scheduled,
            round(100 * count(*) filter (outcome = 'on time') / count(*), 1) as punctuality,
            count(*) filter (outcome = 'cancelled') as cancelled,
            count(*) filter (outcome = 'late') as late,
            count(*) filter (outcome = 'diverted') as diverted,
            0 as under_way,   -- the last plane was down at about four, as departure and air time say
            median(arr_delay) filter (outcome in ('on time', 'late')) as median_delay,
            (
                select route from raw group by route having count(*) >= 4
                order by count(*) filter (outcome = 'on time') / count(*), count(*) desc, route limit 1
            ) as worst_route
        from raw
        """
    ).fetchall()
    assert tuple(figure.value for figure in made.figures) == expected
    assert expected == (684, 31.9, 393, 73, 0, 0, -3.0, "JFK-BOS")
    assert [figure.name for figure in made.figures] == [
        "scheduled",
        "punctuality",
        "cancelled",
        "late",
        "diverted",
        "under_way",
        "median_delay",
        "worst_route",
    ]


def test_its_routes_are_the_ten_worst(made: Made, raw: duckdb.DuckDBPyConnection) -> None:
    """The smallest shares on time, of routes with four flights or more, with what became of their flights."""
    expected = raw.sql(
        """
        select
            route, count(*), count(*) filter (outcome = 'cancelled'), count(*) filter (outcome = 'late'),
            count(*) filter (outcome = 'on time')
        from raw group by route having count(*) >= 4
        order by count(*) filter (outcome = 'on time') / count(*), count(*) desc, route limit 10
        """
    ).fetchall()
    (table,) = shown(made, TABLE)
    names = [column["name"] for column in table["columns"]]
    wanted = [names.index(name) for name in ("route", "flights", "cancelled", "late", "on time")]
    found = [(row[wanted[0]], *(int(row[place]) for place in wanted[1:])) for row in table["rows"]]
    assert found == expected


def test_its_course_has_every_flight_in_its_hour(made: Made, raw: duckdb.DuckDBPyConnection) -> None:
    """The first chart's bars add up to the file's flights by hour and outcome."""
    expected = raw.sql("select due_hour, outcome, count(*) from raw group by all order by all").fetchall()
    charts = shown(made, CHART)
    assert len(charts) == 4
    rows = next(rows for rows in charts[0]["datasets"].values() if "outcome" in rows[0])
    assert sorted((row["hour"], row["outcome"], row["flights"]) for row in rows) == expected


def test_planes_are_in_the_air_while_they_fly(made: Made, raw: duckdb.DuckDBPyConnection) -> None:
    """At half past five: no fewer than by the file's air times alone, no more than with an hour and a half on the ground."""
    ((least, most),) = raw.sql(
        """
        select
            count(*) filter (left_at <= moment and left_at + in_the_air > moment),
            count(*) filter (left_at <= moment and left_at + in_the_air + interval 90 minutes > moment)
        from (
            select
                time_hour + to_minutes(minute::integer + dep_delay::integer) as left_at,
                to_minutes(air_time::integer) as in_the_air,
                timestamptz '2013-02-09 17:30:00-05' as moment
            from raw where air_time is not null
        )
        """
    ).fetchall()
    (rows,) = (rows for rows in shown(made, CHART)[0]["datasets"].values() if "air" in rows[0])
    (found,) = (row["air"] for row in rows if row["which"] == "this day" and row["hour"] == 17.5)
    assert 50 < least <= found <= most < 200
    assert all(row["air"] >= 0 and row["gate"] >= 0 for row in rows)
