"""Sources: notebooks and functions, their titles, digests and parameters, and what is wrong with those that are none."""

from __future__ import annotations

import datetime as dt
import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from eventlab.errors import InvalidArgument
from eventlab.reports.execution import notebooks
from eventlab.reports.execution.sources import Source, parameters, source

if TYPE_CHECKING:
    from pathlib import Path


def cell(text: str | list[str], *tags: str, kind: str = "code", **more: Any) -> dict[str, Any]:
    """Return a cell as a notebook's file has it."""
    code = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "id": "a", "metadata": {"tags": list(tags)}, "source": text, **code, **more}


def write(path: Path, *cells: dict[str, Any], **more: Any) -> Path:
    """Write a notebook."""
    plain = {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more}
    path.write_text(json.dumps(plain), encoding="utf-8")
    return path


def daily(log: object, *, day: str = "2013-02-09", worst: int = 10, **_: object) -> None:
    """Yesterday at the airports.

    And more.
    """


def made_of_a_log(log: object) -> object:
    """Return the log."""
    return log


def test_a_notebook_says_what_it_is(tmp_path: Path) -> None:
    """Its name is the stem, its title the first heading without marks, its place what was given."""
    write(
        tmp_path / "daily_report.ipynb",
        cell("## Not this\n\n# The *day's* [flights](x.html) #\ntext", kind="markdown"),
        cell(["day = 'a'\n", "worst: int = -5\n", "rate = 0.5\n"], "parameters"),
    )
    made = source("daily_report.ipynb", base=tmp_path)
    assert (made.name, made.place, made.title) == ("daily_report", "daily_report.ipynb", "The day's flights")
    assert made.defaults == {"day": "a", "worst": -5, "rate": 0.5}
    assert made.path == tmp_path / "daily_report.ipynb"
    assert made.problem == ""
    plain = source(write(tmp_path / "no-heading.ipynb", cell("# a comment")))
    assert plain.title == "No heading"


def test_the_digest_is_that_of_the_cells(tmp_path: Path) -> None:
    """Outputs, counts, names and the way in which lines are stored change nothing; text, kinds and tags do."""
    first = source(write(tmp_path / "a.ipynb", cell("a\nb")))
    run = cell(["a\n", "b"], outputs=[{"output_type": "stream", "name": "stdout", "text": "x"}], execution_count=3)
    same = source(write(tmp_path / "b.ipynb", run, metadata={"kernelspec": {"language": "python"}}))
    others = [cell("a\nc"), cell("a\nb", "parameters-not"), cell("a\nb", kind="markdown")]
    digests = [source(write(tmp_path / f"{n}.ipynb", one)).digest for n, one in enumerate(others)]
    assert first.digest == same.digest
    assert len({first.digest, *digests}) == 4


def test_parameters_are_literals_and_days(tmp_path: Path) -> None:
    """Text, numbers, lists, dates and Decimals are read without running anything; imports beside them do no harm."""
    text = (
        "import datetime as dt\nfrom decimal import Decimal\n'what may be asked for'\nday = dt.date(2013, 2, 9)\n"
        "since = dt.datetime.fromisoformat('2013-02-09T05:00:00+00:00')\nlimit = Decimal('1.50')\nnames = ['a', 'b']\n"
        "nothing: str | None = None"
    )
    made = source(write(tmp_path / "a.ipynb", cell(text, "parameters")))
    assert made.defaults == {
        "day": dt.date(2013, 2, 9),
        "since": dt.datetime(2013, 2, 9, 5, tzinfo=dt.UTC),
        "limit": Decimal("1.50"),
        "names": ["a", "b"],
        "nothing": None,
    }


@pytest.mark.parametrize(
    "text", ["n = compute()", "n = m + 1", "print(1)", "a, b = 1, 2", "n = {'a': 1}", "n = date(2013, 2, day)", "n = ("]
)
def test_a_cell_of_parameters_that_computes_is_a_report_that_fails(tmp_path: Path, text: str) -> None:
    """What is no simple assignment is the source's problem, with the line and the fix; nothing is run."""
    made = source(write(tmp_path / "a.ipynb", cell(text, "parameters")))
    assert "the cell of the parameters" in made.problem
    assert "Assign text" in made.problem or "It has assignments alone" in made.problem
    assert parameters(made, {"anything": 1}) == {"anything": 1}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "no notebook"),
        (b"\xff\xfe", "no notebook"),
        (b"[]", "no list of cells"),
        (b'{"cells": [], "nbformat": 3}', "format 3"),
        (b'{"cells": [{"cell_type": "odd"}], "nbformat": 4}', "cell 1"),
        (b'{"cells": [{"cell_type": "code", "source": 5}], "nbformat": 4}', "cell 1 has no text"),
        (b'{"cells": [], "nbformat": 4, "metadata": {"kernelspec": {"language": "R"}}}', "written in r"),
    ],
)
def test_a_file_that_is_no_notebook_is_a_report_that_fails(tmp_path: Path, content: bytes, problem: str) -> None:
    """It is there, so that readers shall hear of it: the source has its problem."""
    path = tmp_path / "broken.ipynb"
    path.write_bytes(content)
    made = source(path)
    assert problem in made.problem
    assert (made.name, made.defaults, len(made.digest)) == ("broken", {}, 64)


def test_a_notebook_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Its hint has those that are."""
    write(tmp_path / "daily.ipynb")
    with pytest.raises(InvalidArgument, match=r"dialy\.ipynb cannot be read: No such file.*\nThere are: daily\.ipynb"):
        source("dialy.ipynb", base=tmp_path)


def test_a_function_says_what_it_is() -> None:
    """Its title is the first line of its docstring, its parameters those after the log."""
    made = source(daily)
    assert (made.name, made.title) == ("daily", "Yesterday at the airports")
    assert made.place == f"{__name__}:daily"
    assert made.defaults == {"day": "2013-02-09", "worst": 10}
    assert made.function is daily
    assert made.path is None
    assert made.digest == source(made_of_a_log).digest, "that of their file"


def test_a_function_is_found_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a module that lies in the folder of the configuration; the digest changes with the file."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "lying_there.py").write_text("def weekly(log, n=1):\n    return n\n", encoding="utf-8")
    made = source("lying_there:weekly", base=tmp_path)
    assert (made.place, made.title, made.defaults) == ("lying_there:weekly", "Weekly", {"n": 1})
    (tmp_path / "lying_there.py").write_text("def weekly(log, n=1):\n    return 2\n", encoding="utf-8")
    assert source("lying_there:weekly", base=tmp_path).digest != made.digest
    with pytest.raises(InvalidArgument, match=r"no function 'weakly'\. Did you mean 'weekly'"):
        source("lying_there:weakly", base=tmp_path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("daily.py", "no source of a report"),
        ("", "no source of a report"),
        (5, "no source of a report"),
        ("no_such_module:f", "no module 'no_such_module'"),
        ("os:sep", "str, not a function"),
        (lambda log: log, "cannot be '<lambda>'"),
    ],
)
def test_what_is_no_source_is_an_error(given: Any, message: str) -> None:
    """It says what one would be."""
    with pytest.raises(InvalidArgument, match=message):
        source(given)


def test_a_function_must_be_able_to_run_by_itself() -> None:
    """It takes the log, and has a default for everything else."""

    def no_log() -> None: ...

    def only_keywords(*, log: object) -> None: ...

    def no_default(log: object, day: str) -> None: ...

    def odd(log: object, day: object = object()) -> None: ...

    for function, message in ((no_log, "no log"), (only_keywords, "no log"), (no_default, "'day'"), (odd, "cannot be")):
        with pytest.raises(InvalidArgument, match=message):
            source(function)


def made_of(**defaults: Any) -> Source:
    """Return a source with these parameters."""
    return Source("daily", "daily.ipynb", "Daily", "0" * 64, defaults)


def test_values_override_defaults() -> None:
    """Text becomes the type of the default; text stays text, the empty text too; other values stay what they are."""
    asked = made_of(
        day="a", worst=5, rate=0.5, live=False, since=dt.date(2013, 1, 1), price=Decimal(1), none=None, of=[1]
    )
    given = {
        "worst": "7",
        "rate": "1e3",
        "live": "yes",
        "since": "2013-02-09",
        "price": "1.50",
        "none": "x",
        "of": "1, 2",
    }
    assert parameters(asked, given) == {
        "day": "a",
        "worst": 7,
        "rate": 1000.0,
        "live": True,
        "since": dt.date(2013, 2, 9),
        "price": Decimal("1.50"),
        "none": "x",
        "of": [1, 2],
    }
    same = parameters(asked, {"day": "7", "worst": "", "since": None})
    assert (same["day"], same["worst"], same["since"]) == ("7", "", None)
    assert asked.defaults["worst"] == 5


def test_unknown_parameters_are_errors() -> None:
    """With the nearest and with those that there are."""
    with pytest.raises(InvalidArgument, match=r"no parameter 'dya'. Did you mean 'day'\?\nThere are: day, worst"):
        parameters(made_of(day="a", worst=5), {"dya": 1})
    with pytest.raises(InvalidArgument, match=r"no parameter 'day'.*\nIt has none: tag"):
        parameters(made_of(), {"day": 1})


def test_values_that_no_parameter_has_are_errors() -> None:
    """It says which one, and what it could be."""
    with pytest.raises(InvalidArgument, match="the parameter 'worst': 'many' is no int"):
        parameters(made_of(worst=5), {"worst": "many"})
    with pytest.raises(InvalidArgument, match="the parameter 'worst' cannot be dict"):
        parameters(made_of(worst=5), {"worst": {}})
    with pytest.raises(InvalidArgument, match="cannot be object"):
        parameters(made_of(of=[1]), {"of": [1, object()]})


def test_the_code_of_values_gives_them_again() -> None:
    """Whatever the notebook has called by the names of the standard library."""
    values: dict[str, Any] = {
        "a": 'it\'s \n"text"',
        "b": float("inf"),
        "c": dt.date(2013, 2, 9),
        "d": dt.datetime(2013, 11, 3, 1, 30, tzinfo=ZoneInfo("America/New_York"), fold=1),
        "e": dt.datetime(2013, 11, 3, 1, 30, tzinfo=dt.UTC),
        "f": Decimal("1.50"),
        "g": [1, None, True, dt.date(2013, 2, 9)],
    }
    names: dict[str, Any] = {"datetime": 5, "Decimal": 6}
    exec(notebooks.assignments(values), names)  # noqa: S102 - our own code
    assert {name: names[name] for name in values} == values
    assert names["d"].utcoffset() == dt.timedelta(hours=-5)
    assert names["datetime"] == 5


def test_attached_pictures_are_in_the_text(tmp_path: Path) -> None:
    """A picture that was pasted into a Markdown cell is part of it."""
    pasted = cell("![x](attachment:a.png)", kind="markdown", attachments={"a.png": {"image/png": "AAAA"}})
    found = notebooks.read(write(tmp_path / "a.ipynb", pasted).read_bytes()).cells[0]
    assert notebooks.embedded(found) == "![x](data:image/png;base64,AAAA)"


@pytest.mark.parametrize(
    ("text", "value"),
    [("a,b", ["a", "b"]), ('["x, y", "z"]', ["x, y", "z"]), ("[]", [])],
)
def test_a_list_is_given_with_commas_or_as_json(text: str, value: list[str]) -> None:
    """What has commas in it is JSON."""

    def named(log: Any, names: list[str] = ["q"], most: int | None = None) -> None:  # noqa: B006 - a report's
        """Names."""

    assert parameters(source(named), {"names": text, "most": "null"}) == {"names": value, "most": None}
    with pytest.raises(InvalidArgument, match="no JSON array"):
        parameters(source(named), {"names": "[a"})
