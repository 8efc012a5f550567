"""Blocks: what a report shows, whatever it was shown by."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

import pytest
from executed import DOT, FAILURE, chart, code, execution, figure, shows, table

from eventlab.reports.drawing import specifications
from eventlab.reports.drawing.blocks import blocks, titled
from eventlab.reports.execution.executions import Cell
from eventlab.reports.figures import Figure

if TYPE_CHECKING:
    from eventlab.reports.drawing.blocks import Block


def kinds(found: list[Block]) -> list[str]:
    """Return the kinds of blocks."""
    return [block.kind for block in found]


def test_each_output_becomes_the_block_of_its_type() -> None:
    """Markdown, code, a figure, a chart, a table, an image, HTML and text, in their order."""
    picture = shows({"image/png": base64.b64encode(DOT).decode(), "text/plain": "<Figure>"})
    found = blocks(
        execution(
            "Hello",
            code(
                "show()",
                figure("n", 3, "Number"),
                chart(),
                table({"a": False, "n": True}, [["x", "1"], ["y", None]], 7),
                picture,
                shows({"text/html": ["<b>", "hi</b>"], "text/plain": "hi"}),
                {"output_type": "stream", "name": "stdout", "text": ["one\n", "two\n"]},
                shows({"text/plain": "plain"}),
                shows({"text/markdown": "*m*", "text/plain": "m"}),
            ),
        )
    )
    assert kinds(found) == [
        "markdown",
        "code",
        "figures",
        "chart",
        "table",
        "image",
        "html",
        "text",
        "text",
        "markdown",
    ]
    assert found[2].data == [Figure("n", 3, "Number")]
    assert found[3].alt == "Three points"
    assert found[4].data["rows"] == [["x", "1"], ["y", None]]
    assert found[4].data["total"] == 7
    assert found[5].data == ("image/png", DOT)
    assert [block.data for block in found[6:]] == ["<b>hi</b>", "one\ntwo", "plain", "*m*"]


def test_figures_that_follow_each_other_are_one_block_with_their_code_before_it() -> None:
    """Two cells that declare figures show one row of them; text between begins another."""
    found = blocks(
        execution(
            code("a", figure("a", 1)),
            code("b", figure("b", 2)),
            code("c", figure("c", 3)),
            "text",
            code("d", figure("d", 4)),
        )
    )
    assert kinds(found) == ["code", "figures", "markdown", "code", "figures"]
    assert found[0].data == "a\n\nb\n\nc"
    assert [one.name for one in found[1].data] == ["a", "b", "c"]


def test_figures_that_nothing_shows_come_first_and_hidden_cells_not_at_all() -> None:
    """A declared figure is always seen; what prepares the kernel is not."""
    found = blocks(execution(Cell("code", "secret", [], hidden=True), code("x"), figures=(Figure("a", 1),)))
    assert kinds(found) == ["figures", "code"]


def test_the_first_heading_is_the_title_and_stands_above() -> None:
    """It is taken from the first Markdown alone, and from nowhere else."""
    found = titled(blocks(execution(code("x"), "# Title\n\nText", "# Part")), "Title")
    assert [block.data for block in found] == ["x", "Text", "# Part"]
    assert titled(blocks(execution("# Title")), "Title") == []
    assert titled(blocks(execution("Text\n\n# Title")), "Title")[0].data == "Text\n\n# Title"


@pytest.mark.parametrize(
    ("heading", "title", "kept"),
    [
        ("# Orders of *EWR* #", "Orders of EWR", False),
        ("#  Orders  of [EWR](https://example.com)", "Orders of EWR", False),
        ("# Orders of EWR.", "Orders of EWR", False),
        ("# Orders of EWR", "Orders", True),
        ("# Orders", "Orders of EWR", True),
        ("## Orders", "Orders", True),
    ],
)
def test_a_heading_that_is_not_the_title_stays(heading: str, title: str, *, kept: bool) -> None:
    """A function's first line, or the configuration, may call the report something else."""
    found = titled(blocks(execution(f"{heading}\n\nText")), title)
    assert [block.data for block in found] == [f"{heading}\n\nText" if kept else "Text"]


def test_an_error_ends_the_blocks_once() -> None:
    """The failure of the run takes the place of the cell's own output of it."""
    error = {"output_type": "error", "ename": "E", "evalue": "m", "traceback": ["\x1b[31mline\x1b[0m"]}
    assert blocks(execution(code("x", error)))[-1].data.traceback == "line"
    found = blocks(execution(code("x", error), failure=FAILURE))
    assert kinds(found) == ["code", "error"]
    assert found[-1].data is FAILURE


def test_text_has_no_colours_and_no_end() -> None:
    """Codes of terminals are taken out, what no page can have is replaced, and a long text is cut."""
    assert blocks(execution(code("", shows({"text/plain": "\x1b[1;31mred\x1b[0m \x1b]0;t\x07a\x00\r\nb\ud800"}))))[
        0
    ].data == ("red a\N{REPLACEMENT CHARACTER}\nb\N{REPLACEMENT CHARACTER}")
    cut = blocks(execution(code("", {"output_type": "stream", "text": "x" * 30_000})))[0].data
    assert cut.endswith("10,000 more characters")


@pytest.mark.parametrize(
    "part",
    [
        {"data": {"url": "http://stranger.invalid/a.json", "format": {"type": "json"}}},
        {"encoding": {"url": {"field": "u"}, "href": {"value": "javascript:alert(1)"}}},
        {
            "mark": {
                "type": "image",
                "url": {"expr": "'http://' + 'stranger.invalid'"},
                "href": "http://stranger.invalid",
            }
        },
        {"layer": [{"transform": [{"lookup": "a", "from": {"data": {"url": "http://stranger.invalid"}, "key": "a"}}]}]},
        {
            "config": {
                "style": {"cell": {"href": "http://stranger.invalid"}},
                "image": {"baseURL": "http://stranger.invalid"},
            }
        },
        {"vconcat": [{"hconcat": [{"spec": {"facet": {}, "data": {"url": "http://stranger.invalid"}}}]}]},
        {"usermeta": {"embedOptions": {"config": "http://stranger.invalid"}}},
    ],
    ids=lambda part: next(iter(part)),
)
def test_a_chart_names_nothing_to_be_fetched_or_followed(part: dict[str, Any]) -> None:
    """Wherever Vega-Lite would take an address, there is none."""
    text = str(blocks(execution(code("", chart(**part))))[0].data)
    assert "stranger" not in text
    assert "javascript" not in text
    assert "'data': {}" not in text


def test_rows_of_a_chart_stay_as_they_are_but_for_numbers_that_json_lacks() -> None:
    """A column may be called ``url``; NaN would make the whole page's JSON unreadable."""
    rows = {"rows_0": [{"url": "http://a", "href": math.nan, "n": math.inf}]}
    safe = specifications.safe({"datasets": rows, "params": [{"value": [{"url": "x"}]}]})
    assert safe["datasets"] == {"rows_0": [{"url": "http://a", "href": None, "n": None}]}
    assert safe["params"] == [{"value": [{"url": "x"}]}]
