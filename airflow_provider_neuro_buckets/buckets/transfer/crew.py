"""Workers that share a queue: how a folder transfer keeps many files in flight with one task for each slot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

AHEAD = 10_000
"""How many small items the source may run ahead of the workers, so that totals are known early."""


async def work_off(source: AsyncIterator[T], work: Callable[[T], Awaitable[None]], *, workers: int) -> None:
    """Await `work(item)` for each item of `source`, many at once; the first exception cancels the rest."""
    queue: asyncio.Queue[T | None] = asyncio.Queue(AHEAD)

    async def produce() -> None:
        async for item in source:
            await queue.put(item)
        for _ in range(workers):
            await queue.put(None)

    async def consume() -> None:
        while (item := await queue.get()) is not None:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(produce())
            for _ in range(workers):
                group.create_task(consume())
    except* Exception as errors:  # noqa: BLE001 - unwrapped, not handled: the caller sees the first one as it was
        raise first_of(errors) from None


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception in a group of groups."""
    first = errors.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a thread, to its end also when cancelled: what it makes can then be cleaned up."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


class Folders:
    """Counts what is under way in each folder, to tell when it is done.

    :param leave: told of each folder once, after everything below it.
    """

    def __init__(self, leave: Callable[[str], None]) -> None:
        self._leave = leave
        self._pending: dict[str, int] = {}

    def enter(self, folder: str) -> None:
        """Open a folder; it stays open until :meth:`done` was called for it and all that is in it."""
        self._pending[folder] = 1
        if folder:
            self._pending[parent_of(folder)] += 1

    def add(self, folder: str) -> None:
        """Count one more item of a folder."""
        self._pending[folder] += 1

    def done(self, folder: str) -> None:
        """Count one item of a folder as done."""
        self._pending[folder] -= 1
        if self._pending[folder] == 0:
            del self._pending[folder]
            self._leave(folder)
            if folder:
                self.done(parent_of(folder))


def parent_of(path: str) -> str:
    """Return the folder that a relative path is in, with ``/`` at its end; empty for the top."""
    above = path.removesuffix("/").rpartition("/")[0]
    return above + "/" if above else ""
