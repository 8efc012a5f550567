"""Performances: a notebook's cells, run one after the other in a kernel whose log is pinned."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab.reports import figures
from eventlab.reports.execution import notebooks, processes
from eventlab.reports.execution.executions import Cell, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from eventlab.reports.execution.executions import Pin
    from eventlab.reports.execution.notebooks import Notebook, NotebookCell
    from eventlab.reports.figures import Figure, Value

_BEGIN = "log = __import__('eventlab.reports.execution.kernels', fromlist=['begin']).begin({store!r}, {basis!r})"
_END = "__import__('eventlab.reports.execution.kernels', fromlist=['end']).end()"
_INJECTED = "injected-parameters"  # papermill's name for it
_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)")  # a line that a progress bar wrote over
_MESSAGE = 1_000  # characters of an error that are one line


@dataclass(frozen=True, slots=True)
class Performance:
    """What came of a notebook: as of ``executions.Execution``."""

    cells: list[Cell]
    figures: list[Figure]
    failure: Failure | None
    notebook: dict[str, Any]


@dataclass(slots=True)
class _Part:
    """A cell on its way: as it is in the notebook's file, its node with the outputs, and its number among the code cells."""

    cell: NotebookCell
    node: Any
    number: int | None = None
    injected: bool = False
    done: bool = False

    @property
    def left_out(self) -> bool:
        """Whether a report does not have it."""
        return self.cell.kind == "raw" or (self.cell.kind == "code" and notebooks.INTERACTIVE in self.cell.tags)


def perform(
    content: bytes, notebook: Notebook, values: Mapping[str, Value], pin: Pin, folder: Path, watch: processes.Watch
) -> Performance:
    """Run a notebook, and return what came of it.

    Parameters
    ----------
    content, notebook
        The notebook's file, and what it says.
    values
        Of parameters, other than their defaults.
    pin
        The moment of the log.
    folder
        Where it runs.
    watch
        What ends it early.

    Raises
    ------
    processes.Ended
        If it was cancelled.
    """
    raw = json.loads(content)
    parts = _parts(raw, notebook, values)
    found, failure = asyncio.run(_performed(parts, pin, folder, watch))
    for part in parts:
        part.node = _plain(part.node)
        if part.cell.kind == "code":
            part.node["outputs"] = _settled(part.node["outputs"])
    made = {**raw, "cells": [part.node for part in parts]}
    shown = [_shown(part) for part in parts if part.done and not part.left_out and part.cell.text.strip()]
    return Performance(shown, found, failure, made)


async def _performed(
    parts: list[_Part], pin: Pin, folder: Path, watch: processes.Watch
) -> tuple[list[Figure], Failure | None]:
    """Run the parts in a kernel, and return the figures that were declared and why it failed, if it did."""
    first, last = (_hidden(text) for text in (_BEGIN.format(store=str(pin.store.absolute()), basis=pin.basis), _END))
    current: _Part | None = None
    try:
        async with processes.kernel(folder, watch) as kernel:
            first, *nodes, last = kernel.take([first, *(part.node for part in parts), last])
            for part, node in zip(parts, nodes, strict=True):
                part.node = node
            await kernel.run(first, 0, counted=False)
            for index, part in enumerate(parts, start=1):
                current = part
                await _step(kernel, part, index)
            current = None
            await kernel.run(last, len(parts) + 1, counted=False)
    except processes.Late as late:
        failure = _failure("timeout", "it took longer than it may", late.traceback, current)
    except processes.Died as died:
        failure = _failure("dead", str(died), died.said, current)
    except processes.Raised as error:
        failure = _failure("error", f"{error.name}: {error.told}", error.traceback, current)
    else:
        return _declared([last]), None
    return _declared([part.node for part in parts]), failure


async def _step(kernel: processes.Kernel, part: _Part, index: int) -> None:
    """Run a part, or pass it; what is left out takes its number too, so that a cell has the one that its author sees."""
    part.done = True
    if part.cell.kind != "code" or not part.cell.text.strip():
        return
    if part.left_out:
        part.node.source = "pass"
    await kernel.run(part.node, index, counted=not part.injected)
    part.node.source = part.cell.text
    if part.left_out or part.injected:
        part.node.execution_count = None


def _parts(raw: dict[str, Any], notebook: Notebook, values: Mapping[str, Value]) -> list[_Part]:
    """Return the parts of a notebook, with a cell that assigns the given values to its parameters."""
    parts: list[_Part] = []
    number = after = 0
    for cell, node in zip(notebook.cells, raw["cells"], strict=True):
        made = {"metadata": {}, **node, "source": cell.text}
        if cell.kind == "code":
            made |= {"outputs": [], "execution_count": None}
            number += bool(cell.text.strip())
            parts.append(_Part(cell, made, number if cell.text.strip() else None))
            after = len(parts) if notebooks.PARAMETERS in cell.tags else after
        else:
            parts.append(_Part(cell, made))
    if values:
        cell = notebooks.NotebookCell("code", notebooks.assignments(values), frozenset({_INJECTED}))
        made = {**_hidden(cell.text), "metadata": {"tags": [_INJECTED]}}
        if any("id" in node for node in raw["cells"]):
            made["id"] = _INJECTED
        parts.insert(after, _Part(cell, made, injected=True))
    return parts


def _hidden(text: str) -> dict[str, Any]:
    """Return the node of a cell of code that is not the author's."""
    return {"cell_type": "code", "source": text, "metadata": {}, "outputs": [], "execution_count": None}


def _shown(part: _Part) -> Cell:
    """Return a part as a cell of the report."""
    if part.cell.kind == "markdown":
        return Cell("markdown", notebooks.embedded(part.cell))
    outputs = _once(part.node["outputs"])
    return Cell("code", part.cell.text, outputs, hidden=part.injected or bool(notebooks.HIDDEN & part.cell.tags))


def _once(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return outputs with each figure once: it shows itself, and again where it is the last expression of a cell."""
    seen: set[str] = set()
    kept: list[dict[str, Any]] = []
    for output in outputs:
        name = output.get("data", {}).get(figures.MIME, {}).get("name")
        if name is None or name not in seen:
            kept.append(output)
            seen |= {name} - {None}
    return kept


def _settled(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return outputs in an order that is the same each time, without colours of a terminal.

    Standard output and standard error come in pieces, by time; of those that follow each other, each is one.
    """
    settled: list[dict[str, Any]] = []
    texts: dict[str, str] = {}

    def spoken() -> list[dict[str, Any]]:
        said = {name: texts.pop(name) for name in ("stdout", "stderr") if name in texts}
        return [
            {"output_type": "stream", "name": name, "text": _OVERWRITTEN.sub("", _uncoloured(text))}
            for name, text in said.items()
        ]

    for output in outputs:
        if output["output_type"] == "stream":
            texts[output["name"]] = texts.get(output["name"], "") + output["text"]
            continue
        lines = {"traceback": [_uncoloured(line) for line in output["traceback"]]} if "traceback" in output else {}
        settled += [*spoken(), {**output, **lines}]
    return settled + spoken()


def _failure(kind: Any, message: str, traceback: str, part: _Part | None) -> Failure:  # noqa: ANN401 - as Failure has it
    """Return a failure with the cell in which it was; before the first of them there is none."""
    line = " ".join(_uncoloured(message).split()).rstrip(": ")
    return Failure(
        kind,
        line if len(line) <= _MESSAGE else f"{line[:_MESSAGE]}…",
        _uncoloured(traceback),
        part.number if part is not None else None,
        part.cell.text if part is not None else "",
    )


def _declared(nodes: list[Any]) -> list[Figure]:
    """Return the figures that cells show, each once."""
    outputs = [output for node in nodes for output in node.get("outputs", ())]
    return [
        figures.figure_of(output["data"][figures.MIME])
        for output in _once(outputs)
        if figures.MIME in output.get("data", {})
    ]


def _uncoloured(text: str) -> str:
    return _ANSI.sub("", text)


def _plain(node: Any) -> Any:  # noqa: ANN401 - of JSON
    """Return a node of nbformat as plain dicts and lists."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    return [_plain(part) for part in node] if isinstance(node, list) else node
