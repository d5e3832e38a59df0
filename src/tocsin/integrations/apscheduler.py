"""APScheduler: the jobs of its executors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tocsin.integrations.base import Integration
from tocsin.integrations.tasks import Task, local
from tocsin.text import attempt

if TYPE_CHECKING:
    import logging

    from tocsin.events.capture import Origin

_MODULE = "apscheduler.executors"


class APScheduler(Integration):
    """APScheduler."""

    name: ClassVar[str] = "apscheduler"
    modules: ClassVar[tuple[str, ...]] = ("apscheduler",)
    loggers: ClassVar[tuple[str, ...]] = ("apscheduler.executors.default",)

    @override
    def origin(self, record: logging.LogRecord, *, personal_data: bool) -> Origin | None:
        job = _job()
        if job is None:
            return None
        name, number = attempt(job.name), attempt(job.id)
        return Task(name=name, number="" if number == name else number, kind="job").origin()

    @override
    def owner(self, record: logging.LogRecord) -> object:
        job = _job()
        if job is None:
            return None
        return "apscheduler", attempt(job.id), attempt(local(_MODULE, "run_time"))


def _job() -> Any:
    """Return the job that this thread or task runs; None if there is none."""
    found = local(_MODULE, "job")
    return found if hasattr(found, "trigger") else None
