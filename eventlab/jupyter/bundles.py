"""Vega for a browser without a network: made once from vl-convert's own copy, kept in the person's cache, sent once a page."""

from __future__ import annotations

import contextlib
import functools
import gzip
import os
import re
import threading
import uuid
from importlib import metadata, resources
from pathlib import Path

from eventlab.errors import ReportError

_SNIPPET = "export default vegaEmbed;"
_EXPORT = re.compile(r"export\s*\{\s*([\w$]+) as default\s*\};?\s*$")
_making = threading.Lock()


@functools.cache
def vega() -> bytes:
    """Return vega-embed with Vega and Vega-Lite in it, as one ES module compressed with gzip (0.3 MB).

    To make it takes seconds; it is kept in ``$XDG_CACHE_HOME/eventlab`` under the versions that it is of.
    """
    with _making:
        kept = _place()
        with contextlib.suppress(OSError, gzip.BadGzipFile, EOFError):
            packed = kept.read_bytes()
            gzip.decompress(packed)
            return packed
        import altair as alt  # noqa: PLC0415 - so that import eventlab stays light
        import vl_convert  # noqa: PLC0415 - as above

        version = alt.SCHEMA_VERSION.removeprefix("v").rsplit(".", 1)[0]
        packed = gzip.compress(vl_convert.javascript_bundle(_SNIPPET, vl_version=version).encode(), mtime=0)
        with contextlib.suppress(OSError):  # a home that cannot be written to: it is made again next time
            kept.parent.mkdir(parents=True, exist_ok=True)
            temporary = kept.with_name(f".{uuid.uuid4().hex}")
            temporary.write_bytes(packed)
            temporary.replace(kept)
        return packed


@functools.cache
def inlined() -> str:
    """Return the same Vega as a plain script for a page, which sets ``window.vegaEmbed`` and no other name.

    It can stand between ``<script>`` and ``</script>``: nothing in it ends the element.
    """
    module = gzip.decompress(vega()).decode()
    body, found = _EXPORT.subn(r"window.vegaEmbed=\1;", module)
    if found != 1:  # pragma: no cover - vl-convert would have changed how it ends its modules
        raise ReportError(
            "Vega's script ends in no export", hint="Install the version of vl-convert-python that is pinned."
        )
    safe = body.replace("\r", "").replace("</script", r"<\/script").replace("<!--", r"<\!--")
    return f'(()=>{{"use strict";{safe}}})();'


def script(*names: str) -> str:
    """Return modules of the front end as one: the last has the entry, those before it what it calls."""
    return "\n".join(_static(f"{name}.js") for name in names)


def style() -> str:
    """Return the style sheet of the widgets."""
    return _static("widgets.css")


def _static(name: str) -> str:
    return resources.files("eventlab.jupyter").joinpath("static", name).read_text(encoding="utf-8")


def _place() -> Path:
    """Return the file in which the bundle is kept."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    versions = f"{metadata.version('altair')}-{metadata.version('vl-convert-python')}"
    return root / "eventlab" / f"vega-{versions}.js.gz"
