"""Paths: where actors go, step by step, from an event on or on the way to one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.analytics import sequences
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventlab.analytics.analyses import Analysis
    from eventlab.analytics.questions import Question
    from eventlab.analytics.sequences import Cleaning, Types
    from eventlab.session.results import Result

_COURSES = """,
numbered as (
    select who, event, row_number() over (partition by who order by moment, position) as nth from acts
),
courses as (
    select who, list(event order by nth) as course from numbered group by who
),
found as (  -- the places of the events from and to which a path goes
    select who, course, {first}::bigint as begun{last}
    from courses
)"""
# Forward: step k goes from the k-th event of the path to the next; NULL where there is none.
_FORWARD = """,
paths as (
    select who, list_slice(course, begun, {through}) as path
    from found
    where {reached}
),
steps as (
    select who, unnest(range(1, least(len(path){complete}, {depth}) + 1)) as step, path from paths
),
moves as (
    select who, step, path[step] as source, path[step + 1] as target from steps
)"""
# Backward: step -k goes to the k-th event of the path from its end; its source is NULL where there is none.
_BACKWARD = """,
paths as (
    select who, list_reverse(list_slice(course, greatest(1, begun - {depth}), begun)) as path
    from found
    where begun > 0
),
steps as (
    select who, unnest(range(1, least(len(path), {depth}) + 1)) as step, path from paths
),
moves as (
    select who, -step as step, path[step + 1] as source, path[step] as target from steps
)"""
_COUNTED = """,
counted as (
    select step, source, target, count(*) as actors from moves group by all
),
total as (
    select count(*) as actors from paths
),
placed as (
    select
        step, source, target, counted.actors, counted.actors / total.actors as share,
        row_number() over (
            partition by step order by counted.actors desc, source nulls last, target nulls last
        ) as place
    from counted cross join total
)"""
_PATHS = """
select step, source, target, actors, share from placed
{shown}
order by abs(step), place
"""
_COVERAGE = """
select coalesce(sum(actors) filter ({shown}), 0) / sum(actors) from placed
"""
_BEHIND = """
select {distinct}who as actor from {moves} {where} order by 1
"""

_DEFINITION = (
    "{path} {steps} actors is how many go from source to target in that step, share is of all {whom}. Events are in the order of "
    "occurred_at and at one instant of position.{cleaning} {asked}"
)
_FORWARD_STEPS = "Step k is the k-th move of the path, up to {depth}; a target of NULL: the actor has no further event."
_REACHED_STEPS = "Step k is the k-th move of the path, up to {depth}."
_BACKWARD_STEPS = "Step -k is the k-th move before it, up to {depth}; a source of NULL: the actor has no earlier event."


def paths(
    question: Question,
    start: str | None = None,
    end: str | None = None,
    *,
    depth: int = 5,
    top: int | None = None,
    min_share: float | None = None,
    collapse: bool = False,
    ignore: Types = (),
    only: Types | None = None,
    rename: Mapping[str, str] | None = None,
) -> Analysis:
    """Return the paths that are described at ``EventLog.paths``."""
    sequences.whole("depth", depth)
    rules = sequences.cleaning(question, collapse=collapse, ignore=ignore, only=only, rename=rename)
    for what, name in (("start", start), ("end", end)):
        if name is not None:
            rules.check(name, what, question)
    shown = sequences.thresholds(top, min_share)
    moves = rules.acts(question) + _moves(start, end, depth)
    text = moves + _COUNTED
    coverage = sequences.coverage_of(question, text, _COVERAGE, shown)

    def behind(**cell: str | int | None) -> Result:
        sequences.check_cell(cell, "list of paths", ("step", "source", "target"))
        if (whole := cell.get("step")) is not None and (isinstance(whole, bool) or not isinstance(whole, int)):
            raise InvalidArgument(f"step is {whole!r}", hint="Give the number of a step, as the column has it.")
        for what in ("source", "target"):
            if cell.get(what) is not None:
                rules.check(cell[what], what, question)
        chosen = sequences.where([f"{name} is not distinct from {queries.literal(it)}" for name, it in cell.items()])
        slots = {"distinct": "distinct ", "moves": "moves"} if cell else {"distinct": "", "moves": "paths"}
        return question.actors(moves + queries.fill(_BEHIND, **slots, where=chosen), {**cell, "of": "paths"})

    return question.analysis(
        text + queries.fill(_PATHS, shown=sequences.where(shown)),
        kind="paths",
        definition=_definition(question, rules, start, end, depth)
        + sequences.hidden(coverage, "moves", top=top, min_share=min_share, each=" of each step"),
        facts={
            **rules.facts(),
            "start": start,
            "end": end,
            "depth": depth,
            "top": top,
            "min_share": min_share,
            "coverage": coverage,
        },
        behind=behind,
        events=rules.kept,
        coverage=coverage,
    )


def _moves(start: str | None, end: str | None, depth: int) -> str:
    """Return the CTEs ``paths`` (one row an actor) and ``moves`` (one row an actor and step)."""

    def place(name: str) -> str:
        return f"coalesce(list_position(course, {queries.literal(name)}), 0)"

    if start is None and end is not None:
        return queries.fill(_COURSES, first=place(end), last="") + queries.fill(_BACKWARD, depth=str(depth))
    first = "1" if start is None else place(start)
    if end is None:
        forward = {"through": f"begun + {depth}", "reached": "begun > 0", "complete": ""}
        return queries.fill(_COURSES, first=first, last="") + queries.fill(_FORWARD, **forward, depth=str(depth))
    after = f"list_slice(course, {first} + 1, len(course))"
    last = f", coalesce(list_position({after}, {queries.literal(end)}), 0)::bigint as moves"
    forward = {"through": "begun + moves", "reached": "begun > 0 and moves > 0", "complete": " - 1"}
    return queries.fill(_COURSES, first=first, last=last) + queries.fill(_FORWARD, **forward, depth=str(depth))


def _definition(question: Question, rules: Cleaning, start: str | None, end: str | None, depth: int) -> str:
    """Return what the numbers mean."""
    match start, end:
        case None, None:
            path, steps = "A path goes from each actor's first event on.", _FORWARD_STEPS
        case _, None:
            path, steps = f"A path goes from each actor's first {start} on.", _FORWARD_STEPS
        case None, _:
            path, steps = f"A path goes to each actor's first {end}.", _BACKWARD_STEPS
        case _:
            path = f"A path goes from each actor's first {start} to the first {end} after it; others are left out."
            steps = _REACHED_STEPS
    return queries.fill(
        _DEFINITION,
        path=path,
        steps=queries.fill(steps, depth=str(depth)),
        whom="actors with such a path",
        cleaning=rules.told(),
        asked=sequences.asked(question),
    )
