"""Outboxes: the mails of an alert handler with `email: {handler: test}`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from tocsin.handler import AlertHandler
from tocsin.mail.outbox import TestEmailHandler

if TYPE_CHECKING:
    from tocsin.mail.message import Message


def outbox(handler: str) -> list[Message]:
    """Return the mails of an alert handler whose option `email` is `{handler: test}`.

    New groups are sent before, as by `AlertHandler.flush`. The list is the outbox itself: clear it
    to start anew.

    Args:
        handler: the handler's name, which is its key in the `handlers` of `dictConfig`.

    Raises:
        LookupError: there is no alert handler of this name.
        TypeError: its email handler has no outbox.
    """
    handlers = _named()
    if handler not in handlers:
        known = ", ".join(map(repr, sorted(handlers))) or "none"
        raise LookupError(f"no AlertHandler is named {handler!r}; there are: {known}")
    found = handlers[handler]
    if not isinstance(found.email, TestEmailHandler):
        kind = type(found.email).__name__
        raise TypeError(
            f"the AlertHandler {handler!r} sends by a {kind}, which has no outbox; "
            "configure email: {handler: test}"
        )
    found.flush()
    return cast("list[Message]", found.email.outbox)


def _named() -> dict[str, AlertHandler]:
    """Return the alert handlers that have a name."""
    registry: Any = logging._handlers  # type: ignore[attr-defined]  # noqa: SLF001 - getHandlerByName is new in 3.12
    return {
        name: handler
        for name, handler in list(registry.items())
        if isinstance(handler, AlertHandler)
    }
