"""From a name or an address to an open bucket: resolved once, then addressed by id; stores and credentials kept."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp

from airflow_provider_neuro_buckets.buckets.answers import Place
from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials
from airflow_provider_neuro_buckets.buckets.platform import Platform
from airflow_provider_neuro_buckets.buckets.retry import DATA
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore
from airflow_provider_neuro_buckets.buckets.stores.registry import open_store
from airflow_provider_neuro_buckets.buckets.target import Target
from airflow_provider_neuro_buckets.buckets.uri import BlobAddress

_OPEN_DATA = frozenset({"bucket_name", "region_name", "endpoint_url", "storage_endpoint", "project"})
"""Keys of credentials that are no secret; all others, known or not, are treated as one."""
_SHORTEST_SECRET = 8


class Opener:
    """Keeps what one client has found and opened; everything is closed with `stack`."""

    def __init__(
        self, platform: Platform, http: aiohttp.ClientSession, config: BucketsConfig, stack: AsyncExitStack
    ) -> None:
        self._platform = platform
        self._http = http
        self._config = config
        self._stack = stack
        self._found: dict[Target, Bucket] = {}
        self._stores: dict[str, BlobStore] = {}
        self._opening = asyncio.Lock()

    async def place(self, target: Target) -> Place:
        """Return the place of the target's cluster."""
        return await self._platform.place(target.cluster)

    async def look_up(self, target: Target) -> Bucket:
        """Ask the platform for the bucket, and remember the answer."""
        bucket = await self._platform.bucket(await self.place(target), target.bucket, target.selector)
        self._found[target] = bucket
        return bucket

    async def find(self, target: Target) -> Bucket:
        """Return the bucket; the platform is asked once for each target."""
        return self._found.get(target) or await self.look_up(target)

    async def locate(self, readings: list[BlobAddress]) -> tuple[Listing, str]:
        """Return the open bucket of an address, and the key in it."""
        reading = readings[0]
        return await self.open(await self.find(Target.at(reading))), reading.key

    async def open(self, bucket: Bucket) -> Listing:
        """Open a bucket's store, once."""
        async with self._opening:
            if bucket.id not in self._stores:
                store = open_store(
                    bucket=bucket,
                    credentials=CredentialSource(lambda: self.credentials(bucket)),
                    http=self._http,
                    retry=DATA,
                )
                self._stack.push_async_callback(store.aclose)
                self._stores[bucket.id] = store
        return Listing(bucket, self._stores[bucket.id])

    async def credentials(self, bucket: Bucket) -> BucketCredentials:
        """Get fresh credentials for a bucket, from the cluster that it is in."""
        place = await self._platform.place(bucket.cluster_name)
        credentials = await self._platform.tmp_credentials(place, bucket)
        await self.announce(credentials)
        return credentials

    async def announce(self, credentials: BucketCredentials) -> None:
        """Let the surroundings mask every secret of some credentials, before anything can print it."""
        if self._config.on_secret is None:
            return
        for name, value in credentials.credentials.items():
            if name not in _OPEN_DATA and len(value) >= _SHORTEST_SECRET:
                await self._config.on_secret(value)

    def forget(self, bucket: Bucket) -> None:
        """Stop taking for granted that a bucket exists; its store stays open until the client closes."""
        self._found = {target: found for target, found in self._found.items() if found.id != bucket.id}
