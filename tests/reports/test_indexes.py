"""Indexes: the page of a folder's reports."""

from __future__ import annotations

import base64
import re

import pytest
from executed import HOSTILE, chart, code, daily, execution
from test_pages import CODES, PLAIN, Elements

from eventlab.reports.drawing import stills
from eventlab.reports.drawing.indexes import CARDS, Entry, index
from eventlab.reports.figures import Figure

PICTURE = "data:image/svg+xml;base64,PHN2Zy8+"


def entries(count: int, **given: object) -> list[Entry]:
    """Return runs of a daily report."""
    facts = {"report": "daily", "title": "Daily", "status": "ok", "thumbnail": PICTURE} | given
    return [Entry(period=f"day {number}", href=f"daily/{number}.html", **facts) for number in range(count)]  # type: ignore[arg-type]


def test_runs_are_listed_as_they_are_given_the_first_with_their_pictures() -> None:
    """Newest first, as the caller has them; a picture takes room, so that later ones have none."""
    page = index(entries(CARDS + 3), title="Reports")
    assert re.findall(r'href="daily/(\d+)\.html"', page) == [str(number) for number in range(CARDS + 3)]
    assert page.count(PICTURE) == CARDS
    assert f"{CARDS + 3} runs of 1 report" in page


def test_a_run_says_its_status_figures_and_alerts() -> None:
    """A failed run has no figures, a skipped one no page, a corrected one its version."""
    page = Elements(
        index(
            [
                Entry(report="daily", title="D", period="p1", status="failed", href="a.html"),
                Entry(report="daily", title="D", period="p2", status="skipped"),
                Entry(
                    report="weekly",
                    title="W",
                    period="p3",
                    status="corrected",
                    version=2,
                    href="b.html",
                    figures=[
                        Figure("n", 1234, "Cancelled"),
                        Figure("d", 2.5, unit="min"),
                        Figure("a", 1),
                        Figure("b", 2, "Fourth"),
                    ],
                    alerts=["many cancelled"],
                ),
            ],
            title="Reports",
        )
    )
    for part in (
        "Failed",
        "Skipped",
        "Corrected, version 2",
        "1,234",
        "2.5min",
        "many cancelled",
        "1 failed",
        "1 with alerts",
    ):
        assert part in page.text
    assert "Fourth" not in page.text
    assert [given["href"] for tag, given in page.seen if tag == "a"] == ["a.html", "b.html"]
    assert [given["data-report"] for tag, given in page.seen if tag == "button"] == ["", "daily", "weekly"]


def test_one_report_needs_no_filter_and_none_is_said() -> None:
    """A page without a choice has no script."""
    assert "script-src" not in index(entries(2), title="Reports")
    assert "No report has been made yet." in index([], title="Reports")


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_the_data_is_text_on_the_index(text: str) -> None:
    """Names, periods, figures, alerts, and what is said to be a picture or a page."""
    given = Entry(
        report=text,
        title=text,
        period=text,
        status="ok",
        href=text,
        thumbnail=text,
        figures=[Figure("n", text, text, text)],
        alerts=[text],
    )
    page = Elements(index([given, *entries(CARDS + 1), given], title=text))
    assert page.comments == []
    for tag, attributes in page.seen:
        assert set(attributes) <= CODES | PLAIN | {"data-report", "hidden", "aria-pressed", "loading"}, tag
        assert ":" not in (attributes.get("href") or "")
        assert (attributes.get("src") or PICTURE) == PICTURE


def test_a_thumbnail_is_the_first_chart_small_and_without_words() -> None:
    """It is an image of itself, and none where there is no chart; a chart of pixels stays as it is."""
    small = stills.thumbnail(daily())
    assert small is not None
    svg = base64.b64decode(small.partition(",")[2]).decode()
    assert "<text" not in svg
    assert "course" not in svg
    assert len(svg) < 24_000
    assert stills.thumbnail(execution("Text")) is None
    pixels = chart(encoding={"x": {"field": "n", "type": "quantitative", "axis": None}}, width=500)
    kept = stills.thumbnail(execution(code("", pixels)))
    assert kept is not None
    assert "Three points" in base64.b64decode(kept.partition(",")[2]).decode()
    broken = chart(mark="line", encoding={"x": {"field": 'a\\"', "type": "quantitative"}})
    assert stills.thumbnail(execution(code("", broken))) is None
