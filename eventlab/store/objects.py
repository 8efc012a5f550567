"""JSON objects that DuckDB cannot be trusted with: exact changes and strict verdicts, batch by batch.

DuckDB reads JSON leniently (NaN, commas at the end, a key twice) and writes numbers through a double. What looks
as if that could matter comes here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from eventlab import queries
from eventlab.events import PAYLOAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eventlab.queries import Connection

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_strict = msgspec.json.Decoder().decode


class _FaultError(ValueError):
    """A value that strict JSON does not have."""


def install(connection: Connection, taken: frozenset[str], picked: Sequence[tuple[str, str]]) -> None:
    """Give a connection the functions ``exact_line``, ``exact_object`` and ``json_fault`` of a text.

    ``exact_line`` is the object without the keys ``taken``, or only its keys ``picked`` under their new names;
    ``exact_object`` is the object as it is. They are NULL if the text is no JSON object; numbers are as they were.
    ``json_fault`` is why a text is no JSON object, or NULL.
    """
    line = _picker(picked) if picked else _taker(taken)
    for name, function in (("exact_line", line), ("exact_object", _taker(frozenset())), ("json_fault", fault)):
        queries.function(connection, name, _batched(function))


def _batched(function: Callable[[str], str | None]) -> Callable[[pa.Array], pa.Array]:
    """Return a function of one text as one of a column of them."""

    def batch(texts: pa.Array) -> pa.Array:
        found = [None if text is None else function(text) for text in texts.to_pylist()]
        return pa.array(found, pa.string())

    return batch


def _object(text: str) -> dict[str, msgspec.Raw] | None:
    """Return an object with its values as they are written; None if the text is no JSON object."""
    try:
        _strict(text)
        return _decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _taker(taken: frozenset[str]) -> Callable[[str], str | None]:
    """Return the function that takes keys out of an object."""

    def take(text: str) -> str | None:
        found = _object(text)
        if found is None or found.keys().isdisjoint(taken):
            return None if found is None else text.strip()
        return _written((key, bytes(raw)) for key, raw in found.items() if key not in taken)

    return take


def _picker(picked: Sequence[tuple[str, str]]) -> Callable[[str], str | None]:
    """Return the function that keeps some keys of an object, in the order that is asked for."""

    def pick(text: str) -> str | None:
        found = _object(text)
        if found is None:
            return None
        return _written((name, bytes(found[key]) if key in found else b"null") for name, key in picked)

    return pick


def _written(items: Any) -> str:  # noqa: ANN401 - pairs of a key and its raw value
    """Return an object of raw values as text."""
    return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{raw.decode().strip()}" for key, raw in items) + "}"


def fault(text: str) -> str | None:
    """Return why a text is no JSON object in the strict sense; None if it is one."""
    if len(text) > 2 * PAYLOAD_BYTES:
        return "is too large"
    try:
        found = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
        text.encode()
        _strict(text)
    except _FaultError as error:
        return str(error)
    except json.JSONDecodeError as error:
        return f"is no JSON: {error.msg} at character {error.pos + 1} of {_shown(text)}"
    except (msgspec.DecodeError, UnicodeError) as error:
        return f"is no JSON: {error}"
    except RecursionError:
        return "is nested too deeply"
    return None if isinstance(found, dict) else f"is {_KINDS[type(found)]}, not an object"


_KINDS = {list: "a list", str: "text", int: "a number", float: "a number", bool: "a boolean", type(None): "null"}


def _shown(text: str) -> str:
    """Return a text as an error shows it: short."""
    return repr(text if len(text) <= 60 else text[:57] + "…")  # noqa: PLR2004 - a line's worth


def _constant(name: str) -> object:
    """Return a mark for NaN or an infinity, which ``_pairs`` names with its key."""
    return _Constant(name)


class _Constant(str):
    """What JSON does not have but Python reads."""

    __slots__ = ()


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object of pairs, or raise if a key comes twice or a value is no JSON."""
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            message = f"has the key {key!r} twice"
            raise _FaultError(message)
        marks = value if isinstance(value, list) else [value]
        constant = next((mark for mark in marks if isinstance(mark, _Constant)), None)
        if constant is not None:
            message = f"{key} is {constant}, which JSON does not have"
            raise _FaultError(message)
        found[key] = value
    return found
