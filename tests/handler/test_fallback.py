"""Where an alert goes that can't be mailed."""

from __future__ import annotations

import email
import email.policy
import fcntl
import io
import os
import pty
import select
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from parts import Moody, free_port, logger_with

from tocsin import AlertHandler, ConfigError
from tocsin.pipeline import fallback
from tocsin.pipeline.fallback import say

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


def make(**options: Any) -> AlertHandler:
    given = {"to": "Ada <o@example.com>", "from_addr": "a@example.com", "app": "shop"}
    return AlertHandler(**{**given, "email": Moody(lambda _: OSError("no route")), **options})


def test_a_folder_gets_a_file_that_mail_programs_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = make(fallback=str(tmp_path))
    with logger_with(handler) as logger:
        logger.error("precious")
        handler.close()
    (path,) = tmp_path.iterdir()
    assert path.suffix == ".eml"
    assert path.stat().st_mode & 0o777 == 0o600
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert mail["To"] == "Ada <o@example.com>"
    assert mail["Subject"].startswith("[1x, 1 new] shop: ERROR precious in ")
    body = mail.get_body(("plain",))
    assert body is not None
    assert "precious" in body.get_content()
    error = capsys.readouterr().err
    assert f"tocsin: this alert could not be mailed; it is kept as {str(path)!r}" in error
    assert "1   NEW" not in error


def test_a_stream_of_the_applications_own_that_waits_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a tee to a pipe that nobody reads; and as it waits, the next line doesn't."""
    release, lines = threading.Event(), list[str]()

    class Tee:
        def write(self, line: str) -> None:
            release.wait(20)
            lines.append(line)

        def flush(self) -> None:
            pass

    monkeypatch.setattr(sys, "stderr", Tee())
    started = time.monotonic()
    say("one")
    say("two")
    assert time.monotonic() - started < 4
    thread = fallback._stuck
    assert thread is not None
    release.set()
    thread.join()
    say("three")
    assert lines == ["tocsin: one\n", "tocsin: three\n"]


def test_what_the_folder_does_not_take_is_told_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "alerts"
    folder.mkdir()
    handler = make(fallback=folder)
    folder.rmdir()
    with logger_with(handler) as logger:
        logger.error("precious")
        handler.close()
    error = capsys.readouterr().err
    assert f"can't be kept in {str(folder)!r}" in error
    assert "1   NEW" in error
    assert "precious" in error


def test_the_folder_has_to_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    with pytest.raises(ConfigError) as raised:
        make(fallback=missing)
    assert (
        str(raised.value)
        == f"fallback: expected 'stderr' or a folder; {str(missing)!r} is not a folder"
    )
    with pytest.raises(ConfigError, match="expected a path, got int"):
        make(fallback=5)


# Standard error may be a pipe, and its reader slow, or gone

PAGE = 4096  # the smallest pipe
UNSENT = """
import logging, time
from tocsin import AlertHandler, SMTPEmailHandler
logging.getLogger().addHandler(AlertHandler(
    to="o@x.example", from_addr="a@x.example", exit_timeout=1,
    email=SMTPEmailHandler(host="127.0.0.1", port={port}),
))
for word in "one two three four five six seven eight nine ten".split():
    logging.error("%s" % word * 200)
"""


class Pipe:
    """A pipe as small as it can be."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, PAGE)

    @property
    def filled(self) -> int:
        found = fcntl.ioctl(self.reading, termios.FIONREAD, bytes(4))
        return int(struct.unpack("i", found)[0])

    def fill(self) -> None:
        os.write(self.writing, b"." * PAGE)
        assert self.filled == PAGE

    def run(self, program: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", program], stderr=self.writing)


@pytest.fixture
def pipe() -> Generator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.reading)
    os.close(made.writing)


@pytest.mark.parametrize("full", [True, False])
def test_a_reader_that_never_reads_does_not_keep_the_program(pipe: Pipe, full: bool) -> None:
    """The end has a bound: `exit_timeout`, and what a reader gets that takes nothing."""
    if full:
        pipe.fill()
    started = time.monotonic()
    process = pipe.run(UNSENT.format(port=free_port()))
    try:
        assert process.wait(30) == 0
    finally:
        process.kill()
    assert time.monotonic() - started < 10
    assert pipe.filled


def test_a_slow_reader_gets_everything(pipe: Pipe) -> None:
    """It reads a page whenever the pipe is full, and not before."""
    process = pipe.run("from tocsin.pipeline.fallback import say; say('a' * 300_000 + ' end')")
    text = b""
    while process.poll() is None or pipe.filled:
        if pipe.filled == PAGE or process.poll() is not None:
            text += os.read(pipe.reading, PAGE)
    assert process.returncode == 0
    assert text == b"tocsin: " + b"a" * 300_000 + b" end\n"


def test_several_lines_to_a_reader_that_never_reads_cost_no_more_than_one(pipe: Pipe) -> None:
    pipe.fill()
    program = """
import time
from tocsin.pipeline.fallback import say
started = time.monotonic()
for number in range(20):
    say(f"line {number}")
print(time.monotonic() - started)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=pipe.writing,
        check=True,
        timeout=60,
    )
    assert float(done.stdout) < 5


def test_a_reader_that_reads_again_gets_what_comes_then(pipe: Pipe) -> None:
    pipe.fill()
    program = """
from tocsin.pipeline.fallback import say
say("lost")
print("given up", flush=True)
input()
say("told")
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=pipe.writing,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"given up\n"
            assert os.read(pipe.reading, PAGE) == b"." * PAGE
            process.communicate(b"\n", timeout=30)
        finally:
            process.kill()
    assert os.read(pipe.reading, PAGE) == b"tocsin: told\n"


def test_a_socket_and_a_terminal_are_written_to_as_well() -> None:
    here, there = socket.socketpair()
    with here, there:
        subprocess.run(
            [sys.executable, "-c", "from tocsin.pipeline.fallback import say; say('b' * 20_000)"],
            stderr=there.fileno(),
            check=True,
            timeout=30,
        )
        there.shutdown(socket.SHUT_WR)
        here.settimeout(30)
        assert here.recv(30_000, socket.MSG_WAITALL)[:9] == b"tocsin: b"
    reading, writing = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", "from tocsin.pipeline.fallback import say; say('é')"],
            stderr=writing,
            check=True,
            timeout=30,
        )
        assert select.select([reading], [], [], 30)[0]
        assert os.read(reading, 100) == "tocsin: é\r\n".encode()
    finally:
        os.close(reading)
        os.close(writing)


class Odd:
    """What a program may put in the place of standard error."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None: ...


def test_standard_error_may_be_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner, path = io.BytesIO(), tmp_path / "log"
    text, raw, odd = io.StringIO(), io.TextIOWrapper(inner, encoding="utf-8"), Odd()
    with path.open("w", encoding="utf-8") as file:
        for stream in (text, raw, odd, file, None):
            monkeypatch.setattr(sys, "stderr", stream)
            say("told")
        assert path.read_text(encoding="utf-8") == "tocsin: told\n"
    monkeypatch.setattr(sys, "stderr", file)
    say("told to a closed file")
    assert text.getvalue() == inner.getvalue().decode() == odd.text == "tocsin: told\n"


def test_two_threads_that_write_at_the_same_time_write_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[str] = []
    both = threading.Barrier(2, timeout=20)

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            both.wait()  # neither is written before the other one begins
            lines.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stderr", Stream())
    writers = [threading.Thread(target=fallback.say, args=(name,)) for name in ("one", "two")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(lines) == ["tocsin: one\n", "tocsin: two\n"]
