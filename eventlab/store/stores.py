"""A store: its settings, its journal, its lake and its registry, opened together and kept consistent."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from eventlab import moments, queries
from eventlab.errors import InvalidArgument, StoreCorrupt, StoreReadOnly
from eventlab.events import COLUMNS
from eventlab.schemas import Definition, Registry, StateText
from eventlab.schemas.folders import folder_name
from eventlab.schemas.registry import BACKWARD
from eventlab.store import journals, layouts
from eventlab.store.journals import Journal
from eventlab.store.lakes import Lake, reading, writing
from eventlab.store.presences import Presence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from eventlab.schemas.registry import Entry
    from eventlab.store.journals import State
    from eventlab.store.lakes import Snapshot
    from eventlab.store.layouts import Layout

_HEADS_BEYOND = """
select stream_id, max(version) from {lake} where position > $head group by stream_id
"""
_LAST = "select max(epoch_us(recorded_at)) from {lake} where position > $head"
UPSERT = "insert into heads values (?, ?) on conflict (stream_id) do update set version = excluded.version"


class Store:
    """What all parts of the log share. Threads may share it; processes open their own."""

    def __init__(self, layout: Layout, *, read_only: bool, clock: Callable[[], int]) -> None:
        self.layout = layout
        self.read_only = read_only
        self.clock = clock
        self.zone = moments.zone(layout.timezone)
        self.journal = Journal(layout.journal, read_only=read_only)
        self.lake = Lake(layout.lake, partition=layout.partition)
        self._registry = Registry()
        self._lock = threading.RLock()
        self._lookup: queries.Connection | None = None
        self._filed = 0
        self.presence = Presence(layout.path)
        self._check()

    def close(self) -> None:
        """Close what is open."""
        self.presence.close()
        self.journal.close()
        with self._lock:
            if self._lookup is not None:
                self._lookup.close()
                self._lookup = None

    def check_writable(self) -> None:
        """Raise StoreReadOnly if the store is open for reading, StoreError if it is closed."""
        self.journal.state()
        if self.read_only:
            raise StoreReadOnly(f"{self.layout.path} is open for reading", hint="Open it without read_only=True.")

    def registry(self, version: int | None = None) -> Registry:
        """Return the registry, at least as new as ``version`` (the newest if left out)."""
        with self.journal.lock:  # which a writer holds already when it asks
            if version is None or self._registry.version < version:
                documents = self.journal.definitions(self._registry.version)
                if documents:
                    self._registry = self._registry.adding(*map(_entry, documents))
            return self._registry

    def file_definitions(self) -> None:
        """Write the file of each definition that has none: before the lake holds events that need it."""
        registry = self.registry()
        with writing(self.layout.path):
            for entry in registry.entries[self._filed :]:
                layouts.write_once(*_file(self.layout, entry))
        self._filed = registry.version

    def record_definitions(self, entries: Sequence[Entry]) -> None:
        """Put further entries of the registry into the journal, inside its ``write``."""
        for entry in entries:
            self.journal.execute("insert into definitions values (?, ?)", (entry.registry_version, _text(entry)))
        if entries:
            self.journal.execute("update log set registry = ?", (entries[-1].registry_version,))

    def sealed(self, event_ids: Sequence[str], snapshot: Snapshot) -> list[tuple[Any, ...]]:
        """Return the envelopes (instants in microseconds) of the sealed events with one of those ids.

        They are of the snapshot, or of a newer one where its files are gone by now.
        """
        try:
            return self._sealed(event_ids, snapshot)
        except StoreCorrupt:
            newest = self.lake.snapshot()
            if newest.version == snapshot.version:
                raise
        return self.sealed(event_ids, newest)

    def _sealed(self, event_ids: Sequence[str], snapshot: Snapshot) -> list[tuple[Any, ...]]:
        """Return the envelopes of the events of one snapshot with one of those ids."""
        if not snapshot.files:
            return []
        columns = [f"epoch_us({name}) as {name}" if name.endswith("_at") else name for name in COLUMNS]
        if len(event_ids) <= _FEW:  # a list of literals is what DuckDB takes to a file's Bloom filter
            text = queries.fill(
                "select {columns} from {lake} where event_id in ({ids})",
                columns=columns,
                lake=self.scan(snapshot),
                ids=map(queries.literal, event_ids),
            )
            return self.look_up(text)
        text = queries.fill(
            "select {columns} from {lake} semi join (select unnest($ids) as event_id) using (event_id)",
            columns=columns,
            lake=self.scan(snapshot),
        )
        return self.look_up(text, {"ids": list(event_ids)})

    def scan(self, snapshot: Snapshot) -> str:
        """Return the SQL of the snapshot's files as a relation."""
        paths = queries.literal(self.lake.files(snapshot))
        return f"read_parquet({paths}, union_by_name = true, hive_partitioning = false)"

    def repair(self, state: State, snapshot: Snapshot) -> State:
        """Bring the journal up to the lake, inside the journal's ``write``, and return its state then.

        A bulk load commits to the lake first; if its process died before it told the journal, this tells it.
        """
        if snapshot.sealed > state.head:
            lake, head = self.scan(snapshot), {"head": state.head}
            heads = self.look_up(queries.fill(_HEADS_BEYOND, lake=lake), head)
            ((last,),) = self.look_up(queries.fill(_LAST, lake=lake), head)
            self.journal.execute_many(UPSERT, heads)
            self.journal.execute("delete from tail where position <= ?", (snapshot.sealed,))
            self.journal.execute(
                "update log set head = ?1, sealed = ?1, recorded_at = max(recorded_at, ?2)",
                (snapshot.sealed, last or 0),
            )
        if state.pending is not None:
            self.journal.execute("update log set pending = null")
        return self.journal.state()

    def look_up(self, text: str, params: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the store's own connection."""
        with self._lock:
            if self._lookup is None:
                self._lookup = queries.connect(self.layout.timezone)
            with reading(self.layout.lake):
                return queries.rows(self._lookup, text, params)

    def _check(self) -> None:
        """Repair what a killed process left, and refuse a lake that lacks what the journal knows to be in it."""
        state, snapshot = self.journal.state(), self.lake.snapshot()
        if snapshot.sealed < state.sealed:
            raise StoreCorrupt(
                f"the lake holds the log through {snapshot.sealed}, the journal says through {state.sealed}",
                hint="Restore the folder events/ from a backup.",
            )
        if snapshot.sealed > state.head and not self.read_only:
            with self.journal.write():
                self.repair(self.journal.state(), self.lake.snapshot())


_FEW = 1000  # ids that are looked up one by one


def open_store(
    path: Path,
    *,
    create: bool,
    partition: str | None,
    timezone: str | None,
    strict: bool | None,
    compatibility: str | None = None,
    read_only: bool,
    clock: Callable[[], int] = moments.now,
) -> Store:
    """Return the store at ``path``; make one if ``create`` and there is none.

    Raises
    ------
    StoreNotFound, StoreTooNew, StoreCorrupt, StoreReadOnly
        If it cannot be opened.
    InvalidArgument
        If a setting differs from the one with which the store was made.
    """
    if create and not read_only and not (path / "store.toml").exists():
        made = layouts.draft(
            path,
            partition=partition or "month",
            timezone=timezone or "UTC",
            strict=bool(strict),
            compatibility=compatibility or BACKWARD,
        )
        with writing(path):
            layouts.make_folder(path)
        journals.create(made.journal)
        Lake.create(made.lake, partition=made.partition)
        with writing(path):
            layout = layouts.write(made)
    else:
        layout = layouts.read(path)
    settings = {"partition": partition, "timezone": timezone, "strict": strict, "compatibility": compatibility}
    for name, given in settings.items():
        kept = getattr(layout, name)
        if given is not None and given != kept:
            raise InvalidArgument(
                f"the store at {path} has {name} {kept!r}, not {given!r}",
                hint=f"Leave {name} out: it is settled when a store is made.",
            )
    return Store(layout, read_only=read_only, clock=clock)


def _entry(document: str) -> Entry:
    """Return the entry of the registry that a stored document says."""
    content = json.loads(document)
    return StateText.from_document(content) if "state" in content else Definition.from_document(content)


def _text(entry: Entry) -> str:
    """Return the document of an entry as text."""
    return json.dumps(entry.document(), ensure_ascii=False, indent=2) + "\n"


def _file(layout: Layout, entry: Entry) -> tuple[Path, bytes]:
    """Return the file of an entry and its content: JSON for a type, SQL under a comment for a state."""
    if isinstance(entry, Definition):
        return layout.definition(entry.event_type, entry.version), _text(entry).encode()
    facts = json.dumps({name: value for name, value in entry.document().items() if name != "text"})
    text = f"-- {facts}\n" + ("-- dropped\n" if entry.text is None else f"{entry.text}\n")
    return layout.states / folder_name(entry.state) / f"{entry.version}.sql", text.encode()
