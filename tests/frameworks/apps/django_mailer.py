"""Send a message through Django's backend to each port that is named, and print the results."""

from __future__ import annotations

import json
import sys

from django.conf import settings

from tocsin import Attachment, Message, Receipt, SendError, get_handler_class

settings.configure(
    EMAIL_HOST="127.0.0.1",
    EMAIL_HOST_USER="shop",
    EMAIL_HOST_PASSWORD="s3cret",
    DEFAULT_FROM_EMAIL="Shop <shop@example.com>",
    ADMINS=[("Ada", "ada@example.com")],
)
handler = get_handler_class("django").from_config({})
assert handler.recipients == ("ada@example.com",)
message = Message(
    subject="Two errors",
    text="text with an é",
    html="<p>html</p>",
    to=["Ada <ada@example.com>"],
    cc="bo@example.com",
    bcc="cy@example.com",
    reply_to="ops@example.com",
    headers={"X-Tocsin-App": "shop", "Message-ID": "<1@example.com>"},
    attachments=[Attachment(b"a,b\n", filename="a.csv"), Attachment("é", filename="é.txt")],
    inline_attachments=[Attachment(b"PNG", filename="p.png", mimetype="image/png")],
)
part = Message(subject="Rest", text="t", to="ada@example.com, bo@example.com", cc="cy@example.com")
part.recipients = "bo@example.com"
told = []
for port in sys.argv[1:]:
    settings.EMAIL_PORT = int(port)
    error = None
    seen: list[Receipt] = []
    try:
        receipts = handler.send([message, part], deadline=20, on_transaction=seen.append)
    except SendError as raised:
        error, receipts = raised, list(raised.receipts)
    assert [one.message_id for one in seen] == [one.message_id for one in receipts]
    told.append(
        {
            "error": type(error).__name__,
            "text": str(error),
            "receipts": [
                {
                    "accepted": one.accepted,
                    "refused": {name: str(reply) for name, reply in one.refused.items()},
                    "deferred": {name: str(reply) for name, reply in one.deferred.items()},
                    "unknown": one.unknown,
                }
                for one in receipts
            ],
        }
    )
sys.stdout.write(json.dumps(told))
