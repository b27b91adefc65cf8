"""A wire with a meter: a proxy on loopback that hands bytes on as they are, and counts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from yarl import URL

_AT_ONCE = 64 * 1024


@dataclass(slots=True)
class Meter:
    """Bytes that have passed, headers included.

    :ivar url: the address in front of the endpoint.
    """

    url: str = ""
    sent: int = 0
    received: int = 0

    @property
    def total(self) -> int:
        return self.sent + self.received


@asynccontextmanager
async def metered(endpoint: str) -> AsyncIterator[Meter]:
    """Put a meter in front of an HTTP server."""
    behind = URL(endpoint)
    meter = Meter()
    open_now: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_sending: bool) -> None:
        try:
            while content := await reader.read(_AT_ONCE):
                if is_sending:
                    meter.sent += len(content)
                else:
                    meter.received += len(content)
                writer.write(content)
                await writer.drain()
        except ConnectionError:
            pass  # either side may leave
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(behind.host, behind.port)
            async with asyncio.TaskGroup() as group:
                group.create_task(pump(reader, back, is_sending=True))
                group.create_task(pump(there, writer, is_sending=False))
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        open_now.add(task)
        task.add_done_callback(open_now.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        meter.url = str(behind.with_port(port)).rstrip("/")
        try:
            yield meter
        finally:
            for task in open_now:
                task.cancel()
            await asyncio.gather(*open_now, return_exceptions=True)
            await asyncio.sleep(0)  # the loop lets go of what was closed
