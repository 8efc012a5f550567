"""A process that does rounds in forks of itself, which kill themselves at a moment that is asked for; run as a program.

It reads an order a line (JSON) and answers with how its forks ended; of a service, first with the fork's process id.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apscheduler.schedulers.background
import pandas as pd
from workbenches import Clock, Maker, configuration, no_page, report, workshop, write

from eventlab.reports.calendar import crons
from eventlab.reports.configuration.configurations import Channel
from eventlab.reports.delivery import deliveries
from eventlab.reports.execution.executions import Cancelled
from eventlab.reports.ledger import publications
from eventlab.reports.ledger.records import Records
from eventlab.reports.schedule import crews, plans, rounds, services, shelves

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventlab.reports.configuration.configurations import Configuration


LOADED = apscheduler, pd, crons  # what a round loads when it needs it: here once, before there are forks


def configured(folder: Path) -> Configuration:
    """Return what is on schedule: one report, which is delivered."""
    one = report(folder, retries=1, deliver=["ops"])
    return configuration(
        folder, one, channels={"ops": Channel(name="ops", type="webhook", options={"url": "http://[::1]:9"})}
    )


class Noted(Maker):
    """Notes each report that it makes in a file, which outlives the process."""

    def __init__(self, folder: Path, fails: dict[str, int], then: Callable[[], None], poison: str = "") -> None:
        super().__init__(fails=dict(fails))
        self.folder, self.then, self.poison = folder, then, poison

    def __call__(self, *given: Any, **more: Any) -> Any:
        """Make a report."""
        made = super().__call__(*given, **more)
        with (self.folder / "made.txt").open("a") as file:
            file.write(f"{more['period'].name}\n")
        if more["period"].name == self.poison:
            die()
        self.then()
        return made


def die() -> None:
    """End as a process ends that is killed."""
    os.kill(os.getpid(), signal.SIGKILL)


def armed(moment: str) -> dict[str, Any]:  # noqa: C901 - a line a moment
    """Arrange for this process to be killed at a moment, and return what the workshop is to have for it."""
    append, given = Records.append, {"then": lambda: None}

    def dying(before: str | None, after: str | None, *, final: bool = True) -> None:
        def appended(self: Records, *writes: Any) -> Any:
            events = [event for _, _, event in writes if event.payload.get("final", final) is final]
            if any(event.type == before for event in events):
                die()
            result = append(self, *writes)
            if any(event.type == after for event in events):
                die()
            return result

        Records.append = appended  # type: ignore[method-assign]

    def wrapped(*told: Any) -> Any:
        if moment == "writing":
            die()
        paths = write(*told)
        die()
        return paths

    match moment:
        case "planning":
            plans.plan = lambda *_: die()  # type: ignore[assignment,return-value]
        case "planned":
            crews.each = lambda *_, **__: die()  # type: ignore[assignment]
        case "starting" | "started":
            dying("RunStarted" if moment == "starting" else None, "RunStarted")
        case "making":
            given["then"] = die
        case "writing" | "written":
            given["write"] = wrapped  # type: ignore[assignment]
        case "finished":
            dying(None, "RunFinished")
        case "delivering":
            deliveries.deliver = lambda *_, **__: die()  # type: ignore[assignment]
        case "shelving":
            shelves.refresh = lambda *_: die()  # type: ignore[assignment,return-value]
        case "failing" | "failed":
            dying("RunFailed" if moment == "failing" else None, "RunFailed")
        case "pausing":
            dying(None, "RunFailed", final=False)
    return given


def work(order: dict[str, Any]) -> None:
    """Do a round, or run a service, and end."""
    folder = Path(order["folder"])
    deliveries.deliver = lambda *_, **__: deliveries.Counts()
    shelves.refresh = lambda *_: []
    publications.publish_failure = no_page  # type: ignore[assignment]
    given = armed(order.get("moment", ""))
    now = dt.datetime.fromisoformat(order["now"])
    make = Noted(folder, order.get("fails", {}), given.pop("then"), order.get("poison", ""))
    if order.get("serve"):
        serve(folder, make, Clock(now))
        return
    with Records.open(folder / "log") as records:
        bench = workshop(folder, records, clock=Clock(now), make=make, configuration=configured(folder), **given)
        rounds.round(bench, most=order.get("most", 1))


def serve(folder: Path, make: Noted, clock: Clock) -> None:
    """Run a service whose report takes until it is ended."""
    cancelled = threading.Event()

    def then() -> None:
        cancelled.wait()
        raise Cancelled("stopped")

    make.then = then
    with Records.open(folder / "log") as records, crews.interruptible(cancelled):
        bench = workshop(folder, records, clock=clock, make=make, configuration=configured(folder), cancelled=cancelled)
        services.Service(bench, lambda _line: None).run()


def fork(order: dict[str, Any]) -> int:
    """Do the work of an order in a fork, and return its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    log = os.open(f"{order['folder']}/forks.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        work(order)
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it is, the log of the fork has it
        sys.excepthook(*sys.exc_info())
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Answer orders until there are no more."""
    for line in sys.stdin:
        order = json.loads(line)
        children = [fork(order) for _ in range(order.get("tickers", 1))]
        if order.get("serve"):
            print(json.dumps(children), flush=True)  # noqa: T201 - the answer
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(codes), flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    main()
