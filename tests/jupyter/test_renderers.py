"""Altair's charts in a notebook: both forms, in one theme, without a network, and only where nobody has chosen otherwise."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import altair as alt
import nbformat.v4 as nbf
import polars as pl
import pytest

from eventlab.charts import themes
from eventlab.jupyter import renderers
from eventlab.jupyter.exports import PageExporter

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = pl.DataFrame({"what": ["<b>one</b>", "two"], "count": [1, 2]})


@pytest.fixture(autouse=True)
def altair() -> Iterator[None]:
    """Leave Altair as it was."""
    renderer, theme = alt.renderers.active, alt.theme.active
    yield
    alt.renderers.enable(renderer)
    alt.theme.enable(theme)


def chart(**properties: object) -> alt.Chart:
    """Return a small chart."""
    return alt.Chart(ROWS).mark_bar().encode(x="count:Q", y="what:N").properties(**properties)


def test_a_chart_is_shown_by_vega_and_as_a_picture() -> None:
    """JupyterLab has the Vega 5 that it bundles, anything else an SVG; nothing names a script to fetch."""
    renderers.enable()
    data, metadata = chart(title="Sales")._repr_mimebundle_()
    assert data[renderers.VEGA]["$schema"].endswith("/vega/v5.json")
    assert data[renderers.SVG].startswith("<svg")
    assert data["text/plain"] == "<chart: Sales>"
    assert "text/html" not in data
    assert metadata[renderers.VEGA]["embed_options"]["actions"]["editor"] is False


def test_a_chart_has_its_ground_on_a_dark_page_too() -> None:
    """What JupyterLab's dark theme would whiten is said: titles, labels, axes, and the ground below them."""
    data, metadata = renderers.bundle(chart().to_dict())
    config = metadata[renderers.VEGA]["embed_options"]["config"]
    assert data[renderers.VEGA]["background"] == themes.PALETTES["light"].ground
    assert config["title"]["color"] == config["title"]["color"].lower() != "#fff"
    assert {"guide-label", "guide-title"} <= set(config["style"])
    assert renderers.bundle(chart(background="#eee").to_dict())[0][renderers.VEGA]["background"] == "#eee"


def test_names_from_data_are_text() -> None:
    """Markup in a value is written out in the picture."""
    svg = renderers.bundle(chart().to_dict())[0][renderers.SVG]
    assert "&lt;b&gt;one&lt;/b&gt;" in svg
    assert "<b>" not in svg


def test_options_that_fetch_are_left_out() -> None:
    """A specification that names a patch for the embedding loses it."""
    spec = {**chart().to_dict(), "usermeta": {"embedOptions": {"patch": "https://elsewhere.example/x.json"}}}
    assert "elsewhere" not in str(renderers.bundle(spec))


def test_sums_of_integers_can_be_drawn() -> None:
    """DuckDB's HUGEINT comes as a decimal, which JSON lacks."""
    spec = alt.Chart(alt.InlineData(values=[{"n": 1}])).mark_point().encode(x="n:Q").to_dict()
    spec["data"] = {"values": [{"n": Decimal(3)}]}
    assert renderers.bundle(spec)[0][renderers.VEGA]["data"][0]["values"] == [{"n": 3.0}]
    spec["data"] = {"values": [{"n": object()}]}
    with pytest.raises(TypeError, match="a chart holds a object"):
        renderers.bundle(spec)


@pytest.mark.parametrize(
    ("title", "told"),
    [
        ("Sales", "Sales"),
        (alt.TitleParams("Sales", subtitle=["by day", "in May"]), "Sales: by day in May"),
        ("", "without a title"),
    ],
)
def test_a_chart_is_described(title: object, told: str) -> None:
    """Who does not see it hears its title."""
    assert renderers.describe(chart(title=title).to_dict()) == told


def test_a_persons_choice_stays() -> None:
    """Another renderer or theme is not replaced, by neither loading nor unloading."""
    alt.renderers.enable("svg")
    alt.theme.enable("dark")
    renderers.enable()
    assert (alt.renderers.active, alt.theme.active) == ("svg", "dark")
    renderers.disable()
    assert (alt.renderers.active, alt.theme.active) == ("svg", "dark")


def test_unloading_leaves_altair_as_it_was() -> None:
    """The default renderer and theme are back."""
    renderers.enable()
    assert (alt.renderers.active, alt.theme.active) == (renderers.NAME, renderers.NAME)
    renderers.disable()
    assert (alt.renderers.active, alt.theme.active) == ("default", "default")


def test_a_page_says_what_its_charts_are() -> None:
    """The title is the alternative text, quotes and all, and nothing is fetched."""
    data, metadata = renderers.bundle(chart(title='"Big" <sales>').to_dict())
    cell = nbf.new_code_cell("chart", outputs=[nbf.new_output("display_data", data=data, metadata=metadata)])
    page, _ = PageExporter().from_notebook_node(nbf.new_notebook(cells=[cell]))
    assert "alt='\"Big\" &lt;sales&gt;'" in page or 'alt="&quot;Big&quot; &lt;sales&gt;"' in page
    assert "cdnjs" not in page


def test_a_text_that_no_svg_can_have_is_drawn_all_the_same() -> None:
    """A NUL or an escape in an event would end the kernel, for vl-convert aborts on it; there is a mark in its place."""
    odd = "a\x00b\x1b[31m\x0b\x0c\ufffe\uffff\ud800"
    spec = {
        "mark": "text",
        "data": {"values": [{"n": 1, "a\x00": odd}]},
        "encoding": {
            "x": {"field": "n", "type": "quantitative", "title": "n"},
            "text": {"field": "a\x00", "title": "t"},
        },
        "title": odd,
    }
    svg = renderers.still(renderers.compiled(spec))
    assert svg.count("a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[31m") >= 2
    assert "\x00" not in svg
