"""Which store opens the buckets of which provider: one row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Protocol, cast

from airflow_provider_neuro_buckets.buckets.credentials import CredentialSource
from airflow_provider_neuro_buckets.buckets.errors import UnsupportedProvider
from airflow_provider_neuro_buckets.buckets.http.pool import Connections
from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketProvider
from airflow_provider_neuro_buckets.buckets.pace import Pace
from airflow_provider_neuro_buckets.buckets.retry import RetryPolicy
from airflow_provider_neuro_buckets.buckets.stores.base import BlobStore
from airflow_provider_neuro_buckets.buckets.stores.direct import Transport


class ClosableStore(BlobStore, Protocol):
    """A store, and what its opener has to do in the end."""

    async def aclose(self) -> None:
        """Release what the store holds; the connections are not its own."""
        ...


#: Module and class, loaded when the first bucket of the provider is opened.
STORES: Mapping[str, str] = {
    BucketProvider.AWS: "s3:S3Store",
    BucketProvider.MINIO: "s3:S3Store",
    BucketProvider.SEAWEEDFS: "s3:S3Store",
    BucketProvider.OPEN_STACK: "s3:S3Store",
    BucketProvider.EMC_ECS: "s3:S3Store",
    BucketProvider.AZURE: "azure:AzureStore",
    BucketProvider.GCP: "gcs:GcsStore",
}


def open_store(
    *,
    bucket: Bucket,
    credentials: CredentialSource,
    http: Connections,
    retry: RetryPolicy,
    pace: Pace | None = None,
) -> ClosableStore:
    """Open the store of a bucket; requests nothing yet.

    :param pace: of all stores of a client; `None` gives this one a pace of its own, without limits.
    :raises UnsupportedProvider: no store here knows the provider.
    """
    home = STORES.get(bucket.provider)
    if home is None:
        raise UnsupportedProvider(
            f"{bucket.uri} is a bucket of {str(bucket.provider)!r}, which this version cannot open",
            remedy=f"Upgrade airflow-provider-neuro-buckets; it opens {', '.join(sorted(STORES))}",
        )
    module, _, name = home.partition(":")
    kind = cast("Callable[..., ClosableStore]", getattr(import_module(f"{__package__}.{module}"), name))
    transport = Transport(http=http, retry=retry, pace=pace or Pace())
    return kind(bucket=bucket, credentials=credentials, transport=transport)
