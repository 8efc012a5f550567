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
    from collections.abc import Collection

Tree = dict[str, Any]

RELATIONS = ("events", "events_effective")
_FIRST, _LAST, _ANY = frozenset({"first", "arbitrary"}), frozenset({"last"}), frozenset({"any_value"})
_LISTS = frozenset({"list", "array_agg", "string_agg", "group_concat", "listagg"})
_UNORDERED = _FIRST | _LAST | _ANY | _LISTS | {"mode"}  # whose result depends on the order of rows
_EXTREMES = frozenset({"arg_max", "arg_min", "max_by", "min_by", "argmax", "argmin", "arg_max_null", "arg_min_null"})
_APPROXIMATE = frozenset({"approx_quantile", "approx_top_k", "approx_count_distinct"})
_MACROS = frozenset({"json_group_array", "json_group_object", "json_group_structure", "variant_group_array"})
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


def split(text: str, columns: Collection[str] = ()) -> Split | str:
    """Return the parts of a SELECT, or the reason why it has none and is run as it is.

    Parameters
    ----------
    columns
        The names of the columns of ``events``, in lower case: where a query may mean a column or an alias, DuckDB takes
        the column.

    Raises
    ------
    QueryError
        If it is not one SELECT over events, or gives another answer each time it runs.
    """
    node = queries.syntax(text)
    _check_deterministic(node)
    if not any(str(table).lower() in RELATIONS for table in _tables(node)):
        raise QueryError("a state is a SELECT over events", hint="Write SELECT … FROM events … GROUP BY ….")
    reason = _whole(node, columns)
    if not reason:
        return _parts(node, columns)
    _check_ordered(node)
    return reason


def reads(text: str) -> set[str]:
    """Return the names, in lower case, of the tables and functions in a SELECT."""
    found = list(queries.walk(queries.syntax(text)))
    return {str(node.get(name)).lower() for node in found for name in ("table_name", "function_name") if node.get(name)}


def grouped(text: str) -> tuple[tuple[str, str], ...]:
    """Return what a SELECT that has no parts is grouped by: output columns, each with its SQL over what it reads.

    Empty if that cannot be told, or is not shown whole.
    """
    node = queries.syntax(text)
    if node["type"] != "SELECT_NODE":
        return ()
    listed = node["select_list"]
    shown = {queries.rendered(item): _name(item) for item in listed if item["class"] != "STAR"}
    keys = [
        queries.rendered(key)
        for key in _keys(node, listed, {item["alias"].lower(): item for item in listed if item["alias"]})
    ]
    return tuple((shown[key], key) for key in keys) if all(key in shown for key in keys) else ()


def is_aggregate(node: Tree) -> bool:
    """Tell whether a node is a call of an aggregate function."""
    return (
        node.get("class") == "FUNCTION"
        and not node.get("is_operator")
        and str(node.get("function_name")).lower() in queries.aggregates()
    )


def column(name: str) -> Tree:
    """Return the tree of a column."""
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "query_location": 0, "column_names": [name]}


def _tables(node: Tree) -> list[str]:
    return [found["table_name"] for found in queries.walk(node) if found.get("type") == "BASE_TABLE"]


def _check_deterministic(node: Tree) -> None:
    """Raise QueryError if the query asks for the time, for chance, or for the session."""
    name = queries.unsteady(node)
    if name is not None:
        raise QueryError(
            f"a state cannot use {name}: it gives another answer each time",
            hint="Use occurred_at, and ask for the moment with at(); or compute it from the state's columns.",
            matches=["occurred_at"],
        )


def _check_ordered(node: Tree) -> None:
    """Raise QueryError if an aggregate of a query that is run as it is depends on the order of rows and does not say it."""
    for found in queries.walk(node):
        name = str(found.get("function_name")).lower()
        if found.get("class") == "FUNCTION" and name in _MACROS:
            raise QueryError(
                f"{name} has no order", hint="Write to_json(list(… ORDER BY position)), or list(…) and shape it later."
            )
        if is_aggregate(found) and name in _UNORDERED and not found["order_bys"]["orders"]:
            written = queries.rendered(found)
            order = queries.rendered(_argument(found)) if found["distinct"] else _PLACE
            raise QueryError(f"{written} has no order", hint=f"Write {name}(… ORDER BY {order}).")


def _whole(node: Tree, columns: Collection[str]) -> str:  # noqa: C901, PLR0911, PLR0912 - one line a reason
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
    if table.get("column_name_alias"):
        return "it gives the columns of events other names"
    for name, said in (("modifiers", "ORDER BY, LIMIT or DISTINCT"), ("qualify", "QUALIFY")):
        if node.get(name):
            return f"it has {said}"
    if len(node["group_sets"]) > 1:
        return "it has several grouping sets"
    kinds = {"SUBQUERY": "a subquery", "WINDOW": "a window function", "STAR": "a star"}
    listed = node["select_list"]
    own = _source_name(node).lower()
    names = {item["alias"].lower() for item in listed if item["alias"]} | {name.lower() for name in columns}
    for found in queries.walk([listed, node["where_clause"], node["having"], node["group_expressions"]]):
        name = str(found.get("function_name")).lower()
        if found.get("class") in kinds:
            return f"it has {kinds[found['class']]}"
        if found.get("type") == "GROUPING_FUNCTION":
            return "it has GROUPING()"
        if found.get("class") == "FUNCTION" and (name == "unnest" or name in queries.aggregate_macros()):
            return f"it has {name}, which " + ("makes several rows of one" if name == "unnest" else "is a macro")
        if found.get("class") == "LAMBDA" and any(_single(tree) in names for tree in queries.walk(found["lhs"])):
            return "it has a lambda whose parameter is called like a column"
        if _single(found) == own and own not in columns:
            return f"it takes {own} as a whole"
    if node["group_expressions"] or node["aggregate_handling"] == "FORCE_AGGREGATES" or node["having"]:
        return ""
    return "" if any(is_aggregate(found) for found in queries.walk(listed)) else "it has no aggregate"


def _parts(node: Tree, columns: Collection[str]) -> Split:
    """Return the parts of a query that can be split."""
    listed = node["select_list"]
    aliases = {item["alias"].lower(): item for item in listed if item["alias"]}
    own = "" if (name := _source_name(node).lower()) in columns else name
    hidden = {name: item for name, item in aliases.items() if name not in columns}
    shown = [{**_inlined(item, hidden), "alias": item["alias"]} for item in listed]
    keys = {_form(key, own): key for key in _keys(node, shown, hidden)}
    numbers = {form: number for number, form in enumerate(keys)}
    notes: list[str] = []
    aggregates: list[str] = []

    def inner(tree: Tree) -> Tree | None:
        if is_aggregate(tree):
            text = queries.rendered(_ordered({**copy.deepcopy(tree), "alias": ""}, own, notes))
            if text not in aggregates:
                aggregates.append(text)
            return column(f"a{aggregates.index(text)}")
        number = numbers.get(_form(tree, own))
        return None if number is None else column(f"k{number}")

    outputs = [queries.replaced(item, inner) for item in shown]

    def outer(tree: Tree) -> Tree | None:  # in HAVING a key comes before an alias, and an alias before a column
        made = inner(tree)
        alias = _single(tree)
        return outputs[listed.index(aliases[alias])] if made is None and alias in aliases else made

    having = queries.replaced(_inlined(node["having"], hidden), outer) if node["having"] else None
    where = _inlined(node["where_clause"], hidden) if node["where_clause"] else None
    effective = node["from_table"]["table_name"].lower() == RELATIONS[1]
    return Split(
        relation=node["from_table"]["table_name"].lower(),
        alias=queries.identifier(_source_name(node)),
        keys=tuple(map(queries.rendered, keys.values())),
        aggregates=tuple(aggregates),
        outputs=tuple(map(queries.rendered, outputs)),
        names=tuple(map(_name, listed)),
        where=f"({queries.rendered(where)})" if where else "",
        having=f"({queries.rendered(having)})" if having else "",
        notes=tuple(dict.fromkeys(notes)),
        reason="a compensation takes earlier events out again" if effective else "",
    )


def _source_name(node: Tree) -> str:
    """Return the name under which a query knows what it reads."""
    table = node["from_table"]
    return str(table["alias"] or table["table_name"])


def _single(tree: Tree) -> str | None:
    """Return the name, in lower case, of a column that is named by one word; None of any other expression."""
    names = tree.get("column_names", [])
    return names[0].lower() if tree.get("class") == "COLUMN_REF" and len(names) == 1 else None


def _inlined(tree: Tree, aliases: dict[str, Tree]) -> Tree:
    """Return an expression with what aliases stand for in their place."""

    def meant(found: Tree) -> Tree | None:
        alias = _single(found)
        if alias is None or alias not in aliases or found is tree is aliases[alias]:
            return None
        others = {name: item for name, item in aliases.items() if name != alias}
        return {**_inlined(aliases[alias], others), "alias": ""}

    made: Tree = queries.replaced(tree, meant)
    return made


def _form(tree: object, own: str) -> str:
    """Return an expression in a form that is the same however it is written: case, qualifiers, places in the text."""
    if isinstance(tree, dict):
        if tree.get("class") == "COLUMN_REF":
            names = [name.lower() for name in tree["column_names"]]
            return ".".join(map(repr, names[1:] if own and len(names) > 1 and names[0] == own else names))
        inside = {name: part for name, part in tree.items() if name not in {"alias", "query_location"}}
        return repr({name: _form(part, own) for name, part in inside.items() if name != "query_location_length"})
    return repr([_form(part, own) for part in tree]) if isinstance(tree, list) else repr(tree)


def _keys(node: Tree, shown: list[Tree], aliases: dict[str, Tree]) -> list[Tree]:
    """Return the expressions of GROUP BY, with ordinals, aliases and ALL resolved."""
    if node["aggregate_handling"] == "FORCE_AGGREGATES":  # constants are no keys: of no events there is one row
        return [
            item
            for item in shown
            if not any(map(is_aggregate, queries.walk(item)))
            and any(part.get("class") == "COLUMN_REF" for part in queries.walk(item))
        ]
    return [
        shown[int(key["literal"]["text"]) - 1]
        if key["class"] == "CONSTANT" and key["literal"]["kind"] == "INTEGER"
        else _inlined(key, aliases)
        for key in node["group_expressions"]
    ]


def _name(item: Tree) -> str:
    """Return how DuckDB calls an output column."""
    if item["alias"]:
        return str(item["alias"])
    return str(item["column_names"][-1]) if item["class"] == "COLUMN_REF" else queries.rendered(item)


def _ordered(call: Tree, own: str, notes: list[str]) -> Tree:
    """Return an aggregate in the form in which the order of rows does not matter; say so in ``notes``."""
    name = call["function_name"].lower()
    orders = call["order_bys"]["orders"]
    written = queries.rendered(call)
    if name in _APPROXIMATE:
        notes.append(f"approximate: {written}")
    if name in _FIRST | _LAST | _ANY:
        call["distinct"] = False  # of one value
        placed = len(orders) == 1 and _is_place(orders[0]["expression"], own)
        if not orders or placed:
            if not orders:
                notes.append(f"in order: {written}: {'the first ' if name in _ANY else ''}by position")
            first = (name not in _LAST) != (placed and orders[0]["type"] == "DESCENDING")
            made = ("arg_min" if first else "arg_max") + ("" if name in _ANY else "_null")
            return _called(call, made, [_argument(call), column(_PLACE)])
    if name in _UNORDERED:
        if call["distinct"]:
            if not orders:
                notes.append(f"in order: {written}: by its value")
                call["order_bys"]["orders"] = [_order(_argument(call))]
        elif not any(_is_place(order["expression"], own) for order in orders):
            notes.append(f"in order: {written}: {'ties ' if orders or name == 'mode' else ''}by position")
            call["order_bys"]["orders"] = [*orders, _order(column(_PLACE))]
        return call
    if name in _EXTREMES:
        return _extreme(call, written, own, notes)
    return call


def _order(expression: Tree) -> Tree:
    return {"type": "ORDER_DEFAULT", "null_order": "ORDER_DEFAULT", "expression": expression}


def _extreme(call: Tree, written: str, own: str, notes: list[str]) -> Tree:
    """Return arg_max(x, y) and its kin with ties broken by position: the latest for a maximum, the first for a minimum."""
    by = call["arguments"][1]["expression"]
    if _is_place(by, own):
        return call
    notes.append(f"in order: {written}: ties by position")
    pair, present = queries.syntax("select struct_pack(a := x, b := position), x is not null")["select_list"]
    call["arguments"][1]["expression"] = _put(pair, x=by)
    condition = _put(present, x=by)
    if call["filter"]:
        both = queries.syntax("select 1 where p and q")["where_clause"]
        condition = _put(both, p=call["filter"], q=condition)
    call["filter"] = condition
    return call


def _put(tree: Tree, **slots: Tree) -> Tree:
    """Return a tree in which columns are replaced by the expressions of their names."""
    made: Tree = queries.replaced(tree, lambda found: slots.get(_single(found) or ""))
    return made


def _argument(call: Tree) -> Tree:
    expression: Tree = call["arguments"][0]["expression"]
    return expression


def _is_place(expression: Tree, own: str) -> bool:
    """Tell whether an expression is the position."""
    names = [name.lower() for name in expression.get("column_names", [])]
    return expression.get("class") == "COLUMN_REF" and names in ([_PLACE], [own, _PLACE])


def _called(call: Tree, name: str, arguments: list[Tree]) -> Tree:
    """Return a call of another aggregate over other arguments, with the same filter."""
    made = queries.syntax(f"select {name}({', '.join('x' for _ in arguments)})")["select_list"][0]
    for slot, argument in zip(made["arguments"], arguments, strict=True):
        slot["expression"] = argument
    made["filter"] = call["filter"]
    return dict(made)
