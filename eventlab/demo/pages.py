"""The demonstration's page: one HTML file with its chart and its boards in it, which fetches nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jinja2
import polars as pl

from eventlab.charts import Mark, Panel, themes, timeline
from eventlab.demo.boards import FLIGHTS
from eventlab.jupyter import bundles

if TYPE_CHECKING:
    from collections.abc import Sequence

    import altair as alt

    from eventlab.demo.boards import Board
    from eventlab.demo.traffic import Pause

TITLE = "Two days in February: New\N{NO-BREAK SPACE}York\N{RIGHT SINGLE QUOTATION MARK}s flights in the blizzard"
PANELS = (
    Panel("in_the_air", "Flights in the air"),
    Panel("delayed", "Flights delayed"),
    Panel("cancelled", "Flights cancelled so far", shape="steps"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """Something to try next: what it is for, and the command."""

    purpose: str
    command: str


@dataclass(frozen=True, slots=True)
class Story:
    """All that the page tells: the size of the log, the boards, the traffic around them, and the longest pause."""

    events: int
    flights: int
    boards: Sequence[Board]
    traffic: pl.DataFrame
    pause: Pause
    steps: Sequence[Step]


def chart(traffic: pl.DataFrame, boards: Sequence[Board]) -> alt.VConcatChart:
    """Return the chart of flights in the air, delayed and cancelled, with the boards' moments pointed out."""
    moments = [dt.datetime.fromisoformat(board.moment) for board in boards]
    return timeline(traffic, PANELS, marks=[Mark(moment, f"{moment:%H:%M}") for moment in moments])


def page(story: Story) -> str:
    """Return the page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("eventlab.demo"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=TITLE,
        font=themes.FONT,
        colors={mode: _colors(palette) for mode, palette in themes.PALETTES.items()},
        themes={mode: themes.config(mode) for mode in themes.PALETTES},
        events=story.events,
        flights=story.flights,
        description=describe(story),
        boards=story.boards,
        state=FLIGHTS.strip(),
        steps=story.steps,
        spec=chart(story.traffic, story.boards).to_dict(),
        bundle=bundles.inlined(),
    )


def describe(story: Story) -> str:
    """Return what the chart shows, in a sentence."""
    pause = story.pause
    hours, minutes = divmod(int((pause.until - pause.since).total_seconds()) // 60, 60)
    return (
        f"No flight left New York from {pause.since:%A %H:%M} to {pause.until:%A %H:%M}, for {hours} hours and "
        f"{minutes} minutes; {_most(story, 'cancelled'):,} were cancelled in the two days, and at most "
        f"{_most(story, 'in_the_air'):,} were in the air at once."
    )


def _most(story: Story, measure: str) -> int:
    """Return the largest value of a measure of the traffic."""
    return int(story.traffic.select(pl.col(measure).max()).item())


def _colors(palette: themes.Palette) -> dict[str, str]:
    """Return the page's colours by the names that its style sheet has for them."""
    _, wait, bad, good, *_ = palette.series
    named = {"ground": palette.ground, "text": palette.text, "muted": palette.muted, "grid": palette.grid}
    return {**named, "good": good, "wait": wait, "bad": bad}
