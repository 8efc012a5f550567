"""What an object of eventlab tells of itself in a notebook: its card, made of first rows and counts, never of everything."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from eventlab import moments, queries
from eventlab.errors import EventlabError
from eventlab.events import AppendResult, RecordedEvent
from eventlab.jupyter import pictures
from eventlab.jupyter.cards import COLUMNS, Card, Table, counted, to_html, to_text
from eventlab.jupyter.readables import rooms
from eventlab.log import EventLog, LogView
from eventlab.schemas.registry import EventType
from eventlab.session import Subscription
from eventlab.session.results import Result
from eventlab.states import Fold, State
from eventlab.store import Compaction, IngestResult, Recovery

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    import polars as pl

    from eventlab.jupyter.readables import Readable

ROWS = 20  # of an answer that are shown
_TYPES = 8  # of a log that are shown
_LAST = 4  # events of a log that are shown
_NAMED = 12  # states of a log that are named
_COUNTED = 20_000_000  # events of a log that are counted by type
_FOLDED = 5_000_000  # events of a log of which a state is folded to be shown
_RECENT = 10_000  # positions among which the last events are looked for
_DAY = 86_400_000_000  # microseconds before a moment in which they are looked for
_PATIENCE = 1.0  # seconds that the first rows may take if the rest are to be counted

_BY_TYPE = """
select event_type, view, events, first_occurred_at as first, last_occurred_at as last
from event_types order by events desc, event_type limit $most
"""
_LAST_EVENTS = """
select position, occurred_at, event_type, stream_id, payload from events
where {recent} order by {order} limit $most
"""


def html(shown: object) -> str:
    """Return an object as HTML."""
    return to_html(_card(shown))


def bundle(shown: object) -> dict[str, str]:
    """Return an object as HTML and as plain text."""
    made = _card(shown)
    return {"text/html": to_html(made), "text/plain": to_text(made)}


def _card(shown: object) -> Card:
    """Return the card of an object; of one that cannot be asked any more, as its log is closed, what it says."""
    try:
        return card(shown)
    except EventlabError as error:
        return Card(
            type(shown).__name__, getattr(shown, "name", ""), [error.code.replace("_", " ")], about=error.message
        )


@functools.singledispatch
def card(shown: object) -> Card:
    """Return the card of an object."""
    return Card(type(shown).__name__, repr(shown))


@card.register
def _log(log: EventLog) -> Card:
    if log.closed:
        return Card("event log", str(log.path), ["closed"])
    facts: list[tuple[str, str | None]] = [("events", f"{log.position:,}"), *_defined(log)]
    return Card(
        "event log",
        str(log.path),
        ["read-only"] if rooms(log).read_only else [],
        [*facts, ("time zone", log.timezone)],
        table=_types(log),
        folded=_last_events(log),
    )


@card.register
def _view(view: LogView) -> Card:
    behind = rooms(view)
    at = behind.scope.at
    facts: list[tuple[str, str | None]] = [
        ("as of", None if at is None else _instant(moments.moment_of(at, behind.zone))),
        ("through position", f"{view.position:,}"),
        *_defined(view),
        ("time zone", behind.timezone),
    ]
    folded = [*_last_events(view), ("Basis", view.basis)]
    return Card("view of", str(behind.path), [], facts, table=_types(view), folded=folded)


def _defined(log: Readable) -> list[tuple[str, str | None]]:
    """Return how many event types there are, and the names of the states."""
    names = log.states
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return [
        ("event types", f"{len(rooms(log).registry.names):,}"),
        ("states", ", ".join(names[:_NAMED]) + more if names else None),
    ]


def _types(log: Readable) -> Table | None:
    """Return the event types that have most events, and since and until when; without counts if there are very many."""
    registry = rooms(log).registry
    if not registry.names:
        return None
    if log.position > _COUNTED:
        listed = [[t.name, t.view, counted(len(t.latest.fields), "field")] for t in registry][:_TYPES]
        return Table(["event_type", "view", "fields"], listed, [False] * 3, total=len(registry.names), noun="type")
    rows = [
        [name, view, f"{events:,}", *(None if moment is None else f"{moment:%Y-%m-%d %H:%M}" for moment in moments)]
        for name, view, events, *moments in log.sql(_BY_TYPE, {"most": _TYPES}).pl().iter_rows()
    ]
    names = ["event_type", "view", "events", "first", "last"]
    return Table(names, rows, [name == "events" for name in names], total=len(registry.names), noun="type")


def _last_events(log: Readable) -> list[tuple[str, Table | str]]:
    """Return the last few events that are seen, newest first."""
    at = rooms(log).scope.at
    recent, order, after = "position > $after", "position desc", log.position - _RECENT
    if at is not None:
        recent, order, after = "occurred_at > make_timestamptz($after)", "occurred_at desc, position desc", at - _DAY
    text = queries.fill(_LAST_EVENTS, recent=recent, order=order)
    frame = log.sql(text, {"after": after, "most": _LAST}).pl()
    return [] if frame.is_empty() else [("Last events", _table(frame, total=frame.height, noun="event"))]


@card.register
def _state(state: State) -> Card:
    session = state.catalog.session
    version = [f"version {state.version}"]
    folded: list[tuple[str, Table | str]] = [("SQL", state.text.strip())]
    if (state.scope.position or session.position) > _FOLDED:
        frame = session.sql(state.text, scope=state.scope, registry=state.registry, with_states=False).limit(0).pl()
        columns = _table(frame, total=None)
        return Card("state", state.name, version, [], "Its .now() folds it.", columns, folded)
    table, problem = _rows(state.now().relation, state.text)
    return Card("state", state.name, version, [], problem, table, [*folded, ("How it is answered", state.explain())])


@card.register
def _fold(fold: Fold) -> Card:
    return Card("fold", fold.name, [], [("by", fold.place)], "Its .now() folds it, event by event.")


@card.register
def _result(result: Result) -> Card:
    table, problem = _rows(result.relation, result.sql)
    facts: list[tuple[str, str | None]] = [
        ("measure", " ".join(str(result.facts["measure"]).split()) if "measure" in result.facts else None)
    ]
    complete: dt.datetime | None = getattr(result, "complete_through", None)
    facts.append(("complete through", None if complete is None else _instant(complete)))
    basis = str(getattr(result, "basis", "") or "")
    folded: list[tuple[str, Table | str]] = [("SQL", result.sql.strip())]
    folded += [("Basis", basis)] if basis else []
    about = " ".join(filter(None, [str(getattr(result, "definition", "") or ""), problem]))
    return Card(result.kind, str(result.facts.get("state", "")), [], facts, about, table, folded)


@card.register
def _event(event: RecordedEvent) -> Card:
    optional = ("actor", "correlation_id", "causation_id", "compensates")
    facts: list[tuple[str, str | None]] = [
        ("stream", event.stream_id),
        ("version", f"{event.version:,}"),
        ("position", f"{event.position:,}"),
        ("occurred", _instant(event.occurred_at)),
        ("recorded", _instant(event.recorded_at)),
        *((name.replace("_", " ").removesuffix(" id"), getattr(event, name)) for name in optional),
    ]
    folded: list[tuple[str, Table | str]] = [("Event id", event.event_id)]
    if (metadata := _fields(event.metadata or {})) is not None:
        folded.append(("Metadata", metadata))
    return Card("event", event.event_type, [], facts, table=_fields(event.payload), folded=folded)


@card.register
def _append(result: AppendResult) -> Card:
    events = counted(result.last_position - result.first_position + 1, "event")
    facts: list[tuple[str, str | None]] = [
        _span(result.first_position, result.last_position),
        ("stream version", f"{result.version:,}"),
        ("recorded", _instant(result.recorded_at)),
    ]
    if result.duplicate:
        return Card("already recorded", events, ["duplicate"], facts, "Nothing was written.")
    return Card("appended", events, [], facts)


@card.register
def _ingest(result: IngestResult) -> Card:
    refused = "log.quarantine() shows the rows that were refused." if result.quarantined else ""
    facts: list[tuple[str, str | None]] = [
        _span(result.first_position, result.last_position),
        ("in the log already", f"{result.duplicates:,}" if result.duplicates else None),
        ("in quarantine", f"{result.quarantined:,}" if result.quarantined else None),
    ]
    return Card("loaded", counted(result.events, "event"), [], facts, refused)


@card.register
def _compaction(result: Compaction) -> Card:
    deleted = f"{result.vacuumed:,}" if result.vacuumed else None
    became = f"{counted(result.files_before, 'file')} into {result.files_after:,}"
    return Card("compacted", became, [], [("replaced files deleted", deleted)])


@card.register
def _recovery(result: Recovery) -> Card:
    facts: list[tuple[str, str | None]] = [("through position", f"{result.position:,}")]
    return Card("recovered", counted(result.events, "event"), [], facts, " ".join(result.notes))


@card.register
def _subscription(subscription: Subscription) -> Card:
    facts: list[tuple[str, str | None]] = [
        ("committed", f"position {subscription.committed:,}"),
        ("read through", f"position {subscription.position:,}"),
        ("lag", counted(subscription.lag, "event")),
    ]
    return Card("subscription", subscription.name, [], facts)


@card.register
def _type(event_type: EventType) -> Card:
    latest = event_type.latest
    rows = [[name, str(field)] for name, field in latest.fields.items()]
    table = Table(["field", "type"], rows[:ROWS], [False, False], total=len(rows), noun="field") if rows else None
    facts: list[tuple[str, str | None]] = [
        ("view", event_type.view),
        ("version", str(latest.version)),
        ("origin", latest.origin),
    ]
    return Card("event type", event_type.name, [], facts, table=table)


def _rows(relation: queries.Relation, text: str) -> tuple[Table | None, str]:
    """Return the first rows of a relation and how many there are; or why there are none."""
    began = time.monotonic()
    try:
        with queries.explained(text=text):
            frame: pl.DataFrame = relation.limit(ROWS + 1).pl()
            total: int | None = frame.height
            if frame.height > ROWS:  # counting costs about as much again
                quick = time.monotonic() - began < _PATIENCE
                total = relation.count("*").fetchall()[0][0] if quick else None
    except EventlabError as error:
        return None, f"It cannot be computed: {error.message}"
    return _table(frame.head(ROWS), total=total), ""


def _table(frame: pl.DataFrame, *, total: int | None, noun: str = "row") -> Table:
    """Return the rows of a frame as a table of a card."""
    drawn = pictures.table(frame[:, :COLUMNS])
    columns: Sequence[dict[str, Any]] = drawn.form["columns"]
    return Table(
        [column["name"] for column in columns],
        drawn.data["rows"],
        [column["numeric"] for column in columns],
        [column["type"] for column in columns],
        total,
        max(frame.width - COLUMNS, 0),
        noun,
    )


def _fields(values: dict[str, Any]) -> Table | None:
    """Return the fields of a payload as a table."""
    rows = [[name, pictures.cell(value)] for name, value in list(values.items())[:ROWS]]
    return Table(["field", "value"], rows, [False, False], total=len(values), noun="field") if rows else None


def _instant(moment: dt.datetime) -> str:
    """Return a moment to the millisecond, as the wall clock of its zone, with the zone's name."""
    text = moment.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds" if moment.microsecond else "seconds")
    return f"{text} {moment.tzname() or ''}".rstrip()


def _span(first: int | None, last: int | None) -> tuple[str, str | None]:
    """Return the positions from ``first`` through ``last`` as a fact."""
    if first is None or last is None:
        return "positions", None
    return ("position", f"{first:,}") if first == last else ("positions", f"{first:,} to {last:,}")
