"""Sources of a bulk load: what can be read, in which order, and what is refused."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pad
import pyarrow.parquet as pq
import pytest

from eventlab import queries
from eventlab.errors import EventlabError, InvalidSource
from eventlab.store import sources

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TABLE = pa.table({"id": [1, 2], "name": ["a", None]})


def _read(source: object) -> list[tuple[object, ...]]:
    """Return the rows of a source as a private connection sees them."""
    connection = queries.connect()
    opened = sources.opened(connection, source)
    return queries.rows(connection, "select line from source" if opened.is_json else "from source")


@pytest.mark.parametrize(
    "make",
    [
        lambda: _TABLE,
        _TABLE.to_reader,
        lambda: _TABLE.to_batches()[0],
        lambda: pad.dataset(_TABLE),
        lambda: pl.from_arrow(_TABLE),
        lambda: pl.from_arrow(_TABLE).lazy(),
        lambda: queries.connect().sql("select * from (values (1::bigint, 'a'), (2, null)) as t(id, name)"),
        lambda: "select * from (values (1::bigint, 'a'), (2, null)) as t(id, name)",
        lambda: pd.DataFrame({"id": [1, 2], "name": ["a", None]}),
    ],
)
def test_tabular_objects_are_sources(make: Callable[[], object]) -> None:
    """Every frame, Arrow object, relation and query gives the same rows in the same order."""
    assert _read(make()) == [(1, "a"), (2, None)]


def test_missing_values_of_pandas_are_null() -> None:
    """A NaN in a pandas column is a missing value, not a number."""
    assert _read(pd.DataFrame({"x": [1.5, float("nan")]})) == [(1.5,), (None,)]


def test_dicts_become_exact_lines() -> None:
    """An iterable of dicts is kept as JSON with all digits of its decimals."""
    rows = ({"amount": Decimal("1234567890123456.780"), "n": n} for n in range(2))
    assert _read(rows) == [('{"amount":1234567890123456.780,"n":0}',), ('{"amount":1234567890123456.780,"n":1}',)]


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".gzip", gzip.compress)])
def test_lines_keep_their_text(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    """JSON lines are read byte for byte, without the byte order mark, carriage returns and blank lines."""
    text = b'\xef\xbb\xbf{"a": 1.50}\r\n\n{"b":"x,\\"y\\""}\n'
    (tmp_path / f"x.jsonl{suffix}").write_bytes(pack(text))
    assert _read(tmp_path / f"x.jsonl{suffix}") == [('{"a": 1.50}',), ('{"b":"x,\\"y\\""}',)]


def test_zstd_is_read(tmp_path: Path) -> None:
    """A file that is compressed with zstd is read."""
    with pa.output_stream(str(tmp_path / "x.ndjson.zst"), compression="zstd") as stream:
        stream.write(b'{"a":1}\n')
    assert _read(str(tmp_path / "x.ndjson.zst")) == [('{"a":1}',)]


@pytest.mark.parametrize("text", ['[{"a": 1.50},\n {"a":2}]', '{"a": 1.50}\n{"a":2}\n'])
def test_json_is_an_array_or_lines(tmp_path: Path, text: str) -> None:
    """A .json file is an array of objects or an object a line; numbers keep their text."""
    (tmp_path / "x.json").write_text(text)
    assert _read(tmp_path / "x.json") == [('{"a": 1.50}',), ('{"a":2}',)]


def test_csv_types_lose_nothing(tmp_path: Path) -> None:
    """A CSV column is a number only if no value loses by it; times stay text."""
    (tmp_path / "x.csv").write_text(
        "n,zip,x,big,t,ok\n1,007,2.5,12345678901234567890,2026-01-01T00:00:00+05:00,true\n2,010,,1,,\n"
    )
    connection = queries.connect()
    opened = sources.opened(connection, tmp_path / "x.csv")
    assert [str(kind) for kind in opened.columns.values()] == [
        "BIGINT",
        "VARCHAR",
        "DOUBLE",
        "VARCHAR",
        "VARCHAR",
        "BOOLEAN",
    ]
    assert queries.rows(connection, "from source")[1] == (2, "010", None, "1", None, None)


def test_tab_separated_values(tmp_path: Path) -> None:
    """A .tsv file has tabs."""
    (tmp_path / "x.tsv").write_text("a\tb\n1\tx,y\n")
    assert _read(tmp_path / "x.tsv") == [(1, "x,y")]


def test_a_glob_is_read_in_the_order_of_paths(tmp_path: Path) -> None:
    """Several files are one source, in the order of their sorted paths."""
    for name, value in (("b", 2), ("a", 1), ("c", 3)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"v": value}) + "\n")
        pq.write_table(pa.table({"v": [value]}), tmp_path / f"{name}.parquet")
    assert _read(str(tmp_path / "*.parquet")) == [(1,), (2,), (3,)]
    assert [line for (line,) in _read(str(tmp_path / "*.jsonl"))] == ['{"v": 1}', '{"v": 2}', '{"v": 3}']


def test_a_table_without_rows_is_a_source(tmp_path: Path) -> None:
    """Columns without rows are no fault."""
    pq.write_table(_TABLE.slice(0, 0), tmp_path / "x.parquet")
    (tmp_path / "x.csv").write_text("a,b\n")
    assert _read(tmp_path / "x.parquet") == _read(tmp_path / "x.csv") == _read([]) == []


def _file(name: str, content: bytes) -> Callable[[Path], object]:
    """Return the maker of a file."""

    def make(folder: Path) -> object:
        (folder / name).write_bytes(content)
        return str(folder / name)

    return make


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: "nowhere.csv", "no file 'nowhere.csv'"),
        (lambda folder: str(folder / "*.parquet"), "no file"),
        (_file("x.xlsx", b"x"), "(?s)no known format.*Known are .parquet"),
        (_file("x.jsonl", b""), "x.jsonl: the file is empty"),
        (_file("x.jsonl.gz", gzip.compress(b"")), "x.jsonl.gz: the file is empty"),
        (_file("x.jsonl.gz", gzip.compress(b'{"a":1}\n' * 100_000)[:-30]), "x.jsonl.gz"),
        (_file("x.jsonl.gz", b"plain"), "x.jsonl.gz"),
        (_file("x.parquet", b"PAR1 no parquet PAR1"), "x.parquet"),
        (_file("x.json", b'[{"a":1},'), "x.json"),
        (_file("x.jsonl", b'{"a":"\xff"}\n'), "x.jsonl"),
        (lambda _: pa.table({}), "no columns"),
        (lambda _: pa.table({"a": [1], "A": [2]}), "differ by case only"),
        (lambda _: pd.DataFrame({"a": [1, "x", []]}), "cannot be read as columns"),
        (lambda _: 5, "int is no source"),
        (lambda _: {"a": 1}, "dict is no source"),
        (lambda _: b"x", "bytes is no source"),
        (lambda _: "select * from nowhere", "nowhere"),
        (lambda _: "select 1; select 2", "one statement"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    """A source that cannot be read is one error that names it."""
    with pytest.raises((InvalidSource, EventlabError), match=said):
        _read(make(tmp_path))


def test_formats_are_not_mixed(tmp_path: Path) -> None:
    """One load has files of one format."""
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "b.jsonl").write_text("{}\n")
    with pytest.raises(InvalidSource, match="different formats"):
        _read(str(tmp_path / "*"))
