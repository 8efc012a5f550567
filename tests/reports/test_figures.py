"""Figures: what can be one, how it is shown, kept and compared."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventlab as el
from eventlab.reports import figures
from eventlab.reports.figures import Figure, changes, collecting, figure, figure_of, read

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(max_size=50),
    st.dates(),
    st.datetimes(timezones=st.just(dt.UTC)),
)


@given(VALUES)
def test_a_figure_survives_json(value: Any) -> None:
    """It is read to the same value and the same type, and does not differ from itself."""
    made = figure("x", value)
    again = figure_of(json.loads(json.dumps(made.plain())))
    assert type(again.value) is type(made.value)
    assert changes([made], [again]) == []
    assert str(again.value) == str(made.value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234567, "1,234,567"),
        (1234.5, "1,234.5"),
        (0.25, "0.25"),
        (Decimal("1234.50"), "1,234.50"),
        (True, "yes"),
        (None, "\N{EN DASH}"),
        (dt.date(2013, 2, 9), "2013-02-09"),
        ("EWR", "EWR"),
    ],
)
def test_a_figure_is_shown_to_a_person(value: Any, shown: str) -> None:
    """Numbers are grouped; nothing is a dash."""
    assert figure("x", value).shown == shown


def test_a_unit_follows_the_value() -> None:
    """With a blank that does not break, but for the per cent sign."""
    assert figure("delay", 12.5, unit="min").shown == "12.5\N{NO-BREAK SPACE}min"
    assert figure("share", 12.5, unit="%").shown == "12.5%"


def test_numbers_of_other_libraries_become_pythons() -> None:
    """NumPy's and Polars' scalars are plain numbers."""
    assert type(figure("x", np.int64(3)).value) is int
    assert type(figure("x", np.float32(0.5)).value) is float
    assert figure("x", pl.Series([7])).value == 7


@pytest.mark.parametrize("name", ["", "two words", "1st", "a-b", 7])
def test_a_name_that_a_condition_cannot_have_is_refused(name: Any) -> None:
    """A figure is a variable of conditions."""
    with pytest.raises(el.InvalidArgument, match="identifier"):
        figure(name, 1)


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, object(), "x" * 1001, dt.datetime(2020, 1, 1), 1j])  # noqa: DTZ001 - without a zone
def test_what_is_no_figure_is_refused(value: Any) -> None:
    """Nor is a time without a zone, which would be another moment elsewhere."""
    with pytest.raises(el.InvalidArgument, match="figure 'x'"):
        figure("x", value)


def test_figures_are_collected_in_order_and_once() -> None:
    """Two of one name would leave it open which of them an alert means."""
    with collecting() as found:
        figure("a", 1)
        figure("b", 2)
        with pytest.raises(el.InvalidArgument, match="'a' is declared twice"):
            figure("a", 3)
    assert [(one.name, one.value) for one in found] == [("a", 1), ("b", 2)]


def test_changes_say_what_and_by_how_much() -> None:
    """Those that went and those that came are told too."""
    before = [Figure("n", 472), Figure("gone", 1), Figure("same", "x"), Figure("money", Decimal("1.50"))]
    after = [Figure("same", "x"), Figure("n", 475), Figure("money", Decimal("1.75")), Figure("new", 2)]
    assert [change.told for change in changes(before, after)] == [
        "n: 472 -> 475 (+3)",
        "gone: 1 -> absent",
        "money: 1.50 -> 1.75 (+0.25)",
        "new: absent -> 2",
    ]


@pytest.mark.parametrize(
    ("old", "new", "differ"),
    [
        (0.1 + 0.2, 0.3, False),
        (0.3, 0.3001, True),
        (math.nan, math.nan, False),
        (1, True, True),
        (1, 1.0, False),
        (Decimal("1.0"), Decimal("1.00"), False),
        (None, 0, True),
        (math.inf, -math.inf, True),
    ],
)
def test_values_are_compared_as_values(old: Any, new: Any, *, differ: bool) -> None:
    """Doubles in their first nine digits, since the order of a sum is not promised."""
    assert bool(changes([Figure("x", old)], [Figure("x", new)])) is differ


@pytest.mark.parametrize(
    ("text", "like", "value"),
    [
        ("3", 1, 3),
        ("2.5", 1.0, 2.5),
        ("no", True, False),
        ("1.50", Decimal(1), Decimal("1.50")),
        ("2013-02-09", dt.date(2000, 1, 1), dt.date(2013, 2, 9)),
        ("3", "text", "3"),
        ("3", None, "3"),
    ],
)
def test_a_text_is_read_as_its_default_is(text: str, like: Any, value: Any) -> None:
    """What the shell gives is text."""
    found = read(text, like)
    assert (found, type(found)) == (value, type(value))


def test_a_text_that_is_no_such_value_is_refused() -> None:
    """The error says a value that would do."""
    with pytest.raises(el.InvalidArgument, match="Give a value like 3"):
        read("three", 3)


def test_figures_of_a_kernel_are_known_across_its_cells() -> None:
    """Each cell has a context of its own, so they are kept with the process."""
    figures.collect_from_here()
    try:
        figure("a", 1)
        with pytest.raises(el.InvalidArgument, match="declared twice"):
            figure("a", 1)
    finally:
        figures._of_kernel.clear()
