"""A day in the life of a shop, in simulated time: what goes wrong, and the mails that tell it.

`make demo` runs it after its live part. Nothing is sent, and nobody waits: `simulate` asks the
policy what it would have done. It fails if an error is counted in no mail, or in two.
"""

from __future__ import annotations

import datetime as dt
import logging
import sys
from typing import TYPE_CHECKING

from tocsin.testing import simulate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.testing import SimulatedMail

DAY = dt.datetime(2026, 5, 12).astimezone()
TABLES = ("orders", "customers", "articles", "prices", "stock", "baskets", "invoices", "returns")
MOST_MAILS = 40


def at(clock: str) -> float:
    """Return a time of the day, in seconds."""
    hours, minutes = clock.split(":")
    return DAY.timestamp() + int(hours) * 3600 + int(minutes) * 60


def record(
    logger: str, message: str, *args: object, level: int = logging.ERROR
) -> logging.LogRecord:
    """Return what a logger makes of a call; with the exception that is being handled."""
    info = sys.exc_info()
    found = info if info[0] is not None else None
    return logging.LogRecord(logger, level, __file__, 1, message, args, found, "handle")


def total(basket: dict[str, int]) -> int:
    """Add up a basket, as the new release does it: with a name that the old data doesn't have."""
    return basket["price"] * basket["quantity"]


def every(seconds: float, begin: str, end: str) -> Iterator[float]:
    """Yield times of the day."""
    time = at(begin)
    while time < at(end):
        yield time
        time += seconds


def slow_burn() -> Iterator[tuple[float, logging.LogRecord]]:
    """An article is out of stock, all day long: once in twenty minutes somebody wants it."""
    for time in every(20 * 60, "0:07", "24:00"):
        yield time, record("shop.stock", "Stock of %r is negative", "SKU-7")


def deploy() -> Iterator[tuple[float, logging.LogRecord]]:
    """A release goes wrong at 9:12, and is taken back at 9:40."""
    for number, time in enumerate(every(0.4, "9:12", "9:40")):
        try:
            total({"amount": number, "quantity": 1})
        except KeyError:
            yield time, record("shop.basket", "Could not add up basket %d", number)


def storm() -> Iterator[tuple[float, logging.LogRecord]]:
    """The database is gone for four minutes: everything fails that needs it."""
    for number, time in enumerate(every(0.02, "13:30", "13:34")):
        table = TABLES[number % len(TABLES)]
        yield time, record(f"shop.{table}", "No connection for %s %d", table, number)


def letters() -> Iterator[tuple[float, logging.LogRecord]]:
    """A letter fails now and then, until at 16:20 all of them do."""
    for seconds, begin, end in ((300, "10:01", "16:20"), (0.2, "16:20", "16:25")):
        for time in every(seconds, begin, end):
            yield time, record("shop.mail", "Template %r not found", "welcome-de")


def disk() -> Iterator[tuple[float, logging.LogRecord]]:
    """The disk is full, once; that is CRITICAL, and nobody waits to tell it."""
    yield at("21:03"), record("shop.backup", "The disk is full", level=logging.CRITICAL)


def show(mail: SimulatedMail) -> None:
    """Print a mail: when, why, its subject, and how things stand."""
    lines = str(mail.message.text).splitlines()
    standing = next(line for line in lines if "In this mail" in line)
    time = dt.datetime.fromtimestamp(mail.time).astimezone()
    print(f"{time:%H:%M:%S}  {mail.reason:<5}  {mail.subject}\n{standing.strip():>16}")


def main() -> str | None:
    """Show the day; return what is wrong with it, or None."""
    records = [*slow_burn(), *deploy(), *storm(), *letters(), *disk()]
    records.sort(key=lambda pair: pair[0])
    mails = simulate(records, app="shop", environment="production")
    for mail in mails:
        show(mail)
    counted = sum(sum(mail.counts.values()) for mail in mails)
    print(f"the day: {len(records)} errors, {len(mails)} mails, {len(records) - counted} uncounted")
    if len(mails) > MOST_MAILS or counted != len(records):
        return "that is not as it should be"
    return None


if __name__ == "__main__":
    sys.exit(main())
