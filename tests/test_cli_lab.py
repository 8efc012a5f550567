"""``eventlab lab``: a JupyterLab that keeps its token, on the notebooks, with the store at hand in its kernels."""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client import BlockingKernelClient

import eventlab as el
from eventlab.cli import labs, main

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make a store with one event."""
    path = tmp_path / "my shop"
    with el.open(path, create=True) as log:
        log.append("order-1", el.Event("OrderPlaced", {"amount": 5}))
    return path


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """Return where the command and the environment of JupyterLab are noted, instead of being run."""
    noted: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda _, arguments, environment: noted.append((arguments, environment)))
    monkeypatch.delenv(labs.STORE, raising=False)
    return noted


def test_it_keeps_the_token_and_fetches_nothing(
    store: Path, ran: list[tuple[list[str], dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No option takes a guard away; news, updates and the catalogue of extensions are off."""
    monkeypatch.chdir(store.parent)
    assert main(["lab", str(store), "--port", "8899", "--no-browser"]) == 0
    [(arguments, environment)] = ran
    assert arguments[:3] == [sys.executable, "-m", "jupyterlab"]
    assert {"--port=8899", "--no-browser", "--LabApp.news_url=None", "--LabApp.extension_manager=readonly"} <= set(
        arguments
    )
    assert not [
        option for option in arguments if any(word in option for word in ("token", "password", "xsrf", "root=", "ip="))
    ]
    assert environment[labs.STORE] == str(store.resolve())
    [settings] = Path(environment["JUPYTER_CONFIG_PATH"].split(os.pathsep)[0]).glob("labconfig/*.json")
    assert json.loads(settings.read_text())["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


def test_which_notebooks_and_which_store(
    store: Path,
    ran: list[tuple[list[str], dict[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The folder that is named, else ./notebooks, else eventlab's own; without a store the demonstration's, if it is there."""
    monkeypatch.chdir(store.parent)
    main(["lab", "--notebooks", str(store.parent)])
    main(["lab"])
    (store.parent / "notebooks").mkdir()
    with el.open("data/flights", create=True):
        pass
    main(["lab"])
    roots = [next(one for one in arguments if one.startswith("--ServerApp.root_dir=")) for arguments, _ in ran]
    folders = [store.parent, ROOT / "notebooks", store.parent / "notebooks"]
    assert roots == [f"--ServerApp.root_dir={folder.resolve()}" for folder in folders]
    demo = str((store.parent / "data/flights").resolve())
    assert [environment.get(labs.STORE) for _, environment in ran] == [None, None, demo]
    assert "none yet; eventlab demo makes one" in capsys.readouterr().out


def test_what_is_not_there_is_said_at_once(
    tmp_path: Path, ran: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A store, a folder of notebooks, JupyterLab itself."""
    assert main(["lab", str(tmp_path / "nothing")]) == 1
    assert "no store" in capsys.readouterr().err
    assert main(["lab", "--notebooks", str(tmp_path / "nothing")]) == 1
    assert "there is no folder" in capsys.readouterr().err
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jupyterlab" else found(name))
    assert main(["lab"]) == 1
    assert "pip install 'eventlab[lab]'" in capsys.readouterr().err
    assert ran == []


@pytest.fixture
def server(store: Path, tmp_path: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Run ``eventlab lab`` as a person does, with a home of its own, and yield what the server says of itself."""
    homes = {
        name: str(tmp_path / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    environment = {**os.environ, **homes, "PYTHONPATH": str(ROOT)}
    environment.pop("JUPYTER_TOKEN", None)
    notebooks = tmp_path / "books"
    notebooks.mkdir()
    (notebooks / "one.ipynb").write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--notebooks", str(notebooks), "--port", str(port), "--no-browser", "--allow-root"]
    with (tmp_path / "lab.log").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "eventlab", "lab", str(store), *options], env=environment, stdout=out, stderr=out
        )
        try:
            yield _started(process, Path(homes["JUPYTER_RUNTIME_DIR"])), Path(homes["JUPYTER_RUNTIME_DIR"])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _started(process: subprocess.Popen[bytes], runtime: Path) -> dict[str, Any]:
    """Return what a server says of itself, when it answers."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            try:
                told: dict[str, Any] = json.loads(file.read_text())
                with urllib.request.urlopen(f"{told['url']}api", timeout=5):  # noqa: S310 - our own server
                    return told
            except (OSError, ValueError):
                pass  # not yet
        time.sleep(0.2)
    return pytest.fail("the server did not start")


def ask(server: dict[str, Any], path: str, *, token: str | None, method: str = "GET") -> Any:
    """Return what the server answers, as JSON."""
    headers = {"Authorization": f"token {token}"} if token else {}
    request = urllib.request.Request(f"{server['url']}{path}", headers=headers, method=method)  # noqa: S310 - our own
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
        return json.loads(answer.read())


def test_a_kernel_of_the_lab_opens_the_store(server: tuple[dict[str, Any], Path], store: Path) -> None:
    """Nobody gets in without the token; with it the notebooks are there, and in a kernel the magics find the store."""
    told, runtime = server
    assert len(told["token"]) >= 40
    with pytest.raises(urllib.error.HTTPError, match="403"):
        ask(told, "api/contents", token=None)
    assert [one["name"] for one in ask(told, "api/contents", token=told["token"])["content"]] == ["one.ipynb"]
    kernel = ask(told, "api/kernels", token=told["token"], method="POST")
    client = BlockingKernelClient(connection_file=str(runtime / f"kernel-{kernel['id']}.json"))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        code = "%load_ext eventlab\n%eventlab\nprint(log.path)\n%events select count(*) as n from order_placed"
        shown: list[dict[str, Any]] = []
        client.execute_interactive(code, timeout=60, output_hook=lambda message: shown.append(message["content"]))
        texts = [content.get("text", "") for content in shown]
        assert f"{store.resolve()}\n" in texts
        [result] = [
            content["data"] for content in shown if "data" in content and "n" in content["data"].get("text/plain", "")
        ]
        assert "│ 1" in result["text/plain"]
    except queue.Empty:
        pytest.fail("the kernel did not answer")
    finally:
        client.stop_channels()
