"""Mail over SMTP, to servers on loopback: what arrives, what cannot, and what is said of it."""

from __future__ import annotations

import email
import email.policy
import shutil
import socket
import ssl
import subprocess
import traceback
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from eventlab.errors import InvalidArgument
from eventlab.reports.configuration import addresses
from eventlab.reports.delivery import smtps
from eventlab.reports.delivery.channels import DeliveryError, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
USER, PASSWORD = "robot-7", "sesame opens"
SECRETS = {"MAIL_USER": USER, "MAIL_PASSWORD": PASSWORD}
MESSAGE = Message(key="run-daily@2013-02-09:1:mail", subject="Flights, 9 February", text="472 cancelled.\n.\nend\n")


@dataclass
class Configured:
    """A channel as reports.toml has it."""

    options: dict[str, Any]
    name: str = "mail"
    type: str = "smtp"


@dataclass
class Inbox:
    """What a server took, and the answers that it gives instead of taking."""

    answers: dict[str, str] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Any] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)

    async def handle_MAIL(self, _s: object, _session: object, envelope: Any, address: str, options: Any) -> str:  # noqa: N802 - aiosmtpd's
        """Take the sender, or answer what is asked for."""
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get("MAIL", "250 OK")

    async def handle_RCPT(self, _s: object, _session: object, envelope: Any, address: str, options: Any) -> str:  # noqa: N802 - aiosmtpd's
        """Take an address, or answer what is asked for."""
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _server: object, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's
        """Take a mail, or answer what is asked for."""
        if "DATA" in self.answers:
            return self.answers["DATA"]
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))  # type: ignore[arg-type]
        self.envelopes.append(envelope)
        self.encrypted.append(session.ssl is not None)
        return "250 taken"


class AnyPort(Controller):
    """A server at a port that the machine chooses."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def inbox() -> Inbox:
    """Return an empty inbox."""
    return Inbox()


@pytest.fixture
def serve(inbox: Inbox) -> Iterator[Callable[..., int]]:
    """Return a function that starts a server of the inbox and returns its port."""
    started: list[Controller] = []

    def start(**options: Any) -> int:
        controller = AnyPort(inbox, hostname="127.0.0.1", port=0, **options)
        controller.start()
        started.append(controller)
        return int(controller.port)

    yield start
    for controller in started:
        controller.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a certificate of this machine, which signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificate")
    folder = tmp_path_factory.mktemp("certificate")
    made, key = folder / "certificate.pem", folder / "key.pem"
    asked = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    more = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*asked.split(), *more], check=True, capture_output=True)
    return made, key


@pytest.fixture
def trusted(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Make the certificate one that this machine trusts, and return what a server needs."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    return context(certificate)


def context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """Return what a server needs to encrypt."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*certificate)
    return made


def sender(port: int, **options: Any) -> smtps.Smtp:
    """Return a sender to a server on loopback."""
    given = {"host": "127.0.0.1", "port": port, "from": "Reports <reports@example.com>", "to": ["anna@example.com"]}
    return smtps.sender(Configured({"timeout": "5s", **given, **options}), SECRETS)  # type: ignore[arg-type]


def login(_server: object, _session: object, _envelope: object, _mechanism: str, data: Any) -> AuthResult:
    """Let the robot in, and nobody else."""
    return AuthResult(success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()))


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def refused(made: smtps.Smtp, message: Message = MESSAGE) -> DeliveryError:
    """Return why a message could not be sent, having looked that no secret is in it or in its traceback."""
    with pytest.raises(DeliveryError) as caught:
        made.send(message)
    told = (
        "".join(traceback.format_exception(caught.value)) + str(caught.value) + repr(caught.value.__dict__) + repr(made)
    )
    assert not any(secret in told for secret in SECRETS.values())
    assert caught.value.__context__ is None
    assert "\n" not in caught.value.message
    return caught.value


def test_a_mail_has_text_html_and_pictures(serve: Callable[..., int], inbox: Inbox) -> None:
    """The text is the first alternative, the HTML the second, with its pictures beside it, by content id."""
    message = Message(
        key="k",
        subject="Prüfung",
        text="472 cancelled",
        html='<p>ü<img src="cid:course"></p>',
        images=[("course", PNG)],
    )
    sender(serve(), subject="[flights]").send(message)
    [mail] = inbox.mails
    text, html, image = (part for part in mail.walk() if not part.is_multipart())
    assert mail.get_content_type() == "multipart/alternative"
    assert mail["Subject"] == "[flights] Prüfung"
    assert (mail["From"], mail["To"]) == ("Reports <reports@example.com>", "anna@example.com")
    assert (text.get_content_type(), text.get_content().strip()) == ("text/plain", "472 cancelled")
    assert (html.get_content_type(), html.get_content().strip()) == ("text/html", '<p>ü<img src="cid:course"></p>')
    assert (image["Content-ID"], image.get_content()) == ("<course>", PNG)
    assert mail["Auto-Submitted"] == "auto-generated"


def test_a_mail_again_has_the_same_id(serve: Callable[..., int], inbox: Inbox) -> None:
    """The Message-ID is the key's, so that a mailbox knows a repetition; another key has another."""
    made = sender(serve())
    for key in ("a", "a", "b"):
        made.send(Message(key=key, subject="s", text="t"))
    first, again, other = (mail["Message-ID"] for mail in inbox.mails)
    assert first == again != other
    assert first.endswith("@example.com>")


def test_a_text_is_sent_as_it_is(serve: Callable[..., int], inbox: Inbox) -> None:
    """A line with a dot alone does not end the mail, and a line may be longer than SMTP has it."""
    text = "472 cancelled.\n.\n" + "x" * 5_000 + "\nend\n"
    sender(serve()).send(Message(key="k", subject="s", text=text))
    assert inbox.mails[0].get_content().splitlines() == text.splitlines()


@pytest.mark.parametrize(
    "subject",
    [
        "a\r\nBcc: all@example.com",
        "a\nBcc: all@example.com\n\nbody",
        "a\rBcc: all@example.com",
        "a\u2028Bcc: x\x00y\x85z",
        "a" * 2_000,
        "a\ud800b",
    ],
)
def test_no_header_can_be_put_in(serve: Callable[..., int], inbox: Inbox, subject: str) -> None:
    """A subject is one header, whatever is in it: data of a log cannot add a recipient or a body."""
    message = Message(key="k\r\nBcc: x", subject=subject, text="t", html="<p>", images=[('"c\r\nX-Y: z', PNG)])
    sender(serve()).send(message)
    [mail] = inbox.mails
    assert set(mail.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    }
    assert inbox.envelopes[0].rcpt_tos == ["anna@example.com"]
    assert mail["Subject"].startswith("a")
    assert not any("X-Y" in part for part in mail.walk())


@pytest.mark.parametrize(
    "given",
    ["", "anna", "anna@", "a@example.com, b@example.com", "a@example.com\r\nBcc: c@example.com", "jürgen@example.com"],
)
def test_an_address_is_one(given: str) -> None:
    """What is none, or several, or more than an address, is refused with an example of one."""
    with pytest.raises(InvalidArgument, match=r"reports@example\.com"):
        addresses.address(given)


def test_a_domain_may_have_any_letters() -> None:
    """It is written as DNS has it."""
    assert addresses.address("Jürgen <j@exämple.de>").addr_spec == "j@xn--exmple-cua.de"


def test_starttls_and_login(serve: Callable[..., int], inbox: Inbox, trusted: ssl.SSLContext) -> None:
    """With STARTTLS the connection is encrypted before the login, and the mail is sent."""
    port = serve(tls_context=trusted, authenticator=login, auth_required=True)
    made = sender(port, security="starttls", user="MAIL_USER", password="MAIL_PASSWORD")  # noqa: S106 - a variable's name
    made.send(MESSAGE)
    assert (len(inbox.mails), inbox.encrypted) == (1, [True])


def test_tls_from_the_start(serve: Callable[..., int], inbox: Inbox, trusted: ssl.SSLContext) -> None:
    """A server that speaks nothing but TLS is written to as well."""
    made = sender(serve(ssl_context=trusted), security="tls", host="localhost")
    made.send(MESSAGE)
    assert len(inbox.mails) == 1


def test_a_certificate_that_is_not_trusted(
    serve: Callable[..., int], inbox: Inbox, certificate: tuple[Path, Path]
) -> None:
    """Nothing is sent to a server whose certificate nobody has signed, and the fix is told."""
    port = serve(tls_context=context(certificate))
    error = refused(sender(port, security="starttls"))
    assert error.message.startswith(f"the certificate of 127.0.0.1:{port} is not trusted")
    assert "SSL_CERT_FILE" in error.hint
    assert error.unreachable
    assert not inbox.mails


def test_no_mail_without_the_encryption_that_is_asked_for(serve: Callable[..., int], inbox: Inbox) -> None:
    """A server without STARTTLS gets neither the login nor the mail."""
    error = refused(sender(serve(), security="starttls", user="MAIL_USER", password="MAIL_PASSWORD"))  # noqa: S106 - a variable's name
    assert "STARTTLS" in error.message
    assert 'security = "tls"' in error.hint
    assert not inbox.mails


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"host": "mail.example.com"}, ("starttls", 587)),
        ({"host": "mail.example.com", "port": 2525}, ("starttls", 2525)),
        ({"host": "mail.example.com", "port": 465}, ("tls", 465)),
        ({"host": "mail.example.com", "security": "none"}, ("none", 25)),
        ({"host": "127.0.0.1"}, ("none", 25)),
        ({"host": "::1"}, ("none", 25)),
        ({"host": "localhost", "security": "starttls"}, ("starttls", 587)),
        ({"host": "localhost.example.com"}, ("starttls", 587)),
    ],
)
def test_encryption_unless_it_is_this_machine(options: dict[str, Any], expected: tuple[str, int]) -> None:
    """Without a word it is STARTTLS, TLS at its port, and nothing only to this machine."""
    made = smtps.sender(Configured({"from": "a@example.com", "to": "b@example.com", **options}), {})  # type: ignore[arg-type]
    assert (made.security, made.port) == expected


def test_a_wrong_password(serve: Callable[..., int], inbox: Inbox, trusted: ssl.SSLContext) -> None:
    """The refusal is told with its code, without the password, and the channel counts as down."""
    port = serve(
        tls_context=trusted, authenticator=lambda *_: AuthResult(success=False, handled=False), auth_required=True
    )
    error = refused(sender(port, security="starttls", user="MAIL_USER", password="MAIL_PASSWORD"))  # noqa: S106 - a variable's name
    assert f"127.0.0.1:{port} refused the login: 535" in error.message
    assert error.unreachable
    assert not inbox.mails


def test_a_secret_that_is_not_there() -> None:
    """The variable is named, which is no secret, and what to do."""
    given = {
        "host": "h.example",
        "from": "a@example.com",
        "to": "b@example.com",
        "user": "MAIL_USER",
        "password": "MAIL_PASSWORD",
    }
    with pytest.raises(DeliveryError, match="no MAIL_PASSWORD, which 'mail' needs\nSet MAIL_PASSWORD"):
        smtps.sender(Configured(given), {"MAIL_USER": USER})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answers", "told", "down"),
    [
        ({"anna@example.com": "550 5.1.1 no such user"}, "refused anna@example.com (550 5.1.1 no such user)", False),
        ({"anna@example.com": "450 4.2.0 greylisted"}, "refused anna@example.com (450 4.2.0 greylisted)", False),
        ({"MAIL": "553 not from you"}, "refused the sender reports@example.com: 553 not from you", False),
        ({"DATA": "451 4.3.0 try again later"}, "answered 451 4.3.0 try again later", False),
        ({"DATA": "552 5.3.4 too large"}, "answered 552 5.3.4 too large", False),
        ({"DATA": f"554 {USER} may not send {PASSWORD}"}, "answered 554 *** may not send ***", False),
        ({"DATA": "421 4.3.2 going down"}, "answered 421 4.3.2 going down", True),
    ],
)
def test_what_a_server_refuses(
    serve: Callable[..., int], inbox: Inbox, trusted: ssl.SSLContext, answers: dict[str, str], told: str, down: bool
) -> None:
    """Each answer of 4xx and 5xx is told with the server, its code and its words, but for the secrets in them."""
    inbox.answers = answers
    port = serve(tls_context=trusted, authenticator=login)
    error = refused(sender(port, security="starttls", user="MAIL_USER", password="MAIL_PASSWORD"))  # noqa: S106 - a variable's name
    assert error.message == f"127.0.0.1:{port} {told}"
    assert error.unreachable is down


def test_those_who_have_it_are_not_written_to_again(serve: Callable[..., int], inbox: Inbox) -> None:
    """If one of several addresses is refused, the others have the mail; the next try is for the one alone."""
    inbox.answers = {"bert@example.com": "450 mailbox busy"}
    made = sender(serve(), to=["anna@example.com", "bert@example.com"])
    error = refused(made)
    assert error.reached == ["anna@example.com"]
    assert "bert@example.com (450 mailbox busy)" in error.message
    inbox.answers.clear()
    made.send(MESSAGE, reached=error.reached)
    made.send(MESSAGE, reached=["anna@example.com", "bert@example.com"])
    assert [envelope.rcpt_tos for envelope in inbox.envelopes] == [["anna@example.com"], ["bert@example.com"]]
    assert inbox.mails[0]["To"] == inbox.mails[1]["To"] == "anna@example.com, bert@example.com"


def test_nobody_listens() -> None:
    """A refused connection is told with the address, and the channel counts as down."""
    port = free_port()
    error = refused(sender(port))
    assert error.message == f"127.0.0.1:{port} refused the connection"
    assert error.unreachable


def test_an_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that DNS does not know is told as such."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = refused(sender(25, host="mail.nowhere.invalid", security="none"))
    assert error.message == "the host mail.nowhere.invalid is unknown"


def test_a_server_that_says_nothing() -> None:
    """A server that takes the connection and is silent is given up on in time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        error = refused(sender(port, timeout="50ms"))
    assert error.message == f"127.0.0.1:{port} did not answer within 0.05 s"
    assert error.unreachable


def test_a_server_that_speaks_no_tls(serve: Callable[..., int]) -> None:
    """TLS to a port that speaks plain SMTP is told as that."""
    error = refused(sender(serve(), security="tls"))
    assert "speaks no TLS" in error.message


def test_how_they_part_does_not_matter(
    serve: Callable[..., int], inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mail that is accepted is delivered, even if the server hangs up on the goodbye."""

    async def rude(self: SMTP, _arg: str) -> None:
        self.transport.close()

    monkeypatch.setattr(SMTP, "smtp_QUIT", rude)
    sender(serve()).send(MESSAGE)
    assert len(inbox.mails) == 1


@pytest.mark.parametrize(
    "said", ["no pa  ss\tword/1", "no pa ss word/1", "no pa++ss%09word%2F1", "no cGEgIHNzCXdvcmQvMQ=="]
)
def test_a_password_is_hidden_as_a_server_may_repeat_it(said: str) -> None:
    """As it is, on one line, as in an address, in base64."""
    made = replace(sender(25), password="pa  ss\tword/1")  # noqa: S106 - of nobody
    assert made._line(said).rstrip("=") == "no ***"
