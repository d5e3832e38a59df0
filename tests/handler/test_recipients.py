"""Who gets an alert: fixed lists, on-call files, callables; and what is said of a broken one."""

from __future__ import annotations

import functools
import itertools
import logging.config
import os
import signal
import subprocess
import sys
import textwrap
import threading
from email.headerregistry import Address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import override

from tocsin import ConfigError
from tocsin.alerts.digest import Audience
from tocsin.mail.address import AddressList, prepare_address
from tocsin.pipeline.recipients import (
    Current,
    Recipients,
    _Call,
    _FromCallable,
    bare_addresses,
    build_recipients,
)
from tocsin.pipeline.sending import sending_here

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from pathlib import Path

A = Address("", "a", "x.example")
OPS = Address("Ops", "b", "x.example")
BAD_NAMES = "one address a line; a name with a comma needs quotes"


def message(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    return str(caught.value)


def built(value: object) -> Current:
    return build_recipients("to", value).current()


def replace(path: Path, content: str | bytes) -> None:
    """Write a file as a careful program does: whole, or not at all."""
    new = path.with_name("new")
    new.write_bytes(content.encode() if isinstance(content, str) else content)
    new.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "oncall.txt"
    replace(path, "a@x.example\n")
    return path


def in_file(path: Path, content: str | bytes) -> list[Address]:
    replace(path, content)
    current = built({"file": path})
    assert current.note == ""
    return current.addresses


# Fixed


@pytest.mark.parametrize(
    "value",
    [
        "a@x.example, Ops <b@x.example>",
        ["a@x.example", OPS],
        ("a@x.example", "Ops <b@x.example>"),
        AddressList([A, OPS]),
    ],
)
def test_a_fixed_list_is_text_or_addresses(value: object) -> None:
    assert built(value) == Current(AddressList([A, OPS]), "")


def test_one_address_is_a_list_of_one() -> None:
    assert built(OPS).addresses == [OPS]


def test_a_list_of_dictconfig_is_resolved() -> None:
    config = {"to": ["a@x.example", "cfg://ops"], "ops": "Ops <b@x.example>"}
    value = logging.config.BaseConfigurator(config).config["to"]
    assert built(value).addresses == [A, OPS]


def test_a_fixed_list_may_be_changed_by_who_gets_it() -> None:
    source = build_recipients("to", "a@x.example")
    source.current().addresses.clear()
    assert source.current().addresses == [A]
    assert repr(source) == "<recipients: 1, fixed>"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("", "to: missing; name at least one recipient"),
        ([], "to: missing; name at least one recipient"),
        (None, "to: expected an address or a list of them, got None"),
        (7, "to: expected an address or a list of them, got int"),
        ("bob", "to: 'bob' is not an address: expected name@domain"),
        (["a@x", ["b@x"]], "to[1]: expected an address, got list"),
        (("a@x", None), "to[1]: expected an address, got None"),
    ],
)
def test_a_fixed_list_is_checked_when_built(value: object, error: str) -> None:
    assert message(lambda: built(value)) == error


# From a file


@pytest.mark.parametrize(
    "content",
    [
        "a@x.example\nOps <b@x.example>\n",
        "a@x.example\r\nOps <b@x.example>",
        "a@x.example\rOps <b@x.example>\r",
        "\ufeffa@x.example\nOps <b@x.example>\n",
        "\ufeffa@x.example\n\ufeffOps <b@x.example>\n",
        '# who\n\n  a@x.example # Alice, till "Monday\n\t\nOps<b@x.example>#now\n#',
        '"a"@x.example\n"Ops" <b@x.example>',
    ],
)
def test_a_file_has_an_address_a_line_and_comments(path: Path, content: str) -> None:
    assert in_file(path, content) == [A, OPS]


def test_a_name_in_quotes_may_have_anything_in_it(path: Path) -> None:
    content = '"Ops #1, \\"night\\" \\\\" <b@x.example> # "\nJörg <c@x.example>'
    first, second = in_file(path, content)
    assert first == Address('Ops #1, "night" \\', "b", "x.example")
    assert second.display_name == "Jörg"


def test_a_comment_after_a_byte_order_mark(path: Path) -> None:
    assert in_file(path, "\ufeff# Ops\na@x.example") == [A]


def test_ten_thousand_addresses(path: Path) -> None:
    lines = [f"User {number} <u{number}@x.example>" for number in range(10_000)]
    found = in_file(path, "\n".join(lines))
    assert [str(address) for address in found] == lines


LOCAL = st.text("abcXYZ019.!#$%&'*+/=?^_`{|}~-ö", min_size=1, max_size=20).map(
    lambda text: ".".join(filter(None, text.split("."))) or "a"
)
ADDRESSES = st.builds(
    lambda name, local: prepare_address(Address(name, local, "x.example")),
    st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])),
    LOCAL,
)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    addresses=st.lists(ADDRESSES, min_size=1),
    comment=st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])),
    end=st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
)
def test_what_is_written_with_quotes_is_read_again(
    path: Path, addresses: list[Address], comment: str, end: str
) -> None:
    lines = [
        f"{quoted(item.display_name)} <{quoted(item.username)}@{item.domain}> #{comment}"
        for item in addresses
    ]
    assert in_file(path, end.join(lines)) == addresses


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary() | st.text(st.sampled_from('a@x.,"#\\<> \n\r\ud800\x85')))
def test_any_file_is_a_list_or_a_line_that_says_why_not(path: Path, content: str | bytes) -> None:
    replace(path, "a@x.example")
    source = build_recipients("to", {"file": path})
    replace(path, content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))
    current = source.current()
    assert current.addresses
    assert current.note.isprintable()
    assert current.note.startswith(str(path)) if current.note else True


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", ": no address in it"),
        ("# nobody\n", ": no address in it"),
        ("bob", " line 1: 'bob' is not an address: expected name@domain"),
        (
            "a@x.example\n\n# two\nbob at example # away\nc@x.example",
            " line 4: 'bob at example' is not an address: expected name@domain",
        ),
        ("a@x.example, b@x.example", f" line 1: 'a@x.example, b@x.example': {BAD_NAMES}"),
        ("a@x, Ops <b@x>", f" line 1: 'a@x, Ops <b@x>': {BAD_NAMES}"),
        (
            f"{'b' * 70}@x@x.example",
            f" line 1: '{'b' * 57}...' is not an address: check the part before the '@'",
        ),
        (f"b@{'-' * 999}", f" line 1: 'b@{'-' * 55}...' has no valid domain: '{'-' * 75}..."),
        (
            "a@x.example\n\x1b[31mb@x.example",
            " line 2: '\\\\x1b[31mb@x.example' is not an address: check the part before the '@'",
        ),
        (b"\xff\xfea\0@\0x\0", " line 1: not UTF-8 text"),
        (b"a@x.example\r\nJ\xf6rg <b@x.example>", " line 2: not UTF-8 text"),
        (b"\xef\xbb\xbfa@x.example\rJ\xf6rg <b@x.example>", " line 2: not UTF-8 text"),
        (b"a@x.example\n" * 83_334, ": larger than 1,000,000 bytes"),
    ],
)
def test_a_file_that_is_wrong_is_an_error_first_and_a_note_later(
    path: Path, content: str | bytes, problem: str
) -> None:
    """The last good list stays in use."""
    source = build_recipients("to", {"file": str(path)})
    replace(path, content)
    assert message(lambda: built({"file": str(path)})) == f"to.file: {path}{problem}"
    note = f"{path}{problem}; the last good list is used"
    assert source.current() == Current(AddressList([A]), note)
    assert source.current() == Current(AddressList([A]), note)
    assert repr(source) == f"<recipients: 1, from the file {path}; {path}{problem}>"
    replace(path, "Ops <b@x.example>")
    assert source.current() == Current(AddressList([OPS]), "")
    assert repr(source) == f"<recipients: 1, from the file {path}; good>"


def test_a_file_of_just_a_megabyte_is_read(path: Path) -> None:
    assert in_file(path, b"a@x.example\n#".ljust(1_000_000, b"#")) == [A]


def test_a_file_is_read_again_when_it_is_another_one(path: Path) -> None:
    """Size and time may be those of the old one: an archive's, or a copy's."""
    source = build_recipients("to", {"file": path})
    found = path.stat()
    new = path.with_name("new")
    new.write_text("c@x.example\n", encoding="utf-8")
    os.utime(new, ns=(found.st_atime_ns, found.st_mtime_ns))
    new.replace(path)
    assert path.stat().st_size == found.st_size
    assert path.stat().st_mtime_ns == found.st_mtime_ns
    assert [str(address) for address in source.current().addresses] == ["c@x.example"]


def test_a_file_is_read_again_when_it_was_written_in_place(path: Path) -> None:
    source = build_recipients("to", {"file": path})
    with path.open("a", encoding="utf-8") as file:
        file.write("Ops <b@x.example>\n")
    assert source.current().addresses == [A, OPS]


def test_a_file_that_is_the_same_is_not_read(path: Path) -> None:
    source = build_recipients("to", {"file": path})
    first = source._reading  # type: ignore[attr-defined]
    source.current().addresses.clear()
    assert source.current().addresses == [A]
    assert source._reading is first  # type: ignore[attr-defined]


def test_a_file_may_be_away_for_a_while(path: Path) -> None:
    """When it is back it is as it was: its inode and its times tell nothing."""
    source = build_recipients("to", {"file": path})
    away = path.rename(path.with_name("away"))
    problem = f"can't read {str(path)!r}: No such file or directory"
    note = f"{problem}; the last good list is used"
    assert source.current() == Current(AddressList([A]), note)
    assert repr(source) == f"<recipients: 1, from the file {path}; {problem}>"
    assert message(lambda: built({"file": path})) == f"to.file: {problem}"
    away.rename(path)
    assert source.current() == Current(AddressList([A]), "")


def test_what_is_no_file_is_never_opened(path: Path) -> None:
    """To open a pipe waits for who writes to it."""
    source = build_recipients("to", {"file": path})
    path.unlink()
    path.mkdir()
    note = f"{path}: not a regular file; the last good list is used"
    assert source.current() == Current(AddressList([A]), note)
    if hasattr(os, "mkfifo"):
        path.rmdir()
        os.mkfifo(path)
        assert source.current().note == note
        assert message(lambda: built({"file": path})) == f"to.file: {path}: not a regular file"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no such permissions")
def test_a_file_that_may_not_be_read(path: Path) -> None:
    source = build_recipients("to", {"file": path})
    path.chmod(0)
    note = f"can't read {str(path)!r}: Permission denied; the last good list is used"
    user = os.geteuid()
    if user == 0:  # who may read whatever there is
        os.seteuid(65534)
    try:
        assert source.current() == Current(AddressList([A]), note)
    finally:
        os.seteuid(user)
    path.chmod(0o600)
    assert source.current() == Current(AddressList([A]), "")


def test_a_relative_file_stays_where_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    source = build_recipients("to", {"file": "oncall.txt"})
    monkeypatch.chdir("/")
    replace(path, "Ops <b@x.example>\nbob")
    assert source.current().note == (
        "oncall.txt line 2: 'bob' is not an address: expected name@domain; "
        "the last good list is used"
    )
    replace(path, "Ops <b@x.example>")
    assert source.current().addresses == [OPS]


def test_a_mapping_of_dictconfig_is_read_by_key(path: Path) -> None:
    config = {"to": {"file": "cfg://oncall"}, "oncall": str(path)}
    value = logging.config.BaseConfigurator(config).config["to"]
    assert isinstance(value, logging.config.ConvertingDict)
    assert built(value).addresses == [A]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({"flie": "x"}, "to.flie: unknown option; did you mean 'file'?"),
        ({"file": "x", "url": "y"}, "to.url: unknown option; known are file"),
        ({}, "to.file: expected a path, got None"),
        ({"file": ""}, "to.file: expected a path, got an empty string"),
        ({"file": "\0"}, "to.file: expected a path, got one with a NUL in it"),
        ({"file": ["x"]}, "to.file: expected a path, got list"),
    ],
)
def test_the_options_of_a_file_are_checked(value: object, error: str) -> None:
    assert message(lambda: built(value)) == error


def test_a_name_that_no_file_can_have() -> None:
    assert message(lambda: built({"file": "/\ud800"})).startswith("to.file: ")


def test_a_file_may_be_replaced_while_several_read(path: Path) -> None:
    texts = ["a@x.example\n" * 5, "Ops <b@x.example>\n" * 5]
    replace(path, texts[0])
    source = build_recipients("to", {"file": path})
    done = threading.Event()
    found: list[Current] = []

    def read() -> None:
        while not done.is_set():
            found.append(source.current())

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(100):
        replace(path, texts[number % 2])
    done.set()
    for thread in threads:
        thread.join()
    wrong = [one for one in found if one.note or one.addresses not in ([A] * 5, [OPS] * 5)]
    assert wrong == []
    assert source.current().addresses == [OPS] * 5


# From a callable


class Rota:
    """A callable whose answers are given: one is raised if it is an error, called if it can be."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self) -> object:
        self.calls += 1
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer


NAME = f"{__name__}.Rota"
LAST = "its last good answer is used"
NONE = "it has given no good answer yet"


def addresses_one_by_one() -> Generator[str | Address]:
    yield "a@x.example"
    yield OPS


@pytest.mark.parametrize(
    "answer",
    [
        "a@x.example, Ops <b@x.example>",
        ["a@x.example", OPS],
        ("a@x.example", OPS),
        AddressList([A, OPS]),
        addresses_one_by_one,
    ],
)
def test_a_callable_may_answer_what_a_fixed_list_may_be(answer: object) -> None:
    assert built(Rota(answer)) == Current(AddressList([A, OPS]), "")


def test_a_callable_is_asked_each_time_and_not_before() -> None:
    rota = Rota("a@x.example", OPS, OPS)
    source = build_recipients("to", rota)
    assert rota.calls == 0
    assert repr(source) == f"<recipients: 0, from the callable {NAME}; not asked yet>"
    assert source.current().addresses == [A]
    assert source.current().addresses == [OPS]
    source.current().addresses.clear()
    assert rota.calls == 3
    assert repr(source) == f"<recipients: 1, from the callable {NAME}; answered>"


class UnprintableError(Exception):
    @override
    def __str__(self) -> str:
        raise ValueError


def broken_generator() -> Generator[str]:
    yield "a@x.example"
    raise AttributeError("rota")


EXPECTED = "answer: expected an address or a list of them, got"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, f"{EXPECTED} None"),
        (b"a@x", f"{EXPECTED} bytes"),
        ({"a@x": 1}, f"{EXPECTED} dict"),
        (["a@x", 1], "answer[1]: expected an address, got int"),
        ("", "answer: no address in it"),
        ([], "answer: no address in it"),
        (iter(()), "answer: no address in it"),
        ("bob", "answer: 'bob' is not an address: expected name@domain"),
        (["a@x", "bo\nb"], "answer: 'bo\\nb' is not an address: expected name@domain"),
        ("x" * 9_999, f"answer: '{'x' * 138}..."),
        (lambda: itertools.cycle(["a@x"]), "answer: more than 100,000 addresses"),
        (LookupError("nobody"), "LookupError: nobody"),
        (LookupError("no rota://bob:hunter2@db"), "LookupError: no rota://bob:[redacted]@db"),
        (LookupError("\x1b[1m\nx" * 99), "LookupError: " + (r"\x1b[1m x" * 99)[:147] + "..."),
        (UnprintableError(), "UnprintableError: <UnprintableError whose text raises ValueError>"),
        (SystemExit(3), "SystemExit: 3"),
        (broken_generator, "AttributeError: rota"),
    ],
)
def test_an_answer_that_is_wrong_falls_back_to_the_last_good_one(
    answer: object, problem: str
) -> None:
    rota = Rota(answer, "a@x.example", answer, OPS)
    source = build_recipients("to", rota)
    assert source.current() == Current(AddressList(), f"{NAME}: {problem}; {NONE}")
    assert repr(source) == f"<recipients: 0, from the callable {NAME}; {problem}>"
    assert source.current() == Current(AddressList([A]), "")
    assert source.current() == Current(AddressList([A]), f"{NAME}: {problem}; {LAST}")
    assert repr(source) == f"<recipients: 1, from the callable {NAME}; {problem}>"
    assert source.current() == Current(AddressList([OPS]), "")


@pytest.fixture
def release() -> Generator[threading.Event]:
    """Let what hangs go on; at the end in any case."""
    event = threading.Event()
    yield event
    event.set()


def test_a_call_that_hangs_is_waited_for_once(release: threading.Event) -> None:
    def hang() -> str:
        release.wait()
        return "a@x.example"

    rota = Rota(OPS, hang, OPS)
    source = _FromCallable(rota, 0.05)
    assert source.current().addresses == [OPS]
    assert source.current() == Current(AddressList([OPS]), f"{NAME}: no answer in 0.05 s; {LAST}")
    source._timeout = 3600
    again = Current(AddressList([OPS]), f"{NAME}: an earlier call hangs; {LAST}")
    assert [source.current() for _ in range(3)] == [again] * 3
    assert rota.calls == 2
    assert repr(source) == f"<recipients: 1, from the callable {NAME}; hangs>"
    release.set()
    assert source._call.over.wait(30)
    assert source.current() == Current(AddressList([OPS]), "")
    assert rota.calls == 3


def test_an_answer_that_comes_too_late_is_the_last_good_one(release: threading.Event) -> None:
    def hang() -> str:
        release.wait()
        return "a@x.example"

    source = _FromCallable(Rota(hang, LookupError("nobody")), 0.05)
    assert source.current() == Current(AddressList(), f"{NAME}: no answer in 0.05 s; {NONE}")
    release.set()
    assert source._call.over.wait(30)
    assert source.current() == Current(AddressList([A]), f"{NAME}: LookupError: nobody; {LAST}")


def test_a_generator_that_hangs_hangs_nobody(release: threading.Event) -> None:
    def hang() -> Generator[str]:
        release.wait()
        yield "a@x.example"

    source = _FromCallable(Rota(hang), 0.05)
    assert source.current().note == f"{NAME}: no answer in 0.05 s; {NONE}"


def test_several_that_ask_at_once_share_one_call() -> None:
    running = threading.Semaphore(1)
    started = threading.Barrier(8)
    overlaps: list[int] = []
    found: list[Current] = []

    def ask() -> str:
        if not running.acquire(blocking=False):
            overlaps.append(1)
        running.release()
        return "a@x.example"

    source = _FromCallable(ask, 30)

    def current() -> None:
        started.wait()
        found.extend([source.current() for _ in range(50)])

    threads = [threading.Thread(target=current) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == []
    assert found == [Current(AddressList([A]), "")] * 400


def test_who_asks_during_a_call_waits_for_its_answer(release: threading.Event) -> None:
    asked = threading.Event()

    class Over(threading.Event):
        @override
        def wait(self, timeout: float | None = None) -> bool:
            release.set()  # only now: somebody waits for the answer
            return super().wait(timeout)

    def hang() -> str:
        asked.set()
        release.wait()
        return "a@x.example"

    rota = Rota(hang)
    source = _FromCallable(rota, 30)
    call = source._call = _Call(over=Over())
    assert source._start(call)
    assert asked.wait(30)
    assert repr(source) == f"<recipients: 0, from the callable {NAME}; being asked>"
    assert source.current() == Current(AddressList([A]), "")
    assert rota.calls == 1


def test_the_thread_that_asks_is_known() -> None:
    """What the application logs there would be an alert of its own, each time."""
    seen: list[tuple[bool, bool]] = []

    def ask() -> str:
        seen.append((sending_here(), threading.current_thread().daemon))
        return "a@x.example"

    build_recipients("to", ask).current()
    assert seen == [(True, True)]
    assert not sending_here()


async def async_rota() -> str:
    return "a@x.example"


async def async_generator() -> AsyncGenerator[str]:
    yield "a@x.example"


class AsyncRota:
    async def __call__(self) -> str:
        return "a@x.example"


@pytest.mark.parametrize(
    "value", [async_rota, async_generator, AsyncRota(), functools.partial(async_rota)]
)
def test_an_async_callable_is_refused(value: object) -> None:
    assert message(lambda: built(value)) == "to: expected a callable that isn't async"


def test_a_coroutine_is_no_answer() -> None:
    coroutine = async_rota()
    assert built(Rota(coroutine)).note == f"{NAME}: {EXPECTED} coroutine; {NONE}"
    coroutine.close()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (async_rota.__class__, "builtins.function"),
        (functools.partial(Rota(None)), "functools.partial"),
        ([].copy, "builtins.list.copy"),
        ((1).__add__, "builtins.int.__add__"),
        (Rota(None).__call__, f"{NAME}.__call__"),
        (broken_generator, f"{__name__}.broken_generator"),
    ],
)
def test_a_callable_is_called_by_its_name(value: object, name: str) -> None:
    source = build_recipients("to", value)
    assert repr(source) == f"<recipients: 0, from the callable {name}; not asked yet>"


@pytest.fixture
def no_threads() -> Generator[None]:
    before = threading.stack_size(1 << 46)  # more than there is: no thread starts any more
    yield
    threading.stack_size(before)


def test_without_threads_the_callable_is_asked_only_if_nothing_is_known(no_threads: None) -> None:
    rota = Rota(LookupError("nobody"), "a@x.example")
    source = build_recipients("to", rota)
    assert source.current().note == f"{NAME}: LookupError: nobody; {NONE}"
    assert source.current() == Current(AddressList([A]), "")
    problem = "no thread can be started to ask it"
    assert source.current() == Current(AddressList([A]), f"{NAME}: {problem}; {LAST}")
    assert rota.calls == 2
    assert repr(source) == f"<recipients: 1, from the callable {NAME}; {problem}>"


@pytest.mark.parametrize(
    ("answers", "note"),
    [(0, ""), (1, f"__main__.ask: no thread can be started to ask it; {LAST}")],
)
def test_as_the_interpreter_ends_no_thread_is_waited_for(answers: int, note: str) -> None:
    """A thread that is started then never runs."""
    script = f"""
        import sys
        from tocsin.pipeline.recipients import build_recipients, bare_addresses

        def ask():
            return "a@x.example"

        class Late:
            sys = sys
            source = build_recipients("to", ask)

            def __del__(self):
                current = self.source.current()
                print(self.sys.is_finalizing(), *current.addresses, current.note)

        late = Late()
        for _ in range({answers}):
            late.source.current()
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert (done.stdout, done.stderr) == (f"True a@x.example {note}\n", "")


# Forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_waits_for_nothing_of_its_parent(release: threading.Event) -> None:
    """Neither for the call that hangs, nor for the lock that another thread holds."""
    parent = os.getpid()
    rota = Rota(OPS, lambda: release.wait() and A)
    source = _FromCallable(rota, 0.05)
    source.current()
    source.current()
    source._timeout = 3600
    rota.answers = [lambda: "a@x.example" if os.getpid() != parent else ""]
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with source._lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(20)
            code = 0 if source.current() == Current(AddressList([A]), "") else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert source.current().note == f"{NAME}: an earlier call hangs; {LAST}"


def test_what_a_child_does_first_leaves_the_call_to_its_parent(release: threading.Event) -> None:
    source = _FromCallable(Rota(release.wait, "a@x.example"), 0.05)
    source.current()
    source._process = -1
    source._timeout = 30
    assert source.current() == Current(AddressList([A]), "")
    assert source._process == os.getpid()


def test_all_sources_are_recipients(path: Path) -> None:
    sources: list[Recipients] = [
        build_recipients("to", value) for value in ("a@x.example", {"file": path}, lambda: A)
    ]
    assert [source.current() for source in sources] == [Current(AddressList([A]), "")] * 3


def test_every_recipient_of_a_digest_is_a_bare_address() -> None:
    audience = Audience(
        to=("Ops <ops@example.com>", "a@example.com"),
        cc=("b@example.com",),
        bcc=("Hidden <c@example.com>",),
        notes=("a list can't be read",),
    )
    assert bare_addresses(audience) == (
        "ops@example.com",
        "a@example.com",
        "b@example.com",
        "c@example.com",
    )
    assert bare_addresses(Audience()) == ()
