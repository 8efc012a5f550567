"""Stands here so that the folder is on the path of all tests, which share ``invariants``; and says how examples are chosen.

A run of the suite is a verdict on a commit, so it draws the same examples each time. ``EVENTLAB_EXPLORE=1`` draws others.
"""

import os

from hypothesis import settings

settings.register_profile("verdict", derandomize=True)
if not os.environ.get("EVENTLAB_EXPLORE"):
    settings.load_profile("verdict")
