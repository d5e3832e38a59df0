"""How a conversation begins: connection, greeting, EHLO, TLS. Each test is a server's behaviour."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from peers import TO, TLSServer, free_port, mail, on_a_host_of_its_own, server_context

from tocsin import ConnectError, Reply, SendError, SMTPEmailHandler
from tocsin.mail import opening
from tocsin.mail.host import own_name
from tocsin.mail.opening import open_conversation
from tocsin.mail.target import Target
from tocsin.testing import Act, Drip, ScriptedSMTPServer

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.testing.script import Action, Script

pytest_plugins = ("tls_peers",)


def handler(server: ScriptedSMTPServer | int, **given: Any) -> SMTPEmailHandler:
    """Return what sends to the server."""
    port = server if isinstance(server, int) else server.port
    return SMTPEmailHandler(**{"host": "127.0.0.1", "port": port, "timeout": 5, **given})


def refusal(client: SMTPEmailHandler) -> ConnectError:
    """Try to open a conversation; return why it can't be."""
    with pytest.raises(ConnectError) as caught, client.connect():
        pass
    return caught.value


def said(script: Script, **given: Any) -> tuple[str, Reply, list[str]]:
    """Return the error without host and port, its reply, and the commands that the server saw."""
    with ScriptedSMTPServer(script) as server:
        error = refusal(handler(server, **given))
        prefix = f"127.0.0.1:{server.port}: "
    assert str(error).startswith(prefix)
    return str(error).removeprefix(prefix), error.reply, server.connections[0].commands


USE_TLS = "; if the server speaks TLS from the start, as on port 465, set use_tls"
EHLO_NAME = "set local_hostname to a name of this machine that DNS knows"
IF_NAME = f"; if that is about the name in EHLO, {EHLO_NAME}"

# Connecting


def test_a_refused_connection_is_an_error_that_names_the_server() -> None:
    port = free_port()
    error = refusal(handler(port))
    text = f"127.0.0.1:{port}: connecting failed: Connection refused"
    assert str(error) == text
    assert error.reply == Reply(None, None, text)
    assert isinstance(error.__cause__, ConnectionRefusedError)


def test_without_a_connection_everybody_is_deferred() -> None:
    with pytest.raises(SendError) as caught:
        handler(free_port()).send(mail())
    (receipt,) = caught.value.receipts
    assert list(receipt.deferred) == [TO]
    assert receipt.deferred[TO].code is None


@pytest.mark.parametrize("greeting", [Act.SILENCE, b"220 no end", Drip(b"220-x\r\n", 0.05)])
def test_a_greeting_that_does_not_come_is_not_waited_for(greeting: Action) -> None:
    """A byte now and then, or a line, must not hold the client."""
    before = time.monotonic()
    text, reply, commands = said({"connect": greeting}, timeout=0.3)
    assert text == "greeting failed: timed out" + (USE_TLS if greeting is Act.SILENCE else "")
    assert 0.25 < time.monotonic() - before < 2
    assert reply.code is None
    assert commands == []


def test_connection_and_tls_have_ten_seconds_whatever_the_time_out(
    monkeypatch: pytest.MonkeyPatch, client_tls: ssl.SSLContext
) -> None:
    """A server that isn't there is not worth a mail's time."""
    assert opening.OPENING == 10
    monkeypatch.setattr(opening, "OPENING", 0.3)
    before = time.monotonic()
    text, _, _ = said({"connect": Act.SILENCE}, timeout=60, use_tls=True, tls_context=client_tls)
    assert text == "TLS failed: timed out"
    assert time.monotonic() - before < 2


@pytest.mark.parametrize("blank", [b"", b"\r\n"])
def test_a_greeting_may_take_as_long_as_the_time_out(
    blank: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers that look at the client first greet after 12 to 20 s (Postfix's postscreen, Exim)."""
    monkeypatch.setattr(opening, "OPENING", 0.1)
    late = threading.Event()
    timer = threading.Timer(0.5, late.set)
    with ScriptedSMTPServer({"connect": (blank, late, "220 at last")}) as server:
        timer.start()
        handler(server).send(mail())
        timer.join()
    assert len(server.messages) == 1


def test_all_that_follows_the_greeting_has_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    assert opening.LOGIN == 60
    monkeypatch.setattr(opening, "LOGIN", 0.3)
    before = time.monotonic()
    assert said({"EHLO": Act.SILENCE}, timeout=60)[0] == "EHLO failed: timed out"
    assert time.monotonic() - before < 2


def test_the_deadline_of_the_call_ends_the_opening_too() -> None:
    before = time.monotonic()
    with ScriptedSMTPServer({"EHLO": Act.SILENCE}) as server, pytest.raises(SendError):
        handler(server, timeout=60).send(mail(), deadline=0.3)
    assert time.monotonic() - before < 2


@pytest.mark.parametrize("code", [421, 450, 521, 554])
def test_a_server_that_refuses_the_connection_is_told_nothing(code: int) -> None:
    """RFC 5321 §3.1: 554 instead of a greeting; RFC 7504: 521."""
    text, reply, commands = said({"connect": f"{code} 5.3.2 go away"})
    assert text == f"the server refuses the connection: {code} 5.3.2 go away"
    assert reply == Reply(code, "5.3.2", "go away")
    assert commands == []


@pytest.mark.parametrize("greeting", ["hello", "SSH-2.0-OpenSSH_9.2", "HTTP/1.1 400 Bad Request"])
def test_what_is_no_smtp_server_is_told_nothing(greeting: str) -> None:
    text, _, commands = said({"connect": greeting})
    assert text == f"greeting failed: not an SMTP reply: {greeting.encode()!r}"
    assert commands == []


@pytest.mark.parametrize(
    ("greeting", "hint"), [(Act.CLOSE, USE_TLS), (("220-half", Act.CLOSE), "")]
)
def test_a_server_that_hangs_up_is_an_error_that_says_what_may_help(
    greeting: Action, hint: str
) -> None:
    """A server with TLS from the start says nothing until it gives up waiting for the client."""
    text, _, _ = said({"connect": greeting})
    assert text == "greeting failed: the server closed the connection" + hint


@pytest.mark.parametrize("extra", [b"421 4.3.2 going down\r\n", b"250 what?\r\n", b"junk"])
def test_what_stands_unread_before_a_command_ends_the_conversation(extra: bytes) -> None:
    """RFC 5321 §4.3.1: the server waits for the client; else each reply belongs to another one."""
    text, _, commands = said({"connect": b"220 hello\r\n" + extra})
    assert text == "EHLO failed: the server has sent a reply to no command, or hung up"
    assert commands == []


def test_the_greeting_may_have_any_bytes() -> None:
    """Only its code decides (RFC 5321 §4.3.1); the client goes on with EHLO."""
    greeting = b"220-\xff\xfe\r\n220 \x00\x1b[31m\r\n"
    with ScriptedSMTPServer({"connect": greeting}) as server, handler(server).connect():
        assert server.connections[0].commands[0].startswith("EHLO ")


def test_an_error_holds_nothing_that_moves_a_terminal() -> None:
    text, _, _ = said({"connect": b"554 \x1b[2J\x07no\r\n"})
    assert text == "the server refuses the connection: 554 [2J no"


# EHLO


def greeted_as(**given: Any) -> str:
    with ScriptedSMTPServer() as server, handler(server, **given).connect():
        return server.connections[0].commands[0]


def test_the_name_for_ehlo_is_an_option() -> None:
    assert greeted_as(local_hostname="mail.example.com") == "EHLO mail.example.com"


def test_the_name_for_ehlo_is_ascii() -> None:
    """RFC 5321 §4.1.1.1 knows no other domains; before EHLO nobody has offered SMTPUTF8."""
    assert greeted_as(local_hostname="bücher.example") == "EHLO xn--bcher-kva.example"


@pytest.mark.parametrize("literal", ["[192.0.2.1]", "[IPv6:2001:db8::1]", "my_host"])
def test_the_name_for_ehlo_may_be_an_address_literal(literal: str) -> None:
    assert greeted_as(local_hostname=literal) == f"EHLO {literal}"


OWN_NAME = """
import socket, time
from tocsin import SMTPEmailHandler
from tocsin.testing import ScriptedSMTPServer

replace("/etc/resolv.conf", "nameserver 127.0.0.53\\n")
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.53", 53))
with ScriptedSMTPServer() as server:
    for name in ("build", "build.example.com", "a.b.", "a b.example", "b\\u00fccher.example",
                 "x.example\\r\\nMAIL FROM:<a@b>", "my_host.example.com", "-a.example.com",
                 "a-.example.com", "a.-b.example", "a..example", "10.0.0.1", "a-1.b2.example"):
        socket.sethostname(name.encode())
        before = time.monotonic()
        with SMTPEmailHandler(host="127.0.0.1", port=server.port).connect():
            assert time.monotonic() - before < 2
        print(server.connections[-1].commands[0])
silent.setblocking(False)
try:
    print(silent.recv(999))
except BlockingIOError:
    print("nobody asked")
"""


def test_the_default_name_for_ehlo_is_the_hosts_own_or_an_address(tmp_path: Path) -> None:
    """DNS is never asked for it: `getfqdn` stalls. RFC 5321 §4.1.4: else an address literal."""
    literal = "EHLO [127.0.0.1]"
    assert on_a_host_of_its_own(tmp_path, OWN_NAME).splitlines() == [
        literal,
        "EHLO build.example.com",
        *[literal] * 10,
        "EHLO a-1.b2.example",
        "nobody asked",
    ]


def test_over_ipv6_the_address_literal_says_so() -> None:
    """RFC 5321 §4.1.3."""
    if "." in socket.gethostname():
        pytest.skip("the host has a name to greet with")
    assert own_name("::1") == "[IPv6:::1]"
    assert own_name("fe80::1%lo") == "[IPv6:fe80::1]"
    assert own_name("::ffff:127.0.0.1") == "[127.0.0.1]"


def test_a_name_for_ehlo_that_is_refused_is_told() -> None:
    """Postfix says it at RCPT, and 450 where DNS doesn't know the name."""
    refused = "504 5.5.2 <box>: Helo command rejected: need fully-qualified hostname"
    for stage, code in (("EHLO", 504), ("RCPT", 504), ("RCPT", 450), ("MAIL", 550)):
        reply = refused.replace("504", str(code))
        script: Script = {stage: reply, "HELO": reply}
        with ScriptedSMTPServer(script) as server, pytest.raises(SendError) as caught:
            handler(server, local_hostname="box").send(mail())
        assert str(caught.value).endswith(f": {reply}; {EHLO_NAME}")
    script = {"MAIL": "503 5.5.1 Error: send HELO/EHLO first"}
    with ScriptedSMTPServer(script) as server, pytest.raises(SendError) as caught:
        handler(server).send(mail())
    assert str(caught.value).endswith("HELO/EHLO first")


def features(reply: Action) -> dict[str, str]:
    with ScriptedSMTPServer({"EHLO": reply}) as server:
        conversation = open_conversation(Target(host="127.0.0.1", port=server.port, timeout=5))
        conversation.channel.close()
    return conversation.features


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("250 hello", {}),
        ("250-hello\n250 size 100", {"SIZE": "100"}),
        ("250-hello\n250-Auth plain LOGIN\n250 8bitMIME", {"AUTH": "plain LOGIN", "8BITMIME": ""}),
        ("250-SIZE 9\n250 DSN", {"DSN": ""}),
        (
            "250-x\n250-AUTH PLAIN\n250-auth=LOGIN PLAIN\n250 AUTH GSSAPI",
            {"AUTH": "PLAIN LOGIN PLAIN GSSAPI"},
        ),
        ("250-x\n250 AUTH=LOGIN PLAIN", {"AUTH": "LOGIN PLAIN"}),
        (b"250-x\r\n250 DSN\r\n\r\n", {"DSN": ""}),
        (b"250-hello\r\n250-\r\n250 DSN\r\n", {"DSN": ""}),
        (b"250-hello\r\n250-  \t\r\n250-\xc2\xa0\r\n250-\x1c\r\n250 DSN\r\n", {"DSN": ""}),
        (b"250-hello\r\n250-\xff\xfe x\r\n250 DSN\r\n", {"\ufffd\ufffd": "x", "DSN": ""}),
    ],
)
def test_what_ehlo_offers_is_read_whatever_it_looks_like(
    reply: Action, found: dict[str, str]
) -> None:
    """RFC 5321 §4.1.1.1: the first line is a greeting; keywords are case-insensitive."""
    assert features(reply) == found


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Act.SILENCE, "timed out"),
        (Drip(b"250-x\r\n", 0.02), "timed out"),
        (b"250-x\r\n" * 200, "a reply that doesn't end"),
        (b"250-" + b"x" * 70_000, "a line that doesn't end"),
        (b"hello\r\n", "not an SMTP reply: b'hello'"),
        (b"354 go ahead\r\n", "the server asks for more input than the command has: 354 go ahead"),
        (Act.CLOSE, "the server closed the connection"),
    ],
)
def test_an_answer_to_ehlo_that_is_none_ends_the_conversation(answer: Action, error: str) -> None:
    before = time.monotonic()
    assert said({"EHLO": answer}, timeout=0.4)[0] == f"EHLO failed: {error}"
    assert time.monotonic() - before < 2


def test_421_ends_the_conversation_with_the_servers_own_words() -> None:
    """RFC 5321 §3.8: it may come at any time."""
    text, reply, _ = said({"EHLO": "421 4.3.2 shutting down"})
    assert text == f"EHLO failed: 421 4.3.2 shutting down{IF_NAME}"
    assert reply == Reply(421, "4.3.2", "shutting down")


@pytest.mark.parametrize("code", [500, 502, 504, 550])
def test_a_server_that_refuses_ehlo_is_greeted_with_helo(code: int) -> None:
    """RFC 5321 §3.2."""
    with ScriptedSMTPServer({"EHLO": f"{code} what?"}) as server:
        handler(server, local_hostname="a.example").send(mail())
    assert server.connections[0].commands[:3] == [
        "EHLO a.example",
        "HELO a.example",
        f"MAIL FROM:<{mail().from_addr}>",
    ]


def test_a_server_that_refuses_both_is_an_error() -> None:
    text, reply, _ = said({"EHLO": "500 what?", "HELO": "550 5.7.1 not you"})
    assert text == f"the server refuses the greeting: 550 5.7.1 not you{IF_NAME}"
    assert reply.code == 550


def test_where_a_login_or_tls_is_needed_there_is_no_way_without_ehlo(
    client_tls: ssl.SSLContext,
) -> None:
    """HELO offers nothing. Its success would hide what was wrong with EHLO."""
    script = {"EHLO": "550 5.7.1 bad name"}
    login = {"username": "u", "password": "p"}
    for given in ({"use_starttls": True, "tls_context": client_tls}, login):
        text, reply, commands = said(script, local_hostname="a", **given)
        assert text == f"the server refuses the greeting: 550 5.7.1 bad name{IF_NAME}"
        assert reply.code == 550
        assert commands == ["EHLO a"]


# TLS


def test_tls_from_the_start_reaches_a_server_that_verifies(
    tls_server: TLSServer, client_tls: ssl.SSLContext
) -> None:
    tls_server.handler(client_tls).send(mail(text="über TLS"))
    ((sender, recipients, content),) = tls_server.mails
    assert (sender, recipients) == (str(mail().from_addr), [TO])
    assert b"Subject: s" in content


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_tls_from_the_start_speaks_tls_first(
    host: str, client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    with ScriptedSMTPServer(tls=True, tls_context=server_tls) as server:
        handler(server, host=host, use_tls=True, tls_context=client_tls).send(mail())
    assert server.messages[0].tls


def test_starttls_comes_before_all_else_and_what_was_said_before_is_forgotten(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    """RFC 3207 §4.2: EHLO again; what was offered in the clear may have been forged."""
    script: Script = {"EHLO": ["250-x\n250-STARTTLS\n250-SIZE 1\n250 FORGED", "250-x\n250 SIZE 9"]}
    with ScriptedSMTPServer(script, tls_context=server_tls) as server:
        conversation = open_conversation(
            Target(
                host="127.0.0.1",
                port=server.port,
                tls_context=client_tls,
                starttls=True,
                local_hostname="a",
            )
        )
        assert conversation.features == {"SIZE": "9"}
        conversation.channel.close()
        assert server.connections[0].tls
        assert server.connections[0].commands == ["EHLO a", "STARTTLS", "EHLO a"]


def test_starttls_that_is_not_offered_means_no_mail(client_tls: ssl.SSLContext) -> None:
    """Never opportunistic: who can take the word out of the reply could read the mail."""
    text, reply, commands = said({}, use_starttls=True, tls_context=client_tls, local_hostname="a")
    assert text == (
        "the server doesn't offer STARTTLS; "
        "if it speaks TLS from the start, as on port 465, set use_tls instead"
    )
    assert reply == Reply(None, None, "STARTTLS is not offered")
    assert commands == ["EHLO a"]


@pytest.mark.parametrize("refused", ["454 4.7.0 TLS not available", "500 5.5.1 what?"])
def test_starttls_that_is_refused_means_no_mail(refused: str, client_tls: ssl.SSLContext) -> None:
    """RFC 3207 §4: 454."""
    script: Script = {"EHLO": "250-x\n250 starttls", "STARTTLS": refused}
    text, reply, commands = said(
        script, use_starttls=True, tls_context=client_tls, username="u", password="p"
    )
    assert text == f"the server refuses STARTTLS: {refused}"
    assert str(reply) == refused
    assert commands[1:] == ["STARTTLS"]


def test_bytes_behind_the_reply_to_starttls_mean_no_mail(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    """RFC 3207 §6, CVE-2011-0411: said in the clear, to be taken as if said under TLS."""
    script: Script = {"STARTTLS": b"220 go\r\n250-x\r\n250 AUTH PLAIN\r\n"}
    with ScriptedSMTPServer(script, tls_context=server_tls) as server:
        error = refusal(handler(server, use_starttls=True, tls_context=client_tls))
    assert str(error) == (
        f"127.0.0.1:{server.port}: there are bytes behind the reply to STARTTLS: "
        "an attacker may have injected commands"
    )
    assert server.connections[0].commands[1:] == ["STARTTLS"]


def test_a_server_that_hangs_up_after_starttls_is_not_called_an_attacker(
    client_tls: ssl.SSLContext,
) -> None:
    script: Script = {"EHLO": "250-x\n250 STARTTLS", "STARTTLS": (b"220 go\r\n", Act.CLOSE)}
    text, _, _ = said(script, use_starttls=True, tls_context=client_tls)
    assert text.startswith("STARTTLS failed: ")


@pytest.mark.parametrize("tls", [{"use_tls": True}, {"use_starttls": True}])
def test_a_handshake_that_stalls_times_out(tls: dict[str, Any], client_tls: ssl.SSLContext) -> None:
    script: Script = {
        "connect": ["220 hello"] if "use_starttls" in tls else Act.SILENCE,
        "EHLO": "250-x\n250 STARTTLS",
        "STARTTLS": ("220 go ahead", Act.STOP_READING),
    }
    before = time.monotonic()
    text, _, _ = said(script, **tls, tls_context=client_tls, timeout=0.3)
    assert text in {"TLS failed: timed out", "STARTTLS failed: timed out"}
    assert time.monotonic() - before < 2


def test_tls_to_a_plaintext_port_says_which_option_to_change(client_tls: ssl.SSLContext) -> None:
    text, _, _ = said({}, use_tls=True, tls_context=client_tls)
    assert text.startswith("TLS failed: ")
    assert text.endswith(
        "; if the server speaks STARTTLS, as on port 587, set use_starttls instead of use_tls"
    )


def test_plaintext_to_a_tls_port_says_which_option_to_change(server_tls: ssl.SSLContext) -> None:
    with ScriptedSMTPServer(tls=True, tls_context=server_tls) as server:
        error = refusal(handler(server, timeout=0.3))
    assert str(error) == (
        f"127.0.0.1:{server.port}: greeting failed: timed out; "
        "if the server speaks TLS from the start, as on port 465, set use_tls"
    )


PRIVATE_CA = "for a private CA set tls_ca_file"
WRONG_NAME = "set host to a name that the certificate is for"


@pytest.mark.parametrize("tls", [{"use_tls": True}, {"use_starttls": True}])
@pytest.mark.parametrize(
    ("names", "issued", "expires", "trusted", "reason", "advice"),
    [
        (["127.0.0.1"], 0, 9, False, "unable to get local issuer certificate", PRIVATE_CA),
        (["127.0.0.2"], 0, 9, True, "IP address mismatch", WRONG_NAME),
        (["mail.example.com"], 0, 9, True, "IP address mismatch", WRONG_NAME),
        (["127.0.0.1"], -9, -1, True, "certificate has expired", "look at the clock"),
        (["127.0.0.1"], 1, 9, True, "certificate is not yet valid", "look at the clock"),
    ],
)
def test_a_certificate_that_does_not_verify_means_no_mail(
    tls: dict[str, bool],
    names: list[str],
    issued: int,
    expires: int,
    *,
    trusted: bool,
    reason: str,
    advice: str,
) -> None:
    """The error names host, port, and what to do."""
    ca = trustme.CA()
    now = dt.datetime.now(dt.UTC)
    certificate = ca.issue_cert(
        *names,
        not_before=now + dt.timedelta(days=issued),
        not_after=now + dt.timedelta(days=expires),
    )
    context = ssl.create_default_context()
    (ca if trusted else trustme.CA()).configure_trust(context)
    given = {**tls, "tls_context": context, "username": "u", "password": "p"}
    server = ScriptedSMTPServer(tls_context=server_context(certificate), tls="use_tls" in tls)
    with server:
        text = str(refusal(handler(server, **given)))
    assert text.startswith(f"127.0.0.1:{server.port}: the server's certificate is not trusted: ")
    assert reason in text
    assert advice in text
    assert ("private CA" in text) == (advice == PRIVATE_CA)
    assert not any(line.startswith("AUTH") for line in server.connections[0].commands)


def test_the_default_context_trusts_the_operating_system_only(server_tls: ssl.SSLContext) -> None:
    with ScriptedSMTPServer(tls=True, tls_context=server_tls) as server:
        error = refusal(handler(server, use_tls=True))
    assert "certificate is not trusted" in str(error)
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)


def test_a_private_ca_is_trusted_by_its_file(
    tmp_path: Path, ca: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    with ScriptedSMTPServer(tls=True, tls_context=server_tls) as server:
        SMTPEmailHandler.from_config(
            {
                "url": f"smtps://localhost:{server.port}",
                "tls_ca_file": str(tmp_path / "ca.pem"),
                "timeout": 5,
            }
        ).send(mail())
    assert server.messages[0].tls


def test_a_client_shows_its_certificate(tmp_path: Path, ca: trustme.CA) -> None:
    """In one file with its key, or in two."""
    mine = ca.issue_cert("client.example.com")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    mine.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    mine.private_key_pem.write_to_path(tmp_path / "key.pem")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    context = server_context(ca.issue_cert("localhost"))
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)
    config = {"host": "localhost", "tls_ca_file": str(tmp_path / "ca.pem"), "timeout": 5}
    one = {"tls_cert_file": str(tmp_path / "both.pem")}
    two = {"tls_cert_file": tmp_path / "cert.pem", "tls_key_file": tmp_path / "key.pem"}
    for files in (one, two):
        with ScriptedSMTPServer(tls=True, tls_context=context) as server:
            tls = {"port": server.port, "use_tls": True}
            SMTPEmailHandler.from_config({**config, **tls, **files}).send(mail())
        shown = server.connections[0].client_certificate
        assert isinstance(shown, dict)
        assert ("DNS", "client.example.com") in shown["subjectAltName"]
    with ScriptedSMTPServer(tls=True, tls_context=context) as server:
        tls = {"port": server.port, "use_tls": True}
        error = refusal(SMTPEmailHandler.from_config({**config, **tls}))
    assert str(error).startswith(f"localhost:{server.port}: ")
    assert server.messages == []


def cn_only(ca: trustme.CA, name: str) -> ssl.SSLContext:
    """Return what a server uses whose certificate has a name in its subject only."""
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    issuer_key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain = trustme.Blob(private + certificate.public_bytes(pem))
    with chain.tempfile() as path:
        context.load_cert_chain(path)
    return context


def test_a_name_in_the_subject_alone_is_none(tmp_path: Path) -> None:
    """RFC 9525 §2: CN isn't looked at; but a context that is given is used as it is."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    mine = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    with ScriptedSMTPServer(tls=True, tls_context=cn_only(ca, "localhost")) as server:
        config = {"host": "localhost", "port": server.port, "use_tls": True, "timeout": 5}
        error = refusal(
            SMTPEmailHandler.from_config({**config, "tls_ca_file": tmp_path / "ca.pem"})
        )
        SMTPEmailHandler(**config, tls_context=mine).send(mail())  # type: ignore[arg-type]
    assert "is not trusted: Hostname mismatch" in str(error)
    assert str(error).endswith(WRONG_NAME)
    default = SMTPEmailHandler(use_tls=True).tls_context
    assert default is not None
    assert not default.hostname_checks_common_name


# Hosts


@pytest.mark.parametrize("tls", [{"use_tls": True}, {"use_starttls": True}])
def test_a_final_dot_is_no_part_of_the_name_in_a_certificate(
    tls: dict[str, Any], client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    """The resolver adds no domains to such a name; in SNI it has no dot (RFC 6066 §3)."""
    with ScriptedSMTPServer(tls="use_tls" in tls, tls_context=server_tls) as server:
        handler(server, host="localhost.", tls_context=client_tls, **tls).send(mail())
    assert server.messages[0].tls


def test_loopback_in_a_socket_of_ipv6_is_loopback() -> None:
    """`::ffff:127.0.0.1` (RFC 4291 §2.5.5.2), for the login and in EHLO."""
    with ScriptedSMTPServer() as server:
        handler(server, host="::ffff:127.0.0.1", username="u", password="p").send(mail())
    assert server.messages[0].username == "u"
    if "." not in socket.gethostname():
        assert server.connections[0].commands[0] == "EHLO [127.0.0.1]"


def test_a_host_that_is_no_name_is_an_error_of_the_connection() -> None:
    """`getaddrinfo` and `ssl` raise ValueError and UnicodeError for some."""
    for host in ("a..b", ".example.com", "x" * 70, "."):
        error = refusal(SMTPEmailHandler(host=host, use_tls=True))
        assert str(error).startswith(f"{host}:465: connecting failed: ")


def test_an_interrupt_closes_the_connection() -> None:
    """What isn't an error of the connection passes, and leaves nothing open."""

    def token() -> str:
        raise KeyboardInterrupt

    with ScriptedSMTPServer() as server:
        client = handler(server, username="u", access_token=token)
        with pytest.raises(KeyboardInterrupt), client.connect():
            pass
        assert repr(client).endswith("0 connections kept>")
