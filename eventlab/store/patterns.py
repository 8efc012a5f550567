"""Which regular expressions DuckDB may judge by: those that RE2 reads as JSON Schema does, or more narrowly."""

from __future__ import annotations

import functools
import re

_ESCAPED = r"\\[.\-/+*?()\[\]{}|^$\\]"
_IN_CLASS = rf"(?:[A-Za-z0-9]-[A-Za-z0-9]|{_ESCAPED}|[^\\\[\]&~\-\x00-\x1f])"
_TOKEN = re.compile(
    rf"""(?P<set>\[\^?-?{_IN_CLASS}+-?\]|\[(?!\^)-?(?:\\[dw]|{_IN_CLASS})+-?\])
    |(?P<open>\((?:\?:)?)|(?P<close>\))
    |(?P<dot>\.)
    |(?P<count>\{{(?P<least>\d{{1,4}})(?:,(?P<most>\d{{0,4}}))?\}}\??)|(?P<repeat>[*+?]\??)
    |(?P<plain>\\[dws]|{_ESCAPED}|[^\\\[\](){{}}.*+?\x00-\x1f])""",
    re.VERBOSE,
)
_LINE_ENDS = r"[^\n\r\x{2028}\x{2029}]"  # what a dot is in JSON Schema; RE2's is all but \n
_MOST = 1000  # repetitions in all, those of groups within groups multiplied: RE2's limit of one
_LONGEST = 500


@functools.lru_cache(maxsize=1024)
def re2(pattern: str) -> str | None:
    r"""Return a pattern as RE2 shall have it, found nowhere where JSON Schema does not find it; None if that is not sure.

    Examples
    --------
    >>> re2("^[A-Z]{3}-.+$")
    '^[A-Z]{3}-[^\\n\\r\\x{2028}\\x{2029}]+$'
    >>> re2("(?=a)b")
    """
    if len(pattern) > _LONGEST:
        return None
    parts: list[str] = []
    inner = [1]  # for each open group, the largest product of counts within it
    last, place = 0, 0  # what a count that comes next multiplies; 0: nothing to repeat
    spent = 0
    while place < len(pattern):
        token = _TOKEN.match(pattern, place)
        if token is None:
            return None
        place = token.end()
        match token.lastgroup:
            case "open":
                inner.append(1)
                last = 0
            case "close":
                if len(inner) == 1:
                    return None
                last = inner.pop()
                inner[-1] = max(inner[-1], last)
            case "count" | "repeat":
                last *= _most(token)
                spent += last
                if last == 0 or spent > _MOST:
                    return None
                inner[-1], last = max(inner[-1], last), 0
            case _:
                last = 0 if token[0] in {"^", "$", "|"} else 1
        parts.append(_LINE_ENDS if token.lastgroup == "dot" else token[0])
    return "".join(parts) if len(inner) == 1 else None


def _most(token: re.Match[str]) -> int:
    """Return how often a quantifier repeats at most, as RE2 counts it."""
    if token["count"] is None:
        return 1
    return max(int(token["least"]), int(token["most"] or 0), 1)
