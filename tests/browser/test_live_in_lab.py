"""A live picture in JupyterLab: it follows another process in place, says how complete it is, and ends with its kernel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
APPEND = """
import sys, eventlab as el
with el.open(sys.argv[1]) as log:
    start = log.position
    log.append("till-1", [el.Event("Sale", {"n": start + i, "label": "<script>document.title='!'</script>"}) for i in range(5)])
"""
SETUP = """
import os, altair as alt, eventlab as el
log = el.open("{store}", create=True)
log.append("till-1", [el.Event("Sale", {{"n": i, "label": "<script>document.title='!'</script>"}}) for i in range(20)])
"""
CHART = """
def chart(log):
    frame = log.sql("select position, Sale.n as n, Sale.label as label from events order by position").pl()
    base = alt.Chart(frame).mark_circle(size=60).encode(x="position:Q", y="n:Q", color="label:N", tooltip=["label:N", "n:Q"])
    return base.properties(width=520, height=220).interactive()

live = log.live(chart, every="1s")
live
"""
DOMAIN = "el => el.eventlabView.scale('x').domain()"
ROWS = "el => el.eventlabView.data('rows_0').length"
PICTURE = ".eventlab-live .eventlab-picture"


def append(store: Path) -> None:
    """Append five events in a process of its own."""
    subprocess.run([sys.executable, "-c", APPEND, str(store)], check=True, env={"PYTHONPATH": str(ROOT)})


def opened(desk: Any, tmp_path: Path, *cells: str, name: str = "live.ipynb", dark: bool = False) -> Path:
    """Run a notebook over a new store, and return the store's path."""
    store = tmp_path / "shop"
    desk.write(name, [SETUP.format(store=store), *cells])
    desk.open(name, dark=dark)
    desk.run_all()
    return store


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_chart_follows_another_process_and_keeps_its_zoom(desk: Any, tmp_path: Path, dark: bool) -> None:
    """New rows show within two intervals, in the same view, where the person has zoomed to."""
    store = opened(desk, tmp_path, CHART, dark=dark)
    picture = desk.page.locator(PICTURE)
    picture.locator("svg .mark-symbol path").first.wait_for()
    before = picture.evaluate(DOMAIN)
    picture.locator("svg.marks").hover(position={"x": 250, "y": 100})
    desk.page.mouse.wheel(0, -300)
    desk.page.wait_for_function(f"([el, was]) => ({DOMAIN})(el)[0] !== was", arg=[picture.element_handle(), before[0]])
    zoomed = picture.evaluate(DOMAIN)
    picture.evaluate("el => { el.firstChild.mark = 'the same' }")
    append(store)
    desk.page.wait_for_function(f"el => ({ROWS})(el) === 25", arg=picture.element_handle(), timeout=2_000)
    assert picture.evaluate(DOMAIN) == zoomed
    assert picture.evaluate("el => el.firstChild.mark") == "the same"
    assert "complete to position 25 at" in desk.page.locator(".eventlab-said").inner_text()
    assert desk.page.title() != "!"
    desk.shot(f"live-chart-{'dark' if dark else 'light'}", ".jp-NotebookPanel")


def test_a_table_and_a_number_follow_in_place(desk: Any, tmp_path: Path) -> None:
    """The cells of a table change where they stand, and its scroll stays where it was; markup in data is text."""
    query = "select position, event_id, Sale.label as label from events order by position"
    table = f"live = log.live(lambda log: log.sql({query!r}), every='1s')\nlive"
    number = "total = log.live(lambda log: log.position, every='1s')\ntotal"
    store = opened(desk, tmp_path, table, number)
    scroll = desk.page.locator(f"{PICTURE} .eventlab-scroll")
    scroll.locator("tbody tr").nth(19).wait_for()
    scroll.evaluate("el => { el.scrollTop = 60; el.querySelector('tr').mark = 1 }")
    append(store)
    scroll.locator("tbody tr").nth(24).wait_for(timeout=2_000)
    assert scroll.evaluate("el => [el.scrollTop, el.querySelector('tr').mark]") == [60, 1]
    assert "<script>" in scroll.inner_text()
    desk.page.locator(f"{PICTURE} .eventlab-number").get_by_text("25").wait_for(timeout=2_000)
    assert desk.page.title() != "!"
    desk.shot("live-table", ".jp-NotebookPanel")


def test_an_error_keeps_the_picture_and_shows_itself(desk: Any, tmp_path: Path) -> None:
    """What a failing function raises stands over the last good picture, and goes when it works again."""
    cell = (
        "broken = False\ndef fn(log):\n    if broken: raise ValueError('<b>no</b> such sale')\n    return log.position\n"
        "live = log.live(fn, every='500ms')\nlive"
    )
    store = opened(desk, tmp_path, cell)
    picture = desk.page.locator(f"{PICTURE} .eventlab-number")
    picture.wait_for()
    run(desk, "broken = True")
    append(store)
    error = desk.page.locator(".eventlab-live .eventlab-error")
    error.wait_for(timeout=5_000)
    assert "ValueError: <b>no</b> such sale — the picture is" in error.inner_text()
    assert picture.inner_text() == "20"
    desk.shot("live-error", ".jp-NotebookPanel")
    run(desk, "broken = False")
    append(store)
    error.wait_for(state="hidden", timeout=5_000)
    assert picture.inner_text() == "30"


def test_it_says_so_when_it_is_stopped_and_when_the_kernel_is_killed(desk: Any, tmp_path: Path) -> None:
    """Stop and Start are buttons; after the kernel's death the last picture stays and says what it is."""
    store = opened(desk, tmp_path, "live = log.live(lambda log: log.position, every='500ms')\nlive")
    said, button = desk.page.locator(".eventlab-said"), desk.page.locator(".eventlab-live button")
    said.get_by_text("Live").wait_for()
    button.click()
    said.get_by_text("Stopped by hand").wait_for()
    button.click()
    said.get_by_text("Live").wait_for()
    append(store)
    desk.page.locator(".eventlab-number").get_by_text("25").wait_for(timeout=5_000)
    run(desk, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", wait=False)
    said.get_by_text("The kernel has ended").wait_for(timeout=15_000)
    assert "complete to position 25" in said.inner_text()
    assert desk.page.locator(".eventlab-number").inner_text() == "25"
    assert button.is_hidden()
    desk.shot("live-ended", ".jp-NotebookPanel")


def test_an_interrupt_stops_it_while_the_kernel_is_idle(desk: Any, tmp_path: Path) -> None:
    """The notebook's stop button ends what is live, whether a cell runs or not."""
    opened(desk, tmp_path, "live = log.live(lambda log: log.position, every='500ms')\nlive")
    said = desk.page.locator(".eventlab-said")
    said.get_by_text("Live").wait_for()
    desk.page.wait_for_timeout(500)
    desk.command("notebook:interrupt-kernel")
    said.get_by_text("Stopped by an interrupt").wait_for(timeout=5_000)


def test_nothing_is_computed_while_nobody_looks(desk: Any, tmp_path: Path) -> None:
    """Scrolled away, a picture rests; in sight again it catches up at once."""
    tall = "from IPython.display import HTML\nHTML('<div style=height:3000px>tall</div>')"
    store = opened(desk, tmp_path, "live = log.live(lambda log: log.position, every='500ms')\nlive", tall)
    number = desk.page.locator(".eventlab-number")
    number.scroll_into_view_if_needed()
    number.get_by_text("20").wait_for()
    desk.page.locator(".jp-WindowedPanel-outer").first.evaluate("el => { el.scrollTop = el.scrollHeight }")
    desk.page.wait_for_timeout(1000)
    append(store)
    desk.page.wait_for_timeout(2000)
    assert number.inner_text() == "20"
    number.scroll_into_view_if_needed()
    number.get_by_text("25").wait_for(timeout=2_000)


def run(desk: Any, code: str, *, wait: bool = True) -> None:
    """Run code in the notebook's kernel, as another client would."""
    script = """async ([code, wait]) => {
        const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
        const future = kernel.requestExecute({ code, silent: true });
        if (wait) await future.done;
    }"""
    desk.page.evaluate(script, [code, wait])
