"""Advances: what one event does to the attempts that are under way, as SQL for a fold over an actor's events.

The state ``s`` has, for each step k, ``c<k>``: the attempt that has come to step k and entered last. The event is ``x``: its
``moment``, ``mask`` (a bit for each step that it can be), ``stop`` (a bit for each exclusion) and ``enters``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventlab.analytics.steps import Stage, Stop

Entry = Literal["best", "first", "all"]
Order = Literal["ordered", "strict", "strict_order", "any"]

EVENT = ("nth", "moment", "mask", "stop", "enters")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a funnel goes by. ``within``: the window in microseconds from the entry, inclusive; None: no end."""

    stages: tuple[Stage, ...]
    stops: tuple[Stop, ...]
    within: int | None
    entry: Entry
    order: Order

    @property
    def levels(self) -> range:
        """The numbers of the steps."""
        return range(1, len(self.stages) + 1)

    def before(self, step: int) -> int:
        """Return the step from which one is the way into ``step``: the nearest before it that is not optional; 0: none."""
        return next((k for k in range(step - 1, 0, -1) if not self.stages[k - 1].optional or self.order == "any"), 0)

    def sources(self, step: int) -> range:
        """Return the steps from which an attempt can come to ``step``, the nearest first."""
        return range(step - 1, self.before(step) - 1, -1)

    @property
    def timed(self) -> bool:
        """Whether a step has a window of its own, so that it matters when a step came last."""
        return any(stage.within_previous is not None for stage in self.stages)

    @property
    def endings(self) -> tuple[Stop, ...]:
        """The exclusions that end an attempt and no more; in a strict order, what is no step ends all."""
        return () if self.order == "strict_order" else self.stops

    @property
    def remembers(self) -> bool:
        """Whether attempts are given up before the end, so that the best of them has to be kept."""
        return self.entry != "all" and (self.order == "strict" or bool(self.endings))


def chain(rules: Rules) -> str:
    """Return the type of an attempt.

    Its entry is the actor's ``nth`` event; ``level`` is the furthest step, to which it came ``last`` then (again).
    """
    names = ["nth", "level", "entry", *(["last"] if rules.timed else []), *(f"reached_{k}" for k in rules.levels[1:])]
    return f"struct({', '.join(f'{name} bigint' for name in names)})"


def none(rules: Rules) -> str:
    """Return no attempt."""
    return f"null::{chain(rules)}"


def entered(rules: Rules) -> str:
    """Return the attempt that begins with the event."""
    fields = {"nth": "x.nth", "level": "1::bigint", "entry": "x.moment"}
    fields |= {"last": "x.moment"} if rules.timed else {}
    return f"{{{listed({**fields, **{f'reached_{k}': 'null::bigint' for k in rules.levels[1:]}})}}}"


def nothing(rules: Rules) -> str:
    """Return the fields of a state in which nothing has happened."""
    fields = {f"c{k}": none(rules) for k in rules.levels}
    if rules.remembers:
        fields["best"] = none(rules)
    if rules.entry == "all":
        fields["over"] = f"[]::{chain(rules)}[]"
    if rules.order == "strict_order":
        fields["halted"] = "false"
    return listed(fields)


def advanced(rules: Rules) -> str:
    """Return the state after an event."""
    own = {name: f"x.{name}" for name in EVENT}
    fields = {f"c{k}": _entered(rules) if k == 1 else _reached(rules, k) for k in rules.levels}
    if rules.remembers:
        fields["best"] = furthest(rules, "s")
    if rules.entry == "all":
        fields["over"] = "s.over"
    if rules.order == "strict_order":
        fields["halted"] = f"s.halted or ({_halts(rules)})"
    state = "{" + listed({**own, **fields}) + "}"
    return f"list_transform([{_closed(rules)}], lambda s: {state})[1]" if rules.entry == "all" else state


def furthest(rules: Rules, state: str) -> str:
    """Return the attempt of a state that has come furthest, among those the latest."""
    top = live(rules, state)
    if not rules.remembers:
        return top
    level, nth = f"{top}.level", f"{top}.nth"
    better = f"{level} > {state}.best.level or ({level} = {state}.best.level and {nth} >= {state}.best.nth)"
    return f"case when {state}.best is null or {better} then {top} else {state}.best end"


def live(rules: Rules, state: str) -> str:
    """Return the attempt of a state that is under way at the highest step."""
    return f"coalesce({', '.join(f'{state}.c{k}' for k in reversed(rules.levels))})"


def _entered(rules: Rules) -> str:
    """Return the attempt at step 1 after an event."""
    free = {"best": [], "first": ["s.c1 is null"], "all": [f"{live(rules, 's')} is null"]}[rules.entry]
    if rules.entry == "first" and rules.remembers:
        free.append("s.best is null")
    if rules.order == "strict_order":
        free.append("not s.halted")
    return f"case when {all_of(['x.enters', *free])} then {entered(rules)} else {_kept(rules, 1)} end"


def _reached(rules: Rules, step: int) -> str:
    """Return the attempt at a later step after an event: the latest of those that can come there goes on."""
    goes = [_is(step), *(["not s.halted"] if rules.order == "strict_order" else [])]
    kept, sources = _kept(rules, step), rules.sources(step)
    if len(sources) == 1:
        goes.append(_can(rules, sources[0], step))
        return f"case when {all_of(goes)} then {_onward(rules, f's.c{sources[0]}', step)} else {kept} end"
    nearest = ", ".join(f"case when {_can(rules, j, step)} then s.c{j} end" for j in sources)
    return (
        f"case when {all_of(goes)} then list_transform([greatest({nearest})],"
        f" lambda c: case when c is null then {kept} else {_onward(rules, 'c', step)} end)[1] else {kept} end"
    )


def _onward(rules: Rules, source: str, step: int) -> str:
    """Return an attempt as it has come to a step; if it has before, it keeps the way by which it did."""
    here, path = f"s.c{step}", [f"reached_{k}" for k in rules.levels[1:]]
    fields = {"nth": f"{source}.nth", "level": f"{step}::bigint", "entry": f"{source}.entry"}
    fields |= {"last": "x.moment"} if rules.timed else {}
    new = {name: f"{source}.{name}" for name in path[: step - 2]} | {path[step - 2]: "x.moment"}
    new |= dict.fromkeys(path[step - 1 :], "null::bigint")
    again = f"{{{listed({**fields, **{name: f'{here}.{name}' for name in path}})}}}" if rules.timed else here
    return f"case when {source}.nth = {here}.nth then {again} else {{{listed({**fields, **new})}}} end"


def _is(step: int) -> str:
    """Return the condition that the event can be a step."""
    return f"x.mask & {1 << (step - 1)} > 0"


def _can(rules: Rules, source: int, step: int) -> str:
    """Return the condition that the attempt at a step can go on to a later one now."""
    within = rules.stages[step - 1].within_previous
    return all_of(
        [
            f"s.c{source} is not null",
            *([] if rules.within is None else [f"x.moment - s.c{source}.entry <= {rules.within}"]),
            *([] if within is None else [f"x.moment - s.c{source}.last <= {within}"]),
        ]
    )


def _kept(rules: Rules, step: int) -> str:
    """Return the attempt at a step after an event that does not lead on to it."""
    if rules.order == "strict":
        return none(rules)
    ends = [text for bit, stop in enumerate(rules.endings) if (text := _ends(rules, bit, stop, step))]
    return f"case when {any_of(ends)} then {none(rules)} else s.c{step} end" if ends else f"s.c{step}"


def _ends(rules: Rules, bit: int, stop: Stop, step: int) -> str:
    """Return the condition that an exclusion ends the attempt at a step; empty if it never does."""
    if step >= stop.last:
        return ""
    stopped = f"x.stop & {1 << bit} > 0"
    if step >= stop.first:
        return stopped
    same = {k: f"s.c{k}.nth is not distinct from s.c{step}.nth" for k in rules.levels}
    inside = any_of(same[k] for k in range(stop.first, stop.last))
    beyond = any_of(same[k] for k in rules.levels if k >= stop.last)
    return f"({stopped} and ({inside}) and not ({beyond}))"


def _halts(rules: Rules) -> str:
    """Return the condition that an event ends all: it is no step, or one to which no attempt has come near."""
    known = [f"({_is(k)} and ({any_of(f's.c{j} is not null' for j in rules.sources(k))}))" for k in rules.levels[1:]]
    return f"{live(rules, 's')} is not null and not ({any_of([_is(1), *known])})"


def _closed(rules: Rules) -> str:
    """Return the state before an event, the attempt put away that is over by then: at most one is under way."""
    top, fields = live(rules, "s"), [f"c{k}" for k in rules.levels]
    others = {"halted": "s.halted"} if rules.order == "strict_order" else {}
    over = listed({**dict.fromkeys(fields, none(rules)), "over": f"list_append(s.over, {top})", **others})
    goes_on = listed({**{name: f"s.{name}" for name in fields}, "over": "s.over", **others})
    ends = [f"s.c{len(fields)} is not null"]
    if rules.within is not None:
        ends.append(f"x.moment - {top}.entry > {rules.within}")
    ways = [(j, k) for k in rules.levels[1:] for j in rules.sources(k)]
    if rules.order == "strict":
        ends.append(f"not ({any_of(f'({_is(k)} and {_can(rules, j, k)})' for j, k in ways)})")
    elif any(stage.within_previous is not None for stage in rules.stages):
        ends.append(f"not ({any_of(f'({_can(rules, j, k)})' for j, k in ways)})")
    ends += [
        f"(x.stop & {1 << bit} > 0 and {top}.level between {stop.first} and {stop.last - 1})"
        for bit, stop in enumerate(rules.endings)
    ]
    return f"case when {top} is not null and ({any_of(ends)}) then {{{over}}} else {{{goes_on}}} end"


def listed(fields: dict[str, str]) -> str:
    """Return the fields of a struct."""
    return ", ".join(f"'{name}': {text}" for name, text in fields.items())


def all_of(conditions: Iterable[str]) -> str:
    """Return the condition that all hold."""
    return " and ".join(conditions) or "true"


def any_of(conditions: Iterable[str]) -> str:
    """Return the condition that any holds."""
    return " or ".join(conditions) or "false"
