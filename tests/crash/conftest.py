"""The process that forks and kills, and its library of counted system calls."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


class Step(NamedTuple):
    """One system call that changes a store: its number from 1, what it does, to which file."""

    number: int
    what: str
    file: str

    @property
    def writes(self) -> bool:
        """Whether it can be torn."""
        return "write" in self.what


@dataclass
class Forks:
    """The process that forks; ``folder`` is where it leaves what its forks told."""

    process: subprocess.Popen[str]
    folder: Path

    def run(self, scenario: str, path: Path, **order: Any) -> int:
        """Do the work of a scenario in a fork, and return its exit code, negative: the signal that killed it."""
        ask = {
            "scenario": scenario,
            "path": str(path),
            "told": str(self.folder / "told"),
            "log": str(self.folder / "log"),
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({**ask, **order}) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def killed(self, scenario: str, path: Path, step: Step, *, torn: bool) -> list[str]:
        """Kill the work of a scenario at a step, and return the groups that were acknowledged before."""
        code = self.run(scenario, path, at=step.number, torn=torn)
        assert code == -signal.SIGKILL, self.log
        return self.told

    def steps(self, scenario: str, path: Path) -> list[Step]:
        """Do the work of a scenario undisturbed, and return its steps."""
        assert self.run(scenario, path, trace=True) == 0, self.log
        found = (line.split(" ", 2) for line in self.log.splitlines())
        return [Step(int(number), what, file.removeprefix(str(path))) for number, what, file in found]

    @property
    def told(self) -> list[str]:
        """The groups of events that the last fork told to be acknowledged."""
        return (self.folder / "told").read_text().split("\n")[:-1]

    @property
    def log(self) -> str:
        """What the last fork printed."""
        return (self.folder / "log").read_text()


def sample(steps: list[Step]) -> list[tuple[Step, bool]]:
    """Return at which steps to kill, and whether in their midst.

    Of a run of like steps (a Parquet file is some ninety writes) one: torn if it writes, since what is before a write is what
    was after the step before it. With EVENTLAB_FULL_SWEEP each step, and each write torn as well.
    """
    if os.environ.get("EVENTLAB_FULL_SWEEP"):
        return [(step, torn) for step in steps for torn in ((False, True) if step.writes else (False,))]
    runs = [list(run) for _, run in groupby(steps, key=lambda step: (step.what, step.file))]
    middles = [run[len(run) // 2] for run in runs]
    return [(step, step.writes) for step in middles if not step.file.endswith((".readers", "-shm"))]


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """The process that forks, with the library that counts and kills."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("killing at each system call needs Linux and a C compiler (cc)")
    folder = tmp_path_factory.mktemp("forks")
    library = folder / "steps.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, HERE / "steps.c", "-ldl"], check=True)
    process = subprocess.Popen(
        [sys.executable, HERE / "forks.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LD_PRELOAD": str(library)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        yield Forks(process, folder)
        process.stdin.close()
        assert process.wait(timeout=30) == 0
