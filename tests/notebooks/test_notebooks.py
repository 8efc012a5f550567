"""The notebooks: committed without outputs, run from a fresh store, and as pages that open without a network, charts and all.

The pages and their screenshots stay in ``$EVENTLAB_SCREENSHOTS`` (else in the folder ``eventlab-screenshots`` of the machine's
temporary files), to be looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert.exporters import HTMLExporter

from eventlab.jupyter.exports import PageExporter
from eventlab.jupyter.renderers import SVG, VEGA

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
SHOTS = Path(os.environ.get("EVENTLAB_SCREENSHOTS") or Path(tempfile.gettempdir()) / "eventlab-screenshots")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-dev-shm-usage"
SECONDS = 200  # for one cell
ABSOLUTE = re.compile(r"""["'(\s](/(?:home|Users|tmp|var|work|root|mnt)/|[A-Za-z]:\\|~/)""")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
TAKES = {"src", "srcset", "data", "poster"}  # what a page loads by itself; of links, style sheets and the like
DRAWN = "() => [...document.querySelectorAll('.jp-OutputArea-output img')].map(i => [i.naturalWidth, i.naturalHeight])"


@dataclass(frozen=True)
class Run:
    """A notebook that has been run, and the folder in which it was."""

    name: str
    notebook: Any
    folder: Path

    def outputs(self) -> list[Any]:
        """Return what its cells put out, in order."""
        return [output for cell in self.notebook.cells for output in cell.get("outputs", ())]

    def charts(self) -> int:
        """Return how many of them are charts, by themselves or as the still picture of a widget."""
        found = [output.get("data", {}) for output in self.outputs()]
        return sum(VEGA in data or "data:image/svg+xml" in data.get("text/html", "") for data in found)


def execute(path: Path, folder: Path) -> Any:
    """Run a notebook in a folder, and return it; fail at the first error of a cell."""
    notebook = nbformat.read(path, as_version=4)
    home = folder.parent
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "TMPDIR", "XDG_CACHE_HOME")
    own = {name: str(home / name.lower()) for name in places}
    for place in own.values():
        Path(place).mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **own, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTEST_CURRENT_TEST", None)  # with it, ipykernel would not note what libraries write to stderr
    client = NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    return client.execute(env=environment)


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=NAMES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a notebook that was run where there was no store."""
    path: Path = request.param
    folder = tmp_path_factory.mktemp(path.stem) / "notebooks"
    folder.mkdir()
    return Run(path.stem, execute(path, folder), folder)


class _Sources(HTMLParser):
    """What a page would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.remote: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the sources of a tag."""
        for name, value in attrs:
            taken = name in TAKES or (name == "href" and tag in {"link", "image", "use"})
            if taken and re.match(r"\s*(https?:)?//", value or ""):
                self.remote.append(f"<{tag} {name}={value}>")


def remote(page: str) -> list[str]:
    """Return what a page would load from elsewhere."""
    sources = _Sources()
    sources.feed(page)
    return sources.remote


def test_the_notebooks_are_a_series() -> None:
    """They are numbered from 1 without a gap."""
    assert [int(name[:2]) for name in NAMES] == list(range(1, len(NAMES) + 1))
    assert NAMES[:5] == ["01_first_steps", "02_time_travel", "03_states", "04_analytics", "05_live"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_is_committed_bare(path: Path) -> None:
    """It has no outputs, no counts and no paths of someone's machine, and says which kernel it is for."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for cell in notebook.cells:
        assert not ABSOLUTE.search(f" {cell.source}"), cell.source
        assert re.fullmatch(r"[a-z0-9-]+", cell.id), "an id says what the cell is"
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_tells_a_story(path: Path) -> None:
    """It begins with its title, explains each stretch of code, and its links lead somewhere."""
    notebook = nbformat.read(path, as_version=4)
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert notebook.cells[0].source.startswith("# ")
    assert sum(len(text.split()) for text in prose) > 250
    assert len(prose) * 2 >= len(notebook.cells) - 4
    for text in prose:
        for target in LINK.findall(text):
            assert (path.parent / target).exists(), target


def test_a_notebook_runs_from_a_fresh_store(run: Run) -> None:
    """No cell fails or warns, and there are charts to see, in both of their forms."""
    for output in run.outputs():
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.get("text")
        assert (VEGA in output.get("data", {})) == (SVG in output.get("data", {}))
    assert run.charts() >= 1


def test_a_notebook_runs_again_over_its_store(run: Run) -> None:
    """A store that stays is no obstacle: it is used again."""
    if not (run.folder.parent / "data").exists():
        pytest.skip("its stores are new each time")
    execute(ROOT / "notebooks" / f"{run.name}.ipynb", run.folder)


def test_its_page_has_its_charts_and_takes_nothing_from_elsewhere(run: Run) -> None:
    """``--to eventlab`` loads nothing remote; nbconvert's own page has the charts too, and of its own only its CDN's scripts."""
    ours, _ = PageExporter().from_notebook_node(run.notebook)
    theirs, _ = HTMLExporter().from_notebook_node(run.notebook)
    assert remote(ours) == []
    assert all("cdnjs.cloudflare.com" in source for source in remote(theirs))
    for page in (ours, theirs):
        assert page.count("data:image/svg+xml;base64,") >= run.charts()
    assert "No description has been provided" not in ours


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
def test_its_page_opens_in_a_browser_without_a_network(run: Run) -> None:
    """Every chart is drawn, and no request is made."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - where there is no browser, it need not be there

    SHOTS.mkdir(parents=True, exist_ok=True)
    file = SHOTS / f"{run.name}.html"
    file.write_text(PageExporter().from_notebook_node(run.notebook)[0], encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        page = browser.new_context(viewport={"width": 1050, "height": 1000}, offline=True).new_page()
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(file.as_uri())
        sizes = page.evaluate(DRAWN)
        page.screenshot(path=SHOTS / f"{run.name}.png", full_page=True)
        browser.close()
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
    assert len(sizes) >= run.charts()
    assert all(width > 200 and height > 60 for width, height in sizes)
