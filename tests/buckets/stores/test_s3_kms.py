"""Blobs encrypted with keys of AWS KMS: their ETag looks like an MD5 and is none, and a listing does not tell."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import (
    Buckets,
    BucketsConfig,
    PersistentBucketCredentials,
    TransferError,
    persistent_secret,
)
from buckets.stores.s3_scripts import BUCKET, etag_of, keys_of
from faults.crafted import Answer, Asked, Choice, CraftedServer, crafted, reply

CIPHER = etag_of(b"of the cipher text")
KMS = {"x-amz-server-side-encryption": "aws:kms"}


def bucket_of(content: bytes, headers: Mapping[str, str], *, etag: str = CIPHER, part: int | None = None) -> Choice:
    """Be a bucket with one blob, whose ETag is not the MD5 of its content, nor made of those of its parts."""
    size = len(content)
    item = f"<Contents><Key>blob</Key><Size>{size}</Size><ETag>{etag}</ETag></Contents>"
    said = {"ETag": etag, **headers}

    def choose(asked: Asked) -> Answer:
        if "list-type" in asked.query:
            return reply(200, f"<ListBucketResult>{item}</ListBucketResult>".encode())
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
