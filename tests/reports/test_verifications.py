"""Verification: a page is made again, and either equal or told apart, with the reason."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import eventlab as el
from eventlab.cli import main
from eventlab.reports.drawing.pages import content
from eventlab.reports.verifications import verify

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = '''
import eventlab as el
from eventlab.cli import main

def orders(log, *, worst: int = 3):
    """Orders."""
    rows = log.sql("select count(*), max(amount) from order_placed").fetchall()[0]
    el.figure("orders", rows[0])
    el.figure("largest", rows[1])
    return log.sql("select amount from order_placed order by 1 desc limit $n", {"n": worst}).pl()
'''


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder with a log, the module of a report, and its page, as the folder to be in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "ofshop.py").write_text(SOURCE)
    with el.open("shop", create=True) as log:
        for day in range(1, 6):
            log.append(f"order-{day}", el.Event("OrderPlaced", {"amount": day}))
    el.report("ofshop:orders", "shop", params={"worst": 2}, out="page.html")
    yield tmp_path
    sys.modules.pop("ofshop", None)


def changed(text: str, old: str, new: str) -> None:
    """Write the module anew with something changed, as another process would find it."""
    assert old in text
    Path("ofshop.py").write_text(text.replace(old, new))
    sys.modules.pop("ofshop", None)
    shutil.rmtree("__pycache__", ignore_errors=True)


def test_a_page_is_equal_after_more_has_happened(desk: Path) -> None:
    """Appends, a seal and a compaction change nothing at its basis."""
    with el.open(desk / "shop") as log:
        log.append("order-9", el.Event("OrderPlaced", {"amount": 900}))
        log.seal()
        log.append("order-10", el.Event("OrderPlaced", {"amount": 1000}))
        log.seal()
        log.compact(vacuum=True)
    outcome = verify("page.html")
    assert outcome
    assert outcome.told == [f"equal: 2 figures, and the whole page, from {outcome.provenance.basis}"]


def test_figures_that_differ_are_named_with_the_reason(desk: Path) -> None:
    """Another notebook is another answer, and the page says from which it was made."""
    assert desk
    changed(SOURCE, "max(amount)", "min(amount)")
    outcome = verify("page.html")
    assert not outcome.equal
    assert outcome.told == ["differs: largest: 5 -> 1 (-4)", "because: ofshop:orders has changed since"]


@pytest.mark.parametrize(
    ("old", "new"),
    [('"value": 5', '"value": 7'), (">5</td>", ">6</td>"), (">5</td>", "><script>alert(1)</script>5</td>")],
)
def test_an_edited_page_differs(desk: Path, old: str, new: str) -> None:
    """In its figures, or anywhere else."""
    text = (desk / "page.html").read_text()
    old = old if old in text else old.replace('": ', '":')
    new = new.replace('": ', '":') if '":' in old else new
    assert old in text
    (desk / "page.html").write_text(text.replace(old, new))
    outcome = verify("page.html")
    assert not outcome.equal
    assert outcome.reasons == ["the page was edited, or the report gives another answer each time it is run"]


def test_only_when_it_was_run_may_differ(desk: Path) -> None:
    """That stands in one element of its own."""
    el.report("ofshop:orders", "shop", params={"worst": 2}, out="again.html")
    first, again = ((desk / f"{name}.html").read_text() for name in ("page", "again"))
    assert first != again
    assert content(first) == content(again)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Made on ", "Made on <b>evil</b> "),
        ('<time id="eventlab-ran" ', '<time id="eventlab-ran" onclick="alert(1)" '),
        ("<footer", '<time id="eventlab-ran"></time><p>1,000,000 orders</p>\n<footer'),
        ("</time>", "</time><p>1,000,000 orders</p>"),
    ],
)
def test_nothing_hides_behind_when_it_was_run(desk: Path, old: str, new: str) -> None:
    """What is not exactly that element is content."""
    text = (desk / "page.html").read_text()
    assert old in text
    (desk / "page.html").write_text(text.replace(old, new, 1))
    assert not verify("page.html").equal


def test_a_module_is_found_in_the_folders_above_the_page(
    desk: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a notebook is, from wherever it is asked; the page has no absolute path of it."""
    (desk / "pages/daily").mkdir(parents=True)
    page = desk / "pages/daily/page.html"
    (desk / "page.html").rename(page)
    assert str(desk) not in page.read_text()
    sys.modules.pop("ofshop")
    sys.path[:] = [place for place in sys.path if place not in {"", str(desk)}]
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert verify(page)


def test_the_module_that_made_the_page_comes_before_another_of_its_name(
    desk: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here is one that was changed; if it is in the way for good, that is the reason."""
    other = tmp_path_factory.mktemp("elsewhere")
    (other / "ofshop.py").write_text(SOURCE.replace("max(amount)", "min(amount)"))
    sys.modules.pop("ofshop")
    sys.path[:] = [place for place in sys.path if place not in {"", str(desk)}]
    monkeypatch.chdir(other)
    assert verify(desk / "page.html")
    sys.modules.pop("ofshop")
    sys.path.insert(0, str(other))
    outcome = verify(desk / "page.html")
    assert outcome.told == ["differs: largest: 5 -> 1 (-4)", "because: ofshop:orders has changed since"]


def test_a_report_that_fails_now_is_told(desk: Path) -> None:
    """As a difference, with what it fails of."""
    assert desk
    changed(SOURCE, "max(amount)", "max(price)")
    outcome = verify("page.html")
    assert not outcome.equal
    assert any("it fails now" in reason and "price" in reason for reason in outcome.reasons)


def test_a_log_that_moved_is_named(desk: Path) -> None:
    """Where it is, is an argument; another log is not taken for it."""
    (desk / "shop").rename(desk / "elsewhere")
    with pytest.raises(el.errors.ReportError, match="--store DIR"):
        verify("page.html")
    assert verify("page.html", store="elsewhere")
    el.open(desk / "shop", create=True).close()
    with pytest.raises(el.errors.ReportError, match="another log"):
        verify("page.html")


def test_a_log_that_lost_events_is_told(desk: Path) -> None:
    """It does not hold what the page was made from."""
    with el.open(desk / "shop") as log:
        log.seal()
    shutil.copytree(desk / "shop", desk / "old")
    with el.open(desk / "shop") as log:
        log.append("order-6", el.Event("OrderPlaced", {"amount": 6}))
    el.report("ofshop:orders", "shop", out="late.html")
    with pytest.raises(el.errors.ReportError, match="does not hold what the page was made from"):
        verify("late.html", store="old")


@pytest.mark.parametrize(
    "content", [b"", b"<html></html>", b"\xff\xfe", b'<script id="eventlab-provenance">{}</script>']
)
def test_what_is_no_page_of_a_report_is_refused(tmp_path: Path, content: bytes) -> None:
    """With what would be one."""
    (tmp_path / "x.html").write_bytes(content)
    with pytest.raises(el.InvalidArgument, match="report"):
        verify(tmp_path / "x.html")


def test_a_page_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    """Which names it."""
    with pytest.raises(el.InvalidArgument, match="cannot be read"):
        verify(tmp_path / "none.html")


def test_a_scheduled_page_moves_with_its_project(desk: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It names what it was made from by the way from its own folder, and nothing of the machine."""
    (desk / "reports.toml").write_text(
        '[[report]]\nname = "all"\nfunction = "ofshop:orders"\nstore = "shop"\nevery = "1d"\n'
    )
    assert main(["schedule", "tick"]) == 0
    moved = tmp_path_factory.mktemp("elsewhere") / "project"
    shutil.copytree(desk, moved)
    shutil.rmtree(desk / "shop")
    [page] = (moved / "reports" / "all").glob("*.html")
    assert str(desk) not in page.read_text()
    assert verify(page)


def test_a_page_does_not_choose_what_is_imported(desk: Path) -> None:
    """A module that is neither here nor beside the page is imported only if a person names it."""
    text = (desk / "page.html").read_text()
    (desk / "page.html").write_text(text.replace('"ofshop:orders"', '"this:orders"'))
    with pytest.raises(el.errors.ReportError, match="If you trust the page"):
        verify("page.html")
    assert "this" not in sys.modules
