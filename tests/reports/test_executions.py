"""Executions: notebooks and functions that are run on a pinned log, whole, failing, too slow, dying and cancelled.

Each kernel costs seconds, so they are few: what several tests look at is run once.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import eventlab as el
from eventlab.reports.execution import notebooks, performances, processes
from eventlab.reports.execution.executions import Cancelled, Execution, Pin, execute
from eventlab.reports.execution.outputs import TABLE, VEGALITE
from eventlab.reports.execution.sources import parameters, source
from eventlab.reports.figures import MIME, Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WHOLE = (
    "# The shop",
    "#interactive\nlog = None",
    "#parameters\nday = '2026-01-01'\nworst = 5",
    "#hidden\nimport altair as alt\nimport eventlab as el\nimport os, sys, tempfile, warnings",
    "print('a', end='')\nprint('careful', file=sys.stderr)\nprint('b')\nwarnings.warn('old', DeprecationWarning)",
    "sales = log.sql('select count(*) from events').fetchall()[0][0]\nel.figure('sales', sales)",
    "log.sql('select stream_id, event_type from events order by position limit 2')",
    "alt.Chart({'values': [{'a': 1}]}).mark_bar().encode(x='a:Q')",
    "",
    "from IPython.display import clear_output\nel.figure('asked', f'{day}, {worst}')\nclear_output()",
    "%load_ext eventlab",
    "%events select count(*) as n from events",
    "own = el.open(os.path.join(tempfile.gettempdir(), 'own'), create=True)\nown.append('s', el.Event('A'))\nown.position",
    "list({f'name {n}' for n in range(20)})",
    "[os.getcwd(), os.environ['IPYTHONDIR'] in tempfile.gettempdir(), object()][::2]",
)
FAILING = (
    "#parameters\nday = 1",
    "#raises-exception\ndef (",
    "#raises-exception\nexit()",
    "import eventlab as el\nel.figure('sales', 3)\nprint('\\x1b[31mred\\x1b[0m')",
    "1 +\\\n  log.sql('from nowhere')",
    "never = True",
)


def write(path: Path, *cells: str) -> Path:
    """Write a notebook of cells of code, which may begin with their tag; those that begin with a heading are Markdown."""
    made = []
    for number, text in enumerate(cells):
        prose = text.startswith("# ")
        tag, code = text.split("\n", 1) if text.startswith("#") and not prose else ("", text)
        cell = {"cell_type": "markdown" if prose else "code", "id": f"cell-{number}", "source": code, "metadata": {}}
        cell |= {"metadata": {"tags": [tag[1:]]}} if tag else {}
        made.append(cell | ({} if prose else {"outputs": [], "execution_count": None}))
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pin(tmp_path_factory: pytest.TempPathFactory) -> Pin:
    """Return a log of twelve sales, pinned after the tenth."""
    path = tmp_path_factory.mktemp("log") / "store"
    with el.open(path, create=True, timezone="America/New_York") as log:
        for day in range(1, 13):
            log.append(f"till-{day % 2}", el.Event("Sale", {"price": day}, occurred_at=f"2026-01-{day:02}"))
        return Pin(path, log.at("2026-01-10").basis, log.timezone)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of all temporary files of the module's runs: empty before and after."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture(scope="module")
def runs(pin: Pin, place: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Execution]:
    """Return two executions of one notebook, made at once on two threads, of which one has an event loop."""
    folder = tmp_path_factory.mktemp("whole")
    asked = source(write(folder / "whole.ipynb", *WHOLE))

    def run() -> Execution:
        return execute(asked, pin, parameters(asked, {"worst": "7"}))

    async def within() -> Execution:
        return run()

    with ThreadPoolExecutor(2) as pool:
        started = [pool.submit(run), pool.submit(lambda: asyncio.run(within()))]
        made = [one.result() for one in started]
    assert list(place.iterdir()) == []
    assert [path.name for path in folder.iterdir()] == ["whole.ipynb"]
    return made


@pytest.fixture(scope="module")
def failed(pin: Pin, place: Path, tmp_path_factory: pytest.TempPathFactory) -> Execution:
    """Return the execution of a notebook in which a cell fails."""
    assert place
    asked = source(write(tmp_path_factory.mktemp("failing") / "failing.ipynb", *FAILING))
    return execute(asked, pin, asked.defaults)


def shown(made: Execution, number: int) -> Any:
    """Return what a cell showed as plain text."""
    return made.cells[number].outputs[-1]["data"]["text/plain"]


def test_a_notebook_runs_on_the_pinned_log(runs: list[Execution]) -> None:
    """With the parameters that are given, and what it declares is noted, also if the cell was cleared."""
    made = runs[0]
    assert made.failure is None
    assert made.figures == [Figure("sales", 10), Figure("asked", "2026-01-01, 7")]
    assert made.seconds > 0


def test_its_cells_are_as_the_author_wrote_them(runs: list[Execution]) -> None:
    """Without those for a person at the notebook; the given parameters are in one that readers do not see."""
    made = runs[0]
    assert [cell.text for cell in made.cells[:4]] == [
        "# The shop",
        "day = '2026-01-01'\nworst = 5",
        "worst = 7",
        "import altair as alt\nimport eventlab as el\nimport os, sys, tempfile, warnings",
    ]
    assert [cell.hidden for cell in made.cells[:5]] == [False, False, True, True, False]
    assert len(made.cells) == len(WHOLE) - 1, "one is for a person, one is empty, one has the parameters"


def test_its_outputs_are_data(runs: list[Execution]) -> None:
    """Charts and tables in eventlab's own types, figures once, also as the last expression of a cell."""
    made = runs[0]
    figures, table, chart = (cell.outputs for cell in made.cells[5:8])
    assert [output["data"][MIME]["name"] for output in figures] == ["sales"]
    assert table[0]["data"][TABLE]["rows"] == [["till-1", "Sale"], ["till-0", "Sale"]]
    assert chart[0]["data"][VEGALITE]["datasets"] == {"rows_0": [{"a": 1}]}
    assert not any("image/svg+xml" in output.get("data", {}) for cell in made.cells for output in cell.outputs)


def test_its_texts_are_in_one_order(runs: list[Execution]) -> None:
    """Standard output first, each in one piece; a warning tells no process."""
    out, err = runs[0].cells[4].outputs
    assert (out["name"], out["text"]) == ("stdout", "ab\n")
    assert (err["name"], err["text"].splitlines()[:2]) == ("stderr", ["careful", "cell 4:4: DeprecationWarning: old"])


def test_a_notebook_may_use_what_a_person_does(runs: list[Execution]) -> None:
    """The magics ask the pinned log, and another store is opened as ever."""
    made = runs[0]
    assert made.cells[10].outputs[0]["data"][TABLE]["rows"] == [["10"]]
    assert shown(made, 11) == "1"


def test_a_notebook_runs_in_its_folder(runs: list[Execution]) -> None:
    """Whatever the current folder is."""
    assert "whole" in shown(runs[0], 13).split(",")[0]


def test_the_same_basis_gives_the_same_outputs(runs: list[Execution]) -> None:
    """In two processes, with sets and objects in them, to the last byte."""
    first, second = runs
    assert first.cells == second.cells
    assert first.figures == second.figures
    assert "object at 0x…" in shown(first, 13)
    assert first.notebook == second.notebook


def test_the_executed_notebook_is_one(runs: list[Execution]) -> None:
    """With the cells that a report leaves out, which were not run, and the given parameters; it can be opened."""
    import nbformat  # noqa: PLC0415 - as Jupyter reads it

    made = runs[0].notebook or {}
    nbformat.validate(nbformat.from_dict(made))
    cells = made["cells"]
    assert len(cells) == len(WHOLE) + 1
    assert cells[1] == {
        "cell_type": "code",
        "id": "cell-1",
        "source": "log = None",
        "metadata": {"tags": ["interactive"]},
        "outputs": [],
        "execution_count": None,
    }
    assert (cells[3]["id"], cells[3]["source"]) == ("injected-parameters", "worst = 7")
    assert [cell.get("execution_count") for cell in cells[:6]] == [None, None, 2, None, 3, 4]


def test_a_failure_says_where_and_what(failed: Execution) -> None:
    """The cell's number is what its author sees; the traceback is plain text, with the line."""
    failure = failed.failure
    assert failure is not None
    assert (failure.kind, failure.cell, failure.code) == ("error", 5, FAILING[4])
    assert failure.message.startswith("QueryError: no relation 'nowhere'. ")
    assert "\n" not in failure.message
    assert "Cell In[5], line 2" in failure.traceback
    assert "\x1b" not in failure.traceback


def test_a_failure_keeps_what_was_made(failed: Execution) -> None:
    """The cells up to it, the figures so far, and the whole notebook."""
    assert [cell.text for cell in failed.cells] == [
        text.split("\n", 1)[-1] if text[0] == "#" else text for text in FAILING[:5]
    ]
    assert failed.figures == [Figure("sales", 3)]
    assert failed.notebook is not None
    assert failed.notebook["cells"][4]["outputs"][-1]["output_type"] == "error"
    assert failed.notebook["cells"][5]["outputs"] == []


def test_syntax_errors_and_exits_are_errors_of_their_cell(failed: Execution) -> None:
    """To exit does not end the kernel behind the report's back; a cell may be tagged as one that may fail."""
    syntax, leaving = (cell.outputs[-1] for cell in failed.cells[1:3])
    assert (syntax["ename"], leaving["ename"]) == ("SyntaxError", "SystemExit")
    assert not any("\x1b" in line for line in [*syntax["traceback"], *leaving["traceback"]])
    assert failed.cells[3].outputs[-1]["text"] == "red\n"


def test_a_kernel_that_dies_is_a_failure(pin: Pin, place: Path, tmp_path: Path) -> None:
    """It says with which code, and after what."""
    asked = source(write(tmp_path / "dying.ipynb", "print('before')", "import os\nos._exit(3)", "never = True"))
    began = time.monotonic()
    made = execute(asked, pin, {}, cancelled=threading.Event())
    failure = made.failure
    assert failure is not None
    assert (failure.kind, failure.cell, failure.code) == ("dead", 2, "import os\nos._exit(3)")
    assert failure.message == "the kernel ended with exit code 3"
    assert made.cells[0].outputs == [{"output_type": "stream", "name": "stdout", "text": "before\n"}]
    assert time.monotonic() - began < 60
    assert list(place.iterdir()) == []


def test_how_a_process_ended_is_told_in_words() -> None:
    """A signal by its name; the one that the system sends when memory is out, with what that may mean."""
    assert processes._how(-signal.SIGSEGV) == "the kernel was ended by SIGSEGV"
    assert processes._how(-signal.SIGKILL).endswith("SIGKILL; the system may have run out of memory")
    assert processes._how(-99) == "the kernel was ended by signal 99"


class Marked:
    """A watch whose time is over as soon as a file is there."""

    def __init__(self, file: Path, outcome: type[Exception]) -> None:
        self.file, self.outcome = file, outcome

    def check(self) -> None:
        """Raise if the file is there."""
        if self.file.exists():
            raise self.outcome


def test_a_cell_that_is_too_slow_is_ended_also_outside_of_python(pin: Pin, place: Path, tmp_path: Path) -> None:
    """It is interrupted, does not listen, and is killed with its children; the failure names it."""
    file = tmp_path / "there"
    slow = (
        f"import pathlib, subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
        f"pathlib.Path({str(file)!r}).write_text(str(child.pid))\nsum(range(10**13))"
    )
    path = write(tmp_path / "slow.ipynb", "1", slow)
    watch: Any = Marked(file, processes.Late)
    content = path.read_bytes()
    made = performances.perform(content, notebooks.read(content), {}, pin, tmp_path, watch)
    assert made.failure is not None
    assert (made.failure.kind, made.failure.cell, made.failure.code) == ("timeout", 2, slow)
    assert shown(Execution(made.cells, [], 0.0), 0) == "1"
    assert gone(int(file.read_text(encoding="utf-8")))
    assert list(place.iterdir()) == []


def test_the_time_of_a_run_is_that_of_all_of_it(pin: Pin, place: Path, tmp_path: Path) -> None:
    """Starting the kernel is part of it."""
    asked = source(write(tmp_path / "late.ipynb", "1"))
    made = execute(asked, pin, {}, timeout=dt.timedelta(seconds=0.1))
    assert made.failure is not None
    assert (made.failure.kind, made.failure.cell) == ("timeout", None)
    assert made.failure.message == "it took longer than it may: 0.1 s"
    assert made.cells == []
    assert list(place.iterdir()) == []


def test_a_kernel_does_not_outlive_its_parent(pin: Pin, tmp_path: Path) -> None:
    """SIGKILL for the process that runs the report ends the kernel too, while its cell is busy outside of Python."""
    file = tmp_path / "there"
    cell = f"import os, pathlib\npathlib.Path({str(file)!r}).write_text(str(os.getpid()))\nsum(range(10**13))"
    path = write(tmp_path / "busy.ipynb", cell)
    code = (
        "import pathlib, sys\nfrom eventlab.reports.execution import executions, sources\n"
        f"pin = executions.Pin(pathlib.Path({str(pin.store)!r}), {pin.basis!r}, 'UTC')\n"
        f"executions.execute(sources.source({str(path)!r}), pin, {{}})"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # which a killed process cannot tidy
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        until(lambda: file.exists() and bool(file.read_text(encoding="utf-8")))
    finally:
        parent.kill()
        parent.wait()
    assert gone(int(file.read_text(encoding="utf-8")))


def test_a_cancelled_run_ends_and_says_so(pin: Pin, place: Path, tmp_path: Path) -> None:
    """It is no failure of the report; its kernel is gone at once."""
    file = tmp_path / "there"
    cell = f"import os, pathlib, time\npathlib.Path({str(file)!r}).write_text(str(os.getpid()))\ntime.sleep(600)"
    asked = source(write(tmp_path / "cancelled.ipynb", cell))
    cancelled = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(execute, asked, pin, {}, cancelled=cancelled)
        until(lambda: (file.exists() and bool(file.read_text(encoding="utf-8"))) or running.done())
        began = time.monotonic()
        cancelled.set()
        with pytest.raises(Cancelled, match="was cancelled"):
            running.result()
    assert time.monotonic() - began < 10
    assert gone(int(file.read_text(encoding="utf-8")))
    assert list(place.iterdir()) == []


def test_what_cannot_be_read_is_a_failure(pin: Pin, tmp_path: Path) -> None:
    """Also if the notebook was changed or deleted after its source was read."""
    path = write(tmp_path / "odd.ipynb", "#parameters\nday = 1")
    asked = source(path)
    path.write_text("{", encoding="utf-8")
    broken = execute(asked, pin, {})
    assert broken.failure is not None
    assert (broken.failure.kind, broken.failure.message[:25]) == (
        "invalid",
        f"{path.as_posix()}: it is no notebook"[:25],
    )
    assert execute(source(path), pin, {}).failure == broken.failure
    path.unlink()
    missing = execute(asked, pin, {}).failure
    assert missing is not None
    assert (missing.kind, missing.message) == (
        "invalid",
        f"{path.as_posix()} cannot be read: No such file or directory",
    )


def run(function: Callable[..., object], pin: Pin, **given: Any) -> Execution:
    """Run a function as a report."""
    asked = source(function)
    return execute(asked, pin, parameters(asked, given.pop("params", {})), **given)


def test_a_function_shows_what_it_yields(pin: Pin) -> None:
    """Text is Markdown; figures that it only declares come first, with its code."""

    def daily(log: el.EventLog, *, day: str = "2026-01-01") -> Iterator[object]:
        el.figure("first", 1)
        yield f"""
            # Of {day}
            """
        yield el.figure("sales", log.position)
        yield log.sql("select count(*) as n from events")
        yield None
        yield 12345

    made = run(daily, pin, params={"day": "2026-02-02"})
    assert made.failure is None
    assert made.figures == [Figure("first", 1), Figure("sales", log_position(pin))]
    assert [(cell.kind, cell.text.strip().split("\n")[0]) for cell in made.cells] == [
        ("code", 'def daily(log: el.EventLog, *, day: str = "2026-01-01") -> Iterator[object]:'),
        ("markdown", "# Of 2026-02-02"),
        ("code", ""),
        ("code", ""),
        ("code", ""),
    ]
    assert made.cells[0].outputs[0]["data"][MIME]["name"] == "first"
    assert made.cells[2].outputs[0]["data"][MIME]["name"] == "sales"
    assert made.cells[3].outputs[0]["data"][TABLE]["rows"] == [["10"]]
    assert made.cells[4].outputs[0] == {"output_type": "display_data", "data": {"text/plain": "12,345"}, "metadata": {}}
    assert made.notebook is None


def log_position(pin: Pin) -> int:
    """Return the position of the pin."""
    with el.open(pin.store, read_only=True) as log:
        return log.at(pin.basis).position


def test_a_function_shows_what_it_returns(pin: Pin) -> None:
    """One value, several, or the rows of a table; nothing if it returns nothing."""

    def one(_: object) -> str:
        return "text"

    def several(_: object) -> tuple[str, int]:
        return "text", 5

    def rows(_: object) -> list[dict[str, int]]:
        return [{"n": 1}, {"n": 2}]

    def nothing(_: object) -> None: ...

    kinds = [[cell.kind for cell in run(function, pin).cells[1:]] for function in (one, several, rows, nothing)]
    assert kinds == [["markdown"], ["markdown", "code"], ["code"], []]
    assert run(rows, pin).cells[1].outputs[0]["data"][TABLE]["rows"] == [["1"], ["2"]]


def test_a_function_that_fails_says_where(pin: Pin) -> None:
    """The traceback begins with it, and what it showed before is kept."""

    def failing(log: el.EventLog) -> Iterator[object]:
        yield "before"
        el.figure("sales", 3)
        yield log.sql("from nowhere")

    made = run(failing, pin)
    failure = made.failure
    assert failure is not None
    assert (failure.kind, failure.cell) == ("error", None)
    assert failure.message.startswith("QueryError: no relation 'nowhere'. ")
    assert failure.code == 'yield log.sql("from nowhere")'
    assert "in failing" in failure.traceback.splitlines()[1]
    assert [cell.text for cell in made.cells[1:]] == ["before"]
    assert made.figures == [Figure("sales", 3)]

    def leaving(_: object) -> None:
        sys.exit(3)

    gone_off = run(leaving, pin).failure
    assert gone_off is not None
    assert gone_off.message == "SystemExit: 3"


def test_a_function_that_is_too_slow_is_interrupted(pin: Pin) -> None:
    """Where it is in Python, whatever it catches; cancelled, it has not failed."""

    def slow(_: object) -> Iterator[object]:
        yield "before"
        while True:
            with contextlib.suppress(Exception):
                time.sleep(0.01)

    made = run(slow, pin, timeout=dt.timedelta(seconds=0.3))
    assert made.failure is not None
    assert (made.failure.kind, made.failure.message) == ("timeout", "it took longer than it may: 0.3 s")
    assert [cell.text for cell in made.cells[1:]] == ["before"]
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        run(slow, pin, cancelled=cancelled)
    until(lambda: not any(thread.name == "eventlab-report" for thread in threading.enumerate()))


def test_an_interrupt_of_a_function_is_the_callers(pin: Pin) -> None:
    """Who presses Ctrl-C wants to stop the program, not to hear of a failed report."""

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted, pin)


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is true."""
    patience = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < patience
        time.sleep(0.02)


def gone(process: int) -> bool:
    """Tell whether a process ends soon."""
    with contextlib.suppress(ProcessLookupError):
        for _ in range(500):
            os.kill(process, 0)
            with contextlib.suppress(OSError):
                if Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z":
                    return True  # nobody has asked for its exit code yet
            time.sleep(0.02)
        return False
    return True
