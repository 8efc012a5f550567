"""Retention against an oracle: actor by actor and window by window, in plain Python."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from calendars import BEGUN, KINDS, ZONE, Row, begins, load, logs, number, recorded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventlab.analytics.steps import step

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    import eventlab as el

EVERY = {"day": "1d", "week": "1w", "month": "1mo"}
DAYS = {"day": 1, "week": 7, "month": 30}
SLOW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Asked:
    """The options of a retention."""

    start: list[str]
    returning: list[str] | None
    period: str
    brackets: list[tuple[int, int]]
    clock: str
    mode: str
    cohort: str
    timezone: str
    by: str
    since: dt.datetime | None
    until: dt.datetime | None
    complete_through: dt.datetime | None

    def of(self, log: el.EventLog | el.LogView) -> Any:
        """Ask a log."""
        options = {name: value for name, value in vars(self).items() if name not in ("start", "returning")}
        return log.retention(self.start, self.returning, **options)


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    """Draw options."""
    some = st.lists(st.sampled_from(KINDS), min_size=1, max_size=2, unique=True)
    moments = st.none() | st.integers(0, 400).map(lambda n: BEGUN + n * dt.timedelta(hours=2))
    since, until = draw(moments), draw(moments)
    if since and until and since >= until:
        until = None
    edges = draw(st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True).map(sorted))
    pairs = [(edge, draw(st.integers(edge, later - 1))) for edge, later in zip(edges, [*edges[1:], 12], strict=True)]
    return Asked(
        draw(some),
        draw(st.none() | some),
        draw(st.sampled_from(list(EVERY))),
        pairs,
        draw(st.sampled_from(["calendar", "rolling"])),
        draw(st.sampled_from(["on", "on_or_after"])),
        draw(st.sampled_from(["first_ever", "first_in_range"])),
        draw(st.sampled_from([ZONE, "UTC", "Asia/Kolkata"])),
        draw(st.sampled_from(["stream_id", "actor", "split_part(stream_id, '-', 1)"])),
        since,
        until,
        draw(moments),
    )


def who(row: Row, by: str) -> str | None:
    """Return who acts in an event."""
    return {"stream_id": row.stream, "actor": row.user}.get(by, row.stream.split("-")[0])


def outcomes(rows: Sequence[Row], asked: Asked) -> dict[str, tuple[dt.date, dict[int, tuple[bool, bool]]]]:
    """Return by actor the cohort, and by offset whether it is eligible, and whether it returned."""
    every, zone = EVERY[asked.period], asked.timezone
    complete = asked.complete_through or max((row.at for row in rows), default=None)
    width = dt.timedelta(days=DAYS[asked.period])
    found = {}
    for actor in {who(row, asked.by) for row in rows} - {None}:
        own = [row for row in rows if who(row, asked.by) == actor]
        starts = [row for row in own if row.kind in asked.start]
        chosen = [row for row in starts if within(row.at, asked)]
        if asked.cohort == "first_in_range":
            starts = chosen
        if not starts:
            continue
        started = min(row.at for row in starts)
        if not within(started, asked):
            continue
        counts = [row for row in own if asked.returning is None or row.kind in asked.returning]
        # The start is one event. Of several at one instant it is one that is no return.
        first = min((row for row in starts if row.at == started), key=counts.__contains__)
        if first in counts:
            counts.remove(first)
        counts = [row for row in counts if row.at >= started]
        cohort = number(started, every, zone)

        def offset(at: dt.datetime, cohort: int = cohort, started: dt.datetime = started) -> int:
            return number(at, every, zone) - cohort if asked.clock == "calendar" else (at - started) // width

        def end(window: int, cohort: int = cohort, started: dt.datetime = started) -> dt.datetime:
            return (
                begins(cohort + window + 1, every, zone)
                if asked.clock == "calendar"
                else started + (window + 1) * width
            )

        offsets = {offset(row.at) for row in counts}
        day = begins(cohort, every, zone).astimezone(ZoneInfo(zone)).date()
        cells = {}
        for low, high in asked.brackets:
            eligible = complete is not None and end(high) <= complete
            came = any(low <= k and (k <= high or asked.mode == "on_or_after") for k in offsets)
            cells[low] = (eligible, came)
        found[str(actor)] = (day, cells)
    return found


def within(at: dt.datetime, asked: Asked) -> bool:
    """Tell whether an instant is one that is asked for."""
    return (asked.since is None or at >= asked.since) and (asked.until is None or at < asked.until)


def table(rows: Sequence[Row], asked: Asked) -> list[tuple[Any, ...]]:
    """Return the rows of a retention."""
    actors = outcomes(rows, asked)
    lines = []
    for cohort in sorted({day for day, _ in actors.values()}):
        members = [cells for day, cells in actors.values() if day == cohort]
        for low, high in asked.brackets:
            eligible = [cells[low] for cells in members if cells[low][0]]
            returned = sum(came for _, came in eligible)
            rate = returned / len(eligible) if eligible else None
            lines.append((cohort, len(members), low, high, len(eligible), returned, rate))
    return lines


@SLOW
@given(logs(), questions())
def test_retention_is_the_oracles(rows: list[Row], asked: Asked) -> None:
    """Sizes, eligible and returned are those that are counted one by one, under every option; the mean is their sums."""
    if not {row.kind for row in rows} >= {*asked.start, *(asked.returning or ())}:
        rows = [*rows, *(Row("z-1", kind, BEGUN) for kind in KINDS)]
    with recorded(rows, ZONE) as log:
        found = asked.of(log)
        expected = table(rows, asked)
        assert found.pl().rows() == expected
        assert log.sql(found.sql).pl().rows() == expected
        for offset, _, eligible, returned, _ in found.mean().pl().rows():
            assert eligible == sum(line[4] for line in expected if line[2] == offset)
            assert returned == sum(line[5] for line in expected if line[2] == offset)


@SLOW
@given(logs(fewest=1), questions())
def test_behind_each_cell_are_its_actors(rows: list[Row], asked: Asked) -> None:
    """The actors of each cell are the oracle's, by every outcome; there are as many as the cell says."""
    rows = [*rows, *(Row("z-1", kind, BEGUN) for kind in KINDS)]
    actors = outcomes(rows, asked)
    with recorded(rows, ZONE) as log:
        found = asked.of(log)
        for cohort, size, offset, _, eligible, returned, _ in found.pl().rows()[:8]:
            cells = {actor: cells[offset] for actor, (day, cells) in actors.items() if day == cohort}
            expected = {
                "returned": {actor for actor, (over, came) in cells.items() if over and came},
                "lost": {actor for actor, (over, came) in cells.items() if over and not came},
                "eligible": {actor for actor, (over, _) in cells.items() if over},
                "size": set(cells),
            }
            counted = {"returned": returned, "lost": eligible - returned, "eligible": eligible, "size": size}
            for outcome, names in expected.items():
                behind = found.actors(cohort=cohort, offset=offset, outcome=outcome).pl()["actor"].to_list()
                assert behind == sorted(names)
                assert len(behind) == counted[outcome]


@SLOW
@given(logs(fewest=1), questions(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(rows: list[Row], asked: Asked, chance: random.Random) -> None:
    """Shuffled events, ties among them, give the same retention."""
    rows = [*rows, *(Row("z-1", kind, BEGUN) for kind in KINDS)]
    shuffled = chance.sample(rows, len(rows))
    with recorded(rows, ZONE) as log, recorded(shuffled, ZONE) as other:
        assert asked.of(log).pl().equals(asked.of(other).pl())


@SLOW
@given(logs(fewest=1), questions())
def test_a_calendar_of_a_zone_is_that_of_utc_on_its_clocks(rows: list[Row], asked: Asked) -> None:
    """Calendar retention in a zone is that of UTC over the times that its clocks show, while these never go back."""
    spring = [replace(row, at=row.at.replace(month=3, day=min(row.at.day, 28))) for row in rows]
    rows = [*spring, *(Row("z-1", kind, BEGUN) for kind in KINDS)]
    asked = replace(asked, clock="calendar", timezone=ZONE)

    def shown(at: dt.datetime | None) -> Any:
        return at and at.astimezone(ZoneInfo(ZONE)).replace(tzinfo=dt.UTC)

    moments = {name: shown(getattr(asked, name)) for name in ("since", "until", "complete_through")}
    with recorded(rows) as log, recorded([replace(row, at=shown(row.at)) for row in rows]) as local:
        there = replace(asked, timezone="UTC", **moments)
        assert asked.of(log).pl().equals(there.of(local).pl())


@SLOW
@given(logs(fewest=6), questions(), st.data())
def test_a_view_of_before_late_events_does_not_see_them(rows: list[Row], asked: Asked, data: st.DataObject) -> None:
    """What was recorded later, though it occurred earlier, is not in a view that did not know it."""
    rows = [*(Row("z-1", kind, BEGUN) for kind in KINDS), *rows]
    cut = data.draw(st.integers(3, len(rows)))
    with recorded(rows[:cut], ZONE) as log:
        position = log.position
        before = asked.of(log).pl()
        load(log, [*rows[cut:], Row("late-1", "Up", BEGUN - dt.timedelta(days=2))])
        assert asked.of(log.at(position)).pl().equals(before)
        late = [*rows, Row("late-1", "Up", BEGUN - dt.timedelta(days=2))]
        assert asked.of(log).pl().rows() == table(late, asked)


@SLOW
@given(logs(fewest=4), questions(), st.integers(0, 5))
def test_a_step_with_a_condition_is_a_type_of_its_own(rows: list[Row], asked: Asked, least: int) -> None:
    """Purchases above an amount, as a start or a return, are those of a log in which they are another type."""
    rows = [
        *rows,
        *(Row("z-1", kind, BEGUN, amount=9, country="DE") for kind in KINDS),
        Row("z-1", "Buy", BEGUN, amount=-3),
    ]
    split = [replace(row, kind="Large" if row.kind == "Buy" and row.amount > least else row.kind) for row in rows]
    large = step("Buy", where=f"amount > {least}")
    with recorded(rows, ZONE) as log, recorded(split, ZONE) as other:
        for start, returning in (
            ([large], ["Buy", "In"]),
            (["Up", "Buy"], [large]),
            ([large], [large]),
            (["Buy"], [large, "Up"]),
        ):
            apart = [
                [
                    name
                    for one in some
                    for name in (["Large"] if one == large else ["Buy", "Large"] if one == "Buy" else [one])
                ]
                for some in (start, returning)
            ]
            found = replace(asked, start=start, returning=returning).of(log)  # type: ignore[arg-type]
            assert found.pl().equals(replace(asked, start=apart[0], returning=apart[1]).of(other).pl())
