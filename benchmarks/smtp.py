"""The SMTP client against its peers, in one run: `make bench-smtp`, or a short form with `--short`.

The server is Postfix's `smtp-sink` (a C program that accepts everything and offers PIPELINING),
where it is installed, else the project's own scripted server in a process of its own. Slow lines
are made by link.py. Printed are seconds and ratios; what is over its budget is marked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import shutil
import smtplib  # noqa: TID251 - a peer
import socket
import subprocess
import sys
import time
from email.message import EmailMessage
from functools import partial
from typing import TYPE_CHECKING, Any

import aiosmtplib
import django.conf
import django.core.mail
import email_simplified
from email_simplified.handlers.smtp import SMTPEmailHandler as SimplifiedHandler
from redmail.email.sender import EmailSender

import tocsin
from link import Link
from tocsin.mail.envelope import envelopes

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

DELAY = 0.04  # seconds each way
ROUND_TRIP = 2 * DELAY
FROM = "alerts@example.com"
MANY = 500  # recipients, where the pipelined client has to be 50 times as fast as smtplib
MOST_TRIPS = 4
TRIPS_A_MESSAGE = 1.1
TRIPS_IN_STEP = 2.2  # with a server of which it isn't known what it bears


@contextlib.contextmanager
def sink() -> Generator[int]:
    """Run a server on loopback; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    program = shutil.which("smtp-sink", path=f"{os.defpath}:/usr/sbin:/usr/local/sbin")
    if program:
        command = [program, *(["-u", "nobody"] if os.getuid() == 0 else [])]
        command += [f"127.0.0.1:{port}", "100"]
    else:
        command = [sys.executable, "-m", "tocsin.testing", str(port)]
    process = subprocess.Popen(command)
    try:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def recipients(count: int) -> list[str]:
    """Return so many addresses."""
    return [f"person.{number}@example.com" for number in range(count)]


def mime(to: list[str]) -> EmailMessage:
    """Return a small alert as the standard library has it."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = FROM, ", ".join(to), "shop: 12 errors"
    message.set_content("PaymentError: card gateway refused the connection\n" * 5)
    return message


TEXT = "PaymentError: card gateway refused the connection\n" * 5


def with_tocsin(port: int, mails: list[list[str]], *, ahead: bool | None = True) -> None:
    """Send a mail to each list of recipients, over one connection.

    The server bears the next message's commands behind the final dot, as Postfix does, but it
    doesn't greet as Postfix: so the option says it. Without the option, the reply is awaited.
    """
    handler = tocsin.SMTPEmailHandler(
        host="127.0.0.1", port=port, default_from=FROM, pipeline_messages=ahead
    )
    handler.send([tocsin.Message(to=to, subject="shop: 12 errors", text=TEXT) for to in mails])


def with_smtplib(port: int, mails: list[list[str]]) -> None:
    """Use the standard library."""
    with smtplib.SMTP("127.0.0.1", port, local_hostname="localhost") as client:
        for to in mails:
            client.send_message(mime(to))


def with_simplified(port: int, mails: list[list[str]]) -> None:
    """Use email-simplified."""
    handler = SimplifiedHandler(host="127.0.0.1", port=port, default_from=FROM)
    handler.send(
        [
            email_simplified.Message(to=list(to), subject="shop: 12 errors", text=TEXT)
            for to in mails
        ]
    )


def with_redmail(port: int, mails: list[list[str]]) -> None:
    """Use Red Mail."""
    sender = EmailSender(
        host="127.0.0.1", port=port, use_starttls=False, local_hostname="localhost"
    )
    with sender:
        for to in mails:
            sender.send(subject="shop: 12 errors", sender=FROM, receivers=to, text=TEXT)


def with_django(port: int, mails: list[list[str]]) -> None:
    """Use Django."""
    connection = django.core.mail.get_connection(host="127.0.0.1", port=port)
    connection.send_messages(
        [django.core.mail.EmailMessage("shop: 12 errors", TEXT, FROM, to) for to in mails]
    )


def with_aiosmtplib(port: int, mails: list[list[str]]) -> None:
    """Use aiosmtplib."""

    async def send() -> None:
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, local_hostname="localhost")
        async with client:
            for to in mails:
                await client.send_message(mime(to))

    asyncio.run(send())


CLIENTS: dict[str, Callable[[int, list[list[str]]], None]] = {
    "tocsin": with_tocsin,
    "smtplib": with_smtplib,
    "email-simplified": with_simplified,
    "Red Mail": with_redmail,
    "Django": with_django,
    "aiosmtplib": with_aiosmtplib,
}


UNKNOWN = "tocsin, unknown"
IN_STEP: dict[str, Callable[[int, list[list[str]]], None]] = {
    UNKNOWN: partial(with_tocsin, ahead=None)
}


def timed(work: Callable[[], Any], *, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds that something takes."""
    gc.collect()
    started = clock()
    work()
    return clock() - started


class Table:
    """Rows of figures, and whether each is within its budget."""

    def __init__(self) -> None:
        self.missed = 0

    def title(self, text: str) -> None:
        """Start a part."""
        print(f"\n{text}")

    def row(self, name: str, figure: str, *, within: bool | None = None) -> None:
        """Print a line; with a verdict where there is a budget."""
        verdict = {None: "", True: "  within budget", False: "  OVER BUDGET"}[within]
        self.missed += within is False
        print(f"  {name:<18} {figure}{verdict}", flush=True)


def slow_line(table: Table, port: int, mails: list[list[str]], *, to_all: bool, times: int) -> None:
    """Compare over a line of 40 ms each way; print seconds and round trips, the best of `times`."""
    clients = CLIENTS if to_all else {**CLIENTS, **IN_STEP}
    with Link(port, delay=DELAY) as link:
        figures = {
            name: min(timed(partial(send, link.port, mails)) for _ in range(times))
            for name, send in clients.items()
        }
    base = figures["smtplib"]
    for name, seconds in figures.items():
        trips = seconds / ROUND_TRIP
        within = None
        if name == "tocsin" and to_all:
            within = trips <= MOST_TRIPS and (len(mails[0]) < MANY or seconds <= base / 50)
        elif name in {"tocsin", UNKNOWN}:
            # The greeting, EHLO and the first envelope are the connection's.
            most = TRIPS_A_MESSAGE if name == "tocsin" else TRIPS_IN_STEP
            within = (trips - 3) / len(mails) <= most
        figure = f"{seconds:7.2f} s {trips:7.1f} round trips  {seconds / base:6.3f} x smtplib"
        table.row(name, figure, within=within)


def throughput(table: Table, port: int, count: int) -> None:
    """Compare messages a second over one loopback connection."""
    mails = [["oncall@example.com"]] * count
    best: dict[str, float] = {}
    for _ in range(3):  # in turn, so that a busy moment is everybody's
        for name, send in CLIENTS.items():
            rate = count / timed(partial(send, port, mails))
            best[name] = max(best.get(name, 0), rate)
    for name, rate in best.items():
        within = None
        if name == "tocsin":
            rivals = ("email-simplified", "Red Mail", "Django")
            within = all(rate >= 2 * best[rival] for rival in rivals)
        table.row(name, f"{rate:9,.0f} messages/s  {rate / best['tocsin']:6.2f}", within=within)


def rendering(table: Table) -> None:
    """Compare the CPU time for one message to 1,000 recipients in 20 batches."""
    to = recipients(1000)

    def ours() -> None:
        message = tocsin.Message(to=to, from_addr=FROM, subject="shop: 12 errors", text=TEXT)
        envelopes(message)[0].data()  # once, for all batches

    def theirs() -> None:
        message = email_simplified.Message(
            to=list(to), from_addr=FROM, subject="shop: 12 errors", text=TEXT
        )
        made = message.to_mime()
        for _ in range(20):
            made.as_bytes()

    us = min(timed(ours, clock=time.process_time) for _ in range(5))
    them = min(timed(theirs, clock=time.process_time) for _ in range(2))
    table.row("tocsin", f"{us * 1e3:8.1f} ms", within=us <= them / 10)
    table.row("email-simplified", f"{them * 1e3:8.1f} ms  {them / us:.0f} x")


def main() -> int:
    """Print the table; return how many rows are over budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="small numbers, for CI")
    short = parser.parse_args().short
    django.conf.settings.configure(EMAIL_TIMEOUT=60, USE_TZ=True)
    table = Table()
    times = 3 if short else 1
    with sink() as port:
        for send in CLIENTS.values():  # what loads at the first use is not what is measured
            send(port, [recipients(1)])
        for count in (1, 20) if short else (1, 100, 500):
            table.title(f"One message to {count} recipients, {DELAY * 1e3:.0f} ms each way")
            slow_line(table, port, [recipients(count)], to_all=True, times=times)
        count = 10 if short else 100
        table.title(f"{count} messages to one recipient each, {DELAY * 1e3:.0f} ms each way")
        slow_line(table, port, [["oncall@example.com"]] * count, to_all=False, times=1)
        count = 200 if short else 1000
        table.title(f"{count} small messages over one loopback connection, best of 3")
        throughput(table, port, count)
    table.title("CPU time: one message to 1,000 recipients, built and rendered for 20 batches")
    rendering(table)
    return table.missed


if __name__ == "__main__":
    sys.exit(main())
