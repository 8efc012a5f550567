"""PDFs: a page printed by Chromium, its charts drawn, without a network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from eventlab.errors import ReportError

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
_TIMEOUT = 120.0  # seconds
_DRAWN = 20_000  # milliseconds of the page's own clock in which its charts are drawn; it runs as fast as they are
_OFFLINE = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-quic",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-first-run",
)


def chromium() -> str | None:
    """Return the browser that prints: that of ``$EVENTLAB_CHROMIUM``, else one on the path; None if there is none."""
    return os.environ.get("EVENTLAB_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUMS)), None)


def pdf(html: str) -> bytes:
    """Return a page as a PDF, in the light colours and on the paper of the browser's own choice, which is Letter.

    The browser has a profile of its own, reaches no network, and ends with the call.

    Raises
    ------
    ReportError
        If there is no Chromium, or it prints nothing.
    """
    browser = chromium()
    if browser is None:
        raise ReportError(
            "a PDF is printed by Chromium, and there is none here",
            hint="Install it (apt-get install chromium), say where it is with EVENTLAB_CHROMIUM, or leave out pdf.",
        )
    with tempfile.TemporaryDirectory(prefix="eventlab-pdf-", ignore_cleanup_errors=True) as folder:
        page, printed = Path(folder) / "page.html", Path(folder) / "page.pdf"
        page.write_text(html, encoding="utf-8", newline="")
        command = [
            browser,
            "--headless",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),  # as root it has none, and would not start
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            *_OFFLINE,
            f"--user-data-dir={folder}/profile",
            "--window-size=768,1000",
            f"--virtual-time-budget={_DRAWN}",
            "--no-pdf-header-footer",
            f"--print-to-pdf={printed}",
            page.as_uri(),
        ]
        told = _run(command)
        try:
            content = printed.read_bytes()
        except FileNotFoundError:
            content = b""
    if not content.startswith(b"%PDF-"):
        raise ReportError(
            f"{browser} printed no PDF: {_last(told)}", hint="See whether it starts at all: run it with --headless."
        )
    return content


def _run(command: list[str]) -> str:
    """Run a browser to its end, or to ours, with all of its processes; return what it said."""
    try:
        process = subprocess.Popen(  # noqa: S603 - a browser, and a page that we wrote
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
        )
    except OSError as error:
        raise ReportError(
            f"{command[0]} cannot be started: {error}", hint="Say where Chromium is with EVENTLAB_CHROMIUM."
        ) from None
    try:
        _, told = process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise ReportError(
            f"{command[0]} printed nothing in {_TIMEOUT:.0f} seconds", hint="Leave out pdf, or make the report smaller."
        ) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return told.decode(errors="replace")


def _last(told: str) -> str:
    """Return the last thing that a browser said."""
    lines = [line for line in told.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
