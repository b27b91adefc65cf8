"""Keys and manifests that would lead elsewhere."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import InvalidAnswer, TransferError
from airflow_provider_neuro_buckets.buckets.sharding import (
    CopyJob,
    End,
    FilesystemEnd,
    FolderEnd,
    plan_shards,
    run_shard,
)
from buckets.sharding.sites import Site
from buckets.transfer.trees import plant, snapshot

HOSTILE = {"../escaped", "a/../../escaped", "a//b", "/absolute", "x/./y", "n" * 300}
"""Keys that cannot be local files below a folder."""


async def test_keys_that_are_no_names_are_refused_by_a_folder(aws: Site, tmp_path: Path) -> None:
    await refused(aws, FolderEnd(tmp_path / "dst"))
    assert snapshot(tmp_path) == {"dst/": None, "dst/good": b"1"}


async def test_keys_that_are_no_names_are_refused_by_a_filesystem(aws: Site, memory: FilesystemEnd) -> None:
    await refused(aws, memory)
    assert memory.fs.find(memory.path.rpartition("/")[0]) == [f"{memory.path}/good"]


async def refused(aws: Site, end: End) -> None:
    await aws.fill({f"src/{key}": b"1" for key in (*HOSTILE, "good")})
    job = CopyJob(aws.end("src"), end)
    plan = await plan_shards(job, work=aws.work, shards=1)
    with pytest.raises(TransferError) as caught:
        await run_shard(plan.shards[0], job, work=aws.buckets)
    assert caught.value.failures.keys() == HOSTILE


async def test_a_marker_with_content_is_refused_and_one_without_is_a_folder(aws: Site, tmp_path: Path) -> None:
    await aws.fill({"src/": b"", "src/folder/": b"", "src/not/": b"1"})
    job = CopyJob(aws.end("src"), FolderEnd(tmp_path))
    plan = await plan_shards(job, work=aws.work, shards=1)
    with pytest.raises(TransferError) as caught:
        await run_shard(plan.shards[0], job, work=aws.buckets)
    assert caught.value.failures.keys() == {"not/"}
    assert snapshot(tmp_path) == {"folder/": None}


async def test_of_two_keys_that_meet_in_one_path_one_fails(aws: Site, tmp_path: Path) -> None:
    await aws.fill({"src/a": b"1", "src/a/b": b"2"})
    job = CopyJob(aws.end("src"), FolderEnd(tmp_path))
    plan = await plan_shards(job, work=aws.work, shards=1)
    with pytest.raises(TransferError, match="1 of 2 items"):
        await run_shard(plan.shards[0], job, work=aws.buckets)
    assert snapshot(tmp_path) in ({"a": b"1"}, {"a/": None, "a/b": b"2"})


async def tampered(site: Site, uri: str, lines: list[dict[str, object]]) -> None:
    _, key = await site.buckets.locate(uri)
    head = gzip.decompress(await site.rig.get(key)).splitlines()[0]
    await site.rig.put(key, gzip.compress(b"\n".join([head, *(json.dumps(line).encode() for line in lines), b""])))


async def test_a_manifest_that_was_tampered_with_reads_nothing_outside_of_the_source(aws: Site, tmp_path: Path) -> None:
    plant(tmp_path, {"secret": b"1", "src/a": b"2"})
    job = CopyJob(FolderEnd(tmp_path / "src"), aws.end("dst"))
    plan = await plan_shards(job, work=aws.work, shards=1)
    await tampered(aws, plan.shards[0].uri, [{"key": "../secret", "size": 1, "modified": 1, "changed": 1}])
    with pytest.raises(TransferError):
        await run_shard(plan.shards[0], job, work=aws.buckets)
    assert await aws.holds("dst/") == {}


@pytest.mark.parametrize("count", [0, 2])
async def test_a_manifest_of_another_length_is_an_error(aws: Site, aws_too: Site, count: int) -> None:
    await aws.fill({"src/a": b"1"})
    job = CopyJob(aws.end("src"), aws_too.end())
    plan = await plan_shards(job, work=aws.work, shards=1)
    await tampered(aws, plan.shards[0].uri, [{"key": "a", "size": 1}] * count)
    with pytest.raises(InvalidAnswer, match=f"{count} items instead of 1"):
        await run_shard(plan.shards[0], job, work=aws.buckets)


async def test_links_are_not_followed_out_of_a_source(aws: Site, tmp_path: Path) -> None:
    plant(tmp_path, {"secret": b"1", "src/a": b"2"})
    (tmp_path / "src" / "link").symlink_to(tmp_path / "secret")
    job = CopyJob(FolderEnd(tmp_path / "src"), aws.end("dst"))
    plan = await plan_shards(job, work=aws.work, shards=1)
    with pytest.raises(TransferError, match="leads out"):
        await run_shard(plan.shards[0], job, work=aws.buckets)
    assert await aws.holds("dst/") == {"a": b"2"}
