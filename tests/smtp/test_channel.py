"""The socket beneath: replies of any kind, none at all, and waits that end."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from conversations import everybody_once, handler_for, message, people
from peers import on_a_host_of_its_own
from twins import Haraka

from tocsin import Reply
from tocsin.mail import channel as channels
from tocsin.mail.channel import Channel, OutOfStepError
from tocsin.mail.dial import dial
from tocsin.testing import Act, Drip, ScriptedSMTPServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator
    from pathlib import Path

    from tocsin.testing.script import Action, Script

pytest_plugins = ("tls_peers",)


@contextlib.contextmanager
def hearing(*said: Action, script: Script | None = None, timeout: float = 5) -> Generator[Channel]:
    """Connect to a server that greets with these words."""
    with ScriptedSMTPServer({"connect": list(said), **(script or {})}) as server:
        channel = Channel(dial("127.0.0.1", server.port, time.monotonic() + 5), timeout=timeout)
        try:
            yield channel
        finally:
            channel.close()


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (b"220 hello\r\n", Reply(220, None, "hello")),
        (b"220 hello\n", Reply(220, None, "hello")),
        (b"250\r\n", Reply(250, None, "")),
        (b"250 \r\n", Reply(250, None, "")),
        (b"250-one\r\n250-\r\n250 three\r\n", Reply(250, None, "one\n\nthree")),
        (b"250-one\r\n250\r\n", Reply(250, None, "one\n")),
        (b"250 2.1.0 fine\r\n", Reply(250, "2.1.0", "fine")),
        (b"550 5.7.30\r\n", Reply(550, "5.7.30", "")),
        (b"550-5.1.1 nobody\r\n550 5.1.1 here\r\n", Reply(550, "5.1.1", "nobody\nhere")),
        (b"220 1.2.3 is no enhanced code\r\n", Reply(220, None, "1.2.3 is no enhanced code")),
        (b"250 2.1.0.9 nor is this\r\n", Reply(250, None, "2.1.0.9 nor is this")),
        ("250 grüß\r\n".encode(), Reply(250, None, "grüß")),
        (b"554 \xff\xfe\x00\r\n", Reply(554, None, "\ufffd\ufffd\x00")),
    ],
)
def test_a_reply_may_have_any_text(said: bytes, reply: Reply) -> None:
    """RFC 5321 §4.2: the code decides; the text is for people, and servers write what they like."""
    with hearing(said) as channel:
        assert channel.reply() == reply


def test_empty_lines_are_no_replies() -> None:
    """Some servers greet with one, or say one behind the answer to EHLO; it decides nothing."""
    with hearing(b"\r\n\n220 hello\r\n\r\n\r\n") as channel:
        assert channel.reply() == Reply(220, None, "hello")
        assert not channel.unread()


@pytest.mark.parametrize(
    "said",
    [
        b"hello\r\n",
        b"220-a\r\n\r\n220 b\r\n",
        b"22 hello\r\n",
        b"2200 hello\r\n",
        b"220hello\r\n",
        b"120 hello\r\n",
        b"620 hello\r\n",
        b" 220 hello\r\n",
        b"\xff\xfb\x01220 hello\r\n",
        b"220-hello\r\n250 other\r\n",
        b"220-hello\r\nworld\r\n",
        "٢٢٠ hello\r\n".encode(),
    ],
)
def test_what_is_no_reply_is_an_error(said: bytes) -> None:
    """A line without a code, or with another one: the two sides are out of step."""
    with hearing(said) as channel, pytest.raises(OutOfStepError, match=r"^not an SMTP reply: b"):
        channel.reply()


def test_an_error_shows_only_the_beginning_of_what_came() -> None:
    with hearing(b"x" * 9000 + b"\r\n") as channel, pytest.raises(OutOfStepError) as caught:
        channel.reply()
    assert str(caught.value) == f"not an SMTP reply: {b'x' * 80!r}"


def test_a_reply_of_a_hundred_lines_is_one() -> None:
    lines = b"250-x\r\n" * 99 + b"250 x\r\n"
    with hearing(lines) as channel:
        assert channel.reply().text.count("x") == 100


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"250-x\r\n" * 100 + b"250 x\r\n", "a reply that doesn't end"),
        ((b"250-" + b"x" * 9000 + b"\r\n") * 8 + b"250 x\r\n", "a reply that doesn't end"),
        (b"250 " + b"x" * 66_000 + b"\r\n", "a (reply|line) that doesn't end"),
        (b"250 " + b"x" * 200_000, "a line that doesn't end"),
        (b"\r\n" * 70_000, "not an SMTP reply: b''"),
    ],
)
def test_a_reply_is_capped(said: Action, error: str) -> None:
    """64 KB, 100 lines: memory is not the server's to fill."""
    with hearing(said) as channel, pytest.raises(OutOfStepError, match=rf"^{error}$"):
        channel.reply()


def test_what_nobody_asked_for_is_capped() -> None:
    """A server that talks all the time while it is written to can't fill the memory either."""
    chatter = b"250 ok\r\n" * 3_000_000  # more than the kernel holds
    with hearing(chatter) as channel, pytest.raises(OutOfStepError, match=r"^more replies than"):
        channel.write(b"x" * 100_000_000)


@pytest.mark.parametrize(
    "said",
    [Act.SILENCE, b"220 no line end", Drip(b"220-x\r\n", 0.05), (b"220-half\r\n", Act.SILENCE)],
)
def test_a_reply_is_not_waited_for_longer_than_allowed(said: Action) -> None:
    """A byte now and then doesn't prolong the wait."""
    with hearing(said, timeout=0.3) as channel:
        before = time.monotonic()
        with pytest.raises(TimeoutError, match=r"^timed out$"):
            channel.reply()
        assert 0.25 < time.monotonic() - before < 2


def test_the_deadline_ends_a_wait_before_its_time_out() -> None:
    with hearing(Act.SILENCE) as channel:
        channel.deadline = time.monotonic() + 0.2
        before = time.monotonic()
        with pytest.raises(TimeoutError):
            channel.reply(timeout=60)
        assert time.monotonic() - before < 2


def test_nothing_is_sent_after_the_deadline() -> None:
    """Somebody else may send the same by then, as this process was stopped for long."""
    with hearing("220 hello") as channel:
        channel.reply()
        channel.deadline = time.monotonic()
        with pytest.raises(TimeoutError):
            channel.write(b"DATA\r\n")
        assert channel.sent == 0


def test_a_deadline_in_the_past_is_a_time_out() -> None:
    with hearing(Act.SILENCE) as channel:
        channel.deadline = time.monotonic() - 1
        with pytest.raises(TimeoutError):
            channel.reply()


@pytest.mark.parametrize("said", [Act.CLOSE, (b"220-half\r\n", Act.CLOSE)])
def test_a_connection_that_ends_is_an_error(said: Action) -> None:
    with hearing(said) as channel:
        with pytest.raises(ConnectionResetError, match=r"^the server closed the connection$"):
            channel.reply()
        assert channel.unread()  # and stays one


def test_a_connection_that_is_reset_is_an_error() -> None:
    with hearing("220 hello", script={"NOOP": Act.RESET}) as channel:
        channel.reply()
        channel.write(b"NOOP\r\n")
        with pytest.raises(ConnectionResetError, match=r"^the server closed the connection$"):
            channel.reply()


def test_a_reply_before_the_end_of_the_connection_counts() -> None:
    with hearing((b"220 hello\r\n", Act.CLOSE)) as channel:
        assert channel.reply() == Reply(220, None, "hello")
        with pytest.raises(ConnectionResetError):
            channel.reply()


def test_what_nobody_asked_for_is_seen() -> None:
    """RFC 5321 §2.1: a server speaks when it is asked; else its next reply belongs to nothing."""
    with hearing("220 hello\n421 too busy") as channel:
        channel.reply()
        assert channel.unread()
    with hearing("220 hello") as channel:
        channel.reply()
        assert not channel.unread()


def test_a_server_that_stops_reading_times_out() -> None:
    with hearing(("220 hello", Act.STOP_READING), timeout=0.3) as channel:
        channel.reply()
        with pytest.raises(TimeoutError):
            channel.write(b"x" * 50_000_000)


def test_a_write_stops_at_an_early_reply() -> None:
    """What the server says while it is written to is read, not lost behind a broken pipe."""
    with hearing(("552 5.3.4 too big", Act.STOP_READING)) as channel:
        assert not channel.write(b"x" * 50_000_000, until_reply=True)
        assert channel.reply() == Reply(552, "5.3.4", "too big")


def test_a_write_goes_on_when_the_other_side_only_stops_talking() -> None:
    """A half-closed connection can still be written to (RFC 9293 §3.6), without a busy loop."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken: list[int] = []

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.shutdown(socket.SHUT_WR)
                while data := sock.recv(1 << 16):
                    taken.append(len(data))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        sock = dial("127.0.0.1", listener.getsockname()[1], time.monotonic() + 5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
        channel = Channel(sock, timeout=5)
        assert channel.write(b"x" * 2_000_000)
        channel.close()
        thread.join()
    assert sum(taken) == 2_000_000


def test_a_connection_that_ends_in_the_tls_handshake_is_an_error(
    client_tls: ssl.SSLContext,
) -> None:
    with hearing(Act.CLOSE) as channel, pytest.raises(OSError, match=r"(?i)eof|closed|reset"):
        channel.start_tls(client_tls, "localhost")


def test_the_handshake_of_tls_times_out(client_tls: ssl.SSLContext) -> None:
    with hearing(Act.SILENCE, timeout=0.3) as channel:
        with pytest.raises(TimeoutError):
            channel.start_tls(client_tls, "localhost")
        assert not channel.encrypted


def test_writing_under_tls_to_who_has_hung_up_is_a_lost_connection(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    """Whatever TLS calls it: a reply that came before may say why."""
    script: Script = {"connect": ("421 4.3.0 bye", Act.CLOSE)}
    with ScriptedSMTPServer(script, tls=True, tls_context=server_tls) as server:
        channel = Channel(dial("127.0.0.1", server.port, time.monotonic() + 5), timeout=5)
        channel.start_tls(client_tls, "localhost")
        while not channel.ended:
            channel.unread()
        with pytest.raises(ConnectionError):
            channel.write(b"x" * 10_000_000)
        assert channel.reply().code == 421
        channel.close()


def test_much_goes_both_ways_under_tls(
    client_tls: ssl.SSLContext, server_tls: ssl.SSLContext
) -> None:
    """Neither side waits for the other one to read."""
    chatter = b"250 " + b"y" * 1000 + b"\r\n"
    with ScriptedSMTPServer(
        {"connect": chatter * 3000}, tls=True, tls_context=server_tls
    ) as server:
        channel = Channel(dial("127.0.0.1", server.port, time.monotonic() + 5), timeout=5)
        channel.start_tls(client_tls, "localhost")
        assert channel.encrypted
        channel.write(b"NOOP\r\n" * 300_000)
        assert [channel.reply().code for _ in range(3000)] == [250] * 3000
        channel.close()


def test_both_ends_have_addresses() -> None:
    with hearing() as channel:
        assert (channel.peer, channel.local) == ("127.0.0.1", "127.0.0.1")


def test_a_closed_channel_closes_again() -> None:
    """A session is closed by whoever finds it lost, and again by its owner."""
    with hearing() as channel:
        channel.close()
        channel.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            channel.unread()


def test_a_port_where_nobody_listens_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        dial("127.0.0.1", port, time.monotonic() + 5)


@pytest.mark.parametrize("host", ["no.such.name.invalid", "a..b", "x" * 70, ".example.com"])
def test_a_name_that_can_not_be_resolved_is_an_error(host: str) -> None:
    """`getaddrinfo` raises UnicodeError for some names, which nobody expects of a connection."""
    with pytest.raises(OSError, match=r".") as caught:
        dial(host, 25, time.monotonic() + 10)
    assert not isinstance(caught.value, TimeoutError)


def test_no_time_left_is_a_time_out() -> None:
    with ScriptedSMTPServer() as server, pytest.raises(TimeoutError):
        dial("127.0.0.1", server.port, time.monotonic() - 1)


def test_a_silent_address_does_not_hold_the_connection() -> None:
    """A host whose queue of connections is full drops what comes; nobody waits for it for long."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        stack.enter_context(socket.create_connection(address))
        before = time.monotonic()
        with pytest.raises(TimeoutError):
            dial("127.0.0.1", address[1], time.monotonic() + 0.3)
        assert time.monotonic() - before < 2


SECOND_ADDRESS = """
import socket, time
from tocsin.mail.dial import dial

def reached():
    before = time.monotonic()
    with dial("two.test", 25, before + 0.8) as sock:
        return sock.getpeername()[0], round(time.monotonic() - before, 1)

replace("/etc/hosts", "127.0.0.1 two.test\\n127.0.0.2 two.test\\n")
with socket.create_server(("127.0.0.2", 25)):
    print(*reached())  # the first one is closed
    with socket.create_server(("127.0.0.1", 25), backlog=0) as full:
        with socket.create_connection(full.getsockname()):
            print(*reached())  # the first one drops what comes
"""


def test_a_closed_or_silent_address_leaves_time_for_the_next_one(tmp_path: Path) -> None:
    """RFC 5321 §5.1: all addresses are tried; each gets its share of the time that is left."""
    assert on_a_host_of_its_own(tmp_path, SECOND_ADDRESS) == "127.0.0.2 0.0\n127.0.0.2 0.4\n"


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="Linux has it")
def test_replies_that_are_written_one_by_one_are_acknowledged_at_once() -> None:
    """A server without TCP_NODELAY holds the second one back: 45 ms a transaction, 2.2 s for 50."""
    with Haraka() as server:
        before = time.monotonic()
        receipts = handler_for(server, pipeline_messages=False).send(
            [message(name) for name in people(50)]
        )
        assert time.monotonic() - before < 1
        everybody_once(server, receipts)


def test_a_system_without_quick_acknowledgements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux, replies only come later."""
    monkeypatch.setattr(channels, "QUICK_ACK", None)
    with Haraka() as server:
        (receipt,) = handler_for(server, pipeline_messages=False).send(message("a@x"))
    assert receipt.accepted == ("a@x",)
    assert len(server.messages) == 1


SILENT_NAME_SERVER = """
import socket, time
from tocsin import SendError, SMTPEmailHandler

replace("/etc/resolv.conf", "nameserver 127.0.0.53\\n")
replace("/etc/nsswitch.conf", "hosts: files dns\\n")
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.53", 53))
before = time.monotonic()
try:
    with SMTPEmailHandler(host="mail.example.com", timeout=0.3).connect():
        print("connected")
except SendError as error:
    print(error, time.monotonic() - before < 2)
print(b"mail" in silent.recv(999))
"""


def test_a_silent_name_server_does_not_hold_the_connection(tmp_path: Path) -> None:
    """`getaddrinfo` takes no time-out: 10 s and more, whatever the socket's is."""
    assert on_a_host_of_its_own(tmp_path, SILENT_NAME_SERVER) == (
        "mail.example.com:25: connecting failed: "
        "no answer from the name servers for 'mail.example.com' True\nTrue\n"
    )


def test_where_no_thread_can_start_the_name_is_looked_up_all_the_same() -> None:
    """While the interpreter ends none starts (since 3.12), and the last mail still has to go."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        before = threading.stack_size(1 << 46)  # more than there is: no thread starts any more
        try:
            with dial("127.0.0.1", listener.getsockname()[1], time.monotonic() + 5) as sock:
                assert sock.getpeername() == listener.getsockname()
        finally:
            threading.stack_size(before)
