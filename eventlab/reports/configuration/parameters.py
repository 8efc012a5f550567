"""Parameters: the values of a report's period in the parameters that ``reports.toml`` gives it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from eventlab.errors import InvalidArgument, near

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventlab.reports.calendar.periods import Period

NAMES = ("start", "end", "date", "name")
_SLOT = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_HINT = "There are {{ start }}, {{ end }}, {{ date }} (of the start) and {{ name }} (the report's)."


def filled(parameters: Mapping[str, Any], period: Period, report: str) -> dict[str, Any]:
    """Return parameters with the values of a run's period where their texts have ``{{ date }}`` and the like.

    Parameters
    ----------
    parameters
        Texts, also in lists, may have ``{{ start }}`` and ``{{ end }}`` (ISO 8601 with the offset), ``{{ date }}`` (the local
        date that the period is of) and ``{{ name }}`` (of the report). Values of other types stay as they are.
    period
        Of the run.
    report
        Its name.

    Raises
    ------
    InvalidArgument
        If a text has another name in double braces.

    Examples
    --------
    >>> import datetime as dt
    >>> from eventlab.reports.calendar.periods import Period
    >>> period = Period(dt.datetime(2013, 2, 9, 6, tzinfo=dt.UTC), dt.datetime(2013, 2, 10, 6, tzinfo=dt.UTC))
    >>> filled({"day": "{{ date }}", "since": "{{ start }}", "top": 10}, period, "daily")
    {'day': '2013-02-09', 'since': '2013-02-09T06:00:00+00:00', 'top': 10}
    """
    return {key: _filled(value, period, report) for key, value in parameters.items()}


def fill(text: str, period: Period, report: str) -> str:
    """Return a text with the values of a run's period in its double braces; values are never read as templates again."""
    values = {
        "start": period.start.isoformat(),
        "end": period.end.isoformat(),
        "date": period.date.isoformat(),
        "name": report,
    }
    check(text)
    return _SLOT.sub(lambda slot: values[slot[1].strip()], text)


def check(text: str) -> None:
    """Refuse a text with double braces that mean nothing.

    Raises
    ------
    InvalidArgument
        If it has an unknown name, or braces that do not end.
    """
    for slot in _SLOT.finditer(text):
        known = slot[1].strip()
        if known not in NAMES:
            guess = "".join(f" Did you mean {{{{ {match} }}}}?" for match in near(known, NAMES)[:1])
            raise InvalidArgument(f"{slot[0]!r} is not known.{guess}", hint=_HINT)
    if "{{" in _SLOT.sub("", text):
        raise InvalidArgument(f"{text!r} has '{{{{' without an end", hint=_HINT)


def _filled(value: Any, period: Period, report: str) -> Any:  # noqa: ANN401 - whatever a parameter can be
    if isinstance(value, str):
        return fill(value, period, report)
    return [_filled(one, period, report) for one in value] if isinstance(value, list) else value
