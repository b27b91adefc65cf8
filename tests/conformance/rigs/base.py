"""What a provider's rig gives to the conformance suite: a real bucket, an open store on it, a way around the store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Protocol

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.http.pool import open_connections
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials, BucketProvider, provider_of
from airflow_provider_neuro_buckets.buckets.retry import RetryPolicy
from airflow_provider_neuro_buckets.buckets.stores.registry import ClosableStore, open_store
from airflow_provider_neuro_buckets.buckets.uri import bucket_uri

#: No request of a test waits for long, whatever goes wrong.
IMPATIENT = RetryPolicy(attempts=3, throttled_attempts=3, first_wait=0.01, longest_wait=0.05, deadline=60.0)


class Rig(ABC):
    """A fresh, real and empty bucket of one provider. `put`, `get` and `names` never go through the store.

    :ivar provider: its name on the wire.
    :ivar keys: credentials as the platform hands them out, to read and to write.
    :ivar store: open on the bucket, with `keys`.
    """

    def __init__(self, *, bucket: Bucket, keys: BucketCredentials, store: ClosableStore) -> None:
        self.provider = str(bucket.provider)
        self.bucket = bucket
        self.keys = keys
        self.store = store

    @abstractmethod
    async def put(self, key: str, content: bytes) -> None:
        """Create or replace a blob, with the provider's own SDK."""

    @abstractmethod
    async def get(self, key: str) -> bytes:
        """Return the content of a blob, with the provider's own SDK."""

    @abstractmethod
    async def names(self) -> list[str]:
        """Return all keys, with the provider's own SDK."""

    def refuses(self, key: str) -> str | None:  # noqa: ARG002 - most servers take every key
        """Return why the *server* refuses or rewrites this key; `None` when it must work."""
        return None

    async def unfinished(self) -> list[str] | None:
        """Return the keys with an upload that was begun and neither completed nor aborted.

        `None` where the provider has no way to tell.
        """
        return None


class Server(Protocol):
    """A running server of one provider."""

    def rig(self) -> AbstractAsyncContextManager[Rig]:
        """Make a fresh bucket and open a store on it; closed on exit."""
        ...


def describe_bucket(*, id_: str, name: str, provider: str) -> Bucket:
    """Return the value that the platform would give for a bucket of this test run."""
    return Bucket(
        id=id_,
        name=name,
        owner="tester",
        cluster_name="test-cluster",
        org_name="test-org",
        project_name="test-project",
        uri=bucket_uri(cluster="test-cluster", org="test-org", project="test-project", bucket=name),
        provider=provider_of(provider),
        created_at=datetime.now(UTC),
    )


def describe_keys(bucket: Bucket, **keys: str) -> BucketCredentials:
    """Return credentials for a bucket; `keys` are the provider's own, by their names on the wire."""
    return BucketCredentials(bucket_id=bucket.id, provider=BucketProvider(bucket.provider), credentials=keys)


@asynccontextmanager
async def opened(
    bucket: Bucket, keys: BucketCredentials, *, retry: RetryPolicy = IMPATIENT
) -> AsyncIterator[ClosableStore]:
    """Open the store of a bucket as the client does; close it on exit."""

    async def fetch() -> BucketCredentials:
        return keys

    config = BucketsConfig(buckets_url="http://127.0.0.1/unused", timeout_seconds=60)
    async with open_connections(config) as http:
        store = open_store(bucket=bucket, credentials=CredentialSource(fetch), http=http, retry=retry)
        try:
            yield store
        finally:
            await store.aclose()
