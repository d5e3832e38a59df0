"""Celery: its worker, its scheduler, and tasks.

A worker sets up logging after the application has done so: it replaces the handlers of the root
logger, and cuts `celery.task` off. A task's error is logged in the process that has run the task;
a task that was stopped, or whose process is lost, by the worker's main process.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tocsin.events.fields import exception_of
from tocsin.events.fingerprint import Known
from tocsin.events.records import changed
from tocsin.integrations.base import Integration
from tocsin.integrations.tasks import Task, local, shown_arguments
from tocsin.integrations.unwrap import unwrapped
from tocsin.text import type_name

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tocsin.events.capture import Origin

_TRACE = "celery.app.trace"
_REQUEST = "celery.worker.request"
# Each is sent between the import of the application and the moment Celery sets up logging, or
# right after that.
_SIGNALS = ("import_modules", "celeryd_init", "after_setup_logger", "after_setup_task_logger")


class Celery(Integration):
    """Celery."""

    name: ClassVar[str] = "celery"
    modules: ClassVar[tuple[str, ...]] = ("celery",)
    loggers: ClassVar[tuple[str, ...]] = (
        "celery",
        "celery.task",
        "celery.worker",
        "celery.beat",
        _TRACE,
        _REQUEST,
        "celery.worker.consumer.consumer",
        "celery.worker.strategy",
    )

    def __init__(self) -> None:
        self._connected: set[int] = set()  # the signals, which live as long as the process

    @override
    def connect(self, settle: Callable[[], None]) -> None:
        signals = sys.modules.get("celery.signals")
        for name in _SIGNALS:
            signal: Any = getattr(signals, name, None)
            # Connecting takes a lock of the signal. A thread that has it may wait for the lock of
            # logging: a handler that is collected needs that one.
            if signal is not None and id(signal) not in self._connected:
                self._connected.add(id(signal))
                signal.connect(lambda **_: settle(), weak=False, dispatch_uid="tocsin.arrival")

    @override
    def adapt(self, record: logging.LogRecord) -> logging.LogRecord | None:
        error = exception_of(record)
        if error is None:
            hard = isinstance(record.msg, str) and record.msg.startswith("Hard time limit")
            return None if record.name == _REQUEST and hard else record
        if record.name not in {_TRACE, _REQUEST}:
            return record
        error = unwrapped(error)
        fields: dict[str, object] = {"exc_info": (type(error), error, error.__traceback__)}
        if record.name == _REQUEST and (task := _of_request(_request())) is not None:
            # The task has no frame in it: it was raised in the worker's main process.
            fields["alert_group"] = Known(type_name(type(error)), task.name)
        return changed(record, fields)

    @override
    def origin(self, record: logging.LogRecord, *, personal_data: bool) -> Origin | None:
        task = _of_request(_request()) if record.name == _REQUEST else _current()
        if task is None:
            return None
        # Celery's formatter for tasks adds the last two, to records of any logger.
        known = {"task_id": task.number, "task_name": task.name}
        used = {name for name, value in known.items() if record.__dict__.get(name) == value}
        return task.origin({*used, "data"} if record.name == _TRACE else used)

    @override
    def owner(self, record: logging.LogRecord) -> object:
        if record.name == _REQUEST and (request := _request()) is not None:
            return "celery", request.id
        context = getattr(_task(), "request", None)
        number = getattr(context, "id", None)
        return None if number is None else ("celery", number)


def _task() -> Any:
    """Return the task that this thread runs; None if there is none."""
    current = getattr(sys.modules.get("celery._state"), "get_current_task", None)
    return None if current is None else current()


def _current() -> Task | None:
    task = _task()
    context = getattr(task, "request", None)
    number = getattr(context, "id", None)  # None if the application itself has called it
    if number is None:
        return None
    return Task(
        name=str(task.name),
        number=str(number),
        queue=_queue(getattr(context, "delivery_info", None)),
        retries=getattr(context, "retries", 0) or 0,
        max_retries=getattr(task, "max_retries", None),
        arguments=shown_arguments(
            getattr(context, "argsrepr", None), getattr(context, "kwargsrepr", None)
        ),
    )


def _request() -> Any:
    """Return the worker's request that a caller of this function handles; None without one."""
    found = local(_REQUEST, "self")
    return found if hasattr(found, "delivery_info") else None


def _of_request(request: Any) -> Task | None:
    if request is None:
        return None
    headers = getattr(request, "request_dict", None) or {}
    return Task(
        name=str(request.name),
        number=str(request.id),
        queue=_queue(request.delivery_info),
        retries=headers.get("retries") or 0,
        max_retries=getattr(request.task, "max_retries", None),
        arguments=shown_arguments(headers.get("argsrepr"), headers.get("kwargsrepr")),
    )


def _queue(delivery: Any) -> str:
    """Return the queue's name: the routing key, with Celery's own queues."""
    found = delivery.get("routing_key") if isinstance(delivery, dict) else None
    return str(found or "")
