"""``eventlab report run`` and ``verify``: what they print, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import eventlab as el
from eventlab.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = '''
import eventlab as el

def orders(log, *, worst: int = 3):
    """Orders, <b>all</b>."""
    el.figure("orders", log.sql("select count(*) from events").fetchall()[0][0])
    return f"The worst {worst}"

def broken(log):
    """Fails."""
    raise ValueError("no\\nway")
'''
RUN = ["report", "run", "stall_of_cli:orders", "--store", "shop"]


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be in a folder with a log and the module of two reports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "stall_of_cli.py").write_text(SOURCE)
    with el.open("shop", create=True) as log:
        log.append("order-1", [el.Event("OrderPlaced", {"amount": day}) for day in range(5)])
    yield tmp_path
    sys.modules.pop("stall_of_cli", None)


def test_it_says_what_it_made(capsys: pytest.CaptureFixture[str]) -> None:
    """The title, how many figures, and the files; or all of it for a program."""
    assert main([*RUN, "--at", "3", "--to", "html,md", "--out", "out"]) == 0
    assert capsys.readouterr().out.splitlines() == ["Orders, <b>all</b>: 1 figure", "out/orders.html", "out/orders.md"]
    assert main([*RUN, "--at", "3", "--out", "one.html", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["figures"], told["files"]) == ({"orders": 3}, ["one.html"])


def test_a_page_is_verified(capsys: pytest.CaptureFixture[str]) -> None:
    """Equal ends with 0; a page that was edited with 1 and one line of error."""
    assert main([*RUN, "--out", "page.html"]) == 0
    assert main(["report", "verify", "page.html"]) == 0
    assert "equal: 1 figure" in capsys.readouterr().out
    page = Path("page.html")
    page.write_text(page.read_text().replace("The worst 3", "The worst 4"))
    assert main(["report", "verify", "page.html", "--json"]) == 1
    said = capsys.readouterr()
    assert (json.loads(said.out)["equal"], said.err.splitlines()[0]) == (
        False,
        "error: page.html is not what its basis gives",
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--param", "wrost=1", "--out", "out"], "no parameter 'wrost'"),
        (["--param", "worst=many", "--out", "out"], "'many' is no int"),
        (["--to", "docx", "--out", "out"], "no format 'docx'"),
        (["--at", "99", "--out", "out"], "no position 99"),
        (["--at", "soon", "--out", "out"], "'soon' is no time"),
        ([], "--out is missing"),
    ],
)
def test_a_wrong_use_ends_with_two(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And writes nothing."""
    assert main([*RUN, *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("stall_of_cli:broken", 1, "error: stall_of_cli:broken: ValueError: no way"),
        ("stall_of_cli:none", 2, "no function 'none'"),
        ("nowhere.ipynb", 2, "nowhere.ipynb"),
    ],
)
def test_a_report_that_fails_ends_with_one(
    source: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a line, with no traceback; one that is not there is a wrong use."""
    assert main(["report", "run", source, "--store", "shop", "--out", "out"]) == code
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) <= 2
    assert "Traceback" not in err


def test_reports_are_made_on_several_threads_at_once() -> None:
    """In a fresh process, where what they need is loaded by all of them at the same time."""
    program = (
        "from concurrent.futures import ThreadPoolExecutor as P\n"
        "import eventlab as el\n"
        "import eventlab.reports.renders\n"
        "def one(n): return el.report('stall_of_cli:orders', 'shop', out=f'out/{n}.html', title=str(n)).figures\n"
        "with P(6) as pool: print(list(pool.map(one, range(6))) == [{'orders': 5}] * 6)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "True\n"
