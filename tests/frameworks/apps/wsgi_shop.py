"""A shop without a framework, for WSGI servers."""

from __future__ import annotations

import logging
import logging.config
import os
import time
from typing import TYPE_CHECKING

import alerting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

if "DISABLE" in os.environ:  # the default of `disable_existing_loggers`, which is True
    logging.config.dictConfig(alerting.logging_config() | {"disable_existing_loggers": True})
elif "LOG_CONFIG" not in os.environ:
    logging.config.dictConfig(alerting.logging_config(level="DEBUG", context=20))
log = logging.getLogger("shop")


def app(
    environ: dict[str, object], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterator[bytes]:
    path = environ["PATH_INFO"]
    log.info("a request for %s", path)
    if path == "/fine":
        alerting.wait_for_handlers()
    if path == "/raw":
        raise LookupError("no such order")
    if path == "/socket":
        raise FileNotFoundError("no price list")
    if path == "/slow":
        time.sleep(60)
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first"
    if path == "/stream":
        raise ArithmeticError("stream broke")


if __name__ == "__main__":
    import waitress

    waitress.serve(app, listen=f"127.0.0.1:{os.environ['PORT']}")
