"""Captions: what stands above and below a report, in words, the same on its page, in Markdown and in mail."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from eventlab.reports.calendar.periods import Period
from eventlab.reports.drawing import offsets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.reports.execution.executions import Failure
    from eventlab.reports.figures import Change, Figure
    from eventlab.reports.provenances import Provenance

_KINDS = {
    "error": "raised an error",
    "timeout": "took longer than it may",
    "dead": "ended with its process: it was killed, or crashed",
    "invalid": "cannot be read",
}
_MOST = 14  # characters of a figure that are shown large


@dataclass(frozen=True, slots=True)
class Caption:
    """What stands above a report: which it is, of when, from which moment of the log, and whether it corrects another."""

    of: str
    when: str
    facts: list[str]
    corrected: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of where a report comes from; ``exact`` is a text to be copied."""

    name: str
    value: str
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure as it is shown: the number apart from its unit."""

    name: str
    title: str
    number: str
    unit: str

    @property
    def full(self) -> str:
        """The number with its unit."""
        gap = "" if self.unit in {"", "%"} else "\N{NO-BREAK SPACE}"
        return f"{self.number}{gap}{self.unit}"

    @property
    def long(self) -> bool:
        """Whether it is too long to be shown large."""
        return len(self.number) > _MOST


@dataclass(frozen=True, slots=True)
class Differing:
    """A change as it is shown."""

    name: str
    title: str
    before: str
    after: str
    by: str

    @property
    def was(self) -> str:
        """What the figure was, in a few words."""
        return f"was {self.before}" + (f" ({self.by})" if self.by else "")


@dataclass(frozen=True, slots=True)
class Failed:
    """A failure as it is shown: ``told`` says what failed, and where."""

    told: str
    message: str
    code: str
    traceback: str


def caption(provenance: Provenance) -> Caption:
    """Return what stands above a report."""
    store = PurePosixPath(provenance.store).name
    facts = [f"Log at position {provenance.position:,}", *offsets.told(provenance)]
    if provenance.known_at is not None:
        known, offset = offsets.moved(provenance.known_at, provenance)
        facts.append(f"As known at {moment(known)}" + (f" ({offset})" if offset else ""))
    if provenance.version > 1:
        facts.append(f"Version {provenance.version}")
    corrected = f"Corrected: version {provenance.version}" if provenance.version > 1 or provenance.changes else ""
    return Caption(
        " \N{MIDDLE DOT} ".join(filter(None, [called(provenance), store])), when(provenance), facts, corrected
    )


def called(provenance: Provenance) -> str:
    """Return the short name of a report."""
    if provenance.report:
        return provenance.report
    source = PurePosixPath(provenance.source).name
    return source.removesuffix(".ipynb") if source.endswith(".ipynb") else source.rpartition(":")[2]


def when(provenance: Provenance) -> str:
    """Return which time a report is of; empty if it is of all that was recorded."""
    if provenance.period is not None:
        start, end = map(dt.datetime.fromisoformat, provenance.period)
        return Period(start, end).label
    return "" if provenance.at == "open" else f"As of {moment(provenance.at)}"


def moment(text: str) -> str:
    """Return a moment for a person; a text that is none stays as it is.

    Examples
    --------
    >>> moment("2013-02-10T00:00:00-05:00"), moment("position 12")
    ('10 February 2013, 00:00', 'position 12')
    """
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        return text
    seconds = f":{at:%S}" if at.second or at.microsecond else ""
    return f"{at.day} {at:%B %Y, %H:%M}{seconds}"


def origin(provenance: Provenance) -> list[Fact]:
    """Return where a report comes from: all of its provenance but the time and the duration of its run."""
    at = (
        "no moment: every event, whenever it occurred"
        if provenance.at == "open"
        else offsets.moved(provenance.at, provenance)[0]
    )
    known = (
        f"everything recorded up to position {provenance.position:,}"
        if provenance.known_at is None
        else offsets.moved(provenance.known_at, provenance)[0]
    )
    given = [
        Fact("Made by", provenance.source, exact=True),
        Fact("Its SHA-256", provenance.digest, exact=True),
        Fact("Log", f"{provenance.store} ({provenance.store_id})", exact=True),
        Fact("Basis", provenance.basis, exact=True),
        Fact("Period", " to ".join(provenance.period or ())),
        Fact("As of", at),
        Fact("As known at", known),
        Fact("Time zone", provenance.timezone),
        Fact(
            "Parameters",
            ", ".join(f"{name} = {_told(value)}" for name, value in provenance.parameters.items()),
            exact=True,
        ),
        Fact("Event types", ", ".join(f"{name} v{version}" for name, version in provenance.schemas.items())),
        Fact("Version", f"{provenance.version}" if provenance.version > 1 else ""),
        Fact("Libraries", ", ".join(f"{name} {version}" for name, version in provenance.versions.items())),
    ]
    return [fact for fact in given if fact.value]


def ran(provenance: Provenance) -> str:
    """Return when a report was made and how long that took."""
    return f"{moment(provenance.ran_at.astimezone(dt.UTC).isoformat())} UTC, in {provenance.seconds:.1f} s"


def shown(figure: Figure) -> Shown:
    """Return a figure as it is shown."""
    number = (
        moment(figure.value.isoformat()) if isinstance(figure.value, dt.datetime) else replace(figure, unit="").shown
    )
    return Shown(figure.name, figure.title, number, "" if figure.value is None else figure.unit)


def differing(changes: Sequence[Change]) -> list[Differing]:
    """Return changes as they are shown."""
    found = []
    for change in changes:
        figure = change.after or change.before
        by = change.difference
        unit = figure.unit if figure is not None else ""
        found.append(
            Differing(
                change.name,
                change.name if figure is None else figure.title,
                "not there" if change.before is None else change.before.shown,
                "not there" if change.after is None else change.after.shown,
                "" if by is None else _signed(by) + ("" if unit in {"", "%"} else "\N{NO-BREAK SPACE}") + unit,
            )
        )
    return found


def failed(failure: Failure) -> Failed:
    """Return a failure as it is shown."""
    where = "The report" if failure.cell is None else f"Cell {failure.cell}"
    return Failed(
        f"{where} {_KINDS[failure.kind]}",
        failure.message.strip(),
        failure.code.strip("\n"),
        failure.traceback.strip("\n"),
    )


def _signed(number: Any) -> str:  # noqa: ANN401 - int, float or Decimal
    """Return a difference with its sign, and no more digits than say something."""
    text = f"{number:+,.2f}".rstrip("0").rstrip(".") if isinstance(number, float) else f"{number:+,}"
    return text.replace("-", "\N{MINUS SIGN}")


def _told(value: Any) -> str:  # noqa: ANN401 - a parameter's
    return json.dumps(value, ensure_ascii=False, default=str)
