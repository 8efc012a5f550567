"""Rows and facts on their way out: a table for people; JSON, CSV and Parquet for programs."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sys
import uuid
from typing import TYPE_CHECKING, Any

from eventlab.cli.tables import print_table
from eventlab.cli.values import counted, distinct, encoded, printable, told, values
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from eventlab.cli.options import Output
    from eventlab.queries import Relation

ROWS = 40
BATCH = 10_000
PLAN = ["explain_key", "explain_value"]


class Rows:
    """A result as it streams: its columns, which of them are JSON, and its record batches."""

    def __init__(self, relation: Relation) -> None:
        kinds = [str(kind) for kind in relation.types]
        self.reader = relation.to_arrow_reader(BATCH)
        self.names = distinct(self.reader.schema.names)
        self.json = [kind == "JSON" for kind in kinds]

    def batches(self, limit: int | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the batches of the first ``limit`` rows, or of all.

        Raises
        ------
        QueryError
            If the query fails at one of its rows.
        """
        left = limit
        while left is None or left > 0:
            try:
                batch = self.reader.read_next_batch()
            except StopIteration:
                return
            except OSError as error:  # how Arrow hands on an error of DuckDB's
                from eventlab.queries import DuckDBError, query_error  # noqa: PLC0415 - loads DuckDB

                raise query_error(DuckDBError(str(error))) from None
            if left is not None:
                batch = batch.slice(0, left)
                left -= batch.num_rows
            yield batch

    def lines(self, batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
        """Yield a batch's rows as Python values; JSON is left as its text."""
        return zip(*map(values, batch.columns), strict=True)


def show(relation: Relation, output: Output) -> None:
    """Print a relation, or write it to a file, as ``output`` says."""
    rows = Rows(relation)
    if output.parquet is not None:
        count = write_parquet(rows, output.parquet, output.limit)
        sys.stderr.write(f"{counted(count, 'row')} in {output.parquet}\n")
    elif output.json:
        write_json(rows, output.limit)
    elif output.csv:
        write_csv(rows, output.limit)
    else:
        write_table(rows, None if output.all else output.limit or ROWS)


def write_json(rows: Rows, limit: int | None) -> None:
    """Print rows as a JSON array, an object a line; numbers have all of their digits, JSON columns are nested."""
    import msgspec  # noqa: PLC0415

    nested = [index for index, json in enumerate(rows.json) if json]
    opened = False
    for batch in rows.batches(limit):
        chunk = bytearray()
        for row in rows.lines(batch):
            cells = list(row)
            for index in nested:
                cells[index] = None if cells[index] is None else msgspec.Raw(cells[index].encode())
            chunk += b",\n" if opened else b"[\n"
            chunk += encoded(dict(zip(rows.names, cells, strict=True)))
            opened = True
        put(bytes(chunk))
    put(b"\n]\n" if opened else b"[]\n")


def write_csv(rows: Rows, limit: int | None) -> None:
    """Print rows as CSV with a header: NULL is empty, times are ISO 8601, nested values JSON."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.names)
    for batch in rows.batches(limit):
        writer.writerows(zip(*map(cells, batch.columns), strict=True))
        put(text.getvalue().encode(errors="surrogateescape"))
        text.seek(0)
        text.truncate()
    put(text.getvalue().encode(errors="surrogateescape"))


def cells(array: pa.Array) -> list[Any]:
    """Return an array as the CSV writer takes it: NULL as None, what it would write otherwise as text."""
    import pyarrow.types as kinds  # noqa: PLC0415

    found = values(array)
    if any(check(array.type) for check in (kinds.is_string, kinds.is_integer, kinds.is_floating, kinds.is_null)):
        return found
    return [value if value is None else told(value, "T") for value in found]


def write_parquet(rows: Rows, path: Path, limit: int | None) -> int:
    """Write rows to a Parquet file, whole or not at all, and return how many there are."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    if path.is_dir() or not path.parent.is_dir():
        message = f"{path} is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise InvalidArgument(message, hint="Name a file, like rows.parquet, in a folder that is there.")
    texts = [told_only(kind) for kind in rows.reader.schema.types]
    kinds = [pa.string() if text else kind for text, kind in zip(texts, rows.reader.schema.types, strict=True)]
    schema = pa.schema(list(zip(rows.names, kinds, strict=True)))
    made = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    count = 0
    try:
        with pq.ParquetWriter(made, schema, compression="zstd") as writer:
            for batch in rows.batches(limit):
                columns = [
                    as_text(column) if text else column for column, text in zip(batch.columns, texts, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
                count += batch.num_rows
        made.replace(path)
    except pa.ArrowNotImplementedError as error:
        message = f"a column cannot be written as Parquet: {error}"
        raise InvalidArgument(message, hint="Cast it in the query, like x::VARCHAR.") from None
    finally:
        made.unlink(missing_ok=True)
    return count


def told_only(kind: pa.DataType) -> bool:
    """Tell whether Parquet has no such type: intervals, unions and a column of only NULL are written as text."""
    import pyarrow.types as kinds  # noqa: PLC0415

    return bool(kinds.is_interval(kind) or kinds.is_union(kind) or kinds.is_null(kind))


def as_text(array: pa.Array) -> pa.Array:
    """Return an array's values as text."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.array([value if value is None else told(value, "T") for value in values(array)], pa.string())


def write_table(rows: Rows, limit: int | None) -> None:
    """Print the first rows as a table, and how many there are; on a terminal, what has no room is cut."""
    shown: list[tuple[Any, ...]] = []
    total = 0
    for batch in rows.batches():
        total += batch.num_rows
        room = batch.num_rows if limit is None else limit - len(shown)
        if room > 0:
            shown.extend(rows.lines(batch.slice(0, room)))
    if rows.names == PLAN:  # a drawing
        sys.stdout.writelines(f"{plan}\n" for _, plan in shown)
        return
    import pyarrow.types as kinds  # noqa: PLC0415

    numeric = (kinds.is_integer, kinds.is_floating, kinds.is_decimal)
    right = [any(check(kind) for check in numeric) for kind in rows.reader.schema.types]
    cut = f"{len(shown):,} of {total:,} rows (--all shows every one)"
    note = counted(total, "row") if len(shown) == total else cut
    print_table(rows.names, shown, right=right, note=note)


def report(text: str, facts: Mapping[str, object], *, as_json: bool) -> None:
    """Print what a command did: a line for people, or an object for programs."""
    if as_json:
        put(encoded(dict(facts)) + b"\n")
    else:
        sys.stdout.write(printable(text) + "\n")


def put(data: bytes) -> None:
    """Write bytes to standard output, after what was printed before."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def settle() -> None:
    """Write what was printed before an error; if that cannot be (the disk is full), let it be."""
    try:
        sys.stdout.flush()
    except OSError:
        silence()


def silence() -> None:
    """Send what is still to be written to standard output nowhere, as nobody reads it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
