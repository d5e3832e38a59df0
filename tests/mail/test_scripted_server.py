"""The scripted server itself: what a user's test relies on."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import trustme

from tocsin.testing import ScriptedSMTPServer

if TYPE_CHECKING:
    from io import BufferedReader


def dialled(server: ScriptedSMTPServer) -> tuple[socket.socket, BufferedReader]:
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    return sock, sock.makefile("rb")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("implicit", [True, False])
def test_client_in_the_middle_of_a_handshake_does_not_hold_the_end(implicit: bool) -> None:
    """A test whose client stalls ends like any other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with ScriptedSMTPServer(tls_context=context, tls=implicit) as server:
        sock, reader = dialled(server)
        if not implicit:
            sock.sendall(b"STARTTLS\r\n")
            assert reader.readline().startswith(b"220")
            assert reader.readline().startswith(b"220")
        else:
            sock.sendall(b"\x16\x03\x01")  # the first bytes of a handshake, and no more
    reader.close()
    sock.close()
    assert not [one for one in threading.enumerate() if one.name == "scripted-smtp"]


def test_dots_that_smtp_adds_are_taken_away_and_missing_ones_show() -> None:
    """RFC 5321 §4.5.2: one dot goes from each line that begins with one."""
    with ScriptedSMTPServer() as server:
        sock, reader = dialled(server)
        with sock, reader:
            sock.sendall(b"EHLO x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n")
            while not reader.readline().startswith(b"354"):
                pass
            sock.sendall(b"..stuffed\r\n.unstuffed\r\n...\r\n.\r\n")
            assert reader.readline().startswith(b"250")
    assert server.messages[0].data == b".stuffed\r\nunstuffed\r\n..\r\n"


def test_the_command_prints_its_port_and_how_it_is_used() -> None:
    command = [sys.executable, "-m", "tocsin.testing"]
    served = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    assert 0 < int(served.stdout) < 65_536
    told = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("usage: python -m tocsin.testing [-h] [port]")
