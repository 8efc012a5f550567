"""Trends: a measure of the events of each period, by parts if asked, and beside it that of as many periods before."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from eventlab import queries
from eventlab.analytics import periods
from eventlab.errors import InvalidArgument, QueryError
from eventlab.states.splits import is_aggregate

if TYPE_CHECKING:
    import datetime as dt

    from eventlab.analytics.analyses import Analysis
    from eventlab.analytics.periods import Period
    from eventlab.analytics.questions import Question
    from eventlab.moments import Instant
    from eventlab.session.results import Result

Compare = Literal["previous"]


class Unsaid(Enum):
    """What stands for a breakdown that is not named: None names the events that have no value."""

    UNSAID = "unsaid"


# The names of ours are long where the measure sees them: it is made of the columns of events.
_CHOSEN = """
{name} as (  -- in the measure, actor is who acts
    select * replace ({actor} as actor), {number} as eventlab_number{breakdown}
    from events
    where {actor} is not null{conditions}
)"""
_BREAKDOWN = """, ({breakdown}
) as eventlab_breakdown"""
_SLOTS = """
parts as (
    select eventlab_breakdown as part, {measure} as value from chosen group by 1{earlier}
),
ranked as (  -- the values of the breakdown, that of the greatest measure first
    select part, row_number() over (order by any_value(value) desc nulls last, part::varchar) as place
    from parts group by part
),
slots as (  -- 0: all others together
    select part, {slot} as slot from ranked
),
shown as (
    select distinct slot, case when slot > 0 then part end as part, slot = 0 as other from slots
)"""
_EARLIER_PARTS = """
    union all
    select distinct eventlab_breakdown, null from earlier"""
_PLACED = """
{name}_placed as (
    select {name}.*, slot as eventlab_slot
    from {name} join slots on eventlab_breakdown is not distinct from part
)"""
_MEASURED = """
{name}_measured as (
    select eventlab_number as number, {slot}{measure} as value from {source} group by all
)"""
_TREND = """
nothing as (
    select {measure} as value from chosen where false
)
select period_start, {columns}partial
from axis cross join nothing{joins}
order by period_start{order}
"""
_VALUE = "case when {name}.number is null then nothing.value else {name}.value end"
_ACTORS = """
select distinct actor from {source} where {conditions} order by 1
"""

_DEFINITION = (
    "{measure} over the events of each of the {period}{where}; actor is {by}. A period without events has the measure of nothing; "
    "partial ones are not wholly between the log's first event (or since) and {complete} (or until)."
)
_TOP = (
    " By {breakdown}: the {top} values with the greatest measure over all, and the measure over the events of all others"
    " (other is true)."
)
_PREVIOUS = " previous is the measure {shift} periods before; NULL before the log's first event."


@dataclass(frozen=True, slots=True)
class _Design:
    """A trend's options, checked. ``shift``: how many periods before lies what it is compared with."""

    question: Question
    measure: str
    every: str
    period: Period
    breakdown: str | None
    top: int | None
    shift: int | None

    def chosen(self) -> list[str]:
        """Return the CTEs of the events, and of those of the periods before, each with its period and its part."""
        parts = [
            periods.axis(self.question, self.period),
            self._events("chosen", 0, self.question.range("occurred_at")),
        ]
        if self.shift is not None:
            since = self.period.number(self.question.instant(self.question.since))
            within = [
                f"occurred_at >= {self.period.start(f'{since} - {self.shift}')}",
                f"occurred_at < {self.period.start(since)}",
            ]
            parts.append(self._events("earlier", self.shift, within))
        return parts

    def _events(self, name: str, shift: int, within: list[str]) -> str:
        conditions = [*self.question.conditions(ranged=False), *within]
        number = self.period.number("occurred_at")
        return queries.fill(
            _CHOSEN,
            name=name,
            actor=f"({self.question.actor}\n)",
            number=number if not shift else f"{number} + {shift}",
            breakdown=queries.fill(_BREAKDOWN, breakdown=self.breakdown) if self.breakdown else "",
            conditions="".join(f" and {condition}" for condition in conditions),
        )

    def placed(self) -> list[str]:
        """Return the CTEs that give each event the slot of its part."""
        slots = queries.fill(
            _SLOTS,
            measure=self.sql,
            earlier=_EARLIER_PARTS if self.shift is not None else "",
            slot="place" if self.top is None else f"case when place <= {self.top} then place else 0 end",
        )
        return [slots, *(queries.fill(_PLACED, name=name) for name in self.sides)]

    @property
    def sides(self) -> list[str]:
        """The names of what is measured."""
        return ["chosen"] if self.shift is None else ["chosen", "earlier"]

    @property
    def sql(self) -> str:
        """The measure as SQL that stands alone."""
        return f"({self.measure}\n)"

    def text(self) -> str:
        """Return the SELECT of the trend."""
        broken = self.breakdown is not None
        parts = self.chosen() + (self.placed() if broken else [])
        columns = ["part as breakdown"] if broken else []
        columns += ["other"] if self.top is not None else []
        joins = " cross join shown" if broken else ""
        for name in self.sides:
            source, slot = (f"{name}_placed", "eventlab_slot as slot, ") if broken else (name, "")
            parts.append(queries.fill(_MEASURED, name=name, slot=slot, measure=self.sql, source=source))
            same = f" and {name}_measured.slot = shown.slot" if broken else ""
            joins += f"\nleft join {name}_measured on {name}_measured.number = axis.number{same}"
        columns.append(f"{queries.fill(_VALUE, name='chosen_measured')} as value")
        if self.shift is not None:
            value = queries.fill(_VALUE, name="earlier_measured")
            columns.append(f"case when axis.number - {self.shift} >= earliest then {value} end as previous")
        shown = "".join(f"{column}, " for column in columns)
        order = ", other, shown.slot" if broken else ""
        parts.append(queries.fill(_TREND, measure=self.sql, columns=shown, joins=joins, order=order))
        return f"with{','.join(parts)}"

    def facts(self) -> dict[str, Any]:
        """Return the parameters by name."""
        return {
            "measure": self.measure,
            "every": self.every,
            "timezone": self.period.zone,
            "breakdown": self.breakdown,
            "top": self.top,
            "shift": self.shift,
        }

    def definition(self) -> str:
        """Return what the numbers mean."""
        question = self.question
        text = queries.fill(
            _DEFINITION,
            measure=self.measure,
            period=str(self.period),
            where=f" where {question.where}" if question.where else "",
            by=question.actor,
            complete="now (there are no events)"
            if question.complete_through is None
            else question.complete_through.isoformat(sep=" "),
        )
        if self.breakdown is not None:
            by = f" By {self.breakdown}."
            text += by if self.top is None else queries.fill(_TOP, breakdown=self.breakdown, top=str(self.top))
        return text if self.shift is None else text + queries.fill(_PREVIOUS, shift=str(self.shift))


def trend(
    question: Question,
    measure: str,
    *,
    every: str | dt.timedelta = "1d",
    breakdown: str | None = None,
    top: int | None = None,
    compare: Compare | None = None,
    timezone: str | None = None,
) -> Analysis:
    """Return the trend that is described at ``EventLog.trend``."""
    _check_measure(question, measure)
    of = periods.period(every, timezone or question.session.store.layout.timezone)
    if breakdown is not None:
        question.check(breakdown, "breakdown")
    if top is not None and (isinstance(top, bool) or not isinstance(top, int) or top < 1):
        raise InvalidArgument(f"top is {top!r}", hint="Give how many values of the breakdown to show, 1 or more.")
    if top is not None and breakdown is None:
        raise InvalidArgument("top without a breakdown", hint='Say which values to rank: breakdown="country".')
    design = _Design(question, measure, str(every), of, breakdown, top, _shift(question, of, compare))

    def actors(
        period_start: Instant | None = None, breakdown: object = Unsaid.UNSAID, *, other: bool = False
    ) -> Result:
        return _behind(design, period_start, breakdown, other=other)

    return question.analysis(
        design.text(), kind="trend", definition=design.definition(), facts=design.facts(), behind=actors
    )


def _check_measure(question: Question, measure: str) -> None:
    """Raise QueryError unless the measure is an aggregate over events."""
    question.check(measure, "measure")
    known = queries.aggregate_macros()
    nodes = queries.walk(queries.syntax(f"select ({measure}\n)"))
    if not any(is_aggregate(node) or str(node.get("function_name")).lower() in known for node in nodes):
        raise QueryError(
            f"measure: {measure!r} is no aggregate",
            hint="Write one over events, like count(*), count(DISTINCT actor) or sum(OrderPlaced.amount).",
        )


def _shift(question: Question, of: Period, compare: Compare | None) -> int | None:
    """Return how many periods there are from ``since`` to ``until``: so many before lies what they are compared with."""
    if compare is None:
        return None
    if compare != "previous":
        raise InvalidArgument(f"compare is {compare!r}", hint='There is "previous": as many periods before since.')
    if question.since is None:
        raise InvalidArgument("nothing is before the whole log", hint='Give since=… to compare="previous".')
    last = question.complete if question.until is None else question.until - 1
    if last is None:
        return 1
    numbers = ", ".join(of.number(question.instant(instant)) for instant in (question.since, last))
    first_number, last_number = question.rows(f"select {numbers}")[0]
    return max(1, int(last_number - first_number) + 1)


def _behind(design: _Design, period_start: Instant | None, breakdown: object, *, other: bool) -> Result:
    """Return the actors with events in a period and a part; without them in all."""
    parts, source, conditions = design.chosen(), "chosen", []
    if period_start is not None:
        number = periods.beginning(design.question, design.period, period_start, "period")
        conditions.append(f"eventlab_number = {number}")
    if breakdown is not Unsaid.UNSAID and design.breakdown is None:
        raise InvalidArgument("this trend has no breakdown", hint="Leave breakdown out.")
    if other and (design.top is None or breakdown is not Unsaid.UNSAID):
        hint = "Only a trend with top=… has others; they are all values but the top ones: other=True without breakdown."
        raise InvalidArgument("no such cell", hint=hint)
    if other:
        parts, source = [*parts, *design.placed()], "chosen_placed"
        conditions.append("eventlab_slot = 0")
    elif breakdown is not Unsaid.UNSAID:  # text takes the type of what it is compared with
        value = queries.literal(None if breakdown is None else str(breakdown))
        conditions.append(f"eventlab_breakdown is not distinct from {value}")
    text = f"with{','.join(parts)}" + queries.fill(
        _ACTORS, source=source, conditions=" and ".join(conditions) or "true"
    )
    cell: dict[str, object] = {"period_start": None if period_start is None else str(period_start), "other": other}
    if breakdown is not Unsaid.UNSAID:
        cell["breakdown"] = breakdown
    return design.question.actors(text, {**cell, "of": "trend", "definition": design.definition()})
