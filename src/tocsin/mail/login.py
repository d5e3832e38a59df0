"""Logging in: which mechanism, and what is said. One mechanism, one attempt (RFC 4954)."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from tocsin.exceptions import LoginError
from tocsin.mail.receipt import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Exchange = Callable[[str], Reply]

_CONTINUE = 334


def log_in(
    exchange: Exchange,
    offered: Iterable[str],
    username: str,
    *,
    password: str | None = None,
    access_token: str | None = None,
) -> None:
    """Log in with a password or an OAuth token.

    Args:
        exchange: sends a line and returns the reply to it.
        offered: the mechanisms that the server offers.
        username: the account.
        password: for PLAIN (RFC 4616) or LOGIN.
        access_token: for OAUTHBEARER (RFC 7628) or XOAUTH2
            (https://developers.google.com/workspace/gmail/imap/xoauth2-protocol).

    Raises:
        LoginError: the server offers no such mechanism, or refuses.
    """
    names = {name.upper() for name in offered}
    wanted = ("PLAIN", "LOGIN") if access_token is None else ("XOAUTH2", "OAUTHBEARER")
    mechanism = next((name for name in wanted if name in names), None)
    if mechanism is None:
        raise LoginError(
            f"the server offers no login by {' or '.join(wanted)}"
            + (f", only {' '.join(sorted(names))}" if names else "; does it want TLS first?"),
            reply=Reply(None, None, "no common login mechanism"),
        )
    token = f"\0{username}\0{password}"
    if mechanism == "PLAIN":
        reply = exchange("AUTH PLAIN " + _encode(token))
    elif mechanism == "LOGIN":
        reply = exchange("AUTH LOGIN")
        for part in (username, password or ""):
            if reply.code == _CONTINUE:
                reply = exchange(_encode(part))
    else:
        if mechanism == "XOAUTH2":
            token = f"user={username}\1auth=Bearer {access_token}\1\1"
        else:
            name = username.replace("=", "=3D").replace(",", "=2C")
            token = f"n,a={name},\1auth=Bearer {access_token}\1\1"
        reply = exchange(f"AUTH {mechanism} " + _encode(token))
        if reply.code == _CONTINUE:
            # The challenge is the error; the reply comes when it has been acknowledged.
            reply = exchange("AQ==" if mechanism == "OAUTHBEARER" else "")
    if not reply.positive:
        reply = _without(reply, token, password or access_token or "")
        raise LoginError(f"login of {username!r} by {mechanism} failed: {reply}", reply=reply)


def _without(reply: Reply, *secrets: str) -> Reply:
    """Return a reply without secrets: some servers repeat what they were told."""
    text = reply.text
    for secret in filter(None, secrets):
        # As a word: a short one would be found in the middle of others.
        word = rf"(?<!\w)(?:{re.escape(_encode(secret))}|{re.escape(secret)})(?!\w)"
        text = re.sub(word, "***", text)
    return Reply(reply.code, reply.enhanced, text)


def separates(text: str) -> bool:
    """Whether a text has NUL or ^A in it, which stand between the parts of a login."""
    return "\0" in text or "\1" in text


def _encode(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")
