"""A lake is mirrored by all workers: its folder is cut into shards, and each shard is a task that can be retried alone.

The first group copies everything. Then one blob of the lake changes and one is gone, and the second group makes the
mirror equal again: it moves what changed, and deletes what the lake has no more. With the param `rehearse` its log only
tells what it would do. Pools, retries and queues are those of any tasks: `pool="lake"` keeps both groups to its slots.
The buckets are deleted in the end: choose names for this job alone.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from airflow_provider_neuro_buckets.operators.blobs import BucketBlobRmOperator, BucketPutBlobOperator
from airflow_provider_neuro_buckets.operators.buckets import (
    BucketCreateOperator,
    BucketDiskUsageOperator,
    BucketRmOperator,
)
from airflow_provider_neuro_buckets.operators.groups import bucket_sync_group

LAKE, MIRROR = "{{ params.lake }}", "{{ params.mirror }}"

with DAG(
    "neuro_buckets_sync",
    schedule=None,
    params={
        "lake": Param("lake", type="string", title="Bucket that is mirrored, for this job alone"),
        "mirror": Param("mirror", type="string", title="Bucket that it is mirrored to, for this job alone"),
        "rehearse": Param(default=False, type="boolean", title="Only tell what the second group would do"),
    },
    doc_md=__doc__,
    tags=["neuro-buckets"],
) as dag:
    create = BucketCreateOperator.partial(task_id="create_buckets").expand(name=[LAKE, MIRROR])
    put = BucketPutBlobOperator.partial(task_id="put_blobs", bucket_id_or_name=LAKE).expand_kwargs(
        [{"key": f"raw/{day:02}.csv", "body": f"day,sold\n{day},{day * 10}\n"} for day in range(1, 13)]
    )
    copy = bucket_sync_group("copy", src=f"blob:{LAKE}/raw", dst=f"blob:{MIRROR}/raw", shards=4)

    change = BucketPutBlobOperator(task_id="change", bucket_id_or_name=LAKE, key="raw/01.csv", body="day,sold\n1,11\n")
    drop = BucketBlobRmOperator(task_id="drop", uri=f"blob:{LAKE}/raw/12.csv")
    sync = bucket_sync_group(
        "sync",
        src=f"blob:{LAKE}/raw",
        dst=f"blob:{MIRROR}/raw",
        shards=4,
        mode="sync",
        delete_extra=True,
        allow_delete=True,
        dry_run="{{ params.rehearse }}",
    )
    count = BucketDiskUsageOperator(task_id="count", bucket_id_or_name=MIRROR)
    remove = BucketRmOperator.partial(task_id="remove_buckets", force=True, allow_whole_bucket=True).expand(
        bucket_id_or_name=[LAKE, MIRROR]
    )

    create >> put >> copy >> [change, drop] >> sync >> count
    count >> remove.as_teardown(setups=create, on_failure_fail_dagrun=True)


if __name__ == "__main__":
    dag.test()
