"""Bulk loads: staged rows become events of the lake, all at once, without passing through the journal.

Parsing, typing, checking and sorting are done outside any lock. Then, holding the journal's write lock, positions and
versions are assigned, and the tail and the new events are committed to the lake as one commit; the journal is told after.
The journal's mark ``pending`` says that a load may be between the two: who finds it under the lock knows that the load's
process is gone, and brings the journal up to the lake.
"""

from __future__ import annotations

import uuid
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from eventlab import queries
from eventlab.displays import Displayed
from eventlab.errors import IdempotencyConflict, InvalidArgument, InvalidEvent, SchemaWarning
from eventlab.events import COLUMNS, same_content
from eventlab.schemas.registry import inferred
from eventlab.store import seals
from eventlab.store.lakes import Conflict, reading, writing
from eventlab.store.staging import stage
from eventlab.store.stores import UPSERT

if TYPE_CHECKING:
    from eventlab.schemas import Registry
    from eventlab.store.journals import State
    from eventlab.store.mappings import Mapping
    from eventlab.store.progress import Report
    from eventlab.store.staging import Staged
    from eventlab.store.stores import Store

OnInvalid = Literal["raise", "quarantine"]

_GIVEN = ("actor", "correlation_id", "causation_id", "compensates", "metadata", "payload")

_KNOWN = """
create or replace temp table known as
select
    staged.source_row, staged.event_id, recorded.position,
    {alike} as alike,
    staged.payload as payload, recorded.payload as recorded_payload,
    staged.metadata as metadata, recorded.metadata as recorded_metadata,
    {same} as same
from staged join {recorded} as recorded using (event_id)
"""
_ALIKE = """
staged.stream_id = recorded.stream_id and staged.event_type = recorded.event_type
and coalesce(staged.occurred_at = recorded.occurred_at, true)
and staged.actor is not distinct from recorded.actor
and staged.correlation_id is not distinct from recorded.correlation_id
and staged.causation_id is not distinct from recorded.causation_id
and staged.compensates is not distinct from recorded.compensates
"""
_SAME = "staged.payload = recorded.payload and staged.metadata is not distinct from recorded.metadata"

_ORDERED = """
create or replace temp table ordered as
select source_row, stream_id, row_number() over (order by occurred_at, source_row) as n
from staged where source_row not in (select source_row from known)
"""
_NUMBERED = """
create or replace temp table numbered as
with numbers as (
    select source_row, n - {start} as n, row_number() over (partition by stream_id order by n) as nth
    from ordered where n > {start} and n <= {stop}
)
select n, nth, staged.* from staged join numbers using (source_row)
"""
_LOADING = """
create or replace temp view loading as
select {envelope} from tail_rows
union all
select
    {head} + n as position, event_id, stream_id, {version} as version, event_type, {schema_version} as schema_version,
    {occurred_at} as occurred_at,
    make_timestamptz({recorded_at}) as recorded_at,
    actor, correlation_id, causation_id, compensates, metadata, payload
from numbered {heads}
"""
_NEW_HEADS = "select stream_id, max({version}) as version from numbered {heads} group by stream_id"


@dataclass(frozen=True, slots=True)
class IngestResult(Displayed):
    """What a bulk load did.

    Attributes
    ----------
    events
        How many events were added.
    duplicates
        How many rows were in the log, or earlier in the source, already.
    quarantined
        How many rows were refused and kept aside; ``log.quarantine()`` shows them.
    first_position, last_position
        Where the new events are; None if there are none.
    """

    events: int
    duplicates: int
    quarantined: int
    first_position: int | None
    last_position: int | None


def ingest(
    store: Store,
    source: object,
    mapping: Mapping,
    *,
    on_invalid: OnInvalid = "raise",
    chunk_rows: int | None = None,
    progress: Report,
) -> IngestResult:
    """Load a source: all of it or nothing; with ``chunk_rows``, in several commits of so many events.

    Raises
    ------
    InvalidSource, InvalidEvent, IdempotencyConflict
        If the source cannot be read or mapped, or (``on_invalid="raise"``) rows of it cannot be recorded.
    """
    if on_invalid not in ("raise", "quarantine"):
        raise InvalidArgument(f"on_invalid is {on_invalid!r}", hint='Choose "raise" or "quarantine".')
    if chunk_rows is not None and (not isinstance(chunk_rows, int) or chunk_rows < 1):
        raise InvalidArgument(f"chunk_rows is {chunk_rows!r}", hint="Give the number of events of one commit.")
    store.check_writable()
    with (
        writing(store.layout.path),
        stage(
            source,
            mapping,
            registry=store.registry(),
            timezone=store.layout.timezone,
            spill=store.layout.spill,
            on_invalid=on_invalid,
            strict=store.layout.strict,
            progress=progress,
        ) as staged,
    ):
        derived = mapping.event_id is None and mapping.format is None
        _warn(staged)
        load = _Load(store, staged, on_invalid=on_invalid, derived=derived, progress=progress)
        return load.run(chunk_rows)


def _warn(staged: Staged) -> None:
    """Tell of the rows that do not fit their types and are loaded all the same; where a warning is an error, nothing is."""
    for event_type, misfits in staged.warned.items():
        rows = (
            "1 event does not fit its type" if misfits.count == 1 else f"{misfits.count:,} events do not fit their type"
        )
        message = f"{event_type}: {rows}, recorded all the same; first row {misfits.row + 1}: {misfits.reason}"
        warnings.warn(message, SchemaWarning, stacklevel=4)


class _Load:
    """One bulk load, from staged rows to a commit."""

    def __init__(self, store: Store, staged: Staged, *, on_invalid: OnInvalid, derived: bool, progress: Report) -> None:
        self.store = store
        self.staged = staged
        self.connection = staged.connection
        self.on_invalid = on_invalid
        self.derived = derived
        self.progress = progress
        self.token = uuid.uuid4().hex
        self.checked = 0  # through which position the log was searched for the event ids

    def run(self, chunk_rows: int | None) -> IngestResult:
        """Add what the log does not have yet."""
        registry = self._define()
        first: int | None = None
        last: int | None = None
        with seals.lease(self.store, self.token):
            total = self._order()
            start = 0
            while start < total:
                stop = min(start + (chunk_rows or total), total)
                self._number(start, stop)
                head = self._commit(registry, stop - start)
                if head is None:  # others appended some of the same events meanwhile
                    total, start = self._order(), 0
                    continue
                first, last, start = first or head + 1, head + stop - start, stop
        duplicates = self._count("known where alike and same") + self.staged.repeated
        quarantined = self._quarantine()
        events = 0 if first is None or last is None else last - first + 1
        return IngestResult(events, duplicates, quarantined, first, last)

    def _count(self, rows: str) -> int:
        return int(queries.rows(self.connection, f"select count(*) from {rows}")[0][0])

    def _define(self) -> Registry:
        """Define the types that nobody defined, as the rows have them; the others are still as the rows were checked."""
        store = self.store
        with store.journal.write():
            registry = store.registry(store.journal.state().registry)
            added = []
            expected = {**self.staged.checked, **dict.fromkeys(self.staged.kinds)}
            for name, version in expected.items():
                known = registry.get(name)
                if known is not None and known.latest.origin == "defined" and known.latest.version != version:
                    raise InvalidEvent(f"event type {name!r} was defined while the load ran", hint="Run it again.")
            for name, kinds in self.staged.kinds.items():
                known = registry.get(name)
                fields = inferred(known.latest if known else None, kinds)
                definition = registry.define(name, fields, origin="inferred", recorded_at=store.clock())
                if definition is not None:
                    added.append(definition)
                    registry = registry.adding(definition)
            store.record_definitions(added)
        store.file_definitions()
        return registry

    def _order(self) -> int:
        """Leave out what the log has, put the rest in order of time, and return how many events that is."""
        self.progress("looking for duplicates", None)
        self._find_known()
        self._refuse_conflicts()
        self.progress("sorting", None)
        self.connection.execute(_ORDERED)
        return self._count("ordered")

    def _find_known(self) -> None:
        """Find the rows whose ids are in the log; first in the journal, then in the lake."""
        store = self.store
        state = store.journal.state()
        self.connection.register("tail_rows", seals.tail_table(store.journal, state.sealed, state.head))
        snapshot = store.lake.snapshot()
        self.checked = max(state.head, snapshot.sealed)
        columns = ["event_id", "position", "stream_id", "event_type", "occurred_at", *_GIVEN]
        log = queries.fill(
            "select {columns} from tail_rows where position > {sealed}", columns=columns, sealed=str(snapshot.sealed)
        )
        if snapshot.files:
            lake = queries.fill("select {columns} from {lake}", columns=columns, lake=store.scan(snapshot))
            log = f"{lake} union all {log}"
        with reading(store.layout.lake):
            self._keep_known(log)

    def _keep_known(self, log: str) -> None:
        """Put the rows with an id of the relation ``log`` into the table ``known``."""
        alike, same = ("true", "true") if self.derived else (_ALIKE, _SAME)
        text = queries.fill(_KNOWN, recorded=f"({log})", alike=alike, same=same)
        if self.derived:  # an id derived from the content needs no comparison, which leaves the payloads unread
            text = text.replace("recorded.payload", "null").replace("recorded.metadata", "null")
        self.connection.execute(text)

    def _refuse_conflicts(self) -> None:
        """Refuse rows whose id is in the log with other content; JSON that is written otherwise is the same."""
        doubtful = queries.rows(
            self.connection,
            "select source_row, payload, recorded_payload, metadata, recorded_metadata from known where alike and not same",
        )
        equal = [row[0] for row in doubtful if same_content(row[1], row[2]) and same_content(row[3], row[4])]
        if equal:
            self.connection.register("equal_rows", pa.table({"source_row": equal}))
            self.connection.execute(
                "update known set same = true where source_row in (select source_row from equal_rows)"
            )
        others = queries.rows(
            self.connection,
            "select source_row, event_id, position from known where not (alike and same) order by source_row",
        )
        if not others or self.on_invalid == "quarantine":
            return
        row, event_id, position = others[0]
        raise IdempotencyConflict(
            f"row {row + 1}: event id {event_id!r} is in the log with other content, at position {position}"
            + (f"; so are {len(others) - 1:,} more rows" if len(others) > 1 else ""),
            event_ids=[other[1] for other in others[:100]],
        )

    def _number(self, start: int, stop: int) -> None:
        """Give numbers to a stretch of the ordered rows: within the load, and within each stream."""
        self.progress("numbering", None)
        self.connection.execute(queries.fill(_NUMBERED, start=str(start), stop=str(stop)))

    def _commit(self, registry: Registry, count: int) -> int | None:
        """Commit the numbered rows; return the position before them, or None if some are in the log by now."""
        store = self.store
        while True:
            with store.journal.write():
                self._repaired()
                store.journal.execute("update log set pending = ?", (self.token,))
            try:
                with store.journal.write():
                    state = store.journal.state()
                    if state.pending != self.token:  # somebody took us for dead between the two transactions
                        continue
                    if self._came_meanwhile(state):
                        return None
                    self._write(registry, state, count)
                    return state.head
            except Conflict:  # a seal came between
                continue
            finally:
                self._unmark()

    def _repaired(self) -> State:
        state, snapshot = self.store.journal.state(), self.store.lake.snapshot()
        return self.store.repair(state, snapshot) if state.pending or snapshot.sealed > state.head else state

    def _unmark(self) -> None:
        """Take the mark off after a failure; after a success it is off."""
        journal = self.store.journal
        if journal.state().pending == self.token:
            with journal.write():
                self._repaired()

    def _came_meanwhile(self, state: State) -> bool:
        """Tell whether events with ids of ours were appended since the log was searched."""
        if state.head == self.checked:
            return False
        store, snapshot = self.store, self.store.lake.snapshot()
        self.connection.register("tail_rows", seals.tail_table(store.journal, snapshot.sealed, state.head))
        log = "select event_id from tail_rows"
        if snapshot.files:
            log += f" union all select event_id from {store.scan(snapshot)} where position > {self.checked}"
        with reading(store.layout.lake):
            found = queries.rows(self.connection, f"select count(*) from numbered semi join ({log}) using (event_id)")
        return bool(found[0][0])

    def _write(self, registry: Registry, state: State, count: int) -> None:
        """Give the numbered rows their places, write tail and rows to the lake, commit, and tell the journal."""
        store, connection = self.store, self.connection
        snapshot = store.lake.snapshot()
        recorded_at = max(store.clock(), state.recorded_at)
        connection.register("tail_rows", seals.tail_table(store.journal, snapshot.sealed, state.head))
        slots = self._heads()
        connection.execute(
            queries.fill(
                _LOADING,
                **slots,
                envelope=COLUMNS,
                head=str(state.head),
                recorded_at=str(recorded_at),
                occurred_at=f"coalesce(occurred_at, make_timestamptz({recorded_at}))",
                schema_version=_schema_versions(registry, self._types()),
            )
        )
        total, done = count + state.head - snapshot.sealed, 0

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            self.progress("writing", done / total)

        written = store.lake.write(connection, "loading", store.registry(state.registry), done=advance)
        head = state.head + count
        self.progress("committing", None)
        store.lake.seal(written, sealed=head, base=snapshot)
        heads = queries.arrow(connection, queries.fill(_NEW_HEADS, **slots))
        for batch in heads.to_batches(max_chunksize=50_000):
            store.journal.execute_many(UPSERT, zip(*(column.to_pylist() for column in batch.columns), strict=True))
        store.journal.execute("delete from tail")
        store.journal.execute(
            "update log set head = ?1, sealed = ?1, recorded_at = ?2, pending = null", (head, recorded_at)
        )

    def _types(self) -> list[str]:
        return [name for (name,) in queries.rows(self.connection, "select distinct event_type from numbered")]

    def _heads(self) -> dict[str, str]:
        """Look up the versions of the streams that exist; return the SQL of a row's version and of the join it needs."""
        journal = self.store.journal
        if not journal.rows("select exists (select 1 from heads)")[0][0]:
            return {"version": "nth", "heads": ""}
        streams = queries.arrow(self.connection, "select distinct stream_id from numbered")["stream_id"].to_pylist()
        versions = journal.versions(streams)
        if not versions:
            return {"version": "nth", "heads": ""}
        heads = pa.table({"stream_id": list(versions), "base": list(versions.values())})
        self.connection.register("heads", heads)
        return {"version": "coalesce(base, 0) + nth", "heads": "left join heads using (stream_id)"}

    def _quarantine(self) -> int:
        """Keep refused rows aside, and return how many there are."""
        if self.on_invalid != "quarantine":
            return 0
        self.connection.execute(
            "insert into refused select staged.source_row, 'event id ' || known.event_id || ' is in the log with other"
            " content, at position ' || position, staged.payload"
            " from known join staged using (source_row) where not (alike and same)"
        )
        count = self._count("refused")
        if count:
            folder = self.store.layout.quarantine
            folder.mkdir(exist_ok=True)
            now = self.store.clock()
            rows = queries.arrow(
                self.connection,
                "select make_timestamptz($now) as loaded_at, $source as source, source_row + 1 as row, reason, content"
                " from refused order by source_row",
                {"now": now, "source": self.staged.source},
            )
            pq.write_table(rows, folder / f"{now}-{self.token}.parquet")
        return count


def _schema_versions(registry: Registry, names: list[str]) -> str:
    """Return the SQL of the version of its type by which a row was checked."""
    versions = {name: known.latest.version for name in names if (known := registry.get(name)) is not None}
    later = [f"when {queries.literal(name)} then {version}" for name, version in versions.items() if version != 1]
    return f"case event_type {' '.join(later)} else 1 end::integer" if later else "1::integer"
