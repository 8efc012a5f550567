"""Specifications: Vega-Lite charts of a report, made so that they fetch nothing and lead nowhere, and told in words."""

from __future__ import annotations

import math
import re
from typing import Any

_LITERAL = frozenset(
    {"values", "datasets", "value", "parse"}
)  # what is below them is data or names fields: any name is just that
_BREAKING = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
_ESCAPING = re.compile(r"\\(?=\"|$)")
_SUBTITLE = 120  # characters: a longer one is an explanation
_LEADING = frozenset({"url", "href", "baseURL"})  # of data, of images and of links
_DROPPED = frozenset({"usermeta", "$schema"})  # options that may be fetched, and a name of a place


def safe(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a specification that names nothing to be fetched or followed; its rows stay as they are.

    Data at an address are no rows, an image mark draws nothing, a link is none. Numbers that JSON lacks are null. Titles, which
    Vega-Lite puts into expressions as they are, cannot end the text that they stand in there.

    Examples
    --------
    >>> safe({"data": {"url": "http://elsewhere/rows.csv"}, "mark": {"type": "bar", "href": "javascript:alert(1)"}})
    {'data': {'values': []}, 'mark': {'type': 'bar'}}
    """
    cleaned: dict[str, Any] = _safe({key: part for key, part in spec.items() if key not in _DROPPED})
    return cleaned


def _safe(tree: Any) -> Any:  # noqa: ANN401 - a part of a specification
    """Return a part of a specification without what leads out of it."""
    match tree:
        case dict():
            kept = {key: _part(key, part) for key, part in tree.items() if key not in _LEADING}
            if isinstance(tree.get("data"), dict) and "url" in tree["data"]:
                kept["data"] = {"values": []}
            return kept
        case list():
            return [_safe(part) for part in tree]
        case _:
            return _finite(tree)


def _part(key: str, part: Any) -> Any:  # noqa: ANN401 - a part of a specification
    """Return what stands under a key."""
    if key in _LITERAL:
        return _finite(part)
    if key == "title" and isinstance(part, str):
        return _ESCAPING.sub("\\\\\N{WORD JOINER}", _BREAKING.sub(" ", part))
    return _safe(part)


def _finite(tree: Any) -> Any:  # noqa: ANN401 - rows
    """Return rows in which a number that JSON lacks is null."""
    match tree:
        case float():
            return tree if math.isfinite(tree) else None
        case dict():
            return {key: _finite(part) for key, part in tree.items()}
        case list():
            return [_finite(part) for part in tree]
        case _:
            return tree


def described(spec: dict[str, Any]) -> str:
    """Return what a chart shows, for who does not see it: its description, or else its title, and its subtitle if that is short.

    Examples
    --------
    >>> described({"title": {"text": "Delays", "subtitle": ["in minutes", "by hour"]}})
    'Delays: in minutes by hour'
    """
    title = spec.get("title") or ""
    parts = [title.get("text", ""), title.get("subtitle", "")] if isinstance(title, dict) else [title]
    lines = (" ".join(map(str, part)) if isinstance(part, list) else str(part) for part in parts)
    text, *under = [*lines]
    told = ": ".join(part for part in [text, *(more for more in under if len(more) <= _SUBTITLE)] if part)
    return str(spec.get("description") or told or "chart")
