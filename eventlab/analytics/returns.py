"""Returns: who started when, and who came back in which of their windows, as the CTEs that a retention is counted from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from eventlab import moments, queries
from eventlab.analytics import steps
from eventlab.analytics.steps import Step
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.analytics.periods import Period
    from eventlab.analytics.questions import Question

Span = Literal["day", "week", "month"]
Clock = Literal["calendar", "rolling"]
Mode = Literal["on", "on_or_after"]
Cohort = Literal["first_ever", "first_in_range"]
Events = str | Step | Iterable[str | Step]
Bracket = int | tuple[int, int]

PERIODS = {"day": "1d", "week": "1w", "month": "1mo"}
_DAY = 86_400_000_000
_WIDTHS = {"day": _DAY, "week": 7 * _DAY, "month": 30 * _DAY}
_MOST = 10_000

MEMBERS = """
with brackets (first, last) as (
    select first::bigint, last::bigint from ({brackets}) as listed (first, last)
),
starts as (  -- the first start of each actor
    select {actor} as who, min(occurred_at) as started{apart}
    from events
    where {actor} is not null and {starting}
    group by 1
),
members as materialized (  -- numbered: numbers are grouped faster than names are; complete: how many windows are over
    select
        row_number() over () as member, who, started, {own} as own, {cohort} as cohort, {complete} as complete
    from starts
    {chosen}
),
hits as (  -- the start event itself is no return: in its period there must be another
    select member, any_value(cohort) as cohort, any_value(complete) as complete, {slot}
    from (
        select member, cohort, complete, own, {offset} as slot
        from (select {actor} as who, occurred_at from events where {actor} is not null and {returning}) as later
        join members on later.who = members.who and later.occurred_at >= members.started
    )
    where slot {range}
    group by member{by_slot}
    having slot > 0 or count(*) > any_value(own)
)"""
_SPREAD = """,
slots as (
    select first as bracket, unnest(range(first, last + 1)) as slot from brackets
),
returns as (  -- many returns in one bracket are one
    select distinct member, cohort, complete, bracket as slot from hits join slots using (slot)
)"""
PLAIN = """,
returns as (
    select member, cohort, complete, slot from hits
)"""
_DEFINITION = (
    "Of the actors ({by}) whose first {start}{when} fell into a cohort's {span}, the share that did {returning} {did}. "
    "{windows} {clock} In offset 0 the start itself is no return. Only actors whose window is over by {complete} are counted."
)
_CLOCKS = {
    "calendar": "Windows are the {period}, and the start's own is offset 0.",
    "rolling": (
        "Windows are stretches of {width} from each actor's start; rows are labelled by the {period} of the start."
    ),
}


@dataclass(frozen=True, slots=True)
class Matched:
    """Which events are meant: those of some types, of which a condition over ``events`` holds; ``plain``: all of them."""

    events: list[str]
    condition: str
    told: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Design:
    """A retention's options, checked; ``spread``: whether brackets were given."""

    question: Question
    start: Matched
    returning: Matched | None
    span: Span
    brackets: list[tuple[int, int]]
    clock: Clock
    mode: Mode
    cohort: Cohort
    period: Period
    spread: bool

    def hit(self, first: str = "first") -> str:
        """Return the condition that a return (its ``slot``) counts for the bracket that begins with ``first``."""
        return f"slot >= {first}" if self.mode == "on_or_after" else f"slot = {first}"

    @property
    def through(self) -> str:
        """The column of a bracket's last offset, where there are brackets."""
        return ' last as "through",' if self.spread else ""

    def members(self) -> str:
        """Return the CTEs of who started when, and who came back in which window."""
        actor = f"({self.question.actor}\n)"
        width = _WIDTHS[self.span]
        calendar = self.clock == "calendar"
        instant = self.question.instant(self.question.complete)
        cohort = self.period.number("started")
        elapsed = f"(epoch_us({{}}) - epoch_us(started)) // {width}"
        apart, own = self._own()
        after = self.mode == "on_or_after"
        text = queries.fill(
            MEMBERS,
            brackets=_listed(self.brackets),
            actor=actor,
            apart=apart,
            own=own,
            starting=" and ".join(self._starting()),
            chosen=self._chosen(),
            cohort=cohort,
            complete=f"{self.period.number(instant)} - {cohort}" if calendar else elapsed.format(instant),
            returning=" and ".join(
                [
                    *([] if self.returning is None else [self.returning.condition]),
                    *self.question.conditions(ranged=False),
                ]
            )
            or "true",
            offset=f"{self.period.number('occurred_at')} - cohort" if calendar else elapsed.format("occurred_at"),
            slot="max(slot) as slot" if after else "slot",
            range=">= 0" if after else f"between 0 and {self.brackets[-1][1]}",
            by_slot="" if after else ", slot",
        )
        return text + (_SPREAD if self.spread and not after else PLAIN)

    def _own(self) -> tuple[str, str]:
        """Return what is asked of the starts, and the SQL of how many of the returns the start event itself is."""
        if self.returning is None:
            return "", "1"
        if self.start.plain and self.returning.plain:
            starts, returns = set(self.start.events), set(self.returning.events)
            if starts <= returns or not starts & returns:
                return "", str(int(starts <= returns))
        # Of several starts at one instant, the one that is no return is the start.
        apart = f", min(occurred_at) filter (not coalesce({self.returning.condition}, false)) as apart"
        return apart, "(apart is distinct from started)::integer"

    def _starting(self) -> list[str]:
        ranged = self.cohort == "first_in_range"
        parts = [self.start.condition, *self.question.conditions(ranged=ranged)]
        if not ranged and self.question.until is not None:  # later ones are nobody's first that is asked for
            parts.append(f"occurred_at < {self.question.instant(self.question.until)}")
        return parts

    def _chosen(self) -> str:
        if self.cohort == "first_in_range" or self.question.since is None:
            return ""
        return f"where started >= {self.question.instant(self.question.since)}"

    def facts(self) -> dict[str, Any]:
        """Return the parameters by name."""
        return {
            "start": self.start.told,
            "returning": None if self.returning is None else self.returning.told,
            "period": self.span,
            "brackets": self.brackets if self.spread else None,
            "windows": self.brackets[-1][1],
            "clock": self.clock,
            "mode": self.mode,
            "cohort": self.cohort,
            "timezone": self.period.zone,
        }

    def definition(self) -> str:
        """Return what the numbers mean."""
        question = self.question
        when = " ever" if self.cohort == "first_ever" else " in the range"
        for word, moment in (("since", question.since), ("until", question.until)):
            if moment is not None:
                when += f" {word} {moments.moment_of(moment, question.session.store.zone).isoformat(sep=' ')}"
        width = "24 hours" if self.span == "day" else f"{_WIDTHS[self.span] // _DAY} days of 24 hours"
        told = question.complete_through
        return queries.fill(
            _DEFINITION,
            by=question.actor,
            start=self.start.told,
            when=f"{when} (events where {question.where})" if question.where else when,
            span=self.span,
            returning="any event" if self.returning is None else self.returning.told,
            did="in window k" if self.mode == "on" else "in window k or later",
            windows=f"Brackets of windows: {', '.join(map(_shown, self.brackets))}."
            if self.spread
            else f"k goes from 0 to {self.brackets[-1][1]}.",
            clock=queries.fill(_CLOCKS[self.clock], period=str(self.period), width=width),
            complete="now (there are no events)" if told is None else told.isoformat(sep=" "),
        )


def matched(question: Question, what: str, given: Events) -> Matched:
    """Return which events are a start or a return; ``what`` names the option in errors."""
    listed = [given] if isinstance(given, str | Step) else list(given) if isinstance(given, Iterable) else [given]
    if not listed:
        raise InvalidArgument(f"{what} names no event type", hint='Give one, like "OrderPlaced", or a list of them.')
    for one in listed:
        question.event(one.event if isinstance(one, Step) else one)
        if isinstance(one, Step) and (one.optional or one.within_previous is not None):
            raise InvalidArgument(
                f"{what}: {one.event!r} is the step of a funnel",
                hint="Here a step has an event type and a where alone.",
            )
    stages = [stage for one in listed for stage in steps.stages(question, [one])]
    events = list(dict.fromkeys(stage.event for stage in stages))
    plain = not any(isinstance(one, Step) and one.where for one in listed)
    condition = f"event_type in ({', '.join(map(queries.literal, events))})"
    if not plain:
        condition = f"({' or '.join(f'({stage.condition})' for stage in stages)})"
    return Matched(events, condition, " or ".join(dict.fromkeys(stage.told for stage in stages)), plain=plain)


def windowed(windows: int) -> list[tuple[int, int]]:
    """Return the offsets from 0 to ``windows``, each a bracket of its own."""
    if isinstance(windows, bool) or not isinstance(windows, int) or not 0 <= windows <= _MOST:
        raise InvalidArgument(
            f"windows is {windows!r}", hint=f"Give the last offset, a whole number from 0 to {_MOST}."
        )
    return [(number, number) for number in range(windows + 1)]


def bracketed(brackets: Sequence[Bracket]) -> list[tuple[int, int]]:
    """Return brackets as their first and last offsets."""
    hint = "Give offsets and (first, last) pairs in ascending order, both ends inclusive, like [0, 1, (2, 6), (7, 13)]."
    if not isinstance(brackets, (list, tuple)) or not brackets:
        raise InvalidArgument(f"brackets is {brackets!r}", hint=hint)
    found: list[tuple[int, int]] = []
    for bracket in brackets:
        pair = tuple(bracket) if isinstance(bracket, (tuple, list)) else (bracket, bracket)
        whole = len(pair) == 2 and all(isinstance(end, int) and not isinstance(end, bool) for end in pair)  # noqa: PLR2004
        if not whole or not 0 <= pair[0] <= pair[1] <= _MOST:
            raise InvalidArgument(f"{bracket!r} is no bracket", hint=hint)
        if found and pair[0] <= found[-1][1]:
            raise InvalidArgument(f"the bracket {bracket!r} does not come after {_shown(found[-1])}", hint=hint)
        found.append((pair[0], pair[1]))
    return found


def _listed(brackets: Sequence[tuple[int, int]]) -> str:
    return f"values {', '.join(f'({first}, {last})' for first, last in brackets)}"


def _shown(bracket: tuple[int, int]) -> str:
    first, last = bracket
    return str(first) if first == last else f"{first} to {last}"
