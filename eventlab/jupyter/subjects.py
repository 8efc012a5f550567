"""What a time machine can show: a state, or what a person's function says of a log at a moment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from eventlab import moments
from eventlab.errors import EventlabError
from eventlab.jupyter import changes
from eventlab.jupyter.changes import Stop

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from eventlab import queries
    from eventlab.jupyter.tracks import Source
    from eventlab.log import EventLog, LogView
    from eventlab.states import State


@dataclass(frozen=True, slots=True)
class Subject:
    """What a time machine shows.

    Attributes
    ----------
    title
        What it is called.
    source
        Where its events are.
    zone
        The name of the zone in which moments are told and read.
    stop
        Returns the stop of two instants.
    show
        Returns what is there, of a stop and the name of a form: anything that is a picture.
    code
        The code that gives the same, with a slot for the arguments.
    forms
        The forms in which it can be shown, the first by itself.
    changed
        Returns what differs between two stops; None: what differs between the pictures is what there is to tell.
    """

    title: str
    source: Source
    zone: str
    stop: Callable[[int, int | None], Stop]
    show: Callable[[Stop, str], object]
    code: str
    forms: tuple[str, ...] = ("picture",)
    changed: Callable[[Stop, Stop], dict[str, Any]] | None = None


def of_log(log: EventLog, fn: Callable[[LogView], object]) -> Subject:
    """Return what a function says of a log."""
    zone = moments.zone(log.timezone)

    def stop(at: int, known: int | None) -> Stop:
        view = log.at(moments.moment_of(at, zone), known_at=_known(known, zone))
        return Stop(at, known, view.basis, view.position)

    name = getattr(fn, "__name__", "")
    plain = name.isidentifier()  # not a lambda
    code = f"{name}(log.at({{}}))" if plain else "log.at({})"
    title = name.replace("_", " ") if plain else log.path.name
    return Subject(title, log, log.timezone, stop, lambda here, _form: fn(log.at(here.basis)), code)


def of_state(state: State, fn: Callable[[Any], object] | None = None) -> Subject:
    """Return a state, as a table or as its chart; or what a function says of its Result."""
    session = state.catalog.session
    zone = session.store.zone

    def stop(at: int, known: int | None) -> Stop:
        scope, registry = session.moment(moments.moment_of(at, zone), _known(known, zone))
        position = min(scope.position or 0, state.scope.position or scope.position or 0)
        at = at if state.scope.at is None else min(at, state.scope.at)
        store_id, corrected = session.store.layout.store_id, state.scope.corrected is not None
        basis = moments.Basis(store_id, position, registry.version, at, corrected)
        return Stop(at, known, str(basis), position)

    def show(here: Stop, form: str) -> object:
        result = state.at(here.basis)
        if fn is not None:
            return fn(result)
        # in the order of its keys, so that a row stays where it is from one moment to the next
        return result.chart() if form == "chart" else replace(result, relation=result.relation.order("all"))

    def changed(before: Stop, after: Stop) -> dict[str, Any]:
        try:
            return changes.state(state.diff(before.basis, after.basis), zone)
        except EventlabError as error:
            return {"counts": [], "table": None, "note": error.message}

    return Subject(
        state.name,
        _Within(state),
        session.store.layout.timezone,
        stop,
        show,
        f"log.state({state.name!r}).at({{}})".replace("'", '"'),
        ("picture",) if fn is not None else ("table", "chart"),
        changed,
    )


@dataclass(frozen=True, slots=True)
class _Within:
    """The events that a state sees."""

    state: State

    def sql(self, query: str, params: Mapping[str, object] | None = None) -> queries.Relation:
        """Return the relation of a query."""
        state = self.state
        return state.catalog.session.sql(query, params, scope=state.scope, registry=state.registry)


def _known(known: int | None, zone: dt.tzinfo) -> dt.datetime | None:
    return None if known is None else moments.moment_of(known, zone)
