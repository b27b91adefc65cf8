"""What the platform does with the credentials of imported buckets, as it does it: wire protocol, 3.9 and 3.11."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from airflow_provider_neuro_buckets.local import storage
from airflow_provider_neuro_buckets.local.answers import Refusal, unexpected
from airflow_provider_neuro_buckets.local.records import BucketRecord

S3_LIKE = frozenset({"aws", "minio", "seaweedfs"})


async def sign(bucket: BucketRecord, key: str, seconds: int) -> str:
    """Return a URL with which anybody can GET a blob, signed with the imported credentials.

    :raises Refusal: the credentials cannot sign.
    """
    if bucket.provider in S3_LIKE:
        async with _s3(bucket) as s3:
            return await storage.sign(s3, bucket.real_name, key, seconds)
    if bucket.provider == "azure":
        return _sign_azure(bucket, key, seconds)
    raise _impossible(bucket)


async def set_public(bucket: BucketRecord, *, public: bool) -> None:
    """Let anybody list and read a bucket, or nobody, with the imported credentials.

    :raises Refusal: the local platform does it for S3 alone.
    """
    if bucket.provider not in S3_LIKE:
        raise _impossible(bucket)
    async with _s3(bucket) as s3:
        await storage.set_public(s3, bucket.real_name, public=public)


def _s3(bucket: BucketRecord) -> AbstractAsyncContextManager[Any]:
    """Return a client with the imported keys; region and endpoint may be absent, as for AWS itself."""
    client: AbstractAsyncContextManager[Any] = storage.aws_client(
        "s3",
        endpoint=bucket.credentials.get("endpoint_url"),
        region=bucket.credentials.get("region_name") or storage.REGION,
        access_key=_needed(bucket, "access_key_id"),
        secret_key=_needed(bucket, "secret_access_key"),
    )
    return client


def _sign_azure(bucket: BucketRecord, key: str, seconds: int) -> str:
    """Sign with the key of the account; a shared access signature alone cannot make another."""
    from azure.storage.blob import (  # noqa: PLC0415 - slow to load, and few platforms have such buckets
        BlobSasPermissions,
        ContainerClient,
        generate_blob_sas,
    )

    account_key = _needed(bucket, "credential")
    endpoint = _needed(bucket, "storage_endpoint")
    try:
        with ContainerClient(endpoint, bucket.real_name, credential=account_key) as container:
            account = container.account_name
    except ValueError as error:
        raise unexpected(f"{endpoint}: {error}") from None
    signature = generate_blob_sas(
        account_name=str(account),
        container_name=bucket.real_name,
        blob_name=key,
        account_key=account_key,
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + timedelta(seconds=seconds),
    )
    return f"{endpoint.rstrip('/')}/{quote(bucket.real_name)}/{quote(key, safe='~/')}?{signature}"


def _needed(bucket: BucketRecord, field: str) -> str:
    value = bucket.credentials.get(field)
    if not isinstance(value, str) or not value:
        raise unexpected(f"The credentials of {bucket.id} have no {field!r}")
    return value


def _impossible(bucket: BucketRecord) -> Refusal:
    if bucket.provider == "gcp":
        return unexpected("The local platform cannot use the keys of gcp buckets")
    return unexpected("generator didn't yield")
