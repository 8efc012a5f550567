"""Stickiness: in how many of the periods the actors are active."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.analytics import periods
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    import datetime as dt

    from eventlab.analytics.analyses import Analysis
    from eventlab.analytics.periods import Period
    from eventlab.analytics.questions import Question
    from eventlab.session.results import Result

_HABITS = """
active as (
    select distinct ({actor}
) as who, {number} as number
    from events
    where ({actor}
) is not null{conditions}
),
habits as (
    select who, count(*) as periods_active from active group by who
)"""
_STICKINESS = """
counted as (
    select periods_active, count(*) as actors from habits group by all
),
possible as (
    select unnest(range(1, count(*) + 1)) as periods_active from axis
)
select
    periods_active, coalesce(actors, 0) as actors, coalesce(actors, 0) / nullif(sum(actors) over (), 0) as share
from possible left join counted using (periods_active)
order by periods_active
"""
_ACTORS = """
select who as actor from habits{conditions} order by 1
"""
_DEFINITION = (
    "In how many of the {period} the actors ({by}) have events{where}, of all periods from the log's first event (or since) to "
    "{complete} (or until), partial ones among them. share is of all actors with any."
)


def stickiness(question: Question, *, every: str | dt.timedelta = "1w", timezone: str | None = None) -> Analysis:
    """Return the stickiness that is described at ``EventLog.stickiness``."""
    of = periods.period(every, timezone or question.session.store.layout.timezone)
    told = question.complete_through
    definition = queries.fill(
        _DEFINITION,
        period=str(of),
        by=question.actor,
        where=f" where {question.where}" if question.where else "",
        complete="now (there are no events)" if told is None else told.isoformat(sep=" "),
    )

    def actors(periods_active: int | None = None) -> Result:
        return _behind(question, of, periods_active)

    facts: dict[str, Any] = {"every": str(every), "timezone": of.zone}
    text = f"{_habits(question, of)},{_STICKINESS}"
    return question.analysis(text, kind="stickiness", definition=definition, facts=facts, behind=actors)


def _habits(question: Question, of: Period) -> str:
    """Return the CTEs of how many periods each actor is active in."""
    habits = queries.fill(
        _HABITS,
        actor=question.actor,
        number=of.number("occurred_at"),
        conditions="".join(f" and {condition}" for condition in question.conditions(ranged=True)),
    )
    return f"with{periods.axis(question, of)},{habits}"


def _behind(question: Question, of: Period, periods_active: int | None) -> Result:
    """Return the actors who are active in so many periods; None: in any."""
    whole = isinstance(periods_active, int) and not isinstance(periods_active, bool)
    if periods_active is not None and (not whole or periods_active < 1):
        raise InvalidArgument(f"periods_active is {periods_active!r}", hint="Give how many periods, 1 or more.")
    conditions = "" if periods_active is None else f" where periods_active = {periods_active}"
    text = _habits(question, of) + queries.fill(_ACTORS, conditions=conditions)
    return question.actors(text, {"periods_active": periods_active, "of": "stickiness"})
