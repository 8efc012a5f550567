"""Appending through ``el.open``: expectations, transactions, idempotency, types, and what is refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

import eventlab as el

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLACED = el.Event("OrderPlaced", {"customer": "c1", "amount": Decimal("12.50")})


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Yield an empty log."""
    with el.open(tmp_path / "shop", create=True) as opened:
        yield opened


def test_an_append_says_where_its_events_are(log: el.EventLog) -> None:
    """Positions run over the log, versions within a stream, and a result tells of both."""
    assert log.position == 0
    first = log.append("order-1", PLACED, expected_version=0)
    assert (first.first_position, first.last_position, first.version, first.duplicate) == (1, 1, 1, False)
    log.append("order-2", PLACED)
    third = log.append("order-1", [PLACED, PLACED], expected_version=1)
    assert (third.first_position, third.last_position, third.version) == (3, 4, 3)
    assert third.recorded_at.utcoffset() == dt.timedelta()
    assert log.position == 4
    assert [(e.position, e.version) for e in log.stream("order-1")] == [(1, 1), (3, 2), (4, 3)]


@pytest.mark.parametrize(
    ("stream_id", "expected", "passes"),
    [
        ("order-1", 2, True),
        ("order-1", 1, False),
        ("order-1", 3, False),
        ("order-1", 0, False),
        ("order-1", el.EXISTS, True),
        ("order-1", el.ANY, True),
        ("order-1", None, True),
        ("order-9", 0, True),
        ("order-9", 1, False),
        ("order-9", el.EXISTS, False),
        ("order-9", el.ANY, True),
    ],
)
@pytest.mark.parametrize("sealed", [False, True])
def test_an_expectation_holds_or_nothing_is_written(
    log: el.EventLog, stream_id: str, expected: int | str | None, passes: bool, sealed: bool
) -> None:
    """Each kind, on a stream with two events and on one that does not exist, before and after a seal."""
    log.append("order-1", [PLACED, PLACED])
    if sealed:
        log.seal()
    if passes:
        log.append(stream_id, PLACED, expected_version=expected)
        assert log.position == 3
        return
    with pytest.raises(el.WrongExpectedVersion) as caught:
        log.append(stream_id, PLACED, expected_version=expected)
    actual = 2 if stream_id == "order-1" else 0
    assert [(f.stream, f.expected, f.actual) for f in caught.value.failures] == [(stream_id, expected, actual)]
    assert log.position == 2


def test_every_violated_expectation_is_told_at_once(log: el.EventLog) -> None:
    """Of the stream and of others, in a transaction of all its appends."""
    log.append("customer-c1", el.Event("CustomerJoined"))
    with pytest.raises(el.WrongExpectedVersion) as caught:
        log.append("order-1", PLACED, expected_version=4, expect={"customer-c1": 7, "stock-1": 0, "stock-2": el.EXISTS})
    assert [(f.stream, f.expected, f.actual) for f in caught.value.failures] == [
        ("order-1", 4, 0),
        ("customer-c1", 7, 1),
        ("stock-2", "exists", 0),
    ]
    with pytest.raises(el.WrongExpectedVersion) as caught, log.transaction() as tx:
        tx.append("order-1", PLACED, expected_version=1)
        tx.append("order-2", PLACED, expected_version=0)
        tx.append("order-3", PLACED, expected_version=2, expect={"order-2": 9})
    assert [(f.stream, f.expected, f.actual) for f in caught.value.failures] == [
        ("order-1", 1, 0),
        ("order-3", 2, 0),
        ("order-2", 9, 1),
    ]
    assert log.position == 1


def test_a_transaction_is_all_or_nothing_and_sees_itself(log: el.EventLog) -> None:
    """Its appends see those before it; an error in its block writes nothing; an empty one is no append."""
    with log.transaction() as tx:
        tx.append("order-1", PLACED, expected_version=0)
        tx.append("stock-9", el.Event("StockReserved", {"qty": 1}), expect={"order-1": 1})
        tx.append("order-1", el.Event("OrderConfirmed"), expected_version=1)
    assert tx.result is not None
    assert (tx.result.first_position, tx.result.last_position) == (1, 3)
    assert [event.stream_id for event in log.read()] == ["order-1", "stock-9", "order-1"]
    with pytest.raises(ZeroDivisionError), log.transaction() as tx:
        tx.append("order-1", PLACED)
        1 / 0  # noqa: B018 - it raises
    with log.transaction() as empty:
        pass
    assert empty.result is None
    assert log.position == 3


@pytest.mark.parametrize("sealed", [False, True])
def test_a_retry_is_a_duplicate_before_its_expectations_are_looked_at(log: el.EventLog, sealed: bool) -> None:
    """The same ids with the same content succeed with the first positions, in the tail and in the lake."""
    event = el.Event("OrderPlaced", {"b": 1, "a": 2.5}, event_id="e-1", occurred_at="2026-01-01", metadata={"k": [1]})
    first = log.append("order-1", event, expected_version=0)
    log.append("order-1", PLACED)
    if sealed:
        log.seal()
    again = log.append("order-1", dataclasses.replace(event, payload={"a": 2.5, "b": 1}), expected_version=0)
    assert again == dataclasses.replace(first, duplicate=True)
    assert log.append("order-1", dataclasses.replace(event, occurred_at=None)).duplicate  # not given: not compared
    assert log.position == 2


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize(
    ("stream_id", "change", "named"),
    [
        ("order-2", {}, "stream"),
        ("order-1", {"type": "OrderPaid"}, "type"),
        ("order-1", {"payload": {"a": 2}}, "payload"),
        ("order-1", {"occurred_at": "2026-01-02"}, "occurred_at"),
        ("order-1", {"actor": "eve"}, "actor"),
        ("order-1", {"metadata": None}, "metadata"),
    ],
)
def test_an_id_with_other_content_is_a_conflict(
    log: el.EventLog, stream_id: str, change: dict[str, Any], named: str, sealed: bool
) -> None:
    """Whatever differs is named, and nothing is written."""
    event = el.Event("OrderPlaced", {"a": 1}, event_id="e-1", occurred_at="2026-01-01", actor="ann", metadata={"k": 1})
    log.append("order-1", event)
    if sealed:
        log.seal()
    with pytest.raises(el.IdempotencyConflict, match=named) as caught:
        log.append(stream_id, dataclasses.replace(event, **change))
    assert caught.value.event_ids == ["e-1"]
    assert "new event_id" in caught.value.hint
    assert log.position == 1


def test_known_and_new_ids_together_are_refused_and_told_apart(log: el.EventLog) -> None:
    """Also where a new event has no id of its own; a retried transaction is one duplicate."""
    known, new = (el.Event("Ticked", {"n": n}, event_id=f"e-{n}") for n in (1, 2))
    with log.transaction() as tx:
        tx.append("a", known)
        tx.append("b", el.Event("Ticked", {"n": 0}, event_id="e-0"))
    with pytest.raises(el.PartialDuplicate) as caught:
        log.append("a", [known, new])
    assert (caught.value.known, caught.value.new) == (["e-1"], ["e-2"])
    with pytest.raises(el.PartialDuplicate):
        log.append("a", [known, PLACED])
    with log.transaction() as again:
        again.append("a", known)
        again.append("b", el.Event("Ticked", {"n": 0}, event_id="e-0"))
    assert again.result is not None
    assert tx.result is not None
    assert again.result == dataclasses.replace(tx.result, duplicate=True)
    assert log.position == 2


@pytest.mark.parametrize(
    ("stream_id", "event", "said"),
    [
        ("", PLACED, "is empty"),
        ("   ", PLACED, "is empty"),
        ("a\nb", PLACED, "control characters"),
        ("s" * 513, PLACED, "513 characters"),
        ("a\ud800", PLACED, "surrogate"),
        (7, PLACED, "not text"),
        ("s", el.Event(""), "is empty"),
        ("s", el.Event("T" * 513), "513 characters"),
        ("s", el.Event("Position"), "column"),
        ("s", el.Event("month"), "column"),
        ("s", el.Event("orderplaced"), "case only"),
        ("s", el.Event("T", [1]), "not an object"),  # type: ignore[arg-type]
        ("s", el.Event("T", "text"), "not an object"),
        ("s", el.Event("T", {"x": math.nan}), "nan"),
        ("s", el.Event("T", {"x": [{"y": math.inf}]}), "inf"),
        ("s", el.Event("T", {1: 2}), "key"),
        ("s", el.Event("T", {"x": "\ud800"}), "surrogate"),
        ("s", el.Event("T", {"x": object()}), "object"),
        ("s", el.Event("T", {"x": "a" * 16_000_001}), "16,000"),
        ("s", el.Event("T", occurred_at="yesterday"), "occurred_at"),
        ("s", el.Event("T", occurred_at="2026-02-30"), "occurred_at"),
        ("s", el.Event("T", occurred_at=5), "occurred_at"),  # type: ignore[arg-type]
        ("s", el.Event("T", event_id=""), "event id"),
        ("s", el.Event("T", actor="a\0b"), "actor"),
        ("s", {"type": "T"}, "no event"),
        ("s", "T", "no event"),
        ("s", None, "no event"),
        ("s", [], "nothing to append"),
        ("s", [PLACED, "T"], "no event"),
        ("s", [el.Event("T", event_id="x"), el.Event("T", event_id="x")], "twice"),
    ],
)
def test_what_cannot_be_recorded_is_named_and_nothing_is_written(
    log: el.EventLog, stream_id: Any, event: Any, said: str
) -> None:
    """One clear error with a hint, whatever is wrong with an event; the events beside it are not written either."""
    log.append("order-1", PLACED)
    with pytest.raises(el.InvalidEvent, match=said), log.transaction() as tx:
        tx.append("order-2", PLACED)
        tx.append(stream_id, event)
    assert log.position == 1
    assert log.sql("from event_types").fetchall()[0][0] == "OrderPlaced"
    assert len(log.sql("from event_types").fetchall()) == 1


@pytest.mark.parametrize("expected", [-1, True, "new", 1.5])
def test_an_expectation_has_its_form(log: el.EventLog, expected: Any) -> None:
    """A number of events, el.ANY or el.EXISTS, of this stream and of others."""
    for options in ({"expected_version": expected}, {"expect": {"other": expected}}):
        with pytest.raises(el.InvalidArgument, match=r"expected version") as caught:
            log.append("s", PLACED, **options)
        assert "el.EXISTS" in caught.value.hint
    assert log.position == 0


NAMES = [
    'it\'s "quoted"; drop table events --',
    "Größe 数 🎉",
    "a b",
    "$x {y} %s ?",
    "..",
    "/etc/passwd",
    "C:\\x",
    "null",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_works_everywhere(log: el.EventLog, name: str) -> None:
    """As stream, type, field, actor and text; in the tail, in the lake, by SQL, by reading, in a new process's eyes."""
    payload = {name: name, "nested": {name: [name]}}
    log.append(name, el.Event(name, payload, event_id=name, actor=name, metadata={name: name}))
    for _ in range(2):
        (event,) = log.stream(name)
        assert (event.stream_id, event.event_type, event.actor, event.payload) == (name, name, name, payload)
        assert event.metadata == {name: name}
        assert [e.position for e in log.read(types=[name])] == [1]
        view = log.sql("select view from event_types").fetchall()[0][0]
        assert log.sql(f'select * from "{view}"').pl()[name].to_list() == [name]
        quoted = name.replace('"', '""')
        assert log.sql(f'select "{quoted}"."{quoted}" from events').fetchall() == [(name,)]
        assert log.append(name, el.Event(name, payload, event_id=name, actor=name, metadata={name: name})).duplicate
        log.seal()
    with el.open(log.path) as again:
        assert again.stream(name)[0].payload == payload
        assert again.append(name, el.Event(name, {name: 5})).version == 2


def test_a_strict_store_takes_only_what_is_defined(tmp_path: Path) -> None:
    """An unknown type is refused with what to do."""
    with el.open(tmp_path / "s", create=True, strict=True) as log:
        with pytest.raises(el.InvalidEvent, match="strict") as caught:
            log.append("s", PLACED)
        assert "log.define" in caught.value.hint
        log.define("OrderPlaced", {"customer": "VARCHAR NOT NULL"})
        assert log.append("s", PLACED).version == 1


def test_a_defined_type_is_enforced(log: el.EventLog) -> None:
    """A missing field, a value that does not fit, are refused; a field that is not declared is kept in the payload."""
    log.define("OrderPlaced", {"customer": "VARCHAR NOT NULL", "amount": "DECIMAL(18,2)", "day": "DATE"})
    for payload, said in (
        ({}, "customer is missing"),
        ({"customer": None}, "customer is missing"),
        ({"customer": 5}, "customer"),
        ({"customer": "c", "amount": "much"}, "amount"),
        ({"customer": "c", "amount": Decimal("1.234")}, "amount"),
        ({"customer": "c", "day": "2026-02-30"}, "day"),
    ):
        with pytest.raises(el.InvalidEvent, match=said):
            log.append("s", el.Event("OrderPlaced", payload))
    log.append("s", el.Event("OrderPlaced", {"customer": "c", "amount": 12.5, "day": "2026-02-28", "note": "kept"}))
    row = log.sql("select customer, amount, day, payload->>'note' from order_placed").fetchall()
    assert row == [("c", Decimal("12.50"), dt.date(2026, 2, 28), "kept")]


def test_inferred_types_widen_and_old_files_still_read(log: el.EventLog) -> None:
    """A later field, a wider number, and at worst JSON: each event reads as it was, sealed before or after or not at all."""
    payloads: list[dict[str, Any]] = [
        {"n": 1, "s": "x", "o": {"a": 1}},
        {"n": 2, "new": True},
        {"n": 2.5, "o": {"a": 1, "b": "y"}},
        {"n": Decimal("1234567890123456.78")},
        {"n": "many", "s": 7},
        {"n": [1], "s": None},
    ]
    for payload in payloads:
        log.append("s", el.Event("Measured", payload))
        log.seal()
        assert [event.payload for event in log.stream("s")] == payloads[: log.position]
    log.append("s", el.Event("Measured", payloads[0]))
    rows = log.sql('select n::varchar, s::varchar, "new" from measured order by position').fetchall()
    assert rows == [
        ("1", '"x"', None),
        ("2", None, True),
        ("2.5", None, None),
        ("1234567890123456.8", None, None),  # beside 2.5 a DOUBLE; the payload has every digit
        ('"many"', "7", None),
        ("[1]", None, None),
        ("1", '"x"', None),
    ]
    assert log.sql("select Measured.o.b from events order by position").fetchall()[2] == ("y",)
    log.compact(vacuum=True)
    assert log.sql("select n::varchar from measured order by position").fetchall() == [(row[0],) for row in rows]


def test_threads_may_share_a_log(log: el.EventLog) -> None:
    """Of two appends with the same expectation exactly one wins."""
    wins: list[int] = []

    def work(me: int) -> None:
        for version in range(40):
            try:
                log.append("shared", el.Event("Ticked", {"by": me}), expected_version=version)
                wins.append(version)
            except el.WrongExpectedVersion:
                log.sql("select count(*) from events").fetchall()

    threads = [threading.Thread(target=work, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == list(range(len(wins)))
    assert [event.version for event in log.stream("shared")] == list(range(1, len(wins) + 1))


def test_system_time_never_goes_back(tmp_path: Path) -> None:
    """Where the machine's clock does, recorded_at stays."""
    ticks = iter([50, 40, 60])
    with el.open(tmp_path / "s", create=True, clock=lambda: next(ticks, 70)) as log:
        log.define("Ticked", {})
        log.append("s", el.Event("Ticked"))
        log.append("s", el.Event("Ticked"))
        times = [event.recorded_at.microsecond for event in log.read()]
    assert times == sorted(times)


@pytest.mark.parametrize(
    "payloads",
    [
        [{"x": 1}, {"x": 1, "addr": {"c": 1}}],
        [{"addr": {"c": 1}}, {}, {"addr": {"c": 1, "geo": {"lat": 1}}}],
        [{"x": 1}, {"x": "wide"}, {"x": 1, "o": {"deep": {"er": [1]}}}],
        [{"items": []}, {"items": [{"sku": "a"}]}],
        [{"o": {}}, {"o": {"a": 1}}, {"o": {}}],
        [{"o": {"l": []}}, {"o": {"l": [None]}}, {"o": {"l": [[]]}}, {"o": {"l": [[1]]}}],
        [{"x": None}, {"x": {"a": None}}, {"x": {"a": {"b": []}}}, {"x": {"a": {"b": [{"c": 1}]}}}],
        [{"d": Decimal("12.5")}, {"d": Decimal("12.55")}, {"d": Decimal("12.555")}, {"d": Decimal("0.1234567")}],
    ],
)
def test_a_seal_changes_no_typed_answer(tmp_path: Path, payloads: list[dict[str, Any]]) -> None:
    """Whether events are sealed before, between or never, compacted or reopened: the views and STRUCTs say the same."""
    answers = []
    for when in ("never", "after each", "after the first"):
        with el.open(tmp_path / when, create=True) as log:
            for n, payload in enumerate(payloads):
                log.append("s", [el.Event("A", payload), el.Event("Other", {"y": 1})])
                if when == "after each" or (when == "after the first" and n == 0):
                    log.seal()
            for _ in range(2):
                rows = log.sql("select * exclude (event_id, occurred_at, recorded_at) from a order by position")
                structs = log.sql("select A from events order by position")
                answers.append((rows.columns, rows.fetchall(), structs.fetchall()))
                assert [event.payload for event in log.read(types="A")] == payloads
                log.compact()
    assert all(answer == answers[0] for answer in answers)
    if "d" in payloads[0]:
        assert answers[0][1][0][-1] == Decimal("12.5")


def test_what_another_process_defines_holds_here_at_once(tmp_path: Path) -> None:
    """In a strict store that was opened anew or before, and where a type was widened meanwhile."""
    with el.open(tmp_path / "s", create=True, strict=True) as log, el.open(tmp_path / "s") as other:
        log.define("A", {"x": "INTEGER"})
        assert other.append("s", el.Event("A", {"x": 1})).version == 1
        log.define("A", {"x": "BIGINT"})
        assert other.append("s", el.Event("A", {"x": 2**40})).version == 2
        with pytest.raises(el.InvalidEvent, match="strict"):
            other.append("s", el.Event("B", {"x": 1}))
    with el.open(tmp_path / "s") as log:
        assert log.append("s", el.Event("A", {"x": 3})).version == 3


def test_a_transaction_is_used_once(log: el.EventLog) -> None:
    """After its block it takes no appends, and does not commit the same again."""
    with log.transaction() as tx:
        tx.append("s", PLACED)
    with pytest.raises(el.InvalidArgument, match="over"):
        tx.append("s", PLACED)
    with pytest.raises(el.InvalidArgument, match="over"), tx:
        pass
    assert log.position == 1
