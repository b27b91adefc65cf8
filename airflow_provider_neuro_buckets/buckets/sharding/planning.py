"""From a job to shards: the source is listed once, as a stream, and dealt out to manifests."""

from __future__ import annotations

from airflow_provider_neuro_buckets.buckets.progress import AbstractDeleteProgress, AbstractRecursiveFileProgress
from airflow_provider_neuro_buckets.buckets.sharding.ends import BucketEnd
from airflow_provider_neuro_buckets.buckets.sharding.jobs import Job
from airflow_provider_neuro_buckets.buckets.sharding.values import Plan


async def plan_shards(
    job: Job,
    *,
    work: BucketEnd,
    shards: int,
    progress: AbstractRecursiveFileProgress | None = None,
    removals: AbstractDeleteProgress | None = None,
    dry_run: bool = False,
) -> Plan:
    """List what is to be done, and write it to balanced manifests below a work prefix.

    Memory is bounded whatever the number of files; what is found waits in local temporary files. What lies below the
    work prefix itself is neither moved nor deleted. Each plan has a folder of its own there: to plan again disturbs no
    other.

    :param work: a folder in a bucket, for whatever the shards have to tell one another.
    :param shards: most shards of each action, from 1.
    :param progress: told how much there is, and with `dry_run` of each file as if it had been moved.
    :param removals: told of each file that is going to be deleted, as if it had been.
    :param dry_run: write nothing: the plan is what it would be, and has addresses at which nothing is.
    :raises ResourceNotFound: there is no source; or it is empty, and what the destination has beyond it would go.
    :raises NotADirectory: the source is a single blob or file.
    :raises InvalidAddress: one end lies in the other, or in the work prefix.
    :raises ConfigurationError: `shards` is below 1, or `delete_extra` and some of the source cannot be read.
    """
    raise NotImplementedError
