"""Periods: calendar days, weeks and months of a zone, and stretches of absolute time."""

from __future__ import annotations

import datetime as dt

import pytest
from calendars import begins, number
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlab import queries
from eventlab.analytics.periods import period
from eventlab.errors import InvalidArgument

ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
INSTANTS = st.datetimes(
    dt.datetime(1950, 1, 1),  # noqa: DTZ001 - its zone follows
    dt.datetime(2045, 1, 1),  # noqa: DTZ001
    timezones=st.just(dt.UTC),
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(INSTANTS, min_size=1, max_size=50),
    st.sampled_from(ZONES),
    st.sampled_from(["1d", "1w", "2d", "1mo", "6h"]),
)
def test_periods_are_those_of_the_calendar(instants: list[dt.datetime], zone: str, every: str) -> None:
    """The number of an instant's period, and where that begins, are Python's; the session's own zone does not matter."""
    of = period(every, zone)
    texts = queries.literal([instant.isoformat() for instant in instants])
    text = f"""
        select {of.number("t")} as number, epoch_us({of.start("number")}), epoch_us({of.start("number + 1")})
        from (select unnest({texts})::timestamptz as t)
    """
    found = queries.rows(queries.connect("Pacific/Auckland"), text)
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    expected = []
    for instant in instants:
        its = number(instant, every, zone)
        ends = [(begins(n, every, zone) - epoch) // dt.timedelta(microseconds=1) for n in (its, its + 1)]
        expected.append((its, *ends))
    assert found == expected


def test_weeks_begin_on_mondays() -> None:
    """A week goes from Monday to Sunday."""
    of = period("1w", "UTC")
    ends = "(values (timestamptz '2026-03-01 23:59Z'), (timestamptz '2026-03-02 00:00Z')) as ends (t)"
    text = f"select {of.date(of.number('t'))} from {ends} order by t"
    assert queries.rows(queries.connect(), text) == [(dt.date(2026, 2, 23),), (dt.date(2026, 3, 2),)]


@pytest.mark.parametrize("every", [5, "5", "0d", "0mo", "-1d", "month", None, True])
def test_what_is_no_period_is_refused_with_its_form(every: object) -> None:
    """A bare number, zero and what has no unit are refused."""
    with pytest.raises(InvalidArgument) as error:
        period(every, "UTC")  # type: ignore[arg-type]
    assert '"1mo"' in error.value.hint


def test_an_unknown_zone_is_refused() -> None:
    """The zone is one of IANA's."""
    with pytest.raises(InvalidArgument, match="no time zone"):
        period("1d", "Mars/Base")
