"""Where a store keeps what, and its settings: ``store.toml``, written once when the store is made."""

from __future__ import annotations

import datetime as dt
import json
import os
import tomllib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from eventlab import moments
from eventlab.errors import InvalidArgument, StoreCorrupt, StoreNotFound, StoreReadOnly, StoreTooNew
from eventlab.schemas import compatibilities
from eventlab.schemas.folders import folder_name

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
Partition = Literal["month", "day", "year"]
PARTITIONS: dict[str, str] = {"month": "%Y-%m", "day": "%Y-%m-%d", "year": "%Y"}

_OURS = {"store.toml", "journal.sqlite", "events", "schemas", "states", "snapshots", "audit", "reports", "quarantine"}


@dataclass(frozen=True, slots=True)
class Layout:
    """A store's folder and settings.

    Attributes
    ----------
    partition
        How finely the lake is partitioned by ``occurred_at``: ``"month"``, ``"day"`` or ``"year"`` (in UTC).
    timezone
        The zone in which times without an offset are read.
    strict
        Whether an event of a type that nobody defined is refused.
    compatibility
        The mode of compatibility of a type that is defined without one.
    """

    path: Path
    store_id: str
    partition: str
    timezone: str
    strict: bool
    created: str
    compatibility: str = "BACKWARD"

    @property
    def journal(self) -> Path:
        """The SQLite file of the hot tail."""
        return self.path / "journal.sqlite"

    @property
    def lake(self) -> Path:
        """The Delta table of the sealed events."""
        return self.path / "events"

    @property
    def schemas(self) -> Path:
        """The folder of definitions."""
        return self.path / "schemas"

    @property
    def states(self) -> Path:
        """The folder of the texts of states."""
        return self.path / "states"

    @property
    def snapshots(self) -> Path:
        """The folder of snapshots of states; disposable."""
        return self.path / "snapshots"

    @property
    def quarantine(self) -> Path:
        """The folder of rows that bulk loads refused."""
        return self.path / "quarantine"

    @property
    def spill(self) -> Path:
        """The folder for what does not fit into memory, emptied as soon as it is no longer needed."""
        return self.path / ".spill"

    def definition(self, event_type: str, version: int) -> Path:
        """Return the file of one definition of a type."""
        return self.schemas / folder_name(event_type) / f"{version}.json"


def read(path: Path) -> Layout:
    """Return the layout of the store at ``path``.

    Raises
    ------
    StoreNotFound
        If there is none.
    StoreTooNew
        If a later eventlab wrote it.
    StoreCorrupt
        If ``store.toml`` cannot be understood.
    """
    file = path / "store.toml"
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreNotFound(
            f"there is no store at {path}", hint="Make one with el.open(path, create=True) or eventlab init."
        ) from None
    except PermissionError as error:
        raise StoreReadOnly(f"{file} cannot be read: {error}", hint="Check its permissions.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StoreCorrupt(f"{file} is damaged: {error}", hint="Restore this small file from a backup.") from None
    version = settings.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise StoreTooNew(
            f"the store at {path} has format {version}; this eventlab knows formats up to {FORMAT}",
            hint="Install a newer eventlab.",
        )
    try:
        named = {key: settings[key] for key in ("store_id", "partition", "timezone", "strict", "created")}
        layout = Layout(path, **named, compatibility=settings.get("compatibility", "BACKWARD"))
    except KeyError as missing:
        raise StoreCorrupt(f"{file} lacks {missing}", hint="Restore this small file from a backup.") from None
    if layout.partition not in PARTITIONS or version != FORMAT:
        raise StoreCorrupt(f"{file} makes no sense: {settings}", hint="Restore this small file from a backup.")
    return layout


def draft(path: Path, *, partition: str, timezone: str, strict: bool, compatibility: str) -> Layout:
    """Return the layout of a store that is to be made.

    Raises
    ------
    InvalidArgument
        If a setting is not of its form, or the folder holds something else already.
    """
    if partition not in PARTITIONS:
        raise InvalidArgument(f"no partition {partition!r}", hint=f"Choose one of {', '.join(PARTITIONS)}.")
    moments.zone(timezone)
    compatibilities.check_mode(compatibility)
    if path.exists() and not path.is_dir():
        raise InvalidArgument(f"{path} is a file", hint="Give a folder that is empty or does not exist.")
    others = [entry.name for entry in path.iterdir() if entry.name.split("-")[0] not in _OURS] if path.exists() else []
    others = [name for name in others if not name.startswith(".")]
    if others:
        raise InvalidArgument(
            f"{path} holds other things already: {', '.join(sorted(others)[:5])}",
            hint="Give a folder that is empty or does not exist.",
        )
    return Layout(
        path, uuid.uuid4().hex, partition, timezone, strict, dt.datetime.now(dt.UTC).isoformat(), compatibility
    )


def write(layout: Layout) -> Layout:
    """Write ``store.toml``, which makes the folder a store, and return its layout: a rival's if one was faster."""
    text = "".join(
        f"{key} = {json.dumps(value)}\n"
        for key, value in {
            "format": FORMAT,
            "store_id": layout.store_id,
            "partition": layout.partition,
            "timezone": layout.timezone,
            "strict": layout.strict,
            "created": layout.created,
            "compatibility": layout.compatibility,
        }.items()
    )
    write_once(layout.path / "store.toml", text.encode())
    return read(layout.path)


def write_once(file: Path, content: bytes) -> bool:
    """Write a file that must never change, whole or not at all, and flush it; return False if it is there already."""
    if file.exists():
        return False
    make_folder(file.parent)
    temporary = file.with_name(f".{file.name}-{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.link(temporary, file)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    flush(file.parent)
    return True


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, durably; harmless where it is there."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        flush(folder.parent)


def flush(path: Path) -> None:
    """Make a file's content, or a folder's entries, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
