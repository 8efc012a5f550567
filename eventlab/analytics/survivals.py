"""Survivals: how long conversions took, and the share that has converted by then, with those who still can left in the count.

The estimate is that of Kaplan and Meier, "Nonparametric Estimation from Incomplete Observations" (1958).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab import queries

if TYPE_CHECKING:
    from eventlab.analytics.analyses import Analysis
    from eventlab.analytics.conversions import Design

QUANTILES = ("0", "0.1", "0.25", "0.5", "0.75", "0.9", "0.95", "0.99", "1")
_TIMES = """,
quantiles as (
    select {key}[{quantiles}] as quantile, quantile_cont({reached} - entry, [{quantiles}]) as lasted
    from chains
    where {mature} and {reached} is not null{grouped}
)
select {key}unnest(quantile)::double as quantile, unnest(lasted) / 1e6 as seconds
from quantiles
order by {key}quantile
"""
# What complete_through cuts off is not known: who converts later is censored there, who enters later is not looked at.
_SURVIVAL = """,
lives as (
    select
        {key}{converted} as converted,
        case when {converted} then {reached} - entry else {censored} end as lasted
    from chains
    where {known}
),
moments as (
    select {key}lasted, count(*) as left_then, count(*) filter (converted) as converted from lives group by {key}lasted
),
curve as (
    select
        *,
        sum(left_then) over (partition by {part} order by lasted desc)::bigint as at_risk
    from moments
)
select
    {key}lasted / 1e6 as seconds, at_risk, converted, left_then - converted as censored,
    1 - product(1 - converted / at_risk) over (partition by {part} order by lasted) as share_converted
from curve
order by {key}lasted
"""


def times(design: Design, step: int) -> Analysis:
    """Return the quantiles of the time from the entry to a step, of those who converted."""
    text = design.cte() + queries.fill(
        _TIMES,
        key=design.key,
        quantiles=QUANTILES,
        reached=_reached(step),
        mature=design.mature,
        grouped="\n    group by breakdown" if design.breakdown else "",
    )
    name = design.names[step - 1]
    return design.question.analysis(
        text,
        kind="times",
        definition=f"Seconds from the entry to step {step}, {name}, of the mature entries that reached it. {design.definition()}",
        facts={**design.facts(), "step": step},
        ranged=False,
        events=design.events,
    )


def survival(design: Design, step: int) -> Analysis:
    """Return the share that has reached a step by each time since the entry, as Kaplan and Meier estimate it."""
    reached, within, complete = _reached(step), design.rules.within, design.question.complete
    through = "null::bigint" if complete is None else str(complete)
    text = design.cte() + queries.fill(
        _SURVIVAL,
        key=design.key,
        part=design.key.removesuffix(", ") or "true",
        reached=reached,
        converted=f"coalesce({reached} <= {through}, false)",
        censored=f"{through} - entry" if within is None else f"least({through} - entry, {within})",
        known=f"entry <= {through}",
    )
    name = design.names[step - 1]
    told = f"Share of entries that have reached step {step}, {name}, by the time since the entry (Kaplan-Meier)"
    until = "pending entries are censored where they are cut off, dropped ones where their window ends"
    return design.question.analysis(
        text,
        kind="survival",
        definition=f"{told}; {until}. {design.definition()}",
        facts={**design.facts(), "step": step},
        ranged=False,
        events=design.events,
    )


def _reached(step: int) -> str:
    """Return the SQL of the moment at which an entry reached a step."""
    return "entry" if step == 1 else f"reached_{step}"
