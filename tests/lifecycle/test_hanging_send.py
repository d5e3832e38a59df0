"""While a mail is being sent, nothing that is logged waits for it: it is handed over and merged."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from lives import FILE, Stage

from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with Stage.open(tmp_path_factory) as one:
        yield one


LOGS_WHILE_IT_SENDS = """
import tocsin.pipeline.sending

log.critical("mark-first")
until(lambda: tocsin.pipeline.sending._sending)
for number in range(9):
    log.error("mark-%s", "abcdefghi"[number])
"""


def test_what_is_logged_while_a_send_hangs_survives_the_process(stage: Stage) -> None:
    """The server takes EHLO and stays silent, for up to 5 minutes; the process is killed."""
    with ScriptedSMTPServer({"MAIL": Act.SILENCE}) as silent:
        result = stage.run(
            "hangs",
            f"""{LOGS_WHILE_IT_SENDS}
until(lambda: alerts().stats.handed_over == 10, seconds=5)
until(lambda: alerts().stats.store.received == 10, seconds=5)
os.kill(os.getpid(), signal.SIGKILL)
""",
            FILE,
            options={"email": {"host": "127.0.0.1", "port": silent.port}},
        )
    assert result.code == -signal.SIGKILL, result.error
    assert stage.counted("hangs") == 9  # the first one may be on its way, and is claimed
    assert "mark-first" not in result.error


def test_what_is_urgent_is_handed_over_at_once_while_a_send_hangs(stage: Stage) -> None:
    with ScriptedSMTPServer({"MAIL": Act.SILENCE}) as silent:
        result = stage.run(
            "urgent",
            """
            import tocsin.pipeline.sending

            log.critical("mark-first")
            until(lambda: tocsin.pipeline.sending._sending)
            log.error("mark-second")  # one that comes when all was idle doesn't wait
            until(lambda: alerts().stats.handed_over == 2)
            started = time.monotonic()
            log.critical("mark-third")
            until(lambda: alerts().stats.handed_over == 3)
            print(time.monotonic() - started, flush=True)
            os._exit(0)
            """,
            FILE,
            options={"email": {"host": "127.0.0.1", "port": silent.port}},
        )
    assert result.code == 0, result.error
    assert float(result.out) < 0.5


def test_another_process_decides_and_sends_while_a_send_hangs(stage: Stage) -> None:
    with ScriptedSMTPServer({"MAIL": Act.SILENCE}) as silent:
        result = stage.run(
            "others",
            f"""{LOGS_WHILE_IT_SENDS}
import subprocess
until(lambda: alerts().stats.handed_over == 10, seconds=5)
options = dict(CONFIG["handlers"]["alerts"], name="alerts")
options["email"] = {{"host": "127.0.0.1", "port": {stage.server.port}}}
del options["class"]
program = f"from tocsin import AlertHandler; AlertHandler(**{{options}}).send_now(10)"
subprocess.run([sys.executable, "-c", program], check=True)
os._exit(0)
""",
            FILE,
            options={"email": {"host": "127.0.0.1", "port": silent.port}},
            again=False,
        )
    assert result.code == 0, result.error
    assert stage.counted("others") == 9
