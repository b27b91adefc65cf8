"""The body of a request on its way into the network: in slices, and given up once the other side takes no more."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from airflow_provider_neuro_buckets.buckets.pace import Pace

Bytes = bytes | bytearray | memoryview

WRITE_AT_ONCE = 256 * 1024
_UNSENT = 512 * 1024
"""What the system may hold of a body and not have sent. By default it is megabytes: at the end of a slow upload they
take longer than a silence may last, since the answer is waited for as soon as the system has taken everything."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Bytes already in memory, of one buffer or of several that follow each other.

    :ivar size: of all of them, in bytes.
    """

    pieces: Sequence[memoryview]
    size: int

    @classmethod
    def of(cls, body: Bytes | Sequence[Bytes] | None) -> Outgoing:
        """Return the body of a request."""
        if body is None:
            return _NOTHING
        if isinstance(body, bytes | bytearray | memoryview):
            body = (body,)
        pieces = tuple(memoryview(piece).cast("B") for piece in body)
        return cls(pieces, sum(piece.nbytes for piece in pieces))

    @property
    def is_small(self) -> bool:
        """Whether it is handed to the system as a whole, and stalls nobody."""
        return self.size <= WRITE_AT_ONCE


_NOTHING = Outgoing((), 0)


class Sink(Protocol):
    """Who knows when more bytes may go."""

    async def drain(self) -> None:
        """Wait until more is taken."""
        ...


async def send(
    sink: Sink,
    transport: asyncio.Transport,
    body: Outgoing,
    *,
    silence: float | None = None,
    pace: Pace | None = None,
) -> None:
    """Hand a body to the system in slices, so that a large one does not stall the event loop.

    :param silence: seconds without a byte that arrives after which this ends with a :class:`TimeoutError`; what arrives
        slowly goes on.
    :param pace: limits the bytes per second; its waits are no silence.
    :raises TimeoutError: the other side takes no more of them.
    :raises ConnectionError: the connection has ended.
    """
    way = _Way(transport)
    step = WRITE_AT_ONCE if pace is None else pace.slice_bytes
    async with _unless_stuck(way, silence, arrived=0 if pace is None else None):
        for piece in body.pieces:
            for at in range(0, piece.nbytes, step):
                part = piece[at : at + step]
                if pace is not None:
                    await pace.bytes(part.nbytes)
                way.handed += part.nbytes
                transport.write(part)
                await sink.drain()


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


class _Watch:
    """Ends whatever waits below a limit once nothing has arrived for so many seconds, of what was handed over.

    A class and no function within another: such a one would keep itself alive, and the body.
    """

    def __init__(self, way: _Way, silence: float, limit: asyncio.Timeout) -> None:
        self._way = way
        self._silence = silence
        self._limit = limit
        self._timer: asyncio.TimerHandle

    def begin(self, arrived: int | None) -> None:
        """Look again after a silence.

        :param arrived: bytes so far; `None` while none are on their way.
        """
        self._timer = asyncio.get_running_loop().call_later(self._silence, self._look, arrived)

    def end(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self, before: int | None) -> None:
        arrived = self._way.arrived()
        if before is not None and arrived <= before:
            self._limit.reschedule(asyncio.get_running_loop().time())
        else:
            self.begin(arrived if arrived < self._way.handed else None)


@asynccontextmanager
async def _unless_stuck(way: _Way, silence: float | None, *, arrived: int | None) -> AsyncIterator[None]:
    """End a block with a :class:`TimeoutError` once nothing arrives; `silence` and `arrived` are those of the watch."""
    if silence is None:
        yield
        return
    async with asyncio.timeout(None) as limit:
        watch = _Watch(way, silence, limit)
        watch.begin(arrived)
        try:
            yield
        finally:
            watch.end()
