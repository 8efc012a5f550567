"""Settings: the tables of a TOML file, read key by key; every error says the file, the table, the key and the fix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from eventlab import moments
from eventlab.errors import InvalidArgument, unknown

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Mapping

_Read = TypeVar("_Read")
_LINE = 200  # characters of a name that people read
_WORDS = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}


class Key(NamedTuple):
    """What a key may have: how its value is read, and an example as it stands in the file."""

    read: Callable[[Any], Any]
    example: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a file; ``place`` says which: ``reports.toml, [[report]] "daily"``."""

    place: str
    values: Mapping[str, Any]

    def read(self, keys: Mapping[str, Key], *, needed: Iterable[str] = ()) -> dict[str, Any]:
        """Return the values of the keys that are there, read.

        Raises
        ------
        InvalidArgument
            If a key is not known, a value is not of its form, or one that is needed is not there.
        """
        for key in self.values:
            if key not in keys:
                message, hint, _ = unknown("key", key, keys)
                raise self.wrong(message, hint)
        for key in needed:
            if key not in self.values:
                raise self.wrong(f"{key} is missing", f"Write {key} = {keys[key].example}.")
        return {key: self.value(key, keys[key]) for key in self.values}

    def value(self, name: str, key: Key) -> Any:  # noqa: ANN401 - as it is read
        """Return the value of a key, read."""
        try:
            return key.read(self.values[name])
        except InvalidArgument as error:
            message = f"{self.place}, {name}: {error.message}"
            raise InvalidArgument(message, hint=error.hint or f"Write {name} = {key.example}.") from None

    def inner(self, name: str, values: object) -> Table:
        """Return a table in this one."""
        place = f"{self.place}, {name}"
        try:
            return Table(place, table(values))
        except InvalidArgument as error:
            raise InvalidArgument(f"{place}: {error.message}", hint=error.hint) from None

    def wrong(self, message: str, hint: str, *, key: str = "") -> InvalidArgument:
        """Return the error of a table, or of one of its keys."""
        return InvalidArgument(f"{self.place}{f', {key}' if key else ''}: {message}", hint=hint)


def text(value: object) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str):
        raise _not("text", value)
    if not value.strip():
        raise InvalidArgument("is empty")
    return value


def line(value: object) -> str:
    """Return a text that is one line and not too long, as a name is that people read."""
    given = text(value)
    if not given.isprintable() or len(given) > _LINE:
        raise InvalidArgument(f"{given[:_LINE]!r} is not one line of at most {_LINE} characters")
    return given


def flag(value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise _not("true or false", value)
    return value


def whole(least: int, most: int) -> Callable[[object], int]:
    """Return what reads a whole number of a range, both inclusive."""

    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise _not("a whole number", value)
        if not least <= value <= most:
            raise InvalidArgument(f"{value} is not from {least} to {most}")
        return value

    return read


def choice(*known: str) -> Callable[[object], str]:
    """Return what reads one of several texts."""

    def read(value: object) -> str:
        given = text(value)
        if given not in known:
            _, _, matches = unknown("choice", given, known)
            guess = f" Did you mean {matches[0]!r}?" if matches else ""
            listed = ", ".join(map('"{}"'.format, known))
            raise InvalidArgument(f"{given!r} is not known.{guess}", hint=f"Choose of: {listed}.")
        return given

    return read


def several(read: Callable[[object], _Read], *, least: int = 0) -> Callable[[object], list[_Read]]:
    """Return what reads a list without repetitions."""

    def read_all(value: object) -> list[_Read]:
        if isinstance(value, str):
            raise InvalidArgument(f"{value!r} is text, not a list", hint=f'Write it in brackets: ["{value}"].')
        if not isinstance(value, list):
            raise _not("a list", value)
        found = [read(one) for one in value]
        if len(found) < least:
            raise InvalidArgument("is empty")
        twice = [one for place, one in enumerate(found) if one in found[:place]]
        if twice:
            raise InvalidArgument(f"{twice[0]!r} is there twice", hint="Leave one out.")
        return found

    return read_all


def length(value: object) -> dt.timedelta:
    """Return a duration."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise InvalidArgument(
            f"{value} has no unit", hint=f'Write a number and a unit: "{value}m", "{value}h", "{value}d".'
        )
    return moments.duration(text(value))


def table(value: object) -> dict[str, Any]:
    """Return a table."""
    if not isinstance(value, dict):
        raise _not("a table", value, hint="Begin it with one bracket, like [defaults] or [delivery.mail].")
    return value


def tables(value: object) -> list[dict[str, Any]]:
    """Return a list of tables."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InvalidArgument(
            f"is {told(value)}, not a list of tables", hint="Begin each with two brackets, like [[report]]."
        )
    return value


def told(value: object) -> str:
    """Return what a value of TOML is, in words."""
    return next((word for kind, word in _WORDS.items() if isinstance(value, kind)), "a date or time")


def _not(what: str, value: object, hint: str = "") -> InvalidArgument:
    shown = "" if isinstance(value, (list, dict)) else f"{str(value).lower() if isinstance(value, bool) else value!s} "
    return InvalidArgument(f"{shown}is {told(value)}, not {what}", hint=hint)
