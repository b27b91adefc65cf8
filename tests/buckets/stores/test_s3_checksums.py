"""The checksums that a real server keeps for who asks for one, and that they are those of the content."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal

import pytest

from airflow_provider_neuro_buckets.buckets.transfer.checksum import has_checksum
from conformance.rigs.seaweedfs import SeaweedRig

if TYPE_CHECKING:
    from types_aiobotocore_s3.literals import ChecksumAlgorithmType
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PART = 5 * 1024 * 1024
CONTENT = random.Random(1).randbytes(PART + 1000)
OTHER = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])


async def has(rig: SeaweedRig, content: bytes) -> bool | None:
    checksum = await rig.store.checksum(await rig.store.head("blob"))
    assert checksum is not None
    return has_checksum(checksum, len(CONTENT), lambda start, stop: content[start:stop])


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
async def test_of_a_blob_in_one_piece(seaweed_rig: SeaweedRig, algorithm: ChecksumAlgorithmType) -> None:
    bucket = seaweed_rig.real_name
    await seaweed_rig.client.put_object(Bucket=bucket, Key="blob", Body=CONTENT, ChecksumAlgorithm=algorithm)
    assert await has(seaweed_rig, CONTENT) is True
    assert await has(seaweed_rig, OTHER) is False


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
async def test_of_a_blob_of_parts(seaweed_rig: SeaweedRig, kind: Literal["COMPOSITE", "FULL_OBJECT"]) -> None:
    client, bucket = seaweed_rig.client, seaweed_rig.real_name
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
    assert await has(seaweed_rig, CONTENT) is True
    assert await has(seaweed_rig, OTHER) is (None if kind == "COMPOSITE" else False)  # it may be made of other parts
