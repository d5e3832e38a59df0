"""Login mechanisms: which one is used, and what each of them sends (RFC 4954).

A password is tried once. The client tries another mechanism only if the server replies that it
doesn't know the first one: the server would refuse a wrong password again, and lock the account
sooner.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import TYPE_CHECKING

from tocsin.exceptions import LoginError
from tocsin.mail.receipt import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Exchange = Callable[[str], Reply]

_CONTINUE = 334
_UNKNOWN = (500, 502, 504)  # an unknown command or mechanism; the server has checked no password


def log_in(
    exchange: Exchange,
    offered: Iterable[str],
    username: str,
    *,
    password: str | None = None,
    access_token: str | None = None,
    mechanism: str | None = None,
) -> str:
    """Log in with a password or an OAuth token.

    Args:
        exchange: sends a line, and returns the reply to it.
        offered: the mechanisms that the server offers.
        username: the account.
        password: for PLAIN (RFC 4616), LOGIN or, if the server offers neither, CRAM-MD5 (RFC 2195).
        access_token: for OAUTHBEARER (RFC 7628) or XOAUTH2
            (https://developers.google.com/workspace/gmail/imap/xoauth2-protocol).
        mechanism: the mechanism to use; by default the first of these that the server offers.

    Returns:
        The mechanism that was used.

    Raises:
        LoginError: the server offers no such mechanism, or refuses the login.
    """
    mechanisms = PASSWORD_MECHANISMS if access_token is None else TOKEN_MECHANISMS
    secret = (access_token if password is None else password) or ""
    name, *others = _usable([name for name in mechanisms if mechanism in {None, name}], offered)
    while True:
        sent: list[str] = []
        reply = mechanisms[name](_recorded(exchange, name, sent), username, secret)
        if reply.positive:
            return name
        if reply.code not in _UNKNOWN or not others:
            break
        name, *others = others
    reply = _without(reply, secret, *sent)
    raise LoginError(f"login of {username!r} by {name} failed: {reply}", reply=reply)


def _usable(wanted: list[str], offered: Iterable[str]) -> list[str]:
    """Return the wanted mechanisms that the server offers; none is an error."""
    names = {name.upper() for name in offered}
    usable = [name for name in wanted if name in names]
    if not usable:
        raise LoginError(
            f"the server offers no login by {_listed(wanted)}"
            + (f", only {' '.join(sorted(names))}" if names else ""),
            reply=Reply(None, None, "no common login mechanism"),
        )
    return usable


def _listed(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _recorded(exchange: Exchange, name: str, sent: list[str]) -> Exchange:
    """Return an exchange that also adds the lines to a list, without the AUTH command."""

    def say(line: str) -> Reply:
        sent.append(line.removeprefix(f"AUTH {name}").strip())
        return exchange(line)

    return say


def _plain(exchange: Exchange, username: str, password: str) -> Reply:
    response = _encode(f"\0{username}\0{password}")
    reply = exchange(f"AUTH PLAIN {response}")
    # Some servers ignore the initial response in the command, and ask for it (RFC 4954 §4).
    return exchange(response) if reply.code == _CONTINUE else reply


def _login(exchange: Exchange, username: str, password: str) -> Reply:
    reply = exchange("AUTH LOGIN")
    for part in (username, password):
        if reply.code == _CONTINUE:
            reply = exchange(_encode(part))
    return reply


def _cram_md5(exchange: Exchange, username: str, password: str) -> Reply:
    reply = exchange("AUTH CRAM-MD5")
    if reply.code != _CONTINUE:
        return reply
    try:
        challenge = base64.b64decode(reply.text)
        digest = hmac.digest(password.encode("utf-8"), challenge, "md5").hex()
    except ValueError as error:  # no base64; or a Python without MD5, as FIPS 140 demands
        raise LoginError(f"login by CRAM-MD5 can't be made: {error}", reply=reply) from None
    return exchange(_encode(f"{username} {digest}"))


def _xoauth2(exchange: Exchange, username: str, token: str) -> Reply:
    reply = exchange("AUTH XOAUTH2 " + _encode(f"user={username}\1auth=Bearer {token}\1\1"))
    # The challenge holds the error; the server sends its reply after an empty response.
    return exchange("") if reply.code == _CONTINUE else reply


def _oauthbearer(exchange: Exchange, username: str, token: str) -> Reply:
    name = username.replace("=", "=3D").replace(",", "=2C")
    response = _encode(f"n,a={name},\1auth=Bearer {token}\1\1")
    reply = exchange(f"AUTH OAUTHBEARER {response}")
    return exchange("AQ==") if reply.code == _CONTINUE else reply  # as above


# In the order of preference.
PASSWORD_MECHANISMS = {"PLAIN": _plain, "LOGIN": _login, "CRAM-MD5": _cram_md5}
TOKEN_MECHANISMS = {"XOAUTH2": _xoauth2, "OAUTHBEARER": _oauthbearer}


def _without(reply: Reply, *secrets: str) -> Reply:
    """Return a reply without the secrets: some servers repeat what the client has sent."""
    text = reply.text
    for secret in filter(None, secrets):
        # Whole words only: a short secret would be found in the middle of ordinary words.
        word = rf"(?<!\w)(?:{re.escape(_encode(secret))}|{re.escape(secret)})(?!\w)"
        text = re.sub(word, "***", text)
    return Reply(reply.code, reply.enhanced, text)


def has_separator(text: str) -> bool:
    """Return whether a text contains NUL or ^A, which separate the parts of a login."""
    return "\0" in text or "\1" in text


def _encode(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")
