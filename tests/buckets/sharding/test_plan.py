"""Plans: what is refused, what stands in manifests, how listings are divided."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import fsspec
import pytest

from airflow_provider_neuro_buckets.buckets import ConfigurationError, InvalidAddress, NotADirectory, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.progress import (
    AbstractDeleteProgress,
    StorageProgressComplete,
    StorageProgressDelete,
)
from airflow_provider_neuro_buckets.buckets.sharding import (
    CopyJob,
    DeleteJob,
    FilesystemEnd,
    FolderEnd,
    Job,
    Plan,
    Shard,
    SyncJob,
    plan_shards,
    run_shard,
)
from airflow_provider_neuro_buckets.buckets.sharding.places import open_bucket
from airflow_provider_neuro_buckets.buckets.sharding.ranges import divide
from buckets.sharding.sites import Site, Sites
from buckets.transfer.recording import Recorder

MEMORY = fsspec.filesystem("memory")


async def test_one_end_is_a_bucket(tmp_path: Path) -> None:
    for job in (CopyJob, SyncJob):
        with pytest.raises(ConfigurationError, match="is in a bucket"):
            job(FolderEnd(tmp_path), FilesystemEnd(MEMORY, "/x"))


async def test_a_source_must_be_a_folder_that_is_there(aws: Site, tmp_path: Path) -> None:
    await aws.fill({"blob": b"1", "dst/x": b"2"})
    (tmp_path / "file").write_bytes(b"1")
    MEMORY.pipe_file(f"/{aws.rig.bucket.name}/file", b"1")
    dst = aws.end("dst")
    cases: list[tuple[Job, type[Exception]]] = [
        (CopyJob(aws.end("missing"), FolderEnd(tmp_path)), ResourceNotFound),
        (CopyJob(aws.end("blob"), FolderEnd(tmp_path)), NotADirectory),
        (SyncJob(FolderEnd(tmp_path / "missing"), dst, delete_extra=True), ResourceNotFound),
        (SyncJob(FolderEnd(tmp_path / "file"), dst, delete_extra=True), NotADirectory),
        (SyncJob(FilesystemEnd(MEMORY, f"/{aws.rig.bucket.name}/missing"), dst, delete_extra=True), ResourceNotFound),
        (SyncJob(FilesystemEnd(MEMORY, f"/{aws.rig.bucket.name}/file"), dst, delete_extra=True), NotADirectory),
        (DeleteJob(aws.end("missing")), ResourceNotFound),
        (CopyJob(aws.end("dst"), FolderEnd(tmp_path / "file")), NotADirectory),
        (CopyJob(aws.end("dst"), FilesystemEnd(MEMORY, f"/{aws.rig.bucket.name}/file")), NotADirectory),
    ]
    for job, kind in cases:
        with pytest.raises(kind):
            await plan_shards(job, work=aws.work, shards=2)
    assert await aws.rig.names() == ["blob", "dst/x"]


@pytest.mark.parametrize(
    ("src", "dst", "work"),
    [
        ("a", "a", "work"),
        ("a", "a/b", "work"),
        ("a/b", "a", "work"),
        ("", "a", "work"),
        ("a", "", "work"),
        ("work/a", "b", "work"),
        ("a", "work", "work"),
        ("a", "b", ""),
    ],
)
async def test_ends_that_lie_in_one_another_are_refused(aws: Site, src: str, dst: str, work: str) -> None:
    await aws.fill({"a/b/c": b"1", "work/a/b": b"2"})
    for job in (CopyJob(aws.end(src), aws.end(dst)), SyncJob(aws.end(src), aws.end(dst), delete_extra=True)):
        with pytest.raises(InvalidAddress):
            await plan_shards(job, work=aws.end(work), shards=2)


@pytest.mark.parametrize("shards", [0, -1])
async def test_there_is_a_shard_at_least(aws: Site, shards: int) -> None:
    with pytest.raises(ConfigurationError, match="shards="):
        await plan_shards(CopyJob(aws.end("a"), aws.end("b")), work=aws.work, shards=shards)


async def test_fewer_files_than_shards_are_so_many_shards(aws: Site, aws_too: Site) -> None:
    await aws.fill({f"src/{number}": b"1" * number for number in range(3)})
    plan = await plan_shards(CopyJob(aws.end("src"), aws_too.end()), work=aws.work, shards=10)
    assert [(shard.number, shard.items) for shard in plan.shards] == [(1, 1), (2, 1), (3, 1)]
    assert plan.bytes == sum(shard.bytes for shard in plan.shards) == 3
    (line,) = await aws.lines(plan.shards[2])
    head = await aws.rig.store.head("src/" + line["key"])
    assert (line["size"], line["etag"], line["md5"]) == (head.size, head.etag, head.md5)
    assert head.modified_at is not None
    assert line["modified"] == pytest.approx(head.modified_at.timestamp(), abs=1)  # a listing has fractions


async def test_nothing_to_do_is_no_shard(aws: Site, tmp_path: Path) -> None:
    plan = await plan_shards(CopyJob(FolderEnd(tmp_path), aws.end()), work=aws.work, shards=4)
    assert plan.shards == []


async def test_a_dry_run_tells_everything_and_writes_nothing(aws: Site, aws_too: Site) -> None:
    class Removals(AbstractDeleteProgress):
        def delete(self, data: StorageProgressDelete) -> None:
            removed.append(data.uri.path.rpartition("/")[2])

    removed: list[str] = []
    recorder = Recorder()
    await aws.fill({"src/a": b"1", "src/b": b"2", "src/same": b"3"})
    await aws_too.fill({"same": b"3", "x": b"4", "y": b"5"})
    job = SyncJob(aws.end("src"), aws_too.end(), delete_extra=True)
    plan = await plan_shards(job, work=aws.work, shards=2, progress=recorder, removals=Removals(), dry_run=True)
    assert (plan.items, plan.unchanged, plan.extra) == (2, 1, 2)
    assert sorted(removed) == ["x", "y"]
    told = [event.src.path for event in recorder.events if isinstance(event, StorageProgressComplete)]
    assert sorted(path.rpartition("/")[2] for path in told) == ["a", "b"]
    assert await aws.left_of_work() == []
    assert sorted(await aws_too.holds()) == ["same", "x", "y"]
    with pytest.raises(ResourceNotFound, match="no manifest"):
        await run_shard(plan.shards[0], job, work=aws.buckets)


async def test_a_shard_is_not_run_for_another_job(aws: Site, aws_too: Site) -> None:
    await aws.fill({"src/a": b"1"})
    job = SyncJob(aws.end("src"), aws_too.end("dst"))
    plan = await plan_shards(job, work=aws.work, shards=2)
    with pytest.raises(ConfigurationError, match="not made for this"):
        await run_shard(plan.shards[0], SyncJob(aws.end("src"), aws_too.end("elsewhere")), work=aws.buckets)
    changed = dataclasses.replace(plan.shards[0], action=type(plan.shards[0].action).DELETE)
    with pytest.raises(ConfigurationError, match="not made for this"):
        await run_shard(changed, job, work=aws.buckets)
    assert await aws_too.rig.names() == []


@pytest.mark.parametrize("value", [{}, {"uri": "blob:b/k"}, {"uri": "x", "number": 1, "action": "x"}])
def test_what_is_no_shard_and_no_plan_is_told(value: dict[str, object]) -> None:
    for kind in (Shard, Plan):
        with pytest.raises(ConfigurationError):
            kind.of(value)


@pytest.mark.parametrize("name", ["aws", "azure", "gcp", "seaweedfs"])
@pytest.mark.parametrize("wanted", [1, 2, 4, 100])
async def test_ranges_have_every_key_once(name: str, wanted: int, sites: Sites) -> None:
    site = await sites(name)
    keys = ["top", "a/1", "a/2", "a/b/3", "a/b/c/4", "a-b", "d/5", "d/e/6", "f/g/h/i/7"]
    if name != "seaweedfs":  # it lists no markers of folders that hold something
        keys += ["d/", "f/g/"]
    await site.fill({f"src/{key}": b"" for key in keys} | {"src-not": b""})
    place = await open_bucket(site.end("src"))
    ranges = await divide([place], wanted=wanted)
    found = [entry.key for one in ranges for pages in one.pages([place]) async for page in pages for entry in page]
    assert sorted(found) == sorted(keys)
    assert len(ranges) >= wanted or all(one.level is not None for one in ranges)
