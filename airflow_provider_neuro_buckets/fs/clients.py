"""The clients behind a filesystem: one for each event loop, opened when first needed, kept, renewed when refused."""

from __future__ import annotations

import asyncio
import os
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_neuro_buckets.buckets.errors import AuthenticationError

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.client import Buckets
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook

T = TypeVar("T")

CLOSING_SECONDS = 2.0

_LEFT_TO_PARENT: list[Any] = []
"""Connections that a forked process has inherited. Closing them here would take them out of the parent's event loop."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A client, and what closes it."""

    buckets: Buckets
    opening: AbstractAsyncContextManager[Buckets]


class Clients:
    """Opens clients on one Airflow connection.

    :param conn_id: `None` means the default connection.
    """

    def __init__(self, conn_id: str | None) -> None:
        self._conn_id = conn_id
        self._pid = os.getpid()
        self._open: dict[AbstractEventLoop, list[_Open]] = {}
        self._turns: dict[AbstractEventLoop, asyncio.Lock] = {}
        self._closing = weakref.finalize(self, _close_all, self._open, self._pid)

    async def ask(self, question: Callable[[Buckets], Awaitable[T]]) -> T:
        """Await `question(client)`.

        Once more, if the token was refused and the connection has another one now: this object lives as long as its
        process does, longer than many tokens.
        """
        buckets = await self.get()
        try:
            return await question(buckets)
        except AuthenticationError:
            renewed = await self._renewed(buckets)
            if renewed is None:
                raise
        return await question(renewed)

    async def get(self) -> Buckets:
        """Return the client of the running event loop."""
        if self._pid != os.getpid():
            self._begin_anew()
        loop = asyncio.get_running_loop()
        async with self._turns.setdefault(loop, asyncio.Lock()):
            if loop not in self._open:
                self._forget_closed_loops()
                self._open[loop] = [await self._opened()]
            return self._open[loop][-1].buckets

    async def _opened(self) -> _Open:
        hook = self._hook()
        opening = await asyncio.to_thread(hook.open_client)  # asks Airflow for the connection, which blocks
        return _Open(await opening.__aenter__(), opening)

    async def _renewed(self, refused: Buckets) -> Buckets | None:
        """Return a client with what the connection says now; `None` if that is what was refused.

        The old one stays open for whoever still uses it.
        """
        clients = self._open[asyncio.get_running_loop()]
        async with self._turns[asyncio.get_running_loop()]:
            if clients[-1].buckets is refused:
                if await asyncio.to_thread(self._hook().get_config) == refused.config:
                    return None
                clients.append(await self._opened())
            return clients[-1].buckets

    def _hook(self) -> NeuroBucketsHook:
        from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - loads the client

        return NeuroBucketsHook(self._conn_id or NeuroBucketsHook.default_conn_name)

    async def aclose(self) -> None:
        """Close the client of the running event loop; the next question opens another."""
        for one in self._open.pop(asyncio.get_running_loop(), []):
            await one.opening.__aexit__(None, None, None)

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._open if loop.is_closed()]:
            del self._open[loop], self._turns[loop]

    def _begin_anew(self) -> None:
        """Forget what belongs to the process from which this one was forked."""
        _LEFT_TO_PARENT.append(self._open)
        self._closing.detach()
        self._pid = os.getpid()
        self._open, self._turns = {}, {}
        self._closing = weakref.finalize(self, _close_all, self._open, self._pid)


def _close_all(clients: dict[AbstractEventLoop, list[_Open]], pid: int) -> None:
    """Close the clients of loops that still run; at the latest when the process ends."""
    if pid != os.getpid():
        return
    for loop, opened in clients.items():
        if not loop.is_running():
            continue
        closing = asyncio.run_coroutine_threadsafe(_close(opened), loop)
        if not _is_in_loop():
            with suppress(Exception):  # nobody is left who could do anything about it
                closing.result(CLOSING_SECONDS)


async def _close(opened: list[_Open]) -> None:
    for one in opened:
        await one.opening.__aexit__(None, None, None)


def _is_in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
