"""Configurations: what ``reports.toml`` says about reports, where they are delivered, and alerts."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlab.errors import InvalidArgument, StoreNotFound, unknown
from eventlab.reports.configuration import keys
from eventlab.reports.configuration.entries import Alert, CatchUp, Channel, Format, Options, Report
from eventlab.reports.configuration.settings import Table
from eventlab.store import layouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from eventlab.reports.configuration.settings import Key

__all__ = ["Alert", "CatchUp", "Channel", "Configuration", "Format", "Options", "Report", "find", "load"]

FILE = "reports.toml"
_BARE = re.compile(r"[A-Za-z0-9_-]+")  # of TOML: other keys are in quotes
_ONE_OF = (("cron", "every"), ("notebook", "function"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a file says, checked; paths are absolute.

    Attributes
    ----------
    path
        Of the file.
    log
        The store of the runs.
    """

    path: Path
    log: Path
    reports: dict[str, Report]
    channels: dict[str, Channel] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)


def load(path: Path) -> Configuration:
    """Return what a file says. Paths in it are of the file's folder; in a store, ``store`` is that store if it is left out.

    Notebooks, stores and functions are not looked for: what is not there fails when it is run, and that is recorded.

    Raises
    ------
    InvalidArgument
        If it cannot be read, or something in it is not of its form. The message says the file, the table and the key.
    """
    file = Table(str(path), _document(path))
    given = file.read(keys.FILE)
    folder = path.absolute().parent
    channels = {name: _channel(name, one, file) for name, one in given.get("delivery", {}).items()}
    defaults = file.inner("[defaults]", given.get("defaults", {}))
    reports = _reports(_named(file, "report", given), defaults, folder, channels)
    if not reports:
        raise file.wrong("there is no report", "Begin one with [[report]].")
    alerts = _alerts(_named(file, "alert", given), reports, channels)
    log = _absolute(folder, given.get("log", "reports/log"))
    _keep_apart(file, log, reports.values())
    return Configuration(path=path.absolute(), log=log, reports=reports, channels=channels, alerts=alerts)


def find(config: Path | None = None, store: Path | None = None) -> Path:
    """Return the file that is meant: the given one, else of the current folder, of the store, or of ``notebooks/reports``.

    Raises
    ------
    InvalidArgument
        If there is none.
    """
    if config is not None:
        file = config / FILE if config.is_dir() else config
        if not file.is_file():
            raise InvalidArgument(f"there is no file {file}", hint="Give the path of a reports.toml with --config.")
        return file
    places = [Path(FILE), *([store / FILE] if store is not None else []), Path("notebooks", "reports", FILE)]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(map(str, places))
    raise InvalidArgument(f"there is no reports.toml: looked at {looked}", hint="Write one, or name it with --config.")


def _document(path: Path) -> dict[str, Any]:
    """Return the tables of a file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidArgument(f"{path} cannot be read: {reason}", hint="Give the path of a reports.toml.") from None
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{path} is not UTF-8: {error}", hint="Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"{path} is no TOML: {error}", hint='Texts are in quotes: cron = "0 6 * * *".') from None


def _named(file: Table, kind: str, given: dict[str, Any]) -> list[Table]:
    """Return the tables of a kind; in errors they have their names, or else their places."""
    return [
        file.inner(
            f"[[{kind}]] {one['name'][:100]!r}" if isinstance(one.get("name"), str) else f"[[{kind}]] {place}", one
        )
        for place, one in enumerate(given.get(kind, []), start=1)
    ]


def _reports(
    tables: Sequence[Table], defaults: Table, folder: Path, channels: Mapping[str, Channel]
) -> dict[str, Report]:
    """Return the reports by their names."""
    common = _of_report(defaults, keys.DEFAULTS, channels)
    reports: dict[str, Report] = {}
    for table in tables:
        report = _report(table, common, folder, channels)
        same = [name for name in reports if name.lower() == report.name.lower()]  # one file where case does not count
        if same:
            raise table.wrong(f"there is a report {same[0]!r} already", "Give each its own name, not only in its case.")
        reports[report.name] = report
    return reports


def _report(table: Table, common: Mapping[str, Any], folder: Path, channels: Mapping[str, Channel]) -> Report:
    """Return a report: what it says itself, and else what all have in common."""
    own = _of_report(table, keys.REPORT, channels, needed=["name"])
    instead = {key for pair in _ONE_OF for key in pair if own.keys() & set(pair)}
    values = {**{key: value for key, value in common.items() if key not in instead}, **own}
    for pair in _ONE_OF:
        if not values.keys() & set(pair):
            examples = " or ".join(f"{key} = {keys.REPORT[key].example}" for key in pair)
            raise table.wrong(f"there is neither {pair[0]} nor {pair[1]}", f"Write {examples}.")
    if "store" in values:
        values["store"] = _absolute(folder, values["store"])
    elif (folder / "store.toml").is_file():
        values["store"] = folder
    else:
        raise table.wrong("store is missing", f"Write store = {keys.REPORT['store'].example}, or so in [defaults].")
    if "timezone" not in values:
        values["timezone"] = _zone_of(values["store"])
    values["out"] = _absolute(folder, values.get("out", "reports"))
    notebook = values.get("notebook")
    return Report(**values, source=values["function"] if notebook is None else _absolute(folder, notebook).as_posix())


def _of_report(
    table: Table, known: Mapping[str, Key], channels: Mapping[str, Channel], *, needed: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what a table says of a report, or of all."""
    values = table.read(known, needed=needed)
    for pair in _ONE_OF:
        if values.keys() >= set(pair):
            raise table.wrong(f"there are both {pair[0]} and {pair[1]}", "Leave one out.")
    _exist(table, "deliver", values.get("deliver", []), channels, "channel")
    return values


def _alerts(tables: Sequence[Table], reports: Mapping[str, Report], channels: Mapping[str, Channel]) -> list[Alert]:
    """Return the alerts, of reports that there are."""
    alerts: list[Alert] = []
    for table in tables:
        alert = Alert(**table.read(keys.ALERT, needed=["name", "report"]))
        if any(alert.name == other.name for other in alerts):
            raise table.wrong("there is an alert of that name already", "Give each its own name.")
        _exist(table, "report", [alert.report], reports, "report")
        _exist(table, "deliver", alert.deliver, channels, "channel")
        if alert.when is None and alert.sql is None:
            raise table.wrong("there is neither when nor sql", f"Write when = {keys.ALERT['when'].example}.")
        alerts.append(alert)
    return alerts


def _channel(name: str, given: object, file: Table) -> Channel:
    """Return a channel, with the options of its type."""
    table = file.inner(f"[delivery.{name if _BARE.fullmatch(name) else repr(name)}]", given)
    if "type" not in table.values:
        raise table.wrong("type is missing", f"Write type = {keys.TYPE.example}.")
    kind = table.value("type", keys.TYPE)
    options = table.read(keys.CHANNELS[kind])
    if options.keys() >= {"url", "url_env"}:
        raise table.wrong("there are both url and url_env", "Leave one out.")
    if ("user" in options) != ("password" in options):
        raise table.wrong(
            "there is only one of user and password", "Name the environment variables of both, or of none."
        )
    del options["type"]
    return Channel(name=name, type=kind, options=Options(table.place, options))


def _exist(table: Table, key: str, names: Iterable[str], known: Iterable[str], kind: str) -> None:
    """Refuse names of what there is not."""
    there = list(known)
    for name in names:
        if name not in there:
            message, hint, _ = unknown(kind, name, there)
            raise table.wrong(message, hint if there else f"Begin it with [delivery.{name}].", key=key)


def _keep_apart(file: Table, log: Path, reports: Iterable[Report]) -> None:
    """Refuse a runs log in whose folder pages would be, or that would be among the pages of a report."""
    for report in reports:
        pages = report.out / report.name
        if log in pages.parents or log == pages or pages in log.parents:
            raise file.wrong(
                f"the pages of {report.name!r} and the runs log would both be in {log}",
                'Give the log a folder of its own: log = "reports/runs", at the top of the file.',
            )


def _absolute(folder: Path, given: str) -> Path:
    """Return a path of the file as an absolute one."""
    path = folder / given
    return path.resolve() if ".." in path.parts else path


def _zone_of(store: Path) -> str:
    """Return the time zone of a store; of one that is not there yet UTC."""
    try:
        return layouts.read(store).timezone
    except StoreNotFound:
        return "UTC"
