"""Webhooks, to servers on loopback: what is posted, what counts as a receipt, and what is said where there is none."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import socket
import threading
import traceback
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from eventlab.reports.delivery import channels, webhooks
from eventlab.reports.delivery.channels import DeliveryError, Message

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "T0K3N-of-the-hook"  # noqa: S105 - a secret of nobody
MESSAGE = Message(
    key="run-daily@2013-02-09:1:ops",
    subject="Flights\r\nX-Evil: 1",
    text="472 cancelled",
    facts={"report": "daily", "figures": {"cancelled": 472}},
)


@dataclass
class Configured:
    """A channel as reports.toml has it."""

    options: dict[str, Any]
    name: str = "ops"
    type: str = "webhook"


@dataclass
class Receiver:
    """What a server got, and the answers that it gives in turn: status, headers, body; the last for ever."""

    port: int
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=lambda: [(200, {}, b"ok")])
    got: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    silent: threading.Event | None = None

    @property
    def url(self) -> str:
        """Where it takes messages: an address with a secret, as those of chat rooms have."""
        return f"http://127.0.0.1:{self.port}/hooks/{SECRET}?key={SECRET}"


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver at a port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.got.append((self.path, dict(self.headers), body))
            if receiver.silent is not None:
                receiver.silent.wait(5)
                return
            status, headers, answer = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            raise AssertionError("a message is posted, or not sent at all")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_address[1])
    thread = threading.Thread(target=lambda: server.serve_forever(0.01))
    thread.start()
    try:
        yield receiver
    finally:
        if receiver.silent is not None:
            receiver.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Run a receiver, to which no proxy leads."""
    monkeypatch.setenv("no_proxy", "*")
    with receiving() as made:
        yield made


def sender(url: str, **options: Any) -> webhooks.Webhook:
    """Return a sender to an address that the environment has."""
    given = {"url_env": "OPS_URL", "timeout": "5s", **options}
    return webhooks.sender(Configured(given), {"OPS_URL": url})  # type: ignore[arg-type]


def refused(made: webhooks.Webhook) -> DeliveryError:
    """Return why a message could not be sent, having looked that no secret is in it or in its traceback."""
    with pytest.raises(DeliveryError) as caught:
        made.send(MESSAGE)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__) + repr(made)
    assert SECRET not in told
    assert caught.value.__context__ is None
    assert "\n" not in caught.value.message
    return caught.value


def test_a_message_is_posted_as_json(receiver: Receiver) -> None:
    """The facts, the subject and the text are one object, with a key by which a repetition is known."""
    sender(receiver.url).send(MESSAGE)
    [(path, headers, body)] = receiver.got
    assert path == f"/hooks/{SECRET}?key={SECRET}"
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert headers["Idempotency-Key"] == MESSAGE.digest
    assert body == {
        "subject": "Flights\r\nX-Evil: 1",
        "text": "472 cancelled",
        "key": MESSAGE.key,
        "report": "daily",
        "figures": {"cancelled": 472},
    }
    assert "X-Evil" not in headers


def test_a_message_again_has_the_same_key(receiver: Receiver) -> None:
    """The Idempotency-Key is the message's, whatever it is sent with."""
    made = sender(receiver.url)
    for key in ("a\r\nX-Evil: 1", "a\r\nX-Evil: 1", "b"):
        made.send(Message(key=key, subject="s", text="t"))
    first, again, other = (headers["Idempotency-Key"] for _, headers, _ in receiver.got)
    assert first == again != other
    assert not any("X-Evil" in headers for _, headers, _ in receiver.got)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_success_is_a_receipt(receiver: Receiver, status: int) -> None:
    """Receivers answer as they like."""
    receiver.answers = [(status, {}, b"")]
    sender(receiver.url).send(MESSAGE)
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (500, "the webhook 'ops' answered 500 Internal Server Error: oops *** oops"),
        (404, "the webhook 'ops' answered 404 Not Found: oops *** oops"),
        (410, "the webhook 'ops' answered 410 Gone: oops *** oops"),
        (599, "the webhook 'ops' answered 599: oops *** oops"),
    ],
)
def test_an_error_is_told_with_what_the_receiver_says(receiver: Receiver, status: int, told: str) -> None:
    """The status and the start of the answer, on one line and without what is secret; once, as retries are not its work."""
    receiver.answers = [(status, {}, f"oops\r\n{SECRET}\x00 oops".encode())]
    error = refused(sender(receiver.url))
    assert error.message == told
    assert (error.unreachable, error.wait) == (False, None)
    assert len(receiver.got) == 1


def test_a_long_answer_is_cut(receiver: Receiver) -> None:
    """A page of HTML is no reason; its beginning is."""
    receiver.answers = [(500, {}, b"<html>" + b"x" * 1_000_000)]
    assert len(refused(sender(receiver.url)).message) < 400


@pytest.mark.parametrize(("asked", "wait"), [("120", 120), ("999999", 3_600), ("soon", None), ("-5", None)])
def test_a_receiver_that_asks_to_be_left_alone(receiver: Receiver, asked: str, wait: int | None) -> None:
    """429 says how long to wait; an hour at most, and only if it is a number of seconds."""
    receiver.answers = [(429, {"Retry-After": asked}, b"")]
    error = refused(sender(receiver.url))
    assert error.message == "the webhook 'ops' answered 429 Too Many Requests"
    assert error.wait == (None if wait is None else dt.timedelta(seconds=wait))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_elsewhere_is_refused(receiver: Receiver, status: int) -> None:
    """What is confidential is not posted to whom a server names."""
    with receiving() as other:
        receiver.answers = [(status, {"Location": other.url}, b"")]
        error = refused(sender(receiver.url))
        assert error.message == "the webhook 'ops' redirects elsewhere, which is not followed"
        assert other.got == []


def test_a_redirect_at_the_same_server_is_followed(receiver: Receiver) -> None:
    """307 and 308 say that the same message is to be posted to another path."""
    receiver.answers = [(308, {"Location": "/new"}, b""), (200, {}, b"")]
    sender(receiver.url).send(MESSAGE)
    assert [path for path, *_ in receiver.got][1] == "/new"
    assert receiver.got[0][2] == receiver.got[1][2]


def test_a_redirect_in_a_circle_ends(receiver: Receiver) -> None:
    """A server that always sends on is given up on."""
    receiver.answers = [(307, {"Location": "/again"}, b"")]
    assert "redirects without end" in refused(sender(receiver.url)).message
    assert len(receiver.got) == 3


def test_a_receiver_that_says_nothing(receiver: Receiver) -> None:
    """A time-out is told, and the channel counts as down."""
    receiver.silent = threading.Event()
    error = refused(sender(receiver.url, timeout="50ms"))
    assert error.message == "the webhook 'ops' did not answer within 0.05 s"
    assert error.unreachable


def test_nobody_listens(receiver: Receiver) -> None:
    """A refused connection is told, and the channel counts as down."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    error = refused(sender(receiver.url.replace(str(receiver.port), str(port))))
    assert error.message == "the webhook 'ops' refused the connection"
    assert error.unreachable


def test_a_connection_that_breaks_off(receiver: Receiver) -> None:
    """An answer that is none is told."""
    receiver.silent = threading.Event()
    receiver.silent.set()
    error = refused(sender(receiver.url))
    assert error.message.startswith("the webhook 'ops' cannot be reached: ")
    assert error.unreachable


def test_an_unknown_host(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that DNS does not know is told, without the address, which is a secret."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert refused(sender(receiver.url)).message == "the host of the webhook 'ops' is unknown"


def test_an_address_may_have_a_login(receiver: Receiver) -> None:
    """A user and a password in the address become HTTP's basic authentication, and are not shown."""
    made = sender(receiver.url.replace("127.0.0.1", f"anna:{SECRET}%21@127.0.0.1"))
    made.send(MESSAGE)
    assert receiver.got[0][1]["Authorization"] == basic("anna", f"{SECRET}!")
    receiver.answers = [(403, {}, f"no {SECRET}!".encode())]
    assert refused(made).message == "the webhook 'ops' answered 403 Forbidden: no ***"


def basic(user: str, password: str) -> str:
    """Return the header of a login."""
    import base64  # noqa: PLC0415 - here alone

    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/x",
        "file:///etc/passwd",
        "somewhere.example",
        "http:///x",
        "http://h:port/",
        "http://[::1",
        "http://h/a b",
        "http://h/\r\nX: 1",
        "https://h/ü",
    ],
)
def test_what_cannot_be_posted_to(url: str) -> None:
    """The address is not told; where it stands is."""
    with pytest.raises(DeliveryError, match="the webhook 'ops' has no address that can be posted to") as caught:
        sender(url)
    assert url not in str(caught.value)


def test_an_address_of_the_configuration_is_told_by_its_host() -> None:
    """What stands in reports.toml may be named, but for its path."""
    made = webhooks.sender(Configured({"url": f"https://hooks.example.com/{SECRET}"}), {})  # type: ignore[arg-type]
    assert made.where == "the webhook 'ops' at hooks.example.com"
    assert SECRET not in repr(made)


def test_the_environment_has_no_address() -> None:
    """The variable is named, and what to do."""
    with pytest.raises(DeliveryError, match="the environment has no OPS_URL, which 'ops' needs"):
        channels.channel(Configured({"url_env": "OPS_URL"}), {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("place", "body"),
    [
        ("/in?token=T0K3N-of-the-hook&x=1", "tok=T0K3N-of-the-hook"),
        ("/in?x=1&token=T0K3N%2Dof%2Dthe%2Dhook", "tok=T0K3N-of-the-hook"),
        ("/in?x=1&token=T0K3N%2Dof%2Dthe%2Dhook", "tok=T0K3N%2Dof%2Dthe%2Dhook"),
        ("/in?T0K3N-of-the-hook&x=1", "T0K3N-of-the-hook?"),
        ("/in/T0K3N-of-the-hook/messages?x=1", "no hook T0K3N-of-the-hook"),
        ("/in/T0K3N%2Dof%2Dthe%2Dhook?x=1", "no hook T0K3N-of-the-hook"),
    ],
)
def test_one_part_of_the_address_is_a_secret_too(receiver: Receiver, place: str, body: str) -> None:
    """A server repeats a value of the query or a part of the path, as it was sent or as it was read."""
    receiver.answers = [(403, {}, body.encode())]
    error = refused(sender(f"http://127.0.0.1:{receiver.port}{place}"))
    assert "answered 403 Forbidden: " in error.message
    assert "***" in error.message
    assert "%2Dof" not in error.message


def test_a_value_with_blanks_is_a_secret_as_it_is_read(receiver: Receiver) -> None:
    """A blank is a plus in a query."""
    receiver.answers = [(403, {}, b"who is open sesame")]
    error = refused(sender(f"http://127.0.0.1:{receiver.port}/in?word=open+sesame&x=1"))
    assert error.message.endswith("who is ***")
