"""The mail of docs/mail.md and of the pictures: made by the code, from records of a shop.

As a command it prints the text, as docs/mail.md has it; with `pictures` it takes pictures.
"""

from __future__ import annotations

import datetime as dt
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.alerts import outcome
from tocsin.alerts.batch import Batch, receive
from tocsin.alerts.digest import Audience
from tocsin.alerts.outgoing import Report
from tocsin.alerts.policy import decide
from tocsin.alerts.settings import Policy
from tocsin.alerts.state import State
from tocsin.alerts.taking import take
from tocsin.cli.shop import PaymentError, shop
from tocsin.events.frames import OwnCode
from tocsin.mail.address import prepare_address
from tocsin.pipeline.context import Context
from tocsin.pipeline.intake import Intake
from tocsin.redact.redactor import Redactor
from tocsin.render.page import render
from tocsin.render.sender import Sender

if TYPE_CHECKING:
    from tocsin.mail.message import Message

HERE = Path(__file__).parent
CHROMIUM = "/usr/bin/chromium"
VIEWS = (("light", 760, False), ("dark", 760, True), ("phone", 390, False))
ZONE = dt.timezone(dt.timedelta(hours=2))
NIGHT = dt.datetime(2026, 5, 12, 2, 10, 3, 412_000, tzinfo=ZONE).timestamp()
POLICY = Policy()
HOSTS = (("web1", 4121), ("web2", 977), ("web3", 388))


class Night:
    """Three processes of a shop that log to one store."""

    def __init__(self) -> None:
        self.state = State()
        self.context = Context(3)
        self.sender = Sender(
            app="shop",
            environment="production",
            from_addr=prepare_address("Shop alerts <alerts@example.com>"),
            policy=POLICY,
        )
        self._intakes = {
            host: Intake(
                own=OwnCode(("shop",)),
                host=host,
                version="4.2.0",
                limit=500,
                urgent_level=logging.CRITICAL,
                redact=Redactor(),
                context=self.context,
            )
            for host, _ in HOSTS
        }

    def log(
        self,
        at: float,
        name: str,
        message: str,
        *args: object,
        host: int = 0,
        error: BaseException | None = None,
        level: int = logging.ERROR,
        **extra: object,
    ) -> None:
        """Let a process log something, some seconds after 02:10:03."""
        machine, pid = HOSTS[host]
        info = None if error is None else (type(error), error, error.__traceback__)
        path = f"/srv/shop/{name.replace('.', '/')}.py"
        record = logging.LogRecord(name, level, path, 61, message, args, info, "run")
        record.created, record.process, record.threadName = NIGHT + at, pid, "worker-7"
        record.taskName = None
        record.__dict__.update(extra)
        if level < logging.ERROR:
            self.context.note(record)
            return
        intake = self._intakes[machine]
        intake.add(record, None)
        receive(self.state, Batch(groups=intake.drain()), POLICY, NIGHT + at)

    def mail(self, at: float) -> Message:
        """Return the mail that goes then."""
        now = NIGHT + at
        outgoing = take(
            self.state,
            decide(self.state, POLICY, now),
            message_id=f"<{int(now)}.1@example.com>",
            policy=POLICY,
            now=now,
            audience=Audience(to=("oncall@example.com",)),
            owed=("oncall@example.com",),
        )
        name = outgoing.digest.message_id
        report = Report(message_id=name, accepted=outgoing.owed)
        outcome.report(self.state, report, POLICY, now)
        return render(outgoing.digest, self.sender, zone=ZONE)


def sample() -> Message:
    """Return the mail."""
    night = Night()
    with shop() as code:
        welcome = "Template %r not found"
        for minute in range(-149, -4, 4):
            night.log(60 * minute, "shop.mail", welcome, "welcome-de", article=minute)
        for minute in (-19, -12):
            night.log(60 * minute, "shop.stock", "Stock of %r is negative", "SKU-7")
        night.mail(-232)
        for second in range(-200, 8, 4):
            night.log(second, "shop.mail", welcome, "welcome-de")
        for number in range(27):
            night.log(-17 + number, "shop.stock", "Stock of %r is negative", "SKU-7")
        for number in range(41):
            order = 1001 + number
            if not number:
                night.log(-0.3, "shop.checkout", "POST /checkout order=1001", level=logging.INFO)
                night.log(-0.2, "shop.stock", "reserved 2 items", level=logging.INFO)
                night.log(-0.1, "gateway.client", "retry 3 of 3", level=logging.WARNING)
            try:
                code["get_response"](code["submit"], order)
            except PaymentError as error:
                night.log(
                    number / 4.1,
                    "shop.payments",
                    "Charging order %d failed",
                    order,
                    host=(0, 0, 1, 0, 0, 2)[number % 6],
                    error=error,
                    order_id=order,
                    card_token="tok_1Nv0" + "Fg2eZvKYlo2C",
                )
        return night.mail(10)


def text() -> str:
    """Return the mail as README shows it."""
    mail = sample()
    return (
        f"From: {mail.from_addr}\nTo: {mail.to[0]}\nSubject: {mail.subject}\n\n{mail.text}".rstrip()
        + "\n"
    )


def pictures(folder: Path) -> None:
    """Take the pictures: on a desk in light and dark, and on a phone."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - for the pictures only

    html = str(sample().html)
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, width, dark in VIEWS:
            page = browser.new_page(
                viewport={"width": width, "height": 844},
                color_scheme="dark" if dark else "light",
                device_scale_factor=1.5,
            )
            page.set_content(html)
            page.screenshot(path=folder / f"mail-{name}.png", full_page=name != "phone")
        browser.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["pictures"]:
        pictures(HERE)
    else:
        sys.stdout.write(text())
