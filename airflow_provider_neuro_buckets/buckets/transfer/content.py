"""The content of one blob as a stream of bytes, in and out, in bounded memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable

from airflow_provider_neuro_buckets.buckets.errors import ConfigurationError, Conflict, IntegrityError, TransientError
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, ByteRange, Bytes, MultipartUpload

Content = Bytes | AsyncIterable[bytes]

PART = 8 * 1024 * 1024
PARTS_IN_FLIGHT = 4
RESUMES_WITHOUT_PROGRESS = 4


def part_size(number: int) -> int:
    """Return the size of part `number`, from 1, of an upload whose length nobody knows.

    It grows by 8 MiB every 500 parts: 10,000 parts hold 820 GiB, and the largest has 160 MiB.
    """
    return PART * (1 + (number - 1) // 500)


async def put_content(store: BlobStore, key: str, content: Content) -> None:
    """Create or replace a blob. Atomic: until the end, `key` holds what it held.

    :param content: the bytes, or an iterator of them: one request while they fit one part, parts beyond.
    """
    if isinstance(content, bytes | bytearray | memoryview):
        await store.write(key, content)
        return
    parts = _parts(content)
    first = await anext(parts, b"")
    if len(first) < part_size(1):
        await store.write(key, first)
        return
    async with store.multipart(key) as upload:
        await _send(upload, first, parts)
        await upload.complete()


async def _parts(content: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Cut an iterator into parts; all but the last have the full size of their number."""
    number, buffer = 1, bytearray()
    async for chunk in content:
        buffer += chunk
        while len(buffer) >= (size := part_size(number)):
            yield bytes(memoryview(buffer)[:size])
            del buffer[:size]
            number += 1
    if buffer:
        yield bytes(buffer)


async def _send(upload: MultipartUpload, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
    slots = asyncio.Semaphore(PARTS_IN_FLIGHT)
    try:
        async with asyncio.TaskGroup() as group:
            number, part = 1, first
            while part:
                await slots.acquire()
                group.create_task(upload.put_part(number, part)).add_done_callback(lambda _: slots.release())
                number, part = number + 1, await anext(rest, b"")
    except* Exception as errors:  # noqa: BLE001 - unwrapped, not handled: the caller sees the first failure as it was
        raise errors.exceptions[0] from None


async def read_content(store: BlobStore, key: str, *, offset: int = 0) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of a blob from `offset` to its end, all of one version of it, going on where a connection broke.

    :raises ResourceNotFound: no such key.
    :raises ConfigurationError: `offset` is negative or beyond the size; at the size nothing is yielded.
    :raises Conflict: the blob was replaced in the meantime.
    :raises IntegrityError: the bytes are not those that the provider's MD5 promises.
    """
    meta = await store.head(key)
    if not 0 <= offset <= meta.size:
        raise ConfigurationError(
            f"{store.address(key)} has {meta.size} bytes, offset {offset} is outside", remedy="Pass 0 <= offset <= size"
        )
    digest = hashlib.md5(usedforsecurity=False) if meta.md5 and offset == 0 else None
    async for chunk in read_resumed(store, meta, offset, meta.size):
        if digest is not None:
            digest.update(chunk)
        yield chunk
    if digest is not None and digest.hexdigest() != meta.md5:
        raise IntegrityError(f"the bytes read from {store.address(key)} do not have its MD5", remedy="Read it again")


async def read_resumed(store: BlobStore, meta: BlobMeta, start: int, stop: int) -> AsyncGenerator[bytes, None]:
    """Yield the bytes ``[start, stop)`` of one version of a blob, going on where a connection broke.

    :raises Conflict: the blob is no longer the version of `meta`.
    :raises TransientError: it broke several times without a byte in between.
    """
    fruitless = 0
    while start < stop:
        span = None if (start, stop) == (0, meta.size) else ByteRange(start, stop)
        begun = start
        try:
            async with store.read(meta.key, span=span, etag=meta.etag) as body:
                if body.meta.size != meta.size:
                    raise Conflict(f"{store.address(meta.key)} has another size now", remedy="Try again")
                async for chunk in body.chunks():
                    start += len(chunk)
                    yield chunk
        except TransientError:
            fruitless = fruitless + 1 if start == begun else 0
            if fruitless > RESUMES_WITHOUT_PROGRESS:
                raise
            await asyncio.sleep(0.2 * 2**fruitless)
