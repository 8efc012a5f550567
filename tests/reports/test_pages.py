"""Pages: one HTML file that fetches nothing, says where it comes from, and is the same whenever it is made again."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from executed import CORRECTED, HOSTILE, PROVENANCE, chart, code, daily, execution, hostile, shows, told

from eventlab import moments
from eventlab.errors import InvalidArgument
from eventlab.reports.drawing import captions, markups, pages, sheets
from eventlab.reports.figures import Figure

VOID = {"meta", "br", "hr", "img", "link", "input", "col"}
TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "header",
        "p",
        "h1",
        "h2",
        "h3",
        "h4",
        "ul",
        "ol",
        "li",
        "article",
    ),
    *(
        "section",
        "div",
        "dl",
        "dt",
        "dd",
        "small",
        "figure",
        "noscript",
        "script",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    ),
    *("details", "summary", "pre", "code", "footer", "time", "a", "em", "strong", "blockquote", "span", "img", "s"),
}
CODES = {"class", "content", "name", "charset", "lang", "http-equiv", "scope", "type", "id", "datetime", "data-seconds"}
PLAIN = {"title", "aria-label", "alt", "role", "aria-hidden", "tabindex", "rel", "href", "src"}


class Elements(HTMLParser):
    """What a browser would see of a page: its elements, in balance, the scripts and the style, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": [], "title": []}
        self.comments: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        """Note it."""
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note it."""
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]][-1] += data
        else:
            self.text += data

    def handle_comment(self, data: str) -> None:
        """Note it."""
        self.comments.append(data)


def test_a_page_is_a_function_of_its_execution_and_provenance() -> None:
    """Made twice at different times, it differs in one element alone, which has a line of its own."""
    first = pages.page(daily(), PROVENANCE)
    later = replace(PROVENANCE, ran_at=PROVENANCE.ran_at.replace(year=2031), seconds=99.0)
    second = pages.page(daily(), later)
    differing = [(a, b) for a, b in zip(first.split("\n"), second.split("\n"), strict=True) if a != b]
    assert len(differing) == 1
    assert differing[0][0].startswith('<time id="eventlab-ran"')
    assert differing[0][0].endswith("</time>")
    assert pages.content(first) == pages.content(second)
    assert pages.content(first) != pages.content(first.replace("741", "742"))


def test_a_page_tells_its_provenance_again() -> None:
    """What is read is what was written, with the time of the run and with changes; and written as a file it is the same."""
    assert pages.read_provenance(pages.page(daily(), PROVENANCE)) == PROVENANCE
    assert pages.read_provenance(pages.page(execution(), CORRECTED)) == CORRECTED
    odd = replace(PROVENANCE, title="a\r\nb\rc", parameters={"x": "\r</script>\u2028"})
    page = pages.page(execution("a\rb"), odd)
    assert "\r" not in page
    assert pages.read_provenance(page).parameters == odd.parameters


RAN = '<time id="eventlab-ran" datetime="2026-01-01T00:00:00Z" data-seconds="1">'


@pytest.mark.parametrize(
    "html",
    [
        "",
        "<p>hi",
        '<script id="eventlab-provenance">{}</script>',
        f'<script id="eventlab-provenance">[1]</script>{RAN}',
    ],
)
def test_what_is_no_page_is_said_to_be_none(html: str) -> None:
    """Another HTML file has no provenance."""
    with pytest.raises(InvalidArgument, match="no page of a report"):
        pages.read_provenance(html)


def test_the_policy_names_each_script_and_style_by_its_hash_and_nothing_else() -> None:
    """A browser runs no other script; nothing is loaded from anywhere."""
    page = pages.page(daily(), PROVENANCE)
    elements = Elements(page)
    policy = next(
        given["content"] for tag, given in elements.seen if given.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    scripts = iter(elements.raw["script"])
    run = [
        text
        for (tag, given), text in zip((one for one in elements.seen if one[0] == "script"), scripts, strict=True)
        if "type" not in given
    ]
    assert len(run) == 2
    assert parts["script-src"] == " ".join(map(hashed, run))
    assert parts["style-src"] == hashed(elements.raw["style"][0])
    assert parts["default-src"] == "'none'"
    assert parts["img-src"] == "data:"
    assert "unsafe" not in policy


def hashed(text: str) -> str:
    """Return a text as a policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_vega_is_there_once_and_only_with_charts() -> None:
    """Two charts share it; a page without any runs no script at all."""
    assert pages.page(daily(), PROVENANCE).count("window.vegaEmbed=") == 1
    bare = pages.page(execution("# T\n\nText"), PROVENANCE)
    assert "vegaEmbed" not in bare
    assert "script-src" not in bare
    assert len(bare) < 40_000


def test_a_page_says_what_stands_above_and_below() -> None:
    """Title, period, position and zone above; notebook, basis, schemas and libraries below; the heading of the notebook once."""
    text = Elements(pages.page(daily(), PROVENANCE)).text
    for part in (
        "9 February 2013",
        "Log at position 1,018,382",
        "Times in America/New_York",
        PROVENANCE.basis,
        PROVENANCE.digest,
    ):
        assert part in text
    for part in (
        "FlightDeparted v2",
        "duckdb 2.0.0",
        'day = "2013-02-09"',
        "everything recorded up to position 1,018,382",
    ):
        assert part in text
    assert text.count("Yesterday at New York") == 1
    assert "Corrected" not in text


@pytest.mark.parametrize(
    ("log", "facts"),
    [
        ("America/New_York", ["Times in America/New_York", "As known at 10 February 2013, 00:00"]),
        (
            "UTC",
            [
                "Period in UTC-05:00",
                "Times in charts and tables in UTC",
                "As known at 10 February 2013, 00:00 (UTC-05:00)",
            ],
        ),
    ],
)
def test_times_above_are_in_one_zone(log: str, facts: list[str]) -> None:
    """That of the period, which is named where the log has another; what is below too."""
    here = moments.zone(log)
    due = dt.datetime(2013, 2, 10, 5, tzinfo=dt.UTC).astimezone(here).isoformat()
    given = captions.caption(replace(PROVENANCE, timezone=log, at=due, known_at=due))
    assert given.when == "9 February 2013"
    assert given.facts[1:] == facts
    told_ = {fact.name: fact.value for fact in captions.origin(replace(PROVENANCE, timezone=log, at=due, known_at=due))}
    assert told_["As of"] == told_["As known at"] == told_["Period"].split(" to ")[1] == "2013-02-10T00:00:00-05:00"


def test_a_period_in_which_the_clocks_change_has_two_offsets() -> None:
    """A week of March, of a log in UTC; a position is no moment, and stays one."""
    week = ("2013-03-04T00:00:00-05:00", "2013-03-11T00:00:00-04:00")
    given = captions.caption(replace(PROVENANCE, timezone="UTC", period=week, known_at="position 12"))
    assert given.facts[1:] == [
        "Period in UTC-05:00 to UTC-04:00",
        "Times in charts and tables in UTC",
        "As known at position 12",
    ]
    assert captions.caption(replace(PROVENANCE, period=week)).facts[1:] == ["Times in America/New_York"]


def test_a_corrected_page_begins_with_what_changed() -> None:
    """The table of changes is on top, and the figure says what it was."""
    text = Elements(pages.page(daily(), CORRECTED)).text
    assert "Corrected: version 2" in text
    assert text.index("Corrected: version 2") < text.index("How the flights")
    assert re.search(r"Flights cancelled\s*472\s*475\s*\+3", text)
    assert "was 472 (+3)" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_the_data_is_text_wherever_it_stands(text: str) -> None:
    """Whatever it is, the page has the elements that we write, attributes that do nothing, and no comment."""
    elements = Elements(pages.page(hostile(text), told(text)))
    assert elements.comments == []
    assert {tag for tag, _ in elements.seen} <= TAGS
    for tag, given in elements.seen:
        assert set(given) <= CODES | PLAIN, tag
        assert not (given.get("src") or "data:").startswith(("http", "//")), tag
        assert (given.get("href") or "#").startswith(("http://example", "https://", "#")), given
    assert len([one for one in elements.seen if one[0] == "script" and "type" not in one[1]]) == 2
    assert sum(given.get("id") == "eventlab-ran" for _, given in elements.seen) == 1
    for script in elements.raw["script"][:3]:
        assert "<" not in script  # they are JSON, in which it is written otherwise
    assert "49" not in elements.raw["title"][0]


def test_markdown_of_an_author_is_markdown_but_no_html() -> None:
    """Emphasis, tables and links work; tags, scripts and pictures from elsewhere are words."""
    html = str(
        markups.markdown(
            "# T\n\n*a* <b>x</b> [l](https://example.com) [j](javascript:alert(1)) ![p](http://s.invalid/x.png)\n\n|a|b|\n|--|--:|\n|1|2|"
        )
    )
    assert "<h2>T</h2>" in html
    assert "<em>a</em> &lt;b&gt;x&lt;/b&gt;" in html
    assert '<a href="https://example.com" rel="noopener noreferrer">l</a>' in html
    assert '<td class="number">2</td>' in html
    assert "[j](javascript:alert(1))" in html
    assert "![p](http://s.invalid/x.png)" in html
    assert "<img" not in html
    inside = "data:image/png;base64,iVBORw0KGgo="
    assert f'<img src="{inside}" alt="p">' in markups.markdown(f"![p]({inside})")
    assert "<img" not in markups.markdown("![p](data:image/svg+xml;base64,PHN2Zz4=) ![q](data:text/html,x)")


def test_html_of_others_is_cleaned() -> None:
    """Tables and emphasis stay; scripts, handlers, styles, frames and pictures from elsewhere do not."""
    given = (
        "<style>*{}</style><table id=eventlab-ran class=x><tr><td onclick=a() style='color:red'>1</td></tr></table>"
        "<script>x</script><iframe src=//a></iframe><img src=http://a/b.png alt=p><a href='javascript:x'>j</a>"
        "<a href='data:text/html,x'>d</a>"
        "<a href=https://example.com>l</a>"
        "<svg><script>y</script></svg><form action=http://a><input></form><base href=//a><meta http-equiv=refresh content=0>"
    )
    html = str(markups.html(given))
    assert html == (
        '<table><tbody><tr><td>1</td></tr></tbody></table><img alt="p"><a rel="noopener noreferrer">j</a>'
        '<a rel="noopener noreferrer">d</a>'
        '<a href="https://example.com" rel="noopener noreferrer">l</a>'
    )


def test_a_picture_is_in_the_page_and_runs_nothing() -> None:
    """Also an SVG: as an image it has no scripts."""
    page = pages.page(execution(code("", shows({"image/svg+xml": "<svg onload='alert(1)'/>"}))), PROVENANCE)
    assert "<svg" not in page
    assert 'src="data:image/svg+xml;base64,' in page


def test_a_template_has_all_that_it_asks_for() -> None:
    """A fact that is missing is an error, not a hole in a page."""
    with pytest.raises(Exception, match="font"):
        sheets.rendered("style.css", colors={"light": {}, "dark": {}})


def test_figures_show_their_number_and_unit() -> None:
    """A figure without a value has no unit either."""
    page = Elements(
        pages.page(
            execution(code("", chart()), figures=(Figure("a", None, unit="min"), Figure("b", 1234.5, unit="min"))),
            PROVENANCE,
        )
    )
    assert "\N{EN DASH}" in page.text
    assert "1,234.5min" in page.text.replace("\n", "")
