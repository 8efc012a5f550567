"""Snapshots: the partial aggregates of a state as of a rectangle of the log, kept in files that can be thrown away.

A snapshot covers the events that occurred by T among the first P positions. It may serve any question whose own rectangle
covers it; what is folded on top is the difference. A file is a DuckDB database, since only DuckDB's own format holds partial
aggregates as they are; it is bound to the state's text, the definitions it reads, and DuckDB's version.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import time
import uuid
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.schemas.folders import folder_name
from eventlab.session import Scope
from eventlab.states import folds

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from eventlab.schemas import Registry
    from eventlab.states.splits import Split

EVERY = 100_000  # events folded on top of a snapshot that make the next one worthwhile
MOST = 12  # snapshots that are kept of one state
_FOLDERS = 4  # texts and typings of one state of which snapshots are kept
_ABANDONED = 3600  # seconds after which a file that is half written is of a process that died
_NAME = re.compile(r"p(\d+)-t(-?\d+|open)-n(\d+)-([0-9a-f]{8})\.duckdb")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot's file, the rectangle that it covers, how many events are folded in it, and the file's CRC-32."""

    path: Path
    scope: Scope
    events: int
    checksum: str

    @property
    def seen(self) -> Scope:
        """What need not be folded again: where all of the first events are in it, those by position alone."""
        return Scope(position=self.position) if self.events == self.position else self.scope

    @property
    def position(self) -> int:
        """Up to which position it goes."""
        return self.scope.position or 0


def folder(root: Path, name: str, split: Split, registry: Registry) -> Path:
    """Return the folder of the snapshots of a state as it is defined now and as its events are typed now."""
    text = folds.partial(split, Scope())
    lowered = text.lower()
    used = [
        (t.name, t.latest.column, t.latest.document()["fields"], [(d.version, d.upcast) for d in t.upcasts])
        for t in registry
        if queries.identifier(t.name)[1:-1].lower() in lowered
    ]
    key = json.dumps([text, used, queries.version()], sort_keys=True)
    return root / folder_name(name) / hashlib.sha256(key.encode()).hexdigest()[:24]


def found(place: Path) -> list[Snapshot]:
    """Return the snapshots in a folder, in order of position."""
    snapshots = []
    for path in place.glob("*.duckdb"):
        parts = _NAME.fullmatch(path.name)
        if parts:
            at = None if parts[2] == "open" else int(parts[2])
            snapshots.append(Snapshot(path, Scope(at, int(parts[1])), int(parts[3]), parts[4]))
    return sorted(snapshots, key=lambda snapshot: (snapshot.position, snapshot.events))


def best(snapshots: Iterable[Snapshot], scope: Scope) -> Snapshot | None:
    """Return the snapshot inside ``scope`` with the most events in it; None if there is none."""
    inside = [snapshot for snapshot in snapshots if scope.covers(snapshot.scope)]
    return max(inside, key=lambda snapshot: snapshot.events, default=None)


def loaded(
    connection: queries.Connection, place: Path, scope: Scope, split: Split, *, tidy: bool
) -> tuple[Snapshot, str] | None:
    """Attach the best snapshot inside ``scope`` that can be read, and return it and its relation; None if there is none.

    ``tidy``: whether those that cannot be read may be dropped.
    """
    left = found(place)
    while (base := best(left, scope)) is not None:
        relation = attach(connection, base, split)
        if relation is not None:
            return base, relation
        left.remove(base)
        if tidy:
            with contextlib.suppress(OSError):
                base.path.unlink(missing_ok=True)
    return None


def write(connection: queries.Connection, partials: str, place: Path, scope: Scope, events: int) -> None:
    """Write the relation ``partials`` as a snapshot: under another name first, so that none is ever half there."""
    place.mkdir(parents=True, exist_ok=True)
    temporary = place / f".{uuid.uuid4().hex}"
    alias = queries.identifier(f"eventlab_{temporary.name[1:]}")
    try:
        with queries.explained():
            connection.execute(f"attach {queries.literal(str(temporary))} as {alias}")
            try:
                connection.execute(f"create table {alias}.state as from {partials}")
            finally:
                connection.execute(f"detach {alias}")
        name = f"p{scope.position}-t{'open' if scope.at is None else scope.at}-n{events}"
        target = place / f"{name}-{_checksum(temporary)}.duckdb"
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
        temporary.with_name(f"{temporary.name}.wal").unlink(missing_ok=True)
    for path in set(place.glob(f"{name}-*.duckdb")) - {target}:  # another process took the same
        path.unlink(missing_ok=True)
    _thin(place)
    _clear(place)


def attach(connection: queries.Connection, snapshot: Snapshot, split: Split) -> str | None:
    """Attach a snapshot and return its relation; None if it cannot be read."""
    path = snapshot.path
    name = f"eventlab_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    alias = queries.identifier(name)
    columns = [
        f"{kind}{number}"
        for kind, parts in (("k", split.keys), ("a", split.aggregates))
        for number in range(len(parts))
    ]
    try:
        there = queries.rows(connection, "from duckdb_databases() where database_name = $name", {"name": name})
        if there or _checksum(path) == snapshot.checksum:  # DuckDB is given no damaged file: it may crash on one
            connection.execute(f"attach if not exists {queries.literal(str(path))} as {alias} (read_only)")
            if connection.sql(f"from {alias}.state").columns == columns:
                return f"{alias}.state"
            connection.execute(f"detach {alias}")
    except (queries.DuckDBError, OSError):
        pass  # of another version, or gone: it is rebuilt from the log
    return None


def _checksum(path: Path) -> str:
    """Return the CRC-32 of a file, in hexadecimal digits."""
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return f"{checksum:08x}"


def _thin(place: Path) -> None:
    """Drop snapshots beyond the most that are kept: those whose neighbours lie nearest, counted from the newest."""
    snapshots = found(place)
    while len(snapshots) > MOST:
        newest = snapshots[-1].position
        gaps = [
            (snapshots[i + 1].position - snapshots[i - 1].position) / (newest - snapshots[i - 1].position + 1)
            for i in range(1, len(snapshots) - 1)
        ]
        dropped = snapshots.pop(1 + gaps.index(min(gaps)))
        dropped.path.unlink(missing_ok=True)


def _clear(place: Path) -> None:
    """Drop what processes that died left half written, and the snapshots of texts and typings that are long gone."""
    for path in place.glob(".*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()
    with contextlib.suppress(OSError):
        folders = sorted(place.parent.iterdir(), key=lambda folder: folder.stat().st_mtime)
        for old in folders[:-_FOLDERS]:
            shutil.rmtree(old, ignore_errors=True)
