"""Blocking work in threads that are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import copy_context
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a thread, to its end however often it is cancelled: no thread outlives what it works on."""
    return await _result(_started(work))


class Behind:
    """Blocking work that runs in a thread while the next is made ready: one thread, one piece of work at a time.

    On exit all of it has ended, however often that was cancelled.
    """

    def __init__(self) -> None:
        self._running: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._end()
        elif self._running is not None:
            await ended(self._running)  # the first failure is told, this would be the second

    async def do(self, work: Callable[[], None]) -> None:
        """Begin work once what was begun before has ended; what that raised is raised here."""
        await self._end()
        self._running = _started(work)

    async def _end(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await _result(running)


@asynccontextmanager
async def made_in_thread(make: Callable[[], T], close: Callable[[T], None]) -> AsyncIterator[T]:
    """Make something in a thread, and close it at the end, also when the making was cancelled.

    :param close: must be quick: it runs in the event loop.
    """
    running = _started(make)
    try:
        made = await asyncio.shield(running)
    except asyncio.CancelledError:
        await ended(running)
        if not running.cancelled() and running.exception() is None:
            close(running.result())
        raise
    try:
        yield made
    finally:
        close(made)


def _started(work: Callable[[], T]) -> asyncio.Future[T]:
    """Begin work as `asyncio.to_thread` does, without a task for it."""
    return asyncio.get_running_loop().run_in_executor(None, copy_context().run, work)


async def _result(running: asyncio.Future[T]) -> T:
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await ended(running)
        raise


async def ended(running: asyncio.Future[T]) -> None:
    """Wait for the end of work, however often that is cancelled: the caller is told once, by what it raises.

    What the work raised is not complained of, whoever asks for it or does not.
    """
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            continue
    if not running.cancelled():
        running.exception()
