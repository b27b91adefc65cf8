"""A wire with a meter: a proxy on loopback that hands bytes on as they are, and counts them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from yarl import URL

_AT_ONCE = 64 * 1024


@dataclass(slots=True)
class Exchange:
    """The request of a connection that was sent last, and its answer.

    :ivar sent: bytes of the request so far.
    :ivar received: bytes of the answer so far.
    :ivar is_cut: whether whoever asked is not there any more.
    """

    sent: int = 0
    received: int = 0
    is_cut: bool = False

    def send(self, content: bytes) -> None:
        if self.received:
            self.sent = self.received = 0
        self.sent += len(content)

    def receive(self, content: bytes) -> None:
        self.received += len(content)


@dataclass(slots=True)
class Meter:
    """Bytes that have passed, headers included.

    :ivar url: the address in front of the endpoint.
    :ivar passed: told whenever something has.
    :ivar in_vain: bytes of the exchanges that were the last of their connections when `cut` was called. An answer is
        among them also when it is whole: its end may not have been read.
    :ivar is_idle: set while there is no connection.
    """

    url: str = ""
    sent: int = 0
    received: int = 0
    passed: Callable[[], None] | None = None
    in_vain: int = 0
    exchanges: list[Exchange] = field(default_factory=list)
    is_idle: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def total(self) -> int:
        return self.sent + self.received

    def send(self, exchange: Exchange, content: bytes) -> None:
        self.sent += len(content)
        exchange.send(content)
        if self.passed is not None:
            self.passed()

    def receive(self, exchange: Exchange, content: bytes) -> None:
        self.received += len(content)
        exchange.receive(content)
        if self.passed is not None:
            self.passed()

    @contextmanager
    def exchange(self) -> Iterator[Exchange]:
        """Count what passes on a connection."""
        exchange = Exchange()
        self.exchanges.append(exchange)
        self.is_idle.clear()
        try:
            yield exchange
        finally:
            self.exchanges.remove(exchange)
            self.in_vain += exchange.is_cut * max(exchange.sent, exchange.received)
            if not self.exchanges:
                self.is_idle.set()

    def cut(self) -> None:
        """Take note that whoever asks is gone, whatever the wire still holds."""
        for exchange in self.exchanges:
            exchange.is_cut = True


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[bytes], None]) -> None:
    try:
        while content := await reader.read(_AT_ONCE):
            count(content)
            writer.write(content)
            await writer.drain()
    except ConnectionError:
        pass  # either side may leave
    finally:
        writer.close()


@asynccontextmanager
async def metered(endpoint: str) -> AsyncIterator[Meter]:
    """Put a meter in front of an HTTP server."""
    behind = URL(endpoint)
    meter = Meter()
    open_now: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with meter.exchange() as exchange:
            try:
                there, back = await asyncio.open_connection(behind.host, behind.port)
                async with asyncio.TaskGroup() as group:
                    group.create_task(_pump(reader, back, lambda content: meter.send(exchange, content)))
                    group.create_task(_pump(there, writer, lambda content: meter.receive(exchange, content)))
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
