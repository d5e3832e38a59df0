"""Run every snippet and command of the documentation.

- `python` is executed, one namespace a page; what starts with `>>>` is compared with its output.
  A block that starts with a comment such as `# shop.py` is a file, for the commands of the page.
- `yaml`, `json`, `toml` and `ini` configure logging: a whole configuration as it stands, keys of
  the handler alone within a whole one. If it sends to the mail server of these tests, an alert must
  arrive there. The text is kept in `saved`, for Python that reads it as a file.
- `bash` is checked line by line by what the kind of command promises: `COMMANDS`.
- `text` is output, and not run. Any other language fails, and so does an unknown command.

Nothing is looked up but the loopback interface. What can't be the same everywhere is replaced
before a page is parsed: the ports 8025, on which a server listens, and 8026, which is free, and the
folders in `_FOLDERS`.
"""

from __future__ import annotations

import configparser
import contextlib
import doctest
import email
import email.policy
import inspect
import io
import json
import logging.config
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import tomllib
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keyring
import pytest
import trustme
import yaml
from aiosmtpd.controller import Controller
from keyrings.alt.file import PlaintextKeyring
from packaging.requirements import Requirement
from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer
from sybil.parsers.myst import PythonCodeBlockParser

import tocsin
from tocsin import AlertHandler, SMTPEmailHandler, get_handler_class
from tocsin.cli.main import _parser, main
from tocsin.testing import forget_alerts

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from email.message import EmailMessage

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
_ENVIRONMENT = {"SMTP_APP_PASSWORD": "abcdefghijklmnop", "MAIL_KEY": "abc"}
_FOLDERS = ("/etc/shop", "/run/secrets", "/var/lib/shop")
_FILES = {"ca.pem", "client.pem", "client.key", "smtp-password", "oncall.txt", "templates"}
_LOOPBACK = {"localhost", "127.0.0.1", "::1", None}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


PORT = free_port()
SECOND_PORT = free_port()
FOLDER = Path(tempfile.gettempdir()) / f"tocsin-docs-{os.getpid()}"


class Page(Document):
    """A page, with what stands for something of the reader's own replaced."""

    def __init__(self, text: str, path: str) -> None:
        for folder in _FOLDERS:
            text = text.replace(folder, FOLDER.as_posix())
        text = text.replace("8025", str(PORT)).replace("8026", str(SECOND_PORT))
        super().__init__(text, path)


# The mail server, the files, and the environment that the pages speak of


class Mails(list["EmailMessage"]):
    """What the mail server has received, for the pages that look at it.

    Nobody is called gone@example.com there, and nothing can be left for full@example.com now.
    """

    async def handle_RCPT(
        self, server: object, session: object, envelope: Any, address: str, options: object
    ) -> str:
        """Take a recipient or not."""
        if address == "gone@example.com":
            return "550 5.1.1 no such mailbox"
        if address == "full@example.com":
            return "452 4.2.2 the mailbox is full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        """Keep a message."""
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.append(parsed)
        return "250 OK"


@pytest.fixture(scope="module")
def mails() -> Iterator[Mails]:
    """Be the world around a page: a mail server, files, variables, and no other machine."""
    received = Mails()
    controller = Controller(received, hostname="127.0.0.1", port=PORT)
    _write_files()
    with pytest.MonkeyPatch.context() as patch, fresh_logging():
        for name, value in _ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        patch.setattr(PlaintextKeyring, "file_path", str(FOLDER / "keyring.cfg"))
        usual = keyring.get_keyring()
        keyring.set_keyring(PlaintextKeyring())
        keyring.set_password("smtp.gmail.com", "alerts@example.com", "abcdefghijklmnop")
        foreign = only_loopback(patch)
        controller.start()
        try:
            yield received
        finally:
            controller.stop()
            keyring.set_keyring(usual)
            shutil.rmtree(FOLDER)
    assert not foreign, f"a snippet looked up {foreign}"


def _write_files() -> None:
    FOLDER.mkdir(exist_ok=True)
    authority = trustme.CA()
    client = authority.issue_cert("shop@example.com")
    authority.cert_pem.write_to_path(str(FOLDER / "ca.pem"))
    client.cert_chain_pems[0].write_to_path(str(FOLDER / "client.pem"))
    client.private_key_pem.write_to_path(str(FOLDER / "client.key"))
    (FOLDER / "smtp-password").write_text("abcdefghijklmnop\n", encoding="utf-8")
    (FOLDER / "oncall.txt").write_text("Ada <ada@example.com>\n", encoding="utf-8")
    (FOLDER / "templates").mkdir()
    (FOLDER / "templates" / "foot.txt.j2").write_text("The end\n", encoding="utf-8")
    assert {path.name for path in FOLDER.iterdir()} == _FILES


def only_loopback(patch: pytest.MonkeyPatch) -> list[object]:
    """Let nobody look up another machine; return whom somebody tried to."""
    foreign: list[object] = []
    look_up = socket.getaddrinfo

    def guarded(host: Any, *args: Any, **options: Any) -> Any:
        if host not in _LOOPBACK:
            foreign.append(host)
            raise OSError(f"no snippet speaks to {host}")
        return look_up(host, *args, **options)

    patch.setattr(socket, "getaddrinfo", guarded)
    return foreign


@contextlib.contextmanager
def fresh_logging() -> Generator[None]:
    """Take back, at the end, what is configured in the block; its handlers are closed."""
    forget_alerts()
    before = {logger.name: _settings(logger) for logger in _loggers()}
    unset: dict[str, Any] = {
        "handlers": [],
        "level": logging.NOTSET,
        "propagate": True,
        "disabled": False,
    }
    try:
        yield
    finally:
        for logger in _loggers():
            settings = before.get(logger.name, unset)
            for handler in logger.handlers:
                if handler not in settings["handlers"]:
                    handler.close()
            logger.setLevel(settings["level"])
            logger.__dict__.update(settings | {"handlers": list(settings["handlers"])})


def _loggers() -> list[logging.Logger]:
    found = list(logging.root.manager.loggerDict.values())
    return [logging.root, *(item for item in found if isinstance(item, logging.Logger))]


def _settings(logger: logging.Logger) -> dict[str, Any]:
    return {
        "handlers": list(logger.handlers),
        "level": logger.level,
        "propagate": logger.propagate,
        "disabled": logger.disabled,
    }


# Configurations


def _read_ini(text: str) -> configparser.RawConfigParser:
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return parser


READERS: dict[str, Callable[[str], Any]] = {
    "yaml": yaml.safe_load,
    "json": json.loads,
    "toml": tomllib.loads,
    "ini": _read_ini,
}
_HANDLER_KEYS = set(inspect.signature(AlertHandler).parameters) - {"unknown"}


def run_configuration(example: Example) -> None:
    """Configure logging as a block says; if it sends to the server of these tests, see to it."""
    example.namespace.setdefault("saved", []).append(example.parsed)
    found = READERS[example.region.lexemes["language"]](example.parsed)
    if isinstance(found, configparser.RawConfigParser):
        configure: Callable[[], None] = lambda: logging.config.fileConfig(found)  # noqa: E731
    elif "entry-points" in found.get("project", {}):
        _check_entry_points(found["project"]["entry-points"])
        return
    elif "pytest" in found.get("tool", {}):
        assert set(found["tool"]["pytest"]["ini_options"]) == {"tocsin_send"}
        return
    else:
        configuration = _whole(found)
        configure = lambda: logging.config.dictConfig(configuration)  # noqa: E731
    with fresh_logging():
        for logger in _loggers():  # what the page's Python has added is not meant here
            logger.handlers = []
        configure()
        _check_delivery(example.namespace["mails"])


def _whole(found: dict[str, Any]) -> dict[str, Any]:
    """Return a whole configuration: the block itself, or one around the handler's keys in it."""
    if "version" in found:
        return found
    unknown = set(found) - _HANDLER_KEYS
    assert not unknown, f"neither a logging configuration nor keys of AlertHandler: {unknown}"
    handler = {
        "class": "tocsin.AlertHandler",
        "to": "oncall@example.com",
        "from_addr": "alerts@example.com",
        **found,
    }
    return {"version": 1, "handlers": {"alerts": handler}, "root": {"handlers": ["alerts"]}}


def _check_delivery(mails: Mails) -> None:
    """Log something to each logger, if all of its mails come to the server of these tests."""
    wired = {logger: _alert_handlers(logger) for logger in _loggers()}
    handlers = {handler for found in wired.values() for handler in found}
    assert handlers, "no logger has an AlertHandler"
    if not all(_is_ours(handler) for handler in handlers):
        return
    received = len(mails)
    for logger, found in wired.items():
        if found:
            logger.critical("A snippet of the documentation speaks")
    sent = 0
    for handler in handlers:
        handler.flush()
        stats = handler.stats
        assert stats.store is not None
        assert stats.seen == stats.store.mailed > 0, stats
        sent += stats.mails_sent
    assert len(mails) == received + sent


def _alert_handlers(logger: logging.Logger) -> list[AlertHandler]:
    return [handler for handler in logger.handlers if isinstance(handler, AlertHandler)]


def _is_ours(handler: AlertHandler) -> bool:
    smtp = handler._engine.parts.email
    if not isinstance(smtp, SMTPEmailHandler) or smtp.host != "localhost":
        return False
    ports = {25, PORT, SECOND_PORT}
    assert smtp.port in ports, "on this machine, pages speak to 25 (not run), 8025, or 8026 (free)"
    return smtp.port == PORT


def _check_entry_points(groups: Mapping[str, Mapping[str, str]]) -> None:
    """Load the classes that a package would register."""
    assert set(groups) <= set(PROJECT["project"]["entry-points"])
    for group in groups.values():
        for target in group.values():
            get_handler_class(target)


# Commands


def run_commands(example: Example) -> None:
    """Check each command of a block by its kind."""
    for line in example.parsed.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            _check_command(words, example)


def _check_command(words: list[str], example: Example) -> None:
    for beginning, check in COMMANDS.items():
        start = beginning.split()
        if words[: len(start)] == start:
            check(words[len(start) :], example)
            return
    pytest.fail(f"no check for this kind of command: {shlex.join(words)}")


def _pip_install(words: list[str], example: Example) -> None:
    """Check that it names this project, with extras that it has, or what its groups need."""
    assert words
    project = PROJECT["project"]
    groups = PROJECT["dependency-groups"].values()
    needed = {Requirement(item).name for group in groups for item in group if isinstance(item, str)}
    for word in words:
        requirement = Requirement(word)
        if requirement.name == project["name"]:
            assert requirement.extras <= set(project.get("optional-dependencies", {}))
        else:
            assert requirement.name in needed, f"{word} is nothing that this project names"


def _make(words: list[str], example: Example) -> None:
    """Check that make knows the targets, by printing what it would do."""
    subprocess.run(["make", "-n", *words], cwd=ROOT, check=True, capture_output=True)


def _export(words: list[str], example: Example) -> None:
    """Check that a variable that is set is one that the page's configurations read."""
    (assignment,) = words
    name, _, value = assignment.partition("=")
    assert value
    assert re.search(rf"password_env\W+{name}\b", example.document.text)


def _tocsin(words: list[str], example: Example) -> None:
    """Run the command in the folder of the pages, and compare the output that follows."""
    args = _parser(words).parse_args(words)
    config = next((word for word in words if word.endswith(".yaml")), None)
    named = [getattr(args, "config", None), *getattr(args, "paths", ())]
    # The page has no other configuration, its logs lie in the folder, and no browser is opened.
    if any(name not in {None, config} and not (FOLDER / name).exists() for name in named):
        return
    if getattr(args, "open", False):
        return
    if config is not None:
        (FOLDER / config).write_text(example.namespace["saved"][-1], encoding="utf-8")
    printed = io.StringIO()
    with contextlib.chdir(FOLDER), contextlib.redirect_stdout(printed):
        main(words)
    if config is not None:
        (FOLDER / config).unlink()
    shown = re.match(r"\s*```text\n(.*?)^```", _behind(example), re.DOTALL | re.MULTILINE)
    if shown is not None:
        compare = _first_words if words[0] in {"preview", "status", "retry"} else _comparable
        assert compare(printed.getvalue()) == compare(shown[1])


def _first_words(output: str) -> list[str]:
    """Return the first word of each line: times, processes and paths differ from run to run."""
    return [line.split()[0] for line in output.splitlines() if line.strip()]


def _behind(example: Example) -> str:
    """Return the page's text behind a block."""
    return str(example.document.text[example.region.end :])


def _comparable(output: str) -> list[str]:
    """Return the words of each line, without what differs from run to run and host to host."""
    for pattern in (r"\b\d+ ms$", r"(?<=greeting ).*", r"(?<=ID <)[^>]*", r" +$"):
        output = re.sub(pattern, "", output, flags=re.MULTILINE)
    return " ".join(output.split()).split("; ")


def _aiosmtpd(words: list[str], example: Example) -> None:
    """Start the server as the page says, on a port of its own, and look for an alert in it."""
    port = free_port()
    words = [word.replace(str(PORT), str(port)) for word in words]
    command = [sys.executable, "-u", "-m", "aiosmtpd", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            _wait_for(port)
            handler = AlertHandler(
                to="oncall@example.com",
                from_addr="alerts@example.com",
                app="shop",
                email={"host": "localhost", "port": port},
            )
            record = {"name": "shop", "levelno": logging.ERROR, "msg": "Printed"}
            handler.handle(logging.makeLogRecord(record))
            handler.close()
            assert handler.stats.mails_sent == 1, handler.stats
            printed = iter(server.stdout.readline, "")
            assert any(line.startswith("Subject: [1x, 1 new] shop: ") for line in printed)
        finally:
            server.kill()


def _serve(name: str, port_option: str) -> Callable[[list[str], Example], None]:
    """Return a check of a server: an error of the page's `shop.py` must be mailed."""

    def check(words: list[str], example: Example) -> None:
        port = free_port()
        command = [sys.executable, "-m", name, *words, *port_option.format(port).split()]
        mails = example.namespace["mails"]
        received = len(mails)
        with tempfile.TemporaryDirectory() as folder:
            for file, text in _SAVED.findall(example.document.text):
                quick = _APP.sub(r"\1policy\1: {\1group_wait\1: 0.1}\2\g<0>", text)
                (Path(folder) / file).write_text(quick, encoding="utf-8")
            with subprocess.Popen(command, cwd=folder) as server:
                try:
                    _wait_for(port)
                    with contextlib.suppress(OSError):  # the answer has status 500
                        urllib.request.urlopen(f"http://127.0.0.1:{port}/orders/7").close()
                    _wait_until(lambda: len(mails) > received, "no mail comes")
                finally:
                    server.terminate()
        (mail,) = mails[received:]
        assert "Request: GET /orders/7, " in mail.get_body(("plain",)).get_content()

    return check


def _gunicorn(words: list[str], example: Example) -> None:
    """Let it load the application, which tests/soak runs; or serve an application of the page."""
    if "shop:app" in words:
        _serve("gunicorn", "-b 127.0.0.1:{}")(words, example)
        return
    settings = (ROOT / "examples" / "service.toml").read_text(encoding="utf-8")
    path = FOLDER / "service.toml"
    path.write_text(settings.replace("/var/tmp", FOLDER.as_posix()), encoding="utf-8")
    command = [sys.executable, "-m", "gunicorn", "--check-config", *words]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "SHOP_LOGGING": str(path)}, check=True)


def keep_file(example: Example) -> None:
    """Keep a block that is a file for the commands that follow."""
    (name,) = _FILE.match(example.parsed).groups()  # type: ignore[union-attr] # the parser saw it
    example.namespace.setdefault("files", {})[name] = example.parsed


def _pytest(words: list[str], example: Example) -> None:
    """Run the files of the page as a suite; all of its tests pass, and none tries to send."""
    plugins = ["-p", "tocsin.pytest_plugin", *(["-p", "xdist"] if "-n" in words else [])]
    command = [sys.executable, "-m", "pytest", *plugins, "-q", "--strict-markers", *words]
    printed = _run_there(command, example, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert re.search(r"^[1-9]\d* passed in", printed, re.MULTILINE), printed


def _unittest(words: list[str], example: Example) -> None:
    """Run a case that logs an error by the program of the page."""
    case = "import unittest, shop\nclass T(unittest.TestCase):\n def test(self): shop.charge(1)\n"
    command = [sys.executable, "-m", "unittest", *words, "test_by_unittest.py"]
    printed = _run_there(command, example, test_by_unittest=case, TOCSIN_ENABLED="0")
    assert "Ran 1 test" in printed


def _manage(words: list[str], example: Example) -> None:
    """Run a test of a Django project whose settings import the program of the page."""
    settings = "import shop\nSECRET_KEY = 'for this test'\nLOGGING_CONFIG = None\n"
    manage = "import sys\nfrom django.core import management\n"
    manage += "management.execute_from_command_line(sys.argv)\n"
    case = "from django.test import SimpleTestCase\nimport shop\n"
    case += "class T(SimpleTestCase):\n def test(self): shop.charge(1)\n"
    printed = _run_there(
        [sys.executable, "manage.py", *words],
        example,
        manage=manage,
        settings=settings,
        test_by_django=case,
        TOCSIN_ENABLED="0",
        DJANGO_SETTINGS_MODULE="settings",
    )
    assert "Ran 1 test" in printed


def _run_there(command: list[str], example: Example, **more: str) -> str:
    """Run a command in a folder with the page's files; return what it prints.

    Args:
        command: the command.
        example: the block that has it.
        more: names in capitals are variables of the environment, the others are modules.
    """
    files = dict(example.namespace["files"])
    if command[1:3] != ["-m", "pytest"]:  # the page's suites need pytest
        files = {name: text for name, text in files.items() if not name.startswith("test_")}
    files |= {f"{name}.py": text for name, text in more.items() if not name.isupper()}
    environment = {**os.environ, **{name: text for name, text in more.items() if name.isupper()}}
    if "TOCSIN_ENABLED" not in more:
        del environment["TOCSIN_ENABLED"]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        environment["PYTHONPATH"] = str(Path(tocsin.__file__).parents[1])
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    return printed


def _wait_for(port: int) -> None:
    def listens() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    _wait_until(listens, "the server doesn't listen")


def _wait_until(condition: Callable[[], bool], failure: str) -> None:
    for _ in range(1500):
        if condition():
            return
        threading.Event().wait(0.02)
    pytest.fail(failure)


_SAVED = re.compile(r"Save this as `([\w.]+)`.*?\n```\w+\n(.*?)```", re.DOTALL)
_APP = re.compile(r"(\"?)app\1: \1shop\1(,?\n *)")
COMMANDS: dict[str, Callable[[list[str], Example], None]] = {
    "pip install": _pip_install,
    "make": _make,
    "export": _export,
    "gunicorn": _gunicorn,
    "uvicorn": _serve("uvicorn", "--port {}"),
    "hypercorn": _serve("hypercorn", "-b 127.0.0.1:{}"),
    "daphne": _serve("daphne", "-p {}"),
    "python -m aiosmtpd": _aiosmtpd,
    "tocsin": _tocsin,
    "pytest": _pytest,
    "TOCSIN_ENABLED=0 python -m unittest": _unittest,
    "TOCSIN_ENABLED=0 python manage.py": _manage,
}


# Parsing


def _unknown(example: Example) -> None:
    language = example.region.lexemes["language"]
    pytest.fail(f"a block of {language!r}; say python, yaml, json, toml, ini, bash or text")


EVALUATORS: dict[str, Callable[[Example], None] | None] = {
    **dict.fromkeys(READERS, run_configuration),
    "bash": run_commands,
    "text": None,
    "python": None,  # has a parser of its own
    "{eval-rst}": None,
}


_FILE = re.compile(r"# (\w+\.py)\n")
_python = PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS)


def parse_python(document: Document) -> Iterable[Region]:
    """Yield all blocks of Python; those that are files aren't executed."""
    for region in _python(document):
        if isinstance(region.parsed, str) and _FILE.match(region.parsed):
            region.evaluator = keep_file
        yield region


def parse(document: Document) -> Iterable[Region]:
    """Yield all fenced blocks but Python."""
    for region in FencedCodeBlockLexer(language=r"[^\n]*")(document):
        language = region.lexemes["language"].split(" ")[0]
        evaluator = EVALUATORS.get(language, _unknown)
        if evaluator is not None:
            region.parsed = region.lexemes["source"]
            region.evaluator = evaluator
            yield region


pytest_collect_file = Sybil(
    parsers=[parse_python, parse],
    path=str(ROOT),
    patterns=["README.md", "CONTRIBUTING.md", "docs/*.md"],
    excludes=["docs/moving-*.md"],  # pairs of configurations, which tests/docs/moving.py runs
    document_types={".md": Page},
    fixtures=["mails"],
).pytest()
