"""The events of each actor in order, cleaned as asked: what sessions, paths, process maps and variants are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab import moments, queries
from eventlab.errors import InvalidArgument, unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.analytics.questions import Question

Types = str | Iterable[str]

_ACTS = """
with acts as (
    select ({actor}
    ) as who, {event} as event, position, epoch_us(occurred_at) as moment
    from events
    where {conditions}
)"""
_COLLAPSED = """
with every_act as (
    select ({actor}
    ) as who, {event} as event, position, epoch_us(occurred_at) as moment
    from events
    where {conditions}
),
acts as (  -- of repeats in a row the first
    select * from every_act
    qualify event is distinct from lag(event) over (partition by who order by moment, position)
)"""


@dataclass(frozen=True, slots=True)
class Cleaning:
    """Which events of an actor count, and by what names. Made by ``cleaning``.

    Attributes
    ----------
    kept
        The event types that count; None: all.
    rename
        Names by event type.
    collapse
        Whether repeats of a name in a row are one.
    known
        All names that can occur.
    """

    kept: tuple[str, ...] | None
    rename: Mapping[str, str]
    collapse: bool
    known: frozenset[str]

    def acts(self, question: Question) -> str:
        """Return the CTE ``acts``: ``who, event, position, moment`` (in microseconds) of the events that count."""
        conditions = [f"({question.actor}\n) is not null", *question.conditions(ranged=True)]
        if self.kept is not None:
            conditions.append(f"event_type in ({', '.join(map(queries.literal, self.kept)) or 'null'})")
        whens = " ".join(f"when {queries.literal(a)} then {queries.literal(b)}" for a, b in self.rename.items())
        return queries.fill(
            _COLLAPSED if self.collapse else _ACTS,
            actor=question.actor,
            event=f"case event_type {whens} else event_type end" if whens else "event_type",
            conditions=" and ".join(conditions),
        )

    def check(self, name: object, what: str, question: Question) -> None:
        """Raise InvalidArgument unless a name is one that an event can have."""
        if isinstance(name, str) and (name in self.known or question.empty):
            return
        message, hint, _ = unknown("event", str(name), self.known)
        raise InvalidArgument(f"{what}: {message}", hint=hint)

    def facts(self) -> dict[str, Any]:
        """Return the rules by name."""
        return {
            "only": None if self.kept is None else list(self.kept),
            "rename": dict(self.rename),
            "collapse": self.collapse,
        }

    def told(self) -> str:
        """Return the rules in words, with a blank before them; nothing if there are none."""
        parts = []
        if self.kept is not None:
            parts.append(f"Only these events count: {', '.join(self.kept) or 'none'}.")
        if self.rename:
            parts.append(f"Renamed: {', '.join(f'{a} to {b}' for a, b in self.rename.items())}.")
        if self.collapse:
            parts.append("Repeats of an event in a row count once, at the first.")
        return "".join(f" {part}" for part in parts)


def cleaning(
    question: Question,
    *,
    collapse: bool = False,
    ignore: Types = (),
    only: Types | None = None,
    rename: Mapping[str, str] | None = None,
) -> Cleaning:
    """Return the rules, in the order in which they work: ``only`` and ``ignore`` by type, ``rename``, ``collapse``.

    Raises
    ------
    InvalidArgument
        If a type is unknown in a log that has events (with near matches), or a rule is not of its form.
    """
    ignored, chosen = names(question, "ignore", ignore), None if only is None else names(question, "only", only)
    if chosen == []:
        raise InvalidArgument("only names no event type", hint="Give at least one, or leave it out: all count.")
    if not isinstance(collapse, bool):
        raise InvalidArgument(f"collapse is {collapse!r}", hint="Say collapse=True or collapse=False.")
    renamed = _renames(question, rename or {})
    types = question.registry.names if chosen is None else chosen
    kept = [name for name in types if name not in ignored]
    return Cleaning(
        kept=tuple(kept) if chosen is not None or ignored else None,
        rename={name: new for name, new in renamed.items() if name in kept},
        collapse=collapse,
        known=frozenset(renamed.get(name, name) for name in kept),
    )


def _renames(question: Question, rename: object) -> dict[str, str]:
    """Return the new names, checked."""
    if not isinstance(rename, Mapping):
        raise InvalidArgument(f"rename is {rename!r}", hint='Give the names by event type: {"ItemAdded": "cart"}.')
    for name, new in rename.items():
        question.event(name)
        if not isinstance(new, str) or not new:
            raise InvalidArgument(f"rename of {name!r} is {new!r}", hint="A name is text; several types may share one.")
    return dict(rename)


def names(question: Question, what: str, given: Types) -> list[str]:
    """Return event types that are given as one name or several.

    Raises
    ------
    InvalidArgument
        If it is neither, or one is unknown in a log that has events (with near matches).
    """
    listed = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else None
    if listed is None:
        raise InvalidArgument(f"{what} is {given!r}", hint=f'Give {what} as names of event types: ["OrderPlaced"].')
    for name in listed:
        question.event(name)
    return list(dict.fromkeys(listed))


def asked(question: Question) -> str:
    """Return in words who the actors are and which of their events are looked at."""
    parts = [f"An actor is one {question.actor}."]
    if question.where:
        parts.append(f"Only events where {question.where} count.")
    bounds = [
        f"{word} {moments.moment_of(moment, question.session.store.zone).isoformat(sep=' ')}"
        for word, moment in (("from", question.since), ("to before", question.until))
        if moment is not None
    ]
    return " ".join([*parts, f"Events {' '.join(bounds)}." if bounds else ""]).rstrip()


def whole(what: str, number: object, *, least: int = 1) -> None:
    """Raise InvalidArgument unless an option is a whole number."""
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise InvalidArgument(f"{what} is {number!r}", hint=f"Give {what} as a whole number, {least} or more.")


def thresholds(top: int | None, min_share: float | None) -> list[str]:
    """Return the SQL conditions of a row that is shown: ``place <= top`` and ``share >= min_share``.

    Raises
    ------
    InvalidArgument
        If ``top`` is no whole number above zero, or ``min_share`` not from 0 to 1.
    """
    shown = []
    if top is not None:
        whole("top", top)
        shown.append(f"place <= {top}")
    if min_share is not None:
        if isinstance(min_share, bool) or not isinstance(min_share, int | float) or not 0 <= min_share <= 1:
            raise InvalidArgument(
                f"min_share is {min_share!r}", hint="Give a share from 0 to 1: 0.05 shows what a twentieth does."
            )
        shown.append(f"share >= {float(min_share)!r}")
    return shown


def coverage_of(question: Question, text: str, template: str, shown: Sequence[str]) -> float:
    """Return how much of all the rows show that are not hidden by a threshold; 1 without one."""
    if not shown:
        return 1.0
    ((share,),) = question.rows(text + queries.fill(template, shown=f"where {' and '.join(shown)}"))
    return 1.0 if share is None else float(share)


def hidden(coverage: float, what: str, *, top: int | None, min_share: float | None, each: str = "") -> str:
    """Return in words what the thresholds leave to be seen; nothing without one."""
    told = []
    if top is not None:
        told.append(f"the {top} most frequent{each}")
    if min_share is not None:
        told.append(f"shares from {min_share:.1%} on")
    return f" Shown: {' and '.join(told)}; that is {coverage:.1%} of all {what}." if told else ""


def where(conditions: Sequence[str]) -> str:
    """Return the WHERE clause of conditions; nothing without any."""
    return f"where {' and '.join(conditions)}" if conditions else ""


def check_cell(cell: Mapping[str, object], of: str, columns: Sequence[str]) -> None:
    """Raise InvalidArgument if a cell is named by what is no column that tells cells apart."""
    for name in cell:
        if name not in columns:
            known = ", ".join(f"{column}=…" for column in columns)
            raise InvalidArgument(f"a {of} has no cell by {name!r}", hint=f"Name one by its columns: actors({known}).")
