"""From a bucket to its blobs: stores and credentials, opened once for each bucket and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

import aiohttp

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials
from airflow_provider_neuro_buckets.buckets.persistent import PersistentBuckets
from airflow_provider_neuro_buckets.buckets.platform import Platform
from airflow_provider_neuro_buckets.buckets.retry import DATA
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore
from airflow_provider_neuro_buckets.buckets.stores.registry import open_store

_OPEN_DATA = frozenset(
    {"bucket_name", "region_name", "endpoint_url", "storage_endpoint", "project", "expiration", "expiry", "expire_time"}
)
"""Keys of credentials that are no secret; all others, known or not, are treated as one."""
_SHORTEST_SECRET = 8


class Opener:
    """Keeps what one client has opened; everything is closed with `stack`."""

    def __init__(
        self,
        platform: Platform,
        persistent: PersistentBuckets,
        http: aiohttp.ClientSession,
        config: BucketsConfig,
        stack: AsyncExitStack,
    ) -> None:
        self._platform = platform
        self._persistent = persistent
        self._http = http
        self._config = config
        self._stack = stack
        self._stores: dict[str, BlobStore] = {}
        self._opening = asyncio.Lock()

    async def open(self, bucket: Bucket) -> Listing:
        """Open a bucket's store, once."""
        async with self._opening:
            if bucket.id not in self._stores:
                store = open_store(
                    bucket=bucket,
                    credentials=CredentialSource(lambda: self._credentials(bucket)),
                    http=self._http,
                    retry=DATA,
                )
                self._stack.push_async_callback(store.aclose)
                self._stores[bucket.id] = store
        return Listing(bucket, self._stores[bucket.id])

    async def _credentials(self, bucket: Bucket) -> BucketCredentials:
        """Return what opens a bucket: its persistent credentials if there are any, else fresh temporary ones."""
        return self._persistent.credentials(bucket.id) or await self.tmp_credentials(bucket)

    async def tmp_credentials(self, bucket: Bucket) -> BucketCredentials:
        """Get fresh temporary credentials for a bucket, from the cluster that it is in."""
        credentials = await self._platform.tmp_credentials(bucket)
        await self.announce(credentials.credentials)
        return credentials

    async def announce(self, keys: Mapping[str, str]) -> None:
        """Let the surroundings mask every secret among a provider's keys, before anything can print it."""
        if self._config.on_secret is None:
            return
        for name, value in keys.items():
            if name not in _OPEN_DATA and len(value) >= _SHORTEST_SECRET:
                await self._config.on_secret(value)
