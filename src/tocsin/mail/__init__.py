"""The core: messages and how they are sent. It knows nothing of logging."""

from __future__ import annotations

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
