"""From a bucket to its blobs: stores and credentials, opened once for each bucket and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.http.pool import Connections
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials, secrets_among
from airflow_provider_neuro_buckets.buckets.pace import Pace
from airflow_provider_neuro_buckets.buckets.persistent import PersistentBuckets
from airflow_provider_neuro_buckets.buckets.platform import Platform
from airflow_provider_neuro_buckets.buckets.retry import DATA
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore
from airflow_provider_neuro_buckets.buckets.stores.registry import open_store


class Opener:
    """Keeps what one client has opened; everything is closed with `stack`."""

    def __init__(
        self,
        platform: Platform,
        persistent: PersistentBuckets,
        http: Connections,
        config: BucketsConfig,
        stack: AsyncExitStack,
    ) -> None:
        self._platform = platform
        self._persistent = persistent
        self._http = http
        self._config = config
        self._pace = Pace.of(config)
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
                    pace=self._pace,
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
        for secret in secrets_among(keys):
            await self._config.on_secret(secret)
