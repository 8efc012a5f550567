"""Trends: measures by period, their parts, the periods before, and what is partial."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from calendars import BEGUN, KINDS, ZONE, Row, begins, life, load, logs, number, plain, ranges, recorded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlab.errors import InvalidArgument, QueryError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

    import eventlab as el

SLOW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
MARCH = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SEEN = [Row("z-1", kind, BEGUN, country="DE") for kind in KINDS]  # so that there are columns of all
AMOUNT = 'coalesce(Up.amount, "In".amount, Buy.amount)'
COUNTRY = 'coalesce(Up.country, "In".country, Buy.country)'
MEASURES: dict[str, Callable[[Sequence[Row]], Any]] = {
    "count(*)": len,
    "count(DISTINCT actor)": lambda rows: len({row.user for row in rows}),
    f"sum({AMOUNT})": lambda rows: sum(row.amount for row in rows) if rows else None,
    f"max({AMOUNT}) - min({AMOUNT})": lambda rows: (
        max(row.amount for row in rows) - min(row.amount for row in rows) if rows else None
    ),
}


def at(day: float) -> dt.datetime:
    """Return noon of 1 March, so many days later."""
    return MARCH + dt.timedelta(days=day)


@pytest.fixture
def log() -> Iterator[el.EventLog]:
    """Yield purchases: two on the 1st, one on the 2nd, none on the 3rd, three on the 4th."""
    bought = [
        (0, "u", "DE", 5),
        (0, "u", "FR", 7),
        (1, "v", None, 2),
        (3, "u", "DE", 1),
        (3, "v", "other", 3),
        (3, "w", "IT", 2),
    ]
    with recorded(
        [Row(f"s-{user}", "Buy", at(day), user, country, amount) for day, user, country, amount in bought]
    ) as made:
        yield made


def test_a_trend_has_a_row_for_each_period(log: el.EventLog) -> None:
    """By hand: 2, 1, 0, 3; the first day began before the log, the last is not over."""
    found = log.trend("count(*)").pl()
    assert found.columns == ["period_start", "value", "partial"]
    starts = [dt.datetime(2026, 3, day, tzinfo=dt.UTC) for day in (1, 2, 3, 4)]
    assert found.rows() == list(zip(starts, (2, 1, 0, 3), (True, False, False, True), strict=True))


def test_a_gap_has_the_measure_of_nothing(log: el.EventLog) -> None:
    """A sum of nothing is NULL, a count of nothing 0, and what is made of it goes with it."""
    assert log.trend("sum(Buy.amount)").pl()["value"].to_list() == [12, 2, None, 6]
    assert log.trend("coalesce(sum(Buy.amount), -1)").pl()["value"].to_list() == [12, 2, -1, 6]


def test_actor_is_who_acts(log: el.EventLog) -> None:
    """In the measure actor is what by says; elsewhere it is the column."""
    assert log.trend("count(DISTINCT actor)", by="actor").pl()["value"].to_list() == [1, 1, 0, 3]
    assert log.trend("count(DISTINCT actor)", by="Buy.country").pl()["value"].to_list() == [2, 0, 0, 3]
    by_country = log.trend("count(DISTINCT actor)", by="Buy.country", where="actor = 'u'")
    assert by_country.pl()["value"].to_list() == [2, 0, 0, 1]
    assert by_country.unattributed() == 0
    assert log.trend("count(*)", by="Buy.country").unattributed() == 1


def test_the_axis_is_the_life_of_the_log_from_since_to_until(log: el.EventLog) -> None:
    """Periods without events that count are there from the log's first event on, and none outside of it."""
    assert log.trend("count(*)", where="actor = 'v'").pl()["value"].to_list() == [0, 1, 0, 1]
    wide = log.trend("count(*)", since="2025-01-01", until="2027-01-01").pl()
    assert wide["value"].to_list() == [2, 1, 0, 3]
    narrow = log.trend("count(*)", since="2026-03-02", until="2026-03-04").pl()
    assert narrow.select("value", "partial").rows() == [(1, False), (0, False)]
    inside = log.trend("count(*)", since="2026-03-02T06:00", until="2026-03-03T06:00").pl()
    assert inside.select("value", "partial").rows() == [(1, True), (0, True)]
    assert log.trend("count(*)", since="2027-01-01").pl().is_empty()
    assert log.trend("count(*)", until="2025-01-01").pl().is_empty()


def test_periods_are_of_a_calendar() -> None:
    """A Sunday in New York has 23 hours; its start is an instant, shown in the log's zone."""
    rows = [Row("s", "In", dt.datetime(2026, 3, day, 4, 30, tzinfo=dt.UTC)) for day in (8, 9)]
    with recorded(rows) as log:
        found = log.trend("count(*)", timezone="America/New_York").pl()
        starts = [dt.datetime(2026, 3, day, hour, tzinfo=dt.UTC) for day, hour in ((7, 5), (8, 5), (9, 4))]
        assert found["period_start"].to_list() == starts
        assert found["value"].to_list() == [1, 0, 1]
        hours = log.trend("count(*)", every="6h", timezone="America/New_York").pl()  # from midnight UTC
        assert hours["value"].to_list() == [1, 0, 0, 0, 1]
        assert log.trend("count(*)", every="1mo").pl().height == 1


def test_the_top_of_a_breakdown_and_all_others(log: el.EventLog) -> None:
    """The others are measured together, not summed; a value that is called other is one of them, and NULL is a value."""
    found = log.trend("count(DISTINCT actor)", by="actor", breakdown="Buy.country", top=1, since="2026-03-04").pl()
    assert found.columns == ["period_start", "breakdown", "other", "value", "partial"]
    assert found.select("breakdown", "other", "value").rows() == [("DE", False, 1), (None, True, 2)]
    whole = log.trend("sum(Buy.amount)", breakdown="Buy.country", every="1mo").pl()
    assert whole.select("breakdown", "value").rows() == [("FR", 7), ("DE", 6), ("other", 3), ("IT", 2), (None, 2)]
    top = log.trend("sum(Buy.amount)", breakdown="Buy.country", every="1mo", top=3).pl()
    assert top.select("breakdown", "other", "value").rows() == [
        ("FR", False, 7),
        ("DE", False, 6),
        ("other", False, 3),
        (None, True, 4),
    ]
    assert not log.trend("count(*)", breakdown="Buy.country", top=5).pl()["other"].any()  # nothing is left out


def test_a_trend_beside_that_of_the_periods_before(log: el.EventLog) -> None:
    """As many periods before since as there are to until; nothing is known of before the log's first event."""
    found = log.trend("count(*)", since="2026-03-03", until="2026-03-05", compare="previous").pl()
    assert found.columns == ["period_start", "value", "previous", "partial"]
    assert found.select("value", "previous").rows() == [(0, 2), (3, 1)]
    early = log.trend("count(*)", since="2026-03-02", until="2026-03-04", compare="previous").pl()
    assert early.select("value", "previous").rows() == [(1, None), (0, 2)]
    parts = log.trend("count(*)", since="2026-03-04", breakdown="Buy.country", compare="previous")
    assert parts.pl()["previous"].to_list() == [0, 0, 0]
    parts = log.trend("count(*)", since="2026-03-03", breakdown="Buy.country", compare="previous").pl()
    last = parts.filter(period_start=dt.datetime(2026, 3, 4, tzinfo=dt.UTC)).select("breakdown", "value", "previous")
    assert last.rows() == [
        ("DE", 1, 0),
        ("IT", 1, 0),
        ("other", 1, 0),
        ("FR", 0, 0),
        (None, 0, 1),
    ]  # those of before, too


def test_behind_a_cell_are_its_actors(log: el.EventLog) -> None:
    """As many as the trend of distinct actors says: of a period, of a value of the breakdown, of NULL and of all others."""
    found = log.trend("count(DISTINCT actor)", by="actor", breakdown="Buy.country", top=2)
    for start, value, other, count, _ in found.pl().rows():
        cell = {"other": True} if other else {"breakdown": value}
        assert found.actors(period_start=start, **cell).pl().height == count
    assert found.actors(period_start="2026-03-04", other=True).pl()["actor"].to_list() == ["v", "w"]
    assert found.actors(period_start="2026-03-02", breakdown=None).pl()["actor"].to_list() == ["v"]
    assert found.actors(breakdown="other").pl()["actor"].to_list() == ["v"]
    assert found.actors(period_start=dt.date(2026, 3, 1)).pl()["actor"].to_list() == ["u"]
    numbers = log.trend("count(*)", by="actor", breakdown="Buy.amount > 2")
    assert numbers.actors(period_start="2026-03-04", breakdown=True).pl()["actor"].to_list() == ["v"]


def test_the_sql_runs_as_it_is_and_is_pinned(log: el.EventLog) -> None:
    """The SQL gives the rows in log.sql; the result stays that of its basis."""
    options = {"breakdown": "Buy.country -- by land", "top": 2, "compare": "previous", "since": "2026-03-03"}
    found = log.trend("count(*) -- all", **options)
    before = found.pl()
    assert log.sql(found.sql).pl().equals(before)
    load(log, [Row("s-x", "Buy", at(3), "x", "DE", 1)])
    assert found.pl().equals(before)
    assert log.at(found.basis).trend("count(*)", **options).pl().equals(before)
    assert not log.trend("count(*)", **options).pl().equals(before)
    for part in ("count(*)", "calendar days of UTC", "Buy.country", "2 values", "2 periods before"):
        assert part in found.definition


def test_a_view_has_the_trend_of_its_moment(log: el.EventLog) -> None:
    """At noon of the 3rd, the 3rd is the last day, though its log goes on; the 2nd is over."""
    found = log.at("2026-03-03T12:00").trend("count(*)").pl()
    assert found.select("value", "partial").rows() == [(2, True), (1, False), (0, True)]


def test_an_empty_log_has_no_periods() -> None:
    """Nothing is wrong with a log that has no events yet."""
    with recorded([]) as log:
        assert log.trend("count(*)", breakdown="event_type", top=3).pl().is_empty()
        assert log.trend("count(*)", since="2026-01-01", compare="previous").pl().is_empty()
        assert log.trend("count(*)").actors(period_start="2026-01-01").pl().is_empty()


@pytest.mark.parametrize(
    ("options", "kind", "hint"),
    [
        ({"measure": "position"}, QueryError, "count(DISTINCT actor)"),
        ({"measure": "1"}, QueryError, "count(DISTINCT actor)"),
        ({"measure": "sum(Buy.amuont)"}, QueryError, "amount"),
        ({"measure": ""}, QueryError, "over the columns of events"),
        ({"breakdown": "country"}, QueryError, "Buy.country"),
        ({"every": 1}, InvalidArgument, '"1mo"'),
        ({"every": "0d"}, InvalidArgument, '"1mo"'),
        ({"breakdown": "event_type", "top": 0}, InvalidArgument, "1 or more"),
        ({"top": 5}, InvalidArgument, "breakdown="),
        ({"compare": "last"}, InvalidArgument, "previous"),
        ({"compare": "previous"}, InvalidArgument, "since="),
        ({"timezone": "Mars"}, InvalidArgument, "IANA"),
        ({"since": "2026-03-02", "until": "2026-03-02"}, InvalidArgument, "exclusive"),
    ],
)
def test_wrong_use_is_one_clear_error(
    log: el.EventLog, options: dict[str, Any], kind: type[Exception], hint: str
) -> None:
    """What is not of its form is refused when it is asked, with the fix."""
    with pytest.raises(kind) as error:
        log.trend(**{"measure": "count(*)", **options})
    assert hint in error.value.hint  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ({"period_start": "2026-03-02T05:00"}, "begins at 2026-03-02"),
        ({"breakdown": "DE"}, "Leave breakdown out"),
        ({"other": True}, "top="),
    ],
)
def test_a_cell_that_is_none_is_refused(log: el.EventLog, cell: dict[str, Any], hint: str) -> None:
    """Who is behind a number can be asked only of numbers that there are."""
    with pytest.raises(InvalidArgument) as error:
        log.trend("count(*)").actors(**cell)
    assert hint in error.value.hint


def chosen(rows: Sequence[Row], since: dt.datetime | None, until: dt.datetime | None) -> list[Row]:
    """Return the rows with an actor from since to until."""
    return [
        row for row in rows if row.user and (since is None or row.at >= since) and (until is None or row.at < until)
    ]


def table(
    rows: Sequence[Row],
    measure: str,
    every: str,
    zone: str,
    *,
    since: dt.datetime | None,
    until: dt.datetime | None,
    top: int | None,
    parted: bool,
    compared: bool,
) -> list[tuple[Any, ...]]:
    """Return the rows of a trend, in plain Python."""
    lived = life(rows, every, zone, since, until)
    if lived is None:
        return []
    measured = MEASURES[measure]
    now, before, shift = chosen(rows, since, until), [], 0
    if compared:
        last = until - dt.timedelta(microseconds=1) if until else max(row.at for row in rows)
        shift = max(1, number(last, every, zone) - number(since, every, zone) + 1)
        ends = [begins(number(since, every, zone) - back, every, zone) for back in (shift, 0)]
        before = chosen(rows, *ends)
    values = {row.country for row in [*now, *before]}
    sized = [
        (measured([row for row in now if row.country == value]), value)
        for value in values
        if any(row.country == value for row in now)
    ]
    sized += [(None, value) for value in values if all(row.country != value for row in now)]
    ranked = [
        value
        for _, value in sorted(
            sized, key=lambda pair: (pair[0] is None, -(pair[0] or 0), pair[1] is None, pair[1] or "")
        )
    ]
    shown = ranked if top is None else ranked[:top]
    parts: list[tuple[Any, bool, set[str | None]]] = [(value, False, {value}) for value in shown]
    if len(shown) < len(ranked):
        parts.append((None, True, set(ranked[len(shown) :])))
    earliest = number(min(row.at for row in rows), every, zone)
    lines = []
    for period in range(lived.first, lived.last + 1):
        for value, other, members in parts if parted else [(None, False, values)]:
            inside = [row for row in now if number(row.at, every, zone) == period and row.country in members]
            back = [row for row in before if number(row.at, every, zone) == period - shift and row.country in members]
            previous = measured(back) if period - shift >= earliest else None
            lines.append(
                (
                    begins(period, every, zone),
                    *([value] if parted else []),
                    *([other] if top is not None else []),
                    measured(inside),
                    *([previous] if compared else []),
                    lived.partial(period, every, zone),
                )
            )
    return lines


@SLOW
@given(logs(), st.data())
def test_a_trend_is_the_oracles(rows: list[Row], data: st.DataObject) -> None:
    """Values, parts, others and the periods before are those that are measured one by one; so are the actors behind them."""
    rows = [*rows, *SEEN]
    since, until = data.draw(ranges(rows))
    parted = data.draw(st.booleans())
    options = {
        "measure": data.draw(st.sampled_from(list(MEASURES))),
        "every": data.draw(st.sampled_from(["1d", "1w", "1mo", "2d", "6h"])),
        "since": since,
        "until": until,
        "top": data.draw(st.none() | st.integers(1, 4)) if parted else None,
    }
    zone = data.draw(st.sampled_from([ZONE, "UTC", "Asia/Kolkata"]))
    compared = since is not None and data.draw(st.booleans())
    asked = {
        **options,
        "timezone": zone,
        "by": "actor",
        "breakdown": COUNTRY if parted else None,
        "compare": "previous" if compared else None,
    }
    with recorded(rows, ZONE) as log:
        found = log.trend(**asked)
        expected = table(rows, zone=zone, parted=parted, compared=compared, **options)
        shown = found.pl()
        assert plain(shown) == expected
        assert log.sql(found.sql).pl().equals(shown)
        if options["measure"] == "count(DISTINCT actor)":
            for row in shown.head(12).to_dicts():
                cell = {} if not parted else {"other": True} if row.get("other") else {"breakdown": row["breakdown"]}
                behind = found.actors(period_start=row["period_start"], **cell).pl()["actor"].to_list()
                assert len(behind) == row["value"]
                assert behind == sorted(set(behind))


@SLOW
@given(logs(fewest=1), st.randoms(use_true_random=False), st.sampled_from(["1d", "6h"]))
def test_the_order_of_the_input_does_not_matter(rows: list[Row], chance: random.Random, every: str) -> None:
    """Shuffled events give the same trend."""
    rows = [*rows, *SEEN]
    options = {"every": every, "breakdown": COUNTRY, "top": 2, "by": "actor"}
    with recorded(rows, ZONE) as log, recorded(chance.sample(rows, len(rows)), ZONE) as other:
        assert log.trend("count(*)", **options).pl().equals(other.trend("count(*)", **options).pl())
