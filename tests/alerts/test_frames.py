"""Whose code a frame is, and how an exception is told."""

from __future__ import annotations

import asyncio
import importlib
import linecache
import sys
import sysconfig
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from samples import LIBRARY, caught, fingerprint, load_module, record

from tocsin.events import exceptions
from tocsin.events.exceptions import first_in_group
from tocsin.events.fingerprint import Fingerprints
from tocsin.events.frames import (
    Line,
    OwnCode,
    format_lines,
    is_library,
    module_of,
    places,
    shown_path,
)
from tocsin.redact.base import NoSecrets

if TYPE_CHECKING:
    from pathlib import Path

FRAMEWORK = """
def handle(view):
    route(view)
def route(view):
    view()
def execute():
    raise OSError("gone")
"""
framework = load_module("framework.core", f"{LIBRARY}/framework/core.py", FRAMEWORK)
installed = load_module("shop.main", f"{LIBRARY}/shop/main.py", "def go(call):\n    call()\n")


def place(error: BaseException, logger: str = "other", *packages: str) -> str:
    found = OwnCode(packages).innermost(places(error.__traceback__), logger)
    assert found is not None
    return found.name.replace("<locals>.", "")


def view() -> None:
    framework["execute"]()


def test_own_code_is_what_is_not_installed() -> None:
    assert place(caught(framework["handle"], view)) == "test_frames.view"


def test_a_framework_that_logs_under_its_own_name_is_not_the_application() -> None:
    """`django.request` logs what a view raises: the view failed, not Django."""
    assert place(caught(framework["handle"], view), "framework.request") == "test_frames.view"


def test_a_library_that_fails_without_the_application_is_named_itself() -> None:
    error = caught(framework["handle"], framework["execute"])
    assert place(error, "framework.request") == "framework.core.execute"


def test_a_logger_of_the_standard_library_does_not_name_the_application() -> None:
    """asyncio logs what a task raises: the task that waits failed, not `wait_for`."""

    async def wait() -> None:
        await asyncio.wait_for(asyncio.sleep(60), 0)

    error = caught(lambda: asyncio.run(wait()))
    assert place(error, "asyncio").endswith(".wait")
    assert place(error, "asyncio.sub").endswith(".wait")
    own = [line.text for line in told(error, "asyncio") if line.kind == "own"]
    assert own
    assert not any(text.startswith("asyncio/") for text in own)


@pytest.mark.parametrize(
    "path",
    [
        "/tmp/ipykernel_12/3456.py",
        "C:\\Temp\\ipykernel_12\\3456.py",
        "<ipython-input-3-0a1b2c>",
    ],
)
def test_all_cells_of_a_notebook_are_one_file(path: str) -> None:
    """Its files have the numbers of the process and of the text, which change."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("def fail():\n    raise ValueError\n", path, "exec"), names)
    error = caught(names["fail"])
    assert place(error) == "notebook.fail"
    assert told(error)[-2] == Line("own", "notebook:2 in fail")
    assert module_of(path) == "notebook"


def test_the_code_of_a_cell_has_no_number() -> None:
    code = compile("raise ValueError", "/tmp/ipykernel_12/3456.py", "exec")
    first, second = (
        code.replace(co_name=name, co_qualname=name)
        for name in ("<cell line: 1>", "<cell line: 30>")
    )
    names: dict[str, Any] = {"__name__": "__main__"}
    made = [record(exc=caught(exec, one, names)) for one in (first, second)]
    assert {Fingerprints(OwnCode()).of(one).place for one in made} == {"notebook.<module>"}
    assert fingerprint(made[0]) == fingerprint(made[1])


def test_an_installed_application_is_known_by_its_logger() -> None:
    error = caught(installed["go"], framework["execute"])
    assert place(error, "shop.main") == "shop.main.go"


def test_an_application_that_is_installed_wins_over_the_script_that_starts_it() -> None:
    def script() -> None:
        installed["go"](framework["execute"])

    assert place(caught(script), "shop") == "shop.main.go"


def test_named_packages_win_over_everything() -> None:
    error = caught(framework["handle"], view)
    assert place(error, "other", "framework") == "framework.core.execute"
    assert place(error, "framework", "framework.core") == "framework.core.execute"


def test_without_own_code_it_is_the_innermost_frame() -> None:
    error = caught(framework["execute"])
    assert error.__traceback__ is not None
    found = OwnCode().innermost(places(error.__traceback__.tb_next), "other")
    assert found is not None
    assert found.name == "framework.core.execute"


def test_what_was_never_raised_is_from_nowhere() -> None:
    assert OwnCode().innermost(places(None), "other") is None


def test_a_module_without_a_name_does_no_harm() -> None:
    odd: dict[str, Any] = {}
    exec(compile("def fail():\n    raise ValueError\n", "/srv/odd.py", "exec"), odd)
    odd["__name__"] = 5
    error = caught(odd["fail"])
    assert place(error) == "5.fail"
    assert told(error)[-1] == Line("error", "ValueError")


def test_the_standard_library_and_what_is_installed_is_library() -> None:
    assert is_library(f"{sysconfig.get_path('stdlib')}/json/decoder.py")
    assert is_library("/srv/venv/lib/python3.12/site-packages/requests/api.py")
    assert is_library("/usr/lib/python3/dist-packages/apt/cache.py")
    assert is_library("<frozen importlib._bootstrap>")
    assert not is_library("/srv/shop/payments.py")
    assert not is_library("<stdin>")


def test_code_that_was_made_is_library() -> None:
    """SQLAlchemy wraps methods of its session so: each `commit` that failed was one kind."""
    assert is_library("<sqlalchemy generated warned() wrapper for sqlalchemy.orm.Session._flush>")
    assert is_library("<string>")  # `dataclasses`
    made = load_module("framework.made", "<framework generated>", FRAMEWORK)

    def commit() -> None:
        made["execute"]()

    error = caught(commit)
    assert place(error) == "test_frames.test_code_that_was_made_is_library.commit"
    assert [kind for kind, text in told(error) if "generated" in text] == ["library"]


def test_a_path_is_shown_from_where_it_is_imported() -> None:
    assert shown_path(f"{sysconfig.get_path('stdlib')}/json/decoder.py") == "json/decoder.py"
    assert shown_path("/nowhere/at/all.py") == "/nowhere/at/all.py"


def told(error: BaseException, logger: str = "other", *packages: str) -> list[Line]:
    captured = exceptions.capture(error, linecache.lazycache)
    return list(
        exceptions.format_lines(captured, OwnCode(packages), logger, linecache.getline, NoSecrets())
    )


def test_a_run_of_library_frames_is_folded_and_the_innermost_is_told() -> None:
    lines = told(caught(framework["handle"], view))
    assert ("more", "... 2 frames of framework.core ...") in lines
    assert ("own", '    framework["execute"]()') in lines
    assert lines[-2][0] == "library"
    assert "in execute" in lines[-2][1]
    assert lines[-1] == ("error", "OSError: gone")


def test_a_single_library_frame_is_told_as_it_is() -> None:
    single = load_module("single", f"{LIBRARY}/single.py", "def call(view):\n    view()\n")
    lines = told(caught(single["call"], view))
    assert any(kind == "library" and "in call" in text for kind, text in lines)
    assert not any(kind == "more" for kind, _ in lines)


def test_a_long_run_names_three_modules() -> None:
    source = "def call(rest):\n    rest[0](rest[1:])\n"
    modules = [load_module(f"m{n}", f"{LIBRARY}/m{n}.py", source) for n in range(5)]
    rest = [module["call"] for module in modules[1:]] + [lambda _: view()]
    assert ("more", "... 5 frames of m0, m1, m2, ... ...") in told(caught(modules[0]["call"], rest))


def test_own_frames_are_those_of_the_named_packages() -> None:
    lines = told(caught(framework["handle"], view), "other", "framework")
    assert {kind for kind, text in lines if "framework/core.py" in text} == {"own"}
    assert not any(kind == "own" and "test_frames" in text for kind, text in lines)


def test_a_framework_that_logs_under_its_own_name_is_folded() -> None:
    """What `django.request` logs shows the view, and not Django as the application's own code."""
    lines = told(caught(framework["handle"], view), "framework.request")
    assert ("more", "... 2 frames of framework.core ...") in lines
    assert ("own", '    framework["execute"]()') in lines
    assert {kind for kind, text in lines if "framework/core.py" in text} == {"library"}


def test_a_framework_is_folded_in_what_caused_the_error_too() -> None:
    def broken() -> None:
        try:
            framework["route"](framework["execute"])
        except OSError as error:
            raise ValueError("no stock") from error

    lines = told(caught(framework["handle"], broken), "framework.request")
    assert not any(kind == "own" and "framework/core.py" in text for kind, text in lines)


def test_an_installed_application_is_shown_by_its_logger() -> None:
    lines = told(caught(installed["go"], framework["execute"]), "shop.main")
    assert [kind for kind, text in lines if "shop/main.py" in text] == ["own"]


def test_frames_that_are_repeated_are_folded() -> None:
    """As CPython folds them: 995 equal lines hide what started the recursion."""

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise ValueError(levels)

    lines = told(caught(deep, 500))
    assert [text for _, text in lines if "in deep" in text or "repeated" in text] == [
        lines[2].text,
        "... the previous frame repeated 499 more times ...",
        lines[5].text,
    ]
    assert sum("in deep" in text for _, text in told(caught(deep, 3))) == 4


def test_frames_that_are_repeated_in_turn_are_folded() -> None:
    def ping(levels: int) -> None:
        pong(levels)

    def pong(levels: int) -> None:
        if levels:
            ping(levels - 1)
        raise ValueError(levels)

    texts = [text for _, text in told(caught(ping, 50))]
    assert sum("in ping" in text for text in texts) == 2
    assert "... the previous 2 frames repeated 49 more times ..." in texts


def test_repeated_library_frames_are_counted_where_they_are_folded() -> None:
    source = "def start(view):\n    call(40, view)\n"
    source += "def call(n, view):\n    call(n - 1, view) if n else view()\n"
    module = load_module("deep", f"{LIBRARY}/deep.py", source)
    texts = [text for _, text in told(caught(module["start"], view))]
    assert "... 42 frames of deep ..." in texts


def test_of_many_frames_the_innermost_are_told() -> None:
    source = "\n".join(f"def f{n}(last):\n    f{n + 1}(last)" for n in range(70))
    names = load_module("chain", "/srv/chain.py", f"{source}\ndef f70(last):\n    last()\n")
    lines = told(caught(names["f0"], view))
    assert lines[0] == Line("more", "... 24 outer frames left out ...")
    assert "in f23" in lines[1].text


def test_the_lines_of_the_code_are_without_secrets_and_short() -> None:
    class Stars(NoSecrets):
        def text(self, text: str, /) -> str:
            return text.replace("hunter2", "***")

    frame = exceptions.capture(caught(view), linecache.lazycache)[0].frames[-1]
    source = f"connect('hunter2', {'x' * 500})"
    lines = list(
        format_lines([frame], lambda _place: True, lambda _path, _line: source, Stars().text)
    )
    assert lines[1].text.startswith("    connect('***', xxx")
    assert lines[1].text.endswith("[cut: first 200 of 516 characters]")


def test_code_in_an_archive_is_found_through_its_loader(tmp_path: Path) -> None:
    archive = tmp_path / "app.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped.py", "def go():\n    raise OSError('in a zip')\n")
    sys.path.insert(0, str(archive))
    try:
        zipped = importlib.import_module("zipped")
    finally:
        sys.path.remove(str(archive))
    assert ("own", "    raise OSError('in a zip')") in told(caught(zipped.go))


def test_a_module_is_named_by_its_path_where_nothing_else_tells_it() -> None:
    assert module_of(f"{sysconfig.get_path('stdlib')}/json/decoder.py") == "json.decoder"
    assert module_of("/usr/venv/lib/site-packages/requests/__init__.py") == "requests"
    assert module_of("/elsewhere/shop/pay.py") == "pay"
    assert module_of(r"C:\elsewhere\shop\pay.py") == "pay"
    assert module_of("<string>") == "<string>"


def test_a_cause_follows_with_its_frames() -> None:
    def outer() -> None:
        try:
            view()
        except OSError as error:
            raise ValueError("no order") from error

    lines = told(caught(outer))
    texts = [text for _, text in lines]
    assert texts.index("ValueError: no order") < texts.index("caused by OSError: gone")
    assert any("in execute" in text for text in texts[texts.index("caused by OSError: gone") :])


def test_what_was_being_handled_follows_unless_it_was_suppressed() -> None:
    def outer(*, hide: bool) -> None:
        try:
            view()
        except OSError:
            if hide:
                raise ValueError("hidden") from None
            raise ValueError("shown")  # noqa: B904 - that is the case

    assert ("cause", "while handling OSError: gone") in told(caught(lambda: outer(hide=False)))
    assert not any(kind == "cause" for kind, _ in told(caught(lambda: outer(hide=True))))


def test_a_circle_of_causes_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert [text for _, text in told(one)] == ["ValueError: one", "caused by ValueError: other"]


def test_a_group_tells_what_is_in_it_the_first_one_first() -> None:
    """`asyncio.TaskGroup` wraps everything: the mail must say what failed."""

    def outer() -> None:
        raise BaseExceptionGroup("two", [caught(view), KeyError("k")])

    lines = told(caught(outer))
    named = [text for kind, text in lines if kind in {"error", "cause"}]
    assert named == [
        "OSError: gone",
        "in ExceptionGroup: two (2 sub-exceptions)",
        "together with KeyError: 'k'",
    ]
    assert any("in view" in text for _, text in lines)


def test_a_large_group_is_cut() -> None:
    error = ExceptionGroup("many", [ValueError(n) for n in range(10_000)])
    lines = told(error)
    assert lines[-1] == ("more", "further causes are left out")
    assert len(lines) == 11


def test_the_leaf_of_nested_groups_is_their_first_exception() -> None:
    first = ValueError("first")
    nested = ExceptionGroup("a", [ExceptionGroup("b", [first]), KeyError("k")])
    assert first_in_group(nested) is first
    assert first_in_group(first) is first


def test_the_notes_of_an_exception_are_told_with_its_text() -> None:
    error = ValueError("bad")
    for number in range(12):
        error.add_note(f"note {number}")
    assert told(error)[-1].text == "ValueError: bad\n" + "\n".join(f"note {n}" for n in range(10))
    odd = ValueError()
    odd.__notes__ = 5  # type: ignore[assignment] # anything may be set
    assert told(odd)[-1].text == "ValueError"


def raise_from(cause: BaseException | None) -> None:
    raise ValueError("x" * 5_000) from cause


def test_what_is_told_of_a_chain_is_bounded_and_the_cut_is_stated() -> None:
    error: BaseException | None = None
    source = "\n".join(f"def f{n}(cause):\n  f{n + 1}(cause)" for n in range(60))
    for _ in range(10):
        names = load_module("m", f"/srv/{'m' * 150}.py", source)
        names["f60"] = raise_from
        error = caught(names["f0"], error)
    lines = told(error)  # type: ignore[arg-type] # it isn't None
    assert sum(len(line.text) for line in lines) < 41_000
    assert lines[-1].kind == "more"


def test_an_exception_whose_text_raises_is_named() -> None:
    class Awkward(Exception):  # noqa: N818 - a name
        def __str__(self) -> str:
            raise RuntimeError("no")

    (_, text) = told(Awkward())[-1]
    assert text.endswith("Awkward: <Awkward whose text raises RuntimeError>")
