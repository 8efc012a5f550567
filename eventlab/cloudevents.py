"""CloudEvents 1.0 in the JSON event format, as events and back, without loss. Pure mapping: dicts in, dicts out.

A CloudEvent becomes an event like this; what has no place of its own is kept in ``metadata["cloudevent"]``:

==================  =============================================================================================
``type``            the event type
``source``, ``id``  the event id ``source|id``: two sources may use the same id, and no URI holds a ``|``
``subject``         the stream id where a file of CloudEvents is loaded, else ``source`` is; kept
``time``            ``occurred_at``, cut to microseconds; its text is kept where it is not what we would write
``data``            an object is the payload; anything else, and ``data_base64``, is a member of the payload by that name
extensions          ``actor``, ``correlationid`` and ``causationid`` are the columns that are called so; the others are kept
==================  =============================================================================================

An event that was recorded otherwise becomes a CloudEvent whose ``id`` is the event id and whose ``subject`` is the stream.
The extension ``eventlab`` says so: read again, it is that event, under its own id and with its own metadata, and where it
was exported from (``source``, ``dataschema``) is no part of it. What came as a CloudEvent goes as it came; so a stream that
is neither its subject nor its source, and a time that it did not say, are not told.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from eventlab.errors import InvalidArgument, InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Callable

SPECVERSION = "1.0"
KEPT = "cloudevent"  # the key of the metadata under which the rest is
MARK, METADATA = "eventlab", "eventlabmetadata"  # the extensions of an event that is exported
SEPARATOR = "|"
NAME_LENGTH = 512  # as in ``events``, which is above
COLUMNS = {"actor": "actor", "correlationid": "correlation_id", "causationid": "causation_id"}
DATA, BASE64, WRAPPED, ABSENT = "data", "data_base64", "wrapped", "absent"

# Patterns of the grammars, in the syntax that Python and DuckDB share.
_HEX = "%[0-9A-Fa-f]{2}"
_NO_COLON = rf"(?:[A-Za-z0-9._~!$&'()*+,;=@-]|{_HEX})"
_CHAR = rf"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|{_HEX})"
_LITERAL = r"\[(?:[0-9A-Fa-f:.]+|[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+,;=:-]+)\]"
_NAME_OF_HOST = rf"(?:[A-Za-z0-9._~!$&'()*+,;=-]|{_HEX})*"
_AUTHORITY = rf"(?:(?:[A-Za-z0-9._~!$&'()*+,;=:-]|{_HEX})*@)?(?:{_LITERAL}|{_NAME_OF_HOST})(?::[0-9]*)?"
_ROOTED = rf"//{_AUTHORITY}(?:/{_CHAR}*)*|/(?:{_CHAR}+(?:/{_CHAR}*)*)?"
_TAIL = rf"(?:\?(?:{_CHAR}|[/?])*)?(?:#(?:{_CHAR}|[/?])*)?"
_ABSOLUTE = rf"[A-Za-z][A-Za-z0-9+.-]*:(?:{_ROOTED}|{_CHAR}+(?:/{_CHAR}*)*)?"
URI = rf"{_ABSOLUTE}{_TAIL}"  # RFC 3986
REFERENCE = rf"(?:{_ABSOLUTE}|{_ROOTED}|(?:{_NO_COLON}+(?:/{_CHAR}*)*)?){_TAIL}"
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"  # noqa: S105 - of RFC 2045
MEDIA = rf'{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|"(?:[^"\\]|\\.)*"))*[ \t]*;?[ \t]*'
BASE64_TEXT = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"

_NAME = re.compile(r"[a-z0-9]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_HIGH_CONTROL = re.compile(r"[\x7f-\x9f]")
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
_INTEGERS = range(-(2**31), 2**31)
_SECONDS_DIGITS = 6
_URI_HINT = (
    "Give a URI like https://example.com/orders or a reference like /orders; percent-encode what it cannot hold."
)
_TIME_HINT = "Write it like 2026-03-01T17:00:00.123Z, with its offset."
_FORMS = {
    "source": (re.compile(REFERENCE), "is no URI reference", _URI_HINT),
    "dataschema": (re.compile(URI), "is no absolute URI", "Give a URI like https://example.com/schemas/order.json."),
    "datacontenttype": (re.compile(MEDIA), "is no media type", "Give one like application/json."),
}
_NEEDED = {
    "specversion": 'Add "specversion": "1.0".',
    "id": "Give each event of a source an id of its own, as text.",
    "source": _URI_HINT,
    "type": 'Say what happened, like "type": "com.example.order.placed".',
}
_encode = msgspec.json.Encoder(decimal_format="number").encode


def loaded(given: object, decode: Callable[[str], Any]) -> dict[str, Any]:
    """Return a CloudEvent, a mapping or its JSON text, as a dict that is not checked.

    Raises
    ------
    InvalidEvent
        If it is no object.
    """
    if isinstance(given, (str, bytes)):
        try:
            given = decode(given if isinstance(given, str) else given.decode())
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise InvalidEvent(f"the CloudEvent is no JSON: {error}", hint="Give one JSON object.") from None
    if not isinstance(given, Mapping):
        raise InvalidEvent(
            f"the CloudEvent is {_kind(given)}, not an object", hint="Give one object; ingest loads a batch of them."
        )
    return dict(given)


def read(given: object, decode: Callable[[str], Any]) -> dict[str, Any]:
    """Return the arguments of the event that a CloudEvent is.

    Parameters
    ----------
    given
        A mapping, or its JSON text, of which numbers keep all digits.
    decode
        How the log reads JSON.

    Raises
    ------
    InvalidEvent
        If it is no CloudEvent 1.0: names the attribute and the fix.
    """
    found = loaded(given, decode)
    flag, payload = _payload(found)
    attributes = {name: value for name, value in found.items() if value is not None and name not in {DATA, BASE64}}
    _check(attributes)
    exported = None if flag else _exported(attributes, decode)
    if exported is None:
        exported = _foreign(attributes, flag)
    return {**exported, "payload": payload}


def stream(given: Mapping[str, Any]) -> str:
    """Return the stream that a CloudEvent is of where nobody says another: its subject, or else its source."""
    return str(given.get("subject") or given["source"])


def written(
    event: Mapping[str, Any], decode: Callable[[str], Any], *, source: str, dataschema: str | None = None
) -> dict[str, Any]:
    """Return a recorded event as a CloudEvent; of one that came as a CloudEvent, that one.

    Parameters
    ----------
    event
        The parts of the envelope by name, ``occurred_at`` an aware datetime. The payload can be raw JSON unless
        ``wrapped(metadata)``.
    decode
        How the log reads JSON.
    source
        The URI reference of what exports it. A CloudEvent that comes back has its own.
    dataschema
        The URI of the schema of its data.

    Raises
    ------
    InvalidArgument
        If the source is no URI reference, or the schema no URI.
    """
    check_uri("source", source)
    if dataschema is not None:
        check_uri("dataschema", dataschema)
    found = _restored(event, decode)
    if found is None:
        time = timestamp(event["occurred_at"])
        found = {**_own(event, source=source, dataschema=dataschema, time=time), DATA: event["payload"]}
    return found


def wrapped(metadata: Mapping[str, Any] | None) -> bool:
    """Tell whether the payload of an event with such metadata may be not the data of a CloudEvent, but around them."""
    kept = metadata.get(KEPT) if metadata else None
    return isinstance(kept, Mapping) and DATA in kept


def check_uri(name: str, value: object) -> None:
    """Raise InvalidArgument if a source is no URI reference, or a schema no URI."""
    _, fault, hint = _FORMS[name]
    if not isinstance(value, str) or not value or not _has_form(name, value):
        raise InvalidArgument(f"{name}: {value!r} {fault}", hint=hint)


@functools.lru_cache(maxsize=1_000)
def _has_form(name: str, value: str) -> bool:
    """Tell whether a value has the form of its attribute; there are few of them in many events."""
    return _FORMS[name][0].fullmatch(value) is not None


def schema_uri(store_id: str, event_type: str, version: int) -> str:
    """Return the URI of a definition of a store's registry.

    Examples
    --------
    >>> schema_uri("5f3a", "Order placed", 2)
    'urn:eventlab:5f3a:Order%20placed:2'
    """
    return f"urn:eventlab:{store_id}:{quote(event_type, safe='')}:{version}"


def timestamp(moment: dt.datetime) -> str:
    """Return an instant in RFC 3339: in UTC, with milliseconds or microseconds where it has some."""
    micro = moment.microsecond
    precision = "seconds" if not micro else "microseconds" if micro % 1000 else "milliseconds"
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def instant(text: str) -> dt.datetime | None:
    """Return the instant of a text in RFC 3339, cut to microseconds; None if it is none, or not of the years 1 to 9999.

    A leap second is the first instant after it.

    Examples
    --------
    >>> str(instant("2016-12-31T23:59:60.123456789+00:00"))
    '2017-01-01 00:00:00.123456+00:00'
    """
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    day, hour, minute, second, fraction, sign, hours, minutes = found.groups()
    micro = int((fraction or "0")[:_SECONDS_DIGITS].ljust(_SECONDS_DIGITS, "0"))
    clock = dt.timedelta(hours=int(hour), minutes=int(minute), seconds=int(second), microseconds=micro)
    offset = dt.timedelta(hours=int(hours), minutes=int(minutes)) if sign else dt.timedelta()
    try:
        midnight = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
        return midnight + (clock + offset if sign == "-" else clock - offset)
    except (ValueError, OverflowError):
        return None


def _payload(found: Mapping[str, Any]) -> tuple[str | None, Any]:
    """Return the payload of a CloudEvent's data, and what it is if it is not just an object."""
    base64 = found.get(BASE64)
    if base64 is not None:
        if DATA in found:
            raise _invalid(
                found, "it has both 'data' and 'data_base64'", "Give text and JSON as data, bytes as data_base64."
            )
        if not _is_base64(base64):
            raise _invalid(
                found, f"'data_base64' {_shown(base64)} is no Base64", "Encode the bytes as RFC 4648 has it, padded."
            )
        return BASE64, {BASE64: base64}
    if DATA not in found:
        return ABSENT, {}
    data = found[DATA]
    return (None, data) if isinstance(data, Mapping) else (WRAPPED, {DATA: data})


def _check(attributes: Mapping[str, Any]) -> None:
    """Raise InvalidEvent if attributes are not those of a CloudEvent 1.0."""
    for name, hint in _NEEDED.items():
        if name not in attributes:
            raise _invalid(attributes, f"it has no {name!r}", hint)
    for name, value in attributes.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _invalid(attributes, f"the name of the attribute {name!r} is not of a-z and 0-9", "Rename it.")
        if (fault := _fault(name, value)) is not None:
            raise _invalid(attributes, f"{name!r} {fault[0]}", fault[1])
    if attributes["specversion"] != SPECVERSION:
        shown = _shown(attributes["specversion"])
        raise _invalid(attributes, f"'specversion' is {shown}, not \"1.0\"", "Only CloudEvents 1.0 can be read.")


def _fault(name: str, value: object) -> tuple[str, str] | None:  # noqa: PLR0911 - one line a fault
    """Return what is wrong with the value of an attribute, and the fix; None if nothing is."""
    if name in _NEEDED or name in _FORMS or name in {"subject", "time"}:
        if not isinstance(value, str):
            return f"is {_kind(value)}, not text", "Write it as text."
        if not value:
            return "is empty", _NEEDED.get(name, "Give it, or leave it out.")
    if isinstance(value, str):
        if (found := _CONTROL.search(value)) is not None:
            return (
                f"holds the character {found[0]!a}",
                "Text has no control characters and no lone surrogates; leave it out.",
            )
        if name == "time" and instant(value) is None:
            return f"{_shown(value)} is no time of the years 1 to 9999 in RFC 3339", _TIME_HINT
        form = _FORMS.get(name)
        return (f"{_shown(value)} {form[1]}", form[2]) if form and not _has_form(name, value) else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if value in _INTEGERS else (f"is {value}, an integer beyond 32 bits", "Write it as text.")
    return f"is {_kind(value)}", "An attribute is text, a boolean or an integer; put the rest into data."


def _foreign(attributes: Mapping[str, Any], flag: str | None) -> dict[str, Any]:
    """Return the event that a CloudEvent is: what is in the envelope, and in the metadata what is not."""
    kept = dict(attributes)
    del kept["specversion"]
    event: dict[str, Any] = {"type": kept.pop("type"), "occurred_at": None}
    number = kept.pop("id")
    event["event_id"] = f"{kept['source']}{SEPARATOR}{number}"
    if len(event["event_id"]) > NAME_LENGTH:
        event["event_id"] = f"sha256:{hashlib.sha256(event['event_id'].encode()).hexdigest()}"
        kept["id"] = number
    time = kept.pop("time", None)
    if time is not None:
        event["occurred_at"] = instant(time)
    if time is None or timestamp(event["occurred_at"]) != time:
        kept["time"] = time
    for name, column in COLUMNS.items():
        if _is_name(kept.get(name)):
            event[column] = kept.pop(name)
    if flag is not None:
        kept[DATA] = flag
    event["metadata"] = {KEPT: kept}
    return event


def _restored(event: Mapping[str, Any], decode: Callable[[str], Any]) -> dict[str, Any] | None:
    """Return the CloudEvent that an event was; None if it was none, or is no longer what was made of one."""
    if event["metadata"] is None or event["metadata"].keys() != {KEPT} or event["compensates"] is not None:
        return None
    kept = event["metadata"][KEPT]
    if not isinstance(kept, dict) or not isinstance(source := kept.get("source"), str):
        return None
    attributes: dict[str, Any] = {
        "specversion": SPECVERSION,
        "id": event["event_id"].removeprefix(f"{source}{SEPARATOR}"),
        "type": event["event_type"],
        "time": timestamp(event["occurred_at"]),
        **{name: value for name, value in kept.items() if name != DATA},
        **{name: value for name, column in COLUMNS.items() if (value := event[column]) is not None},
    }
    if attributes["time"] is None:
        del attributes["time"]
    flag = kept.get(DATA)
    if flag is not None and not _holds(event["payload"], flag):
        return None
    try:
        _check(attributes)
    except InvalidEvent:
        return None
    if (flag is None and _exported(attributes, decode)) or not _says(_foreign(attributes, flag), event):
        return None
    return {**attributes, DATA: event["payload"]} if flag is None else {**attributes, **event["payload"]}


def _holds(payload: object, flag: object) -> bool:
    """Tell whether a payload has what the metadata say of it."""
    members: dict[object, set[str]] = {ABSENT: set(), WRAPPED: {DATA}, BASE64: {BASE64}}
    if not isinstance(flag, str) or not isinstance(payload, dict) or payload.keys() != members.get(flag):
        return False
    return (_is_base64(payload[BASE64]) if flag == BASE64 else True) and not isinstance(payload.get(DATA), Mapping)


def _is_base64(value: object) -> bool:
    """Tell whether a value is bytes in Base64, padded (RFC 4648)."""
    return isinstance(value, str) and re.fullmatch(BASE64_TEXT, value) is not None


def _says(again: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Tell whether what is read again is the event that was recorded."""
    same = all(again.get(name) == event[name] for name in ("event_id", *COLUMNS.values(), "metadata"))
    return same and again["occurred_at"] in {None, event["occurred_at"]}


def _own(event: Mapping[str, Any], *, source: str, dataschema: object, time: str) -> dict[str, Any]:
    """Return the attributes of an event that did not come as a CloudEvent."""
    attributes = {
        "specversion": SPECVERSION,
        "id": event["event_id"],
        "source": source,
        "type": event["event_type"],
        "subject": event["stream_id"],
        "time": time,
        "datacontenttype": "application/json",
        "dataschema": dataschema,
        **{name: event[column] for name, column in COLUMNS.items()},
        "compensates": event["compensates"],
        MARK: 1,
        METADATA: None if event["metadata"] is None else _text(event["metadata"]),
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _exported(attributes: Mapping[str, Any], decode: Callable[[str], Any]) -> dict[str, Any] | None:
    """Return the event of whose export attributes are; None if they are not exactly those of one."""
    if attributes.get(MARK) is True or attributes.get(MARK) != 1:
        return None
    moment = instant(attributes.get("time", ""))
    if moment is None:
        return None
    fields = {
        "event_id": attributes["id"],
        "stream_id": attributes.get("subject"),
        "event_type": attributes["type"],
        **{column: attributes.get(name) for name, column in COLUMNS.items()},
        "compensates": attributes.get("compensates"),
        "metadata": _metadata(attributes.get(METADATA), decode),
    }
    names = [
        value for name, value in fields.items() if name != "metadata" and (value is not None or name == "stream_id")
    ]
    own = _own(fields, source=attributes["source"], dataschema=attributes.get("dataschema"), time=timestamp(moment))
    if own != attributes or not all(map(_is_name, names)):
        return None
    del fields["stream_id"]
    return {"type": fields.pop("event_type"), "occurred_at": moment, **fields}


def _metadata(text: object, decode: Callable[[str], Any]) -> dict[str, Any] | None:
    """Return the metadata that are written in an extension; None if there are none."""
    try:
        found = decode(text) if isinstance(text, str) else None
    except (msgspec.DecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text(metadata: Mapping[str, Any]) -> str:
    """Return metadata as JSON text without control characters."""
    text = _encode(metadata).decode()
    return _HIGH_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _is_name(value: object) -> bool:
    """Tell whether the value of an attribute can be an actor or an id of the log."""
    return isinstance(value, str) and 0 < len(value) <= NAME_LENGTH and not value.isspace()


def _invalid(attributes: Mapping[str, Any], fault: str, hint: str) -> InvalidEvent:
    """Return the error of a CloudEvent, named by its id where it has one."""
    number = attributes.get("id")
    named = f"CloudEvent {_shown(number)}" if isinstance(number, str) and number else "the CloudEvent"
    return InvalidEvent(f"{named}: {fault}", hint=hint)


def _shown(value: object) -> str:
    """Return a value as an error shows it: short, in ASCII."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}…"  # noqa: PLR2004 - a line's worth


def _kind(value: object) -> str:
    """Return what a value is called in JSON."""
    if isinstance(value, Mapping):
        return "an object"
    names = {list: "an array", str: "text", bool: "a boolean", type(None): "null"}
    number = "a number" if isinstance(value, (int, float, Decimal)) else type(value).__name__
    return names.get(type(value), number)
