"""Clients that know the buckets of a test, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from airflow_provider_neuro_buckets.buckets import (
    Bucket,
    BucketCredentials,
    Buckets,
    BucketsConfig,
    PersistentBucketCredentials,
    persistent_secret,
)
from metered import Meter, metered

ENDPOINTS = ("endpoint_url", "storage_endpoint")
"""What each provider calls the address of its service."""


@asynccontextmanager
async def client(*buckets: tuple[Bucket, BucketCredentials]) -> AsyncIterator[Buckets]:
    """Open a client that knows some buckets by their credentials, and nothing else."""
    lasting = PersistentBucketCredentials(
        id="credentials-of-the-test",
        owner="tester",
        name=None,
        read_only=False,
        cluster_name="test-cluster",
        credentials=[keys for _, keys in buckets],
    )
    secret = persistent_secret(lasting, [bucket for bucket, _ in buckets])
    async with Buckets.open(BucketsConfig(persistent_credentials=secret)) as opened:
        yield opened


def at(bucket: Bucket, key: str = "") -> str:
    return f"blob:{bucket.id}/{key}"


@asynccontextmanager
async def over_a_meter(*buckets: tuple[Bucket, BucketCredentials]) -> AsyncIterator[tuple[Buckets, Meter]]:
    """Open a client for buckets of one service, and count what passes between the two."""
    _, first = buckets[0]
    name = next(name for name in ENDPOINTS if name in first.credentials)
    async with metered(first.credentials[name]) as meter:
        through = [
            (bucket, replace(keys, credentials={**keys.credentials, name: meter.url})) for bucket, keys in buckets
        ]
        async with client(*through) as opened:
            yield opened, meter
