"""FastAPI and Starlette under their servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from programs import Mails, free_port, get, serving

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.testing import ScriptedSMTPServer


@pytest.mark.row("FastAPI under uvicorn, logging set up in the application", "fastapi", "uvicorn")
def test_fastapi_under_uvicorn(tmp_path: Path, server: ScriptedSMTPServer, mails: Mails) -> None:
    port = free_port()
    command = ["uvicorn", "fastapi_shop:app", "--port", str(port)]
    with serving(command, port, tmp_path, server):
        assert get(port, "/async/7?token=s3cret&page=2", **{"X-Request-ID": "r-7"}) == 500
        assert get(port, "/thread/8") == 500
        assert get(port, "/logged/9") == 500
        assert get(port, "/group") == 500
        assert get(port, "/background") == 200
        mails.wait_for_events(5)
    assert mails.groups == 5
    text = mails.text
    assert (
        "Request: GET /async/7?token=[redacted]&page=2, route /async/{number}, status 500, "
        "request id r-7" in text
    )
    assert "async order 7" in text
    assert "thread order 8" in text
    assert "s3cret" not in text
    assert "Exception in ASGI application" not in text.partition("order 9 failed")[2][:300]
