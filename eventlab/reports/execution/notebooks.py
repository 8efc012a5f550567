"""Notebooks as files: their cells, first heading and parameters, read without running them and without Jupyter."""

from __future__ import annotations

import ast
import datetime as dt
import json
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal

from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from eventlab.reports.figures import Value

PARAMETERS = "parameters"  # the tag of the cell that has them, as papermill's
INTERACTIVE = "interactive"  # the tag of cells that a report leaves out, as they are for a person at the notebook
HIDDEN = frozenset({"hidden", "remove-cell", "remove_cell"})  # the tags of cells that run and are not shown
_FORMAT = 4
_HEADING = re.compile(r"^#\s+(.+?)\s*#*\s*$", re.MULTILINE)
_MARKS = re.compile(r"[*_`]+(?=\S)|(?<=\S)[*_`]+|!?\[([^]]*)\]\([^)]*\)")
_KINDS = ("markdown", "code", "raw")
_SAVE = "Save it again in Jupyter, in the current format."


@dataclass(frozen=True, slots=True)
class NotebookCell:
    """A cell as it is in the file; ``attachments`` are the pictures of a Markdown cell: base64 by MIME type by name."""

    kind: Literal["markdown", "code", "raw"]
    text: str
    tags: frozenset[str] = frozenset()
    id: str = ""
    attachments: tuple[tuple[str, dict[str, str]], ...] = ()


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook's cells, and the language that they are written in."""

    cells: tuple[NotebookCell, ...]
    language: str = "python"

    @property
    def title(self) -> str:
        """The first heading of the first level, without its marks; empty if there is none."""
        for cell in self.cells:
            if cell.kind == "markdown" and (found := _HEADING.search(cell.text)):
                return words(found[1])
        return ""


def words(heading: str) -> str:
    """Return the text of a heading without the marks of Markdown.

    Examples
    --------
    >>> words("Orders of *EWR*"), words("[Flights](https://example.com)")
    ('Orders of EWR', 'Flights')
    """
    return _MARKS.sub(lambda mark: mark[1] or "", heading).strip()


def read(content: bytes) -> Notebook:
    """Read a notebook's file.

    Raises
    ------
    InvalidArgument
        If it is none, or none in Python.
    """
    try:
        plain = json.loads(content)
    except ValueError as error:  # of JSON, or of UTF-8
        raise InvalidArgument(f"it is no notebook: {error}", hint=_SAVE) from None
    if not isinstance(plain, dict) or not isinstance(plain.get("cells"), list):
        raise InvalidArgument("it is no notebook: it has no list of cells", hint=_SAVE)
    if plain.get("nbformat") != _FORMAT:
        raise InvalidArgument(f"it is a notebook of format {plain.get('nbformat')!r}, not {_FORMAT}", hint=_SAVE)
    metadata = plain["metadata"] if isinstance(plain.get("metadata"), dict) else {}
    spec = metadata["kernelspec"] if isinstance(metadata.get("kernelspec"), dict) else {}
    language = str(spec.get("language") or "python").lower()
    if language != "python":
        raise InvalidArgument(f"it is written in {language}", hint="A report's notebook is in Python.")
    return Notebook(tuple(_cell(number, cell) for number, cell in enumerate(plain["cells"], start=1)), language)


def defaults(notebook: Notebook) -> dict[str, Value]:
    """Return the parameters of a notebook and their defaults: the assignments in the cell that is tagged ``parameters``.

    Raises
    ------
    InvalidArgument
        If one of them is not the simple assignment of a literal.
    """
    found: dict[str, Value] = {}
    for cell in notebook.cells:
        if cell.kind == "code" and PARAMETERS in cell.tags:
            try:
                tree = ast.parse(cell.text)
            except SyntaxError as error:
                raise InvalidArgument(
                    f"the cell of the parameters is no Python: {error.msg} (line {error.lineno})",
                    hint="It has assignments alone: day = '2013-02-09'.",
                ) from None
            found.update(_assigned(tree))
    return found


def embedded(cell: NotebookCell) -> str:
    """Return the text of a Markdown cell, with the pictures that are attached to it in its place."""
    text = cell.text
    for name, kinds in cell.attachments:
        for kind, content in kinds.items():
            text = text.replace(f"attachment:{name}", f"data:{kind};base64,{content}")
    return text


def assignments(values: Mapping[str, Value]) -> str:
    """Return the code that assigns values to parameters, which shadows no name of the notebook.

    Examples
    --------
    >>> import datetime as dt
    >>> print(assignments({"day": dt.date(2013, 2, 9), "worst": 5}))
    day = __import__('datetime').date(2013, 2, 9)
    worst = 5
    """
    return "\n".join(f"{name} = {_code(value)}" for name, value in values.items())


def _cell(number: int, plain: Any) -> NotebookCell:  # noqa: ANN401 - what a file has
    """Return a cell of the file."""
    kind = plain.get("cell_type") if isinstance(plain, dict) else None
    if kind not in _KINDS:
        raise InvalidArgument(f"it is no notebook: cell {number} is of the kind {kind!r}", hint=_SAVE)
    text = plain.get("source", "")
    if isinstance(text, list):
        text = "".join(map(str, text))
    if not isinstance(text, str):
        raise InvalidArgument(f"it is no notebook: cell {number} has no text", hint=_SAVE)
    metadata = plain["metadata"] if isinstance(plain.get("metadata"), dict) else {}
    tags = metadata["tags"] if isinstance(metadata.get("tags"), list) else []
    attached = plain["attachments"] if isinstance(plain.get("attachments"), dict) else {}
    return NotebookCell(
        kind, text, frozenset(map(str, tags)), str(plain.get("id") or f"cell-{number}"), tuple(attached.items())
    )


def _assigned(tree: ast.Module) -> Iterator[tuple[str, Value]]:
    """Yield the names and values that a cell assigns."""
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, _value(name, value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, _value(name, value)
            case ast.Import() | ast.ImportFrom() | ast.Pass() | ast.Expr(value=ast.Constant()):
                continue
            case _:
                raise _no_literal(ast.unparse(statement))


def _value(name: str, node: ast.expr) -> Value:
    """Return the value of a literal, of a date, a datetime or a Decimal."""
    try:
        if isinstance(node, ast.Call):
            return _called(node)
        value: Any = ast.literal_eval(node)
    except (ValueError, TypeError, InvalidOperation):
        raise _no_literal(f"{name} = {ast.unparse(node)}") from None
    parts: Any = list(value) if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(part, (str, int, float, bool, type(None))) for part in parts):
        raise _no_literal(f"{name} = {ast.unparse(node)}")
    return parts if isinstance(value, (list, tuple)) else value  # type: ignore[no-any-return]


def _called(node: ast.Call) -> Value:
    """Return the value of a call of ``date``, ``datetime`` or ``Decimal`` on literals."""
    makers: dict[str, Any] = {
        "date": dt.date,
        "datetime": dt.datetime,
        "Decimal": Decimal,
        "date.fromisoformat": dt.date.fromisoformat,
        "datetime.fromisoformat": dt.datetime.fromisoformat,
    }
    called = ast.unparse(node.func)
    found = next(
        (makers[name] for name in sorted(makers, key=len, reverse=True) if f".{called}".endswith(f".{name}")), None
    )
    if found is None or node.keywords:
        raise ValueError(called)
    value: Value = found(*map(ast.literal_eval, node.args))
    return value


def _no_literal(code: str) -> InvalidArgument:
    line = code.splitlines()[0]
    return InvalidArgument(
        f"the cell of the parameters assigns what no parameter can be: {line}",
        hint="Assign text, a number, a bool, None, a date or a list there, and compute in the next cell.",
    )


def _code(value: Any) -> str:  # noqa: ANN401, PLR0911 - a value of a parameter, one return a type
    """Return the code of a value."""
    match value:
        case list():
            return f"[{', '.join(map(_code, value))}]"
        case float() if value != value or abs(value) == float("inf"):  # noqa: PLR0124 - not a number
            return f"float({str(value)!r})"
        case dt.datetime():
            zone = getattr(value.tzinfo, "key", None)
            if zone is None:
                return f"__import__('datetime').datetime.fromisoformat({value.isoformat()!r})"
            plain = value.replace(tzinfo=None, fold=0).isoformat()
            fold = f", fold={value.fold}" if value.fold else ""
            return (
                f"__import__('datetime').datetime.fromisoformat({plain!r})"
                f".replace(tzinfo=__import__('zoneinfo').ZoneInfo({zone!r}){fold})"
            )
        case dt.date():
            return f"__import__('datetime').date({value.year}, {value.month}, {value.day})"
        case Decimal():
            return f"__import__('decimal').Decimal({str(value)!r})"
    return repr(value)
