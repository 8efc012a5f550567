"""Gatherings: what one event does to an attempt whose steps may come in any order, as SQL for a fold as in ``advances``.

The state has one attempt, ``c1``, and ``done``: a bit for each step that it has passed, all of them once it has been ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab.analytics.advances import EVENT, all_of, any_of, chain, entered, listed, none

if TYPE_CHECKING:
    from eventlab.analytics.advances import Rules

_OPEN = "x.mask & ~s.done"


def nothing(rules: Rules) -> str:
    """Return the fields of a state in which nothing has happened."""
    over = {"over": f"[]::{chain(rules)}[]"} if rules.entry == "all" else {}
    return listed({"c1": none(rules), "done": "0::bigint", **over})


def advanced(rules: Rules) -> str:
    """Return the state after an event."""
    goes_on = f"s.c1 is not null and {_OPEN} > 0{_in_time(rules)}"
    enters = "s.c1 is null and x.enters"
    fields = {
        **{name: f"x.{name}" for name in EVENT},
        "c1": f"case when {enters} then {entered(rules)} when {goes_on} then {_onward(rules)} else s.c1 end",
        "done": (
            f"case when {_stopped(rules)} then -1 when {enters} then {_highest('x.mask')}"
            f" when {goes_on} then s.done | {_highest(_OPEN)} else s.done end"
        ),
    }
    if rules.entry != "all":
        return f"{{{listed(fields)}}}"
    state = f"{{{listed({**fields, 'over': 's.over'})}}}"
    return f"list_transform([{_closed(rules)}], lambda s: {state})[1]"


def _onward(rules: Rules) -> str:
    """Return the attempt with one step more."""
    fields = {"nth": "s.c1.nth", "level": "s.c1.level + 1", "entry": "s.c1.entry"}
    for k in rules.levels[1:]:
        fields[f"reached_{k}"] = f"case when s.c1.level = {k - 1} then x.moment else s.c1.reached_{k} end"
    return f"{{{listed(fields)}}}"


def _in_time(rules: Rules) -> str:
    return "" if rules.within is None else f" and x.moment - s.c1.entry <= {rules.within}"


def _highest(mask: str) -> str:
    """Return the last of the steps that a mask has: an event is one step only."""
    return f"(1::bigint << (length(bin({mask})) - 1))"


def _stopped(rules: Rules) -> str:
    """Return the condition that an event ends the attempt."""
    stops = [
        f"(x.stop & {1 << bit} > 0 and s.c1.level between {stop.first} and {stop.last - 1})"
        for bit, stop in enumerate(rules.stops)
    ]
    return any_of(stops)


def _closed(rules: Rules) -> str:
    """Return the state before an event, the attempt put away that is over by then."""
    ends = [f"s.c1.level = {len(rules.stages)}", "s.done = -1"]
    if rules.within is not None:
        ends.append(f"x.moment - s.c1.entry > {rules.within}")
    over = listed({"c1": none(rules), "done": "0::bigint", "over": "list_append(s.over, s.c1)"})
    goes_on = listed({"c1": "s.c1", "done": "s.done", "over": "s.over"})
    return f"case when {all_of(['s.c1 is not null', f'({any_of(ends)})'])} then {{{over}}} else {{{goes_on}}} end"
