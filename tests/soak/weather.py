"""A mail server in bad weather: it hangs up, defers, forgets to answer; and who sends is killed.

A process greets the server with its number, so that the one which is sending can be killed at the
very point: before the message is taken, after it was taken and before the answer, or just after.
"""

from __future__ import annotations

import functools
import random
import re
import threading
from typing import TYPE_CHECKING

from tocsin.testing import Act

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.testing import SMTPConnection
    from tocsin.testing.script import Action, Script

# Of a hundred, how many times what happens at a stage.
MOODS: dict[str, tuple[tuple[int, Action], ...]] = {
    "connect": ((2, ("421 4.3.2 going down", Act.CLOSE)), (1, Act.RESET)),
    "MAIL": ((2, "451 4.3.0 later"), (1, ("421 4.3.2 going down", Act.CLOSE)), (1, Act.RESET)),
    "RCPT": ((2, "450 4.2.1 later"),),
    "DATA": ((2, "451 4.3.0 later"), (2, Act.CLOSE)),
    ".": (
        (3, "451 4.3.0 later"),
        (2, ("421 4.3.2 going down", Act.CLOSE)),
        (3, Act.CLOSE),
        (5, (Act.ACCEPT, Act.CLOSE)),
        (2, (Act.ACCEPT, Act.RESET)),
    ),
}
FULL = 12  # of a hundred, how many times the second recipient's mailbox is
NAME = re.compile(r"EHLO pid-(\d+)\.")


class Weather:
    """What happens at each stage of a conversation.

    Args:
        seed: of the chances.
        kill: kills a process, if it is one of the test's.

    Attributes:
        script: for the server.
        aims: how many senders are to be killed.
        fine: whether all goes well from now on.
    """

    def __init__(self, seed: int, kill: Callable[[int], None]) -> None:
        self.script: Script = {stage: functools.partial(self._answer, stage) for stage in MOODS}
        self.aims = 0
        self.fine = False
        self._chance = random.Random(seed)
        self._kill = kill
        self._lock = threading.Lock()

    def _answer(self, stage: str, command: str, connection: SMTPConnection) -> Action | None:
        with self._lock:
            if self.fine:
                return None
            if self.aims > 0 and stage != "connect" and self._chance.random() < 0.4:
                self.aims -= 1
                return self._strike(stage, connection)
            if stage == "RCPT" and "<b@" in command and self._chance.randrange(100) < FULL:
                return "452 4.2.2 the mailbox is full"
            drawn = self._chance.randrange(100)
            for share, action in MOODS[stage]:
                drawn -= share
                if drawn < 0:
                    return action
            return None

    def _strike(self, stage: str, connection: SMTPConnection) -> Action | None:
        """Kill who sends, before, after or while the server does what it would have done."""
        found = [match for line in connection.commands if (match := NAME.match(line))]
        if not found:
            return None
        pid = int(found[-1][1])
        if self._chance.random() < 0.5:
            later = threading.Timer(self._chance.expovariate(200), self._kill, (pid,))
            later.daemon = True
            later.start()
            return None
        self._kill(pid)
        kept = stage == "." and self._chance.random() < 0.5
        return (Act.ACCEPT, Act.CLOSE) if kept else Act.CLOSE
