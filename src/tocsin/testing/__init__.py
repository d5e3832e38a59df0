"""For tests: a real SMTP server on loopback that does what a script says."""

from __future__ import annotations

from tocsin.testing.smtp import Act, Drip, ReceivedMessage, ScriptedSMTPServer, SMTPConnection

__all__ = ["Act", "Drip", "ReceivedMessage", "SMTPConnection", "ScriptedSMTPServer"]
