"""Alerts: when they fire and recover, which periods they look at, and that each is looked at once."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import ledgers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from workbenches import Clock

import eventlab as el
from eventlab.reports.configuration.configurations import Alert, Channel, Configuration, Report
from eventlab.reports.delivery import alerts, deliveries, watches
from eventlab.reports.delivery.alerts import Answer, Checked
from eventlab.reports.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from eventlab.reports.delivery.channels import Message
    from eventlab.reports.ledger.records import Records

MANY = Alert(name="many cancelled", report="daily", when="cancelled > 300", deliver=["ops"])
OPS = Channel(name="ops", type="webhook", options={"url_env": "OPS_URL"})


@dataclass
class Bench:
    """A runs log, a report, its store, and alerts."""

    folder: Path
    records: Records
    clock: Clock
    alerts: list[Alert] = field(default_factory=lambda: [MANY])

    @property
    def configuration(self) -> Configuration:
        """The configuration with these alerts."""
        given: dict[str, Any] = {
            "source": "m:f",
            "store": self.folder / "store",
            "out": self.folder,
            "timezone": "America/New_York",
        }
        reports = {alert.report: Report(name=alert.report, **given) for alert in self.alerts}
        return Configuration(
            path=self.folder / "reports.toml",
            log=self.folder / "log",
            reports=reports,
            channels={"ops": OPS},
            alerts=self.alerts,
        )

    def check(self) -> Checked:
        """Do a round of checks."""
        return alerts.check(self.configuration, self.records, clock=self.clock)

    def ran(self, day: int, cancelled: object = 0, *, report: str = "daily", **told: Any) -> None:
        """Let a scheduled run finish, with a figure."""
        figures = [Figure("cancelled", cancelled)]  # type: ignore[arg-type]
        ledgers.append(self.records, day, ledgers.planned(), ledgers.finished(figures, **told), report=report)

    def told(self, *types: str) -> list[tuple[str, str]]:
        """Return the events of alerts that tell something: the type and the period."""
        kinds = types or ("AlertFired", "AlertRecovered", "AlertBroken")
        return [(event.event_type, event.payload["period"][-2:]) for event in self.records.log.read(types=kinds)]

    def checked(self) -> list[dict[str, Any]]:
        """Return what each check found."""
        return [event.payload for event in self.records.log.read(types=["AlertChecked"])]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench in a folder of its own."""
    clock = Clock(dt.datetime(2013, 3, 1, tzinfo=dt.UTC))
    with ledgers.opened(tmp_path, clock) as records:
        yield Bench(tmp_path, records, clock)


def oracle(answers: Sequence[bool | None], for_periods: int) -> list[str | None]:
    """Say slowly what is to be told in each period: None among the answers is a check that failed."""
    told: list[str | None] = []
    for i, answer in enumerate(answers):
        if answer is None:
            told.append("broken" if i == 0 or answers[i - 1] is not None else None)
            continue
        known = [one for one in answers[: i + 1] if one is not None]
        fired = [i for i, word in enumerate(told) if word == "fired"]
        recovered = [i for i, word in enumerate(told) if word == "recovered"]
        in_episode = bool(fired) and (not recovered or recovered[-1] < fired[-1])
        if answer and not in_episode and len(known) >= for_periods and all(known[-for_periods:]):
            told.append("fired")
        elif not answer and in_episode:
            told.append("recovered")
        else:
            told.append(None)
    return told


ANSWERS = st.lists(st.sampled_from([True, True, False, None]), max_size=30)


@settings(max_examples=150, deadline=None)
@given(ANSWERS, st.integers(1, 4))
@example([True, None, True, True, False, False, True], 2)
def test_episodes_against_plain_python(answers: list[bool | None], for_periods: int) -> None:
    """Once an episode it fires, when it has held long enough; once it recovers; a failing check is told once in a row."""
    watch, told = watches.Watch(), []
    for i, answer in enumerate(answers):
        given_answer = Answer(answer) if answer is not None else Answer(None, error="no figure")
        watch, happened = alerts.step(watch, given_answer, str(i), for_periods=for_periods)
        told.append(happened)
    assert told == oracle(answers, for_periods)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Return a bench for many examples, each of which has a report of its own."""
    clock, folder = Clock(dt.datetime(2013, 3, 1, tzinfo=dt.UTC)), tmp_path_factory.mktemp("alerts")
    with ledgers.opened(folder, clock) as records:
        yield Bench(folder, records, clock)


@settings(max_examples=10, deadline=None)
@given(
    days=st.lists(
        st.tuples(st.sampled_from([True, True, False, None]), st.sampled_from(["", "check", "restart"])), max_size=12
    ),
    for_periods=st.integers(1, 3),
)
def test_a_log_of_alerts_against_plain_python(
    shared: Bench, days: list[tuple[bool | None, str]], for_periods: int
) -> None:
    """However runs, rounds and restarts alternate, the log tells each episode once: what is kept in mind is a shortcut."""
    name = f"daily-{shared.records.log.position}"
    shared.alerts = [replace(MANY, name=name, report=name, for_periods=for_periods)]
    before = len(shared.told())
    for day, (answer, then) in enumerate(days, start=1):
        shared.ran(day, {True: 301, False: 300, None: "many"}[answer], report=name)
        if day == 1 or then:
            shared.check()
        if then == "restart":
            watches._books.clear()
    shared.check()
    words = {"fired": "AlertFired", "recovered": "AlertRecovered", "broken": "AlertBroken"}
    expected = enumerate(oracle([answer for answer, _ in days], for_periods), start=1)
    assert shared.told()[before:] == [(words[word], f"{day:02}") for day, word in expected if word is not None]


def test_an_alert_fires_and_recovers(bench: Bench) -> None:
    """What is told has the condition, the figures, since when it holds, and over which channels it goes."""
    bench.alerts = [replace(MANY, for_periods=2)]
    for day, cancelled in enumerate([100, 301, 472, 500, 12], start=1):
        bench.ran(day, cancelled)
        bench.check()
    fired, recovered = (bench.records.log.read(types=[kind]) for kind in ("AlertFired", "AlertRecovered"))
    [first], [last] = ([event.payload for event in events] for events in (fired, recovered))
    assert (first["period"], first["since"], first["streak"]) == ("2013-02-03", "2013-02-02", 2)
    assert (first["condition"], first["figures"], first["deliver"]) == ("cancelled > 300", {"cancelled": 472}, ["ops"])
    assert (last["period"], last["since"], last["figures"]) == ("2013-02-05", "2013-02-02", {"cancelled": 12})
    assert [one["holds"] for one in bench.checked()] == [False, True, True, True, False]


def test_an_alert_is_delivered_like_a_report(bench: Bench) -> None:
    """Fired and recovered go over its channels, each as a message of its own."""
    bench.ran(9, 472)
    bench.check()
    bench.ran(10, 3)
    bench.check()
    taken: list[Message] = []

    class Sender:
        def send(self, message: Message, *, reached: object = ()) -> None:  # noqa: ARG002 - a webhook
            taken.append(message)

    counts = deliveries.deliver(bench.configuration, bench.records, clock=bench.clock, sending=lambda *_: Sender())
    assert counts.sent == 2
    assert [message.subject for message in taken] == [
        "Alert: many cancelled (Flights, 2013-02-09)",
        "Recovered: many cancelled (Flights, 2013-02-10)",
    ]
    assert taken[0].text.splitlines()[2:] == [
        "Condition: cancelled > 300",
        "Cancelled: 472",
        "Page: /out/daily/page.html",
    ]
    assert taken[0].facts["alert"] == {
        "name": "many cancelled",
        "condition": "cancelled > 300",
        "since": "2013-02-09",
        "streak": 1,
    }
    assert [message.facts["status"] for message in taken] == ["fired", "recovered"]


def test_each_period_is_checked_once(bench: Bench) -> None:
    """A round without a new run checks nothing; neither does one of another process, or after a restart."""
    bench.ran(1, 472)
    assert bench.check() == Checked(checked=1, fired=1)
    assert bench.check() == Checked()
    with ledgers.opened(bench.folder, bench.clock) as records:
        assert alerts.check(bench.configuration, records, clock=bench.clock) == Checked()
        bench.ran(2, 472)
        assert alerts.check(bench.configuration, records, clock=bench.clock) == Checked(checked=1)
    assert bench.check() == Checked()
    assert bench.told() == [("AlertFired", "01")]


def test_a_round_says_what_its_alerts_did(bench: Bench) -> None:
    """A line when one fires, recovers, or cannot be checked, and why not."""
    lines = []
    for day, figures in enumerate(([Figure("cancelled", 472)], [Figure("cancelled", 1)], []), start=1):
        ledgers.append(bench.records, day, ledgers.planned(), ledgers.finished(figures))
        lines.append(alerts.check(bench.configuration, bench.records, clock=bench.clock).told)
    assert lines[:2] == [
        ["alert many cancelled (daily, 2013-02-01): fired"],
        ["alert many cancelled (daily, 2013-02-02): recovered"],
    ]
    assert lines[2][0].startswith("alert many cancelled (daily, 2013-02-03): cannot be checked: ")


def test_two_processes_check_the_same_period(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that records first has checked it; the other takes that in and tells nothing twice."""
    bench.ran(1, 472)
    bench.ran(2, 472)
    with ledgers.opened(bench.folder, bench.clock) as records:
        append = type(records).append

        def late(mine: Records, *writes: Any) -> Any:
            if mine is bench.records:
                monkeypatch.setattr(type(records), "append", append)
                alerts.check(bench.configuration, records, clock=bench.clock)
            return append(mine, *writes)

        monkeypatch.setattr(type(records), "append", late)
        bench.check()
    assert bench.check() == Checked()
    assert bench.told() == [("AlertFired", "02")]
    assert len(bench.checked()) == 1


def test_a_backfill_is_not_checked(bench: Bench) -> None:
    """What was made later for a past that no schedule asked for alarms nobody; unless the schedule had asked for it."""
    ledgers.append(bench.records, 1, ledgers.finished([Figure("cancelled", 472)], reason="backfill"))
    assert bench.check() == Checked()
    ledgers.append(bench.records, 2, ledgers.finished([Figure("cancelled", 472)], reason="backfill"))
    assert bench.check() == Checked()
    ledgers.append(bench.records, 3, ledgers.planned(), ledgers.finished([Figure("cancelled", 472)], reason="backfill"))
    assert bench.check() == Checked(checked=1, fired=1)
    bench.alerts = [replace(MANY, name="new", for_periods=3)]  # for which the history is read
    assert bench.check() == Checked(checked=1)


def test_a_planned_run_that_a_backfill_makes(bench: Bench) -> None:
    """It is seen whether the plan is older than the process that checks, or not."""
    bench.ran(1)
    ledgers.append(bench.records, 2, ledgers.planned(), ("RunStarted", {"reason": "backfill", "attempt": 1}))
    bench.check()
    ledgers.append(bench.records, 2, ledgers.finished([Figure("cancelled", 472)], reason="backfill"))
    assert bench.check() == Checked(checked=1, fired=1)


def test_a_corrected_version_is_not_checked_again(bench: Bench) -> None:
    """Version 2 is told by its own delivery; what was issued first is what counts, also for a new alert."""
    bench.ran(1, 472)
    bench.check()
    ledgers.append(bench.records, 1, ledgers.finished([Figure("cancelled", 3)], version=2, reason="restated"))
    assert bench.check() == Checked()
    bench.ran(2, 472)
    ledgers.append(bench.records, 2, ledgers.finished([Figure("cancelled", 3)], version=2, reason="restated"))
    assert bench.check() == Checked(checked=1)
    bench.alerts = [replace(MANY, name="new", for_periods=2)]
    assert bench.check() == Checked(checked=2, fired=1)


def test_later_periods_wait_for_an_earlier_one(bench: Bench) -> None:
    """While a run is tried again, the next ones are not checked: periods come in order, or not at all."""
    ledgers.append(bench.records, 1, ledgers.planned(), ledgers.failed(final=False))
    bench.alerts = [replace(MANY, for_periods=2)]
    bench.ran(2, 472)
    assert bench.check() == Checked()
    ledgers.append(bench.records, 1, ledgers.finished([Figure("cancelled", 472)]))
    assert bench.check() == Checked(checked=2, fired=1)
    assert [one["period"][-2:] for one in bench.checked()] == ["01", "02"]


def test_a_run_that_failed_neither_counts_nor_interrupts(bench: Bench) -> None:
    """Nothing is known of its period; made after all when later ones have been checked, it is not gone back to."""
    bench.alerts = [replace(MANY, for_periods=2)]
    bench.ran(1, 472)
    bench.check()
    ledgers.append(bench.records, 2, ledgers.planned(), ledgers.failed())
    bench.ran(3, 472)
    assert bench.check() == Checked(checked=1, fired=1)
    ledgers.append(
        bench.records,
        2,
        ("RunStarted", {"reason": "scheduled", "attempt": 4}),
        ledgers.finished([Figure("cancelled", 0)]),
    )
    assert bench.check() == Checked()


@pytest.mark.parametrize("known", [False, True])
def test_a_new_alert_begins_with_the_newest_periods(bench: Bench, *, known: bool) -> None:
    """As many as it needs to fire: a year of history is no news. Another alert of the report may have seen more."""
    if known:
        bench.check()
    for day in range(1, 10):
        bench.ran(day, 472)
        if known:
            bench.check()
    bench.alerts = [*bench.alerts, replace(MANY, name="long", for_periods=3)]
    bench.check()
    assert [one["period"][-2:] for one in bench.checked() if one["alert"] == "long"] == ["07", "08", "09"]
    assert bench.told().count(("AlertFired", "09")) == (1 if known else 2)


def test_an_alert_that_comes_back(bench: Bench) -> None:
    """An alert that was taken out of the file goes on where it was, with the periods in between."""
    bench.ran(1, 472)
    bench.check()
    kept, bench.alerts = bench.alerts, []
    bench.ran(2, 0)
    assert bench.check() == Checked()
    bench.alerts = kept
    bench.ran(3, 472)
    assert bench.check() == Checked(checked=2, fired=1, recovered=1)


def test_an_alert_of_another_report_begins_anew(bench: Bench) -> None:
    """What it knew was of the first report."""
    bench.ran(5, 472)
    bench.check()
    bench.alerts = [replace(MANY, report="weekly")]
    bench.ran(1, 472, report="weekly")
    assert bench.check() == Checked(checked=1, fired=1)


def test_an_episode_outlasts_a_change_of_its_alert(bench: Bench) -> None:
    """If it has to hold for longer from now on, the episode that was told of goes on, and its end is told."""
    bench.ran(1, 472)
    bench.check()
    bench.alerts = [replace(MANY, for_periods=5)]
    bench.ran(2, 472)
    assert bench.check() == Checked(checked=1)
    bench.ran(3, 0)
    assert bench.check() == Checked(checked=1, recovered=1)


def test_a_figure_that_is_missing_is_recorded_and_told(bench: Bench) -> None:
    """It says what exists; it does not end the alert's episode, and does not stop the other alerts."""
    bench.ran(1, 472)
    bench.check()
    bench.alerts = [replace(MANY, when="canceled > 300"), replace(MANY, name="other")]
    bench.ran(2, 472)
    assert bench.check() == Checked(checked=2, fired=1, broken=1)
    error = "no figure 'canceled'. Did you mean 'cancelled'? There are: cancelled"
    assert [one["error"] for one in bench.checked()] == [None, error, None]
    bench.alerts = [MANY, replace(MANY, name="other")]
    bench.ran(3, 3)
    assert bench.check() == Checked(checked=2, recovered=2)


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_not_known_does_not_hold(bench: Bench, value: float | None) -> None:
    """A figure that is None or NaN fires nothing, and ends an episode."""
    bench.ran(1, 472)
    bench.ran(2, 472)
    bench.check()
    bench.ran(3, value)
    assert bench.check() == Checked(checked=1, recovered=1)


@pytest.fixture
def flights(bench: Bench) -> Bench:
    """Return a bench whose report's store has three cancellations on the first, and one more that is recorded later."""
    with el.open(bench.folder / "store", create=True, timezone="America/New_York") as log:
        for hour in (8, 12, 23):
            at = dt.datetime(2013, 2, 1, hour, tzinfo=dt.UTC)
            log.append(f"flight-{hour}", el.Event("FlightCancelled", {"carrier": "B6"}, occurred_at=at))
        basis = log.at().basis
        log.append(
            "flight-9",
            el.Event("FlightCancelled", {"carrier": "EV"}, occurred_at=dt.datetime(2013, 2, 1, 9, tzinfo=dt.UTC)),
        )
    bench.ran(1, basis=basis)
    return bench


@pytest.mark.parametrize(
    ("sql", "when", "expected"),
    [
        ("select count(*) = 3 from flight_cancelled", None, Checked(checked=1, fired=1)),  # as its run saw it
        ("select count(*) > 3 from flight_cancelled", None, Checked(checked=1)),
        ("select null::boolean", None, Checked(checked=1)),
        ("select true where false", None, Checked(checked=1)),
        (
            "select n, last from (select count(*) n, max(occurred_at) as last from events)",
            "n = 3",
            Checked(checked=1, fired=1),
        ),
        ("select max(occurred_at) as last from events", "last = '2013-02-01 18:00'", Checked(checked=1, fired=1)),
        ("select 1 as n where false", "n = 1", Checked(checked=1)),
        (
            "select carrier, count(*) as n from flight_cancelled group by all",
            "carrier = 'B6' and n > 2",
            Checked(checked=1, fired=1),
        ),
        (
            "select count(*) = 2 from events where occurred_at >= $start + interval 9 hour and occurred_at < $end",
            None,
            Checked(checked=1, fired=1),
        ),
        ("select [1, 2] as several, interval 1 day as length, true as yes", "yes", Checked(checked=1, fired=1)),
    ],
)
def test_an_alert_over_a_query(flights: Bench, sql: str, when: str | None, expected: Checked) -> None:
    """It is asked of the log as its run saw it; the first value holds, or a condition over the columns."""
    flights.alerts = [replace(MANY, when=when, sql=sql)]
    assert flights.check() == expected
    assert [one["error"] for one in flights.checked()] == [None]


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        (
            "select count(*) from flight_cancelled",
            "the query's first column, 'count_star()', is int, neither true nor false",
        ),
        ("select count(*) > 3 from flight_canceled", "no relation 'flight_canceled'. Did you mean 'flight_cancelled'?"),
        ("select error('no data')", "no data"),
        ("select $nobody", "nobody"),
        ("delete from events", "Only SELECT statements"),
    ],
)
def test_a_query_that_cannot_be_asked(flights: Bench, sql: str, error: str) -> None:
    """What is wrong with it is recorded and told, with the fix."""
    flights.alerts = [replace(MANY, when=None, sql=sql)]
    assert flights.check() == Checked(checked=1, broken=1)
    [one] = flights.checked()
    assert error in one["error"]
    assert "\n" not in one["error"]


def test_a_store_that_is_not_there(bench: Bench) -> None:
    """The alerts that need no store are checked all the same."""
    bench.alerts = [replace(MANY, name="sql", when=None, sql="select true"), MANY]
    bench.ran(1, 472)
    assert bench.check() == Checked(checked=2, fired=1, broken=1)
    assert "no store at" in bench.checked()[0]["error"]


def test_history_is_read_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two queries when the first round begins, none after it, and no run is kept in mind that is checked."""
    asked: list[str] = []
    sql = el.EventLog.sql
    monkeypatch.setattr(el.EventLog, "sql", lambda log, text, *given: asked.append(text) or sql(log, text, *given))
    for day in range(1, 10):
        bench.ran(day, day)
        assert bench.check() == Checked(checked=1)
    assert len(asked) == 2
    assert not any(watches.book(bench.records)._runs.values())


def test_sql_can_ask_about_alerts(bench: Bench) -> None:
    """The state ``alerts`` has a row for each, with how it stands."""
    for day, cancelled in enumerate([472, 3, 472], start=1):
        bench.ran(day, cancelled)
        bench.check()
    rows = bench.records.log.sql("select alert, period, firing, since, episodes, error from alerts").fetchall()
    assert rows == [("many cancelled", "2013-02-03", True, "2013-02-03", 2, "")]
