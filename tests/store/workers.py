"""One of many processes on a log, until a file says stop; run as a program, it prints what it saw as JSON."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import invariants

import eventlab as el

if TYPE_CHECKING:
    from collections.abc import Callable

    Going = Callable[[], bool]


def append(log: el.EventLog, name: str, going: Going) -> dict[str, Any]:
    """Append with expected versions, in transactions, and twice the same; tell what was acknowledged."""
    chance = random.Random(name)
    found: dict[str, Any] = {"rounds": 0, "acknowledged": [], "won": [], "lost": 0}
    while going() or not found["acknowledged"]:  # on a busy machine it may have begun late
        found["rounds"] += 1
        stream = f"shared-{chance.randrange(3)}"
        group = f"{name}-{found['rounds']}"
        way = chance.choice(["expect", "expect", "retry", "transaction", "plain"])
        try:
            _append(log, way, stream, group, found)
        except el.WrongExpectedVersion as error:
            found["lost"] += len(error.failures)
    return found


def _append(log: el.EventLog, way: str, stream: str, group: str, found: dict[str, Any]) -> None:
    ids = invariants.ids(group, 2)
    events = [el.Event(f"Kind{hash(group) % 5}", {"n": n, "by": group}, event_id=i) for n, i in enumerate(ids)]
    if way == "expect":
        version = len(log.stream(stream))
        result = log.append(stream, events, expected_version=version)
        assert result.version == version + 2
        found["won"].append((stream, version))
    elif way == "transaction":
        with log.transaction() as tx:
            tx.append(f"own-{group}", events[0], expected_version=0)
            tx.append(stream, events[1])
        assert tx.result is not None
        result = tx.result
        found["acknowledged"].append((ids[1], result.last_position, result.version))
        return
    else:
        result = log.append(stream, events)
        if way == "retry":
            again = log.append(stream, events)
            assert again.duplicate
            assert (again.first_position, again.version) == (result.first_position, result.version)
    assert not result.duplicate
    for number, event_id in enumerate(ids):
        found["acknowledged"].append((event_id, result.first_position + number, result.version - 1 + number))


def seal(log: el.EventLog, _name: str, going: Going) -> dict[str, Any]:
    """Seal again and again; what is sealed never becomes less."""
    rounds = sealed = 0
    while going():
        now = log.seal()
        assert now >= sealed
        sealed = now
        rounds += 1
    return {"rounds": rounds}


def compact(log: el.EventLog, _name: str, going: Going) -> dict[str, Any]:
    """Compact and vacuum again and again."""
    rounds = 0
    while going():
        log.compact(vacuum=True)
        rounds += 1
        time.sleep(0.05)
    return {"rounds": rounds}


def load(log: el.EventLog, name: str, going: Going) -> dict[str, Any]:
    """Load in bulk again and again, every other time the same once more."""
    groups: list[str] = []
    while going():
        groups.append(f"load{name}-{len(groups)}")
        rows = [{"id": i, "n": n} for n, i in enumerate(invariants.ids(groups[-1], 40))]
        for again in range(1 + len(groups) % 2):
            result = log.ingest(
                rows, event_type="'Loaded'", stream_id="'shared-' || (n % 4)", event_id="id", progress=False
            )
            assert (result.events, result.duplicates) == ((0, 40) if again else (40, 0))
            if not again:
                assert result.last_position - result.first_position == 39
        time.sleep(0.1)
    return {"rounds": len(groups), "groups": groups}


def count(log: el.EventLog, _name: str, going: Going) -> dict[str, Any]:
    """Count in SQL: no gap, no duplicate, and the head never goes back."""
    rounds = last = 0
    text = (
        "select count(*), count(distinct event_id), coalesce(max(position), 0), coalesce(min(position), 1) from events"
    )
    streams = "select count(*) from (select stream_id from events group by all having max(version) != count(*))"
    while going():
        [(events, ids, head, first)] = log.sql(text).fetchall()
        assert events == ids == head, (events, ids, head)
        assert first == 1
        assert head >= last
        position = log.position
        assert position >= head
        assert log.sql(streams).fetchall() == [(0,)]
        last = position
        rounds += 1
    return {"rounds": rounds}


def follow(log: el.EventLog, _name: str, going: Going) -> dict[str, Any]:
    """Follow the log from its beginning: each position once, in order."""
    rounds = 0

    def end() -> None:
        while going():
            time.sleep(0.1)
        log.append("follow-end", [el.Event("Ended", {"n": n}) for n in range(20)])  # so that it sees that it is over

    threading.Thread(target=end, daemon=True).start()
    for event in log.follow(after=0):
        rounds += 1
        assert event.position == rounds
        if rounds % 20 == 0 and not going():
            break
    return {"rounds": rounds}


def basis(log: el.EventLog, _name: str, going: Going) -> dict[str, Any]:
    """Keep tokens of the log's moments: each gives the same rows ever after."""
    kept: list[tuple[str, list[tuple[Any, ...]]]] = []
    text = "select count(*), coalesce(max(position), 0), md5(string_agg(event_id || payload, ',' order by position)) from events"
    rounds = 0
    while going():
        view = log.at()
        kept.append((view.basis, view.sql(text).fetchall()))
        assert kept[-1][1][0][0] == view.position
        for token, rows in kept[-3:] + random.sample(kept, min(3, len(kept))):
            assert log.at(token).sql(text).fetchall() == rows
        rounds += 1
    for token, rows in kept:
        assert log.at(token).sql(text).fetchall() == rows
    return {"rounds": rounds}


def main() -> None:
    """Do the work of a role."""
    role, name, path, stop = sys.argv[1:]
    first = iter([True])  # also of one that begins when the others end
    with el.open(path) as log:
        found = globals()[role](log, name, lambda: next(first, False) or not Path(stop).exists())
    print(json.dumps(found))  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
