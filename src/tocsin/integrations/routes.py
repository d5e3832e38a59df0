"""Routes of applications for ASGI: the pattern that the path of a request has matched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tocsin.text import attempt

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_ROUTES = 2_000


def route_of(scope: dict[str, Any]) -> str:
    """Return the pattern with the parts in which applications are mounted; "" if it isn't known.

    Starlette notes the router and the endpoint of a request; FastAPI, and new releases of it, the
    route, too.
    """
    route, endpoint = scope.get("route"), scope.get("endpoint")
    found = [
        pattern
        for pattern, one in _routes(getattr(scope.get("router"), "routes", ()))
        if one is route
        or (route is None and endpoint is getattr(one, "endpoint", None) is not None)
    ]
    if len(found) == 1:
        return found[0]
    mounted = attempt(scope.get("root_path") or "").removeprefix(
        attempt(scope.get("app_root_path") or "")
    )
    path = attempt(getattr(route, "path", "") or "")
    return mounted + path if path and "app_root_path" in scope else path


def _routes(routes: Any) -> Iterator[tuple[str, Any]]:
    """Yield each route below some routes, and its pattern."""
    todo, left = [("", one) for one in list(routes)], _MAX_ROUTES
    while todo and left:
        prefix, one = todo.pop()
        left -= 1
        pattern = prefix + attempt(getattr(one, "path", "") or "")
        inner = getattr(one, "routes", None)
        if inner:
            todo += [(pattern, route) for route in list(inner)]
        else:
            yield pattern, one
