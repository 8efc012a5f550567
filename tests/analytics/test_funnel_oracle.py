"""Funnels of every kind against the ways that plain Python follows, over random logs with ties, repeats, gaps and no actors."""

from __future__ import annotations

import datetime as dt
import random
import tempfile
from collections import Counter
from typing import Any

import journeys
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journeys import OUTCOMES, SECOND, Ask, Seen, Stage

import eventlab as el
from eventlab.analytics import funnels

START = dt.datetime(2026, 3, 8, 6, 59, 55, tzinfo=dt.UTC)  # the clocks of New York go forward five seconds later
BEGIN = int(START.timestamp()) * SECOND
KINDS = ("A", "B", "C", "R", "X")
BY = "nullif(stream_id, 'nobody')"


def history(chance: random.Random) -> list[tuple[str, el.Event, Seen]]:
    """Return events of a few actors, most of them steps, in the order in which they are appended."""
    made = []
    for number in range(chance.randint(1, 14)):
        who = "nobody" if number == 3 else f"actor-{number}"
        for _ in range(chance.choice((1, 3, 6, 9, 14))):
            kind = chance.choices(KINDS, (5, 4, 4, 1, 1))[0]
            moment = BEGIN + chance.randint(0, 14) * SECOND
            fields: dict[str, Any] = {"qty": chance.randint(0, 2), "country": chance.choice(("fr", "us", None))}
            if kind != "X":
                fields["order"] = chance.choice((1, 1, 2, None))
            event = el.Event(kind, fields, occurred_at=START + dt.timedelta(microseconds=moment - BEGIN))
            made.append((who, event, Seen(None if who == "nobody" else who, kind, moment, fields)))
    chance.shuffle(made)
    return made


def logged(events: list[tuple[str, el.Event, Seen]]) -> el.EventLog:
    """Return a log of events; each type is there with all of its fields."""
    log = el.open(tempfile.mkdtemp(), create=True, timezone="America/New_York")
    fields: dict[str, Any] = {"qty": "BIGINT", "country": "VARCHAR"}
    for kind in KINDS:
        log.define(kind, fields if kind == "X" else {**fields, "order": "BIGINT"})
    with log.transaction() as tx:
        for who, event, _ in events:
            tx.append(who, event)
    return log


def asked(chance: random.Random) -> tuple[Ask, dict[str, Any]]:
    """Return a funnel as the oracle takes it, and as ``log.funnel`` does."""
    entry, order = chance.choice(("best", "first", "all")), chance.choice(("ordered", "strict", "strict_order", "any"))
    kinds = chance.choice(("ABC", "AB", "ABC", "AAB", "ABA", "CBAC", "A", "ABCA"))
    within = chance.choice((None, 0.5, 2, 3, 5, 8)) if len(kinds) > 1 else None
    stages, steps = [], []
    for number, kind in enumerate(kinds):
        least = chance.choice((None, None, None, 1))
        optional = order != "any" and number > 0 and chance.random() < 0.2
        near = chance.choice((None, None, 2)) if order != "any" and number > 0 else None
        stages.append(
            Stage(
                kind,
                (lambda _: True) if least is None else (lambda seen: seen.fields["qty"] >= 1),
                near and near * SECOND,
                optional,
            )
        )
        where = None if least is None else "qty >= 1"
        steps.append(el.step(kind, where=where, within_previous=near and f"{near}s", optional=optional))
    stops, exclude = [], []
    if len(kinds) > 1 and chance.random() < 0.4:
        first = chance.randint(1, len(kinds) - 1)
        last = chance.randint(first + 1, len(kinds))
        stops, exclude = [("R", first, last)], [el.exclude("R", between=(first, last))]
    hold = "order" if chance.random() < 0.3 else None
    country = chance.random() < 0.4
    since = chance.choice((None, None, 4))
    until = chance.choice((None, None, 9))
    ask = Ask(
        tuple(stages),
        None if within is None else int(within * SECOND),
        entry,
        order,
        tuple(stops),
        hold,
        (lambda seen: seen.fields["country"]) if country else (lambda _: None),
        None if since is None else BEGIN + since * SECOND,
        None if until is None else BEGIN + until * SECOND,
    )
    options = {
        "steps": steps,
        "within": None if within is None else dt.timedelta(seconds=within),
        "entry": entry,
        "order": order,
        "exclude": exclude or None,
        "hold": hold,
        "breakdown": "coalesce(A.country, B.country, C.country)" if country else None,
        "since": None if since is None else START + dt.timedelta(seconds=since),
        "until": None if until is None else START + dt.timedelta(seconds=until),
    }
    return ask, options


def check(
    log: el.EventLog | el.LogView, seen: list[Seen], ask: Ask, options: dict[str, Any], complete: int | None
) -> None:
    """Assert that every number of a funnel, and who is behind it, is as the oracle has it."""
    given = {name: value for name, value in options.items() if name != "steps"}
    funnel = log.funnel(options["steps"], by=BY, **given)
    found = journeys.ways(seen, ask)
    frame = funnel.pl()
    assert log.sql(funnel.sql).pl().equals(frame)
    parted = options["breakdown"] is not None
    values = sorted({way.value for way in found}, key=journeys.key) if parted else [None]
    wanted = [
        (*([value] if parted else []), row[0], *row[1:])
        for value in values
        for row in journeys.rows(found, ask, complete, value)
    ]
    assert frame.drop("event").rows() == wanted
    for row in frame.to_dicts():
        assert row["entered"] == row["mature"] + row["pending"] + row["converted_early"]
        assert row["mature"] == row["converted"] + row["dropped"]
        assert row["reached"] == row["converted"] + row["converted_early"]
        outcome = OUTCOMES[hash((row["step"], len(found))) % len(OUTCOMES)]
        part = {"breakdown": row["breakdown"]} if parted else {}
        behind = funnel.actors(step=row["step"], outcome=outcome, **part).pl()
        mine = [way for way in found if not parted or way.value == row["breakdown"]]
        assert behind.height == row[outcome]
        moments = [int(moment.timestamp() * SECOND) for moment in behind["entered_at"]]
        assert Counter(zip(behind["actor"], moments, strict=True)) == journeys.named(
            journeys.cell(mine, ask, complete, row["step"], outcome)
        )
    if funnel.design is not None and options["entry"] == "best" and options["order"] == "ordered":
        assert log.sql(funnels.funnel_query(funnel.design, fast=False)).pl().equals(frame)


@pytest.mark.parametrize("part", range(4))
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_oracle(part: int, seed: int) -> None:
    """Every number, and who is behind it, is as when each entry is followed by itself."""
    chance = random.Random(seed * 4 + part)
    events = history(chance)
    seen = [one for _, _, one in events]
    with logged(events) as log:
        newest = max(one.moment for one in seen)
        for _ in range(4):
            check(log, seen, *asked(chance), newest)
        cut = newest - 3 * SECOND  # a view knows nothing of what comes after it
        view = log.at(dt.datetime.fromtimestamp(cut // SECOND, tz=dt.UTC))
        check(view, [one for one in seen if one.moment <= cut], *asked(chance), cut)
