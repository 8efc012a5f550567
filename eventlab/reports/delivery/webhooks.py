"""Webhooks: messages as JSON, posted over HTTP."""

from __future__ import annotations

import base64
import datetime as dt
import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_plus, urljoin, urlsplit, urlunsplit

from eventlab import moments
from eventlab.reports.delivery.channels import DeliveryError, line, secret

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from email.message import Message as HTTPMessage

    from eventlab.reports.configuration.configurations import Channel
    from eventlab.reports.delivery.channels import Message

_TIMEOUT = 10.0
_READ = 2_000  # bytes of an answer, of which a line is told
_HOPS = 3
_INNOCENT = 3  # characters of a part of the address that cannot be a secret: "/", "v1", "1"
_SAME_POST = (HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT)
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_LONGEST_WAIT = 3_600  # seconds: a receiver cannot put us off for longer


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leave a redirect to us: it may lead elsewhere."""

    def redirect_request(self, *_: Any) -> None:  # noqa: ANN401 - urllib's
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address that takes messages.

    Attributes
    ----------
    url
        Which often is a secret itself, and is never shown; ``where`` is, instead.
    login
        ``user:password`` for HTTP's basic authentication, if the address has them.
    timeout
        Seconds to wait for each part of an answer.
    """

    where: str
    url: str = field(repr=False)
    login: str | None = field(default=None, repr=False)
    timeout: float = _TIMEOUT

    def send(self, message: Message, *, reached: Collection[str] = ()) -> None:  # noqa: ARG002 - one address is reached, or none
        """Post a message. Whatever answer of 200 to 299 comes is taken for a receipt.

        Raises
        ------
        DeliveryError
            If there is another answer, or none.
        """
        body = json.dumps({"subject": message.subject, "text": message.text, "key": message.key, **message.facts})
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "eventlab",
            "Idempotency-Key": message.digest,
        }
        if self.login is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        url = self.url
        for _ in range(_HOPS):
            there = self._post(urllib.request.Request(url, body.encode(), headers, method="POST"))  # noqa: S310 - http(s) alone, see sender
            if there is None:
                return
            url = self._same_place(url, there)
        raise DeliveryError(f"{self.where} redirects without end", hint="Check its address.")

    def _post(self, request: urllib.request.Request) -> str | None:
        """Send a request; return None if it is accepted, or where it is to be sent instead."""
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=self.timeout):
                return None
        except urllib.error.HTTPError as error:
            with error:
                place = error.headers.get("Location")
                if error.code in _SAME_POST and place:
                    return place
                fault = self._refused(error.code, error.headers, _start(error))
        except (OSError, http.client.HTTPException) as error:
            fault = self._unreachable(getattr(error, "reason", error))
        raise fault  # outside of the except clauses: a traceback shows nothing of the address

    def _same_place(self, url: str, place: str) -> str:
        """Return the address of a redirect, if it stays with the same server."""
        there = urljoin(url, place)
        if urlsplit(there)[:2] != urlsplit(url)[:2]:
            raise self._elsewhere()
        return there

    def _elsewhere(self) -> DeliveryError:
        return DeliveryError(
            f"{self.where} redirects elsewhere, which is not followed", hint="Give the address itself."
        )

    def _refused(self, code: int, headers: HTTPMessage, answer: bytes) -> DeliveryError:
        if HTTPStatus.MULTIPLE_CHOICES <= code < HTTPStatus.BAD_REQUEST:
            return self._elsewhere()
        told = self._line(answer)
        named = HTTPStatus(code).phrase if code in set(HTTPStatus) else ""
        what = f"{self.where} answered {code} {named}".rstrip()
        return DeliveryError(what + (f": {told}" if told else ""), wait=_wait(headers) if code in _BUSY else None)

    def _unreachable(self, error: object) -> DeliveryError:
        match error:
            case socket.gaierror():
                what = f"the host of {self.where} is unknown"
            case ConnectionRefusedError():
                what = f"{self.where} refused the connection"
            case TimeoutError():
                what = f"{self.where} did not answer within {self.timeout:g} s"
            case ssl.SSLCertVerificationError():
                what = f"the certificate of {self.where} is not trusted: {self._line(error.verify_message)}"
            case _:
                what = f"{self.where} cannot be reached: {self._line(error)}"
        return DeliveryError(what, hint="Check its address, and the network.", unreachable=True)

    def _line(self, text: object) -> str:
        login = (self.login or "").split(":", 1)
        return line(text, {self.url, self.login, *login, *_words(self.url)})


def sender(configured: Channel, environment: Mapping[str, str]) -> Webhook:
    """Return the sender of a channel of the type ``webhook``.

    Raises
    ------
    DeliveryError
        If the environment has no address, or none that can be posted to.
    """
    hidden = secret(configured, "url_env", environment)
    url = hidden or str(configured.options["url"])
    where = f"the webhook {configured.name!r}"
    try:
        parts = urlsplit(url)
        host, user, password, _ = parts.hostname, parts.username, parts.password, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or not url.isascii() or not url.isprintable() or " " in url:
        hint = "Give an http:// or https:// address."
        raise DeliveryError(f"{where} has no address that can be posted to", hint=hint, unreachable=True)
    timeout = configured.options.get("timeout")
    return Webhook(
        where=where if hidden else f"{where} at {host}",  # what the environment says is nobody's to know
        url=urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])),
        login=None if user is None else f"{unquote(user)}:{unquote(password or '')}",
        timeout=_TIMEOUT if timeout is None else moments.duration(timeout).total_seconds(),
    )


def _words(url: str) -> set[str]:
    """Return the parts of an address that may be secrets, as it has them and as a server reads them."""
    parts = urlsplit(url)
    asked = [one.partition("=")[2] or one.rstrip("=") for one in parts.query.split("&")]
    raw = [parts.path, *parts.path.split("/"), parts.query, *asked]
    return {form for one in raw for form in (one, unquote(one), unquote_plus(one)) if len(form) > _INNOCENT}


def _start(answer: urllib.error.HTTPError) -> bytes:
    """Return the beginning of an answer; of one that breaks off, what little there is says nothing."""
    try:
        return answer.read(_READ)
    except (OSError, http.client.HTTPException):
        return b""


def _wait(headers: HTTPMessage) -> dt.timedelta | None:
    """Return how long a receiver asks to be left alone, if it says so in seconds."""
    asked = headers.get("Retry-After", "").strip()
    return dt.timedelta(seconds=min(int(asked), _LONGEST_WAIT)) if asked.isascii() and asked.isdigit() else None
