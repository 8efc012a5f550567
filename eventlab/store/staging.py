"""The staging of a bulk load: a source becomes checked events in a private DuckDB, outside of any lock.

The steps: open the source, parse the mapping, make one table ``built`` with a row for each row of the source, then mark
what is wrong with rows (names, types, payloads, ids) and offer the rest as ``staged``.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import pyarrow as pa

from eventlab import events, queries
from eventlab.errors import InvalidEvent, near
from eventlab.schemas import types
from eventlab.store import cloudevents, mappings, objects, plans, screening, sources

if TYPE_CHECKING:
    from types import TracebackType

    from eventlab.queries import Connection
    from eventlab.schemas import FieldType, Registry
    from eventlab.store.mappings import Mapping, Parsed
    from eventlab.store.plans import Plan
    from eventlab.store.sources import Source

Progress = Callable[[str, float | None], None]
MEMORY = "2GB"
_NAMED = 5  # rows that an error names
_ENVELOPE = ("actor", "correlation_id", "causation_id", "compensates", "metadata")


@dataclass
class Staged:
    """Checked events, ready to be given positions. A context manager that deletes its files.

    Attributes
    ----------
    connection
        Has ``staged`` (source_row, event_id, stream_id, event_type, occurred_at, actor, correlation_id, causation_id,
        compensates, metadata, payload) and ``refused`` (source_row, reason, content).
    rows, repeated, refused
        How many events are staged, came earlier in this source under the same id, and are refused.
    kinds
        The types of the fields of each event type that is unknown or inferred.
    checked
        The version of each defined event type by which its events were checked.
    warned
        The event types whose validation is "warn", each with the rows that do not fit and are staged all the same.
    timed
        Whether events say when they occurred; ``occurred_at`` is NULL of those that do not.
    source
        What the source is called.
    """

    connection: Connection
    folder: Path
    rows: int = 0
    repeated: int = 0
    refused: int = 0
    kinds: dict[str, tuple[tuple[str, FieldType], ...]] = field(default_factory=dict)
    checked: dict[str, int] = field(default_factory=dict)
    warned: dict[str, screening.Misfits] = field(default_factory=dict)
    timed: bool = False
    source: str = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and delete what was spilled."""
        self.connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def stage(
    source: object,
    mapping: Mapping,
    *,
    registry: Registry,
    timezone: str,
    spill: Path,
    on_invalid: Literal["raise", "quarantine"],
    strict: bool = False,
    progress: Progress | None = None,
) -> Staged:
    """Return the events of a source, typed and checked; nothing is written to the log.

    Parameters
    ----------
    source
        A path or glob, a SELECT, a frame, Arrow data, a DuckDB relation or an iterable of dicts.
    timezone
        The IANA zone in which times without an offset are read.
    spill
        A folder for what does not fit into memory.
    strict
        Refuse events of types that the registry does not know.
    progress
        Called with the name of each step, and how much of it is done where that is known.

    Raises
    ------
    InvalidSource
        If the source cannot be read, or the mapping does not fit it.
    InvalidEvent
        If rows are no events and ``on_invalid`` is "raise": the first of them, and how many there are.
    """
    tell = progress or (lambda _step, _done: None)
    folder = Path(spill) / f"stage-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    staged = Staged(queries.connect(timezone, memory=MEMORY, spill=str(folder)), folder)
    try:
        tell("reading", None)
        parsed = mappings.parsed(staged.connection, mapping)
        opened = sources.opened(staged.connection, source)
        staged.source = opened.name
        plan = _planned(staged.connection, opened, parsed, mapping.format, timezone)
        objects.install(staged.connection, plan.taken, plan.picked)
        tell("building", None)
        with queries.sourced(opened.name):
            staged.connection.execute(plan.statement())
        tell("checking", None)
        _check(staged, opened, plan, registry, strict=strict)
        staged.repeated = _identify(staged.connection, plan)
        _finish(staged, opened, plan, on_invalid)
    except BaseException:
        staged.close()
        raise
    return staged


def _planned(connection: Connection, source: Source, parsed: Parsed, given: str | None, timezone: str) -> Plan:
    """Return how events are made of the rows of a source in the format that is given."""
    if given is None:
        return plans.plan(connection, source, parsed, _keys(connection, source), timezone)
    return cloudevents.plan(connection, source, parsed, _keys(connection, source) if parsed.parts else {})


def _keys(connection: Connection, source: Source) -> dict[str, FieldType]:
    """Return the type of every key of a JSON source, as wide as all of its rows need."""
    if not source.is_json:
        return {}
    grouped = queries.rows(connection, f"select min(rowid) from source group by shape limit {screening.MANY + 1}")
    if len(grouped) > screening.MANY:
        relation = "(select 'all' as source, line from source where try(json_type(line)) = 'OBJECT')"
        return dict(screening.keys_at_once(connection, "line", relation, "source").get("all", ()))
    connection.register("wanted", pa.table({"number": pa.array([row[0] for row in grouped], pa.int64())}))
    found = queries.rows(
        connection,
        "select try(json_structure(line))::varchar from source join wanted on source.rowid = number order by number",
    )
    connection.unregister("wanted")
    keys: dict[str, FieldType] = {}
    for (text,) in found:
        structure = json.loads(text) if text else None
        if isinstance(structure, dict):
            for name, kind in screening.fields_of(structure).items():
                keys[name] = types.widen(keys.get(name, types.NULL), kind)
    return keys


def _check(staged: Staged, source: Source, plan: Plan, registry: Registry, *, strict: bool) -> None:
    """Mark what is wrong with rows, and learn the types of fields."""
    connection = staged.connection
    if source.faults:
        screening.mark(connection, source.faults)
    found = [
        name
        for (name,) in queries.rows(
            connection, "select event_type from built where fault is null group by 1 order by min(rowid)"
        )
    ]
    names = _types(connection, registry, found, strict=strict)
    defined = [known.latest for name in names if (known := registry.get(name)) and known.latest.origin == "defined"]
    checked = [definition for definition in defined if definition.validation != "off"]
    staged.checked = {definition.event_type: definition.version for definition in defined}
    free = [name for name in names if name not in staged.checked]
    columns = screening.of_columns(plan)
    shapes: list[screening.Shape] | None = []
    if plan.fields is None:
        shapes = screening.shapes(connection, plan)
        screening.repeated_keys(connection, plan, shapes)
    elif checked and columns is None:
        shapes = screening.shapes(connection, plan, only=[definition.event_type for definition in checked])
    for definition in checked:
        misfits = screening.screen(connection, plan, definition, shapes if columns is None else columns)
        if misfits is not None and definition.validation == "warn":
            staged.warned[definition.event_type] = misfits
    if plan.fields is not None:
        kinds = _typed_kinds(connection, plan) if free else {}
    else:
        kinds = screening.kinds_at_once(connection) if shapes is None else screening.kinds_of(shapes)
    staged.kinds = {name: kinds.get(name, ()) for name in free}


def _types(connection: Connection, registry: Registry, found: list[str], *, strict: bool) -> list[str]:
    """Return the event types that events may have; mark the rows of the others."""
    good: list[str] = []
    faults: dict[str, str] = {}
    lowered: dict[str, str] = {}
    for name in found:
        if name not in registry:
            if (fault := _type_fault(registry, lowered, name, strict=strict)) is not None:
                faults[name] = fault
                continue
            lowered[name.lower()] = name
        good.append(name)
    for name, reason in faults.items():
        connection.execute(
            "update built set fault = $reason where fault is null and event_type = $name",
            {"reason": reason, "name": name},
        )
    return good


def _type_fault(registry: Registry, lowered: dict[str, str], name: str, *, strict: bool) -> str | None:
    """Return why a new type cannot be; None if it can."""
    try:
        registry.check_name(name)
    except InvalidEvent as error:
        return error.message
    if (other := lowered.get(name.lower())) is not None:
        return f"event type {name!r} differs from {other!r} by case only"
    if strict:
        matches = near(name, registry.names)
        return f"event type {name!r} is not defined" + (f". Did you mean {matches[0]!r}?" if matches else "")
    return None


def _typed_kinds(connection: Connection, plan: Plan) -> dict[str, screening.Kinds]:
    """Return the types of the fields of each event type from the columns; NULL where a type has no value."""
    parts = plan.fields or {}
    counts = ", ".join(["count(*)", *(f"count({part.sql})" for part in parts.values())])
    grouped = queries.rows(
        connection, f"select {plan.event_type} as event_type, {counts} from {plan.relation} group by 1"
    )
    return {
        row[0]: tuple(
            (name, part.kind if count else types.NULL)
            for (name, part), count in zip(parts.items(), row[2:], strict=True)
        )
        for row in grouped
    }


def _identify(connection: Connection, plan: Plan) -> int:
    """Make event ids unique. Returns how many rows only repeat an earlier one; they are deleted."""
    connection.execute(
        """create temp table twins as with hashes as (
            select hash(event_id) as h from built where fault is null group by h having count(*) > 1
        ) select rowid as number, event_id, row_number() over (partition by event_id order by rowid) - 1 as ordinal,
            first_value(rowid) over (partition by event_id order by rowid) as first
        from built where fault is null and hash(event_id) in (select h from hashes)"""
    )
    if not plan.given_id:
        again = plans.ID_OF.replace("{content}", "concat(twins.event_id, chr(31), ordinal)")
        connection.execute(f"update built set event_id = {again} from twins where built.rowid = number and ordinal > 0")
        return 0
    return _repeats(connection, plan)


def _repeats(connection: Connection, plan: Plan) -> int:
    """Delete the rows that only repeat an earlier one of the same id; mark those that say something else."""
    compared = [name for name in plan.envelope() if name not in {"payload", "metadata"}]
    others = " and ".join(f"later.{name} is not distinct from earlier.{name}" for name in compared)
    texts = [name for name in ("payload", "metadata") if name in plan.inner]
    equal = " and ".join(f"later.{name} is not distinct from earlier.{name}" for name in texts)
    shown = ", ".join(f"later.{name}, earlier.{name}" for name in texts)
    joined = "twins join built as later on later.rowid = number join built as earlier on earlier.rowid = first where ordinal > 0"
    faults: dict[int, str] = {}
    for number, first, event_id, same, *pairs in queries.rows(
        connection,
        f"select number, first, later.event_id, {others}, {shown} from {joined} and not ({others} and {equal})",
    ):
        alike = same and all(map(events.same_content, pairs[::2], pairs[1::2]))
        if not alike:
            faults[number] = f"event_id {event_id!r} came in row {first + 1} with other content"
    screening.mark(connection, faults)
    deleted = queries.rows(
        connection,
        "select count(*) from twins join built on built.rowid = number where ordinal > 0 and fault is null",
    )
    connection.execute(
        "delete from built where fault is null and rowid in (select number from twins where ordinal > 0)"
    )
    return int(deleted[0][0])


def _finish(staged: Staged, source: Source, plan: Plan, on_invalid: Literal["raise", "quarantine"]) -> None:
    """Refuse the load, or keep the refused rows with their reasons, and offer the rest."""
    connection = staged.connection
    [(staged.rows, staged.refused)] = queries.rows(
        connection, "select count(*) filter (fault is null), count(*) filter (fault is not null) from built"
    )
    if staged.refused and on_invalid == "raise":
        raise _refusal(connection, source, staged.refused)
    _keep_refused(connection, source, any_refused=staged.refused > 0)
    staged.timed = "occurred_at" in plan.inner
    given = plan.envelope()
    columns = [
        "rowid as source_row",
        "event_id",
        "stream_id",
        "event_type",
        "occurred_at" if staged.timed else "null::timestamptz as occurred_at",
        *(name if name in given else f"null::varchar as {name}" for name in _ENVELOPE),
        "payload",
    ]
    connection.execute(f"create view staged as select {', '.join(columns)} from built where fault is null")


def _keep_refused(connection: Connection, source: Source, *, any_refused: bool) -> None:
    """Make ``refused``: the rows that are no events, with their reasons and contents."""
    connection.execute("create table refused (source_row bigint, reason varchar, content varchar)")
    if any_refused:
        content = "line" if source.is_json else "to_json(source)::varchar"
        rows = f"(select rowid as number, {content} as content from source)"
        if not source.kept:  # a view has no rowid; its rows come in the same order again
            rows = f"(select row_number() over () - 1 as number, {content} as content from source)"
        connection.execute(
            f"insert into refused select built.rowid, fault, content from built join {rows} as texts on number = built.rowid "
            "where fault is not null order by built.rowid"
        )


def _refusal(connection: Connection, source: Source, count: int) -> InvalidEvent:
    """Return the error that names the first rows which are no events."""
    first = queries.rows(
        connection, f"select rowid + 1, fault from built where fault is not null order by rowid limit {_NAMED}"
    )
    listed = "\n".join(f"row {number}: {reason}" for number, reason in first)
    more = f"\n… and {count - len(first)} more" if count > len(first) else ""
    message = (
        f"{source.name}: {count} row{'s' if count > 1 else ''} cannot be recorded, nothing was loaded\n{listed}{more}"
    )
    return InvalidEvent(message, hint='Correct them, or load the rest with on_invalid="quarantine".')
