"""Synchronisations: what is moved, what is left alone, what is deleted, and what never is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import ConfigurationError, ResourceNotFound
from airflow_provider_neuro_buckets.buckets.sharding import End, FilesystemEnd, FolderEnd, SyncJob, plan_shards
from buckets.sharding.sites import Site, Sites, files_of, run_all
from buckets.transfer.trees import age, plant, snapshot

SRC = {"same": b"same", "other": b"newer", "missing": b"1", "d/deep": b"2", "d/missing": b"3", "d-e": b"4"}
DST = {"same": b"same", "other": b"old", "d/deep": b"2", "d-e": b"4", "extra": b"5", "e/x/extra": b"6", "d/z": b"7"}
MOVED = {"other", "missing", "d/missing"}
EXTRA = {"extra", "e/x/extra", "d/z"}


def below(folder: str, tree: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{key}": content for key, content in tree.items()}


async def planned(job: SyncJob, site: Site) -> dict[str, set[str]]:
    """Return the keys in the manifests of a job, by what is to be done with them."""
    found: dict[str, set[str]] = {"transfer": set(), "delete": set()}
    for shard in (await plan_shards(job, work=site.work, shards=2)).shards:
        found[shard.action] |= {line["key"] for line in await site.lines(shard)}
    return found


@pytest.mark.parametrize("pair", ["aws aws", "aws azure", "seaweedfs aws", "aws seaweedfs", "azure azure", "gcp gcp"])
async def test_between_buckets(pair: str, sites: Sites) -> None:
    """Also of a server that lists ``d/…`` before ``d-e``, which is not the order of their bytes."""
    src, dst = [await sites(name) for name in pair.split()]
    await src.fill(below("src", {**SRC, "content": b"new"}))
    await dst.fill(below("dst", {**DST, "content": b"old"}))
    job = SyncJob(src.end("src"), dst.end("dst"), delete_extra=True)
    assert await planned(job, dst) == {"transfer": {*MOVED, "content"}, "delete": EXTRA}
    plan, report = await run_all(job, dst)
    assert await dst.holds("dst/") == {**SRC, "content": b"new"}
    sums = (len(MOVED) + 1, len(SRC) - len(MOVED), len(EXTRA))
    assert (plan.items, plan.unchanged, plan.extra) == sums
    assert (report.items, report.unchanged, report.deleted) == sums
    after = await planned(job, dst)
    assert after["transfer"] == set()
    assert all(key.endswith("/") for key in after["delete"])  # SeaweedFS shows folders of which the last blob is gone


async def test_without_delete_extra_nothing_is_deleted(aws: Site, aws_too: Site) -> None:
    await aws.fill(below("src", SRC))
    await aws_too.fill(below("dst", DST))
    plan, report = await run_all(SyncJob(aws.end("src"), aws_too.end("dst")), aws)
    assert await aws_too.holds("dst/") == {**DST, **SRC}
    assert (plan.extra, report.deleted) == (0, 0)


async def test_a_whole_bucket_needs_no_marker_of_the_folder_that_went_there(aws: Site, aws_too: Site) -> None:
    await aws.fill(below("src", {"": b"", "file": b"1"}))
    job = SyncJob(aws.end("src"), aws_too.end())
    assert await planned(job, aws) == {"transfer": {"file"}, "delete": set()}
    await run_all(job, aws)
    assert await planned(job, aws) == {"transfer": set(), "delete": set()}
    assert await aws_too.holds() == {"file": b"1"}


async def test_from_a_folder(aws: Site, tmp_path: Path) -> None:
    plant(tmp_path, {**SRC, "nothing/": None})
    age(tmp_path, 100)
    await aws.fill(below("dst", DST))
    os.utime(tmp_path / "d-e", (4e9, 4e9))  # a file that is later than its blob
    job = SyncJob(FolderEnd(tmp_path), aws.end("dst"), delete_extra=True)
    await run_all(job, aws)
    assert await aws.holds("dst/") == {**SRC, "nothing/": b""}
    assert await planned(job, aws) == {"transfer": {"d-e"}, "delete": set()}


async def test_to_a_folder(aws: Site, tmp_path: Path) -> None:
    await aws.fill(below("src", {**SRC, "": b"", "d/": b"", "nothing/": b""}))
    plant(tmp_path, DST)
    outside = tmp_path.with_name(tmp_path.name + "-outside")
    plant(outside, {"stays": b"1"})
    (tmp_path / "link").symlink_to(outside)
    (tmp_path / "inner").symlink_to(tmp_path / "d")
    job = SyncJob(aws.end("src"), FolderEnd(tmp_path), delete_extra=True)
    await run_all(job, aws)
    left = snapshot(tmp_path)
    assert {key: content for key, content in left.items() if isinstance(content, bytes)} == SRC
    assert {"link", "inner"} <= left.keys()
    assert left["nothing/"] is None
    assert snapshot(outside) == {"stays": b"1"}
    assert await planned(job, aws) == {"transfer": set(), "delete": set()}


@pytest.mark.parametrize("is_source", [True, False])
async def test_with_a_filesystem_of_another_kind(aws: Site, memory: FilesystemEnd, is_source: bool) -> None:  # noqa: FBT001 - which end it is
    src, dst = (memory, aws.end("end")) if is_source else (aws.end("end"), memory)
    job = SyncJob(src, dst, delete_extra=True)
    ours, theirs = (DST, SRC) if is_source else (SRC, DST)
    if not is_source:
        await aws.fill(below("end", ours))
    for key, content in theirs.items():
        memory.fs.pipe_file(f"{memory.path}/{key}", content)
    if is_source:
        await aws.fill(below("end", ours))
    await run_all(job, aws)
    assert files_of(memory) == SRC
    assert await aws.holds("end/") == SRC


@pytest.fixture(params=["bucket", "folder", "filesystem"])
def nothing(request: pytest.FixtureRequest, aws_too: Site, memory: FilesystemEnd, tmp_path: Path) -> End:
    """A source that is there, and empty."""
    if request.param == "bucket":
        return aws_too.end()
    if request.param == "folder":
        return FolderEnd(tmp_path)
    memory.fs.makedirs(memory.path)
    return memory


async def test_an_empty_source_never_empties_a_destination(aws: Site, nothing: End) -> None:
    """A share that is not mounted looks like that, too."""
    await aws.fill(below("dst", DST))
    with pytest.raises(ResourceNotFound, match="is empty"):
        await plan_shards(SyncJob(nothing, aws.end("dst"), delete_extra=True), work=aws.work, shards=2)
    assert await aws.holds("dst/") == DST
    assert await aws.left_of_work() == []


async def test_what_cannot_be_read_is_not_taken_for_what_is_not_there(aws: Site, tmp_path: Path) -> None:
    plant(tmp_path / "src", {"a": b"1"})
    plant(tmp_path / "outside", {"x": b"1"})
    (tmp_path / "src" / "link").symlink_to(tmp_path / "outside")
    await aws.fill({"dst/link/x": b"1"})
    with pytest.raises(ConfigurationError, match="only the destination has"):
        await plan_shards(
            SyncJob(FolderEnd(tmp_path / "src"), aws.end("dst"), delete_extra=True), work=aws.work, shards=2
        )
    assert await planned(SyncJob(FolderEnd(tmp_path / "src"), aws.end("dst")), aws) == {
        "transfer": {"a", "link"},
        "delete": set(),
    }
