"""A server on loopback that says the bytes it is told, whatever they are, and a client that asks it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from airflow_provider_neuro_buckets.buckets.http.answer import Answer
from airflow_provider_neuro_buckets.buckets.http.pool import Connections
from airflow_provider_neuro_buckets.buckets.http.sending import Bytes, Outgoing
from jumping import JumpingLoop

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HANGS_SECONDS = 60.0
"""A test that takes longer hangs; on a clock that jumps, one that takes a day."""
_DAY = 24 * 3600.0
OF_MACHINES = (
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fd00:ec2::254]/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
)
"""Where machines in clouds find their own credentials, in several notations: no client may ask there."""


class Wire:
    """One connection, as the server has it.

    :ivar number: from 0, in the order in which they came.
    """

    def __init__(
        self, server: ScriptedServer, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.number = number
        self.reader = reader
        self.writer = writer
        self.is_gone = asyncio.Event()

    async def asked(self) -> bytes:
        """Take the next request line and headers; not its body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.server.asked.append((self.number, head))
        self.server.arrivals.put_nowait(self)
        return head

    async def say(self, *pieces: bytes) -> None:
        """Send pieces, each by itself."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def gone(self) -> None:
        """Wait until the client has left."""
        while await self.reader.read(1024 * 1024):
            pass

    def reset(self) -> None:
        """End the connection with an error."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Script = Callable[[Wire], Awaitable[None]]
Trust = tuple[ssl.SSLContext | None, str]
"""What a server speaks, and the path of the bundle that its client trusts; neither without TLS."""


class ScriptedServer:
    """A running server.

    :ivar wires: all connections so far.
    :ivar asked: all requests so far: the number of the connection, and the head.
    :ivar arrivals: the connection of each request.
    :ivar is_over: for scripts that wait until a test says so.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self.url = ""
        self.wires: list[Wire] = []
        self.asked: list[tuple[int, bytes]] = []
        self.arrivals: asyncio.Queue[Wire] = asyncio.Queue()
        self.is_over = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def numbers(self) -> list[int]:
        """The connection of each request."""
        return [number for number, _ in self.asked]

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(self, len(self.wires), reader, writer)
        self.wires.append(wire)
        self.tasks.add(asyncio.ensure_future(self._serve(wire)))

    async def _serve(self, wire: Wire) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await self._script(wire)
                await wire.writer.drain()
        finally:
            wire.is_gone.set()
            wire.writer.close()


@asynccontextmanager
async def scripted(
    script: Script, *, tls: ssl.SSLContext | None = None, narrow: bool = False
) -> AsyncIterator[ScriptedServer]:
    """Run a server that has `script` with each of its connections, and closes it then.

    :param narrow: between it and its client is room for little of what neither has read.
    """
    server = ScriptedServer(script)
    sock = socket.create_server(("127.0.0.1", 0))
    if narrow:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    listening = await asyncio.start_server(
        server.connected, sock=sock, limit=1024 if narrow else 64 * 1024, ssl=tls, backlog=512
    )
    port = sock.getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        listening.close()
        for task in server.tasks:
            task.cancel()
        if server.tasks:
            await asyncio.wait(server.tasks)
        for wire in server.wires:
            wire.writer.transport.abort()
        failed = [task.exception() for task in server.tasks if not task.cancelled()]
    assert not [error for error in failed if error], "the script is wrong"


@asynccontextmanager
async def opened(*, silence: float | None = None, tls: ssl.SSLContext | None = None) -> AsyncIterator[Connections]:
    """Open a client."""
    is_jumping = isinstance(asyncio.get_running_loop(), JumpingLoop)
    async with asyncio.timeout(_DAY if is_jumping else HANGS_SECONDS):
        connections = Connections(silence=silence, tls=tls)
        try:
            yield connections
        finally:
            await connections.close()


@asynccontextmanager
async def talk(
    script: Script, *, silence: float | None = None, tls: Trust = (None, ""), narrow: bool = False
) -> AsyncIterator[tuple[ScriptedServer, Connections]]:
    """Run a server and open a client of it."""
    context, bundle = tls
    trust = ssl.create_default_context(cafile=bundle) if bundle else None
    async with scripted(script, tls=context, narrow=narrow) as server, opened(silence=silence, tls=trust) as http:
        yield server, http


async def ask(
    http: Connections,
    url: str,
    method: str = "GET",
    *,
    headers: Mapping[str, str] | None = None,
    body: Bytes | Sequence[Bytes] | None = None,
) -> Answer:
    return await http.request(method, url, headers=headers or {}, body=Outgoing.of(body))


async def rest_of(answer: Answer, most: int | None = None) -> bytes:
    """Read a body to its end."""
    content = bytearray()
    while chunk := await answer.read(most):
        content += chunk
    return bytes(content)


async def whole(http: Connections, url: str, method: str = "GET") -> bytes:
    """Ask, and return the body of the answer."""
    answer = await ask(http, url, method)
    try:
        return await rest_of(answer)
    finally:
        answer.end()


def cut(content: bytes, size: int) -> list[bytes]:
    """Return bytes in pieces of a size."""
    return [content[at : at + size] for at in range(0, len(content), size)]


def saying(*answers: bytes | Sequence[bytes]) -> Script:
    """Answer each request of a server with the next of the answers, for ever with the last, and keep the connection.

    An answer in several pieces is sent piece by piece.
    """
    left = list(answers)

    async def script(wire: Wire) -> None:
        while True:
            await wire.asked()
            answer = left.pop(0) if len(left) > 1 else left[0]
            await wire.say(*([answer] if isinstance(answer, bytes) else answer))

    return script


def ending(*pieces: bytes) -> Script:
    """Answer one request, and close the connection."""

    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(*pieces)

    return script


def staying(*pieces: bytes) -> Script:
    """Answer one request, and say no more until the client has gone."""

    async def script(wire: Wire) -> None:
        await wire.asked()
        await wire.say(*pieces)
        await wire.gone()

    return script


def first(script: Script) -> Script:
    """Have a script with the first connection, and answer all requests of others."""

    async def choose(wire: Wire) -> None:
        await (saying(OK) if wire.number else script)(wire)

    return choose


async def goes_on(server: ScriptedServer, http: Connections) -> None:
    """Check that the first connection has ended, and that the next request has one of its own."""
    await server.wires[0].is_gone.wait()
    assert await whole(http, server.url) == b"ok"
    assert server.numbers == [0, 1]
