"""Snapshots: no answer rests on them, none is used outside its rectangle, few are kept, and what is broken is made again."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

import eventlab as el
from eventlab.session import Scope
from eventlab.states import keepers, snapshots
from eventlab.states.splits import Split

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eventlab.states import Catalog

HOUR = 3_600_000_000
TEXT = (
    "select stream_id, sum(Moved.n) as total, list(Moved.n) as ns, avg(Moved.n) as mean from events group by stream_id"
)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Yield a log of forty events, one an hour, every fifth of them late by ten hours, and a state of it."""
    with el.open(tmp_path / "s", create=True) as opened:
        fill(opened, 40)
        opened.define_state("boxes", TEXT)
        yield opened


def fill(log: el.EventLog, count: int) -> None:
    """Append events."""
    for n in range(log.position, log.position + count):
        hour = n - 10 if n % 5 == 4 else n
        when = f"1970-01-{hour // 24 + 2:02d}T{hour % 24:02d}:00Z"
        log.append(f"box-{n % 3}", el.Event("Moved", {"n": n}, occurred_at=when))


def occurred(hour: int) -> int:
    """Return the instant of an hour as the events have it."""
    return (24 + hour) * HOUR


def served(log: el.EventLog) -> Any:
    """Return what the session serves the state from."""
    catalog: Catalog = log._catalog
    registry = catalog.registry()
    entry = registry.states["boxes"]
    parts = catalog.parts(entry, registry)
    assert isinstance(parts, Split)
    return catalog.served("boxes", parts, entry, registry)


def files(log: el.EventLog) -> list[Path]:
    """Return the snapshots' files."""
    return sorted(log.path.rglob("snapshots/**/*.duckdb"))


def answers(log: el.EventLog) -> list[Any]:
    """Return many answers, on a session that has folded nothing yet."""
    with el.open(log.path, read_only=True) as reader:
        state = reader.state("boxes")
        results = [state.now(), *(state.at(n) for n in range(0, 41, 8))]
        results += [
            state.at(f"1970-01-02T{hour:02d}:00Z", known_at=known) for hour in (0, 7, 20) for known in (None, 9, 33)
        ]
        results += [state.diff(10, 30), state.history("box-1"), state.get("box-2")]
        return [sorted(result.fetchall(), key=repr) for result in results]


def test_no_answer_rests_on_a_snapshot(log: el.EventLog) -> None:
    """With none, with many over all of the plane, and after they are deleted under a session that uses them."""
    expected = answers(log)
    for at, position in ((None, 40), (None, 12), (occurred(7), 40), (occurred(19), 25), (occurred(3), 9), (None, 0)):
        keepers.take(log._session, served(log), Scope(at, position))
        assert answers(log) == expected
    assert len(files(log)) == 6
    state = log.state("boxes")
    relation = state.at(30).relation
    shutil.rmtree(log.path / "snapshots")
    assert answers(log) == expected
    assert sorted(state.at(30).fetchall()) == sorted(relation.fetchall())
    state.snapshot()
    assert len(files(log)) == 1
    assert answers(log) == expected


def test_a_snapshot_serves_what_lies_around_it(log: el.EventLog) -> None:
    """The best is the one with the most events inside the question; none from outside."""
    for at, position in ((None, 10), (None, 30), (occurred(12), 40)):
        keepers.take(log._session, served(log), Scope(at, position))
    found = snapshots.found(served(log).place)
    assert [(one.position, one.scope.at, one.events) for one in found] == [
        (10, occurred(8), 10),  # the first ten are all that occurred by the last of them
        (30, occurred(28), 30),
        (40, occurred(12), 15),
    ]

    def best(at: int | None, position: int | None) -> int | None:
        one = snapshots.best(found, Scope(at, position))
        return one.position if one else None

    assert best(None, None) == best(None, 30) == best(occurred(28), 35) == 30
    assert best(None, 29) == best(occurred(8), 40) == best(occurred(11), None) == 10
    assert best(occurred(12), 40) == best(occurred(27), None) == 40
    assert best(None, 9) is None
    assert best(occurred(8) - 1, None) is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other columns", "text"])
def test_a_file_that_is_no_snapshot_is_passed_over_and_made_again(log: el.EventLog, damage: str) -> None:
    """Damaged in its head or in its middle, or of other columns: it goes, and the answers stay."""
    expected = answers(log)
    log.state("boxes").snapshot()
    (file,) = files(log)
    content = file.read_bytes()
    match damage:
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "flipped":
            middle = len(content) * 2 // 3
            file.write_bytes(content[:middle] + bytes(byte ^ 255 for byte in content[middle:]))
        case "empty":
            file.write_bytes(b"")
        case "text":
            file.write_bytes(b"x" * 5000)
        case _:
            other = file.with_name("other")
            with duckdb.connect(other) as connection:
                connection.execute("create table state as select 1 as k0")
            file.unlink()
            other.rename(file.with_name(f"p40-t{occurred(38)}-n40-{snapshots._checksum(other)}.duckdb"))
    with el.open(log.path) as again:
        assert len(again.state("boxes").now().fetchall()) == 3
        assert files(log) == []
        again.state("boxes").snapshot()
    assert len(files(log)) == 1
    assert answers(log) == expected


def test_another_version_of_duckdb_another_text_and_another_typing_have_snapshots_of_their_own(
    log: el.EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are kept apart by folder; few folders are kept."""
    log.state("boxes").snapshot()
    with monkeypatch.context() as patch, el.open(log.path) as newer:
        patch.setattr("eventlab.queries.version", lambda: "99.0")
        assert "the beginning of the log" in newer.state("boxes").explain()
        newer.state("boxes").snapshot()
    log.append("box-1", el.Event("Other", {"n": 1}))
    assert "the snapshot at position 40" in log.state("boxes").explain()
    log.append("box-1", el.Event("Moved", {"n": 0.5}))
    assert "the beginning of the log" in log.state("boxes").explain()
    log.state("boxes").snapshot()
    for n in range(4):
        log.define_state("boxes", f"select stream_id, max(Moved.n) + {n} * count(*) as m from events group by 1")
        log.define_state("boxes", f"select stream_id, max(Moved.n + {n}) as m from events group by 1")
        log.state("boxes").snapshot()
    assert len({file.parent for file in files(log)}) == snapshots._FOLDERS


def test_few_are_kept_the_nearer_to_the_head_the_more(log: el.EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred there are twelve, the newest among them, whose distances to the head grow by a factor."""
    monkeypatch.setattr(snapshots, "MOST", 6)
    fill(log, 60)
    one = served(log)
    for position in range(1, 101):
        keepers.take(log._session, one, Scope(position=position))
    left = [100 - found.position for found in snapshots.found(one.place)]
    assert len(left) == 6
    assert left[-1] == 0
    assert left == sorted(left, reverse=True)
    assert left[0] >= 40
    assert sum(distance < 20 for distance in left) >= 3
    assert answers(log)[0] == sorted(log.state("boxes").now().fetchall())


def test_snapshots_are_taken_by_policy(log: el.EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever so many events were folded; in the background; the next session starts from there."""
    monkeypatch.setattr(snapshots, "EVERY", 25)
    state = log.state("boxes")
    state.now()
    log._catalog.keeper.close()
    assert [found.position for found in snapshots.found(served(log).place)] == [25, 40]
    fill(log, 20)
    state.now()
    log._catalog.keeper.close()
    assert len(files(log)) == 2
    fill(log, 10)
    state.now()
    log._catalog.keeper.close()
    assert [found.position for found in snapshots.found(served(log).place)] == [25, 40, 70]
    assert log._catalog.keeper.failure is None
    with el.open(log.path) as again:
        assert "the snapshot at position 70" in again.state("boxes").explain()
        assert sorted(again.state("boxes").now().fetchall()) == sorted(state.now().fetchall())
        assert again._catalog._served["boxes", 1].folded == 0


def test_a_failure_to_write_one_harms_no_answer(log: el.EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept for whoever asks."""
    monkeypatch.setattr(snapshots, "EVERY", 10)
    (log.path / "snapshots").write_text("in the way")
    expected = sorted(log.sql(TEXT.replace("list(Moved.n)", "list(Moved.n order by position)")).fetchall())
    assert sorted(log.state("boxes").now().fetchall()) == expected
    log._catalog.keeper.close()
    assert isinstance(log._catalog.keeper.failure, el.StoreError)
    with pytest.raises(el.StoreError):
        log.state("boxes").snapshot()
    assert sorted(log.state("boxes").now().fetchall()) == expected


def test_what_a_killed_process_left_is_cleared(log: el.EventLog) -> None:
    """Half-written files are not read, and go when they are old."""
    log.state("boxes").snapshot()
    place = files(log)[0].parent
    old, young = place / ".old", place / ".young"
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    fill(log, 1)
    log.state("boxes").snapshot()
    assert not old.exists()
    assert young.exists()
    assert len(files(log)) == 2


def test_a_view_of_an_old_moment_can_have_one(log: el.EventLog) -> None:
    """Along both clocks: what was asked once is quick to ask again."""
    view = log.at("1970-01-02T12:00Z", known_at=33)
    view.state("boxes").snapshot()
    (found,) = snapshots.found(served(log).place)
    assert (found.position, found.scope.at) == (33, occurred(12))
    assert "the snapshot at position 33" in view.state("boxes").explain()
    assert sorted(view.state("boxes").now().fetchall()) == sorted(
        view.sql(TEXT.replace("list(Moved.n)", "list(Moved.n order by position)")).fetchall()
    )
