"""Waiting: for a blob, for enough of them, and for a folder that is complete, each in the mode that suits it.

Conditions say what counts. A blob appears whole, but a producer may still be writing others, or the same one again:
`stable_for` and `BucketPrefixUnchangedSensor` wait until it has finished.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task

from airflow_provider_neuro_buckets.operators.buckets import BucketCreateOperator, BucketRmOperator
from airflow_provider_neuro_buckets.sensors.blobs import (
    BucketBlobSensor,
    BucketGlobSensor,
    BucketPrefixUnchangedSensor,
)

BUCKET = "{{ params.bucket }}"
INCOMING = f"blob:{BUCKET}/incoming/"


@task
def produce(bucket: str) -> None:
    """Stand for somebody else, who delivers files."""
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # noqa: PLC0415 - when the task runs

    with NeuroBucketsHook() as hook:
        for number in range(3):
            hook.put_blob(bucket, f"incoming/part-{number}.csv", b"a,b\n" * 100)
        hook.put_blob(bucket, "incoming/_DONE", b"")


with DAG(
    "neuro_buckets_sensors",
    schedule=None,
    params={"bucket": Param("sensors", type="string", title="Bucket that is made for it")},
    default_args={"retries": 1, "retry_delay": timedelta(seconds=5)},
    doc_md=__doc__,
    tags=["neuro-buckets"],
) as dag:
    create = BucketCreateOperator(task_id="create", name=BUCKET)
    # Short waits stay in the worker.
    marker = BucketBlobSensor(
        task_id="marker", uri=[f"{INCOMING}_DONE", f"{INCOMING}_FAILED"], require="any", timeout=60
    )
    # Long ones wait in the triggerer, which takes no slot of a worker for it.
    parts = BucketGlobSensor(
        task_id="parts",
        uri=f"{INCOMING}part-*.csv",
        min_count=3,
        min_size=1,
        newer_than="{{ dag_run.run_after - macros.timedelta(minutes=5) }}",
        stable_for=2,
        deferrable=True,
        poke_interval=5,
        timeout=timedelta(hours=8),
    )
    # Without a triggerer, a task that reschedules itself takes none either.
    complete = BucketPrefixUnchangedSensor(
        task_id="complete",
        uri=INCOMING,
        unchanged_for=timedelta(seconds=3),
        min_count=4,
        mode="reschedule",
        poke_interval=2,
        timeout=timedelta(hours=8),
    )
    remove = BucketRmOperator(task_id="remove", bucket_id_or_name=BUCKET, force=True, allow_whole_bucket=True)

    (
        create
        >> produce(BUCKET)
        >> [marker, parts, complete]
        >> remove.as_teardown(setups=create, on_failure_fail_dagrun=True)
    )


if __name__ == "__main__":
    dag.test()
