"""The sources of a bulk load: files, queries, frames, Arrow data and dicts, each as one relation of a private DuckDB.

Whatever a source is, its rows keep their order. JSON stays text, a line an object, so that nothing of it is lost.
"""

from __future__ import annotations

import glob
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from eventlab import events, queries
from eventlab.errors import InvalidEvent, InvalidSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventlab.queries import Connection

SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_COMPRESSED = {".gz": "gzip", ".gzip": "gzip", ".zst": "zstd", ".zstd": "zstd"}
_QUERY = re.compile(
    r"\s*((select|from|with|values|pivot|unpivot|table|describe|summarize)[\s(*'\"]|\(|--|/\*)", re.IGNORECASE
)
_LINE_BYTES = 40_000_000  # room for a payload of 16 MB and what is taken out of it
_BATCH = 10_000

SHAPE = "nullif(hash(try(json_structure({text}))), hash(null::json))"  # NULL of what is no JSON
_SHAPE = queries.fill(SHAPE, text="line")

# \x01 is no part of a JSON text, so that a line is one column; a line that has it comes out cut, as no JSON
_LINES = """
create table source as select line, {shape} as shape from read_csv(
    $files, header = false, delim = E'\\x01', quote = '', escape = '', columns = {'line': 'VARCHAR'},
    auto_detect = false, strict_mode = false, nullstr = E'\\x02', compression = $compression,
    max_line_size = $bytes, buffer_size = 2 * $bytes
) where trim(line) <> ''
"""
_OBJECTS = """
create table source as select line, {shape} as shape from (select json::varchar as line from read_json_objects(
    $files, format = 'auto', compression = $compression, maximum_object_size = $bytes
))
"""
_DELIMITED = """
create table source as from read_csv(
    $files, all_varchar = true, header = true, union_by_name = true, compression = $compression,
    delim = {delimiter}, quote = '"', escape = '"', skip = 0, null_padding = false, strict_mode = true
)
"""


@dataclass
class Source:
    """An opened source: the relation ``source`` of the connection.

    Attributes
    ----------
    name
        What errors call it.
    is_json
        The relation has the text of a JSON object as ``line``, and a hash of its structure as ``shape``; else it has
        typed columns.
    columns
        The typed columns, in their order.
    kept
        The relation is a table, whose ``rowid`` is the number of the row; else a view over what can be read again.
    faults
        What was wrong with rows before they could be rows, by number.
    """

    name: str
    is_json: bool
    columns: dict[str, queries.Type]
    kept: bool
    faults: dict[int, str] = field(default_factory=dict)


def opened(connection: Connection, source: object) -> Source:
    """Return a source as the relation ``source`` of ``connection``.

    Raises
    ------
    InvalidSource
        If there is no such file, it is not of its format, or the object is no source.
    """
    if isinstance(source, Path) or (isinstance(source, str) and _is_path(source)):
        return _files(connection, str(source))
    if isinstance(source, str):
        return _query(connection, source)
    data = _arrow(source)
    if isinstance(data, pa.Table):
        return _view(connection, "the table", data)
    if data is not None:
        return _kept(connection, "the source", data)
    if isinstance(source, Iterable) and not isinstance(source, (bytes, dict)):
        return _objects(connection, iter(source))
    message = f"{type(source).__name__} is no source"
    raise InvalidSource(
        message, hint="Give a path, a SELECT, a Polars, Arrow or pandas frame, or an iterable of dicts."
    )


def _is_path(text: str) -> bool:
    """Tell whether a text is a path or glob rather than a query."""
    return _QUERY.match(text) is None or (("\n" not in text and len(text) < 4096) and bool(_matches(text)))  # noqa: PLR2004


def _matches(path: str) -> list[str]:
    """Return the files of a path or glob, sorted."""
    try:
        if Path(path).exists():
            return [path]
    except (OSError, ValueError):
        return []
    return sorted(found for found in glob.glob(path, recursive=True) if Path(found).is_file())  # noqa: PTH207 - as typed


def _files(connection: Connection, path: str) -> Source:
    """Open a file, or those of a glob."""
    files = _matches(path)
    if not files:
        message = f"no file {path!r}"
        raise InvalidSource(message, hint="Give the path of a file, a glob like 'logs/*.jsonl', or a SELECT.")
    kinds = {_format(file) for file in files}
    if len(kinds) > 1:
        message = f"{path!r} matches files of different formats: {', '.join(sorted(a + b for a, b in kinds))}"
        raise InvalidSource(message, hint="Load them one format at a time.")
    [(suffix, compression)] = kinds
    starts = [_start(file, compression) for file in files]
    if suffix == ".json":
        _check_ends(files, starts)
    with queries.sourced(path):
        if suffix == ".parquet":
            listed = queries.literal(files)
            connection.execute(f"create view source as from read_parquet({listed}, union_by_name = true)")
            return _typed(connection, path, kept=False)
        params = {"files": files, "compression": _COMPRESSED.get(compression, "none")}
        if suffix in {".csv", ".tsv"}:
            delimiter = "\t" if suffix == ".tsv" else _delimiter(starts[0])
            connection.execute(queries.fill(_DELIMITED, delimiter=queries.literal(delimiter)), params)
            return _retyped(connection, path)
        whole = suffix == ".json" and not all(map(_is_line, starts))
        connection.execute(queries.fill(_OBJECTS if whole else _LINES, shape=_SHAPE), {**params, "bytes": _LINE_BYTES})
    return Source(path, is_json=True, columns={}, kept=True)


def _delimiter(start: bytes) -> str:
    """Return what parts the columns of a header: left to find it, DuckDB takes a broken row for another dialect."""
    header = re.sub(r'"[^"]*"', "", start.decode(errors="replace").splitlines()[0])
    return max(",;\t|", key=header.count)


def _format(file: str) -> tuple[str, str]:
    """Return the suffix of a file's format and that of its compression."""
    name = Path(file)
    compression = name.suffix.lower() if name.suffix.lower() in _COMPRESSED else ""
    suffix = Path(name.stem).suffix.lower() if compression else name.suffix.lower()
    if suffix not in SUFFIXES or name.is_dir() or (compression and suffix == ".parquet"):
        message = f"{file!r} is of no known format"
        known = ", ".join(SUFFIXES)
        raise InvalidSource(message, hint=f"Known are {known}, all but Parquet also with {', '.join(_COMPRESSED)}.")
    return suffix, compression


def _start(file: str, compression: str) -> bytes:
    """Return the first line of a file as far as 64 kB, or raise if the file is empty or its compression is broken."""
    try:
        with pa.input_stream(file, compression=_COMPRESSED.get(compression)) as stream:
            start = bytes(stream.read(65_536))
    except (OSError, pa.ArrowInvalid) as error:
        message = f"{file}: cannot be read: {error}"
        raise InvalidSource(message, hint="Is the file whole, and of the format that its name says?") from None
    if not start.strip():
        message = f"{file}: the file is empty"
        raise InvalidSource(message, hint="A file without events needs no load.")
    return start


def _check_ends(files: list[str], starts: list[bytes]) -> None:
    """Raise InvalidSource where an array does not end: DuckDB reads it as far as it goes. Of plain files only."""
    for file, start in zip(files, starts, strict=True):
        with Path(file).open("rb") as stream:
            plain = stream.read(1) == start[:1]
            stream.seek(-min(Path(file).stat().st_size, 4096), 2)
            end = stream.read().rstrip()
        if plain and start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[") and not end.endswith(b"]"):
            message = f"{file}: the array does not end: the file is cut"
            raise InvalidSource(message, hint="Get the whole file.")


def _is_line(start: bytes) -> bool:
    """Tell whether a JSON file has an object a line, from how it starts."""
    first = start.removeprefix(b"\xef\xbb\xbf").strip().split(b"\n", 1)[0].rstrip()
    return first.startswith(b"{") and (first.endswith(b"}") or len(first) > 60_000)  # noqa: PLR2004


def _retyped(connection: Connection, name: str) -> Source:
    """Give each column of texts the type that all of its values have, if nothing is lost by it.

    Times stay text: they are read as instants where they are mapped to one.
    """
    texts = connection.sql("from source").columns
    tests = ", ".join(
        f"""coalesce(bool_and(try_cast({c} as bigint)::varchar is not distinct from {c}) filter ({c} is not null), false),
        coalesce(bool_and(regexp_full_match({c}, '-?(0|[1-9][0-9]{{0,14}})([.][0-9]{{1,15}})?')
            and length(replace({c}, '-', '')) <= 16) filter ({c} is not null), false),
        coalesce(bool_and(lower({c}) in ('true', 'false')) filter ({c} is not null), false)"""
        for c in map(queries.identifier, texts)
    )
    [answer] = queries.rows(connection, f"select {tests} from source")
    kinds = [
        next(
            (
                kind
                for kind, holds in zip(("bigint", "double", "boolean"), answer[3 * i : 3 * i + 3], strict=True)
                if holds
            ),
            "",
        )
        for i in range(len(texts))
    ]
    casts = (
        f"{c}::{kind} as {c}" if kind else c for c, kind in zip(map(queries.identifier, texts), kinds, strict=True)
    )
    connection.execute("alter table source rename to texts")
    connection.execute(queries.fill("create view source as select {casts} from texts", casts=casts))
    return _typed(connection, name, kept=False)


def _query(connection: Connection, text: str) -> Source:
    """Run a SELECT and keep its rows."""
    with queries.sourced("the query"):
        relation = queries.select(connection, text, None, relations=())
        relation.create("source")
    return _typed(connection, "the query", kept=True)


def _typed(connection: Connection, name: str, *, kept: bool) -> Source:
    """Return a source of typed columns."""
    relation = connection.sql("from source")
    columns = dict(zip(relation.columns, relation.types, strict=True))
    if not columns:
        message = f"{name}: the source has no columns"
        raise InvalidSource(message)
    return Source(name, is_json=False, columns=columns, kept=kept)


def _arrow(source: Any) -> Any:  # noqa: ANN401, PLR0911 - whatever a user has, a line a kind
    """Return tabular data as an Arrow table, or as a reader where it can be read once; None if it is not tabular."""
    module = type(source).__module__.split(".")[0]
    try:
        if module == "polars":
            return (source.collect() if hasattr(source, "collect") else source).to_arrow()
        if module == "pandas":
            return pa.Table.from_pandas(source, preserve_index=False)
        if isinstance(source, queries.Relation):
            return source.to_arrow_reader(_BATCH)
        if isinstance(source, (pa.Table, pa.RecordBatchReader)):
            return source
        if isinstance(source, pa.RecordBatch):
            return pa.Table.from_batches([source])
        if module == "pyarrow" and hasattr(source, "scanner"):  # a Dataset, whose module would load pandas
            return source.scanner().to_reader()
        return pa.RecordBatchReader.from_stream(source) if hasattr(source, "__arrow_c_stream__") else None
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, AttributeError) as error:
        message = f"the {type(source).__name__} cannot be read as columns: {error}"
        raise InvalidSource(message, hint="Give every column one type.") from None


def _view(connection: Connection, name: str, table: pa.Table) -> Source:
    """Open an Arrow table where it lies."""
    _distinct(table.schema.names)
    if not table.schema.names:
        message = f"{name}: the source has no columns"
        raise InvalidSource(message)
    with queries.sourced(name):
        connection.register("source", table)
        return _typed(connection, name, kept=False)


def _kept(connection: Connection, name: str, reader: pa.RecordBatchReader) -> Source:
    """Read what can be read once, and keep it."""
    _distinct(reader.schema.names)
    if not reader.schema.names:
        message = f"{name}: the source has no columns"
        raise InvalidSource(message)
    with queries.sourced(name):
        connection.register("once", reader)
        connection.execute("create table source as from once")
        connection.unregister("once")
    return _typed(connection, name, kept=True)


def _distinct(names: list[str]) -> None:
    """Raise InvalidSource if columns differ by case only: SQL could not tell them apart."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        if other is not name:
            message = f"the columns {other!r} and {name!r} differ by case only"
            raise InvalidSource(message, hint="Rename one of them.")


def _objects(connection: Connection, items: Iterator[object]) -> Source:
    """Keep the JSON of each object of an iterable; one that has none is a fault of its row."""
    connection.execute("create table source (line varchar, shape ubigint)")
    found = Source("the rows", is_json=True, columns={}, kept=True)
    numbers = itertools.count()
    while batch := list(itertools.islice(items, _BATCH)):
        lines = []
        for number, item in zip(numbers, batch):  # noqa: B905 - the numbers do not end
            try:
                lines.append(events.encoded(events.plain(item, "the row"), "the row"))
            except InvalidEvent as error:
                found.faults[number] = error.message
                lines.append(repr(item)[:1000].encode("utf-8", "replace").decode())
        connection.register("batch", pa.table({"line": pa.array(lines, pa.string())}))
        connection.execute(queries.fill("insert into source select line, {shape} from batch", shape=_SHAPE))
        connection.unregister("batch")
    return found
