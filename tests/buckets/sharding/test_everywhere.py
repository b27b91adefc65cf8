"""Whole jobs, from plan to conclusion, between ends of every kind."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from airflow_provider_neuro_buckets.buckets.sharding import (
    BucketEnd,
    CopyJob,
    DeleteJob,
    FilesystemEnd,
    FolderEnd,
    SyncJob,
)
from buckets.sharding.sites import Site, Sites, files_of, run_all
from buckets.transfer.clients import at, client
from buckets.transfer.trees import plant, snapshot
from metered import metered

# Azure's SDK, around the store, hands large bodies to aiohttp in one piece.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

MIB = 1024 * 1024
LARGE = random.Random(7).randbytes(17 * MIB + 7)
TREE = {"large": LARGE, "empty": b"", "a b+%20#é": b"names", "d/e/f": b"deep", "d/e/g": b"deeper", "d-e": b"beside"}
SIZE = sum(map(len, TREE.values()))


def below(folder: str, tree: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{key}": content for key, content in tree.items()}


@pytest.mark.parametrize(
    "pair", ["aws aws", "aws azure", "azure aws", "seaweedfs aws", "aws seaweedfs", "gcp aws", "aws gcp"]
)
async def test_from_bucket_to_bucket_with_a_client_of_each(pair: str, sites: Sites) -> None:
    src, dst = [await sites(name) for name in pair.split()]
    await src.fill(below("src", TREE))
    plan, report = await run_all(CopyJob(src.end("src"), dst.end("dst")), dst)
    assert await dst.holds("dst/") == TREE
    assert (plan.items, plan.bytes, plan.unchanged, plan.extra) == (len(TREE), SIZE, 0, 0)
    assert (report.items, report.bytes, report.moved, report.failed) == (len(TREE), SIZE, SIZE, 0)
    assert await dst.left_of_work() == ["report.json"]


async def test_within_a_bucket(aws: Site) -> None:
    await aws.fill(below("src", TREE))
    await run_all(CopyJob(aws.end("src"), aws.end("dst")), aws)
    assert await aws.holds("dst/") == TREE


async def test_what_a_service_copies_by_itself_does_not_pass_through_here_whichever_client_asks(
    aws: Site, aws_too: Site
) -> None:
    await aws.fill(below("src", TREE))
    async with metered(aws.rig.keys.credentials["endpoint_url"]) as meter:
        through = {"endpoint_url": meter.url}
        keys = [replace(one, credentials={**one.credentials, **through}) for one in (aws.rig.keys, aws_too.rig.keys)]
        async with client((aws.rig.bucket, keys[0])) as one, client((aws_too.rig.bucket, keys[1])) as other:
            job = CopyJob(BucketEnd(one, at(aws.rig.bucket, "src")), BucketEnd(other, at(aws_too.rig.bucket)))
            _, report = await run_all(job, aws)
    assert await aws_too.holds() == TREE
    assert report.moved == SIZE
    assert 0 < meter.total < 100_000


@pytest.mark.parametrize(("name", "verified"), [("aws", len(TREE)), ("azure", len(TREE) - 1)])
async def test_from_a_folder_to_a_bucket(name: str, verified: int, sites: Sites, tmp_path: Path) -> None:
    site = await sites(name)
    plant(tmp_path / "src", {**TREE, "nothing/": None})
    _, report = await run_all(CopyJob(FolderEnd(tmp_path / "src"), site.end("dst")), site)
    assert await site.holds("dst/") == {**TREE, "nothing/": b""}
    assert (report.bytes, report.moved, report.verified) == (SIZE, SIZE, verified)


@pytest.mark.parametrize("name", ["aws", "azure"])
async def test_from_a_bucket_to_a_folder(name: str, sites: Sites, tmp_path: Path) -> None:
    site = await sites(name)
    await site.fill(below("src", TREE))
    _, report = await run_all(CopyJob(site.end("src"), FolderEnd(tmp_path / "dst")), site)
    assert snapshot(tmp_path / "dst") == {**TREE, "d/": None, "d/e/": None}
    assert (report.bytes, report.moved) == (SIZE, SIZE)


async def test_from_a_filesystem_to_a_bucket(aws: Site, memory: FilesystemEnd) -> None:
    for key, content in TREE.items():
        memory.fs.pipe_file(f"{memory.path}/{key}", content)
    _, report = await run_all(CopyJob(memory, aws.end("dst")), aws)
    assert await aws.holds("dst/") == TREE
    assert (report.items, report.bytes) == (len(TREE), SIZE)


@pytest.mark.parametrize("name", ["aws", "azure"])
async def test_from_a_bucket_to_a_filesystem(name: str, sites: Sites, memory: FilesystemEnd) -> None:
    site = await sites(name)
    await site.fill(below("src", TREE))
    _, report = await run_all(CopyJob(site.end("src"), memory), site)
    assert files_of(memory) == TREE
    assert (report.items, report.bytes) == (len(TREE), SIZE)


async def test_a_local_filesystem_counts_as_a_folder(aws: Site, tmp_path: Path) -> None:
    plant(tmp_path / "src", TREE)
    fs = fsspec.filesystem("file")
    _, report = await run_all(CopyJob(FilesystemEnd(fs, str(tmp_path / "src")), aws.end("dst")), aws)
    assert report.verified == len(TREE)
    await run_all(CopyJob(aws.end("dst"), FilesystemEnd(fs, str(tmp_path / "dst"))), aws)
    assert snapshot(tmp_path / "dst") == {**TREE, "d/": None, "d/e/": None}


@pytest.mark.parametrize("name", ["aws", "azure", "gcp", "seaweedfs"])
async def test_a_deletion(name: str, sites: Sites) -> None:
    site = await sites(name)
    await site.fill({**below("gone", TREE), "gone-not": b"1", "stays/x": b"2"})
    plan, report = await run_all(DeleteJob(site.end("gone")), site)
    assert await site.holds() == {"gone-not": b"1", "stays/x": b"2"}
    assert (plan.items, plan.extra, report.items, report.deleted) == (0, len(TREE), 0, len(TREE))


async def test_what_lies_in_the_work_prefix_is_not_moved(aws: Site, aws_too: Site) -> None:
    await aws.fill({**TREE, "work/of-an-earlier-job": b"1"})
    await run_all(CopyJob(aws.end(), aws_too.end()), aws)
    assert await aws_too.rig.names() == sorted(TREE)


@pytest.mark.parametrize("shards", [1, 5])
async def test_what_lies_in_the_work_prefix_is_not_deleted(aws: Site, aws_too: Site, shards: int) -> None:
    await aws.fill(below("src", TREE))
    await aws_too.fill({"work/of-an-earlier-job": b"1", "extra": b"2", "extra/too": b"3"})
    job = SyncJob(aws.end("src"), aws_too.end(), delete_extra=True)
    plan, report = await run_all(job, aws_too, shards=shards)
    assert (plan.items, plan.extra, report.items, report.deleted) == (len(TREE), 2, len(TREE), 2)
    assert await aws_too.holds() == TREE
    assert "work/of-an-earlier-job" in await aws_too.rig.names()
