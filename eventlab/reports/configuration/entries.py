"""Entries: the reports, the channels and the alerts that ``reports.toml`` has."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from eventlab.errors import InvalidArgument
from eventlab.reports.calendar import schedules
from eventlab.reports.configuration import keys

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from eventlab.reports.calendar.schedules import Schedule

CatchUp = Literal["all", "latest", "none"]
Format = Literal["html", "md", "pdf"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report that makes itself.

    Attributes
    ----------
    name
        Letters, digits, ``-`` and ``_``: files, streams and the command line have it.
    notebook, function
        What makes it, one of the two, as the file has it: ``"notebooks/daily.ipynb"``, ``"module:function"``.
    source
        The same, a notebook's path absolute.
    store
        The folder of the log that it is made from.
    timezone
        Of its schedule and its periods; left out, the store's own.
    cron, every
        When it is due, one of the two.
    period
        The length of its periods, like ``"1d"``; None: from one run to the next.
    parameters
        Of the notebook or the function; their texts may have ``{{ date }}`` and the like (``parameters.filled``).
    catch_up
        What is made of the runs that were missed: ``"all"``, the ``"latest"``, or ``"none"``.
    grace
        With ``catch_up = "none"``: by how much a run may be late.
    retries
        How often a failed run is tried again.
    timeout
        Of one try.
    to
        The formats of its pages.
    out
        The folder of the pages, which are in a folder of the report's name there.
    deliver
        The names of the channels over which it is sent.
    title
        Instead of the notebook's own; it may have ``{{ date }}`` and the like.
    enabled
        Whether it is due at all.
    """

    name: str
    notebook: str | None = None
    function: str | None = None
    source: str
    store: Path
    timezone: str = "UTC"
    cron: str | None = None
    every: dt.timedelta | None = None
    period: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    catch_up: CatchUp = "latest"
    grace: dt.timedelta = dt.timedelta(minutes=10)
    retries: int = 0
    timeout: dt.timedelta | None = dt.timedelta(minutes=10)
    to: list[Format] = field(default_factory=lambda: ["html"])
    out: Path
    deliver: list[str] = field(default_factory=list)
    title: str | None = None
    enabled: bool = True

    @cached_property
    def schedule(self) -> Schedule:
        """When it is due, and of which periods."""
        return schedules.schedule(cron=self.cron, every=self.every, timezone=self.timezone, period=self.period)


class Options(dict[str, Any]):
    """What a channel says; what it does not say and is asked for is an error that says so.

    A file may be written before anybody knows its mail server: reports are made all the same, and only delivery fails.
    """

    def __init__(self, place: str, given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self.place = place

    def __missing__(self, key: str) -> NoReturn:
        """Say what is missing, and where."""
        example = next(known[key].example for known in keys.CHANNELS.values() if key in known)
        raise InvalidArgument(f"{self.place}: {key} is missing", hint=f"Write {key} = {example}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Where reports and alerts are sent.

    Attributes
    ----------
    options
        Those of its type, as the file has them, checked: ``options["host"]`` is an ``InvalidArgument`` if it says none. Secrets
        are names of environment variables.
    """

    name: str
    type: Literal["smtp", "webhook"]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A condition over the figures of a report (``when``) or the answer of a query (``sql``), on each of its complete periods.

    Attributes
    ----------
    for_periods
        How many periods in a row it has to hold.
    deliver
        The names of the channels over which it is told.
    """

    name: str
    report: str
    when: str | None = None
    sql: str | None = None
    for_periods: int = 1
    deliver: list[str] = field(default_factory=list)
