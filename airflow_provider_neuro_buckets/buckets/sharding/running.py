"""One shard, done by one worker."""

from __future__ import annotations

from airflow_provider_neuro_buckets.buckets.client import Buckets
from airflow_provider_neuro_buckets.buckets.progress import AbstractRecursiveFileProgress
from airflow_provider_neuro_buckets.buckets.sharding.jobs import Job
from airflow_provider_neuro_buckets.buckets.sharding.values import Shard, ShardReport


async def run_shard(
    shard: Shard, job: Job, *, work: Buckets, progress: AbstractRecursiveFileProgress | None = None
) -> ShardReport:
    """Do what the manifest of a shard lists; what an earlier try has done, here or elsewhere, is not done again.

    Which items are done is written beside the manifest every few seconds and whenever a try ends, also if it is
    cancelled. One try of a shard at a time: of two that overlap, one may repeat what the other has done.

    :param job: the one that was planned; the client of each end may be another.
    :param work: an open client of the bucket that the manifest is in.
    :param progress: told of what is left to do.
    :raises TransferError: some items failed, the others are done; its `report` is the :class:`ShardReport`.
    :raises ResourceNotFound: there is no such manifest: its plan was concluded.
    :raises ConfigurationError: the shard belongs to another job.
    :raises BucketsError: what stopped the whole shard, such as a token that is not accepted.
    """
    raise NotImplementedError
