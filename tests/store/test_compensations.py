"""Compensation: once, of what is there, however many try; and what is effective then, at any moment."""

from __future__ import annotations

import datetime as dt
import itertools
import tempfile
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eventlab as el
from eventlab.session import compensations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAY = 86_400_000_000


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Yield a log of one event a day at most: an order, two payments of it, another order."""
    days = itertools.count(1)
    with el.open(tmp_path / "s", create=True, clock=lambda: next(days) * DAY) as opened:
        opened.define("Paid", {"amount": "DECIMAL(18,2)"})
        opened.append("order-1", el.Event("Placed", {"customer": "ann"}, event_id="placed-1"))
        opened.append("order-1", el.Event("Paid", {"amount": Decimal("1.50")}, event_id="paid-1"))
        opened.append("order-1", el.Event("Paid", {"amount": Decimal("1.50")}, event_id="paid-2"))
        opened.append("order-2", el.Event("Placed", {"customer": "bob"}, event_id="placed-2"))
        yield opened


def effective(log: Any) -> list[str]:
    """Return the ids of the effective events."""
    return [row[0] for row in log.sql("select event_id from events_effective order by position").fetchall()]


@pytest.mark.parametrize("sealed", [False, True])
def test_a_compensation_is_an_event_of_the_same_stream(log: el.EventLog, *, sealed: bool) -> None:
    """With the same payload, the reason, and the id of what it undoes; both stay in the log."""
    if sealed:
        log.seal()
    done = log.compensate("paid-2", reason="paid twice", actor="eve")
    assert (done.first_position, done.version, done.duplicate) == (5, 4, False)
    event = log.stream("order-1")[-1]
    assert (event.event_type, event.compensates, event.actor) == ("PaidCompensated", "paid-2", "eve")
    assert (event.payload, event.metadata) == ({"amount": Decimal("1.50")}, {"reason": "paid twice"})
    assert effective(log) == ["placed-1", "paid-1", "placed-2"]
    assert log.sql("select count(*), sum(Paid.amount) from events_effective").fetchall() == [(3, Decimal("1.50"))]
    assert log.sql("select count(*) from events").fetchall() == [(5,)]
    assert log.sql("select amount from paid_compensated").fetchall() == [(Decimal("1.50"),)]


def test_given_events_compensate_instead(log: el.EventLog) -> None:
    """All of them, with what they bring; at the time that they say."""
    events = [
        el.Event("Refunded", {"amount": 1}, metadata={"ticket": 7}, actor="bob", occurred_at="1970-01-04"),
        el.Event("Apologized", event_id="sorry"),
    ]
    done = log.compensate("paid-2", reason="paid twice", events=events)
    assert done.last_position - done.first_position == 1
    first, second = log.stream("order-1")[-2:]
    assert [first.compensates, second.compensates, second.event_id] == ["paid-2", "paid-2", "sorry"]
    assert (first.metadata, first.actor) == ({"ticket": 7, "reason": "paid twice"}, "bob")
    assert effective(log) == ["placed-1", "paid-1", "placed-2"]
    assert log.compensate("paid-2", reason="paid twice", events=events).duplicate
    with pytest.raises(el.AlreadyCompensated, match="at position 5"):
        log.compensate("paid-2", reason="paid twice", events=events[:1])
    assert log.compensate("paid-1", reason="x", events=el.Event("Refunded")).version == 6


@pytest.mark.parametrize("sealed", [False, True])
def test_an_event_is_undone_once(log: el.EventLog, *, sealed: bool) -> None:
    """The same call again is a duplicate; any other is refused and names the first, and writes nothing."""
    first = log.compensate("paid-2", reason="paid twice")
    if sealed:
        log.seal()
    again = log.compensate("paid-2", reason="paid twice")
    assert again.duplicate
    assert again.first_position == first.first_position
    others: list[dict[str, Any]] = [
        {"reason": "another"},
        {"reason": "paid twice", "actor": "eve"},
        {"reason": "paid twice", "events": [el.Event("Refunded")]},
        {"reason": "paid twice", "events": [el.Event("Refunded"), el.Event("Apologized")]},
        {"reason": "paid twice", "events": [el.Event("Refunded", event_id="mine")]},
        {"reason": "paid twice", "events": [el.Event("Refunded", event_id="placed-1")]},
    ]
    for other in others:
        with pytest.raises(
            el.AlreadyCompensated, match=r"'paid-2' is compensated already, by '.*' at position 5"
        ) as caught:
            log.compensate("paid-2", **other)
        assert caught.value.event_id == "paid-2"
        assert caught.value.by == log.stream("order-1")[-1].event_id
    assert log.position == 5


@pytest.mark.parametrize("sealed", [False, True])
def test_what_a_plain_append_compensates_is_undone_too(log: el.EventLog, *, sealed: bool) -> None:
    """From another stream, with an id of its own."""
    log.append("refunds-1", el.Event("Refunded", event_id="mine", compensates="paid-2"))
    if sealed:
        log.seal()
    with pytest.raises(el.AlreadyCompensated, match="by 'mine' at position 5"):
        log.compensate("paid-2", reason="paid twice")
    assert effective(log) == ["placed-1", "paid-1", "placed-2"]


def test_an_id_of_another_event_is_a_conflict(log: el.EventLog) -> None:
    """Where nothing is compensated yet, the id is what is wrong."""
    with pytest.raises(el.IdempotencyConflict, match="placed-1"):
        log.compensate("paid-2", reason="x", events=el.Event("Refunded", event_id="placed-1"))
    assert log.position == 4


@pytest.mark.parametrize(
    ("event_id", "said"),
    [
        ("paid-3", r"no event 'paid-3'\. Did you mean 'paid-[12]'"),
        ("xaid-2", r"no event 'xaid-2'\. Did you mean 'paid-2'"),
        ("order-1", r"(?s)no event 'order-1'.*a stream; its last event is 'paid-2'"),
        ("nothing like it", r"(?s)no event 'nothing like it'\.\n.*log.stream"),
        (2, "not text"),
        ("", "empty"),
    ],
)
def test_an_event_that_is_not_there_is_not_undone(log: el.EventLog, event_id: Any, said: str) -> None:
    """With the ids that come near, or the stream that was meant."""
    with pytest.raises(el.EventlabError, match=said):
        log.compensate(event_id, reason="x")


def test_a_compensation_is_not_undone(log: el.EventLog) -> None:
    """What holds after all is appended again."""
    log.compensate("paid-2", reason="paid twice")
    undone = log.stream("order-1")[-1].event_id
    with pytest.raises(el.InvalidArgument, match=r"(?s)is a compensation itself, of 'paid-2'.*append again"):
        log.compensate(undone, reason="no, once")


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": ""},
        {"reason": None},
        {"reason": "x", "events": []},
        {"reason": "x", "events": ["Refunded"]},
        {"reason": "x", "events": [el.Event("Refunded", compensates="paid-1")]},
        {"reason": "x", "events": [el.Event("Refunded", metadata="x")]},  # type: ignore[arg-type]
        {"reason": "x", "actor": ""},
    ],
)
def test_what_is_no_compensation_writes_nothing(log: el.EventLog, wrong: dict[str, Any]) -> None:
    """No reason, no events, or events of another."""
    with pytest.raises((el.InvalidArgument, el.InvalidEvent)):
        log.compensate("paid-2", **wrong)
    assert log.position == 4


def test_a_strict_store_wants_the_type_defined_and_a_reader_writes_nothing(log: el.EventLog, tmp_path: Path) -> None:
    """As for any append."""
    with el.open(tmp_path / "strict", create=True, strict=True) as strict:
        strict.define("Paid", {"amount": "INTEGER"})
        strict.append("o", el.Event("Paid", {"amount": 1}, event_id="p"))
        with pytest.raises(el.InvalidEvent, match="'PaidCompensated' is not defined"):
            strict.compensate("p", reason="x")
        strict.define("PaidCompensated", {"amount": "INTEGER"})
        assert strict.compensate("p", reason="x").version == 2
    log.seal()
    with el.open(log.path, read_only=True) as reader, pytest.raises(el.StoreReadOnly):
        reader.compensate("paid-2", reason="x")


def test_it_counts_from_when_it_occurs_and_from_when_it_is_known(log: el.EventLog) -> None:
    """From now on, unless it says that it was before."""
    log.compensate("paid-2", reason="paid twice")
    whole, left = ["placed-1", "paid-1", "paid-2", "placed-2"], ["placed-1", "paid-1", "placed-2"]
    *_, last, undone = (event.occurred_at for event in log.read())
    assert effective(log.at(last)) == whole
    assert effective(log.at(undone)) == effective(log) == left
    assert effective(log.at(undone, known_at=4)) == effective(log.at(known_at=last)) == whole
    log.compensate("paid-1", reason="never was", events=el.Event("Refunded", occurred_at=last))
    assert effective(log.at(last)) == ["placed-1", "paid-2", "placed-2"]
    assert effective(log.at(last, known_at=5)) == whole


def test_a_state_over_effective_events_follows(log: el.EventLog) -> None:
    """Now, in a session that has folded before, at moments, and as a relation; beside the same over all events."""
    text = "select stream_id, count(*) as n, sum(Paid.amount) as paid from {} group by stream_id"
    orders = log.define_state("orders", text.format("events_effective"))
    whole = log.define_state("whole", text.format("events"))
    assert min(orders.now().fetchall()) == ("order-1", 3, Decimal("3.00"))
    log.compensate("paid-2", reason="paid twice")
    assert min(orders.now().fetchall()) == ("order-1", 2, Decimal("1.50"))
    assert min(whole.now().fetchall()) == ("order-1", 4, Decimal("3.00"))
    assert min(orders.at(4).fetchall()) == ("order-1", 3, Decimal("3.00"))
    log.seal()
    log.compensate("placed-2", reason="no such order")
    assert orders.now().fetchall() == [("order-1", 2, Decimal("1.50"))]
    assert log.sql("from orders").fetchall() == [("order-1", 2, Decimal("1.50"))]
    assert orders.get("order-2").fetchall() == []
    assert orders.diff(4, 6).pl().sort("stream_id")["change"].to_list() == ["changed", "removed"]


def _compensates(rival: el.EventLog) -> None:
    rival.compensate("paid-2", reason="the rival's")


def _appends(rival: el.EventLog) -> None:
    rival.append("elsewhere", el.Event("Refunded", compensates="paid-2", event_id="rival"))


def _appends_and_seals(rival: el.EventLog) -> None:
    _appends(rival)
    rival.seal()


@pytest.mark.parametrize("rivalry", [_compensates, _appends, _appends_and_seals])
def test_of_two_processes_one_is_refused(
    log: el.EventLog, monkeypatch: pytest.MonkeyPatch, rivalry: Callable[[el.EventLog], None]
) -> None:
    """A rival commits between our look and our append."""
    append = compensations.appends.append
    with el.open(log.path) as rival:

        def late(*args: Any, **more: Any) -> Any:
            monkeypatch.setattr(compensations.appends, "append", append)
            rivalry(rival)
            return append(*args, **more)

        monkeypatch.setattr(compensations.appends, "append", late)
        with pytest.raises(el.AlreadyCompensated) as caught:
            log.compensate("paid-2", reason="ours")
    assert (caught.value.position, log.position) == (5, 5)
    assert log.compensate("paid-1", reason="ours").first_position == 6


def test_of_many_threads_one_wins(log: el.EventLog) -> None:
    """Each with a log of its own and a reason of its own."""
    won: list[int] = []
    lost: list[el.AlreadyCompensated] = []

    def run(number: int) -> None:
        with el.open(log.path) as mine:
            try:
                won.append(mine.compensate("paid-2", reason=f"reason {number}").first_position)
            except el.AlreadyCompensated as error:
                lost.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [5]
    assert {error.position for error in lost} == {5}
    assert len(lost) == 7


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 3)),
        st.tuples(st.just("compensate"), st.integers(1, 12)),
        st.tuples(st.just("foreign"), st.integers(1, 12)),
        st.tuples(st.just("seal"), st.just(0)),
    ),
    max_size=14,
)


@given(actions=ACTIONS)
@settings(max_examples=20, deadline=None)
def test_what_is_effective_is_a_set(actions: list[tuple[str, int]]) -> None:
    """Against a model of two sets, the undone and the undoing, after each step and at each earlier position."""
    with tempfile.TemporaryDirectory() as folder, el.open(folder, create=True) as log:
        undone: set[str] = set()
        undoing: set[str] = set()
        models: list[set[str]] = [set()]
        for what, number in actions:
            head = log.position
            ids = [event.event_id for event in log.read()]
            if what == "append":
                log.append(f"s-{number}", el.Event("Happened", {"n": number}))
            elif what == "seal":
                log.seal()
            elif number > head:
                continue
            elif what == "foreign":
                log.append("elsewhere", el.Event("Undone", compensates=ids[number - 1]))
                undone.add(ids[number - 1])
            elif ids[number - 1] in undoing:
                with pytest.raises(el.InvalidArgument):
                    log.compensate(ids[number - 1], reason="why")
            elif ids[number - 1] in undone:
                with pytest.raises(el.AlreadyCompensated):
                    log.compensate(ids[number - 1], reason=f"not {number}")
            else:
                log.compensate(ids[number - 1], reason="why")
                undone.add(ids[number - 1])
            for event in log.read(after=head):
                undoing |= {event.event_id} if event.compensates else set()
                models.append({known.event_id for known in log.read()} - undone - undoing)
        assert len(models) == log.position + 1
        for position, model in enumerate(models):
            assert set(effective(log.at(position))) == model
        assert set(effective(log)) == models[-1]


def test_the_ids_of_compensations_follow_from_the_event(tmp_path: Path) -> None:
    """So that a retry after a crash, in another process, is the same append."""
    ids = []
    for name in ("a", "b"):
        with el.open(tmp_path / name, create=True) as log:
            log.append("o", el.Event("Paid", event_id="p"))
            log.compensate("p", reason=name)
            ids.append(log.stream("o")[-1].event_id)
            assert log.stream("o")[-1].occurred_at > dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    assert ids[0] == ids[1]
