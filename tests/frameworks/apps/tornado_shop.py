"""A shop on Tornado."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import os
from typing import NoReturn

import alerting
from tornado import ioloop, web, websocket

log = logging.getLogger("shop")
both = asyncio.Barrier(2)


class Order(web.RequestHandler):
    async def get(self, number: str) -> NoReturn:
        log.info("order %s", number)
        raise LookupError("order")


class Sync(web.RequestHandler):
    def get(self, number: str) -> NoReturn:
        log.info("sync order %s", number)
        raise KeyError("sync order")


class Logged(web.RequestHandler):
    def get(self, number: str) -> NoReturn:
        try:
            raise ValueError("no such order")
        except ValueError:
            log.exception("order %s failed", number)
            raise


class Group(web.RequestHandler):
    def get(self) -> NoReturn:
        raise ExceptionGroup("several", [OSError("disk full"), TimeoutError("slow")])


class Told(web.RequestHandler):
    async def get(self, number: str) -> None:
        log.info("told order %s", number)
        log.error("an order without a price")
        self.write("done")


class Noted(web.RequestHandler):
    async def get(self, number: str) -> None:
        log.info("noted order %s", number)
        self.write("done")


class ToldAndAnswered(web.RequestHandler):
    """Log an error, and answer with one: the line about the answer adds nothing."""

    async def get(self, number: str) -> None:
        log.error("no price from the supplier")
        self.send_error(502, reason=number)


class Answered(web.RequestHandler):
    """Answer with an error, without an exception that is logged."""

    def get(self, number: str) -> None:
        log.info("answered order %s", number)
        self.send_error(503)


class Stream(web.RequestHandler):
    async def get(self) -> NoReturn:
        self.write("first\n")
        await self.flush()
        raise ZeroDivisionError("second line")


class Callback(web.RequestHandler):
    """Start a callback that fails after the answer."""

    def get(self) -> None:
        async def later() -> None:
            raise RuntimeError("no invoice")

        ioloop.IOLoop.current().add_callback(later)
        self.write("accepted")


class Socket(websocket.WebSocketHandler):
    def on_message(self, message: str | bytes) -> NoReturn:
        log.info("socket order %r", message)
        raise PermissionError("socket order")


class Meet(web.RequestHandler):
    async def get(self, name: str) -> NoReturn:
        for step in range(3):
            await both.wait()
            log.info("step %d of %s", step, name)
        await both.wait()
        raise (BlockingIOError if name == "ada" else InterruptedError)(name)


async def main() -> None:
    app = web.Application(
        [
            (r"/order/(\d+)", Order),
            (r"/sync/(\d+)", Sync),
            (r"/logged/(\d+)", Logged),
            (r"/group", Group),
            (r"/told/(\d+)", Told),
            (r"/noted/(\d+)", Noted),
            (r"/told-and-answered/(\d+)", ToldAndAnswered),
            (r"/answered/(\d+)", Answered),
            (r"/stream", Stream),
            (r"/callback", Callback),
            (r"/socket/(\d+)", Socket),
            (r"/meet/(\w+)", Meet),
        ]
    )
    app.listen(int(os.environ["PORT"]), "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.config.dictConfig(alerting.logging_config(level="DEBUG", context=20))
    asyncio.run(main())
