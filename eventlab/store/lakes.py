"""The lake: the sealed events as a Delta Lake table of Parquet files.

Rows stand in position order. A file holds the events of one partition (a month of ``occurred_at``) and one group of types,
with the typed columns of those types that occur in it. The version of the application transaction ``eventlab`` is the
position through which the lake holds the log.
"""

from __future__ import annotations

import contextlib
import errno
import json
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, CommitProperties, RemoveAction, Transaction

from eventlab import queries
from eventlab.errors import StoreCorrupt, StoreError, StoreFull, StoreReadOnly
from eventlab.events import COLUMNS, ENVELOPE
from eventlab.schemas import columns
from eventlab.store.layouts import PARTITIONS, flush, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from eventlab.schemas import Registry
    from eventlab.schemas.registry import EventType

SEALED, LAYOUT = "eventlab", "eventlab.layout"  # application transactions
ROW_GROUP = 131_072
_BLOOM = ("event_id", "stream_id")  # columns in which DuckDB looks for one value
_DISTINCT = {
    "position",
    "event_id",
    "version",
    "payload",
}  # columns of which a dictionary would be as large as they are
_ABANDONED = 24  # hours after which a file that was never committed will not be
_CHECKPOINT = "20"  # Delta commits from one checkpoint of its log to the next

_PARTS = """
select
    strftime(occurred_at at time zone 'UTC', {pattern}) as part, event_type, count(*),
    min(position), max(position), min(epoch_us(occurred_at)), max(epoch_us(occurred_at))
from {rows} group by all order by part, min(position)
"""
_PART = """
select {columns}
from {rows}
where occurred_at between make_timestamptz({first}) and make_timestamptz({last}) and event_type in {types}
order by position
"""


def _lost(error: BaseException) -> bool:
    """Tell whether a commit failed since a rival's came first; where that added columns, delta-rs has no class for it."""
    changed = isinstance(error, DeltaError) and "changed since last commit" in str(error)
    return changed or isinstance(error, CommitFailedError)


class Conflict(Exception):  # noqa: N818 - it is no fault: a rival was faster, and the loser starts again
    """Another process committed to the lake what this commit was based on."""


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A file of the lake: its path in the table, what it holds, and its first and last position."""

    path: str
    partition: str
    group: int
    rows: int
    size: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The lake at one version: through which position it holds the log, and in which files."""

    version: int
    sealed: int
    layout: int
    files: tuple[LakeFile, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is written and not yet committed."""

    action: AddAction
    schema: pa.Schema


@dataclass(slots=True)
class _Part:
    """The rows of one file to be: a partition, a group, and the extent of what is in it."""

    partition: str
    group: int
    types: list[EventType]
    rows: int
    positions: tuple[int, int]
    occurred: tuple[int, int]


class Lake:
    """The Delta table at ``path``."""

    def __init__(self, path: Path, *, partition: str) -> None:
        self.path = path
        self.partition = partition
        self._lock = threading.Lock()
        self._table = self._open()
        self._snapshot = self._read()

    @classmethod
    def create(cls, path: Path, *, partition: str) -> None:
        """Make an empty table; harmless where there is one already."""
        schema = Schema.from_arrow(ENVELOPE.append(pa.field(partition, pa.string())))
        with writing(path):
            DeltaTable.create(
                path,
                schema=schema,
                mode="ignore",
                partition_by=[partition],
                name="events",
                configuration={"delta.checkpointInterval": _CHECKPOINT},
            )
            flush(path / "_delta_log" / f"{0:020d}.json")
            flush(path / "_delta_log")
            flush(path)

    def snapshot(self) -> Snapshot:
        """Return the newest version; costs one look into a folder where nothing is new."""
        with self._lock:
            if (self.path / "_delta_log" / f"{self._snapshot.version + 1:020d}.json").exists():
                try:
                    self._table.update_incremental()
                except DeltaError:  # the log was cleaned up beyond what this handle had read
                    self._table = self._open()
                self._snapshot = self._read()
            return self._snapshot

    def files(self, snapshot: Snapshot) -> list[str]:
        """Return the absolute paths of a snapshot's files."""
        return [str(self.path / file.path) for file in snapshot.files]

    def write(
        self,
        connection: queries.Connection,
        rows: str,
        registry: Registry,
        *,
        done: Callable[[int], None] | None = None,
    ) -> list[Written]:
        """Write the events of the relation ``rows`` (the envelope's columns) as files, which nobody sees yet.

        Parameters
        ----------
        connection
            Where the relation is.
        rows
            Its name.
        registry
            The definitions by which typed columns are made of the payloads.
        done
            Called with the number of rows as they are written.
        """
        pattern = queries.literal(PARTITIONS[self.partition])
        found = queries.rows(connection, queries.fill(_PARTS, pattern=pattern, rows=rows))
        written: list[Written] = []
        try:
            for part in _parts(found, registry):
                text = queries.fill(
                    _PART,
                    columns=[
                        *COLUMNS,
                        *(
                            f"{columns.parsed(event_type, column)} as {queries.identifier(column)}"
                            for event_type in part.types
                            for column in event_type.columns
                        ),
                    ],
                    rows=rows,
                    first=str(part.occurred[0]),
                    last=str(part.occurred[1]),
                    types=f"({', '.join(queries.literal(event_type.name) for event_type in part.types)})",
                )
                written.append(self._write_part(connection, text, part, done))
        except BaseException:
            self.discard(written)
            raise
        return written

    def rewrite(self, connection: queries.Connection, files: Sequence[LakeFile]) -> Written:
        """Write the rows of several files of one partition and group as one file, which nobody sees yet."""
        with reading(self.path):
            text = (
                "select * from read_parquet({paths}, union_by_name = true, hive_partitioning = false) order by position"
            )
            paths = queries.literal([str(self.path / file.path) for file in files])
            extent = queries.rows(
                connection,
                queries.fill(
                    "select count(*), min(position), max(position), min(epoch_us(occurred_at)), max(epoch_us(occurred_at))"
                    " from read_parquet({paths}, union_by_name = true, hive_partitioning = false)",
                    paths=paths,
                ),
            )[0]
            part = _Part(files[0].partition, files[0].group, [], extent[0], extent[1:3], extent[3:5])
            return self._write_part(connection, queries.fill(text, paths=paths), part, None)

    def discard(self, written: Sequence[Written]) -> None:
        """Delete files that will not be committed."""
        for file in written:
            (self.path / file.action.path).unlink(missing_ok=True)

    def seal(self, written: Sequence[Written], *, sealed: int, base: Snapshot) -> None:
        """Commit files, after which the lake holds the log through ``sealed``.

        Raises
        ------
        Conflict
            If another process has sealed since ``base``. Files that are not committed are deleted.
        """
        with self._committing(written) as table:
            self._extend(table, written)  # first: it brings the handle up to date, past a rival's commit maybe
            if (table.transaction_version(SEALED) or 0) != base.sealed:
                raise Conflict
            self._commit(table, [file.action for file in written], Transaction(SEALED, sealed))

    def replace(self, old: Sequence[LakeFile], new: Sequence[Written], *, base: Snapshot) -> None:
        """Commit that ``new`` files hold the same rows as ``old`` ones.

        Raises
        ------
        Conflict
            If another process has changed the layout since ``base``. Files that are not committed are deleted.
        """
        now = int(time.time() * 1000)
        with self._committing(new) as table:
            if (table.transaction_version(LAYOUT) or 0) != base.layout:
                raise Conflict
            removed = [
                RemoveAction(file.path, False, now, file.size, {self.partition: file.partition})  # noqa: FBT003 - data_change; it takes no keywords
                for file in old
            ]
            for file in new:
                file.action.data_change = False
            self._commit(table, [*removed, *(file.action for file in new)], Transaction(LAYOUT, base.layout + 1))

    def vacuum(self, *, hours: int) -> int:
        """Delete replaced files that are older than ``hours``, and return how many files went.

        So do the files of killed writers, when they are older than a day: nobody commits them any more.
        """
        with writing(self.path):
            table = self._open()
            first = table.version() + 1
            deleted = table.vacuum(hours, dry_run=False, enforce_retention_duration=False)
            deleted += table.vacuum(_ABANDONED, dry_run=False, enforce_retention_duration=False, full=True)
            self._flush(table, first)
            return len(deleted)

    def _open(self) -> DeltaTable:
        try:
            return DeltaTable(self.path)
        except (TableNotFoundError, DeltaError, OSError) as error:
            reason = str(error).splitlines()[0]  # a trace of Rust's follows
            raise StoreCorrupt(
                f"the lake cannot be read: {self.path}: {reason}", hint="Restore the folder events/ from a backup."
            ) from error

    def _read(self) -> Snapshot:
        """Return the snapshot at which the handle is."""
        table = self._table
        actions = pa.RecordBatchReader.from_stream(
            table.get_add_actions(flatten=True)
        ).read_all()  # pa.table imports pandas
        names = ("path", f"partition.{self.partition}", "num_records", "size_bytes", "min.position", "max.position")
        found = zip(*(actions[name].to_pylist() for name in names), strict=True) if actions.num_rows else ()
        files = [
            LakeFile(path, part, int(path.rsplit("/", 1)[-1][1:].split("-", 1)[0]), rows, size, first, last)
            for path, part, rows, size, first, last in found
        ]
        return Snapshot(
            table.version(),
            table.transaction_version(SEALED) or 0,
            table.transaction_version(LAYOUT) or 0,
            tuple(sorted(files, key=lambda file: file.first)),
        )

    def _write_part(
        self, connection: queries.Connection, text: str, part: _Part, done: Callable[[int], None] | None
    ) -> Written:
        """Write one file and make it durable."""
        folder = self.path / f"{self.partition}={part.partition}"
        path = folder / f"g{part.group}-{uuid.uuid4().hex}.parquet"
        with writing(self.path):
            make_folder(folder)
            reader = queries.batches(connection, text, size=ROW_GROUP)
            schema = _in_utc(reader.schema)
            try:
                with pq.ParquetWriter(path, schema, **_options(schema, part.rows)) as writer:
                    for batch in reader:
                        writer.write_batch(batch.cast(schema) if batch.schema != schema else batch, ROW_GROUP)
                        if done is not None:
                            done(batch.num_rows)
                flush(path)
                flush(folder)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
            action = AddAction(
                path=f"{folder.name}/{path.name}",
                size=path.stat().st_size,
                partition_values={self.partition: part.partition},
                modification_time=int(time.time() * 1000),
                data_change=True,
                stats=_statistics(part),
            )
        return Written(action, schema)

    @contextlib.contextmanager
    def _committing(self, written: Sequence[Written]) -> Iterator[DeltaTable]:
        """Yield a handle of its own, turn a lost race into Conflict, and delete files that came to nothing."""
        with writing(self.path):
            table = self._open()
            first = table.version() + 1
            try:
                yield table
            except BaseException as error:
                newest = self.snapshot()
                live = {file.path for file in newest.files}
                self.discard([file for file in written if file.action.path not in live])
                if _lost(error) and newest.version >= first:
                    raise Conflict from error
                raise
            self._flush(table, first)

    def _extend(self, table: DeltaTable, written: Sequence[Written]) -> None:
        """Add to the table's schema what the files have and it lacks: a commit of its own, harmless if nothing follows."""
        known = {field.name: field for field in pa.schema(table.schema())}
        added: dict[str, pa.Field] = {}
        for field in (field for file in written for field in file.schema):
            old = added.get(field.name) or known.get(field.name)
            if old is None or _grown(old.type, field.type) != old.type:
                grown = field.type if old is None else _grown(old.type, field.type)
                added[field.name] = pa.field(field.name, grown)
        if added:
            table.alter.add_columns(list(Schema.from_arrow(pa.schema(list(added.values()))).fields))
            table.update_incremental()

    def _commit(self, table: DeltaTable, actions: list[Any], transaction: Transaction) -> None:
        """Commit actions."""
        table.create_write_transaction(
            actions,
            mode="append",
            schema=table.schema(),
            partition_by=[self.partition],
            commit_properties=CommitProperties(app_transactions=[transaction]),
        )

    def _flush(self, table: DeltaTable, first: int) -> None:
        """Make the commits from version ``first`` on durable, and the checkpoints of the log that they made."""
        log = self.path / "_delta_log"
        table.update_incremental()
        for version in range(first, table.version() + 1):
            for file in log.glob(f"{version:020d}.*"):
                flush(file)
        flush(log)


def _parts(found: Sequence[tuple[Any, ...]], registry: Registry) -> list[_Part]:
    """Return the files to be, of rows that each tell of one event type in one partition."""
    parts: dict[tuple[str, int], _Part] = {}
    for partition, name, rows, first, last, earliest, latest in found:
        event_type = registry.get(name)
        if event_type is None:
            raise StoreError(f"events of type {name!r} are to be sealed, and it has no definition")
        part = parts.get((partition, event_type.group))
        if part is None:
            part = _Part(partition, event_type.group, [], 0, (first, last), (earliest, latest))
            parts[partition, event_type.group] = part
        part.types.append(event_type)
        part.rows += rows
        part.positions = (min(part.positions[0], first), max(part.positions[1], last))
        part.occurred = (min(part.occurred[0], earliest), max(part.occurred[1], latest))
    return list(parts.values())


def _options(schema: pa.Schema, rows: int) -> dict[str, Any]:
    """Return how a file is written."""
    bloom = {"ndv": min(rows, ROW_GROUP), "fpp": 0.01}
    leaves = _leaves(schema)
    return {
        # typed columns are what queries scan, mostly dictionary codes: zstd gains little there and takes a third longer
        "compression": {leaf: "zstd" if leaf in COLUMNS else "snappy" for leaf in leaves},
        "use_dictionary": [leaf for leaf in leaves if leaf not in _DISTINCT],
        "write_page_index": True,
        "sorting_columns": [pq.SortingColumn(0)],
        "bloom_filter_options": dict.fromkeys(_BLOOM, bloom),
        "write_batch_size": 8192,
        "store_decimal_as_integer": True,  # as DuckDB writes them; bytes take a third longer to read
    }


def _leaves(schema: pa.Schema) -> list[str]:
    """Return the paths of a schema's leaf columns, as Parquet names them."""
    parquet = pq.ParquetFile(_header(schema)).schema
    return [parquet.column(i).path for i in range(len(parquet))]


def _header(schema: pa.Schema) -> pa.BufferReader:
    """Return a Parquet file without rows."""
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    return pa.BufferReader(sink.getvalue())


def _in_utc(schema: pa.Schema) -> pa.Schema:
    """Return a schema whose instants are labelled UTC, at any depth, whatever the zone of the connection."""
    fields = [field.with_type(_type_in_utc(field.type)) for field in schema]
    return pa.schema(fields)


def _type_in_utc(kind: pa.DataType) -> pa.DataType:
    """Return a type with its instants labelled UTC, and without DuckDB's own types of text."""
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pa.timestamp(kind.unit, "UTC")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_type_in_utc(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, _type_in_utc(kind.item_type))
    if pa.types.is_list(kind):
        return pa.list_(_type_in_utc(kind.value_type))
    return pa.string() if isinstance(kind, pa.ExtensionType) else kind


def _grown(old: pa.DataType, new: pa.DataType) -> pa.DataType:
    """Return a STRUCT with what ``new`` has and ``old`` lacks at its end; any other type as it was."""
    if not (pa.types.is_struct(old) and pa.types.is_struct(new)):
        return old
    known = {field.name: field for field in old}
    fields = [
        field.with_type(_grown(field.type, new.field(field.name).type))
        if new.get_field_index(field.name) >= 0
        else field
        for field in old
    ]
    return pa.struct([*fields, *(field for field in new if field.name not in known)])


def _statistics(part: _Part) -> str:
    """Return the statistics of a file by which readers pass it over."""
    first, last = (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(instant // 1_000_000)) + f".{instant % 1_000_000:06d}Z"
        for instant in part.occurred
    )
    return json.dumps(
        {
            "numRecords": part.rows,
            "minValues": {"position": part.positions[0], "occurred_at": first},
            "maxValues": {"position": part.positions[1], "occurred_at": last},
            "nullCount": {"position": 0, "occurred_at": 0},
        }
    )


@contextlib.contextmanager
def reading(lake: Path) -> Iterator[None]:
    """Say which file of the lake is missing or damaged."""
    try:
        yield
    except queries.FileError as error:
        message = str(error).splitlines()[0]
        if "No space left" in message:  # DuckDB spills what does not fit into memory
            raise StoreFull(f"the disk of {lake.parent} is full", hint="Free some space; nothing was lost.") from None
        raise StoreCorrupt(
            f"a file of the lake cannot be read: {message}", hint=f"Restore it into {lake} from a backup."
        ) from None


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the errors of a file system, as the libraries report them, into the store's."""
    try:
        yield
    except (StoreError, Conflict):
        raise
    except (OSError, DeltaError) as error:
        number = getattr(error, "errno", None)
        if number == errno.ENOSPC or "No space left" in str(error) or "os error 28" in str(error):
            raise StoreFull(f"the disk of {path} is full", hint="Free some space; nothing was lost.") from error
        if number in {errno.EACCES, errno.EROFS, errno.EPERM} or "ermission denied" in str(error):
            raise StoreReadOnly(f"{path} cannot be written: {error}", hint="Check its permissions.") from error
        raise StoreError(f"{path}: {error}", hint="Nothing was lost; try again when the cause is gone.") from error
