"""The body of an answer: as it arrives, or as slowly as a pace allows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from airflow_provider_neuro_buckets.buckets.errors import InvalidAnswer, TransientError, Unavailable
from airflow_provider_neuro_buckets.buckets.http.answer import Answer
from airflow_provider_neuro_buckets.buckets.http.faults import network_errors
from airflow_provider_neuro_buckets.buckets.http.pouring import Basin, fill
from airflow_provider_neuro_buckets.buckets.pace import Pace
from airflow_provider_neuro_buckets.buckets.stores.base import Bytes
from airflow_provider_neuro_buckets.buckets.threads import Behind

_HANDED_OVER = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SlowReader:
    """Reads bodies as fast as a pace allows. To wait for the other side is a silence, to wait for the pace is none."""

    pace: Pace

    async def read(self, answer: Answer) -> Bytes:
        """Return a slice of what has arrived of a body, once so much may be read; nothing at its end."""
        chunk = await answer.read(self.pace.slice_bytes)
        await self.pace.bytes(len(chunk))
        return chunk


def _reader(answer: Answer, slowly: SlowReader | None) -> Callable[[], Awaitable[Bytes]]:
    return answer.read if slowly is None else partial(slowly.read, answer)


async def read_capped(answer: Answer, largest: int, what: str, *, slowly: SlowReader | None = None) -> bytes:
    """Read a body to its end.

    :raises InvalidAnswer: it has more than `largest` bytes.
    :raises Unavailable: it breaks off.
    """
    parts: list[Bytes] = []
    size = 0
    read = _reader(answer, slowly)
    with network_errors(what):
        while chunk := await read():
            size += len(chunk)
            if size > largest:
                answer.end()
                raise InvalidAnswer(f"{what}: the answer has more than {largest} bytes")
            parts.append(chunk)
    return b"".join(parts)


async def chunks_of(
    answer: Answer, *, expected: int, what: str, slowly: SlowReader | None = None
) -> AsyncIterator[Bytes]:
    """Yield a body as it arrives.

    :raises Unavailable: it ends before `expected` bytes, or the connection breaks.
    :raises InvalidAnswer: it goes on beyond them.
    """
    received = 0
    read = _reader(answer, slowly)
    with network_errors(what):
        while chunk := await read():
            received += len(chunk)
            if received > expected:
                raise InvalidAnswer(f"{what}: more than the {expected} bytes that were asked for")
            yield chunk
    if received < expected:
        raise Unavailable(f"{what}: the answer ended after {received} of {expected} bytes", remedy="Try again")


async def arrived(answer: Answer, *, expected: int, what: str, slowly: SlowReader | None = None) -> bytes:
    """Return a body, or of one that breaks off what came before.

    :raises InvalidAnswer: it goes on beyond `expected` bytes.
    """
    parts: list[Bytes] = []
    left = expected
    read = _reader(answer, slowly)
    with suppress(TransientError), network_errors(what):
        while part := await read():
            left -= len(part)
            if left < 0:
                raise InvalidAnswer(f"{what}: more than the {expected} bytes that were asked for")
            parts.append(part)
    only = parts[0] if len(parts) == 1 else None
    return only if isinstance(only, bytes) else b"".join(parts)


async def pour(answer: Answer, basin: Basin, *, expected: int, what: str, slowly: SlowReader | None = None) -> None:
    """Let threads put a body into a basin as it arrives: one that reads the socket, where that can be.

    Raises what :func:`chunks_of` does, and what the basin raises. What came before a connection broke is in the basin.
    """
    if slowly is None and answer.can_pour:
        await answer.pour(basin)
        with network_errors(what):
            await answer.read()  # nothing, or what broke it
        return
    chunks: list[Bytes] = []
    size = 0
    broken: TransientError | None = None
    async with Behind() as behind:
        try:
            async for chunk in chunks_of(answer, expected=expected, what=what, slowly=slowly):
                chunks.append(chunk)
                size += len(chunk)
                if size >= _HANDED_OVER:
                    await behind.do(partial(fill, basin, *chunks))
                    chunks, size = [], 0
        except TransientError as error:
            broken = error
        await behind.do(partial(fill, basin, *chunks))
    if broken is not None:
        try:
            raise broken
        finally:
            del broken  # it refers to this frame
