"""``eventlab report restate``: issued reports that would say something else now, and their corrected versions."""

# Annotations are read at run time here, by cyclopts: no `from __future__ import annotations`.
import datetime as dt
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, Token

from eventlab import moments
from eventlab.cli import outputs
from eventlab.cli.options import TABLE, Output
from eventlab.cli.schedules import Config, Jobs, StoreOf, configured, meant
from eventlab.cli.values import counted, encoded, printable
from eventlab.errors import ReportError

if TYPE_CHECKING:
    from eventlab.reports.schedule.restatements import Restatement

_KINDS = {
    "report": "varchar",
    "period": "varchar",
    "version": "bigint",
    "figure": "varchar",
    "before": "json",
    "after": "json",
    "difference": "json",
    "issued": "bigint",
    "why": "varchar",
}
_ROWS = f"select {', '.join(f'unnest(${name}::{kind}[]) as {name}' for name, kind in _KINDS.items())}"


def _time(_kind: object, tokens: Sequence[Token]) -> str:
    """Return the text of a date or a time that can be read."""
    moments.instant(tokens[0].value, dt.UTC)  # each report reads it again, in its own zone
    return tokens[0].value


def restate(
    reports: Annotated[list[str] | None, Parameter(name="REPORT", help="Reports by their names (all).")] = None,
    /,
    *,
    since: Annotated[
        str, Parameter(converter=_time, help="Of runs whose period begins on this date or time, or later.")
    ],
    issue: Annotated[
        bool, Parameter(help="Issue the next version of those that differ, with what has changed.")
    ] = False,
    config: Config = None,
    store: StoreOf = None,
    jobs: Jobs = None,
    output: Output = TABLE,
) -> None:
    """List issued reports whose figures would be others now, after late events and corrections, and by how much.

    A row a figure. What is issued is delivered with the next round of the schedule. Exits 1 if one cannot be made again.
    """
    from eventlab.reports.ledger.records import Records  # noqa: PLC0415 - as above
    from eventlab.reports.schedule import crews, restatements, shelves  # noqa: PLC0415 - bring the whole of eventlab
    from eventlab.reports.schedule.workshops import Workshop  # noqa: PLC0415 - as above

    output.checked()
    configuration = configured(config, store)
    there = (configuration.log / "store.toml").is_file()
    with Records.open(configuration.log, read_only=there and not issue) as records:
        workshop = Workshop(configuration=configuration, records=records)
        with meant(), crews.interruptible(workshop.cancelled):
            found = restatements.restate(workshop, reports, since=since, issue=issue, most=jobs)
        issued = [path for one in found for path in one.issued]
        troubles = crews.attempted(lambda: shelves.refresh(configuration, records)) if issued else []
        outputs.show(records.log.sql(_ROWS, _columns(found)), output)
    for path in issued:
        sys.stderr.write(f"issued {printable(str(path))}\n")
    if workshop.cancelled.is_set():
        raise KeyboardInterrupt
    failed = [one for one in found if one.failed]
    for line in troubles if failed else ():
        sys.stderr.write(f"error: {printable(line)}\n")
    if failed:
        raise ReportError(
            f"{counted(len(failed), 'report')} cannot be made again: {failed[0].report}, {failed[0].period}: {failed[0].why}"
        )
    if troubles:
        raise ReportError(
            f"the index page could not be written: {troubles[0]}", hint="The reports themselves are issued."
        )


def _columns(found: "Sequence[Restatement]") -> dict[str, list[Any]]:
    """Return restatements as columns, a row a figure; one of which no figure can be told is a row, too."""
    rows: list[list[Any]] = []
    for one in found:
        issued = one.version + 1 if one.issued else None
        for change in one.changes:
            before, after = (None if side is None else side.value for side in (change.before, change.after))
            told = [_json(value) for value in (before, after, change.difference)]
            rows.append([one.report, one.period, one.version, change.name, *told, issued, one.why])
        if not one.changes:
            rows.append([one.report, one.period, one.version, None, None, None, None, issued, one.why])
    return {name: [row[place] for row in rows] for place, name in enumerate(_KINDS)}


def _json(value: object) -> str | None:
    """Return a figure's value as JSON, a number with all of its digits; None for none."""
    return None if value is None else encoded(value).decode()
