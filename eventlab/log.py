"""The façade: a log to append to and to read, and views of it at other moments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from eventlab import moments
from eventlab.analytics import Question
from eventlab.analytics.asking import Analyses
from eventlab.analytics.macros import MACROS
from eventlab.displays import Displayed
from eventlab.errors import InvalidArgument, InvalidEvent
from eventlab.events import Event
from eventlab.schemas import folders
from eventlab.session import Scope, Session, Subscription, compensations, definitions, exports, readers
from eventlab.session.definitions import Asked
from eventlab.states import Catalog, Fold, State
from eventlab.store import (
    ANY,
    EXISTS,
    Compaction,
    Sealer,
    Write,
    appends,
    inferences,
    infos,
    loads,
    recoveries,
    seals,
)
from eventlab.store.mappings import Mapping as LoadMapping
from eventlab.store.progress import reporting
from eventlab.store.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from eventlab import queries
    from eventlab.events import AppendResult, RecordedEvent
    from eventlab.jupyter.lives import Live
    from eventlab.jupyter.machines import TimeMachine
    from eventlab.moments import Instant, Moment
    from eventlab.schemas import Registry
    from eventlab.schemas.compatibilities import Issue
    from eventlab.schemas.forms import SchemaVersion
    from eventlab.session.definitions import DryRun
    from eventlab.session.exports import ExportResult
    from eventlab.session.results import Result
    from eventlab.states.reducers import Evolve
    from eventlab.store import (
        IngestResult,
        Recovery,
        Store,
    )
    from eventlab.store.inferences import Proposals
    from eventlab.store.layouts import Partition

__all__ = ["ANY", "EXISTS", "EventLog", "LogView", "Transaction", "open_log", "recover"]


class _Readable(Analyses, Displayed):
    """What a log and its views have in common: reading, by SQL and event by event, and the analyses."""

    _session: Session
    _catalog: Catalog
    _scope: Scope
    _registry: Registry | None = None

    def sql(self, query: str, params: Mapping[str, object] | Sequence[object] | None = None) -> queries.Relation:
        """Return a DuckDB relation over the log: ``.pl() .arrow() .df() .show() .fetchall()``.

        Relations to query: ``events`` (the envelope, ``category`` and one STRUCT column an event type), one view a type
        (``order_placed``), ``streams``, ``event_types``, and the table macro ``events_at(t, known_at := NULL)``. The result is
        pinned to what the log holds now: it runs after appends, seals and compactions too, and gives the same rows. Rows
        come in no order unless the query says so.

        Parameters
        ----------
        query
            One statement that reads. It cannot change the log.
        params
            Values for ``$name`` or ``?``, which are bound, never pasted.

        Raises
        ------
        QueryError
            If the query does not parse, does not only read, or names what does not exist.
        """
        return self._session.sql(query, params, scope=self._scope, registry=self._registry)

    def schema(self, event_type: str, version: int | None = None) -> SchemaVersion:
        """Return a version of a type's schema, the latest if none is given; on a view with ``known_at``, as it was then.

        It has every form: ``.json_schema``, ``.duckdb``, ``.arrow``, ``.dataclass()``, ``.pydantic()``, ``.msgspec()``;
        ``.versions`` has all versions, oldest first.

        Raises
        ------
        InvalidArgument
            If there is no such type (with near matches) or version.
        """
        registry = self._registry or self._catalog.registry()
        known = registry if self._scope.registry is None else registry.at(self._scope.registry)
        return definitions.schema(known, event_type, version, zone=self._session.store.zone)

    def state(self, name: str) -> State:
        """Return a state by its name; on a view, as it was defined then and of the events that the view sees.

        Raises
        ------
        InvalidArgument
            If there is none (with near matches).
        """
        registry = self._registry or self._catalog.registry()
        entry = self._catalog.find(name, registry)
        return State(self._catalog, entry, self._scope, self._registry, _charted, _machine)

    @property
    def states(self) -> list[str]:
        """The names of the states, in order."""
        return sorted((self._registry or self._catalog.registry()).states)

    @overload
    def fold(self, name: str, initial: object, evolve: Evolve, *, types: Iterable[str] | None = None) -> Fold: ...
    @overload
    def fold(
        self, name: str, initial: object = None, *, types: Iterable[str] | None = None
    ) -> Callable[[Evolve], Fold]: ...
    def fold(
        self, name: str, initial: object = None, evolve: Evolve | None = None, *, types: Iterable[str] | None = None
    ) -> Fold | Callable[[Evolve], Fold]:
        """Fold the events of each stream with a Python function, and return the answers: the reading API of a state.

        Slower than a state by far, as it goes event by event: about 100,000 events a second. Without ``evolve`` it is a
        decorator: ``@log.fold("orders", initial={"total": 0})``.

        Parameters
        ----------
        name
            What it is called in errors and charts.
        initial
            The state of a stream before its first event, or a function without arguments that returns it.
        evolve
            ``evolve(state, event) -> state``, of nothing but the two: the first two hundred events are folded twice to see.
            A dict or a dataclass has its fields as columns, anything else is the column ``value``; ``None``: no such entity.
        types
            Only these event types.

        Raises
        ------
        InvalidArgument
            When asked, if ``evolve`` gives another state each time, or a column has values of several types.

        Examples
        --------
        >>> import tempfile, eventlab as el
        >>> log = el.open(tempfile.mkdtemp(), create=True)
        >>> _ = log.append("order-1", [el.Event("ItemAdded", {"price": 5}), el.Event("ItemAdded", {"price": 7})])
        >>> @log.fold("orders", initial={"items": 0, "total": 0})
        ... def orders(state, event):
        ...     return {"items": state["items"] + 1, "total": state["total"] + event.payload["price"]}
        >>> orders.now().fetchall(), orders.at(1).fetchall()
        ([('order-1', 2, 12)], [('order-1', 1, 5)])
        """

        def made(function: Evolve) -> Fold:
            return Fold(self._session, name, initial, function, scope=self._scope, types=types, charter=_charted)

        return made if evolve is None else made(evolve)

    def _question(
        self,
        *,
        by: str,
        where: str | None,
        since: Instant | None,
        until: Instant | None,
        complete_through: Instant | None = None,
    ) -> Question:
        return Question.of(
            self._session,
            self._scope,
            self._registry,
            by=by,
            where=where,
            since=since,
            until=until,
            complete_through=complete_through,
            charter=_charted,
        )

    def stream(self, stream_id: str) -> list[RecordedEvent]:
        """Return the events of a stream in version order; an empty list if there is no such stream."""
        return readers.stream(self._session, stream_id, scope=self._scope)

    def read(
        self, after: int = 0, limit: int | None = None, types: Iterable[str] | None = None
    ) -> Iterator[RecordedEvent]:
        """Return an iterator over the events in position order, as the log is now.

        Parameters
        ----------
        after
            The position after which to begin, exclusive.
        limit
            How many events at most; all if None.
        types
            Only these event types.
        """
        return readers.read(self._session, after=after, limit=limit, event_types=types, scope=self._scope)

    def export(
        self,
        path: str | Path,
        *,
        format: exports.Format | None = None,  # noqa: A002 - what users type
        types: Iterable[str] | None = None,
        source: str | None = None,
        after: int = 0,
        progress: bool | Callable[[str, float | None], None] | None = None,
    ) -> ExportResult:
        """Write the events to a file, in position order: the whole file or none; a view writes what it sees.

        Parameters
        ----------
        path
            The file, which is replaced if it is there. Text is compressed where the name ends in .gz or .zst.
        format
            By the name, else: ``"jsonl"``: what ``eventlab append`` reads. ``"csv"``: the envelope, payload and metadata as
            JSON. ``"parquet"``: the envelope, and a STRUCT column for each of ``types``, or of all if they are 32 at most.
            ``"cloudevents"``: CloudEvents 1.0 in JSON, one a line; ``"cloudevents-batch"``: a JSON array of them. Their
            ``dataschema`` is ``urn:eventlab:<store id>:<event type>:<schema version>``. ``ingest`` with
            ``format="cloudevents"`` makes the same events of them.
        types
            Only these event types.
        source
            The ``source`` of CloudEvents, a URI reference; ``urn:eventlab:<store id>`` if left out. What came as a CloudEvent
            keeps its own, and its own ``dataschema``.
        after
            The position after which to begin, exclusive.
        progress
            As for ``ingest``.

        Raises
        ------
        InvalidArgument
            If the path, the format, the source or an event type (with near matches) is none.
        """
        with reporting(progress) as report:
            return exports.export(
                self._session,
                path,
                format=format,
                types=types,
                source=source,
                after=after,
                scope=self._scope,
                registry=self._registry,
                progress=report,
            )


class LogView(_Readable):
    """The log as of a moment, on both clocks: the reading API of the log, pinned. Made by ``log.at``."""

    def __init__(self, catalog: Catalog, scope: Scope, registry: Registry) -> None:
        self._catalog = catalog
        self._session = catalog.session
        self._scope = scope
        self._registry = registry

    def __repr__(self) -> str:
        return f"<LogView {self.basis}>"

    @property
    def position(self) -> int:
        """The last position that the view sees; events that occurred after its ``at`` are left out before it, too."""
        return self._scope.position or 0

    @property
    def basis(self) -> str:
        """A token of what the view rests on: ``log.at(token)`` gives the same rows for ever, in any process."""
        version = self._registry.version if self._registry else 0
        scope, store_id = self._scope, self._session.store.layout.store_id
        return str(moments.Basis(store_id, self.position, version, scope.at, scope.corrected is not None))


class Transaction:
    """Appends to several streams that are committed together when the block ends; none if it raises."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._writes: list[Write] = []
        self._over = False
        self.result: AppendResult | None = None

    def append(
        self,
        stream_id: str,
        events: Event | Sequence[Event],
        *,
        expected_version: int | str | None = None,
        expect: Mapping[str, int | str] | None = None,
    ) -> None:
        """Add an append. Its expectations see the appends of this transaction before it."""
        self._check_open()
        self._writes.append(_write(stream_id, events, expected_version, expect))

    def _check_open(self) -> None:
        if self._over:
            raise InvalidArgument("the transaction is over", hint="Begin another one: with log.transaction() as tx: …")

    def __enter__(self) -> Self:
        self._check_open()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over = True
        if kind is None and self._writes:
            self.result = self._log._append(self._writes)  # noqa: SLF001 - the two are one


class EventLog(_Readable):
    """An event log. Made by ``el.open``; a context manager. Threads may share it, processes open their own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._session = Session(store)
        self._session.macros.update(MACROS)
        self._catalog = Catalog(self._session)
        self._scope = Scope()
        self._sealer = None if store.read_only else Sealer(store)
        self._closed = False

    def __repr__(self) -> str:
        return f"<EventLog {str(self.path)!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """The store's folder."""
        return self._store.layout.path

    @property
    def store_id(self) -> str:
        """The store's own id, which is part of every basis token."""
        return self._store.layout.store_id

    @property
    def timezone(self) -> str:
        """The zone in which times without an offset are read."""
        return self._store.layout.timezone

    @property
    def position(self) -> int:
        """The head: the position of the last event, 0 when the log is empty."""
        return self._session.position

    @property
    def closed(self) -> bool:
        """Whether the log has been closed."""
        return self._closed

    def append(
        self,
        stream_id: str,
        events: Event | Sequence[Event],
        *,
        expected_version: int | str | None = None,
        expect: Mapping[str, int | str] | None = None,
    ) -> AppendResult:
        """Append events to a stream: all or nothing, and on disk when this returns.

        Parameters
        ----------
        stream_id
            The entity, like ``"order-17"``; what stands before the first ``-`` is its category.
        events
            One event or a list.
        expected_version
            How many events the stream must have: ``0`` none, ``n`` exactly n, ``el.EXISTS`` at least one, ``el.ANY`` (or
            None) no check.
        expect
            The same for other streams, which are not written to.

        Raises
        ------
        WrongExpectedVersion
            If expectations are violated; ``.failures`` has every one.
        IdempotencyConflict, PartialDuplicate
            If event ids are in the log with other content, or only some of them are. All of them with the same content is
            a success with ``duplicate=True``.
        InvalidEvent
            If an event cannot be recorded.
        """
        return self._append([_write(stream_id, events, expected_version, expect)])

    def compensate(
        self,
        event_id: str,
        reason: str,
        *,
        events: Event | Sequence[Event] | None = None,
        actor: str | None = None,
    ) -> AppendResult:
        """Undo an event: append to its stream what compensates it. Both stay in the log; ``events_effective`` has neither.

        It counts from when the compensation occurs, which is now unless its event says otherwise: at an earlier ``at``, and
        with an earlier ``known_at``, the event still holds; ``log.at(moment, corrected=True)`` has the mistake put right at any
        ``at``. The same call again is a duplicate. A compensation cannot be undone; append again what holds after all.

        Parameters
        ----------
        event_id
            The event to undo.
        reason
            Why; kept as ``reason`` in the metadata.
        events
            What to append instead of ``<Type>Compensated`` with the same payload; ``compensates`` is set on each.
        actor
            Who did it.

        Raises
        ------
        AlreadyCompensated
            If it is undone already.
        InvalidArgument
            If there is no such event (with near matches), or it is a compensation.
        """
        result = compensations.compensate(self._session, event_id, reason=reason, events=events, actor=actor)
        return self._noted(result)

    def transaction(self) -> Transaction:
        """Return a block whose appends, to any streams, are committed together; ``.result`` tells of them after it."""
        return Transaction(self)

    def define(
        self,
        event_type: str,
        schema: object = None,
        *,
        compatibility: str | None = None,
        upcast: Mapping[str, str] | str | None = None,
        validation: str | None = None,
        force: bool = False,
    ) -> int:
        """Define the schema of an event type, and return the version of its definition.

        Parameters
        ----------
        event_type
            The type, known or new.
        schema
            A JSON Schema (2020-12) of the payload; or the DuckDB type of each field, optional unless it ends in ``NOT NULL``:
            ``{"amount": "DECIMAL(18,2) NOT NULL"}``; or a dataclass, a pydantic or a msgspec class; or what ``log.infer``
            proposes. None: what was inferred from its events becomes the definition. A field that is not declared is no
            part of the contract: it is kept in the payload and is no column.
        compatibility
            ``"BACKWARD"``, ``"FORWARD"``, ``"FULL"``, each also with ``_TRANSITIVE``, or ``"NONE"``: what each definition of
            the type has to keep, from this one on. None: as the type has it; a first definition has the store's default.
        upcast
            How recorded events of the version before are read as this one: SQL by field over the fields of that version,
            by bare name (``{"total": "price * qty"}``); or ``"module:function"``, which takes them as a dict and returns the
            new ones. Fields of the same name carry over.
        validation
            What becomes of an event that does not fit: ``"enforce"`` refuses it (the default), ``"warn"`` records it with a
            ``SchemaWarning``, ``"off"`` does not look. None: as the type has it.
        force
            Define it even if a state uses a field that it drops.

        Raises
        ------
        SchemaInvalid
            If the schema is none.
        SchemaIncompatible
            If it clashes with an earlier version, or recorded events cannot be read by it: ``.issues`` has every clash, as
            ``log.check`` returns them. With ``compatibility="NONE"`` it is defined; fields that cannot be read are NULL then, and
            ``event_types`` tells the versions in ``unread``.
        SchemaInUse
            If states use a field that it drops or renames.
        InvalidEvent, InvalidArgument, QueryError
            If the name, an option or an upcast is not of its form.
        """
        asked = Asked.of(event_type, schema, compatibility=compatibility, upcast=upcast, validation=validation)
        return definitions.define(self._session, asked, force=force)

    def check(
        self,
        event_type: str,
        schema: object,
        *,
        compatibility: str | None = None,
        upcast: Mapping[str, str] | str | None = None,
    ) -> list[Issue]:
        """Return everything for which ``define`` would refuse a schema; an empty list if it would not.

        Each issue has ``path, kind, old, new, mode, against`` (the version that it clashes with) and ``fix``. Takes what ``define``
        takes, and writes nothing.
        """
        asked = Asked.of(event_type, schema, compatibility=compatibility, upcast=upcast)
        return definitions.examine(self._session, asked).issues

    def dry_run(self, event_type: str, schema: object) -> DryRun:
        """Return how many of the recorded events of a type a schema would refuse, with the first of them and the reasons.

        Events are taken as they were recorded, each with all that it has; ``.events``, ``.failing``, ``.examples``.
        """
        return definitions.dry_run(self._session, event_type, schema)

    def check_schemas(self, folder: str | Path) -> list[tuple[Path, str, str]]:
        """Return what the schemas of a folder have against this log's registry and events: file, clash and fix each."""
        return definitions.compare(self._session, Path(folder))

    def infer(
        self,
        source: object,
        *,
        event_type: str | None = None,
        payload: str | Sequence[str] | Mapping[str, str] | None = None,
        progress: bool | Callable[[str, float | None], None] | None = None,
        **mapping: Any,  # noqa: ANN401 - the other parts of an event, as ingest takes them
    ) -> Proposals:
        """Return the schema that the rows of a source propose for each event type, with the evidence; nothing is written.

        ``proposals["OrderPlaced"]`` has ``.duckdb`` and ``.json_schema`` to edit, and ``.evidence``: a Polars frame with, for each
        field, how many events have it, are null or lack it, an estimate of its distinct values, and examples. What it is, is
        what ``define`` takes. Of a field that every event has, NOT NULL is proposed.

        Parameters
        ----------
        source, payload, mapping
            As ``ingest`` takes them; ``stream_id`` is not needed.
        event_type
            SQL over the source's columns. None: the column ``event_type``, ``type`` or ``event``.

        Raises
        ------
        InvalidSource
            If the source cannot be read or mapped.
        """
        given = LoadMapping(event_type=event_type, payload=payload, **mapping)
        with reporting(progress) as report:
            return inferences.infer(source, given, timezone=self.timezone, progress=report)

    def export_schemas(self, folder: str | Path) -> list[Path]:
        """Write every definition as a JSON Schema file, ``OrderPlaced/1.json``, and return the files.

        The folder can live in version control: ``eventlab types check`` says if a change is incompatible, ``import_schemas``
        defines what is new in it. Types that are only inferred are left out.
        """
        return folders.write(Path(folder), self._catalog.registry().definitions)

    def import_schemas(self, folder: str | Path) -> list[tuple[str, int]]:
        """Define what a folder of schemas has beyond the registry, and return the types and their new versions.

        Raises
        ------
        SchemaInvalid, SchemaIncompatible, SchemaInUse
            At the first file that is no schema, differs from the version that is defined, or clashes; those before it are
            defined.
        """
        return definitions.load(self._session, Path(folder))

    def define_state(self, name: str, text: str) -> State:
        """Define a state: one ``SELECT … FROM events … GROUP BY …``, stored by its name, and return it.

        Another text gives the state a new version; views and basis tokens of before keep the old one. Aggregates that would
        depend on the order of rows (``first``, ``last``, ``any_value``, ``list`` without ORDER BY, ties of ``arg_max``) go by
        position; ``.explain()`` says so.

        Parameters
        ----------
        name
            Lower-case letters, digits and underscores. In SQL it is a relation, and ``<name>_at(t, known_at := NULL)``,
            ``<name>_history()`` and ``<name>_diff(a, b)`` are table macros.
        text
            Any SELECT over ``events`` or ``events_effective``. What cannot be split into keys and aggregates works too: it is
            folded from the log each time.

        Raises
        ------
        QueryError
            If it does not parse, names what does not exist, or gives another answer each time (``now()``, ``random()``).
        InvalidEvent
            If the name cannot be one, or another relation has it.
        """
        self._catalog.define(name, text)
        return self.state(name)

    def drop_state(self, name: str) -> None:
        """Drop a state. Views and basis tokens of before still know it."""
        self._catalog.drop(name)

    def ingest(
        self,
        source: object,
        *,
        event_type: str | None = None,
        stream_id: str | None = None,
        occurred_at: str | None = None,
        event_id: str | None = None,
        payload: str | Sequence[str] | Mapping[str, str] | None = None,
        actor: str | None = None,
        metadata: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        format: Literal["cloudevents"] | None = None,  # noqa: A002 - what users type
        on_invalid: Literal["raise", "quarantine"] = "raise",
        chunk_rows: int | None = None,
        progress: bool | Callable[[str, float | None], None] | None = None,
    ) -> IngestResult:
        """Load a source in bulk: visible all at once or not at all; loading the same again adds nothing.

        Parameters
        ----------
        source
            A path or glob (.parquet .csv .jsonl .ndjson .json, also gzip or zstd), a SQL SELECT, a Polars frame, an Arrow
            table or reader, a pandas frame, or dicts.
        event_type, stream_id, occurred_at, event_id, actor, metadata, correlation_id, causation_id
            SQL expressions over the source's columns: ``"user_id"``, ``"'page_view'"``, ``"'order-' || id"``. The first two
            are needed. Without ``occurred_at`` it is the time of the load; without ``event_id`` ids are derived from the content.
        payload
            None: the columns that are not themselves, bare, another argument. Else a list of columns, names with
            expressions, or one expression that yields a STRUCT or a JSON object.
        format
            ``"cloudevents"``: the source is CloudEvents 1.0 in JSON, an object a line, one object or a batch, which say all of
            this themselves (``Event.from_cloudevent``). The stream is the subject, or the source where there is none, unless
            ``stream_id`` says another, like ``"partitionkey"``.
        on_invalid
            ``"raise"``: load nothing if any row is refused. ``"quarantine"``: load the others; ``log.quarantine()`` shows it.
        chunk_rows
            Commit so many events at a time: for a load too large for one commit.
        progress
            True or False, or a function of a step and its fraction; None shows a bar on a terminal.

        Raises
        ------
        InvalidSource
            If the source cannot be read, or an expression does not bind.
        InvalidEvent, IdempotencyConflict
            If rows are refused; the first are named.
        """
        mapping = LoadMapping(
            event_type=event_type,
            stream_id=stream_id,
            occurred_at=occurred_at,
            event_id=event_id,
            payload=payload,
            actor=actor,
            metadata=metadata,
            correlation_id=correlation_id,
            causation_id=causation_id,
            format=format,
        )
        with reporting(progress) as report:
            return loads.ingest(
                self._store, source, mapping, on_invalid=on_invalid, chunk_rows=chunk_rows, progress=report
            )

    def quarantine(self) -> queries.Relation:
        """Return the rows that loads refused: ``loaded_at, source, row, reason, content``."""
        return infos.quarantine(self._store)

    def at(self, moment: Moment | None = None, *, known_at: Moment | None = None, corrected: bool = False) -> LogView:
        """Return a view of the log as of a moment.

        Parameters
        ----------
        moment
            Valid time, inclusive: events with ``occurred_at <= moment``. A datetime, a date (its midnight), ISO text, a
            position (int: the first so many events), or a basis token. None: all.
        known_at
            System time, inclusive: what had been recorded by then, or a position.
        corrected
            Whether ``events_effective``, and so states over it, leave out whatever is compensated by an event recorded by
            ``known_at``, even one that occurred after ``moment``: what is known of that moment now that mistakes are put
            right. By itself an event holds until its compensation occurs. A token of such a view is corrected, too.

        Raises
        ------
        InvalidArgument
            If a moment is none of these, or a token is of another store.
        """
        return LogView(self._catalog, *self._session.moment(moment, known_at, corrected=corrected))

    def follow(self, after: int | None = None, *, types: Iterable[str] | None = None) -> Iterator[RecordedEvent]:
        """Return an endless iterator over the events beyond ``after`` (None: from now on), each as it is committed."""
        return readers.follow(self._session, after=after, event_types=types)

    def live(self, fn: Callable[[EventLog], object], *, every: moments.Duration = "2s") -> Live:
        """Return a picture of the log that follows it: ``fn(log)``, called again whenever something new is recorded.

        In a notebook it is a widget whose data are replaced in place, so that zoom, selection and scroll stay; in a terminal
        it prints a line whenever the picture changes. ``fn`` runs on a thread of its own, cells run meanwhile. It ends by
        ``.stop()``, when the kernel is interrupted, when the log is closed, and with the kernel.

        Parameters
        ----------
        fn
            Takes the log, returns an Altair chart, a Result, a relation, a frame, a number or text. If it raises, the
            picture stays, with the error and its age; the first call raises here.
        every
            How long to pause between two looks for something new; longer if a refresh is costly, up to a minute.
        """
        from eventlab.jupyter.lives import Live  # noqa: PLC0415 - so that import eventlab stays light

        return Live(self, fn, every=every)

    def subscription(self, name: str) -> Subscription:
        """Return the reader of that name at the place that it committed; a new one begins with the first event."""
        return Subscription(self._session, name)

    def seal(self) -> int:
        """Move the tail into the lake, and return the position through which the lake holds the log."""
        return seals.seal(self._store)

    def compact(self, *, vacuum: bool = False) -> Compaction:
        """Merge small files of the lake into large ones.

        Parameters
        ----------
        vacuum
            Delete replaced files as well: all if no other process and no relation can still read them, else those
            that were replaced more than a day ago.
        """
        before, after = seals.compact(self._store)
        vacuumed = seals.vacuum(self._store, pinned=self._session.pinned) if vacuum else 0
        return Compaction(before, after, vacuumed)

    def info(self) -> dict[str, Any]:
        """Return facts about the store: where it is, how many events, streams, types and files, and how large it is."""
        failure = self._sealer.failure if self._sealer else None
        return {**infos.info(self._store), "seal_error": str(failure) if failure else None}

    def close(self) -> None:
        """Close the log, and seal a long tail. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        try:
            self._catalog.close()
            if self._sealer is not None:
                self._sealer.close()
        finally:
            self._session.close()
            self._store.close()

    def _append(self, writes: Sequence[Write]) -> AppendResult:
        return self._noted(appends.append(self._store, writes))

    def _noted(self, result: AppendResult) -> AppendResult:
        """Tell the sealer of an append, and return it."""
        if self._sealer is not None:
            self._sealer.appended(result.last_position)
        return result


def open_log(
    path: str | Path,
    *,
    create: bool = False,
    partition: Partition | None = None,
    timezone: str | None = None,
    strict: bool | None = None,
    compatibility: str | None = None,
    read_only: bool = False,
    clock: Callable[[], int] = moments.now,
) -> EventLog:
    """Open the log at ``path``.

    Parameters
    ----------
    path
        The store's folder.
    create
        Make a store if there is none.
    partition
        How finely a new store's files are partitioned by ``occurred_at``: ``"month"`` (default), ``"day"``, ``"year"``.
    timezone
        A new store's IANA zone, in which times without an offset are read; UTC by default.
    strict
        Whether a new store refuses events of types that nobody defined.
    compatibility
        The mode of compatibility that a new store gives to types which are defined without one; BACKWARD by default.
    read_only
        Open it for reading: nothing is written, not even repairs.
    clock
        System time in microseconds since 1970; for tests.

    Raises
    ------
    StoreNotFound, StoreTooNew, StoreCorrupt, StoreReadOnly
        If there is no store, or it cannot be used.
    InvalidArgument
        If a setting is not of its form, or not the store's.
    """
    return EventLog(
        open_store(
            _folder(path),
            create=create,
            partition=partition,
            timezone=timezone,
            strict=strict,
            compatibility=compatibility,
            read_only=read_only,
            clock=clock,
        )
    )


def recover(path: str | Path) -> Recovery:
    """Make the journal of the store at ``path`` anew from the lake, if it is missing or damaged; tell what is lost."""
    return recoveries.recover(_folder(path))


def _charted(result: Result) -> Any:  # noqa: ANN401 - an Altair chart, which is loaded only when one is asked for
    """Return the chart of an answer."""
    from eventlab.charts import answers  # noqa: PLC0415 - so that import eventlab stays light

    return answers.chart(result)


def _machine(state: State, fn: Callable[[Result], object] | None, **options: object) -> TimeMachine:
    """Return the time machine of a state."""
    from eventlab.jupyter.machines import TimeMachine  # noqa: PLC0415 - so that import eventlab stays light

    return TimeMachine.of_state(state, fn, **options)


def _folder(path: object) -> Path:
    """Return a store's folder, or say that there is none in what was given."""
    if isinstance(path, (str, Path)) and str(path):
        return Path(path)
    raise InvalidArgument(f"{path!r} is no path", hint='Give the folder of a store, like "data/shop".')


def _write(
    stream_id: str,
    events: Event | Sequence[Event],
    expected_version: int | str | None,
    expect: Mapping[str, int | str] | None,
) -> Write:
    """Return an append as the store takes it."""
    if expect is not None and not isinstance(expect, Mapping):
        raise InvalidArgument(f"expect is {expect!r}", hint='Give the other streams: {"customer-c1": 7}.')
    if isinstance(events, Event):
        return Write(stream_id, [events], expected_version, expect or {})
    if isinstance(events, (str, bytes, dict)) or not isinstance(events, Iterable):
        raise InvalidEvent(f"{type(events).__name__} is no event", hint='Append el.Event("OrderPlaced", {...}).')
    return Write(stream_id, list(events), expected_version, expect or {})
