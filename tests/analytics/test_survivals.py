"""The time to convert: quantiles, and the curve of Kaplan and Meier against plain Python."""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any

import pytest

import eventlab as el
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def at(seconds: float) -> dt.datetime:
    """Return an instant so many seconds after the start."""
    return START + dt.timedelta(seconds=seconds)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[el.EventLog]:
    """Yield a log of five entries: two that converted, one that dropped out, one pending, one that has converted early."""
    with el.open(tmp_path / "log", create=True) as opened:
        for stream, moments in {"a": (0, 10), "b": (0, 30), "c": (5,), "d": (80,), "e": (85, 95)}.items():
            kinds = zip("AB", moments, strict=False)
            opened.append(stream, [el.Event(kind, {}, occurred_at=at(moment)) for kind, moment in kinds])
        opened.append("x", el.Event("X", {}, occurred_at=at(100)))
        yield opened


def curve(lives: list[tuple[float, bool]]) -> list[tuple[Any, ...]]:
    """Return the curve of Kaplan and Meier: of (seconds, whether it converted then)."""
    rows, share = [], 1.0
    for moment in sorted({seconds for seconds, _ in lives}):
        at_risk = sum(seconds >= moment for seconds, _ in lives)
        converted = sum(seconds == moment and did for seconds, did in lives)
        share *= 1 - converted / at_risk
        rows.append((moment, at_risk, converted, sum(seconds == moment for seconds, _ in lives) - converted, 1 - share))
    return rows


def test_times(log: el.EventLog) -> None:
    """The quantiles are of mature entries that converted, from the entry on."""
    times = log.funnel(["A", "B"], within="60s").times()
    assert times.pl().filter(times.pl()["quantile"].is_in([0.0, 0.5, 1.0])).rows() == [
        (0.0, 10.0),
        (0.5, 20.0),
        (1.0, 30.0),
    ]
    assert log.sql(times.sql).pl().equals(times.pl())
    assert "mature entries" in times.definition
    assert times.pl().columns == ["quantile", "seconds"]


def test_survival(log: el.EventLog) -> None:
    """Pending entries are censored where they are cut off, dropped ones where their window ends; by hand."""
    survival = log.funnel(["A", "B"], within="60s").survival()
    assert survival.pl().rows() == [
        (10.0, 5, 2, 0, pytest.approx(0.4)),
        (20.0, 3, 0, 1, pytest.approx(0.4)),
        (30.0, 2, 1, 0, pytest.approx(0.7)),
        (60.0, 1, 0, 1, pytest.approx(0.7)),
    ]
    assert log.sql(survival.sql).pl().equals(survival.pl())
    assert survival.kind == "survival"


def test_what_is_not_known_yet(log: el.EventLog) -> None:
    """What comes after complete_through is not known: neither a conversion nor an entry."""
    survival = log.funnel(["A", "B"], within="60s", complete_through=at(82)).survival()
    assert survival.pl().select("seconds", "converted", "censored").rows() == [
        (2.0, 0, 1),
        (10.0, 1, 0),
        (30.0, 1, 0),
        (60.0, 0, 1),
    ]
    earlier = log.funnel(["A", "B"], within="60s", complete_through=at(20)).survival()
    assert earlier.pl().select("seconds", "converted", "censored").rows() == [(10.0, 1, 0), (15.0, 0, 1), (20.0, 0, 1)]


def test_without_a_window(log: el.EventLog) -> None:
    """Without a window who has not converted is censored at the end of what is known."""
    rows = log.funnel(["A", "B"]).survival().pl().select("seconds", "censored").rows()
    assert rows == [(10.0, 0), (20.0, 1), (30.0, 0), (95.0, 1)]


@pytest.mark.parametrize("within", [None, "7s", "40s"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_against_plain_python(tmp_path: Path, within: str | None, step: int) -> None:
    """The curves of all values of a breakdown are those of a loop over the attempts."""
    chance = random.Random(3)
    with el.open(tmp_path / "log", create=True) as log:
        for stream in range(40):
            moments = sorted(chance.randint(0, 60) for _ in range(8))
            log.append(
                f"s{stream}",
                [
                    el.Event(chance.choice("ABC"), {"c": chance.choice("xy")}, occurred_at=at(moment))
                    for moment in moments
                ],
            )
        funnel = log.funnel(["A", "B", "C"], within=within, breakdown="A.c", entry="all", complete_through=at(50))
        assert funnel.design is not None
        chains = log.sql(funnel.design.cte() + " select * from chains").pl().to_dicts()
        length = None if within is None else float(within[:-1])
        wanted = []
        for value in sorted({chain["breakdown"] for chain in chains}):
            lives = []
            for chain in chains:
                entry = chain["entry"] / 1e6 - START.timestamp()
                reached = chain["entry" if step == 1 else f"reached_{step}"]
                if chain["breakdown"] != value or entry > 50:
                    continue
                if reached is not None and reached / 1e6 - START.timestamp() <= 50:
                    lives.append(((reached - chain["entry"]) / 1e6, True))
                else:
                    lives.append((50 - entry if length is None else min(50 - entry, length), False))
            wanted += [(value, *row[:4], pytest.approx(row[4])) for row in curve(lives)]
        assert funnel.survival(step).pl().rows() == wanted
        assert funnel.times(step).pl().columns == ["breakdown", "quantile", "seconds"]


def test_unknown_step(log: el.EventLog) -> None:
    """A step that there is not is refused with those that there are."""
    funnel = log.funnel(["A", "B"])
    for ask in (funnel.times, funnel.survival):
        with pytest.raises(InvalidArgument) as raised:
            ask(3)
        assert "1 A, 2 B" in raised.value.hint
