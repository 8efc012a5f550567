"""What is killed: for each scenario how its store is prepared, and the work in whose midst its process dies.

Work is idempotent (all events have ids of their own), so that the same work again, after the crash, is what a program
that retries would do. ``told`` is called with the name of each group of events that the store has acknowledged.
"""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from typing import TYPE_CHECKING, NamedTuple

from invariants import ids

import eventlab as el

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Told = Callable[[str], None]


def write(log: el.EventLog, told: Told, group: str, *, size: int = 3, kind: str = "Added", stream: str = "a-1") -> None:
    """Append a group of events to one stream."""
    log.append(stream, [el.Event(kind, {"n": n, kind: group}, event_id=i) for n, i in enumerate(ids(group, size))])
    told(group)


def transact(log: el.EventLog, told: Told, group: str) -> None:
    """Append a group of events to two streams, of a type that is new."""
    first, second, third = ids(group, 3)
    with log.transaction() as tx:
        tx.append("a-1", el.Event(f"Moved {group}", {"to": "b"}, event_id=first))
        tx.append("b-2", [el.Event("Added", {"n": 1}, event_id=second), el.Event("Left", {}, event_id=third)])
    told(group)


def load(log: el.EventLog, told: Told, group: str, *, size: int = 20) -> None:
    """Load a group of events in bulk, into streams that exist and new ones, of a type that is new."""
    rows = [{"id": i, "s": n % 3, "n": n, "at": f"2024-0{1 + n % 2}-01"} for n, i in enumerate(ids(group, size))]
    log.ingest(
        rows,
        event_type=f"'Loaded {group}'",
        stream_id="'a-' || s",
        event_id="id",
        occurred_at="at",
        progress=False,
    )
    told(group)


def _nothing(_path: Path, _told: Told) -> None:
    """Prepare no store."""


def _tail(path: Path, told: Told) -> None:
    """Prepare a store with sealed events and a tail."""
    with el.open(path, create=True) as log:
        write(log, told, "p1")
        log.seal()
        write(log, told, "p2", stream="b-2")
        transact(log, told, "p3")


def _files(path: Path, told: Told) -> None:
    """Prepare a store with several files and replaced ones."""
    with el.open(path, create=True) as log:
        for number in range(3):
            write(log, told, f"p{number}", kind=f"Kind{number}")
            log.seal()
        log.compact()
        for number in range(3, 6):
            write(log, told, f"p{number}", kind=f"Kind{number}")
            log.seal()
        write(log, told, "p6")


def _versions(path: Path, told: Told) -> None:
    """Prepare a store whose next commit but one makes a checkpoint of the Delta log."""
    with el.open(path, create=True) as log:
        write(log, told, "p0")
        log.seal()
        number = 1
        while log._store.lake.snapshot().version < 18:
            write(log, told, f"p{number}")
            log.seal()
            number += 1
        write(log, told, "p")


def _lost(path: Path, told: Told) -> None:
    """Prepare a store whose journal is gone."""
    _files(path, lambda _group: None)
    with el.open(path) as log:
        log.seal()
    for number in range(7):
        told(f"p{number}")
    (path / "journal.sqlite").unlink()


def _create(path: Path, told: Told) -> None:
    with el.open(path, create=True) as log:
        write(log, told, "first")


def _append(path: Path, told: Told) -> None:
    with el.open(path) as log:
        write(log, told, "a1")
        transact(log, told, "a2")
        write(log, told, "a3", kind="Other", size=1)


def _seal(path: Path, told: Told) -> None:
    with el.open(path) as log:
        write(log, told, "s1", kind="Fresh")
        log.seal()
        write(log, told, "s2", kind="Fresher")
        log.seal()
        write(log, told, "s3")


def _ingest(path: Path, told: Told) -> None:
    with el.open(path) as log:
        load(log, told, "l1")
        write(log, told, "l2")
        load(log, told, "l3", size=5)


def _compact(path: Path, told: Told) -> None:
    with el.open(path) as log:
        log.compact()
        write(log, told, "c1")


def _vacuum(path: Path, told: Told) -> None:
    with el.open(path) as log:
        log.compact(vacuum=True)
        write(log, told, "v1")
        log.seal()
        log.compact(vacuum=True)


def _recover(path: Path, told: Told) -> None:
    el.recover(path)
    with el.open(path) as log:
        write(log, told, "r1")


def _everything(path: Path, told: Told) -> None:
    """Append and load while another thread seals, compacts and vacuums, until killed."""
    with el.open(path) as log:

        def care() -> None:
            while True:
                log.seal()
                log.compact(vacuum=True)

        threading.Thread(target=care, daemon=True).start()
        for number in itertools.count():
            group = f"{path.name}-{os.getpid()}-{number}"
            (write, transact, write, load)[number % 4](log, told, group)


class Scenario(NamedTuple):
    """A store and what is done with it."""

    prepare: Callable[[Path, Told], None]
    work: Callable[[Path, Told], None]


SCENARIOS = {
    "create": Scenario(_nothing, _create),
    "append": Scenario(_tail, _append),
    "seal": Scenario(_tail, _seal),
    "ingest": Scenario(_tail, _ingest),
    "compact": Scenario(_files, _compact),
    "vacuum": Scenario(_files, _vacuum),
    "checkpoint": Scenario(_versions, _seal),
    "recover": Scenario(_lost, _recover),
}


ENDLESS = {"everything": Scenario(_tail, _everything)}


def copied(base: Path, path: Path) -> None:
    """Put a prepared store at ``path``."""
    shutil.rmtree(path, ignore_errors=True)
    if base.exists():
        shutil.copytree(base, path)
