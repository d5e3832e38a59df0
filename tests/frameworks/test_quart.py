"""Quart under its servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from programs import Mails, at_the_same_time, free_port, get, serving, through_a_socket

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.testing import ScriptedSMTPServer


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(
            "hypercorn quart_shop:app -b 127.0.0.1:{port}",
            marks=pytest.mark.row("Quart under hypercorn", "quart", "hypercorn"),
        ),
        pytest.param(
            "uvicorn quart_shop:app --port {port}",
            marks=pytest.mark.row("Quart under uvicorn", "quart", "uvicorn"),
        ),
    ],
)
def test_quart(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails, start: str) -> None:
    port = free_port()
    with serving(start.format(port=port).split(), port, tmp_path, server):
        assert get(port, "/async/7?token=s3cret&page=2", **{"X-Request-ID": "r-7"}) == 500
        assert get(port, "/thread/8") == 500
        assert get(port, "/logged/9") == 500
        assert get(port, "/group") == 500
        assert get(port, "/background") == 200
        assert get(port, "/stream") == 200
        assert get(port, "/told/5") == 200
        assert get(port, "/admin/orders/6") == 500
        count = 8 + at_the_same_time(port) + through_a_socket(port)
        mails.wait_for_events(count)
    assert mails.events == mails.groups == count
    mails.check_each_for_itself()
    told = mails.about("LookupError: async order", "shop  async order 7")
    assert "GET /async/7?token=[redacted]&page=2, route /async/<int:number>, status 500" in told
    assert "request id r-7" in told
    told = mails.about("KeyError: 'thread order'", "shop  thread order 8")
    assert "Request: GET /thread/8, route /thread/<int:number>, status 500\n" in told
    assert "order 9 failed" in mails.about("ValueError: no such order", "/logged/9")
    assert "status 500\n" in mails.about("OSError: disk full", "together with TimeoutError: slow")
    # Since Quart 0.23 a background task has no request.
    mails.about("RuntimeError: no invoice", "shop  writing the invoice")
    told = mails.about("ZeroDivisionError: second line", "shop  reading the second line")
    assert "Request: GET /stream\n" in told
    mails.about("an order without a price", "route /told/<int:number>\n", "shop  told order 5")
    mails.about("NotImplementedError", "route /admin/orders/<int:number>, status 500\n")
    told = mails.about("PermissionError: socket order", "shop  socket order 5")
    assert "WEBSOCKET /socket/5?token=[redacted], route /socket/<int:number>\n" in told
    assert "s3cret" not in mails.text
