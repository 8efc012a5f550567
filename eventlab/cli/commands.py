"""The commands, a function each: what they take, which call of the library they are, and what they print."""

# Annotations are read at run time here, by cyclopts: no `from __future__ import annotations`.
import contextlib
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from eventlab.cli import intakes, outputs, tails
from eventlab.cli.options import (
    TABLE,
    AsJson,
    At,
    Expression,
    Format,
    KnownAt,
    Output,
    Store,
    UsageError,
    Zone,
    at_least,
    listed,
    mapping,
    one,
    parameters,
)
from eventlab.cli.tables import print_table
from eventlab.cli.values import counted, printable, span

DEMOS = Path("data")


def init(
    store: Store,
    /,
    *,
    partition: Annotated[
        Literal["day", "month", "year"] | None, Parameter(help="What a file of the log spans (month).")
    ] = None,
    timezone: Zone = None,
    strict: Annotated[bool, Parameter(help="Refuse event types that are not defined.")] = False,
    json: AsJson = False,
) -> None:
    """Make a store, or find that it is there."""
    import eventlab as el  # noqa: PLC0415

    with el.open(store, create=True, partition=partition, timezone=timezone, strict=strict or None) as log:
        facts = {"path": log.path, "position": log.position, "timezone": log.timezone}
        has = counted(log.position, "event")
        outputs.report(f"The store {log.path} is ready; it has {has}.", facts, as_json=json)


def ingest(
    store: Store,
    source: Annotated[str, Parameter(name="SOURCE", help="A file, a quoted pattern of files, or a SQL SELECT.")],
    /,
    *,
    event_type: Annotated[
        str | None,
        Parameter(help="SQL over the source's columns, like \"'page_view'\". Needed, unless --format says it."),
    ] = None,
    stream_id: Annotated[
        str | None,
        Parameter(help="SQL over the source's columns, like \"'order-' || id\". Needed, unless --format says it."),
    ] = None,
    occurred_at: Expression = None,
    event_id: Expression = None,
    payload: Annotated[
        str | None,
        Parameter(help="SQL that yields a STRUCT or JSON, or several columns with commas between (all that are left)."),
    ] = None,
    actor: Expression = None,
    metadata: Expression = None,
    format: Format = None,  # noqa: A002 - what users type
    on_invalid: Annotated[
        Literal["raise", "quarantine"], Parameter(help="What becomes of refused rows (raise).")
    ] = "raise",
    json: AsJson = False,
) -> None:
    """Load files, or what a SELECT returns, as events.

    What is in the log already is not loaded again. CloudEvents are JSON lines, one object or a batch; their stream is the
    subject, or the source where there is none, unless --stream-id says another.
    """
    import eventlab as el  # noqa: PLC0415

    if format is None:
        _needed(event_type=event_type, stream_id=stream_id)
    with el.open(store) as log:
        result = log.ingest(
            source,
            event_type=event_type,
            stream_id=stream_id,
            occurred_at=occurred_at,
            event_id=event_id,
            payload=mapping(payload),
            actor=actor,
            metadata=metadata,
            format=format,
            on_invalid=on_invalid,
        )
    facts = {
        "events": result.events,
        "duplicates": result.duplicates,
        "quarantined": result.quarantined,
        "first_position": result.first_position,
        "last_position": result.last_position,
    }
    where = span(result.first_position, result.last_position)
    known = f"; {result.duplicates:,} in the log already" if result.duplicates else ""
    refused = f"; {result.quarantined:,} in quarantine" if result.quarantined else ""
    outputs.report(f"Loaded {counted(result.events, 'event')}{where}{known}{refused}.", facts, as_json=json)


def append(
    store: Store,
    file: Annotated[
        str, Parameter(name="FILE", allow_leading_hyphen=True, help="JSON lines; - is standard input.")
    ] = "-",
    /,
    *,
    format: Format = None,  # noqa: A002 - what users type
    json: AsJson = False,
) -> None:
    """Append events from JSON lines.

    The keys of a line are stream_id, event_type, payload, event_id, occurred_at, actor, correlation_id, causation_id,
    compensates, metadata, and expected_version. The lines before one that is refused are appended; the error names it.
    A line that is a CloudEvent goes to the stream that its subject names, or its source where it has none.
    """
    import eventlab as el  # noqa: PLC0415

    _no_option("FILE", file)
    intake = intakes.Intake()
    with contextlib.ExitStack() as stack:
        source = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
        log = stack.enter_context(el.open(store))
        try:
            intakes.append(log, source, intake, read=intakes.read if format is None else intakes.read_cloudevent)
        except KeyboardInterrupt:
            sys.stderr.write(f"{intake}.\n")
            raise
    facts = {name: getattr(intake, name) for name in ("events", "duplicates", "first_position", "last_position")}
    outputs.report(f"{intake}.", facts, as_json=json)


def sql(
    store: Store,
    query: Annotated[
        str,
        Parameter(name="QUERY", allow_leading_hyphen=True, help="One SELECT or FROM; - reads it from standard input."),
    ],
    /,
    *,
    param: Annotated[
        list[str] | None, Parameter(help="name=value: text for $name in the query, which may cast it ($n::int).")
    ] = None,
    at: At = None,
    known_at: KnownAt = None,
    output: Output = TABLE,
) -> None:
    """Run a query over the log, as it is or as it was."""
    import eventlab as el  # noqa: PLC0415

    _no_option("QUERY", query)
    output.checked()
    values = parameters(param or [])
    text = sys.stdin.buffer.read().decode() if query == "-" else query
    text.encode()  # an argument may hold bytes that are no text
    with el.open(store, read_only=True) as log:
        asked = log if at is None and known_at is None else log.at(at, known_at=known_at)
        outputs.show(asked.sql(text, values or None), output)


def tail(
    store: Store,
    /,
    *,
    count: Annotated[
        int, Parameter(name=["-n", "--count"], validator=at_least(0), help="How many of the last events (10).")
    ] = 10,
    follow: Annotated[
        bool, Parameter(name=["-f", "--follow"], help="Go on with what is recorded, until Ctrl-C.")
    ] = False,
    types: Annotated[list[str] | None, Parameter(help="Only these event types, with commas between.")] = None,
    json: Annotated[bool, Parameter(help="Print JSON lines.")] = False,
    csv: Annotated[bool, Parameter(help="Print CSV.")] = False,
    parquet: Annotated[Path | None, Parameter(help="Write a Parquet file.")] = None,
) -> None:
    """Show the last events, and follow what is recorded after them."""
    import eventlab as el  # noqa: PLC0415

    one(json=json, csv=csv, parquet=parquet is not None)
    one(follow=follow, csv=csv)
    one(follow=follow, parquet=parquet is not None)
    wanted = listed(types or [])
    with contextlib.suppress(*[KeyboardInterrupt] * follow), el.open(store, read_only=True) as log:
        if follow:
            tails.follow(log, count, wanted, as_json=json)
        elif json:
            tails.write(tails.last_events(log, count, wanted), as_json=True)
        else:
            outputs.show(tails.last(log, count, wanted), Output(csv=csv, parquet=parquet, all=True))


def info(store: Store, /, *, json: AsJson = False) -> None:
    """Say what is in a store, and how large it is."""
    import eventlab as el  # noqa: PLC0415

    with el.open(store, read_only=True) as log:
        facts = log.info()
    if json:
        outputs.report("", facts, as_json=True)
    else:
        print_table(["what", "value"], [(name.replace("_", " "), value) for name, value in facts.items()])


def seal(store: Store, /, *, json: AsJson = False) -> None:
    """Move what is in the journal into Parquet files now."""
    import eventlab as el  # noqa: PLC0415

    with el.open(store) as log:
        position = log.seal()
    outputs.report(f"Sealed through position {position:,}.", {"sealed": position}, as_json=json)


def compact(
    store: Store,
    /,
    *,
    vacuum: Annotated[bool, Parameter(help="Delete the replaced files too; readers that hold them fail.")] = False,
    json: AsJson = False,
) -> None:
    """Merge the Parquet files of each partition into large ones."""
    import eventlab as el  # noqa: PLC0415

    with el.open(store) as log:
        done = log.compact(vacuum=vacuum)
    facts = {"files_before": done.files_before, "files_after": done.files_after, "vacuumed": done.vacuumed}
    gone = f"; {counted(done.vacuumed, 'file')} deleted" if vacuum else ""
    outputs.report(f"{counted(done.files_before, 'file')} became {done.files_after:,}{gone}.", facts, as_json=json)


def recover(store: Store, /, *, json: AsJson = False) -> None:
    """Rebuild a store's journal from its Parquet files and definitions."""
    import eventlab as el  # noqa: PLC0415

    done = el.recover(store)
    facts = {"events": done.events, "position": done.position, "notes": done.notes}
    outputs.report(
        f"Recovered {counted(done.events, 'event')}, through position {done.position:,}.", facts, as_json=json
    )
    if not json:
        for note in done.notes:
            sys.stdout.write(f"  {printable(note)}\n")


def demo(
    store: Annotated[
        Path | None,
        Parameter(name="DIR", help="Where the store is made (data/flights, data/shop; with --live, data/live)."),
    ] = None,
    /,
    *,
    data: Annotated[
        Literal["flights", "shop"], Parameter(help="The flights, or an online shop's clickstream (synthetic).")
    ] = "flights",
    live: Annotated[
        bool, Parameter(help="Replay 8 February 2013 into the log, as a notebook watches; Ctrl-C stops, again goes on.")
    ] = False,
    speed: Annotated[
        float | None, Parameter(help="How many times faster than it happened (600: the day takes 2 min 24 s).")
    ] = None,
) -> None:
    """Load New York's flights of 2013, or a shop's clickstream, and show what can be asked of them."""
    from eventlab.demo import replays, run, shop  # noqa: PLC0415

    if live:
        if data != "flights":
            raise UsageError(f"--live replays the flights, not the {data}", hint="eventlab demo --live")
        replays.replay(store or replays.LIVE, speed=replays.SPEED if speed is None else speed)
    elif speed is not None:
        raise UsageError("--speed goes with --live", hint="eventlab demo --live --speed 600")
    else:
        (shop.run if data == "shop" else run)(store or DEMOS / data)


def _needed(**given: str | None) -> None:
    """Refuse a command line without options that it needs."""
    missing = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is None]
    if missing:
        message = f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing"
        raise UsageError(
            message, hint="Give SQL over the source's columns, or --format cloudevents. eventlab ingest --help"
        )


def _no_option(name: str, value: str) -> None:
    """Refuse a misspelt option in an argument that may begin with a hyphen."""
    if re.fullmatch(r"-{1,2}[A-Za-z][\w-]*(=.*)?", value):
        message = f"unknown option {value}, and no {name}"
        raise UsageError(message)
