"""A configuration in each form, its alert handlers, and errors that name file, line and handler."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tocsin import AlertHandler, ConfigError
from tocsin.cli.configuration import Configuration, parts_of
from tocsin.cli.output import UsageError
from tocsin.cli.sources import read_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOML = """\
version = 1

[handlers.alerts]
class = "tocsin.AlertHandler"
to = ["oncall@example.com"]
from_addr = "alerts@example.com"
store = "sqlite:///nowhere/alerts.db"
uncaught = true

[handlers.alerts.email]
host = "localhost"
port = 8025

[handlers.file]
class = "logging.FileHandler"
filename = "/nowhere/shop.log"

[root]
handlers = ["alerts", "file"]
"""
YAML = """\
version: 1
handlers:
  file: {class: logging.FileHandler, filename: /nowhere/shop.log}
  alerts:
    class: tocsin.AlertHandler
    to: [oncall@example.com]
    from_addr: alerts@example.com
    store: sqlite:///nowhere/alerts.db
    email:
      host: localhost
      port: 8025
root:
  handlers: [alerts, file]
"""
INI = """\
[loggers]
keys = root, shop

[handlers]
keys = alerts, file

[formatters]
keys =

[logger_root]
level = INFO
handlers = alerts, file

[logger_shop]
qualname = shop
propagate = 0
handlers = file

[handler_alerts]
class = tocsin.AlertHandler
level = ERROR
kwargs = {
    "to": "oncall@example.com",
    "from_addr": "alerts@example.com",
    "store": "sqlite:///nowhere/alerts.db",
    "email": {"host": "localhost",
              "port": 8025},
    }

[handler_file]
class = FileHandler
args = ("/nowhere/shop.log",)
"""
JSON = json.dumps(yaml.safe_load(YAML), indent=2)
FORMS = {"shop.toml": TOML, "shop.yaml": YAML, "shop.json": JSON, "shop.ini": INI}
MODULE = f"""
import tocsin

CONFIG = {yaml.safe_load(YAML)!r}
NUMBER = 3

def config():
    return CONFIG

class Alerts(tocsin.AlertHandler):
    pass

def broken():
    raise RuntimeError("password=hunter2")

class Settings:
    LOGGING = CONFIG
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Be in a project's folder, which is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "shop_logging.py").write_text(MODULE)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("shop"):
            del sys.modules[name]


def configuration(name: str, text: str | None = None, *, django: bool = False) -> Configuration:
    if text is not None:
        with open(name, "w", encoding="utf-8") as file:  # noqa: PTH123 - a name in the folder
            file.write(text)
    return Configuration(read_source(name, django=django))


@pytest.mark.parametrize("name", FORMS)
def test_a_file_of_each_form_is_read_and_its_alert_handler_built(name: str, project: Path) -> None:
    found = configuration(name, FORMS[name])
    (entry,) = found.alerts
    assert (entry.name, entry.store) == ("alerts", "sqlite:///nowhere/alerts.db")
    lines = FORMS[name].splitlines()
    port = next(number for number, line in enumerate(lines, 1) if "8025" in line)
    assert entry.line("email", "port") == port
    handler = entry.build()
    assert handler.name == "alerts"
    assert parts_of(handler).audience().to == ("oncall@example.com",)
    assert handler not in logging.root.handlers
    assert not (project / "nowhere").exists()


@pytest.mark.parametrize(
    "name", ["shop_logging:CONFIG", "shop_logging:config", "shop_logging:Settings.LOGGING"]
)
def test_a_name_in_a_module_is_a_configuration(name: str, project: Path) -> None:
    found = configuration(name)
    assert found.label == name
    assert isinstance(found.alerts[0].build(), AlertHandler)
    assert found.data is found.data
    assert found.alerts[0].options["class"] == "tocsin.AlertHandler", "it is left as it was"


@pytest.mark.parametrize("table", ["logging", "tool.logging"])
def test_the_configuration_may_be_a_table_of_a_larger_file(table: str, project: Path) -> None:
    text = TOML.replace("version = 1", f"[{table}]\nversion = 1")
    text = text.replace("[handlers", f"[{table}.handlers").replace("[root", f"[{table}.root")
    (entry,) = configuration("pyproject.toml", text).alerts
    assert (
        entry.line("from_addr") == text.splitlines().index('from_addr = "alerts@example.com"') + 1
    )
    assert isinstance(entry.build(), AlertHandler)


@pytest.mark.parametrize(
    "change",
    [
        {"class": "shop_logging.Alerts"},
        {"()": "shop_logging.Alerts"},
        {"()": "ext://shop_logging.Alerts"},
        {"()": "tocsin.handler.AlertHandler", ".": {"colour": "red"}},
        {"class": "cfg://handlers.spare.class"},
    ],
)
def test_a_class_is_found_as_dictconfig_finds_it(change: dict[str, object], project: Path) -> None:
    config = json.loads(JSON)
    config["handlers"]["spare"] = {"class": "tocsin.AlertHandler"}
    entry = config["handlers"]["alerts"]
    if "()" in change:
        del entry["class"]
    entry.update(change)
    if change.get("class") == "cfg://handlers.spare.class":
        entry["to"] = "cfg://people"
        entry["class"] = "tocsin.AlertHandler"
        config["people"] = ["ann@example.com", "bo@example.com"]
        del config["handlers"]["spare"]
        built = configuration("a.json", json.dumps(config)).alerts[0].build()
        assert len(parts_of(built).audience().to) == 2
        return
    config["handlers"].pop("spare")
    built = configuration("a.json", json.dumps(config)).alerts[0].build()
    assert isinstance(built, AlertHandler)
    if "." in change:
        assert vars(built)["colour"] == "red"


def test_filters_are_built_with_the_handler(project: Path) -> None:
    config = json.loads(JSON)
    config["filters"] = {"shop": {"name": "shop"}}
    config["formatters"] = {"plain": {"format": "%(message)s"}}
    config["handlers"]["alerts"] |= {"filters": ["shop"], "formatter": "plain", "level": "WARNING"}
    built = configuration("a.json", json.dumps(config)).alerts[0].build()
    assert [type(one) for one in built.filters] == [logging.Filter]
    assert built.level == logging.WARNING


@pytest.mark.parametrize("name", FORMS)
def test_an_unknown_key_is_named_with_file_line_and_handler(name: str, project: Path) -> None:
    text = FORMS[name].replace("port", "prot")
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "prot" in one)
    with pytest.raises(ConfigError) as caught:
        configuration(name, text).alerts[0].build()
    assert str(caught.value) == (
        f"{name}:{line}, handler alerts: email.prot: unknown option; did you mean 'port'?"
    )


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        (
            "a.toml",
            "password = hunter2",
            "a.toml: no valid TOML: Invalid value (at line 1",
        ),
        ("a.json", '{"password": hunter2', "a.json:1: no valid JSON: Expecting value"),
        ("a.yaml", "a: 1\npassword: [hunter2", "a.yaml:2: no valid YAML: expected ',' or ']'"),
        ("a.ini", "password = hunter2", "a.ini:1: no valid INI file"),
        ("a.ini", "[handlers]\npassword hunter2", "a.ini:2: no valid INI file"),
        ("a.ini", "[loggers]\nkeys = root", "a.ini: no valid INI file: the section [handlers] is"),
        (
            "b.ini",
            INI.replace('"localhost"', "hunter2"),
            "[handler_alerts] kwargs is no",
        ),
        (
            "a.toml",
            'password = "hunter2"',
            "a.toml: no logging configuration",
        ),
        ("a.toml", "[handlers]", "a.toml: version: missing; dictConfig needs version: 1"),
        ("a.toml", "version = 1\nhandlers = 3", "a.toml:2: handlers: expected a mapping"),
        ("a.toml", "version = 1\n[handlers]", "no handler has the class tocsin.AlertHandler"),
        (
            "a.toml",
            'version = 1\n[handlers.a]\nclass = "nowhere.Alerts"',
            "; a: ModuleNotFoundError: No module named 'nowhere'",
        ),
        (
            "shop_logging:NUMBER",
            None,
            "a callable that returns one, got int",
        ),
        ("shop_logging:broken", None, "calling it failed: RuntimeError: password=[redacted]"),
    ],
)
def test_what_is_no_configuration_is_told_without_a_secret(
    name: str, text: str | None, error: str, project: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        configuration(name, text)
    assert error in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("shop.toml", "there is no file 'shop.toml'; for a name in a module, write module:NAME"),
        ("shop:LOGGING", "shop:LOGGING: there is no module 'shop'"),
        ("shop_logging:LOGGING", "the module 'shop_logging' has no 'LOGGING'"),
        (
            "shop_logging.py",
            "shop_logging.py: for a name in a module, write shop_logging:NAME;",
        ),
        (
            "shop/web.py",
            "for a name in a module, write shop.web:NAME; for Django's settings,",
        ),
        ("shop.settings", "; for Django's settings, write --django shop.settings"),
        ("../web.py", "for a name in a module, write module:NAME"),
        (".", ".: the name of the file has to end in .toml, .json"),
    ],
)
def test_a_source_that_is_not_there_is_a_wrong_argument(
    name: str, error: str, project: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        read_source(name)
    assert error in str(caught.value)


def test_a_handler_that_is_not_there_is_a_wrong_argument(project: Path) -> None:
    (project / "shop.toml").write_text(TOML)
    with pytest.raises(UsageError, match="no alert handler 'file'; it has: alerts"):
        Configuration(read_source("shop.toml"), only="file")


def test_a_file_of_yaml_without_its_package_says_what_to_install(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "shop.yaml").write_text(YAML)
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(UsageError, match=r'PyYAML: pip install "tocsin\[cli\]"'):
        read_source("shop.yaml")


def test_a_configuration_that_contains_itself_is_an_error(project: Path) -> None:
    text = YAML + "extra: &extra\n  inner: *extra\n"
    with pytest.raises(ConfigError, match="contains itself"):
        configuration("shop.yaml", text)


@pytest.mark.parametrize("form", ["[{}]", "{{x: {}, y: {}, z: {}, u: {}, v: {}, w: {}}}"])
def test_aliases_of_aliases_take_no_time(form: str, project: Path) -> None:
    """Written out, these lists and mappings have more than a thousand million items."""
    text, before = "a: &a 1\n", "a"
    for name in "bcdefghijklmn":
        alias = f"*{before}"
        inner = form.format(", ".join([alias] * 6)) if form == "[{}]" else form.format(*[alias] * 6)
        text += f"{name}: &{name} {inner}\n"
        before = name
    (project / "shop.yaml").write_text(text + YAML)
    (entry,) = Configuration(read_source("shop.yaml")).alerts
    with contextlib.closing(entry.build()) as handler:
        assert handler.name == "alerts"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("shop.json", "[" * 100_000, "nested too deep"),
        ("shop.yaml", "[" * 5_000, "nested too deep"),
        ("shop.yaml", "version: 1\nhandlers: {5: {}}", "expected text as a name, got int"),
        ("shop.yaml", "version: '1'\nhandlers: {}", "version: expected 1"),
        ("shop.yaml", "x: !!python/object/apply:os.getpid []", "no valid YAML"),
        ("shop.yaml", "version: 1\nhandlers: {a: }", "a: expected a mapping, got NoneType"),
    ],
)
def test_odd_files_are_errors(name: str, text: str, problem: str, project: Path) -> None:
    (project / name).write_text(text)
    with pytest.raises(ConfigError, match=problem):
        Configuration(read_source(name))


def test_keys_are_found_in_each_way_to_write_toml(project: Path) -> None:
    text = (
        "version = 1\n"
        'handlers.alerts.class = "tocsin.AlertHandler"\n'
        'handlers.alerts.to = [\n  "ann@example.com",\n]\n'
        '[handlers."other one"]\n'
        "class = 'tocsin.AlertHandler'  # a comment = 3\n"
        "email = { host = \"a = b\", 'port' = 25 }\n"
    )
    first, second = configuration("shop.toml", text).alerts
    assert [first.line("to"), first.line("class"), first.line("email", "port")] == [3, 2, 2]
    assert [second.line("class"), second.line("email", "port"), second.line("to")] == [7, 8, 6]


def test_a_list_of_handlers_in_json_has_lines(project: Path) -> None:
    text = JSON.replace('"version"', '"people": [{"to": 1}, "}"], "version"')
    (entry,) = configuration("shop.json", text).alerts
    assert text.splitlines()[(entry.line("from_addr") or 0) - 1].strip().startswith('"from_addr"')
