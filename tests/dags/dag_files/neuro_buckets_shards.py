"""Groups that move a folder in shards, each with ends that its run is given."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, XComArg

from airflow_provider_neuro_buckets.operators.groups import bucket_sync_group
from airflow_provider_neuro_buckets.operators.shards import (
    BucketConcludeShardsOperator,
    BucketShardOperator,
    BucketTransferShardOperator,
)

SRC, DST = "{{ params.src }}", "{{ params.dst }}"
CONN = {"src_conn_id": "{{ params.src_conn }}", "dst_conn_id": "{{ params.dst_conn }}"}

GROUPS: dict[str, dict[str, Any]] = {
    "copied": {},
    "synced": {"mode": "sync"},
    "mirrored": {"mode": "sync", "delete_extra": True, "allow_delete": True},
    "rehearsed": {"mode": "sync", "delete_extra": True, "dry_run": True},
    "between_connections": CONN,
    "into_the_source": {"work": "{{ params.work }}"},
}

for name, arguments in GROUPS.items():
    with DAG(
        name,
        schedule=None,
        params={"src": "", "dst": "", "src_conn": "", "dst_conn": "", "work": ""},
        default_args={"retries": 0},
    ):
        bucket_sync_group("move", src=SRC, dst=DST, shards=3, **arguments)

with DAG("too_many_shards", schedule=None, params={"src": "", "dst": ""}, default_args={"retries": 0}):
    bucket_sync_group("move", src=SRC, dst=DST, shards=2000)

with DAG("deleted", schedule=None, params={"src": "", "sure": "False"}):
    sure = "{{ params.sure }}"
    plan = BucketShardOperator(task_id="plan", src=SRC, mode="delete", shards=3, allow_whole_bucket=sure)
    delete = BucketTransferShardOperator.partial(task_id="delete", src=SRC).expand(shard=plan.output)
    delete >> BucketConcludeShardsOperator(task_id="conclude", src=SRC, plan=XComArg(plan, "plan"))
