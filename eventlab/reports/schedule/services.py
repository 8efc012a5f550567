"""Services: a schedule that runs in the foreground until it is told to end, and does a round whenever something is due."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from eventlab.errors import EventlabError
from eventlab.reports.configuration import configurations
from eventlab.reports.delivery import deliveries
from eventlab.reports.ledger.records import Records
from eventlab.reports.schedule import crews, rounds
from eventlab.reports.schedule.workshops import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from apscheduler.job import Job

    from eventlab.reports.configuration.configurations import Configuration
    from eventlab.reports.schedule.rounds import Outcome

LONGEST = dt.timedelta(seconds=30)  # between two rounds: deliveries are retried, other processes' runs are taken over
_LOOK = 1.0  # seconds between two looks at the clock, which may be set


@dataclass
class Service:
    """A schedule in the foreground.

    Attributes
    ----------
    workshop
        What runs are made with; its configuration is read again when its file changes.
    say
        Where to tell what is done, a line each.
    most
        How many runs are made at once; as many as there are cores if None.
    """

    workshop: Workshop
    say: Callable[[str], None]
    most: int | None = None
    _read: tuple[int, int, int] | None = field(default=None, init=False)

    def run(self) -> None:
        """Do rounds until ``workshop.cancelled`` is set; a round that runs then is ended, its reports are made again later.

        One round is done at a time. A report that takes long makes others late, and not different: they are as of when they
        were due.
        """
        from apscheduler.schedulers.background import BackgroundScheduler  # noqa: PLC0415 - for a service alone
        from apscheduler.triggers.base import BaseTrigger  # noqa: PLC0415 - as above

        service = self

        class Wakes(BaseTrigger):  # type: ignore[misc]  # APScheduler is not typed
            """When the next round is."""

            def get_next_fire_time(self, previous: dt.datetime | None, now: dt.datetime) -> dt.datetime:
                return service.wake(now) if previous is not None else now

        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # that a round takes long is no news
        scheduler = BackgroundScheduler(timezone=dt.UTC)
        job = scheduler.add_job(
            self.round, Wakes(), id="round", coalesce=True, max_instances=1, misfire_grace_time=None
        )
        self.begin()
        scheduler.start()
        try:
            while not self.workshop.cancelled.wait(_LOOK):
                _watch_clock(job)
        finally:
            self.workshop.cancelled.set()
            scheduler.shutdown(wait=True)

    def begin(self) -> None:
        """Note as which the configuration's file has been read."""
        self._read = _state(self.workshop.configuration.path)

    def wake(self, now: dt.datetime) -> dt.datetime:
        """Return when the next round is: when a report is due next, and in half a minute at the latest."""
        reports = self.workshop.configuration.reports.values()
        times = [report.schedule.next(now) for report in reports if report.enabled]
        if self.workshop.configuration.channels and (retry := deliveries.next_try(self.workshop.records)) is not None:
            times.append(retry)
        return min([time for time in times if time > now] + [now + LONGEST])

    def round(self) -> Outcome | None:
        """Do a round and tell of it; whatever goes wrong is told, and the next one is done all the same."""
        try:
            self._reload()
            outcome = rounds.round(self.workshop, most=self.most)
        except (EventlabError, OSError) as error:
            self.say(f"error: {crews.told(error)}")
            return None
        except Exception as error:  # noqa: BLE001 - a service goes on
            self.say(f"error: {type(error).__name__}: {error}")
            return None
        for line in told(outcome):
            self.say(line)
        return outcome

    def _reload(self) -> None:
        """Read the configuration again if its file has changed; one that cannot be read leaves the old one."""
        path = self.workshop.configuration.path
        state = _state(path)
        if state == self._read:
            return
        self._read = state
        configuration = configurations.load(path)
        if configuration.log != self.workshop.configuration.log:
            self.say(
                f"{path}: the runs log is another one now; the service keeps {self.workshop.records.path} until it is started anew"
            )
        self.workshop = replace(self.workshop, configuration=configuration)
        self.say(f"{path} has changed: {_counted(configuration)}")


def serve(configuration: Configuration, *, say: Callable[[str], None], most: int | None = None) -> None:
    """Run a schedule in the foreground until Ctrl-C or SIGTERM.

    Raises
    ------
    StoreError
        If the runs log cannot be opened.
    """
    with Records.open(configuration.log) as records:
        workshop = Workshop(configuration=configuration, records=records)
        with crews.interruptible(workshop.cancelled):
            say(f"{configuration.path}: {_counted(configuration)}. Ctrl-C ends it.")
            Service(workshop, say, most).run()


def told(outcome: Outcome) -> list[str]:
    """Return what a round did, in lines."""
    lines = [f"{run.report}, {run.period}: {ending}" for run, ending in outcome.endings if ending != "elsewhere"]
    return lines + outcome.told + [f"error: {line}" for line in outcome.errors]


def _watch_clock(job: Job) -> None:
    """Wake a round whose time has moved away since the clock was set back."""
    now = dt.datetime.now(dt.UTC)
    if job.next_run_time is not None and job.next_run_time > now + LONGEST:
        job.modify(next_run_time=now)


def _counted(configuration: Configuration) -> str:
    enabled = sum(report.enabled for report in configuration.reports.values())
    return f"{enabled} report{'s' if enabled != 1 else ''} on schedule"


def _state(path: Path) -> tuple[int, int, int] | None:
    """Return by what it is told whether a file has changed; None if it is not there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
