"""Outputs: what a report shows, as data by MIME type that a page, a mail or Markdown draws in its own way. No still is drawn.

Charts are Vega-Lite specifications, tables their first rows as text; both are the same whenever the same is shown.
"""

from __future__ import annotations

import base64
import re
import sys
from typing import TYPE_CHECKING, Any

from eventlab import queries
from eventlab.charts import themes
from eventlab.jupyter import pictures

if TYPE_CHECKING:
    import datetime as dt

    from eventlab.jupyter.pictures import Picture

VEGALITE = "application/vnd.eventlab.vegalite+json"
TABLE = "application/vnd.eventlab.table+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
Bundle = tuple[dict[str, Any], dict[str, Any]]

_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
_OWN_THEMES = ("default", "eventlab")  # Altair's, and the one that the extension sets: the page has its own
_UNASKED = {"continuousWidth": 300, "continuousHeight": 300}  # of a view, in Altair's theme
_LINES = 10  # of a table as plain text, which is for who reads the executed notebook
_REPRS = {
    "_repr_html_": "text/html",
    "_repr_markdown_": "text/markdown",
    "_repr_svg_": "image/svg+xml",
    "_repr_png_": "image/png",
    "_repr_jpeg_": "image/jpeg",
}


def bundle(value: object, zone: dt.tzinfo | None) -> Bundle | None:
    """Return a chart or a table as data and metadata by MIME type; None if the value is neither.

    Parameters
    ----------
    value
        An Altair chart; a Result, a relation, a frame of Polars or pandas, an Arrow table; or what is live, as it is now.
    zone
        In which zone moments are told: the log's.

    Raises
    ------
    QueryError
        If the rows cannot be computed.
    """
    drawn = _picture(value, zone)
    return None if drawn is None else _drawn(drawn)


def steady(data: dict[str, Any]) -> dict[str, Any]:
    """Return data by MIME type without what differs from one run to the next: addresses in memory, models of widgets."""
    return {
        kind: _ADDRESS.sub("at 0x…", content) if kind == "text/plain" and isinstance(content, str) else content
        for kind, content in data.items()
        if kind != WIDGET
    }


def shown(value: object, zone: dt.tzinfo | None) -> Bundle:
    """Return any value as data and metadata by MIME type, as a function of a report gives it, where there is no IPython."""
    made = _drawn(pictures.picture(value, zone=zone)) if are_rows(value) else bundle(value, zone)
    if made is not None:
        return made
    if value is None or isinstance(value, (str, int, float, complex, bytes)) or hasattr(value, "as_tuple"):
        return {"text/plain": _plain(value, zone)}, {}
    given = value._repr_mimebundle_() if hasattr(value, "_repr_mimebundle_") else None
    data, metadata = given if isinstance(given, tuple) else (given or {}, {})
    for method, kind in _REPRS.items():
        content = getattr(value, method)() if kind not in data and hasattr(value, method) else None
        if content is not None:
            data[kind] = base64.b64encode(content).decode() if isinstance(content, bytes) else content
    if not data and hasattr(value, "savefig"):  # of Matplotlib
        data["image/png"] = _saved(value)
    return steady({"text/plain": _plain(value, zone), **data}), metadata


def are_rows(value: object) -> bool:
    """Tell whether a value is a list of rows, each a dict."""
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _picture(value: Any, zone: dt.tzinfo | None) -> Picture | None:  # noqa: ANN401 - anything that can be shown
    """Return the picture of a chart or a table; None if the value is neither."""
    if isinstance(value, pictures.Picture):
        return value
    loaded = sys.modules.get
    lives, machines = loaded("eventlab.jupyter.lives"), loaded("eventlab.jupyter.machines")
    if (lives is not None and isinstance(value, lives.Live)) or (
        machines is not None and isinstance(value, machines.TimeMachine)
    ):
        live: Picture = value.picture
        return live
    altair = loaded("altair")
    if altair is not None:
        chart: Any = value.chart if type(value).__name__ == "JupyterChart" else value
        if isinstance(chart, altair.TopLevelMixin):
            return _chart(pictures.picture(chart), altair.theme.active)
    pandas = loaded("pandas")
    if pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series)):
        frame = value.to_frame() if isinstance(value, pandas.Series) else value
        value = frame if isinstance(frame.index, pandas.RangeIndex) else frame.reset_index()
    if _is_table(value):
        return _in_zone(pictures.picture(value, zone=zone), zone)
    return None


def _is_table(value: object) -> bool:
    """Tell whether a value has rows and columns."""
    relation = getattr(value, "relation", value)
    if isinstance(relation, queries.Relation):
        return True
    kind = type(value)
    if kind.__module__.partition(".")[0] == "polars":
        return kind.__name__ in {"DataFrame", "LazyFrame", "Series"}
    return hasattr(value, "__arrow_c_stream__") and (hasattr(value, "columns") or hasattr(value, "column_names"))


def _chart(drawn: Picture, theme: str | None) -> Picture:
    """Return a chart without what Altair's theme says of it unasked."""
    if theme not in _OWN_THEMES:
        return drawn
    config = dict(drawn.form.get("config", {}))
    if {key: size for key, size in config.get("view", {}).items() if key in _UNASKED} == _UNASKED:
        config["view"] = {key: said for key, said in config["view"].items() if key not in _UNASKED}
    if config.get("mark") == {"color": themes.PALETTES["light"].series[0]}:  # as the extension's theme has it
        del config["mark"]
    form = {**drawn.form, "config": {key: said for key, said in config.items() if said != {}}}
    return pictures.Picture("chart", form, drawn.data)


def _in_zone(drawn: Picture, zone: dt.tzinfo | None) -> Picture:
    """Return a table whose columns of moments say the zone in which they are told."""
    name = getattr(zone, "key", None)
    if drawn.kind != "table" or name is None:
        return drawn
    columns = [
        {**column, "type": f"time ({name})"} if column["type"].startswith("time (") else column
        for column in drawn.form["columns"]
    ]
    return pictures.Picture("table", {**drawn.form, "columns": columns}, drawn.data)


def _drawn(drawn: Picture) -> Bundle:
    """Return the data of a picture by MIME type."""
    match drawn.kind:
        case "chart":
            return {VEGALITE: {**drawn.form, "datasets": drawn.data}, "text/plain": f"<{drawn.line}>"}, {}
        case "table":
            return {TABLE: {**drawn.form, **drawn.data}, "text/plain": _lines(drawn)}, {}
        case _:
            return {"text/plain": drawn.data["text"]}, {}


def _lines(drawn: Picture) -> str:
    """Return the first rows of a table as plain text."""
    names = [column["name"] for column in drawn.form["columns"]]
    rows = [names, *([text or "" for text in row] for row in drawn.data["rows"][:_LINES])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    more = drawn.data["total"] - len(rows) + 1
    return "\n".join([*lines, f"… {more:,} more rows"] if more > 0 else lines)


def _plain(value: object, zone: dt.tzinfo | None) -> str:
    """Return a value as a line of text: numbers as a person reads them."""
    if isinstance(value, (int, float)) or hasattr(value, "as_tuple") or hasattr(value, "isoformat"):
        return str(pictures.picture(value, zone=zone).data["text"])
    return repr(value)


def _saved(figure: Any) -> str:  # noqa: ANN401 - of Matplotlib, which need not be installed
    """Return a figure of Matplotlib as a PNG in base64."""
    import io  # noqa: PLC0415 - seldom

    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight")
    return base64.b64encode(file.getvalue()).decode()
