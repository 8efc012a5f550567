"""Deliveries: what the runs log says is to be sent, sent over its channels until it is there, or given up.

A delivery is of one event (a run that finished or failed, an alert) over one channel. It is recorded when it starts and how it
ends, so that a crash in between sends the same message again, with the same key, and no failure is without a record.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import eventlab as el
from eventlab.errors import WrongExpectedVersion
from eventlab.reports.delivery import channels, notices, outboxes
from eventlab.reports.delivery.channels import DeliveryError
from eventlab.reports.ledger import claims

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eventlab.reports.configuration.configurations import Channel, Configuration
    from eventlab.reports.delivery.channels import Sender
    from eventlab.reports.delivery.outboxes import Outbox, Waiting
    from eventlab.reports.ledger.records import Records

    Sending = Callable[[Channel, Mapping[str, str]], Sender]

MOST = 8  # attempts
_FIRST = dt.timedelta(minutes=1)  # until the second attempt
_PATIENCE = 60.0  # seconds of a round that a slow channel may take: the next report is due


@dataclass(frozen=True, slots=True)
class Counts:
    """What a round of deliveries did: how many were ``sent``, ``failed`` (and are tried again), were ``given_up``."""

    sent: int = 0
    failed: int = 0
    given_up: int = 0


def deliver(
    configuration: Configuration,
    records: Records,
    *,
    clock: Callable[[], dt.datetime],
    environment: Mapping[str, str] | None = None,
    sending: Sending = channels.channel,
) -> Counts:
    """Send what is due, each channel on its own: one that is down or slow does not hold up another.

    What fails is tried again after a minute, two, four, … an hour, eight times in all, and given up then. A channel that is
    down is left alone until the next round, and so is one that is slow for a minute; what waits costs no attempt. Of two
    processes, one delivers over a channel.

    Parameters
    ----------
    configuration
        With the channels.
    records
        With what is to be sent, and where it is recorded.
    clock
        The present, aware.
    environment
        In which the secrets are; the process's own if left out.
    sending
        What makes the sender of a channel.

    Raises
    ------
    StoreError
        If it cannot be recorded that a delivery starts: then it is not sent; or how it ended.
    """
    box, now = outboxes.outbox(records), clock()
    names = list(dict.fromkeys(waiting.channel for waiting in box.waiting() if waiting.due(now)))
    if not names:
        return Counts()
    environment = os.environ if environment is None else environment
    posts = [_Post(name, configuration.channels.get(name), records, box, clock, environment, sending) for name in names]
    with ThreadPoolExecutor(len(posts)) as pool:
        outcomes = [one for each in [pool.submit(post.work) for post in posts] for one in each.result()]
    return Counts(*(outcomes.count(outcome) for outcome in ("sent", "failed", "given up")))


def next_try(records: Records) -> dt.datetime | None:
    """Return when the next delivery is to be tried again; None if none waits for its time."""
    return min(
        (waiting.retry_at for waiting in outboxes.outbox(records).waiting() if waiting.retry_at is not None),
        default=None,
    )


@dataclass(frozen=True, slots=True)
class _Post:
    """What delivers over one channel."""

    name: str
    channel: Channel | None
    records: Records
    box: Outbox
    clock: Callable[[], dt.datetime]
    environment: Mapping[str, str]
    sending: Sending

    def work(self) -> list[Literal["sent", "failed", "given up"]]:
        """Send what is due over the channel, in order; return how each ended."""
        outcomes: list[Literal["sent", "failed", "given up"]] = []
        with claims.claim(self.records.path / "locks", f"channel {self.name}") as mine:
            if not mine:
                return outcomes
            self.box.sync()  # what another process has sent while it had the channel
            now, until = self.clock(), time.monotonic() + _PATIENCE
            for waiting in self.box.waiting():
                if waiting.channel != self.name or not waiting.due(now):
                    continue
                try:
                    error = self._deliver(waiting)
                except WrongExpectedVersion:  # a process that cannot see our lock was faster
                    continue
                outcomes.append("sent" if error is None else "failed" if waiting.attempts + 1 < MOST else "given up")
                if time.monotonic() > until or (error is not None and error.unreachable):
                    break
        return outcomes

    def _deliver(self, waiting: Waiting) -> DeliveryError | None:
        """Send a message, with a record before and after; return why it did not arrive, None if it did."""
        attempt = waiting.attempts + 1
        if attempt > MOST:
            error: DeliveryError | None = DeliveryError("the processes that sent it ended before they knew")
            self._record(waiting, waiting.version, "DeliveryFailed", waiting.attempts, error)
            return error
        self._record(waiting, waiting.version, "DeliveryStarted", attempt)
        error = self._send(waiting)
        self._record(
            waiting, waiting.version + 1, "DeliverySucceeded" if error is None else "DeliveryFailed", attempt, error
        )
        return error

    def _send(self, waiting: Waiting) -> DeliveryError | None:
        if self.channel is None:
            return DeliveryError(f"there is no channel {self.name!r} any more", hint="Name it in reports.toml again.")
        try:
            sender = self.sending(self.channel, self.environment)
            mailed = self.channel.type == "smtp"
            message = notices.notice(waiting.event_type, waiting.told, key=waiting.stream, mailed=mailed)
            sender.send(message, reached=waiting.reached)
        except DeliveryError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one message that cannot be made holds up no other
            return DeliveryError(f"it cannot be sent: {type(error).__name__}")  # whose words may have a secret
        return None

    def _record(
        self, waiting: Waiting, version: int, event_type: str, attempt: int, error: DeliveryError | None = None
    ) -> None:
        told = {**waiting.facts(), "attempt": attempt}
        now = self.clock()
        if error is not None:
            final = attempt >= MOST
            pause = max(min(_FIRST * 2 ** (attempt - 1), outboxes.LONGEST), error.wait or _FIRST)
            told |= {
                "error": channels.sentence(error),
                "final": final,
            }
            told |= {"retry_at": None if final else now + pause, "reached": error.reached or list(waiting.reached)}
        self.records.append((waiting.stream, version, el.Event(event_type, told, occurred_at=now)))
        self.box.sync()
