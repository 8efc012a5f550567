"""The command that writes the events of a store to a file."""

# Annotations are read at run time here, by cyclopts: no `from __future__ import annotations`.
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from eventlab.cli import outputs
from eventlab.cli.options import AsJson, At, KnownAt, Store, at_least, listed
from eventlab.cli.values import counted, span


def export(
    store: Store,
    out: Annotated[Path, Parameter(name="OUT", help="The file, which is replaced if it is there.")],
    /,
    *,
    format: Annotated[  # noqa: A002 - what users type
        Literal["jsonl", "csv", "parquet", "cloudevents", "cloudevents-batch"] | None,
        Parameter(help="What the file is (by its name: .jsonl .ndjson .csv .parquet, text also with .gz or .zst)."),
    ] = None,
    types: Annotated[list[str] | None, Parameter(help="Only these event types, with commas between.")] = None,
    after: Annotated[int, Parameter(validator=at_least(0), help="Begin after this position (0).")] = 0,
    at: At = None,
    known_at: KnownAt = None,
    source: Annotated[
        str | None, Parameter(help="The source of CloudEvents, a URI (urn:eventlab: and the store's id).")
    ] = None,
    json: AsJson = False,
) -> None:
    """Write the events to a file, as the log is or as it was; the whole file or none.

    JSON lines are what append reads. CloudEvents are JSON, one a line or a batch; ingest makes the same events of them.
    """
    import eventlab as el  # noqa: PLC0415

    with el.open(store, read_only=True) as log:
        asked = log if at is None and known_at is None else log.at(at, known_at=known_at)
        done = asked.export(out, format=format, types=listed(types or []), source=source, after=after)
    facts = {"events": done.events, "first_position": done.first_position, "last_position": done.last_position}
    where = span(done.first_position, done.last_position)
    outputs.report(f"{counted(done.events, 'event')} in {out}{where}.", facts, as_json=json)
