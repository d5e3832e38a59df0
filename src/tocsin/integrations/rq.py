"""RQ: its workers, and jobs.

A worker logs a job's error with the traceback as text, while it handles the exception. Unless the
worker is a `SimpleWorker`, a job runs in a process of its own, which ends by `os._exit`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tocsin.events.exceptions import traceback_of
from tocsin.events.records import changed
from tocsin.integrations.base import Integration
from tocsin.integrations.tasks import Task, is_tried_again, local, lowered, shown_values
from tocsin.text import attempt, type_name

if TYPE_CHECKING:
    import logging

    from tocsin.events.capture import Origin

_LOGGER = "rq.worker"
_MODULE = "rq.worker"  # also the start of the names of its submodules
_RAISED = "exception raised while executing"
_FIELDS = frozenset({"func", "arguments", "kwargs", "queue", "job_id"})


class Rq(Integration):
    """RQ."""

    name: ClassVar[str] = "rq"
    modules: ClassVar[tuple[str, ...]] = ("rq",)
    loggers: ClassVar[tuple[str, ...]] = (_LOGGER,)

    @override
    def adapt(self, record: logging.LogRecord) -> logging.LogRecord | None:
        if not (isinstance(record.msg, str) and _RAISED in record.msg):
            return record
        fields = _error(record)
        if is_tried_again(getattr(_job(), "retries_left", None)):
            fields.update(lowered(record))
        return changed(record, fields)

    @override
    def origin(self, record: logging.LogRecord, *, personal_data: bool) -> Origin | None:
        job = _job()
        if job is None:
            return None
        arguments = ""
        if record.name == _LOGGER:  # else RQ may not have read them
            arguments = shown_values(
                record.__dict__.get("arguments"), record.__dict__.get("kwargs")
            )
        task = Task(
            name=attempt(job.func_name),
            number=attempt(job.id),
            queue=attempt(job.origin),
            arguments=arguments,
            kind="job",
        )
        return task.origin(_FIELDS if record.name == _LOGGER else ())

    @override
    def owner(self, record: logging.LogRecord) -> object:
        job = _job()
        return None if job is None else ("rq", attempt(job.id))

    @override
    def ends(self, record: logging.LogRecord) -> bool:
        return _job() is not None and bool(getattr(local(_MODULE, "self"), "is_horse", False))


def _job() -> Any:
    """Return the job that this thread runs, or whose error it handles; None if there is none."""
    current = getattr(sys.modules.get("rq.job"), "get_current_job", None)
    job = None if current is None else current()
    return local(_MODULE, "job") if job is None else job


def _error(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of the record with the exception itself instead of its text."""
    args = record.args if isinstance(record.args, tuple) else ()
    text = attempt(args[-1]) if args else ""
    fields: dict[str, Any] = {"msg": record.msg.partition("\n")[0], "args": args[:-1]}
    error = sys.exc_info()[1]
    if error is not None and type_name(type(error)) in text:
        fields["exc_info"] = type(error), error, traceback_of(error)
    else:
        fields["exc_text"] = text
    return fields
