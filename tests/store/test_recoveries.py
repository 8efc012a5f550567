"""Rebuilding a journal, beside what tests/crash does to it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

import eventlab as el

if TYPE_CHECKING:
    from pathlib import Path


def test_a_lost_journal_is_not_rebuilt_under_those_who_write(tmp_path: Path) -> None:
    """What they append to it would be lost; when they are gone it is rebuilt, states and definitions included."""
    with el.open(tmp_path / "s", create=True) as log:
        log.define_state("counts", "select stream_id, count(*) as n from events group by stream_id")
        log.append("a", [el.Event("T", {"n": 1}), el.Event("T", {"n": 2})])
        log.seal()
        log.path.joinpath("journal.sqlite").unlink()
        with pytest.raises(el.StoreBusy, match="open") as caught:
            el.recover(log.path)
        assert "Close" in caught.value.hint
    with pytest.raises(el.StoreCorrupt, match="missing"):
        el.open(tmp_path / "s")
    recovery = el.recover(tmp_path / "s")
    assert (recovery.events, recovery.position) == (2, 2)
    with el.open(tmp_path / "s") as log:
        assert log.state("counts").now().fetchall() == [("a", 2)]
        assert log.append("a", el.Event("T", {"n": 3}), expected_version=2).first_position == 3


def test_a_vacuum_takes_what_a_killed_writer_left_a_day_ago(tmp_path: Path) -> None:
    """A file that was never committed may be about to be, until it is old."""
    with el.open(tmp_path / "s", create=True) as log:
        log.append("a", el.Event("T", {"n": 1}))
        log.seal()
        (file,) = log.path.glob("events/*/*.parquet")
        young, old = (file.with_name(f"g0-{name}.parquet") for name in ("young", "old"))
        for left in (young, old):
            left.write_bytes(file.read_bytes())
        yesterday = time.time() - 25 * 3600
        os.utime(old, (yesterday, yesterday))
        assert log.compact(vacuum=True).vacuumed == 1
        assert (young.exists(), old.exists()) == (True, False)
        assert log.sql("select count(*) from events").fetchall() == [(1,)]
