"""What a report shows, as data: charts, tables, figures and the rest, the same in a kernel and in a function, and each time."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import warnings
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import eventlab as el
from eventlab import moments
from eventlab.errors import QueryError
from eventlab.reports import figures
from eventlab.reports.execution import kernels
from eventlab.reports.execution.outputs import TABLE, VEGALITE, WIDGET, bundle, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

ZONE = moments.zone("America/New_York")
ROWS = [{"at": dt.datetime(2013, 2, 9, 12, tzinfo=dt.UTC), "n": 1}, {"at": None, "n": 2}]
TOLD = {
    "columns": [
        {"name": "at", "type": "time (America/New_York)", "numeric": False},
        {"name": "n", "type": "int64", "numeric": True},
    ],
    "rows": [["2013-02-09 07:00:00", "1"], [None, "2"]],
    "total": 2,
}


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """Yield a shell that is prepared as that of a report's kernel is."""
    monkeypatch.setattr(figures, "_of_kernel", [])
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    made = InteractiveShell(config=config)
    try:
        kernels.prepare(made, ZONE)
        yield made
    finally:
        made.restore_sys_module_state()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[el.EventLog]:
    """Yield a log of a few sales."""
    with el.open(tmp_path_factory.mktemp("log") / "store", create=True, timezone="America/New_York") as made:
        for day in range(1, 13):
            made.append("till-1", el.Event("Sale", {"price": day}, occurred_at=f"2026-01-{day:02}"))
        yield made


def chart() -> alt.Chart:
    """Return a chart, in which Altair has names to make."""
    zoom = alt.selection_interval()
    return alt.Chart(pl.DataFrame(ROWS)).mark_bar().encode(x="at:T", y="n:Q").add_params(zoom)


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame(ROWS),
        pl.LazyFrame(ROWS),
        pl.DataFrame(ROWS).to_arrow(),
        pd.DataFrame(ROWS).assign(at=lambda frame: pd.to_datetime(frame["at"])),
    ],
    ids=lambda frame: f"{type(frame).__module__.partition('.')[0]} {type(frame).__name__}",
)
def test_tables_are_text_in_the_zone_of_the_log(frame: Any) -> None:
    """Of each library the same columns and cells, with no markup."""
    data, metadata = bundle(frame, ZONE) or ({}, {})
    assert data[TABLE] == TOLD
    assert data["text/plain"].splitlines()[0].split() == ["at", "n"]
    assert set(data) == {TABLE, "text/plain"}
    assert metadata == {}


def test_answers_are_tables_of_which_the_first_rows_are_shown(log: el.EventLog) -> None:
    """A relation and a Result, in the order of the query; the rest is counted."""
    relation = log.sql("select range as n from range(1000) order by n desc")
    data, _ = bundle(relation, ZONE) or ({}, {})
    assert (len(data[TABLE]["rows"]), data[TABLE]["total"]) == (200, 1000)
    assert data[TABLE]["rows"][:2] == [["999"], ["998"]]
    assert data["text/plain"].splitlines()[-1] == "… 990 more rows"
    state = log.define_state("tills", "select stream_id, count(*) as sales from events group by stream_id")
    data, _ = bundle(state.now(), ZONE) or ({}, {})
    assert data[TABLE]["rows"] == [["till-1", "12"]]


def test_a_query_that_fails_is_an_error_of_its_cell(log: el.EventLog, shell: InteractiveShell) -> None:
    """Although a relation is computed only when it is shown."""
    shell.user_ns["log"] = log
    result = shell.run_cell("log.sql('select cast(stream_id as int) from events')")
    assert isinstance(result.error_in_exec, QueryError)


def test_the_index_of_pandas_is_a_column() -> None:
    """Unless it only counts."""
    frame = pd.DataFrame({"n": [1]}, index=pd.Index(["a"], name="name"))
    data, _ = bundle(frame, None) or ({}, {})
    assert data[TABLE]["rows"] == [["a", "1"]]
    data, _ = bundle(frame["n"], None) or ({}, {})
    assert [column["name"] for column in data[TABLE]["columns"]] == ["name", "n"]


def test_charts_are_specifications_that_are_the_same_each_time() -> None:
    """With their rows and without names that are made anew, without a theme, with no still picture."""
    first, second = (bundle(chart(), ZONE) or ({}, {}) for _ in range(2))
    assert first == second
    data, _ = first
    assert set(data) == {VEGALITE, "text/plain"}
    assert data["text/plain"] == "<a chart of 2 rows>"
    spec = data[VEGALITE]
    assert spec["datasets"]["rows_0"][1] == {"at": None, "n": 2}
    assert spec["data"] == {"name": "rows_0"}
    assert spec["params"][0]["name"] == "param_at_0"
    assert spec["config"] == {}
    assert not {"$schema", "usermeta"} & set(spec)
    assert json.loads(json.dumps(spec)) == spec


def test_a_chart_is_the_same_with_the_extension_and_without() -> None:
    """The extension sets eventlab's theme, a page has its own; what a chart says itself stays."""
    from eventlab.jupyter import renderers  # noqa: PLC0415 - registers itself with Altair

    said = chart().configure_axis(grid=False)
    before = bundle(said, ZONE), bundle(chart(), ZONE)
    renderers.enable()
    try:
        after = bundle(said, ZONE), bundle(chart(), ZONE)
    finally:
        renderers.disable()
    assert before == after
    assert (before[0] or ({}, {}))[0][VEGALITE]["config"] == {"axis": {"grid": False}}
    with alt.theme.enable("opaque"):
        themed, _ = bundle(chart(), ZONE) or ({}, {})
    assert themed[VEGALITE]["config"]["background"] == "white", "a theme that a person has chosen stays"


def test_what_is_live_has_a_static_form(log: el.EventLog) -> None:
    """The picture as it is, and nothing of the clock."""
    machine = el.TimeMachine(log, lambda view: view.sql("select count(*) as n from events"), at="2026-01-03")
    data, _ = bundle(machine, ZONE) or ({}, {})
    assert data[TABLE]["rows"] == [["3"]]
    live = log.live(lambda log: log.position)
    live.stop()
    assert bundle(live, ZONE) == ({"text/plain": "12"}, {})


def test_the_formatter_shows_charts_and_tables_as_data(shell: InteractiveShell) -> None:
    """Also in IPython's ``display``, as both ask it; numbers and text stay IPython's."""
    show = shell.display_formatter.format
    assert show(pl.DataFrame(ROWS))[0][TABLE] == TOLD
    assert show(chart()) == bundle(chart(), ZONE)
    assert show(1000) == ({"text/plain": "1000"}, {})
    assert show("a\nb")[0] == {"text/plain": "'a\\nb'"}


def test_what_is_shown_has_no_addresses_and_no_widgets(shell: InteractiveShell) -> None:
    """They differ from one run to the next."""

    class Widget:
        def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
            return {WIDGET: {"model_id": "1"}, "text/plain": "a slider"}

    show = shell.display_formatter.format
    assert show(Widget())[0] == {"text/plain": "a slider"}
    assert show(object())[0] == {"text/plain": "<object at 0x…>"}
    assert shown(object(), None)[0] == {"text/plain": "<object object at 0x…>"}


def test_figures_are_noted_and_shown(shell: InteractiveShell) -> None:
    """In a kernel, each by its own type."""
    made = el.figure("cancelled", 472)
    assert figures._of_kernel == [[made]]
    data, _ = shell.display_formatter.format(made)
    assert data == {figures.MIME: made.plain(), "text/plain": "Cancelled: 472"}


def test_code_is_named_by_the_number_of_its_cell(shell: InteractiveShell) -> None:
    """A warning does not tell the process, and an error shows the line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        shell.run_cell("1", store_history=True)
        shell.run_cell("import warnings\nwarnings.warn('careful')", store_history=True)
    assert [(str(one.message), one.filename, one.lineno) for one in caught] == [("careful", "cell 2", 2)]
    assert shell.compile.format_code_name("cell 2") == ("Cell", "In[2]")


@pytest.mark.parametrize("text", ["exit()", "quit()", "import sys; sys.exit(0)"])
def test_to_exit_is_an_error(shell: InteractiveShell, text: str) -> None:
    """A report that leaves before its end is not whole."""
    assert isinstance(shell.run_cell(text).error_in_exec, SystemExit)


def test_any_value_of_a_function_is_shown() -> None:
    """Numbers as a person reads them, the rest by what it says of itself."""

    class Own:
        def _repr_html_(self) -> str:
            return "<b>x</b>"

        def _repr_png_(self) -> bytes:
            return b"abc"

        def __repr__(self) -> str:
            return "own"

    assert shown(12345.678, None) == ({"text/plain": "12,345.68"}, {})
    assert shown(Decimal("1234.50"), None)[0] == {"text/plain": "1,234.50"}
    assert shown(dt.date(2013, 2, 9), None)[0] == {"text/plain": "2013-02-09"}
    assert shown(Own(), None)[0] == {"text/plain": "own", "text/html": "<b>x</b>", "image/png": "YWJj"}
    assert shown(pa.table({"a": [1]}), None)[0][TABLE]["rows"] == [["1"]]
    assert shown(el.Event("Sale"), None)[0].keys() == {"text/plain"}


def test_a_kernel_loads_no_more_than_it_needs() -> None:
    """Before a report shows anything, neither Polars nor Altair, nor what only the report's maker needs."""
    heavy = "['polars', 'altair', 'vl_convert', 'pandas', 'sqlglot', 'nbclient', 'nbformat', 'jinja2']"
    code = f"import sys, eventlab.reports.execution.kernels; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
