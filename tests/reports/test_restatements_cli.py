"""``report restate``: a row a figure, in every form; what is issued, and how it exits."""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import errno
import io
import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from cyclopts import App

import eventlab as el
from eventlab import moments
from eventlab.cli.apps import explained
from eventlab.cli.restatements import restate
from eventlab.reports.configuration import configurations
from eventlab.reports.ledger.records import Records
from eventlab.reports.schedule import jobs, shelves
from eventlab.reports.schedule.workshops import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable

CODE = '''
"""A report."""

import eventlab as el


def payments(log, *, day: str = ""):
    """The payments of a day."""
    asked = "select count(*), sum(Paid.amount), max(Paid.by) from events_effective where occurred_at::date = $day::date"
    paid, total, by = log.sql(asked, {"day": day}).fetchall()[0]
    yield el.figure("paid", paid)
    yield el.figure("total", total)
    yield el.figure("last_by", by)
    if total > 100:
        raise ValueError("nobody pays as much")
'''
TOML = """
log = "log"
[[report]]
name = "daily"
function = "code_of_cli_restatements:payments"
cron = "0 0 * * *"
period = "1d"
store = "store"
timezone = "UTC"
parameters = { day = "{{ date }}" }
"""
KEY = {"report": "daily", "period": "2013-02-09", "version": 1, "issued": None, "why": "events were recorded late"}


def paid(folder: Path, day: int, amount: str, by: str) -> None:
    """Record a payment on the ninth of February 2013, known on a day of that month at noon."""
    now = moments.instant(dt.datetime(2013, 2, day, 12, tzinfo=dt.UTC), dt.UTC)
    with el.open(folder / "store", create=True, clock=lambda: now) as log:
        log.define("Paid", {"amount": "DECIMAL(18,2)", "by": "VARCHAR"})
        event = el.Event("Paid", {"amount": Decimal(amount), "by": by}, occurred_at="2013-02-09T11:00")
        log.append("till-1", event)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a log, its configuration, and the report of a day, as it was when it was due."""
    folder = tmp_path_factory.mktemp("template")
    (folder / "code_of_cli_restatements.py").write_text(CODE)
    (folder / "reports.toml").write_text(TOML)
    paid(folder, 9, "1.50", "ann")
    configuration = configurations.load(folder / "reports.toml")
    due = dt.datetime(2013, 2, 10, tzinfo=dt.UTC)
    with Records.open(configuration.log, clock=lambda: due) as records:
        report = configuration.reports["daily"]
        workshop = Workshop(configuration=configuration, records=records, clock=lambda: due)
        assert jobs.perform(workshop, report, report.schedule.period(due), reason="scheduled") == "made"
    return folder


@pytest.fixture
def house(tmp_path: Path, template: Path) -> Path:
    """Return a copy of it."""
    return Path(shutil.copytree(template, tmp_path / "house"))


@pytest.fixture
def run(house: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> Callable[..., tuple[int, str, str]]:
    """Return what runs the command: its exit code, and what it prints on standard output and standard error."""
    app = App(print_error=False, exit_on_error=False, result_action="return_value")
    app.command(restate)

    def ran(*arguments: str, config: bool = True) -> tuple[int, str, str]:
        given = ["restate", *arguments, *(["--config", str(house / "reports.toml")] if config else [])]
        code, error = 0, ""
        try:
            app(given)
        except Exception as raised:  # noqa: BLE001 - as the program does
            code, message, hint = explained(raised)
            error = f"{message} {hint}"
        out, told = (part.decode() for part in capsysbinary.readouterr())
        return code, out, told + error

    return ran


def test_a_row_a_figure_in_every_form(house: Path, run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """Numbers are numbers, with all of their digits, and what is no number has no difference."""
    paid(house, 11, "2.50", "bob")
    code, out, _ = run("--since", "2013-02-09", "--json")
    assert code == 0
    rows: list[dict[str, Any]] = json.loads(out, parse_float=Decimal)
    assert rows == [
        {**KEY, "figure": "paid", "before": 1, "after": 2, "difference": 1},
        {**KEY, "figure": "total", "before": Decimal("1.50"), "after": Decimal("4.00"), "difference": Decimal("2.50")},
        {**KEY, "figure": "last_by", "before": "ann", "after": "bob", "difference": None},
    ]
    assert list(rows[0]) == ["report", "period", "version", "figure", "before", "after", "difference", "issued", "why"]
    _, out, _ = run("daily", "--since", "2013-02-09", "--csv")
    assert list(csv.reader(io.StringIO(out)))[1] == [
        "daily", "2013-02-09", "1", "paid", "1", "2", "1", "", "events were recorded late",
    ]  # fmt: skip
    file = tmp_path / "rows.parquet"
    code, _, told = run("--since", "2013-02-09", "--parquet", str(file))
    assert (code, told) == (0, f"3 rows in {file}\n")
    assert pl.read_parquet(file)["figure"].to_list() == ["paid", "total", "last_by"]
    _, out, _ = run("--since", "2013-02-09")
    assert "difference" in out
    assert "3 rows" in out
    assert run("--since", "2013-02-10", "--json")[:2] == (0, "[]\n")


def test_what_is_issued_is_named(house: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    """In a column, and its files on standard error; after it nothing differs."""
    paid(house, 11, "2.50", "bob")
    code, out, told = run("--since", "2013-02-09", "--issue", "--json")
    assert code == 0
    assert {(row["version"], row["issued"]) for row in json.loads(out)} == {(1, 2)}
    page = house / "reports" / "daily" / "2013-02-09.v2.html"
    assert told == f"issued {page}\n"
    assert page.is_file()
    assert run("--since", "2013-02-09", "--issue", "--json") == (0, "[]\n", "")


def test_an_index_page_that_cannot_be_written_is_told(
    house: Path, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After what was issued, which is."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shelves, "refresh", full)
    paid(house, 11, "2.50", "bob")
    code, out, told = run("--since", "2013-02-09", "--issue", "--json")
    assert (code, {row["issued"] for row in json.loads(out)}) == (1, {2})
    assert "v2.html\n" in told
    assert "No space left on device" in told


def test_one_that_fails_is_listed_and_told(house: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    """As a row without a figure; the command fails."""
    paid(house, 11, "200", "bob")
    code, out, told = run("--since", "2013-02-09", "--json")
    (row,) = json.loads(out)
    assert (row["period"], row["figure"], row["before"], row["after"]) == ("2013-02-09", None, None, None)
    assert "nobody pays as much" in row["why"]
    assert code == 1
    assert told.startswith("1 report cannot be made again: daily, 2013-02-09: events were recorded late; it fails now:")


def test_wrong_usage(house: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    """Is told before anything is made."""
    assert run()[0] == 2
    code, _, told = run("--since", "soon")
    assert (code, "'soon' is no time" in told) == (2, True)
    code, _, told = run("dayly", "--since", "2013-02-09")
    assert (code, "Did you mean 'daily'?" in told) == (2, True)
    assert run("--since", "2013-02-09", "--json", "--csv")[0] == 2
    with contextlib.chdir(house):
        assert run("--since", "2013-02-09", "--json", config=False)[:2] == (0, "[]\n")
    shutil.rmtree(house / "log")
    assert run("daily", "daily", "--since", "2013-02-09", "--json") == (0, "[]\n", "")
