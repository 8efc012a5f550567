"""The one theme: a Vega-Lite configuration for light and for dark backgrounds, with the same colours by meaning.

The colours follow Okabe and Ito's palette for all kinds of colour vision (https://jfly.uni-koeln.de/color/), darker on
light ground and lighter on dark: each has a contrast of at least 4.5:1 to it, enough for text (WCAG 2.2, 1.4.3).
Backgrounds are transparent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Mode = Literal["light", "dark"]

FONT = "Inter, 'Segoe UI', system-ui, -apple-system, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one mode; ``ground`` is the page for which they are made."""

    ground: str
    text: str
    muted: str
    grid: str
    series: tuple[str, ...]


PALETTES: dict[Mode, Palette] = {
    "light": Palette(
        ground="#ffffff",
        text="#1b2430",
        muted="#5b6776",
        grid="#e3e8ee",
        series=("#0072b2", "#8f6800", "#c8461f", "#00805e", "#a8568a", "#5464c8", "#6b7280"),
    ),
    "dark": Palette(
        ground="#12171e",
        text="#e8edf3",
        muted="#9aa7b6",
        grid="#29323d",
        series=("#56b4e9", "#f0c24b", "#ff8a5c", "#3ecfa0", "#e39bc8", "#a3aefc", "#a9b2be"),
    ),
}


def config(mode: Mode = "light") -> dict[str, Any]:
    """Return the Vega-Lite ``config`` of a mode."""
    palette = PALETTES[mode]
    text = {"font": FONT, "color": palette.text}
    labels = {"labelFont": FONT, "titleFont": FONT, "labelColor": palette.muted, "titleColor": palette.muted}
    return {
        "background": "transparent",
        "font": FONT,
        "padding": 4,
        "view": {"stroke": None},
        "title": {
            **text,
            "anchor": "start",
            "frame": "group",
            "fontSize": 14,
            "fontWeight": 600,
            "offset": 12,
            "subtitleFont": FONT,
            "subtitleColor": palette.muted,
            "subtitleFontSize": 12,
            "subtitlePadding": 5,
        },
        "axis": {
            **labels,
            "labelFontSize": 11.5,
            "titleFontSize": 11.5,
            "titleFontWeight": "normal",
            "domain": False,
            "ticks": False,
            "labelPadding": 8,
            "gridColor": palette.grid,
        },
        "axisX": {"grid": False, "domain": True, "domainColor": palette.grid, "ticks": True, "tickColor": palette.grid},
        "legend": {**labels, "labelFontSize": 12, "orient": "top", "title": None},
        "header": {**labels, "labelFontSize": 12},
        "range": {"category": list(palette.series)},
        "line": {"strokeWidth": 2, "strokeJoin": "round"},
        "text": {**text, "fontSize": 12},
        "style": {
            "annotation-line": {"color": palette.muted, "strokeDash": [4, 3], "strokeWidth": 1},
            "annotation-text": {"color": palette.muted, "font": FONT, "fontSize": 11.5},
            "before-line": {"color": palette.muted, "strokeWidth": 1.5, "opacity": 0.7},
            "grid-line": {"color": palette.grid, "strokeWidth": 1},
            "zero-line": {"color": palette.muted, "strokeWidth": 1},
            "label-ground": {"color": palette.ground, "opacity": 0.85},
            "small-text": {"color": palette.muted, "font": FONT, "fontSize": 10.5},
            "panel-title": {"color": palette.text, "font": FONT, "fontSize": 13.5, "fontWeight": 600},
            "cursor-line": {"color": palette.muted, "strokeWidth": 1},
        },
    }
