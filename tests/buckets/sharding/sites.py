"""Buckets with blobs in them, and whole jobs in one process."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_neuro_buckets.buckets import Buckets
from airflow_provider_neuro_buckets.buckets.progress import AbstractRecursiveFileProgress
from airflow_provider_neuro_buckets.buckets.sharding import (
    BucketEnd,
    FilesystemEnd,
    Job,
    Plan,
    Report,
    Shard,
    conclude,
    plan_shards,
    run_shard,
)
from buckets.transfer.clients import at
from conformance.rigs.base import Rig

WORK = "work"


@dataclass(frozen=True)
class Site:
    """A bucket, and a client that knows it."""

    rig: Rig
    buckets: Buckets

    def end(self, path: str = "") -> BucketEnd:
        return BucketEnd(self.buckets, at(self.rig.bucket, path))

    @property
    def work(self) -> BucketEnd:
        return self.end(WORK)

    async def fill(self, blobs: Mapping[str, bytes]) -> None:
        for key, content in blobs.items():
            await self.rig.put(key, content)

    async def holds(self, folder: str = "") -> dict[str, bytes]:
        """Return the blobs below a folder, those of the work left out."""
        names = [key for key in await self.rig.names() if key.startswith(folder) and not key.startswith(WORK + "/")]
        return {key[len(folder) :]: await self.rig.get(key) for key in names}

    async def left_of_work(self) -> list[str]:
        """Return what is left in the work prefix, without the names that plans have."""
        names = [key for key in await self.rig.names() if key.startswith(WORK + "/")]
        return sorted(key.split("/", 2)[2] for key in names)

    async def lines(self, shard: Shard) -> list[dict[str, Any]]:
        """Return the lines of a manifest but the first."""
        _, key = await self.buckets.locate(shard.uri)
        return [json.loads(line) for line in gzip.decompress(await self.rig.get(key)).splitlines()[1:]]


def files_of(end: FilesystemEnd) -> dict[str, bytes]:
    """Return what lies in a folder of a filesystem."""
    return {path.removeprefix(end.path + "/"): end.fs.cat_file(path) for path in end.fs.find(end.path)}


Sites = Callable[[str], Awaitable[Site]]
"""From a provider to a fresh bucket of it."""


async def run_all(
    job: Job, site: Site, *, shards: int = 3, progress: AbstractRecursiveFileProgress | None = None
) -> tuple[Plan, Report]:
    """Do a job from its plan to its conclusion; all values go through JSON on the way, as in Airflow."""
    plan = await plan_shards(job, work=site.work, shards=shards)
    plan = Plan.of(json.loads(json.dumps(plan.as_json())))

    async def run(shard: Shard) -> None:
        one = Shard.of(json.loads(json.dumps(shard.as_json())))
        done = await run_shard(one, job, work=site.buckets, progress=progress)
        assert (done.items, done.bytes, done.failed) == (shard.items, shard.bytes, 0)

    await asyncio.gather(*map(run, plan.shards))
    return plan, await conclude(plan, work=site.buckets)
