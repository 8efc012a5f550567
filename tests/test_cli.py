"""The shell, in this process and as a program of its own."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

import eventlab as el
from eventlab.cli import intakes, main, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[1]
STREAM = "o'1; drop table events -- ü"
TYPE = 'It\'s "sold"; [red]'

Shell = "Callable[..., Ran]"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output as JSON, decimals exact."""
        return json.loads(self.out, parse_float=Decimal)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run a command in this process."""

    def run(*arguments: object, stdin: str | bytes = b"") -> Ran:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def store(tmp_path: Path, shell: Shell) -> Path:
    """Make a store of three events in a folder whose name has all that a shell and SQL trip over."""
    path = tmp_path / 'it\'s a; "shop" [red] ü'
    assert shell("init", path).code == 0
    lines = [
        event("o-1", "OrderPlaced", {"customer": "c1", "amount": Decimal("12.50")}),
        event(STREAM, TYPE, {"note": "two\nlines, and [bold]no[/bold] \x1b[31mcolour"}, actor="me"),
        event("o-1", "OrderPlaced", {"customer": "c2", "amount": Decimal("1234567890123456.78")}),
    ]
    assert shell("append", path, stdin="\n".join(lines)).code == 0
    return path


def event(stream_id: str, event_type: str, payload: dict[str, Any] | None = None, **more: object) -> str:
    """Return a line of ``append``, its decimals written with all of their digits."""
    fields = {"stream_id": stream_id, "event_type": event_type, "payload": payload or {}, **more}
    text = json.dumps(fields, default=lambda number: f"<{number}>", ensure_ascii=False)
    return text.replace('"<', "").replace('>"', "")


def fault(ran: Ran, code: int = 1) -> tuple[str, str]:
    """Return the error and the hint of a command that failed as it should: two lines, nothing on standard output."""
    assert (ran.code, ran.out) == (code, "")
    lines = ran.err.splitlines()
    assert len(lines) <= 2
    assert lines[0].startswith("error: ")
    assert all(line.startswith("hint: ") for line in lines[1:])
    assert "defect" not in ran.err
    return lines[0].removeprefix("error: "), "".join(lines[1:]).removeprefix("hint: ")


class TestUsage:
    """The command line itself."""

    @pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
    def test_help(self, shell: Shell, arguments: tuple[str, ...]) -> None:
        """Without arguments, and with --help, the commands are listed."""
        ran = shell(*arguments)
        assert ran.code == 0
        assert "Usage: eventlab COMMAND" in ran.out
        for command in (
            "init",
            "ingest",
            "append",
            "sql",
            "state",
            "types",
            "tail",
            "info",
            "seal",
            "compact",
            "recover",
            "demo",
        ):
            assert f" {command} " in ran.out

    def test_version(self, shell: Shell) -> None:
        """--version names the program."""
        ran = shell("--version")
        assert (ran.code, ran.out.split()[0]) == (0, "eventlab")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["nonsense"], 'unknown command "nonsense"'),
            (["sl", "x", "y"], 'Did you mean "sql"'),
            (["sql", "x", "FROM events", "--jsn"], "Did you mean --json"),
            (["sql", "x", "--json"], "QUERY is missing"),
            (["sql", "x", "--jsn"], "unknown option --jsn, and no QUERY"),
            (["sql"], "DIR is missing"),
            (["sql", "", "FROM events"], "the store's path is empty"),
            (["sql", "x", "FROM events", "y"], "unexpected argument 'y'"),
            (["sql", "x", "FROM events", "--json", "--csv"], "--json and --csv exclude each other"),
            (["sql", "x", "FROM events", "--limit", "3", "--all"], "--limit and --all exclude each other"),
            (["sql", "x", "FROM events", "--limit", "0"], "0 is below 1"),
            (["sql", "x", "FROM events", "--at", "yesterday"], "--at: 'yesterday' is no time"),
            (["sql", "x", "FROM events", "--known-at", ""], "--known-at: '' is no time"),
            (["sql", "x", "FROM events", "--param", "s"], "--param 's' is not of the form name=value"),
            (["sql", "x", "FROM events", "--param", "s=1", "--param", "s=2"], "--param s is given twice"),
            (["init", "x", "--partition", "week"], '"week" for --partition'),
            (["init", "x", "--timezone", "Mars/Olympus"], "--timezone: no time zone 'Mars/Olympus'"),
            (["ingest", "x", "y.csv", "--event-type", "t"], "--stream-id is missing"),
            (["ingest", "x", "y", "--event-type", "t", "--stream-id", "s", "--on-invalid", "skip"], "--on-invalid"),
            (["tail", "x", "-n", "many"], '"many"'),
            (["tail", "x", "-n", "-1"], "-1 is below 0"),
            (["tail", "x", "-f", "--parquet", "y"], "--follow and --parquet exclude each other"),
            (["append", "x", "--jso"], "unknown option --jso, and no FILE"),
        ],
    )
    def test_misuse(self, shell: Shell, arguments: list[str], message: str) -> None:
        """A command line that means nothing ends with 2, an error, a hint, and before a store is opened."""
        error, hint = fault(shell(*arguments), 2)
        assert message in error
        assert hint

    @pytest.mark.parametrize(
        "arguments",
        [
            ["sql", "FROM events"],
            ["types"],
            ["tail"],
            ["info"],
            ["seal"],
            ["compact"],
            ["append"],
            ["recover"],
            ["ingest", "x.csv", "--event-type", "'t'", "--stream-id", "id"],
        ],
    )
    def test_no_store(self, shell: Shell, tmp_path: Path, arguments: list[str]) -> None:
        """A path without a store is named by every command, and nothing is made there."""
        command, *rest = arguments
        path = tmp_path / "no store; here"
        error, _ = fault(shell(command, path, *rest))
        assert str(path) in error
        assert not path.exists()

    def test_a_defect_is_no_traceback(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        """Even what nobody thought of is one line, unless the traceback is asked for."""

        def broken(*_: object, **__: object) -> None:
            message = "two\nlines"
            raise RuntimeError(message)

        monkeypatch.setattr(el, "open", broken)
        ran = shell("info", "x")
        assert (ran.code, ran.err.splitlines()[0]) == (1, "error: RuntimeError: two lines")
        monkeypatch.setenv("EVENTLAB_TRACEBACK", "1")
        with pytest.raises(RuntimeError):
            shell("info", "x")

    def test_interrupt_is_quiet(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ctrl-C ends a command with 130 and says nothing."""

        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(el, "open", interrupted)
        assert shell("info", "x") == Ran(130, "", "")


class TestInit:
    """Making a store."""

    def test_options(self, shell: Shell, tmp_path: Path) -> None:
        """Partition, zone and strictness are the store's own from then on."""
        path = tmp_path / "a" / "shop"
        ran = shell("init", path, "--partition", "day", "--timezone", "America/New_York", "--strict")
        assert ran.code == 0
        facts = shell("info", path, "--json").json
        assert (facts["partition"], facts["timezone"], facts["strict"]) == ("day", "America/New_York", True)
        error, _ = fault(shell("append", path, stdin=event("s-1", "Unknown")))
        assert "line 1" in error

    def test_again(self, shell: Shell, store: Path) -> None:
        """A store that is there is left as it is."""
        ran = shell("init", store, "--json")
        assert ran.code == 0
        assert ran.json["position"] == 3


class TestAppend:
    """JSON lines."""

    def test_every_key(self, shell: Shell, store: Path) -> None:
        """Each key of a line arrives in the envelope."""
        given: dict[str, Any] = {
            "event_id": "11111111-1111-7111-8111-111111111111",
            "occurred_at": "2026-03-01T12:00:00+01:00",
            "actor": "me",
            "correlation_id": "c",
            "causation_id": "d",
            "metadata": {"trace": 1.50},
        }
        ran = shell(
            "append", store, "-", "--json", stdin=event("s-1", "Seen", {"a": None}, expected_version=0, **given)
        )
        assert ran.code == 0
        assert ran.json == {"events": 1, "duplicates": 0, "first_position": 4, "last_position": 4}
        (row,) = shell("tail", store, "-n", 1, "--json").out.splitlines()
        found = json.loads(row)
        assert found["occurred_at"] in ("2026-03-01T11:00:00Z", "2026-03-01T11:00:00+00:00")
        assert {key: found[key] for key in given if key != "occurred_at"} == {
            key: value for key, value in given.items() if key != "occurred_at"
        }
        assert (found["stream_id"], found["version"], found["event_type"], found["payload"]) == (
            "s-1",
            1,
            "Seen",
            {"a": None},
        )

    def test_from_a_file(self, shell: Shell, store: Path, tmp_path: Path) -> None:
        """A file is read like standard input: with a byte order mark, CRLF, empty lines, and no end of line at its end."""
        file = tmp_path / "my lines.jsonl"
        lines = [event("s-1", "Seen"), "", "  ", event("s-1", "Seen", {"ü": "✓"})]
        file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
        ran = shell("append", store, file)
        assert (ran.code, ran.out) == (0, "Appended 2 events, positions 4 to 5.\n")

    def test_nothing(self, shell: Shell, store: Path) -> None:
        """Empty input appends nothing, and is no error."""
        assert shell("append", store, stdin=b"").out == "Appended 0 events.\n"

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{", "it is not JSON"),
            ("[1]", "it is not an object but an array"),
            ("17", "it is not an object but a number"),
            (b'{"stream_id": "\xff"}', "it is not UTF-8"),
            ('{"stream_id": "s-1"}', "it has no 'event_type'"),
            ('{"event_type": "Seen"}', "it has no 'stream_id'"),
            ('{"stream_id": 1, "event_type": "Seen"}', "stream_id is a number, not text"),
            ('{"stream_id": "", "event_type": "Seen"}', "stream_id '' is empty"),
            ('{"stream_id": "s-1", "event_type": "Seen", "payload": null}', "payload is null, not an object"),
            ('{"stream_id": "s-1", "event_type": "Seen", "payload": [1]}', "payload is an array, not an object"),
            ('{"stream_id": "s-1", "event_type": "Seen", "metadata": "x"}', "metadata is text, not an object"),
            ('{"stream_id": "s-1", "event_type": "Seen", "occurred_at": 1}', "occurred_at is a number, not text"),
            ('{"stream_id": "s-1", "event_type": "Seen", "occurred_at": "soon"}', "'soon' is no time"),
            ('{"stream_id": "s-1", "event_type": "Seen", "acter": "x"}', "no key 'acter'. Did you mean 'actor'?"),
            ('{"stream_id": "s-1", "event_type": "Seen", "position": 1}', "'position' is given by the log"),
            ('{"stream_id": "s-1", "event_type": "Seen", "expected_version": -1}', "expected_version is -1"),
            ('{"stream_id": "s-1", "event_type": "Seen", "expected_version": true}', "expected_version is True"),
            ('{"stream_id": "s-1", "event_type": "Seen", "expected_version": 7}', "is at version 2, expected 7"),
            ('{"stream_id": "o-1", "event_type": "orderplaced"}', "orderplaced"),
        ],
    )
    def test_a_bad_line(self, shell: Shell, store: Path, line: str | bytes, message: str) -> None:
        """A line that cannot be appended is named; those before it are in the log, it and those after it are not."""
        bad = line.encode() if isinstance(line, str) else line
        good = event("s-1", "Seen").encode()
        error, hint = fault(shell("append", store, stdin=b"\n".join([good, good, bad, good])))
        assert error.startswith("line 3: ")
        assert message in error
        assert "Appended 2 events, positions 4 to 5; correct line 3" in hint
        assert shell("info", store, "--json").json["position"] == 5
        error, hint = fault(shell("append", store, stdin=bad))
        assert error.startswith("line 1: ")
        assert "Nothing was appended" in hint

    def test_again_after_a_failure(self, shell: Shell, store: Path) -> None:
        """Lines with ids can be sent again, all of them: what is known is counted, what is new is appended."""
        ids = [f"00000000-0000-7000-8000-{number:012}" for number in range(4)]
        lines = [event("s-1", "Seen", event_id=name) for name in ids]
        fault(shell("append", store, stdin="\n".join([*lines[:2], "oops"])))
        ran = shell("append", store, "--json", stdin="\n".join(lines))
        assert ran.code == 0
        assert ran.json == {"events": 2, "duplicates": 2, "first_position": 6, "last_position": 7}
        assert shell("append", store, stdin="\n".join(lines)).out == "Appended 0 events; 4 in the log already.\n"

    def test_expected_versions_see_earlier_lines(self, shell: Shell, store: Path) -> None:
        """A line's expectation counts the lines before it, and ``exists`` and ``any`` are words for it."""
        expected = (0, 1, 2, "exists", "any", None)
        lines = [event("s-1", "Seen", expected_version=version) for version in expected]
        assert shell("append", store, stdin="\n".join(lines)).out == "Appended 6 events, positions 4 to 9.\n"
        error, _ = fault(shell("append", store, stdin=event("s-2", "Seen", expected_version="exists")))
        assert "s-2" in error

    def test_many_lines(self, shell: Shell, store: Path) -> None:
        """More lines than one commit holds arrive whole and in order, whatever the sizes of the reads."""
        count = 2 * intakes.BATCH + 17
        lines = "\n".join(event(f"s-{number % 7}", "Counted", {"n": number}) for number in range(count))
        assert shell("append", store, stdin=lines).out == f"Appended {count:,} events, positions 4 to {count + 3:,}.\n"
        query = "select count(*) from counted where n + 4 = position"
        assert shell("sql", store, query, "--csv").out.split()[1] == str(count)

    def test_lines_are_cut_where_they_end(self) -> None:
        """However the bytes arrive, the same lines come of them."""
        text = b'{"a": 1}\n\n{"b": "\xc3\xbc"}\r\nlast'

        class Trickle:
            """A pipe that has ``step`` bytes at a time."""

            def __init__(self, step: int) -> None:
                self.rest, self.step = text, step

            def read1(self, _: int) -> bytes:
                """Return the next bytes."""
                data, self.rest = self.rest[: self.step], self.rest[self.step :]
                return data

        for step in range(1, len(text) + 1):
            lines = [line for chunk in intakes.chunks(Trickle(step)) for line in chunk]
            assert lines == text.split(b"\n")


class TestSql:
    """Queries and their formats."""

    def test_table(self, shell: Shell, store: Path) -> None:
        """By default people get a table, in which a value is neither markup nor a control sequence."""
        ran = shell("sql", store, "select event_type, payload->>'note' as note from events where position = 2")
        assert ran.code == 0
        head, _, row, note = ran.out.splitlines()
        assert head.split() == ["event_type", "note"]
        assert TYPE in row
        assert r"two\nlines, and [bold]no[/bold] \x1b[31mcolour" in row
        assert note == "1 row"
        assert "\x1b" not in ran.out

    def test_json(self, shell: Shell, store: Path) -> None:
        """JSON has every digit, nested payloads, ISO 8601 times and null."""
        rows = shell(
            "sql",
            store,
            "select payload, actor, occurred_at, sum(position) over () as s from events order by position",
            "--json",
        ).json
        assert [row["payload"].get("amount") for row in rows] == [
            Decimal("12.50"),
            None,
            Decimal("1234567890123456.78"),
        ]
        assert [row["actor"] for row in rows] == [None, "me", None]
        assert {row["s"] for row in rows} == {6}
        assert rows[0]["occurred_at"][10] == "T"

    def test_json_of_nothing(self, shell: Shell, store: Path) -> None:
        """No rows are an empty array, and a CSV header."""
        assert shell("sql", store, "from events where false", "--json").json == []
        assert shell("sql", store, "select position from events where false", "--csv").out == "position\n"

    def test_csv(self, shell: Shell, store: Path) -> None:
        """CSV comes back as it was, line breaks and quotes included; NULL is empty."""
        ran = shell(
            "sql", store, "select stream_id, actor, payload->>'note' as note from events order by position", "--csv"
        )
        rows = list(csv.reader(io.StringIO(ran.out, newline="")))
        assert rows[0] == ["stream_id", "actor", "note"]
        assert rows[1] == ["o-1", "", ""]
        assert rows[2] == [STREAM, "me", "two\nlines, and [bold]no[/bold] \x1b[31mcolour"]

    def test_parquet(self, shell: Shell, store: Path, tmp_path: Path) -> None:
        """A Parquet file has the rows; types that Parquet lacks are text."""
        file = tmp_path / "my rows; [x].parquet"
        ran = shell("sql", store, "select position, interval '1 day' as i, null as n from events", "--parquet", file)
        assert (ran.code, ran.out, ran.err) == (0, "", f"3 rows in {file}\n")
        assert pq.read_table(file).to_pydict() == {"position": [1, 2, 3], "i": ["P1D"] * 3, "n": [None] * 3}

    def test_parquet_whole_or_not_at_all(self, shell: Shell, store: Path, tmp_path: Path) -> None:
        """A query that fails half-way leaves the file that was there, and no other."""
        file = tmp_path / "rows.parquet"
        file.write_text("as it was")
        before = sorted(tmp_path.iterdir())
        query = "select case when range > 400000 then error('half-way') else range end as r from range(500000)"
        assert "half-way" in fault(shell("sql", store, query, "--parquet", file))[0]
        assert file.read_text() == "as it was"
        assert sorted(tmp_path.iterdir()) == before
        error, _ = fault(shell("sql", store, "from events", "--parquet", tmp_path / "no" / "x.parquet"))
        assert "there is no folder" in error

    def test_fails_half_way(self, shell: Shell, store: Path) -> None:
        """A query that fails at one of its rows is an error, whatever was printed before."""
        query = "select case when range > 400000 then error('half-way') else range end as r from range(500000)"
        for form in ("--csv", "--json", "--all"):
            ran = shell("sql", store, query, form)
            assert ran.code == 1
            assert "half-way" in ran.err

    def test_limits(self, shell: Shell, store: Path) -> None:
        """A table shows 40 rows and says how many there are; the other formats have all; --limit and --all change it."""
        query = "select range as n from range(100)"
        assert shell("sql", store, query).out.splitlines()[-1] == "40 of 100 rows (--all shows every one)"
        assert len(shell("sql", store, query).out.splitlines()) == 43
        assert len(shell("sql", store, query, "--all").out.splitlines()) == 103
        assert len(shell("sql", store, query, "--limit", 5).out.splitlines()) == 8
        assert len(shell("sql", store, query, "--csv").out.splitlines()) == 101
        assert len(shell("sql", store, query, "--json", "--limit", 7).json) == 7

    def test_parameters(self, shell: Shell, store: Path) -> None:
        """A parameter is a value, whatever it says, and is read as what it is compared with."""
        query = (
            "select position from events where stream_id = $s and position > $after and occurred_at < $until limit $n"
        )
        given = [f"s={STREAM}", "after=1", "until=2100-01-01", "n=5"]
        options = [word for option in given for word in ("--param", option)]
        assert shell("sql", store, query, *options, "--csv").out.split() == ["position", "2"]
        missing, _ = fault(shell("sql", store, query))
        assert "$" in missing or "parameter" in missing.lower()

    def test_from_standard_input(self, shell: Shell, store: Path) -> None:
        """``-`` reads the query; a query may begin with a comment, and end with a semicolon."""
        query = "-- how many\nselect count(*) as n from events;"
        assert shell("sql", store, "-", "--json", stdin=query).json == [{"n": 3}]
        assert shell("sql", store, query, "--json").json == [{"n": 3}]
        assert "UTF-8" in fault(shell("sql", store, "-", stdin=b"select '\xff'"))[0]

    def test_moments(self, shell: Shell, store: Path) -> None:
        """--at and --known-at take a position, a time or a basis."""
        count = "select count(*) as n from events"
        assert shell("sql", store, count, "--at", 2, "--json").json == [{"n": 2}]
        assert shell("sql", store, count, "--known-at", 1, "--json").json == [{"n": 1}]
        assert shell("sql", store, count, "--at", "2001-01-01", "--json").json == [{"n": 0}]
        with el.open(store) as log:
            basis = str(log.at(2).basis)
        assert shell("sql", store, count, "--at", basis, "--json").json == [{"n": 2}]

    def test_zone(self, shell: Shell, tmp_path: Path) -> None:
        """Times are shown in the log's own zone."""
        path = tmp_path / "log"
        shell("init", path, "--timezone", "America/New_York")
        shell("append", path, stdin=event("s-1", "Seen", occurred_at="2026-01-01 12:00"))
        assert "2026-01-01 12:00:00-05:00" in shell("sql", path, "select occurred_at from events").out
        assert shell("sql", path, "select occurred_at from events", "--json").json == [
            {"occurred_at": "2026-01-01T12:00:00-05:00"}
        ]
        for form in ([], ["--json"], ["--csv"]):
            assert "12:00:00-05:00" in shell("tail", path, *form).out

    @pytest.mark.parametrize(
        ("query", "message"),
        [
            ("selec 1", "syntax error"),
            ("from evnts", "Did you mean 'events'?"),
            ("select payloat from events", "payloat"),
            ("drop table events", "a query is one statement that reads"),
            ("select 1; select 2", "a query is one statement that reads"),
            ("", "empty"),
            ("select 'x'::int", "x"),
            ("select $n + 1", "n"),
        ],
    )
    def test_a_bad_query(self, shell: Shell, store: Path, query: str, message: str) -> None:
        """A query that cannot run ends with 1 and says why in one line."""
        assert message in fault(shell("sql", store, query))[0]

    def test_same_names(self, shell: Shell, store: Path) -> None:
        """Columns of the same name stay apart."""
        assert shell("sql", store, "select 1 as a, 2 as a", "--json").json == [{"a": 1, "a_1": 2}]

    def test_odd_values(self, shell: Shell, store: Path) -> None:
        """What JSON has no type for has a text; what Python has no value for does too."""
        query = """
        select 12345678901234567890123456789012345678::hugeint as h, interval '1 month 90 seconds' as i, 'ab'::blob as b,
            'infinity'::timestamptz as t, '12000-01-01'::timestamp as y, 'nan'::double as n, map {1: 'x'} as m,
            [1.10::decimal(9,2)] as l, {'a': 1.10::decimal(9,2)} as s, timestamp_ns '2026-01-01 00:00:00.123456789' as ns,
            '-infinity'::date as d
        """
        (row,) = shell("sql", store, query, "--json").json
        assert {name: row[name] for name in "hibtnmlsd"} == {
            "h": 12345678901234567890123456789012345678,
            "i": "P1MT90S",
            "b": "YWI=",
            "t": "infinity",
            "n": None,
            "m": {"1": "x"},
            "l": [Decimal("1.10")],
            "s": {"a": Decimal("1.10")},
            "d": "-infinity",
        }
        assert row["ns"] == "2026-01-01T00:00:00.123456789"
        assert row["y"].startswith("12000-01-01")
        for form in ("--csv", "--all"):
            assert shell("sql", store, query, form).code == 0

    def test_explain_is_drawn(self, shell: Shell, store: Path) -> None:
        """A plan is printed as the drawing that it is."""
        assert "─╮\n" in shell("sql", store, "explain select count(*) from events").out

    def test_the_log_cannot_be_changed(self, shell: Shell, store: Path) -> None:
        """No query writes a file or leaves a trace in the store."""
        fault(shell("sql", store, "copy events to 'x.csv'"))
        fault(shell("sql", store, "create table t as from events"))
        assert shell("info", store, "--json").json["position"] == 3


class TestTables:
    """What fits on a terminal."""

    def test_a_terminal_cuts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Long values are cut and columns without room are named; nothing is wider than the terminal."""
        screen = io.StringIO()
        screen.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr(sys, "stdout", screen)
        for name, value in {"COLUMNS": "60", "LINES": "25", "TERM": "dumb", "NO_COLOR": "1"}.items():
            monkeypatch.setenv(name, value)
        tables.print_table(["a", "b", "c"], [["x" * 100, "y" * 100, 1]] * 2, note="2 rows")
        lines = screen.getvalue().splitlines()
        assert max(map(len, lines)) <= 60
        assert "…" in screen.getvalue()
        assert "2 rows" in screen.getvalue()

    @pytest.mark.parametrize("room", range(1, 130))
    def test_fitting(self, room: int) -> None:
        """Columns never take more than there is, and at least one is shown."""
        for widths in ([5], [200], [5, 5, 5], [100, 100], [30, 1, 100, 8, 36, 32, 32]):
            kept = tables.fitting(widths, room)
            assert kept
            assert all(width >= 1 for width in kept)
            if room > 4:
                assert sum(kept) + 3 * (len(kept) - 1) <= room
            assert all(width <= whole for width, whole in zip(kept, widths, strict=False))


class TestTypes:
    """The list of event types."""

    def test_types(self, shell: Shell, store: Path) -> None:
        """Every type has its view, its versions and its fields."""
        rows = {row["event_type"]: row for row in shell("types", store, "--json").json}
        assert set(rows) == {"OrderPlaced", TYPE}
        placed = rows["OrderPlaced"]
        assert list(placed) == ["event_type", "view", "versions", "origin", "events", "fields"]
        assert (placed["view"], placed["events"]) == ("order_placed", 2)
        assert "customer" in placed["fields"]
        assert "order_placed" in shell("types", store).out
        assert shell("types", store, "--csv").out.startswith("event_type,view,versions,origin,events,fields\n")


class TestTail:
    """The last events."""

    def test_last(self, shell: Shell, store: Path) -> None:
        """The last n in their order, as a table, JSON lines, CSV or Parquet."""
        lines = shell("tail", store, "-n", 2, "--json").out.splitlines()
        assert [json.loads(line)["position"] for line in lines] == [2, 3]
        assert shell("tail", store, "-n2", "--csv").out.startswith("position,")
        assert TYPE in shell("tail", store).out
        assert shell("tail", store, "-n", 0, "--json").out == ""

    def test_exact(self, shell: Shell, store: Path) -> None:
        """The numbers of a payload keep their digits."""
        (line,) = shell("tail", store, "-n", 1, "--json").out.splitlines()
        assert json.loads(line, parse_float=Decimal)["payload"]["amount"] == Decimal("1234567890123456.78")

    def test_types(self, shell: Shell, store: Path) -> None:
        """Only the types that are asked for, of which n."""

        def positions(*options: str) -> list[int]:
            return [json.loads(line)["position"] for line in shell("tail", store, "--json", *options).out.splitlines()]

        assert positions("--types", "OrderPlaced") == [1, 3]
        assert positions("--types", "OrderPlaced", "-n", "1") == [3]
        assert positions("--types", "OrderPlaced", "--types", TYPE) == [1, 2, 3]
        assert positions("--types", f"OrderPlaced,{TYPE}") == [1, 2, 3]
        assert positions("--types", "Nothing") == []
        assert "1 row" in shell("tail", store, "--types", TYPE).out


class TestIngest:
    """Loads."""

    def test_csv(self, shell: Shell, store: Path, tmp_path: Path) -> None:
        """A file becomes events; loaded again, it adds nothing and says so."""
        file = tmp_path / "it's; [x].csv"
        file.write_text("id,at,amount\n1,2026-01-01 00:00:00,1.50\n2,2026-01-02 00:00:00,2.50\n")
        options = [
            "--event-type",
            "'Paid'",
            "--stream-id",
            "'pay-' || id",
            "--occurred-at",
            '"at"',
            "--payload",
            "id, amount",
        ]
        ran = shell("ingest", store, file, *options)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out == "Loaded 2 events, positions 4 to 5.\n"
        assert shell("ingest", store, file, *options, "--json").json == {
            "events": 0,
            "duplicates": 2,
            "quarantined": 0,
            "first_position": None,
            "last_position": None,
        }
        rows = shell("sql", store, "select id, amount from paid order by position", "--json").json
        assert [str(row["amount"]) for row in rows] in (["1.5", "2.5"], ["1.50", "2.50"])

    def test_quarantine(self, shell: Shell, store: Path, tmp_path: Path) -> None:
        """A bad row stops a load, or is kept apart if asked."""
        file = tmp_path / "rows.jsonl"
        file.write_text('{"id": "a-1", "t": "2026-01-01"}\n{"id": null, "t": "2026-01-01"}\n')
        options = ["--event-type", "'Made'", "--stream-id", "id", "--occurred-at", "t"]
        fault(shell("ingest", store, file, *options))
        assert shell("info", store, "--json").json["position"] == 3
        ran = shell("ingest", store, file, *options, "--on-invalid", "quarantine")
        assert ran.out == "Loaded 1 event, position 4; 1 in quarantine.\n"

    def test_errors(self, shell: Shell, store: Path, tmp_path: Path) -> None:
        """A source or an expression that is not there is named."""
        options = ["--event-type", "'Made'", "--stream-id", "id"]
        assert "nothing.csv" in fault(shell("ingest", store, "nothing.csv", *options))[0]
        file = tmp_path / "rows.csv"
        file.write_text("name\nx\n")
        assert "id" in fault(shell("ingest", store, file, *options))[0]


class TestCare:
    """Looking after a store."""

    def test_info(self, shell: Shell, store: Path) -> None:
        """What is in it, for people and for programs."""
        facts = shell("info", store, "--json").json
        assert (facts["path"], facts["position"]) == (str(store), 3)
        assert str(store) in shell("info", store).out

    def test_seal_compact_recover(self, shell: Shell, store: Path) -> None:
        """The events outlive sealing, compaction and the loss of the journal."""
        assert shell("seal", store).out == "Sealed through position 3.\n"
        assert shell("seal", store, "--json").json == {"sealed": 3}
        shell("append", store, stdin=event("o-1", "OrderPlaced", {"customer": "c3", "amount": 1}))
        shell("seal", store)
        done = shell("compact", store, "--vacuum", "--json").json
        assert done["files_before"] >= done["files_after"] >= 1
        assert "became" in shell("compact", store).out
        for file in store.glob("journal.sqlite*"):
            file.unlink()
        error, hint = fault(shell("sql", store, "from events"))
        assert "journal" in error
        assert "recover" in hint
        ran = shell("recover", store)
        assert ran.code == 0
        assert ran.out.startswith("Recovered 4 events, through position 4.\n")
        assert shell("sql", store, "select count(*) as n from order_placed", "--json").json == [{"n": 3}]


def command(*arguments: object) -> list[str]:
    """Return the command line of the program itself."""
    return [sys.executable, "-m", "eventlab", *map(str, arguments)]


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    """Let the programs that tests start find this eventlab."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        yield


class TestProgram:
    """The shell as a program of its own."""

    def test_help_is_fast(self) -> None:
        """--help loads nothing of eventlab's that its package does not, and no DuckDB, Arrow or chart of its own."""
        code = (
            "import sys, eventlab; before = set(sys.modules); from eventlab.cli import main; main(['--help']); "
            "after = {name.split('.')[0] for name in set(sys.modules) - before}; "
            "print(sorted(after & {'duckdb', 'polars', 'pyarrow', 'altair', 'deltalake', 'pandas', 'msgspec'}))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"

    def test_exit_codes(self, store: Path) -> None:
        """0, 1 and 2 reach the caller."""
        for arguments, code in (((), 0), (("sql", store, "from nothing"), 1), (("sql",), 2)):
            assert subprocess.run(command(*arguments), capture_output=True, check=False).returncode == code

    @pytest.mark.parametrize("form", ["--json", "--csv", "--all"])
    def test_a_reader_that_leaves(self, store: Path, form: str) -> None:
        """``| head`` ends the program quietly."""
        with subprocess.Popen(
            command("sql", store, "from range(300000)", form), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as program:
            assert program.stdout
            assert program.stderr
            program.stdout.readline()
            program.stdout.close()
            assert program.stderr.read() == b""
            assert program.wait(60) == 0

    def test_a_full_disk(self, store: Path) -> None:
        """Output that cannot be written is an error."""
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                command("sql", store, "from events"), stdout=full, stderr=subprocess.PIPE, check=False
            )
        assert done.returncode == 1
        assert done.stderr == b"error: No space left on device\n"

    def test_an_ascii_terminal(self, store: Path) -> None:
        """Where the terminal has no such letters they are escaped."""
        assert (
            subprocess.run(command("append", store), input=event("s-1", "Größe").encode(), check=False).returncode == 0
        )
        env = {**os.environ, "PYTHONIOENCODING": "ascii"}
        done = subprocess.run(command("tail", store), env=env, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"Gr\\xf6\\xdfe" in done.stdout

    def test_append_does_not_wait(self, store: Path) -> None:
        """A line on an open pipe is in the log before the next one comes."""
        with subprocess.Popen(command("append", store), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
            assert program.stdin
            assert program.stdout
            for position in (4, 5):
                program.stdin.write(event("s-1", "Seen").encode() + b"\n")
                program.stdin.flush()
                eventually(lambda position=position: position_of(store) == position)
            program.stdin.close()
            assert program.stdout.read() == b"Appended 2 events, positions 4 to 5.\n"
            assert program.wait(60) == 0

    def test_append_interrupted(self, store: Path) -> None:
        """Ctrl-C keeps what was appended, and says what."""
        with subprocess.Popen(command("append", store), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as program:
            assert program.stdin
            assert program.stderr
            program.stdin.write(event("s-1", "Seen").encode() + b"\n")
            program.stdin.flush()
            eventually(lambda: position_of(store) == 4)
            program.send_signal(signal.SIGINT)
            assert program.stderr.read() == b"Appended 1 event, position 4.\n"
            assert program.wait(60) == 130

    @pytest.mark.parametrize("form", [[], ["--json"], ["--json", "--types", "Seen,Heard"]])
    def test_follow(self, store: Path, form: list[str]) -> None:
        """``tail -f`` prints what is recorded while it runs, at once, and Ctrl-C ends it with 0."""
        with subprocess.Popen(
            command("tail", store, "-n", 1, "-f", *form), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as program:
            assert program.stdout
            assert program.stderr
            if "--types" not in form:
                assert b"1234567890123456.78" in program.stdout.readline()
            with el.open(store) as log:
                for number in range(3):
                    log.append("s-1", el.Event("Seen", {"n": number}))
                    line = program.stdout.readline()
                    assert b"Seen" in line
                    assert f'{{"n":{number}}}'.encode() in line
            program.send_signal(signal.SIGINT)
            assert program.stderr.read() == b""
            assert program.wait(60) == 0


def position_of(store: Path) -> int:
    """Return how many events there are."""
    with el.open(store, read_only=True) as log:
        return log.position


def eventually(check: Callable[[], bool]) -> None:
    """Wait until something holds."""
    until = time.monotonic() + 30
    while not check():
        assert time.monotonic() < until
        time.sleep(0.02)


class TestState:
    """eventlab state."""

    SELECT = (
        "SELECT stream_id AS id, OrderPlaced.customer AS who, sum(OrderPlaced.amount) AS total FROM events GROUP BY ALL"
    )

    @pytest.fixture
    def orders(self, store: Path, shell: Shell) -> Path:
        """Define a state in the store of three events."""
        ran = shell("state", store, "orders", "--define", self.SELECT)
        assert (ran.code, ran.out) == (0, "The state orders is defined, version 1.\n")
        return store

    def test_states_are_listed(self, store: Path, shell: Shell) -> None:
        """None at first; then their names, versions and texts, in order; as of a moment, those of that moment."""
        assert shell("state", store, "--json").json == []
        shell("state", store, "b", "--define", "SELECT count(*) AS n FROM events")
        shell("state", store, "a", "--define", "SELECT count(*) AS n FROM events")
        shell("state", store, "a", "--define", "SELECT max(position) AS n FROM events")
        assert [(row["state"], row["version"]) for row in shell("state", store, "--json").json] == [("a", 2), ("b", 1)]
        assert "max(position)" in shell("state", store).out

    def test_a_state_is_shown_now_and_as_it_was(self, orders: Path, shell: Shell) -> None:
        """Decimals exact, in every format."""
        rows = {row["who"]: row["total"] for row in shell("state", orders, "orders", "--json").json if row["who"]}
        assert rows == {"c1": Decimal("12.50"), "c2": Decimal("1234567890123456.78")}
        rows = shell("state", orders, "orders", "--at", 1, "--json").json
        assert rows == [{"id": "o-1", "who": "c1", "total": Decimal("12.50")}]
        assert shell("state", orders, "orders", "--known-at", 1, "--csv").out == "id,who,total\no-1,c1,12.50\n"
        assert "12.50" in shell("state", orders, "orders", "--limit", 5).out

    def test_one_key_and_its_history(self, orders: Path, shell: Shell) -> None:
        """A key of two columns is given twice; a number is compared as one."""
        rows = shell("state", orders, "orders", "--key", "o-1", "--key", "c2", "--json").json
        assert [row["who"] for row in rows] == ["c2"]
        rows = shell("state", orders, "orders", "--key", "o-1", "--key", "c1", "--history", "--json").json
        assert [(row["position"], row["valid_to"], row["total"]) for row in rows] == [(1, None, Decimal("12.50"))]
        assert len(shell("state", orders, "orders", "--history", "--json").json) == 3
        shell("state", orders, "versions", "--define", "SELECT version, count(*) AS n FROM events GROUP BY version")
        assert shell("state", orders, "versions", "--key", "2", "--json").json == [{"version": 2, "n": 1}]
        assert "is 1" in fault(shell("state", orders, "orders", "--key", "o-1"))[0]

    def test_diff_course_and_explanation(self, orders: Path, shell: Shell) -> None:
        """Two moments; a measure every day; how answers are made, a line each."""
        rows = shell("state", orders, "orders", "--diff", 1, 3, "--json").json
        assert [row["change"] for row in rows] == ["added", "added"]
        rows = shell("state", orders, "orders", "--every", "1d", "--json").json
        assert [(row["value"], row["partial"]) for row in rows] == [(3, True)]
        rows = shell("state", orders, "orders", "--every", "1d", "--measure", "max(who)", "--json").json
        assert rows[0]["value"] == "c2"
        assert len(shell("state", orders, "orders", "--explain").out.splitlines()) > 2
        assert shell("state", orders, "orders", "--explain", "--json").json["state"] == "orders"

    def test_a_definition_comes_from_a_file_or_standard_input(self, orders: Path, shell: Shell, tmp_path: Path) -> None:
        """And goes again."""
        file = tmp_path / "my state.sql"
        file.write_text(f"-- ü\n{self.SELECT}\n", encoding="utf-8")
        assert shell("state", orders, "again", "--define", file, "--json").json["version"] == 1
        assert shell("state", orders, "again", "--define", "-", stdin="FROM events SELECT count(*)").code == 0
        assert shell("state", orders, "again", "--drop").out == "The state again is dropped.\n"
        assert [row["state"] for row in shell("state", orders, "--json").json] == ["orders"]

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (("ordrs",), 1, "no state 'ordrs'. Did you mean 'orders'?"),
            (("--drop",), 2, "NAME is missing"),
            (("--key", "x"), 2, "NAME is missing"),
            (("orders", "--diff", "1"), 2, "--diff"),
            (("orders", "--diff", "1", "soon"), 2, "'soon' is no time"),
            (("orders", "--diff", "1", "2", "--history"), 2, "--history and --diff exclude each other"),
            (("orders", "--drop", "--define", "SELECT 1"), 2, "--define and --drop exclude each other"),
            (("orders", "--at", "1", "--drop"), 2, "--at and --drop exclude each other"),
            (("orders", "--every", "1d", "--key", "x"), 2, "--key and --every exclude each other"),
            (("orders", "--every", "often"), 1, "no duration"),
            (("orders", "--define", "no/such/file.sql"), 2, "neither a SELECT nor a file"),
            (("orders", "--define", "SELECT customr FROM events"), 1, "customr"),
            (("orders", "--define", "SELECT now() AS x FROM events"), 1, "now"),
        ],
    )
    def test_what_is_wrong_is_told(self, orders: Path, shell: Shell, arguments: Any, code: int, said: str) -> None:
        """One line and a hint."""
        assert said in fault(shell("state", orders, *arguments), code)[0]
