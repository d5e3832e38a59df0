"""The target of a connection: the server, the encryption, the account, and the limits of time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin.mail.pipelining import Pipelining

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True)
class Target:
    """Everything that is needed to open a session.

    Attributes:
        host: the server's name or IP address.
        port: the TCP port.
        tls_context: the context for TLS; None for a connection without TLS.
        starttls: whether TLS starts by the STARTTLS command instead of at once.
        timeout: the seconds that each wait for the server may take.
        local_hostname: the name for EHLO; None for the name of this machine.
        username: the account; None for no login.
        password: returns the password; called at each login.
        access_token: returns an OAuth 2 token, to be used instead of a password; called at each
            login.
        login_mechanism: the login mechanism; None for the first one that the server offers.
        login_hint: advice for a refused login, as a sentence; "" if there is none.
        plaintext_login: whether credentials may be sent over a connection without TLS.
        pipelining: what the handler knows of the server's PIPELINING. Sessions update it.
        pipeline_messages: whether the commands of the next message are sent together with the end
            of this one; None if the server's greeting decides that.
    """

    host: str
    port: int
    tls_context: ssl.SSLContext | None = None
    starttls: bool = False
    timeout: float = 30
    local_hostname: str | None = None
    username: str | None = None
    password: Callable[[], str] | None = field(default=None, repr=False)
    access_token: Callable[[], str] | None = field(default=None, repr=False)
    login_mechanism: str | None = None
    login_hint: str = ""
    plaintext_login: bool = False
    pipelining: Pipelining = field(default_factory=Pipelining)
    pipeline_messages: bool | None = None

    @property
    def verified_name(self) -> str:
        """The host as it is written in a certificate: without a final dot.

        The dot only tells the resolver to look the name up as it is.
        """
        return self.host.removesuffix(".")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"
