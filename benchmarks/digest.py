"""What a mail about 500 kinds of errors costs to build, against peers: `make bench-digest`.

Printed is a Markdown table, the best of several runs. The records exist; what is measured begins
with the first one and ends with the bytes that would be sent.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from typing import TYPE_CHECKING, Any

from redmail.email.sender import EmailSender
from redmail.log import MultiEmailHandler

from tocsin.alerts.batch import Batch, receive
from tocsin.alerts.codec import dump, load
from tocsin.alerts.digest import Audience
from tocsin.alerts.policy import Urgency, decide
from tocsin.alerts.state import State
from tocsin.alerts.taking import take
from tocsin.events.frames import OwnCode
from tocsin.mail.address import prepare_address
from tocsin.pipeline.intake import Intake
from tocsin.redact.redactor import Redactor
from tocsin.render.page import render
from tocsin.render.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import EmailMessage

GROUPS = 500


def records(count: int) -> list[logging.LogRecord]:
    """Return errors of so many kinds, each with a traceback of its own place."""
    made: list[logging.LogRecord] = []
    for number in range(count):
        names: dict[str, Any] = {"__name__": f"shop.part{number}"}
        source = f"def fail():\n    raise ValueError('part {number}')\n"
        exec(compile(source, f"/srv/shop/part{number}.py", "exec"), names)  # noqa: S102 - as above
        try:
            names["fail"]()
        except ValueError as error:
            info = (type(error), error, error.__traceback__)
            made.append(
                logging.LogRecord("shop", 40, "/srv/shop/x.py", 7, "part %d", (number,), info)
            )
    return made


class Ours:
    """The stages that a record goes through, without a thread."""

    def __init__(self, made: list[logging.LogRecord]) -> None:
        self._records = made
        self._sender = Sender(
            app="shop", environment="", from_addr=prepare_address("alerts@example.com")
        )
        self.times: dict[str, float] = {}

    def build(self) -> bytes:
        """Return the mail, and note what each stage takes."""
        policy = self._sender.policy
        intake = Intake(
            own=OwnCode(), host="web1", limit=GROUPS, urgent_level=50, redact=Redactor()
        )
        began = time.perf_counter()
        for record in self._records:
            intake.add(record, None)
        logged = time.perf_counter()
        batch = dump(Batch(groups=intake.drain()))
        drained = time.perf_counter()
        state = State()
        receive(state, load(Batch, batch), policy, 0)
        decision = decide(state, policy, 0, Urgency.EXIT)
        outgoing = take(
            state,
            decision,
            message_id="<1@example.com>",
            policy=policy,
            now=0,
            audience=Audience(to=("ops@example.com",)),
            owed=("ops@example.com",),
        )
        dump(state)
        taken = time.perf_counter()
        mail = render(outgoing.digest, self._sender).to_mime().as_bytes()
        ended = time.perf_counter()
        for name, spent in (
            ("logging 500 records", logged - began),
            ("texts, lines of code, secrets", drained - logged),
            ("merging, deciding, the state as JSON", taken - drained),
            ("the mail: text, HTML, bytes", ended - taken),
        ):
            self.times[name] = min(spent, self.times.get(name, spent))
        return mail


class Posted(EmailSender):
    """Makes mails and sends none."""

    def send_message(self, msg: EmailMessage) -> None:
        """Keep its bytes for no longer than they take to make."""
        msg.as_bytes()


def red_mail(made: list[logging.LogRecord]) -> object:
    """Build one mail of all records, as its handler for several does."""
    handler = MultiEmailHandler(
        capacity=1 << 30,
        email=Posted(host="localhost", port=25),
        subject="errors",
        sender="alerts@example.com",
        receivers=["ops@example.com"],
    )
    handler.setFormatter(logging.Formatter())
    for record in made:
        record.exc_text = None  # what another one has made of it
        handler.emit(record)
    handler.flush()  # type: ignore[no-untyped-call] # it has no types
    return handler


def best(function: Callable[[], object], runs: int) -> float:
    """Return the shortest of several times, in seconds."""
    times: list[float] = []
    for _ in range(runs):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer runs")
    runs = 3 if parser.parse_args().short else 15
    made = records(GROUPS)
    ours = Ours(made)
    total = best(ours.build, runs)
    other = best(lambda: red_mail(made), runs)
    print(f"| one mail about {GROUPS} kinds of errors | ms |\n|---|---|")
    for name, spent in ours.times.items():
        print(f"| - {name} | {spent * 1e3:.1f} |")
    print(f"| Tocsin, all together ({len(ours.build()):,} bytes) | {total * 1e3:.1f} |")
    print(f"| Red Mail, `MultiEmailHandler` | {other * 1e3:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
