"""The body of a request on its way into the network: in slices, and given up once the other side takes no more."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import payload
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from airflow_provider_neuro_buckets.buckets.pace import Pace
from airflow_provider_neuro_buckets.buckets.stores.base import Bytes

WRITE_AT_ONCE = 256 * 1024
_UNSENT = 512 * 1024
"""What the system may hold of a body and not have sent. By default it is megabytes: at the end of a slow upload they
take longer than a silence may last, since the answer is waited for as soon as the system has taken everything."""


class BufferPayload(payload.Payload):
    """Bytes already in memory, handed to the socket in slices so that a large one does not stall the event loop.

    :param silence: seconds without a byte that arrives after which writing ends with a :class:`TimeoutError`; what
        arrives slowly goes on. aiohttp itself limits only how long an answer may take.
    :param pace: limits the bytes per second; its waits are no silence.
    """

    _value: tuple[memoryview, ...]

    def __init__(
        self, body: Bytes | tuple[Bytes, ...], *, silence: float | None = None, pace: Pace | None = None
    ) -> None:
        pieces = tuple(memoryview(piece) for piece in (body if isinstance(body, tuple) else (body,)))
        size = sum(piece.nbytes for piece in pieces)
        if len(pieces) > 1 and size <= WRITE_AT_ONCE:
            pieces = (memoryview(b"".join(pieces)),)  # one small packet, not several
        super().__init__(pieces, headers={}, content_type="application/octet-stream")
        self._size = size
        self._silence = silence
        self._pace = pace

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return the bytes as text, as aiohttp asks of a payload."""
        return b"".join(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all bytes.

        :raises TimeoutError: the other side takes no more of them.
        """
        transport = writer.transport if isinstance(writer, StreamWriter) else None
        if transport is None or self._size is None or self._size <= _UNSENT:
            await self._write(writer, None)
            return
        way = _Way(transport)
        try:
            async with _unless_stuck(way, self._silence, arrived=0 if self._pace is None else None):
                await self._write(writer, way)
        except TimeoutError:
            transport.abort()  # it would wait for the rest to be taken
            raise

    async def _write(self, writer: AbstractStreamWriter, way: _Way | None) -> None:
        step = WRITE_AT_ONCE if self._pace is None else self._pace.slice_bytes
        for piece in self._value:
            for at in range(0, piece.nbytes, step):
                part = piece[at : at + step]
                if self._pace is not None:
                    await self._pace.bytes(part.nbytes)
                if way is not None:
                    way.handed += part.nbytes
                await writer.write(part)


class _Way:
    """How far the bytes of a body have come.

    :ivar handed: bytes that were handed to the transport so far.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._socket: socket.socket | None = transport.get_extra_info("socket")
        self.handed = 0
        if self._socket is not None and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            with suppress(OSError):  # not every system knows it
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)

    def arrived(self) -> int:
        """Return how many bytes the other side has confirmed; where the system does not tell, those it has taken."""
        waiting = 0
        if self._socket is not None:
            with suppress(OSError):
                waiting = struct.unpack("i", fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
        return self.handed - self._transport.get_write_buffer_size() - waiting


@asynccontextmanager
async def _unless_stuck(way: _Way, silence: float | None, *, arrived: int | None) -> AsyncIterator[None]:
    """End a block with a :class:`TimeoutError` once nothing has arrived for so many seconds, of what was handed over.

    :param arrived: bytes so far; `None` while none are on their way.
    """
    if silence is None:
        yield
        return
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:

        def look(before: int | None) -> None:
            arrived = way.arrived()
            if before is not None and arrived <= before:
                limit.reschedule(loop.time())
            else:
                looks.append(loop.call_later(silence, look, arrived if arrived < way.handed else None))

        looks = deque([loop.call_later(silence, look, arrived)], maxlen=1)
        try:
            yield
        finally:
            looks[0].cancel()
