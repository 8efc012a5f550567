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
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.session import Scope
from eventlab.states import folds
from eventlab.store.layouts import folder_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from eventlab.schemas import Registry
    from eventlab.states.splits import Split

EVERY = 100_000  # events folded on top of a snapshot that make the next one worthwhile
MOST = 12  # snapshots that are kept of one state
_NAME = re.compile(r"p(\d+)-t(-?\d+|open)-n(\d+)\.duckdb")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot's file, the rectangle that it covers, and how many events are folded in it."""

    path: Path
    scope: Scope
    events: int

    def known(self, scope: Scope) -> Scope:
        """Return what need not be folded again within ``scope``; by position alone where it has all events up to one."""
        prefix = self.events == self.scope.position and scope.at is None
        return Scope(position=self.scope.position) if prefix else self.scope

    @property
    def position(self) -> int:
        """Up to which position it goes."""
        return self.scope.position or 0


def folder(root: Path, name: str, split: Split, registry: Registry) -> Path:
    """Return the folder of the snapshots of a state as it is defined now and as its events are typed now."""
    text = folds.partial(split, Scope())
    lowered = text.lower()
    used = [(t.name, t.latest.column, t.latest.document()["fields"]) for t in registry if t.name.lower() in lowered]
    key = json.dumps([text, used, queries.version()], sort_keys=True)
    return root / folder_name(name) / hashlib.sha256(key.encode()).hexdigest()[:24]


def found(place: Path) -> list[Snapshot]:
    """Return the snapshots in a folder, in order of position."""
    snapshots = []
    for path in place.glob("*.duckdb"):
        parts = _NAME.fullmatch(path.name)
        if parts:
            at = None if parts[2] == "open" else int(parts[2])
            snapshots.append(Snapshot(path, Scope(at, int(parts[1])), int(parts[3])))
    return sorted(snapshots, key=lambda snapshot: (snapshot.position, snapshot.events))


def best(snapshots: Sequence[Snapshot], scope: Scope) -> Snapshot | None:
    """Return the snapshot inside ``scope`` with the most events in it; None if there is none."""
    inside = [snapshot for snapshot in snapshots if scope.covers(snapshot.scope)]
    return max(inside, key=lambda snapshot: snapshot.events, default=None)


def write(connection: queries.Connection, partials: str, place: Path, scope: Scope, events: int) -> None:
    """Write the relation ``partials`` as a snapshot: under another name first, so that none is ever half there."""
    place.mkdir(parents=True, exist_ok=True)
    at = "open" if scope.at is None else scope.at
    target = place / f"p{scope.position}-t{at}-n{events}.duckdb"
    temporary = place / f".{uuid.uuid4().hex}"
    alias = queries.identifier(f"eventlab_{temporary.name[1:]}")
    try:
        connection.execute(f"attach {queries.literal(str(temporary))} as {alias}")
        try:
            connection.execute(f"create table {alias}.state as from {partials}")
        finally:
            connection.execute(f"detach {alias}")
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
        temporary.with_name(f"{temporary.name}.wal").unlink(missing_ok=True)
    _thin(place)


def attach(connection: queries.Connection, snapshot: Snapshot, columns: int) -> str | None:
    """Attach a snapshot and return its relation; None, and the file is gone, if it cannot be read."""
    alias = queries.identifier(f"eventlab_{hashlib.sha256(str(snapshot.path).encode()).hexdigest()[:16]}")
    try:
        connection.execute(f"attach if not exists {queries.literal(str(snapshot.path))} as {alias} (read_only)")
        if len(connection.sql(f"from {alias}.state").columns) == columns:
            return f"{alias}.state"
    except queries.DuckDBError:
        pass  # damaged or of another version: it is rebuilt from the log
    with contextlib.suppress(queries.DuckDBError):
        connection.execute(f"detach {alias}")
    snapshot.path.unlink(missing_ok=True)
    return None


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
