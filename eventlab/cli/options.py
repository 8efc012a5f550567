"""What the commands' arguments and options are, and what is refused before anything is opened."""

# Annotations are read at run time here, by cyclopts: no `from __future__ import annotations`.
import csv
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, Token

from eventlab import moments
from eventlab.errors import EventlabError

_QUOTING = frozenset("([{'")


class UsageError(EventlabError):
    """A command line that means nothing; nothing was opened."""

    code = "wrong_usage"


def folder(_kind: object, tokens: Sequence[Token]) -> Path:
    """Return a folder's path; an empty one is an unset variable of the shell, not the current folder."""
    if not tokens[0].value:
        raise UsageError("the store's path is empty", hint="Give a folder, like data/shop.")
    return Path(tokens[0].value)


def moment(_kind: object, tokens: Sequence[Token]) -> int | str:
    """Return a position, or the text of a time or a basis token that can be read."""
    text = tokens[0].value.strip()
    if text.isascii() and text.isdecimal():
        return int(text)
    if moments.basis(text) is None:
        moments.instant(text, dt.UTC)  # the log reads it again, in its own zone
    return text


def zone(_kind: object, tokens: Sequence[Token]) -> str:
    """Return the name of a time zone that exists."""
    moments.zone(tokens[0].value)
    return tokens[0].value


def at_least(least: int) -> Any:  # noqa: ANN401 - cyclopts' own
    """Return a check that a number is not below ``least``."""

    def check(_kind: object, value: int | None) -> None:
        if value is not None and value < least:
            message = f"{value} is below {least}"
            raise ValueError(message)

    return check


Store = Annotated[Path, Parameter(name="DIR", converter=folder, help="The store's folder.")]
AsJson = Annotated[bool, Parameter(name="--json", help="Print a JSON object.")]
Expression = Annotated[str | None, Parameter(help="SQL over the source's columns.")]
Format = Annotated[Literal["cloudevents"] | None, Parameter(help="What the source is, if it says all of this itself.")]
Zone = Annotated[str | None, Parameter(converter=zone, help="The log's own time zone, like Europe/Vienna (UTC).")]
At = Annotated[int | str | None, Parameter(converter=moment, help="As of this time, position or basis: valid time.")]
KnownAt = Annotated[
    int | str | None, Parameter(converter=moment, help="As known at this time or position: system time.")
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Output:
    """How rows are printed: a table, or one of the formats for other programs."""

    json: Annotated[bool, Parameter(help="Print a JSON array of objects.")] = False
    csv: Annotated[bool, Parameter(help="Print CSV.")] = False
    parquet: Annotated[Path | None, Parameter(name="--parquet", help="Write a Parquet file.")] = None
    limit: Annotated[
        int | None, Parameter(validator=at_least(1), help="At most so many rows (a table: 40, the others: all).")
    ] = None
    all: Annotated[bool, Parameter(help="Every row, in a table too.")] = False

    def checked(self) -> "Output":
        """Return it.

        Raises
        ------
        UsageError
            If it asks for two things that exclude each other.
        """
        one(json=self.json, csv=self.csv, parquet=self.parquet is not None)
        one(limit=self.limit is not None, all=self.all)
        return self


TABLE = Output()


def one(**given: bool) -> None:
    """Refuse options that exclude each other."""
    named = [f"--{name}" for name, present in given.items() if present]
    if len(named) > 1:
        message = f"{' and '.join(named)} exclude each other"
        raise UsageError(message, hint="Give one of them.")


def parameters(given: Sequence[str]) -> dict[str, str]:
    """Return ``name=value`` options as the values of a query's ``$name``.

    Every value is text; where the query compares it with a number or a time, DuckDB reads it as one.

    Examples
    --------
    >>> parameters(["s=order-1", "after=10", "note=a=b"])
    {'s': 'order-1', 'after': '10', 'note': 'a=b'}
    """
    values: dict[str, str] = {}
    for option in given:
        name, equals, value = option.partition("=")
        name = name.removeprefix("$")
        if not equals or not name.isidentifier():
            message = f"--param {option!r} is not of the form name=value"
            raise UsageError(message, hint="Write --param s=order-1 for $s in the query.")
        if name in values:
            message = f"--param {name} is given twice"
            raise UsageError(message, hint="Give each parameter one value.")
        values[name] = value
    return values


def listed(given: Sequence[str]) -> list[str] | None:
    """Return the names of repeated, comma-separated options; None if there is none.

    Examples
    --------
    >>> listed(["OrderPlaced,ItemAdded", '"a, b"'])
    ['OrderPlaced', 'ItemAdded', 'a, b']
    """
    return [name for line in csv.reader(given) for name in line if name] or None


def mapping(text: str | None) -> str | list[str] | None:
    """Return ``--payload`` as the library takes it: a list of columns if it is one, else an expression.

    Examples
    --------
    >>> mapping("customer, amount"), mapping("body"), mapping("{'a': x, 'b': y}")
    (['customer', 'amount'], 'body', "{'a': x, 'b': y}")
    """
    if text is None or "," not in text or _QUOTING & set(text):
        return text
    columns = [name for line in csv.reader([text], skipinitialspace=True) for name in map(str.strip, line)]
    return [name for name in columns if name]
