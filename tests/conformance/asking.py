"""What the tests of the suite ask of a store, in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable

from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, ByteRange, CopySource


async def content_of(store: BlobStore, key: str, *, span: ByteRange | None = None, etag: str | None = None) -> bytes:
    """Return the bytes that a read yields."""
    async with store.read(key, span=span, etag=etag) as body:
        return b"".join([chunk async for chunk in body.chunks()])


async def blobs_under(store: BlobStore, prefix: str = "", *, page_size: int | None = None) -> list[BlobMeta]:
    """Return all blobs that a listing shows."""
    return [blob async for page in store.pages(prefix, page_size=page_size) for blob in page.blobs]


async def level_of(store: BlobStore, prefix: str, *, page_size: int | None = None) -> tuple[list[str], list[str]]:
    """Return the common prefixes and the keys of one level, each sorted."""
    prefixes: list[str] = []
    keys: list[str] = []
    async for page in store.pages(prefix, delimiter="/", page_size=page_size):
        prefixes += page.prefixes
        keys += keys_of(page.blobs)
    return sorted(prefixes), sorted(keys)


def keys_of(blobs: Iterable[BlobMeta]) -> list[str]:
    """Return the keys of blobs."""
    return [blob.key for blob in blobs]


async def fill(store: BlobStore, keys: Collection[str]) -> None:
    """Write a blob at each key, two dozen at a time; its content is its key.

    A blob that shares its name with a folder comes last: SeaweedFS, which keeps keys as paths, loses such a folder
    where both are written at the same moment.
    """
    slots = asyncio.Semaphore(24)

    async def write(key: str) -> None:
        async with slots:
            await store.write(key, b"" if key.endswith("/") else key.encode())

    twins = [key for key in keys if any(other.startswith(key + "/") for other in keys)] if len(keys) < 100 else []
    await asyncio.gather(*(write(key) for key in keys if key not in twins))
    await asyncio.gather(*map(write, twins))


async def source_of(store: BlobStore, key: str) -> CopySource:
    """Return a blob as it is now, to be copied."""
    return CopySource(site=await store.site(), meta=await store.head(key), address=store.address(key))
