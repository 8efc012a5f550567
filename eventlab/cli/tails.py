"""The end of a log, and what comes after it."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from typing import TYPE_CHECKING

from eventlab.cli.outputs import put
from eventlab.cli.values import encoded, printable, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from eventlab.events import RecordedEvent
    from eventlab.log import EventLog
    from eventlab.queries import Relation

COLUMNS = "position, occurred_at, stream_id, event_type, payload, actor, version"

_LAST = """
with last as (
    select * from events
    where $types is null or list_contains($types, event_type)
    order by position desc limit $count
)
select {columns} from last order by position
"""


def last(log: EventLog, count: int, types: Sequence[str] | None, *, columns: str = COLUMNS) -> Relation:
    """Return the last ``count`` events, of those types, in their order."""
    return log.sql(_LAST.replace("{columns}", columns), {"types": types and list(types), "count": count})


def last_events(log: EventLog, count: int, types: Sequence[str] | None) -> list[RecordedEvent]:
    """Return the last ``count`` events, of those types, in their order."""
    head = log.position
    if types is None:
        return list(log.read(after=max(0, head - count), limit=min(count, head))) if count and head else []
    found = last(log, count, types, columns="position").to_arrow_table()["position"].to_pylist()
    return list(log.read(after=found[0] - 1, limit=len(found), types=types)) if found else []


def follow(log: EventLog, count: int, types: Sequence[str] | None, *, as_json: bool) -> None:
    """Print the last ``count`` events, then every one that is recorded, as it is; ends when interrupted."""
    head = log.position
    seen = last_events(log, count, types)
    write(seen, as_json=as_json)
    after = max([head, *(event.position for event in seen)])
    for event in log.follow(after=after, types=types):
        write([event], as_json=as_json)


def write(events: Iterable[RecordedEvent], *, as_json: bool) -> None:
    """Print events, a line each, at once."""
    for event in events:
        if as_json:
            put(encoded(dataclasses.asdict(event)) + b"\n")
        else:
            sys.stdout.write(fitted(line(event)) + "\n")
    sys.stdout.flush()
    sys.stdout.buffer.flush()


def line(event: RecordedEvent) -> str:
    """Return an event as a line for people."""
    where = f"{event.position:>8}  {told(event.occurred_at):<25}  {event.stream_id}  {event.event_type}"
    return printable(f"{where}  {told(event.payload)}")


def fitted(text: str) -> str:
    """Return a line as wide as the terminal, if there is one."""
    if not sys.stdout.isatty():
        return text
    from rich.text import Text  # noqa: PLC0415

    cut = Text(text)
    cut.truncate(shutil.get_terminal_size().columns, overflow="ellipsis")
    return cut.plain
