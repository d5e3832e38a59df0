"""Who the SMTP core talks to in these tests, and a host of its own to do it on."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import coverage
import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from tocsin import Message, SMTPEmailHandler

if TYPE_CHECKING:
    from pathlib import Path

    import trustme

FROM, TO = "alerts@example.com", "oncall@example.com"

# What a program needs to have a host of its own: interfaces up, other addresses, other files.
_HOST = """
import fcntl, os, pathlib, socket, struct, subprocess, sys
sys.path.insert(0, {folder!r})

def configure(name, address=None):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if address is not None:
            packed = struct.pack("<16sH2x4s8x", name.encode(), socket.AF_INET,
                                 socket.inet_aton(address))
            fcntl.ioctl(sock, 0x8916, packed)  # SIOCSIFADDR
        fcntl.ioctl(sock, 0x8914, struct.pack("<16sh", name.encode(), 0x1 | 0x40))  # SIOCSIFFLAGS

def replace(path, text):
    mine = pathlib.Path({folder!r}, "etc-" + pathlib.Path(path).name)
    mine.write_text(text)
    subprocess.run(["mount", "--bind", str(mine), path], check=True)

configure("lo")
"""


def mail(**given: Any) -> Message:
    """Return a message."""
    return Message(**{"subject": "s", "text": "t", "from_addr": FROM, "to": [TO], **given})


def on_a_host_of_its_own(folder: Path, program: str) -> str:
    """Run a program where ports, addresses, host name and /etc are its own; return its output.

    In it, `configure(interface, address)` adds an address and `replace(path, text)` sets a file.
    """
    unshare = shutil.which("unshare")
    command = [unshare or "unshare", "--net", "--mount", "--uts"]
    if os.getuid() != 0:
        command.append("--map-root-user")
    if unshare is None or subprocess.run([*command, "true"], check=False).returncode != 0:
        reason = "network namespaces can't be made here"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    program = _measured() + _HOST.format(folder=str(folder)) + program
    done = subprocess.run(
        [*command, sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _measured() -> str:
    """Return what makes a program count in the coverage that is being measured, if it is."""
    measuring = coverage.Coverage.current()
    if measuring is None:
        return ""
    options = {"data_file": measuring.config.data_file, "data_suffix": True}
    return f"""
import atexit, coverage
measuring = coverage.Coverage(**{options}, config_file={measuring.config.config_file!r})
measuring.start()
atexit.register(measuring.save)
"""


@dataclass
class TLSServer:
    """aiosmtpd, TLS from the start, one account; takes nothing without a login."""

    port: int = 0
    username: str = FROM
    password: str = "pässwörd"
    mails: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    def handler(self, client_tls: ssl.SSLContext, **given: Any) -> SMTPEmailHandler:
        """Return what sends to it."""
        options = {"host": "localhost", "timeout": 5, "use_tls": True, "tls_context": client_tls}
        login = {"username": self.username, "password": self.password}
        return SMTPEmailHandler(**{**options, **login, "port": self.port, **given})

    async def handle_DATA(self, _server: Any, session: Any, envelope: Any) -> str:
        if not session.authenticated:
            return "530 5.7.0 log in first"
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 2.0.0 kept"

    def check(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        right = (self.username.encode(), self.password.encode()) == (data.login, data.password)
        self.logins.append(data.login.decode())
        return AuthResult(success=right, handled=False)


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return what a server with this certificate uses."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
