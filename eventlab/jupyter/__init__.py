"""Jupyter: how a log shows itself in a notebook, answers there, lives there and is scrubbed through time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Give a shell the magics, and Altair's charts a form that needs no network: ``%load_ext eventlab``."""
    from eventlab.jupyter import magics, renderers  # noqa: PLC0415 - who imports a room of Jupyter may have no IPython

    magics.load(shell)
    renderers.enable()


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take them away again: ``%unload_ext eventlab``."""
    from eventlab.jupyter import magics, renderers  # noqa: PLC0415 - as above

    magics.unload(shell)
    renderers.disable()
