"""The SELECT that makes events of a source's rows: the parts of the envelope, the payload, and what is wrong with each."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.errors import InvalidSource
from eventlab.events import NAME_LENGTH, PAYLOAD_BYTES
from eventlab.schemas import types
from eventlab.store import mappings, payloads, sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from eventlab.queries import Connection
    from eventlab.schemas.types import FieldType
    from eventlab.store.mappings import Expression, Parsed
    from eventlab.store.payloads import Said
    from eventlab.store.sources import Source

_NUMBERS = frozenset({*payloads.INTEGERS, *payloads.WIDE, "float", "double", "decimal"})
_NESTED = frozenset({"struct", "list", "array", "map", "union", "blob"})
_ZONELESS = frozenset({"timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "date"})
_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"[T ]([01]\d|2[0-3]):\d\d(:\d\d([.]\d{1,9})?)?"
_OFFSET = r"(Z|[+-]\d\d(:?\d\d)?)"
_ISO = f"{_DAY}({_CLOCK}{_OFFSET}?)?"
_ISO_OFFSET = f"{_DAY}{_CLOCK}{_OFFSET}"
_UTC = re.compile(r"(Etc/)?(UTC|GMT|UCT|Zulu|Universal)", re.IGNORECASE)

# An object whose minified text DuckDB writes as it was loses nothing when DuckDB takes keys out of it; NaN and the like,
# which DuckDB lets pass, and numbers that it would write otherwise go to `exact_object`.
_OBJECT = """
case when not starts_with({text}, '{') or contains({text}, 'NaN') or contains({text}, 'Infinity') then {exact}({text})
    when try(json({text}))::varchar = {text} then {made}
    when replace(try(json({text}))::varchar, ' ', '') = replace({text}, ' ', '') then {made}
    else {exact}({text}) end
"""
_NULL_FAULT = "when {column} is null then {what} || ' is NULL, or its expression fails'"
_NAME_FAULT = """
when not regexp_full_match({column}, '[!-~]{1,512}') and regexp_full_match({column}, '[\\s\\p{Z}]*') then {what} || ' is empty'
when length({column}) > {most} then {what} || ' ' || left({column}, 60) || '… has ' || length({column})
    || ' characters, at most {most} are allowed'
when not regexp_full_match({column}, '[!-~]{1,512}') and regexp_matches({column}, '[\\x00-\\x1f\\x7f-\\x{9f}]')
    then {what} || ' ' || to_json({column}) || ' has control characters'
"""
_TIME_FAULT = """
when occurred_at is null then
    case when occurred_text is null then 'occurred_at is NULL, or its expression fails'
    else 'occurred_at ''' || left(occurred_text, 60) || ''' is no time in ISO 8601' end
when not isfinite(occurred_at) or year(occurred_at at time zone 'UTC') not between 1 and 9999
    then 'occurred_at ' || occurred_at::varchar || ' is outside the years 1 to 9999'
"""
IN_YEARS = "{instant} between timestamptz '0001-01-01 00:00:00+00' and timestamptz '9999-12-31 23:59:59.999999+00'"
TOO_LARGE = f"""
when strlen(payload) > {PAYLOAD_BYTES}
    then 'the payload has ' || strlen(payload) || ' bytes, at most {PAYLOAD_BYTES} are allowed'
"""
# RFC 9562, version 8: the digest with the bits of version and variant set. U+001F is in no name and in no JSON text.
ID_OF = """
((md5_number({content}) & 340282366920937330081583660661634760703::uhugeint)
    | 604472133179351442128896::uhugeint)::uuid::varchar
"""
OPTIONAL = ("actor", "correlation_id", "causation_id", "metadata")
_CONTENT = ("stream_id", "event_type", "occurred_at", *OPTIONAL, "payload")


@dataclass
class Plan:
    """How ``built`` is made: its inner SELECT, its columns, the branches of its fault, and what is known of payloads.

    Attributes
    ----------
    fields
        The typed fields of the payload; None where payloads are JSON whose shapes are looked at.
    structured
        The text whose structure ``shape`` is a hash of: ``source.line`` without ``taken``, or ``built.payload``.
    """

    event_type: str
    relation: str
    inner: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    fine: list[str] = field(default_factory=lambda: [f"strlen(payload) <= {PAYLOAD_BYTES}"])
    given_id: bool = False
    fields: dict[str, Said] | None = None
    line_shape: bool = False
    taken: frozenset[str] = frozenset()
    picked: tuple[tuple[str, str], ...] = ()

    @property
    def shape(self) -> tuple[str, str]:
        """The SQL of the hash of a payload's structure in ``built``, and of the count of its keys."""
        return ("shape", "keys") if "shape" in self.inner else (sources.SHAPE.replace("{text}", "payload"), "-1")

    def envelope(self) -> list[str]:
        """Return the columns of the envelope that the plan gives, in their order."""
        names = ("stream_id", "event_type", "occurred_at", *OPTIONAL, "compensates", "payload")
        return [name for name in names if name in self.inner]

    def statement(self) -> str:
        """Return the statement that makes ``built``, a row for each row of the source, in its order."""
        parts = {name: name if name in self.inner else "''" for name in _CONTENT}  # concat takes NULL for ''
        if "occurred_at" in self.inner:
            parts["occurred_at"] = "epoch_us(occurred_at)"
        content = ", chr(31), ".join(parts.values())
        event_id = "event_id" if self.given_id else ID_OF.replace("{content}", f"concat({content})")
        kept = [*self.envelope(), *(name for name in ("shape", "keys") if name in self.inner)]
        inner = ",\n    ".join(f"{sql} as {name}" for name, sql in self.inner.items())
        return (
            f"create table built as select {event_id} as event_id, {', '.join(kept)},\n"
            f"case when {' and '.join(self.fine)} then null {' '.join(self.faults)} end as fault\n"
            f"from (select {inner}\nfrom {self.relation}) as rows"
        )


def plan(connection: Connection, source: Source, parsed: Parsed, kinds: Mapping[str, FieldType], timezone: str) -> Plan:
    """Return how events are made of the rows of a source.

    ``kinds`` are the types of the keys of a JSON source.
    """
    relation, columns = relation_of(source, parsed, kinds)
    natives = {e: mappings.bound(connection, e, relation, columns) for e in parsed.parts.values()}
    made = Plan(text_of(parsed.parts["event_type"], natives[parsed.parts["event_type"]]), relation)
    for name in ("event_type", "stream_id", "event_id"):
        if name in parsed.parts:
            made.inner[name] = text_of(parsed.parts[name], natives[parsed.parts[name]])
            made.faults.append(fault_of_name(name, optional=False))
            made.fine.append(f"regexp_full_match({name}, '[!-~]{{1,512}}')")
    made.given_id = "event_id" in parsed.parts
    if "occurred_at" in parsed.parts:
        _time(made, parsed.parts["occurred_at"], natives[parsed.parts["occurred_at"]], timezone)
    for name in ("actor", "correlation_id", "causation_id"):
        if name in parsed.parts:
            made.inner[name] = text_of(parsed.parts[name], natives[parsed.parts[name]])
            made.faults.append(fault_of_name(name, optional=True))
            made.fine.append(f"coalesce(regexp_full_match({name}, '[!-~]{{1,512}}'), true)")
    if "metadata" in parsed.parts:
        _metadata(made, parsed.parts["metadata"], natives[parsed.parts["metadata"]])
    _payload(connection, made, source, parsed, columns)
    return made


def relation_of(source: Source, parsed: Parsed, kinds: Mapping[str, FieldType]) -> tuple[str, list[str]]:
    """Return what expressions read from, and the names of its columns; of JSON the keys that are named."""
    if not source.is_json:
        return "source", list(source.columns)
    keys = {key.lower(): key for name in sorted(parsed.columns) if (key := key_of(name, kinds)) is not None}
    columns = [  # of a line that is no JSON, nothing can be read
        f"case when shape is not null then {_read(key, kinds[key])} end as {queries.identifier(key)}"
        for key in keys.values()
    ]
    hidden = ["line as __line", "shape as __shape"]
    return f"(select {', '.join([*hidden, *columns])} from source) as source", list(kinds)


def key_of(name: str | None, keys: Iterable[str]) -> str | None:
    """Return the key that a column's name means: the same, or else one that differs by case only; None if there is none."""
    known = list(keys)
    return name if name in known else next((key for key in known if name and key.lower() == name.lower()), None)


def _pointer(key: str) -> str:
    """Return the JSON pointer (RFC 6901) to a key, as a SQL literal."""
    return queries.literal("/" + key.replace("~", "~0").replace("/", "~1"))


def _read(key: str, kind: FieldType) -> str:
    """Return the SQL of a key of a line as a typed column."""
    text = f"json_extract_string(line, {_pointer(key)})"
    match kind.kind:
        case "BIGINT" | "DOUBLE" | "BOOLEAN":
            return f"try_cast({text} as {kind})"
        case "STRUCT" | "LIST" if (stored := types.stored(kind)) is not None:
            return f"try(from_json(json_extract(line, {_pointer(key)}), {queries.literal(_shape_of(stored))}))"
        case "JSON" | "DECIMAL":
            return f"json_extract(line, {_pointer(key)})"
    return text


def _shape_of(kind: FieldType) -> str:
    """Return a type as ``from_json`` is told of it."""
    wrapped = types.structure({"x": kind})
    return wrapped[len('{"x": ') : -1]


def text_of(expression: Expression, native: queries.Type) -> str:
    """Return the SQL of an expression as text; a value that cannot be computed is NULL."""
    if str(native) == "JSON":
        return f"json_extract_string({expression.sql}, '$')"
    if native.id in _NESTED:
        message = f"{expression.argument}: {expression.text!r} is {native}, not text"
        raise InvalidSource(message, hint="Give an expression that yields text or a number.")
    said = payloads.said(expression.sql, native).sql
    return said if native.id == "varchar" and expression.bare else f"try(({said})::varchar)"


def fault_of_name(name: str, *, optional: bool) -> str:
    """Return the branches of the fault of a name: those of ``events.name_fault``."""
    parts = {"column": name, "what": queries.literal(name), "most": str(NAME_LENGTH)}
    template = _NAME_FAULT if optional else _NULL_FAULT + _NAME_FAULT
    return re.sub(r"\{(column|what|most)\}", lambda slot: parts[slot[1]], template)


def _time(made: Plan, expression: Expression, native: queries.Type, timezone: str) -> None:
    """Plan the instant of each event."""
    utc = _UTC.fullmatch(timezone) is not None
    sql = f"try({expression.sql})" if expression.bare is None else expression.sql
    if native.id in _NUMBERS and str(native) != "JSON":
        message = f"occurred_at: {expression.text!r} is {native}, not a time"
        raise InvalidSource(
            message,
            hint=f"Say what it counts: to_timestamp({expression.text}) for seconds, "
            f"epoch_ms({expression.text}) for milliseconds.",
        )
    if native.id == "timestamp with time zone":
        made.inner["occurred_at"] = sql
    elif native.id in _ZONELESS:
        made.inner["occurred_at"] = _local(f"try_cast({sql} as timestamp)", timezone, utc=utc)
    elif native.id in {"varchar", "null"} or native.id.strip('"') == "null":
        text = f"trim(json_extract_string({sql}, '$'))" if str(native) == "JSON" else f"trim({sql})"
        known = f"when not regexp_full_match({text}, {queries.literal(_ISO)}) then null"
        offset = f"regexp_full_match({text}, {queries.literal(_ISO_OFFSET)})"
        local = _local(f"try_cast({text} as timestamp)", timezone, utc=utc)
        instant = f"try_cast({text} as timestamptz)"
        rest = f"else {instant}" if utc else f"when {offset} then {instant} else {local}"
        made.inner["occurred_at"] = f"case {known} {rest} end"
        made.inner["occurred_text"] = text
    else:
        message = f"occurred_at: {expression.text!r} is {native}, not a time"
        raise InvalidSource(message, hint="Give a timestamp, a date, or ISO 8601 text.")
    shown = "occurred_text" if "occurred_text" in made.inner else "null::varchar"
    made.faults.append(_TIME_FAULT.replace("occurred_text", shown))
    made.fine.append(IN_YEARS.replace("{instant}", "occurred_at"))


def _local(naive: str, timezone: str, *, utc: bool) -> str:
    """Return the instant of a local time; of one that comes twice the first, as ``moments.instant`` has it."""
    instant = f"({naive})::timestamptz"
    if utc:
        return instant
    earlier = f"({instant} - interval 1 hour)"
    return f"case when ({earlier} at time zone {queries.literal(timezone)}) = {naive} then {earlier} else {instant} end"


def _object(text: str, made: str) -> str:
    """Return the SQL of ``made`` from a text that is a JSON object, exactly; NULL where it is none."""
    exact = "exact_line" if text == "__line" else "exact_object"
    return _OBJECT.replace("{text}", text).replace("{made}", made).replace("{exact}", exact)


def _metadata(made: Plan, expression: Expression, native: queries.Type) -> None:
    """Plan the metadata: the text of a JSON object or NULL."""
    if native.id in {"struct", "map"}:
        sql = f"to_json({payloads.said(expression.sql, native).sql})::varchar"
    else:
        sql = f"try({expression.sql}::varchar)"
    made.inner["metadata_text"] = sql
    made.inner["metadata"] = f"case when ({sql}) is not null then {_object(f'({sql})', f'({sql})')} end"
    made.fine.append("(metadata is not null or metadata_text is null)")
    made.faults.append(
        "when metadata is null and metadata_text is not null then 'metadata: ' || "
        "coalesce(json_fault(metadata_text), 'is no JSON object')"
    )


def _payload(connection: Connection, made: Plan, source: Source, parsed: Parsed, columns: list[str]) -> None:
    """Plan the payload: of the whole row, of chosen fields, or of one expression."""
    if parsed.whole is not None:
        _whole(connection, made, parsed.whole, columns)
    elif parsed.fields is not None:
        if source.is_json and all(e.bare is not None for e in parsed.fields.values()):
            _picked(connection, made, parsed.fields, columns)
        else:
            parts = {
                name: payloads.said(
                    f"try({e.sql})" if e.bare is None else e.sql, mappings.bound(connection, e, made.relation, columns)
                )
                for name, e in parsed.fields.items()
            }
            _struct(made, parts, None)
            if source.is_json:
                made.fields = None
    elif source.is_json:
        _line(made, frozenset(key for name in parsed.taken if (key := key_of(name, columns)) is not None))
    else:
        taken = {name.lower() for name in parsed.taken}
        parts = {
            name: payloads.said(f"source.{queries.identifier(name)}", native)
            for name, native in source.columns.items()
            if name.lower() not in taken
        }
        _struct(made, parts, None)
    if made.fields is None and "shape" not in made.inner:
        made.inner["shape"] = sources.SHAPE.replace("{text}", made.inner["payload"])
        made.inner["keys"] = count_of_keys(made.inner["payload"])
    made.faults.append(TOO_LARGE)


def count_of_keys(text: str) -> str:
    """Return the SQL of how many keys an object has at all depths, if it is written as usual."""
    return f"((strlen({text}) - strlen(replace({text}, '\":', ''))) // 2)::integer"


def _line(made: Plan, taken: frozenset[str]) -> None:
    """Plan the payload as the line without the keys that are arguments."""
    made.taken = taken
    made.inner["__line"] = "__line"
    patched = "__line"
    if made.taken:
        patch = "{" + ", ".join(f"{_quoted(key)}: null" for key in sorted(made.taken)) + "}"
        patched = f"json_merge_patch(__line, {queries.literal(patch)})::varchar"
    made.inner["payload"] = _object("__line", patched)
    made.inner["shape"], made.inner["keys"] = "__shape", count_of_keys("__line")
    made.line_shape = True
    made.faults.insert(0, "when payload is null then coalesce(json_fault(__line), 'is no JSON object')")


def _quoted(key: str) -> str:
    """Return a key as JSON text."""
    return json.dumps(key, ensure_ascii=False)


def _picked(connection: Connection, made: Plan, fields: Mapping[str, Expression], columns: list[str]) -> None:
    """Plan the payload as some keys of the line, with their numbers as they are written there."""
    for expression in fields.values():
        mappings.bound(connection, expression, made.relation, columns)
    made.picked = tuple((name, str(key_of(e.bare, columns))) for name, e in fields.items())
    parts = ", ".join(f"{queries.identifier(n)} := json_extract(__line, {_pointer(k)})" for n, k in made.picked)
    made.inner["__line"] = "__line"
    made.inner["payload"] = _object("__line", f"to_json(struct_pack({parts}))::varchar")
    made.faults.insert(0, "when payload is null then coalesce(json_fault(__line), 'is no JSON object')")


def _whole(connection: Connection, made: Plan, expression: Expression, columns: list[str]) -> None:
    """Plan the payload as what one expression yields."""
    native = mappings.bound(connection, expression, made.relation, columns)
    if native.id == "struct":
        parts = {
            name: payloads.said(f"{expression.sql}.{queries.identifier(name)}", payloads.child(native, index))
            for index, (name, _) in enumerate(native.children)
        }
        _struct(made, parts, expression.sql)
        return
    if native.id == "map":
        said = payloads.said(expression.sql, native)
        made.inner["payload_text"] = f"to_json({said.sql})::varchar"
    elif native.id == "varchar":
        made.inner["payload_text"] = f"try({expression.sql}::varchar)"
    else:
        message = f"payload: {expression.text!r} is {native}, not an object"
        raise InvalidSource(
            message, hint="Give an expression that yields a STRUCT or a JSON object, or a list of columns."
        )
    text = f"({made.inner['payload_text']})"
    made.inner["payload"] = _object(text, text)
    made.faults.append(
        "when payload is null then 'the payload ' || case when payload_text is null then 'is NULL' "
        "else coalesce(json_fault(payload_text), 'is no JSON object') end"
    )


def _struct(made: Plan, parts: dict[str, Said], given: str | None) -> None:
    """Plan the payload as an object of typed fields. ``given``: what must not be NULL."""
    text = f"to_json({payloads.packed(parts)})::varchar" if parts else "'{}'"
    made.inner["payload"] = f"case when ({given}) is not null then {text} end" if given else text
    made.fields = parts
    if given:
        made.faults.append("when payload is null then 'the payload is NULL'")
    floats = [name for name, part in parts.items() if part.floats]
    if floats:
        doubtful = "(contains(payload, 'NaN') or contains(payload, 'Infinity'))"
        made.fine.append(f"not {doubtful}")
        made.faults.append(f"when {doubtful} then json_fault(payload)")
