"""The diagnosis of a server whose greeting failed: does it speak something other than SMTP?

A server of TLS, and one of the web, wait for the client to begin. So a new connection is opened, in
which the client does so. Nothing is sent that belongs to a mail or a login.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Literal

from tocsin.mail.channel import Channel, OutOfStepError
from tocsin.mail.dial import dial

if TYPE_CHECKING:
    from collections.abc import Generator

    from tocsin.exceptions import ConnectError
    from tocsin.mail.target import Target

Protocol = Literal["", "TLS", "HTTP"]
_TIMEOUT = 2.0  # seconds to wait for an answer


def diagnose(error: ConnectError, target: Target, timeout: float = _TIMEOUT) -> Protocol:
    """Return what a server speaks whose greeting was not SMTP; "" if it is not known.

    Args:
        error: why the greeting failed.
        target: the server.
        timeout: the seconds to wait for each answer.
    """
    if isinstance(error.__cause__, OutOfStepError):
        return "HTTP" if _is_of_the_web(error) else ""
    if isinstance(error.__cause__, TimeoutError):
        with contextlib.suppress(OSError):
            if _speaks_tls(target, timeout):
                return "TLS"
            if _speaks_http(target, timeout):
                return "HTTP"
    return ""


def _speaks_tls(target: Target, timeout: float) -> bool:
    import ssl  # noqa: PLC0415 - loaded only where TLS is used

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # whatever the certificate is: it is TLS
    with _connected(target, timeout) as channel:
        try:
            channel.start_tls(context, target.verified_name)
        except (TimeoutError, ConnectionError, ssl.SSLError):
            return False
    return True


def _speaks_http(target: Target, timeout: float) -> bool:
    with _connected(target, timeout) as channel:
        try:
            channel.write(b"QUIT\r\n\r\n")
            channel.reply()
        except OutOfStepError as answer:
            return _is_of_the_web(answer)
    return False


@contextlib.contextmanager
def _connected(target: Target, timeout: float) -> Generator[Channel]:
    sock = dial(target.host, target.port, time.monotonic() + timeout)
    channel = Channel(sock, timeout=timeout)
    try:
        yield channel
    finally:
        channel.close()


def _is_of_the_web(error: Exception) -> bool:
    return any(word in str(error).upper() for word in ("HTTP", "HTML"))
