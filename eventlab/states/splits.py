"""One SELECT over events, split into its keys, its aggregates and the expressions around them.

DuckDB's own parser gives the tree. Aggregates whose result would depend on the order of rows are put into a normal form that
does not: ordered by ``position``. The parts are SQL over ``events``, or over columns ``k0 …`` (keys) and ``a0 …`` (aggregates).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Tree = dict[str, Any]

RELATIONS = ("events", "events_effective")
_VOLATILE = frozenset(
    {"now", "today", "random", "setseed", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "nextval", "currval"}
    | {"txid_current", "transaction_timestamp", "get_current_timestamp", "current_localtimestamp", "current_localtime"}
    | {"current_connection_id", "current_query", "current_date", "current_time", "current_timestamp"}
    | {"localtime", "localtimestamp"}
)
_FIRST, _LAST = frozenset({"first", "arbitrary"}), frozenset({"last"})
_LISTS = frozenset({"list", "array_agg", "string_agg", "group_concat", "listagg"})
_EXTREMES = frozenset({"arg_max", "arg_min", "max_by", "min_by", "argmax", "argmin", "arg_max_null", "arg_min_null"})
_PLACE = "position"


@dataclass(frozen=True, slots=True)
class Split:
    """A SELECT in parts.

    Attributes
    ----------
    relation, alias
        What it reads, ``events`` or ``events_effective``, and as what it names it.
    keys, aggregates
        SQL over the source.
    outputs
        SQL over ``k0 …`` and ``a0 …``, one for each name of ``names``.
    where, having
        SQL over the source, and over keys and aggregates; empty if there is none.
    notes
        What was put into order, for a person.
    reason
        Why the state must be folded from the log each time; empty if its aggregates can be merged.
    """

    relation: str
    alias: str
    keys: tuple[str, ...]
    aggregates: tuple[str, ...]
    outputs: tuple[str, ...]
    names: tuple[str, ...]
    where: str
    having: str
    notes: tuple[str, ...] = ()
    reason: str = ""

    @property
    def key_names(self) -> tuple[str, ...]:
        """The output columns that are keys as they are, in the order of the keys; those that are not shown are left out."""
        shown = dict(zip(reversed(self.outputs), reversed(self.names), strict=True))
        return tuple(shown[f"k{number}"] for number in range(len(self.keys)) if f"k{number}" in shown)

    def because(self, reason: str) -> Split:
        """Return the split with a reason why it cannot be merged."""
        return replace(self, reason=reason)


def split(text: str) -> Split | str:
    """Return the parts of a SELECT, or the reason why it has none and is run as it is.

    Raises
    ------
    QueryError
        If it is not one SELECT over events, or gives another answer each time it runs.
    """
    node = queries.syntax(text)
    _check_deterministic(node)
    if not any(str(table).lower() in RELATIONS for table in _tables(node)):
        raise QueryError("a state is a SELECT over events", hint="Write SELECT … FROM events … GROUP BY ….")
    reason = _whole(node)
    return reason or _parts(node)


def walk(tree: object) -> Iterator[Tree]:
    """Yield every node of a syntax tree, the root first."""
    if isinstance(tree, dict):
        yield tree
        for part in tree.values():
            yield from walk(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from walk(part)


def is_aggregate(node: Tree) -> bool:
    """Tell whether a node is a call of an aggregate function."""
    return (
        node.get("class") == "FUNCTION"
        and not node.get("is_operator")
        and str(node.get("function_name")).lower() in queries.aggregates()
    )


def replaced(tree: Any, change: Callable[[Tree], Tree | None]) -> Any:  # noqa: ANN401 - a tree, or what one is made of
    """Return a tree in which ``change`` has replaced nodes, the outermost first; None leaves a node and looks inside."""
    if isinstance(tree, dict):
        new = change(tree) if "class" in tree else None
        return new if new is not None else {name: replaced(part, change) for name, part in tree.items()}
    return [replaced(part, change) for part in tree] if isinstance(tree, list) else tree


def column(name: str) -> Tree:
    """Return the tree of a column."""
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "query_location": 0, "column_names": [name]}


def _tables(node: Tree) -> list[str]:
    return [found["table_name"] for found in walk(node) if found.get("type") == "BASE_TABLE"]


def _check_deterministic(node: Tree) -> None:
    """Raise QueryError if the query asks for the time, for chance, or for the session."""
    for found in walk(node):
        name = found.get("function_name")
        names = found.get("column_names")
        if found.get("class") == "COLUMN_REF" and names and len(names) == 1:
            name = names[0] if names[0].lower().startswith(("current_", "local")) else None
        if name is not None and str(name).lower() in _VOLATILE:
            raise QueryError(
                f"a state cannot use {name}: it gives another answer each time",
                hint="Use occurred_at, and ask for the moment with at(); or compute it from the state's columns.",
                matches=["occurred_at"],
            )


def _whole(node: Tree) -> str:  # noqa: C901, PLR0911 - one line a reason
    """Return why a query cannot be split at all; empty if it can."""
    table = node.get("from_table", {})
    if node["type"] != "SELECT_NODE":
        return "it is made of several SELECTs"
    if node["cte_map"]["map"]:
        return "it has a WITH clause"
    if table.get("type") != "BASE_TABLE":
        return "it reads more than events"
    if table["table_name"].lower() not in RELATIONS:
        return f"it reads {table['table_name']}"
    for name, said in (("modifiers", "ORDER BY, LIMIT or DISTINCT"), ("qualify", "QUALIFY"), ("sample", "a sample")):
        if node.get(name):
            return f"it has {said}"
    if len(node["group_sets"]) > 1:
        return "it has several grouping sets"
    kinds = {"SUBQUERY": "a subquery", "WINDOW": "a window function", "STAR": "a star"}
    for found in walk([node["select_list"], node["where_clause"], node["having"], node["group_expressions"]]):
        if found.get("class") in kinds:
            return f"it has {kinds[found['class']]}"
        if str(found.get("function_name")).lower() == "unnest":
            return "it has unnest, which makes several rows of one"
    if node["group_expressions"] or node["aggregate_handling"] == "FORCE_AGGREGATES" or node["having"]:
        return ""
    return "" if any(is_aggregate(found) for found in walk(node["select_list"])) else "it has no aggregate"


def _parts(node: Tree) -> Split:
    """Return the parts of a query that can be split."""
    listed = node["select_list"]
    aliases = {item["alias"].lower(): item for item in listed if item["alias"]}
    keys = _keys(node, listed, aliases)
    notes: list[str] = []
    aggregates: list[str] = []
    known = {queries.rendered(key): number for number, key in enumerate(keys)}

    def inner(tree: Tree) -> Tree | None:
        if is_aggregate(tree):
            text = queries.rendered(_ordered({**copy.deepcopy(tree), "alias": ""}, notes))
            if text not in aggregates:
                aggregates.append(text)
            return {**column(f"a{aggregates.index(text)}"), "alias": tree["alias"]}
        number = known.get(queries.rendered(tree)) if known else None
        return None if number is None else {**column(f"k{number}"), "alias": tree.get("alias", "")}

    outputs = [replaced(item, inner) for item in listed]
    having = node["having"]
    effective = node["from_table"]["table_name"].lower() == RELATIONS[1]
    if having:

        def outer(tree: Tree) -> Tree | None:
            names = tree.get("column_names", [])
            if tree["class"] == "COLUMN_REF" and len(names) == 1 and names[0].lower() in aliases:
                return outputs[listed.index(aliases[names[0].lower()])]  # type: ignore[no-any-return]
            return inner(tree)

        having = replaced(having, outer)
    return Split(
        relation=node["from_table"]["table_name"].lower(),
        alias=queries.identifier(node["from_table"]["alias"] or node["from_table"]["table_name"]),
        keys=tuple(known),
        aggregates=tuple(aggregates),
        outputs=tuple(queries.rendered(item) for item in outputs),
        names=tuple(_name(item) for item in listed),
        where=queries.rendered(node["where_clause"]) if node["where_clause"] else "",
        having=queries.rendered(having) if having else "",
        notes=tuple(dict.fromkeys(notes)),
        reason="a compensation takes earlier events out again" if effective else "",
    )


def _keys(node: Tree, listed: list[Tree], aliases: dict[str, Tree]) -> list[Tree]:
    """Return the expressions of GROUP BY, with ordinals, aliases and ALL resolved."""
    if node["aggregate_handling"] == "FORCE_AGGREGATES":
        return [item for item in listed if not any(map(is_aggregate, walk(item)))]
    keys = []
    for key in node["group_expressions"]:
        names = key.get("column_names", [])
        if key["class"] == "CONSTANT" and key["literal"]["kind"] == "INTEGER":
            keys.append(listed[int(key["literal"]["text"]) - 1])
        elif key["class"] == "COLUMN_REF" and len(names) == 1 and names[0].lower() in aliases:
            keys.append(aliases[names[0].lower()])
        else:
            keys.append(key)
    return keys


def _name(item: Tree) -> str:
    """Return how DuckDB calls an output column."""
    if item["alias"]:
        return str(item["alias"])
    return str(item["column_names"][-1]) if item["class"] == "COLUMN_REF" else queries.rendered(item)


def _ordered(call: Tree, notes: list[str]) -> Tree:
    """Return an aggregate in the form in which the order of rows does not matter; say so in ``notes``."""
    name = call["function_name"].lower()
    orders = call["order_bys"]["orders"]
    written = queries.rendered(call)
    if name in _FIRST | _LAST and not orders:
        notes.append(f"{written}: by position")
        return _called(call, "arg_min_null" if name in _FIRST else "arg_max_null", [_argument(call), column(_PLACE)])
    if name in _FIRST | _LAST and len(orders) == 1 and _is_place(orders[0]["expression"]):
        first = (name in _FIRST) != (orders[0]["type"] == "DESCENDING")
        return _called(call, "arg_min_null" if first else "arg_max_null", [_argument(call), column(_PLACE)])
    if name == "any_value" and not orders:
        notes.append(f"{written}: the first by position")
        return _called(call, "arg_min", [_argument(call), column(_PLACE)])
    if name in _LISTS | _FIRST | _LAST | {"any_value"} and not call["distinct"]:
        if not any(_is_place(order["expression"]) for order in orders):
            notes.append(f"{written}: {'ties ' if orders else ''}by position")
            order = {"type": "ORDER_DEFAULT", "null_order": "ORDER_DEFAULT", "expression": column(_PLACE)}
            call["order_bys"]["orders"] = [*orders, order]
        return call
    if name in _EXTREMES and len(call["arguments"]) == 2:  # noqa: PLR2004 - x at the extreme of y
        return _extreme(call, written, notes)
    return call


def _extreme(call: Tree, written: str, notes: list[str]) -> Tree:
    """Return arg_max(x, y) and its kin with ties broken by position: the latest for a maximum, the first for a minimum."""
    by = call["arguments"][1]["expression"]
    if _is_place(by):
        return call
    notes.append(f"{written}: ties by position")
    place, value = queries.syntax("select struct_pack(a := 0, b := position), x is not null")["select_list"]
    pair = copy.deepcopy(place)
    pair["arguments"][0]["expression"] = by
    present = replaced(value, lambda tree: by if tree.get("column_names") == ["x"] else None)
    both = queries.syntax("select 1 where p and q")["where_clause"]
    condition = present
    if call["filter"]:
        condition = replaced(
            both, lambda tree: {"p": call["filter"], "q": present}.get((tree.get("column_names") or [""])[0])
        )
    call["arguments"][1]["expression"] = pair
    call["filter"] = condition
    return call


def _argument(call: Tree) -> Tree:
    expression: Tree = call["arguments"][0]["expression"]
    return expression


def _is_place(expression: Tree) -> bool:
    """Tell whether an expression is the position."""
    return expression.get("class") == "COLUMN_REF" and expression["column_names"][-1].lower() == _PLACE


def _called(call: Tree, name: str, arguments: list[Tree]) -> Tree:
    """Return a call of another aggregate over other arguments, with the same filter."""
    made = queries.syntax(f"select {name}({', '.join('x' for _ in arguments)})")["select_list"][0]
    for slot, argument in zip(made["arguments"], arguments, strict=True):
        slot["expression"] = argument
    made["filter"] = call["filter"]
    made["distinct"] = call["distinct"]
    return dict(made)
