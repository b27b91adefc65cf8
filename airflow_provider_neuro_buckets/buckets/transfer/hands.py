"""Threads for brief blocking work, of which there is much: a small file is read, or verified and written."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")

AT_ONCE = 16
"""So many results wait for each other in a thread, so that the event loop is woken once for them."""
BACKLOG = 16
"""So many pieces of work wait for each thread before another one begins."""
MOST_THREADS = 8


class Hands:
    """Does brief blocking work in as few threads as keep up with it. Belongs to one event loop.

    To hand a piece over by itself, and back, takes more CPU time than a small file does; and two threads that write to
    one folder are in each other's way. A slow disk, where work piles up, gets more of them.
    """

    def __init__(self) -> None:
        self._waiting: deque[_Brief[Any]] = deque()
        self._threads = 0

    async def do(self, work: Callable[[], T]) -> T:
        """Do a piece of work, to its end however often it is cancelled: no thread outlives what it works on."""
        brief = _Brief(work)
        self._waiting.append(brief)
        is_behind = len(self._waiting) > BACKLOG * self._threads and self._threads < MOST_THREADS
        if is_behind or not self._threads:
            self._threads += 1
            # Not at once: what else gets ready in this turn of the loop comes along.
            asyncio.get_running_loop().call_soon(self._start)
        return await brief.outcome()

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self._work_off, loop).add_done_callback(self._rest)

    def _work_off(self, loop: asyncio.AbstractEventLoop) -> list[_Brief[Any]]:
        """Do what waits, until nothing does; return what is not handed back yet. Runs in a thread."""
        done: list[_Brief[Any]] = []
        with suppress(IndexError):
            while True:
                brief = self._waiting.popleft()
                brief.run()
                done.append(brief)
                if len(done) == AT_ONCE:
                    loop.call_soon_threadsafe(_hand_back, done)
                    done = []
        return done

    def _rest(self, ended: asyncio.Future[list[_Brief[Any]]]) -> None:
        """Take note in the loop that a thread has ended."""
        self._threads -= 1
        _hand_back(ended.result())
        if self._waiting and not self._threads:  # it came after that thread had looked
            self._threads += 1
            self._start()


def _hand_back(done: Iterable[_Brief[Any]]) -> None:
    for brief in done:
        brief.hand_back()


class _Brief(Generic[T]):
    """A piece of work, and what has come of it."""

    __slots__ = ("_error", "_is_done", "_result", "_turn", "_work")

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: T
        self._error: BaseException | None = None
        self._is_done = False
        self._turn: asyncio.Future[None] | None = None

    def run(self) -> None:
        """Do it. Runs in a thread."""
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001 - raised to the one who waits
            self._error = error

    def hand_back(self) -> None:
        """Wake the one who waits."""
        self._is_done = True
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    async def outcome(self) -> T:
        """Wait for the end of the work, and return its result or raise its error; a cancellation is raised then."""
        loop = asyncio.get_running_loop()
        cancelled: asyncio.CancelledError | None = None
        while not self._is_done:
            self._turn = loop.create_future()
            try:
                await self._turn
            except asyncio.CancelledError as error:
                cancelled = error
        try:
            if cancelled is not None:
                raise cancelled
            if self._error is not None:
                raise self._error
            return self._result
        finally:
            del self, cancelled  # an error refers to this frame, which would refer back and keep both alive
