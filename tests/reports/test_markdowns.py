"""Markdown: readable as it is, its charts beside it, and text of the data is text wherever it is read."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest
from executed import (
    CORRECTED,
    DOT,
    HOSTILE,
    PROVENANCE,
    chart,
    code,
    daily,
    execution,
    figure,
    hostile,
    shows,
    table,
    told,
)
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from eventlab.reports.drawing import markdowns, markups, retellings

if TYPE_CHECKING:
    from pathlib import Path

READER = MarkdownIt("gfm-like", {"html": True, "linkify": False})  # as a code host reads it: HTML is HTML
HARMLESS = re.compile(
    r"</?(?:h[1-6]|p|ul|ol|li|table|thead|tbody|tr|th|td|strong|em|code|pre|hr|blockquote|br|s|a)\b[^<>]*>"
    r"|<img src=\"day-files/[a-z0-9.-]+\" alt=\"[^\"<>]*\"[ /]*>"
)


def test_a_report_is_written_with_its_charts_beside_it(tmp_path: Path) -> None:
    """The text names the pictures that are there; a table is a table; code is left out."""
    path = markdowns.write(daily(), PROVENANCE, tmp_path, "day")
    text = path.read_text(encoding="utf-8")
    assert path == tmp_path / "day.md"
    assert re.findall(r"!\[[^]]*\]\((.+)\)", text) == ["day-files/chart-1.png", "day-files/chart-2.png"]
    assert (tmp_path / "day-files" / "chart-1.png").read_bytes().startswith(b"\x89PNG")
    assert text.startswith(
        "# Yesterday at New York\N{RIGHT SINGLE QUOTATION MARK}s airports\n\n**9 February 2013**\n\nLog at position"
    )
    assert "| Flights cancelled | **475** |" in text
    assert "| LGA to ORD | 22 | 19 | 64.2 |" in text
    assert "The first 10 of 214 rows." in text
    assert "log.state" not in text
    assert f"`{PROVENANCE.basis}`" in text


def test_pictures_of_an_earlier_making_are_taken_away(tmp_path: Path) -> None:
    """Made again with fewer charts, no old chart lies about; a file of somebody else stays."""
    two = shows({"image/png": base64.b64encode(DOT).decode()})
    markdowns.write(execution(code("", two, two)), PROVENANCE, tmp_path, "day")
    (tmp_path / "day-files" / "mine.txt").write_text("x")
    markdowns.write(execution(code("", two)), PROVENANCE, tmp_path, "day")
    assert sorted(one.name for one in (tmp_path / "day-files").iterdir()) == ["mine.txt", "picture-1.png"]
    (tmp_path / "day-files" / "mine.txt").unlink()
    markdowns.write(execution("Text"), PROVENANCE, tmp_path, "day")
    assert [one.name for one in tmp_path.iterdir()] == ["day.md"]


def test_a_corrected_report_begins_with_what_changed() -> None:
    """The table of changes stands above the text."""
    text, _ = markdowns.written(execution("Text"), CORRECTED, "day-files")
    assert (
        text.index("**Corrected: version 2**")
        < text.index("| Flights cancelled | 472 | 475 | +3 |")
        < text.index("\nText")
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_the_data_is_text_for_a_reader_of_html_in_markdown(text: str) -> None:
    """Rendered with HTML allowed, there is no element but those that Markdown makes, and no picture but ours."""
    report = execution(
        f"# T\n\n{text}\n\n- {text}\n\n> {text}\n\n| a |\n|---|\n| {' '.join(text.split())} |",
        code(
            "",
            figure("n", text, text, text[:20]),
            table({text: False, "n": True}, [[text, "1"]]),
            shows({"text/plain": text}),
        ),
        code(
            "",
            shows({"text/html": f"<p>{text}</p>"}),
            shows({"image/png": base64.b64encode(DOT).decode()}, **{"image/png": {"alt": text}}),
        ),
    )
    written, _ = markdowns.written(report, told(text), "day-files")
    html = READER.render(written)
    assert HARMLESS.sub("", html).count("<") == 0, html
    assert html.count("<img") == 1
    assert not re.search(r"<a href=\"(?!http)", html)
    assert html.count("<tr>") == 2 + 2 + 2 + 2  # the changes, the author's, the figure's and the table of the data
    assert html.count("<td") == 4 + 1 + 2 + 2


@given(st.text(alphabet="ab \n`*_[]()<>|\\!#+-=~&:/1.\t", max_size=60))
def test_an_authors_markdown_is_told_again_as_what_a_page_shows_of_it(text: str) -> None:
    """Read again with HTML allowed, it has no HTML, and its words are those of the page."""
    again = READER.render(retellings.retold(text))
    assert HARMLESS.sub("", again).count("<") == 0
    assert words(again) == words(str(markups.markdown(text)))


def words(html: str) -> str:
    """Return what HTML says, without any blanks and without what only a mark of emphasis would be."""
    return re.sub(r"\s|[*_~\\]", "", markups.words(html))


def test_markdown_that_an_author_writes_stays_what_it_is() -> None:
    """Lists, tables, code and emphasis are the same when they are read again."""
    text = (
        "Some *text* with **weight**, `co|de` and a [link](https://example.com/a_(b)).\n\n- one\n- two\n  1. deep\n  2. deeper\n\n"
        "  more\n\n> quoted\n> text\n\n| a | b |\n|---|--:|\n| `x\\|y` | 1 |\n\n"
        "```python\nprint('``` <b>')\n```\n\n---\n\n1\\. no list"
    )
    again = retellings.retold(text)
    assert markups.markdown(again) == markups.markdown(text)


def test_a_chart_and_a_title_with_brackets_are_named(tmp_path: Path) -> None:
    """A name with blanks is an address that Markdown can read."""
    path = markdowns.write(execution(code("", chart(title="a ](b) `c`"))), PROVENANCE, tmp_path, "my day")
    html = READER.render(path.read_text(encoding="utf-8"))
    assert '<img src="my%20day-files/chart-1.png" alt="a ](b) `c`"' in html


def test_a_long_report_with_hostile_charts_is_written(tmp_path: Path) -> None:
    """Charts that would fetch are drawn without what they would fetch."""
    path = markdowns.write(hostile("<b>"), told("<b>"), tmp_path, "day")
    assert len(list((tmp_path / "day-files").iterdir())) == 4
    assert "stranger" not in path.read_text(encoding="utf-8")
