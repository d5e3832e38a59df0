"""How a program ends, in processes of their own: the mail arrives, once, or its text is told."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

import pytest
from parts import bare_server, free_port, smtp_server

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
import atexit, gc, logging, os, signal, sys, threading, time
from tocsin import AlertHandler
handler = AlertHandler(
    to="ops@example.com", from_addr="alerts@example.com", app="shop", exit_timeout={timeout},
    email={{"host": "127.0.0.1", "port": {port}, "timeout": 30}}, policy={policy},
)
logger = logging.getLogger("app")
logger.addHandler(handler)
"""


def run(
    folder: Path, body: str, port: int, *, timeout: float = 5, policy: str = "None"
) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a program that alerts to a server's port; return its result and its seconds."""
    script = folder / "script.py"
    head = HEAD.format(port=port, timeout=timeout, policy=policy)
    script.write_text(head + textwrap.dedent(body), encoding="utf-8")
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return result, time.monotonic() - started


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("logger.error('the end')", 0),
        ("logger.error('the end'); sys.exit(3)", 3),
        ("logger.error('the end'); raise RuntimeError('unhandled')", 1),
        (
            "signal.signal(15, lambda *_: sys.exit(4)); logger.error(0); os.kill(os.getpid(), 15)",
            4,
        ),
        ("t = threading.Thread(target=logger.error, args=('x',)); t.start(); t.join()", 0),
        ("threading.Thread(target=logger.error, args=('x',)).start()", 0),
        ("atexit.register(logger.error, 'from a hook')", 0),
        ("logger.error('x'); logging.shutdown()", 0),
        ("logger.error('x'); logger.removeHandler(handler); del handler; gc.collect()", 0),
    ],
)
def test_however_a_program_ends_its_mail_arrives_once(tmp_path: Path, body: str, code: int) -> None:
    with smtp_server() as (mailbox, port):
        result, seconds = run(tmp_path, body, port)
        assert [mail["X-Tocsin-Count"] for mail in mailbox.mails] == ["1"], result.stderr
    assert result.returncode == code
    assert "tocsin" not in result.stderr
    assert seconds < 5


def test_a_program_that_logs_nothing_sends_nothing_and_ends_quickly(tmp_path: Path) -> None:
    with smtp_server() as (mailbox, port):
        result, seconds = run(tmp_path, "logger.warning('fine')", port)
        assert mailbox.mails == []
    assert (result.returncode, result.stderr) == (0, "")
    assert seconds < 3


def test_many_short_lives_lose_no_mail(tmp_path: Path) -> None:
    """The program ends at any point of the worker's first round."""
    with smtp_server() as (mailbox, port):
        for number in range(8):
            body = f"logger.error('x'); threading.Event().wait({number / 2_000})"
            run(tmp_path, body, port)
            assert len(mailbox.mails) == number + 1


def test_what_was_sent_is_not_sent_again_at_the_end(tmp_path: Path) -> None:
    with smtp_server() as (mailbox, port):
        run(tmp_path, "logger.error('x'); handler.flush(); handler.flush()", port)
        assert len(mailbox.mails) == 1


def test_with_the_server_down_the_text_is_on_standard_error(tmp_path: Path) -> None:
    result, seconds = run(tmp_path, "logger.error('the lost one')", free_port(), timeout=2)
    assert "tocsin: an alert mail was not sent:" in result.stderr
    assert "tocsin: this alert could not be mailed:\n\n[1x, 1 new] " in result.stderr
    assert seconds < 3


@pytest.mark.parametrize("sending", [True, False], ids=["while it sends", "before it sends"])
def test_with_a_silent_server_the_end_comes_in_time_and_the_text_is_told(
    tmp_path: Path, sending: bool
) -> None:
    with bare_server() as port:
        body = "logger.error('the stuck one'); threading.Event().wait(0.3)"
        policy = "{'group_wait': 0}" if sending else "None"
        result, seconds = run(tmp_path, body, port, timeout=1, policy=policy)
    assert "the stuck one" in result.stderr
    assert result.stderr.count("this alert could not be mailed") == 1
    assert seconds < 1 + 0.3 + 1.2  # exit_timeout, the program's own wait, Python and its start


def test_two_handlers_share_the_time_at_the_end(tmp_path: Path) -> None:
    with bare_server() as port:
        body = f"""
        second = AlertHandler(to="b@x.example", from_addr="a@x.example", exit_timeout=1,
                              email={{"host": "127.0.0.1", "port": {port}}})
        logger.addHandler(second)
        logger.error("both")
        atexit.register(lambda: print(time.monotonic()))
        """
        result, _ = run(tmp_path, body, port, timeout=1)
        seconds = time.monotonic() - float(result.stdout)
    assert result.stderr.count("this alert could not be mailed") == 2
    assert seconds < 1.9  # one after the other would take 2


def test_logging_from_a_signal_handler_and_a_finalizer_does_not_deadlock(tmp_path: Path) -> None:
    body = """
    class Odd:
        def __init__(self):
            self.me = self
        def __del__(self):
            logger.error("finalized")
    def handle(*_):
        logger.error("signalled")
        logger.critical("signalled urgently")
    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    gc.set_threshold(50)
    end = time.monotonic() + 1
    number = 0
    while time.monotonic() < end:
        Odd()
        number += 1
        logger.error("kind " + "abcdefgh"[number % 8])
        if number % 500 == 0:
            handler.flush()
    signal.setitimer(signal.ITIMER_REAL, 0)
    """
    with smtp_server() as (mailbox, port):
        result, _ = run(tmp_path, body, port, policy="{'repeat_after': 0}")
        assert result.returncode == 0, result.stderr
        assert mailbox.told > 100


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_child_that_was_forked_and_ends_sends_its_own_and_no_other(tmp_path: Path) -> None:
    body = """
    logger.error("of the parent")
    if os.fork() == 0:
        logger.error("of the child")
        sys.exit(0)
    os.wait()
    """
    with smtp_server() as (mailbox, port):
        run(tmp_path, body, port)
        texts = [str(mail.get_body(("plain",))) for mail in mailbox.mails]
    assert len(texts) == 2
    assert sum("of the parent" in text for text in texts) == 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_hands_over_at_its_end(tmp_path: Path, method: str) -> None:
    """Such a child runs no `atexit`, and no `logging.shutdown`."""
    body = f"""
    import multiprocessing
    def work():
        logger.error("of the child")
    if __name__ == "__main__":
        child = multiprocessing.get_context({method!r}).Process(target=work)
        child.start()
        child.join()
    """
    with smtp_server() as (mailbox, port):
        result, _ = run(tmp_path, body, port)
        assert len(mailbox.mails) == 1, result.stderr


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import tocsin", "smtplib ssl jinja2 sqlite3 redis tocsin.mail tocsin.handler"),
        ("from tocsin import AlertHandler", "jinja2 smtplib sqlite3 redis"),
    ],
)
def test_importing_loads_little(statement: str, unwanted: str) -> None:
    code = f"import sys; {statement}; print([n for n in {unwanted.split()} if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
