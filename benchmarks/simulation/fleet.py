"""Workers of a made-up Airflow on a made-up storage service: a plan, its shards, a conclusion."""

from __future__ import annotations

import asyncio
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_neuro_buckets.buckets.client import Buckets
from airflow_provider_neuro_buckets.buckets.sharding import (
    BucketEnd,
    CopyJob,
    conclude,
    plan_shards,
    run_shard,
)
from benchmarks.simulation.clock import run
from benchmarks.simulation.service import Conditions, Lake, Service, Verb
from benchmarks.simulation.store import client

SRC, DST, WORK = "blob:lake/data", "blob:copy/data", "blob:copy/work"


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What it takes to plan.

    :ivar seconds: by the made-up clock: what the service takes, with no processor.
    :ivar cpu_seconds: of this machine's processor.
    :ivar memory_mib: above the process before.
    """

    blobs: int
    seconds: float
    cpu_seconds: float
    memory_mib: float
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What workers reach together, once all of them are under way and before the first has nothing to do.

    :ivar per_second: blobs, of the middle half of all.
    :ivar refused: share of the requests that the service asked to repeat more slowly.
    :ivar asked: requests for each blob, by verb, those that were repeated among them.
    """

    workers: int
    blobs: int
    per_second: float
    refused: float
    asked: dict[str, float]


def plan(conditions: Conditions, blobs: int, size: int, shards: int) -> Planned:
    """Plan the copy of a lake. Memory is that of the whole process so far: plan one lake a process.

    The manifests are in the storage, which happens to be in this process: they do not count.
    """
    service, written = Service(conditions), dict[str, bytes]()
    buckets = client(service, Lake(blobs, size), written, is_one_service=True)
    before, begun = _memory_mib(), time.process_time()
    made, seconds = run(plan_shards(_job(buckets), work=BucketEnd(buckets, WORK), shards=shards))
    assert made.items == blobs, made
    return Planned(
        blobs=blobs,
        seconds=round(seconds, 2),
        cpu_seconds=round(time.process_time() - begun, 2),
        memory_mib=round(_peak_mib() - before - sum(map(len, written.values())) / 2**20, 1),
        pages=service.asked[Verb.LIST],
    )


def move(conditions: Conditions, *, workers: int, shards: int, blobs: int, size: int, is_one_service: bool) -> Moved:
    """Let workers share the shards of a copy, and see how fast they are together."""
    service = Service(conditions)
    lake, written = Lake(blobs, size), dict[str, bytes]()
    fleet = [client(service, lake, written, is_one_service=is_one_service) for _ in range(workers)]

    async def all_of_it() -> None:
        plan = await plan_shards(_job(fleet[0]), work=BucketEnd(fleet[0], WORK), shards=shards)
        service.asked.clear()
        service.refused = 0
        waiting = iter(plan.shards)

        async def work_on(buckets: Buckets) -> None:
            for shard in waiting:
                await run_shard(shard, _job(buckets), work=buckets)

        async with asyncio.TaskGroup() as group:
            for one in fleet:
                group.create_task(work_on(one))
        report = await conclude(plan, work=fleet[0])
        assert (report.items, report.failed, report.unfinished) == (blobs, 0, 0), report

    run(all_of_it())
    moved = sorted(service.moved)
    first, last = len(moved) // 4, len(moved) * 3 // 4
    total = service.asked.total()
    return Moved(
        workers=workers,
        blobs=blobs,
        per_second=round((last - first) / (moved[last] - moved[first]), 1),
        refused=round(service.refused / total, 4),
        asked={verb.value: round(count / blobs, 4) for verb, count in sorted(service.asked.items())},
    )


def _job(buckets: Buckets) -> CopyJob:
    return CopyJob(BucketEnd(buckets, SRC), BucketEnd(buckets, DST))


def _memory_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
