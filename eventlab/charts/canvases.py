"""A canvas in pixels, for pictures whose places are worked out here: funnels, heat maps, flows, maps of processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import altair as alt

from eventlab.charts import marks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventlab.charts.marks import AnyChart

Row = dict[str, Any]
Align = Literal["left", "center", "right"]


def places(**channels: float) -> Row:
    """Return a row of places in pixels, to a tenth: a smaller chart for the same picture."""
    return {name: round(value, 1) for name, value in channels.items()}


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture of so many pixels; its origin is the top left."""

    width: float
    height: float

    def layer(self, rows: Sequence[Row]) -> alt.Chart:
        """Return a layer of rows, which have ``x`` and ``y`` in pixels."""
        return alt.Chart(alt.InlineData(values=list(rows))).encode(
            x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, self.width], nice=False, zero=False)),
            y=alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[0, self.height], nice=False, zero=False, reverse=True)),
        )

    def boxes(self, rows: Sequence[Row], *, tooltip: Mapping[str, str] | None = None, radius: float = 3) -> alt.Chart:
        """Return rectangles from ``x, y`` to ``x2, y2`` in their ``hue``, filled to their ``opacity``."""
        filled = self.layer(rows).mark_rect(cornerRadius=radius)
        return hinted(filled, tooltip).encode(
            x2="x2:Q", y2="y2:Q", color=marks.HUE, fillOpacity=alt.FillOpacity("opacity:Q", scale=None, legend=None)
        )

    def frames(self, rows: Sequence[Row], *, radius: float = 3, width: float = 1.2, dashed: bool = False) -> alt.Chart:
        """Return the outlines of rectangles from ``x, y`` to ``x2, y2`` in their ``hue``."""
        dash = [3, 2] if dashed else [1, 0]
        outlined = self.layer(rows).mark_rect(filled=False, cornerRadius=radius, strokeWidth=width, strokeDash=dash)
        framed: alt.Chart = outlined.encode(x2="x2:Q", y2="y2:Q", color=marks.HUE)
        return framed

    def texts(
        self,
        rows: Sequence[Row],
        *,
        align: Align = "left",
        limit: float | None = None,
        style: str | None = None,
        size: float = 12,
        weight: int = 400,
        tooltip: Mapping[str, str] | None = None,
    ) -> alt.Chart:
        """Return the ``text`` of rows at ``x, y``, cut at ``limit`` pixels."""
        options: dict[str, Any] = {"style": style} if style else {"fontSize": size, "fontWeight": weight}
        if limit:
            options["limit"] = limit
        written = self.layer(rows).mark_text(align=align, baseline="middle", **options)
        return hinted(written, tooltip).encode(text="text:N")

    def chart(self, layers: Sequence[alt.Chart], title: alt.TitleParams) -> AnyChart:
        """Return the layers, one over the other."""
        drawn = alt.LayerChart(layer=list(layers))
        return drawn.properties(width=round(self.width), height=round(self.height), title=title)


def hinted(layer: alt.Chart, tooltip: Mapping[str, str] | None) -> alt.Chart:
    """Return a layer that shows fields of its rows, by their titles, where the pointer is."""
    if not tooltip:
        return layer
    return layer.encode(tooltip=[alt.Tooltip(f"{field}:N", title=title) for field, title in tooltip.items()])
