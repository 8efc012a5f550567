"""Figures: the numbers that a report declares with ``el.figure``, by which it is verified, restated and watched."""

from __future__ import annotations

import contextlib
import contextvars
import datetime as dt
import math
import numbers
import sys
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Value = int | float | Decimal | str | bool | dt.date | dt.datetime | None

MIME = "application/vnd.eventlab.figure+json"
_KINDS: dict[str, type] = {
    "none": type(None),
    "bool": bool,
    "int": int,
    "float": float,
    "decimal": Decimal,
    "datetime": dt.datetime,
    "date": dt.date,
    "text": str,
}
_SAME = 1e-9  # sums of doubles differ in their last digits by the order in which they are added
_MOST = 1_000  # characters of a figure that is text
_collected: contextvars.ContextVar[list[Figure] | None] = contextvars.ContextVar("eventlab_figures", default=None)
_of_kernel: list[list[Figure]] = []  # in a kernel that runs a report, whose cells have a context each


@dataclass(frozen=True, slots=True)
class Figure:
    """A declared number of a report.

    Attributes
    ----------
    name
        A Python identifier, as conditions of alerts have it: ``cancelled > 300``.
    value
        An int, float, Decimal, bool, text, date, aware datetime, or None.
    label
        What a reader sees; the name with blanks for underscores if it is left out.
    unit
        Of the value, shown after it: ``"min"``, ``"%"``.
    """

    name: str
    value: Value
    label: str = ""
    unit: str = ""

    @property
    def shown(self) -> str:
        """The value for a person, with its unit: digits grouped by thousands."""
        match self.value:
            case None:
                return "\N{EN DASH}"
            case bool():
                text = "yes" if self.value else "no"
            case int() | Decimal():
                text = f"{self.value:,}"
            case float():
                text = f"{self.value:,.2f}".rstrip("0").rstrip(".") if abs(self.value) < 1e15 else f"{self.value:.4g}"  # noqa: PLR2004 - beyond it digits say little
            case dt.datetime():
                text = self.value.isoformat(" ", "seconds")
            case _:
                text = str(self.value)
        gap = "" if self.unit in {"", "%"} else "\N{NO-BREAK SPACE}"
        return text if self.value is None else f"{text}{gap}{self.unit}"

    @property
    def title(self) -> str:
        """What a reader sees as its name."""
        return self.label or self.name.replace("_", " ").capitalize()

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can have it; ``figure_of`` reads it again, to the same value and type."""
        kind, value = _kind(self.value)
        return {"name": self.name, "kind": kind, "value": value, "label": self.label, "unit": self.unit}

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:  # noqa: ANN401 - IPython's
        return {MIME: self.plain(), "text/plain": f"{self.title}: {self.shown}"}


@dataclass(frozen=True, slots=True)
class Change:
    """A figure that differs between two makings of a report: None on the side where it is not declared."""

    name: str
    before: Figure | None
    after: Figure | None

    @property
    def difference(self) -> int | float | Decimal | None:
        """After less before, where both are numbers of one kind."""
        old, new = (figure.value if figure is not None else None for figure in (self.before, self.after))
        if isinstance(old, bool) or isinstance(new, bool):
            return None
        if isinstance(old, (int, float)) and isinstance(new, (int, float)):
            return new - old
        if isinstance(old, (int, Decimal)) and isinstance(new, (int, Decimal)):
            return Decimal(new) - Decimal(old)
        return None

    @property
    def told(self) -> str:
        """The change in one line: ``cancelled: 472 -> 475 (+3)``."""
        old, new = ("absent" if figure is None else figure.shown for figure in (self.before, self.after))
        by = self.difference
        return f"{self.name}: {old} -> {new}" + (f" ({by:+,})" if by is not None else "")

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can have it."""
        return {
            "name": self.name,
            "before": None if self.before is None else self.before.plain(),
            "after": None if self.after is None else self.after.plain(),
        }


def figure(name: str, value: object, *, label: str = "", unit: str = "") -> Figure:
    """Declare a figure of a report, and return it; in a notebook it is shown.

    Parameters
    ----------
    name
        A Python identifier, once a report: conditions of alerts have it as a variable.
    value
        A number, bool, text, date, aware datetime, or None. Numbers of NumPy and Polars become Python's.
    label
        What a reader sees; else the name.
    unit
        Shown after the value.

    Raises
    ------
    InvalidArgument
        If the name is no identifier or is declared already in this report, or the value is none of these.

    Examples
    --------
    >>> figure("cancelled", 472).shown, figure("delay", 12.5, unit="min").title
    ('472', 'Delay')
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise InvalidArgument(f"a figure cannot be named {name!r}", hint='Give an identifier, like "cancelled".')
    made = Figure(name, _value(name, value), str(label), str(unit))
    collected = _collected.get()
    for known in [collected] if collected is not None else _of_kernel:
        if any(other.name == name for other in known):
            raise InvalidArgument(f"the figure {name!r} is declared twice", hint="Give each figure its own name.")
        known.append(made)
    if collected is None:
        _show(made)
    return made


def figure_of(plain: dict[str, Any]) -> Figure:
    """Return the figure that ``Figure.plain`` made."""
    kind, value = plain["kind"], plain["value"]
    match kind:
        case "decimal":
            value = Decimal(value)
        case "float":
            value = float(value)
        case "date":
            value = dt.date.fromisoformat(value)
        case "datetime":
            value = dt.datetime.fromisoformat(value)
    return Figure(plain["name"], value, plain.get("label", ""), plain.get("unit", ""))


@contextlib.contextmanager
def collecting() -> Iterator[list[Figure]]:
    """Yield the list to which the figures that are declared in the block are added, in order."""
    found: list[Figure] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def collect_from_here() -> None:
    """Note the figures that this process declares from now on, and show each: in a kernel that runs a report."""
    _of_kernel[:] = [[]]


def changes(before: Sequence[Figure], after: Sequence[Figure]) -> list[Change]:
    """Return the figures that differ, in the order of ``before``, then the new ones.

    Doubles are equal if they differ by less than a billionth: the order in which they are summed is not promised.

    Examples
    --------
    >>> [change.told for change in changes([Figure("n", 1), Figure("m", 2)], [Figure("n", 3), Figure("m", 2)])]
    ['n: 1 -> 3 (+2)']
    """
    old, new = ({one.name: one for one in several} for several in (before, after))
    return [
        Change(name, old.get(name), new.get(name))
        for name in dict.fromkeys([*old, *new])
        if name not in old or name not in new or not _same(old[name].value, new[name].value)
    ]


def _same(old: Value, new: Value) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=_SAME, abs_tol=1e-12) or (math.isnan(old) and math.isnan(new))
    if isinstance(old, bool) != isinstance(new, bool):
        return False
    return old == new


def _value(name: str, value: object) -> Value:
    """Return a value as one of the types that a figure has."""
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        try:
            value = value.item()
        except ValueError:
            raise InvalidArgument(
                f"the figure {name!r} is {type(value).__name__} of several values", hint="Give one of them."
            ) from None
    match value:
        case None | bool() | Decimal():
            return value
        case str() if len(value) <= _MOST:
            return value
        case dt.datetime():
            if value.tzinfo is None:
                raise InvalidArgument(f"the figure {name!r} is a time without a zone", hint="Give an aware datetime.")
            return value
        case dt.date():
            return value
        case numbers.Integral():
            return int(value)
        case numbers.Real():
            return float(value)
    raise InvalidArgument(
        f"the figure {name!r} is {type(value).__name__}, which is no figure",
        hint=f"Give a number, a bool, text of at most {_MOST:,} characters, a date, an aware datetime or None.",
    )


def _kind(value: Value) -> tuple[str, Any]:
    """Return the name of a value's type, and the value as JSON can have it."""
    kind = next(
        name for name, types in _KINDS.items() if isinstance(value, types)
    )  # a bool is an int too, a datetime a date
    match value:
        case float():
            return kind, value if math.isfinite(value) else str(value)
        case Decimal():
            return kind, str(value)
        case dt.date():
            return kind, value.isoformat()
    return kind, value


def read(text: str, like: Value) -> Value:
    """Return a text as a value of the type that another one has.

    Raises
    ------
    InvalidArgument
        If it is none.
    """
    kind, _ = _kind(like)
    readers: dict[str, Any] = {
        "bool": lambda: {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()],
        "int": lambda: int(text),
        "float": lambda: float(text),
        "decimal": lambda: Decimal(text),
        "datetime": lambda: dt.datetime.fromisoformat(text),
        "date": lambda: dt.date.fromisoformat(text),
    }
    try:
        value: Value = readers[kind]() if kind in readers else text
    except (ValueError, KeyError, InvalidOperation):
        raise InvalidArgument(f"{text!r} is no {type(like).__name__}", hint=f"Give a value like {like!r}.") from None
    return value


def _show(made: Figure) -> None:
    """Show a figure where somebody looks: in IPython."""
    shell = sys.modules.get("IPython")
    if shell is not None and shell.get_ipython() is not None:
        from IPython.display import display  # noqa: PLC0415 - loaded already

        display(made)  # type: ignore[no-untyped-call]
