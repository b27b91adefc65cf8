"""The proxies of the soak, in a process of their own: what they keep of each request is no memory of the client."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from urllib.parse import parse_qs, unquote

from faults import storm
from faults.proxy import FaultProxy, Seen, fault_proxy
from faults.toxics import Answer, Disguise, ResetRequest, StallRequest, Truncate

_NOT_ACTED = (Answer, ResetRequest, StallRequest)
"""Faults of which the server hears nothing."""
_TOLD_OTHERWISE = (Disguise, Truncate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed:
    """What has passed the proxies.

    :ivar faults: how many requests met which fault.
    :ivar unheard: the keys of uploads that the storage has begun, while the client may not have heard of it.
    :ivar about: the requests about each upload, by its id, and what became of them.
    """

    requests: int
    faults: Counter[str]
    unheard: Counter[str]
    about: Mapping[str, list[str]]


class Apart:
    """The proxies, from the other process.

    :ivar url: the address of the one before the platform.
    """

    def __init__(self, url: str, ends: Connection) -> None:
        self.url = url
        self._ends = ends

    async def crossed(self) -> Crossed:
        """Return what has passed until now; once."""
        self._ends.send("over")
        crossed = await asyncio.to_thread(self._ends.recv)
        assert isinstance(crossed, Crossed)
        return crossed


@asynccontextmanager
async def proxies_apart(buckets_url: str, storage: str, *, seed: int, rate: float) -> AsyncIterator[Apart]:
    """Run a proxy before the platform and one before the storage, whose address the platform then tells as the proxy's.

    :param rate: the share of all requests that fail.
    """
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=_run, args=(its, buckets_url, storage, seed, rate), daemon=True)
    process.start()
    its.close()
    try:
        yield Apart(await asyncio.to_thread(mine.recv), mine)
    finally:
        mine.close()  # which tells them
        await asyncio.to_thread(process.join)


def _run(ends: Connection, buckets_url: str, storage: str, seed: int, rate: float) -> None:
    asyncio.run(_serve(ends, buckets_url, storage, seed, rate))


async def _serve(ends: Connection, buckets_url: str, storage: str, seed: int, rate: float) -> None:
    async with fault_proxy(buckets_url) as front, fault_proxy(storage) as behind:
        front.plan, behind.plan = storm.control_plane(seed=seed, rate=rate), storm.storage(seed=seed + 1, rate=rate)
        front.renamed[storage] = behind.url
        ends.send(front.url)
        with suppress(EOFError):
            await asyncio.to_thread(ends.recv)
            ends.send(_crossed(front, behind))
            await asyncio.to_thread(ends.recv)


def _crossed(front: FaultProxy, behind: FaultProxy) -> Crossed:
    return Crossed(
        requests=len(front.seen) + len(behind.seen),
        faults=Counter(type(seen.fault).__name__ for proxy in (front, behind) for seen in proxy.struck),
        unheard=_unheard(behind),
        about=_about(behind),
    )


def _unheard(storage: FaultProxy) -> Counter[str]:
    """Return the keys of uploads of which a client may not have heard that they were begun.

    Who hears an answer uses its connection again, sooner or later. Who gives up waiting while it arrives does not.
    """
    last = {seen.connection: seen for seen in storage.seen}.values()
    told_otherwise = [seen for seen in storage.struck if isinstance(seen.fault, _TOLD_OTHERWISE)]
    return Counter(
        unquote(seen.target.partition("?")[0].split("/", 2)[2])
        for seen in {seen.number: seen for seen in (*storage.unheard, *told_otherwise, *last)}.values()
        if seen.method == "POST" and seen.target.endswith("?uploads=") and not isinstance(seen.fault, _NOT_ACTED)
    )


def _about(storage: FaultProxy) -> dict[str, list[str]]:
    about: dict[str, list[str]] = {}
    for seen in storage.seen:
        for upload in parse_qs(seen.target.partition("?")[2]).get("uploadId", []):
            about.setdefault(upload, []).append(_line(seen))
    return about


def _line(seen: Seen) -> str:
    fault = "" if seen.fault is None else f" {seen.fault!r}"
    return f"{seen.number} on {seen.connection}: {seen.method} {seen.target[:200]}{fault}"
