"""Provenance survives its way through a page."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest

import eventlab as el
from eventlab.reports.figures import Change, Figure
from eventlab.reports.provenances import Provenance, provenance_of, versions

RAN = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
WHOLE = Provenance(
    title="Daily",
    source="daily.ipynb",
    digest="ab" * 32,
    store="data/flights",
    store_id="5f3a",
    basis="basis:5f3a:p12:r2:open",
    position=12,
    at="2013-02-10T06:00:00-05:00",
    known_at=None,
    timezone="America/New_York",
    parameters={"day": dt.date(2013, 2, 9), "limit": 10, "price": Decimal("1.50"), "names": ["a", "b"], "none": None},
    figures=[Figure("cancelled", 472, "Cancelled"), Figure("money", Decimal("1.50"))],
    schemas={"FlightCancelled": 1},
    versions=versions(),
    report="daily",
    period=("2013-02-09T06:00:00-05:00", "2013-02-10T06:00:00-05:00"),
    version=2,
    changes=[
        Change("cancelled", Figure("cancelled", 471), Figure("cancelled", 472)),
        Change("new", None, Figure("new", 1)),
    ],
    ran_at=RAN,
    seconds=1.5,
)


def test_it_survives_json() -> None:
    """Every fact has the value and the type that it had."""
    again = provenance_of(json.loads(json.dumps(WHOLE.plain())), RAN, 1.5)
    assert again == WHOLE
    assert repr(again.parameters) == repr(WHOLE.parameters)


def test_all_but_the_run_is_in_its_plain_form() -> None:
    """When it was run, and how long that took, stand elsewhere: they differ each time."""
    assert "ran_at" not in WHOLE.plain()
    assert "seconds" not in WHOLE.plain()


@pytest.mark.parametrize("lost", ["figures", "basis", "period"])
def test_what_lacks_a_part_is_no_provenance(lost: str) -> None:
    """The error says what to do."""
    plain = WHOLE.plain()
    del plain[lost]
    with pytest.raises(el.InvalidArgument, match="eventlab report run"):
        provenance_of(plain, RAN, 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("at", 5),
        ("at", "soon"),
        ("figures", 5),
        ("figures", [5]),
        ("period", [1, 2]),
        ("parameters", []),
        ("eventlab", 99),
    ],
)
def test_what_is_damaged_is_one_error(key: str, value: object) -> None:
    """Never one of Python's own."""
    with pytest.raises(el.InvalidArgument, match="page's provenance"):
        provenance_of({**WHOLE.plain(), key: value}, RAN, 0)
