"""What reports cost: a page against nbclient alone running the same notebook, and a month of them in a backfill."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbclient import NotebookClient

import eventlab as el
from eventlab.demo import flights
from eventlab.demo.runs import DATA
from eventlab.reports import renders
from eventlab.reports.execution import sources
from tests.benchmarks.tables import Row, interleaved, timed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.sources import Folder

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "reports" / "daily.ipynb"
DAY, MOMENT = "2013-02-09", "2013-02-10 06:00"
_FIRST = dt.date(2013, 1, 1)
_DAYS = 30
_ROUNDS = 5
_GIVEN = """
import eventlab as el

log = el.open({store!r}, read_only=True).at({moment!r})
"""
_REPORTS = """
log = "log"

[[report]]
name = "daily"
notebook = '{notebook}'
store = '{store}'
timezone = "America/New_York"
cron = "0 6 * * *"
period = "1d"
parameters = {{ day = "{{{{ date }}}}" }}
out = "pages"
"""


def reports(folder: Folder) -> Iterator[Row]:
    """Make the daily report of the flights by turns with and without eventlab's part, then those of January."""
    store = _flights(folder)
    pages = folder.fresh("pages")
    source = sources.source(NOTEBOOK)

    def ours() -> None:
        made = renders.make(source, store, at=MOMENT, params={"day": DAY})
        assert made.failure is None, made.failure
        renders.write(made, ["html"], pages, "daily")

    def baseline() -> None:
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        notebook.cells = [cell for cell in notebook.cells if "interactive" not in cell.metadata.get("tags", ())]
        given = _GIVEN.format(store=str(store), moment=MOMENT)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(given))
        NotebookClient(
            notebook, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
        ).execute()

    pages.mkdir()
    ours(), baseline()  # once, so that both find their files in the machine's memory
    rendered, executed = interleaved(ours, baseline, _ROUNDS)
    yield Row("a daily report of the flights as a page, against nbclient alone", rendered, executed, 1.3, "s")

    days = max(2, _DAYS // folder.scale)
    place = folder.fresh("backfill")
    place.mkdir()
    (place / "reports.toml").write_text(_REPORTS.format(notebook=NOTEBOOK, store=store), encoding="utf-8")
    seconds = timed(lambda: _backfill(place, days))
    made = len(list((place / "pages" / "daily").glob("2013-01-*.html")))
    assert made == days, f"{made} of {days} reports were made"
    yield Row(f"backfill of {days} daily reports of the flights", seconds, None, 180, "s")
    for scratch in (pages, place):
        shutil.rmtree(scratch)


def _flights(folder: Folder) -> Path:
    """Return a store of all flights, whatever the scale; made if it is not there."""
    path = folder.path / "store-flights"
    if not path.exists():
        made = path.with_name(f"made-{path.name}")
        shutil.rmtree(made, ignore_errors=True)
        columns = {name: name for name in ("event_type", "stream_id", "occurred_at", "payload")}
        with el.open(made, create=True, timezone=flights.ZONE) as log:
            for event_type, fields in flights.DEFINITIONS.items():
                log.define(event_type, fields)
            log.ingest(flights.events(DATA), **columns, progress=False)
        made.rename(path)
    return path


def _backfill(place: Path, days: int) -> None:
    """Make the reports of the first days of 2013, as a person would."""
    until = _FIRST + dt.timedelta(days=days - 1)
    options = ["--config", str(place / "reports.toml"), "--from", str(_FIRST), "--to", str(until)]
    command = [sys.executable, "-m", "eventlab", "report", "backfill", "daily", *options]
    subprocess.run(command, check=True, capture_output=True)
