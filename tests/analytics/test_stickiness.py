"""Stickiness: in how many periods the actors are active."""

from __future__ import annotations

import collections
import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from calendars import ZONE, Row, life, load, logs, number, ranges, recorded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    import eventlab as el

SLOW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def log() -> Iterator[el.EventLog]:
    """Yield three users over four days: ada on three of them, bob and eve on one, bob twice."""
    days = {"ada": (1, 2, 4), "bob": (2, 2), "eve": (3,)}
    rows = [
        Row(user, "In", dt.datetime(2026, 3, day, 9, tzinfo=dt.UTC), user)
        for user, some in days.items()
        for day in some
    ]
    with recorded(rows) as made:
        yield made


def test_stickiness_of_three_users(log: el.EventLog) -> None:
    """By hand: two on one day, nobody on two or four, one on three."""
    found = log.stickiness(every="1d").pl()
    assert found.columns == ["periods_active", "actors", "share"]
    assert found.rows() == [(1, 2, 2 / 3), (2, 0, 0.0), (3, 1, 1 / 3), (4, 0, 0.0)]
    assert log.stickiness(every="1mo").pl().rows() == [(1, 3, 1.0)]


def test_only_what_is_asked_for_counts(log: el.EventLog) -> None:
    """From since to until, of events that count, for actors that there are."""
    found = log.stickiness(every="1d", since="2026-03-02", until="2026-03-04")
    assert found.pl().rows() == [(1, 3, 1.0), (2, 0, 0.0)]
    load(log, [Row("x", "Buy", dt.datetime(2026, 3, 4, 9, tzinfo=dt.UTC))])
    bought = log.stickiness(every="1d", where="event_type = 'Buy'", by="actor")
    assert bought.pl().rows() == [(number, 0, None) for number in (1, 2, 3, 4)]
    assert bought.unattributed() == 1


def test_behind_a_number_are_its_actors(log: el.EventLog) -> None:
    """Those who are active in so many periods; in any, when no number is said."""
    found = log.stickiness(every="1d")
    assert found.actors(periods_active=1).pl()["actor"].to_list() == ["bob", "eve"]
    assert found.actors(periods_active=4).pl().is_empty()
    assert found.actors().pl()["actor"].to_list() == ["ada", "bob", "eve"]


def test_a_view_has_the_stickiness_of_its_moment(log: el.EventLog) -> None:
    """At the 2nd, nothing is known of the 3rd; its SQL runs as it is."""
    view = log.at("2026-03-02T12:00")
    found = view.stickiness(every="1d")
    assert found.pl().rows() == [(1, 1, 0.5), (2, 1, 0.5)]
    assert view.sql(found.sql).pl().equals(found.pl())
    assert "calendar days of UTC" in found.definition


def test_an_empty_log_has_no_periods() -> None:
    """Nothing is wrong with a log that has no events yet."""
    with recorded([]) as log:
        assert log.stickiness().pl().is_empty()


@pytest.mark.parametrize("periods_active", [0, -1, "1", 1.5, True])
def test_a_cell_that_is_none_is_refused(log: el.EventLog, periods_active: Any) -> None:
    """How many periods is a whole number, one or more."""
    with pytest.raises(InvalidArgument) as error:
        log.stickiness(every="1d").actors(periods_active=periods_active)
    assert "1 or more" in error.value.hint


def test_a_period_has_a_unit(log: el.EventLog) -> None:
    """A bare number is refused."""
    with pytest.raises(InvalidArgument, match="no duration"):
        log.stickiness(every=7)  # type: ignore[arg-type]


@SLOW
@given(logs(), st.data(), st.randoms(use_true_random=False))
def test_stickiness_is_the_oracles(rows: list[Row], data: st.DataObject, chance: random.Random) -> None:
    """The numbers are those that are counted one by one, whatever the order of the input; shares add up to one."""
    since, until = data.draw(ranges(rows))
    every = data.draw(st.sampled_from(["1d", "1w", "2d", "1mo", "6h"]))
    zone = data.draw(st.sampled_from([ZONE, "UTC", "Asia/Kolkata"]))
    options = {"every": every, "timezone": zone, "by": "actor", "since": since, "until": until}
    active = collections.defaultdict(set)
    for row in rows:
        if row.user and (since is None or row.at >= since) and (until is None or row.at < until):
            active[row.user].add(number(row.at, every, zone))
    lived = life(rows, every, zone, since, until)
    periods = 0 if lived is None else max(0, lived.last - lived.first + 1)
    with recorded(rows, ZONE) as log, recorded(chance.sample(rows, len(rows)), ZONE) as other:
        found = log.stickiness(**options)
        expected = [sum(len(some) == count for some in active.values()) for count in range(1, periods + 1)]
        shown = found.pl()
        assert shown["periods_active"].to_list() == list(range(1, periods + 1))
        assert shown["actors"].to_list() == expected
        assert not active or abs(shown["share"].sum() - 1) < 1e-9
        assert log.sql(found.sql).pl().equals(shown)
        assert other.stickiness(**options).pl().equals(shown)
        for count in range(1, min(periods, 5) + 1):
            names = sorted(user for user, some in active.items() if len(some) == count)
            assert found.actors(periods_active=count).pl()["actor"].to_list() == names
