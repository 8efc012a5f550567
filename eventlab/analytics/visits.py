"""Sessions: an actor's events without a long pause between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab import moments, queries
from eventlab.analytics import sequences
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from eventlab.analytics.analyses import Analysis
    from eventlab.analytics.questions import Question
    from eventlab.moments import Duration
    from eventlab.session.results import Result

# Only the two ends of a session are looked at twice: those in between are numbered and let go.
_ACTS = """
with acts as (
    select {actor} as who, position, event_type as event, epoch_us(occurred_at) as moment{splits}
    from events
    where {conditions}
)"""
_VISITS = """,
linked as (
    select
        *, lag(moment) over course as before, lead(moment) over course as after, row_number() over course as nth{split_next}
    from acts
    window course as (partition by who order by moment, position)
),
bounds as (
    select
        who, position, event, moment, nth,
        before is null or moment - before > {gap}{split} as opens,
        after is null or after - moment > {gap}{or_split_next} as closes
    from linked
),
visits as (  -- the next bound of an event that opens a session and does not close it is the one that does
    select
        who, position, event as entry, moment as begun, opens,
        case when closes then event else lead(event) over course end as exit,
        case when closes then moment else lead(moment) over course end as ended,
        case when closes then 1 else lead(nth) over course - nth + 1 end as events
    from bounds
    where opens or closes
    window course as (partition by who order by nth)
),
stretches as (
    select
        who as actor, who::varchar || '/' || position as session_id, make_timestamptz(begun) as start,
        make_timestamptz(ended) as "end", events, entry, exit,
        case when events > 1 then (ended - begun) / 1e6 end as duration, begun, position
    from visits
    where opens
)"""
SESSIONS = """
select actor, session_id, start, "end", events, entry, exit, duration from stretches
order by begun, position
"""
_MACRO_GAP = (
    "(select case when epoch_us(gap::interval) > 0 then epoch_us(gap::interval)"
    " else error('the gap of sessions is above zero, like 30m') end)"
)
_BEHIND = """
select distinct actor from stretches {where} order by 1
"""

_DEFINITION = (
    "A session is a stretch of one actor's events with no pause longer than {gap}: a pause of exactly that goes on with the "
    "session.{split} duration is in seconds from the first event to the last, NULL for a single event. {asked}"
)


def sessions(question: Question, gap: Duration = "30m", *, split: str | None = None) -> Analysis:
    """Return the sessions that are described at ``EventLog.sessions``."""
    length = moments.duration(gap)
    if split is not None:
        question.check(split, "split")
    text = cte(question, length // moments.MICROSECOND, split)

    def behind(**cell: str) -> Result:
        sequences.check_cell(cell, "list of sessions", ("session_id", "entry", "exit"))
        for name, value in cell.items():
            if not isinstance(value, str):
                raise InvalidArgument(f"{name} is {value!r}", hint=f"Give a value of the column {name}.")
        chosen = sequences.where([f"{name} = {queries.literal(value)}" for name, value in cell.items()])
        return question.actors(text + queries.fill(_BEHIND, where=chosen), {**cell, "of": "sessions"})

    return question.analysis(
        text + SESSIONS,
        kind="sessions",
        definition=queries.fill(
            _DEFINITION,
            gap=moments.told(length),
            split=f" An event where {split} begins a session, too." if split else "",
            asked=sequences.asked(question),
        ),
        facts={"gap": length, "split": split},
        behind=behind,
    )


def cte(question: Question, gap: int, split: str | None = None) -> str:
    """Return the CTEs of the sessions of a question, the last one ``stretches``; ``gap`` in microseconds."""
    actor = f"({question.actor}\n)"
    conditions = [f"{actor} is not null", *question.conditions(ranged=True)]
    acts = queries.fill(
        _ACTS,
        actor=actor,
        splits=f", coalesce(({split}\n)::boolean, false) as splits" if split else "",
        conditions=" and ".join(conditions),
    )
    return acts + queries.fill(
        _VISITS,
        gap=str(gap),
        split=" or splits" if split else "",
        split_next=", lead(splits) over course as splits_next" if split else "",
        or_split_next=" or splits_next" if split else "",
    )


def macro() -> str:
    """Return the statement that makes the table macro ``sessions(gap, actors := NULL)`` over ``events``.

    ``gap`` is an INTERVAL or its text; ``actors`` is SQL over ``events`` of who acts, as text: without it the streams do.
    """
    acts = queries.fill(
        _ACTS,
        actor="case when typeof(actors) = '\"NULL\"' then stream_id else actors::varchar end",
        splits="",
        conditions="(typeof(actors) = '\"NULL\"' or actors is not null)",
    )
    visits = queries.fill(_VISITS, gap=_MACRO_GAP, split="", split_next="", or_split_next="")
    return f"create temp macro sessions(gap, actors := null) as table {acts}{visits}{SESSIONS}"
