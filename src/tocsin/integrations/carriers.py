"""Carriers: the objects in which servers hand a request on, found in frames.

A server for ASGI calls the application with a `scope`, a server for WSGI with an `environ`, and
Django and aiohttp call a view with a `request`. So a local variable with that name is in a frame of
each request: in the traceback of an error, or in the stack below a call of a logger. Only to read
it, no middleware is needed.
"""

from __future__ import annotations

import sys
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType, TracebackType

_MAX_FRAMES = 500
_MAX_CODES = 10_000
_MAX_TASKS = 20
_NAMES = ("scope", "environ", "request", "send", "self")
_MODULES = ("django.", "aiohttp.", "starlette.", "fastapi.", "quart.")
_KEY = "tocsin.request"
_NOTED = {"run_asgi": "response_started", "execute": "wrote_header"}  # by the name of a method
# Functions of uvicorn and Tornado: the attribute of their `self` that is the carrier, or "" if
# `self` is. Those from "get" on are a `tornado.web.RequestHandler`'s; others have such names too.
_SELVES = {
    "run_asgi": "scope",
    "_run_callback": "handler",
    "on_done": "handler",
    "_execute": "",
    "_log": "",
    **dict.fromkeys(("on_message", "open", "on_close"), ""),
}
# By the id of code, which is alive as long as its entry: hashing code takes 0.2 µs.
_codes: dict[int, tuple[CodeType, str]] = {}
_tasks: weakref.WeakKeyDictionary[Any, object] = weakref.WeakKeyDictionary()
_inherited: ContextVar[object] = ContextVar("tocsin_request", default=None)
"""The token of the request in which a task was started, if that request has logged before."""


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


def response_started(trace: TracebackType | None) -> bool | None:
    """Return whether the answer had begun before an exception; None if that is not known.

    Starlette notes it in each application; uvicorn, waitress and hypercorn in each request. The
    innermost note counts: by the time of the outer ones, the answer may be the one about the error.
    """
    known, left = None, _MAX_FRAMES
    while trace is not None and left:
        frame, name = trace.tb_frame, trace.tb_frame.f_code.co_name
        if "response_started" in frame.f_code.co_cellvars:
            known = bool(frame.f_locals.get("response_started"))
        elif name in _NOTED:
            known = getattr(frame.f_locals.get("self"), _NOTED[name], known)
        elif name == "_handle":
            stream = getattr(frame.f_locals.get("send"), "__self__", None)
            state = getattr(getattr(stream, "state", None), "name", None)
            known = known if state is None else state != "REQUEST"
        trace, left = trace.tb_next, left - 1
    return known


def in_stack(frame: FrameType | None, accept: Callable[[object], bool] = lambda _: True) -> Any:
    """Return the carrier that a frame or one of its callers has; None if there is none."""
    left = _MAX_FRAMES
    while frame is not None and left:
        found = _in_frame(frame)
        if found is not None and accept(found):
            return found
        frame, left = frame.f_back, left - 1
    return None


def of_error(error: BaseException | None) -> Any:
    """Return the carrier of an exception's traceback, else that of this thread; None without."""
    found = None if error is None else in_traceback(error.__traceback__)
    return here() if found is None else found


def here(accept: Callable[[object], bool] = lambda _: True) -> Any:
    """Return the carrier of the request that this thread serves now; None if there is none.

    A function that AnyIO runs in a thread, as FastAPI does with `def` endpoints, serves the request
    of the task that waits for it. So does a task of a task group of AnyIO, as Starlette's streams.

    Args:
        accept: as for `in_traceback`.
    """
    found = in_stack(sys._getframe(1), accept)  # noqa: SLF001 - the only way to the callers
    task = None if found is not None else _waiting_task()
    if found is None and task is None:
        task = _host_of(running_task())
    for _ in range(_MAX_TASKS):
        if found is not None or task is None:
            break
        known = filter(None, map(_in_frame, _frames_of(task)))
        found = next(filter(accept, known), None)
        task = _host_of(task)
    return found


def token(carrier: object) -> object:
    """Return an object that stands for a request: the same one for each of its carriers."""
    if isinstance(carrier, dict):
        return carrier.setdefault(_KEY, _Request())
    for name in ("scope", "META"):
        inner = getattr(carrier, name, None)
        if isinstance(inner, dict):
            return inner.setdefault(_KEY, _Request())
    for name in ("writer", "request"):  # of aiohttp's request, and of Tornado's handler
        if (inner := getattr(carrier, name, None)) is not None:
            return inner
    return carrier


def _in_frame(frame: FrameType) -> object:
    code = frame.f_code
    known = _codes.get(id(code))
    name = _remember(code) if known is None else known[1]
    if not name:
        return None
    value = frame.f_locals.get(name)
    if name == "send":  # a method of the object with which uvicorn or hypercorn serves a request
        value = getattr(getattr(value, "__self__", None), "scope", None)
    elif name == "self" and (attribute := _SELVES[code.co_name]):
        value = getattr(value, attribute, None)
    return value if _is_carrier(value) else None


def _remember(code: CodeType) -> str:
    """Return the name of the local variable that may have a carrier, or ""."""
    names = (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
    found = next((name for name in _NAMES if name in names), "")
    if found == "self" and code.co_name not in _SELVES:
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
    handler = getattr(sys.modules.get("tornado.web"), "RequestHandler", None)
    if handler is not None and issubclass(type(value), handler):
        return True
    module = type(value).__module__
    return module.startswith(_MODULES) and (hasattr(value, "method") or hasattr(value, "scope"))


def _waiting_task() -> Any:
    """Return the task that waits for what AnyIO runs in this thread; None if there is none."""
    anyio = sys.modules.get("anyio._core._eventloop")
    scope = getattr(getattr(anyio, "threadlocals", None), "current_cancel_scope", None)
    return getattr(scope, "_host_task", None)


def _host_of(task: Any) -> Any:
    """Return the task with the task group of AnyIO that started a task; None if there is none."""
    states = getattr(sys.modules.get("anyio._backends._asyncio"), "_task_states", None)
    scope = None if states is None or task is None else states.get(task)
    scope = getattr(scope, "cancel_scope", None)
    for _ in range(_MAX_TASKS):  # its own scopes come first
        host = getattr(scope, "_host_task", None)
        if host is not task:
            return host
        scope = getattr(scope, "_parent_scope", None)
    return None


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

    The frames of a task are looked at once: its request does not change. A task that a request
    starts is known by its context, which it has from the task that started it.
    """
    task = _waiting_task() or running_task()
    if task is None:
        found = in_stack(sys._getframe(1))  # noqa: SLF001 - as above
        return _inherited.get() if found is None else token(found)
    try:
        return _tasks[task]
    except KeyError:
        found = here()
        known = _inherited.get() if found is None else token(found)
        _tasks[task] = known
        if known is not None:
            _inherited.set(known)
        return known


def running_task() -> Any:
    """Return the task of asyncio that runs in this thread; None if there is none."""
    # Without asyncio loaded, there is no task; to import asyncio would take 60 ms.
    running = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    if running is None or running() is None:
        return None
    return sys.modules["asyncio"].current_task()
