"""Publications: what readers get instead of a report that failed: the last good one, and nothing of eventlab's insides."""

from __future__ import annotations

import datetime as dt
import errno
import html
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from workbenches import Clock, Maker, bench, report, workshop

from eventlab.reports.calendar.periods import Period
from eventlab.reports.configuration.configurations import Channel
from eventlab.reports.delivery import notices
from eventlab.reports.ledger import publications
from eventlab.reports.ledger.records import Records
from eventlab.reports.schedule import jobs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eventlab.reports.configuration.configurations import Report

ZONE = dt.timezone(dt.timedelta(hours=-5))
GOOD, BAD = (Period(*(dt.datetime(2013, 1, day + n, tzinfo=ZONE) for n in (0, 1))) for day in (1, 2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an empty runs log and a store."""
    return bench(tmp_path)


@pytest.fixture
def records(folder: Path) -> Iterator[Records]:
    """Open the runs log."""
    with Records.open(folder / "log") as opened:
        yield opened


def perform(folder: Path, records: Records, one: Report, period: Period, make: Maker | None = None) -> str:
    """Make a run whose channels are a mail and a webhook."""
    made = workshop(folder, records, one, clock=Clock(), make=make or Maker())
    made.configuration.channels.update({kind: Channel(name=kind, type=kind, options={}) for kind in one.deliver})
    return jobs.perform(made, one, period, reason="scheduled")


def failed(records: Records) -> dict[str, Any]:
    """Return what the last failure's record says."""
    told: dict[str, Any] = [event.payload for event in records.log.read(types=["RunFailed"])][-1]
    return told


def page_of(told: dict[str, Any], folder: Path) -> str:
    """Return the page of a failure as its record names it."""
    return (folder / "reports" / told["page"]).read_text()


@pytest.mark.parametrize(
    ("to", "best"), [(["html", "md"], "html"), (["md"], "md"), (["md", "pdf"], "pdf"), (["md", "pdf", "html"], "html")]
)
def test_the_last_good_report_is_named_everywhere(folder: Path, records: Records, to: list[str], best: str) -> None:
    """On the page as a link; in a mail and a webhook with its period and its path, as they have no place to be relative to."""
    one = report(folder, to=to, deliver=["smtp", "webhook"])
    assert perform(folder, records, one, GOOD) == "made"
    assert perform(folder, records, one, BAD, Maker(fails={BAD.name: 1})) == "failed"
    told = failed(records)
    path = folder / f"reports/daily/2013-01-01.{best}"
    page = page_of(told, folder)
    assert f'<a href="2013-01-01.{best}">The last good report</a>, of 1 January 2013, is still there.' in page
    mail = publications.read_mail(folder / "reports" / told["mail"])
    for text in (mail["text"], html.unescape(mail["html"])):
        assert f"The last good report, of 1 January 2013, is still there: {path}" in text
    message = notices.notice("RunFailed", told, key="k", mailed=False)
    assert f"Last good report: 2013-01-01, {path}" in message.text
    assert message.facts["last_good"]["period"] == "2013-01-01"
    assert message.facts["last_good"]["files"][0] == str(path)
    assert len(message.facts["last_good"]["files"]) == len(to)


def test_without_an_earlier_report_none_is_named(folder: Path, records: Records) -> None:
    """Nothing was made before."""
    perform(folder, records, report(folder), BAD, Maker(fails={BAD.name: 1}))
    message = notices.notice("RunFailed", failed(records), key="k", mailed=False)
    assert message.facts["last_good"] is None
    assert "Last good" not in message.text
    assert "no earlier report that was made" in page_of(failed(records), folder)


def test_the_link_holds_after_the_pages_went_elsewhere(folder: Path, records: Records) -> None:
    """The folder of the pages was another one when the last good report was made."""
    one = report(folder)
    perform(folder, records, replace(one, out=folder / "old place"), GOOD)
    perform(folder, records, one, BAD, Maker(fails={BAD.name: 1}))
    page = page_of(failed(records), folder)
    [href] = re.findall(r'<a href="([^"]*)"', page)
    assert (folder / "reports/daily" / href.replace("%20", " ")).resolve() == folder / "old place/daily/2013-01-01.html"


@pytest.mark.parametrize("mailed", [True, False])
def test_a_failure_without_a_page_names_the_last_good_report(
    folder: Path, records: Records, monkeypatch: pytest.MonkeyPatch, *, mailed: bool
) -> None:
    """The disk is full: no page and no mail could be kept."""
    one = report(folder, deliver=["smtp", "webhook"])
    perform(folder, records, one, GOOD)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("eventlab.reports.files.write", full)
    assert perform(folder, records, one, BAD, Maker(fails={BAD.name: 1})) == "failed"
    told = failed(records)
    assert told.get("page") is None
    message = notices.notice("RunFailed", told, key="k", mailed=mailed)
    path = folder / "reports/daily/2013-01-01.html"
    assert f"Last good report: 2013-01-01, {path}" in (html.unescape(message.html or "") if mailed else message.text)
    assert message.facts["last_good"] == {"period": "2013-01-01", "files": [str(path)]}


def test_readers_see_no_traceback_of_an_error_around_the_report(folder: Path, records: Records) -> None:
    """Of a notebook that is not there the message is enough, its fix in a sentence of its own; the record has the rest."""
    (folder / "flip.ipynb").write_text("{}")
    perform(folder, records, replace(report(folder), source=str(folder / "flop.ipynb")), BAD)
    told = failed(records)
    assert told["message"].endswith("cannot be read: No such file or directory. There are: flip.ipynb")
    assert "Traceback (most recent call last)" in told["traceback"]
    page = page_of(told, folder)
    assert "No such file or directory. There are: flip.ipynb" in page
    assert "Traceback" not in page


def test_readers_see_the_traceback_of_an_error_in_the_report(folder: Path, records: Records) -> None:
    """It is the author's."""
    perform(folder, records, report(folder), BAD, Maker(fails={BAD.name: 1}))
    assert "Traceback: no" in page_of(failed(records), folder)


@pytest.mark.parametrize(
    ("title", "fails", "expected"),
    [
        ("Flights of {{ date }}", 1, "Flights of 2013-01-02"),
        (None, 1, "Nothing in particular"),
        (None, 0, "daily"),  # nothing was made: what it calls itself is not known
    ],
)
def test_a_failed_report_has_one_name(
    folder: Path, records: Records, title: str | None, fails: int, expected: str
) -> None:
    """On the page, in the mail and in the webhook: its title, or what it calls itself, or its name."""
    one = report(folder, title=title, deliver=["smtp", "webhook"])
    error = None if fails else OSError(errno.ENOSPC, "No space left on device")
    perform(folder, records, one, BAD, Maker(fails={BAD.name: fails}, error=error))
    told = failed(records)
    assert f"{expected} could not be made" in page_of(told, folder)
    assert publications.read_mail(folder / "reports" / told["mail"])["subject"].startswith(f"Failed: {expected}, ")
    message = notices.notice("RunFailed", told, key="k", mailed=False)
    assert message.subject.startswith(f"{expected}, ")
    assert json.loads(json.dumps(message.facts))["title"] == expected
