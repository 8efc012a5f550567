"""Instants, durations and bases: against slow oracles, at the edges of the calendar and where clocks are changed."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlab import moments
from eventlab.errors import InvalidArgument
from eventlab.moments import Basis, basis, duration, instant, moment_of, zone

NEW_YORK, TOKYO, UTC = ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo"), ZoneInfo("UTC")
_ZONES = st.sampled_from([UTC, NEW_YORK, TOKYO, ZoneInfo("Asia/Kathmandu"), ZoneInfo("Australia/Lord_Howe")])


def _microseconds(moment: dt.datetime) -> int:
    """Return an aware datetime's instant by counting days, without datetime's own subtraction."""
    offset = moment.utcoffset()
    assert offset is not None
    days = moment.toordinal() - dt.date(1970, 1, 1).toordinal()
    seconds = days * 86_400 + moment.hour * 3600 + moment.minute * 60 + moment.second
    return (seconds - offset.days * 86_400 - offset.seconds) * 1_000_000 + moment.microsecond - offset.microseconds


def test_text_a_date_and_a_datetime_say_the_same_instant() -> None:
    """Without an offset they are read in the given zone: midnight in New York is 05:00 UTC."""
    expected = 1_772_341_200_000_000
    assert instant("2026-03-01", NEW_YORK) == expected
    assert instant(" 2026-03-01T00:00 ", NEW_YORK) == expected
    assert instant(dt.date(2026, 3, 1), NEW_YORK) == expected
    assert instant(dt.datetime(2026, 3, 1), NEW_YORK) == expected  # noqa: DTZ001 - naive on purpose
    assert instant("2026-03-01T05:00:00Z", TOKYO) == expected
    assert instant(dt.datetime(2026, 3, 1, 14, tzinfo=TOKYO), UTC) == expected


def test_a_time_that_the_clocks_skip_is_moved_on() -> None:
    """On 8 March 2026 02:30 does not exist in New York; one hour of gap later it is 03:30, 07:30 UTC."""
    assert moment_of(instant("2026-03-08T02:30", NEW_YORK), NEW_YORK).isoformat() == "2026-03-08T03:30:00-04:00"


def test_of_a_time_that_comes_twice_the_first_is_meant() -> None:
    """On 1 November 2026 01:30 is there twice; ``fold`` or an offset choose the second."""
    first = instant("2026-11-01T01:30", NEW_YORK)
    second = dt.datetime(2026, 11, 1, 1, 30, fold=1)  # noqa: DTZ001 - naive on purpose
    assert moment_of(first).hour == 5
    assert instant(second, NEW_YORK) - first == 3_600_000_000
    assert instant("2026-11-01T01:30-05:00", NEW_YORK) - first == 3_600_000_000


@given(st.datetimes(dt.datetime(1, 1, 3), dt.datetime(9999, 12, 29)), _ZONES)  # noqa: DTZ001 - naive on purpose
def test_an_instant_is_what_counting_says(naive: dt.datetime, timezone: ZoneInfo) -> None:
    """Naive and aware datetimes, and their texts, agree with counting by hand."""
    aware = naive.replace(tzinfo=timezone)
    assert instant(naive, timezone) == instant(aware, UTC) == _microseconds(aware)
    assert instant(naive.isoformat(), timezone) == _microseconds(aware)


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999), _ZONES)
def test_an_instant_survives_the_way_out_and_back(microseconds: int, timezone: ZoneInfo) -> None:
    """Every instant of the years 1 to 9999 can be shown in every zone, and read again."""
    moment = moment_of(microseconds, timezone)
    assert moment.utcoffset() is not None
    assert instant(moment, UTC) == microseconds


def test_the_edges_of_the_calendar_are_instants() -> None:
    """The first and the last microsecond that Python knows, in UTC."""
    assert instant("0001-01-01", UTC) == -62_135_596_800_000_000
    assert instant("9999-12-31T23:59:59.999999", UTC) == 253_402_300_799_999_999


def test_an_instant_past_the_calendar_of_a_zone_is_shown_in_utc() -> None:
    """Year 1 in UTC is year 0 in New York: reading a log never fails on it."""
    assert moment_of(-62_135_596_800_000_000, NEW_YORK) == dt.datetime(1, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(("text", "timezone"), [("0001-01-01", TOKYO), ("9999-12-31T23:00", NEW_YORK)])
def test_an_instant_outside_the_calendar_is_refused(text: str, timezone: ZoneInfo) -> None:
    """Midnight of year 1 in Tokyo is in the year before, in UTC."""
    with pytest.raises(InvalidArgument, match="Instants are of the years 1 to 9999 in UTC"):
        instant(text, timezone)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "now",
        "yesterday",
        "2026-02-30",
        "2026-13-01",
        "2026-03-01T25:00",
        "2026-03-01T00:00+24:00",
        "10000-01-01",
        "-0001-01-01",
        "1e9",
        "1772323200",
        "2026-03-01\0",
        "\ud800",
        "basis:5f:p1:r1:open",
        1,
        1.5,
        True,
        None,
        b"2026-03-01",
        (2026, 3, 1),
        dt.time(1),
        pd.NaT,
    ],
)
def test_what_is_no_time_is_refused(value: Any) -> None:
    """Numbers, emptiness, dates that do not exist: the hint says what can be written."""
    with pytest.raises(InvalidArgument, match=r"is no time\n.*ISO 8601"):
        instant(value, UTC)


def test_a_time_of_pandas_is_a_time() -> None:
    """Its nanoseconds are cut off."""
    assert instant(pd.Timestamp("2026-03-01T00:00:00.000001999"), UTC) == 1_772_323_200_000_001


@pytest.mark.parametrize("name", ["", "Mars", "utc", "../etc/passwd", "/etc/localtime", "America", "A\0", "x" * 5000])
def test_what_is_no_zone_is_refused(name: str) -> None:
    """An unknown name, a folder, a path: none leads out of the database of zones."""
    with pytest.raises(InvalidArgument, match="Give an IANA name"):
        zone(name)


@pytest.mark.parametrize("name", ["localtime", "posixrules", "right/UTC", "posix/UTC", None, 5])
def test_the_machine_s_own_zones_are_refused(name: Any) -> None:
    """A log means the same on every machine; with leap seconds it would mean something else."""
    with pytest.raises(InvalidArgument, match="Give an IANA name"):
        zone(name)


@pytest.mark.parametrize("name", ["UTC", "Etc/UTC", "America/New_York", "America/Argentina/Buenos_Aires"])
def test_zones_have_iana_s_names(name: str) -> None:
    """A zone keeps its name."""
    assert zone(name).key == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1us", dt.timedelta(microseconds=1)),
        ("250ms", dt.timedelta(milliseconds=250)),
        ("30m", dt.timedelta(minutes=30)),
        ("1.5h", dt.timedelta(minutes=90)),
        (" 7 d ", dt.timedelta(days=7)),
        ("2w", dt.timedelta(days=14)),
        ("0.1s", dt.timedelta(milliseconds=100)),
        ("999999999d", dt.timedelta(days=999_999_999)),
    ],
)
def test_durations_have_a_number_and_a_unit(text: str, expected: dt.timedelta) -> None:
    """Text says the same as a timedelta, which passes as it is."""
    assert duration(text) == duration(expected) == expected


@given(st.decimals(min_value="0.000001", max_value=10**12, places=6), st.sampled_from(["us", "ms", "s", "m", "h", "d"]))
def test_a_duration_is_exact_to_the_microsecond(number: Any, unit: str) -> None:
    """Against exact fractions: no rounding through a double, parts of a microsecond cut off."""
    units = {"us": 1, "ms": 1000, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86_400 * 10**6}
    expected = int(Fraction(number) * units[unit])
    text = f"{number:f}{unit}"
    if expected == 0 or expected > dt.timedelta.max // dt.timedelta(microseconds=1):
        with pytest.raises(InvalidArgument, match=r"The (shortest|longest) is"):
            duration(text)
    else:
        assert duration(text) // dt.timedelta(microseconds=1) == expected


@pytest.mark.parametrize(
    "value",
    ["", "5", "m", "5M", "-5m", "1h30m", "1e3s", "5 parsecs", "٣h", ".5h", "5.m", "nans", 5, 5.0, True, None, b"5m"],
)
def test_what_is_no_duration_is_refused(value: Any) -> None:
    """A bare number above all: nobody knows its unit."""
    with pytest.raises(InvalidArgument, match=r'Write a number and a unit, like "30m"'):
        duration(value)


@pytest.mark.parametrize("value", ["0s", "0.4us", dt.timedelta(), dt.timedelta(days=-1)])
def test_a_duration_is_above_zero(value: Any) -> None:
    """Nothing and less than nothing are no durations."""
    with pytest.raises(InvalidArgument, match="The shortest is 1us"):
        duration(value)


@pytest.mark.parametrize("value", ["1000000000d", "9" * 400 + "d", "9" * 5000 + "us"])
def test_a_duration_has_a_longest(value: str) -> None:
    """However many digits it has, and the message stays short."""
    with pytest.raises(InvalidArgument, match="The longest is 999999999d") as caught:
        duration(value)
    assert len(str(caught.value)) < 120


_BASES = st.builds(
    Basis,
    st.text("0123456789abcdef", min_size=1, max_size=40),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
    st.none() | st.integers(-(10**18), 10**18),
    st.booleans(),
)


@given(_BASES)
def test_a_basis_s_token_is_read_as_the_same_basis(of: Basis) -> None:
    """The token of a basis is itself again, also with spaces about it."""
    assert basis(str(of)) == basis(f" {of}\n") == of


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-03-01",
        "basis:",
        "basis:5f:p1:r2",
        "basis:5f:p1:r2:",
        "basis:5F:p1:r2:open",
        "basis:5f:p-1:r2:open",
        "basis:5f:p\u0661:r2:open",
        "basis:5f:p1:r2:open;drop",
        "basis:5f:p1:r2:open:correct",
        "basis:5f:p1:r2::corrected",
        "basis:5f:p1:r2:corrected",
        "x basis:5f:p1:r2:open",
        f"basis:5f:p{'9' * 5000}:r1:open",
    ],
)
def test_other_text_is_no_basis(text: str) -> None:
    """What is no token gives None, so that it can be read as a time."""
    assert basis(text) is None


def test_now_is_the_machine_s_clock() -> None:
    """In microseconds since 1970, never going back between two calls here."""
    before = dt.datetime.now(dt.UTC)
    present = moments.now()
    assert before - dt.timedelta(seconds=1) <= moment_of(present) <= dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)
