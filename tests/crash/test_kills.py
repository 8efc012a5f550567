"""SIGKILL at the system calls of everything that changes a store: nothing acknowledged is lost, nothing half is there."""

from __future__ import annotations

import contextlib
import os
import random
from typing import TYPE_CHECKING

import invariants
import pytest
from conftest import Step, sample
from scenarios import ENDLESS, SCENARIOS, copied, write

import eventlab as el

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Forks


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("witnessed", [False, True], ids=["alone", "witnessed"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_killed_process_loses_nothing_and_leaves_nothing_half(
    forks: Forks, tmp_path: Path, scenario: str, witnessed: bool
) -> None:
    """Killed at any step, a store opens again with all that was acknowledged, once; and the same work completes it."""
    if witnessed and scenario in {"create", "recover"}:
        pytest.skip("there is no store that somebody else could have open")
    base, path = tmp_path / "base", tmp_path / "store"
    before: list[str] = []
    SCENARIOS[scenario].prepare(base, before.append)
    copied(base, path)
    with _witness(path, witnessed):
        steps = forks.steps(scenario, path)
    invariants.check(path, groups=[*before, *forks.told])
    for step, torn in sample(steps):
        copied(base, path)
        with _witness(path, witnessed) as witness:
            told = [*before, *forks.killed(scenario, path, step, torn=torn)]
            try:
                if witness is not None:
                    _goes_on(witness, told)
                _comes_back(scenario, path, told)
            except BaseException as error:
                error.add_note(f"killed at {step}{', torn' if torn else ''}; told: {told}")
                raise


@pytest.mark.timeout(600)
@pytest.mark.parametrize("torn", [False, True], ids=["whole", "torn"])
def test_a_log_outlives_many_deaths_at_random_moments(forks: Forks, tmp_path: Path, torn: bool) -> None:
    """A process that appends and loads while its thread seals, compacts and vacuums is killed again and again."""
    path = tmp_path / "store"
    told: list[str] = []
    ENDLESS["everything"].prepare(path, told.append)
    for number in range(40 if os.environ.get("EVENTLAB_FULL_SWEEP") else 8):
        at = random.randint(1, 1500)
        if number % 2:
            told += forks.killed("everything", path, Step(at, "write", "any"), torn=torn)
            invariants.check(path, groups=told, settled=False)
            continue
        with el.open(path) as witness:
            told += forks.killed("everything", path, Step(at, "write", "any"), torn=torn)
            write(witness, told.append, f"w-{number}")
            invariants.check_log(witness, groups=told)


def _witness(path: Path, witnessed: bool) -> contextlib.AbstractContextManager[el.EventLog | None]:
    """Return a log that is open while another process is killed, or None."""
    return el.open(path) if witnessed else contextlib.nullcontext()


def _goes_on(witness: el.EventLog, told: list[str]) -> None:
    """Check that a log which was open during the crash goes on, without having been opened anew."""
    write(witness, told.append, "w1", kind="Witnessed")
    witness.seal()
    invariants.check_log(witness, groups=told)


def _comes_back(scenario: str, path: Path, told: list[str]) -> None:
    """Check a store after a crash, do the work of its scenario again, and check it again."""
    if scenario == "recover" and not (path / "journal.sqlite").exists():
        with pytest.raises(el.StoreCorrupt, match="recover"):
            el.open(path)
        el.recover(path)
    if scenario == "create" and not (path / "store.toml").exists():
        with pytest.raises(el.StoreNotFound):
            el.open(path)
        assert not told
    else:
        invariants.check(path, groups=told, settled=False)
    SCENARIOS[scenario].work(path, told.append)
    invariants.check(path, groups=told)
