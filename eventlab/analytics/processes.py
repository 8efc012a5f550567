"""Processes: which event directly follows which, and the variants of whole cases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.analytics import sequences
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventlab.analytics.analyses import Analysis
    from eventlab.analytics.questions import Question
    from eventlab.analytics.sequences import Cleaning, Types
    from eventlab.session.results import Result

# A case is counted by the position of its first event: numbers are counted faster than names.
LINKED = """,
linked as {materialized}(
    select
        who, lag(event) over course as source, event as target, moment - lag(moment) over course as waited,
        first_value(position) over course as first_position, lag(position) over course is null as begins{ends}
    from acts
    window course as (partition by who order by moment, position)
)"""
_BETWEEN = """,
flows as (
    select who, source, target, waited, first_position, begins from linked
)"""
_WITH_ENDS = """,
flows as (  -- the last event of a case goes to its end
    select who, source, target, waited, first_position, begins from linked
    union all
    select who, target, null, null, first_position, false from linked where finishes
)"""
_EDGES = """,
edges as (
    select
        source, target, begins, count(*) as count, count(distinct first_position) as cases,
        quantile_cont(waited, 0.5) / 1e6 as median_seconds, quantile_cont(waited, 0.95) / 1e6 as p95_seconds
    from flows
    group by source, target, begins
),
total as (
    select sum(cases) as cases from edges where begins
),
placed as (
    select
        source, target, count, edges.cases, edges.cases / total.cases as share, median_seconds, p95_seconds,
        row_number() over (order by count desc, source nulls first, target nulls last) as place
    from edges cross join total
    {between}
)"""
_MAP = """
select source, target, count, cases, share, median_seconds, p95_seconds from placed
{shown}
order by place
"""
_MAP_COVERAGE = """
select coalesce(sum(count) filter ({shown}), 0) / sum(count) from placed
"""
_MAP_BEHIND = """
select distinct who as actor from flows {where} order by 1
"""

# Numbering events and listing them by number is faster than a list of each case in order.
RUNS = """,
numbered as (
    select who, event, moment, row_number() over (partition by who order by moment, position) as nth from acts
),
runs as (
    select
        who, list(event order by nth) as variant, case when count(*) > 1 then max(moment) - min(moment) end as lasted
    from numbered
    group by who
)"""
_VARIANTS = """,
grouped as (
    select variant, count(*) as cases, quantile_cont(lasted, 0.5) / 1e6 as median_seconds from runs group by variant
),
placed as (
    select
        variant, cases, cases / sum(cases) over () as share, median_seconds,
        row_number() over (order by cases desc, variant) as place
    from grouped
)"""
_LISTED = """
select variant, cases, share, median_seconds from placed
{shown}
order by place
"""
_VARIANTS_COVERAGE = """
select coalesce(sum(cases) filter ({shown}), 0) / sum(cases) from placed
"""
_VARIANTS_BEHIND = """
select who as actor from runs {where} order by 1
"""

_MAP_DEFINITION = (
    "How often an actor's event (target) directly follows another of the same actor (source), by occurred_at and at one "
    "instant by position; cases is how many actors do so at least once, share is of all actors, seconds lie between the two "
    "events.{ends}{cleaning} {asked}"
)
_ENDS = " A source of NULL is the start of a case, a target of NULL its end."
_VARIANTS_DEFINITION = (
    "A variant is the whole list of an actor's events in order, by occurred_at and at one instant by position; cases is how "
    "many actors have it, share is of all actors, median_seconds is from the first event to the last and NULL for a single "
    "event.{cleaning} {asked}"
)


def process_map(
    question: Question,
    *,
    ends: bool = False,
    top: int | None = None,
    min_share: float | None = None,
    collapse: bool = False,
    ignore: Types = (),
    only: Types | None = None,
    rename: Mapping[str, str] | None = None,
) -> Analysis:
    """Return the process map that is described at ``EventLog.process_map``."""
    if not isinstance(ends, bool):
        raise InvalidArgument(f"ends is {ends!r}", hint="Say ends=True or ends=False.")
    rules = sequences.cleaning(question, collapse=collapse, ignore=ignore, only=only, rename=rename)
    shown = sequences.thresholds(top, min_share)
    flows = rules.acts(question) + links(ends=ends)
    text = flows + queries.fill(_EDGES, between="" if ends else "where not begins")
    coverage = sequences.coverage_of(question, text, _MAP_COVERAGE, shown)
    definition = queries.fill(
        _MAP_DEFINITION, ends=_ENDS if ends else "", cleaning=rules.told(), asked=sequences.asked(question)
    )

    def behind(**cell: str | None) -> Result:
        sequences.check_cell(cell, "process map", ("source", "target"))
        _check_ends(cell, rules, question, ends=ends)
        conditions = [f"{name} is not distinct from {queries.literal(value)}" for name, value in cell.items()]
        if not ends and conditions:  # the first event of a case follows nothing
            conditions.append("not begins")
        text = queries.fill(_MAP_BEHIND, where=sequences.where(conditions))
        return question.actors(flows + text, {**cell, "of": "process_map"})

    return question.analysis(
        text + queries.fill(_MAP, shown=sequences.where(shown)),
        kind="process_map",
        definition=definition + sequences.hidden(coverage, "transitions", top=top, min_share=min_share),
        facts={**rules.facts(), "ends": ends, "top": top, "min_share": min_share, "coverage": coverage},
        behind=behind,
        events=rules.kept,
        coverage=coverage,
    )


def variants(
    question: Question,
    *,
    top: int | None = None,
    min_share: float | None = None,
    collapse: bool = False,
    ignore: Types = (),
    only: Types | None = None,
    rename: Mapping[str, str] | None = None,
) -> Analysis:
    """Return the variants that are described at ``EventLog.variants``."""
    rules = sequences.cleaning(question, collapse=collapse, ignore=ignore, only=only, rename=rename)
    shown = sequences.thresholds(top, min_share)
    runs = rules.acts(question) + RUNS
    text = runs + _VARIANTS
    coverage = sequences.coverage_of(question, text, _VARIANTS_COVERAGE, shown)
    definition = queries.fill(_VARIANTS_DEFINITION, cleaning=rules.told(), asked=sequences.asked(question))

    def behind(**cell: Sequence[str]) -> Result:
        sequences.check_cell(cell, "list of variants", ("variant",))
        conditions = []
        for variant in cell.values():
            if isinstance(variant, str) or not isinstance(variant, Iterable):
                raise InvalidArgument(f"{variant!r} is no variant", hint='Give the list of its events: ["A", "B"].')
            for name in variant:
                rules.check(name, "variant", question)
            conditions.append(f"variant = {queries.literal(list(variant))}::varchar[]")
        text = queries.fill(_VARIANTS_BEHIND, where=sequences.where(conditions))
        return question.actors(runs + text, {**cell, "of": "variants"})

    return question.analysis(
        text + queries.fill(_LISTED, shown=sequences.where(shown)),
        kind="variants",
        definition=definition + sequences.hidden(coverage, "cases", top=top, min_share=min_share),
        facts={**rules.facts(), "top": top, "min_share": min_share, "coverage": coverage},
        behind=behind,
        events=rules.kept,
        coverage=coverage,
    )


def links(*, ends: bool = False) -> str:
    """Return the CTEs of what directly follows what, over ``acts``; the last one is ``flows``."""
    finishes = ", lead(position) over course is null as finishes" if ends else ""
    linked = queries.fill(LINKED, ends=finishes, materialized="materialized " if ends else "")
    return linked + (_WITH_ENDS if ends else _BETWEEN)


def _check_ends(cell: Mapping[str, str | None], rules: Cleaning, question: Question, *, ends: bool) -> None:
    """Raise InvalidArgument if a cell names an event that there is not, or an end that was not asked for."""
    for what, name in cell.items():
        if name is None and not ends:
            raise InvalidArgument(f"{what} is None", hint="The starts and ends of cases are there with ends=True.")
        if name is not None:
            rules.check(name, what, question)
