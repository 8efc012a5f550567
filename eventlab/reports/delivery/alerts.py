"""Alerts: conditions on the complete periods of a report, told when they begin to hold and when they no longer do.

Each period is checked once, in order, and the check is recorded together with what it tells: after a crash nothing is told twice,
and nothing is missed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import eventlab as el
from eventlab import queries
from eventlab.errors import EventlabError, QueryError, WrongExpectedVersion
from eventlab.reports.configuration import conditions
from eventlab.reports.delivery import notices, watches
from eventlab.reports.delivery.channels import flat, sentence
from eventlab.reports.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventlab.log import EventLog
    from eventlab.reports.configuration.configurations import Alert, Configuration, Report
    from eventlab.reports.delivery.watches import Watch
    from eventlab.reports.ledger.records import Records

Happened = Literal["fired", "recovered", "broken"]

_EVENTS: dict[Happened, str] = {"fired": "AlertFired", "recovered": "AlertRecovered", "broken": "AlertBroken"}
_WORDS: dict[Happened, str] = {"fired": "fired", "recovered": "recovered", "broken": "cannot be checked"}
_KEY = ("report", "period", "start", "end", "due")
_PLAIN = (str, bool, int, float, dt.date)  # what a figure may be besides None and Decimal
_LONGEST = 1_000  # characters of a condition or an error that is recorded


@dataclass(frozen=True, slots=True)
class Checked:
    """What a round of checks did: how many periods were ``checked``, and how often alerts ``fired``, ``recovered``, broke.

    ``told`` says the same in lines, one for each alert that did.
    """

    checked: int = 0
    fired: int = 0
    recovered: int = 0
    broken: int = 0
    told: list[str] = field(default_factory=list, compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a condition says of a period: whether it ``holds`` (None: not known, so not), on which figures; or an ``error``."""

    holds: bool | None
    figures: Sequence[Figure] = ()
    error: str | None = None


def step(watch: Watch, answer: Answer, period: str, *, for_periods: int) -> tuple[Watch, Happened | None]:
    """Return an alert after one more period, and what is to be told of it.

    It fires when its condition has held for ``for_periods`` periods in a row, once until it recovers, which it does in the first
    period in which it does not hold. A check that fails neither counts nor interrupts; the first in a row is told.

    Examples
    --------
    >>> watch, told = watches.Watch(), []
    >>> for period, holds in enumerate([True, True, True, False, True]):
    ...     watch, happened = step(watch, Answer(holds), str(period), for_periods=2)
    ...     told.append(happened)
    >>> told
    [None, 'fired', None, 'recovered', None]
    """
    if answer.error is not None:
        return replace(watch, broken=True), None if watch.broken else "broken"
    if answer.holds:
        streak = watch.streak + 1
        firing = watch.firing or streak >= for_periods
        since = watch.since if watch.streak else period
        after = replace(watch, streak=streak, since=since, firing=firing, broken=False)
        return after, "fired" if firing and not watch.firing else None
    return replace(watch, streak=0, since="", firing=False, broken=False), "recovered" if watch.firing else None


def check(configuration: Configuration, records: Records, *, clock: Callable[[], dt.datetime]) -> Checked:
    """Check each alert on the periods that it has not seen, in order, and record what is to be told.

    A period is checked when its run has finished: one that its schedule asked for, no backfill; the figures of a corrected
    version are not checked again. While an earlier run of the report is not settled, later ones wait. A run that failed or was
    skipped neither counts nor interrupts. A new alert begins with the newest periods, as many as it needs to fire. A condition
    that cannot be checked is recorded and told, and stops nothing.

    Raises
    ------
    StoreError
        If it cannot be recorded.
    """
    book = watches.book(records)
    book.prepare(configuration.alerts)
    held = {run.report: run.due for run in reversed(records.open_runs()) if run.scheduled}
    happened: list[Happened | None] = []
    lines: list[str] = []
    with _Stores() as stores:
        for alert in configuration.alerts:
            report = configuration.reports[alert.report]
            for told in book.unseen(alert):
                if alert.report in held and held[alert.report] < watches.due(told):
                    break
                watch, answer = book.watch(alert), _answer(alert, report, told, stores)
                after, one = step(watch, answer, told["period"], for_periods=alert.for_periods)
                events = [("AlertChecked", _checked(alert, told, answer, after))]
                if one is not None:
                    events.append((_EVENTS[one], _told(alert, told, answer, watch if one == "recovered" else after)))
                try:
                    _append(records, alert, watch.version, events, clock())
                except WrongExpectedVersion:  # another process checks it, and is taken in
                    break
                finally:
                    book.sync()
                happened.append(one)
                if one is not None:
                    why = f": {answer.error}" if one == "broken" and answer.error else ""
                    lines.append(f"alert {alert.name} ({alert.report}, {told['period']}): {_WORDS[one]}{why}")
    book.forget(configuration.alerts)
    fired, recovered, broken = (happened.count(kind) for kind in _EVENTS)
    return Checked(len(happened), fired, recovered, broken, lines)


def _append(
    records: Records, alert: Alert, version: int, events: Sequence[tuple[str, dict[str, Any]]], now: dt.datetime
) -> None:
    """Record events of an alert, all or none."""
    name = f"alert-{alert.name}"
    records.append(
        *((name, version + i, el.Event(kind, told, occurred_at=now)) for i, (kind, told) in enumerate(events))
    )


def _answer(alert: Alert, report: Report, told: Mapping[str, Any], stores: _Stores) -> Answer:
    """Return what an alert's condition says of a run; an error is part of it."""
    figures: Sequence[Figure] = notices.figures_in(told)
    try:
        if alert.sql is not None:
            figures = stores.row(report, told, alert.sql)
            if not figures or alert.when is None:
                return Answer(_first(figures), figures)
        return Answer(conditions.holds(alert.when or "", figures, timezone=report.timezone), figures)
    except EventlabError as error:
        return Answer(None, figures, sentence(error)[:_LONGEST])
    except OSError as error:
        return Answer(None, figures, flat(f"{report.store} cannot be read: {error.strerror or error}")[:_LONGEST])


def _first(row: Sequence[Figure]) -> bool | None:
    """Return the first value of a row; None if there is no row."""
    value = row[0].value if row else None
    if value is not None and not isinstance(value, bool):
        raise QueryError(
            f"the query's first column, {row[0].name!r}, is {type(value).__name__}, neither true nor false",
            hint="Compare it: SELECT count(*) > 300 FROM …, or add a `when` over the columns.",
        )
    return value


def _checked(alert: Alert, told: Mapping[str, Any], answer: Answer, after: Watch) -> dict[str, Any]:
    """Return what ``AlertChecked`` says, from which an alert goes on."""
    return {
        "alert": alert.name,
        **{name: told[name] for name in _KEY},
        "holds": answer.holds,
        "error": answer.error,
        "streak": after.streak,
        "since": after.since,
        "firing": after.firing,
    }


def _told(alert: Alert, told: Mapping[str, Any], answer: Answer, watch: Watch) -> dict[str, Any]:
    """Return what is said when an alert fires, recovers, or cannot be checked."""
    parts = [flat(part) for part in (alert.when, alert.sql) if part is not None]
    figures = {figure.name: _shown(figure).plain() for figure in answer.figures}
    return {
        "alert": alert.name,
        **{name: told[name] for name in _KEY},
        "since": watch.since,
        "streak": watch.streak,
        "condition": " of ".join(parts)[:_LONGEST],
        "error": answer.error,
        **{f"{part}s": {name: plain[part] for name, plain in figures.items()} for part in ("kind", "label", "unit")},
        "figures": {name: plain["value"] for name, plain in figures.items()},
        **{name: told.get(name) for name in ("title", "basis", "out", "files")},
        "deliver": alert.deliver,
    }


def _shown(figure: Figure) -> Figure:
    """Return a column of a row as a figure that can be recorded: a list or an interval as text."""
    value: Any = figure.value
    fits = value is None or isinstance(value, _PLAIN) or type(value).__name__ == "Decimal"
    return figure if fits else replace(figure, value=flat(str(value))[:_LONGEST])


class _Stores(contextlib.ExitStack):
    """The stores that alerts ask by SQL, each opened once a round."""

    def __init__(self) -> None:
        super().__init__()
        self._logs: dict[str, EventLog] = {}

    def row(self, report: Report, told: Mapping[str, Any], text: str) -> list[Figure]:
        """Return the first row of a query on the log as its run saw it; nothing if there is none.

        The query may have ``$start`` and ``$end``: the period.
        """
        nodes = queries.walk(queries.syntax(text))
        named = {str(node.get("identifier")) for node in nodes if node.get("class") == "PARAMETER"}
        times: dict[str, object] = {
            name: dt.datetime.fromisoformat(told[name]) for name in ("start", "end") if name in named
        }
        relation = self._log(report).at(told["basis"]).sql(text, times or None)
        with queries.explained(text=text):
            table = relation.limit(1).to_arrow_table()
        return [
            Figure(name, column[0].as_py())
            for name, column in zip(table.column_names, table.columns, strict=True)
            if len(column)
        ]

    def _log(self, report: Report) -> EventLog:
        path = str(report.store)
        if path not in self._logs:
            self._logs[path] = self.enter_context(el.open(path, read_only=True))
        return self._logs[path]
