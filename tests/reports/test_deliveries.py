"""Deliveries: what is sent of runs and alerts, that it is tried until it is there, and what the log tells of it."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ledgers
import pytest
import test_smtps
import test_webhooks
from workbenches import Clock

import eventlab as el
from eventlab.errors import StoreFull
from eventlab.reports.configuration.configurations import Channel, Configuration
from eventlab.reports.delivery import channels, deliveries, outboxes
from eventlab.reports.delivery.channels import DeliveryError
from eventlab.reports.figures import Change, Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from eventlab.reports.delivery.channels import Message
    from eventlab.reports.delivery.deliveries import Counts
    from eventlab.reports.ledger.records import Records

FIGURES = [Figure("cancelled", 472), Figure("share", 12.5, "Share of cancelled", "%")]
MAIL = Channel(name="mail", type="smtp", options={"host": "h"})
OPS = Channel(name="ops", type="webhook", options={"url_env": "OPS_URL"})


@dataclass
class Sender:
    """Takes what is sent over a channel, or does not."""

    name: str
    faults: list[Exception] = field(default_factory=list)
    taken: list[Message] = field(default_factory=list)
    reached: list[list[str]] = field(default_factory=list)
    before: Callable[[], object] = lambda: None

    def send(self, message: Message, *, reached: Collection[str] = ()) -> None:
        """Take a message, unless there is a fault left."""
        self.before()
        self.reached.append(list(reached))
        if self.faults:
            raise self.faults.pop(0)
        self.taken.append(message)


@dataclass
class Bench:
    """A runs log, its channels, and a clock."""

    records: Records
    clock: Clock
    configuration: Configuration
    senders: dict[str, Sender] = field(default_factory=lambda: {name: Sender(name) for name in ("mail", "ops")})
    environment: dict[str, str] = field(default_factory=dict)

    def deliver(self) -> Counts:
        """Do a round."""
        return deliveries.deliver(
            self.configuration, self.records, clock=self.clock, environment=self.environment, sending=self._sending
        )

    def _sending(self, channel: Channel, _environment: Mapping[str, str]) -> Sender:
        return self.senders[channel.name]

    def events(self, *types: str) -> list[dict[str, Any]]:
        """Return what events of these types say."""
        return [event.payload for event in self.records.log.read(types=types)]


def configuration(folder: Path) -> Configuration:
    """Return a configuration with a mail channel and a webhook."""
    return Configuration(
        path=folder / "reports.toml", log=folder / "log", reports={}, channels={"mail": MAIL, "ops": OPS}
    )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench in a folder of its own."""
    clock = Clock(dt.datetime(2013, 3, 1, tzinfo=dt.UTC))
    with ledgers.opened(tmp_path, clock) as records:
        yield Bench(records, clock, configuration(tmp_path))


def fault(text: str = "h:25 answered 451 try later", **given: Any) -> DeliveryError:
    """Return a fault of a channel."""
    return DeliveryError(text, **given)


def test_a_finished_run_is_sent_over_each_of_its_channels(bench: Bench) -> None:
    """Once over each, and recorded; a second round has nothing to do."""
    ledgers.append(bench.records, 9, ledgers.planned(), ledgers.finished(FIGURES, deliver=["mail", "ops"]))
    assert bench.deliver() == deliveries.Counts(sent=2)
    assert bench.deliver() == deliveries.Counts()
    assert [len(sender.taken) for sender in bench.senders.values()] == [1, 1]
    told = bench.events("DeliverySucceeded")
    assert sorted(one["channel"] for one in told) == ["mail", "ops"]
    assert {(one["what"], one["report"], one["period"], one["version"], one["attempt"]) for one in told} == {
        ("report", "daily", "2013-02-09", 1, 1)
    }


@pytest.mark.parametrize("later", [False, True])
def test_what_is_not_to_be_delivered_is_not(bench: Bench, *, later: bool) -> None:
    """A run without channels, a failure that is tried again, and a run that is planned or skipped are nobody's news."""
    if later:  # than when the history was read
        bench.deliver()
    ledgers.append(bench.records, 1, ledgers.planned(), ledgers.finished())
    ledgers.append(bench.records, 2, ledgers.planned(), ledgers.failed(final=False, deliver=["mail"]))
    ledgers.append(bench.records, 3, ("RunSkipped", {"why": "late"}))
    assert bench.deliver() == deliveries.Counts()


def test_a_webhook_gets_facts(bench: Bench) -> None:
    """For programs: the report, its period, figures and files; for people a short text."""
    ledgers.append(bench.records, 9, ledgers.finished(FIGURES, deliver=["ops"]))
    bench.deliver()
    [message] = bench.senders["ops"].taken
    assert message.subject == "Flights, 2013-02-09"
    assert message.text == (
        "Flights, 2013-02-09\n\nCancelled: 472\nShare of cancelled: 12.5%\nPage: /out/daily/page.html\n"
    )
    assert json.loads(json.dumps(message.facts)) == {
        "kind": "report",
        "status": "ok",
        "report": "daily",
        "title": "Flights",
        "period": {"name": "2013-02-09", "start": "2013-02-09T00:00:00Z", "end": "2013-02-10T00:00:00Z"},
        "files": ["/out/daily/page.html"],
        "version": 1,
        "figures": {"cancelled": 472, "share": 12.5},
        "basis": "basis:5f3a:p1:r1:open",
    }


def test_a_mail_is_what_the_run_has_kept(bench: Bench, tmp_path: Path) -> None:
    """The mail was made with the page; its pictures come back as they were."""
    kept = {"subject": "Flights", "html": "<p>472", "text": "472", "images": [["course", "iVBORw0KGgo="]]}
    (tmp_path / "mail.json").write_text(json.dumps(kept))
    ledgers.append(bench.records, 9, ledgers.finished(out=str(tmp_path), mail="mail.json", deliver=["mail"]))
    bench.deliver()
    [message] = bench.senders["mail"].taken
    assert (message.subject, message.html, message.text) == ("Flights", "<p>472", "472")
    assert list(message.images) == [("course", b"\x89PNG\r\n\x1a\n")]


@pytest.mark.parametrize("kept", [None, "{", "{}"])
def test_a_mail_that_is_gone_is_told_from_the_record(bench: Bench, tmp_path: Path, kept: str | None) -> None:
    """If somebody has deleted or damaged it, the figures are in the log all the same."""
    if kept is not None:
        (tmp_path / "mail.json").write_text(kept)
    given = {"title": "<b>Flights</b>", "out": str(tmp_path), "mail": "mail.json", "deliver": ["mail"]}
    ledgers.append(bench.records, 9, ledgers.finished([*FIGURES, Figure("worst", "<b>EWR")], **given))
    assert bench.deliver().sent == 1
    [message] = bench.senders["mail"].taken
    assert "Cancelled: 472" in message.text
    assert "&lt;b&gt;Flights&lt;/b&gt;" in (message.html or "")
    assert "<b>" not in (message.html or "")


def test_a_failure_is_delivered(bench: Bench) -> None:
    """The final failure of a run is told over the same channels: what failed, and where its page is."""
    given = {"title": "Flights", "cell": 4, "message": "ValueError: no\nflights", "deliver": ["mail", "ops"]}
    ledgers.append(bench.records, 9, ledgers.planned(), ledgers.failed(**given))
    assert bench.deliver().sent == 2
    [message] = bench.senders["ops"].taken
    assert message.subject == "Flights, 2013-02-09: failed"
    assert "cell 4: ValueError: no flights\nIt was tried 3 times.\nPage: /out/daily/failed.html" in message.text
    assert message.facts["status"] == "failed"
    assert message.facts["error"] == {"kind": "error", "message": "ValueError: no\nflights", "cell": 4}
    assert "472" not in (bench.senders["mail"].taken[0].html or "")


def test_a_correction_is_delivered(bench: Bench) -> None:
    """Version 2 is told as such, with what has changed, and as a message of its own."""
    change = Change("cancelled", Figure("cancelled", 472), Figure("cancelled", 475))
    ledgers.append(bench.records, 9, ledgers.finished(FIGURES, deliver=["ops"]))
    bench.deliver()
    given = {"version": 2, "reason": "restated", "changes": [change.plain()], "deliver": ["ops"]}
    ledgers.append(bench.records, 9, ledgers.finished([Figure("cancelled", 475)], **given))
    bench.deliver()
    first, second = bench.senders["ops"].taken
    assert second.subject == "Flights, 2013-02-09: corrected, version 2"
    assert "cancelled: 472 -> 475 (+3)" in second.text
    assert (second.facts["status"], second.facts["version"]) == ("corrected", 2)
    assert first.key != second.key
    assert [one["what"] for one in bench.events("DeliverySucceeded")] == ["report", "correction"]


def test_a_delivery_is_tried_until_it_arrives(bench: Bench) -> None:
    """After a minute, two, four; with the same key; and then no more."""
    bench.senders["mail"].faults = [fault(hint="Wait.") for _ in range(3)]
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["mail"]))
    began = bench.clock.now
    for minutes in (0, 1, 3):
        bench.clock.now = began + dt.timedelta(minutes=minutes) - dt.timedelta(seconds=1)
        assert minutes == 0 or bench.deliver() == deliveries.Counts()
        bench.clock.now = began + dt.timedelta(minutes=minutes)
        assert bench.deliver() == deliveries.Counts(failed=1)
    assert deliveries.next_try(bench.records) == began + dt.timedelta(minutes=7)
    bench.clock.now = began + dt.timedelta(minutes=7)
    assert bench.deliver() == deliveries.Counts(sent=1)
    assert deliveries.next_try(bench.records) is None
    told = bench.events("DeliveryFailed")
    assert [one["attempt"] for one in told] == [1, 2, 3]
    assert {one["error"] for one in told} == {"h:25 answered 451 try later. Wait."}
    assert not any(one["final"] for one in told)
    assert [one["attempt"] for one in bench.events("DeliveryStarted")] == [1, 2, 3, 4]


def test_a_delivery_is_given_up_after_eight_attempts(bench: Bench) -> None:
    """Attempts are at most an hour apart; the eighth is recorded as the last."""
    bench.senders["mail"].faults = [fault() for _ in range(20)]
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["mail"]))
    began, times, counts = bench.clock.now, [], []
    for _ in range(24 * 60):
        counts.append(bench.deliver())
        if counts[-1] != deliveries.Counts():
            times.append((bench.clock.now - began).total_seconds() / 60)
        bench.clock.forward(minutes=1)
    assert times == [0, 1, 3, 7, 15, 31, 63, 123]
    assert counts.count(deliveries.Counts(given_up=1)) == 1
    assert [one["final"] for one in bench.events("DeliveryFailed")] == [False] * 7 + [True]
    with ledgers.opened(bench.records.path.parent, bench.clock) as records:
        assert not outboxes.outbox(records).waiting()
    assert len(bench.senders["mail"].reached) == 8
    [row] = bench.records.log.sql("select status, attempts, channel, error from deliveries").fetchall()
    assert row == ("given up", 8, "mail", "h:25 answered 451 try later")


def test_a_receiver_may_ask_for_more_time(bench: Bench) -> None:
    """What 429 says is longer than the pause is kept to."""
    bench.senders["ops"].faults = [fault(wait=dt.timedelta(minutes=30))]
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["ops"]))
    bench.deliver()
    assert deliveries.next_try(bench.records) == bench.clock.now + dt.timedelta(minutes=30)


@pytest.mark.parametrize("later", [False, True])
def test_a_failure_that_was_made_good_is_not_told_any_more(bench: Bench, *, later: bool) -> None:
    """Neither the first time nor again: its page is gone. It is recorded why, and what was made is sent."""
    ledgers.append(bench.records, 9, ledgers.failed(deliver=["mail", "ops"]))
    bench.senders["mail"].faults = [fault()]
    if later:  # than when the history was read
        assert bench.deliver() == deliveries.Counts(sent=1, failed=1)
    ledgers.append(bench.records, 8, ledgers.finished())  # another run
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["ops"]))
    bench.senders["mail"].faults = []
    counts = bench.deliver()
    assert counts == deliveries.Counts(sent=1, dropped=1 if later else 2)
    assert "mail: 1 dropped: the run has been made meanwhile" in counts.told
    assert [message.subject for message in bench.senders["mail"].taken] == []
    (failed, *_) = [told for told in bench.events("DeliveryFailed") if told["final"]]
    assert (failed["error"], failed["what"]) == ("the run has been made meanwhile", "failure")
    assert bench.deliver() == deliveries.Counts()


def test_a_failure_is_made_good_by_its_own_run_alone(bench: Bench) -> None:
    """Another run that finishes says nothing of it, nor does one that was made before it failed."""
    ledgers.append(bench.records, 9, ledgers.finished())
    bench.deliver()
    ledgers.append(bench.records, 9, ledgers.failed(deliver=["ops"]))
    ledgers.append(bench.records, 8, ledgers.finished())
    ledgers.append(bench.records, 9, ledgers.planned(), report="other")
    ledgers.append(bench.records, 9, ledgers.finished(), report="other")
    fresh = outboxes.Outbox(bench.records.log).waiting()
    assert [one.overtaken for one in [*fresh, *outboxes.outbox(bench.records).waiting()]] == [False, False]
    assert bench.deliver() == deliveries.Counts(sent=1)


def test_each_channel_says_what_it_did(bench: Bench) -> None:
    """In a line: how many were sent, failed and why, and when they are tried again."""
    for day in (1, 2, 3):
        ledgers.append(bench.records, day, ledgers.finished(deliver=["mail"]))
    ledgers.append(bench.records, 4, ledgers.finished(deliver=["ops"]))
    bench.senders["mail"].faults = [fault("451 try later")]
    assert sorted(bench.deliver().told) == [
        "mail: 2 sent, 1 failed, tried again at 2013-03-01 00:01:00+00:00: 451 try later",
        "ops: 1 sent",
    ]
    assert bench.deliver().told == []


def test_those_who_have_it_are_remembered(bench: Bench) -> None:
    """The addresses that a mail has reached are in the record, also for another process."""
    bench.senders["mail"].faults = [fault(reached=["anna@example.com"]), fault()]
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["mail"]))
    bench.deliver()
    bench.clock.forward(minutes=1)
    bench.deliver()
    bench.clock.forward(minutes=2)
    with ledgers.opened(bench.records.path.parent, bench.clock) as records:
        bench.records = records
        assert bench.deliver().sent == 1
    assert bench.senders["mail"].reached == [[], ["anna@example.com"], ["anna@example.com"]]


def test_a_channel_that_fails_does_not_hold_up_the_other(bench: Bench) -> None:
    """While the mail server is silent the webhook is called, and each channel has its own record."""
    posted = threading.Event()
    bench.senders["ops"].before = posted.set
    bench.senders["mail"].before = lambda: posted.wait(5)
    bench.senders["mail"].faults = [fault("h:25 did not answer within 30 s", unreachable=True)]
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["mail", "ops"]))
    assert bench.deliver() == deliveries.Counts(sent=1, failed=1)
    assert posted.is_set()
    assert [one["channel"] for one in bench.events("DeliverySucceeded")] == ["ops"]


def test_a_channel_that_is_down_is_left_alone(bench: Bench) -> None:
    """What waits behind the first costs no attempt, and is sent when the channel is up again, in order."""
    bench.senders["mail"].faults = [fault(unreachable=True)]
    for day in (1, 2, 3):
        ledgers.append(bench.records, day, ledgers.finished(title=f"Day {day}", deliver=["mail"]))
    assert bench.deliver() == deliveries.Counts(failed=1)
    bench.clock.forward(minutes=1)
    assert bench.deliver() == deliveries.Counts(sent=3)
    assert [message.subject[:5] for message in bench.senders["mail"].taken] == ["Day 1", "Day 2", "Day 3"]
    assert [one["attempt"] for one in bench.events("DeliverySucceeded")] == [2, 1, 1]


def test_a_slow_channel_does_not_take_a_whole_round(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a minute the rest is left to the next round, so that the next report is made in time."""
    for day in (1, 2, 3):
        ledgers.append(bench.records, day, ledgers.finished(deliver=["mail"]))
    monkeypatch.setattr(deliveries, "_PATIENCE", 0.0)
    assert [bench.deliver().sent for _ in range(4)] == [1, 1, 1, 0]


def test_one_message_that_is_refused_holds_up_no_other(bench: Bench) -> None:
    """A refusal that is about the message lets the next ones go, and so does one that cannot even be made."""
    bench.senders["mail"].faults = [fault(), ValueError("sesame")]
    for day in (1, 2, 3):
        ledgers.append(bench.records, day, ledgers.finished(deliver=["mail"]))
    assert bench.deliver() == deliveries.Counts(sent=1, failed=2)
    assert [one["error"] for one in bench.events("DeliveryFailed")] == [
        "h:25 answered 451 try later",
        "it cannot be sent: ValueError",
    ]


def test_a_channel_that_is_no_more(bench: Bench) -> None:
    """What is to be sent over a channel that was taken out of the file fails with its name, and is tried again."""
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["pager"]))
    assert bench.deliver() == deliveries.Counts(failed=1)
    assert bench.events("DeliveryFailed")[0]["error"].startswith("there is no channel 'pager' any more")


def test_a_secret_that_is_not_there_is_waited_for(bench: Bench) -> None:
    """The variable is named in the record; once it is set, the message goes, and its value is nowhere in the log."""
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["ops"]))
    given = {"configuration": bench.configuration, "records": bench.records, "clock": bench.clock}
    assert deliveries.deliver(**given, environment={}).failed == 1
    assert bench.events("DeliveryFailed")[0]["error"].startswith("the environment has no OPS_URL, which 'ops' needs")
    bench.clock.forward(minutes=1)
    assert deliveries.deliver(**given, environment={"OPS_URL": "http://127.0.0.1:9/s3same"}).failed == 1
    told = [json.dumps(event.payload) for event in bench.records.log.read()]
    assert "refused the connection" in told[-1]
    assert not any("s3same" in one for one in told)


def test_a_clock_that_is_set_back(bench: Bench) -> None:
    """A next try that is further ahead than any pause was set by another clock: it is made now."""
    bench.senders["mail"].faults = [fault()]
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["mail"]))
    bench.deliver()
    bench.clock.forward(days=-30)
    assert bench.deliver() == deliveries.Counts(sent=1)


def test_another_process_has_sent_it(bench: Bench) -> None:
    """Two tickers share the log: what one has sent the other does not send; while one sends, the other waits for nothing."""
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["mail"]))
    assert len(outboxes.outbox(bench.records).waiting()) == 1
    with ledgers.opened(bench.records.path.parent, bench.clock) as records:
        other = Bench(records, bench.clock, bench.configuration, bench.senders)
        meanwhile: list[Counts] = []
        bench.senders["mail"].before = lambda: meanwhile.append(bench.deliver()) if not meanwhile else None
        assert other.deliver() == deliveries.Counts(sent=1)
    assert meanwhile == [deliveries.Counts()]
    assert bench.deliver() == deliveries.Counts()
    assert len(bench.senders["mail"].taken) == 1


def test_another_process_sends_it_just_now(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was waiting when the round began is looked at again once the channel is ours."""
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["mail"]))
    claim = deliveries.claims.claim
    with ledgers.opened(bench.records.path.parent, bench.clock) as records:
        other = Bench(records, bench.clock, bench.configuration, bench.senders)

        def slow(*given: Any) -> Any:
            monkeypatch.setattr(deliveries.claims, "claim", claim)
            assert other.deliver() == deliveries.Counts(sent=1)
            return claim(*given)

        monkeypatch.setattr(deliveries.claims, "claim", slow)
        assert bench.deliver() == deliveries.Counts()


def test_history_is_read_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rounds there are, and however much is in the log, it is queried when the first begins."""
    asked: list[str] = []
    sql = el.EventLog.sql
    monkeypatch.setattr(el.EventLog, "sql", lambda log, text, *given: asked.append(text) or sql(log, text, *given))
    for day in range(1, 10):
        ledgers.append(bench.records, day, ledgers.finished(deliver=["mail"]))
        assert bench.deliver() == deliveries.Counts(sent=1)
    assert len(asked) == 1


def test_what_cannot_be_recorded_is_not_sent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk nobody gets the same mail with every round: that it starts is recorded first."""
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["mail", "ops"]))

    def full(*_: object) -> None:
        raise StoreFull("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(type(bench.records), "append", full)
        with pytest.raises(StoreFull):
            bench.deliver()
    assert not any(sender.reached for sender in bench.senders.values())
    assert bench.deliver() == deliveries.Counts(sent=2)


@pytest.mark.parametrize("sealed", [False, True])
def test_a_crash_between_sending_and_recording_sends_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, sealed: bool
) -> None:
    """The message that comes twice has the same key, by which its receiver knows it; it counts as an attempt."""
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["mail"]))
    bench.senders["mail"].faults = [fault(wait=dt.timedelta(minutes=9))]
    bench.deliver()
    bench.clock.forward(minutes=9)
    append = type(bench.records).append

    class Crash(BaseException):
        """The process ends."""

    def crash(records: Records, *writes: Any) -> Any:
        if writes[0][2].type == "DeliverySucceeded":
            raise Crash
        return append(records, *writes)

    with monkeypatch.context() as patched:
        patched.setattr(type(bench.records), "append", crash)
        with pytest.raises(Crash):
            bench.deliver()
    if sealed:
        bench.records.log.seal()
    bench.clock.forward(minutes=-5)
    with ledgers.opened(bench.records.path.parent, bench.clock) as records:
        bench.records = records
        assert bench.deliver() == deliveries.Counts(sent=1)
        assert bench.deliver() == deliveries.Counts()
        first, again = bench.senders["mail"].taken
        assert (first.key, first.digest) == (again.key, again.digest)
        assert [one["attempt"] for one in bench.events("DeliverySucceeded")] == [3]


def test_a_process_that_always_dies_does_not_send_for_ever(bench: Bench) -> None:
    """A message that kills whoever sends it is given up as well."""
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["mail"]))

    class Crash(BaseException):
        """The process ends."""

    def crash() -> None:
        raise Crash

    bench.senders["mail"].before = crash
    for _ in range(8):
        with pytest.raises(Crash):
            bench.deliver()
    assert bench.deliver() == deliveries.Counts(given_up=1)
    assert bench.deliver() == deliveries.Counts()
    assert "ended" in bench.events("DeliveryFailed")[0]["error"]


_KILLED = """
import datetime as dt, os, signal, sys
from pathlib import Path
import ledgers, test_deliveries
from eventlab.reports.delivery import deliveries

folder, now = Path(sys.argv[1]), dt.datetime(2013, 3, 1, tzinfo=dt.UTC)

class Sender:
    def send(self, message, *, reached=()):
        with open(folder / "sent", "a") as file:
            file.write(message.digest + "\\n")
        os.kill(os.getpid(), signal.SIGKILL)

with ledgers.opened(folder, lambda: now) as records:
    deliveries.deliver(test_deliveries.configuration(folder), records, clock=lambda: now, sending=lambda *_: Sender())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_while_sending(bench: Bench, tmp_path: Path) -> None:
    """SIGKILL after a message is out and before that is recorded: it is sent again with the same key, and then done."""
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["mail"]))
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert bench.deliver() == deliveries.Counts(sent=1)
    [message] = bench.senders["mail"].taken
    assert (tmp_path / "sent").read_text() == f"{message.digest}\n"
    assert bench.deliver() == deliveries.Counts()


def test_over_real_channels(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mail and a post arrive, and no secret is anywhere in the log, though the server repeats it in an error."""
    monkeypatch.setenv("no_proxy", "*")
    inbox = test_smtps.Inbox(answers={"DATA": "451 sorry"})
    server = test_smtps.AnyPort(inbox, hostname="127.0.0.1", port=0)
    server.start()
    environment = {}
    addresses = {"from": "a@example.com", "to": ["b@example.com"]}
    options = {"host": "127.0.0.1", "port": server.port, "timeout": dt.timedelta(seconds=5), **addresses}
    with test_webhooks.receiving() as receiver:
        receiver.answers = [(500, {}, b"sorry s3same-hook"), (200, {}, b"")]
        environment["OPS_URL"] = f"http://127.0.0.1:{receiver.port}/s3same-hook"
        given = {
            "configuration": replace(
                bench.configuration, channels={"mail": replace(MAIL, options=options), "ops": OPS}
            ),
            "records": bench.records,
            "clock": bench.clock,
            "environment": environment,
        }
        ledgers.append(bench.records, 9, ledgers.finished(FIGURES, deliver=["mail", "ops"]))
        assert deliveries.deliver(**given) == deliveries.Counts(failed=2)
        bench.clock.forward(minutes=1)
        inbox.answers.clear()
        assert deliveries.deliver(**given) == deliveries.Counts(sent=2)
    server.stop()
    [mail] = inbox.mails
    keys = [headers["Idempotency-Key"] for _, headers, _ in receiver.got]
    assert "Cancelled: 472" in mail.get_body(("plain",)).get_content()
    assert len(keys) == 2
    assert len(set(keys)) == 1
    told = [json.dumps(event.payload) for event in bench.records.log.read()]
    assert not any("s3same" in one for one in told)
    assert {one["error"] for one in bench.events("DeliveryFailed")} == {
        f"127.0.0.1:{server.port} answered 451 sorry",
        "the webhook 'ops' answered 500 Internal Server Error: sorry ***",
    }


def test_sql_can_ask_about_deliveries(bench: Bench) -> None:
    """The state ``deliveries`` has a row for each, with how it stands."""
    bench.senders["mail"].faults = [fault()]
    ledgers.append(bench.records, 9, ledgers.finished(deliver=["mail", "ops"]))
    bench.deliver()
    rows = bench.records.log.sql(
        "select channel, status, report, period, error from deliveries order by channel"
    ).fetchall()
    assert rows == [
        ("mail", "retrying", "daily", "2013-02-09", "h:25 answered 451 try later"),
        ("ops", "sent", "daily", "2013-02-09", None),
    ]


def test_each_type_of_channel_has_its_sender() -> None:
    """What reports.toml names is made from its options."""
    options = {"host": "mail.example.com", "from": "a@example.com", "to": ["b@example.com"]}
    assert "Smtp(" in repr(channels.channel(Channel(name="mail", type="smtp", options=options), {}))
    assert "Webhook(" in repr(channels.channel(OPS, {"OPS_URL": "https://example.com/hook"}))
