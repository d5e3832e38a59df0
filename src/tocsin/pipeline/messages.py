"""The messages of digests; the first one loads the templates."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tocsin.forks import ForkGuard, imports, on_fork
from tocsin.mail.address import AddressList

if TYPE_CHECKING:
    from tocsin.alerts.digest import Digest
    from tocsin.alerts.outgoing import Outgoing
    from tocsin.mail.message import Message
    from tocsin.render.sender import Sender
    from tocsin.render.templating import Templates

# The cache of templates has a lock; a child loads them anew, so that no fork waits for a mail.
_rendering = ForkGuard(waits=False)


class Messages:
    """Render the digests of a handler.

    Args:
        sender: the application, and the address that mails come from.
        templates: the templates.
    """

    def __init__(self, sender: Sender, templates: Templates) -> None:
        self._sender = sender
        self._templates = templates

    def of(self, outgoing: Outgoing) -> Message:
        """Return a digest's message, for the recipients to whom it is owed."""
        with _rendering:
            from tocsin.render.page import render  # noqa: PLC0415 - loads with the first mail

            message = render(outgoing.digest, self._sender, self._templates)
        message.recipients = AddressList(outgoing.owed)
        return message

    def plain(self, digest: Digest) -> str:
        """Return a digest as text, where it cannot be mailed."""
        from tocsin.render.page import plain  # noqa: PLC0415 - as above

        return plain(digest, self._sender)


def load() -> None:
    """Load what rendering needs."""
    with imports:
        from tocsin.render import page, templating  # noqa: PLC0415 - as above

        del page
        templating.prepare()


def _after_fork() -> None:
    if _rendering.was_cut and (loaded := sys.modules.get("tocsin.render.templating")) is not None:
        loaded.forget()


on_fork(_after_fork)
