"""The alerts of a test: the mails and groups of its handlers, and a clock that it can advance."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tocsin.mail.message import Message

if TYPE_CHECKING:
    from tocsin.alerts.grouping import Group
    from tocsin.testing.collector import Collector

_PAUSE = 0.02  # seconds between two looks at what other threads have logged


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertGroup:
    """A group of events.

    Attributes:
        title: such as "ERROR ConnectionError in payments.charge".
        level: the level's name.
        logger: the logger's name.
        message: the message of the first event.
        exception: the exception as the last line of its traceback; "" without one.
        count: how many events there are.
        handler: the name of the alert handler.
    """

    title: str
    level: str
    logger: str
    message: str
    exception: str
    count: int
    handler: str


class AlertClock:
    """The clock of the handlers: the time of day, and what a test adds to it."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    @property
    def now(self) -> datetime:
        """The time, with the local time zone."""
        return datetime.fromtimestamp(self._collector.clock.read(), UTC).astimezone()

    def advance(
        self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0
    ) -> None:
        """Let the time pass. The mails that become due meanwhile are in `Alerts.mails`.

        Records that are logged later have the later time. `time.time` isn't changed.

        Args:
            seconds: seconds that pass; the other arguments are added to it.
            minutes: minutes that pass.
            hours: hours that pass.
            days: days that pass.

        Raises:
            ValueError: the sum is negative.
        """
        step = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
        if step < 0:
            raise ValueError("time does not go back")
        self._collector.advance(step)

    def __repr__(self) -> str:
        return f"<AlertClock {self.now:%Y-%m-%d %H:%M:%S %Z}>"


class Alerts:
    """The alerts of a test, from its beginning on.

    They are those of all alert handlers that the program has built, wherever it has built them. If
    several handlers get a record, each has a group for it, and mails of its own.

    Args:
        collector: the collector.
        handler: the name of the only handler that counts; None for all.

    Attributes:
        clock: the clock of the handlers.
    """

    def __init__(self, collector: Collector, handler: str | None = None) -> None:
        self.clock: AlertClock = AlertClock(collector)
        self._collector = collector
        self._handler = handler

    @property
    def mails(self) -> list[Message]:
        """The mails that would have been sent until now, the oldest first.

        New groups don't wait for more of their events: what is logged is in a mail at once. For
        repeats and for the number of mails the policy counts; advance the clock to see more. With
        `at_exit`, the mail is there as if the program ended now.
        """
        self._collector.flush()
        return [
            message
            for name, message in list(self._collector.mails)
            if self._handler in {None, name} and isinstance(message, Message)
        ]

    @property
    def groups(self) -> list[AlertGroup]:
        """The groups, in the order of their first events, whether or not they are mailed."""
        self._collector.run()
        return [
            _view(name, group)
            for name, group in self._collector.groups
            if self._handler in {None, name}
        ]

    def wait_for(self, count: int, timeout: float = 10) -> None:
        """Wait until so many events were logged: a server logs an error after its answer.

        The calling thread waits: in a coroutine, use `asyncio.to_thread`.

        Args:
            count: how many events have to be there, those of all groups together.
            timeout: seconds until the wait is given up.

        Raises:
            AssertionError: fewer events came in time; the message says how many, of which groups.
        """
        until = time.monotonic() + timeout
        while _total(groups := self.groups) < count:
            if time.monotonic() >= until:
                raise AssertionError(_too_few(groups, count, timeout))
            threading.Event().wait(_PAUSE)

    def of(self, handler: str) -> Alerts:
        """Return the alerts of one handler.

        Args:
            handler: the handler's name, which is its key in the `handlers` of `dictConfig`.
        """
        return Alerts(self._collector, handler)

    def clear(self) -> None:
        """Forget the mails and the groups of all handlers. The clock stays as it is."""
        self._collector.clear()

    def __repr__(self) -> str:
        groups, mails = len(self._collector.groups), len(self._collector.mails)
        return f"<Alerts: {groups} groups, {mails} mails>"


def _view(handler: str, group: Group) -> AlertGroup:
    first = group.samples[0] if group.samples else None
    raised = first is not None and bool(first.traceback)
    return AlertGroup(
        title=f"{group.level_name} {group.kind} in {group.place}",
        level=group.level_name,
        logger=group.logger,
        message=group.text if first is None else first.message,
        exception=group.text if raised else "",
        count=group.count,
        handler=handler,
    )


def _total(groups: list[AlertGroup]) -> int:
    return sum(group.count for group in groups)


def _too_few(groups: list[AlertGroup], count: int, timeout: float) -> str:
    kinds = "".join(f"\n  {group.count}x {group.title}" for group in groups)
    return f"expected {count} events within {timeout:g} seconds; {_total(groups)} came{kinds}"
