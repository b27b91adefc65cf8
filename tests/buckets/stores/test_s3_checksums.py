"""The checksums that a real server keeps for who asks for one, and that they are those of the content."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal

import pytest

from airflow_provider_neuro_buckets.buckets.errors import BadRequest, IntegrityError, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.stores.base import Proof
from airflow_provider_neuro_buckets.buckets.stores.checksums import Checksum
from airflow_provider_neuro_buckets.buckets.stores.crc import Crc, crc32
from airflow_provider_neuro_buckets.buckets.stores.s3_address import is_tamper_proof
from airflow_provider_neuro_buckets.buckets.transfer.checksum import has_checksum
from conformance.rigs.base import Rig
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


async def test_a_large_blob_that_is_written_in_one_piece_keeps_one(seaweed_rig: SeaweedRig) -> None:
    made = await seaweed_rig.store.write("blob", CONTENT)
    assert made.proof is Proof.CHECKSUM
    assert await seaweed_rig.store.checksum(made) == Checksum("crc32", Crc.CRC32.bytes_of(crc32(CONTENT)))
    assert await seaweed_rig.get("blob") == CONTENT


async def test_an_upload_in_parts_keeps_one_of_the_whole(seaweed_rig: SeaweedRig) -> None:
    async with seaweed_rig.store.multipart("blob") as upload:
        await upload.put_part(2, CONTENT[PART:])
        await upload.put_part(1, CONTENT[:PART])
        made = await upload.complete()
    assert made.proof is Proof.CHECKSUM
    assert await seaweed_rig.store.checksum(made) == Checksum("crc32", Crc.CRC32.bytes_of(crc32(CONTENT)))
    assert await seaweed_rig.get("blob") == CONTENT


async def test_moto_keeps_one_as_well_and_the_md5s_of_the_parts_prove_them(moto_rig: Rig) -> None:
    async with moto_rig.store.multipart("blob") as upload:
        for number, body in enumerate((CONTENT[:PART], CONTENT[PART:]), start=1):
            await upload.put_part(number, body)
        assert (await upload.complete()).proof is Proof.CHECKSUM
    assert await moto_rig.get("blob") == CONTENT


async def test_parts_that_were_left_are_gone_on_with_and_the_whole_has_its_checksum(seaweed_rig: SeaweedRig) -> None:
    async with seaweed_rig.store.resume("blob", None) as upload:
        await upload.put_part(1, CONTENT[:PART])
        upload.keep()
        note = upload.note()

    async def part(_: int) -> bytes | None:
        pytest.fail("the note says which parts are there")

    async with seaweed_rig.store.resume("blob", part, note=note) as upload:
        await upload.put_part(1, CONTENT[:PART])
        await upload.put_part(2, CONTENT[PART:])
        made = await upload.complete()
    assert upload.spared == PART
    assert await seaweed_rig.store.checksum(made) == Checksum("crc32", Crc.CRC32.bytes_of(crc32(CONTENT)))


async def test_a_part_that_was_left_of_other_content_is_not_taken_for_it(seaweed_rig: SeaweedRig) -> None:
    async with seaweed_rig.store.resume("blob", None) as upload:
        await upload.put_part(1, bytes([CONTENT[0] ^ 1]) + CONTENT[1:PART])
        upload.keep()
        note = upload.note()

    async def go_on() -> None:
        async with seaweed_rig.store.resume("blob", None, note=note) as upload:
            await upload.put_part(1, CONTENT[:PART])
            await upload.put_part(2, CONTENT[PART:])
            await upload.complete()

    with pytest.raises((BadRequest, ResourceNotFound, IntegrityError)):
        await go_on()


@pytest.mark.parametrize(
    ("url", "is_it"),
    [
        ("https://storage.example", True),
        ("http://127.0.0.1:9000", True),
        ("http://[::1]:9000", True),
        ("http://localhost", True),
        ("http://minio.internal:9000", False),
        ("http://10.0.0.1", False),
    ],
)
def test_where_others_could_change_what_is_sent_a_crc32_is_not_enough(url: str, is_it: bool) -> None:  # noqa: FBT001 - parametrised
    assert is_tamper_proof({"endpoint_url": url, "bucket_name": "bucket"}) is is_it
