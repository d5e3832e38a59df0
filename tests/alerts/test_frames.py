"""Whose code a frame is, and how an exception is told."""

from __future__ import annotations

import sysconfig
from typing import Any

from samples import LIBRARY, caught, load_module, record

from tocsin.alerts.frames import Line, OwnCode, is_library, leaf, printed, shown_path, tell

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
    found = OwnCode(packages).place(error.__traceback__, logger)
    assert found is not None
    return f"{found[0]}.{found[1].co_name}"


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
    found = OwnCode().place(error.__traceback__.tb_next, "other")
    assert found is not None
    assert (found[0], found[1].co_name) == ("framework.core", "execute")


def test_what_was_never_raised_is_from_nowhere() -> None:
    assert OwnCode().place(None, "other") is None


def test_a_module_without_a_name_does_no_harm() -> None:
    odd: dict[str, Any] = {}
    exec("def fail():\n    raise ValueError\n", odd)
    odd["__name__"] = 5
    error = caught(odd["fail"])
    assert place(error) == "5.fail"
    assert tell(error, OwnCode(), "other")[-1] == Line("error", "ValueError")


def test_the_standard_library_and_what_is_installed_is_library() -> None:
    assert is_library(f"{sysconfig.get_path('stdlib')}/json/decoder.py")
    assert is_library("/srv/venv/lib/python3.12/site-packages/requests/api.py")
    assert is_library("/usr/lib/python3/dist-packages/apt/cache.py")
    assert is_library("<frozen importlib._bootstrap>")
    assert not is_library("/srv/shop/payments.py")
    assert not is_library("<stdin>")


def test_a_path_is_shown_from_where_it_is_imported() -> None:
    assert shown_path(f"{sysconfig.get_path('stdlib')}/json/decoder.py") == "json/decoder.py"
    assert shown_path("/nowhere/at/all.py") == "/nowhere/at/all.py"


def told(error: BaseException, logger: str = "other", *packages: str) -> list[tuple[str, str]]:
    return [(line.kind, line.text) for line in tell(error, OwnCode(packages), logger)]


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


def test_deep_recursion_tells_its_innermost_frames() -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise ValueError(levels)

    lines = told(caught(deep, 100))
    assert lines[0] == ("more", "... 52 outer frames left out ...")
    assert sum("in deep" in text for _, text in lines) == 50


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
    assert leaf(nested) is first
    assert leaf(first) is first


def test_an_exception_whose_text_raises_is_named() -> None:
    class Awkward(Exception):  # noqa: N818 - a name
        def __str__(self) -> str:
            raise RuntimeError("no")

    (_, text) = told(Awkward())[-1]
    assert text.endswith("Awkward: <Awkward whose text raises RuntimeError>")


def test_a_printed_exception_without_its_last_line_has_a_place() -> None:
    made = record("x")
    made.exc_text = 'Traceback (most recent call last):\n  File "C:\\app\\pay.py", line 3, in go\n'
    assert printed(made) == ("", "pay.go")


def test_no_frames_are_no_printed_exception() -> None:
    assert printed(record("Traceback (most recent call last):\nnothing")) is None
    assert printed(record(5)) is None


def test_a_line_of_source_is_no_printed_exception_type() -> None:
    made = record("x")
    made.exc_text = (
        "Traceback (most recent call last):\n"
        '  File "/srv/pay.py", line 3, in go\n    return\n'
        "shop.errors.Refused: no\n"
    )
    assert printed(made) == ("shop.errors.Refused", "pay.go")
