"""Retention: of the actors who started in a period, how many came back so many periods later.

An actor's window k is the k-th period after that of the start. Counted are only the actors whose window is over by the moment to
which the log is complete: a window that is still open says nothing yet.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, get_args

from eventlab import queries
from eventlab.analytics import periods, returns
from eventlab.analytics.analyses import Analysis
from eventlab.analytics.returns import MEMBERS, PERIODS, PLAIN, Clock, Cohort, Design, Mode, Span
from eventlab.errors import InvalidArgument, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventlab.analytics.questions import Question
    from eventlab.analytics.returns import Bracket, Events
    from eventlab.moments import Instant
    from eventlab.session.results import Result

# From the CTEs of returns.py: how many of which cohort came back in which bracket.
RETENTION = """,
sizes as (
    select cohort, complete, count(*) as heads from members group by all
),
grid as (
    select
        cohort, first, last, sum(heads)::bigint as size,
        coalesce(sum(heads) filter (last < complete), 0)::bigint as eligible
    from sizes cross join brackets
    group by all
),
counts as (
    select cohort, complete, slot, count(*) as heads from returns group by all
),
returned as (
    select cohort, first, sum(heads)::bigint as returned
    from counts join brackets on {hit} and last < complete
    group by all
)
select
    {label} as cohort, size, first as "offset",{through} eligible,
    coalesce(returned, 0) as returned, coalesce(returned, 0) / nullif(eligible, 0) as rate
from grid left join returned using (cohort, first)
order by 1, first
"""
_MEAN = """
select
    "offset",{through} sum(eligible)::bigint as eligible, sum(returned)::bigint as returned,
    sum(returned) / nullif(sum(eligible), 0) as rate
from ({retention}
) as cohorts
group by all
order by "offset"
"""
_BEHIND = """
select who as actor from members
where {conditions}
order by 1
"""
# In the macro, over the log's own calendar.
_NUMBER = """
case lower(period)
    when 'day' then {date} - date '0001-01-01'
    when 'week' then ({date} - date '0001-01-01') // 7
    when 'month' then year({date}) * 12 + month({date}) - 13
    else error('retention by ' || period || ': there are day, week and month')
end"""
_LABEL = """
case lower(period)
    when 'month' then date '0001-01-01' + to_months(cohort::integer)
    else date '0001-01-01' + to_days((cohort * if(lower(period) = 'week', 7, 1))::integer)
end::date"""
_ACTOR = "case when typeof(actors) = '\"NULL\"' then stream_id else actors::varchar end"
_MACRO = """
create temp macro retention(start, "returning" := null, period := 'day', windows := 12, actors := null) as table
"""
_RETURNED = "member in (select member from returns where {hit})"


@dataclass(frozen=True, slots=True, repr=False)
class Retention(Analysis):
    """The rows of a retention: cohort, size, offset, eligible, returned, rate.

    Attributes
    ----------
    average
        Makes the analysis of all cohorts together.
    """

    average: Callable[[], Analysis] | None = None

    def mean(self) -> Analysis:
        """Return the retention of all cohorts together, one row an offset: offset, eligible, returned, rate.

        A mean that is weighted by the cohorts' eligible actors: the sum of returned by the sum of eligible.
        ``actors(offset=…, outcome=…)`` names who is behind it.
        """
        if self.average is None:
            raise InvalidArgument("this retention has no cohorts", hint="Make it with log.retention(…).")
        return self.average()


def retention(
    question: Question,
    start: Events,
    returning: Events | None = None,
    *,
    period: Span = "day",
    windows: int = 12,
    brackets: Sequence[Bracket] | None = None,
    clock: Clock = "calendar",
    mode: Mode = "on",
    cohort: Cohort = "first_ever",
    timezone: str | None = None,
) -> Retention:
    """Return the retention that is described at ``EventLog.retention``."""
    for name, given, allowed in (
        ("period", period, Span),
        ("clock", clock, Clock),
        ("mode", mode, Mode),
        ("cohort", cohort, Cohort),
    ):
        _check_choice(name, given, get_args(allowed))
    design = Design(
        question,
        start=returns.matched(question, "start", start),
        returning=None if returning is None else returns.matched(question, "returning", returning),
        span=period,
        brackets=returns.windowed(windows) if brackets is None else returns.bracketed(brackets),
        clock=clock,
        mode=mode,
        cohort=cohort,
        period=periods.period(PERIODS[period], timezone or question.session.store.layout.timezone),
        spread=brackets is not None,
    )
    return _answer(design)


def _answer(design: Design) -> Retention:
    """Return the retention of a design, and of all its cohorts together."""
    text = design.members() + queries.fill(
        RETENTION, hit=design.hit(), label=design.period.date("cohort"), through=design.through
    )
    definition, facts = design.definition(), design.facts()
    events = None if design.returning is None else {*design.start.events, *design.returning.events}

    def actors(cohort: Instant | None = None, offset: int | None = None, outcome: str | None = None) -> Result:
        return _behind(design, cohort, offset, outcome)

    def average() -> Analysis:
        def actors(offset: int | None = None, outcome: str | None = None) -> Result:
            return _behind(design, None, offset, outcome)

        return design.question.analysis(
            queries.fill(_MEAN, retention=text, through=' "through",' if design.spread else ""),
            kind="retention_mean",
            definition=f"All cohorts together, weighted by their eligible actors. {definition}",
            facts=facts,
            behind=actors,
            ranged=False,
            events=events,
        )

    made = design.question.analysis(
        text,
        kind="retention",
        definition=definition,
        facts=facts,
        behind=actors,
        ranged=False,
        events=events,
    )
    return Retention(**{field.name: getattr(made, field.name) for field in fields(made)}, average=average)


def _behind(design: Design, cohort: Instant | None, offset: int | None, outcome: str | None) -> Result:
    """Return the actors behind a cell; without a cohort those of all, without an offset all who started."""
    conditions = (
        [] if cohort is None else [f"cohort = {periods.beginning(design.question, design.period, cohort, 'cohort')}"]
    )
    outcome = outcome or ("size" if offset is None else "returned")
    _check_choice("outcome", outcome, ("returned", "eligible", "lost", "size"))
    if offset is None and outcome != "size":
        raise InvalidArgument(
            f"outcome {outcome!r} is one of an offset", hint=f"Say which: actors(offset=1, outcome={outcome!r})."
        )
    if offset is not None and outcome != "size":
        found = [bracket for bracket in design.brackets if bracket[0] == offset]
        if not found:
            raise InvalidArgument(
                f"no offset {offset!r}", hint=f"There are: {', '.join(str(first) for first, _ in design.brackets)}"
            )
        came = queries.fill(_RETURNED, hit=design.hit(str(found[0][0])))
        conditions.append(f"complete > {found[0][1]}")
        conditions += {"returned": [came], "lost": [f"not ({came})"], "eligible": []}[outcome]
    text = design.members() + queries.fill(_BEHIND, conditions=" and ".join(conditions) or "true")
    cell = {"cohort": None if cohort is None else str(cohort), "offset": offset, "outcome": outcome}
    return design.question.actors(text, {**cell, "of": "retention", "definition": design.definition()})


def macro() -> str:
    """Return the statement that makes ``retention(start, returning, period := 'day', windows := 12, actors := NULL)``.

    ``start`` and ``returning`` are names of event types, ``returning`` NULL or left out any event; ``actors`` is SQL over
    ``events`` of who acts, without which the streams do. The calendar is the log's. The session says
    what ``{types}`` there are, and the instant to which events are ``{complete}``.
    """

    def number(instant: str) -> str:
        return queries.fill(_NUMBER, date=f"({instant} at time zone current_setting('TimeZone'))::date")

    cohort = number("started")
    members = queries.fill(
        MEMBERS,
        brackets="select k, k from range(0, windows + 1) as offsets (k)",
        actor=_ACTOR,
        apart="",
        own="""("returning" is null or "returning" = start)::integer""",
        starting=f"event_type = {_known('start')}",
        chosen="",
        cohort=cohort,
        complete=f"{number('{complete}')} - {cohort}",
        returning=f"""("returning" is null or event_type = {_known('"returning"')})""",
        offset=f"{number('occurred_at')} - cohort",
        slot="slot",
        range="between 0 and windows",
        by_slot=", slot",
    )
    return _MACRO + members + PLAIN + queries.fill(RETENTION, hit="slot = first", label=_LABEL, through="")


def _known(name: str) -> str:
    """Return the SQL of an event type that is given to a macro, which is an error where there is none of that name."""
    listed = f"error('no event type ' || {name} || '. There are: ' || array_to_string({{types}}, ', '))"
    return f"(case when len({{types}}) = 0 or list_contains({{types}}, {name}) then {name} else {listed} end)"


def _check_choice(what: str, given: object, known: Sequence[str]) -> None:
    """Raise InvalidArgument unless an option is one of its values."""
    if given not in known:
        message, hint, _ = unknown(what, str(given), known)
        raise InvalidArgument(message, hint=hint)
