"""The journal: the hot tail of the log and its small indexes, in SQLite.

An acknowledged append is one committed transaction here (WAL, ``synchronous=FULL``). Any number of processes may write;
each write holds SQLite's write lock from ``BEGIN IMMEDIATE`` on, so that what it read still holds when it commits.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreReadOnly
from eventlab.events import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

SCHEMA = """
create table if not exists log (
    one integer primary key check (one = 1),
    head integer not null,          -- the last position that was given
    sealed integer not null,        -- through which position the lake holds the log
    recorded_at integer not null,   -- of the last event; never goes back
    registry integer not null,      -- how many definitions there are
    pending text                    -- the bulk load that is committing; see loads.py
) strict;
create table if not exists tail (
    position integer primary key,
    event_id text not null unique,
    stream_id text not null,
    version integer not null,
    event_type text not null,
    schema_version integer not null,
    occurred_at integer not null,
    recorded_at integer not null,
    actor text,
    correlation_id text,
    causation_id text,
    compensates text,
    metadata text,
    payload text not null
) strict;
create table if not exists heads (stream_id text primary key, version integer not null) strict, without rowid;
create table if not exists definitions (registry integer primary key, document text not null) strict;
create table if not exists checkpoints (name text primary key, position integer not null) strict, without rowid;
create table if not exists leases (name text primary key, owner text not null, until integer not null) strict;
insert or ignore into log values (1, 0, 0, 0, 0, null);
"""
INSERT = f"insert into tail values ({', '.join('?' * len(COLUMNS))})"
SELECT = f"select {', '.join(COLUMNS)} from tail where position > ? and position <= ? order by position"

_PATIENCE = 120.0  # seconds; a bulk load holds the lock while it writes its files
_REBUILT = "eventlab recover (el.recover) rebuilds it from the sealed events; an unsealed tail is lost."
_WAL = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")  # how a write-ahead log of SQLite begins
_CHUNK = 500  # values in one IN list
_CHECKPOINT = 1000  # pages; while the write-ahead log still grows a commit takes 0.3 ms, in one that is used again 0.18


@dataclass(frozen=True, slots=True)
class State:
    """The journal's one row of facts about the log."""

    head: int
    sealed: int
    recorded_at: int
    registry: int
    pending: str | None


class Journal:
    """A connection to the journal, for one thread at a time; ``lock`` keeps the others out.

    What is written without ``durable`` may be undone by a power failure, until something durable is written after it.
    """

    def __init__(self, path: Path, *, read_only: bool = False, durable: bool = True) -> None:
        self.path = path
        self.read_only = read_only
        self.lock = threading.RLock()
        if not path.is_file():
            raise StoreCorrupt(
                f"the journal is missing: {path}",
                hint=_REBUILT,
            )
        _check_log(path)
        with translated(path):
            self._connection = _read_only(path) if read_only else _connect(path, durable=durable)
            try:
                self.state()
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            self._connection.close()

    @contextlib.contextmanager
    def write(self) -> Iterator[None]:
        """Hold the write lock; commit at the end, or roll back if the block raises.

        Raises
        ------
        StoreReadOnly, StoreBusy, StoreFull, StoreCorrupt
            If the journal cannot be written.
        """
        if self.read_only:
            raise StoreReadOnly(f"{self.path.parent} is open for reading", hint="Open it without read_only=True.")
        with self.lock, translated(self.path):
            self._connection.execute("begin immediate")
            try:
                yield
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise

    def rows(self, text: str, values: Sequence[object] = ()) -> list[Any]:
        """Run a SELECT and return its rows."""
        with self.lock, translated(self.path):
            return self._connection.execute(text, values).fetchall()

    def execute(self, text: str, values: Sequence[object] = ()) -> None:
        """Run one statement, inside ``write``."""
        self._connection.execute(text, values)

    def execute_many(self, text: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for each row, inside ``write``."""
        self._connection.executemany(text, rows)

    def state(self) -> State:
        """Return what the log has come to."""
        return State(*self.rows("select head, sealed, recorded_at, registry, pending from log")[0])

    def tail(self, after: int, through: int) -> list[tuple[Any, ...]]:
        """Return the rows with ``after < position <= through`` that are still here, in order, as the envelope."""
        return self.rows(SELECT, (after, through))

    def versions(self, streams: Iterable[str]) -> dict[str, int]:
        """Return the version of each stream that exists."""
        return dict(self._among("select stream_id, version from heads where stream_id in ({})", list(streams)))

    def known(self, event_ids: Sequence[str]) -> list[tuple[Any, ...]]:
        """Return the rows of the tail with one of those event ids."""
        return self._among(f"select {', '.join(COLUMNS)} from tail where event_id in ({{}})", event_ids)

    def _among(self, text: str, values: Sequence[str]) -> list[Any]:
        """Return the rows of a SELECT over any number of values of an IN list."""
        found: list[Any] = []
        for start in range(0, len(values), _CHUNK):
            chunk = values[start : start + _CHUNK]
            found += self.rows(text.format(", ".join("?" * len(chunk))), chunk)
        return found

    def definitions(self, after: int = 0) -> list[str]:
        """Return the documents of the definitions beyond the first ``after``, in their order."""
        return [
            document
            for (document,) in self.rows(
                "select document from definitions where registry > ? order by registry", (after,)
            )
        ]

    def checkpoint(self) -> None:
        """Move what is in the write-ahead log into the database, as far as no reader needs it there."""
        self.rows("pragma wal_checkpoint(passive)")


def create(path: Path) -> None:
    """Make the journal of an empty log; harmless where there is one already."""
    with translated(path):
        connection = _connect(path)
        try:
            connection.executescript(SCHEMA)
        finally:
            connection.close()


def _connect(path: Path, *, durable: bool = True) -> sqlite3.Connection:
    """Return a connection that reads and writes."""
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
        connection.execute(f"pragma wal_autocheckpoint = {_CHECKPOINT}")
    except BaseException:
        connection.close()
        raise
    return connection


def _check_log(path: Path) -> None:
    """Refuse a write-ahead log that is none: SQLite would take it for an empty one, and silently lose the tail."""
    wal = path.with_name(f"{path.name}-wal")
    with contextlib.suppress(FileNotFoundError), wal.open("rb") as file:
        begins = file.read(4)
        if any(begins) and begins not in _WAL:  # zeros: the power failed before anything was written for good
            raise StoreCorrupt(
                f"the journal is damaged: {wal} is no write-ahead log of SQLite",
                hint=f"Restore it; or else {_REBUILT}",
            )


def _read_only(path: Path) -> sqlite3.Connection:
    """Return a connection that only reads; from a medium that cannot be written too."""
    uri = path.absolute().as_uri()
    connection = sqlite3.connect(
        f"{uri}?mode=ro", uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("select head from log").fetchall()
    except sqlite3.OperationalError:
        connection.close()
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and wal.stat().st_size:
            raise
        connection = sqlite3.connect(
            f"{uri}?mode=ro&immutable=1", uri=True, isolation_level=None, check_same_thread=False
        )
    return connection


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the store's."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error, path) from error


def _translate(error: sqlite3.Error, path: Path) -> StoreError:
    """Return the store's error for one of SQLite's."""
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return StoreError(f"the log at {path.parent} is closed", hint="Open it again with el.open.")
    name = getattr(error, "sqlite_errorname", "") or ""
    place = path.parent
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreBusy(
            f"another process has kept the lock of {place} for {_PATIENCE:.0f} seconds",
            hint="Try again; nothing was written.",
        )
    if name in {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE"}:
        return StoreFull(f"the disk of {place} is full; nothing was written", hint="Free some space and try again.")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StoreReadOnly(
            f"{place} cannot be written: {error}", hint="Check its permissions, or open it with read_only=True."
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "no such table" in str(error):
        return StoreCorrupt(
            f"the journal is damaged: {path}: {error}",
            hint=_REBUILT,
        )
    return StoreError(f"{path}: {error}", hint="Nothing was written; the store is as it was.")
