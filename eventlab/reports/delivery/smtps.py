"""Mail: messages over SMTP, as text and as HTML with its pictures inside."""

from __future__ import annotations

import contextlib
import ipaddress
import smtplib
import socket
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, cast

from eventlab import moments
from eventlab.reports.configuration import addresses
from eventlab.reports.delivery.channels import DeliveryError, flat, line, secret

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from email.headerregistry import Address

    from eventlab.reports.configuration.configurations import Channel
    from eventlab.reports.delivery.channels import Message

_PORTS = {"tls": 465, "starttls": 587, "none": 25}
_CLOSED = 421  # the server closes the connection, whatever was asked
_TIMEOUT = 30.0
_POLICY = SMTP.clone(cte_type="7bit")  # which every server takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    """A mail server, and who writes to whom.

    Attributes
    ----------
    security
        ``"starttls"``, ``"tls"``, or ``"none"``.
    subject
        What stands before the subject of each mail.
    user, password
        Values, which are never shown.
    timeout
        Seconds to wait for each answer.
    """

    host: str
    port: int
    security: str
    sender: Address
    to: Sequence[Address]
    subject: str = ""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    timeout: float = _TIMEOUT

    def send(self, message: Message, *, reached: Collection[str] = ()) -> None:
        """Send a mail to those of ``to`` whom it has not reached yet.

        Raises
        ------
        DeliveryError
            If the server is not there, or refuses the mail or one of the addresses: ``reached`` has the others.
        """
        to = [address.addr_spec for address in self.to if address.addr_spec not in reached]
        refused: dict[str, tuple[int, bytes]] = {}
        fault = None
        if not to:
            return
        try:
            with self._session() as server:
                refused = server.send_message(self.mail(message), from_addr=self.sender.addr_spec, to_addrs=to)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            fault = self._fault(error)
        if fault is None and refused:
            fault = self._refused(refused)
            fault.reached = [address for address in (*reached, *to) if address not in refused]
        if fault is not None:
            raise fault  # outside of the except clause: a traceback shows nothing of what was said to the server

    def mail(self, message: Message) -> EmailMessage:
        """Return a message as a mail. Made again it has the same Message-ID, by which a mailbox knows it."""
        mail = EmailMessage(policy=_POLICY)
        mail["From"] = self.sender
        mail["To"] = list(self.to)
        mail["Subject"] = flat(f"{self.subject} {message.subject}")
        mail["Date"] = format_datetime(moments.moment_of(moments.now()))
        mail["Message-ID"] = f"<{message.digest}.eventlab@{self.sender.domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # so that nobody's absence is answered to a program
        mail.set_content(message.text)
        if message.html is not None:
            mail.add_alternative(message.html, subtype="html")
            page = cast("EmailMessage", mail.get_payload(1))
            for cid, png in message.images:
                page.add_related(
                    png, "image", "png", cid=f"<{flat(cid)}>", disposition="inline", filename=f"{flat(cid)}.png"
                )
        return mail

    @contextlib.contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        """Yield a connection that is encrypted and logged in as configured."""
        context = ssl.create_default_context()
        here = socket.gethostname()
        here = here if "." in here and here.isascii() else "[127.0.0.1]"  # without asking DNS, which may take long
        options: dict[str, Any] = {"timeout": self.timeout, "local_hostname": here}
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, context=context, **options)
        else:
            server = smtplib.SMTP(self.host, self.port, **options)
        try:
            if self.security == "starttls":
                server.starttls(context=context)
            if self.user is not None:
                server.login(self.user, self.password or "")
            yield server
            with contextlib.suppress(smtplib.SMTPException, OSError):  # the mail is accepted, however they part
                server.quit()
        finally:
            server.close()

    def _refused(self, refused: Mapping[str, tuple[int, bytes]]) -> DeliveryError:
        told = ", ".join(f"{address} ({code} {self._line(text)})" for address, (code, text) in refused.items())
        return DeliveryError(f"{self._where} refused {told}", hint="Check the addresses in reports.toml.")

    def _fault(self, error: Exception) -> DeliveryError:
        """Return what went wrong in words, without any secret."""
        match error:
            case smtplib.SMTPRecipientsRefused():
                return self._refused(error.recipients)
            case smtplib.SMTPAuthenticationError():
                what = f"refused the login: {error.smtp_code} {self._line(error.smtp_error)}"
                hint = "Check the variables of the environment that user and password name."
            case smtplib.SMTPSenderRefused():
                what = f"refused the sender {self.sender.addr_spec}: {error.smtp_code} {self._line(error.smtp_error)}"
                hint = "Check `from` in reports.toml."
            case smtplib.SMTPResponseException():
                what, hint = f"answered {error.smtp_code} {self._line(error.smtp_error)}", ""
            case smtplib.SMTPNotSupportedError():
                what = f"cannot do what is asked: {self._line(error)}"
                hint = 'Choose security = "tls", "starttls" or "none", as the server has it.'
            case smtplib.SMTPServerDisconnected() if isinstance(error.__context__, TimeoutError):
                return self._unreachable(error.__context__)
            case smtplib.SMTPServerDisconnected():
                what, hint = "closed the connection", "Check port and security: a port for TLS speaks nothing else."
            case _:
                return self._unreachable(error)
        refuses = isinstance(error, (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError))
        down = refuses or getattr(error, "smtp_code", _CLOSED) == _CLOSED
        return DeliveryError(f"{self._where} {what}", hint=hint, unreachable=down)

    def _unreachable(self, error: Exception) -> DeliveryError:
        match error:
            case socket.gaierror():
                what, hint = f"the host {self.host} is unknown", "Check `host` in reports.toml, and the network."
            case ConnectionRefusedError():
                what, hint = f"{self._where} refused the connection", "Is the server up, and the port right?"
            case TimeoutError():
                what, hint = f"{self._where} did not answer within {self.timeout:g} s", "Is it the right port?"
            case ssl.SSLCertVerificationError():
                what = f"the certificate of {self._where} is not trusted: {self._line(error.verify_message)}"
                hint = "Make its issuer known to this machine, or name it in SSL_CERT_FILE."
            case ssl.SSLError():
                what = f"{self._where} speaks no TLS: {self._line(error.reason or error)}"
                hint = 'Choose security = "starttls" or "none", as the server has it.'
            case _:
                what, hint = f"{self._where} cannot be written to: {self._line(error)}", ""
        return DeliveryError(what, hint=hint, unreachable=isinstance(error, OSError))

    @property
    def _where(self) -> str:
        return f"{self.host}:{self.port}"

    def _line(self, text: object) -> str:
        return line(text, (self.user, self.password, f"\0{self.user}\0{self.password}"))


def sender(configured: Channel, environment: Mapping[str, str]) -> Smtp:
    """Return the sender of a channel of the type ``smtp``.

    Without ``security`` it is TLS at port 465, nothing to this machine itself, and else STARTTLS, without which no mail is
    sent.
    """
    options = configured.options
    host, port = str(options["host"]), options.get("port")
    security = options.get("security") or ("tls" if port == _PORTS["tls"] else "none" if _here(host) else "starttls")
    given = options["to"]
    timeout = options.get("timeout")
    return Smtp(
        host=host,
        port=int(port or _PORTS[security]),
        security=security,
        sender=addresses.address(options["from"]),
        to=[addresses.address(one) for one in ([given] if isinstance(given, str) else given)],
        subject=str(options.get("subject") or ""),
        user=secret(configured, "user", environment),
        password=secret(configured, "password", environment),
        timeout=_TIMEOUT if timeout is None else moments.duration(timeout).total_seconds(),
    )


def _here(host: str) -> bool:
    """Tell whether a host is this machine itself."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return host == "localhost" or host.endswith(".localhost")
