"""Keys: what each table of ``reports.toml`` may have, and how the values are read."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from eventlab import moments
from eventlab.errors import InvalidArgument, QueryError
from eventlab.reports.calendar import rhythms
from eventlab.reports.configuration import conditions, parameters, settings
from eventlab.reports.configuration.settings import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_SECOND = dt.timedelta(seconds=1)
_SIMPLE = (str, bool, int, float, dt.date)  # a datetime is a date too


def _name(value: object) -> str:
    """Return a report's name, which becomes one of files and streams."""
    given = settings.text(value)
    if not _NAME.fullmatch(given):
        safe = re.sub(r"[^A-Za-z0-9_-]+", "-", given).strip("-")[:100]
        fix = f' Write name = "{safe}".' if safe else ""
        raise InvalidArgument(
            f"{given[:100]!r} cannot be the name of a file and a stream",
            hint=f"A name has letters of ASCII, digits, - and _, at most 100, and does not begin with -.{fix}",
        )
    return given


def _notebook(value: object) -> str:
    given = settings.line(value)
    if not given.endswith(".ipynb"):
        raise InvalidArgument(f"{given!r} is no notebook", hint='Give an .ipynb, or a function = "module:function".')
    return given


def _function(value: object) -> str:
    given = settings.line(value)
    if not _FUNCTION.fullmatch(given):
        raise InvalidArgument(f"{given!r} is no function", hint='Write function = "module:function".')
    return given


def _zone(value: object) -> str:
    given = settings.text(value)
    moments.zone(given)
    return given


def _cron(value: object) -> str:
    given = settings.text(value)
    rhythms.cron(given)
    return given


def _every(value: object) -> dt.timedelta:
    found = settings.length(value)
    if found % _SECOND:
        raise InvalidArgument(f"{value!r} is not of whole seconds", hint='The shortest is every = "1s".')
    return found


def _period(value: object) -> str:
    try:
        settings.length(value)
    except InvalidArgument as error:
        hint = f"{error.hint} Leave period out for the time from one run to the next, as of months."
        raise InvalidArgument(error.message, hint=hint) from None
    return str(value)


def _parameters(value: object) -> dict[str, Any]:
    """Return parameters whose values are simple, or lists of those, and whose double braces mean something."""
    given = settings.table(value)
    for name, one in given.items():
        if not name.isidentifier():
            raise InvalidArgument(f"{name!r} is no name of a parameter", hint="Give an identifier, like day.")
        for part in one if isinstance(one, list) else [one]:
            if not isinstance(part, _SIMPLE):
                raise InvalidArgument(
                    f"{name} is {settings.told(part)}",
                    hint="Give text, a number, true or false, a date, or a list of those.",
                )
            if isinstance(part, str):
                _template(part, name)
    return given


def _title(value: object) -> str:
    return _template(settings.line(value))


def _template(given: str, name: str = "") -> str:
    try:
        parameters.check(given)
    except InvalidArgument as error:
        raise InvalidArgument(f"{name}{name and ': '}{error.message}", hint=error.hint) from None
    return given


def _condition(value: object) -> str:
    given = settings.text(value)
    try:
        conditions.parsed(given)
    except QueryError as error:
        raise InvalidArgument(error.message, hint=error.hint) from None
    return given


def _variable(value: object) -> str:
    """Return the name of an environment variable; what is none may be the secret itself, which is not repeated."""
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise InvalidArgument(
            "it is not the name of an environment variable in capitals, like SMTP_PASSWORD",
            hint="Secrets stand in the environment alone: set a variable there, and write its name here.",
        )
    return value


def _url(value: object) -> str:
    """Return the address of a webhook; it is not repeated either, for it may be all that protects it."""
    given = settings.line(value)
    try:
        parts = urlsplit(given)
        host, secret, _ = parts.hostname, parts.password, parts.port
    except ValueError:
        host = secret = None
    if not host or parts.scheme not in {"http", "https"} or not given.isascii() or " " in given:
        raise InvalidArgument("it is no address", hint='Write url = "https://example.com/hook".')
    if secret is not None:
        raise InvalidArgument("it has a password", hint='Set it in the environment: url_env = "OPS_URL".')
    return given


def _address(value: object) -> str:
    from eventlab.reports.configuration import addresses  # noqa: PLC0415 - needed by those who send mail

    given = settings.line(value)
    addresses.address(given)
    return given


def _addresses(value: object) -> list[str]:
    """Return the addresses of a list, or one alone."""
    return [_address(value)] if isinstance(value, str) else settings.several(_address, least=1)(value)


REPORT: Mapping[str, Key] = {
    "name": Key(_name, '"daily"'),
    "notebook": Key(_notebook, '"notebooks/daily.ipynb"'),
    "function": Key(_function, '"module:function"'),
    "store": Key(settings.line, '"data/shop"'),
    "timezone": Key(_zone, '"Europe/Vienna"'),
    "cron": Key(_cron, '"0 6 * * *"'),
    "every": Key(_every, '"1h"'),
    "period": Key(_period, '"1d"'),
    "parameters": Key(_parameters, '{ day = "{{ date }}" }'),
    "catch_up": Key(settings.choice("all", "latest", "none"), '"latest"'),
    "grace": Key(settings.length, '"10m"'),
    "retries": Key(settings.whole(0, 100), "2"),
    "timeout": Key(settings.length, '"10m"'),
    "to": Key(settings.several(settings.choice("html", "md", "pdf"), least=1), '["html"]'),
    "out": Key(settings.line, '"reports"'),
    "deliver": Key(settings.several(settings.line), '["mail"]'),
    "title": Key(_title, '"Flights of {{ date }}"'),
    "enabled": Key(settings.flag, "false"),
}
DEFAULTS: Mapping[str, Key] = {name: key for name, key in REPORT.items() if name != "name"}
ALERT: Mapping[str, Key] = {
    "name": Key(settings.line, '"many cancelled"'),
    "report": Key(settings.text, '"daily"'),
    "when": Key(_condition, '"cancelled > 300"'),
    "sql": Key(settings.text, '"SELECT count(*) > 300 FROM cancelled"'),
    "for_periods": Key(settings.whole(1, 10_000), "1"),
    "deliver": Key(settings.several(settings.line), '["mail"]'),
}
TYPE = Key(settings.choice("smtp", "webhook"), '"smtp"')
CHANNELS: Mapping[str, Mapping[str, Key]] = {
    "smtp": {
        "type": TYPE,
        "host": Key(settings.line, '"mail.example.com"'),
        "port": Key(settings.whole(1, 65_535), "587"),
        "security": Key(settings.choice("starttls", "tls", "none"), '"starttls"'),
        "from": Key(_address, '"Reports <reports@example.com>"'),
        "to": Key(_addresses, '["team@example.com"]'),
        "subject": Key(settings.line, '"[reports]"'),
        "user": Key(_variable, '"SMTP_USER"'),
        "password": Key(_variable, '"SMTP_PASSWORD"'),
        "timeout": Key(settings.length, '"30s"'),
    },
    "webhook": {
        "type": TYPE,
        "url": Key(_url, '"https://example.com/hook"'),
        "url_env": Key(_variable, '"OPS_URL"'),
        "timeout": Key(settings.length, '"30s"'),
    },
}
FILE: Mapping[str, Key] = {
    "log": Key(settings.line, '"reports/log"'),
    "defaults": Key(settings.table, '{ store = "data/shop" }'),
    "report": Key(settings.tables, "[[report]]"),
    "delivery": Key(settings.table, "[delivery.mail]"),
    "alert": Key(settings.tables, "[[alert]]"),
}
