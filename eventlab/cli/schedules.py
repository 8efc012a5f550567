"""``eventlab schedule``: reports that make themselves when they are due."""

# Annotations are read at run time here, by cyclopts: no `from __future__ import annotations`.
import contextlib
import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from eventlab.cli import outputs
from eventlab.cli.options import TABLE, AsJson, Output, UsageError, at_least, folder
from eventlab.cli.values import counted, printable
from eventlab.errors import InvalidArgument, ReportError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from eventlab.reports.configuration.configurations import Configuration
    from eventlab.reports.ledger.records import Records

Config = Annotated[Path | None, Parameter(help="The reports.toml (of this folder, or of the store).")]
StoreOf = Annotated[
    Path | None, Parameter(converter=folder, help="A store whose reports.toml is meant if there is none here.")
]
Jobs = Annotated[int | None, Parameter(validator=at_least(1), help="How many are made at once (the cores).")]

app = App(
    name="schedule",
    help="Make reports when they are due, and see how they stand.",
    help_format="plaintext",
    default_parameter=Parameter(negative=(), show_default=False),
)


def run(*, config: Config = None, store: StoreOf = None, jobs: Jobs = None) -> None:
    """Run the schedule until Ctrl-C or SIGTERM: make what is due, check alerts, deliver.

    What was missed meanwhile is caught up as each report's `catch_up` says. Several may run, also `schedule tick` beside it: no
    run is made twice. The file is read again when it changes.
    """
    from eventlab.reports.schedule import services  # noqa: PLC0415 - brings the whole of eventlab

    services.serve(configured(config, store), say=_say, most=jobs)


def tick(*, config: Config = None, store: StoreOf = None, jobs: Jobs = None, json: AsJson = False) -> None:
    """Do one round, for cron or a systemd timer: make what is due, check alerts, deliver.

    Exits 1 if a run failed, or something could not be delivered or recorded; readers get a page that says what failed.
    """
    from eventlab.reports.delivery import deliveries  # noqa: PLC0415 - as above
    from eventlab.reports.ledger.records import Records  # noqa: PLC0415 - as above
    from eventlab.reports.schedule import crews, rounds, services  # noqa: PLC0415 - as above
    from eventlab.reports.schedule.workshops import Workshop  # noqa: PLC0415 - as above

    configuration = configured(config, store)
    with Records.open(configuration.log) as records:
        workshop = Workshop(configuration=configuration, records=records)
        with crews.interruptible(workshop.cancelled):
            outcome = rounds.round(workshop, most=jobs)
        waits = deliveries.next_try(records)
    ended = [{"report": run.report, "period": run.period, "ending": ending} for run, ending in outcome.endings]
    facts = {
        "planned": outcome.planned,
        "runs": ended,
        "told": outcome.told,
        "undelivered": outcome.undelivered,
        "errors": outcome.errors,
    }
    quiet = "" if waits is None else f" A delivery waits for its next try, at {waits.isoformat(' ', 'seconds')}."
    tell(services.told(outcome) or [f"Nothing is due.{quiet}"], facts, as_json=json)
    if workshop.cancelled.is_set():
        raise KeyboardInterrupt
    if not outcome.good:
        failed, undelivered = outcome.count("failed"), outcome.undelivered
        parts = [f"{counted(failed, 'run')} failed"] if failed else []
        parts += [f"{counted(undelivered, 'message')} could not be delivered"] if undelivered else []
        raise ReportError(
            outcome.errors[0] if outcome.errors else ", ".join(parts), hint="eventlab schedule explain NAME says more."
        )


def status(*, config: Config = None, store: StoreOf = None, output: Output = TABLE) -> None:
    """Show how each report stands: when it is due next, what was last, how many were made, failed, were skipped, wait."""
    from eventlab.reports.schedule import standings, workshops  # noqa: PLC0415 - as above

    output.checked()
    with opened(config, store) as (configuration, records):
        query, values = standings.status(configuration, workshops.utc_now(), records)
        outputs.show(records.log.sql(query, values), output)


def listing(*, config: Config = None, store: StoreOf = None, output: Output = TABLE) -> None:
    """List the reports that are on schedule: when each is due, from what it is made, how it is delivered."""
    from eventlab.reports.schedule import standings, workshops  # noqa: PLC0415 - as above

    output.checked()
    with opened(config, store) as (configuration, records):
        query, values = standings.listing(configuration, workshops.utc_now())
        outputs.show(records.log.sql(query, values), output)


def explain(
    name: Annotated[str, Parameter(name="NAME", help="The report.")],
    /,
    *,
    config: Config = None,
    store: StoreOf = None,
    json: AsJson = False,
) -> None:
    """Say how a report stands and why: what is next, what was last, what waits, what was missed."""
    from eventlab.reports.schedule import standings, workshops  # noqa: PLC0415 - as above

    with opened(config, store) as (configuration, records), meant():
        lines = standings.explain(configuration, name, workshops.utc_now(), records)
    tell(lines, {"report": name, "explain": lines}, as_json=json)


def configured(config: Path | None, store: Path | None) -> "Configuration":
    """Return the configuration that the options mean."""
    from eventlab.reports.configuration import configurations  # noqa: PLC0415 - as above

    with meant():
        return configurations.load(configurations.find(config, store))


@contextlib.contextmanager
def meant() -> "Iterator[None]":
    """Let what names nothing that there is, or no time, be a wrong use of the command."""
    try:
        yield
    except InvalidArgument as error:
        raise UsageError(error.message, hint=error.hint) from None


def tell(lines: "Sequence[str]", facts: "Mapping[str, object]", *, as_json: bool) -> None:
    """Print lines for people, or an object for programs."""
    if as_json:
        outputs.report("", facts, as_json=True)
    else:
        sys.stdout.writelines(f"{printable(line)}\n" for line in lines)


@contextlib.contextmanager
def opened(config: Path | None, store: Path | None) -> "Iterator[tuple[Configuration, Records]]":
    """Yield the configuration, and the runs log to read: an empty one where nothing has run yet."""
    from eventlab.reports.ledger.records import Records  # noqa: PLC0415 - as above

    configuration = configured(config, store)
    there = (configuration.log / "store.toml").is_file()
    with Records.open(configuration.log, read_only=there) as records:
        yield configuration, records


def _say(line: str) -> None:
    """Print what a service does, with the time, at once."""
    now = dt.datetime.now().astimezone().isoformat(" ", "seconds")
    sys.stdout.write(f"{now}  {printable(line)}\n")
    sys.stdout.flush()


app.command(run, sort_key=0)
app.command(tick, sort_key=1)
app.command(status, sort_key=2)
app.command(listing, name="list", sort_key=3)
app.command(explain, sort_key=4)
