"""How much may be in flight at once: requests and bytes, for all transfers of one client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Window:
    """Bounds the requests and the bytes of blobs in memory. First come, first served; slots always come back.

    :param max_concurrency: requests at once.
    :param max_buffer_bytes: bytes at once; something larger passes alone.
    """

    def __init__(self, *, max_concurrency: int, max_buffer_bytes: int) -> None:
        self.max_concurrency = max_concurrency
        self._all_bytes = max_buffer_bytes
        self._free_requests = max_concurrency
        self._free_bytes = max_buffer_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._spare: list[bytearray] = []

    @asynccontextmanager
    async def slot(self, size: int) -> AsyncIterator[None]:
        """Hold one request and `size` bytes."""
        size = min(size, self._all_bytes)
        await self._take(size)
        try:
            self._drop_spare()
            yield
        finally:
            self._give_back(size)

    @asynccontextmanager
    async def buffer(self, size: int) -> AsyncIterator[bytearray]:
        """Hold one request and a buffer of `size` bytes, which holds anything: it goes from one holder to the next.

        What a failed request was sent from is not used again: a connection that is being closed may still send it.
        """
        held = min(size, self._all_bytes)
        await self._take(held)
        try:
            buffer = self._spare_of(size)
            if buffer is None:
                self._drop_spare()
                buffer = bytearray(size)
            yield buffer
            self._spare.append(buffer)
        finally:
            self._give_back(held)

    def _spare_of(self, size: int) -> bytearray | None:
        place = next((place for place, spare in enumerate(self._spare) if len(spare) == size), None)
        return None if place is None else self._spare.pop(place)

    def _drop_spare(self) -> None:
        """See to it that buffers without a holder take no more memory than is free."""
        while self._spare and sum(map(len, self._spare)) > self._free_bytes:
            self._spare.pop()

    async def _take(self, size: int) -> None:
        if not self._waiting and self._fits(size):
            self._grant(size)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(size)
            else:
                self._admit()  # those behind may fit where this one did not
            raise

    def _fits(self, size: int) -> bool:
        return self._free_requests > 0 and self._free_bytes >= size

    def _grant(self, size: int) -> None:
        self._free_requests -= 1
        self._free_bytes -= size

    def _give_back(self, size: int) -> None:
        self._free_requests += 1
        self._free_bytes += size
        if self._free_requests == self.max_concurrency:
            self._spare.clear()  # a client that does nothing holds nothing
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if not self._fits(size):
                    return
                self._grant(size)
                turn.set_result(None)
            self._waiting.popleft()
