"""The magics in a shell of IPython: which log is asked, what is bound, what is kept, and how errors are shown."""

from __future__ import annotations

import datetime as dt
import textwrap
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import shells

import eventlab as el
from eventlab.errors import InvalidArgument, QueryError, StoreNotFound
from eventlab.jupyter import places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make a store with three events, in a folder whose name has a space."""
    path = tmp_path / "my shop"
    with el.open(path, create=True, timezone="Europe/Vienna") as log:
        for day, amount in ((1, "12.50"), (2, "7.25"), (3, "5.00")):
            event = el.Event("OrderPlaced", {"amount": Decimal(amount)}, occurred_at=f"2026-03-0{day} 12:00")
            log.append(f"order-{day}", event)
    return path


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """Return a shell with the extension loaded, and no store in the environment."""
    monkeypatch.delenv("EVENTLAB_STORE", raising=False)
    with shells.shell() as made:
        yield made
        for value in made.user_ns.values():
            if isinstance(value, el.EventLog):
                value.close()


@pytest.fixture
def asked(shell: InteractiveShell, store: Path) -> InteractiveShell:
    """Return a shell in which the store is open."""
    run(shell, f"%eventlab '{store}'")
    return shell


def run(shell: InteractiveShell, code: str) -> Any:
    """Run a cell and return its result."""
    ran = shell.run_cell(textwrap.dedent(code), silent=False, store_history=False)
    ran.raise_error()
    return ran.result


def failed(shell: InteractiveShell, capsys: pytest.CaptureFixture[str], code: str) -> tuple[BaseException | None, str]:
    """Run a cell that fails, and return its error and what was shown."""
    capsys.readouterr()
    ran = shell.run_cell(textwrap.dedent(code), store_history=False)
    captured = capsys.readouterr()
    assert not ran.success
    assert "Traceback" not in captured.out + captured.err
    assert "File" not in captured.out + captured.err
    return ran.error_in_exec, captured.out + captured.err


class TestEventlab:
    """``%eventlab``."""

    def test_opens_a_log_and_names_it(self, shell: InteractiveShell, store: Path) -> None:
        """The log is the result of the line, and the variable ``log``; of the same path it is the same."""
        log = run(shell, f'%eventlab "{store}"')
        assert shell.user_ns["log"] is log
        assert log.position == 3
        assert run(shell, f"%eventlab '{store}/../my shop'") is log
        assert run(shell, "%eventlab") is log

    def test_a_closed_log_is_opened_again(self, asked: InteractiveShell, store: Path) -> None:
        """Who closes it can go on."""
        first = asked.user_ns["log"]
        first.close()
        assert run(asked, f"%eventlab '{store}'").position == 3
        assert asked.user_ns["log"] is not first

    def test_takes_moments(self, shell: InteractiveShell, store: Path) -> None:
        """A time with a space in it, a position, a variable; ``log`` is the view then, and SQL sees it."""
        view = run(shell, f"%eventlab '{store}' --at 2026-03-02 12:00")
        assert shell.user_ns["log"] is view
        assert run(shell, "%events select count(*) as n from events")["n"].to_list() == [2]
        run(shell, "%eventlab --known-at 1")
        assert run(shell, "%events select count(*) as n from events")["n"].to_list() == [1]
        shell.user_ns["then"] = dt.date(2026, 3, 3)
        run(shell, "%eventlab --at $then")
        assert run(shell, "%events select count(*) as n from events")["n"].to_list() == [2]
        assert run(shell, "%eventlab").position == 3

    def test_a_path_can_be_a_variable(self, shell: InteractiveShell, store: Path) -> None:
        """Text or a path, with spaces and all."""
        shell.user_ns["where"] = store
        assert run(shell, "%eventlab $where").path == store

    def test_without_a_path_it_is_the_labs_store(
        self, shell: InteractiveShell, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """``eventlab lab`` hands it on in the environment."""
        monkeypatch.setenv("EVENTLAB_STORE", str(store))
        assert run(shell, "%eventlab").path == store

    @pytest.mark.parametrize(
        ("line", "kind", "told"),
        [
            ("", InvalidArgument, "no log is open"),
            ("/no/such/store", StoreNotFound, "/no/such/store"),
            ("a b", InvalidArgument, "unrecognized arguments: b"),
            ("'a", InvalidArgument, "no closing quotation"),
            ("a --at", InvalidArgument, "expected at least one argument"),
            ("$nowhere", QueryError, "there is no variable 'nowhere'"),
        ],
    )
    def test_errors_are_two_lines(
        self, shell: InteractiveShell, capsys: pytest.CaptureFixture[str], line: str, kind: type, told: str
    ) -> None:
        """What is wrong and the way out, and no traceback; the kernel lives."""
        error, shown = failed(shell, capsys, f"%eventlab {line}")
        assert isinstance(error, kind)
        assert told in shown
        assert len(shown.strip().splitlines()) == 2
        assert run(shell, "1 + 1") == 2


class TestEvents:
    """``%%events``."""

    def test_a_cell_and_a_line_return_a_frame(self, asked: InteractiveShell) -> None:
        """Of Polars, with times in the log's zone."""
        frame = run(
            asked,
            """\
            %%events
            -- how much a day
            select occurred_at, amount
            from order_placed order by position;
            """,
        )
        assert isinstance(frame, pl.DataFrame)
        assert frame.schema["occurred_at"] == pl.Datetime("us", "Europe/Vienna")
        assert frame["amount"].to_list() == [Decimal("12.50"), Decimal("7.25"), Decimal("5.00")]
        assert run(asked, "%events from streams").height == 3
        assert run(asked, "x = %events from streams\nx.height") == 3

    def test_a_result_can_be_kept(self, asked: InteractiveShell) -> None:
        """As a variable, and it is not shown; in a cell the query may begin beside the name."""
        assert run(asked, "%%events top <<\nfrom streams") is None
        assert asked.user_ns["top"].height == 3
        assert run(asked, "%events one << from streams limit 1") is None
        assert asked.user_ns["one"].height == 1
        assert run(asked, "%%events two <<from streams\nlimit 2") is None
        assert asked.user_ns["two"].height == 2
        assert run(asked, "%events select 1 << 2 as n")["n"].to_list() == [4]

    def test_parameters_are_bound(self, asked: InteractiveShell) -> None:
        """A value that is SQL is a value; what is not named is not looked at."""
        asked.user_ns.update(evil="x' or true --", least=Decimal(7), Other=1)
        assert run(asked, "%events from events where stream_id = $evil").is_empty()
        assert run(asked, "%%events\nfrom order_placed where amount >= $least").height == 2
        assert run(asked, "%events select '$least' as a, $Other as b -- $evil").rows() == [("$least", 1)]

    @pytest.mark.parametrize(
        ("value", "condition"),
        [
            (np.int64(2), "position <= $value"),
            (np.float64(2.5), "position <= $value"),
            ("2026-03-02 12:00", "occurred_at <= $value::timestamptz"),
            (dt.datetime(2026, 3, 2, 12), "occurred_at <= $value"),  # noqa: DTZ001 - read in the log's zone
            (dt.datetime(2026, 3, 2, 11, tzinfo=dt.UTC), "occurred_at <= $value"),
            (["order-1", "order-2"], "stream_id in $value"),
            ({"order-1", "order-2"}, "stream_id in $value"),
            (("order-1", "order-2"), "stream_id in $value"),
            (pl.Series(["order-1", "order-2"]), "stream_id in $value"),
            (np.array([1, 2]), "position in $value"),
            (range(1, 3), "position in $value"),
            (Path("order-1"), "stream_id <> $value"),
            (None, "$value is null and position < 3"),
        ],
    )
    def test_values_of_many_kinds(self, asked: InteractiveShell, value: object, condition: str) -> None:
        """Each of them chooses two of the three events."""
        asked.user_ns["value"] = value
        assert run(asked, f"%events from events where {condition}").height == 2

    def test_the_variable_log_is_asked(self, shell: InteractiveShell, store: Path) -> None:
        """Without ``%eventlab`` too, and a view as well as a log."""
        with el.open(store) as log:
            shell.user_ns["log"] = log.at(2)
            assert run(shell, "%events from events").height == 2
            shell.user_ns["log"] = log
            assert run(shell, "%events from events").height == 3

    def test_python_in_braces_and_dollars_is_left_alone(self, asked: InteractiveShell) -> None:
        """IPython would paste variables into the line."""
        asked.user_ns["a"] = "1; drop table events"
        assert run(asked, "%events select {'a': 1} as s, $a as t").rows() == [({"a": 1}, "1; drop table events")]

    def test_without_a_log_it_says_how_to_open_one(
        self, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """And with a query that is empty, what one is."""
        assert "no log is open" in failed(shell, capsys, "%events from events")[1]
        assert "there is no query" in failed(shell, capsys, "%events")[1]
        assert "a word of Python" in failed(shell, capsys, "%events class << from events")[1]

    def test_unloading_takes_the_magics_away(self, shell: InteractiveShell) -> None:
        """And loading again brings them back."""
        shell.run_line_magic("unload_ext", "eventlab")
        assert shell.find_cell_magic("events") is None
        shell.run_line_magic("load_ext", "eventlab")
        assert shell.find_cell_magic("events") is not None


@pytest.mark.parametrize(
    ("query", "line", "under", "told"),
    [
        ("select *\nfrom evnts", 2, "evnts", "Did you mean 'events'?"),
        ("-- amont\nselect 'amont', amont from order_placed", 2, "amont", "Did you mean 'amount'?"),
        ("select OrderPlaced.amont from events", 1, "amont", "Did you mean 'amount'?"),
        ("select 1 frm x y", 1, "x", 'syntax error at or near "x"'),
        ("select 1,\n\t2 fro m x", 2, "m", "syntax error"),
        ("select nofn(1)", 1, "nofn", "nofn does not exist"),
        ("select $lesat", 1, "lesat", "Did you mean $least?"),
        ("select '日本', 'abc'::int from events", 1, "::int", "Could not convert string 'abc'"),
        (
            f"select {', '.join(f'{n} as a{n}' for n in range(60))}, 'é', 'abc'::int, {'1, ' * 60} 1",
            1,
            "::int",
            "'abc'",
        ),
        ("select 'it''s', \"amount\", x.amount from order_placed o", 1, "x", 'Referenced table "x" not found'),
    ],
)
def test_errors_point_at_their_place(
    asked: InteractiveShell, capsys: pytest.CaptureFixture[str], query: str, line: int, under: str, told: str
) -> None:
    """The line of the query, carets under what is wrong, and what it may have been."""
    asked.user_ns["least"] = 1
    error, shown = failed(asked, capsys, f"%%events\n{query}")
    assert isinstance(error, QueryError)
    place = places.place(error, query) or pytest.fail("no place")
    text = query.splitlines()[line - 1]
    assert (place.line, text[place.column : place.column + place.length]) == (line, under)
    assert told in shown
    first, carets = next((a, b) for a, b in zip(shown.splitlines(), shown.splitlines()[1:], strict=False) if "^" in b)
    assert first.startswith(f"{line:>4} │ ")
    assert carets.count("^") == len(under)
    if first.isascii():
        assert first[carets.index("^") :].startswith(under)
    assert len(first) < 130


def test_an_error_without_a_place_is_told_without_one(
    asked: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is written is refused, and there is nothing to point at."""
    _, shown = failed(asked, capsys, "%%events\ndrop table events")
    assert "^" not in shown
    assert "one statement that reads" in shown


def test_names_in_errors_move_no_cursor(asked: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    """A control character in a query is shown as what it is."""
    _, shown = failed(asked, capsys, '%%events\nselect "a\x1b[31m" from events')
    assert "\x1b" not in shown
