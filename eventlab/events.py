"""Events and the envelope that records them: ids, canonical JSON, and the Arrow schema of the log."""

from __future__ import annotations

import datetime as dt
import math
import os
import re
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from typing import Any, Self

import msgspec
import pyarrow as pa

from eventlab import cloudevents
from eventlab.displays import Displayed
from eventlab.errors import InvalidEvent

NAME_LENGTH = cloudevents.NAME_LENGTH
PAYLOAD_BYTES = 16_000_000

ENVELOPE = pa.schema(
    [
        ("position", pa.int64()),
        ("event_id", pa.string()),
        ("stream_id", pa.string()),
        ("version", pa.int64()),
        ("event_type", pa.string()),
        ("schema_version", pa.int32()),
        ("occurred_at", pa.timestamp("us", "UTC")),
        ("recorded_at", pa.timestamp("us", "UTC")),
        ("actor", pa.string()),
        ("correlation_id", pa.string()),
        ("causation_id", pa.string()),
        ("compensates", pa.string()),
        ("metadata", pa.string()),
        ("payload", pa.string()),
    ]
)
COLUMNS: tuple[str, ...] = tuple(ENVELOPE.names)
OPTIONAL = ("actor", "correlation_id", "causation_id", "compensates")

_DEEPEST = 100  # levels of a payload
_DIGITS = 308  # of a number: what a DOUBLE can hold, and every reader of JSON
_LARGEST = 10**_DIGITS
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_KEPT = (Decimal, dt.datetime, dt.date, dt.time, uuid.UUID)
_encode = msgspec.json.Encoder(decimal_format="number").encode
_SURE = 16  # characters of a number that has at most 15 digits, which a double holds
_decode_exact = msgspec.json.Decoder(float_hook=Decimal).decode


@dataclass(frozen=True, slots=True)
class Event:
    """A fact to be appended.

    Parameters
    ----------
    type
        What happened, in the past tense: ``"OrderPlaced"``.
    payload
        Its facts: a mapping with text keys, a dataclass, a pydantic or a msgspec object.
    event_id
        Makes the append idempotent; a UUIDv7 is made where none is given.
    occurred_at
        Valid time: when it happened, else now; ISO text and datetimes without an offset are read in the log's zone.
    actor, correlation_id, causation_id, compensates
        Who did it, what it belongs to, the event that led to it, the event that it undoes (``log.compensate`` checks that
        there is one, and that it is undone once; a plain append does not).
    metadata
        Anything else, as a mapping.
    """

    type: str
    payload: object = field(default_factory=dict)
    _: KW_ONLY
    event_id: str | None = None
    occurred_at: dt.datetime | dt.date | str | None = None
    actor: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    compensates: str | None = None
    metadata: Mapping[str, object] | None = None

    @classmethod
    def from_cloudevent(cls, given: Mapping[str, Any] | str | bytes) -> Self:
        """Return the event that a CloudEvent 1.0 is: a mapping, or its JSON text, of which numbers keep all digits.

        Its type is ``type``, its id ``source|id``, its payload ``data`` if that is an object; what else there is is kept in the
        metadata, so that ``to_cloudevent`` gives the same CloudEvent again. An event that eventlab exported comes back as
        it was. The stream is not the event's to say: ``ingest`` takes the ``subject``, or else the ``source``.

        Raises
        ------
        InvalidEvent
            If it is no CloudEvent 1.0: names the attribute and the fix.

        Examples
        --------
        >>> event = Event.from_cloudevent({"specversion": "1.0", "id": "7", "source": "/shop", "type": "Paid", "data": {"eur": 5}})
        >>> event.type, event.payload, event.event_id
        ('Paid', {'eur': 5}, '/shop|7')
        """
        return cls(**cloudevents.read(given, decoded))


@dataclass(frozen=True, slots=True)
class RecordedEvent(Displayed):
    """An event as the log holds it. Its instants are in the log's time zone, its payload is a dict."""

    position: int
    event_id: str
    stream_id: str
    version: int
    event_type: str
    schema_version: int
    occurred_at: dt.datetime
    recorded_at: dt.datetime
    actor: str | None
    correlation_id: str | None
    causation_id: str | None
    compensates: str | None
    metadata: dict[str, Any] | None
    payload: dict[str, Any]

    def to_cloudevent(self, source: str, *, dataschema: str | None = None) -> dict[str, Any]:
        """Return the event as a CloudEvent 1.0 in the JSON format; of one that came as a CloudEvent, that one.

        Parameters
        ----------
        source
            The URI reference of what it comes from, like ``"https://shop.example/orders"``.
        dataschema
            The URI of the schema of its payload; ``log.export`` gives that of the store's registry.

        Raises
        ------
        InvalidArgument
            If the source is no URI reference, or the schema no URI.
        """
        parts = {name: getattr(self, name) for name in COLUMNS}
        return cloudevents.written(parts, decoded, source=source, dataschema=dataschema)


@dataclass(frozen=True, slots=True)
class AppendResult(Displayed):
    """What an append did.

    Attributes
    ----------
    first_position, last_position
        Where its events are in the log; both inclusive.
    version
        The version of the (last) stream after it.
    recorded_at
        System time, the same for all of its events.
    duplicate
        True if the events were in the log already: nothing was written, and the rest tells of the first time.
    """

    first_position: int
    last_position: int
    version: int
    recorded_at: dt.datetime
    duplicate: bool = False


class _Ids:
    """The last time and counter that this process put into an id, as one number: milliseconds, then twelve bits."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a forked process must: its lock may be held by a thread that it does not have."""
        self._lock = threading.Lock()
        self._last = 0

    def take(self, count: int) -> int:
        """Return the first of ``count`` numbers that nobody had before: by the clock, or after the last ones."""
        with self._lock:
            first = max((time.time_ns() // 1_000_000) << 12, self._last + 1)
            self._last = first + count - 1
        return first


_ids = _Ids()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ids.forget)


def new_ids(count: int) -> list[str]:
    """Return ``count`` new UUIDv7s (RFC 9562), ascending within the process, even if the clock is set back.

    The time is followed by a counter of twelve bits (method 1 of section 6.2), which runs on into the time when it is
    full, and by 62 random bits, which keep the ids of processes apart.
    """
    first = _ids.take(count)
    noise = os.urandom(8 * count).hex()
    ids = []
    for i in range(count):
        tail = noise[16 * i : 16 * i + 16]
        stamp = f"{first + i:015x}"
        variant = "89ab"[int(tail[0], 16) & 3]
        ids.append(f"{stamp[:8]}-{stamp[8:12]}-7{stamp[12:]}-{variant}{tail[1:4]}-{tail[4:]}")
    return ids


def name_fault(name: object) -> str | None:
    """Return why ``name`` cannot name a stream, a type or an id; None if it can."""
    if not isinstance(name, str):
        return f"is not text but {type(name).__name__}"
    if not name.strip():
        return "is empty"
    if len(name) > NAME_LENGTH:
        return f"has {len(name)} characters, at most {NAME_LENGTH} are allowed"
    if _CONTROL.search(name):
        return "has control characters"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has a lone surrogate"
    return None


def named(what: str, name: object) -> str:
    """Return ``name`` if it can be recorded.

    Raises
    ------
    InvalidEvent
        If it is empty, over-long, or holds control characters or lone surrogates.
    """
    if isinstance(name, str):
        name = str.__str__(name)  # of an Enum that is text as well, its value
        if name.isascii() and name.isprintable() and 0 < len(name) <= NAME_LENGTH and not name.isspace():
            return name
    fault = name_fault(name)
    if fault:
        shown = name[:60] if isinstance(name, str) else name
        message = f"{what} {shown!r} {fault}"
        raise InvalidEvent(message, hint=f"Give text of 1 to {NAME_LENGTH} characters without control characters.")
    return str(name)


def plain(payload: object, where: str) -> dict[str, Any]:
    """Return a payload or metadata as a dict of values that JSON can say exactly.

    Raises
    ------
    InvalidEvent
        If it is no object, or holds a key that is not text, NaN, an infinity, a number beyond the range of DOUBLE,
        what has no JSON form, or more than 100 levels.
    """
    if payload.__class__ is dict and _simple(payload):
        return payload
    try:
        given = msgspec.to_builtins(payload, builtin_types=_KEPT, enc_hook=_foreign)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"{where}: {error}"
        hint = "Give values that JSON has: text, numbers, booleans, lists, objects."
        raise InvalidEvent(message, hint=hint) from None
    if not isinstance(given, dict):
        message = f"{where} is {type(given).__name__}, not an object"
        raise InvalidEvent(message, hint="Give a mapping, a dataclass, a pydantic or a msgspec object.")
    fault = _fault(given, "")
    if fault:
        message = f"{where}{fault}"
        raise InvalidEvent(message, hint="Leave the field out, or give a value that JSON has.")
    return given


def _simple(payload: dict[Any, Any]) -> bool:
    """Tell whether a payload holds only text keys and plain scalars: the usual case, told fast."""
    for key, value in payload.items():
        if key.__class__ is not str:
            return False
        kind = value.__class__
        if kind is str or kind is bool or value is None:
            continue
        if kind is int and -_LARGEST < value < _LARGEST:
            continue
        if kind is float and value - value == 0.0:
            continue
        return False
    return True


def _foreign(value: Any) -> object:  # noqa: ANN401, PLR0911 - whatever a user put in, a line a kind
    """Return an object of a kind that msgspec does not know as one that it does."""
    if hasattr(value, "model_dump"):  # pydantic
        return value.model_dump(mode="python")
    if isinstance(value, dt.datetime):  # a subclass: pandas' Timestamp, a frozen clock
        return dt.datetime.fromisoformat(value.isoformat())
    if isinstance(value, dt.date):
        return dt.date.fromisoformat(value.isoformat())
    if isinstance(value, uuid.UUID):
        return uuid.UUID(int=value.int)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (str, int, float)):
        return next(kind(value) for kind in (str, int, float) if isinstance(value, kind))
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a NumPy scalar
        return value.item()
    message = f"{type(value).__name__} has no JSON form"
    raise TypeError(message)


def _fault(value: Any, path: str, depth: int = 0) -> str | None:  # noqa: ANN401 - decoded JSON
    """Return where and why a value cannot be said in JSON; None if it can."""
    if depth > _DEEPEST:
        return f" has more than {_DEEPEST} levels"
    kind = value.__class__
    if kind is dict:
        for key, item in value.items():
            if key.__class__ is not str:
                return f"{path}: the key {key!r} is not text"
            if (fault := _fault(item, f"{path}.{key}", depth + 1)) is not None:
                return fault
    elif kind is list or kind is tuple:
        for i, item in enumerate(value):
            if (fault := _fault(item, f"{path}[{i}]", depth + 1)) is not None:
                return fault
    else:
        reason = _scalar_fault(value)
        return None if reason is None else f"{path} {reason}"
    return None


def _scalar_fault(value: object) -> str | None:
    """Return why a value that is neither object nor list cannot be said in JSON so that readers understand it."""
    match value:
        case float():
            return None if math.isfinite(value) else f"is {value}, which JSON does not have"
        case Decimal():
            if not value.is_finite():
                return f"is {value}, which JSON does not have"
            return "is too large a number for most readers of JSON" if value.adjusted() >= _DIGITS else None
        case int():
            return None if -_LARGEST < value < _LARGEST else "is too large a number for most readers of JSON"
        case dt.datetime() if (offset := value.utcoffset()) is not None and offset % dt.timedelta(minutes=1):
            return f"has an offset of {offset}, and ISO 8601 has no seconds there; give it in UTC"
    return None


def encoded(value: dict[str, Any], where: str) -> str:
    """Return an object as JSON text: compact, in its own order, decimals with all of their digits.

    Raises
    ------
    InvalidEvent
        If it is larger than 16 MB, or text in it holds a lone surrogate.
    """
    try:
        text = _encode(value)
    except UnicodeEncodeError as error:
        message = f"{where}: {error.object[error.start : error.end]!r} is a lone surrogate, in {error.object[:60]!r}"
        raise InvalidEvent(message, hint="Text must be valid Unicode, without lone surrogates.") from None
    except (TypeError, ValueError, RecursionError) as error:
        message = f"{where}: {error}"
        hint = "Give values that JSON has: text, numbers, booleans, lists, objects."
        raise InvalidEvent(message, hint=hint) from None
    if len(text) > PAYLOAD_BYTES:
        message = f"{where} has {len(text):,} bytes, at most {PAYLOAD_BYTES:,} are allowed"
        raise InvalidEvent(message, hint="Store large content elsewhere and record where it is.")
    return text.decode()


def decoded(text: str) -> Any:  # noqa: ANN401 - JSON
    """Return JSON text as Python values."""
    return _decode(text)


def _number(text: str) -> float | Decimal:
    """Return a number with a point as a float, or as a Decimal where a float would change it."""
    number = float(text)
    return number if len(text) <= _SURE or Decimal(repr(number)) == Decimal(text) else Decimal(text)


_decode = msgspec.json.Decoder(float_hook=_number).decode


def decoded_exactly(text: str) -> Any:  # noqa: ANN401 - JSON
    """Return JSON text as Python values, with every number that has a point as a Decimal."""
    return _decode_exact(text)


def same_content(one: str | None, other: str | None) -> bool:
    """Tell whether two JSON texts say the same, whatever the order of their keys and the zeros at a number's end."""
    return one == other or (one is not None and other is not None and _alike(_decode_exact(one), _decode_exact(other)))


def _alike(one: Any, other: Any) -> bool:  # noqa: ANN401 - decoded JSON
    """Compare decoded JSON; unlike Python's ``==``, ``true`` is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(item, other[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)
