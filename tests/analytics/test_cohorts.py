"""Cohorts: named sets of actors, their algebra, and analyses of their members alone."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from calendars import ZONE, logs, recorded
from courses import BYS, SLOW, Asked
from hypothesis import given
from hypothesis import strategies as st

import eventlab as el
from eventlab.analytics import cohorts

if TYPE_CHECKING:
    from pathlib import Path

    from calendars import Row


@pytest.fixture
def log(tmp_path: Path) -> el.EventLog:
    """Return a log of three orders by two users: A B C by ada, A B by bob, A by nobody."""
    log = el.open(tmp_path, create=True)
    for order, kinds, user in (("o-1", "ABC", "ada"), ("o-2", "AB", "bob"), ("o-3", "A", None)):
        log.append(order, [el.Event(kind, {"n": n}, actor=user) for n, kind in enumerate(kinds)])
    return log


def members(cohort: cohorts.Cohort) -> list[Any]:
    """Return the actors of a cohort."""
    frame = cohort.pl()
    assert frame.columns == ["actor"]
    assert frame.height == len(cohort) == cohort.size
    return frame["actor"].to_list()


def test_cohort_is_a_relation(log: el.EventLog) -> None:
    """A cohort of the actors behind a number can be read and joined in SQL, and keeps an analysis to its members."""
    reached = log.cohort("reached", log.process_map().actors(source="A", target="B"))
    assert members(reached) == ["o-1", "o-2"]
    assert repr(reached) == "<Cohort reached: 2 actors>"
    assert log.sql("from reached order by all").fetchall() == [("o-1",), ("o-2",)]
    text = "select count(*) from events where stream_id in (select actor from reached)"
    assert log.sql(text).fetchall() == [(5,)]
    assert log.variants(where="actor IN reached").pl()["variant"].to_list() == [["A", "B"], ["A", "B", "C"]]
    assert log.variants(where="actor NOT IN reached").pl()["variant"].to_list() == [["A"]]


def test_sources_of_cohorts(log: el.EventLog) -> None:
    """SQL, a relation, a result, a frame and a cohort are sources: the column actor or else the first, no NULL, no repeats."""
    text = "select stream_id, actor from events"
    by_name = members(log.cohort("by_name", text))
    assert by_name == ["ada", "bob"]
    assert members(log.cohort("relation", log.sql(text))) == by_name
    assert members(log.cohort("frame", log.sql(text).pl())) == by_name
    assert members(log.cohort("again", log.cohort("frame", "from frame"))) == by_name
    assert members(log.cohort("first", "select stream_id from events")) == ["o-1", "o-2", "o-3"]
    assert members(log.cohort("numbers", "select 3 union all select 1 union all select null union all select 3")) == [
        1,
        3,
    ]
    state = log.define_state("orders", "select stream_id, count(*) as n from events group by stream_id")
    assert members(log.cohort("of_a_state", state.now())) == ["o-1", "o-2", "o-3"]
    assert members(log.cohort("nobody", "select stream_id from events where false")) == []
    assert log.variants(where="actor in nobody").pl().height == 0


def test_set_algebra(log: el.EventLog) -> None:
    """Cohorts have &, | and -; what they give has no name until it is given one."""
    a, b = (log.cohort(kind.lower() * 2, f"select stream_id from events where event_type = '{kind}'") for kind in "AB")
    c = log.cohort("cc", "select stream_id from events where event_type = 'C'")
    assert members(a & b) == ["o-1", "o-2"]
    assert members(a - b) == ["o-3"]
    assert members(c | (a - b)) == ["o-1", "o-3"]
    assert (a - b).name is None
    assert repr(a - b) == "<Cohort (no name): 1 actors>"
    assert members(log.cohort("stuck", a - b)) == ["o-3"]
    assert log.sql("from stuck").fetchall() == [("o-3",)]
    with pytest.raises(TypeError):
        a & {"o-1"}  # type: ignore[operator]


def test_actor_in_where_is_who_acts(log: el.EventLog) -> None:
    """With actor IN, actor is the analysis's own; elsewhere it is the column of events, and other expressions are themselves."""
    log.cohort("users", "select 'ada'")
    log.cohort("orders", "select 'o-2'")
    ask = log.variants
    assert ask(by="actor", where="actor in users").pl()["variant"].to_list() == [["A", "B", "C"]]
    assert ask(where="actor in users").pl().height == 0
    assert ask(where="actor in orders and actor = 'bob'").pl()["variant"].to_list() == [["A", "B"]]
    assert ask(where="events.actor in users").pl()["variant"].to_list() == [["A", "B", "C"]]
    assert ask(by="upper(stream_id)  -- loud", where="lower(actor) in users or stream_id in (orders)").pl().height == 2
    assert ask(where="not (stream_id not in (ORDERS))  -- twice").pl().height == 1
    assert ask(where="actor not in users and event_type <> 'orders'").pl().height == 3


def test_where_is_told_as_written(log: el.EventLog) -> None:
    """Definition and facts have the condition as it was asked; the SQL runs in log.sql and in a view, with the cohort."""
    log.cohort("users", "select 'ada'")
    result = log.sessions("1h", by="actor", where="actor in users")
    assert result.facts["where"] == "actor in users"
    assert "Only events where actor in users count." in result.definition
    assert log.sql(result.sql).pl().equals(result.pl())
    view = log.at(log.position)
    assert view.sql(result.sql).pl().equals(result.pl())
    assert view.trend("count(*)", where="stream_id in users").pl()["value"].sum() == 0
    assert view.retention("A", where="actor in users", by="actor").pl()["size"].to_list()[:1] == [1]


def test_cohort_is_pinned(log: el.EventLog) -> None:
    """A cohort stays what it was as events come; one of the same name takes its place, and what was made before keeps the old."""
    old = log.cohort("seen", "select distinct stream_id from events")
    relation, result = log.sql("from seen order by all"), log.variants(where="actor in seen")
    log.append("o-4", el.Event("A"))
    assert len(old) == 3
    assert log.sql("select count(*) from seen").fetchall() == [(3,)]
    both = old | log.cohort("seen", "select stream_id from events where stream_id > 'o-3'")
    assert log.sql("from seen").fetchall() == [("o-4",)]
    assert [who for (who,) in relation.fetchall()] == members(old) == ["o-1", "o-2", "o-3"]
    assert result.pl().height == log.sql(result.sql).pl().height == 3
    assert result.actors().pl()["actor"].to_list() == ["o-1", "o-2", "o-3"]
    assert members(both) == ["o-1", "o-2", "o-3", "o-4"]


def test_tables_of_replaced_cohorts_go(log: el.EventLog) -> None:
    """Making a cohort again and again keeps one table; relations of before still run."""
    relation = None
    for number in range(4):
        log.cohort("seen", f"select {number}")
        relation = relation or log.sql("from seen")
    gc.collect()
    log.cohort("other", "select 1")
    with log._session.working("", log._scope, log._catalog.registry()) as connection:
        found = connection.sql("from duckdb_tables() select count(*) where schema_name = 'cohorts'").fetchall()
    assert found == [(2,)]
    assert relation is not None
    assert relation.fetchall() == [(0,)]
    assert cohorts._alive


def test_cohorts_of_views_and_read_only_logs(log: el.EventLog) -> None:
    """A view makes cohorts of what it sees, which the log has too; a log that is only read makes them."""
    early = log.at(2).cohort("early", "select stream_id from events")
    assert members(early) == ["o-1"]
    assert log.variants(where="actor in early").pl()["variant"].to_list() == [["A", "B", "C"]]
    log.close()
    with el.open(log.path, read_only=True) as other:
        assert members(other.cohort("late", "select stream_id from events where event_type = 'C'")) == ["o-1"]
        with pytest.raises(el.InvalidArgument, match="of different logs"):
            early | other.cohort("late", "select 1")


def test_names_of_cohorts(log: el.EventLog) -> None:
    """A name is a word that names nothing else in SQL."""
    log.define_state("orders", "select stream_id, count(*) as n from events group by stream_id")
    for name in ("events", "a", "A", "orders", "orders_at", "event_types", "sessions", "actor", "payload", "category"):
        with pytest.raises(el.InvalidArgument, match=f"Name it {name}_cohort"):
            log.cohort(name, "select 1")
    for name in ("select", "table", "9a", "a b", "", 'a"', "é", None):
        with pytest.raises(el.InvalidArgument, match=r"_cohort|begins with a letter"):
            log.cohort(name, "select 1")  # type: ignore[arg-type]
    log.cohort("Power_1", "select 'o-1'")
    assert log.sql("from power_1").fetchall() == log.sql("from POWER_1").fetchall() == [("o-1",)]
    assert ("power_1",) in log.sql("show tables").fetchall()


def test_wrong_use_of_cohorts(log: el.EventLog) -> None:
    """An unknown cohort has near matches, in where and in SQL; what has no actors is no source; SQL errors are explained."""
    log.cohort("power", "select 'o-1'")
    with pytest.raises(el.QueryError, match="where: no cohort 'powr'\\. Did you mean 'power'") as raised:
        log.variants(where="actor in powr")
    assert 'log.cohort("powr", …) makes it' in raised.value.hint
    with pytest.raises(el.QueryError, match="where: no column 'acto'"):
        log.variants(where="acto in power")
    with pytest.raises(el.QueryError, match="where: "):
        log.variants(where="actor in power and")
    with pytest.raises(el.QueryError, match="more than one expression"):
        log.variants(where="version), (actor in power")
    with pytest.raises(el.QueryError, match="no relation 'powr'\\. Did you mean 'power'"):
        log.sql("from powr")
    for wrong in (5, None, ["o-1"]):
        with pytest.raises(el.InvalidArgument, match=r"Give the actors\(...\)"):
            log.cohort("wrong", wrong)
    with pytest.raises(el.QueryError, match="no relation 'evnts'\\. Did you mean 'events'"):
        log.cohort("wrong", "from evnts")
    with pytest.raises(el.QueryError, match="Conversion Error"):
        log.cohort("wrong", "select stream_id::integer from events")
    assert "wrong" not in log._session.cohorts


def test_later_relation_of_the_same_name(log: el.EventLog) -> None:
    """A relation that the log gets later under a cohort's name is told apart, not mixed up."""
    log.cohort("late", "select 'o-1'")
    log.append("o-9", el.Event("Late", {"n": 1}))
    with pytest.raises(el.QueryError, match="late_cohort"):
        log.sql("from late")
    assert log.variants(where="actor in late").pl().height == 1
    assert log.sql("select count(*) as late from events where event_type = 'Late'").fetchall() == [(1,)]
    assert ("late",) in log.sql("show tables").fetchall()


def test_state_cannot_rest_on_a_cohort(log: el.EventLog) -> None:
    """A state is folded from events, in any process; a cohort is not there."""
    log.cohort("power", "select 'o-1'")
    with pytest.raises(el.QueryError, match="no relation 'power'"):
        log.define_state(
            "strong",
            "select stream_id, count(*) as n from events where stream_id in (select actor from power) group by stream_id",
        )


@SLOW
@given(
    rows=logs(fewest=1),
    by=st.sampled_from(list(BYS)),
    chosen=st.sets(st.sampled_from(["a-1", "b-1", "u", "v", "a", "0", "1"])),
    negated=st.booleans(),
)
def test_cohort_keeps_its_members_events(rows: list[Row], by: str, chosen: set[str], negated: bool) -> None:
    """An analysis of a cohort has the events of its members, and NOT IN those of the others, whoever acts."""
    with recorded(rows, ZONE) as log:
        log.cohort("chosen", pl.DataFrame({"actor": sorted(chosen)}, schema={"actor": pl.String}))
        text = f"({by}\n)::varchar"
        result = log.variants(by=text, where=f"actor {'not ' if negated else ''}in chosen")
        courses = Asked(by).courses(log)
        expected = sorted(str(who) for who in courses if (str(who) in chosen) != negated)
        assert result.actors().pl()["actor"].to_list() == expected
