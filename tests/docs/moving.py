"""Run the pages for people who come from another library, docs/moving-*.md, in pairs.

A block with the other library's configuration comes first, then a block with Tocsin's. Each is in
force while a program logs a few records, and really sends to a mail server with STARTTLS and a
login. Both have to send with the same sender, recipients, encryption and account.

- `yaml` is a logging configuration; one with `provider` is built only. `python` does the same in
  code, or sends a message itself.
- On the Django page, `python` is settings. They are used by a process that answers a request.
- A block with `sentry_sdk.init` runs in a process of its own, and sends to an HTTP server here.

The server stands for smtp.example.com, port 587, and trusts the page's own account. What the blocks
have sent is in `moved`, for hidden blocks that look at it.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import gc
import gzip
import http.server
import importlib
import inspect
import itertools
import json
import logging.config
import os
import ssl
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import trustme
import yaml
from sybil import Document, Example, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer
from sybil.parsers.myst import PythonCodeBlockParser

from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from snippets import ROOT, free_port, fresh_logging, only_loopback

    from tocsin.testing import ReceivedMessage
else:  # pytest knows this module by the name that conftest.py gives it
    from tests.docs.snippets import ROOT, free_port, fresh_logging, only_loopback

PORT = free_port()
SENTRY_PORT = free_port()
ACCOUNT = {"alerts@example.com": "mail-password"}
_OUR_WORLD = {
    "smtp.example.com": "localhost",
    "587": str(PORT),
    "https://public@sentry.example.com": f"http://public@127.0.0.1:{SENTRY_PORT}",
}


class Page(Document):
    """A page whose servers are those of these tests."""

    def __init__(self, text: str, path: str) -> None:
        for theirs, ours in _OUR_WORLD.items():
            text = text.replace(theirs, ours)
        super().__init__(text, path)


class Moved:
    """What the latest two blocks of a page have sent.

    Attributes:
        before: the mails of the other library.
        after: Tocsin's mails.
        server: the mail server.
        folder: a folder for files.
        events: what Sentry's server got.
        pairs: how many pairs have been compared.
    """

    def __init__(self, server: ScriptedSMTPServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.before: list[EmailMessage] = []
        self.after: list[EmailMessage] = []
        self.events: list[dict[str, Any]] = []
        self.pairs = 0
        self._expected: set[object] | None = None

    @contextlib.contextmanager
    def watching(self, *, ours: bool) -> Generator[None]:
        """Note what is sent in the block; after a block of the other library, compare."""
        gc.collect()  # `dictConfig` flushes every handler that is still there, also a closed one
        count = len(self.server.messages)
        yield
        sent = self.server.messages[count:]
        assert sent, "nothing was sent"
        mails = [email.message_from_bytes(one.data, policy=email.policy.default) for one in sent]
        ways = {_way(one, mail) for one, mail in zip(sent, mails, strict=True)}
        if not ours:
            assert self._expected is None, "a block of the other library has no counterpart"
            self.before, self._expected = mails, ways
            return
        self.after = mails
        if self._expected is not None:
            assert ways == self._expected
            self.pairs += 1
        self._expected = None

    @property
    def complete(self) -> bool:
        """Whether each block of the other library has had its counterpart."""
        return self._expected is None


def _way(sent: ReceivedMessage, mail: EmailMessage) -> object:
    """Return how a message was sent: by whom, to whom, and how safely."""
    shown = [
        frozenset(address.addr_spec for address in mail[name].addresses)
        for name in ("From", "To", "Cc")
        if mail[name]
    ]
    return sent.sender, frozenset(sent.recipients), tuple(shown), sent.tls, sent.username


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moved]:
    """Be smtp.example.com, whose certificate this machine trusts, and no other machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves two files of its own open
        importlib.import_module("mailinglogger")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = tmp_path_factory.mktemp("moved") / "trusted.pem"
    authority.cert_pem.write_to_path(str(trusted))
    with (
        pytest.MonkeyPatch.context() as patch,
        ScriptedSMTPServer(tls_context=context, accounts=ACCOUNT, port=PORT) as server,
    ):
        patch.setenv("SSL_CERT_FILE", str(trusted))  # what `ssl` trusts by default
        patch.setenv("SMTP_PASSWORD", ACCOUNT["alerts@example.com"])
        foreign = only_loopback(patch)
        found = Moved(server, trusted.parent)
        yield found
    assert not foreign, f"a snippet looked up {foreign}"
    assert found.complete, "a block of the other library has no counterpart"


# Blocks


def run_yaml(example: Example) -> None:
    """Let a program log while this configuration is in force."""
    configuration = yaml.safe_load(example.parsed)
    if "provider:" in example.parsed:  # a real service: the handler is built, and sends nothing
        with fresh_logging():
            logging.config.dictConfig(configuration)
        return
    with _watching(example), fresh_logging():
        logging.config.dictConfig(configuration)
        work()


def run_python(example: Example) -> None:
    """Run a block: one that readers see as what its page or its content says."""
    text = example.document.text[example.start :]
    if not text.startswith("```"):
        PythonEvaluator()(example)
    elif "sentry_sdk.init" in example.parsed:
        example.namespace["moved"].events = events_of(example.parsed)
    elif example.path.endswith("moving-django.md"):
        settings = [*example.namespace.get("settings", []), example.parsed]
        with _watching(example):
            answer_a_request("\n".join(settings), example.namespace["moved"].folder)
        example.namespace["settings"] = settings
    else:
        with _watching(example), fresh_logging():
            PythonEvaluator()(example)
            work()


def _watching(example: Example) -> contextlib.AbstractContextManager[None]:
    moved: Moved = example.namespace["moved"]
    return moved.watching(ours="tocsin" in example.parsed)


def work() -> None:
    """Be a program: a line of normal work, and an error twice."""
    log = logging.getLogger("shop.payments")
    log.info("Charging order %s", 1001)
    for order in (1001, 1002):
        log.error("Could not charge order %s", order)


# Processes of their own


def run_process(program: str, *arguments: str) -> None:
    """Run a program until it ends, without a proxy between it and the servers here."""
    environment = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), *arguments])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


_SETTINGS = """\
DEBUG = False
SECRET_KEY = "x"
ALLOWED_HOSTS = ["shop.example.com"]
ROOT_URLCONF = "shop_urls"
"""
_URLS = """\
from django.urls import path

def charge(request):
    raise RuntimeError("Could not charge order 1001")

urlpatterns = [path("checkout", charge)]
"""
_REQUEST = """\
from wsgiref.util import setup_testing_defaults
from django.core.wsgi import get_wsgi_application

environ = {"HTTP_HOST": "shop.example.com", "PATH_INFO": "/checkout"}
setup_testing_defaults(environ)
statuses = []
list(get_wsgi_application()(environ, lambda status, headers: statuses.append(status)))
assert statuses == ["500 Internal Server Error"], statuses
"""


def answer_a_request(settings: str, folder: Path) -> None:
    """Let Django answer a request with these settings; its view fails."""
    (folder / "shop_settings.py").write_text(_SETTINGS + settings, encoding="utf-8")
    (folder / "shop_urls.py").write_text(_URLS, encoding="utf-8")
    start = 'import os\nos.environ["DJANGO_SETTINGS_MODULE"] = "shop_settings"\n'
    run_process(start + _REQUEST, str(folder))


_WORK = f"""
import logging

{inspect.getsource(work)}
work()
sentry_sdk.flush()
"""


def events_of(program: str) -> list[dict[str, Any]]:
    """Return the events that a program sends to Sentry's server."""
    found: list[dict[str, Any]] = []

    class Sentry(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                data = gzip.decompress(data)
            found.extend(_events(data))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", SENTRY_PORT), Sentry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            run_process(program + _WORK)
        finally:
            server.shutdown()
            thread.join()
    return found


def _events(envelope: bytes) -> Iterator[dict[str, Any]]:
    """Yield the events of an envelope: lines of JSON, in which a header precedes each item."""
    lines = envelope.splitlines()[1:]
    for head, item in itertools.pairwise(lines):
        with contextlib.suppress(ValueError):
            if json.loads(head).get("type") == "event":
                yield json.loads(item)


# Parsing


class _Python(PythonCodeBlockParser):
    """Finds visible and hidden Python, as the other pages' parser does."""

    def __call__(self, document: Document) -> Iterable[Region]:
        for region in super().__call__(document):
            region.evaluator = run_python
            yield region


def parse(document: Document) -> Iterable[Region]:
    """Yield the configurations; any other block but Python, and text, is an error."""
    for region in FencedCodeBlockLexer(language=r"[^\n]*")(document):
        language = region.lexemes["language"]
        assert language in {"yaml", "python", "text"}, f"{document.path}: {language}"
        if language == "yaml":
            region.parsed = region.lexemes["source"]
            region.evaluator = run_yaml
            yield region


pytest_collect_file = Sybil(
    parsers=[_Python(), parse],
    path=str(ROOT),
    patterns=["docs/moving-*.md"],
    document_types={".md": Page},
    fixtures=["moved"],
).pytest()
