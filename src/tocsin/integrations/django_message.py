"""A message as Django's, for its backends for mail."""

from __future__ import annotations

import importlib
from email import encoders
from email.mime.base import MIMEBase
from typing import TYPE_CHECKING, Any

from tocsin.mail.address import one_line
from tocsin.mail.message import Message
from tocsin.mail.plaintext import html_to_text

if TYPE_CHECKING:
    from email.headerregistry import Address

    from tocsin.mail.attachment import Attachment
    from tocsin.mail.envelope import Envelope


def django_message(envelope: Envelope, default_from: Address) -> Any:
    """Return the message of an envelope as Django's `EmailMultiAlternatives`.

    Args:
        envelope: the message, and the recipients to which it is sent now.
        default_from: the sender of a message without one.
    """
    given = envelope.message
    message = given if isinstance(given, Message) else Message.from_mime(given)
    headers = {name: one_line(value) for name, value in message.headers.items()}
    if not any(name.lower() == "message-id" for name in headers):
        headers["Message-ID"] = envelope.message_id
    to, cc, bcc = ([str(one) for one in part] for part in (message.to, message.cc, message.bcc))
    everyone = [one.addr_spec for one in (*message.to, *message.cc, *message.bcc)]
    if set(envelope.recipients) != set(everyone):  # the others have the message
        headers["To"] = ", ".join(to) or "undisclosed-recipients:;"
        if cc:
            headers["Cc"] = ", ".join(cc)
        to, cc, bcc = [], [], list(envelope.recipients)
    text = message.text
    made = importlib.import_module("django.core.mail").EmailMultiAlternatives(
        subject=one_line(message.subject),
        body=text if text is not None else html_to_text(message.html or ""),
        from_email=str(message.from_addr or default_from),
        to=to,
        cc=cc,
        bcc=bcc,
        reply_to=[str(one) for one in message.reply_to],
        headers=headers,
    )
    if message.html is not None:
        made.attach_alternative(message.html, "text/html")
    for file in message.attachments:
        made.attach(file.filename, _content(file), _type(file))
    for file in message.inline_attachments:
        made.attach(_inline(file))
    return made


def _type(file: Attachment) -> str:
    return file.mimetype.partition(";")[0].strip()


def _content(file: Attachment) -> bytes | str:
    """Return the content: as text where Django would encode it as text."""
    if _type(file).startswith("text/"):
        return file.data.decode("utf-8", "replace")
    return file.data


def _inline(file: Attachment) -> MIMEBase:
    part = MIMEBase(*_type(file).split("/", 1))
    part.set_payload(file.data)
    encoders.encode_base64(part)
    part["Content-ID"] = f"<{file.cid}>"
    part.add_header("Content-Disposition", "inline", filename=file.filename or "")
    return part
