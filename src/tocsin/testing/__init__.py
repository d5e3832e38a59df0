"""For tests: a real SMTP server on loopback that does what a script says."""

from __future__ import annotations

from tocsin.testing.script import Act, Drip, ReceivedMessage, SMTPConnection
from tocsin.testing.smtp import ScriptedSMTPServer

__all__ = ["Act", "Drip", "ReceivedMessage", "SMTPConnection", "ScriptedSMTPServer"]
