"""A log of a thousand event types, and one whose type has a hundred versions, against a log of ten types."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import eventlab as el
from tests.benchmarks.sources import MAPPING
from tests.benchmarks.tables import Row, interleaved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.sources import Folder

_EVENTS = 5_000_000
_VERSIONS = 100
_RENAMES = 10  # of the hundred versions, so many rename a field by an upcast
_ROUNDS = 15
_FIRST_COUNT = """
import json, sys, time, eventlab as el
start = time.perf_counter()
el.open(sys.argv[1], read_only=True).sql("select count(*) from events").fetchall()
print(json.dumps(time.perf_counter() - start))
"""
_QUERIES = {
    "count events by type": "select event_type, count(*) from events group by event_type",
    "sum a field of one type": 'select sum("{type}".qty), count(*) from events',
    "average by key in one type's view": "select customer, avg(qty) from {view} group by customer",
}


def registries(folder: Folder) -> Iterator[Row]:
    """Open logs of many types and versions, and query them beside one of ten types."""
    few, many, old = _store(folder, 10), _store(folder, 1000), _versions(folder)
    for what, path in (("1,000 event types", many), ("a type of 100 versions", old)):
        command = [sys.executable, "-c", _FIRST_COUNT, path]
        runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(7)]
        yield Row(f"open a store of 5 M events with {what} and count", statistics.median(runs), None, 1, "s")
    with (
        el.open(few, read_only=True) as ten,
        el.open(many, read_only=True) as thousand,
        el.open(old, read_only=True) as hundred,
    ):
        for what, text in _QUERIES.items():
            type3 = text.format(type="Type3", view="type3")
            if "view" not in what:  # the view of one of a thousand types has a hundredth of the rows
                yield _compared(f"{what}: of 1,000 event types, against 10", thousand, ten, type3, type3)
            latest = type3.replace("qty", f"qty{_VERSIONS}")
            yield _compared(f"{what}: where one of 10 types has 100 versions, against one", hundred, ten, latest, type3)


def _compared(what: str, ours: el.EventLog, theirs: el.EventLog, text: str, baseline: str) -> Row:
    """Compare the time of a query on two logs."""

    def run(log: el.EventLog, query: str) -> list[tuple[Any, ...]]:
        return log.sql(query).fetchall()

    run(ours, text)
    run(theirs, baseline)
    pair = interleaved(lambda: run(ours, text), lambda: run(theirs, baseline), _ROUNDS)
    return Row(what, pair[0] * 1e3, pair[1] * 1e3, 1.3)


def _store(folder: Folder, types: int) -> Path:
    """Return a store of events of so many types; made if it is not there."""
    path = folder.path / f"store-{folder.events(_EVENTS)}-{types}"
    if not path.exists():
        made = path.with_name(f"made-{path.name}")
        shutil.rmtree(made, ignore_errors=True)
        with el.open(made, create=True, partition="year") as log:
            log.ingest(str(folder.file(_EVENTS, ".parquet", types)), **MAPPING)
            log.compact(vacuum=True)
        made.rename(path)
    return path


def _versions(folder: Folder) -> Path:
    """Return the store of ten types in which one has a hundred versions: added fields, and a rename at every tenth."""
    path = folder.path / f"store-{folder.events(_EVENTS)}-versions"
    if not path.exists():
        made = path.with_name(f"made-{path.name}")
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(_store(folder, 10), made)
        fields = {"customer": "VARCHAR", "item": "VARCHAR", "qty": "BIGINT", "amount": "DECIMAL(18,2)"}
        with el.open(made) as log:
            log.define("Type3", fields)
            old = "qty"
            for n in range(2, _VERSIONS + 1):
                fields[f"added{n}"] = "VARCHAR"
                if n % (_VERSIONS // _RENAMES):
                    log.define("Type3", fields)
                else:
                    new = f"qty{n}"
                    fields[new] = fields.pop(old)
                    log.define("Type3", fields, upcast={new: old})
                    old = new
        made.rename(path)
    return path
