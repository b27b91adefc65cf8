"""The body of an answer on its way out of the network: as it arrives, or as slowly as a pace allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial

import aiohttp

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer, TransientError, Unavailable
from airflow_provider_neuro_buckets.buckets.pace import Pace
from airflow_provider_neuro_buckets.buckets.session import network_errors

LARGE = 8 * 1024 * 1024
READ_AT_ONCE = 1024 * 1024
"""Bytes that are asked of a socket at once while a large body arrives: four times what asyncio asks for."""


@dataclass(frozen=True, slots=True)
class SlowReader:
    """Reads bodies as fast as a pace allows. To wait for the other side is a silence, to wait for the pace is none."""

    pace: Pace
    silence: float | None

    def take_over(self, response: aiohttp.ClientResponse) -> None:
        """Count the silence of an answer from here on.

        aiohttp begins to count whenever it reads on after a pause, also if all had arrived and the connection is free.
        """
        if response.connection is not None and response.connection.protocol is not None:
            response.connection.protocol.read_timeout = None

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        """Return a slice of what has arrived of a body, once so much may be read; nothing at its end."""
        async with asyncio.timeout(self.silence):
            chunk = await response.content.read(self.pace.slice_bytes)
        await self.pace.bytes(len(chunk))
        return chunk


def end(response: aiohttp.ClientResponse) -> None:
    """Give a connection back; drop it if the body has not ended."""
    response.release() if response.content.is_eof() else response.close()


def _reader(response: aiohttp.ClientResponse, slowly: SlowReader | None) -> Callable[[], Awaitable[bytes]]:
    return response.content.readany if slowly is None else partial(slowly.read, response)


async def read_capped(
    response: aiohttp.ClientResponse, largest: int, what: str, *, slowly: SlowReader | None = None
) -> bytes:
    """Read a body to its end.

    :raises InvalidAnswer: it has more than `largest` bytes.
    :raises Unavailable: it breaks off.
    """
    parts: list[bytes] = []
    size = 0
    read = _reader(response, slowly)
    with network_errors(what):
        while chunk := await read():
            size += len(chunk)
            if size > largest:
                response.close()
                raise InvalidAnswer(f"{what}: the answer has more than {largest} bytes")
            parts.append(chunk)
    return b"".join(parts)


async def chunks_of(
    response: aiohttp.ClientResponse, *, expected: int, what: str, slowly: SlowReader | None = None
) -> AsyncIterator[bytes]:
    """Yield a body as it arrives.

    :raises Unavailable: it ends before `expected` bytes, or the connection breaks.
    :raises InvalidAnswer: it goes on beyond them.
    """
    received = 0
    read = _reader(response, slowly)
    with network_errors(what), _in_large_steps(response) if slowly is None and expected >= LARGE else nullcontext():
        while chunk := await read():
            received += len(chunk)
            if received > expected:
                raise InvalidAnswer(f"{what}: more than the {expected} bytes that were asked for")
            yield chunk
    if received < expected:
        raise Unavailable(f"{what}: the answer ended after {received} of {expected} bytes", remedy="Try again")


@contextmanager
def _in_large_steps(response: aiohttp.ClientResponse) -> Iterator[None]:
    """Read more of a socket at once for the time of a block; small answers would pay for the memory."""
    transport = response.connection.transport if response.connection is not None else None
    usual = getattr(transport, "max_size", None)  # only asyncio's own has it, and none that encrypts
    if transport is None or usual is None:
        yield
        return
    transport.max_size = READ_AT_ONCE  # type: ignore[attr-defined]  # as said
    try:
        yield
    finally:
        transport.max_size = usual  # type: ignore[attr-defined]  # as said


async def arrived(
    response: aiohttp.ClientResponse, *, expected: int, what: str, slowly: SlowReader | None = None
) -> bytes:
    """Return a body, or of one that breaks off what came before.

    :raises InvalidAnswer: it goes on beyond `expected` bytes.
    """
    parts: list[bytes] = []
    left = expected
    read = _reader(response, slowly)
    with suppress(TransientError), network_errors(what):
        while part := await read():
            left -= len(part)
            if left < 0:
                raise InvalidAnswer(f"{what}: more than the {expected} bytes that were asked for")
            parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
