"""A store that takes note of what it is asked, and otherwise is the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from airflow_provider_neuro_buckets.buckets.errors import BucketsError
from airflow_provider_neuro_buckets.buckets.stores.base import BlobMeta, BlobStore, Bytes, MultipartUpload, Page, Stored


@dataclass(frozen=True, slots=True)
class Listed:
    """One listing that was asked for."""

    prefix: str
    delimiter: str
    page_size: int | None


class WatchedStore:
    """Hands every verb on to `store`.

    :ivar listed: the listings asked for.
    :ivar pages_read: pages handed over.
    :ivar verbs: names of the other verbs asked for, in order.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self.listed: list[Listed] = []
        self.pages_read = 0
        self.verbs: list[str] = []
        self.capabilities = store.capabilities
        self.limits = store.limits
        self.skew = store.skew
        self.address = store.address
        self.read = store.read
        self.sign = store.sign
        self.site = store.site
        self.copy_from = store.copy_from
        self.copy_part = store.copy_part
        self.resume = store.resume
        self.first_part = store.first_part
        self.checksum = store.checksum

    async def head(self, key: str) -> BlobMeta:
        self.verbs.append("head")
        return await self._store.head(key)

    async def write(self, key: str, body: Bytes) -> Stored:
        self.verbs.append("write")
        return await self._store.write(key, body)

    def multipart(self, key: str) -> AbstractAsyncContextManager[MultipartUpload]:
        self.verbs.append("multipart")
        return self._store.multipart(key)

    async def delete(self, keys: Sequence[str]) -> Mapping[str, BucketsError]:
        self.verbs.append("delete")
        return await self._store.delete(keys)

    async def pages(self, prefix: str, *, delimiter: str = "", page_size: int | None = None) -> AsyncIterator[Page]:
        self.listed.append(Listed(prefix, delimiter, page_size))
        async for page in self._store.pages(prefix, delimiter=delimiter, page_size=page_size):
            self.pages_read += 1
            yield page
