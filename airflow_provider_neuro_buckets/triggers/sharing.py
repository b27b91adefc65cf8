"""One client for all triggers of a connection in one process, and one request for all that ask the same at a time.

A triggerer runs a thousand triggers in one event loop. Each holds a `Lease` for as long as it runs.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets

Question = Callable[["Buckets"], Awaitable[Any]]

AT_ONCE = 32
"""Questions on their way for one connection: a thousand that begin in one turn of the loop would hold it up."""


@asynccontextmanager
async def lease(neuro_buckets_conn_id: str) -> AsyncIterator[Lease]:
    """Hold the client of a connection: whoever comes first opens it, whoever leaves last closes it.

    :raises ConfigurationError: there is no such connection, or it cannot be used.
    """
    held = Lease(neuro_buckets_conn_id)
    try:
        await held.buckets()
        yield held
    finally:
        await held.give_back()


class Lease:
    """One trigger's part in a shared client."""

    def __init__(self, neuro_buckets_conn_id: str) -> None:
        self._shared = _join(neuro_buckets_conn_id)

    async def buckets(self) -> Buckets:
        """Return the client."""
        return await asyncio.shield(self._shared.opened)

    async def ask(self, key: Hashable, question: Question, *, within: float) -> Answer:
        """Ask a question, unless somebody else is asking the same, or has done so not longer ago than that.

        :param key: what is the same for the same question, whoever asks.
        :param within: seconds.
        :raises BucketsError: what the question raised, for all who asked.
        """
        return await self._shared.ask(key, question, within=within)

    async def renew(self) -> None:
        """Go on with a client that reads the connection anew: somebody may have given it another token."""
        self.retire()
        stale = self._shared
        self._shared = _join(stale.conn_id)
        await stale.leave()
        await self.buckets()

    def retire(self) -> None:
        """Let whoever comes from now on open another client, which reads the connection anew."""
        self._shared.retire()

    async def give_back(self) -> None:
        """Leave the client; the last one closes it."""
        await self._shared.leave()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question, and how many seconds ago it was asked."""

    value: Any
    age: float


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question on its way, or answered."""

    task: asyncio.Task[Any]
    begun: float

    def is_good(self, now: float, within: float) -> bool:
        return not self.task.done() or now - self.begun < within


class _Shared:
    """A client that is open in a task of its own, so that any of those who use it may come and go, or be cancelled."""

    def __init__(self, conn_id: str, loop: AbstractEventLoop) -> None:
        self.conn_id = conn_id
        self.users = 0
        self.opened: asyncio.Future[Buckets] = loop.create_future()
        self._loop = loop
        self._asked: dict[Hashable, _Asked] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._left = asyncio.Event()
        self._keeper = loop.create_task(self._keep(), name=f"neuro-buckets client of {conn_id}")

    async def _keep(self) -> None:
        from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - loads in the triggerer only

        try:
            await asyncio.to_thread(_load)
            async with NeuroBucketsHook(self.conn_id).connect() as buckets:
                self.opened.set_result(buckets)
                await self._left.wait()
                await self._cancel_questions()
        except Exception as error:
            if self.opened.done():
                raise
            self.opened.set_exception(error)  # raised by all who wait for it
            self.opened.exception()  # and by nobody, if they have gone
            self.retire()

    async def ask(self, key: Hashable, question: Question, *, within: float) -> Answer:
        asked = self._asked.get(key)
        if asked is None or not asked.is_good(self._loop.time(), within):
            self._forget(within)
            buckets = await asyncio.shield(self.opened)
            asked = self._asked.get(key)
            if asked is None or not asked.is_good(self._loop.time(), within):
                asked = self._asked[key] = self._begin(question, buckets)
        value = await asyncio.shield(asked.task)
        return Answer(value, self._loop.time() - asked.begun)

    def _begin(self, question: Question, buckets: Buckets) -> _Asked:
        task = self._loop.create_task(self._answer(question, buckets))
        task.add_done_callback(_look_at)
        return _Asked(task, self._loop.time())

    async def _answer(self, question: Question, buckets: Buckets) -> Any:
        async with self._slots:
            return await question(buckets)

    def _forget(self, within: float) -> None:
        """Drop answers that nobody will want again, as soon as they are many."""
        if len(self._asked) > 2 * self.users:
            now = self._loop.time()
            self._asked = {key: asked for key, asked in self._asked.items() if asked.is_good(now, within)}

    async def _cancel_questions(self) -> None:
        tasks = [asked.task for asked in self._asked.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def retire(self) -> None:
        """Let nobody join any more; those who are in may stay."""
        clients = _CLIENTS.get(self._loop, {})
        if clients.get(self.conn_id) is self:
            del clients[self.conn_id]

    async def leave(self) -> None:
        self.users -= 1
        if self.users == 0:
            self.retire()
            self._left.set()
            await asyncio.shield(self._keeper)


_CLIENTS: WeakKeyDictionary[AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


def _join(conn_id: str) -> _Shared:
    loop = asyncio.get_running_loop()
    clients = _CLIENTS.setdefault(loop, {})
    if conn_id not in clients:
        clients[conn_id] = _Shared(conn_id, loop)
    clients[conn_id].users += 1
    return clients[conn_id]


def _look_at(task: asyncio.Task[Any]) -> None:
    """Take note of an error, which asyncio would complain about if all who asked have gone."""
    if not task.cancelled():
        task.exception()


def _load() -> None:
    """Load the HTTP stack, in a thread: the loop that all triggers run in would stand still for half a second."""
    from airflow_provider_neuro_buckets.buckets import finding, opening, platform, session  # noqa: F401, PLC0415 - as said
