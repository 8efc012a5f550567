"""A real JupyterLab in a real Chromium that has no network, for the tests of this folder.

``desk`` opens notebooks, runs them and takes pictures; the screenshots stay in ``$EVENTLAB_SCREENSHOTS`` (else in the folder
``eventlab-screenshots`` of the machine's temporary files), to be looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROOT = Path(__file__).parents[2]
SHOTS = Path(os.environ.get("EVENTLAB_SCREENSHOTS") or Path(tempfile.gettempdir()) / "eventlab-screenshots")
LOOPBACK = {"127.0.0.1", "localhost", "::1", ""}
READY = "() => window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel?.status === 'idle'"
NO_SURPRISES = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
OPTIONS = (
    "--no-browser --allow-root --ip=127.0.0.1 --IdentityProvider.token= --ServerApp.password= "
    "--ServerApp.disable_check_xsrf=True --LabApp.expose_app_in_browser=True --LabApp.news_url=None "
    "--LabApp.extension_manager=readonly "
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate"
)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a browser where none is installed, and say so."""
    reason = "needs Chromium: apt-get install chromium" if CHROMIUM is None else ""
    for item in items:
        if reason and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@dataclass(frozen=True)
class Lab:
    """A JupyterLab server: its address and the folder that it shows."""

    url: str
    folder: Path


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Yield a server of its own, with settings of its own, that nobody else can see."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("notebooks")
    settings = home / "lab" / "user-settings"
    for plugin, values in NO_SURPRISES.items():
        path = settings / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    places = {name: str(home / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    environment = {
        **os.environ,
        **places,
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "PYTHONPATH": str(ROOT),
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "jupyterlab", f"--port={port}", *OPTIONS.split()]
    with (home / "server.log").open("w") as output:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
        try:
            _await(f"{url}/api/status", server, home / "server.log")
            yield Lab(url, folder)
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _await(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers; fail with its log if it does not."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own server
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Yield Chromium."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - where there is no browser, it need not be there

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """Yield a page that reaches nothing but this machine; the test fails if it wanted to."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    strangers: list[str] = []

    def pass_on(route: Any) -> None:
        if urlsplit(route.request.url).hostname in LOOPBACK | {None}:
            route.continue_()
        else:
            strangers.append(route.request.url)
            route.abort()

    def note(socket: Any) -> None:
        if urlsplit(socket.url).hostname not in LOOPBACK:
            strangers.append(socket.url)

    context.route("**/*", pass_on)
    page = context.new_page()
    page.on("websocket", note)
    page.on("console", lambda message: print(message.type, message.text))  # noqa: T201 - shown where a test fails
    page.on("pageerror", lambda error: print(f"error {error}"))  # noqa: T201 - as above
    page.set_default_timeout(20_000)
    yield page
    context.close()
    assert not strangers, f"the page wanted to reach {strangers[:5]}"


class Desk:
    """A page with a notebook on it."""

    def __init__(self, lab: Lab, page: Any) -> None:
        self.lab, self.page = lab, page

    def write(self, name: str, cells: Sequence[str]) -> Path:
        """Write a notebook of code cells into the server's folder."""
        code = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
        notebook = {
            "cells": [{**code, "id": f"cell-{number}", "source": source} for number, source in enumerate(cells)],
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path = self.lab.folder / name
        path.write_text(json.dumps(notebook))
        return path

    def open(self, name: str, *, dark: bool = False) -> None:
        """Open a notebook of the server's folder and wait for its kernel."""
        self.page.goto(f"{self.lab.url}/lab/tree/{name}?reset")
        self.page.wait_for_function(READY, timeout=90_000)
        theme = "JupyterLab Dark" if dark else "JupyterLab Light"
        self.command("apputils:change-theme", theme=theme)
        self.page.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{'false' if dark else 'true'}'")
        if self.page.locator(".jp-SideBar .lm-mod-current").count():
            self.command("application:toggle-left-area")

    def command(self, name: str, **args: object) -> None:
        """Run a command of JupyterLab, and wait for what it promises."""
        self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args).then(() => null)", [name, args]
        )

    def run_all(self) -> None:
        """Run all cells and wait until the last has ended."""
        self.command("notebook:run-all-cells")
        self.page.wait_for_function(READY, timeout=120_000)

    def kernel(self) -> str:
        """Return the id of the notebook's kernel."""
        return str(
            self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.id")
        )

    def text(self) -> str:
        """Return everything that the notebook's outputs say."""
        return "\n".join(self.page.locator(".jp-OutputArea-output").all_inner_texts())

    def shot(self, name: str, selector: str | None = None) -> Path:
        """Take a picture of the page, or of an element; return where it is."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        (self.page.locator(selector).first if selector else self.page).screenshot(path=path)
        return path


@pytest.fixture
def desk(lab: Lab, page: Any) -> Iterator[Desk]:
    """Yield a desk; its kernel ends with the test."""
    made = Desk(lab, page)
    yield made
    made.shot("last")
    page.evaluate("() => window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.shutdown().catch(() => null)")
