"""The steps of a funnel: which events they are, which events end an attempt, and what all of them must share.

A condition of a step names the fields of its event type as they are, ``qty > 1``; here it becomes SQL over ``events``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab import moments, queries
from eventlab.errors import InvalidArgument, QueryError, unknown
from eventlab.events import COLUMNS
from eventlab.states.splits import column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.analytics.questions import Question
    from eventlab.moments import Duration
    from eventlab.schemas import EventType
    from eventlab.states.splits import Tree

MOST = 60
"""How many steps a funnel can have."""
ENVELOPE = frozenset({*COLUMNS, "category"})
"""The columns that all events have."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a funnel. Made by ``el.step``."""

    event: str
    where: str | None = None
    within_previous: Duration | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Exclusion:
    """The events that end an attempt. Made by ``el.exclude``."""

    event: str
    where: str | None = None
    between: tuple[int, int] | None = None


Steps = Iterable[str | Step]
Exclusions = str | Exclusion | Iterable[str | Exclusion]


def step(
    event: str, *, where: str | None = None, within_previous: Duration | None = None, optional: bool = False
) -> Step:
    """Return a step of a funnel that is more than the name of an event type.

    Parameters
    ----------
    event
        The event type.
    where
        Which of its events: SQL over its fields by their own names, and over the columns of ``events``. A field that is named
        like such a column is ``payload_<field>``, as in the type's view.
    within_previous
        How long after the step before it may come, inclusive; where that step has come several times, after any of them that
        counts. Without it the funnel's ``within`` alone decides.
    optional
        Whether the steps after it can be reached without it. Its own row counts those who did pass it.

    Raises
    ------
    InvalidArgument
        If something is not of its form.

    Examples
    --------
    >>> step("cart", where="qty > 1", within_previous="10m")
    Step(event='cart', where='qty > 1', within_previous='10m', optional=False)
    """
    _check_event(event, "a step")
    _check_where(where, event)
    if within_previous is not None:
        moments.duration(within_previous)
    if not isinstance(optional, bool):
        raise InvalidArgument(f"optional is {optional!r}", hint="Say optional=True or optional=False.")
    return Step(event, where, within_previous, optional)


def exclude(event: str, *, between: tuple[int, int] | None = None, where: str | None = None) -> Exclusion:
    """Return the events that end an attempt: what it has reached by then counts, and it goes no further.

    Parameters
    ----------
    event
        The event type; it is none of the steps.
    between
        From which step on and before which one, by their numbers from 1: ``(1, 3)`` ends the attempts that have reached step
        1 or 2 and not step 3. By default all that are under way.
    where
        Which of its events, as in ``el.step``.

    Raises
    ------
    InvalidArgument
        If something is not of its form.

    Examples
    --------
    >>> exclude("refund", between=(1, 3))
    Exclusion(event='refund', where=None, between=(1, 3))
    """
    _check_event(event, "an exclusion")
    _check_where(where, event)
    if between is not None:
        match between:
            case [int(first), int(last)] if 1 <= first < last:
                between = (first, last)
            case _:
                raise InvalidArgument(
                    f"between is {between!r}", hint="Give the numbers of two steps, the first from 1: between=(1, 3)."
                )
    return Exclusion(event, where, between)


@dataclass(frozen=True, slots=True)
class Stage:
    """A step as SQL: ``condition`` is over ``events``, ``within_previous`` in microseconds; ``where`` as it was written."""

    event: str
    condition: str
    where: str | None = None
    within_previous: int | None = None
    optional: bool = False
    told: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """An exclusion as SQL: it ends the attempts that have reached a step from ``first`` to before ``last``."""

    event: str
    condition: str
    first: int
    last: int
    told: str = ""


def stages(question: Question, given: Steps) -> list[Stage]:
    """Return the steps of a funnel, checked.

    Raises
    ------
    InvalidArgument, QueryError
        If there are none or too many, one is not of its form, or names what does not exist (with near matches).
    """
    if isinstance(given, str | Step) or not isinstance(given, Iterable):
        raise InvalidArgument(f"steps are {given!r}", hint='Give a list of event types: ["catalog", "cart"].')
    listed = [step(one) if isinstance(one, str) else one for one in given]
    if not 1 <= len(listed) <= MOST:
        raise InvalidArgument(f"a funnel of {len(listed)} steps", hint=f"Give 1 to {MOST} event types.")
    for one in listed:
        if not isinstance(one, Step):
            raise InvalidArgument(
                f"{one!r} is no step", hint='Give an event type, or el.step("cart", where="qty > 1").'
            )
    if listed[0].optional or listed[0].within_previous is not None:
        what = "optional" if listed[0].optional else "within the previous step's time"
        raise InvalidArgument(f"the first step cannot be {what}", hint="It is the entry: the steps after it can be so.")
    return [
        Stage(
            one.event,
            _condition(question, one.event, one.where, "step"),
            one.where,
            None if one.within_previous is None else moments.duration(one.within_previous) // moments.MICROSECOND,
            one.optional,
            _told(one.event, one.where),
        )
        for one in listed
    ]


def stops(question: Question, given: Exclusions | None, among: Sequence[Stage]) -> list[Stop]:
    """Return the exclusions of a funnel with the steps ``among``, checked.

    Raises
    ------
    InvalidArgument, QueryError
        If one is not of its form, is a step, or names what does not exist.
    """
    listed = [] if given is None else [given] if isinstance(given, str | Exclusion) else given
    if not isinstance(listed, Iterable):
        raise InvalidArgument(f"exclude is {given!r}", hint='Give el.exclude("refund", between=(1, 3)).')
    made = []
    for item in listed:
        one = exclude(item) if isinstance(item, str) else item
        if not isinstance(one, Exclusion):
            raise InvalidArgument(f"{one!r} is no exclusion", hint='Give el.exclude("refund", between=(1, 3)).')
        first, last = one.between or (1, len(among))
        if last > len(among):
            raise InvalidArgument(
                f"exclude {one.event!r} between steps {first} and {last}", hint=f"The funnel has {len(among)} steps."
            )
        if one.event in {stage.event for stage in among}:
            raise InvalidArgument(
                f"{one.event!r} is a step and an exclusion", hint="One event cannot be both: give another event type."
            )
        told = f"{_told(one.event, one.where)} between steps {first} and {last}"
        made.append(Stop(one.event, _condition(question, one.event, one.where, "exclusion"), first, last, told))
    return made


def _condition(question: Question, event: str, where: str | None, kind: str) -> str:
    """Return the SQL over ``events`` of the events of a type that are chosen; it never holds where the log has none."""
    what = f"where of {kind} {event!r}"
    known = question.event(event)
    own = f"event_type = {queries.literal(event)}"
    if where is None:
        return own if known else "false"
    tree = _expression(where, what)
    if known is None:
        return "false"
    fields = _names(known)
    chosen = queries.rendered(_qualified(tree, known.name, fields))
    try:
        question.check(chosen, what)
    except QueryError:
        _check_names(question, tree, fields, what)
        raise
    return f"{own} and ({chosen}\n)"


def _expression(where: str, what: str) -> Tree:
    """Return the syntax tree of a condition."""
    try:
        node = queries.syntax(f"select ({where}\n)")
    except QueryError as error:
        raise QueryError(f"{what}: {error.message}", hint=error.hint, place=error.place) from None
    (tree, *more) = node["select_list"]
    if more or node["from_table"]["type"] != "EMPTY":
        raise QueryError(f"{what}: {where!r} is more than an expression", hint='Give a condition, like "qty > 1".')
    checked: Tree = tree
    return checked


def _names(known: EventType) -> dict[str, str]:
    """Return the fields of an event type by the names that they have in its view, in lower case."""
    return {
        f"payload_{name.lower()}" if name.lower() in ENVELOPE else name.lower(): name for name in known.latest.stored
    }


def _qualified(tree: Any, event: str, fields: dict[str, str]) -> Any:  # noqa: ANN401 - a tree, or a part of one
    """Return a syntax tree in which the fields of an event type stand behind its name."""

    def change(node: Tree) -> Tree | None:
        match node["class"]:
            case "COLUMN_REF" if (first := node["column_names"][0]).lower() in fields:
                return {**column(event), "column_names": [event, fields[first.lower()], *node["column_names"][1:]]}
            case "LAMBDA":
                own = {name.lower() for found in queries.walk(node["lhs"]) for name in found.get("column_names", ())}
                inner = {name: field for name, field in fields.items() if name not in own}
                return {**node, "expr": _qualified(node["expr"], event, inner)}
            case "SUBQUERY":  # what it reads has names of its own
                return {**node, "child": _qualified(node["child"], event, fields)} if node.get("child") else node
            case _:
                return None

    return queries.replaced(tree, change)


def _check_names(question: Question, tree: Tree, fields: dict[str, str], what: str) -> None:
    """Raise QueryError if an expression names something that is neither a field nor a column of ``events``."""
    known = {*fields, *ENVELOPE, *(name.lower() for name in question.registry.names)}
    for node in queries.walk(tree):
        name = node["column_names"][0] if node.get("class") == "COLUMN_REF" else None
        if name is not None and name.lower() not in known:
            message, hint, matches = unknown("field", name, fields)
            raise QueryError(f"{what}: {message}", hint=f"{hint} Columns of events can be named, too.", matches=matches)


def _check_event(event: object, what: str) -> None:
    if not isinstance(event, str) or not event:
        raise InvalidArgument(f"{event!r} is no event type of {what}", hint='Give its name, like "OrderPlaced".')


def _check_where(where: object, event: str) -> None:
    if where is not None and (not isinstance(where, str) or not where.strip()):
        raise InvalidArgument(f"where of {event!r} is {where!r}", hint='Give SQL over its fields, like "qty > 1".')


def _told(event: str, where: str | None) -> str:
    return event if where is None else f"{event} where {where}"
