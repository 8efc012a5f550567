"""An online shop's clickstream as an event log: synthetic data, 31,106 events of 600 users in the first half of 2024.

A user is a stream, ``user-0000``. The event types have the names of the data: ``catalog``, ``add_to_cart``, ``purchase``.
"""

from __future__ import annotations

import shlex
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.text import Text

import eventlab as el
from eventlab.errors import InvalidSource

if TYPE_CHECKING:
    from eventlab.log import EventLog
    from eventlab.store import IngestResult

DATA = Path(__file__).resolve().parents[2] / "data" / "ecom" / "ecom.csv.gz"
EVENTS = (
    "account_page",
    "add_to_cart",
    "cart",
    "catalog",
    "checkout_bug",
    "compare",
    "error_page",
    "filter_results",
    "home",
    "payment_details",
    "payment_error",
    "product_view",
    "promo_page",
    "purchase",
    "review_page",
    "search",
    "shipping_details",
    "support_chat",
    "wishlist_add",
)
FIELDS = {
    "session_id": "VARCHAR NOT NULL",
    "platform": "VARCHAR NOT NULL",
    "acquisition_channel": "VARCHAR NOT NULL",
    "user_cohort": "VARCHAR NOT NULL",
    "user_lifecycle": "VARCHAR NOT NULL",
}
"""The fields of every event type, for ``log.define``: where the user came from, and how."""

_NEXT = (
    (
        "On which platforms do people buy? Each event type is a view with typed columns.",
        (
            'eventlab sql {path} "SELECT platform, count(*) AS purchases, count(DISTINCT stream_id) AS buyers '
            'FROM purchase GROUP BY platform ORDER BY purchases DESC"'
        ),
    ),
    (
        "Of those who see the catalog, who buys within the hour? From Python, or in a notebook with its chart.",
        (
            "import eventlab as el; log = el.open({text})\n"
            'funnel = log.funnel(["catalog", "add_to_cart", "purchase"], within="1h"); funnel.show()\n'
            'print(funnel.definition); funnel.actors(step=2, outcome="dropped").show()'
        ),
    ),
    ("What is in the log, and how large it is.", "eventlab info {path}"),
)


@dataclass(frozen=True, slots=True)
class Visits:
    """What a run did: the events in the log, how many of them are new, and the seconds that it took."""

    events: int
    new: int
    seconds: float


def run(path: str | Path, *, console: Console | None = None, data: Path = DATA) -> Visits:
    """Load the shop into the log at ``path``, and say what is in it and what can be asked.

    Running it again loads nothing twice.

    Parameters
    ----------
    path
        The store; made if there is none.
    console
        Where to say what happens; standard output otherwise.
    data
        The clickstream, as a CSV file.

    Raises
    ------
    InvalidSource
        If ``data`` is not there.
    """
    out = console or Console()
    store = Path(path)
    started = time.perf_counter()
    out.print("[bold]eventlab demo[/bold]: an online shop's clickstream of 2024 (synthetic data)\n")
    with el.open(store, create=True, timezone="UTC") as log:
        loaded = load(log, data)
        known = f"; {loaded.duplicates:,} were in the log already" if loaded.duplicates else ""
        out.print(f"   {loaded.events:,} new events{known}")
        counts = log.sql("select event_type, count(*) from events group by all order by 2 desc, 1").fetchall()
        events = log.position
    for event_type, count in counts:
        out.print(f"   {count:>11,}  {event_type}")
    out.print("\n[bold]Try next[/bold]")
    places = {"path": shlex.quote(str(store)), "text": repr(str(store))}
    for purpose, command in _NEXT:
        out.print(f"   [dim]{purpose}[/dim]")
        out.print(Text(textwrap.indent(command.format(**places), "   ")), soft_wrap=True)
    seconds = time.perf_counter() - started
    out.print(f"\nThe log is {escape(str(store))}. Done in {seconds:.1f} s.", soft_wrap=True)
    return Visits(events, loaded.events, seconds)


def load(log: EventLog, data: Path = DATA) -> IngestResult:
    """Define the shop's event types in ``log`` and load its events; those that are there already are not loaded again.

    Times are read in the log's zone: make it with UTC, as the data is meant.

    Raises
    ------
    InvalidSource
        If ``data`` is not there.
    """
    if not data.is_file():
        message = f"the demonstration's data is not there: {data}"
        raise InvalidSource(message, hint="Run it in a clone of the repository, which has data/ecom.")
    for name in EVENTS:
        log.define(name, FIELDS)
    return log.ingest(
        data,
        event_type="event",
        stream_id="'user-' || substr(user_id, 6)",
        occurred_at='"timestamp"',
        payload=list(FIELDS),
    )
