"""Sealing: the tail of the journal becomes files of the lake; and compaction: small files become large ones.

A seal commits to the lake first and deletes from the journal after. The lake's own word says through which position it
holds the log, so whoever reads between the two steps, or after a crash between them, sees each event once.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from eventlab import queries
from eventlab.displays import Displayed
from eventlab.errors import EventlabError
from eventlab.events import ENVELOPE
from eventlab.store.journals import Journal
from eventlab.store.lakes import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventlab.store.lakes import LakeFile, Snapshot
    from eventlab.store.stores import Store

SEAL_AT = 10_000  # events in the tail that make a writing process seal in the background
SEAL_ON_CLOSE = 1_000  # events in the tail that make closing seal them
_SMALL = 64_000_000  # bytes under which a file is worth merging
_MANY = 24  # small files of one partition and group that make a background seal merge them
_SLICE = 200  # rows that are read or deleted at once, so that no append waits long
_PAUSE = 0.001  # seconds between two deletions, in which those who wait for the journal get it
_LEASE = 60_000_000  # microseconds after which a lease of a killed process is void
_MEMORY = "1GB"
_KEPT = 24  # hours for which a replaced file is left to those who may still read it


@dataclass(frozen=True, slots=True)
class Compaction(Displayed):
    """What a compaction did: the files before and after, and the replaced files that a vacuum deleted."""

    files_before: int
    files_after: int
    vacuumed: int


def seal(store: Store) -> int:
    """Move the tail into the lake, and return the position through which the lake holds the log.

    Events that are appended meanwhile stay in the tail.

    Raises
    ------
    StoreReadOnly, StoreFull
        If the lake cannot be written; the tail stays where it is.
    """
    store.check_writable()
    while True:
        state = store.journal.state()
        if state.pending is not None:
            with store.journal.write():
                store.repair(store.journal.state(), store.lake.snapshot())
            continue
        base = store.lake.snapshot()
        if state.head <= base.sealed:
            _forget(store, base.sealed)
            return base.sealed
        try:
            _seal_through(store, state.head, base)
        except Conflict:
            continue
        _forget(store, state.head)
        with contextlib.closing(Journal(store.layout.journal)) as beside:
            beside.checkpoint()
        return state.head


def _seal_through(store: Store, head: int, base: Snapshot) -> None:
    """Write and commit the events beyond the lake through ``head``."""
    with contextlib.closing(Journal(store.layout.journal)) as beside:  # appends go on meanwhile
        tail = tail_table(beside, base.sealed, head)
    if tail.num_rows != head - base.sealed:  # another process sealed between our looks at the journal and at the lake
        raise Conflict
    store.file_definitions()
    with queries.connect(store.layout.timezone, memory=_MEMORY, spill=str(store.layout.spill)) as connection:
        connection.execute("set threads = 1")  # leave the cores to those who append and read
        connection.register("sealing", tail)
        written = store.lake.write(connection, "sealing", store.registry())
        store.lake.seal(written, sealed=head, base=base)


def tail_table(journal: Journal, after: int, through: int) -> pa.Table:
    """Return the tail's rows with ``after < position <= through`` as an Arrow table of the envelope."""
    batches = []
    for start in range(after, through, _SLICE):
        rows = journal.tail(start, min(start + _SLICE, through))
        if rows:
            batches.append(envelopes(rows))
    return pa.Table.from_batches(batches, ENVELOPE)


def envelopes(rows: Sequence[tuple[object, ...]]) -> pa.RecordBatch:
    """Return rows of the journal as a record batch of the envelope."""
    values = zip(*rows, strict=True)
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(values, ENVELOPE, strict=True)], schema=ENVELOPE
    )


def _forget(store: Store, sealed: int) -> None:
    """Delete from the journal what the lake holds, a slice at a time.

    Not durably: the lake's word holds, so rows that a power failure brings back count for nothing and go with the next seal.
    """
    with contextlib.closing(Journal(store.layout.journal, durable=False)) as beside:
        first = beside.rows("select min(position) from tail")[0][0]
        while first is not None and first <= sealed:
            first = min(first + _SLICE, sealed + 1)
            _note_sealed(store, beside, first - 1)
            time.sleep(_PAUSE)
        if beside.state().sealed < sealed:
            _note_sealed(store, beside, sealed)


def _note_sealed(store: Store, beside: Journal, sealed: int) -> None:
    """Delete the rows through ``sealed``, while no append of this process waits in vain for SQLite's own lock."""
    with store.journal.lock, beside.write():
        beside.execute("delete from tail where position <= ?", (sealed,))
        beside.execute("update log set sealed = max(sealed, ?)", (sealed,))


def compact(store: Store, *, at_least: int = 2) -> tuple[int, int]:
    """Merge the small files of each partition and group where there are ``at_least`` so many; return files before, after.

    Events, positions and proofs stay as they are. Replaced files stay on disk until a vacuum.
    """
    store.check_writable()
    before = len(store.lake.snapshot().files)
    for key in {(file.partition, file.group) for file in store.lake.snapshot().files}:
        while True:
            base = store.lake.snapshot()
            small = [file for file in base.files if (file.partition, file.group) == key and file.size < _SMALL]
            if len(small) < at_least:
                break
            with contextlib.suppress(Conflict):
                _merge(store, small, base)
                break
    return before, len(store.lake.snapshot().files)


def _merge(store: Store, small: Sequence[LakeFile], base: Snapshot) -> None:
    """Replace files by one."""
    with queries.connect(store.layout.timezone, memory=_MEMORY, spill=str(store.layout.spill)) as connection:
        new = store.lake.rewrite(connection, small)
    store.lake.replace(small, [new], base=base)


def vacuum(store: Store, *, pinned: bool) -> int:
    """Delete replaced files, and return how many; of those that a reader may still hold only the ones of days ago.

    Parameters
    ----------
    pinned
        Whether relations of this process may still read replaced files.
    """
    store.check_writable()
    alone = not pinned and store.presence.alone()
    return store.lake.vacuum(hours=0 if alone else _KEPT)


class Sealer:
    """Seals beside appends: a background thread that starts when the tail has grown to ``at`` events."""

    def __init__(self, store: Store, *, at: int = SEAL_AT) -> None:
        self._store = store
        self._at = at
        self._wake = threading.Event()
        self._closing = False
        self._appended = False
        self._thread: threading.Thread | None = None
        self._owner = uuid.uuid4().hex
        self._sealed = store.lake.snapshot().sealed
        self.failure: EventlabError | None = None

    def appended(self, head: int) -> None:
        """Take notice of an append."""
        self._appended = True
        if head - self._sealed < self._at or self._wake.is_set():
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="eventlab-seal", daemon=True)
            self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """Finish what is under way, and seal a long tail."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        state = self._store.journal.state()
        if self._appended and state.head - state.sealed >= SEAL_ON_CLOSE:
            self._seal()

    def _run(self) -> None:
        """Seal whenever there is enough, until closed."""
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._closing:
                return
            self._seal()
            # what could not be sealed now is tried again when the tail has grown somewhat further
            self._sealed = max(self._store.lake.snapshot().sealed, self._sealed + self._at // 10)

    def _seal(self) -> None:
        """Seal, unless another process does. A failure is kept: the events are safe in the journal, and info() tells it."""
        try:
            with lease(self._store, self._owner) as ours:
                if ours:
                    seal(self._store)
                    compact(self._store, at_least=_MANY)
            self.failure = None
        except EventlabError as error:
            self.failure = error


@contextlib.contextmanager
def lease(store: Store, owner: str) -> Iterator[bool]:
    """Yield whether ``owner`` is the one process that seals in the background now."""
    now = store.clock()
    with store.journal.write():
        taken = store.journal.rows("select until from leases where name = 'seal' and owner != ?", (owner,))
        ours = not taken or taken[0][0] < now
        if ours:
            store.journal.execute("insert or replace into leases values ('seal', ?, ?)", (owner, now + _LEASE))
    try:
        yield ours
    finally:
        if ours:
            with store.journal.write():
                store.journal.execute("delete from leases where name = 'seal' and owner = ?", (owner,))
