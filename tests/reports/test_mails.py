"""Mails: a report in a form that mail programs show, and the mail of a report that could not be made."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape
from html.parser import HTMLParser

import pytest
from executed import CORRECTED, DOT, FAILURE, HOSTILE, PROVENANCE, code, daily, execution, hostile, shows, table, told

from eventlab.reports.calendar.periods import Period
from eventlab.reports.drawing import failures, mails, texts
from eventlab.reports.drawing.failures import Earlier
from eventlab.reports.execution.executions import Failure

ZONE = dt.timezone(-dt.timedelta(hours=5))
DAY = Period(dt.datetime(2013, 2, 9, tzinfo=ZONE), dt.datetime(2013, 2, 10, tzinfo=ZONE))
RAN = dt.datetime(2013, 2, 10, 11, tzinfo=dt.UTC)


class Attributes(HTMLParser):
    """The elements of a mail and their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.seen.append((tag, dict(attrs)))


def test_a_mail_has_its_styles_in_it_and_its_charts_as_pictures() -> None:
    """What a mail program shows: inline styles, no script, PNG pictures by content id."""
    made = mails.mail(daily(), PROVENANCE)
    assert made.subject == "Yesterday at New York\N{RIGHT SINGLE QUOTATION MARK}s airports, 9 February 2013"
    assert re.findall(r'src="cid:([^"]+)"', made.html) == [cid for cid, _ in made.images] == ["picture-1", "picture-2"]
    assert all(png.startswith(b"\x89PNG") for _, png in made.images)
    assert '<h1 style="' in made.html
    assert "<script" not in made.html
    assert "log.state" not in made.html
    assert "Flights cancelled" in made.html
    assert len(made.html) < 60_000  # some programs cut a mail off at 100 kB


def test_a_mail_of_a_corrected_report_says_so_first() -> None:
    """In the subject, and above the figures."""
    made = mails.mail(execution("Text"), CORRECTED)
    assert made.subject.startswith("Corrected: ")
    assert "Corrected: version 2" in made.html
    assert re.search(r"Flights cancelled +472 +475 +\+3", made.text)


def test_the_text_of_a_mail_says_the_same() -> None:
    """Figures and tables in columns, charts by their names."""
    text = mails.mail(daily(), PROVENANCE).text
    assert re.search(r"Flights cancelled +475\n", text)
    assert re.search(r"LGA to ORD +22 +19 +64.2\n", text)
    assert (
        "[The day's course: flights by the hour of their scheduled departure, of all that were to leave on this day]"
        in text
    )
    assert f"Basis: {PROVENANCE.basis}" in text


def test_long_tables_are_cut_and_small_pictures_not_made_large() -> None:
    """A mail has the first rows and says how many there are."""
    import base64  # noqa: PLC0415 - here alone

    rows = [[str(number)] for number in range(200)]
    picture = shows({"image/png": base64.b64encode(DOT).decode()})
    made = mails.mail(execution(code("", table({"n": True}, rows, 1234), picture)), PROVENANCE)
    assert "The first 20 of 1,234 rows." in made.html
    assert "(the first 20 of 1,234 rows)" in made.text
    assert ">20<" not in made.html
    assert 'width="1"' in made.html


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_the_data_is_text_in_a_mail(text: str) -> None:
    """No script, no handler, nothing that is fetched, and one subject."""
    made = mails.mail(hostile(text), told(text))
    for tag, given in Attributes(made.html).seen:
        assert tag not in {"script", "svg", "iframe", "object", "form", "link", "textarea"}
        assert not [name for name in given if name.startswith("on")]
        assert (given.get("src") or "cid:").startswith("cid:")
        assert (given.get("href") or "#").startswith(("https://", "#"))
        assert "url(" not in (given.get("style") or "")
    assert made.subject.isprintable()
    assert "49" not in made.subject


@pytest.mark.parametrize(
    "ending", ["\r\nBcc: all@example.com", "\nBcc: x", "\rX: y", "\x00\x85\u2028Bcc: z", "x" * 500]
)
def test_a_subject_is_one_line(ending: str) -> None:
    """Whatever the title is, no header follows from it."""
    subject = mails.line(f"Daily{ending}")
    assert subject.isprintable()
    assert len(subject) <= 160
    assert subject.startswith("Daily")


def test_columns_keep_their_place_whatever_is_in_a_cell() -> None:
    """A line break in a cell begins no row, and a long one is cut."""
    made = texts.columns(["a", "n"], [["x\ny", "1"], ["z" * 90, "22"]], [False, True])
    assert len(made.split("\n")) == 3
    assert max(map(len, made.split("\n"))) == 44


@pytest.mark.parametrize("last_good", ["2013-02-08.html", None, "javascript:alert(1)", "../a b#c.html"])
def test_a_failure_says_what_failed_and_where_the_last_good_report_is(last_good: str | None) -> None:
    """The page, the mail and the text: the cell, its code, the message; the traceback on the page alone."""
    facts = {
        "title": "Daily",
        "report": "daily",
        "period": DAY,
        "attempts": 3,
        "failure": FAILURE,
        "last_good": None if last_good is None else Earlier("8 February 2013", f"/out/{last_good}", last_good),
        "ran": RAN,
    }
    page, mail = failures.FailedReport(**facts).page(), failures.FailedReport(**facts).mail()
    links = [given["href"] for tag, given in Attributes(page).seen if tag == "a"]
    wanted = {None: [], "javascript:alert(1)": ["javascript%3Aalert%281%29"], "../a b#c.html": ["../a%20b%23c.html"]}
    assert links == wanted.get(last_good, [last_good])
    for told_ in (re.sub(r"<[^>]*>", "", page), re.sub(r"<[^>]*>", "", mail.html), mail.text):
        assert "Daily could not be made" in told_
        assert "9 February 2013" in told_
        assert "Cell 4 raised an error" in told_
        assert "entitty" in told_
        assert "ried 3 times" in told_
        assert "Period in UTC-05:00" in told_
    assert "Traceback (most recent call last)" in page
    assert "Traceback (most recent call last)" not in mail.html + mail.text
    assert mail.subject == "Failed: Daily, 9 February 2013"
    for told_ in (unescape(mail.html), mail.text):
        assert (f"The last good report, of 8 February 2013, is still there: /out/{last_good}" in told_) == bool(
            last_good
        )
    assert "script-src" not in page


@pytest.mark.parametrize("text", HOSTILE)
def test_a_failure_with_hostile_text_is_text(text: str) -> None:
    """Messages and code come from data too."""
    facts = {
        "title": text,
        "report": text,
        "period": DAY,
        "attempts": 1,
        "failure": Failure("error", text, text, 1, text),
        "last_good": Earlier(text, text, text),
        "ran": RAN,
    }
    mail = failures.FailedReport(**facts).mail()
    for html in (failures.FailedReport(**facts).page(), mail.html):
        for tag, given in Attributes(html).seen:
            assert tag not in {"script", "img", "svg", "textarea"}
            assert not [name for name in given if name.startswith("on")]
            assert ":" not in (given.get("href") or "")
    assert mail.subject.isprintable()
