"""SQL in a notebook: ``%eventlab`` opens a log, ``%%events`` asks it. In plain IPython too.

What is asked is the variable ``log``, a log or a view, else what ``%eventlab`` opened last.
"""

from __future__ import annotations

import argparse
import functools
import keyword
import os
import re
import shlex
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand

from eventlab import queries
from eventlab.errors import EventlabError, InvalidArgument, QueryError, near
from eventlab.jupyter import places
from eventlab.log import EventLog, LogView, open_log

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl
    from IPython.core.interactiveshell import InteractiveShell

    from eventlab.jupyter.readables import Readable

STORE = "EVENTLAB_STORE"  # the variable of the environment in which `eventlab lab` hands on a store's path
_KEPT = re.compile(r"\s*([^\W\d]\w*)\s*<<\s*(.*)", re.DOTALL)
_USAGE = "Write %eventlab data/shop [--at 2026-03-01] [--known-at 2026-03-02]."


class _Arguments(argparse.ArgumentParser):
    """The arguments of a magic; a wrong one is an error as any other, and no end of the kernel."""

    def error(self, message: str) -> NoReturn:
        raise InvalidArgument(f"%eventlab: {message}", hint=_USAGE)


def _arguments() -> _Arguments:
    parser = _Arguments(prog="%eventlab", add_help=False, allow_abbrev=False)
    parser.add_argument("path", nargs="?")
    parser.add_argument("--at", nargs="+")
    parser.add_argument("--known-at", nargs="+")
    return parser


@magics_class
class EventlabMagics(Magics):
    """The magics ``%eventlab`` and ``%%events``."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.shell: InteractiveShell = shell
        self._logs: dict[Path, EventLog] = {}
        self._asked: Readable | None = None

    @no_var_expand
    @line_magic
    def eventlab(self, line: str) -> Readable:
        """Open a log and call it ``log``: ``%eventlab PATH [--at MOMENT] [--known-at MOMENT]``.

        With a moment, ``log`` is a view as of it, which ``%%events`` asks too. Without a path it is the one that is open, else
        the store of ``eventlab lab``. ``$name`` is a variable of the notebook. A log that is open already is not opened again.
        """
        try:
            given = _arguments().parse_args(_words(line))
            log = self._open(given.path)
            at, known_at = (self._moment(words) for words in (given.at, given.known_at))
            self._asked = log if at is None and known_at is None else log.at(at, known_at=known_at)
        except EventlabError as error:
            raise _told(error, "") from None
        self.shell.user_ns["log"] = self._asked
        return self._asked

    @no_var_expand
    @line_cell_magic
    def events(self, line: str, cell: str | None = None) -> pl.DataFrame | None:
        """Ask the log in SQL, and return a Polars frame: ``%%events [name <<]`` above a query, or ``%events [name <<] QUERY``.

        ``$name`` in the query is the value of that variable of the notebook; values are bound, never pasted. With ``name <<``
        the frame is kept as that variable, and not shown.
        """
        kept = _KEPT.fullmatch(line)
        text = kept[2] if kept else line
        text = text if cell is None else f"{text}\n{cell}" if text.strip() else cell
        try:
            if kept and keyword.iskeyword(kept[1]):
                raise InvalidArgument(f"{kept[1]!r} is a word of Python", hint="Keep the result under another name.")
            params = {name: _value(name, self._variable(name)) for name in _parameters(text)}
            relation = self.asked().sql(text, params or None)
            with queries.explained(text=text):
                frame: pl.DataFrame = relation.pl()
        except EventlabError as error:
            raise _told(error, text) from None
        if kept is None:
            return frame
        self.shell.user_ns[kept[1]] = frame
        return None

    def asked(self) -> Readable:
        """Return what queries are asked of."""
        variable = self.shell.user_ns.get("log")
        if isinstance(variable, (EventLog, LogView)):
            return variable
        if self._asked is None:
            raise InvalidArgument("no log is open", hint=_USAGE)
        return self._asked

    def _open(self, given: str | None) -> EventLog:
        """Return the log at a path, of several calls the same; without a path, the one that was opened last."""
        path = given and (str(self._variable(given[1:])) if given.startswith("$") else given)
        path = path or (str(next(reversed(self._logs))) if self._logs else os.environ.get(STORE))
        if not path:
            raise InvalidArgument("no log is open", hint=_USAGE)
        place = Path(path).expanduser().resolve()
        log = self._logs.pop(place, None)
        if log is None or log.closed:
            log = open_log(Path(path).expanduser())
        self._logs[place] = log  # the last of them is the one that is open
        return log

    def _moment(self, words: Sequence[str] | None) -> Any:  # noqa: ANN401 - a moment, or what a variable holds
        if words is None:
            return None
        text = " ".join(words)
        if text.startswith("$"):
            return self._variable(text[1:])
        return int(text) if text.isascii() and text.isdecimal() else text

    def _variable(self, name: str) -> object:
        """Return the value of a variable of the notebook."""
        variables: Mapping[str, object] = self.shell.user_ns
        if name in variables:
            return variables[name]
        own = [known for known in variables if not known.startswith("_")]
        guess = near(name, own)
        hint = f"Did you mean ${guess[0]}?" if guess else f"Assign it first: {name} = …"
        if not name.isidentifier():
            hint = "A parameter is written $name, and has the value of that variable."
        raise QueryError(f"there is no variable {name!r}", hint=hint, matches=guess)


def _words(line: str) -> list[str]:
    """Return the arguments of a line, split as a shell does."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise InvalidArgument(f"%eventlab: {str(error).lower()}", hint="Close the quote.") from None


def _parameters(text: str) -> list[str]:
    """Return the names of a query's parameters, as DuckDB reads it."""
    if not text.strip():
        raise QueryError("there is no query", hint="Write one SELECT or FROM below %%events, or after %events.")
    with queries.explained(text=text):
        statements = _parser().extract_statements(text)
    return sorted({name for statement in statements for name in statement.named_parameters})


@functools.cache
def _parser() -> queries.Connection:
    return queries.connect()


def _value(name: str, value: Any) -> Any:  # noqa: ANN401 - what a person's variable holds
    """Return a variable's value as one that DuckDB binds: numbers of NumPy, series and paths as what they say."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    if hasattr(value, "to_list"):  # a series of Polars or pandas
        return value.to_list()
    if isinstance(value, (set, frozenset, range)):
        return list(value)
    if isinstance(value, PurePath):
        return str(value)
    if callable(value) or hasattr(value, "columns"):
        raise InvalidArgument(
            f"${name} is {type(value).__name__}, not a value", hint="A number, text, a moment or a list can be bound."
        )
    return value


def _told(error: EventlabError, text: str) -> EventlabError:
    """Return an error that IPython shows without a traceback, pointing at its place in the query."""
    vars(error)["_render_traceback_"] = functools.partial(list, places.report(error, text))
    return error


def load(shell: InteractiveShell) -> None:
    """Register the magics and the completion of queries."""
    from eventlab.jupyter import completions  # noqa: PLC0415 - which need the magics

    magics = EventlabMagics(shell)
    shell.register_magics(magics)
    completions.install(shell, magics)


def unload(shell: InteractiveShell) -> None:
    """Take the magics and the completion away."""
    from eventlab.jupyter import completions  # noqa: PLC0415 - as above

    completions.remove(shell)
    for kind, name in (("line", "eventlab"), ("line", "events"), ("cell", "events")):
        shell.magics_manager.magics[kind].pop(name, None)
