"""Splitting a SELECT: its keys, its aggregates and what is around them, and the aggregates that are put into order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import eventlab as el
from eventlab.states.splits import Split, split

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = ("position", "stream_id", "version", "event_type", "occurred_at", "placed")


def parts(text: str) -> Split:
    """Return the parts of a SELECT that has some, without the quotes that DuckDB puts around words that it knows."""
    found = split(text, COLUMNS)
    assert isinstance(found, Split), found
    bare = {
        name: tuple(part.replace('"', "") for part in getattr(found, name))
        for name in ("keys", "aggregates", "outputs")
    }
    return replace(found, **bare, where=found.where.replace('"', ""), having=found.having.replace('"', ""))


def test_expressions_around_aggregates() -> None:
    """Each aggregate once, whatever is computed from it."""
    found = parts(
        "select stream_id as id, sum(Placed.a) / count(*) as mean, -sum(Placed.a) as owed from events group by 1"
    )
    assert found.keys == ("stream_id",)
    assert found.aggregates == ("sum(Placed.a)", "count_star()")
    assert found.outputs == ("k0", "(a0 / a1)", "(-(a0))")
    assert found.names == ("id", "mean", "owed")
    assert found.key_names == ("id",)
    assert not found.notes
    assert not found.reason


@pytest.mark.parametrize(
    "group",
    [
        "select stream_id as id, event_type, count(*) from events group by id, event_type",
        "select stream_id as id, event_type, count(*) from events group by 1, 2",
        "select stream_id as id, event_type, count(*) from events group by all",
        "select events.stream_id as id, EVENT_TYPE as event_type, count(*) from events group by stream_id, events.event_type",
        "select e.stream_id as id, event_type, count(*) from events as e group by stream_id, 2",
        'select "stream_id" as id, "event_type", count(*) from events group by all',
    ],
)
def test_group_by_however_it_is_said(group: str) -> None:
    """Aliases, ordinals, ALL, qualified and quoted names, in any case, are the same keys."""
    found = parts(group)
    assert [key.lower().split(".")[-1] for key in found.keys] == ["stream_id", "event_type"]
    assert found.outputs == ("k0", "k1", "a0")
    assert [name.lower() for name in found.key_names] == ["id", "event_type"]


def test_a_column_comes_before_an_alias_in_group_by_and_after_a_key_in_having() -> None:
    """As DuckDB has it: an alias hides no column in GROUP BY or WHERE; in HAVING it does, unless that is a key."""
    assert parts("select lower(stream_id) as stream_id, count(*) from events group by stream_id").keys == ("stream_id",)
    assert parts("select lower(stream_id) as s, count(*) from events group by s").keys == ("lower(stream_id)",)
    assert parts("select stream_id as s from events where s = 'x' group by 1").where == "((stream_id = 'x'))"
    assert parts("select 1 as version, count(*) from events where version = 2").where == "((version = 2))"
    assert (
        parts("select max(version) as version from events group by stream_id having version > 2").having == "((a0 > 2))"
    )
    found = parts("select max(version) as stream_id from events group by stream_id having stream_id > 'a'")
    assert found.having == "((k0 > 'a'))"


def test_aliases_may_be_used_beside_where_they_are_made() -> None:
    """An alias stands for its expression: in the next column, in an aggregate, in HAVING."""
    found = parts(
        "select stream_id as s, count(*) as n, n + 1 as m, max(s) from events group by s having m > 2 and n < 9"
    )
    assert found.outputs == ("k0", "a0", "(a0 + 1)", "a1")
    assert found.aggregates == ("count_star()", "max(stream_id)")
    assert found.having == "((((a0 + 1) > 2) AND (a0 < 9)))"


def test_names_like_the_parts_own() -> None:
    """Columns called k0 and a0 are those of the query."""
    found = parts("select stream_id as k0, count(*) as a1, sum(Placed.a) as a0, a0 + 1 as y from events group by k0")
    assert found.outputs == ("k0", "a0", "a1", "(a1 + 1)")


@pytest.mark.parametrize(
    ("text", "keys", "outputs"),
    [
        ("select count(*) from events group by stream_id", ("stream_id",), ("a0",)),
        ("select upper(stream_id) || '!', count(*) from events group by upper(stream_id)", ("upper(stream_id)",), None),
        ("select count(*) from events", (), ("a0",)),
        ("select 5, count(*) from events group by all", (), ("5", "a0")),
        ("select stream_id from events group by all", ("stream_id",), ("k0",)),
        ("select case when count(*) > 1 then 'many' end as c from events", (), None),
        ("select count(*)::varchar || ' from events group by x' as s from events", (), None),
        ("select list_transform(list(version order by position), lambda x: x + 1) as l from events", (), None),
        ("select count(*) from events having count(*) > 1", (), ("a0",)),
    ],
)
def test_shapes_that_can_be_split(text: str, keys: tuple[str, ...], outputs: tuple[str, ...] | None) -> None:
    """Keys that are not shown, no keys, constants, casts, CASE, text with keywords in it, lambdas."""
    found = parts(text)
    assert found.keys == keys
    assert outputs is None or found.outputs == outputs
    assert all("select" not in part.lower() for part in found.aggregates)


@pytest.mark.parametrize(
    ("written", "made", "note"),
    [
        ("first(version)", "arg_min_null(version, position)", "by position"),
        ("last(version) filter (version > 1)", "arg_max_null(version, position) FILTER (WHERE (version > 1))", ""),
        ("last(distinct version)", "arg_max_null(version, position)", ""),
        ("any_value(version)", "arg_min(version, position)", "the first by position"),
        ("first(version order by position desc)", "arg_max_null(version, position)", None),
        ("first(version order by occurred_at)", "first(version ORDER BY occurred_at, position)", "ties by position"),
        ("list(version)", "list(version ORDER BY position)", "by position"),
        ("array_agg(version order by events.position)", "array_agg(version ORDER BY events.position)", None),
        ("list(version order by Placed.position)", "list(version ORDER BY Placed.position, position)", "ties"),
        ("list(distinct version)", "list(DISTINCT version ORDER BY version)", "by its value"),
        ("string_agg(event_type, ',') filter (version > 1)", "string_agg(event_type, ',' ORDER BY position)", ""),
        ("mode(version)", "mode(version ORDER BY position)", "ties by position"),
        ("max_by(event_type, version)", "struct_pack(a := version, b := position)", "ties by position"),
        ("arg_max(event_type, version, 2)", "struct_pack(a := version, b := position), 2)", "ties by position"),
        ("arg_min(event_type, position)", "arg_min(event_type, position)", None),
        ("approx_quantile(version, 0.5)", "approx_quantile(version, 0.5)", "approximate"),
        ("sum(version)", "sum(version)", None),
    ],
)
def test_aggregates_that_depend_on_the_order_of_rows_go_by_position(written: str, made: str, note: str | None) -> None:
    """And say so; what has an order of its own is left, except for its ties."""
    found = parts(f"select {written} from events")
    (aggregate,) = found.aggregates
    for part in made.split(" FILTER"):
        assert part.removesuffix(")") in aggregate, aggregate
    assert (note is None) == (not found.notes)
    assert note is None or note in found.notes[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("select stream_id from events union select stream_id from events", "several SELECTs"),
        ("with e as (from events) select count(*) from e", "WITH"),
        ("select count(*) from events join streams using (stream_id)", "more than events"),
        ("select max(n) from (select count(*) as n from events group by stream_id)", "more than events"),
        ("select count(*) from events as e(a, b)", "other names"),
        ("select distinct stream_id from events", "DISTINCT"),
        ("select stream_id, count(*) from events group by 1 order by 1 limit 3", "LIMIT"),
        ("select stream_id from events qualify row_number() over (order by position) = 1", "QUALIFY"),
        ("select stream_id, count(*) from events group by rollup (stream_id)", "grouping sets"),
        ("select stream_id, count(*) from events where position in (select 1) group by 1", "a subquery"),
        ("select stream_id, row_number() over () from events group by 1", "a window function"),
        ("select * from events", "a star"),
        ("select unnest(list(version order by position)) from events", "unnest"),
        ("select stream_id from events", "no aggregate"),
        ("select geomean(version) from events", "geomean, which is a macro"),
        ("select stream_id, grouping(stream_id), count(*) from events group by 1", "GROUPING()"),
        ("select max(events) from events", "events as a whole"),
        (
            "select stream_id, list_transform([1], lambda stream_id: stream_id + 1), count(*) from events group by 1",
            "a lambda whose parameter",
        ),
    ],
)
def test_what_cannot_be_split_says_why(text: str, why: str) -> None:
    """It is run as it is."""
    found = split(text, COLUMNS)
    assert isinstance(found, str)
    assert why in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select count(*), now() from events", "now"),
        ("select count(*) filter (occurred_at > current_date) from events", "current_date"),
        ("select count(*) filter (occurred_at > current_timestamp) from events", "current_timestamp"),
        ("select today() - max(occurred_at)::date from events", "today"),
        ("select age(max(occurred_at)) from events", "age() of one time"),
        ("select count(*) from events where random() < 0.5", "random"),
        ("select uuid(), count(*) from events", "uuid"),
        ("select gen_random_uuid(), count(*) from events", "gen_random_uuid"),
        ("select reservoir_quantile(version, 0.5) from events", "reservoir_quantile"),
        ("select count(*) from events using sample 10%", "a sample"),
        ("select count(*) from events tablesample 10%", "a sample"),
        ("select distinct on (stream_id) now() from events", "now"),
        ("select list(version) from events join streams using (stream_id)", "has no order"),
        ("select json_group_array(version) from events", "json_group_array has no order"),
        ("select count(*) from streams", "a SELECT over events"),
        ("select 1", "a SELECT over events"),
        ("select count(*) from events; select 2", "2 statements"),
        ("delete from events", "SELECT"),
        ("selec count(*) from events", "syntax error"),
        ("", "0 statements"),
    ],
)
def test_what_cannot_be_a_state(text: str, said: str) -> None:
    """Other answers each time, an order that nobody said, no events, no SELECT: refused, with the fix."""
    with pytest.raises(el.QueryError) as caught:
        split(text, COLUMNS)
    assert said in caught.value.message
    assert caught.value.hint


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Yield a log of a few orders."""
    with el.open(tmp_path / "s", create=True) as opened:
        for n in range(12):
            payload = {
                "amount": n % 4,
                "who": f"c{n % 3}",
                "at": {"city": "Köln; select 1", "zip": n % 2},
                "my field": n,
            }
            opened.append(f"order-{n % 2}", el.Event("Placed", payload))
            opened.append(f"order-{n % 3}", el.Event('page "view"!', {"k0": n}))
        yield opened


@pytest.mark.parametrize(
    "text",
    [
        "select stream_id, sum(Placed.amount) as s, s * 2 as twice from events group by 1 having s > 3",
        "select lower(stream_id) as stream_id, count(*) as n from events group by stream_id",
        "select Placed.at.city as city, Placed.at.zip, count(*) from events group by all",
        "select Placed['who'] as who, max(Placed.amount) filter (Placed.amount < 3) as m from events group by who",
        'select count(distinct "page ""view""!".k0) as k0, sum("page ""view""!".k0) as a0, a0 + k0 as a1 from events',
        "select stream_id, string_agg(Placed.\"my field\"::varchar, ', ' order by position) as f from events group by 1",
        "select 'from events group by x' as text, count(*) -- select now() from nowhere\nfrom events group by 1",
        "select stream_id, count(*) as n from events where Placed.who = 'c1' or Placed.amount > 2 group by 1",
        "select count(*) filter (Placed.amount = 2) as a, bool_or(Placed.amount = 3) b, avg(Placed.amount) from events",
        "select stream_id, sum(Placed.amount order by position), quantile_cont(Placed.amount, [0.1, 0.9]) from events group by 1",
        "select stream_id, histogram(Placed.amount) as h, mad(Placed.amount) from events group by stream_id",
        "select e.stream_id as s, 'x' || max(e.position) as p from events as e group by all",
        "select occurred_at::date as day, stream_id, count(*) from events group by day, stream_id having day is not null",
        "select count(*) from events where false",
        "select stream_id, count(*) from events where false group by 1",
        "select 5 as five, count(*) from events where false group by all",
        "select 5 as five, count(*) from events where false group by five",
        "select struct_pack(n := count(*), who := max(Placed.who)) as s from events group by stream_id",
    ],
)
def test_the_parts_make_the_whole(log: el.EventLog, text: str) -> None:
    """A state gives what its SELECT gives: rows, names and types; folded at once, from a snapshot, as refreshed, in SQL."""
    state = log.define_state("s", text)
    half = log.at(12)

    def same() -> None:
        whole = log.sql(text)
        for answer in (state.now().relation, log.sql("from s"), state.at(log.position).relation):
            assert answer.columns == whole.columns
            assert answer.types == whole.types
            assert sorted(answer.fetchall(), key=repr) == sorted(whole.fetchall(), key=repr)
        cut = half.state("s").now().fetchall()
        assert sorted(cut, key=repr) == sorted(half.sql(text).fetchall(), key=repr)

    same()
    if "cannot be merged" not in state.explain():
        state.snapshot()
        half.state("s").snapshot()
    log.append("order-0", el.Event("Placed", {"amount": 9, "who": "c9"}))
    log.append("order-9", el.Event("Placed", {"amount": 1, "who": "c1"}))
    same()
