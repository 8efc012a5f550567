"""Attempts: the way of each entry through any steps under any rules, by one pass over each actor's events in their order.

A fold over a list keeps, for each step, the attempt that has come so far and entered last: as in ``chains``, it can do all that an
earlier one can. Where steps may come in any order that is not so, and each entry has a pass of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.analytics import advances, gatherings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.analytics.advances import Rules
    from eventlab.analytics.questions import Question

# mask: a bit for each step that the event can be; stop: one for each exclusion.
_ACTS = """
with acts as (
    select
        ({actor}
        ) as actor, epoch_us(occurred_at) as moment, {mask} as mask, {stop} as stop, {enters} as enters{more}
    from events
    where {conditions}
)"""
# own: told apart by what is held. NULL equals nothing: it makes an entry that goes nowhere. All other events are everyone's.
_HELD = """,
keyed as (
    select *, null::bigint as alone from acts where own and held is not null
    union all
    select * replace (mask & {entering} as mask), position as alone from acts
    where own and held is null and mask & {entering} > 0
    union all
    select acts.* replace (keys.held as held), null::bigint as alone
    from acts join (select distinct actor, held from acts where own and held is not null) as keys on acts.actor = keys.actor
    where not own
)"""
# At one instant, first what is no step, then the steps in their order.
_COURSES = """,
courses as (
    select actor, list_sort(list({
        'moment': moment, 'step': mask & -mask, 'mask': mask, 'stop': stop, 'enters': enters{breakdown}
    })) as course
    from {source}
    group by actor{keys}
)"""
_ENTRIES = """,
entries as (
    select actor, course, unnest(list_filter(range(1, len(course) + 1), lambda i: course[i].enters)) as entered from courses
),
parts as (  -- what comes after each entry
    select actor, list_filter(course[entered:], lambda x: {in_time}) as course from entries
)"""
_FOLDS = """,
folds as (
    select actor, course, list_reduce(
        list_transform(course, lambda x, i: {
            'nth': i, 'moment': x.moment, 'mask': x.mask, 'stop': x.stop, 'enters': x.enters, {nothing}
        }),
        lambda s, x: {advanced},
        {'nth': 0::bigint, 'moment': 0::bigint, 'mask': 0::bigint, 'stop': 0::bigint, 'enters': false, {nothing}}
    ) as s
    from {source}
),
tried as (
    select
        actor, attempt.level as level, attempt.entry as entry{moments}{breakdown}
    from (select actor, course, {attempt} as attempt from folds)
    where attempt is not null
)"""
_CHOSEN = """,
chosen as (  -- one of an actor's
    select actor, {sign}chosen.entry as entry{moments}{breakdown}
    from (select actor, max({{fields}}) as chosen from tried group by actor)
)"""
_CHAINS = """,
chains as (
    select actor, entry{moments}{breakdown} from {source}
)"""


def attempts(
    question: Question,
    rules: Rules,
    conditions: Sequence[str],
    *,
    breakdown: str | None,
    held: Sequence[str] = (),
    holders: Sequence[str] = (),
) -> str:
    """Return the CTEs of the attempts that count; the last, ``chains``, is as in ``chains.chains``.

    Parameters
    ----------
    conditions
        SQL over ``events`` of those that count.
    breakdown
        SQL over ``events``, whose value at the entry is wanted; of like entries at one instant the last in its order counts.
    held, holders
        SQL of the properties that all steps share, and the event types that are told apart by them.
    """
    apart = rules.order == "any" and rules.entry == "best"
    source = "keyed" if held else "acts"
    parts = [
        _acts(question, rules, conditions, breakdown=breakdown, held=held, holders=holders),
        queries.fill(_HELD, entering=str((1 << len(rules.stages)) - 1 if rules.order == "any" else 1)) if held else "",
        queries.fill(
            _COURSES,
            source=source,
            breakdown=", 'breakdown': breakdown" if breakdown else "",
            keys=", held, alone" if held else "",
        ),
    ]
    if apart:
        window = "true" if rules.within is None else f"x.moment - course[entered].moment <= {rules.within}"
        parts.append(queries.fill(_ENTRIES, in_time=window))
    parts += [
        _folds(rules, "parts" if apart else "courses", parted=breakdown is not None),
        *([_chosen(rules, parted=breakdown is not None)] if apart or (held and rules.entry != "all") else []),
        queries.fill(
            _CHAINS,
            moments="".join(f", reached_{k}" for k in rules.levels[1:]),
            breakdown=", breakdown" if breakdown else "",
            source="chosen" if apart or (held and rules.entry != "all") else "tried",
        ),
    ]
    return "".join(parts)


def _acts(
    question: Question,
    rules: Rules,
    conditions: Sequence[str],
    *,
    breakdown: str | None,
    held: Sequence[str],
    holders: Sequence[str],
) -> str:
    """Return the CTE of the events that count, and of what they can be."""
    steps = [(stage.condition, 1 << bit) for bit, stage in enumerate(rules.stages)]
    entering = rules.stages if rules.order == "any" else rules.stages[:1]
    entry = " or ".join(f"({stage.condition})" for stage in entering)
    more = [f"({breakdown}\n) as breakdown"] if breakdown else []
    if held:
        values = ", ".join(f"'{number}': {value}" for number, value in enumerate(held))
        known = " or ".join(f"({value}) is null" for value in held)
        more += [
            f"case when {known} then null else {{{values}}} end as held",
            f"event_type in ({', '.join(map(queries.literal, holders)) or 'null'}) as own",
            "position",
        ]
    return queries.fill(
        _ACTS,
        actor=question.actor,
        mask=_bits(steps),
        stop=_bits([(stop.condition, 1 << bit) for bit, stop in enumerate(rules.stops)]),
        enters=f"coalesce({' and '.join([f'({entry})', *question.range('occurred_at')])}, false)",
        more="".join(f", {text}" for text in more),
        conditions=" and ".join(conditions),
    )


def _bits(conditions: Sequence[tuple[str, int]]) -> str:
    """Return the SQL of a number that has a bit for each condition that holds."""
    return " | ".join(f"case when {text} then {bit}::bigint else 0 end" for text, bit in conditions) or "0::bigint"


def _folds(rules: Rules, source: str, *, parted: bool) -> str:
    """Return the CTEs of the attempts."""
    way = gatherings if rules.order == "any" else advances
    if rules.entry == "all":
        top = "s.c1" if rules.order == "any" else advances.live(rules, "s")
        attempt = f"unnest(case when {top} is null then s.over else list_append(s.over, {top}) end)"
    else:
        attempt = "s.c1" if rules.order == "any" else advances.furthest(rules, "s")
    return queries.fill(
        _FOLDS,
        moments="".join(f", attempt.reached_{k} as reached_{k}" for k in rules.levels[1:]),
        nothing=way.nothing(rules),
        advanced=way.advanced(rules),
        attempt=attempt,
        source=source,
        breakdown=", course[attempt.nth].breakdown as breakdown" if parted else "",
    )


def _chosen(rules: Rules, *, parted: bool) -> str:
    """Return the CTE of an actor's best or first attempt; which of two equals is decided by what they are."""
    fields = ["level", "entry"] if rules.entry == "best" else ["entry", "level"]
    return queries.fill(
        _CHOSEN,
        moments="".join(f", chosen.reached_{k} as reached_{k}" for k in rules.levels[1:]),
        sign="" if rules.entry == "best" else "-",
        fields=[
            f"'{name}': {'-' if name == 'entry' and rules.entry == 'first' else ''}{name}"
            for name in [*fields, *(f"reached_{k}" for k in rules.levels[1:])]
        ]
        + (["'breakdown': breakdown"] if parted else []),
        breakdown=", chosen.breakdown as breakdown" if parted else "",
    )
