"""The first notebook in JupyterLab: its charts are drawn, by the Vega that JupyterLab has."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_first_steps.ipynb"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_charts_of_a_notebook_are_drawn(desk: Any, dark: bool) -> None:
    """Run all: no cell fails, and each chart is there, with its menu but no way out to an editor elsewhere."""
    shutil.copy(NOTEBOOK, desk.lab.folder / NOTEBOOK.name)
    desk.open(NOTEBOOK.name, dark=dark)
    desk.run_all()
    charts = desk.page.locator(".jp-RenderedVegaCommon5")
    charts.nth(1).locator("canvas, svg.marks").first.wait_for()
    assert charts.count() == 2
    assert desk.page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert "Open in Vega Editor" not in charts.first.inner_text()
    charts.first.scroll_into_view_if_needed()
    desk.shot(f"charts-{'dark' if dark else 'light'}")
