"""Carriers: the objects in which servers hand a request on, found in frames.

A server for ASGI calls the application with a `scope`, a server for WSGI with an `environ`, and
Django and aiohttp call a view with a `request`. So a local variable with that name is in a frame of
each request: in the traceback of an error, or in the stack below a call of a logger. Only to read
it, no middleware is needed.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType, TracebackType

_MAX_FRAMES = 500
_MAX_CODES = 10_000
_NAMES = ("scope", "environ", "request", "self")
_KEY = "tocsin.request"
_NOTED = {"run_asgi": "response_started", "execute": "wrote_header"}  # by the name of a method
# By the id of code, which is alive as long as its entry: hashing code takes 0.2 µs.
_codes: dict[int, tuple[CodeType, str]] = {}
_tasks: weakref.WeakKeyDictionary[Any, object] = weakref.WeakKeyDictionary()


class _Request:
    """A token in a carrier: equal to itself alone."""


def in_traceback(
    trace: TracebackType | None, accept: Callable[[object], bool] = lambda _: True
) -> Any:
    """Return the carrier that a frame of a traceback has, the outermost first; None without one.

    Args:
        trace: the traceback.
        accept: decides whether a carrier is one of those that are looked for.
    """
    left = _MAX_FRAMES
    while trace is not None and left:
        found = _in_frame(trace.tb_frame)
        if found is not None and accept(found):
            return found
        trace, left = trace.tb_next, left - 1
    return None


def response_started(trace: TracebackType | None) -> bool:
    """Return whether the answer had begun before an exception.

    Starlette notes it in a variable, uvicorn and waitress in an object that has the frame's method.
    Starlette answers errors itself, and raises them again: so its note is the one that counts.
    """
    left, began = _MAX_FRAMES, False
    while trace is not None and left:
        frame = trace.tb_frame
        if "response_started" in frame.f_code.co_cellvars:
            return bool(frame.f_locals.get("response_started"))
        if (noted := _NOTED.get(frame.f_code.co_name)) is not None:
            began = began or getattr(frame.f_locals.get("self"), noted, False) is True
        trace, left = trace.tb_next, left - 1
    return began


def in_stack(frame: FrameType | None, accept: Callable[[object], bool] = lambda _: True) -> Any:
    """Return the carrier that a frame or one of its callers has; None if there is none."""
    left = _MAX_FRAMES
    while frame is not None and left:
        found = _in_frame(frame)
        if found is not None and accept(found):
            return found
        frame, left = frame.f_back, left - 1
    return None


def here(accept: Callable[[object], bool] = lambda _: True) -> Any:
    """Return the carrier of the request that this thread serves now; None if there is none.

    A function that AnyIO runs in a thread, as FastAPI does with `def` endpoints, serves the request
    of the task that waits for it.

    Args:
        accept: as for `in_traceback`.
    """
    found = in_stack(sys._getframe(1), accept)  # noqa: SLF001 - the only way to the callers
    if found is None and (task := _waiting_task()) is not None:
        carriers = filter(None, map(_in_frame, _frames_of(task)))
        found = next(filter(accept, carriers), None)
    return found


def token(carrier: object) -> object:
    """Return an object that stands for a request: the same one for each of its carriers."""
    if isinstance(carrier, dict):
        return carrier.setdefault(_KEY, _Request())
    for name in ("scope", "META"):
        inner = getattr(carrier, name, None)
        if isinstance(inner, dict):
            return inner.setdefault(_KEY, _Request())
    return carrier


def _in_frame(frame: FrameType) -> object:
    code = frame.f_code
    known = _codes.get(id(code))
    name = _remember(code) if known is None else known[1]
    if not name:
        return None
    value = frame.f_locals.get(name)
    if name == "self":
        value = getattr(value, "scope", None)
    return value if _is_carrier(value) else None


def _remember(code: CodeType) -> str:
    """Return the name of the local variable that may have a carrier, or ""."""
    names = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
    found = next((name for name in _NAMES if name in names), "")
    if found == "self" and code.co_name != "run_asgi":  # of uvicorn, which keeps the scope there
        found = ""
    if len(_codes) >= _MAX_CODES:
        _codes.clear()
    _codes[id(code)] = code, found
    return found


def _is_carrier(value: object) -> bool:
    if type(value) is dict:
        return "REQUEST_METHOD" in value or value.get("type") in {"http", "websocket"}
    if value is None or isinstance(value, (str, int, dict)):
        return False
    module = type(value).__module__
    return module.startswith(("django.", "aiohttp.", "starlette.", "fastapi.")) and (
        hasattr(value, "method") or hasattr(value, "scope")
    )


def _waiting_task() -> Any:
    """Return the task that waits for what AnyIO runs in this thread; None if there is none."""
    anyio = sys.modules.get("anyio._core._eventloop")
    scope = getattr(getattr(anyio, "threadlocals", None), "current_cancel_scope", None)
    return getattr(scope, "_host_task", None)


def _frames_of(task: Any) -> Iterator[FrameType]:
    """Yield the frames of a task that waits, the outermost first."""
    awaited = task.get_coro()
    for _ in range(_MAX_FRAMES):
        frame = getattr(awaited, "cr_frame", None)
        if frame is None:
            return
        yield frame
        awaited = awaited.cr_await


def owner_here() -> object:
    """Return a token of the request that this thread serves now; None if there is none.

    The frames of a task are looked at once: its request does not change.
    """
    task = _waiting_task() or _running_task()
    if task is None:
        found = in_stack(sys._getframe(1))  # noqa: SLF001 - as above
        return None if found is None else token(found)
    try:
        return _tasks[task]
    except KeyError:
        found = here()
        _tasks[task] = known = None if found is None else token(found)
        return known


def _running_task() -> Any:
    # Without asyncio loaded, there is no task; to import asyncio would take 60 ms.
    running = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    if running is None or running() is None:
        return None
    return sys.modules["asyncio"].current_task()
