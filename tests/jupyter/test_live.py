"""Live pictures without a browser: when the function is called, what is kept when it fails, and what ends it."""

from __future__ import annotations

import datetime as dt
import gc
import html
import json
import os
import subprocess
import sys
import threading
import time
import weakref
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd
import polars as pl
import pytest

import eventlab as el
from eventlab.jupyter import lives, pictures
from eventlab.jupyter.newest import Newest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Yield a new log with one event."""
    with el.open(tmp_path / "store", create=True) as opened:
        opened.append("till-1", el.Event("Sale", {"n": 1}))
        yield opened


def until(true: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)


def test_the_function_is_called_when_something_is_recorded_and_not_otherwise(log: el.EventLog) -> None:
    """One call at the start, one for each look that finds something new, none while the log is as it was."""
    calls = []
    live = log.live(lambda log: calls.append(log.position) or log.position, every="20ms")
    time.sleep(0.3)
    assert calls == [1]
    log.append("till-1", el.Event("Sale", {"n": 2}))
    until(lambda: live.picture.data["text"] == "2")
    assert (live.status.position, live.status.refreshes, calls) == (2, 2, [1, 2])
    log.define_state("sales", "select count(*) as n from events")
    until(lambda: live.status.refreshes == 3)
    live.stop()


def test_what_another_process_appends_is_seen(log: el.EventLog) -> None:
    """The log is looked at, not this process's appends."""
    live = log.live(lambda log: log.position, every="50ms")
    code = "import sys, eventlab as el\nwith el.open(sys.argv[1]) as log: log.append('till-2', el.Event('Sale'))"
    subprocess.run([sys.executable, "-c", code, str(log.path)], check=True, cwd=ROOT)
    until(lambda: live.picture.data["text"] == "2")
    live.stop()


def test_a_failing_function_keeps_the_last_picture(log: el.EventLog) -> None:
    """The error is told with the picture before it, and goes when the function works again."""

    def fn(log: el.EventLog) -> int:
        if log.position == 2:
            raise LookupError("no such till")
        return log.position

    live = log.live(fn, every="20ms")
    log.append("till-1", el.Event("Sale"))
    until(lambda: live.status.error)
    assert live.status.error == "LookupError: no such till"
    assert (live.picture.data["text"], live.status.position) == ("1", 1)
    log.append("till-1", el.Event("Sale"))
    until(lambda: live.picture.data["text"] == "3")
    assert not live.status.error
    live.stop()


def test_a_function_that_cannot_work_says_so_at_once(log: el.EventLog) -> None:
    """The first call is made where the person is, and raises there; so does what is no picture."""
    with pytest.raises(ZeroDivisionError):
        log.live(lambda _: 1 / 0)
    with pytest.raises(el.InvalidArgument, match="Return an Altair chart"):
        log.live(lambda _: object())
    with pytest.raises(el.InvalidArgument, match="2 is no duration"):
        log.live(lambda _: 1, every=2)  # type: ignore[arg-type]


def test_it_ends_by_stop_and_begins_again_by_start(log: el.EventLog) -> None:
    """Stopped, it does not follow; started again, it catches up."""
    live = log.live(lambda log: log.position, every="20ms")
    live.stop()
    log.append("till-1", el.Event("Sale"))
    time.sleep(0.2)
    assert (live.picture.data["text"], live.status.running) == ("1", False)
    assert repr(live).startswith("<Live stopped: 1, complete to position 1 at ")
    live.start()
    until(lambda: live.picture.data["text"] == "2")
    live.stop()
    live.wait()


def test_it_ends_with_its_log(tmp_path: Path) -> None:
    """Closing the log stops it, which is no error."""
    log = el.open(tmp_path / "store", create=True)
    live = log.live(lambda log: log.position, every="20ms")
    log.close()
    until(lambda: not live.status.running)
    assert (live.status.why, live.status.error) == ("as the log was closed", "")


def test_an_interrupt_stops_all_of_them(log: el.EventLog) -> None:
    """What the kernel's interrupt calls stops every live picture."""
    both = [log.live(lambda log: log.position, every="20ms") for _ in range(2)]
    lives._interrupted()
    assert [(live.status.running, live.status.why) for live in both] == [(False, "by an interrupt")] * 2


def test_the_pause_grows_with_the_cost_and_one_costly_call_is_forgiven(log: el.EventLog) -> None:
    """A look takes at most a fifth of the time and never waits longer than a minute, unless a person asks for that."""
    live = log.live(lambda log: log.position, every="2s")
    live.stop()
    assert live._pause(10) == 2
    assert live._pause(1) == 4
    assert live._pause(1000) == 4
    assert live._pause(1000) == 60
    live._every = 300.0
    assert live._pause(1000) == 300


def test_there_is_one_refresh_at_a_time(log: el.EventLog) -> None:
    """A slow function is not called again while it runs, and cells go on meanwhile."""
    inside, most = [0], [0]

    def slow(log: el.EventLog) -> int:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.05)
        inside[0] -= 1
        return log.position

    live = log.live(slow, every="10ms")
    for _ in range(20):
        log.append("till-1", el.Event("Sale"))
        live.nudge()
    until(lambda: live.status.position == 21)
    assert most == [1]
    live.stop()


def test_nothing_is_computed_while_nobody_looks(log: el.EventLog) -> None:
    """On a page that no one sees the function is not called; it is when someone does."""

    class Hidden:
        seen = False

        def show(self, *_: object) -> None:
            """Show nothing."""

        def tell(self, *_: object) -> None:
            """Tell nothing."""

        def watched(self) -> bool:
            """Tell whether it is seen."""
            return self.seen

    live = log.live(lambda log: log.position, every="20ms")
    live._screen = screen = Hidden()
    time.sleep(0.1)
    log.append("till-1", el.Event("Sale"))
    time.sleep(0.2)
    assert live.picture.data["text"] == "1"
    screen.seen = True
    live.nudge()
    until(lambda: live.picture.data["text"] == "2")
    live.stop()


def test_nothing_is_kept_of_pictures_that_are_gone(log: el.EventLog) -> None:
    """A refresh lets go of what the one before it made, its relations among them."""
    made: list[weakref.ref[pl.DataFrame]] = []

    class Frame(pl.DataFrame):
        """A frame that can be watched."""

    def fn(log: el.EventLog) -> pl.DataFrame:
        frame = Frame(log.sql("select position from events").pl())
        made.append(weakref.ref(frame))
        return frame

    live = log.live(fn, every="10ms")
    for count in range(2, 8):
        log.append("till-1", el.Event("Sale"))
        until(lambda count=count: live.status.position == count)
    live.stop()
    gc.collect()
    assert len(made) >= 7
    assert [ref() for ref in made] == [None] * len(made)


def test_in_a_terminal_it_prints_a_line_a_change(log: el.EventLog, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no page, each picture is a line, an error too, and so is the end."""
    live = log.live(lambda log: log.sql("select position, version from events"), every="20ms")
    log.append("till-1", el.Event("Sale"))
    until(lambda: live.status.refreshes == 2)
    live.stop("as it is late")
    time.sleep(0.1)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[-1] for line in lines] == [
        "position 1: 1 row, 2 columns",
        "position 2: 2 rows, 2 columns",
        "stopped as it is late",
    ]


def test_its_display_has_a_static_form_and_no_markup_of_data(log: el.EventLog) -> None:
    """Outside of a notebook the display is HTML without scripts, in which data are text."""
    log.append("<script>alert(1)</script>", el.Event("Sale"))
    live = log.live(lambda log: log.sql('select stream_id as "<b>" from events order by position'))
    live.stop()
    bundle = live._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert "&lt;script&gt;alert(1)" in bundle["text/html"]
    assert "&lt;b&gt;" in bundle["text/html"]
    assert "<script" not in bundle["text/html"]


@pytest.mark.parametrize(
    ("value", "kind", "line"),
    [
        (12345, "number", "12,345"),
        (0.5, "number", "0.5"),
        (Decimal("12.50"), "number", "12.50"),
        ("a text", "text", "a text"),
        (None, "text", "nothing"),
        (dt.date(2026, 1, 2), "text", "2026-01-02"),
        (pl.DataFrame({"a": [1, 2]}), "table", "2 rows, 1 column"),
        (pl.Series("a", [1]), "table", "1 row, 1 column"),
        (pl.LazyFrame({"a": [1]}), "table", "1 row, 1 column"),
        (pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}), "table", "2 rows, 2 columns"),
        (pl.DataFrame({"a": [1]}).to_arrow(), "table", "1 row, 1 column"),
        ([{"a": 1}, {"a": None}], "table", "2 rows, 1 column"),
        (pl.DataFrame({"a": range(1000)}), "table", "1,000 rows, 1 column"),
    ],
)
def test_what_a_function_may_return(value: object, kind: str, line: str) -> None:
    """Numbers, texts and frames of any library are pictures; a table shows its first rows and says how many there are."""
    drawn = pictures.picture(value)
    assert (drawn.kind, drawn.line) == (kind, line)
    assert len(drawn.data.get("rows", [])) <= pictures.ROWS


def charted(n: int) -> Any:
    """Return a chart of layers, with a selection, a column of times and marks of its own."""
    frame = pl.DataFrame({"t": [dt.datetime(2026, 1, 1 + i, tzinfo=dt.UTC) for i in range(n)], "v": list(range(n))})
    base = alt.Chart(frame).mark_line().encode(x="t:T", y="v:Q")
    return alt.layer(base.interactive(), alt.Chart(frame.tail(1)).mark_point().encode(x="t:T", y="v:Q"))


def test_a_chart_of_other_rows_has_the_same_form() -> None:
    """What Altair names by content or by counting does not make another chart; the rows are apart from the form."""
    one, two = pictures.picture(charted(2)), pictures.picture(charted(5))
    assert one.form == two.form
    assert [len(rows) for rows in two.data.values()] == [5, 1]
    assert list(two.data) == ["rows_0", "rows_1"]
    assert [layer["data"]["name"] for layer in two.form["layer"]] == ["rows_0", "rows_1"]


def test_the_chart_of_an_answer_leaves_its_theme_to_the_page(log: el.EventLog) -> None:
    """The light theme that is in it already is taken out, so that a dark page can have the dark one; its own stays."""
    log.append("till-2", el.Event("Sale", {"n": 5}))
    log.define_state("sales", "select stream_id as till, sum(Sale.n) as total from events group by stream_id")
    drawn = pictures.picture(log.state("sales").now().chart())
    assert drawn.form["config"].keys() <= {"view"}
    light, dark = (pictures.specification(drawn, mode)["config"]["title"]["color"] for mode in ("light", "dark"))
    assert light != dark
    assert 'src="data:image/svg+xml;base64,' in pictures.static(drawn, caption="now")


def test_numbers_that_json_does_not_have_are_gaps() -> None:
    """NaN and infinities in rows that a person gives inline do not break the page."""
    rows = [{"a": float("nan"), "d": Decimal("1.5"), "t": dt.date(2026, 1, 2)}]
    drawn = pictures.picture(alt.Chart(alt.InlineData(values=rows)).mark_point().encode(x="a:Q"))
    assert drawn.data == {"rows_0": [{"a": None, "d": 1.5, "t": "2026-01-02"}]}


def test_cells_are_short_and_say_moments_in_the_zone() -> None:
    """A cell is text of bounded length."""
    noon = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
    assert pictures.cell(noon, dt.timezone(dt.timedelta(hours=-5))) == "2026-01-02 07:00:00"
    assert pictures.cell(None) is None
    assert [pictures.cell(value) for value in (True, False)] == ["true", "false"]
    assert pictures.cell(float("nan")) == "nan"
    assert pictures.cell(0.0) == "0"
    assert pictures.cell({"a": [1]}) == '{"a": [1]}'
    assert len(pictures.cell("x" * 10_000) or "") == 240


def test_of_requests_that_come_meanwhile_only_the_newest_is_done() -> None:
    """What was overtaken is dropped; the last one never is."""
    gate, done = threading.Event(), []

    def work(request: int) -> None:
        gate.wait(10)
        done.append(request)

    newest = Newest(work)
    newest.put(0)
    until(lambda: not newest.overtaken)
    for request in range(1, 6):
        newest.put(request)
    assert newest.overtaken
    gate.set()
    newest.wait()
    assert done == [0, 5]


def test_nothing_of_it_is_loaded_before_it_is_asked_for() -> None:
    """``import eventlab`` brings neither Altair nor widgets; a time machine is there all the same."""
    code = (
        "import sys, eventlab as el\n"
        "assert not {'altair', 'anywidget', 'IPython', 'pandas', 'ipywidgets'} & set(sys.modules)\n"
        "assert el.TimeMachine.__name__ == 'TimeMachine'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_an_exported_notebook_shows_it_without_widgets(tmp_path: Path) -> None:
    """Run and exported by nbconvert, live pictures and time machines are their static forms, which need no network."""
    code = (
        "import altair as alt, eventlab as el\n"
        f"log = el.open({str(tmp_path / 'shop')!r}, create=True)\n"
        "_ = log.append('till-1', [el.Event('Sale', {'n': n}, occurred_at=f'2026-01-0{n}') for n in (1, 2, 3)])"
    )
    chart = (
        "log.live(lambda log: alt.Chart(log.sql('select position from events').pl()).mark_tick().encode(x='position'))"
    )
    machine = "el.TimeMachine(log, lambda view: view.sql('select stream_id, version from events'), at='2026-01-02')"
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [{**cell, "id": f"c{number}", "source": text} for number, text in enumerate((code, chart, machine))]
    notebook = tmp_path / "live.ipynb"
    notebook.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "html", "--template", "basic", str(notebook)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    page = (tmp_path / "live.html").read_text()
    assert "as of position 3" in page
    assert "data:image/svg+xml;base64," in page
    assert 'log.at("2026-01-02")' in html.unescape(page)
    assert "widget-view" not in page
