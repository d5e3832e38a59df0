"""The application's name where the option `app` is not given.

It comes from the command line that started the process: from the module that a server loads, else
from the script. A part of a name that says nothing, such as "main" or "app", is skipped. Servers,
test runners and notebooks are never the name.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# fmt: off
_GENERIC = frozenset((
    "__init__", "__main__", "api", "app", "application", "apps", "asgi", "backend", "bin", "celery",
    "celery_app", "celeryapp", "cli", "code", "config", "conf", "core", "create_app", "django",
    "entrypoint", "home", "index", "lib", "local", "main", "make_app", "manage", "manager", "opt",
    "project", "root", "run", "runserver", "script", "scripts", "serve", "server", "service",
    "settings", "src", "srv", "start", "tasks", "tmp", "usr", "var", "web", "webapp", "work",
    "worker", "workers", "workspace", "wsgi",
))
# fmt: on
# The part of a module's name that says for which place its settings are.
# fmt: off
_PLACES = frozenset((
    "base", "common", "dev", "development", "local", "prod", "production", "staging", "test",
))
# fmt: on
_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_TARGET = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):[^\W\d][\w.]*(?:\(.*\))?")
# fmt: off
# Options of servers whose value looks like a module.
_NOT_TARGETS = frozenset((
    "-c", "--config", "-k", "--worker-class", "--worker-connections", "--logger-class",
    "--log-config", "--log-config-json", "--log-config-toml", "--env-file", "--paste", "--loop",
    "--http", "--ws", "--lifespan", "--app-dir", "--chdir", "--pid", "--name", "-n", "--user",
    "--group", "-u", "-g",
))
# fmt: on
_ENDINGS = (".exe", ".py", ".pyc", ".pyz", "-script")


class Start(NamedTuple):
    """The start of a process.

    Attributes:
        argv: `sys.argv`.
        orig_argv: `sys.orig_argv`.
        environ: the environment variables.
        folder: the working directory, or "".
        known: the names that frameworks know, once they are loaded.
    """

    argv: Sequence[str]
    orig_argv: Sequence[str]
    environ: Mapping[str, str]
    folder: str
    known: Sequence[str] = ()


def app_name(start: Start) -> str:
    """Return the name of the application; "python" if nothing is known of it."""
    program = start.argv[0] if start.argv else ""
    tool = _tool(program, start.orig_argv)
    find = _TOOLS.get(tool)
    if find is not None:
        found = [*find(start), *_settings(start)]
        return (
            _first_telling(found)
            or _first_telling(start.known)
            or _of_folder(start.folder)
            or next((one.partition(".")[0] for one in found if one), "python")
        )
    if tool in _NO_NAMES:
        return "python"
    return _first_telling([tool]) or _of_folder(_folder_of(program, start)) or tool


def _tool(program: str, orig_argv: Sequence[str]) -> str:
    """Return the name of the script, or of the package that `python -m` runs."""
    if program == "-m":  # the package is being imported
        package = (
            next(iter(orig_argv[orig_argv.index("-m") + 1 :]), "") if "-m" in orig_argv else ""
        )
        return package.removesuffix(".__main__").rpartition(".")[2]
    _, module, name = program.partition(" -m ")  # so unittest calls itself
    path = PurePath(name.partition(" ")[0] if module else program.replace("\\", "/"))
    stem = _stem(path.name)
    return _stem(path.parent.name) if stem == "__main__" else stem


def _stem(name: str) -> str:
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name


def _first_telling(names: Sequence[str]) -> str:
    """Return the first part of the names that says something, or ""."""
    return next((part for name in names for part in name.split(".") if _tells(part)), "")


def _tells(part: str) -> bool:
    return part != "" and part.lower() not in _GENERIC


def _folder_of(program: str, start: Start) -> str:
    path = PurePath(program.replace("\\", "/"))
    folder = path.parent.parent if _stem(path.name) == "__main__" else path.parent
    return str(PurePath(start.folder) / folder)


def _of_folder(folder: str) -> str:
    """Return the name of the innermost folder whose name says something, of two; or ""."""
    path = PurePath(folder)
    return next((one for one in (path.name, path.parent.name) if _tells(one)), "")


def _settings(start: Start) -> list[str]:
    """Return the name of the settings that Django has, without the part for the place."""
    given = start.environ.get("DJANGO_SETTINGS_MODULE", "")
    parts = [part for part in given.split(".") if part not in _PLACES]
    return [".".join(parts)] if parts != [""] else []


def _value(argv: Sequence[str], *options: str) -> str:
    """Return the value of an option of a command line, or ""."""
    for number, word in enumerate(argv[1:], 1):
        for option in options:
            if word == option:
                return next(iter(argv[number + 1 :]), "")
            if word.startswith(f"{option}="):
                return word.partition("=")[2]
            if len(option) == 2 and word.startswith(option):  # noqa: PLR2004 - as in `-Ashop`
                return word[2:]
    return ""


def _served(start: Start) -> Iterator[str]:
    """Yield the module that a server loads: `shop.main:app`, or a dotted name without the rest."""
    words = [
        word
        for before, word in zip(start.argv, start.argv[1:], strict=False)
        if not word.startswith("-") and before not in _NOT_TARGETS
    ]
    for word in words:
        if (found := _TARGET.fullmatch(word)) is not None:
            yield found["module"]
            return
    if words and _MODULE.fullmatch(words[-1]):  # gunicorn shop.wsgi
        yield words[-1]


def _first_module(start: Start) -> Iterator[str]:
    """Yield the module that is a command's first argument: `dramatiq shop.tasks`."""
    for word in start.argv[1:]:
        module = word.partition(":")[0]
        if _MODULE.fullmatch(module):
            yield module
            return


def _of_option(variable: str) -> Callable[[Start], Iterator[str]]:
    """Return a function that finds a module: the value of `--app`, or of a variable."""

    def find(start: Start) -> Iterator[str]:
        value = _value(start.argv, "-A", "--app") or start.environ.get(variable, "")
        name = value.replace("\\", "/").removesuffix(".py").partition(":")[0]
        yield name.replace(".py:", ":").strip("./").replace("/", ".")

    return find


def _of_file(start: Start) -> Iterator[str]:
    """Yield the folder and the file that are an argument: `fastapi run shop/main.py`."""
    for word in start.argv[1:]:
        if word.endswith(".py"):
            path = PurePath(word.replace("\\", "/"))
            yield from (path.stem, path.parent.name)


def _of_settings(start: Start) -> Iterator[str]:
    """Yield the settings of Django that the command line names."""
    yield _value(start.argv, "--settings")


def _nothing(_start: Start) -> Iterator[str]:
    """Yield nothing: only the folder names the application."""
    yield from ()


_NO_NAMES = frozenset({"", "-", "-c", "-m"})
_SERVERS = (
    "uvicorn",
    "gunicorn",
    "hypercorn",
    "daphne",
    "waitress-serve",
    "waitress",
    "granian",
    "sanic",
    "uwsgi",
    "mod_wsgi",
)
_QUEUES = ("dramatiq", "dramatiq-gevent", "arq", "huey_consumer")
_OTHERS = (
    "rq",
    "rqworker",
    "pytest",
    "py.test",
    "unittest",
    "ipykernel_launcher",
    "ipython",
    "jupyter",
    "colab_kernel_launcher",
    "coverage",
    "pdb",
    "debugpy",
    "tocsin",
)
_TOOLS: dict[str, Callable[[Start], Iterator[str]]] = {
    **dict.fromkeys(_SERVERS, _served),
    **dict.fromkeys(_QUEUES, _first_module),
    **dict.fromkeys(_OTHERS, _nothing),
    "celery": _of_option("CELERY_APP"),
    "flask": _of_option("FLASK_APP"),
    "quart": _of_option("QUART_APP"),
    "litestar": _of_option("LITESTAR_APP"),
    "fastapi": _of_file,
    "streamlit": _of_file,
    "django-admin": _of_settings,
    "django": _of_settings,
    "manage": _of_settings,
}
"""For each command that runs applications, a function that yields modules, the best first."""
