"""Chains: the best way through distinct steps in their order, carried forward with one window a step.

Of two chains that have come equally far, the one with the later entry can do all that the other can. So it is enough to know,
at each event, the latest entry that has come so far: an event of step k goes on with the last event of step k-1 before it, unless
an event of step k has done so already. Events that go on with none are let go before the next window.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from eventlab import queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.analytics.questions import Question
    from eventlab.analytics.steps import Stage

MOST = 15
"""How many steps fit: a moment and a step are one whole number of 64 bits."""
_BITS = 59  # of a moment in microseconds, in the years 1 to 9999, with its sign
# Types whose values sort as fast as a hash.
_FIXED = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|BOOLEAN|DATE|TIME[^\[]*|UUID|FLOAT|DOUBLE|DECIMAL\([^\[]*\)")

# Texts are slow to sort. The hashes are 96 bits: that two of a million actors are taken for one has the chance 1e-17.
_HASHES = "hash(actor) as key, (hash('-' || actor) >> 32)::uinteger as other_key"
# place: the moment and, in its last bits, the step: steps of one instant are in their order, and little is sorted.
_ACTS = """
with acts as (
    select ({actor}
    ) as actor, epoch_us(occurred_at) * {base} + {step} as place{breakdown}
    from events
    where {conditions}
),
chain_0 as (
    select {key}, place{kept} from acts{chosen}
)"""
# previous: the last event of the step before or of this one; the first of this one goes on, those after it do not.
_REACH = """,
reach_{nth} as (
    select
        *,
        last_value(case when place & {mask} between {nth} and {to} then place end ignore nulls)
            over (course rows between unbounded preceding and 1 preceding) as previous{carried}
    from chain_{before}
    window course as (partition by {key} order by place{ties})
),
chain_{nth} as (
    select
        {key}, place, {columns}
    from (select *, place & {mask} as step from reach_{nth})
    where step < {to}
        or (step > {to} and previous is not null{may_be})
        or (step = {to} and previous & {mask} = {nth}{in_time})
)"""
_CARRIED = "last_value(case when place & {mask} = {nth} then {name} end ignore nulls) over course as last_{name}"
# standing: who has come furthest, among those the latest entry
_CHAINS = """,
bests as (
    select {actor}, {bests}
    from (
        select *, (place & {mask}) * {top} + {entry} as standing, place & {mask} as step from chain_{last}
    )
    group by {key}
),
chains as (
    select actor, (({best} + {half}) & {below}) - {half} as entry{moments}
    from bests
)"""


def chains(
    question: Question,
    stages: Sequence[Stage],
    conditions: Sequence[str],
    *,
    within: int | None,
    breakdown: str | None,
    named: bool = True,
    chosen: bool = True,
) -> str:
    """Return the CTEs of each actor's best chain; the last, ``chains``, has ``actor, entry, reached_2 …`` and ``breakdown``.

    Moments are in microseconds since 1970, NULL where a step was not reached.

    Parameters
    ----------
    stages
        Of distinct event types, none of them optional or within a time of its own.
    conditions
        SQL over ``events`` of those that count.
    within
        The window in microseconds from the entry, inclusive; None: no end.
    breakdown
        SQL over ``events``, whose value at the entry is wanted; of entries at one instant the greatest value counts.
    named
        Whether the actors are wanted; else the column is NULL, and their names need not be kept.
    chosen
        Whether ``conditions`` leave events that are no step.
    """
    last, hashed, parted = len(stages), len(stages) > 1 and not _fixed(question), breakdown is not None
    bits = last.bit_length()
    acts = queries.fill(
        _ACTS,
        actor=question.actor,
        base=str(1 << bits),
        step=f"case {' '.join(f'when {stage.condition} then {k}' for k, stage in enumerate(stages, start=1))} end",
        breakdown=_at_entry(stages[0], breakdown),
        conditions=" and ".join(conditions),
        key=[_HASHES, "actor"] if hashed else "actor as key",
        kept=", breakdown" if parted else "",
        chosen=" where place is not null" if chosen else "",
    )
    carried = ["actor"] if hashed and named else []
    key = "key, other_key" if hashed else "key"
    reaches = [_reach(nth, bits, within, key=key, carried=carried, parted=parted) for nth in range(1, last)]
    actor = "null" if not named else "any_value(actor)" if hashed else "key"
    return "".join([acts, *reaches, _bests(last, bits, key=key, actor=actor, parted=parted)])


def _fixed(question: Question) -> bool:
    """Tell whether actors are sorted fast as they are."""
    kind = str(question.run(f"select ({question.actor}\n) as actor from events where false").types[0])
    return _FIXED.fullmatch(kind) is not None


def _at_entry(entry: Stage, breakdown: str | None) -> str:
    """Return the column of the value at an entry: in a struct, as NULL is a value, too."""
    if breakdown is None:
        return ""
    return f", case when {entry.condition} then {{'value': ({breakdown}\n)}} end as breakdown"


def _reach(nth: int, bits: int, within: int | None, *, key: str, carried: list[str], parted: bool) -> str:
    """Return the CTEs that lead on from step ``nth`` to the next one."""
    to, mask, moment = nth + 1, str((1 << bits) - 1), f"(previous >> {bits})"
    entry = moment if nth == 1 else "last_entry"
    names = [
        *(["entry"] if nth > 1 else []),
        *(f"reached_{k}" for k in range(2, nth)),
        *(["breakdown"] if parted else []),
    ]
    last = [queries.fill(_CARRIED, nth=str(nth), mask=mask, name=name) for name in names]
    columns = dict(zip(carried, carried, strict=True))
    columns |= {name: f"case when step = {to} then last_{name} else {name} end" for name in names}
    columns["entry" if nth == 1 else f"reached_{nth}"] = moment
    return queries.fill(
        _REACH,
        key=key,
        nth=str(nth),
        to=str(to),
        before=str(nth - 1),
        mask=mask,
        carried="".join(f",\n        {part}" for part in last),
        ties=", breakdown" if parted else "",
        columns=[text if text == name else f"{text} as {name}" for name, text in columns.items()],
        may_be="" if within is None else f" and place - previous <= {(within + 1) << bits}",
        in_time="" if within is None else f" and (place >> {bits}) - {entry} <= {within}",
    )


def _bests(last: int, bits: int, *, key: str, actor: str, parted: bool) -> str:
    """Return the CTEs of one row an actor, from the events that lead on."""
    best, moment = "max(standing) as best", f"place >> {bits}"
    if parted:  # entries at one instant differ in nothing but the value
        best = "max({'standing': standing, 'breakdown': breakdown}) as best"
    reached = [f"case when step = {k} then {moment} when step > {k} then reached_{k} end" for k in range(2, last)]
    moments = [f"arg_max({text}, standing) as reached_{k}" for k, text in enumerate(reached, start=2)]
    if last > 1:
        moments.append(f"arg_max({moment}, standing) filter (step = {last}) as reached_{last}")
    columns = [f"reached_{k}" for k in range(2, last + 1)]
    columns += ["best.breakdown.value as breakdown"] if parted else []
    half = 1 << (_BITS - 1)
    return queries.fill(
        _CHAINS,
        key=key,
        actor=f"{actor} as actor",
        bests=[best, *moments],
        mask=str((1 << bits) - 1),
        top=str(1 << _BITS),
        entry=f"({moment})" if last == 1 else f"case when place & {(1 << bits) - 1} = 1 then {moment} else entry end",
        last=str(last - 1),
        best="best.standing" if parted else "best",
        half=str(half),
        below=str((1 << _BITS) - 1),
        moments="".join(f", {text}" for text in columns),
    )
