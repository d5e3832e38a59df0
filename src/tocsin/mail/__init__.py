"""The core: messages, and the email handlers that send them. It knows nothing of logging.

Each name loads its module when it is first used (PEP 562), so that addresses don't load SMTP.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from email.headerregistry import Address

    from tocsin.mail.address import AddressList, prepare_address
    from tocsin.mail.attachment import Attachment
    from tocsin.mail.base import EmailHandler, get_handler_class
    from tocsin.mail.message import Message
    from tocsin.mail.outbox import TestEmailHandler
    from tocsin.mail.receipt import Receipt, Reply
    from tocsin.mail.smtp import SMTPEmailHandler

__all__ = [
    "Address",
    "AddressList",
    "Attachment",
    "EmailHandler",
    "Message",
    "Receipt",
    "Reply",
    "SMTPEmailHandler",
    "TestEmailHandler",
    "get_handler_class",
    "prepare_address",
]

_MODULES = {
    "Address": "address",
    "AddressList": "address",
    "Attachment": "attachment",
    "EmailHandler": "base",
    "Message": "message",
    "Receipt": "receipt",
    "Reply": "receipt",
    "SMTPEmailHandler": "smtp",
    "TestEmailHandler": "outbox",
    "get_handler_class": "base",
    "prepare_address": "address",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tocsin.mail' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"tocsin.mail.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
