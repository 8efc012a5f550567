"""Two results of one kind beside each other, cell by cell, with an interval of the difference.

Rates have Newcombe's hybrid score interval (method 10 of R. G. Newcombe, *Interval estimation for the difference between
independent proportions*, Statistics in Medicine 17, 1998), which is made of the two Wilson score intervals (E. B. Wilson,
*Probable inference, the law of succession, and statistical inference*, JASA 22, 1927). Other numbers have the interval
between two quantiles of a bootstrap over actors (``resamples``).
"""

from __future__ import annotations

import datetime as dt
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eventlab import moments, queries
from eventlab.analytics import processes, resamples, sequences
from eventlab.analytics.analyses import Analysis
from eventlab.errors import InvalidArgument
from eventlab.session.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import polars as pl

    from eventlab.analytics.questions import Question
    from eventlab.analytics.resamples import Medians, Sums

_COMPARED = """
select cell, a, b, difference, low, high
from (values {rows}) as compared (place, cell, a, b, difference, low, high)
{nothing}order by place
"""
_NOTHING = "(0, '', null::double, null::double, null::double, null::double, null::double)"
_DEFINITION = (
    "difference is a - b; from low to high is its interval of {level:.4g} %: for rates Newcombe's hybrid score interval "
    "(method 10 of 1998), which takes the two for independent samples; for other numbers the middle of {draws} Poisson "
    "bootstraps over actors.{sides}"
)
Floats = npt.NDArray[np.float64]
Drawn = Mapping[str, Floats]  # numbers by cell: what is, and after it what was drawn
Count = tuple[float, float]  # of so many the second, so many: hits, of
Row = tuple[str, float | None, float | None, float | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two that are compared: a result, or what it has for one value of its breakdown."""

    result: Result
    segment: tuple[object, ...] = ()  # empty: the whole

    def frame(self) -> pl.DataFrame:
        """Return the rows, those of the segment without their breakdown."""
        import polars as pl  # noqa: PLC0415 - so that import eventlab stays light

        frame = self.result.pl()
        if not self.segment:
            return frame
        (value,) = self.segment
        rows = frame.filter(pl.col("breakdown").cast(pl.String).eq_missing(None if value is None else str(value)))
        if rows.is_empty():
            known = ", ".join(map(repr, frame["breakdown"].unique(maintain_order=True).to_list()[:10]))
            raise InvalidArgument(f"no breakdown {value!r}", hint=f"There are: {known}")
        return rows.drop("breakdown")

    def question(self) -> Question:
        """Return what the result was asked of."""
        question = self.result.question if isinstance(self.result, Analysis) else None
        if question is None:
            raise InvalidArgument(
                f"this {self.result.kind} does not know its events",
                hint="Compare what log.trend(…) and the like return.",
            )
        return question


def compare(
    a: Result, b: Result | None = None, *, between: tuple[object, object] | None = None, level: float = 0.95
) -> Analysis:
    """Compare two results of one kind, or two values of a breakdown, and return the difference of each number.

    Columns: ``cell`` (which number), ``a``, ``b``, ``difference`` (a - b), ``low`` and ``high`` (its interval). A number that
    only one of the two has is NULL in the other, and so is its difference; the share of a variant, a move or an edge that one
    of them does not have is 0 there, unless it hides some by a threshold.

    Compared are: of a funnel ``rate`` and ``rate_total`` of each step after the first, among the mature entries; of a retention
    ``rate`` of each cohort and offset, among the eligible; ``share`` of variants, paths, stickiness and process maps, and the
    ``median_seconds`` of the latter; four means over sessions; ``value`` of a trend whose measure is made of counts, sums and
    means.

    Rates have Newcombe's hybrid score interval, which is right where the two are independent: other actors, or other times;
    funnels with ``entry="all"`` count attempts, which are not independent of each other. Other numbers have the interval between
    two quantiles of 500 Poisson bootstraps over actors, drawn the same way each time. An actor that is on both sides is drawn
    on both, so the interval is of the paired difference. Its time and memory grow with the actors and cells: a million
    contributions of actors to cells take about ten seconds.

    Parameters
    ----------
    a, b
        What ``log.funnel(…)``, ``log.retention(…)`` and so on return; of any logs and moments.
    between
        Two values of the breakdown of ``a``, instead of ``b``.
    level
        The probability that the interval stands for, between 0 and 1.

    Raises
    ------
    InvalidArgument
        If the two are not of one kind, or of one that cannot be compared; if the measure of a trend is not made of counts, sums
        and means; if an option is not of its form.

    Examples
    --------
    >>> import tempfile, eventlab as el
    >>> log = el.open(tempfile.mkdtemp(), create=True)
    >>> for number in range(150):
    ...     kinds = ["Seen", "Bought"] if number < 56 or number >= 102 else ["Seen"]
    ...     _ = log.append(f"{'new' if number < 70 else 'old'}-{number}", [el.Event(kind) for kind in kinds])
    >>> new, old = (log.variants(where=f"category = '{name}'") for name in ("new", "old"))
    >>> for row in el.compare(new, old).pl().rows():
    ...     print(row[0], *(round(number, 4) for number in row[1:]))
    Seen → Bought: share 0.8 0.6 0.2 0.0524 0.3339
    Seen: share 0.2 0.4 -0.2 -0.3339 -0.0524
    """
    _check(a, b, between, level)
    sides = (_Side(a, (between[0],)), _Side(a, (between[1],))) if between else (_Side(a), _Side(b or a))
    kind = a.kind
    rows: list[Row] = []
    if kind in _RATES:
        first, second = (_RATES[kind](side.frame()) for side in sides)
        if kind in _PARTS:
            first, second = _filled(first, second, sides[0]), _filled(second, first, sides[1])
        rows += list(_rates(first, second, level))
    if kind in _DRAWN:
        rows += list(_draws(_DRAWN[kind](sides[0]), _DRAWN[kind](sides[1]), level))
    return _answer(sides, rows, level)


def wilson(hits: float, of: float, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion, without continuity correction.

    Examples
    --------
    >>> [round(end, 4) for end in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    z = statistics.NormalDist().inv_cdf(0.5 + level / 2)
    middle, half = hits + z * z / 2, z * math.sqrt(max(hits * (of - hits) / of, 0.0) + z * z / 4)
    return max(0.0, (middle - half) / (of + z * z)), min(1.0, (middle + half) / (of + z * z))


def newcombe(a: Count, b: Count, level: float = 0.95) -> tuple[float, float]:
    """Return Newcombe's hybrid score interval of the difference of two independent proportions.

    Examples
    --------
    >>> [round(end, 4) for end in newcombe((56, 70), (48, 80))]
    [0.0524, 0.3339]
    """
    (low_a, high_a), (low_b, high_b) = wilson(*a, level), wilson(*b, level)
    rate_a, rate_b = a[0] / a[1], b[0] / b[1]
    below, above = math.hypot(rate_a - low_a, high_b - rate_b), math.hypot(high_a - rate_a, rate_b - low_b)
    return rate_a - rate_b - below, rate_a - rate_b + above


def _check(a: object, b: object, between: object, level: object) -> None:
    """Raise InvalidArgument unless the two can be compared."""
    for side in (a, *([b] if between is None else [])):
        if not isinstance(side, Result):
            raise InvalidArgument(
                f"{type(side).__name__} is no result",
                hint="Compare two results: el.compare(log.funnel(…), log.funnel(…)).",
            )
        if side.kind not in {*_RATES, *_DRAWN}:
            raise InvalidArgument(
                f"a {side.kind} cannot be compared", hint=f"Compared are: {', '.join(sorted({*_RATES, *_DRAWN}))}."
            )
    if isinstance(b, Result) and isinstance(a, Result) and a.kind != b.kind:
        raise InvalidArgument(f"a {a.kind} and a {b.kind} have no numbers in common", hint="Compare two of one kind.")
    if between is not None and (b is not None or not isinstance(between, tuple | list) or len(between) != 2):  # noqa: PLR2004
        raise InvalidArgument(
            f"between is {between!r}", hint='Give two values of the breakdown, and no b: between=("DE", "US").'
        )
    if between is not None and isinstance(a, Result) and a.facts.get("breakdown") is None:
        raise InvalidArgument("between: the result has no breakdown", hint='Ask with one: breakdown="country".')
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise InvalidArgument(f"level is {level!r}", hint="Give it between 0 and 1, like 0.95.")


def _rates(a: Mapping[str, Count], b: Mapping[str, Count], level: float) -> Iterator[Row]:
    """Yield the rows of rates."""
    for cell in dict.fromkeys([*a, *b]):
        first, second = (_known(side.get(cell)) for side in (a, b))
        if first is None or second is None:
            yield cell, first and first[0] / first[1], second and second[0] / second[1], None, None, None
            continue
        rate_a, rate_b = first[0] / first[1], second[0] / second[1]
        yield (cell, rate_a, rate_b, rate_a - rate_b, *newcombe(first, second, level))


def _filled(own: dict[str, Count], other: Mapping[str, Count], side: _Side) -> dict[str, Count]:
    """Return the shares of a side with those that it has no rows of, which are of nobody, if it shows all that there are."""
    if not own or getattr(side.result, "coverage", 1.0) < 1:
        return own
    total = next(iter(own.values()))[1]
    return {**own, **{cell: (0, total) for cell in other if cell not in own}}


def _known(count: Count | None) -> Count | None:
    """Return a count if it is of any."""
    return count if count is not None and count[1] else None


def _draws(a: Drawn, b: Drawn, level: float) -> Iterator[Row]:
    """Yield the rows of numbers that were drawn."""
    for cell in dict.fromkeys([*a, *b]):
        first, second = a.get(cell), b.get(cell)
        value_a, value_b = _value(first), _value(second)
        if first is None or second is None or value_a is None or value_b is None:
            yield cell, value_a, value_b, None, None, None
            continue
        between = first[1:] - second[1:]
        known = between[~np.isnan(between)]  # a draw may leave a cell without actors
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]) if len(known) else (None, None)
        yield cell, value_a, value_b, value_a - value_b, low, high


def _value(drawn: Floats | None) -> float | None:
    """Return the number as it is, which stands before those that were drawn; None if there is none."""
    return None if drawn is None or np.isnan(drawn[0]) else float(drawn[0])


def _funnel(frame: pl.DataFrame) -> dict[str, Count]:
    """Return the rates of a funnel: of those who came to the step before, and of all mature entries."""
    cells: dict[str, Count] = {}
    entries: dict[str, float] = {}
    for row in frame.to_dicts():
        part = f"{row['breakdown']}, " if "breakdown" in row else ""
        name = f"{part}step {row['step']} {row['event']}"
        mature = entries.setdefault(part, row["mature"] or 0)  # the first step's: all entries
        if row["step"] == 1:
            continue  # its rates are 1 by definition
        cells[f"{name}: rate"] = (row["converted"] or 0, row["mature"] or 0)
        cells[f"{name}: rate_total"] = (row["converted"] or 0, mature)
    return cells


def _retention(frame: pl.DataFrame) -> dict[str, Count]:
    return {
        f"{row['cohort']}, offset {row['offset']}: rate" if "cohort" in row else f"offset {row['offset']}: rate": (
            row["returned"],
            row["eligible"],
        )
        for row in frame.to_dicts()
    }


def _shares(name: Callable[[dict[str, Any]], str], count: str) -> Callable[[pl.DataFrame], dict[str, Count]]:
    """Return what reads the shares of a frame: each is of the same actors, who are told from any row."""

    def read(frame: pl.DataFrame) -> dict[str, Count]:
        rows = frame.to_dicts()
        total = next((round(row[count] / row["share"]) for row in rows if row["share"]), 0)
        return {f"{name(row)}: share": (row[count], total) for row in rows}

    return read


def _drawn(sample: Sums | Medians) -> dict[Any, Floats]:
    """Return the drawn values by cell."""
    values = sample.drawn()
    return {cell: values[:, number] for number, cell in enumerate(sample.cells)}


def _sessions(side: _Side) -> Drawn:
    facts = side.result.facts
    return _drawn(resamples.visits_of(side.question(), facts["gap"] // moments.MICROSECOND, facts["split"]))


def _process_map(side: _Side) -> Drawn:
    facts = side.result.facts
    kept = None if facts["only"] is None else tuple(facts["only"])
    rules = sequences.Cleaning(kept, facts["rename"], facts["collapse"], frozenset())
    shown = {(row["source"], row["target"]) for row in side.frame().to_dicts()}
    drawn = _drawn(resamples.waits_of(side.question(), rules, processes.links()))
    return {f"{_move(edge)}: median_seconds": values for edge, values in drawn.items() if edge in shown}


def _trend(side: _Side) -> Drawn:
    facts = side.result.facts
    if facts.get("top") is not None:
        raise InvalidArgument(
            "a trend with top=… cannot be compared", hint="Ask without it: all values have rows then."
        )
    frame, rows = side.result.pl(), side.frame().to_dicts()
    periods = {start: number for number, start in enumerate(frame["period_start"].unique().sort().to_list())}
    starts = [(start.astimezone(dt.UTC) - moments.EPOCH) // moments.MICROSECOND for start in periods]
    if not starts:
        return {}
    found = _drawn(resamples.trend_of(side.question(), facts["measure"], facts["breakdown"], starts))
    cells = {}
    for row in rows:
        part = row["breakdown"] if "breakdown" in row else side.segment[0] if side.segment else None
        what = f"{row['period_start']:%Y-%m-%d %H:%M}" + (f", {part}" if "breakdown" in row else "")
        still = np.full(resamples.DRAWS + 1, np.nan if row["value"] is None else float(row["value"]))
        drawn = found.get((periods[row["period_start"]], part))
        cells[f"{what}: value"] = still if drawn is None else drawn  # without events it is the same in every draw
    return cells


def _move(edge: Sequence[str | None]) -> str:
    source, target = edge
    return f"{source or '(start)'} → {target or '(end)'}"


def _answer(sides: Sequence[_Side], rows: Sequence[Row], level: float) -> Analysis:
    """Return the comparison as a result whose SQL has its numbers."""
    a = sides[0].result
    values = [
        f"({place}, {queries.literal(cell)}, {', '.join(map(_number, numbers))})"
        for place, (cell, *numbers) in enumerate(rows)
    ]
    text = queries.fill(_COMPARED, rows=values or [_NOTHING], nothing="" if rows else "where false\n")
    told = [f"{name}: {_told(side)}" for name, side in zip("ab", sides, strict=True)]
    definition = _DEFINITION.format(
        level=level * 100, draws=resamples.DRAWS, sides="".join(f" {text}" for text in told)
    )
    question = a.question if isinstance(a, Analysis) else None
    facts = {"of": a.kind, "level": level, "definition": definition, "basis": getattr(a, "basis", "")}
    return Analysis(
        queries.connect().sql(text) if question is None else question.run(text),
        text,
        "comparison",
        facts,
        a.charter,
        definition=definition,
        basis=getattr(a, "basis", ""),
        complete_through=getattr(a, "complete_through", None),
        question=question,
    )


def _told(side: _Side) -> str:
    """Return what a side is, in words."""
    part = f"breakdown {side.segment[0]!r} of " if side.segment else ""
    return part + (str(getattr(side.result, "definition", "")) or f"a {side.result.kind}")


def _number(value: float | None) -> str:
    """Return the SQL of a number, to the last digit."""
    return "null::double" if value is None else f"{queries.literal(repr(float(value)))}::double"


_RATES: dict[str, Callable[[pl.DataFrame], dict[str, Count]]] = {
    "funnel": _funnel,
    "retention": _retention,
    "retention_mean": _retention,
    "variants": _shares(lambda row: " → ".join(row["variant"]), "cases"),
    "paths": _shares(lambda row: f"step {row['step']} {_move((row['source'], row['target']))}", "actors"),
    "process_map": _shares(lambda row: _move((row["source"], row["target"])), "cases"),
    "stickiness": _shares(lambda row: f"{row['periods_active']} periods", "actors"),
}
_PARTS = frozenset({"variants", "paths", "process_map", "stickiness"})  # what has no row is nobody's
_DRAWN: dict[str, Callable[[_Side], Drawn]] = {
    "sessions": _sessions,
    "process_map": _process_map,
    "trend": _trend,
}
