"""JSON lines on their way into a log: each is one event, appended in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from eventlab.cli.values import counted, span
from eventlab.errors import EventlabError, InvalidEvent, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from eventlab.events import AppendResult, Event
    from eventlab.log import EventLog

BATCH = 1_000
CHUNK = 1 << 20

_EVENT = ("event_id", "occurred_at", "actor", "correlation_id", "causation_id", "compensates", "metadata")
_KEYS = ("stream_id", "event_type", "payload", *_EVENT, "expected_version")
_GIVEN = {"position", "version", "schema_version", "recorded_at"}
_NEEDED = ("stream_id", "event_type")
_OBJECTS = ("payload", "metadata")


class LineError(EventlabError, ValueError):
    """A line that cannot be appended; ``line`` is its number, ``intake`` what was appended before it."""

    code = "invalid_line"

    def __init__(self, line: int, error: EventlabError, intake: Intake) -> None:
        self.line, self.error, self.intake = line, error, intake
        before = f"{intake}; " if intake.events or intake.duplicates else "Nothing was appended; "
        super().__init__(
            f"line {line}: {error.message}", hint=f"{before}correct line {line} and go on from it. {error.hint}"
        )


@dataclass(slots=True)
class Intake:
    """What was appended so far."""

    events: int = 0
    duplicates: int = 0
    first_position: int | None = None
    last_position: int | None = None

    def add(self, result: AppendResult | None, count: int) -> None:
        """Count an append."""
        if result is None:
            return
        if result.duplicate:
            self.duplicates += count
            return
        self.events += count
        self.first_position = self.first_position or result.first_position
        self.last_position = result.last_position

    def __str__(self) -> str:
        known = f"; {self.duplicates:,} in the log already" if self.duplicates else ""
        return f"Appended {counted(self.events, 'event')}{span(self.first_position, self.last_position)}{known}"


@dataclass(frozen=True, slots=True)
class Line:
    """A line's event, and where it goes."""

    number: int
    stream: str
    event: Event
    expected: Any


def append(log: EventLog, source: BinaryIO, intake: Intake, *, read: Callable[[int, bytes], Line]) -> None:
    """Append every line of ``source``, and count them in ``intake`` as they become durable.

    Lines that have arrived together share a commit; a line is never kept waiting for the next one. Each counts by
    itself: where a commit of several is refused, they are appended one by one up to the line that is at fault.

    Raises
    ------
    LineError
        For the first line that cannot be appended. Those before it are.
    """
    number = 0
    for chunk in chunks(source):
        lines: list[Line] = []
        for text in chunk:
            number += 1
            if not text.strip():
                continue
            try:
                lines.append(read(number, text.removeprefix(b"\xef\xbb\xbf") if number == 1 else text))
            except EventlabError as error:
                _commit(log, lines, intake)
                raise LineError(number, error, intake) from error
            if len(lines) == BATCH:
                _commit(log, lines, intake)
                lines = []
        _commit(log, lines, intake)


def chunks(source: BinaryIO) -> Iterator[list[bytes]]:
    """Yield the whole lines that have arrived, as soon as there is one."""
    arrived = source.read1 if hasattr(source, "read1") else source.read
    pending: list[bytes] = []
    while data := arrived(CHUNK):
        *whole, rest = data.split(b"\n")
        if whole:
            whole[0] = b"".join([*pending, whole[0]])
            pending = []
            yield whole
        pending.append(rest)
    last = b"".join(pending)
    if last:
        yield [last]


def read(number: int, text: bytes) -> Line:
    """Return what a line of JSON says is to be appended.

    Raises
    ------
    EventlabError
        If it says nothing of the kind; the message does not name the line.
    """
    from eventlab.events import Event, named  # noqa: PLC0415 - loads Arrow

    fields = _object(text)
    for key, value in fields.items():
        _check(key, value)
    for key in _NEEDED:
        if fields.get(key) is None:
            message = f"it has no {key!r}"
            raise InvalidEvent(message, hint=f"Every line needs {' and '.join(_NEEDED)}.")
    stream, event_type = (named(key, fields[key]) for key in _NEEDED)
    given = {key: fields[key] for key in _EVENT if fields.get(key) is not None}
    event = Event(event_type, fields.get("payload", {}), **given)
    return Line(number, stream, event, _expected(fields.get("expected_version")))


def read_cloudevent(number: int, text: bytes) -> Line:
    """Return what a line that is a CloudEvent says is to be appended.

    Raises
    ------
    EventlabError
        If it is none; the message does not name the line.
    """
    from eventlab import cloudevents  # noqa: PLC0415 - as the events
    from eventlab.events import Event, decoded  # noqa: PLC0415 - loads Arrow

    fields = cloudevents.loaded(text, decoded)
    event = Event.from_cloudevent(fields)
    return Line(number, cloudevents.stream(fields), event, None)


def _object(text: bytes) -> dict[str, Any]:
    """Return a line's JSON object; its numbers keep all of their digits."""
    import msgspec  # noqa: PLC0415

    from eventlab.events import decoded_exactly  # noqa: PLC0415

    try:
        fields = decoded_exactly(text.decode())
    except UnicodeDecodeError as error:
        message = f"it is not UTF-8: {error.reason} at byte {error.start + 1}"
        raise InvalidEvent(message, hint="Write the lines in UTF-8.") from None
    except (msgspec.DecodeError, RecursionError) as error:
        message = f"it is not JSON: {error}"
        raise InvalidEvent(message, hint='Write one object a line, like {"stream_id": …, "event_type": …}.') from None
    if not isinstance(fields, dict):
        message = f"it is not an object but {_kind(fields)}"
        raise InvalidEvent(message, hint="Write one object a line.")
    return fields


def _check(key: str, value: object) -> None:
    """Refuse a key that no line has, or a value of another kind than its own."""
    if key in _GIVEN:
        message = f"{key!r} is given by the log"
        raise InvalidEvent(message, hint="Leave it out; expected_version checks a stream's version.")
    if key not in _KEYS:
        message, hint, _ = unknown("key", key, _KEYS)
        raise InvalidEvent(message, hint=hint)
    kind, name = (dict, "an object") if key in _OBJECTS else (str, "text")
    if key != "expected_version" and not isinstance(value, kind) and (value is not None or key == "payload"):
        message = f"{key} is {_kind(value)}, not {name}"
        raise InvalidEvent(message, hint=f"Write {name}, or leave it out.")


def _expected(version: object) -> Any:  # noqa: ANN401 - the library's own
    """Return a line's expected version: a number, ``any``, ``exists``, or nothing."""
    import eventlab as el  # noqa: PLC0415

    match version:
        case None | "any":
            return None
        case "exists":
            return el.EXISTS
        case int() if version is not True and version is not False and version >= 0:
            return version
    message = f"expected_version is {version!r}"
    raise InvalidEvent(message, hint='Write how many events the stream has (0: it is new), "exists" or "any".')


def _kind(value: object) -> str:
    """Return what a value is called in JSON."""
    names = {dict: "an object", list: "an array", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _commit(log: EventLog, lines: Sequence[Line], intake: Intake) -> None:
    """Append lines in one commit; one by one if that is refused, up to the one at fault."""
    if not lines:
        return
    if len(lines) > 1:
        try:
            with log.transaction() as transaction:
                for line in lines:
                    transaction.append(line.stream, [line.event], expected_version=line.expected)
        except EventlabError:
            pass
        else:
            intake.add(transaction.result, len(lines))
            return
    for line in lines:
        try:
            result = log.append(line.stream, [line.event], expected_version=line.expected)
        except EventlabError as error:
            raise LineError(line.number, error, intake) from error
        intake.add(result, 1)
