"""Conditions over figures: what holds, what is not known, what cannot be asked."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlab.errors import QueryError
from eventlab.reports.configuration import conditions
from eventlab.reports.figures import Figure

if TYPE_CHECKING:
    from eventlab.reports.figures import Value

FIGURES = [
    Figure("cancelled", 472),
    Figure("share", 0.5),
    Figure("amount", Decimal("1.50")),
    Figure("worst", "EWR's"),
    Figure("late", True),  # noqa: FBT003 - a value
    Figure("day", dt.date(2013, 2, 9)),
    Figure("last", dt.datetime(2013, 2, 9, 17, tzinfo=dt.UTC)),
    Figure("unknown", None),
    Figure("none", math.nan),
    Figure("order", 3),
    Figure("Mixed", 1),
    Figure("mixed", 2),
]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("cancelled > 300", True),
        ("cancelled > 472", False),
        ("CANCELLED BETWEEN 400 AND 500 -- a comment", True),
        ("share >= 0.5 and not late", False),
        ("amount = 1.5", True),
        ("worst = 'EWR''s' or worst in ('JFK', 'LGA')", True),
        ("late", True),
        ("day = '2013-02-09'", True),
        ("last < '2013-02-09 12:01'", True),  # noon in New York
        ("last < '2013-02-09 12:00'", False),
        ("unknown > 300", None),
        ("unknown is null", True),
        ("coalesce(unknown, 0) > 300", False),
        ("none > 300", None),  # DuckDB has NaN as the greatest number: an alert would fire on nothing
        ('"order" = 3', True),
        ("Mixed = 1 and mixed = 2", True),
        ("case when cancelled > 300 then share > 0.4 else false end", True),
        ("abs(cancelled - 500) < 30", True),
        ("true", True),
        ("null", None),
    ],
)
def test_what_holds(when: str, expected: bool | None) -> None:
    """An expression of SQL over the figures, by their names, is true, false or not known."""
    assert conditions.holds(when, FIGURES, timezone="America/New_York") is expected


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("canceled > 300", "no figure 'canceled'. Did you mean 'cancelled'?\nThere are: Mixed, amount, cancelled, day"),
        ("MIXED > 0", "no figure 'MIXED'"),
        ("figures.cancelled > 3", "no figure 'figures.cancelled'"),
        ("cancelled", "the condition 'cancelled' is neither true nor false\nCompare it"),
        ("cancelled + 1", "neither true nor false"),
        ("worst > 3", "the condition 'worst > 3'"),
        ("cancelled > 'many'", "Could not convert string 'many'"),
        ("nope(cancelled)", "nope does not exist"),
        ("", "cannot be read"),
        ("cancelled >", "cannot be read"),
        ("order > 3", "cannot be read"),
        ("cancelled > 3) or (true", "cannot be read"),
        ("cancelled > 3; select 1", "cannot be read: this is 2 statements"),
        ("cancelled > 3, true", "more than one expression"),
        ("true from events", "more than one expression"),
        ("true where cancelled > 3", "more than one expression"),
        ("true union select false", "more than one expression"),
        ("true limit 0", "more than one expression"),
        ("cancelled > (select 3)", "has a query"),
        ("exists (from '/etc/passwd')", "has a query"),
        ("(select count(*) from read_text('/etc/passwd')) > 0", "has a query"),
        ("read_text('/etc/passwd') = ''", "read_text"),
        ("* is null", "has a star"),
        ("cancelled > $most", "has a parameter"),
        ("row_number() over () > 0", "has a window"),
        ("unnest([true, false])", "has unnest()"),
        ("current_setting('TimeZone') = 'UTC'", "has current_setting()"),
        ("last < now()", "has now"),
        ("day < current_date", "has current_date"),
        ("random() < 0.5", "has random"),
    ],
)
def test_what_cannot_be_asked(when: str, said: str) -> None:
    """What is no expression over figures, or looks beyond them, is an error that says so and what there is."""
    with pytest.raises(QueryError) as caught:
        conditions.holds(when, FIGURES)
    assert said in str(caught.value)


def test_a_report_without_figures() -> None:
    """A condition over a report that declares nothing says how to."""
    with pytest.raises(QueryError, match=r'declares none: el\.figure\("cancelled", value\)'):
        conditions.holds("cancelled > 300", [])


def test_names_of_a_condition() -> None:
    """The figures that a condition is over are known without any."""
    assert conditions.names("a > 1 and (B < 2 or a = 3)") == ["a", "B"]


@settings(max_examples=50, deadline=None)
@given(
    st.text()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=False)
    | st.decimals(-(10**12), 10**12, places=3)
    | st.booleans()
    | st.dates()
    | st.datetimes(timezones=st.just(dt.UTC))
)
def test_a_value_is_only_a_value(value: Value) -> None:
    """Whatever a figure is, it is bound: it is equal to itself, and nothing in it is SQL."""
    assert conditions.holds("x = y", [Figure("x", value), Figure("y", value)]) is True
