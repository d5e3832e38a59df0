"""Exceptions that a framework has wrapped, or replaced by ones that can be pickled."""

from __future__ import annotations

import sys
from typing import Any

from tocsin.events.exceptions import traceback_of

_MAX_WRAPPERS = 5
_MAX_CLASSES = 1_000
_classes: dict[tuple[str, str], type[Exception]] = {}


def unwrapped(error: BaseException) -> BaseException:
    """Return the exception that the application has raised.

    Args:
        error: an exception that a pool of processes, or Celery, has logged.
    """
    for _ in range(_MAX_WRAPPERS):
        inner: Any = getattr(error, "exc", None)
        wraps = type(error).__name__ == "ExceptionWithTraceback"  # of billiard
        if not wraps or not issubclass(type(inner), BaseException):
            break
        error = inner
    handled = sys.exc_info()[1]
    trace = traceback_of(error)
    if handled is not None and trace is not None and traceback_of(handled) is trace:
        return handled  # what the wrapper was made of; an exception that can't be pickled
    if type(error).__name__ == "UnpickleableExceptionWrapper":
        return _restored(error)
    return error


def _restored(wrapper: BaseException) -> BaseException:
    """Return an exception of the type that one of Kombu's and Celery's wrappers names."""
    name = str(getattr(wrapper, "exc_cls_name", "Exception"))
    module = str(getattr(wrapper, "exc_module", ""))
    if len(_classes) >= _MAX_CLASSES:
        _classes.clear()
    # One class for each name, as the cache of fingerprints has classes as its keys.
    kind = _classes.setdefault((module, name), type(name, (Exception,), {"__module__": module}))
    found = kind(*(getattr(wrapper, "exc_args", None) or ()))
    found.__cause__ = wrapper.__cause__
    return found.with_traceback(traceback_of(wrapper))
