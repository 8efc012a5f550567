"""Events: what can be recorded, what cannot and why, the ids, and the JSON that the log keeps."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import math
import subprocess
import sys
import threading
import types
import uuid
from collections import OrderedDict
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlab import events
from eventlab.errors import InvalidEvent
from eventlab.events import Event, decoded, decoded_exactly, encoded, name_fault, named, new_ids, plain, same_content


def _text(payload: object) -> str:
    """Return the JSON text that is recorded of a payload."""
    return encoded(plain(payload, "payload"), "payload")


# ---- events and the envelope


def test_an_event_has_two_positional_arguments() -> None:
    """Type and payload; all else has a name."""
    event = Event("OrderPlaced", {"amount": 5}, actor="ann")
    assert [field.name for field in dataclasses.fields(event)] == [
        "type",
        "payload",
        "event_id",
        "occurred_at",
        "actor",
        "correlation_id",
        "causation_id",
        "compensates",
        "metadata",
    ]
    with pytest.raises(TypeError, match="positional"):
        Event("OrderPlaced", {}, "id")  # type: ignore[call-arg]


def test_events_do_not_share_a_payload() -> None:
    """A payload left out is an empty object of the event's own."""
    assert Event("A").payload == {}
    assert Event("A").payload is not Event("A").payload


def test_an_event_cannot_be_changed() -> None:
    """A fact stays what it is."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Event("A").type = "B"  # type: ignore[misc]


def test_the_envelope_is_the_recorded_event_s_fields() -> None:
    """The Arrow schema and the class name the same columns; instants are in microseconds of UTC."""
    assert tuple(field.name for field in dataclasses.fields(events.RecordedEvent)) == events.COLUMNS
    assert events.ENVELOPE.field("occurred_at").type == pa.timestamp("us", "UTC")
    assert set(events.OPTIONAL) < set(events.COLUMNS)


# ---- ids


@pytest.mark.parametrize("count", [1, 2, 5000])
def test_an_id_is_a_uuid_of_version_7(count: int) -> None:
    """RFC 9562: 48 bits of milliseconds, version 7, variant 10, in the canonical text form."""
    before = dt.datetime.now(dt.UTC).timestamp() * 1000
    for text in new_ids(count):
        one = uuid.UUID(text)
        assert str(one) == text
        assert one.version == 7
        assert one.variant == uuid.RFC_4122
        assert abs((one.int >> 80) - before) < 60_000


def test_no_ids_can_be_asked_for() -> None:
    """Of nothing there is nothing, and no number is lost."""
    assert new_ids(0) == []


def test_ids_ascend_within_a_call_and_across_calls() -> None:
    """Many calls within a millisecond, and a call that overflows the counter: text order is the order of making."""
    made = [one for count in (1, 3, 10_000, 1, 1, *[2] * 500) for one in new_ids(count)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_ascend_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last id's time is taken as long as the clock is behind it."""
    (first,) = new_ids(1)
    monkeypatch.setattr("time.time_ns", lambda: 0)
    assert new_ids(1)[0] > first


def test_threads_do_not_get_each_other_s_ids() -> None:
    """Each thread's ids ascend, and the time and counter part is nobody else's."""
    made: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: made.append([new_ids(7)[i] for i in range(7) for _ in (0,)])) for _ in range(8)
    ]
    threads = [
        threading.Thread(target=lambda: made.append([one for _ in range(50) for one in new_ids(3)])) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(ids == sorted(ids) for ids in made)
    assert len({one[:18] for ids in made for one in ids}) == 8 * 150


@given(st.integers(0, 2**48 - 1), st.integers(1, 50))
def test_time_and_counter_stand_where_the_rfc_puts_them(milliseconds: int, count: int) -> None:
    """Against a slow reading of the bits: the n-th id of a fresh process has the counter n."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "_ids", events._Ids())
        patch.setattr("time.time_ns", lambda: milliseconds * 1_000_000 + 999_999)
        made = [uuid.UUID(one).int for one in new_ids(count)]
    begin = max(milliseconds << 12, 1)
    for n, one in enumerate(made):
        stamp, counter = (one >> 80), (one >> 64) & 0xFFF
        assert (stamp << 12) + counter == begin + n
        assert (one >> 76) & 0xF == 7
        assert (one >> 62) & 0b11 == 0b10


# ---- names


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "order-17",
        "OrderPlaced",
        "page view!",
        'it\'s "x" `y`',
        "Äpfel-ß",
        "注文-1",
        "😀",
        "e\u0301",
        "a\u200db",
        "a\u202eb",
        "\u2066x\u2069",
        "a" * 512,
        "😀" * 512,
        " a ",
        "{x}",
        "$s",
        "--",
        "'; drop table events; --",
        "\U0010ffff",
    ],
)
def test_a_name_may_hold_any_text(name: str) -> None:
    """Quotes, other scripts, joiners and bidi marks, SQL: a name is data, and is kept as it is."""
    assert name_fault(name) is None
    assert named("stream id", name) == name


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("\u2003", "is empty"),
        ("\t", "is empty"),
        ("a" * 513, "has 513 characters, at most 512 are allowed"),
        ("é" * 600, "has 600 characters"),
        ("a\0", "has control characters"),
        ("a\nb", "has control characters"),
        ("\x7fa", "has control characters"),
        ("a\x85b", "has control characters"),
        ("\x1b[31mred", "has control characters"),
        ("a\ud800", "has a lone surrogate"),
        ("\udfff", "has a lone surrogate"),
        (None, "is not text but NoneType"),
        (5, "is not text but int"),
        (b"a", "is not text but bytes"),
        (["a"], "is not text but list"),
        (float("nan"), "is not text but float"),
    ],
)
def test_a_name_that_cannot_be_recorded_says_why(name: Any, fault: str) -> None:
    """The message names what it was to name and shows it shortly; the hint says what is allowed."""
    with pytest.raises(InvalidEvent, match="Give text of 1 to 512 characters without control characters") as caught:
        named("stream id", name)
    assert caught.value.message.startswith("stream id ")
    assert fault in caught.value.message
    assert len(caught.value.message) < 150
    str(caught.value).encode()  # can be printed, whatever the name


class Kind(str, enum.Enum):  # noqa: UP042 - not StrEnum: its str() is its name
    """An Enum that is text."""

    PLACED = "OrderPlaced"


class Text(str):
    """A text of a kind of its own."""

    __slots__ = ()


@pytest.mark.parametrize("name", [Kind.PLACED, Text("OrderPlaced"), enum.StrEnum("E", {"A": "OrderPlaced"}).A])  # type: ignore[attr-defined]
def test_a_name_of_a_text_s_subclass_is_its_value(name: str) -> None:
    """An Enum that is text gives its value, not ``Kind.PLACED``, and plain text comes out."""
    assert named("event type", name) == "OrderPlaced"
    assert type(named("event type", name)) is str


@given(st.text(st.characters(), max_size=20))
def test_a_name_is_kept_or_refused(name: str) -> None:
    """The fast way and the careful one agree, and a name that passes can be written as UTF-8."""
    if name_fault(name) is None:
        assert named("stream id", name) == name
        assert name.encode().decode() == name
    else:
        with pytest.raises(InvalidEvent):
            named("stream id", name)


# ---- payloads


@dataclasses.dataclass
class Order:
    """A payload as a dataclass."""

    customer: str
    amount: Decimal
    items: list[dict[str, Any]] = dataclasses.field(default_factory=list)


class OrderStruct(msgspec.Struct):
    """A payload as a msgspec object."""

    customer: str
    amount: Decimal
    items: list[dict[str, Any]] = []


class OrderModel(pydantic.BaseModel):
    """A payload as a pydantic object."""

    customer: str
    amount: Decimal
    items: list[dict[str, Any]] = []


_ORDER = {"customer": "c1", "amount": Decimal("12.50"), "items": [{"n": 1}]}


@pytest.mark.parametrize(
    "payload",
    [
        _ORDER,
        OrderedDict(_ORDER),
        types.MappingProxyType(_ORDER),
        Order("c1", Decimal("12.50"), [{"n": 1}]),
        OrderStruct("c1", Decimal("12.50"), [{"n": 1}]),
        OrderModel(customer="c1", amount=Decimal("12.50"), items=[{"n": 1}]),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_a_payload_is_a_mapping_or_an_object_with_fields(payload: object) -> None:
    """A dict, another mapping, a dataclass, a msgspec and a pydantic object are recorded as the same text."""
    assert _text(payload) == '{"customer":"c1","amount":12.50,"items":[{"n":1}]}'


@pytest.mark.parametrize("payload", [None, 5, 1.5, True, "text", b"{}", [1], [{"a": 1}], (1,), Decimal(1), Kind.PLACED])
def test_a_payload_that_is_no_object_is_refused(payload: object) -> None:
    """JSON has more than objects; the record of an event is one."""
    with pytest.raises(InvalidEvent, match="Give a mapping, a dataclass, a pydantic or a msgspec object"):
        plain(payload, "payload")


_BAD = [
    math.nan,
    math.inf,
    -math.inf,
    Decimal("NaN"),
    Decimal("sNaN"),
    Decimal("-Infinity"),
    np.float64("nan"),
    np.float32("inf"),
]


@pytest.mark.parametrize("bad", _BAD, ids=repr)
@pytest.mark.parametrize(
    ("wrap", "path"),
    [
        (lambda bad: {"a": bad}, "payload.a"),
        (lambda bad: {"a": {"b": [1, bad]}}, "payload.a.b[1]"),
        (lambda bad: {"a": ((bad,),)}, "payload.a[0][0]"),
        (lambda bad: Order("c", bad), "payload.amount"),
        (lambda bad: OrderStruct("c", bad), "payload.amount"),
        (lambda bad: OrderModel.model_construct(customer="c", amount=bad), "payload.amount"),
        (lambda bad: {"a": [Order("c", Decimal(1), [{"x": bad}])]}, "payload.a[0].items[0].x"),
    ],
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_what_is_no_number_is_refused_with_its_path(bad: object, wrap: Any, path: str) -> None:
    """NaN and the infinities, as floats and decimals, however deep and inside whatever object."""
    with pytest.raises(InvalidEvent, match="Leave the field out, or give a value that JSON has") as caught:
        plain(wrap(bad), "payload")
    assert caught.value.message.startswith(f"{path} is ")


@pytest.mark.parametrize(
    "number", [10**308, -(10**308), 10**5000, Decimal("1E+308"), Decimal("-1E+999999")], ids=range(5)
)
@pytest.mark.parametrize("wrap", [lambda number: {"a": number}, lambda number: {"a": [{"b": number}]}])
def test_a_number_that_readers_of_json_do_not_hold_is_refused(number: object, wrap: Any) -> None:
    """Reading it back would fail, or give infinity."""
    with pytest.raises(InvalidEvent, match="is too large a number for most readers of JSON"):
        plain(wrap(number), "payload")


@pytest.mark.parametrize(
    "number", [2**63, -(2**64) - 1, 10**38 - 1, 10**100, Decimal("9" * 60 + ".5"), Decimal("1E-400")]
)
def test_a_large_number_keeps_all_of_its_digits(number: Any) -> None:
    """Beyond 64 bits and beyond doubles, as far as JSON's readers go."""
    assert decoded_exactly(_text({"a": number})) == {"a": number}
    json.loads(_text({"a": number}))
    decoded(_text({"a": number}))


@pytest.mark.parametrize("key", [1, None, True, 1.5, (1, 2), dt.date(2026, 1, 1)])
@pytest.mark.parametrize("wrap", [lambda bad: bad, lambda bad: {"a": bad}, lambda bad: {"a": [bad]}])
def test_a_key_that_is_not_text_is_refused(key: Any, wrap: Any) -> None:
    """It is not quietly made text: 1 and "1" would become one key."""
    with pytest.raises(InvalidEvent, match=r"is not text|has no JSON form|Only dicts with"):
        plain(wrap({key: 1}), "payload")


@pytest.mark.parametrize("bad", ["\ud800", "a\udfffb"])
@pytest.mark.parametrize(
    "wrap",
    [lambda bad: {"a": bad}, lambda bad: {bad: 1}, lambda bad: {"a": [{"b": bad}]}, lambda bad: {"a": [{bad: 1}]}],
)
def test_a_lone_surrogate_is_refused(bad: str, wrap: Any) -> None:
    """In a value or a key, however deep; the message can itself be printed."""
    with pytest.raises(InvalidEvent, match=r"is a lone surrogate.*\nText must be valid Unicode") as caught:
        _text(wrap(bad))
    str(caught.value).encode()


@pytest.mark.parametrize(
    "value",
    [object(), 1j, int, range(3), iter([1]), lambda: 1, np.array([1, 2]), pd.NA, pd.NaT, pd.DataFrame(), sys],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_json_form_is_refused(value: object) -> None:
    """Nothing is recorded as its repr."""
    with pytest.raises(InvalidEvent, match="Give values that JSON has"):
        plain({"a": [value]}, "payload")


def _nested(levels: int) -> dict[str, Any]:
    """Return an object with that many levels of objects and lists in it."""
    value: dict[str, Any] = {}
    for level in range(levels):
        value = {"a": value} if level % 2 else {"a": [value]}
    return value


def test_a_payload_may_be_deep_but_not_bottomless() -> None:
    """Some dozens of levels pass; hundreds, millions and a circle are refused in the same way, without a crash."""
    assert decoded(_text(_nested(60))) == _nested(60)
    circle: dict[str, Any] = {}
    circle["a"] = [circle]
    for bottomless in (_nested(90), _nested(400), _nested(100_000), circle):
        with pytest.raises(InvalidEvent, match=r"has more than 100 levels|recursion"):
            _text(bottomless)


def test_a_payload_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bytes of its text, inclusive."""
    monkeypatch.setattr(events, "PAYLOAD_BYTES", 20)
    assert len(_text({"a": "x" * 12})) == 20
    with pytest.raises(
        InvalidEvent, match="payload has 22 bytes, at most 20 are allowed\nStore large content elsewhere"
    ):
        _text({"a": "é" * 7})


def test_values_of_python_s_kinds_have_one_text() -> None:
    """Times in ISO 8601 with the offset that they have, bytes in base64, members of an Enum as their values."""
    payload = {
        "when": dt.datetime(2026, 3, 1, 12, tzinfo=ZoneInfo("America/New_York")),
        "wall": dt.datetime(2026, 3, 1, 12),  # noqa: DTZ001 - naive on purpose
        "day": dt.date(2026, 3, 1),
        "time": dt.time(1, 2, 3, 4),
        "id": uuid.UUID(int=5),
        "bytes": b"abc",
        "kind": Kind.PLACED,
        "tuple": (1, 2),
        "length": dt.timedelta(minutes=90),
    }
    assert decoded(_text(payload)) == {
        "when": "2026-03-01T12:00:00-05:00",
        "wall": "2026-03-01T12:00:00",
        "day": "2026-03-01",
        "time": "01:02:03.000004",
        "id": "00000000-0000-0000-0000-000000000005",
        "bytes": "YWJj",
        "kind": "OrderPlaced",
        "tuple": [1, 2],
        "length": "PT5400S",
    }


def test_subclasses_are_recorded_as_what_they_are() -> None:
    """Of text, numbers, times, mappings: pandas' Timestamp, NumPy's scalars, a frozen clock's datetime."""

    class Frozen(dt.datetime):
        pass

    class Day(dt.date):
        pass

    class Whole(int):
        pass

    payload = {
        "a": pd.Timestamp("2026-03-01T00:00:00.000001Z"),
        "b": Frozen(2026, 3, 1, tzinfo=dt.UTC),
        "c": Day(2026, 3, 1),
        "d": np.int64(4),
        "e": np.float32(1.5),
        "f": np.bool_(True),  # noqa: FBT003 - a value
        "g": Text("x"),
        "h": Whole(7),
        Text("i"): types.MappingProxyType({"j": 1}),
    }
    assert _text(payload) == (
        '{"a":"2026-03-01T00:00:00.000001Z","b":"2026-03-01T00:00:00Z","c":"2026-03-01","d":4,"e":1.5,"f":true,'
        '"g":"x","h":7,"i":{"j":1}}'
    )


def test_an_offset_with_seconds_is_refused() -> None:
    """ISO 8601 cannot say New York's clock of 1880; its text would be two seconds off."""
    moment = dt.datetime(1880, 1, 1, tzinfo=ZoneInfo("America/New_York"))
    with pytest.raises(InvalidEvent, match=r"payload.a has an offset of .* give it in UTC"):
        plain({"a": moment}, "payload")
    assert _text({"a": moment.astimezone(dt.UTC)}) == '{"a":"1880-01-01T04:56:02Z"}'


def test_keys_keep_their_order_and_decimals_their_zeros() -> None:
    """The text is what was given, byte for byte, not what a double would make of it."""
    payload = {"z": Decimal("12.50"), "a": Decimal("1234567890123456.78"), "m": 0.1, "e": ""}
    assert _text(payload) == '{"z":12.50,"a":1234567890123456.78,"m":0.1,"e":""}'
    assert decoded_exactly(_text(payload))["z"].as_tuple() == Decimal("12.50").as_tuple()


_KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_NUMBERS = (
    st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
)
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
_PAYLOADS = st.dictionaries(_KEYS, _VALUES, max_size=4)


def _slow(value: Any) -> Any:
    """Return a value as the standard library's JSON reads it: with numbers that have a point or exponent as Decimals."""
    match value:
        case bool() | None | str() | int():
            return value
        case float():
            return Decimal(repr(value))
        case list():
            return [_slow(item) for item in value]
        case dict():
            return {key: _slow(item) for key, item in value.items()}
    return value


@given(_PAYLOADS)
def test_a_payload_is_recorded_exactly(payload: dict[str, Any]) -> None:
    """The standard library reads the same values from the text, in the same order, and so do we."""
    text = _text(payload)
    told = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    assert told == decoded_exactly(text) == _slow(payload)
    assert list(told) == list(payload)
    assert (
        same_content(text, json.dumps(json.loads(text, parse_float=float), sort_keys=True))
        or "." in text
        or "E" in text
    )


@given(_PAYLOADS, st.randoms())
def test_content_is_the_same_in_any_order_of_keys(payload: dict[str, Any], chance: Any) -> None:
    """A retry may build its payload in another order."""
    keys = list(payload)
    chance.shuffle(keys)
    assert same_content(_text(payload), _text({key: payload[key] for key in keys}))


@given(_PAYLOADS, _PAYLOADS)
def test_content_is_the_same_if_json_says_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Against a canonical text with sorted keys and numbers as fractions."""

    def canonical(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ",".join(f"{key!r}:{canonical(item)}" for key, item in sorted(value.items())) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(canonical, value)) + "]"
        if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
            return str(Decimal(repr(value) if isinstance(value, float) else value).as_integer_ratio())
        return repr(value)

    assert same_content(_text(one), _text(other)) == (canonical(one) == canonical(other))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"a":1}', '{"a":1.0}', True),
        ('{"a":1.50,"b":[]}', '{"b":[],"a":1.5}', True),
        ('{"a":true}', '{"a":1}', False),
        ('{"a":[false]}', '{"a":[0]}', False),
        ('{"a":null}', "{}", False),
        ('{"a":"1"}', '{"a":1}', False),
        ('{"a":[1,2]}', '{"a":[2,1]}', False),
        ('{"a":[1]}', '{"a":[1,1]}', False),
        ('{"a":0.1}', '{"a":0.1000000000000000055511151231257827}', False),
        (None, None, True),
        (None, "{}", False),
        ("{}", None, False),
    ],
)
def test_content_differs_where_json_differs(one: str | None, other: str | None, same: bool) -> None:
    """``true`` is not 1, an absent key is not null, a list has an order, a number has no double's tolerance."""
    assert same_content(one, other) is same


def test_the_foundation_loads_nothing_heavy() -> None:
    """Events, moments, queries and schemas are there without pandas, Altair, IPython, sqlglot or pydantic."""
    program = f"""
import sys, types
room = sys.modules["eventlab"] = types.ModuleType("eventlab")  # its rooms without the house
room.__path__ = [{str(Path(events.__file__).parent)!r}]
import eventlab.events, eventlab.moments, eventlab.queries, eventlab.schemas, eventlab.errors
heavy = {{"pandas", "altair", "IPython", "sqlglot", "pydantic", "polars", "jinja2", "deltalake"}}
print(sorted(heavy & {{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
