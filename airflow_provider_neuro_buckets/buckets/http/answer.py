"""An answer: its head, and its body while it arrives."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

from airflow_provider_neuro_buckets.buckets.http.pouring import Basin

Chunk = bytes | memoryview

MOST_UNREAD = 256 * 1024
"""Bytes of a body that wait to be read, after which the other side has to wait as well."""
_MANY = 16
"""Pieces that wait to be read; more of them are joined, as each takes some memory."""


class Way(Protocol):
    """What an answer comes by."""

    @property
    def is_sending(self) -> bool:
        """Whether the request is still on its way, so that nobody need have an answer to it yet."""
        ...

    def drop(self, error: Exception | None = None) -> None:
        """End it at once; an answer that has not ended does so with the error."""
        ...

    def hold(self) -> None:
        """Take no more from the network."""
        ...

    @property
    def can_pour(self) -> bool:
        """Whether a thread may take the rest of the body from the network."""
        ...

    async def pour(self, arrived: Sequence[Chunk], basin: Basin) -> OSError | None:
        """Let it do so, after what has arrived; return what broke the connection, if something did."""
        ...

    def go_on(self) -> None:
        """Take from the network again."""
        ...


class Answer:
    """An answer to one request. Read by one task; filled by the connection that it comes by.

    :ivar status: 0 until the head has arrived.
    :ivar headers: their names are found in whatever case.
    """

    __slots__ = (
        "_chunks",
        "_error",
        "_is_held",
        "_is_over",
        "_silence",
        "_unread",
        "_waiter",
        "_way",
        "headers",
        "status",
    )

    def __init__(self, way: Way, silence: float | None) -> None:
        self._way = way
        self._silence = silence
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._chunks: deque[Chunk] = deque()
        self._unread = 0
        self._is_held = False
        self._is_over = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    # For who asked

    async def head(self) -> None:
        """Wait until status and headers are there.

        :raises TimeoutError: nothing arrives for too long.
        :raises ConnectionError: the connection breaks before.
        """
        while not self.status:
            self._raise()
            await self._arrival()

    async def read(self, most: int | None = None) -> Chunk:
        """Return what has arrived and was not read, or the next bytes that do; nothing at the end.

        :param most: so many bytes at once.
        :raises TimeoutError: nothing arrives for too long. Only time in which somebody waits here counts.
        :raises ConnectionError: the connection breaks; what came before is returned first.
        """
        while not self._chunks:
            self._raise()
            if self._is_over:
                return b""
            await self._arrival()
        if len(self._chunks) > _MANY:
            self._chunks = deque((b"".join(self._chunks),))
        chunk = self._chunks.popleft()
        if most is not None and len(chunk) > most:
            self._chunks.appendleft(memoryview(chunk)[most:])
            chunk = chunk[:most]
        self._unread -= len(chunk)
        if self._is_held and self._unread <= MOST_UNREAD:
            self._is_held = False
            if not self._is_over:
                self._way.go_on()
        return chunk

    @property
    def can_pour(self) -> bool:
        """Whether :meth:`pour` may be called: much is still to come, of known length, and not through TLS."""
        return not self._is_over and self._way.can_pour

    async def pour(self, basin: Basin) -> None:
        """Let a thread put the rest of the body into a basin; it reads the socket itself. Called once, at last.

        What breaks the connection is raised by the next :meth:`read`; what had come until then is in the basin. What
        the basin raises is raised here, and ends the connection. So does a cancellation, which waits for the thread.
        """
        arrived = tuple(self._chunks)
        self._chunks.clear()
        self._unread = 0
        failure = await self._way.pour(arrived, basin)
        if failure is not None and self._error is None:
            self._error = failure

    def end(self) -> None:
        """Have done with it: drop the connection if more is to come."""
        if not self._is_over:
            self._is_over = True
            self._way.drop()

    async def _arrival(self) -> None:
        """Wait until something arrives, or for too long."""
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        timer = None
        if self._silence is not None and not self._way.is_sending:
            timer = loop.call_later(self._silence, self._give_up)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _give_up(self) -> None:
        if self._waiter is not None and not self._waiter.done():  # else something has arrived in the same moment
            self._way.drop(TimeoutError())

    def _raise(self) -> None:
        """Raise what ended the answer, if it was an error: a new one each time, which keeps nothing alive."""
        if self._error is not None:
            raise type(self._error)(*self._error.args)

    # For the connection

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head."""
        self.status = status
        self.headers = headers

    def add(self, chunk: Chunk) -> None:
        """Take more of the body."""
        self._chunks.append(chunk)
        self._unread += len(chunk)
        if self._unread > MOST_UNREAD and not self._is_held:
            self._is_held = True
            self._way.hold()

    def finish(self, error: Exception | None = None) -> None:
        """Take note that nothing more comes: all has, or an error in its place."""
        if not self._is_over:
            self._is_over = True
            self._error = error
        self.look()

    def look(self) -> None:
        """Let the one who waits see what there is."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
