"""For tests: an SMTP server that does what a script says, and what a policy would have sent."""

from __future__ import annotations

from tocsin.testing.script import Act, Drip, ReceivedMessage, SMTPConnection
from tocsin.testing.simulate import SimulatedMail, simulate
from tocsin.testing.smtp import ScriptedSMTPServer

__all__ = [
    "Act",
    "Drip",
    "ReceivedMessage",
    "SMTPConnection",
    "ScriptedSMTPServer",
    "SimulatedMail",
    "simulate",
]
