"""Blobs, end to end on the local platform: what the front desk itself promises on top of stores and transfers."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from airflow_provider_neuro_buckets.buckets import (
    BlobObject,
    Bucket,
    Buckets,
    ConfigurationError,
    InvalidAddress,
    IsADirectory,
    ResourceNotFound,
    client,
)
from airflow_provider_neuro_buckets.local.child import RunningPlatform


@pytest.fixture
async def buckets(neuro_buckets_local: RunningPlatform) -> AsyncIterator[Buckets]:
    async with Buckets.open(neuro_buckets_local.config) as buckets:
        yield buckets


@pytest.fixture
async def bucket(buckets: Buckets) -> AsyncIterator[Bucket]:
    bucket = await buckets.create(f"test-{uuid.uuid4().hex[:12]}")
    yield bucket
    await buckets.rm(bucket.id, force=True)


async def put(buckets: Buckets, bucket: Bucket, *keys: str) -> None:
    await asyncio.gather(*(buckets.put_blob(bucket.id, key, b"") for key in keys))


async def test_a_put_replaces_and_takes_bytes_of_every_kind(buckets: Buckets, bucket: Bucket) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b"", b"one ", b"two"):
            yield chunk

    for body, expected in (
        (b"bytes", b"bytes"),
        (bytearray(b"array"), b"array"),
        (memoryview(b"a view")[2:], b"view"),
        (chunks(), b"one two"),
        (b"", b""),
    ):
        await buckets.put_blob(bucket.id, "key", body)
        async with buckets.fetch_blob(bucket.id, "key") as content:
            assert b"".join([chunk async for chunk in content]) == expected


async def test_a_body_that_fails_leaves_what_was_there(buckets: Buckets, bucket: Bucket) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 9 * 1024 * 1024  # more than fits one part
        raise RuntimeError("the source broke")

    await buckets.put_blob(bucket.id, "key", b"whole")
    with pytest.raises(RuntimeError, match="the source broke"):
        await buckets.put_blob(bucket.id, "key", broken())
    assert (await buckets.head_blob(bucket.id, "key")).size == 5


async def test_a_fetch_beyond_the_end_is_an_error_and_at_the_end_nothing(buckets: Buckets, bucket: Bucket) -> None:
    await buckets.put_blob(bucket.id, "key", b"12345")
    assert [chunk async for chunk in buckets.fetch_blob(bucket.id, "key", offset=5)] == []
    for offset in (6, -1):
        with pytest.raises(ValueError, match="offset"):
            _ = [chunk async for chunk in buckets.fetch_blob(bucket.id, "key", offset=offset)]


async def test_a_stream_asks_nothing_before_it_is_read_and_may_be_left_early(buckets: Buckets) -> None:
    stream = buckets.list_blobs("blob:no-such-bucket/")
    await stream.aclose()
    async with buckets.fetch_blob("no-such-bucket", "key"):
        pass
    with pytest.raises(ResourceNotFound):
        _ = [entry async for entry in buckets.list_blobs("blob:no-such-bucket/")]


async def test_a_listing_cut_by_the_default_limit_warns_once(
    buckets: Buckets, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client, "LIST_LIMIT", 3)  # the default of the signature stays: it is passed by hand below
    await put(buckets, bucket, "a", "b", "c")
    caplog.set_level(logging.WARNING)
    assert len([entry async for entry in buckets.list_blobs(f"blob:{bucket.id}/", limit=3)]) == 3
    assert not caplog.records
    await put(buckets, bucket, "d")
    assert len([entry async for entry in buckets.list_blobs(f"blob:{bucket.id}/", limit=3)]) == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"The listing of blob:{bucket.id}/ ends at the default limit of 3; pass limit="
    ]
    assert len([entry async for entry in buckets.list_blobs(f"blob:{bucket.id}/", limit=None)]) == 4
    assert len([entry async for entry in buckets.list_blobs(f"blob:{bucket.id}/", limit=2)]) == 2
    assert len(caplog.records) == 1


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_of_nothing_is_an_error(buckets: Buckets, limit: int) -> None:
    with pytest.raises(ConfigurationError, match="Pass None to list all"):
        _ = [entry async for entry in buckets.list_blobs("blob:data/", limit=limit)]


async def test_a_prefix_is_no_folder_and_a_bucket_no_prefix_of_another(buckets: Buckets, bucket: Bucket) -> None:
    await put(buckets, bucket, "d/1", "dd/2", "d.txt")
    assert [entry.key async for entry in buckets.list_blobs(f"blob:{bucket.id}/d")] == ["d/", "dd/", "d.txt"]
    assert [entry.key async for entry in buckets.list_blobs(f"blob:{bucket.id}/d/")] == ["d/1"]
    with pytest.raises(ResourceNotFound):
        await buckets.stat_blob(f"blob:{str(bucket.name)[:-1]}/d.txt")


@pytest.mark.parametrize("make", [str, URL])
async def test_globs_as_text_and_as_url_find_the_same(buckets: Buckets, bucket: Bucket, make: Any) -> None:
    await put(buckets, bucket, "a/x1.csv", "a/x2.csv", "a/y1.csv", "b.csv")
    pattern = "a/x?.c[st]v"
    if make is URL:
        pattern = pattern.replace("?", "%3F").replace("[", "%5B")
    found = [entry async for entry in buckets.glob_blobs(make(f"blob:{bucket.id}/{pattern}"))]
    assert [entry.key for entry in found] == ["a/x1.csv", "a/x2.csv"]
    assert all(isinstance(entry, BlobObject) for entry in found)


@pytest.mark.parametrize("pattern", ["blob:*/a", "blob:/ml/d?ta/x", "https://x/*", "blob:data", "blob:data/"])
async def test_a_pattern_that_looks_into_no_bucket_is_an_error(buckets: Buckets, pattern: str) -> None:
    with pytest.raises((InvalidAddress, ResourceNotFound)) as caught:
        _ = [entry async for entry in buckets.glob_blobs(pattern)]
    assert pattern in str(caught.value) or pattern.startswith("blob:data")


async def test_an_empty_pattern_is_an_error(buckets: Buckets, bucket: Bucket) -> None:
    with pytest.raises(InvalidAddress, match="empty"):
        _ = [entry async for entry in buckets.glob_blobs(f"blob:{bucket.id}/")]


async def test_an_empty_key_is_an_error(buckets: Buckets, bucket: Bucket) -> None:
    for call in (buckets.head_blob(bucket.id, ""), buckets.put_blob(bucket.id, "", b""), buckets.stat_blob(bucket.uri)):
        with pytest.raises(InvalidAddress, match="key of the blob is empty"):
            await call


async def test_the_bucket_itself_is_a_folder(buckets: Buckets, bucket: Bucket, tmp_path: Path) -> None:
    assert await buckets.blob_is_dir(bucket.uri)
    assert not await buckets.blob_is_dir(f"blob:{bucket.id}/nope")
    with pytest.raises(IsADirectory):
        await buckets.blob_rm(f"blob:{bucket.id}")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(IsADirectoryError):
        await buckets.upload_file(tmp_path / "file", f"blob:{bucket.id}/")


async def test_a_file_goes_up_and_comes_down(buckets: Buckets, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "up 1").write_bytes(b"content")
    report = await buckets.upload_file(URL(f"file://{tmp_path}/up%201"), f"blob:{bucket.name}/d/file")
    assert (report.files, report.bytes) == (1, 7)
    await buckets.download_file(f"blob:/demo/{bucket.name}/d/file", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == b"content"
    (tmp_path / "up 1").write_bytes(b"other content")
    assert (await buckets.upload_file(tmp_path / "up 1", f"blob:{bucket.id}/d/file", update=True)).files == 1
    assert (await buckets.head_blob(bucket.id, "d/file")).size == 13
