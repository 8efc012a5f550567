"""Pictures: what a person's function returns, as one view model that the widgets draw and that has a static form in HTML.

A picture is in two parts. Its ``form`` says how it is drawn and stays the same from one refresh to the next; its ``data`` are
the rows, texts and counts. As long as the form is the same, a widget replaces the data alone, and zoom, selection and scroll stay.
"""

from __future__ import annotations

import base64
import copy
import datetime as dt
import html
import json
import numbers
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from eventlab import queries
from eventlab.charts import themes
from eventlab.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Kind = Literal["chart", "table", "number", "text"]

ROWS = 200  # of a table that are shown
_STILL = 20  # of a table in HTML, where nothing scrolls
_CHARACTERS = 240  # of a cell that are shown
_TEXT = 20_000  # characters of a text that are shown
_DROPPED = ("$schema", "usermeta", "datasets")  # usermeta may name options that are fetched from elsewhere
_MADE_NAME = re.compile(r"(?:param|view)_[0-9a-f]{6,}(?:_\d+)?|(?:param|view)_\d+")


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart, a table, a number or a text, ready to be drawn.

    Attributes
    ----------
    kind
        Which of them it is.
    form
        How it is drawn: of a chart its Vega-Lite specification without the rows, of a table its columns.
    data
        What is drawn: of a chart the rows by the names of their datasets, of a table its cells as text and how many rows
        there are in all, else the text.
    """

    kind: Kind
    form: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """About how many bytes it takes to send it."""
        return len(json.dumps([self.form, self.data]))

    @property
    def line(self) -> str:
        """The picture in one line of text."""
        match self.kind:
            case "chart":
                return f"a chart of {sum(map(len, self.data.values())):,} rows"
            case "table":
                return f"{_counted(self.data['total'], 'row')}, {_counted(len(self.form['columns']), 'column')}"
            case _:
                return str(self.data["text"])


def picture(value: object, *, zone: dt.tzinfo | None = None) -> Picture:
    """Return the picture of a value.

    Parameters
    ----------
    value
        An Altair chart; a Result, a DuckDB relation, a Polars or pandas frame or an Arrow table; a number; or text. A
        picture is itself.
    zone
        In which zone moments of a table are told; their own if None.

    Raises
    ------
    InvalidArgument
        If it is none of these.
    """
    if isinstance(value, Picture):
        return value
    altair = sys.modules.get("altair")  # who has made a chart has loaded it
    if altair is not None and isinstance(value, altair.TopLevelMixin):
        return _chart(value.to_dict())
    relation = getattr(value, "relation", value)
    if isinstance(relation, queries.Relation):
        return _of_relation(relation, getattr(value, "sql", ""), zone)
    frame = _frame(value)
    if frame is not None:
        return table(frame.head(ROWS), total=frame.height, zone=zone)
    if isinstance(value, (dt.timedelta, dt.date, bool, str)) or value is None:
        return Picture("text", data={"text": cell(value, zone, most=_TEXT) or "nothing"})
    if isinstance(value, numbers.Number) or hasattr(value, "as_tuple"):
        return Picture("number", data={"text": _number(value), "value": float(value)})  # type: ignore[arg-type]
    raise InvalidArgument(
        f"{type(value).__name__} is no picture",
        hint="Return an Altair chart, a Result, a frame, a number or text.",
    )


def table(frame: pl.DataFrame, *, total: int | None = None, zone: dt.tzinfo | None = None) -> Picture:
    """Return the picture of a table: its rows as text, and how many there are in all if these are the first."""
    columns = [{"name": name, "type": _type(kind), "numeric": kind.is_numeric()} for name, kind in frame.schema.items()]
    rows = [[cell(value, zone) for value in row] for row in frame.iter_rows()]
    return Picture("table", {"columns": columns}, {"rows": rows, "total": frame.height if total is None else total})


def cell(value: object, zone: dt.tzinfo | None = None, *, most: int = _CHARACTERS) -> str | None:
    """Return a value as the text of a cell; None if there is none."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}" if not 1e-3 <= abs(value) < 1e15 else f"{value:.4f}".rstrip("0").rstrip(".")  # noqa: PLR2004 - beyond them digits say little
        case dt.datetime():
            local = value.astimezone(zone) if zone is not None and value.tzinfo is not None else value
            return local.replace(tzinfo=None).isoformat(sep=" ")
        case dict() | list():
            text = json.dumps(value, default=str, ensure_ascii=False)
        case _:
            text = str(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def static(drawn: Picture, *, caption: str = "") -> str:
    """Return a picture as HTML that needs no script and no network: charts as an embedded SVG, data as text."""
    match drawn.kind:
        case "chart":
            body = f'<img alt="{html.escape(caption or "chart")}" style="max-width:100%" src="{_image(drawn)}">'
        case "table":
            body = _html_table(drawn)
        case "number":
            body = f'<div style="font-size:2.4em;font-weight:600">{html.escape(drawn.data["text"])}</div>'
        case _:
            body = f'<pre style="white-space:pre-wrap;margin:0">{html.escape(drawn.data["text"])}</pre>'
    note = f'<div style="color:#5b6776;font-size:12px;margin-top:6px">{html.escape(caption)}</div>' if caption else ""
    ground = "background:#fff;color:#1b2430;padding:8px 10px;font:13px/1.45 system-ui,sans-serif;overflow-x:auto"
    return f'<div style="{ground}">{body}{note}</div>'


def specification(drawn: Picture, mode: themes.Mode = "light") -> dict[str, Any]:
    """Return the whole Vega-Lite specification of a chart, its rows and a theme in it."""
    config = _merged(theme(mode), drawn.form.get("config", {}))
    return {**drawn.form, "config": config, "datasets": drawn.data}


def theme(mode: themes.Mode) -> dict[str, Any]:
    """Return the theme of a mode, with a colour for marks that have none of their own."""
    return {**themes.config(mode), "mark": {"color": themes.PALETTES[mode].series[0]}}


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _of_relation(relation: queries.Relation, sql: str, zone: dt.tzinfo | None) -> Picture:
    """Return the picture of a relation, of which no more is fetched than is shown."""
    with queries.explained(text=sql):
        frame: pl.DataFrame = relation.limit(ROWS + 1).pl()
        more = frame.height > ROWS
        total = relation.count("*").fetchall()[0][0] if more else frame.height
    return table(frame.head(ROWS), total=int(total), zone=zone)


def _frame(value: object) -> pl.DataFrame | None:
    """Return a frame of any library as Polars' own; None if it is no frame."""
    if isinstance(value, pl.LazyFrame):
        return value.collect()
    if isinstance(value, pl.Series):
        return value.to_frame()
    if isinstance(value, pl.DataFrame):
        return value
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return pl.DataFrame(value, infer_schema_length=None)
    if hasattr(value, "__arrow_c_stream__"):
        return pl.DataFrame(value)
    return None


def _chart(spec: dict[str, Any]) -> Picture:
    """Return the picture of a Vega-Lite specification: its rows taken out, and names that are made anew each time settled.

    Altair names data by its content, and some parameters and views by a counter or a hash; with names by their place, the
    same chart of other rows has the same form.
    """
    datasets = spec.get("datasets", {})
    form = {key: copy.deepcopy(value) for key, value in spec.items() if key not in _DROPPED}
    data: dict[str, Any] = {}
    settled: dict[str, str] = {}
    for node in _nodes(form):
        source = node.get("data")
        if not isinstance(source, dict):
            continue
        given = source.get("name")
        rows = datasets.get(given) if given is not None else None
        rows = source.get("values") if rows is None else rows
        if not isinstance(rows, list):
            continue
        name = settled.setdefault(given or f"\0{len(settled)}", f"rows_{len(settled)}")
        node["data"] = {"name": name, **({"format": source["format"]} if "format" in source else {})}
        data[name] = _plain(rows)
    form["config"] = _without(form.get("config", {}), themes.config("light"))
    return Picture("chart", _renamed(form), data)


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Yield every object of a specification, the root first."""
    if isinstance(tree, dict):
        yield tree
        for key, part in tree.items():
            if key != "values":
                yield from _nodes(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _nodes(part)


def _renamed(form: dict[str, Any]) -> dict[str, Any]:
    """Return a specification in which parameters and views that Altair named are named by their place."""
    made = [node["name"] for node in _nodes(form) if _MADE_NAME.fullmatch(str(node.get("name")))]
    if not made:
        return form
    names = {name: f"{name.split('_')[0]}_at_{number}" for number, name in enumerate(dict.fromkeys(made))}
    listed = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    renamed: dict[str, Any] = json.loads(
        re.sub(rf"(?<![A-Za-z0-9])(?:{listed})(?![0-9A-Za-z])", lambda found: names[found[0]], json.dumps(form))
    )
    return renamed


def _plain(rows: Iterable[Any]) -> list[Any]:
    """Return rows as JSON can have them: moments as text, and nothing where a number is none."""
    plain: list[Any] = json.loads(json.dumps(list(rows), default=_jsonable), parse_constant=lambda _: None)
    return plain


def _jsonable(value: object) -> object:
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    return float(value) if isinstance(value, numbers.Number) or hasattr(value, "as_tuple") else str(value)  # type: ignore[arg-type]


def _without(config: dict[str, Any], theme: dict[str, Any]) -> dict[str, Any]:
    """Return what a configuration says that the theme does not say already: the reader's page has light or dark in its place."""
    kept: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict) and isinstance(theme.get(key), dict):
            if rest := _without(value, theme[key]):
                kept[key] = rest
        elif key not in theme or theme[key] != value:
            kept[key] = value
    return kept


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with another one laid over it."""
    both = {
        key: _merged(under[key], value) if isinstance(value, dict) and isinstance(under.get(key), dict) else value
        for key, value in over.items()
    }
    return {**under, **both}


def _number(value: Any) -> str:  # noqa: ANN401 - a number of any library
    """Return a number for a person: grouped by thousands, with no more digits than say something."""
    if hasattr(value, "as_tuple"):
        return f"{value:,}"
    number = value.item() if hasattr(value, "item") else value
    if isinstance(number, int):
        return f"{number:,}"
    number = float(number)
    return f"{number:,.2f}".rstrip("0").rstrip(".") if 1e-2 <= abs(number) < 1e15 or not number else f"{number:.4g}"  # noqa: PLR2004 - beyond them digits say little


def _type(kind: pl.DataType) -> str:
    """Return the name of a column's type for a person."""
    if isinstance(kind, pl.Datetime):
        return "time" if kind.time_zone is None else f"time ({kind.time_zone})"
    return {pl.String: "text", pl.Boolean: "true or false"}.get(type(kind), str(kind).lower())


def _image(drawn: Picture) -> str:
    """Return a chart as an SVG in a data URL, in which nothing of the data can be markup of the page."""
    from eventlab.jupyter import renderers  # noqa: PLC0415 - its JavaScript engine takes a while

    svg = renderers.still(renderers.compiled(specification(drawn)))
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _html_table(drawn: Picture) -> str:
    """Return a table as HTML."""
    columns, rows = drawn.form["columns"], drawn.data["rows"][:_STILL]
    align = ["right" if column["numeric"] else "left" for column in columns]
    cells = "text-align:{};padding:2px 10px;border-bottom:1px solid #e3e8ee;white-space:nowrap"
    head = "".join(
        f'<th style="{cells.format(side)}">{html.escape(column["name"])}</th>'
        for column, side in zip(columns, align, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{cells.format(side)}">{"" if text is None else html.escape(text)}</td>'
            for text, side in zip(row, align, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    more = drawn.data["total"] - len(rows)
    note = f'<div style="color:#5b6776">and {more:,} more rows</div>' if more > 0 else ""
    return (
        f'<table style="border-collapse:collapse;font-variant-numeric:tabular-nums"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>{note}"
    )
