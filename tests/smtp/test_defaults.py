"""Everything is optional: what happens when nothing is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from peers import on_a_host_of_its_own

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
from tocsin import Message, SMTPEmailHandler
from tocsin.testing import ScriptedSMTPServer

with ScriptedSMTPServer(port={port}) as server:
    {made}.send(Message(from_addr="a@example.com", to="b@example.com"))
print(server.messages[0].recipients)
"""


@pytest.mark.parametrize("made", ["SMTPEmailHandler()", "SMTPEmailHandler.from_config({})"])
def test_without_options_mail_really_goes_to_this_machine(made: str, tmp_path: Path) -> None:
    """As `smtplib` does: `localhost`, port 25, no TLS, no login."""
    program = PROGRAM.replace("{port}", "25").replace("{made}", made)
    assert on_a_host_of_its_own(tmp_path, program) == "('b@example.com',)\n"
