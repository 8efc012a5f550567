"""Funnels: of those who entered, how many reached each step, and how many still can.

``entered``, ``mature`` and the others at step k are about the way into step k. An entry is mature once its window is over: the
others have not failed yet, so they are told apart.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal, get_args

from eventlab import queries
from eventlab.analytics import conversions, sequences, survivals
from eventlab.analytics.analyses import Analysis
from eventlab.analytics.trends import Unsaid
from eventlab.errors import InvalidArgument, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from eventlab.analytics.advances import Entry, Order
    from eventlab.analytics.conversions import Design
    from eventlab.analytics.questions import Question
    from eventlab.analytics.steps import Exclusions, Steps
    from eventlab.moments import Duration
    from eventlab.session.results import Result

Outcome = Literal["reached", "entered", "mature", "converted", "dropped", "pending", "converted_early"]

# Lists by step: how many reached it, how many of them are mature, and the median time from the step before.
COUNTS = """,
counts as (
    select
        {breakdown}[{came}] as came,
        [{matured}] as matured,
        [{medians}] as medians
    from (select *, {mature} as mature from chains){grouped}
),
steps (step, event, before) as (
    values {steps}
)"""
_ROWS = """
select
    {breakdown}step, event, entered, mature, converted, mature - converted as dropped,
    entered - mature - early as pending, early as converted_early, converted + early as reached,
    converted / nullif(mature, 0) as rate, converted / nullif(all_mature, 0) as rate_total, median_seconds
from (
    select
        {breakdown}step, event, came[before] as entered, matured[before] as mature, matured[step] as converted,
        came[step] - matured[step] as early, matured[1] as all_mature, medians[step] as median_seconds
    from counts cross join steps
)
order by {breakdown}step
"""
_BEHIND = """
select actor, make_timestamptz(entry) as entered_at{breakdown} from chains
where {condition}
order by all
"""


@dataclass(frozen=True, slots=True, repr=False)
class Funnel(Analysis):
    """The rows of a funnel, one a step.

    Attributes
    ----------
    design
        How it was asked for.
    """

    design: Design | None = None

    def times(self, step: int | None = None) -> Analysis:
        """Return how long those who converted took from their entry: ``quantile`` and ``seconds``.

        Of the mature entries that reached ``step`` (by default the last one), the times at the quantiles 0 (the fastest) to 1.
        Who is quick converts before the window is over: entries that are not mature would make the times shorter than they are.
        With a breakdown there is a column ``breakdown`` first.

        Raises
        ------
        InvalidArgument
            If there is no such step.
        """
        return self._timed(step, survivals.times)

    def survival(self, step: int | None = None) -> Analysis:
        """Return the share that has reached a step by each time since the entry, as Kaplan and Meier estimate it.

        One row for each time at which someone converted or was censored, in its order: ``seconds`` since the entry, ``at_risk``
        (the entries that were still on their way until then), ``converted`` and ``censored`` at that time, and
        ``share_converted`` (1 less the product of 1 - converted / at_risk so far). Entries that are pending are censored where
        ``complete_through`` cuts them off, those that dropped out where their window ends. With a breakdown there is a column
        ``breakdown`` first, and a curve for each value.

        Parameters
        ----------
        step
            The number of the step; the last one by default.

        Raises
        ------
        InvalidArgument
            If there is no such step.
        """
        return self._timed(step, survivals.survival)

    def _timed(self, step: int | None, answer: Callable[[Design, int], Analysis]) -> Analysis:
        if self.design is None:
            raise InvalidArgument("this funnel has no steps", hint="Make it with log.funnel(…).")
        step = len(self.design.rules.stages) if step is None else step
        self.design.check_step(step)
        return answer(self.design, step)


def funnel(
    question: Question,
    steps: Steps,
    *,
    within: Duration | None = None,
    entry: Entry = "best",
    order: Order = "ordered",
    hold: str | Iterable[str] | None = None,
    exclude: Exclusions | None = None,
    breakdown: str | None = None,
) -> Funnel:
    """Return the funnel that is described at ``EventLog.funnel``."""
    design = conversions.design(
        question, steps, within=within, entry=entry, order=order, hold=hold, exclude=exclude, breakdown=breakdown
    )

    def actors(**cell: object) -> Result:
        return _behind(design, **cell)

    made = question.analysis(
        funnel_query(design),
        kind="funnel",
        definition=design.definition(),
        facts=design.facts(),
        behind=actors,
        ranged=False,
        events=design.events,
    )
    return Funnel(**{field.name: getattr(made, field.name) for field in fields(made)}, design=design)


def funnel_query(design: Design, *, fast: bool = True) -> str:
    """Return the SELECT of a funnel's rows; ``fast`` as at ``Design.cte``."""
    return design.cte(fast=fast) + counted(design) + queries.fill(_ROWS, breakdown=design.key)


def counted(design: Design) -> str:
    """Return the CTEs that count the chains by step."""
    rules = design.rules
    came = ["count(*)", *(f"count(reached_{k})" for k in rules.levels[1:])]
    rows = [
        f"({k}::bigint, {queries.literal(name)}, {max(rules.before(k), 1)})"
        for k, name in enumerate(design.names, start=1)
    ]
    return queries.fill(
        COUNTS,
        breakdown=design.key,
        came=came,
        matured=[f"{count} filter (mature)" for count in came],
        medians=["null::double", *(_median(rules.before(k), k) for k in rules.levels[1:])],
        mature=design.mature,
        grouped="\n    group by breakdown" if design.breakdown else "",
        steps=rows,
    )


def _median(before: int, step: int) -> str:
    """Return the SQL of the median seconds from one step to another."""
    since = "entry" if before == 1 else f"reached_{before}"
    return f"median(reached_{step} - {since}) filter (mature) / 1e6"


def _behind(
    design: Design, step: object = None, outcome: object = "reached", breakdown: object = Unsaid.UNSAID, **other: object
) -> Result:
    """Return the actors behind a cell: each of its entries is a row."""
    sequences.check_cell(other, "funnel", ("step", "outcome", "breakdown"))
    design.check_step(step)
    condition = _condition(design, int(str(step)), outcome)
    cell: dict[str, object] = {"step": step, "outcome": outcome}
    if breakdown is not Unsaid.UNSAID:
        if design.breakdown is None:
            raise InvalidArgument("this funnel has no breakdown", hint="Leave breakdown out.")
        value = queries.literal(None if breakdown is None else str(breakdown))  # text takes the column's type
        condition += f" and breakdown is not distinct from {value}"
        cell["breakdown"] = breakdown
    text = design.cte(named=True) + queries.fill(
        _BEHIND, breakdown=", breakdown" if design.breakdown else "", condition=condition
    )
    return design.question.actors(text, {**cell, "of": "funnel", "definition": design.definition()})


def _condition(design: Design, step: int, outcome: object) -> str:
    """Return the SQL condition of the entries behind a cell."""
    before = design.rules.before(step)
    entered = "true" if before <= 1 else f"reached_{before} is not null"
    reached = "true" if step == 1 else f"reached_{step} is not null"
    mature = f"({design.mature})"
    conditions = {
        "reached": reached,
        "entered": entered,
        "mature": f"{entered} and {mature}",
        "converted": f"{reached} and {mature}",
        "dropped": f"{entered} and {mature} and not ({reached})",
        "pending": f"{entered} and not {mature} and not ({reached})",
        "converted_early": f"{reached} and not {mature}",
    }
    if outcome not in get_args(Outcome):
        message, hint, _ = unknown("outcome", str(outcome), get_args(Outcome))
        raise InvalidArgument(message, hint=hint)
    return conditions[str(outcome)]
