"""Dramatiq: its workers, which log the error of each attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tocsin.events.records import changed
from tocsin.integrations.base import Integration
from tocsin.integrations.tasks import Task, is_tried_again, local, lowered, shown_values
from tocsin.text import attempt, type_name

if TYPE_CHECKING:
    import logging

    from tocsin.events.capture import Origin

_LOGGER = "dramatiq.worker.WorkerThread"
_MODULE = "dramatiq.worker"


class Dramatiq(Integration):
    """Dramatiq."""

    name: ClassVar[str] = "dramatiq"
    modules: ClassVar[tuple[str, ...]] = ("dramatiq",)
    loggers: ClassVar[tuple[str, ...]] = (_LOGGER,)

    @override
    def adapt(self, record: logging.LogRecord) -> logging.LogRecord | None:
        message = _message()
        if message is None or not record.exc_info:
            return record
        limit = _max_retries(message)
        left = None if limit is None else limit - _retries(message)
        return changed(record, lowered(record)) if is_tried_again(left) else record

    @override
    def origin(self, record: logging.LogRecord, *, personal_data: bool) -> Origin | None:
        message = _message()
        if message is None:
            return None
        task = Task(
            name=attempt(message.actor_name),
            number=attempt(message.message_id),
            queue=attempt(message.queue_name),
            retries=_retries(message),
            max_retries=_max_retries(message),
            arguments=shown_values(message.args, message.kwargs),
            kind="actor",
        )
        return task.origin()

    @override
    def owner(self, record: logging.LogRecord) -> object:
        message = _message()
        return None if message is None else ("dramatiq", attempt(message.message_id))


def _message() -> Any:
    """Return the message that this thread processes; None if there is none."""
    found = local(_MODULE, "message")
    return found if hasattr(found, "actor_name") else None


def _retries(message: Any) -> int:
    found = message.options.get("retries", 0)
    return found if isinstance(found, int) else 0


def _max_retries(message: Any) -> int | None:
    """Return how many retries a message may have; None if there is no limit, or a function."""
    broker = getattr(local(_MODULE, "self"), "broker", None)
    actor = getattr(broker, "actors", {}).get(message.actor_name)
    options = getattr(actor, "options", {})
    for one in getattr(broker, "middleware", ()):
        if type_name(type(one)) == "Retries":
            if options.get("retry_when", getattr(one, "retry_when", None)) is not None:
                return None
            default = options.get("max_retries", getattr(one, "max_retries", None))
            found = message.options.get("max_retries", default)
            return found if isinstance(found, int) else None
    return 0
