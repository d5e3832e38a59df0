"""The pages of a shop on Django."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING

import alerting
from django.contrib.auth.models import User
from django.http import HttpResponse, HttpResponseServerError, StreamingHttpResponse
from django.urls import include, path
from django.utils.functional import SimpleLazyObject
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest

log = logging.getLogger("shop")
together = threading.Barrier(2)


def pay(request: HttpRequest, number: int) -> HttpResponse:
    log.info("paying order %d", number)
    raise LookupError("no such order")


async def track(request: HttpRequest, number: int) -> HttpResponse:
    log.info("tracking order %d", number)
    await asyncio.sleep(0.01)
    raise KeyError("no such parcel")


def mix(request: HttpRequest, name: str) -> HttpResponse:
    """Fail while another request is served, each with an error of its own."""
    log.info("mixing %s", name)
    together.wait(20)
    if name == "tea":
        raise BufferError("no tea")
    raise EOFError("no milk")


def logged(request: HttpRequest) -> HttpResponse:
    try:
        raise ValueError("no stock")
    except ValueError:
        log.exception("could not order")
        raise


def told(request: HttpRequest) -> HttpResponse:
    log.error("the order waits")
    return HttpResponse("told")


def down(request: HttpRequest, number: int) -> HttpResponse:
    log.info("the warehouse is down")
    return HttpResponse("down", status=503)


def broken(request: HttpRequest) -> HttpResponse:
    return HttpResponseServerError("broken")


def stream(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        log.info("streaming")
        yield b"first"
        raise OSError("stream broke")

    return StreamingHttpResponse(parts())


@csrf_exempt
@sensitive_post_parameters("pin")
@sensitive_variables("secret")
def login(request: HttpRequest) -> HttpResponse:
    secret = request.POST["pin"]
    known = request.POST.get("user")
    if known == "seen":  # as by `AuthenticationMiddleware`; `User` is not in the database
        request.user = SimpleLazyObject(lambda: User(pk=4711, username="ada"))
        log.info("a card of %s", request.user.username)
    elif known == "unseen":
        request.user = SimpleLazyObject(lambda: log.critical("the user was looked up"))
    if known == "unseen":
        raise ChildProcessError("no card reader")
    raise PermissionError(f"card of {len(secret)} digits")


def slow(request: HttpRequest) -> HttpResponse:
    time.sleep(60)
    return HttpResponse("slow")


@csrf_exempt
def unread(request: HttpRequest) -> HttpResponse:
    raise TimeoutError("the form was not read")


def fine(request: HttpRequest) -> HttpResponse:
    alerting.wait_for_handlers()
    log.info("all is fine")
    return HttpResponse("fine")


urlpatterns = [
    path("pay/<int:number>", pay),
    path("parcels/", include([path("track/<int:number>", track)])),
    path("mix/<str:name>", mix),
    path("logged", logged),
    path("told", told),
    path("down/<int:number>", down),
    path("broken", broken),
    path("stream", stream),
    path("login", login),
    path("unread", unread),
    path("slow", slow),
    path("fine", fine),
]
