"""What is logged at odd moments: by finalizers, at the interpreter's end, around a fork."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading

import pytest
from parts import worker_of

from tocsin import AlertHandler, Message, SMTPEmailHandler, TestEmailHandler
from tocsin.testing import ScriptedSMTPServer


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program; one that hangs is an error."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_a_finalizer_that_logs_while_the_interpreter_ends_does_not_hang() -> None:
    """No thread starts any more then: a start would wait for ever."""
    done = run(
        """
        import logging
        from tocsin import AlertHandler, TestEmailHandler

        email = TestEmailHandler()
        handler = AlertHandler(to="o@example.com", from_addr="a@example.com", email=email)
        log = logging.getLogger("late")
        log.addHandler(handler)

        class Late:
            def __del__(self):
                log.error("in a finalizer")

        keep = Late()
        log.error("normal")
        """
    )
    assert done.returncode == 0, done.stderr


def test_a_server_slower_than_the_end_costs_no_error_and_tells_the_alert_once() -> None:
    """The waiter gives up while the worker still waits for the final dot's reply."""
    answer = threading.Event()
    with ScriptedSMTPServer({".": (answer, "250 ok")}) as server:
        done = run(
            f"""
            import logging
            from tocsin import AlertHandler

            handler = AlertHandler(
                to="o@example.com", from_addr="a@example.com",
                email={{"host": "127.0.0.1", "port": {server.port}}}, exit_timeout=0.3,
            )
            logging.getLogger("late").addHandler(handler)
            logging.getLogger("late").error("nobody hears it")
            """
        )
        answer.set()
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "LeaseLost" not in done.stderr
    assert done.stderr.count("could not be mailed") == 1


@pytest.mark.parametrize("timeout", [0, 0.001])
def test_no_time_at_the_end_is_no_error(timeout: float) -> None:
    for _ in range(3):
        done = run(
            f"""
            import logging
            from tocsin import AlertHandler

            handler = AlertHandler(
                to="o@example.com", from_addr="a@example.com",
                email={{"host": "127.0.0.1", "port": 3}}, exit_timeout={timeout},
            )
            logging.getLogger("late").addHandler(handler)
            logging.getLogger("late").error("nobody hears it")
            """
        )
        assert done.returncode == 0
        assert "Traceback" not in done.stderr
        assert done.stderr.count("could not be mailed") == 1


def test_what_a_finalizer_logs_while_a_round_runs_is_counted() -> None:
    """The collector may run it in any thread; only what sending itself logs is left out."""
    email = TestEmailHandler()
    handler = AlertHandler(to="o@example.com", from_addr="a@example.com", email=email)
    log = logging.getLogger("late.round")
    log.addHandler(handler)

    class Late:
        def __del__(self) -> None:
            log.error("in a finalizer")

    merge = worker_of(handler).round.journal._merge

    def collecting(*args: object) -> object:
        gc.collect()
        return merge(*args)  # type: ignore[arg-type] # whatever it takes

    worker_of(handler).round.journal._merge = collecting  # type: ignore[method-assign, assignment]
    try:
        cycle = [Late()]
        cycle.append(cycle)  # type: ignore[arg-type]
        del cycle
        log.error("normal")
        handler.flush()
        handler.close()
    finally:
        log.removeHandler(handler)
    assert handler.stats.seen == 2
    counts = [
        int(mail.headers["X-Tocsin-Count"]) for mail in email.outbox if isinstance(mail, Message)
    ]
    assert sum(counts) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("delay", [0, 5, 10, 20, 40, 80])
def test_a_fork_while_the_worker_imports_leaves_the_child_able_to_send(delay: int) -> None:
    """A child has no use for an import lock whose holder it doesn't have."""
    with ScriptedSMTPServer() as server:
        done = run(
            f"""
            import logging, os, threading, warnings
            from tocsin import AlertHandler

            warnings.simplefilter("ignore", DeprecationWarning)
            handler = AlertHandler(
                to="o@example.com", from_addr="a@example.com",
                email={{"host": "127.0.0.1", "port": {server.port}}},
                policy={{"group_wait": 0}}, exit_timeout=3,
            )
            log = logging.getLogger("late")
            log.addHandler(handler)
            log.error("parent")
            threading.Event().wait({delay / 1000})
            child = os.fork()
            if child == 0:
                log.error("child")
                handler.close()
                os._exit(0)
            os.waitpid(child, 0)
            """
        )
        assert done.returncode == 0, done.stderr
        texts = [message.data for message in server.messages]
        assert sum(b"child" in text for text in texts) == 1
        assert sum(b"parent" in text for text in texts) == 1


def test_a_refused_login_is_told_with_host_user_and_hint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ScriptedSMTPServer(accounts={"u": "right"}) as server:
        handler = AlertHandler(
            to="o@example.com",
            from_addr="a@example.com",
            email=SMTPEmailHandler(
                host="127.0.0.1", port=server.port, username="u", password="wrong"
            ),
        )
        log = logging.getLogger("late.login")
        log.addHandler(handler)
        log.error("boom")
        handler.flush()
        said = capsys.readouterr().err
        handler.close()
        log.removeHandler(handler)
    assert f"127.0.0.1:{server.port}: login of 'u' by PLAIN failed: 535" in said
    assert said.endswith("; it will be tried again\n")
    assert "it will be tried again" not in capsys.readouterr().err
