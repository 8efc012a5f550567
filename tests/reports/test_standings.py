"""Standings: when a report is due next, what was last, what waits, and what was missed and why."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

import pytest
from workbenches import NOON, Clock, Maker, configuration, report, workshop

import eventlab as el
from eventlab.errors import InvalidArgument
from eventlab.reports.configuration.configurations import Channel
from eventlab.reports.ledger import runs
from eventlab.reports.schedule import rounds, standings

if TYPE_CHECKING:
    from pathlib import Path

    from eventlab.reports.ledger.records import Records

NEXT = "2013-02-11 06:00-05:00"


def test_a_report_that_no_round_has_seen_says_what_to_do(folder: Path, records: Records) -> None:
    """When it is due, of which period, what becomes of a late run, and with what it begins."""
    lines = standings.explain(configuration(folder, report(folder)), "daily", NOON, records)
    assert lines == [
        "daily is due: cron 0 6 * * *, in America/New_York.",
        f"Next: {NEXT}, in 18 hours, of the period 10 February 2013, 06:00 to 11 February 2013, 06:00.",
        "catch_up = all: each run that was missed is made, in order, as of its own moment.",
        "No round has seen it yet: eventlab schedule run (or tick) begins with what was due at 2013-02-10 06:00-05:00.",
    ]


def test_what_was_last_and_what_was_missed_is_explained(folder: Path, records: Records) -> None:
    """The last run and where its page is, the last good one after a failure, and each skipped one with its reason."""
    make, clock, one = Maker(fails={"2013-02-12": 9}), Clock(NOON), report(folder, catch_up="latest", retries=1)
    bench_ = workshop(folder, records, one, clock=clock, make=make)
    rounds.round(bench_)
    page = f"{folder}/reports/daily/2013-02-09"
    lines = standings.explain(bench_.configuration, "daily", clock.now, records)
    assert re.fullmatch(
        r"Last: 2013-02-09, caught up, made at .*, as known at 2013-02-10 06:00-05:00: " + re.escape(f"{page}.html"),
        lines[-1],
    )
    clock.forward(days=3)
    rounds.round(bench_)
    text = "\n".join(standings.explain(bench_.configuration, "daily", clock.now, records))
    assert re.search(
        r"Last: 2013-02-12, failed after 2 attempts at .*: ValueError: no \(.*2013-02-12\.failed\.html\)", text
    )
    assert "Last good: 2013-02-09, caught up" in text
    for day in (10, 11):
        assert f"Missed: 2013-02-{day}, skipped: catch_up is latest, and a later run was due as well." in text
    assert "The schedule began with the run that was due at 2013-02-10 06:00-05:00" in text


def test_what_waits_is_explained(folder: Path, records: Records) -> None:
    """A run that is being made and by whom, and that nobody has looked since."""
    bench_ = workshop(folder, records, one := report(folder), clock=(clock := Clock(NOON)), make=Maker())
    rounds.round(bench_)
    clock.forward(days=2)
    due = one.schedule.next(NOON)
    key, place = runs.key("daily", one.schedule.period(due)), runs.stream("daily", "2013-02-10")
    begun = {"reason": "scheduled", "attempt": 1, "host": "here", "pid": 17}
    records.append(
        (place, 0, el.Event("RunPlanned", {**key, "reason": "scheduled"})),
        (place, 1, el.Event("RunStarted", {**key, **begun})),
    )
    lines = standings.explain(bench_.configuration, "daily", clock.now, records)
    assert (
        "Waiting: 2013-02-10, being made, unless its process was killed: the next round sees (attempt 1, process 17 on here)."
        in lines
    )
    assert lines[-1] == (
        "No round since 2013-02-12 06:00-05:00: 1 run due since then. Is eventlab schedule run (or tick) running?"
    )


def test_a_report_that_is_not_enabled_says_so(folder: Path, records: Records) -> None:
    """It has no next time."""
    settings = configuration(folder, report(folder, enabled=False))
    assert "It is not enabled (enabled = false)" in standings.explain(settings, "daily", NOON, records)[1]
    query, values = standings.status(settings, NOON, records)
    assert records.log.sql(query, values).fetchall() == [("daily", False, None, None, None, None, 0, 0, 0, 0, 0)]


def test_status_has_a_row_for_each_report(folder: Path, records: Records) -> None:
    """In order of their names, with how many runs were made, failed, were skipped and wait."""
    make, clock = Maker(fails={"2013-02-10": 1}), Clock(NOON)
    both = [report(folder), report(folder, "a", catch_up="latest")]
    bench_ = workshop(folder, records, *both, clock=clock, make=make)
    for days in (0, 1, 3):
        clock.forward(days=days)
        rounds.round(bench_, most=1)
    query, values = standings.status(bench_.configuration, clock.now + dt.timedelta(days=2), records)
    rows = records.log.sql(query, values).fetchall()
    assert [(row[0], row[3], row[4], *row[6:]) for row in rows] == [
        ("a", "2013-02-13", "ok", 2, 1, 2, 2, 0),  # the first to be asked for 10 February
        ("daily", "2013-02-13", "ok", 5, 0, 0, 2, 0),
    ]
    assert {row[2].isoformat() for row in rows} == {"2013-02-17T11:00:00+00:00"}


def test_what_was_not_delivered_is_explained_and_counted(
    folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over which channel, how often it was tried, when it is tried again, and why; what was given up stays in sight."""
    clock, one = Clock(NOON), report(folder, deliver=["ops"])
    ops = Channel(name="ops", type="webhook", options={"url_env": "OPS_URL"})
    monkeypatch.delenv("OPS_URL", raising=False)
    bench_ = workshop(
        folder, records, clock=clock, make=Maker(), configuration=configuration(folder, one, channels={"ops": ops})
    )
    outcome = rounds.round(bench_)
    assert (outcome.undelivered, outcome.good) == (1, False)
    assert outcome.told[0].startswith("ops: 1 failed, tried again at 2013-02-10 17:01:00+00:00: ")
    lines = standings.explain(bench_.configuration, "daily", clock.now, records)
    assert re.fullmatch(
        r"Not delivered: 2013-02-09, report over ops, tried 1 time, again at 2013-02-10 12:01-05:00: .*OPS_URL.*",
        lines[-1],
    )
    query, values = standings.status(bench_.configuration, NOON, records)
    assert records.log.sql(query, values).fetchall()[0][-1] == 1
    for _ in range(7):
        clock.forward(hours=1)
        rounds.round(bench_)
    lines = standings.explain(bench_.configuration, "daily", clock.now, records)
    assert re.fullmatch(r"Given up: 2013-02-09, report over ops: .*OPS_URL.*", lines[-1])
    query, values = standings.status(bench_.configuration, NOON, records)
    assert records.log.sql(query, values).fetchall()[0][-1] == 0


def test_the_listing_says_what_is_on_schedule(folder: Path, records: Records) -> None:
    """Its rhythm in words, whatever it is."""
    settings = configuration(
        folder, report(folder, deliver=["mail", "ops"]), report(folder, "b", every=dt.timedelta(hours=1), enabled=False)
    )
    query, values = standings.listing(settings, NOON)
    rows = records.log.sql(query, values).fetchall()
    assert [(row[0], row[1], row[2], row[3], row[5], row[6], row[7]) for row in rows] == [
        ("b", False, "every 1 hour", "America/New_York", "all", "workbenches:nothing", ""),
        ("daily", True, "cron 0 6 * * *", "America/New_York", "all", "workbenches:nothing", "mail, ops"),
    ]


def test_a_report_that_there_is_not_is_told_with_the_nearest(folder: Path, records: Records) -> None:
    """As everywhere."""
    with pytest.raises(InvalidArgument, match="Did you mean 'daily'"):
        standings.explain(configuration(folder, report(folder)), "dayli", NOON, records)
