"""Bulk loads, each in a fresh process, against DuckDB alone writing the same rows to one zstd Parquet file.

Both read the same source. The baseline makes the same envelope (positions, versions, ids from the content), the payload
as text and a typed STRUCT a type, in the same order; it checks nothing, keeps nothing if it fails, and knows no duplicates.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import eventlab as el
from tests.benchmarks.sources import MAPPING, copy_typed
from tests.benchmarks.tables import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.sources import Folder

_EVENTS, _MANY_TYPES = 5_000_000, 1_000_000
_ROUNDS = 3
_JSON = """read_json('{path}', format = 'newline_delimited', columns = {{
    kind: 'VARCHAR', order_id: 'VARCHAR', happened_at: 'TIMESTAMPTZ',
    customer: 'VARCHAR', item: 'VARCHAR', qty: 'BIGINT', amount: 'DOUBLE'
}})"""


def loads(folder: Folder) -> Iterator[Row]:
    """Load five million events of five types and half a million streams, from Parquet and from JSON lines."""
    for suffix, name in ((".parquet", "Parquet"), (".jsonl", "JSON lines")):
        source = folder.file(_EVENTS, suffix)
        ours, theirs = _rounds(folder, ("load", source), ("copy", source))
        yield Row(f"bulk load of 5 M events, 500 k streams, from {name}", ours[0], theirs[0], 2.5, "s")
        yield Row(f"its peak of memory, from {name}", ours[1], None, 4, "GB")


def many_types(folder: Folder) -> Iterator[Row]:
    """Load a million events of 200 types, and as many of 10 types."""
    sources = [folder.file(_MANY_TYPES, ".parquet", types) for types in (200, 10)]
    many, few = _rounds(folder, ("load", sources[0]), ("load", sources[1]))
    yield Row("bulk load of 1 M events of 200 types, against 10 types", many[0], few[0], 3, "s")


def _rounds(
    folder: Folder, ours: tuple[str, Path], theirs: tuple[str, Path]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Run two jobs by turns; return the median seconds and the largest memory (GB) of each."""
    found: list[list[tuple[float, float]]] = [[], []]
    for _ in range(_ROUNDS):
        for kept, (job, source) in zip(found, (ours, theirs), strict=True):
            target = folder.fresh("load")
            text = subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.loads", job, source, target], check=True, capture_output=True
            ).stdout
            kept.append(tuple(json.loads(text)))
    first, second = ((statistics.median(s for s, _ in runs), max(gb for _, gb in runs)) for runs in found)
    folder.fresh("load")
    return first, second


def _job(job: str, source: str, target: Path) -> None:
    """Load or copy, in this process, and print the seconds and the peak of memory."""
    start = time.perf_counter()
    if job == "load":
        with el.open(target, create=True) as log:
            log.ingest(source, **MAPPING, progress=False)
    else:
        copy_typed(_JSON.format(path=source) if source.endswith(".jsonl") else f"'{source}'", target)
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6]))  # noqa: T201 - to its parent


if __name__ == "__main__":
    _job(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
