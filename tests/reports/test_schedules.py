"""When a report is due, and its periods: against an oracle that looks at the clock on the wall minute by minute."""

from __future__ import annotations

import datetime as dt
import itertools
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlab.errors import InvalidArgument
from eventlab.reports.calendar.schedules import Period, schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventlab.reports.calendar.schedules import Schedule

_MINUTE = dt.timedelta(minutes=1)
_DAY = dt.timedelta(days=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
# Around what: an hour on and back; half an hour on and back; nothing; a day that is skipped; a midnight that is skipped, one twice.
_PLACES = [
    ("America/New_York", dt.date(2013, 3, 10)),
    ("America/New_York", dt.date(2013, 11, 3)),
    ("Europe/Vienna", dt.date(2026, 3, 29)),
    ("Europe/Vienna", dt.date(2026, 10, 25)),
    ("Australia/Lord_Howe", dt.date(2025, 10, 5)),
    ("Australia/Lord_Howe", dt.date(2025, 4, 6)),
    ("Asia/Kolkata", dt.date(2024, 2, 29)),
    ("Pacific/Apia", dt.date(2011, 12, 30)),
    ("America/Sao_Paulo", dt.date(2018, 11, 4)),
    ("America/Sao_Paulo", dt.date(2018, 2, 18)),
    ("UTC", dt.date(2025, 12, 31)),
]


@dataclass(frozen=True)
class Tick:
    """A minute: the instant, what the wall shows, whether it did before, and what was skipped right before."""

    instant: dt.datetime
    wall: dt.datetime
    again: bool
    skipped: tuple[dt.datetime, ...]


@lru_cache(maxsize=32)
def ticks(zone: str, day: dt.date) -> list[Tick]:
    """Return the minutes of two days before and after a day's noon, with a day before of which the wall is remembered."""
    noon = dt.datetime.combine(day, dt.time(12), tzinfo=dt.UTC)
    seen: set[dt.datetime] = set()
    found: list[Tick] = []
    shown = None
    for number in range(-3 * 1440, 2 * 1440):
        instant = noon + number * _MINUTE
        wall = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        jump = (wall - shown) // _MINUTE if shown else 1
        skipped = tuple(shown + ahead * _MINUTE for ahead in range(1, jump)) if shown else ()
        found.append(Tick(instant, wall, wall in seen, skipped))
        seen.add(wall)
        shown = wall
    return found[1440:]


def due_by_wall(minutes: list[Tick], matches: Callable[[dt.datetime], bool]) -> list[dt.datetime]:
    """Return the instants at which a wall shows what matches for the first time, or has just skipped it."""
    return [
        tick.instant
        for tick in minutes
        if (matches(tick.wall) and not tick.again) or any(matches(wall) for wall in tick.skipped)
    ]


@dataclass(frozen=True)
class Fields:
    """A cron expression as sets; None is a star."""

    minutes: frozenset[int] | None
    hours: frozenset[int] | None
    days: frozenset[int] | None
    months: frozenset[int] | None
    weekdays: frozenset[int] | None

    @property
    def text(self) -> str:
        """The expression."""
        fields = (self.minutes, self.hours, self.days, self.months, self.weekdays)
        return " ".join("*" if field is None else ",".join(map(str, sorted(field))) for field in fields)

    def matches(self, wall: dt.datetime) -> bool:
        """Tell whether a minute is one: if both kinds of day are restricted, either suffices."""
        day = self.days is None or wall.day in self.days
        weekday = self.weekdays is None or (wall.weekday() + 1) % 7 in {number % 7 for number in self.weekdays}
        both = day or weekday if self.days is not None and self.weekdays is not None else day and weekday
        return (
            both
            and (self.minutes is None or wall.minute in self.minutes)
            and (self.hours is None or wall.hour in self.hours)
            and (self.months is None or wall.month in self.months)
        )


def _some(least: int, most: int, size: int = 3) -> st.SearchStrategy[frozenset[int] | None]:
    return st.none() | st.frozensets(st.integers(least, most), min_size=1, max_size=size)


_CRONS = st.builds(
    Fields,
    minutes=_some(0, 59) | st.just(frozenset({0, 30})),
    hours=_some(0, 23) | st.just(frozenset({0, 1, 2, 3})),
    days=st.none() | _some(1, 31, 20),
    months=st.just(None),
    weekdays=st.none() | _some(0, 7),
)
_DAILY = st.builds(
    lambda minute, hour: Fields(frozenset({minute}), frozenset({hour}), None, None, None),
    st.sampled_from([0, 15, 30, 59]),
    st.sampled_from([0, 1, 2, 3, 6, 23]),
)
_LENGTHS = st.sampled_from([None, "1d", "2d", "1w", "1h", "90m", "36h"])
_EVERYS = st.sampled_from(["1d", "2d", "7d", "1h", "30m", "7h", "36h", "90m"])


def check_dues(made: Schedule, expected: list[dt.datetime], minutes: list[Tick], place: float) -> None:
    """Hold dues, next and previous against the oracle's: from the beginning, from some place, from a due and just before."""
    begun, ended = minutes[0].instant - _MINUTE, minutes[-1].instant
    assert list(made.dues(begun, ended)) == expected
    one_due = expected[round(place * (len(expected) - 1))] if expected else begun
    for at in (begun + (ended - begun) * place, one_due, one_due - _MINUTE / 7):
        earlier, later = ([due for due in expected if (due <= at) is before] for before in (True, False))
        assert list(made.dues(at, ended)) == later
        assert not later or made.next(at) == later[0]
        assert not earlier or made.previous(at) == earlier[-1]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(_PLACES), _CRONS, st.floats(0, 1))
def test_cron_is_due_when_the_wall_shows_it(place: tuple[str, dt.date], cron: Fields, at: float) -> None:
    """A local time is due the first time it is shown, or where it is skipped; dues, next and previous agree, from anywhere."""
    minutes = ticks(*place)
    made = schedule(cron=cron.text, timezone=place[0])
    check_dues(made, due_by_wall(minutes, cron.matches), minutes, at)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(_PLACES), _EVERYS, st.floats(0, 1))
def test_every_is_midnights_or_elapsed(place: tuple[str, dt.date], every: str, at: float) -> None:
    """Whole days are due at local midnights, counted from a Monday; other lengths at their multiples since 1970, clocks or not."""
    minutes = ticks(*place)
    length = {"d": 1440, "h": 60, "m": 1}[every[-1]] * int(every[:-1]) * _MINUTE
    if length % _DAY:
        expected = [tick.instant for tick in minutes if not (tick.instant - _EPOCH) % length]
    else:
        expected = due_by_wall(
            minutes, lambda wall: wall.time() == dt.time() and (wall.toordinal() - 1) % length.days == 0
        )
    check_dues(schedule(every=every, timezone=place[0]), expected, minutes, at)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(_PLACES), _CRONS | _EVERYS, _LENGTHS)
def test_no_two_periods_are_one(place: tuple[str, dt.date], rhythm: Fields | str, length: str | None) -> None:
    """Whatever the schedule, each due has a period that ends there, is not empty, and has a name and a file of its own."""
    made = (
        schedule(every=rhythm, timezone=place[0], period=length)
        if isinstance(rhythm, str)
        else schedule(cron=rhythm.text, timezone=place[0], period=length)
    )
    minutes = ticks(*place)
    dues = list(made.dues(minutes[0].instant, minutes[-1].instant))
    periods = [made.period(due) for due in dues]
    assert [period.end for period in periods] == [period.due for period in periods] == dues
    assert all(earlier < later for earlier, later in itertools.pairwise(dues))
    assert all(period.start < period.end for period in periods)
    assert len({period.name for period in periods}) == len(periods)
    assert all(earlier.date <= later.date for earlier, later in itertools.pairwise(periods))
    for period in periods:
        assert period.name.replace("-", "").replace("T", "").removesuffix("again").isdigit()
        if length in {"1h", "90m", "36h"}:
            assert period.end - period.start == {"1h": 60, "90m": 90, "36h": 36 * 60}[length] * _MINUTE


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(_PLACES), _DAILY, st.sampled_from([None, "1d"]))
def test_daily_periods_tile(place: tuple[str, dt.date], cron: Fields, length: str | None) -> None:
    """Of a fixed time each day, every period begins where the one before ended, and each calendar day has at most one."""
    made = schedule(cron=cron.text, timezone=place[0], period=length)
    minutes = ticks(*place)
    periods = [made.period(due) for due in made.dues(minutes[0].instant, minutes[-1].instant)]
    assert len(periods) >= 3
    assert all(earlier.end == later.start for earlier, later in itertools.pairwise(periods))
    assert len({period.date for period in periods}) == len(periods)
    assert all(len(period.name) == len("2013-02-09") for period in periods)
    if length == "1d":
        assert periods == [schedule(cron=cron.text, timezone=place[0]).period(period.due) for period in periods]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(_PLACES), _DAILY | _EVERYS, _LENGTHS, st.integers(-1, 1), st.integers(0, 1))
def test_periods_of_dates(
    place: tuple[str, dt.date], rhythm: Fields | str, length: str | None, begin: int, days: int
) -> None:
    """The periods of a stretch of dates, both inclusive, are those of all dues whose date lies in it."""
    made = (
        schedule(every=rhythm, timezone=place[0], period=length)
        if isinstance(rhythm, str)
        else schedule(cron=rhythm.text, timezone=place[0], period=length)
    )
    since = place[1] + begin * _DAY
    until = since + days * _DAY
    noon = dt.datetime.combine(place[1], dt.time(12), tzinfo=dt.UTC)
    all_of_them = map(made.period, made.dues(noon - 4 * _DAY, noon + 20 * _DAY))
    assert list(made.periods(since, until)) == [period for period in all_of_them if since <= period.date <= until]


def test_skipped_hour_runs_once_where_the_clocks_jump() -> None:
    """A daily run at 02:30 is due at 03:00 in the night in which there is no 02:30; its periods meet there."""
    daily = schedule(cron="30 2 * * *", timezone="America/New_York", period="1d")
    dues = list(daily.dues(dt.datetime(2013, 3, 9, tzinfo=dt.UTC), dt.datetime(2013, 3, 12, tzinfo=dt.UTC)))
    assert [due.isoformat() for due in dues] == [
        "2013-03-09T02:30:00-05:00",
        "2013-03-10T03:00:00-04:00",
        "2013-03-11T02:30:00-04:00",
    ]
    assert [daily.period(due).name for due in dues] == ["2013-03-08", "2013-03-09", "2013-03-10"]
    assert daily.period(dues[2]).start == dues[1]


def test_repeated_hour_runs_once_the_first_time() -> None:
    """A daily run at 01:30 is not due again when the clocks go back to 01:00, nor is it due before then a second time."""
    daily = schedule(cron="30 1 * * *", timezone="America/New_York")
    first = dt.datetime(2013, 11, 3, 5, 30, tzinfo=dt.UTC)
    second = first + dt.timedelta(hours=1)
    assert daily.next(first - _MINUTE) == daily.previous(second) == first
    assert daily.previous(second - 20 * _MINUTE) == first  # 01:10 again, which is after 01:30
    assert daily.next(first) == daily.next(second - _MINUTE) == first + dt.timedelta(hours=25)


def test_hour_that_comes_twice_has_two_names() -> None:
    """Elapsed hours go on while the clock repeats one: both have their periods, of names of their own."""
    hourly = schedule(every="1h", timezone="America/New_York")
    begun = dt.datetime(2013, 11, 3, 5, tzinfo=dt.UTC)
    periods = [hourly.period(due) for due in itertools.islice(hourly.dues(begun), 3)]
    assert [period.name for period in periods] == ["2013-11-03T0100", "2013-11-03T0100-again", "2013-11-03T0200"]
    assert [period.end - period.start for period in periods] == [dt.timedelta(hours=1)] * 3
    days = schedule(every="1h", timezone="America/New_York", period="1d")
    names = [days.period(due).name for due in itertools.islice(days.dues(begun - _MINUTE), 3)]
    assert names == ["2013-11-02T0100", "2013-11-02T0100-again", "2013-11-02T0200"]
    assert periods[0].label == "3 November 2013, 01:00 (-04:00) to 01:00 (-05:00)"


@pytest.mark.parametrize(
    ("cron", "dues", "names"),
    [
        ("0 6 * * *", ["29T06:00", "31T00:00", "31T06:00"], ["28", "29", "30"]),
        ("0 0 * * *", ["29T00:00", "31T00:00"], ["28", "29"]),
    ],
)
def test_skipped_day(cron: str, dues: list[str], names: list[str]) -> None:
    """Samoa had no 30 December 2011: what was due in it is due as the 31st begins, and nothing is left out of the periods."""
    daily = schedule(cron=cron, timezone="Pacific/Apia", period="1d")
    found = list(daily.dues(dt.datetime(2011, 12, 29, 4, tzinfo=dt.UTC), dt.datetime(2011, 12, 30, 23, tzinfo=dt.UTC)))
    assert [due.isoformat()[8:16] for due in found] == dues
    assert [daily.period(due).name[8:] for due in found] == names


def test_day_before_that_is_skipped_is_not_an_empty_period() -> None:
    """A run of 31 December alone is of a day that Samoa did not have: it takes as much elapsed time instead."""
    lone = schedule(cron="0 0 31 12 *", timezone="Pacific/Apia", period="1d")
    period = lone.period(lone.next(dt.datetime(2011, 12, 1, tzinfo=dt.UTC)))
    assert (period.end - period.start, period.name) == (_DAY, "2011-12-30")


def test_times_compare_as_instants() -> None:
    """All times have fixed offsets, so that an hour that comes twice is not one to Python, and they are as their text is."""
    hourly = schedule(every="1h", timezone="America/New_York")
    first, second = itertools.islice(hourly.dues(dt.datetime(2013, 11, 3, 4, tzinfo=dt.UTC)), 2)
    assert first.replace(tzinfo=None) == second.replace(tzinfo=None)
    assert second > first
    assert second - first == dt.timedelta(hours=1)
    assert dt.datetime.fromisoformat(second.isoformat()).tzinfo == second.tzinfo


def test_period_of_a_time_that_is_not_due() -> None:
    """A schedule that was changed still has periods of the runs that the old one made: to then, from then back."""
    due = dt.datetime(2013, 2, 9, 12, 34, tzinfo=dt.UTC)
    assert schedule(cron="0 6 * * *", period="1d").period(due) == Period(due - _DAY, due, "2013-02-08")
    assert schedule(cron="0 6 * * *").period(due).start == due.replace(hour=6, minute=0)


def test_name_of_a_period_alone() -> None:
    """A period that nobody named is of a date if it is a day on the clock, even one of 23 hours, else of a time."""
    zone = ZoneInfo("America/New_York")
    day = Period(*(dt.datetime(2013, 3, number, tzinfo=zone).astimezone(zone) for number in (10, 11)))
    assert (day.name, day.date, day.due) == ("2013-03-10", dt.date(2013, 3, 10), day.end)
    noon = dt.datetime(2013, 3, 10, 12, tzinfo=dt.UTC)
    assert Period(noon, noon + _MINUTE).name == "2013-03-10T1200"
    assert Period(noon + dt.timedelta(seconds=5), noon + _MINUTE).name == "2013-03-10T120005"


@pytest.mark.parametrize(
    ("start", "end", "label"),
    [
        ("2013-12-30", "2014-01-06", "30 December 2013 to 5 January 2014"),
        ("2013-02-04", "2013-02-11", "4 to 10 February 2013"),
        ("2013-02-09T06:00", "2013-02-10T06:00", "9 February 2013, 06:00 to 10 February 2013, 06:00"),
        ("2013-02-09T06:00", "2013-02-09T06:00:30", "9 February 2013, 06:00:00 to 06:00:30"),
        ("2013-02-09T18:00", "2013-02-10", "9 February 2013, 18:00 to 10 February 2013, 00:00"),
    ],
)
def test_label(start: str, end: str, label: str) -> None:
    """A label says whole days as such, and no more than a person needs."""
    assert Period(*(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC) for text in (start, end))).label == label


def test_dues_are_lazy() -> None:
    """A due is found from where it is asked, without walking there, and only when somebody takes it."""
    begun = time.perf_counter()
    dues = schedule(cron="* * * * *", timezone="America/New_York").dues(dt.datetime(2500, 1, 1, tzinfo=dt.UTC))
    assert next(dues).isoformat() == "2499-12-31T19:01:00-05:00"
    assert schedule(every="1s").previous(dt.datetime(2500, 1, 1, tzinfo=dt.UTC)).year == 2500
    assert time.perf_counter() - begun < 0.5


def test_year_takes_no_time() -> None:
    """A year of a daily, a weekly, an hourly and an elapsed schedule, with all periods, is had at once."""
    begun = time.perf_counter()
    year = [dt.datetime(number, 1, 1, tzinfo=dt.UTC) for number in (2025, 2026)]
    counts = []
    for given_so in ({"cron": "0 6 * * *"}, {"cron": "0 9 * * MON"}, {"every": "1d"}, {"every": "1h"}):
        made = schedule(timezone="America/New_York", period="1d", **given_so)
        counts.append(len([made.period(due) for due in made.dues(*year)]))
    assert counts == [365, 52, 365, 8760]
    assert time.perf_counter() - begun < 5  # a tenth of it, on a machine that does nothing else


@pytest.mark.parametrize(
    ("cron", "message", "fix"),
    [
        ("0 25 * * *", "'25' is no hour", "Hours are 0-23"),
        ("61 * * * *", "'61' is no minute", "Minutes are 0-59"),
        ("0 0 0 * *", "'0' is no day of month", "Days are 1-31"),
        ("0 0 * JUNE *", "'JUNE' is no month", "Write JUN."),
        ("0 0 * * monday", "'monday' is no day of week", "Write MON."),
        ("0 0 * * FRI-SUN", "'FRI-SUN' is no day of week", "write 5-6,0."),
        ("0 22-6 * * *", "'22-6' is no hour", "write 22-23,0-6."),
        ("*/0 * * * *", "'*/0' is no minute", "A step is at least 1."),
        ("0 0 ? * MON", "'?' is no day of month", "Write * for any."),
        ("0 0 30 2 *", "never comes", "Write L for the last day"),
        ("@daily", "five fields", 'Write "0 0 * * *".'),
        ("0 0 6 * * *", "five fields", 'Leave out the seconds: "0 6 * * *".'),
        ("6 * *", "five fields", "minute, hour, day of month"),
        ("", "five fields", "minute, hour"),
        ("0 " + "9" * 5000 + " * * *", "is no hour", "Hours are 0-23"),
    ],
)
def test_bad_cron_names_its_fix(cron: str, message: str, fix: str) -> None:
    """What is wrong with an expression is said of the field, with what to write instead."""
    with pytest.raises(InvalidArgument) as caught:
        schedule(cron=cron)
    assert message in caught.value.message
    assert fix in caught.value.hint
    assert len(str(caught.value)) < 300


def test_fix_of_a_range_is_a_cron() -> None:
    """What the errors tell to write can be written, and means what was meant."""
    friday = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
    dues = itertools.islice(schedule(cron="0 0 * * 5-6,0").dues(friday - _MINUTE), 4)
    assert [due.strftime("%a") for due in dues] == ["Fri", "Sat", "Sun", "Fri"]


@pytest.mark.parametrize("both", [{}, {"cron": "0 6 * * *", "every": "1h"}])
def test_one_of_cron_and_every(both: dict[str, str]) -> None:
    """A schedule has one rhythm."""
    with pytest.raises(InvalidArgument, match="one of cron and every"):
        schedule(**both)
