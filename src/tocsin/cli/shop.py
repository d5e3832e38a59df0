"""The code of a shop, which fails as programs do: for the samples of mails."""

from __future__ import annotations

import linecache
import sys
import sysconfig
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tocsin.events.frames import shown_path

if TYPE_CHECKING:
    from collections.abc import Generator

_LIBRARY = sysconfig.get_path("purelib")
_SOURCES = {
    ("django.core.handlers", f"{_LIBRARY}/django/core/handlers/base.py"): (
        "def get_response(view, order):\n    return _view(view, order)\n\n"
        "def _view(view, order):\n    return view(order)\n"
    ),
    ("gateway.client", f"{_LIBRARY}/gateway/client.py"): (
        'def post(order):\n    raise ConnectionRefusedError(111, "Connection refused")\n'
    ),
    ("shop.payments.charge", "/srv/shop/shop/payments/charge.py"): (
        "def charge(order, post, PaymentError):\n    try:\n        post(order)\n"
        "    except OSError as error:\n"
        '        raise PaymentError("card gateway refused the connection") from error\n'
    ),
    ("shop.checkout.views", "/srv/shop/shop/checkout/views.py"): (
        "def submit(order):\n    return charge(order, post, PaymentError)\n"
    ),
}


class PaymentError(Exception):
    """A payment that failed."""


@contextmanager
def shop() -> Generator[dict[str, Any]]:
    """Yield the names of the shop's code, as if it were installed in /srv/shop."""
    names: dict[str, Any] = {"PaymentError": PaymentError}
    for (module, path), source in _SOURCES.items():
        there = {**names, "__name__": module}
        exec(compile(source, path, "exec"), there)  # noqa: S102 - it stands above
        linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
        names |= {name: value for name, value in there.items() if not name.startswith("__")}
    sys.path.insert(0, "/srv/shop")
    shown_path.cache_clear()  # it depends on `sys.path`
    try:
        yield names
    finally:
        sys.path.remove("/srv/shop")
        shown_path.cache_clear()
