"""What is shipped in ``notebooks/reports``: two notebooks that are bare, a ``reports.toml`` that is right, and the shop's week."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import duckdb
import nbformat
import pytest

import eventlab as el
from eventlab.demo import shop
from eventlab.reports import renders
from eventlab.reports.configuration import conditions, configurations, parameters
from eventlab.reports.execution import sources

if TYPE_CHECKING:
    from eventlab.reports.configuration.configurations import Configuration
    from eventlab.reports.renders import Made

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks" / "reports"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]


@pytest.fixture(scope="module")
def shipped() -> Configuration:
    """Return what the file says."""
    return configurations.load(FOLDER / "reports.toml")


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return the report of the week of 20 May 2024, made once, as it stood when the week was over."""
    store = tmp_path_factory.mktemp("shop")
    with el.open(store, create=True, timezone="UTC") as log:
        shop.load(log)
    return renders.make(
        sources.source(FOLDER / "weekly.ipynb"), store, at="2024-05-27", params={"week": "2024-05-20"}, report="weekly"
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_report_is_committed_bare(path: Path) -> None:
    """No outputs, no counts, cells with names; one has its parameters, and one opens the log for who runs it by hand."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].source.startswith("# ")
    for cell in notebook.cells:
        assert re.fullmatch(r"[a-z0-9-]+", cell.id), "an id says what the cell is"
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
    tagged = {tag: cell.source for cell in notebook.cells for tag in cell.metadata.get("tags", ())}
    assert set(tagged) == {"parameters", "interactive"}
    (store,) = re.findall(r'el\.open\("([^"]+)"', tagged["interactive"])
    assert (FOLDER / store).resolve().parent == ROOT / "data"


def test_the_file_names_what_is_there(shipped: Configuration) -> None:
    """Both notebooks, with parameters that they have, and the stores that the demonstrations make."""
    assert [Path(report.source).name for report in shipped.reports.values()] == ["daily.ipynb", "weekly.ipynb"]
    assert {report.store.resolve() for report in shipped.reports.values()} == {
        ROOT / "data" / "flights",
        ROOT / "data" / "shop",
    }
    assert shipped.log.resolve() == ROOT / "data" / "reports" / "log"
    for report in shipped.reports.values():
        assert set(report.parameters) <= set(sources.source(report.source).defaults)


def test_the_daily_report_is_of_yesterday(shipped: Configuration) -> None:
    """At six in New York, also where the clocks have changed in the night."""
    schedule = shipped.reports["daily"].schedule
    due = schedule.next(dt.datetime(2013, 3, 9, 12, tzinfo=dt.UTC))
    assert due.isoformat() == "2013-03-10T06:00:00-04:00"
    period = schedule.period(due)
    assert parameters.filled(shipped.reports["daily"].parameters, period, "daily") == {"day": "2013-03-09"}


def test_the_weekly_report_is_of_the_week_that_ends_as_monday_begins(shipped: Configuration) -> None:
    """Its parameter is the Monday before."""
    schedule = shipped.reports["weekly"].schedule
    due = schedule.next(dt.datetime(2024, 5, 22, tzinfo=dt.UTC))
    assert due == dt.datetime(2024, 5, 27, tzinfo=ZoneInfo("UTC"))
    filled = parameters.filled(shipped.reports["weekly"].parameters, schedule.period(due), "weekly")
    assert filled == {"week": "2024-05-20"}


def test_no_delivery_is_active_and_what_is_commented_out_is_right(tmp_path: Path) -> None:
    """Without their marks of a comment the lines of the deliveries make a file that loads."""
    text = (FOLDER / "reports.toml").read_text(encoding="utf-8")
    assert configurations.load(FOLDER / "reports.toml").channels == {}
    (tmp_path / "reports.toml").write_text(re.sub(r"(?m)^# (?=\[delivery\.|[a-z_]+ = )", "", text), encoding="utf-8")
    whole = configurations.load(tmp_path / "reports.toml")
    assert sorted(whole.channels) == ["mail", "ops"]
    assert whole.reports["daily"].deliver == ["mail", "ops"]
    assert whole.alerts[0].deliver == ["mail", "ops"]


def test_the_week_has_the_numbers_of_the_shops_file(week: Made, shipped: Configuration) -> None:
    """Counted from its rows; it is a week in which payments failed, and the alert says so."""
    assert week.failure is None
    (expected,) = duckdb.sql(
        f"""
        with visits as (
            select
                session_id, any_value(user_id) as visitor, min(timestamp) as began,
                count(*) filter (event = 'purchase') as purchases, count(*) filter (event = 'payment_error') as errors
            from read_csv('{shop.DATA}') group by session_id
        ),
        known as (select visitor, min(began) as since from visits group by visitor)
        select
            count(distinct visitor), count(distinct visitor) filter (since >= '2024-05-20'), count(*),
            count(distinct visitor) filter (purchases > 0), sum(purchases),
            round(100 * count(distinct visitor) filter (purchases > 0) / count(distinct visitor), 1), sum(errors)
        from visits join known using (visitor)
        where began >= '2024-05-20' and began < '2024-05-27'
        """
    ).fetchall()
    assert tuple(figure.value for figure in week.figures) == expected == (190, 4, 225, 12, 13, 6.3, 47)
    (alert,) = (one for one in shipped.alerts if one.report == "weekly")
    assert conditions.holds(alert.when or "", week.figures) is True


def test_the_week_is_shown_in_charts_and_tables(week: Made) -> None:
    """Its course, the funnel, twelve weeks, what people did, and who comes back."""
    shown = [mime for cell in week.execution.cells for output in cell.outputs for mime in output.get("data", {})]
    assert shown.count("application/vnd.eventlab.vegalite+json") == 5
    assert shown.count("application/vnd.eventlab.table+json") == 2
