"""Every answer of a state against folds in plain Python, over random histories: late events, ties, seals, schema changes."""

from __future__ import annotations

import datetime as dt
import itertools
import statistics
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import eventlab as el
from eventlab.session import Scope
from eventlab.states import keepers, snapshots
from eventlab.states.splits import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ZONE = ZoneInfo("America/New_York")
STARTS = (dt.datetime(2026, 3, 6, tzinfo=ZONE), dt.datetime(2026, 10, 30, tzinfo=ZONE))  # both clock changes
HOUR = 3_600_000_000
STREAMS = ("order-1", "order-2", "cart-1", "cart-2")


@dataclass
class Seen:
    """An event as the oracle keeps it; times in microseconds."""

    position: int
    stream: str
    kind: str
    amount: float | None
    cust: str | None
    occurred: int


Events = list[Seen]
Fold = "Callable[[Events], Any]"


def present(values: Sequence[Any]) -> list[Any]:
    """Return the values that are not NULL."""
    return [value for value in values if value is not None]


def total(events: Events) -> float | None:
    """Return the sum of amounts, NULL of none."""
    amounts = present([seen.amount for seen in events])
    return sum(amounts) if amounts else None


def extreme(events: Events, by: Callable[[Seen], Any], *, most: bool) -> str | None:
    """Return the customer at the most (the latest of equals) or the least (the first of equals) of something."""
    rows = [(by(seen), seen.position, seen.cust) for seen in events if seen.cust is not None and by(seen) is not None]
    return (max(rows) if most else min(rows))[2] if rows else None


def commonest(events: Events) -> str | None:
    """Return the most frequent customer, the first to come of equals."""
    counts = Counter(present([seen.cust for seen in events]))
    return max(counts, key=lambda cust: counts[cust]) if counts else None


def spread(events: Events) -> float | None:
    """Return the largest amount less the smallest."""
    amounts = present([seen.amount for seen in events])
    return max(amounts) - min(amounts) if amounts else None


AGGREGATES: dict[str, Callable[[Events], Any]] = {
    "sum(Placed.amount)": total,
    "coalesce(sum(Placed.amount), 0) + count(*)": lambda es: (total(es) or 0) + len(es),
    "avg(Placed.amount)": lambda es: statistics.fmean(a) if (a := present([e.amount for e in es])) else None,
    "median(Placed.amount)": lambda es: statistics.median(a) if (a := present([e.amount for e in es])) else None,
    "max(Placed.amount) - min(Placed.amount)": spread,
    "count(distinct Placed.cust)": lambda es: len(set(present([e.cust for e in es]))),
    "count(distinct Placed.cust) filter (Placed.amount > 2)": lambda es: len(
        {e.cust for e in es if e.cust and (e.amount or 0) > 2}
    ),
    "list(distinct Placed.cust) filter (Placed.cust is not null)": lambda es: (
        sorted(set(present([e.cust for e in es]))) or None
    ),
    "list(Placed.amount)": lambda es: [e.amount for e in es] or None,
    "list(Placed.cust order by occurred_at desc) filter (Placed.cust is not null)": lambda es: (
        [e.cust for e in sorted(es, key=lambda e: (-e.occurred, e.position)) if e.cust] or None
    ),
    "string_agg(event_type, ',')": lambda es: ",".join(e.kind for e in es) or None,
    "first(Placed.amount)": lambda es: es[0].amount if es else None,
    "last(Placed.cust)": lambda es: es[-1].cust if es else None,
    "last(Placed.cust) filter (Placed.cust is not null)": lambda es: (present([e.cust for e in es]) or [None])[-1],
    "first(event_type order by occurred_at)": lambda es: (
        min(es, key=lambda e: (e.occurred, e.position)).kind if es else None
    ),
    "any_value(Placed.cust)": lambda es: (present([e.cust for e in es]) or [None])[0],
    "arg_max(Placed.cust, Placed.amount)": lambda es: extreme(es, lambda e: e.amount, most=True),
    "arg_min(Placed.cust, occurred_at) filter (Placed.amount > 1)": lambda es: extreme(
        [e for e in es if (e.amount or 0) > 1], lambda e: e.occurred, most=False
    ),
    "mode(Placed.cust)": commonest,
    "epoch_us(min(occurred_at))": lambda es: min((e.occurred for e in es), default=None),
    "case when bool_or(event_type = 'Paid') then 'paid' else 'open' end": lambda es: (
        "paid" if any(e.kind == "Paid" for e in es) else "open"
    ),
}
MERGED = [text for text in AGGREGATES if "distinct" not in text and "mode" not in text]
KEYS: dict[str, Callable[[Seen], Any]] = {
    "stream_id": lambda e: e.stream,
    "Placed.cust": lambda e: e.cust,
    "split_part(stream_id, '-', 1)": lambda e: e.stream.split("-")[0],
    "event_type": lambda e: e.kind,
}
WHERES: dict[str, Callable[[Seen], bool]] = {
    "": lambda _: True,
    "where event_type = 'Placed'": lambda e: e.kind == "Placed",
    "where Placed.amount > 1 or event_type = 'Paid'": lambda e: e.kind == "Paid" or (e.amount or 0) > 1,
}
HAVINGS: dict[str, Callable[[Events], bool]] = {
    "": lambda _: True,
    "having n > 1": lambda es: len(es) > 1,
    "having count(*) = 1 or sum(Placed.amount) > 4": lambda es: len(es) == 1 or (total(es) or 0) > 4,
}


@dataclass(frozen=True)
class Spec:
    """A state: its SELECT, and the same in Python."""

    keys: tuple[str, ...]
    aggregates: tuple[str, ...]
    where: str
    having: str

    @property
    def text(self) -> str:
        """The SELECT, with the keys first, then how many events, then the aggregates."""
        shown = [f"{key} as key_{n}" for n, key in enumerate(self.keys)]
        shown += ["count(*) as n", *(f"{text} as v{n}" for n, text in enumerate(self.aggregates))]
        group = f"group by {', '.join(f'key_{n}' for n in range(len(self.keys)))}" if self.keys else ""
        return f"select {', '.join(shown)} from events {self.where} {group} {self.having}"

    def key(self, seen: Seen) -> tuple[Any, ...]:
        """Return the key of an event."""
        return tuple(KEYS[key](seen) for key in self.keys)

    def fold(self, events: Events) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Return the values of each key."""
        groups: dict[tuple[Any, ...], Events] = {} if self.keys else {(): []}
        for seen in filter(WHERES[self.where], events):
            groups.setdefault(self.key(seen), []).append(seen)
        return {
            key: plain((len(group), *(AGGREGATES[text](group) for text in self.aggregates)))
            for key, group in groups.items()
            if HAVINGS[self.having](group)
        }

    def rows(self, result: Any) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Return the values of each key as a result has them."""
        rows = result.fetchall()
        answer = {row[: len(self.keys)]: plain(row[len(self.keys) :]) for row in rows}
        assert len(answer) == len(rows)
        return answer


def plain(value: Any) -> Any:
    """Return a value with all of its numbers as floats, so that 1 and 1.00 are equal, and rounded where they are means."""
    if isinstance(value, (list, tuple)):
        return tuple(map(plain, value))
    return round(float(value), 9) if isinstance(value, (int, float, Decimal)) else value


specs = st.builds(
    Spec,
    st.lists(st.sampled_from(list(KEYS)), max_size=2, unique=True).map(tuple),
    st.one_of(
        st.lists(st.sampled_from(MERGED), min_size=1, max_size=4, unique=True),
        st.lists(st.sampled_from(MERGED), min_size=1, max_size=4, unique=True),
        st.lists(st.sampled_from(list(AGGREGATES)), min_size=1, max_size=4, unique=True),
    ).map(tuple),
    st.sampled_from(list(WHERES)),
    st.sampled_from(list(HAVINGS)),
)
appends = st.tuples(
    st.just("append"),
    st.lists(
        st.tuples(
            st.sampled_from(STREAMS),
            st.sampled_from(["Placed", "Placed", "Paid", "Noted"]),
            st.sampled_from([None, 1, 2, 2, 3, 2.5]),
            st.sampled_from([None, "ann", "bob", "cy"]),
            st.integers(0, 24 * 6),
        ),
        min_size=1,
        max_size=5,
    ),
)
numbers = st.integers(0, 1000)
steps = st.one_of(
    appends,
    appends,
    st.tuples(
        st.sampled_from(["seal", "compact", "reopen", "ingest", "snapshot", "now", "basis", "redefine"]),
        st.tuples(numbers, numbers),
    ),
)


@dataclass
class World:
    """A log, the state in it, and what the oracle knows of both."""

    path: Path
    start: dt.datetime
    spec: Spec
    log: el.EventLog = field(init=False)
    events: Events = field(default_factory=list)
    corners: list[tuple[int, int]] = field(default_factory=list)
    promised: dict[str, tuple[Spec, Any]] = field(default_factory=dict)
    clock: itertools.count[int] = field(default_factory=lambda: itertools.count(2 * 10**15))

    def __post_init__(self) -> None:
        self.open()
        self.log.define("Placed", {"amount": "BIGINT", "cust": "VARCHAR"})
        self.define(self.spec)

    def open(self) -> None:
        """Open the log."""
        self.log = el.open(self.path, create=True, timezone="America/New_York", clock=lambda: next(self.clock))

    def define(self, spec: Spec) -> None:
        """Define the state, anew or again."""
        self.spec = spec
        self.log.define_state("s", spec.text)

    @property
    def state(self) -> el.State:
        """The state."""
        return self.log.state("s")

    def instant(self, hour: int) -> int:
        """Return an instant so many hours after the start."""
        return int(self.start.timestamp()) * 1_000_000 + hour * HOUR

    def moment(self, hour: int) -> dt.datetime:
        """Return an instant as users give it."""
        return dt.datetime.fromtimestamp(self.instant(hour) / 1e6, tz=ZONE)

    def within(self, at: int | None, position: int | None) -> Events:
        """Return the events that occurred by an instant among the first so many."""
        return [
            seen
            for seen in self.events
            if (at is None or seen.occurred <= at) and (position is None or seen.position <= position)
        ]

    def take(self, step: str, given: Any) -> None:  # noqa: C901 - one branch a step
        """Take a step of a history."""
        match step:
            case "append":
                for row in given:
                    self.append(*row)
            case "ingest":
                self.ingest(given[0] % 144)
            case "seal":
                self.log.seal()
            case "compact":
                self.log.compact()
            case "reopen":
                self.log.close()
                self.open()
            case "snapshot":
                self.snapshot(*given)
            case "now":
                assert self.spec.rows(self.state.now()) == self.spec.fold(self.events)
            case "basis":
                view = self.log.at(self.moment(given[0] % 144) if given[1] % 2 else None)
                assert self.spec.rows(view.state("s").now()) == self.spec.fold(
                    self.within(self.instant(given[0] % 144) if given[1] % 2 else None, None)
                )
                self.promised[view.basis] = (self.spec, view.state("s").now().relation.fetchall())
            case "redefine":
                aggregates = (list(AGGREGATES)[given[0] % len(AGGREGATES)], *self.spec.aggregates)[:3]
                self.define(Spec(self.spec.keys, tuple(dict.fromkeys(aggregates)), self.spec.where, self.spec.having))

    def append(self, stream: str, kind: str, amount: float | None, cust: str | None, hour: int) -> None:
        """Append an event; one of a kind of its own in each field widens, adds, or is a new type."""
        payload = {"amount": amount, "cust": cust} if kind == "Placed" else {"about": cust, f"n{hour % 3}": amount}
        if kind == "Placed" and isinstance(amount, float) and self.log.position % 2:
            self.log.define("Placed", {"amount": "DOUBLE", "cust": "VARCHAR", "more": "VARCHAR"})
        elif kind == "Placed" and isinstance(amount, float) and not self.wide:
            payload["amount"] = amount = 2
        occurred = self.instant(hour)
        self.log.append(stream, el.Event(kind, payload, occurred_at=self.moment(hour)))
        placed = kind == "Placed"
        self.events.append(
            Seen(len(self.events) + 1, stream, kind, amount if placed else None, cust if placed else None, occurred)
        )

    @property
    def wide(self) -> bool:
        """Whether amounts may be fractions by now."""
        return self.log.sql("select Placed.amount from events").types[0] == "DOUBLE"

    def ingest(self, hour: int) -> None:
        """Load three events at once, all at one time."""
        rows = [
            {"s": stream, "amount": n, "cust": "ann", "load": len(self.events), "at": self.moment(hour)}
            for n, stream in enumerate(STREAMS[:3])
        ]
        self.log.ingest(
            rows,
            event_type="'Placed'",
            stream_id="s",
            occurred_at='"at"',
            event_id="concat('load-', load, '-', s)",
            payload=["amount", "cust"],
        )
        for row in rows:
            self.events.append(Seen(len(self.events) + 1, row["s"], "Placed", row["amount"], "ann", self.instant(hour)))

    def snapshot(self, hour: int, position: int) -> None:
        """Take a snapshot of a rectangle, if the state can have one."""
        catalog = self.log._catalog
        registry = catalog.registry()
        entry = registry.states["s"]
        parts = catalog.parts(entry, registry)
        if isinstance(parts, Split) and not parts.reason:
            served = catalog.served("s", parts, entry, registry)
            at = None if hour % 3 == 0 else self.instant(hour % 144)
            scope = Scope(at, position % (len(self.events) + 1))
            keepers.take(catalog.session, served, scope)
            self.corners.append((hour % 144, scope.position or 0))
            event("snapshot taken")


def check_moments(world: World, questions: Sequence[tuple[int, int]]) -> None:
    """Check the state at moments on either clock and both, in Python and in SQL, and the difference of two."""
    spec, state, log = world.spec, world.state, world.log
    head = len(world.events)
    for hour, place in questions:
        at, position = world.moment(hour), place % (head + 1)
        instant = world.instant(hour)
        assert spec.rows(state.at(at)) == spec.fold(world.within(instant, None))
        assert spec.rows(state.at(position)) == spec.fold(world.within(None, position))
        expected = spec.fold(world.within(instant, position))
        assert spec.rows(state.at(at, known_at=position)) == expected
        view = log.at(at, known_at=position)
        assert spec.rows(view.state("s").now()) == expected
        assert spec.rows(view.sql("from s")) == expected
    assert spec.rows(log.sql("from s")) == spec.fold(world.events)
    params = {"t": at, "k": position}
    assert spec.rows(log.sql("from s_at($t, known_at := $k)", params)) == expected
    before, after = spec.fold(world.within(None, position)), spec.fold(world.within(instant, None))
    expected_diff = {
        key: (
            "added" if key not in before else "removed" if key not in after else "changed",
            *itertools.chain.from_iterable(
                zip(
                    before.get(key, (None,) * (1 + len(spec.aggregates))),
                    after.get(key, (None,) * (1 + len(spec.aggregates))),
                    strict=True,
                )
            ),
        )
        for key in {*before, *after}
        if before.get(key) != after.get(key)
    }
    assert spec.rows(state.diff(position, at)) == expected_diff
    params = {"a": position, "b": at}
    assert spec.rows(log.sql("from s_diff($a, $b)", params)) == expected_diff


def check_history(world: World) -> None:
    """Check each state that each key has been in, and until when."""
    spec, size = world.spec, len(world.spec.keys)
    chosen = [seen for seen in world.events if WHERES[spec.where](seen)]
    expected = {}
    for seen in chosen:
        values = spec.fold(world.within(None, seen.position)).get(spec.key(seen))
        if values is not None:
            later = [e.occurred for e in chosen if e.position > seen.position and spec.key(e) == spec.key(seen)]
            expected[seen.position] = (seen.occurred, later[0] if later else None, spec.key(seen), values)

    def read(result: Any) -> dict[int, Any]:
        columns = ", ".join(f'"{name}"' for name in result.columns[5:])
        rows = result.query("h", f"select position, epoch_us(occurred_at), epoch_us(valid_to), {columns} from h")
        return {row[0]: (row[1], row[2], row[3 : 3 + size], plain(row[3 + size :])) for row in rows.fetchall()}

    try:
        whole = world.state.history().relation
    except el.InvalidArgument as error:
        assert "Give one key" in error.hint  # noqa: PT017 - either is right
    else:
        assert read(whole) == expected
        assert read(world.log.sql("from s_history()")) == expected
    if size and chosen:
        key = spec.key(chosen[0])
        history = world.state.history(key).relation
        assert read(history) == {place: row for place, row in expected.items() if row[2] == key}
        now = spec.fold(world.events)
        assert spec.rows(world.state.get(key)) == ({key: now[key]} if key in now else {})


MEASURES: dict[str, Callable[[list[tuple[Any, ...]]], Any]] = {
    "count(*)": len,
    "count(*) filter (where n > 1)": lambda rows: sum(row[0] > 1 for row in rows),
    "sum(n)": lambda rows: sum(row[0] for row in rows) if rows else None,
    "sum(n) / count(*)": lambda rows: sum(row[0] for row in rows) / len(rows) if rows else None,
    "avg(n)": lambda rows: statistics.fmean(row[0] for row in rows) if rows else None,
    "median(n)": lambda rows: statistics.median(row[0] for row in rows) if rows else None,
    "max(n) - min(n)": lambda rows: max(row[0] for row in rows) - min(row[0] for row in rows) if rows else None,
    "count(distinct n)": lambda rows: len({row[0] for row in rows}),
}


def check_course(world: World, measure: str, every: str) -> None:
    """Check a measure as of the end of each bucket; days are those of New York, also when the clocks change."""
    if not world.events:
        return
    times = [seen.occurred for seen in world.events]
    ends = []
    if every == "1d":
        day = dt.datetime.fromtimestamp(min(times) / 1e6, tz=ZONE).date()
        while day <= dt.datetime.fromtimestamp(max(times) / 1e6, tz=ZONE).date():
            first, last = (dt.datetime.combine(day + dt.timedelta(n), dt.time(), ZONE) for n in (0, 1))
            ends.append((int(first.timestamp()) * 1_000_000, int(last.timestamp()) * 1_000_000))
            day += dt.timedelta(1)
    else:
        first = min(times) // (6 * HOUR)
        ends = [(n * 6 * HOUR, (n + 1) * 6 * HOUR) for n in range(first, max(times) // (6 * HOUR) + 1)]
    expected = [
        (start, plain(MEASURES[measure](list(world.spec.fold(world.within(end - 1, None)).values()))), end > max(times))
        for start, end in ends
    ]
    course = world.state.over_time(every, measure).relation
    rows = course.query("c", "select epoch_us(bucket), value, partial from c order by 1").fetchall()
    assert [(start, plain(value), partial) for start, value, partial in rows] == expected


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    start=st.sampled_from(STARTS),
    spec=specs,
    history=st.lists(steps, min_size=4, max_size=14),
    rectangles=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=3),
    questions=st.lists(st.tuples(st.integers(0, 24 * 6), numbers), min_size=1, max_size=2),
    measure=st.sampled_from(list(MEASURES)),
    every=st.sampled_from(["1d", "6h"]),
    often=st.booleans(),
)
def test_every_answer_is_the_fold_by_hand(
    start: dt.datetime,
    spec: Spec,
    history: list[tuple[str, Any]],
    rectangles: list[tuple[int, int]],
    questions: list[tuple[int, int]],
    measure: str,
    every: str,
    often: bool,
) -> None:
    """Now, at both clocks, history, difference, course, one key, SQL and basis tokens, with any snapshots there may be."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        if often:
            patch.setattr(snapshots, "EVERY", 2)
        world = World(Path(folder) / "s", start, spec)
        try:
            for step, given_ in history:
                world.take(step, given_)
            assert world.spec.rows(world.state.now()) == world.spec.fold(world.events)
            for rectangle in rectangles:
                world.snapshot(*rectangle)
            # the corners of snapshots and what lies beyond them, too
            check_moments(
                world, [*questions, *world.corners[-2:], *((hour + 9, 1000) for hour, _ in world.corners[-2:])]
            )
            check_history(world)
            check_course(world, measure, every)
            for basis, (old, rows) in world.promised.items():
                again = world.log.at(basis).state("s").now().relation.fetchall()
                assert sorted(again, key=repr) == sorted(rows, key=repr)
                assert old.rows(world.state.at(basis)) == old.rows(world.log.at(basis).state("s").now())
            assert world.log._catalog.keeper.failure is None
        finally:
            world.log.close()
