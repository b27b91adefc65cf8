"""Part of a blob, or all of it, into memory; all of one version."""

from __future__ import annotations

import hashlib

from airflow_provider_neuro_buckets.buckets.errors import IntegrityError, TransientError
from airflow_provider_neuro_buckets.buckets.models import BlobObject
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, ByteRange
from airflow_provider_neuro_buckets.buckets.threads import in_thread
from airflow_provider_neuro_buckets.buckets.transfer.content import read_range
from airflow_provider_neuro_buckets.buckets.transfer.crew import share
from airflow_provider_neuro_buckets.buckets.transfer.plan import PART, SINGLE_READ, plan_ranges
from airflow_provider_neuro_buckets.buckets.transfer.window import Window


async def read_bytes(
    store: BlobStore,
    key: str,
    *,
    start: int | None,
    stop: int | None,
    version: BlobObject | None,
    window: Window,
) -> bytes:
    """Read the bytes ``[start, stop)`` of a blob, as a slice would; large spans in ranges side by side.

    :param version: what the blob must be, as it was seen before; spares the question how large it is.
    :raises ResourceNotFound: no such key.
    :raises Conflict: the blob is another version, or was replaced while it was read.
    :raises IntegrityError: the whole does not have the MD5 that the provider promises.
    """
    if version is None and not start and stop is None:
        return await _whole(store, key, window)
    meta = await store.head(key) if version is None else _seen(version)
    first, last, _ = slice(start, stop).indices(meta.size)
    return bytes(await _span(store, meta, first, max(first, last), window))


async def _whole(store: BlobStore, key: str, window: Window) -> bytes:
    """Read a blob whole: in one request if it is small."""
    content = bytearray()
    async with window.slot(0), store.read(key) as body:
        meta = body.meta
        if meta.size <= SINGLE_READ:
            try:
                async for chunk in body.chunks():
                    content += chunk
            except TransientError:
                pass  # the rest is read below, of the same version
    content += await _span(store, meta, len(content), meta.size, window)
    if meta.md5 is not None and await in_thread(lambda: _md5(content)) != meta.md5:
        raise IntegrityError(f"the bytes read from {store.address(key)} do not have its MD5", remedy="Read it again")
    return bytes(content)


async def _span(store: BlobStore, meta: BlobMeta, start: int, stop: int, window: Window) -> bytearray:
    content = bytearray(stop - start)

    async def fetch(span: ByteRange) -> None:
        async with window.slot(len(span)):
            content[span.start - start : span.stop - start] = await read_range(store, meta, span.start, span.stop)

    if 0 < len(content) <= SINGLE_READ:
        await fetch(ByteRange(start, stop))
    elif content:
        await share(plan_ranges(start, stop, longest=PART), fetch, workers=window.max_concurrency)
    return content


def _seen(blob: BlobObject) -> BlobMeta:
    return BlobMeta(key=blob.key, size=blob.size, etag=blob.etag)


def _md5(content: bytearray) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
