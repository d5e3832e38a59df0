"""The cases of a preview: records of a shop, and the mails that a policy sends about them.

Each mail is made by the intake, the policy and the templates of a program. Only the clock and the
records are invented.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.alerts.digest import Audience
from tocsin.alerts.settings import Policy
from tocsin.cli.shop import shop
from tocsin.events.frames import OwnCode
from tocsin.mail.address import prepare_address
from tocsin.pipeline.context import Context
from tocsin.pipeline.intake import Intake
from tocsin.redact.redactor import Redactor
from tocsin.render.page import render
from tocsin.render.sender import Sender
from tocsin.render.templating import Templates
from tocsin.testing.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tocsin.alerts.digest import Digest
    from tocsin.mail.message import Message
    from tocsin.redact.base import Redacts

_STORM = 5_000  # records
_GROUPS = 60
_MANY_MAILS = 8  # after which a case ends at the latest
_LONG = 9_000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a configuration gives to its mails.

    Attributes:
        sender: the application, and the address that mails come from.
        audience: the recipients.
        templates: the templates.
        redactor: takes secrets out of text.
        version: the application's version, or "".
    """

    sender: Sender
    audience: Audience
    templates: Templates
    redactor: Redacts
    version: str = ""

    @classmethod
    def usual(cls) -> Setting:
        """Return the setting of a handler with default options."""
        sender = Sender(
            app="shop",
            environment="production",
            from_addr=prepare_address("Shop alerts <alerts@example.com>"),
            policy=Policy(),
        )
        return cls(
            sender=sender,
            audience=Audience(to=("oncall@example.com",)),
            templates=Templates(),
            redactor=Redactor(),
            version="4.2.0",
        )


class Case(NamedTuple):
    """A case.

    Attributes:
        name: its name, for arguments and files.
        title: what the mail shows.
        play: logs the records.
        reason: the reason of the mail to show, the first such one; "" for the mail with most
            groups.
    """

    name: str
    title: str
    play: Callable[[Stage], None]
    reason: str = ""


class Stage:
    """A program, whose clock a case moves.

    Args:
        setting: what the configuration gives.
        start: the time at the start, in seconds since the epoch.
        code: the names of the shop's code.

    Attributes:
        policy: the policy.
        digests: the digests so far.
    """

    def __init__(self, setting: Setting, start: float, code: dict[str, Any]) -> None:
        self.policy: Policy = setting.sender.policy
        self.digests: list[Digest] = []
        self._code = code
        self._start = start
        self._context = Context(3)
        self._simulation = Simulation(
            self.policy,
            self.digests.append,
            audience=setting.audience,
            domain=setting.sender.domain,
        )
        self._intake = Intake(
            own=OwnCode(("shop",)),
            host="web1",
            version=setting.version,
            limit=self.policy.max_groups,
            urgent_level=self.policy.urgent_level,
            redact=setting.redactor,
            context=self._context,
        )

    def log(self, at: float, name: str, message: str, *args: object, **extra: object) -> None:
        """Log an error, some seconds after the start."""
        self._take(self._record(at, name, message, args), extra)

    def charge(self, at: float, order: int, note: str = "") -> None:
        """Let the charge of an order fail, some seconds after the start."""
        if not note:
            for early, text in ((0.3, "POST /checkout"), (0.1, "retry 3 of 3")):
                record = self._record(at - early, "shop.checkout", text, (), level=logging.INFO)
                self._context.note(record)
        try:
            self._code["get_response"](self._code["submit"], order)
        except Exception as error:  # noqa: BLE001 - it always fails
            if note:
                error.args = (f"{error}: {note}",)
            extra = {"order_id": order, "card_token": "tok_1Nv0" + "Fg2eZvKYlo2C"}
            record = self._record(at, "shop.payments", "Charging order %d failed", (order,))
            error.__traceback__ = (
                error.__traceback__ and error.__traceback__.tb_next
            )  # not this one
            record.exc_info = type(error), error, error.__traceback__
            self._take(record, extra)

    def hand_over(self, at: float) -> None:
        """Hand over what was logged, and send what is due, some seconds after the start."""
        self._simulation.run_until(self._start + at)
        self._simulation.merge(self._intake.drain(), self._start + at)

    def end(self) -> None:
        """Send all that can become due."""
        self._simulation.end()

    def _take(self, record: logging.LogRecord, extra: Mapping[str, object]) -> None:
        record.__dict__.update(extra)
        self._intake.add(record, None)

    def _record(
        self,
        at: float,
        name: str,
        message: str,
        args: tuple[object, ...],
        *,
        level: int = logging.ERROR,
    ) -> logging.LogRecord:
        path = f"/srv/shop/{name.replace('.', '/')}.py"
        record = logging.LogRecord(name, level, path, 61, message, args, None, "run")
        record.created, record.process, record.threadName = self._start + at, 4121, "worker-7"
        record.taskName = None
        return record


def mails(
    setting: Setting, start: float, only: str | None = None
) -> Iterator[tuple[Case, Message | None]]:
    """Yield each case and its mail; None if the policy sends no mail with its reason.

    Args:
        setting: what the configuration gives.
        start: the time at the start of each case, in seconds since the epoch.
        only: the name of the one case to yield; None for all.
    """
    for case in CASES:
        if only is not None and case.name != only:
            continue
        with shop() as code:
            stage = Stage(setting, start, code)
            case.play(stage)
            stage.end()
            found = [one for one in stage.digests if case.reason in {"", one.reason}]
            first = max(found, key=lambda one: 0 if case.reason else len(one.entries), default=None)
        yield case, None if first is None else render(first, setting.sender, setting.templates)


def _play_new(stage: Stage) -> None:
    for number in range(8):
        stage.charge(number, 1001 + number)
        stage.hand_over(number)


def _play_storm(stage: Stage) -> None:
    stage.hand_over(0)
    for second in range(10):
        for number in range(_STORM // 10):
            stage.log(second + number * 10 / _STORM, "shop.stock", "Stock of %r is negative", "A-1")
        stage.charge(second + 0.9, 1001 + second)
        stage.hand_over(second + 1)


def _play_still(stage: Stage) -> None:
    step = max(1.0, stage.policy.repeat_after / 40)
    at = 0.0
    while not any(one.reason == "still" for one in stage.digests) and at < 100 * step:
        stage.charge(at, 1001 + int(at / step))
        stage.hand_over(at)
        at += step


def _play_worse(stage: Stage) -> None:
    stage.charge(0, 1001)
    stage.hand_over(0)
    told = stage.policy.group_wait + 61  # a minute after the first mail
    for number in range(int(max(stage.policy.surge_min, stage.policy.surge_factor)) * 3):
        stage.charge(told + number / 10, 1002 + number)
        stage.hand_over(told + number / 10)


def _play_quiet(stage: Stage) -> None:
    step = max(1.0, stage.policy.repeat_after / 10)
    at = 0.0
    while len(stage.digests) < _MANY_MAILS and at < 10 * stage.policy.repeat_max:
        stage.charge(at, 1001)
        stage.hand_over(at)
        interval = stage.digests[-1].entries[0].before if stage.digests else None
        if interval is not None and interval.interval > 2 * stage.policy.quiet_after:
            break
        at += step


def _play_groups(stage: Stage) -> None:
    for number in range(_GROUPS):
        letters = chr(97 + number // 26) + chr(97 + number % 26)
        for _ in range(1 + number % 5):
            stage.log(number / 10, f"shop.jobs.{letters}", "Job %r has failed", letters)
    stage.charge(6, 1001)
    stage.hand_over(6)


def _play_cut(stage: Stage) -> None:
    for number in range(stage.policy.shown_groups):
        name = f"shop.imports.{chr(97 + number % 26)}"
        rows = " ".join(f"row-{number}-{row}" for row in range(_LONG // 9))
        stage.log(
            number / 10, name, f"Import {chr(97 + number % 26)} has failed: %s", rows, rows=rows
        )
    stage.charge(5, 1001, "x" * _LONG)
    stage.hand_over(6)


CASES = (
    Case("new", "a new error", _play_new),
    Case("storm", "a storm: thousands of errors in ten seconds", _play_storm, "new"),
    Case("still", "an error that goes on", _play_still, "still"),
    Case("worse", "a known error that gets much worse", _play_worse, "worse"),
    Case("quiet", "an error that has ceased", _play_quiet, "quiet"),
    Case("groups", "60 different errors at once", _play_groups),
    Case("cut", "a digest that is cut to the size of a mail", _play_cut),
)
