"""The demonstration: New York's flights of 2013 as an event log, and the blizzard of February as seen at the time."""

from eventlab.demo.replays import Replay, replay
from eventlab.demo.runs import Summary, run

__all__ = ["Replay", "Summary", "replay", "run"]
