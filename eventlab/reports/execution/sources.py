"""Sources: what a report is written in, a notebook or a function, with its title, its digest and its parameters."""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib
import inspect
import json
import os
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlab.errors import InvalidArgument, unknown
from eventlab.reports import figures
from eventlab.reports.execution import notebooks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eventlab.reports.execution.notebooks import Notebook
    from eventlab.reports.figures import Value

_FIX = 'Give a notebook (reports/daily.ipynb), a function, or its place ("package.module:function").'
_NO_LOG = inspect.Parameter("log", inspect.Parameter.VAR_KEYWORD)
_SCALAR = (str, int, float, bool, type(None), dt.date, Decimal)  # a datetime is a date


@dataclass(frozen=True, slots=True)
class Source:
    """What a report is made by.

    Attributes
    ----------
    name
        The stem of the notebook, or the function's name.
    place
        The notebook's path as it was given, or ``module:function``.
    title
        The notebook's first heading, or the first line of the function's docstring; else the name in words.
    digest
        SHA-256 of the notebook's cells (their types, sources and tags, not their outputs), or of the function's file.
    defaults
        The parameters and the values that they have unless others are given.
    path, function
        The notebook's file, or the function; the other one is None.
    problem
        Why the notebook cannot be read; empty if it can. Such a source is a report that fails, as one that raises an error.
    """

    name: str
    place: str
    title: str
    digest: str
    defaults: dict[str, Value] = field(default_factory=dict)
    path: Path | None = None
    function: Callable[..., object] | None = None
    problem: str = ""


def source(given: str | Path | Callable[..., object], *, base: Path | None = None) -> Source:
    """Return the source of a report.

    Parameters
    ----------
    given
        The path of a notebook, ``"module:function"``, or a function that takes the log and its parameters.
    base
        The folder against which a relative path is meant, and in which modules are looked for too; else the current one.

    Raises
    ------
    InvalidArgument
        If there is no such notebook or function, or the function's parameters are none that a report can have. A notebook
        that is there and cannot be read is a report that fails: its ``problem`` says why.

    Examples
    --------
    >>> def daily(log, *, day: str = "2013-02-09"):
    ...     '''The day's flights.'''
    >>> made = source(daily)
    >>> made.title, made.defaults
    ("The day's flights", {'day': '2013-02-09'})
    """
    if callable(given):
        return _of_function(given)
    if not isinstance(given, (str, os.PathLike)) or not str(given):
        raise InvalidArgument(f"{given!r} is no source of a report", hint=_FIX)
    text = os.fspath(given)
    folder = Path.cwd() if base is None else Path(base).absolute()
    if text.endswith(".ipynb"):
        return _of_notebook(Path(text), folder)
    if ":" in text:
        return _of_function(_imported(text, folder), place=text)
    raise InvalidArgument(f"{text!r} is no source of a report", hint=_FIX)


def parameters(source: Source, given: Mapping[str, object]) -> dict[str, Value]:
    """Return the values of a source's parameters: those that are given, else the defaults.

    Text for a parameter whose default is no text is read as the default's type, as a command line has only text: for a list
    ``a,b`` or a JSON array, for a default of None the text itself, or ``null``; the empty text stays what it is.

    Raises
    ------
    InvalidArgument
        If the source has no parameter of that name, or the value is none that a parameter can have.

    Examples
    --------
    >>> def daily(log, *, day: str = "2013-02-09", worst: int = 10): ...
    >>> parameters(source(daily), {"worst": "5"})
    {'day': '2013-02-09', 'worst': 5}
    """
    if source.problem:
        return {name: _allowed(name, value) for name, value in given.items()}  # which of them exist is not known
    values = dict(source.defaults)
    for name, value in given.items():
        if name not in values:
            message, hint, _ = unknown("parameter", name, values)
            if not values:
                hint = "It has none: tag a notebook's cell of assignments “parameters”, or give the function keywords."
            raise InvalidArgument(f"{source.place}: {message}", hint=hint)
        values[name] = _given(name, value, source.defaults[name])
    return values


def _given(name: str, value: object, default: Any) -> Any:  # noqa: ANN401 - as below
    """Return a value that is given for a parameter, text as the type that its default has."""
    if isinstance(value, str) and value and isinstance(default, list):
        value = _listed(name, value, default)
    elif value == "null" and default is None:
        value = None
    elif isinstance(value, str) and value and not isinstance(default, str):
        try:
            value = figures.read(value, default)
        except InvalidArgument as error:
            raise InvalidArgument(f"the parameter {name!r}: {error.message}", hint=error.hint) from None
    return _allowed(name, value)


def _listed(name: str, text: str, default: list[Any]) -> list[Any]:
    """Return a text as a list, ``a,b`` or a JSON array, of values as the first of the default is."""
    if not text.lstrip().startswith("["):
        return [figures.read(part.strip(), default[0]) if default else part.strip() for part in text.split(",")]
    try:
        values: list[Any] = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(
            f"the parameter {name!r} is no JSON array: {error}", hint='Give a,b or ["a","b"].'
        ) from None
    return [figures.read(part, default[0]) if default and isinstance(part, str) else part for part in values]


def _allowed(name: str, value: Any) -> Any:  # noqa: ANN401 - what it is, is looked at
    """Return a value if a parameter can have it."""
    if isinstance(value, (list, tuple)):
        return [_allowed(name, part) for part in value]
    if not isinstance(value, _SCALAR):
        raise InvalidArgument(
            f"the parameter {name!r} cannot be {type(value).__name__}",
            hint="Give text, a number, a bool, a date, a datetime, None, or a list of those.",
        )
    return value


def _of_notebook(given: Path, folder: Path) -> Source:
    """Return a notebook as a source."""
    path = folder / given.expanduser()
    try:
        content = path.read_bytes()
    except OSError as error:
        there = sorted(other.name for other in path.parent.glob("*.ipynb"))
        hint = f"There are: {', '.join(there[:20])}" if there else "There is no notebook in that folder."
        raise InvalidArgument(f"the notebook {given.as_posix()} cannot be read: {error.strerror}", hint=hint) from None
    name = given.stem
    try:
        notebook = notebooks.read(content)
        return Source(
            name,
            given.as_posix(),
            notebook.title or _words(name),
            _digest(notebook),
            defaults=notebooks.defaults(notebook),
            path=path,
        )
    except InvalidArgument as error:
        digest = hashlib.sha256(content).hexdigest()
        return Source(name, given.as_posix(), _words(name), digest, path=path, problem=str(error))


def _digest(notebook: Notebook) -> str:
    """Return the digest of a notebook's cells, which running or renaming it does not change."""
    cells = [[cell.kind, cell.text, sorted(cell.tags)] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells, separators=(",", ":")).encode()).hexdigest()


def _imported(place: str, folder: Path) -> Callable[..., object]:
    """Return the function at ``module:function``, which may be of a module in the folder."""
    module, _, name = place.partition(":")
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # for good, as a function may import its neighbours later
    try:
        found: object = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        raise InvalidArgument(
            f"{place}: no module {error.name!r}", hint=f"Install it, or put it into {folder}."
        ) from None
    except AttributeError:
        functions = [one for one, _ in inspect.getmembers(found, inspect.isfunction) if not one.startswith("_")]
        message, hint, _ = unknown("function", name, functions)
        raise InvalidArgument(f"{place}: {message}", hint=hint) from None
    except Exception as error:
        raise InvalidArgument(
            f"{place} cannot be imported: {type(error).__name__}: {error}", hint=f"Try: python -c 'import {module}'"
        ) from error
    if not callable(found):
        raise InvalidArgument(f"{place} is {type(found).__name__}, not a function", hint=_FIX)
    return found


def _of_function(function: Callable[..., object], *, place: str = "") -> Source:
    """Return a function as a source."""
    name = str(getattr(function, "__name__", ""))
    if not name.isidentifier():
        raise InvalidArgument(f"a report cannot be {name or function!r}", hint="Give a function that has a name.")
    documented = (inspect.getdoc(function) or "").strip()
    title = documented.splitlines()[0].strip().rstrip(".") if documented else _words(name)
    return Source(
        name,
        place or f"{function.__module__}:{function.__qualname__}",
        title,
        _digest_of(function),
        defaults=_keywords(function, name),
        function=function,
    )


def _keywords(function: Callable[..., object], name: str) -> dict[str, Value]:
    """Return the parameters of a function after the first, which is the log, and their defaults."""
    log, *rest = list(inspect.signature(function).parameters.values()) or [_NO_LOG]
    if log.kind in {log.KEYWORD_ONLY, log.VAR_KEYWORD}:
        raise InvalidArgument(
            f"{name}() takes no log", hint=f"Write def {name}(log, *, …): its first argument is the log."
        )
    values: dict[str, Value] = {}
    for one in rest:
        if one.kind in {one.VAR_POSITIONAL, one.VAR_KEYWORD}:
            continue
        if one.default is one.empty or one.kind is one.POSITIONAL_ONLY:
            raise InvalidArgument(
                f"the parameter {one.name!r} of {name}() has no default",
                hint="Give it one, as a report must run by itself.",
            )
        values[one.name] = _allowed(one.name, one.default)
    return values


def _digest_of(function: Callable[..., object]) -> str:
    """Return the digest of the file in which a function is written, or of its own text where there is no file."""
    plain = inspect.unwrap(function)
    try:
        file = inspect.getsourcefile(plain)
        content = (
            Path(file).read_bytes() if file is not None and Path(file).is_file() else inspect.getsource(plain).encode()
        )
    except (OSError, TypeError):
        content = getattr(
            getattr(plain, "__code__", None), "co_code", b""
        )  # typed into a prompt: there is no text of it
    return hashlib.sha256(content).hexdigest()


def _words(name: str) -> str:
    """Return a name as a title."""
    return name.replace("_", " ").replace("-", " ").strip().capitalize() or name
