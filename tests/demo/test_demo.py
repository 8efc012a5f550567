"""The demonstration end to end: the boards against the raw files, the traffic, the chart, the page and what it says."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import re
from typing import TYPE_CHECKING

import polars as pl
import pytest
from rich.console import Console

import eventlab as el
from eventlab import queries
from eventlab.charts import Mark, Panel, themes, timeline
from eventlab.demo import boards, pages, run, runs, traffic
from eventlab.demo.flights import ZONE
from eventlab.errors import InvalidSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RAW = """
with airports as (
    select faa, tzone from read_csv($airports, nullstr = 'NA')
    union all select unnest(['BQN', 'PSE', 'SJU', 'STT']), 'America/Puerto_Rico'
),
flights as (
    select
        *, carrier || ' ' || flight as name,
        make_date(year, month, day)::timestamptz as known_at,
        time_hour + to_minutes(minute) as due,
        case when dep_time is not null then due + to_minutes(dep_delay) end as gone,
        gone + to_minutes(air_time) as flown,
        -- the day on which the flight time is over, and the next where the clock was past that
        (flown at time zone tzone)::date + to_minutes(arr_time // 100 * 60 + arr_time % 100) as clock,
        case when clock at time zone tzone >= flown then clock at time zone tzone
            else (clock + interval 1 day) at time zone tzone end as there,
        (due at time zone tzone)::date + to_minutes(sched_arr_time // 100 * 60 + sched_arr_time % 100) as plan,
        case when plan at time zone tzone > due then plan at time zone tzone
            else (plan + interval 1 day) at time zone tzone end as planned
    from read_parquet($flights) join airports on faa = dest
)
select
    count(*) filter (gone <= $moment and coalesce(there, planned) > $moment) as in_the_air,
    count(*) filter (due < $moment and dep_time is not null and gone > $moment) as delayed,
    count(*) filter (
        (due > $moment or (due = $moment and dep_time is not null)) and not coalesce(gone <= $moment, false)
    ) as scheduled,
    count(*) filter (dep_time is null and due <= $moment and due >= date_trunc('day', $moment)) as cancelled,
    count(*) filter (gone <= $moment and gone >= date_trunc('day', $moment)) as departed,
    count(*) filter (there <= $moment and there >= date_trunc('day', $moment)) as arrived,
    list(name || ' ' || origin order by due, name) filter (due < $moment and dep_time is not null and gone > $moment)
        as waiting
from flights where known_at <= $moment
"""


@dataclasses.dataclass
class Demo:
    """A run of the demonstration: its store, what it returned and what it printed."""

    store: Path
    summary: runs.Summary
    printed: str


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """One run into an empty folder."""
    store = tmp_path_factory.mktemp("data") / "flights"
    out = io.StringIO()
    return Demo(store, run(store, console=Console(file=out, width=100)), out.getvalue())


@pytest.fixture(scope="module")
def log(demo: Demo) -> Iterator[el.EventLog]:
    """Return the log that the run made."""
    with el.open(demo.store) as opened:
        yield opened


def raw(moment: str) -> tuple[boards.Totals, list[str]]:
    """Return the totals at a moment and who waits, straight from the files."""
    files = {"flights": str(runs.DATA / "flights.parquet"), "airports": str(runs.DATA / "airports.csv")}
    text = _RAW.replace("$moment", "$moment::timestamptz")
    with queries.connect(ZONE) as connection:
        *totals, waiting = queries.rows(connection, text, {**files, "moment": moment})[0]
    return boards.Totals(*totals), waiting or []


def flight(board: boards.Board, name: str) -> boards.Row:
    """Return the row of a flight, on the latest day that the board lists."""
    return next(row for row in reversed(board.rows) if row.flight == name)


def test_a_run_loads_every_event_and_says_so(demo: Demo) -> None:
    """All event types with their counts, both boards, and where the page is, in well under a minute."""
    assert (demo.summary.events, demo.summary.new) == (1_002_073, 1_002_073)
    assert demo.summary.seconds < 60
    for told in (
        "336,776  FlightScheduled",
        "328,521  FlightDeparted",
        "327,346  FlightArrived",
        "8,255  FlightCancelled",
        "1,175  FlightDiverted",
        "New York, Friday 8 February 2013, 17:00",
        "New York, Friday 8 February 2013, 21:00",
        "79 in the air · 2 delayed · 259 still to come",
        "eventlab sql",
    ):
        assert told in demo.printed
    assert str(demo.summary.page) in demo.printed


def test_the_state_of_a_flight_is_defined(log: el.EventLog) -> None:
    """The board's flights at a moment, one flight's history, and what is printed to try next."""
    state = log.state("flights")
    waiting = log.sql(
        """
        select carrier || ' ' || flight || ' ' || origin from flights_at('2013-02-08 17:00')
        where scheduled_departure < '2013-02-08 17:00' and departed_at is null and cancelled_at is null
            and scheduled_departure > '2013-02-08'
        order by scheduled_departure
        """
    ).fetchall()
    assert [name for (name,) in waiting] == raw("2013-02-08 17:00")[1]
    history = state.history("flight-20130208-B6917-JFK").pl()
    assert history["event_type"].to_list() == ["FlightScheduled", "FlightDeparted", "FlightArrived"]
    assert str(history["departed_at"][-1]) == "2013-02-08 17:28:00-05:00"
    totals = boards.board(log.at("2013-02-08 17:00"), "2013-02-08 17:00").totals
    departed = state.at("2013-02-08 17:00").relation.filter("departed_at >= '2013-02-08'").aggregate("count(*)")
    assert departed.fetchall() == [(totals.departed,)]


def test_a_second_run_adds_nothing_and_writes_the_page_again(demo: Demo) -> None:
    """The same events, the same page."""
    before = demo.summary.page.read_text(encoding="utf-8")
    demo.summary.page.unlink()
    out = io.StringIO()
    again = run(demo.store, console=Console(file=out, width=100))
    assert (again.events, again.new) == (1_002_073, 0)
    assert "0 new events; 1,002,073 were in the log already" in out.getvalue()
    assert again.page.read_text(encoding="utf-8") == before


def test_without_the_data_one_error_names_the_file(tmp_path: Path) -> None:
    """A wheel has no data beside it; the hint says where it is."""
    with pytest.raises(InvalidSource, match=r"flights\.parquet") as caught:
        run(tmp_path / "store", console=Console(file=io.StringIO()), data=tmp_path)
    assert "repository" in caught.value.hint


@pytest.mark.parametrize(
    "moment",
    [
        "2013-02-08 17:00",
        "2013-02-08 21:00",
        "2013-02-09 12:30",
        "2013-03-10 03:30",
        "2013-07-01 18:00",
        "2013-11-03 09:45",
        "2013-01-01 00:00",
    ],
)
def test_a_board_agrees_with_the_raw_files(log: el.EventLog, moment: str) -> None:
    """Totals, and who is delayed, as worked out from the files by a query of their own; also when the clocks change."""
    totals, waiting = raw(moment)
    board = boards.board(log.at(moment), moment, due=100)
    assert board.totals == totals
    assert [f"{row.flight} {row.origin}" for row in board.rows if row.status == "delayed"] == waiting


def test_a_board_shows_what_was_known_and_nothing_later(log: el.EventLog) -> None:
    """B6 917, due at 15:55, left at 17:28: at 17:00 it waits, at 17:28 it has left, at 20:00 it has arrived."""
    seen = {
        moment: flight(boards.board(log.at(moment), moment, due=1000), "B6 917")
        for moment in ("2013-02-08 15:55", "2013-02-08 17:00", "2013-02-08 17:28", "2013-02-08 20:00")
    }
    assert [(row.status, row.detail) for row in seen.values()] == [
        ("scheduled", ""),
        ("delayed", "65 min"),
        ("departed", "at 17:28"),
        ("arrived", "at 19:59"),
    ]
    assert seen["2013-02-08 17:00"] == boards.Row(
        time="15:55",
        flight="B6 917",
        destination="Chicago Ohare Intl",
        dest="ORD",
        airline="JetBlue Airways",
        origin="JFK",
        status="delayed",
        detail="65 min",
        coming=False,
    )


def test_a_flight_diverted_before_it_left_waits_until_it_leaves(log: el.EventLog) -> None:
    """MQ 4525 of 22 February: diverted on record at 19:05, gone at 19:26."""
    seen = [
        flight(boards.board(log.at(moment), moment, due=1000), "MQ 4525").status
        for moment in ("2013-02-22 19:04", "2013-02-22 19:10", "2013-02-22 19:26")
    ]
    assert seen == ["delayed", "delayed", "diverted"]


def test_a_board_lists_those_waiting_then_the_latest_then_the_next(log: el.EventLog) -> None:
    """In the order of their times, and no more than asked for."""
    board = boards.board(log.at("2013-02-08 17:00"), "2013-02-08 17:00", due=5, coming=3)
    assert [(row.time, row.status, row.coming) for row in board.rows] == [
        ("15:55", "delayed", False),
        ("16:55", "delayed", False),
        ("17:00", "cancelled", False),
        ("17:00", "cancelled", False),
        ("17:00", "cancelled", False),
        ("17:03", "scheduled", True),
        ("17:05", "scheduled", True),
        ("17:05", "scheduled", True),
    ]
    assert board.title == "Friday 8 February 2013, 17:00"
    assert board.basis


def test_the_traffic_at_a_step_is_what_a_board_says(log: el.EventLog) -> None:
    """On Friday and on Saturday; cancellations are counted on from Friday's midnight."""
    frame = traffic.traffic(log.at(runs.UNTIL), since=runs.SINCE, until=runs.UNTIL)
    assert frame.height == 2 * 24 * 6 + 1
    assert frame["cancelled"].to_list()[-1] == 472 + 393
    for moment in ("2013-02-08 17:00", "2013-02-08 21:00", "2013-02-09 12:30"):
        totals = boards.board(log.at(moment), moment).totals
        (step,) = frame.filter(pl.col("time") == dt.datetime.fromisoformat(moment)).rows(named=True)
        assert (step["in_the_air"], step["delayed"]) == (totals.in_the_air, totals.delayed)
        if moment < "2013-02-09":
            assert step["cancelled"] == totals.cancelled


def test_the_longest_pause_is_the_blizzard(log: el.EventLog) -> None:
    """From B6 917 on Friday to DL 120 on Saturday."""
    pause = traffic.longest_pause(log.at(runs.UNTIL), since=runs.SINCE, until=runs.UNTIL)
    assert (pause.since.isoformat(), pause.until.isoformat()) == ("2013-02-08T17:28:00", "2013-02-09T09:01:00")


def test_the_page_fetches_nothing(demo: Demo) -> None:
    """No address in its markup, Vega in it once, and a policy that forbids the browser to fetch."""
    page = demo.summary.page.read_text(encoding="utf-8")
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)\s*=|https?:|url\(|@import|<link", markup)
    assert "default-src 'none'" in markup
    assert page.count("window.vegaEmbed") == 1
    assert len(page) < 1_200_000
    assert "No flight left New York from Friday 17:28 to Saturday 09:01, for 15 hours and 33 minutes" in markup
    assert markup.count("<section") == len(runs.MOMENTS)


def test_the_page_escapes_what_comes_from_the_log() -> None:
    """A name that is markup is shown, not run; in the script too."""
    evil = "</script><script>alert(1)</script>"
    row = boards.Row("17:00", evil, evil, "XXX", evil, "JFK", "delayed", evil, coming=False)
    board = boards.Board("2013-02-08 17:00", evil, (row,), boards.Totals(0, 1, 0, 0, 0, 0))
    moment = dt.datetime.fromisoformat("2013-02-08 17:00")
    frame = pl.DataFrame({"time": [moment], "in_the_air": [0], "delayed": [1], "cancelled": [0]})
    story = pages.Story(1, 1, [board], frame, traffic.Pause(moment, moment), [pages.Step(evil, evil)])
    assert "<script>alert" not in pages.page(story)


def test_a_timeline_draws_wall_clocks() -> None:
    """Times go to Vega as if they were UTC, on a UTC scale, whether or not the frame's times have a zone."""
    local = [dt.datetime.fromisoformat(f"2013-02-08 {hour}:00") for hour in (17, 18)]
    naive = pl.DataFrame({"when": local, "still [waiting]: a.b": [1, 2]})
    aware = naive.with_columns(pl.col("when").dt.replace_time_zone(ZONE))
    panels = [Panel(naive.columns[1], "Waiting"), Panel(naive.columns[1], 'So "far"', shape="steps")]
    for frame in (naive, aware):
        chart = timeline(frame, panels, time="when", marks=[Mark(local[0], "17:00"), Mark(local[1], "18:00")]).to_dict()
        rows = chart["datasets"][chart["data"]["name"]]
        assert [row["time"] for row in rows] == ["2013-02-08T17:00:00Z", "2013-02-08T18:00:00Z"]
        assert [row["moment"] for row in rows] == ["Fri 8 Feb, 17:00", "Fri 8 Feb, 18:00"]
        layers = [layer for panel in chart["vconcat"] for layer in panel["layer"]]
        times = [layer["encoding"]["x"] for layer in layers if "field" in layer["encoding"]["x"]]
        assert {x["scale"]["type"] for x in times} == {"utc"}
        assert [param["views"] for param in chart["params"]] == [["panel_0", "panel_1"]]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_colour_of_the_theme_can_be_read(mode: themes.Mode) -> None:
    """A contrast of at least 4.5:1 to the ground, by WCAG's formula."""
    palette = themes.PALETTES[mode]
    ground = luminance(palette.ground)
    for color in (palette.text, palette.muted, *palette.series):
        low, high = sorted((ground, luminance(color)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, color


def luminance(color: str) -> float:
    """Return the relative luminance of a colour like ``#0072b2``."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
