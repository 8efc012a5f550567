"""What a benchmark found, and its table: on a terminal, or as Markdown for the README."""

from __future__ import annotations

import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEADINGS = ("what", "ours", "baseline", "ratio", "allowed")


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: ours against a baseline, and the ratio that is allowed.

    Attributes
    ----------
    unit
        Of ``ours`` and ``baseline``: ms, s, GB or events/s.
    baseline
        None where a figure stands against a limit in its own unit; ``allowed`` is that limit then.
    at_least
        Whether the ratio must be ``allowed`` or more, as with rates.
    """

    what: str
    ours: float
    baseline: float | None
    allowed: float | None
    unit: str = "ms"
    at_least: bool = False

    @property
    def ratio(self) -> float:
        """Ours over the baseline; ours where there is none."""
        return self.ours if self.baseline is None else self.ours / self.baseline

    @property
    def holds(self) -> bool:
        """Whether the ratio is one that is allowed."""
        if self.allowed is None:
            return True
        return self.ratio >= self.allowed if self.at_least else self.ratio <= self.allowed

    def cells(self) -> tuple[str, ...]:
        """Return the row as texts, in the order of the headings."""
        bare = self.baseline is None
        word = "≥ " if self.at_least else "≤ "
        limit = (
            "" if self.allowed is None else word + (_shown(self.allowed, self.unit) if bare else f"{self.allowed:g} x")
        )
        return (
            self.what,
            _shown(self.ours, self.unit),
            "-" if self.baseline is None else _shown(self.baseline, self.unit),
            "-" if bare else f"{self.ratio:.2f} x",
            limit,
        )


def _shown(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if unit == "events/s" else f"{value:.3g} {unit}"


def show(rows: Sequence[Row]) -> None:
    """Print a table on the terminal."""
    table = Table(*HEADINGS, title=machine(), title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row.cells(), style="" if row.holds else "bold red")
    Console(width=max(100, Console().width)).print(table)


def markdown(rows: Sequence[Row]) -> str:
    """Return the table for the README."""
    lines = [f"| {' | '.join(HEADINGS)} |", "|---|--:|--:|--:|--:|"]
    lines += [f"| {' | '.join(row.cells())} |" for row in rows]
    return "\n".join([*lines, "", machine()])


def machine() -> str:
    """Return what the figures were measured on."""
    cpus = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in cpus.read_text().splitlines() if line.startswith("model name")]
        if cpus.exists()
        else []
    )
    name = f"{len(names)} cores of {names[0]}" if names else platform.processor()
    return f"{name}, Python {platform.python_version()}, DuckDB {duckdb.__version__}"


def timed(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def interleaved(ours: Callable[[], object], baseline: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Run the two by turns, and return the median seconds of each."""
    pairs = [(timed(ours), timed(baseline)) for _ in range(rounds)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)
