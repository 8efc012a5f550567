"""``eventlab report``: reports that are made, made again, made for the past, and corrected."""

# Annotations are read at run time here, by cyclopts: no `from __future__ import annotations`.
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from eventlab.cli import restatements, runs
from eventlab.cli.options import AsJson, At, KnownAt, UsageError, folder, parameters
from eventlab.cli.schedules import tell
from eventlab.cli.values import counted, printable
from eventlab.errors import InvalidArgument, ReportError

Place = Annotated[
    str, Parameter(name="NOTEBOOK", help="A notebook, or module:function, a function of the log and its parameters.")
]
Given = Annotated[
    list[str] | None, Parameter(name="--param", negative=(), help="A parameter, name=value; may be repeated.")
]

app = App(
    name="report",
    help="Make reports from notebooks, verify, correct and list them.",
    help_format="plaintext",
    default_parameter=Parameter(negative=(), show_default=False),
)


def run(
    notebook: Place,
    /,
    *,
    store: Annotated[Path, Parameter(converter=folder, help="The log's folder.")],
    out: Annotated[Path, Parameter(help="A folder, or a file that ends in .html, .md or .pdf.")],
    at: At = None,
    known_at: KnownAt = None,
    param: Given = None,
    to: Annotated[str | None, Parameter(help="html, md, pdf, or several with commas (html).")] = None,
    title: Annotated[str | None, Parameter(help="What it is called (its first heading).")] = None,
    timeout: Annotated[str | None, Parameter(help="How long it may run, like 5m (for ever).")] = None,
    json: AsJson = False,
) -> None:
    """Make a report from a notebook, of the log as of a moment.

    The notebook finds `log` pinned to the moment, and what `--param` says in place of the values of its cell that is tagged
    `parameters`. The page says what it was made from: `eventlab report verify` makes it again. Exits 1 if the report fails.
    """
    from eventlab.reports import renders  # noqa: PLC0415 - brings the whole of eventlab

    try:
        with waiting(f"making {notebook}"):
            made = renders.report(
                notebook,
                store,
                at=at,
                known_at=known_at,
                params=_given(param or ()),
                to=to,
                out=out,
                title=title,
                timeout=timeout,
            )
    except InvalidArgument as error:  # a parameter that is unknown, a format, a moment beyond the log
        raise UsageError(error.message, hint=error.hint) from None
    facts = {
        "title": made.made.provenance.title,
        "basis": made.basis,
        "files": [str(path) for path in made.paths],
        "figures": {figure.name: figure.plain()["value"] for figure in made.made.figures},
    }
    told = [f"{made.made.provenance.title}: {counted(len(made.figures), 'figure')}", *map(str, made.paths)]
    tell(told, facts, as_json=json)


def verify(
    page: Annotated[Path, Parameter(name="PAGE", help="An HTML page that a report wrote.")],
    /,
    *,
    store: Annotated[Path | None, Parameter(converter=folder, help="The log's folder, if it has moved.")] = None,
    notebook: Annotated[str | None, Parameter(help="The notebook, if it has moved.")] = None,
    json: AsJson = False,
) -> None:
    """Make a report again from its basis, and say whether it is equal, or which figures differ and why.

    Runs the notebook that the page names, as it is on this machine now. Exits 1 if the page differs.
    """
    from eventlab.reports import verifications  # noqa: PLC0415 - brings the whole of eventlab

    try:
        with waiting(f"making {page} again"):
            outcome = verifications.verify(page, store=store, source=notebook)
    except InvalidArgument as error:  # no page of a report
        raise UsageError(error.message, hint=error.hint) from None
    facts = {
        "equal": outcome.equal,
        "basis": outcome.provenance.basis,
        "changes": [change.plain() for change in outcome.changes],
        "same_page": outcome.same_page,
        "reasons": outcome.reasons,
    }
    tell(outcome.told, facts, as_json=json)
    if not outcome.equal:
        raise ReportError(f"{page} is not what its basis gives")


def _given(options: Sequence[str]) -> dict[str, str]:
    """Return ``--param name=value`` options by name."""
    wrong = next((option for option in options if "=" not in option), None)
    if wrong is not None:
        raise UsageError(f"--param {wrong!r} is not of the form name=value", hint="Write --param day=2013-02-09.")
    return parameters(options)


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on a terminal that something takes a while."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - for a person who waits

    with Console(stderr=True).status(printable(what)):
        yield


app.command(run, sort_key=0)
app.command(verify, sort_key=1)
app.command(runs.backfill, sort_key=2)
app.command(restatements.restate, sort_key=3)
app.command(runs.listing, name="list", sort_key=4)
