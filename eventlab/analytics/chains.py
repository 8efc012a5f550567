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

MOST = 27
"""How many steps fit: a moment and a step are one whole number of 64 bits."""
_BEGIN = (
    62_135_596_800_000_000  # microseconds from the year 1 to 1970: moments are counted from there, so none is below 0
)
_STANDING = 320_000_000_000_000_000  # more than the microseconds of the years 1 to 9999
# Types whose values sort as fast as a hash.
_FIXED = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|BOOLEAN|DATE|TIME[^\[]*|UUID|FLOAT|DOUBLE|DECIMAL\([^\[]*\)")

# Texts are slow to sort. Two hashes are 128 bits: for two of a million actors to be taken for one has the chance 1e-27.
_HASHES = "hash(actor) as key, hash('-' || actor) as other_key"
# place: the moment and the step in one number, so that steps of one instant are in their order, and little is sorted.
_ACTS = """
with acts as (
    select ({actor}
    ) as actor, (epoch_us(occurred_at) + {begin}) * {base} + {step} as place{breakdown}
    from events
    where {conditions}
),
chain_0 as (
    select {key}, place{kept} from acts where place is not null
)"""
# previous: the last event of the step before or of this one; the first of this one goes on, those after it do not.
_REACH = """,
reach_{nth} as (
    select
        *,
        last_value(case when place % {base} in ({nth}, {to}) then place end ignore nulls)
            over (course rows between unbounded preceding and 1 preceding) as previous{carried}
    from chain_{before}
    window course as (partition by {key} order by place{ties})
),
chain_{nth} as (
    select
        {key}, place, {columns}
    from (select *, place % {base} as step, place // {base} as moment from reach_{nth})
    where step < {to}
        or (step = {to} and previous % {base} = {nth}{in_time})
        or (step > {to} and previous is not null{may_be})
)"""
_CARRIED = "last_value(case when place % {base} = {nth} then {name} end ignore nulls) over course as last_{name}"
_CHAINS = """,
bests as (  -- who has come furthest, among those the latest entry
    select {actor}, {bests}
    from (
        select *, place // {base} as moment, place % {base} as step, place % {base} * {standing} + {entry} as standing
        from chain_{last}
    )
    group by {key}
),
chains as (
    select actor, {best} % {standing} - {begin} as entry{moments}
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
    """
    last, base = len(stages), str(len(stages) + 1)
    hashed = last > 1 and not _fixed(question)
    cases = " ".join(f"when {stage.condition} then {number}" for number, stage in enumerate(stages, start=1))
    acts = queries.fill(
        _ACTS,
        actor=question.actor,
        begin=str(_BEGIN),
        base=base,
        step=f"case {cases} end",
        breakdown=_at_entry(stages[0], breakdown),
        conditions=" and ".join(conditions),
        key=[_HASHES, "actor"] if hashed else "actor as key",
        kept=", breakdown" if breakdown else "",
    )
    parted, carried = breakdown is not None, ["actor"] if hashed and named else []
    key = "key, other_key" if hashed else "key"
    reaches = [_reach(nth, base, within, key=key, carried=carried, parted=parted) for nth in range(1, last)]
    actor = "null" if not named else "any_value(actor)" if hashed else "key"
    return "".join([acts, *reaches, _bests(last, key=key, actor=actor, parted=parted)])


def _fixed(question: Question) -> bool:
    """Tell whether actors are sorted fast as they are."""
    kind = str(question.run(f"select ({question.actor}\n) as actor from events where false").types[0])
    return _FIXED.fullmatch(kind) is not None


def _at_entry(entry: Stage, breakdown: str | None) -> str:
    """Return the column of the value at an entry: in a struct, as NULL is a value, too."""
    if breakdown is None:
        return ""
    return f", case when {entry.condition} then {{'value': ({breakdown}\n)}} end as breakdown"


def _reach(nth: int, base: str, within: int | None, *, key: str, carried: list[str], parted: bool) -> str:
    """Return the CTEs that lead on from step ``nth`` to the next one."""
    to = str(nth + 1)
    since = f"previous // {base}" if nth == 1 else "last_entry"
    names = [
        *(["entry"] if nth > 1 else []),
        *(f"reached_{k}" for k in range(2, nth)),
        *(["breakdown"] if parted else []),
    ]
    last = [queries.fill(_CARRIED, nth=str(nth), base=base, name=name) for name in names]
    columns = dict(zip(carried, carried, strict=True))
    columns |= {name: f"case when step = {to} then last_{name} else {name} end" for name in names}
    if nth == 1:
        columns["entry"] = f"case step when 1 then moment when 2 then {since} end"
    else:
        columns[f"reached_{nth}"] = f"case when step = {to} then previous // {base} end"
    return queries.fill(
        _REACH,
        key=key,
        nth=str(nth),
        to=to,
        before=str(nth - 1),
        base=base,
        carried="".join(f",\n        {part}" for part in last),
        ties=", breakdown" if parted else "",
        columns=[text if text == name else f"{text} as {name}" for name, text in columns.items()],
        in_time="" if within is None else f" and moment - {since} <= {within}",
        may_be="" if within is None else f" and moment - previous // {base} <= {within}",
    )


def _bests(last: int, *, key: str, actor: str, parted: bool) -> str:
    """Return the CTEs of one row an actor, from the events that lead on."""
    best = "max(standing) as best"
    if parted:  # entries at one instant differ in nothing but the value
        best = "max({'standing': standing, 'breakdown': breakdown}) as best"
    reached = [f"case when step = {k} then moment when step > {k} then reached_{k} end" for k in range(2, last)]
    reached += [f"case when step = {last} then moment end"] if last > 1 else []
    moments = [f"arg_max({text}, standing) as reached_{k}" for k, text in enumerate(reached, start=2)]
    columns = [f"reached_{k} - {_BEGIN} as reached_{k}" for k in range(2, last + 1)]
    columns += ["best.breakdown.value as breakdown"] if parted else []
    return queries.fill(
        _CHAINS,
        key=key,
        actor=f"{actor} as actor",
        bests=[best, *moments],
        base=str(last + 1),
        standing=str(_STANDING),
        entry=f"place // {last + 1}" if last == 1 else "entry",
        last=str(last - 1),
        best="best.standing" if parted else "best",
        begin=str(_BEGIN),
        moments="".join(f",\n        {text}" for text in columns),
    )
