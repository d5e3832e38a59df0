"""What a server bears of PIPELINING (RFC 2920): which commands may leave ahead of replies.

A transaction's own commands leave in one flight wherever PIPELINING is offered. If the server loses
them, it has no message yet, and they are sent again.

The next transaction's commands may ride behind the final dot of this one (RFC 2920 §3.1), but not
every server that offers PIPELINING bears that: Haraka refuses such commands (GHSA-rp4q-8m6x-c43c),
and Dovecot 2.3's submission proxy crashes at them before it has answered the dot, which leaves the
message's outcome unknown. Trying it out could cost just that. So commands ride only where the
greeting names a server that bears it, or where the user says so, and never again with a handler
that has seen it go wrong.
"""

from __future__ import annotations

import re

# Each greets with its own name, unless an administrator or a proxy in front has chosen another one,
# and takes the next transaction's commands behind the final dot.
#   Postfix: https://www.postfix.org/postconf.5.html#smtpd_banner
#   Exim: https://www.exim.org/exim-html-current/doc/html/spec_html/ch-main_configuration.html
#     (smtp_banner; its test suite sends MAIL behind the dot)
#   Sendmail: SmtpGreetingMessage in doc/op/op.me of its sources; "ESMTP" is put behind the host
_BEARS_RIDES = re.compile(r"\S+ ESMTP (?:Postfix|Exim|Sendmail)\b")


class Pipelining:
    """What a handler has learned of its server; shared by its sessions.

    Attributes:
        flights: whether a transaction's commands leave together; until the server turns out to
            offer PIPELINING and to lose what comes early.
        rides: whether the next transaction's commands may leave with a final dot; until the server
            refuses such commands, or is lost while they are on their way.
    """

    def __init__(self) -> None:
        self.flights: bool = True
        self.rides: bool = True


def bears_rides(greeting: str) -> bool:
    """Return whether a server's greeting names one that takes commands behind the final dot."""
    return _BEARS_RIDES.match(greeting) is not None
