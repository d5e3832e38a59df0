"""Advice for the user: what to do about a server's refusal, or about a failed connection.

The advice is the second half of an error message. It begins with a semicolon, or is a sentence of
its own. It is "" where nothing is known.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin.mail.receipt import Reply

_CERTIFICATES = {  # by OpenSSL's X509_V_ERR_…
    9: "look at the clock of this machine",  # CERT_NOT_YET_VALID
    10: "it has to be renewed there; or look at the clock of this machine",  # CERT_HAS_EXPIRED
    62: "set host to a name that the certificate is for",  # HOSTNAME_MISMATCH
    64: "set host to a name that the certificate is for",  # IP_ADDRESS_MISMATCH
}
_HELLO = re.compile(r"\b(?:HELO|EHLO)\b", re.IGNORECASE)
_TLS = re.compile(r"TLS|SSL|encrypt", re.IGNORECASE)
_LOCAL_HOSTNAME = "set local_hostname to a name of this machine that DNS knows"


def of_reply(reply: Reply) -> str:
    """Return advice about a refusal, from its code and its words."""
    if reply.code in {530, 538}:  # RFC 3207 §4, RFC 4954 §6
        if reply.code == 538 or _TLS.search(reply.text):  # noqa: PLR2004 - as above
            return "; set use_starttls, or use_tls with the port for it"
        return "; the server wants a login: set username and password"
    if not reply.positive and reply.code != 503 and _HELLO.search(reply.text):  # noqa: PLR2004
        return f"; {_LOCAL_HOSTNAME}"  # 503 is about the order of the commands
    return ""


def of_greeting(reply: Reply) -> str:
    """Return advice about a refused EHLO."""
    return of_reply(reply) or f"; if that is about the name in EHLO, {_LOCAL_HOSTNAME}"


def of_login(reply: Reply, password: str, hint: str, *, needs_tls: bool) -> str:
    """Return advice about a login that was refused, or that couldn't be tried.

    Args:
        reply: the server's reply; its `code` is None if the login couldn't be tried.
        password: the password that was used; "" if it was a token.
        hint: what the mail service says about its logins; "" if nothing is known.
        needs_tls: whether the server may offer logins only after TLS has started.
    """
    if reply.code is None:
        return "; does it want TLS first?" if needs_tls else ""
    if found := of_reply(reply):
        return found
    if not reply.final:
        return ""
    if reply.enhanced == "5.7.30":  # Microsoft 365: no passwords any more
        return ". Set access_token: the server accepts OAuth 2 tokens, but no passwords."
    odd = _of_password(password) if reply.code == 535 else ""  # noqa: PLR2004 - a wrong password
    return "".join(f". {sentence}" for sentence in (hint, odd) if sentence)


def _of_password(password: str) -> str:
    """Return what is unusual about a refused password, without showing any part of it."""
    if "\N{NO-BREAK SPACE}" in password:
        odd = "a no-break space"
    elif " " in password:
        odd = "a blank"
    elif any(unicodedata.category(one)[0] in "CZ" for one in password):
        odd = "an invisible character"
    else:
        return ""
    return f"The password has {odd} inside: is that a part of it?"


def of_error(error: OSError, step: str, *, silent: bool) -> str:
    """Return what failed, and advice about it.

    Args:
        error: the error that ended the conversation.
        step: the step that failed, such as "greeting".
        silent: whether the server sent no byte at all.
    """
    import ssl  # noqa: PLC0415 - loaded only for an error

    if isinstance(error, ssl.SSLCertVerificationError):
        advice = _CERTIFICATES.get(error.verify_code, "for a private CA set tls_ca_file")
        return f"the server's certificate is not trusted: {error.verify_message}; {advice}"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).replace("_", " ").lower()
        hint = "if the server speaks STARTTLS, as on port 587, set use_starttls instead of use_tls"
        return f"{step} failed: {reason}" + (f"; {hint}" if step == "TLS" else "")
    reason = error.strerror or str(error)
    if step == "greeting" and silent:
        reason += "; if the server speaks TLS from the start, as on port 465, set use_tls"
    return f"{step} failed: {reason}"
