"""A real store with somebody who stands at its door: sees each verb before it happens, and may let it fail or wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial

from airflow_provider_neuro_buckets.buckets.errors import BucketsError, TransientError
from airflow_provider_neuro_buckets.buckets.http.pouring import Basin, fill
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.stores.base import (
    BlobMeta,
    BlobStore,
    Body,
    ByteRange,
    Bytes,
    Capability,
    CopySource,
    MultipartUpload,
    Page,
    PartLimits,
    PartOf,
    ResumedUpload,
    Site,
    Slot,
    Stored,
    Told,
    nobody,
)
from airflow_provider_neuro_buckets.buckets.stores.checksums import Checksum
from airflow_provider_neuro_buckets.buckets.threads import in_thread
from airflow_provider_neuro_buckets.buckets.transfer.engine import Remote
from conformance.rigs.base import Rig


@dataclass(frozen=True)
class Call:
    """One thing that a transfer asks of the store.

    :ivar verb: that of the store; ``chunk`` for each piece of a body that arrives, ``part`` and ``complete`` of an
        upload in parts.
    :ivar start: first byte that is asked for, or of the chunk.
    """

    verb: str
    key: str
    start: int = 0


Guard = Callable[[Call], Awaitable[None]]


class WatchedBody:
    """A body whose chunks are seen."""

    def __init__(self, inner: Body, guard: Guard, start: int) -> None:
        self.meta = inner.meta
        self._inner = inner
        self._guard = guard
        self._at = start

    async def chunks(self) -> AsyncIterator[Bytes]:
        async for chunk in self._inner.chunks():
            await self._guard(Call("chunk", self.meta.key, self._at))
            self._at += len(chunk)
            yield chunk

    async def arrived(self) -> bytes:
        content = b""
        with suppress(TransientError):
            async for chunk in self.chunks():
                content += chunk
        return content

    async def pour(self, basin: Basin) -> None:
        async for chunk in self.chunks():
            await in_thread(partial(fill, basin, chunk))


class WatchedUpload:
    """An upload whose parts are seen."""

    def __init__(self, inner: MultipartUpload, guard: Guard, key: str) -> None:
        self._inner = inner
        self._guard = guard
        self._key = key

    async def put_part(self, number: int, body: Bytes) -> None:
        await self._guard(Call("part", self._key, number))
        await self._inner.put_part(number, body)

    async def complete(self, *, md5: str | None = None) -> Stored:
        await self._guard(Call("complete", self._key))
        meta = await self._inner.complete(md5=md5)
        await self._guard(Call("completed", self._key))
        return meta


class WatchedResumed(WatchedUpload):
    """An upload that goes on with another."""

    def __init__(self, inner: ResumedUpload, guard: Guard, key: str) -> None:
        super().__init__(inner, guard, key)
        self._resumed = inner

    @property
    def spared(self) -> int:
        return self._resumed.spared

    def note(self) -> str:
        return self._resumed.note()

    def keep(self) -> None:
        self._resumed.keep()


class WatchedStore:
    """The store of a rig, watched. `calls` holds what was asked so far."""

    def __init__(self, inner: BlobStore, guard: Guard | None = None) -> None:
        self._inner = inner
        self._guard = guard
        self.calls: list[Call] = []
        self.capabilities: frozenset[Capability] = inner.capabilities
        self.limits: PartLimits = inner.limits
        self.copy_part = inner.copy_part

    async def _ask(self, call: Call) -> None:
        self.calls.append(call)
        if self._guard is not None:
            await self._guard(call)

    def starts(self, verb: str) -> list[int]:
        """Return where the calls of a verb began."""
        return [call.start for call in self.calls if call.verb == verb]

    @property
    def skew(self) -> float:
        return self._inner.skew

    def address(self, key: str) -> str:
        return self._inner.address(key)

    async def head(self, key: str) -> BlobMeta:
        await self._ask(Call("head", key))
        return await self._inner.head(key)

    async def checksum(self, meta: BlobMeta) -> Checksum | None:
        await self._ask(Call("checksum", meta.key))
        return await self._inner.checksum(meta)

    async def first_part(self, meta: BlobMeta) -> int | None:
        await self._ask(Call("first part", meta.key))
        return await self._inner.first_part(meta)

    @asynccontextmanager
    async def read(self, key: str, *, span: ByteRange | None = None, etag: str | None = None) -> AsyncIterator[Body]:
        start = span.start if span else 0
        await self._ask(Call("read", key, start))
        async with self._inner.read(key, span=span, etag=etag) as body:
            yield WatchedBody(body, self._ask, start)

    async def write(self, key: str, body: Bytes) -> Stored:
        await self._ask(Call("write", key))
        meta = await self._inner.write(key, body)
        await self._ask(Call("written", key))
        return meta

    @asynccontextmanager
    async def multipart(self, key: str) -> AsyncIterator[MultipartUpload]:
        await self._ask(Call("multipart", key))
        async with self._inner.multipart(key) as upload:
            yield WatchedUpload(upload, self._ask, key)

    @asynccontextmanager
    async def resume(self, key: str, part: PartOf | None, *, note: str = "") -> AsyncIterator[ResumedUpload]:
        await self._ask(Call("resume", key))
        async with self._inner.resume(key, part, note=note) as upload:
            yield WatchedResumed(upload, self._ask, key)

    async def pages(self, prefix: str, *, delimiter: str = "", page_size: int | None = None) -> AsyncIterator[Page]:
        await self._ask(Call("pages", prefix))
        async for page in self._inner.pages(prefix, delimiter=delimiter, page_size=page_size):
            yield page

    async def delete(self, keys: Sequence[str]) -> Mapping[str, BucketsError]:
        return await self._inner.delete(keys)

    async def site(self) -> Site:
        return await self._inner.site()

    async def copy_from(
        self, key: str, source: CopySource, *, slot: Slot = nullcontext, copied: Told = nobody
    ) -> BlobMeta:
        await self._ask(Call("copy", key))
        meta = await self._inner.copy_from(key, source, slot=slot, copied=copied)
        await self._ask(Call("copied", key))
        return meta

    async def sign(self, key: str, *, expires_in_seconds: int) -> str:
        return await self._inner.sign(key, expires_in_seconds=expires_in_seconds)


def remote(rig: Rig, key: str, guard: Guard | None = None) -> tuple[Remote, WatchedStore]:
    """Return a place in the bucket of a rig, and its watched store."""
    store = WatchedStore(rig.store, guard)
    return Remote(Listing(rig.bucket, store), key), store


def failing(verb: str, error: Exception, *, at: int = 0) -> Guard:
    """Return a guard that lets the calls of a verb fail, but for the first `at` of them."""
    count = 0

    async def guard(call: Call) -> None:
        nonlocal count
        if call.verb == verb:
            count += 1
            if count > at:
                raise error

    return guard
