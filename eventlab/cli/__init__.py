"""The shell: parse, call the library, print. Nothing is imported before a command needs it."""

from eventlab.cli.apps import main

__all__ = ["main"]
