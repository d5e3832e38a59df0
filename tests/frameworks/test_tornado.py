"""Tornado."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from programs import (
    APPS,
    Mails,
    at_the_same_time,
    free_port,
    get,
    get_all,
    serving,
    through_a_socket,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.testing import ScriptedSMTPServer


@pytest.mark.row("Tornado", "tornado")
def test_tornado(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    port = free_port()
    start = ["python", str(APPS / "tornado_shop.py")]
    with serving(start, port, tmp_path, server, PORT=str(port)):
        assert get(port, "/order/7?token=s3cret&page=2", **{"X-Request-ID": "r-7"}) == 500
        assert get(port, "/sync/8") == 500
        assert get(port, "/logged/9") == 500
        assert get(port, "/group") == 500
        assert get(port, "/stream") == 200
        assert get(port, "/callback") == 200
        assert get(port, "/told-and-answered/4") == 502
        assert get(port, "/answered/77?token=s3cret") == 503
        assert get(port, "/answered/78") == 503
        assert get_all(port, "/noted/1", "/noted/2", "/told/3") == [200, 200, 200]
        count = 10 + at_the_same_time(port) + through_a_socket(port)
        mails.wait_for_events(count)
    assert mails.events == count
    assert mails.groups == count - 1  # the two answers with status 503 are one group
    mails.check_each_for_itself()
    told = mails.about("LookupError: order", "shop  order 7")
    assert r"GET /order/7?token=[redacted]&page=2, route /order/(\d+), status 500" in told
    assert "request id r-7" in told
    assert "in tornado_shop.Order.get\n" in told
    mails.about("KeyError: 'sync order'", "shop  sync order 8", "status 500")
    assert "order 9 failed" in mails.about("ValueError: no such order", "/logged/9")
    assert "status 500\n" in mails.about("OSError: disk full", "together with TimeoutError: slow")
    told = mails.about("ZeroDivisionError: second line")
    assert "Request: GET /stream, route /stream\n" in told
    mails.about("RuntimeError: no invoice", "in tornado_shop.Callback.get")
    told = mails.about(r"503 GET /answered/(\d+)", "2 x", "tornado.access", "answered order 77")
    assert r"GET /answered/77?token=[redacted], route /answered/(\d+), status 503" in told
    told = mails.about("an order without a price", "shop  told order 3")
    assert "order 1" not in told  # of an earlier request on the same connection
    assert "order 2" not in told
    mails.about("no price from the supplier", r"route /told-and-answered/(\d+)")
    told = mails.about("PermissionError: socket order", "shop  socket order 'order'")
    assert r"GET /socket/5?token=[redacted], route /socket/(\d+)" in told
    assert "s3cret" not in mails.text
    assert "(127.0.0.1)" not in mails.text.partition("Before it:")[0]
    assert "HTTPServerRequest" not in mails.text
