"""States that have no parts, such as joins and subqueries: answers for one key, by running the whole SELECT again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from eventlab import queries
from eventlab.errors import InvalidArgument, QueryError
from eventlab.session import Scope
from eventlab.states import histories
from eventlab.states.splits import RELATIONS, grouped

Run = Callable[[str, Mapping[str, object], Scope], queries.Relation]

_STEPS = """
select position, occurred_at, recorded_at, event_type, lead(occurred_at) over (order by position) as valid_to
from {relation} where {conditions} order by position
"""


def row(name: str, text: str, key: object, scope: Scope, run: Run) -> queries.Relation:
    """Return the row of one key within a scope."""
    shown, _, values = _conditions(name, text, key)
    return run(f"select * from ({text}\n) where {shown}", values, scope)


def history(name: str, text: str, key: object, scope: Scope, run: Run) -> pa.Table:
    """Return the state of one key after each of its events: a run of the whole SELECT for each.

    Raises
    ------
    InvalidArgument
        If the keys cannot be told, or are not columns of ``events``.
    """
    _, own, values = _conditions(name, text, key)
    read = {node["table_name"].lower() for node in queries.walk(queries.syntax(text)) if node.get("table_name")}
    effective = scope.corrected is not None and read == {RELATIONS[1]}  # what is compensated was never a step there
    chosen = queries.fill(_STEPS, relation=RELATIONS[effective], conditions=own)
    try:
        steps = run(chosen, values, scope).to_arrow_table()
    except QueryError as error:
        raise InvalidArgument(
            f"the history of {name} cannot be made: its keys are not of events ({error.message})", hint="Use at()."
        ) from None
    tables: list[pa.Table] = []
    for number, position in enumerate(steps["position"].to_pylist()):
        state = row(name, text, key, Scope(scope.at, position, corrected=scope.corrected), run).to_arrow_table()
        if state.num_rows:
            tables.append(_beside(steps.slice(number, 1), state))
    empty = row(name, text, key, Scope(position=0), run).to_arrow_table()
    return pa.concat_tables(tables) if tables else _beside(steps.slice(0, 0), empty.slice(0, 0))


def _beside(step: pa.Table, state: pa.Table) -> pa.Table:
    """Return a step with the state after it, whose columns are named apart from the event's."""
    taken = {*histories.EVENT, "valid_to"}
    for name in state.column_names:
        step = step.append_column(f"state_{name}" if name.lower() in taken else name, state[name])
    return step


def _conditions(name: str, text: str, key: object) -> tuple[str, str, dict[str, Any]]:
    """Return the conditions of one key over the state's columns and over events, and the values to bind."""
    keys = grouped(text)
    values = key if isinstance(key, tuple) else (key,)
    if not keys:
        raise InvalidArgument(f"{name} has no keys that can be told", hint="Use now() or at(), and filter.")
    if len(values) != len(keys):
        raise InvalidArgument(
            f"{name} has {len(keys)} keys, {key!r} is {len(values)}",
            hint=f"Give {', '.join(shown for shown, _ in keys)}.",
        )
    names = [f"$key_{number}" for number in range(len(keys))]
    shown = " and ".join(
        f"{queries.identifier(column)} is not distinct from {value}"
        for (column, _), value in zip(keys, names, strict=True)
    )
    own = " and ".join(f"{sql} is not distinct from {value}" for (_, sql), value in zip(keys, names, strict=True))
    return shown, own, {f"key_{number}": value for number, value in enumerate(values)}
