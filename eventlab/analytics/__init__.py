"""Event analytics: funnels, retention, sessions, trends, paths and processes, over a log or any moment of it."""

from eventlab.analytics.analyses import Analysis
from eventlab.analytics.questions import Question

__all__ = ["Analysis", "Question"]
