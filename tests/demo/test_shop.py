"""The shop's clickstream as an event log: what is in it, and that loading it twice adds nothing."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

import eventlab as el
from eventlab.cli import main
from eventlab.demo import shop
from eventlab.errors import InvalidSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with the shop in it."""
    path = tmp_path_factory.mktemp("data") / "shop"
    shop.run(path, console=Console(file=io.StringIO()))
    return path


@pytest.fixture(scope="module")
def log(store: Path) -> Iterator[el.EventLog]:
    """Yield the log of the shop."""
    with el.open(store) as opened:
        yield opened


@pytest.fixture(scope="module")
def raw() -> list[dict[str, str]]:
    """Return the rows of the file, read without eventlab."""
    with gzip.open(shop.DATA, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_is_an_event_of_its_user(log: el.EventLog, raw: list[dict[str, str]]) -> None:
    """Types, streams, times (UTC) and payload, as they are in the file; also the thirty rows that are there twice."""
    fields = ", ".join(f"payload->>'{name}'" for name in shop.FIELDS)
    text = f"select stream_id, category, event_type, strftime(occurred_at, '%Y-%m-%d %H:%M:%S'), {fields} from events"
    expected = Counter(
        (row["user_id"].replace("_", "-"), "user", row["event"], row["timestamp"], *(row[name] for name in shop.FIELDS))
        for row in raw
    )
    assert Counter(log.sql(text).fetchall()) == expected
    assert (log.position, len(expected)) == (31_106, 31_076)
    assert log.timezone == "UTC"


def test_a_stream_is_in_the_order_of_the_file(log: el.EventLog, raw: list[dict[str, str]]) -> None:
    """Also where several events share a second: the file has a user's events in order."""
    for user in ("user_0004", "user_0028", "user_0599"):
        events = [event.event_type for event in log.stream(user.replace("_", "-"))]
        assert events == [row["event"] for row in raw if row["user_id"] == user]


def test_the_types_are_defined_and_typed(log: el.EventLog, raw: list[dict[str, str]]) -> None:
    """Each has a view with the columns of the payload."""
    assert sorted(shop.EVENTS) == sorted({row["event"] for row in raw})
    assert {name for (name,) in log.sql("select event_type from event_types").fetchall()} == set(shop.EVENTS)
    buyers = log.sql("select platform, count(*) from purchase group by all order by 1").fetchall()
    assert buyers == sorted(Counter(row["platform"] for row in raw if row["event"] == "purchase").items())


def test_loading_it_again_adds_nothing_and_says_so(store: Path) -> None:
    """The ids are derived from the content and its ordinal among equals."""
    out = io.StringIO()
    again = shop.run(store, console=Console(file=out, width=100))
    assert (again.events, again.new) == (31_106, 0)
    told = out.getvalue()
    assert "0 new events; 31,106 were in the log already" in told
    assert "synthetic" in told
    assert "6,851  product_view" in told


def test_without_the_data_one_error_names_the_file(tmp_path: Path) -> None:
    """A wheel has no data beside it; the hint says where it is."""
    with pytest.raises(InvalidSource, match=r"ecom\.csv\.gz") as caught:
        shop.run(tmp_path / "store", console=Console(file=io.StringIO()), data=tmp_path / "ecom.csv.gz")
    assert "data/ecom" in caught.value.hint


def test_the_data_is_labelled_and_has_its_licence() -> None:
    """Synthetic, from retentioneering, under Apache-2.0."""
    told = (shop.DATA.parent / "README.md").read_text(encoding="utf-8")
    assert "**Synthetic data**" in told
    assert "Apache License" in (shop.DATA.parent / "LICENSE").read_text(encoding="utf-8")


def test_the_shell_makes_the_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``eventlab demo --data shop``, where ``data/shop`` is the default."""
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--data", "shop"]) == 0
    with el.open(tmp_path / "data" / "shop", read_only=True) as log:
        assert log.position == 31_106
