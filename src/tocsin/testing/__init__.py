"""Tools for tests: alerts, outboxes, an SMTP server, a policy's simulation, a store's contract."""

from __future__ import annotations

import sys

if "pytest" in sys.modules:  # so that a failed rule shows its values
    sys.modules["pytest"].register_assert_rewrite("tocsin.testing.store_contract")

from tocsin.pipeline.leftovers import forget_alerts
from tocsin.testing.alerts import AlertClock, AlertGroup, Alerts
from tocsin.testing.outboxes import outbox
from tocsin.testing.script import Act, Drip, ReceivedMessage, SMTPConnection
from tocsin.testing.simulate import SimulatedMail, simulate
from tocsin.testing.smtp import ScriptedSMTPServer
from tocsin.testing.store_contract import StoreContract

__all__ = [
    "Act",
    "AlertClock",
    "AlertGroup",
    "Alerts",
    "Drip",
    "ReceivedMessage",
    "SMTPConnection",
    "ScriptedSMTPServer",
    "SimulatedMail",
    "StoreContract",
    "forget_alerts",
    "outbox",
    "simulate",
]
