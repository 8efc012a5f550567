"""Deliveries: what the runs log says is to be sent, sent over its channels until it is there, or given up.

A delivery is of one event (a run that finished or failed, an alert) over one channel. It is recorded when it starts and how it
ends, so that a crash in between sends the same message again, with the same key, and no failure is without a record.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import eventlab as el
from eventlab.errors import WrongExpectedVersion
from eventlab.reports.delivery import channels, notices, outboxes
from eventlab.reports.delivery.channels import DeliveryError
from eventlab.reports.ledger import claims

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from eventlab.reports.configuration.configurations import Channel, Configuration
    from eventlab.reports.delivery.channels import Sender
    from eventlab.reports.delivery.outboxes import Outbox, Waiting
    from eventlab.reports.ledger.records import Records

    Sending = Callable[[Channel, Mapping[str, str]], Sender]

_Outcome = Literal["sent", "failed", "given up", "dropped"]

MOST = 8  # attempts
_FIRST = dt.timedelta(minutes=1)  # until the second attempt
_MADE = "the run has been made meanwhile"
_PATIENCE = 60.0  # seconds of a round that a slow channel may take: the next report is due


@dataclass(frozen=True, slots=True)
class Counts:
    """What a round of deliveries did.

    Attributes
    ----------
    sent, failed, given_up
        How many arrived, failed and are tried again, and failed for the last time.
    dropped
        How many were not sent any more: of a failure whose run was made meanwhile.
    told
        The same in lines, one a channel, with why something failed.
    """

    sent: int = 0
    failed: int = 0
    given_up: int = 0
    dropped: int = 0
    told: list[str] = field(default_factory=list, compare=False)


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a delivery ended: why it did not arrive, and when it is tried again; neither if it did."""

    outcome: _Outcome
    error: DeliveryError | None = None
    retry_at: dt.datetime | None = None


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
    processes, one delivers over a channel. That a run has failed is not told any more once it has been made: its page is gone.

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
        endings = [each.result() for each in [pool.submit(post.work) for post in posts]]
    outcomes = [ending.outcome for each in endings for ending in each]
    sent, failed, given_up, dropped = (outcomes.count(outcome) for outcome in get_args(_Outcome))
    told = [_told(post.name, each) for post, each in zip(posts, endings, strict=True) if each]
    return Counts(sent, failed, given_up, dropped, told)


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

    def work(self) -> list[_Ending]:
        """Send what is due over the channel, in order; return how each ended."""
        endings: list[_Ending] = []
        with claims.claim(self.records.path / "locks", f"channel {self.name}") as mine:
            if not mine:
                return endings
            self.box.sync()  # what another process has sent while it had the channel
            now, until = self.clock(), time.monotonic() + _PATIENCE
            for waiting in self.box.waiting():
                if waiting.channel != self.name or not waiting.due(now):
                    continue
                try:
                    ending = self._deliver(waiting)
                except WrongExpectedVersion:  # a process that cannot see our lock was faster
                    continue
                endings.append(ending)
                if time.monotonic() > until or (ending.error is not None and ending.error.unreachable):
                    break
        return endings

    def _deliver(self, waiting: Waiting) -> _Ending:
        """Send a message, with a record before and after; return how that ended."""
        attempt = waiting.attempts + 1
        if waiting.overtaken:
            self._fail(waiting, waiting.version, waiting.attempts, DeliveryError(_MADE), final=True)
            return _Ending("dropped")
        if attempt > MOST:
            error = DeliveryError("the processes that sent it ended before they knew")
            return self._fail(waiting, waiting.version, waiting.attempts, error, final=True)
        self._record(waiting, waiting.version, "DeliveryStarted", attempt)
        failed = self._send(waiting)
        if failed is not None:
            return self._fail(waiting, waiting.version + 1, attempt, failed, final=attempt >= MOST)
        self._record(waiting, waiting.version + 1, "DeliverySucceeded", attempt)
        return _Ending("sent")

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

    def _fail(self, waiting: Waiting, version: int, attempt: int, error: DeliveryError, *, final: bool) -> _Ending:
        """Record that a message did not arrive, and when it is tried again."""
        pause = max(min(_FIRST * 2 ** max(attempt - 1, 0), outboxes.LONGEST), error.wait or _FIRST)
        retry_at = None if final else self.clock() + pause
        told = {"error": channels.sentence(error), "final": final, "retry_at": retry_at}
        told |= {"reached": error.reached or list(waiting.reached)}
        self._record(waiting, version, "DeliveryFailed", attempt, told)
        return _Ending("given up" if final else "failed", error, retry_at)

    def _record(
        self, waiting: Waiting, version: int, event_type: str, attempt: int, more: Mapping[str, object] | None = None
    ) -> None:
        told = {**waiting.facts(), "attempt": attempt, **(more or {})}
        self.records.append((waiting.stream, version, el.Event(event_type, told, occurred_at=self.clock())))
        self.box.sync()


def _told(channel: str, endings: Sequence[_Ending]) -> str:
    """Return in a line what a channel has done."""
    counts = Counter(ending.outcome for ending in endings)
    parts = [f"{counts[outcome]} {outcome}" for outcome in get_args(_Outcome) if counts[outcome]]
    retries = [ending.retry_at for ending in endings if ending.retry_at is not None]
    again = [f"tried again at {min(retries).isoformat(' ', 'seconds')}"] if retries else []
    errors = dict.fromkeys(channels.sentence(ending.error) for ending in endings if ending.error is not None)
    dropped = [_MADE] if counts["dropped"] else []
    why = "; ".join([*errors, *dropped])
    return f"{channel}: {', '.join([*parts, *again])}" + (f": {why}" if why else "")
