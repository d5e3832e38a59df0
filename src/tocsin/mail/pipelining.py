"""The use of PIPELINING (RFC 2920): which commands may be sent before earlier ones are answered.

A transaction's own commands are sent together wherever the server offers PIPELINING. If the server
loses them, it has no message yet, and the client sends them again.

The commands of the next transaction may "ride", that is, be sent together with the final dot of
this one (RFC 2920 §3.1). Not every server that offers PIPELINING copes with that: Haraka refuses
such commands (GHSA-rp4q-8m6x-c43c), and the submission proxy of Dovecot 2.3 crashes before it has
answered the final dot, so that the client can't know whether the message was accepted. A trial
could cost exactly this. So commands ride only if the server's greeting names a program that copes
with it, or if the user asks for it. After the first failure, the handler never does it again.
"""

from __future__ import annotations

import re

# Each of these programs names itself in its greeting (unless an administrator, or a proxy in front
# of it, has changed the greeting), and accepts the next transaction's commands with the final dot.
#   Postfix: https://www.postfix.org/postconf.5.html#smtpd_banner
#   Exim: https://www.exim.org/exim-html-current/doc/html/spec_html/ch-main_configuration.html
#     (smtp_banner; its test suite sends MAIL behind the dot)
#   Sendmail: SmtpGreetingMessage in doc/op/op.me of its sources; "ESMTP" is put behind the host
_ALLOWS_RIDES = re.compile(r"\S+ ESMTP (?:Postfix|Exim|Sendmail)\b")


class Pipelining:
    """What a handler has learned about its server's PIPELINING. All its sessions share it.

    Attributes:
        flights: whether a transaction's commands are sent together; false once a connection was
            lost while such commands were unanswered.
        rides: whether the next transaction's commands may be sent with a final dot; false once the
            server has refused such commands, or the connection was lost while they were unanswered.
    """

    def __init__(self) -> None:
        self.flights: bool = True
        self.rides: bool = True


def allows_rides(greeting: str) -> bool:
    """Return whether a server's greeting names a program that accepts commands behind a final dot.

    Args:
        greeting: the text of the server's 220 reply.
    """
    return _ALLOWS_RIDES.match(greeting) is not None
