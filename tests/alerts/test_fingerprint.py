"""What is remembered of records, how an identity is named, and that a fingerprint never changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from loggers import warned
from samples import caught, fingerprint, load_module, record

from tocsin.events.fingerprint import Fingerprints, Known
from tocsin.events.frames import OwnCode

if TYPE_CHECKING:
    import logging


class Shop:
    class Closed(Exception):  # noqa: N818 - an exception of a user's, with a name of its own
        pass


class Bank:
    class Closed(Exception):  # noqa: N818 - as above
        pass


app = load_module(
    "app.pay",
    "/srv/app/pay.py",
    "def go(error, depth=0):\n    if depth:\n        go(error, depth - 1)\n    raise error\n",
)


def go(error: BaseException, depth: int = 0) -> BaseException:
    """Return the error, raised in the application at some depth."""
    return caught(app["go"], error, depth)


def as_text(*lines: str) -> logging.LogRecord:
    """Return a record whose traceback came as text, ended by these lines."""
    made = record("no %s")
    made.exc_text = "\n".join(
        (
            "Traceback (most recent call last):",
            '  File "/srv/app/pay.py", line 7, in pay',
            "    raise error",
            *lines,
        )
    )
    return made


# Identities.

GOLDEN = {
    "ba4ee4127c9775b3": record("no %s left", "x", name="app.pay"),
    "34d54936e9a4159d": record(extra={"alert_group": "pay"}),
    "2a5fa7653f6cc6e2": record(exc=go(ValueError("x"))),
    "9532e3faace81138": record("no %s", "x", exc=ValueError("x")),
    "ee2ac4e32c60c583": as_text("app.errors.Closed: no"),
}


@pytest.mark.parametrize(("known", "made"), GOLDEN.items())
def test_a_fingerprint_is_the_same_in_later_versions(known: str, made: logging.LogRecord) -> None:
    """A store holds the fingerprints of before: a change makes each group that goes on new once."""
    assert fingerprint(made) == known


def test_an_exception_is_named_with_the_class_that_it_is_in() -> None:
    for error in (Shop.Closed(), go(Shop.Closed())):
        assert Fingerprints(OwnCode()).of(record(exc=error)).kind == "Shop.Closed"
    grouped = go(ExceptionGroup("several", [Shop.Closed()]))
    assert Fingerprints(OwnCode()).of(record(exc=grouped)).kind == "Shop.Closed"


def test_exceptions_of_one_name_in_different_classes_are_apart() -> None:
    assert fingerprint(record(exc=Shop.Closed())) != fingerprint(record(exc=Bank.Closed()))
    assert fingerprint(record(exc=go(Shop.Closed()))) != fingerprint(record(exc=go(Bank.Closed())))


def test_an_exception_that_was_never_raised_is_one_of_its_logger() -> None:
    one, other = (record("no", exc=ValueError(), name=name) for name in ("app.pay", "app.stock"))
    assert fingerprint(one) != fingerprint(other)


def test_an_exception_that_came_as_text_is_named_without_its_module() -> None:
    assert Fingerprints(OwnCode()).of(as_text("app.errors.Closed: no")).kind == "Closed"


# What is remembered.


def is_remembered(*made: logging.LogRecord) -> bool:
    """Whether the identity of the last record is found again, and not made again."""
    remembering = Fingerprints(OwnCode())
    for one in made:
        identity = remembering.of(one)
    return remembering.of(made[-1]) is identity


@pytest.mark.parametrize(("length", "remembered"), [(300, True), (301, False)])
def test_a_message_of_usual_length_is_remembered(length: int, remembered: bool) -> None:
    assert is_remembered(record("x" * length)) is remembered
    assert is_remembered(record("another"), record("x" * length)) is remembered


@pytest.mark.parametrize(("frames", "remembered"), [(61, True), (62, False)])
def test_a_traceback_of_usual_depth_is_remembered(frames: int, remembered: bool) -> None:
    """The frames, with the level, the logger and the type, are 64 at most."""
    error = go(ValueError("x"), frames - 2)  # one frame is of `caught`, one of the first call
    assert is_remembered(record(exc=error)) is remembered
    assert is_remembered(record(exc=go(ValueError())), record(exc=error)) is remembered


def test_a_traceback_as_text_is_remembered_without_the_text_of_its_exception() -> None:
    """A log of a million such errors is replayed in seconds."""
    remembering = Fingerprints(OwnCode())
    first: Any = remembering.of(as_text("shop.Closed: order 5"))
    assert remembering.of(as_text("shop.Closed: order 6")) is first
    assert remembering.of(as_text("shop.Closed")) is first
    other = as_text("shop.Closed: order 5")
    other.name = "shop"
    assert remembering.of(other) is not first
    other.levelno = 50
    assert remembering.of(other).fingerprint != first.fingerprint


def test_messages_of_one_exception_without_frames_are_kept_apart() -> None:
    remembering = Fingerprints(OwnCode())
    for message in ("no ink", "no paper"):
        made = record(message)
        made.exc_text = "shop.Closed: no"
        assert remembering.of(made).kind == message


def test_tracebacks_as_text_of_one_message_are_kept_apart() -> None:
    remembering = Fingerprints(OwnCode())
    found = {remembering.of(as_text(f"{name}: no")).kind for name in ("KeyError", "OSError")}
    assert found == {"KeyError", "OSError"}


def test_warnings_are_kept_apart() -> None:
    """Before Python 3.11 all had the message "%s"; some programs still log them like that."""
    remembering = Fingerprints(OwnCode())
    printed = "/srv/app/pay.py:7: UserWarning: it is {}\n  pay()\n"
    for made in (
        [warned("it is old"), warned("it is slow")],
        [record("%s", printed.format(word), name="py.warnings") for word in ("old", "slow")],
    ):
        assert len({remembering.of(one).fingerprint for one in made}) == 2


def test_ten_thousand_are_remembered_and_then_it_begins_again() -> None:
    remembering = Fingerprints(OwnCode())
    made = [record(f"{chr(0x4E00 + number)}") for number in range(10_001)]
    first: Any = remembering.of(made[0])
    for one in made[1:10_000]:
        remembering.of(one)
    assert remembering.of(made[0]) is first
    remembering.of(made[10_000])
    assert remembering.of(made[0]) is not first


def test_a_place_that_a_framework_knows_is_the_place() -> None:
    fingerprints = Fingerprints(OwnCode())
    first = fingerprints.of(record(extra={"alert_group": Known("TimeLimitExceeded", "shop.bill")}))
    other = fingerprints.of(record(extra={"alert_group": Known("TimeLimitExceeded", "shop.ship")}))
    assert first[1:] == ("TimeLimitExceeded", "shop.bill", False)
    assert first.fingerprint != other.fingerprint
