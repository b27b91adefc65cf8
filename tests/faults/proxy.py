"""A proxy on loopback between a client and a server, storage or control plane, in which things go wrong as told.

What goes wrong is a plan: a function from a request to a fault (`toxics`), or to `None` for a request that passes.
The client is given the address of the proxy; its ``Host``, which is signed, is handed on as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import re
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace

from yarl import URL

from faults.messages import Body, Head, answer_body, encoded, read_head, request_body, whole
from faults.toxics import Cut, End, Fault

ALWAYS = math.inf
_LARGEST_HEAD = 64 * 1024
_BUFFER = 64 * 1024
"""What the proxy takes ahead of what it hands on: hardly anything, so that slow is slow for the client too."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_NO_FAULT = Fault()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as it came, and what was done to it.

    :ivar number: of all requests of this proxy, from 1.
    :ivar connection: the number of the connection on which it came, from 1.
    """

    number: int
    connection: int
    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    fault: Fault | None = None


Plan = Callable[[Seen], Fault | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Which requests meet a fault.

    :ivar method: regular expression for the whole method; empty for any.
    :ivar target: regular expression looked for in path and query; empty for any.
    :ivar skip: how many of these requests pass first.
    :ivar times: how many then fail, or `ALWAYS`.
    :ivar every: only each so-manieth of them fails, the first one included.
    """

    fault: Fault
    method: str = ""
    target: str = ""
    skip: int = 0
    times: float = 1
    every: int = 1

    def fits(self, seen: Seen) -> bool:
        return bool(re.fullmatch(self.method or ".*", seen.method) and re.search(self.target, seen.target))

    def strikes(self, place: int) -> bool:
        """Whether the request at a place among those that fit, from 0, meets the fault."""
        turn, rest = divmod(place - self.skip, self.every)
        return 0 <= turn < self.times and rest == 0


def script(*rules: Rule) -> Plan:
    """Make a plan of rules; the first one that strikes counts."""
    places = [0] * len(rules)

    def choose(seen: Seen) -> Fault | None:
        for index, rule in enumerate(rules):
            if rule.fits(seen):
                places[index] += 1
                if rule.strikes(places[index] - 1):
                    return rule.fault
        return None

    return choose


def chaos(choose: Callable[[Seen, random.Random], Fault | None], *, seed: int, rate: float) -> Plan:
    """Make a plan in which each request meets a fault with a probability; `choose` says which."""
    chance = random.Random(seed)
    return lambda seen: choose(seen, chance) if chance.random() < rate else None


class FaultProxy:
    """A running proxy.

    :ivar url: its address, with the path of the server's.
    :ivar plan: may be replaced at any time; counts from the next request.
    :ivar seen: all requests so far, in order.
    :ivar unheard: the requests whose answer did not reach the client as a whole, or did not come.
    :ivar most_open: requests that were open at the same time.
    :ivar renamed: texts to replace in JSON answers: so the addresses in them lead through other proxies.
    """

    def __init__(self, behind: str, plan: Plan, tls: ssl.SSLContext | None) -> None:
        self._behind = URL(behind)
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._requests = 0
        self.most_open = 0
        self.connections = 0
        self.url = ""
        self.plan = plan
        self.seen: list[Seen] = []
        self.unheard: list[Seen] = []
        self.renamed: dict[str, str] = {}

    @property
    def struck(self) -> list[Seen]:
        """The requests that met a fault."""
        return [seen for seen in self.seen if seen.fault is not None]

    def asked(self, method: str, target: str = "") -> list[Seen]:
        """Return the requests of a method whose path and query match."""
        return [seen for seen in self.seen if seen.method == method and re.search(target, seen.target)]

    async def listen(self) -> None:
        """Take connections, on the same port as ever."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        listener.bind(("127.0.0.1", URL(self.url).port if self.url else 0))
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=_LARGEST_HEAD, ssl=self._tls)
        scheme = "https" if self._tls else "http"
        self.url = str(self._behind.with_scheme(scheme).with_port(self._server.sockets[0].getsockname()[1])).rstrip("/")

    async def refuse(self) -> None:
        """Break all connections and take no new ones: the port is closed, until `listen`."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await asyncio.sleep(0)  # the loop lets go of what was closed

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(_Connection(reader, writer), self.connections))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, client: _Connection, number: int) -> None:
        server: _Connection | None = None
        try:
            while (head := await read_head(client.reader)) is not None:
                if server is not None and server.reader.at_eof():
                    server.close()
                    server = None
                server = server or await _Connection.open(self._behind)
                self._requests += 1
                self.most_open = max(self.most_open, self._requests)
                seen = self._note(head, number)
                is_heard = False
                try:
                    is_last = not await self._exchange(head, seen.fault or _NO_FAULT, client, server)
                    is_heard = is_last or not client.reader.at_eof()
                finally:
                    self._requests -= 1
                    if not is_heard:
                        self.unheard.append(seen)
                if is_last:
                    break
        except Cut as cut:
            await client.end(cut.end)
        except (ConnectionError, asyncio.LimitOverrunError):
            client.reset()  # either side left in the middle
        finally:
            client.close()
            if server is not None:
                server.close()

    async def _exchange(self, head: Head, fault: Fault, client: _Connection, server: _Connection) -> bool:
        """Hand on a request and its answer; return whether another may follow on the same connections."""
        body = request_body(head, client.reader)
        if (instead := fault.instead()) is not None:
            is_early = instead[0].is_last
            if not is_early:
                await _drain(body)
            await client.write(fault.wire(encoded(*instead, method=head.method)))
            if is_early:
                await client.end_of_writing()
                await _drain(body)
            return not is_early
        asked, content = fault.ask(head.having(expect=None), body)
        if head.get("Expect"):
            await client.write(whole(b"HTTP/1.1 100 Continue\r\n\r\n"))
        sending = asyncio.create_task(server.write_or_drain(fault.way(encoded(asked, content))))
        answering = asyncio.create_task(self._hand_back(head, fault, client, server))
        try:
            await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_EXCEPTION)
            for task in (sending, answering):
                if task.done():
                    task.result()
            return answering.result() and not head.is_last
        finally:
            for task in (sending, answering):
                task.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)

    async def _hand_back(self, asked: Head, fault: Fault, client: _Connection, server: _Connection) -> bool:
        head = await read_head(server.reader)
        while head is not None and head.status.startswith("1"):
            head = await read_head(server.reader)
        if head is None:
            raise ConnectionError("the server left")
        body = answer_body(asked.method, head, server.reader)
        if self.renamed and "json" in head.get("Content-Type"):
            head, body = await self._rename(head, body)
        shown, content = fault.answer(head, body, method=asked.method)
        await client.write(fault.wire(encoded(shown, content, method=asked.method)))
        await _drain(body)  # what the fault left out
        has_end = bool(shown.get("Content-Length") or shown.is_chunked or asked.method == "HEAD")
        return (has_end or shown.status in {"204", "304"}) and not (shown.is_last or head.is_last)

    async def _rename(self, head: Head, body: Body) -> tuple[Head, Body]:
        text = b"".join([piece async for piece in body])
        for old, new in self.renamed.items():
            text = text.replace(old.encode(), new.encode())
        return head.having(content_length=str(len(text)), transfer_encoding=None), whole(text)

    def _note(self, head: Head, connection: int) -> Seen:
        seen = Seen(
            number=len(self.seen) + 1,
            connection=connection,
            method=head.method,
            target=head.target,
            headers=dict(head.headers),
        )
        seen = replace(seen, fault=self.plan(seen))
        self.seen.append(seen)
        return seen


class _Connection:
    """Both directions of a TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=0)  # what was drained is on the wire

    @classmethod
    async def open(cls, address: URL) -> _Connection:
        return cls(*await asyncio.open_connection(address.host, address.port, limit=_LARGEST_HEAD))

    async def write(self, pieces: Body) -> None:
        async for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    async def write_or_drain(self, pieces: Body) -> None:
        """Write; once the other side takes no more, read on only: it may have answered early."""
        async for piece in pieces:
            try:
                self._writer.write(piece)
                await self._writer.drain()
            except ConnectionError:
                await _drain(pieces)

    async def end_of_writing(self) -> None:
        if self._writer.can_write_eof():
            self._writer.write_eof()

    async def end(self, end: End) -> None:
        if end is End.RESET:
            self.reset()
        elif end is End.SILENCE:
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(_LARGEST_HEAD):
                    pass  # until the client leaves

    def reset(self) -> None:
        found: socket.socket | None = self._writer.get_extra_info("socket")
        if found is not None and found.fileno() >= 0:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()


async def _drain(pieces: Body) -> None:
    async for _ in pieces:
        pass


@asynccontextmanager
async def fault_proxy(behind: str, *rules: Rule, tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultProxy]:
    """Run a proxy before the HTTP server at `behind`; `FaultProxy.plan` takes plans other than rules."""
    proxy = FaultProxy(behind, script(*rules), tls)
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.refuse()


@contextmanager
def fault_proxy_in_thread(behind: str, *rules: Rule) -> Iterator[FaultProxy]:
    """Run a proxy in a thread of its own, for code that blocks."""
    ready = threading.Event()
    made: list[FaultProxy] = []
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def run() -> None:
        try:
            async with fault_proxy(behind, *rules) as proxy:
                made.append(proxy)
                ready.set()
                await over.wait()
        finally:
            ready.set()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        thread = threading.Thread(target=runner.run, args=(run(),), name="fault-proxy")
        thread.start()
        ready.wait()
        try:
            yield made[0]
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join()
