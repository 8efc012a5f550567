"""The chart of an answer, by its kind."""
