"""The demonstration: New York's flights of 2013 as an event log, and the blizzard of February as seen at the time."""

from eventlab.demo.runs import Summary, run

__all__ = ["Summary", "run"]
