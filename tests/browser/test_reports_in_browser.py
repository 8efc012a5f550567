"""Reports in a real Chromium that has no network: charts are drawn, nothing is asked for, and the policy stops nothing."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import executed
import pytest

from eventlab.reports.calendar.periods import Period
from eventlab.reports.drawing import failures, indexes, mails, pages, stills
from eventlab.reports.execution.executions import Execution

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOTS = Path(os.environ.get("EVENTLAB_SCREENSHOTS") or Path(tempfile.gettempdir()) / "eventlab-screenshots")
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) => {
  window.violations.push(event.violatedDirective + ' ' + event.blockedURI);
});
window.alert = (text) => window.violations.push('alert ' + text);
"""
DRAWN = "() => document.documentElement.dataset.drawn === 'yes'"


class Reader:
    """Somebody who opens files; all that a page asks for, breaks or says is kept."""

    def __init__(self, browser: Any, folder: Path, **settings: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 1000}, **settings})
        self.folder = folder
        self.troubles: list[str] = []
        self.context.route("**/*", self._pass)
        self.context.add_init_script(WATCH)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.troubles.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("requestfailed", lambda request: self.troubles.append(f"failed: {request.url}"))
        self.page.set_default_timeout(20_000)

    def _pass(self, route: Any) -> None:
        if route.request.url.startswith(self.folder.as_uri()):
            route.continue_()
        else:
            self.troubles.append(f"asked for: {route.request.url}")
            route.abort()

    def open(self, name: str, html: str, *, drawn: bool = True) -> Any:
        """Write a page, open it and wait until its charts are drawn."""
        path = self.folder / f"{name}.html"
        path.write_text(html, encoding="utf-8", newline="")
        self.page.goto(path.as_uri())
        if drawn:
            self.page.wait_for_function(DRAWN)
        return self.page

    def shot(self, name: str) -> None:
        """Take a picture of the whole page, to be looked at."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"report-{name}.png", full_page=True)

    def well(self) -> None:
        """Fail if anything was asked for, stopped or broken, or if the page is wider than its window."""
        assert self.page.evaluate("() => window.violations") == []
        assert self.troubles == []
        assert self.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture
def reader(browser: Any, tmp_path: Path) -> Iterator[Reader]:
    """Yield a reader."""
    made = Reader(browser, tmp_path)
    yield made
    made.context.close()


def widths(page: Any) -> list[int]:
    """Return how wide the charts on the screen are."""
    found: list[int] = page.evaluate(
        "() => [...document.querySelectorAll('.screen svg.marks')].map((svg) => Math.round(svg.getBoundingClientRect().width))"
    )
    return found


def test_a_report_is_drawn_in_light_in_dark_and_on_a_phone(reader: Reader) -> None:
    """Charts fill the page and follow its width and colours; a dark page has light ones for paper; a point says what it is."""
    page = reader.open("daily", pages.page(executed.daily(), executed.CORRECTED))
    assert page.locator(".screen .mark-line path, .screen .mark-rect path").count() >= 4
    room = page.locator("main").evaluate("(main) => main.clientWidth - 64")
    assert all(room - 4 <= width <= room + 4 for width in widths(page))
    assert page.locator(".paper svg").count() == 0
    page.locator(".screen .mark-symbol.role-mark path").nth(12).hover(force=True)
    page.locator("#vg-tooltip-element.visible td.key").first.wait_for()
    assert "flights" in page.locator("#vg-tooltip-element").inner_text()
    page.mouse.move(0, 0)
    reader.shot("light")
    reader.well()

    light = page.locator(".screen .mark-line path").first.get_attribute("stroke")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("() => document.querySelectorAll('.paper svg.marks').length === 2")
    assert page.locator(".screen .mark-line path").first.get_attribute("stroke") != light
    assert page.locator(".paper .mark-line path").first.get_attribute("stroke") == light
    reader.shot("dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator(".paper svg").first.is_visible()
    assert not page.locator(".screen svg").first.is_visible()
    page.emulate_media(media="screen", color_scheme="light")

    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function(
        "() => [...document.querySelectorAll('.screen svg.marks')].every((svg) => svg.clientWidth <= 354)"
    )
    assert all(330 <= width <= 358 for width in widths(page))
    line = page.locator(".screen .mark-line path").first
    assert line.evaluate("(path) => path.getBoundingClientRect().width") > 250  # a long title does not make it narrow
    reader.shot("phone")
    reader.well()


def test_a_chart_that_cannot_be_drawn_says_so_in_its_place(reader: Reader) -> None:
    """The others are drawn all the same."""
    broken = executed.chart(
        encoding={"x": {"field": 'a\\"', "type": "quantitative"}}, mark={"type": "bar", "tooltip": True}
    )
    page = reader.open(
        "broken", pages.page(executed.execution(executed.code("", broken, executed.chart())), executed.PROVENANCE)
    )
    assert "could not be drawn" in page.locator(".chart .broken").inner_text()
    assert page.locator(".screen svg.marks").count() == 1


def test_data_can_do_nothing_on_any_page(reader: Reader) -> None:
    """Events with scripts in every field: none runs, nothing is asked for, in the report, its mail, a failure and the index."""
    cells = [cell for text in executed.HOSTILE for cell in executed.hostile(text).cells]
    worst = executed.HOSTILE[1]
    page = reader.open("hostile", pages.page(Execution(cells, [], 1.0), executed.told(worst)))
    assert page.locator(".chart .broken").count() == 0
    assert page.locator(".screen svg.marks").count() == 3 * len(executed.HOSTILE)
    assert page.locator("svg a").count() == 0
    images = page.locator(".screen image").evaluate_all("(all) => all.map((image) => image.href.baseVal)")
    assert set(images) == {""}
    bars = page.locator(".screen .mark-rect path")
    for number in range(len(executed.HOSTILE)):
        bars.nth(number).hover(force=True)
        page.locator("#vg-tooltip-element.visible").wait_for()
        assert page.locator("#vg-tooltip-element :not(table, tbody, tr, td)").count() == 0
    reader.shot("hostile")
    reader.well()

    day = Period(*(dt.datetime(2013, 2, number, tzinfo=dt.UTC) for number in (9, 10)))
    facts = {
        "report": worst,
        "period": day,
        "attempts": 2,
        "ran": dt.datetime(2013, 2, 10, tzinfo=dt.UTC),
        "last_good": failures.Earlier(worst, worst, worst),
    }
    reader.open("failure", failures.FailedReport(title=worst, failure=executed.FAILURE, **facts).page(), drawn=False)
    reader.shot("failure")
    reader.well()
    for text in executed.HOSTILE[:4]:
        mail = mails.mail(
            executed.execution(text, executed.code("", executed.table({text: False}, [[text]]))), executed.told(text)
        )
        reader.open("mail", mail.html, drawn=False)
        reader.well()
    entries = [
        indexes.Entry(report=text, title=text, period=text, status="ok", href=text, alerts=[text], thumbnail=text)
        for text in executed.HOSTILE
    ]
    page = reader.open("index", indexes.index(entries, title=worst), drawn=False)
    page.locator(".bar button").nth(3).click()
    assert page.locator(".cards > li:visible").count() == 1
    reader.well()


def test_the_index_shows_the_runs_of_one_report(reader: Reader) -> None:
    """The filter stays in the address; thumbnails are drawn."""
    small = stills.thumbnail(executed.daily())
    entries = [
        indexes.Entry(
            report=name, title=name, period=f"day {number}", status="ok", href=f"{name}.html", thumbnail=small
        )
        for number in range(15)
        for name in ("daily", "weekly")
    ]
    page = reader.open("index", indexes.index(entries, title="Reports"), drawn=False)
    assert (
        page.locator(".cards img").first.evaluate(
            "async (image) => { await image.decode(); return image.naturalWidth; }"
        )
        > 200
    )
    page.get_by_role("button", name="weekly").click()
    assert page.locator("[data-report]:visible:not(button)").count() == 15
    page.reload()
    assert page.locator("[data-report]:visible:not(button)").count() == 15
    reader.shot("index")
    reader.well()
