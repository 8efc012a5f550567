"""Whether a payload keeps its contract: the verdicts are jsonschema-rs's, the paths and the meaning of formats ours.

A contract is a JSON Schema 2020-12 document in normal form. A format that a typed column has (``date``, ``date-time``,
``uuid``) means what the column's check means; others are what jsonschema-rs takes them for.
"""

from __future__ import annotations

import functools
import heapq
import json
from typing import TYPE_CHECKING, Any

from jsonschema_rs import Draft202012Validator

from eventlab import events
from eventlab.schemas import checks, properties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from jsonschema_rs import ValidationError

    from eventlab.schemas.checks import Check
    from eventlab.schemas.registry import Definition

FORMATS = {name: kind.kind for name, kind in properties.FORMATS.items()}  # the columns that formats mean
_SAME = frozenset({"uuid"})
_NAMED = 3  # misfits that a reason tells
_LONGEST = 160  # characters that a rule's part of a reason has
_MASK = "\0"  # stands for the value in jsonschema-rs's words; a contract's own texts come there as JSON, without it
_BRANCHES = frozenset({"anyOf", "oneOf"})


def validator(contract: dict[str, Any]) -> Check:
    """Return the check that a payload keeps a contract.

    The check takes decoded JSON, in which a number may be a Decimal, and compares numbers exactly. Its reason is one line
    that names up to three places with their rules, in the order of their paths. Nothing is ever fetched.

    Examples
    --------
    >>> check = validator({"properties": {"qty": {"type": "integer", "minimum": 1}}, "required": ["sku"]})
    >>> check({"sku": "a", "qty": 2})
    >>> check({"qty": 0})
    'qty: 0 is less than the minimum of 1 (minimum); sku is missing (required)'
    """
    compiled = _draft(contract)

    def fits(value: object) -> str | None:
        return None if compiled.is_valid(value) else _told(compiled.iter_errors(value))

    return fits


def keeps(schema: object, value: object) -> bool:
    """Tell whether a value keeps a schema."""
    return schema is True or _compiled(json.dumps(schema)).is_valid(value)


@functools.lru_cache(maxsize=1024)
def _compiled(text: str) -> Draft202012Validator:
    """Return the validator of a schema that is given as JSON."""
    return _draft(json.loads(text))


def _draft(schema: Any) -> Draft202012Validator:  # noqa: ANN401 - JSON
    """Return the validator of a schema."""
    return Draft202012Validator(schema, formats=_formats(), validate_formats=True, mask=_MASK, offline=True)


def reason(definition: Definition, values: Mapping[str, Any], text: str) -> str | None:
    """Return why an event does not fit a definition; None if it does.

    The cheapest is looked at first: fields that are missing, then types, then what the contract says beyond them.

    Parameters
    ----------
    values
        The payload, as it was given.
    text
        The same payload, as it is recorded.
    """
    for name in definition.required:
        if values.get(name) is None:
            return f"{name} is missing"
    found = definition.fits(values)
    if found is None and (kept := definition.validator) is not None:
        return kept(events.decoded(text))
    return found


def _formats() -> dict[str, Callable[[str], bool]]:
    """Return the formats that columns have, each as a test of a text, but for those that jsonschema-rs has just so."""
    kinds = {name: kind for name, kind in properties.FORMATS.items() if name not in _SAME}
    return {name: _test(checks.check(kind, closed=False)) for name, kind in kinds.items()}


def _test(fits: Check) -> Callable[[str], bool]:
    """Return a check as a test."""
    return lambda value: fits(value) is None


def _told(errors: Iterable[ValidationError]) -> str:
    """Return up to three misfits in one line."""
    found = {line for error in errors for line in _lines(error)}
    first = [line for _, line in heapq.nsmallest(_NAMED, found)]
    more = f"; and {len(found) - len(first)} more" if len(found) > len(first) else ""
    return "; ".join(first) + more


def _lines(error: ValidationError) -> list[tuple[str, str]]:
    """Return what is wrong as pairs of a path and a line; of alternatives that of the only one whose type fits."""
    if error.kind.name in _BRANCHES and (branch := _branch(error)) is not None:
        return [line for inner in branch for line in _lines(inner)]
    path = _path(error.instance_path)
    rule = error.kind.name
    if rule == "required":
        name = _path([*error.instance_path, error.kind.as_dict()["property"]])
        return [(name, f"{name} is missing (required)")]
    if rule == "additionalProperties":
        names = (_path([*error.instance_path, name]) for name in error.kind.as_dict()["unexpected"])
        return [(name, f"{name} is not in the contract (additionalProperties)") for name in names]
    words = error.message.replace(_MASK, _shown(error.instance))
    words = words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
    return [(path, f"{path}: {words} ({rule})" if path else f"{words} ({rule})")]


def _branch(error: ValidationError) -> list[ValidationError] | None:
    """Return the misfits of the only alternative whose type fits; None if there are several, or none."""
    fitting = [
        branch
        for branch in error.kind.as_dict()["context"]
        if not any(inner.kind.name == "type" and inner.instance_path == error.instance_path for inner in branch)
    ]
    return fitting[0] if len(fitting) == 1 and fitting[0] else None


def _path(steps: Iterable[str | int]) -> str:
    """Return a place in a payload as a person writes it.

    Examples
    --------
    >>> _path(["lines", 0, "qty"])
    'lines[0].qty'
    """
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _shown(value: object) -> str:
    """Return a value as a reason shows it: short, with JSON's words for null, true and false."""
    return json.dumps(value) if value is None or isinstance(value, bool) else checks.shown(value)
