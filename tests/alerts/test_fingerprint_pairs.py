"""Which records belong together, as pairs: what differs, and why that does or doesn't tell them
apart.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import json
import logging
import subprocess
import sys
import textwrap
import time
import traceback
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from loggers import (
    adapted,
    as_json,
    as_keys,
    from_a_process,
    outside,
    queued,
    refuse,
    sent,
    structured,
    warned,
    with_loguru,
)
from samples import LIBRARY, NOW, caught, fingerprint, load_module, record

from tocsin.events.fingerprint import Fingerprints, fold
from tocsin.events.frames import OwnCode
from tocsin.redact.base import NoSecrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Pair = Callable[[], tuple[logging.LogRecord, logging.LogRecord]]

R = record


class Awkward:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def fail(value: object = "x") -> None:
    raise ValueError(value)


def fail_otherwise(value: object = "x") -> None:
    raise ValueError(value)


def fail_by_key(value: object = "x") -> None:
    raise KeyError(value)


def fail_by_system(number: int) -> None:
    raise OSError(number, "no")


def sink(depth: int) -> None:
    if depth:
        sink(depth - 1)
    raise RecursionError("too deep")


def endless(depth: int) -> None:
    endless(depth + 1)


def start(depth: int) -> None:
    if depth:
        start(depth - 1)
    endless(0)


def chained(first: BaseException) -> None:
    try:
        raise first
    except BaseException as error:
        raise ValueError("second") from error


def handling(first: BaseException) -> None:
    try:
        raise first
    except BaseException:  # noqa: BLE001 - any kind is wanted
        raise ValueError("second")  # noqa: B904 - that is the case


def grouped(*members: Exception) -> None:
    raise ExceptionGroup("several", members)


def raised(kind: type[BaseException], *args: Any) -> None:
    raise kind(*args)


def comprehension(values: list[int]) -> list[float]:
    return [1 / value for value in values]


def generator(values: list[int]) -> Iterator[float]:
    yield from (1 / value for value in values)


class Shop:
    def pay(self) -> None:
        raise ValueError(self)

    @property
    def total(self) -> int:
        raise ValueError(self)

    @classmethod
    def open(cls) -> None:
        raise ValueError(cls)


class Branch(Shop):
    pass


class Other(Shop):
    def pay(self) -> None:
        raise ValueError(self)


def wrapped(function: Callable[[], None]) -> Callable[[], None]:
    @functools.wraps(function)
    def wrapper() -> None:
        function()

    return wrapper


@wrapped
def decorated() -> None:
    fail()


@wrapped
def decorated_too() -> None:
    fail_otherwise()


def nested(which: int) -> None:
    def one() -> None:
        raise ValueError

    def two() -> None:
        raise ValueError

    (one, two)[which]()


async def request(value: object, *, deep: bool = False) -> None:
    await asyncio.sleep(0)
    if deep:
        await request(value)
    raise ValueError(value)


async def in_a_task_group(value: object) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(request(value))


library = load_module(
    "driver", f"{LIBRARY}/driver.py", "def query(text):\n    raise OSError(text)\n"
)


def pay() -> None:
    library["query"]("insert")


def refund() -> None:
    library["query"]("delete")


def nowhere(kind: type[BaseException] = ValueError) -> BaseException:
    return kind("never raised")


def executed(source: str, name: str = "app.rules") -> BaseException:
    return caught(load_module(name, "<string>", source)["go"])


def moved(path: str, blank: str = "") -> BaseException:
    """Return what a release of a module raises, at some path."""
    source = f"{blank}def go():\n{blank}    raise ValueError('x')\n"
    return caught(load_module("shop.pay", path, source)["go"])


def made_at_run_time(name: str = "Refused") -> BaseException:
    return caught(raised, type(name, (Exception,), {"__module__": "shop.errors"}))


def script(name: str) -> BaseException:
    """Return what the same file raises as a script, and as a module."""
    source = "class Refused(Exception):\n    pass\ndef go():\n    raise Refused\n"
    return caught(load_module(name, "/srv/shop.py", source)["go"])


def as_text(made: logging.LogRecord) -> logging.LogRecord:
    """Return the record with its traceback in a field of its own only."""
    assert made.exc_info
    made.exc_text = "".join(traceback.format_exception(made.exc_info[1]))
    made.exc_info = None
    return made


def with_info(info: Any, message: str = "x") -> logging.LogRecord:
    made = R(message)
    made.exc_info = info
    return made


TOGETHER: dict[str, Pair] = {
    # What the message says: values don't tell kinds apart
    "other arguments: the template is the kind": lambda: (R("no %s", "ink"), R("no %s", "paper")),
    "other mapping: so it is here": lambda: (R("no %(a)s", {"a": 1}), R("no %(a)s", {"a": 2})),
    "numbers: values": lambda: (R("order 17 failed"), R("order 18,000.5 failed")),
    "negative numbers: values": lambda: (R("balance is -5.50"), R("balance is 17")),
    "exponents: values": lambda: (R("error 1e-05"), R("error 0.3")),
    "times: values": lambda: (R("late by 12:30:01.5"), R("late by 3:01:59.7")),
    "dates: values": lambda: (R("since 2026-11-24T10:00:00Z"), R("since 2025-01-02T23:59:59Z")),
    "durations in other units: values": lambda: (R("took 230ms"), R("took 1.5 s")),
    "singular and plural: values": lambda: (R("after 1 second"), R("after 30 seconds")),
    "sizes: values": lambda: (R("got 5 MB of data"), R("got 712 bytes of data")),
    "UUIDs: values": lambda: (R(f"job {uuid.UUID(int=5)}"), R(f"job {uuid.UUID(int=2**127)}")),
    "single quotes: quoted text is a value": lambda: (R("no user 'ann'"), R("no user 'bob g.'")),
    "double quotes: the same": lambda: (R('no user "ann"'), R('no user ""')),
    "bytes: the same": lambda: (R("got b'ab' back"), R("got b'cd' back")),
    "lists of other lengths: values": lambda: (R("ids [1, 2, 3]"), R("ids [4]")),
    "mappings of other sizes: values": lambda: (R("got {'a': 1, 'b': 2}"), R("got {'c': 'd'}")),
    "addresses: values": lambda: (R("to ann@x.example"), R("to bob+1@mail.y.example")),
    "IP addresses: values": lambda: (R("from 10.0.0.1:443"), R("from 192.168.7.12:80")),
    "IPv6 addresses: values": lambda: (R("from fe80::1"), R("from 2001:db8::ff00:42:8329")),
    "hexadecimal: addresses of objects": lambda: (R("at 0x7f3a"), R("at 0xdeadbeef")),
    "hashes: values": lambda: (R("commit deadbeef01"), R("commit 0123456789ab")),
    "names made by chance: values": lambda: (R("session k3jH8sLq"), R("session 9xQz2pLm7")),
    "temporary files: made by chance": lambda: (R("no /tmp/tmpab_cdefg"), R("no /tmp/tmpk2l4x9zz")),
    "template and f-string: both say the same": lambda: (
        R("order %d failed", 5),
        R("order 17 failed"),
    ),
    "several values: each is one": lambda: (R("1 of 2 'a' 'b'"), R("3 of 4 'c' 'd'")),
    "percent signs: the number is a value": lambda: (R("disk 95% full"), R("disk 7% full")),
    "what comes late in a long text: it doesn't count": lambda: (
        R("x" * 1_000 + "a"),
        R("x" * 1_000 + "b"),
    ),
    "10 MB: only the beginning counts": lambda: (R("y" * 10_000_000), R("y" * 10_000_001)),
    "lone surrogates: they do no harm": lambda: (R("x \ud800 1"), R("x \ud800 2")),
    "Unicode: words of any script": lambda: (R("größe 5 zu klein"), R("größe 7 zu klein")),
    "digits of another script: values": lambda: (R("no \u0663\u0664"), R("no \u0669")),
    "empty messages: they say the same": lambda: (R(""), R("", created=NOW + 1)),
    # What isn't part of it
    "other thread": lambda: (R("x", extra={"threadName": "a"}), R("x", extra={"threadName": "b"})),
    "other process": lambda: (R("x", extra={"process": 1}), R("x", extra={"process": 2})),
    "other time": lambda: (R("x"), R("x", created=NOW + 9)),
    "other extra fields: they are values": lambda: (
        R("x", extra={"a": 1}),
        R("x", extra={"a": 2, "b": 3}),
    ),
    "an adapter's fields: they are extra": lambda: (adapted("x", user=1), adapted("x", user=2)),
    "the line that logs: a deploy moves it": lambda: (R("x"), R("x", extra={"lineno": 99})),
    "a formatter's output: the look isn't the kind": lambda: (
        R("x"),
        R("x", extra={"message": "z"}),
    ),
    # Messages that are no text, or have none
    "objects of a kind: their values don't count": lambda: (R(ValueError(1)), R(ValueError("two"))),
    "numbers as messages: values": lambda: (R(5), R(6)),
    "bytes as messages: values": lambda: (R(b"a"), R(b"b")),
    "mappings that say nothing: values": lambda: (R({"a": 1}), R({"b": 2})),
    "objects without a text: still of one kind": lambda: (R(Awkward()), R(Awkward())),
    "arguments that don't fit: the template is known": lambda: (
        R("no %d left", "paper"),
        R("no %d left", 1, 2),
    ),
    "arguments without a text: the same": lambda: (R("no %s", Awkward()), R("no %s", 1)),
    # Exceptions: type and place, not values
    "an exception's values": lambda: (R("a", exc=caught(fail, 1)), R("a", exc=caught(fail, "two"))),
    "an exception's message in the log": lambda: (
        R("a", exc=caught(fail)),
        R("b", exc=caught(fail)),
    ),
    "KeyErrors of other keys: values": lambda: (
        R(exc=caught(fail_by_key, 1)),
        R(exc=caught(fail_by_key, "order")),
    ),
    "OSErrors of other numbers: values": lambda: (
        R(exc=caught(fail_by_system, 28)),
        R(exc=caught(fail_by_system, 5)),
    ),
    "syntax errors in other texts: values": lambda: (
        R(exc=caught(compile, "x x", "a", "exec")),
        R(exc=caught(compile, "(", "b", "exec")),
    ),
    "notes: values": lambda: (R(exc=caught(fail)), R(exc=_noted(caught(fail), "order 5"))),
    "recursion of other depth: one function": lambda: (
        R(exc=caught(sink, 5)),
        R(exc=caught(sink, 150)),
    ),
    "endless recursion from elsewhere: one function": lambda: (
        R(exc=caught(start, 0)),
        R(exc=caught(start, 7)),
    ),
    "other causes: what failed at last is the kind": lambda: (
        R(exc=caught(chained, KeyError(1))),
        R(exc=caught(chained, OSError(2))),
    ),
    "other contexts: the same": lambda: (
        R(exc=caught(handling, KeyError(1))),
        R(exc=caught(handling, OSError(2))),
    ),
    "groups of the same: the first leaf is the kind": lambda: (
        R(exc=caught(grouped, caught(fail, 1))),
        R(exc=caught(grouped, caught(fail, 2), caught(fail_by_key, 3))),
    ),
    "a group and what is in it: the group adds nothing": lambda: (
        R(exc=caught(grouped, caught(fail, 1))),
        R(exc=caught(fail, 1)),
    ),
    "nested groups: their first leaf": lambda: (
        R(exc=caught(grouped, caught(grouped, caught(fail, 1)))),
        R(exc=caught(grouped, caught(fail, 2))),
    ),
    "a task group's task: what failed in it": lambda: (
        R(exc=caught(asyncio.run, in_a_task_group(1))),
        R(exc=caught(asyncio.run, in_a_task_group(2))),
    ),
    "async frames: the coroutine that failed": lambda: (
        R(exc=caught(asyncio.run, request(1))),
        R(exc=caught(asyncio.run, request(2, deep=True))),
    ),
    "lines moved: a deploy isn't a new fault": lambda: (
        R(exc=moved("/srv/shop/pay.py")),
        R(exc=moved("/srv/shop/pay.py", "\n\n\n")),
    ),
    "another folder: a release isn't a new fault": lambda: (
        R(exc=moved("/srv/releases/1/shop/pay.py"), name="shop"),
        R(exc=moved("/opt/venv/lib/python3.13/site-packages/shop/pay.py"), name="shop"),
    ),
    "a script and the same as a module: one file": lambda: (
        R(exc=script("__main__")),
        R(exc=script("shop")),
    ),
    "a method of a subclass that inherits it: one function": lambda: (
        R(exc=caught(Shop().pay)),
        R(exc=caught(Branch().pay)),
    ),
    "classes made at run time: known by their names": lambda: (
        R(exc=made_at_run_time()),
        R(exc=made_at_run_time()),
    ),
    "executed text: known by its names": lambda: (
        R(exc=executed("def go(): raise ValueError(1)")),
        R(exc=executed("\ndef go(): raise ValueError(2)")),
    ),
    "an exception that was never raised: its message": lambda: (
        R("bad 5", exc=nowhere()),
        R("bad 6", exc=nowhere()),
    ),
    "an exception, and the tuple of it": lambda: (
        with_info(_info(caught(fail))),
        with_info(caught(fail)),
    ),
    "no exception where one was announced: the message": lambda: (
        outside("failed 5"),
        outside("failed 6"),
    ),
    "(None, None, None), and nothing": lambda: (with_info((None, None, None)), R("x")),
    "what is no exception at all": lambda: (with_info((5, 6, 7)), R("x")),
    # What the application says
    "alert_group, other message": lambda: (
        R("a", extra={"alert_group": "pay"}),
        R("b", extra={"alert_group": "pay"}),
    ),
    "alert_group, other logger": lambda: (
        R(name="a", extra={"alert_group": "pay"}),
        R(name="b", extra={"alert_group": "pay"}),
    ),
    "alert_group, other exception": lambda: (
        R(exc=caught(fail), extra={"alert_group": 5}),
        R(exc=caught(fail_by_key), extra={"alert_group": 5}),
    ),
    "alert_group that can't be hashed: its text": lambda: (
        R("a", extra={"alert_group": ["a", 1]}),
        R("b", extra={"alert_group": ["a", 1]}),
    ),
    "alert_group without a text: its kind": lambda: (
        R("a", extra={"alert_group": Awkward()}),
        R("b", extra={"alert_group": Awkward()}),
    ),
    # Records that have come a long way
    "through a queue: other values": lambda: (
        queued(R("user ann", exc=caught(fail, "ann"))),
        queued(R("user bob", exc=caught(fail, "bob b"))),
    ),
    "through a queue, and direct: one function, as far as the text tells": lambda: (
        queued(R("user ann", exc=caught(pay))),
        R("user bob", exc=caught(pay)),
    ),
    "through a queue, and direct, an own type": lambda: (
        queued(R(exc=caught(raised, Refused))),
        R(exc=caught(raised, Refused)),
    ),
    "through a queue: a group": lambda: (
        queued(R("a", exc=caught(grouped, caught(fail, 1)))),
        queued(R("a", exc=caught(grouped, caught(fail, "two")))),
    ),
    "through a queue, and direct: a group": lambda: (
        queued(R("a", exc=caught(grouped, caught(fail, 1)))),
        R("a", exc=caught(grouped, caught(fail, "two"))),
    ),
    "through a queue: other causes": lambda: (
        queued(R(exc=caught(chained, KeyError(1)))),
        queued(R(exc=caught(chained, OSError(2)))),
    ),
    "through a queue: a recursion of other depth": lambda: (
        queued(R(exc=caught(sink, 5))),
        queued(R(exc=caught(sink, 150))),
    ),
    "through a queue, without exception": lambda: (
        queued(R("no %d left", 5)),
        queued(R("no %d left", 6)),
    ),
    "through a queue, and direct, without exception": lambda: (
        queued(R("order %d failed", 5)),
        R("order 6 failed"),
    ),
    "through a queue of processes": lambda: (
        from_a_process("ann"),
        R("user bob", exc=caught(refuse, "bob")),
    ),
    "through a socket: other values": lambda: (
        sent(R("user ann", exc=caught(fail, "ann"))),
        sent(R("user bob", exc=caught(fail, "bob b"))),
    ),
    "through a socket, and through a queue": lambda: (
        sent(R("user ann", exc=caught(fail, "ann"))),
        queued(R("user bob", exc=caught(fail, "bob"))),
    ),
    "through a socket, and direct": lambda: (
        as_text(R("user ann", exc=caught(fail, "ann"))),
        R("user bob", exc=caught(fail, "bob")),
    ),
    # Other ways to log
    "warnings: other values": lambda: (warned("old in 3"), warned("old in 4")),
    "warnings from other lines: category and text are the kind": lambda: (
        warned("old", line=12),
        warned("old", line=99),
    ),
    "structlog: other fields": lambda: (
        structured("paid", order=5),
        structured("paid", order=6, user="ann"),
    ),
    "structlog: numbers in its event": lambda: (structured("paid 5"), structured("paid 6")),
    "structlog, with an exception that is being handled": lambda: (
        structured("bad", error=ValueError(1)),
        structured("worse", error=ValueError(2)),
    ),
    "structlog as JSON: other fields": lambda: (
        as_json("paid", order=5),
        as_json("paid", user="ann", path="/x", order=6),
    ),
    "structlog as JSON, and as a mapping": lambda: (as_json("paid"), structured("paid", order=5)),
    "structlog as keys and values: other fields": lambda: (
        as_keys("paid in", order=5),
        as_keys("paid in", order=6, user="ann"),
    ),
    "logfmt: the same, in other quotes": lambda: (
        R('level=error msg="paid 5" order=5'),
        R("level=error order=6 msg='paid 6'"),
    ),
    "a mapping with a message": lambda: (
        R({"message": "paid", "order": 5}),
        R({"message": "paid", "order": 6}),
    ),
    "JSON of any kind": lambda: (
        R(json.dumps({"msg": "paid 5", "user": "ann"})),
        R(json.dumps({"level": "error", "msg": "paid 6"})),
    ),
    "loguru: other values": lambda: (
        with_loguru("order {} failed", 5),
        with_loguru("order {} failed", 6),
    ),
    "loguru, with an exception": lambda: (
        with_loguru("bad", error=caught(fail, "ann")),
        with_loguru("bad", error=caught(fail, "bob")),
    ),
    "loguru's own recipe: other values": lambda: (
        with_loguru("order {} failed", 5, recipe=True),
        with_loguru("order {} failed", 6, recipe=True),
    ),
    "loguru's own recipe, with an exception": lambda: (
        with_loguru("bad 5", error=caught(fail, "ann"), recipe=True),
        with_loguru("worse", error=caught(fail, "bob"), recipe=True),
    ),
}

APART: dict[str, Pair] = {
    "other words": lambda: (R("no paper left"), R("no ink left")),
    "words that look like hexadecimal": lambda: (R("face value"), R("deed value")),
    "words before a colon": lambda: (R("facade: no"), R("decade: no")),
    "words without digits": lambda: (R("the facade"), R("the decade")),
    "words with a digit: names of things": lambda: (R("sha256_mismatch"), R("sha256_missing")),
    "apostrophes: they quote nothing": lambda: (
        R("can't open it, don't try"),
        R("can't close it, don't try"),
    ),
    "words of another script": lambda: (R("größe 5 zu klein"), R("größe 5 zu groß")),
    "an empty message, and one": lambda: (R(""), R("x")),
    "other level: worse is news": lambda: (R("x"), R("x", level=logging.CRITICAL)),
    "a level of one's own": lambda: (R("x"), R("x", level=45)),
    "other logger: another part of the program": lambda: (R("x", name="a"), R("x", name="b")),
    "child logger: the same": lambda: (R("x", name="a"), R("x", name="a.b")),
    "with an exception, and without": lambda: (R("x"), R("x", exc=caught(fail))),
    "other function: another place": lambda: (R(exc=caught(fail)), R(exc=caught(fail_otherwise))),
    "other type at one place": lambda: (
        R(exc=caught(raised, ValueError)),
        R(exc=caught(raised, KeyError)),
    ),
    "a system error of a type of its own": lambda: (
        R(exc=caught(fail_by_system, 28)),
        R(exc=caught(fail_by_system, 13)),
    ),
    "types of one name in other modules": lambda: (
        R(exc=caught(raised, ConnectionError)),
        R(exc=caught(raised, type("ConnectionError", (Exception,), {"__module__": "driver"}))),
    ),
    "exception, other level": lambda: (
        R(exc=caught(fail)),
        R(exc=caught(fail), level=logging.CRITICAL),
    ),
    "exception, other logger": lambda: (
        R(exc=caught(fail), name="a"),
        R(exc=caught(fail), name="b"),
    ),
    "library called from two places: they are two faults": lambda: (
        R(exc=caught(pay)),
        R(exc=caught(refund)),
    ),
    "groups of other members": lambda: (
        R(exc=caught(grouped, caught(fail))),
        R(exc=caught(grouped, caught(fail_by_key))),
    ),
    "groups in another order: the first leaf is the kind": lambda: (
        R(exc=caught(grouped, caught(fail), caught(fail_by_key))),
        R(exc=caught(grouped, caught(fail_by_key), caught(fail))),
    ),
    "a method that a subclass overrides": lambda: (
        R(exc=caught(Shop().pay)),
        R(exc=caught(Other().pay)),
    ),
    "a method and a property": lambda: (
        R(exc=caught(Shop().pay)),
        R(exc=caught(lambda: Shop().total)),
    ),
    "a method and a class method": lambda: (R(exc=caught(Shop().pay)), R(exc=caught(Shop.open))),
    "decorated functions: what they call": lambda: (
        R(exc=caught(decorated)),
        R(exc=caught(decorated_too)),
    ),
    "nested functions": lambda: (R(exc=caught(nested, 0)), R(exc=caught(nested, 1))),
    "a generator and a comprehension": lambda: (
        R(exc=caught(comprehension, [0])),
        R(exc=caught(list, generator([0]))),
    ),
    "executed text of other modules": lambda: (
        R(exc=executed("def go(): raise ValueError", "app.one")),
        R(exc=executed("def go(): raise ValueError", "app.two")),
    ),
    "classes made at run time, other names": lambda: (
        R(exc=made_at_run_time()),
        R(exc=made_at_run_time("Lost")),
    ),
    "never raised, other message": lambda: (R("a", exc=nowhere()), R("b", exc=nowhere())),
    "never raised, other kind": lambda: (R(exc=nowhere()), R(exc=nowhere(KeyError))),
    "other alert_group": lambda: (
        R(extra={"alert_group": "a"}),
        R(extra={"alert_group": "b"}),
    ),
    "alert_group, other level": lambda: (
        R(extra={"alert_group": "a"}),
        R(extra={"alert_group": "a"}, level=logging.CRITICAL),
    ),
    "alert_group and a message that says so": lambda: (R("a"), R(extra={"alert_group": "a"})),
    "objects of other kinds": lambda: (R(ValueError(1)), R(KeyError(1))),
    "None, and the text of it": lambda: (R(None), R("None")),
    "a list, and the text of it": lambda: (R(["a"]), R("['a']")),
    "through a queue, other function": lambda: (
        queued(R("bad", exc=caught(fail))),
        queued(R("bad", exc=caught(fail_otherwise))),
    ),
    "through a queue, other exception": lambda: (
        queued(R("bad", exc=caught(fail))),
        queued(R("bad", exc=caught(fail_by_key))),
    ),
    "through a queue, behind the same long head": lambda: (
        queued(R("h" * 1_500, exc=caught(fail))),
        queued(R("h" * 1_500, exc=caught(fail_by_key))),
    ),
    "through a queue, a library from two places": lambda: (
        queued(R("bad", exc=caught(pay))),
        queued(R("bad", exc=caught(refund))),
    ),
    "through a queue, chained: the last one is the kind": lambda: (
        queued(R(exc=caught(chained, KeyError(1)))),
        queued(R(exc=caught(handling, KeyError(1)))),
    ),
    "a text about tracebacks": lambda: (
        R("Traceback (most recent call last):\nof a"),
        R("Traceback (most recent call last):\nof b"),
    ),
    "warnings of other texts": lambda: (warned("old"), warned("new")),
    "warnings of other categories": lambda: (warned("old"), warned("old", DeprecationWarning)),
    "structlog: other events": lambda: (structured("paid", a=1), structured("refunded", a=1)),
    "structlog as JSON: other events": lambda: (as_json("paid", a=1), as_json("refunded", a=1)),
    "structlog as keys and values: other events": lambda: (
        as_keys("paid in", a=1),
        as_keys("paid out", a=1),
    ),
    "a value named message: no more than a value, but in logfmt": lambda: (
        R("bad message='a'"),
        R("bad msg='a'"),
    ),
    "structlog, other exceptions": lambda: (
        structured("bad", error=ValueError(1)),
        structured("bad", error=KeyError(1)),
    ),
    "loguru, other messages": lambda: (with_loguru("no paper"), with_loguru("no ink")),
    "loguru, other exceptions": lambda: (
        with_loguru("bad", error=caught(fail)),
        with_loguru("bad", error=caught(fail_by_key)),
    ),
    "loguru's own recipe, other exceptions": lambda: (
        with_loguru("bad", error=caught(fail), recipe=True),
        with_loguru("bad", error=caught(fail_by_key), recipe=True),
    ),
}


class Refused(Exception):  # noqa: N818 - a name
    pass


def _noted(error: BaseException, note: str) -> BaseException:
    error.add_note(note)
    return error


def _info(error: BaseException) -> tuple[Any, ...]:
    return type(error), error, error.__traceback__


@pytest.mark.parametrize("case", TOGETHER)
def test_they_belong_together(case: str) -> None:
    one, other = TOGETHER[case]()
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize("case", APART)
def test_they_do_not_belong_together(case: str) -> None:
    one, other = APART[case]()
    assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize("case", [*TOGETHER, *APART])
def test_a_fingerprint_that_is_known_is_the_same_again(case: str) -> None:
    """What is remembered of a record is what makes its fingerprint, no less."""
    remembering = Fingerprints(OwnCode())
    for made in ({**TOGETHER, **APART})[case]():
        assert remembering.of(made) == remembering.of(made)
        assert remembering.of(made).fingerprint == fingerprint(made)


@pytest.mark.parametrize("size", [1_000, 100_000])
@pytest.mark.parametrize(
    "text", ["a", "1a", "0x", "a@", "a:", "'", "1.", "tmp", "-1", "1,", "*, ", "%("]
)
def test_no_text_takes_long(text: str, size: int) -> None:
    """Only the beginning of a message is looked at, and no pattern backs up over and over."""
    for made in (text * size, f"{text * size}!", f"!{text * size} x"):
        fold(made)
    spent = min(_seconds(text * size) for _ in range(3))
    assert spent < 0.05


def _seconds(text: str) -> float:
    started = time.process_time()
    fold(text)
    return time.process_time() - started


def test_what_is_remembered_is_bounded() -> None:
    remembering = Fingerprints(OwnCode())
    first = remembering.of(record("first"))
    for number in range(10_050):
        remembering.of(record("x" * (number % 7) + chr(0x4E00 + number)))
        if number == 9_000:
            assert remembering.of(record("first")) is first
    assert remembering.of(record("first")) is not first


def test_a_deep_traceback_is_not_remembered() -> None:
    remembering = Fingerprints(OwnCode())
    deep, flat = record(exc=caught(sink, 100)), record(exc=caught(sink, 10))
    assert remembering.of(deep) == remembering.of(deep)
    assert remembering.of(deep) is not remembering.of(deep)
    assert remembering.of(flat) is remembering.of(flat)


def test_a_comprehension_is_a_part_of_its_function() -> None:
    """Up to Python 3.11 it was a function of its own (PEP 709)."""
    identity = Fingerprints(OwnCode()).of(record(exc=caught(comprehension, [0])))
    assert identity.place == "test_fingerprint_pairs.comprehension"
    module = {"__name__": "app.sizes", "fail": fail}
    error = caught(lambda: exec(compile("[1 / n for n in [0]]", "/srv/sizes.py", "exec"), module))
    assert Fingerprints(OwnCode(("app",))).of(record(exc=error)).place == "app.sizes.<module>"


SCRIPT = """
import logging, sys
from tocsin.events.frames import OwnCode
from tocsin.events.fingerprint import Fingerprints
{blank}
class Shop:
    def pay(self, amount):
{blank}
        raise ValueError(amount)

    def prices(self, amounts):
        return [1 / amount for amount in amounts]

def record(*args, exc_info=None, **extra):
    return logging.LogRecord("shop", 40, __file__, 1, *args, exc_info)

of = Fingerprints(OwnCode()).of
for call in (lambda: Shop().pay(5), lambda: Shop().prices([0])):
    try:
        call()
    except Exception:
        print(of(record("x", (), exc_info=sys.exc_info())).fingerprint)
print(of(record("no %s left", ("x",))).fingerprint)
print(of(record({{"a", "b"}}, ())).fingerprint)
"""


def _run(script: Path, seed: str, python: str = sys.executable) -> str:
    path = Path(importlib.util.find_spec("tocsin").origin or "").parents[1]  # type: ignore[union-attr]
    return subprocess.run(
        [python, str(script)],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_fingerprint_is_the_same_in_every_process_and_after_lines_were_moved(
    tmp_path: Path,
) -> None:
    found = set()
    for seed, blank in (("1", ""), ("2", "\n\n\n"), ("3", "")):
        folder = tmp_path / seed  # another release, in another folder
        folder.mkdir()
        script = folder / "script.py"
        script.write_text(textwrap.dedent(SCRIPT.format(blank=blank)), encoding="utf-8")
        found.add(_run(script, seed))
    assert len(found) == 1
    assert len(set(found.pop().split())) == 4


# What `SCRIPT` prints, on every Python: a change of it makes all that goes on new once.
KNOWN = "1668a5de4aba444a cfdf4d82dc008cc3 58bf54d6b0b81783 f4aea8c48849dc46"


def test_a_fingerprint_is_the_same_on_every_python(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(blank=""), encoding="utf-8")
    assert _run(script, "0").split() == KNOWN.split()


def test_a_kind_is_told_without_values_and_secrets() -> None:
    class Stars(NoSecrets):
        def text(self, text: str, /) -> str:
            return text.replace("key_1a2b", "***")

    identity = Fingerprints(OwnCode()).of(record("key_1a2b of 'ann' is 5 days old"))
    assert identity.describe(Stars()) == ("*** of * is * old", "app")


def test_code_that_is_gone_is_not_taken_for_other_code() -> None:
    """Code is remembered by its id, which is used again when the code is gone."""
    remembering = Fingerprints(OwnCode())
    for number in range(300):
        made = record(exc=executed(f"def go(): raise ValueError({number})", f"app.m{number}"))
        assert remembering.of(made).place == f"app.m{number}.go"
        assert remembering.of(made).fingerprint == fingerprint(made)
