"""Offsets: in which zone a report's period is, where the log shows its times in another."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from eventlab import moments
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from eventlab.reports.provenances import Provenance


def told(provenance: Provenance) -> list[str]:
    """Return in which zone the times of a report are, in words: its period's own first, if that is not the log's."""
    ends = _ends(provenance)
    if not ends:
        return [f"Times in {provenance.timezone}"]
    return [f"Period in {named(*ends)}", f"Times in charts and tables in {provenance.timezone}"]


def named(*given: dt.datetime) -> str:
    """Return the offsets of moments in words.

    Examples
    --------
    >>> named(*map(dt.datetime.fromisoformat, ["2013-03-04T00:00:00-05:00", "2013-03-11T00:00:00-04:00"]))
    'UTC-05:00 to UTC-04:00'
    """
    return " to ".join(dict.fromkeys(str(dt.timezone(one.utcoffset() or dt.timedelta())) for one in given))


def moved(text: str, provenance: Provenance) -> tuple[str, str]:
    """Return a moment as the period has it, and its offset; as it is, without one, if all times are in the log's zone.

    A text that is no moment (``position 12``) stays as it is too.
    """
    ends = _ends(provenance)
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        return text, ""
    if not ends:
        return text, ""
    there = at.astimezone((ends[0] if at == ends[0] else ends[-1]).tzinfo)
    return there.isoformat(), named(there)


def _ends(provenance: Provenance) -> list[dt.datetime]:
    """Return where the period starts and ends; nothing if there is none, or its offsets are those of the log's zone."""
    ends = [dt.datetime.fromisoformat(end) for end in provenance.period or ()]
    try:
        zone = moments.zone(provenance.timezone)
    except InvalidArgument:  # what this machine does not know is not known to be the same
        return ends
    return [] if all(end.utcoffset() == end.astimezone(zone).utcoffset() for end in ends) else ends
