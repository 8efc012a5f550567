"""What the tests of backfills and of standings begin with: a bench on which no page is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from workbenches import bench, no_page

from eventlab.reports.ledger import publications
from eventlab.reports.ledger.records import Records
from eventlab.reports.schedule import shelves

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with an empty runs log and a store; no index page is written."""
    monkeypatch.setattr(shelves, "refresh", lambda *_: [])
    monkeypatch.setattr(publications, "publish_failure", no_page)
    return bench(tmp_path)


@pytest.fixture
def records(folder: Path) -> Iterator[Records]:
    """Yield the runs log."""
    with Records.open(folder / "log") as opened:
        yield opened
