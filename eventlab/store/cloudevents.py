"""CloudEvents as the source of a bulk load: how their lines become events, a million at a time.

Ordinary lines are taken apart in SQL. A line that is written unusually (a name or an escape that SQL would not keep, a
number that DuckDB would write otherwise, a leap second) or that is no CloudEvent goes through ``Event.from_cloudevent``,
which is what an append does: both give the same event.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from eventlab import cloudevents, events, moments, queries
from eventlab.errors import InvalidEvent, InvalidSource
from eventlab.store import mappings, objects, plans, sources
from eventlab.store.plans import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventlab.queries import Connection
    from eventlab.schemas.types import FieldType
    from eventlab.store.mappings import Parsed
    from eventlab.store.sources import Source

_ATTRIBUTES = (
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    *cloudevents.COLUMNS,
    "compensates",
    cloudevents.MARK,
)
_PARTS = ("event_type", "event_id", "stream_id", *events.OPTIONAL, "metadata", "payload")
# Attributes as they are written without escapes: names, and values of which none is empty or an integer of ten digits.
_ENVELOPE = (
    r'\{("[a-z0-9]+":("[^"\\\x00-\x1f\x7f-\x{9f}]+"|true|false|-?(0|[1-9][0-9]{0,8}))(,"[a-z0-9]+":'
    r'("[^"\\\x00-\x1f\x7f-\x{9f}]+"|true|false|-?(0|[1-9][0-9]{0,8})))*)\}'
)
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_WRITTEN_TIME = r"[0-9-]{10}T[0-9:]{8}([.][0-9]{3}([0-9]{3})?)?Z"  # as we write it, if no three zeros are at its end
_NAME = f"[!-~]{{1,{events.NAME_LENGTH}}}"

_APART = """
select *,
    regexp_full_match(__envelope, {envelope}) and not contains(__json, 'NaN') and not contains(__json, 'Infinity')
        and replace(json(__json)::varchar, ' ', '') = replace(__json, ' ', '')
        and (len(__keys) = list_count(__a) + (__kind is not null)::int + (__base64 is not null)::int  -- none comes twice
            or len(__keys) = list_unique(__keys)) as __plain
from (
    select *,
        json_extract(__envelope, {paths})::varchar[] as __a, json_type(__json, '/data') as __kind,
        json_extract(__json, '/data_base64')::varchar as __base64, json_keys(__json) as __keys
    from (
        select *, case when contains(__attributes, ':null') then json_merge_patch('{}', __attributes)::varchar
            else __attributes end as __envelope
        from (
            select *, json_merge_patch(__json, '{"data":null,"data_base64":null}')::varchar as __attributes
            from (select *, case when __shape is not null then __line end as __json from {lines})  -- NULL of what is no JSON
        )
    )
)
"""
_TEXTS = """
select *, {texts}, try_cast(regexp_replace(__time, '([.]\\d\\d\\d\\d\\d\\d)\\d+', '\\1') as timestamptz) as __instant
from (select *, substring(__a[6], 2, length(__a[6]) - 2) as __time from ({apart}))
"""
_ORDINARY = """
__plain and __a[1] = '"1.0"' and {all_texts}
and regexp_full_match(__source, {reference}) and coalesce(regexp_full_match(__dataschema, {uri}), true)
and coalesce(regexp_full_match(__datacontenttype, {media}), true)
and regexp_full_match(concat(__source, '|', __id), {name})
and (__time is null or regexp_full_match(__time, {time}) and {in_years})
and {columns}
and case when __base64 is null then true else __kind is null and regexp_full_match(__base64, {base64}) end
and (__eventlab is null or {exported})
"""
_EXPORTED = """
(__eventlab = '1' and regexp_full_match(__id, {name}) and regexp_full_match(__subject, {name}) and __kind = 'OBJECT'
    and __datacontenttype = 'application/json' and {written_time} and list_has_all({own}, json_keys(__envelope))
    and (__a[{compensates}] is null or starts_with(__a[{compensates}], '"') and regexp_full_match(__compensates, {name})))
"""
_KEPT = """
'{"cloudevent":' || left(__rest, length(__rest) - 1)
    || case when __time is null then ',"time":null' else '' end
    || case when __kind = 'OBJECT' then '' when __kind is not null then ',"data":"wrapped"'
        when __base64 is not null then ',"data":"data_base64"' else ',"data":"absent"' end || '}}'
"""
_PAYLOAD = """
case when __kind = 'OBJECT' then json_extract(__json, '/data')::varchar
    when __kind is not null then '{"data":' || json_extract(__json, '/data')::varchar || '}'
    when __base64 is not null then '{"data_base64":' || __base64 || '}' else '{}' end
"""
_FINE = "payload is not null and fault_text is null"


def plan(connection: Connection, source: Source, parsed: Parsed, kinds: Mapping[str, FieldType]) -> Plan:
    """Return how events are made of a source of CloudEvents.

    Parameters
    ----------
    parsed
        May have ``stream_id``, an expression over the CloudEvents' members; it is the subject otherwise, or the source.
    kinds
        The types of the members, if it has.

    Raises
    ------
    InvalidSource
        If the source is not JSON.
    """
    if not source.is_json:
        message = f"{source.name}: CloudEvents are JSON"
        raise InvalidSource(
            message, hint="Give .jsonl, .ndjson or .json, or an iterable of dicts; map columns by arguments."
        )
    queries.function(connection, "read_cloudevent", _read)
    lines, columns = plans.relation_of(source, parsed, kinds)
    relation = _relation(lines)
    made = Plan("event_type", relation, given_id=True)
    made.inner = {name: f"__made_{name}" for name in _PARTS}
    made.inner |= {"occurred_at": "__made_occurred_at", "fault_text": "__fault"}
    if (stream := parsed.parts.get("stream_id")) is not None:
        made.inner["stream_id"] = plans.text_of(stream, mappings.bound(connection, stream, relation, columns))
    made.inner["shape"] = sources.SHAPE.replace("{text}", "__made_payload")
    made.inner["keys"] = plans.count_of_keys("__made_payload")
    made.fine.append(_FINE)
    made.faults.append("when fault_text is not null then fault_text")
    for name in ("event_type", "stream_id", "event_id"):
        made.fine.append(f"regexp_full_match({name}, {queries.literal(_NAME)})")
        made.faults.append(plans.fault_of_name(name, optional=False))
    made.faults.append(plans.TOO_LARGE)
    return made


def _relation(lines: str) -> str:
    """Return the SQL of a relation with the parts of each event, and the lines' own members."""
    names = [f"__{name}" for name in _ATTRIBUTES]
    texts = [
        f"case when starts_with(__a[{n}], '\"') then substring(__a[{n}], 2, length(__a[{n}]) - 2) else __a[{n}] end as {name}"
        for n, name in enumerate(names, 1)
        if name != "__time"
    ]
    paths = queries.literal([f"/{name}" for name in _ATTRIBUTES])
    apart = queries.fill(_APART, paths=paths, envelope=queries.literal(_ENVELOPE), lines=lines)
    read = queries.fill(_TEXTS, texts=texts, apart=apart)
    odd = f"case when coalesce({_ordinary()}, false) then null else read_cloudevent(__line) end"
    return f"""(
    select *, json_extract_string(__odd, '/fault') as __fault, {", ".join(_columns())}
    from (select *, {odd} as __odd, {_rest()} as __rest from ({read}))
    ) as source"""


def _ordinary() -> str:
    """Return the condition that SQL makes of a line what ``Event.from_cloudevent`` would."""
    name = queries.literal(_NAME)
    place = {attribute: number for number, attribute in enumerate(_ATTRIBUTES, 1)}
    optional = (*_ATTRIBUTES[4:8], *cloudevents.COLUMNS)
    own = [*_ATTRIBUTES[:8], *cloudevents.COLUMNS, "compensates", cloudevents.MARK]
    exported = queries.fill(
        _EXPORTED,
        name=name,
        own=queries.literal(own),
        written_time=_written_time(),
        compensates=str(place["compensates"]),
    )
    return queries.fill(
        _ORDINARY,
        all_texts=" and ".join(
            [f"starts_with(__a[{place[attribute]}], '\"')" for attribute in _ATTRIBUTES[1:4]]
            + [f"coalesce(starts_with(__a[{place[attribute]}], '\"'), true)" for attribute in optional]
        ),
        reference=queries.literal(cloudevents.REFERENCE),
        uri=queries.literal(cloudevents.URI),
        media=queries.literal(cloudevents.MEDIA),
        name=name,
        time=queries.literal(_TIME),
        in_years=plans.IN_YEARS.replace("{instant}", "__instant"),
        columns=" and ".join(f"coalesce(regexp_full_match(__{c}, {name}), true)" for c in cloudevents.COLUMNS),
        base64=queries.literal(f'"{cloudevents.BASE64_TEXT}"'),
        exported=exported,
    )


def _written_time() -> str:
    """Return the condition that a time is written as we would write it."""
    return f"(regexp_full_match(__time, {queries.literal(_WRITTEN_TIME)}) and not ends_with(__time, '000Z'))"


def _rest() -> str:
    """Return the SQL of the attributes that have no place in the envelope of an event, as an object."""
    gone = ", ".join(f'"{name}": null' for name in ("specversion", "id", "type", *cloudevents.COLUMNS))
    patches = [queries.literal(f"{{{gone}{more}}}") for more in (', "time": null', "")]
    return f"json_merge_patch(__envelope, case when {_written_time()} then {patches[0]} else {patches[1]} end)::varchar"


def _columns() -> list[str]:
    """Return the SQL of the parts of each event."""
    own = {
        "event_type": "__type",
        "event_id": "case when __eventlab is null then concat(__source, '|', __id) else __id end",
        "stream_id": "coalesce(__subject, __source)",
        **{column: f"__{name}" for name, column in cloudevents.COLUMNS.items()},
        "compensates": "case when __eventlab is not null then __compensates end",
        "metadata": f"case when __eventlab is null then {_KEPT} end",
        "payload": _PAYLOAD,
    }
    instant = "make_timestamptz(json_extract_string(__odd, '/occurred_at')::bigint)"
    return [
        f"case when __odd is null then __instant else {instant} end as __made_occurred_at",
        *(
            f"case when __odd is null then {own[n]} else json_extract_string(__odd, '/{n}') end as __made_{n}"
            for n in _PARTS
        ),
    ]


def _read(lines: pa.Array) -> pa.Array:
    """Return the parts of the event that each line is, as JSON, or what is wrong with it."""
    return pa.array(
        [None if line is None else msgspec.json.encode(_parts(line)).decode() for line in lines.to_pylist()]
    )


def _parts(line: str) -> dict[str, object]:
    """Return the parts of the event that a line is, or what is wrong with it."""
    if (fault := objects.fault(line)) is not None:
        return {"fault": fault}
    try:
        given = cloudevents.loaded(line, events.decoded)
        event = events.Event.from_cloudevent(given)
        payload = events.encoded(events.plain(event.payload, "data"), "data")
        metadata = None if event.metadata is None else events.encoded(dict(event.metadata), "metadata")
    except InvalidEvent as error:
        return {"fault": f"{error.message}. {error.hint}"}
    occurred = event.occurred_at
    return {
        "event_type": event.type,
        "event_id": event.event_id,
        "stream_id": cloudevents.stream(given),
        "occurred_at": None if occurred is None else moments.instant(occurred, dt.UTC),
        **{name: getattr(event, name) for name in events.OPTIONAL},
        "metadata": metadata,
        "payload": payload,
    }
