"""What the documentation's tables say is what the code does."""

from __future__ import annotations

import dataclasses
import inspect
import re
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
import yaml
from aiosmtpd.controller import Controller

from tocsin import AlertHandler, ConnectError, Policy, SMTPEmailHandler
from tocsin.mail import dial, opening
from tocsin.mail.providers import PROVIDERS
from tocsin.render import group_view, mail_view, sample_view
from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def tables(page: str, first: str) -> list[list[str]]:
    """Return the rows of all tables of a page whose head begins with a word."""
    rows: list[list[str]] = []
    inside = False
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif inside:
            rows.append(cells)
        elif cells[0] == first:
            inside = True
    return [row for row in rows if set("".join(row)) != {"-"}]


def code(cell: str) -> str:
    """Return what a cell has in backticks."""
    return cell.strip("`")


# The keys of a configuration


def parameters(of: Callable[..., Any]) -> dict[str, object]:
    """Return the keywords of a callable, with their defaults."""
    signature = inspect.signature(of)
    return {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


KEYS = {
    **parameters(AlertHandler),
    "handler": "smtp",
    **parameters(SMTPEmailHandler),
    **dict.fromkeys(SMTPEmailHandler._CONFIG_OPTIONS),
    **{field.name: field.default for field in dataclasses.fields(Policy)},
}
SAID_OTHERWISE = {"host": "localhost", "level": "ERROR"}  # the code's default is None, or a number


def test_every_key_is_explained_once() -> None:
    keys = [code(row[0]) for row in tables("configuration.md", "key")]
    assert sorted(keys) == sorted(KEYS)


@pytest.mark.parametrize("row", tables("configuration.md", "key"), ids=lambda row: code(row[0]))
def test_the_default_is_the_one_of_the_code(row: list[str]) -> None:
    key, default = code(row[0]), row[2]
    value = SAID_OTHERWISE.get(key, KEYS[key])
    if value in (None, "", ()):
        assert not re.fullmatch("`[^`]*`", default), "the code has no default for it"
    else:
        assert yaml.safe_load(code(default)) == value


# Names, modules, services


def test_every_module_has_its_line() -> None:
    package = ROOT / "src" / "tocsin"
    found = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    listed = {
        name
        for row in tables("architecture.md", "module")
        for name in re.findall(r"`([^`]+\.py)`", row[0])
    }
    assert listed == {name for name in found if not name.endswith("/__init__.py")}


def test_every_file_and_function_to_open_exists() -> None:
    for row in tables("architecture.md", "for"):
        path = ROOT
        for name in re.findall("`([^`]+)`", row[1]):
            if "/" in name or name.endswith(".py"):
                path = ROOT / "src" / "tocsin" / name
                assert path.exists(), name
            else:
                source = path.read_text(encoding="utf-8")
                assert re.search(rf"^(def )?{name}\b", source, re.MULTILINE), name


@pytest.mark.parametrize("row", tables("services.md", "service"), ids=lambda row: row[0])
def test_a_service_is_as_its_vendor_says(row: list[str]) -> None:
    (provider,) = [item for item in PROVIDERS.values() if item.host == code(row[1])]
    assert row[2] == f"{provider.port}" + (", STARTTLS" if provider.tls == "starttls" else "")
    assert row[4] == str(provider.recipients_per_message or "not documented")


def test_every_service_has_its_row() -> None:
    assert [code(row[0]) for row in tables("services.md", "service")] == list(PROVIDERS)


VALUES = {
    "`mail`": mail_view.MailView,
    "`group`": group_view.GroupView,
    "`group.samples`": sample_view.SampleView,
    "`sample.context`": sample_view.ContextView,
}


@pytest.mark.parametrize("name", VALUES)
def test_every_value_of_a_template_is_explained(name: str) -> None:
    rows = tables("template-values.md", name)
    fields = dataclasses.fields(VALUES[name])
    assert [code(row[0]) for row in rows] == [field.name for field in fields]


def test_every_line_on_standard_error_is_in_the_source() -> None:
    """A page for people who search for a line must have the words of the code."""
    folder = ROOT / "src" / "tocsin"
    files = [*(folder / "pipeline").glob("*.py"), folder / "integrations" / "silent.py"]
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    lines = [code(row[0]) for row in tables("no-mail.md", "line contains")]
    assert len(lines) == 15
    assert [line for line in lines if not in_source(line, source)] == []


def in_source(line: str, source: str) -> bool:
    """Say whether the code has a line, or both halves of one that it puts together."""
    halves = line.partition("an alert mail ")
    return line in source or (halves[1] in source and not halves[0] and halves[2] in source)


# Error messages: each one of the table is provoked, for real


@pytest.fixture(scope="module")
def plain() -> Iterator[Controller]:
    controller = Controller(object(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller
    controller.stop()


@pytest.fixture(scope="module")
def encrypted() -> Iterator[Controller]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    controller = Controller(object(), hostname="127.0.0.1", port=free_port(), ssl_context=context)
    # Its start makes a connection without TLS and without verifying, which is what it has to do.
    controller.start()
    yield controller
    controller.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def refusal(port: int, **options: Any) -> str:
    """Return what a server's refusal looks like."""
    smtp = SMTPEmailHandler(host="127.0.0.1", port=port, **options)
    with pytest.raises(ConnectError) as caught, smtp.connect():
        pass
    return str(caught.value)


LOGIN = {"username": "shop", "password": "x"}


def test_each_error_of_the_table_occurs(plain: Controller, encrypted: Controller) -> None:
    said = [
        refusal(free_port()),
        refusal(plain.port, use_tls=True),
        refusal(plain.port, use_starttls=True),
        refusal(plain.port, **LOGIN),
        refusal(encrypted.port, timeout=0.3),
        refusal(encrypted.port, use_tls=True),
    ]
    with ScriptedSMTPServer({"EHLO": ["550 no"], "AUTH": "535 no"}) as server:
        said += [refusal(server.port, **LOGIN), refusal(server.port, **LOGIN | {"password": "x y"})]
    phrases = [code(row[0]) for row in tables("smtp-errors.md", "error")]
    missing = [phrase for phrase in phrases if not any(phrase in text for text in said)]
    # These need another machine and a silent name server.
    source = "".join(
        Path(inspect.getfile(module)).read_text(encoding="utf-8") for module in (dial, opening)
    )
    assert [phrase for phrase in missing if phrase not in source] == []
    assert len(missing) <= 2
