"""``eventlab lab``: JupyterLab on the notebooks, with a store at hand, and without a request that leaves the machine."""

# Annotations are read at run time here, by cyclopts: no `from __future__ import annotations`.
import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from eventlab.cli.options import at_least, folder
from eventlab.errors import InvalidArgument, ReportError

STORE = "EVENTLAB_STORE"  # where `%eventlab` without a path finds the store
DEMO = Path("data/flights")
_OWN = Path(__file__).resolve().parents[2] / "notebooks"  # of a clone of the repository
_SETTINGS = (
    Path(__file__).resolve().parents[1] / "jupyter" / "config"
)  # defaults, which a person's own settings precede
_QUIET = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)


def lab(
    store: Annotated[
        Path | None, Parameter(name="DIR", converter=folder, help="The store that notebooks open (data/flights).")
    ] = None,
    /,
    *,
    notebooks: Annotated[
        Path | None,
        Parameter(converter=folder, help="The folder to open (./notebooks, else those of eventlab, else .)."),
    ] = None,
    port: Annotated[
        int | None, Parameter(validator=at_least(1), help="The port (8888, or the next that is free).")
    ] = None,
    no_browser: Annotated[bool, Parameter(help="Only print the address.")] = False,
    allow_root: Annotated[bool, Parameter(help="Run as root, which Jupyter refuses otherwise.")] = False,
) -> None:
    """Open JupyterLab on the notebooks.

    In a notebook, `%load_ext eventlab` and `%eventlab` open the store. The address holds a token, without which nobody gets in;
    Ctrl-C stops it.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise ReportError("JupyterLab is not installed", hint="pip install 'eventlab[lab]'")
    opened = _opened(store)
    place = _notebooks(notebooks)
    sys.stdout.write(f"Notebooks: {place}\nStore:     {opened or 'none yet; eventlab demo makes one'}\n")
    sys.stdout.flush()
    settings = os.pathsep.join(filter(None, [str(_SETTINGS), os.environ.get("JUPYTER_CONFIG_PATH")]))
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": settings, **({STORE: str(opened)} if opened else {})}
    arguments = command(place, port=port, no_browser=no_browser, allow_root=allow_root)
    os.execve(arguments[0], arguments, environment)  # noqa: S606 - our own interpreter; its Ctrl-C and its end are ours


def command(place: Path, *, port: int | None, no_browser: bool, allow_root: bool) -> list[str]:
    """Return the command that serves a folder of notebooks."""
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={place}",
        *_QUIET,
        *([f"--port={port}"] if port is not None else []),
        *(["--no-browser"] if no_browser else []),
        *(["--allow-root"] if allow_root else []),
    ]


def _opened(store: Path | None) -> Path | None:
    """Return the store that notebooks are to open; None if none is named and the demonstration's is not there."""
    if store is None and not (DEMO / "store.toml").is_file():
        return None
    import eventlab as el  # noqa: PLC0415

    with el.open(store or DEMO, read_only=True) as log:  # which says what is wrong with it, here and not in a notebook
        return log.path.resolve()


def _notebooks(given: Path | None) -> Path:
    """Return the folder to open."""
    if given is not None and not given.is_dir():
        raise InvalidArgument(f"there is no folder {given}", hint="Name a folder of notebooks.")
    found = given or next((place for place in (Path("notebooks"), _OWN) if place.is_dir()), Path())
    return found.resolve()
