"""Proposing schemas: what the payloads of a source have in common, type by type and field by field, with the evidence."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.errors import InvalidArgument, InvalidSource, unknown
from eventlab.schemas import Field, FieldType, Registry, contracts, types
from eventlab.store import sources
from eventlab.store.staging import stage

if TYPE_CHECKING:
    import polars as pl

    from eventlab.store.mappings import Mapping
    from eventlab.store.progress import Report

# One row a field that is an own key of a payload. Examples are in the order of their first events.
_EVIDENCE = """
with texts as (
    select event_type, source_row, payload, json_keys(payload) as names from staged
),
totals as (select event_type, count(*) as events from texts group by all),
parts as (
    select
        event_type, source_row, ordinal, name as field,
        json_extract(payload, '/' || replace(replace(name, '~', '~0'), '/', '~1')) as value
    from (
        select event_type, source_row, payload, unnest(names) as name, generate_subscripts(names, 1) as ordinal from texts
    )
),
said as (
    select event_type, field, source_row, ordinal, json_type(value) as kind, json_extract_string(value, '$') as text from parts
),
firsts as (
    select event_type, field, text, row_number() over (partition by event_type, field order by min(source_row)) as n
    from said where kind <> 'NULL' group by event_type, field, text
),
examples as (
    select event_type, field, list(left(text, 40) order by n) as examples from firsts where n <= {shown} group by all
)
select
    event_type, field, any_value(events) as events,
    count(*) filter (kind <> 'NULL') as present,
    count(*) filter (kind = 'NULL') as nulls,
    any_value(events) - count(*) as absent,
    approx_count_distinct(text) filter (kind <> 'NULL') as distinct_values,
    any_value(examples) as examples,
    {tests}
from said join totals using (event_type) left join examples using (event_type, field)
group by event_type, field order by event_type, min((source_row, ordinal))
"""
_SHOWN = 3
# How often the texts of a field are all of one narrower type; the first that holds for all is proposed.
_NARROWER = {
    "UUID": "regexp_full_match(text, '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}')",
    "DATE": r"regexp_full_match(text, '[1-9]\d{3}-\d\d-\d\d') and try_cast(text as date) is not null",
    "TIMESTAMPTZ": r"regexp_full_match(text, '[1-9]\d{3}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.]\d{1,9})?)?(Z|[+-]\d\d:\d\d)')"
    " and try_cast(text as timestamptz) is not null",
    "TIMESTAMP": r"regexp_full_match(text, '[1-9]\d{3}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.]\d{1,9})?)?')"
    " and try_cast(text as timestamp) is not null",
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A schema that the payloads of one event type fit, to be looked at, edited and defined.

    Attributes
    ----------
    evidence
        One row a field: ``field, type, events, present, nulls, absent, distinct_values`` (an estimate), ``examples``.
    """

    event_type: str
    fields: dict[str, Field]
    evidence: pl.DataFrame

    @property
    def duckdb(self) -> dict[str, str]:
        """The DuckDB type of each field, as ``log.define`` takes them."""
        return {name: str(field) for name, field in self.fields.items()}

    @property
    def json_schema(self) -> dict[str, Any]:
        """The same as JSON Schema."""
        return contracts.of_fields(self.fields)

    def __repr__(self) -> str:
        lines = [f"{self.event_type}: {len(self.fields)} fields"]
        lines += [f"  {name} {field}" for name, field in self.fields.items()]
        return "\n".join(lines)


class Proposals(MappingType[str, Proposal]):
    """The proposed schemas of a source by event type."""

    def __init__(self, proposals: dict[str, Proposal]) -> None:
        self._proposals = proposals

    def __getitem__(self, event_type: str) -> Proposal:
        found = self._proposals.get(event_type)
        if found is None:
            message, hint, _ = unknown("event type", event_type, self._proposals)
            raise InvalidArgument(message, hint=hint)
        return found

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the event types."""
        return iter(self._proposals)

    def __len__(self) -> int:
        return len(self._proposals)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self._proposals.values())) or "no events"

    def pl(self) -> pl.DataFrame:
        """Return the evidence of all types in one frame, with ``event_type`` before the columns of each."""
        import polars as pl  # noqa: PLC0415 - so that import eventlab stays light

        frames = [
            proposal.evidence.select(pl.lit(name).alias("event_type"), pl.all())
            for name, proposal in self._proposals.items()
        ]
        return pl.concat(frames) if frames else pl.DataFrame()


def infer(source: object, mapping: Mapping, *, timezone: str = "UTC", progress: Report | None = None) -> Proposals:
    """Return the schemas that the rows of a source propose. Nothing is written.

    Without an ``event_type`` it is the column of that name, or ``type`` or ``event``, if there is one.

    Raises
    ------
    InvalidSource
        If the source cannot be read or mapped, or there is no column that could be the event type.
    """
    if isinstance(source, Iterator):  # it is read twice
        source = list(source)
    if mapping.format is None:
        mapping = replace(
            mapping,
            event_type=mapping.event_type or _type_column(source, timezone),
            stream_id=mapping.stream_id or "'any'",
        )
    with (
        tempfile.TemporaryDirectory(prefix="eventlab-") as folder,
        stage(
            source,
            mapping,
            registry=Registry(),
            timezone=timezone,
            spill=Path(folder),
            on_invalid="quarantine",
            progress=progress,
        ) as staged,
    ):
        tests = [
            f"coalesce(bool_and({test}) filter (kind <> 'NULL'), false) as {name}" for name, test in _NARROWER.items()
        ]
        found = queries.arrow(staged.connection, queries.fill(_EVIDENCE, shown=str(_SHOWN), tests=tests)).to_pylist()
        return Proposals({name: _proposal(name, dict(kinds), found) for name, kinds in sorted(staged.kinds.items())})


def _type_column(source: object, timezone: str) -> str:
    """Return the column of a source that is the event type by its name."""
    with queries.connect(timezone) as connection:
        opened = sources.opened(connection, source)
        names = opened.columns
        if opened.is_json:
            keys = "select distinct unnest(json_keys(line)) from source where try(json_type(line)) = 'OBJECT'"
            names = {name: queries.parse_type("VARCHAR") for (name,) in queries.rows(connection, keys)}
    for name in ("event_type", "type", "event"):
        if name in names:
            return queries.identifier(name)
    raise InvalidSource(
        f"{opened.name}: no column is the event type",
        hint=f"Give event_type=, SQL over the columns {', '.join(names)}; or one name: \"'PageViewed'\".",
    )


def _proposal(event_type: str, kinds: dict[str, FieldType], found: list[dict[str, Any]]) -> Proposal:
    """Return the proposal for one type: of each field the narrowest type that all of its values have."""
    import polars as pl  # noqa: PLC0415 - so that import eventlab stays light

    own = [row for row in found if row["event_type"] == event_type]
    fields = {}
    for row in own:
        kind = kinds.get(row["field"], types.JSON)
        if kind == types.VARCHAR:
            narrow = next((name for name in _NARROWER if row[name]), "VARCHAR")
            kind = FieldType(narrow)
        fields[row["field"]] = Field(_known(kind), required=not row["nulls"] and not row["absent"])
    rows = [
        {"field": row["field"], "type": str(fields[row["field"]])}
        | {name: row[name] for name in ("events", "present", "nulls", "absent", "distinct_values", "examples")}
        for row in own
    ]
    schema: dict[str, Any] = {
        "field": pl.String,
        "type": pl.String,
        "events": pl.Int64,
        "present": pl.Int64,
        "nulls": pl.Int64,
    }
    schema |= {"absent": pl.Int64, "distinct_values": pl.Int64, "examples": pl.List(pl.String)}
    return Proposal(event_type, fields, pl.DataFrame(rows, schema=schema))


def _known(kind: FieldType) -> FieldType:
    """Return a type that can be declared: JSON where nothing is known of a value, or of a part of it."""
    return types.JSON if kind == types.NULL or types.is_vague(kind) or "NULL" in str(kind) else kind
