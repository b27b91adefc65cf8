"""Adds up what was sold, and puts the report beside it."""

from __future__ import annotations

import json

from airflow.sdk import DAG, Param, task

from airflow_provider_neuro_buckets.operators.blobs import BucketListBlobsOperator, BucketPutBlobOperator


@task
def add_up(keys: list[str], bucket: str) -> str:
    """Read all tables; return the report as JSON."""
    from airflow_provider_neuro_buckets.hooks.buckets import NeuroBucketsHook  # loads when the task runs

    sold = 0
    with NeuroBucketsHook() as hook:
        for key in keys:
            _, *rows = b"".join(hook.fetch_blob(bucket, key)).decode().splitlines()
            sold += sum(int(row.split(",")[1]) for row in rows)
    return json.dumps({"tables": len(keys), "sold": sold})


with DAG("report", schedule=None, params={"bucket": Param("sales", type="string")}) as dag:
    tables = BucketListBlobsOperator(task_id="tables", uri="blob:{{ params.bucket }}/tables/", recursive=True)
    BucketPutBlobOperator(
        task_id="put_report",
        bucket_id_or_name="{{ params.bucket }}",
        key="report.json",
        body=add_up(tables.output, "{{ params.bucket }}"),
    )
