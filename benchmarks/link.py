"""A slow line: a TCP proxy on loopback that delivers everything later, in order, at full width.

`with Link(port, delay=0.04) as link:` connects `link.port` to `port`, and lets each byte arrive
40 ms after it was sent, each way. It runs in a process of its own, and takes no time from who uses
it. TCP's own handshake is with the proxy: it is not delayed.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from typing import IO, Self, cast


class Link:
    """A proxy process.

    Args:
        port: where the server listens, on 127.0.0.1.
        delay: seconds that a byte takes, each way.

    Attributes:
        port: where the proxy listens, on 127.0.0.1.
    """

    def __init__(self, port: int, *, delay: float) -> None:
        self._command = [sys.executable, __file__, str(port), str(delay)]
        self.port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = int(cast("IO[str]", self._process.stdout).readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Write what is read, each piece `delay` seconds later; the end of it too."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(due - loop.time())
            if not piece:
                break
            writer.write(piece)
            await writer.drain()

    delivery = asyncio.create_task(deliver())
    with contextlib.suppress(OSError):
        while piece := await reader.read(1 << 16):
            pieces.put_nowait((loop.time() + delay, piece))
    pieces.put_nowait((loop.time() + delay, b""))
    with contextlib.suppress(OSError):
        await delivery
    writer.close()


async def _main(port: int, delay: float) -> None:
    async def connected(near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_carry(near, to_far, delay), _carry(far, to_near, delay))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # It ends with who started it: their end of standard input closes.
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), float(sys.argv[2])))
