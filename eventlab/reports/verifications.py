"""Verification: a page made again from its basis, and compared with what it says."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from eventlab.errors import EventlabError, InvalidArgument, ReportError
from eventlab.log import open_log
from eventlab.reports import figures, renders
from eventlab.reports.drawing import pages
from eventlab.reports.execution import sources
from eventlab.reports.provenances import versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventlab.reports.execution.sources import Source
    from eventlab.reports.figures import Change
    from eventlab.reports.provenances import Provenance
    from eventlab.reports.renders import Made


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of making a page again.

    Attributes
    ----------
    page
        The page that was verified.
    provenance
        What it says of itself.
    changes
        The figures that differ: before, as the page has them; after, as they are made now.
    same_page
        Whether the whole page is the same but for the time of its run.
    reasons
        What may be behind a difference: another notebook, other versions, an edited page, a failure.
    """

    page: Path
    provenance: Provenance
    changes: list[Change] = field(default_factory=list)
    same_page: bool = True
    reasons: list[str] = field(default_factory=list)
    failed: bool = False

    @property
    def equal(self) -> bool:
        """Whether the page is what its basis gives."""
        return not self.changes and self.same_page and not self.failed

    def __bool__(self) -> bool:
        return self.equal

    @property
    def told(self) -> list[str]:
        """The outcome in lines: equal, or what differs and why."""
        count = len(self.provenance.figures)
        if self.equal:
            return [f"equal: {count} figure{'s' * (count != 1)}, and the whole page, from {self.provenance.basis}"]
        lines = [f"differs: {change.told}" for change in self.changes]
        if not self.changes and not self.failed:
            lines = ["differs: the figures are equal, the rest of the page is not"]
        return [*lines, *(f"because: {reason}" for reason in self.reasons)]


def verify(
    page: str | Path,
    *,
    store: str | Path | None = None,
    source: str | Path | Callable[..., object] | None = None,
) -> Verification:
    """Make a page again from its basis, and return whether it is equal, or what differs and why.

    Runs the notebook or the function that the page names, as it is on this machine now, never code that is in the page.

    Parameters
    ----------
    page
        An HTML file that ``report`` has made.
    store
        The log's folder, if it is not where the page says.
    source
        The notebook or the function, if it is not where the page says.

    Raises
    ------
    InvalidArgument
        If the file is no page of a report.
    ReportError
        If the notebook or the store is not there, or the log is another one.
    """
    path = Path(page)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(
            f"{path} cannot be read: {error}", hint="Give an HTML page that a report wrote."
        ) from None
    provenance = pages.read_provenance(text)
    asked = _source(provenance, source, path)
    made = _again(asked, provenance, _store(provenance, store, path))
    reasons = _reasons(provenance, asked)
    if made.failure is not None:
        return Verification(
            path, provenance, reasons=[*reasons, f"it fails now: {made.failure.message}"], same_page=False, failed=True
        )
    differ = figures.changes(provenance.figures, made.figures)
    same = pages.content(text) == pages.content(made.page())
    if (differ or not same) and not reasons:
        reasons.append("the page was edited, or the report gives another answer each time it is run")
    return Verification(path, provenance, differ, same, reasons if differ or not same else [])


def _again(source: Source, provenance: Provenance, store: Path) -> Made:
    """Return the report made again as its page says."""
    pinned = renders.pin(store, at=provenance.basis)
    told = replace(pinned, at=provenance.at, known_at=provenance.known_at)
    made = renders.make_pinned(
        source,
        told,
        sources.parameters(source, provenance.parameters),
        period=provenance.period,
        report=provenance.report,
        title=provenance.title,
        version=provenance.version,
        changes=provenance.changes,
    )
    return renders.as_told_by(made, provenance)


def _source(provenance: Provenance, given: object, page: Path) -> Source:
    """Return the source that the page names, or that is given."""
    if given is not None:
        return sources.source(given)  # type: ignore[arg-type]  # which says what it takes
    if ":" in provenance.source and not provenance.source.endswith(".ipynb"):
        home = _home(provenance, page)
        if home is None and not _installed(provenance):  # any module could stand there
            raise ReportError(
                f"{page.name} was made by {provenance.source}, which is not here as it was",
                hint=f"If you trust the page: eventlab report verify PAGE --notebook {provenance.source}",
            )
        return sources.source(provenance.source, base=home)
    for folder in _near(page):
        if (folder / provenance.source).is_file():
            return sources.source(folder / provenance.source)
    raise ReportError(
        f"{page.name} was made from {provenance.source}, which is not there",
        hint="Say where it is: eventlab report verify PAGE --notebook FILE, or source= in Python.",
    )


def _near(page: Path) -> list[Path]:
    """Return the folders in which what a page names is looked for: its own, the current one, those above its own."""
    own, *above = page.resolve().parents
    return [own, Path.cwd(), *above]


def _home(provenance: Provenance, page: Path) -> Path | None:
    """Return the folder of the module that a page names, which is looked for as a notebook is; None if it is in none of them.

    Of several, that whose module the page was made by comes before one that only has its name.
    """
    stem = Path(*provenance.source.partition(":")[0].split("."))
    files = {
        folder: file
        for folder in _near(page)
        for file in (folder / stem / "__init__.py", folder / f"{stem}.py")
        if file.is_file()
    }
    made = (folder for folder, file in files.items() if _sha256(file) == provenance.digest)
    return next(made, next(iter(files), None))


def _installed(provenance: Provenance) -> bool:
    """Tell whether the module that a page names can be imported as it was when the page was made, without importing it."""
    name = provenance.source.partition(":")[0]
    try:
        spec = importlib.util.find_spec(name) if all(map(str.isidentifier, name.split("."))) else None
    except (ImportError, ValueError):
        return False
    origin = Path(spec.origin or "") if spec is not None else Path()
    return origin.is_file() and _sha256(origin) == provenance.digest


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _store(provenance: Provenance, given: str | Path | None, page: Path) -> Path:
    """Return the folder of the log that the page names, or that is given; it is the same log."""
    places = [Path(given)] if given is not None else [folder / provenance.store for folder in _near(page)]
    found = next((place for place in places if (place / "store.toml").is_file()), None)
    if found is None:
        raise ReportError(
            f"{page.name} was made from the log {given or provenance.store}, which is not there",
            hint="Say where it is: eventlab report verify PAGE --store DIR, or store= in Python.",
        )
    with open_log(found, read_only=True) as log:
        if log.store_id != provenance.store_id:
            raise ReportError(
                f"{found} is another log than the page was made from: {log.store_id}, not {provenance.store_id}",
                hint="Give the log, or a backup of it, with --store DIR.",
            )
        try:
            log.at(provenance.basis)
        except EventlabError as error:
            raise ReportError(f"{found} does not hold what the page was made from: {error.message}") from None
    return found


def _reasons(provenance: Provenance, source: Source) -> list[str]:
    """Return what is not as it was when the page was made."""
    reasons = []
    if source.digest != provenance.digest:
        reasons.append(f"{source.place} has changed since")
    now = versions()
    reasons += [
        f"{name} is {now.get(name, 'not there')}, and was {was}"
        for name, was in provenance.versions.items()
        if now.get(name) != was
    ]
    return reasons
