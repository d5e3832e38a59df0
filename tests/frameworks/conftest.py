"""What all tests of frameworks have: a mail server, and the table of what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from programs import Mails

from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[ScriptedSMTPServer]:
    with ScriptedSMTPServer() as server:
        yield server


@pytest.fixture
def mails(server: ScriptedSMTPServer) -> Mails:
    return Mails(server)
