"""The SQL of a state's history, of the difference of two moments, and of its course over time.

From the same split SELECT: as a window over each key's events an aggregate gives every state that the key has been in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.errors import InvalidArgument
from eventlab.states import folds

if TYPE_CHECKING:
    from eventlab.session import Scope
    from eventlab.states.splits import Split

EVENT = ("position", "occurred_at", "recorded_at", "event_type")
_HISTORY = """
with steps as (
    select
        position, occurred_at, recorded_at, event_type, {columns},
        lead(occurred_at) over ({partition} order by position) as valid_to
    from {source} {where}
    window running as ({partition} order by position rows unbounded preceding)
)
select position, occurred_at, recorded_at, event_type, valid_to, {outputs} from steps {having} {order}
"""
_STEP_BY_STEP = """
with steps as (
    select position, occurred_at, recorded_at, event_type, lead(occurred_at) over (order by position) as valid_to
    from {source} {where}
)
select steps.*, state.* from steps, lateral ({fold}) as state order by position
"""
_DIFF = """
with before as ({before}), after as ({after}), compared as (
    select {keys}
        case
            when before.eventlab_here is null then 'added'
            when after.eventlab_here is null then 'removed'
            when {changed} then 'changed'
        end as change
        {columns}
    from (select *, true as eventlab_here from before) as before
    full join (select *, true as eventlab_here from after) as after on {same}
)
from compared where change is not null
"""


def history(split: Split, scope: Scope, *conditions: str) -> str:
    """Return the SELECT of one row an event of a key, with the state after it."""
    keys = [f"{text} as k{number}" for number, text in enumerate(split.keys)]
    values = [f"{text} over running as a{number}" for number, text in enumerate(split.aggregates)]
    return queries.fill(
        _HISTORY,
        columns=[*keys, *values] or ["1 as nothing"],
        partition=f"partition by {', '.join(split.keys)}" if split.keys else "",
        source=folds.source(split, scope),
        where=folds.where(split, *conditions),
        outputs=_beside(split),
        having=f"where {split.having}" if split.having else "",
        order="order by position" if conditions else "",
    )


def step_by_step(split: Split, scope: Scope, *conditions: str) -> str:
    """Return the SELECT of the history of one key as a fold for each event.

    For aggregates that cannot be windows, and for effective events, of which a later one may undo an earlier one: there a
    compensation of the key is a step, too. In a corrected scope what is compensated was never there, and undoing it no step.
    """
    source, where = folds.source(split, scope), folds.where(split, *conditions)
    if split.relation != "events" and scope.corrected is None:
        source = f"(select * from events {scope.where()}) as {split.alias}"
        chosen = f"(compensates is not null or {split.where})" if split.where else "true"
        where = f"where {' and '.join([chosen, *conditions])}"
    fold = folds.plain(split, scope, *conditions, by="position <= steps.position")
    return queries.fill(_STEP_BY_STEP, source=source, where=where, fold=fold)


def diff(split: Split, before: str, after: str) -> str:
    """Return the SELECT of the rows that differ between two SELECTs of the state.

    Raises
    ------
    InvalidArgument
        If the state does not show its keys, or another column would have the name of one of the difference's.
    """
    keys = split.key_names
    if len(keys) < len(split.keys):
        raise InvalidArgument("the state does not show its keys", hint="Put what it is grouped by into the SELECT.")
    others = [name for name in split.names if name not in keys]
    made = [*keys, "change", *(f"{name}_{when}" for name in others for when in ("before", "after"))]
    twice = next((name for name in made if [other.lower() for other in made].count(name.lower()) > 1), None)
    if twice is not None:
        raise InvalidArgument(f"the difference would have two columns {twice!r}", hint="Name the key otherwise.")
    changed = [f"before.{_q(name)} is distinct from after.{_q(name)}" for name in others]
    shown = [
        f"before.{_q(name)} as {_q(f'{name}_before')}, after.{_q(name)} as {_q(f'{name}_after')}" for name in others
    ]
    return queries.fill(
        _DIFF,
        before=before,
        after=after,
        keys="".join(
            f"case when after.eventlab_here then after.{_q(key)} else before.{_q(key)} end as {_q(key)}, "
            for key in keys
        ),
        changed=" or ".join(changed) or "false",
        columns="".join(f", {text}" for text in shown),
        same=" and ".join(f"before.{_q(key)} is not distinct from after.{_q(key)}" for key in keys) or "true",
    )


def _beside(split: Split) -> list[str]:
    """Return the SQL of a state's columns beside an event's, named apart from them."""
    taken = {*EVENT, "valid_to"}
    names = [f"state_{name}" if name.lower() in taken else name for name in split.names]
    return [f"{text} as {_q(name)}" for text, name in zip(split.outputs, names, strict=True)]


def _q(name: str) -> str:
    return queries.identifier(name)
