"""The program: its commands by name, and how it ends."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from cyclopts import App, Parameter
from cyclopts.exceptions import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnusedCliTokensError,
)

from eventlab.cli import commands, exports, labs, outputs, reports, schedules, schemas, states
from eventlab.cli.options import UsageError
from eventlab.cli.values import printable
from eventlab.errors import EventlabError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
COMMANDS: tuple[Callable[..., object] | App, ...] = (
    commands.init,
    commands.ingest,
    commands.append,
    exports.export,
    commands.sql,
    states.state,
    schemas.types,
    commands.tail,
    commands.info,
    commands.seal,
    commands.compact,
    commands.recover,
    commands.demo,
    labs.lab,
    reports.app,
    schedules.app,
)


def version() -> str:
    """Return the program's name and version."""
    import eventlab  # noqa: PLC0415

    return f"eventlab {eventlab.__version__}"


app = App(
    name="eventlab",
    help="An append-only log of events in Parquet, queried with SQL at any moment of its past.",
    help_format="plaintext",
    version=version,
    default_parameter=Parameter(negative=(), show_default=False),
    print_error=False,
    exit_on_error=False,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
for order, command in enumerate(COMMANDS):
    if isinstance(command, App):
        command.sort_key = order
        app.command(command)
    else:
        app.command(command, sort_key=order)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 failed, 2 wrong usage.

    An error is a line on standard error and, where there is a fix, a line with it; ``EVENTLAB_TRACEBACK=1`` shows where
    it came from.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # where the terminal has no such letters
    try:
        try:
            app(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # `| head` has read enough; rich leaves at once when it has
        outputs.silence()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("EVENTLAB_TRACEBACK"):
            raise
        code, message, hint = explained(error)
        outputs.settle()
        _say("error", message)
        if hint:
            _say("hint", hint)
        return code
    return OK


def explained(error: Exception) -> tuple[int, str, str]:
    """Return an error's exit code, message and hint."""
    match error:
        case CycloptsError():
            return _misuse(error)
        case UsageError():
            return MISUSED, error.message, error.hint or "eventlab --help lists the commands and their options."
        case EventlabError():
            return FAILED, error.message, error.hint
        case OSError(strerror=str(reason)):
            return FAILED, f"{error.filename}: {reason}" if error.filename else reason, ""
    return FAILED, *_foreign(error)


def _foreign(error: Exception) -> tuple[str, str]:
    """Return message and hint of an error that eventlab did not raise: DuckDB's while a query runs, or a defect."""
    if "duckdb" in type(error).__module__:
        from eventlab.queries import DuckDBError, query_error  # noqa: PLC0415 - loaded already

        if isinstance(error, DuckDBError):
            ours = query_error(error)
            return ours.message, ours.hint
    if isinstance(error, UnicodeError):
        return f"a text is not valid UTF-8: {error}", "Give arguments and standard input in UTF-8."
    if isinstance(error, MemoryError):
        return "not enough memory", "Ask for less at a time, or write --csv or --parquet, which stream."
    return f"{type(error).__name__}: {error}", "This is a defect of eventlab; EVENTLAB_TRACEBACK=1 shows where it is."


def _misuse(error: CycloptsError) -> tuple[int, str, str]:
    """Return what is wrong with a command line, and which help to read."""
    chain = " ".join(["eventlab", *(error.command_chain or ())])
    hint = f"{chain} --help says what it takes."
    cause = error.__cause__
    match error:
        case CoercionError(token=token) if isinstance(cause, EventlabError) and token is not None:
            return MISUSED, f"{token.keyword or 'argument'}: {cause.message}", cause.hint or hint
        case MissingArgumentError(argument=argument) if argument is not None:
            return MISUSED, f"{argument.name} is missing", hint
        case UnusedCliTokensError(unused_tokens=[first, *_]):
            return MISUSED, f"unexpected argument {first!r}", f"Quote a query or a pattern of files. {hint}"
    text = str(error).strip()
    return MISUSED, text[:1].lower() + text[1:], hint


def _say(what: str, text: str) -> None:
    """Write one line on standard error."""
    sys.stderr.write(f"{what}: {printable(' '.join(text.split()))}\n")
