"""The main job, live: a failing service, its customers, a mail server, and what arrives.

`make demo` runs it. The service is quickstart.py in a process of its own; the customers are threads
here; the mail server speaks TLS, wants a login, and listens on localhost:8465. It fails if an error
isn't counted in a mail, if a kind of error is missing, or if there are more than three mails.
"""

from __future__ import annotations

import collections
import email
import email.policy
import http.client
import logging
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

if TYPE_CHECKING:
    from email.message import EmailMessage

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "demo"
PORT = 8465  # as quickstart.toml has it
CUSTOMERS = 8
VISITS = 2000  # of each customer
PAGES = (
    ("PaymentError", "/checkout?order={n}"),
    ("ValueError", "/basket?quantity={n}%20pieces"),
    ("Stock of * is negative", "/pick?article=SKU-7"),
    ("TimeoutError", "/price?article=SKU-{n}"),
    ("", "/"),
)
LONE = ("ZeroDivisionError", "/report?month=2026-02")
SHOWN = ("From", "To", "Subject", "Message-ID", "Auto-Submitted", "X-Tocsin-Reason")
MOST_MAILS = 3
FEWEST_ERRORS = 5000


class Mailbox:
    """An SMTP server on localhost that wants TLS and a login, and keeps what it gets."""

    def __init__(self, user: str, password: str) -> None:
        self.mails: list[EmailMessage] = []
        self._login = (user.encode(), password.encode())
        # The server knows TLS only by STARTTLS, and would warn that there is none.
        warnings.filterwarnings("ignore", "Requiring AUTH", UserWarning)
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(FOLDER / "ca.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self.controller = Controller(
            self,
            hostname="localhost",
            port=PORT,
            ssl_context=context,
            authenticator=self._authenticate,
            auth_required=True,
            auth_require_tls=False,
        )

    def _authenticate(self, *args: Any) -> AuthResult:
        given = args[-1]
        fits = isinstance(given, LoginPassword) and (given.login, given.password) == self._login
        return AuthResult(success=fits, handled=False)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """Keep a mail."""
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append(message)
        name = FOLDER / f"mail-{len(self.mails)}"
        name.with_suffix(".eml").write_bytes(envelope.content)
        html = message.get_body(("html",))
        name.with_suffix(".html").write_text(html.get_content() if html else "", encoding="utf-8")
        return "250 2.0.0 kept"


class Customers:
    """Threads that visit the shop, and count what fails."""

    def __init__(self, port: int) -> None:
        self.failed: collections.Counter[str] = collections.Counter()
        self._port = port
        self._lock = threading.Lock()

    def visit(self) -> None:
        """Let all of them visit the shop, each page in turn."""
        threads = [threading.Thread(target=self._one, args=(n,)) for n in range(CUSTOMERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _one(self, customer: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        failed: collections.Counter[str] = collections.Counter()
        for visit in range(VISITS):
            kind, page = PAGES[(customer + visit) % len(PAGES)]
            if (customer, visit) == (0, VISITS * 55 // 100):
                kind, page = LONE
            connection.request("GET", page.format(n=visit))
            response = connection.getresponse()
            response.read()
            if response.status >= http.client.INTERNAL_SERVER_ERROR:
                failed[kind] += 1
        connection.close()
        with self._lock:
            self.failed.update(failed)


def main() -> str | None:
    """Run the demo; return what is wrong, or None."""
    started = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    password = secrets.token_urlsafe()
    mailbox = Mailbox("alerts@example.com", password)
    mailbox.controller.start()
    try:
        customers = serve(password)
    finally:
        mailbox.controller.stop()
    for number, mail in enumerate(mailbox.mails, 1):
        show(number, mail)
    print(f"HTML and .eml of each mail: {FOLDER}")
    print(f"It took {time.monotonic() - started:.1f} s.")
    return accounts(customers, mailbox.mails)


def serve(password: str) -> Customers:
    """Run the service, send it customers, and end it."""
    service = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "quickstart.py")],
        cwd=ROOT,
        env={**os.environ, "SMTP_APP_PASSWORD": password},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with service, cast("IO[str]", service.stdin), cast("IO[str]", service.stdout) as output:
        customers = Customers(int(output.readline()))
        customers.visit()
    return customers


def show(number: int, mail: EmailMessage) -> None:
    """Print a mail as a person would see it."""
    print(f"{'=' * 30} mail {number} {'=' * 30}")
    for name in SHOWN:
        print(f"{name}: {mail[name]}")
    body = mail.get_body(("plain",))
    print()
    print(body.get_content() if body else "")


def accounts(customers: Customers, mails: list[EmailMessage]) -> str | None:
    """Print the accounts in one line; return what is wrong with them, or None."""
    seen = customers.failed.total()
    counted = sum(int(mail["X-Tocsin-Count"]) for mail in mails)
    told = "".join(str(mail.get_body(("plain",))) for mail in mails)
    missing = [kind for kind in customers.failed if kind not in told.replace("'SKU-7'", "*")]
    print(
        f"accounts: {seen} errors seen, {len(mails)} mails, "
        f"{len(customers.failed)} kinds, {seen - counted} uncounted"
    )
    if seen < FEWEST_ERRORS or len(mails) > MOST_MAILS or missing or seen != counted:
        return f"that is not as it should be; missing: {missing}"
    return None


if __name__ == "__main__":
    sys.exit(main())
