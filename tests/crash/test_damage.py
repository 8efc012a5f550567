"""Full disks, media that cannot be written, files that are missing or damaged: one clear error, and it goes on after."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import invariants
import pytest
from scenarios import load, write

import eventlab as el
from eventlab.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def nobody(_group: str) -> None:
    """Hear that a group was acknowledged."""


def mount(*arguments: object) -> None:
    """Mount something, or skip the test where that is not allowed."""
    done = subprocess.run(["/bin/mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mount is refused here: {done.stderr.strip()}")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of a few megabytes."""
    if os.geteuid():
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "small"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", folder)
    yield folder
    subprocess.run(["/bin/umount", "-l", folder], check=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a store with sealed events in two files, and a tail."""
    path = tmp_path / "store"
    with el.open(path, create=True) as log:
        write(log, nobody, "one")
        log.seal()
        write(log, nobody, "two", kind="Other")
        log.seal()
        write(log, nobody, "three")
    return path


def fill(folder: Path) -> Path:
    """Take all the space of a disk, and return the file that has it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


def test_a_full_disk_refuses_what_is_new_and_keeps_what_was_acknowledged(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Append, seal, load and compact say StoreFull; what was acknowledged stays, and all goes on when there is space."""
    path = small / "store"
    told: list[str] = []
    with el.open(path, create=True) as log:
        for number in range(3):
            write(log, told.append, f"before{number}", kind=f"Kind{number}")
            log.seal()
        write(log, told.append, "tail")
        ballast = fill(small)
        with pytest.raises(el.StoreFull, match="full") as full:
            for number in range(5000):
                write(log, told.append, f"during{number}", size=20)
        assert full.value.hint
        works: list[Callable[[], object]] = [log.seal, log.compact, lambda: load(log, nobody, "load", size=3000)]
        for work in works:
            with pytest.raises(el.StoreFull, match="full"):
                work()
            invariants.check_log(log, groups=told)
        for arguments in (["seal", str(path)], ["compact", str(path)]):
            capsys.readouterr()
            assert main(arguments) == 1
            assert "full" in capsys.readouterr().err
        ballast.unlink()
        write(log, told.append, "after")
        log.seal()
        load(log, told.append, "load", size=3000)
        log.compact(vacuum=True)
        invariants.check_log(log, groups=told)
    invariants.check(path, groups=told)


def test_a_disk_that_fills_within_a_load_leaves_nothing_of_it(small: Path) -> None:
    """A load that needs more space than there is adds nothing and leaves no file; the next one works."""
    path = small / "store"
    told: list[str] = []
    with el.open(path, create=True) as log:
        write(log, told.append, "one")
        (small / "ballast").write_bytes(bytes(6_500_000))
        files = set(path.glob("events/**/*.parquet"))
        rows = [{"n": n, "text": os.urandom(300).hex()} for n in range(10_000)]
        with pytest.raises(el.StoreFull, match="full"):
            log.ingest(rows, event_type="'Big'", stream_id="'b-1'", progress=False)
        assert set(path.glob("events/**/*.parquet")) == files
        (small / "ballast").unlink()
        load(log, told.append, "load")
    invariants.check(path, groups=told)


@pytest.fixture
def sealed_medium(path: Path, tmp_path: Path) -> Iterator[Path]:
    """Put the store on a medium that cannot be written."""
    if os.geteuid():
        pytest.skip("only root can mount a medium that cannot be written")
    folder = tmp_path / "medium"
    folder.mkdir()
    mount("--bind", path, folder)
    try:
        mount("-o", "remount,bind,ro", folder)
        yield folder
    finally:
        subprocess.run(["/bin/umount", "-l", folder], check=True)


def test_a_medium_that_cannot_be_written_can_be_read(sealed_medium: Path, path: Path) -> None:
    """For reading it opens and answers; writing and opening for writing say StoreReadOnly."""
    with el.open(sealed_medium, read_only=True) as log:
        invariants.check_log(log, groups=["one", "two", "three"])
        with pytest.raises(el.StoreReadOnly):
            write(log, nobody, "four")
        for work in (log.seal, log.compact):
            with pytest.raises(el.StoreReadOnly):
                work()
    with pytest.raises(el.StoreReadOnly) as refused, el.open(sealed_medium) as log:
        write(log, nobody, "four")
    assert refused.value.hint
    invariants.check(path, groups=["one", "two", "three"])


def test_a_lake_that_cannot_be_written_keeps_the_tail(path: Path) -> None:
    """A seal into a folder that takes no files fails with a clear error, does not try for ever, and works afterwards."""
    frozen = path / "events" / "_delta_log"
    done = subprocess.run(["/usr/bin/env", "chattr", "+i", frozen], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("chattr +i is refused here")
    try:
        with el.open(path) as log:
            for work in (log.seal, log.compact, lambda: load(log, nobody, "load")):
                with pytest.raises(el.StoreError) as refused:
                    work()
                assert refused.value.hint
            invariants.check_log(log, groups=["three"])
    finally:
        subprocess.run(["/usr/bin/env", "chattr", "-i", frozen], check=True)
    with el.open(path) as log:
        log.seal()
        load(log, nobody, "load")
    invariants.check(path, groups=["one", "two", "three", "load"])


def gone(file: Path) -> None:
    """Take a file or folder away."""
    shutil.rmtree(file) if file.is_dir() else file.unlink()


def truncated(file: Path) -> None:
    """Cut a file in half."""
    os.truncate(file, file.stat().st_size // 2)


def emptied(file: Path) -> None:
    """Cut a file to nothing."""
    os.truncate(file, 0)


def garbled(file: Path) -> None:
    """Overwrite a file with what makes no sense."""
    file.write_bytes(b"\xffgarbage\x00" * 200)


def newer(file: Path) -> None:
    """Say that a later version wrote the store."""
    file.write_text(file.read_text().replace("format = 1", "format = 2"))


@pytest.mark.parametrize(
    ("file", "harm", "error"),
    [
        ("store.toml", gone, el.StoreNotFound),
        ("store.toml", truncated, el.StoreCorrupt),
        ("store.toml", emptied, el.StoreCorrupt),
        ("store.toml", garbled, el.StoreCorrupt),
        ("store.toml", newer, el.StoreTooNew),
        ("journal.sqlite", gone, el.StoreCorrupt),
        ("journal.sqlite", truncated, el.StoreCorrupt),
        ("journal.sqlite", emptied, el.StoreCorrupt),
        ("journal.sqlite", garbled, el.StoreCorrupt),
        ("events", gone, el.StoreCorrupt),
        ("events/_delta_log", gone, el.StoreCorrupt),
        ("events/_delta_log/00000000000000000000.json", gone, el.StoreCorrupt),
        ("events/_delta_log/00000000000000000001.json", gone, el.StoreCorrupt),
        ("events/_delta_log/00000000000000000001.json", garbled, el.StoreCorrupt),
        ("events/_delta_log/00000000000000000003.json", gone, el.StoreCorrupt),
        ("events/_delta_log/00000000000000000003.json", truncated, el.StoreCorrupt),
        ("events/_delta_log/00000000000000000004.json", gone, el.StoreCorrupt),
        ("events/_delta_log/00000000000000000004.json", truncated, el.StoreCorrupt),
        ("events/_delta_log/00000000000000000004.json", emptied, el.StoreCorrupt),
        ("events/_delta_log/00000000000000000004.json", garbled, el.StoreCorrupt),
        ("events/month=*/*.parquet", gone, el.StoreCorrupt),
        ("events/month=*/*.parquet", truncated, el.StoreCorrupt),
        ("events/month=*/*.parquet", emptied, el.StoreCorrupt),
        ("events/month=*/*.parquet", garbled, el.StoreCorrupt),
    ],
)
@pytest.mark.parametrize("read_only", [False, True], ids=["writing", "reading"])
def test_a_missing_or_damaged_file_is_named_and_the_store_opens_again_when_it_is_back(
    path: Path, tmp_path: Path, file: str, harm: Callable[[Path], None], error: type[el.EventlabError], read_only: bool
) -> None:
    """One clear error with a hint, from opening or from the first read, and nothing is made worse."""
    backup = tmp_path / "backup"
    shutil.copytree(path, backup)
    found = min(path.glob(file))
    harm(found)
    with pytest.raises(error) as raised, el.open(path, read_only=read_only) as log:
        list(log.read())
    assert raised.value.hint
    assert len(raised.value.message.splitlines()) == 1
    name = found.relative_to(path)
    gone(found) if found.exists() else None
    shutil.copytree(backup / name, found) if (backup / name).is_dir() else shutil.copy2(backup / name, found)
    invariants.check(path, groups=["one", "two", "three"])


@pytest.mark.parametrize("harm", [gone, truncated, garbled])
@pytest.mark.parametrize("work", ["sql", "retry", "load", "compact", "info", "recover"])
def test_whatever_needs_a_damaged_file_of_the_lake_names_it(
    path: Path, harm: Callable[[Path], None], work: str
) -> None:
    """Every operation that reads a Parquet file says StoreCorrupt when it cannot; appending goes on."""
    harm(min(path.glob("events/month=*/*.parquet")))
    if work == "recover":
        gone(path / "journal.sqlite")
        with pytest.raises(el.StoreCorrupt):
            el.recover(path)
        return
    with el.open(path) as log:
        log.append("x-1", el.Event("Added", {"n": 5, "Added": "x"}))
        works: dict[str, Callable[[], object]] = {
            "sql": lambda: log.sql("from events").fetchall(),
            "retry": lambda: write(log, nobody, "one"),
            "load": lambda: load(log, nobody, "load"),
            "compact": log.compact,
            "info": log.info,
        }
        with pytest.raises(el.StoreCorrupt) as raised:
            works[work]()
        assert raised.value.hint


def test_a_write_ahead_log_of_garbage_is_refused_and_nothing_is_lost_when_it_is_back(tmp_path: Path) -> None:
    """SQLite would take it for an empty one, and the acknowledged tail would be gone without a word."""
    path, crashed = tmp_path / "store", tmp_path / "crashed"
    with el.open(path, create=True) as log:
        write(log, nobody, "one")
        log.seal()
        write(log, nobody, "two")
        shutil.copytree(path, crashed)  # as a killed process leaves it: with a write-ahead log
    wal = crashed / "journal.sqlite-wal"
    kept = wal.read_bytes()
    garbled(wal)
    for read_only in (False, True):
        with pytest.raises(el.StoreCorrupt, match="damaged") as raised:
            el.open(crashed, read_only=read_only)
        assert "recover" in raised.value.hint
    wal.write_bytes(kept)
    invariants.check(crashed, groups=["one", "two"])


@pytest.mark.parametrize("harm", [gone, truncated, emptied, garbled])
def test_recovery_gives_the_same_log_when_all_was_sealed(path: Path, harm: Callable[[Path], None]) -> None:
    """After a seal the journal can be lost: events, heads, registry and basis tokens are the same, and appending goes on."""
    with el.open(path) as log:
        log.seal()
        before = list(log.read())
        basis = log.at().basis
        rows = log.sql("from events order by position").fetchall()
        types = log.sql("from event_types").fetchall()
        streams = log.sql("from streams order by stream_id").fetchall()
    harm(path / "journal.sqlite")
    found = el.recover(path)
    assert (found.events, found.position) == (9, 9)
    assert invariants.check(path, groups=["one", "two", "three"]) == before
    with el.open(path) as log:
        assert log.at().basis == basis
        assert log.sql("from events order by position").fetchall() == rows
        assert log.sql("from event_types").fetchall() == types
        assert log.sql("from streams order by stream_id").fetchall() == streams
        write(log, nobody, "four", kind="Other")
        with pytest.raises(el.WrongExpectedVersion):
            log.append("a-1", el.Event("Added", {}), expected_version=9)
        assert log.append("a-1", el.Event("New", {"x": 1}), expected_version=12).version == 13
        log.seal()
    invariants.check(path, groups=["one", "four"])


def test_recovery_leaves_a_sound_journal_as_it_is(path: Path) -> None:
    """A recovery that nothing calls for loses nothing, the tail least of all."""
    assert el.recover(path).position == 9
    invariants.check(path, groups=["one", "two", "three"])
    with contextlib.closing(sqlite3.connect(path / "journal.sqlite")) as journal:
        assert journal.execute("select count(*) from tail").fetchone() == (3,)
