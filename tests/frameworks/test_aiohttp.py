"""The server of aiohttp."""

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


@pytest.mark.row("aiohttp", "aiohttp")
def test_aiohttp(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    port = free_port()
    start = ["python", str(APPS / "aiohttp_shop.py")]
    with serving(start, port, tmp_path, server, PORT=str(port)):
        assert get(port, "/order/7?token=s3cret&page=2", **{"X-Request-ID": "r-7"}) == 500
        assert get(port, "/logged/9") == 500
        assert get(port, "/group") == 500
        assert get(port, "/executor/3") == 500
        assert get(port, "/stream") == 200
        assert get(port, "/answered") == 503
        assert get(port, "/admin/orders/6") == 500
        assert get_all(port, "/noted/1", "/noted/2", "/told/3") == [200, 200, 200]
        count = 7 + at_the_same_time(port) + through_a_socket(port)
        mails.wait_for_events(count)
    assert mails.events == mails.groups == count
    mails.check_each_for_itself()
    told = mails.about("LookupError: order", "shop  order 7")
    assert "GET /order/7?token=[redacted]&page=2, route /order/{number}, status 500" in told
    assert "request id r-7" in told
    assert "in aiohttp_shop.order\n" in told
    assert "order 9 failed" in mails.about("ValueError: no such order", "/logged/9")
    assert "status 500\n" in mails.about("OSError: disk full", "together with TimeoutError: slow")
    mails.about("KeyError: 'in a thread'", "shop  executor order 3", "status 500")
    told = mails.about("ZeroDivisionError: second line", "shop  reading the second line")
    assert "Request: GET /stream, route /stream\n" in told
    mails.about("NotImplementedError: admin", "route /admin/orders/{number}, status 500\n")
    told = mails.about("an order without a price", "shop  told order 3")
    assert "order 1" not in told  # of an earlier request on the same connection
    assert "order 2" not in told
    told = mails.about("PermissionError: socket order", "shop  socket order 5")
    assert "GET /socket/5?token=[redacted], route /socket/{number}\n" in told
    assert "s3cret" not in mails.text
    assert "127.0.0.1" not in mails.text
