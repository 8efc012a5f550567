"""PyPI ``eventsourcing`` with its SQLite module, doing the same work: appends of one event and of a hundred, a full replay.

Appends go through the two libraries' own ways of writing: an application that saves an aggregate with one or a hundred
pending events, against ``log.append``. Both are durable when they return: eventsourcing's database is set to WAL (its own
default) and ``synchronous`` FULL (SQLite's default, which it leaves).

Replay is the state of every entity from all recorded events. Theirs: each stored event of the notification log is read in
sections, mapped to a domain event and applied to its aggregate: one pass, faster than getting each aggregate from the
repository. Ours: one GROUP BY over all streams. The state is the same two sums and a last type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import eventlab as el
from tests.benchmarks.appends import payload
from tests.benchmarks.tables import Row, interleaved, timed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.sources import Folder

_CALLS, _BATCHES, _BATCH = 1_000, 100, 100
_STREAMS = 10_000  # of 20 events each, replayed


def eventsourcing(folder: Folder) -> Iterator[Row]:
    """One-event appends, appends in hundreds, and a full replay."""
    from eventsourcing.application import Application  # noqa: PLC0415 - only here
    from eventsourcing.domain import Aggregate, event  # noqa: PLC0415

    class Order(Aggregate):
        @event("Placed")
        def __init__(self, customer: str) -> None:
            self.customer = customer
            self.items = 0
            self.paid = 0.0

        @event("ItemAdded")
        def add(self, customer: str, item: str, qty: int, amount: float) -> None:
            self.customer = customer
            self.last = item
            self.items += qty
            self.paid += amount

    file = folder.fresh("rival.sqlite")
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    theirs: Application = Application(
        env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(file), "SQLITE_LOCK_TIMEOUT": "10"}
    )
    with el.open(folder.fresh("rival"), create=True) as log:
        log._sealer = None
        yield from _appends(log, theirs, Order)
        yield _replay(log, theirs, Order, max(_STREAMS // folder.scale, 50))
    theirs.close()


def _appends(log: el.EventLog, theirs: object, order: type) -> Iterator[Row]:
    """Save one pending event, and a hundred, by turns."""
    numbers = iter(range(10**9))
    aggregate = order(customer="c")
    theirs.save(aggregate)  # type: ignore[attr-defined]
    log.append("order-0", el.Event("Placed", {"customer": "c"}))

    def ours(count: int) -> None:
        log.append("order-0", [el.Event("ItemAdded", payload(next(numbers))) for _ in range(count)])

    def rival(count: int) -> None:
        for _ in range(count):
            aggregate.add(**payload(next(numbers)))
        theirs.save(aggregate)  # type: ignore[attr-defined]

    for count, rounds, name, allowed in ((1, _CALLS, "one-event", 1), (_BATCH, _BATCHES, "100-event", 2)):
        seconds = interleaved(lambda count=count: ours(count), lambda count=count: rival(count), rounds)
        yield Row(f"{name} append, against eventsourcing", seconds[0] * 1e3, seconds[1] * 1e3, allowed)


def _replay(log: el.EventLog, theirs: object, order: type, streams: int) -> Row:
    """Fill both with the same events, and fold all of them."""
    for number in range(streams):
        aggregate = order(customer="c")
        with_events = [payload(number * 20 + n) for n in range(19)]
        for one in with_events:
            aggregate.add(**one)
        theirs.save(aggregate)  # type: ignore[attr-defined]
        items = [el.Event("ItemAdded", one) for one in with_events]
        log.append(f"order-{number + 1}", [el.Event("Placed", {"customer": "c"}), *items])
    log.seal()
    events = log.position
    fold = (
        "select stream_id, sum(ItemAdded.qty) as items, sum(ItemAdded.amount) as paid,"
        " arg_max(ItemAdded.item, position) as last from events group by stream_id"
    )

    def rival() -> int:
        found: dict[object, object] = {}
        start = 1
        mapper, recorder = theirs.mapper, theirs.recorder  # type: ignore[attr-defined]
        while rows := recorder.select_notifications(start=start, limit=1_000):
            for row in rows:
                domain = mapper.to_domain_event(row)
                found[domain.originator_id] = domain.mutate(found.get(domain.originator_id))
            start = rows[-1].id + 1
        return len(found)

    def ours() -> None:
        log.sql(fold).to_arrow_table()

    ours()
    slow = timed(rival)
    fast, slow = interleaved(ours, rival, 3)
    return Row("full replay, against eventsourcing", events / fast, events / slow, 80, "events/s", at_least=True)
