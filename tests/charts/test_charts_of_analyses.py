"""The charts of analyses: what is told in each, in light and dark, drawn without a network and without a warning."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import polars as pl
import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st

import eventlab as el
from eventlab import queries
from eventlab.charts import analyses, answers, layouts, marks, themes
from eventlab.session.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFINITION = "Of the actors (stream_id) the entry that gets furthest counts, within 1 h of it; complete to 2024-06-29."
EVIL = '<script>alert("x")</script>.[0] it\'s {a}'
DAY = dt.timedelta(days=1)
BEGIN = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def answer(frame: pl.DataFrame, kind: str, **facts: object) -> Result:
    """Return an answer whose rows are given."""
    connection = queries.connect()
    connection.register("given_rows", frame.to_arrow())
    return Result(connection.sql("from given_rows"), "from given_rows", kind, {"definition": DEFINITION, **facts})


def drawn(result: Result, mode: themes.Mode = "light") -> list[str]:
    """Return the texts of a chart as Vega draws it in a mode, with no leave to fetch anything."""
    spec = answers.chart(result).to_dict()
    assert "#" not in str({name: part for name, part in spec.items() if name not in {"config", "datasets"}})
    spec["config"] = themes.config(mode)
    svg = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    root = ET.fromstring(svg)  # noqa: S314 - our own drawing
    palette = themes.PALETTES[mode]
    known = {palette.text, palette.muted, palette.grid, palette.ground, *palette.series, "transparent", "none"}
    assert set(re.findall(r'(?:fill|stroke)="(?!none|transparent)([^"]+)"', svg)) <= known | {"#000", "#fff"}
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


def rows_of(result: Result) -> list[dict[str, Any]]:
    """Return all rows of all data of a chart."""
    return [row for data in answers.chart(result).to_dict()["datasets"].values() for row in data]


def funnel(*values: object) -> Result:
    """Return a funnel of three steps: 100 entries, of which 40 reach the second step, with ten windows still open."""
    rows = [
        {"step": step, "event": event, "entered": n, "mature": m, "converted": c, "dropped": d, "pending": p}
        | {"converted_early": e, "reached": c + e, "rate": c / m, "rate_total": c / 90, "median_seconds": s}
        for step, event, n, m, c, d, p, e, s in [
            (1, "catalog", 100, 90, 90, 0, 0, 10, None),
            (2, EVIL, 100, 90, 36, 54, 6, 4, 75.5),
            (3, "purchase", 40, 36, 9, 27, 4, 0, 5400.0),
        ]
    ]
    if not values:
        return answer(pl.DataFrame(rows, infer_schema_length=None), "funnel")
    parted = [{"breakdown": value, **row} for row in rows for value in values]
    return answer(pl.DataFrame(parted, infer_schema_length=None), "funnel", breakdown="platform")


def retention() -> Result:
    """Return the retention of three cohorts, of the last of which a part only has been seen."""
    day = dt.date(2024, 1, 1)
    cells = [
        (0, 80, 0, 80, 40),
        (0, 80, 1, 80, 20),
        (7, 20, 0, 20, 12),
        (7, 20, 1, 5, 1),
        (14, 9, 0, 0, 0),
        (14, 9, 1, 0, 0),
    ]
    rows = [
        {"cohort": day + after * DAY, "size": size, "offset": k, "eligible": n, "returned": back}
        | {"rate": back / n if n else None}
        for after, size, k, n, back in cells
    ]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return answer(frame, "retention", start=["catalog"], returning=[EVIL], period="week")


def trend(*values: object, previous: bool = False, periods: int = 5, **facts: object) -> Result:
    """Return a trend by day of which the first and the last day are partial."""
    rows = [
        {"period_start": BEGIN + number * DAY, "breakdown": value, "value": 10 * (place + 1) + number}
        | {"previous": None if number == 1 else 7.0, "partial": number in (0, periods - 1)}
        for number in range(periods)
        for place, value in enumerate(values or [None])
    ]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    frame = frame if previous else frame.drop("previous")
    frame = frame if values else frame.drop("breakdown")
    return answer(frame, "trend", measure="count(*)", period="calendar days of UTC", **facts)


def lifecycle() -> Result:
    """Return a lifecycle of three weeks, the last of which is not over."""
    rows = [
        {
            "period_start": BEGIN + 7 * number * DAY,
            "new": 5,
            "returning": 3 * number,
            "resurrecting": 1,
            "dormant": number,
        }
        | {"partial": number == 2}
        for number in range(3)
    ]
    return answer(pl.DataFrame(rows), "lifecycle", every="1w")


def sessions() -> Result:
    """Return three sessions on two days; one of a single event, one of an hour."""
    begun = [BEGIN, BEGIN + DAY / 2, BEGIN + DAY]
    frame = pl.DataFrame(
        {
            "actor": ["a", "b", "a"],
            "session_id": ["a/1", "b/2", "a/3"],
            "start": begun,
            "end": begun,
            "events": [1, 3, 2],
            "entry": ["x"] * 3,
            "exit": ["y"] * 3,
            "duration": [None, 3600.0, 20.0],
        }
    )
    return answer(frame, "sessions", gap="30m")


def process_map(types: int = 3) -> Result:
    """Return a process map with its ends, a loop, a way back and an event with a hostile name."""
    names = ["catalog", EVIL, "purchase", *(f"type {number}" for number in range(types - 3))]
    edges: list[tuple[str | None, str | None, int, float | None]] = [
        (None, "catalog", 100, None),
        ("catalog", "catalog", 50, 12.0),
        ("catalog", EVIL, 80, 61.0),
        (EVIL, "catalog", 30, 3.5),
        (EVIL, "purchase", 50, 7200.0),
        ("purchase", None, 50, None),
    ]
    edges += [(a, b, 1, 1.0) for a in names for b in names if types > 3 and (a, b) not in {edge[:2] for edge in edges}]
    rows = [
        {"source": a, "target": b, "count": n, "cases": n, "share": n / 100, "median_seconds": s, "p95_seconds": s}
        for a, b, n, s in edges
    ]
    return answer(pl.DataFrame(rows, infer_schema_length=None), "process_map")


def variants() -> Result:
    """Return three variants, one of them longer than there is room for."""
    rows = {
        "variant": [["catalog", EVIL], ["a"] * 40, ["purchase"]],
        "cases": [70, 20, 10],
        "share": [0.7, 0.2, 0.1],
        "median_seconds": [90.0, 3600.0, None],
    }
    return answer(pl.DataFrame(rows), "variants")


def paths(types: int = 3) -> Result:
    """Return paths of two steps from a catalog; some actors have no second event."""
    rows: list[tuple[int, str, str | None, int]] = [
        (1, "catalog", EVIL, 60),
        (1, "catalog", None, 40),
        (2, EVIL, "cart", 45),
    ]
    rows += [(1, "catalog", f"type {number}", 1) for number in range(types - 3)]
    frame = pl.DataFrame(rows, schema=["step", "source", "target", "actors"], orient="row")
    return answer(frame.with_columns((pl.col("actors") / 100).alias("share")), "paths")


def comparison() -> Result:
    """Return a comparison of rates: one difference is clear, one is not, one cannot be told."""
    rows = {
        "cell": ["step 2: rate", EVIL, "step 9"],
        "a": [0.5, 0.4, None],
        "b": [0.25, 0.41, 0.1],
        "difference": [0.25, -0.01, None],
        "low": [0.1, -0.05, None],
        "high": [0.4, 0.03, None],
    }
    return answer(pl.DataFrame(rows), "comparison", of="funnel")


def survival(points: int = 3) -> Result:
    """Return a curve by the hour up to a half."""
    number = pl.int_range(1, points + 1, eager=True)
    frame = pl.DataFrame({"seconds": number * 3600, "at_risk": points + 1 - number, "converted": 1, "censored": 0})
    return answer(frame.with_columns((number / points / 2).alias("share_converted")), "survival")


def times() -> Result:
    """Return quantiles of how long it took, of two values of a breakdown."""
    rows = [
        {"breakdown": value, "quantile": quantile, "seconds": 10.0 ** (place + 3 * quantile)}
        for place, value in enumerate(["mobile", None])
        for quantile in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
    ]
    return answer(pl.DataFrame(rows), "times", breakdown="platform")


def stickiness() -> Result:
    """Return how many weeks actors are active in."""
    rows = {"periods_active": [1, 2, 3], "actors": [6, 2, 0], "share": [0.75, 0.25, 0.0]}
    return answer(pl.DataFrame(rows), "stickiness", every="1w")


def retention_mean() -> Result:
    """Return the retention of all cohorts, in brackets."""
    rows = {"offset": [0, 1], "through": [0, 6], "eligible": [50, 40], "returned": [25, 10], "rate": [0.5, 0.25]}
    return answer(pl.DataFrame(rows), "retention_mean", start=["a", "b"], period="day")


CHARTS: Mapping[str, tuple[Callable[[], Result], list[str]]] = {
    "funnel": (
        funnel,
        [
            "Funnel from catalog to purchase",
            "1  catalog",
            "reached",
            "window still open",
            "dropped",
            "100",
            "40.0%",
            "10.0%",
            "1 m 16 s",
            "1 h 30 m",
        ],
    ),
    "funnel by": (
        lambda: funnel("mobile", None, EVIL),
        ["mobile", "NULL", EVIL[:13], f"2  {EVIL}", "100%", "25.0%"],
    ),
    "survival": (survival, ["Share converted, by time since the entry", "hours since the entry", "50.0%"]),
    "times": (
        times,
        ["Time from the entry, of those who converted", "mobile", "NULL", "half within", "32 s", "5 m 16 s"],
    ),
    "survival by": (
        lambda: answer(
            pl.concat([survival().pl().with_columns(pl.lit(value).alias("breakdown")) for value in ("a.[0]", None)]),
            "survival",
        ),
        ["a.[0] 50.0%", "NULL 50.0%"],
    ),
    "retention": (
        retention,
        [
            "1 Jan 2024",
            "8 Jan 2024",
            "15 Jan 2024",
            "weighted mean",
            "109",
            "80",
            "50.0%",
            "52.0%",
            "24.7%",
            "20.0%",
            "weeks since the start",
            "of those whose period is over, not yet the whole cohort",
        ],
    ),
    "retention mean": (retention_mean, ["Retention: any event after a or b, all cohorts", "1\N{EN DASH}6", "25.0%"]),
    "trend": (trend, ["count(*) by day", "so far", "1 Jan", "5 Jan"]),
    "trend before": (lambda: trend(previous=True), ["before", "so far"]),
    "trend by": (
        lambda: trend("mobile", None, EVIL, breakdown="platform"),
        ["count(*) by day and platform", "mobile", "NULL", EVIL[:17]],
    ),
    "lifecycle": (lifecycle, ["Who is new, comes back and falls dormant, by week", "new", "resurrecting", "dormant"]),
    "stickiness": (stickiness, ["75.0%", "weeks with events", "Nobody has events in more than 2 of the 3 weeks."]),
    "sessions": (sessions, ["3 sessions of 2.0 events on average", "sessions per day", "one event", "10 s to 1 m"]),
    "process map": (
        process_map,
        [
            "What directly follows what: 3 event types",
            "start",
            "end",
            "catalog",
            marks.cut(EVIL, 20),
            "again 50 · 12 s",
            "80 · 1 m 1 s",
            "50 · 2 h",
            "30 · 4 s",
            "100",
        ],
    ),
    "variants": (variants, ["catalog", "70.0%", "+23 more", "1 h", EVIL[:9]]),
    "paths": (paths, ["event 1", "event 3", "catalog 100%", "(end) 40%", "cart 45%"]),
    "comparison": (
        comparison,
        [
            "Differences of the funnel: a minus b",
            "step 2: rate",
            "50.0%",
            "+25.0 pp",
            "+10.0 … +40.0 pp",
            "0 pp",
            "Grey: the interval includes zero.",
            "1 cell without a difference left out.",
            "\N{MINUS SIGN}1.0 pp",
        ],
    ),
}


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_says_what_is_in_it(name: str, mode: themes.Mode, capfd: pytest.CaptureFixture[str]) -> None:
    """Its labels and numbers, its definition in lines, in the colours of the mode; Vega has nothing to say."""
    make, expected = CHARTS[name]
    texts = drawn(make(), mode)
    for text in expected:
        assert any(text in shown for shown in texts), (text, texts)
    told = " ".join(" ".join(texts).split())
    assert all(word in told for word in DEFINITION.split())
    assert capfd.readouterr() == ("", "")


def test_a_funnel_bar_is_who_came_split_into_who_reached_it_may_yet_and_did_not() -> None:
    """Lengths are counts; the part whose window is open has a dashed edge and no fill."""
    rows = [row for row in rows_of(funnel()) if row.get("step") == f"2 {EVIL}"]
    longest = max(row["x2"] - row["x"] for row in rows_of(funnel()) if row.get("step") == "1 catalog")
    bars: dict[float, int] = {}
    for row in rows:  # the dashed edge is a little within its part
        bars[row["opacity"]] = max(bars.get(row["opacity"], 0), round((row["x2"] - row["x"]) / longest * 100))
    assert bars == {0.88: 40, 0.0: 6, 0.22: 54}
    frames = [
        layer for layer in answers.chart(funnel()).to_dict()["layer"] if layer["mark"].get("strokeDash") == [3, 2]
    ]
    assert len(frames) == 1


def test_bars_of_a_breakdown_are_shares_of_its_own_entries() -> None:
    """So that a small part can be compared with a large one."""
    whole = {
        (row["value"], round(row["x2"] - row["x"]))
        for row in rows_of(funnel("mobile", None))
        if row.get("step") == "1 catalog"
    }
    assert len(whole) == 2
    assert len({length for _, length in whole}) == 1


def test_an_immature_cell_is_marked_and_one_of_nobody_is_left_out() -> None:
    """The mean is the sum of the returned by the sum of the eligible."""
    cells = [row for row in rows_of(retention()) if "eligible" in row and "x2" in row]
    assert {(row["cohort"], row["after"]) for row in cells if row["open"] and row["cohort"] != "all"} == {
        ("8 Jan 2024", "1 week")
    }
    assert not [row for row in cells if row["cohort"] == "15 Jan 2024"]
    assert {row["after"]: row["rate"] for row in cells if row["cohort"] == "all"} == {
        "0 weeks": "52.0%",
        "1 week": "24.7%",
    }


def test_partial_periods_are_dashed() -> None:
    """The lines from and to a partial period, first or last, are dashed; the others are not."""
    rows = [row for row in rows_of(trend()) if "going" in row]
    assert [row["over"] for row in rows] == [None, 11, 12, 13, None]
    assert [row["going"] for row in rows] == [10, 11, None, 13, 14]
    spec = answers.chart(trend()).to_dict()
    dashes = {
        layer["encoding"]["y"]["field"]: layer["mark"].get("strokeDash")
        for layer in spec["layer"]
        if layer["mark"]["type"] == "line"
    }
    assert dashes == {"over": None, "going": [4, 3]}
    pale = {row["moment"]: row["opacity"] for row in rows_of(lifecycle()) if "low" in row}
    assert list(pale.values()) == [0.9, 0.9, 0.4]


def test_who_fell_dormant_is_below_zero_and_the_others_are_stacked() -> None:
    """The top of a stack is how many were active."""
    bars = [row for row in rows_of(lifecycle()) if row.get("moment", "").startswith("Mon 15 Jan")]
    assert {row["what"]: (row["low"], row["high"]) for row in bars} == {
        "new": (0, 5),
        "returning": (5, 11),
        "resurrecting": (11, 12),
        "dormant": (-2, 0),
    }


def test_many_lines_are_grey_but_the_largest() -> None:
    """And labels at their ends do not overlap."""
    result = trend(*(f"value {number:02}" for number in range(20)), breakdown="x")
    labels = [row for row in rows_of(result) if "end" in row]
    assert [row["text"] for row in labels] == [f"value {number:02}" for number in range(19, 13, -1)]
    assert {row["hue"] for row in labels} == set(marks.HUES[:6])
    extent = 204 * 1.06
    places = [row["end"] / extent * 260 for row in labels]
    assert all(above - below >= 14.9 for above, below in itertools.pairwise(places))
    assert "The 6 largest of 20 lines have a name." in answers.chart(result).to_dict()["title"]["subtitle"]


def test_values_that_read_alike_are_kept_apart() -> None:
    """NULL is not the text NULL, what is left over is not the text other, and an event's name may have a line break."""
    frame = trend("NULL", None, "other").pl()
    rest = frame.filter(pl.col("breakdown") == "other").with_columns(pl.lit(value=True).alias("other"), breakdown=None)
    both = pl.concat([frame.with_columns(pl.lit(value=False).alias("other")), rest])
    rows = rows_of(answer(both, "trend", measure="x"))
    assert {(row["series"], row["label"]) for row in rows if "series" in row} == {
        (0, "other"),
        (1, "NULL"),
        (2, "NULL"),
        (3, "(all others)"),
    }
    edges = {
        "source": ["a b", "a\nb"],
        "target": ["a\nb", "a b"],
        "count": [2, 1],
        "cases": [1, 1],
        "share": [1.0, 1.0],
    }
    counted = pl.DataFrame(edges).with_columns(median_seconds=pl.lit(1.0), p95_seconds=pl.lit(1.0))
    assert drawn(answer(counted, "process_map")).count("a b") == 2


def test_a_large_map_is_drawn_in_part_and_says_so() -> None:
    """No node without its strongest ways; how much of all is drawn stands below the title."""
    result = process_map(types=30)
    subtitle = answers.chart(result).to_dict()["title"]["subtitle"]
    (told,) = [line for line in subtitle if line.startswith("Drawn are")]
    share = re.fullmatch(r"Drawn are (\d+) of ([\d,]+) transitions: ([\d.]+)% of all that happened\.", told)
    assert share is not None
    assert int(share[1]) < 80 < int(share[2].replace(",", ""))
    names = {row["name"] for row in rows_of(result) if "name" in row}
    assert {"catalog", "purchase", "start", "end"} <= names
    assert len(names) == 20


def test_the_same_map_is_always_the_same_picture() -> None:
    """Whatever the order of its rows."""
    frame = process_map(types=9).pl()
    one, other = (answers.chart(answer(rows, "process_map")).to_dict() for rows in (frame, frame[::-1]))
    assert one == other


def test_small_nodes_of_a_step_are_one() -> None:
    """With their actors together."""
    texts = drawn(paths(types=40))
    assert "(others) 23%" in texts  # 31 of 137: the largest seven have a node, and the end


def test_sessions_are_counted_and_not_sent() -> None:
    """A hundred thousand of them are a chart of a few rows."""
    frame = sessions().pl()
    rows = rows_of(answer(pl.concat([frame] * 40_000), "sessions"))
    assert len(rows) < 20
    assert {row.get("sessions") for row in rows} >= {80_000, 40_000}


def test_a_long_curve_has_no_more_points_than_can_be_told_apart() -> None:
    """And ends where it ends."""
    rows = [row for row in rows_of(survival(points=20_000)) if "told" in row]
    assert len(rows) <= 602
    assert (rows[0]["share_converted"], rows[-1]["share_converted"]) == (0, 0.5)


@pytest.mark.parametrize("name", CHARTS)
def test_no_rows_are_one_clear_error(name: str) -> None:
    """It says which answer has none."""
    result = CHARTS[name][0]()
    empty = answer(result.pl().clear(), result.kind)
    with pytest.raises(el.InvalidArgument, match=f"nothing to chart: the {result.kind.replace('_', ' ')} has no rows"):
        answers.chart(empty)


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("funnel", "fewer values"),
        ("retention", 'period="week"'),
        ("trend", "top=5"),
        ("lifecycle", 'every="1w"'),
        ("stickiness", 'every="1w"'),
        ("comparison", "fewer cells"),
    ],
)
def test_too_many_rows_are_one_clear_error(kind: str, hint: str) -> None:
    """Before they are read, with what to do."""
    rows = pl.DataFrame({"step": range(analyses.BUDGET + 1)})
    with pytest.raises(el.InvalidArgument, match="more than 5,000 rows, too many for a chart") as caught:
        answers.chart(answer(rows, kind))
    assert hint in caught.value.hint


def test_what_is_no_chart_says_so() -> None:
    """A list of actors; a measure that is no number; windows of which none is over; differences that cannot be told."""
    with pytest.raises(el.InvalidArgument, match="list of actors is no chart") as caught:
        answers.chart(answer(pl.DataFrame({"actor": ["a"]}), "actors"))
    assert "Count them" in caught.value.hint
    text = trend().pl().with_columns(pl.col("value").cast(pl.String))
    with pytest.raises(el.InvalidArgument, match="String, not a number"):
        answers.chart(answer(text, "trend"))
    with pytest.raises(el.InvalidArgument, match="no window is over yet"):
        answers.chart(answer(retention().pl().with_columns(eligible=0), "retention"))
    with pytest.raises(el.InvalidArgument, match="no cell has a difference"):
        answers.chart(answer(comparison().pl()[2:], "comparison"))


def test_a_funnel_that_nobody_entered_is_drawn() -> None:
    """Zeros, and no rates."""
    frame = funnel().pl()
    numbers = [name for name in frame.columns if name not in {"step", "event", "rate", "rate_total", "median_seconds"}]
    nobody = frame.with_columns(pl.lit(0).alias(name) for name in numbers).with_columns(rate=None, rate_total=None)
    texts = drawn(answer(nobody, "funnel"))
    assert texts.count("0") == 3
    assert marks.NONE in texts


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh"), st.integers(1, 99)), max_size=30),
    st.integers(300, 900),
)
def test_a_layout_keeps_nodes_apart_and_within(given_edges: list[tuple[str, str, int]], width: int) -> None:
    """Nodes of a layer do not overlap, ways begin and end at their nodes, and pass the layers straight up or down."""
    edges = {(source, target): float(weight) for source, target, weight in given_edges}
    nodes = sorted({node for edge in edges for node in edge})
    boxes = {node: layouts.Box(60, 30) for node in nodes}
    found = layouts.layout(boxes, edges, width=width)
    assert set(found.ways) == {edge for edge in edges if edge[0] != edge[1]}
    for node, (x, y) in found.places.items():
        assert 0 <= x <= width
        assert all(abs(x - other) >= 60 for name, (other, level) in found.places.items() if name != node and level == y)
    for (source, target), way in found.ways.items():
        for end, (x, y) in ((source, way[0]), (target, way[-1])):
            assert abs(x - found.places[end][0]) <= 30
            assert abs(y - found.places[end][1]) == pytest.approx(15)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 500), st.floats(1, 40)), max_size=12))
def test_things_on_a_line_are_moved_apart(things: list[tuple[float, float]]) -> None:
    """In their order, without overlap, within the line if there is room; those that have room stay where they are."""
    things = sorted(things)
    wanted, lengths = [place for place, _ in things], [length for _, length in things]
    middles = layouts.apart(wanted, lengths, high=500)
    for (left, long), (right, wide) in zip(
        zip(middles, lengths, strict=True), list(zip(middles, lengths, strict=True))[1:], strict=False
    ):
        assert right - left >= (long + wide) / 2 - 1e-6
    if things and sum(lengths) <= 500:
        assert middles[0] - lengths[0] / 2 >= -1e-6
        assert middles[-1] + lengths[-1] / 2 <= 500 + 1e-6
    spaced = [100.0 * number + 50 for number in range(3)]
    assert layouts.apart(spaced, [20, 20, 20]) == spaced
