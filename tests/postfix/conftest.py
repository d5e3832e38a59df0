"""A real Postfix with a configuration, a queue and ports of its own, on loopback; and Dovecot.

What Postfix takes it relays to a server of the tests, where it can be looked at; Dovecot's
submission proxy stands in front of it. They need Debian's packages `postfix`, `sasl2-bin` and
`dovecot-submissiond`, and root, as their master processes do; where these are missing the tests
are skipped with the reason, but in CI they fail.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from aiosmtpd.controller import Controller

if TYPE_CHECKING:
    from collections.abc import Iterator

POSTFIX = ("postfix", "postconf", "postmap", "saslpasswd2")
DOVECOT = ("dovecot", "doveadm", "/usr/lib/dovecot/submission")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {daemons}
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.example.com
myorigin = example.com
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
relay_domains = example.com
relay_recipient_maps = regexp:{folder}/recipients
relay_transport = relay:[127.0.0.1]:{sink}
relay_destination_recipient_limit = 1000
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {folder}/sasl
smtpd_sasl_local_domain = example.com
smtpd_tls_security_level = may
smtpd_tls_chain_files = {folder}/server.pem
smtpd_error_sleep_time = 0
smtpd_peername_lookup = no
"""
# As Debian has it, without chroot; of the services only those that relaying needs.
MASTER = """
127.0.0.1:{plain} inet n - n - - smtpd
127.0.0.1:{tls} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{login} inet n - n - - smtpd -o smtpd_tls_auth_only=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
relay unix - - n - - smtp
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
PROXY = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = submission
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
hostname = mail.example.com
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
mail_location = maildir:{folder}/home/mail
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/home
}}
service submission-login {{
  inet_listener submission {{
    port = {port}
  }}
}}
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Postfix:
    """The running server: its ports, its CA, its account, and what it has delivered."""

    plain: int
    tls: int
    login: int
    ca: trustme.CA
    username: str
    password: str
    mailbox: Mailbox

    def context(self) -> ssl.SSLContext:
        """Return a context that trusts the server."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context


class Mailbox:
    """Where Postfix delivers: counts the recipients of each message."""

    def __init__(self) -> None:
        self.recipients: Counter[tuple[str, str]] = Counter()
        self.condition = threading.Condition()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        """Note who gets which message."""
        head = envelope.content.decode("utf-8", "replace").partition("\r\n\r\n")[0]
        message_id = head.lower().partition("message-id:")[2].partition("\r\n")[0].strip()
        with self.condition:
            self.recipients.update((message_id, name) for name in envelope.rcpt_tos)
            self.condition.notify_all()
        return "250 2.0.0 kept"

    def of(self, message_id: str, *, expected: int) -> Counter[str]:
        """Wait until so many recipients have a message; return who has it, and how often."""

        def found() -> Counter[str]:
            return Counter(
                {
                    name: count
                    for (message, name), count in self.recipients.items()
                    if message == message_id.lower()
                }
            )

        with self.condition:
            self.condition.wait_for(lambda: found().total() >= expected, timeout=30)
            return found()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _need(name: str, programs: tuple[str, ...]) -> None:
    missing = [program for program in programs if shutil.which(program, path=PATH) is None]
    if missing or os.getuid() != 0:
        reason = f"{name} can't run here: missing {missing}, or not root"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def postfix() -> Iterator[Postfix]:
    """Run Postfix for the session."""
    _need("Postfix", POSTFIX)
    mailbox = Mailbox()
    sink = Controller(mailbox, hostname="127.0.0.1", port=_free_port())
    sink.start()
    folder = Path(tempfile.mkdtemp(prefix="tocsin-postfix-"))
    try:
        yield from _run(folder, sink.port, mailbox)
    finally:
        sink.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def dovecot(postfix: Postfix) -> Iterator[int]:
    """Run Dovecot's submission proxy in front of Postfix; yield its port.

    Everybody can log in, with the password "secret".
    """
    _need("Dovecot", DOVECOT)
    folder = Path(tempfile.mkdtemp(prefix="tocsin-dovecot-"))
    folder.chmod(0o755)
    (folder / "home").mkdir()
    shutil.chown(folder / "home", "nobody")
    port = _free_port()
    config = folder / "dovecot.conf"
    config.write_text(PROXY.format(folder=folder, port=port, relay=postfix.plain))
    try:
        # It listens when the command ends. What it leaves behind would hold a pipe open.
        subprocess.run(
            ["dovecot", "-c", config],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=30,
            env={**os.environ, "PATH": PATH},
        )
        yield port
    finally:
        _tell("doveadm", "-c", str(config), "stop")
        shutil.rmtree(folder)


def _run(folder: Path, sink: int, mailbox: Mailbox) -> Iterator[Postfix]:
    folder.chmod(0o755)  # Postfix's own user looks into it
    ca = trustme.CA()
    certificate = ca.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    server = Postfix(
        plain=_free_port(),
        tls=_free_port(),
        login=_free_port(),
        ca=ca,
        username="alerts@example.com",
        password="Päss wörd",
        mailbox=mailbox,
    )
    names = {
        "folder": folder,
        "sink": sink,
        "daemons": _tell("postconf", "-dh", "daemon_directory"),
    }
    ports = {"plain": server.plain, "tls": server.tls, "login": server.login}
    for name in ("queue", "data", "sasl"):
        (folder / name).mkdir()
    shutil.chown(folder / "data", "postfix")
    (folder / "main.cf").write_text(MAIN.format(**names))
    (folder / "master.cf").write_text(MASTER.format(**ports))
    (folder / "recipients").write_text("/^(good|person)[.0-9]*@/ ok\n")
    (folder / "sasl" / "smtpd.conf").write_text(
        "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n"
        f"sasldb_path: {folder}/sasl/sasldb2\n"
    )
    _tell(
        *("saslpasswd2", "-p", "-c", "-f", f"{folder}/sasl/sasldb2", "-u", "example.com", "alerts"),
        given=server.password,
    )
    shutil.chown(folder / "sasl" / "sasldb2", "postfix")
    _tell("postfix", "-c", str(folder), "start")
    try:
        yield server
    finally:
        _tell("postfix", "-c", str(folder), "stop")


def _tell(*command: str, given: str = "") -> str:
    done = subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "PATH": PATH},
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()
