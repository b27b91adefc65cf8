"""The client itself on every provider, with persistent credentials only: no token and no platform."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from airflow_provider_neuro_buckets.buckets import (
    BlobCommonPrefix,
    Buckets,
    BucketsConfig,
    BucketUsage,
    ConfigurationError,
    PersistentBucketCredentials,
    ResourceNotFound,
    UnsupportedProvider,
    persistent_secret,
)
from airflow_provider_neuro_buckets.buckets.stores.base import Capability
from conformance.hostile import HOSTILE, try_each
from conformance.rigs.base import Rig


@pytest.fixture
async def buckets(rig: Rig) -> AsyncIterator[Buckets]:
    """A client that knows the rig's bucket by its credentials, and nothing else."""
    lasting = PersistentBucketCredentials(
        id="credentials-of-the-rig",
        owner="tester",
        name=None,
        read_only=False,
        cluster_name=rig.bucket.cluster_name,
        credentials=[rig.keys],
    )
    async with Buckets.open(BucketsConfig(persistent_credentials=persistent_secret(lasting, [rig.bucket]))) as buckets:
        yield buckets


def at(rig: Rig, key: str = "") -> str:
    return f"blob:{rig.bucket.name}/{key}"


async def read(buckets: Buckets, bucket: str, key: str, *, offset: int = 0) -> bytes:
    async with buckets.fetch_blob(bucket, key, offset=offset) as content:
        return b"".join([chunk async for chunk in content])


async def test_a_blob_is_put_looked_up_read_listed_and_deleted(rig: Rig, buckets: Buckets) -> None:
    for bucket in (str(rig.bucket.name), rig.bucket.id, str(rig.bucket.uri)):
        await buckets.put_blob(bucket, "dir/blob", b"content")
        entry = await buckets.head_blob(bucket, "dir/blob")
        assert (entry.key, entry.size, entry.name, entry.bucket.id) == ("dir/blob", 7, "blob", rig.bucket.id)
        assert str(entry.uri) == f"{rig.bucket.uri}/dir/blob"
        assert await read(buckets, bucket, "dir/blob") == b"content"
        assert await read(buckets, bucket, "dir/blob", offset=5) == b"nt"
        assert await read(buckets, bucket, "dir/blob", offset=7) == b""
        await buckets.delete_blob(bucket, "dir/blob")
        await buckets.delete_blob(bucket, "dir/blob")
        with pytest.raises(ResourceNotFound):
            await buckets.head_blob(bucket, "dir/blob")
        with pytest.raises(FileNotFoundError):
            await read(buckets, bucket, "dir/blob")
    assert await rig.names() == []


async def test_every_form_of_an_address_leads_to_the_same_blob(rig: Rig, buckets: Buckets) -> None:
    await rig.put("a b", b"content")
    for bucket in (rig.bucket.name, rig.bucket.id):
        for start in ("blob:", "blob:/test-project/", "blob://test-cluster/test-org/test-project/"):
            assert (await buckets.stat_blob(f"{start}{bucket}/a%20b")).size == 7


async def test_a_listing_folds_at_slashes_and_counts_both_kinds(rig: Rig, buckets: Buckets) -> None:
    for key in ("a", "d/1", "d/2", "dd/3"):
        await rig.put(key, b"")
    level = [entry async for entry in buckets.list_blobs(at(rig))]
    assert sorted(entry.key for entry in level) == ["a", "d/", "dd/"]
    assert sorted(entry.key for entry in level if isinstance(entry, BlobCommonPrefix)) == ["d/", "dd/"]
    assert sorted([entry.key async for entry in buckets.list_blobs(at(rig, "d"), recursive=True)]) == [
        "d/1",
        "d/2",
        "dd/3",
    ]
    assert len([entry async for entry in buckets.list_blobs(at(rig), limit=2)]) == 2
    assert [entry async for entry in buckets.list_blobs(at(rig, "nope"))] == []


async def test_a_glob_finds_blobs_and_folders(rig: Rig, buckets: Buckets) -> None:
    for key in ("top.csv", "d/a.csv", "d/b.txt", "d/e/c.csv"):
        await rig.put(key, b"")

    async def found(pattern: str) -> list[str]:
        return sorted([entry.key async for entry in buckets.glob_blobs(at(rig, pattern))])

    assert await found("**/*.csv") == ["d/a.csv", "d/e/c.csv", "top.csv"]
    assert await found("d/*") == ["d/a.csv", "d/b.txt", "d/e/"]
    assert await found("d/[ab].*") == ["d/a.csv", "d/b.txt"]
    assert await found("*/") == ["d/"]


async def test_a_folder_is_told_from_a_blob_and_removed_with_all_below_it(rig: Rig, buckets: Buckets) -> None:
    for key in ("d", "d/1", "d/e/2", "dd"):
        await rig.put(key, b"")
    assert await buckets.blob_is_dir(at(rig, "d"))
    assert not await buckets.blob_is_dir(at(rig, "dd"))
    with pytest.raises(IsADirectoryError):
        await buckets.blob_rm(at(rig, "d"))
    await buckets.blob_rm(at(rig, "d"), recursive=True)
    assert await rig.names() == ["dd"]
    with pytest.raises(ResourceNotFound):
        await buckets.blob_rm(at(rig, "d"), recursive=True)


async def test_disk_usage_ends_with_the_sum_of_everything(rig: Rig, buckets: Buckets) -> None:
    bucket = str(rig.bucket.name)
    assert [usage async for usage in buckets.get_disk_usage(bucket)] == [BucketUsage(total_bytes=0, object_count=0)]
    for key, size in (("a", 0), ("b/c", 10), ("b/d", 5)):
        await rig.put(key, b"x" * size)
    assert [usage async for usage in buckets.get_disk_usage(bucket)][-1] == BucketUsage(total_bytes=15, object_count=3)


async def test_a_folder_goes_up_and_comes_down_again_as_it_was(rig: Rig, buckets: Buckets, tmp_path: Path) -> None:
    files = {"top.bin": b"\x00\xff" * 1000, "d/empty": b"", "d/e/sp ace \u00e9.txt": b"text"}
    for name, content in files.items():
        (tmp_path / "up" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / name).write_bytes(content)
    report = await buckets.upload_dir(tmp_path / "up", at(rig, "run 7"))
    assert (report.files, report.bytes) == (3, 2004)
    assert sorted(await rig.names()) == sorted(f"run 7/{name}" for name in files)
    await buckets.download_dir(at(rig, "run 7"), tmp_path / "down")
    assert {
        str(path.relative_to(tmp_path / "down")): path.read_bytes()
        for path in (tmp_path / "down").rglob("*")
        if path.is_file()
    } == files
    assert (await buckets.download_dir(at(rig, "run 7"), tmp_path / "down", update=True)).unchanged == 3


@pytest.mark.needs(Capability.SIGN)
async def test_a_url_is_signed_by_the_credentials_of_the_bucket(rig: Rig, buckets: Buckets) -> None:
    await rig.put("a b/100%", b"content")
    url = await buckets.make_signed_url(at(rig, "a b/100%25"), expires_in_seconds=60)
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, b"content")


async def test_a_provider_that_cannot_sign_says_so(rig: Rig, buckets: Buckets) -> None:
    if Capability.SIGN in rig.store.capabilities:
        pytest.skip(f"{rig.provider} can")
    with pytest.raises(UnsupportedProvider):
        await buckets.make_signed_url(at(rig, "blob"))


async def test_the_connection_is_proved_by_listing_its_buckets(rig: Rig, buckets: Buckets) -> None:
    assert await buckets.check() == f"persistent credentials for {rig.bucket.uri}"
    assert [bucket async for bucket in buckets.list()] == [rig.bucket]
    assert await buckets.get(str(rig.bucket.name)) == rig.bucket
    with pytest.raises(ConfigurationError, match="has persistent credentials only"):
        await buckets.create("another")


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_key_is_reached_by_its_name_its_pattern_and_its_address(
    rig: Rig, buckets: Buckets, kind: str, subtests: pytest.Subtests
) -> None:
    async def check(key: str) -> None:
        bucket, content = str(rig.bucket.name), key.encode()
        await buckets.put_blob(bucket, key, content)
        assert (await buckets.head_blob(bucket, key)).key == key
        assert await read(buckets, bucket, key) == content
        (entry,) = [entry async for entry in buckets.list_blobs(at(rig), recursive=True)]
        assert entry.key == key
        escaped = re.sub(r"[*?\[\]\\]", r"\\\g<0>", key)
        assert [found.key async for found in buckets.glob_blobs(at(rig, escaped))] == [key]
        assert (await buckets.stat_blob(entry.uri)).key == key
        assert (await buckets.stat_blob(str(entry.uri))).key == key
        await buckets.blob_rm(entry.uri, recursive=key.endswith("/"))
        assert await rig.names() == []

    await try_each(rig, kind, subtests, check)
