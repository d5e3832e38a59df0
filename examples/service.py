"""A shop as a web service of many processes, which share one store of alerts: plain WSGI.

    gunicorn --workers 8 --chdir examples service:application

Its logging is set up by service.toml, or by the file that SHOP_LOGGING names, and by nothing else.
The card gateway doesn't answer today: each `/checkout` fails, in whatever process it arrives, and
all of them together send one mail, as one process would.
"""

from __future__ import annotations

import logging
import logging.config
import os
import socket
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

SETTINGS = Path(os.environ.get("SHOP_LOGGING", Path(__file__).with_suffix(".toml")))
logger = logging.getLogger("shop")


class PaymentError(Exception):
    """The card couldn't be charged."""


class Gateway:
    """The card gateway's client. The gateway accepts connections and never answers."""

    def __init__(self) -> None:
        self._silent = socket.create_server(("127.0.0.1", 0), backlog=128)

    def charge(self, order: int) -> bytes:
        """Charge an order's card."""
        try:
            with socket.create_connection(self._silent.getsockname(), timeout=0.1) as connection:
                connection.sendall(b"charge %d\n" % order)
                return connection.recv(64)
        except TimeoutError as error:
            raise PaymentError("the card gateway doesn't answer") from error


logging.config.dictConfig(tomllib.loads(SETTINGS.read_text(encoding="utf-8")))
gateway = Gateway()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a customer; what goes wrong is logged and answered with 500."""
    try:
        status, text = "200 OK", page(environ)
    except Exception:
        logger.exception(
            "%s failed", environ["PATH_INFO"], extra={"query": environ["QUERY_STRING"]}
        )
        status, text = "500 Internal Server Error", "sorry"
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]


def page(environ: WSGIEnvironment) -> str:
    """Return the page that is asked for."""
    if environ["PATH_INFO"] != "/checkout":
        return "welcome"
    fields = parse_qs(environ["QUERY_STRING"])
    return gateway.charge(int(fields["order"][0])).decode()
