"""Progress of long work: a bar on a terminal, a function of the caller's, or nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Report = Callable[[str, float | None], None]


@contextlib.contextmanager
def reporting(progress: bool | Report | None) -> Iterator[Report]:  # noqa: FBT001 - as users give it to ingest
    """Yield where to report a step and its fraction (None: not known)."""
    if callable(progress):
        yield progress
    elif progress is False or (progress is None and not sys.stderr.isatty()):
        yield lambda _step, _fraction: None
    else:
        with _bar() as report:
            yield report


@contextlib.contextmanager
def _bar() -> Iterator[Report]:
    """Yield the report of a progress bar on standard error."""
    from rich.console import Console  # noqa: PLC0415 - only where a bar is shown
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    shown = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=Console(stderr=True), transient=True
    )
    with shown:
        task = shown.add_task("", total=None)

        def report(step: str, fraction: float | None) -> None:
            total = None if fraction is None else 1.0
            shown.update(task, description=step, total=total, completed=fraction or 0)

        yield report
