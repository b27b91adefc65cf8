"""Conclusions: totals, the report, what is cleaned up and what is kept."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from airflow_provider_neuro_buckets.buckets import ConfigurationError, ResourceNotFound, TransferError
from airflow_provider_neuro_buckets.buckets.sharding import CopyJob, FolderEnd, Report, conclude, plan_shards, run_shard
from buckets.sharding.sites import Site
from buckets.transfer.trees import snapshot


async def test_a_report_has_every_failure_and_the_message_the_first(aws: Site, tmp_path: Path) -> None:
    names = [f"{number:02}" for number in range(30)]
    await aws.fill({f"src/{name}": b"1" for name in names} | {"src/good": b"22"})
    for name in names:
        (tmp_path / name / "in the way").mkdir(parents=True)
    job = CopyJob(aws.end("src"), FolderEnd(tmp_path))
    plan = await plan_shards(job, work=aws.work, shards=2)
    for shard in plan.shards:
        with pytest.raises(TransferError):
            await run_shard(shard, job, work=aws.buckets)
    with pytest.raises(TransferError, match="30 of 31 files failed, and 0 were not tried") as caught:
        await conclude(plan, work=aws.buckets)
    report = caught.value.report
    assert isinstance(report, Report)
    assert (report.items, report.bytes, report.failed, report.unfinished) == (1, 2, 30, 0)
    assert str(caught.value).count("\n  ") == 20
    assert report.uri in str(caught.value)
    _, key = await aws.buckets.locate(report.uri)
    told = json.loads(await aws.rig.get(key))
    assert sorted(failure["key"] for failure in told["failures"]) == names
    assert [one["number"] for one in told["shards"]] == [1, 2]
    assert Report.of(told) == report
    assert len(await aws.left_of_work()) == 1 + 3 * 2


async def test_what_belongs_to_shards_that_failed_is_kept_until_they_have_not(aws: Site, tmp_path: Path) -> None:
    await aws.fill({f"src/{name}": b"1" for name in ("bad", "good")})
    (tmp_path / "bad" / "in the way").mkdir(parents=True)
    job = CopyJob(aws.end("src"), FolderEnd(tmp_path))
    plan = await plan_shards(job, work=aws.work, shards=2)
    bad, good = plan.shards
    with pytest.raises(TransferError, match="0 of 2 files failed, and 2 were not tried"):
        await conclude(plan, work=aws.buckets)
    with pytest.raises(TransferError):
        await run_shard(bad, job, work=aws.buckets)
    await run_shard(good, job, work=aws.buckets)
    for _ in range(2):
        with pytest.raises(TransferError, match="1 of 2 files failed, and 0 were not tried"):
            await conclude(plan, work=aws.buckets)
        assert await aws.left_of_work() == [
            "00001.ndjson.gz",
            "00001.ndjson.gz.done",
            "00001.ndjson.gz.result.gz",
            "00002.ndjson.gz.result.gz",
            "report.json",
        ]
    (tmp_path / "bad" / "in the way").rmdir()
    (tmp_path / "bad").rmdir()
    await run_shard(bad, job, work=aws.buckets)
    report = await conclude(plan, work=aws.buckets)
    assert (report.items, report.failed) == (2, 0)
    assert await aws.left_of_work() == ["report.json"]
    assert snapshot(tmp_path) == {"bad": b"1", "good": b"1"}
    assert await conclude(plan, work=aws.buckets) == report  # its task may be tried again as well
    with pytest.raises(ResourceNotFound, match="was concluded"):
        await run_shard(good, job, work=aws.buckets)


async def test_a_plan_whose_shards_are_not_all_there_is_refused(aws: Site, aws_too: Site) -> None:
    await aws.fill({f"src/{name}": b"1" for name in ("a", "b")})
    plan = await plan_shards(CopyJob(aws.end("src"), aws_too.end()), work=aws.work, shards=2)
    with pytest.raises(ConfigurationError, match="have not the items of the plan"):
        await conclude(dataclasses.replace(plan, shards=plan.shards[:1]), work=aws.buckets)


async def test_a_plan_of_nothing_is_concluded(aws: Site, tmp_path: Path) -> None:
    plan = await plan_shards(CopyJob(FolderEnd(tmp_path), aws.end()), work=aws.work, shards=2)
    report = await conclude(plan, work=aws.buckets)
    assert (report.items, report.failed, report.unfinished) == (0, 0, 0)
