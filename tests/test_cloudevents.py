"""CloudEvents in and out: the mapping alone, through a log, and in bulk."""

from __future__ import annotations

import datetime as dt
import json
import string
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import eventlab as el
from eventlab import cloudevents, events
from eventlab.events import Event, RecordedEvent
from eventlab.store import cloudevents as bulk

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
CONTENT = ("event_type", "event_id", "actor", "correlation_id", "causation_id", "compensates", "metadata", "payload")
# The examples of the specification and of its JSON format, version 1.0.2. Its Base64 is "... base64 encoded string ...".
COMMON = {"specversion": "1.0", "type": "com.example.someevent", "time": "2018-04-05T17:31:00Z"}
EXTENSIONS = {"comexampleextension1": "value", "comexampleothervalue": 5}
SPECIFICATION: list[dict[str, Any]] = [
    {
        "specversion": "1.0",
        "type": "com.github.pull_request.opened",
        "source": "https://github.com/cloudevents/spec/pull",
        "subject": "123",
        "id": "A234-1234-1234",
        "time": "2018-04-05T17:31:00Z",
        **EXTENSIONS,
        "datacontenttype": "text/xml",
        "data": '<much wow="xml"/>',
    },
    {
        **COMMON,
        "source": "/mycontext",
        "id": "A234-1234-1234",
        **EXTENSIONS,
        "datacontenttype": "application/vnd.apache.thrift.binary",
        "data_base64": "Li4uIGJhc2U2NCBlbmNvZGVkIHN0cmluZyAuLi4=",
    },
    {
        **COMMON,
        "source": "/mycontext",
        "id": "B234-1234-1234",
        **EXTENSIONS,
        "unsetextension": None,
        "datacontenttype": "application/xml",
        "data": '<much wow="xml"/>',
    },
    {
        **COMMON,
        "source": "/mycontext",
        "subject": None,
        "id": "C234-1234-1234",
        **EXTENSIONS,
        "datacontenttype": "application/json",
        "data": {"appinfoA": "abc", "appinfoB": 123, "appinfoC": True},
    },
    {
        **COMMON,
        "source": "/mycontext",
        "subject": None,
        "id": "D234-1234-1234",
        **EXTENSIONS,
        "data": "I'm just a string",
    },
]
SOURCES = (
    "https://github.com/cloudevents",
    "mailto:cncf-wg-serverless@lists.cncf.io",
    "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66",
    "/cloudevents/spec/pull/123",
    "/sensors/tn-1234567/alerts",
    "1-555-123-4567",
    "//[2001:db8::7]:80/a?b=c/d#e%20f",
    "http://user:x@example.com:8080",
    "?q",
    "#f",
    "../a:b",
    "ldap://[::1]/c=GB?objectClass?one",
    "x:",
)


def kept(cloudevent: dict[str, Any]) -> dict[str, Any]:
    """Return a CloudEvent without its attributes of null, which are unset; ``data`` of null is said."""
    return {name: value for name, value in cloudevent.items() if name == "data" or value is not None}


def text(value: object) -> str:
    """Return JSON with all digits."""
    return msgspec.json.Encoder(decimal_format="number").encode(value).decode()


def same(one: object, other: object) -> bool:
    """Tell whether two values say the same in JSON."""
    return events.same_content(text({"x": one}), text({"x": other}))


def recorded(event: Event, stream_id: str = "s") -> RecordedEvent:
    """Return an event as a log would give it back, by the functions that a log uses, without one."""
    occurred = (
        event.occurred_at if isinstance(event.occurred_at, dt.datetime) else dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    )
    metadata = event.metadata
    return RecordedEvent(
        position=1,
        event_id=event.event_id or "e",
        stream_id=stream_id,
        version=1,
        event_type=event.type,
        schema_version=1,
        occurred_at=occurred,
        recorded_at=occurred,
        actor=event.actor,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        compensates=event.compensates,
        metadata=None if metadata is None else events.decoded(events.encoded(events.plain(metadata, "m"), "m")),
        payload=events.decoded(events.encoded(events.plain(event.payload, "p"), "p")),
    )


def content(event: RecordedEvent) -> dict[str, Any]:
    """Return what an event says, without its place in the log."""
    return {name: value for name, value in asdict(event).items() if name in CONTENT}


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda word: not word.isspace()
)
paths = st.text(string.ascii_letters + string.digits + "/-._~!$&'()*+,;=@", min_size=1, max_size=12)
references = st.sampled_from(SOURCES) | paths.map(lambda path: "/" + path.lstrip("/"))
numbers = (
    st.integers(-(10**25), 10**25)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False, places=12)
)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(string.ascii_letters + "ä_", max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
objects = st.dictionaries(st.text(string.ascii_letters + "ä_", min_size=1, max_size=5), values, max_size=3)
instants = st.datetimes(dt.datetime(1, 1, 3), dt.datetime(9999, 12, 29), timezones=st.just(dt.UTC))  # noqa: DTZ001


@st.composite
def times(draw: st.DrawFn) -> str:
    """Draw a time in RFC 3339, in any of its spellings."""
    moment = draw(st.datetimes(dt.datetime(1, 1, 3), dt.datetime(9999, 12, 29)))  # noqa: DTZ001
    fraction = draw(
        st.sampled_from(["", ".0", ".5", ".123", ".120", ".000", ".123456", ".123000", ".123456789", ".1234567890123"])
    )
    offset = draw(st.sampled_from(["Z", "Z", "Z", "z", "+00:00", "-00:00", "+05:30", "-11:59", "+23:59", "-23:59"]))
    second = draw(st.sampled_from([f"{moment.second:02}"] * 5 + ["60"]))
    return (
        f"{moment:%Y-%m-%d}".rjust(10, "0")
        + draw(st.sampled_from("TTTt"))
        + f"{moment:%H:%M}:{second}{fraction}{offset}"
    )


extensions = st.dictionaries(
    st.sampled_from(["actor", "correlationid", "causationid", "compensates", "eventlab", "partitionkey", "n1"])
    | st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
    | st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.none(),
    max_size=4,
).map(lambda found: {name: value for name, value in found.items() if name not in {"data", *MINIMAL}})


@st.composite
def cloud(draw: st.DrawFn) -> dict[str, Any]:
    """Draw any valid CloudEvent, its members in any order."""
    found = draw(extensions)
    found |= {
        "specversion": "1.0",
        "id": draw(words),
        "source": draw(references),
        "type": draw(st.sampled_from(["t", "Ü b", "x.y"])),
    }
    optional = {
        "time": times(),
        "subject": words,
        "datacontenttype": st.sampled_from(["application/json", "text/plain; charset=utf-8", 'a/b+json;q="x\\"y"']),
        "dataschema": st.sampled_from(["https://example.com/s.json#a", "urn:x:y"]),
    }
    for name, strategy in optional.items():
        found.pop(name, None)
        if draw(st.booleans()):
            found[name] = draw(strategy | st.none() if draw(st.integers(0, 5)) == 0 else strategy)
    match draw(st.integers(0, 5)):
        case 0:
            found["data_base64"] = draw(st.sampled_from(["", "AQ==", "AQI=", "AQID", "+/+/"]))
        case 1:
            pass
        case 2:
            found["data"] = draw(values)
        case _:
            found["data"] = draw(objects)
    order = draw(st.permutations(list(found)))
    return {name: found[name] for name in order}


@st.composite
def own(draw: st.DrawFn) -> Event:
    """Draw an event that is not from a CloudEvent; now and then, one that could be taken for it."""
    given_metadata = draw(
        st.none() | objects | st.sampled_from([{}, {"cloudevent": 1}, {"cloudevent": {"source": "/s"}}])
    )
    return Event(
        draw(st.sampled_from(["t", "Ü b", "x.y"])),
        draw(objects),
        event_id=draw(words | st.sampled_from(["/s|1"])),
        occurred_at=draw(instants),
        actor=draw(st.none() | words),
        correlation_id=draw(st.none() | words),
        causation_id=draw(st.none() | words),
        compensates=draw(st.none() | words),
        metadata=given_metadata,
    )


@pytest.mark.parametrize("given", SPECIFICATION, ids=lambda given: given["id"])
def test_the_examples_of_the_specification(given: dict[str, Any]) -> None:
    """Each example comes back as it was."""
    assert recorded(Event.from_cloudevent(given)).to_cloudevent("/elsewhere") == kept(given)
    assert recorded(Event.from_cloudevent(json.dumps(given))).to_cloudevent("/elsewhere") == kept(given)


def test_what_a_cloudevent_becomes() -> None:
    """Type, id, time and an object of data are the event's; the rest is in its metadata."""
    event = Event.from_cloudevent(
        {
            **MINIMAL,
            "subject": "order-7",
            "time": "2026-03-01T17:00:00.5+01:00",
            "correlationid": "c",
            "n": 1,
            "data": {"eur": 5},
        }
    )
    assert event == Event(
        "t",
        {"eur": 5},
        event_id="/s|1",
        occurred_at=dt.datetime(2026, 3, 1, 16, 0, 0, 500_000, tzinfo=dt.UTC),
        correlation_id="c",
        metadata={"cloudevent": {"source": "/s", "subject": "order-7", "time": "2026-03-01T17:00:00.5+01:00", "n": 1}},
    )


@pytest.mark.parametrize(
    ("data", "payload", "said"),
    [
        ({"data": {"data": 1}}, {"data": 1}, None),
        ({"data": 1}, {"data": 1}, "wrapped"),
        ({"data": None}, {"data": None}, "wrapped"),
        ({"data": "{}"}, {"data": "{}"}, "wrapped"),
        ({"data_base64": "AQ=="}, {"data_base64": "AQ=="}, "data_base64"),
        ({"data": {}}, {}, None),
        ({}, {}, "absent"),
        ({"data_base64": None}, {}, "absent"),
    ],
)
def test_data_of_every_kind(data: dict[str, Any], payload: dict[str, Any], said: str | None) -> None:
    """An object is the payload; anything else is in it, and the metadata say so."""
    event = Event.from_cloudevent(MINIMAL | data)
    assert event.payload == payload
    assert event.metadata is not None
    assert event.metadata["cloudevent"].get("data") == said
    assert recorded(event).to_cloudevent("/x") == kept(
        MINIMAL | {k: v for k, v in data.items() if v is not None or k == "data"}
    )


def test_two_sources_may_use_the_same_id() -> None:
    """An event's id is of source and id, apart by what no URI holds; one that is too long is a digest."""
    ids = {
        Event.from_cloudevent({**MINIMAL, "source": s, "id": i}).event_id
        for s, i in [("/a", "b"), ("/b", "b"), ("/a", "b|c")]
    }
    assert ids == {"/a|b", "/b|b", "/a|b|c"}
    long = {**MINIMAL, "id": "i" * 600}
    event = Event.from_cloudevent(long)
    assert str(event.event_id).startswith("sha256:")
    assert recorded(event).to_cloudevent("/x") == long


def test_what_an_event_becomes() -> None:
    """An event's envelope are attributes that any reader of CloudEvents knows."""
    event = recorded(
        Event(
            "OrderPlaced", {"eur": Decimal("12345678901234567.89")}, event_id="e1", actor="me", metadata={"a": "\x7f"}
        ),
        "order-1",
    )
    assert event.to_cloudevent("/shop", dataschema="urn:x:1") == {
        "specversion": "1.0",
        "id": "e1",
        "source": "/shop",
        "type": "OrderPlaced",
        "subject": "order-1",
        "time": "2026-01-01T00:00:00Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:x:1",
        "actor": "me",
        "eventlab": 1,
        "eventlabmetadata": '{"a":"\\u007f"}',
        "data": {"eur": Decimal("12345678901234567.89")},
    }


@given(cloud())
@settings(max_examples=300, deadline=None)
def test_a_cloudevent_comes_back(given: dict[str, Any]) -> None:
    """Any valid CloudEvent, read and recorded, is written as it was; from text as from a dict."""
    for form in (given, text(given)):
        assert same(recorded(Event.from_cloudevent(form)).to_cloudevent("/elsewhere"), kept(given))


@given(own(), st.none() | st.just("urn:eventlab:5f3a:t:1"), words)
@settings(max_examples=300, deadline=None)
def test_an_event_comes_back(event: Event, schema: str | None, stream_id: str) -> None:
    """Any event, written as a CloudEvent and read, says the same under its own id; and is written the same again."""
    before = recorded(event, stream_id)
    written = before.to_cloudevent("/shop", dataschema=schema)
    if "eventlab" not in written:  # just as one that was read from a CloudEvent, and so in the stream of that
        stream_id = cloudevents.stream(written)
        before = recorded(event, stream_id)
    assert cloudevents.stream(written) == stream_id
    after = recorded(Event.from_cloudevent(text(written)), cloudevents.stream(written))
    assert same(content(after), content(before))
    assert (after.occurred_at, after.stream_id) == (before.occurred_at, before.stream_id)
    assert same(after.to_cloudevent("/shop", dataschema=schema), written)


@given(cloud(), st.sampled_from(["event_id", "actor", "metadata", "compensates", "occurred_at", "payload"]))
@settings(max_examples=100, deadline=None)
def test_a_changed_cloudevent_is_an_event_of_ours(given: dict[str, Any], changed: str) -> None:
    """An event that was made of a CloudEvent and changed comes back with the change."""
    other: dict[str, Any] = {
        "event_id": "mine",
        "actor": "another",
        "metadata": {"cloudevent": {"source": "/s", "x": [1]}, "more": 1},
        "compensates": "e0",
        "occurred_at": dt.datetime(2020, 2, 2, tzinfo=dt.UTC),
        "payload": {"changed": 1},
    }
    event = Event.from_cloudevent(given)
    parts = {name: getattr(event, name) for name in ("type", "payload", "event_id", "occurred_at", *CONTENT[2:7])}
    before = recorded(Event(**{**parts, changed: other[changed]}))
    after = recorded(Event.from_cloudevent(text(before.to_cloudevent("/shop"))))
    assert same(content(after), content(before))


@pytest.mark.parametrize(
    ("changed", "message", "hint"),
    [
        ({"id": None}, "the CloudEvent: it has no 'id'", "an id of its own"),
        ({"source": None}, "CloudEvent '1': it has no 'source'", "Give a URI"),
        ({"type": None}, "it has no 'type'", "Say what happened"),
        ({"specversion": None}, "it has no 'specversion'", '"specversion": "1.0"'),
        ({"specversion": "0.3"}, "'specversion' is '0.3', not \"1.0\"", "Only CloudEvents 1.0"),
        ({"id": 5}, "'id' is a number, not text", "Write it as text"),
        ({"id": ""}, "'id' is empty", "an id of its own"),
        ({"subject": ""}, "'subject' is empty", "leave it out"),
        ({"type": "a\nb"}, "'type' holds the character '\\n'", "no control characters"),
        ({"source": "a b"}, "'source' 'a b' is no URI reference", "percent-encode"),
        ({"source": "1:2"}, "'source' '1:2' is no URI reference", "percent-encode"),
        ({"source": "/ü"}, "'source' '/\\xfc' is no URI reference", "percent-encode"),
        ({"dataschema": "/relative"}, "'dataschema' '/relative' is no absolute URI", "https://"),
        ({"datacontenttype": "json"}, "'datacontenttype' 'json' is no media type", "application/json"),
        ({"time": "2026-03-01 17:00:00Z"}, "'time' '2026-03-01 17:00:00Z' is no time", "with its offset"),
        ({"time": "2026-03-01T17:00:00"}, "is no time", "with its offset"),
        ({"time": "2026-02-30T17:00:00Z"}, "is no time", "with its offset"),
        ({"time": "0000-03-01T17:00:00Z"}, "is no time of the years 1 to 9999", "with its offset"),
        ({"time": 5}, "'time' is a number, not text", "Write it as text"),
        ({"Ext": "x"}, "the name of the attribute 'Ext' is not of a-z and 0-9", "Rename it"),
        ({"my_ext": "x"}, "the name of the attribute 'my_ext'", "Rename it"),
        ({"ext": {"a": 1}}, "'ext' is an object", "put the rest into data"),
        ({"ext": [1]}, "'ext' is an array", "put the rest into data"),
        ({"ext": 1.5}, "'ext' is a number", "put the rest into data"),
        ({"ext": 2**31}, "'ext' is 2147483648, an integer beyond 32 bits", "Write it as text"),
        ({"data": 1, "data_base64": "AQ=="}, "it has both 'data' and 'data_base64'", "bytes as data_base64"),
        ({"data_base64": "A"}, "'data_base64' 'A' is no Base64", "RFC 4648"),
        ({"data_base64": 5}, "'data_base64' 5 is no Base64", "RFC 4648"),
    ],
)
def test_what_is_no_cloudevent(changed: dict[str, Any], message: str, hint: str, tmp_path: Path) -> None:
    """What is wrong is named with its attribute and the fix; in bulk with its row as well, and nothing is loaded."""
    given = {**MINIMAL, **changed}
    with pytest.raises(el.InvalidEvent) as caught:
        Event.from_cloudevent(given)
    assert message in caught.value.message
    assert hint in caught.value.hint
    lines = [text({**MINIMAL, "id": "0"}), text(given)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    with el.open(tmp_path / "s", create=True) as log:
        with pytest.raises(el.InvalidEvent) as refused:
            log.ingest(tmp_path / "x.jsonl", format="cloudevents")
        assert f"row 2: {caught.value.message}. {caught.value.hint}" in refused.value.message
        assert log.position == 0


@pytest.mark.parametrize(
    ("given", "hint"),
    [("[]", "ingest loads a batch"), ("{", "one JSON object"), (5, "one object"), (None, "one object")],
)
def test_what_is_no_object(given: Any, hint: str) -> None:
    """What is no JSON object is no CloudEvent."""
    with pytest.raises(el.InvalidEvent, match=hint):
        Event.from_cloudevent(given)


@pytest.mark.parametrize("source", SOURCES)
def test_uri_references(source: str) -> None:
    """What RFC 3986 has as a URI reference is a source."""
    assert Event.from_cloudevent({**MINIMAL, "source": source}).event_id == f"{source}|1"


def test_a_source_is_checked() -> None:
    """What an event is exported from is a URI reference."""
    with pytest.raises(el.InvalidArgument, match="percent-encode"):
        recorded(Event("t")).to_cloudevent("my shop")


def test_names_are_as_long_as_the_log_has_them() -> None:
    """An event's own id is as long as any name."""
    assert cloudevents.NAME_LENGTH == events.NAME_LENGTH


class TestBulk:
    """CloudEvents loaded from files."""

    def test_a_file_of_lines_an_object_and_a_batch(self, tmp_path: Path) -> None:
        """JSON lines, one object and an array give the same; the stream is the subject or the source."""
        lines = "\n".join(map(json.dumps, SPECIFICATION))
        files = {"a.jsonl": lines, "b.ndjson": lines + "\n", "c.json": json.dumps(SPECIFICATION, indent=2)}
        for name, written in files.items():
            (tmp_path / name).write_text(written)
            with el.open(tmp_path / f"store-{name}", create=True) as log:
                assert log.ingest(tmp_path / name, format="cloudevents").events == 5
                found = {event.event_id: event for event in log.read()}
                assert [event.stream_id for event in found.values()].count("/mycontext") == 4
                for given in SPECIFICATION:
                    assert found[f"{given['source']}|{given['id']}"].to_cloudevent("/x") == kept(given)
                assert log.ingest(tmp_path / name, format="cloudevents").duplicates == 5
        (tmp_path / "one.json").write_text(json.dumps(SPECIFICATION[0], indent=2))
        with el.open(tmp_path / "one", create=True) as log:
            assert log.ingest(tmp_path / "one.json", format="cloudevents").events == 1
            assert [event.stream_id for event in log.read()] == ["123"]

    def test_a_stream_of_ones_own(self, tmp_path: Path) -> None:
        """``stream_id`` is an expression over the members; the CloudEvent still comes back as it was."""
        given = [
            {**MINIMAL, "id": str(n), "subject": "x", "partitionkey": f"p{n}", "data": {"a": {"b": n}}}
            for n in range(3)
        ]
        for expression in ("partitionkey", "'p' || data.a.b"):
            with el.open(tmp_path / str(len(expression)), create=True) as log:
                log.ingest(given, format="cloudevents", stream_id=expression)
                assert [event.stream_id for event in log.read()] == ["p0", "p1", "p2"]
                assert [event.to_cloudevent("/x") for event in log.read()] == given

    def test_ordinary_lines_are_taken_apart_in_sql(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What programs usually write, and what is exported, needs no Python a line; what is written unusually does."""
        one_by_one: list[str] = []
        parts = bulk._parts
        monkeypatch.setattr(bulk, "_parts", lambda line: (one_by_one.append(json.loads(line)["id"]), parts(line))[1])
        given = [
            *SPECIFICATION,
            {
                **MINIMAL,
                "id": "js",
                "time": "2026-03-01T17:00:00.123Z",
                "data": {"a": [1, 2.5, {"b": None}], "c": 'ü \\ " x'},
            },
            {**MINIMAL, "id": "go", "time": "2026-03-01T17:00:00.123456789Z", "data": {}},
            {**MINIMAL, "id": "net", "time": "2026-03-01T17:00:00.1234567+00:00", "data": [1]},
            {**MINIMAL, "id": "bare", "correlationid": "c", "actor": "me", "flag": False},
            recorded(Event("t", {"a": 1}, event_id="e1", correlation_id="c", compensates="e0")).to_cloudevent("/x"),
            {**MINIMAL, "id": "leap", "time": "2016-12-31T23:59:60Z"},
            {**MINIMAL, "id": "empty", "extension": ""},
            {**MINIMAL, "id": "mark", "eventlab": 1},
        ]
        (tmp_path / "x.jsonl").write_text("\n".join(json.dumps(event, ensure_ascii=False) for event in given))
        with el.open(tmp_path / "s", create=True) as log:
            log.ingest(tmp_path / "x.jsonl", format="cloudevents")
            back = {event.event_id: event.to_cloudevent("/x") for event in log.read()}
        assert one_by_one == ["leap", "empty", "mark"]
        for event in given:
            assert back.get(f"{event['source']}|{event['id']}", back.get(event["id"])) == kept(event)

    @given(
        st.lists(cloud() | own().map(lambda event: recorded(event).to_cloudevent("/shop")), min_size=1, max_size=12),
        st.data(),
    )
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def test_bulk_is_as_one_by_one(
        self, tmp_path_factory: pytest.TempPathFactory, given: list[dict[str, Any]], data: st.DataObject
    ) -> None:
        """A file gives the events that appending each of its lines gives, however the lines are written."""
        named = {event.event_id: (event, one) for one in given for event in (Event.from_cloudevent(text(one)),)}
        folder = tmp_path_factory.mktemp("bulk")
        lines = []
        for _, one in named.values():
            line = text(one)
            style = data.draw(st.integers(0, 2))
            if style and not any(mark in line for mark in (".", "e", "E")):  # numbers as they are
                line = json.dumps(json.loads(line), ensure_ascii=style == 1)
            lines.append(line)
        (folder / "x.jsonl").write_text("\n".join(lines))
        with el.open(folder / "bulk", create=True) as whole, el.open(folder / "single", create=True) as single:
            whole.ingest(folder / "x.jsonl", format="cloudevents")
            for event, one in named.values():
                single.append(cloudevents.stream(one), event)
            loaded = {event.event_id: event for event in whole.read()}
            assert len(loaded) == len(named)
            for event in single.read():
                other = loaded[event.event_id]
                assert same(content(other), content(event))
                assert other.stream_id == event.stream_id
                if (one := named[event.event_id][1]).get("time") is not None:
                    assert other.occurred_at == event.occurred_at
                assert same(other.to_cloudevent("/shop"), kept(one))

    def test_an_envelope_with_a_key_twice(self, tmp_path: Path) -> None:
        """Of two values of one attribute neither is taken."""
        (tmp_path / "x.jsonl").write_text(
            '{"specversion":"1.0","id":"1","id":"2","source":"/s","type":"t"}\n[]\nnull\n{"a":NaN}\n'
        )
        with el.open(tmp_path / "s", create=True) as log:
            log.ingest(tmp_path / "x.jsonl", format="cloudevents", on_invalid="quarantine")
            reasons = [row[0] for row in log.quarantine().select("reason").fetchall()]
        assert reasons[0] == "has the key 'id' twice"
        assert [reason.split(",")[0] for reason in reasons[1:]] == ["is a list", "is null", "a is NaN"]

    def test_the_same_id_with_other_content_is_a_conflict(self, tmp_path: Path) -> None:
        """A CloudEvent is known by source and id; it cannot come again with other data."""
        with el.open(tmp_path / "s", create=True) as log:
            log.ingest([{**MINIMAL, "data": {"a": 1}}], format="cloudevents")
            assert log.ingest([{**MINIMAL, "data": {"a": 1}}], format="cloudevents").duplicates == 1
            with pytest.raises(el.IdempotencyConflict, match="with other content"):
                log.ingest([{**MINIMAL, "data": {"a": 2}}], format="cloudevents")

    def test_what_does_not_go_together(self, tmp_path: Path) -> None:
        """CloudEvents say what they are themselves; other rows must be mapped."""
        with el.open(tmp_path / "s", create=True) as log:
            with pytest.raises(el.InvalidArgument, match="give the source alone"):
                log.ingest([MINIMAL], format="cloudevents", event_type="type", payload="data")
            with pytest.raises(el.InvalidArgument, match='Choose "cloudevents"'):
                log.ingest([MINIMAL], format="cloudevent")  # type: ignore[arg-type]
            with pytest.raises(el.InvalidSource, match='format="cloudevents"'):
                log.ingest([MINIMAL])
            with pytest.raises(el.InvalidSource, match=r"Give \.jsonl"):
                log.ingest("select 1 as id", format="cloudevents")
            with pytest.raises(el.InvalidSource, match="no column 'nobody'"):
                log.ingest([MINIMAL], format="cloudevents", stream_id="nobody")
