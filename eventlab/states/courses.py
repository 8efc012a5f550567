"""The course of a state over time: a measure of the whole population as of the end of each bucket.

Each key's state is folded once for a bucket in which it has events, and holds until the next such bucket. Counts and exact sums
are accumulated from what begins and ceases to hold; any other measure is taken over all rows that hold in a bucket.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from eventlab import queries
from eventlab.errors import QueryError
from eventlab.states import folds
from eventlab.states.splits import is_aggregate

if TYPE_CHECKING:
    from eventlab.session import Scope
    from eventlab.states.splits import Split, Tree

_COUNTS = frozenset({"count", "count_star", "count_if", "countif"})

_HELD = """
with buckets as (
    select unnest(generate_series({first}, {last}, {step})) as eventlab_bucket
),
steps as (
    select
        {columns}, {bucket} as eventlab_start,
        lead({bucket}) over ({partition} order by {bucket}) as eventlab_until
    from {source} {where}
    window running as ({partition} order by {bucket} range unbounded preceding)
),
held as (  -- the last event of a key in a bucket stands for all of them
    select eventlab_start, eventlab_until, {outputs} from steps
    where eventlab_until is distinct from eventlab_start {having}
    {nothing}
)
"""
_NOTHING = """
union all
select '-infinity'::timestamp, (select min(eventlab_start) from steps), {outputs}
from (select {aggregates} from {source} where false) {having}
"""
_ANY = """
, measured as (
    select eventlab_bucket, {measure} as value
    from buckets join held
        on eventlab_start <= eventlab_bucket and (eventlab_until is null or eventlab_until > eventlab_bucket)
    group by eventlab_bucket
),
course as (
    select eventlab_bucket, case when measured.eventlab_bucket is null then nothing.value else measured.value end as value
    from buckets left join measured using (eventlab_bucket)
    cross join (select {measure} as value from held where false) as nothing
)
"""
_SUMS = """
, flows as (
    select eventlab_start as eventlab_bucket, {entering} from held group by 1
    union all
    select eventlab_until, {leaving} from held where eventlab_until is not null group by 1
    union all
    select eventlab_bucket, {none} from buckets
),
running as (select eventlab_bucket, {running} from flows group by eventlab_bucket),
course as (select eventlab_bucket, {value} as value from running semi join buckets using (eventlab_bucket))
"""
_COURSE = """
select {start} as bucket, value, {end} > {complete} as partial from course order by 1
"""


_FOLDED = """
with buckets as (
    select unnest(generate_series({first}, {last}, {step})) as eventlab_bucket
),
course as (select eventlab_bucket, (select {measure} from ({fold})) as value from buckets)
"""


def course(
    split: Split,
    scope: Scope,
    measure: Measure,
    *,
    every: str,
    whole_days: bool,
    since: str,
    until: str,
    complete: str,
    windows: bool = True,
) -> str:
    """Return the SELECT of ``bucket, value, partial``.

    Parameters
    ----------
    every
        The length of a bucket as an interval literal.
    whole_days
        Whether buckets are days of the session's time zone, or stretches of absolute time.
    since, until, complete
        SQL of instants: the first and the last bucket are those that hold the first two; one that ends after the last is
        not over yet.
    windows
        Whether the aggregates can be windows; else the state is folded from the beginning for each bucket.
    """
    local = "at time zone current_setting('TimeZone')" if whole_days else "at time zone 'UTC'"

    def bucket(instant: str) -> str:
        return f"time_bucket({every}, ({instant}) {local})"

    end = f"((eventlab_bucket + {every}) {local})"
    finish = queries.fill(_COURSE, start=f"(eventlab_bucket {local})", end=end, complete=complete)
    buckets = {"first": bucket(since), "last": bucket(until), "step": every}
    if not windows:
        fold = folds.plain(split, scope, by=f"occurred_at < {end}")
        return queries.fill(_FOLDED, **buckets, measure=measure.text, fold=fold) + finish
    held = queries.fill(
        _HELD,
        **buckets,
        bucket=bucket("occurred_at"),
        columns=[
            *(f"{text} as k{number}" for number, text in enumerate(split.keys)),
            *(f"{text} over running as a{number}" for number, text in enumerate(split.aggregates)),
        ],
        partition=f"partition by {', '.join(split.keys)}" if split.keys else "",
        source=folds.source(split, scope),
        where=folds.where(split),
        outputs=folds.outputs(split),
        having=f"and {split.having}" if split.having else "",
        nothing="" if split.keys else _nothing(split, scope),
    )
    return held + measure.sql + finish


class Measure:
    """A measure over the rows of a state: accumulated where it is made of counts and sums, else taken bucket by bucket."""

    def __init__(self, text: str) -> None:
        node = queries.syntax(f"select {text}")
        listed = node["select_list"]
        if (
            len(listed) != 1
            or node["from_table"]["type"] != "EMPTY"
            or not any(map(is_aggregate, queries.walk(listed)))
        ):
            raise QueryError(
                f"{text!r} is no measure",
                hint="Write one aggregate over the state's columns, like count(*) or sum(total).",
            )
        self.text = queries.rendered(listed[0])
        self.calls = [found for found in queries.walk(listed) if is_aggregate(found)]
        self._tree = listed[0]
        self.accumulated = all(_adds(call) for call in self.calls)

    @property
    def sums(self) -> list[str]:
        """The sums in it: to be accumulated they must be exact."""
        return [queries.rendered(call) for call in self.calls if call["function_name"].lower() == "sum"]

    def bucket_by_bucket(self) -> None:
        """Take it over all rows that hold in a bucket."""
        self.accumulated = False

    @property
    def sql(self) -> str:
        """The CTEs that end in ``course``: a value a bucket."""
        if not self.accumulated:
            return queries.fill(_ANY, measure=self.text)
        parts: list[str] = []
        finals: dict[str, str] = {}
        for call in self.calls:
            text = queries.rendered(call)
            if call["function_name"].lower() == "sum":
                counted = queries.rendered({**copy.deepcopy(call), "function_name": "count", **_path("count")})
                n, total = len(parts), len(parts) + 1
                parts += [counted, f"coalesce({text}, 0)"]
                finals[text] = f"case when m{n} > 0 then m{total} end"
            else:
                finals[text] = f"m{len(parts)}::bigint"
                parts.append(text)

        def total_of(tree: Tree) -> Tree | None:
            if not is_aggregate(tree):
                return None
            made: Tree = queries.syntax(f"select ({finals[queries.rendered(tree)]})")["select_list"][0]
            return made

        numbered = list(enumerate(parts))
        return queries.fill(
            _SUMS,
            entering=[f"{part} as m{number}" for number, part in numbered],
            leaving=[f"-({part})" for _, part in numbered],
            none=["0" for _ in numbered],
            running=[f"sum(sum(m{number})) over (order by eventlab_bucket) as m{number}" for number, _ in numbered],
            value=queries.rendered(queries.replaced(self._tree, total_of)),
        )


def _adds(call: Tree) -> bool:
    """Tell whether an aggregate over all rows is what it is over some plus what it is over the others."""
    name = call["function_name"].lower()
    return name in _COUNTS | {"sum"} and not call["distinct"]


def _path(name: str) -> dict[str, object]:
    """Return the qualified name that a call carries beside its name."""
    return {"qualified_name": {"path": [name]}}


def _nothing(split: Split, scope: Scope) -> str:
    """Return the one row of a state without keys as it is before the first event."""
    return queries.fill(
        _NOTHING,
        outputs=folds.outputs(split),
        aggregates=[f"{text} as a{number}" for number, text in enumerate(split.aggregates)],
        source=folds.source(split, scope),
        having=f"where {split.having}" if split.having else "",
    )
