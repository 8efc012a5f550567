"""PDFs: printed by Chromium where there is one, and said to be impossible where there is none."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING

import pypdf
import pytest
from executed import PROVENANCE, daily

from eventlab.errors import ReportError
from eventlab.reports.drawing import pages, pdfs

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, pdfs.CHROMIUMS)), None)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_a_page_is_printed_with_its_charts_drawn() -> None:
    """On Letter paper, with pages counted; the texts of the charts' axes are in it, which only drawn charts have; code is not."""
    document = pypdf.PdfReader(io.BytesIO(pdfs.pdf(pages.page(daily(), PROVENANCE))))
    text = "\n".join(page.extract_text() for page in document.pages)
    assert [float(side) for side in document.pages[0].mediabox[2:]] == [612, 792]
    for part in (
        "Flights cancelled",
        "hour of their scheduled departure",
        "23:00",
        "ExpressJet",
        PROVENANCE.basis,
        f"1 / {len(document.pages)}",
    ):
        assert part in text
    assert "log.state" not in text


def test_without_chromium_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the way out."""
    monkeypatch.delenv("EVENTLAB_CHROMIUM", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ReportError, match="apt-get install chromium"):
        pdfs.pdf("<p>hi")


@pytest.mark.parametrize(
    ("script", "told"), [("echo 'no display' >&2", "no display"), ("exec sleep 60", "printed nothing in")]
)
def test_a_browser_that_prints_nothing_is_an_error(
    script: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it fails or hangs; one that hangs is ended, and what it said last is told."""
    fake = tmp_path / "chromium"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("EVENTLAB_CHROMIUM", str(fake))
    monkeypatch.setattr(pdfs, "_TIMEOUT", 0.5)
    with pytest.raises(ReportError, match=told):
        pdfs.pdf("<p>hi")
    monkeypatch.setenv("EVENTLAB_CHROMIUM", str(tmp_path / "none"))
    with pytest.raises(ReportError, match="cannot be started"):
        pdfs.pdf("<p>hi")
