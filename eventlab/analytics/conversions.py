"""Conversions: how a funnel was asked for, and the CTEs of who came how far, from which its numbers are counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from eventlab import moments, queries
from eventlab.analytics import attempts, chains, holds, steps
from eventlab.analytics.advances import Entry, Order, Rules
from eventlab.errors import InvalidArgument, unknown

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from eventlab.analytics.questions import Question
    from eventlab.analytics.steps import Exclusions, Steps
    from eventlab.moments import Duration

_LONGEST = 400_000_000_000_000_000  # microseconds: longer than all time, and all times still fit 64 bits
_ENTRIES = {
    "best": "counted is each actor's best entry (the one that gets furthest, of those the latest)",
    "first": "counted is each actor's first entry",
    "all": "counted is each attempt: a new one begins after one has converted, timed out or been ended",
}
_ORDERS = {
    "ordered": "in this order, other events may lie between",
    "strict": "each the actor's very next event",
    "strict_order": "in this order until the first event that does not fit: after it, nothing of the actor counts",
    "any": "in any order, whichever comes first is the entry, and step k is the k-th of them",
}


@dataclass(frozen=True, slots=True)
class Design:
    """A funnel's options, checked.

    Attributes
    ----------
    hold
        The properties that all steps share; empty: none.
    breakdown
        SQL over ``events``; None: no parts.
    """

    question: Question
    rules: Rules
    within: dt.timedelta | None
    hold: tuple[str, ...]
    breakdown: str | None

    @property
    def names(self) -> list[str]:
        """The events of the rows."""
        events = [stage.event for stage in self.rules.stages]
        return events if self.rules.order != "any" else [f"any {k} of {', '.join(events)}" for k in self.rules.levels]

    @property
    def events(self) -> list[str]:
        """The event types of the steps."""
        return list(dict.fromkeys(stage.event for stage in self.rules.stages))

    @property
    def mature(self) -> str:
        """The SQL condition that the window of an entry is over; without a window, nothing is open."""
        if self.rules.within is None:
            return "true"
        complete = self.question.complete
        return "false" if complete is None else f"entry + {self.rules.within} <= {complete}"

    @property
    def key(self) -> str:
        """The columns by which numbers are told apart, each with a comma behind it."""
        return "breakdown, " if self.breakdown else ""

    def cte(self, *, fast: bool = True, named: bool = False) -> str:
        """Return the CTEs that end in ``chains``, one row an actor or an attempt.

        Parameters
        ----------
        fast
            By windows where the rules are such that it can be so; the answer is the same.
        named
            Whether ``actor`` is wanted, too.
        """
        if fast and self._plain:
            entry = self.rules.stages[0]
            ranged = " and ".join([entry.condition, *self.question.range("occurred_at")])
            stages = [replace(entry, condition=ranged), *self.rules.stages[1:]]
            return chains.chains(
                self.question,
                stages,
                self._conditions(),
                within=self.rules.within,
                breakdown=self.breakdown,
                named=named,
                chosen=any(stage.where for stage in self.rules.stages) or bool(self.question.range("")),
            )
        others = [stop.event for stop in self.rules.stops]
        held = holds.held(self.question, self.hold, self.events, others) if self.hold else []
        holders = holds.holding(self.question, self.hold, [*self.events, *others]) if self.hold else []
        return attempts.attempts(
            self.question, self.rules, self._conditions(), breakdown=self.breakdown, held=held, holders=holders
        )

    @property
    def _plain(self) -> bool:
        """Whether windows can carry the best chains on: distinct steps in their order, and nothing more."""
        rules = self.rules
        return (
            (rules.entry, rules.order) == ("best", "ordered")
            and len(self.events) == len(rules.stages) <= chains.MOST
            and not rules.stops
            and not self.hold
            and not any(stage.optional or stage.within_previous is not None for stage in rules.stages)
        )

    def _conditions(self) -> list[str]:
        """Return the conditions of the events that count; what lies before all entries or after all windows is not read."""
        question, rules = self.question, self.rules
        conditions = [f"({question.actor}\n) is not null", *question.conditions(ranged=False)]
        if rules.order in {"ordered", "any"}:
            read = dict.fromkeys([*self.events, *(stop.event for stop in rules.stops)])
            conditions.append(f"event_type in ({', '.join(map(queries.literal, read))})")
        if question.since is not None:
            conditions.append(f"occurred_at >= {question.instant(question.since)}")
        if question.until is not None and rules.within is not None:
            conditions.append(f"occurred_at < make_timestamptz({question.until + rules.within})")
        return conditions

    def check_step(self, step: object) -> None:
        """Raise InvalidArgument unless the funnel has the step."""
        if isinstance(step, bool) or not isinstance(step, int) or step not in self.rules.levels:
            listed = ", ".join(f"{k} {name}" for k, name in enumerate(self.names, start=1))
            raise InvalidArgument(f"no step {step!r}", hint=f"The steps are by number: {listed}.")

    def facts(self) -> dict[str, Any]:
        """Return the options by name."""
        stages = self.rules.stages
        return {
            "steps": self.names,
            "within": self.within,
            "entry": self.rules.entry,
            "order": self.rules.order,
            "hold": list(self.hold),
            "exclude": [stop.told for stop in self.rules.stops],
            "breakdown": self.breakdown,
            "optional": [k for k, stage in enumerate(stages, start=1) if stage.optional],
            "complete_through": self.question.complete_through,
        }

    def definition(self) -> str:
        """Return what the numbers mean."""
        rules, parts = self.rules, []
        way = " → ".join(stage.told for stage in rules.stages)
        window = (
            f"within {moments.told(self.within)} of the entry (inclusive)"
            if self.within
            else "at any time after the entry"
        )
        parts.append(f"{way}, {_ORDERS[rules.order]}, {window}; {_ENTRIES[rules.entry]}.")
        parts += [f"All share {' and '.join(self.hold)}; NULL equals nothing."] if self.hold else []
        parts += [f"An attempt ends at {stop.told}." for stop in rules.stops]
        parts += [f"By {self.breakdown} at the entry."] if self.breakdown else []
        if self.within:
            through = self.question.complete_through
            until = "nothing yet" if through is None else through.isoformat(sep=" ")
            parts.append(
                f"An entry is mature if its window is over by {until}; rates, dropped and median times are of mature entries."
            )
        else:
            parts.append("Without a window, maturity is undefined: nothing is pending, all entries count as mature.")
        parts.append("Median times are from the step before.")
        return " ".join([*parts, self._asked()])

    def _asked(self) -> str:
        """Return in words who the actors are, which events count, and from when to when the entries are."""
        question = self.question
        parts = [f"An actor is one {question.actor}."]
        parts += [f"Only events where {question.where} count."] if question.where else []
        bounds = [
            f"{word} {moments.moment_of(moment, question.session.store.zone).isoformat(sep=' ')}"
            for word, moment in (("from", question.since), ("to before", question.until))
            if moment is not None
        ]
        return " ".join([*parts, *([f"Entries {' '.join(bounds)}; later steps may be later."] if bounds else [])])


def design(
    question: Question,
    given: Steps,
    *,
    within: Duration | None,
    entry: Entry,
    order: Order,
    hold: str | Iterable[str] | None,
    exclude: Exclusions | None,
    breakdown: str | None,
) -> Design:
    """Return a funnel's options, checked.

    Raises
    ------
    InvalidArgument, QueryError
        If one is not of its form, or names what does not exist.
    """
    for name, value, allowed in (("entry", entry, get_args(Entry)), ("order", order, get_args(Order))):
        if value not in allowed:
            message, hint, _ = unknown(name, str(value), allowed)
            raise InvalidArgument(message, hint=hint)
    stages = steps.stages(question, given)
    length = None if within is None else moments.duration(within)
    if len(stages) == 1 and length is not None:
        raise InvalidArgument(
            "a funnel of one step has no window", hint="Leave within out, or add the step that is to follow in time."
        )
    if order == "any" and any(stage.optional or stage.within_previous is not None for stage in stages):
        raise InvalidArgument(
            "in any order no step is before another",
            hint='Leave optional and within_previous out, or say order="ordered".',
        )
    if breakdown is not None:
        question.check(breakdown, "breakdown")
    rules = Rules(
        tuple(stages),
        tuple(steps.stops(question, exclude, stages)),
        None if length is None else min(length // moments.MICROSECOND, _LONGEST),
        entry,
        order,
    )
    made = Design(question, rules, length, holds.named(hold), breakdown)
    if made.hold:
        holds.held(question, made.hold, made.events, ())
    return made
