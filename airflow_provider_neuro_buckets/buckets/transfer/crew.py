"""How a transfer keeps many things in flight: workers that share the work, and threads that are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from contextvars import copy_context
from types import TracebackType
from typing import Self, TypeVar

from airflow_provider_neuro_buckets.buckets.collecting import seldom
from airflow_provider_neuro_buckets.buckets.failures import first_failure

T = TypeVar("T")

AHEAD = 10_000
"""How many small items the source may run ahead of the workers, so that totals are known early."""


async def work_off(source: AsyncGenerator[T, None], work: Callable[[T], Awaitable[None]], *, workers: int) -> None:
    """Await `work(item)` for each item of `source`, many at once; the first exception cancels the rest."""
    queue: asyncio.Queue[T | None] = asyncio.Queue(AHEAD)

    async def produce() -> None:
        async with aclosing(source):
            async for item in source:
                await queue.put(item)
        for _ in range(workers):
            await queue.put(None)

    async def consume() -> None:
        while (item := await queue.get()) is not None:
            await work(item)

    with seldom:
        async with first_failure(), asyncio.TaskGroup() as group:
            group.create_task(produce())
            for _ in range(workers):
                group.create_task(consume())


async def share(items: Iterable[T], work: Callable[[T], Awaitable[None]], *, workers: int) -> None:
    """Await `work(item)` for each item, many at once; the first exception cancels the rest.

    A file has more parts than there can be requests: a task for each worker is enough, one for each part is not needed.
    """
    left = iter(items)

    async def consume() -> None:
        for item in left:
            await work(item)

    async with first_failure(), asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(consume())


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
            await _ended(self._running)
            if not self._running.cancelled():
                self._running.exception()  # the first failure is told, this would be the second

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
        await _ended(running)
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
        await _ended(running)
        raise


async def _ended(running: asyncio.Future[T]) -> None:
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError:
            continue  # the caller is told once, by what it raises


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
        while self._pending[folder] == 0:
            del self._pending[folder]
            self._leave(folder)
            if not folder:
                return
            folder = parent_of(folder)
            self._pending[folder] -= 1


class KeyFolders(Folders):
    """The folders of keys, which come in no order that would close any of them before the last key.

    :param enter: told of each folder once, after those above it.
    """

    def __init__(self, *, enter: Callable[[str], None], leave: Callable[[str], None]) -> None:
        super().__init__(leave)
        self._enter = enter
        self._entered: dict[str, None] = {}

    def reach(self, folder: str) -> None:
        """Open a folder and those above it, where they are not open."""
        names = folder.split("/")[:-1]
        for depth in range(len(names) + 1):
            path = "".join(name + "/" for name in names[:depth])
            if path not in self._entered:
                self._entered[path] = None
                self.enter(path)
                self._enter(path)

    def end(self) -> None:
        """Let each folder be left as soon as what was counted in it is done: no key is to come."""
        for folder in reversed(self._entered):
            self.done(folder)


def parent_of(path: str) -> str:
    """Return the folder that a relative path is in, with ``/`` at its end; empty for the top."""
    above = path.removesuffix("/").rpartition("/")[0]
    return above + "/" if above else ""
