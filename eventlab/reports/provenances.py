"""What a report was made from, so that it can be made again: the moment of the log, the source, the parameters, the versions."""

from __future__ import annotations

import datetime as dt
import platform
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from eventlab.errors import InvalidArgument
from eventlab.reports.figures import Change, Figure, figure_of

LIBRARIES = ("eventlab", "duckdb", "polars", "pyarrow", "altair")
_FORM = 1
_KINDS: dict[str, type | tuple[type, ...]] = {
    "title": str,
    "source": str,
    "digest": str,
    "store": str,
    "store_id": str,
    "basis": str,
    "position": int,
    "at": str,
    "known_at": (str, type(None)),
    "timezone": str,
    "parameters": dict,
    "figures": list,
    "schemas": dict,
    "versions": dict,
    "report": (str, type(None)),
    "period": (list, type(None)),
    "version": int,
    "changes": list,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a report comes from.

    Attributes
    ----------
    title
        Of the report.
    source
        The notebook's path, or ``module:function``.
    digest
        SHA-256 of the notebook's cells, or of the function's module.
    store, store_id
        The folder of the log as it was given, and the store's own id.
    basis
        The token that gives the same rows for ever; ``position`` is the last event of it.
    at, known_at
        What was asked for, as text for a person; ``known_at`` None: all that was recorded by then.
    timezone
        In which times are shown.
    parameters
        With their values.
    figures
        That the report declares.
    schemas
        The version of each event type that the basis knows.
    versions
        Of Python and the libraries.
    report, period
        Of a scheduled run: its name, and the start and the end of its period (ISO 8601).
    version
        1, or more for a corrected report; ``changes`` says how it differs from the version before.
    ran_at, seconds
        When it was made and how long that took: the only facts that differ from one making to the next.
    """

    title: str
    source: str
    digest: str
    store: str
    store_id: str
    basis: str
    position: int
    at: str
    known_at: str | None
    timezone: str
    parameters: dict[str, Any] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    schemas: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    report: str | None = None
    period: tuple[str, str] | None = None
    version: int = 1
    changes: list[Change] = field(default_factory=list)
    ran_at: dt.datetime
    seconds: float = 0.0

    def plain(self) -> dict[str, Any]:
        """Return all but ``ran_at`` and ``seconds`` as JSON can have it."""
        return {
            "eventlab": _FORM,
            "title": self.title,
            "source": self.source,
            "digest": self.digest,
            "store": self.store,
            "store_id": self.store_id,
            "basis": self.basis,
            "position": self.position,
            "at": self.at,
            "known_at": self.known_at,
            "timezone": self.timezone,
            "parameters": {name: _plain(value) for name, value in self.parameters.items()},
            "figures": [figure.plain() for figure in self.figures],
            "schemas": self.schemas,
            "versions": self.versions,
            "report": self.report,
            "period": None if self.period is None else list(self.period),
            "version": self.version,
            "changes": [change.plain() for change in self.changes],
        }


def provenance_of(plain: dict[str, Any], ran_at: dt.datetime, seconds: float) -> Provenance:
    """Return the provenance that ``Provenance.plain`` made.

    Raises
    ------
    InvalidArgument
        If it is none.
    """
    if plain.get("eventlab") != _FORM:
        raise InvalidArgument(
            f"the page's provenance has the form {plain.get('eventlab')!r}, and {_FORM} is known",
            hint="Use the version of eventlab that made the page.",
        )
    for key, kind in _KINDS.items():
        if not isinstance(plain.get(key), kind):
            raise InvalidArgument(
                f"the page's provenance has no {key}, or not of its type",
                hint="Make the report again with eventlab report run.",
            )
    try:
        given = {key: value for key, value in plain.items() if key != "eventlab"}
        for moment in (given["at"], *(given["period"] or ())):
            if moment != "open":
                dt.datetime.fromisoformat(moment)
        given["figures"] = [figure_of(one) for one in given["figures"]]
        given["changes"] = [
            Change(
                one["name"],
                *(None if one[side] is None else figure_of(one[side]) for side in ("before", "after")),
            )
            for one in given["changes"]
        ]
        given["parameters"] = {name: _value(value) for name, value in given["parameters"].items()}
        given["period"] = None if given["period"] is None else tuple(given["period"])
        return Provenance(**given, ran_at=ran_at, seconds=seconds)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise InvalidArgument(
            f"the page's provenance cannot be read: {error}", hint="Make the report again with eventlab report run."
        ) from None


def _plain(value: Any) -> Any:  # noqa: ANN401 - of a parameter
    """Return a parameter's value as JSON can have it."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    plain = Figure("value", value).plain()
    return value if plain["value"] is value else {"kind": plain["kind"], "value": plain["value"]}


def _value(plain: Any) -> Any:  # noqa: ANN401 - as above
    """Return the value that ``_plain`` made."""
    if isinstance(plain, list):
        return [_value(one) for one in plain]
    return figure_of({"name": "value", **plain}).value if isinstance(plain, dict) else plain


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries on which the numbers of a report rest."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in LIBRARIES}}
