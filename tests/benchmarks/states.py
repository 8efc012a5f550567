"""States, against the same SELECT by hand over one hand-made Parquet file, and against full folds."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING

import eventlab as el
from eventlab.states import keepers, snapshots
from tests.benchmarks.appends import payload
from tests.benchmarks.sources import connected
from tests.benchmarks.tables import Row, interleaved, timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.sources import Folder

_EVENTS, _OLD, _NEW = 5_000_000, 100_000, 1_000

STATE = """
select
    stream_id as order_id,
    sum(PaymentReceived.amount) as paid,
    sum(ItemAdded.qty) as items,
    count(*) as events,
    arg_max(event_type, position) as status,
    max(occurred_at) as changed_at,
    min(OrderPlaced.customer) as customer
from {events} group by stream_id
"""
# By hand: the status of each order after its last event of a day, and what enters and leaves it.
COURSE = """
with steps as (
    select
        time_bucket(interval 1 day, occurred_at at time zone 'UTC') as day,
        arg_max(event_type, position) over running as status,
        lead(time_bucket(interval 1 day, occurred_at at time zone 'UTC')) over running as until
    from {events}
    window running as (
        partition by stream_id order by time_bucket(interval 1 day, occurred_at at time zone 'UTC')
        range unbounded preceding
    )
),
held as (select * from steps where until is distinct from day),
flows as (
    select day, count(*) filter (status = 'OrderPlaced') as n from held group by 1
    union all
    select until, -count(*) filter (status = 'OrderPlaced') from held where until is not null group by 1
)
select day, sum(sum(n)) over (order by day) as value from flows group by day order by day
"""


def states(folder: Folder) -> Iterator[Row]:
    """Ask a state of half a million keys and six aggregates for its answers, by turns with the folds that they replace."""
    path = folder.copied(_EVENTS, "states")
    typed = f"'{folder.typed(_EVENTS)}'"
    with connected() as connection:
        connection.execute("set parquet_metadata_cache = true")

        def hand(where: str = "") -> None:
            connection.sql(STATE.format(events=f"(select * from {typed} {where})")).to_arrow_table()

        with el.open(path) as log:
            log.define_state("orders", STATE.format(events="events"))
        full, by_hand = interleaved(lambda: _fresh(path, forget=True), hand, 5)
        yield Row("now() without a snapshot", full * 1e3, by_hand * 1e3, 1.3)
        yield from _snapshots(path, folder)
        yield from _served(path, full)
        yield _course(dataclasses.replace(folder, years=2), connection)


def _fresh(path: object, *, forget: bool = False, ask: Callable[[el.EventLog], object] | None = None) -> float:
    """Open the log anew, without snapshots if ``forget``, and return the seconds of an answer."""
    with el.open(str(path)) as log:
        log._catalog.keeper.consider = lambda _: None  # type: ignore[method-assign]
        if forget:
            shutil.rmtree(log.path / "snapshots", ignore_errors=True)
        log.sql("select count(*) from events").fetchall()
        return timed(lambda: ask(log) if ask else log.state("orders").now().arrow())


def _snapshots(path: object, folder: Folder) -> Iterator[Row]:
    """Answer from a snapshot that is some events old, and in the middle of the log from those that the policy keeps."""
    middle = folder.events(_EVENTS) // 2
    with el.open(str(path)) as log:
        served = _served_of(log)
        keepers.take(log._session, served, el.log.Scope(position=log.position - folder.events(_OLD)))
        instant = log.sql("select occurred_at from events where position = $p", {"p": middle}).fetchall()[0][0]
    pairs = [(_fresh(path), _fresh_full(path)) for _ in range(5)]
    ours, theirs = (sorted(pair[i] for pair in pairs)[2] for i in range(2))
    yield Row("now() from a snapshot 100 k events old, against none", ours * 1e3, theirs * 1e3, 0.35)
    with el.open(str(path)) as log:
        served = _served_of(log)
        shutil.rmtree(served.place, ignore_errors=True)
        log._catalog.keeper.keep(served, log.position, step=max(snapshots.EVERY, log.position // keepers.STEPS))
        state = log.state("orders")
        near = folder.events(_EVENTS) * 9 // 20
        at = log.sql("select occurred_at from events where position = $p", {"p": near}).fetchall()[0][0]
        for name, ours_of in (
            ("at(known_at=…)", lambda: state.at(known_at=near).arrow()),
            ("at(t)", lambda: state.at(at).arrow()),
        ):
            text = STATE.format(events=f"(select * from events where position <= {near})")
            ours, theirs = interleaved(ours_of, lambda text=text: log.sql(text).to_arrow_table(), 5)
            yield Row(f"{name} in the middle, snapshots by policy, against a fold", ours * 1e3, theirs * 1e3, 0.6)
    assert instant is not None


def _fresh_full(path: object) -> float:
    return _fresh(path, ask=lambda log: log.sql(STATE.format(events="events")).to_arrow_table())


def _served_of(log: el.EventLog):  # noqa: ANN202 - the session's own
    catalog = log._catalog
    registry = catalog.registry()
    entry = catalog.find("orders", registry)
    return catalog.served("orders", catalog.parts(entry, registry), entry, registry)  # type: ignore[arg-type]


def _served(path: object, full: float) -> Iterator[Row]:
    """Answer for one key, and keep up with what is new."""
    events = [el.Event("OrderPlaced", payload(n)) for n in range(_NEW)]
    with el.open(str(path)) as log:
        log._sealer = None
        state = log.state("orders")
        state.now()
        key = log.sql("select stream_id from events where position = 77").fetchall()[0][0]
        for name, ask in (("get(key)", state.get), ("history(key)", state.history)):
            seconds = sorted(timed(lambda ask=ask: ask(key).arrow()) for _ in range(9))[4]
            yield Row(f"{name}, against a full fold", seconds * 1e3, full * 1e3, 0.1)

        def new(number: int) -> float:
            with log.transaction() as tx:
                for n, event in enumerate(events):
                    tx.append(f"order-{number * 7919 + n}", event)
            return timed(state.now)

        new(0)
        seconds = sorted(new(number) for number in range(1, 10))[4]
        yield Row(
            "refresh of a served state after 1,000 new events, against a full fold", seconds * 1e3, full * 1e3, 0.05
        )


def _course(folder: Folder, connection: object) -> Row:
    """Follow a measure over two years."""
    typed = f"'{folder.typed(_EVENTS)}'"
    with el.open(folder.copied(_EVENTS, "course")) as log:
        state = log.define_state("orders", STATE.format(events="events"))
        ours, theirs = interleaved(
            lambda: state.over_time("1d", "count(*) FILTER (WHERE status = 'OrderPlaced')").arrow(),
            lambda: connection.sql(COURSE.format(events=typed)).to_arrow_table(),  # type: ignore[attr-defined]
            3,
        )
    name = 'over_time("1d", a count by status) over two years, against one window query'
    return Row(name, ours * 1e3, theirs * 1e3, 1.5)
