"""The charts of answers: what is in them, and that Vega draws them without a network."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
import vl_convert

import eventlab as el
from eventlab import queries
from eventlab.charts import answers
from eventlab.session.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORDERS = """
select
    stream_id as order_id, count(*) as events, sum(OrderPlaced.amount) as total,
    case when max(event_type = 'OrderPaid') then 'paid' else 'open' end as status
from events group by stream_id
"""


@pytest.fixture
def orders(tmp_path: Path) -> Iterator[Any]:
    """Yield a state of three orders in New York: two of them paid, the last on the third day."""
    with el.open(tmp_path / "s", create=True, timezone="America/New_York") as log:
        for number, (placed, paid) in enumerate(
            [("05 22:00", "06 09:00"), ("06 10:00", "07 09:30"), ("06 11:00", "")], 1
        ):
            amount = {"amount": 10 * number}
            log.append(f"order-{number}", el.Event("OrderPlaced", amount, occurred_at=f"2026-01-{placed}"))
            if paid:
                log.append(f"order-{number}", el.Event("OrderPaid", {}, occurred_at=f"2026-01-{paid}"))
        yield log.define_state("orders", ORDERS)


def result(text: str, kind: str, **facts: object) -> Result:
    """Return an answer that is a query."""
    return Result(queries.connect().sql(text), text, kind, facts)


def values(drawn: dict[str, Any], panel: int = 0) -> list[dict[str, Any]]:
    """Return the data of a panel of a chart."""
    panels = drawn.get("vconcat") or drawn.get("hconcat") or [drawn]
    layer = panels[panel]["layer"][0]
    name = next(view["data"]["name"] for view in (layer, panels[panel], drawn) if "data" in view)
    data: list[dict[str, Any]] = drawn["datasets"][name]
    return data


def rendered(chart: Any) -> dict[str, Any]:
    """Return the specification of a chart that Vega has drawn, with no leave to fetch anything."""
    spec: dict[str, Any] = chart.to_dict()
    png = vl_convert.vegalite_to_png(spec, allowed_base_urls=[])
    assert png.startswith(b"\x89PNG")
    assert len(png) > 3000
    return spec


def test_a_course_is_a_line_whose_last_bucket_is_not_over(orders: Any) -> None:
    """The log's wall clock, the measure as the title, the days below it, the last stretch dashed."""
    spec = rendered(orders.over_time("1d", "count(*) FILTER (WHERE status = 'open')").chart())
    rows = values(spec)
    assert [(row["bucket"], row["value"], row["partial"]) for row in rows] == [
        ("2026-01-05T00:00:00Z", 1, False),
        ("2026-01-06T00:00:00Z", 2, False),
        ("2026-01-07T00:00:00Z", 1, True),
    ]
    assert [(row["over"], row["going"], row["last"]) for row in rows] == [
        (1, None, False),
        (2, 2, False),
        (None, 1, True),
    ]
    assert spec["title"] == {
        "text": "count(*) FILTER (WHERE status = 'open')",
        "subtitle": "orders, 5 Jan 2026 to 7 Jan 2026",
    }
    assert {layer["encoding"]["x"]["scale"]["type"] for layer in spec["layer"]} == {"utc"}


def test_a_course_of_one_bucket_is_a_point(orders: Any) -> None:
    """And one of nothing but NULL is drawn too."""
    spec = rendered(orders.over_time("1w", "count(*)").chart())
    assert spec["layer"][-1]["mark"]["opacity"] == 1
    rendered(orders.over_time("1d", "max(total) FILTER (WHERE status = 'lost')").chart())


def test_a_diff_counts_rows_and_the_columns_that_changed(orders: Any) -> None:
    """What is added and changed between two moments, and in which columns."""
    spec = rendered(orders.diff("2026-01-06 09:30", "2026-01-08").chart())
    assert [(row["what"], row["rows"]) for row in values(spec)] == [("added", 2), ("removed", 0), ("changed", 0)]
    assert spec["title"]["text"] == "orders: 2 rows differ"
    assert len(spec["hconcat"]) == 1
    spec = rendered(orders.diff("2026-01-06 23:00", "2026-01-08").chart())
    assert [(row["what"], row["rows"]) for row in values(spec, 1)] == [("events", 1), ("status", 1)]
    assert spec["title"]["text"] == "orders: 1 row differs"


def test_a_history_is_events_and_what_changed_under_them(orders: Any) -> None:
    """Events in lanes, a column of names as bars, numbers as steps; what stays the same is left out but names it."""
    spec = rendered(orders.history("order-2").chart())
    assert spec["title"] == {"text": "order-2", "subtitle": "orders, 6 Jan 2026 to 7 Jan 2026"}
    assert [panel.get("title", {}).get("text") for panel in spec["vconcat"]] == [None, "status", "events"]
    assert [(row["event_type"], row["occurred_at"]) for row in values(spec)] == [
        ("OrderPlaced", "2026-01-06T10:00:00Z"),
        ("OrderPaid", "2026-01-07T09:30:00Z"),
    ]
    assert [(row["value"], row["since"]) for row in values(spec, 1)] == [
        ("open", "2026-01-06T10:00:00Z"),
        ("paid", "2026-01-07T09:30:00Z"),
    ]
    axes = [panel["layer"][0]["encoding"]["x"]["axis"]["labels"] for panel in spec["vconcat"]]
    assert axes == [False, False, True]


def test_a_late_event_is_drawn_when_it_occurred_and_tells_from_when_all_before_it_had() -> None:
    """A step never goes back in time."""
    text = """
    select i as position, occurred_at, occurred_at as recorded_at, 'Moved' as event_type,
        lead(occurred_at) over (order by i) as valid_to, i * 10 as total
    from (values (1, timestamptz '2026-01-02 00:00Z'), (2, timestamptz '2026-01-01 00:00Z')) as t(i, occurred_at)
    """
    spec = rendered(answers.chart(result(text, "history", state="boxes")))
    assert [row["occurred_at"][:10] for row in values(spec)] == ["2026-01-02", "2026-01-01"]
    assert [row["since"][8:] for row in values(spec, 1)] == ["02T00:00:00Z", "02T00:00:00Z", "02T00:00:01Z"]


def test_the_history_of_one_event_is_drawn(orders: Any) -> None:
    """There is room after it."""
    spec = rendered(orders.history("order-3").chart())
    assert len(spec["vconcat"]) == 1


def test_a_state_is_its_rows_or_how_often_a_value_is(orders: Any) -> None:
    """Few rows by their first number; many by the first column of few values."""
    spec = rendered(orders.now().chart())
    assert [(row["what"], row["rows"]) for row in values(spec)] == [("order-1", 2), ("order-2", 2), ("order-3", 1)]
    assert spec["title"]["text"] == "orders: events by order_id"
    text = "select 'o' || i as id, case when i % 4 = 0 then 'open' when i % 4 < 3 then 'paid' end as status from range(100) t(i)"
    spec = rendered(answers.chart(result(text, "state", state="orders")))
    assert [(row["what"], row["rows"]) for row in values(spec)] == [("paid", 50), ("open", 25), ("NULL", 25)]


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("select 1", "poem", "no chart of a poem"),
        ("select 1 as x where false", "state", "no rows"),
        ("select i from range(100) t(i)", "state", "no column has few different values"),
        ("select now() as bucket, 'x' as value, false as partial", "course", "not a number"),
        ("select i as position, null as valid_to from range(2) t(i)", "history", "several keys"),
    ],
)
def test_what_cannot_be_drawn_says_why(text: str, kind: str, said: str) -> None:
    """With what to do instead."""
    with pytest.raises(el.InvalidArgument, match=said):
        answers.chart(result(text, kind))


def test_decimals_lists_and_names_that_trip_vega_are_drawn() -> None:
    """A name with dots and brackets is text, a list is no category."""
    text = """
    select 'k.[' || i || ']"' as "a.b[c]", (i * 1.25)::decimal(9, 2) as "total, net", [i] as items, {'x': i} as more
    from range(5) t(i)
    """
    spec = rendered(answers.chart(result(text, "state", state="<b>")))
    assert values(spec)[0] == {"what": 'k.[4]"', "rows": 5.0, "hue": "0"}


def test_the_clock_of_the_data_is_drawn_on_both_sides_of_a_change_of_clocks() -> None:
    """Hours of New York's 8 March 2026, of which one is not there."""
    text = """
    select timestamptz '2026-03-08 06:00Z' + to_hours(i) as bucket, i as value, false as partial from range(3) t(i)
    """
    zoned = Result(queries.connect("America/New_York").sql(text), text, "course", {"measure": "x"})
    rows = values(rendered(answers.chart(zoned)))
    assert [row["bucket"] for row in rows] == ["2026-03-08T01:00:00Z", "2026-03-08T03:00:00Z", "2026-03-08T04:00:00Z"]
    assert dt.datetime.fromisoformat(rows[0]["bucket"])


def test_colours_are_those_of_the_theme_and_not_written_into_a_chart(orders: Any) -> None:
    """So that a page can be light or dark."""
    for answer in (orders.now(), orders.history("order-1"), orders.diff(1, 4), orders.over_time("1d", "count(*)")):
        spec = answer.chart().to_dict()
        assert "#" not in str({name: part for name, part in spec.items() if name != "config"})
