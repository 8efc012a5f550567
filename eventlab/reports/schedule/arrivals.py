"""Arrivals: what a log has got since a report was made from it that changes what is known of the report's moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventlab.log import EventLog
    from eventlab.moments import Basis

# one pass over what is new, however many bases are asked about: what came beyond a position came between it and the next one
# that is asked about, or beyond that; if the earliest of it is of the moment or before, it is of the moment
_ARRIVALS = """
with asked as (
    select unnest($ids::bigint[]) as id, unnest($positions::bigint[]) as position, unnest($corrected::boolean[]) as corrected,
        coalesce(make_timestamptz(unnest($ats::bigint[])), 'infinity'::timestamptz) as moment
),
marks as (select distinct position from asked),
undone as materialized (
    select undoing.position, undoing.occurred_at as undone_at, event.occurred_at
    from events as undoing join events as event on event.event_id = undoing.compensates
),
came as (
    select position, occurred_at as late, null::timestamptz as undone from events where position > $first
    union all
    select position, null, occurred_at from undone where position > $first
),
between_marks as (
    select marks.position, min(late) as late, min(undone) as undone
    from came asof join marks on came.position > marks.position group by marks.position
),
beyond as (
    select position, min(late) over further as late, min(undone) over further as undone
    from marks left join between_marks using (position) window further as (order by position desc)
),
undone_later as (select occurred_at, max(undone_at) over (order by occurred_at) as undone_at from undone)
select
    id, coalesce(beyond.late <= moment, false) as late,
    coalesce(beyond.undone <= moment, false)
    -- a view that is not corrected shows what was undone after its moment, even if that was known
    or coalesce(undone_later.undone_at > moment and not corrected, false) as undone
from asked join beyond using (position) asof left join undone_later on asked.moment >= undone_later.occurred_at
order by id
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came since a basis: events of its time that were recorded ``late``, and compensations of events that it sees."""

    late: bool
    undone: bool

    def __bool__(self) -> bool:
        return self.late or self.undone

    @property
    def told(self) -> str:
        """What came, in words.

        Examples
        --------
        >>> Arrival(late=True, undone=True).told
        'events were recorded late, events were compensated'
        """
        parts = {"events were recorded late": self.late, "events were compensated": self.undone}
        return ", ".join(text for text, came in parts.items() if came)


def arrivals(log: EventLog, bases: Sequence[Basis], *, head: int) -> list[Arrival]:
    """Return for each basis of a log what came since, up to the position ``head``, by one query.

    A basis that is not corrected is compared with the corrected view of its moment: an event that it shows and that was undone
    after its moment counts, even if that was recorded by then.
    """
    if not bases:
        return []
    params = {
        "ids": list(range(len(bases))),
        "positions": [basis.position for basis in bases],
        "corrected": [basis.corrected for basis in bases],
        "ats": [basis.at for basis in bases],
        "first": min(basis.position for basis in bases),
    }
    return [Arrival(late, undone) for _, late, undone in log.at(head).sql(_ARRIVALS, params).fetchall()]
