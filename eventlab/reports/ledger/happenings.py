"""Happenings: the events that the runs log holds, and the state ``runs`` that ``eventlab sql`` can ask about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt

_KEY = {
    "report": "VARCHAR NOT NULL",
    "period": "VARCHAR NOT NULL",
    "start": "TIMESTAMPTZ NOT NULL",
    "end": "TIMESTAMPTZ NOT NULL",
    "due": "TIMESTAMPTZ NOT NULL",
}
TYPES: dict[str, dict[str, str]] = {
    "ReportScheduled": {"report": "VARCHAR NOT NULL", "since": "TIMESTAMPTZ NOT NULL"},
    "ScheduleAdvanced": {
        "report": "VARCHAR NOT NULL",
        "due": "TIMESTAMPTZ NOT NULL",
    },  # to a run that was there already
    "RunPlanned": {**_KEY, "reason": "VARCHAR NOT NULL"},
    "RunStarted": {
        **_KEY,
        "reason": "VARCHAR NOT NULL",
        "attempt": "BIGINT NOT NULL",
        "title": "VARCHAR",
        "source": "VARCHAR",
        "host": "VARCHAR",
        "pid": "BIGINT",
        "alone": "BOOLEAN",
    },
    "RunFinished": {
        **_KEY,
        "reason": "VARCHAR NOT NULL",
        "attempt": "BIGINT",
        "version": "BIGINT NOT NULL",
        "title": "VARCHAR",
        "figures": "JSON",
        "kinds": "JSON",
        "labels": "JSON",
        "units": "JSON",
        "changes": "JSON",
        "basis": "VARCHAR NOT NULL",
        "at": "TIMESTAMPTZ",
        "known_at": "TIMESTAMPTZ",
        "digest": "VARCHAR",
        "params": "JSON",
        "out": "VARCHAR NOT NULL",
        "files": "VARCHAR[]",
        "mail": "VARCHAR",
        "seconds": "DOUBLE",
        "deliver": "VARCHAR[]",
        "corrected": "BOOLEAN",
    },
    "RunFailed": {
        **_KEY,
        "reason": "VARCHAR NOT NULL",
        "attempt": "BIGINT NOT NULL",
        "final": "BOOLEAN NOT NULL",
        "title": "VARCHAR",
        "kind": "VARCHAR NOT NULL",
        "message": "VARCHAR",
        "traceback": "VARCHAR",
        "cell": "BIGINT",
        "code": "VARCHAR",
        "out": "VARCHAR",
        "notebook": "VARCHAR",
        "page": "VARCHAR",
        "mail": "VARCHAR",
        "seconds": "DOUBLE",
        "deliver": "VARCHAR[]",
    },
    "RunAbandoned": {**_KEY, "attempt": "BIGINT NOT NULL", "why": "VARCHAR NOT NULL"},
    "RunSkipped": {**_KEY, "why": "VARCHAR NOT NULL"},
}
STATE = """
select stream_id as run,
    regexp_extract(stream_id, '^run-(.*)@([^@]*)$', 1) as report,
    regexp_extract(stream_id, '^run-(.*)@([^@]*)$', 2) as period,
    max(coalesce(RunPlanned.due, RunStarted.due, RunSkipped.due)) as due,
    coalesce(arg_max(case event_type
        when 'RunStarted' then 'running'
        when 'RunFinished' then if(RunFinished.version = 1, 'ok', 'corrected')
        when 'RunFailed' then if(RunFailed.final, 'failed', 'retrying')
        when 'RunAbandoned' then 'abandoned'
        when 'RunSkipped' then 'skipped' end, position), 'planned') as status,
    max(coalesce(RunFinished.version, 0)) as version,
    max(RunStarted.attempt) as attempts,
    arg_max(RunFinished.figures, position) as figures,
    arg_max(RunFinished.basis, position) as basis,
    arg_max(RunFinished.seconds, position) as seconds,
    arg_max(RunFinished.files, position) as files,
    -- of what went wrong before a run was made nothing is left to say
    arg_max_null(RunFailed.message, position) filter (event_type in ('RunFailed', 'RunFinished')) as failure,
    arg_max_null(coalesce(RunSkipped.why, RunAbandoned.why), position)
        filter (event_type in ('RunSkipped', 'RunAbandoned', 'RunFinished')) as why
from events where category = 'run' and stream_id like 'run-%@%'
group by stream_id
"""


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of the runs log, as far as a run is folded from it."""

    position: int
    stream_id: str
    version: int
    event_type: str
    recorded_at: dt.datetime
    payload: dict[str, Any]
