"""Altair's charts without a network, in JupyterLab and on exported pages.

A chart's output has two forms, both in the notebook itself. JupyterLab and VS Code draw ``application/vnd.vega.v5+json`` with the
Vega that they bundle; Altair writes for a later Vega-Lite than theirs (5.6), so it is compiled here. What knows no Vega, as
nbconvert, shows the SVG. Altair's own default would fetch Vega from a CDN.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import altair as alt
import vl_convert

from eventlab.charts import themes

NAME = "eventlab"
_OWN = "default"  # what Altair calls its own renderer and theme
VEGA = "application/vnd.vega.v5+json"
SVG = "image/svg+xml"
_STILL = (
    "Arial, 'Liberation Sans', sans-serif"  # by whose widths an SVG is laid out: any other would be cut at its edges
)
_SCHEMA = "https://vega.github.io/schema/vega/v5.json"  # a name, which nothing fetches
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # what no SVG can have
_LIGHT = themes.PALETTES["light"]
_EMBED = {
    "actions": {"export": True, "source": False, "compiled": False, "editor": False},  # the editor is a page elsewhere
    "config": {  # against the theme that JupyterLab lays over a chart on a dark page; what the chart says itself stays
        "title": {"color": _LIGHT.text, "subtitleColor": _LIGHT.muted},
        "style": {"guide-label": {"fill": _LIGHT.muted}, "guide-title": {"fill": _LIGHT.muted}},
        "axis": {"domainColor": _LIGHT.grid, "gridColor": _LIGHT.grid, "tickColor": _LIGHT.grid},
    },
}


def bundle(spec: dict[str, Any], **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the output of a Vega-Lite specification, by type, and its metadata: a renderer for Altair.

    The ground is that of the light theme, also on a dark page: the outputs of a notebook are drawn once and looked at anywhere.
    """
    given = {"background": _LIGHT.ground, **spec}
    given.pop("usermeta", None)  # which may name options that are fetched from elsewhere
    vega = compiled(given)
    told = describe(given)
    data = {VEGA: {**vega, "$schema": _SCHEMA}, SVG: still(vega), "text/plain": f"<chart: {told}>"}
    return data, {VEGA: {"embed_options": _EMBED}, SVG: {"alt": told}}


def compiled(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a Vega-Lite specification as a Vega one, with a mark for each character that an SVG cannot have.

    vl-convert would end the whole process on one of them, wherever in the data it is.
    """
    version = alt.SCHEMA_VERSION.removeprefix("v").rsplit(".", 1)[0]
    vega: dict[str, Any] = vl_convert.vegalite_to_vega(
        json.dumps(_printable(spec), default=_number), vl_version=version
    )
    return vega


def still(vega: dict[str, Any]) -> str:
    """Return a Vega specification as an SVG."""
    text = json.dumps(vega).replace(json.dumps(themes.FONT)[1:-1], _STILL)
    svg: str = vl_convert.vega_to_svg(text)
    return svg


def _printable(tree: Any) -> Any:  # noqa: ANN401 - a part of a specification
    """Return a part of a specification whose texts can be drawn."""
    match tree:
        case str():
            return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", tree)
        case dict():
            return {_printable(key): _printable(part) for key, part in tree.items()}
        case list():
            return [_printable(part) for part in tree]
        case _:
            return tree


def _number(value: object) -> float:
    """Return a number that JSON lacks, as sums of integers are in DuckDB, as one that it has."""
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"a chart holds a {type(value).__name__}, which is neither text, number nor moment")


def describe(spec: dict[str, Any]) -> str:
    """Return what a chart is, for who does not see it: its description, or else its title and subtitle."""
    title = spec.get("title") or ""
    parts = [title] if isinstance(title, (str, list)) else [title.get("text", ""), title.get("subtitle", "")]
    lines = (" ".join(map(str, part)) if isinstance(part, list) else str(part) for part in parts)
    return str(spec.get("description") or ": ".join(filter(None, lines)) or "without a title")


def enable() -> None:
    """Have Altair show its charts by ``bundle`` in eventlab's theme, unless a person has chosen another renderer or theme."""
    if alt.renderers.active == _OWN:
        alt.renderers.register(NAME, bundle)
        alt.renderers.enable(NAME)
    if alt.theme.active == _OWN:
        alt.theme.register(NAME, enable=True)(_theme)


def disable() -> None:
    """Go back to what Altair does by itself."""
    if alt.renderers.active == NAME:
        alt.renderers.enable(_OWN)
    if alt.theme.active == NAME:
        alt.theme.enable(_OWN)


def _theme() -> alt.theme.ThemeConfig:
    return {"config": {"mark": {"color": _LIGHT.series[0]}, **themes.config()}}  # type: ignore[typeddict-item]  # the same, as a plain dict
