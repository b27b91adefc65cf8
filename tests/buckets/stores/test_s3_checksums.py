"""The checksums that real servers keep for who asks for one, and that they are those of the content."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Literal

import pytest

from airflow_provider_neuro_buckets.buckets.transfer.checksum import has_checksum
from conformance.rigs.registry import Servers
from conformance.rigs.s3 import S3Rig

if TYPE_CHECKING:
    from types_aiobotocore_s3.literals import ChecksumAlgorithmType
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PART = 5 * 1024 * 1024
CONTENT = random.Random(1).randbytes(PART + 1000)
OTHER = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])


@pytest.fixture(params=["aws", "seaweedfs"])
async def s3(request: pytest.FixtureRequest, servers: Servers) -> AsyncIterator[S3Rig]:
    async with servers.running(request.param).rig() as rig:
        assert isinstance(rig, S3Rig)
        yield rig


async def has(rig: S3Rig, content: bytes) -> bool | None:
    checksum = await rig.store.checksum(await rig.store.head("blob"))
    assert checksum is not None
    return has_checksum(checksum, len(CONTENT), lambda start, stop: content[start:stop])


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
async def test_of_a_blob_in_one_piece(s3: S3Rig, algorithm: ChecksumAlgorithmType) -> None:
    await s3.client.put_object(Bucket=s3.real_name, Key="blob", Body=CONTENT, ChecksumAlgorithm=algorithm)
    assert await has(s3, CONTENT) is True
    assert await has(s3, OTHER) is False


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
async def test_of_a_blob_of_parts(servers: Servers, kind: Literal["COMPOSITE", "FULL_OBJECT"]) -> None:
    async with servers.running("seaweedfs").rig() as rig:  # moto keeps none of such a blob
        assert isinstance(rig, S3Rig)
        client, bucket = rig.client, rig.real_name
        begun = await client.create_multipart_upload(
            Bucket=bucket, Key="blob", ChecksumAlgorithm="CRC32", ChecksumType=kind
        )
        upload = begun["UploadId"]
        parts: list[CompletedPartTypeDef] = []
        for number, body in enumerate((CONTENT[:PART], CONTENT[PART:]), start=1):
            sent = await client.upload_part(
                Bucket=bucket, Key="blob", UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32"
            )
            parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumCRC32": sent["ChecksumCRC32"]})
        await client.complete_multipart_upload(
            Bucket=bucket, Key="blob", UploadId=upload, MultipartUpload={"Parts": parts}, ChecksumType=kind
        )
        assert await has(rig, CONTENT) is True
        assert await has(rig, OTHER) is (None if kind == "COMPOSITE" else False)  # it may be made of other parts
