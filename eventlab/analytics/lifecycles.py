"""Lifecycle: of the actors of each period, who is new, who was there before, who has come back, and who has gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.analytics import periods
from eventlab.errors import InvalidArgument, unknown

if TYPE_CHECKING:
    import datetime as dt

    from eventlab.analytics.analyses import Analysis
    from eventlab.analytics.periods import Period
    from eventlab.analytics.questions import Question
    from eventlab.moments import Instant
    from eventlab.session.results import Result

OUTCOMES = ("new", "returning", "resurrecting", "dormant")

_STATES = """
pairs as (  -- the periods of each actor, those before since, too: who was here before is not new
    select ({actor}
) as who, {number} as number, {counts} as counts
    from events
    where ({actor}
) is not null{conditions}
    group by all
),
steps as (
    select
        *, lag(number) over periods as before, lag(counts) over periods as before_counts,
        lead(number) over periods as after, lead(counts) over periods as after_counts
    from pairs
    window periods as (partition by who order by number)
),
states as (
    select
        who, number,
        case
            when before is null then 'new'
            when before = number - 1 and before_counts then 'returning'
            else 'resurrecting'
        end as outcome
    from steps where counts
    union all
    select who, number + 1, 'dormant' from steps
    where counts and (after is distinct from number + 1 or not after_counts)
)"""
_LIFECYCLE = """
counted as (
    select number, {counts} from states group by number
)
select period_start, {columns}, partial
from axis left join counted using (number)
order by period_start
"""
_ACTORS = """
select who as actor from states semi join axis using (number) where number = {number} and {outcome} order by 1
"""
_DEFINITION = (
    "The actors ({by}) with events{where} in each of the {period}: new in the first period that they ever have one in; returning "
    "if they had one in the period before, too; resurrecting if not, but earlier. dormant are those of the period before who have "
    "none. Partial periods are not wholly between the log's first event (or since) and {complete} (or until)."
)


def lifecycle(question: Question, *, every: str | dt.timedelta = "1w", timezone: str | None = None) -> Analysis:
    """Return the lifecycle that is described at ``EventLog.lifecycle``."""
    of = periods.period(every, timezone or question.session.store.layout.timezone)
    text = _states(question, of) + queries.fill(
        "," + _LIFECYCLE,
        counts=[f"count(*) filter (outcome = '{outcome}') as {queries.identifier(outcome)}" for outcome in OUTCOMES],
        columns=[f"coalesce({name}, 0) as {name}" for name in map(queries.identifier, OUTCOMES)],
    )
    told = question.complete_through
    definition = queries.fill(
        _DEFINITION,
        by=question.actor,
        where=f" where {question.where}" if question.where else "",
        period=str(of),
        complete="now (there are no events)" if told is None else told.isoformat(sep=" "),
    )

    def actors(period_start: Instant | None = None, outcome: str = "active") -> Result:
        return _behind(question, of, period_start, outcome)

    facts: dict[str, Any] = {"every": str(every), "timezone": of.zone}
    return question.analysis(text, kind="lifecycle", definition=definition, facts=facts, behind=actors)


def _states(question: Question, of: Period) -> str:
    """Return the CTEs of who is what in which period."""
    conditions = question.conditions(ranged=False)
    counts = "true"
    if question.until is not None:
        conditions.append(f"occurred_at < {question.instant(question.until)}")
    if question.since is not None:  # what lies before since in its own period counts there for nothing but having been
        since = question.instant(question.since)
        counts = f"bool_or(occurred_at >= {since} or {of.number('occurred_at')} < {of.number(since)})"
    states = queries.fill(
        _STATES,
        actor=question.actor,
        number=of.number("occurred_at"),
        counts=counts,
        conditions="".join(f" and {condition}" for condition in conditions),
    )
    return f"with{periods.axis(question, of)},{states}"


def _behind(question: Question, of: Period, period_start: Instant | None, outcome: str) -> Result:
    """Return the actors of an outcome in a period; ``active`` are all but the dormant."""
    known = (*OUTCOMES, "active")
    if outcome not in known:
        message, hint, _ = unknown("outcome", str(outcome), known)
        raise InvalidArgument(message, hint=hint)
    if period_start is None:
        raise InvalidArgument(
            "which period?", hint=f'Say when it begins: actors(period_start="2026-03-02", outcome={outcome!r}).'
        )
    condition = "outcome != 'dormant'" if outcome == "active" else f"outcome = {queries.literal(outcome)}"
    number = str(periods.beginning(question, of, period_start, "period"))
    text = _states(question, of) + queries.fill(_ACTORS, number=number, outcome=condition)
    return question.actors(text, {"period_start": str(period_start), "outcome": outcome, "of": "lifecycle"})
