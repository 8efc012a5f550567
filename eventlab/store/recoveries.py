"""Rebuilding the journal from the lake and the files of definitions."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab import moments, queries
from eventlab.displays import Displayed
from eventlab.errors import StoreBusy, StoreCorrupt
from eventlab.store import journals, layouts
from eventlab.store.journals import Journal
from eventlab.store.lakes import Lake, reading, writing
from eventlab.store.presences import Presence
from eventlab.store.stores import UPSERT, Store

if TYPE_CHECKING:
    from pathlib import Path

    from eventlab.store.lakes import Snapshot
    from eventlab.store.layouts import Layout

_HEADS = "select stream_id, max(version), max(epoch_us(recorded_at)) from {lake} group by stream_id"


@dataclass(frozen=True, slots=True)
class Recovery(Displayed):
    """What a recovery found: the events that the log holds now, its last position, and what a person must know."""

    events: int
    position: int
    notes: list[str]


def recover(path: Path) -> Recovery:
    """Make the journal of the store at ``path`` anew if it is missing or damaged.

    A sound journal is left as it is. A damaged one is kept beside the new one, under another name. What a journal alone
    held is lost: the tail that was not sealed, and the checkpoints of subscriptions.

    Raises
    ------
    StoreNotFound, StoreCorrupt
        If there is no store, or the lake or a definition cannot be read either.
    StoreBusy
        If somebody has the store open: what they append to a lost journal would be lost with it.
    """
    layout = layouts.read(path)
    if _is_sound(layout):
        store = Store(layout, read_only=False, clock=moments.now)  # which repairs what a killed process left
        head = store.journal.state().head
        store.close()
        return Recovery(head, head, ["The journal is sound; nothing had to be rebuilt."])
    with contextlib.closing(Presence(path)) as presence:
        if presence.held and not presence.alone():
            raise StoreBusy(
                f"the store at {path} is open in another process, or in this one: it may be writing to the lost journal",
                hint="Close every log on it, and recover then.",
            )
        return _rebuild(path, layout)


def _rebuild(path: Path, layout: Layout) -> Recovery:
    """Build the journal and put it into its place."""
    lake = Lake(layout.lake, partition=layout.partition)
    snapshot = lake.snapshot()
    with writing(path):
        new = path / f".journal-{uuid.uuid4().hex}.sqlite"
        try:
            _build(new, layout, lake, snapshot)
            notes = _put_aside(layout)
            new.replace(layout.journal)
            layouts.flush(path)
        finally:
            new.unlink(missing_ok=True)
    notes.append(f"The log ends at position {snapshot.sealed:,}, as it was sealed: a later tail is lost.")
    notes.append("Subscriptions begin again from the first event.")
    store = Store(layout, read_only=False, clock=moments.now)
    store.close()
    return Recovery(sum(file.rows for file in snapshot.files), snapshot.sealed, notes)


def _is_sound(layout: Layout) -> bool:
    """Tell whether there is a journal that SQLite finds no fault with."""
    if not layout.journal.exists():
        return False
    try:
        journal = Journal(layout.journal)
        try:
            return bool(journal.rows("pragma quick_check(1)")[0][0] == "ok")
        finally:
            journal.close()
    except StoreCorrupt:
        return False


def _build(new: Path, layout: Layout, lake: Lake, snapshot: Snapshot) -> None:
    """Write a whole journal into a file of its own."""
    documents = _documents(layout)
    journals.create(new)
    heads: list[tuple[Any, ...]] = []
    if snapshot.files:
        paths = queries.literal(lake.files(snapshot))
        source = f"read_parquet({paths}, union_by_name = true, hive_partitioning = false)"
        with reading(lake.path), queries.connect(layout.timezone, spill=str(layout.spill)) as connection:
            heads = queries.rows(connection, queries.fill(_HEADS, lake=source))
    with journals.translated(new):
        journal = sqlite3.connect(new, isolation_level=None)
        try:
            journal.execute("begin")
            journal.executemany(UPSERT, ((stream_id, version) for stream_id, version, _ in heads))
            journal.executemany(
                "insert into definitions values (?, ?)", ((d["registry_version"], text) for d, text in documents)
            )
            journal.execute(
                "update log set head = ?1, sealed = ?1, recorded_at = ?2, registry = ?3",
                (snapshot.sealed, max((row[2] for row in heads), default=0), len(documents)),
            )
            journal.execute("commit")
            journal.execute("pragma wal_checkpoint(truncate)")
            journal.execute("pragma journal_mode = delete")  # one file, which a rename moves whole
        finally:
            journal.close()
    layouts.flush(new)


def _documents(layout: Layout) -> list[tuple[dict[str, Any], str]]:
    """Return the documents of all definitions in the order in which they came, with their texts."""
    found = []
    for file in (*layout.schemas.glob("*/*.json"), *layout.states.glob("*/*.sql")):
        content = file.read_text(encoding="utf-8")
        try:
            document = json.loads(content) if file.suffix == ".json" else _state(content)
        except (ValueError, KeyError) as error:
            raise StoreCorrupt(f"{file} is damaged: {error}", hint="Restore this file from a backup.") from None
        found.append((document, json.dumps(document, ensure_ascii=False)))
    found.sort(key=lambda pair: pair[0]["registry_version"])
    numbers = [document["registry_version"] for document, _ in found]
    if numbers != list(range(1, len(numbers) + 1)):
        raise StoreCorrupt(
            f"{layout.schemas} and {layout.states} lack definitions: they have the numbers {numbers}",
            hint="Restore these folders from a backup.",
        )
    return found


def _state(content: str) -> dict[str, Any]:
    """Return the document of a state's text from its file."""
    facts, _, text = content.partition("\n")
    document: dict[str, Any] = json.loads(facts.removeprefix("-- "))
    return {**document, "text": None if text == "-- dropped\n" else text.removesuffix("\n")}


def _put_aside(layout: Layout) -> list[str]:
    """Rename the files of a damaged journal, and return what to tell of it."""
    notes = []
    aside = f"journal.sqlite-damaged-{uuid.uuid4().hex[:8]}"
    for suffix in ("-shm", "-wal", ""):
        file = layout.journal.with_name(f"{layout.journal.name}{suffix}")
        if file.exists():
            kept = layout.path / f"{aside}{suffix}"
            file.replace(kept)
            if not suffix:
                notes.append(f"The damaged journal is kept as {kept.name}.")
    return notes
