"""Rivals: hand-interleaved races, each between our check and our commit, and many processes at once."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import invariants
import pytest

import eventlab as el
from eventlab.store import loads, seals
from eventlab.store.lakes import Lake
from eventlab.store.presences import Presence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKERS = Path(__file__).parent / "workers.py"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Make a store with some sealed events and a tail."""
    path = tmp_path / "store"
    with el.open(path, create=True) as log:
        put(log, "sealed", size=3)
        log.seal()
        put(log, "tail", size=3)
    return path


@pytest.fixture
def log(path: Path) -> Iterator[el.EventLog]:
    """Open our log."""
    with el.open(path) as log:
        yield log


@pytest.fixture
def rival(path: Path) -> Iterator[el.EventLog]:
    """Open the log of another process, as far as the store can tell."""
    with el.open(path) as log:
        yield log


def put(log: el.EventLog, group: str, *, size: int = 2, kind: str = "Put", stream: str = "s-1") -> el.AppendResult:
    """Append a group of events."""
    return log.append(
        stream, [el.Event(kind, {kind: n}, event_id=i) for n, i in enumerate(invariants.ids(group, size))]
    )


def load(log: el.EventLog, group: str, *, size: int = 5, kind: str = "Loaded") -> el.IngestResult:
    """Load a group of events in bulk."""
    rows = [{"id": event_id, "n": n} for n, event_id in enumerate(invariants.ids(group, size))]
    return log.ingest(rows, event_type=f"'{kind}'", stream_id="'s-' || (n % 2)", event_id="id", progress=False)


def interleave(
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    act: Callable[[], object],
    *,
    mine: object,
    after: bool = False,
) -> list[object]:
    """Let a rival act once, before or after the next call of a method of ``mine``; return what came of it, when it did."""
    real, results = getattr(owner, name), []

    def instead(self: object, *args: Any, **options: Any) -> Any:
        if self is not mine or results:
            return real(self, *args, **options)
        if after:
            found = real(self, *args, **options)
            results.append(None)
            results[0] = act()
            return found
        results.append(None)
        results[0] = act()
        return real(self, *args, **options)

    monkeypatch.setattr(owner, name, instead)
    return results


@pytest.mark.parametrize("step", ["write", "seal", "_open", "_extend", "_commit"])
@pytest.mark.parametrize("kind", ["Put", "Fresh"])
def test_two_sealers_seal_each_event_once(
    path: Path, log: el.EventLog, rival: el.EventLog, monkeypatch: pytest.MonkeyPatch, step: str, kind: str
) -> None:
    """A rival seals at each step of our seal; with a new column and without, one wins and no event is there twice."""
    put(log, "more", kind=kind)
    happened = interleave(monkeypatch, Lake, step, rival.seal, mine=log._store.lake)
    assert log.seal() == 8
    assert happened == [8]
    invariants.check_log(rival)
    invariants.check_log(log)
    invariants.check(path, groups=["sealed", "tail", "more"])


@pytest.mark.parametrize("step", ["write", "seal", "_open", "_extend", "_commit"])
def test_a_rival_that_appends_and_seals_inside_a_seal_hides_nothing(
    path: Path, log: el.EventLog, rival: el.EventLog, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A rival appends events of a new type and seals them at each step of our seal."""
    happened = interleave(
        monkeypatch, Lake, step, lambda: (put(rival, "r", kind="New"), rival.seal()), mine=log._store.lake
    )
    log.seal()
    assert happened
    invariants.check(path, groups=["sealed", "tail", "r"])


@pytest.mark.parametrize("step", ["write", "seal", "_open", "_extend", "_commit"])
def test_a_seal_inside_a_load_makes_the_load_start_again(
    path: Path, log: el.EventLog, rival: el.EventLog, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A rival seals the tail into the lake while our load holds the journal's lock: its commit to the lake wins."""
    lake, state = rival._store.lake, rival._store.journal.state()

    def commit_only() -> None:  # the rival cannot delete from the journal before we let go of it
        seals._seal_through(rival._store, state.head, lake.snapshot())

    happened = interleave(monkeypatch, Lake, step, commit_only, mine=log._store.lake)
    result = load(log, "load")
    assert happened
    assert (result.events, result.first_position, result.last_position) == (5, 7, 11)
    invariants.check(path, groups=["sealed", "tail", "load"])


@pytest.mark.parametrize("step", ["write", "seal", "_open", "_extend", "_commit"])
def test_a_compaction_beside_a_seal_disturbs_neither(
    path: Path, log: el.EventLog, rival: el.EventLog, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A rival compacts at each step of our seal."""
    put(log, "one")
    log.seal()
    put(log, "two", kind="Fresh")
    happened = interleave(monkeypatch, Lake, step, rival.compact, mine=log._store.lake)
    log.seal()
    assert happened
    invariants.check(path, groups=["one", "two"])


@pytest.mark.parametrize("step", ["rewrite", "replace", "_open", "_commit"])
def test_a_seal_beside_a_compaction_disturbs_neither(
    path: Path, log: el.EventLog, rival: el.EventLog, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A rival seals events of a new type at each step of our compaction."""
    put(log, "one")
    log.seal()
    happened = interleave(
        monkeypatch, Lake, step, lambda: (put(rival, "r", kind="New"), rival.seal()), mine=log._store.lake
    )
    log.compact()
    assert happened
    invariants.check(path, groups=["one", "r"])


@pytest.mark.parametrize("step", ["rewrite", "replace", "_open", "_commit"])
def test_two_compactions_of_the_same_files_double_no_row(
    path: Path, log: el.EventLog, rival: el.EventLog, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A rival compacts the same files at each step of our compaction: the second is refused."""
    put(log, "one")
    log.seal()
    happened = interleave(monkeypatch, Lake, step, rival.compact, mine=log._store.lake)
    log.compact()
    assert happened
    assert len(log._store.lake.snapshot().files) == 1
    invariants.check(path, groups=["one"])


@pytest.mark.parametrize("define", [True, False], ids=["defined", "inferred"])
def test_a_type_that_a_rival_defines_between_typing_and_lock_counts(
    path: Path, log: el.EventLog, rival: el.EventLog, monkeypatch: pytest.MonkeyPatch, define: bool
) -> None:
    """Our append is typed again by the definition that a rival was faster with; both are in the registry once."""

    def act() -> None:
        if define:
            rival.define("New", {"x": "DOUBLE"})
        else:
            put(rival, "r", kind="New")

    happened = interleave(monkeypatch, type(log._store.journal), "write", act, mine=log._store.journal)
    log.append("s-1", el.Event("New", {"x": 1, "New": 5}))
    assert happened
    event_type = log._store.registry().get("New")
    assert len(event_type.definitions) == (1 if define else 2)
    assert log.sql("select x from new").fetchall()[-1] == ((1.0,) if define else (1,))
    log.seal()
    invariants.check(path)


def test_a_definition_between_typing_and_lock_refuses_what_does_not_fit_it(
    path: Path, log: el.EventLog, rival: el.EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An event that was fine before a rival defined its type is refused by that definition, and nothing is written."""
    interleave(
        monkeypatch,
        type(log._store.journal),
        "write",
        lambda: rival.define("New", {"x": "DATE NOT NULL"}),
        mine=log._store.journal,
    )
    with pytest.raises(el.InvalidEvent, match="x is missing"):
        log.append("s-1", el.Event("New", {"y": 1}))
    assert log.position == 6
    invariants.check(path)


@pytest.mark.parametrize("way", ["seal", "load", "seal and compact", "append"])
def test_ids_that_a_rival_moves_between_look_up_and_lock_are_still_known(
    path: Path, log: el.EventLog, rival: el.EventLog, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A retry is a duplicate also when the events went to the lake, or came, after we had looked for them there."""
    acts = {
        "seal": rival.seal,
        "load": lambda: load(rival, "load"),
        "seal and compact": lambda: (rival.seal(), rival.compact()),
        "append": lambda: put(rival, "again", size=3),
    }
    group = "again" if way == "append" else "tail"
    happened = interleave(monkeypatch, type(log._store.journal), "write", acts[way], mine=log._store.journal)
    result = put(log, group, size=3)
    assert happened
    assert result.duplicate
    invariants.check(path, groups=["sealed", group])


def test_events_that_a_rival_appends_after_a_load_looked_for_duplicates_are_not_added_again(
    path: Path, log: el.EventLog, rival: el.EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same events by a load and by an append meanwhile: the load adds the others only."""
    rows = [{"Loaded": n, "id": i} for n, i in enumerate(["x", "y", "z"])]

    real, happened = loads._Load._commit, []

    def commit(self: Any, *args: Any) -> Any:
        if not happened:
            happened.append(rival.append("s-1", el.Event("Loaded", {"Loaded": 1}, event_id="y")))
        return real(self, *args)

    monkeypatch.setattr(loads._Load, "_commit", commit)
    result = log.ingest(rows, event_type="'Loaded'", stream_id="'s-1'", event_id="id", progress=False)
    assert (result.events, result.duplicates) == (2, 1)
    invariants.check(path)


@pytest.mark.parametrize("kept", ["seal", "load"])
def test_a_reader_between_the_two_commits_of_a_rival_sees_each_event_once(
    path: Path, log: el.EventLog, rival: el.EventLog, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    """Between the commit to the lake and that to the journal a reader sees neither a gap nor a duplicate."""
    happened = interleave(
        monkeypatch, Lake, "seal", lambda: len(invariants.check_log(log)), mine=rival._store.lake, after=True
    )
    if kept == "seal":
        rival.seal()
    else:
        load(rival, "load")
    assert happened == [6 if kept == "seal" else 11]
    invariants.check(path)


@pytest.mark.parametrize("step", ["tail", "state"])
@pytest.mark.parametrize("way", ["seal", "load"])
def test_a_seal_between_the_looks_of_a_reader_hides_nothing(
    path: Path, log: el.EventLog, rival: el.EventLog, monkeypatch: pytest.MonkeyPatch, step: str, way: str
) -> None:
    """A rival seals after a reader read the journal and before it reads the lake, and before it reads the tail."""
    act = rival.seal if way == "seal" else (lambda: load(rival, "load"))
    journal = log._store.journal
    happened = interleave(monkeypatch, type(journal), step, act, mine=journal, after=step == "state")
    put(rival, "more")
    found = log.sql("select position from events order by position").fetchall()  # one look at both, no second chance
    assert happened
    assert found == [(n + 1,) for n in range(len(found))]
    assert len(found) >= 8
    invariants.check_log(log)
    invariants.check(path, groups=["more"])


def test_a_vacuum_keeps_the_files_of_a_log_that_is_open_elsewhere(
    path: Path, log: el.EventLog, rival: el.EventLog
) -> None:
    """A relation still runs after others compacted and vacuumed, whoever else asked whether it is alone before."""
    put(log, "one")
    log.seal()
    relation = log.sql("select position from events order by position")
    rival.compact(vacuum=True)
    assert not rival._store.presence.alone()
    assert not log._store.presence.alone()
    rival.compact(vacuum=True)
    assert relation.fetchall() == [(n + 1,) for n in range(8)]
    invariants.check(path)


def test_who_asks_in_vain_whether_it_is_alone_stays_present(tmp_path: Path) -> None:
    """The failed question of one does not make the other count as alone."""
    one, other = Presence(tmp_path), Presence(tmp_path)
    assert not one.alone()
    assert not other.alone()
    assert not one.alone()
    other.close()
    assert one.alone()
    one.close()


def test_threads_that_define_and_seal_do_not_wait_for_each_other_for_ever(path: Path, log: el.EventLog) -> None:
    """Definitions, appends of new types, seals and reads by threads that share a log all end."""
    failures: list[BaseException] = []

    def run(work: Callable[[int], object]) -> None:
        try:
            for number in range(12):
                work(number)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    works: list[Callable[[int], object]] = [
        lambda n: log.define(f"Defined{n}", {"x": "BIGINT"}),
        lambda n: put(log, f"t{n}", kind=f"Kind{n}"),
        lambda _: log.seal(),
        lambda _: log.compact(vacuum=True),
        lambda _: invariants.check_events(list(log.read())),
        lambda n: put(log, f"t{n}", kind=f"Kind{n}"),
    ]
    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not [thread for thread in threads if thread.is_alive()]
    assert not failures, failures
    invariants.check(path, groups=[f"t{n}" for n in range(12)])


@pytest.mark.timeout(240)
def test_many_processes_keep_one_log(path: Path) -> None:
    """Eight appenders, a sealer, a compactor, a loader and readers: no gap, no duplicate, one winner a version."""
    roles = ["append"] * 8 + ["seal", "compact", "load", "count", "follow", "basis"]
    stop = path.parent / "stop"
    workers = [
        subprocess.Popen(
            [sys.executable, WORKERS, role, str(number), path, stop],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, role in enumerate(roles)
    ]
    timer = threading.Timer(_SECONDS, stop.touch)
    timer.start()
    said = []
    for role, worker in zip(roles, workers, strict=True):
        out, err = worker.communicate(timeout=180)
        assert worker.returncode == 0, f"{role}: {err}"
        said.append((role, json.loads(out)))
    events = invariants.check(path)
    known = {event.event_id: event for event in events}
    appended = [found for role, found in said if role == "append"]
    assert all(found["acknowledged"] for found in appended)
    for found in appended:
        for event_id, position, version in found["acknowledged"]:
            assert (known[event_id].position, known[event_id].version) == (position, version)
    claims = Counter((stream, version) for found in appended for stream, version in found["won"])
    assert claims
    assert set(claims.values()) == {1}
    assert sum(found["lost"] for found in appended) > 0
    loaded = next(found["groups"] for role, found in said if role == "load")
    assert loaded
    invariants.check_groups(known, loaded)
    for role, found in said:
        assert found["rounds"] > 0, role


_SECONDS = 12
