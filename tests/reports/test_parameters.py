"""The values of a period in parameters."""

from __future__ import annotations

import datetime as dt

import pytest

from eventlab.errors import InvalidArgument
from eventlab.reports.calendar.schedules import Period, schedule
from eventlab.reports.configuration import parameters

_PERIOD = Period(*(dt.datetime(2013, 2, day, 6, tzinfo=dt.timezone(dt.timedelta(hours=-5))) for day in (9, 10)))


def test_each_name_has_its_value() -> None:
    """Start and end are ISO 8601 with the offset, the date is the start's, the name the report's; blanks are free."""
    given = {"a": "{{ start }}", "b": "to {{end}}", "c": "{{  date  }}/{{ name }}"}
    assert parameters.filled(given, _PERIOD, "daily") == {
        "a": "2013-02-09T06:00:00-05:00",
        "b": "to 2013-02-10T06:00:00-05:00",
        "c": "2013-02-09/daily",
    }


def test_other_values_stay_as_they_are() -> None:
    """Numbers, truth, dates and texts without braces are passed on, of the same type; lists are filled within, and copied."""
    given = {
        "n": 3,
        "x": 0.5,
        "on": True,
        "day": dt.date(2013, 1, 1),
        "json": '{"a": {"b": 1}}',
        "many": ["{{ date }}", 1],
    }
    found = parameters.filled(given, _PERIOD, "daily")
    assert found == {**given, "many": ["2013-02-09", 1]}
    assert [type(value) for value in found.values()] == [type(value) for value in given.values()]
    assert given["many"] == ["{{ date }}", 1]


def test_date_of_a_skipped_start_is_the_periods_name() -> None:
    """Where the clocks skipped the start, the date is the one that the file has in its name."""
    daily = schedule(cron="0 6 * * *", timezone="Pacific/Apia", period="1d")
    period = daily.period(daily.next(dt.datetime(2011, 12, 30, 11, tzinfo=dt.UTC)))
    assert parameters.fill("{{ date }}", period, "daily") == period.name == "2011-12-30"
    assert period.start.date() == dt.date(2011, 12, 31)


def test_a_value_is_no_template() -> None:
    """What is put in is not read again."""
    assert parameters.fill("{{ name }}", _PERIOD, "{{ date }}") == "{{ date }}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ dat }}", "'{{ dat }}' is not known. Did you mean {{ date }}?"),
        ("{{ date - 1d }}", "'{{ date - 1d }}' is not known"),
        ("{{ }}", "'{{ }}' is not known"),
        ("{{ date", "'{{ date' has '{{' without an end"),
        ("{{ date }} {{", "without an end"),
        ("{{ {{ date }} }}", "is not known"),
    ],
)
def test_unknown_names_are_errors(text: str, message: str) -> None:
    """Double braces with anything else in them are an error that says what there is."""
    with pytest.raises(InvalidArgument) as caught:
        parameters.filled({"day": ["x", text]}, _PERIOD, "daily")
    assert message in caught.value.message
    assert "{{ start }}, {{ end }}, {{ date }}" in caught.value.hint
