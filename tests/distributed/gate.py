"""A front before a local platform and its storage that can hold copies back, and an Airflow connection through it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from airflow_provider_neuro_buckets.operators.shards import WORK
from faults.messages import Body
from faults.proxy import Seen
from faults.toxics import Fault
from platform_rig import Platform
from storage_front import platform_front

GLANCE_SECONDS = 0.02


@dataclass(slots=True)
class Gate:
    """Counts the copies that the storage is asked for, and holds their answers back while it is closed.

    :ivar closes_after: so many copies are let through.
    :ivar held: how many answers wait.
    """

    connection: str = field(default="", repr=False)
    closes_after: float = float("inf")
    copies: int = 0
    held: int = 0
    _is_open: threading.Event = field(default_factory=threading.Event)

    def close_after(self, copies: int) -> None:
        """Let so many copies more through, and hold the others until `open`."""
        self._is_open.clear()
        self.copies, self.closes_after = 0, copies

    def open(self) -> None:
        """Let through all that waits, and all that comes."""
        self.closes_after = float("inf")
        self._is_open.set()

    def plan(self, request: Seen) -> Fault | None:
        """Say what becomes of a request."""
        if request.method != "PUT" or WORK in request.target:
            return None
        self.copies += 1
        return Closed(self._wait) if self.copies > self.closes_after else None

    async def _wait(self) -> None:
        self.held += 1
        while not self._is_open.is_set():  # noqa: ASYNC110 - set in another thread
            await asyncio.sleep(GLANCE_SECONDS)
        self.held -= 1


@dataclass(frozen=True, slots=True)
class Closed(Fault):
    """Hold an answer back."""

    wait: Callable[[], object]

    async def wire(self, pieces: Body) -> Body:
        await self.wait()  # type: ignore[misc]  # a coroutine
        async for piece in pieces:
            yield piece


@contextmanager
def gated(platform: Platform, bucket: str) -> Iterator[Gate]:
    """Put a gate before a platform and the storage of its buckets."""
    gate = Gate()
    with platform_front(platform, bucket, gate.plan) as gate.connection:
        try:
            yield gate
        finally:
            gate.open()
