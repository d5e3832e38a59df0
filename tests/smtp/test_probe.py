"""A probe asks the server about a sender and recipients, step by step, and sends no message."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
from conversations import target_for

from tocsin import ConnectError, Message
from tocsin.mail.probe import ASKING, probe
from tocsin.testing import Act, ScriptedSMTPServer

if TYPE_CHECKING:
    from tocsin.mail.opening import Step

pytest_plugins = ("tls_peers",)
PEOPLE = ("ann@example.com", "bo@example.com", "cy@example.com")


def steps(server: ScriptedSMTPServer, message: Message, **options: Any) -> list[Step]:
    found: list[Step] = []
    limit = options.pop("limit", None)
    asking = options.pop("asking", ASKING)
    target = target_for(server, **options)
    probe(target, message, on_step=found.append, limit=limit, asking=asking)
    assert server.messages == []
    assert not any("DATA" in one.commands for one in server.connections)
    return found


def mail(**options: Any) -> Message:
    return Message(**{"from_addr": "alerts@example.com", "to": PEOPLE, "text": "x", **options})


def replies(found: list[Step]) -> list[tuple[str, str, int | None]]:
    asked = [one for one in found if one.name in {"sender", "recipient"}]
    return [(one.name, one.facts["address"], one.facts["reply"].code) for one in asked]


ALL = [("sender", "alerts@example.com", 250), *(("recipient", one, 250) for one in PEOPLE)]


@pytest.mark.parametrize("tls", [True, False])
def test_each_step_is_told(
    tls: bool, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    options = {"tls_context": client_tls, "starttls": not tls, "username": "u"}
    with ScriptedSMTPServer(tls_context=server_tls, tls=tls) as server:
        found = steps(server, mail(), **options, password=lambda: "p")
    names = [one.name for one in found[:6]]
    assert names == ["name", "connect"] + (
        ["TLS", "greeting", "extensions", "login"]
        if tls
        else ["greeting", "TLS", "extensions", "login"]
    )
    facts = {one.name: one.facts for one in found}
    assert facts["name"] == {"addresses": ["127.0.0.1"]}
    assert facts["connect"] == {"peer": "127.0.0.1"}
    assert facts["TLS"]["version"].startswith("TLSv1.")
    assert ("DNS", "localhost") in facts["TLS"]["certificate"]["subjectAltName"]
    assert facts["greeting"] == {"text": "scripted.test ESMTP"}
    assert facts["extensions"]["features"]["SIZE"] == "10485760"
    assert facts["login"] == {"username": "u", "mechanism": "PLAIN"}
    assert replies(found) == ALL
    assert all(one.seconds >= 0 for one in found)
    assert server.connections[0].commands[-2:] == ["RSET", "QUIT"]


def test_a_certificate_that_was_not_verified_tells_nothing(server_tls: ssl.SSLContext) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with ScriptedSMTPServer(tls_context=server_tls, tls=True) as server:
        found = steps(server, mail(), tls_context=context)
    assert found[2].facts["certificate"] == {}


def test_a_refused_sender_is_the_end() -> None:
    with ScriptedSMTPServer({"MAIL": "550 5.7.1 not you"}) as server:
        found = steps(server, mail())
    assert replies(found) == [("sender", "alerts@example.com", 550)]


def test_each_recipient_has_its_reply() -> None:
    with ScriptedSMTPServer({"RCPT": [None, "550 5.1.1 gone", "450 4.2.0 later"]}) as server:
        found = steps(server, mail())
    assert [code for *_, code in replies(found)] == [250, 250, 550, 450]


@pytest.mark.parametrize("many", ["452 4.5.3 too many recipients", "452 4.3.1 enough"])
def test_too_many_recipients_are_asked_for_in_another_transaction(many: str) -> None:
    with ScriptedSMTPServer({"RCPT": [None, None, many]}) as server:
        found = steps(server, mail())
    assert replies(found) == ALL
    assert [one[:4] for one in server.connections[0].commands].count("MAIL") == 2


def test_a_transaction_has_no_more_recipients_than_asked_for() -> None:
    with ScriptedSMTPServer() as server:
        found = steps(server, mail(), limit=1)
    assert replies(found) == ALL
    assert [one[:4] for one in server.connections[0].commands].count("MAIL") == 3


def test_a_sender_refused_the_second_time_is_told() -> None:
    with ScriptedSMTPServer({"MAIL": [None, "451 4.7.1 slow down"]}) as server:
        found = steps(server, mail(), limit=2)
    assert [code for *_, code in replies(found)] == [250, 250, 250, 451]


def test_an_address_that_the_server_cannot_take_is_not_asked_for() -> None:
    with ScriptedSMTPServer(features=["8BITMIME"]) as server:
        found = steps(server, mail(to="jörg@example.com"))
    ((name, address, code),) = replies(found)
    assert (name, address, code) == ("recipient", "jörg@example.com", None)


@pytest.mark.parametrize(
    ("act", "code", "text"),
    [
        (("421 4.7.0 too many errors", Act.CLOSE), 421, "too many errors"),
        (Act.CLOSE, None, "the server closed the connection"),
    ],
)
def test_a_lost_connection_is_an_error(act: Any, code: int | None, text: str) -> None:
    found: list[Step] = []
    script = {"RCPT": [None, act]}
    with ScriptedSMTPServer(script) as server, pytest.raises(ConnectError) as caught:
        probe(target_for(server), mail(), on_step=found.append)
    assert caught.value.reply.code == code
    assert str(caught.value).startswith(f"127.0.0.1:{server.port}: asking failed: ")
    assert text in str(caught.value)
    assert replies(found) == ALL[:2], "what is known by then"


def test_slow_recipients_do_not_take_for_ever() -> None:
    """Each reply had 30 seconds: with a hundred recipients, a check could take an hour."""
    found: list[Step] = []
    with ScriptedSMTPServer({"RCPT": [None, Act.SILENCE]}) as server:
        target = target_for(server, timeout=60)
        with pytest.raises(ConnectError, match="timed out"):
            probe(target, mail(), on_step=found.append, asking=0.5)
    assert replies(found) == ALL[:2]
