"""Verification: a page is made again, and either equal or told apart, with the reason."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import eventlab as el
from eventlab.reports.verifications import verify

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = '''
import eventlab as el

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
    text = (desk / "page.html").read_text()
    line = next(line for line in text.splitlines() if 'id="eventlab-ran"' in line)
    (desk / "page.html").write_text(text.replace(line, line.replace("20", "19", 1)))
    assert verify("page.html")


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
