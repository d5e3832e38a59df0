"""The subcommand `send`: a test alert through everything, and its receipt."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import TYPE_CHECKING

from tocsin.cli import configuration as configurations
from tocsin.cli import server_words as words
from tocsin.cli.configuration import parts_of
from tocsin.cli.output import ExitCode, UsageError
from tocsin.cli.sources import described
from tocsin.exceptions import ConfigError, ConnectError, SendError
from tocsin.mail.address import prepare_address, reject_line_break
from tocsin.mail.message import Message
from tocsin.mail.outbox import TestEmailHandler
from tocsin.mail.receipt import Receipt, Reply
from tocsin.switches import VARIABLE
from tocsin.text import short

if TYPE_CHECKING:
    import argparse

    from tocsin.cli.configuration import AlertEntry
    from tocsin.cli.output import Output
    from tocsin.mail.base import EmailHandler

DESCRIPTION = """\
Send one test alert with the options of an alert handler: it is logged, grouped and rendered as any
alert, and goes through the real mail server. The handler's store isn't used. The receipt says for
each recipient whether the mail server has accepted the mail.

Exit codes: 0 all recipients accepted; 1 a fault; 2 wrong arguments, or no such file; 3 try again
later: a busy server, a time-out, greylisting.
"""
EXAMPLES = """\
examples:
  tocsin send shop.toml
  tocsin send shop.toml --to me@example.com    to this address alone
"""
_NO_APP = (
    "app is not set, so the mail names this folder, and not your program: set app, and the subject "
    "and tocsin status have the same name"
)
_SECONDS = 20.0  # for the mail to be made
_COLOURS = {"accepted": "ok", "deferred": "LATER", "refused": "FAIL", "unknown": "WARN"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subcommand."""
    configurations.add_arguments(parser)
    parser.add_argument("--to", metavar="ADDRESS", help="send to this address alone")


def run(args: argparse.Namespace, output: Output) -> ExitCode:
    """Send the test alert, and return the exit code."""
    found = configurations.read_configuration(args)
    if len(found.alerts) > 1:
        names = ", ".join(entry.name for entry in found.alerts)
        raise UsageError(f"{found.label} has several alert handlers; --handler takes one: {names}")
    (entry,) = found.alerts
    email, message = test_alert(entry, found.label, args.to)
    receipt, lost = _sent(email, message)
    notes = [] if entry.options.get("app") else [_NO_APP]
    return _told(output, args, receipt, lost, message, notes=notes)


def test_alert(entry: AlertEntry, label: str, to: str | None) -> tuple[EmailHandler, Message]:
    """Return the real email handler, and the mail about a test alert.

    Args:
        entry: the entry of the alert handler.
        label: the name of the configuration.
        to: the only recipient; None for those of the entry.

    Raises:
        ConfigError: the handler can't be built, is not enabled, or has no recipients.
    """
    changes: dict[str, object] = {}
    if to is not None:
        changes = {"to": [_address(to)], "cc": (), "bcc": ()}
    place = f"{label}, handler {entry.name}"
    if os.environ.get(VARIABLE, "").strip() == "0":
        raise ConfigError(f"{place}: {VARIABLE}=0 in the environment; nothing is sent")
    if entry.options.get("enabled") is False:
        raise ConfigError(f"{place}: enabled: false; this handler sends nothing")
    with contextlib.closing(entry.build(**changes)) as real:
        parts = parts_of(real)
    if to is None and not entry.options.get("to"):
        changes = {"to": list(parts.email.recipients)}  # such as ADMINS of Django
    if isinstance(parts.email, TestEmailHandler):
        raise ConfigError(f"{place}: email.handler: 'test' keeps mails, and sends none")
    audience = parts.audience()
    if not audience.to:
        raise ConfigError(f"{place}: to: no recipient; {'; '.join(audience.notes)}")
    outbox = TestEmailHandler(default_from=parts.email.sender)
    with contextlib.closing(entry.build(**changes, email=outbox)) as handler:
        record = logging.LogRecord(
            "test_alert",
            max(logging.ERROR, handler.level),
            label,
            entry.line() or 1,
            "Test alert: if you read this mail, alerts arrive",
            (),
            None,
            func=f"handlers.{entry.name}",
        )
        handler.emit(record)  # not `handle`: a filter of the program's need not let it pass
        handler.send_now(_SECONDS)
    messages = [message for message in outbox.outbox if isinstance(message, Message)]
    if not messages:
        raise ConfigError(f"{place}: no mail was made of the test alert")
    return parts.email, messages[0]


def _address(text: str) -> str:
    try:
        reject_line_break(text)
        return prepare_address(text).addr_spec
    except ValueError as error:
        raise UsageError(f"--to: {error}") from None


def _sent(email: EmailHandler, message: Message) -> tuple[Receipt, Exception | None]:
    """Send the mail; return its receipt, and the error if no server has answered about the mail."""
    try:
        (receipt,) = email.send(message)
    except SendError as error:
        if not error.receipts:
            return _none(message), error
        return error.receipts[0], _lost(error)
    except Exception as error:  # noqa: BLE001 - an email handler of the user's
        return _none(message), error
    finally:
        email.close()
    return receipt, None


def _lost(error: SendError) -> Exception | None:
    """Return why no server has answered about the mail; None if one has."""
    for one in (error, error.__cause__):
        if isinstance(one, ConnectError):
            return one
    (receipt, *_) = error.receipts
    if receipt.accepted or receipt.refused or receipt.unknown:
        return None
    silent = all(reply.code is None for reply in receipt.deferred.values())
    cause = error.__cause__
    return cause if isinstance(cause, OSError) and silent else None  # of Django's backend


def _none(message: Message) -> Receipt:
    """Return the receipt of a mail about which nothing is known."""
    reply = Reply(None, None, "")
    return Receipt(
        message_id=message.headers.get("Message-ID", ""),
        deferred={address.addr_spec: reply for address in message.recipients},
    )


def _told(
    output: Output,
    args: argparse.Namespace,
    receipt: Receipt,
    lost: Exception | None,
    message: Message,
    *,
    notes: list[str],
) -> ExitCode:
    """Write the receipt; return the exit code."""
    rows = list(_rows(receipt, connected=lost is None))
    width = max(len(address) for address, *_ in rows)
    for address, result, reply in rows:
        shown = output.paint(f"{result:<8}", _COLOURS.get(result, "FAIL"))
        output.line(f"{short(address, 254):<{width}}  {shown}  {short(str(reply), 300)}".rstrip())
    why = {} if lost is None else _explained(lost, configurations.repeated(args))
    for name, text in why.items():
        output.line(f"{name}  {text}")
    for note in notes:
        output.line(f"note  {note}")
    output.line(_last_line(receipt, len(rows)))
    code = _code(receipt, lost)
    results = [
        {"address": address, "result": result, "reply": str(reply)}
        for address, result, reply in rows
    ]
    output.document(
        {
            "config": args.config,
            "exit_code": int(code),
            "message_id": receipt.message_id,
            "subject": message.subject,
            "recipients": results,
            "notes": notes,
            **why,
        }
    )
    return code


def _rows(receipt: Receipt, *, connected: bool) -> list[tuple[str, str, Reply]]:
    """Return each recipient with its result and the reply."""
    none = Reply(None, None, "")
    later = "deferred" if connected else "not sent"
    lost = Reply(None, None, "no reply to the message: it may have arrived")
    return [
        *((one, "accepted", receipt.replies.get(one, none)) for one in receipt.accepted),
        *((one, "refused", reply) for one, reply in receipt.refused.items()),
        *((one, later, reply if connected else none) for one, reply in receipt.deferred.items()),
        *((one, "unknown", lost) for one in receipt.unknown),
    ]


def _explained(error: Exception, config: str) -> dict[str, str]:
    """Return why no server has answered about the mail, and how to fix it."""
    problem, _, fix = described(error).partition("; ")
    return {"why": problem, "fix": fix or f"tocsin check {config} shows the step that fails"}


def _last_line(receipt: Receipt, count: int) -> str:
    """Return the Message-ID, and what is known of the mail in all."""
    if not receipt.accepted:
        sure = "it may have arrived" if receipt.unknown else "not accepted, so nothing arrives"
        return f"ID {receipt.message_id}; {sure}"
    part = "" if receipt.complete else f"accepted for {len(receipt.accepted)} of {count}; "
    return f"ID {receipt.message_id}; {part}accepted is not yet delivered: look into spam too"


def _code(receipt: Receipt, lost: Exception | None) -> ExitCode:
    if receipt.complete:
        return ExitCode.GOOD
    passes = lost is None or (
        words.may_pass(lost)
        if isinstance(lost, ConnectError)
        else isinstance(lost, ConnectionError | TimeoutError)
    )
    return ExitCode.FAULT if receipt.refused or receipt.unknown or not passes else ExitCode.LATER
