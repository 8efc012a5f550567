"""Making reports by hand: what is pinned, what is written and where, and how a failure is told."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import polars as pl
import pytest

import eventlab as el
from eventlab.reports import files, renders
from eventlab.reports.drawing.pages import read_provenance

if TYPE_CHECKING:
    from collections.abc import Iterator


def daily(log: el.LogView, *, day: str = "2026-01-01", worst: int = 3) -> Iterator[Any]:
    """Every day."""
    yield f"# Orders of {day}"
    yield el.figure("orders", log.sql("select count(*) from order_placed").fetchall()[0][0])
    yield log.sql("select stream_id, amount from order_placed order by position limit $worst", {"worst": worst}).pl()


def broken(log: el.LogView) -> str:
    """Fails."""
    raise ValueError(f"nothing to say about {log.position} events")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Return a log of orders, one a day."""
    with el.open(tmp_path / "shop", create=True, timezone="Europe/Vienna") as opened:
        for day in range(1, 6):
            event = el.Event("OrderPlaced", {"amount": day}, occurred_at=f"2026-01-0{day} 12:00")
            opened.append(f"order-{day}", event)
        yield opened


def test_a_report_is_of_its_moment(log: el.EventLog) -> None:
    """What occurred later is not in it, and its basis gives the same rows again."""
    made = el.report(daily, log.path, at="2026-01-03")
    assert made.figures == {"orders": 2}
    assert log.at(made.basis).sql("select count(*) from events").fetchall() == [(2,)]
    assert made.made.provenance.at == "2026-01-03T00:00:00+01:00"


def test_both_clocks_are_asked_and_told(log: el.EventLog) -> None:
    """A position cuts what is known; the page says so."""
    made = el.report(daily, log.path, at="2026-01-05 12:00", known_at=4)
    assert made.figures == {"orders": 4}
    assert made.made.provenance.known_at == "position 4"
    again = el.report(daily, log.path, known_at=dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    assert (again.figures, again.made.provenance.known_at) == ({"orders": 5}, "2100-01-01T01:00:00+01:00")


def test_a_log_or_a_view_is_its_store(log: el.EventLog) -> None:
    """Of a view its own moment is taken."""
    assert el.report(daily, log).figures == {"orders": 5}
    assert el.report(daily, log.at(2)).figures == {"orders": 2}
    assert el.report(daily, log.at(2), at="2026-01-04").figures == {"orders": 3}


def test_parameters_are_given_by_name(log: el.EventLog) -> None:
    """Text is read as the default is; an unknown name is refused with those that there are."""
    made = el.report(daily, log, params={"worst": "1"})
    assert made.made.parameters == {"day": "2026-01-01", "worst": 1}
    with pytest.raises(el.InvalidArgument, match=r"wrost.*\n.*worst"):
        el.report(daily, log, params={"wrost": 1})


def test_files_go_where_they_are_asked(log: el.EventLog, tmp_path: Path) -> None:
    """A folder has the report's name in each format, a file is of its suffix's format; nothing else is left."""
    made = el.report(daily, log, to="html,md", out=tmp_path / "out")
    assert [path.name for path in made.paths] == ["daily.html", "daily.md"]
    one = el.report(daily, log, out=tmp_path / "out" / "january.html")
    assert one.paths == [tmp_path / "out" / "january.html"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["daily.html", "daily.md", "january.html"]
    said = read_provenance(one.paths[0].read_text())
    assert (said.figures[0].value, said.store, said.source) == (5, log.path.as_posix(), made.made.source.place)


def test_what_cannot_be_written_is_refused_before_it_is_run(log: el.EventLog, tmp_path: Path) -> None:
    """One file has one format, and there are three."""
    with pytest.raises(el.InvalidArgument, match="html, md, pdf"):
        el.report(broken, log, to="docx", out=tmp_path)
    with pytest.raises(el.InvalidArgument, match="Give a folder"):
        el.report(broken, log, to="html,md", out=tmp_path / "x.html")


def test_a_failing_function_is_one_error(log: el.EventLog, tmp_path: Path) -> None:
    """It says what failed; no page is written."""
    with pytest.raises(el.errors.ReportError, match="ValueError: nothing to say about 5 events"):
        el.report(broken, log, out=tmp_path / "out")
    assert not list(tmp_path.glob("out/*.html"))


def test_the_page_shows_itself_in_a_notebook(log: el.EventLog) -> None:
    """In a frame of its own, in which nothing of it can reach the notebook."""
    shown = el.report(daily, log, title="<b>Orders</b>")._repr_html_()
    assert 'sandbox="allow-scripts"' in shown
    assert "<b>Orders" not in shown


def test_a_failed_notebook_is_kept_with_its_traceback(log: el.EventLog, tmp_path: Path) -> None:
    """Which cell it was, and why, are in the error; the executed notebook has the rest."""
    cell = nbformat.v4.new_code_cell("amounts = {}\namounts['total']", id="sum")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "sums.ipynb")
    with pytest.raises(el.errors.ReportError, match=r"sums\.ipynb: cell 1: KeyError: 'total'") as caught:
        el.report(tmp_path / "sums.ipynb", log, out=tmp_path / "out")
    kept = tmp_path / "out" / "sums.failed.ipynb"
    assert str(kept) in caught.value.hint
    assert "KeyError" in json.dumps(nbformat.read(kept, 4).cells[-1].outputs)
    el.report(daily, log, out=tmp_path / "out" / "sums.html")
    assert not kept.exists(), "it is made now"


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails leaves the file of before, and nothing beside it."""
    place = files.write(tmp_path / "a" / "page.html", "before")

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fails)
    with pytest.raises(OSError, match="No space"):
        files.write(place, "after")
    assert [path.name for path in place.parent.iterdir()] == ["page.html"]
    assert place.read_text() == "before"


def test_frames_keep_their_order(log: el.EventLog) -> None:
    """The rows of a page are those of the frame."""
    frame = pl.DataFrame({"name": ["z", "a", "m"]})

    def names(_: el.LogView) -> pl.DataFrame:
        return frame

    page = el.report(names, log).html
    assert page.index(">z</td>") < page.index(">a</td>") < page.index(">m</td>")


def test_a_place_of_no_suffix_is_a_folder() -> None:
    """Nothing is written where no place is said."""
    assert renders.destination(Path("a.b"), ["md"], "x") == (Path("a.b"), ["md"], "x")
    assert renders.destination(None, None, "x") == (None, ["html"], "x")
