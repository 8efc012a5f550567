"""Notices: what is said of a run, a failure, a correction or an alert, over each kind of channel."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlab.reports.delivery.channels import Message, flat
from eventlab.reports.figures import Change, figure_of
from eventlab.reports.ledger import publications

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from eventlab.reports.figures import Figure

KINDS = {
    "RunFinished": "report",
    "RunFailed": "failure",
    "AlertFired": "alert",
    "AlertRecovered": "recovery",
    "AlertBroken": "broken alert",
}
_STATUS = {"report": "ok", "correction": "corrected", "failure": "failed", "alert": "fired", "recovery": "recovered"}
_MOST = 20  # figures or changes that a short text has
_PAGE = '<div style="font-family:sans-serif;font-size:15px;color:#1b1f24"><h2 style="font-size:18px">{title}</h2>{lines}</div>'


def kind_of(event_type: str, told: Mapping[str, Any]) -> str:
    """Return what is delivered: ``report``, ``correction``, ``failure``, ``alert``, ``recovery`` or ``broken alert``."""
    return "correction" if event_type == "RunFinished" and told["version"] > 1 else KINDS[event_type]


def notice(event_type: str, told: Mapping[str, Any], *, key: str, mailed: bool) -> Message:
    """Return the message of an event of the runs log.

    Parameters
    ----------
    event_type, told
        The event: one of ``KINDS``, and its payload.
    key
        Of the message: the same each time.
    mailed
        Whether it goes by mail. Then it is what the run has kept for that, or if that is gone, what the event says.
    """
    subject, lines = _words(event_type, told)
    text = "\n".join([subject, "", *lines]) + "\n"
    facts = _facts(event_type, told)
    if not mailed:
        return Message(key=key, subject=subject, text=text, facts=facts)
    kept = _kept(told)
    if kept is not None:
        return Message(key=key, facts=facts, **kept)
    shown = "".join(f"<p>{html.escape(one)}</p>" for one in lines if one)
    page = _PAGE.format(title=html.escape(subject), lines=shown)
    return Message(key=key, subject=subject, text=text, html=page, facts=facts)


def figures_in(told: Mapping[str, Any]) -> list[Figure]:
    """Return the figures of a payload that has them as ``runs.plain`` says them."""
    values, labels, units = (told.get(name) or {} for name in ("figures", "labels", "units"))
    return [
        figure_of(
            {
                "name": name,
                "kind": kind,
                "value": values[name],
                "label": labels.get(name, ""),
                "unit": units.get(name, ""),
            }
        )
        for name, kind in (told.get("kinds") or {}).items()
    ]


def _words(event_type: str, told: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the subject and the lines of a short text."""
    report, period = told.get("title") or told["report"], told["period"]
    files = [f"Page: {path}" for path in _files(told)[:1]]
    match kind_of(event_type, told):
        case "report":
            return flat(f"{report}, {period}"), [*_listed(_figures(told)), *files]
        case "correction":
            changed = _listed(f"{change.told}" for change in _changes(told))
            return flat(f"{report}, {period}: corrected, version {told['version']}"), [*changed, *files]
        case "failure":
            where = f"cell {told['cell']}: " if told.get("cell") is not None else ""
            tried = f"It was tried {told['attempt']} time{'s' if told['attempt'] > 1 else ''}."
            return flat(f"{report}, {period}: failed"), [
                flat(f"{where}{told.get('message') or told['kind']}"),
                tried,
                *files,
                *_last_good(told),
            ]
        case "alert":
            since = [f"It holds since {told['since']}."] if told["since"] != period else []
            lines = [flat(f"Condition: {told['condition']}"), *since, *_listed(_figures(told)), *files]
            return flat(f"Alert: {told['alert']} ({report}, {period})"), lines
        case "recovery":
            lines = [flat(f"No longer: {told['condition']}"), f"It held since {told['since']}."]
            return flat(f"Recovered: {told['alert']} ({report}, {period})"), [*lines, *_listed(_figures(told)), *files]
        case _:
            return flat(f"Alert cannot be checked: {told['alert']} ({report}, {period})"), [flat(told["error"]), *files]


def _facts(event_type: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a program is told."""
    kind = kind_of(event_type, told)
    facts: dict[str, Any] = {
        "kind": kind,
        "status": _STATUS.get(kind, "error"),
        "report": told["report"],
        "title": told.get("title") or told["report"],
        "period": {"name": told["period"], "start": told["start"], "end": told["end"]},
        "files": [str(path) for path in _files(told)],
    }
    if event_type == "RunFailed":
        parts = {"kind": told["kind"], "message": told.get("message"), "cell": told.get("cell")}
        return {**facts, "attempts": told["attempt"], "error": parts, "last_good": told.get("last_good")}
    facts |= {"version": told.get("version"), "figures": told.get("figures") or {}, "basis": told.get("basis")}
    if kind == "correction":
        facts["changes"] = told.get("changes") or []
    if event_type.startswith("Alert"):
        names = ("condition", "since", "streak", "error")
        facts["alert"] = {"name": told["alert"], **{name: told[name] for name in names if told.get(name) is not None}}
    return facts


def _kept(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the mail that a run has kept; None if it has none, or it is gone: as of a failed run that was made meanwhile."""
    if not told.get("mail"):
        return None
    try:
        return publications.read_mail(Path(told["out"]) / told["mail"])
    except (OSError, ValueError, KeyError):
        return None


def _files(told: Mapping[str, Any]) -> Sequence[Path]:
    """Return the files that readers have of a run."""
    names = told.get("files") or [told[name] for name in ("page",) if told.get(name)]
    return [Path(told["out"]) / name for name in names]


def _last_good(told: Mapping[str, Any]) -> list[str]:
    """Return where readers may look instead of a report that failed."""
    earlier = told.get("last_good")
    return [flat(f"Last good report: {earlier['period']}, {earlier['files'][0]}")] if earlier else []


def _figures(told: Mapping[str, Any]) -> list[str]:
    return [flat(f"{figure.title}: {figure.shown}") for figure in figures_in(told)]


def _changes(told: Mapping[str, Any]) -> list[Change]:
    return [
        Change(one["name"], *(None if one[side] is None else figure_of(one[side]) for side in ("before", "after")))
        for one in told.get("changes") or ()
    ]


def _listed(lines: Iterable[str]) -> list[str]:
    """Return the first lines, and how many more there are."""
    listed = list(lines)
    more = [f"and {len(listed) - _MOST} more"] if len(listed) > _MOST else []
    return [flat(one) for one in listed[:_MOST]] + more
