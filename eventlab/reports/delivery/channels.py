"""Channels: where reports, failures and alerts are sent, what is sent, and how it is said that it did not arrive."""

from __future__ import annotations

import base64
import hashlib
import importlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, quote_plus

from eventlab.errors import InvalidArgument, ReportError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence

    from eventlab.errors import EventlabError
    from eventlab.reports.configuration.configurations import Channel as Configured

_KINDS = {"smtp": "eventlab.reports.delivery.smtps", "webhook": "eventlab.reports.delivery.webhooks"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LONGEST = 300  # characters of what a server says that are worth keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent, the same over every channel.

    Attributes
    ----------
    key
        Of this very message: every try to send it has the same, so that a receiver can tell a repetition.
    subject, text
        For people. Whatever is in them, they cannot become a header.
    html, images
        The mail's HTML and its pictures: content id and PNG each.
    facts
        For programs: what a webhook gets as JSON.
    """

    key: str
    subject: str
    text: str
    html: str | None = None
    images: Sequence[tuple[str, bytes]] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The key as 32 hexadecimal digits, which any header can have."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:32]


class DeliveryError(ReportError):
    """A message did not arrive, or it is not known that it did.

    Attributes
    ----------
    reached
        The addresses that have it all the same: they are not written to again.
    unreachable
        Whether it is the channel that is down, so that others need not be tried now.
    wait
        How long the receiver asks to be left alone.
    """

    code = "delivery_error"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        reached: Collection[str] = (),
        unreachable: bool = False,
        wait: dt.timedelta | None = None,
    ) -> None:
        self.reached = list(reached)
        self.unreachable = unreachable
        self.wait = wait
        super().__init__(message, hint=hint)


class Sender(Protocol):
    """What sends messages over one channel."""

    def send(self, message: Message, *, reached: Collection[str] = ()) -> None:
        """Send a message, but not to those whom it has ``reached``; return when it is accepted.

        Raises
        ------
        DeliveryError
            If it is not.
        """


def channel(configured: Configured, environment: Mapping[str, str]) -> Sender:
    """Return the sender of a channel of the configuration.

    Raises
    ------
    DeliveryError
        If a secret is not in the environment.
    InvalidArgument
        If there is no such type of channel.
    """
    if configured.type not in _KINDS:
        raise InvalidArgument(
            f"the channel {configured.name!r} has the type {configured.type!r}", hint=f"Types: {', '.join(_KINDS)}."
        )
    made: Sender = importlib.import_module(_KINDS[configured.type]).sender(configured, environment)
    return made


def secret(configured: Configured, option: str, environment: Mapping[str, str]) -> str | None:
    """Return the value of the environment variable that an option names; None if the option is not there.

    Raises
    ------
    DeliveryError
        If the environment does not have it.
    """
    name = configured.options.get(option)
    if name is None:
        return None
    if not environment.get(name):
        raise DeliveryError(
            f"the environment has no {name}, which {configured.name!r} needs",
            hint=f"Set {name} where eventlab schedule runs.",
            unreachable=True,
        )
    return environment[name]


def line(text: object, secrets: Collection[str | None] = ()) -> str:
    r"""Return a text as one line without control characters, cut to a length worth keeping, with every secret blanked out.

    Secrets are found as they are, in base64 and as in URLs: a server may repeat what it was sent.

    Examples
    --------
    >>> line("login as anna\r\nBcc: all@example.com failed", ["anna"])
    'login as *** Bcc: all@example.com failed'
    """
    said = flat(text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text))
    for form in sorted(set().union(*map(_forms, secrets)), key=len, reverse=True):
        said = said.replace(form, "***")
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def sentence(error: EventlabError) -> str:
    """Return what an error says, and its fix, on one line."""
    stop = "" if error.message.endswith((".", "?", "!")) else "."
    return flat(f"{error.message}{stop} {error.hint}" if error.hint else error.message)


def flat(text: str) -> str:
    """Return a text on one line: no control character can end a header or begin another."""
    return " ".join(_CONTROL.sub(" ", text.encode("utf-8", "replace").decode()).split())


def _forms(given: str | None) -> set[str]:
    """Return how a secret may look in what a server says."""
    if not given:
        return set()
    encoded = base64.b64encode(given.encode()).decode().rstrip("=")
    return {given, flat(given), encoded, quote(given, safe=""), quote(given), quote_plus(given)} - {""}
