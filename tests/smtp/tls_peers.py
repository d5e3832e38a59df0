"""Certificates that live for a run, and a server with TLS from the start and a login.

A plug-in that test modules name, and no `conftest`: the type checker wants one module of a name.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trustme
from aiosmtpd.controller import Controller
from peers import TLSServer, free_port, server_context

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(ca: trustme.CA) -> ssl.SSLContext:
    """For a server that is `localhost` and 127.0.0.1."""
    return server_context(ca.issue_cert("localhost", "127.0.0.1"))


@pytest.fixture(scope="session")
def client_tls(ca: trustme.CA) -> ssl.SSLContext:
    """For a client that trusts the servers of these tests."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


@pytest.fixture
def tls_server(server_tls: ssl.SSLContext) -> Iterator[TLSServer]:
    server = TLSServer(port=free_port())
    controller = Controller(
        server,
        hostname="127.0.0.1",
        port=server.port,
        ssl_context=server_tls,
        authenticator=server.check,
        auth_require_tls=False,  # aiosmtpd knows of STARTTLS only
    )
    controller.start()
    yield server
    controller.stop()
