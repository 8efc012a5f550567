"""The golden test: one basis gives one page, byte for byte but for the run, whatever has happened to the log meanwhile."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import nbformat

import eventlab as el
from eventlab.cli import main

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

CELLS = (
    ("# Orders\nWhat was ordered.", None),
    ("day = '2026-01-01'", "parameters"),
    ("import altair as alt\nimport eventlab as el\nel.figure('orders', log.position, label='Orders')", None),
    (
        "log.sql('select event_type, count(*) as n, avg(amount) as mean from order_placed group by all order by all').pl()",
        None,
    ),
    ("log.define_state if hasattr(log, 'define_state') else 'a view defines nothing'", None),
    ("rows = log.sql('select amount from order_placed order by position').pl()", None),
    ("alt.Chart(rows).mark_bar().encode(x='amount:Q', y='count()').add_params(alt.selection_interval())", None),
    ("print(day, sorted({'b', 'a'}), log)", None),
    ("log.trend('count(*)', every='1d').chart()", None),
    ("{f'name {n}' for n in range(9)}", None),
)
RAN = re.compile(r'^.*id="eventlab-ran".*$', re.MULTILINE)


def notebook(cells: Sequence[tuple[str, str | None]], place: Path) -> Path:
    """Write a notebook: Markdown first, then code, with a tag each or none."""
    made = [
        nbformat.v4.new_markdown_cell(text, id="head")
        if number == 0
        else nbformat.v4.new_code_cell(text, id=f"cell-{number}", metadata={"tags": [tag]} if tag else {})
        for number, (text, tag) in enumerate(cells)
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=made), place)
    return place


def test_the_same_basis_gives_the_same_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In two processes, after more appends, a seal and a compaction; and the shell verifies it."""
    place = notebook(CELLS, tmp_path / "orders.ipynb")
    store = tmp_path / "shop"
    with el.open(store, create=True) as log:
        for number in range(50):
            log.append(f"order-{number}", el.Event("OrderPlaced", {"amount": number / 7}))
    arguments = ["report", "run", str(place), "--store", str(store), "--param", "day=2026-02-03", "--json"]
    assert main([*arguments, "--out", str(tmp_path / "first.html")]) == 0
    basis = json.loads(capsys.readouterr().out)["basis"]
    with el.open(store) as log:
        log.append("order-1", [el.Event("OrderPlaced", {"amount": 1.5}), el.Event("OrderPaid", {})])
        log.seal()
        log.append("order-2", el.Event("OrderPlaced", {"amount": 2.5, "note": "new"}))
        log.seal()
        log.compact(vacuum=True)
    again = [sys.executable, "-m", "eventlab", *arguments, "--at", basis, "--out", str(tmp_path / "second.html")]
    subprocess.run(again, check=True, capture_output=True)
    first, second = ((tmp_path / f"{name}.html").read_text() for name in ("first", "second"))
    assert len(RAN.findall(first)) == len(RAN.findall(second)) == 1
    assert RAN.sub("", first) == RAN.sub("", second)
    assert "2026-02-03" in first
    assert main(["report", "verify", str(tmp_path / "first.html")]) == 0
    assert capsys.readouterr().out.startswith("equal: 1 figure, and the whole page, from basis:")
