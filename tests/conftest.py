"""Stands here so that the folder is on the path of all tests, which share ``invariants``."""
