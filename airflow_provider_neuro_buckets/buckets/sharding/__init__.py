"""Transfers in shards, for more than one machine: a plan, shards that any worker can do, and a conclusion.

::

    job = SyncJob(BucketEnd(here, "blob:lake/raw"), BucketEnd(there, "blob:copy/raw"), delete_extra=True)
    plan = await plan_shards(job, work=BucketEnd(here, "blob:lake/.work"), shards=16)
    for shard in plan.shards:                          # each on another worker, in any order, as often as it takes
        await run_shard(shard, job, work=here)
    report = await conclude(plan, work=here)

The names load on first use, as those of `buckets` do.
"""

# ruff: noqa: I001 - as in `buckets`
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_neuro_buckets.buckets.sharding.concluding import (
        conclude as conclude,
    )
    from airflow_provider_neuro_buckets.buckets.sharding.ends import (
        BucketEnd as BucketEnd,
        End as End,
        FilesystemEnd as FilesystemEnd,
        FolderEnd as FolderEnd,
    )
    from airflow_provider_neuro_buckets.buckets.sharding.jobs import (
        CopyJob as CopyJob,
        DeleteJob as DeleteJob,
        Job as Job,
        SyncJob as SyncJob,
    )
    from airflow_provider_neuro_buckets.buckets.sharding.planning import (
        plan_shards as plan_shards,
    )
    from airflow_provider_neuro_buckets.buckets.sharding.running import (
        run_shard as run_shard,
    )
    from airflow_provider_neuro_buckets.buckets.sharding.values import (
        Action as Action,
        Plan as Plan,
        Report as Report,
        Shard as Shard,
        ShardReport as ShardReport,
    )

_HOMES = {
    "concluding": ["conclude"],
    "ends": ["BucketEnd", "End", "FilesystemEnd", "FolderEnd"],
    "jobs": ["CopyJob", "DeleteJob", "Job", "SyncJob"],
    "planning": ["plan_shards"],
    "running": ["run_shard"],
    "values": ["Action", "Plan", "Report", "Shard", "ShardReport"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - one list, sorted once


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return list(__all__)
