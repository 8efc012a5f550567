"""The lifecycle: who is new, returning, resurrecting and dormant in each period."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from calendars import ZONE, Row, begins, life, load, logs, number, plain, ranges, recorded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

    import eventlab as el

SLOW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
OUTCOMES = ("new", "returning", "resurrecting", "dormant")


def at(day: float) -> dt.datetime:
    """Return noon of 1 March, so many days later."""
    return dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC) + dt.timedelta(days=day)


@pytest.fixture
def log() -> Iterator[el.EventLog]:
    """Yield three users over five days: ada on the 1st, 2nd and 5th, bob on the 2nd and 3rd, eve on the 5th."""
    days = {"ada": (0, 1, 1, 4), "bob": (1, 2), "eve": (4,)}
    with recorded([Row(user, "In", at(day), user) for user, some in days.items() for day in some]) as made:
        yield made


def test_a_lifecycle_of_three_users(log: el.EventLog) -> None:
    """By hand, day by day; a day on which nobody comes has a row."""
    found = log.lifecycle(every="1d").pl()
    assert found.columns == ["period_start", *OUTCOMES, "partial"]
    assert found.select(OUTCOMES).rows() == [(1, 0, 0, 0), (1, 1, 0, 0), (0, 1, 0, 1), (0, 0, 0, 1), (1, 0, 1, 0)]
    assert found["partial"].to_list() == [True, False, False, False, True]
    assert found["period_start"][0] == dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def test_who_came_before_since_is_not_new(log: el.EventLog) -> None:
    """Being new and having been there are looked for before since; until ends it."""
    found = log.lifecycle(every="1d", since="2026-03-02", until="2026-03-04").pl()
    assert found.select(OUTCOMES).rows() == [(1, 1, 0, 0), (0, 1, 0, 1)]
    late = log.lifecycle(every="1d", since="2026-03-05").pl()
    assert late.select(OUTCOMES).rows() == [(1, 0, 1, 0)]


def test_a_period_that_since_divides_has_only_what_comes_after() -> None:
    """Who came on the 1st, but before since, is not active there: on the 2nd resurrecting, not returning, nor dormant."""
    days = {"ada": (0, 1), "bob": (0,), "eve": (0.2, 1.5), "joe": (-1, 0, 1.5)}
    with recorded([Row(user, "In", at(day), user) for user, some in days.items() for day in some]) as log:
        found = log.lifecycle(every="1d", since=at(0.1)).pl().select(OUTCOMES)
        assert found.rows() == [(1, 0, 0, 1), (0, 0, 1, 1), (0, 0, 2, 1)]
        assert log.lifecycle(every="1d", since=at(0)).pl().select(OUTCOMES).rows()[0] == (3, 1, 0, 0)


def test_only_events_that_count_make_active(log: el.EventLog) -> None:
    """With where, new is who does that for the first time; actors that are NULL are left out, and counted."""
    load(log, [Row("ada", "Buy", at(4.1), "ada"), Row("x", "Buy", at(4.1))])
    found = log.lifecycle(every="1d", where="event_type = 'Buy'", by="actor")
    assert found.pl().select(OUTCOMES).rows() == [(0, 0, 0, 0)] * 4 + [(1, 0, 0, 0)]
    assert found.unattributed() == 1


def test_behind_a_number_are_its_actors(log: el.EventLog) -> None:
    """Those of each outcome by name; active are all who have an event."""
    found = log.lifecycle(every="1d")
    assert found.actors(period_start="2026-03-05", outcome="resurrecting").pl()["actor"].to_list() == ["ada"]
    assert found.actors(period_start="2026-03-03", outcome="dormant").pl()["actor"].to_list() == ["ada"]
    assert found.actors(period_start="2026-03-05").pl()["actor"].to_list() == ["ada", "eve"]
    assert found.actors(period_start="2026-03-06", outcome="dormant").pl().is_empty()  # it is in no row


def test_a_view_has_the_lifecycle_of_its_moment(log: el.EventLog) -> None:
    """At the 3rd, nothing is known of the 5th; its SQL runs as it is."""
    view = log.at("2026-03-03T12:00")
    found = view.lifecycle(every="1d")
    assert found.pl().height == 3
    assert view.sql(found.sql).pl().equals(found.pl())
    assert "calendar days of UTC" in found.definition


def test_an_empty_log_has_no_periods() -> None:
    """Nothing is wrong with a log that has no events yet."""
    with recorded([]) as log:
        assert log.lifecycle().pl().is_empty()
        assert log.lifecycle(since="2026-01-01", until="2026-02-01").pl().is_empty()


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ({"period_start": "2026-03-02", "outcome": "churned"}, "There are: active, dormant, new"),
        ({"outcome": "new"}, "period_start="),
        ({"period_start": "2026-03-02T05:00"}, "begins at 2026-03-02"),
    ],
)
def test_a_cell_that_is_none_is_refused(log: el.EventLog, cell: dict[str, Any], hint: str) -> None:
    """Who is behind a number can be asked only of numbers that there are."""
    with pytest.raises(InvalidArgument) as error:
        log.lifecycle(every="1d").actors(**cell)
    assert hint in error.value.hint


def test_a_period_has_a_unit(log: el.EventLog) -> None:
    """A bare number is refused."""
    with pytest.raises(InvalidArgument, match="no duration"):
        log.lifecycle(every=7)  # type: ignore[arg-type]


def states(
    rows: Sequence[Row], every: str, zone: str, since: dt.datetime | None, until: dt.datetime | None
) -> dict[int, dict[str, set[str]]]:
    """Return the actors of each outcome by period, in plain Python."""
    lived = life(rows, every, zone, since, until)
    if lived is None:
        return {}
    known = [row for row in rows if row.user and (until is None or row.at < until)]
    first = -(10**9) if since is None else number(since, every, zone)

    def active(period: int) -> set[str]:
        here = [row for row in known if number(row.at, every, zone) == period]
        return {str(row.user) for row in here if period != first or since is None or row.at >= since}

    seen = {
        user: min(number(row.at, every, zone) for row in known if row.user == user) for user in {r.user for r in known}
    }
    found = {}
    for period in range(lived.first, lived.last + 1):
        now, before = active(period), active(period - 1)
        new = {user for user in now if seen[user] == period}
        found[period] = {
            "new": new,
            "returning": now & before,
            "resurrecting": now - before - new,
            "dormant": before - now,
        }
    return found


@SLOW
@given(logs(), st.data())
def test_a_lifecycle_is_the_oracles(rows: list[Row], data: st.DataObject) -> None:
    """Numbers and names are those that are found one by one, and what is active adds up, and is the trend of actors."""
    since, until = data.draw(ranges(rows))
    every = data.draw(st.sampled_from(["1d", "1w", "2d", "1mo", "6h"]))
    zone = data.draw(st.sampled_from([ZONE, "UTC", "Asia/Kolkata"]))
    options = {"every": every, "timezone": zone, "by": "actor", "since": since, "until": until}
    with recorded(rows, ZONE) as log:
        found = log.lifecycle(**options)
        expected = states(rows, every, zone, since, until)
        lived = life(rows, every, zone, since, until)
        shown = found.pl()
        assert plain(shown) == [
            (
                begins(period, every, zone),
                *(len(sets[name]) for name in OUTCOMES),
                lived and lived.partial(period, every, zone),
            )
            for period, sets in expected.items()
        ]
        assert log.sql(found.sql).pl().equals(shown)
        active = [sum(row[name] for name in OUTCOMES[:3]) for row in shown.to_dicts()]
        assert shown["dormant"].to_list()[1:] == [
            before - returning for before, returning in zip(active, shown["returning"].to_list()[1:], strict=False)
        ]
        assert log.trend("count(DISTINCT actor)", **options).pl()["value"].to_list() == active
        for period, sets in list(expected.items())[:4]:
            for name in OUTCOMES:
                behind = found.actors(period_start=begins(period, every, zone), outcome=name)
                assert behind.pl()["actor"].to_list() == sorted(sets[name])


@SLOW
@given(logs(fewest=1), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(rows: list[Row], chance: random.Random) -> None:
    """Shuffled events give the same lifecycle."""
    with recorded(rows, ZONE) as log, recorded(chance.sample(rows, len(rows)), ZONE) as other:
        assert log.lifecycle(every="1d").pl().equals(other.lifecycle(every="1d").pl())
