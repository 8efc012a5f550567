"""A day of the flights again, as it happened, only faster: the events are appended one minute of that day after the other.

Every event has an id that is made of its flight and its type, and what the log has already is passed over. So a replay can be
stopped at any moment and started again: it goes on where it stopped, and nothing is doubled.
"""

from __future__ import annotations

import collections
import datetime as dt
import itertools
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.markup import escape

import eventlab as el
from eventlab import queries
from eventlab.demo import boards, flights
from eventlab.demo.runs import DATA
from eventlab.errors import InvalidArgument, InvalidSource
from eventlab.events import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LIVE = Path("data/live")
DAY = dt.date(2013, 2, 8)
SPEED = 600.0
_ZONE = ZoneInfo(flights.ZONE)
_IDS = uuid.UUID("8f0b4a55-6a51-4b0c-9d0e-2f1f5c8a7e11")  # the namespace of the ids of replayed events

_BEFORE = "select * from made where occurred_at < $since::timestamptz"
_DURING = """
select epoch_us(occurred_at), event_type, stream_id, payload from made
where occurred_at >= $since::timestamptz and occurred_at < $until::timestamptz
order by occurred_at
"""
_KNOWN = """
select stream_id, event_type from events where occurred_at >= $since::timestamptz and occurred_at < $until::timestamptz
"""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay did: events of the day that were in the log before, that it appended, and whether it came to the end."""

    known: int
    appended: int
    finished: bool


@dataclass(frozen=True, slots=True)
class _Minute:
    """The events of one minute of the day."""

    moment: dt.datetime
    events: list[tuple[str, el.Event]]


def replay(
    path: str | Path = LIVE,
    *,
    speed: float = SPEED,
    console: Console | None = None,
    data: Path = DATA,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Replay:
    """Replay 8 February 2013 into the log at ``path``, and say what happens; an interrupt stops it.

    The log is made if there is none. What happened before that day is loaded first.

    Parameters
    ----------
    speed
        How many times faster than it happened.
    console, data
        Where to say what happens, and the folder of nycflights13.
    clock, sleep
        The machine's; for tests.

    Raises
    ------
    InvalidSource
        If ``data`` lacks one of the files.
    InvalidArgument
        If ``speed`` is not above zero.
    """
    if not 0 < speed < float("inf"):
        raise InvalidArgument(f"speed is {speed!r}", hint="Give how many times faster than it happened, like 600.")
    out = console or Console()
    with el.open(path, create=True, timezone=flights.ZONE) as log:
        minutes, known = _prepare(log, data, out)
        left = sum(len(minute.events) for minute in minutes)
        if not minutes:
            out.print(f"All {known:,} events of {_day()} are in this log already: there is nothing to replay.")
            out.print("To see it again, give another folder: eventlab demo --live data/live-2", soft_wrap=True)
            return Replay(known, 0, finished=True)
        _announce(out, Path(path), minutes, known=known, left=left, speed=speed)
        appended = 0
        try:
            for hours, group in itertools.groupby(_paced(minutes, speed, clock, sleep), key=_half_hour):
                counts: collections.Counter[str] = collections.Counter()
                for minute in group:
                    appended += _append(log, minute)
                    counts.update(event.type for _, event in minute.events)
                _report(out, hours, counts)
        except KeyboardInterrupt:
            out.print(
                f"\nStopped: {appended:,} events appended, {left - appended:,} to come. The same command goes on."
            )
            return Replay(known, appended, finished=False)
    out.print(f"Done: {appended:,} events appended; the day is over.")
    return Replay(known, appended, finished=True)


def _prepare(log: el.EventLog, data: Path, out: Console) -> tuple[list[_Minute], int]:
    """Define and load what was before the day; return the minutes to replay, and how many events are there already."""
    for name in flights.FILES.values():
        if not (data / name).is_file():
            raise InvalidSource(
                f"the demonstration's data is not there: {data / name}",
                hint="Run it in a clone of the repository, which has data/nycflights13.",
            )
    out.print(f"[bold]eventlab demo --live[/bold]: {_day()}, the day of the blizzard. Reading the flights …")
    for event_type, fields in flights.DEFINITIONS.items():
        log.define(event_type, fields)
    log.define_state("flights", boards.FLIGHTS)
    since = dt.datetime.combine(DAY, dt.time(), _ZONE)
    span = {"since": since.isoformat(), "until": (since + dt.timedelta(days=1)).isoformat()}
    there = log.sql("select count(*) from events where occurred_at < $since::timestamptz", {"since": span["since"]})
    known = {(stream, kind) for stream, kind in log.sql(_KNOWN, span).fetchall()}
    made = flights.events(data)
    with queries.connect(flights.ZONE) as connection:
        connection.register("made", made)
        rows = queries.rows(connection, _DURING, span)
        before = queries.arrow(connection, _BEFORE, {"since": span["since"]})
    if there.fetchall() != [(before.num_rows,)]:
        loaded = log.ingest(
            before,
            event_type="event_type",
            stream_id="stream_id",
            occurred_at="occurred_at",
            payload="payload",
            progress=False,
        )
        out.print(f"Loaded {loaded.events:,} events of the weeks before.")
    return list(_minutes(row for row in rows if (row[2], row[1]) not in known)), len(known)


def _minutes(rows: Iterable[tuple[Any, ...]]) -> Iterator[_Minute]:
    """Yield the events of each minute, with ids by which they are known again."""
    for instant, group in itertools.groupby(rows, key=lambda row: row[0]):
        moment = dt.datetime.fromtimestamp(instant / 1_000_000, _ZONE)
        yield _Minute(
            moment,
            [
                (
                    stream,
                    el.Event(
                        kind,
                        decoded(payload),
                        event_id=str(uuid.uuid5(_IDS, f"{stream}/{kind}")),
                        occurred_at=moment,
                    ),
                )
                for _, kind, stream, payload in group
            ],
        )


def _paced(
    minutes: list[_Minute], speed: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Iterator[_Minute]:
    """Yield each minute when its time has come."""
    began, first = clock(), minutes[0].moment
    for minute in minutes:
        due = began + (minute.moment - first).total_seconds() / speed
        wait = due - clock()
        if wait > 0:
            sleep(wait)
        yield minute


def _append(log: el.EventLog, minute: _Minute) -> int:
    """Append the events of a minute, all or none, and return how many are new."""
    with log.transaction() as transaction:
        for stream, event in minute.events:
            transaction.append(stream, event)
    done = transaction.result
    return 0 if done is None or done.duplicate else len(minute.events)


def _announce(out: Console, path: Path, minutes: list[_Minute], *, known: int, left: int, speed: float) -> None:
    """Say what is going to happen, and how to watch it."""
    first, last = minutes[0].moment, minutes[-1].moment
    seconds = (last - first).total_seconds() / speed
    before = f" ({known:,} are in the log already)" if known else ""
    out.print(
        f"[bold]Replaying {_day()}[/bold] into {escape(str(path))}: {left:,} events{before}, from {first:%H:%M} on, "
        f"{speed:g} times as fast as they happened. It takes {_length(seconds)}.",
        soft_wrap=True,
    )
    out.print("Each event is appended when its time has come, with the time at which it happened.")
    out.print(f"Watch it in notebooks/05_live.ipynb, or: eventlab tail {escape(str(path))} --follow", soft_wrap=True)
    out.print("Ctrl-C stops it; the same command goes on.\n")


def _half_hour(minute: _Minute) -> str:
    """Return the half hour of a minute."""
    return f"{minute.moment:%H}:{'30' if minute.moment.minute >= 30 else '00'}"  # noqa: PLR2004 - half an hour


def _report(out: Console, hours: str, counts: collections.Counter[str]) -> None:
    """Say what half an hour brought, in one line."""
    told = " · ".join(
        f"{counts[kind]:,} {kind.removeprefix('Flight').lower()}" for kind in flights.DEFINITIONS if counts[kind]
    )
    out.print(f"{hours}  {told}")


def _day() -> str:
    return f"{DAY:%A} {DAY.day} {DAY:%B %Y}"


def _length(seconds: float) -> str:
    """Return a length of time for a person."""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"  # noqa: PLR2004 - a minute
