"""An IPython shell of its own for a test, without a history and without a terminal."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def shell() -> Iterator[InteractiveShell]:
    """Yield a shell with the extension loaded."""
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    made = InteractiveShell(config=config)
    try:
        made.run_line_magic("load_ext", "eventlab")
        yield made
    finally:
        made.extension_manager.unload_extension("eventlab")
        made.restore_sys_module_state()
