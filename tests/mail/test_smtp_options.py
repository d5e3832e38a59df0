"""The SMTP email handler's options: what a configuration says is what happens on the wire."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from tocsin import TestEmailHandler
from tocsin.exceptions import ConfigError, SendError
from tocsin.mail import Message, SMTPEmailHandler
from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    from pathlib import Path

MESSAGE = Message(subject="s", text="t", from_addr="f@example.com", to="a@x, b@x, c@x")
SECRET = "hunter2-very-secret"


class Certificates:
    """A private CA, what it has issued, and the files that a configuration names."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.ca_file))
        client = self.ca.issue_cert("client.example.com")
        self.cert_file, self.key_file = folder / "client.pem", folder / "client.key"
        client.cert_chain_pems[0].write_to_path(str(self.cert_file))
        client.private_key_pem.write_to_path(str(self.key_file))

    def server(self, *names: str, client_needed: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(context)
        if client_needed:
            context.verify_mode = ssl.CERT_REQUIRED
            self.ca.configure_trust(context)
        return context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def configured(server: ScriptedSMTPServer, **config: Any) -> SMTPEmailHandler:
    return SMTPEmailHandler.from_config(
        {"host": "localhost", "port": server.port, "timeout": 2, **config}
    )


def problem(sender: SMTPEmailHandler) -> str:
    with pytest.raises(SendError) as caught:
        sender.send(MESSAGE)
    return str(caught.value.__cause__)


@pytest.mark.parametrize("kind", ["use_tls", "use_starttls"])
@pytest.mark.parametrize("trust", ["file", "context"])
def test_private_ca_is_trusted_when_it_is_named(
    kind: str, trust: str, certificates: Certificates
) -> None:
    context = ssl.create_default_context(cafile=certificates.ca_file)
    given: dict[str, Any] = {"tls_context": context}
    if trust == "file":
        given = {"tls_ca_file": str(certificates.ca_file)}
    tls = certificates.server()
    with ScriptedSMTPServer(tls_context=tls, tls=kind == "use_tls") as server:
        sender = configured(server, **{kind: True}, **given)
        sender.send(MESSAGE)
    assert [message.tls for message in server.messages] == [True]
    assert trust == "file" or sender.tls_context is context


@pytest.mark.parametrize("kind", ["use_tls", "use_starttls"])
@pytest.mark.parametrize("wrong", ["untrusted", "other host"])
def test_certificate_that_proves_nothing_is_refused(
    kind: str, wrong: str, certificates: Certificates
) -> None:
    names = ("other.example.com",) if wrong == "other host" else ("localhost",)
    config = {"tls_ca_file": str(certificates.ca_file)} if wrong == "other host" else {}
    tls = certificates.server(*names)
    with ScriptedSMTPServer(tls_context=tls, tls=kind == "use_tls") as server:
        login = {"username": "u", "password": SECRET}
        text = problem(configured(server, **{kind: True}, **config, **login))
    assert "certificate" in text
    assert f"localhost:{server.port}" in text
    assert server.messages == []
    said = [line for connection in server.connections for line in connection.commands]
    assert not [line for line in said if line.startswith(("AUTH", "MAIL"))]


def test_client_shows_its_certificate(certificates: Certificates) -> None:
    files = {"tls_ca_file": certificates.ca_file, "tls_cert_file": certificates.cert_file}
    tls = certificates.server(client_needed=True)
    with ScriptedSMTPServer(tls_context=tls, tls=True) as server:
        configured(server, use_tls=True, tls_key_file=certificates.key_file, **files).send(MESSAGE)
        assert "client.example.com" in str(server.connections[0].client_certificate)
        text = problem(configured(server, use_tls=True, tls_ca_file=certificates.ca_file))
    assert f"localhost:{server.port}" in text
    assert len(server.messages) == 1


@pytest.mark.parametrize(
    ("script", "hint"),
    [
        ({"EHLO": "250 scripted"}, "doesn't offer STARTTLS"),
        ({"STARTTLS": "454 4.7.0 not now"}, "refuses STARTTLS: 454"),
        ({"STARTTLS": (b"220 go ahead\r\n250 injected\r\n", Act.SILENCE)}, "behind the reply"),
    ],
)
def test_without_starttls_nothing_is_said(
    script: Any, hint: str, certificates: Certificates
) -> None:
    """Never a fall-back to plaintext, and nothing that was injected in the clear (RFC 3207 §6)."""
    with ScriptedSMTPServer(script, tls_context=certificates.server()) as server:
        config = {"use_starttls": True, "tls_ca_file": certificates.ca_file}
        text = problem(configured(server, **config, username="u", password=SECRET))
    assert hint in text
    said = server.connections[0].commands
    assert [line.split()[0] for line in said][:2] in (["EHLO"], ["EHLO", "STARTTLS"])
    assert server.messages == []


@pytest.mark.parametrize(
    ("option", "mechanism"),
    [
        ("password", "PLAIN"),
        ("password", "LOGIN"),
        ("access_token", "XOAUTH2"),
        ("access_token", "OAUTHBEARER"),
    ],
)
def test_login_is_made_anew_each_time(option: str, mechanism: str) -> None:
    """A rotated secret works without a restart, and a wrong one is tried once only."""
    secrets = iter(["first", "wrong"])
    with ScriptedSMTPServer(accounts={"ü=,u": "first"}, auth=[mechanism]) as server:
        sender = SMTPEmailHandler(
            host="127.0.0.1",
            port=server.port,
            username="ü=,u",
            **{option: lambda: next(secrets)},  # type: ignore[arg-type] # a string each time
        )
        sender.send(MESSAGE)
        assert "535 5.7.8" in problem(sender)
    assert [message.username for message in server.messages] == ["ü=,u"]
    tries = [line for line in server.connections[1].commands if line.startswith("AUTH")]
    assert len(tries) == 1


def options() -> list[str]:
    """Return the names of the constructor's arguments."""
    parameters = inspect.signature(SMTPEmailHandler).parameters.values()
    return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]


@pytest.mark.parametrize("name", options())
def test_from_config_forgets_no_option(name: str, certificates: Certificates) -> None:
    given: dict[str, Any] = {
        "host": "mail.example.com",
        "port": 2525,
        "use_tls": True,
        "use_starttls": True,
        "tls_context": ssl.create_default_context(),
        "timeout": 7.5,
        "username": "u@example.com",
        "password": SECRET,
        "access_token": SECRET,
        "login_mechanism": "LOGIN",
        "default_from": "d@example.com",
        "recipients_per_message": 3,
        "pipeline_messages": True,
        "local_hostname": "client.example.com",
        "dangerous_plaintext_login": True,
    }
    extra: dict[str, dict[str, Any]] = {
        "username": {"password": SECRET},
        "password": {"username": "u"},
        "login_mechanism": {"username": "u", "password": SECRET},
        "access_token": {"username": "u"},
        "tls_context": {"use_tls": True},
    }
    config = {name: given[name], **extra.get(name, {})}
    found = getattr(SMTPEmailHandler.from_config(config), name)
    assert getattr(SMTPEmailHandler(**config), name) == found
    assert (str(found) if name == "default_from" else found) == given[name]


def test_options_have_their_effect_on_the_wire() -> None:
    with ScriptedSMTPServer() as server:
        sender = configured(
            server,
            default_from="d@example.com",
            recipients_per_message=2,
            local_hostname="client.example.com",
        )
        sender.send(Message(to="a@x, b@x, c@x", text="t"))
    assert server.connections[0].commands[0] == "EHLO client.example.com"
    assert {message.sender for message in server.messages} == {"d@example.com"}
    assert [len(message.recipients) for message in server.messages] == [2, 1]


def test_user_name_that_is_an_address_is_the_default_sender() -> None:
    assert str(SMTPEmailHandler(username="u@x", password="p").sender) == "u@x"
    assert SMTPEmailHandler(username="apikey", password="p").sender is None
    named = SMTPEmailHandler(username="u@x", password="p", default_from="d@x")
    assert str(named.sender) == "d@x"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"prot": 25}, r"^email\.prot: unknown option; did you mean 'port'\?"),
        ({"host": ""}, r"^email\.host: expected text, got an empty string"),
        ({"host": "a b"}, r"^email\.host: expected a name without blanks"),
        ({"host": "a\nb"}, r"^email\.host: expected a name without blanks"),
        ({"host": 5}, r"^email\.host: expected text, got int"),
        ({"port": 0}, r"^email\.port: expected a whole number from 1 to 65535, got 0"),
        ({"port": True}, r"^email\.port: .* got bool"),
        ({"port": "25"}, r"^email\.port: .* got str"),
        ({"use_tls": "yes"}, r"^email\.use_tls: expected true or false, got str"),
        ({"use_starttls": 1}, r"^email\.use_starttls: expected true or false, got int"),
        ({"tls_context": "x"}, r"^email\.tls_context: expected an ssl.SSLContext, got str"),
        ({"timeout": 0}, r"^email\.timeout: expected a number of seconds above 0, got 0"),
        ({"timeout": float("nan")}, r"^email\.timeout: .* got nan"),
        ({"timeout": float("inf")}, r"^email\.timeout: .* got inf"),
        ({"timeout": "30"}, r"^email\.timeout: .* got str"),
        ({"username": "u"}, r"^email\.password: missing"),
        ({"password": SECRET}, r"^email\.username: missing"),
        ({"access_token": SECRET}, r"^email\.username: missing"),
        ({"username": "u", "password": 5}, r"^email\.password: .* got int"),
        ({"username": "u", "password": ""}, r"^email\.password: .* got an empty string"),
        ({"username": "u", "password": f"{SECRET}\n"}, r"^email\.password: ends with a line break"),
        ({"username": "u", "password": [SECRET]}, r"^email\.password: .* got list"),
        (
            {"username": "u", "password": SECRET, "access_token": SECRET},
            r"^email\.access_token: can't be used together with a password",
        ),
        (
            {"username": "u", "password": SECRET, "password_env": "X"},
            r"^email\.password_env: can't be used together with 'password'",
        ),
        (
            {"login_mechanism": "DIGEST-MD5", "username": "u", "password": SECRET},
            r"^email\.login_mechanism: unknown 'DIGEST-MD5'; known are PLAIN, .*, OAUTHBEARER$",
        ),
        ({"login_mechanism": 5}, r"^email\.login_mechanism: expected text, got int"),
        (
            {"login_mechanism": "PLAIN"},
            r"^email\.login_mechanism: has no effect without",
        ),
        (
            {"login_mechanism": "xoauth2", "username": "u", "password": SECRET},
            r"^email\.login_mechanism: XOAUTH2 takes an access_token$",
        ),
        (
            {"login_mechanism": "CRAM-MD5", "username": "u", "access_token": SECRET},
            r"^email\.login_mechanism: CRAM-MD5 takes a password$",
        ),
        ({"default_from": "nonsense"}, r"^email\.default_from: 'nonsense' is not an address"),
        ({"default_from": 5}, r"^email\.default_from: expected an address, got int"),
        ({"recipients_per_message": 0}, r"^email\.recipients_per_message: .* at least 1, got 0"),
        (
            {"pipeline_messages": "always"},
            r"^email\.pipeline_messages: expected true or false, got str",
        ),
        ({"local_hostname": "a b"}, r"^email\.local_hostname: expected a name"),
        ({"dangerous_plaintext_login": 1}, r"^email\.dangerous_plaintext_login: .* got int"),
        (
            {"username": "u", "password_file": "~nobody-here/x"},
            r"^email\.password_file: can't read",
        ),
        ({"username": "u", "password_file": "a\0b"}, r"^email\.password_file: .* NUL"),
        ({"tls_ca_file": "/nowhere", "use_tls": True}, r"^email\.tls_ca_file: can't read"),
    ],
)
def test_wrong_option_is_named_and_no_secret_shown(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        SMTPEmailHandler.from_config(config)
    assert SECRET not in f"{caught.value} {caught.value.__cause__}"


LOGIN: dict[str, Any] = {"username": "u", "password": SECRET}


@pytest.mark.parametrize(
    "host", ["mail.example.com", "192.0.2.7", "2001:db8::1", "localhost.example.com"]
)
def test_credentials_that_would_never_be_sent_are_an_error(host: str) -> None:
    """Port 587 begins unencrypted; without STARTTLS nobody can log in there."""
    given: dict[str, Any] = {"host": host, "port": 587}
    for login in (LOGIN, {"username": "u", "access_token": SECRET}):
        with pytest.raises(ConfigError, match=r"^email\.use_starttls: missing; cred") as caught:
            SMTPEmailHandler.from_config({**given, **login})
        assert SECRET not in str(caught.value)
        with pytest.raises(ConfigError, match=r"^use_starttls: missing"):
            SMTPEmailHandler(**given, **login)
    SMTPEmailHandler(**given)
    for name in ("use_starttls", "use_tls", "dangerous_plaintext_login"):
        more: dict[str, Any] = {**LOGIN, name: True}
        SMTPEmailHandler(**given, **more)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "mail.localhost",
        "ip6-localhost",
        "127.0.0.1",
        "127.8.9.10",
        "::1",
        "::ffff:127.0.0.1",
        socket.gethostname(),
    ],
)
def test_this_machine_may_hear_credentials_on_any_port(host: str) -> None:
    assert SMTPEmailHandler(host=host, port=587, **LOGIN).host == host


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("smtp.example.com:587", "write host: 'smtp.example.com' and port: 587"),
        ("[::1]:25", "write host: '::1' and port: 25"),
        ("[::1]", "expected an address without brackets, '::1'"),
        ("https://smtp.example.com", "a URL, with its scheme, goes into 'url'"),
        (f"smtps://u:{SECRET}@smtp.example.com", "goes into 'url'"),
        (f"u:{SECRET}@smtp.example.com", "goes into 'url'"),
        ("smtp.example.com/", "goes into 'url'"),
        ("smtp.example.com:", "expected a name or an address, got 'smtp.example.com:'"),
        ("1::2::3", "expected a name or an address"),
        (
            "${SMTP_HOST}",
            "got a placeholder of the form ${NAME}; environment variables are not replaced here",
        ),
    ],
)
def test_a_host_is_a_name_alone(host: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^email\.host: .*{re.escape(said)}") as caught:
        SMTPEmailHandler.from_config({"host": host})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["::1", "fe80::1%eth0", "127.0.0.1", "my_host", "mail.example.com."]
)
def test_a_host_may_be_an_address_or_any_name(host: str) -> None:
    assert SMTPEmailHandler(host=host).host == host


@pytest.mark.parametrize("value", ["${SMTP_PASSWORD}", "${SMTP_PASSWORD:-x}", "${p}"])
def test_a_password_that_is_a_placeholder_is_an_error(value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SMTPEmailHandler(username="u", password=value)
    assert str(caught.value) == (
        "password: expected text, got a placeholder of the form ${NAME}; "
        "name the variable in password_env"
    )
    with pytest.raises(ConfigError, match=r"access_token: .* give a callable"):
        SMTPEmailHandler(username="u", access_token=value)


@pytest.mark.parametrize("value", ["$ecret", "pa${x}ss", "${}", "${a b}", "$PASSWORD", "%(x)s"])
def test_a_password_may_look_like_a_placeholder_in_part(value: str) -> None:
    assert SMTPEmailHandler(username="u", password=value).password == value


@pytest.mark.parametrize("kind", [SMTPEmailHandler, TestEmailHandler])
@pytest.mark.parametrize("key", ["to", "toaddrs", "app", "policy"])
def test_the_keys_of_an_alert_handler_belong_to_an_alert_handler(kind: Any, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        kind(**{key: "x"})
    assert str(caught.value) == (
        f"class: {kind.__name__} sends messages and is no logging handler; "
        "use 'tocsin.AlertHandler', with these options under its key 'email'"
    )


@pytest.mark.parametrize("kind", [SMTPEmailHandler, TestEmailHandler])
def test_another_unknown_argument_is_an_error_as_elsewhere_in_python(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"got an unexpected keyword argument 'hots'$"):
        kind(hots="x")


def test_prepare_loads_what_sending_needs() -> None:
    """Loading takes a tenth of a second, which the first mail need not wait for."""
    code = (
        "import sys; from tocsin import SMTPEmailHandler; handler = SMTPEmailHandler(); "
        "names = ['ssl', 'tocsin.mail.session', 'encodings.idna']; "
        "before = [name in sys.modules for name in names]; handler.prepare(); "
        "print(before, [name in sys.modules for name in names])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[False, False, False] [True, True, True]"
    SMTPEmailHandler().prepare()
    assert "tocsin.mail.session" in sys.modules


def test_tls_context_without_tls_is_an_error() -> None:
    context = ssl.create_default_context()
    with pytest.raises(ConfigError, match=r"^tls_context: has no effect without use_tls or use_st"):
        SMTPEmailHandler(tls_context=context)
    with pytest.raises(ConfigError, match=r"^email\.tls_context: has no effect"):
        SMTPEmailHandler.from_config({"tls_context": context})
    said: dict[str, Any]
    for said in ({"use_tls": True}, {"use_starttls": True}, {"port": 465}):
        assert SMTPEmailHandler(tls_context=context, **said).tls_context is context


def test_tls_files_that_would_be_forgotten_are_an_error(certificates: Certificates) -> None:
    ca, cert, key = certificates.ca_file, certificates.cert_file, certificates.key_file
    cases: list[tuple[dict[str, Any], str]] = [
        ({"tls_ca_file": ca}, r"tls_ca_file: has no effect without use_tls"),
        ({"tls_cert_file": cert, "tls_key_file": key}, r"tls_cert_file: has no effect"),
        (
            {"use_tls": True, "tls_context": ssl.create_default_context(), "tls_cert_file": cert},
            r"tls_cert_file: can't be used together with 'tls_context'",
        ),
    ]
    for config, said in cases:
        with pytest.raises(ConfigError, match=said):
            SMTPEmailHandler.from_config(config)


def test_long_relative_path_of_a_password_is_a_config_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system refuses such names, where it is only asked whether there is one."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(ConfigError, match=r"^email\.password_file: can't read"):
        SMTPEmailHandler.from_config({"username": "u", "password_file": "a" * 5000})


def test_repr_shows_state_and_no_secret() -> None:
    sender = SMTPEmailHandler(
        host="mail.example.com", use_starttls=True, username="u", password=SECRET
    )
    shown = "<SMTPEmailHandler mail.example.com:25 STARTTLS as u, 0 connections kept>"
    assert repr(sender) == shown


HOST = """
import fcntl, socket, struct, threading
from tocsin.mail import Message, SMTPEmailHandler
from tocsin.testing import ScriptedSMTPServer

def up(name, address=None):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if address:
            packed = struct.pack("<16sH2x4s8x", name, socket.AF_INET, socket.inet_aton(address))
            fcntl.ioctl(sock, 0x8916, packed)  # SIOCSIFADDR
        fcntl.ioctl(sock, 0x8914, struct.pack("<16sh", name, 0x41))  # SIOCSIFFLAGS

up(b"lo")
message = Message(from_addr="f@x", to="a@x", text="t")
"""


def on_a_host_of_its_own(program: str) -> str:
    """Run a program in a network namespace, where each port and address is free."""
    unshare = shutil.which("unshare")
    command = [unshare or "unshare", "--net"]
    if hasattr(os, "getuid") and os.getuid() != 0:
        command.append("--map-root-user")
    if unshare is None or subprocess.run([*command, "true"], check=False).returncode:
        if os.environ.get("CI"):
            pytest.fail("network namespaces are needed in CI")
        pytest.skip("network namespaces can't be made here")
    done = subprocess.run(
        [*command, sys.executable, "-c", HOST + program],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_defaults_really_connect() -> None:
    """`localhost`, port 25: where another program may listen, so on a host of its own."""
    out = on_a_host_of_its_own(
        "with ScriptedSMTPServer(port=25) as server:\n"
        "    SMTPEmailHandler().send(message)\n"
        "print(server.messages[0].recipients)"
    )
    assert out.strip() == "('a@x',)"


def test_credentials_stay_here_where_the_connection_is_not_encrypted() -> None:
    """Only this machine may hear them: a loopback address is exempt, and no other."""
    out = on_a_host_of_its_own("""
up(b"lo:1", "192.0.2.1")

def forward(listener, port):
    while True:
        here, _ = listener.accept()
        there = socket.create_connection(("127.0.0.1", port))
        for one, other in ((here, there), (there, here)):
            threading.Thread(target=copy, args=(one, other), daemon=True).start()

def copy(one, other):
    while data := one.recv(65536):
        other.sendall(data)

with ScriptedSMTPServer() as server, socket.create_server(("192.0.2.1", 2525)) as listener:
    threading.Thread(target=forward, args=(listener, server.port), daemon=True).start()
    login = {"username": "u", "password": "p"}
    outside = {"host": "192.0.2.1", "port": 2525, **login}
    try:
        SMTPEmailHandler(**outside).send(message)
    except Exception as error:
        print(type(error.__cause__).__name__, error.__cause__)
    SMTPEmailHandler(**outside, dangerous_plaintext_login=True).send(message)
    SMTPEmailHandler(host="127.0.0.1", port=server.port, **login).send(message)
    for connection in server.connections:
        print(any(line.startswith("AUTH") for line in connection.commands))
""")
    error, *logins = out.strip().splitlines()
    assert error.startswith("LoginError 192.0.2.1:2525: credentials are not sent over")
    assert logins == ["False", "True", "True"]


def test_everything_that_a_send_needs_is_loaded_before() -> None:
    """A process may fork while the sending thread loads a module: the child could never load it."""
    program = """
import sys
from tocsin import Message, SMTPEmailHandler
from tocsin.testing import ScriptedSMTPServer

with ScriptedSMTPServer() as server:
    handler = SMTPEmailHandler(host="localhost", port=server.port)
    message = Message(from_addr="a@x.example", to="b@x.example", text="hello")
    message.to_mime().as_bytes()
    handler.prepare()
    before = set(sys.modules)
    handler.send(message)
    print(sorted(set(sys.modules) - before))
"""
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
