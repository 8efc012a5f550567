"""The table macros where they could differ from the methods: on views of a moment, and for names that there are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import eventlab as el

if TYPE_CHECKING:
    from pathlib import Path


def test_macros_on_a_view_are_complete_through_its_moment(tmp_path: Path) -> None:
    """As the methods are: through the newest event of the log, capped at the moment, though the view sees nothing so late."""
    with el.open(tmp_path / "log", create=True) as log:
        for day, who, what in ((1, "u", "Up"), (2, "u", "In"), (9, "w", "Up")):
            log.append(who, el.Event(what, occurred_at=f"2026-03-0{day}T12:00"))
        for view in (log, log.at("2026-03-06"), log.at(3), log.at("2026-03-06", known_at=2)):
            funnel = view.funnel(["Up", "In"], within="3d").pl()
            assert view.sql("from funnel(['Up', 'In'], '3d')").pl().equals(funnel)
            retention = view.retention("Up", "In", windows=12).pl()
            assert view.sql("from retention('Up', \"returning\" := 'In')").pl().equals(retention)


def test_macros_refuse_unknown_event_types(tmp_path: Path) -> None:
    """In a log that has events a typing error is no zero; in an empty log there is nothing to know."""
    asked = ("funnel(['Upp', 'In'], '3d')", "retention('Upp')", "retention('Up', \"returning\" := 'Inn')")
    with el.open(tmp_path / "log", create=True) as log:
        for text in asked:
            log.sql(f"from {text}").fetchall()
        log.append("u", [el.Event("Up"), el.Event("In")])
        for text in asked:
            with pytest.raises(Exception, match=r"no event type '?(Upp|Inn)'?\. There are: Up, In"):
                log.sql(f"from {text}").fetchall()
