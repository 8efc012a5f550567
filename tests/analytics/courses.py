"""Who did what in which order, in slow plain Python: what the oracles of sessions, paths and processes share."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars.selectors as cs
from calendars import BEGUN, KINDS, ZONE, Row, load, recorded
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import eventlab as el
    from eventlab.analytics import Analysis

# Not shrunk: to find a smaller log that fails takes longer than a test may.
SLOW = settings(max_examples=15, deadline=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))


@dataclass(frozen=True, slots=True)
class Act:
    """An event with its instant in UTC: in one zone, Python subtracts and compares wall clocks."""

    position: int
    stream_id: str
    version: int
    event_type: str
    actor: str | None
    occurred_at: dt.datetime


BYS: dict[str, Callable[[Act], Any]] = {
    "stream_id": lambda event: event.stream_id,
    "actor": lambda event: event.actor,
    "split_part(stream_id, '-', 1)  -- the category": lambda event: event.stream_id.split("-")[0],
    "case when stream_id like 'a%' then version % 2 end": lambda event: (
        event.version % 2 if event.stream_id.startswith("a") else None
    ),
}
WHERES: dict[str | None, Callable[[Act], bool]] = {
    None: lambda event: True,  # noqa: ARG005 - all events
    "event_type <> 'In' or version > 2  -- some": lambda event: event.event_type != "In" or event.version > 2,
}


@dataclass(frozen=True)
class Asked:
    """What an analysis is asked of."""

    by: str = "stream_id"
    where: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The four as keyword arguments."""
        return vars(self)

    def chosen(self, log: el.EventLog | el.LogView) -> list[Act]:
        """Return the events that count, those without an actor too."""
        acts = [
            Act(e.position, e.stream_id, e.version, e.event_type, e.actor, e.occurred_at.astimezone(dt.UTC))
            for e in log.read()
        ]
        return [
            event
            for event in acts
            if WHERES[self.where](event)
            and (self.since is None or event.occurred_at >= self.since)
            and (self.until is None or event.occurred_at < self.until)
        ]

    def courses(self, log: el.EventLog | el.LogView) -> dict[Any, list[Act]]:
        """Return the events of each actor in order."""
        found: dict[Any, list[Act]] = {}
        for event in sorted(self.chosen(log), key=lambda event: (event.occurred_at, event.position)):
            if (who := BYS[self.by](event)) is not None:
                found.setdefault(who, []).append(event)
        return found

    def unattributed(self, log: el.EventLog | el.LogView) -> int:
        """Return how many events that count have no actor."""
        return sum(BYS[self.by](event) is None for event in self.chosen(log))


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    """Draw who acts and what counts."""
    moments = st.none() | st.integers(0, 200).map(lambda n: BEGUN + n * dt.timedelta(hours=2))
    since, until = draw(moments), draw(moments)
    if since and until and since >= until:
        until = None
    return Asked(draw(st.sampled_from(list(BYS))), draw(st.sampled_from(list(WHERES))), since, until)


@dataclass(frozen=True)
class Cleaned:
    """The cleaning rules of a sequence."""

    collapse: bool = False
    ignore: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    rename: tuple[tuple[str, str], ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """The rules as keyword arguments."""
        return {**vars(self), "rename": dict(self.rename)}

    def of(self, course: Sequence[Act]) -> list[tuple[str, dt.datetime]]:
        """Return the events of a course that count, by name and instant."""
        named = [
            (dict(self.rename).get(event.event_type, event.event_type), event.occurred_at)
            for event in course
            if event.event_type not in self.ignore and (self.only is None or event.event_type in self.only)
        ]
        return [
            one for number, one in enumerate(named) if not (self.collapse and number and named[number - 1][0] == one[0])
        ]

    def runs(self, courses: dict[Any, list[Act]]) -> dict[Any, list[tuple[str, dt.datetime]]]:
        """Return the courses that are left, cleaned."""
        cleaned = {who: self.of(course) for who, course in courses.items()}
        return {who: course for who, course in cleaned.items() if course}


def rules() -> st.SearchStrategy[Cleaned]:
    """Draw cleaning rules."""
    return st.builds(
        Cleaned,
        collapse=st.booleans(),
        ignore=st.sampled_from([(), ("In",), ("In", "Buy")]),
        only=st.sampled_from([None, ("Up", "Buy"), ("Up",), ("Up", "In", "Buy")]),
        rename=st.sampled_from([(), (("Up", "x"), ("In", "x")), (("Buy", "Up"),)]),
    )


@contextlib.contextmanager
def grown(rows: Sequence[Row]) -> Iterator[tuple[el.EventLog, list[el.EventLog | el.LogView]]]:
    """Yield a log to which rows have come in two loads, so that some are late, with the log and three views of it.

    All event types are in it.
    """
    first = [Row("z-1", kind, BEGUN, "z") for kind in KINDS]
    half = len(rows) // 2
    with recorded([*first, *rows[:half]], ZONE) as log:
        before = log.position
        load(log, rows[half:])
        yield log, [log, log.at(known_at=before), log.at(BEGUN + dt.timedelta(days=3)), log.at(BEGUN, known_at=1)]


def shuffled(rows: Sequence[Row]) -> list[Row]:
    """Return rows of different instants in another order."""
    apart = list({row.at: row for row in rows}.values())
    random.Random(len(apart)).shuffle(apart)
    return apart


def check(log: el.EventLog | el.LogView, result: Analysis, expected: Sequence[tuple[Any, ...]], asked: Asked) -> None:
    """Check the rows of a result, that its SQL gives the same, and who was left out."""
    for frame in (result.pl(), log.sql(result.sql).pl()):
        assert frame.with_columns(cs.datetime().dt.convert_time_zone("UTC")).rows() == list(expected)
    assert result.unattributed() == asked.unattributed(log)


def median(values: Sequence[float], share: float = 0.5) -> float | None:
    """Return a quantile, interpolated."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
