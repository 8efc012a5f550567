"""The funnel for people who stay in SQL: a table macro over ``events`` for a list of steps that it learns when it runs."""

from __future__ import annotations

# One fold as in ``advances``, of lists instead of fields: c[k] is the attempt that has come to step k and entered last.
_MACRO = """
create temp macro funnel(steps, within, actors := null, complete_through := null) as table
with stages as (
    select
        case
            when len({types}) = 0 or list_contains({types}, name) then name
            else error('no event type ''' || name || '''. There are: ' || array_to_string({types}, ', '))
        end as event, step
    from (select unnest(steps)::varchar as name, generate_subscripts(steps, 1) as step)
),
terms as (
    select
        case
            when len(steps) = 1 and within is not null then error('a funnel of one step has no window: give NULL')
            when within is null or epoch_us(within::interval) > 0 then epoch_us(within::interval)
            else error('the window of a funnel is above zero, like 1h')
        end as lasting,
        epoch_us(coalesce(complete_through::timestamptz, {complete})) as complete
),
acts as (
    select
        case when typeof(actors) = '"NULL"' then stream_id else actors::varchar end as who,
        epoch_us(occurred_at) as moment,
        list_filter(range(1, len(steps) + 1), lambda k: steps[k] = event_type) as serves
    from events
    where list_contains(steps, event_type)
),
courses as (
    select who, list_sort(list({'moment': moment, 'serves': serves})) as course, (select lasting from terms) as lasting
    from acts
    where who is not null
    group by who
),
folds as (
    select list_reduce(
        list_transform(course, lambda x, i: {
            'nth': i, 'moment': x.moment, 'serves': x.serves, 'lasting': lasting,
            'c': []::struct(nth bigint, entry bigint, moments bigint[])[]
        }),
        lambda s, x: {
            'nth': x.nth, 'moment': x.moment, 'serves': x.serves, 'lasting': x.lasting,
            'c': list_transform(range(1, len(steps) + 1), lambda k: case
                when not list_contains(x.serves, k) then s.c[k]
                when k = 1 then {'nth': x.nth, 'entry': x.moment, 'moments': [x.moment]}
                when s.c[k - 1] is null or x.moment - s.c[k - 1].entry > x.lasting then s.c[k]
                when s.c[k].nth = s.c[k - 1].nth then s.c[k]
                else {
                    'nth': s.c[k - 1].nth, 'entry': s.c[k - 1].entry,
                    'moments': list_append(s.c[k - 1].moments, x.moment)
                } end)
        },
        {
            'nth': 0::bigint, 'moment': 0::bigint, 'serves': []::bigint[], 'lasting': 0::bigint,
            'c': []::struct(nth bigint, entry bigint, moments bigint[])[]
        }
    ).c as c
    from courses
),
chains as (
    select best.moments as moments, coalesce(best.entry + lasting <= complete, lasting is null) as mature
    from (select list_filter(c, lambda one: one is not null)[-1] as best from folds) cross join terms
    where best is not null
),
ways as (
    select
        step, count(*) as came, count(*) filter (mature) as matured,
        median(moments[step] - moments[step - 1]) filter (mature) / 1e6 as median_seconds
    from (select moments, mature, unnest(range(1, len(moments) + 1)) as step from chains)
    group by step
),
counts as (
    select
        stages.step, event, coalesce(came, 0) as came, coalesce(matured, 0) as converted, median_seconds,
        coalesce(lag(came, 1, came) over course, 0) as entered, coalesce(lag(matured, 1, matured) over course, 0) as mature,
        first_value(matured) over course as all_mature
    from stages left join ways on ways.step = stages.step
    window course as (order by stages.step)
)
select
    step, event, entered, mature, converted, mature - converted as dropped,
    entered - mature - (came - converted) as pending, came - converted as converted_early, came as reached,
    converted / nullif(mature, 0) as rate, converted / nullif(all_mature, 0) as rate_total, median_seconds
from counts
order by step
"""


def macro() -> str:
    """Return the statement that makes ``funnel(steps, within, actors := NULL, complete_through := NULL)`` over ``events``.

    It is ``log.funnel`` with ``entry="best"`` and ``order="ordered"``: ``steps`` is a list of event types, of any length;
    ``within`` an INTERVAL, its text, or NULL; ``actors`` is SQL over ``events`` of who acts, without it the streams do. The
    session says what ``{types}`` there are, and the instant to which events are ``{complete}``.
    """
    return _MACRO
