"""How much may be in flight at once: requests and bytes, for all transfers of one client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager


class Meter:
    """So much of something, lent out. First come, first served; what was lent always comes back."""

    def __init__(self, whole: int) -> None:
        self.whole = whole
        self.free = whole
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, amount: int) -> None:
        """Wait until so much is free, and take it."""
        if not self._waiting and self.free >= amount:
            self.free -= amount
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(amount)
            else:
                self._admit()  # those behind may fit where this one did not
            raise

    def give_back(self, amount: int) -> None:
        """Let others have it."""
        self.free += amount
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            amount, turn = self._waiting[0]
            if not turn.done():
                if self.free < amount:
                    return
                self.free -= amount
                turn.set_result(None)
            self._waiting.popleft()


class _Lent:
    """So much of something, for the time of a block. A class and no generator: each small file needs two of them."""

    __slots__ = ("_amount", "_give_back", "_take")

    def __init__(self, amount: int, take: Callable[[int], Awaitable[None]], give_back: Callable[[int], None]) -> None:
        self._amount = amount
        self._take = take
        self._give_back = give_back

    async def __aenter__(self) -> None:
        await self._take(self._amount)

    async def __aexit__(self, *_: object) -> None:
        self._give_back(self._amount)


class Window:
    """Bounds the requests and the bytes of blobs in memory.

    Bytes are taken before the request that fills or sends them, by everybody, so nobody waits for ever.

    :param max_concurrency: requests at once.
    :param max_buffer_bytes: bytes at once; something larger passes alone.
    :ivar most_files: small files at once: while some wait for the disk, others have all the requests.
    """

    def __init__(self, *, max_concurrency: int, max_buffer_bytes: int) -> None:
        self.max_concurrency = max_concurrency
        self.most_files = max_concurrency + max_concurrency // 2
        self._requests = Meter(max_concurrency)
        self._bytes = Meter(max_buffer_bytes)
        self._request = _Lent(1, self._requests.take, self._requests.give_back)
        self._spare: list[bytearray] = []

    def request(self) -> AbstractAsyncContextManager[None]:
        """Hold one request."""
        return self._request  # it holds nothing itself: one serves all

    def room(self, size: int) -> AbstractAsyncContextManager[None]:
        """Hold `size` bytes: also while what was received is written, and the next request is on its way."""
        return _Lent(min(size, self._bytes.whole), self._take, self._give_back)

    async def _take(self, size: int) -> None:
        await self._bytes.take(size)
        self._drop_spare()

    @asynccontextmanager
    async def slot(self, size: int) -> AsyncIterator[None]:
        """Hold one request and `size` bytes."""
        async with self.room(size), self.request():
            yield

    @asynccontextmanager
    async def buffer(self, size: int) -> AsyncIterator[bytearray]:
        """Hold one request and a buffer of `size` bytes, which holds anything: it goes from one holder to the next.

        What a failed request was sent from is not used again: a connection that is being closed may still send it.
        """
        held = min(size, self._bytes.whole)
        await self._bytes.take(held)
        try:
            buffer = self._spare_of(size)
            if buffer is None:
                self._drop_spare()
                buffer = bytearray(size)
            async with self.request():
                yield buffer
            self._spare.append(buffer)
        finally:
            self._give_back(held)

    def _spare_of(self, size: int) -> bytearray | None:
        place = next((place for place, spare in enumerate(self._spare) if len(spare) == size), None)
        return None if place is None else self._spare.pop(place)

    def _drop_spare(self) -> None:
        """See to it that buffers without a holder take no more memory than is free."""
        while self._spare and sum(map(len, self._spare)) > self._bytes.free:
            self._spare.pop()

    def _give_back(self, size: int) -> None:
        self._bytes.give_back(size)
        if self._bytes.free == self._bytes.whole:
            self._spare.clear()  # a client that does nothing holds nothing
