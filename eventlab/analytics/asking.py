"""The analyses as a log and its views offer them: each is a call into the module that defines it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventlab.analytics.questions import Question
    from eventlab.moments import Instant


class Analyses:
    """The analyses of a log or a view; every one takes the same four options.

    ``by``: any SQL over ``events`` of who acts (an actor that is NULL is left out and counted); ``where``: any SQL over
    ``events`` of the events that count; ``since`` (inclusive) and ``until`` (exclusive): times.
    """

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
        raise NotImplementedError
