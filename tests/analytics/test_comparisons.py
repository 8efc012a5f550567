"""Comparisons: published intervals, bootstraps against an oracle, what can be compared with what."""

from __future__ import annotations

import hashlib
import itertools
import math
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import polars as pl
import pytest
from calendars import ZONE, logs, recorded
from courses import SLOW, Asked, median
from hypothesis import given
from hypothesis import strategies as st

import eventlab as el
from eventlab.analytics import resamples
from eventlab.analytics.comparisons import newcombe, wilson
from eventlab.session.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from calendars import Row

_MASK = 2**64 - 1


def weight(owner: int, draw: int) -> int:
    """Return how often an owner counts in a draw, by hand."""
    if not draw:
        return 1
    mixed = owner ^ ((draw * 0x9E3779B97F4A7C15) & _MASK)
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    uniform = ((mixed ^ (mixed >> 31)) >> 11) / 2**53
    count, below = 0, math.exp(-1)
    while uniform >= below and count < 19:
        count += 1
        below += math.exp(-1) / math.factorial(count)
    return count


def owner(log: el.EventLog, who: object) -> int:
    """Return the number of an actor: the second half of the MD5 of the store and its name."""
    digest = hashlib.md5(f"{log.store_id}/{who}".encode()).digest()  # noqa: S324 - no secret
    return int.from_bytes(digest[8:], "little")


def drawn(log: el.EventLog, actors: list[Any], value: Callable[[list[Any]], float | None]) -> list[float | None]:
    """Return the values of all draws: of the actors, each as often as it counts."""
    numbers = [(who, owner(log, who)) for who in actors]
    return [
        value([who for who, number in numbers for _ in range(weight(number, draw))])
        for draw in range(resamples.DRAWS + 1)
    ]


def interval(a: list[float | None], b: list[float | None], level: float = 0.95) -> tuple[float | None, ...]:
    """Return the row of a comparison: a, b, difference, low, high."""
    if a[0] is None or b[0] is None:
        return a[0], b[0], None, None, None
    between = [x - y for x, y in zip(a[1:], b[1:], strict=True) if x is not None and y is not None]
    ends = (median(between, (1 - level) / 2), median(between, (1 + level) / 2))
    return (a[0], b[0], a[0] - b[0], *ends)


def rows(result: Result) -> dict[str, Any]:
    """Return the rows of a comparison by cell."""
    frame = result.pl()
    assert frame.columns == ["cell", "a", "b", "difference", "low", "high"]
    return {cell: tuple(numbers) for cell, *numbers in frame.rows()}


def near(expected: tuple[float | None, ...]) -> tuple[Any, ...]:
    """Return numbers that are compared but for their last digits."""
    return tuple(None if number is None else pytest.approx(number, abs=1e-9) for number in expected)


def by_hand(kind: str, columns: str, *values: tuple[Any, ...]) -> Result:
    """Return a result that was made by hand."""
    frame = pl.DataFrame(list(values), schema=columns.split(), orient="row", infer_schema_length=None)
    connection = duckdb.connect()
    connection.register("made", frame.to_arrow())
    return Result(
        connection.sql("from made"), "from made", kind, {"breakdown": "country" if "breakdown" in columns else None}
    )


# R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10.
PUBLISHED = [
    (56, 70, 48, 80, 0.0524, 0.3339),
    (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062),
    (5, 56, 0, 29, -0.0381, 0.1926),
    (0, 10, 0, 20, -0.1611, 0.2775),
    (0, 10, 0, 10, -0.2775, 0.2775),
    (10, 10, 0, 20, 0.6791, 1.0),
    (10, 10, 0, 10, 0.6075, 1.0),
]


@pytest.mark.parametrize(("x", "m", "y", "n", "low", "high"), PUBLISHED)
def test_newcombe_as_published(x: int, m: int, y: int, n: int, low: float, high: float) -> None:
    """The interval of a difference is that of Newcombe's paper, and turns around with the sides."""
    assert newcombe((x, m), (y, n)) == pytest.approx((low, high), abs=5e-5)
    assert newcombe((y, n), (x, m)) == pytest.approx((-high, -low), abs=5e-5)


def test_wilson_as_published() -> None:
    """Wilson's interval is that of Newcombe's paper on single proportions (Statistics in Medicine 17, 857-872, method 3)."""
    for hits, of, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


FUNNEL = "step event entered mature converted dropped pending converted_early reached rate rate_total median_seconds"


def test_funnels_compare_rates_of_mature_entries() -> None:
    """Each step has its rate and that of all mature entries; where nobody is mature there is no interval."""
    a = by_hand(
        "funnel",
        FUNNEL,
        (1, "A", 90, 80, 80, 0, 10, 0, 80, 1.0, 1.0, None),
        (2, "B", 80, 70, 56, 14, 8, 2, 58, 0.8, 0.7, 5.0),
        (3, "C", 58, 0, 0, 0, 58, 0, 0, None, 0.0, None),
    )
    b = by_hand(
        "funnel",
        FUNNEL,
        (1, "A", 100, 100, 100, 0, 0, 0, 100, 1.0, 1.0, None),
        (2, "B", 100, 80, 48, 32, 0, 0, 48, 0.6, 0.48, 5.0),
        (3, "C", 48, 40, 10, 30, 0, 0, 10, 0.25, 0.1, 5.0),
    )
    result = el.compare(a, b)
    found = rows(result)
    assert list(found) == [f"step {step}: {rate}" for step in ("2 B", "3 C") for rate in ("rate", "rate_total")]
    assert found["step 2 B: rate"] == (
        0.8,
        0.6,
        pytest.approx(0.2),
        pytest.approx(0.0524, abs=5e-5),
        pytest.approx(0.3339, abs=5e-5),
    )
    assert found["step 2 B: rate_total"][:2] == (0.7, 0.48)
    assert found["step 2 B: rate_total"][3:] == pytest.approx(newcombe((56, 80), (48, 100)))
    assert found["step 3 C: rate"] == (None, 0.25, None, None, None)
    assert found["step 3 C: rate_total"][:2] == (0.0, 0.1)
    assert result.kind == "comparison"


def test_real_funnels_compare(tmp_path: Path) -> None:
    """56 of 70 against 48 of 80 users, as a funnel of each and as one with a breakdown; pending entries do not count."""
    log = el.open(tmp_path, create=True)
    sizes = {"new": (56, 70), "old": (48, 80)}
    for group, (converted, entered) in sizes.items():
        for number in range(entered + 5):
            day, kinds = (1, "AB" if number < converted else "A") if number < entered else (5, "A")
            events = [el.Event(kind, occurred_at=f"2026-03-0{day}T0{hour}:00") for hour, kind in enumerate(kinds)]
            log.append(f"{group}-{number}", events)
    a, b = (log.funnel(["A", "B"], within="1d", where=f"category = '{group}'") for group in sizes)
    parts = log.funnel(["A", "B"], within="1d", breakdown="category")
    for result in (el.compare(a, b), el.compare(parts, between=("new", "old"))):
        found = rows(result)
        assert list(found) == ["step 2 B: rate", "step 2 B: rate_total"]
        for row in found.values():
            assert row == pytest.approx((0.8, 0.6, 0.2, 0.0524, 0.3339), abs=5e-5)


def test_segments_of_one_funnel() -> None:
    """Two values of a breakdown are compared as two results are; NULL is a value."""
    parts = [("DE", (56, 70)), ("US", (48, 80)), (None, (1, 2))]
    rows_ = [(part, 2, "B", n, n, k, n - k, 0, 0, k, k / n, k / n, None) for part, (k, n) in parts]
    funnel = by_hand("funnel", f"breakdown {FUNNEL}", *rows_)
    found = rows(el.compare(funnel, between=("DE", "US")))
    assert found["step 2 B: rate"][3:] == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert rows(el.compare(funnel, between=(None, "US")))["step 2 B: rate"][:2] == (0.5, 0.6)
    assert list(rows(el.compare(funnel, funnel)))[::2] == [
        "DE, step 2 B: rate",
        "US, step 2 B: rate",
        "None, step 2 B: rate",
    ]
    with pytest.raises(el.InvalidArgument, match="There are: 'DE', 'US', None"):
        el.compare(funnel, between=("DE", "FR"))


@SLOW
@given(rows_=logs(fewest=1))
def test_retentions_compare_rates_of_the_eligible(rows_: list[Row]) -> None:
    """Each cohort and offset, and the means, have the difference of their rates; what one has alone has none."""
    with recorded(rows_, ZONE) as log:
        a, b = (log.retention(rows_[0].kind, windows=2, by="actor", where=f"stream_id like '{name}%'") for name in "ab")
        found = rows(el.compare(a, b))
        sides = [{(row["cohort"], row["offset"]): row for row in side.pl().to_dicts()} for side in (a, b)]
        assert len(found) == len(set(sides[0]) | set(sides[1]))
        for key in sides[0]:
            mine, theirs = sides[0][key], sides[1].get(key)
            row = found[f"{key[0]}, offset {key[1]}: rate"]
            assert row[0] == mine["rate"]
            if theirs is None or theirs["rate"] is None or mine["rate"] is None:
                assert row[2:] == (None, None, None)
                continue
            counts = [(side["returned"], side["eligible"]) for side in (mine, theirs)]
            assert row == near((mine["rate"], theirs["rate"], mine["rate"] - theirs["rate"], *newcombe(*counts)))
        assert len(rows(el.compare(a.mean(), b.mean()))) == (3 if found else 0)


@SLOW
@given(rows_=logs())
def test_shares_are_of_all_actors(rows_: list[Row]) -> None:
    """Shares of variants, paths, edges and stickiness are compared with their actors as numbers; what is missing is of nobody."""
    with recorded(rows_, ZONE) as log:
        wheres = ("stream_id like 'a%'", "stream_id like 'b%'")
        totals = [len(Asked().courses(log).keys() & streams) for streams in ({"a-1", "a-2"}, {"b-1", "b-2", "b-3"})]
        for ask, count in (
            (log.variants, "cases"),
            (log.paths, "actors"),
            (log.process_map, "cases"),
            (log.stickiness, "actors"),
        ):
            sides = [ask(where=where) for where in wheres]
            shares = {cell: row for cell, row in rows(el.compare(*sides)).items() if cell.endswith("share")}
            frames = [side.pl() for side in sides]
            if not all(frame[count].sum() for frame in frames):
                continue
            assert math.isclose(sum(row[0] * totals[0] for row in shares.values()), frames[0][count].sum())
            assert math.isclose(sum(row[1] * totals[1] for row in shares.values()), frames[1][count].sum())
            for share, other, _, low, high in shares.values():
                counts = (share * totals[0], totals[0]), (other * totals[1], totals[1])
                assert (low, high) == near(newcombe(*counts))


def test_hidden_shares_are_unknown(tmp_path: Path) -> None:
    """What a threshold may hide on one side has no difference."""
    log = el.open(tmp_path, create=True)
    for who, kinds in (("a-1", "AB"), ("a-2", "A"), ("b-1", "A"), ("b-2", "A")):
        log.append(who, [el.Event(kind) for kind in kinds])
    b = log.variants(where="category = 'b'")
    whole = rows(el.compare(log.variants(where="category = 'a'"), b))
    assert whole["A → B: share"][:3] == (0.5, 0.0, 0.5)
    part = rows(el.compare(b, log.variants(where="category = 'a'", top=1)))
    assert part["A: share"][:2] == (1.0, 0.5)
    assert "A → B: share" not in part
    assert (
        rows(el.compare(log.variants(where="category = 'a'"), log.variants(top=1)))["A → B: share"][1:] == (None,) * 4
    )


@SLOW
@given(rows_=logs(fewest=2))
def test_sessions_against_an_oracle_of_draws(rows_: list[Row]) -> None:
    """Means over sessions and their intervals are what drawing the actors by hand gives, as pairs where they are on both sides."""
    with recorded(rows_, ZONE) as log:
        results = [log.sessions("7h", by="actor"), log.sessions("7h", by="actor", where="event_type <> 'In'")]
        found = rows(el.compare(*results, level=0.5))
        sides = []
        for result in results:
            own: dict[str, list[Any]] = {}
            for row in result.pl().to_dicts():
                own.setdefault(row["actor"], []).append(row)
            sides.append(own)

        def ratio(above: float, below: float) -> float | None:
            return above / below if below else None

        def means(own: dict[str, list[Any]], who: list[str]) -> dict[str, float | None]:
            sessions = [session for one in who for session in own[one]]
            timed = [session["duration"] for session in sessions if session["duration"] is not None]
            return {
                "sessions per actor": ratio(len(sessions), len(who)),
                "events per session": ratio(sum(session["events"] for session in sessions), len(sessions)),
                "seconds per session of two or more events": ratio(sum(timed), len(timed)),
                "share of sessions of one event": ratio(len(sessions) - len(timed), len(sessions)),
            }

        for cell in means({}, []):
            values = [drawn(log, sorted(own), lambda who, own=own, cell=cell: means(own, who)[cell]) for own in sides]
            assert found[cell] == near(interval(*values, level=0.5)), cell


@SLOW
@given(rows_=logs(fewest=2), by=st.sampled_from(["stream_id", "actor"]))
def test_medians_against_an_oracle_of_draws(rows_: list[Row], by: str) -> None:
    """Median seconds of each edge are what drawing the actors by hand gives, each with all of its events."""
    with recorded(rows_, ZONE) as log:
        asked = Asked(by), Asked(by, "event_type <> 'In' or version > 2  -- some")
        results = [log.process_map(**one.options) for one in asked]
        found = {cell: row for cell, row in rows(el.compare(*results, level=0.5)).items() if "median" in cell}
        sides: list[dict[str, dict[Any, list[float]]]] = []
        for one in asked:
            waits: dict[str, dict[Any, list[float]]] = {}
            for who, course in one.courses(log).items():
                for a, b in itertools.pairwise(course):
                    cell = f"{a.event_type} → {b.event_type}: median_seconds"
                    seconds = (b.occurred_at - a.occurred_at).total_seconds()
                    waits.setdefault(cell, {}).setdefault(who, []).append(seconds)
            sides.append(waits)
        assert set(found) == set(sides[0]) | set(sides[1])
        for cell in sorted(found)[:3]:
            values = []
            for waits in sides:
                own = waits.get(cell, {})
                values.append(
                    drawn(log, list(own), lambda who, own=own: median([wait for one in who for wait in own[one]]))
                )
            assert found[cell] == near(interval(*values, level=0.5)), cell


MEASURES: dict[str, Callable[[list[list[Any]]], float | None]] = {
    "count(*)": lambda actors: sum(map(len, actors)),
    "count(DISTINCT actor) filter (event_type = 'Up')": lambda actors: sum(
        any(act.event_type == "Up" for act in acts) for acts in actors
    ),
    "avg(version) filter (version > 0) * 10": lambda actors: (
        10 * sum(act.version for acts in actors for act in acts) / sum(map(len, actors))
        if sum(map(len, actors))
        else None
    ),
    "round(sum(version) / count(*), 3) + count(DISTINCT actor)": lambda actors: (
        round(sum(act.version for acts in actors for act in acts) / sum(map(len, actors)), 3) + len(actors)
        if sum(map(len, actors))
        else None
    ),
}


@SLOW
@given(rows_=logs(fewest=2), measure=st.sampled_from(list(MEASURES)), by=st.sampled_from(["stream_id", "actor"]))
def test_trends_against_an_oracle_of_draws(rows_: list[Row], measure: str, by: str) -> None:
    """The measure of each month and its interval are what drawing the actors by hand gives."""
    with recorded(rows_, "UTC") as log:
        results = [log.trend(measure, every="1mo", by=by), log.trend(measure, every="1mo", by=by, where="version > 1")]
        found = rows(el.compare(*results, level=0.5))
        sides = []
        for least in (0, 1):
            months: dict[str, dict[Any, list[Any]]] = {}
            for who, course in Asked(by).courses(log).items():
                for act in course:
                    if act.version > least:
                        months.setdefault(f"{act.occurred_at:%Y-%m}-01 00:00: value", {}).setdefault(who, []).append(
                            act
                        )
            sides.append(months)
        for cell in found:
            values: list[list[float | None]] = []
            for months, result in zip(sides, results, strict=True):
                own = months.get(cell)
                if own is None:
                    (still,) = [
                        v
                        for s, v in result.pl().select("period_start", "value").rows()
                        if cell.startswith(f"{s:%Y-%m}")
                    ]
                    values.append([still] * (resamples.DRAWS + 1))
                    continue
                values.append(drawn(log, list(own), lambda who, own=own: MEASURES[measure]([own[one] for one in who])))
            assert found[cell] == near(interval(*values, level=0.5)), cell


@SLOW
@given(rows_=logs(fewest=1))
def test_a_result_does_not_differ_from_itself(rows_: list[Row]) -> None:
    """An actor that is on both sides is drawn on both: a result compared with itself differs by 0, for sure."""
    with recorded(rows_, ZONE) as log:
        for result in (log.sessions("1h"), log.trend("count(*)", every="1mo"), log.process_map()):
            for cell, (a, b, difference, low, high) in rows(el.compare(result, result)).items():
                assert a == b
                if a is not None and not cell.endswith("share"):
                    assert (difference, low, high) == (0, 0, 0)


def test_bootstrap_of_a_count_of_actors(tmp_path: Path) -> None:
    """The number of actors of two halves differs by what two Poisson counts do: its interval is about 1.96 root n wide."""
    log = el.open(tmp_path, create=True)
    for group, size in (("a", 900), ("b", 700)):
        frame = pl.DataFrame({"id": [f"{group}-{n}" for n in range(size)], "at": ["2026-03-01"] * size})
        log.ingest(frame, event_type="'Seen'", stream_id="id", occurred_at="at")
    result = log.trend("count(DISTINCT actor)", every="1mo", breakdown="category")
    (row,) = rows(el.compare(result, between=("a", "b"))).values()
    half = 1.96 * math.sqrt(1600)
    assert row[:3] == (900, 700, 200)
    assert row[3:] == (pytest.approx(200 - half, abs=20), pytest.approx(200 + half, abs=20))
    assert rows(el.compare(result, between=("a", "b"))) == {"2026-03-01 00:00: value": row}
    text = el.compare(result, between=("a", "b"), level=0.5)
    assert log.sql(text.sql).pl().equals(text.pl())
    assert "50 %" in text.definition
    assert "breakdown 'a' of" in text.definition


def test_weights_are_a_poisson_variable() -> None:
    """Over many owners the weights of a draw have the mean and the variance of 1, and those of two draws are unrelated."""
    owners = np.random.default_rng(5).integers(0, 2**64, 200_000, dtype=np.uint64)
    one, other = resamples.weights(owners, 1), resamples.weights(owners, 2)
    assert one.mean() == pytest.approx(1, abs=0.01)
    assert one.var() == pytest.approx(1, abs=0.02)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.01
    assert [weight(int(number), 7) for number in owners[:500]] == resamples.weights(owners, 7)[:500].tolist()


def test_views_can_be_compared(tmp_path: Path) -> None:
    """A log and a view of it are two sides; the basis is the first one's, and an empty view has no rows."""
    log = el.open(tmp_path, create=True)
    for n in range(6):
        log.append(f"o-{n}", [el.Event(kind) for kind in ("AB" if n % 2 else "A")])
    view = log.at(3)
    result = el.compare(log.variants(), view.variants())
    assert rows(result)["A → B: share"][:2] == (0.5, 0.5)
    assert result.basis == log.variants().basis
    assert log.variants().definition in result.definition
    empty = log.at(0)
    assert el.compare(empty.variants(), empty.variants()).pl().height == 0
    assert rows(el.compare(empty.sessions(), empty.sessions()))["sessions per actor"] == (None,) * 5
    assert el.compare(empty.process_map(), log.process_map()).pl()["a"].to_list() == [None, None]
    assert el.compare(empty.trend("count(*)"), empty.trend("count(*)")).pl().height == 0


def test_wrong_use_of_compare(tmp_path: Path) -> None:
    """What cannot be compared is said at once, with what can."""
    log = el.open(tmp_path, create=True)
    log.append("a", [el.Event("A", {"n": 1}), el.Event("B", {"n": 2})])
    trend, variants = log.trend("count(*)"), log.variants()
    wrong: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        ((variants, trend), {}, "two of one kind"),
        ((variants, None), {}, "Compare two results"),
        ((variants, variants.pl()), {}, "Compare two results"),
        ((log.lifecycle(), log.lifecycle()), {}, "funnel"),
        ((variants, variants), {"level": 95}, "like 0.95"),
        ((trend,), {"between": ("a", "b")}, "breakdown="),
        ((trend, trend), {"between": ("a", "b")}, "and no b"),
        ((trend,), {"between": "ab"}, "and no b"),
        ((log.trend("max(A.n)"), log.trend("max(A.n)")), {}, "counts, sums and means"),
        ((log.trend("count(DISTINCT event_type)"), trend), {}, "counts, sums and means"),
        ((log.trend("count(*)", breakdown="event_type", top=1),) * 2, {}, "Ask without it"),
        ((by_hand("sessions", "actor", ("a",)),) * 2, {}, "log.trend"),
    ]
    for sides, options, hint in wrong:
        with pytest.raises(el.InvalidArgument, match=hint):
            el.compare(*sides, **options)
