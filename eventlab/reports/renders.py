"""Making a report: pin the log to a moment, run the source, write what it became."""

from __future__ import annotations

import datetime as dt
import html
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from eventlab import moments
from eventlab.errors import InvalidArgument, ReportError
from eventlab.jupyter import readables
from eventlab.log import EventLog, LogView, open_log
from eventlab.reports import files
from eventlab.reports.execution import executions, sources
from eventlab.reports.provenances import Provenance, versions

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from eventlab.moments import Moment
    from eventlab.reports.calendar.schedules import Period
    from eventlab.reports.execution.executions import Execution, Failure
    from eventlab.reports.execution.sources import Source
    from eventlab.reports.figures import Change, Figure, Value

Format = Literal["html", "md", "pdf"]
FORMATS: tuple[Format, ...] = get_args(Format)
DEFAULT: tuple[Format, ...] = ("html",)


@dataclass(frozen=True, slots=True)
class Moments:
    """The moment of a log that a report is made from: its pin, and how that is said."""

    pin: executions.Pin
    store_id: str
    position: int
    at: str
    known_at: str | None
    schemas: dict[str, int]


@dataclass(frozen=True, slots=True)
class Made:
    """A report that has been run: whole, or with the failure that ended it."""

    source: Source
    parameters: dict[str, Value]
    provenance: Provenance
    execution: Execution

    @property
    def figures(self) -> list[Figure]:
        """The figures that it declares."""
        return self.execution.figures

    @property
    def failure(self) -> Failure | None:
        """Why it could not be made; None if it was."""
        return self.execution.failure

    def page(self) -> str:
        """Return it as one HTML file."""
        from eventlab.reports.drawing import pages  # noqa: PLC0415 - brings Jinja and the rest of the page

        return pages.page(self.execution, self.provenance, changes=self.provenance.changes)


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was made by ``el.report``.

    Attributes
    ----------
    made
        What it was made from, and what became of it.
    paths
        The files that were written.
    """

    made: Made
    paths: list[Path] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, Value]:
        """The declared figures by name."""
        return {figure.name: figure.value for figure in self.made.figures}

    @property
    def basis(self) -> str:
        """The token of the log's moment: ``log.at(token)`` gives the same rows for ever."""
        return self.made.provenance.basis

    @property
    def html(self) -> str:
        """The page."""
        return self.made.page()

    def __repr__(self) -> str:
        written = ", ".join(map(str, self.paths)) or "not written"
        return f"<Report {self.made.provenance.title!r}: {written}>"

    def _repr_html_(self) -> str:
        frame = "width:100%;height:640px;border:1px solid #d7dde4;border-radius:8px;background:#fff"
        title = html.escape(self.made.provenance.title)
        return f'<iframe sandbox="allow-scripts" title="{title}" style="{frame}" srcdoc="{html.escape(self.html)}"></iframe>'


def report(
    source: str | Path | Callable[..., object],
    store: str | Path | EventLog | LogView,
    *,
    at: Moment | None = None,
    known_at: Moment | None = None,
    params: Mapping[str, object] | None = None,
    to: str | Sequence[str] | None = None,
    out: str | Path | None = None,
    title: str | None = None,
    timeout: moments.Duration | None = None,
) -> Report:
    """Make a report of a log as of a moment, and return it.

    Parameters
    ----------
    source
        A notebook's path, ``"module:function"``, or a function. A notebook finds ``log`` pinned to the moment; its parameters
        are the simple assignments of the cell that is tagged ``parameters``, and cells tagged ``interactive`` are left out. A
        function is called with the pinned log and its parameters, and returns or yields what is to be shown: Markdown,
        charts, Results, frames, figures.
    store
        The log's folder, a log, or a view of it, whose moment is taken if ``at`` and ``known_at`` are left out.
    at, known_at
        As for ``log.at``; all that is recorded by now if left out.
    params
        Values for parameters by name; those left out keep their default.
    to
        ``"html"`` (one file that needs no network), ``"md"`` (with charts as PNG files beside it), ``"pdf"`` (needs Chromium);
        one or several. None: by the ending of ``out``, else HTML.
    out
        A folder, or a file if it ends in a format's suffix; nothing is written if left out.
    title
        What the report is called; else its first heading.
    timeout
        How long the notebook may run; for ever if left out.

    Raises
    ------
    InvalidArgument
        If a parameter is unknown (with near matches), or an argument is not of its form.
    ReportError
        If the report fails: which cell, and why. With ``out``, the executed notebook is kept there.
    """
    asked = sources.source(source)
    place, formats, name = destination(out, to, asked.name)
    path, moment = _store(store, at, known_at)
    made = make(
        asked,
        path,
        at=moment,
        known_at=known_at,
        params=params,
        title=title,
        timeout=None if timeout is None else moments.duration(timeout),
    )
    if made.failure is not None:
        raise failed(made, place, name)
    if place is None:
        return Report(made)
    paths = write(made, formats, place, name)
    _kept(place, name).unlink(missing_ok=True)  # of an earlier run that failed
    return Report(made, paths)


def make(
    source: Source,
    store: Path,
    *,
    at: Moment | None = None,
    known_at: Moment | None = None,
    params: Mapping[str, object] | None = None,
    period: Period | None = None,
    report: str | None = None,
    title: str | None = None,
    timeout: dt.timedelta | None = None,
    version: int = 1,
    changes: Sequence[Change] = (),
    corrected: bool = False,
    cancelled: threading.Event | None = None,
    beside: Path | None = None,
) -> Made:
    """Run a report, and return what became of it; a failure of the report is told by ``.failure``, not raised.

    With ``beside``, the folder of its page, the page names the notebook and the log by their way from there: it can be made again
    when all of them have moved together.

    Raises
    ------
    InvalidArgument
        If a parameter is unknown, or a moment is none.
    StoreError
        If the store cannot be read.
    """
    given = sources.parameters(source, params or {})
    pinned = pin(store, at=at, known_at=known_at, corrected=corrected)
    made = make_pinned(
        source,
        pinned,
        given,
        period=None if period is None else (period.start.isoformat(), period.end.isoformat()),
        report=report,
        title=title,
        timeout=timeout,
        version=version,
        changes=changes,
        cancelled=cancelled,
    )
    return made if beside is None else _from(made, beside)


def make_pinned(
    source: Source,
    pinned: Moments,
    parameters: dict[str, Value],
    *,
    period: tuple[str, str] | None,
    report: str | None,
    title: str | None,
    timeout: dt.timedelta | None = None,
    version: int = 1,
    changes: Sequence[Change] = (),
    cancelled: threading.Event | None = None,
) -> Made:
    """Run a report on a log that is pinned already."""
    ran_at, started = dt.datetime.now(dt.UTC), time.perf_counter()
    execution = executions.execute(source, pinned.pin, parameters, timeout=timeout, cancelled=cancelled)
    provenance = Provenance(
        title=title or source.title,
        source=source.place,
        digest=source.digest,
        store=pinned.pin.store.as_posix(),
        store_id=pinned.store_id,
        basis=pinned.pin.basis,
        position=pinned.position,
        at=pinned.at,
        known_at=pinned.known_at,
        timezone=pinned.pin.timezone,
        parameters=parameters,
        figures=execution.figures,
        schemas=pinned.schemas,
        versions=versions(),
        report=report,
        period=period,
        version=version,
        changes=list(changes),
        ran_at=ran_at,
        seconds=time.perf_counter() - started,
    )
    return Made(source, parameters, provenance, execution)


def with_changes(made: Made, version: int, changes: Sequence[Change]) -> Made:
    """Return a report as the next version of an earlier one, with what has changed; it is not run again."""
    return replace(made, provenance=replace(made.provenance, version=version, changes=list(changes)))


def _from(made: Made, folder: Path) -> Made:
    """Return a report whose notebook and log are named by their way from a folder."""
    notebook, store = made.source.path, made.provenance.store
    source = made.source.place if notebook is None else Path(os.path.relpath(notebook, folder)).as_posix()
    told = replace(made.provenance, source=source, store=Path(os.path.relpath(store, folder)).as_posix())
    return replace(made, provenance=told)


def as_told_by(made: Made, page: Provenance) -> Made:
    """Return a report that was made again with the names that its page has for the source, the store and the libraries."""
    told = replace(made.provenance, source=page.source, store=page.store, versions=page.versions)
    return replace(made, provenance=told)


def pin(store: Path, *, at: Moment | None = None, known_at: Moment | None = None, corrected: bool = False) -> Moments:
    """Pin a log to a moment.

    Raises
    ------
    InvalidArgument
        If a moment is none.
    StoreError
        If the store cannot be read.
    """
    with open_log(store, read_only=True) as log:
        view = log.at(at, known_at=known_at, **({"corrected": True} if corrected else {}))
        zone = readables.rooms(log).zone
        basis = moments.basis(view.basis)
        if basis is None:  # pragma: no cover - a view's own token
            raise ReportError(f"{view.basis!r} is no basis")
        return Moments(
            executions.Pin(store, view.basis, log.timezone),
            log.store_id,
            view.position,
            "open" if basis.at is None else moments.moment_of(basis.at, zone).isoformat(),
            _told(known_at, zone),
            {kind.name: kind.latest.version for kind in readables.rooms(view).registry},
        )


def write(made: Made, to: Sequence[Format], folder: Path, name: str) -> list[Path]:
    """Write a report into a folder in the given formats, each file whole or not at all, and return the paths.

    Raises
    ------
    ReportError
        If there is no Chromium to print a PDF with.
    OSError
        If the files cannot be written.
    """
    paths: list[Path] = []
    page = made.page() if {"html", "pdf"} & set(to) else ""
    for form in to:
        match form:
            case "html":
                paths.append(files.write(folder / f"{name}.html", page))
            case "pdf":
                from eventlab.reports.drawing import pdfs  # noqa: PLC0415 - starts a browser

                paths.append(files.write(folder / f"{name}.pdf", pdfs.pdf(page)))
            case "md":
                from eventlab.reports.drawing import markdowns  # noqa: PLC0415 - draws stills

                paths.append(
                    markdowns.write(made.execution, made.provenance, folder, name, changes=made.provenance.changes)
                )
    return paths


def destination(
    out: str | Path | None, to: str | Sequence[str] | None, name: str
) -> tuple[Path | None, list[Format], str]:
    """Return where files go: the folder (None: nowhere), the formats, and the name without its suffix.

    Raises
    ------
    InvalidArgument
        If a format is none, or a file's suffix says another.

    Examples
    --------
    >>> destination("out/day.pdf", None, "daily"), destination("out", "html,md", "daily")
    ((PosixPath('out'), ['pdf'], 'day'), (PosixPath('out'), ['html', 'md'], 'daily'))
    """
    asked = [one.strip() for one in to.split(",")] if isinstance(to, str) else list(to or ())
    for one in asked:
        if one not in FORMATS:
            raise InvalidArgument(f"no format {one!r}", hint=f"A report is written as {', '.join(FORMATS)}.")
    formats: list[Format] = [form for form in FORMATS if form in asked]
    if out is None:
        return None, formats or list(DEFAULT), name
    path = Path(out)
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in FORMATS or path.is_dir():
        return path, formats or list(DEFAULT), name
    if formats and formats != [suffix]:
        raise InvalidArgument(
            f"{path.name} is one file, and the formats are {', '.join(formats)}", hint="Give a folder as out."
        )
    return path.parent, [form for form in FORMATS if form == suffix], path.stem


def failed(made: Made, folder: Path | None, name: str) -> ReportError:
    """Return the error of a report that failed; its executed notebook is kept in ``folder``."""
    failure = made.failure
    if failure is None:  # pragma: no cover - asked of failures alone
        raise ReportError(f"{made.provenance.title} did not fail")
    where = f"cell {failure.cell}: " if failure.cell is not None else ""
    hints = []
    if failure.code.strip():
        hints.append(f"It is at: {failure.code.strip().splitlines()[0]}")
    if folder is not None and made.execution.notebook is not None:
        hints.append(f"The executed notebook, with its traceback, is {keep(made, folder, name)}")
    elif failure.kind == "invalid":
        hints.append("Open it in JupyterLab, and see whether it runs there.")
    message = failure.message.removeprefix(f"{made.source.place}: ")
    return ReportError(f"{made.source.place}: {where}{message}", hint=". ".join(hints))


def keep(made: Made, folder: Path, name: str) -> Path:
    """Write the executed notebook of a report that failed, and return its path."""
    import nbformat  # noqa: PLC0415 - after a notebook has run

    text: str = nbformat.writes(nbformat.from_dict(made.execution.notebook))  # type: ignore[no-untyped-call]
    return files.write(_kept(folder, name), text + "\n")


def _kept(folder: Path, name: str) -> Path:
    """Return where the executed notebook of a report that failed is kept."""
    return folder / f"{name}.failed.ipynb"


def _store(
    store: str | Path | EventLog | LogView, at: Moment | None, known_at: Moment | None
) -> tuple[Path, Moment | None]:
    """Return a store's folder, and the moment that is asked for: of a view its own, unless another is given."""
    if isinstance(store, LogView):
        return readables.rooms(store).path, store.basis if at is None and known_at is None else at
    return store.path if isinstance(store, EventLog) else Path(store), at


def _told(known_at: Moment | None, zone: Any) -> str | None:  # noqa: ANN401 - a time zone
    """Return what was asked for of the second clock, as text."""
    if known_at is None:
        return None
    if isinstance(known_at, int):
        return f"position {known_at}"
    basis = moments.basis(known_at) if isinstance(known_at, str) else None
    if basis is not None:
        return f"position {basis.position}"
    return moments.moment_of(moments.instant(known_at, zone), zone).isoformat()
