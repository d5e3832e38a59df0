"""The public API as type checkers see it; mypy and pyright read this file, nothing runs it."""

from __future__ import annotations

import logging  # noqa: TC003 - everything here is for type checkers
from collections.abc import Mapping
from email.message import EmailMessage
from typing import Any, assert_type

from tocsin import (
    Address,
    AddressList,
    AlertHandler,
    Attachment,
    ConnectError,
    EmailHandler,
    Message,
    Policy,
    Receipt,
    Reply,
    SendError,
    SMTPEmailHandler,
    Stats,
    TestEmailHandler,
    get_handler_class,
    prepare_address,
)
from tocsin.testing import Alerts, ScriptedSMTPServer, outbox

smtp = SMTPEmailHandler(host="localhost", use_starttls=True, password=lambda: "secret")
assert_type(SMTPEmailHandler.from_config({"provider": "gmail"}), SMTPEmailHandler)
message = Message(to="a@example.com", cc=["b@example.com", Address("B", "b", "example.com")])
message.to.append("c@example.com")
message.bcc = "d@example.com, e@example.com"
assert_type(message.to, AddressList)
assert_type(message.to_mime(), EmailMessage[Any, Any])
assert_type(Message.from_mime(message.to_mime()), Message)
assert_type(prepare_address("a@example.com"), Address)
assert_type(smtp.send([message, message.to_mime()]), list[Receipt])
assert_type(Attachment(b"", filename="a.png").cid, str)
assert_type(get_handler_class("smtp"), type[EmailHandler])
with smtp.connect() as connected:
    assert_type(connected, SMTPEmailHandler)

receipt = smtp.send(message)[0]
assert_type(receipt.accepted, tuple[str, ...])
assert_type(receipt.refused, Mapping[str, Reply])
error = SendError("", receipts=[receipt])
assert_type(error.receipts, tuple[Receipt, ...])
assert_type(ConnectError("", reply=Reply(None, None, "")).reply, Reply)

handler = AlertHandler(to="a@example.com", email=TestEmailHandler(), policy=Policy(group_wait=1))
assert_type(handler.stats, Stats)
as_logging: logging.Handler = handler
assert_type(handler.email, EmailHandler)


def test_alerts(alerts: Alerts, smtp_server: ScriptedSMTPServer) -> None:
    assert_type(alerts.mails[0], Message)
    assert_type(alerts.of("pager").groups[0].count, int)
    alerts.clock.advance(minutes=15)
    assert_type(outbox("pager"), list[Message])
    assert_type(smtp_server.outbox, list[EmailMessage])


async def main() -> None:
    assert_type(await smtp.send_async(message), list[Receipt])


AlertHandler(to="a@example.com", grop_wait=3)  # type: ignore[arg-type] # an unknown option
