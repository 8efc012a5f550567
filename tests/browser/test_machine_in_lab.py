"""The time machine in JupyterLab: moved with the keyboard, it shows what was, what changed, and what happened in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SETUP = """
import random, eventlab as el
log = el.open("{store}", create=True, timezone="America/New_York")
chance = random.Random(5)
events, note = [], "<script>document.title='!'</script>"
for n in range(400):
    day, hour = divmod(int(chance.betavariate(2, 3) * 30 * 24), 24)
    name = chance.choice(["OrderPlaced", "OrderPlaced", "OrderPaid"])
    when, stream = f"2026-01-{{day + 1:02}}T{{hour:02}}:{{n % 60:02}}", f"order-{{chance.randrange(40):02}}"
    events.append((when, name, stream, chance.randrange(5, 90)))
for start in range(0, 400, 100):
    with log.transaction() as tx:
        for when, name, stream, amount in sorted(events)[start:start + 100]:
            tx.append(stream, el.Event(name, {{"amount": amount, "note": note}}, occurred_at=when))
    import time; time.sleep(1.1)
orders = log.define_state("orders", '''
    select stream_id as order_id, case when max(OrderPaid.amount) is null then 'open' else 'paid' end as status,
        sum(OrderPlaced.amount) as total, max(coalesce(OrderPlaced.note, OrderPaid.note)) as note
    from events group by stream_id''')
"""
MACHINE = "machine = orders.time_machine(at='2026-01-10')\nmachine"
CHART = """
import altair as alt
def by_status(view):
    frame = view.sql("select status, count(*) as orders from orders group by all order by all").pl()
    return alt.Chart(frame).mark_bar().encode(x="orders:Q", y="status:N").properties(width=420, height=90)
el.TimeMachine(log, by_status, at="2026-01-20")
"""


def opened(desk: Any, tmp_path: Path, *cells: str, dark: bool = False) -> None:
    """Run a notebook over a new store."""
    desk.write("machine.ipynb", [SETUP.format(store=tmp_path / "shop"), *cells])
    desk.open("machine.ipynb", dark=dark)
    desk.run_all()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_keyboard_moves_it_and_the_table_changes(desk: Any, tmp_path: Path, dark: bool) -> None:
    """An arrow is a step: table, moment, what changed, the events and the code are of the new moment."""
    opened(desk, tmp_path, MACHINE, dark=dark)
    machine = desk.page.locator(".eventlab-machine")
    table = machine.locator(".eventlab-picture table")
    table.wait_for()
    before = table.inner_text()
    moment = machine.get_by_label("Moment, in America/New_York")
    assert moment.input_value() == "2026-01-10"
    machine.get_by_role("slider", name="Moment").focus()
    for _ in range(12):
        desk.page.keyboard.press("ArrowRight")
    desk.page.wait_for_function("([el, was]) => el.innerText !== was", arg=[table.element_handle(), before])
    desk.page.wait_for_function("el => el.dataset.busy === undefined", arg=machine.element_handle())
    machine.get_by_text("Changed since").wait_for()
    machine.get_by_text("Events in between").wait_for()
    assert moment.input_value() > "2026-01-10"
    assert machine.locator("code").inner_text() == f'log.state("orders").at("{moment.input_value()}")'
    machine.get_by_role("button", name="Copy as code").click()
    machine.get_by_text("Copied").wait_for()
    assert desk.page.evaluate("navigator.clipboard.readText()") == machine.locator("code").inner_text()
    moment.fill("2026-01-21 08:30")
    moment.press("Enter")
    machine.get_by_text('log.state("orders").at("2026-01-21 08:30")').wait_for()
    machine.get_by_text("Changed since").wait_for()
    desk.page.wait_for_timeout(400)
    assert desk.page.title() != "!"
    machine.evaluate("el => el.scrollIntoView()")
    desk.shot(f"machine-{'dark' if dark else 'light'}", ".jp-NotebookPanel")


def test_both_clocks_a_bad_moment_and_the_kernel_s_end(desk: Any, tmp_path: Path) -> None:
    """What was known earlier is on a slider of its own; an error is shown; the machine says when its kernel is gone."""
    opened(desk, tmp_path, MACHINE)
    machine = desk.page.locator(".eventlab-machine")
    machine.locator(".eventlab-picture table").wait_for()
    known = machine.get_by_role("slider", name="As known at")
    known.focus()
    desk.page.keyboard.press("Home")
    machine.get_by_text("known_at=").wait_for()
    machine.get_by_text("against what is known now").first.wait_for()
    desk.shot("machine-known", ".jp-NotebookPanel")
    moment = machine.get_by_label("Moment, in America/New_York")
    moment.fill("yesterday")
    moment.press("Enter")
    machine.get_by_text("InvalidArgument: 'yesterday' is no time").wait_for()
    desk.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel"
        ".requestExecute({code: 'import os, signal; os.kill(os.getpid(), signal.SIGKILL)'}) && null"
    )
    machine.get_by_text("The kernel has ended").wait_for(timeout=15_000)
    assert machine.get_by_role("slider", name="Moment").is_disabled()


def test_a_chart_plays(desk: Any, tmp_path: Path) -> None:
    """Play steps on and on, the chart in place, until it is paused."""
    opened(desk, tmp_path, CHART)
    machine = desk.page.locator(".eventlab-machine")
    machine.locator(".eventlab-picture svg.marks").wait_for()
    slider = machine.get_by_role("slider", name="Moment")
    start = int(slider.input_value())
    machine.get_by_role("button", name="Play").click()
    desk.page.wait_for_function("([el, start]) => Number(el.value) >= start + 3", arg=[slider.element_handle(), start])
    machine.get_by_role("button", name="Pause").click()
    machine.get_by_role("button", name="Play").wait_for()
    desk.page.wait_for_function("el => el.dataset.busy === undefined", arg=machine.element_handle())
    assert 'by_status(log.at("2026-01-20' in machine.locator("code").inner_text()
    desk.shot("machine-chart", ".jp-NotebookPanel")
