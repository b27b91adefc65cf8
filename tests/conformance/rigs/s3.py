"""Around an S3 store: a bucket seen through aiobotocore with the rights of the server's owner."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from airflow_provider_neuro_buckets.buckets.models import Bucket, BucketCredentials
from airflow_provider_neuro_buckets.buckets.stores.registry import ClosableStore
from conformance.rigs.base import Rig

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

_SESSION = get_session()  # one: it keeps the models it has read


@asynccontextmanager
async def owner_client(endpoint: str, access_key: str, secret_key: str) -> AsyncIterator[S3Client]:
    """Open the SDK's client with all rights."""
    config = AioConfig(
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"},
    )
    async with _SESSION.create_client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=config,
    ) as client:
        yield client


class S3Rig(Rig):
    """A bucket of an S3-compatible server."""

    def __init__(self, *, bucket: Bucket, keys: BucketCredentials, store: ClosableStore, client: S3Client) -> None:
        super().__init__(bucket=bucket, keys=keys, store=store)
        self.client = client
        self.real_name = keys.credentials["bucket_name"]

    async def put(self, key: str, content: bytes) -> None:
        await self.client.put_object(Bucket=self.real_name, Key=key, Body=content)

    async def put_parts(self, key: str, parts: Sequence[bytes]) -> None:
        """Make a blob of parts as programs do that know of MD5s only."""
        begun = await self.client.create_multipart_upload(Bucket=self.real_name, Key=key)
        upload = begun["UploadId"]
        made: list[CompletedPartTypeDef] = []
        for number, part in enumerate(parts, start=1):
            sent = await self.client.upload_part(
                Bucket=self.real_name, Key=key, UploadId=upload, PartNumber=number, Body=part
            )
            made.append({"PartNumber": number, "ETag": sent["ETag"]})
        await self.client.complete_multipart_upload(
            Bucket=self.real_name, Key=key, UploadId=upload, MultipartUpload={"Parts": made}
        )

    async def get(self, key: str) -> bytes:
        answer = await self.client.get_object(Bucket=self.real_name, Key=key)
        async with answer["Body"] as body:
            return await body.read()

    async def names(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.real_name)
        return [item["Key"] async for page in pages for item in page.get("Contents", [])]

    async def unfinished(self) -> list[str] | None:
        answer = await self.client.list_multipart_uploads(Bucket=self.real_name)
        return [upload["Key"] for upload in answer.get("Uploads", [])]
