"""The end of a job in shards: one report, and nothing left behind that nobody needs."""

from __future__ import annotations

from airflow_provider_neuro_buckets.buckets.client import Buckets
from airflow_provider_neuro_buckets.buckets.sharding.values import Plan, Report


async def conclude(plan: Plan, *, work: Buckets) -> Report:
    """Check what all shards have done against the plan, write one report, and clean up behind those that ended well.

    What belongs to a shard that did not is kept: once it has run again, so can this. The report is written each time,
    at the same address, and stays.

    :param work: an open client of the bucket that the plan is in.
    :raises TransferError: some items failed or were never tried: it names the first, the report all. Its `report` is
        the :class:`Report`.
    """
    raise NotImplementedError
