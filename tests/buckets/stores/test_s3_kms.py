"""Blobs encrypted with keys of AWS KMS: their ETag looks like an MD5 and is none, and a listing does not tell."""

from __future__ import annotations

import hashlib
import random
import zlib
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import google_crc32c
import pytest

from airflow_provider_neuro_buckets.buckets import (
    Buckets,
    BucketsConfig,
    IntegrityError,
    PersistentBucketCredentials,
    TransferError,
    persistent_secret,
)
from buckets.stores.s3_scripts import BUCKET, etag_of, keys_of
from faults.crafted import Answer, Asked, Choice, CraftedServer, crafted, reply

CIPHER = etag_of(b"of the cipher text")
KMS = {"x-amz-server-side-encryption": "aws:kms"}


def bucket_of(
    content: bytes,
    headers: Mapping[str, str],
    *,
    etag: str = CIPHER,
    part: int | None = None,
    kept: dict[str, str] | None = None,
) -> Choice:
    """Be a bucket with one blob, whose ETag is not the MD5 of its content, nor made of those of its parts.

    :param kept: checksums by their headers, for who asks for them.
    """
    size = len(content)
    item = f"<Contents><Key>blob</Key><Size>{size}</Size><ETag>{etag}</ETag></Contents>"
    said = {"ETag": etag, **headers}

    def choose(asked: Asked) -> Answer:
        if "list-type" in asked.query:
            return reply(200, f"<ListBucketResult>{item}</ListBucketResult>".encode())
        if asked.headers.get("x-amz-checksum-mode") == "ENABLED":
            return reply(200, content, said | (kept or {}))
        if asked.query == "partNumber=1":
            return reply(206, content[:part], said)
        wanted = asked.headers.get("Range")
        if wanted is None:
            return reply(200, content, said)
        start, last = map(int, wanted.removeprefix("bytes=").split("-"))
        return reply(206, content[start : last + 1], {**said, "Content-Range": f"bytes {start}-{last}/{size}"})

    return choose


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@asynccontextmanager
async def client_at(server: CraftedServer) -> AsyncIterator[Buckets]:
    lasting = PersistentBucketCredentials(
        id="credentials",
        owner="tester",
        name=None,
        read_only=False,
        cluster_name=BUCKET.cluster_name,
        credentials=[keys_of(server)],
    )
    async with Buckets.open(BucketsConfig(persistent_credentials=persistent_secret(lasting, [BUCKET]))) as buckets:
        yield buckets


@pytest.mark.parametrize("size", [10, 20 * 1024 * 1024])
async def test_a_folder_of_encrypted_blobs_is_downloaded(tmp_path: Path, size: int) -> None:
    async with crafted(bucket_of(bytes(size), KMS)) as server, client_at(server) as buckets:
        await buckets.download_dir(f"{BUCKET.uri}/", tmp_path)
    assert (tmp_path / "blob").read_bytes() == bytes(size)


@pytest.mark.parametrize("size", [10, 20 * 1024 * 1024])
async def test_a_blob_that_is_not_encrypted_must_have_its_md5(tmp_path: Path, size: int) -> None:
    async with crafted(bucket_of(bytes(size), {})) as server, client_at(server) as buckets:
        with pytest.raises(TransferError, match="MD5"):
            await buckets.download_dir(f"{BUCKET.uri}/", tmp_path)
    assert names_in(tmp_path) == []


OF_PARTS = f'"{CIPHER.strip(chr(34))}-3"'
PART = 8 * 1024 * 1024


async def test_encrypted_blobs_of_parts_are_downloaded_and_counted_as_not_verified(tmp_path: Path) -> None:
    bucket = bucket_of(bytes(20 * 1024 * 1024), KMS, etag=OF_PARTS, part=PART)
    async with crafted(bucket) as server, client_at(server) as buckets:
        report = await buckets.download_dir(f"{BUCKET.uri}/", tmp_path)
    assert (report.files, report.verified) == (1, 0)
    assert (tmp_path / "blob").read_bytes() == bytes(20 * 1024 * 1024)


async def test_a_blob_of_parts_that_is_not_encrypted_must_have_the_etag_of_its_parts(tmp_path: Path) -> None:
    bucket = bucket_of(bytes(20 * 1024 * 1024), {}, etag=OF_PARTS, part=PART)
    async with crafted(bucket) as server, client_at(server) as buckets:
        with pytest.raises(TransferError, match="MD5s of its parts"):
            await buckets.download_dir(f"{BUCKET.uri}/", tmp_path)
    assert names_in(tmp_path) == []


async def test_a_blob_of_parts_of_which_nobody_tells_the_size_is_kept_and_counted_as_not_verified(
    tmp_path: Path,
) -> None:
    bucket = bucket_of(bytes(20 * 1024 * 1024), {}, etag=OF_PARTS)
    async with crafted(bucket) as server, client_at(server) as buckets:
        report = await buckets.download_dir(f"{BUCKET.uri}/", tmp_path)
    assert (report.files, report.verified) == (1, 0)


def crc32(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "big")


def header(algorithm: str, value: bytes, parts: int | None = None) -> dict[str, str]:
    return {f"x-amz-checksum-{algorithm}": b64encode(value).decode() + (f"-{parts}" if parts else "")}


LARGE = random.Random(1).randbytes(20 * 1024 * 1024)
CRC32_OF_PARTS = crc32(b"".join(crc32(LARGE[at : at + PART]) for at in range(0, len(LARGE), PART)))


@pytest.mark.parametrize(
    ("content", "etag", "kept"),
    [
        (b"small", CIPHER, header("crc32", crc32(b"small"))),
        (b"small", CIPHER, header("sha1", hashlib.sha1(b"small").digest())),
        (b"small", CIPHER, header("sha256", hashlib.sha256(b"small").digest())),
        (b"small", CIPHER, header("crc32c", google_crc32c.Checksum(b"small").digest())),
        (b"123456789", CIPHER, header("crc64nvme", bytes.fromhex("ae8b14860a799888"))),
        (LARGE, CIPHER, header("crc32", crc32(LARGE))),
        (LARGE, OF_PARTS, header("crc32", crc32(LARGE)) | {"x-amz-checksum-type": "FULL_OBJECT"}),
        (LARGE, OF_PARTS, header("crc32", CRC32_OF_PARTS, 3)),
    ],
    ids=["crc32", "sha1", "sha256", "crc32c", "crc64nvme", "large", "of the whole of parts", "of parts"],
)
async def test_an_encrypted_blob_is_verified_by_another_checksum_that_s3_keeps(
    tmp_path: Path, content: bytes, etag: str, kept: dict[str, str]
) -> None:
    async with crafted(bucket_of(content, KMS, etag=etag, kept=kept)) as server, client_at(server) as buckets:
        report = await buckets.download_dir(f"{BUCKET.uri}/", tmp_path)
    assert (report.files, report.verified) == (1, 1)
    assert (tmp_path / "blob").read_bytes() == content


@pytest.mark.parametrize("kept", [header("crc32", crc32(LARGE)), header("crc32", CRC32_OF_PARTS, 3)])
async def test_of_a_large_blob_the_crc32_is_enough(tmp_path: Path, kept: dict[str, str]) -> None:
    async with crafted(bucket_of(LARGE, {}, etag=OF_PARTS, kept=kept)) as server, client_at(server) as buckets:
        report = await buckets.download_dir(f"{BUCKET.uri}/", tmp_path)
    assert (report.files, report.verified) == (1, 1)
    assert len(server.asked_by("HEAD")) == 1


@pytest.mark.parametrize(("content", "etag"), [(b"small", CIPHER), (LARGE, OF_PARTS)], ids=["small", "of parts"])
async def test_an_encrypted_blob_that_arrives_with_another_checksum_is_refused(
    tmp_path: Path, content: bytes, etag: str
) -> None:
    bucket = bucket_of(content, KMS, etag=etag, kept=header("crc32", crc32(b"something else")))
    async with crafted(bucket) as server, client_at(server) as buckets:
        with pytest.raises(TransferError, match="CRC32"):
            await buckets.download_dir(f"{BUCKET.uri}/", tmp_path)
        with pytest.raises(IntegrityError, match="CRC32"):
            await buckets.download_file(f"{BUCKET.uri}/blob", tmp_path / "blob")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "kept",
    [
        header("crc16", bytes(2)),
        header("crc32", crc32(b"of parts of which nobody knows the size"), 2),
        {"x-amz-checksum-crc32": "no+base64"},
    ],
    ids=["unknown", "of parts of unusual size", "garbled"],
)
async def test_a_checksum_that_cannot_be_compared_proves_nothing(tmp_path: Path, kept: dict[str, str]) -> None:
    async with crafted(bucket_of(LARGE, KMS, kept=kept)) as server, client_at(server) as buckets:
        report = await buckets.download_dir(f"{BUCKET.uri}/", tmp_path)
    assert (report.files, report.verified) == (1, 0)
    assert (tmp_path / "blob").read_bytes() == LARGE
