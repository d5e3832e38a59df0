"""Logging in: one mechanism, one attempt, and a secret that nobody else gets to see."""

from __future__ import annotations

import base64
import copy
import hashlib
import logging
import pickle  # noqa: TID251 - what is asserted is that it can't, or has no secret
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from conversations import target_for
from peers import FROM, TLSServer, mail, on_a_host_of_its_own

from tocsin import ConfigError, ConnectError, Message, Reply, SendError, SMTPEmailHandler
from tocsin.exceptions import LoginError
from tocsin.mail import providers
from tocsin.mail.endpoint import login_hint
from tocsin.mail.session import Session
from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from tocsin.testing.script import Action, Script

pytest_plugins = ("tls_peers",)

SECRET = "pässwörd=,€ tröp"
BLANK = "The password has a blank inside: is that a part of it?"
USER = "ünsér,=name@example.com"


def handler(server: ScriptedSMTPServer, **given: Any) -> SMTPEmailHandler:
    """Return what sends to the server, over loopback."""
    options = {"host": "127.0.0.1", "port": server.port, "timeout": 5, "username": USER}
    return SMTPEmailHandler(**{**options, **given})


def refusal(client: SMTPEmailHandler) -> LoginError:
    with pytest.raises(LoginError) as caught, client.connect():
        pass
    return caught.value


def said(script: Script, **given: Any) -> tuple[str, Reply, list[str]]:
    """Return the error without host and port, its reply, and what the server saw of the login."""
    auth = given.pop("auth", ("PLAIN",))
    hangs_up = given.pop("hangs_up", False)
    with ScriptedSMTPServer(script, auth=auth) as server:
        secret = {} if "access_token" in given else {"password": SECRET}
        error = refusal(handler(server, **{**secret, **given}))
    text = str(error).removeprefix(f"127.0.0.1:{server.port}: ")
    (connection,) = server.connections
    commands = connection.commands[1:]
    if hangs_up:
        return text, error.reply, commands
    assert commands.pop() == "QUIT"
    return text, error.reply, commands


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# Mechanisms

BEARER = f"\1auth=Bearer {SECRET}\1\1"


@pytest.mark.parametrize(
    ("auth", "given", "commands"),
    [
        (["PLAIN"], "password", ["AUTH PLAIN " + b64(f"\0{USER}\0{SECRET}")]),
        (["LOGIN"], "password", ["AUTH LOGIN", b64(USER), b64(SECRET)]),
        (["XOAUTH2"], "access_token", ["AUTH XOAUTH2 " + b64(f"user={USER}{BEARER}")]),
        (
            ["OAUTHBEARER"],
            "access_token",
            ["AUTH OAUTHBEARER " + b64("n,a=ünsér=2C=3Dname@example.com," + BEARER)],
        ),
        (["LOGIN", "CRAM-MD5", "PLAIN"], "password", ["AUTH PLAIN " + b64(f"\0{USER}\0{SECRET}")]),
        (
            ["PLAIN", "OAUTHBEARER", "XOAUTH2"],
            "access_token",
            ["AUTH XOAUTH2 " + b64(f"user={USER}{BEARER}")],
        ),
    ],
)
def test_names_and_secrets_go_as_utf8_in_each_mechanism(
    auth: list[str], given: str, commands: list[str]
) -> None:
    """RFC 4616, RFC 7628 §3.1 (a name's "=" and "," are quoted), Google's XOAUTH2, and LOGIN."""
    with ScriptedSMTPServer(auth=auth, accounts={USER: SECRET}) as server:
        client = handler(server, **{given: SECRET})
        client.send(mail())
    assert server.connections[0].commands[1 : 1 + len(commands)] == commands
    assert server.messages[0].username == USER


@pytest.mark.parametrize("offer", ["auth plain", "AUTH Login pLaIn", "Auth  DIGEST-MD5  PLAIN"])
def test_mechanisms_are_case_insensitive(offer: str) -> None:
    """RFC 4422 §3.1 knows upper case only; servers don't."""
    with (
        ScriptedSMTPServer({"EHLO": f"250-x\n250 {offer}"}) as server,
        handler(server, password="p").connect(),
    ):
        assert server.connections[0].commands[1].startswith("AUTH PLAIN ")


def test_a_real_server_takes_the_login(tls_server: TLSServer, client_tls: ssl.SSLContext) -> None:
    tls_server.handler(client_tls).send(mail())
    assert tls_server.logins == [tls_server.username]
    assert len(tls_server.mails) == 1


def test_a_real_server_refuses_the_login(tls_server: TLSServer, client_tls: ssl.SSLContext) -> None:
    """One attempt, and no mail without the login that was asked for."""
    error = refusal(tls_server.handler(client_tls, password="wrong"))
    assert error.reply.code == 535
    assert tls_server.logins == [tls_server.username]
    assert tls_server.mails == []


def test_a_name_and_a_password_mean_no_mail_without_a_login() -> None:
    with ScriptedSMTPServer({"AUTH": "535 5.7.8 no"}) as server, pytest.raises(SendError) as caught:
        handler(server, password="p").send([mail(), mail()])
    assert [receipt.deferred["oncall@example.com"].code for receipt in caught.value.receipts] == [
        535,
        535,
    ]
    assert len(server.connections) == 1
    assert not any(line.startswith("MAIL") for line in server.connections[0].commands)


# Refusals


@pytest.mark.parametrize(
    "reply",
    ["535 5.7.8 no", "454 4.7.0 later", "503 5.5.1 bad sequence", "530 5.7.0 TLS first", "334 =="],
)
@pytest.mark.parametrize("auth", ["PLAIN", "LOGIN"])
def test_a_refused_login_is_one_attempt_and_an_error(reply: str, auth: str) -> None:
    """A second try, or another mechanism, locks the account sooner."""
    script: Script = {"AUTH": [reply] * 3}
    text, found, commands = said(script, auth=(auth, "CRAM-MD5"))
    advice = {"535": f". {BLANK}", "530": "; set use_starttls, or use_tls with the port for it"}
    assert text == f"login of {USER!r} by {auth} failed: {reply}{advice.get(reply[:3], '')}"
    assert str(found) == reply
    assert sum(line.startswith("AUTH") for line in commands) == 1


def cram_md5(challenge: str) -> str:
    """Return the answer as RFC 2195 §2 has it."""
    key = SECRET.encode().ljust(64, b"\0")
    inner = hashlib.md5(bytes(byte ^ 0x36 for byte in key) + challenge.encode()).digest()
    return b64(f"{USER} {hashlib.md5(bytes(byte ^ 0x5C for byte in key) + inner).hexdigest()}")


def test_cram_md5_is_what_is_left() -> None:
    """RFC 2195, where neither PLAIN nor LOGIN is offered."""
    challenge = "<1896.697170952@postoffice.example.net>"
    script: Script = {"AUTH": [f"334 {b64(challenge)}", "235 2.7.0 welcome"]}
    with ScriptedSMTPServer(script, auth=["CRAM-MD5", "GSSAPI"]) as server:
        handler(server, password=SECRET).send(mail())
    assert server.connections[0].commands[1:3] == ["AUTH CRAM-MD5", cram_md5(challenge)]
    assert len(server.messages) == 1


@pytest.mark.parametrize(
    ("challenge", "error"),
    [
        ("335 x", "login of 'u' by CRAM-MD5 failed: 335 x"),
        ("504 5.5.4 unknown", "login of 'u' by CRAM-MD5 failed: 504 5.5.4 unknown"),
        ("334 x", "login by CRAM-MD5 can't be made: Invalid base64-encoded string"),
    ],
)
def test_a_challenge_that_is_none_ends_the_login(challenge: str, error: str) -> None:
    text, _, commands = said({"AUTH": challenge}, auth=["CRAM-MD5"], username="u")
    assert text.startswith(error)
    assert commands == ["AUTH CRAM-MD5"]


@pytest.mark.parametrize("code", [500, 502, 504])
@pytest.mark.parametrize(
    ("given", "auth", "tried"),
    [
        ("password", ("PLAIN", "LOGIN"), ["PLAIN", "LOGIN"]),
        ("password", ("PLAIN", "CRAM-MD5"), ["PLAIN", "CRAM-MD5"]),
        ("access_token", ("OAUTHBEARER", "XOAUTH2", "PLAIN"), ["XOAUTH2", "OAUTHBEARER"]),
    ],
)
def test_another_mechanism_is_taken_where_the_first_is_unknown(
    code: int, given: str, auth: tuple[str, ...], tried: list[str]
) -> None:
    """No password was looked at, so no account is locked (RFC 4954 §4: 504)."""
    script: Script = {"AUTH": [f"{code} 5.5.4 unrecognized authentication type", "235 welcome"]}
    with ScriptedSMTPServer(script, auth=auth) as server:
        handler(server, **{given: SECRET}).send(mail())
    said = [line.split()[1] for line in server.connections[0].commands if line[:4] == "AUTH"]
    assert said == tried
    assert len(server.messages) == 1


def test_where_all_mechanisms_are_unknown_the_last_one_is_told() -> None:
    text, reply, commands = said({"AUTH": "504 5.5.4 no"}, auth=("PLAIN", "LOGIN", "CRAM-MD5"))
    assert text == f"login of {USER!r} by CRAM-MD5 failed: 504 5.5.4 no"
    assert [line.split()[1] for line in commands] == ["PLAIN", "LOGIN", "CRAM-MD5"]
    assert reply.code == 504


def test_plain_says_its_response_again_where_it_is_asked_for() -> None:
    """RFC 4954 §4: 334 without a challenge, from servers that don't take an initial response."""
    with ScriptedSMTPServer({"AUTH": ["334 ", "235 welcome"]}, auth=["PLAIN"]) as server:
        handler(server, password=SECRET).send(mail())
    response = b64(f"\0{USER}\0{SECRET}")
    assert server.connections[0].commands[1:3] == [f"AUTH PLAIN {response}", response]
    assert len(server.messages) == 1


@pytest.mark.parametrize("mechanism", ["login", "CRAM-MD5", "oauthbearer"])
def test_the_mechanism_is_an_option(mechanism: str) -> None:
    given: dict[str, Any] = {"login_mechanism": mechanism, "password": SECRET}
    if mechanism == "oauthbearer":
        given["access_token"] = given.pop("password")
    name = mechanism.upper()
    offered = ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "OAUTHBEARER"]
    text, _, commands = said({"AUTH": "504 no"}, auth=offered, **given)
    assert text == f"login of {USER!r} by {name} failed: 504 no"
    assert [line.split()[1] for line in commands] == [name]
    text, _, commands = said({}, auth=["GSSAPI"], **given)
    assert text == f"the server offers no login by {name}, only GSSAPI"
    assert commands == []


def test_535_and_a_close_is_a_535() -> None:
    _, reply, _ = said({"AUTH": ("535 5.7.8 no", Act.CLOSE)}, hangs_up=True)
    assert reply == Reply(535, "5.7.8", "no")


def test_535_at_the_password_of_login() -> None:
    text, reply, commands = said(
        {"AUTH": ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "535 5.7.8 no"]}, auth=["LOGIN"]
    )
    assert text == f"login of {USER!r} by LOGIN failed: 535 5.7.8 no. {BLANK}"
    assert reply.code == 535
    assert commands == ["AUTH LOGIN", b64(USER), b64(SECRET)]


@pytest.mark.parametrize(("mechanism", "answer"), [("XOAUTH2", ""), ("OAUTHBEARER", "AQ==")])
def test_the_error_of_a_token_is_acknowledged_before_it_is_told(
    mechanism: str, answer: str
) -> None:
    """RFC 7628 §3.2.3: 334 with the error, the client's acknowledgement, then the refusal."""
    challenge = b64('{"status":"401"}')
    text, reply, commands = said(
        {"AUTH": [f"334 {challenge}", "535 5.7.3 expired"]}, auth=[mechanism], access_token="t"
    )
    assert text == f"login of {USER!r} by {mechanism} failed: 535 5.7.3 expired"
    assert reply == Reply(535, "5.7.3", "expired")
    assert commands[1:] == [answer]


def test_421_at_the_login_keeps_the_servers_words() -> None:
    with ScriptedSMTPServer({"AUTH": "421 4.7.0 too many"}) as server:
        with pytest.raises(SendError) as caught:
            handler(server, password="p").send(mail())
        text = f"127.0.0.1:{server.port}: login failed: 421 4.7.0 too many"
    assert str(caught.value.__cause__) == text
    (receipt,) = caught.value.receipts
    assert receipt.deferred["oncall@example.com"] == Reply(421, "4.7.0", "too many")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Act.SILENCE, "login failed: timed out"),
        (Act.CLOSE, "login failed: the server closed the connection"),
        (b"what?\r\n", "login failed: not an SMTP reply: b'what?'"),
    ],
)
def test_no_answer_to_a_login_is_an_error_of_the_connection(answer: Action, error: str) -> None:
    with ScriptedSMTPServer({"AUTH": answer}) as server, pytest.raises(SendError) as caught:
        handler(server, password="p", timeout=0.3).send(mail())
    assert str(caught.value.__cause__) == f"127.0.0.1:{server.port}: {error}"


@pytest.mark.parametrize(
    ("offer", "given", "error"),
    [
        (
            "250 SIZE",
            "password",
            "the server offers no login by PLAIN, LOGIN or CRAM-MD5; does it want TLS first?",
        ),
        (
            "250 AUTH GSSAPI SCRAM-SHA-1",
            "password",
            "the server offers no login by PLAIN, LOGIN or CRAM-MD5, only GSSAPI SCRAM-SHA-1",
        ),
        (
            "250 AUTH PLAIN LOGIN",
            "access_token",
            "the server offers no login by XOAUTH2 or OAUTHBEARER, only LOGIN PLAIN",
        ),
        (
            "250 AUTH",
            "access_token",
            "the server offers no login by XOAUTH2 or OAUTHBEARER",
        ),
    ],
)
def test_a_login_that_can_not_be_done_is_an_error(offer: str, given: str, error: str) -> None:
    """And nothing is sent without it."""
    text, reply, commands = said({"EHLO": f"250-x\n{offer}"}, **{given: SECRET})
    assert text == error
    assert reply == Reply(None, None, "no common login mechanism")
    assert commands == []


# Hints


@pytest.mark.parametrize(
    ("secret", "odd"),
    [
        ("abcd efgh", "a blank"),
        ("abcd\u00a0efgh jkl", "a no-break space"),
        ("abcd\u200befgh", "an invisible character"),
        ("abcd\tefgh", "an invisible character"),
        ("abcdefgh", ""),
    ],
)
def test_what_is_odd_about_a_refused_secret_is_told_without_it(secret: str, odd: str) -> None:
    """App passwords are shown in four groups, and copied from a web page."""
    text, _, _ = said({"AUTH": "535 5.7.8 no"}, password=secret)
    hint = f". The password has {odd} inside: is that a part of it?" if odd else ""
    assert text == f"login of {USER!r} by PLAIN failed: 535 5.7.8 no{hint}"


def test_under_tls_nothing_asks_whether_tls_is_wanted(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    tls: dict[str, Any] = {"use_tls": True, "tls_context": client_tls}
    for script, error in (
        ({"EHLO": "250 hello"}, "the server offers no login by PLAIN, LOGIN or CRAM-MD5"),
        ({"connect": Act.CLOSE}, "greeting failed: the server closed the connection"),
    ):
        with ScriptedSMTPServer(script, tls=True, tls_context=server_tls) as server:
            client = handler(server, password="p", **tls)
            with pytest.raises(ConnectError) as caught, client.connect():
                pass
        assert str(caught.value) == f"127.0.0.1:{server.port}: {error}"


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (
            "530 5.7.0 Must issue a STARTTLS command first",
            "set use_starttls, or use_tls with the port",
        ),
        (
            "530 5.7.0 Authentication required",
            "the server wants a login: set username and password",
        ),
        (
            "530 5.7.57 Client not authenticated to send mail",
            "the server wants a login: set username",
        ),
    ],
)
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "."])
def test_530_says_what_to_set_and_is_not_final(stage: str, reply: str, advice: str) -> None:
    """RFC 3207 §4, RFC 4954 §6: it is about the options, which somebody can correct."""
    with ScriptedSMTPServer({stage: reply}) as server, pytest.raises(SendError) as caught:
        SMTPEmailHandler(host="127.0.0.1", port=server.port).send(mail())
    assert f": {reply}; {advice}" in str(caught.value)
    (receipt,) = caught.value.receipts
    assert list(receipt.deferred) == ["oncall@example.com"]
    assert str(receipt.deferred["oncall@example.com"]) == reply


def test_538_says_what_to_set() -> None:
    """RFC 4954 §6."""
    text, _, _ = said({"AUTH": "538 5.7.11 required"}, password="p")
    assert text.endswith(": 538 5.7.11 required; set use_starttls, or use_tls with the port for it")


@pytest.mark.parametrize("code", [535, 550])
def test_where_passwords_are_off_the_error_says_oauth(code: int) -> None:
    """Microsoft 365 answers so where basic authentication is off."""
    reply = f"{code} 5.7.30 Basic authentication is not supported"
    text, _, _ = said({"AUTH": reply})
    assert text == (
        f"login of {USER!r} by PLAIN failed: {reply}. "
        "Set access_token: the server accepts OAuth 2 tokens, but no passwords."
    )


def test_a_hint_is_found_by_the_services_host() -> None:
    for provider in providers.PROVIDERS.values():
        host = provider.host_in("eu-west-1" if provider.regional else None)
        assert login_hint(host) == provider.login_hint


def test_a_hint_is_found_however_the_host_is_written() -> None:
    assert login_hint("SMTP.Gmail.com.") == providers.find("gmail").login_hint


@pytest.mark.parametrize(
    "host", ["localhost", "smtp.gmail.com.example.com", "email-smtp.evil.example", ""]
)
def test_an_unknown_host_has_no_hint(host: str) -> None:
    assert login_hint(host) == ""


AS_GMAIL = """
from tocsin import SMTPEmailHandler, SendError
from tocsin.testing import ScriptedSMTPServer

replace("/etc/hosts", "127.0.0.1 smtp.gmail.com\\n")
for reply in ("535 5.7.8 not accepted", "454 4.7.0 too many logins"):
    with ScriptedSMTPServer({"AUTH": reply}, port=25) as server:
        try:
            with SMTPEmailHandler(host="smtp.gmail.com", username="u", password="secret").connect():
                pass
        except SendError as error:
            print(error)
"""


def test_the_error_says_what_the_service_wants(tmp_path: Path) -> None:
    """Not where it means to wait: a new password doesn't help against too many logins."""
    assert on_a_host_of_its_own(tmp_path, AS_GMAIL).splitlines() == [
        "smtp.gmail.com:25: login of 'u' by PLAIN failed: 535 5.7.8 not accepted. "
        + providers.find("gmail").login_hint,
        "smtp.gmail.com:25: login of 'u' by PLAIN failed: 454 4.7.0 too many logins",
    ]


# Secrets


def test_a_secret_that_is_a_callable_is_asked_for_at_each_login() -> None:
    """A rotated one works without a restart."""
    secrets = iter(["one", "two"])
    with ScriptedSMTPServer(auth=["PLAIN"]) as server:
        client = handler(server, password=lambda: next(secrets))
        client.send(mail())
        client.send(mail())
    assert [connection.commands[1] for connection in server.connections] == [
        "AUTH PLAIN " + b64(f"\0{USER}\0one"),
        "AUTH PLAIN " + b64(f"\0{USER}\0two"),
    ]


def test_a_secret_is_asked_for_only_at_the_login() -> None:
    def never() -> str:
        raise AssertionError

    with ScriptedSMTPServer({"connect": "554 no"}) as server:
        client = handler(server, access_token=never)
        with pytest.raises(SendError, match=r": 554 no$"):
            client.send(mail())


@pytest.mark.parametrize("option", ["password", "access_token"])
def test_a_callable_that_fails_is_a_failed_login(option: str) -> None:
    def token() -> str:
        raise LookupError("the vault is sealed")

    text, reply, commands = said({}, **{"password": None, option: token})
    assert text == "no password to log in with: LookupError: the vault is sealed"
    assert reply == Reply(None, None, "no password")
    assert commands == []


@pytest.mark.parametrize("given", [None, b"secret", 7, "", "se\udcffcret", "se\0cret"])
@pytest.mark.parametrize("option", ["password", "access_token"])
def test_a_callable_without_a_secret_is_a_failed_login(option: str, given: Any) -> None:
    """`None` must not be sent as the password "None", and no error may show what came."""
    text, _, commands = said(
        {}, auth=["PLAIN", "XOAUTH2"], **{"password": None, option: lambda: given}
    )
    assert text.startswith("no password to log in with: ")
    assert "cret" not in text
    assert commands == []


ON_ANOTHER_ADDRESS = """
import socket, ssl, sys, threading
from tocsin import SMTPEmailHandler, SendError

configure("lo:1", "192.0.2.7")
seen = []

def serve(listener):
    while True:
        sock, _ = listener.accept()
        with sock, sock.makefile("rwb") as file:
            file.write(b"220 hello\\r\\n")
            file.flush()
            for line in file:
                if line == b"QUIT\\r\\n":
                    break
                seen.append(line)
                file.write(b"250-x\\r\\n250 AUTH PLAIN\\r\\n" if line[:4] == b"EHLO"
                           else b"235 ok\\r\\n")
                file.flush()

listener = socket.create_server(("192.0.2.7", 25))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
for dangerous in (False, True):
    client = SMTPEmailHandler(host="192.0.2.7", username="u", password="p",
                              dangerous_plaintext_login=dangerous)
    try:
        with client.connect():
            print("logged in")
    except SendError as error:
        print(error)
    print(sum(line.startswith(b"AUTH") for line in seen))
"""


def test_no_credentials_go_over_a_connection_that_is_not_encrypted(tmp_path: Path) -> None:
    """But on loopback; and where an option with a fitting name allows it."""
    assert on_a_host_of_its_own(tmp_path, ON_ANOTHER_ADDRESS) == (
        "192.0.2.7:25: credentials are not sent over a connection that is not encrypted; "
        "set use_tls (port 465) or use_starttls (port 587)\n"
        "0\n"
        "logged in\n"
        "1\n"
    )


@pytest.mark.parametrize("echo", ["500 5.5.1 unrecognized: {line}", "535 5.7.8 no {secret}"])
@pytest.mark.parametrize(
    ("auth", "option"),
    [
        ("PLAIN", "password"),
        ("LOGIN", "password"),
        ("XOAUTH2", "access_token"),
        ("OAUTHBEARER", "access_token"),
    ],
)
def test_a_server_that_repeats_what_it_is_told_gives_nothing_away(
    echo: str, auth: str, option: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Some do so with a command that they don't know."""
    count = 0

    def repeat(line: str, _: object) -> str:
        nonlocal count
        count += 1
        if auth == "LOGIN" and count < 3:
            return "334 VXNlcm5hbWU6"
        sent = line or b64(SECRET)
        return echo.format(line=sent, secret=SECRET)

    caplog.set_level(logging.DEBUG)
    with ScriptedSMTPServer({"AUTH": repeat}, auth=[auth]) as server:
        client = handler(server, **{option: SECRET})
        with pytest.raises(SendError) as caught:
            client.send(mail())
    assert_secret("".join(traceback.format_exception(caught.value)))
    assert_secret(repr(caught.value.receipts))
    assert_secret(caplog.text)


def assert_secret(text: str) -> None:
    """Assert that the secret isn't in a text, in any form that was sent."""
    forms = [SECRET, repr(SECRET)[1:-1], b64(SECRET), b64(f"\0{USER}\0{SECRET}")]
    forms += [b64(f"user={USER}{BEARER}"), b64("n,a=ünsér=2C=3Dname@example.com," + BEARER)]
    for form in forms:
        assert form not in text


@pytest.mark.parametrize("option", ["password", "access_token"])
def test_the_secret_is_in_no_repr_and_no_pickle(option: str) -> None:
    with ScriptedSMTPServer() as server, handler(server, **{option: SECRET}).connect() as client:
        target = target_for(server, username=USER, **{option: lambda: SECRET})
        session = Session.open(target)
        for shown in (client, session, target, [client], {"x": target}):
            assert_secret(repr(shown))
            assert_secret(str(shown))
        session.close()
        with pytest.raises(TypeError):
            pickle.dumps(client)
        with pytest.raises(TypeError):
            copy.deepcopy(client)


def test_the_error_of_a_login_can_be_pickled_and_has_no_secret() -> None:
    with ScriptedSMTPServer({"AUTH": "535 no"}) as server:
        error = refusal(handler(server, password=SECRET))
    data = pickle.dumps(error)
    assert SECRET.encode() not in data
    again = pickle.loads(data)
    assert (str(again), again.reply) == (str(error), error.reply)


@pytest.mark.parametrize("option", ["username", "password", "access_token"])
def test_what_utf8_can_not_carry_is_no_option(option: str) -> None:
    """An environment variable of another encoding has lone surrogates (PEP 383)."""
    given: dict[str, Any] = (
        {"username": "u", "password": "p"} if option == "username" else {"username": "u"}
    )
    with pytest.raises(ConfigError) as caught:
        SMTPEmailHandler(**{**given, option: "se\udcffcret"})
    assert str(caught.value) == (
        f"{option}: expected text that UTF-8 can encode, got a lone surrogate"
    )


@pytest.mark.parametrize("option", ["username", "password", "access_token"])
def test_control_characters_can_not_change_what_a_login_says(option: str) -> None:
    """RFC 4616 §2 and RFC 7628 §3.1 separate by NUL and ^A: `a<NUL>b` is somebody else."""
    given: dict[str, Any] = (
        {"username": "u", "password": "p"} if option == "username" else {"username": "u"}
    )
    with pytest.raises(ConfigError) as caught:
        SMTPEmailHandler(**{**given, option: "a\0b" if option == "username" else "a\1b"})
    assert str(caught.value) == (
        f"{option}: expected text without NUL and ^A, which separate a login's parts"
    )


def test_a_message_has_the_username_as_its_sender_if_that_is_an_address() -> None:
    message = Message(subject="s", text="t", to=["b@example.com"])
    with ScriptedSMTPServer() as server:
        handler(server, username=FROM, password="p").send(message)
        with pytest.raises(ValueError, match=r"^from_addr: "):
            handler(server, username="apikey", password="p").send(message)
    assert [one.sender for one in server.messages] == [FROM]


def test_a_cause_is_kept_without_the_secret() -> None:
    def token() -> str:
        raise OSError("no route to the vault")

    with ScriptedSMTPServer() as server:
        error = refusal(handler(server, access_token=token))
    assert isinstance(error.__cause__, OSError)
