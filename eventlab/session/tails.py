"""The tail as a session sees it: what the journal holds beyond the lake, as small Parquet files with typed columns.

They are of the shape of the lake's own files and are scanned together with them. A table beside the lake would have to be joined to
it by a UNION, below which DuckDB reads a whole STRUCT for one of its fields.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.events import COLUMNS
from eventlab.schemas import columns
from eventlab.store.seals import envelopes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.schemas import Registry

_MANY = 16  # segments that are merged into one


@dataclass(frozen=True, slots=True)
class _Segment:
    """A file of the tail, with its first and last position."""

    path: Path
    first: int
    last: int


class Tail:
    """The segments of the tail. Files that are no longer part of it stay until nothing can be reading them."""

    def __init__(self, connection: queries.Connection) -> None:
        self._connection = connection
        self._name = uuid.uuid4().hex
        self._segments: list[_Segment] = []
        self._replaced: list[Path] = []
        self._free: list[
            Path
        ] = []  # of deleted files, to be used again: DuckDB keeps something for every path it has read
        self._written = 0

    @property
    def paths(self) -> list[str]:
        """The files, in order of position."""
        return [str(segment.path) for segment in self._segments]

    def take(self, rows: Sequence[tuple[Any, ...]], registry: Registry) -> None:
        """Add rows of the journal, which lie beyond all that is here."""
        typed = [
            f"{columns.parsed(registry[name], column)} as {queries.identifier(column)}"
            for name in sorted({row[4] for row in rows})
            for column in registry[name].columns
        ]
        self._connection.register("eventlab_new", envelopes(rows))
        self._add(f"select {', '.join([*COLUMNS, *typed])} from eventlab_new", rows[0][0], rows[-1][0])
        self._connection.unregister("eventlab_new")
        if len(self._segments) > _MANY:
            merged = self._segments
            self._segments = []
            self._add(_scan([segment.path for segment in merged]), merged[0].first, merged[-1].last)
            self._replaced += [segment.path for segment in merged]

    def forget(self, sealed: int) -> None:
        """Drop what the lake holds by now."""
        kept: list[_Segment] = []
        for segment in self._segments:
            if segment.last > sealed:
                kept.append(segment)
            else:
                self._replaced.append(segment.path)
        self._segments = kept
        if kept and kept[0].first <= sealed:
            self._segments = kept[1:]
            self._add(f"{_scan([kept[0].path])} where position > {sealed}", sealed + 1, kept[0].last)
            self._segments.insert(0, self._segments.pop())
            self._replaced.append(kept[0].path)

    def clean_up(self) -> None:
        """Delete the files that are no longer part of the tail; nothing may be reading them."""
        for path in self._replaced:
            path.unlink(missing_ok=True)
        self._free += self._replaced
        self._replaced = []

    @property
    def untidy(self) -> bool:
        """Whether there are files to delete."""
        return bool(self._replaced)

    def _add(self, text: str, first: int, last: int) -> None:
        """Write the rows of a SELECT as one more segment."""
        if self._free:
            path = self._free.pop()
        else:
            self._written += 1
            path = folder(os.getpid()) / f"{self._name}-tail-{self._written}.parquet"
        queries.copy(self._connection, text, path)
        self._segments.append(_Segment(path, first, last))


def _scan(paths: Sequence[Path]) -> str:
    listed = queries.literal([str(path) for path in paths])
    return f"select * from read_parquet({listed}, union_by_name = true, hive_partitioning = false)"


@functools.cache
def folder(process: int) -> Path:
    """Return a folder for the small files that sessions scan, which lasts as long as ``process`` does."""
    made = Path(tempfile.mkdtemp(prefix="eventlab-"))

    def clean_up() -> None:
        if os.getpid() == process:  # not in a forked child
            shutil.rmtree(made, ignore_errors=True)

    atexit.register(clean_up)
    return made
