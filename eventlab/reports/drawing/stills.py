"""Stills: charts as pictures, for what draws none itself: Markdown, mail, the index page. Nothing is fetched."""

from __future__ import annotations

import base64
import contextlib
from typing import TYPE_CHECKING, Any

from eventlab.errors import ReportError
from eventlab.reports.drawing import blocks as blocks_
from eventlab.reports.drawing import specifications

if TYPE_CHECKING:
    from eventlab.reports.execution.executions import Execution

_WIDTH = 640
SCALE = 2  # pixels of a picture for one of a page: sharp on fine screens
_SMALL = {"width": 280, "height": 104}
_HEAVY = 24_000  # characters of an SVG beyond which a thumbnail is a PNG
_WORDS = frozenset({"title", "header"})
_LEGENDS = frozenset({"color", "fill", "stroke", "shape", "size", "opacity", "strokeDash"})


def svg(spec: dict[str, Any]) -> str:
    """Return a chart as an SVG, in the light theme and on white.

    Raises
    ------
    ReportError
        If Vega cannot draw it.
    """
    return _svg(specifications.safe(_sized(spec)))


def png(spec: dict[str, Any]) -> bytes:
    """Return a chart as a PNG, in the light theme and on white, twice as fine as it is shown.

    Raises
    ------
    ReportError
        If Vega cannot draw it.
    """
    import vl_convert  # noqa: PLC0415 - its JavaScript engine takes a while

    content: bytes = vl_convert.svg_to_png(svg(spec), scale=SCALE)
    return content


def thumbnail(execution: Execution) -> str | None:
    """Return the first chart of a report as a small picture without words, in a ``data:`` address.

    None if it has no chart, or one that Vega cannot draw, as its page says.
    """
    spec = next((block.data for block in blocks_.blocks(execution) if block.kind == "chart"), None)
    if spec is None:
        return None
    drawn = _first(_bare(spec), spec)
    if drawn is None:
        return None
    if len(drawn) <= _HEAVY:
        return _address("image/svg+xml", drawn.encode())
    import vl_convert  # noqa: PLC0415 - as above

    return _address("image/png", vl_convert.svg_to_png(drawn))


def _svg(spec: dict[str, Any]) -> str:
    """Return a specification as an SVG, with the light theme under it."""
    from eventlab.charts import themes  # noqa: PLC0415 - brings Altair
    from eventlab.jupyter import pictures, renderers  # noqa: PLC0415 - as above

    form = {
        "background": themes.PALETTES["light"].ground,
        **{key: part for key, part in spec.items() if key != "datasets"},
    }
    whole = pictures.specification(pictures.Picture("chart", form, spec.get("datasets", {})))
    try:
        return renderers.still(renderers.compiled(whole))
    except ValueError as error:
        reason = next((line for line in str(error).splitlines() if line.startswith("Error: ")), str(error))
        raise ReportError(
            f"Vega cannot draw a chart: {reason.removeprefix('Error: ')}", hint="Look at it in the notebook."
        ) from None


def _first(*specs: dict[str, Any]) -> str | None:
    """Return the first of some charts that can be drawn: one may need what was taken away of it."""
    for spec in specs:
        with contextlib.suppress(ReportError):
            return _svg(spec)
    return None


def _sized(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a chart of one panel with a width, if it has none."""
    if ("mark" in spec or "layer" in spec) and not isinstance(spec.get("width"), (int, float, dict)):
        return {**spec, "width": _WIDTH}
    return spec


def _bare(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a chart, or the first of its panels, small and without words; one that is drawn by pixels stays as it is."""
    panels = spec.get("vconcat")
    chosen = panels[0] if isinstance(panels, list) and panels else spec
    if not ("mark" in chosen or "layer" in chosen) or _by_pixels(chosen):
        return spec
    around = {key: part for key, part in spec.items() if key in {"data", "datasets", "config", "transform", "params"}}
    return {**around, **_wordless(chosen), **_SMALL}


def _by_pixels(spec: dict[str, Any]) -> bool:
    """Whether a part of a chart has no axis along x, as one that is laid out by pixels."""
    x = spec.get("encoding", {}).get("x")
    return (isinstance(x, dict) and x.get("axis", True) is None) or any(map(_by_pixels, spec.get("layer", ())))


def _wordless(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a panel without titles, axes, legends and marks that are text."""
    made = {key: part for key, part in spec.items() if key not in _WORDS}
    if "encoding" in spec:
        made["encoding"] = {channel: _unlabelled(channel, given) for channel, given in spec["encoding"].items()}
    if "layer" in spec:
        made["layer"] = [_wordless(layer) for layer in spec["layer"] if _mark(layer) != "text"]
    return made


def _unlabelled(channel: str, given: Any) -> Any:  # noqa: ANN401 - a channel of an encoding
    """Return a channel without its axis or legend."""
    if not isinstance(given, dict) or "value" in given:
        return given
    return (
        {**given, "axis": None}
        if channel in {"x", "y"}
        else {**given, "legend": None}
        if channel in _LEGENDS
        else given
    )


def _mark(layer: dict[str, Any]) -> str:
    mark = layer.get("mark")
    return str(mark.get("type")) if isinstance(mark, dict) else str(mark)


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
