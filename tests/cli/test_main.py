"""The entry of the command: output, errors and exit codes, as shells and programs see them."""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import tocsin
from tocsin.cli.main import SUBCOMMANDS, main
from tocsin.cli.output import Output

if TYPE_CHECKING:
    from mail_servers import Project

pytest_plugins = ["projects"]

QUICK = ("--help", "--version")


def command(*args: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    environment = {**os.environ, **options.pop("env", {})}
    options.setdefault("capture_output", True)
    return subprocess.run(
        [sys.executable, "-m", "tocsin", *args],
        **options,
        text=True,
        env=environment,
        check=False,
        timeout=60,
    )


def write_module(project: Project, text: str) -> None:
    sys.modules.pop("shop_logging", None)
    importlib.invalidate_caches()
    (project.folder / "shop_logging.py").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("argument", QUICK)
def test_help_and_version_load_little(argument: str) -> None:
    """`tocsin --help` took a quarter of a second, as it loaded all subcommands."""
    code = (
        "import sys; from tocsin.cli.main import main; main(sys.argv[1:]);"
        "print(*sorted(one for one in sys.modules if one.startswith('tocsin')), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, argument],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    expected = {"tocsin", "tocsin.cli", "tocsin.cli.main", "tocsin.cli.output"}
    assert set(done.stderr.split()) == expected | {"tocsin.exceptions", "tocsin.text"}
    assert ("usage: tocsin" if argument == "--help" else tocsin.__version__) in done.stdout


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_each_subcommand_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"usage: tocsin {name}" in text
    assert "examples:\n" in text
    assert text.isascii()


@pytest.mark.parametrize(
    ("args", "code", "part"),
    [
        (["nothing"], 2, "invalid choice: 'nothing'"),
        (["check"], 2, "required: CONFIG"),
        (["check", "missing.toml"], 2, "no file 'missing.toml'"),
        (["send", "missing.toml"], 2, "no file 'missing.toml'"),
        (["send", "empty.toml"], 1, "no logging configuration"),
        (["replay", "missing.log"], 2, "can't read 'missing.log'"),
        (["status", "empty.toml"], 1, "no logging configuration"),
        (["retry", "empty.toml"], 1, "no logging configuration"),
        (["drop", "empty.toml", "--all"], 1, "no logging configuration"),
        (["preview", "empty.toml"], 1, "no logging configuration"),
    ],
)
def test_each_error_is_one_line_or_one_document(
    project: Project, args: list[str], code: int, part: str
) -> None:
    (project.folder / "empty.toml").write_text("", encoding="utf-8")
    text, found = project.run(*args), project.run(*args, "--json")
    assert text.code == found.code == found.document["exit_code"] == code
    assert part in text.err.splitlines()[-1]
    assert text.out == ""
    assert part in found.document["error"]


def test_what_a_module_prints_is_not_in_the_document(project: Project) -> None:
    write_module(project, "print('loading')\ndef config():\n    print('called')\n    return {}\n")
    found = project.run("check", "shop_logging:config", "--json")
    assert found.document["faults"] == 1
    assert found.err.splitlines()[:2] == ["loading", "called"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import sys\nsys.exit(3)", "can't be imported: SystemExit: 3 (shop_logging.py:2)"),
        (
            "def CONFIG():\n    raise SystemExit",
            "calling it failed: SystemExit (shop_logging.py:2)",
        ),
        ("class Odd(BaseException): pass\nraise Odd('x')", "Odd: x (shop_logging.py:2)"),
        ("import json\njson.loads('{')", "JSONDecodeError: Expecting property name"),
        ("from missing_part import x", "No module named 'missing_part' (shop_logging.py:1)"),
        ("raise ValueError('password=hunter2-is-secret')", "ValueError: password=[redacted]"),
    ],
)
def test_what_a_module_raises_is_told_with_its_line(
    project: Project, text: str, problem: str
) -> None:
    """The code of `sys.exit` looked like one of the command's: 3 meant "try again later"."""
    write_module(project, text)
    found = project.run("check", "shop_logging:CONFIG", "--json")
    assert found.code == 1
    assert problem in found.findings("FAIL")[0]["text"]
    write_module(project, text)
    sent = project.run("send", "shop_logging:CONFIG", "--json")
    assert (sent.code, sent.document["exit_code"]) == (1, 1)
    assert problem in sent.document["error"]


def test_a_handler_that_ends_the_process_is_an_error(project: Project) -> None:
    write_module(project, "import sys\ndef ask(): sys.exit(3)\n")
    project.write(1, to='"ext://shop_logging.ask"')
    found = project.run("check", "shop.toml", "--no-connect", "--json")
    assert found.code == 1


def test_a_mapping_that_raises_is_an_error_of_the_configuration(project: Project) -> None:
    write_module(
        project,
        "class CONFIG(dict):\n    def __getitem__(self, key): raise OSError('no answer')\n"
        "CONFIG = CONFIG(version=1)\n",
    )
    found = project.run("check", "shop_logging:CONFIG", "--json")
    assert found.findings("FAIL")[0]["text"] == "shop_logging:CONFIG: OSError: no answer"


def test_ctrl_c_is_no_traceback(project: Project) -> None:
    write_module(project, "raise KeyboardInterrupt\n")
    assert project.run("check", "shop_logging:CONFIG").err == "tocsin: interrupted\n"
    found = project.run("check", "shop_logging:CONFIG", "--json")
    assert found.code == found.document["exit_code"] == 130


def test_an_error_in_the_command_itself_has_a_document_and_a_traceback(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_args: object, _output: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("tocsin.cli.status.run", fail)
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with pytest.raises(ZeroDivisionError):
        main(["status", "shop.toml", "--json"])
    assert json.loads(out.getvalue())["exit_code"] == 1
    assert project.folder.exists()


@pytest.mark.skipif(os.name != "posix", reason="/dev/full is a file of Linux")
@pytest.mark.parametrize("args", [("--help",), ("preview",), ("preview", "--json")])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_told(args: tuple[str, ...], unbuffered: str) -> None:
    options = {"capture_output": False, "stderr": subprocess.PIPE}
    with Path("/dev/full").open("w") as full:
        done = command(*args, stdout=full, env={"PYTHONUNBUFFERED": unbuffered}, **options)
    assert done.returncode == 1
    assert done.stderr == "tocsin: can't write the output: No space left on device\n"


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_closed_pipe_does_not_change_the_exit_code(project: Project) -> None:
    project.write(1)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        for args, code in ((("preview",), 0), (("check", "shop.toml"), 3)):
            done = command(*args, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
            assert (done.returncode, done.stderr) == (code, "")
    finally:
        os.close(writing)


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
def test_closed_standard_streams_do_not_matter() -> None:
    for closing in (">&-", ">&- 2>&-"):
        done = subprocess.run(
            ["/bin/sh", "-c", f"'{sys.executable}' -m tocsin preview {closing}"],
            check=False,
            timeout=60,
        )
        assert done.returncode == 0


@pytest.mark.parametrize("args", [("preview", "shop.toml"), ("replay", "shop.toml", "app.log")])
def test_no_password_is_needed_where_nothing_is_sent(
    args: tuple[str, ...], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In CI, for instance, which has no secrets."""
    project.write(1, 'username = "a"\npassword_env = "SMTP_APP_PASSWORD"')
    monkeypatch.delenv("SMTP_APP_PASSWORD")
    (project.folder / "app.log").write_text("ERROR:shop:failed\n", encoding="utf-8")
    run = project.run(*args)
    assert (run.code, run.err) == (0, "")


@pytest.mark.parametrize("as_json", [False, True])
def test_any_encoding_of_standard_output_will_do(as_json: bool) -> None:
    """As with PYTHONIOENCODING=ascii, or where LANG is an old one."""
    raw = io.BytesIO()
    output = Output(io.TextIOWrapper(raw, "ascii"), as_json=as_json)
    output.line("Zoë \ud800")
    output.document({"name": "Zoë \ud800"})
    assert output.end() == ""
    text = raw.getvalue().decode()
    assert json.loads(text)["name"] == "Zoë \ud800" if as_json else text == "Zo\\xeb \\ud800\n"


def test_json_has_no_number_that_json_has_not() -> None:
    stream = io.StringIO()
    Output(stream, as_json=True).document({"a": [float("nan"), (float("-inf"), 1.5)]})
    assert json.loads(stream.getvalue()) == {"a": [None, [None, 1.5]]}


def test_no_control_character_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    output = Output(stream)
    output.line("a\x1b]0;title\x07\x1b[32m\nb\x9b1m")
    assert stream.getvalue() == "a\\x1b]0;title\\x07\\x1b[32m\nb\\x9b1m\n"
    output.complain("\x1b[2J")
    assert capsys.readouterr().err == "tocsin: \\x1b[2J\n"
