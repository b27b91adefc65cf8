"""Values of a stream, read in its event loop while a thread works on those before them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import aclosing, suppress
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar

from airflow_provider_neuro_buckets.hooks.loop import WAKES_EVERY, Call, LoopThread

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MOST_BYTES = 1024 * 1024
MOST_VALUES = 1000
_A_VALUE = MOST_BYTES // MOST_VALUES


class ClosableStream(Protocol[T_co]):
    """What can be read, and closed early."""

    def __aiter__(self) -> AsyncIterator[T_co]:
        """Return the iterator."""
        ...

    async def aclose(self) -> None:
        """Release what the stream holds."""
        ...


class ReadAhead(Generic[T]):
    """Iterates a stream of a loop from another thread.

    To wait for the loop costs as much as a hundred values do. So all that the loop has is handed over at once: as soon
    as the stream has to wait for its next value, and never later in order to hand over more. At most 1,000 values, or
    1 MiB of chunks and one chunk, are ahead of what the thread has in its hands, which are not more either.
    """

    def __init__(self, loop: LoopThread, stream: ClosableStream[T]) -> None:
        self._loop = loop
        self._stream = stream
        self._handed: SimpleQueue[tuple[list[T], int] | Future[None]] = SimpleQueue()
        self._pending: list[T] = []
        self._pending_bytes = 0
        self._handed_bytes = 0
        self._room = asyncio.Event()
        self._reading: Call[None] | None = loop.begin(self._read())
        self._reading.outcome.add_done_callback(self._handed.put)

    def __iter__(self) -> Iterator[T]:
        """Yield the values; what ended the stream is raised after those before it.

        :raises Cancelled: the loop was cancelled; nothing more is handed out.
        :raises RuntimeError: the loop was stopped; likewise.
        """
        while not isinstance(handed := self._next(), Future):
            values, size = handed
            self._loop.tell(self._took, size)
            for value in values:
                self._loop.check()
                yield value
        self._loop.check()
        try:
            handed.result()
        finally:
            del handed  # an error in it refers to this frame, which would refer back and keep both alive

    def _next(self) -> tuple[list[T], int] | Future[None]:
        """Wait for what is handed over next; awake as :func:`wait_for` says."""
        while True:
            with suppress(Empty):
                return self._handed.get(timeout=WAKES_EVERY)

    def close(self) -> None:
        """Close the stream, and wait until it is. An error that nobody has come to yet is dropped."""
        reading, self._reading = self._reading, None
        if reading is not None:
            self._loop.end(reading)

    # In the loop

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        async with aclosing(self._stream) as stream:
            try:
                async for value in stream:
                    if not self._pending:
                        loop.call_soon(self._hand_over)  # which happens once the stream waits
                    self._pending.append(value)
                    self._pending_bytes += len(value) if isinstance(value, bytes) else _A_VALUE
                    while self._pending_bytes + self._handed_bytes > MOST_BYTES - _A_VALUE:
                        self._hand_over()
                        self._room.clear()
                        await self._room.wait()
            finally:
                self._hand_over()

    def _hand_over(self) -> None:
        if self._pending:
            self._handed.put((self._pending, self._pending_bytes))
            self._handed_bytes += self._pending_bytes
            self._pending, self._pending_bytes = [], 0

    def _took(self, size: int) -> None:
        self._handed_bytes -= size
        self._room.set()
