"""Exports: the events of a log, or of a view, in a file that other programs read; the whole file or none."""

from __future__ import annotations

import contextlib
import functools
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import msgspec
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from eventlab import cloudevents, moments, queries
from eventlab.errors import InvalidArgument, unknown
from eventlab.events import COLUMNS, OPTIONAL, decoded
from eventlab.schemas import columns
from eventlab.session.readers import check_number, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from eventlab.schemas import Registry
    from eventlab.session.relations import Scope
    from eventlab.session.sessions import Session
    from eventlab.store.progress import Report

Format = Literal["jsonl", "csv", "parquet", "cloudevents", "cloudevents-batch"]
Write = "Callable[[pa.Table], None]"
FORMATS = ("jsonl", "csv", "parquet", "cloudevents", "cloudevents-batch")
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_CODECS = {".gz": "gzip", ".zst": "zstd"}
_TYPED = 32  # event types beyond which a Parquet file has no typed columns unless types are chosen
_FIRST, _MOST = 5_000, 100_000  # positions that are read at once: at first, and at most
_BYTES = 64_000_000  # of what is read at once, about

_EVENTS = """
select {columns} from events where position > $after and position <= $through {of_types} order by position
"""
_INSTANT = "replace(({name} at time zone 'UTC')::varchar, ' ', 'T') || 'Z' as {name}"
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export wrote.

    Attributes
    ----------
    events
        How many events.
    first_position, last_position
        Of the events that were written; None if there are none. ``after=last_position`` goes on from there.
    """

    events: int
    first_position: int | None
    last_position: int | None


def export(
    session: Session,
    path: str | Path,
    *,
    format: str | None = None,  # noqa: A002 - as users type it
    types: Iterable[str] | None = None,
    source: str | None = None,
    after: int = 0,
    scope: Scope,
    registry: Registry | None = None,
    progress: Report,
) -> ExportResult:
    """Write the events that ``scope`` sees to a file, in position order, and return how many they are.

    Raises
    ------
    InvalidArgument
        If the path, the format, a type or the source is none.
    """
    check_number("after", after)
    target, kind, codec = _target(session, path, format)
    if scope.position is None or registry is None:
        scope, registry = session.moment(None, None)
    names = names_of(types)
    for name in names or ():
        if name not in registry:
            message, hint, _ = unknown("event type", name, registry.names)
            raise InvalidArgument(message, hint=hint)
    origin = _source(session, kind, source)
    selected = _columns(kind, registry, names)
    pages = _pages(session, selected, names, after, scope, registry, progress)
    with _whole(target, codec) as file:
        return _written(pages, file, kind, functools.partial(_cloudevent, session.store.layout.store_id, origin))


def _target(session: Session, path: object, given: str | None) -> tuple[Path, str, str | None]:
    """Return the file that is to be written, its format and its compression."""
    if not isinstance(path, (str, Path)) or not str(path):
        raise InvalidArgument(f"{path!r} is no path", hint='Name a file, like "events.jsonl".')
    target = Path(path)
    if target.is_dir() or not target.parent.is_dir():
        message = f"{target} is a folder" if target.is_dir() else f"there is no folder {target.parent}"
        raise InvalidArgument(message, hint="Name a file, like events.jsonl, in a folder that is there.")
    store = session.store.layout.path.resolve()
    if target.resolve().is_relative_to(store):
        raise InvalidArgument(f"{target} is inside the store {store}", hint="Name a file elsewhere.")
    codec = _CODECS.get(target.suffix.lower())
    suffix = (Path(target.stem) if codec else target).suffix.lower()
    kind = SUFFIXES.get(suffix) if given is None else given
    if kind is None:
        message = f"{target.name!r} does not say its format"
        raise InvalidArgument(
            message, hint=f"Give one of {', '.join(FORMATS)}, or a name that ends in {', '.join(SUFFIXES)}."
        )
    if kind not in FORMATS:
        message, hint, _ = unknown("format", str(kind), FORMATS)
        raise InvalidArgument(message, hint=hint)
    if kind == "parquet" and codec:
        raise InvalidArgument(f"{target.name!r}: Parquet is compressed in itself", hint="Leave out .gz or .zst.")
    return target, kind, codec


def _source(session: Session, kind: str, source: str | None) -> str:
    """Return what CloudEvents are said to come from: the store, unless something else is given."""
    if source is None:
        return f"urn:eventlab:{session.store.layout.store_id}"
    if not kind.startswith("cloudevents"):
        raise InvalidArgument(f"source is of CloudEvents, not of {kind}", hint='Leave it out, or choose "cloudevents".')
    cloudevents.check_uri("source", source)
    return source


def _columns(kind: str, registry: Registry, names: list[str] | None) -> list[str]:
    """Return the SQL of the columns that a format needs."""
    if kind == "csv":
        return [queries.fill(_INSTANT, name=name) if name.endswith("_at") else _text(name) for name in COLUMNS]
    if kind == "parquet":
        typed = names or (registry.names if len(registry.names) <= _TYPED else ())
        shown = [name for name in typed if columns.latest(registry[name]) is not None]
        return [*COLUMNS, *map(queries.identifier, shown)]
    return [f"epoch_us({name}) as {name}" if name.endswith("_at") else _text(name) for name in COLUMNS]


def _text(name: str) -> str:
    """Return the SQL of a column of the envelope, JSON as its text."""
    return f"{name}::varchar as {name}" if name in {"metadata", "payload"} else name


def _pages(
    session: Session,
    selected: list[str],
    names: list[str] | None,
    after: int,
    scope: Scope,
    registry: Registry,
    progress: Report,
) -> Iterator[pa.Table]:
    """Yield the events in position order, so many at a time that they fit into memory; at least one page, maybe empty."""
    head, start, stride = scope.position or 0, after, _FIRST
    text = queries.fill(
        _EVENTS, columns=selected, of_types="" if names is None else "and list_contains($types, event_type)"
    )
    params: dict[str, Any] = {} if names is None else {"types": names}
    first = True
    while first or after < head:
        first = False
        through = min(after + stride, head)
        asked = {**params, "after": after, "through": through}
        relation = session.sql(text, asked, scope=scope, registry=registry, with_states=False)
        with queries.explained(text=text):
            page = relation.to_arrow_table()
        yield page
        after = max(after, through)
        stride = max(1, min(_MOST, stride * 4, stride * _BYTES // max(page.nbytes, 1)))
        progress("exporting", (after - start) / (head - start) if head > start else 1.0)


@contextlib.contextmanager
def _whole(target: Path, codec: str | None) -> Iterator[BinaryIO]:
    """Yield a file that gets the name ``target`` when all is written and on disk; it is deleted if that fails."""
    made = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with made.open("xb") as file, contextlib.ExitStack() as stack:
            yield (
                file if codec is None else cast("BinaryIO", stack.enter_context(pa.CompressedOutputStream(file, codec)))
            )
        with made.open("ab") as file:
            os.fsync(file.fileno())
        made.replace(target)
    finally:
        made.unlink(missing_ok=True)


def _written(
    pages: Iterator[pa.Table], file: BinaryIO, kind: str, cloudevent: Callable[[dict[str, Any]], bytes]
) -> ExportResult:
    """Write pages in a format, and return what was written."""
    match kind:
        case "csv":
            opened = _tables(lambda schema: pc.CSVWriter(file, schema))
        case "parquet":
            opened = _tables(lambda schema: pq.ParquetWriter(file, schema, compression="zstd"))
        case "jsonl":
            opened = _lines(file, _line)
        case "cloudevents":
            opened = _lines(file, cloudevent)
        case _:
            opened = _batch(file, cloudevent)
    events, first, last = 0, None, None
    with opened as write:
        for page in pages:
            write(page)
            if page.num_rows:
                positions = page["position"]
                first, last = first or positions[0].as_py(), positions[-1].as_py()
                events += page.num_rows
    return ExportResult(events, first, last)


@contextlib.contextmanager
def _tables(make: Callable[[pa.Schema], Any]) -> Iterator[Callable[[pa.Table], None]]:
    """Yield what writes tables as they are, to a file that is begun with the columns of the first."""
    with contextlib.ExitStack() as stack:
        writers: list[Any] = []

        def write(page: pa.Table) -> None:
            if not writers:
                writers.append(stack.enter_context(make(page.schema)))
            writers[0].write_table(page)

        yield write


@contextlib.contextmanager
def _lines(file: BinaryIO, line: Callable[[dict[str, Any]], bytes]) -> Iterator[Callable[[pa.Table], None]]:
    """Yield what writes a line an event."""
    yield lambda page: file.writelines(line(row) + b"\n" for row in _rows(page))


@contextlib.contextmanager
def _batch(file: BinaryIO, line: Callable[[dict[str, Any]], bytes]) -> Iterator[Callable[[pa.Table], None]]:
    """Yield what writes an item of a JSON array an event."""
    begun = False

    def write(page: pa.Table) -> None:
        nonlocal begun
        for row in _rows(page):
            file.write((b",\n" if begun else b"[\n") + line(row))
            begun = True

    yield write
    file.write(b"\n]\n" if begun else b"[]\n")


def _rows(page: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a page by the names of their columns."""
    names = page.schema.names
    for batch in page.to_batches():
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield dict(zip(names, row, strict=True))


def _line(row: dict[str, Any]) -> bytes:
    """Return an event as ``eventlab append`` reads it."""
    event: dict[str, Any] = {
        "stream_id": row["stream_id"],
        "event_type": row["event_type"],
        "event_id": row["event_id"],
        "occurred_at": cloudevents.timestamp(moments.moment_of(row["occurred_at"])),
        **{name: row[name] for name in OPTIONAL if row[name] is not None},
    }
    if row["metadata"] is not None:
        event["metadata"] = _raw(row["metadata"])
    return _encode({**event, "payload": _raw(row["payload"])})


def _cloudevent(store_id: str, source: str, row: dict[str, Any]) -> bytes:
    """Return an event as a CloudEvent whose schema is the definition by which it was recorded."""
    metadata = None if row["metadata"] is None else decoded(row["metadata"])
    text = row["payload"]
    event = {
        **row,
        "occurred_at": moments.moment_of(row["occurred_at"]),
        "metadata": metadata,
        "payload": decoded(text) if cloudevents.wrapped(metadata) else _raw(text),
    }
    schema = _schema_uri(store_id, row["event_type"], row["schema_version"])
    return _encode(cloudevents.written(event, decoded, source=source, dataschema=schema))


_schema_uri = functools.lru_cache(cloudevents.schema_uri)


def _raw(text: str) -> msgspec.Raw:
    """Return JSON as it is recorded, on one line: outside of texts, which have no such characters, an end of line is space."""
    return msgspec.Raw(text.replace("\n", " ").replace("\r", " ").encode())
