"""A server whose greeting fails may be one of the web, or one that wants TLS from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conversations import target_for

from tocsin import ConnectError
from tocsin.mail.diagnosis import diagnose
from tocsin.mail.opening import open_conversation
from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    import ssl

pytest_plugins = ("tls_peers",)
HTTP = b"HTTP/1.1 400 Bad Request\r\n\r\n"


def failure(server: ScriptedSMTPServer) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        open_conversation(target_for(server, timeout=0.2))
    return caught.value


@pytest.mark.parametrize(
    ("greetings", "found"),
    [
        ([HTTP], "HTTP"),
        ([Act.SILENCE, HTTP, HTTP], "HTTP"),
        ([Act.SILENCE, HTTP, b"<!doctype html>\r\n"], "HTTP"),
        ([Act.SILENCE, Act.SILENCE, "220 slow.test ESMTP"], ""),
        ([Act.SILENCE, Act.SILENCE, Act.SILENCE], ""),
        (["554 5.3.2 not now"], ""),
        ([b"SSH-2.0-OpenSSH\r\n"], ""),
    ],
)
def test_a_web_server_is_known_by_its_answer(greetings: list[Any], found: str) -> None:
    with ScriptedSMTPServer({"connect": greetings}) as server:
        error = failure(server)
        assert diagnose(error, target_for(server), timeout=0.2) == found


def test_a_server_that_wants_tls_is_known_by_its_handshake(server_tls: ssl.SSLContext) -> None:
    with ScriptedSMTPServer(tls=True, tls_context=server_tls) as server:
        error = failure(server)
        assert diagnose(error, target_for(server)) == "TLS"
    assert all(connection.commands == [] for connection in server.connections)


def test_nothing_is_known_of_a_server_that_is_gone() -> None:
    with ScriptedSMTPServer({"connect": Act.SILENCE}) as server:
        error = failure(server)
    assert diagnose(error, target_for(server)) == ""
