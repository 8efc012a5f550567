"""The commands: ``schedule tick, status, list, explain`` and ``report backfill, list``, on reports that are functions."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from workbenches import bench

from eventlab import moments
from eventlab.cli import main

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
        (["schedule", "explain", "dayly"], 1, "no report 'dayly'. Did you mean 'daily'"),
        (["report", "list", "dayly"], 1, "no report 'dayly'. Did you mean 'daily'"),
        (["report", "backfill", "daily", "--from", "yesterday", "--to", "2013-01-01"], 2, "'yesterday' is no day"),
        (
            ["report", "backfill", "daily", "--from", "2013-01-02", "--to", "2013-01-01"],
            1,
            "2013-01-02 is after 2013-01-01",
        ),
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
