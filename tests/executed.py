"""Executions of reports made by hand: what running a notebook would give, without running one."""

from __future__ import annotations

import base64
import datetime as dt
import math
from dataclasses import replace
from typing import Any

from eventlab.reports.execution.executions import Cell, Execution, Failure
from eventlab.reports.execution.outputs import TABLE, VEGALITE
from eventlab.reports.figures import MIME, Change, Figure
from eventlab.reports.provenances import Provenance

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script><!--",
    "<!--<script>",
    "<img src=http://stranger.invalid/a.png onerror=alert(3)>",
    "![x](http://stranger.invalid/b.png)",
    "[x](javascript:alert(4))",
    "{{ 7*7 }}{% raw %}",
    "a|b`c`**d**_e_",
    "\"' onmouseover=alert(5) x='",
    "</title></style></textarea><svg onload=alert(6)>",
    "\u202egnp.exe\x00\x1b[31mred\r\nSubject: x",
)
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)

PROVENANCE = Provenance(
    title="Yesterday at New York\N{RIGHT SINGLE QUOTATION MARK}s airports",
    source="notebooks/reports/daily.ipynb",
    digest="9f2c1a" + "0" * 58,
    store="data/flights",
    store_id="0197c1d2-6a3b-7000-8000-5f2d7c1e9a40",
    basis="basis:1018382:2013-02-10T05:00:00Z:4f1d",
    position=1_018_382,
    at="2013-02-10T00:00:00-05:00",
    known_at=None,
    timezone="America/New_York",
    parameters={"day": "2013-02-09", "worst": 10},
    figures=[Figure("cancelled", 475), Figure("delay", 12.5, unit="min")],
    schemas={"FlightScheduled": 1, "FlightDeparted": 2, "FlightCancelled": 1},
    versions={"python": "3.12.1", "eventlab": "0.1.0", "duckdb": "2.0.0"},
    report="daily",
    period=("2013-02-09T00:00:00-05:00", "2013-02-10T00:00:00-05:00"),
    ran_at=dt.datetime(2026, 10, 3, 6, 0, 12, tzinfo=dt.UTC),
    seconds=3.21,
)
CORRECTED = replace(
    PROVENANCE,
    version=2,
    changes=[
        Change(
            "cancelled", Figure("cancelled", 472, "Flights cancelled"), Figure("cancelled", 475, "Flights cancelled")
        )
    ],
)
FAILURE = Failure(
    "error",
    "QueryError: no column 'entitty'. Did you mean 'entity'?",
    "Traceback (most recent call last):\n  File '<cell 4>', line 1, in <module>\nQueryError: no column 'entitty'",
    4,
    "worst = log.sql('select entitty from events')\nworst.pl()",
)


def shows(data: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """Return the output of a cell that shows something."""
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def figure(name: str, value: Any, label: str = "", unit: str = "") -> dict[str, Any]:
    """Return the output of a declared figure."""
    return shows({MIME: Figure(name, value, label, unit).plain(), "text/plain": str(value)})


def table(columns: dict[str, bool], rows: list[list[str | None]], total: int | None = None) -> dict[str, Any]:
    """Return the output of a table; of each column whether it has numbers."""
    named = [
        {"name": name, "type": "int" if numeric else "text", "numeric": numeric} for name, numeric in columns.items()
    ]
    return shows({TABLE: {"columns": named, "rows": rows, "total": len(rows) if total is None else total}})


def chart(**spec: Any) -> dict[str, Any]:
    """Return the output of a chart; a line of three points, unless something else is given."""
    rows = {"rows_0": [{"n": 1, "v": 3}, {"n": 2, "v": 5}, {"n": 3, "v": 4}]}
    encoding = {"x": {"field": "n", "type": "quantitative"}, "y": {"field": "v", "type": "quantitative"}}
    made = {"mark": "line", "data": {"name": "rows_0"}, "encoding": encoding, "title": "Three points", "datasets": rows}
    return shows({VEGALITE: made | spec})


def code(text: str, *outputs: dict[str, Any]) -> Cell:
    """Return a cell of code that was run."""
    return Cell("code", text, list(outputs))


def execution(*cells: Cell | str, figures: tuple[Figure, ...] = (), failure: Failure | None = None) -> Execution:
    """Return what came of running cells; text is Markdown."""
    made = [Cell("markdown", cell) if isinstance(cell, str) else cell for cell in cells]
    return Execution(made, list(figures), 1.0, failure)


def daily() -> Execution:
    """Return a report of a day's flights: figures, a day's course, the worst routes, cancellations by airline."""
    hours = [
        {"hour": f"2013-02-09T{hour:02}:00", "kind": kind, "flights": round(peak * math.exp(-((hour - 16) ** 2) / 22))}
        for kind, peak in (("departed", 41), ("cancelled", 58), ("delayed", 22))
        for hour in range(5, 24)
    ]
    course = {
        "title": {
            "text": "The day's course",
            "subtitle": "flights by the hour of their scheduled departure, of all that were to leave on this day",
        },
        "mark": {"type": "line", "point": True, "tooltip": True},
        "width": 640,
        "height": 260,
        "data": {"name": "rows_0"},
        "encoding": {
            "x": {"field": "hour", "type": "temporal", "title": None, "axis": {"format": "%H:%M"}},
            "y": {"field": "flights", "type": "quantitative", "title": None},
            "color": {"field": "kind", "type": "nominal"},
        },
        "datasets": {"rows_0": hours},
    }
    airlines = {
        "title": "Cancelled, by airline",
        "mark": {"type": "bar", "cornerRadiusEnd": 3},
        "data": {"name": "rows_0"},
        "encoding": {
            "y": {"field": "airline", "type": "nominal", "sort": "-x", "title": None},
            "x": {"field": "cancelled", "type": "quantitative", "title": None},
            "tooltip": [{"field": "airline"}, {"field": "cancelled"}],
        },
        "datasets": {
            "rows_0": [
                {"airline": name, "cancelled": number}
                for name, number in (
                    ("JetBlue", 151),
                    ("United", 98),
                    ("ExpressJet", 84),
                    ("Delta", 61),
                    ("US Airways", 33),
                )
            ]
        },
    }
    routes = [
        [f"{origin} to {to}", str(scheduled), str(gone), None if delay is None else f"{delay:.1f}"]
        for origin, to, scheduled, gone, delay in (
            ("JFK", "BOS", 14, 14, None), ("LGA", "ORD", 22, 19, 64.2), ("EWR", "BOS", 12, 11, 58.0), ("JFK", "LAX", 31, 18, 41.7),
            ("LGA", "DCA", 19, 16, 38.5), ("EWR", "SFO", 17, 9, 33.1), ("JFK", "MCO", 20, 8, 29.4), ("LGA", "ATL", 28, 12, 27.0),
            ("EWR", "FLL", 16, 5, 22.8), ("JFK", "SJU", 9, 3, 18.2),
        )
    ]  # fmt: skip
    return execution(
        f"# {PROVENANCE.title}\n\nHow the flights scheduled from **EWR**, **JFK** and **LGA** went: how many left on "
        "time, how many did not leave at all, and which routes fared worst.",
        Cell("code", "import eventlab.reports.execution.kernels", [], hidden=True),
        code('day = "2013-02-09"'),
        code(
            'flights = log.state("flights").now()\nlog.figure("scheduled", flights.height)',
            figure("scheduled", 741, "Flights scheduled"),
            figure("cancelled", 475, "Flights cancelled"),
        ),
        code(
            'el.figure("punctual", 61.7, unit="%")',
            figure("punctual", 61.7, "Left on time", "%"),
            figure("delay", 38.25, "Average delay", "min"),
            figure(
                "reopened",
                dt.datetime(2013, 2, 9, 10, 5, tzinfo=dt.timezone(-dt.timedelta(hours=5))),
                "First departure",
            ),
        ),
        "## The day's course\n\nThe airports reopened in the morning. A flight is *delayed* while its scheduled departure has "
        "passed and it has not left; see [the definitions](https://example.com/definitions).",
        code("chart(hours)", shows({VEGALITE: course})),
        "## The ten worst routes\n\nBy the share of flights that did not leave, then by the average delay in minutes.",
        code(
            "routes.head(10)",
            table({"route": False, "scheduled": True, "cancelled": True, "average delay": True}, routes, 214),
        ),
        "### By airline",
        code(
            "airlines",
            shows({VEGALITE: airlines}),
            {"output_type": "stream", "name": "stdout", "text": "5 of 14 airlines\n"},
        ),
        "> Cancellations are on record only for the time at which the flight was to leave.\n\n- `scheduled` counts every flight\n"
        "- a flight is cancelled *once*",
        figures=(Figure("cancelled", 475), Figure("delay", 38.25, unit="min")),
    )


def hostile(text: str) -> Execution:
    """Return a report that has a text of the data wherever a report can have one."""
    rows = {"rows_0": [{"name": text, "n": 1, "link": "javascript:alert(7)", "image": "http://stranger.invalid/c.png"}]}
    encoding = {
        "x": {"field": "n", "type": "quantitative", "title": text},
        "y": {"field": "name", "type": "nominal"},
        "tooltip": [{"field": "name"}, {"field": "image"}],
        "href": {"field": "link"},
        "url": {"field": "image"},
    }
    named = Figure("n", text, text, text[:20])
    return execution(
        f"# {text}\n\n{text}",
        Cell("markdown", f"- {text}\n\n> {text}\n\n| a |\n|---|\n| {text} |"),
        code(
            f"x = {text!r}\n{text}",
            figure("n", text, text, text[:20]),
            table({text: False}, [[text]]),
            chart(
                title=text, description=text, datasets=rows, encoding=encoding, mark={"type": "bar", "tooltip": True}
            ),
            chart(mark={"type": "image", "url": "http://stranger.invalid/d.png"}, encoding=encoding, datasets=rows),
            chart(
                data={"url": "http://stranger.invalid/rows.json"},
                usermeta={"embedOptions": {"config": "http://stranger.invalid"}},
            ),
            {"output_type": "stream", "name": "stdout", "text": text},
            {"output_type": "stream", "name": "stderr", "text": text},
            shows(
                {"text/html": f"<p onclick='alert(8)' style='background:url(http://stranger.invalid/e.png)'>{text}</p>"}
            ),
            shows({"text/markdown": text}),
            shows({"text/plain": text}),
            shows({"image/png": base64.b64encode(DOT).decode()}, **{"image/png": {"alt": text}}),
        ),
        figures=(named,),
    )


def told(text: str) -> Provenance:
    """Return a provenance that has a text of the data wherever it can have one."""
    change = Change("n", Figure("n", text, text, text[:20]), Figure("n", "new", text))
    return replace(
        PROVENANCE,
        title=text,
        source=text,
        store=text,
        basis=text,
        at=text,
        known_at=text,
        timezone=text,
        report=text,
        parameters={text: text},
        schemas={text: 1},
        figures=[Figure("n", text, text)],
        versions={text: text},
        version=2,
        changes=[change],
    )
