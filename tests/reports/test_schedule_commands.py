"""The commands: ``schedule tick, status, list, explain`` and ``report backfill, list``, on reports that are functions."""

from __future__ import annotations

import datetime as dt
import errno
import json
import re
import types
from typing import TYPE_CHECKING, Any

import pytest
from workbenches import bench

from eventlab import moments
from eventlab.cli import main
from eventlab.reports.delivery import channels, deliveries
from eventlab.reports.schedule import shelves

if TYPE_CHECKING:
    from pathlib import Path

    import eventlab as el

FILE = """
[defaults]
store = "store"
timezone = "America/New_York"
cron = "0 6 * * *"
period = "1d"
parameters = { day = "{{ date }}" }

[[report]]
name = "daily"
function = "workbenches:nothing"

[[report]]
name = "broken"
function = "test_schedule_commands:broken"
"""


def broken(log: el.LogView, *, day: str = "") -> None:
    """Fail, always."""
    raise ValueError(f"{log.position} event is none by {day}")


@pytest.fixture
def config(tmp_path: Path) -> list[str]:
    """Return the option that says which file is meant; its runs log is not there yet."""
    folder = bench(tmp_path)
    (folder / "reports.toml").write_text(FILE)
    return ["--config", str(folder / "reports.toml")]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it printed."""
    code = main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Run a command that prints JSON, and return it."""
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_a_schedule_from_the_shell(config: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Looked at before anything ran, ticked, looked at again, and filled for the past."""
    before = rows(capsys, "schedule", "status", *config)
    assert [(row["report"], row["last_status"], row["made"]) for row in before] == [
        ("broken", None, 0),
        ("daily", None, 0),
    ]
    code, out, err = run(capsys, "schedule", "tick", *config)
    yesterday = dt.datetime.now(dt.UTC).astimezone(moments.zone("America/New_York")) - dt.timedelta(days=1, hours=6)
    assert code == 1
    assert sorted(out.splitlines()) == [f"broken, {yesterday.date()}: failed", f"daily, {yesterday.date()}: made"]
    assert err == "error: 1 run failed\nhint: eventlab schedule explain NAME says more.\n"
    code, out, err = run(capsys, "schedule", "tick", *config)
    assert (code, out, err) == (0, "Nothing is due.\n", "")
    code, out, _ = run(capsys, "schedule", "explain", "broken", *config)
    assert code == 0
    assert re.search(rf"^Last: .*, failed at .*: ValueError: 1 event is none by {yesterday.date()}", out, re.MULTILINE)
    assert [row["report"] for row in rows(capsys, "schedule", "list", *config)] == ["broken", "daily"]
    command = ["report", "backfill", "daily", "--from", "2013-01-01", "--to", "2013-01-03", *config]
    assert run(capsys, *command) == (0, "daily: 3 made\n", "")
    assert run(capsys, *command) == (0, "daily: 3 there already\n", "")
    listed = rows(capsys, "report", "list", "daily", *config)
    assert [row["period"] for row in listed] == [str(yesterday.date()), "2013-01-03", "2013-01-02", "2013-01-01"]
    page = tmp_path / "reports/daily/2013-01-03.html"
    assert "1 events by 2013-01-03" in page.read_text()
    assert "daily/2013-01-03.html" in (tmp_path / "reports/index.html").read_text()
    assert run(capsys, "report", "verify", str(page))[0] == 0
    code, _, err = run(capsys, "report", "backfill", "broken", "--from", "2013-01-01", "--to", "2013-01-01", *config)
    assert code == 1
    assert err.startswith("error: 1 period could not be made: 2013-01-01\nhint: ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["schedule", "explain", "dayly"], 2, "no report 'dayly'. Did you mean 'daily'"),
        (["report", "list", "dayly"], 2, "no report 'dayly'. Did you mean 'daily'"),
        (["report", "backfill", "daily", "--from", "yesterday", "--to", "2013-01-01"], 2, "'yesterday' is no day"),
        (
            ["report", "backfill", "daily", "--from", "2013-01-02", "--to", "2013-01-01"],
            2,
            "2013-01-02 is after 2013-01-01",
        ),
        (
            ["report", "backfill", "dayly", "--from", "2013-01-01", "--to", "2013-01-01"],
            2,
            "no report 'dayly'. Did you mean 'daily'",
        ),
        (
            ["report", "backfill", "daily", "--from", "9999-01-01", "--to", "9999-01-01"],
            2,
            "has no period from 9999-01-01 to 9999-01-01 that is over",
        ),
        (["report", "restate", "dayly", "--since", "2013-01-01"], 2, "no report 'dayly'. Did you mean 'daily'"),
        (["schedule", "tick", "--jobs", "0"], 2, "0 is below 1"),
    ],
)
def test_what_means_nothing_is_refused(
    config: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    """A line of error, with the nearest name where there is one."""
    found, _, err = run(capsys, *arguments, *config)
    assert found == code
    assert message in err


@pytest.mark.parametrize("text", [None, "[[report]]\nnam = 1\n", "[[report"])
def test_a_file_that_is_none_is_a_wrong_use(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str | None
) -> None:
    """Whether it is not there, says what it cannot, or is no TOML."""
    if text is not None:
        (tmp_path / "reports.toml").write_text(text)
    code, out, err = run(capsys, "schedule", "tick", "--config", str(tmp_path / "reports.toml"))
    assert (code, out) == (2, "")
    assert "reports.toml" in err


def test_what_is_delivered_or_cannot_be_is_said(
    config: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each round that tried, also if no report is due; a delivery that fails ends with one, and explain says why."""
    monkeypatch.delenv("OPS_URL", raising=False)
    mine, _ = FILE.split('[[report]]\nname = "broken"')
    channel = '[delivery.ops]\ntype = "webhook"\nurl_env = "OPS_URL"\n'
    (tmp_path / "reports.toml").write_text(f'{mine}deliver = ["ops"]\n\n{channel}')
    code, out, err = run(capsys, "schedule", "tick", *config)
    assert code == 1
    assert re.search(r"^ops: 1 failed, tried again at .*OPS_URL", out, re.MULTILINE)
    assert err.startswith("error: 1 message could not be delivered\n")
    code, out, err = run(capsys, "schedule", "tick", *config)
    assert (code, err) == (0, "")
    assert re.fullmatch(r"Nothing is due\. A delivery waits for its next try, at 20.*\n", out)
    assert [row["undelivered"] for row in rows(capsys, "schedule", "status", *config)] == [1]
    assert re.search(
        r"^Not delivered: .*OPS_URL", run(capsys, "schedule", "explain", "daily", *config)[1], re.MULTILINE
    )
    taken: list[str] = []
    monkeypatch.setattr(
        channels, "channel", lambda *_: types.SimpleNamespace(send=lambda message, **_: taken.append(message.subject))
    )
    monkeypatch.setattr(
        deliveries.deliver, "__kwdefaults__", {**deliveries.deliver.__kwdefaults__, "sending": channels.channel}
    )
    days = ["--from", "2013-01-01", "--to", "2013-01-02"]
    assert run(capsys, "report", "backfill", "daily", *days, "--deliver", *config) == (
        0,
        "daily: 2 made\nops: 2 sent\n",
        "",
    )
    assert len(taken) == 2


def test_a_page_of_all_reports_that_cannot_be_written_ends_with_one(
    config: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a backfill, whose reports are made and counted all the same."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shelves, "refresh", full)
    days = ["--from", "2013-01-01", "--to", "2013-01-02"]
    code, out, err = run(capsys, "report", "backfill", "daily", *days, *config)
    assert (code, out) == (1, "daily: 2 made\n")
    assert "No space left on device" in err
