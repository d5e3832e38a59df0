"""A small shop with honest bugs, whose logging is set up by quickstart.toml and nothing else.

Run it from the repository's root: `python examples/quickstart.py`. It prints its port, serves until
its standard input ends, and is at its best when `make demo` sends it customers.
"""

from __future__ import annotations

import logging
import logging.config
import socket
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

logger = logging.getLogger("shop")


class PaymentError(Exception):
    """The card couldn't be charged."""


class Gateway:
    """The card gateway's client. The gateway is down: nothing listens where it should."""

    def __init__(self) -> None:
        self._reserved = socket.create_server(("127.0.0.1", 0))
        self._address = self._reserved.getsockname()
        self._reserved.close()

    def post(self, order: int) -> None:
        """Send an order's charge."""
        with socket.create_connection(self._address, timeout=1) as connection:
            connection.sendall(b"charge %d\n" % order)


class Prices:
    """The price service's client. The service accepts connections and never answers."""

    def __init__(self) -> None:
        self._silent = socket.create_server(("127.0.0.1", 0), backlog=128)

    def of(self, article: str) -> bytes:
        """Ask for an article's price."""
        with socket.create_connection(self._silent.getsockname(), timeout=0.005) as connection:
            connection.sendall(article.encode() + b"\n")
            return connection.recv(64)


gateway = Gateway()
prices = Prices()
sold = {"2026-01": (12, 480), "2026-02": (0, 0)}
stock = {"SKU-7": 3}
stock_lock = threading.Lock()


def charge(order: int) -> None:
    """Charge an order's card."""
    try:
        gateway.post(order)
    except OSError as error:
        raise PaymentError("card gateway refused the connection") from error


def checkout(order: int) -> str:
    """Pay for an order."""
    charge(order)
    return "paid"


def average(month: str) -> str:
    """Return what an order of a month was worth; nobody thought of a month without orders."""
    orders, amount = sold[month]
    return str(amount / orders)


def pick(article: str) -> bool:
    """Take an article from the shelf; nobody looked whether there was one."""
    with stock_lock:
        stock[article] -= 1
        left = stock[article]
    if left < 0:
        logger.error("Stock of %r is negative: %d", article, left)
    return left >= 0


class Shop(BaseHTTPRequestHandler):
    """The shop's pages."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer a customer; what goes wrong is logged and answered with 500."""
        url = urlsplit(self.path)
        fields = {key: values[0] for key, values in parse_qs(url.query).items()}
        try:
            status, text = self._page(url.path, fields)
        except Exception:
            logger.exception("%s failed", url.path, extra={"query": url.query})
            status, text = 500, "sorry"
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _page(self, path: str, fields: dict[str, str]) -> tuple[int, str]:
        match path:
            case "/checkout":
                return 200, checkout(int(fields["order"]))
            case "/price":
                return 200, prices.of(fields["article"]).decode()
            case "/basket":
                return 200, f"{int(fields['quantity'])} in the basket"
            case "/pick":
                return (200, "picked") if pick(fields["article"]) else (500, "sold out")
            case "/report":
                return 200, average(fields["month"])
            case _:
                return 200, "welcome"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Log requests as information, not to standard error."""
        logger.debug(format, *args)


class Server(ThreadingHTTPServer):
    """A server whose open connections don't keep the program from ending."""

    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    """Serve until standard input ends."""
    settings = Path(__file__).with_suffix(".toml")
    logging.config.dictConfig(tomllib.loads(settings.read_text(encoding="utf-8")))
    with Server(("127.0.0.1", 0), Shop) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        print(server.server_port, flush=True)
        sys.stdin.read()
        server.shutdown()
        thread.join()


if __name__ == "__main__":
    main()
