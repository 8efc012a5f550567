"""What reports.toml means, and what is said of one that means nothing."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

import eventlab as el
from eventlab.errors import InvalidArgument
from eventlab.reports.configuration import configurations
from eventlab.reports.configuration.configurations import Alert, load

# As the contract has it.
EXAMPLE = """
[defaults]
store = "data/flights"            # any key below can have a default
timezone = "America/New_York"
[[report]]
name = "daily"
notebook = "notebooks/reports/daily.ipynb"
cron = "0 6 * * *"                # or every = "1h"
period = "1d"                     # the stretch that ends where the run is due; {{ start }}, {{ end }}, {{ date }} in parameters
parameters = { day = "{{ date }}" }
catch_up = "all"                  # all | latest | none
retries = 2
timeout = "5m"
to = ["html", "md"]
out = "reports"
deliver = ["mail", "ops"]
[delivery.mail]
type = "smtp"                     # host, port, from, to, subject; user and password only as the names of environment variables
[delivery.ops]
type = "webhook"                  # url, or url_env
[[alert]]
name = "many cancelled"
report = "daily"
when = "cancelled > 300"          # over figures; or sql = "SELECT …"
for_periods = 1
deliver = ["mail"]
"""
REPORT = """
[[report]]
name = "daily"
notebook = "daily.ipynb"
store = "shop"
every = "1d"
"""
MAIL = """
[delivery.mail]
type = "smtp"
host = "mail.example.com"
from = "Reports <reports@example.com>"
to = "team@example.com"
"""


@pytest.fixture
def loaded(tmp_path: Path) -> _Loaded:
    """Return what writes a file and loads it."""
    return _Loaded(tmp_path)


class _Loaded:
    """Files of one folder, loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "reports.toml"

    def __call__(self, text: str) -> configurations.Configuration:
        self.path.write_text(text, encoding="utf-8")
        return load(self.path)

    def error(self, text: str) -> InvalidArgument:
        """Return the error of a file, which names the file first."""
        with pytest.raises(InvalidArgument) as caught:
            self(text)
        assert caught.value.message.startswith(str(self.path))
        assert caught.value.hint
        assert "\n" not in caught.value.message
        return caught.value


def test_example_of_the_contract(loaded: _Loaded) -> None:
    """The example loads as it is, with paths of its own folder, and every key where it belongs."""
    found = loaded(EXAMPLE)
    folder = loaded.folder
    assert (found.path, found.log, list(found.reports)) == (folder / "reports.toml", folder / "reports/log", ["daily"])
    daily = found.reports["daily"]
    assert (daily.notebook, daily.function) == ("notebooks/reports/daily.ipynb", None)
    assert daily.source == (folder / "notebooks/reports/daily.ipynb").as_posix()
    assert (daily.store, daily.out) == (folder / "data/flights", folder / "reports")
    assert (daily.timezone, daily.cron, daily.every, daily.period) == ("America/New_York", "0 6 * * *", None, "1d")
    assert (daily.parameters, daily.to, daily.deliver) == ({"day": "{{ date }}"}, ["html", "md"], ["mail", "ops"])
    assert (daily.catch_up, daily.retries, daily.timeout) == ("all", 2, dt.timedelta(minutes=5))
    due = daily.schedule.next(dt.datetime(2013, 2, 10, 5, tzinfo=dt.UTC))
    assert (due.isoformat(), daily.schedule.period(due).name) == ("2013-02-10T06:00:00-05:00", "2013-02-09")
    assert {name: channel.type for name, channel in found.channels.items()} == {"mail": "smtp", "ops": "webhook"}
    assert found.alerts == [Alert(name="many cancelled", report="daily", when="cancelled > 300", deliver=["mail"])]


def test_what_is_left_out(loaded: _Loaded) -> None:
    """A report says little: the rest is as documented."""
    daily = loaded(REPORT).reports["daily"]
    assert (daily.timezone, daily.period, daily.parameters, daily.title) == ("UTC", None, {}, None)
    assert (daily.catch_up, daily.grace, daily.retries) == ("latest", dt.timedelta(minutes=10), 0)
    assert (daily.timeout, daily.to, daily.deliver, daily.enabled) == (dt.timedelta(minutes=10), ["html"], [], True)
    assert daily.every == dt.timedelta(days=1)


def test_own_keys_go_before_defaults(loaded: _Loaded) -> None:
    """A report's cron replaces the default's every, its function the default's notebook; other keys one by one, whole."""
    found = loaded("""
        [defaults]
        every = "1h"
        notebook = "all.ipynb"
        store = "shop"
        parameters = { a = 1, b = 2 }
        retries = 3
        [[report]]
        name = "one"
        [[report]]
        name = "two"
        cron = "0 6 * * *"
        function = "shop.reports:daily"
        parameters = { b = 3 }
        retries = 0
    """)
    one, two = found.reports.values()
    assert (one.every, one.cron, one.notebook, one.parameters) == (
        dt.timedelta(hours=1),
        None,
        "all.ipynb",
        {"a": 1, "b": 2},
    )
    assert (two.every, two.cron, two.notebook, two.parameters) == (None, "0 6 * * *", None, {"b": 3})
    assert (two.source, two.function, one.retries, two.retries) == ("shop.reports:daily", "shop.reports:daily", 3, 0)


def test_a_store_has_its_own(tmp_path: Path) -> None:
    """In a store, reports are of that store, in its zone, and pages and runs are in its folder for reports."""
    with el.open(tmp_path / "shop", create=True, timezone="Europe/Vienna") as log:
        log.append("a", el.Event("A"))
    file = tmp_path / "shop" / "reports.toml"
    file.write_text(REPORT.replace('store = "shop"\n', ""), encoding="utf-8")
    found = load(file)
    daily = found.reports["daily"]
    assert (daily.store, daily.timezone) == (tmp_path / "shop", "Europe/Vienna")
    assert (daily.out, found.log) == (tmp_path / "shop/reports", tmp_path / "shop/reports/log")


def test_zone_of_a_store_elsewhere(loaded: _Loaded) -> None:
    """A report that names no zone has its store's; what it names goes before."""
    el.open(loaded.folder / "shop", create=True, timezone="Asia/Kolkata").close()
    assert loaded(REPORT).reports["daily"].timezone == "Asia/Kolkata"
    assert loaded(REPORT + 'timezone = "UTC"').reports["daily"].timezone == "UTC"


def test_paths_go_up_and_are_absolute(loaded: _Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is of the file's folder, also through its parent, and where the file itself was named relatively."""
    (loaded.folder / "notebooks").mkdir()
    loaded.path = loaded.folder / "notebooks" / "reports.toml"
    loaded(REPORT.replace('"shop"', '"../data/shop"'))
    monkeypatch.chdir(loaded.folder)
    found = load(Path("notebooks/reports.toml"))
    assert found.path == loaded.path
    assert found.reports["daily"].store == loaded.folder / "data/shop"
    assert found.reports["daily"].source == (loaded.folder / "notebooks/daily.ipynb").as_posix()


def test_options_of_channels(loaded: _Loaded) -> None:
    """Each type has its own options, read; one that is missing is an error with its place when it is asked for."""
    found = loaded(f"""{REPORT}
deliver = ["mail", "ops"]
{MAIL}
port = 465
security = "tls"
subject = "[shop]"
user = "SMTP_USER"
password = "SMTP_PASSWORD"
timeout = "5s"
[delivery.ops]
type = "webhook"
url_env = "OPS_URL"
""")
    mail, ops = found.channels.values()
    assert mail.options == {
        "host": "mail.example.com",
        "port": 465,
        "security": "tls",
        "from": "Reports <reports@example.com>",
        "to": ["team@example.com"],
        "subject": "[shop]",
        "user": "SMTP_USER",
        "password": "SMTP_PASSWORD",
        "timeout": dt.timedelta(seconds=5),
    }
    assert ops.options == {"url_env": "OPS_URL"}
    with pytest.raises(InvalidArgument, match=re.escape("[delivery.ops]: url is missing\nWrite url = ")):
        ops.options["url"]


@pytest.mark.parametrize(
    ("line", "place", "message", "fix"),
    [
        ("retrys = 2", "[[report]] 'daily'", "no key 'retrys'. Did you mean 'retries'?", "There are: "),
        ("retries = -1", "[[report]] 'daily', retries", "-1 is not from 0 to 100", "Write retries = 2."),
        ('retries = "2"', "[[report]] 'daily', retries", "2 is text, not a whole number", "Write retries = 2."),
        (
            "retries = true",
            "[[report]] 'daily', retries",
            "true is true or false, not a whole number",
            "Write retries = 2.",
        ),
        ("retries = 1.5", "[[report]] 'daily', retries", "1.5 is a number, not a whole number", "Write retries = 2."),
        ("title = 5", "[[report]] 'daily', title", "5 is a number, not text", "Write title = "),
        ('title = ""', "[[report]] 'daily', title", "is empty", "Write title = "),
        ('title = "{{ day }}"', "[[report]] 'daily', title", "'{{ day }}' is not known", "There are {{ start }}"),
        ('enabled = "no"', "[[report]] 'daily', enabled", "no is text, not true or false", "Write enabled = false."),
        ("timeout = 300", "[[report]] 'daily', timeout", "300 has no unit", 'Write a number and a unit: "300m"'),
        ('timeout = "5 min"', "[[report]] 'daily', timeout", "'5 min' is no duration", "Write a number and a unit"),
        ('grace = "0m"', "[[report]] 'daily', grace", "a duration is above zero", "The shortest"),
        ('period = "1mo"', "[[report]] 'daily', period", "'1mo' is no duration", "Leave period out"),
        ('timezone = "Vienna"', "[[report]] 'daily', timezone", "no time zone 'Vienna'", "IANA"),
        (
            'catch_up = "lates"',
            "[[report]] 'daily', catch_up",
            "Did you mean 'latest'?",
            'Choose of: "all", "latest", "none".',
        ),
        ('to = "html"', "[[report]] 'daily', to", "'html' is text, not a list", 'Write it in brackets: ["html"].'),
        ("to = []", "[[report]] 'daily', to", "is empty", 'Write to = ["html"].'),
        ('to = ["html", "htm"]', "[[report]] 'daily', to", "'htm' is not known. Did you mean 'html'?", "Choose of: "),
        ('to = ["md", "md"]', "[[report]] 'daily', to", "'md' is there twice", "Leave one out."),
        (
            'deliver = ["mial"]',
            "[[report]] 'daily', deliver",
            "no channel 'mial'. Did you mean 'mail'?",
            "There are: mail",
        ),
        ('cron = "0 6 * * *"', "[[report]] 'daily'", "there are both cron and every", "Leave one out."),
        ('function = "a:b"', "[[report]] 'daily'", "there are both notebook and function", "Leave one out."),
        ("parameters = 5", "[[report]] 'daily', parameters", "5 is a number, not a table", "Begin it"),
        (
            'parameters = { day = "{{ dat }}" }',
            "[[report]] 'daily', parameters",
            "day: '{{ dat }}' is not known.",
            "{{ date }}",
        ),
        (
            'parameters = { day = ["{{"] }',
            "[[report]] 'daily', parameters",
            "day: '{{' has '{{' without an end",
            "There are",
        ),
        (
            'parameters = { "a-b" = 1 }',
            "[[report]] 'daily', parameters",
            "'a-b' is no name of a parameter",
            "identifier",
        ),
        ("parameters = { a = { b = 1 } }", "[[report]] 'daily', parameters", "a is a table", "Give text, a number"),
        (
            "parameters = { a = 10:00:00 }",
            "[[report]] 'daily', parameters",
            "a is a date or time",
            "Give text, a number",
        ),
    ],
)
def test_wrong_values_of_a_report(loaded: _Loaded, line: str, place: str, message: str, fix: str) -> None:
    """Every wrong key and value is told with its place, what is wrong, and what to write instead."""
    error = loaded.error(REPORT + line + MAIL)
    assert f"toml, {place}: " in error.message
    assert message in error.message
    assert fix in error.hint


@pytest.mark.parametrize(
    ("old", "new", "message", "fix"),
    [
        ('name = "daily"\n', "", "[[report]] 1: name is missing", 'Write name = "daily".'),
        ("daily", "../evil", "'../evil' cannot be the name of a file and a stream", 'Write name = "evil".'),
        ("daily", "a b", "'a b' cannot be the name", 'Write name = "a-b".'),
        ("daily", "-x", "'-x' cannot be the name", 'Write name = "x".'),
        ("daily", "täglich", "'täglich' cannot be the name", 'Write name = "t-glich".'),
        ("daily", "a@b", "'a@b' cannot be the name", 'Write name = "a-b".'),
        ("daily", "x" * 101, "cannot be the name", "at most 100"),
        ('"daily"', "7", "[[report]] 1, name: 7 is a number, not text", 'Write name = "daily".'),
        ('store = "shop"\n', "", "store is missing", 'Write store = "data/shop", or so in [defaults].'),
        ('notebook = "daily.ipynb"\n', "", "neither notebook nor function", 'or function = "module:function"'),
        ("daily.ipynb", "daily.py", "'daily.py' is no notebook", "Give an .ipynb"),
        (
            'notebook = "daily.ipynb"',
            'function = "daily"',
            "'daily' is no function",
            'Write function = "module:function".',
        ),
        ('every = "1d"', "", "there is neither cron nor every", 'Write cron = "0 6 * * *" or every = "1h".'),
        ('every = "1d"', 'every = "1"', "every: '1' is no duration", "Write a number and a unit"),
        ('every = "1d"', 'every = "500ms"', "'500ms' is not of whole seconds", "The shortest"),
        ('every = "1d"', 'cron = "0 24 * * *"', "cron: '24' is no hour, in '0 24 * * *'", "Hours are 0-23"),
        ("[[report]]", "[report]", "report: is a table, not a list of tables", "Begin each with two brackets"),
        ("[[report]]", "[[reports]]", "no key 'reports'. Did you mean 'report'?", "There are: "),
        ("[[report]]", "[[defaults]]\n[[report]]", "defaults: is a list, not a table", "Begin it with one bracket"),
        ("[[report]]", "[defaults]\nnam = 1\n[[report]]", "[defaults]: no key 'nam'", "There are: "),
        ("[[report]]", "[defaults]\nto = 1\n[[report]]", "[defaults], to: 1 is a number, not a list", "Write to = "),
        (
            "[[report]]",
            '[defaults]\ndeliver = ["x"]\n[[report]]',
            "[defaults], deliver: no channel 'x'",
            "[delivery.x]",
        ),
        (REPORT, "", "there is no report", "Begin one with [[report]]."),
        (REPORT, REPORT + REPORT, "there is a report 'daily' already", "Give each its own name"),
        (
            REPORT,
            REPORT + REPORT.replace("daily", "Daily"),
            "there is a report 'daily' already",
            "not only in its case",
        ),
        ("[[report]]", 'log = "reports"\n[[report]]', "would both be in", 'log = "reports/runs"'),
        ("daily", "log", "the pages of 'log' and the runs log would both be in", 'log = "reports/runs"'),
        ('"shop"', "shop", "is no TOML: Invalid value (at line 5, column 9)", "Texts are in quotes"),
    ],
)
def test_wrong_files(loaded: _Loaded, old: str, new: str, message: str, fix: str) -> None:
    """So is what is missing, there twice, or cannot be together."""
    assert old in REPORT
    error = loaded.error(REPORT.replace(old, new))
    assert message in error.message
    assert fix in error.hint


@pytest.mark.parametrize(
    ("given", "message", "fix"),
    [
        ("", "[[alert]] 1: name is missing", "Write name = "),
        ('name = "a"', "[[alert]] 'a': report is missing", "Write report = "),
        (
            'name = "a"\nreport = "daly"\nwhen = "x > 1"',
            "[[alert]] 'a', report: no report 'daly'. Did you mean 'daily'?",
            "daily",
        ),
        ('name = "a"\nreport = "daily"', "there is neither when nor sql", 'Write when = "cancelled > 300".'),
        (
            'name = "a"\nreport = "daily"\nwhen = "x >"',
            "when: the condition 'x >' cannot be read",
            "Write one expression",
        ),
        ('name = "a"\nreport = "daily"\nsql = " "', "sql: is empty", "Write sql = "),
        (
            'name = "a"\nreport = "daily"\nsql = "SELECT 1"\nfor_periods = 0',
            "for_periods: 0 is not from 1",
            "for_periods = 1",
        ),
        (
            'name = "a"\nreport = "daily"\nsql = "SELECT 1"\ndeliver = ["x"]',
            "deliver: no channel 'x'",
            "There are: mail",
        ),
        ('name = "a\\u0000b"\nreport = "daily"', "is not one line", "Write name = "),
    ],
)
def test_wrong_alerts(loaded: _Loaded, given: str, message: str, fix: str) -> None:
    """An alert is of a report that there is, over a condition or a query, told over channels that there are."""
    error = loaded.error(f"{REPORT}{MAIL}[[alert]]\n{given}")
    assert message in error.message
    assert fix in error.hint


def test_alerts_have_names_of_their_own(loaded: _Loaded) -> None:
    """Two alerts of a name would share their episodes."""
    alert = '[[alert]]\nname = "a"\nreport = "daily"\nwhen = "x > 1"\n'
    assert "an alert of that name already" in loaded.error(REPORT + alert * 2).message


@pytest.mark.parametrize(
    ("given", "message", "fix"),
    [
        ("", "type is missing", 'Write type = "smtp".'),
        ('type = "smpt"', "type: 'smpt' is not known. Did you mean 'smtp'?", 'Choose of: "smtp", "webhook".'),
        ('type = "smtp"\nurl = "https://example.com"', "no key 'url'", "There are: from, host"),
        ('type = "smtp"\nto = []', "to: is empty", "Write to = "),
        ('type = "smtp"\nto = "team"', "to: 'team' is no address", "Write it like"),
        ('type = "smtp"\nfrom = "a@example.com\\nBcc: b@example.com"', "from: ", "Write from = "),
        ('type = "smtp"\nport = 70000', "port: 70000 is not from 1 to 65535", "Write port = 587."),
        (
            'type = "smtp"\nuser = "SMTP_USER"',
            "only one of user and password",
            "Name the environment variables of both",
        ),
        ('type = "webhook"\nurl = "https://a.example"\nurl_env = "URL"', "both url and url_env", "Leave one out."),
        ('type = "webhook"\nurl = "ftp://a.example"', "url: it is no address", "Write url = "),
        ('type = "webhook"\nurl = "https://[a"', "url: it is no address", "Write url = "),
    ],
)
def test_wrong_channels(loaded: _Loaded, given: str, message: str, fix: str) -> None:
    """A channel has a type, and what that type has."""
    error = loaded.error(f"{REPORT}[delivery.mail]\n{given}")
    assert "[delivery.mail]" in error.message
    assert message in error.message
    assert fix in error.hint


@pytest.mark.parametrize(
    "given",
    [
        'type = "smtp"\nuser = "SMTP_USER"\npassword = "hunter2-secret"',
        'type = "smtp"\nuser = "SMTP_USER"\npassword = "secret"',
        'type = "smtp"\nuser = "SMTP_USER"\npassword = ["secret"]',
        'type = "webhook"\nurl = "https://user:secret@example.com/hook"',
        'type = "webhook"\nurl_env = "https://example.com/secret"',
        'type = "webhook"\ntoken = "secret"',
    ],
)
def test_secrets_are_not_repeated(loaded: _Loaded, given: str) -> None:
    """A secret in the file is refused without saying it again, for errors are kept."""
    error = loaded.error(f"{REPORT}[delivery.mail]\n{given}")
    assert "secret" not in str(error).replace(str(loaded.folder), "").replace("Secrets", "")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there, is no file, or is no text, is said to be that."""
    with pytest.raises(InvalidArgument, match="cannot be read: No such file"):
        load(tmp_path / "reports.toml")
    with pytest.raises(InvalidArgument, match="cannot be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "reports.toml").write_bytes(b"\xff")
    with pytest.raises(InvalidArgument, match="is not UTF-8"):
        load(tmp_path / "reports.toml")


def test_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The given file, or that of a given folder; else of the current folder, the store, the shipped reports, in this order."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InvalidArgument, match=r"looked at reports\.toml, shop/reports\.toml, notebooks/reports/reports\.toml"
    ):
        configurations.find(store=Path("shop"))
    for place in ("notebooks/reports", "shop", "."):
        Path(place).mkdir(parents=True, exist_ok=True)
        Path(place, "reports.toml").touch()
        assert configurations.find(store=Path("shop")) == Path(place, "reports.toml")
    assert configurations.find(Path("notebooks/reports")) == Path("notebooks/reports/reports.toml")
    assert configurations.find(Path("shop/reports.toml"), Path("x")) == Path("shop/reports.toml")
    with pytest.raises(InvalidArgument, match=r"there is no file other\.toml"):
        configurations.find(Path("other.toml"))
