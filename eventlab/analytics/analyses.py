"""What an analysis gives: a Result that says how it was defined and what it rests on, and names who is behind a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventlab.errors import InvalidArgument
from eventlab.session.results import Result

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from eventlab.analytics.questions import Question


@dataclass(frozen=True, slots=True, repr=False)
class Analysis(Result):
    """The rows of an analysis, with its definition.

    Attributes
    ----------
    definition
        What the numbers mean, in a sentence or two, with every parameter spelled out.
    basis
        A token of the events that it was asked of: ``log.at(token)`` sees the same for ever.
    complete_through
        The instant to which the events are complete; None if there are none.
    behind
        Makes the Result of the actors behind a cell.
    unattributed
        Counts the events that were left out because they have no actor.
    coverage
        How much of what was counted the rows show, from 0 to 1: less than 1 only where a threshold hides some.
    question
        What it was asked of.
    """

    definition: str = ""
    basis: str = ""
    complete_through: dt.datetime | None = None
    behind: Callable[..., Result] | None = None
    unattributed: Callable[[], int] = lambda: 0
    coverage: float = 1.0
    question: Question | None = None

    def actors(self, **cell: Any) -> Result:  # noqa: ANN401 - a cell is named by the columns of its analysis
        """Return who is behind a number: one row an actor, as many as the number says.

        Parameters
        ----------
        cell
            Which number, by the columns that the analysis has: ``actors(step=2, outcome="dropped")`` of a funnel,
            ``actors(cohort="2026-03-01", offset=1)`` of a retention.

        Raises
        ------
        InvalidArgument
            If the analysis has no such cell.
        """
        if self.behind is None:
            raise InvalidArgument(f"a {self.kind} has no actors behind its numbers", hint="Its .pl() has all there is.")
        return self.behind(**cell)
