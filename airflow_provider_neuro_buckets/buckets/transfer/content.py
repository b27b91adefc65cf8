"""The content of one blob as a stream of bytes, in and out, in bounded memory."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from airflow_provider_neuro_buckets.buckets.errors import (
    BucketsError,
    ConfigurationError,
    Conflict,
    IntegrityError,
    InvalidAnswer,
    TransientError,
)
from airflow_provider_neuro_buckets.buckets.failures import first_failure
from airflow_provider_neuro_buckets.buckets.stores.base import (
    BlobMeta,
    BlobStore,
    Body,
    ByteRange,
    Bytes,
    Capability,
    MultipartUpload,
    Stored,
    Told,
    nobody,
)

log = logging.getLogger(__name__)
Content = Bytes | AsyncIterable[bytes]

PART = 8 * 1024 * 1024
PARTS_IN_FLIGHT = 4
PIECE = 1024 * 1024
RESUMES_WITHOUT_PROGRESS = 4
WRONG_ANSWERS = 2
"""Of a service that always answers like this, there are a thousand files: so fewer than connections that break."""
FIRST_PAUSE = 0.2


def part_size(number: int) -> int:
    """Return the size of part `number`, from 1, of an upload whose length nobody knows.

    It grows by 8 MiB every 500 parts: 10,000 parts hold 820 GiB, and the largest has 160 MiB.
    """
    return PART * (1 + (number - 1) // 500)


async def put_content(store: BlobStore, key: str, content: Content) -> Stored:
    """Create or replace a blob. Atomic: until the end, `key` holds what it held.

    :param content: the bytes, or an iterator of them: one request while they fit one part, parts beyond.
    """
    if isinstance(content, bytes | bytearray | memoryview):
        return await store.write(key, content)
    async with aclosing(_parts(content)) as parts:
        part, more = await anext(parts)
        if not more:
            return await store.write(key, part)
        digest = hashlib.md5(usedforsecurity=False) if Capability.KEEPS_MD5 in store.capabilities else None
        async with store.multipart(key) as upload:
            await _send(upload, part, parts, digest)
            return await upload.complete(md5=digest.hexdigest() if digest is not None else None)


async def _parts(content: AsyncIterable[bytes]) -> AsyncGenerator[tuple[bytes, bool]]:
    """Cut an iterator into parts, at least one; each comes with whether another follows.

    All but the last have the full size of their number.
    """
    number, buffer = 1, bytearray()
    async for chunk in content:
        buffer += chunk
        while len(buffer) > (size := part_size(number)):
            yield bytes(memoryview(buffer)[:size]), True
            del buffer[:size]
            number += 1
    yield bytes(buffer), False


async def _send(
    upload: MultipartUpload, first: bytes, rest: AsyncGenerator[tuple[bytes, bool]], digest: hashlib._Hash | None
) -> None:
    """Send parts, a few side by side; the first failure ends the others and is raised as it was.

    :param digest: takes all parts in their order.
    """
    slots = asyncio.Semaphore(PARTS_IN_FLIGHT)
    number, part, more = 1, first, True
    async with first_failure(), asyncio.TaskGroup() as group:
        while True:
            await slots.acquire()
            group.create_task(upload.put_part(number, part)).add_done_callback(lambda _: slots.release())
            if digest is not None:
                await asyncio.to_thread(digest.update, part)
            if not more:
                return
            part, more = await anext(rest)
            number += 1


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
    async with aclosing(read_resumed(store, meta, offset, meta.size)) as chunks:
        async for chunk in chunks:
            if digest is not None:
                digest.update(chunk)
            yield bytes(chunk)
    if digest is not None and digest.hexdigest() != meta.md5:
        raise IntegrityError(f"the bytes read from {store.address(key)} do not have its MD5", remedy="Read it again")


async def vouches_for_md5(store: BlobStore, meta: BlobMeta) -> bool:
    """Whether the provider stands by the MD5 of `meta`, now that other bytes were received.

    A listing of S3 does not tell which ETags only look like an MD5: those made with keys of AWS KMS. The blob does.
    """
    now = await store.head(meta.key)
    return now.etag != meta.etag or now.md5 is not None


async def read_resumed(store: BlobStore, meta: BlobMeta, start: int, stop: int) -> AsyncGenerator[Bytes, None]:
    """Yield the bytes ``[start, stop)`` of one version of a blob, going on where a connection broke.

    What the store could not even begin to read is its own matter: it has tried again already. An answer of another
    version, or not of what was asked for, is wrong while the blob still is that of `meta`: then it is asked for again.

    :raises Conflict: the blob is no longer the version of `meta`.
    :raises TransientError: it broke several times without a byte in between.
    """
    breaks = Breaks(store, meta)
    while start < stop:
        begun = start
        failure: BucketsError | None = None
        try:
            async with opened(store, meta, start, stop) as body:
                try:
                    async for chunk in body.chunks():
                        start += len(chunk)
                        yield chunk
                except TransientError as error:
                    failure = error
        except (Conflict, InvalidAnswer) as error:
            failure = error
        if failure is not None and start < stop:
            await breaks.after(failure, at=start, has_moved=start > begun)


@asynccontextmanager
async def opened(store: BlobStore, meta: BlobMeta, start: int, stop: int) -> AsyncIterator[Body]:
    """Ask for the bytes ``[start, stop)`` of one version of a blob.

    :raises Conflict: there is another version; `InvalidAnswer` where the answer is not what was asked for.
    """
    span = None if (start, stop) == (0, meta.size) else ByteRange(start, stop)
    async with store.read(meta.key, span=span, etag=meta.etag) as body:
        _check_size(store, meta, body)
        yield body


class Breaks:
    """What is done about the breaks of one reading: it goes on after a pause, or ends.

    The pause doubles each time that nothing came since the last break.
    """

    def __init__(self, store: BlobStore, meta: BlobMeta) -> None:
        self._store = store
        self._meta = meta
        self._fruitless = 0

    async def after(self, failure: BucketsError, *, at: int, has_moved: bool) -> None:
        """Return when it is time to go on at a byte, or raise what broke the reading."""
        is_wrong = isinstance(failure, Conflict | InvalidAnswer)
        if is_wrong and await _is_other(self._store, self._meta):
            raise failure
        self._fruitless = 0 if has_moved else self._fruitless + 1
        if self._fruitless > (WRONG_ANSWERS if is_wrong else RESUMES_WITHOUT_PROGRESS):
            raise failure
        pause = FIRST_PAUSE * 2**self._fruitless
        log.warning("%s; going on at byte %d in %.1f s", failure, at, pause)
        await asyncio.sleep(pause)


async def _is_other(store: BlobStore, meta: BlobMeta) -> bool:
    """Whether the blob is no longer the version of `meta`, or nobody can tell."""
    try:
        now = await store.head(meta.key)
    except BucketsError:
        return True
    return (now.etag, now.size) != (meta.etag, meta.size)


async def read_range(
    store: BlobStore, meta: BlobMeta, start: int, stop: int, *, received: Told = nobody
) -> bytes | bytearray:
    """Read the bytes ``[start, stop)`` of one version of a blob into memory, once, as :func:`read_resumed` yields them.

    :param received: told how many bytes have arrived, after each chunk.
    """
    if start == 0 and 0 < stop == meta.size <= PIECE:
        return await _read_small(store, meta, received)
    content = bytearray(stop - start)
    await read_into(store, meta, start, content, received=received)
    return content


async def _read_small(store: BlobStore, meta: BlobMeta, received: Told) -> bytes:
    """Read a whole small blob: the answer as it is. Only where the connection breaks is there more to do."""
    begun = b""
    try:
        async with store.read(meta.key, etag=meta.etag) as body:
            _check_size(store, meta, body)
            begun = await body.arrived()
    except (Conflict, InvalidAnswer) as error:
        if await _is_other(store, meta):
            raise
        log.warning("%s; asked again in %.1f s", error, FIRST_PAUSE)
    received(len(begun))
    if len(begun) == meta.size:
        return begun
    await asyncio.sleep(FIRST_PAUSE)
    rest = bytearray(meta.size - len(begun))
    await read_into(store, meta, len(begun), rest, received=lambda at: received(len(begun) + at))
    return begun + rest


def _check_size(store: BlobStore, meta: BlobMeta, body: Body) -> None:
    if body.meta.size != meta.size:
        raise Conflict(f"{store.address(meta.key)} has another size now", remedy="Try again")


async def read_into(
    store: BlobStore, meta: BlobMeta, start: int, content: bytearray, *, received: Told = nobody
) -> None:
    """Fill a buffer with the bytes of one version of a blob from `start` on, as :func:`read_range`."""
    at = 0
    async with aclosing(read_resumed(store, meta, start, start + len(content))) as chunks:
        async for chunk in chunks:
            content[at : at + len(chunk)] = chunk
            at += len(chunk)
            received(at)
