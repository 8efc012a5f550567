"""What objects tell of themselves in a notebook: bounded, escaped, in the log's zone, in HTML and in plain text."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.formatters import DisplayFormatter

import eventlab as el
from eventlab import queries
from eventlab.jupyter import reprs
from eventlab.jupyter.cards import Card, Table, to_html, to_text
from eventlab.session.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVIL = "\"><script>alert(1)</script>'&amp;"
TURNED = "\u202e evil"
STATE = "select stream_id as who, sum(Paid.amount) as total, max(occurred_at) as seen from events group by stream_id"


class Parts(HTMLParser):
    """The elements of a page, each with its attributes, and its text without style sheets."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser's
        """Note its end."""
        self._inside = ""

    def handle_data(self, data: str) -> None:
        """Note text."""
        if self._inside != "style":
            self.text += data


@dataclass(frozen=True, slots=True)
class Analysis(Result):
    """A result with a definition, as analyses have."""

    definition: str = ""
    basis: str = ""


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the plain texts a terminal of 120 columns, whatever the test runner has."""
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Make a log in Vienna whose names and values are markup."""
    path = tmp_path / "<b>shop<b>"
    with el.open(path, create=True, timezone="Europe/Vienna", clock=lambda: 1_772_323_200_123_456) as opened:
        opened.append(
            f"s{EVIL}",
            [
                el.Event("Paid", {"amount": Decimal("12.50"), EVIL: EVIL}, actor=EVIL, metadata={EVIL: EVIL}),
                el.Event(EVIL, {"note": f"two\nlines {EVIL}"}),
                el.Event("Paid", {"amount": Decimal("1234567.25")}, occurred_at="2026-03-01 13:00"),
            ],
        )
        opened.define_state("totals", STATE)
        yield opened


def everything(log: el.EventLog) -> list[Any]:
    """Return one object of each kind."""
    state = log.state("totals")
    return [
        log,
        log.at("2026-03-01 12:00", known_at=2),
        state,
        state.now(),
        state.diff(1, 3),
        state.history(f"s{EVIL}"),
        log.fold("sums", 0, lambda total, _: total + 1),
        log.append("x-1", el.Event("Paid", {"amount": 1})),
        log.ingest([{"a": EVIL}], event_type=f"'{EVIL.replace(chr(39), chr(39) * 2)}'", stream_id="a"),
        log.compact(),
        log.stream(f"s{EVIL}")[0],
        log.subscription(EVIL),
        log._store.registry()[EVIL],
        Analysis(log.sql("select 1 as n"), "select 1 as n", "funnel", definition=EVIL, basis=EVIL),
        el.recover(log.path),
    ]


def test_names_and_values_are_text(log: el.EventLog) -> None:
    """With markup in every field there is no element and no attribute but our own, and the texts are there."""
    own = {
        "div",
        "style",
        "span",
        "strong",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "i",
        "details",
        "summary",
        "pre",
    }
    for shown in everything(log):
        parts = Parts(shown._repr_html_())
        assert {tag for tag, _ in parts.tags} <= own, shown
        assert {name for _, attrs in parts.tags for name in attrs} <= {
            "class",
            "scope",
            "title",
            "tabindex",
            "role",
            "aria-label",
        }
    assert EVIL in Parts(log._repr_html_()).text
    assert EVIL in Parts(log.stream(f"s{EVIL}")[0]._repr_html_()).text


def test_nothing_is_fetched_and_the_colours_are_the_pages(log: el.EventLog) -> None:
    """The style is in the output, scoped, and takes its colours from JupyterLab's variables."""
    shown = log._repr_html_()
    style = re.search(r"<style>(.*?)</style>", shown, re.DOTALL)
    assert style is not None
    assert not re.search(r"url\(|@import|https?:", style[1])
    assert all(rule.strip().startswith(".eventlab-card") for rule in style[1].split("}")[:-1])
    for variable in ("--jp-content-font-color1", "--jp-border-color2", "--vscode-editor-foreground"):
        assert variable in style[1]


def test_plain_text_moves_no_cursor(log: el.EventLog) -> None:
    """Neither control characters nor those that turn the direction of text get through."""
    log.append("t-1", el.Event("Odd", {"a": f"\x1b[31mred{TURNED}\x07"}))
    for shown in [*everything(log), log.stream("t-1")[0]]:
        bundle = shown._repr_mimebundle_()
        assert set(bundle) == {"text/html", "text/plain"}
        for text in bundle.values():
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert r"\x1b[31mred\u202e evil\x07" in bundle["text/plain"]


def test_a_log_tells_its_types_and_states(log: el.EventLog) -> None:
    """How many events, since and until when, the states, and the last events."""
    text = log._repr_mimebundle_()["text/plain"]
    assert text.startswith(
        f"event log  {log.path}\nevents 3 · event types 2 · states totals · time zone Europe/Vienna\n"
    )
    assert re.search(r"Paid +paid +2  2026-03-01 01:00  2026-03-01 13:00", text)
    parts = Parts(log._repr_html_())
    assert "Last events" in parts.text
    assert "2026-03-01 13:00:00" in parts.text


def test_a_view_tells_its_moment_in_the_logs_zone(log: el.EventLog) -> None:
    """As of when, through which position, what it sees, and its basis."""
    view = log.at("2026-03-01T11:30:00Z", known_at=2)
    bundle = view._repr_mimebundle_()
    assert "as of 2026-03-01 12:30:00 CET · through position 2" in bundle["text/plain"]
    assert view.basis in Parts(bundle["text/html"]).text
    assert re.search(r"Paid +paid +1  ", bundle["text/plain"])
    assert "Last events" in bundle["text/html"]


def test_numbers_stand_on_the_right_and_times_in_the_logs_zone(log: el.EventLog) -> None:
    """In the table of a state: its total on the right, its last event by Vienna's clock."""
    state = log.state("totals")
    shown = state._repr_html_()
    assert '<th scope="col" class="el-n" title="total: decimal' in shown
    assert '<td class="el-n">1234579.75</td>' in html.unescape(shown)
    assert "2026-03-01 13:00:00" in shown
    assert "How it is answered" in shown
    text = to_text(Card("x", table=Table(["a", "n"], [["x", "1"], ["long", "100"]], [False, True])))
    assert text.splitlines()[2:5] == ["a       n", "x       1", "long  100"]


def test_a_repr_of_ten_million_rows_fetches_twenty(log: el.EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are counted, not fetched, and the output is small."""

    def fetch(_: Result) -> None:
        raise AssertionError("all rows were fetched")

    for name in ("pl", "arrow", "df", "fetchall"):
        monkeypatch.setattr(Result, name, fetch)
    text = "select range as n, 'x' || range as t from range(10_000_000)"
    bundle = Result(log.sql(text), text)._repr_mimebundle_()
    assert bundle["text/html"].count("<tr>") == 1 + reprs.ROWS
    assert "20 of 10,000,000 rows" in bundle["text/html"]
    assert "10 of 10,000,000 rows" in bundle["text/plain"]
    assert len(bundle["text/html"]) < 12_000


def test_rows_that_are_slow_to_come_are_not_counted(log: el.EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting would cost as much again."""
    monkeypatch.setattr(reprs, "_PATIENCE", 0)
    text = "select * from range(1000)"
    assert "the first 20 rows" in Result(log.sql(text), text)._repr_html_()


def test_wide_tables_and_long_values_are_cut(log: el.EventLog) -> None:
    """Of two hundred columns twenty-four are shown, of a long text its beginning."""
    columns = ", ".join(f"repeat('x', 100000) as c{number}" for number in range(200))
    result = Result(log.sql(f"select {columns}"), "select …")
    shown = result._repr_html_()
    assert "1 row, 24 of 200 columns" in shown
    assert len(shown) < 30_000
    lines = result._repr_mimebundle_()["text/plain"].splitlines()
    assert max(map(len, lines)) <= 120
    assert "of 200 columns" in lines[-1]


def test_a_very_large_log_is_not_counted_nor_folded(log: el.EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its types are listed without counts, a state shows its columns."""
    monkeypatch.setattr(reprs, "_COUNTED", 2)
    monkeypatch.setattr(reprs, "_FOLDED", 2)
    text = log._repr_mimebundle_()["text/plain"]
    assert re.search(r"Paid +paid +2 fields", text)
    state = log.state("totals")._repr_mimebundle_()["text/plain"]
    assert "Its .now() folds it." in state
    assert re.search(r"who +total +seen", state)


def test_what_is_closed_says_so(log: el.EventLog) -> None:
    """A log, a view and a state of it; a result of before still shows its rows."""
    view, state, result = log.at(2), log.state("totals"), log.state("totals").now()
    log.close()
    assert log._repr_mimebundle_()["text/plain"] == f"event log  {log.path}  [closed]"
    assert "is closed" in view._repr_html_()
    assert "is closed" in state._repr_html_()
    assert "1234579.75" in result._repr_html_()


def test_a_result_that_fails_says_why(log: el.EventLog) -> None:
    """No traceback in the notebook, and the SQL is there."""
    text = "select error('no such thing') as a"
    shown = Parts(Result(log.sql(text), text)._repr_html_()).text
    assert "It cannot be computed: Invalid Input Error: no such thing" in shown
    assert text in shown


def test_receipts_say_what_was_done(log: el.EventLog) -> None:
    """An append, its duplicate, and a load with a refused row."""
    event = el.Event("Paid", {"amount": 1}, event_id="e-1")
    first, again = (log.append("p-1", event)._repr_mimebundle_()["text/plain"] for _ in range(2))
    assert first == "appended  1 event\nposition 4 · stream version 1 · recorded 2026-03-01 01:00:00.123 CET"
    assert again.startswith("already recorded  1 event  [duplicate]\nNothing was written.")
    rows = [{"s": "a-1"}, {"s": "a-2"}, {"s": ""}]
    loaded = log.ingest(rows, event_type="'Seen'", stream_id="s", on_invalid="quarantine")
    text = loaded._repr_mimebundle_()["text/plain"]
    assert text.startswith("loaded  2 events\n")
    assert text.endswith("positions 5 to 6 · in quarantine 1")
    repeated = log.ingest(rows[:2], event_type="'Seen'", stream_id="s")
    assert "loaded  0 events\nin the log already 2" in repeated._repr_mimebundle_()["text/plain"]


def test_an_analysis_shows_its_definition_and_basis(log: el.EventLog) -> None:
    """They are attributes of whatever is a result."""
    result = Analysis(log.sql("select 1 as n"), "select 1 as n", "funnel", definition="Of ten, one.", basis="basis:x")
    text = Parts(result._repr_html_()).text
    assert "funnel" in text
    assert "Of ten, one." in text
    assert "basis:x" in text


def test_ipython_asks_once(log: el.EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTML and plain text are made of one look at the data."""
    asked = []
    made = reprs.card

    def card(shown: object) -> Card:
        asked.append(shown)
        return made(shown)

    monkeypatch.setattr(reprs, "card", card)
    data, _ = DisplayFormatter().format(log.state("totals").now())
    assert {"text/html", "text/plain"} <= set(data)
    assert len(asked) == 1


def test_a_relation_keeps_duckdbs_own_repr(log: el.EventLog) -> None:
    """What ``log.sql`` gives is DuckDB's."""
    assert isinstance(log.sql("from events"), queries.Relation)
    assert "│" in repr(log.sql("select 1 as n"))


def test_the_rows_can_be_scrolled_with_the_keyboard() -> None:
    """They take focus, have a role and a label; headings of columns say so."""
    parts = Parts(to_html(Card("x", table=Table(["a"], [["1"]], [True]))))
    assert ("div", {"class": "el-rows", "tabindex": "0", "role": "region", "aria-label": "rows"}) in parts.tags
    assert [attrs["scope"] for tag, attrs in parts.tags if tag == "th"] == ["col"]


def test_importing_eventlab_stays_light() -> None:
    """Neither IPython nor what draws is loaded before a notebook asks."""
    heavy = ("IPython", "altair", "pandas", "anywidget", "ipywidgets", "eventlab.jupyter", "sqlglot")
    code = f"import sys, eventlab; print([name for name in {heavy!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
