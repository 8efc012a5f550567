"""Charts with Altair: one function a result, one theme for light and dark."""

from eventlab.charts.timelines import Mark, Panel, timeline

__all__ = ["Mark", "Panel", "timeline"]
