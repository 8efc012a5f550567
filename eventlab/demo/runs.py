"""The demonstration's course: flights become events, the events a board, a chart and a page. It says what it does."""

from __future__ import annotations

import shlex
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

import eventlab as el
from eventlab.demo import boards, flights, pages, traffic
from eventlab.errors import InvalidSource

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = Path(__file__).resolve().parents[2] / "data" / "nycflights13"
MOMENTS = ("2013-02-08 17:00", "2013-02-08 21:00")
SINCE, UNTIL = "2013-02-08 00:00", "2013-02-10 00:00"

_NEXT = (
    (
        "Which airlines arrive late? Each event type is a view with typed columns.",
        (
            'eventlab sql {path} "SELECT carrier, round(avg(delay), 1) AS minutes, count(*) AS flights '
            'FROM flight_arrived GROUP BY carrier ORDER BY minutes"'
        ),
    ),
    (
        "One flight of that Friday, as known at five o'clock: overdue, and not gone.",
        (
            "eventlab sql {path} \"SELECT occurred_at, event_type, payload FROM events_at('2013-02-08 17:00') "
            "WHERE stream_id = 'flight-20130208-B6917-JFK' ORDER BY version\""
        ),
    ),
    (
        "The same flight after each of its events: every state that it has been in.",
        "eventlab state {path} flights --key flight-20130208-B6917-JFK --history",
    ),
    (
        "Who waited at JFK at that moment? A state is a table, now and at any moment.",
        (
            "eventlab sql {path} \"SELECT carrier, flight, dest, scheduled_departure FROM flights_at('2013-02-08 17:00') "
            "WHERE origin = 'JFK' AND scheduled_departure < '2013-02-08 17:00' "
            'AND departed_at IS NULL AND cancelled_at IS NULL"'
        ),
    ),
    (
        "Another bad day, from Python.",
        (
            "import eventlab as el; log = el.open({text})\n"
            'log.at("2013-09-12 18:00").sql("SELECT event_type, count(*) FROM events GROUP BY ALL").show()'
        ),
    ),
    ("What is in the log, and how large it is.", "eventlab info {path}"),
)
_STYLES = {
    "departed": "green",
    "arrived": "green",
    "delayed": "yellow",
    "cancelled": "red",
    "diverted": "red",
    "scheduled": "dim",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did: the events in the log, how many of them are new, the page, and the seconds that it took."""

    events: int
    new: int
    page: Path
    seconds: float


def run(path: str | Path, *, console: Console | None = None, data: Path = DATA) -> Summary:
    """Load the flights into the log at ``path``, print the two boards and write the page.

    Running it again loads nothing twice and writes the page anew.

    Parameters
    ----------
    path
        The store; made if there is none.
    console
        Where to say what happens; standard output otherwise.
    data
        The folder of nycflights13.

    Raises
    ------
    InvalidSource
        If ``data`` lacks one of the files.
    """
    out = console or Console()
    store = Path(path)
    started = time.perf_counter()
    out.print("[bold]eventlab demo[/bold]: New York's flights of 2013, and the blizzard of February\n")
    with el.open(store, create=True, timezone=flights.ZONE) as log:
        new = _load(log, data, out)
        out.print("\n[bold]2[/bold]  The departure board, as it stood at two moments: a state of the log.\n")
        seen = [boards.board(log.at(moment), moment) for moment in MOMENTS]
        for board in seen:
            out.print(table(board))
        page = _write(log, seen, store)
        events = log.position
    out.print("[bold]3[/bold]  The page, with the chart and both boards; it opens with no network:")
    out.print(f"   {escape(str(page))}", soft_wrap=True)
    out.print("\n[bold]Try next[/bold]")
    for step in steps(store):
        out.print(f"   [dim]{step.purpose}[/dim]")
        out.print(Text(textwrap.indent(step.command, "   ")), soft_wrap=True)
    seconds = time.perf_counter() - started
    out.print(f"\nDone in {seconds:.1f} s.")
    return Summary(events, new, page, seconds)


def steps(store: Path) -> list[pages.Step]:
    """Return what to try next with the log at ``store``."""
    places = {"path": shlex.quote(str(store)), "text": repr(str(store))}
    return [pages.Step(purpose, command.format(**places)) for purpose, command in _NEXT]


def table(board: boards.Board) -> Table:
    """Return a board for the terminal."""
    told = [f"{count:,} {label}" for label, count in board.totals.labelled()]
    result = Table(
        box=box.SIMPLE_HEAD,
        title=f"New York, {board.title}",
        caption="\n".join(" · ".join(told[line : line + 3]) for line in (0, 3)),
        title_style="bold",
        caption_style="none",
        header_style="dim",
    )
    for heading in ("Time", "Flight", "From", "Status", "To", "Airline"):
        result.add_column(heading, no_wrap=heading not in {"To", "Airline"})  # those two give way on a narrow terminal
    due = sum(not row.coming for row in board.rows)
    for number, row in enumerate(board.rows, start=1):
        status = Text(f"{row.status} {row.detail}".strip(), style=_STYLES[row.status])
        result.add_row(
            row.time,
            row.flight,
            row.origin,
            status,
            *map(_shortened, (f"{row.dest} {row.destination}", row.airline)),
            end_section=number == due,
        )
    return result


def _shortened(text: str) -> Text:
    """Return a text that is cut, not wrapped, where there is no room."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _load(log: el.EventLog, data: Path, out: Console) -> int:
    """Define the event types, load the flights, say how many of each there are, and return how many are new."""
    for name in flights.FILES.values():
        if not (data / name).is_file():
            message = f"the demonstration's data is not there: {data / name}"
            raise InvalidSource(message, hint="Run it in a clone of the repository, which has data/nycflights13.")
    out.print(f"[bold]1[/bold]  The flights in {escape(str(data))} become events.", soft_wrap=True)
    started = time.perf_counter()
    for event_type, fields in flights.DEFINITIONS.items():
        log.define(event_type, fields)
    log.define_state("flights", boards.FLIGHTS)
    made = flights.events(data)
    result = log.ingest(
        made, event_type="event_type", stream_id="stream_id", occurred_at="occurred_at", payload="payload"
    )
    seconds = time.perf_counter() - started
    known = f"; {result.duplicates:,} were in the log already" if result.duplicates else ""
    out.print(f"   {result.events:,} new events{known} ({seconds:.1f} s)")
    counts = log.sql("select event_type, count(*) from events group by all order by 2 desc, 1").fetchall()
    for event_type, count in counts:
        out.print(f"   {count:>11,}  {event_type}")
    return result.events


def _write(log: el.EventLog, seen: Sequence[boards.Board], store: Path) -> Path:
    """Write the page into the store's folder of reports, and return its path."""
    view = log.at(UNTIL)
    story = pages.Story(
        events=log.position,
        flights=log.sql("select count(*) from events where event_type = 'FlightScheduled'").fetchall()[0][0],
        boards=seen,
        traffic=traffic.traffic(view, since=SINCE, until=UNTIL),
        pause=traffic.longest_pause(view, since=SINCE, until=UNTIL),
        steps=steps(store),
    )
    page = store / "reports" / "blizzard.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(pages.page(story), encoding="utf-8")
    return page.resolve()
