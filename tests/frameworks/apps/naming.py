"""Write the name that an alert handler gives itself, when a module is imported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tocsin import AlertHandler


def note() -> None:
    """Write the name as a line of a file in the working folder."""
    handler = AlertHandler(
        to="oncall@example.com", from_addr="alerts@example.com", email={"handler": "test"}
    )
    found = re.match(r"<AlertHandler (\S+) ", repr(handler))
    handler.close()
    assert found is not None
    with Path("names.txt").open("a", encoding="utf-8") as file:
        file.write(f"{found[1]}\n")


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200 by ASGI."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"fine"})


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    """Answer 200 by WSGI."""
    start_response("200 OK", [])
    return [b"fine"]
