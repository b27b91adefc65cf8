"""How a transfer keeps many things in flight: workers that share the work, and folders that count what is in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

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
