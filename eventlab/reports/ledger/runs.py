"""Runs: what the runs log tells of one report and one of its periods, folded from the events of their stream."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from eventlab.reports.figures import figure_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from eventlab.events import RecordedEvent
    from eventlab.reports.calendar.periods import Period
    from eventlab.reports.configuration.configurations import Report
    from eventlab.reports.figures import Figure
    from eventlab.reports.ledger.happenings import Happening
    from eventlab.reports.ledger.publications import Published
    from eventlab.reports.renders import Made

Status = Literal["planned", "running", "retrying", "abandoned", "ok", "corrected", "failed", "skipped"]
Reason = Literal["scheduled", "caught up", "backfill", "restated"]

SETTLED: frozenset[Status] = frozenset({"ok", "corrected", "failed", "skipped"})
INTERRUPTED = "interrupted"  # by the person or the machine that stops the service: no attempt of the report's
KILLED = "killed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A report of one period: its key is (report, period), whatever was tried for it.

    Attributes
    ----------
    report, period
        The report's name and the period's.
    start, end, due
        The period, half open, and when the run is due.
    status
        ``planned`` (due, not begun), ``running``, ``retrying`` (failed, with attempts left), ``abandoned`` (its process was
        killed or interrupted), and what is settled: ``ok``, ``corrected`` (version 2 and more), ``failed``, ``skipped``.
    reason
        Why it is made: ``scheduled``, ``caught up``, ``backfill``; of a corrected one ``restated``.
    scheduled
        Whether the schedule asked for it; not so of a backfill alone.
    attempts, failures, kills
        How often it was begun, how often that failed, and how often its process was killed.
    alone, lone_kills
        Whether it was begun the last time while its process made nothing else, and how often in a row that was killed then.
    version
        Of the newest page; 0 if there is none.
    out, files
        The folder of the pages, and the newest version's files relative to it.
    notebook, page
        Of a failed one: the executed notebook and the page that says what failed, relative to ``out``.
    mail
        What is sent by mail, kept for the delivery, relative to ``out``; None if no mail is asked for.
    deliver
        The channels by which the newest version, or the failure, is delivered.
    why
        Why it was skipped or abandoned.
    length
        How many events its stream has: the version to append with. ``position`` is that of the last one.
    """

    report: str
    period: str
    start: dt.datetime
    end: dt.datetime
    due: dt.datetime
    status: Status = "planned"
    reason: str = "scheduled"
    scheduled: bool = False
    attempts: int = 0
    failures: int = 0
    kills: int = 0
    alone: bool = False
    lone_kills: int = 0
    title: str = ""
    source: str = ""
    host: str = ""
    pid: int = 0
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    seconds: float = 0.0
    version: int = 0
    figures: tuple[Figure, ...] = ()
    changes: tuple[dict[str, Any], ...] = ()
    basis: str = ""
    at: dt.datetime | None = None
    known_at: dt.datetime | None = None
    digest: str = ""
    params: Mapping[str, Any] | None = None
    out: str = ""
    files: tuple[str, ...] = ()
    deliver: tuple[str, ...] = ()
    kind: str = ""
    message: str = ""
    traceback: str = ""
    cell: int | None = None
    code: str = ""
    notebook: str | None = None
    page: str | None = None
    mail: str | None = None
    why: str = ""
    length: int = 0
    position: int = 0

    @property
    def stream(self) -> str:
        """The stream of its events."""
        return stream(self.report, self.period)

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be done for it."""
        return self.status in SETTLED

    @property
    def suspect(self) -> bool:
        """Whether it may be what has killed the process that made it: it was begun there and did not end."""
        return not self.settled and (self.kills > 0 or self.status == "running")


def key(report: str, period: Period) -> dict[str, Any]:
    """Return the fields that each event of a run has, from which it is known."""
    times = {"start": period.start, "end": period.end, "due": period.due}
    return {"report": report, "period": period.name, **{name: time.isoformat() for name, time in times.items()}}


def stream(report: str, period: str) -> str:
    """Return the name of a run's stream.

    Examples
    --------
    >>> stream("daily", "2013-02-09")
    'run-daily@2013-02-09'
    """
    return f"run-{report}@{period}"


def evolve(run: Run | None, event: Happening | RecordedEvent) -> Run:
    """Return a run after one more event of its stream; of a type that this version of eventlab does not know, as it was."""
    given = event.payload
    if run is None:
        times = {name: dt.datetime.fromisoformat(given[name]) for name in ("start", "end", "due")}
        run = Run(report=given["report"], period=given["period"], **times)  # type: ignore[arg-type]  # times alone
    changed: dict[str, Any] = {}
    match event.event_type:
        case "RunPlanned":
            changed = {"scheduled": True, "reason": given["reason"]}
        case "RunStarted":
            changed = {"status": "running", "attempts": given["attempt"], "started_at": event.recorded_at}
            changed |= {"alone": bool(given.get("alone"))}
            if run.settled:  # it had failed, and is tried anew
                changed |= {"failures": 0, "kills": 0, "lone_kills": 0}
            changed |= _given(given, "reason", "title", "source", "host", "pid")
        case "RunFinished":
            changed = {
                "status": "ok" if given["version"] == 1 else "corrected",
                "ended_at": event.recorded_at,
                **_finished(given),
            }
        case "RunFailed":
            changed = {"status": "failed" if given["final"] else "retrying", "failures": run.failures + 1}
            changed |= {} if given["final"] else {"lone_kills": 0}
            changed |= {"ended_at": event.recorded_at, "deliver": tuple(given.get("deliver") or ())}
            changed |= _given(given, "title", "kind", "message", "traceback", "cell", "code", "out", "seconds")
            changed |= _given(given, "notebook", "page", "mail")
        case "RunAbandoned":
            changed = {"status": "abandoned", "why": given["why"], "ended_at": event.recorded_at}
            if given["why"] == INTERRUPTED:
                changed |= {"attempts": run.attempts - 1}
            else:
                changed |= {"kills": run.kills + 1, "lone_kills": run.lone_kills + 1 if run.alone else 0}
        case "RunSkipped":
            changed = {"status": "skipped", "scheduled": True, "why": given["why"], "ended_at": event.recorded_at}
    return replace(run, length=event.version, position=event.position, **changed)


def folded(events: Iterable[Happening | RecordedEvent]) -> dict[str, Run]:
    """Return the runs by stream that events in position order are of."""
    runs: dict[str, Run] = {}
    for event in events:
        runs[event.stream_id] = evolve(runs.get(event.stream_id), event)
    return runs


def plain(figures: Sequence[Figure]) -> dict[str, dict[str, Any]]:
    """Return figures as events have them: by name their values and kinds, and the labels and units that there are."""
    parts = {figure.name: figure.plain() for figure in figures}
    return {
        "figures": {name: part["value"] for name, part in parts.items()},
        "kinds": {name: part["kind"] for name, part in parts.items()},
        "labels": {name: part["label"] for name, part in parts.items() if part["label"]},
        "units": {name: part["unit"] for name, part in parts.items() if part["unit"]},
    }


def finished(
    made: Made,
    report: Report,
    published: Published,
    *,
    reason: str,
    deliver: Sequence[str],
    at: dt.datetime,
    known_at: dt.datetime | None,
    attempt: int | None = None,
) -> dict[str, Any]:
    """Return what ``RunFinished`` says of a report that was made and written, besides the run's key."""
    told = made.provenance
    return {
        "attempt": attempt,
        "reason": reason,
        "version": told.version,
        "corrected": told.version > 1,
        "title": told.title,
        **plain(made.figures),
        "changes": [change.plain() for change in told.changes],
        "basis": told.basis,
        "at": at,
        "known_at": known_at,
        "digest": told.digest,
        "params": made.parameters,
        "out": str(report.out),
        "files": published.files,
        "mail": published.mail,
        "seconds": told.seconds,
        "deliver": list(deliver),
    }


def _finished(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``RunFinished`` changes of a run."""
    parts = [
        {
            "name": name,
            "kind": kind,
            **{part: (given.get(f"{part}s") or {}).get(name, "") for part in ("label", "unit")},
        }
        for name, kind in (given.get("kinds") or {}).items()
    ]
    return {
        "figures": tuple(figure_of({**part, "value": given["figures"][part["name"]]}) for part in parts),
        **{name: tuple(given.get(name) or ()) for name in ("changes", "files", "deliver")},
        **{name: _instant(given.get(name)) for name in ("at", "known_at")},
        **_given(given, "reason", "version", "title", "basis", "digest", "params", "out", "mail", "seconds"),
    }


def _given(payload: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return those fields of a payload that it has."""
    return {name: payload[name] for name in names if payload.get(name) is not None}


def _instant(value: object) -> dt.datetime | None:
    """Return an instant as a payload has it."""
    return dt.datetime.fromisoformat(value) if isinstance(value, str) else None
