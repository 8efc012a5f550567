"""The widgets' models: what the kernel tells the page. Drawn by the modules in ``static``."""

from __future__ import annotations

import functools
import threading
from typing import Any

import anywidget
import traitlets

from eventlab.charts import themes
from eventlab.jupyter import bundles, pictures

VIEW = "application/vnd.jupyter.widget-view+json"


class Library(anywidget.AnyWidget):
    """Vega and the themes, which every widget of a page shares: 0.3 MB once, not once a widget."""

    _esm = "export default {};"
    packed = traitlets.Bytes().tag(sync=True)
    themes = traitlets.Dict().tag(sync=True)


@functools.cache
def library() -> Library:
    """Return the one library of this process; Vega follows when it is there, which takes seconds the first time."""
    shelf = Library(themes={mode: pictures.theme(mode) for mode in themes.PALETTES})

    def fill() -> None:
        shelf.packed = bundles.vega()

    filling = threading.Thread(target=fill, name="eventlab-vega", daemon=True)
    filling.start()
    filling.join(1.0)
    return shelf


class Drawn(anywidget.AnyWidget):
    """A widget that shows a picture."""

    _css = bundles.style()
    picture = traitlets.Dict().tag(sync=True)
    library = traitlets.Unicode().tag(sync=True)
    identity = traitlets.Unicode().tag(sync=True)

    def __init__(self, **values: object) -> None:
        super().__init__(library=library().model_id, **values)
        self.identity = self.model_id

    def bundle(self) -> dict[str, Any]:
        """Return the part of a display that is this widget."""
        return {VIEW: {"version_major": 2, "version_minor": 1, "model_id": self.model_id}}


class LiveWidget(Drawn):
    """A live picture and how complete it is."""

    _esm = bundles.script("pictures", "live")
    status = traitlets.Dict().tag(sync=True)


class MachineWidget(Drawn):
    """A time machine: its tracks, where it stands, and what lies between two stops."""

    _esm = bundles.script("pictures", "machine")
    about = traitlets.Dict().tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)
    between = traitlets.Dict().tag(sync=True)
