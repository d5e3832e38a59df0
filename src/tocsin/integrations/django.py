"""Django: its requests, and what it logs of them.

Nothing here evaluates what is lazy: the user is told if the application has looked at it, and the
fields of a form if it has read them.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tocsin.events.fields import exception_of
from tocsin.integrations import carriers, web
from tocsin.integrations.base import Integration
from tocsin.text import attempt

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_NAMES = ("conf", "config", "core", "settings")  # packages that many projects have
_MAX_FIELDS = 100  # names of a form

_tested = False


class Django(Integration):
    """Django, under any server."""

    name: ClassVar[str] = "django"
    modules: ClassVar[tuple[str, ...]] = ("django",)
    loggers: ClassVar[tuple[str, ...]] = ("django.request",)
    access: ClassVar[tuple[str, ...]] = ("django.server",)

    @override
    def adapt(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return a record of an answer without an exception as a group by status and route.

        Its message, such as "Service Unavailable: /pay/7", has no status, and names the path.
        """
        fields = record.__dict__
        status = fields.get("status_code")
        if exception_of(record) is not None or "alert_group" in fields or type(status) is not int:
            return record
        title = " ".join(filter(None, (str(status), _phrase(status))))
        route = _route(fields.get("request"))
        changed: dict[str, Any] = {"alert_group": f"{title}: {route}" if route else title}
        match record.msg, record.args:
            case "%s: %s", (_, path):
                changed["args"] = title, path
            case _:
                pass
        return logging.makeLogRecord(fields | changed)

    @override
    def request(self, record: logging.LogRecord, *, personal_data: bool) -> web.WebRequest | None:
        in_tests()  # the tests may be over when the mail is sent
        request = record.__dict__.get("request")
        if not _is_request(request):
            found = _of_frames(record)
            return None if found is None else _web_request(found, personal_data=personal_data)
        return _web_request(request, personal_data=personal_data)._replace(
            status=attempt(record.__dict__.get("status_code", "")), used=("request", "status_code")
        )

    @override
    def app(self) -> str | None:
        """Return the package of the settings: "shop" of "shop.settings.production"."""
        package, dot, _ = os.environ.get("DJANGO_SETTINGS_MODULE", "").partition(".")
        return package if dot and package not in _NO_NAMES else None


def in_tests() -> bool:
    """Return whether Django's tests run in this process, or were seen to run: no mail may leave.

    Django's test runner replaces the backend for mail, and puts it back before the process ends.
    """
    global _tested  # noqa: PLW0603 - it stays so until the process ends
    _tested = _tested or hasattr(sys.modules.get("django.core.mail"), "outbox")
    return _tested


def _phrase(status: int) -> str:
    from http import HTTPStatus  # noqa: PLC0415 - Django has loaded it; to import it takes 1 ms

    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a status of the application's own
        return ""


def _is_request(value: object) -> bool:
    """Return whether a value is Django's request. `runserver` logs a socket under that name."""
    kind = getattr(sys.modules.get("django.http.request"), "HttpRequest", None)
    return isinstance(kind, type) and issubclass(type(value), kind)


def _of_frames(record: logging.LogRecord) -> Any:
    """Return the request in which a record was logged; None if there is none."""
    error = exception_of(record)
    found = None if error is None else carriers.in_traceback(error.__traceback__, _is_request)
    return found or carriers.here(_is_request)


def _route(request: object) -> str:
    """Return the pattern that the path of a request has matched, such as "/pay/<int:number>"."""
    route = attempt(getattr(getattr(request, "resolver_match", None), "route", None) or "")
    return route if not route or route.startswith(("^", "/")) else f"/{route}"


def _web_request(request: Any, *, personal_data: bool) -> web.WebRequest:
    filters = _filter(request) if personal_data else None
    meta: Mapping[str, Any] = request.META
    if filters is not None:
        meta = filters.get_safe_request_meta(request)
    return web.of_environ(meta)._replace(
        method=attempt(request.method or ""),
        path=attempt(request.path),
        route=_route(request),
        user=_user(request) if personal_data else "",
        form=_form(request, filters),
    )


def _filter(request: Any) -> Any:
    """Return the application's filter for reports, by default a `SafeExceptionReporterFilter`."""
    debug = sys.modules.get("django.views.debug")
    return None if debug is None else debug.get_exception_reporter_filter(request)


def _user(request: Any) -> str:
    """Return the key of the request's user, without a query; "" if it isn't known."""
    fields = vars(request)
    user = fields.get("_cached_user", fields.get("user"))
    # `AuthenticationMiddleware` sets a `SimpleLazyObject`, which loads the user when it is used.
    user = object.__getattribute__(user, "__dict__").get("_wrapped", user)
    key = getattr(getattr(getattr(type(user), "_meta", None), "pk", None), "attname", "id")
    value = getattr(user, "__dict__", {}).get(key)
    return "" if value is None else attempt(value)


def _form(request: Any, filters: Any) -> tuple[str, ...]:
    """Return the names of a form's fields, if the application has read the form."""
    if filters is None or "_post" not in vars(request):
        return ()
    return tuple(attempt(name) for name in list(filters.get_post_parameters(request))[:_MAX_FIELDS])
