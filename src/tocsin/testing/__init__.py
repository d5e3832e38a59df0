"""Tools for tests: a scripted SMTP server, the simulation of a policy, the contract of a store."""

from __future__ import annotations

import sys

if "pytest" in sys.modules:  # so that a failed rule shows its values
    sys.modules["pytest"].register_assert_rewrite("tocsin.testing.store_contract")

from tocsin.pipeline.leftovers import forget_alerts
from tocsin.testing.script import Act, Drip, ReceivedMessage, SMTPConnection
from tocsin.testing.simulate import SimulatedMail, simulate
from tocsin.testing.smtp import ScriptedSMTPServer
from tocsin.testing.store_contract import StoreContract

__all__ = [
    "Act",
    "Drip",
    "ReceivedMessage",
    "SMTPConnection",
    "ScriptedSMTPServer",
    "SimulatedMail",
    "StoreContract",
    "forget_alerts",
    "simulate",
]
