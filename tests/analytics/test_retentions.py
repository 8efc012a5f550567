"""Retention: cohorts by hand, what is a return, which window is over, and wrong use."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from calendars import Row, load, recorded

from eventlab.analytics.steps import step
from eventlab.errors import InvalidArgument, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import eventlab as el

MONDAY = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


def at(day: float, *, hour: float = 0) -> dt.datetime:
    """Return noon of Monday, 2 March, so many days and hours later."""
    return MONDAY + dt.timedelta(days=day, hours=hour)


def visits(stream: str, started: float, *days: float) -> list[Row]:
    """Return a start and the returns after it, by day."""
    return [Row(stream, "Up", at(started)), *(Row(stream, "In", at(day)) for day in days)]


@pytest.fixture
def log() -> Iterator[el.EventLog]:
    """Yield three users: two of Monday, one of Tuesday; the log ends on Saturday at noon."""
    rows = [*visits("u-1", 0, 0.1, 1, 3), *visits("u-2", 0, 2), *visits("u-3", 1, 1.1, 5)]
    with recorded(rows) as made:
        yield made


def numbers(retention: Any, *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of a retention as tuples; without the cohort and its size by default."""
    return retention.pl().select(columns or ("offset", "eligible", "returned")).rows()


def test_retention_of_three_users(log: el.EventLog) -> None:
    """By hand: Monday's came back on Monday (one), Tuesday (one), Wednesday (one), Thursday (one), and not on Friday."""
    found = log.retention("Up", "In", windows=4)
    monday, tuesday = dt.date(2026, 3, 2), dt.date(2026, 3, 3)
    assert found.pl().columns == ["cohort", "size", "offset", "eligible", "returned", "rate"]
    assert found.pl().rows() == [
        (monday, 2, 0, 2, 1, 0.5),
        (monday, 2, 1, 2, 1, 0.5),
        (monday, 2, 2, 2, 1, 0.5),
        (monday, 2, 3, 2, 1, 0.5),
        (monday, 2, 4, 2, 0, 0.0),
        (tuesday, 1, 0, 1, 1, 1.0),
        (tuesday, 1, 1, 1, 0, 0.0),
        (tuesday, 1, 2, 1, 0, 0.0),
        (tuesday, 1, 3, 1, 0, 0.0),
        (tuesday, 1, 4, 0, 0, None),  # Saturday is not over
    ]


def test_the_mean_is_weighted_by_the_eligible(log: el.EventLog) -> None:
    """All cohorts together: the sum of returned by the sum of eligible, not a mean of rates."""
    mean = log.retention("Up", "In", windows=4).mean()
    assert mean.pl().columns == ["offset", "eligible", "returned", "rate"]
    assert mean.pl().rows() == [(0, 3, 2, 2 / 3), (1, 3, 1, 1 / 3), (2, 3, 1, 1 / 3), (3, 3, 1, 1 / 3), (4, 2, 0, 0.0)]
    assert mean.actors(offset=0).pl()["actor"].to_list() == ["u-1", "u-3"]
    assert mean.actors(offset=4, outcome="lost").pl()["actor"].to_list() == ["u-1", "u-2"]
    assert "weighted" in mean.definition


def test_on_or_after_counts_who_comes_later_too(log: el.EventLog) -> None:
    """Who came back on Thursday came back on or after Tuesday; it never rises with the offset."""
    found = log.retention("Up", "In", windows=4, mode="on_or_after")
    assert numbers(found, "returned")[:5] == [(2,), (2,), (2,), (1,), (0,)]


def test_rolling_windows_begin_with_the_start() -> None:
    """23 hours after a start at noon is still its first 24 hours, though the next day; labels stay the calendar's."""
    with recorded([*visits("u-1", 0), Row("u-1", "In", at(0, hour=23)), *visits("z", 0, 9)]) as log:
        calendar = log.retention("Up", "In", windows=1)
        rolling = log.retention("Up", "In", windows=1, clock="rolling")
        assert numbers(calendar, "offset", "returned") == [(0, 0), (1, 1)]
        assert numbers(rolling, "cohort", "offset", "returned") == [
            (dt.date(2026, 3, 2), 0, 1),
            (dt.date(2026, 3, 2), 1, 0),
        ]


def test_rolling_windows_are_over_actor_by_actor() -> None:
    """Of one cohort, who started in the morning is eligible before who started at night; a window may end at the very instant."""
    rows = [Row("early", "Up", at(0)), Row("late", "Up", at(0, hour=6)), Row("x", "In", at(2))]
    with recorded(rows) as log:
        assert numbers(log.retention("Up", "In", windows=2, clock="rolling"), "eligible") == [(2,), (1,), (0,)]
        assert numbers(log.retention("Up", "In", windows=2), "eligible") == [(2,), (2,), (0,)]


def test_a_month_is_thirty_days_by_the_rolling_clock() -> None:
    """After 29 days it is still the first month, though another of the calendar."""
    with recorded([*visits("u-1", 0, 29), *visits("z", 0, 200)]) as log:
        options = {"period": "month", "windows": 1}
        assert numbers(log.retention("Up", "In", **options, clock="rolling"), "returned") == [(1,), (0,)]
        assert numbers(log.retention("Up", "In", **options), "returned") == [(1,), (0,)]  # 31 March
    with recorded([*visits("u-1", 0, 29.9), *visits("z", 0, 200)]) as log:
        assert numbers(log.retention("Up", "In", **options), "returned") == [(0,), (1,)]
        assert numbers(log.retention("Up", "In", **options, clock="rolling"), "returned") == [(1,), (0,)]


def test_weeks_begin_on_mondays() -> None:
    """From Sunday to Monday is a week later."""
    with recorded([*visits("u-1", 6, 7), *visits("z", 0, 30)]) as log:
        found = log.retention("Up", "In", period="week", windows=1, where="stream_id = 'u-1'")
        assert numbers(found, "cohort", "returned") == [(dt.date(2026, 3, 2), 0), (dt.date(2026, 3, 2), 1)]


def test_days_of_23_and_25_hours_are_one_day() -> None:
    """In New York, 8 March has 23 hours and 1 November 25: the calendar goes by its dates, the rolling clock by hours."""
    zone = dt.timezone(dt.timedelta(hours=-5))
    spring, autumn = dt.datetime(2026, 3, 8, tzinfo=zone), dt.datetime(2026, 11, 1, 4, tzinfo=dt.UTC)
    rows = [
        Row("spring", "Up", spring),
        Row("spring", "In", spring + dt.timedelta(hours=23)),  # midnight
        Row("autumn", "Up", autumn),
        Row("autumn", "In", autumn + dt.timedelta(hours=24, minutes=30)),  # 23:30 of the same day
        Row("z", "In", autumn + dt.timedelta(days=9)),
    ]
    with recorded(rows, "America/New_York") as log:
        columns = ("cohort", "offset", "returned")
        assert numbers(log.retention("Up", "In", windows=1), *columns) == [
            (dt.date(2026, 3, 8), 0, 0),
            (dt.date(2026, 3, 8), 1, 1),
            (dt.date(2026, 11, 1), 0, 1),
            (dt.date(2026, 11, 1), 1, 0),
        ]
        rolling = log.retention("Up", "In", windows=1, clock="rolling")
        assert numbers(rolling, "returned") == [(1,), (0,), (0,), (1,)]


def test_the_start_itself_is_no_return() -> None:
    """With any event as the return, one more is needed in the start's period; a second start at that instant is one."""
    once, twice = [Row("once", "Up", at(0))], [Row("twice", "Up", at(0)), Row("twice", "Up", at(0))]
    beside = [Row("beside", "Up", at(0)), Row("beside", "In", at(0))]
    with recorded([*once, *twice, *beside, Row("z", "In", at(3))]) as log:
        for returning, expected in ((None, ["beside", "twice"]), ("Up", ["twice"]), ("In", ["beside"])):
            found = log.retention("Up", returning, windows=0)
            assert found.actors(offset=0).pl()["actor"].to_list() == expected
        found = log.retention(["Up", "In"], "In", windows=0)  # of beside's two starts, Up is the one that is no return
        assert found.actors(offset=0).pl()["actor"].to_list() == ["beside"]


def test_what_came_before_the_start_is_no_return() -> None:
    """An event of the start's day but before it does not count."""
    with recorded([Row("u", "In", at(0, hour=-3)), Row("u", "Up", at(0)), Row("z", "In", at(2))]) as log:
        assert numbers(log.retention("Up", "In", windows=0)) == [(0, 1, 0)]


def test_a_first_of_all_times_is_looked_for_before_since(log: el.EventLog) -> None:
    """Who started before since is of no cohort, unless the first in the range is asked for; returns may come after until."""
    load(log, [Row("u-1", "Up", at(1, hour=2))])
    since, until = "2026-03-03", "2026-03-04"
    assert log.retention("Up", "In", since=since, until=until).actors().pl()["actor"].to_list() == ["u-3"]
    ranged = log.retention("Up", "In", since=since, until=until, cohort="first_in_range", windows=2)
    assert ranged.actors().pl()["actor"].to_list() == ["u-1", "u-3"]
    assert ranged.actors(offset=2).pl()["actor"].to_list() == ["u-1"]
    assert numbers(ranged, "size")[0] == (2,)


def test_complete_through_decides_who_is_eligible(log: el.EventLog) -> None:
    """A window that ends at that very instant is over; one that ends later is not."""
    found = log.retention("Up", "In", windows=2, complete_through="2026-03-04")
    assert numbers(found) == [(0, 2, 1), (1, 2, 1), (2, 0, 0), (0, 1, 1), (1, 0, 0), (2, 0, 0)]


def test_brackets_count_an_actor_once() -> None:
    """In the bracket 1 to 3 is who came back on any of these days; who is asked for one day is asked for that."""
    with recorded(
        [*visits("u-1", 0, 1, 2, 3), *visits("u-2", 0, 3), *visits("u-3", 0, 4), Row("z", "In", at(6))]
    ) as log:
        found = log.retention("Up", "In", brackets=[0, (1, 3), (4, 5), (6, 7)])
        assert numbers(found, "offset", "through", "eligible", "returned") == [
            (0, 0, 3, 0),
            (1, 3, 3, 2),
            (4, 5, 3, 1),
            (6, 7, 0, 0),
        ]
        assert found.actors(cohort="2026-03-02", offset=1).pl()["actor"].to_list() == ["u-1", "u-2"]
        classic = log.retention("Up", "In", brackets=[1, 3])
        assert numbers(classic, "offset", "returned") == [(1, 1), (3, 2)]
        assert classic.mean().pl().columns == ["offset", "through", "eligible", "returned", "rate"]


def test_who_acts_may_be_any_expression(log: el.EventLog) -> None:
    """Actors that are NULL are left out, and counted; a comment at an expression's end harms nothing."""
    rows = [Row("s-1", "Up", at(0), user="ada"), Row("s-2", "In", at(1), user="ada"), Row("s-3", "Up", at(0))]
    load(log, rows)
    found = log.retention("Up", "In", by="actor -- the user", windows=1)
    assert numbers(found) == [(0, 1, 0), (1, 1, 1)]
    assert log.retention("Up", "In", by="actor").unattributed() == 10
    assert log.retention("Up", by="actor", where="stream_id = 's-3'").unattributed() == 1


def test_a_view_has_the_retention_of_its_moment(log: el.EventLog) -> None:
    """At an earlier moment fewer windows are over; what was not yet recorded is not known."""
    view = log.at("2026-03-04T12:00")
    assert numbers(view.retention("Up", "In", windows=2)) == [
        (0, 2, 1),
        (1, 2, 1),
        (2, 0, 0),
        (0, 1, 1),
        (1, 0, 0),
        (2, 0, 0),
    ]
    before = log.position
    load(log, [Row("u-2", "In", at(1))])  # late
    assert numbers(log.at(before).retention("Up", "In", windows=1), "returned")[1] == (1,)
    assert numbers(log.retention("Up", "In", windows=1), "returned")[1] == (2,)


def test_the_sql_runs_as_it_is(log: el.EventLog) -> None:
    """The SQL of an answer gives its rows in log.sql; the result is pinned, and says what it means."""
    found = log.retention("Up", "In", clock="rolling", where="stream_id != 'u-2'", since="2026-03-01")
    assert log.sql(found.sql).pl().equals(found.pl())
    load(log, [Row("u-9", "Up", at(0))])
    assert found.pl().equals(
        log.at(found.basis).retention("Up", "In", clock="rolling", where="stream_id != 'u-2'", since="2026-03-01").pl()
    )
    for part in ("Up", "In", "24 hours", "stream_id != 'u-2'", "2026-03-01", "2026-03-07 12:00"):
        assert part in found.definition
    assert found.facts["clock"] == "rolling"


def test_an_empty_log_has_no_cohorts() -> None:
    """Nothing is wrong with a log that has no events yet."""
    with recorded([]) as log:
        found = log.retention("Up", "In")
        assert found.pl().is_empty()
        assert found.mean().pl().is_empty()
        assert found.actors().pl().is_empty()
        assert found.unattributed() == 0


def test_no_start_has_no_cohorts(log: el.EventLog) -> None:
    """An event type that nobody did in the range has no rows."""
    assert log.retention("Up", since="2030-01-01").pl().is_empty()


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"start": "Upp"}, "There are: In, Up"),
        ({"returning": ["In", "Inn"]}, "There are: In, Up"),
        ({"start": []}, "or a list of them"),
        ({"start": 5}, "Give its name"),
        ({"start": step("Up", optional=True)}, "a where alone"),
        ({"returning": step("Inn")}, "There are: In, Up"),
        ({"period": "hour"}, "day, month, week"),
        ({"clock": "rollin"}, "calendar, rolling"),
        ({"mode": "after"}, "on, on_or_after"),
        ({"cohort": "first"}, "first_ever, first_in_range"),
        ({"windows": -1}, "from 0 to"),
        ({"windows": "12"}, "from 0 to"),
        ({"windows": True}, "from 0 to"),
        ({"brackets": []}, "[0, 1, (2, 6), (7, 13)]"),
        ({"brackets": [(3, 1)]}, "[0, 1, (2, 6), (7, 13)]"),
        ({"brackets": [(0, 3), (3, 5)]}, "[0, 1, (2, 6), (7, 13)]"),
        ({"brackets": [(0, 3, 5)]}, "[0, 1, (2, 6), (7, 13)]"),
        ({"brackets": "1-3"}, "[0, 1, (2, 6), (7, 13)]"),
        ({"timezone": "Mars"}, "IANA"),
    ],
)
def test_wrong_use_is_one_clear_error(log: el.EventLog, options: dict[str, Any], hint: str) -> None:
    """What is not of its form is refused when it is asked, with the fix."""
    with pytest.raises(InvalidArgument) as error:
        log.retention(**{"start": "Up", "returning": "In", **options})
    assert hint in error.value.hint


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ({"cohort": "2026-03-02", "offset": 99}, "There are: 0, 1"),
        ({"offset": 1, "outcome": "dropped"}, "eligible, lost, returned, size"),
        ({"outcome": "lost"}, "offset=1"),
        ({"cohort": "2026-03-02T05:00", "offset": 1}, "begins at 2026-03-02"),
        ({"cohort": "Monday", "offset": 1}, "ISO 8601"),
    ],
)
def test_a_cell_that_is_none_is_refused(log: el.EventLog, cell: dict[str, Any], hint: str) -> None:
    """Who is behind a number can be asked only of numbers that there are."""
    found = log.retention("Up", "In", windows=1)
    with pytest.raises(InvalidArgument) as error:
        found.actors(**cell)
    assert hint in error.value.hint


def test_a_wrong_expression_says_which_option_it_is(log: el.EventLog) -> None:
    """The error of by and where names them."""
    with pytest.raises(QueryError, match="by: no column 'usr'"):
        log.retention("Up", by="usr")


@pytest.mark.parametrize("period", ["day", "week", "month"])
@pytest.mark.parametrize("returning", ["In", "Up", None])
def test_the_macro_is_the_method(period: Any, returning: str | None) -> None:
    """In SQL, retention(start, returning) gives the rows of log.retention, in the log's calendar and for any actor."""
    rows = [
        Row(stream, kind, at(day, hour=hour), user)
        for day, hour, stream, kind, user in (
            (0, 0, "s-1", "Up", "ada"),
            (0, 3, "s-1", "In", "ada"),
            (0, 14, "s-2", "Up", "bob"),
            (0, 14, "s-2", "Up", "bob"),
            (6, 0, "s-2", "In", "bob"),
            (8, 0, "s-3", "In", "ada"),
            (8, 0, "s-3", "Up", None),
            (40, 0, "s-3", "In", "ada"),
        )
    ]
    with recorded(rows, "Pacific/Auckland") as log:
        options = f"period := '{period}', windows := 3"
        said = "NULL" if returning is None else f"'{returning}'"
        expected = log.retention("Up", returning, period=period, windows=3)
        assert log.sql(f"FROM retention('Up', {said}, {options})").pl().equals(expected.pl())
        by_user = log.sql(f"FROM retention('Up', {said}, {options}, actors := actor)")
        assert by_user.pl().equals(log.retention("Up", returning, period=period, windows=3, by="actor").pl())


def test_the_macro_refuses_an_unknown_period(log: el.EventLog) -> None:
    """There are days, weeks and months."""
    with pytest.raises(Exception, match="there are day, week and month"):
        log.sql("FROM retention('Up', 'In', period := 'hour')").fetchall()
