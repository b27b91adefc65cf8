"""A filesystem of another provider that people really have: what ``ObjectStoragePath("s3://…")`` stands on."""

from __future__ import annotations

import asyncio
import random

import pytest
from s3fs import S3FileSystem

from airflow_provider_neuro_buckets.buckets import TransferError
from airflow_provider_neuro_buckets.buckets.sharding import CopyJob, FilesystemEnd, SyncJob, plan_shards, run_shard
from buckets.sharding.sites import Site, Sites, run_all
from conformance.rigs.base import Rig

MIB = 1024 * 1024
LARGE = random.Random(9).randbytes(17 * MIB + 7)
TREE = {"large": LARGE, "empty": b"", "a b+%20#é": b"names", "d/e/f": b"deep", "d-e": b"beside", "d/e/[g]*?": b"magic"}
SIZE = sum(map(len, TREE.values()))


def opened(rig: Rig) -> S3FileSystem:
    keys = rig.keys.credentials
    return S3FileSystem(
        key=keys["access_key_id"],
        secret=keys["secret_access_key"],
        token=keys.get("session_token"),
        endpoint_url=keys["endpoint_url"],
        client_kwargs={"region_name": keys["region_name"]},
        skip_instance_cache=True,
    )


@pytest.fixture
async def theirs(sites: Sites) -> Site:
    """A bucket that is seen as a filesystem."""
    return await sites("aws")


@pytest.fixture
async def end(theirs: Site) -> FilesystemEnd:
    fs = await asyncio.to_thread(opened, theirs.rig)
    return FilesystemEnd(fs, f"{theirs.rig.keys.credentials['bucket_name']}/lake/")


async def test_into_a_bucket(aws: Site, theirs: Site, end: FilesystemEnd) -> None:
    await theirs.fill({f"lake/{key}": content for key, content in TREE.items()} | {"lake/": b"", "lake/d/": b""})
    plan, report = await run_all(CopyJob(end, aws.end("dst")), aws)
    assert await aws.holds("dst/") == TREE
    assert (plan.items, report.items, report.bytes) == (len(TREE), len(TREE), SIZE)


async def test_out_of_a_bucket(aws: Site, theirs: Site, end: FilesystemEnd) -> None:
    await aws.fill({f"src/{key}": content for key, content in TREE.items()})
    _, report = await run_all(CopyJob(aws.end("src"), end), aws)
    assert await theirs.holds("lake/") == TREE
    assert (report.items, report.bytes) == (len(TREE), SIZE)
    assert report.verified >= len(TREE) - 2  # nothing is known of what was sent in parts, or is empty


async def test_a_synchronisation(aws: Site, theirs: Site, end: FilesystemEnd) -> None:
    await aws.fill({f"src/{key}": content for key, content in TREE.items()})
    await theirs.fill({"lake/d-e": b"before", "lake/extra": b"1", "lake/x/extra": b"2", "lake-not": b"3"})
    job = SyncJob(aws.end("src"), end, delete_extra=True)
    _, report = await run_all(job, aws)
    assert (report.items, report.deleted) == (len(TREE), 2)
    assert await theirs.holds("lake/") == TREE
    # What was sent in parts of another size has another ETag, and its time is too close to tell.
    again = await plan_shards(job, work=aws.work, shards=1)
    assert [line["key"] for shard in again.shards for line in await aws.lines(shard)] in ([], ["large"])


async def test_a_file_that_has_changed_since_is_not_taken_for_the_one_that_was_planned(
    aws: Site, theirs: Site, end: FilesystemEnd
) -> None:
    await theirs.fill({"lake/a": b"1"})
    job = CopyJob(end, aws.end("dst"))
    plan = await plan_shards(job, work=aws.work, shards=1)
    await theirs.fill({"lake/a": b"22"})
    with pytest.raises(OSError, match="instead of 1"):
        await run_shard(plan.shards[0], job, work=aws.buckets)
    assert await aws.holds("dst/") == {}


async def test_a_bucket_that_is_not_there_is_not_made(aws: Site, end: FilesystemEnd) -> None:
    await aws.fill({"src/a": b"1"})
    job = CopyJob(aws.end("src"), FilesystemEnd(end.fs, "no-such-bucket/lake"))
    plan = await plan_shards(job, work=aws.work, shards=1)
    with pytest.raises(TransferError, match="1 of 1 items"):
        await run_shard(plan.shards[0], job, work=aws.buckets)
    assert not await asyncio.to_thread(end.fs.exists, "no-such-bucket")
