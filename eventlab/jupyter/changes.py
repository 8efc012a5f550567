"""What lies between two stops of a time machine: the events, and what of the state or the picture is another."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from eventlab import moments, queries
from eventlab.jupyter import pictures

if TYPE_CHECKING:
    import datetime as dt

    from eventlab.jupyter.pictures import Picture
    from eventlab.jupyter.tracks import Source
    from eventlab.session.results import Result

_SHOWN = 100  # rows of each
_CHANGES = ("added", "removed", "changed")
_BETWEEN = """
with lying as (
    select position, occurred_at, recorded_at, stream_id, event_type, payload from events where {seen_by_one}
),
counted as (select event_type, count(*) as events from lying group by all)
select lying.occurred_at, lying.event_type, lying.stream_id, lying.payload, null::bigint as events
from (from lying order by {clock}, position limit {shown}) as lying
union all
select null, event_type, null, null, events from counted
"""
_ONE_CLOCK = """
occurred_at > make_timestamptz($early_at) and occurred_at <= make_timestamptz($late_at)
and position <= $late_position and position > $early_position
"""
_EITHER = """
(occurred_at <= make_timestamptz($early_at) and position <= $early_position)
<> (occurred_at <= make_timestamptz($late_at) and position <= $late_position)
"""
_COUNT, _NUMBER = "eventlab_count", "eventlab_number"
_NUMBERED = f"""
*, count(*) over (partition by change) as {_COUNT}, row_number() over (partition by change) as {_NUMBER}
"""
_BEGINNING = -(2**42) * 1000  # before every event: the year -137,000


@dataclass(frozen=True, slots=True)
class Stop:
    """A moment on both clocks at which a time machine stands.

    Attributes
    ----------
    at
        The instant in valid time.
    known
        The instant in system time; None: all that is recorded.
    basis
        The basis token of both.
    position
        The last position that is seen.
    """

    at: int
    known: int | None
    basis: str
    position: int


def events(source: Source, before: Stop, after: Stop, zone: dt.tzinfo) -> dict[str, Any]:
    """Return the events that one of two stops sees and the other does not: how many of each type, and the first of them."""
    early, late = sorted((before, after), key=lambda stop: (stop.at, stop.position))
    params: dict[str, object] = {
        "early_at": early.at,
        "late_at": late.at,
        "early_position": early.position,
        "late_position": late.position,
    }
    seen_by_one = _EITHER
    if early.position == late.position:
        seen_by_one, params["early_position"] = _ONE_CLOCK, 0
    elif early.at == late.at:
        seen_by_one, params["early_at"] = _ONE_CLOCK, _BEGINNING
    clock = "recorded_at" if early.at == late.at else "occurred_at"
    text = queries.fill(_BETWEEN, seen_by_one=seen_by_one, clock=clock, shown=str(_SHOWN))
    frame: pl.DataFrame = source.sql(text, params).pl()
    counts = frame.filter(pl.col("events").is_not_null()).sort("events", "event_type", descending=[True, False])
    rows = frame.filter(pl.col("events").is_null()).drop("events")
    total = int(counts["events"].sum())
    return {
        "counts": counts.select("event_type", "events").rows(),
        "table": _table(pictures.table(rows, total=total, zone=zone)) if total else None,
    }


def state(difference: Result, zone: dt.tzinfo) -> dict[str, Any]:
    """Return how many rows of a state were added, removed and changed, and the first of them, with what changed in a line."""
    numbered = difference.relation.project(_NUMBERED).filter(f"{_NUMBER} <= {_SHOWN}")
    with queries.explained(text=difference.sql):
        frame: pl.DataFrame = numbered.pl()
    counts = Counter(dict(frame.select("change", _COUNT).unique().rows()))
    names = [name.removesuffix("_before") for name in frame.columns if name.endswith("_before")]
    keys = frame.columns[: frame.columns.index("change")]
    rows = [
        {**{key: row[key] for key in keys}, "change": row["change"], "what": _what(row, names, zone)}
        for row in frame.iter_rows(named=True)
    ]
    rows.sort(key=lambda row: (_CHANGES.index(row["change"]), *(str(row[key]) for key in keys)))
    listed = pl.DataFrame(rows, infer_schema_length=None, strict=False) if rows else None
    return {
        "counts": _counted(counts),
        "table": _table(pictures.table(listed, total=counts.total(), zone=zone)) if listed is not None else None,
        "note": "" if rows else "nothing",
    }


def shown(before: Picture, after: Picture) -> dict[str, Any] | None:
    """Return what differs between two pictures: of numbers by how much, of tables the rows that are shown; None of charts."""
    if before.kind != after.kind or before.kind == "chart":
        return None
    if before.kind == "number":
        more = after.data["value"] - before.data["value"]
        return {
            "counts": [],
            "table": None,
            "note": f"{before.data['text']} → {after.data['text']} ({more:+,.6g})" if more else "nothing",
        }
    if before.kind == "text":
        return {"counts": [], "table": None, "note": "nothing" if before == after else "another text"}
    if before.form != after.form:
        return {"counts": [], "table": None, "note": "other columns"}
    old, new = (Counter(map(tuple, side.data["rows"])) for side in (before, after))
    rows = [["added", *row] for row in (new - old).elements()] + [["removed", *row] for row in (old - new).elements()]
    counts = Counter(row[0] for row in rows)
    form = {"columns": [{"name": "change", "type": "text", "numeric": False}, *after.form["columns"]]}
    table = {"form": form, "data": {"rows": rows[:_SHOWN], "total": len(rows)}} if rows else None
    return {"counts": _counted(counts), "table": table, "note": "" if rows else "nothing"}


def written(instant: int, zone: dt.tzinfo) -> str:
    """Return an instant as a person writes it in the log's zone, with no more digits than it needs.

    Examples
    --------
    >>> import datetime as dt
    >>> written(1_360_360_800_000_000, dt.UTC), written(1_360_281_600_000_000, dt.UTC)
    ('2013-02-08 22:00', '2013-02-08')
    """
    moment = moments.moment_of(instant, zone)
    text = moment.replace(tzinfo=None).isoformat(sep=" ")
    text = text.removesuffix(":00").removesuffix(" 00:00") if not moment.microsecond else text
    return text if moments.instant(text, zone) == instant else moment.isoformat(sep=" ")


def told(since: Stop, here: Stop, zone: dt.tzinfo) -> str:
    """Return what a stop is called as seen from another, by the clock on which they differ: ``since 2013-02-08``."""
    if since.at != here.at:
        return f"since {written(since.at, zone)}" if since.at < here.at else f"from {written(since.at, zone)} back"
    return (
        f"against {'what is known now' if since.known is None else f'what was known at {written(since.known, zone)}'}"
    )


def _what(row: dict[str, Any], names: list[str], zone: dt.tzinfo) -> str:
    """Return in a line what of a row changed."""
    sides = [(name, row[f"{name}_before"], row[f"{name}_after"]) for name in names]
    if row["change"] != "changed":
        side = 2 if row["change"] == "added" else 1
        return " · ".join(f"{parts[0]} {_said(parts[side], zone)}" for parts in sides if parts[side] is not None)
    return " · ".join(f"{name} {_said(old, zone)} → {_said(new, zone)}" for name, old, new in sides if old != new)


def _said(value: object, zone: dt.tzinfo) -> str:
    return pictures.cell(value, zone, most=60) or "NULL"


def _counted(counts: Counter[str]) -> list[tuple[str, int]]:
    return [(what, counts[what]) for what in _CHANGES if counts[what]]


def _table(drawn: Picture) -> dict[str, Any]:
    return {"form": drawn.form, "data": drawn.data}
