"""Requests that are found in frames, and what is told of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from starlette.applications import Starlette
from starlette.authentication import SimpleUser
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tocsin.integrations import carriers, web
from tocsin.integrations.routes import route_of

if TYPE_CHECKING:
    from starlette.requests import Request


def scope(path: str = "/", **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "headers": [], **more}


def serve(app: Starlette, found: dict[str, Any]) -> None:
    """Let an application serve the request of a scope, in this thread."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Any) -> None:
        pass

    asyncio.run(app(found, receive, send))


async def answer(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("")


def test_a_route_of_a_mounted_application() -> None:
    inner = Route("/orders/{number}", answer)
    app = Starlette(routes=[Mount("/shops/{shop}", routes=[inner]), Route("/", lambda _: None)])
    found = scope("/shops/berlin/orders/7")
    serve(app, found)
    assert route_of(found) == "/shops/{shop}/orders/{number}"


def test_an_endpoint_with_two_routes() -> None:
    """Earlier releases of Starlette do not note the route: then it isn't known."""
    found = scope("/old/7")
    serve(Starlette(routes=[Route("/old/{number}", answer), Route("/new/{number}", answer)]), found)
    assert route_of(found) == "/old/{number}"
    assert found.pop("route")
    assert route_of(found) == ""


def test_an_endpoint_with_one_route() -> None:
    found = scope("/orders/7")
    serve(Starlette(routes=[Route("/orders/{number}", answer)]), found)
    assert found.pop("route")
    assert route_of(found) == "/orders/{number}"


def test_the_route_of_another_framework_below_a_mount() -> None:
    """Its router is unknown, but not the part that is mounted."""

    class Other:
        path = "/orders/{number}"

    found = scope(root_path="/front/shop", app_root_path="/front", route=Other())
    assert route_of(found) == "/shop/orders/{number}"
    assert route_of(scope(route=Other())) == "/orders/{number}"
    assert route_of(scope()) == ""


def test_a_user_is_told_without_asking_for_it() -> None:
    class Lazy:
        @property
        def display_name(self) -> NoReturn:
            raise AssertionError("this needs a query")

    def user(value: object) -> str:
        request = web.of_carrier(scope(user=value))
        assert request is not None
        return request.user

    assert user(SimpleUser("ada")) == "ada"
    assert user(Lazy()) == ""
    assert user(None) == ""


def test_a_task_has_the_request_that_started_it() -> None:
    found: list[object] = []

    async def later() -> None:
        found.append(carriers.owner_here())

    async def endpoint(request: Request) -> PlainTextResponse:
        found.append(carriers.owner_here())
        await asyncio.gather(later(), asyncio.to_thread(lambda: asyncio.run(later())))
        return PlainTextResponse("")

    app = Starlette(routes=[Route("/", endpoint)])
    for _ in range(2):
        serve(app, scope())
    first, second = found[:3], found[3:]
    assert first[0] is not None
    assert len(set(first)) == 1
    assert len(set(second)) == 1
    assert first[0] is not second[0]


def test_how_far_an_answer_was() -> None:
    """The innermost note counts; nobody notes it outside of a server."""

    def fails(response_started: bool) -> NoReturn:
        def note() -> bool:
            return response_started

        raise LookupError(note())

    def outer(*notes: bool) -> bool | None:
        response_started = notes[0]

        def note() -> bool:
            return response_started

        try:
            fails(*notes[1:]) if notes[1:] else int("x")
        except (LookupError, ValueError) as error:
            return carriers.response_started(error.__traceback__)
        return note()

    assert outer(True, False) is False
    assert outer(False, True) is True
    assert outer(True) is True
    assert carriers.response_started(None) is None


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("page=2&code=abc123&State=xyz", "page=2&code=[redacted]&State=[redacted]"),
        ("sig=a%26b&signature=&key", "sig=[redacted]&signature=&key"),
        ("pa%73sword=abc&n%C3%A4me=1&a=%73", "password=abc&n%C3%A4me=1&a=%73"),  # for the redactor
        ("q=" + "x" * 10_000_000, "q=" + "x" * 1_998),
    ],
)
def test_what_is_secret_in_a_query(query: str, shown: str) -> None:
    request = web.of_carrier(scope(query_string=query.encode()))
    assert request is not None
    assert request.origin(personal_data=False).values == (("request", f"GET /?{shown}"),)


def test_a_scope_without_headers() -> None:
    request = web.of_carrier({"type": "http", "method": "GET", "path": "/"})
    assert request is not None
    assert request.origin(personal_data=True).values == (("request", "GET /"),)


def test_a_client_adds_no_lines_to_a_mail() -> None:
    headers = [(b"user-agent", b"Mozilla\n\n2   NEW"), (b"x-request-id", b"r-7\x85")]
    request = web.of_carrier(scope("/a\r\n\u2028b", headers=headers))
    assert request is not None
    assert request.origin(personal_data=True).values == (
        ("request", "GET /a%0D%0A%E2%80%A8b"),
        ("request id", "r-7%C2%85"),
        ("user-agent", "Mozilla%0A%0A2   NEW"),
    )
