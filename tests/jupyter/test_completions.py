"""Completion of SQL in cells, lines and the text of ``log.sql``: what is offered where."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
import shells
from IPython.core.completer import ProvisionalCompleterWarning

import eventlab as el

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    """Return a shell with a log that has three types and a state."""
    with (
        shells.shell() as made,
        el.open(tmp_path_factory.mktemp("data") / "shop", create=True) as log,
    ):
        log.append("order-1", el.Event("OrderPlaced", {"customer": "ann", "amount": 5, "a b": 1}))
        log.append("order-1", el.Event("OrderPaid", {"amount": 5}))
        log.append("order-1", el.Event("it's odd", {"x": 1}))
        log.define_state(
            "orders", "select stream_id as order_id, sum(OrderPlaced.amount) as total from events group by 1"
        )
        made.user_ns.update(log=log, view=log.at(2), least=3)
        yield made


def offered(shell: InteractiveShell, code: str) -> tuple[list[str], str]:
    """Return what is offered at the ``|`` of a cell, and what it would replace."""
    offset = code.index("|")
    text = code.replace("|", "", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ProvisionalCompleterWarning)
        found = list(shell.Completer.completions(text, offset))
    return [one.text for one in found], text[found[0].start : offset] if found else ""


@pytest.mark.parametrize(
    ("code", "first", "part"),
    [
        ("%%events\nselect * from or|", ["orders", "order_paid", "order_placed", "orders_at("], "or"),
        ("%%events x <<\nselect 1\nfrom events join str|\nwhere 1", ["streams"], "str"),
        ("%%events\nselect cu| from order_placed", ["customer"], "cu"),
        ("%%events\nselect p.am| from order_placed p", ["amount"], "am"),
        ("%%events\nselect p.a| from order_placed as p", ["actor", "amount", '"a b"'], "a"),
        ("%%events\nselect OrderPlaced.| from events", ["customer", "amount", '"a b"'], ""),
        ("%%events\nselect OrderP|", ["OrderPlaced", "OrderPaid"], "OrderP"),
        ("%%events\nselect orders.| from orders", ["order_id", "total"], ""),
        ("%%events\nselect o.tot| from orders_at('2026-01-01') o", ["total"], "tot"),
        ("%%events\nfrom events where event_type = 'OrderP|", ["OrderPlaced", "OrderPaid"], "OrderP"),
        ("%%events\nfrom events where event_type in ('OrderPaid', '|')", ["OrderPlaced", "OrderPaid", "it''s odd"], ""),
        ("%%events\nfrom events where position > $le|", ["least"], "le"),
        ("%%events\nsel|", ["SELECT"], "sel"),
        ("%events from order_pl|", ["order_placed"], "order_pl"),
        ("x = %events from order_pl|", ["order_placed"], "order_pl"),
        ('log.sql("from order_pl|")', ["order_placed"], "order_pl"),
        ('view.sql("""\nselect cust|\nfrom order_placed\n""")', ["customer"], "cust"),
        ("x = 1\ny = log.sql('from order_pl|')", ["order_placed"], "order_pl"),
    ],
)
def test_what_is_offered(shell: InteractiveShell, code: str, first: list[str], part: str) -> None:
    """The nearest first, and nothing of Python among it."""
    found, replaced = offered(shell, code)
    assert found[: len(first)] == first
    assert replaced == part
    assert "print" not in found


@pytest.mark.parametrize(
    "code",
    [
        "%%events\nfrom events where stream_id = 'or|'",
        "%%events\nselect 1 from events -- from 'or|",
        "%%events\nselect nothing.| from events",
        'other.sql("from or|")',
        'log.sql("from events", "or|")',
    ],
)
def test_what_is_not_offered(shell: InteractiveShell, code: str) -> None:
    """In a text, in a comment, after a name that is unknown, in what is no query."""
    found, _ = offered(shell, code)
    assert not {"orders", "order_placed", "stream_id"} & set(found)


def test_python_is_completed_as_before(shell: InteractiveShell) -> None:
    """Outside of queries nothing is in the way."""
    assert "import_module" in offered(shell, "import importlib\nimportlib.import_m|")[0]


def test_a_log_that_is_closed_offers_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And breaks nothing."""
    with shells.shell() as made:
        assert "events" not in offered(made, "%%events\nselect * from eve|")[0]
        with el.open(tmp_path, create=True) as log:
            made.user_ns["log"] = log
        assert "events" not in offered(made, "%%events\nselect * from eve|")[0]
    assert "Traceback" not in capsys.readouterr().err
