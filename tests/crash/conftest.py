"""The process that forks and kills, and its library of counted system calls."""

from __future__ import annotations

import json
import os
import random
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
_SAMPLE = 12  # steps of one scenario, at which a short run kills


class Step(NamedTuple):
    """One system call that changes a store: its number from 1, what it does, to which file, and its former name."""

    number: int
    what: str
    file: str
    former: str = ""

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
        return [
            Step(int(number), what, *(name.removeprefix(str(path)) for name in names.split("\t")))
            for number, what, names in found
        ]

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

    Of a run of like steps (a Parquet file is some ninety writes) one will do: torn if it writes, since what is before a
    write is what was after the step before it. Of these, those around each change of a name, by which commits are made,
    and others at random. With EVENTLAB_FULL_SWEEP all of them, with EVENTLAB_FULL_SWEEP=steps each single step.
    """
    extent = os.environ.get("EVENTLAB_FULL_SWEEP", "")
    if extent == "steps":
        return [(step, torn) for step in steps for torn in ((False, True) if step.writes else (False,))]
    runs = [list(run) for _, run in groupby(steps, key=lambda step: (step.what, step.file))]
    middles = [run[len(run) // 2] for run in runs if not run[0].file.endswith((".readers", "-shm"))]
    if not extent:
        named = [n for n, step in enumerate(middles) if step.what in {"link", "rename"}]
        chosen = {m for n in named for m in (n, n + 1) if m < len(middles)}
        others = sorted(set(range(len(middles))) - chosen)
        chosen |= set(random.sample(others, min(len(others), max(_SAMPLE - len(chosen), 4))))
        middles = [middles[n] for n in sorted(chosen)]
    return [(step, step.writes) for step in middles]


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Start the process that forks, with the library that counts and kills."""
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
