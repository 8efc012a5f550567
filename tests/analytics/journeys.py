"""Funnels in slow plain Python: each entry is followed by itself, event by event. The oracle of the tests of funnels."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SECOND = 1_000_000


@dataclass(frozen=True)
class Seen:
    """An event; ``moment`` in microseconds, ``fields`` its payload, ``who`` who acts."""

    who: str | None
    kind: str
    moment: int
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A step: which events can be it."""

    kind: str
    holds: Callable[[Seen], bool] = lambda _: True
    within_previous: int | None = None
    optional: bool = False


@dataclass(frozen=True)
class Ask:
    """A funnel's options; times in microseconds."""

    stages: tuple[Stage, ...]
    within: int | None = None
    entry: str = "best"
    order: str = "ordered"
    stops: tuple[tuple[str, int, int], ...] = ()
    hold: str | None = None
    breakdown: Callable[[Seen], Any] = lambda _: None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class Element:
    """An event as its actor's sequence has it."""

    moment: int
    steps: tuple[int, ...]
    stops: tuple[int, ...]
    enters: bool
    value: Any

    def place(self) -> tuple[Any, ...]:
        """Return where it stands: at one instant first what is no step, then the steps in their order."""
        bits = sum(1 << (step - 1) for step in self.steps)
        return (self.moment, min(self.steps, default=0), bits, self.stops, self.enters, key(self.value))


@dataclass(frozen=True)
class Way:
    """What became of an entry: the moment of each step, None where it was not passed."""

    who: str
    entry: int
    moments: tuple[int | None, ...]
    value: Any

    @property
    def level(self) -> int:
        """The furthest step."""
        return max(step for step, moment in enumerate(self.moments, start=1) if moment is not None)


def key(value: Any) -> tuple[bool, Any]:
    """Return what a value is sorted by: nothing is the greatest."""
    return (value is None, 0 if value is None else value)


def ways(events: Sequence[Seen], ask: Ask) -> list[Way]:
    """Return the entries that count and what became of them."""
    found: list[Way] = []
    for who in sorted({seen.who for seen in events if seen.who is not None}):
        tried = [
            way
            for part in _sequences([seen for seen in events if seen.who == who], ask)
            for way in _tried(who, part, ask)
        ]
        if ask.entry == "all":
            found += tried
        elif tried:
            found.append(max(tried, key=lambda way: _rank(way, ask)))
    return found


def _rank(way: Way, ask: Ask) -> tuple[Any, ...]:
    rest = (tuple(map(key, way.moments)), key(way.value))
    return (way.level, way.entry, *rest) if ask.entry == "best" else (-way.entry, way.level, *rest)


def _sequences(events: Sequence[Seen], ask: Ask) -> Iterator[list[Element]]:
    """Yield the sequences of an actor, one for each value that is held."""
    kinds = {stage.kind for stage in ask.stages} | {kind for kind, _, _ in ask.stops}
    if ask.hold is None:
        yield sorted((_element(seen, ask) for seen in events), key=Element.place)
        return
    own = [seen for seen in events if seen.kind in kinds and ask.hold in seen.fields]
    others = [seen for seen in events if seen not in own]
    for value in sorted({seen.fields[ask.hold] for seen in own} - {None}):
        mine = [seen for seen in own if seen.fields[ask.hold] == value]
        yield sorted((_element(seen, ask) for seen in [*mine, *others]), key=Element.place)
    for seen in own:
        if seen.fields[ask.hold] is None:
            yield [_element(seen, ask)]


def _element(seen: Seen, ask: Ask) -> Element:
    steps = tuple(
        step for step, stage in enumerate(ask.stages, start=1) if stage.kind == seen.kind and stage.holds(seen)
    )
    ranged = (ask.since is None or seen.moment >= ask.since) and (ask.until is None or seen.moment < ask.until)
    enters = ranged and (bool(steps) if ask.order == "any" else 1 in steps)
    stops = tuple(bit for bit, (kind, _, _) in enumerate(ask.stops) if kind == seen.kind)
    return Element(seen.moment, steps, stops, enters, ask.breakdown(seen))


def _tried(who: str, sequence: list[Element], ask: Ask) -> list[Way]:
    """Return the entry of a sequence that counts, or all of its attempts."""
    if ask.order in {"ordered", "any"}:
        sequence = [element for element in sequence if element.steps or element.stops]
    if ask.since is not None:
        sequence = [element for element in sequence if element.moment >= ask.since]
    entries = [place for place, element in enumerate(sequence) if element.enters]
    follow = _gathered if ask.order == "any" else _followed

    def way(place: int) -> Way:
        moments = follow(sequence, place, ask)[0]
        padded = (*moments, *[None] * (len(ask.stages) - len(moments)))
        return Way(who, sequence[place].moment, padded, sequence[place].value)

    if ask.entry == "all":
        made, place = [], 0
        while place is not None and (entry := next((one for one in entries if one >= place), None)) is not None:
            made.append(way(entry))
            place = follow(sequence, entry, ask)[1]  # type: ignore[assignment]
        return made
    if not entries:
        return []
    if ask.order == "strict_order":
        sequence = sequence[: _halt(sequence, entries[:1] if ask.entry == "first" else entries, ask)]
    if ask.entry == "first":
        return [way(entries[0])]
    tried = [way(entry) for entry in entries if entry < len(sequence)]
    if ask.order == "any":
        return tried
    return [max(enumerate(tried), key=lambda one: (one[1].level, one[0]))[1]]


def _sources(step: int, ask: Ask) -> list[int]:
    """Return the steps from which one can come to another, the nearest first."""
    found = []
    for source in range(step - 1, 0, -1):
        found.append(source)
        if not ask.stages[source - 1].optional:
            break
    return found


def _followed(  # noqa: C901 - one rule a line
    sequence: list[Element], start: int, ask: Ask
) -> tuple[tuple[int | None, ...], int | None]:
    """Return the moments of an entry's steps, and where the next attempt may begin; None: nowhere."""
    entry, last = sequence[start].moment, len(ask.stages)
    reached: dict[int, tuple[int, tuple[int | None, ...]]] = {1: (entry, (entry,))}
    best: tuple[int | None, ...] = (entry,)

    def near(source: int, step: int, moment: int) -> bool:
        limit = ask.stages[step - 1].within_previous
        return source in reached and (limit is None or moment - reached[source][0] <= limit)

    for place in range(start + 1, len(sequence)):
        now = sequence[place]
        going = any(near(source, step, now.moment) for step in range(2, last + 1) for source in _sources(step, ask))
        if len(best) == last or (ask.within is not None and now.moment - entry > ask.within) or not going:
            return best, place
        if ask.order == "strict_order" and ask.entry == "all" and not _fits(now, set(reached), ask):
            return best, None
        for _, first, end in (ask.stops[bit] for bit in now.stops):
            if first <= len(best) < end:
                return best, place + 1
            for step in range(first, end):
                reached.pop(step, None)
        moved = {}
        for step in now.steps:
            source = next((one for one in _sources(step, ask) if near(one, step, now.moment)), None)
            if source is not None:
                path = reached[source][1]
                padded = (*path, *[None] * (step - 1 - len(path)), now.moment)
                moved[step] = (now.moment, reached[step][1] if step in reached else padded)
        if ask.order == "strict":
            if not moved:
                return best, place
            reached = moved
        reached.update(moved)
        if max(reached) > len(best):
            best = reached[max(reached)][1]
    return best, len(sequence)


def _fits(now: Element, known: set[int], ask: Ask) -> bool:
    """Tell whether an event is a step to whose step before some attempt has come, or an entry's."""
    return any(step == 1 or known & set(_sources(step, ask)) for step in now.steps)


def _halt(sequence: list[Element], entries: list[int], ask: Ask) -> int:
    """Return how many events count before the first that does not fit."""
    last, known = len(ask.stages), {}
    for place, now in enumerate(sequence):
        if known and not _fits(now, set(known), ask):
            return place
        moved = {}
        for step in now.steps:
            for entry in [one for source in _sources(step, ask) for one in known.get(source, ())]:
                if ask.within is None or now.moment - entry[0] <= ask.within:
                    moved.setdefault(step, set()).add(entry)
        for step, found in moved.items():
            known.setdefault(step, set()).update(found)
        if place in entries:
            known.setdefault(1, set()).add((now.moment, place))
        assert len(known) <= last
    return len(sequence)


def _gathered(sequence: list[Element], start: int, ask: Ask) -> tuple[tuple[int | None, ...], int | None]:
    """Return the same where the steps may come in any order."""
    entry = sequence[start]
    done, moments = {max(entry.steps)}, [entry.moment]
    for place in range(start + 1, len(sequence)):
        now = sequence[place]
        if len(done) == len(ask.stages) or (ask.within is not None and now.moment - entry.moment > ask.within):
            return tuple(moments), place
        if any(first <= len(done) < end for _, first, end in (ask.stops[bit] for bit in now.stops)):
            return tuple(moments), place + 1
        if free := set(now.steps) - done:
            done.add(max(free))
            moments.append(now.moment)
    return tuple(moments), len(sequence)


def rows(found: Sequence[Way], ask: Ask, complete: int | None, value: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a funnel from step to step, of the entries with a value."""
    mine = [way for way in found if way.value == value]
    listed = []
    total = len(cell(mine, ask, complete, 1, "mature"))
    for step in range(1, len(ask.stages) + 1):
        count = {outcome: len(cell(mine, ask, complete, step, outcome)) for outcome in OUTCOMES}
        before = _before(step, ask)
        lasted = [
            (way.moments[step - 1] - way.moments[before - 1]) / SECOND  # type: ignore[operator]
            for way in cell(mine, ask, complete, step, "converted")
        ]
        rate = count["converted"] / count["mature"] if count["mature"] else None
        of_all = count["converted"] / total if total else None
        median = statistics.median(lasted) if lasted and step > 1 else None
        listed.append((step, *(count[outcome] for outcome in OUTCOMES), rate, of_all, median))
    return listed


OUTCOMES = ("entered", "mature", "converted", "dropped", "pending", "converted_early", "reached")


def _before(step: int, ask: Ask) -> int:
    if step == 1:
        return 1
    return step - 1 if ask.order == "any" else _sources(step, ask)[-1]


def cell(found: Sequence[Way], ask: Ask, complete: int | None, step: int, outcome: str) -> list[Way]:
    """Return the entries behind a cell."""
    kept = []
    for way in found:
        entered = way.moments[_before(step, ask) - 1] is not None
        reached = way.moments[step - 1] is not None
        mature = ask.within is None or (complete is not None and way.entry + ask.within <= complete)
        holds = {
            "entered": entered,
            "mature": entered and mature,
            "converted": mature and reached,
            "dropped": entered and mature and not reached,
            "pending": entered and not mature and not reached,
            "converted_early": reached and not mature,
            "reached": reached,
        }
        if holds[outcome]:
            kept.append(way)
    return kept


def named(found: Sequence[Way]) -> Counter[tuple[str, int]]:
    """Return actors and entries as they can be compared."""
    return Counter((way.who, way.entry) for way in found)
