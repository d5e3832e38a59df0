"""A request as an alert tells it: method, path and query, route, status, and its number.

The body of a request is never read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tocsin.events.capture import Origin
from tocsin.integrations.routes import route_of
from tocsin.text import attempt

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEADERS = ("x-forwarded-for", "host", "user-agent", "referer", "content-type", "content-length")
_USER_FIELDS = ("id", "pk", "username", "name", "email")
_SECRET_NAMES = frozenset({"auth", "code", "hash", "key", "sig", "sign", "signature", "state"})
_ESCAPE = re.compile(r"%([2-7][0-9A-Fa-f])")
_CONTROLS = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029]")  # a client must not add lines to a mail
_MAX_QUERY = 2_000  # characters; a mail shows 500
_ID_HEADERS = ("x-request-id", "x-correlation-id", "traceparent")


class WebRequest(NamedTuple):
    """A request.

    Attributes:
        method: such as "GET".
        path: its path, with the part in which the application is mounted.
        query: its query string, without the question mark.
        route: the pattern that the path has matched, or "".
        status: the status of the answer, or "".
        headers: names in small letters, and values.
        client: the client's address, or "".
        user: a number or a name of the user, or "".
        form: the names of the form's fields, if the application has read them.
        used: the record's extra fields that need not be shown too.
    """

    method: str
    path: str
    query: str = ""
    route: str = ""
    status: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    client: str = ""
    user: str = ""
    form: tuple[str, ...] = ()
    used: tuple[str, ...] = ()

    def origin(self, *, personal_data: bool) -> Origin:
        """Return what an alert tells of it.

        Args:
            personal_data: whether data about a person may be told.
        """
        query = f"?{_shown_query(self.query)}" if self.query else ""
        headers = dict(self.headers)
        values = [
            ("request", f"{self.method} {self.path}{query}"),
            ("route", self.route),
            ("status", self.status),
            ("request id", next(filter(None, map(headers.get, _ID_HEADERS)), "")),
        ]
        if personal_data:
            values += [("user", self.user), ("client", self.client), ("form", ", ".join(self.form))]
            values += [(name, headers.get(name, "")) for name in _HEADERS]
        shown = tuple((name, _CONTROLS.sub(_escaped, value)) for name, value in values if value)
        return Origin(shown, frozenset(self.used))


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def _shown_query(query: str) -> str:
    """Return a query without values that are secret in a query, but are not in other text.

    Such are the code of a login by OAuth, the key of an API, and the signature of a link.
    """
    return "&".join(_shown_pair(*pair.partition("=")) for pair in query[:_MAX_QUERY].split("&"))


def _shown_pair(name: str, equals: str, value: str) -> str:
    plain = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), name)  # a redactor knows plain names
    if plain.lower() in _SECRET_NAMES and value:
        value = "[redacted]"
    return f"{plain}{equals}{value}"


def of_carrier(carrier: Any) -> WebRequest | None:
    """Return the request of a `scope`, an `environ`, or an object that has one of them."""
    if isinstance(carrier, dict):
        return of_environ(carrier) if "REQUEST_METHOD" in carrier else _of_scope(carrier)
    for name in ("scope", "environ"):
        inner = getattr(carrier, name, None)
        if isinstance(inner, dict):
            return of_carrier(inner)
    return None


def _of_scope(scope: dict[str, Any]) -> WebRequest:
    """Return the request of an ASGI scope (ASGI specification, "HTTP Connection Scope")."""
    client = scope.get("client") or ("",)
    path = attempt(scope.get("path", ""))
    root = attempt(scope.get("root_path") or "")
    return WebRequest(
        method=attempt(scope.get("method") or scope.get("type", "")).upper(),
        path=path if path.startswith(root) else root + path,
        query=_text(scope.get("query_string", b"")),
        route=route_of(scope),
        headers=tuple(
            (_text(name).lower(), _text(value)) for name, value in scope.get("headers", ())
        ),
        client=attempt(client[0]),
        user=_of_user(scope.get("user")),
    )


def of_environ(environ: Mapping[str, Any]) -> WebRequest:
    """Return the request of a WSGI environ (PEP 3333, "environ Variables")."""
    path = attempt(environ.get("SCRIPT_NAME", "")) + attempt(environ.get("PATH_INFO", ""))
    rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
    headers = [
        (name.removeprefix("HTTP_").replace("_", "-").lower(), attempt(value))
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in {"CONTENT_TYPE", "CONTENT_LENGTH"}
    ]
    return WebRequest(
        method=attempt(environ["REQUEST_METHOD"]),
        path=path.encode("latin-1", "replace").decode("utf-8", "replace"),
        query=attempt(environ.get("QUERY_STRING", "")),
        route=attempt(getattr(rule, "rule", "")),
        headers=tuple(headers),
        client=attempt(environ.get("REMOTE_ADDR", "")),
    )


def _of_user(user: object) -> str:
    """Return a user's name or number, if it is a plain attribute: a property may need a query."""
    fields = getattr(user, "__dict__", {})
    return next((attempt(fields[name]) for name in _USER_FIELDS if name in fields), "")


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else attempt(value)
