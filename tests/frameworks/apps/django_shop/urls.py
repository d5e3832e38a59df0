"""The pages of a shop on Django."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from django.http import HttpResponse, HttpResponseServerError, StreamingHttpResponse
from django.urls import path
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.contrib.auth.models import User
from django.views.decorators.csrf import csrf_exempt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest

log = logging.getLogger("shop")


def pay(request: HttpRequest, number: int) -> HttpResponse:
    log.info("paying order %d", number)
    raise LookupError("no such order")


async def track(request: HttpRequest, number: int) -> HttpResponse:
    log.info("tracking order %d", number)
    await asyncio.sleep(0.1)
    raise KeyError("no such parcel")


def logged(request: HttpRequest) -> HttpResponse:
    try:
        raise ValueError("no stock")
    except ValueError:
        log.exception("could not order")
        raise


def down(request: HttpRequest) -> HttpResponse:
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
    request.user = User(pk=42, username="ada")
    raise PermissionError(f"card of {len(secret)} digits")


def fine(request: HttpRequest) -> HttpResponse:
    log.info("all is fine")
    return HttpResponse("fine")


urlpatterns = [
    path("pay/<int:number>", pay),
    path("track/<int:number>", track),
    path("logged", logged),
    path("down", down),
    path("broken", broken),
    path("stream", stream),
    path("login", login),
    path("fine", fine),
]
