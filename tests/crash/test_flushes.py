"""A power failure: what an operation rests on has been flushed when it returns, by the system calls that it made."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from scenarios import SCENARIOS, copied

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Forks, Step

_DERIVED = ("-shm", ".readers", ".readers-probe", "_last_checkpoint", "_last_checkpoint#1", "journal.sqlite-journal")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_a_commit_rests_on_is_flushed_before_the_journal_relies_on_it(
    forks: Forks, tmp_path: Path, scenario: str
) -> None:
    """Files, their names and the folders above them are flushed before the next commit of the journal, and at the end."""
    base, path = tmp_path / "base", tmp_path / "store"
    SCENARIOS[scenario].prepare(base, lambda _group: None)
    copied(base, path)
    known = {f"/{file.relative_to(path)}" for file in path.rglob("*")} if path.exists() else set()
    unflushed = _Unflushed(known)
    for step in forks.steps(scenario, path):
        if (step.what, step.file) == ("fsync", "/journal.sqlite-wal"):
            assert not unflushed.lake(), step
        unflushed.see(step)
    assert not unflushed.names
    assert not unflushed.contents


class _Unflushed:
    """The files whose content, and the folders whose entries, a power failure could take away."""

    def __init__(self, known: set[str]) -> None:
        self.known = known
        self.contents: set[str] = set()
        self.names: set[str] = set()  # of folders

    def lake(self) -> set[str]:
        """Return what the journal relies on when it forgets events: the lake and the definitions."""
        return {file for file in self.contents | self.names if file.startswith(("/events", "/schemas"))}

    def see(self, step: Step) -> None:
        """Take note of a step."""
        file = step.file
        if file.endswith(_DERIVED) or file.startswith("/.spill"):
            return
        match step.what:
            case "fsync":
                self.contents.discard(file)
                self.names.discard(file)
            case "open" | "mkdir" | "link" | "rename" if file not in self.known:
                self.known.add(file)
                self.names.add(str(PurePosixPath(file).parent) if file.count("/") > 1 else "")
                if step.former in self.contents:
                    self.contents = (self.contents - {step.former}) | {file}
            case "write" | "pwrite" | "writev" | "truncate":
                self.contents.add(file)
            case "unlink" | "rmdir":
                self.known.discard(file)
                self.contents.discard(file)
