"""What every analysis is asked of: a log pinned at a moment, who acts in it, and which of its events count."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from eventlab import moments, queries
from eventlab.analytics import cohorts
from eventlab.analytics.analyses import Analysis
from eventlab.errors import InvalidArgument, QueryError, unknown
from eventlab.session import Scope
from eventlab.session.results import Result

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from eventlab.analytics.cohorts import Cohort
    from eventlab.moments import Instant
    from eventlab.schemas import EventType, Registry
    from eventlab.session import Session
    from eventlab.session.results import Charter

_UNATTRIBUTED = "select count(*) from events where ({actor}\n) is null {conditions}"


@dataclass(frozen=True, slots=True)
class Question:
    """A log or a view as of one position, and what an analysis is asked of it. Made by ``Question.of``.

    Attributes
    ----------
    actor
        SQL over ``events`` of who acts.
    where
        SQL over ``events`` of the events that count, as it was written; None: all. In it ``actor IN power`` asks whether who
        acts is of the cohort ``power``, and ``x IN power`` whether anything else is; ``actor`` elsewhere is the column of
        ``events``. ``conditions`` has it as DuckDB runs it.
    since, until
        Instants in microseconds: from ``since``, inclusive, to before ``until``; None: open. What they choose (events, or
        entries alone) is the analysis's to say.
    complete
        The instant in microseconds to which the events are complete; None if there are none.
    """

    session: Session
    scope: Scope
    registry: Registry
    actor: str
    where: str | None
    since: int | None
    until: int | None
    complete: int | None
    charter: Charter | None = None
    chosen: str | None = None
    asked: tuple[Cohort, ...] = ()  # the cohorts that where names, so that their members stay

    @classmethod
    def of(
        cls,
        session: Session,
        scope: Scope,
        registry: Registry | None,
        *,
        by: str = "stream_id",
        where: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        complete_through: Instant | None = None,
        charter: Charter | None = None,
    ) -> Question:
        """Return the question, pinned to what the log holds now.

        ``complete_through`` is the newest ``occurred_at`` of the log, capped at the view's ``at``, unless it is given.

        Raises
        ------
        InvalidArgument
            If a time is none, or ``until`` is not after ``since``.
        QueryError
            If ``by`` or ``where`` is not one expression over ``events``.
        """
        head = session.position if scope.position is None else scope.position
        pinned = Scope(scope.at, head, corrected=scope.corrected)
        known = registry or session.store.registry(session.store.journal.state().registry)
        begin, end, given = (
            None if moment is None else moments.instant(moment, session.store.zone)
            for moment in (since, until, complete_through)
        )
        if begin is not None and end is not None and end <= begin:
            raise InvalidArgument(
                f"until {until!r} is not after since {since!r}", hint="until is exclusive: give a later time."
            )
        if given is None:
            given = session.newest(head)
            given = given if scope.at is None or given is None else min(given, scope.at)
        made = cls(session, pinned, known, by, where, begin, end, given, charter)
        made.check(by, "by")
        return made if where is None else made._choosing(where)

    @property
    def basis(self) -> str:
        """The token of the events that are seen."""
        store, scope = self.session.store.layout.store_id, self.scope
        corrected = scope.corrected is not None
        return str(moments.Basis(store, scope.position or 0, self.registry.version, scope.at, corrected))

    @property
    def complete_through(self) -> dt.datetime | None:
        """The instant to which the events are complete, in the log's zone."""
        return None if self.complete is None else moments.moment_of(self.complete, self.session.store.zone)

    @property
    def empty(self) -> bool:
        """Whether the log has no events at all."""
        return not self.scope.position

    def event(self, name: str) -> EventType | None:
        """Return the event type of that name; None in a log that has no events.

        Raises
        ------
        InvalidArgument
            If there is none in a log that has events (with near matches).
        """
        if not isinstance(name, str):
            raise InvalidArgument(f"{name!r} is no event type", hint='Give its name, like "OrderPlaced".')
        known = self.registry.get(name)
        if known is None and not self.empty:
            message, hint, _ = unknown("event type", name, self.registry.names)
            raise InvalidArgument(message, hint=hint)
        return known

    def check(self, expression: str, what: str) -> None:
        """Raise QueryError unless ``expression`` is one SQL expression over ``events``; ``what`` names the option."""
        if not isinstance(expression, str) or not expression.strip():
            raise QueryError(
                f"{what}: {expression!r} is no SQL expression", hint="Give one over the columns of events."
            )
        with _about(what):
            queries.syntax(f"select ({expression}\n)")  # one in parentheses: no more than an expression parses
            self.run(f"select ({expression}\n) from events where false")  # binds it, and reads nothing

    def _choosing(self, where: str) -> Question:
        """Return the question with ``where`` as DuckDB runs it, the cohorts that it names looked up."""
        named, chosen = cohorts.named(self.session), where
        asked: tuple[Cohort, ...] = ()
        if named and isinstance(where, str) and where.strip():
            with _about("where"):
                chosen, asked = cohorts.resolved(where, self.actor, named)
        try:
            self.check(chosen, "where")
        except QueryError as error:
            raise cohorts.explained(error, chosen, named) from None
        return replace(self, chosen=chosen, asked=asked)

    def conditions(self, *, ranged: bool) -> list[str]:
        """Return the SQL conditions that choose the events; ``ranged``: ``since`` and ``until`` choose among them, too."""
        parts = [f"({self.chosen}\n)"] if self.chosen else []
        if ranged:
            parts += self.range("occurred_at")
        return parts

    def range(self, instant: str) -> list[str]:
        """Return the SQL conditions that an instant lies from ``since`` to before ``until``."""
        parts = [f"{instant} >= {self.instant(self.since)}"] if self.since is not None else []
        return [*parts, f"{instant} < {self.instant(self.until)}"] if self.until is not None else parts

    def instant(self, microseconds: int | None) -> str:
        """Return the SQL literal of an instant; a NULL of its type for None."""
        if microseconds is None:
            return "null::timestamptz"
        return f"timestamptz {queries.literal(moments.moment_of(microseconds).isoformat(sep=' '))}"

    def run(self, text: str) -> queries.Relation:
        """Return the pinned relation of a query over the events that are seen."""
        return self.session.sql(text, scope=self.scope, registry=self.registry)

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query over the events that are seen."""
        return self.run(text).fetchall()

    def analysis(
        self,
        text: str,
        *,
        kind: str,
        definition: str,
        facts: Mapping[str, Any],
        behind: Callable[..., Result] | None = None,
        ranged: bool = True,
        events: Iterable[str] | None = None,
        coverage: float = 1.0,
    ) -> Analysis:
        """Return the analysis that a query answers.

        Parameters
        ----------
        facts
            The parameters by name, for its chart.
        behind
            Takes a cell by keywords and returns the Result of its actors (see ``actors``).
        ranged, events
            Which events it is about, so that those without an actor can be counted.
        coverage
            How much of what was counted the rows show.
        """

        def unattributed() -> int:
            chosen = self.conditions(ranged=ranged)
            if events is not None:
                chosen.append(f"event_type in ({', '.join(map(queries.literal, events))})")
            conditions = "".join(f" and {part}" for part in chosen)
            return int(self.rows(queries.fill(_UNATTRIBUTED, actor=self.actor, conditions=conditions))[0][0])

        told = {**facts, "by": self.actor, "where": self.where, "definition": definition, "basis": self.basis}
        return Analysis(
            self.run(text),
            text,
            kind,
            told,
            self.charter,
            definition=definition,
            basis=self.basis,
            complete_through=self.complete_through,
            behind=behind,
            unattributed=unattributed,
            coverage=coverage,
            question=self,
        )

    def actors(self, text: str, facts: Mapping[str, Any]) -> Result:
        """Return the Result of the actors that a query yields, in a column ``actor``."""
        return Result(self.run(text), text, "actors", {**facts, "basis": self.basis}, self.charter)


@contextlib.contextmanager
def _about(what: str) -> Iterator[None]:
    """Let a QueryError say which option it is about."""
    try:
        yield
    except QueryError as error:
        message = f"{what}: {error.message}"
        raise QueryError(message, hint=error.hint, place=error.place, matches=error.matches) from None
