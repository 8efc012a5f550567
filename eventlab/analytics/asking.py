"""The analyses as a log and its views offer them: each is a call into the module that defines it."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from eventlab.analytics import cohorts, funnels, lifecycles, paths, processes, retentions, stickinesses, trends, visits

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from eventlab.analytics import advances, returns
    from eventlab.analytics.analyses import Analysis
    from eventlab.analytics.cohorts import Cohort
    from eventlab.analytics.funnels import Funnel
    from eventlab.analytics.questions import Question
    from eventlab.analytics.retentions import Retention
    from eventlab.analytics.sequences import Types
    from eventlab.analytics.steps import Exclusions, Steps
    from eventlab.moments import Duration, Instant


class Analyses(abc.ABC):
    """The analyses of a log or a view; every one takes the same four options.

    ``by``: any SQL over ``events`` of who acts (an actor that is NULL is left out and counted); ``where``: any SQL over
    ``events`` of the events that count; ``since`` (inclusive) and ``until`` (exclusive): times.
    """

    @abc.abstractmethod
    def _question(
        self,
        *,
        by: str,
        where: str | None,
        since: Instant | None,
        until: Instant | None,
        complete_through: Instant | None = None,
    ) -> Question:
        """Return what an analysis is asked of."""

    def funnel(
        self,
        steps: Steps,
        *,
        within: Duration | None = None,
        entry: advances.Entry = "best",
        order: advances.Order = "ordered",
        hold: str | Iterable[str] | None = None,
        exclude: Exclusions | None = None,
        breakdown: str | None = None,
        by: str = "stream_id",
        where: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        complete_through: Instant | None = None,
    ) -> Funnel:
        """Return of those who entered how many reached each step, and how many still can.

        One row a step; row k is about the way into step k. ``step``, ``event``; ``entered`` (who reached step k-1; in row 1
        all entries), ``mature`` (of these, whose window is over by ``complete_through``), ``converted`` (mature, and reached
        step k), ``dropped`` (mature, and did not), ``pending`` (not mature, and has not yet), ``converted_early`` (not mature,
        and has), ``reached`` (converted + converted_early), ``rate`` (converted / mature), ``rate_total`` (of all mature
        entries, who reached step k), and ``median_seconds`` from step k-1 to step k, of those who converted (NULL in row 1).
        So entered = mature + pending + converted_early, and mature = converted + dropped. With a breakdown, a column
        ``breakdown`` comes first, and each value has its rows.

        ``actors(step=…, outcome=…, breakdown=…)`` names who is behind a number (``outcome`` is the column; ``reached`` by
        default), with the time of the entry; with ``entry="all"`` a row is an attempt. ``times(step)`` has the quantiles of the
        time to convert, ``survival(step)`` its Kaplan-Meier curve.

        Parameters
        ----------
        steps
            Event types, or ``el.step`` for more than a type; a type can come several times. One event is one step: where it can
            be several, it is the furthest that its attempt can come to. What is optional may be left out: its row counts who
            passed it, and the next row's ``entered`` those who reached the last step before it that is not optional.
        within
            The window from the entry to each later step, inclusive at its end. Without it nothing is pending, and maturity is
            undefined: all entries count as mature.
        entry
            ``best``: of each actor the entry that gets furthest, of those the latest (as ClickHouse's windowFunnel). ``first``:
            the actor's first from ``since`` on. ``all``: every attempt; a new one begins after one has converted, timed out or
            been ended by an exclusion.
        order
            ``ordered``: other events may lie between. ``strict``: the actor's very next event is the next step.
            ``strict_order``: as ClickHouse's mode of that name, nothing counts after the first event after an entry that is no
            step, or is one to whose step before nobody has come; a step that repeats is allowed. ``any``: the steps come in
            any order, the entry is the first of them, and step k is the k-th.
        hold
            Properties that all steps share: fields that every step has, or columns of ``events``. Each value is a sequence of
            events of its own: events of the steps with another value are not in it, events without the property are in
            all. NULL equals nothing. With ``entry="all"`` each value has attempts of its own.
        exclude
            ``el.exclude``, or several: the events that end an attempt.
        breakdown
            SQL over ``events``: its value at the entry event; NULL is a value.
        by
            Who acts: SQL over ``events``.
        where
            Which events count, for all steps and in between: SQL over ``events``.
        since, until
            From when (inclusive) to when (exclusive) the entries are; later steps may be later.
        complete_through
            The instant to which the events are complete, which decides who is mature: by default the newest event's.

        Raises
        ------
        InvalidArgument
            If an option is not of its form, an event type is unknown (with near matches), a step lacks a property that is
            held, or a funnel of one step has a window.
        QueryError
            If an expression is none over ``events``.

        Notes
        -----
        At one instant, events that are no step come first, then the steps in their order. Distinct steps, in order, best entry:
        one window a step carries on the latest entry that has come so far, over a hash of the actor (96 bits). All others: a fold
        over each actor's events; in any order, over the events after each entry.

        Examples
        --------
        >>> import tempfile, eventlab as el
        >>> log = el.open(tempfile.mkdtemp(), create=True)
        >>> visits = {"ada": {"catalog": "09:00", "cart": "09:20", "paid": "09:50"}, "bob": {"catalog": "09:30"}}
        >>> for user, steps in visits.items():
        ...     for name, time in steps.items():
        ...         _ = log.append(user, el.Event(name, {}, occurred_at=f"2026-03-01T{time}"))
        >>> funnel = log.funnel(["catalog", "cart", "paid"], within="1h", complete_through="2026-03-01T10:00")
        >>> funnel.pl().select("event", "entered", "mature", "converted", "pending").rows()
        [('catalog', 2, 1, 1, 0), ('cart', 2, 1, 1, 1), ('paid', 1, 1, 1, 0)]
        >>> funnel.actors(step=2, outcome="pending").pl()["actor"].to_list()
        ['bob']
        """
        question = self._question(by=by, where=where, since=since, until=until, complete_through=complete_through)
        return funnels.funnel(
            question,
            steps,
            within=within,
            entry=entry,
            order=order,
            hold=hold,
            exclude=exclude,
            breakdown=breakdown,
        )

    def retention(
        self,
        start: returns.Events,
        returning: returns.Events | None = None,
        *,
        period: returns.Span = "day",
        windows: int = 12,
        brackets: Sequence[returns.Bracket] | None = None,
        clock: returns.Clock = "calendar",
        mode: returns.Mode = "on",
        cohort: returns.Cohort = "first_ever",
        timezone: str | None = None,
        by: str = "stream_id",
        where: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        complete_through: Instant | None = None,
    ) -> Retention:
        """Return how many of the actors who started in a period came back so many periods later.

        Columns: ``cohort`` (the first day of the calendar period of the start, under both clocks), ``size``, ``offset`` (0 to
        ``windows``), ``eligible`` (the actors whose window of that offset is over by ``complete_through``), ``returned`` (those
        of them who came back in it) and ``rate`` (returned by eligible; NULL if nobody is). ``mean()`` has all cohorts together.
        ``actors(cohort=…, offset=…)`` names who returned; ``outcome="eligible"`` or ``"lost"`` names the others, no
        ``offset`` the whole cohort, and no ``cohort`` those of all.

        Parameters
        ----------
        start, returning
            An event type or several, or ``el.step("OrderPlaced", where="amount > 100")``; ``returning=None`` is any event. An
            actor's start is the first of its start events. In offset 0, the start's own period, the start event itself is no
            return; another event at its very instant is one.
        period, clock
            ``calendar``: windows are the days, weeks (from Monday) or months of ``timezone``, where a day may have 23 or 25
            hours. ``rolling``: 24-hour days from each actor's start; a week is 7 of them, a month 30.
        windows
            The last offset.
        brackets
            Instead of all offsets to ``windows``: some of them, or (first, last) pairs with both ends inclusive, in ascending
            order: ``[0, 1, (2, 6), (7, 13)]``. Returned in a bracket is who came back in any of its windows; eligible is whose
            last window in it is over. ``offset`` is then the bracket's first, and a column ``through`` has its last.
        mode
            ``on``: who came back in that window. ``on_or_after``: in that one or a later one.
        cohort
            ``first_ever``: the start is the actor's first of all times, also before ``since``; ``first_in_range``: the first
            from ``since`` to ``until``.
        timezone
            The IANA zone of the calendar; the log's by default.
        by
            Who acts: SQL over ``events``.
        where
            Which events count, as starts and as returns: SQL over ``events``.
        since, until
            From when (inclusive) to when (exclusive) the starts are; returns may be later.
        complete_through
            The instant to which the events are complete, which decides who is eligible and nothing else: by default the newest
            event's.

        Raises
        ------
        InvalidArgument
            If an event type is unknown (with near matches), or an option is not of its form.
        QueryError
            If ``by`` or ``where`` is not one expression over ``events``.

        Examples
        --------
        >>> import tempfile, eventlab as el
        >>> log = el.open(tempfile.mkdtemp(), create=True)
        >>> for user, days in (("ada", [1, 2, 4]), ("bob", [1, 3])):
        ...     for n, day in enumerate(days):
        ...         _ = log.append(user, el.Event("LoggedIn" if n else "SignedUp", {}, occurred_at=f"2026-03-0{day}T12:00"))
        >>> for row in log.retention("SignedUp", "LoggedIn", windows=3).pl().select("offset", "eligible", "returned").rows():
        ...     print(row)
        (0, 2, 0)
        (1, 2, 1)
        (2, 2, 1)
        (3, 0, 0)
        """
        question = self._question(by=by, where=where, since=since, until=until, complete_through=complete_through)
        return retentions.retention(
            question,
            start,
            returning,
            period=period,
            windows=windows,
            brackets=brackets,
            clock=clock,
            mode=mode,
            cohort=cohort,
            timezone=timezone,
        )

    def trend(
        self,
        measure: str,
        *,
        every: str | dt.timedelta = "1d",
        breakdown: str | None = None,
        top: int | None = None,
        compare: trends.Compare | None = None,
        timezone: str | None = None,
        by: str = "stream_id",
        where: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Analysis:
        """Return a measure of the events of each period.

        Columns: ``period_start`` (the instant at which the period begins), ``breakdown`` and ``other`` if asked for, ``value``,
        ``previous`` if asked for, and ``partial``: whether the period is not wholly between the log's first event (or ``since``)
        and what the log is complete to (or ``until``). There is a row for each period between the two; without events its value
        is the measure of nothing (0 for a count, NULL for a sum). ``actors(period_start=…, breakdown=…)`` names the distinct
        actors with events there, ``actors(period_start=…, other=True)`` those of all other values.

        Parameters
        ----------
        measure
            An aggregate over ``events``: ``"count(*)"``, ``"sum(OrderPlaced.amount)"``, ``"count(DISTINCT actor)"``; in it,
            ``actor`` is who acts.
        every
            The length of a period: whole days, weeks (from Monday) and months (``"1mo"``, ``"3mo"``) are of the calendar of
            ``timezone``, where a day may have 23 or 25 hours; others (``"6h"``) are stretches counted from midnight UTC.
        breakdown
            SQL over ``events``; each value has its rows, that of the greatest measure first. NULL is a value.
        top
            Only so many values; the measure over the events of all others (not a sum of measures) has rows in which ``other``
            is true and ``breakdown`` NULL. By default all values are shown.
        compare
            ``"previous"``: a column with the measure as many periods before as there are from ``since`` to ``until``. It is
            of whole periods, and NULL before the log's first event.
        timezone
            The IANA zone of the calendar; the log's by default.
        by
            Who acts: SQL over ``events``. Events without an actor are left out.
        where
            Which events count: SQL over ``events``.
        since, until
            From when (inclusive) to when (exclusive).

        Raises
        ------
        QueryError
            If the measure is no aggregate over ``events``, or another expression is none.
        InvalidArgument
            If an option is not of its form.

        Examples
        --------
        >>> import tempfile, eventlab as el
        >>> log = el.open(tempfile.mkdtemp(), create=True)
        >>> _ = log.append("a", [el.Event("Sold", {"price": p}, occurred_at=f"2026-03-0{d}") for d, p in ((1, 5), (1, 7), (3, 2))])
        >>> log.trend("count(*)").pl()["value"].to_list()
        [2, 0, 1]
        """
        question = self._question(by=by, where=where, since=since, until=until)
        return trends.trend(
            question, measure, every=every, breakdown=breakdown, top=top, compare=compare, timezone=timezone
        )

    def lifecycle(
        self,
        *,
        every: str | dt.timedelta = "1w",
        timezone: str | None = None,
        by: str = "stream_id",
        where: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Analysis:
        """Return who of each period's actors is new, was there before, or has come back, and how many have gone.

        Columns: ``period_start``, ``new`` (active in a period for the first time ever, also before ``since``), ``returning``
        (active in the period before, too), ``resurrecting`` (not in that, but earlier), ``dormant`` (active in the period
        before and not in this one) and ``partial`` as in ``trend``. Active is who has an event that counts: active(t) = new +
        returning + resurrecting, dormant(t) = active(t-1) - returning(t). ``actors(period_start=…, outcome="dormant")``
        names them; ``outcome="active"``, the default, all who are active.

        Parameters
        ----------
        every, timezone
            The length of a period and the zone of its calendar, as in ``trend``.
        by
            Who acts: SQL over ``events``.
        where
            Which events count: SQL over ``events``.
        since, until
            From when (inclusive) to when (exclusive) periods are shown. Begin where a period does: in one that ``since``
            divides, only what comes after it makes an actor active.

        Raises
        ------
        InvalidArgument, QueryError
            If an option is not of its form.

        Examples
        --------
        >>> import tempfile, eventlab as el
        >>> log = el.open(tempfile.mkdtemp(), create=True)
        >>> for user, days in (("ada", [1, 2, 4]), ("bob", [2])):
        ...     _ = log.append(user, [el.Event("LoggedIn", {}, occurred_at=f"2026-03-0{day}") for day in days])
        >>> log.lifecycle(every="1d").pl().select("new", "returning", "resurrecting", "dormant").rows()
        [(1, 0, 0, 0), (1, 1, 0, 0), (0, 0, 0, 2), (0, 0, 1, 0)]
        """
        question = self._question(by=by, where=where, since=since, until=until)
        return lifecycles.lifecycle(question, every=every, timezone=timezone)

    def stickiness(
        self,
        *,
        every: str | dt.timedelta = "1w",
        timezone: str | None = None,
        by: str = "stream_id",
        where: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Analysis:
        """Return in how many periods the actors are active: ``periods_active``, ``actors``, ``share``.

        One row for each number from 1 to that of all periods from ``since`` to ``until`` inside the log's life, partial ones
        among them; ``share`` is of all actors with an event there, so the shares add up to 1. ``actors(periods_active=…)``
        names them.

        Parameters
        ----------
        every, timezone
            The length of a period and the zone of its calendar, as in ``trend``.
        by
            Who acts: SQL over ``events``.
        where
            Which events count: SQL over ``events``.
        since, until
            From when (inclusive) to when (exclusive).

        Raises
        ------
        InvalidArgument, QueryError
            If an option is not of its form.

        Examples
        --------
        >>> import tempfile, eventlab as el
        >>> log = el.open(tempfile.mkdtemp(), create=True)
        >>> for user, days in (("ada", [1, 2, 4]), ("bob", [2, 2])):
        ...     _ = log.append(user, [el.Event("LoggedIn", {}, occurred_at=f"2026-03-0{day}") for day in days])
        >>> log.stickiness(every="1d").pl().rows()
        [(1, 1, 0.5), (2, 0, 0.0), (3, 1, 0.5), (4, 0, 0.0)]
        """
        question = self._question(by=by, where=where, since=since, until=until)
        return stickinesses.stickiness(question, every=every, timezone=timezone)

    def sessions(
        self,
        gap: Duration = "30m",
        *,
        split: str | None = None,
        by: str = "stream_id",
        where: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Analysis:
        """Return the sessions: stretches of an actor's events without a pause that is longer than ``gap``.

        Columns, one row a session in order of ``start``: ``actor``, ``session_id``, ``start``, ``end``, ``events`` (how many),
        ``entry`` and ``exit`` (the types of the first and the last event), ``duration`` (seconds from the first event to the
        last; NULL for a single event, not 0). Events of one instant are in the order of ``position``. ``session_id`` is the
        actor and the position of the session's first event, so it stays as long as that is the first; an event that arrives
        late can merge two sessions, which a view with an earlier ``known_at`` still shows apart.
        ``actors(session_id=…)`` names the one actor, ``actors(entry=…, exit=…)`` all who have such a session.

        Parameters
        ----------
        gap
            The longest pause inside a session, inclusive.
        split
            SQL over ``events``: an event of which it holds begins a session, whatever the pause: ``"event_type = 'LoggedIn'"``.
        by
            Who acts: SQL over ``events``.
        where
            Which events count: SQL over ``events``.
        since, until
            From when (inclusive) to when (exclusive) events count; a session across an end is cut there.

        Raises
        ------
        InvalidArgument
            If ``gap`` is no duration, or a time is none.
        QueryError
            If ``split``, ``by`` or ``where`` is not one expression over ``events``.

        Examples
        --------
        >>> import tempfile, eventlab as el
        >>> log = el.open(tempfile.mkdtemp(), create=True)
        >>> _ = log.append("ada", [el.Event("Seen", {}, occurred_at=f"2026-03-01T{t}") for t in ("09:00", "09:30", "10:01")])
        >>> log.sessions("30m").pl().select("session_id", "events", "duration").rows()
        [('ada/1', 2, 1800.0), ('ada/3', 1, None)]
        """
        return visits.sessions(self._question(by=by, where=where, since=since, until=until), gap, split=split)

    def process_map(
        self,
        *,
        ends: bool = False,
        top: int | None = None,
        min_share: float | None = None,
        collapse: bool = False,
        ignore: Types = (),
        only: Types | None = None,
        rename: Mapping[str, str] | None = None,
        by: str = "stream_id",
        where: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Analysis:
        """Return which event directly follows which: the edges of the directly-follows graph of process mining.

        Columns, most frequent first: ``source`` and ``target`` (events), ``count`` (how often an actor's ``target`` comes right
        after the same actor's ``source``), ``cases`` (by how many actors), ``share`` (cases by all actors), ``median_seconds`` and
        ``p95_seconds`` (between the two events, interpolated). An actor's events are in the order of ``occurred_at`` and at one
        instant of ``position``. ``actors(source=…, target=…)`` names the cases. Directly-follows graph: van der Aalst, *Process
        Mining* (2016), chapter 6.

        Parameters
        ----------
        ends
            Whether there are rows of how cases start (``source`` is NULL) and end (``target`` is NULL), without seconds.
        top, min_share
            Only so many rows, or those whose share is at least that. ``.coverage`` and the definition say how much of all counts
            is shown. By default all are.
        collapse, ignore, only, rename
            What is done with events before: these types count not, or alone; some have other names (several may share one);
            repeats of a name in a row are one, the first.
        by
            Who acts, the case: SQL over ``events``.
        where
            Which events count: SQL over ``events``.
        since, until
            From when (inclusive) to when (exclusive) events count.

        Raises
        ------
        InvalidArgument
            If an event type is unknown (with near matches), or an option is not of its form.
        QueryError
            If ``by`` or ``where`` is not one expression over ``events``.

        Examples
        --------
        >>> import tempfile, eventlab as el
        >>> log = el.open(tempfile.mkdtemp(), create=True)
        >>> for order, types in (("a", "PRS"), ("b", "PS")):
        ...     _ = log.append(order, [el.Event(t, {}, occurred_at=f"2026-03-01T00:0{n}") for n, t in enumerate(types)])
        >>> log.process_map().pl().select("source", "target", "count", "share").rows()
        [('P', 'R', 1, 0.5), ('P', 'S', 1, 0.5), ('R', 'S', 1, 0.5)]
        """
        return processes.process_map(
            self._question(by=by, where=where, since=since, until=until),
            ends=ends,
            top=top,
            min_share=min_share,
            collapse=collapse,
            ignore=ignore,
            only=only,
            rename=rename,
        )

    def variants(
        self,
        *,
        top: int | None = None,
        min_share: float | None = None,
        collapse: bool = False,
        ignore: Types = (),
        only: Types | None = None,
        rename: Mapping[str, str] | None = None,
        by: str = "stream_id",
        where: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Analysis:
        """Return the variants of the cases: the whole sequences of events that actors go through, most frequent first.

        Columns: ``variant`` (the list of an actor's events in order), ``cases`` (how many actors have it), ``share`` (cases by all
        actors, so that the shares of all rows add up to 1), ``median_seconds`` (from the first event to the last; NULL for a
        single event). ``actors(variant=[…])`` names the cases.

        Parameters
        ----------
        top, min_share
            Only so many rows, or those whose share is at least that. ``.coverage`` and the definition say how many of all cases
            are shown. By default all are.
        collapse, ignore, only, rename, by, where, since, until
            As in ``process_map``.

        Raises
        ------
        InvalidArgument
            If an event type is unknown (with near matches), or an option is not of its form.
        QueryError
            If ``by`` or ``where`` is not one expression over ``events``.

        Examples
        --------
        >>> import tempfile, eventlab as el
        >>> log = el.open(tempfile.mkdtemp(), create=True)
        >>> for order, types in (("a", "PRS"), ("b", "PS"), ("c", "PS")):
        ...     _ = log.append(order, [el.Event(t, {}, occurred_at=f"2026-03-01T00:0{n}") for n, t in enumerate(types)])
        >>> log.variants().pl().rows()
        [(['P', 'S'], 2, 0.6666666666666666, 60.0), (['P', 'R', 'S'], 1, 0.3333333333333333, 120.0)]
        """
        return processes.variants(
            self._question(by=by, where=where, since=since, until=until),
            top=top,
            min_share=min_share,
            collapse=collapse,
            ignore=ignore,
            only=only,
            rename=rename,
        )

    def paths(
        self,
        start: str | None = None,
        end: str | None = None,
        *,
        depth: int = 5,
        top: int | None = None,
        min_share: float | None = None,
        collapse: bool = False,
        ignore: Types = (),
        only: Types | None = None,
        rename: Mapping[str, str] | None = None,
        by: str = "stream_id",
        where: str | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
    ) -> Analysis:
        """Return where actors go, move by move: from an event on, or on the way to one.

        Columns: ``step``, ``source``, ``target`` (events), ``actors`` (how many make that move in that step; each makes at most
        one), ``share`` (of all actors with such a path). An actor has one path, of its events in the order of ``occurred_at``
        and at one instant of ``position``:

        - without ``start`` and ``end`` from its first event on, with ``start`` alone from the first such event on. Steps are 1,
          2, … ; where the actor has no further event ``target`` is NULL.
        - with ``end`` alone to the first such event. Steps are -1 (the move to it), -2, … ; where the actor has no earlier event
          ``source`` is NULL.
        - with both from the first ``start`` to the first ``end`` after it, of the actors who get there; those with more than
          ``depth`` moves are followed so far.

        So who comes to an event in a step is who goes on from it in the next, or stops. ``actors(step=…, source=…, target=…)``
        names them.

        Parameters
        ----------
        start, end
            Events, by their names after ``rename``.
        depth
            How many moves are followed.
        top, min_share
            Only so many rows of each step, or those whose share is at least that. ``.coverage`` and the definition say how many
            of all moves are shown. By default all are.
        collapse, ignore, only, rename, by, where, since, until
            As in ``process_map``.

        Raises
        ------
        InvalidArgument
            If an event is unknown (with near matches), or an option is not of its form.
        QueryError
            If ``by`` or ``where`` is not one expression over ``events``.

        Examples
        --------
        >>> import tempfile, eventlab as el
        >>> log = el.open(tempfile.mkdtemp(), create=True)
        >>> for order, types in (("a", "PRS"), ("b", "PS")):
        ...     _ = log.append(order, [el.Event(t, {}, occurred_at=f"2026-03-01T00:0{n}") for n, t in enumerate(types)])
        >>> log.paths("P", depth=2).pl().rows()
        [(1, 'P', 'R', 1, 0.5), (1, 'P', 'S', 1, 0.5), (2, 'R', 'S', 1, 0.5), (2, 'S', None, 1, 0.5)]
        >>> log.paths(end="S", depth=1).pl().rows()
        [(-1, 'P', 'S', 1, 0.5), (-1, 'R', 'S', 1, 0.5)]
        """
        return paths.paths(
            self._question(by=by, where=where, since=since, until=until),
            start,
            end,
            depth=depth,
            top=top,
            min_share=min_share,
            collapse=collapse,
            ignore=ignore,
            only=only,
            rename=rename,
        )

    def cohort(self, name: str, source: object) -> Cohort:
        """Make a cohort: a named set of actors, which is a relation with one column ``actor`` in SQL from now on.

        It holds what there was when it was made, for as long as this log is open; the store does not keep it. The ``where`` of
        any analysis can ask for it: ``where="actor IN power"`` keeps the events whose actor, as that analysis has it by ``by``,
        is of the cohort ``power``, ``NOT IN`` those whose actor is not; ``where="stream_id IN power"`` asks for any other
        expression. Everywhere else in ``where``, ``actor`` is the column of ``events``. Another cohort of the same name takes
        its place; relations and results that were made before keep the old one.

        Parameters
        ----------
        name
            Letters, digits and ``_``, as it is written in SQL; no other relation's, event type's or column's name.
        source
            The ``actors(…)`` of an analysis, any result, relation or frame, or a SELECT: its column ``actor`` or else its first
            one, without NULL and repeats. Or a cohort: ``log.cohort("both", a & b)``, with ``&``, ``|`` and ``-``.

        Raises
        ------
        InvalidArgument
            If the name cannot be one, or the source has no actors.
        QueryError
            If the SELECT does not run.

        Examples
        --------
        >>> import tempfile, eventlab as el
        >>> log = el.open(tempfile.mkdtemp(), create=True)
        >>> for order, types in (("a", "PRS"), ("b", "PS")):
        ...     _ = log.append(order, [el.Event(t, {}, occurred_at=f"2026-03-01T00:0{n}") for n, t in enumerate(types)])
        >>> log.cohort("reviewed", log.process_map().actors(source="R", target="S"))
        <Cohort reviewed: 1 actors>
        >>> log.variants(where="actor NOT IN reviewed").pl()["variant"].to_list()
        [['P', 'S']]
        """
        return cohorts.cohort(self._question(by="stream_id", where=None, since=None, until=None), name, source)
