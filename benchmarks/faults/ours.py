"""This package, in the process of the server: its transfers on its S3 store, with credentials that can be renewed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.config import BucketsConfig
from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.errors import BucketsError
from airflow_provider_neuro_buckets.buckets.http.pool import open_connections
from airflow_provider_neuro_buckets.buckets.listing import Listing
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials, BucketProvider
from airflow_provider_neuro_buckets.buckets.retry import DATA, RetryPolicy
from airflow_provider_neuro_buckets.buckets.stores.registry import open_store
from airflow_provider_neuro_buckets.buckets.transfer import engine
from airflow_provider_neuro_buckets.buckets.transfer.engine import Existing, Remote, Window
from airflow_provider_neuro_buckets.buckets.uri import bucket_uri
from benchmarks.faults.bucket import BUCKET, KEY
from benchmarks.faults.cell import MIB, Direction

_BUCKET = Bucket(
    id="bucket-1",
    name=BUCKET,
    owner="matrix",
    cluster_name="default",
    org_name=None,
    project_name="matrix",
    uri=bucket_uri(cluster="default", org=None, project="matrix", bucket=BUCKET),
    provider=BucketProvider.AWS,
    created_at=datetime(2026, 11, 24, tzinfo=UTC),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """This package.

    :ivar silence: seconds without a byte after which a request is given up.
    """

    name: str = "this provider"
    silence: float
    retry: RetryPolicy = DATA

    async def move(self, direction: Direction, url: str, local: Path) -> str | None:
        """Upload or download the blob; return what was said of a failure, `None` for a success."""
        window = Window(max_concurrency=4, max_buffer_bytes=64 * MIB)
        async with self._remote(url) as remote:
            try:
                if direction is Direction.DOWNLOAD:
                    await engine.download_file(remote, local, existing=Existing.REPLACE, window=window, progress=None)
                else:
                    await engine.upload_file(local, remote, existing=Existing.REPLACE, window=window, progress=None)
            except BucketsError as error:
                return f"{type(error).__name__}: {error}"
        return None

    @asynccontextmanager
    async def _remote(self, url: str) -> AsyncIterator[Remote]:
        tokens = count(1)

        async def renewed() -> BucketCredentials:
            keys = {
                "bucket_name": BUCKET,
                "region_name": "us-east-1",
                "endpoint_url": url,
                "access_key_id": "matrix",
                "secret_access_key": "matrix-secret",
                "session_token": f"token-{next(tokens)}",
            }
            return BucketCredentials(bucket_id=_BUCKET.id, provider=BucketProvider.AWS, credentials=keys)

        config = BucketsConfig(buckets_url=url, timeout_seconds=self.silence)
        async with open_connections(config) as http:
            store = open_store(bucket=_BUCKET, credentials=CredentialSource(renewed), http=http, retry=self.retry)
            try:
                yield Remote(Listing(_BUCKET, store), KEY)
            finally:
                await store.aclose()
