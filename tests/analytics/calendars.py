"""Calendar periods in slow plain Python, and small logs to count them in: what the oracles of this folder share."""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import strategies as st

import eventlab as el

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ZONE = "America/New_York"
BEGUN = dt.datetime(2026, 3, 4, 17, tzinfo=dt.UTC)  # its clocks go on in the night to 8 March
AUTUMN = dt.datetime(2026, 10, 28, 16, tzinfo=dt.UTC)  # and back in that to 1 November
KINDS = ("Up", "In", "Buy")
_FIRST = dt.datetime(1, 1, 1, tzinfo=dt.UTC)
_LENGTHS = {"1d": 1, "1w": 7, "2d": 2}


@dataclass(frozen=True, slots=True)
class Row:
    """An event: ``user`` is who acts, if anybody."""

    stream: str
    kind: str
    at: dt.datetime
    user: str | None = None
    country: str | None = None
    amount: int = 1


@contextlib.contextmanager
def recorded(rows: Sequence[Row], zone: str = "UTC") -> Iterator[el.EventLog]:
    """Yield a log of these rows, in their order."""
    with tempfile.TemporaryDirectory() as folder, el.open(folder, create=True, timezone=zone) as log:
        if rows:
            load(log, rows)
        yield log


def load(log: el.EventLog, rows: Sequence[Row]) -> None:
    """Add rows to a log."""
    schema = {
        "stream": pl.String,
        "kind": pl.String,
        "at": pl.Datetime("us", "UTC"),
        "user": pl.String,
        "country": pl.String,
        "amount": pl.Int64,
    }
    frame = pl.DataFrame(
        [(r.stream, r.kind, r.at, r.user, r.country, r.amount) for r in rows], schema=schema, orient="row"
    )
    log.ingest(
        frame,
        event_type="kind",
        stream_id="stream",
        occurred_at="at",
        actor='"user"',
        payload=["country", "amount"],
    )


@st.composite
def logs(draw: st.DrawFn, *, fewest: int = 0) -> list[Row]:
    """Draw rows of some streams and users, over a change of clocks, with ties and repeats, in any order."""
    begun = draw(st.sampled_from([BEGUN, AUTUMN]))
    step = draw(st.sampled_from([dt.timedelta(minutes=30), dt.timedelta(hours=7), dt.timedelta(days=1, hours=11)]))
    most = draw(st.sampled_from([8, 60, 500])) if step < dt.timedelta(hours=1) else 30
    row = st.builds(
        Row,
        stream=st.sampled_from(["a-1", "a-2", "b-1", "b-2", "b-3"]),
        kind=st.sampled_from(KINDS),
        at=st.integers(0, most).map(lambda n: begun + n * step),
        user=st.sampled_from([None, "u", "v", "w"]),
        country=st.sampled_from([None, "DE", "FR", "other"]),
        amount=st.integers(-3, 9),
    )
    return draw(st.lists(row, min_size=fewest, max_size=60))


@st.composite
def ranges(draw: st.DrawFn, rows: Sequence[Row]) -> tuple[dt.datetime | None, dt.datetime | None]:
    """Draw since and until, near events."""
    near = st.builds(
        lambda row, hours: row.at + hours * dt.timedelta(hours=1),
        st.sampled_from(rows or [Row("none", "In", BEGUN)]),
        st.sampled_from([0, 0, 1, -5, 30]),
    )
    since, until = draw(st.none() | near), draw(st.none() | near)
    return (since, until) if since is None or until is None or since < until else (since, None)


def number(at: dt.datetime, every: str, zone: str) -> int:
    """Return the number of the period that an instant lies in."""
    if every == "6h":
        return (at - _FIRST) // dt.timedelta(hours=6)
    local = at.astimezone(ZoneInfo(zone))
    if every == "1mo":
        return (local.year - 1) * 12 + local.month - 1
    return (local.toordinal() - 1) // _LENGTHS[every]


def begins(period: int, every: str, zone: str) -> dt.datetime:
    """Return the instant at which a period begins."""
    if every == "6h":
        return _FIRST + period * dt.timedelta(hours=6)
    month = dt.date(period // 12 + 1, period % 12 + 1, 1) if every == "1mo" else None
    day = month or dt.date.fromordinal(period * _LENGTHS[every] + 1)
    return dt.datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)


def plain(frame: pl.DataFrame) -> list[tuple[object, ...]]:
    """Return rows with their instants in UTC: Python finds none equal that comes twice on the clocks of another zone."""
    return frame.with_columns(pl.col("period_start").dt.convert_time_zone("UTC")).rows()


@dataclass(frozen=True, slots=True)
class Life:
    """The periods of a log's life: what a trend has rows for."""

    begun: dt.datetime
    ended: dt.datetime
    first: int
    last: int

    def partial(self, period: int, every: str, zone: str) -> bool:
        """Tell whether a period is not wholly in the life."""
        return begins(period, every, zone) < self.begun or begins(period + 1, every, zone) > self.ended


def life(
    rows: Sequence[Row], every: str, zone: str, since: dt.datetime | None, until: dt.datetime | None
) -> Life | None:
    """Return the life of a log; None if it has no events."""
    if not rows:
        return None
    instants = [row.at for row in rows]
    begun = max(min(instants), since or min(instants))
    ended = min(max(instants), until or max(instants))
    latest = min(max(instants), until - dt.timedelta(microseconds=1) if until else max(instants))
    return Life(begun, ended, number(begun, every, zone), number(latest, every, zone))
