"""``eventlab report backfill`` and ``list``: runs of the past, to be made and to be looked at."""

# Annotations are read at run time here, by cyclopts: no `from __future__ import annotations`.
import datetime as dt
import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token

from eventlab.cli import outputs
from eventlab.cli.options import TABLE, AsJson, Output, UsageError
from eventlab.cli.schedules import Config, Jobs, StoreOf, configured, meant, opened
from eventlab.cli.values import counted, printable
from eventlab.errors import ReportError

_RUNS = """
select report, period, status, version, due, attempts, round(seconds, 2) as seconds, figures, files, coalesce(failure, why) as why
from runs
where $report is null or report = $report
order by due desc, report
"""


def _date(_kind: object, tokens: Sequence[Token]) -> dt.date:
    """Return a day."""
    try:
        return dt.date.fromisoformat(tokens[0].value.strip())
    except ValueError:
        message = f"{tokens[0].value!r} is no day"
        raise UsageError(message, hint="Write it like 2013-01-31.") from None


def backfill(
    report: Annotated[str, Parameter(name="REPORT", help="The report, by its name in reports.toml.")],
    /,
    *,
    since: Annotated[
        dt.date, Parameter(name="--from", converter=_date, help="The day on which its first period begins.")
    ],
    until: Annotated[
        dt.date, Parameter(name="--to", converter=_date, help="The day on which its last one does, inclusive.")
    ],
    config: Config = None,
    store: StoreOf = None,
    jobs: Jobs = None,
    deliver: Annotated[bool, Parameter(help="Deliver them, too.")] = False,
    json: AsJson = False,
) -> None:
    """Make a report for periods of the past, each as it would have been when it was due.

    Periods that have their report are left as they are, so that the same command goes on after an interruption. Exits 1 if one
    fails, or could not be delivered.
    """
    from eventlab.reports.ledger.records import Records  # noqa: PLC0415 - as above
    from eventlab.reports.schedule import backfills, crews  # noqa: PLC0415 - brings the whole of eventlab
    from eventlab.reports.schedule.workshops import Workshop  # noqa: PLC0415 - as above

    configuration = configured(config, store)
    with Records.open(configuration.log) as records:
        workshop = Workshop(configuration=configuration, records=records)
        with meant(), crews.interruptible(workshop.cancelled):
            tally = backfills.backfill(workshop, report, since, until, most=jobs, deliver=deliver)
    facts: dict[str, object] = {
        "report": report,
        "there": tally.there,
        **{str(ending): count for ending, count in tally.endings.items()},
        "failed_periods": tally.failed,
        "errors": [*tally.errors, *tally.troubles],
        "told": tally.told,
    }
    told = [f"{count} {ending}" for ending, count in sorted(tally.endings.items())]
    there = [f"{tally.there} there already"] if tally.there else []
    outputs.report(f"{printable(report)}: {', '.join([*told, *there])}", facts, as_json=json)
    for line in () if json else tally.told:
        sys.stdout.write(f"{printable(line)}\n")
    for line in [*tally.errors, *tally.troubles]:
        sys.stderr.write(f"error: {printable(line)}\n")
    if workshop.cancelled.is_set():
        raise KeyboardInterrupt
    count = len(tally.failed) + len(tally.errors)
    if count:
        raise ReportError(
            f"{counted(count, 'period')} could not be made: {', '.join([*tally.failed, *tally.errors][:3])}",
            hint=f"eventlab report list {printable(report)} says why; the same command tries them anew.",
        )
    if tally.undelivered:
        raise ReportError(
            f"{counted(tally.undelivered, 'message')} could not be delivered",
            hint="The next round of the schedule tries those again that are not given up.",
        )
    if tally.troubles:
        raise ReportError(tally.troubles[0], hint="The reports themselves are made.")


def listing(
    report: Annotated[str | None, Parameter(name="REPORT", help="Only of this report.")] = None,
    /,
    *,
    config: Config = None,
    store: StoreOf = None,
    output: Output = TABLE,
) -> None:
    """List the runs of reports, newest first: their status, figures and files, and why one failed or was skipped."""
    output.checked()
    with opened(config, store) as (configuration, records):
        if report is not None and not records.runs(report, limit=1):
            from eventlab.reports.schedule import backfills  # noqa: PLC0415 - as above

            with meant():
                backfills.find(configuration, report)
        outputs.show(records.log.sql(_RUNS, {"report": report}), output)
