"""Durable appends, against rows inserted into a bare SQLite database with the same promise (WAL, synchronous=FULL)."""

from __future__ import annotations

import sqlite3
import statistics
import threading
import time
from typing import TYPE_CHECKING

import eventlab as el
from eventlab.events import COLUMNS
from tests.benchmarks.tables import Row, interleaved, timed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.benchmarks.sources import Folder

_CALLS, _BATCHES, _BATCH = 2_000, 300, 100
_TAIL = 100_000  # events that are being sealed beside appends


def payload(number: int) -> dict[str, object]:
    """Return the payload of an event."""
    return {"customer": f"customer-{number % 50_000}", "item": f"item-{number % 2_000}", "qty": 3, "amount": 12.5}


def streams() -> Iterator[str]:
    """Return streams, known and new ones by turns."""
    number = 0
    while True:
        number += 1
        yield f"order-{number * 7919 % 200_000}"


def bare(path: Path) -> sqlite3.Connection:
    """Return a bare SQLite table of the envelope."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")
    connection.execute(f"create table events (position integer primary key, {', '.join(COLUMNS[1:])})")
    return connection


def recorded(log: el.EventLog, calls: int) -> list[tuple[object, ...]]:
    """Append and return so many rows as the journal has them."""
    for _ in range(-(-calls // 1_000)):
        log.append("warm-1", [el.Event("OrderPlaced", payload(n)) for n in range(1_000)])
    return log._store.journal.rows(f"select {', '.join(COLUMNS)} from tail limit ?", (calls,))


def appends(folder: Folder) -> Iterator[Row]:
    """One event a call, and a hundred a call, into a log of a million; then with a seal running beside."""
    with el.open(folder.copied(1_000_000, "appends")) as log:
        log._sealer = None  # a seal runs when the benchmark says so
        rows = iter(recorded(log, _CALLS + _BATCHES * _BATCH))
        database = bare(folder.fresh("bare.sqlite"))
        insert = f"insert into events values ({', '.join('?' * len(COLUMNS))})"
        names, numbers = streams(), iter(range(10**9))

        def one() -> None:
            log.append(next(names), el.Event("OrderPlaced", payload(next(numbers))))

        def many() -> None:
            log.append(next(names), next(batches))

        def insert_many() -> None:
            database.execute("begin immediate")
            database.executemany(insert, next(row_batches))
            database.execute("commit")

        ours, theirs = interleaved(one, lambda: database.execute(insert, next(rows)), _CALLS)
        yield Row("one-event durable append, log of 1 M events, median", ours * 1e3, theirs * 1e3, 2.0)
        median, late = _beside_a_seal(log, one)
        yield Row("the same beside a running seal, p99 against its median", late * 1e3, median * 1e3, 10)
        batches = iter(  # what is given to a call is made before it, for both
            [[el.Event("OrderPlaced", payload(n)) for n in range(_BATCH)] for _ in range(_BATCHES)]
        )
        row_batches = iter([[next(rows) for _ in range(_BATCH)] for _ in range(_BATCHES)])
        ours, theirs = interleaved(many, insert_many, _BATCHES)
        yield Row("100-event append, a call", ours * 1e3, theirs * 1e3, 3)
        database.close()


def _beside_a_seal(log: el.EventLog, one: object) -> tuple[float, float]:
    """Return the median and the 99th percentile of an append while the tail is being sealed."""
    for start in range(0, _TAIL, 1_000):
        log.append(f"tail-{start}", [el.Event("ItemAdded", payload(n)) for n in range(1_000)])
    done = threading.Event()

    def seal() -> None:
        while not done.is_set():
            log.seal()
            time.sleep(0.01)

    sealing = threading.Thread(target=seal)
    sealing.start()
    taken = sorted(timed(one) for _ in range(_CALLS))  # type: ignore[arg-type]
    done.set()
    sealing.join()
    return statistics.median(taken), taken[_CALLS * 99 // 100]
