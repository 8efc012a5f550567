"""The replay of a day: every event once, in the order and at the pace in which they happened; stopped and started again."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import polars as pl
import pytest
from rich.console import Console

import eventlab as el
from eventlab.cli import main
from eventlab.demo import flights, replay, runs
from eventlab.errors import InvalidArgument, InvalidSource

if TYPE_CHECKING:
    from pathlib import Path

DAY = "occurred_at >= '2013-02-08' and occurred_at < '2013-02-09'"
EVENTS = 2375


class Watch:
    """A clock that goes only as one sleeps, and that interrupts once at a time."""

    def __init__(self, until: float = float("inf")) -> None:
        self.now = 0.0
        self.until = until

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        if self.now > self.until:
            self.until = float("inf")
            raise KeyboardInterrupt

    def clock(self) -> float:
        """Return the time."""
        return self.now


def run(path: Path, watch: Watch, speed: float = 600) -> tuple[object, str]:
    """Replay into a log, and return what it did and what it printed."""
    out = io.StringIO()
    done = replay(path, speed=speed, console=Console(file=out, width=100), clock=watch.clock, sleep=watch.sleep)
    return done, out.getvalue()


def test_a_replay_stopped_and_started_again_has_every_event_once(tmp_path: Path) -> None:
    """It says what it does, goes on where it stopped, and has nothing to do a third time."""
    path = tmp_path / "live"
    watch = Watch(until=70)
    first, told = run(path, watch)
    assert (first.known, first.finished) == (0, False)
    assert 930 < first.appended < EVENTS
    assert "Replaying Friday 8 February 2013" in told
    assert "2,375 events, from 00:00 on, 600 times as fast" in told
    assert "events of the weeks before" in told
    assert f"Stopped: {first.appended:,} events appended, {EVENTS - first.appended:,} to come." in told
    with el.open(path) as log:
        reached = log.sql(f"select max(occurred_at) from events where {DAY}").pl().item()
        assert f"{reached:%H:%M}" < "12:00"
    again, told = run(path, Watch())
    assert (again.known, again.appended, again.finished) == (first.appended, EVENTS - first.appended, True)
    assert f"({first.appended:,} are in the log already)" in told
    assert "weeks before" not in told
    third, told = run(path, Watch())
    assert (third.known, third.appended, third.finished) == (EVENTS, 0, True)
    assert "there is nothing to replay" in told
    with el.open(path) as log:
        day = log.sql(f"select position, stream_id, event_type, occurred_at, recorded_at from events where {DAY}").pl()
        assert day.height == EVENTS
        assert day.select("stream_id", "event_type").is_unique().all()
        assert day.sort("position")["occurred_at"].is_sorted()
        counts = dict(day["event_type"].value_counts().rows())
        assert counts == {
            "FlightScheduled": 930,
            "FlightDeparted": 461,
            "FlightArrived": 508,
            "FlightCancelled": 472,
            "FlightDiverted": 4,
        }
        board = log.state("flights").at("2013-02-08 17:00").relation
        waiting = board.filter(
            "scheduled_departure < '2013-02-08 17:00' and departed_at is null and cancelled_at is null"
        )
        names = [
            f"{row['carrier']} {row['flight']}"
            for row in waiting.pl().rows(named=True)
            if row["flight_id"] > "flight-20130208"
        ]
        assert sorted(names) == ["B6 185", "B6 917"]


def test_the_day_takes_as_long_as_its_speed_says(tmp_path: Path) -> None:
    """From the first event to the last, 23 hours and more: 2 minutes and 23 seconds at 600 times."""
    watch = Watch()
    done, told = run(tmp_path / "live", watch)
    assert done.appended == EVENTS
    assert 140 < watch.now < 144
    assert "It takes 2 min 2" in told
    assert pl.Series([line[:5] for line in told.splitlines() if line[2:3] == ":"]).is_sorted()


def test_a_log_that_has_the_day_by_a_load_is_left_as_it_is(tmp_path: Path) -> None:
    """The flights that ``eventlab demo`` loads have other ids; they are known by flight and type."""
    with el.open(tmp_path, create=True, timezone=flights.ZONE) as log:
        for event_type, fields in flights.DEFINITIONS.items():
            log.define(event_type, fields)
        made = pl.DataFrame(flights.events(runs.DATA)).filter(
            pl.col("occurred_at") < pl.datetime(2013, 2, 10, time_zone=flights.ZONE)
        )
        log.ingest(made, event_type="event_type", stream_id="stream_id", occurred_at="occurred_at", payload="payload")
        before = log.position
    done, told = run(tmp_path, Watch())
    assert (done.known, done.appended) == (EVENTS, 0)
    assert "there is nothing to replay" in told
    with el.open(tmp_path) as log:
        assert log.position == before


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    """A speed that is none, and a folder without the data."""
    with pytest.raises(InvalidArgument, match="speed"):
        replay(tmp_path, speed=0)
    with pytest.raises(InvalidSource, match=r"flights\.parquet"):
        replay(tmp_path / "live", data=tmp_path, console=Console(file=io.StringIO()))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``eventlab demo --live``, and a speed without it."""
    assert main(["demo", str(tmp_path / "live"), "--live", "--speed", "1000000"]) == 0
    assert "Done: 2,375 events appended" in capsys.readouterr().out
    assert main(["demo", "--speed", "5"]) == 2
    assert "--speed goes with --live" in capsys.readouterr().err
